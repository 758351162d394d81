//! The life of an app: created, changed, scaled, restarted, killed, rolled back, deleted.

use meseta_tests::behaviours::Ground;
use meseta_tests::cluster::Up;
use meseta_tests::service::{App, sleeper, text};
use meseta_tests::{behaviours, wait};
use serde_json::{Value, json};
use std::collections::BTreeSet;

behaviours! {
    "1" a_created_app_is_answered_whole_with_its_deployment,
    "2" a_deployment_ends_with_a_running_task_and_an_event,
    "3" an_app_cannot_be_created_twice,
    "4" put_creates_and_then_changes,
    "5" patch_does_not_create,
    "6" putting_the_same_again_restarts_nothing,
    "7" a_changed_command_replaces_the_task,
    "8" scaling_alone_changes_no_configuration,
    "9" an_app_is_scaled_up_and_to_nothing,
    "10" a_deleted_app_and_its_tasks_are_gone,
    "11" what_is_not_there_is_not_found,
    "12" a_restart_replaces_every_task,
    "13 14" a_second_change_is_refused_unless_forced,
    "15" unrelated_changes_are_deployed_side_by_side,
    "16" a_list_of_apps_is_one_deployment,
    "17 18" a_crashing_app_is_delayed_until_somebody_resets_it,
    "19" a_new_configuration_resets_the_delay_and_scaling_does_not,
    "20" a_restart_starts_a_delayed_app_at_once,
    "21" a_killed_task_comes_back_as_the_same_instance,
    "22" a_wiped_task_comes_back_as_another_instance,
    "23" a_task_killed_with_scale_is_not_replaced,
    "24" all_tasks_killed_with_scale_leave_none,
    "25" tasks_are_killed_by_host,
    "26" scale_and_wipe_exclude_each_other,
    "27" tasks_are_killed_by_their_ids,
    "28" a_malformed_task_id_is_refused,
    "29 30" versions_are_kept_and_one_can_be_returned_to,
}

/// Fails as soon as it runs; its delay grows fast so that a test need not wait for many failures.
fn crasher(id: &str) -> Value {
    sleeper(
        id,
        &json!({"cmd": "exit 1", "backoffSeconds": 20, "backoffFactor": 2}),
    )
}

/// Waits until an app waits for its delay, and returns the seconds left.
fn delayed(app: &App) -> i64 {
    let item = app.until_queued("delayed", |item| {
        item["delay"]["overdue"] == false && item["delay"]["timeLeftSeconds"].as_i64().unwrap_or(0) > 0
    });
    item["delay"]["timeLeftSeconds"].as_i64().unwrap_or(0)
}

fn instance(task: &str) -> &str {
    task.split("._app").next().unwrap_or(task)
}

fn incarnation(task: &str) -> u64 {
    task.rsplit('.').next().and_then(|n| n.parse().ok()).unwrap_or(0)
}

fn a_created_app_is_answered_whole_with_its_deployment(ground: &Ground) {
    let service = ground.service();
    let reply = service
        .rest
        .post(
            "/v2/apps",
            &json!({"id": "/m1", "cmd": "sleep 1000", "cpus": 0.01}),
        )
        .expect(201);
    let app = App {
        service,
        id: "/m1".into(),
    };
    let body = reply.json();
    for (field, value) in [
        ("id", json!("/m1")),
        ("cmd", json!("sleep 1000")),
        ("instances", json!(1)),
        ("cpus", json!(0.01)),
        ("mem", json!(128)),
        ("disk", json!(0)),
        ("backoffSeconds", json!(1)),
        ("backoffFactor", json!(1.15)),
        ("maxLaunchDelaySeconds", json!(300)),
        ("killSelection", json!("YOUNGEST_FIRST")),
        ("env", json!({})),
        ("labels", json!({})),
        ("constraints", json!([])),
        ("dependencies", json!([])),
        ("healthChecks", json!([])),
        ("tasksStaged", json!(0)),
        ("tasksRunning", json!(0)),
        ("tasksHealthy", json!(0)),
        ("tasksUnhealthy", json!(0)),
    ] {
        let same = match (body[field].as_f64(), value.as_f64()) {
            (Some(a), Some(b)) => a == b,
            _ => body[field] == value,
        };
        assert!(same, "{field} is {}, not {value}", body[field]);
    }
    assert_eq!(body["upgradeStrategy"]["minimumHealthCapacity"], 1.0, "{body}");
    assert_eq!(body["upgradeStrategy"]["maximumOverCapacity"], 1.0, "{body}");
    assert!(
        body.get("tasks").is_none() && body.get("versionInfo").is_none(),
        "{body}"
    );
    let deployments = body["deployments"].as_array().cloned().unwrap_or_default();
    assert_eq!(deployments.len(), 1, "{body}");
    assert_eq!(
        reply.header("marathon-deployment-id"),
        deployments[0]["id"].as_str()
    );
    assert!(
        reply.header("location").is_some_and(|l| l.ends_with("/m1")),
        "{reply:?}"
    );
    drop(app);
}

fn a_deployment_ends_with_a_running_task_and_an_event(ground: &Ground) {
    let service = ground.service();
    let events = service.rest.events("/v2/events");
    let reply = service
        .rest
        .post("/v2/apps", &sleeper("/m2", &json!({})))
        .expect(201);
    let app = App {
        service,
        id: "/m2".into(),
    };
    let deployment = reply
        .header("marathon-deployment-id")
        .unwrap_or_default()
        .to_owned();
    app.settled();
    assert_eq!(app.show()["tasksRunning"], 1);
    let event = events.wait("deployment_success", |e| {
        e.kind == "deployment_success" && e.data["id"] == deployment
    });
    assert_eq!(event.data["eventType"], "deployment_success");
}

fn an_app_cannot_be_created_twice(ground: &Ground) {
    let app = ground.service().deploy(&sleeper("/m3", &json!({})));
    let reply = app
        .service
        .rest
        .post("/v2/apps", &sleeper("/m3", &json!({})))
        .expect(409);
    let body = reply.json();
    assert!(text(&body["message"]).contains("/m3"), "{body}");
    assert!(body.get("deployments").is_none(), "{body}");
}

fn put_creates_and_then_changes(ground: &Ground) {
    let service = ground.service();
    let created = service
        .rest
        .put(
            "/v2/apps/m4",
            &json!({"cmd": "sleep 1000", "cpus": 0.01, "mem": 16}),
        )
        .expect(201);
    let app = App {
        service,
        id: "/m4".into(),
    };
    assert!(
        created.header("location").is_some_and(|l| l.ends_with("m4")),
        "{created:?}"
    );
    app.settled();
    let changed = app.update(&json!({"cmd": "sleep 1001"}));
    let body = changed.json();
    assert!(
        body["version"].is_string() && body["deploymentId"].is_string(),
        "{body}"
    );
    assert_eq!(
        changed.header("marathon-deployment-id"),
        body["deploymentId"].as_str()
    );
}

fn patch_does_not_create(ground: &Ground) {
    let service = ground.service();
    let reply = service
        .rest
        .send("PATCH", "/v2/apps/m5", &json!({"cmd": "sleep 1"}))
        .expect(404);
    assert_eq!(reply.json()["message"], "App '/m5' does not exist");
    service.rest.get("/v2/apps/m5").expect(404);
}

fn putting_the_same_again_restarts_nothing(ground: &Ground) {
    let definition = sleeper("/m6", &json!({"env": {"A": "b"}}));
    let app = ground.service().deploy(&definition);
    let (before, version) = (app.task_ids(), app.show()["version"].clone());
    app.update(&definition);
    assert_eq!((app.task_ids(), app.show()["version"].clone()), (before, version));
}

fn a_changed_command_replaces_the_task(ground: &Ground) {
    let app = ground.service().deploy(&sleeper("/m7", &json!({})));
    let (before, versions) = (app.tasks(), versions(&app));
    app.update(&json!({"cmd": "sleep 1001"}));
    let after = app.running(1);
    assert_ne!(before[0]["id"], after[0]["id"]);
    assert_ne!(before[0]["version"], after[0]["version"]);
    assert_eq!(after[0]["version"], app.show()["version"]);
    assert_eq!(self::versions(&app).len(), versions.len() + 1);
}

fn scaling_alone_changes_no_configuration(ground: &Ground) {
    let more = json!({"env": {"A": "b"}, "labels": {"l": "x"}});
    let app = ground.service().deploy(&sleeper("/m8", &more));
    let before = app.show();
    app.update(&json!({"instances": 3}));
    let after = app.show();
    for field in ["cmd", "env", "labels"] {
        assert_eq!(before[field], after[field]);
    }
    assert_eq!(after["instances"], 3);
    let info = |app: &Value, field: &str| text(&app["versionInfo"][field]);
    assert_eq!(
        info(&before, "lastConfigChangeAt"),
        info(&after, "lastConfigChangeAt")
    );
    assert_ne!(info(&before, "lastScalingAt"), info(&after, "lastScalingAt"));
}

fn an_app_is_scaled_up_and_to_nothing(ground: &Ground) {
    let app = ground.service().deploy(&sleeper("/m9", &json!({})));
    app.update(&json!({"instances": 3}));
    app.running(3);
    app.update(&json!({"instances": 0}));
    app.running(0);
    let listed = app.service.rest.get("/v2/apps?id=/m9").expect(200).json();
    assert!(
        listed["apps"]
            .as_array()
            .is_some_and(|apps| apps.iter().any(|a| a["id"] == "/m9")),
        "{listed}"
    );
}

fn a_deleted_app_and_its_tasks_are_gone(ground: &Ground) {
    let app = ground.service().deploy(&sleeper("/m10", &json!({})));
    let task = app.task_ids().remove(0);
    let body = app.service.rest.delete("/v2/apps/m10").expect(200).json();
    assert!(
        body["version"].is_string() && body["deploymentId"].is_string(),
        "{body}"
    );
    wait::until("the app is gone", || match app.service.rest.get("/v2/apps/m10") {
        reply if reply.status() == 404 => Ok(()),
        reply => Err(format!("{reply:?}")),
    });
    wait::until("the master has no live task of it", || {
        let state = ground.up().json("/state")?;
        if live(&state).contains(&task) {
            Err(task.clone())
        } else {
            Ok(())
        }
    });
}

/// Ids of the tasks that a master calls live.
fn live(state: &Value) -> BTreeSet<String> {
    let frameworks = state["frameworks"].as_array().into_iter().flatten();
    frameworks
        .flat_map(|f| f["tasks"].as_array().into_iter().flatten())
        .map(|t| text(&t["id"]))
        .collect()
}

fn what_is_not_there_is_not_found(ground: &Ground) {
    let rest = ground.service().rest;
    for (method, path) in [
        ("GET", "/v2/apps/m11"),
        ("DELETE", "/v2/apps/m11"),
        ("POST", "/v2/apps/m11/restart"),
        ("GET", "/v2/apps/m11/tasks"),
        ("DELETE", "/v2/apps/m11/tasks"),
        (
            "DELETE",
            "/v2/apps/m11/tasks/m11.instance-cb2dfd13-1a77-4a5d-9f4b-6f2b1d3b2a10._app.1",
        ),
        ("GET", "/v2/apps/m11/versions"),
        ("GET", "/v2/apps/m11/versions/2026-01-01T00:00:00.000Z"),
    ] {
        let reply = rest.call(method, path, &[], None).expect(404);
        assert_eq!(reply.json()["message"], "App '/m11' does not exist", "{reply:?}");
    }
}

fn a_restart_replaces_every_task(ground: &Ground) {
    let app = ground
        .service()
        .deploy(&sleeper("/m12", &json!({"instances": 2})));
    let (before, version) = (app.task_ids(), app.show()["version"].clone());
    let body = app
        .service
        .rest
        .call("POST", &app.path("/restart"), &[], None)
        .expect(200)
        .json();
    assert!(body["deploymentId"].is_string(), "{body}");
    app.settled();
    let after = app.running(2);
    assert!(
        after.iter().all(|t| !before.contains(&text(&t["id"]))),
        "{before:?} {after:?}"
    );
    assert_ne!(app.show()["version"], version);
    assert_eq!(app.show()["version"], body["version"]);
}

/// Never gets healthy, so that its deployment does not end.
fn hanging(id: &str) -> Value {
    let check = json!({"protocol": "COMMAND", "command": {"value": "false"}, "gracePeriodSeconds": 3600,
        "intervalSeconds": 1, "timeoutSeconds": 1, "delaySeconds": 0});
    sleeper(id, &json!({"healthChecks": [check]}))
}

fn a_second_change_is_refused_unless_forced(ground: &Ground) {
    let app = ground.service().create(&hanging("/m13"));
    let first = app.service.deployments_of("/m13").unwrap();
    assert_eq!(first.len(), 1);
    let refused = app
        .service
        .rest
        .put("/v2/apps/m13", &json!({"cmd": "sleep 1001"}))
        .expect(409)
        .json();
    assert!(text(&refused["message"]).contains("locked"), "{refused}");
    assert_eq!(refused["deployments"], json!([{"id": first[0]}]), "{refused}");
    app.service
        .rest
        .call("POST", "/v2/apps/m13/restart", &[], None)
        .expect(409);

    let forced = app
        .service
        .rest
        .put("/v2/apps/m13?force=true", &json!({"healthChecks": []}))
        .expect(200)
        .json();
    wait::until("the first deployment is gone", || {
        let now = app.service.deployments_of("/m13")?;
        if now.contains(&first[0]) { Err(now) } else { Ok(()) }.map_err(|e| format!("{e:?}"))
    });
    app.settled();
    assert_eq!(app.show()["version"], forced["version"]);
}

fn unrelated_changes_are_deployed_side_by_side(ground: &Ground) {
    let service = ground.service();
    let (a, b) = (
        service.create(&hanging("/m15a")),
        service.create(&hanging("/m15b")),
    );
    for app in [&a, &b] {
        let under_way = service.deployments_of(&app.id).unwrap();
        assert_eq!(under_way.len(), 1, "{}", app.id);
        app.running(1);
    }
}

fn a_list_of_apps_is_one_deployment(ground: &Ground) {
    let service = ground.service();
    let list = json!([sleeper("/m16a", &json!({})), sleeper("/m16b", &json!({}))]);
    let events = service.rest.events("/v2/events?event_type=deployment_info");
    let body = service.rest.put("/v2/apps", &list).expect(200).json();
    let apps = ["/m16a", "/m16b"].map(|id| App {
        service,
        id: id.into(),
    });
    let event = events.wait("the deployment", |e| e.data["plan"]["id"] == body["deploymentId"]);
    let named = event.data["plan"].to_string();
    assert!(named.contains("/m16a") && named.contains("/m16b"), "{named}");
    for app in &apps {
        app.settled();
        app.running(1);
        assert_eq!(app.show()["version"], body["version"]);
    }
}

fn a_crashing_app_is_delayed_until_somebody_resets_it(ground: &Ground) {
    let app = ground.service().create(&crasher("/m17"));
    let first = delayed(&app);
    assert!((1..=20).contains(&first), "{first}");
    let failed = app.until("has failed", |a| a["lastTaskFailure"]["state"] == "TASK_FAILED");
    let task = failed["lastTaskFailure"]["taskId"].clone();
    app.service.rest.delete("/v2/queue/m17/delay").expect(204);
    app.until("has failed again, sooner than its delay", |a| {
        a["lastTaskFailure"]["taskId"] != task
    });
    // The reset forgot the first failure too, so the delay is the first again; the next one is longer.
    delayed(&app);
    app.service
        .rest
        .delete("/v2/queue/m17-not-there/delay")
        .expect(404);
}

fn a_new_configuration_resets_the_delay_and_scaling_does_not(ground: &Ground) {
    let app = ground.service().create(&crasher("/m19"));
    delayed(&app);
    let failure = app.show()["lastTaskFailure"]["taskId"].clone();
    app.service
        .rest
        .put("/v2/apps/m19?force=true", &json!({"instances": 2}))
        .expect(200);
    delayed(&app);
    assert_eq!(
        app.show()["lastTaskFailure"]["taskId"],
        failure,
        "scaling starts nothing before its time"
    );
    app.service
        .rest
        .put("/v2/apps/m19?force=true", &json!({"cmd": "sleep 1000"}))
        .expect(200);
    app.settled();
    app.running(2);
}

fn a_restart_starts_a_delayed_app_at_once(ground: &Ground) {
    let app = ground.service().create(&crasher("/m20"));
    delayed(&app);
    let failure = app.show()["lastTaskFailure"]["taskId"].clone();
    app.service
        .rest
        .call("POST", &app.path("/restart?force=true"), &[], None)
        .expect(200);
    app.until("has failed again", |a| a["lastTaskFailure"]["taskId"] != failure);
}

fn a_killed_task_comes_back_as_the_same_instance(ground: &Ground) {
    let app = ground.service().deploy(&sleeper("/m21", &json!({})));
    let before = app.task_ids().remove(0);
    let body = app
        .service
        .rest
        .delete(&app.path(&format!("/tasks/{before}")))
        .expect(200)
        .json();
    assert_eq!(body["task"]["id"], json!(before), "{body}");
    let after = another(&app, &before);
    assert_eq!(instance(&after), instance(&before));
    assert!(incarnation(&after) > incarnation(&before), "{before} {after}");
}

/// Waits until another task runs instead of one.
fn another(app: &App, before: &str) -> String {
    wait::until("a replacement runs", || {
        match app.running(1).remove(0)["id"].clone() {
            id if id == before => Err(id.to_string()),
            id => Ok(text(&id)),
        }
    })
}

fn a_wiped_task_comes_back_as_another_instance(ground: &Ground) {
    let app = ground.service().deploy(&sleeper("/m22", &json!({})));
    let before = app.task_ids().remove(0);
    app.service
        .rest
        .delete(&app.path(&format!("/tasks/{before}?wipe=true")))
        .expect(200);
    let after = another(&app, &before);
    assert_ne!(instance(&after), instance(&before));
}

fn a_task_killed_with_scale_is_not_replaced(ground: &Ground) {
    let app = ground
        .service()
        .deploy(&sleeper("/m23", &json!({"instances": 2})));
    let mut ids = app.task_ids();
    let victim = ids.remove(0);
    let path = app.path(&format!("/tasks/{victim}?scale=true"));
    let body = app.service.rest.delete(&path).expect(200).json();
    assert!(body["deploymentId"].is_string(), "{body}");
    app.settled();
    app.running(1);
    assert_eq!((app.show()["instances"].clone(), app.task_ids()), (json!(1), ids));
}

fn all_tasks_killed_with_scale_leave_none(ground: &Ground) {
    let app = ground
        .service()
        .deploy(&sleeper("/m24", &json!({"instances": 2})));
    let body = app
        .service
        .rest
        .delete(&app.path("/tasks?scale=true"))
        .expect(200)
        .json();
    assert!(body["deploymentId"].is_string(), "{body}");
    app.settled();
    app.running(0);
    assert_eq!(app.show()["instances"], 0);
}

fn tasks_are_killed_by_host(_: &Ground) {
    // Agents with names of their own, so not the shared cluster.
    let up = Up::start(&[]);
    let _other = up.add_agent("host-b", &[]);
    let app = up
        .service()
        .deploy(&sleeper("/m25", &json!({"instances": 2, "cpus": 0.01})));
    let hosts = || -> BTreeSet<String> { app.tasks().iter().map(|t| text(&t["host"])).collect() };
    wait::until("tasks on both hosts", || {
        let now = hosts();
        if now.len() == 2 {
            return Ok(());
        }
        let instances = app.show()["instances"].as_i64().unwrap_or(0);
        app.update(&json!({"instances": instances + 4}));
        Err(now)
    });
    let (on_b, elsewhere): (Vec<Value>, Vec<Value>) =
        app.tasks().into_iter().partition(|t| t["host"] == "host-b");
    let body = app
        .service
        .rest
        .delete(&app.path("/tasks?host=host-b"))
        .expect(200)
        .json();
    let ids = |tasks: &[Value]| -> BTreeSet<String> { tasks.iter().map(|t| text(&t["id"])).collect() };
    assert_eq!(ids(body["tasks"].as_array().unwrap()), ids(&on_b));
    wait::until("those of host-b are replaced, the others are not", || {
        let now: BTreeSet<String> = app.task_ids().into_iter().collect();
        let whole = now.len() == on_b.len() + elsewhere.len();
        if whole && now.is_superset(&ids(&elsewhere)) && now.is_disjoint(&ids(&on_b)) {
            Ok(())
        } else {
            Err(now)
        }
    });
}

fn scale_and_wipe_exclude_each_other(ground: &Ground) {
    let app = ground.service().deploy(&sleeper("/m26", &json!({})));
    let reply = app
        .service
        .rest
        .delete(&app.path("/tasks?scale=true&wipe=true"))
        .expect(400);
    assert!(reply.json()["message"].is_string(), "{reply:?}");
    let task = app.task_ids().remove(0);
    app.service
        .rest
        .delete(&app.path(&format!("/tasks/{task}?scale=True&wipe=True")))
        .expect(400);
    assert_eq!(app.task_ids(), [task]);
}

fn tasks_are_killed_by_their_ids(ground: &Ground) {
    let app = ground.service().deploy(&sleeper("/m27", &json!({})));
    let known = app.task_ids().remove(0);
    let unknown = "m27.instance-cb2dfd13-1a77-4a5d-9f4b-6f2b1d3b2a10._app.1";
    let body = app
        .service
        .rest
        .post("/v2/tasks/delete", &json!({"ids": [known, unknown]}))
        .expect(200)
        .json();
    let killed: Vec<String> = body["tasks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|t| text(&t["id"]))
        .collect();
    assert_eq!(killed, std::slice::from_ref(&known));
    another(&app, &known);
}

fn a_malformed_task_id_is_refused(ground: &Ground) {
    let reply = ground
        .service()
        .rest
        .post("/v2/tasks/delete", &json!({"ids": ["no task at all"]}))
        .expect(400);
    assert!(reply.json()["message"].is_string(), "{reply:?}");
}

fn versions(app: &App) -> Vec<String> {
    let body = app.service.rest.get(&app.path("/versions")).expect(200).json();
    body["versions"]
        .as_array()
        .into_iter()
        .flatten()
        .map(text)
        .collect()
}

fn versions_are_kept_and_one_can_be_returned_to(ground: &Ground) {
    let app = ground
        .service()
        .deploy(&sleeper("/m29", &json!({"labels": {"which": "first"}})));
    let first = app.show();
    app.update(&json!({"labels": {"which": "second"}, "cmd": "sleep 1001"}));
    let kept = versions(&app);
    assert_eq!(
        (kept.len(), &kept[1]),
        (2, &text(&first["version"])),
        "newest first: {kept:?}"
    );

    let old = app
        .service
        .rest
        .get(&app.path(&format!("/versions/{}", kept[1])))
        .expect(200)
        .json();
    assert_eq!(
        (&old["id"], &old["version"], &old["cmd"]),
        (&json!("/m29"), &json!(kept[1]), &first["cmd"])
    );
    app.service
        .rest
        .get(&app.path("/versions/2016-01-01T00:00:00.000Z"))
        .expect(404);

    app.update(&json!({"version": kept[1]}));
    let now = app.show();
    for field in ["cmd", "labels", "instances", "cpus", "mem"] {
        assert_eq!(now[field], first[field], "{field}");
    }
    let mixed = json!({"version": kept[1], "cmd": "sleep 2"});
    app.service.rest.put("/v2/apps/m29", &mixed).expect(422);
}
