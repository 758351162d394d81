//! A sorted map in pages that are copied when they are written: a clone costs the table of pages, a write after it one
//! page.

use std::borrow::Borrow;
use std::ops::Bound;
use std::sync::Arc;

/// Entries of a page. Copying one after a clone costs some microseconds, and ten thousand entries make a few hundred
/// pages.
const PAGE_MAX: usize = 64;

/// A sorted map. Cloning is cheap; see the module.
#[derive(Clone, Debug)]
pub struct Pages<K, V> {
    /// None is empty; their keys ascend, within and over all.
    pages: Vec<Arc<Vec<(K, V)>>>,
    len: usize,
}

impl<K, V> Default for Pages<K, V> {
    fn default() -> Self {
        Pages {
            pages: Vec::new(),
            len: 0,
        }
    }
}

impl<K: Ord + Clone, V: Clone> Pages<K, V> {
    /// How many entries.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// One entry.
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let page = self.pages.get(self.page_of(key)?)?;
        let at = page.binary_search_by(|(k, _)| k.borrow().cmp(key)).ok()?;
        page.get(at).map(|(_, value)| value)
    }

    /// All, in the order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.pages
            .iter()
            .flat_map(|page| page.iter())
            .map(|(key, value)| (key, value))
    }

    /// Those from a key on, in their order.
    pub fn from<Q: Ord + ?Sized>(&self, start: Bound<&Q>) -> impl Iterator<Item = (&K, &V)>
    where
        K: Borrow<Q>,
    {
        let before = move |key: &Q| match start {
            Bound::Unbounded => false,
            Bound::Included(start) => key < start,
            Bound::Excluded(start) => key <= start,
        };
        let first = self
            .pages
            .partition_point(|page| page.last().is_some_and(|(key, _)| before(key.borrow())));
        let pages = self.pages.get(first..).unwrap_or_default();
        pages
            .iter()
            .flat_map(|page| page.iter())
            .skip_while(move |(key, _)| before(key.borrow()))
            .map(|(key, value)| (key, value))
    }

    /// Sets an entry.
    pub fn insert(&mut self, key: K, value: V) {
        let Some(index) = self.page_of(&key) else {
            self.pages.push(Arc::new(vec![(key, value)]));
            self.len = 1;
            return;
        };
        let Some(page) = self.pages.get_mut(index) else {
            return;
        };
        let page = Arc::make_mut(page);
        match page.binary_search_by(|(k, _)| k.cmp(&key)) {
            Ok(at) => page[at].1 = value,
            Err(at) => {
                page.insert(at, (key, value));
                self.len += 1;
                if page.len() > PAGE_MAX {
                    let rest = page.split_off(PAGE_MAX / 2);
                    self.pages.insert(index + 1, Arc::new(rest));
                }
            }
        }
    }

    /// Removes an entry, if it is there.
    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q)
    where
        K: Borrow<Q>,
    {
        let Some(index) = self.page_of(key) else { return };
        let Some(page) = self.pages.get_mut(index) else {
            return;
        };
        let Ok(at) = page.binary_search_by(|(k, _)| k.borrow().cmp(key)) else {
            return;
        };
        let page = Arc::make_mut(page);
        page.remove(at);
        self.len -= 1;
        if page.is_empty() {
            self.pages.remove(index);
        }
    }

    /// The page that holds a key, or would.
    fn page_of<Q: Ord + ?Sized>(&self, key: &Q) -> Option<usize>
    where
        K: Borrow<Q>,
    {
        let after = self
            .pages
            .partition_point(|page| page.first().is_some_and(|(first, _)| first.borrow() <= key));
        (!self.pages.is_empty()).then(|| after.saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use meseta_types::random::Random;
    use std::collections::BTreeMap;

    #[test]
    fn it_is_a_sorted_map_whose_clones_stay_as_they_were() {
        let mut random = Random::new(7);
        let mut pages: Pages<u64, u64> = Pages::default();
        let mut model: BTreeMap<u64, u64> = BTreeMap::new();
        let mut kept: Vec<(Pages<u64, u64>, BTreeMap<u64, u64>)> = Vec::new();
        for round in 0..4_000 {
            let key = random.below(600);
            if random.below(3) == 0 {
                pages.remove(&key);
                model.remove(&key);
            } else {
                pages.insert(key, round);
                model.insert(key, round);
            }
            if round % 500 == 0 {
                kept.push((pages.clone(), model.clone()));
            }
        }
        kept.push((pages, model));
        for (pages, model) in kept {
            assert!(pages.iter().eq(model.iter()));
            assert_eq!((pages.len(), pages.is_empty()), (model.len(), model.is_empty()));
            for key in 0..600 {
                assert_eq!(pages.get(&key), model.get(&key));
                let (above, from) = (Bound::Excluded(&key), Bound::Included(&key));
                assert!(
                    pages
                        .from(above)
                        .eq(model.range((Bound::Excluded(key), Bound::Unbounded)))
                );
                assert!(pages.from(from).eq(model.range(key..)));
            }
        }
    }
}
