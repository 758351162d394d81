//! Agents register, come back, and leave.

use super::env::*;
use crate::Input;
use crate::io::{Call, LinkId};
use meseta_types::TaskState;
use meseta_types::link::{AgentSpec, FromAgent};
use meseta_types::task::ReportedExecutor;
use std::time::Duration;

#[test]
fn a_repeated_registration_is_answered_again() {
    let (mut env, link, _) = Env::started();
    env.step(Input::Agent {
        link,
        message: FromAgent::Register { agent: agent(5051) },
    });
    env.expect(&["link1 <- registered m-S0"]);
}

#[test]
fn a_new_agent_at_the_address_of_another_replaces_it() {
    let (mut env, _, _) = Env::running();
    env.register(agent(5051));
    env.expect(&[
        "commit -agents/m-S0 +agents/m-S1",
        "op <- TASK_UPDATED t1 TASK_LOST AGENT_REMOVED 'Agent host5051 removed: a new agent registered at the same address' TASK_LOST",
        "stream2 <- UPDATE t1 TASK_LOST AGENT_REMOVED 'Agent host5051 removed: a new agent registered at the same address'",
        "link1 closed",
        "stream2 <- FAILURE m-S0",
        "op <- AGENT_REMOVED m-S0",
        "op <- AGENT_ADDED m-S1",
        "link3 <- registered m-S1",
        "link3 <- ping true",
        "stream2 <- OFFERS m-O1 of m-S1: cpus(allocated: dev):4; mem(allocated: dev):1024",
    ]);
}

#[test]
fn an_old_agent_is_not_welcome() {
    let mut env = Env::new();
    env.register(AgentSpec {
        version: "0.28.2".into(),
        ..agent(5051)
    });
    env.register(AgentSpec {
        version: "one".into(),
        ..agent(5051)
    });
    env.expect(&[
        "note register_agent: agent version '0.28.2' is not at least 1.0.0",
        "link1 closed",
        "note register_agent: agent version 'one' is not at least 1.0.0",
        "link2 closed",
    ]);
}

#[test]
fn an_agent_whose_link_broke_keeps_its_tasks_and_its_offers_are_back_when_it_is() {
    let (mut env, link, stream) = Env::running();
    env.call(stream, "m-0000", Call::Revive { roles: Vec::new() });
    env.forget();
    env.step(Input::LinkClosed { link });
    env.expect(&["stream2 <- RESCIND m-O1"]);
    // Killed while it is away: told when it is back.
    let call = Call::Kill {
        task_id: task_id("t1"),
        agent_id: None,
        kill_policy: Default::default(),
        grace: None,
    };
    env.call(stream, "m-0000", call);
    env.expect(&[]);
    let tasks = vec![reported("m-0000", "t1", TaskState::Running)];
    env.reregister("m-S0", agent(5051), inventory(vec![], tasks, vec![]));
    env.expect(&[
        "link3 <- reregistered m-S0",
        "link3 <- kill t1",
        "link3 <- ping true",
        "stream2 <- OFFERS m-O2 of m-S0: cpus(allocated: dev):3; mem(allocated: dev):896",
    ]);
}

#[test]
fn a_link_that_is_replaced_is_closed_and_not_listened_to() {
    let (mut env, link, _) = Env::running();
    let tasks = vec![reported("m-0000", "t1", TaskState::Running)];
    env.reregister("m-S0", agent(5051), inventory(vec![], tasks, vec![]));
    env.expect(&["link1 closed", "link3 <- reregistered m-S0", "link3 <- ping true"]);
    env.update(link, "m-0000", "t1", TaskState::Finished, 2);
    env.step(Input::LinkClosed { link });
    env.expect(&["note status_update: the link is not that of a registered agent"]);
}

#[test]
fn tasks_the_agent_does_not_list_are_asked_for_and_its_executors_are_dropped() {
    let (mut env, _, stream) = Env::running_with(framework("f"), vec![executor_task("t1", executor("e"))]);
    env.reregister("m-S0", agent(5051), inventory(vec![], vec![], vec![]));
    env.expect(&[
        "link1 closed",
        "link3 <- reregistered m-S0 t1?",
        "link3 <- ping true",
        "stream2 <- OFFERS m-O1 of m-S0: cpus(allocated: dev):3; mem(allocated: dev):896",
    ]);
    // The agent answers; a framework that knows DROPPED does not see LOST. What is freed is less than it refused.
    env.agent_answers_lost(LinkId(3), "m-0000", "t1", 7);
    env.expect(&[
        "op <- TASK_UPDATED t1 TASK_DROPPED RECONCILIATION #7 TASK_DROPPED",
        "stream2 <- UPDATE t1 TASK_DROPPED RECONCILIATION #7",
    ]);
    env.acknowledge(stream, "m-0000", "t1", 7);
    env.expect(&["link3 <- ack t1 #7"]);
}

#[test]
fn without_checkpoints_a_broken_link_loses_tasks_and_a_return_finds_them() {
    let mut forgetful = framework("f");
    forgetful.checkpoint = false;
    let (mut env, link, _) = Env::running_with(
        forgetful.clone(),
        vec![executor_task("t1", executor("e")), task("t2")],
    );
    env.step(Input::LinkClosed { link });
    env.expect(&[
        "op <- TASK_UPDATED t1 TASK_LOST AGENT_DISCONNECTED 'Agent host5051 disconnected' TASK_LOST",
        "stream2 <- UPDATE t1 TASK_LOST AGENT_DISCONNECTED 'Agent host5051 disconnected'",
        "op <- TASK_UPDATED t2 TASK_LOST AGENT_DISCONNECTED 'Agent host5051 disconnected' TASK_LOST",
        "stream2 <- UPDATE t2 TASK_LOST AGENT_DISCONNECTED 'Agent host5051 disconnected'",
    ]);
    let tasks = vec![reported("m-0000", "t2", TaskState::Running)];
    env.reregister("m-S0", agent(5051), inventory(vec![], tasks, vec![]));
    env.expect(&[
        "op <- TASK_ADDED t2 TASK_RUNNING",
        "stream2 <- UPDATE t2 TASK_RUNNING AGENT_REREGISTERED 'Agent reregistered'",
        "link3 <- reregistered m-S0",
        "link3 <- ping true",
        "stream2 <- OFFERS m-O1 of m-S0: cpus(allocated: dev):3; mem(allocated: dev):896",
    ]);
}

#[test]
fn an_agent_that_leaves_loses_its_tasks() {
    let (mut env, link, stream) = Env::running();
    env.call(stream, "m-0000", Call::Revive { roles: Vec::new() });
    env.forget();
    env.step(Input::Agent {
        link,
        message: FromAgent::Unregister,
    });
    env.expect(&[
        "commit -agents/m-S0",
        "op <- TASK_UPDATED t1 TASK_LOST AGENT_REMOVED 'Agent host5051 removed: the agent unregistered' TASK_LOST",
        "stream2 <- UPDATE t1 TASK_LOST AGENT_REMOVED 'Agent host5051 removed: the agent unregistered'",
        "stream2 <- RESCIND m-O1",
        "link1 closed",
        "stream2 <- FAILURE m-S0",
        "op <- AGENT_REMOVED m-S0",
    ]);
    let counters = &env.core.view().counters.by_name;
    assert_eq!(
        (
            counters["slave_removals"],
            counters["slave_removals/reason_unregistered"]
        ),
        (1, 1)
    );
}

#[test]
fn an_agent_may_not_change_its_address() {
    let (mut env, _, _) = Env::started();
    env.reregister(
        "m-S0",
        AgentSpec {
            hostname: "other".into(),
            ..agent(5051)
        },
        inventory(vec![], vec![], vec![]),
    );
    env.expect(&[
        "note reregister_agent: the agent's address or host name changed",
        "link3 <- shutdown: Agent attempted to re-register with a different IP or hostname",
        "link3 closed",
    ]);
}

#[test]
fn an_agent_that_came_back_smaller_gets_no_offers_until_its_tasks_fit() {
    let (mut env, link, _) = Env::running();
    env.step(Input::LinkClosed { link });
    let small = AgentSpec {
        resources: resources("cpus:0.5;mem:64"),
        wire: "small".into(),
        ..agent(5051)
    };
    let tasks = vec![reported("m-0000", "t1", TaskState::Running)];
    let link = env.reregister("m-S0", small, inventory(vec![], tasks, vec![]));
    env.expect(&[
        "commit +agents/m-S0",
        "link3 <- reregistered m-S0",
        "link3 <- ping true",
    ]);
    env.update(link, "m-0000", "t1", TaskState::Finished, 2);
    env.expect(&[
        "op <- TASK_UPDATED t1 TASK_FINISHED #2 TASK_FINISHED",
        "stream2 <- UPDATE t1 TASK_FINISHED #2",
        "stream2 <- OFFERS m-O1 of m-S0: cpus(allocated: dev):0.5; mem(allocated: dev):64",
    ]);
}

#[test]
fn after_a_fail_over_agents_bring_tasks_and_frameworks_back() {
    let (env, _, _) = Env::running_with(framework("f"), vec![executor_task("t1", executor("e"))]);
    let mut env = env.fail_over("n");
    let described = meseta_types::task::FrameworkSpec {
        id: Some(framework_id("m-0000")),
        ..framework("f")
    };
    let held = ReportedExecutor {
        framework_id: framework_id("m-0000"),
        executor: executor_of_dev("e"),
    };
    let mut there = reported("m-0000", "t1", TaskState::Running);
    there.executor_id = Some(executor_id("e"));
    let link = env.reregister(
        "m-S0",
        agent(5051),
        inventory(vec![described], vec![there], vec![held]),
    );
    env.expect(&[
        "session m-0000: disconnected",
        "op <- FRAMEWORK_ADDED m-0000",
        "op <- TASK_ADDED t1 TASK_RUNNING",
        "link3 <- reregistered m-S0",
        "op <- AGENT_ADDED m-S0",
        "link3 <- ping true",
    ]);
    // New ids are this master's.
    env.register(agent(5052));
    env.forget();
    env.resubscribe("m-0000", framework("f"));
    env.expect(&[
        "session m-0000: stream5",
        "stream5 <- SUBSCRIBED m-0000",
        "op <- FRAMEWORK_UPDATED m-0000",
        "link3 <- update framework m-0000",
        "stream5 <- OFFERS n-O0 of n-S0: cpus(allocated: dev):4; mem(allocated: dev):1024, n-O1 of m-S0: cpus(allocated: dev):2.9; mem(allocated: dev):864",
    ]);
    // The long-lived executor takes further tasks.
    let stream = crate::io::StreamId(5);
    env.accept(
        stream,
        "m-0000",
        &["n-O1"],
        vec![launch(vec![executor_task("t2", executor("e"))])],
    );
    env.expect(&[
        "op <- TASK_ADDED t2 TASK_STAGING",
        "link3 <- run t2 of m-0000 cpus(allocated: dev):1; mem(allocated: dev):128 in its executor",
    ]);
    env.update(link, "m-0000", "t2", TaskState::Running, 9);
    env.forget();
}

#[test]
fn a_framework_that_never_comes_back_after_a_fail_over_is_removed() {
    let (env, _, _) = Env::running();
    let mut env = env.fail_over("n");
    let described = meseta_types::task::FrameworkSpec {
        id: Some(framework_id("m-0000")),
        ..framework("f")
    };
    let tasks = vec![reported("m-0000", "t1", TaskState::Running)];
    let link = env.reregister("m-S0", agent(5051), inventory(vec![described], tasks, vec![]));
    env.pass_with(Duration::from_secs(3590), &[link]);
    env.forget();
    env.pass_with(Duration::from_secs(10), &[link]);
    let seen: Vec<String> = env
        .take()
        .into_iter()
        .filter(|line| !line.contains("ping"))
        .collect();
    assert_eq!(
        seen,
        [
            "commit +removed-frameworks/m-0000",
            "link3 <- shutdown framework m-0000",
            "op <- TASK_UPDATED t1 TASK_KILLED FRAMEWORK_REMOVED 'Framework m-0000 removed' TASK_KILLED",
            "session m-0000: removed",
            "op <- FRAMEWORK_REMOVED m-0000",
        ]
    );
}

#[test]
fn a_task_whose_id_runs_elsewhere_is_ended_where_it_came_second() {
    let (env, _, _) = Env::running();
    let mut env = env.fail_over("n");
    let described = || meseta_types::task::FrameworkSpec {
        id: Some(framework_id("m-0000")),
        ..framework("f")
    };
    let tasks = || vec![reported("m-0000", "t1", TaskState::Running)];
    env.reregister("m-S0", agent(5051), inventory(vec![described()], tasks(), vec![]));
    env.forget();
    env.reregister("x-S9", agent(5052), inventory(vec![described()], tasks(), vec![]));
    env.expect(&[
        "commit +agents/x-S9",
        "note reregister_agent: task t1 is on another agent",
        "link4 <- reregistered x-S9",
        "link4 <- kill t1",
        "op <- AGENT_ADDED x-S9",
        "link4 <- ping true",
    ]);
}

#[test]
fn a_registered_agent_is_connected_active_and_whole() {
    let mut env = Env::new();
    env.register(agent(5051));
    let agent = env
        .core
        .view()
        .agents
        .iter()
        .next()
        .map(|(_, a)| a.clone())
        .unwrap();
    assert!(agent.connected && agent.active && agent.reregistered_time.is_none());
    assert_eq!(agent.total(), &resources("cpus:4;mem:1024"));
}
