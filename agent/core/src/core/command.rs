//! The agent as the executor of command tasks: STARTING, RUNNING, probes, completion time (mesos-agent 3.2, 4).
//!
//! A command task has no process besides itself. What Mesos's `mesos-executor` decides is decided here; the containerizer
//! starts, signals and probes.

use super::AgentCore;
use super::update::Say;
use crate::health::{Health, Verdict};
use crate::io::*;
use crate::timers::Timer;
use bytes::Bytes;
use meseta_types::task::{Reason, TaskStatus};
use meseta_types::{ContainerId, TaskState};
use std::time::Duration;

/// Shortest pause between two probes: a check with interval 0 must not keep the agent busy.
const PROBE_INTERVAL_MIN: Duration = Duration::from_millis(100);

fn slot(kind: ProbeKind) -> usize {
    match kind {
        ProbeKind::Health => 0,
        ProbeKind::Check => 1,
    }
}

impl AgentCore {
    /// The container of a command task runs.
    pub(super) fn command_started(&mut self, container: &ContainerId) {
        self.timers.cancel(&Timer::Registration(container.clone()));
        let Some(executor) = self.executor_mut(container) else {
            return;
        };
        executor.state = ExecutorState::Running;
        executor.delivered = true;
        for task in executor.tasks.values_mut() {
            task.place = TaskPlace::Launched;
        }
        self.say_command(container, TaskState::Starting, |_| {});
        self.say_command(container, TaskState::Running, |_| {});
        self.watch_command(container, None);
    }

    /// Starts completion timer and probes of a running task. `already`: how long it has run before this life.
    pub(super) fn watch_command(&mut self, container: &ContainerId, already: Option<Duration>) {
        let now = self.now.mono;
        let Some((framework, task_id)) = self.command_task(container) else {
            return;
        };
        let Some(task) = self
            .frameworks
            .get_mut(&framework)
            .and_then(|f| f.task_mut(&task_id))
        else {
            return;
        };
        let ever_passed = task.statuses.iter().any(|s| s.healthy == Some(true));
        task.health = task
            .spec
            .health_check
            .map(|spec| Health::new(spec, now, ever_passed));
        let health_delay = task.spec.health_check.map(|h| h.delay);
        let check_delay = task.spec.check.as_ref().map(|c| c.delay);
        let completion = task.spec.max_completion_time;
        if let Some(delay) = health_delay {
            self.set_probe(container, ProbeKind::Health, delay);
        }
        if let Some(delay) = check_delay {
            self.set_probe(container, ProbeKind::Check, delay);
        }
        if let Some(time) = completion {
            let left = time.saturating_sub(already.unwrap_or_default());
            self.timers.set(Timer::Completion(container.clone()), now + left);
        }
    }

    fn set_probe(&mut self, container: &ContainerId, kind: ProbeKind, wait: Duration) {
        let at = self.now.mono + wait;
        self.timers.set(Timer::Probe(container.clone(), kind), at);
    }

    /// Tells a status of the task in this container, as its executor.
    pub(super) fn say_command(
        &mut self,
        container: &ContainerId,
        state: TaskState,
        change: impl FnOnce(&mut Say),
    ) {
        let Some((framework, executor)) = self.containers.get(container).cloned() else {
            return;
        };
        let Some((_, task_id)) = self.command_task(container) else {
            return;
        };
        let mut say = Say::executor(state);
        say.wire = self.command_wire(container);
        change(&mut say);
        self.say(&framework, &executor, &task_id, say);
    }

    /// What every status of a command task carries: its container, and its check's last word.
    pub(super) fn command_wire(&mut self, container: &ContainerId) -> Bytes {
        let Some(executor) = self.executor_mut(container) else {
            return Bytes::new();
        };
        let check = executor.tasks.values().next().and_then(|t| t.check.as_ref());
        match check {
            None => executor.container_status.clone(),
            Some(check) => concat(&executor.container_status, &check.last),
        }
    }

    /// The next probe of a kind shall run.
    pub(super) fn probe_due(&mut self, container: &ContainerId, kind: ProbeKind) {
        let Some((framework, task_id)) = self.command_task(container) else {
            return;
        };
        let probe = ProbeId(self.probes_made + 1);
        let Some(task) = self
            .frameworks
            .get_mut(&framework)
            .and_then(|f| f.task_mut(&task_id))
        else {
            return;
        };
        if task.place != TaskPlace::Launched || task.kill.is_some() {
            return;
        }
        let timeout = match kind {
            ProbeKind::Health => task.spec.health_check.map(|h| h.timeout),
            ProbeKind::Check => task.spec.check.as_ref().map(|c| c.timeout),
        };
        task.probes[slot(kind)] = Some(probe);
        let order = ProbeOrder {
            probe,
            container_id: container.clone(),
            task: task.spec.clone(),
            kind,
            timeout: timeout.filter(|t| !t.is_zero()),
        };
        self.probes_made += 1;
        self.probes.insert(probe, (container.clone(), kind));
        self.out.push(Effect::Probe(order));
    }

    pub(super) fn probe_done(&mut self, probe: ProbeId, outcome: ProbeOutcome) {
        let Some((container, kind)) = self.probes.remove(&probe) else {
            return;
        };
        let now = self.now.mono;
        let Some((framework, task_id)) = self.command_task(&container) else {
            return;
        };
        let Some(task) = self
            .frameworks
            .get_mut(&framework)
            .and_then(|f| f.task_mut(&task_id))
        else {
            return;
        };
        task.probes[slot(kind)] = None;
        let interval = match kind {
            ProbeKind::Health => task.spec.health_check.map(|h| h.interval),
            ProbeKind::Check => task.spec.check.as_ref().map(|c| c.interval),
        };
        let told = task.last_healthy();
        match (outcome, &mut task.health, &mut task.check) {
            (ProbeOutcome::Passed, Some(health), _) => {
                let verdict = health.passed(told);
                self.follow_verdict(&container, verdict);
            }
            (ProbeOutcome::Failed(text), Some(health), _) => {
                let verdict = health.failed(now);
                let text = format!("health check of task {task_id} failed: {text}");
                self.notice(Level::Info, text);
                self.follow_verdict(&container, verdict);
            }
            (ProbeOutcome::Observed(seen), _, Some(check)) if check.last != seen => {
                check.last = seen;
                self.tell_check(&container);
            }
            _ => {}
        }
        let task = self.frameworks.get(&framework).and_then(|f| f.task(&task_id));
        let goes_on = task.is_some_and(|t| t.kill.is_none() && t.place == TaskPlace::Launched);
        if let Some(interval) = interval.filter(|_| goes_on) {
            self.set_probe(&container, kind, interval.max(PROBE_INTERVAL_MIN));
        }
    }

    fn follow_verdict(&mut self, container: &ContainerId, verdict: Verdict) {
        match verdict {
            Verdict::Silent => {}
            Verdict::Tell(healthy) => self.tell_health(container, healthy),
            Verdict::Kill => {
                self.tell_health(container, false);
                self.kill_command(container, KillCause::Unhealthy, None);
            }
        }
    }

    fn tell_health(&mut self, container: &ContainerId, healthy: bool) {
        self.say_command(container, TaskState::Running, |say| {
            say.healthy = Some(healthy);
            say.reason = Some(Reason::TASK_HEALTH_CHECK_STATUS_UPDATED);
        });
    }

    fn tell_check(&mut self, container: &ContainerId) {
        let healthy = self
            .executor_mut(container)
            .and_then(|e| e.tasks.values().next())
            .and_then(|t| t.last_healthy());
        self.say_command(container, TaskState::Running, |say| {
            say.healthy = healthy;
            say.reason = Some(Reason::TASK_CHECK_STATUS_UPDATED);
        });
    }

    /// No more probes: the task is being killed or ended.
    pub(super) fn stop_probes(&mut self, container: &ContainerId) {
        for kind in [ProbeKind::Health, ProbeKind::Check] {
            self.timers.cancel(&Timer::Probe(container.clone(), kind));
        }
        let running: Vec<ProbeId> = self
            .executor_mut(container)
            .into_iter()
            .flat_map(|e| e.tasks.values_mut())
            .flat_map(|t| std::mem::take(&mut t.probes))
            .flatten()
            .collect();
        for probe in running {
            self.probes.remove(&probe);
            self.out.push(Effect::CancelProbe(probe));
        }
    }

    pub(super) fn completion_time_over(&mut self, container: &ContainerId) {
        self.kill_command(container, KillCause::MaxCompletionTime, Some(Duration::ZERO));
    }
}

/// Protobuf messages merge by concatenation: what the second one sets wins.
pub(super) fn concat(first: &Bytes, second: &Bytes) -> Bytes {
    if first.is_empty() {
        return second.clone();
    }
    if second.is_empty() {
        return first.clone();
    }
    [first.as_ref(), second.as_ref()].concat().into()
}

/// How long a recovered task ran already, by the times in its statuses.
pub(super) fn ran_for(statuses: &[TaskStatus], now: meseta_types::Wall) -> Option<Duration> {
    let started = statuses.iter().find(|s| s.state == TaskState::Running)?.timestamp;
    let nanos = now.0.saturating_sub(started.0);
    Some(Duration::from_nanos(u64::try_from(nanos).unwrap_or(0)))
}
