//! Command tasks from order to acknowledgement.

use super::*;
use meseta_types::task::{Reason, Source};

#[test]
fn a_command_task_starts_runs_finishes_and_is_gone_when_acknowledged() {
    let mut env = Env::registered();
    env.master(run(framework(), command("t1")));
    let order = env.launch_order();
    assert_eq!(order.executor.executor_id, eid("t1"));
    assert_eq!(order.command_task.as_ref().unwrap().task_id, tid("t1"));
    assert_eq!(order.resources, resources("cpus:0.6;mem:96"));
    env.nothing_else();

    env.started(&order.container_id);
    let starting = env.one_told();
    assert_eq!(starting.state, TaskState::Starting);
    assert_eq!(starting.source, Source::Executor);
    assert_eq!(starting.executor_id, Some(eid("t1")));
    assert_eq!(starting.agent_id, Some(agent_id()));
    assert_eq!(starting.message, None);
    assert_eq!(&starting.wire[..], b"<container>");
    env.ack(&starting);
    let running = env.one_told();
    assert_eq!(running.state, TaskState::Running);
    assert_ne!(running.uuid, starting.uuid);
    env.ack(&running);

    env.exited(&order.container_id, 0);
    let finished = env.one_told();
    assert_eq!(finished.state, TaskState::Finished);
    assert_eq!(finished.message.as_deref(), Some("Command exited with status 0"));
    assert_eq!(finished.reason, None);
    assert_eq!(finished.source, Source::Executor);
    assert_eq!(env.effects(), [Effect::Forget(order.container_id.clone())]);
    env.ack(&finished);
    let view = env.core.view();
    assert!(view.frameworks.is_empty());
    let done = &view.completed_frameworks[0].completed_executors[0];
    assert_eq!(done.completed_tasks[0].state, TaskState::Finished);
    assert_eq!(view.counters.tasks_finished, 1);
    env.nothing_else();
}

#[test]
fn another_exit_status_or_a_signal_is_a_failure_with_its_text() {
    for (status, text) in [
        (3 << 8, "Command exited with status 3"),
        (9, "Command terminated with signal Killed"),
    ] {
        let mut env = Env::registered();
        let container = env.running("t1");
        env.exited(&container, status);
        let failed = env.one_told();
        assert_eq!(failed.state, TaskState::Failed);
        assert_eq!(failed.message.as_deref(), Some(text));
        assert_eq!(failed.reason, None);
    }
}

#[test]
fn nothing_is_launched_before_its_records_are_durable() {
    let mut env = Env::registered();
    env.hold = true;
    env.master(run(framework(), command("t1")));
    env.nothing_else();
    env.release();
    let order = env.launch_order();
    env.started(&order.container_id);
    assert!(env.told().is_empty(), "an update was told before it was durable");
    env.release();
    assert_eq!(env.one_told().state, TaskState::Starting);
}

#[test]
fn a_failed_fetch_fails_the_task_with_the_launchers_text() {
    let mut env = Env::registered();
    env.master(run(framework(), command("baduri")));
    let order = env.launch_order();
    let why = format!(
        "Failed to fetch all URIs for container '{}': exited with status 1",
        order.container_id
    );
    env.input(Input::Launched {
        container_id: order.container_id.clone(),
        outcome: Err(LaunchFailure::Launch(why.clone().into())),
    });
    let failed = env.one_told();
    assert_eq!(failed.state, TaskState::Failed);
    assert_eq!(failed.source, Source::Agent);
    assert_eq!(failed.reason, Some(Reason::CONTAINER_LAUNCH_FAILED));
    assert_eq!(failed.executor_id, Some(eid("baduri")));
    assert_eq!(
        failed.message.unwrap().to_string(),
        format!("Failed to launch container: {why}")
    );
    assert!(failed.wire.is_empty());
    assert_eq!(env.core.view().counters.container_launch_errors, 1);
}

#[test]
fn a_sandbox_that_cannot_be_made_drops_the_task_or_loses_it_by_capability() {
    let mut unaware = framework();
    unaware.capabilities.partition_aware = false;
    for (framework, state) in [(framework(), TaskState::Dropped), (unaware, TaskState::Lost)] {
        let mut env = Env::registered();
        env.master(run(framework, command("baduser")));
        let order = env.launch_order();
        env.input(Input::Launched {
            container_id: order.container_id.clone(),
            outcome: Err(LaunchFailure::Sandbox("Failed to create ...".into())),
        });
        let dropped = env.one_told();
        assert_eq!(dropped.state, state);
        assert_eq!(dropped.reason, Some(Reason::EXECUTOR_TERMINATED));
        assert_eq!(dropped.message.as_deref(), Some("Failed to create ..."));
    }
}

#[test]
fn a_fetch_slower_than_the_registration_timeout_fails_the_task() {
    let mut env = Env::registered();
    env.master(run(framework(), command("slow")));
    let order = env.launch_order();
    env.pass(Duration::from_secs(61));
    assert_eq!(env.effects(), [Effect::Destroy(order.container_id.clone())]);
    env.input(Input::Launched {
        container_id: order.container_id.clone(),
        outcome: Err(LaunchFailure::Launch("destroyed".into())),
    });
    let failed = env.one_told();
    assert_eq!(failed.state, TaskState::Failed);
    assert_eq!(failed.reason, Some(Reason::EXECUTOR_REGISTRATION_TIMEOUT));
    assert_eq!(
        failed.message.as_deref(),
        Some("Executor did not register within 1mins")
    );
}

#[test]
fn a_limit_that_was_hit_is_the_reason() {
    let mut env = Env::registered();
    let container = env.running("t1");
    env.input(Input::Exited {
        container_id: container,
        termination: Termination {
            status: Some(9),
            message: None,
            limitation: Some(Limitation {
                reason: Reason::CONTAINER_LIMITATION_MEMORY,
                message: "Memory limit exceeded: 96MB".into(),
                wire: bytes::Bytes::from_static(b"<limit>"),
            }),
        },
    });
    let failed = env.one_told();
    assert_eq!(failed.state, TaskState::Failed);
    assert_eq!(failed.reason, Some(Reason::CONTAINER_LIMITATION_MEMORY));
    assert_eq!(&failed.wire[..], b"<container><limit>");
}

#[test]
fn a_task_that_runs_longer_than_it_may_is_killed_at_once_and_failed() {
    let mut env = Env::registered();
    let mut task = command("t1");
    task.max_completion_time = Some(Duration::from_secs(2));
    let container = env.running_with(killing_framework(), task);
    env.pass(Duration::from_secs(2));
    assert_eq!(
        env.effects(),
        [
            Effect::Terminate(container.clone()),
            Effect::Destroy(container.clone())
        ]
    );
    env.exited(&container, 9);
    let failed = env.one_told();
    assert_eq!(failed.state, TaskState::Failed);
    assert_eq!(failed.reason, Some(Reason::MAX_COMPLETION_TIME_REACHED));
}

#[test]
fn a_task_group_is_refused_with_a_clear_word_and_its_executor_is_not_counted() {
    let mut env = Env::registered();
    let executor = custom("x").executor.unwrap();
    env.master(ToAgent::RunTaskGroup {
        framework: framework(),
        executor,
        tasks: vec![command("g1"), command("g2")],
        launch_executor: true,
    });
    let told = env.told();
    assert_eq!(told.len(), 2);
    for status in &told {
        assert_eq!(status.state, TaskState::Error);
        assert_eq!(status.reason, Some(Reason::TASK_GROUP_INVALID));
    }
    let exited = Effect::Send(FromAgent::ExecutorExited {
        framework_id: fid("f"),
        executor_id: eid("e"),
        status: 0,
    });
    assert_eq!(env.effects(), [exited]);
    for status in &told {
        env.ack(status);
    }
    assert!(env.core.view().frameworks.is_empty());
}

#[test]
fn an_id_used_again_while_its_first_end_is_unacknowledged_is_refused_after_it() {
    let mut env = Env::registered();
    let container = env.running("t1");
    env.exited(&container, 0);
    let finished = env.one_told();
    env.master(run(framework(), command("t1")));
    assert!(env.told().is_empty());
    env.ack(&finished);
    let refused = env.one_told();
    assert_eq!(refused.state, TaskState::Dropped);
    assert_eq!(refused.reason, Some(Reason::TASK_INVALID));
    assert_eq!(
        refused.message.as_deref(),
        Some("Cannot reuse an already existing executor for a command task")
    );
    env.ack(&refused);
    assert!(env.core.view().frameworks.is_empty());
}

#[test]
fn an_order_for_a_running_id_changes_nothing() {
    let mut env = Env::registered();
    env.running("t1");
    env.out.clear();
    env.master(run(framework(), command("t1")));
    env.nothing_else();
    assert_eq!(env.task("t1").state, TaskState::Running);
}

#[test]
fn limits_without_an_isolator_are_refused() {
    let mut env = Env::registered();
    let mut task = command("t1");
    task.has_limits = true;
    env.master(run(framework(), task));
    assert_eq!(env.one_told().reason, Some(Reason::GC_ERROR));
}

#[test]
fn the_supervisors_death_is_reported_for_every_task_it_took_along() {
    let mut env = Env::registered();
    let lost = env.running("t1");
    let kept = env.running("t2");
    env.out.clear();
    env.input(Input::SupervisorRestarted(vec![found(&kept)]));
    let failed = env.one_told();
    assert_eq!(failed.task_id, tid("t1"));
    assert_eq!(failed.state, TaskState::Failed);
    assert_eq!(failed.reason, Some(Reason::EXECUTOR_TERMINATED));
    assert!(failed.message.unwrap().contains("exit status unknown"));
    assert_eq!(env.effects(), [Effect::Forget(lost)]);
    assert_eq!(env.task("t2").state, TaskState::Running);
}

#[test]
fn a_launch_under_way_when_the_supervisor_dies_is_the_next_ones() {
    let mut env = Env::registered();
    env.master(run(framework(), command("t1")));
    let order = env.launch_order();
    env.out.clear();
    env.input(Input::SupervisorRestarted(Vec::new()));
    env.nothing_else();
    env.started(&order.container_id);
    assert_eq!(env.ack_all(), [TaskState::Starting, TaskState::Running]);
}
