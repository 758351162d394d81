//! Asynchronous runs: their callbacks, what happens without one, and what runs say of their progress.

use super::*;

fn asynchronous(text: &str) -> JobSpec {
    JobSpec {
        asynchronous: true,
        ..scheduled(text, "R1//PT1M")
    }
}

#[test]
fn an_asynchronous_run_ends_with_its_callback_and_only_once() {
    let mut env = Env::new();
    env.put(JobSpec {
        asynchronous: true,
        ..scheduled("a", "R1//PT1M")
    })
    .unwrap();
    env.offer();
    env.finish();
    assert_eq!(env.job("a").counters.success, 0);
    let run = env.last();
    env.call(Call::Callback {
        run: run.clone(),
        success: true,
    })
    .unwrap();
    assert_eq!(env.job("a").counters.success, 1);
    assert!(env.call(Call::Callback { run, success: true }).is_err());
}

#[test]
fn a_run_that_only_awaits_its_callback_has_no_task_that_could_be_lost() {
    let mut env = Env::new();
    env.put(asynchronous("a")).unwrap();
    env.offer();
    env.finish();
    let run = env.last();
    // The master does not know the task any more, and is not asked about it.
    for _ in 0..2 {
        env.step(Input::Connected);
        env.step(Input::Reconcile);
        env.restart();
    }
    assert_eq!(env.reconciled, []);
    for kind in [
        TaskKind::Unknown,
        TaskKind::Lost,
        TaskKind::Failed,
        TaskKind::Finished,
    ] {
        env.task(&run, kind);
    }
    assert_eq!(env.results(), []);
    env.call(Call::Callback { run, success: true }).unwrap();
    assert_eq!(env.job("a").counters.success, 1);
}

#[test]
fn without_a_callback_a_run_fails_when_its_maximum_completion_time_is_over_and_is_retried() {
    let mut env = Env::new();
    env.put(JobSpec {
        max_completion: Some(SignedDuration::from_secs(30)),
        retries: 1,
        ..asynchronous("a")
    })
    .unwrap();
    env.offer();
    let first = env.last();
    env.task(&first, TaskKind::Running);
    env.now = ts("2026-01-01T00:00:10Z");
    env.task(&first, TaskKind::Finished);
    env.restart();
    env.now = ts("2026-01-01T00:00:29Z");
    env.step(Input::Tick);
    assert_eq!(env.results(), []);
    assert_eq!(env.engine.deadline(), Some(ts("2026-01-01T00:00:30Z")));
    env.now = ts("2026-01-01T00:00:30Z");
    env.step(Input::Tick);
    let [(RunResult::Failed(why), _)] = &env.results()[..] else {
        panic!("{:?}", env.history);
    };
    assert!(why.contains("callback had not come"), "{why}");
    env.until("2026-01-01T00:01:31Z");
    let second = env.last();
    assert_ne!(first, second);
    env.task(&second, TaskKind::Finished);
    env.now = ts("2026-01-01T00:03:00Z");
    env.step(Input::Tick);
    assert_eq!(env.job("a").counters.error, 1);
}

#[test]
fn a_kill_ends_a_run_that_awaits_its_callback_at_once_and_so_does_the_end_of_its_job() {
    let mut env = Env::new();
    for name in ["a", "b"] {
        env.put(asynchronous(name)).unwrap();
        env.offer();
        env.finish();
    }
    env.call(Call::Kill(name("a"))).unwrap();
    env.call(Call::Delete(name("b"))).unwrap();
    assert_eq!(env.killed, [], "there is no task");
    assert_eq!(env.results(), [(&RunResult::Killed, 0), (&RunResult::Killed, 0)]);
    let counters = env.job("a").counters;
    assert_eq!((counters.success, counters.error), (0, 0));
    assert!(env.stored_runs.is_empty());
}

#[test]
fn progress_adds_up_over_a_restart_and_every_attempt_begins_anew() {
    let mut env = Env::new();
    env.put(JobSpec {
        retries: 1,
        ..scheduled("a", "R1//PT1M")
    })
    .unwrap();
    env.offer();
    let first = env.last();
    let more = |env: &mut Env, run: &RunId, job: &str, elements: u64| {
        env.call(Call::Progress {
            name: name(job),
            run: run.clone(),
            elements,
        })
    };
    more(&mut env, &first, "a", 5).unwrap();
    env.restart();
    more(&mut env, &first, "a", 7).unwrap();
    assert!(more(&mut env, &first, "b", 1).is_err(), "it is no run of b");
    env.task(&first, TaskKind::Failed);
    assert!(more(&mut env, &first, "a", 1).is_err(), "it is over");
    env.until("2026-01-01T00:01:01Z");
    let second = env.last();
    more(&mut env, &second, "a", u64::MAX).unwrap();
    more(&mut env, &second, "a", 1).unwrap();
    env.finish();
    let elements: Vec<u64> = env.history.iter().map(|ended| ended.elements).collect();
    assert_eq!(elements, [12, u64::MAX]);
}
