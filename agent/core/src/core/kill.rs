//! Kills: of tasks, executors, frameworks, and their grace (mesos-agent 2.3, 3.2).

use super::AgentCore;
use super::update::Say;
use crate::io::*;
use crate::journal::After;
use crate::model::{Host, Kill};
use crate::timers::Timer;
use bytes::Bytes;
use meseta_types::task::Reason;
use meseta_types::{ContainerId, ExecutorId, FrameworkId, TaskId, TaskState};
use std::time::Duration;

/// Grace of a command task whose kill policy says nothing (Mesos's command executor).
pub(super) const KILL_GRACE_DEFAULT: Duration = Duration::from_secs(3);

impl AgentCore {
    pub(super) fn kill_task(
        &mut self,
        framework_id: &FrameworkId,
        task_id: &TaskId,
        kill_policy: Bytes,
        grace: Option<Duration>,
    ) {
        let Some(framework) = self.frameworks.get(framework_id) else {
            return self.ignore(format!(
                "kill of task {task_id} of unknown framework {framework_id}"
            ));
        };
        let Some(executor_id) = framework.tasks.get(task_id).cloned() else {
            return self.kill_unknown(framework_id, task_id);
        };
        let Some(executor) = framework.executors.get(&executor_id) else {
            return;
        };
        let place = executor.tasks.get(task_id).map(|t| t.place);
        match place {
            Some(TaskPlace::Queued) => self.kill_queued(framework_id, &executor_id, task_id),
            Some(TaskPlace::Launched) if executor.generated => {
                let container = executor.container.clone();
                self.kill_command(&container, KillCause::Asked, grace);
            }
            Some(TaskPlace::Launched) => {
                self.kill_by_executor(framework_id, &executor_id, task_id, kill_policy)
            }
            Some(TaskPlace::Terminated | TaskPlace::Completed) | None => {
                self.notice(Level::Info, format!("kill of task {task_id} which ended"));
            }
        }
    }

    fn kill_unknown(&mut self, framework_id: &FrameworkId, task_id: &TaskId) {
        let Some(framework) = self.frameworks.get(framework_id) else {
            return;
        };
        if framework.completed_task(task_id).is_some() {
            return self.notice(Level::Info, format!("kill of task {task_id} which ended"));
        }
        let state = framework.dropped_state();
        let say = Say::agent(state, Reason::EXECUTOR_TERMINATED, "Cannot find executor");
        self.answer_for_missing(framework_id, None, task_id, say);
    }

    /// The task never reaches its executor.
    fn kill_queued(&mut self, framework: &FrameworkId, executor_id: &ExecutorId, task: &TaskId) {
        let say = Say::agent(
            TaskState::Killed,
            Reason::TASK_KILLED_DURING_LAUNCH,
            "Killed before delivery to the executor",
        );
        self.say(framework, executor_id, task, say);
        let Some(executor) = self
            .frameworks
            .get_mut(framework)
            .and_then(|f| f.executors.get_mut(executor_id))
        else {
            return;
        };
        executor.queue.retain(|t| t != task);
        if executor.generated {
            let container = executor.container.clone();
            self.end_now(&container);
        }
    }

    /// Ends a container that has nothing to finish.
    pub(super) fn end_now(&mut self, container: &ContainerId) {
        let Some(executor) = self.executor_mut(container) else {
            return;
        };
        match executor.host {
            Host::Waiting => {
                executor.state = ExecutorState::Terminating;
                self.never_started(container);
            }
            Host::Starting | Host::Up => {
                executor.state = ExecutorState::Terminating;
                self.timers.cancel(&Timer::Registration(container.clone()));
                self.out.push(Effect::Destroy(container.clone()));
            }
            Host::Gone => {}
        }
    }

    fn kill_by_executor(
        &mut self,
        framework: &FrameworkId,
        executor_id: &ExecutorId,
        task: &TaskId,
        kill_policy: Bytes,
    ) {
        let executor = self
            .frameworks
            .get(framework)
            .and_then(|f| f.executors.get(executor_id));
        let stream = executor
            .filter(|e| e.state == ExecutorState::Running)
            .and_then(|e| e.stream);
        let Some(stream) = stream else {
            let text = format!("kill of task {task}: its executor is not connected");
            return self.notice(Level::Warn, text);
        };
        let event = ExecutorEvent::Kill {
            task_id: task.clone(),
            kill_policy,
        };
        self.out.push(Effect::ToExecutor(stream, event));
    }

    /// Kills a running command task: KILLING for those who know it, SIGTERM, the grace, SIGKILL.
    pub(super) fn kill_command(
        &mut self,
        container: &ContainerId,
        cause: KillCause,
        grace: Option<Duration>,
    ) {
        let Some((framework_id, task_id)) = self.command_task(container) else {
            return;
        };
        let now = self.now;
        let Some(framework) = self.frameworks.get_mut(&framework_id) else {
            return;
        };
        let quiet = framework.terminating;
        let killing =
            framework.spec.capabilities.task_killing_state && cause != KillCause::MaxCompletionTime && !quiet;
        let checkpoint = framework.spec.checkpoint;
        let Some(task) = framework.task_mut(&task_id) else {
            return;
        };
        if task.place != TaskPlace::Launched {
            return;
        }
        let grace = grace.or(task.spec.kill_grace).unwrap_or(KILL_GRACE_DEFAULT);
        if let Some(kill) = &mut task.kill {
            // Only sooner: a later, longer grace changes nothing.
            kill.deadline = kill.deadline.min(kill.ordered + grace);
            let at = kill.deadline;
            self.timers.set(Timer::Grace(container.clone()), at);
            return;
        }
        let deadline = now.mono + grace;
        task.kill = Some(Kill {
            cause,
            ordered: now.mono,
            deadline,
        });
        self.stop_probes(container);
        self.timers.cancel(&Timer::Completion(container.clone()));
        if killing {
            let healthy = (cause == KillCause::Unhealthy).then_some(false);
            self.say_command(container, TaskState::Killing, |say| say.healthy = healthy);
        }
        if checkpoint {
            let wait = i64::try_from(grace.as_nanos()).unwrap_or(i64::MAX);
            let record = Record::Kill {
                framework_id,
                task_id,
                cause,
                deadline: meseta_types::Wall(now.wall.0.saturating_add(wait)),
            };
            self.journal.record(record, Some(After::Kill(container.clone())));
        } else {
            self.carry_out_kill(container);
        }
    }

    /// The order is recorded: however the task ends, it will be known why.
    pub(super) fn carry_out_kill(&mut self, container: &ContainerId) {
        let Some((framework, executor)) = self.framework_executor(container) else {
            return;
        };
        let ending = framework.terminating;
        let up = executor.host == Host::Up;
        let kill = executor.tasks.values().next().and_then(|t| t.kill);
        let Some(kill) = kill.filter(|_| up) else {
            return;
        };
        self.out.push(Effect::Terminate(container.clone()));
        let at = if ending {
            kill.deadline
        } else {
            kill.deadline.max(self.now.mono)
        };
        self.timers.set(Timer::Grace(container.clone()), at);
    }

    /// The grace of a killed task or of an executor that was told to end is over.
    pub(super) fn grace_over(&mut self, container: &ContainerId) {
        let up = self
            .executor_mut(container)
            .is_some_and(|e| matches!(e.host, Host::Starting | Host::Up));
        if up {
            self.out.push(Effect::Destroy(container.clone()));
        }
    }

    pub(super) fn shutdown_executor(&mut self, framework: &FrameworkId, executor: &ExecutorId) {
        let container = self
            .frameworks
            .get(framework)
            .and_then(|f| f.executors.get(executor))
            .map(|e| e.container.clone());
        match container {
            Some(container) => self.shutdown_container(&container),
            None => self.ignore(format!("shutdown of unknown executor {executor}")),
        }
    }

    /// Ends an executor with grace: a command task is killed by its policy, a custom one gets SHUTDOWN.
    pub(super) fn shutdown_container(&mut self, container: &ContainerId) {
        let default_grace = self.config.executor_shutdown_grace_period;
        let Some(executor) = self.executor_mut(container) else {
            return;
        };
        if executor.is_ending() {
            return;
        }
        if executor.host == Host::Waiting || (executor.generated && executor.host == Host::Starting) {
            return self.kill_all_queued(container);
        }
        if executor.generated {
            executor.state = ExecutorState::Terminating;
            return self.kill_command(container, KillCause::Asked, None);
        }
        executor.state = ExecutorState::Terminating;
        let grace = executor.spec.shutdown_grace_period.unwrap_or(default_grace);
        if let Some(stream) = executor.stream {
            self.out.push(Effect::ToExecutor(stream, ExecutorEvent::Shutdown));
        }
        self.timers.cancel(&Timer::Registration(container.clone()));
        let at = self.now.mono + grace;
        self.timers.set(Timer::Grace(container.clone()), at);
    }

    /// An executor that is not there yet: its tasks are killed before delivery.
    fn kill_all_queued(&mut self, container: &ContainerId) {
        let Some((framework_id, executor_id)) = self.containers.get(container).cloned() else {
            return;
        };
        let Some((framework, executor)) = self.framework_executor(container) else {
            return;
        };
        let quiet = framework.terminating;
        let tasks: Vec<TaskId> = executor.tasks.keys().cloned().collect();
        for task in tasks {
            if !quiet {
                self.kill_queued(&framework_id, &executor_id, &task);
            }
        }
        self.end_now(container);
    }

    pub(super) fn shutdown_framework(&mut self, framework_id: &FrameworkId) {
        let Some(framework) = self.frameworks.get_mut(framework_id) else {
            self.forget_streams(framework_id);
            return self.notice(
                Level::Info,
                format!("shutdown of unknown framework {framework_id}"),
            );
        };
        framework.terminating = true;
        let containers: Vec<ContainerId> = framework
            .executors
            .values()
            .map(|e| e.container.clone())
            .collect();
        self.forget_streams(framework_id);
        for container in containers {
            self.shutdown_container(&container);
        }
        self.remove_done_executors(framework_id);
        self.remove_framework_if_done(framework_id);
    }

    fn forget_streams(&mut self, framework: &FrameworkId) {
        for (framework, task) in self.streams.drop_framework(framework) {
            self.timers.cancel(&Timer::Retry(framework, task));
        }
    }
}
