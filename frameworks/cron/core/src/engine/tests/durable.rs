//! What survives, what is said of it, and how much goes into one commit.

use super::*;
use crate::run::{Cause, State};

#[test]
fn a_launch_that_came_to_nothing_is_still_due_after_a_restart() {
    let mut env = Env::new();
    env.put(scheduled("a", "R1/2026-01-01T00:01:00Z/PT1H")).unwrap();
    env.until("2026-01-01T00:01:00Z");
    let run = env.last();
    env.task(&run, TaskKind::NotLaunched);
    assert!(
        env.stored_runs.contains_key(&run.next_launch()),
        "only its record tells that it is due"
    );
    env.restart();
    env.offer();
    assert_eq!(env.launched, [run.clone(), run.next_launch()]);
    env.finish();
    assert_eq!(env.job("a").counters.success, 1);
}

#[test]
fn a_launch_that_came_to_nothing_and_found_no_other_offer_in_time_is_missed_and_recorded() {
    let mut env = Env::new();
    let mut spec = scheduled("a", "R/2026-01-01T00:01:00Z/PT1H");
    spec.epsilon = Some(SignedDuration::from_secs(30));
    env.put(spec).unwrap();
    env.until("2026-01-01T00:01:00Z");
    let run = env.last();
    env.task(&run, TaskKind::NotLaunched);
    env.now = ts("2026-01-01T00:01:31Z");
    env.step(Input::Tick);
    assert!(
        matches!(env.results()[..], [(RunResult::Missed(_), 1)]),
        "{:?}",
        env.history
    );
    assert!(env.stored_runs.is_empty());
}

#[test]
fn another_attempt_is_not_bound_by_the_epsilon_of_the_slot() {
    let mut env = Env::new();
    let mut spec = scheduled("a", "R/2026-01-01T00:01:00Z/PT1H");
    spec.epsilon = Some(SignedDuration::from_secs(30));
    env.put(spec).unwrap();
    env.until("2026-01-01T00:01:00Z");
    let run = env.last();
    env.task(&run, TaskKind::Failed);
    env.until("2026-01-01T00:02:05Z");
    assert_eq!(env.launched.len(), 2, "{:?}", env.history);
}

#[test]
fn a_word_that_nobody_knows_a_run_counts_only_if_somebody_asked_after_its_launch() {
    let mut env = Env::new();
    env.put(scheduled("a", "R1/2026-01-01T00:01:00Z/PT1H")).unwrap();
    env.until("2026-01-01T00:01:00Z");
    let run = env.last();
    env.task(&run, TaskKind::Unknown);
    env.offer();
    assert_eq!(
        env.launched.len(),
        1,
        "the answer was on its way before the launch was"
    );
    // Too young to be asked about; then old enough.
    env.step(Input::Reconcile);
    assert!(env.reconciled.is_empty());
    env.now = ts("2026-01-01T00:03:00Z");
    env.step(Input::Reconcile);
    assert_eq!(env.reconciled, std::slice::from_ref(&run));
    env.task(&run, TaskKind::Unknown);
    env.offer();
    assert_eq!(env.launched, [run.clone(), run.next_launch()]);
}

#[test]
fn thousands_of_slots_at_once_go_into_commits_of_bounded_size_and_none_is_left_out() {
    let jobs = (0..3_000).map(|n| Job {
        spec: Arc::new(scheduled(&format!("job{n:04}"), "R1/2026-01-01T00:01:00Z/PT1H")),
        settled: ts("2026-01-01T00:00:59Z"),
        counters: Counters::default(),
        parent_successes: BTreeMap::new(),
        generation: 1,
    });
    let mut env = Env::with(Engine::recover(Config::default(), jobs.collect(), Vec::new()));
    env.now = ts("2026-01-01T00:01:00Z");
    let offers = (0..4).map(|n| Offer {
        id: format!("large{n}").into(),
        agent: "agent".into(),
        host: "host".into(),
        attributes: Vec::new(),
        there: Demand {
            cpus: 1e6,
            mem: 1e6,
            disk: 1e6,
        },
    });
    env.step(Input::Offers(offers.collect()));
    assert_eq!(env.launched.len(), 3_000);
    let distinct: BTreeSet<&RunId> = env.launched.iter().collect();
    assert_eq!(distinct.len(), 3_000);
    assert!(
        env.most_changes <= COMMIT_CHANGES_MAX + 10,
        "{}",
        env.most_changes
    );
}

#[test]
fn large_definitions_are_not_launched_in_one_call() {
    let mut env = Env::new();
    for n in 0..30 {
        let mut spec = scheduled(&format!("job{n}"), "R1/2026-01-01T00:01:00Z/PT1H");
        spec.wire = vec![b' '; 200_000].into();
        env.put(spec).unwrap();
    }
    env.now = ts("2026-01-01T00:01:00Z");
    env.offer();
    let first = env.launched.len();
    assert!((15..30).contains(&first), "{first}");
    env.offer();
    assert_eq!(env.launched.len(), 30);
}

#[test]
fn readers_are_told_of_runs_that_are_not_stored_and_of_their_end() {
    let mut env = Env::new();
    env.put(scheduled("a", "R/2026-01-01T00:01:00Z/PT1H")).unwrap();
    env.now = ts("2026-01-01T00:01:00Z");
    env.step(Input::Tick);
    let waiting = env.shown.values().flatten().next().unwrap().clone();
    assert!(matches!(waiting.state, State::Waiting { .. }) && env.stored_runs.is_empty());
    env.offer_of(0.01);
    let waiting = env.shown[&waiting.id].clone().unwrap();
    assert!(
        format!("{:?}", waiting.state).contains("cpus 0.1 needed"),
        "{waiting:?}"
    );
    env.call(Call::Kill(name("a"))).unwrap();
    assert_eq!(env.shown[&waiting.id], None);
}

#[test]
fn a_schedule_that_was_read_some_runs_ago_and_is_sent_back_makes_none_of_them_again() {
    let mut env = Env::new();
    env.put(scheduled("a", "R/2026-01-01T00:01:00Z/PT1M")).unwrap();
    let read = env.job("a").schedule().unwrap().shown(env.job("a").settled);
    for minute in 1..=3 {
        env.until(&format!("2026-01-01T00:0{minute}:00Z"));
        env.finish();
    }
    env.put(scheduled("a", &read)).unwrap();
    env.offer();
    assert_eq!(env.launched.len(), 3);
    let shown = env.job("a").schedule().unwrap().shown(env.job("a").settled);
    env.put(scheduled("a", &shown)).unwrap();
    env.until("2026-01-01T00:04:00Z");
    assert_eq!(env.launched.len(), 4);
}

#[test]
fn a_cron_expression_counts_from_its_creation_on() {
    let mut env = Env::new();
    let mut spec = scheduled("a", NEVER);
    spec.trigger = Trigger::Schedule {
        text: "*/5 * * * *".into(),
        schedule: Schedule::cron("*/5 * * * *", None).unwrap(),
    };
    env.now = ts("2026-01-01T00:01:00Z");
    env.put(spec).unwrap();
    env.offer();
    assert!(env.launched.is_empty(), "nothing was due before it was there");
    env.until("2026-01-01T00:05:00Z");
    assert_eq!(env.launched.len(), 1);
    assert!(env.history.is_empty());
}

#[test]
fn a_job_is_disabled_and_enabled_without_touching_the_rest() {
    let mut env = Env::new();
    env.put(scheduled("a", "R/2026-01-01T00:01:00Z/PT1M")).unwrap();
    let disable = |disabled| Call::Disable {
        name: name("a"),
        disabled,
    };
    env.call(disable(true)).unwrap();
    env.until("2026-01-01T00:03:30Z");
    assert!(env.launched.is_empty());
    env.call(disable(false)).unwrap();
    env.offer();
    assert_eq!(env.launched.len(), 1, "one late run for what passed");
    let unknown = Call::Disable {
        name: name("x"),
        disabled: true,
    };
    assert_eq!(env.call(unknown), Err(Refusal::NotFound(name("x"))));
}

#[test]
fn all_that_waits_can_be_taken_back_at_once() {
    let mut env = Env::new();
    for text in ["a", "b"] {
        env.put(scheduled(text, NEVER)).unwrap();
        let start = Call::Start {
            name: name(text),
            arguments: None,
        };
        assert!(matches!(env.call(start), Ok(Answer::Started(_))));
    }
    assert_eq!(env.call(Call::Purge), Ok(Answer::Purged { all: true }));
    env.offer();
    assert!(env.launched.is_empty() && env.stored_runs.is_empty());
    assert_eq!(env.history.len(), 2);
    assert!(env.history.iter().all(|ended| ended.cause == Cause::Manual));
}

#[test]
fn more_waiting_runs_than_a_commit_takes_are_taken_back_in_several() {
    let mut env = Env::new();
    for at in 0..1_500 {
        let text = format!("j{at}");
        env.put(scheduled(&text, NEVER)).unwrap();
        let start = Call::Start {
            name: name(&text),
            arguments: None,
        };
        env.call(start).unwrap();
    }
    let mut calls = 1;
    while env.call(Call::Purge) == Ok(Answer::Purged { all: false }) {
        calls += 1;
        assert!(env.most_changes < 5_000, "{}", env.most_changes);
    }
    assert!(calls > 1);
    assert!(env.stored_runs.is_empty());
    assert_eq!(env.history.len(), 1_500);
}

#[test]
fn a_run_of_a_deleted_job_belongs_to_no_later_life_even_after_a_restart() {
    let mut env = Env::new();
    env.put(scheduled("a", "R1/2026-01-01T00:01:00Z/PT1H")).unwrap();
    env.until("2026-01-01T00:01:00Z");
    let old = env.last();
    env.task(&old, TaskKind::Running);
    env.call(Call::Delete(name("a"))).unwrap();
    env.restart();
    env.put(scheduled("a", NEVER)).unwrap();
    env.task(&old, TaskKind::Finished);
    assert_eq!(env.job("a").counters, Counters::default());
}

#[test]
fn a_full_disk_is_not_asked_in_a_loop_and_nothing_is_lost_by_it() {
    let mut env = Env::new();
    let mut spec = scheduled("a", "R/2026-01-01T00:01:00Z/PT1H");
    spec.epsilon = Some(SignedDuration::from_secs(30));
    env.put(spec).unwrap();
    env.put(scheduled("b", "R1/2026-01-01T00:03:00Z/PT1H")).unwrap();
    // Its epsilon has passed, and that cannot be written.
    env.now = ts("2026-01-01T00:03:00Z");
    env.store_refuses = true;
    env.commits = 0;
    env.offer();
    env.step(Input::Tick);
    assert_eq!(env.commits, 1, "tried once, then not before a second is over");
    assert!(env.launched.is_empty() && env.history.is_empty());
    assert_eq!(env.engine.deadline(), Some(ts("2026-01-01T00:03:01Z")));
    env.store_refuses = false;
    env.until("2026-01-01T00:03:02Z");
    assert_eq!(env.launched.len(), 1);
    assert!(
        matches!(env.results()[..], [(RunResult::Missed(_), 1)]),
        "{:?}",
        env.history
    );
}
