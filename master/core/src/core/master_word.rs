//! What the master itself says of tasks: statuses without a uuid, never acknowledged, never told twice.

use super::{Cx, MasterCore};
use crate::io::{Event, OperatorEvent};
use crate::pages::TaskKey;
use crate::state::{Standing, Task};
use crate::wire::{self, task_status};
use bytes::Bytes;
use meseta_types::task::{Reason, Source, TaskStatus};
use meseta_types::{AgentId, TaskId, TaskState, Wall};
use std::sync::Arc;

/// A status by the master, with nothing of an earlier one.
pub(super) fn status(
    task_id: &TaskId,
    state: TaskState,
    reason: Reason,
    message: &Arc<str>,
    now: Wall,
) -> TaskStatus {
    TaskStatus {
        task_id: task_id.clone(),
        state,
        source: Source::Master,
        reason: Some(reason),
        message: Some(message.clone()),
        agent_id: None,
        executor_id: None,
        timestamp: now,
        uuid: None,
        healthy: None,
        unreachable_time: None,
        wire: Bytes::new(),
    }
}

/// A status by the master about a task it knows: health, check and container as last told.
pub(super) fn about(
    task: &Task,
    state: TaskState,
    reason: Reason,
    message: &Arc<str>,
    now: Wall,
) -> TaskStatus {
    let last = task.last_status();
    let kept = |field| matches!(field, task_status::CONTAINER_STATUS | task_status::CHECK_STATUS);
    TaskStatus {
        agent_id: Some(task.agent_id.clone()),
        executor_id: task.executor_id.clone(),
        healthy: last.as_ref().and_then(|s| s.healthy),
        wire: last.map(|s| wire::retain(&s.wire, kept)).unwrap_or_default(),
        ..status(&task.task_id, state, reason, message, now)
    }
}

impl MasterCore {
    /// Tells a framework the state of a task as it is, changing nothing.
    pub(super) fn tell_state(&mut self, cx: &mut Cx, key: TaskKey, reason: Reason, message: &str) {
        let Some(task) = self.tasks.get(key) else { return };
        let framework = task.framework;
        let status = about(task, task.state(), reason, &Arc::from(message), cx.now.wall);
        self.tell(cx, framework, Event::Update(status));
    }

    /// The master takes a task's state over: shown, counted, told to framework and operators. Its resources must have
    /// been released before.
    pub(super) fn end_by_word(
        &mut self,
        cx: &mut Cx,
        key: TaskKey,
        standing: Standing,
        reason: Reason,
        message: &Arc<str>,
    ) {
        let Some(task) = self.tasks.get_mut(key) else {
            return;
        };
        task.standing = standing;
        let since = match standing {
            Standing::Unreachable { since, .. } => Some(since),
            Standing::Held | Standing::Ended { .. } => None,
        };
        let status = TaskStatus {
            agent_id: Some(task.agent_id.clone()),
            executor_id: task.executor_id.clone(),
            unreachable_time: since,
            ..status(&task.task_id, task.state(), reason, message, cx.now.wall)
        };
        let (framework, framework_id, state) = (task.framework, task.framework_id.clone(), task.state());
        task.push_status(status.clone());
        self.count_state(framework, &status);
        cx.operator(OperatorEvent::TaskUpdated {
            framework_id,
            status: status.clone(),
            state,
        });
        self.tell(cx, framework, Event::Update(status));
    }

    /// A task that never was: refused with a status only its framework sees.
    pub(super) fn refuse_task(
        &mut self,
        cx: &mut Cx,
        framework: crate::pages::FrameworkKey,
        task: (&TaskId, &AgentId),
        state: TaskState,
        reason: Reason,
        message: &Arc<str>,
    ) {
        let (task_id, agent_id) = task;
        let agent_id = Some(agent_id.clone());
        let status = TaskStatus {
            agent_id,
            ..status(task_id, state, reason, message, cx.now.wall)
        };
        self.count_state(framework, &status);
        self.tell(cx, framework, Event::Update(status));
    }

    /// Counts a state that was entered.
    pub(super) fn count_state(&mut self, framework: crate::pages::FrameworkKey, status: &TaskStatus) {
        use TaskState::*;
        let name = match status.state {
            Finished => "tasks_finished",
            Failed => "tasks_failed",
            Killed => "tasks_killed",
            Error => "tasks_error",
            Lost => "tasks_lost",
            Dropped => "tasks_dropped",
            Gone => "tasks_gone",
            GoneByOperator => "tasks_gone_by_operator",
            Starting | Running | Staging | Killing | Unreachable | Unknown => {
                if status.reason.is_some() {
                    self.counters
                        .task_reason(status.state, status.source, status.reason);
                }
                return;
            }
        };
        self.counters.add(name);
        if status.reason.is_some() {
            self.counters
                .task_reason(status.state, status.source, status.reason);
        }
        if let Some(framework) = self.frameworks.get_mut(framework) {
            *framework.counters.tasks_terminal.entry(status.state).or_insert(0) += 1;
        }
    }
}
