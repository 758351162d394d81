//! No peer stops service to the others.

use crate::cluster::Story;
use crate::support::{Master, post, within};
use meseta_master::Config;
use meseta_store::Memory;
use serde_json::json;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_above_the_limit_is_refused() {
    let mut config = Config::plain();
    config.max_request_bytes = 1000;
    let master = Master::start_with(config, Arc::new(Memory::new())).await;
    assert!(master.running.ready().await);
    let answer = master.exchange(&post("/api/v1", "", &"x".repeat(1001))).await;
    assert_eq!(answer.status, 413);
    assert_eq!(master.operator(r#"{"type":"GET_HEALTH"}"#).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_framework_that_does_not_read_is_cut_off_and_its_offers_return() {
    let mut story = Story::begin().await;
    let _offers = story.events.next_of("OFFERS").await;
    let (framework, agent_id) = (story.framework_id.clone(), story.agent_id.clone());
    // Messages of a megabyte to a stream nobody reads: the kernel's buffers fill, then its outbox.
    let data = bytes::Bytes::from(vec![b'x'; 1 << 20]);
    within("the framework to be cut off", async {
        loop {
            for _ in 0..8 {
                story
                    .agent
                    .say(meseta_types::link::FromAgent::ExecutorMessage {
                        framework_id: meseta_types::FrameworkId::new(&framework).unwrap(),
                        executor_id: meseta_types::ExecutorId::new("e").unwrap(),
                        data: data.clone(),
                    })
                    .await;
            }
            let frameworks = story.master.json("/frameworks").await;
            if frameworks["frameworks"][0]["connected"] == json!(false) {
                return;
            }
        }
    })
    .await;
    let slaves = story.master.json("/slaves").await;
    assert_eq!(slaves["slaves"][0]["id"], agent_id.as_str());
    assert_eq!(slaves["slaves"][0]["offered_resources"]["cpus"], 0.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_a_request_holds_nobody_up() {
    let master = Master::start().await;
    let mut slow = master.connect().await;
    slow.write_all(
        b"POST /api/v1 HTTP/1.1\r\nHost: m\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{",
    )
    .await
    .unwrap();
    let mut garbage = master.connect().await;
    garbage.write_all(b"NOT HTTP\r\n\r\n").await.unwrap();
    let mut rest = Vec::new();
    within("the connection to be closed", garbage.read_to_end(&mut rest))
        .await
        .unwrap();
    assert_eq!(master.operator(r#"{"type":"GET_HEALTH"}"#).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_oldest_operator_stream_makes_room_for_a_new_one() {
    let mut config = Config::plain();
    config.max_subscribers = 2;
    let master = Master::start_with(config, Arc::new(Memory::new())).await;
    assert!(master.running.ready().await);
    let subscribe = r#"{"type":"SUBSCRIBE"}"#;
    let mut first = master.stream("/api/v1", subscribe).await;
    let _second = master.stream("/api/v1", subscribe).await;
    let mut third = master.stream("/api/v1", subscribe).await;
    while first.next().await.is_some() {}
    assert_eq!(third.next().await.unwrap()["type"], "SUBSCRIBED");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_of_the_state_that_stop_reading_hold_nobody_up() {
    let story = Story::begin().await;
    let tasks = (0..8_000).map(|n| crate::agent::reported(&story.framework_id, format!("task-{n}")));
    let _agent = crate::agent::Agent::reregister(&story.master, &story.agent_id, tasks.collect()).await;
    let mut stuck = Vec::new();
    for _ in 0..8 {
        let mut connection = story.master.connect().await;
        connection
            .write_all(b"GET /state HTTP/1.1\r\nHost: m\r\n\r\n")
            .await
            .unwrap();
        stuck.push(connection);
    }
    let state = story.master.json("/state").await;
    assert_eq!(state["frameworks"][0]["tasks"].as_array().unwrap().len(), 8_000);
}

/// More answers than may wait unread for a framework.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_framework_that_reads_is_told_of_all_tasks_it_asks_for() {
    const TASKS: usize = 130_000;
    let mut story = Story::begin().await;
    let tasks: Vec<_> = (0..TASKS)
        .map(|n| json!({"task_id": {"value": format!("t{n}")}}))
        .collect();
    let call = json!({"type": "RECONCILE", "reconcile": {"tasks": tasks}});
    assert_eq!(story.call(call).await.status, 202);
    for n in 0..TASKS {
        let update = within("an update", story.events.next_of("UPDATE")).await;
        assert_eq!(update["update"]["status"]["task_id"]["value"], format!("t{n}"));
    }
}
