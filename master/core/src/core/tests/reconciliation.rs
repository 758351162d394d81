//! What the master says of tasks when asked.

use super::env::*;
use crate::io::{Call, Input};
use meseta_types::TaskState;

#[test]
fn every_case_has_its_answer() {
    let (mut env, _, stream) = Env::running();
    env.reconcile(
        stream,
        "m-0000",
        &[
            ("t1", None),
            ("t1", Some("m-S9")),
            ("never", Some("m-S0")),
            ("never", Some("nope")),
            ("never2", None),
        ],
    );
    env.expect(&[
        "stream2 <- UPDATE t1 TASK_RUNNING RECONCILIATION 'Reconciliation: Latest task state'",
        "stream2 <- UPDATE t1 TASK_RUNNING RECONCILIATION 'Reconciliation: Latest task state'",
        "stream2 <- UPDATE never TASK_GONE RECONCILIATION 'Reconciliation: Task is unknown to the agent'",
        "stream2 <- UPDATE never TASK_UNKNOWN RECONCILIATION 'Reconciliation: Task is unknown'",
        "stream2 <- UPDATE never2 TASK_UNKNOWN RECONCILIATION 'Reconciliation: Task is unknown'",
    ]);
}

#[test]
fn without_partition_awareness_every_unknown_task_is_lost() {
    let mut plain = framework("f");
    plain.capabilities.partition_aware = false;
    let (mut env, _, stream) = Env::started_with(plain);
    env.reconcile(
        stream,
        "m-0000",
        &[("never", Some("m-S0")), ("never", Some("nope")), ("never", None)],
    );
    env.expect(&[
        "stream2 <- UPDATE never TASK_LOST RECONCILIATION 'Reconciliation: Task is unknown to the agent'",
        "stream2 <- UPDATE never TASK_LOST RECONCILIATION 'Reconciliation: Task is unknown'",
        "stream2 <- UPDATE never TASK_LOST RECONCILIATION 'Reconciliation: Task is unknown'",
    ]);
}

#[test]
fn an_empty_list_asks_for_everything_that_is_not_over() {
    let (mut env, link, stream) = Env::running_with(framework("f"), vec![task("t1"), task("t2"), task("t3")]);
    env.update(link, "m-0000", "t2", TaskState::Finished, 2);
    env.update(link, "m-0000", "t3", TaskState::Finished, 3);
    env.acknowledge(stream, "m-0000", "t3", 3);
    env.forget();
    env.reconcile(stream, "m-0000", &[]);
    env.expect(&[
        "stream2 <- UPDATE t1 TASK_RUNNING RECONCILIATION 'Reconciliation: Latest task state'",
        "stream2 <- UPDATE t2 TASK_FINISHED RECONCILIATION 'Reconciliation: Latest task state'",
    ]);
}

#[test]
fn a_kill_of_an_unknown_task_is_answered_like_a_question() {
    let (mut env, link, stream) = Env::running();
    env.update(link, "m-0000", "t1", TaskState::Finished, 2);
    env.acknowledge(stream, "m-0000", "t1", 2);
    env.forget();
    let kill = |name: &str, agent: Option<&str>| Call::Kill {
        task_id: task_id(name),
        agent_id: agent.map(agent_id),
        kill_policy: Default::default(),
        grace: None,
    };
    env.call(stream, "m-0000", kill("t1", Some("m-S0")));
    env.call(stream, "m-0000", kill("never", None));
    env.expect(&[
        "stream2 <- UPDATE t1 TASK_GONE RECONCILIATION 'Reconciliation: Task is unknown to the agent'",
        "stream2 <- UPDATE never TASK_UNKNOWN RECONCILIATION 'Reconciliation: Task is unknown'",
    ]);
}

#[test]
fn an_operator_kills_live_tasks_only() {
    let (mut env, link, _) = Env::running();
    env.operator_kill(7, "m-0000", "t1");
    env.operator_kill(8, "m-0000", "never");
    env.operator_kill(9, "nope", "t1");
    env.update(link, "m-0000", "t1", TaskState::Killed, 2);
    env.operator_kill(10, "m-0000", "t1");
    env.expect(&[
        "link1 <- kill t1",
        "request7: ok",
        "request8: not found: No live task 'never' of framework 'm-0000'",
        "request9: not found: No live task 't1' of framework 'nope'",
        "op <- TASK_UPDATED t1 TASK_KILLED #2 TASK_KILLED",
        "stream2 <- UPDATE t1 TASK_KILLED #2",
        "stream2 <- OFFERS m-O1 of m-S0: cpus(allocated: dev):4; mem(allocated: dev):1024",
        "request10: not found: No live task 't1' of framework 'm-0000'",
    ]);
}

#[test]
fn operations_are_unknown_by_where_they_are_said_to_be() {
    let (mut env, _, stream) = Env::started();
    let operations = vec![
        ("a".into(), Some(agent_id("m-S0"))),
        ("b".into(), Some(agent_id("nope"))),
        ("c".into(), None),
    ];
    env.call(stream, "m-0000", Call::ReconcileOperations { operations });
    let call = Call::AcknowledgeOperationStatus {
        agent_id: None,
        operation_id: "a".into(),
    };
    env.call(stream, "m-0000", call);
    env.expect(&[
        "stream2 <- OPERATION a Unknown 'Reconciliation: Operation is unknown'",
        "stream2 <- OPERATION b Unknown 'Reconciliation: Both operation and agent are unknown'",
        "stream2 <- OPERATION c Unknown 'Reconciliation: Operation is unknown and no 'agent_id' was provided'",
        "note acknowledge_operation_status: unknown operation",
    ]);
}

/// What the effects are, in short: how many updates, then whether more waits.
fn told(env: &mut Env) -> (usize, bool) {
    let lines = env.take();
    let paced = lines.iter().filter(|line| line.ends_with("paced")).count();
    assert!(paced <= 1, "{paced} marks");
    (lines.len() - paced, paced == 1)
}

#[test]
fn more_answers_than_a_scheduler_may_leave_unread_wait_until_it_has_read() {
    let (mut env, _, stream) = Env::running();
    let names: Vec<String> = (0..5000).map(|n| format!("n{n}")).collect();
    let named: Vec<(&str, Option<&str>)> = names.iter().map(|name| (name.as_str(), None)).collect();
    env.reconcile(stream, "m-0000", &named);
    assert_eq!(told(&mut env), (4096, true));
    // Asked again before it has read: nothing more is said until then, and then all of it.
    env.reconcile(stream, "m-0000", &[]);
    env.expect(&[]);
    env.step(Input::Paced { stream });
    assert_eq!(told(&mut env), (1 + 5000 - 4096, false));
    env.step(Input::Paced { stream });
    env.expect(&[]);
}

#[test]
fn a_scheduler_that_left_is_told_nothing_of_what_it_had_asked() {
    let (mut env, _, stream) = Env::running();
    let names: Vec<String> = (0..5000).map(|n| format!("n{n}")).collect();
    let named: Vec<(&str, Option<&str>)> = names.iter().map(|name| (name.as_str(), None)).collect();
    env.reconcile(stream, "m-0000", &named);
    assert_eq!(told(&mut env), (4096, true));
    env.step(Input::StreamClosed { stream });
    env.forget();
    env.step(Input::Paced { stream });
    env.expect(&[]);
}
