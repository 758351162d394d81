//! The cron framework: its engine, its store, its crashes, and what its shell makes of offers and updates.

pub(crate) mod oracle;
pub(crate) mod users;

use crate::client::build::Order;
use crate::client::{CRON, ClientEvent};
use crate::marks::Mark;
use crate::script::Script;
use crate::store::{Fate, Store};
use crate::world::{Event, World};
use jiff::{SignedDuration, Timestamp};
use meseta_cron_core::engine::{Config, Engine};
use meseta_cron_core::io::{
    AckToken, Change, CommitId, Effect, Input, Now, Offer, Outcome, TaskEvent, TaskKind,
};
use meseta_cron_core::job::{Demand, Job, JobName, JobSpec};
use meseta_cron_core::run::{Run, RunId, State};
use meseta_proto::mesos::v1;
use meseta_types::random::Random;
use meseta_types::task::{Reason, TaskStatus};
use meseta_types::{AgentId, Mono, TaskId, TaskState};
use oracle::RunsOracle;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use users::JobUsers;

/// What is durable; what ended is the oracle's.
#[derive(Clone, Debug, Default)]
pub(crate) struct Durable {
    pub(crate) jobs: BTreeMap<JobName, Job>,
    pub(crate) runs: BTreeMap<RunId, Run>,
}

/// The cron framework's process, beside what it shares with other clients.
pub(crate) struct CronNode {
    pub(crate) engine: Option<Engine>,
    pub(crate) store: Store<Change>,
    pub(crate) durable: Durable,
    tick_at: Option<Mono>,
    inputs: VecDeque<Input>,
    stepping: bool,
    pub(crate) oracle: RunsOracle,
    pub(crate) users: JobUsers,
}

impl CronNode {
    pub(crate) fn new(mut random: Random) -> CronNode {
        CronNode {
            engine: None,
            store: Store::new(random.fork()),
            durable: Durable::default(),
            tick_at: None,
            inputs: VecDeque::new(),
            stepping: false,
            oracle: RunsOracle::default(),
            users: JobUsers::new(random.fork()),
        }
    }
}

impl World {
    /// The cron framework lives by the wall clock, jumps and all.
    pub(crate) fn cron_now(&self) -> Timestamp {
        let wall = self.clocks(self.clients[CRON].wall_off).wall;
        Timestamp::from_nanosecond(wall.0.into()).unwrap_or(Timestamp::MAX)
    }

    pub(crate) fn cron_start(&mut self) {
        let config = Config {
            failure_retry: SignedDuration::from_secs(4),
            partition_timeout: SignedDuration::from_secs(40),
            ..Config::default()
        };
        let node = &mut self.cron;
        let jobs = node.durable.jobs.values().cloned().collect();
        let runs = node.durable.runs.values().cloned().collect();
        node.engine = Some(Engine::recover(config, jobs, runs));
        node.tick_at = None;
        node.inputs.clear();
        if let Err(why) = node.users.cron_is_back(&node.durable, &node.oracle) {
            self.fail(format!("cron: {why}"));
        }
        self.cron_input(Input::Tick);
    }

    pub(crate) fn cron_crash(&mut self) {
        let node = &mut self.cron;
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
            self.cron_is_durable(changes);
        }
        self.cron.users.cron_is_gone();
        if let Some(mark) = mark {
            self.see(mark);
        }
    }

    pub(crate) fn cron_tick(&mut self) {
        if self.cron.tick_at.is_some_and(|at| at <= self.now) {
            self.cron.tick_at = None;
            self.cron_input(Input::Tick);
        }
    }

    /// A shell looks at the wall clock at least so often: it may jump.
    const LOOK: Duration = Duration::from_secs(1);

    fn arm_cron(&mut self) {
        let now = self.cron_now();
        let Some(at) = self.cron.engine.as_ref().and_then(Engine::deadline) else {
            return;
        };
        let wait = Duration::try_from(at.duration_since(now)).unwrap_or_default();
        let at = self.now + wait.min(World::LOOK);
        if self.cron.tick_at.is_none_or(|t| at < t) {
            self.cron.tick_at = Some(at);
            let life = self.clients[CRON].life;
            self.heap
                .push(at, Event::Client(CRON, ClientEvent::EngineTick(life)));
        }
    }

    /// One input of the engine. Those that come while one is dealt with wait for its end.
    pub(crate) fn cron_input(&mut self, input: Input) {
        self.cron.inputs.push_back(input);
        if std::mem::replace(&mut self.cron.stepping, true) {
            return;
        }
        while let Some(input) = self.cron.inputs.pop_front() {
            self.cron_step(input);
        }
        self.cron.stepping = false;
    }

    fn cron_step(&mut self, input: Input) {
        let now = self.cron_now();
        if self.options.print || self.options.digest {
            self.trace.say(self.now, "-> cron", &input);
        }
        self.cron.oracle.clock(now);
        let Some(engine) = self.cron.engine.as_mut() else {
            return;
        };
        let mut effects = Vec::new();
        let now = Now {
            wall: now,
            mono: self.now,
        };
        engine.step(now, input, &mut effects);
        self.steps += 1;
        if let Err(broken) = engine.check() {
            self.fail(format!("cron: {broken}"));
        }
        for effect in effects {
            self.cron_effect(effect);
        }
        self.arm_cron();
    }

    fn cron_effect(&mut self, effect: Effect) {
        if self.cron.engine.is_none() {
            return;
        }
        if self.options.print || self.options.digest {
            self.trace.say(self.now, "   cron ->", &effect);
        }
        match effect {
            Effect::Commit(id, changes) => {
                let at = self.cron.store.write(self.now, id.0, changes);
                let life = self.clients[CRON].life;
                self.heap
                    .push(at, Event::Client(CRON, ClientEvent::StoreDone(life)));
            }
            Effect::Answer(request, answer) => self.job_user_hears(request, answer),
            Effect::Accept { offer, runs } => self.cron_launches(&offer, &runs),
            Effect::Decline { offer, refuse } => {
                let refuse = Duration::try_from(refuse).unwrap_or_default();
                self.decline_offer(CRON, &offer, refuse);
            }
            Effect::Want(wanted) => self.want_offers(CRON, wanted),
            Effect::Kill { run, agent } => self.kill_task(CRON, &TaskId::as_written(run.as_str()), &agent),
            Effect::Reconcile(runs) => {
                let tasks = runs.into_iter();
                let tasks: Vec<(TaskId, AgentId)> = tasks
                    .map(|(run, agent)| (TaskId::as_written(run.as_str()), AgentId::as_written(&*agent)))
                    .collect();
                self.reconcile_tasks(CRON, &tasks);
            }
            Effect::Acknowledge(AckToken(token)) => self.acknowledge(CRON, token),
            Effect::Notify(_) | Effect::Show { .. } => {}
        }
    }

    pub(crate) fn cron_store_done(&mut self) {
        let Some((id, fate)) = self.cron.store.end() else {
            return;
        };
        let outcome = match fate {
            Fate::Done(changes) => {
                self.cron_is_durable(changes);
                Outcome::Done
            }
            Fate::Refused => {
                self.see(Mark::WriteRefused);
                Outcome::Refused("no space".into())
            }
            Fate::Unknown(changes) => {
                self.cron_is_durable(changes);
                self.see(Mark::WriteUnknown);
                return self.client_crash(CRON, Duration::from_millis(300));
            }
        };
        self.cron_input(Input::Committed(CommitId(id), outcome));
    }

    /// A write is durable: invariant 7 is judged on it.
    fn cron_is_durable(&mut self, changes: Vec<Change>) {
        let node = &mut self.cron;
        let before = node.durable.clone();
        let mut ended = Vec::new();
        for change in changes {
            match change {
                Change::Job(job) => drop(node.durable.jobs.insert(job.spec.name.clone(), job)),
                Change::DropJob(name) => drop(node.durable.jobs.remove(&name)),
                Change::Run(run) => drop(node.durable.runs.insert(run.id.clone(), run)),
                Change::DropRun(id) => drop(node.durable.runs.remove(&id)),
                Change::Ended(end) => ended.push(end),
            }
        }
        match node.oracle.durable(&before, &node.durable, &ended, &node.users) {
            Ok(marks) => marks.into_iter().for_each(|mark| self.see(mark)),
            Err(why) => self.fail(format!("cron: {why}")),
        }
    }

    fn cron_launches(&mut self, offer: &str, runs: &[(Run, Arc<JobSpec>)]) {
        for (run, _) in runs {
            let known = self.cron.durable.runs.get(&run.id);
            if !known.is_some_and(|known| matches!(known.state, State::Launched { .. })) {
                self.fail(format!("cron: {} is launched before its record", run.id));
            }
        }
        let orders: Vec<Order> = runs.iter().filter_map(|(run, spec)| order(run, spec)).collect();
        if orders.len() < runs.len() {
            return self.fail("cron: a launch without a place");
        }
        self.accept_offer(CRON, offer, &orders);
    }

    pub(crate) fn cron_offered(&mut self, offer: &v1::Offer) {
        let mut there = Demand::default();
        for resource in &offer.resources {
            let amount = resource.scalar.as_ref().map_or(0.0, |s| s.value);
            match resource.name.as_str() {
                "cpus" => there.cpus += amount,
                "mem" => there.mem += amount,
                _ => {}
            }
        }
        let offer = Offer {
            id: offer.id.value.as_str().into(),
            agent: offer.agent_id.value.as_str().into(),
            host: offer.hostname.as_str().into(),
            attributes: Vec::new(),
            there,
        };
        self.cron_input(Input::Offers(vec![offer]));
    }

    pub(crate) fn cron_update(&mut self, status: &TaskStatus, ack: Option<u64>) {
        let kind = kind(status);
        match kind {
            TaskKind::NotLaunched => self.see(Mark::NotLaunched),
            TaskKind::Unreachable => self.see(Mark::RunUnreachable),
            _ => {}
        }
        let event = TaskEvent {
            run: RunId::written(status.task_id.as_str()),
            kind,
            message: status.message.clone().unwrap_or_else(|| "".into()),
            agent: status.agent_id.as_ref().map(|id| id.as_str().into()),
            ack: ack.map(AckToken),
        };
        self.cron_input(Input::Task(event));
    }

    /// An ACCEPT was certainly not applied.
    pub(crate) fn cron_not_launched(&mut self, task: &TaskId) {
        let event = TaskEvent {
            run: RunId::written(task.as_str()),
            kind: TaskKind::NotLaunched,
            message: "its offer was gone".into(),
            agent: None,
            ack: None,
        };
        self.cron_input(Input::Task(event));
    }

    /// What still keeps the jobs from being at rest, after the healing and once all are disabled.
    pub(crate) fn jobs_unsettled(&self) -> Option<String> {
        let Some(engine) = &self.cron.engine else {
            return Some("the cron framework is down".into());
        };
        self.cron.users.unsettled(engine).or_else(|| {
            let run = engine.runs().values().next();
            run.map(|run| format!("a run goes on: {run:?}"))
        })
    }
}

/// The script in a job's definition.
pub(crate) fn script_of(spec: &JobSpec) -> &[u8] {
    spec.wire.get(..Script::BYTES).unwrap_or_default()
}

fn order(run: &Run, spec: &JobSpec) -> Option<Order> {
    let place = run.place()?;
    Some(Order {
        task: TaskId::as_written(run.id.as_str()),
        agent: AgentId::as_written(&*place.agent),
        cpus: spec.demand.cpus,
        mem: spec.demand.mem,
        ports: Vec::new(),
        checked: false,
        script: script_of(spec).to_vec().into(),
    })
}

fn kind(status: &TaskStatus) -> TaskKind {
    match status.state {
        TaskState::Staging | TaskState::Starting | TaskState::Running | TaskState::Killing => {
            TaskKind::Running
        }
        TaskState::Finished => TaskKind::Finished,
        TaskState::Failed | TaskState::Error => TaskKind::Failed,
        TaskState::Killed => TaskKind::Killed,
        TaskState::Dropped | TaskState::Lost
            if [Some(Reason::INVALID_OFFERS), Some(Reason::RECONCILIATION)].contains(&status.reason) =>
        {
            TaskKind::NotLaunched
        }
        // The agent is there and does not know it.
        TaskState::Gone if status.reason == Some(Reason::RECONCILIATION) => TaskKind::Unknown,
        TaskState::Lost | TaskState::Dropped | TaskState::Gone | TaskState::GoneByOperator => TaskKind::Lost,
        TaskState::Unreachable => TaskKind::Unreachable,
        TaskState::Unknown => TaskKind::Vanished,
    }
}
