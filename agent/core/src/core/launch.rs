//! Launch orders: which executor runs a task, and whether it may (mesos-agent 2.1).

use super::update::Say;
use super::{AgentCore, Phase};
use crate::io::*;
use crate::journal::After;
use crate::model::{Executor, Framework, Host, Task};
use crate::timers::Timer;
use bytes::Bytes;
use meseta_types::link::FromAgent;
use meseta_types::resource::{Resource, Scalar};
use meseta_types::task::{ExecutorSpec, FrameworkSpec, Reason, TaskSpec};
use meseta_types::{ExecutorId, FrameworkId, Resources, Role, TaskId, TaskState};
use std::sync::Arc;

/// What a command task gets on top of its own resources, as with Mesos's command executor.
const COMMAND_CPUS: Scalar = Scalar(100);
/// In MB, see [`COMMAND_CPUS`].
const COMMAND_MEM: Scalar = Scalar(32_000);

impl AgentCore {
    pub(super) fn run_task(&mut self, framework: FrameworkSpec, task: TaskSpec, launch: bool) {
        let Some(id) = self.admit(framework) else {
            return;
        };
        let executor = task.executor.as_ref().map(|e| e.executor_id.clone());
        if let Some(why) = self.refusal(&id, &task, launch) {
            self.refuse(&id, executor.clone(), &task.task_id, why);
            self.executor_not_started(&id, executor, launch);
            return;
        }
        let task = Arc::new(task);
        match &task.executor {
            None => self.start_executor(&id, command_executor(&task), true, &task),
            Some(spec) if launch => self.start_executor(&id, spec.clone(), false, &task),
            Some(spec) => self.add_task(&id, &spec.executor_id, &task),
        }
    }

    /// Task groups come with a later release; the framework is told so.
    pub(super) fn run_group(
        &mut self,
        framework: FrameworkSpec,
        executor: &ExecutorSpec,
        tasks: Vec<TaskSpec>,
        launch: bool,
    ) {
        let Some(id) = self.admit(framework) else {
            return;
        };
        for task in &tasks {
            let say = Say::agent(
                TaskState::Error,
                Reason::TASK_GROUP_INVALID,
                "Task groups are not supported by this agent",
            );
            self.refuse(&id, Some(executor.executor_id.clone()), &task.task_id, say);
        }
        self.executor_not_started(&id, Some(executor.executor_id.clone()), launch);
    }

    /// The framework's record. `None`: its orders are not followed now.
    fn admit(&mut self, spec: FrameworkSpec) -> Option<FrameworkId> {
        if self.phase != Phase::Running {
            self.ignore("launch order while the agent is ending");
            return None;
        }
        let Some(id) = spec.id.clone() else {
            self.ignore("launch order for a framework without an id");
            return None;
        };
        let framework = self
            .frameworks
            .entry(id.clone())
            .or_insert_with(|| Framework::new(id.clone(), Arc::new(spec.clone())));
        if framework.terminating {
            self.ignore(format!("launch order for framework {id} which is ending"));
            return None;
        }
        if *framework.spec != spec || (spec.checkpoint && !framework.recorded) {
            framework.spec = Arc::new(spec.clone());
            if spec.checkpoint {
                framework.recorded = true;
                self.journal.record(Record::Framework(spec), None);
            }
        }
        Some(id)
    }

    /// Why this task cannot be launched, in Mesos's order and words.
    fn refusal(&self, id: &FrameworkId, task: &TaskSpec, launch: bool) -> Option<Say> {
        let framework = self.frameworks.get(id)?;
        let dropped = |reason, text: &str| Some(Say::agent(framework.dropped_state(), reason, text));
        if let Some(text) = &task.invalid {
            return Some(Say::agent(TaskState::Error, Reason::TASK_INVALID, text.clone()));
        }
        if task.has_limits && !self.config.limits_supported {
            return dropped(
                Reason::GC_ERROR,
                "Resource limits can only be set on tasks launched in Mesos containers when the agent has loaded \
                 the 'cgroups/cpu' and 'cgroups/mem' isolators",
            );
        }
        if task.executor.is_none() && framework.executors.contains_key(task.task_id.as_str()) {
            return dropped(
                Reason::TASK_INVALID,
                "Cannot reuse an already existing executor for a command task",
            );
        }
        if framework.tasks.contains_key(&task.task_id) {
            return dropped(
                Reason::TASK_INVALID,
                "A task with this ID exists on the agent already",
            );
        }
        let spec = task.executor.as_ref()?;
        let reason = Reason::EXECUTOR_TERMINATED;
        match framework.executors.get(&spec.executor_id) {
            Some(e) if e.state == ExecutorState::Terminating => dropped(reason, "Executor terminating"),
            Some(e) if e.state == ExecutorState::Terminated => dropped(reason, "Executor terminated"),
            Some(_) if launch => dropped(reason, "Master wants to launch executor, but one already exists"),
            None if !launch => dropped(
                reason,
                "No executor is expected to launch and there is none running",
            ),
            _ => None,
        }
    }

    /// Answers a launch order with an end. An id that is still in use keeps what its first use says; the second one's end
    /// follows when the first one ended.
    fn refuse(&mut self, id: &FrameworkId, executor: Option<ExecutorId>, task: &TaskId, why: Say) {
        let key = (id.clone(), task.clone());
        let framework = self.frameworks.get(id);
        let earlier = framework.and_then(|f| f.task(task)).map(|t| t.state);
        match earlier {
            Some(state) if !state.is_terminal() => {
                self.ignore(format!("task {task} was launched again while it runs"));
            }
            _ if self.streams.ends(&key) > 1 => {
                self.ignore(format!(
                    "task {task} was launched yet again before its ends were acknowledged"
                ));
            }
            _ => {
                self.streams.reopen(&key);
                self.answer(&key, executor, why);
            }
        }
        self.remove_framework_if_done(id);
    }

    /// The master counted on an executor that was not started: it may give its resources to others.
    fn executor_not_started(&mut self, id: &FrameworkId, executor: Option<ExecutorId>, launch: bool) {
        let Some(executor_id) = executor.filter(|_| launch) else {
            return;
        };
        let lives = self
            .frameworks
            .get(id)
            .is_some_and(|f| f.executors.contains_key(&executor_id));
        if !lives {
            self.send(FromAgent::ExecutorExited {
                framework_id: id.clone(),
                executor_id,
                status: 0,
            });
        }
    }

    fn start_executor(
        &mut self,
        id: &FrameworkId,
        spec: ExecutorSpec,
        generated: bool,
        task: &Arc<TaskSpec>,
    ) {
        let container = self.new_container_id();
        let executor_id = spec.executor_id.clone();
        let Some(framework) = self.frameworks.get_mut(id) else {
            return;
        };
        let checkpoint = framework.spec.checkpoint;
        let executor = Executor::new(Arc::new(spec.clone()), generated, container.clone());
        framework.executors.insert(executor_id.clone(), executor);
        self.containers
            .insert(container.clone(), (id.clone(), executor_id.clone()));
        let at = self.now.mono + self.config.executor_registration_timeout;
        self.timers.set(Timer::Registration(container.clone()), at);
        let record = if checkpoint {
            Record::Executor {
                framework_id: id.clone(),
                executor: spec,
                container_id: container.clone(),
                generated,
            }
        } else {
            Record::Sandbox {
                framework_id: id.clone(),
                executor_id: executor_id.clone(),
                container_id: container.clone(),
            }
        };
        self.journal.record(record, Some(After::Launch(container)));
        self.add_task(id, &executor_id, task);
    }

    /// Gives a task to an executor that takes tasks.
    fn add_task(&mut self, id: &FrameworkId, executor_id: &ExecutorId, spec: &Arc<TaskSpec>) {
        let Some(framework) = self.frameworks.get_mut(id) else {
            return;
        };
        let checkpoint = framework.spec.checkpoint;
        let Some(executor) = framework.executors.get_mut(executor_id) else {
            return;
        };
        let generated = executor.generated;
        let task_id = spec.task_id.clone();
        executor.tasks.insert(task_id.clone(), Task::new(spec.clone()));
        framework.tasks.insert(task_id.clone(), executor_id.clone());
        let after = After::Deliver((id.clone(), task_id));
        if checkpoint {
            let record = Record::Task {
                framework_id: id.clone(),
                executor_id: executor_id.clone(),
                task: (**spec).clone(),
            };
            self.journal.record(record, (!generated).then_some(after));
        } else if !generated {
            self.after(after);
        }
    }

    /// The executor's record is durable.
    pub(super) fn order_launch(&mut self, container: &meseta_types::ContainerId) {
        let Some(agent_id) = self.agent_id() else {
            return;
        };
        let Some(executor) = self.executor_mut(container) else {
            return;
        };
        if executor.host != Host::Waiting || executor.is_ending() {
            return;
        }
        executor.host = Host::Starting;
        let Some((framework, executor)) = self.framework_executor(container) else {
            return;
        };
        let command_task = executor.generated.then(|| executor.tasks.values().next());
        let order = LaunchOrder {
            container_id: container.clone(),
            agent_id,
            framework: framework.spec.clone(),
            executor: executor.spec.clone(),
            command_task: command_task.flatten().map(|t| t.spec.clone()),
            resources: executor.resources(),
        };
        self.out.push(Effect::Launch(Arc::new(order)));
    }

    pub(super) fn launched(
        &mut self,
        container: &meseta_types::ContainerId,
        outcome: Result<LaunchInfo, LaunchFailure>,
    ) {
        let Some(executor) = self.executor_mut(container) else {
            return self.launched_orphan(container, outcome.is_ok());
        };
        if executor.host != Host::Starting {
            return;
        }
        match outcome {
            Ok(info) => {
                executor.host = Host::Up;
                executor.pid = Some(info.pid);
                executor.container_status = info.container_status;
                if executor.generated && executor.state == ExecutorState::Registering {
                    self.command_started(container);
                }
                self.subscribe_early(container);
            }
            Err(failure) => {
                self.counters.container_launch_errors += 1;
                self.launch_failed(container, failure);
            }
        }
    }
}

/// The agent is the executor of a command task: same id, and what Mesos adds for its own.
fn command_executor(task: &TaskSpec) -> ExecutorSpec {
    ExecutorSpec {
        executor_id: ExecutorId::as_written(task.task_id.as_str()),
        resources: command_overhead(task),
        name: Arc::from(""),
        source: Arc::from(task.task_id.as_str()),
        is_default: false,
        shutdown_grace_period: None,
        wire: Bytes::new(),
    }
}

fn command_overhead(task: &TaskSpec) -> Resources {
    let role: Option<Role> = task.resources.allocations().into_iter().next();
    [("cpus", COMMAND_CPUS), ("mem", COMMAND_MEM)]
        .into_iter()
        .map(|(name, amount)| Resource {
            allocation: role.clone(),
            ..Resource::scalar(name, amount)
        })
        .collect()
}
