//! Nothing is seen before it is durable, and every outcome of a write has its consequence.

use super::env::*;
use crate::Input;
use crate::io::{Call, Outcome};
use crate::registry::{Recovered, RegistryError};
use meseta_types::TaskState;
use meseta_types::link::FromAgent;
use std::time::Duration;

#[test]
fn an_agent_is_unseen_until_its_admission_is_durable() {
    let mut env = Env::new();
    env.subscribe(framework("f"));
    env.writes_succeed = false;
    env.forget();
    env.register(agent(5051));
    env.expect(&["commit +agents/m-S0"]);
    assert!(env.core.view().agents.is_empty());
    env.answer(Outcome::Done);
    env.step(Input::Tick);
    env.expect(&[
        "op <- AGENT_ADDED m-S0",
        "link2 <- registered m-S0",
        "link2 <- ping true",
        "stream1 <- OFFERS m-O0 of m-S0: cpus(allocated: dev):4; mem(allocated: dev):1024",
    ]);
}

#[test]
fn without_space_nothing_changes_and_the_agent_may_try_again() {
    let mut env = Env::new();
    env.writes_succeed = false;
    env.register(agent(5051));
    env.answer(Outcome::Refused("no space".into()));
    env.expect(&[
        "commit +agents/m-S0",
        "note register_agent: no space",
        "link1 closed",
    ]);
    assert!(env.core.view().agents.is_empty());
    env.writes_succeed = true;
    env.register(agent(5051));
    env.expect(&[
        "commit +agents/m-S1",
        "op <- AGENT_ADDED m-S1",
        "link2 <- registered m-S1",
        "link2 <- ping true",
    ]);
}

#[test]
fn a_fenced_or_unknown_write_ends_the_leadership() {
    for (outcome, line) in [
        (Outcome::Fenced, "step down: Fenced"),
        (Outcome::Unknown, "step down: UnknownOutcome"),
    ] {
        let mut env = Env::new();
        env.writes_succeed = false;
        env.register(agent(5051));
        env.forget();
        env.answer(outcome);
        env.expect(&[line]);
        env.register(agent(5052));
        env.expect(&[]);
    }
}

#[test]
fn an_agent_that_tries_again_over_a_new_link_shares_its_admission() {
    let mut env = Env::new();
    env.writes_succeed = false;
    env.register(agent(5051));
    env.register(agent(5051));
    env.expect(&["commit +agents/m-S0", "link1 closed"]);
    env.writes_succeed = true;
    env.step(Input::Tick);
    env.expect(&[
        "op <- AGENT_ADDED m-S0",
        "link2 <- registered m-S0",
        "link2 <- ping true",
    ]);
}

#[test]
fn an_agent_that_left_during_its_admission_is_disconnected_and_replaced_by_its_next_attempt() {
    let mut env = Env::new();
    env.writes_succeed = false;
    let link = env.register(agent(5051));
    env.step(Input::LinkClosed { link });
    env.writes_succeed = true;
    env.step(Input::Tick);
    env.expect(&["commit +agents/m-S0", "op <- AGENT_ADDED m-S0"]);
    env.register(agent(5051));
    env.expect(&[
        "commit -agents/m-S0 +agents/m-S1",
        "op <- AGENT_REMOVED m-S0",
        "op <- AGENT_ADDED m-S1",
        "link2 <- registered m-S1",
        "link2 <- ping true",
    ]);
}

#[test]
fn a_return_during_the_marking_waits_for_it_and_is_then_taken() {
    let (mut env, link, _) = Env::running();
    env.step(Input::LinkClosed { link });
    env.writes_succeed = false;
    env.pass(Duration::from_secs(80));
    // One write, however often the ping runs out meanwhile.
    env.pass(Duration::from_secs(60));
    env.expect(&["commit -agents/m-S0 +unreachable/m-S0"]);
    let tasks = vec![reported("m-0000", "t1", TaskState::Running)];
    env.reregister("m-S0", agent(5051), inventory(vec![], tasks, vec![]));
    env.expect(&[]);
    env.writes_succeed = true;
    env.step(Input::Tick);
    env.expect(&[
        "op <- TASK_UPDATED t1 TASK_UNREACHABLE AGENT_REMOVED 'health check timed out' since TASK_UNREACHABLE",
        "stream2 <- UPDATE t1 TASK_UNREACHABLE AGENT_REMOVED 'health check timed out' since",
        "stream2 <- FAILURE m-S0",
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
fn a_marking_that_could_not_be_written_is_tried_again() {
    let (mut env, link, _) = Env::running();
    env.step(Input::LinkClosed { link });
    env.writes_succeed = false;
    env.pass(Duration::from_secs(80));
    env.answer(Outcome::Refused("no space".into()));
    env.expect(&[
        "commit -agents/m-S0 +unreachable/m-S0",
        "note mark_unreachable: no space",
    ]);
    env.writes_succeed = true;
    env.pass(Duration::from_secs(15));
    let seen = env.take();
    assert_eq!(seen[0], "commit -agents/m-S0 +unreachable/m-S0");
    assert!(seen.contains(&"stream2 <- FAILURE m-S0".to_owned()));
}

#[test]
fn a_teardown_that_could_not_be_written_changes_nothing() {
    let (mut env, _, stream) = Env::running();
    env.writes_succeed = false;
    env.teardown(1, "m-0000");
    env.teardown(2, "m-0000");
    // Calls meanwhile are not carried out.
    env.call(stream, "m-0000", Call::Revive { roles: Vec::new() });
    env.expect(&[
        "commit +removed-frameworks/m-0000",
        "note revive: the framework is being removed",
    ]);
    env.answer(Outcome::Refused("no space".into()));
    env.expect(&[
        "note teardown: no space",
        "request1: unavailable: no space",
        "request2: unavailable: no space",
    ]);
    env.reconcile(stream, "m-0000", &[]);
    env.expect(&["stream2 <- UPDATE t1 TASK_RUNNING RECONCILIATION 'Reconciliation: Latest task state'"]);
}

#[test]
fn a_scheduler_that_comes_during_its_removal_hears_the_end_of_it() {
    for (outcome, lines) in [
        (
            Outcome::Done,
            ["stream3 <- ERROR Framework has been removed", "stream3 closed"].as_slice(),
        ),
        (
            Outcome::Refused("no space".into()),
            ["session m-0000: stream3", "stream3 <- SUBSCRIBED m-0000"].as_slice(),
        ),
    ] {
        let (mut env, link, stream) = Env::started();
        env.step(Input::StreamClosed { stream });
        env.writes_succeed = false;
        env.pass_with(Duration::from_secs(3600), &[link]);
        env.resubscribe("m-0000", framework("f"));
        env.forget();
        env.answer(outcome);
        let seen = env.take();
        let at = seen.iter().position(|line| line == lines[0]);
        assert_eq!(
            at.and_then(|at| seen.get(at + 1)).map(String::as_str),
            Some(lines[1]),
            "{seen:?}"
        );
    }
}

#[test]
fn an_unregistration_that_could_not_be_written_leaves_the_agent() {
    let (mut env, link, _) = Env::running();
    env.writes_succeed = false;
    env.step(Input::Agent {
        link,
        message: FromAgent::Unregister,
    });
    env.answer(Outcome::Refused("no space".into()));
    env.expect(&["commit -agents/m-S0", "note unregister: no space"]);
    assert_eq!(env.core.view().agents.len(), 1);
}

#[test]
fn a_foreign_registry_is_named_and_not_read() {
    let read = |key: &str, value: &[u8]| Recovered::read([(key, value)]).unwrap_err();
    assert_eq!(
        read("master/quota/dev", &[1]),
        RegistryError::UnknownKey("master/quota/dev".into())
    );
    assert_eq!(
        read("agents/x", &[1]),
        RegistryError::UnknownKey("agents/x".into())
    );
    let key = "master/agents/m-S0";
    assert_eq!(read(key, &[]), RegistryError::Damaged(key.into()));
    assert_eq!(read(key, &[1, 0, 0]), RegistryError::Damaged(key.into()));
    assert_eq!(
        read(key, &[9]),
        RegistryError::UnknownVersion {
            key: key.into(),
            found: 9
        }
    );
    let key = "master/unreachable/m-S0";
    assert_eq!(
        read(key, &[1, 0, 0, 0, 0, 0, 0, 0, 0, 7]),
        RegistryError::Damaged(key.into())
    );
}

#[test]
fn what_was_written_is_read_back() {
    let mut env = Env::new();
    env.register(agent(5051));
    let link = env.register(agent(5052));
    env.step(Input::LinkClosed { link });
    env.pass_with(Duration::from_secs(90), &[crate::io::LinkId(1)]);
    env.subscribe(framework("f"));
    env.teardown(1, "m-0000");
    let recovered = env.recovered_from_store();
    let admitted = &recovered.agents[&agent_id("m-S0")];
    assert_eq!(
        (&*admitted.hostname, admitted.port, &admitted.wire[..]),
        ("host5051", 5051, b"agent 5051".as_slice())
    );
    assert_eq!(
        recovered
            .unreachable
            .keys()
            .map(|id| id.as_str())
            .collect::<Vec<_>>(),
        ["m-S1"]
    );
    assert_eq!(recovered.removed_frameworks.len(), 1);
}
