//! What a task is told of itself, what others find of it, and the stream of events.

use super::{file, open_folder};
use meseta_tests::behaviours;
use meseta_tests::behaviours::Ground;
use meseta_tests::golden::http::Connection;
use meseta_tests::service::{App, sleeper, text};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

behaviours! {
    "94" a_task_is_told_who_it_is_and_what_it_has,
    "96" the_users_environment_wins,
    "97" the_master_knows_a_task_by_its_reversed_path,
    "98" a_stream_begins_with_itself,
    "99" a_stream_is_filtered_by_types,
    "100" a_created_app_is_followed_by_its_events,
    "101" a_killed_task_is_told_twice,
    "102" plans_in_events_are_light,
    "103" a_slow_reader_is_cut_off_and_others_are_not,
}

fn environment(folder: &Path) -> BTreeMap<String, String> {
    let text = file(&folder.join("env"));
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// An app that writes its environment into a folder.
fn teller(id: &str, folder: &Path, more: &Value) -> Value {
    let cmd = format!(
        "env > {0}/env.new && mv {0}/env.new {0}/env; sleep 1000",
        folder.display()
    );
    let mut app = open_folder(folder, sleeper(id, &json!({"cmd": cmd})));
    meseta_tests::service::merge(&mut app, more);
    app
}

fn a_task_is_told_who_it_is_and_what_it_has(ground: &Ground) {
    let folder = tempfile::tempdir().unwrap();
    let more = json!({
        "portDefinitions": [{"port": 18_094, "name": "http"}, {"port": 0, "name": "admin-ui"}],
        "labels": {"tier": "front", "a-b": "c d"},
    });
    let app = ground.service().deploy(&teller("/m94/web", folder.path(), &more));
    let told = environment(folder.path());
    let (task, shown) = (app.tasks().remove(0), app.show());
    let ports: Vec<String> = task["ports"]
        .as_array()
        .unwrap()
        .iter()
        .map(Value::to_string)
        .collect();
    for (name, value) in [
        ("MARATHON_APP_ID", "/m94/web".to_owned()),
        ("MARATHON_APP_VERSION", text(&shown["version"])),
        ("MARATHON_APP_LABEL_TIER", "front".to_owned()),
        ("MARATHON_APP_LABEL_A_B", "c d".to_owned()),
        ("MESOS_TASK_ID", text(&task["id"])),
        ("HOST", text(&task["host"])),
        ("PORT", ports[0].clone()),
        ("PORT0", ports[0].clone()),
        ("PORT1", ports[1].clone()),
        ("PORTS", ports.join(",")),
        ("PORT_18094", ports[0].clone()),
        ("PORT_HTTP", ports[0].clone()),
        ("PORT_ADMIN_UI", ports[1].clone()),
    ] {
        assert_eq!(told.get(name), Some(&value), "{name} in {told:#?}");
    }
    for (name, value) in [("CPUS", 0.01), ("MEM", 16.0), ("DISK", 0.0), ("GPUS", 0.0)] {
        let name = format!("MARATHON_APP_RESOURCE_{name}");
        assert_eq!(
            told.get(&name).and_then(|v| v.parse().ok()),
            Some(value),
            "{name} in {told:#?}"
        );
    }
    let labels = told.get("MARATHON_APP_LABELS").map(|l| l.split(' ').count());
    assert_eq!(labels, Some(2), "{told:#?}");
}

fn the_users_environment_wins(ground: &Ground) {
    let folder = tempfile::tempdir().unwrap();
    let more = json!({"env": {"PORT0": "mine", "MARATHON_APP_ID": "also mine", "OWN": "x"}});
    let _app = ground.service().deploy(&teller("/m96", folder.path(), &more));
    let told = environment(folder.path());
    for (name, value) in [("PORT0", "mine"), ("MARATHON_APP_ID", "also mine"), ("OWN", "x")] {
        assert_eq!(told.get(name).map(String::as_str), Some(value), "{told:#?}");
    }
}

fn the_master_knows_a_task_by_its_reversed_path(ground: &Ground) {
    let more = json!({"labels": {"a": "b"}, "portDefinitions": [{"port": 0, "name": "http", "labels": {"VIP_0": "/x:80"}}]});
    let app = ground.service().deploy(&sleeper("/m97/web", &more));
    let id = app.task_ids().remove(0);
    let state = ground.up().json("/state").unwrap();
    let frameworks = state["frameworks"].as_array().unwrap();
    let all = frameworks
        .iter()
        .flat_map(|f| f["tasks"].as_array().into_iter().flatten());
    let task = all.into_iter().find(|t| t["id"] == json!(id)).unwrap();
    assert_eq!(task["name"], "web.m97", "{task}");
    assert_eq!(task["labels"], json!([{"key": "a", "value": "b"}]), "{task}");
    let discovery = &task["discovery"];
    assert_eq!(discovery["name"], "web.m97", "{task}");
    let port = &discovery["ports"]["ports"][0];
    assert_eq!(
        (&port["name"], &port["protocol"]),
        (&json!("http"), &json!("tcp")),
        "{task}"
    );
    assert_eq!(port["number"], app.tasks()[0]["ports"][0], "{task}");
    let labels = port["labels"]["labels"].as_array().unwrap();
    assert!(
        labels.contains(&json!({"key": "VIP_0", "value": "/x:80"})),
        "{task}"
    );
    assert!(
        labels.contains(&json!({"key": "network-scope", "value": "host"})),
        "{task}"
    );
}

fn a_stream_begins_with_itself(ground: &Ground) {
    let events = ground.service().rest.events("/v2/events");
    events.wait("any", |_| true);
    let first = events.heard().remove(0);
    assert_eq!(first.kind, "event_stream_attached");
    assert_eq!(first.data["eventType"], "event_stream_attached");
    assert!(
        first.data["remoteAddress"].is_string() && first.data["timestamp"].is_string(),
        "{first:?}"
    );
}

fn a_stream_is_filtered_by_types(ground: &Ground) {
    let service = ground.service();
    let events = service
        .rest
        .events("/v2/events?event_type=deployment_success&event_type=api_post_event");
    let app = service.deploy(&sleeper("/m99", &json!({})));
    let success = |e: &meseta_tests::rest::Event| {
        e.kind == "deployment_success" && e.data["plan"].to_string().contains("/m99")
    };
    events.wait("the deployment's end", success);
    let kinds: Vec<String> = events.heard().into_iter().map(|e| e.kind).collect();
    assert!(kinds.iter().any(|k| k == "api_post_event"), "{kinds:?}");
    let others = kinds
        .iter()
        .filter(|k| !["deployment_success", "api_post_event"].contains(&k.as_str()));
    assert_eq!(others.count(), 0, "{kinds:?}");
    drop(app);
}

fn a_created_app_is_followed_by_its_events(ground: &Ground) {
    let service = ground.service();
    let events = service.rest.events("/v2/events");
    let app = service.deploy(&sleeper("/m100", &json!({})));
    let posted = events.wait("api_post_event", |e| {
        e.kind == "api_post_event" && e.data["appDefinition"]["id"] == "/m100"
    });
    assert!(
        posted.data["clientIp"].is_string() && posted.data["uri"] == "/v2/apps",
        "{posted:?}"
    );
    let about = |kind: &'static str, field: &'static str| {
        move |e: &meseta_tests::rest::Event| e.kind == kind && e.data[field] == "/m100"
    };
    let plan = |kind: &'static str| {
        move |e: &meseta_tests::rest::Event| {
            e.kind == kind && e.data["plan"].to_string().contains("\"/m100\"")
        }
    };
    events.wait("deployment_info", plan("deployment_info"));
    events.wait("deployment_step_success", plan("deployment_step_success"));
    events.wait("deployment_success", plan("deployment_success"));
    let changed = events.wait("instance_changed_event", |e| {
        about("instance_changed_event", "runSpecId")(e) && e.data["condition"] == "Running"
    });
    assert!(
        changed.data["instanceId"].is_string() && changed.data["agentId"].is_string(),
        "{changed:?}"
    );
    let running = events.wait("TASK_RUNNING", |e| {
        about("status_update_event", "appId")(e) && e.data["taskStatus"] == "TASK_RUNNING"
    });
    for field in ["slaveId", "taskId", "host", "version", "timestamp"] {
        assert!(running.data[field].is_string(), "{field}: {running:?}");
    }
    assert_eq!(running.data["ports"], app.tasks()[0]["ports"], "{running:?}");
    let states: Vec<Value> = events
        .heard()
        .into_iter()
        .filter(about("status_update_event", "appId"))
        .map(|e| e.data["taskStatus"].clone())
        .collect();
    assert_eq!(states.last(), Some(&json!("TASK_RUNNING")), "{states:?}");
}

fn a_killed_task_is_told_twice(ground: &Ground) {
    let service = ground.service();
    let app = service.deploy(&sleeper("/m101", &json!({})));
    let events = service.rest.events("/v2/events?event_type=status_update_event");
    let task = app.task_ids().remove(0);
    service
        .rest
        .delete(&app.path(&format!("/tasks/{task}")))
        .expect(200);
    for state in ["TASK_KILLING", "TASK_KILLED"] {
        events.wait(state, |e| {
            e.data["taskId"] == json!(task) && e.data["taskStatus"] == state
        });
    }
    let heard = events.heard();
    let at = |state: &str| {
        heard
            .iter()
            .position(|e| e.data["taskId"] == json!(task) && e.data["taskStatus"] == state)
    };
    assert!(at("TASK_KILLING") < at("TASK_KILLED"), "{heard:?}");
}

fn plans_in_events_are_light(ground: &Ground) {
    let service = ground.service();
    let events = service
        .rest
        .events("/v2/events?plan-format=light&event_type=deployment_info");
    let _app = service.deploy(&sleeper("/m102", &json!({"labels": {"m102": "heavy"}})));
    let event = events.wait("the plan", |e| e.data["plan"].to_string().contains("/m102"));
    assert!(!event.data.to_string().contains("heavy"), "{event:?}");
    let action = &event.data["plan"]["steps"][0]["actions"][0];
    assert_eq!(
        (&action["app"], action["action"].is_string()),
        (&json!("/m102"), true),
        "{event:?}"
    );
}

fn a_slow_reader_is_cut_off_and_others_are_not(ground: &Ground) {
    let service = ground.service();
    let others = service.rest.events("/v2/events?event_type=api_post_event");
    let mut slow = Connection::open(service.rest.port).unwrap();
    slow.send(b"GET /v2/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n")
        .unwrap();
    assert_eq!(slow.answer_head().unwrap().map(|head| head.status), Some(200));
    // Each of these is told with its whole definition: more than a connection that nobody reads can hold.
    let app = App {
        service,
        id: "/m103".into(),
    };
    let large = "x".repeat(20_000);
    for n in 0..=CHANGES {
        let labels = json!({"large": large, "n": n.to_string()});
        let change = sleeper("/m103", &json!({"instances": 0, "labels": labels}));
        service.rest.put("/v2/apps/m103?force=true", &change);
    }
    let last = CHANGES.to_string();
    let is_last = |label: &Value| *label == json!(last);
    others.wait("the last one", |e| {
        is_last(&e.data["appDefinition"]["labels"]["n"])
    });
    let mut heard = Vec::new();
    while let Ok(Some(chunk)) = slow.chunk() {
        heard.extend_from_slice(&chunk);
        let needle = format!("\"n\":\"{last}\"");
        let found = heard.windows(needle.len()).any(|part| part == needle.as_bytes());
        assert!(!found, "it was kept up to the end");
        heard.drain(..heard.len().saturating_sub(needle.len()));
    }
    drop(app);
}

/// With some events each, so many fill the kernel's buffers and then the thousand that the service keeps for a reader.
const CHANGES: usize = 900;
