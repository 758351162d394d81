//! Updates until they are acknowledged.

use super::*;

#[test]
fn an_unacknowledged_update_is_told_again_after_10_20_40_seconds_up_to_10_minutes() {
    let mut env = Env::registered();
    env.master(run(framework(), command("t1")));
    let order = env.launch_order();
    env.started(&order.container_id);
    let first = env.one_told();
    let mut waits = Vec::new();
    let mut last = env.now.mono;
    for _ in 0..9 {
        while env
            .out
            .iter()
            .all(|e| !matches!(e, Effect::Send(FromAgent::Update(_))))
        {
            // Pings keep the connection; nothing else moves.
            env.master(ToAgent::Ping { connected: true });
            env.out.clear();
            env.pass(Duration::from_secs(1));
        }
        assert_eq!(env.one_told().uuid, first.uuid);
        waits.push(env.now.mono.since(last).as_secs());
        last = env.now.mono;
    }
    assert_eq!(waits, [10, 20, 40, 80, 160, 320, 600, 600, 600]);
    assert_eq!(env.core.view().counters.update_retries, 9);
}

#[test]
fn a_wrong_uuid_and_a_second_acknowledgement_change_nothing() {
    let mut env = Env::registered();
    env.master(run(framework(), command("t1")));
    let order = env.launch_order();
    env.started(&order.container_id);
    let starting = env.one_told();
    env.ack_as(&starting, UpdateUuid([9; 16]));
    env.nothing_else();
    env.ack(&starting);
    let running = env.one_told();
    env.ack(&starting);
    env.nothing_else();
    env.ack(&running);
    env.nothing_else();
}

#[test]
fn only_the_head_is_told_and_it_says_how_far_the_task_is() {
    let mut env = Env::registered();
    env.master(run(framework(), command("t1")));
    let order = env.launch_order();
    env.started(&order.container_id);
    env.exited(&order.container_id, 0);
    env.out.clear();
    env.pass(Duration::from_secs(10));
    let again = env.out.iter().find_map(|e| match e {
        Effect::Send(FromAgent::Update(u)) => Some(u.clone()),
        _ => None,
    });
    let again = again.unwrap();
    assert_eq!(again.status.state, TaskState::Starting);
    assert_eq!(again.latest_state, TaskState::Finished);
}

#[test]
fn updates_wait_for_the_registration_and_start_over_then() {
    let mut env = Env::registered();
    env.master(run(framework(), command("t1")));
    let order = env.launch_order();
    env.started(&order.container_id);
    let first = env.one_told();
    env.input(Input::LinkDown(env.link));
    env.out.clear();
    env.exited(&order.container_id, 0);
    assert!(env.told().is_empty());
    env.connect();
    let inventory = env.out.iter().find_map(|e| match e {
        Effect::Send(FromAgent::Reregister { inventory, .. }) => Some(inventory.clone()),
        _ => None,
    });
    let task = &inventory.unwrap().tasks[0];
    assert_eq!(task.state, TaskState::Finished);
    assert_eq!(task.status_update_state, Some(TaskState::Starting));
    assert_eq!(task.status_update_uuid, first.uuid);
    assert_eq!(task.executor_id, None);
    env.answer_registration(Vec::new());
    assert_eq!(env.one_told().uuid, first.uuid);
    env.out.clear();
    env.pass(Duration::from_secs(10));
    assert_eq!(env.one_told().uuid, first.uuid, "the first wait is 10 s again");
}

#[test]
fn a_framework_that_is_back_hears_its_updates_at_once() {
    let mut env = Env::registered();
    env.master(run(framework(), command("t1")));
    let order = env.launch_order();
    env.started(&order.container_id);
    let first = env.one_told();
    env.master(ToAgent::UpdateFramework {
        framework: framework(),
    });
    assert_eq!(env.one_told().uuid, first.uuid);
}

#[test]
fn a_task_only_the_master_knows_is_answered_as_unknown_here() {
    let mut env = Env::registered();
    env.running("t1");
    env.input(Input::LinkDown(env.link));
    env.out.clear();
    env.connect();
    env.answer_registration(vec![("f", "ghost"), ("f", "t1")]);
    let dropped = env.one_told();
    assert_eq!(dropped.task_id, tid("ghost"));
    assert_eq!(dropped.state, TaskState::Dropped);
    assert_eq!(
        dropped.message.as_deref(),
        Some("Reconciliation: task unknown to the agent")
    );
    env.ack(&dropped);
    assert_eq!(env.task("t1").state, TaskState::Running);
}

#[test]
fn an_end_that_was_acknowledged_is_told_again_to_a_master_that_does_not_know_it() {
    let mut env = Env::registered();
    env.running("t2");
    let container = env.running("t1");
    env.exited(&container, 0);
    assert_eq!(env.ack_all(), [TaskState::Finished]);
    env.input(Input::LinkDown(env.link));
    env.out.clear();
    env.connect();
    env.answer_registration(vec![("f", "t1")]);
    let again = env.one_told();
    assert_eq!((again.task_id.as_str(), again.state), ("t1", TaskState::Finished));
}
