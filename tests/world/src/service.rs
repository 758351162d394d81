//! The service framework: its engine, its store, its crashes, and what its shell makes of offers and updates.

pub(crate) mod oracle;
pub(crate) mod users;

use crate::client::build::Order;
use crate::client::{ClientEvent, SERVICE};
use crate::marks::Mark;
use crate::script::Script;
use crate::store::{Fate, Store};
use crate::world::{Event, World};
use meseta_proto::mesos::v1;
use meseta_service_core::app::Demand;
use meseta_service_core::app::{AppId, AppSpec, Version};
use meseta_service_core::engine::{Config, Engine, Recovered};
use meseta_service_core::instance::{Condition, Instance, InstanceId};
use meseta_service_core::io::{
    AckToken, Change, CommitId, Deployment, Effect, Event as Told, Input, Launch, Outcome, TaskEvent,
    TaskKind,
};
use meseta_service_core::matcher::{Offer, Pool};
use meseta_service_core::plan::DeploymentId;
use meseta_types::random::Random;
use meseta_types::task::{Reason, TaskStatus};
use meseta_types::{AgentId, Mono, TaskId, TaskState, Wall};
use oracle::AppsOracle;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use users::AppUsers;

/// What is durable.
#[derive(Clone, Debug, Default)]
pub(crate) struct Durable {
    pub(crate) specs: BTreeMap<(AppId, Version), Arc<AppSpec>>,
    pub(crate) heads: BTreeMap<AppId, (Version, bool)>,
    pub(crate) instances: BTreeMap<InstanceId, Instance>,
    pub(crate) deployments: BTreeMap<DeploymentId, Deployment>,
}

impl Durable {
    fn apply(&mut self, changes: Vec<Change>) {
        for change in changes {
            match change {
                Change::Spec(spec) => drop(self.specs.insert((spec.id.clone(), spec.version), spec)),
                Change::DropSpec(app, version) => drop(self.specs.remove(&(app, version))),
                Change::Head {
                    app,
                    version,
                    leaving,
                } => drop(self.heads.insert(app, (version, leaving))),
                Change::DropHead(app) => {
                    self.specs.retain(|(id, _), _| *id != app);
                    self.heads.remove(&app);
                }
                Change::Instance(instance) => drop(self.instances.insert(instance.id.clone(), instance)),
                Change::DropInstance(id) => drop(self.instances.remove(&id)),
                Change::Deployment(deployment) => {
                    let id = deployment.id.clone();
                    self.deployments.insert(id, Deployment::clone(&deployment));
                }
                Change::DropDeployment(id) => drop(self.deployments.remove(&id)),
                Change::Failure(_) => {}
            }
        }
    }

    /// The definition that counts, unless the app is leaving or unknown.
    pub(crate) fn spec(&self, app: &AppId) -> Option<&Arc<AppSpec>> {
        let (version, leaving) = self.heads.get(app)?;
        (!leaving).then(|| self.specs.get(&(app.clone(), *version)))?
    }

    fn recovered(&self) -> Recovered {
        let heads = self.heads.iter();
        Recovered {
            specs: self.specs.values().cloned().collect(),
            heads: heads
                .map(|(app, (version, leaving))| (app.clone(), *version, *leaving))
                .collect(),
            failures: Vec::new(),
            instances: self.instances.values().cloned().collect(),
            deployments: self.deployments.values().cloned().collect(),
        }
    }
}

/// The service framework's process, beside what it shares with other clients.
pub(crate) struct ServiceNode {
    pub(crate) engine: Option<Engine>,
    pub(crate) store: Store<Change>,
    pub(crate) durable: Durable,
    tick_at: Option<Mono>,
    inputs: VecDeque<Input>,
    stepping: bool,
    pub(crate) oracle: AppsOracle,
    pub(crate) users: AppUsers,
}

impl ServiceNode {
    pub(crate) fn new(mut random: Random) -> ServiceNode {
        ServiceNode {
            engine: None,
            store: Store::new(random.fork()),
            durable: Durable::default(),
            tick_at: None,
            inputs: VecDeque::new(),
            stepping: false,
            oracle: AppsOracle::default(),
            users: AppUsers::new(random.fork()),
        }
    }
}

impl World {
    pub(crate) fn service_start(&mut self) {
        let config = Config {
            launch_timeout: Duration::from_secs(30),
            ..Config::default()
        };
        let seed = self.clients[SERVICE].seed();
        let node = &mut self.service;
        let engine = Engine::new(config, seed, node.durable.recovered());
        node.oracle.restart(&node.durable);
        node.engine = Some(engine);
        node.tick_at = None;
        node.inputs.clear();
        if let Err(why) = node.users.service_is_back(&node.durable) {
            self.fail(format!("service: {why}"));
        }
        self.service_input(Input::Tick);
    }

    pub(crate) fn service_crash(&mut self) {
        let node = &mut self.service;
        node.engine = None;
        node.inputs.clear();
        let writing = node.store.is_writing();
        let reached = node.store.crash();
        let mark = match (writing, reached.is_empty()) {
            (false, _) => None,
            (true, true) => Some(Mark::WriteLost),
            (true, false) => Some(Mark::WriteReached),
        };
        for changes in reached {
            node.durable.apply(changes);
        }
        node.users.service_is_gone();
        if let Some(mark) = mark {
            self.see(mark);
        }
    }

    pub(crate) fn service_tick(&mut self) {
        if self.service.tick_at.is_some_and(|at| at <= self.now) {
            self.service.tick_at = None;
            self.service_input(Input::Tick);
        }
    }

    fn arm_service(&mut self) {
        let now = self.steady_wall(SERVICE);
        let Some(at) = self.service.engine.as_ref().and_then(|e| e.deadline()) else {
            return;
        };
        let wait = Duration::from_nanos(u64::try_from(at.0.saturating_sub(now.0)).unwrap_or(0));
        let at = self.now + wait;
        if self.service.tick_at.is_none_or(|t| at < t) {
            self.service.tick_at = Some(at);
            let life = self.clients[SERVICE].life;
            self.heap
                .push(at, Event::Client(SERVICE, ClientEvent::EngineTick(life)));
        }
    }

    /// One input of the engine. Those that come while one is dealt with wait for its end.
    pub(crate) fn service_input(&mut self, input: Input) {
        self.service.inputs.push_back(input);
        if std::mem::replace(&mut self.service.stepping, true) {
            return;
        }
        while let Some(input) = self.service.inputs.pop_front() {
            self.service_step(input);
        }
        self.service.stepping = false;
    }

    fn service_step(&mut self, input: Input) {
        let now = self.steady_wall(SERVICE);
        if self.options.print || self.options.digest {
            self.trace.say(self.now, "-> service", &input);
        }
        let node = &mut self.service;
        let Some(engine) = node.engine.as_mut() else {
            return;
        };
        node.oracle.hears(&input, &node.durable);
        let mut effects = Vec::new();
        engine.step(now, input, &mut effects);
        self.steps += 1;
        if let Err(broken) = engine.check() {
            self.fail(format!("service: {broken}"));
        }
        for effect in effects {
            self.service_effect(effect);
        }
        self.arm_service();
    }

    fn service_effect(&mut self, effect: Effect) {
        if self.service.engine.is_none() {
            return;
        }
        if self.options.print || self.options.digest {
            self.trace.say(self.now, "   service ->", &effect);
        }
        match effect {
            Effect::Commit(id, changes) => self.service_writes(id, changes),
            Effect::Answer(request, answer) => self.app_user_hears(request, answer),
            Effect::Accept { offer, launches } => self.service_launches(&offer, &launches),
            Effect::Decline { offer, refuse } => self.decline_offer(SERVICE, &offer, refuse),
            Effect::Want(wanted) => self.want_offers(SERVICE, wanted),
            Effect::Kill { task, agent } => {
                let known = InstanceId::of_task(&task);
                if known.is_none_or(|(id, _)| !self.service.durable.instances.contains_key(&id)) {
                    self.see(Mark::StrayKilled);
                }
                self.kill_task(SERVICE, &TaskId::as_written(task), &agent);
            }
            Effect::Reconcile(tasks) => {
                let tasks = tasks.into_iter();
                let tasks: Vec<(TaskId, AgentId)> = tasks
                    .map(|(task, agent)| (TaskId::as_written(task), AgentId::as_written(&*agent)))
                    .collect();
                self.reconcile_tasks(SERVICE, &tasks);
            }
            Effect::Acknowledge(AckToken(token)) => self.acknowledge(SERVICE, token),
            Effect::Event(Told::DeploymentFailed(_)) => self.see(Mark::DeploymentDropped),
            Effect::Event(Told::DeploymentDone(deployment)) if !deployment.plan.steps.is_empty() => {
                self.see(Mark::DeploymentDone);
            }
            Effect::Event(_) => {}
        }
    }

    /// A decision: what it does to the apps is judged now, when nothing else has happened yet.
    fn service_writes(&mut self, id: CommitId, changes: Vec<Change>) {
        let node = &mut self.service;
        if let Some(engine) = &node.engine {
            match node.oracle.judge(&changes, &node.durable, engine) {
                Ok(marks) => marks.into_iter().for_each(|mark| self.see(mark)),
                Err(why) => self.fail(format!("service: {why}")),
            }
        }
        let at = self.service.store.write(self.now, id.0, changes);
        let life = self.clients[SERVICE].life;
        self.heap
            .push(at, Event::Client(SERVICE, ClientEvent::StoreDone(life)));
    }

    pub(crate) fn service_store_done(&mut self) {
        let Some((id, fate)) = self.service.store.end() else {
            return;
        };
        let outcome = match fate {
            Fate::Done(changes) => {
                self.service.durable.apply(changes);
                Outcome::Done
            }
            Fate::Refused => {
                self.see(Mark::WriteRefused);
                Outcome::Refused("no space".into())
            }
            Fate::Unknown(changes) => {
                self.service.durable.apply(changes);
                self.see(Mark::WriteUnknown);
                return self.client_crash(SERVICE, Duration::from_millis(300));
            }
        };
        self.service_input(Input::Committed(CommitId(id), outcome));
    }

    fn service_launches(&mut self, offer: &str, launches: &[Launch]) {
        for launch in launches {
            let instance = &launch.instance;
            let known = self.service.durable.instances.get(&instance.id);
            let recorded = known.is_some_and(|i| {
                i.incarnation == instance.incarnation && i.condition == Condition::Provisioned
            });
            if !recorded {
                self.fail(format!(
                    "service: {} is launched before its record",
                    instance.task_id()
                ));
            }
        }
        let orders: Vec<Order> = launches.iter().filter_map(order).collect();
        if orders.len() < launches.len() {
            return self.fail("service: a launch without a place");
        }
        self.accept_offer(SERVICE, offer, &orders);
    }

    pub(crate) fn service_offered(&mut self, offer: &v1::Offer) {
        let mut there = Demand::default();
        let mut ports = Vec::new();
        for resource in &offer.resources {
            let amount = resource.scalar.as_ref().map_or(0.0, |s| s.value);
            match resource.name.as_str() {
                "cpus" => there.cpus += amount,
                "mem" => there.mem += amount,
                _ => {}
            }
            let ranges = resource.ranges.iter().flat_map(|r| &r.range);
            ports.extend(ranges.map(|r| (r.begin as u16, r.end as u16)));
        }
        ports.sort_unstable();
        let offer = Offer {
            id: offer.id.value.as_str().into(),
            agent: offer.agent_id.value.as_str().into(),
            host: offer.hostname.as_str().into(),
            pools: vec![Pool {
                role: "*".into(),
                there,
                ports,
            }],
        };
        self.service_input(Input::Offers(vec![offer]));
    }

    pub(crate) fn service_update(&mut self, status: &TaskStatus, ack: Option<u64>) {
        let kind = kind(status);
        match kind {
            TaskKind::NotLaunched => self.see(Mark::NotLaunched),
            TaskKind::Unreachable => self.see(Mark::AppUnreachable),
            TaskKind::Killed if status.healthy == Some(false) => self.see(Mark::AppUnhealthy),
            _ => {}
        }
        let event = TaskEvent {
            task: status.task_id.as_str().into(),
            kind,
            state: status.state.name().into(),
            message: status.message.clone().unwrap_or_else(|| "".into()),
            agent: status.agent_id.as_ref().map(|id| id.as_str().into()),
            healthy: status.healthy,
            ack: ack.map(AckToken),
        };
        self.service_input(Input::Task(event));
    }

    /// An ACCEPT was certainly not applied.
    pub(crate) fn service_not_launched(&mut self, task: &TaskId, agent: &AgentId) {
        let event = TaskEvent {
            task: task.as_str().into(),
            kind: TaskKind::NotLaunched,
            state: "TASK_DROPPED".into(),
            message: "its offer was gone".into(),
            agent: Some(agent.as_str().into()),
            healthy: None,
            ack: None,
        };
        self.service_input(Input::Task(event));
    }

    /// What still keeps the apps from being as their users want them, after the healing.
    pub(crate) fn apps_unsettled(&self) -> Option<String> {
        let Some(engine) = &self.service.engine else {
            return Some("the service framework is down".into());
        };
        if let Some(why) = self.service.users.unsettled(engine) {
            return Some(why);
        }
        if let Some(deployment) = engine.deployments().next() {
            return Some(format!("a deployment goes on: {deployment:?}"));
        }
        let apps: Vec<_> = engine.apps().map(|app| Arc::clone(&app.spec)).collect();
        for spec in &apps {
            let instances: Vec<&Instance> = engine.instances_of(&spec.id).collect();
            let serving = |i: &&&Instance| i.is_serving(spec.has_health_checks, false);
            let count = spec.instances as usize;
            if instances.len() != count || instances.iter().filter(serving).count() != count {
                return Some(format!("{} of {} shall serve: {instances:?}", count, spec.id));
            }
            if instances.iter().any(|i| i.config_version != spec.config_version) {
                return Some(format!("instances of {} are old", spec.id));
            }
        }
        let all: usize = apps.iter().map(|spec| spec.instances as usize).sum();
        let known = self.service.durable.instances.len();
        (known != all).then(|| format!("{known} instances are recorded, {all} are wanted"))
    }

    /// A launch this young may arrive after the question.
    const LAUNCH_SETTLES: Duration = Duration::from_secs(60);

    /// Asks about every task whose launch cannot be on its way any more, and about whatever the master knows besides.
    pub(crate) fn service_asks_about_all(&mut self) {
        let now = self.steady_wall(SERVICE);
        let settled = Wall(now.0 - World::LAUNCH_SETTLES.as_nanos() as i64);
        let instances = self.service.durable.instances.values();
        let tasks = instances.filter_map(|instance| {
            let place = instance.place.as_ref()?;
            instance.since.staged.filter(|staged| *staged < settled)?;
            let task = TaskId::as_written(instance.task_id());
            Some((task, AgentId::as_written(&*place.agent)))
        });
        let tasks: Vec<(TaskId, AgentId)> = tasks.collect();
        if !tasks.is_empty() {
            self.reconcile_tasks(SERVICE, &tasks);
        }
        self.reconcile_tasks(SERVICE, &[]);
    }

    /// The tasks of the service framework as it sees them.
    pub(crate) fn app_tasks(&self) -> impl Iterator<Item = (TaskId, TaskState)> + '_ {
        let instances = self.service.durable.instances.values();
        instances.filter_map(|instance| {
            let state = match instance.condition {
                Condition::Scheduled => return None,
                Condition::Provisioned | Condition::Staging => TaskState::Staging,
                Condition::Starting => TaskState::Starting,
                Condition::Running => TaskState::Running,
                Condition::Killing => TaskState::Killing,
                Condition::Unreachable => TaskState::Unreachable,
            };
            Some((TaskId::as_written(instance.task_id()), state))
        })
    }
}

/// The script in an app's definition.
pub(crate) fn script_of(spec: &AppSpec) -> &[u8] {
    spec.wire.get(..Script::BYTES).unwrap_or_default()
}

fn order(launch: &Launch) -> Option<Order> {
    let place = launch.instance.place.as_ref()?;
    Some(Order {
        task: TaskId::as_written(launch.instance.task_id()),
        agent: AgentId::as_written(&*place.agent),
        cpus: launch.spec.demand.cpus,
        mem: launch.spec.demand.mem,
        ports: place.ports.clone(),
        checked: launch.spec.has_health_checks,
        script: script_of(&launch.spec).to_vec().into(),
    })
}

fn kind(status: &TaskStatus) -> TaskKind {
    match status.state {
        TaskState::Staging => TaskKind::Staging,
        TaskState::Starting => TaskKind::Starting,
        TaskState::Running => TaskKind::Running,
        TaskState::Killing => TaskKind::Killing,
        TaskState::Killed => TaskKind::Killed,
        TaskState::Dropped | TaskState::Lost if status.reason == Some(Reason::INVALID_OFFERS) => {
            TaskKind::NotLaunched
        }
        TaskState::Finished
        | TaskState::Failed
        | TaskState::Lost
        | TaskState::Error
        | TaskState::Dropped
        | TaskState::Gone
        | TaskState::GoneByOperator => TaskKind::Ended,
        TaskState::Unreachable => TaskKind::Unreachable,
        TaskState::Unknown => TaskKind::Unknown,
    }
}
