//! What waits for the log: batches of records and what follows once they are durable.
//!
//! Durability is a state: nothing that depends on a record happens before [`crate::Input::Persisted`] names its batch.
//! All records of one step make one batch, so that one fsync covers them.

use crate::io::{PersistId, Record};
use crate::streams::StreamKey;
use meseta_types::{ContainerId, ExecutorId, UpdateUuid};
use std::collections::VecDeque;

/// What happens when a record is durable.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum After {
    /// The update may be told; the executor is told that it is safe.
    Update {
        key: StreamKey,
        uuid: UpdateUuid,
        executor: Option<ExecutorId>,
    },
    /// The container may be launched.
    Launch(ContainerId),
    /// The task may be given to its running executor.
    Deliver(StreamKey),
    /// The kill may be carried out.
    Kill(ContainerId),
    /// The supervisor may forget the container's end.
    Forget(ContainerId),
}

/// The log as the core sees it.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    last: u64,
    records: Vec<Record>,
    after: Vec<After>,
    waiting: VecDeque<(PersistId, Vec<After>)>,
}

impl Journal {
    /// Adds a record to the batch of this step, and what follows when it is durable.
    pub(crate) fn record(&mut self, record: Record, after: Option<After>) {
        self.records.push(record);
        self.after.extend(after);
    }

    /// The batch of this step, if it has one.
    pub(crate) fn take_batch(&mut self) -> Option<(PersistId, Vec<Record>)> {
        if self.records.is_empty() {
            return None;
        }
        self.last += 1;
        let id = PersistId(self.last);
        self.waiting.push_back((id, std::mem::take(&mut self.after)));
        Some((id, std::mem::take(&mut self.records)))
    }

    /// What follows now that `id` and all before it are durable.
    pub(crate) fn durable(&mut self, id: PersistId) -> Vec<After> {
        let mut out = Vec::new();
        while self.waiting.front().is_some_and(|(w, _)| *w <= id) {
            if let Some((_, after)) = self.waiting.pop_front() {
                out.extend(after);
            }
        }
        out
    }

    /// Whether everything recorded is durable.
    pub(crate) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.records.is_empty()
    }
}
