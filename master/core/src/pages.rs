//! Copy-on-write storage by dense handle: where tasks, agents, frameworks and offers live.
//!
//! Entries are reached by a small number, in the order of these numbers, and sit behind `Arc`s in pages of
//! [`PAGE`] entries. A snapshot costs one counter per page, and the first write to a page after it costs the page's
//! pointers and the one entry: neither depends on how large an entry's neighbours are.

use std::marker::PhantomData;
use std::sync::Arc;

/// Entries per page: a page of pointers is half a kilobyte, cheap to copy; a million tasks are 16 thousand pages.
pub const PAGE: usize = 64;

/// A dense handle.
pub trait Handle: Copy {
    /// From a place.
    fn from_index(index: u32) -> Self;
    /// The place.
    fn index(self) -> u32;
}

macro_rules! handle {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u32);

        impl Handle for $name {
            fn from_index(index: u32) -> Self {
                $name(index)
            }
            fn index(self) -> u32 {
                self.0
            }
        }
    };
}

handle!(
    /// A task's place. Reused after the task is forgotten.
    TaskKey
);
handle!(
    /// A registered agent's place. Reused after the agent left.
    AgentKey
);
handle!(
    /// A framework's place. Reused after the framework is forgotten.
    FrameworkKey
);
handle!(
    /// An offer's place. Reused after the offer ended.
    OfferKey
);

type Page<T> = Vec<Option<Arc<T>>>;

/// Entries by handle.
#[derive(Clone, Debug)]
pub struct Pages<K, T> {
    pages: Vec<Arc<Page<T>>>,
    free: Vec<u32>,
    len: usize,
    key: PhantomData<K>,
}

/// What [`Pages`] held at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot<K, T> {
    pages: Vec<Arc<Page<T>>>,
    len: usize,
    key: PhantomData<K>,
}

impl<K, T> Default for Pages<K, T> {
    fn default() -> Self {
        Pages {
            pages: Vec::new(),
            free: Vec::new(),
            len: 0,
            key: PhantomData,
        }
    }
}

impl<K, T> Default for Snapshot<K, T> {
    fn default() -> Self {
        Snapshot {
            pages: Vec::new(),
            len: 0,
            key: PhantomData,
        }
    }
}

fn place<K: Handle>(key: K) -> (usize, usize) {
    let index = key.index() as usize;
    (index / PAGE, index % PAGE)
}

fn entry<K: Handle, T>(pages: &[Arc<Page<T>>], key: K) -> Option<&Arc<T>> {
    let (page, offset) = place(key);
    pages.get(page)?.get(offset)?.as_ref()
}

fn entries<K: Handle, T>(pages: &[Arc<Page<T>>]) -> impl Iterator<Item = (K, &Arc<T>)> {
    pages.iter().enumerate().flat_map(|(page, entries)| {
        entries.iter().enumerate().filter_map(move |(offset, entry)| {
            let index = u32::try_from(page * PAGE + offset).ok()?;
            Some((K::from_index(index), entry.as_ref()?))
        })
    })
}

impl<K: Handle, T: Clone> Pages<K, T> {
    /// Takes an entry in and gives its handle.
    pub fn insert(&mut self, value: T) -> K {
        let index = self.free.pop().unwrap_or_else(|| {
            let filled = self
                .pages
                .last()
                .map_or(0, |last| (self.pages.len() - 1) * PAGE + last.len());
            u32::try_from(filled).unwrap_or(u32::MAX)
        });
        let (page, offset) = (index as usize / PAGE, index as usize % PAGE);
        if page == self.pages.len() {
            self.pages.push(Arc::new(Vec::with_capacity(PAGE)));
        }
        if let Some(entries) = self.pages.get_mut(page).map(Arc::make_mut) {
            match entries.get_mut(offset) {
                Some(slot) => *slot = Some(Arc::new(value)),
                None => entries.push(Some(Arc::new(value))),
            }
        }
        self.len += 1;
        K::from_index(index)
    }

    /// The entry.
    pub fn get(&self, key: K) -> Option<&T> {
        entry(&self.pages, key).map(Arc::as_ref)
    }

    /// The entry, to be kept.
    pub fn share(&self, key: K) -> Option<Arc<T>> {
        entry(&self.pages, key).cloned()
    }

    /// The entry, to be changed: copied first if a snapshot shares it.
    pub fn get_mut(&mut self, key: K) -> Option<&mut T> {
        let (page, offset) = place(key);
        let page = self.pages.get_mut(page)?;
        page.get(offset)?.as_ref()?;
        Arc::make_mut(page).get_mut(offset)?.as_mut().map(Arc::make_mut)
    }

    /// Takes the entry out; its handle will be given to another.
    pub fn remove(&mut self, key: K) -> Option<Arc<T>> {
        let (page, offset) = place(key);
        let page = self.pages.get_mut(page)?;
        page.get(offset)?.as_ref()?;
        let taken = Arc::make_mut(page).get_mut(offset)?.take()?;
        self.free.push(key.index());
        self.len -= 1;
        Some(taken)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All of them, by handle.
    pub fn iter(&self) -> impl Iterator<Item = (K, &T)> {
        entries(&self.pages).map(|(key, entry)| (key, entry.as_ref()))
    }

    /// As they are now.
    pub fn snapshot(&self) -> Snapshot<K, T> {
        Snapshot {
            pages: self.pages.clone(),
            len: self.len,
            key: PhantomData,
        }
    }
}

impl<K: Handle, T> Snapshot<K, T> {
    /// The entry.
    pub fn get(&self, key: K) -> Option<&Arc<T>> {
        entry(&self.pages, key)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All of them, by handle.
    pub fn iter(&self) -> impl Iterator<Item = (K, &Arc<T>)> {
        entries(&self.pages)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_snapshot_keeps_what_was_there_while_the_pages_go_on() {
        let mut pages = Pages::<TaskKey, String>::default();
        let keys: Vec<TaskKey> = (0..200).map(|n| pages.insert(n.to_string())).collect();
        let before = pages.snapshot();
        pages.get_mut(keys[70]).unwrap().push('!');
        pages.remove(keys[3]).unwrap();
        assert_eq!(before.get(keys[70]).unwrap().as_str(), "70");
        assert_eq!(before.get(keys[3]).unwrap().as_str(), "3");
        assert_eq!(pages.get(keys[70]).unwrap(), "70!");
        assert_eq!(pages.get(keys[3]), None);
        assert_eq!((before.len(), pages.len()), (200, 199));
        // A page nobody wrote to is shared.
        assert!(Arc::ptr_eq(&before.pages[2], &pages.pages[2]));
    }

    #[test]
    fn a_freed_place_is_used_again_and_order_is_that_of_places() {
        let mut pages = Pages::<TaskKey, u32>::default();
        let keys: Vec<TaskKey> = (0..3).map(|n| pages.insert(n)).collect();
        pages.remove(keys[1]).unwrap();
        assert_eq!(pages.remove(keys[1]), None);
        assert_eq!(pages.insert(9), keys[1]);
        let all: Vec<u32> = pages.iter().map(|(_, n)| *n).collect();
        assert_eq!(all, [0, 9, 2]);
    }
}
