//! Deployments: what they keep running, what ends them, in which order they go.

use super::{open_folder, web};
use meseta_tests::behaviours::Ground;
use meseta_tests::daemon::Pair;
use meseta_tests::service::{App, sleeper, text};
use meseta_tests::{behaviours, wait};
use serde_json::{Value, json};

behaviours! {
    "53" half_of_the_instances_stay_healthy_when_half_is_asked_for,
    "54" one_more_is_started_when_both_bounds_allow_nothing,
    "55" all_new_instances_start_before_old_ones_end,
    "56 57" an_update_that_never_gets_healthy_stays_and_can_be_rolled_back,
    "58" a_deployment_can_be_dropped_where_it_stands,
    "59" rolling_back_a_creation_removes_the_app,
    "60" an_unknown_deployment_is_not_found,
    "61" an_app_starts_after_those_it_depends_on,
    "63" a_cycle_of_dependencies_is_refused,
    "73" a_deployment_waits_until_its_instances_are_ready,
    "74" an_old_task_lives_until_the_new_one_is_ready,
    "75" scaling_down_takes_the_youngest_or_the_oldest,
    "76" too_many_deployments_are_refused,
}

/// Passes at once and then every second.
fn healthy() -> Value {
    json!([{"protocol": "COMMAND", "command": {"value": "true"}, "gracePeriodSeconds": 60, "intervalSeconds": 1,
        "timeoutSeconds": 1, "delaySeconds": 0, "maxConsecutiveFailures": 0}])
}

/// Fails until a file is there, which is told at once, and kills nobody for that.
fn healthy_with(file: &str) -> Value {
    json!([{"protocol": "COMMAND", "command": {"value": format!("test -e {file}")}, "gracePeriodSeconds": 0,
        "intervalSeconds": 1, "timeoutSeconds": 1, "delaySeconds": 0, "maxConsecutiveFailures": 1000}])
}

/// What is seen of an app while it is updated.
#[derive(Debug)]
struct Sample {
    healthy: i64,
    old: usize,
    new: usize,
}

/// Updates an app and looks at it as often as it can until that is done.
fn watch(app: &App, change: &Value) -> Vec<Sample> {
    let old = text(&app.show()["version"]);
    app.service.rest.put(&app.path(""), change).expect(200);
    let mut samples = Vec::new();
    wait::until("the update ends", || {
        let ended = app.service.deployments_of(&app.id)?.is_empty();
        let shown = app.show();
        let tasks = app.tasks();
        let of_old = tasks.iter().filter(|t| t["version"] == old).count();
        samples.push(Sample {
            healthy: shown["tasksHealthy"].as_i64().unwrap_or(-1),
            old: of_old,
            new: tasks.len() - of_old,
        });
        if ended { Ok(()) } else { Err(shown.to_string()) }
    });
    assert!(samples.len() > 2, "the update was over before it was seen");
    samples
}

fn strategy(minimum: f64, over: f64) -> Value {
    json!({"minimumHealthCapacity": minimum, "maximumOverCapacity": over})
}

fn half_of_the_instances_stay_healthy_when_half_is_asked_for(ground: &Ground) {
    let more = json!({"instances": 4, "healthChecks": healthy(), "upgradeStrategy": strategy(0.5, 0.0)});
    let app = ground.service().deploy(&sleeper("/m53", &more));
    let seen = watch(&app, &json!({"cmd": "sleep 1001"}));
    assert!(
        seen.iter().all(|s| s.healthy >= 2 && s.old + s.new <= 4),
        "{seen:?}"
    );
}

fn one_more_is_started_when_both_bounds_allow_nothing(ground: &Ground) {
    let more = json!({"instances": 2, "healthChecks": healthy(), "upgradeStrategy": strategy(1.0, 0.0)});
    let app = ground.service().deploy(&sleeper("/m54", &more));
    let seen = watch(&app, &json!({"cmd": "sleep 1001"}));
    assert!(
        seen.iter().all(|s| s.healthy >= 2 && s.old + s.new <= 3),
        "{seen:?}"
    );
}

fn all_new_instances_start_before_old_ones_end(ground: &Ground) {
    let more = json!({"instances": 3, "healthChecks": healthy(), "upgradeStrategy": strategy(1.0, 1.0)});
    let app = ground.service().deploy(&sleeper("/m55", &more));
    let seen = watch(&app, &json!({"cmd": "sleep 1001"}));
    assert!(
        seen.iter().all(|s| s.healthy >= 3),
        "{:?}",
        seen.iter().map(|s| s.healthy).min()
    );
    assert!(seen.iter().filter(|s| s.old < 3).all(|s| s.new == 3));
}

/// An app of two, under an update whose new instance never gets healthy.
fn stuck(ground: &Ground, id: &str) -> (App, Value, String) {
    let more = json!({"instances": 2, "healthChecks": healthy(), "upgradeStrategy": strategy(0.5, 0.0)});
    let app = ground.service().deploy(&sleeper(id, &more));
    let before = app.show();
    let change = json!({"cmd": "sleep 1001", "healthChecks": healthy_with("/nowhere/at/all")});
    let reply = app.service.rest.put(&app.path(""), &change).expect(200).json();
    let deployment = text(&reply["deploymentId"]);
    wait::until("the new instance is checked and fails", || {
        let tasks = app.tasks();
        let failing =
            |t: &&Value| t["version"] == reply["version"] && t["healthCheckResults"][0]["alive"] == false;
        if tasks.iter().any(|t| failing(&t)) {
            Ok(())
        } else {
            Err(tasks)
        }
    });
    (app, before, deployment)
}

fn an_update_that_never_gets_healthy_stays_and_can_be_rolled_back(ground: &Ground) {
    let (app, before, deployment) = stuck(ground, "/m56");
    let under_way = app.service.deployments_of(&app.id).unwrap();
    assert_eq!(under_way, std::slice::from_ref(&deployment));
    let old = |app: &App| {
        app.tasks()
            .iter()
            .filter(|t| t["version"] == before["version"])
            .count()
    };
    assert_eq!(old(&app), 1, "one of two may go");

    let undo = app
        .service
        .rest
        .delete(&format!("/v2/deployments/{deployment}"))
        .expect(200)
        .json();
    assert!(
        undo["deploymentId"].is_string() && undo["deploymentId"] != json!(deployment),
        "{undo}"
    );
    app.settled();
    let after = app.show();
    for field in ["cmd", "healthChecks", "instances"] {
        assert_eq!(after[field], before[field], "{field}");
    }
    app.running(2);
}

fn a_deployment_can_be_dropped_where_it_stands(ground: &Ground) {
    let (app, _, deployment) = stuck(ground, "/m58");
    let dropped = app
        .service
        .rest
        .delete(&format!("/v2/deployments/{deployment}?force=true"))
        .expect(202);
    assert_eq!(dropped.text(), "");
    app.settled();
    assert_eq!(app.show()["cmd"], "sleep 1001");
}

fn rolling_back_a_creation_removes_the_app(ground: &Ground) {
    let service = ground.service();
    let app = service.create(&sleeper(
        "/m59",
        &json!({"healthChecks": healthy_with("/nowhere/at/all")}),
    ));
    let deployment = service.deployments_of("/m59").unwrap().remove(0);
    let undo = service
        .rest
        .delete(&format!("/v2/deployments/{deployment}"))
        .expect(200)
        .json();
    assert!(undo["deploymentId"].is_string(), "{undo}");
    wait::until("the app is gone", || match service.rest.get(&app.path("")) {
        reply if reply.status() == 404 => Ok(()),
        reply => Err(format!("{reply:?}")),
    });
}

fn an_unknown_deployment_is_not_found(ground: &Ground) {
    let path = "/v2/deployments/2b3d9b8e-2f9d-4b38-8f0c-5b3a0f5f8a11";
    let reply = ground.service().rest.delete(path).expect(404);
    assert!(reply.json()["message"].is_string(), "{reply:?}");
}

fn an_app_starts_after_those_it_depends_on(ground: &Ground) {
    let service = ground.service();
    let folder = tempfile::tempdir().unwrap();
    let ready = folder.path().join("ready");
    let b = open_folder(
        folder.path(),
        json!({"healthChecks": healthy_with(&ready.display().to_string())}),
    );
    let list = json!([
        sleeper("/m61/a", &json!({"dependencies": ["/m61/b"]})),
        sleeper("/m61/b", &b)
    ]);
    service.rest.put("/v2/apps", &list).expect(200);
    let [a, b] = ["/m61/a", "/m61/b"].map(|id| App {
        service,
        id: id.into(),
    });
    b.until("is checked and fails", |b| b["tasksUnhealthy"] == 1);
    assert_eq!(a.tasks(), Vec::<Value>::new());
    std::fs::write(ready, "").unwrap();
    a.settled();
    let (a, b) = (a.running(1), b.running(1));
    assert!(text(&b[0]["startedAt"]) < text(&a[0]["stagedAt"]), "{a:?} {b:?}");
}

fn a_cycle_of_dependencies_is_refused(ground: &Ground) {
    let rest = ground.service().rest;
    let depends = |id: &str, on: &str| sleeper(id, &json!({"dependencies": [on]}));
    let list = json!([depends("/m63/a", "/m63/b"), depends("/m63/b", "/m63/a")]);
    rest.put("/v2/apps", &list).expect(422);
    rest.get("/v2/apps/m63/a").expect(404);
    rest.get("/v2/apps/m63/b").expect(404);
}

fn readiness() -> Value {
    json!({
        "portDefinitions": [{"port": 0, "name": "http"}],
        "readinessChecks": [{"name": "up", "portName": "http", "path": "/ready", "intervalSeconds": 2,
            "timeoutSeconds": 1, "preserveLastResponse": true}],
    })
}

fn a_deployment_waits_until_its_instances_are_ready(ground: &Ground) {
    let folder = tempfile::tempdir().unwrap();
    let app = ground.service().create(&web("/m73", folder.path(), &readiness()));
    app.running(1);
    let waiting = wait::until("a readiness check was made", || {
        let shown = app.service.rest.json(&app.path("?embed=app.readiness"))?["app"].clone();
        let results = shown["readinessCheckResults"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        if results.len() == 1 && results[0]["lastResponse"]["status"] == 503 {
            Ok(results)
        } else {
            Err(shown.to_string())
        }
    });
    assert_eq!(
        (&waiting[0]["ready"], &waiting[0]["name"]),
        (&json!(false), &json!("up")),
        "{waiting:?}"
    );
    let deployments = app.service.rest.get("/v2/deployments").expect(200).json();
    let mine = deployments
        .as_array()
        .unwrap()
        .iter()
        .find(|d| d["affectedApps"] == json!(["/m73"]))
        .unwrap();
    assert_eq!(
        mine["currentActions"][0]["readinessCheckResults"][0]["ready"], false,
        "{mine}"
    );
    std::fs::write(folder.path().join("ready"), "yes").unwrap();
    app.settled();
}

fn an_old_task_lives_until_the_new_one_is_ready(ground: &Ground) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ready"), "yes").unwrap();
    let app = ground.service().deploy(&web("/m74", folder.path(), &readiness()));
    let old = app.task_ids().remove(0);
    std::fs::remove_file(folder.path().join("ready")).unwrap();
    app.service
        .rest
        .put("/v2/apps/m74", &json!({"env": {"VERSION": "2"}}))
        .expect(200);
    app.running(2);
    wait::until("the new one was asked", || {
        let shown = app.service.rest.json(&app.path("?embed=app.readiness"))?["app"].clone();
        let asked = |r: &Value| r["lastResponse"]["status"] == 503;
        if shown["readinessCheckResults"]
            .as_array()
            .is_some_and(|all| all.iter().any(asked))
        {
            Ok(())
        } else {
            Err(shown.to_string())
        }
    });
    assert!(app.task_ids().contains(&old));
    std::fs::write(folder.path().join("ready"), "yes").unwrap();
    app.settled();
    app.running(1);
    assert!(!app.task_ids().contains(&old));
}

fn scaling_down_takes_the_youngest_or_the_oldest(ground: &Ground) {
    for (id, more, victim) in [
        ("/m75a", json!({}), 1),
        ("/m75b", json!({"killSelection": "OLDEST_FIRST"}), 0),
    ] {
        let app = ground.service().deploy(&sleeper(id, &more));
        app.update(&json!({"instances": 2}));
        let mut tasks = app.running(2);
        tasks.sort_by_key(|t| text(&t["startedAt"]));
        assert!(
            text(&tasks[0]["startedAt"]) < text(&tasks[1]["startedAt"]),
            "{tasks:?}"
        );
        app.update(&json!({"instances": 1}));
        let left = app.running(1);
        assert_eq!(left[0]["id"], tasks[1 - victim]["id"], "{id}");
    }
}

fn too_many_deployments_are_refused(_: &Ground) {
    // A limit that is small enough to be met, so not the shared cluster.
    let pair = Pair::start(&[], &[]);
    let (daemon, service) = pair.start_service(&["--max_running_deployments=1"]);
    let hanging = |id: &str| sleeper(id, &json!({"healthChecks": healthy_with("/nowhere/at/all")}));
    service.rest.post("/v2/apps", &hanging("/m76a")).expect(201);
    let refused = service.rest.post("/v2/apps", &hanging("/m76b")).expect(403);
    assert!(refused.json()["message"].is_string(), "{refused:?}");
    service.rest.get("/v2/apps/m76b").expect(404);
    drop(daemon);
}
