//! `ACKNOWLEDGE`: passed on to the agent; a terminal task is completed with it (Mesos, `Master::acknowledge`).

use super::{Cx, MasterCore};
use crate::pages::FrameworkKey;
use crate::state::TaskList;
use meseta_types::link::ToAgent;
use meseta_types::{AgentId, FrameworkId, TaskId, UpdateUuid};

impl MasterCore {
    pub(super) fn acknowledge(
        &mut self,
        cx: &mut Cx,
        framework: FrameworkKey,
        framework_id: &FrameworkId,
        agent_id: &AgentId,
        task_id: TaskId,
        uuid: UpdateUuid,
    ) {
        let link = self
            .agent_ids
            .get(agent_id)
            .filter(|a| self.agents.get(*a).is_some_and(|a| a.connected));
        let Some(agent) = link else {
            // The agent will tell the update again when it is back.
            self.counters.add("invalid_status_update_acknowledgements");
            return self.note(
                cx,
                "acknowledge",
                "agent is not connected",
                Some(framework_id),
                Some(agent_id),
            );
        };
        let known = self.task_ids.get(&(framework, task_id.clone())).filter(|key| {
            self.tasks
                .get(*key)
                .is_some_and(|t| t.agent_id == *agent_id && t.list == TaskList::Active)
        });
        if let Some(task) = known.and_then(|key| self.tasks.get(key)) {
            let Some(forwarded) = task.status_update_state else {
                self.counters.add("invalid_status_update_acknowledgements");
                return self.note(
                    cx,
                    "acknowledge",
                    "no update was sent",
                    Some(framework_id),
                    Some(agent_id),
                );
            };
            let done = forwarded.is_terminal() && task.status_update_uuid == Some(uuid);
            if done && let Some(key) = known {
                self.complete(cx, key);
            }
        }
        self.counters.add("valid_status_update_acknowledgements");
        self.send(
            cx,
            agent,
            ToAgent::AckUpdate {
                framework_id: framework_id.clone(),
                task_id,
                uuid,
            },
        );
    }

    /// The framework has a task's last word.
    fn complete(&mut self, cx: &mut Cx, key: crate::pages::TaskKey) {
        if self.tasks.get(key).is_some_and(|t| !t.state().is_terminal()) {
            self.release_task(cx, key);
        }
        self.move_task(key, TaskList::Completed);
    }
}
