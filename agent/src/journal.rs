//! The agent's memory on disk: batches of records in order, durable before anything is answered.
//!
//! The owner of the core hands batches over and never waits; one task writes what has gathered as one batch of the
//! log, so that one sync covers all of it, and tells how far the log is durable. A full disk is waited for (nothing is
//! acknowledged meanwhile); a disk of which nobody knows what it holds ends the process.

use bytes::Bytes;
use meseta_agent_core::{PersistId, Record};
use meseta_store::log::{self, Log, OpenError, RECORD_BYTES_MAX};
use meseta_store::{Outcome, Refused};
use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// Version of the records' encoding ([`crate::record`]).
pub(crate) const SCHEMA: u32 = 1;

/// Records waiting for the disk, in bytes; above it the owner takes no further input. Some ten thousand updates.
const BACKLOG_BYTES_MAX: usize = 64 << 20;

/// Most bytes written as one batch of the log.
const BATCH_BYTES_MAX: usize = 8 << 20;

/// A full disk is tried again after this long.
const RETRY: Duration = Duration::from_secs(1);

/// The log is not rewritten below this length: a rewrite costs a file and two syncs.
const REWRITE_MIN_BYTES: u64 = 8 << 20;

/// How far the log is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Durable {
    /// This batch and all before it are; `None`: nothing was written yet.
    UpTo(Option<PersistId>),
    /// Nobody knows what is on disk.
    Lost(Arc<str>),
}

enum Item {
    Append(PersistId, Vec<Bytes>),
    Rewrite(Vec<Bytes>),
    /// Everything before it is written: the task ends.
    End,
}

#[derive(Default)]
struct Queue {
    items: VecDeque<Item>,
    bytes: usize,
}

#[derive(Default)]
struct Shared {
    // Held for a push or a drain, never across an await.
    queue: Mutex<Queue>,
    filled: Notify,
}

/// The writing side, held by the owner of the core.
pub(crate) struct Journal {
    shared: Arc<Shared>,
    /// How far the log is durable.
    pub(crate) durable: watch::Receiver<Durable>,
    length: watch::Receiver<u64>,
    rewrite_above: u64,
    task: tokio::task::JoinHandle<()>,
}

/// What opening found.
pub(crate) struct Opened {
    /// For appending.
    pub(crate) journal: Journal,
    /// The records in order.
    pub(crate) records: Vec<Record>,
}

/// Why the agent's memory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The log itself.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A record that this program cannot read.
    #[error("record {number} of the log {path} cannot be read: {why}")]
    Record {
        /// The file.
        path: String,
        /// Counted from 0.
        number: usize,
        /// What does not fit.
        why: String,
    },
}

/// Opens the log and reads it. Must run inside a tokio runtime; reads the disk on a blocking thread.
///
/// # Errors
/// [`JournalError`] names the file.
pub(crate) async fn open(path: &Path) -> Result<Opened, JournalError> {
    let owned = path.to_owned();
    let opened = tokio::task::spawn_blocking(move || log::open(owned, SCHEMA))
        .await
        .map_err(|e| JournalError::Record {
            path: path.display().to_string(),
            number: 0,
            why: e.to_string(),
        })??;
    if let Some(torn) = opened.torn {
        tracing::warn!(path = %path.display(), at = torn.at, "the last batch of the log was torn and is dropped");
    }
    let mut records = Vec::with_capacity(opened.records.len());
    for (number, bytes) in opened.records.iter().enumerate() {
        records.push(
            crate::record::decode(bytes.clone()).map_err(|why| JournalError::Record {
                path: path.display().to_string(),
                number,
                why,
            })?,
        );
    }
    Ok(Opened {
        journal: Journal::start(opened.log),
        records,
    })
}

impl Journal {
    fn start(log: Log) -> Journal {
        let shared = Arc::new(Shared::default());
        let (told, durable) = watch::channel(Durable::UpTo(None));
        let (measured, length) = watch::channel(log.bytes());
        let rewrite_above = REWRITE_MIN_BYTES.max(2 * log.bytes());
        let task = tokio::spawn(write(log, Arc::clone(&shared), told, measured));
        Journal {
            shared,
            durable,
            length,
            rewrite_above,
            task,
        }
    }

    /// Queues a batch. A record too long for the log is left out and reported: the agent would forget that task at a
    /// restart, which is better than never writing again.
    pub(crate) fn append(&self, id: PersistId, records: &[Record]) {
        self.push(Item::Append(id, encoded(records)));
    }

    /// Queues the replacement of everything written before.
    pub(crate) fn rewrite(&mut self, records: &[Record]) {
        let records = encoded(records);
        let bytes: usize = records.iter().map(Bytes::len).sum();
        self.rewrite_above = REWRITE_MIN_BYTES.max(2 * bytes as u64);
        self.push(Item::Rewrite(records));
    }

    /// Whether most of the log is likely to be of no use any more.
    pub(crate) fn is_long(&self) -> bool {
        *self.length.borrow() > self.rewrite_above
    }

    /// Whether the owner may take further input.
    pub(crate) fn has_room(&self) -> bool {
        self.lock().bytes < BACKLOG_BYTES_MAX
    }

    /// Writes what was queued, then closes the log.
    pub(crate) async fn close(self) {
        self.push(Item::End);
        // A panic of the writing task was logged; there is nothing left to write with.
        let _ = self.task.await;
    }

    fn push(&self, item: Item) {
        let mut queue = self.lock();
        queue.bytes += item_bytes(&item);
        queue.items.push_back(item);
        drop(queue);
        self.shared.filled.notify_one();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.shared.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn encoded(records: &[Record]) -> Vec<Bytes> {
    records
        .iter()
        .map(crate::record::encode)
        .filter(|bytes| {
            let fits = bytes.len() <= RECORD_BYTES_MAX;
            if !fits {
                tracing::error!(
                    bytes = bytes.len(),
                    "a record is too long for the log and is left out"
                );
            }
            fits
        })
        .collect()
}

fn item_bytes(item: &Item) -> usize {
    match item {
        Item::Append(_, records) | Item::Rewrite(records) => records.iter().map(|r| r.len() + 8).sum(),
        Item::End => 0,
    }
}

/// What is written next, as one.
enum Work {
    Append(Option<PersistId>, Vec<Bytes>),
    Rewrite(Vec<Bytes>),
    End,
}

fn next(shared: &Shared) -> Option<Work> {
    let mut queue = shared.queue.lock().unwrap_or_else(PoisonError::into_inner);
    let (mut up_to, mut gathered, mut bytes) = (None, Vec::new(), 0);
    while let Some(item) = queue.items.front() {
        let is_append = matches!(item, Item::Append(..));
        if up_to.is_some() && (!is_append || bytes + item_bytes(item) > BATCH_BYTES_MAX) {
            break;
        }
        let Some(item) = queue.items.pop_front() else {
            break;
        };
        queue.bytes -= item_bytes(&item);
        bytes += item_bytes(&item);
        match item {
            Item::Append(id, records) => {
                up_to = Some(id);
                gathered.extend(records);
            }
            Item::Rewrite(records) => return Some(Work::Rewrite(records)),
            Item::End => return Some(Work::End),
        }
    }
    up_to.map(|id| Work::Append(Some(id), gathered))
}

async fn write(log: Log, shared: Arc<Shared>, told: watch::Sender<Durable>, measured: watch::Sender<u64>) {
    loop {
        let Some(work) = next(&shared) else {
            shared.filled.notified().await;
            continue;
        };
        let outcome = match &work {
            Work::End => break,
            Work::Append(_, records) if records.is_empty() => Ok(()),
            Work::Append(_, records) => persist(|| log.append(records.clone())).await,
            Work::Rewrite(records) => persist(|| log.rewrite(records.clone())).await,
        };
        measured.send_replace(log.bytes());
        match (outcome, work) {
            (Ok(()), Work::Append(Some(id), _)) => {
                told.send_replace(Durable::UpTo(Some(id)));
            }
            (Ok(()), _) => {}
            (Err(why), _) => {
                told.send_replace(Durable::Lost(why));
                break;
            }
        }
    }
    // Closing joins the log's own thread.
    let _ = tokio::task::spawn_blocking(move || drop(log)).await;
}

/// Tries until it is written or nobody knows.
async fn persist(mut submit: impl FnMut() -> meseta_store::Pending) -> Result<(), Arc<str>> {
    let mut complained = false;
    loop {
        match submit().await {
            Outcome::Done(_) => return Ok(()),
            Outcome::Refused(refused @ (Refused::NoSpace | Refused::Busy)) => {
                if !complained {
                    tracing::error!(why = %refused, "the log cannot be written; nothing is acknowledged until it can");
                    complained = true;
                }
                tokio::time::sleep(RETRY).await;
            }
            Outcome::Refused(refused) => return Err(refused.to_string().into()),
            Outcome::Fenced => return Err("the log belongs to another process".into()),
            Outcome::Unknown(why) => return Err(why),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    async fn durable(journal: &mut Journal, id: u64) {
        let wanted = Durable::UpTo(Some(PersistId(id)));
        journal.durable.wait_for(|d| *d == wanted).await.unwrap();
    }

    #[tokio::test]
    async fn batches_come_back_in_order_and_a_rewrite_replaces_them() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agent.log");
        let mut opened = open(&path).await.unwrap();
        assert!(opened.records.is_empty());
        let boot = |n: u64| Record::Boot(n.to_string().into());
        for n in 0..100 {
            opened.journal.append(PersistId(n), &[boot(n), boot(n)]);
        }
        durable(&mut opened.journal, 99).await;
        opened.journal.close().await;

        let mut opened = open(&path).await.unwrap();
        let wanted: Vec<_> = (0..100).flat_map(|n| [boot(n), boot(n)]).collect();
        assert_eq!(opened.records, wanted);
        opened.journal.rewrite(&[boot(7)]);
        opened.journal.append(PersistId(0), &[boot(8)]);
        durable(&mut opened.journal, 0).await;
        opened.journal.close().await;
        assert_eq!(open(&path).await.unwrap().records, [boot(7), boot(8)]);
    }

    #[tokio::test]
    async fn a_second_agent_cannot_use_the_same_log() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agent.log");
        let _first = open(&path).await.unwrap();
        assert!(matches!(
            open(&path).await,
            Err(JournalError::Open(OpenError::InUse { .. }))
        ));
    }
}
