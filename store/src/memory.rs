//! The store in a map: for the simulated world, which decides about delays and refusals itself, and for tests of
//! shells. Leadership is an epoch here, so that the world can depose a leader.

use crate::{Change, Commit, Entry, Expect, Key, Outcome, Pending, ReadError, Refused, Revision, Store};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// A leader's term. Writes of an older term are fenced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Epoch(pub u64);

/// Keys and values in memory. Survives whoever writes to it: a restarted simulated master finds it again.
#[derive(Debug, Default)]
pub struct Memory {
    inner: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    epoch: Epoch,
    revision: Revision,
    entries: BTreeMap<Key, (Revision, Bytes)>,
}

impl Memory {
    /// An empty store.
    pub fn new() -> Memory {
        Memory::default()
    }

    /// Begins a new term; every older one is fenced from now on.
    pub fn lead(&self) -> Epoch {
        let mut state = self.lock();
        state.epoch.0 += 1;
        state.epoch
    }

    /// Applies a commit of the given term at once.
    pub fn commit(&self, epoch: Epoch, commit: &Commit) -> Outcome {
        let mut state = self.lock();
        if epoch < state.epoch {
            return Outcome::Fenced;
        }
        state.apply(commit)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // A panic elsewhere in a test must not hide behind a second one: every commit is applied whole or not at all.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn apply(&mut self, commit: &Commit) -> Outcome {
        if let Some(refused) = commit.too_large() {
            return Outcome::Refused(refused);
        }
        let mut next = BTreeMap::new();
        let revision = Revision(self.revision.0 + 1);
        for Change { key, expect, value } in &commit.changes {
            let present = match next.get(key) {
                Some(changed) => Option::as_ref(changed).map(|(revision, _)| *revision),
                None => self.entries.get(key).map(|(revision, _)| *revision),
            };
            if !expect.holds(present) {
                return Outcome::Refused(Refused::Conflict { key: key.clone() });
            }
            next.insert(key.clone(), value.clone().map(|value| (revision, value)));
        }
        self.revision = revision;
        for (key, entry) in next {
            match entry {
                Some(entry) => self.entries.insert(key, entry),
                None => self.entries.remove(&key),
            };
        }
        Outcome::Done(revision)
    }
}

impl Expect {
    /// Whether the condition holds of a key last written at `present` (`None`: not there).
    pub(crate) fn holds(self, present: Option<Revision>) -> bool {
        match self {
            Expect::Anything => true,
            Expect::Absent => present.is_none(),
            Expect::At(revision) => present == Some(revision),
        }
    }
}

impl Store for Memory {
    fn submit(&self, commit: Commit) -> Pending {
        Pending::ready(self.lock().apply(&commit))
    }

    fn list(&self, prefix: &str) -> Result<Vec<Entry>, ReadError> {
        Ok(self
            .lock()
            .entries
            .iter()
            .filter(|(key, _)| key.as_str().starts_with(prefix))
            .map(|(key, (revision, value))| Entry {
                key: key.clone(),
                revision: *revision,
                value: value.clone(),
            })
            .collect())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn put(key: &str, value: &'static str) -> Change {
        Change::put(Key::new(key).unwrap(), value)
    }

    #[test]
    fn an_older_term_is_fenced_and_changes_nothing() {
        let store = Memory::new();
        let old = store.lead();
        let new = store.lead();
        assert_eq!(
            store.commit(
                old,
                &Commit {
                    changes: vec![put("a/1", "x")]
                }
            ),
            Outcome::Fenced
        );
        assert_eq!(store.list("").unwrap(), []);
        assert_eq!(
            store.commit(
                new,
                &Commit {
                    changes: vec![put("a/1", "x")]
                }
            ),
            Outcome::Done(Revision(1))
        );
    }

    #[test]
    fn a_commit_with_one_failed_condition_changes_nothing() {
        let store = Memory::new();
        let mut second = put("b/1", "y");
        second.expect = Expect::At(Revision(7));
        let outcome = store
            .submit(Commit {
                changes: vec![put("a/1", "x"), second],
            })
            .wait();
        assert_eq!(
            outcome,
            Outcome::Refused(Refused::Conflict {
                key: Key::new("b/1").unwrap()
            })
        );
        assert_eq!(store.list("").unwrap(), []);
    }

    #[test]
    fn a_later_change_sees_the_earlier_one_of_the_same_commit() {
        let store = Memory::new();
        let mut again = put("a/1", "y");
        again.expect = Expect::Absent;
        let outcome = store
            .submit(Commit {
                changes: vec![put("a/1", "x"), again],
            })
            .wait();
        assert!(
            matches!(outcome, Outcome::Refused(Refused::Conflict { .. })),
            "{outcome:?}"
        );
    }
}
