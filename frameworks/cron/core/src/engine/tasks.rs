//! What is said of tasks moves runs, counters and children.

use super::due::{ended, is_waiting_slot};
use super::{ASK_AGAIN, Engine, LAUNCH_SETTLED};
use crate::io::{Effect, Notice, TaskEvent, TaskKind};
use crate::job::JobName;
use crate::run::{Cause, Run, RunId, RunResult, State, Why};
use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;

fn later(now: Timestamp, wait: SignedDuration) -> Timestamp {
    now.checked_add(wait).unwrap_or(Timestamp::MAX)
}

impl Engine {
    /// A new stream: every run that may have a task is asked about.
    pub(super) fn connect(&mut self, now: Timestamp) {
        self.connected = true;
        self.wanted = None;
        self.offers.clear();
        let active: Vec<(RunId, Arc<str>)> = self
            .runs
            .values()
            .filter_map(|run| {
                run.task_place()
                    .map(|place| (run.id.clone(), Arc::clone(&place.agent)))
            })
            .collect();
        self.asked.clear();
        // Offers are void with their stream: of what was launched with them nothing can be on its way any more.
        self.launched_at.clear();
        self.unheard = active.iter().map(|(run, _)| run.clone()).collect();
        self.ask_again = (later(now, ASK_AGAIN.0), ASK_AGAIN.0);
        self.ask(active);
        for run in self.runs.values().filter(|run| run.kill_wanted) {
            if let Some(place) = run.task_place() {
                self.txn.released.push(Effect::Kill {
                    run: run.id.clone(),
                    agent: Arc::clone(&place.agent),
                });
            }
        }
    }

    /// On the same stream: all that may have a task, but for launches that may still be on their way.
    pub(super) fn ask_again(&mut self) {
        let now = self.mono;
        self.launched_at.retain(|_, at| now.since(*at) < LAUNCH_SETTLED);
        let active = self.runs.values().filter_map(|run| {
            let place = run.task_place()?;
            let launched = matches!(run.state, State::Launched { .. });
            let on_its_way = launched && self.launched_at.contains_key(&run.id);
            (!on_its_way).then(|| (run.id.clone(), Arc::clone(&place.agent)))
        });
        let active: Vec<(RunId, Arc<str>)> = active.collect();
        if self.connected {
            self.ask(active);
        }
    }

    /// On the same stream: those of which nothing was heard yet, when it is time.
    pub(super) fn ask_when_due(&mut self, now: Timestamp) {
        if self.unheard.is_empty() || self.ask_again.0 > now {
            return;
        }
        let wait = (self.ask_again.1 * 2).min(ASK_AGAIN.1);
        self.ask_again = (later(now, wait), wait);
        let silent = self.unheard.iter().filter_map(|id| {
            let place = self.runs.get(id)?.task_place()?;
            Some((id.clone(), Arc::clone(&place.agent)))
        });
        let silent = silent.collect();
        self.ask(silent);
    }

    fn ask(&mut self, active: Vec<(RunId, Arc<str>)>) {
        if !active.is_empty() {
            self.asked.extend(active.iter().map(|(run, _)| run.clone()));
            self.txn.released.push(Effect::Reconcile(active));
        }
    }

    pub(super) fn task(&mut self, now: Timestamp, event: TaskEvent) {
        let of_it = |run: &&Run| {
            let place = run.task_place();
            place.is_some_and(|place| event.agent.as_ref().is_none_or(|agent| *agent == place.agent))
        };
        if let Some(run) = self.runs.get(&event.run).filter(of_it).cloned() {
            self.unheard.remove(&event.run);
            if self
                .jobs
                .get(&run.job)
                .is_some_and(|job| job.generation == run.generation)
            {
                self.task_of(now, run, event.kind, &event.message);
            } else {
                self.stray(&run, event.kind);
            }
        }
        // Told twice, of a run that is over, or of an earlier launch: settled long ago.
        if let Some(ack) = event.ack {
            self.txn.released.push(Effect::Acknowledge(ack));
        }
    }

    /// A run of a job that was deleted meanwhile: it counts for nobody, and is forgotten when it is over.
    fn stray(&mut self, run: &Run, kind: TaskKind) {
        match kind {
            TaskKind::Running | TaskKind::Unreachable => {}
            TaskKind::Finished
            | TaskKind::Failed
            | TaskKind::Killed
            | TaskKind::Lost
            | TaskKind::NotLaunched
            | TaskKind::Unknown
            | TaskKind::Vanished => {
                self.drop_run(&run.id);
                // A job of the same name may wait for it.
                self.wake(&run.job);
                self.index_job(&run.job);
            }
        }
    }

    fn task_of(&mut self, now: Timestamp, run: Run, kind: TaskKind, message: &Arc<str>) {
        match (kind, &run.state) {
            (TaskKind::Running, _) => self.runs_on(now, run, None),
            (TaskKind::Unreachable, _) => {
                let since = match &run.state {
                    State::Running {
                        unreachable: Some(since),
                        ..
                    } => *since,
                    _ => now,
                };
                self.runs_on(now, run, Some(since));
            }
            (TaskKind::Finished, _) => self.task_finished(now, run),
            (TaskKind::Killed, _) => self.killed(now, &run),
            (TaskKind::Failed, _) => self.attempt_failed(now, run, RunResult::Failed(Arc::clone(message))),
            (TaskKind::Lost, _) => self.attempt_failed(now, run, RunResult::Lost(Arc::clone(message))),
            // It was launched (again) after the question: the answer is about an earlier time.
            (TaskKind::Unknown | TaskKind::Vanished, _) if !self.asked.contains(&run.id) => {}
            (TaskKind::NotLaunched, State::Launched { .. }) | (TaskKind::Unknown, State::Launched { .. }) => {
                self.not_launched(now, run)
            }
            // Somebody has seen it run since.
            (TaskKind::NotLaunched, _) => {}
            (TaskKind::Unknown | TaskKind::Vanished, _) => {
                self.attempt_failed(
                    now,
                    run,
                    RunResult::Lost("the master does not know it any more".into()),
                );
            }
        }
    }

    fn runs_on(&mut self, now: Timestamp, run: Run, unreachable: Option<Timestamp>) {
        let (place, since) = match run.state.clone() {
            State::Running { place, since, .. } => (place, since),
            State::Launched { place } => (place, now),
            State::Waiting { .. } | State::Retrying { .. } | State::Awaiting { .. } => return,
        };
        let state = State::Running {
            place,
            since,
            unreachable,
        };
        if run.state != state {
            self.put_run(Run { state, ..run });
        }
    }

    /// The task ended well: the run is over, unless it is asynchronous and its callback has not come.
    fn task_finished(&mut self, now: Timestamp, run: Run) {
        let asynchronous = self.jobs.get(&run.job).is_some_and(|job| job.spec.asynchronous);
        if !asynchronous {
            return self.succeeded(now, &run);
        }
        let (place, since) = match run.state.clone() {
            State::Running { place, since, .. } => (place, since),
            State::Launched { place } => (place, now),
            State::Waiting { .. } | State::Retrying { .. } | State::Awaiting { .. } => return,
        };
        self.put_run(Run {
            state: State::Awaiting { place, since },
            ..run
        });
    }

    pub(super) fn succeeded(&mut self, now: Timestamp, run: &Run) {
        self.record(ended(run, now, RunResult::Success, 0));
        self.drop_run(&run.id);
        self.count_success(now, &run.job);
        self.after_end(now, &run.job);
    }

    /// A success of a job, by a run or by somebody's word: counted, and told to its children.
    pub(super) fn count_success(&mut self, now: Timestamp, name: &JobName) {
        if let Some(job) = self.job_mut(name) {
            job.counters.success += 1;
            job.counters.errors_since_success = 0;
            job.counters.last_success = Some(now);
        }
        self.fire_children(now, name);
    }

    /// Each child counts the success; one whose parents have all succeeded since its last start is due.
    fn fire_children(&mut self, now: Timestamp, parent: &JobName) {
        let children: Vec<JobName> = self.graph.children(parent).cloned().collect();
        for name in children {
            if self.jobs.get(&name).is_none_or(|child| child.spec.disabled) {
                continue; // what happens while it is disabled is not made up for later
            }
            let waits = self
                .runs_of(&name)
                .any(|run| matches!(run.state, State::Waiting { .. }));
            if let Some(child) = self.job_mut(&name) {
                *child.parent_successes.entry(parent.clone()).or_insert(0) += 1;
                if child.parents_done() && !waits {
                    self.enqueue(&name, now, Cause::Parents, None);
                }
            }
        }
    }

    fn killed(&mut self, now: Timestamp, run: &Run) {
        self.record(ended(run, now, RunResult::Killed, 0));
        self.drop_run(&run.id);
        self.after_end(now, &run.job);
    }

    /// An attempt failed: another one after the delay, or the run has failed for good.
    pub(super) fn attempt_failed(&mut self, now: Timestamp, run: Run, result: RunResult) {
        let message = match &result {
            RunResult::Failed(message) | RunResult::Lost(message) => Arc::clone(message),
            _ => "".into(),
        };
        self.record(ended(&run, now, result, 0));
        self.drop_run(&run.id);
        let Some(spec) = self.jobs.get(&run.job).map(|job| Arc::clone(&job.spec)) else {
            return;
        };
        if run.attempt < spec.retries && !run.kill_wanted && !spec.disabled {
            let at = now
                .checked_add(self.config.failure_retry)
                .unwrap_or(Timestamp::MAX);
            let attempt = run.attempt + 1;
            let id = RunId::new(run.due, attempt, &run.job, run.arguments.as_deref().unwrap_or(""));
            let job = run.job.clone();
            let next = Run {
                id,
                attempt,
                elements: 0,
                state: State::Retrying { at },
                ..run
            };
            if !self.gives_way(now, &next) {
                self.put_run(next);
            }
            self.wake(&job);
            return;
        }
        self.exhausted(now, &run, spec.retries, spec.soft_error, message);
    }

    /// A run has failed for good.
    pub(super) fn exhausted(
        &mut self,
        now: Timestamp,
        run: &Run,
        retries: u32,
        soft_error: bool,
        message: Arc<str>,
    ) {
        let limit = self.config.disable_after_failures;
        let Some(job) = self.job_mut(&run.job) else { return };
        job.counters.error += 1;
        job.counters.errors_since_success += 1;
        job.counters.last_error = Some(now);
        let too_many = limit > 0 && job.counters.errors_since_success >= limit;
        let notice = Notice::Failed {
            job: run.job.clone(),
            retries,
            run: run.id.clone(),
            message,
        };
        self.txn.released.push(Effect::Notify(notice));
        if soft_error {
            self.fire_children(now, &run.job);
        }
        if too_many {
            self.disable(now, &run.job);
        }
        self.after_end(now, &run.job);
    }

    /// The launch never happened: the run waits for another one, and nobody's failure is counted. It waits under another
    /// id, so that nothing that is still said of this launch is about the next: the master may have said before the agent
    /// does that the agent never had it.
    fn not_launched(&mut self, now: Timestamp, run: Run) {
        if run.kill_wanted {
            return self.killed(now, &run);
        }
        if self.jobs.get(&run.job).is_some_and(|job| job.spec.disabled) {
            // As the runs that waited when it was disabled.
            let result = RunResult::Cancelled("the job was disabled".into());
            self.record(ended(&run, now, result, 0));
            self.drop_run(&run.id);
            return self.after_end(now, &run.job);
        }
        let waiting = Run {
            state: State::Waiting { why: Why::NoOffer },
            ..run
        };
        if self.gives_way(now, &waiting) {
            self.wake(&waiting.job);
        } else {
            self.supersede_earlier(now, &waiting);
            self.drop_run(&waiting.id);
            self.wait_for_offer(Run {
                id: waiting.id.next_launch(),
                ..waiting
            });
        }
    }

    /// When a run of a job is over: one that waited for it may go on, and a job without any start left is disabled.
    pub(super) fn after_end(&mut self, now: Timestamp, name: &JobName) {
        self.wake(name);
        self.index_job(name);
        let Some(job) = self.jobs.get(name) else { return };
        let over = job.schedule().is_some_and(|schedule| {
            schedule.after(job.settled).is_none() && schedule.newest(Timestamp::MIN, job.settled).is_some()
        });
        if over && !job.spec.disabled && self.runs_of(name).next().is_none() {
            self.disable(now, name);
        }
    }

    fn wake(&mut self, name: &JobName) {
        let behind: Vec<Run> = self
            .runs_of(name)
            .filter(|run| matches!(run.state, State::Waiting { why: Why::Overlap(_) }))
            .cloned()
            .collect();
        for run in behind {
            self.wait_for_offer(run);
        }
    }

    /// Disables a job for a reason of the engine's own.
    pub(super) fn disable(&mut self, now: Timestamp, name: &JobName) {
        if let Some(job) = self.job_mut(name).filter(|job| !job.spec.disabled) {
            Arc::make_mut(&mut job.spec).disabled = true;
            self.txn
                .released
                .push(Effect::Notify(Notice::Disabled(name.clone())));
            self.cancel_waiting(now, name, "the job was disabled");
            self.index_job(name);
        }
    }

    /// Takes back every run of a job that has no task yet.
    pub(super) fn cancel_waiting(&mut self, now: Timestamp, name: &JobName, why: &str) {
        self.end_waiting(now, name, &RunResult::Cancelled(why.into()));
    }

    /// Ends every run of a job that has no task yet, each with this result.
    pub(super) fn end_waiting(&mut self, now: Timestamp, name: &JobName, result: &RunResult) {
        let waiting: Vec<Run> = self
            .runs_of(name)
            .filter(|run| !run.is_active())
            .cloned()
            .collect();
        for run in waiting {
            self.record(ended(&run, now, result.clone(), 0));
            self.drop_run(&run.id);
            if is_waiting_slot(&run) && !run.placed {
                self.settle_with(now, &run, result.clone());
            }
        }
    }
}
