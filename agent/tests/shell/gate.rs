//! What the agent keeps to itself: what the gate refuses, and secrets.

use crate::http::{get, post};
use crate::master::Master;
use crate::world::{AGENT, FRAMEWORK, Home, command, eventually, run};
use meseta_http::gate::{Action, Gate};
use meseta_proto::mesos::v1 as pb;
use meseta_types::task::TaskState;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_but_health_and_version_gets_around_the_gate() {
    let (home, master) = (Home::new(), Master::start().await);
    let agent = home.agent_with(master.address, Gate::new(|_, _| false)).await;
    let at = agent.address();
    for path in [
        "/flags",
        "/state",
        "/containers",
        "/monitor/statistics",
        "/containerizer/debug",
        "/metrics",
        "/metrics/snapshot",
        "/files/browse?path=/",
        "/files/read?path=/slave/log&offset=0",
        "/files/download?path=/slave/log",
        "/files/debug",
        "/logging/toggle",
        "/logging/toggle?level=1&duration=1secs",
        "/meseta/v1/last_inputs",
    ] {
        assert_eq!(get(at, path).await.code(), 403, "{path}");
    }
    let container = r#"{"container_id":{"value":"c","parent":{"value":"p"}}}"#;
    for call in [
        r#"{"type":"GET_FLAGS"}"#.to_owned(),
        r#"{"type":"GET_METRICS","get_metrics":{}}"#.to_owned(),
        r#"{"type":"SET_LOGGING_LEVEL","set_logging_level":{"level":1,"duration":{"nanoseconds":1}}}"#
            .to_owned(),
        r#"{"type":"LIST_FILES","list_files":{"path":"/"}}"#.to_owned(),
        r#"{"type":"READ_FILE","read_file":{"path":"/slave/log","offset":0}}"#.to_owned(),
        r#"{"type":"GET_STATE"}"#.to_owned(),
        r#"{"type":"GET_CONTAINERS"}"#.to_owned(),
        r#"{"type":"GET_FRAMEWORKS"}"#.to_owned(),
        r#"{"type":"GET_EXECUTORS"}"#.to_owned(),
        r#"{"type":"GET_TASKS"}"#.to_owned(),
        r#"{"type":"GET_AGENT"}"#.to_owned(),
        r#"{"type":"GET_OPERATIONS"}"#.to_owned(),
        r#"{"type":"GET_RESOURCE_PROVIDERS"}"#.to_owned(),
        r#"{"type":"PRUNE_IMAGES"}"#.to_owned(),
        format!(r#"{{"type":"KILL_NESTED_CONTAINER","kill_nested_container":{container}}}"#),
        format!(r#"{{"type":"WAIT_CONTAINER","wait_container":{container}}}"#),
    ] {
        assert_eq!(post(at, "/api/v1", &call).await.code(), 403, "{call}");
    }
    let subscribe = format!(
        r#"{{"type":"SUBSCRIBE","framework_id":{{"value":"{FRAMEWORK}"}},"executor_id":{{"value":"e"}},"subscribe":{{}}}}"#
    );
    assert_eq!(post(at, "/api/v1/executor", &subscribe).await.code(), 403);
    for path in ["/health", "/version"] {
        assert_eq!(get(at, path).await.code(), 200, "{path}");
    }
    for call in [r#"{"type":"GET_HEALTH"}"#, r#"{"type":"GET_VERSION"}"#] {
        assert_eq!(post(at, "/api/v1", call).await.code(), 200, "{call}");
    }
    agent.leave().await;
    agent.join().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gate_is_asked_for_the_log_the_sandboxes_and_the_flags_apart() {
    let (home, master) = (Home::new(), Master::start().await);
    let gate = Gate::new(|_, action| !matches!(action, Action::AccessSandbox(_) | Action::ViewFlags));
    let agent = home.agent_with(master.address, gate).await;
    let at = agent.address();
    // There is no log file here: not found is what somebody hears who may ask.
    assert_eq!(get(at, "/files/read?path=/slave/log").await.code(), 404);
    assert_eq!(get(at, "/files/read?path=/slave/logs").await.code(), 403);
    let state = get(at, "/state").await.json();
    assert_eq!(
        (&state["flags"], state["frameworks"].is_array()),
        (&serde_json::Value::Null, true)
    );
    agent.leave().await;
    agent.join().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_reaches_its_task_and_nobody_else() {
    let (home, mut master) = (Home::new(), Master::start().await);
    let agent = home.agent(master.address).await;
    let at = agent.address();
    let mut link = master.registered(AGENT).await;
    let mut task = command("t1", "echo $KEY | tr a-z A-Z; exec sleep 1000", "");
    use pb::environment::variable::Type;
    let variable = |name: &str, kind: Type, value: Option<&str>, secret| pb::environment::Variable {
        name: name.to_owned(),
        r#type: Some(kind as i32),
        value: value.map(str::to_owned),
        secret,
    };
    let secret = pb::Secret {
        r#type: Some(pb::secret::Type::Value as i32),
        value: Some(pb::secret::Value {
            data: "hunter".into(),
        }),
        ..Default::default()
    };
    if let Some(command) = &mut task.command {
        command.environment = Some(pb::Environment {
            variables: vec![
                variable("PLAIN", Type::Value, Some("seen"), None),
                variable("KEY", Type::Secret, None, Some(secret)),
            ],
        });
    }
    task.health_check = Some(pb::HealthCheck {
        r#type: Some(pb::health_check::Type::Command as i32),
        command: task.command.clone(),
        delay_seconds: Some(1000.0),
        ..Default::default()
    });
    run(&mut link, &task).await;
    link.until(TaskState::Running).await;
    let out = format!("/files/read?path=/frameworks/{FRAMEWORK}/executors/t1/runs/latest/stdout&offset=0");
    eventually("the task has its secret", async || {
        get(at, &out).await.text().contains("HUNTER").then_some(())
    })
    .await;
    let state = get(at, "/state").await.text();
    let executors = post(at, "/api/v1", r#"{"type":"GET_EXECUTORS"}"#).await.text();
    for shown in [r#""name":"PLAIN""#, r#""value":"seen""#, r#""name":"KEY""#] {
        assert!(executors.contains(shown), "{executors}");
    }
    let whole = post(at, "/api/v1", r#"{"type":"GET_STATE"}"#).await.text();
    let inputs = get(at, "/meseta/v1/last_inputs").await.text();
    assert!(inputs.contains("RunTask") && inputs.contains("t1"), "{inputs}");
    // As text, as base64, and as the numbers of its bytes.
    let base64 = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, "hunter");
    for shown in [&state, &executors, &whole, &inputs] {
        for form in ["hunter", &base64, "104, 117, 110"] {
            assert!(!shown.contains(form), "{shown}");
        }
    }
    agent.drain().await;
    agent.join().await;
}
