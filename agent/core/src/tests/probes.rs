//! Health checks and checks of command tasks.

use super::*;
use bytes::Bytes;
use meseta_types::task::{CheckSpec, HealthCheckSpec, Reason, TaskSpec};

fn with_health(failures: u32, grace: u64) -> TaskSpec {
    let mut task = command("t1");
    task.health_check = Some(HealthCheckSpec {
        delay: Duration::from_secs(1),
        interval: Duration::from_secs(5),
        timeout: Duration::from_secs(20),
        consecutive_failures: failures,
        grace_period: Duration::from_secs(grace),
    });
    task
}

fn probe(env: &mut Env) -> ProbeOrder {
    for _ in 0..1000 {
        let at = env.out.iter().position(|e| matches!(e, Effect::Probe(_)));
        if let Some(Effect::Probe(order)) = at.map(|at| env.out.remove(at)) {
            return order;
        }
        let (at, _) = env.core.deadline().expect("a deadline");
        env.jump(at);
        env.input(Input::Tick);
    }
    panic!("no probe within 1000 deadlines");
}

fn answer(env: &mut Env, outcome: ProbeOutcome) {
    let order = probe(env);
    env.input(Input::ProbeDone {
        probe: order.probe,
        outcome,
    });
}

fn healths(env: &mut Env) -> Vec<(TaskState, Option<bool>, Option<Reason>)> {
    let mut all = Vec::new();
    loop {
        let told = env.told();
        if told.is_empty() {
            return all;
        }
        for s in told {
            env.ack(&s);
            all.push((s.state, s.healthy, s.reason));
        }
    }
}

#[test]
fn a_healthy_task_says_so_once() {
    let mut env = Env::registered();
    env.running_with(framework(), with_health(3, 10));
    let begun = env.now.mono;
    let order = probe(&mut env);
    assert_eq!(env.now.mono.since(begun), Duration::from_secs(1));
    assert_eq!(order.timeout, Some(Duration::from_secs(20)));
    env.pass(Duration::from_secs(7));
    let passed = ProbeOutcome::Passed;
    env.input(Input::ProbeDone {
        probe: order.probe,
        outcome: passed.clone(),
    });
    let reason = Some(Reason::TASK_HEALTH_CHECK_STATUS_UPDATED);
    assert_eq!(healths(&mut env), [(TaskState::Running, Some(true), reason)]);
    let ended = env.now.mono;
    answer(&mut env, passed);
    assert_eq!(
        env.now.mono.since(ended),
        Duration::from_secs(5),
        "the interval counts from the end of a probe"
    );
    assert_eq!(healths(&mut env), []);
}

#[test]
fn three_failures_in_a_row_kill_the_task_as_unhealthy() {
    let mut env = Env::registered();
    let container = env.running_with(killing_framework(), with_health(3, 0));
    let mut said = Vec::new();
    for _ in 0..3 {
        answer(&mut env, ProbeOutcome::Failed("refused".into()));
        said.extend(healths(&mut env));
    }
    let reason = Some(Reason::TASK_HEALTH_CHECK_STATUS_UPDATED);
    let failed = (TaskState::Running, Some(false), reason);
    let killing = (TaskState::Killing, Some(false), None);
    assert_eq!(said, [failed, failed, failed, killing]);
    assert_eq!(env.effects(), [Effect::Terminate(container.clone())]);
    env.pass(Duration::from_secs(1));
    env.exited(&container, 15);
    assert_eq!(healths(&mut env), [(TaskState::Killed, Some(false), None)]);
}

#[test]
fn failures_in_the_grace_say_nothing_and_skipped_probes_count_for_nothing() {
    let mut env = Env::registered();
    env.running_with(framework(), with_health(1, 10));
    answer(&mut env, ProbeOutcome::Failed("refused".into()));
    answer(&mut env, ProbeOutcome::Skipped);
    assert_eq!(healths(&mut env), []);
    assert_eq!(env.task("t1").state, TaskState::Running);
}

#[test]
fn a_probe_under_way_is_dropped_when_the_kill_begins() {
    let mut env = Env::registered();
    env.running_with(framework(), with_health(1, 0));
    let order = probe(&mut env);
    env.master(kill("t1", None));
    assert!(env.out.contains(&Effect::CancelProbe(order.probe)));
    env.out.clear();
    env.input(Input::ProbeDone {
        probe: order.probe,
        outcome: ProbeOutcome::Passed,
    });
    env.nothing_else();
}

#[test]
fn a_check_reports_changes_only_and_every_update_carries_its_last_word() {
    let mut env = Env::registered();
    let mut task = command("t1");
    task.check = Some(CheckSpec {
        delay: Duration::ZERO,
        interval: Duration::ZERO,
        timeout: Duration::ZERO,
        initial_status: Bytes::from_static(b"<none>"),
    });
    env.master(run(framework(), task));
    let order = env.launch_order();
    env.started(&order.container_id);
    let starting = env.one_told();
    assert_eq!(&starting.wire[..], b"<container><none>");
    env.ack(&starting);
    assert_eq!(env.ack_all(), [TaskState::Running]);
    let seen = ProbeOutcome::Observed(Bytes::from_static(b"<exit 1>"));
    answer(&mut env, seen.clone());
    let status = env.one_told();
    assert_eq!(status.reason, Some(Reason::TASK_CHECK_STATUS_UPDATED));
    assert_eq!(&status.wire[..], b"<container><exit 1>");
    env.ack(&status);
    answer(&mut env, seen);
    assert_eq!(healths(&mut env), []);
    env.exited(&order.container_id, 0);
    assert_eq!(&env.one_told().wire[..], b"<container><exit 1>");
}
