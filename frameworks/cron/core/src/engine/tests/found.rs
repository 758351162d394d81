//! Defects that the simulated world found, each kept as a story of its own.

use super::*;

#[test]
fn while_a_write_is_under_way_no_tick_is_asked_for_and_none_is_kept() {
    let mut env = Env::new();
    env.put(scheduled("a", "R1/2026-01-01T00:01:00Z/PT1M")).unwrap();
    assert!(env.engine.deadline().is_some());
    let start = Call::Start {
        name: name("a"),
        arguments: None,
    };
    let mut out = Vec::new();
    let now = env.clocks();
    env.engine.step(now, Input::Call(RequestId(99), start), &mut out);
    assert!(matches!(out[..], [Effect::Commit(..)]), "{out:?}");
    assert_eq!(env.engine.deadline(), None);
    env.engine.step(now, Input::Tick, &mut out);
    assert!(env.engine.arrived.is_empty());
}

fn kinds(env: &Env) -> Vec<(&'static str, u64)> {
    let kind = |result: &RunResult| match result {
        RunResult::Success => "success",
        RunResult::Failed(_) => "failed",
        RunResult::Lost(_) => "lost",
        RunResult::Killed => "killed",
        RunResult::Missed(_) => "missed",
        RunResult::Superseded => "superseded",
        RunResult::Cancelled(_) => "cancelled",
    };
    env.results()
        .into_iter()
        .map(|(result, slots)| (kind(result), slots))
        .collect()
}

#[test]
fn a_retry_gives_way_to_a_later_slot_that_waits_for_its_run_to_end() {
    let mut env = Env::new();
    env.put(scheduled("a", "R/2026-01-01T00:01:00Z/PT1M")).unwrap();
    env.until("2026-01-01T00:01:00Z");
    let first = env.last();
    env.task(&first, TaskKind::Running);
    env.until("2026-01-01T00:02:10Z");
    env.task(&first, TaskKind::Failed);
    env.offer();
    assert_eq!(env.launched.len(), 2);
    assert_ne!(env.last(), first);
    assert_eq!(kinds(&env), [("failed", 0), ("superseded", 0)]);
    assert_eq!(env.engine.runs().len(), 1);
}

#[test]
fn a_launch_that_came_to_nothing_gives_way_to_a_later_slot_and_says_so() {
    let mut env = Env::new();
    env.put(scheduled("a", "R/2026-01-01T00:01:00Z/PT1M")).unwrap();
    env.until("2026-01-01T00:01:00Z");
    let first = env.last();
    env.until("2026-01-01T00:02:10Z");
    env.task(&first, TaskKind::NotLaunched);
    env.offer();
    assert_eq!(env.launched.len(), 2);
    assert_eq!(kinds(&env), [("superseded", 0)]);
}

#[test]
fn slots_before_one_that_is_cancelled_leave_a_record_too() {
    let mut env = Env::new();
    let mut spec = scheduled("a", "R/2026-01-01T00:01:00Z/PT1M");
    spec.demand.cpus = 1_000.0;
    env.put(spec).unwrap();
    env.until("2026-01-01T00:03:10Z");
    let disable = Call::Disable {
        name: name("a"),
        disabled: true,
    };
    env.call(disable).unwrap();
    assert_eq!(kinds(&env), [("cancelled", 0), ("cancelled", 2)]);
    assert_eq!(env.job("a").settled, ts("2026-01-01T00:03:00Z"));
}

#[test]
fn a_refused_edit_leaves_the_queue_in_its_order() {
    let mut env = Env::new();
    let mut spec = scheduled("a", "R1/2026-01-01T00:01:00Z/PT1M");
    spec.demand.cpus = 1_000.0;
    env.put(spec.clone()).unwrap();
    env.until("2026-01-01T00:01:10Z");
    env.store_refuses = true;
    spec.high_priority = true;
    assert!(env.put(spec).is_err());
    env.engine.check().unwrap();
}

#[test]
fn a_run_of_a_new_job_waits_for_one_of_the_old_job_of_its_name_and_then_goes_on() {
    let mut env = Env::new();
    let spec = scheduled("a", "R1/2026-01-01T00:01:00Z/PT1M");
    env.put(spec.clone()).unwrap();
    env.until("2026-01-01T00:01:00Z");
    let old = env.last();
    env.call(Call::Delete(name("a"))).unwrap();
    env.put(scheduled("a", "R1/2026-01-01T00:02:00Z/PT1M")).unwrap();
    env.until("2026-01-01T00:02:10Z");
    assert_eq!(env.launched.len(), 1);
    env.task(&old, TaskKind::Killed);
    env.offer();
    assert_eq!(env.launched.len(), 2);
}

#[test]
fn whether_a_launch_may_be_on_its_way_does_not_depend_on_a_clock_that_jumps() {
    for jump in ["2026-01-01T01:00:00Z", "2026-01-01T05:00:00Z"] {
        let mut env = Env::new();
        env.put(scheduled("a", "R1/2026-01-01T03:00:00Z/PT1H")).unwrap();
        env.until("2026-01-01T03:00:00Z");
        let run = env.last();
        env.jump(jump);
        env.step(Input::Reconcile);
        assert!(env.reconciled.is_empty(), "the question may overtake the launch");
        env.now += SignedDuration::from_secs(80);
        env.step(Input::Reconcile);
        assert_eq!(env.reconciled, [run]);
    }
}

#[test]
fn a_run_that_the_master_is_silent_about_is_asked_about_until_it_says_something() {
    let mut env = Env::new();
    env.put(scheduled("a", "R1//PT1M")).unwrap();
    env.offer();
    let lost = env.launched.pop().unwrap();
    env.step(Input::Disconnected);
    env.step(Input::Connected);
    assert_eq!(std::mem::take(&mut env.reconciled), std::slice::from_ref(&lost));
    for wait in [1, 1, 2, 4, 8, 16, 16] {
        let wait = jiff::SignedDuration::from_secs(wait);
        assert!(env.engine.deadline().unwrap() <= env.now + wait);
        env.now += wait;
        env.step(Input::Tick);
        assert_eq!(
            std::mem::take(&mut env.reconciled),
            std::slice::from_ref(&lost),
            "after {wait}"
        );
    }
    env.task(&lost, TaskKind::Unknown);
    env.offer();
    assert_eq!(
        env.launched,
        [lost.next_launch()],
        "it never was, and is launched"
    );
    env.finish();
    env.now += jiff::SignedDuration::from_secs(100);
    env.step(Input::Tick);
    assert!(env.reconciled.is_empty());
}

#[test]
fn a_refused_job_leaves_no_run_behind() {
    let mut env = Env::new();
    env.store_refuses = true;
    assert!(env.put(scheduled("a", "R/2025-12-31T23:59:00Z/PT1M")).is_err());
    assert!(env.engine.runs().is_empty(), "{:?}", env.engine.runs());
    assert!(env.engine.jobs().is_empty());
}

#[test]
fn of_two_launches_that_came_to_nothing_the_later_slot_waits() {
    for order in [[0, 1], [1, 0]] {
        let mut env = Env::new();
        let mut spec = scheduled("a", "R/2026-01-01T00:01:00Z/PT1M");
        spec.concurrent = true;
        env.put(spec).unwrap();
        env.until("2026-01-01T00:02:00Z");
        let runs = env.launched.clone();
        assert_eq!(runs.len(), 2);
        for at in order {
            env.task(&runs[at], TaskKind::NotLaunched);
        }
        assert_eq!(
            env.engine.runs().keys().collect::<Vec<_>>(),
            [&runs[1].next_launch()]
        );
        assert_eq!(env.results(), [(&RunResult::Superseded, 0)]);
        assert_eq!(env.history[0].id.attempt(), runs[0].as_str());
    }
}

#[test]
fn a_run_of_an_earlier_schedule_that_waits_again_settles_no_slot_of_the_new_one() {
    let mut env = Env::new();
    let with_epsilon = |schedule: &str| JobSpec {
        epsilon: Some(SignedDuration::from_secs(30)),
        ..scheduled("a", schedule)
    };
    env.put(with_epsilon("R/2026-01-01T00:01:00Z/PT1H")).unwrap();
    env.until("2026-01-01T00:01:00Z");
    let old = env.last();
    env.jump("2026-01-01T00:00:10Z");
    env.put(with_epsilon("R/2026-01-01T00:00:30Z/PT1H")).unwrap();
    env.task(&old, TaskKind::NotLaunched);
    env.now = ts("2026-01-01T02:00:00Z");
    env.step(Input::Tick);
    let missed: Vec<(Timestamp, u64)> = env.history.iter().map(|e| (e.due, e.slots)).collect();
    let expected = [(ts("2026-01-01T00:01:00Z"), 1), (ts("2026-01-01T00:00:30Z"), 2)];
    assert_eq!(missed, expected, "{:?}", env.history);
    assert_eq!(env.history[0].id, old.next_launch());
}

#[test]
fn a_run_of_an_earlier_schedule_gives_way_to_a_slot_of_the_new_one() {
    let mut env = Env::new();
    env.put(scheduled("a", "R/2026-01-01T00:01:00Z/PT1H")).unwrap();
    env.until("2026-01-01T00:01:00Z");
    let old = env.last();
    env.put(scheduled("a", "R/2026-01-01T00:00:50Z/PT1H")).unwrap();
    env.task(&old, TaskKind::NotLaunched);
    assert!(!env.engine.runs().contains_key(&old));
    env.offer();
    assert_eq!(env.launched.len(), 2);
    assert_eq!(env.results(), [(&RunResult::Superseded, 0)]);
}

#[test]
fn a_launch_of_a_disabled_job_that_came_to_nothing_is_not_made_again() {
    let mut env = Env::new();
    env.put(scheduled("a", "R/2026-01-01T00:01:00Z/PT1H")).unwrap();
    env.until("2026-01-01T00:01:00Z");
    let run = env.last();
    env.call(Call::Disable {
        name: name("a"),
        disabled: true,
    })
    .unwrap();
    env.task(&run, TaskKind::NotLaunched);
    env.offer();
    assert_eq!(env.launched.len(), 1);
    assert!(env.engine.runs().is_empty());
    assert!(
        matches!(env.results()[..], [(RunResult::Cancelled(_), 0)]),
        "{:?}",
        env.history
    );
}

const EVERY_KIND: [TaskKind; 9] = [
    TaskKind::Running,
    TaskKind::Finished,
    TaskKind::Failed,
    TaskKind::Killed,
    TaskKind::Lost,
    TaskKind::NotLaunched,
    TaskKind::Unreachable,
    TaskKind::Unknown,
    TaskKind::Vanished,
];

#[test]
fn what_is_said_of_a_launch_that_came_to_nothing_is_not_about_the_next_one() {
    for kind in EVERY_KIND {
        let mut env = Env::new();
        env.put(scheduled("a", "R1/2026-01-01T00:01:00Z/PT1H")).unwrap();
        env.until("2026-01-01T00:01:00Z");
        let first = env.last();
        env.restart();
        env.task(&first, TaskKind::Unknown);
        env.offer();
        let second = env.last();
        assert_ne!(first, second, "no task id is launched twice");
        let (acks, launched) = (env.acks.len(), env.engine.runs()[&second].clone());
        // Whatever it is, and asked about or not: the agent itself may have been away with it for long.
        for restarts in [false, true] {
            if restarts {
                env.restart();
            }
            env.task(&first, kind);
            env.offer();
            assert_eq!(env.engine.runs()[&second], launched, "{kind:?}");
        }
        assert_eq!(env.acks.len(), acks + 2, "it is told no more");
        assert_eq!(env.launched.len(), 2, "{kind:?}");
        env.finish();
        assert_eq!(env.results(), [(&RunResult::Success, 0)]);
        assert_eq!(env.history[0].id, second);
    }
}

#[test]
fn each_launch_of_an_attempt_gets_an_id_of_its_own_and_another_attempt_begins_anew() {
    let mut env = Env::new();
    env.put(scheduled("a", "R1/2026-01-01T00:01:00Z/PT1H")).unwrap();
    env.until("2026-01-01T00:01:00Z");
    for _ in 0..3 {
        env.task(&env.last(), TaskKind::NotLaunched);
        env.restart();
        env.offer();
    }
    env.task(&env.last(), TaskKind::Failed);
    env.until("2026-01-01T00:03:00Z");
    env.task(&env.last(), TaskKind::NotLaunched);
    env.offer();
    let ids: Vec<&str> = env.launched.iter().map(RunId::as_str).collect();
    let slot = "ct:1767225660000";
    let attempts = ["0:a:", "0:a:~2", "0:a:~3", "0:a:~4", "1:a:", "1:a:~2"];
    assert_eq!(ids, attempts.map(|attempt| format!("{slot}:{attempt}")));
    assert_eq!(
        env.job("a").counters,
        Counters::default(),
        "one failed attempt is no failed run"
    );
}

#[test]
fn what_a_master_says_of_a_run_and_the_store_refuses_is_asked_for_again() {
    for (ran, kind) in [
        (false, TaskKind::Unknown),
        (true, TaskKind::Unknown),
        (false, TaskKind::Vanished),
    ] {
        let mut env = Env::new();
        env.put(scheduled("a", "R1/2026-01-01T00:01:00Z/PT1H")).unwrap();
        env.until("2026-01-01T00:01:00Z");
        let run = env.last();
        if ran {
            env.task(&run, TaskKind::Running);
        }
        env.restart();
        env.reconciled.clear();
        env.store_refuses = true;
        env.step(Input::Task(TaskEvent {
            run: run.clone(),
            kind,
            message: "said".into(),
            agent: None,
            ack: None,
        }));
        assert!(env.engine.runs()[&run].is_active());
        env.store_refuses = false;
        env.until("2026-01-01T00:01:02Z");
        assert_eq!(env.reconciled.first(), Some(&run), "{ran} {kind:?}");
        env.task(&run, kind);
        assert!(!env.engine.runs().get(&run).is_some_and(Run::is_active));
    }
}

#[test]
fn what_is_said_of_a_task_of_another_agent_is_not_about_the_run() {
    let mut env = Env::new();
    env.put(scheduled("a", "R1/2026-01-01T00:01:00Z/PT1H")).unwrap();
    env.until("2026-01-01T00:01:00Z");
    let run = env.last();
    env.step(Input::Task(TaskEvent {
        run: run.clone(),
        kind: TaskKind::Lost,
        message: "said".into(),
        agent: Some("another".into()),
        ack: Some(AckToken(99)),
    }));
    assert_eq!(env.acks, [AckToken(99)], "it is told no more");
    assert!(env.engine.runs()[&run].is_active());
}

#[test]
fn a_run_whose_agent_has_left_may_have_run_and_is_not_launched_again_under_its_id() {
    let mut env = Env::new();
    env.put(scheduled("a", "R1/2026-01-01T00:01:00Z/PT1H")).unwrap();
    env.until("2026-01-01T00:01:00Z");
    let run = env.last();
    env.restart();
    env.task(&run, TaskKind::Vanished);
    env.offer();
    assert_eq!(env.launched.len(), 1);
    assert!(
        matches!(env.results()[..], [(RunResult::Lost(_), 0)]),
        "{:?}",
        env.history
    );
    env.until("2026-01-01T00:03:00Z");
    assert_eq!(env.launched.len(), 2, "another attempt");
    assert_ne!(env.last(), run);
}
