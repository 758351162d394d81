//! What becomes due, and what came too late.
//!
//! Every slot is settled exactly once: it is started, or superseded by a later one that is, or missed with a reason.
//! `Job::settled` says up to where, only moves forward, and is written together with the run it is settled by; so a
//! restart, a stopped process and a clock that jumps all come to the same answer.

use super::{AHEAD, Engine, Rank};
use crate::job::{Job, JobName};
use crate::run::{Cause, Ended, Run, RunId, RunResult, State, Why};
use jiff::Timestamp;
use std::sync::Arc;

/// Why a slot was missed that nobody was there for.
const NOBODY_THERE: &str = "it was due while nobody could start it";

impl Engine {
    /// The moment at which the job's next slot is due: the first that is neither settled nor waiting already. `None`
    /// when there is none or it cannot start.
    pub(super) fn next_slot(&self, job: &Job) -> Option<Timestamp> {
        if job.spec.disabled {
            return None;
        }
        let waiting = self
            .runs_of(&job.spec.name)
            .find(|run| is_waiting_slot(run) && !run.placed)
            .map(|run| run.due);
        let from = waiting.unwrap_or(job.settled).max(job.settled);
        job.schedule()?.after(from).map(|slot| slot.at)
    }

    /// Keeps the index of slots in step with a job.
    pub(super) fn index_job(&mut self, name: &JobName) {
        if let Some(at) = self.slot_of.remove(name) {
            self.slots.remove(&(at, name.clone()));
        }
        let next = self.jobs.get(name).and_then(|job| self.next_slot(job));
        if let Some(at) = next {
            self.slot_of.insert(name.clone(), at);
            self.slots.insert((at, name.clone()));
        }
    }

    /// Where in the queue a run stands; `None` if it does not wait for an offer.
    pub(super) fn rank(&self, run: &Run) -> Option<Rank> {
        match &run.state {
            State::Waiting {
                why: Why::NoOffer | Why::NoFit { .. },
            } => {
                let high = self.jobs.get(&run.job).is_some_and(|job| job.spec.high_priority);
                Some((!high, run.due))
            }
            State::Waiting { why: Why::Overlap(_) }
            | State::Retrying { .. }
            | State::Launched { .. }
            | State::Running { .. }
            | State::Awaiting { .. } => None,
        }
    }

    /// Keeps the queue, the alarms and the next slot of its job in step with a run.
    pub(super) fn index_run(&mut self, id: &RunId) {
        let before = self.rank_of.remove(id);
        let waited = before.is_some_and(|rank| self.queue.remove(&(rank, id.clone())));
        if let Some(at) = self.alarm_of.remove(id) {
            self.alarms.remove(&(at, id.clone()));
        }
        let Some(run) = self.runs.get(id) else { return };
        if let Some(rank) = self.rank(run) {
            self.rank_of.insert(id.clone(), rank);
            self.queue.insert((rank, id.clone()));
            self.is_new |= !waited;
        }
        if let Some(at) = self.alarm(run) {
            self.alarm_of.insert(id.clone(), at);
            self.alarms.insert((at, id.clone()));
        }
    }

    /// When a run must be looked at again.
    fn alarm(&self, run: &Run) -> Option<Timestamp> {
        let patience = self.config.partition_timeout;
        match &run.state {
            State::Waiting { .. } => {
                let epsilon = self.jobs.get(&run.job).and_then(|job| job.spec.epsilon);
                run.latest_start(epsilon)
            }
            State::Retrying { at } => Some(*at),
            State::Running {
                unreachable: Some(since),
                ..
            } => Some(since.checked_add(patience).unwrap_or(Timestamp::MAX)),
            State::Awaiting { since, .. } => {
                let limit = self.jobs.get(&run.job)?.spec.max_completion?;
                Some(since.checked_add(limit).unwrap_or(Timestamp::MAX))
            }
            State::Launched { .. } | State::Running { .. } => None,
        }
    }

    /// Whatever alarms have gone off.
    pub(super) fn ring(&mut self, now: Timestamp) {
        while let Some((at, id)) = self.alarms.first().cloned() {
            if at > now || self.is_full() {
                return;
            }
            self.alarms.pop_first();
            let Some(run) = self.runs.get(&id).cloned() else {
                continue;
            };
            match run.state {
                State::Retrying { .. } => self.wait_for_offer(run),
                State::Waiting { ref why } => {
                    let why = missed_because(why);
                    self.miss(now, &run, why);
                }
                State::Running {
                    unreachable: Some(_), ..
                } => {
                    self.attempt_failed(now, run, RunResult::Lost("its agent stayed out of reach".into()));
                }
                State::Awaiting { .. } => {
                    let why = "its maximum completion time was over and its callback had not come";
                    self.attempt_failed(now, run, RunResult::Failed(why.into()));
                }
                State::Launched { .. } | State::Running { .. } => {}
            }
        }
    }

    /// A waiting run whose epsilon is over: its slot and all before it are missed. Of a run that was placed before, the
    /// slot is settled already; it may even be one of an earlier schedule.
    fn miss(&mut self, now: Timestamp, run: &Run, why: Arc<str>) {
        self.drop_run(&run.id);
        let result = RunResult::Missed(why);
        match run.placed {
            true => self.record(ended(run, now, result, 1)),
            false => self.settle_slots(now, &run.job, run.due, result),
        }
        self.after_end(now, &run.job);
    }

    /// Makes runs of the slots that are due, or settles them as missed.
    pub(super) fn open_slots(&mut self, now: Timestamp) {
        while let Some((at, name)) = self.slots.first().cloned() {
            if at > now || self.is_full() {
                return;
            }
            self.slots.pop_first();
            self.slot_of.remove(&name);
            self.open_slot(now, &name);
            self.index_job(&name);
        }
    }

    fn open_slot(&mut self, now: Timestamp, name: &JobName) {
        let Some(job) = self.jobs.get(name) else { return };
        let Some(newest) = job
            .schedule()
            .and_then(|schedule| schedule.newest(job.settled, now))
        else {
            return;
        };
        let late = job
            .spec
            .epsilon
            .is_some_and(|epsilon| now.duration_since(newest.at) > epsilon);
        self.supersede_waiting(now, name);
        if late {
            self.settle_slots(now, name, newest.at, RunResult::Missed(NOBODY_THERE.into()));
            self.after_end(now, name);
        } else {
            self.enqueue(name, newest.at, Cause::Slot, None);
        }
    }

    /// A newer slot takes the place of whatever still waits for an older one. What nothing else tells of leaves a
    /// record: a retry, and a run that was placed before; the slot of any other is settled with the newer one.
    fn supersede_waiting(&mut self, now: Timestamp, name: &JobName) {
        let waiting = self
            .runs_of(name)
            .filter(|run| run.cause == Cause::Slot && !run.is_active());
        let waiting: Vec<Run> = waiting.cloned().collect();
        for run in waiting {
            self.supersede(now, &run);
        }
    }

    fn supersede(&mut self, now: Timestamp, run: &Run) {
        if run.is_durable() || run.attempt > 0 {
            self.record(ended(run, now, RunResult::Superseded, 0));
        }
        self.drop_run(&run.id);
    }

    /// A run of a slot waits again, or will: it gives way to what waits for a slot that is not settled (which is later, or
    /// of a schedule that has replaced its own), and to a run like itself of a later slot. Returns whether it did.
    pub(super) fn gives_way(&mut self, now: Timestamp, run: &Run) -> bool {
        let later = |other: &Run| is_waiting_slot(other) && (!other.placed || other.due > run.due);
        let gives_way = run.cause == Cause::Slot && self.runs_of(&run.job).any(later);
        if gives_way {
            self.supersede(now, run);
        }
        gives_way
    }

    /// A run of a slot waits again: those that do so for earlier slots give way to it.
    pub(super) fn supersede_earlier(&mut self, now: Timestamp, run: &Run) {
        if run.cause != Cause::Slot {
            return;
        }
        let earlier = |other: &&Run| is_waiting_slot(other) && other.due < run.due;
        let earlier: Vec<Run> = self.runs_of(&run.job).filter(earlier).cloned().collect();
        for other in earlier {
            self.supersede(now, &other);
        }
    }

    /// Once after a restart, or after a write was refused: a child whose parents have all succeeded is due. Their successes are stored, its run is
    /// not.
    pub(super) fn open_children(&mut self, now: Timestamp) {
        if !std::mem::take(&mut self.look_at_parents) {
            return;
        }
        let due = self
            .jobs
            .iter()
            .filter(|(_, job)| job.parents_done() && !job.spec.disabled)
            .filter(|(name, _)| {
                let mut runs = self.runs_of(name);
                !runs.any(|run| matches!(run.state, State::Waiting { .. }))
            });
        let due: Vec<JobName> = due.map(|(name, _)| name.clone()).collect();
        for name in due {
            self.enqueue(&name, now, Cause::Parents, None);
        }
    }

    /// A new run of a job, which waits for an offer, or for an earlier run to end.
    pub(super) fn enqueue(
        &mut self,
        name: &JobName,
        due: Timestamp,
        cause: Cause,
        arguments: Option<Arc<str>>,
    ) -> Option<RunId> {
        let generation = self.jobs.get(name)?.generation;
        let mut due = due;
        // Two starts by hand in one millisecond are two runs, and so are all their attempts.
        let id = loop {
            let id = RunId::new(due, 0, name, arguments.as_deref().unwrap_or(""));
            let takes_it = |run: &Run| {
                let same_moment = run.due.as_millisecond() == due.as_millisecond();
                run.id.attempt() == id.as_str() || (cause != Cause::Slot && same_moment)
            };
            if !self.runs_of(name).any(takes_it) {
                break id;
            }
            due = due.checked_add(jiff::SignedDuration::from_millis(1)).ok()?;
        };
        let run = Run {
            id: id.clone(),
            job: name.clone(),
            generation,
            due,
            attempt: 0,
            cause,
            arguments,
            state: State::Waiting { why: Why::NoOffer },
            placed: false,
            kill_wanted: false,
            elements: 0,
        };
        self.wait_for_offer(run);
        Some(id)
    }

    /// Puts a run into the queue, or behind the one that goes on.
    pub(super) fn wait_for_offer(&mut self, mut run: Run) {
        let concurrent = self.jobs.get(&run.job).is_some_and(|job| job.spec.concurrent);
        let other = self
            .runs_of(&run.job)
            .find(|other| other.is_active() && other.id != run.id);
        let why = match other {
            Some(other) if !concurrent => Why::Overlap(other.id.clone()),
            _ => Why::NoOffer,
        };
        run.state = State::Waiting { why };
        self.put_run(run);
    }

    /// Settles what a run that starts has left behind: slots that were past their epsilon are missed, the others gave way
    /// to it.
    pub(super) fn settle_passed(&mut self, now: Timestamp, run: &Run) {
        let missed = self.jobs.get(&run.job).and_then(|job| {
            let too_old = now.checked_sub(job.spec.epsilon?).ok()?.min(run.due);
            let until = too_old.checked_sub(jiff::SignedDuration::from_nanos(1)).ok()?;
            Some(job.schedule()?.newest(job.settled, until)?.at)
        });
        if let Some(missed) = missed {
            self.settle_slots(now, &run.job, missed, RunResult::Missed(NOBODY_THERE.into()));
        }
        self.settle_with(now, run, RunResult::Superseded);
    }

    /// Settles all slots before a run's own with one result, and its own by the run.
    pub(super) fn settle_with(&mut self, now: Timestamp, run: &Run, result: RunResult) {
        let before = self.jobs.get(&run.job).and_then(|job| {
            let until = run.due.checked_sub(jiff::SignedDuration::from_nanos(1)).ok()?;
            Some(job.schedule()?.newest(job.settled, until)?.at)
        });
        if let Some(before) = before {
            self.settle_slots(now, &run.job, before, result);
        }
        self.advance(&run.job, run.due);
    }

    /// Settles all slots up to `until`, all with the same result, and writes one entry for them.
    pub(super) fn settle_slots(
        &mut self,
        now: Timestamp,
        name: &JobName,
        until: Timestamp,
        result: RunResult,
    ) {
        let Some(job) = self.jobs.get(name) else { return };
        let Some(schedule) = job.schedule() else { return };
        let slots = schedule.between(job.settled, until);
        if slots == 0 || until <= job.settled {
            return;
        }
        let first = schedule.after(job.settled).map_or(until, |slot| slot.at);
        let ended = Ended {
            job: name.clone(),
            id: RunId::new(until, 0, name, ""),
            due: first,
            attempt: 0,
            cause: Cause::Slot,
            place: None,
            started: None,
            ended: now,
            result,
            slots,
            elements: 0,
        };
        self.record(ended);
        self.advance(name, until);
    }

    /// Moves a job's position forward.
    pub(super) fn advance(&mut self, name: &JobName, until: Timestamp) {
        if let Some(job) = self.job_mut(name) {
            job.settled = job.settled.max(until);
        }
        self.index_job(name);
    }

    /// Whether offers should be there: something waits for one, or soon will.
    pub(super) fn needs_offers(&self, now: Timestamp) -> bool {
        let soon = now.checked_add(AHEAD).unwrap_or(Timestamp::MAX);
        !self.queue.is_empty() || self.slots.first().is_some_and(|(at, _)| *at <= soon)
    }
}

/// Whether a run waits to be the first attempt of a slot. A job has one at most: of the newest slot.
pub(super) fn is_waiting_slot(run: &Run) -> bool {
    run.cause == Cause::Slot && run.attempt == 0 && matches!(run.state, State::Waiting { .. })
}

fn missed_because(why: &Why) -> Arc<str> {
    match why {
        Why::NoOffer => "no offer came in time".into(),
        Why::NoFit { lacks } => format!("no offer fitted in time: {lacks}").into(),
        Why::Overlap(run) => format!("the run {run} went on beyond its time").into(),
    }
}

/// An entry of the history for a run.
pub(super) fn ended(run: &Run, now: Timestamp, result: RunResult, slots: u64) -> Ended {
    let started = match &run.state {
        State::Running { since, .. } | State::Awaiting { since, .. } => Some(*since),
        State::Waiting { .. } | State::Retrying { .. } | State::Launched { .. } => None,
    };
    Ended {
        job: run.job.clone(),
        id: run.id.clone(),
        due: run.due,
        attempt: run.attempt,
        cause: run.cause,
        place: run.place().cloned(),
        started,
        ended: now,
        result,
        slots,
        elements: run.elements,
    }
}
