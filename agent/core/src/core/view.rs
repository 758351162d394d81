//! What others may see of the core: views, the inventory for the master, the records of a compacted log, invariants.

use super::{AgentCore, Phase};
use crate::io::*;
use crate::model::{Executor, Framework, Host, Task};
use crate::timers::Timer;
use meseta_types::link::Inventory;
use meseta_types::task::{ReportedExecutor, ReportedTask, TaskStatus};
use meseta_types::{FrameworkId, Resources, TaskId, TaskState, UpdateUuid, Wall};
use std::sync::Arc;

/// State and uuid of the update at the head of a task's stream.
type Head = Option<(TaskState, UpdateUuid)>;

impl AgentCore {
    /// A snapshot for readers.
    pub fn view(&self) -> Arc<View> {
        let frameworks: Vec<FrameworkView> = self
            .frameworks
            .values()
            .map(|f| framework_view(f, |framework, task| self.head(framework, task)))
            .collect();
        let mut used = Resources::new();
        for executor in self.frameworks.values().flat_map(|f| f.executors.values()) {
            if executor.host != Host::Gone {
                used += executor.resources();
            }
        }
        Arc::new(View {
            agent: self.agent.clone(),
            phase: self.agent_phase(),
            master: self.link.master.clone().filter(|_| self.link.is_registered()),
            registered: self.link.is_registered(),
            frameworks,
            completed_frameworks: self.completed.iter().cloned().collect(),
            used,
            counters: self.counters,
            max_sandbox_age: self.gc.max_age,
            gc_pending: self.gc.pending(),
        })
    }

    /// Counters since the start.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    fn agent_phase(&self) -> AgentPhase {
        match &self.phase {
            Phase::Starting => AgentPhase::Recovering,
            Phase::Terminating(_) => AgentPhase::Terminating,
            Phase::Running if self.link.is_registered() => AgentPhase::Running,
            Phase::Running | Phase::Waiting => AgentPhase::Disconnected,
        }
    }

    fn head(&self, framework: &FrameworkId, task: &TaskId) -> Head {
        let stream = self.streams.get(&(framework.clone(), task.clone()))?;
        stream.head().map(|p| (p.status.state, p.uuid))
    }

    /// Everything the master has to know when the agent comes back.
    pub(super) fn inventory(&self) -> Inventory {
        let mut inventory = Inventory {
            frameworks: Vec::new(),
            tasks: Vec::new(),
            executors: Vec::new(),
        };
        for framework in self.frameworks.values().filter(|f| !f.terminating) {
            inventory.frameworks.push((*framework.spec).clone());
            for executor in framework.executors.values() {
                if !executor.generated && executor.host != Host::Gone {
                    inventory.executors.push(ReportedExecutor {
                        framework_id: framework.id.clone(),
                        executor: (*executor.spec).clone(),
                    });
                }
                for task in executor.tasks.values() {
                    inventory.tasks.push(self.reported(framework, executor, task));
                }
            }
        }
        inventory
    }

    fn reported(&self, framework: &Framework, executor: &Executor, task: &Task) -> ReportedTask {
        let head = self.head(&framework.id, &task.spec.task_id);
        ReportedTask {
            framework_id: framework.id.clone(),
            task_id: task.spec.task_id.clone(),
            name: task.spec.name.clone(),
            executor_id: (!executor.generated).then(|| executor.spec.executor_id.clone()),
            resources: task.spec.resources.clone(),
            state: task.state,
            status_update_state: head.map(|h| h.0),
            status_update_uuid: head.map(|h| h.1),
            statuses: task.statuses.clone(),
            kept: task.spec.kept.clone(),
        }
    }

    /// The records a new log must hold so that the old one may be dropped (compaction), in the order of the log.
    /// Records of batches that are not durable yet are in it too; they may be appended once more.
    pub fn snapshot(&self) -> Vec<Record> {
        let mut out = vec![Record::Boot(self.boot_id.clone())];
        if self.agent.id.is_some() {
            out.push(Record::Agent((*self.agent).clone()));
        }
        for framework in self.frameworks.values() {
            if framework.recorded {
                out.push(Record::Framework((*framework.spec).clone()));
            }
            for executor in framework.executors.values() {
                self.snapshot_executor(framework, executor, &mut out);
            }
        }
        for sandbox in self.gc.sandboxes.values() {
            out.push(Record::ExecutorGone {
                framework_id: sandbox.framework_id.clone(),
                executor_id: sandbox.executor_id.clone(),
                container_id: sandbox.container_id.clone(),
                ended: sandbox.ended,
            });
        }
        out
    }

    fn snapshot_executor(&self, framework: &Framework, executor: &Executor, out: &mut Vec<Record>) {
        let framework_id = framework.id.clone();
        let executor_id = executor.spec.executor_id.clone();
        if !framework.spec.checkpoint {
            out.push(Record::Sandbox {
                framework_id,
                executor_id,
                container_id: executor.container.clone(),
            });
            return;
        }
        out.push(Record::Executor {
            framework_id: framework_id.clone(),
            executor: (*executor.spec).clone(),
            container_id: executor.container.clone(),
            generated: executor.generated,
        });
        for task in executor.tasks.values() {
            out.push(Record::Task {
                framework_id: framework_id.clone(),
                executor_id: executor_id.clone(),
                task: (*task.spec).clone(),
            });
            self.snapshot_updates(&framework_id, task, out);
            if let Some(kill) = task.kill {
                let left = kill.deadline.since(self.now.mono).as_nanos();
                let left = i64::try_from(left).unwrap_or(i64::MAX);
                out.push(Record::Kill {
                    framework_id: framework_id.clone(),
                    task_id: task.spec.task_id.clone(),
                    cause: kill.cause,
                    deadline: Wall(self.now.wall.0.saturating_add(left)),
                });
            }
        }
    }

    fn snapshot_updates(&self, framework_id: &FrameworkId, task: &Task, out: &mut Vec<Record>) {
        let task_id = &task.spec.task_id;
        let update = |status: &TaskStatus| Record::Update {
            framework_id: framework_id.clone(),
            status: status.clone(),
        };
        let stream = self.streams.get(&(framework_id.clone(), task_id.clone()));
        let pending: Vec<&TaskStatus> = stream
            .into_iter()
            .flat_map(|s| s.pending())
            .map(|p| &p.status)
            .collect();
        for status in &task.statuses {
            let Some(uuid) = status.uuid else { continue };
            if pending.iter().any(|p| p.uuid == status.uuid) {
                continue;
            }
            out.push(update(status));
            out.push(Record::Ack {
                framework_id: framework_id.clone(),
                task_id: task_id.clone(),
                uuid,
            });
        }
        out.extend(pending.into_iter().map(update));
    }

    /// A check failed: whoever asked for it has said so.
    pub fn count_broken(&mut self) {
        self.counters.broken += 1;
    }

    /// Recomputes every sum and cross-reference.
    pub fn check(&self) -> Result<(), Broken> {
        ensure(self.timers.consistent(), || {
            "the timers' indexes disagree".to_owned()
        })?;
        let mut containers = 0;
        for (id, framework) in &self.frameworks {
            ensure(*id == framework.id, || {
                format!("framework {id} has another id inside")
            })?;
            let mut tasks = 0;
            for (executor_id, executor) in &framework.executors {
                containers += usize::from(executor.host != Host::Gone);
                self.check_executor(framework, executor)?;
                for (task_id, task) in &executor.tasks {
                    tasks += 1;
                    ensure(framework.tasks.get(task_id) == Some(executor_id), || {
                        format!("task {task_id} is not where its framework says")
                    })?;
                    self.check_task(framework, task)?;
                }
            }
            ensure(tasks == framework.tasks.len(), || {
                format!(
                    "framework {id} counts {} tasks, has {tasks}",
                    framework.tasks.len()
                )
            })?;
        }
        ensure(containers == self.containers.len(), || {
            format!("{} containers indexed, {containers} there", self.containers.len())
        })?;
        self.check_streams()?;
        for (probe, (container, _)) in &self.probes {
            ensure(self.containers.contains_key(container), || {
                format!("{probe:?} is for the container {container} which is gone")
            })?;
        }
        Ok(())
    }

    fn check_executor(&self, framework: &Framework, executor: &Executor) -> Result<(), Broken> {
        let id = &executor.spec.executor_id;
        let indexed = self.containers.get(&executor.container);
        let here = indexed.is_some_and(|(f, e)| *f == framework.id && e == id);
        ensure(here == (executor.host != Host::Gone), || {
            format!("executor {id}: its container is not indexed as it is")
        })?;
        let terminated = executor.state == ExecutorState::Terminated;
        ensure(terminated == (executor.host == Host::Gone), || {
            format!("executor {id} is {:?} on {:?}", executor.state, executor.host)
        })?;
        ensure(!terminated || !executor.tasks.is_empty(), || {
            format!("executor {id} ended, has no tasks, and is still there")
        })?;
        ensure(!executor.generated || executor.tasks.len() <= 1, || {
            format!("command executor {id} has several tasks")
        })
    }

    fn check_task(&self, framework: &Framework, task: &Task) -> Result<(), Broken> {
        let id = &task.spec.task_id;
        let ended = task.place == TaskPlace::Terminated;
        ensure(ended == task.state.is_terminal(), || {
            format!("task {id} is {:?} in {:?}", task.place, task.state)
        })?;
        let stream = self.streams.get(&(framework.id.clone(), id.clone()));
        let told = stream.is_some_and(|s| s.head().is_some());
        ensure(!ended || told || framework.terminating, || {
            format!("task {id} ended and nobody will be told")
        })
    }

    fn check_streams(&self) -> Result<(), Broken> {
        let registered = self.link.is_registered();
        for ((framework, task), stream) in self.streams.iter() {
            let timer = Timer::Retry(framework.clone(), task.clone());
            let armed = self.timers.is_set(&timer);
            let tellable = stream.head().is_some_and(|p| p.durable);
            ensure(armed == (registered && tellable), || {
                format!("the updates of task {task}: retry timer {armed}, head durable {tellable}")
            })?;
            let ends = self.streams.ends(&(framework.clone(), task.clone()));
            ensure(ends <= 2, || format!("task {task} ends {ends} times"))?;
        }
        Ok(())
    }
}

fn ensure(holds: bool, why: impl FnOnce() -> String) -> Result<(), Broken> {
    if holds { Ok(()) } else { Err(Broken(why())) }
}

pub(super) fn framework_view(
    framework: &Framework,
    head: impl Fn(&FrameworkId, &TaskId) -> Head,
) -> FrameworkView {
    FrameworkView {
        spec: framework.spec.clone(),
        id: framework.id.clone(),
        executors: framework
            .executors
            .values()
            .map(|e| executor_view(e, |task| head(&framework.id, task)))
            .collect(),
        completed_executors: framework.completed.iter().cloned().collect(),
    }
}

pub(super) fn executor_view(executor: &Executor, head: impl Fn(&TaskId) -> Head) -> ExecutorView {
    ExecutorView {
        spec: executor.spec.clone(),
        generated: executor.generated,
        container_id: executor.container.clone(),
        state: executor.state,
        pid: executor.pid,
        container_status: executor.container_status.clone(),
        resources: executor.resources(),
        tasks: executor
            .tasks
            .values()
            .map(|t| t.view(head(&t.spec.task_id)))
            .collect(),
        completed_tasks: executor.completed.iter().cloned().collect(),
    }
}
