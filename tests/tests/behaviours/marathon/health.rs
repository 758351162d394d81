//! Health, failure and placement.

use super::{open_folder, web};
use meseta_tests::behaviours::Ground;
use meseta_tests::cluster::{Up, signal};
use meseta_tests::daemon::Pair;
use meseta_tests::service::{App, sleeper, text};
use meseta_tests::{behaviours, wait};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

behaviours! {
    "77" a_passing_check_counts_and_is_told,
    "78" a_failing_instance_is_killed_and_replaced,
    "79" failures_within_the_grace_period_kill_nobody,
    "80" no_number_of_failures_kills_where_none_is_allowed_to,
    "81" every_kind_of_check_works,
    "82" without_checks_nothing_is_healthy_or_unhealthy,
    "83" an_instance_on_a_lost_agent_is_replaced_and_killed_when_it_returns,
    "84" a_disabled_strategy_replaces_nothing,
    "86" an_app_that_is_too_large_waits_with_the_reason,
    "89 127" an_app_waits_for_offers_of_its_roles,
    "90" a_fixed_port_is_given_once_per_agent,
    "91" a_task_that_ignores_sigterm_is_killed_after_its_grace,
    "92" the_last_failure_is_told,
    "93" a_file_that_cannot_be_fetched_fails_the_task,
}

/// A check every second from the start on.
fn check(more: Value) -> Value {
    let mut check = json!({"gracePeriodSeconds": 1, "intervalSeconds": 1, "timeoutSeconds": 1, "delaySeconds": 0,
        "maxConsecutiveFailures": 3});
    meseta_tests::service::merge(&mut check, &more);
    check
}

fn checked(id: &str, folder: &Path, more: Value) -> Value {
    web(
        id,
        folder,
        &json!({"healthChecks": [check(more)], "portDefinitions": [{"port": 0, "name": "http"}]}),
    )
}

fn a_passing_check_counts_and_is_told(ground: &Ground) {
    let folder = tempfile::tempdir().unwrap();
    let service = ground.service();
    let events = service
        .rest
        .events("/v2/events?event_type=health_status_changed_event");
    let app = service.deploy(&checked(
        "/m77",
        folder.path(),
        json!({"protocol": "HTTP", "path": "/"}),
    ));
    let shown = app.show();
    assert_eq!(
        (&shown["tasksHealthy"], &shown["tasksUnhealthy"]),
        (&json!(1), &json!(0)),
        "{shown}"
    );
    let event = events.wait("alive", |e| e.data["appId"] == "/m77");
    assert_eq!(
        (&event.data["alive"], &event.data["version"]),
        (&json!(true), &shown["version"]),
        "{event:?}"
    );
    let task = app.tasks().remove(0);
    let result = &task["healthCheckResults"][0];
    assert_eq!(
        (&result["alive"], &result["consecutiveFailures"]),
        (&json!(true), &json!(0)),
        "{task}"
    );
    assert_eq!(result["instanceId"], event.data["instanceId"], "{task}");
}

fn a_failing_instance_is_killed_and_replaced(ground: &Ground) {
    failing("/m78", "HTTP", ground);
    // What the agent finds is not told check by check.
    failing("/m78-by-agent", "MESOS_HTTP", ground);
}

fn failing(id: &str, protocol: &str, ground: &Ground) {
    let folder = tempfile::tempdir().unwrap();
    let healthy = folder.path().join("healthy");
    std::fs::write(&healthy, "").unwrap();
    let service = ground.service();
    let events = service
        .rest
        .events("/v2/events?event_type=unhealthy_instance_kill_event&event_type=failed_health_check_event");
    let app = service.deploy(&checked(
        id,
        folder.path(),
        json!({"protocol": protocol, "path": "/healthy"}),
    ));
    let before = app.task_ids().remove(0);
    std::fs::remove_file(&healthy).unwrap();
    let is = |e: &meseta_tests::rest::Event, kind: &str| e.data["appId"] == id && e.data["eventType"] == kind;
    if protocol == "HTTP" {
        let event = events.wait("a failure", |e| is(e, "failed_health_check_event"));
        let instance = text(&event.data["taskId"]);
        assert!(before.starts_with(&instance) && before != instance, "{event:?}");
        assert_eq!(event.data["healthCheck"]["path"], "/healthy", "{event:?}");
    }
    let event = events.wait("a kill", |e| is(e, "unhealthy_instance_kill_event"));
    assert_eq!(event.data["taskId"], json!(before), "{event:?}");
    std::fs::write(&healthy, "").unwrap();
    wait::until("a healthy replacement", || {
        let shown = app.show();
        let ids = app.task_ids();
        if shown["tasksHealthy"] == 1 && ids.len() == 1 && ids[0] != before {
            Ok(())
        } else {
            Err((ids, shown))
        }
    });
}

fn failures_within_the_grace_period_kill_nobody(ground: &Ground) {
    let folder = tempfile::tempdir().unwrap();
    let more = json!({"protocol": "HTTP", "path": "/healthy", "gracePeriodSeconds": 3600, "maxConsecutiveFailures": 1});
    let app = ground.service().create(&checked("/m79", folder.path(), more));
    let task = app.running(1).remove(0);
    wait::until("three checks have failed", || {
        let asked = std::fs::read_to_string(folder.path().join("asked")).unwrap_or_default();
        let checks = asked.lines().filter(|path| *path == "/healthy").count();
        if checks >= 3 { Ok(()) } else { Err(checks) }
    });
    std::fs::write(folder.path().join("healthy"), "").unwrap();
    app.settled();
    assert_eq!(app.tasks()[0]["id"], task["id"]);
}

/// Failures in a row that an app's first task shows.
fn failures(app: &App) -> i64 {
    let tasks = app.tasks();
    let result = tasks
        .first()
        .map(|t| t["healthCheckResults"][0].clone())
        .unwrap_or_default();
    result["consecutiveFailures"].as_i64().unwrap_or(0)
}

fn no_number_of_failures_kills_where_none_is_allowed_to(ground: &Ground) {
    let folder = tempfile::tempdir().unwrap();
    let healthy = folder.path().join("healthy");
    std::fs::write(&healthy, "").unwrap();
    let more = json!({"protocol": "HTTP", "path": "/healthy", "maxConsecutiveFailures": 0});
    let app = ground.service().deploy(&checked("/m80", folder.path(), more));
    let before = app.task_ids();
    std::fs::remove_file(&healthy).unwrap();
    wait::until("several failures in a row", || {
        let failures = failures(&app);
        if failures >= 4 { Ok(()) } else { Err(failures) }
    });
    let shown = app.show();
    assert_eq!(
        (&shown["tasksHealthy"], &shown["tasksUnhealthy"]),
        (&json!(0), &json!(1)),
        "{shown}"
    );
    assert_eq!(app.task_ids(), before);
}

fn every_kind_of_check_works(ground: &Ground) {
    let folder = tempfile::tempdir().unwrap();
    let service = ground.service();
    let kinds = [
        ("/m81-tcp", json!({"protocol": "TCP"})),
        ("/m81-http", json!({"protocol": "HTTP", "path": "/moved"})),
        (
            "/m81-command",
            json!({"protocol": "COMMAND", "command": {"value": "test -n \"$PORT0\""}}),
        ),
        ("/m81-mesos-http", json!({"protocol": "MESOS_HTTP", "path": "/"})),
        ("/m81-mesos-tcp", json!({"protocol": "MESOS_TCP"})),
    ];
    let encrypted = [("/m81-https", "HTTPS"), ("/m81-mesos-https", "MESOS_HTTPS")];
    let serve = encrypting(folder.path());
    let apps = kinds
        .into_iter()
        .map(|(id, more)| checked(id, folder.path(), more));
    let apps = apps.chain(encrypted.map(|(id, protocol)| {
        let mut app = checked(id, folder.path(), json!({"protocol": protocol, "path": "/"}));
        meseta_tests::service::merge(&mut app, &json!({"cmd": serve}));
        app
    }));
    let apps: Vec<App> = apps.map(|app| service.create(&app)).collect();
    for app in apps {
        app.settled();
        assert_eq!(app.show()["tasksHealthy"], 1, "{}", app.id);
    }
}

/// Answers everything over TLS, with the certificate of a folder.
const ENCRYPTING: &str = r#"
import http.server, ssl, sys

class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

folder, port = sys.argv[1], int(sys.argv[2])
server = http.server.ThreadingHTTPServer(("", port), Answer)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(folder + "/cert.pem", folder + "/key.pem")
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"#;

/// The command of a server with a certificate that it signed itself.
fn encrypting(folder: &Path) -> String {
    let (key, certificate) = (folder.join("key.pem"), folder.join("cert.pem"));
    let made = std::process::Command::new("openssl")
        .args([
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test",
        ])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    // Tasks may run as somebody else.
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let script = folder.join("encrypting.py");
    std::fs::write(&script, ENCRYPTING).unwrap();
    format!("exec python3 {} {} $PORT0", script.display(), folder.display())
}

fn without_checks_nothing_is_healthy_or_unhealthy(ground: &Ground) {
    let app = ground.service().deploy(&sleeper("/m82", &json!({})));
    let shown = app.show();
    let counts = ["tasksRunning", "tasksHealthy", "tasksUnhealthy"].map(|field| shown[field].as_i64());
    assert_eq!(counts, [Some(1), Some(0), Some(0)], "{shown}");
}

/// A cluster whose master gives an agent up after two seconds, with two agents.
fn impatient() -> (Pair, meseta_tests::daemon::Daemon, meseta_tests::service::Service) {
    let pair = Pair::start(
        &["--agent_ping_timeout=1secs", "--max_agent_ping_timeouts=2"],
        &["--hostname=host-a"],
    );
    let (daemon, service) = pair.start_service(&[]);
    (pair, daemon, service)
}

fn an_instance_on_a_lost_agent_is_replaced_and_killed_when_it_returns(_: &Ground) {
    let (pair, _daemon, service) = impatient();
    let zero = json!({"inactiveAfterSeconds": 0, "expungeAfterSeconds": 0});
    let app = service.deploy(&sleeper("/m83", &json!({"unreachableStrategy": zero})));
    let lost = app.tasks().remove(0);
    let other = pair.add_agent("host-b", &[]);
    let first = pair.agent.as_ref().unwrap().pid();
    signal(first, Signal::SIGSTOP);
    wait::until("a replacement runs elsewhere", || {
        let tasks = app.tasks();
        let there = |t: &&Value| t["host"] == "host-b" && t["state"] == "TASK_RUNNING";
        if tasks.iter().any(|t| there(&t)) {
            Ok(())
        } else {
            Err(tasks)
        }
    });
    signal(first, Signal::SIGCONT);
    wait::until("the one that came back is gone", || {
        let tasks = app.tasks();
        let state = meseta_tests::cluster::get_json(&format!("http://{}/state", pair.master_address()))?;
        let frameworks = state["frameworks"].as_array().into_iter().flatten();
        let live = frameworks.flat_map(|f| f["tasks"].as_array().into_iter().flatten());
        let back = live
            .filter(|t| t["id"] == lost["id"] && t["state"] == "TASK_RUNNING")
            .count();
        let agents = meseta_tests::cluster::get_json(&format!("http://{}/slaves", pair.master_address()))?;
        let active = agents["slaves"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|s| s["active"] == true)
            .count();
        if back == 0 && active == 2 && tasks.len() == 1 {
            Ok(())
        } else {
            Err(format!("{active} {back} {tasks:?}"))
        }
    });
    assert_ne!(app.tasks()[0]["id"], lost["id"]);
    drop(other);
}

fn a_disabled_strategy_replaces_nothing(_: &Ground) {
    let (pair, _daemon, service) = impatient();
    let app = service.deploy(&sleeper("/m84", &json!({"unreachableStrategy": "disabled"})));
    let only = app.task_ids();
    let _other = pair.add_agent("host-b", &[]);
    let first = pair.agent.as_ref().unwrap().pid();
    signal(first, Signal::SIGSTOP);
    wait::until("the task is unreachable", || {
        let tasks = app.tasks();
        if tasks.iter().any(|t| t["state"] == "TASK_UNREACHABLE") {
            Ok(())
        } else {
            Err(tasks)
        }
    });
    // Another app finds room meanwhile: the agent that is left has some, and would have it for a replacement too.
    let witness = service.deploy(&sleeper("/m84-witness", &json!({})));
    witness.running(1);
    assert_eq!(app.task_ids(), only);
    signal(first, Signal::SIGCONT);
    app.running(1);
    assert_eq!(app.task_ids(), only);
}

fn an_app_that_is_too_large_waits_with_the_reason(ground: &Ground) {
    let app = ground
        .service()
        .create(&sleeper("/m86", &json!({"cpus": 10_000})));
    let item = app.until_queued("refused for its cpus", |item| {
        declined(item, "InsufficientCpus") > 0 && item["delay"]["overdue"] == true
    });
    assert_eq!(item["count"], 1, "{item}");
    let summary = &item["processedOffersSummary"];
    assert!(summary["unusedOffersCount"].as_i64().unwrap_or(0) > 0, "{item}");
    let unused = item["lastUnusedOffers"].as_array().unwrap();
    assert!(
        unused
            .iter()
            .all(|u| u["offer"].is_object() && u["reason"].is_array()),
        "{item}"
    );
    assert_eq!(app.tasks(), Vec::<Value>::new());
}

/// How many of the last offers were declined for a reason.
fn declined(item: &Value, reason: &str) -> i64 {
    let all = item["processedOffersSummary"]["rejectSummaryLastOffers"]
        .as_array()
        .into_iter()
        .flatten();
    all.filter(|r| r["reason"] == reason)
        .filter_map(|r| r["declined"].as_i64())
        .sum()
}

fn an_app_waits_for_offers_of_its_roles(_: &Ground) {
    let pair = Pair::start(&[], &[]);
    let (_daemon, service) = pair.start_service(&["--mesos_role=web"]);
    let app = service.create(&sleeper("/m89", &json!({"acceptedResourceRoles": ["web"]})));
    app.until_queued("refused for its role", |item| {
        declined(item, "UnfulfilledRole") > 0
    });
    service
        .rest
        .put(
            "/v2/apps/m89?force=true",
            &json!({"acceptedResourceRoles": ["*"]}),
        )
        .expect(200);
    app.settled();
    assert_eq!(app.running(1)[0]["role"], "web");
    assert_eq!(app.show()["role"], "web");
    let other = service
        .rest
        .post("/v2/apps", &sleeper("/m127", &json!({"role": "other"})))
        .expect(422);
    assert!(other.text().contains("/role"), "{other:?}");
}

fn a_fixed_port_is_given_once_per_agent(_: &Ground) {
    // One agent, so that two instances cannot have the same port.
    let up = Up::start(&[]);
    let more = json!({"requirePorts": true, "portDefinitions": [{"port": 31_555}], "instances": 2});
    let app = up.service().create(&sleeper("/m90", &more));
    let item = app.until_queued("refused for its port", |item| {
        declined(item, "InsufficientPorts") > 0
    });
    assert_eq!(item["count"], 1, "{item}");
    let tasks = app.running(1);
    assert_eq!(tasks[0]["ports"], json!([31_555]));
}

fn a_task_that_ignores_sigterm_is_killed_after_its_grace(ground: &Ground) {
    let folder = tempfile::tempdir().unwrap();
    let told = folder.path().join("told");
    let deaf = format!(
        "trap 'touch {}' TERM; while :; do sleep 0.1; done",
        told.display()
    );
    let more = open_folder(
        folder.path(),
        json!({"cmd": deaf, "taskKillGracePeriodSeconds": 2}),
    );
    let app = ground.service().deploy(&sleeper("/m91", &more));
    let (task, start) = (app.task_ids().remove(0), Instant::now());
    app.service
        .rest
        .delete(&app.path(&format!("/tasks/{task}")))
        .expect(200);
    super::file(&told);
    wait::until("the task is gone", || {
        let ids = app.task_ids();
        if ids.contains(&task) { Err(ids) } else { Ok(()) }
    });
    // Not judged for speed: a task that is killed before its grace has passed would be a broken promise.
    assert!(start.elapsed() >= Duration::from_secs(2), "{:?}", start.elapsed());
}

fn the_last_failure_is_told(ground: &Ground) {
    let app = ground
        .service()
        .create(&sleeper("/m92", &json!({"cmd": "exit 7"})));
    let failed = app.until("has failed", |a| a["lastTaskFailure"].is_object());
    let failure = &failed["lastTaskFailure"];
    assert_eq!(
        (&failure["state"], &failure["appId"]),
        (&json!("TASK_FAILED"), &json!("/m92")),
        "{failure}"
    );
    assert!(
        text(&failure["message"]).contains("exited with status 7"),
        "{failure}"
    );
    assert_eq!(failure["version"], failed["version"], "{failure}");
    for field in ["host", "taskId", "timestamp", "slaveId"] {
        assert!(
            failure[field].as_str().is_some_and(|t| !t.is_empty()),
            "{field}: {failure}"
        );
    }
}

fn a_file_that_cannot_be_fetched_fails_the_task(ground: &Ground) {
    let more = json!({"fetch": [{"uri": "file:///nowhere/at/all.txt"}], "backoffSeconds": 20});
    let app = ground.service().create(&sleeper("/m93", &more));
    let failed = app.until("has failed", |a| a["lastTaskFailure"].is_object());
    let failure = &failed["lastTaskFailure"];
    assert_eq!(failure["state"], "TASK_FAILED", "{failure}");
    assert!(
        text(&failure["message"]).contains("nowhere/at/all.txt"),
        "{failure}"
    );
    app.until_queued("delayed", |item| item["delay"]["overdue"] == false);
}
