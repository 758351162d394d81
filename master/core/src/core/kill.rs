//! `KILL`: passed on, remembered for an agent that is away, or answered like a reconciliation (Mesos, `Master::kill`).

use super::{Cx, MasterCore};
use crate::io::{Effect, RequestId, TaskRef};
use crate::pages::FrameworkKey;
use crate::refusal::Refusal;
use crate::state::{Desired, Kill, TaskList};
use bytes::Bytes;
use meseta_types::link::ToAgent;
use meseta_types::{AgentId, FrameworkId, TaskId};
use std::time::Duration;

impl MasterCore {
    /// An operator's kill: as the framework's own, but only of a task that is known and not over.
    pub(super) fn operator_kill(
        &mut self,
        cx: &mut Cx,
        request: RequestId,
        framework_id: &FrameworkId,
        task_id: TaskId,
        (kill_policy, grace): (Bytes, Option<Duration>),
    ) {
        let framework = self.framework_ids.get(framework_id);
        let task = framework.and_then(|framework| self.task_ids.get(&(framework, task_id.clone())));
        let live = task
            .and_then(|task| self.tasks.get(task))
            .is_some_and(|task| task.list == TaskList::Active && !task.observed.is_terminal());
        let answer = match framework.filter(|_| live) {
            Some(framework) => {
                self.kill(cx, framework, task_id, None, kill_policy, grace);
                Ok(())
            }
            None => Err(Refusal::NotFound(
                format!("No live task '{task_id}' of framework '{framework_id}'").into(),
            )),
        };
        cx.out.push(Effect::Answer { request, answer });
    }

    pub(super) fn kill(
        &mut self,
        cx: &mut Cx,
        framework: FrameworkKey,
        task_id: TaskId,
        agent_id: Option<AgentId>,
        kill_policy: Bytes,
        grace: Option<Duration>,
    ) {
        let key = self
            .task_ids
            .get(&(framework, task_id.clone()))
            .filter(|key| self.tasks.get(*key).is_some_and(|t| t.list == TaskList::Active));
        let Some(task) = key.and_then(|key| self.tasks.get_mut(key)) else {
            return self.reconcile(cx, framework, vec![TaskRef { task_id, agent_id }]);
        };
        let framework_id = task.framework_id.clone();
        if agent_id.as_ref().is_some_and(|named| *named != task.agent_id) {
            let reason = format!("task {task_id} is on agent {}", task.agent_id);
            return self.note(cx, "kill", reason, Some(&framework_id), agent_id.as_ref());
        }
        if !task.observed.is_terminal() {
            task.desired = Desired::Kill(Box::new(Kill {
                kill_policy: kill_policy.clone(),
                grace,
            }));
        }
        let agent = self.agent_ids.get(&task.agent_id.clone());
        if let Some(agent) = agent {
            // An agent that is away is told when it is back.
            self.send(
                cx,
                agent,
                ToAgent::KillTask {
                    framework_id,
                    task_id,
                    kill_policy,
                    grace,
                },
            );
        }
    }
}
