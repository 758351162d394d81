//! The engine: jobs, their runs, and the order in which things become true.
//!
//! One commit is under way at a time. What arrives meanwhile waits, and is taken together with everything else that
//! waits; so one fsync covers whatever a busy second brings. Changes are made in place and remembered (`txn`); what
//! others may see of them (answers, launches, acknowledgements) leaves only when the store has them, and a refused
//! commit puts everything back.
//!
//! | file | who writes what |
//! |---|---|
//! | `calls.rs` | what users ask for |
//! | `due.rs` | slots, retries and parents make runs; epsilon ends them |
//! | `place.rs` | waiting runs meet offers |
//! | `tasks.rs` | what is said of tasks moves runs |
//! | `txn.rs` | what changed, and how to take it back |

mod calls;
mod due;
mod place;
mod tasks;
mod txn;

use crate::graph::Graph;
use crate::io::{CommitId, Effect, Input, Now, Offer, Outcome, Refusal, RequestId};
use crate::job::{Job, JobName};
use crate::run::{Run, RunId};
use jiff::{SignedDuration, Timestamp};
use meseta_types::Mono;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use txn::Txn;

/// What can be set.
#[derive(Clone, Debug)]
pub struct Config {
    /// Between two attempts.
    pub failure_retry: SignedDuration,
    /// Failed runs in a row that disable a job; 0: never.
    pub disable_after_failures: u64,
    /// How long an offer that is not needed is refused.
    pub decline_for: SignedDuration,
    /// How long a run on an unreachable agent is waited for.
    pub partition_timeout: SignedDuration,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            failure_retry: SignedDuration::from_secs(60),
            disable_after_failures: 0,
            decline_for: SignedDuration::from_secs(5),
            partition_timeout: SignedDuration::from_mins(15),
        }
    }
}

/// Longest an offer is held for a slot: other frameworks wait for it.
const HOLD: SignedDuration = SignedDuration::from_secs(5);

/// An offer is held for a slot that is due so soon. One that comes earlier goes back until then: on a small cluster it is
/// all there is, and a job of every second would keep everybody else from ever seeing it.
const NEAR: SignedDuration = SignedDuration::from_millis(250);

/// Offers are asked for again this long before the next slot, so that it need not wait for one.
const AHEAD: SignedDuration = SignedDuration::from_secs(2);

/// Changes that one commit takes before it is written; what is left over goes into the next. A single input may add
/// as much again (a job with very many children), and the store takes 10,000.
const COMMIT_CHANGES_MAX: usize = 2_000;

/// A launch this young is not asked about on the same stream: it may still be on its way. After so long its offer is
/// rescinded (masters do so after a minute unless told otherwise), so that a late one launches nothing.
const LAUNCH_SETTLED: Duration = Duration::from_secs(75);

/// After a write that was refused, what follows from the time alone is tried again only after so long: a full disk is
/// not asked in a loop. Calls and words about tasks are tried at once, each is somebody's.
const AFTER_REFUSAL: SignedDuration = SignedDuration::from_secs(1);

/// A run of which the master says nothing is asked about again, at first after the former and at last every latter: one
/// that has just begun to lead is silent about an agent until that is back.
const ASK_AGAIN: (SignedDuration, SignedDuration) =
    (SignedDuration::from_millis(500), SignedDuration::from_secs(16));

/// A held offer and since when.
#[derive(Clone, Debug)]
struct Held {
    offer: Offer,
    since: Timestamp,
}

/// The cron framework's deciding half.
#[derive(Debug)]
pub struct Engine {
    config: Config,
    jobs: BTreeMap<JobName, Job>,
    graph: Graph,
    runs: BTreeMap<RunId, Run>,
    /// Runs of each job, in the order of their ids.
    runs_of: BTreeMap<JobName, BTreeSet<RunId>>,
    /// Next slot of each enabled scheduled job.
    slots: BTreeSet<(Timestamp, JobName)>,
    slot_of: BTreeMap<JobName, Timestamp>,
    /// Moments at which a run must be looked at: its retry, its epsilon, the end of patience with its agent.
    alarms: BTreeSet<(Timestamp, RunId)>,
    alarm_of: BTreeMap<RunId, Timestamp>,
    /// Runs that may be placed, in the order they get offers.
    queue: BTreeSet<(Rank, RunId)>,
    /// A run has come into the queue since offers were last asked for.
    is_new: bool,
    rank_of: BTreeMap<RunId, Rank>,
    offers: BTreeMap<Arc<str>, Held>,
    connected: bool,
    wanted: Option<bool>,
    /// Runs the master was asked about since they were launched: only of these does "unknown" mean anything.
    asked: BTreeSet<RunId>,
    /// Runs launched on this stream, and when: such a launch may still be on its way.
    launched_at: BTreeMap<RunId, Mono>,
    /// The clock that does not jump, as of the present step.
    mono: Mono,
    /// Those asked about on this stream of which nothing was heard since.
    unheard: BTreeSet<RunId>,
    /// When they are asked about again, and how long that took to come.
    ask_again: (Timestamp, SignedDuration),
    generation: u64,
    txn: Txn,
    /// After a restart: children whose parents had succeeded have no run yet.
    look_at_parents: bool,
    in_flight: Option<CommitId>,
    /// When the last write was refused.
    refused_at: Option<Timestamp>,
    next_commit: u64,
    /// What arrived while a commit was under way.
    arrived: VecDeque<Input>,
}

/// Order of the queue: high priority first, then the oldest slot.
type Rank = (bool, Timestamp);

impl Engine {
    /// An engine without jobs.
    pub fn new(config: Config) -> Engine {
        Engine {
            config,
            jobs: BTreeMap::new(),
            graph: Graph::default(),
            runs: BTreeMap::new(),
            runs_of: BTreeMap::new(),
            slots: BTreeSet::new(),
            slot_of: BTreeMap::new(),
            alarms: BTreeSet::new(),
            alarm_of: BTreeMap::new(),
            queue: BTreeSet::new(),
            is_new: false,
            rank_of: BTreeMap::new(),
            offers: BTreeMap::new(),
            connected: false,
            wanted: None,
            asked: BTreeSet::new(),
            launched_at: BTreeMap::new(),
            mono: Mono(0),
            unheard: BTreeSet::new(),
            ask_again: (Timestamp::MIN, ASK_AGAIN.0),
            generation: 0,
            txn: Txn::default(),
            look_at_parents: false,
            in_flight: None,
            refused_at: None,
            next_commit: 0,
            arrived: VecDeque::new(),
        }
    }

    /// An engine with what the store holds. What was missed meanwhile is decided from these records alone, at the
    /// next step.
    pub fn recover(config: Config, jobs: Vec<Job>, runs: Vec<Run>) -> Engine {
        let mut engine = Engine::new(config);
        let lives = jobs.iter().map(|job| job.generation);
        // A run of a deleted job may be of a later life than any job that is left.
        engine.generation = lives
            .chain(runs.iter().map(|run| run.generation))
            .max()
            .unwrap_or(0);
        for job in jobs {
            let name = job.spec.name.clone();
            engine.graph.set(&name, job.parents());
            engine.jobs.insert(name.clone(), job);
            engine.index_job(&name);
        }
        for run in runs {
            let id = run.id.clone();
            engine
                .runs_of
                .entry(run.job.clone())
                .or_default()
                .insert(id.clone());
            engine.runs.insert(id.clone(), run);
            engine.index_run(&id);
        }
        engine.look_at_parents = true;
        engine
    }

    /// Takes one input and tells what is to be done, in order.
    pub fn step(&mut self, now: Now, input: Input, out: &mut Vec<Effect>) {
        self.mono = now.mono;
        let now = now.wall;
        match input {
            Input::Committed(id, outcome) if self.in_flight == Some(id) => self.committed(now, outcome, out),
            Input::Committed(..) => {}
            // The answer to the write looks at the time anyway.
            Input::Tick if self.in_flight.is_some() => {}
            input if self.in_flight.is_some() => self.arrived.push_back(input),
            input => {
                self.apply(now, input);
                self.settle(now, out);
            }
        }
    }

    /// When the engine wants a tick; never while a write is under way, whose answer does as well.
    pub fn deadline(&self) -> Option<Timestamp> {
        if self.in_flight.is_some() {
            return None;
        }
        let due = self.slots.first().map(|(at, _)| *at);
        let slot = match self.wanted == Some(true) || !self.connected {
            true => due,
            false => due.map(|at| at.checked_sub(AHEAD).unwrap_or(at)),
        };
        let alarm = self.alarms.first().map(|(at, _)| *at);
        let ask = (!self.unheard.is_empty()).then_some(self.ask_again.0);
        let held = self
            .offers
            .values()
            .map(|held| held.since.checked_add(HOLD).unwrap_or(Timestamp::MAX))
            .min();
        // What is due while it rests is looked at when it has rested; so is what waits for an offer that is here.
        match self.refused_at {
            Some(at) => Some(at.checked_add(AFTER_REFUSAL).unwrap_or(Timestamp::MAX)),
            None => [slot, alarm, held, ask].into_iter().flatten().min(),
        }
    }

    /// The jobs, by name.
    pub fn jobs(&self) -> &BTreeMap<JobName, Job> {
        &self.jobs
    }

    /// The runs that are not over, by id.
    pub fn runs(&self) -> &BTreeMap<RunId, Run> {
        &self.runs
    }

    /// The runs of a job that are not over.
    pub fn runs_of(&self, name: &JobName) -> impl Iterator<Item = &Run> {
        self.runs_of
            .get(name)
            .into_iter()
            .flatten()
            .filter_map(|id| self.runs.get(id))
    }

    /// Who waits for whom.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Inputs that wait for the write under way. Whoever feeds the engine pauses when they are many.
    pub fn backlog(&self) -> usize {
        self.arrived.len()
    }

    /// Whether a write is under way: what a reader sees now may not be durable yet.
    pub fn is_writing(&self) -> bool {
        self.in_flight.is_some()
    }

    fn apply(&mut self, now: Timestamp, input: Input) {
        match input {
            Input::Tick | Input::Committed(..) => {}
            Input::Call(request, call) => self.call(now, request, call),
            Input::Connected => self.connect(now),
            Input::Reconcile => self.ask_again(),
            Input::Disconnected => {
                self.connected = false;
                self.wanted = None;
                self.offers.clear();
                self.unheard.clear();
            }
            Input::Offers(offers) => {
                for offer in offers {
                    self.offers
                        .insert(Arc::clone(&offer.id), Held { offer, since: now });
                }
            }
            Input::Rescinded(id) => {
                self.offers.remove(&id);
            }
            Input::Task(event) => self.task(now, event),
        }
    }

    /// After inputs: what follows from the time and from what is there; then writes, or tells at once when there is
    /// nothing to write.
    fn settle(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        if !self.rests(now) {
            self.open_children(now);
            self.ring(now);
            self.ask_when_due(now);
            self.open_slots(now);
            self.place(now);
        }
        self.offers_out(now);
        self.show();
        if self.txn.is_empty() {
            out.append(&mut self.txn.released);
            return;
        }
        let id = CommitId(self.next_commit);
        self.next_commit += 1;
        self.in_flight = Some(id);
        out.push(Effect::Commit(id, self.changes()));
    }

    fn committed(&mut self, now: Timestamp, outcome: Outcome, out: &mut Vec<Effect>) {
        self.in_flight = None;
        let txn = std::mem::take(&mut self.txn);
        match outcome {
            Outcome::Done => {
                self.refused_at = None;
                self.forget_dropped(&txn);
                out.extend(txn.released);
            }
            Outcome::Refused(why) => {
                self.refused_at = Some(now);
                self.take_back(txn, &why, out);
            }
        }
        while let Some(input) = self.arrived.pop_front() {
            self.apply(now, input);
            if self.is_full() {
                break;
            }
        }
        self.settle(now, out);
        self.catch_up(now, out);
    }

    /// Inputs that did not fit into a commit before, as long as no other one is under way.
    fn catch_up(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        while self.in_flight.is_none() {
            let Some(input) = self.arrived.pop_front() else {
                return;
            };
            self.apply(now, input);
            self.settle(now, out);
        }
    }

    /// Whether the next commit has enough in it.
    fn is_full(&self) -> bool {
        self.txn.len() >= COMMIT_CHANGES_MAX
    }

    /// Whether a write was refused just now. A clock that was set back ends the rest.
    fn rests(&mut self, now: Timestamp) -> bool {
        let rested = self.refused_at.map(|at| now.duration_since(at));
        let rests = rested.is_some_and(|rested| rested < AFTER_REFUSAL && rested >= SignedDuration::ZERO);
        if !rests {
            self.refused_at = None;
        }
        rests
    }

    fn answer(&mut self, request: RequestId, answer: Result<crate::io::Answer, Refusal>) {
        self.txn.released.push(Effect::Answer(request, answer));
    }

    /// Recomputes every index from what it is an index of.
    ///
    /// # Errors
    /// The first that does not fit.
    pub fn check(&self) -> Result<(), String> {
        for (id, run) in &self.runs {
            if !self.runs_of.get(&run.job).is_some_and(|runs| runs.contains(id)) {
                return Err(format!("the run {id} is not listed under its job"));
            }
            if self.rank_of.get(id) != self.rank(run).as_ref() {
                return Err(format!(
                    "the run {id} does not stand in the queue where it should"
                ));
            }
        }
        for (name, runs) in &self.runs_of {
            if runs.is_empty()
                || runs
                    .iter()
                    .any(|id| self.runs.get(id).is_none_or(|run| run.job != *name))
            {
                return Err(format!("the runs listed under {name} are not its runs"));
            }
        }
        for (name, job) in &self.jobs {
            if self.slot_of.get(name) != self.next_slot(job).as_ref() {
                return Err(format!(
                    "the next slot of {name} is not the one that is waited for"
                ));
            }
            if self.graph.parents(name) != job.parents() {
                return Err(format!("the parents of {name} are not those in the graph"));
            }
            let waiting = self.runs_of(name).filter(|run| due::is_waiting_slot(run)).count();
            if waiting > 1 {
                return Err(format!("{waiting} runs stand for the next slot of {name}"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
