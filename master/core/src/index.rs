//! Lookup tables for the core's own use: by text, and by dense handle.

use crate::pages::Handle;
use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher};
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

/// Hashes numbers that the core or its shell counts up, and nobody else chooses: numbers that follow each other stand side
/// by side, so that what comes together is found, and put, in few lines of memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counted(u64);

impl Hasher for Counted {
    fn write_u64(&mut self, number: u64) {
        // The lowest bits say the place; the highest tell those apart that are near it.
        self.0 = number ^ (number << 57);
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64((self.0 << 8) ^ u64::from(*byte));
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// A hash table that can be asked but not walked: its order must not reach any decision.
#[derive(Clone, Debug)]
pub(crate) struct Index<K, V, S = Seeded>(HashMap<K, V, S>);

/// One by a number that is counted up.
pub(crate) type CountedIndex<K, V> = Index<K, V, BuildHasherDefault<Counted>>;

impl<K, V> Index<K, V> {
    pub(crate) fn new(seed: u64) -> Self {
        Index(HashMap::with_hasher(Seeded(seed)))
    }
}

impl<K, V> Default for CountedIndex<K, V> {
    fn default() -> Self {
        Index(HashMap::default())
    }
}

impl<K: Eq + Hash, V, S: BuildHasher> Index<K, V, S> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counted_numbers_are_found_however_far_apart() {
        let mut index = CountedIndex::default();
        let numbers = (0..200).flat_map(|n| [n, n << 7, n << 20, u64::MAX - n]);
        let numbers: std::collections::BTreeSet<u64> = numbers.collect();
        for n in &numbers {
            assert_eq!(index.insert(*n, !n), None);
        }
        assert_eq!(index.len(), numbers.len());
        for n in &numbers {
            assert_eq!(index.get(n), Some(!n));
            assert_eq!(index.remove(n), Some(!n));
            assert_eq!(index.get(n), None);
        }
    }
}
