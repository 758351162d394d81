//! The engine: apps, their instances, deployments, and the order in which things become true.
//!
//! One commit is under way at a time. What arrives meanwhile waits, and is taken together with everything else that
//! waits. Changes are made in place and remembered (`txn`); what others may see of them (answers, launches,
//! acknowledgements, events) leaves only when the store has them, and a refused commit puts everything back.
//!
//! Everything is level-triggered: an input marks the apps it touches, and each marked app is led one step nearer to its
//! target ([`crate::rollout`]). No step depends on what happened before, so a restart goes on where the records stand.
//!
//! | file | who writes what |
//! |---|---|
//! | `calls.rs` | what users ask for |
//! | `lead.rs` | marked apps and deployments move on |
//! | `place.rs` | scheduled instances meet offers |
//! | `tasks.rs` | what is said of tasks moves instances |
//! | `alarms.rs` | what must be looked at when time has passed |
//! | `txn.rs` | what changed, and how to take it back |

mod alarms;
mod calls;
mod instances;
mod lead;
mod place;
mod tasks;
mod txn;

use crate::app::{AppId, AppSpec, Version};
use crate::backoff::{Delays, after};
use crate::instance::{Instance, InstanceId};
use crate::io::{Answer, CommitId, Deployment, Effect, Failure, Input, Outcome, Refusal, RequestId};
use crate::matcher::{Offer, Tried};
use crate::plan::DeploymentId;
use instances::Instances;
use meseta_types::Wall;
use meseta_types::random::Random;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use txn::Txn;

/// What can be set.
#[derive(Clone, Debug)]
pub struct Config {
    /// Deployments that may be under way.
    pub deployments_max: usize,
    /// How long an offer that is not needed is refused.
    pub decline_for: Duration,
    /// Kills of one moment that may be under way.
    pub kills_max: usize,
    /// After so long a kill is told again.
    pub kill_retry: Duration,
    /// A launch of which nothing is heard for so long is killed.
    pub launch_timeout: Duration,
    /// Launches in one ACCEPT.
    pub launches_per_offer: usize,
    /// Definitions kept per app.
    pub versions_max: usize,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            deployments_max: 100,
            decline_for: Duration::from_secs(120),
            kills_max: 100,
            kill_retry: Duration::from_secs(10),
            launch_timeout: Duration::from_secs(300),
            launches_per_offer: 250,
            versions_max: 50,
        }
    }
}

/// Instances changed in one commit, as far as the engine can choose: a store has a bound for a commit, and whoever waits
/// for the first of many launches shall not wait for the record of the last.
const INSTANCES_PER_COMMIT: usize = 2_000;

/// How long apps rest after the store refused a change of them.
const REST: Duration = Duration::from_secs(1);

/// A task of which the master says nothing is asked about again, at first after the former and at last every latter: one
/// that has just begun to lead is silent about an agent until that is back.
const ASK_AGAIN: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(16));

/// What is known of one app.
#[derive(Clone, Debug)]
pub struct App {
    /// The definition that counts.
    pub spec: Arc<AppSpec>,
    /// All that are kept, oldest first.
    pub versions: BTreeMap<Version, Arc<AppSpec>>,
    /// Deleted: its instances are ended, then it is forgotten. Readers do not see it.
    pub leaving: bool,
    /// How a task of it ended badly, the last time.
    pub last_failure: Option<Failure>,
    /// When its number of instances was last changed.
    pub last_scaling: Version,
}

/// The service framework's deciding half.
#[derive(Debug)]
pub struct Engine {
    config: Config,
    random: Random,
    apps: BTreeMap<AppId, App>,
    instances: Instances,
    deployments: BTreeMap<DeploymentId, Arc<Deployment>>,
    /// Which deployment an app belongs to.
    locks: BTreeMap<AppId, DeploymentId>,
    /// Scheduled instances, in the order they get offers.
    waiting: BTreeMap<AppId, BTreeSet<InstanceId>>,
    delays: Delays,
    tried: BTreeMap<AppId, Tried>,
    alarms: BTreeSet<(Wall, InstanceId)>,
    alarm_of: BTreeMap<InstanceId, Wall>,
    /// Kills that were told and not answered yet, and those that wait for their turn.
    killing: BTreeSet<InstanceId>,
    to_kill: BTreeSet<InstanceId>,
    /// Apps to be looked at.
    marked: BTreeSet<AppId>,
    /// Apps whose changes the store refused: looked at again when they have rested, so that a full disk is not asked in a
    /// loop.
    resting: BTreeSet<AppId>,
    rest_until: Wall,
    /// Instances whose task the master was asked about on this stream, and of which nothing was heard since.
    unheard: BTreeSet<InstanceId>,
    /// When they are asked about again, and how long that took to come.
    ask_again: (Wall, Duration),
    /// When this stream began: what was launched before was asked about, and cannot be on its way any more.
    connected_at: Wall,
    offers: BTreeMap<Arc<str>, Offer>,
    connected: bool,
    wanted: Option<bool>,
    /// Apps that have instances waiting, no delay and no rest, with the definition to launch.
    launchable: BTreeMap<AppId, Arc<AppSpec>>,
    /// Apps that may have become launchable, or not be it any more.
    touched: BTreeSet<AppId>,
    /// An app has become launchable since offers were last asked for.
    is_new: bool,
    txn: Txn,
    in_flight: Option<CommitId>,
    next_commit: u64,
    /// What arrived while a commit was under way.
    arrived: VecDeque<Input>,
}

/// What a store holds, for a restart.
#[derive(Clone, Debug, Default)]
pub struct Recovered {
    /// Definitions of all apps.
    pub specs: Vec<Arc<AppSpec>>,
    /// Which one counts, and whether the app is leaving.
    pub heads: Vec<(AppId, Version, bool)>,
    /// Last failures.
    pub failures: Vec<Failure>,
    /// Instances.
    pub instances: Vec<Instance>,
    /// Deployments under way.
    pub deployments: Vec<Deployment>,
}

impl Engine {
    /// An engine with what the store holds. `seed` grows the ids of new instances and deployments.
    pub fn new(config: Config, seed: u64, recovered: Recovered) -> Engine {
        let mut engine = Engine {
            config,
            random: Random::new(seed),
            apps: BTreeMap::new(),
            instances: Instances::default(),
            deployments: BTreeMap::new(),
            locks: BTreeMap::new(),
            waiting: BTreeMap::new(),
            delays: Delays::default(),
            tried: BTreeMap::new(),
            alarms: BTreeSet::new(),
            alarm_of: BTreeMap::new(),
            killing: BTreeSet::new(),
            to_kill: BTreeSet::new(),
            marked: BTreeSet::new(),
            resting: BTreeSet::new(),
            rest_until: Wall(0),
            unheard: BTreeSet::new(),
            ask_again: (Wall(0), Duration::ZERO),
            connected_at: Wall(0),
            offers: BTreeMap::new(),
            connected: false,
            wanted: None,
            launchable: BTreeMap::new(),
            touched: BTreeSet::new(),
            is_new: false,
            txn: Txn::default(),
            in_flight: None,
            next_commit: 0,
            arrived: VecDeque::new(),
        };
        engine.take_in(recovered);
        engine
    }

    fn take_in(&mut self, recovered: Recovered) {
        let mut versions: BTreeMap<AppId, BTreeMap<Version, Arc<AppSpec>>> = BTreeMap::new();
        for spec in recovered.specs {
            versions
                .entry(spec.id.clone())
                .or_default()
                .insert(spec.version, spec);
        }
        for (id, head, leaving) in recovered.heads {
            let versions = versions.remove(&id).unwrap_or_default();
            if let Some(spec) = versions.get(&head).cloned() {
                let app = App {
                    last_scaling: head,
                    spec,
                    versions,
                    leaving,
                    last_failure: None,
                };
                self.apps.insert(id.clone(), app);
                self.marked.insert(id);
            }
        }
        for failure in recovered.failures {
            if let Some(app) = self.apps.get_mut(&failure.app) {
                app.last_failure = Some(failure);
            }
        }
        for instance in recovered.instances {
            let id = instance.id.clone();
            self.marked.insert(instance.app.clone());
            self.instances.insert(Arc::new(instance));
            self.index_instance(&id);
        }
        for deployment in recovered.deployments {
            for app in deployment.plan.apps() {
                self.locks.insert(app, deployment.id.clone());
            }
            self.deployments
                .insert(deployment.id.clone(), Arc::new(deployment));
        }
    }

    /// Takes one input and tells what is to be done, in order.
    pub fn step(&mut self, now: Wall, input: Input, out: &mut Vec<Effect>) {
        match input {
            Input::Committed(id, outcome) if self.in_flight == Some(id) => self.committed(now, outcome, out),
            Input::Committed(..) => {}
            // The answer to the write looks at the time anyway.
            Input::Tick if self.in_flight.is_some() => {}
            input if self.in_flight.is_some() => self.arrived.push_back(input),
            input => {
                self.apply(now, input);
                self.settle(now, out);
            }
        }
    }

    /// When the engine wants a tick; never while a write is under way, whose answer does as well.
    pub fn deadline(&self) -> Option<Wall> {
        if self.in_flight.is_some() {
            return None;
        }
        let alarm = self.alarms.first().map(|(at, _)| *at);
        let delay = self.delays.next_end();
        let rest = (!self.resting.is_empty()).then_some(self.rest_until);
        let ask = (!self.unheard.is_empty()).then_some(self.ask_again.0);
        [alarm, delay, rest, ask].into_iter().flatten().min()
    }

    /// The apps that are not leaving, by id.
    pub fn apps(&self) -> impl Iterator<Item = &App> {
        self.apps.values().filter(|app| !app.leaving)
    }

    /// Inputs that wait for the write under way. Whoever feeds the engine pauses when they are many.
    pub fn backlog(&self) -> usize {
        self.arrived.len()
    }

    /// One app, unless it is leaving.
    pub fn app(&self, id: &AppId) -> Option<&App> {
        self.apps.get(id).filter(|app| !app.leaving)
    }

    /// The instances of an app, in the order of their ids.
    pub fn instances_of(&self, id: &AppId) -> impl Iterator<Item = &Instance> {
        self.instances.of(id)
    }

    /// One instance.
    pub fn instance(&self, id: &InstanceId) -> Option<&Instance> {
        self.instances.get(id)
    }

    /// The deployments under way, by id.
    pub fn deployments(&self) -> impl Iterator<Item = &Arc<Deployment>> {
        self.deployments.values()
    }

    /// The deployment an app belongs to.
    pub fn deployment_of(&self, id: &AppId) -> Option<&DeploymentId> {
        self.locks.get(id)
    }

    /// The definition that instances of an app are launched with now.
    pub fn launches(&self, id: &AppId) -> Option<Arc<AppSpec>> {
        self.target(id).map(|(spec, _)| spec)
    }

    /// Apps with instances that wait for an offer: how many, until when they are delayed, and what offers lacked.
    pub fn queue(&self, now: Wall) -> impl Iterator<Item = (&AppId, usize, Option<Wall>, Option<&Tried>)> {
        self.waiting.iter().filter_map(move |(id, waiting)| {
            let app = self.apps.get(id)?;
            let until = self.delays.until(id, app.spec.config_version, now);
            Some((id, waiting.len(), until, self.tried.get(id)))
        })
    }

    fn apply(&mut self, now: Wall, input: Input) {
        match input {
            Input::Tick | Input::Committed(..) => {}
            Input::Call(request, call) => self.call(now, request, call),
            Input::Connected => self.connect(now),
            Input::Disconnected => {
                self.connected = false;
                self.wanted = None;
                self.offers.clear();
                self.unheard.clear();
            }
            Input::Offers(offers) => {
                for offer in offers {
                    self.offers.insert(Arc::clone(&offer.id), offer);
                }
            }
            Input::Rescinded(id) => {
                self.offers.remove(&id);
            }
            Input::Task(event) => self.task(now, event),
            Input::Health {
                instance,
                incarnation,
                healthy,
                give_up,
            } => {
                self.health(now, &instance, incarnation, healthy, give_up);
            }
            Input::Ready {
                instance,
                incarnation,
            } => self.ready(&instance, incarnation),
        }
    }

    /// After inputs: what follows; then writes, or tells at once when there is nothing to write.
    fn settle(&mut self, now: Wall, out: &mut Vec<Effect>) {
        self.ring(now);
        self.lead(now);
        self.place(now);
        self.send_kills(now);
        self.offers_out(now);
        if self.txn.is_empty() {
            out.append(&mut self.txn.released);
            return;
        }
        let id = CommitId(self.next_commit);
        self.next_commit += 1;
        self.in_flight = Some(id);
        out.push(Effect::Commit(id, self.changes()));
    }

    fn committed(&mut self, now: Wall, outcome: Outcome, out: &mut Vec<Effect>) {
        self.in_flight = None;
        let txn = std::mem::take(&mut self.txn);
        match outcome {
            Outcome::Done => out.extend(txn.released),
            Outcome::Refused(why) => {
                self.take_back(txn, &why, out);
                // What was to be launched of them is by definitions that may have been taken back.
                for id in &self.marked {
                    self.launchable.remove(id);
                }
                self.resting.append(&mut self.marked);
                self.rest_until = after(now, REST);
            }
        }
        while !self.is_full()
            && let Some(input) = self.arrived.pop_front()
        {
            self.apply(now, input);
        }
        self.settle(now, out);
    }

    /// Whether the next commit is large enough: the rest goes into the one after it.
    fn is_full(&self) -> bool {
        self.txn.instances() >= INSTANCES_PER_COMMIT
    }

    fn answer(&mut self, request: RequestId, answer: Result<Answer, Refusal>) {
        self.txn.released.push(Effect::Answer(request, answer));
    }

    /// Recomputes every index from what it is an index of.
    ///
    /// # Errors
    /// The first that does not fit.
    pub fn check(&self) -> Result<(), String> {
        self.instances.check()?;
        for instance in self.instances.iter() {
            let id = &instance.id;
            let waits = self
                .waiting
                .get(&instance.app)
                .is_some_and(|all| all.contains(id));
            if waits == instance.condition.has_task() {
                return Err(format!(
                    "the instance {id} waits: {waits}, and is {:?}",
                    instance.condition
                ));
            }
            if instance.condition.has_task() != instance.place.is_some() {
                return Err(format!(
                    "the instance {id} is {:?} and its place is {:?}",
                    instance.condition, instance.place
                ));
            }
        }
        let has_task = |id: &InstanceId| self.instances.get(id).is_some_and(|i| i.condition.has_task());
        if let Some(id) = self.unheard.iter().find(|id| !has_task(id)) {
            return Err(format!("the instance {id} is asked about and has no task"));
        }
        let waiting: usize = self.waiting.values().map(BTreeSet::len).sum();
        let scheduled = self.instances.iter().filter(|i| !i.condition.has_task()).count();
        if waiting != scheduled {
            return Err(format!("{waiting} waiting, {scheduled} scheduled"));
        }
        for (id, spec) in &self.launchable {
            if self.touched.contains(id) || self.marked.contains(id) {
                continue;
            }
            if self.resting.contains(id) {
                return Err(format!("{id} is launchable and rests"));
            }
            if !self.waiting.contains_key(id) {
                return Err(format!("{id} is launchable and has no instance that waits"));
            }
            let target = self.target(id);
            if target.is_none_or(|(target, _)| target.version != spec.version) {
                return Err(format!("{id} is launchable by a definition that is not its own"));
            }
        }
        let mut locked = 0;
        for (id, deployment) in &self.deployments {
            let apps = deployment.plan.apps();
            if let Some(app) = apps.iter().find(|app| self.locks.get(*app) != Some(id)) {
                return Err(format!("{app} is not locked by the deployment {}", id.0));
            }
            locked += apps.len();
        }
        if locked != self.locks.len() {
            return Err(format!(
                "{} apps are locked, deployments touch {locked}",
                self.locks.len()
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
