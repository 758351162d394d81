//! What users ask for. Each wish is checked whole before anything is changed.

use super::Engine;
use super::due::ended;
use crate::io::{Answer, Call, CountersWish, Effect, Notice, Refusal, RequestId};
use crate::job::{Counters, Job, JobName, JobSpec, Trigger};
use crate::run::{Cause, Run, RunId, RunResult, State};
use crate::schedule::Schedule;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Runs of one job, started by hand, that may wait: more are a mistake, and each is a record.
const MANUAL_WAITING_MAX: usize = 100;

/// Jobs that may depend on one: its success is one commit that counts for all of them.
const CHILDREN_MAX: usize = 2_000;

impl Engine {
    pub(super) fn call(&mut self, now: Timestamp, request: RequestId, call: Call) {
        let answer = match call {
            Call::Put { spec, counters } => self.put(now, spec, counters),
            Call::Delete(name) => self.delete(now, &name),
            Call::Start { name, arguments } => self.start(now, &name, arguments),
            Call::MarkSuccess(name) => Ok(self.mark_success(now, &name)),
            Call::Disable { name, disabled } => self.set_disabled(now, &name, disabled),
            Call::Kill(name) => self.kill(now, &name),
            Call::Purge => Ok(self.purge(now)),
            Call::Callback { run, success } => self.callback(now, &run, success),
            Call::Progress { name, run, elements } => self.progress(&name, &run, elements),
        };
        self.answer(request, answer);
    }

    fn put(&mut self, now: Timestamp, spec: Arc<JobSpec>, wish: CountersWish) -> Result<Answer, Refusal> {
        if let Trigger::Parents(parents) = &spec.trigger {
            self.graph
                .check(&spec.name, parents, |name| self.jobs.contains_key(name))?;
            let full = parents.iter().find(|parent| {
                self.graph.child_count(parent) >= CHILDREN_MAX
                    && !self.graph.parents(&spec.name).contains(parent)
            });
            if let Some(name) = full {
                return Err(Refusal::TooManyChildren {
                    name: name.clone(),
                    most: CHILDREN_MAX,
                });
            }
        }
        let name = spec.name.clone();
        match self.jobs.get(&name).cloned() {
            None => self.create(now, spec, wish),
            Some(before) => self.replace(now, before, spec, wish),
        }
        self.after_put(now, &name);
        Ok(Answer::Done)
    }

    fn create(&mut self, now: Timestamp, spec: Arc<JobSpec>, wish: CountersWish) {
        self.generation += 1;
        self.put_job(Job {
            settled: before_first(now, &spec),
            spec,
            counters: wish.over(Counters::default()),
            parent_successes: BTreeMap::new(),
            generation: self.generation,
        });
    }

    /// A schedule that was sent before keeps its position; a new one begins now, with one late run for what lies in
    /// its past.
    fn replace(&mut self, now: Timestamp, before: Job, spec: Arc<JobSpec>, wish: CountersWish) {
        let same = says_the_same(&before, &spec.trigger);
        let settled = match (before.schedule(), &spec.trigger) {
            _ if same => before.settled,
            // What somebody read some runs ago: those runs are not made again.
            (Some(old), Trigger::Schedule { schedule, .. }) if schedule.continues(old) => {
                before_first(now, &spec).max(before.settled)
            }
            _ => before_first(now, &spec),
        };
        let name = spec.name.clone();
        if !same {
            self.end_waiting(now, &name, &RunResult::Superseded);
        }
        let keeps_parents = before.parents() == parents_of(&spec);
        // The schedule's anchor may be "now": the one that was sent first stays.
        let spec = if same {
            with_trigger(&spec, before.spec.trigger.clone())
        } else {
            spec
        };
        self.put_job(Job {
            settled,
            counters: wish.over(before.counters),
            parent_successes: if keeps_parents {
                before.parent_successes
            } else {
                BTreeMap::new()
            },
            generation: before.generation,
            spec,
        });
    }

    /// Runs that wait follow the new definition: no retries left, disabled, another priority or epsilon.
    fn after_put(&mut self, now: Timestamp, name: &JobName) {
        let Some(spec) = self.jobs.get(name).map(|job| Arc::clone(&job.spec)) else {
            return;
        };
        if spec.disabled {
            self.cancel_waiting(now, name, "the job was disabled");
        }
        let runs: Vec<Run> = self.runs_of(name).cloned().collect();
        for run in runs {
            if matches!(run.state, State::Retrying { .. }) && run.attempt > spec.retries {
                // Its last attempt has its record: with that, it has failed for good.
                self.drop_run(&run.id);
                self.exhausted(
                    now,
                    &run,
                    spec.retries,
                    spec.soft_error,
                    "no retries are left".into(),
                );
            } else {
                self.index_run(&run.id);
            }
        }
        self.index_job(name);
    }

    fn delete(&mut self, now: Timestamp, name: &JobName) -> Result<Answer, Refusal> {
        let job = self
            .jobs
            .get(name)
            .cloned()
            .ok_or_else(|| Refusal::NotFound(name.clone()))?;
        let children: Vec<JobName> = self.graph.children(name).cloned().collect();
        for child in children {
            self.adopt(&child, &job);
        }
        self.cancel_waiting(now, name, "the job was deleted");
        self.kill_active(now, name);
        self.drop_job(name);
        self.txn
            .released
            .push(Effect::Notify(Notice::Deleted(name.clone())));
        Ok(Answer::Done)
    }

    /// A child loses a parent: it gets the grandparents instead, or, as the only child of a scheduled job, its
    /// schedule.
    fn adopt(&mut self, child: &JobName, gone: &Job) {
        let Some(before) = self.jobs.get(child).cloned() else {
            return;
        };
        let mut parents: Vec<JobName> = Vec::new();
        for parent in before.parents() {
            let replaced = if *parent == gone.spec.name {
                gone.parents()
            } else {
                std::slice::from_ref(parent)
            };
            parents.extend(
                replaced
                    .iter()
                    .filter(|p| !parents.contains(p))
                    .cloned()
                    .collect::<Vec<_>>(),
            );
        }
        let mut job = before;
        job.parent_successes.remove(&gone.spec.name);
        let trigger = match parents.is_empty() {
            false => Trigger::Parents(parents),
            true => {
                job.settled = gone.settled;
                gone.spec.trigger.clone()
            }
        };
        job.spec = with_trigger(&job.spec, trigger);
        self.put_job(job);
    }

    fn start(
        &mut self,
        now: Timestamp,
        name: &JobName,
        arguments: Option<Arc<str>>,
    ) -> Result<Answer, Refusal> {
        let job = self
            .jobs
            .get(name)
            .ok_or_else(|| Refusal::NotFound(name.clone()))?;
        if job.spec.disabled {
            return Err(Refusal::Disabled(name.clone()));
        }
        let waiting = self
            .runs_of(name)
            .filter(|run| run.cause == Cause::Manual && !run.is_active())
            .count();
        if waiting >= MANUAL_WAITING_MAX {
            return Err(Refusal::TooManyWaiting(waiting));
        }
        match self.enqueue(name, now, Cause::Manual, arguments) {
            Some(run) => Ok(Answer::Started(run)),
            None => Err(Refusal::NotFound(name.clone())),
        }
    }

    fn set_disabled(&mut self, now: Timestamp, name: &JobName, disabled: bool) -> Result<Answer, Refusal> {
        let job = self
            .job_mut(name)
            .ok_or_else(|| Refusal::NotFound(name.clone()))?;
        if job.spec.disabled != disabled {
            Arc::make_mut(&mut job.spec).disabled = disabled;
            self.after_put(now, name);
        }
        Ok(Answer::Done)
    }

    fn mark_success(&mut self, now: Timestamp, name: &JobName) -> Answer {
        let known = self.jobs.contains_key(name);
        if known {
            self.count_success(now, name);
        }
        Answer::Marked(known)
    }

    fn kill(&mut self, now: Timestamp, name: &JobName) -> Result<Answer, Refusal> {
        if !self.jobs.contains_key(name) {
            return Err(Refusal::NotFound(name.clone()));
        }
        self.cancel_waiting(now, name, "it was killed before it started");
        if self.kill_active(now, name) {
            self.after_end(now, name);
        }
        self.index_job(name);
        Ok(Answer::Done)
    }

    fn purge(&mut self, now: Timestamp) -> Answer {
        let waiting: BTreeSet<JobName> = self
            .runs
            .values()
            .filter(|run| !run.is_active())
            .map(|run| run.job.clone())
            .collect();
        for name in waiting {
            if self.is_full() {
                return Answer::Purged { all: false };
            }
            self.cancel_waiting(now, &name, "all waiting runs were taken back");
            self.index_job(&name);
        }
        Answer::Purged { all: true }
    }

    /// Ends every run of a job that goes on; whether one is over at once.
    fn kill_active(&mut self, now: Timestamp, name: &JobName) -> bool {
        let mut any_over = false;
        let active: Vec<Run> = self
            .runs_of(name)
            .filter(|run| run.is_active())
            .cloned()
            .collect();
        for run in active {
            let Some(place) = run.task_place() else {
                // Nothing is left of it but the wait for its callback.
                self.record(ended(&run, now, RunResult::Killed, 0));
                self.drop_run(&run.id);
                any_over = true;
                continue;
            };
            let agent = Arc::clone(&place.agent);
            self.txn.released.push(Effect::Kill {
                run: run.id.clone(),
                agent,
            });
            self.put_run(Run {
                kill_wanted: true,
                ..run
            });
        }
        any_over
    }

    fn callback(&mut self, now: Timestamp, id: &RunId, success: bool) -> Result<Answer, Refusal> {
        let run = self.runs.get(id).filter(|run| run.is_active()).cloned();
        let run = run.ok_or_else(|| Refusal::RunNotFound(id.clone()))?;
        match success {
            true => self.succeeded(now, &run),
            false => self.attempt_failed(now, run, RunResult::Failed("its callback said so".into())),
        }
        Ok(Answer::Done)
    }

    fn progress(&mut self, name: &JobName, id: &RunId, elements: u64) -> Result<Answer, Refusal> {
        let run = self
            .runs
            .get(id)
            .filter(|run| run.job == *name && run.is_active());
        let run = run.cloned().ok_or_else(|| Refusal::RunNotFound(id.clone()))?;
        self.put_run(Run {
            elements: run.elements.saturating_add(elements),
            ..run
        });
        Ok(Answer::Done)
    }
}

/// Just before the first slot, so that the first slot is the first that is not settled. A cron expression has no first
/// slot: it counts from now on.
fn before_first(now: Timestamp, spec: &JobSpec) -> Timestamp {
    match &spec.trigger {
        Trigger::Schedule { schedule, .. } => match schedule.anchor() {
            Some(first) => first
                .checked_sub(jiff::SignedDuration::from_nanos(1))
                .unwrap_or(Timestamp::MIN),
            None => now,
        },
        Trigger::Parents(_) => Timestamp::UNIX_EPOCH,
    }
}

/// Whether a schedule is the one the job has: as it was sent, or as readers see it now.
fn says_the_same(job: &Job, new: &Trigger) -> bool {
    let (Trigger::Schedule { text: old, schedule }, Trigger::Schedule { text: new, .. }) =
        (&job.spec.trigger, new)
    else {
        return false;
    };
    if old == new {
        return true;
    }
    let zone_of = |text: &Arc<str>| text.split_once('\n').map(|(_, zone)| zone.to_owned());
    let shown = || match schedule {
        Schedule::Interval(_) => Some(schedule.shown(job.settled)),
        Schedule::Cron(_) => None,
    };
    zone_of(old) == zone_of(new)
        && shown().is_some_and(|shown| new.split_once('\n').map_or(&**new, |(text, _)| text) == shown)
}

fn parents_of(spec: &JobSpec) -> &[JobName] {
    match &spec.trigger {
        Trigger::Schedule { .. } => &[],
        Trigger::Parents(parents) => parents,
    }
}

fn with_trigger(spec: &Arc<JobSpec>, trigger: Trigger) -> Arc<JobSpec> {
    let mut spec = JobSpec::clone(spec);
    spec.trigger = trigger;
    Arc::new(spec)
}
