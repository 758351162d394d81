//! Invariant 7, by what is durable: each slot has exactly one fate, and every one that is settled has one.
//!
//! The slots are computed from what the user wrote, by arithmetic of the world's own.

use super::Durable;
use super::users::{JobUsers, Plan};
use crate::marks::Mark;
use jiff::Timestamp;
use meseta_cron_core::job::{Job, JobName, Trigger};
use meseta_cron_core::run::{Cause, Ended, Run, RunId, RunResult, State};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// One life of a schedule: a job, created once, with one text.
type Key = (JobName, u64, Arc<str>);

/// The id of a run's attempt, whichever launch of it this is.
type Attempt = Box<str>;

fn attempt(id: &RunId) -> Attempt {
    id.attempt().into()
}

/// What became of a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Fate {
    Started(Attempt),
    /// Its launch came to nothing: it may be started again, or end otherwise.
    GivenBack(Attempt),
    Never(NotStarted),
}

/// Why a slot was not started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NotStarted {
    Missed,
    Superseded,
    Cancelled,
}

/// The observer.
#[derive(Debug, Default)]
pub(crate) struct RunsOracle {
    fates: BTreeMap<Key, BTreeMap<i64, Fate>>,
    /// Up to where each schedule was settled when it was last seen, in milliseconds.
    settled: BTreeMap<Key, i64>,
    /// The latest time the framework's clock has shown: it may be set back.
    latest: Timestamp,
    /// Runs that were asked for by hand, by job; each under the id of its first attempt.
    pub(crate) by_hand: BTreeMap<JobName, BTreeSet<Attempt>>,
}

/// The schedule a job lives by at present.
fn key_of(job: &Job) -> Option<Key> {
    match &job.spec.trigger {
        Trigger::Schedule { text, .. } => Some((job.spec.name.clone(), job.generation, Arc::clone(text))),
        Trigger::Parents(_) => None,
    }
}

impl RunsOracle {
    /// The framework looks at its clock.
    pub(crate) fn clock(&mut self, now: Timestamp) {
        self.latest = self.latest.max(now);
    }

    /// Looks at what a write changed.
    ///
    /// # Errors
    /// What of invariant 7 does not hold.
    pub(crate) fn durable(
        &mut self,
        before: &Durable,
        after: &Durable,
        ended: &[Ended],
        users: &JobUsers,
    ) -> Result<Vec<Mark>, String> {
        let mut marks = Vec::new();
        for run in before.runs.values().filter(|run| is_launched(run)) {
            // It waits under another id, or was launched under it within one write.
            let again = launches(after, &run.id).any(|other| other.id != run.id);
            if again && self.gives_back(run) {
                marks.push(Mark::GivenBack);
            }
        }
        for end in ended {
            marks.extend(self.ends(before, after, end, users)?);
        }
        for (id, run) in &after.runs {
            if before.runs.get(id) == Some(run) {
                continue;
            }
            if run.cause == Cause::Manual && run.attempt == 0 {
                self.by_hand
                    .entry(run.job.clone())
                    .or_default()
                    .insert(attempt(id));
            }
            marks.extend(self.moves(before.runs.get(id), run, after, users)?);
        }
        for (id, run) in &before.runs {
            let gone = launches(after, id).next().is_none();
            let forgotten = gone && self.given_back(&run.job, id, run.due).is_some();
            if forgotten && after.jobs.contains_key(&run.job) {
                return Err(format!(
                    "the launch of {id} came to nothing, and then it was forgotten"
                ));
            }
        }
        for (name, job) in &after.jobs {
            let moved = before
                .jobs
                .get(name)
                .is_none_or(|b| b.settled != job.settled || key_of(b) != key_of(job));
            if let Some(key) = key_of(job).filter(|_| moved) {
                self.all_settled(key, job, users)?;
            }
        }
        Ok(marks)
    }

    /// A run is recorded.
    fn moves(
        &mut self,
        before: Option<&Run>,
        run: &Run,
        after: &Durable,
        users: &JobUsers,
    ) -> Result<Option<Mark>, String> {
        let State::Launched { place } = &run.state else {
            return Ok(matches!(run.state, State::Retrying { .. }).then_some(Mark::Retrying));
        };
        if before.is_some_and(is_launched) {
            return Ok(None); // only its kill was asked for
        }
        match run.cause {
            Cause::Parents => return Ok(Some(Mark::ChildFired)),
            Cause::Manual => return Ok(Some(Mark::ByHand)),
            Cause::Slot if run.attempt > 0 => return Ok(Some(Mark::RetryStarted)),
            Cause::Slot => {}
        }
        let Some(job) = after.jobs.get(&run.job) else {
            return Err(format!("{} is launched for a job that is not there", run.id));
        };
        let again = self.given_back(&run.job, &run.id, run.due);
        let is_first = again.is_none();
        let key = again.or_else(|| key_of(job));
        let key = key.ok_or_else(|| format!("{} is launched for a job without a schedule", run.id))?;
        let late = place.at.duration_since(run.due);
        if run.due > self.latest || job.spec.epsilon.is_some_and(|epsilon| late > epsilon) {
            return Err(format!(
                "{} was due at {} and is launched {late:#} later, with an epsilon of {:?}",
                run.id, run.due, job.spec.epsilon
            ));
        }
        if is_first && job.settled < run.due {
            return Err(format!(
                "{} is launched, and a restart would start it again",
                run.id
            ));
        }
        self.fate(&key, run.due, Fate::Started(attempt(&run.id)), users)?;
        Ok(Some(Mark::SlotStarted))
    }

    /// An entry of the history.
    fn ends(
        &mut self,
        before: &Durable,
        after: &Durable,
        end: &Ended,
        users: &JobUsers,
    ) -> Result<Option<Mark>, String> {
        let (why, mark) = match &end.result {
            RunResult::Missed(why) if why.is_empty() => {
                return Err(format!("{} was missed without a reason", end.id));
            }
            RunResult::Missed(_) => (NotStarted::Missed, Mark::SlotMissed),
            RunResult::Superseded => (NotStarted::Superseded, Mark::SlotSuperseded),
            RunResult::Cancelled(_) => (NotStarted::Cancelled, Mark::SlotCancelled),
            RunResult::Success | RunResult::Failed(_) | RunResult::Lost(_) | RunResult::Killed => {
                return Ok(None);
            }
        };
        if end.cause != Cause::Slot {
            return Ok(None);
        }
        // A launch may have come to nothing and its run ended otherwise within one write.
        if let Some(run) = launches(before, &end.id).find(|run| is_launched(run)) {
            self.gives_back(run);
        }
        if let Some(key) = self.given_back(&end.job, &end.id, end.due) {
            self.fate(&key, end.due, Fate::Never(why), users)?;
            return Ok(Some(mark));
        }
        // The schedule may have been replaced in the same write.
        let keys = [before, after].map(|durable| durable.jobs.get(&end.job).and_then(key_of));
        let mut slots: Option<(Key, Vec<Timestamp>)> = None;
        for key in keys.into_iter().flatten() {
            let Some(plan) = users.plan(&key.2) else { continue };
            let until = due_of(&end.id).unwrap_or(end.due).max(end.due);
            let found: Vec<Timestamp> = match end.slots {
                0 => vec![end.due],
                _ => plan.between(end.due, until),
            };
            if found.iter().all(|at| plan.has(*at)) && (end.slots == 0 || found.len() as u64 == end.slots) {
                slots = Some((key, found));
            }
        }
        let Some((key, slots)) = slots else {
            // Attempts after the first are of slots that were settled before.
            return match end.attempt {
                0 if end.slots > 0 => Err(format!("{end:?} speaks of slots that are not there")),
                _ => Ok(None),
            };
        };
        if end.slots == 0 && end.attempt > 0 {
            return Ok(None);
        }
        for slot in slots {
            self.fate(&key, slot, Fate::Never(why), users)?;
        }
        Ok(Some(mark))
    }

    fn fate(&mut self, key: &Key, slot: Timestamp, fate: Fate, users: &JobUsers) -> Result<(), String> {
        if !users.plan(&key.2).is_some_and(|plan| plan.has(slot)) {
            return Err(format!("{} of {} is no slot of {}: {fate:?}", slot, key.0, key.2));
        }
        let fates = self.fates.entry(key.clone()).or_default();
        match fates.get(&slot.as_millisecond()) {
            // Nobody was bothered: the run ends otherwise, or is launched once more.
            Some(Fate::GivenBack(_)) => {
                fates.insert(slot.as_millisecond(), fate);
                Ok(())
            }
            Some(earlier) if *earlier != fate => Err(format!(
                "the slot {slot} of {} has two fates: {earlier:?} and {fate:?}",
                key.0
            )),
            _ => {
                fates.insert(slot.as_millisecond(), fate);
                Ok(())
            }
        }
    }

    /// The schedule a run belongs to whose launch came to nothing; the job may have got another one since.
    fn given_back(&self, job: &JobName, run: &RunId, due: Timestamp) -> Option<Key> {
        let of_job = self.fates.iter().filter(|((name, _, _), _)| name == job);
        let mut back = of_job.filter(|(_, fates)| {
            let fate = fates.get(&due.as_millisecond());
            matches!(fate, Some(Fate::GivenBack(attempt)) if **attempt == *run.attempt())
        });
        back.next().map(|(key, _)| key.clone())
    }

    /// A launch came to nothing. Returns whether it was one of a slot.
    fn gives_back(&mut self, run: &Run) -> bool {
        let started = Fate::Started(attempt(&run.id));
        let of_job = self.fates.iter_mut().filter(|((name, _, _), _)| *name == run.job);
        let mut slots = of_job.filter_map(|(_, fates)| fates.get_mut(&run.due.as_millisecond()));
        let slot = slots.find(|fate| **fate == started);
        slot.map(|fate| *fate = Fate::GivenBack(attempt(&run.id)))
            .is_some()
    }

    /// A job's position moved forward: every slot it passed has a fate.
    fn all_settled(&mut self, key: Key, job: &Job, users: &JobUsers) -> Result<(), String> {
        let now = job.settled.as_millisecond();
        let Some(before) = self.settled.insert(key.clone(), now) else {
            return Ok(()); // what lies before its beginning is nobody's
        };
        if now < before {
            return Err(format!("the position of {} went back", key.0));
        }
        let Some(plan) = users.plan(&key.2) else {
            return Err(format!("nobody wrote the schedule {}", key.2));
        };
        let fates = self.fates.get(&key);
        let passed = plan.after_until(before, now);
        let forgotten = passed
            .into_iter()
            .find(|slot| fates.is_none_or(|fates| !fates.contains_key(&slot.as_millisecond())));
        forgotten.map_or(Ok(()), |slot| {
            Err(format!(
                "the slot {slot} of {} was neither started nor recorded as missed",
                key.0
            ))
        })
    }

    /// Slots that are due since long and still have no fate.
    pub(crate) fn forgotten(&self, durable: &Durable, until: Timestamp, users: &JobUsers) -> Option<String> {
        durable.jobs.values().find_map(|job| {
            let key = key_of(job)?;
            let plan: &Plan = users.plan(&key.2)?;
            let settled = job.settled.as_millisecond();
            let slot = plan
                .after_until(settled, until.as_millisecond())
                .into_iter()
                .next()?;
            Some(format!(
                "the slot {slot} of {} waits still, and it is {until}",
                key.0
            ))
        })
    }
}

fn is_launched(run: &Run) -> bool {
    matches!(run.state, State::Launched { .. })
}

/// The runs with the same attempt, whichever launch of it each is.
fn launches<'a>(durable: &'a Durable, id: &RunId) -> impl Iterator<Item = &'a Run> {
    let attempt = attempt(id);
    durable
        .runs
        .values()
        .filter(move |run| *run.id.attempt() == *attempt)
}

/// The nominal time in a run's id.
fn due_of(id: &RunId) -> Option<Timestamp> {
    let millis = id.as_str().split(':').nth(1)?.parse().ok()?;
    Timestamp::from_millisecond(millis).ok()
}
