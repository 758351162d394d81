//! An agent's process: its core, its log, its link, its crashes.

use crate::host::Host;
use crate::marks::Mark;
use crate::net::{Conn, ConnId};
use crate::world::{Event, World};
use meseta_agent_core::{
    AgentCore, Config, Effect, ExitReason, Found, Input, LinkId, PersistId, ReconfigurationPolicy, Record,
};
use meseta_types::link::{AgentSpec, FromAgent, ToAgent};
use meseta_types::random::Random;
use meseta_types::{AgentId, Mono, Resources, Role};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// A log that grew by so many records since its last compaction is compacted.
const COMPACT_AFTER: usize = 60;

/// A batch on its way to the disk.
#[derive(Debug)]
struct Batch {
    id: PersistId,
    records: Vec<Record>,
    at: Mono,
}

/// An agent's process and its host.
pub(crate) struct AgentNode {
    pub(crate) index: usize,
    pub(crate) total: Resources,
    pub(crate) life: u32,
    pub(crate) core: Option<AgentCore>,
    tick_at: Option<Mono>,
    pub(crate) random: Random,
    /// The longest an fsync takes in this seed.
    fsync_max: Duration,
    pub(crate) log: Vec<Record>,
    grown: usize,
    batches: VecDeque<Batch>,
    pub(crate) conn: Option<ConnId>,
    pub(crate) boots: u32,
    pub(crate) host: Host,
    pub(crate) executors: crate::executor::Executors,
    pub(crate) wall_off: i64,
    effects: Vec<Effect>,
}

impl AgentNode {
    pub(crate) fn new(index: usize, mut random: Random, resources: &str) -> AgentNode {
        let host = Host::new(random.fork());
        AgentNode {
            index,
            total: Resources::parse(resources, &Role::star()).unwrap_or_default(),
            life: 0,
            core: None,
            tick_at: None,
            fsync_max: Duration::from_millis(
                1 + if random.below(4) == 0 {
                    random.below(600)
                } else {
                    random.below(30)
                },
            ),
            random,
            log: Vec::new(),
            grown: 0,
            batches: VecDeque::new(),
            conn: None,
            boots: 1,
            host,
            executors: Default::default(),
            wall_off: 0,
            effects: Vec::new(),
        }
    }

    pub(crate) fn id(&self) -> Option<AgentId> {
        self.log.iter().rev().find_map(|r| match r {
            Record::Agent(spec) => spec.id.clone(),
            _ => None,
        })
    }

    fn spec(&self) -> AgentSpec {
        AgentSpec {
            id: None,
            hostname: Arc::from(format!("host-{}", self.index)),
            ip: std::net::IpAddr::from([10, 0, 0, 1 + self.index as u8]),
            port: 5051,
            resources: self.total.clone(),
            version: Arc::from("1.12.0"),
            capabilities: ["MULTI_ROLE", "RESERVATION_REFINEMENT"].map(Arc::from).into(),
            wire: Default::default(),
        }
    }

    /// Batches under way reach the disk or not, in order; the last one perhaps in part.
    fn tear(&mut self) -> bool {
        while let Some(batch) = self.batches.pop_front() {
            match self.random.below(3) {
                0 => self.log.extend(batch.records),
                1 => break,
                _ => {
                    let n = batch.records.len();
                    let kept = self.random.below(n as u64) as usize;
                    self.log.extend(batch.records.into_iter().take(kept));
                    self.batches.clear();
                    return kept > 0;
                }
            }
        }
        self.batches.clear();
        false
    }
}

impl World {
    pub(crate) fn agent_start(&mut self, i: usize) {
        if self.agents[i].core.is_some() {
            return;
        }
        let node = &mut self.agents[i];
        node.life += 1;
        let config = Config {
            seed: node.random.next_u64(),
            registration_backoff_factor: Duration::from_millis(200),
            ping_timeout: Duration::from_secs(3),
            reconfiguration_policy: ReconfigurationPolicy::Additive,
            executor_registration_timeout: Duration::from_secs(6),
            ..Config::default()
        };
        node.core = Some(AgentCore::new(config, node.spec()));
        node.tick_at = None;
        let found = Found {
            records: node.log.clone(),
            containers: node.host.found(),
            boot_id: Arc::from(format!("boot-{}", node.boots)),
            old_agents: Vec::new(),
        };
        let life = node.life;
        self.trace.say(self.now, &format!("agent {i}"), &"starts");
        self.agent_input(i, life, Input::Recover(found));
        let master = Some(Arc::from(crate::master::ADDRESS));
        self.agent_input(i, life, Input::Master(master));
    }

    /// The agent's process ends; its containers run on.
    pub(crate) fn agent_crash(&mut self, i: usize, down: Duration) {
        let node = &mut self.agents[i];
        if node.core.take().is_none() {
            return;
        }
        let torn = node.tear();
        let running = node.host.is_running_any();
        self.trace.say(self.now, &format!("agent {i}"), &"CRASH");
        if torn {
            self.see(Mark::TornLog);
        }
        if running {
            self.see(Mark::AgentCrash);
        }
        self.agents[i].host.agent_crashed();
        self.executors_lose_agent(i);
        if let Some(id) = self.agents[i].conn.take() {
            self.conns[id].agent_end = false;
            self.conns[id].broken = true;
            let after = self.net.notice();
            self.at(after, Event::MasterSeesEnd(id));
        }
        self.at(down, Event::AgentStart(i));
    }

    pub(crate) fn agent_tick(&mut self, i: usize) {
        let node = &mut self.agents[i];
        if node.tick_at.is_some_and(|at| at <= self.now) {
            node.tick_at = None;
            let life = node.life;
            self.agent_input(i, life, Input::Tick);
        }
    }

    fn arm_agent(&mut self, i: usize) {
        let node = &mut self.agents[i];
        let Some((at, _)) = node.core.as_ref().and_then(|c| c.deadline()) else {
            return;
        };
        let at = at.max(self.now);
        if node.tick_at.is_none_or(|t| at < t) {
            node.tick_at = Some(at);
            self.heap.push(at, Event::AgentTick(i));
        }
    }

    pub(crate) fn agent_input(&mut self, i: usize, life: u32, input: Input) {
        let now = self.clocks(self.agents[i].wall_off);
        if self.agents[i].life != life || self.is_overtaken(i, &input) {
            return;
        }
        let node = &mut self.agents[i];
        let Some(core) = node.core.as_mut() else {
            return;
        };
        if self.options.print || self.options.digest {
            self.trace.say(self.now, &format!("-> agent {i}"), &input);
        }
        self.oracle.agent_hears(&input);
        let launch = matches!(&input, Input::FromMaster(_, ToAgent::RunTask { .. }));
        let retries = core.counters().update_retries;
        let mut effects = std::mem::take(&mut node.effects);
        core.step(now, input, &mut effects);
        self.steps += 1;
        let retried = core.counters().update_retries > retries;
        let checked = core.check();
        if retried {
            self.see(Mark::UpdateRetry);
        }
        if let Err(broken) = checked {
            self.fail(format!("agent {i}: {broken}"));
        }
        if launch {
            self.check_physical(i);
        }
        if let Err(why) = self.oracle.agent_step(&effects, &self.agents[i]) {
            self.fail(format!("agent {i}: {why}"));
        }
        for effect in effects.drain(..) {
            if self.agents[i].core.is_none() {
                break;
            }
            self.agent_effect(i, life, effect);
        }
        self.agents[i].effects = effects;
        self.arm_agent(i);
    }

    fn agent_effect(&mut self, i: usize, life: u32, effect: Effect) {
        if self.options.print || self.options.digest {
            self.trace.say(self.now, &format!("   agent {i} ->"), &effect);
        }
        match effect {
            Effect::Connect { link, .. } => self.dial(i, life, link),
            Effect::Disconnect(link) => self.hang_up(i, link),
            Effect::Send(message) => self.send_to_master(i, message),
            Effect::Persist { id, records } => self.persist(i, life, id, records),
            Effect::Launch(order) => self.host_launch(i, order),
            Effect::Terminate(container) => self.host_terminate(i, &container),
            Effect::Destroy(container) => self.host_destroy(i, &container),
            Effect::Forget(container) => self.host_forget(i, &container),
            Effect::Resize { container_id, .. } => {
                let outcome = Ok(());
                let input = Input::Resized {
                    container_id,
                    outcome,
                };
                self.at(Duration::from_micros(200), Event::Agent(i, life, input));
            }
            Effect::Probe(order) => self.host_probe(i, order),
            Effect::CancelProbe(_) | Effect::Notice(..) => {}
            Effect::ExecutorAnswer { request, answer } => self.executor_answered(i, request, answer),
            Effect::ToExecutor(stream, event) => self.send_to_executor(i, stream, event),
            Effect::CloseExecutor(stream) => self.executor_closed(i, stream),
            Effect::MeasureDisk => {
                let used = self.agents[i].random.unit();
                self.at(
                    Duration::from_millis(1),
                    Event::Agent(i, life, Input::DiskUsage(used)),
                );
            }
            Effect::Remove(path) => {
                let input = Input::Removed { path, gone: true };
                self.at(Duration::from_millis(5), Event::Agent(i, life, input));
            }
            Effect::Exit(reason) => self.agent_exits(i, &reason),
        }
    }

    fn agent_exits(&mut self, i: usize, reason: &ExitReason) {
        match reason {
            // Whatever supervises the agent starts it again.
            ExitReason::Stopped(_) => self.agent_crash(i, Duration::from_secs(1)),
            ExitReason::Incompatible(why) => self.fail(format!("agent {i} gives up: {why}")),
        }
    }

    fn dial(&mut self, i: usize, life: u32, link: LinkId) {
        let id = self.conns.len();
        self.conns.push(Conn::new(i, life, link, self.master.life));
        self.agents[i].conn = Some(id);
        let at = self.net.when_at_master(i, self.now);
        let at = self.conns[id].arrival_at_master(at);
        self.heap.push(at, Event::Knock(id));
    }

    fn hang_up(&mut self, i: usize, link: LinkId) {
        let Some(id) = self.agents[i].conn.take() else {
            return;
        };
        if self.conns[id].agent_link != link {
            self.agents[i].conn = Some(id);
            return;
        }
        self.conns[id].agent_end = false;
        let at = self.net.when_at_master(i, self.now);
        let at = self.conns[id].arrival_at_master(at);
        self.heap.push(at, Event::MasterSeesEnd(id));
    }

    fn send_to_master(&mut self, i: usize, message: FromAgent) {
        let Some(id) = self.agents[i].conn else {
            return self.fail(format!("agent {i} speaks without a connection"));
        };
        if !self.conns[id].broken {
            let first = matches!(message, FromAgent::Register { .. } | FromAgent::Reregister { .. });
            let at = self.net.when_at_master(i, self.now);
            let at = self.conns[id].arrival_at_master(at);
            if first && self.net.doubled() {
                self.heap.push(at, Event::ToMaster(id, message.clone()));
            }
            self.heap.push(at, Event::ToMaster(id, message));
        }
    }

    pub(crate) fn reach_agent(&mut self, id: ConnId, message: ToAgent) {
        let conn = &self.conns[id];
        if !conn.agent_end || conn.broken {
            return;
        }
        let (i, life, link) = (conn.agent, conn.agent_life, conn.agent_link);
        self.agent_input(i, life, Input::FromMaster(link, message));
    }

    pub(crate) fn agent_sees_end(&mut self, id: ConnId) {
        let conn = &mut self.conns[id];
        if !std::mem::replace(&mut conn.agent_end, false) {
            return;
        }
        let (i, life, link) = (conn.agent, conn.agent_life, conn.agent_link);
        if self.agents[i].conn == Some(id) {
            self.agents[i].conn = None;
        }
        self.agent_input(i, life, Input::LinkDown(link));
    }

    fn persist(&mut self, i: usize, life: u32, id: PersistId, records: Vec<Record>) {
        let node = &mut self.agents[i];
        let wait = node.random.duration_below(node.fsync_max);
        let last = node.batches.back().map_or(self.now, |b| b.at);
        let at = last.max(self.now + wait);
        node.batches.push_back(Batch { id, records, at });
        self.heap.push(at, Event::LogDone { agent: i, life });
    }

    pub(crate) fn log_done(&mut self, i: usize, life: u32) {
        let node = &mut self.agents[i];
        if node.life != life || node.core.is_none() {
            return;
        }
        let Some(batch) = node.batches.pop_front() else {
            return;
        };
        node.grown += batch.records.len();
        node.log.extend(batch.records);
        if node.grown >= COMPACT_AFTER
            && let Some(core) = &node.core
        {
            node.log = core.snapshot();
            node.grown = 0;
            self.see(Mark::Compaction);
        }
        self.agent_input(i, life, Input::Persisted(batch.id));
    }
}
