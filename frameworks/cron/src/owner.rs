//! The one task that owns the engine: inputs in, effects out, everything else at arm's length.
//!
//! Handlers send it an [`Ask`] and await the answer; readers get the [`Board`]. One commit is under way at a time; what
//! arrives meanwhile waits in the engine, and in the queues once that is much. Calls to the master run beside it, in the
//! order in which they were decided on.

mod commit;
mod master;
mod wish;

use crate::board::{Applied, Board, Seen};
use crate::notify::Notifier;
use crate::numbers::Numbers;
use commit::Under;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use jiff::Timestamp;
use master::Told;
use meseta_cron_core::engine::Engine;
use meseta_cron_core::io::{AckToken, Answer, Call, Effect, Input, Notice, Now, Outcome, Refusal, RequestId};
use meseta_cron_core::job::JobName;
use meseta_cron_core::run::{Cause, RunId};
use meseta_http::inbox::{Queued, Room};
use meseta_http::inputs::Recorder;
use meseta_http::running::Stopping;
use meseta_sdk::{Client, Event, Events, Exit, Stop};
use meseta_store::Store;
use meseta_types::last_inputs::InputLog;
use meseta_types::{Mono, Wall};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::MissedTickBehavior;
use wish::Wish;

/// Looks that wait for the owner; each takes some microseconds.
pub(crate) const LOOKS_MAX: usize = 1_024;

/// Inputs that may wait in the engine for a write. Beyond it nothing is taken from the queues, which are bounded.
pub(crate) const BACKLOG_MAX: usize = 512;

/// Things taken from one queue in one go before another one has its turn.
const BATCH_MAX: usize = 64;

/// Longest the clock is not looked at: a wall clock that jumped is noticed after so long.
const LOOK: Duration = Duration::from_secs(1);

/// Longest a commit that is under way is waited for at the end.
const LAST_COMMIT: Duration = Duration::from_secs(5);

/// Longest calls that are under way are waited for at the end.
const LAST_CALLS: Duration = Duration::from_secs(1);

/// Between two looks at the engine's books.
const CHECK: Duration = Duration::from_secs(60);

/// About what an offer takes as an input.
const OFFER_BYTES: usize = 512;

/// What a handler wants.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) call: Call,
    pub(crate) answer: oneshot::Sender<Result<Answer, Refusal>>,
}

impl Ask {
    /// About what it holds.
    pub(crate) fn bytes(&self) -> usize {
        match &self.call {
            Call::Put { spec, .. } => spec.wire.len(),
            Call::Start { arguments, .. } => arguments.as_ref().map_or(0, |arguments| arguments.len()),
            Call::Delete(_)
            | Call::MarkSuccess(_)
            | Call::Disable { .. }
            | Call::Kill(_)
            | Call::Purge
            | Call::Callback { .. }
            | Call::Progress { .. } => 0,
        }
    }
}

/// A reader, and what for.
#[derive(Debug)]
pub(crate) enum Look {
    /// The board.
    Board(oneshot::Sender<Board>),
    /// The last inputs of the engine.
    LastInputs(oneshot::Sender<InputLog<Input>>),
}

/// Who waits for an answer, with the room in the queue that the call takes until then.
struct Caller {
    answer: oneshot::Sender<Result<Answer, Refusal>>,
    _room: Room,
}

/// How the framework ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Ended {
    /// As asked.
    Stopped,
    /// Its subscription ended for good.
    Framework(Exit),
    /// Nobody can say what is stored: start again from what is.
    Store(String),
    /// The engine's task panicked: our own defect.
    Broken(String),
}

impl Ended {
    /// The exit code of the process: 0 as asked, 75 to be started again, 103 failed over, 110 removed, 1 broken.
    pub fn exit_code(&self) -> u8 {
        match self {
            Ended::Stopped => 0,
            Ended::Framework(exit) => exit.code(),
            Ended::Store(_) => 75,
            Ended::Broken(_) => 1,
        }
    }
}

impl meseta_http::running::Ended for Ended {
    fn broken(why: String) -> Ended {
        Ended::Broken(why)
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ended::Stopped => f.write_str("stopped"),
            Ended::Framework(Exit::Removed) => f.write_str(
                "the framework was removed from the cluster and its id is used up; move framework.json in --work_dir \
                 away to come back as a new framework, with all jobs",
            ),
            Ended::Framework(exit) => exit.fmt(f),
            Ended::Store(why) => write!(f, "the store cannot be relied on: {why}"),
            Ended::Broken(why) => write!(f, "the task of the engine broke: {why}"),
        }
    }
}

/// What the owner is given.
pub(crate) struct Doors {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) client: Client,
    pub(crate) events: Events,
    pub(crate) asks: mpsc::Receiver<Queued<Ask>>,
    pub(crate) looks: mpsc::Receiver<Look>,
    pub(crate) notifier: Notifier,
    pub(crate) numbers: Arc<Numbers>,
    pub(crate) wall: fn() -> Timestamp,
    /// Whether offers are asked for.
    pub(crate) revive: bool,
    pub(crate) reconcile_every: Option<Duration>,
    pub(crate) history_limit: usize,
    /// Told at the first subscription.
    pub(crate) ready: watch::Sender<bool>,
    /// Where the last inputs go when an invariant breaks.
    pub(crate) inputs_file: PathBuf,
}

pub(crate) struct Owner {
    engine: Engine,
    board: Board,
    doors: Doors,
    /// Zero of the clock that does not jump.
    started: tokio::time::Instant,
    /// Job of each run on the board.
    run_jobs: BTreeMap<RunId, JobName>,
    offers: BTreeMap<Arc<str>, meseta_sdk::Offer>,
    acks: BTreeMap<AckToken, meseta_sdk::Update>,
    callers: BTreeMap<RequestId, Caller>,
    inputs: Recorder<Input>,
    /// Calls to the master that are under way. Bounded by what they are about: offers in hand, tasks to be killed.
    calls: FuturesUnordered<BoxFuture<'static, Told>>,
    commit: Option<Under>,
    /// Jobs that the last commit removed: messages about them come after it.
    removed: BTreeMap<JobName, Arc<Seen>>,
    wish: Wish,
    reconcile_at: Option<tokio::time::Instant>,
    came_back: VecDeque<Input>,
    next: u64,
    entries: u64,
    ended: Option<Ended>,
}

impl Owner {
    pub(crate) fn new(engine: Engine, board: Board, doors: Doors) -> Owner {
        let runs = engine.runs().values();
        Owner {
            run_jobs: runs.map(|run| (run.id.clone(), run.job.clone())).collect(),
            wish: Wish::new(doors.revive),
            inputs: Recorder::new(Some(doors.inputs_file.clone())),
            engine,
            board,
            doors,
            started: tokio::time::Instant::now(),
            offers: BTreeMap::new(),
            acks: BTreeMap::new(),
            callers: BTreeMap::new(),
            calls: FuturesUnordered::new(),
            commit: None,
            removed: BTreeMap::new(),
            reconcile_at: None,
            came_back: VecDeque::new(),
            next: 0,
            entries: 0,
            ended: None,
        }
    }

    /// Runs until it is stopped or something final happens.
    pub(crate) async fn run(mut self, mut stopping: Stopping) -> Ended {
        self.input(Input::Tick);
        let mut check = tokio::time::interval(CHECK);
        check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if let Some(ended) = self.ended.take() {
                return ended;
            }
            let wait = self.wait();
            let room = self.engine.backlog() < BACKLOG_MAX;
            tokio::select! {
                () = stopping.asked() => break,
                outcome = commit::settled(&mut self.commit) => self.committed(outcome),
                Some(look) = self.doors.looks.recv() => self.look(look),
                Some(told) = self.calls.next() => self.told(told),
                event = self.doors.events.next(), if room => match event {
                    Some(event) => self.event(event),
                    // `Stopped` came before, or nobody is left to send it.
                    None => return self.ended.take().unwrap_or(Ended::Framework(Exit::Stopped)),
                },
                Some(ask) = self.doors.asks.recv(), if room => {
                    self.ask(ask);
                    for _ in 1..BATCH_MAX {
                        let Ok(ask) = self.doors.asks.try_recv() else { break };
                        self.ask(ask);
                    }
                }
                () = tokio::time::sleep(wait) => self.tick(),
                _ = check.tick() => self.check(),
            }
        }
        self.finish().await
    }

    /// How long there is nothing to do by itself.
    fn wait(&self) -> Duration {
        let now = tokio::time::Instant::now();
        let due = self.engine.deadline().filter(|_| !self.engine.is_writing());
        let due = due.map(|at| until(at, (self.doors.wall)()));
        let others = [self.wish.wake_at(), self.reconcile_at].into_iter().flatten();
        let others = others.map(|at| at.saturating_duration_since(now));
        others.chain(due).min().unwrap_or(LOOK).min(LOOK)
    }

    fn tick(&mut self) {
        self.say_wish();
        self.reconcile_all();
        let due = self.engine.deadline();
        if !self.engine.is_writing() && due.is_some_and(|at| at <= (self.doors.wall)()) {
            self.input(Input::Tick);
        }
    }

    /// The end: what is being written is waited for, so that its callers hear how it went, and what is said to the
    /// master is said. Runs go on until the failover timeout, or until it is back.
    async fn finish(mut self) -> Ended {
        if self.commit.is_some() {
            let last = commit::settled(&mut self.commit);
            if let Ok(outcome) = tokio::time::timeout(LAST_COMMIT, last).await {
                self.committed(outcome);
            }
        }
        let said = async { while self.calls.next().await.is_some() {} };
        // A launch that is cut off here is settled by the next start: its record says that it was to be.
        let _in_time = tokio::time::timeout(LAST_CALLS, said).await;
        if let Some(ended) = self.ended.take() {
            return ended;
        }
        // Before our end of its events goes, which would cut off what is under way.
        let exit = self.doors.client.stop(Stop::Failover).await;
        tracing::debug!(%exit, "the client ended");
        Ended::Stopped
    }

    fn check(&mut self) {
        if let Err(broken) = self.engine.check() {
            Numbers::add(&self.doors.numbers.broken, 1);
            self.inputs.broken(&broken);
            debug_assert!(false, "{broken}");
        }
    }

    fn ask(&mut self, queued: Queued<Ask>) {
        let Queued {
            message: ask,
            bytes,
            room,
        } = queued;
        if let Call::Delete(name) = &ask.call
            && self.board.broken.contains_key(name)
            && !self.engine.jobs().contains_key(name)
        {
            let name = name.clone();
            return self.forget_broken(name, ask.answer);
        }
        self.next += 1;
        let request = RequestId(self.next);
        let caller = Caller {
            answer: ask.answer,
            _room: room,
        };
        self.callers.insert(request, caller);
        self.input_of(Input::Call(request, ask.call), bytes);
    }

    fn look(&mut self, first: Look) {
        let more = std::iter::from_fn(|| self.doors.looks.try_recv().ok());
        for look in std::iter::once(first).chain(more).take(BATCH_MAX) {
            // A reader that left does not need it any more.
            match look {
                Look::Board(reader) => drop(reader.send(self.board.clone())),
                Look::LastInputs(reader) => drop(reader.send(self.inputs.snapshot())),
            }
        }
    }

    /// Steps the engine and does what it says, until nothing comes back from that.
    fn input(&mut self, input: Input) {
        self.input_of(input, 0);
    }

    /// The same with an input whose bodies hold about `bytes`.
    fn input_of(&mut self, input: Input, bytes: usize) {
        let mut next = Some((input, bytes));
        while let Some((input, bytes)) = next {
            let now = self.now();
            let read = meseta_types::Now {
                mono: now.mono,
                wall: Wall(i64::try_from(now.wall.as_nanosecond()).unwrap_or(i64::MAX)),
            };
            self.inputs.keep(read, input.clone(), bytes);
            let mut effects = Vec::new();
            self.engine.step(now, input, &mut effects);
            for effect in effects {
                self.effect(effect);
            }
            next = self.came_back.pop_front().map(|input| (input, 0));
        }
    }

    fn now(&self) -> Now {
        let since_start = self.started.elapsed().as_nanos();
        Now {
            wall: (self.doors.wall)(),
            mono: Mono(u64::try_from(since_start).unwrap_or(u64::MAX)),
        }
    }

    fn effect(&mut self, effect: Effect) {
        match effect {
            Effect::Commit(id, changes) => self.write(id, changes),
            Effect::Answer(request, answer) => {
                if let Some(caller) = self.callers.remove(&request) {
                    // A caller that left does not need it any more.
                    let _ = caller.answer.send(answer);
                }
            }
            Effect::Accept { offer, runs } => self.accept(&offer, runs),
            Effect::Decline { offer, refuse } => {
                if let Some(offer) = self.offers.remove(&offer) {
                    offer.decline(Duration::try_from(refuse).unwrap_or(Duration::ZERO));
                }
            }
            Effect::Want(wanted) => {
                self.wish.set(wanted);
                self.say_wish();
            }
            Effect::Kill { run, agent } => self.kill(run, &agent),
            Effect::Reconcile(runs) => self.reconcile(runs),
            Effect::Acknowledge(token) => {
                if let Some(update) = self.acks.remove(&token) {
                    update.ack();
                }
            }
            Effect::Notify(notice) => self.notify(&notice),
            Effect::Show { run, job, is } => match is {
                Some(is) => {
                    self.run_jobs.insert(run, job);
                    self.board.put_run(is);
                }
                None => {
                    self.run_jobs.remove(&run);
                    self.board
                        .apply(Applied::DropRun(job, run), self.doors.history_limit);
                }
            },
        }
    }

    fn notify(&self, notice: &Notice) {
        let (Notice::Failed { job: name, .. } | Notice::Disabled(name) | Notice::Deleted(name)) = notice;
        let gone = self.removed.get(name);
        let seen = self.board.get(name).or(gone);
        self.doors.notifier.tell(notice, seen.map(|seen| &seen.job));
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Subscribed(subscribed) => {
                tracing::info!(framework_id = %subscribed.framework_id, "subscribed");
                self.new_link(true);
                let _nobody_waits = self.doors.ready.send(true);
                self.reconcile_at = self.next_reconciliation();
                self.input(Input::Connected);
            }
            Event::Disconnected { why, retry_in } => {
                tracing::warn!(%why, ?retry_in, "not connected with a master");
                self.new_link(false);
                self.input(Input::Disconnected);
            }
            Event::Offers(offers) => {
                let seen: Vec<_> = offers.iter().map(|offer| crate::wire::seen(offer)).collect();
                let offers = offers.into_iter();
                self.offers
                    .extend(offers.map(|offer| (Arc::from(offer.id.value.as_str()), offer)));
                let bytes = seen.len() * OFFER_BYTES;
                self.input_of(Input::Offers(seen), bytes);
            }
            Event::Rescinded(id) => {
                self.offers.remove(id.as_str());
                self.input(Input::Rescinded(id.as_str().into()));
            }
            Event::Update(update) => {
                let ack = update.wants_ack().then(|| {
                    self.next += 1;
                    AckToken(self.next)
                });
                let told = crate::wire::told(&update.status, ack);
                if let Some(token) = ack {
                    self.acks.insert(token, update);
                }
                self.input(Input::Task(told));
            }
            Event::Stopped(exit) => self.ended = Some(Ended::Framework(exit)),
            // Hints: tasks report for themselves, offers that were not kept come again.
            _ => {}
        }
    }

    /// Offers and acknowledgements belong to one subscription.
    fn new_link(&mut self, subscribed: bool) {
        self.offers.clear();
        self.acks.clear();
        if self.board.link.subscribed != subscribed {
            self.board.link.subscribed = subscribed;
            self.board.link.since = (self.doors.wall)();
        }
    }

    /// Counts how late slots were launched.
    fn measure(&self, runs: &[(meseta_cron_core::run::Run, Arc<meseta_cron_core::job::JobSpec>)]) {
        let now = (self.doors.wall)();
        Numbers::add(&self.doors.numbers.launched, runs.len() as u64);
        for (run, _) in runs {
            if run.cause == Cause::Slot && run.attempt == 0 {
                let late = now.as_millisecond().saturating_sub(run.due.as_millisecond());
                self.doors.numbers.late(u64::try_from(late).unwrap_or(0));
            }
        }
    }

    fn committed(&mut self, (outcome, under): (meseta_store::Outcome, Under)) {
        let outcome = match outcome {
            meseta_store::Outcome::Done(_) => {
                self.apply(under.applied);
                Outcome::Done
            }
            meseta_store::Outcome::Refused(why) => {
                Numbers::add(&self.doors.numbers.commits_refused, 1);
                tracing::error!(%why, "the store refused a write");
                // Nothing of it is acknowledged: its updates come again, with other tokens.
                self.acks = self.acks.split_off(&AckToken(under.last_token + 1));
                Outcome::Refused(why.to_string().into())
            }
            other => return self.lost_store(&other),
        };
        self.input(Input::Committed(under.id, outcome));
        self.removed.clear();
    }

    /// Nobody can say what is stored, or another process writes there.
    fn lost_store(&mut self, outcome: &meseta_store::Outcome) {
        self.ended = match outcome {
            meseta_store::Outcome::Done(_) | meseta_store::Outcome::Refused(_) => return,
            meseta_store::Outcome::Fenced => Some(Ended::Store("another process writes to it".to_owned())),
            meseta_store::Outcome::Unknown(why) => Some(Ended::Store(why.to_string())),
        };
    }
}

/// From one moment to another; zero when it is over.
fn until(at: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(at.duration_since(now)).unwrap_or(Duration::ZERO)
}
