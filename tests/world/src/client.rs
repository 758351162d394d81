//! What the service and the cron framework have in common: a process with the SDK's driver, and its wire to the master.
//!
//! The driver is the real one. Around it stands what its shell does over sockets: streams that delay, break or fall
//! silent, calls that are requests of their own (lost on the way there or back, in order within their lane), the
//! table of sessions the master's shell checks calls against, heartbeats.

pub(crate) mod build;
pub(crate) mod wire;

use crate::marks::Mark;
use crate::net::{Stream, StreamId};
use crate::oracle::Launched;
use crate::world::{Event, SCRIPTED, World};
use build::Order;
use meseta_master_core::io as master;
use meseta_proto::mesos::v1::scheduler;
use meseta_sdk::CallError;
use meseta_sdk::driver::{
    AckToken, Acked, Command, CommandId, Driver, DriverConfig, Epoch, Exit, Identity, Input, Lane, LinkEvent,
    LinkId, Notice, Output, Reply,
};
use meseta_sdk::endpoint::Endpoint;
use meseta_types::random::Random;
use meseta_types::task::TaskStatus;
use meseta_types::{AgentId, FrameworkId, Mono, TaskId, Wall};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// The service framework among the clients.
pub(crate) const SERVICE: usize = 0;
/// The cron framework.
pub(crate) const CRON: usize = 1;

/// The cron framework asks so long after an ACCEPT of which nobody could say whether it arrived: none is under way then.
const ASK_LATER: Duration = Duration::from_secs(80);

/// Both ask about all their tasks so often: a word that is lost is made up for within it.
const ASK_ALL: Duration = Duration::from_secs(60);

const NAMES: [&str; 2] = ["service", "cron"];

/// Something that happens to a client's process. Those that begin with its life are void in the next one.
#[derive(Debug)]
pub(crate) enum ClientEvent {
    Start,
    /// The driver's deadline.
    Tick(u32),
    /// The engine's deadline.
    EngineTick(u32),
    /// The framework's id is durable.
    Stored(u32),
    /// Masters were looked up.
    Located(u32),
    /// A write of the engine ends.
    StoreDone(u32),
    /// A call reaches the master's host.
    Arrives(
        u32,
        LinkId,
        StreamId,
        meseta_sdk::driver::CallSeq,
        Arc<scheduler::Call>,
    ),
    /// Its answer reaches the client.
    Reply(u32, LinkId, meseta_sdk::driver::CallSeq, Reply),
    /// The master's shell gives a sign of life on this stream.
    Heartbeat(StreamId),
    /// Time to ask about everything, as both shells do again and again (`--reconciliation_interval`).
    AskAll(u32),
    /// Time to ask about launches of which nobody could say whether they arrived.
    AskAgain(u32),
    /// A user acts.
    User,
}

/// A client's process: what its two engines share.
pub(crate) struct Client {
    pub(crate) index: usize,
    pub(crate) life: u32,
    pub(crate) driver: Option<Driver>,
    tick_at: Option<Mono>,
    random: Random,
    /// Durable.
    pub(crate) id: Option<FrameworkId>,
    link: LinkId,
    stream: Option<StreamId>,
    /// When the last call of each lane arrives: later ones not before it.
    lanes: BTreeMap<Lane, Mono>,
    commands: u64,
    /// Tasks of ACCEPTs that have no answer yet.
    accepts: BTreeMap<CommandId, Vec<(TaskId, AgentId)>>,
    /// Offers of the present subscription.
    offers: BTreeMap<Arc<str>, Epoch>,
    acks: BTreeMap<u64, AckToken>,
    acks_given: u64,
    outputs: VecDeque<Output>,
    draining: bool,
    pub(crate) wall_off: i64,
    /// As it was when the process began.
    pub(crate) wall_at_start: i64,
}

impl Client {
    pub(crate) fn new(index: usize, random: Random) -> Client {
        Client {
            index,
            life: 0,
            driver: None,
            tick_at: None,
            random,
            id: None,
            link: LinkId(0),
            stream: None,
            lanes: BTreeMap::new(),
            commands: 0,
            accepts: BTreeMap::new(),
            offers: BTreeMap::new(),
            acks: BTreeMap::new(),
            acks_given: 0,
            outputs: VecDeque::new(),
            draining: false,
            wall_off: 0,
            wall_at_start: 0,
        }
    }

    pub(crate) fn is_up(&self) -> bool {
        self.driver.is_some()
    }

    pub(crate) fn is_subscribed(&self) -> bool {
        self.driver.as_ref().is_some_and(|d| d.epoch().is_some())
    }

    /// A seed for the engine's next life.
    pub(crate) fn seed(&mut self) -> u64 {
        self.random.next_u64()
    }
}

impl World {
    pub(crate) fn client_event(&mut self, c: usize, event: ClientEvent) {
        let life = self.clients[c].life;
        match event {
            ClientEvent::Start => self.client_start(c),
            ClientEvent::Tick(of) if of == life => self.driver_tick(c),
            ClientEvent::EngineTick(of) if of == life => self.engine_tick(c),
            ClientEvent::Stored(of) if of == life => self.drive(c, Input::Stored(Ok(()))),
            ClientEvent::Located(of) if of == life => {
                let master = Endpoint {
                    host: "master".to_owned(),
                    port: 5050,
                };
                self.drive(c, Input::Located(Ok(vec![master])));
            }
            ClientEvent::StoreDone(of) if of == life => match c {
                SERVICE => self.service_store_done(),
                _ => self.cron_store_done(),
            },
            ClientEvent::Arrives(of, link, stream, seq, call) => {
                let reply = self.call_reaches_master(c, stream, &call);
                if self.net.lost() {
                    return; // the answer is: the driver's own patience ends it
                }
                let delay = self.net.delay();
                self.at(delay, Event::Client(c, ClientEvent::Reply(of, link, seq, reply)));
            }
            ClientEvent::Reply(of, link, seq, reply) if of == life => {
                self.drive(c, Input::Reply(link, seq, reply));
            }
            ClientEvent::AskAgain(of) if of == life => {
                self.cron_input(meseta_cron_core::io::Input::Reconcile);
            }
            ClientEvent::AskAll(of) if of == life => self.ask_about_all(c),
            ClientEvent::Heartbeat(stream) => self.heartbeat(c, stream),
            ClientEvent::User => match c {
                SERVICE => self.app_user_acts(),
                _ => self.job_user_acts(),
            },
            // Of an earlier life.
            ClientEvent::Tick(_)
            | ClientEvent::EngineTick(_)
            | ClientEvent::Stored(_)
            | ClientEvent::Located(_)
            | ClientEvent::StoreDone(_)
            | ClientEvent::AskAgain(_)
            | ClientEvent::AskAll(_)
            | ClientEvent::Reply(..) => {}
        }
    }

    fn client_start(&mut self, c: usize) {
        let client = &mut self.clients[c];
        if client.is_up() {
            return;
        }
        client.life += 1;
        client.wall_at_start = client.wall_off;
        let identity = match &client.id {
            Some(id) => Identity::Known(id.clone()),
            None => Identity::Chosen(FrameworkId::as_written(format!("{}-1", NAMES[c]))),
        };
        let config = DriverConfig::new(build::wish(NAMES[c]));
        let seed = client.random.next_u64();
        client.driver = Some(Driver::new(config, identity, seed));
        client.tick_at = None;
        client.link = LinkId(0);
        client.outputs.clear();
        self.trace.say(self.now, NAMES[c], &"starts");
        match c {
            SERVICE => self.service_start(),
            _ => self.cron_start(),
        }
        let life = self.clients[c].life;
        self.at(ASK_ALL, Event::Client(c, ClientEvent::AskAll(life)));
        self.arm_driver(c);
    }

    fn ask_about_all(&mut self, c: usize) {
        let life = self.clients[c].life;
        self.at(ASK_ALL, Event::Client(c, ClientEvent::AskAll(life)));
        match c {
            SERVICE => self.service_asks_about_all(),
            _ => self.cron_input(meseta_cron_core::io::Input::Reconcile),
        }
    }

    /// A client's process ends; a write under way may still reach the disk.
    pub(crate) fn client_crash(&mut self, c: usize, down: Duration) {
        if self.clients[c].driver.take().is_none() {
            return;
        }
        self.trace.say(self.now, NAMES[c], &"CRASH");
        self.see(Mark::ClientCrash);
        self.leave_stream(c);
        let client = &mut self.clients[c];
        client.accepts.clear();
        client.offers.clear();
        client.acks.clear();
        client.outputs.clear();
        client.lanes.clear();
        match c {
            SERVICE => self.service_crash(),
            _ => self.cron_crash(),
        }
        self.at(down, Event::Client(c, ClientEvent::Start));
    }

    /// Whether what the master says reaches the client: no end of its stream is gone, and none has broken unnoticed.
    pub(crate) fn hears_master(&self, c: usize) -> bool {
        let client = &self.clients[c];
        let stream = client.stream.and_then(|id| self.streams.get(id));
        client.is_subscribed()
            && stream.is_some_and(|stream| {
                let both_ends = stream.framework_end && stream.master_end;
                both_ends && !stream.broken && stream.master_life == self.master.life
            })
    }

    /// The client's end of its stream is gone.
    fn leave_stream(&mut self, c: usize) {
        if let Some(id) = self.clients[c].stream.take() {
            self.streams[id].framework_end = false;
            let after = self.net.notice();
            self.at(after, Event::MasterSeesStreamEnd(id));
        }
    }

    /// A stream breaks in the middle. With `silent`, the client learns of it only by the silence.
    pub(crate) fn break_stream(&mut self, c: usize, silent: bool) {
        let Some(id) = self.clients[c].stream else {
            return;
        };
        self.streams[id].broken = true;
        if silent {
            return;
        }
        let after = self.net.notice();
        self.at(after, Event::FrameworkSeesStreamEnd(id));
        let after = self.net.notice();
        self.at(after, Event::MasterSeesStreamEnd(id));
    }

    fn driver_tick(&mut self, c: usize) {
        if self.clients[c].tick_at.is_some_and(|at| at <= self.now) {
            self.clients[c].tick_at = None;
            self.drive(c, Input::Tick);
        }
    }

    fn arm_driver(&mut self, c: usize) {
        let client = &mut self.clients[c];
        let Some((at, _)) = client.driver.as_ref().and_then(Driver::deadline) else {
            return;
        };
        let at = at.max(self.now);
        if client.tick_at.is_none_or(|t| at < t) {
            client.tick_at = Some(at);
            let event = ClientEvent::Tick(client.life);
            self.heap.push(at, Event::Client(c, event));
        }
    }

    /// One input of the driver. What comes out is dealt with in its order, also when dealing with it makes more.
    fn drive(&mut self, c: usize, input: Input) {
        let now = self.clocks(self.clients[c].wall_off);
        if self.options.print || self.options.digest {
            self.trace
                .say(self.now, &format!("-> driver {}", NAMES[c]), &input);
        }
        let client = &mut self.clients[c];
        let Some(driver) = client.driver.as_mut() else {
            return;
        };
        let mut out = Vec::new();
        driver.step(now, input, &mut out);
        self.steps += 1;
        if let Err(broken) = driver.check() {
            self.fail(format!("{}: {broken}", NAMES[c]));
        }
        self.clients[c].outputs.extend(out);
        self.arm_driver(c);
        if std::mem::replace(&mut self.clients[c].draining, true) {
            return;
        }
        while let Some(output) = self.clients[c].outputs.pop_front() {
            self.driver_output(c, output);
        }
        self.clients[c].draining = false;
    }

    fn driver_output(&mut self, c: usize, output: Output) {
        if self.options.print || self.options.digest {
            self.trace
                .say(self.now, &format!("   driver {} ->", NAMES[c]), &output);
        }
        let life = self.clients[c].life;
        match output {
            Output::Store(id) => {
                self.clients[c].id = Some(id);
                self.at(
                    Duration::from_millis(2),
                    Event::Client(c, ClientEvent::Stored(life)),
                );
            }
            Output::Locate => {
                self.at(
                    Duration::from_millis(1),
                    Event::Client(c, ClientEvent::Located(life)),
                );
            }
            Output::Connect { link, subscribe, .. } => self.connect_client(c, link, &subscribe),
            Output::Cut(link) => {
                if self.clients[c].link == link {
                    self.leave_stream(c);
                }
            }
            Output::Send {
                link,
                lane,
                seq,
                call,
            } => self.send_call(c, link, lane, seq, call),
            Output::Deliver(notice) => self.deliver(c, notice),
            Output::Answer(command, answer) => {
                let tasks = self.clients[c].accepts.remove(&command);
                if let (Some(tasks), Err(error)) = (tasks, answer) {
                    self.accept_failed(c, tasks, &error);
                }
            }
            Output::Exit(exit) => self.driver_exits(c, &exit),
        }
    }

    fn driver_exits(&mut self, c: usize, exit: &Exit) {
        self.fail(format!("{} gives up: {exit}", NAMES[c]));
    }

    fn connect_client(&mut self, c: usize, link: LinkId, subscribe: &scheduler::Call) {
        let Some(subscribe) = wire::subscription(subscribe) else {
            return self.fail(format!("{} subscribes as nobody can", NAMES[c]));
        };
        let id = self.streams.len();
        let client = &mut self.clients[c];
        self.streams.push(Stream {
            framework: SCRIPTED + c,
            framework_life: client.life,
            master_life: 0,
            framework_end: true,
            master_end: false,
            last: self.now,
            broken: false,
            subscribe: Some(subscribe),
        });
        client.link = link;
        client.stream = Some(id);
        let delay = self.net.delay();
        self.at(delay, Event::Subscribe(id));
    }

    /// The link an open stream is known to its driver by.
    fn link_of(&self, c: usize, id: StreamId) -> Option<LinkId> {
        let client = &self.clients[c];
        let stream = &self.streams[id];
        let here = client.stream == Some(id) && stream.framework_end && stream.framework_life == client.life;
        here.then_some(client.link)
    }

    pub(crate) fn reach_client(&mut self, c: usize, id: StreamId, event: &master::Event) {
        let Some(link) = self.link_of(c, id) else {
            return;
        };
        if let master::Event::Subscribed { .. } = event {
            self.drive(c, Input::Link(link, LinkEvent::Opened));
            self.at(Duration::ZERO, Event::Client(c, ClientEvent::Heartbeat(id)));
        }
        if let Some(event) = wire::event(event) {
            self.drive(c, Input::Link(link, LinkEvent::Event(Box::new(event))));
        }
    }

    fn heartbeat(&mut self, c: usize, id: StreamId) {
        let stream = &self.streams[id];
        if stream.broken || !stream.master_end || stream.master_life != self.master.life {
            return;
        }
        if let Some(link) = self.link_of(c, id) {
            let event = LinkEvent::Event(Box::new(wire::heartbeat()));
            self.drive(c, Input::Link(link, event));
            self.at(wire::HEARTBEAT, Event::Client(c, ClientEvent::Heartbeat(id)));
        }
    }

    pub(crate) fn client_sees_stream_end(&mut self, c: usize, id: StreamId) {
        let link = self.link_of(c, id);
        self.streams[id].framework_end = false;
        if let Some(link) = link {
            self.clients[c].stream = None;
            self.drive(
                c,
                Input::Link(link, LinkEvent::Lost("the connection ended".to_owned())),
            );
        }
    }

    fn send_call(
        &mut self,
        c: usize,
        link: LinkId,
        lane: Lane,
        seq: meseta_sdk::driver::CallSeq,
        call: Arc<scheduler::Call>,
    ) {
        let client = &self.clients[c];
        let (Some(stream), life) = (client.stream.filter(|_| client.link == link), client.life) else {
            return;
        };
        let mut at = self.now + self.net.delay();
        if lane != Lane::Free {
            let last = self.clients[c].lanes.entry(lane).or_default();
            at = at.max(*last);
            *last = at;
        }
        let event = if self.net.lost() {
            let reply = Reply::Unknown("the connection broke".to_owned());
            ClientEvent::Reply(life, link, seq, reply)
        } else {
            ClientEvent::Arrives(life, link, stream, seq, call)
        };
        self.heap.push(at, Event::Client(c, event));
    }

    /// What the master's shell does with a call: the table of sessions first, then the core; answered without it.
    fn call_reaches_master(&mut self, c: usize, stream: StreamId, call: &scheduler::Call) -> Reply {
        let refused = |code, text: &str| Reply::Refused {
            code,
            text: text.to_owned(),
        };
        if self.master.core.is_none() {
            return Reply::Unknown("connection refused".to_owned());
        }
        let Some(id) = self.clients[c].id.clone() else {
            return refused(400, "Framework cannot be found");
        };
        match self.master.sessions.get(&id) {
            None => return refused(400, "Framework cannot be found"),
            Some(None) => return refused(403, "Framework is not subscribed"),
            Some(Some(current)) if *current != stream => {
                return refused(400, "The stream ID included in this request didn't match");
            }
            Some(Some(_)) => {}
        }
        let Some(call) = wire::call(&id, call) else {
            self.fail(format!(
                "{} makes a call that the world does not know: {call:?}",
                NAMES[c]
            ));
            return refused(400, "unknown call");
        };
        self.call_arrives(stream, id, call);
        Reply::Accepted
    }

    /// The author gives the driver a command.
    fn command(
        &mut self,
        c: usize,
        epoch: Option<Epoch>,
        agent: Option<AgentId>,
        call: scheduler::Call,
    ) -> CommandId {
        let client = &mut self.clients[c];
        client.commands += 1;
        let id = CommandId(client.commands);
        let call = Box::new(call);
        self.drive(c, Input::Command(id, Command::Call { epoch, agent, call }));
        id
    }

    pub(crate) fn accept_offer(&mut self, c: usize, offer: &str, orders: &[Order]) {
        let client = &mut self.clients[c];
        let (Some(framework_id), Some(first)) = (client.id.clone(), orders.first()) else {
            return;
        };
        // An offer of an older subscription: the driver refuses it by its number.
        let epoch = client.offers.remove(offer).unwrap_or(Epoch(0));
        let tasks: Vec<(TaskId, AgentId)> =
            orders.iter().map(|o| (o.task.clone(), o.agent.clone())).collect();
        // The answer may come within the command: its tasks must be known by then.
        client.accepts.insert(CommandId(client.commands + 1), tasks);
        for order in orders {
            let launched = Launched {
                command: true,
                checkpoint: true,
                health: order.checked,
                limited: false,
            };
            if let Err(why) = self.oracle.launch(&framework_id, &order.task, launched) {
                self.fail(why);
            }
        }
        let agent = Some(first.agent.clone());
        self.command(c, Some(epoch), agent, build::accept(offer, orders));
    }

    pub(crate) fn decline_offer(&mut self, c: usize, offer: &str, refuse: Duration) {
        if let Some(epoch) = self.clients[c].offers.remove(offer) {
            self.command(c, Some(epoch), None, build::decline(offer, refuse));
        }
    }

    pub(crate) fn want_offers(&mut self, c: usize, wanted: bool) {
        let call = if wanted {
            build::revive()
        } else {
            build::suppress()
        };
        self.command(c, None, None, call);
    }

    pub(crate) fn kill_task(&mut self, c: usize, task: &TaskId, agent: &str) {
        if let Some(id) = self.clients[c].id.clone() {
            self.oracle.kill(&id, task);
        }
        let agent = AgentId::as_written(agent);
        self.command(c, None, Some(agent.clone()), build::kill(task, &agent));
    }

    pub(crate) fn reconcile_tasks(&mut self, c: usize, tasks: &[(TaskId, AgentId)]) {
        self.command(c, None, None, build::reconcile(tasks));
    }

    pub(crate) fn acknowledge(&mut self, c: usize, token: u64) {
        if let Some(token) = self.clients[c].acks.remove(&token) {
            self.drive(c, Input::Ack(token));
        }
    }

    /// An ACCEPT was certainly not applied, or nobody can say.
    fn accept_failed(&mut self, c: usize, tasks: Vec<(TaskId, AgentId)>, error: &CallError) {
        if let CallError::Unknown(_) = error {
            self.see(Mark::AcceptUnknown);
            // With a new subscription everything is asked about anyway.
            match c {
                SERVICE if self.clients[c].is_subscribed() => self.reconcile_tasks(c, &tasks),
                SERVICE => {}
                _ => {
                    let life = self.clients[c].life;
                    self.at(ASK_LATER, Event::Client(c, ClientEvent::AskAgain(life)));
                }
            }
            return;
        }
        self.see(Mark::AcceptRefused);
        for (task, agent) in tasks {
            match c {
                SERVICE => self.service_not_launched(&task, &agent),
                _ => self.cron_not_launched(&task),
            }
        }
    }

    fn deliver(&mut self, c: usize, notice: Notice) {
        match notice {
            Notice::Subscribed { .. } => {
                self.clients[c].offers.clear();
                match c {
                    SERVICE => self.service_input(meseta_service_core::io::Input::Connected),
                    _ => self.cron_input(meseta_cron_core::io::Input::Connected),
                }
            }
            Notice::Disconnected { why, .. } => {
                if why.contains("silent") {
                    self.see(Mark::StreamSilent);
                }
                self.clients[c].offers.clear();
                match c {
                    SERVICE => self.service_input(meseta_service_core::io::Input::Disconnected),
                    _ => self.cron_input(meseta_cron_core::io::Input::Disconnected),
                }
            }
            Notice::Event { epoch, event } => self.told(c, epoch, *event),
        }
    }

    fn told(&mut self, c: usize, epoch: Epoch, event: scheduler::Event) {
        if let Some(offers) = event.offers {
            for offer in offers.offers {
                let id: Arc<str> = offer.id.value.as_str().into();
                self.clients[c].offers.insert(id, epoch);
                match c {
                    SERVICE => self.service_offered(&offer),
                    _ => self.cron_offered(&offer),
                }
            }
        }
        if let Some(rescind) = event.rescind {
            let id: Arc<str> = rescind.offer_id.value.into();
            self.clients[c].offers.remove(&id);
            match c {
                SERVICE => self.service_input(meseta_service_core::io::Input::Rescinded(id)),
                _ => self.cron_input(meseta_cron_core::io::Input::Rescinded(id)),
            }
        }
        if let Some(update) = event.update {
            let Ok(status) = meseta_proto::convert::status::from_proto(&update.status) else {
                return self.fail("a status update that cannot be read");
            };
            let ack = self.ack_token(c, epoch, &status);
            match c {
                SERVICE => self.service_update(&status, ack),
                _ => self.cron_update(&status, ack),
            }
        }
    }

    fn ack_token(&mut self, c: usize, epoch: Epoch, status: &TaskStatus) -> Option<u64> {
        let (uuid, agent_id) = (status.uuid?, status.agent_id.clone()?);
        let what = Acked::Task {
            agent_id,
            task_id: status.task_id.clone(),
            uuid: uuid.0.to_vec().into(),
        };
        let client = &mut self.clients[c];
        client.acks_given += 1;
        client.acks.insert(client.acks_given, AckToken { epoch, what });
        Some(client.acks_given)
    }

    /// A process that counts from its start: what the wall clock does meanwhile does not reach it.
    pub(crate) fn steady_wall(&self, c: usize) -> Wall {
        self.clocks(self.clients[c].wall_at_start).wall
    }

    fn engine_tick(&mut self, c: usize) {
        match c {
            SERVICE => self.service_tick(),
            _ => self.cron_tick(),
        }
    }
}
