//! Health and readiness checks that the framework makes itself: `HTTP`, `HTTPS` and `TCP`, and readiness.
//!
//! For each instance that runs and whose app asks for it there is a task per check. What its probes mean (grace, how
//! many failures are too many) follows Marathon 1.11 (its `HealthCheckActor` and `ReadinessCheckExecutor`) and is decided
//! in `judge`. Probes at once are bounded; a task that waits for its turn holds nothing.

mod ask;
mod judge;

pub(crate) use judge::{Meaning, Verdict};

use crate::definition::{self, HealthCheck, ReadinessCheck};
use crate::owner::Model;
use crate::view::InstanceView;
use ask::{Asker, Target};
use judge::{Health, Kind};
use meseta_service_core::instance::{Condition, Goal, Instance, InstanceId};
use meseta_service_core::io::Change;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

/// Verdicts that wait for the owner; probes wait when it is full.
const VERDICTS_MAX: usize = 1_024;

/// The first probe comes no later than this.
const FIRST_PROBE: Duration = Duration::from_secs(5);

/// All probes of the framework.
pub(crate) struct Probers {
    of: BTreeMap<InstanceId, Probed>,
    /// Instances that changed since the last look.
    changed: BTreeSet<InstanceId>,
    verdicts: mpsc::Sender<Verdict>,
    asker: Result<Arc<Asker>, String>,
    permits: Arc<Semaphore>,
}

/// The probes of one launch of an instance. They end when this is dropped.
struct Probed {
    incarnation: u32,
    health: Vec<Health>,
    _tasks: JoinSet<()>,
}

impl Probers {
    /// Probes of which at most `at_once` run at the same time; their verdicts come from the receiver.
    pub(crate) fn new(at_once: usize) -> (Probers, mpsc::Receiver<Verdict>) {
        let (verdicts, judged) = mpsc::channel(VERDICTS_MAX);
        let asker = Asker::new().map(Arc::new);
        if let Err(why) = &asker {
            tracing::error!(%why, "the framework cannot make health checks of its own");
        }
        let probers = Probers {
            of: BTreeMap::new(),
            changed: BTreeSet::new(),
            verdicts,
            asker,
            permits: Arc::new(Semaphore::new(at_once)),
        };
        (probers, judged)
    }

    /// Notes what became durable.
    pub(crate) fn follow(&mut self, change: &Change) {
        match change {
            Change::Instance(instance) => drop(self.changed.insert(instance.id.clone())),
            Change::DropInstance(id) => drop(self.changed.insert(id.clone())),
            _ => {}
        }
    }

    /// After a start: looks at every instance that was recovered.
    pub(crate) fn recover(&mut self, model: &Model) {
        self.changed.extend(model.instance_ids().cloned());
        self.settle(model);
    }

    /// Starts and ends probes as the instances that changed ask for.
    pub(crate) fn settle(&mut self, model: &Model) {
        for id in std::mem::take(&mut self.changed) {
            let wanted = model.instance(&id).and_then(|(app, view)| {
                let spec = app.versions.get(&view.instance.version)?;
                let probed = spec.has_health_checks || spec.has_readiness_checks;
                (probed && is_probed(&view.instance)).then_some((app, view))
            });
            let Some((app, view)) = wanted else {
                self.of.remove(&id);
                continue;
            };
            let known = self.of.get(&id).map(|probed| probed.incarnation);
            if known == Some(view.instance.incarnation) {
                continue;
            }
            let definition = if app.spec.version == view.instance.version {
                Some(Arc::clone(&app.definition))
            } else {
                let spec = app.versions.get(&view.instance.version);
                spec.and_then(|spec| definition::parse_stored(spec).ok())
                    .map(Arc::new)
            };
            if let Some(definition) = definition {
                let probed = self.start(&definition, view);
                self.of.insert(id, probed);
            }
        }
    }

    fn start(&self, app: &definition::App, view: &InstanceView) -> Probed {
        let instance = &view.instance;
        let mut tasks = JoinSet::new();
        let mut health = Vec::new();
        let Ok(asker) = &self.asker else {
            return Probed {
                incarnation: instance.incarnation,
                health,
                _tasks: tasks,
            };
        };
        let probe = |kind: Kind, target: Target, interval: u32, timeout: u32| Probe {
            instance: instance.id.clone(),
            incarnation: instance.incarnation,
            kind,
            target,
            interval: seconds(interval).max(Duration::from_secs(1)),
            timeout: seconds(timeout).max(Duration::from_secs(1)),
            asker: Arc::clone(asker),
            permits: Arc::clone(&self.permits),
            verdicts: self.verdicts.clone(),
        };
        let own = app
            .health_checks
            .iter()
            .filter(|check| !check.protocol.is_by_agent());
        for check in own {
            let Some(target) = Target::of_health(check, app, instance) else {
                continue;
            };
            let kind = Kind::Health { index: health.len() };
            health.push(Health::new(Arc::new(check.clone())));
            let HealthCheck {
                interval_seconds,
                timeout_seconds,
                ..
            } = check;
            tasks.spawn(probe(kind, target, *interval_seconds, *timeout_seconds).run());
        }
        let to_be_ready = app.readiness_checks.first().filter(|_| !instance.ready);
        if let Some(check) = to_be_ready
            && let Some(target) = Target::of_readiness(check, app, instance)
        {
            let ReadinessCheck {
                interval_seconds,
                timeout_seconds,
                ..
            } = check;
            let kind = Kind::Readiness(Arc::new(check.clone()));
            tasks.spawn(probe(kind, target, *interval_seconds, *timeout_seconds).run());
        }
        Probed {
            incarnation: instance.incarnation,
            health,
            _tasks: tasks,
        }
    }

    /// The health of an instance's launch as its probes see it, if it is still probed.
    pub(crate) fn health(&mut self, verdict: &Verdict) -> Option<&mut Vec<Health>> {
        let probed = self.of.get_mut(&verdict.instance)?;
        (probed.incarnation == verdict.incarnation).then_some(&mut probed.health)
    }
}

/// Whether an instance is to be asked how it is: one that cannot be reached cannot answer, and one that ends need not.
fn is_probed(instance: &Instance) -> bool {
    instance.condition == Condition::Running && instance.goal == Goal::Running
}

fn seconds(seconds: u32) -> Duration {
    Duration::from_secs(u64::from(seconds))
}

/// One check of one launch.
struct Probe {
    instance: InstanceId,
    incarnation: u32,
    kind: Kind,
    target: Target,
    interval: Duration,
    timeout: Duration,
    asker: Arc<Asker>,
    permits: Arc<Semaphore>,
    verdicts: mpsc::Sender<Verdict>,
}

impl Probe {
    /// Asks again and again, until it is aborted; for readiness until it is ready.
    async fn run(self) {
        let first = Instant::now() + self.interval.min(FIRST_PROBE);
        let mut ticks = tokio::time::interval_at(first, self.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let Ok(permit) = self.permits.acquire().await else {
                return;
            };
            let answer = self.asker.ask(&self.target, self.timeout).await;
            drop(permit);
            let verdict = Verdict {
                instance: self.instance.clone(),
                incarnation: self.incarnation,
                kind: self.kind.clone(),
                answer,
            };
            let over = verdict.is_ready();
            if self.verdicts.send(verdict).await.is_err() || over {
                return;
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
