//! What is counted, under Marathon's names of metrics.

use crate::view::View;
use meseta_sdk::proto::TaskState;
use meseta_service_core::instance::Condition;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts since the start of this process.
#[derive(Debug, Default)]
pub struct Counters {
    offers_incoming: AtomicU64,
    offers_used: AtomicU64,
    offers_declined: AtomicU64,
    tasks_launched: AtomicU64,
    revives: AtomicU64,
    suppresses: AtomicU64,
    kills: AtomicU64,
    deployments: AtomicU64,
    deployments_dismissed: AtomicU64,
    broken: AtomicU64,
    updates: [AtomicU64; UPDATES.len()],
}

/// States whose updates are counted, with their names in metrics.
const UPDATES: [(TaskState, &str); 14] = [
    (TaskState::TaskStaging, "task-staging"),
    (TaskState::TaskStarting, "task-starting"),
    (TaskState::TaskRunning, "task-running"),
    (TaskState::TaskKilling, "task-killing"),
    (TaskState::TaskFinished, "task-finished"),
    (TaskState::TaskFailed, "task-failed"),
    (TaskState::TaskKilled, "task-killed"),
    (TaskState::TaskError, "task-error"),
    (TaskState::TaskLost, "task-lost"),
    (TaskState::TaskDropped, "task-dropped"),
    (TaskState::TaskUnreachable, "task-unreachable"),
    (TaskState::TaskGone, "task-gone"),
    (TaskState::TaskGoneByOperator, "task-gone-by-operator"),
    (TaskState::TaskUnknown, "task-unknown"),
];

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// Its name, with dots.
    pub name: String,
    /// Whether it only grows.
    pub is_counter: bool,
    /// The value.
    pub value: f64,
}

fn add(counter: &AtomicU64, count: usize) {
    counter.fetch_add(count as u64, Ordering::Relaxed);
}

impl Counters {
    pub(crate) fn offers(&self, count: usize) {
        add(&self.offers_incoming, count);
    }

    pub(crate) fn decline(&self) {
        add(&self.offers_declined, 1);
    }

    pub(crate) fn launch(&self, tasks: usize) {
        add(&self.offers_used, 1);
        add(&self.tasks_launched, tasks);
    }

    pub(crate) fn revive(&self) {
        add(&self.revives, 1);
    }

    pub(crate) fn suppress(&self) {
        add(&self.suppresses, 1);
    }

    pub(crate) fn kill(&self) {
        add(&self.kills, 1);
    }

    pub(crate) fn deployment(&self, done: bool) {
        add(
            if done {
                &self.deployments
            } else {
                &self.deployments_dismissed
            },
            1,
        );
    }

    pub(crate) fn broken(&self) {
        add(&self.broken, 1);
    }

    pub(crate) fn update(&self, state: TaskState) {
        let at = UPDATES.iter().position(|(counted, _)| *counted == state);
        if let Some(counter) = at.and_then(|at| self.updates.get(at)) {
            add(counter, 1);
        }
    }

    /// All values, by name: what was counted, and what the view holds. `uptime` in seconds.
    pub fn metrics(&self, view: &View, uptime: f64) -> Vec<Metric> {
        let counted = [
            ("marathon.mesos.offers.incoming.counter", &self.offers_incoming),
            ("marathon.mesos.offers.used.counter", &self.offers_used),
            ("marathon.mesos.offers.declined.counter", &self.offers_declined),
            (
                "marathon.mesos.offer-operations.launch.counter",
                &self.offers_used,
            ),
            ("marathon.mesos.calls.revive.counter", &self.revives),
            ("marathon.mesos.calls.suppress.counter", &self.suppresses),
            ("marathon.mesos.calls.kill.counter", &self.kills),
            ("marathon.tasks.launched.counter", &self.tasks_launched),
            ("marathon.deployments.counter", &self.deployments),
            (
                "marathon.deployments.dismissed.counter",
                &self.deployments_dismissed,
            ),
            ("marathon.defects.counter", &self.broken),
        ];
        let counter = |name: String, counter: &AtomicU64| Metric {
            name,
            is_counter: true,
            value: counter.load(Ordering::Relaxed) as f64,
        };
        let mut metrics: Vec<Metric> = counted
            .map(|(name, value)| counter(name.to_owned(), value))
            .into();
        for ((_, state), value) in UPDATES.iter().zip(&self.updates) {
            metrics.push(counter(
                format!("marathon.mesos.task-updates.{state}.counter"),
                value,
            ));
        }
        metrics.extend(gauges(view, uptime).into_iter().map(|(name, value)| Metric {
            name: name.to_owned(),
            is_counter: false,
            value,
        }));
        metrics.sort_by(|a, b| a.name.cmp(&b.name));
        metrics
    }
}

fn gauges(view: &View, uptime: f64) -> [(&'static str, f64); 8] {
    let (mut running, mut staged, mut waiting, mut kills) = (0u64, 0u64, 0u64, 0u64);
    for instance in view.apps.iter().flat_map(|(_, app)| app.instances.values()) {
        match instance.instance.condition {
            Condition::Running => running += 1,
            Condition::Provisioned | Condition::Staging | Condition::Starting => staged += 1,
            Condition::Scheduled => waiting += 1,
            Condition::Killing | Condition::Unreachable => {}
        }
        kills += u64::from(instance.instance.kill_sent.is_some());
    }
    [
        ("marathon.apps.active.gauge", view.apps.len() as f64),
        ("marathon.deployments.active.gauge", view.deployments.len() as f64),
        ("marathon.instances.running.gauge", running as f64),
        ("marathon.instances.staged.gauge", staged as f64),
        ("marathon.instances.waiting.gauge", waiting as f64),
        ("marathon.instances.inflight-kills.gauge", kills as f64),
        ("marathon.leadership.duration.gauge.seconds", uptime),
        ("marathon.uptime.gauge.seconds", uptime),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_told_by_its_name() {
        let counters = Counters::default();
        counters.update(TaskState::TaskRunning);
        counters.launch(3);
        let metrics = counters.metrics(&View::default(), 1.5);
        let value = |name: &str| metrics.iter().find(|m| m.name == name).map(|m| m.value);
        assert_eq!(
            value("marathon.mesos.task-updates.task-running.counter"),
            Some(1.0)
        );
        assert_eq!(value("marathon.tasks.launched.counter"), Some(3.0));
        assert_eq!(value("marathon.uptime.gauge.seconds"), Some(1.5));
        assert!(metrics.is_sorted_by(|a, b| a.name < b.name));
    }
}
