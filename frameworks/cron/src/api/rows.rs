//! What people see of jobs and runs at a glance: states in a word, and rows in which attempts of one run are one.

use super::answer::{json, not_found};
use super::jobs::aside;
use super::{Api, Ctx, Outcome};
use crate::board::{Board, Seen};
use crate::history::{Entry, Origin};
use crate::job;
use jiff::Timestamp;
use meseta_cron_core::job::{Job, JobName, Trigger};
use meseta_cron_core::run::{Run, RunId, State, Why};
use serde::Serialize;

/// The last word on a job. A failure at the very time of a success is a failure, as in Chronos.
pub(super) fn status(job: &Job) -> &'static str {
    match (job.counters.last_success, job.counters.last_error) {
        (None, None) => "fresh",
        (Some(success), Some(error)) if success > error => "success",
        (Some(_), None) => "success",
        (_, Some(_)) => "failure",
    }
}

/// What a job does right now, in Chronos's words.
pub(super) fn state(seen: &Seen) -> String {
    match seen.active() {
        0 if seen.runs.is_empty() => "idle".to_owned(),
        0 => "queued".to_owned(),
        n => format!("{n} running"),
    }
}

/// A job in one row.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct JobRow {
    name: String,
    /// As sent; empty for a dependent job.
    schedule: String,
    schedule_time_zone: String,
    parents: Vec<String>,
    disabled: bool,
    owner: String,
    command: String,
    high_priority: bool,
    retries: u32,
    epsilon: Option<String>,
    state: &'static str,
    running: usize,
    waiting: usize,
    status: &'static str,
    /// The next slot that is not waiting already.
    next: Option<String>,
    /// Starts that are left; `None`: no end, or a dependent job.
    remaining: Option<u64>,
    success_count: u64,
    error_count: u64,
    /// The newest entry of the history.
    last: Option<RunRow>,
    /// The newest that had a task.
    last_run: Option<RunRow>,
}

/// A run in one row: its attempts, or slots without one.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RunRow {
    /// The id of its last attempt, and of the last launch of that: the id of its task.
    pub(super) run: String,
    pub(super) job: String,
    pub(super) due: String,
    pub(super) cause: &'static str,
    pub(super) start_timestamp: Option<String>,
    pub(super) end_timestamp: Option<String>,
    pub(super) took_millis: Option<i64>,
    pub(super) result: &'static str,
    /// Tasks that were started so far.
    pub(super) attempts: u32,
    pub(super) host: Option<String>,
    pub(super) agent_id: Option<String>,
    /// Why it is as it is; empty when all is well.
    pub(super) reason: String,
    /// Slots it stands for.
    pub(super) slots: u64,
    pub(super) retry_at: Option<String>,
    pub(super) arguments: Option<String>,
    #[serde(skip)]
    key: (i64, &'static str),
    #[serde(skip)]
    pub(super) had_task: bool,
    /// Ids of all its attempts that are known, each of the last launch.
    #[serde(skip)]
    pub(super) ids: Vec<RunId>,
}

impl RunRow {
    fn of_run(run: &Run) -> RunRow {
        let cause = Origin::from(run.cause).as_str();
        let place = run.place();
        let (result, started, reason) = match &run.state {
            State::Waiting { why } => ("waiting", None, waits_for(why)),
            State::Retrying { .. } => ("retrying", None, "its last attempt failed".to_owned()),
            State::Launched { .. } => ("starting", None, String::new()),
            State::Awaiting { since, .. } => ("running", Some(*since), AWAITS.to_owned()),
            State::Running {
                since, unreachable, ..
            } => {
                let reason = match unreachable {
                    Some(since) => format!("its agent is out of reach since {}", job::time(*since)),
                    None => String::new(),
                };
                ("running", Some(*since), reason)
            }
        };
        RunRow {
            run: run.id.as_str().to_owned(),
            job: run.job.as_str().to_owned(),
            due: job::time(run.due),
            cause,
            start_timestamp: started.map(job::time),
            end_timestamp: None,
            took_millis: None,
            result,
            attempts: run.attempt + u32::from(place.is_some()),
            host: place.map(|place| place.host.to_string()),
            agent_id: place.map(|place| place.agent.to_string()),
            reason,
            slots: 1,
            retry_at: match &run.state {
                State::Retrying { at } => Some(job::time(*at)),
                _ => None,
            },
            arguments: run.arguments.as_deref().map(str::to_owned),
            key: (run.due.as_millisecond(), cause),
            had_task: place.is_some(),
            ids: vec![run.id.clone()],
        }
    }

    fn of_entry(job: &JobName, entry: &Entry) -> RunRow {
        RunRow {
            run: entry.id.to_string(),
            job: job.as_str().to_owned(),
            due: job::time(entry.due),
            cause: entry.cause.as_str(),
            start_timestamp: entry.started.or(entry.placed).map(job::time),
            end_timestamp: Some(job::time(entry.ended)),
            took_millis: entry.took_millis(),
            result: entry.result.as_str(),
            attempts: entry.attempt + u32::from(entry.had_task()),
            host: entry.host.as_deref().map(str::to_owned),
            agent_id: entry.agent.as_deref().map(str::to_owned),
            reason: entry.message.to_string(),
            slots: entry.slots,
            retry_at: None,
            arguments: None,
            key: (entry.due.as_millisecond(), entry.cause.as_str()),
            had_task: entry.had_task(),
            ids: vec![RunId::written(&entry.id)],
        }
    }

    /// Takes in an earlier attempt of the same run.
    fn take_in(&mut self, earlier: RunRow) {
        self.ids.extend(earlier.ids);
        // Where it was last is worth more than nothing while it waits for its next attempt.
        if self.host.is_none() {
            self.host = earlier.host;
            self.agent_id = earlier.agent_id;
        }
        if self.result == "retrying" && !earlier.reason.is_empty() {
            self.reason = earlier.reason;
        }
        self.had_task |= earlier.had_task;
    }
}

/// What an asynchronous run whose task is over is about.
pub(super) const AWAITS: &str = "its task ended well, and its callback has not come";

/// What a waiting run waits for, in words.
pub(super) fn waits_for(why: &Why) -> String {
    match why {
        Why::NoOffer => "no resources are offered".to_owned(),
        Why::NoFit { lacks } => format!("no offer fits: {lacks}"),
        Why::Overlap(run) => format!("the run {run} goes on"),
    }
}

/// The runs of a job, newest first: those that are not over, then the history. Attempts of one run are one row.
pub(super) fn run_rows(seen: &Seen) -> Vec<RunRow> {
    let name = &seen.job.spec.name;
    let mut live: Vec<&Run> = seen.runs.iter().collect();
    live.sort_by_key(|run| std::cmp::Reverse(run.due));
    let live = live.into_iter().map(RunRow::of_run);
    let over = seen
        .history
        .iter()
        .rev()
        .map(|entry| RunRow::of_entry(name, entry));
    let mut rows: Vec<RunRow> = Vec::new();
    for row in live.chain(over) {
        // An attempt can only belong to a run with a task or a retry; slots that were settled together stand alone.
        let same = rows
            .iter_mut()
            .find(|later| later.key == row.key && (row.had_task || row.attempts > 0) && later.slots == 1);
        match same {
            Some(later) => later.take_in(row),
            None => rows.push(row),
        }
    }
    rows
}

/// The next slot of a job that is not waiting already.
pub(super) fn next_slot(seen: &Seen) -> Option<Timestamp> {
    if seen.job.spec.disabled {
        return None;
    }
    seen.job
        .schedule()?
        .after(settled_or_waiting(seen))
        .map(|slot| slot.at)
}

/// Up to where slots are settled, or wait to be.
pub(super) fn settled_or_waiting(seen: &Seen) -> Timestamp {
    let waiting = seen
        .runs
        .iter()
        .filter(|run| !run.placed && Origin::from(run.cause) == Origin::Slot);
    waiting
        .map(|run| run.due)
        .chain([seen.job.settled])
        .max()
        .unwrap_or(seen.job.settled)
}

fn job_row(seen: &Seen) -> JobRow {
    let job = &seen.job;
    let definition = job::definition(job);
    let (schedule, zone) = match &job.spec.trigger {
        Trigger::Schedule { text, .. } => job::text_and_zone(text),
        Trigger::Parents(_) => ("", ""),
    };
    let running = seen.active();
    let waiting = seen.runs.len() - running;
    let retrying = seen
        .runs
        .iter()
        .all(|run| matches!(run.state, State::Retrying { .. }));
    let rows = run_rows(seen);
    let mut over = rows.into_iter().filter(|row| row.end_timestamp.is_some());
    let last = over.next();
    let last_run = last.clone().into_iter().chain(over).find(|row| row.had_task);
    JobRow {
        name: job.spec.name.as_str().to_owned(),
        schedule: schedule.to_owned(),
        schedule_time_zone: zone.to_owned(),
        parents: job
            .parents()
            .iter()
            .map(|parent| parent.as_str().to_owned())
            .collect(),
        disabled: job.spec.disabled,
        owner: definition.owner,
        command: definition.command,
        high_priority: job.spec.high_priority,
        retries: job.spec.retries,
        epsilon: definition.epsilon,
        state: match (running, waiting) {
            (0, 0) => "idle",
            (0, _) if retrying => "retrying",
            (0, _) => "queued",
            _ => "running",
        },
        running,
        waiting,
        status: status(job),
        next: next_slot(seen).map(job::time),
        remaining: job
            .schedule()
            .and_then(|schedule| schedule.remaining(settled_or_waiting(seen))),
        success_count: job.counters.success,
        error_count: job.counters.error,
        last,
        last_run,
    }
}

#[derive(Serialize)]
struct Overview {
    jobs: Vec<JobRow>,
    /// Names of jobs whose records cannot be read.
    broken: Vec<String>,
}

impl Api {
    pub(super) async fn overview(&self, ctx: &Ctx<'_>) -> Outcome {
        let board: Board = self.board().await?;
        let headers = ctx.headers.clone();
        aside(move || {
            let overview = Overview {
                jobs: board.sorted().into_iter().map(|seen| job_row(seen)).collect(),
                broken: board.broken.keys().map(|name| name.as_str().to_owned()).collect(),
            };
            json(&overview, &headers)
        })
        .await
    }

    pub(super) async fn overview_of(&self, ctx: &Ctx<'_>, name: &str) -> Outcome {
        let board = self.board().await?;
        let seen = board
            .get(&JobName::recorded(name))
            .ok_or_else(|| not_found(name))?;
        Ok(json(&job_row(seen), ctx.headers))
    }
}

#[cfg(test)]
pub(super) mod tests;
