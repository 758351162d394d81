//! The connection to the master: who leads, connecting, registering, pings, back-off (mesos-agent 1.4).
//!
//! States and what moves them:
//!
//! | state | moves on |
//! |---|---|
//! | `Idle` | a master is known and recovery is over: connect (at once, or after a random wait if something failed before) |
//! | `Backoff` | the wait is over: connect |
//! | `Connecting` | `LinkUp`: register; `LinkDown`: back off |
//! | `Registering` | the master's answer: registered; `LinkDown`, silence: back off |
//! | `Registered` | `LinkDown`, no ping, `connected=false`, another master: connect again |
//!
//! Nothing that arrives over another link than the current one is applied.

use super::{AgentCore, Phase};
use crate::config::Config;
use crate::io::*;
use crate::timers::Timer;
use meseta_types::link::{AgentSpec, FromAgent, ToAgent};
use meseta_types::random::Random;
use meseta_types::{AgentId, Mono};
use std::sync::Arc;
use std::time::Duration;

/// Longest wait before the next try to register (Mesos: REGISTER_RETRY_INTERVAL_MAX).
const BACKOFF_MAX: Duration = Duration::from_secs(60);
/// Doublings after which the longest wait is reached in any case.
const DOUBLINGS_MAX: u32 = 16;

/// Where the connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Idle,
    Backoff,
    Connecting(LinkId),
    Registering(LinkId),
    Registered(LinkId),
}

/// The connection to the master.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) state: State,
    pub(super) master: Option<Arc<str>>,
    random: Random,
    factor: Duration,
    /// Tries since the last registration.
    failures: u32,
    /// A master was lost: the next connection waits randomly, because every other agent lost it too.
    spread: bool,
    /// The agent left for good: it does not connect again.
    pub(super) left: bool,
    last: u64,
    ping_timeout: Duration,
}

impl Link {
    pub(super) fn new(random: Random, config: &Config) -> Link {
        Link {
            state: State::Idle,
            master: None,
            random,
            factor: config.registration_backoff_factor,
            failures: 0,
            spread: false,
            left: false,
            last: 0,
            ping_timeout: config.ping_timeout,
        }
    }

    pub(super) fn is_registered(&self) -> bool {
        matches!(self.state, State::Registered(_))
    }

    /// Whether an answer of the master to a registration may come.
    pub(super) fn is_opening(&self) -> bool {
        matches!(self.state, State::Connecting(_) | State::Registering(_))
    }

    fn open(&self) -> Option<LinkId> {
        match self.state {
            State::Connecting(l) | State::Registering(l) | State::Registered(l) => Some(l),
            State::Idle | State::Backoff => None,
        }
    }

    /// A random wait in [0, factor * 2^failures], at most a minute.
    fn backoff(&mut self) -> Duration {
        let doubled = self.factor.saturating_mul(1 << self.failures.min(DOUBLINGS_MAX));
        self.random.duration_below(doubled.min(BACKOFF_MAX))
    }
}

impl AgentCore {
    pub(super) fn master_detected(&mut self, master: Option<Arc<str>>) {
        if self.link.master == master {
            return;
        }
        let had = self.link.master.is_some();
        self.link.master = master;
        self.close_link();
        self.link.spread |= had;
        self.link.failures = 0;
        self.link.state = State::Idle;
        self.timers.cancel(&Timer::Link);
        self.connect_soon();
    }

    /// Connects when there is whom to connect to and nothing to wait for.
    pub(super) fn connect_soon(&mut self) {
        let ready = matches!(self.phase, Phase::Running | Phase::Terminating(_));
        if !ready || self.link.left || self.link.master.is_none() || self.link.state != State::Idle {
            return;
        }
        if self.link.failures == 0 && !self.link.spread {
            self.connect();
        } else {
            let wait = self.link.backoff();
            self.link.state = State::Backoff;
            self.timers.set(Timer::Link, self.now.mono + wait);
        }
    }

    fn connect(&mut self) {
        let Some(master) = self.link.master.clone() else {
            return;
        };
        self.link.last += 1;
        let link = LinkId(self.link.last);
        self.link.state = State::Connecting(link);
        self.await_answer();
        self.out.push(Effect::Connect { link, master });
    }

    /// Neither connecting nor registering may take longer than the master's own patience.
    fn await_answer(&mut self) {
        let at = self.now.mono + self.link.ping_timeout;
        self.timers.set(Timer::Link, at);
    }

    pub(super) fn link_timer(&mut self) {
        match self.link.state {
            State::Backoff => self.connect(),
            State::Connecting(_) | State::Registering(_) => self.link_failed(),
            State::Idle | State::Registered(_) => {}
        }
    }

    pub(super) fn link_up(&mut self, link: LinkId) {
        if self.link.state != State::Connecting(link) {
            return;
        }
        self.link.state = State::Registering(link);
        self.await_answer();
        let agent = (*self.agent).clone();
        let first = if agent.id.is_some() {
            FromAgent::Reregister {
                agent,
                inventory: self.inventory(),
            }
        } else {
            FromAgent::Register { agent }
        };
        self.send(first);
    }

    pub(super) fn link_down(&mut self, link: LinkId) {
        if self.link.open() == Some(link) {
            self.link_failed();
        }
    }

    /// The connection is lost or of no use: back off and try again.
    fn link_failed(&mut self) {
        self.close_link();
        self.link.state = State::Idle;
        let wait_counts = self.link.failures.saturating_add(1);
        self.connect_after_failure(wait_counts);
    }

    fn connect_after_failure(&mut self, failures: u32) {
        self.timers.cancel(&Timer::Link);
        // The first wait is in [0, factor]: the count before this failure.
        self.link.spread = true;
        self.connect_soon();
        self.link.failures = failures;
    }

    fn close_link(&mut self) {
        if let Some(link) = self.link.open() {
            self.out.push(Effect::Disconnect(link));
        }
        self.timers.cancel(&Timer::Ping);
        self.pause_updates();
    }

    pub(super) fn ping_timeout(&mut self) {
        if self.link.is_registered() {
            self.notice(Level::Warn, "no ping from the master: registering again");
            self.link_failed();
        }
    }

    pub(super) fn master_said(&mut self, link: LinkId, message: ToAgent) {
        match self.link.state {
            State::Registering(l) if l == link => self.before_registered(message),
            State::Registered(l) if l == link => self.order_of_master(message),
            _ => self.counters.ignored_inputs += 1,
        }
    }

    fn before_registered(&mut self, message: ToAgent) {
        match message {
            ToAgent::Registered {
                agent_id,
                total_ping_timeout,
            } => self.registered(agent_id, total_ping_timeout),
            ToAgent::Reregistered {
                agent_id,
                total_ping_timeout,
                reconcile,
            } => {
                self.registered(agent_id, total_ping_timeout);
                if self.link.is_registered() {
                    self.reconcile(reconcile);
                }
            }
            ToAgent::Shutdown { message } => self.shutdown_ordered(message),
            ToAgent::Ping { .. } => self.send(FromAgent::Pong),
            other => self.ignore(format!("before registration: {}", name_of(&other))),
        }
    }

    fn order_of_master(&mut self, message: ToAgent) {
        match message {
            // The answer to a registration that was told twice.
            ToAgent::Registered { .. } | ToAgent::Reregistered { .. } => {}
            ToAgent::Ping { connected } => self.ping(connected),
            ToAgent::Shutdown { message } => self.shutdown_ordered(message),
            ToAgent::RunTask {
                framework,
                task,
                launch_executor,
            } => self.run_task(framework, task, launch_executor),
            ToAgent::RunTaskGroup {
                framework,
                executor,
                tasks,
                launch_executor,
            } => self.run_group(framework, &executor, tasks, launch_executor),
            ToAgent::KillTask {
                framework_id,
                task_id,
                kill_policy,
                grace,
            } => self.kill_task(&framework_id, &task_id, kill_policy, grace),
            ToAgent::ShutdownExecutor {
                framework_id,
                executor_id,
            } => self.shutdown_executor(&framework_id, &executor_id),
            ToAgent::AckUpdate {
                framework_id,
                task_id,
                uuid,
            } => self.acknowledged(&(framework_id, task_id), uuid),
            ToAgent::FrameworkMessage {
                framework_id,
                executor_id,
                data,
            } => self.framework_message(&framework_id, &executor_id, data),
            ToAgent::ShutdownFramework { framework_id } => self.shutdown_framework(&framework_id),
            ToAgent::UpdateFramework { framework } => self.update_framework(framework),
        }
    }

    fn ping(&mut self, connected: bool) {
        self.send(FromAgent::Pong);
        if connected {
            self.expect_ping();
            return;
        }
        self.notice(
            Level::Warn,
            "the master counts this agent as disconnected: registering again",
        );
        self.close_link();
        self.link.state = State::Idle;
        self.connect_soon();
    }

    fn expect_ping(&mut self) {
        let at: Mono = self.now.mono + self.link.ping_timeout;
        self.timers.set(Timer::Ping, at);
    }

    fn registered(&mut self, id: AgentId, ping_timeout: Duration) {
        if self.agent.id.as_ref().is_some_and(|mine| *mine != id) {
            let text = format!(
                "the master gave agent id {id} to an agent that has another one already: remove \
                 meta/slaves/latest below the work directory to join as a new agent"
            );
            self.out.push(Effect::Exit(ExitReason::Incompatible(text.into())));
            return;
        }
        let State::Registering(link) = self.link.state else {
            return;
        };
        self.link.state = State::Registered(link);
        self.link.failures = 0;
        self.link.spread = false;
        self.link.ping_timeout = ping_timeout;
        self.timers.cancel(&Timer::Link);
        self.expect_ping();
        if self.agent.id.is_none() {
            self.take_id(id);
        }
        self.resume_updates(None);
        self.say_goodbye();
    }

    fn take_id(&mut self, id: AgentId) {
        let spec = AgentSpec {
            id: Some(id),
            ..(*self.agent).clone()
        };
        self.journal.record(Record::Agent(spec.clone()), None);
        self.agent = Arc::new(spec);
    }
}

fn name_of(message: &ToAgent) -> &'static str {
    match message {
        ToAgent::Registered { .. } => "Registered",
        ToAgent::Reregistered { .. } => "Reregistered",
        ToAgent::Shutdown { .. } => "Shutdown",
        ToAgent::RunTask { .. } => "RunTask",
        ToAgent::RunTaskGroup { .. } => "RunTaskGroup",
        ToAgent::KillTask { .. } => "KillTask",
        ToAgent::ShutdownExecutor { .. } => "ShutdownExecutor",
        ToAgent::AckUpdate { .. } => "AckUpdate",
        ToAgent::FrameworkMessage { .. } => "FrameworkMessage",
        ToAgent::ShutdownFramework { .. } => "ShutdownFramework",
        ToAgent::UpdateFramework { .. } => "UpdateFramework",
        ToAgent::Ping { .. } => "Ping",
    }
}
