//! The one thread that writes: takes what waits, writes it in one transaction, syncs once, answers everyone.
//!
//! When the disk is full the transaction fails before it can be half done, but redb then refuses all work on the
//! open file. So the file is opened anew, and whether the transaction is in it is read from its revision counter:
//! not there means *refused*, there means *done*. After a failed sync nobody can say, which is *unknown*, and
//! everything after it is unknown too.

use super::{ENTRIES, envelope, format};
use crate::{Change, Commit, Outcome, Refused, Revision};
use redb::{Database, ReadableTable};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use tokio::sync::oneshot;

/// Most bytes of values in one transaction: larger groups only add latency for those who came first.
const GROUP_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Most commits in one transaction, for the same reason.
const GROUP_COMMITS_MAX: usize = 1_000;

/// The open file; `None` once it could not be opened again.
pub(super) type Shared = Arc<Mutex<Option<Arc<Database>>>>;

pub(super) struct Request {
    pub(super) commit: Commit,
    pub(super) answer: oneshot::Sender<Outcome>,
}

pub(super) struct Writer {
    path: PathBuf,
    shared: Shared,
    /// Of the last transaction that is known to be on disk.
    revision: u64,
    /// Set once nobody can say what is on disk.
    lost: Option<Arc<str>>,
}

impl Writer {
    pub(super) fn new(path: PathBuf, shared: Shared, revision: u64) -> Writer {
        Writer {
            path,
            shared,
            revision,
            lost: None,
        }
    }

    pub(super) fn run(mut self, requests: &mpsc::Receiver<Request>) {
        while let Ok(first) = requests.recv() {
            let mut group = vec![first];
            let mut bytes = size(&group[0].commit);
            while bytes < GROUP_BYTES_MAX && group.len() < GROUP_COMMITS_MAX {
                let Ok(next) = requests.try_recv() else { break };
                bytes += size(&next.commit);
                group.push(next);
            }
            let outcomes = self.write(&group);
            for (request, outcome) in group.into_iter().zip(outcomes) {
                // Whoever does not wait any more does not need the answer.
                let _ = request.answer.send(outcome);
            }
        }
    }

    /// One outcome per request, in order.
    fn write(&mut self, group: &[Request]) -> Vec<Outcome> {
        if let Some(why) = &self.lost {
            return vec![Outcome::Unknown(Arc::clone(why)); group.len()];
        }
        match self.transact(group) {
            Ok(outcomes) => outcomes,
            Err(Failed::Full(last)) => self.after_full_disk(group.len(), last),
            Err(Failed::Unknown(why)) => self.lose(group.len(), why),
        }
    }

    fn transact(&mut self, group: &[Request]) -> Result<Vec<Outcome>, Failed> {
        let database = self.shared.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let database = database.ok_or_else(|| Failed::Unknown("the store is closed".to_owned()))?;
        let mut next = self.revision;
        let failed = |error: redb::Error, last| Failed::of(error, last);
        let write = database.begin_write().map_err(|e| failed(e.into(), next))?;
        let mut outcomes = Vec::with_capacity(group.len());
        {
            let mut entries = write.open_table(ENTRIES).map_err(|e| failed(e.into(), next))?;
            for request in group {
                match conflict(&entries, &request.commit.changes).map_err(|e| failed(e, next))? {
                    Some(refused) => outcomes.push(Outcome::Refused(refused)),
                    None => {
                        next += 1;
                        apply(&mut entries, &request.commit.changes, next).map_err(|e| failed(e, next))?;
                        outcomes.push(Outcome::Done(Revision(next)));
                    }
                }
            }
            let mut meta = write
                .open_table(format::META)
                .map_err(|e| failed(e.into(), next))?;
            meta.insert(format::REVISION_KEY, next)
                .map_err(|e| failed(e.into(), next))?;
        }
        if next == self.revision {
            write.abort().map_err(|e| failed(e.into(), next))?;
        } else {
            write.commit().map_err(|e| failed(e.into(), next))?;
            self.revision = next;
        }
        Ok(outcomes)
    }

    /// Opens the file anew and reads whether the transaction that should have ended at revision `last` is in it.
    fn after_full_disk(&mut self, requests: usize, last: u64) -> Vec<Outcome> {
        let reopened = self.reopen();
        match reopened {
            Ok(found) if found == self.revision => {
                vec![Outcome::Refused(Refused::NoSpace); requests]
            }
            Ok(found) => {
                // The data went in and only something after it failed. Which conditions held is not kept, so the
                // callers cannot be told apart: end and start again from what is durable.
                self.lose(
                    requests,
                    format!("the disk is full and the store moved to revision {found} of {last}"),
                )
            }
            Err(error) => self.lose(
                requests,
                format!("the disk is full and the store cannot be opened again: {error}"),
            ),
        }
    }

    fn reopen(&mut self) -> Result<u64, String> {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        // The old one goes first: it must not write to the file after the new one has read it.
        shared.take();
        let (database, found) = format::open(&self.path).map_err(|e| e.to_string())?;
        *shared = Some(Arc::new(database));
        Ok(found)
    }

    fn lose(&mut self, requests: usize, why: String) -> Vec<Outcome> {
        tracing::error!(path = %self.path.display(), %why, "the store cannot tell what is on disk");
        let why: Arc<str> = why.into();
        self.lost = Some(Arc::clone(&why));
        vec![Outcome::Unknown(why); requests]
    }
}

/// How a transaction failed, and the revision it would have ended at.
enum Failed {
    Full(u64),
    Unknown(String),
}

impl Failed {
    fn of(error: redb::Error, last: u64) -> Failed {
        match error {
            redb::Error::Io(e)
                if matches!(
                    e.kind(),
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
                ) =>
            {
                Failed::Full(last)
            }
            other => Failed::Unknown(other.to_string()),
        }
    }
}

type Entries<'t> = redb::Table<'t, &'static str, &'static [u8]>;

/// The first condition that does not hold. Conditions are checked before anything is changed, since a transaction
/// cannot take back a part; a key that occurs twice is judged by the changes before it.
fn conflict(entries: &Entries<'_>, changes: &[Change]) -> Result<Option<Refused>, redb::Error> {
    for (index, change) in changes.iter().enumerate() {
        if change.expect == crate::Expect::Anything {
            continue;
        }
        let earlier = changes[..index]
            .iter()
            .rev()
            .find(|earlier| earlier.key == change.key);
        let present = match earlier {
            // Written by this same commit: no revision a caller could have seen yet.
            Some(earlier) => earlier.value.as_ref().map(|_| Revision(u64::MAX)),
            None => revision(entries, change.key.as_str())?,
        };
        if !change.expect.holds(present) {
            return Ok(Some(Refused::Conflict {
                key: change.key.clone(),
            }));
        }
    }
    Ok(None)
}

fn revision(entries: &Entries<'_>, key: &str) -> Result<Option<Revision>, redb::Error> {
    let Some(found) = entries.get(key)? else {
        return Ok(None);
    };
    match envelope::open(key, found.value()) {
        Ok((revision, _)) => Ok(Some(Revision(revision))),
        Err(why) => Err(redb::Error::Corrupted(format!(
            "the value of key '{key}' is damaged: {why}"
        ))),
    }
}

fn apply(entries: &mut Entries<'_>, changes: &[Change], revision: u64) -> Result<(), redb::Error> {
    for Change { key, value, .. } in changes {
        match value {
            Some(value) => {
                let sealed = envelope::seal(key.as_str(), revision, value);
                entries.insert(key.as_str(), sealed.as_slice())?;
            }
            None => {
                entries.remove(key.as_str())?;
            }
        }
    }
    Ok(())
}

fn size(commit: &Commit) -> usize {
    commit
        .changes
        .iter()
        .map(|change| change.value.as_ref().map_or(0, |value| value.len()))
        .sum()
}
