//! Jobs that are edited while something of theirs waits, and outages longer than an epsilon.

use super::*;
use crate::run::State;

/// A job of ten slots a minute apart, the first at 00:01, with two retries.
fn ten_minutes(text: &str) -> JobSpec {
    scheduled(text, "R10/2026-01-01T00:01:00Z/PT1M")
}

/// The first slot ran and failed; its retry is pending.
fn pending() -> Env {
    let mut env = Env::new();
    let spec = JobSpec {
        retries: 2,
        ..scheduled("a", "R/2026-01-01T00:01:00Z/PT1H")
    };
    env.put(spec).unwrap();
    env.until("2026-01-01T00:01:00Z");
    let run = env.last();
    env.task(&run, TaskKind::Failed);
    let states = env.engine.runs().values().map(|run| &run.state);
    assert!(matches!(states.collect::<Vec<_>>()[..], [State::Retrying { .. }]));
    env
}

fn launched_later(env: &mut Env) -> usize {
    let before = env.launched.len();
    env.until("2026-01-01T00:30:00Z");
    env.launched.len() - before
}

#[test]
fn a_pending_retry_without_a_right_to_be_has_failed() {
    let mut env = pending();
    env.put(JobSpec {
        retries: 0,
        ..scheduled("a", "R/2026-01-01T00:01:00Z/PT1H")
    })
    .unwrap();
    let counters = env.job("a").counters;
    assert_eq!((counters.error, counters.errors_since_success), (1, 1));
    assert!(
        matches!(&env.notices[..], [Notice::Failed { retries: 0, .. }]),
        "{:?}",
        env.notices
    );
    assert!(env.stored_runs.is_empty());
    assert_eq!(launched_later(&mut env), 0);
}

#[test]
fn a_pending_retry_of_a_deleted_job_is_gone_with_it() {
    let mut env = pending();
    env.call(Call::Delete(name("a"))).unwrap();
    assert!(env.stored_runs.is_empty() && env.stored_jobs.is_empty());
    assert_eq!(env.notices, [Notice::Deleted(name("a"))]);
    assert_eq!(launched_later(&mut env), 0);
}

#[test]
fn a_pending_retry_of_a_disabled_job_is_cancelled_and_counts_for_nothing() {
    let mut env = pending();
    env.call(Call::Disable {
        name: name("a"),
        disabled: true,
    })
    .unwrap();
    let [_, (RunResult::Cancelled(why), _)] = &env.results()[..] else {
        panic!("{:?}", env.history);
    };
    assert!(why.contains("disabled"), "{why}");
    assert_eq!(env.job("a").counters.error, 0);
    assert_eq!(launched_later(&mut env), 0);
}

#[test]
fn another_schedule_supersedes_what_waits_for_the_old_one_and_begins_with_its_own_slots() {
    let mut env = Env::new();
    env.put(scheduled("a", "R/2026-01-01T00:01:00Z/PT1H")).unwrap();
    // Its first slot is due, and there is no offer.
    env.now = ts("2026-01-01T00:02:00Z");
    env.step(Input::Tick);
    env.put(scheduled("a", "R/2026-01-01T00:05:00Z/PT1H")).unwrap();
    let told: Vec<(&RunResult, Timestamp)> = env.history.iter().map(|e| (&e.result, e.due)).collect();
    assert_eq!(told, [(&RunResult::Superseded, ts("2026-01-01T00:01:00Z"))]);
    env.until("2026-01-01T00:04:59Z");
    assert_eq!(env.launched, []);
    env.until("2026-01-01T00:05:00Z");
    assert_eq!(env.launched.len(), 1);
}

#[test]
fn after_an_outage_longer_than_the_epsilon_every_slot_is_missed_and_the_next_is_on_the_grid() {
    let mut env = Env::new();
    env.put(JobSpec {
        epsilon: Some(SignedDuration::from_secs(30)),
        ..ten_minutes("a")
    })
    .unwrap();
    // Nobody is there for the slots from 00:01 to 00:05.
    env.now = ts("2026-01-01T00:05:45Z");
    env.restart();
    env.offer();
    assert_eq!(env.launched, [], "none is late");
    let missed: u64 = env
        .history
        .iter()
        .filter(|ended| matches!(ended.result, RunResult::Missed(_)))
        .map(|ended| ended.slots)
        .sum();
    assert_eq!((missed, env.history.len()), (5, env.results().len()));
    env.until("2026-01-01T00:06:00Z");
    let due: Vec<Timestamp> = env.engine.runs_of(&name("a")).map(|run| run.due).collect();
    assert_eq!(due, [ts("2026-01-01T00:06:00Z")]);
}
