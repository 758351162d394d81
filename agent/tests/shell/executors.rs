//! Custom executors over the v1 executor API.

use crate::golden::{names, read, replay, same};
use crate::http::{Events, post};
use crate::master::{Master, Session};
use crate::world::{AGENT, FRAMEWORK, Home, command, custom, eventually, framework_id, run};
use base64::Engine;
use meseta_types::link::{FromAgent, ToAgent};
use meseta_types::task::TaskState;
use meseta_types::{ExecutorId, TaskId};
use serde_json::json;
use std::net::SocketAddr;

const API: &str = "/api/v1/executor";
const RECORDED: &str = "c6ea323d-5294-4759-b7e3-56d5cf7882e2-0002";

fn call(body: serde_json::Value) -> String {
    let mut call = json!({"executor_id": {"value": "pyexec"}, "framework_id": {"value": FRAMEWORK}});
    for (name, value) in body.as_object().unwrap() {
        call[name] = value.clone();
    }
    call.to_string()
}

fn subscribe() -> String {
    call(json!({"type": "SUBSCRIBE", "subscribe": {}}))
}

fn status(state: &str, uuid: u8) -> serde_json::Value {
    let uuid = base64::engine::general_purpose::STANDARD.encode([uuid; 16]);
    json!({"task_id": {"value": "ct1"}, "state": state, "uuid": uuid, "source": "SOURCE_EXECUTOR"})
}

async fn update(address: SocketAddr, state: &str, uuid: u8) {
    let body = call(json!({"type": "UPDATE", "update": {"status": status(state, uuid)}}));
    assert_eq!(post(address, API, &body).await.code(), 202);
}

/// The executor's process waits for its end; the test speaks for it.
async fn launched(link: &mut Session, address: SocketAddr) -> Events {
    run(link, &custom("ct1", "pyexec", "exec sleep 1000")).await;
    eventually("the executor's process runs", async || {
        let answer = post(address, "/api/v1", r#"{"type":"GET_CONTAINERS"}"#).await;
        answer.text().contains("executor_pid").then_some(())
    })
    .await;
    let early = call(json!({"type": "MESSAGE", "message": {"data": ""}}));
    let answer = post(address, API, &early).await;
    assert_eq!(
        (answer.code(), answer.text().as_str()),
        (403, "Executor is not subscribed")
    );
    Events::open(address, API, &subscribe()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_executor_gets_its_task_and_its_updates_reach_the_master() {
    let (home, mut master) = (Home::new(), Master::start().await);
    let agent = home.agent(master.address).await;
    let address = agent.address();
    let mut link = master.registered(AGENT).await;
    let mut events = launched(&mut link, address).await;

    let subscribed = events.expect("SUBSCRIBED").await;
    let recorded = std::fs::read_to_string(
        std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../tests/golden/executor/stream-1-SUBSCRIBE.events.jsonl"),
    )
    .unwrap();
    let recorded: serde_json::Value = serde_json::from_str(recorded.lines().next().unwrap()).unwrap();
    let members =
        |value: &serde_json::Value| -> Vec<String> { value.as_object().unwrap().keys().cloned().collect() };
    for part in ["executor_info", "agent_info"] {
        assert_eq!(
            members(&subscribed["subscribed"][part]),
            members(&recorded["event"]["subscribed"][part]),
            "{part}"
        );
    }
    let launch = events.expect("LAUNCH").await;
    assert_eq!(launch["launch"]["task"]["task_id"]["value"], "ct1");
    assert_eq!(
        launch["launch"]["task"]["executor"]["framework_id"]["value"],
        FRAMEWORK
    );

    update(address, "TASK_RUNNING", 1).await;
    let acknowledged = events.expect("ACKNOWLEDGED").await;
    assert_eq!(acknowledged["acknowledged"]["task_id"]["value"], "ct1");
    let running = link.update().await.status;
    assert_eq!(running.state, TaskState::Running);
    assert!(!running.wire.is_empty(), "the agent adds the container's status");

    // Messages both ways.
    link.say(ToAgent::FrameworkMessage {
        framework_id: framework_id(),
        executor_id: ExecutorId::new("pyexec").unwrap(),
        data: bytes::Bytes::from_static(b"hello executor"),
    })
    .await;
    assert_eq!(
        events.expect("MESSAGE").await["message"]["data"],
        "aGVsbG8gZXhlY3V0b3I="
    );
    let body = call(json!({"type": "MESSAGE", "message": {"data": "aGk="}}));
    assert_eq!(post(address, API, &body).await.code(), 202);
    let FromAgent::ExecutorMessage { data, .. } = link.next().await else {
        panic!()
    };
    assert_eq!(&data[..], b"hi");

    // A second SUBSCRIBE ends the first stream and goes on with the new one.
    let mut second = Events::open(address, API, &subscribe()).await;
    assert_eq!(events.next().await, None);
    second.expect("SUBSCRIBED").await;
    link.say(ToAgent::KillTask {
        framework_id: framework_id(),
        task_id: TaskId::new("ct1").unwrap(),
        kill_policy: bytes::Bytes::new(),
        grace: None,
    })
    .await;
    assert_eq!(second.expect("KILL").await["kill"]["task_id"]["value"], "ct1");
    update(address, "TASK_KILLED", 2).await;
    second.expect("ACKNOWLEDGED").await;
    link.until(TaskState::Killed).await;

    link.say(ToAgent::ShutdownExecutor {
        framework_id: framework_id(),
        executor_id: ExecutorId::new("pyexec").unwrap(),
    })
    .await;
    second.expect("SHUTDOWN").await;
    loop {
        if let FromAgent::ExecutorExited {
            executor_id, status, ..
        } = link.next().await
        {
            assert_eq!(executor_id.as_str(), "pyexec");
            assert_ne!(status, 0, "it did not obey and was killed");
            break;
        }
    }
    agent.drain().await;
    agent.join().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_recorded_error_is_answered_as_recorded() {
    let (home, mut master) = (Home::new(), Master::start().await);
    let agent = home.agent(master.address).await;
    let mut link = master.registered(AGENT).await;
    let _events = launched(&mut link, agent.address()).await;
    let replace = [(RECORDED, FRAMEWORK)];
    for name in names("executor", "err-") {
        let recording = read("executor", &name);
        let answer = replay(agent.address(), &recording, &replace).await;
        same(&name, &recording, &answer, &replace);
    }
    for name in ["HEARTBEAT.http", "MESSAGE.http"] {
        let recording = read("executor", name);
        let answer = replay(agent.address(), &recording, &replace).await;
        same(name, &recording, &answer, &replace);
    }
    agent.drain().await;
    agent.join().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_executors_environment_is_as_recorded() {
    let (home, mut master) = (Home::new(), Master::start().await);
    let agent = home.agent(master.address).await;
    let mut link = master.registered(AGENT).await;
    run(
        &mut link,
        &custom("ct1", "pyexec", "env > env.txt; exec sleep 1000"),
    )
    .await;
    let runs = home.work_dir().join(format!(
        "slaves/{AGENT}/frameworks/{FRAMEWORK}/executors/pyexec/runs/latest"
    ));
    let text = eventually("the environment is written", async || {
        let text = std::fs::read_to_string(runs.join("env.txt")).ok()?;
        text.contains("MESOS_SLAVE_PID=").then_some(text)
    })
    .await;
    let names = |text: &str| -> std::collections::BTreeSet<String> {
        text.lines()
            .filter_map(|line| line.split_once('='))
            .map(|(name, _)| name.to_owned())
            .collect()
    };
    let recorded = std::fs::read_to_string(
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/executor/environment.txt"),
    )
    .unwrap();
    let mut wanted = names(&recorded);
    // The recording is of a framework without checkpoints, written by a program; this is one with, written by a shell.
    wanted.extend(
        [
            "MESOS_RECOVERY_TIMEOUT",
            "MESOS_SUBSCRIPTION_BACKOFF_MAX",
            "PATH",
            "PWD",
        ]
        .map(str::to_owned),
    );
    let mut got = names(&text);
    got.retain(|name| !["SHLVL", "_", "OLDPWD"].contains(&name.as_str()));
    assert_eq!(got, wanted);
    agent.drain().await;
    agent.join().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_and_a_custom_executor_live_side_by_side() {
    let (home, mut master) = (Home::new(), Master::start().await);
    let agent = home.agent(master.address).await;
    let mut link = master.registered(AGENT).await;
    let mut events = launched(&mut link, agent.address()).await;
    events.expect("SUBSCRIBED").await;
    events.expect("LAUNCH").await;
    run(&mut link, &command("t", "true", "")).await;
    link.until(TaskState::Finished).await;
    agent.drain().await;
    agent.join().await;
}
