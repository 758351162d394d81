//! From an agent's registration to a task's last acknowledgement.

use super::env::*;
use crate::io::{Call, Filters, Operation, OperationKind};
use bytes::Bytes;
use meseta_types::task::{ExecutorSpec, FrameworkSpec, TaskSpec};
use meseta_types::{OfferId, Resources, TaskState};
use std::time::Duration;

#[test]
fn a_task_runs_from_offer_to_acknowledgement() {
    let mut env = Env::new();
    let link = env.register(agent(5051));
    env.expect(&[
        "commit +agents/m-S0",
        "op <- AGENT_ADDED m-S0",
        "link1 <- registered m-S0",
        "link1 <- ping true",
    ]);
    let stream = env.subscribe(framework("f"));
    env.expect(&[
        "session m-0000: stream2",
        "stream2 <- SUBSCRIBED m-0000",
        "op <- FRAMEWORK_ADDED m-0000",
        "stream2 <- OFFERS m-O0 of m-S0: cpus(allocated: dev):4; mem(allocated: dev):1024",
    ]);
    env.accept(stream, "m-0000", &["m-O0"], vec![launch(vec![task("t1")])]);
    env.expect(&[
        "op <- TASK_ADDED t1 TASK_STAGING",
        "link1 <- run t1 of m-0000 cpus(allocated: dev):1; mem(allocated: dev):128",
    ]);
    env.update(link, "m-0000", "t1", TaskState::Running, 1);
    env.expect(&[
        "op <- TASK_UPDATED t1 TASK_RUNNING #1 TASK_RUNNING",
        "stream2 <- UPDATE t1 TASK_RUNNING #1",
    ]);
    env.acknowledge(stream, "m-0000", "t1", 1);
    env.expect(&["link1 <- ack t1 #1"]);
    env.update(link, "m-0000", "t1", TaskState::Finished, 2);
    env.expect(&[
        "op <- TASK_UPDATED t1 TASK_FINISHED #2 TASK_FINISHED",
        "stream2 <- UPDATE t1 TASK_FINISHED #2",
        // More than the filter of the ACCEPT covers: it is offered at once.
        "stream2 <- OFFERS m-O1 of m-S0: cpus(allocated: dev):4; mem(allocated: dev):1024",
    ]);
    env.acknowledge(stream, "m-0000", "t1", 2);
    env.expect(&["link1 <- ack t1 #2"]);
    // It is not known any more.
    env.reconcile(stream, "m-0000", &[]);
    env.expect(&[]);
}

#[test]
fn an_offer_is_used_once() {
    let (mut env, _, stream) = Env::started();
    env.accept(stream, "m-0000", &["m-O0"], vec![launch(vec![task("t1")])]);
    env.forget();
    env.accept(stream, "m-0000", &["m-O0"], vec![launch(vec![task("t2")])]);
    env.expect(&["stream2 <- UPDATE t2 TASK_DROPPED INVALID_OFFERS 'Task launched with invalid offers: Offer m-O0 is no longer valid'"]);
}

#[test]
fn an_accept_that_came_twice_says_nothing_bad_of_the_task_it_launched() {
    let (mut env, _, stream) = Env::started();
    for _ in 0..2 {
        env.accept(stream, "m-0000", &["m-O0"], vec![launch(vec![task("t1")])]);
    }
    env.expect(&[
        "op <- TASK_ADDED t1 TASK_STAGING",
        "link1 <- run t1 of m-0000 cpus(allocated: dev):1; mem(allocated: dev):128",
        "note accept: task t1 runs already: Offer m-O0 is no longer valid",
    ]);
}

#[test]
fn bad_offers_drop_every_task_and_give_the_good_ones_up() {
    let (mut env, _, stream) = Env::started();
    let tasks = || vec![launch(vec![task("t1")])];
    env.accept(stream, "m-0000", &[], tasks());
    env.expect(&["stream2 <- UPDATE t1 TASK_DROPPED INVALID_OFFERS 'Task launched with invalid offers: No offers specified'"]);
    env.accept(stream, "m-0000", &["m-O0", "m-O0"], tasks());
    env.expect(&[
        "stream2 <- UPDATE t1 TASK_DROPPED INVALID_OFFERS 'Task launched with invalid offers: Duplicate offer m-O0 in offer list'",
        "stream2 <- OFFERS m-O1 of m-S0: cpus(allocated: dev):4; mem(allocated: dev):1024",
    ]);
    let other = env.subscribe(framework("other"));
    env.forget();
    env.accept(other, "m-0001", &["m-O1"], tasks());
    env.expect(&["stream3 <- UPDATE t1 TASK_DROPPED INVALID_OFFERS 'Task launched with invalid offers: Offer m-O1 has invalid framework m-0000 while framework m-0001 is expected'"]);
    // The offer is still its owner's.
    env.accept(stream, "m-0000", &["m-O1"], tasks());
    env.expect(&[
        "op <- TASK_ADDED t1 TASK_STAGING",
        "link1 <- run t1 of m-0000 cpus(allocated: dev):1; mem(allocated: dev):128",
        "stream3 <- OFFERS m-O2 of m-S0: cpus(allocated: dev):3; mem(allocated: dev):896",
    ]);
}

#[test]
fn without_partition_awareness_a_dropped_task_is_lost() {
    let mut plain = framework("f");
    plain.capabilities.partition_aware = false;
    let (mut env, _, stream) = Env::started_with(plain);
    env.accept(stream, "m-0000", &["m-O7"], vec![launch(vec![task("t1")])]);
    env.expect(&["stream2 <- UPDATE t1 TASK_LOST INVALID_OFFERS 'Task launched with invalid offers: Offer m-O7 is no longer valid'"]);
}

#[test]
fn offers_of_two_agents_cannot_be_joined_and_two_of_one_agent_can() {
    let mut env = Env::new();
    env.register(agent(5051));
    env.register(agent(5052));
    let stream = env.subscribe(framework("f"));
    env.forget();
    env.accept(
        stream,
        "m-0000",
        &["m-O0", "m-O1"],
        vec![launch(vec![task("t1")])],
    );
    let seen = env.take();
    assert!(
        seen[0].contains("Aggregated offers must belong to one single agent. Offer m-O1 uses agent m-S"),
        "{seen:?}"
    );
    // One agent, in two pieces: a task that ended brings the second.
    let (mut env, link, stream) = Env::running();
    env.pass(Duration::from_secs(1));
    env.call(stream, "m-0000", Call::Revive { roles: Vec::new() });
    env.update(link, "m-0000", "t1", TaskState::Finished, 2);
    env.expect(&[
        "stream2 <- OFFERS m-O1 of m-S0: cpus(allocated: dev):3; mem(allocated: dev):896",
        "op <- TASK_UPDATED t1 TASK_FINISHED #2 TASK_FINISHED",
        "stream2 <- UPDATE t1 TASK_FINISHED #2",
        "stream2 <- OFFERS m-O2 of m-S0: cpus(allocated: dev):1; mem(allocated: dev):128",
    ]);
    let big = TaskSpec {
        resources: resources("cpus:4;mem:1024"),
        ..task("big")
    };
    env.accept(stream, "m-0000", &["m-O1", "m-O2"], vec![launch(vec![big])]);
    env.expect(&[
        "op <- TASK_ADDED big TASK_STAGING",
        "link1 <- run big of m-0000 cpus(allocated: dev):4; mem(allocated: dev):1024",
    ]);
}

#[test]
fn a_bad_task_is_an_error_and_its_neighbours_run() {
    let (mut env, _, stream) = Env::started();
    let tasks = vec![
        task("a/b"),
        task("good"),
        task("good"),
        TaskSpec {
            agent_id: agent_id("m-S9"),
            ..task("elsewhere")
        },
        TaskSpec {
            invalid: Some("Task's 'kill_policy.grace_period' must be non-negative".into()),
            ..task("odd")
        },
        TaskSpec {
            resources: resources(""),
            ..task("none")
        },
        TaskSpec {
            has_command: false,
            ..task("idle")
        },
        TaskSpec {
            executor: Some(executor("e")),
            ..task("both")
        },
        TaskSpec {
            resources: half_a_gpu(),
            ..task("gpu")
        },
        TaskSpec {
            resources: resources("cpus:4"),
            ..task("big")
        },
        executor_task(
            "default",
            ExecutorSpec {
                is_default: true,
                ..executor("e")
            },
        ),
    ];
    env.accept(stream, "m-0000", &["m-O0"], vec![launch(tasks)]);
    let error =
        |name: &str, message: &str| format!("stream2 <- UPDATE {name} TASK_ERROR TASK_INVALID '{message}'");
    env.expect(&[
        &error("a/b", "'a/b' contains invalid characters"),
        "op <- TASK_ADDED good TASK_STAGING",
        "link1 <- run good of m-0000 cpus(allocated: dev):1; mem(allocated: dev):128",
        &error("good", "Task has duplicate ID: good"),
        &error("elsewhere", "Task uses invalid agent m-S9 while agent m-S0 is expected"),
        &error("odd", "Task's 'kill_policy.grace_period' must be non-negative"),
        &error("none", "Task uses no resources"),
        &error("idle", "Task should have at least one (but not both) of CommandInfo or ExecutorInfo present"),
        &error("both", "Task should have at least one (but not both) of CommandInfo or ExecutorInfo present"),
        &error("gpu", "Task uses invalid resources: Invalid 'gpus' resource: The 'gpus' resource must be an unsigned integer"),
        &error("big", "Total resources cpus(allocated: dev):4 required by task and its executor is more than available cpus(allocated: dev):3; mem(allocated: dev):896"),
        &error("default", "'ExecutorInfo.type' must be 'CUSTOM'"),
    ]);
}

fn half_a_gpu() -> Resources {
    use meseta_types::resource::{self, Resource, Scalar, Value};
    Resources::from_iter([Resource::new(resource::name("gpus"), Value::Scalar(Scalar(500)))])
}

#[test]
fn an_id_on_a_launch_refuses_its_tasks() {
    let (mut env, _, stream) = Env::started();
    let operation = Operation::Launch {
        id: Some("op".into()),
        tasks: vec![task("t1")],
    };
    env.accept(stream, "m-0000", &["m-O0"], vec![operation]);
    env.expect(&[
        "stream2 <- UPDATE t1 TASK_ERROR TASK_INVALID 'The `id` field cannot be set on LAUNCH operations'",
    ]);
}

#[test]
fn a_running_executor_is_charged_once_and_must_stay_the_same() {
    let (mut env, link, stream) = Env::started();
    let tasks = vec![
        executor_task("t1", executor("e")),
        executor_task("t2", executor("e")),
    ];
    env.accept_refusing(stream, "m-0000", &["m-O0"], vec![launch(tasks)], 0.0);
    env.expect(&[
        "op <- TASK_ADDED t1 TASK_STAGING",
        "link1 <- run t1 of m-0000 cpus(allocated: dev):1; mem(allocated: dev):128",
        "op <- TASK_ADDED t2 TASK_STAGING",
        "link1 <- run t2 of m-0000 cpus(allocated: dev):1; mem(allocated: dev):128 in its executor",
        "stream2 <- OFFERS m-O1 of m-S0: cpus(allocated: dev):1.9; mem(allocated: dev):736",
    ]);
    let other = ExecutorSpec {
        wire: Bytes::from_static(b"other"),
        ..executor("e")
    };
    env.accept(
        stream,
        "m-0000",
        &["m-O1"],
        vec![launch(vec![executor_task("t3", other)])],
    );
    let seen = env.take();
    assert!(
        seen[0].contains("ExecutorInfo is not compatible with existing ExecutorInfo with same ExecutorID.")
    );
    assert_eq!(seen.len(), 1);
    // Its end frees its own resources and is told.
    let ended = meseta_types::link::FromAgent::ExecutorExited {
        framework_id: framework_id("m-0000"),
        executor_id: executor_id("e"),
        status: 256,
    };
    env.step(crate::Input::Agent { link, message: ended });
    env.expect(&[
        "stream2 <- FAILURE m-S0 e 256",
        "stream2 <- OFFERS m-O2 of m-S0: cpus(allocated: dev):2; mem(allocated: dev):768",
    ]);
}

#[test]
fn a_group_runs_whole_or_not_at_all() {
    let (mut env, _, stream) = Env::started();
    let pod = ExecutorSpec {
        resources: resources("cpus:0.1;mem:32"),
        is_default: true,
        ..executor("pod")
    };
    let member = |name| TaskSpec {
        has_command: true,
        executor: None,
        ..task(name)
    };
    let group = |executor: ExecutorSpec, tasks| {
        vec![Operation::LaunchGroup {
            id: None,
            executor,
            tasks,
            invalid: None,
        }]
    };
    env.accept_refusing(
        stream,
        "m-0000",
        &["m-O0"],
        group(pod.clone(), vec![member("a"), member("b")]),
        0.0,
    );
    env.expect(&[
        "stream2 <- UPDATE a TASK_ERROR TASK_GROUP_INVALID 'Executor 'pod' uses no disk'",
        "stream2 <- UPDATE b TASK_ERROR TASK_GROUP_INVALID 'Executor 'pod' uses no disk'",
        "stream2 <- OFFERS m-O1 of m-S0: cpus(allocated: dev):4; mem(allocated: dev):1024",
    ]);
    let small = ExecutorSpec {
        resources: resources("mem:31"),
        ..pod
    };
    env.accept(stream, "m-0000", &["m-O1"], group(small, vec![member("a")]));
    env.expect(&["stream2 <- UPDATE a TASK_ERROR TASK_GROUP_INVALID 'Executor 'pod' uses less CPUs (None) than the minimum required (0.01)'"]);
}

#[test]
fn a_group_is_forwarded_as_one() {
    let mut env = Env::new();
    let mut roomy = agent(5051);
    roomy.resources = resources("cpus:4;mem:1024;disk:100");
    env.register(roomy);
    let stream = env.subscribe(framework("f"));
    env.forget();
    let pod = ExecutorSpec {
        resources: resources("cpus:0.1;mem:32;disk:10"),
        is_default: true,
        ..executor("pod")
    };
    let group = Operation::LaunchGroup {
        id: None,
        executor: pod,
        tasks: vec![task("a"), task("b")],
        invalid: None,
    };
    env.accept(stream, "m-0000", &["m-O0"], vec![group]);
    env.expect(&[
        "op <- TASK_ADDED a TASK_STAGING",
        "op <- TASK_ADDED b TASK_STAGING",
        "link1 <- run group a b in new pod",
    ]);
}

#[test]
fn operations_on_resources_are_refused_aloud() {
    let (mut env, _, stream) = Env::started();
    let operations = vec![
        Operation::Resources {
            kind: OperationKind::Reserve,
            id: Some("op1".into()),
        },
        Operation::Resources {
            kind: OperationKind::Create,
            id: None,
        },
        launch(vec![task("t1")]),
    ];
    env.accept(stream, "m-0000", &["m-O0"], operations);
    env.expect(&[
        "stream2 <- OPERATION op1 Error 'Operation RESERVE is not supported yet'",
        "note create: Operation CREATE is not supported yet",
        "op <- TASK_ADDED t1 TASK_STAGING",
        "link1 <- run t1 of m-0000 cpus(allocated: dev):1; mem(allocated: dev):128",
    ]);
    let operation = Operation::Resources {
        kind: OperationKind::Reserve,
        id: Some("op2".into()),
    };
    env.accept(stream, "m-0000", &["m-O0"], vec![operation]);
    env.expect(&["stream2 <- OPERATION op2 Error 'Operation attempted with invalid offers: Offer m-O0 is no longer valid'"]);
}

#[test]
fn a_declined_offer_stays_away_until_its_filter_ends_and_a_revive_ends_it() {
    let (mut env, link, stream) = Env::started();
    let decline = |id: &str, seconds| Call::Decline {
        offer_ids: vec![OfferId::as_written(id)],
        filters: Filters::from_seconds(Some(seconds)),
    };
    env.call(stream, "m-0000", decline("m-O0", 10.0));
    env.pass_with(Duration::from_secs(9), &[link]);
    env.expect(&[]);
    env.pass_with(Duration::from_secs(2), &[link]);
    env.expect(&["stream2 <- OFFERS m-O1 of m-S0: cpus(allocated: dev):4; mem(allocated: dev):1024"]);
    env.call(stream, "m-0000", decline("m-O1", 1000.0));
    env.expect(&[]);
    env.call(stream, "m-0000", Call::Revive { roles: Vec::new() });
    env.expect(&["stream2 <- OFFERS m-O2 of m-S0: cpus(allocated: dev):4; mem(allocated: dev):1024"]);
    env.call(stream, "m-0000", decline("m-O9", 0.0));
    env.expect(&["note decline: offer m-O9 is not the framework's (any more)"]);
}

#[test]
fn a_suppressed_framework_hears_nothing_until_it_revives() {
    let (mut env, _, stream) = Env::started();
    env.call(stream, "m-0000", Call::Suppress { roles: Vec::new() });
    let give_up = Call::Decline {
        offer_ids: vec![OfferId::as_written("m-O0")],
        filters: Filters::from_seconds(Some(0.0)),
    };
    env.call(stream, "m-0000", give_up);
    env.pass(Duration::from_secs(10));
    env.expect(&[]);
    let role = |name| meseta_types::Role::new(name).unwrap();
    env.call(
        stream,
        "m-0000",
        Call::Revive {
            roles: vec![role("ops")],
        },
    );
    env.expect(&["note revive: the framework is not subscribed to role 'ops'"]);
    env.call(
        stream,
        "m-0000",
        Call::Revive {
            roles: vec![role("dev")],
        },
    );
    env.expect(&["stream2 <- OFFERS m-O1 of m-S0: cpus(allocated: dev):4; mem(allocated: dev):1024"]);
}

#[test]
fn an_offer_nobody_uses_is_rescinded_and_offered_again() {
    let (mut env, link, _) = Env::started();
    env.pass_with(Duration::from_secs(59), &[link]);
    env.forget();
    env.pass(Duration::from_secs(1));
    env.expect(&[
        "stream2 <- RESCIND m-O0",
        "link1 <- ping true",
        "stream2 <- OFFERS m-O1 of m-S0: cpus(allocated: dev):4; mem(allocated: dev):1024",
    ]);
}

#[test]
fn a_used_offer_is_not_rescinded_later() {
    let (mut env, link, stream) = Env::started();
    env.accept(
        stream,
        "m-0000",
        &["m-O0"],
        vec![launch(vec![TaskSpec {
            resources: resources("cpus:4;mem:1024"),
            ..task("all")
        }])],
    );
    env.pass_with(Duration::from_secs(61), &[link]);
    assert!(!env.take().iter().any(|line| line.contains("RESCIND")));
}

#[test]
fn messages_go_both_ways_or_are_noted() {
    let (mut env, link, stream) = Env::started();
    let message = |agent: &str| Call::Message {
        agent_id: agent_id(agent),
        executor_id: executor_id("e"),
        data: Bytes::from_static(b"hi"),
    };
    env.call(stream, "m-0000", message("m-S0"));
    env.call(stream, "m-0000", message("m-S7"));
    let back = meseta_types::link::FromAgent::ExecutorMessage {
        framework_id: framework_id("m-0000"),
        executor_id: executor_id("e"),
        data: Bytes::from_static(b"ho"),
    };
    env.step(crate::Input::Agent { link, message: back });
    let shutdown = |agent: &str| Call::Shutdown {
        executor_id: executor_id("e"),
        agent_id: agent_id(agent),
    };
    env.call(stream, "m-0000", shutdown("m-S0"));
    env.call(stream, "m-0000", shutdown("m-S7"));
    env.call(stream, "m-0000", Call::Request);
    env.expect(&[
        "link1 <- message for e: b\"hi\"",
        "note message: agent is not connected",
        "stream2 <- MESSAGE of e: b\"ho\"",
        "link1 <- shutdown executor e",
        "note shutdown: agent is not connected",
    ]);
}

#[test]
fn a_framework_in_no_role_gets_no_offers() {
    let mut env = Env::new();
    env.register(agent(5051));
    env.forget();
    env.subscribe(FrameworkSpec {
        roles: Vec::new(),
        ..framework("f")
    });
    env.expect(&[
        "session m-0000: stream2",
        "stream2 <- SUBSCRIBED m-0000",
        "op <- FRAMEWORK_ADDED m-0000",
    ]);
}
