//! Status update streams: which update of a task the master is told next, and until when.
//!
//! One stream per (framework, task). Only the head is forwarded; it is told again after 10 s, 20 s, ... 10 min until it is
//! acknowledged (mesos-agent 2.6, `src/slave/task_status_update_manager.cpp` of Mesos). An update that must be recorded
//! first waits unseen until it is durable. Called by the core's steps; it never sends anything itself.

use meseta_types::task::TaskStatus;
use meseta_types::{FrameworkId, TaskId, UpdateUuid};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// First wait before an update is told again.
pub(crate) const RETRY_FIRST: Duration = Duration::from_secs(10);
/// Longest wait.
pub(crate) const RETRY_MAX: Duration = Duration::from_secs(600);
/// Updates one task may have waiting. An executor that reports faster than its framework reads loses intermediate
/// states then, never the last one.
pub(crate) const PENDING_MAX: usize = 256;
/// Uuids remembered per task to tell repeated updates; more than may wait, so that nothing waiting is forgotten.
const SEEN_MAX: usize = 2 * PENDING_MAX;

/// Whose updates.
pub(crate) type StreamKey = (FrameworkId, TaskId);

/// An update that waits for its acknowledgement.
#[derive(Clone, Debug)]
pub(crate) struct Pending {
    pub(crate) status: TaskStatus,
    pub(crate) uuid: UpdateUuid,
    /// Whether it may be shown to anyone.
    pub(crate) durable: bool,
}

/// The updates of one task.
#[derive(Clone, Debug)]
pub(crate) struct Stream {
    pending: VecDeque<Pending>,
    seen: VecDeque<UpdateUuid>,
    /// A terminal update entered: nothing follows.
    terminated: bool,
    /// The wait after the next sending.
    retry: Duration,
    /// Whether its updates are recorded.
    pub(crate) checkpoint: bool,
    /// Whether the head was sent since the last registration.
    sent: bool,
}

impl Stream {
    fn new(checkpoint: bool) -> Stream {
        Stream {
            pending: VecDeque::new(),
            seen: VecDeque::new(),
            terminated: false,
            retry: RETRY_FIRST,
            checkpoint,
            sent: false,
        }
    }

    pub(crate) fn pending(&self) -> impl Iterator<Item = &Pending> {
        self.pending.iter()
    }

    pub(crate) fn head(&self) -> Option<&Pending> {
        self.pending.front()
    }
}

/// What became of an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Added {
    /// It waits its turn.
    New,
    /// Its uuid was seen; `true` when the earlier one is durable.
    Duplicate(bool),
    /// The task had ended.
    AfterTerminal,
}

/// What an acknowledgement did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Acked {
    /// No such stream, or not its head: ignored.
    Ignored,
    /// The next update may follow.
    Next,
    /// The last one of an ended task: the stream is gone.
    Done,
}

/// All streams of an agent.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    map: BTreeMap<StreamKey, Stream>,
}

impl Streams {
    /// Takes an update in. `durable`: nothing has to be recorded first.
    pub(crate) fn add(
        &mut self,
        key: &StreamKey,
        status: TaskStatus,
        uuid: UpdateUuid,
        checkpoint: bool,
        durable: bool,
    ) -> Added {
        let stream = self
            .map
            .entry(key.clone())
            .or_insert_with(|| Stream::new(checkpoint));
        if stream.seen.contains(&uuid) {
            let waiting = stream.pending.iter().find(|p| p.uuid == uuid);
            return Added::Duplicate(waiting.is_none_or(|p| p.durable));
        }
        if stream.terminated {
            return Added::AfterTerminal;
        }
        stream.terminated = status.state.is_terminal();
        stream.seen.push_back(uuid);
        if stream.seen.len() > SEEN_MAX {
            stream.seen.pop_front();
        }
        if stream.pending.len() >= PENDING_MAX {
            stream.pending.pop_back();
        }
        stream.pending.push_back(Pending {
            status,
            uuid,
            durable,
        });
        Added::New
    }

    /// How often the task ends in what waits.
    pub(crate) fn ends(&self, key: &StreamKey) -> usize {
        let pending = self.map.get(key).into_iter().flat_map(|s| &s.pending);
        pending.filter(|p| p.status.state.is_terminal()).count()
    }

    /// Opens a stream again for an id that is used a second time while the end of its first use is unacknowledged.
    pub(crate) fn reopen(&mut self, key: &StreamKey) {
        if let Some(stream) = self.map.get_mut(key) {
            stream.terminated = false;
        }
    }

    /// The update is durable.
    pub(crate) fn mark_durable(&mut self, key: &StreamKey, uuid: UpdateUuid) {
        if let Some(stream) = self.map.get_mut(key)
            && let Some(p) = stream.pending.iter_mut().find(|p| p.uuid == uuid)
        {
            p.durable = true;
        }
    }

    /// The head, if it may be sent and was not sent since the last registration.
    pub(crate) fn unsent(&mut self, key: &StreamKey) -> Option<(TaskStatus, Duration)> {
        let stream = self.map.get_mut(key)?;
        if stream.sent {
            return None;
        }
        Self::send(stream)
    }

    /// The head once more, and how long to wait for its acknowledgement.
    pub(crate) fn again(&mut self, key: &StreamKey) -> Option<(TaskStatus, Duration)> {
        Self::send(self.map.get_mut(key)?)
    }

    fn send(stream: &mut Stream) -> Option<(TaskStatus, Duration)> {
        let head = stream.pending.front().filter(|p| p.durable)?;
        let wait = stream.retry;
        stream.sent = true;
        stream.retry = (stream.retry * 2).min(RETRY_MAX);
        Some((head.status.clone(), wait))
    }

    /// The framework has the update.
    pub(crate) fn ack(&mut self, key: &StreamKey, uuid: UpdateUuid) -> Acked {
        let Some(stream) = self.map.get_mut(key) else {
            return Acked::Ignored;
        };
        if stream.head().is_none_or(|p| p.uuid != uuid || !p.durable) {
            return Acked::Ignored;
        }
        let last = stream.pending.pop_front();
        stream.retry = RETRY_FIRST;
        stream.sent = false;
        let ended = last.is_some_and(|p| p.status.state.is_terminal());
        if ended && stream.pending.is_empty() {
            self.map.remove(key);
            return Acked::Done;
        }
        Acked::Next
    }

    /// Every stream starts over: told at once, with the first wait (after a registration).
    pub(crate) fn rewind(&mut self, of: Option<&FrameworkId>) -> Vec<StreamKey> {
        let mut keys = Vec::new();
        for (key, stream) in &mut self.map {
            if of.is_none_or(|f| *f == key.0) {
                stream.retry = RETRY_FIRST;
                stream.sent = false;
                keys.push(key.clone());
            }
        }
        keys
    }

    /// Forgets a framework's streams; their keys.
    pub(crate) fn drop_framework(&mut self, framework: &FrameworkId) -> Vec<StreamKey> {
        let keys: Vec<StreamKey> = self.of_framework(framework).cloned().collect();
        for key in &keys {
            self.map.remove(key);
        }
        keys
    }

    pub(crate) fn get(&self, key: &StreamKey) -> Option<&Stream> {
        self.map.get(key)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&StreamKey, &Stream)> {
        self.map.iter()
    }

    pub(crate) fn has_framework(&self, framework: &FrameworkId) -> bool {
        self.of_framework(framework).next().is_some()
    }

    /// The streams of one framework, found without looking at the others'.
    fn of_framework(&self, framework: &FrameworkId) -> impl Iterator<Item = &StreamKey> {
        let first = (framework.clone(), TaskId::as_written(""));
        let of = framework.clone();
        self.map
            .range(first..)
            .map(|(key, _)| key)
            .take_while(move |key| key.0 == of)
    }
}
