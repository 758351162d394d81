//! What the records of the log add up to.
//!
//! Folding is idempotent: a record told twice (a batch that was on its way while the log was compacted) changes nothing.

use crate::io::{KillCause, Record};
use meseta_types::link::AgentSpec;
use meseta_types::task::{ExecutorSpec, FrameworkSpec, TaskSpec, TaskStatus};
use meseta_types::{ContainerId, ExecutorId, FrameworkId, TaskId, UpdateUuid, Wall};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// An executor as recorded.
#[derive(Debug)]
pub(super) struct PastExecutor {
    pub(super) spec: ExecutorSpec,
    pub(super) container: ContainerId,
    pub(super) generated: bool,
    /// Its end is recorded.
    pub(super) ended: bool,
    pub(super) tasks: BTreeMap<TaskId, PastTask>,
}

/// A task as recorded.
#[derive(Debug)]
pub(super) struct PastTask {
    pub(super) spec: TaskSpec,
    /// All its statuses, acknowledged or not, in order.
    pub(super) statuses: Vec<TaskStatus>,
    pub(super) kill: Option<(KillCause, Wall)>,
}

/// The executors of one framework.
pub(super) type Executors = BTreeMap<ExecutorId, PastExecutor>;

/// A sandbox: whose, which executor's, which run, when it ended (if it was seen to end).
pub(super) type PastSandbox = (FrameworkId, ExecutorId, ContainerId, Option<Wall>);

/// The sum of the records.
#[derive(Debug, Default)]
pub(super) struct Past {
    pub(super) boot_id: Option<Arc<str>>,
    pub(super) agent: Option<AgentSpec>,
    pub(super) frameworks: BTreeMap<FrameworkId, (FrameworkSpec, Executors)>,
    /// Updates that wait for their acknowledgement, in order.
    pub(super) pending: BTreeMap<(FrameworkId, TaskId), Vec<TaskStatus>>,
    /// Sandboxes that may be deleted.
    pub(super) sandboxes: Vec<PastSandbox>,
    /// Records that fit nothing.
    pub(super) errors: u64,
    acked: BTreeSet<UpdateUuid>,
}

impl Past {
    pub(super) fn fold(records: Vec<Record>) -> Past {
        let mut past = Past::default();
        let mut sandboxes: BTreeMap<ContainerId, PastSandbox> = BTreeMap::new();
        for record in records {
            match record {
                Record::Boot(id) => past.boot_id = Some(id),
                Record::Agent(spec) => past.agent = Some(spec),
                Record::Framework(spec) => past.framework(spec),
                Record::FrameworkGone(id) => past.framework_gone(&id),
                Record::Executor {
                    framework_id,
                    executor,
                    container_id,
                    generated,
                } => past.executor(&framework_id, executor, container_id, generated),
                Record::Sandbox {
                    framework_id,
                    executor_id,
                    container_id,
                } => {
                    sandboxes.entry(container_id.clone()).or_insert((
                        framework_id,
                        executor_id,
                        container_id,
                        None,
                    ));
                }
                Record::ExecutorGone {
                    framework_id,
                    executor_id,
                    container_id,
                    ended,
                } => {
                    past.executor_gone(&framework_id, &executor_id, &container_id);
                    let sandbox = (framework_id, executor_id, container_id.clone(), Some(ended));
                    sandboxes.insert(container_id, sandbox);
                }
                Record::SandboxGone(id) => {
                    sandboxes.remove(&id);
                }
                Record::Task {
                    framework_id,
                    executor_id,
                    task,
                } => past.task(&framework_id, &executor_id, task),
                Record::Kill {
                    framework_id,
                    task_id,
                    cause,
                    deadline,
                } => past.kill(&framework_id, &task_id, cause, deadline),
                Record::Update { framework_id, status } => past.update(framework_id, status),
                Record::Ack {
                    framework_id,
                    task_id,
                    uuid,
                } => past.ack(framework_id, task_id, uuid),
            }
        }
        past.sandboxes = sandboxes.into_values().collect();
        past
    }

    fn framework(&mut self, spec: FrameworkSpec) {
        let Some(id) = spec.id.clone() else {
            self.errors += 1;
            return;
        };
        match self.frameworks.get_mut(&id) {
            Some((old, _)) => *old = spec,
            None => {
                self.frameworks.insert(id, (spec, BTreeMap::new()));
            }
        }
    }

    fn framework_gone(&mut self, id: &FrameworkId) {
        self.frameworks.remove(id);
        self.pending.retain(|(f, _), _| f != id);
    }

    fn executor(
        &mut self,
        framework: &FrameworkId,
        spec: ExecutorSpec,
        container: ContainerId,
        generated: bool,
    ) {
        let Some((_, executors)) = self.frameworks.get_mut(framework) else {
            self.errors += 1;
            return;
        };
        let id = spec.executor_id.clone();
        if executors.get(&id).is_some_and(|e| e.container == container) {
            return;
        }
        let executor = PastExecutor {
            spec,
            container,
            generated,
            ended: false,
            tasks: BTreeMap::new(),
        };
        executors.insert(id, executor);
    }

    fn executor_gone(&mut self, framework: &FrameworkId, id: &ExecutorId, container: &ContainerId) {
        let Some((_, executors)) = self.frameworks.get_mut(framework) else {
            return;
        };
        if let Some(executor) = executors.get_mut(id).filter(|e| e.container == *container) {
            executor.ended = true;
        }
    }

    fn task(&mut self, framework: &FrameworkId, executor: &ExecutorId, spec: TaskSpec) {
        let executors = self.frameworks.get_mut(framework).map(|f| &mut f.1);
        let Some(executor) = executors.and_then(|e| e.get_mut(executor)) else {
            self.errors += 1;
            return;
        };
        executor.tasks.entry(spec.task_id.clone()).or_insert(PastTask {
            spec,
            statuses: Vec::new(),
            kill: None,
        });
    }

    fn task_mut(&mut self, framework: &FrameworkId, task: &TaskId) -> Option<&mut PastTask> {
        let (_, executors) = self.frameworks.get_mut(framework)?;
        // A command task's executor has the task's id; only custom executors have to be searched.
        let id = if executors.contains_key(task.as_str()) {
            ExecutorId::as_written(task.as_str())
        } else {
            let home = executors.iter().find(|(_, e)| e.tasks.contains_key(task));
            home.map(|(id, _)| id.clone())?
        };
        executors.get_mut(&id)?.tasks.get_mut(task)
    }

    fn kill(&mut self, framework: &FrameworkId, task: &TaskId, cause: KillCause, deadline: Wall) {
        if let Some(task) = self.task_mut(framework, task) {
            task.kill.get_or_insert((cause, deadline));
        }
    }

    fn update(&mut self, framework: FrameworkId, status: TaskStatus) {
        let Some(uuid) = status.uuid else {
            self.errors += 1;
            return;
        };
        let key = (framework, status.task_id.clone());
        let pending = self.pending.entry(key.clone()).or_default();
        if self.acked.contains(&uuid) || pending.iter().any(|s| s.uuid == Some(uuid)) {
            return;
        }
        pending.push(status.clone());
        if let Some(task) = self.task_mut(&key.0, &key.1) {
            task.statuses.push(status);
        }
    }

    fn ack(&mut self, framework: FrameworkId, task: TaskId, uuid: UpdateUuid) {
        let key = (framework, task);
        let Some(pending) = self.pending.get_mut(&key) else {
            return;
        };
        let Some(at) = pending.iter().position(|s| s.uuid == Some(uuid)) else {
            return;
        };
        let status = pending.remove(at);
        self.acked.insert(uuid);
        if status.state.is_terminal() {
            self.pending.remove(&key);
            if let Some((_, executors)) = self.frameworks.get_mut(&key.0) {
                for executor in executors.values_mut() {
                    executor.tasks.remove(&key.1);
                }
            }
        }
    }
}
