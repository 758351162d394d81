//! The event stream.

use super::{Frames, World, frames};
use meseta_http::Body;
use serde_json::{Value, json};

fn kind(frame: &str) -> &str {
    frame
        .strip_prefix("event: ")
        .and_then(|rest| rest.split('\n').next())
        .unwrap_or(frame)
}

fn data(frame: &str) -> Value {
    let (_, data) = frame.trim_end().split_once("\ndata: ").unwrap();
    serde_json::from_str(data).unwrap()
}

async fn attach(world: &World, query: &str) -> Frames {
    let response = world
        .send(
            "GET",
            &format!("/v2/events{query}"),
            &[("accept", "text/event-stream")],
            Body::empty(),
        )
        .await;
    assert_eq!(response.status().as_u16(), 200);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    super::stream_of(response)
}

/// All frames up to the first of a kind.
async fn until(stream: &mut Frames, wanted: &str) -> Vec<String> {
    let mut seen = Vec::new();
    loop {
        let mut next = frames(stream, 1).await;
        let over = next.iter().any(|frame| kind(frame) == wanted);
        seen.append(&mut next);
        if over {
            return seen;
        }
    }
}

#[tokio::test]
async fn a_new_stream_begins_with_its_attachment_and_tells_what_follows() {
    let world = World::new();
    let mut stream = attach(&world, "?plan-format=light").await;
    let first = frames(&mut stream, 1).await;
    assert_eq!(kind(&first[0]), "event_stream_attached");
    assert_eq!(data(&first[0])["eventType"], "event_stream_attached");
    assert!(data(&first[0])["remoteAddress"].is_string());

    let body = json!({"id": "/a", "cmd": "sleep 1", "healthChecks": [{"protocol": "MESOS_TCP"}]});
    world.call("POST", "/v2/apps", body).await.expect(201);
    let seen = until(&mut stream, "group_change_success").await;
    let of = |wanted: &str| {
        let found = seen.iter().find(|frame| kind(frame) == wanted);
        data(found.unwrap_or_else(|| panic!("{wanted}: {seen:?}")))
    };
    let posted = of("api_post_event");
    assert_eq!(
        (&posted["appDefinition"]["id"], &posted["uri"]),
        (&json!("/a"), &json!("/v2/apps"))
    );
    assert_eq!(
        of("add_health_check_event")["healthCheck"]["protocol"],
        "MESOS_TCP"
    );
    assert_eq!(of("group_change_success")["groupId"], "/");
    let plan = &of("deployment_info")["plan"];
    assert_eq!((&plan["original"], &plan["target"]), (&json!({}), &json!({})));
    assert_eq!(
        plan["steps"][0]["actions"][0],
        json!({"action": "StartApplication", "app": "/a"})
    );
}

#[tokio::test]
async fn what_is_refused_was_not_posted_and_a_deployment_that_is_cancelled_fails_in_its_step() {
    let world = World::new();
    let created = world.sleeper("/team/a", 1).await;
    let mut stream = attach(&world, "").await;
    let body = json!({"cmd": "sleep 2"});
    world.call("PUT", "/v2/apps/team/a", body).await.expect(409);
    let seen = until(&mut stream, "group_change_failed").await;
    let failed = data(&seen[1]);
    assert_eq!((seen.len(), &failed["groupId"]), (2, &json!("/team")), "{seen:?}");
    assert!(failed["reason"].as_str().unwrap().contains("locked"), "{failed}");
    let id = created.header("marathon-deployment-id").to_owned();
    let path = format!("/v2/deployments/{id}?force=true");
    world.call("DELETE", &path, Value::Null).await.expect(202);
    let seen = until(&mut stream, "deployment_failed").await;
    let kinds: Vec<&str> = seen.iter().map(|frame| kind(frame)).collect();
    assert_eq!(kinds, ["deployment_step_failure", "deployment_failed"]);
    assert_eq!(data(&seen[0])["plan"]["id"], id);
    assert_eq!(data(&seen[0])["currentStep"]["actions"][0]["app"], "/team/a");
}

#[tokio::test]
async fn a_deployment_is_told_from_its_beginning_to_its_end() {
    let world = World::new();
    let mut stream = attach(
        &world,
        "?event_type=status_update_event&event_type=deployment_success",
    )
    .await;
    let created = world.sleeper("/a", 1).await;
    world.offer("a1", 1.0).await;
    let seen = frames(&mut stream, 2).await;
    assert_eq!(
        [kind(&seen[0]), kind(&seen[1])],
        ["status_update_event", "deployment_success"]
    );
    let status = data(&seen[0]);
    assert_eq!(status["taskStatus"], "TASK_RUNNING");
    assert_eq!(
        (&status["appId"], &status["host"]),
        (&json!("/a"), &json!("host-a1"))
    );
    assert_eq!(
        status["ipAddresses"],
        json!([{"ipAddress": "10.0.0.1", "protocol": "IPv4"}])
    );
    assert_eq!(data(&seen[1])["id"], created.header("marathon-deployment-id"));
}

#[tokio::test]
async fn a_stream_that_goes_is_told_to_the_others() {
    let world = World::new();
    let mut stays = attach(
        &world,
        "?event_type=event_stream_detached&event_type=event_stream_attached",
    )
    .await;
    let goes = attach(&world, "").await;
    drop(goes);
    let seen = frames(&mut stays, 3).await;
    let kinds: Vec<&str> = seen.iter().map(|frame| kind(frame)).collect();
    assert_eq!(
        kinds,
        [
            "event_stream_attached",
            "event_stream_attached",
            "event_stream_detached"
        ]
    );
}
