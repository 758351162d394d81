//! Status updates on their way: made, noted, recorded, told, told again, acknowledged (mesos-agent 2.6).

use super::AgentCore;
use crate::io::*;
use crate::journal::After;
use crate::streams::{Acked, Added, StreamKey};
use crate::timers::Timer;
use bytes::Bytes;
use meseta_types::link::{FromAgent, StatusUpdate};
use meseta_types::task::{FrameworkSpec, Reason, Source, TaskStatus};
use meseta_types::{ExecutorId, FrameworkId, TaskId, TaskState, UpdateUuid};
use std::sync::Arc;

/// What a status says, besides of which task.
#[derive(Clone, Debug)]
pub(super) struct Say {
    pub(super) state: TaskState,
    pub(super) source: Source,
    pub(super) reason: Option<Reason>,
    pub(super) message: Option<Arc<str>>,
    pub(super) healthy: Option<bool>,
    pub(super) wire: Bytes,
}

impl Say {
    /// The agent as the executor of a command task.
    pub(super) fn executor(state: TaskState) -> Say {
        Say {
            state,
            source: Source::Executor,
            reason: None,
            message: None,
            healthy: None,
            wire: Bytes::new(),
        }
    }

    /// The agent itself.
    pub(super) fn agent(state: TaskState, reason: Reason, message: impl Into<Arc<str>>) -> Say {
        Say {
            source: Source::Agent,
            reason: Some(reason),
            message: Some(message.into()),
            ..Say::executor(state)
        }
    }
}

impl AgentCore {
    /// Makes a status of a task of an executor that lives here, and tells it.
    pub(super) fn say(&mut self, framework: &FrameworkId, executor: &ExecutorId, task: &TaskId, say: Say) {
        let status = self.status(task, Some(executor.clone()), say);
        self.update(framework, executor, status);
    }

    fn status(&mut self, task: &TaskId, executor: Option<ExecutorId>, say: Say) -> TaskStatus {
        TaskStatus {
            task_id: task.clone(),
            state: say.state,
            source: say.source,
            reason: say.reason,
            message: say.message,
            agent_id: self.agent_id(),
            executor_id: executor,
            timestamp: self.now.wall,
            uuid: Some(self.update_uuid()),
            healthy: say.healthy,
            unreachable_time: None,
            wire: say.wire,
        }
    }

    /// Takes an update of a task of an executor that lives here into its stream. `None`: it had no uuid.
    pub(super) fn update(
        &mut self,
        framework_id: &FrameworkId,
        executor_id: &ExecutorId,
        status: TaskStatus,
    ) -> Option<Added> {
        let uuid = status.uuid?;
        let framework = self.frameworks.get_mut(framework_id)?;
        let key = (framework_id.clone(), status.task_id.clone());
        let checkpoint = framework.spec.checkpoint;
        let added = self
            .streams
            .add(&key, status.clone(), uuid, checkpoint, !checkpoint);
        if added != Added::New {
            return Some(added);
        }
        self.counters.valid_status_updates += 1;
        let executor = framework.executors.get_mut(executor_id);
        let custom = executor.as_ref().is_some_and(|e| !e.generated);
        if let Some(task) = executor.and_then(|e| e.tasks.get_mut(&status.task_id)) {
            task.note(&status);
            if status.state.is_terminal() {
                task.place = TaskPlace::Terminated;
            }
        }
        self.count_terminal(status.state);
        let teller = (custom && status.source == Source::Executor).then(|| executor_id.clone());
        let after = After::Update {
            key,
            uuid,
            executor: teller,
        };
        if checkpoint {
            let record = Record::Update {
                framework_id: framework_id.clone(),
                status,
            };
            self.journal.record(record, Some(after));
        } else {
            self.after(after);
        }
        Some(Added::New)
    }

    /// Answers an order about a task that does not live here, once: what its stream says already is enough.
    pub(super) fn answer_for_missing(
        &mut self,
        framework: &FrameworkId,
        executor: Option<ExecutorId>,
        task: &TaskId,
        say: Say,
    ) {
        let key = (framework.clone(), task.clone());
        if self.streams.get(&key).is_none() {
            self.answer(&key, executor, say);
        }
    }

    /// Puts a status into a stream without recording it: the master asks again after a restart.
    pub(super) fn answer(&mut self, key: &StreamKey, executor: Option<ExecutorId>, say: Say) {
        let status = self.status(&key.1, executor, say);
        self.count_terminal(status.state);
        if let Some(uuid) = status.uuid {
            self.streams.add(key, status, uuid, false, true);
            self.forward(key);
        }
    }

    pub(super) fn update_durable(
        &mut self,
        key: &StreamKey,
        uuid: UpdateUuid,
        executor: Option<&ExecutorId>,
    ) {
        self.streams.mark_durable(key, uuid);
        if let Some(executor) = executor {
            self.acknowledge_to_executor(&key.0, executor, &key.1, uuid);
        }
        self.forward(key);
    }

    /// Tells the head of a stream, if it was not told over this connection yet.
    fn forward(&mut self, key: &StreamKey) {
        if !self.link.is_registered() {
            return;
        }
        if let Some((status, wait)) = self.streams.unsent(key) {
            self.tell(key, status);
            self.timers
                .set(Timer::Retry(key.0.clone(), key.1.clone()), self.now.mono + wait);
        }
    }

    /// The framework did not acknowledge in time.
    pub(super) fn retry(&mut self, key: StreamKey) {
        if !self.link.is_registered() {
            return;
        }
        if let Some((status, wait)) = self.streams.again(&key) {
            self.counters.update_retries += 1;
            self.tell(&key, status);
            let at = self.now.mono + wait;
            self.timers.set(Timer::Retry(key.0, key.1), at);
        }
    }

    fn tell(&mut self, key: &StreamKey, status: TaskStatus) {
        let task = self.frameworks.get(&key.0).and_then(|f| f.task(&key.1));
        let latest_state = task.map_or(status.state, |t| t.state);
        self.send(FromAgent::Update(StatusUpdate {
            framework_id: key.0.clone(),
            status,
            latest_state,
        }));
    }

    /// The connection is gone: nothing is told until the next registration.
    pub(super) fn pause_updates(&mut self) {
        let keys: Vec<StreamKey> = self.streams.iter().map(|(k, _)| k.clone()).collect();
        for (framework, task) in keys {
            self.timers.cancel(&Timer::Retry(framework, task));
        }
    }

    /// Tells every head again with the first wait: all of them, or those of a framework that came back.
    pub(super) fn resume_updates(&mut self, of: Option<&FrameworkId>) {
        for key in self.streams.rewind(of) {
            self.forward(&key);
        }
    }

    pub(super) fn acknowledged(&mut self, key: &StreamKey, uuid: UpdateUuid) {
        let checkpoint = self.streams.get(key).is_some_and(|s| s.checkpoint);
        let acked = self.streams.ack(key, uuid);
        if acked == Acked::Ignored {
            self.ignore(format!(
                "acknowledgement {uuid:?} for task {} is not for the head of its updates",
                key.1
            ));
            return;
        }
        self.timers.cancel(&Timer::Retry(key.0.clone(), key.1.clone()));
        if checkpoint {
            let record = Record::Ack {
                framework_id: key.0.clone(),
                task_id: key.1.clone(),
                uuid,
            };
            self.journal.record(record, None);
        }
        if acked == Acked::Next {
            self.forward(key);
        } else {
            self.task_completed(key);
        }
    }

    fn task_completed(&mut self, key: &StreamKey) {
        let Some(framework) = self.frameworks.get_mut(&key.0) else {
            return;
        };
        if let Some(executor_id) = framework.tasks.remove(&key.1) {
            if let Some(executor) = framework.executors.get_mut(&executor_id) {
                executor.complete(&key.1);
            }
            self.remove_executor_if_done(&key.0, &executor_id);
        }
        self.remove_framework_if_done(&key.0);
    }

    pub(super) fn count_terminal(&mut self, state: TaskState) {
        let c = &mut self.counters;
        match state {
            TaskState::Finished => c.tasks_finished += 1,
            TaskState::Failed | TaskState::Error => c.tasks_failed += 1,
            TaskState::Killed => c.tasks_killed += 1,
            TaskState::Lost | TaskState::Dropped => c.tasks_lost += 1,
            TaskState::Gone | TaskState::GoneByOperator => c.tasks_gone += 1,
            TaskState::Starting
            | TaskState::Running
            | TaskState::Staging
            | TaskState::Killing
            | TaskState::Unreachable
            | TaskState::Unknown => {}
        }
    }

    /// Tasks the master believes are here and did not find in the inventory.
    pub(super) fn reconcile(&mut self, tasks: Vec<(FrameworkId, TaskId)>) {
        for (framework_id, task_id) in tasks {
            let framework = self.frameworks.get(&framework_id);
            if framework.is_some_and(|f| f.tasks.contains_key(&task_id)) {
                continue;
            }
            let ended = framework.and_then(|f| f.completed_task(&task_id));
            if let Some(last) = ended.and_then(|t| t.statuses.last()).cloned() {
                self.tell_end_again(&framework_id, last);
                continue;
            }
            let state = framework.map_or(TaskState::Lost, |f| f.dropped_state());
            let say = Say::agent(
                state,
                Reason::RECONCILIATION,
                "Reconciliation: task unknown to the agent",
            );
            self.answer_for_missing(&framework_id, None, &task_id, say);
        }
    }

    /// The end of a task was acknowledged here, but the master does not know: it hears the same end again.
    fn tell_end_again(&mut self, framework: &FrameworkId, last: TaskStatus) {
        let key = (framework.clone(), last.task_id.clone());
        if self.streams.get(&key).is_some() {
            return;
        }
        let uuid = self.update_uuid();
        let status = TaskStatus {
            uuid: Some(uuid),
            ..last
        };
        self.streams.add(&key, status, uuid, false, true);
        self.forward(&key);
    }

    /// The framework changed, or is connected again.
    pub(super) fn update_framework(&mut self, spec: FrameworkSpec) {
        let Some(id) = spec.id.clone() else {
            return self.ignore("UpdateFramework without an id");
        };
        if let Some(framework) = self.frameworks.get_mut(&id)
            && *framework.spec != spec
        {
            framework.spec = Arc::new(spec.clone());
            if framework.recorded {
                self.journal.record(Record::Framework(spec), None);
            }
        }
        self.resume_updates(Some(&id));
    }
}
