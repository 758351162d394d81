//! The task that owns the driver: carries its outputs out and brings inputs in.
//!
//! Tasks and queues: one shell task; per link one reading task and, over HTTP, up to 13 lanes (see `wire`). Into the
//! shell: `requests` (bounded, callers wait), `back` (acknowledgements and declines, one per delivered thing),
//! `heard` (bounded, wires wait). Out of it: `events` (bounded; the inbox behind it holds what does not fit).

use super::Events;
use super::config::{Config, IdentityStore};
use super::event::{Back, BackSender, Event, Offer, OperationUpdate, Subscribed, Update};
use super::handle::filters;
use super::inbox::{Inbox, Item};
use crate::driver::{
    CallError, Command, CommandId, Driver, Epoch, Exit, Input, Lane, LinkId, Notice, Output, Sent, Stop,
};
use crate::endpoint::Endpoint;
use crate::identity;
use crate::wire::{Heard, Link, Wire};
use meseta_proto::mesos::v1;
use meseta_proto::mesos::v1::scheduler::{self, call, event};
use meseta_types::{AgentId, ExecutorId, FrameworkId, Mono, Now, OfferId, Wall};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};

/// Events the author may lag behind before the inbox takes over (where rescinds still erase and updates coalesce).
const EVENTS_QUEUED: usize = 64;
/// What wires may have read ahead; a full queue stops their reading for the moment only, the shell never blocks.
const HEARD_QUEUED: usize = 1_024;
/// Inputs handled before outputs of other kinds get a turn.
const BATCH: usize = 256;
/// How long declined offers stay away when the author just drops them; spread by a fifth, so that the agents of a
/// large cluster do not come back in one burst.
const REFUSE_DROPPED: Duration = Duration::from_secs(30);
/// How long offers stay away that the inbox has no room for.
const REFUSE_OVERFLOW: Duration = Duration::from_secs(5);

/// A command of a handle.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) command: Command,
    pub(super) answer: oneshot::Sender<Result<Sent, CallError>>,
}

pub(super) fn spawn(
    driver: Driver,
    config: &Config,
    requests: mpsc::Receiver<Request>,
    exited: watch::Sender<Option<Exit>>,
) -> Events {
    let (events, queue) = mpsc::channel(EVENTS_QUEUED);
    let (back, given_back) = mpsc::unbounded_channel();
    let (heard_by, heard) = mpsc::channel(HEARD_QUEUED);
    let (stored_by, stored) = mpsc::channel(1);
    let shell = Shell {
        driver,
        masters: config.masters.clone(),
        store: match &config.identity {
            IdentityStore::File(path) => Some(path.clone()),
            IdentityStore::Ephemeral | IdentityStore::Known(_) => None,
        },
        name: config.framework.info().name.clone(),
        start: Instant::now(),
        wire: Wire::new(config.transport, heard_by),
        link: None,
        inbox: Inbox::default(),
        waiting: BTreeMap::new(),
        next_command: 0,
        back,
        stored_by,
        exit: None,
        exited,
    };
    tokio::spawn(shell.run(
        Inputs {
            requests,
            given_back,
            heard,
            stored,
        },
        events,
    ));
    Events { queue }
}

struct Inputs {
    requests: mpsc::Receiver<Request>,
    given_back: mpsc::UnboundedReceiver<Back>,
    heard: mpsc::Receiver<Heard>,
    stored: mpsc::Receiver<Result<(), String>>,
}

struct Shell {
    driver: Driver,
    masters: Vec<Endpoint>,
    store: Option<PathBuf>,
    name: String,
    start: Instant,
    wire: Wire,
    link: Option<(LinkId, Link)>,
    inbox: Inbox,
    waiting: BTreeMap<CommandId, oneshot::Sender<Result<Sent, CallError>>>,
    next_command: u64,
    back: BackSender,
    stored_by: mpsc::Sender<Result<(), String>>,
    exit: Option<Exit>,
    exited: watch::Sender<Option<Exit>>,
}

impl Shell {
    async fn run(mut self, mut inputs: Inputs, events: mpsc::Sender<Event>) {
        let mut handles_live = true;
        while self.exit.is_none() {
            let due = self.driver.deadline().map(|(at, _)| self.start + since_start(at));
            if due.is_some_and(|at| at <= Instant::now()) {
                self.step(Input::Tick);
                continue;
            }
            tokio::select! {
                request = inputs.requests.recv(), if handles_live => match request {
                    Some(request) => self.request(request, &mut inputs.requests),
                    None => {
                        handles_live = false;
                        self.command(Command::Stop(Stop::Abort), None);
                    }
                },
                Some(back) = inputs.given_back.recv() => self.given_back(back, &mut inputs.given_back),
                Some(heard) = inputs.heard.recv() => self.heard(heard, &mut inputs.heard),
                Some(outcome) = inputs.stored.recv() => self.step(Input::Stored(outcome)),
                room = events.reserve(), if !self.inbox.is_empty() => match room {
                    Ok(room) => if let Some(event) = self.next_event() {
                        room.send(event);
                    },
                    Err(_) => self.command(Command::Stop(Stop::Abort), None),
                },
                () = events.closed(), if self.inbox.is_empty() => {
                    self.command(Command::Stop(Stop::Abort), None);
                }
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
            }
        }
        // From here on nobody answers: calls that come now, or are still waiting, learn it at once.
        drop(inputs);
        self.waiting.clear();
        self.finish(events).await;
    }

    /// What is left in the inbox, then the end. A reader that has gone does not hold this task.
    async fn finish(mut self, events: mpsc::Sender<Event>) {
        let exit = self.exit.take().unwrap_or(Exit::Stopped);
        self.exited.send_replace(Some(exit.clone()));
        while let Some(event) = self.next_event() {
            if events.send(event).await.is_err() {
                return;
            }
        }
        let _ = events.send(Event::Stopped(exit)).await;
    }

    fn now(&self) -> Now {
        let mono = u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now {
            mono: Mono(mono),
            wall: Wall(i64::try_from(wall.as_nanos()).unwrap_or(i64::MAX)),
        }
    }

    fn request(&mut self, first: Request, more: &mut mpsc::Receiver<Request>) {
        let mut next = Some(first);
        for _ in 0..BATCH {
            let Some(Request { command, answer }) = next else {
                return;
            };
            self.command(command, Some(answer));
            next = more.try_recv().ok();
        }
        if let Some(Request { command, answer }) = next {
            self.command(command, Some(answer));
        }
    }

    fn heard(&mut self, first: Heard, more: &mut mpsc::Receiver<Heard>) {
        let mut next = Some(first);
        for _ in 0..BATCH {
            match next {
                None => return,
                Some(Heard::Link(link, event)) => self.step(Input::Link(link, event)),
                Some(Heard::Reply(link, seq, reply)) => self.step(Input::Reply(link, seq, reply)),
            }
            if self.exit.is_some() {
                return;
            }
            next = more.try_recv().ok();
        }
        match next {
            None => {}
            Some(Heard::Link(link, event)) => self.step(Input::Link(link, event)),
            Some(Heard::Reply(link, seq, reply)) => self.step(Input::Reply(link, seq, reply)),
        }
    }

    /// Acknowledgements go on at once; declines are gathered, one call per lane and filter.
    fn given_back(&mut self, first: Back, more: &mut mpsc::UnboundedReceiver<Back>) {
        let mut declined = Declined::default();
        let mut next = Some(first);
        let mut taken = 0;
        while let Some(back) = next {
            match back {
                Back::Ack(token) => self.step(Input::Ack(token)),
                Back::Decline {
                    epoch,
                    offer,
                    agent,
                    refuse,
                } if Some(epoch) == self.driver.epoch() => {
                    let refuse = refuse.unwrap_or_else(|| with_jitter(REFUSE_DROPPED, &agent.value));
                    declined.add(offer, agent, refuse);
                }
                // Void with its subscription.
                Back::Decline { .. } => {}
            }
            taken += 1;
            next = if taken < BATCH { more.try_recv().ok() } else { None };
        }
        self.decline(declined);
    }

    fn decline(&mut self, declined: Declined) {
        let epoch = self.driver.epoch();
        for ((_, millis), (agent, offer_ids)) in declined.0 {
            let call = scheduler::Call {
                r#type: Some(call::Type::Decline as i32),
                decline: Some(call::Decline {
                    offer_ids,
                    filters: Some(filters(Duration::from_millis(millis))),
                }),
                ..Default::default()
            };
            let call = Box::new(call);
            self.command(Command::Call { epoch, agent, call }, None);
        }
    }

    fn command(&mut self, command: Command, answer: Option<oneshot::Sender<Result<Sent, CallError>>>) {
        self.next_command += 1;
        let id = CommandId(self.next_command);
        if let Some(answer) = answer {
            self.waiting.insert(id, answer);
        }
        self.step(Input::Command(id, command));
    }

    fn step(&mut self, input: Input) {
        let mut out = Vec::new();
        self.driver.step(self.now(), input, &mut out);
        let mut located = false;
        for output in out {
            match output {
                Output::Store(id) => self.store_id(id),
                Output::Locate => located = true,
                Output::Connect {
                    link,
                    endpoint,
                    subscribe,
                } => {
                    tracing::debug!(master = %endpoint, "subscribing");
                    self.link = Some((link, self.wire.open(link, &endpoint, *subscribe)));
                }
                Output::Cut(link) => {
                    if self.link.as_ref().is_some_and(|(open, _)| *open == link) {
                        self.link = None;
                    }
                }
                Output::Send {
                    link,
                    lane,
                    seq,
                    call,
                } => {
                    if let Some((_, open)) = self.link.as_mut().filter(|(open, _)| *open == link) {
                        open.send(lane, seq, call);
                    }
                }
                Output::Deliver(notice) => self.deliver(notice),
                Output::Answer(id, result) => {
                    if let Some(answer) = self.waiting.remove(&id) {
                        // The caller may have dropped its future.
                        let _ = answer.send(result);
                    }
                }
                Output::Exit(exit) => self.exit = Some(exit),
            }
        }
        if located && self.exit.is_none() {
            // The list is fixed, so the answer is at hand.
            self.step(Input::Located(Ok(self.masters.clone())));
        }
    }

    fn store_id(&self, id: FrameworkId) {
        let (path, name, done) = (self.store.clone(), self.name.clone(), self.stored_by.clone());
        tokio::spawn(async move {
            let outcome = match path {
                Some(path) => identity::store(&path, &name, &id)
                    .await
                    .map_err(|e| e.to_string()),
                None => Ok(()),
            };
            let _ = done.send(outcome).await;
        });
    }

    fn deliver(&mut self, notice: Notice) {
        if let Notice::Disconnected { why, retry_in, .. } = &notice {
            tracing::debug!(why, ?retry_in, "disconnected");
        }
        let excess = self.inbox.push(notice);
        if excess.is_empty() {
            return;
        }
        let mut declined = Declined::default();
        for offer in excess {
            let refuse = with_jitter(REFUSE_OVERFLOW, &offer.agent_id.value);
            declined.add(offer.id, offer.agent_id, refuse);
        }
        self.decline(declined);
    }

    fn next_event(&mut self) -> Option<Event> {
        self.inbox.pop().map(|item| match item {
            Item::Lagged(lagged) => Event::Lagged(lagged),
            Item::Offers(epoch, offers) => Event::Offers(
                offers
                    .into_iter()
                    .map(|o| Offer::new(o, epoch, self.back.clone()))
                    .collect(),
            ),
            Item::Event(epoch, event) => author_event(epoch, event, &self.back),
            Item::Subscribed(notice) | Item::Disconnected(notice) => connection_event(*notice, &self.back),
        })
    }
}

fn connection_event(notice: Notice, back: &BackSender) -> Event {
    match notice {
        Notice::Subscribed {
            epoch,
            framework_id,
            master,
        } => Event::Subscribed(Subscribed {
            framework_id,
            master,
            epoch,
        }),
        Notice::Disconnected { why, retry_in, .. } => Event::Disconnected { why, retry_in },
        Notice::Event { epoch, event } => author_event(epoch, event, back),
    }
}

/// The author's form of an event; one that lacks what its type promises is passed on as it came.
fn author_event(epoch: Epoch, event: Box<scheduler::Event>, back: &BackSender) -> Event {
    let back = || back.clone();
    let agent = |id: &v1::AgentId| AgentId::as_written(&id.value);
    let executor = |id: &v1::ExecutorId| ExecutorId::as_written(&id.value);
    match event.r#type() {
        event::Type::Rescind => event
            .rescind
            .as_ref()
            .map(|r| Event::Rescinded(OfferId::as_written(&r.offer_id.value))),
        event::Type::Update => event.update.as_ref().map(|u| {
            Event::Update(Update {
                status: u.status.clone(),
                epoch,
                back: back(),
            })
        }),
        event::Type::UpdateOperationStatus => event.update_operation_status.as_ref().map(|u| {
            Event::Operation(OperationUpdate {
                status: u.status.clone(),
                epoch,
                back: back(),
            })
        }),
        event::Type::Message => event.message.as_ref().map(|m| Event::Message {
            agent_id: agent(&m.agent_id),
            executor_id: executor(&m.executor_id),
            data: m.data.clone(),
        }),
        event::Type::Failure => event.failure.as_ref().and_then(|f| {
            let agent_id = agent(f.agent_id.as_ref()?);
            Some(match &f.executor_id {
                None => Event::AgentLost(agent_id),
                Some(id) => Event::ExecutorEnded {
                    agent_id,
                    executor_id: executor(id),
                    status: f.status.unwrap_or_default(),
                },
            })
        }),
        event::Type::InverseOffers => event
            .inverse_offers
            .as_ref()
            .map(|i| Event::InverseOffers(i.inverse_offers.clone())),
        event::Type::RescindInverseOffer => event
            .rescind_inverse_offer
            .as_ref()
            .map(|r| Event::InverseOfferRescinded(OfferId::as_written(&r.inverse_offer_id.value))),
        _ => None,
    }
    .unwrap_or(Event::Other(event))
}

/// Declines to be said in as few calls as their order and filters allow: by lane and milliseconds.
#[derive(Default)]
struct Declined(BTreeMap<(Lane, u64), (Option<AgentId>, Vec<v1::OfferId>)>);

impl Declined {
    fn add(&mut self, offer: v1::OfferId, agent: v1::AgentId, refuse: Duration) {
        let agent = AgentId::as_written(&agent.value);
        let millis = u64::try_from(refuse.as_millis()).unwrap_or(u64::MAX);
        let lane = Lane::of_agent(Some(&agent));
        let entry = self
            .0
            .entry((lane, millis))
            .or_insert_with(|| (Some(agent), Vec::new()));
        entry.1.push(offer);
    }
}

/// Up to a fifth more or less, by the agent's id: the agents come back spread, and each always after the same time.
/// Eight steps, so that many declines still share a call.
fn with_jitter(base: Duration, agent: &str) -> Duration {
    let hash = agent
        .bytes()
        .fold(7_u32, |h, b| h.wrapping_mul(31).wrapping_add(u32::from(b)));
    base.mul_f64(0.8 + f64::from(hash % 8) * 0.05)
}

fn since_start(at: Mono) -> Duration {
    Duration::from_nanos(at.0)
}
