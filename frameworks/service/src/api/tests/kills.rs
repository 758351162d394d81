//! Tasks: shown, killed, waited for.

use super::World;
use serde_json::{Value, json};

/// An app with two running tasks on two agents.
async fn two_running() -> (World, Vec<String>) {
    let world = World::new();
    world.sleeper("/prod/web", 2).await;
    world.offer("a1", 1.0).await;
    world.offer("a2", 1.0).await;
    let tasks = world.get("/v2/apps/prod/web/tasks").await.expect(200);
    let ids = tasks["tasks"].as_array().unwrap().iter();
    let ids: Vec<String> = ids.map(|task| task["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids.len(), 2);
    (world, ids)
}

fn ids(list: &Value) -> Vec<&str> {
    let tasks = list["tasks"].as_array().unwrap().iter();
    tasks.map(|task| task["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn running_tasks_are_shown_with_all_that_clients_read() {
    let (world, _) = two_running().await;
    let app = world.app("/prod/web").await;
    assert_eq!(
        (&app["tasksRunning"], &app["tasksHealthy"]),
        (&json!(2), &json!(0))
    );
    assert_eq!(app["deployments"], json!([]));
    let task = &app["tasks"][0];
    assert_eq!(task["appId"], "/prod/web");
    assert_eq!(task["state"], "TASK_RUNNING");
    assert_eq!(task["servicePorts"], json!([10_000]));
    assert_eq!(task["role"], "*");
    assert_eq!(task["version"], app["version"]);
    assert!(task["host"].as_str().unwrap().starts_with("host-a"));
    assert!((31_000..=31_100).contains(&task["ports"][0].as_u64().unwrap()));
    assert!(task["stagedAt"].is_string() && task["startedAt"].is_string());
    assert!(task.get("healthCheckResults").is_none());

    let all = world.get("/v2/tasks?status=running").await.expect(200);
    assert_eq!(ids(&all).len(), 2);
    assert_eq!(
        ids(&world.get("/v2/tasks?status[]=staging").await.expect(200)).len(),
        0
    );
    assert_eq!(
        ids(&world.get("/v2/apps/prod/*/tasks").await.expect(200)).len(),
        2
    );
    let text = world
        .with_headers("GET", "/v2/tasks", &[("accept", "text/plain")], "")
        .await;
    let text = String::from_utf8(text.body).unwrap();
    assert!(text.starts_with("prod_web\t10000\thost-a"), "{text}");
    assert_eq!(text.matches(':').count(), 2);
    let stats = world
        .get("/v2/apps/prod/web?embed=app.taskStats")
        .await
        .expect(200);
    let total = &stats["app"]["tasksStats"]["totalSummary"]["stats"];
    assert_eq!(
        total["counts"],
        json!({"staged": 0, "running": 2, "healthy": 0, "unhealthy": 0})
    );
    assert!(total["lifeTime"]["medianSeconds"].is_number());
}

#[tokio::test]
async fn a_killed_task_comes_back_as_the_same_instance_unless_it_is_wiped() {
    let (world, tasks) = two_running().await;
    let path = format!("/v2/apps/prod/web/tasks/{}", tasks[0]);
    let killed = world.delete(&path).await.expect(200);
    assert_eq!(killed["task"]["id"], *tasks[0]);
    world.offer("a3", 1.0).await;
    let again = world.get("/v2/apps/prod/web/tasks").await.expect(200);
    let next = tasks[0].replace("._app.1", "._app.2");
    assert!(ids(&again).contains(&next.as_str()), "{again}");

    let path = format!("/v2/apps/prod/web/tasks/{next}?wipe=true");
    world.delete(&path).await.expect(200);
    world.offer("a4", 1.0).await;
    let again = world.get("/v2/apps/prod/web/tasks").await.expect(200);
    let instance = tasks[0].strip_suffix("._app.1").unwrap();
    assert_eq!(ids(&again).len(), 2);
    assert!(!ids(&again).iter().any(|id| id.starts_with(instance)), "{again}");
}

#[tokio::test]
async fn killing_with_scale_shrinks_the_app() {
    let (world, tasks) = two_running().await;
    let path = format!("/v2/apps/prod/web/tasks/{}?scale=true", tasks[0]);
    let got = world.delete(&path).await;
    assert_eq!(
        got.expect(200)["deploymentId"],
        got.header("marathon-deployment-id")
    );
    let app = world.app("/prod/web").await;
    assert_eq!(app["instances"], 1);
    assert_eq!(ids(&app), [&tasks[1]]);
    world
        .delete("/v2/apps/prod/web/tasks?scale=True")
        .await
        .expect(200);
    let app = world.app("/prod/web").await;
    assert_eq!((&app["instances"], &app["tasks"]), (&json!(0), &json!([])));
}

#[tokio::test]
async fn tasks_of_one_host_are_killed() {
    let (world, _) = two_running().await;
    let killed = world
        .delete("/v2/apps/prod/web/tasks?host=host-a1")
        .await
        .expect(200);
    assert_eq!(killed["tasks"].as_array().unwrap().len(), 1);
    assert_eq!(killed["tasks"][0]["host"], "host-a1");
    let none = world
        .delete("/v2/apps/prod/web/tasks?host=nowhere")
        .await
        .expect(200);
    assert_eq!(none, json!({"tasks": []}));
}

#[tokio::test]
async fn tasks_are_killed_by_a_list_that_may_name_unknown_ones() {
    let (world, tasks) = two_running().await;
    let unknown = tasks[0].replace("prod_web", "nobody");
    let old = "web.0123abcd-0000-4000-8000-0123456789ab";
    let body = json!({"ids": [tasks[1], unknown, old]});
    let killed = world.call("POST", "/v2/tasks/delete", body).await.expect(200);
    assert_eq!(ids(&killed), [&tasks[1]]);
    let got = world
        .call("POST", "/v2/tasks/delete", json!({"ids": ["what"]}))
        .await;
    assert!(got.message(400).contains("what"));
    let got = world.call("POST", "/v2/tasks/delete", json!({})).await;
    assert_eq!(got.problems(), ["/ids: error.path.missing"]);
    let got = world.call("POST", "/v2/tasks/delete", json!({"ids": [1]})).await;
    assert_eq!(got.problems(), ["/ids(0): error.expected.jsstring"]);
}

#[tokio::test]
async fn scale_and_wipe_together_mean_nothing() {
    let (world, tasks) = two_running().await;
    let query = "scale=true&wipe=true";
    let body = json!({"ids": tasks}).to_string();
    for (method, path, body) in [
        ("DELETE", "/v2/apps/prod/web/tasks", ""),
        ("DELETE", "/v2/apps/prod/web/tasks/x", ""),
        ("POST", "/v2/tasks/delete", &*body),
    ] {
        let got = world
            .with_headers(method, &format!("{path}?{query}"), &[], body)
            .await;
        assert!(got.message(400).contains("scale and wipe"), "{path}");
    }
    assert_eq!(world.app("/prod/web").await["tasksRunning"], 2);
}

#[tokio::test]
async fn restart_replaces_every_task() {
    let (world, tasks) = two_running().await;
    let before = world.app("/prod/web").await["version"].clone();
    let answer = world
        .call("POST", "/v2/apps/prod/web/restart", json!(null))
        .await
        .expect(200);
    assert_ne!(answer["version"], before);
    world.offer("a3", 4.0).await;
    let app = world.app("/prod/web").await;
    assert_eq!(app["version"], answer["version"]);
    assert_eq!(app["tasksRunning"], 2);
    assert!(ids(&app).iter().all(|id| !tasks.iter().any(|old| old == id)));
}

#[tokio::test]
async fn the_queue_says_what_the_offers_lacked() {
    let world = World::new();
    let body = json!({"id": "/big", "cmd": "sleep 1", "cpus": 4});
    world.call("POST", "/v2/apps", body).await.expect(201);
    world.offer("a1", 1.0).await;
    world.offer("a2", 2.5).await;
    let queue = world.get("/v2/queue?embed=lastUnusedOffers").await.expect(200);
    let entry = &queue["queue"][0];
    assert_eq!(entry["app"]["id"], "/big");
    assert_eq!(
        (&entry["count"], &entry["delay"]),
        (&json!(1), &json!({"timeLeftSeconds": 0, "overdue": true}))
    );
    assert!(entry.get("role").is_none());
    let summary = &entry["processedOffersSummary"];
    assert_eq!(
        (&summary["processedOffersCount"], &summary["unusedOffersCount"]),
        (&json!(2), &json!(2))
    );
    let cpus = |list: &Value| {
        let reasons = list.as_array().unwrap().iter();
        reasons
            .filter(|reason| reason["reason"] == "InsufficientCpus")
            .map(|reason| reason["declined"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(cpus(&summary["rejectSummaryLastOffers"]), [2]);
    assert_eq!(cpus(&summary["rejectSummaryLaunchAttempt"]), [2]);
    let offers = entry["lastUnusedOffers"].as_array().unwrap();
    assert_eq!(offers[0]["offer"]["hostname"], "host-a2");
    assert_eq!(offers[0]["offer"]["resources"][0]["scalar"], 2.5);
    assert_eq!(offers[0]["reason"], json!(["InsufficientCpus"]));
    let plain = world.get("/v2/queue").await.expect(200);
    assert!(plain["queue"][0].get("lastUnusedOffers").is_none());
    let got = world.delete("/v2/queue//big/delay").await;
    assert_eq!((got.status.as_u16(), got.body.len()), (204, 0));
}
