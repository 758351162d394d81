//! The task that owns the core: takes what arrives, lets the core decide, carries out what it says.
//!
//! It works in batches: everything that has arrived is applied with one reading of the clocks, then the effects are
//! carried out in their order, then waiting readers get one view. It never waits for a peer, a disk or an encoder:
//! outboxes take or refuse, commits are answered later as inputs, encoding happens on the peers' own tasks.

mod effects;
mod views;

use crate::clock::Clock;
use crate::intake::{Arrivals, Closed, Message};
use crate::run::Ended;
use crate::sessions::Sessions;
use crate::timings::Timings;
use effects::Peers;
use futures_util::StreamExt;
use futures_util::stream::{FuturesOrdered, FuturesUnordered};
use meseta_http::inbox::{MESSAGES_MAX, Queued};
use meseta_http::inputs::Recorder;
use meseta_http::running::Stopping;
use meseta_master_core::MasterCore;
use meseta_master_core::io::{CommitId, Effects, Input, LinkId, Outcome, StepDown, StreamId, TimerKind};
use meseta_store::Store;
use meseta_types::Now;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, sleep_until};
use views::Readers;

/// Messages applied before their effects are carried out: small enough that an offer does not wait long behind others,
/// large enough that one flush serves many.
const BATCH_MAX: usize = 512;

/// Ticks after one batch: a timer that sets another for the same moment runs with it, but peers are not kept waiting.
const TICKS_MAX: usize = 16;

/// How often the core's invariants are checked,
const CHECK_INTERVAL: Duration = Duration::from_secs(60);

/// unless it holds more than this: the check looks at everything, some milliseconds for so much, and nobody is served
/// meanwhile.
const CHECKED_MAX: usize = 10_000;

/// Queue lengths and work done, for metrics.
#[derive(Debug, Default)]
pub(crate) struct Gauges {
    /// Allocations, by how long they took.
    pub(crate) allocations: Timings,
    /// Writes to the registry, by how long they took.
    pub(crate) writes: Timings,
    /// Writes to the registry that are not answered yet.
    pub(crate) writes_waiting: AtomicU64,
    /// Readers that wait for a view.
    pub(crate) readers_waiting: AtomicU64,
    /// Inputs applied.
    pub(crate) inputs: AtomicU64,
    /// Operators' event streams.
    pub(crate) watchers: AtomicU64,
    /// Times an invariant did not hold.
    pub(crate) broken: AtomicU64,
}

type Paced = Pin<Box<dyn Future<Output = StreamId> + Send>>;
type CommitAnswer = Pin<Box<dyn Future<Output = (CommitId, Outcome)> + Send>>;

/// What the owner needs besides the core.
pub(crate) struct Doors {
    pub(crate) clock: Clock,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) store_timeout: Duration,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) gauges: Arc<Gauges>,
    pub(crate) max_watchers: usize,
    pub(crate) inputs_file: Option<PathBuf>,
}

pub(crate) struct Owner {
    core: MasterCore,
    doors: Doors,
    arrivals: Arrivals,
    /// Answers of the store, in the order of the commits.
    commits: FuturesOrdered<CommitAnswer>,
    /// Schedulers that shall have read before the core tells them more; at most one entry per stream.
    paced: FuturesUnordered<Paced>,
    peers: Peers,
    readers: Readers,
    effects: Effects,
    inputs: Recorder<Input>,
    /// The clocks, read once per batch.
    now: Now,
    /// Set by the core: the process must not go on.
    ending: Option<StepDown>,
}

impl Owner {
    pub(crate) fn new(core: MasterCore, doors: Doors, arrivals: Arrivals) -> Owner {
        Owner {
            core,
            inputs: Recorder::new(doors.inputs_file.clone()),
            doors,
            arrivals,
            commits: FuturesOrdered::new(),
            paced: FuturesUnordered::new(),
            peers: Peers::default(),
            readers: Readers::default(),
            effects: Effects::new(),
            now: Now::default(),
            ending: None,
        }
    }

    /// Works until the end is asked for or the core steps down.
    pub(crate) async fn run(mut self, mut stopping: Stopping) -> Ended {
        let mut check = tokio::time::interval(CHECK_INTERVAL);
        check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let tick = self.core.deadline();
            let tick = tick.map(|(mono, _)| self.doors.clock.instant(mono));
            let due = self.readers.due();
            let wake = tick.into_iter().chain(due).min();
            let (mut first, mut lost, mut waited) = (None, Vec::new(), None);
            tokio::select! {
                biased;
                () = stopping.asked() => return Ended::Stopped,
                Some(closed) = self.arrivals.closed.recv() => lost.push(closed),
                Some((id, outcome)) = self.commits.next(), if !self.commits.is_empty() => {
                    waited = Some(Input::Committed { id, outcome });
                }
                Some(stream) = self.paced.next(), if !self.paced.is_empty() => waited = Some(Input::Paced { stream }),
                () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {}
                queued = self.arrivals.queue.recv() => match queued {
                    Some(queued) => first = Some(queued),
                    None => return Ended::Stopped,
                },
                _ = check.tick() => self.check(),
            }
            self.now = self.doors.clock.now();
            if let Some(input) = waited {
                self.step(input, 0);
            }
            // A peer's last words were queued before its connection was lost, so they are applied before.
            while let Ok(closed) = self.arrivals.closed.try_recv() {
                lost.push(closed);
            }
            let count = if lost.is_empty() {
                BATCH_MAX
            } else {
                MESSAGES_MAX + 1
            };
            for _ in 0..count {
                match first.take().or_else(|| self.arrivals.queue.try_recv().ok()) {
                    Some(queued) => self.apply(queued),
                    None => break,
                }
            }
            for closed in lost {
                if let Some(input) = self.closed(closed) {
                    self.step(input, 0);
                }
            }
            self.tick();
            self.flush();
            self.readers.serve(&self.core);
            self.measure();
            if let Some(reason) = self.ending.take() {
                return Ended::SteppedDown(reason);
            }
        }
    }

    fn measure(&self) {
        let gauges = &self.doors.gauges;
        let number = |length: usize| u64::try_from(length).unwrap_or(u64::MAX);
        gauges
            .watchers
            .store(number(self.peers.watchers()), Ordering::Relaxed);
        gauges
            .writes_waiting
            .store(number(self.commits.len()), Ordering::Relaxed);
        gauges
            .readers_waiting
            .store(number(self.readers.waiting()), Ordering::Relaxed);
    }

    /// Runs what is due by now, the allocator included: what the batch freed is offered with its other effects.
    fn tick(&mut self) {
        for _ in 0..TICKS_MAX {
            match self.core.deadline() {
                Some((due, kind)) if due <= self.now.mono => {
                    let started = Instant::now();
                    self.step(Input::Tick, 0);
                    if kind == TimerKind::Allocate {
                        self.doors.gauges.allocations.add(started.elapsed());
                    }
                }
                _ => break,
            }
        }
    }

    fn check(&mut self) {
        if self.core.size() <= CHECKED_MAX
            && let Err(broken) = self.core.check()
        {
            self.broken(&broken);
        }
    }

    /// Our own fault: counted, and written down with what led to it.
    fn broken(&mut self, why: &dyn std::fmt::Display) {
        self.doors.gauges.broken.fetch_add(1, Ordering::Relaxed);
        self.inputs.broken(why);
    }

    /// Lets the core decide; the input's bodies hold about `bytes`.
    fn step(&mut self, input: Input, bytes: usize) {
        self.inputs.keep(self.now, input.clone(), bytes);
        self.core.step(self.now, input, &mut self.effects);
        self.readers.changed();
        self.doors.gauges.inputs.fetch_add(1, Ordering::Relaxed);
    }

    fn apply(&mut self, queued: Queued<Message>) {
        let bytes = queued.bytes;
        match queued.message {
            Message::Input(input) => self.step(input, bytes),
            Message::Subscribe {
                stream,
                peer,
                subscribe,
            } => {
                self.peers.streams.insert(stream, peer);
                self.step(Input::Subscribe { stream, subscribe }, bytes);
            }
            Message::Link { link, peer, first } => {
                self.peers.links.insert(link, peer);
                self.step(Input::Agent { link, message: first }, bytes);
            }
            Message::Ask { input, answer } => {
                let request = self.peers.asked(answer);
                self.step(input(request), bytes);
            }
            Message::Explain { framework_id, answer } => {
                let _who_left_needs_none = answer.send(self.core.explain(&framework_id));
            }
            Message::LastInputs(operator) => {
                let _who_left_needs_none = operator.send(self.inputs.snapshot());
            }
            Message::View(reader) => self.readers.wait(reader),
            Message::Watch { state, watcher } => {
                // Effects of earlier inputs of this batch are not in the watcher's stream and so must be in its state.
                self.flush();
                if state.send(self.core.view()).is_ok() {
                    self.peers.watch(watcher, self.doors.max_watchers);
                }
            }
        }
    }

    /// The input that follows from a lost connection, unless the core ended it itself.
    fn closed(&mut self, closed: Closed) -> Option<Input> {
        match closed {
            Closed::Stream(stream) => self.stream_closed(stream),
            Closed::Link(link) => self.link_closed(link),
        }
    }

    fn stream_closed(&mut self, stream: StreamId) -> Option<Input> {
        self.peers.streams.remove(&stream)?;
        Some(Input::StreamClosed { stream })
    }

    fn link_closed(&mut self, link: LinkId) -> Option<Input> {
        self.peers.links.remove(&link)?;
        Some(Input::LinkClosed { link })
    }
}
