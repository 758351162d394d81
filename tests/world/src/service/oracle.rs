//! Invariant 6, as an observer sees it who hears what the framework is told and looks at what it decides.
//!
//! Decisions are judged when they are made: when the engine asks for the write that records them. What is told while a
//! write is under way waits in the engine, so it waits here too.

use super::Durable;
use crate::marks::Mark;
use meseta_service_core::app::{AppId, AppSpec};
use meseta_service_core::engine::Engine;
use meseta_service_core::instance::{Condition, Goal, Instance, InstanceId};
use meseta_service_core::io::{Change, Input, Outcome, TaskEvent, TaskKind};
use meseta_service_core::plan::Action;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What was told of a task.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    runs: bool,
    healthy: Option<bool>,
}

/// The observer.
#[derive(Debug, Default)]
pub(crate) struct AppsOracle {
    tasks: BTreeMap<String, Seen>,
    /// Told while a write is under way.
    waiting: Vec<TaskEvent>,
    writing: bool,
    /// Instances whose end users asked for.
    wished: BTreeSet<InstanceId>,
    /// The definition each app is led to: its newest, as soon as its deployment has come to it.
    led: BTreeMap<AppId, Arc<AppSpec>>,
    /// The same, by what is durable.
    led_durable: BTreeMap<AppId, Arc<AppSpec>>,
}

impl AppsOracle {
    /// The framework knows what is durable, and nothing else.
    pub(crate) fn restart(&mut self, durable: &Durable) {
        self.waiting.clear();
        self.writing = false;
        self.led = self.led_durable.clone();
        self.forget(durable);
    }

    fn forget(&mut self, durable: &Durable) {
        let instances = durable.instances.values().filter(|i| i.condition.has_task());
        let tasks = instances.map(|instance| {
            let seen = Seen {
                runs: instance.condition == Condition::Running,
                healthy: instance.healthy,
            };
            (instance.task_id(), seen)
        });
        self.tasks = tasks.collect();
    }

    pub(crate) fn users_end(&mut self, instances: impl IntoIterator<Item = InstanceId>) {
        self.wished.extend(instances);
    }

    /// What goes into the engine.
    pub(crate) fn hears(&mut self, input: &Input, durable: &Durable) {
        match input {
            Input::Task(event) if self.writing => self.waiting.push(event.clone()),
            Input::Task(event) => self.told(event),
            Input::Committed(_, outcome) => {
                self.writing = false;
                if let Outcome::Refused(_) = outcome {
                    self.led = self.led_durable.clone();
                    self.forget(durable);
                } else {
                    self.led_durable = self.led.clone();
                }
                for event in std::mem::take(&mut self.waiting) {
                    self.told(&event);
                }
            }
            _ => {}
        }
    }

    fn told(&mut self, event: &TaskEvent) {
        let task = event.task.to_string();
        match event.kind {
            TaskKind::Killed | TaskKind::Ended | TaskKind::NotLaunched | TaskKind::Unknown => {
                self.tasks.remove(&task);
            }
            kind => {
                let seen = self.tasks.entry(task).or_default();
                seen.runs = kind == TaskKind::Running;
                seen.healthy = event.healthy.or(seen.healthy);
            }
        }
    }

    /// Judges a decision by what it writes.
    ///
    /// # Errors
    /// What of invariant 6 does not hold.
    pub(crate) fn judge(
        &mut self,
        changes: &[Change],
        durable: &Durable,
        engine: &Engine,
    ) -> Result<Vec<Mark>, String> {
        self.writing = true;
        for app in engine.apps().filter(|app| has_its_turn(&app.spec.id, engine)) {
            self.led.insert(app.spec.id.clone(), Arc::clone(&app.spec));
        }
        let mut marks = Vec::new();
        let mut ended: BTreeMap<&AppId, Vec<&Instance>> = BTreeMap::new();
        let mut begun: BTreeMap<&AppId, usize> = BTreeMap::new();
        for change in changes {
            let Change::Instance(instance) = change else {
                continue;
            };
            match durable.instances.get(&instance.id) {
                None => *begun.entry(&instance.app).or_default() += 1,
                Some(before) if before.goal == Goal::Running && instance.goal == Goal::Decommissioned => {
                    ended.entry(&instance.app).or_default().push(before);
                }
                Some(before) if before.condition != instance.condition => {
                    if instance.condition == Condition::Scheduled && instance.incarnation > 0 {
                        marks.push(Mark::AppRelaunched);
                    }
                }
                Some(_) => {}
            }
        }
        for (app, ended) in ended {
            marks.extend(self.not_too_few(app, &ended, engine)?);
        }
        for (app, begun) in begun {
            self.not_too_many(app, begun, durable, engine)?;
        }
        Ok(marks)
    }

    /// Whether a task serves, by its own definition.
    fn serves(&self, instance: &Instance, engine: &Engine) -> bool {
        let checked = engine
            .app(&instance.app)
            .and_then(|app| app.versions.get(&instance.version))
            .is_some_and(|spec| spec.has_health_checks);
        let seen = self.tasks.get(&instance.task_id()).copied().unwrap_or_default();
        seen.runs && (!checked || seen.healthy == Some(true))
    }

    /// The deployer ended instances that served: enough others do.
    fn not_too_few(&self, app: &AppId, ended: &[&Instance], engine: &Engine) -> Result<Option<Mark>, String> {
        let Some(spec) = self.led.get(app).filter(|_| engine.app(app).is_some()) else {
            return Ok(None); // deleted: nothing of it needs to serve
        };
        let by_deployer = ended.iter().filter(|i| !self.wished.contains(&i.id));
        let served = by_deployer.filter(|i| self.serves(i, engine)).count();
        if served == 0 {
            return Ok(None);
        }
        let going = |i: &&Instance| i.goal == Goal::Running && i.kill_sent.is_none();
        let left = engine.instances_of(app).filter(going);
        let left = left.filter(|i| self.serves(i, engine)).count();
        let least = serving_min(spec);
        if left < least {
            return Err(format!(
                "{served} instances of {app} that served were ended, {left} are left, {least} must serve"
            ));
        }
        Ok(Some(Mark::ServingReplaced))
    }

    /// The deployer began instances while it replaces others: not more than may exist.
    fn not_too_many(
        &self,
        app: &AppId,
        begun: usize,
        durable: &Durable,
        engine: &Engine,
    ) -> Result<(), String> {
        let Some(spec) = self.led.get(app).filter(|_| engine.deployment_of(app).is_some()) else {
            return Ok(());
        };
        // Whoever cannot be reached may be dead: it holds nothing up.
        let there = |i: &&Instance| i.condition != Condition::Unreachable;
        let all: Vec<&Instance> = engine.instances_of(app).filter(there).collect();
        let replacing = all.iter().any(|i| i.config_version != spec.config_version);
        let before = durable
            .instances
            .values()
            .filter(|i| i.app == *app)
            .filter(there)
            .count();
        let most = all_max(spec).max(before);
        if replacing && all.len() > most {
            return Err(format!(
                "{begun} instances of {app} were begun: there are {} now, at most {most} may be: {all:?}",
                all.len()
            ));
        }
        Ok(())
    }
}

/// Whether the deployment of an app, if there is one, has come to it.
fn has_its_turn(app: &AppId, engine: &Engine) -> bool {
    let deployment = engine
        .deployment_of(app)
        .and_then(|id| engine.deployments().find(|deployment| deployment.id == *id));
    let Some(deployment) = deployment else { return true };
    let is_its = |action: &Action| action.app() == app && !matches!(action, Action::Start(_));
    let step = deployment
        .plan
        .steps
        .iter()
        .rposition(|step| step.iter().any(is_its));
    step.is_none_or(|step| step <= deployment.step)
}

fn serving_min(spec: &AppSpec) -> usize {
    (spec.upgrade.minimum_health * f64::from(spec.instances)).ceil() as usize
}

fn all_max(spec: &AppSpec) -> usize {
    let target = spec.instances as usize;
    let over = (spec.upgrade.maximum_over * f64::from(spec.instances)).floor() as usize;
    // Without any room nothing could ever be replaced.
    let over = if over == 0 && serving_min(spec) >= target {
        1
    } else {
        over
    };
    target + over
}
