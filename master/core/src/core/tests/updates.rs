//! Updates and acknowledgements.

use super::env::*;
use crate::io::Call;
use meseta_types::TaskState;

#[test]
fn a_repeated_update_is_passed_on_and_is_no_news() {
    let (mut env, link, stream) = Env::running();
    env.update(link, "m-0000", "t1", TaskState::Running, 1);
    env.expect(&["stream2 <- UPDATE t1 TASK_RUNNING #1"]);
    env.acknowledge(stream, "m-0000", "t1", 1);
    env.expect(&["link1 <- ack t1 #1"]);
}

#[test]
fn resources_return_when_the_agent_is_ahead_of_what_it_delivers() {
    let (mut env, link, stream) = Env::started();
    env.accept(stream, "m-0000", &["m-O0"], vec![launch(vec![task("t1")])]);
    env.forget();
    env.update_ahead(link, "m-0000", "t1", TaskState::Running, TaskState::Finished, 1);
    env.expect(&[
        "op <- TASK_UPDATED t1 TASK_RUNNING #1 TASK_FINISHED",
        "stream2 <- UPDATE t1 TASK_RUNNING #1",
        "stream2 <- OFFERS m-O1 of m-S0: cpus(allocated: dev):4; mem(allocated: dev):1024",
    ]);
    // Reconciliation tells what was delivered, not what is known.
    env.reconcile(stream, "m-0000", &[]);
    env.expect(&["stream2 <- UPDATE t1 TASK_RUNNING RECONCILIATION 'Reconciliation: Latest task state'"]);
}

#[test]
fn a_terminal_state_is_kept_and_what_follows_is_passed_on() {
    let (mut env, link, stream) = Env::running();
    env.update(link, "m-0000", "t1", TaskState::Failed, 2);
    env.forget();
    env.update(link, "m-0000", "t1", TaskState::Running, 3);
    env.expect(&[
        "op <- TASK_UPDATED t1 TASK_RUNNING #3 TASK_FAILED",
        "stream2 <- UPDATE t1 TASK_RUNNING #3",
    ]);
    // The last update is not terminal: acknowledging it completes nothing.
    env.acknowledge(stream, "m-0000", "t1", 3);
    assert_eq!(
        env.core
            .view()
            .tasks
            .iter()
            .filter(|(_, t)| t.list == crate::state::TaskList::Active)
            .count(),
        1
    );
}

#[test]
fn an_acknowledgement_of_nothing_is_counted_and_dropped() {
    let (mut env, _, stream) = Env::started();
    env.accept(stream, "m-0000", &["m-O0"], vec![launch(vec![task("t1")])]);
    env.forget();
    env.acknowledge(stream, "m-0000", "t1", 1);
    env.expect(&["note acknowledge: no update was sent"]);
    // A task unknown here is the agent's business.
    env.acknowledge(stream, "m-0000", "t9", 1);
    env.expect(&["link1 <- ack t9 #1"]);
    let call = Call::Acknowledge {
        agent_id: agent_id("m-S9"),
        task_id: task_id("t1"),
        uuid: uuid(1),
    };
    env.call(stream, "m-0000", call);
    env.expect(&["note acknowledge: agent is not connected"]);
    let counters = &env.core.view().counters.by_name;
    assert_eq!(counters["invalid_status_update_acknowledgements"], 2);
    assert_eq!(counters["valid_status_update_acknowledgements"], 1);
}

#[test]
fn an_update_of_a_task_unknown_here_reaches_its_framework() {
    let (mut env, link, _) = Env::started();
    env.update(link, "m-0000", "old", TaskState::Finished, 4);
    env.expect(&[
        "note status_update: unknown task",
        "stream2 <- UPDATE old TASK_FINISHED #4",
    ]);
    env.update(link, "m-0009", "old", TaskState::Finished, 4);
    env.expect(&["note status_update: unknown framework"]);
}

#[test]
fn an_update_for_a_framework_that_is_away_waits_at_the_agent() {
    let (mut env, link, stream) = Env::running();
    env.step(crate::Input::StreamClosed { stream });
    env.forget();
    env.update(link, "m-0000", "t1", TaskState::Finished, 2);
    env.expect(&["op <- TASK_UPDATED t1 TASK_FINISHED #2 TASK_FINISHED"]);
    // The agent hears of the new connection and tells it again.
    let stream = env.resubscribe("m-0000", framework("f"));
    env.expect(&[
        "session m-0000: stream3",
        "stream3 <- SUBSCRIBED m-0000",
        "op <- FRAMEWORK_UPDATED m-0000",
        "link1 <- update framework m-0000",
        "stream3 <- OFFERS m-O1 of m-S0: cpus(allocated: dev):4; mem(allocated: dev):1024",
    ]);
    env.update(link, "m-0000", "t1", TaskState::Finished, 2);
    env.acknowledge(stream, "m-0000", "t1", 2);
    env.expect(&["stream3 <- UPDATE t1 TASK_FINISHED #2", "link1 <- ack t1 #2"]);
}

#[test]
fn a_kill_is_passed_on_with_its_policy() {
    let (mut env, _, stream) = Env::running();
    let kill = |agent: Option<&str>, grace| Call::Kill {
        task_id: task_id("t1"),
        agent_id: agent.map(agent_id),
        kill_policy: Default::default(),
        grace,
    };
    env.call(stream, "m-0000", kill(None, None));
    env.call(
        stream,
        "m-0000",
        kill(Some("m-S0"), Some(std::time::Duration::from_secs(3))),
    );
    env.call(stream, "m-0000", kill(Some("m-S9"), None));
    env.expect(&[
        "link1 <- kill t1",
        "link1 <- kill t1 within 3s",
        "note kill: task t1 is on agent m-S0",
    ]);
}
