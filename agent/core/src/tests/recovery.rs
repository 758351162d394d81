//! The next life of an agent.

use super::*;
use bytes::Bytes;
use meseta_types::task::Reason;

#[test]
fn an_unacknowledged_update_is_told_again_with_the_same_uuid_by_the_next_life() {
    let mut env = Env::registered();
    env.master(run(framework(), command("t1")));
    let container = env.launch_order().container_id.clone();
    env.started(&container);
    let starting = env.one_told();
    env.restart(vec![found(&container)]);
    env.register();
    assert_eq!(env.one_told().uuid, starting.uuid);
    env.ack(&starting);
    assert_eq!(env.ack_all(), [TaskState::Running]);
    env.out.clear();
    env.exited(&container, 0);
    assert_eq!(env.ack_all(), [TaskState::Finished]);
    assert!(env.core.view().frameworks.is_empty());
}

#[test]
fn an_agent_without_custom_executors_registers_at_once_with_its_id_and_its_tasks() {
    let mut env = Env::registered();
    let container = env.running("t1");
    env.restart(vec![found(&container)]);
    env.input(Input::Master(Some(Arc::from("m:5050"))));
    env.connect();
    let sent = env.out.iter().find_map(|e| match e {
        Effect::Send(FromAgent::Reregister { agent, inventory }) => Some((agent.clone(), inventory.clone())),
        _ => None,
    });
    let (agent, inventory) = sent.unwrap();
    assert_eq!(agent.id, Some(agent_id()));
    assert_eq!(inventory.frameworks.len(), 1);
    assert_eq!(inventory.tasks[0].state, TaskState::Running);
    assert!(inventory.executors.is_empty());
}

#[test]
fn an_exit_while_the_agent_was_away_is_reported_with_its_status() {
    let mut env = Env::registered();
    let container = env.running("t1");
    env.restart(vec![found_exited(&container, 3 << 8)]);
    env.register();
    let failed = env.one_told();
    assert_eq!(failed.state, TaskState::Failed);
    assert_eq!(failed.message.as_deref(), Some("Command exited with status 3"));
    assert!(env.effects().contains(&Effect::Forget(container)));
}

#[test]
fn a_kill_ordered_by_an_earlier_life_still_makes_the_end_a_kill() {
    let mut env = Env::registered();
    let container = env.running("t1");
    env.master(kill("t1", Some(30)));
    env.restart(vec![found(&container)]);
    assert!(env.out.contains(&Effect::Terminate(container.clone())));
    env.out.clear();
    env.pass(Duration::from_secs(30));
    assert!(env.out.contains(&Effect::Destroy(container.clone())));
    env.exited(&container, 9);
    env.register();
    assert_eq!(env.one_told().state, TaskState::Killed);
}

#[test]
fn a_task_ordered_of_which_nothing_is_known_is_gone_and_leaves_nothing() {
    let mut env = Env::registered();
    env.master(run(framework(), command("t1")));
    env.restart(Vec::new());
    env.register();
    let gone = env.one_told();
    assert_eq!(gone.state, TaskState::Gone);
    assert_eq!(gone.reason, Some(Reason::AGENT_RESTARTED));
    env.ack(&gone);
    assert!(env.core.view().frameworks.is_empty());
}

#[test]
fn a_task_started_just_before_the_crash_says_so_in_the_next_life() {
    let mut env = Env::registered();
    env.master(run(framework(), command("t1")));
    let container = env.launch_order().container_id.clone();
    env.restart(vec![found(&container)]);
    env.register();
    assert_eq!(env.ack_all(), [TaskState::Starting, TaskState::Running]);
}

#[test]
fn a_container_that_is_not_there_any_more_failed() {
    let mut env = Env::registered();
    env.running("t1");
    env.restart(Vec::new());
    env.register();
    let failed = env.one_told();
    assert_eq!(failed.state, TaskState::Failed);
    assert_eq!(
        failed.message.as_deref(),
        Some("Abnormal executor termination: unknown container")
    );
}

#[test]
fn after_a_reboot_nothing_runs_the_tasks_failed_and_the_id_is_kept() {
    let mut env = Env::registered();
    let container = env.running("t1");
    let records = env.log.clone();
    let mut env = Env::cold(Config::default());
    env.input(Input::Recover(Found {
        records,
        containers: vec![found(&container)],
        boot_id: Arc::from("boot-2"),
        old_agents: Vec::new(),
    }));
    env.register();
    let failed = env.one_told();
    assert_eq!(failed.state, TaskState::Failed);
    assert!(failed.message.unwrap().contains("restarted"));
    assert_eq!(env.core.view().agent.id, Some(agent_id()));
}

#[test]
fn containers_nobody_recorded_are_destroyed_and_forgotten() {
    let mut env = Env::registered();
    let running = ContainerId::new("orphan-1").unwrap();
    let ended = ContainerId::new("orphan-2").unwrap();
    env.restart(vec![found(&running), found_exited(&ended, 0)]);
    assert!(env.out.contains(&Effect::Destroy(running.clone())));
    assert!(env.out.contains(&Effect::Forget(ended)));
    env.out.clear();
    env.exited(&running, 9);
    assert!(env.effects().contains(&Effect::Forget(running)));
}

#[test]
fn executors_of_frameworks_without_checkpoints_end_with_the_agent() {
    let mut env = Env::registered();
    let container = env.running_with(forgetful_framework(), command("t1"));
    assert!(!env.log.iter().any(|r| matches!(r, Record::Framework(_))));
    env.restart(vec![found(&container)]);
    assert!(env.out.contains(&Effect::Destroy(container)));
    assert!(env.core.view().frameworks.is_empty());
    assert_eq!(env.core.view().gc_pending, 1, "its sandbox is known");
}

fn running_executor(env: &mut Env) -> ContainerId {
    env.master(run(framework(), custom("t1")));
    let container = env.launch_order().container_id.clone();
    env.started(&container);
    subscribe(env, 1, &[]);
    env.input(Input::Resized {
        container_id: container.clone(),
        outcome: Ok(()),
    });
    container
}

fn subscribe(env: &mut Env, stream: u64, tasks: &[&str]) {
    env.input(Input::ExecutorCall {
        request: RequestId(stream),
        framework_id: fid("f"),
        executor_id: eid("e"),
        call: ExecutorCall::Subscribe {
            stream: StreamId(stream),
            unacknowledged_tasks: tasks.iter().map(|t| tid(t)).collect(),
            unacknowledged_updates: vec![from_executor("t1", TaskState::Running, 5)],
        },
    });
}

#[test]
fn the_agent_registers_as_soon_as_its_executors_are_back() {
    let mut env = Env::registered();
    let container = running_executor(&mut env);
    env.restart(vec![found(&container)]);
    env.input(Input::Master(Some(Arc::from("m:5050"))));
    let connects = |env: &Env| env.out.iter().any(|e| matches!(e, Effect::Connect { .. }));
    assert!(!connects(&env));
    subscribe(&mut env, 2, &["t1"]);
    assert!(connects(&env));
    env.connect();
    env.answer_registration(Vec::new());
    assert_eq!(env.ack_all(), [TaskState::Running]);
}

#[test]
fn an_executor_that_does_not_come_back_is_destroyed_and_its_tasks_are_gone() {
    let mut env = Env::registered();
    let container = running_executor(&mut env);
    env.restart(vec![found(&container)]);
    env.pass(Duration::from_secs(2));
    assert!(env.out.contains(&Effect::Destroy(container.clone())));
    env.exited(&container, 9);
    env.register();
    let gone = env.one_told();
    assert_eq!(gone.state, TaskState::Gone);
    assert_eq!(gone.reason, Some(Reason::EXECUTOR_REREGISTRATION_TIMEOUT));
    assert_eq!(
        gone.message.as_deref(),
        Some("Executor did not reregister within 2secs")
    );
}

#[test]
fn a_task_that_was_on_its_way_to_its_executor_is_dropped() {
    let mut env = Env::registered();
    let container = running_executor(&mut env);
    env.master(run_more(custom("t2")));
    env.restart(vec![found(&container)]);
    subscribe(&mut env, 2, &["t1"]);
    env.register();
    let told = env.told();
    let dropped = told.iter().find(|s| s.task_id == tid("t2")).unwrap();
    assert_eq!(dropped.state, TaskState::Dropped);
    assert_eq!(dropped.reason, Some(Reason::AGENT_RESTARTED));
    assert_eq!(
        dropped.message.as_deref(),
        Some("Task launched during agent restart")
    );
}

#[test]
fn an_executor_whose_tasks_were_killed_before_it_came_is_sent_home_by_the_next_life_too() {
    let mut env = Env::registered();
    env.master(run(framework(), custom("t1")));
    let container = env.launch_order().container_id.clone();
    env.started(&container);
    env.master(kill("t1", None));
    env.restart(vec![found(&container)]);
    env.input(Input::ExecutorCall {
        request: RequestId(1),
        framework_id: fid("f"),
        executor_id: eid("e"),
        call: ExecutorCall::Subscribe {
            stream: StreamId(1),
            unacknowledged_tasks: Vec::new(),
            unacknowledged_updates: Vec::new(),
        },
    });
    let shutdown = Effect::ToExecutor(StreamId(1), ExecutorEvent::Shutdown);
    assert!(env.out.contains(&shutdown));
    env.register();
    assert_eq!(env.one_told().state, TaskState::Killed);
}

#[test]
fn grown_resources_are_taken_shrunk_ones_are_refused() {
    let mut env = Env::registered();
    let container = env.running("t1");
    let life = |text: &str| {
        let mut spec = agent_spec();
        spec.resources = resources(text);
        let mut core = AgentCore::new(Config::default(), spec);
        let mut out = Vec::new();
        let input = Input::Recover(Found {
            records: env.log.clone(),
            containers: vec![found(&container)],
            boot_id: Arc::from("boot-1"),
            old_agents: Vec::new(),
        });
        core.step(env.now, input, &mut out);
        out
    };
    let refused = |out: &[Effect]| {
        out.iter()
            .any(|e| matches!(e, Effect::Exit(ExitReason::Incompatible(_))))
    };
    assert!(!refused(&life("cpus:8;mem:4096;disk:10")));
    assert!(refused(&life("cpus:2;mem:4096")));
}

#[test]
fn a_compacted_log_recovers_to_the_same_agent() {
    let mut env = Env::registered();
    let t1 = env.running("c1");
    env.master(kill("c1", Some(1000)));
    let ended = env.running("c3");
    env.exited(&ended, 0);
    let custom = running_executor(&mut env);
    env.master(run(framework(), command("c2")));
    let t2 = env.launch_order().container_id.clone();
    env.started(&t2);
    let containers = vec![found(&t1), found(&t2), found(&custom)];
    let mut long = Env::cold(Config::default());
    long.log = env.log.clone();
    long.recover(containers.clone());
    let mut short = Env::cold(Config::default());
    short.log = env.core.snapshot();
    // A batch that was on its way is appended once more.
    let tail = env.log[env.log.len() - 3..].to_vec();
    short.log.extend(tail);
    short.recover(containers);
    let (long, short) = (long.core.view(), short.core.view());
    assert_eq!(long.frameworks, short.frameworks);
    assert_eq!(long.agent, short.agent);
    assert_eq!(long.gc_pending, short.gc_pending);
}

#[test]
fn a_recovered_health_check_goes_on() {
    let mut env = Env::registered();
    let mut task = command("t1");
    task.health_check = Some(meseta_types::task::HealthCheckSpec::default());
    task.wire = Bytes::from_static(b"x");
    let container = env.running_with(framework(), task);
    env.restart(vec![found(&container)]);
    env.register();
    env.out.clear();
    env.pass(Duration::from_secs(15));
    assert!(env.out.iter().any(|e| matches!(e, Effect::Probe(_))));
}
