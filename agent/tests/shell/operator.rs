//! The operator API and the old read endpoints, against recordings.

use crate::golden::{names, read, replay, same};
use crate::http::{get, post};
use crate::master::Master;
use crate::world::{AGENT, FRAMEWORK, Home, command, run};
use meseta_types::task::TaskState;
use serde_json::Value;
use std::collections::BTreeSet;

/// Recordings that are not replayed as they are.
const APART: [(&str, &str); 3] = [
    (
        "content-type-charset.http",
        "parameters of the type are refused as recorded; kept in a test of its own",
    ),
    ("gzip-accept.http", "the flags differ, so the length does"),
    ("method-HEAD.http", "an answer to HEAD has no body here"),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_recorded_error_is_answered_as_recorded() {
    let (home, mut master) = (Home::new(), Master::start().await);
    let agent = home.agent(master.address).await;
    let _link = master.registered(AGENT).await;
    for name in names("agent-operator-errors", "") {
        if APART.iter().any(|(apart, _)| *apart == name) {
            continue;
        }
        let recording = read("agent-operator-errors", &name);
        let answer = replay(agent.address(), &recording, &[]).await;
        same(&name, &recording, &answer, &[]);
    }
    let recording = read("agent-operator-errors", "method-HEAD.http");
    let answer = replay(agent.address(), &recording, &[]).await;
    assert_eq!((answer.code(), answer.body.len()), (405, 0));
    let recording = read("agent-operator-errors", "gzip-accept.http");
    let answer = replay(agent.address(), &recording, &[]).await;
    assert_eq!(answer.headers.get("content-encoding"), Some(&"gzip".to_owned()));
    let recording = read("agent-operator-errors", "content-type-charset.http");
    let answer = replay(agent.address(), &recording, &[]).await;
    same("content-type-charset.http", &recording, &answer, &[]);
    agent.drain().await;
    agent.join().await;
}

/// The names of all members, in every depth, without those below `open` whose members differ by nature.
fn shape(value: &Value, path: &str, open: &[&str], out: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) if !open.contains(&path) => {
            for (name, member) in members {
                let below = format!("{path}.{name}");
                out.insert(below.clone());
                shape(member, &below, open, out);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| shape(item, path, open, out)),
        _ => {}
    }
}

fn shape_of(value: &Value, open: &[&str]) -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    shape(value, "", open, &mut out);
    out
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_agents_reads_have_the_recorded_shape() {
    let (home, mut master) = (Home::new(), Master::start().await);
    let agent = home.agent(master.address).await;
    let _link = master.registered(AGENT).await;
    agent.registered().await;
    for name in names("agent-idle", "") {
        let recording = read("agent-idle", &name);
        let answer = replay(agent.address(), &recording, &[]).await;
        assert_eq!(answer.status, recording.status, "{name}");
        let wanted: Value = serde_json::from_str(&recording.body).unwrap();
        // What a build knows of itself differs; flags are a list of ours.
        let open = [".get_version.version_info"];
        assert_eq!(
            shape_of(&answer.json(), &open),
            shape_of(&wanted, &open),
            "{name}"
        );
        let exact = [
            "GET_CONTAINERS",
            "GET_EXECUTORS",
            "GET_FRAMEWORKS",
            "GET_HEALTH",
            "GET_OPERATIONS",
            "GET_RESOURCE",
            "GET_STATE",
            "GET_TASKS",
            "GET_LOGGING",
        ];
        if exact.iter().any(|exact| name.starts_with(exact)) {
            assert_eq!(answer.text(), recording.body, "{name}");
        }
    }
    for name in names("agent-v0-idle", "") {
        let recording = read("agent-v0-idle", &name);
        let answer = replay(agent.address(), &recording, &[]).await;
        assert_eq!(answer.status, recording.status, "{name}");
        assert_eq!(
            answer.headers.get("content-type"),
            recording.headers.get("content-type"),
            "{name}"
        );
        if recording.body.is_empty() {
            assert_eq!(answer.text(), "", "{name}");
            continue;
        }
        let open = [".flags", ".reserved_resources_full"];
        let wanted = shape_of(&serde_json::from_str(&recording.body).unwrap(), &open);
        let got = shape_of(&answer.json(), &open);
        let ours: Vec<_> = got.difference(&wanted).collect();
        let missing: Vec<_> = wanted.difference(&got).collect();
        let build = [
            ".git_sha",
            ".build_date",
            ".build_time",
            ".build_user",
            ".log_dir",
        ];
        assert!(
            missing.iter().all(|m| build.contains(&m.as_str())),
            "{name} lacks {missing:?}"
        );
        let known = [
            ".meseta_version",
            ".slave/update_retries",
            ".slave/ignored_inputs",
            ".slave/broken_invariants",
        ];
        assert!(
            ours.iter().all(|o| known.contains(&o.as_str())),
            "{name} adds {ours:?}"
        );
    }
    agent.drain().await;
    agent.join().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_task_shows_in_every_read() {
    let (home, mut master) = (Home::new(), Master::start().await);
    let agent = home.agent(master.address).await;
    let mut link = master.registered(AGENT).await;
    run(&mut link, &command("long1", "echo on stdout; sleep 1000", "")).await;
    link.until(TaskState::Running).await;
    let address = agent.address();
    let name = "Command Executor (Task: long1) (Command: sh -c 'echo on stdo...')";

    let state = get(address, "/slave(1)/state").await.json();
    let executor = &state["frameworks"][0]["executors"][0];
    assert_eq!(executor["name"], name);
    assert_eq!(executor["source"], "long1");
    assert_eq!(executor["tasks"][0]["state"], "TASK_RUNNING");
    assert_eq!(executor["tasks"][0]["executor_id"], "");
    assert_eq!(executor["resources"]["mem"], 64.0);
    assert_eq!(state["unreserved_resources_allocated"]["cpus"], 0.2);

    // Members of a task and of an executor as recorded.
    let recorded: Value = serde_json::from_str(&read("agent-v0-with-tasks", "state.http").body).unwrap();
    let executors = recorded["frameworks"][0]["executors"].as_array().unwrap();
    let like = executors.iter().find(|e| e["id"] == "long1").unwrap();
    assert_eq!(shape_of(executor, &[]), shape_of(like, &[]));

    let tasks = post(address, "/api/v1", r#"{"type":"GET_TASKS"}"#).await.json();
    let task = &tasks["get_tasks"]["launched_tasks"][0];
    let recorded: Value = serde_json::from_str(&read("agent-with-tasks", "GET_TASKS.http").body).unwrap();
    let like = &recorded["get_tasks"]["launched_tasks"][0];
    let open = [".statuses"];
    let mut wanted = shape_of(like, &open);
    // All its updates are acknowledged, as in the recording.
    wanted.retain(|member| !member.starts_with(".status_update"));
    let mut got = shape_of(task, &open);
    got.retain(|member| !member.starts_with(".status_update"));
    assert_eq!(got, wanted);
    assert!(
        task["statuses"][1]["container_status"]["executor_pid"].is_u64(),
        "{task}"
    );

    let containers = post(address, "/api/v1", r#"{"type":"GET_CONTAINERS"}"#)
        .await
        .json();
    let container = &containers["get_containers"]["containers"][0];
    assert_eq!(container["executor_name"], name);
    assert_eq!(
        container["container_status"]["executor_pid"],
        task["statuses"][1]["container_status"]["executor_pid"]
    );
    assert_eq!(container["resource_statistics"]["mem_limit_bytes"], 64 << 20);

    let legacy = get(address, "/containers").await.json();
    let recorded: Value = serde_json::from_str(&read("agent-v0-with-tasks", "containers.http").body).unwrap();
    assert_eq!(shape_of(&legacy[0], &[]), shape_of(&recorded[1], &[]));
    let monitor = get(address, "/monitor/statistics").await.json();
    assert_eq!(monitor[0]["executor_id"], "long1");
    let answer = get(address, "/containers?executor_id=x").await;
    assert_eq!(answer.code(), 400);

    let executors = post(address, "/api/v1", r#"{"type":"GET_EXECUTORS"}"#)
        .await
        .json();
    assert_eq!(
        executors["get_executors"]["executors"][0]["executor_info"]["name"],
        name
    );
    let metrics = get(address, "/metrics/snapshot").await.json();
    assert_eq!(metrics["slave/tasks_running"], 1.0);
    assert_eq!(metrics["slave/cpus_used"], 0.2);
    let text = get(address, "/metrics").await.text();
    assert!(text.contains("meseta_slave_tasks_running 1\n"), "{text}");

    let files = get(address, "/files/debug").await.json();
    let short = format!("/frameworks/{FRAMEWORK}/executors/long1/runs/latest");
    assert_eq!(files[&short], executor["directory"]);
    agent.drain().await;
    agent.join().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_and_streaming_rules_are_mesos() {
    let (home, master) = (Home::new(), Master::start().await);
    let agent = home.agent(master.address).await;
    let address = agent.address();
    for (path, code) in [
        ("/", 404),
        ("/nope", 404),
        ("/state.json", 404),
        ("/monitor/statistics.json", 404),
        ("/health", 200),
        ("/slave(1)/health", 200),
        ("/slave%281%29/state", 200),
        ("//version", 404),
        ("/version%ZZ", 404),
    ] {
        assert_eq!(get(address, path).await.code(), code, "{path}");
    }
    assert_eq!(
        get(address, "/state?jsonp=cb").await.headers["content-type"],
        "text/javascript"
    );
    assert_eq!(get(address, "/logging/toggle").await.text(), "0\n");
    assert_eq!(
        get(address, "/logging/toggle?level=1").await.text(),
        "Expecting 'duration=value' in query.\n"
    );
    for (body, code, text) in [
        (
            r#"{"type":"WAIT_CONTAINER","wait_container":{"container_id":{"value":"x"}}}"#,
            404,
            "Container x cannot be found",
        ),
        (
            r#"{"type":"KILL_NESTED_CONTAINER","kill_nested_container":{"container_id":{"value":"y","parent":{"value":"x"}}}}"#,
            404,
            "Container 'x.y' cannot be found (or is already killed)",
        ),
        (
            r#"{"type":"LAUNCH_NESTED_CONTAINER","launch_nested_container":{"container_id":{"value":"y","parent":{"value":"nope"}}}}"#,
            400,
            "Parent container nope does not exist",
        ),
        (
            r#"{"type":"LAUNCH_CONTAINER","launch_container":{"container_id":{"value":"a.b"}}}"#,
            400,
            "Failed to validate agent::Call: 'launch_container.container_id' is invalid: 'ContainerID.value' 'a.b' contains invalid characters",
        ),
        (
            r#"{"type":"ATTACH_CONTAINER_INPUT","attach_container_input":{}}"#,
            415,
            "Expecting 'Content-Type' to be application/recordio for ATTACH_CONTAINER_INPUT call",
        ),
        (r#"{"type":"UNKNOWN"}"#, 501, "501 Not Implemented."),
    ] {
        let answer = post(address, "/api/v1", body).await;
        assert_eq!((answer.code(), answer.text().as_str()), (code, text), "{body}");
    }
    agent.drain().await;
    agent.join().await;
}
