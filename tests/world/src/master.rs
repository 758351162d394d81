//! The master's process: its core, its store, its crashes.

use crate::marks::Mark;
use crate::net::{ConnId, Stream, StreamId};
use crate::world::{Event, World};
use bytes::Bytes;
use meseta_master_core::io::{
    Call, Change, CommitId, Effect, Effects, Input, LinkId, Outcome, RequestId, Session,
    StreamId as CoreStream, Subscribe,
};
use meseta_master_core::{BROKEN, Config, MasterCore, Recovered};
use meseta_types::link::{FromAgent, ToAgent};
use meseta_types::random::Random;
use meseta_types::{FrameworkId, Mono};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// The address everybody finds the master at.
pub(crate) const ADDRESS: &str = "master:5050";

/// A write under way.
#[derive(Debug)]
struct Write {
    id: CommitId,
    changes: Vec<Change>,
    at: Mono,
}

/// The master's process and what outlives it.
pub(crate) struct MasterNode {
    pub(crate) life: u32,
    pub(crate) core: Option<MasterCore>,
    tick_at: Option<Mono>,
    random: Random,
    /// The longest a write takes in this seed.
    write_max: Duration,
    /// Fates of the next writes, when a fault has decided on them.
    pub(crate) refuse: u32,
    pub(crate) unknown: u32,
    pub(crate) durable: BTreeMap<Arc<str>, Bytes>,
    writes: VecDeque<Write>,
    pub(crate) wall_off: i64,
    requests: u64,
    effects: Effects,
    /// The shell's table of sessions: known frameworks, and the stream of each that is subscribed.
    pub(crate) sessions: BTreeMap<FrameworkId, Option<StreamId>>,
}

impl MasterNode {
    pub(crate) fn new(mut random: Random) -> MasterNode {
        MasterNode {
            life: 0,
            core: None,
            tick_at: None,
            write_max: Duration::from_millis(1 + random.below(80)),
            random,
            refuse: 0,
            unknown: 0,
            durable: BTreeMap::new(),
            writes: VecDeque::new(),
            wall_off: 0,
            requests: 0,
            effects: Effects::new(),
            sessions: BTreeMap::new(),
        }
    }

    pub(crate) fn is_durable(&self, kind: &str, id: &str) -> bool {
        self.durable.contains_key(format!("master/{kind}/{id}").as_str())
    }

    fn apply(&mut self, changes: Vec<Change>) {
        for change in changes {
            match change {
                Change::Put { key, value } => {
                    self.durable.insert(key, value);
                }
                Change::Delete { key } => {
                    self.durable.remove(&key);
                }
            }
        }
    }
}

impl World {
    pub(crate) fn master_start(&mut self) {
        if self.master.core.is_some() {
            return;
        }
        self.master.life += 1;
        let life = self.master.life;
        let entries = self.master.durable.iter();
        let recovered = Recovered::read(entries.map(|(k, v)| (&**k, &v[..])));
        let recovered = match recovered {
            Ok(recovered) => recovered,
            Err(why) => return self.fail(format!("the registry cannot be read: {why}")),
        };
        let mut config = Config::new(format!("m{life}"));
        config.agent_ping_timeout = Duration::from_secs(1);
        config.max_agent_ping_timeouts = 3;
        config.agent_reregister_timeout = Duration::from_secs(12);
        config.offer_timeout = Some(crate::oracle::OFFER_TIMEOUT);
        // Few, so that old ones are forgotten in every world; and each step looks at all that are kept.
        config.max_completed_tasks_per_framework = 20;
        config.seed = self.master.random.next_u64();
        self.trace.say(self.now, "master", &"starts");
        let now = self.clocks(self.master.wall_off);
        self.master.core = Some(MasterCore::new(config, recovered, now));
        self.master.tick_at = None;
        self.arm_master();
    }

    /// The master's process ends; writes under way end up on disk or not, in order.
    pub(crate) fn master_crash(&mut self, down: Duration) {
        let Some(core) = self.master.core.take() else {
            return;
        };
        if core.view().agents.iter().any(|(_, a)| a.connected) {
            self.see(Mark::MasterCrash);
        }
        self.trace.say(self.now, "master", &"CRASH");
        while let Some(write) = self.master.writes.pop_front() {
            if self.master.random.below(2) == 0 {
                self.master.apply(write.changes);
            } else {
                break;
            }
        }
        self.master.writes.clear();
        self.master.sessions.clear();
        for id in 0..self.conns.len() {
            if self.conns[id].master_life == self.master.life && self.conns[id].agent_end {
                self.conns[id].broken = true;
                let after = self.net.notice();
                self.at(after, Event::AgentSeesEnd(id));
            }
        }
        for id in 0..self.streams.len() {
            if self.streams[id].master_life == self.master.life && self.streams[id].framework_end {
                self.streams[id].master_end = false;
                let after = self.net.notice();
                self.at(after, Event::FrameworkSeesStreamEnd(id));
            }
        }
        self.oracle.master_crashed();
        self.at(down, Event::MasterStart);
    }

    pub(crate) fn master_tick(&mut self) {
        if self.master.tick_at.is_some_and(|at| at <= self.now) {
            self.master.tick_at = None;
            self.master_step(Input::Tick);
        }
    }

    fn arm_master(&mut self) {
        let Some((at, _)) = self.master.core.as_ref().and_then(|c| c.deadline()) else {
            return;
        };
        let at = at.max(self.now);
        if self.master.tick_at.is_none_or(|t| at < t) {
            self.master.tick_at = Some(at);
            self.heap.push(at, Event::MasterTick);
        }
    }

    pub(crate) fn master_step(&mut self, input: Input) {
        let now = self.clocks(self.master.wall_off);
        let Some(core) = self.master.core.as_mut() else {
            return;
        };
        self.trace.say(self.now, "-> master", &input);
        let accept = accept_of(&input);
        let mut effects = std::mem::take(&mut self.master.effects);
        core.step(now, input, &mut effects);
        self.steps += 1;
        if let Err(broken) = core.check() {
            self.fail(format!("master: {broken}"));
        }
        let expired = self.oracle.expired;
        let judged = self
            .oracle
            .master_step(self.now, accept, effects.as_slice(), &self.master);
        if let Err(why) = judged {
            self.fail(why);
        }
        if self.oracle.expired > expired {
            self.see(Mark::OfferExpired);
        }
        let mut fall = false;
        for effect in effects.drain() {
            fall |= matches!(effect, Effect::StepDown { .. });
            self.master_effect(effect);
        }
        self.master.effects = effects;
        if fall {
            self.see(Mark::StoreUnknown);
            self.master_crash(Duration::from_millis(300));
        } else {
            self.arm_master();
        }
    }

    fn master_effect(&mut self, effect: Effect) {
        if !matches!(effect, Effect::Operator(_)) {
            self.trace.say(self.now, "   master ->", &effect);
        }
        match effect {
            Effect::Commit { id, changes } => self.write(id, changes),
            Effect::ToAgent { link, message } => self.send_to_agent(link, message),
            Effect::CloseLink { link } => self.close_at_master(link),
            Effect::ToFramework { stream, event } => {
                self.mark_event(&event);
                self.send_to_framework(stream, event);
            }
            Effect::Pace { stream } => self.pace(stream),
            Effect::CloseStream { stream } => self.close_stream_at_master(stream),
            Effect::Note(note) => {
                if note.what == BROKEN {
                    self.fail(format!("master: {}", note.reason));
                }
            }
            Effect::Session {
                framework_id,
                session,
            } => self.session(framework_id, &session),
            Effect::Operator(_) | Effect::Answer { .. } | Effect::StepDown { .. } => {}
        }
    }

    fn session(&mut self, id: FrameworkId, session: &Session) {
        match session {
            Session::Connected { stream, .. } => {
                self.master.sessions.insert(id, Some(stream.0 as StreamId));
            }
            Session::Disconnected { .. } => {
                self.master.sessions.insert(id, None);
            }
            Session::Removed => {
                self.master.sessions.remove(&id);
            }
        }
    }

    fn mark_event(&mut self, event: &meseta_master_core::io::Event) {
        use meseta_master_core::io::Event as E;
        use meseta_types::task::Reason;
        match event {
            E::Rescind { .. } => self.see(Mark::Rescind),
            E::Update(s) if s.unreachable_time.is_some() => self.see(Mark::Unreachable),
            E::Update(s) if s.reason == Some(Reason::INVALID_OFFERS) => self.see(Mark::StaleOffer),
            E::Error { message } if message.contains("removed") => self.see(Mark::FailoverExpiry),
            _ => {}
        }
    }

    pub(crate) fn operator_teardown(&mut self, framework_id: FrameworkId) {
        self.master.requests += 1;
        let request = RequestId(self.master.requests);
        if self.master.core.is_some() {
            self.oracle.teardown_asked(request, &framework_id);
        }
        self.master_step(Input::Teardown {
            request,
            framework_id,
        });
    }

    fn write(&mut self, id: CommitId, changes: Vec<Change>) {
        let wait = self.master.random.duration_below(self.master.write_max);
        let last = self.master.writes.back().map_or(self.now, |w| w.at);
        let at = last.max(self.now + wait);
        self.master.writes.push_back(Write { id, changes, at });
        let life = self.master.life;
        self.heap.push(at, Event::StoreDone { life });
    }

    pub(crate) fn store_done(&mut self, life: u32) {
        if life != self.master.life || self.master.core.is_none() {
            return;
        }
        let Some(write) = self.master.writes.pop_front() else {
            return;
        };
        let id = write.id;
        let outcome = if self.master.refuse > 0 {
            self.master.refuse -= 1;
            self.see(Mark::StoreRefused);
            Outcome::Refused("no space".into())
        } else if self.master.unknown > 0 {
            self.master.unknown -= 1;
            if self.master.random.below(2) == 0 {
                self.master.apply(write.changes);
            }
            Outcome::Unknown
        } else {
            self.master.apply(write.changes);
            Outcome::Done
        };
        self.master_step(Input::Committed { id, outcome });
    }

    pub(crate) fn knock(&mut self, id: ConnId) {
        let up = self.master.core.is_some();
        let Some(conn) = self.conns.get_mut(id) else {
            return;
        };
        let (agent, life, link) = (conn.agent, conn.agent_life, conn.agent_link);
        let input = if up && conn.agent_end {
            conn.master_life = self.master.life;
            conn.master_end = true;
            meseta_agent_core::Input::LinkUp(link)
        } else {
            conn.agent_end = false;
            meseta_agent_core::Input::LinkDown(link)
        };
        let at = self.net.when_at_agent(agent, self.now);
        let at = self.conns[id].arrival_at_agent(at);
        self.heap.push(at, Event::Agent(agent, life, input));
    }

    pub(crate) fn reach_master(&mut self, id: ConnId, message: FromAgent) {
        let conn = &self.conns[id];
        let alive = conn.master_end && !conn.broken && conn.master_life == self.master.life;
        if alive {
            let link = LinkId(id as u64);
            self.master_step(Input::Agent { link, message });
        }
    }

    pub(crate) fn master_sees_end(&mut self, id: ConnId) {
        let conn = &mut self.conns[id];
        if std::mem::replace(&mut conn.master_end, false) && conn.master_life == self.master.life {
            let link = LinkId(id as u64);
            self.master_step(Input::LinkClosed { link });
        }
    }

    fn send_to_agent(&mut self, link: LinkId, message: ToAgent) {
        let id = link.0 as ConnId;
        let Some(conn) = self.conns.get(id) else {
            return self.fail(format!("the master speaks over {link:?}, which does not exist"));
        };
        if conn.master_end && !conn.broken {
            let at = self.net.when_at_agent(conn.agent, self.now);
            let at = self.conns[id].arrival_at_agent(at);
            self.heap.push(at, Event::ToAgent(id, message));
        }
    }

    fn close_at_master(&mut self, link: LinkId) {
        let id = link.0 as ConnId;
        let Some(conn) = self.conns.get_mut(id) else {
            return;
        };
        if std::mem::replace(&mut conn.master_end, false) {
            let agent = conn.agent;
            let at = self.net.when_at_agent(agent, self.now);
            let at = self.conns[id].arrival_at_agent(at);
            self.heap.push(at, Event::AgentSeesEnd(id));
        }
    }

    pub(crate) fn subscribe_arrives(&mut self, id: StreamId) {
        let life = self.master.life;
        let up = self.master.core.is_some();
        let stream = &mut self.streams[id];
        if !up || !stream.framework_end {
            let after = self.net.delay();
            return self.at(after, Event::FrameworkSeesStreamEnd(id));
        }
        stream.master_life = life;
        stream.master_end = true;
        let framework = stream.framework;
        let Some(subscribe) = self.subscription(framework, id) else {
            return;
        };
        let stream = CoreStream(id as u64);
        self.master_step(Input::Subscribe { stream, subscribe });
    }

    /// What a framework says when it subscribes, if it still waits on this stream.
    fn subscription(&self, framework: usize, id: StreamId) -> Option<Subscribe> {
        let stream: &Stream = self.streams.get(id)?;
        if let Some(subscribe) = &stream.subscribe {
            return Some(subscribe.clone());
        }
        let node = self.frameworks.get(framework)?;
        (node.life == stream.framework_life).then(|| node.subscription())
    }

    fn send_to_framework(&mut self, stream: CoreStream, event: meseta_master_core::io::Event) {
        let id = stream.0 as StreamId;
        let delay = self.net.delay();
        let Some(stream) = self.streams.get_mut(id) else {
            return self.fail("the master speaks to a stream which does not exist");
        };
        if stream.master_end && !stream.broken {
            stream.last = stream.last.max(self.now + delay);
            let at = stream.last;
            self.heap.push(at, Event::ToFramework(id, event));
        }
    }

    /// The scheduler has read what was sent when the last of it has arrived.
    fn pace(&mut self, stream: CoreStream) {
        let id = stream.0 as StreamId;
        if let Some(stream) = self.streams.get(id) {
            let at = stream.last.max(self.now);
            self.heap.push(at, Event::Paced(id));
        }
    }

    pub(crate) fn paced(&mut self, id: StreamId) {
        let stream = &self.streams[id];
        if stream.master_end && stream.master_life == self.master.life {
            let stream = CoreStream(id as u64);
            self.master_step(Input::Paced { stream });
        }
    }

    fn close_stream_at_master(&mut self, stream: CoreStream) {
        let id = stream.0 as StreamId;
        if let Some(stream) = self.streams.get_mut(id) {
            stream.master_end = false;
            let at = stream.last.max(self.now) + Duration::from_micros(10);
            if !stream.broken {
                self.heap.push(at, Event::FrameworkSeesStreamEnd(id));
            }
        }
    }

    pub(crate) fn master_sees_stream_end(&mut self, id: StreamId) {
        let stream = &mut self.streams[id];
        if std::mem::replace(&mut stream.master_end, false) && stream.master_life == self.master.life {
            let stream = CoreStream(id as u64);
            self.master_step(Input::StreamClosed { stream });
        }
    }

    pub(crate) fn call_arrives(&mut self, id: StreamId, framework_id: FrameworkId, call: Call) {
        if self.streams[id].master_life == self.master.life {
            let stream = CoreStream(id as u64);
            self.master_step(Input::Call {
                stream,
                framework_id,
                call,
            });
        }
    }
}

/// The accept in an input, for the oracle.
fn accept_of(input: &Input) -> Option<crate::oracle::Accept> {
    match input {
        Input::Call {
            framework_id,
            call: Call::Accept(accept),
            ..
        } => Some(crate::oracle::Accept {
            framework_id: framework_id.clone(),
            offer_ids: accept.offer_ids.clone(),
        }),
        _ => None,
    }
}
