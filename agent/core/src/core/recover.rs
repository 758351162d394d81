//! The recovery planner: records of the last life and containers found now → keep, reap, report (mesos-agent 1.5).
//!
//! Called once, with [`Input::Recover`]. What was recorded is taken in as it was; then every executor of the records is
//! compared with the containers the supervisor has:
//!
//! | recorded | found | then |
//! |---|---|---|
//! | running | running | kept: a command task at once, a custom executor when it subscribes again (in time) |
//! | running | ended | its exit is handled as if it happened now |
//! | running | nothing | its tasks ended: gone if nothing was ever said of them, failed otherwise |
//! | ended or unknown | running | an orphan: destroyed |
//! | ended or unknown | ended | forgotten |
//!
//! A changed boot id means that nothing runs, whatever a process table says.

mod fold;

use super::command::ran_for;
use super::end::End;
use super::{AgentCore, Phase};
use crate::config::ReconfigurationPolicy;
use crate::io::*;
use crate::model::{Executor, Framework, Host, Kill, PendingEnd, Task};
use crate::streams::StreamKey;
use crate::timers::Timer;
use fold::{Executors, Past, PastExecutor, PastTask};
use meseta_types::link::AgentSpec;
use meseta_types::task::{Reason, Source, TaskStatus};
use meseta_types::{ContainerId, FrameworkId, Mono, TaskState, Wall};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

impl AgentCore {
    pub(super) fn recover(&mut self, found: Found) {
        if self.phase != Phase::Starting {
            return self.ignore("recovered twice");
        }
        let mut past = Past::fold(found.records);
        self.counters.recovery_errors += past.errors;
        let rebooted = past.boot_id.as_ref().is_some_and(|b| *b != found.boot_id);
        if let Some(why) = past.agent.as_ref().and_then(|a| self.misfit(a)) {
            if !rebooted {
                return self.out.push(Effect::Exit(ExitReason::Incompatible(why)));
            }
            self.notice(Level::Warn, format!("joining as a new agent: {why}"));
            past = Past::default();
        }
        self.take_identity(past.agent.take());
        if past.boot_id.as_ref() != Some(&found.boot_id) {
            let record = Record::Boot(found.boot_id.clone());
            self.journal.record(record, None);
        }
        self.boot_id = found.boot_id;
        self.phase = Phase::Waiting;
        for (framework, executor, container, ended) in std::mem::take(&mut past.sandboxes) {
            let ended = ended.unwrap_or(self.now.wall);
            self.schedule_sandbox(&framework, &executor, &container, ended);
        }
        let mut containers: BTreeMap<ContainerId, FoundContainer> = found
            .containers
            .into_iter()
            .map(|c| (c.container_id.clone(), c))
            .collect();
        for (id, (spec, executors)) in std::mem::take(&mut past.frameworks) {
            self.recover_framework(id, spec, executors, &mut past, &mut containers, rebooted);
        }
        self.reap(containers, rebooted);
        self.schedule_old_agents(found.old_agents);
        let at = self.now.mono + self.config.executor_reregistration_timeout;
        self.timers.set(Timer::Reregistration, at);
        self.wait_for_executors();
    }

    /// Whether the agent as configured may go on as the one that is recorded, and if not, why.
    fn misfit(&self, past: &AgentSpec) -> Option<Arc<str>> {
        let now = &self.agent;
        let fits = match self.config.reconfiguration_policy {
            ReconfigurationPolicy::Equal => now.resources == past.resources,
            ReconfigurationPolicy::Additive => now.resources.contains(&past.resources),
        };
        if fits && now.hostname == past.hostname && now.port == past.port {
            return None;
        }
        Some(Arc::from(format!(
            "the agent's configuration does not fit the one it had (was {}:{} with {}; is {}:{} with {}): undo the \
             change, or remove meta/slaves/latest below the work directory, which gives up its running tasks",
            past.hostname, past.port, past.resources, now.hostname, now.port, now.resources
        )))
    }

    fn take_identity(&mut self, past: Option<AgentSpec>) {
        let Some(past) = past else {
            return;
        };
        let spec = AgentSpec {
            id: past.id.clone(),
            ..(*self.agent).clone()
        };
        if spec != past {
            self.journal.record(Record::Agent(spec.clone()), None);
        }
        self.agent = Arc::new(spec);
    }

    fn recover_framework(
        &mut self,
        id: FrameworkId,
        spec: meseta_types::task::FrameworkSpec,
        executors: Executors,
        past: &mut Past,
        containers: &mut BTreeMap<ContainerId, FoundContainer>,
        rebooted: bool,
    ) {
        let mut framework = Framework::new(id.clone(), Arc::new(spec));
        framework.recorded = true;
        self.frameworks.insert(id.clone(), framework);
        // All of them are put back before any is judged: an end may remove the framework with its last executor.
        let recorded: Vec<(ContainerId, bool)> = executors
            .values()
            .map(|e| (e.container.clone(), e.ended))
            .collect();
        for executor in executors.into_values() {
            self.recover_executor(&id, executor, past);
        }
        // Updates an executor sent for tasks nobody gave it are owed to the framework all the same.
        let owed: Vec<_> = past.pending.keys().filter(|k| k.0 == id).cloned().collect();
        for key in owed {
            let updates = past.pending.remove(&key).unwrap_or_default();
            self.recover_stream(&key, updates);
        }
        for (container, ended) in recorded {
            if ended {
                self.recovered_as_ended(&id, &container);
            } else {
                let found = containers.remove(&container);
                self.compare(&container, found, rebooted);
            }
        }
        self.remove_framework_if_done(&id);
    }

    fn recover_stream(&mut self, key: &StreamKey, updates: Vec<TaskStatus>) {
        for status in updates {
            if let Some(uuid) = status.uuid {
                self.streams.add(key, status, uuid, true, true);
            }
        }
    }

    /// Puts an executor and its tasks back as they were recorded.
    fn recover_executor(&mut self, id: &FrameworkId, past: PastExecutor, all: &mut Past) {
        let executor_id = past.spec.executor_id.clone();
        let mut executor = Executor::new(Arc::new(past.spec), past.generated, past.container);
        executor.host = Host::Starting;
        for (task_id, past_task) in past.tasks {
            let key = (id.clone(), task_id.clone());
            let task = recover_task(past_task, past.generated, self.now.mono, self.now.wall);
            // A task that was killed before its delivery never reached the executor.
            let heard = task.statuses.iter().any(|s| s.source == Source::Executor);
            executor.delivered |= task.place == TaskPlace::Launched || heard;
            let updates = all.pending.remove(&key).unwrap_or_default();
            self.recover_stream(&key, updates);
            executor.tasks.insert(task_id.clone(), task);
            if let Some(framework) = self.frameworks.get_mut(id) {
                framework.tasks.insert(task_id, executor_id.clone());
            }
        }
        let container = executor.container.clone();
        if let Some(framework) = self.frameworks.get_mut(id) {
            framework.executors.insert(executor_id.clone(), executor);
        }
        self.containers.insert(container, (id.clone(), executor_id));
    }

    /// Its end was recorded; its last updates wait for their acknowledgement.
    fn recovered_as_ended(&mut self, id: &FrameworkId, container: &ContainerId) {
        if let Some(executor) = self.executor_mut(container) {
            executor.host = Host::Gone;
            executor.state = ExecutorState::Terminated;
        }
        if let Some((_, executor_id)) = self.containers.remove(container) {
            self.remove_executor_if_done(id, &executor_id);
        }
    }

    /// What the supervisor has of a container that should run.
    fn compare(&mut self, container: &ContainerId, found: Option<FoundContainer>, rebooted: bool) {
        let Some(found) = found.filter(|f| f.exit.is_some() || !rebooted) else {
            return self.vanished(container, rebooted);
        };
        let Some(executor) = self.executor_mut(container) else {
            return;
        };
        let new = executor.generated && executor.tasks.values().any(|t| t.place == TaskPlace::Queued);
        if new {
            // Nothing was said of it yet: it starts now, as far as anybody knows.
            self.launched(container, Ok(found.info));
        } else {
            executor.host = Host::Up;
            executor.pid = Some(found.info.pid);
            executor.container_status = found.info.container_status;
            if executor.generated {
                executor.state = ExecutorState::Running;
                self.resume_command(container);
            }
        }
        if let Some(termination) = found.exit {
            self.exited(container, termination);
        }
    }

    /// A command task that ran through the agent's restart.
    fn resume_command(&mut self, container: &ContainerId) {
        let wall = self.now.wall;
        let Some((framework, task_id)) = self.command_task(container) else {
            return self.end_now(container);
        };
        let Some(task) = self.frameworks.get(&framework).and_then(|f| f.task(&task_id)) else {
            return;
        };
        if task.state.is_terminal() {
            return self.end_now(container);
        }
        if task.kill.is_some() {
            return self.carry_out_kill(container);
        }
        let ran = ran_for(&task.statuses, wall);
        let starting = task.state == TaskState::Starting;
        if starting {
            self.say_command(container, TaskState::Running, |_| {});
        }
        self.watch_command(container, ran);
    }

    /// Recorded as running, and not there.
    fn vanished(&mut self, container: &ContainerId, rebooted: bool) {
        let Some(executor) = self.executor_mut(container) else {
            return;
        };
        let never_seen = executor.tasks.values().all(|t| t.statuses.is_empty());
        if rebooted {
            return self.exited(
                container,
                Termination {
                    message: Some(Arc::from("Executor terminated: the agent's host was restarted")),
                    ..Termination::default()
                },
            );
        }
        if !never_seen {
            return self.exited(
                container,
                Termination {
                    message: Some(Arc::from("Abnormal executor termination: unknown container")),
                    ..Termination::default()
                },
            );
        }
        // Perhaps it never started; perhaps it ran until its supervisor died, too. A framework that must not run a task
        // twice may only be told what is certain.
        let gone = self.framework_executor(container).map(|(f, _)| f.gone_state());
        if let (Some(state), Some(executor)) = (gone, self.executor_mut(container)) {
            executor.pending_end = Some(PendingEnd {
                state,
                reason: Reason::AGENT_RESTARTED,
                message: Arc::from("Task launched during agent restart"),
            });
        }
        self.end_container(container, &End::NeverStarted);
    }

    /// Containers that belong to nothing recorded.
    fn reap(&mut self, containers: BTreeMap<ContainerId, FoundContainer>, rebooted: bool) {
        for (id, found) in containers {
            if found.exit.is_some() || rebooted {
                self.out.push(Effect::Forget(id));
            } else if self.orphans.insert(id.clone()) {
                self.notice(Level::Info, format!("destroying orphan container {id}"));
                self.out.push(Effect::Destroy(id));
            }
        }
    }

    /// Registers as soon as every executor is back.
    pub(super) fn wait_for_executors(&mut self) {
        if self.phase != Phase::Waiting || !self.timers.is_set(&Timer::Reregistration) {
            return;
        }
        let missing = self
            .frameworks
            .values()
            .flat_map(|f| f.executors.values())
            .any(|e| e.state == ExecutorState::Registering && e.host == Host::Up);
        if !missing {
            self.timers.cancel(&Timer::Reregistration);
            self.recovered();
        }
    }

    fn recovered(&mut self) {
        self.phase = Phase::Running;
        self.connect_soon();
    }

    /// Executors that did not come back are given up; the agent goes on.
    pub(super) fn reregistration_timeout(&mut self) {
        if self.phase != Phase::Waiting {
            return;
        }
        let message: Arc<str> = Arc::from(format!(
            "Executor did not reregister within {}",
            meseta_types::flag::format_duration(self.config.executor_reregistration_timeout)
        ));
        let mut missing = Vec::new();
        for framework in self.frameworks.values_mut() {
            let state = framework.gone_state();
            for executor in framework.executors.values_mut() {
                if executor.state == ExecutorState::Registering && executor.host == Host::Up {
                    executor.pending_end = Some(PendingEnd {
                        state,
                        reason: Reason::EXECUTOR_REREGISTRATION_TIMEOUT,
                        message: message.clone(),
                    });
                    missing.push(executor.container.clone());
                }
            }
        }
        for container in missing {
            self.end_now(&container);
        }
        self.recovered();
    }
}

fn recover_task(past: PastTask, generated: bool, mono: Mono, wall: Wall) -> Task {
    let mut task = Task::new(Arc::new(past.spec));
    for status in &past.statuses {
        task.note(status);
    }
    task.place = if task.state.is_terminal() {
        TaskPlace::Terminated
    } else if generated && task.statuses.is_empty() {
        TaskPlace::Queued
    } else {
        TaskPlace::Launched
    };
    task.kill = past.kill.map(|(cause, deadline)| {
        let left = u64::try_from(deadline.0.saturating_sub(wall.0)).unwrap_or(0);
        Kill {
            cause,
            ordered: mono,
            deadline: mono + Duration::from_nanos(left),
        }
    });
    task
}
