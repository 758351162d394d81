//! `ACCEPT`: offers are used (Mesos, `Master::accept`, `_accept`).
//!
//! The offers are checked as a set and taken out; the operations run strictly in order against what remains, one failing
//! does not stop the later ones; the rest goes back with the call's filter. `LAUNCH` is here, `LAUNCH_GROUP` in
//! [`super::accept_group`], what is said of bad offers in [`super::accept_offers`].

use super::validate::{Ground, inject};
use super::{Cx, MasterCore};
use crate::history::History;
use crate::io::{Accept, Operation, OperationKind, OperatorEvent};
use crate::pages::{AgentKey, FrameworkKey};
use crate::state::{Desired, Standing, Task, TaskList};
use meseta_types::link::ToAgent;
use meseta_types::task::{Reason, TaskSpec};
use meseta_types::{AgentId, FrameworkId, Resources, Role, TaskState};
use std::sync::Arc;

/// What the operations of one call work on.
pub(super) struct Hand {
    pub(super) framework: FrameworkKey,
    pub(super) framework_id: FrameworkId,
    pub(super) agent: AgentKey,
    pub(super) agent_id: AgentId,
    pub(super) role: Role,
    /// What is left of the offers.
    pub(super) remaining: Resources,
}

impl MasterCore {
    pub(super) fn accept(&mut self, cx: &mut Cx, framework: FrameworkKey, accept: Accept) {
        for operation in &accept.operations {
            self.count_operation(framework, operation);
        }
        if !accept.operations.iter().any(launches) {
            self.counters.add("messages_decline_offers");
        }
        let mut hand = match self.check_offers(framework, &accept.offer_ids) {
            Ok(keys) => match self.take_offers(framework, &keys) {
                Some(hand) => hand,
                None => return,
            },
            Err(error) => return self.refuse_offers(cx, framework, accept, &error),
        };
        for operation in accept.operations {
            match operation {
                Operation::Launch { id, tasks } => self.launch(cx, &mut hand, id.is_some(), tasks),
                Operation::LaunchGroup {
                    id,
                    executor,
                    tasks,
                    invalid,
                } => {
                    self.launch_group(cx, &mut hand, id.is_some(), executor, tasks, invalid);
                }
                Operation::Resources { kind, id } => self.refuse_operation(cx, &hand, kind, id),
            }
        }
        let Hand { agent, remaining, .. } = hand;
        if !remaining.is_empty() {
            self.sharing
                .recover(cx.now, framework, agent, &remaining, Some(accept.filters.refuse));
        }
    }

    fn count_operation(&mut self, framework: FrameworkKey, operation: &Operation) {
        let kind = match operation {
            Operation::Launch { .. } => OperationKind::Launch,
            Operation::LaunchGroup { .. } => OperationKind::LaunchGroup,
            Operation::Resources { kind, .. } => *kind,
        };
        if launches(operation) {
            self.counters.add("messages_launch_tasks");
        }
        if let Some(entry) = self.frameworks.get_mut(framework) {
            crate::counters::bump(&mut entry.counters.operations, kind.name());
        }
    }

    fn launch(&mut self, cx: &mut Cx, hand: &mut Hand, has_id: bool, tasks: Vec<TaskSpec>) {
        for mut task in tasks {
            task.resources = inject(task.resources, &hand.role);
            if let Some(executor) = &mut task.executor {
                executor.resources = inject(std::mem::take(&mut executor.resources), &hand.role);
            }
            let verdict = if has_id {
                Err("The `id` field cannot be set on LAUNCH operations".into())
            } else {
                Ground { core: self, hand }.task(&task)
            };
            match verdict {
                Ok(()) => self.launch_task(cx, hand, task),
                Err(message) => {
                    let of = (&task.task_id, &task.agent_id);
                    self.refuse_task(
                        cx,
                        hand.framework,
                        of,
                        TaskState::Error,
                        Reason::TASK_INVALID,
                        &message,
                    );
                }
            }
        }
    }

    fn launch_task(&mut self, cx: &mut Cx, hand: &mut Hand, task: TaskSpec) {
        let launch_executor = match &task.executor {
            None => true,
            Some(executor) => self.use_executor(hand, executor),
        };
        let Some(framework) = self.frameworks.get(hand.framework).map(|f| f.spec.clone()) else {
            return;
        };
        self.enter_task(cx, hand, &task);
        let message = ToAgent::RunTask {
            framework: (*framework).clone(),
            task,
            launch_executor,
        };
        self.send(cx, hand.agent, message);
    }

    /// Charges an executor that does not run on the agent yet. Says whether that is so.
    pub(super) fn use_executor(
        &mut self,
        hand: &mut Hand,
        executor: &meseta_types::task::ExecutorSpec,
    ) -> bool {
        let id = (hand.framework, executor.executor_id.clone());
        if self
            .agents
            .get(hand.agent)
            .is_some_and(|a| a.executors.contains_key(&id))
        {
            return false;
        }
        hand.remaining -= &executor.resources;
        self.insert_executor(hand.agent, hand.framework, Arc::new(executor.clone()));
        true
    }

    /// A launched task enters the books as STAGING, its resources charged.
    pub(super) fn enter_task(&mut self, cx: &mut Cx, hand: &mut Hand, spec: &TaskSpec) {
        self.sharing.launched(hand.framework);
        hand.remaining -= &spec.resources;
        let task = Task {
            task_id: spec.task_id.clone(),
            name: spec.name.clone(),
            framework_id: hand.framework_id.clone(),
            framework: hand.framework,
            agent_id: hand.agent_id.clone(),
            executor_id: spec.executor.as_ref().map(|e| e.executor_id.clone()),
            observed: TaskState::Staging,
            standing: Standing::Held,
            desired: Desired::Run,
            list: TaskList::Active,
            resources: spec.resources.clone(),
            history: History::default(),
            status_update_state: None,
            status_update_uuid: None,
            kept: spec.kept.clone(),
        };
        let key = self.insert_task(task, hand.agent);
        if let Some(task) = self.tasks.share(key) {
            cx.operator(OperatorEvent::TaskAdded(task));
        }
    }
}

fn launches(operation: &Operation) -> bool {
    match operation {
        Operation::Launch { tasks, .. } | Operation::LaunchGroup { tasks, .. } => !tasks.is_empty(),
        Operation::Resources { .. } => false,
    }
}
