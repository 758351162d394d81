#![allow(clippy::unwrap_used)]

use super::*;
use crate::definition::Defaults;
use jiff::SignedDuration;
use meseta_cron_core::job::Dialect;
use meseta_cron_core::run::{Cause, Ended, Place, RunId, RunResult};
use std::sync::Arc;

pub(in crate::api) fn now() -> Timestamp {
    "2026-01-02T03:00:00Z".parse().unwrap()
}

pub(in crate::api) fn seen(body: serde_json::Value) -> Seen {
    let defaults = Defaults {
        cpus: 0.1,
        mem: 128.0,
        disk: 256.0,
        user: "root".into(),
    };
    let wish = crate::job::read(&body, Dialect::V3, &defaults, now()).unwrap();
    Seen {
        job: Job {
            settled: now(),
            counters: Default::default(),
            parent_successes: Default::default(),
            generation: 1,
            spec: Arc::new(wish.spec),
        },
        runs: Vec::new(),
        history: Default::default(),
    }
}

pub(in crate::api) fn place() -> Place {
    Place {
        agent: "a1".into(),
        host: "h1".into(),
        at: now(),
    }
}

pub(in crate::api) fn run(seen: &Seen, attempt: u32, cause: Cause, state: State) -> Run {
    let name = seen.job.spec.name.clone();
    Run {
        id: RunId::new(now(), attempt, &name, ""),
        job: name,
        generation: 1,
        due: now(),
        attempt,
        cause,
        arguments: None,
        placed: attempt > 0,
        state,
        kill_wanted: false,
        elements: 0,
    }
}

pub(in crate::api) fn end(seen: &mut Seen, attempt: u32, due: Timestamp, had_task: bool, result: RunResult) {
    let name = seen.job.spec.name.clone();
    let ended = Ended {
        id: RunId::new(due, attempt, &name, ""),
        job: name,
        due,
        attempt,
        cause: Cause::Slot,
        place: had_task.then(place),
        started: had_task.then_some(due),
        ended: due + SignedDuration::from_secs(2),
        result,
        slots: 0,
        elements: 0,
    };
    let number = seen.history.len() as u64;
    seen.history.push_back(Arc::new(Entry::of(&ended, number)));
}

fn hourly() -> Seen {
    seen(serde_json::json!({"name": "a", "schedule": "R3/2026-01-02T03:00:00Z/PT1H"}))
}

#[test]
fn attempts_of_one_run_are_one_row_with_the_last_result() {
    let mut seen = hourly();
    end(&mut seen, 0, now(), true, RunResult::Failed("exit 1".into()));
    end(&mut seen, 1, now(), true, RunResult::Failed("exit 1".into()));
    end(&mut seen, 2, now(), true, RunResult::Success);
    let rows = run_rows(&seen);
    assert_eq!(rows.len(), 1);
    assert_eq!(
        (rows[0].result, rows[0].attempts, rows[0].ids.len()),
        ("success", 3, 3)
    );
    assert_eq!(rows[0].took_millis, Some(2_000));
}

#[test]
fn a_run_that_waits_for_its_next_attempt_says_why_the_last_one_failed() {
    let mut seen = hourly();
    end(&mut seen, 0, now(), true, RunResult::Failed("exit 7".into()));
    let at = now() + SignedDuration::from_secs(60);
    let waiting = run(&seen, 1, Cause::Slot, State::Retrying { at });
    seen.runs.push(waiting);
    let rows = run_rows(&seen);
    assert_eq!(rows.len(), 1);
    assert_eq!(
        (rows[0].result, rows[0].attempts, &*rows[0].reason),
        ("retrying", 1, "exit 7")
    );
    assert_eq!(
        (rows[0].host.as_deref(), rows[0].retry_at.is_some()),
        (Some("h1"), true)
    );
    assert_eq!(job_row(&seen).state, "retrying");
}

#[test]
fn slots_without_a_run_are_rows_too_and_the_last_run_is_the_last_with_a_task() {
    let mut seen = hourly();
    end(&mut seen, 0, now(), true, RunResult::Success);
    let later = now() + SignedDuration::from_hours(1);
    end(
        &mut seen,
        0,
        later,
        false,
        RunResult::Missed("no offer came in time".into()),
    );
    let row = job_row(&seen);
    assert_eq!(
        (row.last.unwrap().result, row.last_run.unwrap().result),
        ("missed", "success")
    );
    assert_eq!((row.state, row.remaining), ("idle", Some(2)));
    assert_eq!(row.next.as_deref(), Some("2026-01-02T04:00:00.000Z"));
}

#[test]
fn a_slot_that_waits_is_not_the_next_one() {
    let mut seen = hourly();
    seen.job.settled = now() - SignedDuration::from_nanos(1);
    let waiting = run(&seen, 0, Cause::Slot, State::Waiting { why: Why::NoOffer });
    seen.runs.push(waiting);
    let row = job_row(&seen);
    assert_eq!(row.next.as_deref(), Some("2026-01-02T04:00:00.000Z"));
    assert_eq!(
        (row.state, row.waiting, state(&seen).as_str()),
        ("queued", 1, "queued")
    );
}
