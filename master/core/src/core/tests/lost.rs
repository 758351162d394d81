//! Agents that fall silent, and what becomes of their tasks.

use super::env::*;
use crate::config::RateLimit;
use crate::io::{Call, LinkId, StreamId};
use crate::state::TaskList;
use crate::{Config, Input, Recovered};
use meseta_types::TaskState;
use meseta_types::link::FromAgent;
use meseta_types::task::FrameworkSpec;
use std::time::Duration;

fn minutes(n: u64) -> Duration {
    Duration::from_secs(60 * n)
}

/// `t1` runs, its agent fell silent and is marked unreachable; the transcript of the marking is forgotten.
fn unreachable(framework: FrameworkSpec) -> (Env, StreamId) {
    let (mut env, link, stream) = Env::running_with(framework, vec![task("t1")]);
    env.step(Input::LinkClosed { link });
    env.pass(Duration::from_secs(90));
    env.forget();
    (env, stream)
}

#[test]
fn an_agent_that_misses_five_pings_is_unreachable() {
    let (mut env, link, _) = Env::running();
    env.pass_with(Duration::from_secs(29), &[link]);
    env.forget();
    // Pings are sent at 30, 45, 60, 75 and 90 s; the last answer came at 29 s.
    env.pass(Duration::from_secs(75));
    let seen: Vec<String> = env
        .take()
        .into_iter()
        .filter(|line| line.contains("ping"))
        .collect();
    assert_eq!(seen.len(), 5);
    env.pass(Duration::from_secs(1));
    env.expect(&[
        "commit -agents/m-S0 +unreachable/m-S0",
        "link1 <- ping true",
        "op <- TASK_UPDATED t1 TASK_UNREACHABLE AGENT_REMOVED 'health check timed out' since TASK_UNREACHABLE",
        "stream2 <- UPDATE t1 TASK_UNREACHABLE AGENT_REMOVED 'health check timed out' since",
        "link1 closed",
        "stream2 <- FAILURE m-S0",
    ]);
    let view = env.core.view();
    let counters = &view.counters.by_name;
    assert_eq!(counters["slave_unreachable_scheduled"], 1);
    assert_eq!(counters["slave_unreachable_completed"], 1);
    assert_eq!(counters["slave_removals/reason_unhealthy"], 1);
    let task = view.tasks.iter().next().unwrap().1.clone();
    assert_eq!(
        (task.list, task.observed, task.state()),
        (TaskList::Unreachable, TaskState::Running, TaskState::Unreachable)
    );
}

#[test]
fn an_agent_without_a_link_is_found_by_the_same_count() {
    let (mut env, link, _) = Env::running();
    env.step(Input::LinkClosed { link });
    env.pass(Duration::from_secs(74));
    env.expect(&[]);
    env.pass(Duration::from_secs(1));
    env.expect(&[
        "commit -agents/m-S0 +unreachable/m-S0",
        "op <- TASK_UPDATED t1 TASK_UNREACHABLE AGENT_REMOVED 'health check timed out' since TASK_UNREACHABLE",
        "stream2 <- UPDATE t1 TASK_UNREACHABLE AGENT_REMOVED 'health check timed out' since",
        "stream2 <- FAILURE m-S0",
    ]);
}

#[test]
fn without_partition_awareness_the_task_is_lost_and_comes_back() {
    let mut plain = framework("f");
    plain.capabilities.partition_aware = false;
    let (mut env, link, _) = Env::running_with(plain, vec![task("t1")]);
    env.step(Input::LinkClosed { link });
    env.pass(Duration::from_secs(90));
    env.expect(&[
        "commit -agents/m-S0 +unreachable/m-S0",
        "op <- TASK_UPDATED t1 TASK_LOST AGENT_REMOVED 'health check timed out' since TASK_LOST",
        "stream2 <- UPDATE t1 TASK_LOST AGENT_REMOVED 'health check timed out' since",
        "stream2 <- FAILURE m-S0",
    ]);
    let tasks = vec![reported("m-0000", "t1", TaskState::Running)];
    env.reregister("m-S0", agent(5051), inventory(vec![], tasks, vec![]));
    env.expect(&[
        "commit +agents/m-S0 -unreachable/m-S0",
        "op <- TASK_ADDED t1 TASK_RUNNING",
        "stream2 <- UPDATE t1 TASK_RUNNING AGENT_REREGISTERED 'Unreachable agent re-reregistered'",
        "link3 <- reregistered m-S0",
        "op <- AGENT_ADDED m-S0",
        "link3 <- ping true",
        "stream2 <- OFFERS m-O1 of m-S0: cpus(allocated: dev):3; mem(allocated: dev):896",
    ]);
}

#[test]
fn a_task_that_ended_while_away_is_completed_once() {
    let (mut env, stream) = unreachable(framework("f"));
    let tasks = vec![reported("m-0000", "t1", TaskState::Finished)];
    let link = env.reregister("m-S0", agent(5051), inventory(vec![], tasks, vec![]));
    env.forget();
    env.update(link, "m-0000", "t1", TaskState::Finished, 5);
    env.acknowledge(stream, "m-0000", "t1", 5);
    let view = env.core.view();
    let lists: Vec<TaskList> = view.tasks.iter().map(|(_, t)| t.list).collect();
    assert_eq!(lists, [TaskList::Completed]);
}

#[test]
fn an_unreachable_task_the_agent_does_not_bring_back_is_forgotten() {
    let (mut env, stream) = unreachable(framework("f"));
    env.reregister("m-S0", agent(5051), inventory(vec![], vec![], vec![]));
    env.forget();
    assert_eq!(env.core.view().tasks.len(), 0);
    env.reconcile(stream, "m-0000", &[("t1", Some("m-S0"))]);
    env.expect(&[
        "stream2 <- UPDATE t1 TASK_GONE RECONCILIATION 'Reconciliation: Task is unknown to the agent'",
    ]);
}

#[test]
fn the_id_of_an_unreachable_task_is_taken() {
    let (mut env, stream) = unreachable(framework("f"));
    env.register(agent(5052));
    env.forget();
    let again = meseta_types::task::TaskSpec {
        agent_id: agent_id("m-S1"),
        ..task("t1")
    };
    env.accept(stream, "m-0000", &["m-O1"], vec![launch(vec![again])]);
    env.expect(&[
        "stream2 <- UPDATE t1 TASK_ERROR TASK_INVALID 'Task reuses the ID of an unreachable task: t1'",
    ]);
}

#[test]
fn a_terminal_task_keeps_its_state_on_a_lost_agent() {
    let (mut env, link, _) = Env::running();
    env.update(link, "m-0000", "t1", TaskState::Finished, 2);
    env.step(Input::LinkClosed { link });
    env.forget();
    env.pass(Duration::from_secs(90));
    env.expect(&["commit -agents/m-S0 +unreachable/m-S0", "stream2 <- FAILURE m-S0"]);
    let view = env.core.view();
    let task = view.tasks.iter().next().unwrap().1.clone();
    assert_eq!(
        (task.list, task.state()),
        (TaskList::Unreachable, TaskState::Finished)
    );
}

#[test]
fn words_of_an_unreachable_agent_are_dropped_until_it_registers_again() {
    let (mut env, link, _) = Env::running();
    env.pass(Duration::from_secs(120));
    env.forget();
    env.update(link, "m-0000", "t1", TaskState::Finished, 2);
    let exited = FromAgent::ExecutorExited {
        framework_id: framework_id("m-0000"),
        executor_id: executor_id("t1"),
        status: 0,
    };
    env.step(Input::Agent {
        link,
        message: exited,
    });
    env.expect(&[
        "note status_update: the link is not that of a registered agent",
        "note exited_executor: the link is not that of a registered agent",
    ]);
}

#[test]
fn a_torn_down_framework_ends_its_tasks_when_their_agent_returns() {
    let (mut env, stream) = unreachable(framework("f"));
    env.call(stream, "m-0000", Call::Teardown);
    env.expect(&[
        "commit +removed-frameworks/m-0000",
        "op <- TASK_UPDATED t1 TASK_KILLED FRAMEWORK_REMOVED 'Framework m-0000 removed' TASK_KILLED",
        "session m-0000: removed",
        "stream2 closed",
        "op <- FRAMEWORK_REMOVED m-0000",
    ]);
    let described = FrameworkSpec {
        id: Some(framework_id("m-0000")),
        ..framework("f")
    };
    let tasks = vec![reported("m-0000", "t1", TaskState::Running)];
    env.reregister("m-S0", agent(5051), inventory(vec![described], tasks, vec![]));
    env.expect(&[
        "commit +agents/m-S0 -unreachable/m-S0",
        "link3 <- reregistered m-S0",
        "link3 <- shutdown framework m-0000",
        "op <- AGENT_ADDED m-S0",
        "link3 <- ping true",
    ]);
}

#[test]
fn unreachable_tasks_are_bounded_with_the_oldest_out() {
    let mut config = Config::new("m");
    config.max_unreachable_tasks_per_framework = 1;
    let mut env = Env::with(config, Recovered::default());
    let link = env.register(agent(5051));
    let stream = env.subscribe(framework("f"));
    env.accept(
        stream,
        "m-0000",
        &["m-O0"],
        vec![launch(vec![task("t1"), task("t2")])],
    );
    env.step(Input::LinkClosed { link });
    env.pass(Duration::from_secs(90));
    let view = env.core.view();
    let tasks: Vec<&str> = view.tasks.iter().map(|(_, t)| t.task_id.as_str()).collect();
    assert_eq!(tasks, ["t2"]);
}

#[test]
fn agents_missing_after_a_fail_over_are_marked_without_words_about_tasks() {
    let (env, _, _) = Env::running();
    let mut env = env.fail_over("n");
    let stream = env.resubscribe("m-0000", framework("f"));
    env.pass(minutes(10) - Duration::from_secs(1));
    env.forget();
    env.reconcile(stream, "m-0000", &[("t1", Some("m-S0")), ("t1", None)]);
    env.expect(&[]);
    env.pass(Duration::from_secs(1));
    env.expect(&["commit -agents/m-S0 +unreachable/m-S0", "stream3 <- FAILURE m-S0"]);
    env.reconcile(stream, "m-0000", &[("t1", Some("m-S0"))]);
    env.expect(&[
        "stream3 <- UPDATE t1 TASK_UNREACHABLE RECONCILIATION 'Reconciliation: Task is unreachable' since",
    ]);
    assert_eq!(env.core.view().counters.by_name["recovery_slave_removals"], 1);
}

#[test]
fn too_many_missing_agents_end_the_master_instead() {
    let mut env = Env::new();
    env.register(agent(5051));
    env.register(agent(5052));
    let mut next = env.fail_over("n");
    let mut config = next.core.config().clone();
    config.recovery_agent_removal_limit = 0.25;
    next = Env::with(config, next.recovered_from_store());
    next.pass(minutes(10));
    next.expect(&["step down: TooManyAgentsMissing { missing: 2, admitted: 2 }"]);
    // It does nothing any more.
    next.register(agent(5053));
    next.expect(&[]);
}

#[test]
fn an_agent_that_answers_and_does_not_return_is_unreachable_after_the_timeout() {
    let mut config = Config::new("m");
    config.max_agent_ping_timeouts = 1000;
    let mut env = Env::with(config, Recovered::default());
    let link = env.register(agent(5051));
    env.step(Input::LinkClosed { link });
    env.forget();
    env.pass(minutes(10));
    env.expect(&["commit -agents/m-S0 +unreachable/m-S0"]);
}

#[test]
fn removals_keep_to_their_rate_and_an_answer_cancels() {
    let mut config = Config::new("m");
    config.agent_removal_rate_limit = Some(RateLimit {
        permits: 1,
        per: minutes(10),
    });
    let mut env = Env::with(config, Recovered::default());
    let links: Vec<LinkId> = (5051..5054).map(|port| env.register(agent(port))).collect();
    env.pass(Duration::from_secs(75));
    let commits = |env: &mut Env| -> Vec<String> {
        env.take()
            .into_iter()
            .filter(|line| line.starts_with("commit -"))
            .collect()
    };
    assert_eq!(commits(&mut env), ["commit -agents/m-S0 +unreachable/m-S0"]);
    // The second waits and answers; the third waits its turn.
    env.pass(minutes(5));
    env.step(Input::Agent {
        link: links[1],
        message: FromAgent::Pong,
    });
    env.pass_with(minutes(6), &links[1..2]);
    assert_eq!(commits(&mut env), ["commit -agents/m-S2 +unreachable/m-S2"]);
    assert_eq!(env.core.view().counters.by_name["slave_unreachable_canceled"], 1);
}
