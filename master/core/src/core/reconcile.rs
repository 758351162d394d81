//! `RECONCILE`: what the master can say of tasks, known or not (Mesos, `Master::reconcileTasks`).
//!
//! | first case that holds | partition aware | otherwise |
//! |---|---|---|
//! | the task is known | its last state passed on, else its state | same |
//! | its agent, or any if none is named, is not back after a fail-over | silence | silence |
//! | its agent is registered | GONE | LOST |
//! | its agent is unreachable | UNREACHABLE | LOST |
//! | its agent is gone | GONE_BY_OPERATOR | LOST |
//! | else | UNKNOWN | LOST |

use super::master_word::{about, status};
use super::{Cx, MasterCore};
use crate::io::{Event, TaskRef};
use crate::pages::{FrameworkKey, TaskKey};
use crate::state::TaskList;
use meseta_types::TaskState;
use meseta_types::task::{Reason, TaskStatus};
use std::sync::Arc;

impl MasterCore {
    pub(super) fn reconcile(&mut self, cx: &mut Cx, framework: FrameworkKey, tasks: Vec<TaskRef>) {
        if tasks.is_empty() {
            let known: Vec<TaskKey> = self
                .framework_books
                .get(framework)
                .map(|b| b.tasks.iter().copied().collect())
                .unwrap_or_default();
            for key in known {
                self.tell_latest(cx, key);
            }
            return;
        }
        for task in tasks {
            let known = self
                .task_ids
                .get(&(framework, task.task_id.clone()))
                .filter(|key| self.tasks.get(*key).is_some_and(|t| t.list == TaskList::Active));
            match known {
                Some(key) => self.tell_latest(cx, key),
                None => self.tell_of_unknown(cx, framework, task),
            }
        }
    }

    fn tell_latest(&mut self, cx: &mut Cx, key: TaskKey) {
        let Some(task) = self.tasks.get(key) else { return };
        let framework = task.framework;
        let state = task.status_update_state.unwrap_or_else(|| task.state());
        let message = Arc::from("Reconciliation: Latest task state");
        let status = about(task, state, Reason::RECONCILIATION, &message, cx.now.wall);
        self.tell(cx, framework, Event::Update(status));
    }

    fn tell_of_unknown(&mut self, cx: &mut Cx, framework: FrameworkKey, task: TaskRef) {
        let TaskRef { task_id, agent_id } = task;
        let waits = match &agent_id {
            Some(id) => self.recovered.contains_key(id),
            None => !self.recovered.is_empty(),
        };
        if waits {
            return;
        }
        let (state, message, since) = match &agent_id {
            Some(id) if self.agent_ids.get(id).is_some() => (
                TaskState::Gone,
                "Reconciliation: Task is unknown to the agent",
                None,
            ),
            Some(id) if self.unreachable.contains_key(id) => (
                TaskState::Unreachable,
                "Reconciliation: Task is unreachable",
                self.unreachable.get(id).copied(),
            ),
            Some(id) if self.gone.contains_key(id) => {
                (TaskState::GoneByOperator, "Reconciliation: Task is gone", None)
            }
            _ => (TaskState::Unknown, "Reconciliation: Task is unknown", None),
        };
        let aware = self
            .frameworks
            .get(framework)
            .is_some_and(|f| f.spec.capabilities.partition_aware);
        let state = if aware { state } else { TaskState::Lost };
        let status = TaskStatus {
            agent_id,
            unreachable_time: since,
            ..status(
                &task_id,
                state,
                Reason::RECONCILIATION,
                &Arc::from(message),
                cx.now.wall,
            )
        };
        self.tell(cx, framework, Event::Update(status));
    }
}
