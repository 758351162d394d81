//! What is refused and how, and what of a definition comes back in which form.

use meseta_tests::behaviours;
use meseta_tests::behaviours::Ground;
use meseta_tests::rest::Reply;
use meseta_tests::service::{App, Service, sleeper, text};
use serde_json::{Value, json};
use std::collections::BTreeSet;

behaviours! {
    "31" a_syntax_error_is_told_with_the_parsers_words,
    "32" a_wrong_type_is_told_with_path_and_code,
    "33" a_broken_rule_is_told_with_path_and_words,
    "34" something_to_run_is_needed,
    "35" ids_follow_their_rules,
    "36" uris_come_back_as_fetch,
    "37" ports_come_back_as_port_definitions,
    "38" old_docker_networks_come_back_in_their_new_place,
    "39" port_zero_becomes_a_service_port_of_its_own,
    "40" no_ports_is_no_ports,
    "41" the_host_network_is_the_default,
    "42 43" nulls_are_absent_and_unknown_fields_dropped,
    "44" a_health_check_without_index_gets_the_first_port,
    "45" both_unreachable_strategies_come_back,
    "46" a_relative_dependency_comes_back_absolute,
    "47" capitalised_booleans_are_booleans,
    "48" slashes_do_not_matter,
    "49" apps_are_filtered_by_parts_of_id_and_command,
    "50" apps_are_selected_by_labels,
    "51" tasks_are_embedded_on_request_and_counts_always,
    "52" a_star_lists_the_apps_below_a_path,
}

/// What the details of a refusal say of one path.
fn errors_at(reply: &Reply, path: &str) -> Vec<String> {
    let body = reply.json();
    let details = body["details"].as_array().into_iter().flatten();
    let of_path = details.filter(|d| d["path"] == path);
    of_path
        .flat_map(|d| {
            d["errors"]
                .as_array()
                .into_iter()
                .flatten()
                .map(text)
                .collect::<Vec<_>>()
        })
        .collect()
}

/// Sends an app that must be refused with 422 and something at `path`; returns what it says there.
fn refused(service: Service, app: &Value, message: &str, path: &str) -> Vec<String> {
    let reply = service.rest.post("/v2/apps", app);
    assert_eq!(reply.status(), 422, "{app}: {reply:?}");
    assert_eq!(reply.json()["message"], message, "{app}: {reply:?}");
    let errors = errors_at(&reply, path);
    assert!(!errors.is_empty(), "{app}: nothing at {path}: {reply:?}");
    errors
}

const NOT_VALID: &str = "Object is not valid";
const NOT_JSON: &str = "Invalid JSON";

fn a_syntax_error_is_told_with_the_parsers_words(ground: &Ground) {
    let rest = ground.service().rest;
    for body in ["{\"id\": \"/m31\", ", "", "{'id': 1}", "[1,"] {
        let reply = rest.send_text("POST", "/v2/apps", body).expect(400);
        let answer = reply.json();
        assert!(
            answer["message"].is_string() && answer["details"].is_string(),
            "{body}: {reply:?}"
        );
        if !body.is_empty() {
            assert_eq!(answer["message"], NOT_JSON);
        }
    }
}

fn a_wrong_type_is_told_with_path_and_code(ground: &Ground) {
    let service = ground.service();
    for (app, path, code) in [
        (json!({"id": 7, "cmd": "true;"}), "/id", "error.expected.jsstring"),
        (json!({"cmd": "sleep 1"}), "/id", "error.path.missing"),
        (
            json!({"id": "/m32", "cmd": "sleep 1", "cpus": "one"}),
            "/cpus",
            "error.expected.jsnumber",
        ),
        (
            json!({"id": "/m32", "cmd": ["sleep"]}),
            "/cmd",
            "error.expected.jsstring",
        ),
        (
            json!({"id": "/m32", "cmd": "sleep 1", "killSelection": "RANDOM"}),
            "/killSelection",
            "error.unknown.enum.literal",
        ),
    ] {
        let errors = refused(service, &app, NOT_JSON, path);
        assert!(errors.iter().any(|e| e == code), "{path}: {errors:?}");
    }
}

fn a_broken_rule_is_told_with_path_and_words(ground: &Ground) {
    let service = ground.service();
    let base = |more: Value| sleeper("/m33", &more);
    for (more, path, word) in [
        (json!({"instances": -3}), "/instances", "got -3"),
        (json!({"mem": -1}), "/mem", "got -1"),
        (
            json!({"upgradeStrategy": {"minimumHealthCapacity": 1.2, "maximumOverCapacity": 0}}),
            "/upgradeStrategy/minimumHealthCapacity",
            "got 1.2",
        ),
        (
            json!({"healthChecks": [{"protocol": "MESOS_TCP", "portIndex": 3}]}),
            "/healthChecks(0)",
            "port",
        ),
    ] {
        let errors = refused(service, &base(more), NOT_VALID, path);
        assert!(errors.iter().any(|e| e.contains(word)), "{path}: {errors:?}");
    }
    let app = service.deploy(&sleeper("/m33", &json!({})));
    let reply = service
        .rest
        .put("/v2/apps/m33", &json!({"instances": -1}))
        .expect(422);
    assert!(!errors_at(&reply, "/instances").is_empty(), "{reply:?}");
    assert_eq!(app.show()["instances"], 1);
}

fn something_to_run_is_needed(ground: &Ground) {
    refused(
        ground.service(),
        &json!({"id": "/m34", "cpus": 0.01}),
        NOT_VALID,
        "/",
    );
    let both = json!({"id": "/m34", "cmd": "sleep 1", "args": ["sleep", "1"]});
    ground.service().rest.post("/v2/apps", &both).expect(422);
}

fn ids_follow_their_rules(ground: &Ground) {
    let service = ground.service();
    for id in [
        "/Web",
        "/a_b",
        "/a b",
        "/-a",
        "/m35/restart",
        "/m35/tasks",
        "/m35/versions",
    ] {
        refused(service, &sleeper(id, &json!({})), NOT_VALID, "/id");
    }
}

fn uris_come_back_as_fetch(ground: &Ground) {
    let more = json!({"instances": 0, "uris": ["http://localhost/a.tgz", "http://localhost/b.txt"]});
    let app = ground.service().deploy(&sleeper("/m36", &more));
    let shown = app.show();
    assert!(shown.get("uris").is_none(), "{shown}");
    let fetch = shown["fetch"].as_array().unwrap();
    let of = |n: usize| {
        (
            fetch[n]["uri"].clone(),
            fetch[n]["extract"].clone(),
            fetch[n]["executable"].clone(),
        )
    };
    assert_eq!(
        of(0),
        (json!("http://localhost/a.tgz"), json!(true), json!(false))
    );
    assert_eq!(
        of(1),
        (json!("http://localhost/b.txt"), json!(false), json!(false))
    );
    let both = json!({"uris": ["http://localhost/a"], "fetch": [{"uri": "http://localhost/b"}]});
    refused(ground.service(), &sleeper("/m36-both", &both), NOT_VALID, "/uris");
}

fn ports(app: &Value) -> Vec<i64> {
    let all = app["portDefinitions"].as_array().into_iter().flatten();
    all.map(|p| p["port"].as_i64().unwrap_or(-1)).collect()
}

fn ports_come_back_as_port_definitions(ground: &Ground) {
    let app = ground.service().deploy(&sleeper(
        "/m37",
        &json!({"instances": 0, "ports": [18001, 18002]}),
    ));
    let shown = app.show();
    assert_eq!(ports(&shown), [18001, 18002], "{shown}");
    let twice = json!({"ports": [18003, 18003]});
    ground
        .service()
        .rest
        .post("/v2/apps", &sleeper("/m37-twice", &twice))
        .expect(422);
    let both = json!({"ports": [18003], "portDefinitions": [{"port": 18004}]});
    refused(ground.service(), &sleeper("/m37-both", &both), NOT_VALID, "/");
}

fn old_docker_networks_come_back_in_their_new_place(ground: &Ground) {
    let container = json!({"type": "DOCKER", "docker": {"image": "busybox", "network": "BRIDGE",
        "portMappings": [{"containerPort": 80, "servicePort": 18011, "name": "http"}]}});
    let app = ground
        .service()
        .deploy(&sleeper("/m38", &json!({"instances": 0, "container": container})));
    let shown = app.show();
    assert_eq!(shown["networks"], json!([{"mode": "container/bridge"}]));
    let mapping = &shown["container"]["portMappings"][0];
    assert_eq!(
        (&mapping["containerPort"], &mapping["servicePort"]),
        (&json!(80), &json!(18011)),
        "{shown}"
    );
    let docker = &shown["container"]["docker"];
    assert!(
        docker.get("network").is_none() && docker.get("portMappings").is_none(),
        "{shown}"
    );
    assert!(shown.get("portDefinitions").is_none(), "{shown}");
}

fn port_zero_becomes_a_service_port_of_its_own(ground: &Ground) {
    let service = ground.service();
    let more = json!({"instances": 0, "portDefinitions": [{"port": 0}, {"port": 0}]});
    let (a, b) = (
        service.deploy(&sleeper("/m39a", &more)),
        service.deploy(&sleeper("/m39b", &more)),
    );
    let before = ports(&a.show());
    let all: BTreeSet<i64> = before.iter().copied().chain(ports(&b.show())).collect();
    assert_eq!(all.len(), 4, "{all:?}");
    assert!(all.iter().all(|port| (10_000..=20_000).contains(port)), "{all:?}");
    a.update(&json!({"cmd": "sleep 1001"}));
    assert_eq!(ports(&a.show()), before);
    let default = service.deploy(&sleeper("/m39c", &json!({"instances": 0})));
    let shown = default.show();
    assert_eq!(shown["portDefinitions"][0]["name"], "default", "{shown}");
    assert!(!all.contains(&ports(&shown)[0]), "{shown}");
}

fn no_ports_is_no_ports(ground: &Ground) {
    let folder = tempfile::tempdir().unwrap();
    let more = super::open_folder(
        folder.path(),
        json!({
            "portDefinitions": [],
            "cmd": format!("env > {0}/env.new && mv {0}/env.new {0}/env; sleep 1000", folder.path().display()),
        }),
    );
    let app = ground.service().deploy(&sleeper("/m40", &more));
    assert_eq!(app.show()["portDefinitions"], json!([]));
    let environment = super::file(&folder.path().join("env"));
    let port = environment.lines().find(|line| line.starts_with("PORT"));
    assert_eq!(port, None, "{environment}");
    assert_eq!(app.tasks()[0]["ports"], json!([]));
}

fn the_host_network_is_the_default(ground: &Ground) {
    let app = ground
        .service()
        .deploy(&sleeper("/m41", &json!({"instances": 0})));
    assert_eq!(app.show()["networks"], json!([{"mode": "host"}]));
}

fn nulls_are_absent_and_unknown_fields_dropped(ground: &Ground) {
    let service = ground.service();
    let body = r#"{"id": "/m42", "cmd": "sleep 1000", "cpus": 0.01, "mem": 16, "instances": 0, "args": null,
        "container": null, "ports": null, "dependencies": null, "constraints": null, "env": null, "labels": null,
        "upgradeStrategy": null, "healthChecks": null, "fetch": null, "storeUrls": ["x"], "invented": {"a": [1]}}"#;
    service.rest.send_text("POST", "/v2/apps", body).expect(201);
    let app = App {
        service,
        id: "/m42".into(),
    };
    let shown = app.show();
    assert!(
        shown.get("invented").is_none() && shown.get("storeUrls").is_none(),
        "{shown}"
    );
    assert_eq!((&shown["env"], &shown["dependencies"]), (&json!({}), &json!([])));
    app.settled();
    let null = r#"{"labels": {"a": "b"}, "env": null}"#;
    service.rest.send_text("PUT", "/v2/apps/m42", null).expect(200);
}

fn a_health_check_without_index_gets_the_first_port(ground: &Ground) {
    let more = json!({"instances": 0, "healthChecks": [{"protocol": "MESOS_HTTP"}]});
    let app = ground.service().deploy(&sleeper("/m44", &more));
    let check = app.show()["healthChecks"][0].clone();
    assert_eq!(
        (&check["portIndex"], &check["path"]),
        (&json!(0), &json!("/")),
        "{check}"
    );
}

fn both_unreachable_strategies_come_back(ground: &Ground) {
    for (id, strategy) in [
        ("/m45a", json!("disabled")),
        (
            "/m45b",
            json!({"inactiveAfterSeconds": 60, "expungeAfterSeconds": 120}),
        ),
    ] {
        let more = json!({"instances": 0, "unreachableStrategy": strategy});
        let app = ground.service().deploy(&sleeper(id, &more));
        assert_eq!(app.show()["unreachableStrategy"], strategy);
    }
    let default = ground
        .service()
        .deploy(&sleeper("/m45c", &json!({"instances": 0})));
    let zero = json!({"inactiveAfterSeconds": 0, "expungeAfterSeconds": 0});
    assert_eq!(default.show()["unreachableStrategy"], zero);
}

fn a_relative_dependency_comes_back_absolute(ground: &Ground) {
    let service = ground.service();
    let db = service.deploy(&sleeper("/m46/db", &json!({"instances": 0})));
    let web = service.deploy(&sleeper(
        "/m46/web",
        &json!({"instances": 0, "dependencies": ["../db"]}),
    ));
    assert_eq!(web.show()["dependencies"], json!([db.id]));
}

fn capitalised_booleans_are_booleans(ground: &Ground) {
    let app = ground
        .service()
        .deploy(&sleeper("/m47", &json!({"instances": 2})));
    app.service
        .rest
        .put("/v2/apps/m47?force=True", &json!({"cmd": "sleep 1001"}))
        .expect(200);
    app.settled();
    let task = app.task_ids().remove(0);
    let kept = app
        .service
        .rest
        .delete(&app.path(&format!("/tasks/{task}?scale=False")))
        .expect(200)
        .json();
    assert_eq!(kept["task"]["id"], json!(task), "{kept}");
    app.running(2);
    let task = app.task_ids().remove(0);
    let scaled = app
        .service
        .rest
        .delete(&app.path(&format!("/tasks/{task}?scale=True")))
        .expect(200)
        .json();
    assert!(scaled["deploymentId"].is_string(), "{scaled}");
}

fn slashes_do_not_matter(ground: &Ground) {
    let app = ground
        .service()
        .deploy(&sleeper("/m48/x", &json!({"instances": 0})));
    let rest = app.service.rest;
    for path in [
        "/v2/apps//m48/x",
        "/v2/apps/m48/x/",
        "/v2/apps/m48/x",
        "/v2/apps//m48/x?embed=app.tasks",
    ] {
        assert_eq!(rest.get(path).expect(200).json()["app"]["id"], "/m48/x", "{path}");
    }
    for path in ["/v2/apps/", "/v2/apps/?embed=apps.tasks", "/v2/apps"] {
        assert!(found(rest.get(path), "/m48/x"), "{path}");
    }
    rest.get("/v2/apps//m48/x/tasks").expect(200);
    rest.get("/v2/apps//m48/x//versions").expect(200);
}

fn found(reply: Reply, id: &str) -> bool {
    let body = reply.expect(200).json();
    body["apps"]
        .as_array()
        .is_some_and(|apps| apps.iter().any(|a| a["id"] == id))
}

fn ids(reply: Reply) -> BTreeSet<String> {
    let body = reply.expect(200).json();
    body["apps"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|a| text(&a["id"]))
        .collect()
}

fn apps_are_filtered_by_parts_of_id_and_command(ground: &Ground) {
    let app = ground.service().deploy(&sleeper(
        "/m49-fromage",
        &json!({"instances": 0, "cmd": "sleep 490049"}),
    ));
    let rest = app.service.rest;
    for (query, wanted) in [
        ("id=m49-FROM&cmd=SLEEP%20490", true),
        ("id=9-fr&cmd=EEP%20490049", true),
        ("id=m49-fr&cmd=other", false),
        ("id=m49-other", false),
        ("cmd=490049", true),
    ] {
        assert_eq!(
            found(rest.get(&format!("/v2/apps?{query}")), "/m49-fromage"),
            wanted,
            "{query}"
        );
    }
}

fn apps_are_selected_by_labels(ground: &Ground) {
    let service = ground.service();
    let with =
        |id: &str, labels: Value| service.deploy(&sleeper(id, &json!({"instances": 0, "labels": labels})));
    let _apps = [
        with("/m50a", json!({"m50": "x", "tier": "front"})),
        with("/m50b", json!({"m50": "y", "tier": "back end"})),
        with("/m50c", json!({"m50": "z"})),
    ];
    for (selector, wanted) in [
        ("m50", vec!["/m50a", "/m50b", "/m50c"]),
        ("m50==x", vec!["/m50a"]),
        ("m50!=x", vec!["/m50b", "/m50c"]),
        ("m50%20in%20(x,y)", vec!["/m50a", "/m50b"]),
        ("m50%20notin%20(x,y)", vec!["/m50c"]),
        ("m50,tier", vec!["/m50a", "/m50b"]),
        ("m50,tier!=front", vec!["/m50b"]),
        ("tier==back%5C%20end", vec!["/m50b"]),
    ] {
        let got = ids(service.rest.get(&format!("/v2/apps?label={selector}")));
        assert_eq!(got, wanted.into_iter().map(str::to_owned).collect(), "{selector}");
    }
    let bad = service.rest.get("/v2/apps?label=m50%20in%20x").expect(422);
    assert!(bad.json()["message"].is_string(), "{bad:?}");
}

fn tasks_are_embedded_on_request_and_counts_always(ground: &Ground) {
    let app = ground.service().deploy(&sleeper("/m51", &json!({})));
    let rest = app.service.rest;
    let one = |path: &str| -> Value {
        let body = rest.get(path).expect(200).json();
        body["apps"]
            .as_array()
            .unwrap()
            .iter()
            .find(|a| a["id"] == "/m51")
            .unwrap()
            .clone()
    };
    for embed in ["apps.tasks", "tasks", "app.tasks", "group.apps.tasks"] {
        let with = one(&format!("/v2/apps?id=m51&embed={embed}"));
        let task = &with["tasks"][0];
        for field in [
            "id",
            "appId",
            "host",
            "slaveId",
            "state",
            "stagedAt",
            "startedAt",
            "version",
        ] {
            assert!(task[field].is_string(), "{field} in {task}");
        }
        for field in [
            "ports",
            "servicePorts",
            "ipAddresses",
            "healthCheckResults",
            "localVolumes",
        ] {
            let there = task[field].is_array() || field == "healthCheckResults";
            assert!(there, "{field} in {task}");
        }
        assert!(with["deployments"].is_array(), "{with}");
    }
    let without = one("/v2/apps?id=m51&embed=apps.nonsense");
    assert!(without.get("tasks").is_none(), "{without}");
    assert_eq!(
        (&without["tasksRunning"], &without["tasksStaged"]),
        (&json!(1), &json!(0)),
        "{without}"
    );
}

fn a_star_lists_the_apps_below_a_path(ground: &Ground) {
    let service = ground.service();
    let none = json!({"instances": 0});
    let _apps = [
        service.deploy(&sleeper("/m52/a", &none)),
        service.deploy(&sleeper("/m52/deep/b", &none)),
        service.deploy(&sleeper("/m52x", &none)),
    ];
    let body = service.rest.get("/v2/apps/m52/*").expect(200).json();
    let listed: BTreeSet<String> = body["*"]
        .as_array()
        .unwrap()
        .iter()
        .map(|a| text(&a["id"]))
        .collect();
    assert_eq!(
        listed,
        BTreeSet::from(["/m52/a".to_owned(), "/m52/deep/b".to_owned()])
    );
}
