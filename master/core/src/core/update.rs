//! Status updates of agents: taken over, passed on (Mesos, `Master::statusUpdate`, `updateTask`).
//!
//! The agent repeats an update until the framework acknowledged it, so an update for a framework that is away is
//! simply not passed on, and one that was seen before changes nothing.

use super::{Cx, MasterCore};
use crate::io::{Event, OperatorEvent};
use crate::pages::{AgentKey, FrameworkKey, TaskKey};
use crate::state::TaskList;
use meseta_types::link::{StatusUpdate, ToAgent};
use meseta_types::task::{Reason, TaskStatus};
use meseta_types::{AgentId, FrameworkId, TaskState};

impl MasterCore {
    pub(super) fn status_update(&mut self, cx: &mut Cx, agent: AgentKey, mut update: StatusUpdate) {
        self.counters.add("messages_status_update");
        let Some(agent_id) = self.agent_id(agent) else {
            return;
        };
        let Some(framework) = self.framework_ids.get(&update.framework_id) else {
            return self.update_of_unknown(cx, agent, &agent_id, update.framework_id);
        };
        let aware = self
            .frameworks
            .get(framework)
            .is_some_and(|f| f.spec.capabilities.partition_aware);
        if aware {
            name_dropped(&mut update);
        }
        let task = self
            .task_ids
            .get(&(framework, update.status.task_id.clone()))
            .filter(|key| {
                self.tasks
                    .get(*key)
                    .is_some_and(|t| t.agent_id == agent_id && t.list == TaskList::Active)
            });
        match task {
            Some(key) => {
                self.counters.add("valid_status_updates");
                self.apply_update(cx, key, &update);
            }
            None => {
                self.counters.add("invalid_status_updates");
                let reason = "unknown task";
                self.note(
                    cx,
                    "status_update",
                    reason,
                    Some(&update.framework_id),
                    Some(&agent_id),
                );
            }
        }
        // Also for a task unknown here: its acknowledgement is what the agent waits for.
        self.tell(cx, framework, Event::Update(update.status));
    }

    /// Nobody will ever acknowledge an update for a removed framework. Its agent may have missed the removal: the last
    /// acknowledgement got lost with a link after its task was completed here.
    fn update_of_unknown(
        &mut self,
        cx: &mut Cx,
        agent: AgentKey,
        agent_id: &AgentId,
        framework_id: FrameworkId,
    ) {
        self.counters.add("invalid_status_updates");
        let reason = "unknown framework";
        self.note(cx, "status_update", reason, Some(&framework_id), Some(agent_id));
        if self.removed_frameworks.contains_key(&framework_id) {
            self.send(cx, agent, ToAgent::ShutdownFramework { framework_id });
        }
    }

    fn apply_update(&mut self, cx: &mut Cx, key: TaskKey, update: &StatusUpdate) {
        let Some(task) = self.tasks.get_mut(key) else {
            return;
        };
        let (framework, framework_id) = (task.framework, task.framework_id.clone());
        let was_terminal = task.state().is_terminal();
        if !was_terminal {
            task.observed = update.latest_state;
        }
        let news = is_news(task.history.newest_state(), &update.status);
        if update.status.uuid.is_some() {
            task.status_update_state = Some(update.status.state);
            task.status_update_uuid = update.status.uuid;
        }
        task.push_status(update.status.clone());
        let state = task.state();
        if state.is_terminal() && !was_terminal {
            self.task_ended(cx, framework, key, &update.status, state);
        }
        if news {
            let status = update.status.clone();
            cx.operator(OperatorEvent::TaskUpdated {
                framework_id,
                status,
                state,
            });
        }
    }

    fn task_ended(
        &mut self,
        cx: &mut Cx,
        framework: FrameworkKey,
        key: TaskKey,
        status: &TaskStatus,
        latest: TaskState,
    ) {
        self.release_task(cx, key);
        if status.state == latest {
            self.count_state(framework, status);
        } else {
            // The agent is ahead of what it delivers: counted by the state it is in.
            let ahead = TaskStatus {
                state: latest,
                reason: None,
                ..status.clone()
            };
            self.count_state(framework, &ahead);
        }
    }
}

/// An agent asked about a task of a framework it knows nothing of cannot tell what the framework understands and says
/// LOST; here it is known.
fn name_dropped(update: &mut StatusUpdate) {
    let asked = update.status.reason == Some(Reason::RECONCILIATION);
    if asked && update.status.state == TaskState::Lost {
        update.status.state = TaskState::Dropped;
        update.latest_state = TaskState::Dropped;
    }
}

/// Whether operators hear of it: another state than before, or a verdict of a check.
fn is_news(last: Option<TaskState>, status: &TaskStatus) -> bool {
    let verdict = matches!(
        status.reason,
        Some(Reason::TASK_CHECK_STATUS_UPDATED | Reason::TASK_HEALTH_CHECK_STATUS_UPDATED)
    );
    verdict || last != Some(status.state)
}
