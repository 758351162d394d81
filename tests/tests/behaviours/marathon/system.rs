//! The process itself: leadership, restarts, information, ports.

use meseta_tests::behaviours::Ground;
use meseta_tests::cluster::Up;
use meseta_tests::daemon::Pair;
use meseta_tests::service::{sleeper, text};
use meseta_tests::{behaviours, wait};
use serde_json::{Value, json};

behaviours! {
    "104" the_leader_is_told_in_a_body_and_in_headers,
    "106" a_killed_service_comes_back_with_its_id_and_its_tasks,
    "107" abdication_ends_the_process_and_no_task,
    "109" a_ping_is_answered_with_a_pong,
    "110" the_information_is_complete_and_holds_no_password,
    "111" metrics_count_the_apps,
    "112" a_port_in_use_is_an_exit_code,
    "113" credentials_are_asked_for,
}

fn the_leader_is_told_in_a_body_and_in_headers(ground: &Ground) {
    let rest = ground.service().rest;
    let leader = format!("127.0.0.1:{}", rest.port);
    let reply = rest.get("/v2/leader").expect(200);
    assert_eq!(reply.json(), json!({"leader": leader}));
    assert_eq!(
        reply.header("x-marathon-leader"),
        Some(format!("http://{leader}").as_str())
    );
}

fn framework_id(info: &Value) -> String {
    text(&info["frameworkId"])
}

fn a_killed_service_comes_back_with_its_id_and_its_tasks(_: &Ground) {
    let up = Up::start(&[]);
    let service = up.service();
    let app = service.deploy(&sleeper("/m106", &json!({"instances": 2})));
    let (tasks, id) = (app.task_ids(), framework_id(&service.rest.get("/v2/info").json()));
    let stuck = json!([{"protocol": "COMMAND", "command": {"value": "false"}, "gracePeriodSeconds": 3600,
        "intervalSeconds": 1, "timeoutSeconds": 1, "delaySeconds": 0}]);
    let deployment = service
        .rest
        .put(&app.path(""), &json!({"healthChecks": stuck}))
        .expect(200)
        .json();
    up.kill("service");
    wait::until("the service is back", || {
        service
            .rest
            .json("/v2/info")
            .map(|info| assert_eq!(framework_id(&info), id))
    });
    let under_way = wait::until("the deployment goes on", || service.deployments_of("/m106"));
    assert_eq!(under_way, [text(&deployment["deploymentId"])]);
    let now = app.task_ids();
    assert!(tasks.iter().all(|task| now.contains(task)), "{tasks:?} {now:?}");
    service
        .rest
        .put(
            &format!("{}?force=true", app.path("")),
            &json!({"healthChecks": []}),
        )
        .expect(200);
    app.settled();
    app.running(2);
}

fn abdication_ends_the_process_and_no_task(_: &Ground) {
    let pair = Pair::start(&[], &[]);
    let (mut daemon, service) = pair.start_service(&[]);
    let app = service.deploy(&sleeper("/m107", &json!({})));
    let (tasks, id) = (app.task_ids(), framework_id(&service.rest.get("/v2/info").json()));
    let reply = service.rest.delete("/v2/leader").expect(200);
    assert!(reply.json()["message"].is_string(), "{reply:?}");
    daemon.ended();
    let (_daemon, service) = pair.start_service(&[]);
    assert_eq!(framework_id(&service.rest.get("/v2/info").json()), id);
    app.running(1);
    assert_eq!(app.task_ids(), tasks);
}

fn a_ping_is_answered_with_a_pong(ground: &Ground) {
    let rest = ground.service().rest;
    let ping = |method: &str, accept: &str| {
        rest.call(method, "/ping", &[("Accept", accept)], None)
            .expect(200)
    };
    assert_eq!(ping("GET", "*/*").text().trim(), "pong");
    assert_eq!(ping("GET", "text/plain").text().trim(), "pong");
    assert_eq!(ping("GET", "application/json").json(), json!("pong"));
    assert_eq!(ping("HEAD", "*/*").text(), "");
}

fn the_information_is_complete_and_holds_no_password(ground: &Ground) {
    let rest = ground.service().rest;
    let info = rest.get("/v2/info").expect(200).json();
    for field in ["name", "version", "frameworkId", "leader"] {
        assert!(
            info[field].as_str().is_some_and(|t| !t.is_empty()),
            "{field}: {info}"
        );
    }
    assert_eq!(
        (&info["elected"], &info["leader"]),
        (&json!(true), &json!(format!("127.0.0.1:{}", rest.port))),
        "{info}"
    );
    for object in ["marathon_config", "zookeeper_config", "http_config"] {
        assert!(info[object].is_object(), "{object}: {info}");
    }
    assert_eq!(info["http_config"]["http_port"], rest.port, "{info}");
    assert!(
        info["version"]
            .as_str()
            .unwrap()
            .split('.')
            .all(|part| part.parse::<u32>().is_ok()),
        "{info}"
    );
}

fn metrics_count_the_apps(ground: &Ground) {
    let service = ground.service();
    let _app = service.deploy(&sleeper("/m111", &json!({"instances": 0})));
    let metrics = service.rest.get("/metrics").expect(200).json();
    let active = metrics["gauges"]["marathon.apps.active.gauge"]["value"].as_f64();
    assert!(active.is_some_and(|n| n >= 1.0), "{metrics}");
    let text = service
        .rest
        .call("GET", "/metrics/prometheus", &[], None)
        .expect(200)
        .text();
    let mut apps = None;
    for line in text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        let (name, value) = line
            .rsplit_once(' ')
            .unwrap_or_else(|| panic!("no value: {line}"));
        let value: f64 = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
        if name.starts_with("marathon_apps_active") {
            apps = Some(value);
        }
    }
    assert!(apps.is_some_and(|n| n >= 1.0), "{text}");
}

fn a_port_in_use_is_an_exit_code(_: &Ground) {
    let pair = Pair::start(&[], &[]);
    let _listener = std::net::TcpListener::bind(("127.0.0.1", pair.service_port())).unwrap();
    let mut daemon = pair.spawn_service(&[]);
    let code = daemon.ended();
    assert!(code.is_some_and(|code| code != 0), "{code:?}: {}", daemon.said());
    assert!(
        daemon.said().contains(&pair.service_port().to_string()),
        "{}",
        daemon.said()
    );
}

fn credentials_are_asked_for(_: &Ground) {
    let pair = Pair::start(&[], &[]);
    let daemon = pair.spawn_service(&["--http_credentials=user:secret-word"]);
    let rest = pair.service().rest;
    let asked = wait::until("the service answers", || {
        rest.try_call("GET", "/v2/apps", &[], None)
    });
    assert_eq!(asked.status(), 401, "{asked:?}");
    assert_eq!(
        asked.header("www-authenticate"),
        Some("Basic realm=\"Mesosphere\"")
    );
    let with = |basic: &str| {
        rest.call("GET", "/v2/apps", &[("Authorization", basic)], None)
            .status()
    };
    assert_eq!(with("Basic dXNlcjpzZWNyZXQtd29yZA=="), 200);
    assert_eq!(with("Basic dXNlcjpvdGhlcg=="), 401);
    let info = rest.call(
        "GET",
        "/v2/info",
        &[("Authorization", "Basic dXNlcjpzZWNyZXQtd29yZA==")],
        None,
    );
    assert!(!info.text().contains("secret-word"), "{info:?}");
    drop(daemon);
}
