//! The scheduler driver as a pure machine: how a framework stays subscribed, and what a lost answer means.
//!
//! The question that lives here: given what the wire, the store and the author said so far, what is to be sent,
//! stored and told next? [`crate::Client`] drives it over real sockets, the simulated world over modelled ones. It
//! never reads a clock, a socket or the system's randomness, and never touches a task's state: that is the author's.
//!
//! ```text
//!            +--------------------------- any failure --------------------------+
//!            v                                                                  |
//! Fresh -> Storing -> Locating -> Connecting -> Subscribing -> Subscribed -> BackingOff -> Locating
//!                                  (headers)    (SUBSCRIBED)   (silence)         |
//!            every state -----------> Stopped(exit) <----------------------------+
//! ```
//!
//! What it keeps: an id is durable before the first SUBSCRIBE; one link at a time, and nothing an older link says
//! counts; each command is answered exactly once; `Exit` comes exactly once and last; "failed over" and "removed"
//! are final.

mod backoff;
mod calls;
mod io;
mod rules;
mod stop;

#[cfg(test)]
mod tests;

pub use io::{
    AckToken, Acked, CallError, CallSeq, Command, CommandId, Epoch, Exit, Identity, Input, Lane, LinkEvent,
    LinkId, Notice, Output, Reply, Sent, Stop, TimerKind, Wish,
};

use crate::endpoint::Endpoint;
use backoff::{BackOff, Rng};
use calls::{Calls, Stream};
use meseta_proto::mesos::v1;
use meseta_proto::mesos::v1::scheduler::{self, call, event};
use meseta_types::{FrameworkId, Mono, Now};
use std::time::Duration;
use stop::Stopping;

/// The driver's limits; the defaults are what Mesos's own libraries settled on, with jitter.
#[derive(Clone, Debug, PartialEq)]
pub struct DriverConfig {
    /// What to subscribe as.
    pub wish: Wish,
    /// From connecting to the answer's headers.
    pub headers_timeout: Duration,
    /// From the headers to the SUBSCRIBED event.
    pub first_event_timeout: Duration,
    /// From sending a call to its answer.
    pub call_timeout: Duration,
    /// The interval of signs of life where SUBSCRIBED names none.
    pub heartbeat_interval: Duration,
    /// Ceiling of the first wait between attempts.
    pub backoff_first: Duration,
    /// Ceiling of every wait between attempts.
    pub backoff_most: Duration,
    /// A subscription that lasted this long ends the back-off.
    pub stable_after: Duration,
    /// How long [`Stop::Failover`] flushes.
    pub drain_timeout: Duration,
    /// How long [`Stop::Teardown`] insists.
    pub teardown_timeout: Duration,
    /// Calls under way or kept for the next stream, at most; more are answered `Busy`. Acknowledgements do not
    /// count: there are never more of them than updates were delivered.
    pub calls_max: usize,
}

impl DriverConfig {
    /// The defaults for this wish.
    pub fn new(wish: Wish) -> DriverConfig {
        DriverConfig {
            wish,
            // Connecting alone is bounded to 5 s by the wire; a master that accepts and says nothing gets the rest.
            headers_timeout: Duration::from_secs(15),
            first_event_timeout: Duration::from_secs(15),
            call_timeout: Duration::from_secs(10),
            heartbeat_interval: Duration::from_secs(15),
            backoff_first: Duration::from_millis(100),
            backoff_most: Duration::from_secs(15),
            stable_after: Duration::from_secs(60),
            drain_timeout: Duration::from_secs(5),
            // Long enough for one lost master and one lost answer.
            teardown_timeout: Duration::from_secs(30),
            // A few thousand launches may be in flight over four lanes; beyond that waiting is better than queueing.
            calls_max: 8_192,
        }
    }
}

/// A defect of this machine, found by [`Driver::check`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("driver invariant broken: {0}")]
pub struct Broken(pub String);

/// Silence of this many heartbeat intervals is a dead stream.
const SILENT_INTERVALS: u32 = 3;

/// Redirects followed before the masters are held to be undecided.
const HOPS_MAX: usize = 5;

#[derive(Clone, Debug)]
enum State {
    Fresh,
    Storing,
    Locating,
    Connecting {
        until: Mono,
    },
    Subscribing {
        until: Mono,
    },
    Subscribed {
        since: Mono,
        heard: Mono,
        limit: Duration,
    },
    BackingOff {
        until: Mono,
    },
    Stopped(Exit),
}

/// See the module.
#[derive(Debug)]
pub struct Driver {
    cfg: DriverConfig,
    identity: Identity,
    state: State,
    /// The newest link's name; its events are the only ones that count.
    link: LinkId,
    /// The newest subscription's number.
    epoch: Epoch,
    wish: Wish,
    /// A wish nobody has confirmed: UPDATE_FRAMEWORK whose stream broke. The next SUBSCRIBE tries it.
    trial: Option<(Wish, CommandId)>,
    calls: Calls,
    backoff: BackOff,
    rng: Rng,
    /// What the locator said, and which of it is next.
    masters: Vec<Endpoint>,
    next_master: usize,
    /// Endpoints visited since the last attempt began: redirects must not go in circles.
    hops: Vec<Endpoint>,
    stopping: Option<Stopping>,
}

impl Driver {
    /// A machine that has not begun; the first [`Input::Tick`] starts it.
    pub fn new(cfg: DriverConfig, identity: Identity, seed: u64) -> Driver {
        Driver {
            wish: cfg.wish.clone(),
            backoff: BackOff::new(cfg.backoff_first, cfg.backoff_most),
            calls: Calls::new(seed ^ 0x5bd1_e995),
            identity,
            state: State::Fresh,
            link: LinkId(0),
            epoch: Epoch(0),
            trial: None,
            rng: Rng::new(seed),
            masters: Vec::new(),
            next_master: 0,
            hops: Vec::new(),
            stopping: None,
            cfg,
        }
    }

    /// The framework's id.
    pub fn framework_id(&self) -> &FrameworkId {
        self.identity.id()
    }

    /// The current subscription, if there is one.
    pub fn epoch(&self) -> Option<Epoch> {
        matches!(self.state, State::Subscribed { .. }).then_some(self.epoch)
    }

    /// How it ended, once it has.
    pub fn ended(&self) -> Option<&Exit> {
        match &self.state {
            State::Stopped(exit) => Some(exit),
            _ => None,
        }
    }

    /// One input, all its consequences, in order.
    pub fn step(&mut self, now: Now, input: Input, out: &mut Vec<Output>) {
        let now = now.mono;
        if let State::Stopped(_) = self.state {
            if let Input::Command(id, _) = input {
                out.push(Output::Answer(id, Err(CallError::Stopped)));
            }
            return;
        }
        match input {
            Input::Tick => {}
            Input::Stored(outcome) => self.stored(outcome, out),
            Input::Located(found) => self.located(now, found, out),
            Input::Link(link, event) if link == self.link => self.link_event(now, event, out),
            Input::Link(..) => {}
            Input::Reply(link, seq, reply) => self.reply(now, link, seq, reply, out),
            Input::Command(id, Command::Call { epoch, agent, call }) => {
                self.command(now, id, epoch, agent, *call, out);
            }
            Input::Command(id, Command::Stop(how)) => self.stop(now, id, how, out),
            Input::Ack(token) => self.acknowledge(now, token, out),
        }
        self.expire(now, out);
        self.finish_stopping(now, out);
    }

    /// When it wants the next [`Input::Tick`], and what for.
    pub fn deadline(&self) -> Option<(Mono, TimerKind)> {
        let own = match &self.state {
            State::Fresh => Some((Mono(0), TimerKind::Start)),
            State::Storing | State::Locating => None,
            State::Connecting { until } => Some((*until, TimerKind::Headers)),
            State::Subscribing { until } => Some((*until, TimerKind::FirstEvent)),
            State::Subscribed { heard, limit, .. } => Some((*heard + *limit, TimerKind::Silence)),
            State::BackingOff { until } => Some((*until, TimerKind::BackOff)),
            State::Stopped(_) => return None,
        };
        let drain = self.stopping.as_ref().map(|s| (s.until, TimerKind::Drain));
        [own, drain, self.calls.deadline()].into_iter().flatten().min()
    }

    /// Recomputes what must always hold.
    pub fn check(&self) -> Result<(), Broken> {
        self.calls.check()?;
        let streaming = matches!(self.state, State::Subscribed { .. });
        if !streaming && self.calls.in_flight() > 0 {
            return Err(Broken(format!(
                "{} calls in flight without a stream",
                self.calls.in_flight()
            )));
        }
        if matches!(self.state, State::Stopped(_)) && (self.calls.len() > 0 || self.trial.is_some()) {
            return Err(Broken("unanswered commands after the end".to_owned()));
        }
        Ok(())
    }

    fn expire(&mut self, now: Mono, out: &mut Vec<Output>) {
        match self.state {
            State::Fresh => self.start(out),
            State::Connecting { until } if now >= until => {
                self.lose(now, "no answer to SUBSCRIBE".to_owned(), None, out);
            }
            State::Subscribing { until } if now >= until => {
                self.lose(now, "no SUBSCRIBED event".to_owned(), None, out);
            }
            State::Subscribed { heard, limit, .. } if now >= heard + limit => {
                let why = format!("the master was silent for {} s", limit.as_secs());
                self.lose(now, why, None, out);
            }
            State::BackingOff { until } if now >= until => self.locate(out),
            _ => {}
        }
        if matches!(self.state, State::Subscribed { .. }) {
            let stream = Stream {
                link: self.link,
                epoch: self.epoch,
                wish: &self.wish,
            };
            self.calls.expire(now, &self.cfg, &stream, out);
        }
    }

    fn start(&mut self, out: &mut Vec<Output>) {
        match &self.identity {
            Identity::Known(_) => self.locate(out),
            Identity::Chosen(id) => {
                out.push(Output::Store(id.clone()));
                self.state = State::Storing;
            }
        }
    }

    fn stored(&mut self, outcome: Result<(), String>, out: &mut Vec<Output>) {
        if !matches!(self.state, State::Storing) {
            return;
        }
        match outcome {
            Ok(()) => {
                self.identity = Identity::Known(self.identity.id().clone());
                self.locate(out);
            }
            Err(why) => self.exit(Exit::StoreLost(why), out),
        }
    }

    fn locate(&mut self, out: &mut Vec<Output>) {
        self.state = State::Locating;
        out.push(Output::Locate);
    }

    fn located(&mut self, now: Mono, found: Result<Vec<Endpoint>, String>, out: &mut Vec<Output>) {
        if !matches!(self.state, State::Locating) {
            return;
        }
        match found {
            Err(why) => self.lose(now, why, None, out),
            Ok(masters) if masters.is_empty() => {
                self.lose(now, "no master is known".to_owned(), None, out);
            }
            Ok(masters) => {
                self.masters = masters;
                self.hops.clear();
                let endpoint = self.masters[self.next_master % self.masters.len()].clone();
                self.connect(now, endpoint, out);
            }
        }
    }

    fn connect(&mut self, now: Mono, endpoint: Endpoint, out: &mut Vec<Output>) {
        self.link = LinkId(self.link.0 + 1);
        self.hops.push(endpoint.clone());
        self.state = State::Connecting {
            until: now + self.cfg.headers_timeout,
        };
        out.push(Output::Connect {
            link: self.link,
            endpoint,
            subscribe: Box::new(self.subscribe_call()),
        });
    }

    fn subscribe_call(&self) -> scheduler::Call {
        let wish = self.trial.as_ref().map_or(&self.wish, |(wish, _)| wish);
        scheduler::Call {
            framework_id: Some(self.wire_id()),
            r#type: Some(call::Type::Subscribe as i32),
            subscribe: Some(call::Subscribe {
                framework_info: v1::FrameworkInfo {
                    id: Some(self.wire_id()),
                    ..wish.framework.clone()
                },
                suppressed_roles: wish.suppressed.iter().cloned().collect(),
                offer_constraints: wish.constraints.clone(),
            }),
            ..Default::default()
        }
    }

    fn wire_id(&self) -> v1::FrameworkId {
        v1::FrameworkId {
            value: self.identity.id().to_string(),
        }
    }

    fn link_event(&mut self, now: Mono, event: LinkEvent, out: &mut Vec<Output>) {
        if !self.link_is_open() {
            return;
        }
        if let State::Subscribed { heard, .. } = &mut self.state {
            *heard = now;
        }
        match event {
            LinkEvent::Alive => {}
            LinkEvent::Opened => {
                if matches!(self.state, State::Connecting { .. }) {
                    self.state = State::Subscribing {
                        until: now + self.cfg.first_event_timeout,
                    };
                }
            }
            LinkEvent::Event(event) => self.stream_event(now, event, out),
            LinkEvent::Moved(location) => self.moved(now, &location, out),
            LinkEvent::Unavailable { text, retry_after } => self.lose(now, text, retry_after, out),
            LinkEvent::Refused { code, text } => self.refused(now, code, text, out),
            LinkEvent::Lost(why) => self.lose(now, why, None, out),
        }
    }

    fn link_is_open(&self) -> bool {
        matches!(
            self.state,
            State::Connecting { .. } | State::Subscribing { .. } | State::Subscribed { .. }
        )
    }

    fn stream_event(&mut self, now: Mono, event: Box<scheduler::Event>, out: &mut Vec<Output>) {
        match event.r#type() {
            event::Type::Heartbeat => {}
            event::Type::Subscribed => self.subscribed(now, event.subscribed, out),
            event::Type::Error => {
                let text = event.error.map(|e| e.message).unwrap_or_default();
                self.stream_error(now, text, out);
            }
            _ if matches!(self.state, State::Subscribed { .. }) => {
                out.push(Output::Deliver(Notice::Event {
                    epoch: self.epoch,
                    event,
                }));
            }
            other => {
                let why = format!("{} came before SUBSCRIBED", other.as_str_name());
                self.lose(now, why, None, out);
            }
        }
    }

    fn subscribed(&mut self, now: Mono, event: Option<event::Subscribed>, out: &mut Vec<Output>) {
        if matches!(self.state, State::Subscribed { .. }) {
            return self.lose(now, "a second SUBSCRIBED event".to_owned(), None, out);
        }
        let Some(subscribed) = event else {
            return self.lose(now, "a SUBSCRIBED event without content".to_owned(), None, out);
        };
        if subscribed.framework_id.value != self.identity.id().as_str() {
            let text = format!(
                "it was given the id {} instead of {}",
                subscribed.framework_id.value,
                self.identity.id()
            );
            return self.exit(Exit::Refused(text), out);
        }
        let interval = subscribed
            .heartbeat_interval_seconds
            .and_then(|s| Duration::try_from_secs_f64(s).ok())
            .filter(|d| !d.is_zero())
            .unwrap_or(self.cfg.heartbeat_interval);
        self.epoch = Epoch(self.epoch.0 + 1);
        self.state = State::Subscribed {
            since: now,
            heard: now,
            limit: interval.saturating_mul(SILENT_INTERVALS),
        };
        out.push(Output::Deliver(Notice::Subscribed {
            epoch: self.epoch,
            framework_id: self.identity.id().clone(),
            master: subscribed.master_info.map(Box::new),
        }));
        if let Some((wish, command)) = self.trial.take() {
            self.wish = wish;
            out.push(Output::Answer(command, Ok(self.sent())));
        }
        self.calls.stream_opened(now, &self.cfg, self.link, out);
        self.resume_stopping(now, out);
    }

    /// An ERROR event: the stream ends after it. Two texts are final; before SUBSCRIBED any text is a verdict on
    /// the framework as it describes itself (Mesos answers validation failures in band).
    fn stream_error(&mut self, now: Mono, text: String, out: &mut Vec<Output>) {
        match text.as_str() {
            "Framework failed over" => self.exit(Exit::FailedOver, out),
            "Framework has been removed" => {
                let exit = if self.tearing_down() {
                    Exit::TornDown
                } else {
                    Exit::Removed
                };
                self.exit(exit, out);
            }
            _ if matches!(self.state, State::Subscribed { .. }) => self.lose(now, text, None, out),
            _ => self.refused(now, 400, text, out),
        }
    }

    /// SUBSCRIBE was refused. If it carried an unconfirmed wish, that is at fault and the old one is tried again.
    fn refused(&mut self, now: Mono, code: u16, text: String, out: &mut Vec<Output>) {
        if let Some((_, command)) = self.trial.take() {
            out.push(Output::Answer(
                command,
                Err(CallError::Refused {
                    code,
                    text: text.clone(),
                }),
            ));
            return self.lose(now, text, None, out);
        }
        match code {
            401 | 403 => self.exit(Exit::Unauthorized(text), out),
            _ => self.exit(Exit::Refused(text), out),
        }
    }

    /// The leader is elsewhere. While subscribing that is followed at once; a circle of redirects is an election
    /// under way. A stream that ends with it is lost like any other: its calls must be settled first.
    fn moved(&mut self, now: Mono, location: &str, out: &mut Vec<Output>) {
        if matches!(self.state, State::Subscribed { .. }) {
            return self.lose(now, format!("another master leads: {location}"), None, out);
        }
        match Endpoint::from_location(location) {
            Err(e) => self.lose(now, format!("a redirect to nowhere: {e}"), None, out),
            Ok(to) if self.hops.contains(&to) || self.hops.len() > HOPS_MAX => {
                self.lose(
                    now,
                    format!("the masters redirect in circles (last to {to})"),
                    None,
                    out,
                );
            }
            Ok(to) => {
                out.push(Output::Cut(self.link));
                self.connect(now, to, out);
            }
        }
    }

    /// The link is no use any more: cut it, tell, settle the calls, wait, try the next master.
    fn lose(&mut self, now: Mono, why: String, wait: Option<Duration>, out: &mut Vec<Output>) {
        if self.link_is_open() {
            out.push(Output::Cut(self.link));
        }
        match self.state {
            State::Subscribed { since, .. } => {
                if now.since(since) >= self.cfg.stable_after {
                    self.backoff.reset();
                }
                let trial = self.calls.stream_lost(&why, self.epoch, out);
                self.keep_trial(trial, out);
            }
            // The next attempt goes to the next master of the list; a lost leader is asked first, since it may be back.
            _ => self.next_master = self.next_master.wrapping_add(1),
        }
        let (mut until, mut retry_in) = self.backoff.failed(now, &mut self.rng);
        if let Some(asked) = wait
            .map(|w| w.min(self.cfg.backoff_most))
            .filter(|w| *w > retry_in)
        {
            (until, retry_in) = (now + asked, asked);
        }
        self.state = State::BackingOff { until };
        out.push(Output::Deliver(Notice::Disconnected {
            why,
            retry_at: until,
            retry_in,
        }));
    }

    /// The newest unconfirmed wish replaces an older one.
    fn keep_trial(&mut self, trial: Option<(Wish, CommandId)>, out: &mut Vec<Output>) {
        if let Some(newer) = trial
            && let Some((_, older)) = self.trial.replace(newer)
        {
            out.push(Output::Answer(older, Err(CallError::Stale)));
        }
    }

    fn sent(&self) -> Sent {
        Sent {
            seq: CallSeq(0),
            epoch: self.epoch,
        }
    }

    fn exit(&mut self, exit: Exit, out: &mut Vec<Output>) {
        if self.link_is_open() {
            out.push(Output::Cut(self.link));
        }
        self.calls.end(out);
        if let Some((_, command)) = self.trial.take() {
            out.push(Output::Answer(command, Err(CallError::Stopped)));
        }
        if let Some(stopping) = self.stopping.take() {
            out.push(Output::Answer(stopping.command, Ok(self.sent())));
        }
        out.push(Output::Exit(exit.clone()));
        self.state = State::Stopped(exit);
    }
}
