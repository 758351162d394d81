//! Apps: created, read, changed.

use super::World;
use serde_json::{Value, json};

#[tokio::test]
async fn a_created_app_is_shown_with_its_defaults_and_its_deployment() {
    let world = World::new();
    let got = world.sleeper("/prod/web", 2).await;
    let body = got.json();
    assert_eq!(body["id"], "/prod/web");
    assert_eq!(body["instances"], 2);
    assert_eq!(body["tasksRunning"], 0);
    assert_eq!(body["deployments"].as_array().unwrap().len(), 1);
    assert_eq!(body["deployments"][0]["id"], got.header("marathon-deployment-id"));
    assert!(body.get("versionInfo").is_none() && body.get("tasks").is_none());
    assert_eq!(got.header("location"), "/prod/web");
    assert_eq!(got.header("content-type"), "application/json");
    assert_eq!(got.header("x-marathon-leader"), "http://h:8080");
    assert_eq!(got.header("cache-control"), "no-cache, no-store, must-revalidate");

    let app = world.app("/prod/web").await;
    assert_eq!(app["version"], body["version"]);
    assert_eq!(app["versionInfo"]["lastConfigChangeAt"], body["version"]);
    assert_eq!(app["tasks"], json!([]));
    assert_eq!(app["portDefinitions"][0]["port"], 10_000);
    for path in ["/v2/apps//prod/web", "/v2/apps/prod/web/", "/v2/apps/prod%2Fweb"] {
        assert_eq!(world.get(path).await.expect(200)["app"], app, "{path}");
    }
}

#[tokio::test]
async fn an_app_is_created_once() {
    let world = World::new();
    world.sleeper("/web", 1).await;
    let again = json!({"id": "web", "cmd": "sleep 1"});
    let body = world.call("POST", "/v2/apps", again).await.expect(409);
    assert_eq!(body, json!({"message": "An app with id [/web] already exists."}));
}

#[tokio::test]
async fn bodies_that_are_no_definition_are_refused_each_in_its_way() {
    let world = World::new();
    for (method, path) in [
        ("POST", "/v2/apps"),
        ("PUT", "/v2/apps/x"),
        ("PUT", "/v2/apps"),
        ("POST", "/v2/tasks/delete"),
    ] {
        for body in ["", "{", "{\"id\": }"] {
            let got = world.with_headers(method, path, &[], body).await.expect(400);
            assert_eq!(got["message"], "Invalid JSON", "{method} {path} {body}");
            assert!(got["details"].is_string());
        }
    }
    let got = world.call("POST", "/v2/apps", json!({"cmd": 1})).await;
    assert_eq!(got.json()["message"], "Invalid JSON");
    assert_eq!(
        got.problems(),
        ["/cmd: error.expected.jsstring", "/id: error.path.missing"]
    );
    let got = world
        .call(
            "POST",
            "/v2/apps",
            json!({"id": "/a", "cmd": "sleep 1", "instances": -1}),
        )
        .await;
    assert_eq!(got.json()["message"], "Object is not valid");
    assert_eq!(got.problems(), ["/instances: got -1, expected 0 or more"]);
    let got = world.call("PUT", "/v2/apps/B", json!({"cmd": "sleep 1"})).await;
    assert!(got.problems()[0].starts_with("/id: must fully match"));
    let got = world.call("PUT", "/v2/apps", json!({})).await;
    assert_eq!(got.problems(), ["/: error.expected.jsarray"]);
    let got = world
        .call(
            "PUT",
            "/v2/apps",
            json!([{"id": "/a", "cmd": "sleep 1"}, {"cmd": "sleep 1"}]),
        )
        .await;
    assert_eq!(got.problems(), ["/(1)/id: error.path.missing"]);
    let twice = json!([{"id": "/a", "cmd": "sleep 1"}, {"id": "a", "cmd": "sleep 2"}]);
    assert_eq!(
        world.call("PUT", "/v2/apps", twice).await.problems(),
        ["/(1)/id: /a is there twice"]
    );
    assert_eq!(world.get("/v2/apps").await.expect(200), json!({"apps": []}));
}

#[tokio::test]
async fn put_creates_then_changes_and_patch_only_changes() {
    let world = World::new();
    let body = json!({"cmd": "sleep 1", "env": {"A": "1"}});
    assert_eq!(
        world.call("PATCH", "/v2/apps/x", body.clone()).await.message(404),
        "App '/x' does not exist"
    );
    let got = world.call("PUT", "/v2/apps/x", body.clone()).await;
    let answer = got.expect(201);
    assert_eq!(got.header("location"), "/x");
    assert_eq!(answer["deploymentId"], got.header("marathon-deployment-id"));
    let version = answer["version"].clone();

    // The same again: nothing changes, not even the version.
    assert_eq!(
        world.call("PUT", "/v2/apps/x?force=True", body).await.expect(200)["version"],
        version
    );
    assert_eq!(world.app("/x").await["version"], version);

    let got = world
        .call("PUT", "/v2/apps/x?force=true", json!({"instances": 3}))
        .await;
    let scaled = got.expect(200)["version"].clone();
    let app = world.app("/x").await;
    assert_eq!(app["env"], json!({"A": "1"}));
    assert_eq!(app["version"], scaled);
    assert_eq!(
        app["versionInfo"],
        json!({"lastScalingAt": scaled, "lastConfigChangeAt": version})
    );

    let got = world
        .call("PATCH", "/v2/apps/x?force=true", json!({"mem": 64}))
        .await;
    got.expect(200);
    let whole = json!({"cmd": "sleep 2"});
    world
        .call("PUT", "/v2/apps/x?force=true&partialUpdate=false", whole)
        .await
        .expect(200);
    let app = world.app("/x").await;
    assert_eq!(
        (&app["env"], &app["mem"], &app["instances"]),
        (&json!({}), &json!(128), &json!(1))
    );
}

#[tokio::test]
async fn an_app_goes_back_to_a_version_it_had() {
    let world = World::new();
    let first = world.sleeper("/x", 1).await.json()["version"].clone();
    world
        .call("PUT", "/v2/apps/x?force=true", json!({"cmd": "sleep 2"}))
        .await
        .expect(200);
    let versions = world.get("/v2/apps/x/versions").await.expect(200);
    let versions = versions["versions"].as_array().unwrap().clone();
    assert_eq!((versions.len(), &versions[1]), (2, &first));

    let old = world
        .get(&format!("/v2/apps/x/versions/{}", first.as_str().unwrap()))
        .await
        .expect(200);
    assert_eq!((&old["cmd"], &old["version"]), (&json!("sleep 1000"), &first));
    assert_eq!(old["versionInfo"]["lastConfigChangeAt"], first);

    let back = json!({"version": first});
    world.call("PUT", "/v2/apps/x?force=true", back).await.expect(200);
    assert_eq!(world.app("/x").await["cmd"], "sleep 1000");

    let missing = "2001-01-01T00:00:00.000Z";
    let got = world
        .call("PUT", "/v2/apps/x?force=true", json!({"version": missing}))
        .await;
    assert!(got.message(404).contains(missing));
    world
        .get(&format!("/v2/apps/x/versions/{missing}"))
        .await
        .message(404);
    world.get("/v2/apps/x/versions/yesterday").await.message(422);
    let got = world
        .call("PUT", "/v2/apps/x", json!({"version": first, "cmd": "sleep 3"}))
        .await;
    assert!(got.problems()[0].contains("only be combined"));
}

#[tokio::test]
async fn what_is_not_there_is_404_everywhere() {
    let world = World::new();
    for (method, path) in [
        ("GET", "/v2/apps/x"),
        ("DELETE", "/v2/apps/x"),
        ("POST", "/v2/apps/x/restart"),
        ("GET", "/v2/apps/x/tasks"),
        ("DELETE", "/v2/apps/x/tasks"),
        ("DELETE", "/v2/apps/x/tasks/t"),
        ("GET", "/v2/apps/x/versions"),
        ("GET", "/v2/apps/x/versions/2001-01-01T00:00:00.000Z"),
        ("GET", "/v2/apps/x/*"),
        ("DELETE", "/v2/deployments/x"),
        ("DELETE", "/v2/queue/x/delay"),
        ("GET", "/v2/apps/Not_An_Id"),
        ("GET", "/v2/pods"),
    ] {
        let got = world.with_headers(method, path, &[], "").await;
        assert!(!got.message(404).is_empty(), "{method} {path}");
    }
}

#[tokio::test]
async fn a_change_while_another_is_under_way_needs_force() {
    let world = World::new();
    let first = world.sleeper("/x", 1).await;
    let first = first.header("marathon-deployment-id").to_owned();
    let body = world
        .call("PUT", "/v2/apps/x", json!({"cmd": "sleep 2"}))
        .await
        .expect(409);
    assert_eq!(body["deployments"], json!([{"id": first}]));
    assert!(body["message"].as_str().unwrap().contains("force=true"));

    let listed = world.get("/v2/deployments").await.expect(200);
    assert_eq!(listed[0]["affectedApps"], json!(["/x"]));
    assert_eq!(listed[0]["currentStep"], 2);
    assert_eq!(listed[0]["totalSteps"], 2);
    assert_eq!(
        listed[0]["currentActions"],
        json!([{"action": "ScaleApplication", "app": "/x", "readinessCheckResults": []}])
    );

    let forced = world
        .call("PUT", "/v2/apps/x?force=true", json!({"cmd": "sleep 2"}))
        .await;
    let second = forced.header("marathon-deployment-id").to_owned();
    let listed = world.get("/v2/deployments").await.expect(200);
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert_eq!(listed[0]["id"], *second);

    // Undone by a new one; or dropped without a word.
    let undone = world.delete(&format!("/v2/deployments/{second}")).await;
    assert_ne!(undone.expect(200)["deploymentId"], *second);
    let third = undone.header("marathon-deployment-id").to_owned();
    let dropped = world.delete(&format!("/v2/deployments/{third}?force=true")).await;
    assert_eq!((dropped.status.as_u16(), dropped.body.len()), (202, 0));
    assert_eq!(world.get("/v2/deployments").await.expect(200), json!([]));
}

#[tokio::test]
async fn many_apps_change_in_one_deployment() {
    let world = World::new();
    let two = json!([{"id": "/a", "cmd": "sleep 1"}, {"id": "/b", "cmd": "sleep 1"}]);
    world.call("PATCH", "/v2/apps", two.clone()).await.message(404);
    let got = world.call("PUT", "/v2/apps", two).await;
    got.expect(200);
    let listed = world.get("/v2/deployments").await.expect(200);
    assert_eq!(listed[0]["affectedApps"], json!(["/a", "/b"]));
    assert_eq!(listed[0]["id"], got.header("marathon-deployment-id"));
    let wrong = json!([{"id": "/a", "instances": 2}, {"id": "/b", "cpus": -1}]);
    let got = world.call("PATCH", "/v2/apps?force=true", wrong).await;
    assert_eq!(got.problems(), ["/(1)/cpus: got -1, expected 0 or more"]);
    assert_eq!(world.app("/a").await["instances"], 1);
}

#[tokio::test]
async fn lists_show_what_was_asked_for() {
    let world = World::new();
    for (id, cmd, labels) in [
        ("/prod/front", "sleep 1", json!({"tier": "web"})),
        ("/prod/back", "Sleep 2", json!({"tier": "db"})),
        ("/test", "true;false", json!({})),
    ] {
        let body = json!({"id": id, "cmd": cmd, "labels": labels});
        world.call("POST", "/v2/apps", body).await.expect(201);
    }
    let ids = |list: Value| -> Vec<String> {
        let apps = list["apps"].as_array().unwrap().iter();
        apps.map(|app| app["id"].as_str().unwrap().to_owned()).collect()
    };
    for (query, expected) in [
        ("", &["/prod/back", "/prod/front", "/test"][..]),
        ("?id=FR", &["/prod/front"]),
        ("?cmd=SLE", &["/prod/back", "/prod/front"]),
        ("?cmd=sleep&id=back", &["/prod/back"]),
        ("?label=tier", &["/prod/back", "/prod/front"]),
        ("?label=tier%21%3Dweb", &["/prod/back"]),
        ("?label=tier+in+(web,x)", &["/prod/front"]),
        ("?id=nothing", &[]),
    ] {
        let list = world.get(&format!("/v2/apps{query}")).await.expect(200);
        assert_eq!(ids(list), expected, "{query}");
    }
    world.get("/v2/apps?label=a%3Db").await.message(422);
    let group = world.get("/v2/apps/prod/*").await.expect(200);
    assert_eq!(group["*"].as_array().unwrap().len(), 2);
    assert!(group["*"][0]["tasks"].is_array());

    let plain = world.get("/v2/apps/").await.expect(200);
    assert_eq!(plain["apps"][0]["tasksStaged"], 0);
    assert!(plain["apps"][0].get("tasks").is_none());
    let with = world
        .get("/v2/apps/?embed=apps.tasks&embed=apps.taskStats")
        .await
        .expect(200);
    assert_eq!(with["apps"][0]["tasks"], json!([]));
    assert_eq!(with["apps"][0]["tasksStats"], json!({}));
}

#[tokio::test]
async fn a_group_and_an_app_do_not_have_the_same_name() {
    let world = World::new();
    world.sleeper("/prod/web", 0).await;
    for id in ["/prod", "/prod/web/x"] {
        let got = world
            .call("PUT", &format!("/v2/apps{id}"), json!({"cmd": "sleep 1"}))
            .await;
        assert!(
            got.problems()[0].contains("may not have the same identifier"),
            "{id}"
        );
    }
    world.sleeper("/prod/web2", 0).await;
}

#[tokio::test]
async fn service_ports_are_unique_and_stay() {
    let world = World::new();
    let ports = |app: &Value| -> Vec<u64> {
        let ports = app["portDefinitions"].as_array().unwrap().iter();
        ports.map(|port| port["port"].as_u64().unwrap()).collect()
    };
    let body = json!({"id": "/a", "cmd": "sleep 1", "ports": [0, 10_001, 0]});
    let a = world.call("POST", "/v2/apps", body).await.expect(201);
    assert_eq!(ports(&a), [10_000, 10_001, 10_002]);
    let b = world.sleeper("/b", 0).await.json();
    assert_eq!(ports(&b), [10_003]);

    // An update that asks for any ports again keeps those it has.
    let update = json!({"ports": [0, 0]});
    world
        .call("PUT", "/v2/apps/a?force=true", update)
        .await
        .expect(200);
    assert_eq!(ports(&world.app("/a").await), [10_000, 10_001]);

    // The range has ten: five more fit, then the one that was given up, then none.
    for n in 0..7 {
        world.sleeper(&format!("/c{n}"), 0).await;
    }
    let got = world
        .call("POST", "/v2/apps", json!({"id": "/d", "cmd": "sleep 1"}))
        .await;
    assert!(got.message(500).contains("service port"));
    world.delete("/v2/apps/b").await.expect(200);
    assert_eq!(ports(&world.sleeper("/d", 0).await.json()), [10_003]);

    // Nothing is assigned where the number is the host port.
    let required = json!({"id": "/e", "cmd": "sleep 1", "ports": [0], "requirePorts": true, "instances": 0});
    let e = world.call("POST", "/v2/apps", required).await.expect(201);
    assert_eq!(ports(&e), [0]);
}

#[tokio::test]
async fn a_cycle_of_dependencies_is_refused() {
    let world = World::new();
    let two = json!([
        {"id": "/a", "cmd": "sleep 1", "dependencies": ["/b"]},
        {"id": "/b", "cmd": "sleep 1", "dependencies": ["/a"]}
    ]);
    let got = world.call("PUT", "/v2/apps", two).await;
    assert!(got.problems()[0].contains("cyclic"));
    assert_eq!(world.get("/v2/apps").await.expect(200), json!({"apps": []}));
}

#[tokio::test]
async fn long_lists_are_written_piece_by_piece() {
    let world = World::with(|settings| settings.service_ports = 1..=65_535);
    let padding = "x".repeat(200);
    for batch in 0..4 {
        let apps: Vec<_> = (0..700)
            .map(|n| json!({"id": format!("/g{batch}/a{n}"), "cmd": "sleep 1", "instances": 0, "labels": {"l": padding}}))
            .collect();
        world.call("PUT", "/v2/apps", apps.into()).await.expect(200);
    }
    let response = world
        .send("GET", "/v2/apps", &[], meseta_http::Body::empty())
        .await;
    let mut body = super::stream_of(response);
    let first = super::frames(&mut body, 1).await;
    assert!(first[0].len() < 100_000, "{}", first[0].len());
    let all = world.get("/v2/apps?id=g").await.expect(200);
    assert_eq!(all["apps"].as_array().unwrap().len(), 2_800);
    let one = world.get("/v2/apps?id=g3/a699").await.expect(200);
    assert_eq!(one["apps"].as_array().unwrap().len(), 1);

    let packed = world
        .with_headers("GET", "/v2/apps", &[("accept-encoding", "gzip")], "")
        .await;
    assert_eq!(packed.header("content-encoding"), "gzip");
    let mut text = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&packed.body[..]), &mut text).unwrap();
    let unpacked: Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(unpacked, all);
}
