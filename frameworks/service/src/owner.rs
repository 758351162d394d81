//! The one task that owns the engine: inputs in, effects out, everything else at arm's length.
//!
//! Handlers send it asks and await answers; readers get a view of what is durable. One commit is under way at a time:
//! what arrives meanwhile is decided on together when it is answered, so that under load one fsync carries many changes.

mod effects;
mod handle;
mod model;

pub(crate) use handle::Ask;
pub use handle::{CallError, EVENTS_MAX, Handle, Info, Told, What};
pub(crate) use model::Model;

use crate::clock::WallClock;
use crate::metrics::Counters;
use crate::probe::{Meaning, Probers, Verdict};
use crate::status;
use crate::view::QueueEntry;
use crate::wish::Wishes;
use meseta_http::inbox::{Queued, Room};
use meseta_http::inputs::Recorder;
use meseta_http::running::Stopping;
use meseta_sdk::{Client, Event, Events, Exit, Stop};
use meseta_service_core::app::AppId;
use meseta_service_core::engine::Engine;
use meseta_service_core::instance::InstanceId;
use meseta_service_core::io::{
    AckToken, Answer, Change, CommitId, Input, Outcome, Refusal, RequestId, TaskEvent,
};
use meseta_store::{Pending, Store};
use meseta_types::{Now, Wall};
use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;

/// Longest the engine is left alone: a wall clock that jumped is noticed after so long.
const LOOK: Duration = Duration::from_secs(60);

/// About what an offer takes as an input.
const OFFER_BYTES: usize = 512;

/// Callers who wait for their answer: while a write is under way, no more calls are taken.
const CALLERS_MAX: usize = 1_024;

/// Inputs that may wait in the engine for a write. Beyond it no events and verdicts are taken, and their queues, which are
/// bounded, fill up. As many updates come at once when a large app starts.
const BACKLOG_MAX: usize = 8_192;

/// Asks and events taken in one go before a commit that was answered is looked for again.
const BATCH_MAX: usize = 256;

/// How long calls that wait for the store are waited for when the framework is stopped.
const LAST_COMMIT: Duration = Duration::from_secs(2);

/// Tasks named in one RECONCILE: the master answers each with a message, and its queue of them is bounded.
const RECONCILE_MAX: usize = 10_000;

/// How the owner ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Ended {
    /// As asked.
    Stopped,
    /// A user asked the leader to give up its place: start again, as a candidate.
    Abdicated,
    /// The subscription ended for good.
    Framework(Exit),
    /// Nobody can say what is stored, or another process writes there: start again from what is.
    Store(String),
    /// A defect of ours.
    Broken(String),
}

impl Ended {
    /// The code the process ends with.
    pub fn exit_code(&self) -> u8 {
        match self {
            Ended::Stopped => 0,
            Ended::Framework(exit) => exit.code(),
            Ended::Abdicated | Ended::Store(_) => 75,
            Ended::Broken(_) => 1,
        }
    }
}

impl meseta_http::running::Ended for Ended {
    fn broken(why: String) -> Ended {
        Ended::Broken(why)
    }
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Ended::Stopped => f.write_str("stopped"),
            Ended::Abdicated => f.write_str("gave up the leadership as asked"),
            Ended::Framework(exit) => exit.fmt(f),
            Ended::Store(why) => write!(f, "the store cannot be relied on: {why}"),
            Ended::Broken(why) => write!(f, "the task of the engine broke: {why}"),
        }
    }
}

/// After so long a launch has reached the master or never will.
const LAUNCH_SETTLES: Duration = Duration::from_secs(60);

/// How a call to the master ended, as far as there is something left to do.
enum Called {
    /// Nothing.
    Done,
    /// The engine is told this.
    Tell(Vec<TaskEvent>),
    /// Nobody can say whether these were launched: the master is asked.
    AskAbout(Vec<(String, Arc<str>)>),
}

/// What the owner needs besides the engine.
pub(crate) struct Doors {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) client: Client,
    pub(crate) events: Events,
    pub(crate) asks: mpsc::Receiver<Queued<Ask>>,
    pub(crate) told: tokio::sync::broadcast::Sender<Arc<Told>>,
    pub(crate) wall: WallClock,
    pub(crate) counters: Arc<Counters>,
    pub(crate) role: String,
    /// Between two looks at what the master thinks of our tasks.
    pub(crate) reconcile_every: Duration,
    pub(crate) probers: Probers,
    pub(crate) verdicts: mpsc::Receiver<Verdict>,
    pub(crate) subscribed: watch::Sender<bool>,
    /// Where the last inputs go when an invariant breaks.
    pub(crate) inputs_file: Option<PathBuf>,
}

/// Who waits for an answer, with the room in the queue that the call takes until then.
struct Caller {
    answer: oneshot::Sender<Result<Answer, Refusal>>,
    _room: Room,
}

pub(crate) struct Owner {
    engine: Engine,
    model: Model,
    doors: Doors,
    wishes: Wishes,
    offers: BTreeMap<Arc<str>, meseta_sdk::Offer>,
    acks: BTreeMap<AckToken, meseta_sdk::Update>,
    /// The newest of them by task. An older one of the same task was not settled, because the store refused it: the agent
    /// has sent it again.
    ack_of: BTreeMap<String, AckToken>,
    callers: BTreeMap<RequestId, Caller>,
    inputs: Recorder<Input>,
    next: u64,
    commit: Option<(CommitId, Vec<Change>, Pending)>,
    /// Calls to the master that are under way. What they end with goes back to the engine.
    calling: JoinSet<Called>,
    /// Inputs that came up while effects were carried out.
    again: VecDeque<Input>,
    reconcile_at: Option<Instant>,
    registered_before: bool,
    ended: Option<Ended>,
}

impl Owner {
    pub(crate) fn new(engine: Engine, model: Model, mut doors: Doors) -> Owner {
        doors.probers.recover(&model);
        let wishes = Wishes::start(
            doors.client.clone(),
            doors.role.clone(),
            Arc::clone(&doors.counters),
        );
        Owner {
            engine,
            model,
            inputs: Recorder::new(doors.inputs_file.clone()),
            doors,
            wishes,
            offers: BTreeMap::new(),
            acks: BTreeMap::new(),
            ack_of: BTreeMap::new(),
            callers: BTreeMap::new(),
            next: 0,
            commit: None,
            calling: JoinSet::new(),
            again: VecDeque::new(),
            reconcile_at: None,
            registered_before: false,
            ended: None,
        }
    }

    /// Runs until it is stopped or something final happens.
    pub(crate) async fn run(mut self, mut stop: Stopping) -> Ended {
        self.step(Input::Tick);
        let mut check = tokio::time::interval(LOOK);
        check.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            if let Some(ended) = self.ended.take() {
                return ended;
            }
            let wait = self.wait();
            let reconcile_at = self.reconcile_at;
            let writing = self.commit.is_some();
            // While a write is under way inputs only queue up in the engine.
            let has_room = self.engine.backlog() < BACKLOG_MAX;
            let may_ask = self.callers.len() < CALLERS_MAX;
            tokio::select! {
                biased;
                () = stop.asked() => return self.stopped().await,
                outcome = answered(&mut self.commit), if writing => self.committed(outcome),
                Some(event) = self.doors.events.next(), if has_room => self.event(event),
                Some(ended) = self.calling.join_next(), if !self.calling.is_empty() => self.called(ended),
                Some(verdict) = self.doors.verdicts.recv(), if has_room => self.verdict(verdict),
                ask = self.doors.asks.recv(), if may_ask => {
                    let Some(ask) = ask else { return Ended::Stopped };
                    self.asks(ask);
                }
                () = tokio::time::sleep(wait), if !writing => self.step(Input::Tick),
                () = at(reconcile_at) => self.reconcile(),
                _ = check.tick() => self.check(),
            }
        }
    }

    /// Ends in good order: whoever was promised an answer gets it if the store gives one soon, and what is said to the
    /// master is said. Tasks run on until the failover timeout, or until it is back.
    async fn stopped(mut self) -> Ended {
        if self.commit.is_some() {
            let last = tokio::time::timeout(LAST_COMMIT, answered(&mut self.commit)).await;
            if let Ok(outcome) = last {
                self.committed(outcome);
            }
        }
        // Before our end of its events goes, which would cut off what is under way.
        let exit = self.doors.client.stop(Stop::Failover).await;
        tracing::debug!(%exit, "the client ended");
        Ended::Stopped
    }

    fn now(&self) -> Wall {
        (self.doors.wall)()
    }

    /// How long until the engine wants a tick.
    fn wait(&self) -> Duration {
        let now = self.now();
        let Some(at) = self.engine.deadline() else {
            return LOOK;
        };
        let ahead = u64::try_from(at.0.saturating_sub(now.0)).unwrap_or(0);
        Duration::from_nanos(ahead).min(LOOK)
    }

    fn called(&mut self, ended: Result<Called, JoinError>) {
        match ended {
            Ok(Called::Done) => {}
            Ok(Called::Tell(events)) => events.into_iter().for_each(|event| self.step(Input::Task(event))),
            Ok(Called::AskAbout(tasks)) => self.ask_about(tasks),
            Err(broken) => tracing::error!(%broken, "a call to the master broke off: a defect"),
        }
    }

    fn asks(&mut self, first: Queued<Ask>) {
        let mut next = Some(first);
        for _ in 0..BATCH_MAX {
            let Some(ask) = next.take() else { break };
            self.ask(ask);
            if self.callers.len() < CALLERS_MAX {
                next = self.doors.asks.try_recv().ok();
            }
        }
        if let Some(ask) = next {
            self.ask(ask);
        }
    }

    /// A reader that left does not need its answer any more, here and below.
    fn ask(&mut self, ask: Queued<Ask>) {
        let Queued { message, bytes, room } = ask;
        match message {
            Ask::Call(call, answer) => {
                self.next += 1;
                let request = RequestId(self.next);
                let caller = Caller { answer, _room: room };
                self.callers.insert(request, caller);
                self.step_of(Input::Call(request, call), bytes);
            }
            Ask::LastInputs(reader) => drop(reader.send(self.inputs.snapshot())),
            Ask::View(reader) => drop(reader.send(self.model.view())),
            Ask::App(id, reader) => drop(reader.send(self.model.app(&id).cloned())),
            Ask::Queue(reader) => drop(reader.send(self.queue())),
        }
    }

    fn queue(&self) -> Vec<QueueEntry> {
        let now = self.now();
        let waiting = self.engine.queue(now);
        let entry = |(id, count, delayed_until, tried): (&AppId, usize, Option<Wall>, Option<&_>)| {
            let app = self.model.app(id)?;
            let scheduled = app.instances.values().filter(|i| i.instance.place.is_none());
            Some(QueueEntry {
                spec: self.engine.launches(id)?,
                count,
                since: scheduled.map(|i| i.instance.since.scheduled).min().unwrap_or(now),
                delayed_until,
                tried: tried.cloned(),
                app: Arc::clone(app),
            })
        };
        waiting.filter_map(entry).collect()
    }

    /// Lets the engine take an input, and whatever comes up while its effects are carried out.
    fn step(&mut self, input: Input) {
        self.step_of(input, 0);
    }

    /// The same with an input whose bodies hold about `bytes`.
    fn step_of(&mut self, input: Input, bytes: usize) {
        self.again.push_back(input);
        let mut bytes = bytes;
        while let Some(input) = self.again.pop_front() {
            let (now, mut effects) = (self.now(), Vec::new());
            let read = Now {
                wall: now,
                ..Now::default()
            };
            self.inputs.keep(read, input.clone(), std::mem::take(&mut bytes));
            self.engine.step(now, input, &mut effects);
            for effect in effects {
                self.effect(now, effect);
            }
        }
    }

    fn committed(&mut self, (id, changes, outcome): (CommitId, Vec<Change>, meseta_store::Outcome)) {
        let outcome = match outcome {
            meseta_store::Outcome::Done(_) => {
                for change in changes {
                    self.doors.probers.follow(&change);
                    self.model.apply(change);
                }
                self.doors.probers.settle(&self.model);
                Outcome::Done
            }
            meseta_store::Outcome::Refused(why) => {
                tracing::warn!(%why, "the store refused a change");
                Outcome::Refused(why.to_string().into())
            }
            meseta_store::Outcome::Fenced => {
                let why = "another process writes to it".to_owned();
                self.ended = Some(Ended::Store(why));
                return;
            }
            meseta_store::Outcome::Unknown(why) => {
                self.ended = Some(Ended::Store(why.to_string()));
                return;
            }
        };
        self.step(Input::Committed(id, outcome));
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Subscribed(subscribed) => {
                let master = subscribed.master.as_deref().map(address).unwrap_or_default();
                tracing::info!(framework_id = %subscribed.framework_id, %master, "subscribed");
                self.offers.clear();
                // What was not acknowledged comes again.
                self.acks.clear();
                self.ack_of.clear();
                self.model.set_master(Some(master.as_str().into()));
                let again = std::mem::replace(&mut self.registered_before, true);
                self.tell(match again {
                    false => What::Registered { master },
                    true => What::Reregistered { master },
                });
                self.doors.subscribed.send_replace(true);
                self.step(Input::Connected);
                self.reconcile_all();
            }
            Event::Disconnected { why, retry_in } => {
                tracing::warn!(%why, ?retry_in, "not subscribed with a master");
                self.offers.clear();
                if self.doors.subscribed.send_replace(false) {
                    self.model.set_master(None);
                    self.reconcile_at = None;
                    self.tell(What::Disconnected);
                    self.step(Input::Disconnected);
                }
            }
            Event::Offers(offers) => {
                self.doors.counters.offers(offers.len());
                let seen: Vec<_> = offers.iter().map(|offer| crate::offer::seen(offer)).collect();
                let offers = offers.into_iter().map(|o| (Arc::from(o.id.value.as_str()), o));
                self.offers.extend(offers);
                let bytes = seen.len() * OFFER_BYTES;
                self.step_of(Input::Offers(seen), bytes);
            }
            Event::Rescinded(id) => {
                self.offers.remove(id.as_str());
                self.step(Input::Rescinded(id.as_str().into()));
            }
            Event::Update(update) => self.update(update),
            Event::Stopped(exit) => self.ended = Some(Ended::Framework(exit)),
            _ => {}
        }
    }

    fn update(&mut self, update: meseta_sdk::Update) {
        self.next += 1;
        let ack = AckToken(self.next);
        let wants_ack = update.wants_ack();
        let event = status::event(&update.status, wants_ack.then_some(ack));
        self.doors.counters.update(update.status.state());
        if let Some((id, incarnation)) = InstanceId::of_task(&update.status.task_id.value) {
            let now = self.now();
            let see = |seen: &mut _| status::see(seen, &update.status, now);
            self.model.see(&id, incarnation, see);
        }
        if wants_ack {
            if let Some(older) = self.ack_of.insert(update.status.task_id.value.clone(), ack) {
                self.acks.remove(&older);
            }
            self.acks.insert(ack, update);
        }
        self.step(Input::Task(event));
    }

    /// What a probe of the framework's own found.
    fn verdict(&mut self, verdict: Verdict) {
        let now = self.now();
        let id = &verdict.instance;
        let since = self
            .model
            .instance(id)
            .and_then(|(_, view)| view.instance.since.running);
        let Some(health) = self.doors.probers.health(&verdict) else {
            return;
        };
        let mut meaning = Meaning::default();
        self.model.see(id, verdict.incarnation, |seen| {
            meaning = verdict.apply(health, seen, since, now);
        });
        if let Some(check) = meaning.failed
            && let Some((app, _)) = self.model.instance(id)
        {
            self.tell(What::FailedCheck {
                app: app.spec.id.clone(),
                instance: id.clone(),
                check,
            });
        }
        if let Some(input) = meaning.input {
            self.step(input);
        }
    }

    /// Asks what the master thinks of all tasks, known to it or to us, and asks again after a while.
    fn reconcile_all(&mut self) {
        self.reconcile_at = Some(Instant::now() + self.doors.reconcile_every);
        let client = self.doors.client.clone();
        self.calling.spawn(async move {
            // Whatever becomes of it: the next subscription, or the next round, asks again.
            let _ = client.reconcile([]).await;
            Called::Done
        });
    }

    fn reconcile(&mut self) {
        // A launch that is under way may arrive after the question, and would be unknown.
        let settled = u64::try_from(LAUNCH_SETTLES.as_nanos()).unwrap_or(u64::MAX);
        let before = Wall(self.now().0.saturating_sub_unsigned(settled));
        let tasks: Vec<_> = self.model.tasks(before).collect();
        self.ask_about(tasks);
        self.reconcile_all();
    }

    fn tell(&self, what: What) {
        let at = self.now();
        // Nobody may be listening.
        let _ = self.doors.told.send(Arc::new(Told { at, what }));
    }

    fn check(&mut self) {
        if let Err(broken) = self.engine.check() {
            self.doors.counters.broken();
            self.inputs.broken(&broken);
            debug_assert!(false, "{broken}");
        }
    }
}

/// `host:port` of a master.
fn address(master: &meseta_sdk::proto::MasterInfo) -> String {
    let address = master.address.as_ref();
    let host = address
        .and_then(|address| address.ip.clone().or_else(|| address.hostname.clone()))
        .or_else(|| master.hostname.clone())
        .unwrap_or_default();
    let port = address.map_or(i64::from(master.port), |address| i64::from(address.port));
    format!("{host}:{port}")
}

/// The answer to the commit under way, with its changes.
async fn answered(
    commit: &mut Option<(CommitId, Vec<Change>, Pending)>,
) -> (CommitId, Vec<Change>, meseta_store::Outcome) {
    let outcome = match commit {
        Some((_, _, pending)) => pending.await,
        None => std::future::pending().await,
    };
    match commit.take() {
        Some((id, changes, _)) => (id, changes, outcome),
        None => std::future::pending().await,
    }
}

/// Resolves when the framework is to end, also by the loss of whoever would say so.
async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}
