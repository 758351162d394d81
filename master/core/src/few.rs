//! Sets and maps by handle, for the many that are small: what one agent has.
//!
//! Each is a sorted list in one piece of memory, and the smallest lie within their owner, so that a change reads a line or
//! two where a tree would read one per node. That a change moves what lies behind it is nothing as long as there are
//! thousands at most.

use crate::pages::Handle;
use smallvec::SmallVec;

/// A set of handles, in their order.
#[derive(Debug)]
pub(crate) struct Few<K>(SmallVec<[K; 4]>);

impl<K> Default for Few<K> {
    fn default() -> Self {
        Few(SmallVec::new())
    }
}

impl<K: Handle + Ord> Few<K> {
    pub(crate) fn insert(&mut self, key: K) {
        if let Err(at) = self.0.binary_search(&key) {
            self.0.insert(at, key);
        }
    }

    pub(crate) fn remove(&mut self, key: K) {
        if let Ok(at) = self.0.binary_search(&key) {
            self.0.remove(at);
        }
    }

    pub(crate) fn contains(&self, key: K) -> bool {
        self.0.binary_search(&key).is_ok()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Has the lines of memory fetched that a search reads first. See [`meseta_types::Resources::touch`].
    pub(crate) fn touch(&self) {
        let middle = self.0.len() / 2;
        std::hint::black_box((
            self.0.get(middle).map(|key| key.index()),
            self.0.last().map(|key| key.index()),
        ));
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = K> + '_ {
        self.0.iter().copied()
    }
}

/// Values by handle, in the order of the handles.
#[derive(Clone, Debug, PartialEq)]
pub struct FewBy<K, V>(SmallVec<[(K, V); 1]>);

impl<K, V> Default for FewBy<K, V> {
    fn default() -> Self {
        FewBy(SmallVec::new())
    }
}

impl<K: Handle + Ord, V> FewBy<K, V> {
    fn place(&self, key: K) -> Result<usize, usize> {
        self.0.binary_search_by_key(&key, |(key, _)| *key)
    }

    /// The value.
    pub fn get(&self, key: K) -> Option<&V> {
        let at = self.place(key).ok()?;
        self.0.get(at).map(|(_, value)| value)
    }

    /// The value, to be changed.
    pub fn get_mut(&mut self, key: K) -> Option<&mut V> {
        let at = self.place(key).ok()?;
        self.0.get_mut(at).map(|(_, value)| value)
    }

    /// Whether there is one.
    pub fn contains(&self, key: K) -> bool {
        self.place(key).is_ok()
    }

    /// Puts a value there, in the place of the one that is.
    pub fn insert(&mut self, key: K, value: V) {
        match self.place(key) {
            Ok(at) => self.0[at].1 = value,
            Err(at) => self.0.insert(at, (key, value)),
        }
    }

    /// Takes the value out.
    pub fn remove(&mut self, key: K) -> Option<V> {
        let at = self.place(key).ok()?;
        Some(self.0.remove(at).1)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (K, &V)> {
        self.0.iter().map(|(key, value)| (*key, value))
    }

    /// Whose they are.
    pub fn keys(&self) -> impl Iterator<Item = K> {
        self.iter().map(|(key, _)| key)
    }

    /// What they are.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }
}

impl<K: Handle + Ord, V> FromIterator<(K, V)> for FewBy<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(iter: I) -> Self {
        let mut few = FewBy::default();
        for (key, value) in iter {
            few.insert(key, value);
        }
        few
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::{FrameworkKey, TaskKey};

    #[test]
    fn few_handles_stay_in_order_and_are_there_once() {
        let key = TaskKey::from_index;
        let mut few = Few::default();
        for n in [7, 3, 9, 3, 5, 1, 8] {
            few.insert(key(n));
        }
        few.remove(key(5));
        few.remove(key(6));
        assert_eq!(few.iter().collect::<Vec<_>>(), [1, 3, 7, 8, 9].map(key));
        assert!(few.contains(key(9)) && !few.contains(key(5)) && !few.is_empty());
    }

    #[test]
    fn a_handle_has_one_value_and_the_order_is_that_of_the_handles() {
        let key = FrameworkKey::from_index;
        let mut few: FewBy<FrameworkKey, char> = [(key(4), 'd'), (key(2), 'x'), (key(2), 'b')]
            .into_iter()
            .collect();
        few.insert(key(3), 'c');
        if let Some(value) = few.get_mut(key(4)) {
            *value = 'D';
        }
        assert_eq!(few.remove(key(3)), Some('c'));
        assert_eq!(
            (few.remove(key(3)), few.contains(key(3)), few.get(key(2))),
            (None, false, Some(&'b'))
        );
        assert_eq!(few.iter().collect::<Vec<_>>(), [(key(2), &'b'), (key(4), &'D')]);
        assert_eq!(few.keys().count(), few.values().count());
    }
}
