//! `app why` names the true reason, in situations that are made on a real cluster.
#![allow(clippy::unwrap_used)]

#[path = "support/cluster.rs"]
mod cluster;
#[path = "support/service.rs"]
mod service;

use cluster::{Ports, Running, Up, meseta, until};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use service::{file, json_of};
use tempfile::TempDir;

/// Submits an app without waiting and asks until the reason has this code and these words.
#[track_caller]
fn explained(up: &Up, app: &Value, code: &str, words: &[&str]) -> Value {
    let id = app["id"].as_str().unwrap();
    let path = file(up, &format!("{id}.json"), app);
    up.ask(&["apply", &path, "-d"]);
    why(up, id, code, words)
}

#[track_caller]
fn why(up: &Up, id: &str, code: &str, words: &[&str]) -> Value {
    until("the true reason is named", || {
        let why = json_of(up, &["app", "why", id]);
        let verdict = why["verdict"].as_str().unwrap_or_default();
        let has_all = words.iter().all(|word| verdict.contains(word));
        if why["code"] == code && has_all {
            Ok(why)
        } else {
            Err(format!("{why:#}"))
        }
    })
}

#[test]
fn every_reason_is_named() {
    let up = Up::start(&[]);
    too_big(&up);
    no_ports(&up);
    back_off(&up);
    a_failing_check(&up);
    a_held_deployment(&up);
    a_dependency(&up);
    a_lost_agent(&up);
}

fn too_big(up: &Up) {
    let app = json!({"id": "big", "cmd": "sleep 1000", "cpus": 4096});
    let why = explained(
        up,
        &app,
        "no-fit",
        &[
            "/big waits for 1 of 1 instances",
            "no agent is large enough for 4096 cpus",
        ],
    );
    assert_eq!(why["funnel"]["stages"][0]["reason"], "InsufficientCpus");
    assert!(
        why["ways"].as_array().unwrap().iter().any(|w| w["places"] == 1),
        "{why:#}"
    );
}

fn no_ports(up: &Up) {
    let app = json!({
        "id": "ports", "cmd": "sleep 1000", "cpus": 0.05, "mem": 16, "requirePorts": true, "portDefinitions": [{"port": 80}],
    });
    let words = ["no agent with room has port 80 (requirePorts): it is outside the offered range "];
    let why = explained(up, &app, "no-fit", &words);
    assert_eq!(why["funnel"]["stages"][0]["reason"], "InsufficientPorts");
    let text = up.ask(&["why", "ports"]);
    assert!(
        text.contains("meseta app update ports requirePorts=false"),
        "{text}"
    );
}

fn back_off(up: &Up) {
    let app = json!({"id": "crash", "cmd": "echo no config >&2; exit 3", "cpus": 0.05, "mem": 16, "backoffSeconds": 60});
    explained(
        up,
        &app,
        "delayed",
        &[
            "crashed once, last ",
            "status 3",
            "stderr: \"no config\"",
            "next start in ",
        ],
    );
}

fn a_failing_check(up: &Up) {
    let app = json!({
        "id": "sick", "cmd": "sleep 1000", "cpus": 0.05, "mem": 16,
        "healthChecks": [{"protocol": "COMMAND", "command": {"value": "exit 1"}, "delaySeconds": 0, "intervalSeconds": 1,
                          "timeoutSeconds": 1, "gracePeriodSeconds": 300}],
    });
    explained(
        up,
        &app,
        "not-healthy",
        &["/sick waits: sick.", "health check 'exit 1' ", "grace ends in "],
    );
}

fn a_held_deployment(up: &Up) {
    let mut app = json!({
        "id": "held", "cmd": "sleep 1000", "cpus": 0.05, "mem": 16, "instances": 2,
        "upgradeStrategy": {"minimumHealthCapacity": 1.0, "maximumOverCapacity": 0.5},
    });
    up.ask(&["apply", &file(up, "held.json", &app)]);
    app["healthChecks"] = json!([{
        "protocol": "COMMAND", "command": {"value": "exit 1"}, "delaySeconds": 0, "intervalSeconds": 1, "timeoutSeconds": 1,
        "gracePeriodSeconds": 300,
    }]);
    let why = explained(up, &app, "not-healthy", &["/held waits: held."]);
    let also = why["also"].as_array().unwrap();
    let kept = also
        .iter()
        .find(|c| c["code"] == "kept-old")
        .unwrap_or_else(|| panic!("{why:#}"));
    let text = kept["verdict"].as_str().unwrap();
    assert!(
        text.contains(" holds 2 old instances until new ones are healthy: 2 of 2 must stay"),
        "{text}"
    );
    // The way out that it names.
    let undo = why["ways"][0]["command"].as_str().unwrap().to_owned();
    let words: Vec<&str> = undo.split_whitespace().skip(1).collect();
    assert_eq!(words[..2], ["deployment", "rollback"]);
    up.ask(&[&words[..], &["--yes"]].concat());
    why_ends(up, "held");
}

#[track_caller]
fn why_ends(up: &Up, id: &str) {
    why(up, id, "running", &["nothing waits"]);
}

/// One deployment of two apps, the second of which depends on the first.
fn a_dependency(up: &Up) {
    let both = json!([
        {"id": "first", "cmd": "sleep 1000", "cpus": 4096},
        {"id": "second", "cmd": "sleep 1000", "cpus": 0.05, "mem": 16, "dependencies": ["/first"]},
    ]);
    up.ask(&["apply", &file(up, "both.json", &both), "-d"]);
    why(
        up,
        "second",
        "dependency",
        &["waits for /first (0/1 running) in step "],
    );
}

/// The app fits only on an agent of its own, which then dies.
fn a_lost_agent(up: &Up) {
    let folder = up.folder.path().join("lonely");
    let mut command = meseta();
    command.args([
        "agent",
        "--ip=127.0.0.1",
        "--hostname=lonely",
        "--no-switch_user",
        "--isolation=posix/cpu,posix/mem",
    ]);
    command.arg(format!("--master={}", up.ports.master()));
    command.arg(format!("--port={}", 5059 + up.ports.offset()));
    command.arg("--resources=cpus:4000;mem:1000;disk:1000;ports:[33000-33010]");
    command.arg(format!("--work_dir={}", folder.join("work").display()));
    command.arg(format!("--runtime_dir={}", folder.join("run").display()));
    let mut agent = Running::start(&mut command);
    let app = json!({"id": "there", "cmd": "sleep 1000", "cpus": 3000, "mem": 16});
    up.ask(&["apply", &file(up, "there.json", &app)]);
    agent.signal(Signal::SIGKILL);
    agent.wait();
    why(
        up,
        "there",
        "unreachable",
        &["agent lonely cannot be reached; there."],
    );
}

#[test]
fn without_any_node_there_are_no_offers() {
    let (folder, ports) = (TempDir::new().unwrap(), Ports::take());
    let mut command = meseta();
    command.args(["master", "--ip=127.0.0.1", "--hostname=127.0.0.1"]);
    command.arg(format!("--port={}", 5050 + ports.offset()));
    command.arg(format!("--work_dir={}", folder.path().join("master").display()));
    let _master = Running::start(&mut command);
    let _service = service::service(&ports.master(), ports.offset(), &folder.path().join("service"));
    let at = ports.master();
    let path = folder.path().join("web.json");
    std::fs::write(&path, "{\"id\": \"web\", \"cmd\": \"sleep 1000\"}").unwrap();
    until("it is submitted", || {
        let output = meseta()
            .args(["-m", &at, "apply", "-d", path.to_str().unwrap()])
            .output()
            .unwrap();
        if output.status.success() {
            Ok(())
        } else {
            Err(format!("{output:?}"))
        }
    });
    let output = meseta()
        .args(["-m", &at, "why", "web", "--json"])
        .output()
        .unwrap();
    let why: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    assert_eq!(why["code"], "no-offers", "{why:#}");
    let verdict = why["verdict"].as_str().unwrap();
    assert!(
        verdict.ends_with("there are no offers: the cluster has no node."),
        "{verdict}"
    );
}
