//! The world itself: its parts, its events, its clock.
//!
//! Everything happens in [`World::happen`], one event at a time. Parts live in files of their own as methods on the
//! world: the master (`master`), agents (`agent`), hosts (`host`), executors (`executor`), scripted frameworks
//! (`framework`), the real ones (`client`, `service`, `cron`), faults (`faults`), the end (`settle`).

use crate::agent::AgentNode;
use crate::client::{Client, ClientEvent};
use crate::cron::CronNode;
use crate::executor::ExecutorEvent;
use crate::faults::Faults;
use crate::framework::{FrameworkNode, FrameworkTimer};
use crate::heap::Heap;
use crate::host::HostEvent;
use crate::marks::{Mark, Marks};
use crate::master::MasterNode;
use crate::net::{Conn, ConnId, Net, Stream, StreamId};
use crate::oracle::Oracle;
use crate::service::ServiceNode;
use crate::trace::Trace;
use crate::{Options, Report};
use meseta_agent_core as agent_core;
use meseta_master_core as master_core;
use meseta_types::link::{FromAgent, ToAgent};
use meseta_types::random::Random;
use meseta_types::{ContainerId, FrameworkId, Mono, Now, Wall};
use std::time::Duration;

/// Hosts in the world.
pub(crate) const AGENTS: usize = 3;
/// Scripted frameworks; the service and the cron framework are numbered after them.
pub(crate) const SCRIPTED: usize = 2;
/// Where the wall clocks start.
const EPOCH: i64 = 1_795_239_201_000_000_000;

/// Something that happens at its time.
#[derive(Debug)]
pub(crate) enum Event {
    MasterStart,
    MasterTick,
    StoreDone {
        life: u32,
    },
    AgentStart(usize),
    AgentTick(usize),
    /// An input for this life of an agent's core.
    Agent(usize, u32, agent_core::Input),
    LogDone {
        agent: usize,
        life: u32,
    },
    /// An agent's connection attempt reaches the master's host.
    Knock(ConnId),
    ToMaster(ConnId, FromAgent),
    ToAgent(ConnId, ToAgent),
    MasterSeesEnd(ConnId),
    AgentSeesEnd(ConnId),
    Host(usize, HostEvent),
    Executor(usize, ContainerId, ExecutorEvent),
    Subscribe(StreamId),
    ToFramework(StreamId, master_core::io::Event),
    MasterSeesStreamEnd(StreamId),
    Paced(StreamId),
    FrameworkSeesStreamEnd(StreamId),
    Call {
        stream: StreamId,
        framework_id: FrameworkId,
        call: master_core::io::Call,
    },
    FrameworkStart(usize),
    Framework(usize, u32, FrameworkTimer),
    Client(usize, ClientEvent),
    Fault,
}

/// Everything.
pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) options: Options,
    pub(crate) now: Mono,
    pub(crate) heap: Heap<Event>,
    pub(crate) net: Net,
    pub(crate) conns: Vec<Conn>,
    pub(crate) streams: Vec<Stream>,
    pub(crate) master: MasterNode,
    pub(crate) agents: Vec<AgentNode>,
    pub(crate) frameworks: Vec<FrameworkNode>,
    /// The service and the cron framework, if they are in this world.
    pub(crate) clients: Vec<Client>,
    pub(crate) service: ServiceNode,
    pub(crate) cron: CronNode,
    pub(crate) faults: Faults,
    pub(crate) oracle: Oracle,
    pub(crate) marks: Marks,
    pub(crate) trace: Trace,
    pub(crate) steps: u64,
    pub(crate) failure: Option<String>,
}

impl World {
    pub(crate) fn new(seed: u64, options: &Options) -> World {
        // One generator per concern, all grown from the seed: drawing more for one changes nothing for another.
        let mut root = Random::new(seed);
        let net = Net::new(root.fork(), AGENTS);
        let calm = options.frameworks;
        let faults = Faults::new(root.fork(), calm);
        let master = MasterNode::new(root.fork());
        let resources = match calm {
            true => "cpus:10;mem:8192;ports:[31000-31200]",
            false => "cpus:4;mem:2048",
        };
        let agents = (0..AGENTS)
            .map(|i| AgentNode::new(i, root.fork(), resources))
            .collect();
        let frameworks = (0..SCRIPTED)
            .map(|i| FrameworkNode::new(i, root.fork(), calm))
            .collect();
        let clients = if options.frameworks { 2 } else { 0 };
        let clients = (0..clients).map(|c| Client::new(c, root.fork())).collect();
        let service = ServiceNode::new(root.fork());
        let cron = CronNode::new(root.fork());
        World {
            seed,
            options: options.clone(),
            now: Mono(1_000_000_000),
            heap: Heap::new(),
            net,
            conns: Vec::new(),
            streams: Vec::new(),
            master,
            agents,
            frameworks,
            clients,
            service,
            cron,
            faults,
            oracle: Oracle::default(),
            marks: Marks::default(),
            trace: Trace::new(options),
            steps: 0,
            failure: None,
        }
    }

    pub(crate) fn run(mut self) -> Report {
        self.at(Duration::ZERO, Event::MasterStart);
        for i in 0..AGENTS {
            self.at(Duration::from_millis(10 * i as u64), Event::AgentStart(i));
        }
        for f in 0..self.frameworks.len() {
            self.at(Duration::from_millis(50), Event::FrameworkStart(f));
        }
        for c in 0..self.clients.len() {
            self.at(Duration::from_millis(60), Event::Client(c, ClientEvent::Start));
            self.at(Duration::from_millis(500), Event::Client(c, ClientEvent::User));
        }
        self.at(Duration::from_secs(1), Event::Fault);
        let end = self.now + self.options.time;
        self.until(end);
        self.heal();
        self.settle();
        Report {
            seed: self.seed,
            steps: self.steps,
            tasks: self.oracle.tasks_launched(),
            digest: self.trace.hash(),
            marks: self.marks,
            failure: self.failure,
        }
    }

    /// Lets everything up to `end` happen.
    pub(crate) fn until(&mut self, end: Mono) {
        while self.failure.is_none() {
            let Some((at, event)) = self.heap.pop(end) else {
                break;
            };
            self.now = self.now.max(at);
            self.happen(event);
        }
        self.now = self.now.max(end);
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::MasterStart => self.master_start(),
            Event::MasterTick => self.master_tick(),
            Event::StoreDone { life } => self.store_done(life),
            Event::AgentStart(i) => self.agent_start(i),
            Event::AgentTick(i) => self.agent_tick(i),
            Event::Agent(i, life, input) => self.agent_input(i, life, input),
            Event::LogDone { agent, life } => self.log_done(agent, life),
            Event::Knock(conn) => self.knock(conn),
            Event::ToMaster(conn, message) => self.reach_master(conn, message),
            Event::ToAgent(conn, message) => self.reach_agent(conn, message),
            Event::MasterSeesEnd(conn) => self.master_sees_end(conn),
            Event::AgentSeesEnd(conn) => self.agent_sees_end(conn),
            Event::Host(i, event) => self.host_event(i, event),
            Event::Executor(i, container, event) => self.executor_event(i, &container, event),
            Event::Subscribe(stream) => self.subscribe_arrives(stream),
            Event::ToFramework(stream, event) => self.reach_framework(stream, event),
            Event::MasterSeesStreamEnd(stream) => self.master_sees_stream_end(stream),
            Event::Paced(stream) => self.paced(stream),
            Event::FrameworkSeesStreamEnd(stream) => self.framework_sees_stream_end(stream),
            Event::Call {
                stream,
                framework_id,
                call,
            } => self.call_arrives(stream, framework_id, call),
            Event::FrameworkStart(f) => self.framework_start(f),
            Event::Framework(f, life, timer) => self.framework_timer(f, life, timer),
            Event::Client(c, event) => self.client_event(c, event),
            Event::Fault => self.fault(),
        }
    }

    /// Schedules an event after a while.
    pub(crate) fn at(&mut self, after: Duration, event: Event) {
        self.heap.push(self.now + after, event);
    }

    /// The clocks as a process sees them whose wall clock is off by so much.
    pub(crate) fn clocks(&self, off: i64) -> Now {
        let since = i64::try_from(self.now.0).unwrap_or(i64::MAX);
        Now {
            mono: self.now,
            wall: Wall(EPOCH.saturating_add(since).saturating_add(off)),
        }
    }

    pub(crate) fn see(&mut self, mark: Mark) {
        self.marks.see(mark);
    }

    /// The first broken invariant ends the run.
    pub(crate) fn fail(&mut self, what: impl Into<String>) {
        let what = what.into();
        self.trace.say(self.now, "BROKEN", &what);
        if self.failure.is_none() {
            let at = self.now.0 as f64 / 1e9;
            self.failure = Some(format!(
                "at {at:.6} s: {what}\n  replay: MESETA_WORLD_SEED={} cargo test -p meseta-world --test {} -- \
                 --ignored --nocapture replay",
                self.seed,
                if self.options.frameworks {
                    "frameworks_simulation"
                } else {
                    "simulation"
                },
            ));
        }
    }
}
