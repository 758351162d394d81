//! The agent's core: its state, the dispatch of inputs, timers and durable records.
//!
//! Which question lives here: what follows, in which order, from one input. The answers live in the modules below, one
//! per concern: `link` (the master's connection), `launch`, `kill`, `command` (the core as executor of command tasks),
//! `custom` (executors of frameworks), `end` (containers that ended), `update`, `gc`, `recover`, `stop`, `view`. The core
//! is called by the agent's shell and by the simulated world; it never does I/O.

mod command;
mod custom;
mod end;
mod gc;
mod kill;
mod launch;
mod link;
mod recover;
mod stop;
mod update;
mod view;

use crate::config::Config;
use crate::io::*;
use crate::journal::{After, Journal};
use crate::model::{Executor, Framework};
use crate::streams::Streams;
use crate::timers::{Timer, Timers};
use gc::Gc;
use link::Link;
use meseta_types::link::{AgentSpec, FromAgent};
use meseta_types::random::Random;
use meseta_types::{AgentId, ContainerId, ExecutorId, FrameworkId, Mono, Now, TaskId, UpdateUuid};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// The effects of a step, in order.
pub type Effects = Vec<Effect>;

/// What the agent is doing, with the data of the state.
#[derive(Clone, Debug, PartialEq)]
enum Phase {
    /// Before [`Input::Recover`].
    Starting,
    /// Executors of the last life may still come back; not registered with a master before.
    Waiting,
    /// Ordinary.
    Running,
    /// All containers are being ended, then the process.
    Terminating(Stopping),
}

/// How the agent ends.
#[derive(Clone, Debug, Default, PartialEq)]
struct Stopping {
    /// The master's word, when it ordered the end.
    message: Option<Arc<str>>,
    /// The master is told that the agent leaves for good.
    unregister: bool,
    /// [`Effect::Exit`] was given out.
    exited: bool,
}

/// The agent's core.
#[derive(Debug)]
pub struct AgentCore {
    config: Config,
    phase: Phase,
    /// The agent as configured, with its id once it has one.
    agent: Arc<AgentSpec>,
    link: Link,
    frameworks: BTreeMap<FrameworkId, Framework>,
    completed: VecDeque<Arc<FrameworkView>>,
    /// Where each container that is not gone belongs.
    containers: BTreeMap<ContainerId, (FrameworkId, ExecutorId)>,
    /// Containers nobody knows, being destroyed.
    orphans: BTreeSet<ContainerId>,
    streams: Streams,
    journal: Journal,
    timers: Timers,
    probes: BTreeMap<ProbeId, (ContainerId, ProbeKind)>,
    probes_made: u64,
    gc: Gc,
    random: Random,
    counters: Counters,
    boot_id: Arc<str>,
    /// The clocks of the current step.
    now: Now,
    /// The effects of the current step.
    out: Effects,
}

impl AgentCore {
    /// A core that waits for [`Input::Recover`]. `agent` is the agent as configured; its id is ignored.
    pub fn new(config: Config, agent: AgentSpec) -> AgentCore {
        let mut random = Random::new(config.seed);
        let agent = AgentSpec { id: None, ..agent };
        AgentCore {
            link: Link::new(random.fork(), &config),
            gc: Gc::new(&config),
            config,
            phase: Phase::Starting,
            agent: Arc::new(agent),
            frameworks: BTreeMap::new(),
            completed: VecDeque::new(),
            containers: BTreeMap::new(),
            orphans: BTreeSet::new(),
            streams: Streams::default(),
            journal: Journal::default(),
            timers: Timers::default(),
            probes: BTreeMap::new(),
            probes_made: 0,
            random,
            counters: Counters::default(),
            boot_id: Arc::from(""),
            now: Now::default(),
            out: Vec::new(),
        }
    }

    /// One input, all its consequences, in order.
    pub fn step(&mut self, now: Now, input: Input, out: &mut Effects) {
        self.now = now;
        if self.phase == Phase::Starting && !accepted_before_recovery(&input) {
            self.before_recovery(input);
        } else {
            self.dispatch(input);
        }
        self.settle();
        out.append(&mut self.out);
    }

    fn dispatch(&mut self, input: Input) {
        match input {
            Input::Recover(found) => self.recover(found),
            Input::Tick => self.tick(),
            Input::Master(master) => self.master_detected(master),
            Input::LinkUp(link) => self.link_up(link),
            Input::LinkDown(link) => self.link_down(link),
            Input::FromMaster(link, message) => self.master_said(link, message),
            Input::Persisted(id) => self.persisted(id),
            Input::Launched {
                container_id,
                outcome,
            } => self.launched(&container_id, outcome),
            Input::Exited {
                container_id,
                termination,
            } => self.exited(&container_id, termination),
            Input::Resized {
                container_id,
                outcome,
            } => self.resized(&container_id, outcome),
            Input::SupervisorRestarted(survivors) => self.supervisor_restarted(survivors),
            Input::ProbeDone { probe, outcome } => self.probe_done(probe, outcome),
            Input::ExecutorCall {
                request,
                framework_id,
                executor_id,
                call,
            } => self.executor_call(request, &framework_id, &executor_id, call),
            Input::ExecutorDisconnected(stream) => self.executor_disconnected(stream),
            Input::DiskUsage(used) => self.disk_usage(used),
            Input::Removed { path, gone } => self.removed(&path, gone),
            Input::Stop { unregister } => self.stop(unregister),
        }
    }

    fn before_recovery(&mut self, input: Input) {
        if let Input::ExecutorCall { request, .. } = input {
            self.out.push(Effect::ExecutorAnswer {
                request,
                answer: Err(ExecutorRefusal::Recovering),
            });
        } else {
            self.counters.ignored_inputs += 1;
        }
    }

    /// When it wants [`Input::Tick`] next, and what for.
    pub fn deadline(&self) -> Option<(Mono, TimerKind)> {
        self.timers.next()
    }

    fn tick(&mut self) {
        while let Some(timer) = self.timers.pop_due(self.now.mono) {
            match timer {
                Timer::Link => self.link_timer(),
                Timer::Ping => self.ping_timeout(),
                Timer::Retry(framework, task) => self.retry((framework, task)),
                Timer::Registration(container) => self.registration_timeout(&container),
                Timer::Grace(container) => self.grace_over(&container),
                Timer::Completion(container) => self.completion_time_over(&container),
                Timer::Probe(container, kind) => self.probe_due(&container, kind),
                Timer::Reregistration => self.reregistration_timeout(),
                Timer::DiskWatch => self.watch_disk(),
                Timer::Gc => self.collect_sandboxes(),
            }
        }
    }

    fn persisted(&mut self, id: PersistId) {
        for after in self.journal.durable(id) {
            self.after(after);
        }
    }

    fn after(&mut self, after: After) {
        match after {
            After::Update { key, uuid, executor } => self.update_durable(&key, uuid, executor.as_ref()),
            After::Launch(container) => self.order_launch(&container),
            After::Deliver(key) => self.enqueue(&key),
            After::Kill(container) => self.carry_out_kill(&container),
            After::Forget(container) => self.out.push(Effect::Forget(container)),
        }
    }

    /// The end of every step: the batch of records, and the process's own end.
    fn settle(&mut self) {
        if let Some((id, records)) = self.journal.take_batch() {
            self.out.push(Effect::Persist { id, records });
        }
        self.finish_stopping();
    }

    fn framework_executor(&mut self, container: &ContainerId) -> Option<(&Framework, &Executor)> {
        let (f, e) = self.containers.get(container)?;
        let framework = self.frameworks.get(f)?;
        let executor = framework.executors.get(e)?;
        Some((framework, executor))
    }

    fn executor_mut(&mut self, container: &ContainerId) -> Option<&mut Executor> {
        let (f, e) = self.containers.get(container)?;
        self.frameworks.get_mut(f)?.executors.get_mut(e)
    }

    /// The one task of the command executor in this container.
    fn command_task(&self, container: &ContainerId) -> Option<(FrameworkId, TaskId)> {
        let (f, e) = self.containers.get(container)?;
        let executor = self.frameworks.get(f)?.executors.get(e)?;
        if !executor.generated {
            return None;
        }
        executor.tasks.keys().next().map(|t| (f.clone(), t.clone()))
    }

    fn agent_id(&self) -> Option<AgentId> {
        self.agent.id.clone()
    }

    /// A random (version 4) uuid.
    fn uuid(&mut self) -> [u8; 16] {
        let mut b = self.random.bytes16();
        b[6] = (b[6] & 0x0f) | 0x40;
        b[8] = (b[8] & 0x3f) | 0x80;
        b
    }

    fn update_uuid(&mut self) -> UpdateUuid {
        UpdateUuid(self.uuid())
    }

    fn new_container_id(&mut self) -> ContainerId {
        let b = self.uuid();
        let hex: String = b.iter().map(|b| format!("{b:02x}")).collect();
        ContainerId::as_written(format!(
            "{}-{}-{}-{}-{}",
            &hex[..8],
            &hex[8..12],
            &hex[12..16],
            &hex[16..20],
            &hex[20..]
        ))
    }

    fn send(&mut self, message: FromAgent) {
        self.out.push(Effect::Send(message));
    }

    fn notice(&mut self, level: Level, text: impl Into<Arc<str>>) {
        self.out.push(Effect::Notice(level, text.into()));
    }

    /// An input that does not fit the state: counted, said, ignored.
    fn ignore(&mut self, text: impl Into<Arc<str>>) {
        self.counters.ignored_inputs += 1;
        self.notice(Level::Warn, text);
    }
}

fn accepted_before_recovery(input: &Input) -> bool {
    // The address of the master may be found first; it is used when recovery is over.
    matches!(input, Input::Recover(_) | Input::Master(_) | Input::Stop { .. })
}
