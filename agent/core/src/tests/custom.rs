//! Executors of frameworks and their API.

use super::*;
use bytes::Bytes;
use meseta_types::task::{Reason, Source};

impl Env {
    fn call(&mut self, call: ExecutorCall) -> Result<(), ExecutorRefusal> {
        self.requests += 1;
        let request = RequestId(self.requests);
        self.input(Input::ExecutorCall {
            request,
            framework_id: fid("f"),
            executor_id: eid("e"),
            call,
        });
        let at = self
            .out
            .iter()
            .position(|e| matches!(e, Effect::ExecutorAnswer { request: r, .. } if *r == request));
        match self.out.remove(at.expect("an answer")) {
            Effect::ExecutorAnswer { answer, .. } => answer,
            _ => unreachable!(),
        }
    }

    fn subscribe(&mut self, stream: u64, tasks: &[&str]) -> Vec<ExecutorEvent> {
        let call = ExecutorCall::Subscribe {
            stream: StreamId(stream),
            unacknowledged_tasks: tasks.iter().map(|t| tid(t)).collect(),
            unacknowledged_updates: Vec::new(),
        };
        assert_eq!(self.call(call), Ok(()));
        self.events()
    }

    fn update(&mut self, task: &str, state: TaskState, uuid: u8) {
        let status = from_executor(task, state, uuid);
        assert_eq!(self.call(ExecutorCall::Update(status)), Ok(()));
    }

    /// Events for the executor since the last look.
    fn events(&mut self) -> Vec<ExecutorEvent> {
        let mut events = Vec::new();
        self.out.retain(|e| match e {
            Effect::ToExecutor(_, event) => {
                events.push(event.clone());
                false
            }
            _ => true,
        });
        events
    }

    fn resized(&mut self, container: &ContainerId) {
        let at = self.out.iter().position(|e| matches!(e, Effect::Resize { .. }));
        self.out.remove(at.expect("a resize"));
        self.input(Input::Resized {
            container_id: container.clone(),
            outcome: Ok(()),
        });
    }

    /// An executor that runs `t1`; nothing left to look at.
    fn custom_running(&mut self) -> ContainerId {
        self.master(run(framework(), custom("t1")));
        let order = self.launch_order();
        self.started(&order.container_id);
        self.subscribe(1, &[]);
        self.resized(&order.container_id);
        self.update("t1", TaskState::Running, 1);
        assert_eq!(self.ack_all(), [TaskState::Running]);
        self.out.clear();
        order.container_id.clone()
    }
}

fn acknowledged(task: &str, uuid: u8) -> ExecutorEvent {
    ExecutorEvent::Acknowledged {
        task_id: tid(task),
        uuid: UpdateUuid([uuid; 16]),
    }
}

#[test]
fn an_executor_subscribes_gets_its_task_and_its_updates_reach_the_framework() {
    let mut env = Env::registered();
    env.master(run(framework(), custom("t1")));
    let order = env.launch_order();
    assert!(order.command_task.is_none());
    let early = from_executor("t1", TaskState::Running, 9);
    assert_eq!(
        env.call(ExecutorCall::Update(early)),
        Err(ExecutorRefusal::NotSubscribed)
    );
    env.started(&order.container_id);
    let events = env.subscribe(1, &[]);
    assert!(
        matches!(&events[..], [ExecutorEvent::Subscribed { container_id, .. }]
        if *container_id == order.container_id)
    );
    env.resized(&order.container_id);
    let launch = ExecutorEvent::Launch(Arc::new(custom("t1")));
    assert_eq!(env.events(), [launch]);

    env.hold = true;
    env.update("t1", TaskState::Running, 1);
    assert_eq!(env.events(), [], "acknowledged before it was durable");
    env.hold = false;
    env.release();
    assert_eq!(env.events(), [acknowledged("t1", 1)]);
    let running = env.one_told();
    assert_eq!(running.source, Source::Executor);
    assert_eq!(running.executor_id, None);
    assert_eq!(running.agent_id, Some(agent_id()));
    assert_eq!(running.timestamp, Wall(7_000_000_000));
    assert_eq!(&running.wire[..], b"<container><data>");
    env.ack(&running);
    env.nothing_else();

    env.master(kill("t1", None));
    assert!(matches!(&env.events()[..], [ExecutorEvent::Kill { .. }]));
    env.update("t1", TaskState::Killed, 2);
    env.resized(&order.container_id);
    assert_eq!(env.ack_all(), [TaskState::Killed]);
    env.out.clear();
    env.exited(&order.container_id, 0);
    let exited = Effect::Send(FromAgent::ExecutorExited {
        framework_id: fid("f"),
        executor_id: eid("e"),
        status: 0,
    });
    assert!(env.effects().contains(&exited));
    assert!(env.core.view().frameworks.is_empty());
}

#[test]
fn an_update_told_twice_or_after_the_end_is_acknowledged_and_not_forwarded() {
    let mut env = Env::registered();
    let container = env.custom_running();
    env.update("t1", TaskState::Running, 1);
    assert_eq!(env.events(), [acknowledged("t1", 1)]);
    env.update("t1", TaskState::Finished, 2);
    env.resized(&container);
    let finished = env.one_told();
    env.out.clear();
    env.update("t1", TaskState::Failed, 3);
    assert_eq!(env.events(), [acknowledged("t1", 3)]);
    env.ack(&finished);
    env.update("t1", TaskState::Finished, 2);
    assert_eq!(env.events(), [acknowledged("t1", 2)]);
    assert!(env.told().is_empty());
}

#[test]
fn the_calls_of_strangers_are_refused_in_the_wires_words() {
    let mut env = Env::cold(Config::default());
    let message = ExecutorCall::Message(Bytes::from_static(b"x"));
    let refusal = env.call(message.clone()).unwrap_err();
    assert_eq!(refusal.to_string(), "Agent has not finished recovery");
    assert_eq!(refusal.http_status(), 503);
    let mut env = Env::registered();
    let refusal = env.call(message.clone()).unwrap_err();
    assert_eq!(refusal.to_string(), "Framework cannot be found");
    env.running("t1");
    let refusal = env.call(message).unwrap_err();
    assert_eq!(refusal.to_string(), "Executor cannot be found");
}

#[test]
fn messages_pass_both_ways() {
    let mut env = Env::registered();
    env.custom_running();
    let data = Bytes::from_static(b"hello");
    env.master(ToAgent::FrameworkMessage {
        framework_id: fid("f"),
        executor_id: eid("e"),
        data: data.clone(),
    });
    assert_eq!(env.events(), [ExecutorEvent::Message(data.clone())]);
    env.call(ExecutorCall::Message(data.clone())).unwrap();
    let sent = Effect::Send(FromAgent::ExecutorMessage {
        framework_id: fid("f"),
        executor_id: eid("e"),
        data,
    });
    assert_eq!(env.effects(), [sent]);
}

#[test]
fn a_second_subscription_closes_the_first_stream() {
    let mut env = Env::registered();
    env.custom_running();
    let events = env.subscribe(2, &[]);
    assert!(matches!(&events[..], [ExecutorEvent::Subscribed { .. }]));
    assert!(env.out.contains(&Effect::CloseExecutor(StreamId(1))));
    env.input(Input::ExecutorDisconnected(StreamId(1)));
    env.master(kill("t1", None));
    assert_eq!(env.events().len(), 1, "the new stream stays");
}

#[test]
fn an_executor_that_does_not_register_in_time_fails_its_tasks() {
    let mut env = Env::registered();
    env.master(run(framework(), custom("t1")));
    let order = env.launch_order();
    env.started(&order.container_id);
    env.pass(Duration::from_secs(61));
    assert_eq!(env.effects(), [Effect::Destroy(order.container_id.clone())]);
    env.exited(&order.container_id, 9);
    let failed = env.one_told();
    assert_eq!(failed.reason, Some(Reason::EXECUTOR_REGISTRATION_TIMEOUT));
    assert_eq!(failed.state, TaskState::Failed);
}

#[test]
fn an_executor_that_dies_fails_all_its_tasks_queued_and_launched() {
    let mut env = Env::registered();
    let container = env.custom_running();
    env.master(run_more(custom("t2")));
    env.out.clear();
    env.exited(&container, 9);
    let told = env.told();
    assert_eq!(told.len(), 2);
    for status in told {
        assert_eq!(status.state, TaskState::Failed);
        assert_eq!(status.source, Source::Agent);
        assert_eq!(status.reason, Some(Reason::EXECUTOR_TERMINATED));
        assert_eq!(status.message.as_deref(), Some("Executor terminated"));
    }
}

#[test]
fn a_queued_task_that_is_killed_never_reaches_its_executor_which_is_sent_home() {
    let mut env = Env::registered();
    env.master(run(framework(), custom("t1")));
    let order = env.launch_order();
    env.started(&order.container_id);
    env.master(kill("t1", None));
    let killed = env.one_told();
    assert_eq!(killed.reason, Some(Reason::TASK_KILLED_DURING_LAUNCH));
    env.ack(&killed);
    let events = env.subscribe(1, &[]);
    assert_eq!(events, [ExecutorEvent::Shutdown]);
    env.exited(&order.container_id, 0);
    assert!(env.core.view().frameworks.is_empty());
}

#[test]
fn launch_orders_keep_their_order_and_wait_for_the_right_size() {
    let mut env = Env::registered();
    env.master(run(framework(), custom("t1")));
    let order = env.launch_order();
    env.master(run_more(custom("t2")));
    env.started(&order.container_id);
    env.subscribe(1, &[]);
    let size = env.out.iter().find_map(|e| match e {
        Effect::Resize { resources, .. } => Some(resources.clone()),
        _ => None,
    });
    assert_eq!(size, Some(resources("cpus:1.1;mem:160")));
    env.master(run_more(custom("t3")));
    env.resized(&order.container_id);
    let launched = |events: Vec<ExecutorEvent>| -> Vec<String> {
        let tasks = events.into_iter().filter_map(|e| match e {
            ExecutorEvent::Launch(task) => Some(task.task_id.to_string()),
            _ => None,
        });
        tasks.collect()
    };
    assert_eq!(launched(env.events()), ["t1", "t2"]);
    env.resized(&order.container_id);
    assert_eq!(launched(env.events()), ["t3"]);
}

#[test]
fn a_container_that_cannot_be_resized_is_destroyed_and_its_tasks_are_gone() {
    let mut env = Env::registered();
    env.master(run(framework(), custom("t1")));
    let order = env.launch_order();
    env.started(&order.container_id);
    env.subscribe(1, &[]);
    env.out.clear();
    env.input(Input::Resized {
        container_id: order.container_id.clone(),
        outcome: Err("no".into()),
    });
    assert_eq!(env.effects(), [Effect::Destroy(order.container_id.clone())]);
    env.exited(&order.container_id, 9);
    let gone = env.one_told();
    assert_eq!(gone.state, TaskState::Gone);
    assert_eq!(gone.reason, Some(Reason::CONTAINER_UPDATE_FAILED));
}

#[test]
fn the_masters_wrong_beliefs_about_an_executor_drop_the_task() {
    let mut env = Env::registered();
    env.custom_running();
    env.master(run(framework(), custom("t2")));
    let dropped = env.one_told();
    assert_eq!(
        dropped.message.as_deref(),
        Some("Master wants to launch executor, but one already exists")
    );
    let mut other = custom("t3");
    other.executor.as_mut().unwrap().executor_id = eid("other");
    env.master(run_more(other));
    let dropped = env.one_told();
    assert_eq!(
        dropped.message.as_deref(),
        Some("No executor is expected to launch and there is none running")
    );
    assert_eq!(dropped.reason, Some(Reason::EXECUTOR_TERMINATED));
}

#[test]
fn an_executor_told_to_end_has_its_grace() {
    let mut env = Env::registered();
    let container = env.custom_running();
    env.master(ToAgent::ShutdownExecutor {
        framework_id: fid("f"),
        executor_id: eid("e"),
    });
    assert_eq!(env.events(), [ExecutorEvent::Shutdown]);
    env.master(run_more(custom("t2")));
    assert_eq!(env.one_told().message.as_deref(), Some("Executor terminating"));
    env.out.clear();
    env.pass(Duration::from_secs(5));
    let destroyed = Effect::Destroy(container.clone());
    assert!(env.effects().contains(&destroyed));
    env.update("t1", TaskState::Killed, 7);
    env.out.clear();
    env.exited(&container, 9);
    assert!(env.told().is_empty(), "its own word stands");
}

#[test]
fn an_executor_faster_than_the_word_of_its_launch_is_let_in_with_it() {
    let mut env = Env::registered();
    env.master(run(framework(), custom("t1")));
    let order = env.launch_order();
    assert_eq!(
        env.subscribe(1, &[]),
        [],
        "what its updates say of the container is not known yet"
    );
    assert_eq!(env.subscribe(2, &[]), []);
    assert!(
        env.effects().contains(&Effect::CloseExecutor(StreamId(1))),
        "only the last stream counts"
    );
    env.started(&order.container_id);
    assert!(matches!(&env.events()[..], [ExecutorEvent::Subscribed { .. }]));
    env.resized(&order.container_id);
    env.update("t1", TaskState::Running, 1);
    assert_eq!(&env.one_told().wire[..], b"<container><data>");
}

#[test]
fn an_early_executor_that_hangs_up_is_not_waited_for_and_one_without_a_container_is_sent_away() {
    let mut env = Env::registered();
    env.master(run(framework(), custom("t1")));
    let order = env.launch_order();
    env.subscribe(1, &[]);
    env.input(Input::ExecutorDisconnected(StreamId(1)));
    env.subscribe(2, &[]);
    env.out.clear();
    env.input(Input::Launched {
        container_id: order.container_id.clone(),
        outcome: Err(LaunchFailure::Launch("no".into())),
    });
    assert!(env.effects().contains(&Effect::CloseExecutor(StreamId(2))));
}

#[test]
fn a_reader_sees_the_last_update_told_also_after_it_is_acknowledged() {
    let mut env = Env::registered();
    env.custom_running();
    let told = |env: &Env| env.core.view().frameworks[0].executors[0].tasks[0].told();
    assert_eq!(told(&env), Some((TaskState::Running, UpdateUuid([1; 16]))));
}
