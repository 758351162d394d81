//! What operators get beyond the Mesos API, and what the gate keeps from everybody.

use crate::cluster::Story;
use crate::support::{Master, SUBSCRIBE, post};
use meseta_http::gate::Gate;
use meseta_master::Config;
use meseta_store::Memory;
use serde_json::json;
use std::sync::Arc;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_sees_what_the_core_was_told_last_without_the_bodies() {
    let story = Story::begin().await;
    let message = json!({"type": "MESSAGE", "message": {
        "agent_id": {"value": story.agent_id.as_str()}, "executor_id": {"value": "e"}, "data": "aHVudGVyMg=="}});
    assert_eq!(story.call(message).await.status, 202);
    let answer = story.master.get("/meseta/v1/last_inputs").await;
    assert_eq!(answer.status, 200);
    let text = answer.text();
    assert!(text.contains("Register") && text.contains("Subscribe"), "{text}");
    assert!(text.contains("data: <7 bytes>"), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
    let answer = story
        .master
        .exchange(&post("/meseta/v1/last_inputs", "", "{}"))
        .await;
    assert_eq!(answer.status, 405);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_gets_around_the_gate() {
    let gate = Gate::new(|_, _| false);
    let master = Master::start_behind(gate, Config::plain(), Arc::new(Memory::new())).await;
    assert!(master.running.ready().await);
    for path in [
        "/flags",
        "/state",
        "/state-summary",
        "/slaves",
        "/frameworks",
        "/tasks",
        "/roles",
        "/metrics",
        "/metrics/snapshot",
        "/files/browse?path=/",
        "/files/read?path=/master/log",
        "/logging/toggle",
        "/meseta/v1/dropped",
        "/meseta/v1/last_inputs",
        "/meseta/v1/why_no_offers?framework_id=f",
    ] {
        assert_eq!(master.get(path).await.status, 403, "{path}");
    }
    for call in [
        r#"{"type":"GET_FLAGS"}"#,
        r#"{"type":"GET_METRICS","get_metrics":{}}"#,
        r#"{"type":"GET_STATE"}"#,
        r#"{"type":"GET_AGENTS"}"#,
        r#"{"type":"GET_FRAMEWORKS"}"#,
        r#"{"type":"GET_EXECUTORS"}"#,
        r#"{"type":"GET_TASKS"}"#,
        r#"{"type":"GET_ROLES"}"#,
        r#"{"type":"SET_LOGGING_LEVEL","set_logging_level":{"level":1,"duration":{"nanoseconds":1}}}"#,
        r#"{"type":"LIST_FILES","list_files":{"path":"/"}}"#,
        r#"{"type":"READ_FILE","read_file":{"path":"/master/log","offset":0}}"#,
        r#"{"type":"SUBSCRIBE"}"#,
        r#"{"type":"TEARDOWN","teardown":{"framework_id":{"value":"f"}}}"#,
    ] {
        assert_eq!(master.operator(call).await.status, 403, "{call}");
    }
    let kill = r#"{"framework_id":"f","task_id":"t"}"#;
    let answer = master.exchange(&post("/meseta/v1/kill_task", "", kill)).await;
    assert_eq!(answer.status, 403);
    // As in Mesos a scheduler hears it on its stream.
    let mut events = master.stream("/api/v1/scheduler", SUBSCRIBE).await;
    let refused = events.next().await.unwrap();
    assert_eq!(
        refused["error"]["message"],
        "Not authorized to register the framework"
    );
}
