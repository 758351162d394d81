//! Lookup tables for the core's own use: by text, and by dense handle.

use crate::pages::Handle;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, Hasher};
use std::marker::PhantomData;

/// Hashes with a secret the core was given, so that whoever chooses the ids cannot choose the collisions.
#[derive(Clone, Debug)]
pub(crate) struct Seeded(u64);

impl BuildHasher for Seeded {
    type Hasher = std::hash::DefaultHasher;
    fn build_hasher(&self) -> Self::Hasher {
        let mut hasher = std::hash::DefaultHasher::new();
        hasher.write_u64(self.0);
        hasher
    }
}

/// A hash table that can be asked but not walked: its order must not reach any decision.
#[derive(Clone, Debug)]
pub(crate) struct Index<K, V>(HashMap<K, V, Seeded>);

impl<K: Eq + Hash, V> Index<K, V> {
    pub(crate) fn new(seed: u64) -> Self {
        Index(HashMap::with_hasher(Seeded(seed)))
    }

    pub(crate) fn get(&self, key: &K) -> Option<V>
    where
        V: Copy,
    {
        self.0.get(key).copied()
    }

    pub(crate) fn find(&self, key: &K) -> Option<&V> {
        self.0.get(key)
    }

    /// One for which it does not hold; if there are several, any of them.
    pub(crate) fn exception(&self, holds: impl Fn(&K, &V) -> bool) -> Option<(&K, &V)> {
        self.0.iter().find(|(key, value)| !holds(key, value))
    }

    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        self.0.insert(key, value)
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        self.0.remove(key)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

/// What the core keeps beside the entries of some [`crate::pages::Pages`], by the same handles.
#[derive(Debug)]
pub(crate) struct Table<K, V> {
    slots: Vec<Option<V>>,
    key: PhantomData<K>,
}

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Table {
            slots: Vec::new(),
            key: PhantomData,
        }
    }
}

impl<K: Handle, V> Table<K, V> {
    pub(crate) fn insert(&mut self, key: K, value: V) {
        let at = key.index() as usize;
        if at >= self.slots.len() {
            self.slots.resize_with(at + 1, || None);
        }
        self.slots[at] = Some(value);
    }

    pub(crate) fn get(&self, key: K) -> Option<&V> {
        self.slots.get(key.index() as usize)?.as_ref()
    }

    pub(crate) fn get_mut(&mut self, key: K) -> Option<&mut V> {
        self.slots.get_mut(key.index() as usize)?.as_mut()
    }

    pub(crate) fn remove(&mut self, key: K) -> Option<V> {
        self.slots.get_mut(key.index() as usize)?.take()
    }
}
