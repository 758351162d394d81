//! Kills.

use super::*;
use meseta_types::task::Reason;

#[test]
fn a_kill_is_sigterm_then_sigkill_after_the_grace_and_the_task_is_killed_whatever_its_exit() {
    let mut env = Env::registered();
    let container = env.running("t1");
    env.out.clear();
    env.master(kill("t1", None));
    assert_eq!(env.effects(), [Effect::Terminate(container.clone())]);
    env.pass(Duration::from_millis(2_900));
    env.nothing_else();
    env.pass(Duration::from_millis(200));
    assert_eq!(env.effects(), [Effect::Destroy(container.clone())]);
    env.exited(&container, 0);
    let killed = env.one_told();
    assert_eq!(killed.state, TaskState::Killed);
    assert_eq!(killed.message.as_deref(), Some("Command exited with status 0"));
    assert_eq!(killed.reason, None);
}

#[test]
fn a_task_that_obeys_ends_at_once_whatever_its_grace() {
    let mut env = Env::registered();
    let mut task = command("t1");
    task.kill_grace = Some(Duration::from_secs(100 * 24 * 3600));
    let container = env.running_with(framework(), task);
    env.master(kill("t1", None));
    env.exited(&container, 15);
    let killed = env.one_told();
    assert_eq!(
        killed.message.as_deref(),
        Some("Command terminated with signal Terminated")
    );
}

#[test]
fn a_framework_that_knows_killing_hears_it() {
    let mut env = Env::registered();
    let container = env.running_with(killing_framework(), command("t1"));
    env.master(kill("t1", None));
    assert_eq!(env.ack_all(), [TaskState::Killing]);
    env.exited(&container, 15);
    assert_eq!(env.ack_all(), [TaskState::Killed]);
}

#[test]
fn a_second_kill_may_only_shorten_the_grace_counted_from_the_first() {
    let mut env = Env::registered();
    let container = env.running("t1");
    env.master(kill("t1", Some(60)));
    env.out.clear();
    env.pass(Duration::from_secs(5));
    env.master(kill("t1", Some(600)));
    env.master(kill("t1", Some(10)));
    env.pass(Duration::from_millis(4_900));
    env.nothing_else();
    env.pass(Duration::from_millis(200));
    assert_eq!(env.effects(), [Effect::Destroy(container)]);
}

#[test]
fn a_kill_before_the_launch_is_durable_leaves_nothing_behind() {
    let mut env = Env::registered();
    env.hold = true;
    env.master(run(framework(), command("t1")));
    env.master(kill("t1", None));
    env.release();
    env.release();
    env.hold = false;
    let killed = env.one_told();
    assert_eq!(killed.state, TaskState::Killed);
    assert_eq!(killed.reason, Some(Reason::TASK_KILLED_DURING_LAUNCH));
    assert_eq!(
        killed.message.as_deref(),
        Some("Killed before delivery to the executor")
    );
    env.nothing_else();
    env.ack(&killed);
    assert!(env.core.view().frameworks.is_empty());
}

#[test]
fn a_kill_while_the_container_is_launched_destroys_it_and_says_nothing_more() {
    for started in [true, false] {
        let mut env = Env::registered();
        env.master(run(framework(), command("t1")));
        let order = env.launch_order();
        env.master(kill("t1", None));
        assert_eq!(env.ack_all(), [TaskState::Killed]);
        assert_eq!(env.effects(), [Effect::Destroy(order.container_id.clone())]);
        if started {
            env.started(&order.container_id);
            env.exited(&order.container_id, 9);
            assert_eq!(env.effects(), [Effect::Forget(order.container_id.clone())]);
        } else {
            env.input(Input::Launched {
                container_id: order.container_id.clone(),
                outcome: Err(LaunchFailure::Launch("destroyed".into())),
            });
        }
        env.nothing_else();
        assert!(env.core.view().frameworks.is_empty());
    }
}

#[test]
fn killing_an_unknown_task_is_answered_and_a_completed_one_is_not() {
    let mut env = Env::registered();
    env.running("keep");
    let container = env.running("t1");
    env.exited(&container, 0);
    assert_eq!(env.ack_all(), [TaskState::Finished]);
    env.out.clear();
    env.master(kill("t1", None));
    env.nothing_else();
    env.master(kill("never", None));
    let dropped = env.one_told();
    assert_eq!(dropped.state, TaskState::Dropped);
    assert_eq!(dropped.reason, Some(Reason::EXECUTOR_TERMINATED));
    assert_eq!(dropped.message.as_deref(), Some("Cannot find executor"));
}

#[test]
fn a_removed_framework_is_ended_without_updates() {
    let mut env = Env::registered();
    let running = env.running("t1");
    env.master(run(framework(), command("t2")));
    let starting = env.launch_order().container_id.clone();
    let ended = env.running("t3");
    env.exited(&ended, 0);
    env.out.clear();
    env.master(ToAgent::ShutdownFramework {
        framework_id: fid("f"),
    });
    assert_eq!(
        env.effects().len(),
        2,
        "SIGTERM for the running one, destruction for the starting one"
    );
    env.exited(&running, 15);
    env.input(Input::Launched {
        container_id: starting,
        outcome: Err(LaunchFailure::Launch("destroyed".into())),
    });
    assert!(env.told().is_empty());
    assert!(env.core.view().frameworks.is_empty());
    assert!(env.log.iter().any(|r| matches!(r, Record::FrameworkGone(_))));
}
