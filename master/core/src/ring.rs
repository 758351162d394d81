//! A set that remembers the order in which its members came, for bounded lists with the oldest out first.

use std::collections::BTreeMap;

/// Members by age. All operations are logarithmic in the number of members.
#[derive(Clone, Debug)]
pub(crate) struct Ring<K> {
    by_age: BTreeMap<u64, K>,
    age: BTreeMap<K, u64>,
    next: u64,
}

impl<K> Default for Ring<K> {
    fn default() -> Self {
        Ring {
            by_age: BTreeMap::new(),
            age: BTreeMap::new(),
            next: 0,
        }
    }
}

impl<K: Ord + Clone> Ring<K> {
    /// Adds a member as the youngest; one that is there keeps its age. Says whether it is new.
    pub(crate) fn push(&mut self, key: K) -> bool {
        if self.age.contains_key(&key) {
            return false;
        }
        self.age.insert(key.clone(), self.next);
        self.by_age.insert(self.next, key);
        self.next += 1;
        true
    }

    /// Takes a member out. Says whether it was there.
    pub(crate) fn remove(&mut self, key: &K) -> bool {
        match self.age.remove(key) {
            Some(age) => self.by_age.remove(&age).is_some(),
            None => false,
        }
    }

    /// Takes the oldest out.
    pub(crate) fn pop_oldest(&mut self) -> Option<K> {
        let (_, key) = self.by_age.pop_first()?;
        self.age.remove(&key);
        Some(key)
    }

    pub(crate) fn contains(&self, key: &K) -> bool {
        self.age.contains_key(key)
    }

    pub(crate) fn len(&self) -> usize {
        self.by_age.len()
    }

    /// From the oldest to the youngest.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &K> {
        self.by_age.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_goes_first_whatever_left_in_between() {
        let mut ring = Ring::default();
        assert!(ring.push("a") && ring.push("b") && ring.push("c"));
        assert!(!ring.push("a"), "a member keeps its age");
        assert!(ring.remove(&"a") && !ring.remove(&"a"));
        assert_eq!(ring.iter().copied().collect::<Vec<_>>(), ["b", "c"]);
        assert_eq!(ring.pop_oldest(), Some("b"));
        assert!(ring.contains(&"c") && !ring.contains(&"b"));
        assert_eq!(ring.len(), 1);
    }
}
