//! Containers that ended, or never started: what their tasks' last word is (mesos-agent 2.5).

use super::AgentCore;
use super::command::concat;
use super::update::Say;
use crate::io::*;
use crate::journal::After;
use crate::model::{Executor, Framework, Host, Task};
use crate::text;
use crate::timers::Timer;
use meseta_types::link::FromAgent;
use meseta_types::task::Reason;
use meseta_types::{ContainerId, ExecutorId, FrameworkId, TaskId, TaskState};
use std::sync::Arc;

/// Frameworks kept after their last executor ended (Mesos: MAX_COMPLETED_FRAMEWORKS).
const COMPLETED_FRAMEWORKS_MAX: usize = 50;

/// What became of a container.
#[derive(Clone, Debug)]
pub(super) enum End {
    /// The containerizer was never told of it.
    NeverStarted,
    /// It could not be started.
    Failed(LaunchFailure),
    /// Its first process ended.
    Exited(Termination),
}

impl AgentCore {
    pub(super) fn exited(&mut self, container: &ContainerId, termination: Termination) {
        if self.orphans.remove(container) || !self.containers.contains_key(container) {
            self.out.push(Effect::Forget(container.clone()));
            return;
        }
        self.end_container(container, &End::Exited(termination));
    }

    pub(super) fn launch_failed(&mut self, container: &ContainerId, failure: LaunchFailure) {
        self.end_container(container, &End::Failed(failure));
    }

    pub(super) fn never_started(&mut self, container: &ContainerId) {
        self.end_container(container, &End::NeverStarted);
    }

    /// A container nobody wants was launched after all.
    pub(super) fn launched_orphan(&mut self, container: &ContainerId, up: bool) {
        if up && self.orphans.insert(container.clone()) {
            self.out.push(Effect::Destroy(container.clone()));
        }
    }

    /// The new supervisor has these; every other container that was launched is gone, and nobody saw how. A launch without
    /// an answer is the new supervisor's, and has its answer from there.
    pub(super) fn supervisor_restarted(&mut self, survivors: Vec<FoundContainer>) {
        let alive = |id: &ContainerId| survivors.iter().find(|s| s.container_id == *id);
        let ended: Vec<(ContainerId, Termination)> = self
            .containers
            .keys()
            .chain(&self.orphans)
            .filter_map(|id| match alive(id) {
                Some(survivor) => Some((id.clone(), survivor.exit.clone()?)),
                None => Some((id.clone(), lost_with_supervisor())),
            })
            .collect();
        for (id, termination) in ended {
            match self.executor_mut(&id).map(|e| e.host) {
                Some(Host::Waiting | Host::Starting) => {}
                Some(Host::Up | Host::Gone) | None => self.exited(&id, termination),
            }
        }
    }

    pub(super) fn end_container(&mut self, container: &ContainerId, end: &End) {
        self.stop_probes(container);
        for timer in [Timer::Registration, Timer::Grace, Timer::Completion] {
            self.timers.cancel(&timer(container.clone()));
        }
        let Some((framework_id, executor_id)) = self.containers.remove(container) else {
            return;
        };
        self.counters.executors_terminated += 1;
        let last_words = self.last_words(&framework_id, &executor_id, end);
        for (task, say) in last_words {
            self.say(&framework_id, &executor_id, &task, say);
        }
        let Some(framework) = self.frameworks.get_mut(&framework_id) else {
            return;
        };
        let quiet = framework.terminating;
        let Some(executor) = framework.executors.get_mut(&executor_id) else {
            return;
        };
        executor.host = Host::Gone;
        executor.state = ExecutorState::Terminated;
        executor.queue.clear();
        executor.resize = None;
        let custom = !executor.generated;
        let early = executor.early.take().map(|early| early.stream);
        for stream in executor.stream.take().into_iter().chain(early) {
            self.out.push(Effect::CloseExecutor(stream));
        }
        self.record_end(&framework_id, &executor_id, container, end);
        if custom && self.link.is_registered() {
            self.send(FromAgent::ExecutorExited {
                framework_id: framework_id.clone(),
                executor_id: executor_id.clone(),
                status: exit_status(end),
            });
        }
        if quiet {
            self.remove_done_executors(&framework_id);
        }
        self.remove_executor_if_done(&framework_id, &executor_id);
        self.remove_framework_if_done(&framework_id);
        self.wait_for_executors();
    }

    /// The end is recorded after the tasks' last updates: only then may the supervisor forget it.
    fn record_end(
        &mut self,
        framework: &FrameworkId,
        executor: &ExecutorId,
        container: &ContainerId,
        end: &End,
    ) {
        let ended = self.now.wall;
        let record = Record::ExecutorGone {
            framework_id: framework.clone(),
            executor_id: executor.clone(),
            container_id: container.clone(),
            ended,
        };
        let forget = matches!(end, End::Exited(_)).then(|| After::Forget(container.clone()));
        self.journal.record(record, forget);
        self.schedule_sandbox(framework, executor, container, ended);
    }

    /// What is said of each task that has not ended.
    fn last_words(
        &mut self,
        framework: &FrameworkId,
        executor: &ExecutorId,
        end: &End,
    ) -> Vec<(TaskId, Say)> {
        let Some(framework) = self.frameworks.get(framework) else {
            return Vec::new();
        };
        let Some(executor) = framework.executors.get(executor) else {
            return Vec::new();
        };
        if framework.terminating {
            return Vec::new();
        }
        let live = executor.tasks.values().filter(|t| !t.state.is_terminal());
        live.map(|task| {
            let mut say = last_word(framework, executor, task, end);
            if matches!(end, End::Exited(_)) {
                let check = task.check.as_ref().map(|c| c.last.clone());
                let own = concat(&executor.container_status, &check.unwrap_or_default());
                say.wire = concat(&own, &say.wire);
            }
            (task.spec.task_id.clone(), say)
        })
        .collect()
    }

    /// Tasks of a framework that is ending get no more updates: ended executors go with all they have.
    pub(super) fn remove_done_executors(&mut self, framework_id: &FrameworkId) {
        let Some(framework) = self.frameworks.get_mut(framework_id) else {
            return;
        };
        let mut done = Vec::new();
        for (id, executor) in &mut framework.executors {
            if executor.state != ExecutorState::Terminated {
                continue;
            }
            let tasks: Vec<TaskId> = executor.tasks.keys().cloned().collect();
            for task in &tasks {
                executor.complete(task);
                framework.tasks.remove(task);
            }
            done.push(id.clone());
        }
        for id in done {
            self.remove_executor_if_done(framework_id, &id);
        }
    }

    /// An executor goes when its container is gone and the last update of each task is acknowledged.
    pub(super) fn remove_executor_if_done(&mut self, framework: &FrameworkId, id: &ExecutorId) {
        let kept = self.config.completed_executors_max;
        let Some(framework) = self.frameworks.get_mut(framework) else {
            return;
        };
        let done = framework
            .executors
            .get(id)
            .is_some_and(|e| e.state == ExecutorState::Terminated && e.tasks.is_empty());
        if !done {
            return;
        }
        if let Some(executor) = framework.executors.remove(id) {
            let view = super::view::executor_view(&executor, |_| None);
            framework.completed.push_back(Arc::new(view));
        }
        while framework.completed.len() > kept {
            framework.completed.pop_front();
        }
    }

    /// A framework goes when nothing of it is left here.
    pub(super) fn remove_framework_if_done(&mut self, id: &FrameworkId) {
        let busy =
            self.frameworks.get(id).is_none_or(|f| !f.executors.is_empty()) || self.streams.has_framework(id);
        if busy {
            return;
        }
        let Some(framework) = self.frameworks.remove(id) else {
            return;
        };
        if framework.recorded {
            self.journal.record(Record::FrameworkGone(id.clone()), None);
        }
        let view = super::view::framework_view(&framework, |_, _| None);
        self.completed.push_back(Arc::new(view));
        if self.completed.len() > COMPLETED_FRAMEWORKS_MAX {
            self.completed.pop_front();
        }
    }
}

fn last_word(framework: &Framework, executor: &Executor, task: &Task, end: &End) -> Say {
    let pending = executor
        .pending_end
        .as_ref()
        .map(|p| Say::agent(p.state, p.reason, p.message.clone()));
    match end {
        End::NeverStarted => pending.unwrap_or_else(|| {
            Say::agent(
                framework.dropped_state(),
                Reason::EXECUTOR_TERMINATED,
                "Executor terminated",
            )
        }),
        End::Failed(LaunchFailure::Sandbox(text)) => Say::agent(
            framework.dropped_state(),
            Reason::EXECUTOR_TERMINATED,
            text.clone(),
        ),
        End::Failed(LaunchFailure::Launch(text)) => pending.unwrap_or_else(|| {
            Say::agent(
                TaskState::Failed,
                Reason::CONTAINER_LAUNCH_FAILED,
                format!("Failed to launch container: {text}"),
            )
        }),
        End::Exited(termination) => {
            if let Some(limit) = &termination.limitation {
                let mut say = Say::agent(TaskState::Failed, limit.reason, limit.message.clone());
                say.wire = limit.wire.clone();
                return say;
            }
            let command = executor.generated && task.place == TaskPlace::Launched;
            match pending {
                Some(pending) => pending,
                None if command => command_word(task, termination),
                None => executor_terminated(termination),
            }
        }
    }
}

/// The last word of a command task, as Mesos's command executor would say it.
fn command_word(task: &Task, termination: &Termination) -> Say {
    let Some(kill) = task.kill else {
        let Some(status) = termination.status else {
            return executor_terminated(termination);
        };
        let state = if text::is_success(status) {
            TaskState::Finished
        } else {
            TaskState::Failed
        };
        return Say {
            message: Some(Arc::from(text::command_end(status))),
            ..Say::executor(state)
        };
    };
    let message = termination
        .status
        .map(|s| Arc::from(text::command_end(s)))
        .or_else(|| termination.message.clone());
    let killed = Say {
        message,
        ..Say::executor(TaskState::Killed)
    };
    match kill.cause {
        KillCause::Asked => killed,
        KillCause::Unhealthy => Say {
            healthy: Some(false),
            ..killed
        },
        KillCause::MaxCompletionTime => Say {
            state: TaskState::Failed,
            reason: Some(Reason::MAX_COMPLETION_TIME_REACHED),
            ..killed
        },
    }
}

fn executor_terminated(termination: &Termination) -> Say {
    let message = termination
        .message
        .clone()
        .unwrap_or_else(|| Arc::from("Executor terminated"));
    Say::agent(TaskState::Failed, Reason::EXECUTOR_TERMINATED, message)
}

fn lost_with_supervisor() -> Termination {
    Termination {
        status: None,
        message: Some(Arc::from(
            "Executor terminated: the agent's supervisor ended, exit status unknown",
        )),
        limitation: None,
    }
}

/// The wait status told to the framework; -1 when nobody saw it, as Mesos does.
fn exit_status(end: &End) -> i32 {
    match end {
        End::Exited(Termination {
            status: Some(status), ..
        }) => *status,
        End::Exited(_) | End::Failed(_) | End::NeverStarted => -1,
    }
}
