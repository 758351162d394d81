//! Ping, info, leader, metrics, and what every answer has.

use super::World;
use base64::Engine;
use serde_json::json;

#[tokio::test]
async fn ping_answers_in_the_type_that_is_asked_for() {
    let world = World::new();
    for (accept, status, body) in [
        ("*/*", 200, "pong"),
        ("text/plain", 200, "pong"),
        ("application/json", 200, "\"pong\""),
        ("image/png", 204, ""),
    ] {
        let got = world
            .with_headers("GET", "/ping", &[("accept", accept)], "")
            .await;
        assert_eq!(
            (got.status.as_u16(), &got.body[..]),
            (status, body.as_bytes()),
            "{accept}"
        );
    }
    assert_eq!(world.get("/ping").await.body, b"pong");
    assert_eq!(world.with_headers("HEAD", "/ping", &[], "").await.status, 200);
}

#[tokio::test]
async fn info_has_what_clients_want_and_no_secret() {
    let world = World::new();
    let info = world.get("/v2/info").await.expect(200);
    assert_eq!(info["frameworkId"], "marathon-1");
    assert_eq!(
        (&info["leader"], &info["elected"]),
        (&json!("h:8080"), &json!(true))
    );
    assert_eq!(
        info["marathon_config"],
        json!({"local_port_min": 10_000, "mesos_role": "*"})
    );
    assert_eq!(info["http_config"]["http_port"], 8080);
    assert!(info["zookeeper_config"].is_object());
    assert!(info["version"].as_str().unwrap().starts_with("1.11."));
    assert!(!info.to_string().contains("****"));
}

#[tokio::test]
async fn the_leader_gives_up_its_place_when_asked() {
    let world = World::new();
    assert_eq!(
        world.get("/v2/leader").await.expect(200),
        json!({"leader": "h:8080"})
    );
    world.delete("/v2/leader?backup=file:///x").await.message(422);
    assert!(!world.abdication.is_asked());
    let answer = world.delete("/v2/leader").await.expect(200);
    assert_eq!(answer, json!({"message": "Leadership abdicated", "details": []}));
    assert!(world.abdication.is_asked());
}

#[tokio::test]
async fn metrics_come_in_both_forms() {
    let world = World::new();
    world.sleeper("/a", 1).await;
    let metrics = world.get("/metrics").await.expect(200);
    assert_eq!(
        metrics["gauges"]["marathon.apps.active.gauge"],
        json!({"value": 1.0})
    );
    assert!(metrics["counters"]["marathon.tasks.launched.counter"]["count"].is_u64());
    let text = world.get("/metrics/prometheus").await;
    let text = String::from_utf8(text.body).unwrap();
    assert!(
        text.contains("# TYPE marathon_apps_active_gauge gauge\nmarathon_apps_active_gauge 1\n"),
        "{text}"
    );
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.split_once(' ').unwrap();
        assert!(
            name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'),
            "{line}"
        );
        value.parse::<f64>().unwrap();
    }
}

#[tokio::test]
async fn methods_that_mean_nothing_are_405_and_unknown_paths_404() {
    let world = World::new();
    let got = world.with_headers("POST", "/v2/apps/x", &[], "").await;
    assert_eq!(got.message(405), "Method Not Allowed");
    assert_eq!(got.header("allow"), "GET, HEAD, PUT, PATCH, DELETE");
    assert_eq!(world.get("/v2/nothing").await.message(404), "URI not found");
    assert_eq!(world.get("/v2/apps?id=%ZZ").await.status, 400);
}

#[tokio::test]
async fn with_credentials_every_request_must_have_them() {
    let world = World::with(|settings| settings.credentials = Some(("me".to_owned(), "pw".to_owned())));
    let got = world.get("/v2/apps").await;
    got.message(401);
    assert_eq!(got.header("www-authenticate"), "Basic realm=\"Mesosphere\"");
    let encoded = base64::engine::general_purpose::STANDARD.encode("me:pw");
    let header = format!("Basic {encoded}");
    let got = world
        .with_headers("GET", "/v2/apps", &[("authorization", &header)], "")
        .await;
    got.expect(200);
}

#[tokio::test]
async fn pages_of_allowed_sites_may_read() {
    let world = World::with(|settings| settings.allowed_origins = vec!["https://ui.example".to_owned()]);
    for (origin, allowed) in [
        ("https://ui.example", "https://ui.example"),
        ("https://other.example", ""),
    ] {
        let got = world
            .with_headers("GET", "/v2/apps", &[("origin", origin)], "")
            .await;
        assert_eq!(got.header("access-control-allow-origin"), allowed);
    }
    let got = world
        .with_headers("OPTIONS", "/v2/apps", &[("origin", "https://ui.example")], "")
        .await;
    assert_eq!(got.header("access-control-allow-methods"), "GET, HEAD, OPTIONS");
}

#[tokio::test]
async fn the_last_inputs_are_text_for_whoever_may_see_them() {
    let world = World::new();
    let got = world.get("/meseta/v1/last_inputs").await;
    assert_eq!(got.status.as_u16(), 200);
    assert_eq!(got.header("content-type"), "text/plain; charset=utf-8");
    world.delete("/meseta/v1/last_inputs").await.expect(405);
}
