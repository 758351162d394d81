//! What was said of a task, kept small.
//!
//! A master keeps the statuses of every task it knows of, a million of them and more, and reads them when somebody asks.
//! So they lie encoded in one piece of memory per task: taking a status in and forgetting a task touch a line or two of it.
//! Ids that are the task's own are not written again.

use bytes::{Buf, BufMut, Bytes};
use meseta_types::task::{Reason, Source, TaskStatus};
use meseta_types::{AgentId, ExecutorId, TaskId, TaskState, UpdateUuid, Wall};
use std::sync::Arc;

/// States in a task's history. A task that wavers between two states for ever keeps its newest ones.
const STATUSES_MAX: u32 = 64;

/// The length before each status.
const HEAD: usize = 4;

/// The ids a status mostly shares with its task.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Of<'a> {
    pub(crate) task_id: &'a TaskId,
    pub(crate) agent_id: &'a AgentId,
    pub(crate) executor_id: Option<&'a ExecutorId>,
}

/// Statuses of one task, oldest first, one per run of equal states.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct History {
    encoded: Vec<u8>,
    /// Where the newest begins.
    newest: u32,
    count: u32,
}

impl History {
    /// Adds the newest; it replaces the one before if the state is the same. Its task is the one named, whatever it says.
    pub(crate) fn push(&mut self, of: Of<'_>, status: &TaskStatus) {
        if self.newest_state() == Some(status.state) {
            self.encoded.truncate(self.newest as usize);
        } else {
            if self.count == STATUSES_MAX {
                self.forget_oldest();
            }
            self.count += 1;
            // Each part came in a message of bounded size; 64 of them stay far below what the number holds.
            self.newest = u32::try_from(self.encoded.len()).unwrap_or(u32::MAX);
        }
        let start = self.encoded.len();
        self.encoded.put_u32_ne(0);
        write(&mut self.encoded, of, status);
        let length = u32::try_from(self.encoded.len() - start - HEAD).unwrap_or(u32::MAX);
        if let Some(mut head) = self.encoded.get_mut(start..) {
            head.put_u32_ne(length);
        }
    }

    /// The newest one's state.
    pub(crate) fn newest_state(&self) -> Option<TaskState> {
        let entry = self.encoded.get(self.newest as usize + HEAD..)?;
        TaskState::from_number(i32::from(*entry.first()?))
    }

    /// The newest.
    pub(crate) fn newest(&self, of: Of<'_>) -> Option<TaskStatus> {
        read(self.encoded.get(self.newest as usize + HEAD..)?, of)
    }

    /// All, oldest first.
    pub(crate) fn iter<'a>(&'a self, of: Of<'a>) -> impl Iterator<Item = TaskStatus> + 'a {
        let mut rest = &self.encoded[..];
        std::iter::from_fn(move || read(next(&mut rest)?, of))
    }

    fn forget_oldest(&mut self) {
        let mut rest = &self.encoded[..];
        if next(&mut rest).is_some() {
            let cut = self.encoded.len() - rest.len();
            self.encoded.drain(..cut);
            self.count -= 1;
        }
    }
}

/// Takes the first status off.
fn next<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = rest.try_get_u32_ne().ok()?;
    let (entry, behind) = rest.split_at_checked(length as usize)?;
    *rest = behind;
    Some(entry)
}

/// What a status has beside state, source and time, in the order in which it follows them.
mod has {
    pub(super) const REASON: u16 = 1;
    pub(super) const UUID: u16 = 1 << 1;
    pub(super) const UNREACHABLE: u16 = 1 << 2;
    pub(super) const MESSAGE: u16 = 1 << 3;
    pub(super) const AGENT: u16 = 1 << 4;
    pub(super) const EXECUTOR: u16 = 1 << 5;
    pub(super) const WIRE: u16 = 1 << 6;
    /// These say it all.
    pub(super) const OWN_AGENT: u16 = 1 << 7;
    pub(super) const OWN_EXECUTOR: u16 = 1 << 8;
    pub(super) const NAMESAKE: u16 = 1 << 9;
    pub(super) const HEALTHY: u16 = 1 << 10;
    pub(super) const UNHEALTHY: u16 = 1 << 11;
}

fn write(out: &mut Vec<u8>, of: Of<'_>, status: &TaskStatus) {
    let when = |flag: u16, holds: bool| if holds { flag } else { 0 };
    let agent = match &status.agent_id {
        None => 0,
        Some(id) if id == of.agent_id => has::OWN_AGENT,
        Some(_) => has::AGENT,
    };
    let executor = match &status.executor_id {
        None => 0,
        Some(id) if Some(id) == of.executor_id => has::OWN_EXECUTOR,
        // The executor a command task is given has the task's id.
        Some(id) if id.as_str() == of.task_id.as_str() => has::NAMESAKE,
        Some(_) => has::EXECUTOR,
    };
    let flags = agent
        | executor
        | when(has::REASON, status.reason.is_some())
        | when(has::UUID, status.uuid.is_some())
        | when(has::UNREACHABLE, status.unreachable_time.is_some())
        | when(has::MESSAGE, status.message.is_some())
        | when(has::WIRE, !status.wire.is_empty())
        | when(has::HEALTHY, status.healthy == Some(true))
        | when(has::UNHEALTHY, status.healthy == Some(false));
    out.put_u8(status.state as u8);
    out.put_u8(status.source as u8);
    out.put_u16_ne(flags);
    out.put_i64_ne(status.timestamp.0);
    if let Some(Reason(number)) = status.reason {
        out.put_i32_ne(number);
    }
    if let Some(UpdateUuid(bytes)) = &status.uuid {
        out.put_slice(bytes);
    }
    if let Some(at) = status.unreachable_time {
        out.put_i64_ne(at.0);
    }
    if let Some(message) = &status.message {
        put(out, message.as_bytes());
    }
    if let Some(id) = status.agent_id.as_ref().filter(|_| agent == has::AGENT) {
        put(out, id.as_str().as_bytes());
    }
    if let Some(id) = status.executor_id.as_ref().filter(|_| executor == has::EXECUTOR) {
        put(out, id.as_str().as_bytes());
    }
    if !status.wire.is_empty() {
        put(out, &status.wire);
    }
}

fn put(out: &mut Vec<u8>, part: &[u8]) {
    out.put_u32_ne(u32::try_from(part.len()).unwrap_or(u32::MAX));
    out.put_slice(part);
}

/// What [`write`] wrote.
fn read(mut entry: &[u8], of: Of<'_>) -> Option<TaskStatus> {
    let from = &mut entry;
    let state = TaskState::from_number(i32::from(from.try_get_u8().ok()?))?;
    let source = match from.try_get_u8().ok()? {
        0 => Source::Master,
        1 => Source::Agent,
        _ => Source::Executor,
    };
    let flags = from.try_get_u16_ne().ok()?;
    let has = |flag: u16| flags & flag != 0;
    let mut status = TaskStatus {
        task_id: of.task_id.clone(),
        state,
        source,
        reason: None,
        message: None,
        agent_id: has(has::OWN_AGENT).then(|| of.agent_id.clone()),
        executor_id: None,
        timestamp: Wall(from.try_get_i64_ne().ok()?),
        uuid: None,
        healthy: (has(has::HEALTHY) || has(has::UNHEALTHY)).then(|| has(has::HEALTHY)),
        unreachable_time: None,
        wire: Bytes::new(),
    };
    if has(has::REASON) {
        status.reason = Some(Reason(from.try_get_i32_ne().ok()?));
    }
    if has(has::UUID) {
        let mut bytes = [0; 16];
        from.try_copy_to_slice(&mut bytes).ok()?;
        status.uuid = Some(UpdateUuid(bytes));
    }
    if has(has::UNREACHABLE) {
        status.unreachable_time = Some(Wall(from.try_get_i64_ne().ok()?));
    }
    if has(has::MESSAGE) {
        status.message = Some(Arc::from(text(from)?));
    }
    if has(has::AGENT) {
        status.agent_id = Some(AgentId::as_written(text(from)?));
    }
    if has(has::EXECUTOR) {
        status.executor_id = Some(ExecutorId::as_written(text(from)?));
    } else if has(has::OWN_EXECUTOR) {
        status.executor_id = of.executor_id.cloned();
    } else if has(has::NAMESAKE) {
        status.executor_id = Some(ExecutorId::as_written(of.task_id.as_str()));
    }
    if has(has::WIRE) {
        status.wire = Bytes::copy_from_slice(next(from)?);
    }
    Some(status)
}

fn text<'a>(from: &mut &'a [u8]) -> Option<&'a str> {
    std::str::from_utf8(next(from)?).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn statuses() -> impl Strategy<Value = Vec<TaskStatus>> {
        let id = || {
            prop_oneof![
                Just(None),
                Just(Some("own")),
                Just(Some("task")),
                Just(Some("other"))
            ]
        };
        let status = (
            0..TaskState::ALL.len(),
            prop_oneof![Just(Source::Master), Just(Source::Agent), Just(Source::Executor)],
            any::<Option<i32>>(),
            any::<Option<String>>(),
            (id(), id()),
            any::<(i64, Option<[u8; 16]>, Option<bool>, Option<i64>)>(),
            proptest::collection::vec(any::<u8>(), 0..40),
        );
        let status = status.prop_map(
            |(state, source, reason, message, (agent, executor), (at, uuid, healthy, since), wire)| {
                TaskStatus {
                    task_id: TaskId::as_written("task"),
                    state: TaskState::ALL[state],
                    source,
                    reason: reason.map(Reason),
                    message: message.map(Arc::from),
                    agent_id: agent.map(AgentId::as_written),
                    executor_id: executor.map(ExecutorId::as_written),
                    timestamp: Wall(at),
                    uuid: uuid.map(UpdateUuid),
                    healthy,
                    unreachable_time: since.map(Wall),
                    wire: wire.into(),
                }
            },
        );
        proptest::collection::vec(status, 0..200)
    }

    proptest! {
        #[test]
        fn what_was_said_is_read_back_one_per_run_of_states_the_newest_64(said in statuses()) {
            let (task_id, agent_id) = (TaskId::as_written("task"), AgentId::as_written("own"));
            let executor_id = ExecutorId::as_written("own");
            for executor_id in [None, Some(&executor_id)] {
                let of = Of { task_id: &task_id, agent_id: &agent_id, executor_id };
                let mut history = History::default();
                let mut model: Vec<TaskStatus> = Vec::new();
                for status in &said {
                    history.push(of, status);
                    model.pop_if(|last| last.state == status.state);
                    model.push(status.clone());
                    prop_assert_eq!(history.newest_state(), Some(status.state));
                    let newest = history.newest(of);
                    prop_assert_eq!(newest.as_ref(), Some(status));
                }
                let kept = model.split_off(model.len().saturating_sub(STATUSES_MAX as usize));
                prop_assert_eq!(history.iter(of).collect::<Vec<_>>(), kept);
            }
        }
    }

    #[test]
    fn nothing_said_is_nothing_read() {
        let (task_id, agent_id) = (TaskId::as_written("task"), AgentId::as_written("agent"));
        let of = Of {
            task_id: &task_id,
            agent_id: &agent_id,
            executor_id: None,
        };
        let history = History::default();
        assert_eq!((history.newest_state(), history.newest(of)), (None, None));
        assert_eq!(history.iter(of).count(), 0);
    }
}
