//! The bar "golden answers": what real Mesos answered in recorded exchanges, our servers answer too.
//!
//! One master and one agent live through the recorded runs: alone, idle, under a framework with command tasks, under a
//! custom executor; two further pairs lose an agent and let one go. Every recording of the folders named here is sent
//! or listed as skipped with its reason; every difference is a known one or fails the test.
#![allow(clippy::unwrap_used)]

use meseta_tests::bar::Bar;
use meseta_tests::daemon::Pair;
use meseta_tests::golden::compare::Difference;
use meseta_tests::golden::replay::{Replay, key};
use meseta_tests::golden::stream::Stream;
use meseta_tests::golden::{differences, exchange, http};
use meseta_tests::{skip, wait};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::collections::BTreeSet;

/// What the recorded agent had.
const AGENT: [&str; 3] = [
    "--hostname=localhost",
    "--resources=cpus:2;mem:23081;disk:252899;ports:[31000-32000]",
    "--registration_backoff_factor=100ms",
];
const MASTER: [&str; 1] = ["--hostname=localhost"];

/// Recordings that are not replayed, and why.
const SKIPPED: &[(&str, &str)] = &[
    (
        "scheduler/ACCEPT-LAUNCH_GROUP",
        "task groups come with the default executor",
    ),
    ("scheduler/ACKNOWLEDGE-g1-TASK_STARTING", "task group"),
    ("scheduler/ACKNOWLEDGE-g1-TASK_RUNNING", "task group"),
    ("scheduler/ACKNOWLEDGE-g1-TASK_KILLED", "task group"),
    ("scheduler/ACKNOWLEDGE-g2-TASK_STARTING", "task group"),
    ("scheduler/ACKNOWLEDGE-g2-TASK_RUNNING", "task group"),
    ("scheduler/ACKNOWLEDGE-g2-TASK_KILLED", "task group"),
    ("scheduler/KILL-with-policy", "kills a task of the group"),
    (
        "master-events/SUBSCRIBE-drain-gone",
        "drain and MARK_AGENT_GONE are folders left out",
    ),
    (
        "master-events/SUBSCRIBE-operator-writes",
        "operator writes are a folder left out",
    ),
];

const FOLDERS: [&str; 26] = [
    "agent-idle",
    "agent-idle-protobuf",
    "agent-lifecycle",
    "agent-lost",
    "agent-operator-errors",
    "agent-v0-idle",
    "agent-v0-with-tasks",
    "agent-with-tasks",
    "agent-with-tasks-protobuf",
    "crashes",
    "executor",
    "http-level",
    "master-after-teardown",
    "master-empty",
    "master-empty-protobuf",
    "master-events",
    "master-operator-errors",
    "master-v0-empty",
    "master-v0-misc",
    "master-v0-with-tasks",
    "master-with-idle-agent",
    "master-with-idle-agent-protobuf",
    "master-with-tasks",
    "master-with-tasks-protobuf",
    "scheduler",
    "scheduler-custom-executor",
];

#[test]
fn recorded_exchanges_are_answered_alike() {
    if !skip::unless(
        skip::root(),
        "the recorded tasks name users, which only root may become",
    ) {
        return;
    }
    let mut replayed = BTreeSet::new();
    let mut found = Vec::new();
    for part in [main_run, lost_agent, leaving_agent] {
        let mut replay = part();
        for d in replay
            .found
            .iter()
            .filter(|d| differences::explained(d).is_none())
        {
            println!("UNKNOWN {} | {} | {}", d.file, d.at, d.what);
        }
        replayed.append(&mut replay.replayed);
        found.append(&mut replay.found);
    }
    let mut bar = Bar::new("golden answers");
    report(&mut bar, &replayed, &found);
    bar.finish();
}

fn report(bar: &mut Bar, replayed: &BTreeSet<String>, found: &[Difference]) {
    let mut all: BTreeSet<String> = FOLDERS.iter().flat_map(|f| exchange::names(f)).collect();
    all.extend(exchange::names("scheduler-errors"));
    for (name, _) in SKIPPED {
        assert!(all.remove(*name), "{name} is skipped but is no recording");
    }
    let missing: Vec<&String> = all.difference(replayed).collect();
    for name in &missing {
        println!("not replayed: {name}");
    }
    let (known, unknown): (Vec<_>, Vec<_>) = found.iter().partition(|d| differences::explained(d).is_some());
    for k in differences::unused(found) {
        println!("known difference that did not show: {} | {}", k.file, k.at);
    }
    bar.figure(
        "recordings replayed",
        replayed.len(),
        "all but those skipped",
        missing.is_empty(),
    );
    bar.note(format!("skipped with a reason: {}", SKIPPED.len()));
    bar.note(format!("known differences seen: {}", known.len()));
    bar.figure("unknown differences", unknown.len(), 0, unknown.is_empty());
}

/// Master alone, idle agent, the scheduler's scenario, the custom executor.
fn main_run() -> Replay {
    let logs = tempfile::TempDir::new().unwrap();
    let folder = |who: &str| logs.path().join(who).to_string_lossy().into_owned();
    let log_flag = |who: &str| format!("--log_dir={}", folder(who));
    let master: Vec<&str> = MASTER.into_iter().collect();
    let mut pair = Pair::master_only(&[master, vec![&log_flag("m")]].concat());
    wait_up(&pair.master_address());
    let mut replay = Replay::new(&pair, 25050);
    replay.binder.place(&folder("m"), "/srv/mesos/m/log");
    replay.binder.place(&folder("a"), "/srv/mesos/a/log");
    for folder in ["master-empty", "master-empty-protobuf", "master-v0-empty"] {
        replay.send_folder(folder);
    }
    for folder in [
        "master-v0-misc",
        "master-operator-errors",
        "http-level",
        "crashes",
    ] {
        replay.send_folder(folder);
    }
    pair.start_agent(&[AGENT.to_vec(), vec![&log_flag("a")]].concat());
    pair.wait_registered();
    wait_up(&pair.agent_address());
    for folder in [
        "master-with-idle-agent",
        "master-with-idle-agent-protobuf",
        "agent-idle",
        "agent-idle-protobuf",
    ] {
        replay.send_folder(folder);
    }
    for folder in ["agent-v0-idle", "agent-operator-errors"] {
        replay.send_folder(folder);
    }
    scheduler_scenario(&mut replay);
    custom_executor(&mut replay);
    pair.stop();
    replay
}

fn wait_up(address: &str) {
    let port = address
        .rsplit_once(':')
        .and_then(|(_, p)| p.parse().ok())
        .unwrap();
    wait::until("the server answers", || {
        match http::request(port, b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n") {
            Ok(Some(answer)) if answer.status == 200 => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
}

/// A scheduler of the recorded run: its stream, and what was recorded of it.
struct Scheduler {
    stream: Stream,
    recorded: Vec<Value>,
    used: BTreeSet<String>,
}

impl Scheduler {
    fn subscribe(replay: &mut Replay, name: &str) -> Scheduler {
        let stream = replay.subscribe(name);
        Scheduler {
            stream,
            recorded: exchange::events(name),
            used: BTreeSet::new(),
        }
    }

    /// Binds the recorded offer ids of a call to offers that are outstanding now, then sends it.
    fn with_offer(&mut self, replay: &mut Replay, name: &str) {
        for recorded in offer_ids(name) {
            if replay.binder.living(&recorded).is_none() && recorded != "nope" {
                let used = &self.used;
                let offer = self.stream.wait("an offer", |events| outstanding(events, used));
                self.used.insert(offer.clone());
                replay.binder.name(&recorded, &offer).unwrap();
            }
        }
        replay.send(name);
    }

    /// Waits for the update which a recorded acknowledgement is about, then sends it.
    fn acknowledge(&self, replay: &mut Replay, name: &str) {
        let uuid = body(name)
            .pointer("/acknowledge/uuid")
            .and_then(Value::as_str)
            .unwrap()
            .to_owned();
        replay.bind_update(&self.recorded, &uuid, &self.stream);
        replay.send(name);
    }

    /// Acknowledges an update whose recorded acknowledgement was not kept.
    fn acknowledge_live(&self, replay: &Replay, wanted: &str) {
        let of = |e: &Value| {
            e.pointer("/update/status")
                .filter(|s| s.get("uuid").is_some())
                .cloned()
        };
        let found = |e: &Value| if key(e).starts_with(wanted) { of(e) } else { None };
        let status = self.stream.wait(wanted, |events| events.iter().find_map(found));
        let framework = self.stream.wait("SUBSCRIBED", |events| {
            events
                .first()
                .and_then(|e| e.pointer("/subscribed/framework_id"))
                .cloned()
        });
        let call = serde_json::json!({
            "framework_id": framework, "type": "ACKNOWLEDGE",
            "acknowledge": {"agent_id": status["agent_id"], "task_id": status["task_id"], "uuid": status["uuid"]},
        });
        let id = self.stream.head.header("mesos-stream-id").unwrap_or_default();
        let headers = [("Content-Type", "application/json"), ("Mesos-Stream-Id", id)];
        let request = http::post("/api/v1/scheduler", &headers, call.to_string().as_bytes());
        let answer = http::request(replay.master_port(), &request).unwrap().unwrap();
        assert_eq!(answer.status, 202, "{}", answer.text());
    }

    fn wait_for(&self, wanted: &str) {
        wait_for(&self.stream, wanted);
    }
}

fn wait_for(stream: &Stream, wanted: &str) {
    stream.wait(wanted, |events| {
        events.iter().any(|e| key(e).starts_with(wanted)).then_some(())
    });
}

fn body(name: &str) -> Value {
    let request = exchange::load(name).request;
    let text = String::from_utf8(request).unwrap();
    text.split_once("\r\n\r\n")
        .and_then(|(_, body)| serde_json::from_str(body).ok())
        .unwrap_or_default()
}

fn offer_ids(name: &str) -> Vec<String> {
    let body = body(name);
    let list = ["/accept/offer_ids", "/decline/offer_ids"]
        .iter()
        .find_map(|p| body.pointer(p)?.as_array().cloned());
    list.unwrap_or_default()
        .iter()
        .filter_map(|o| o["value"].as_str().map(str::to_owned))
        .collect()
}

/// The largest offer that was neither used nor rescinded.
fn outstanding(events: &[Value], used: &BTreeSet<String>) -> Option<String> {
    let rescinded: BTreeSet<&str> = events
        .iter()
        .filter_map(|e| e.pointer("/rescind/offer_id/value").and_then(Value::as_str))
        .collect();
    let offers = events
        .iter()
        .filter_map(|e| e.pointer("/offers/offers").and_then(Value::as_array))
        .flatten();
    let id = |offer: &Value| {
        offer
            .pointer("/id/value")
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    let free =
        offers.filter(|o| id(o).is_some_and(|id| !used.contains(&id) && !rescinded.contains(id.as_str())));
    free.max_by(|a, b| cpus(a).total_cmp(&cpus(b))).and_then(id)
}

fn cpus(offer: &Value) -> f64 {
    let resources = offer["resources"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let cpus = resources.iter().filter(|r| r["name"] == "cpus");
    cpus.filter_map(|r| r.pointer("/scalar/value").and_then(Value::as_f64))
        .sum()
}

fn scheduler_scenario(replay: &mut Replay) {
    replay.binder.forget_names();
    let operator = replay.subscribe("master-events/SUBSCRIBE-whole-scenario");
    let mut first = Scheduler::subscribe(replay, "scheduler/stream-1-SUBSCRIBE");
    first.wait_for("OFFERS");
    scheduler_errors(replay);
    first.with_offer(replay, "scheduler/ACCEPT-LAUNCH-sleep1");
    for state in ["STARTING", "RUNNING", "FINISHED"] {
        first.acknowledge(replay, &format!("scheduler/ACKNOWLEDGE-t1-TASK_{state}"));
    }
    first.with_offer(replay, "scheduler/ACCEPT-LAUNCH-two-long");
    for update in [
        "long1-TASK_STARTING",
        "long1-TASK_RUNNING",
        "long2-TASK_STARTING",
        "long2-TASK_RUNNING",
    ] {
        first.acknowledge(replay, &format!("scheduler/ACKNOWLEDGE-{update}"));
    }
    first.acknowledge(replay, "scheduler/ACKNOWLEDGE-long2-healthy");
    reads_with_tasks(replay);
    reconcile_and_kill(replay, &mut first);
    offers_and_refusals(replay, &mut first);
    failing_tasks(replay, &mut first);
    operations_and_update(replay, &mut first);
    takeover(replay, &first, &operator);
    replay.check_stream("master-events/SUBSCRIBE-whole-scenario", &operator, &[]);
    replay.send_folder("master-after-teardown");
}

/// In the order of the recording, which decides the numbers of the frameworks.
fn scheduler_errors(replay: &mut Replay) {
    let last = [
        "SUBSCRIBE-unknown-capability",
        "SUBSCRIBE-minimal-star-role",
        "SUBSCRIBE-accept-none",
        "SUBSCRIBE-empty-roles-multirole",
    ];
    let late = |name: &String| last.iter().any(|l| name.ends_with(l));
    for name in exchange::names("scheduler-errors").iter().filter(|n| !late(n)) {
        replay.send(name);
    }
    unrecorded_framework(replay);
    for name in last {
        replay.send(&format!("scheduler-errors/{name}"));
    }
}

/// One framework of the recorded run left no recording of its own, but shows in what follows.
fn unrecorded_framework(replay: &Replay) {
    let call = r#"{"type":"SUBSCRIBE","subscribe":{"framework_info":{"user":"root","name":"x","failover_timeout":-1.0}}}"#;
    let stream = Stream::open(replay.master_port(), &http::post_json("/api/v1/scheduler", call)).unwrap();
    wait_for(&stream, "HEARTBEAT");
    stream.close();
    wait::until("the framework is gone", || {
        let all = read(replay, "/frameworks");
        let gone = all["completed_frameworks"]
            .as_array()
            .is_some_and(|f| f.len() == 1);
        if gone { Ok(()) } else { Err(all.to_string()) }
    });
}

fn reads_with_tasks(replay: &mut Replay) {
    let later = [
        "master-with-tasks/GET_OPERATIONS-after-op",
        "master-with-tasks/GET_FRAMEWORKS-disconnected",
    ];
    for folder in [
        "master-with-tasks",
        "master-with-tasks-protobuf",
        "agent-with-tasks",
        "agent-with-tasks-protobuf",
    ] {
        for name in exchange::names(folder)
            .iter()
            .filter(|n| !later.contains(&n.as_str()))
        {
            replay.send(name);
        }
    }
    for folder in ["master-v0-with-tasks", "agent-v0-with-tasks"] {
        replay.send_folder(folder);
    }
}

fn reconcile_and_kill(replay: &mut Replay, first: &mut Scheduler) {
    replay.send("scheduler/RECONCILE-implicit");
    first.wait_for("UPDATE long1 TASK_RUNNING REASON_RECONCILIATION");
    for name in ["known", "unknown-task", "unknown-agent", "no-agent"] {
        replay.send(&format!("scheduler/RECONCILE-explicit-{name}"));
    }
    first.wait_for("UPDATE never2 TASK_UNKNOWN REASON_RECONCILIATION");
    replay.send("scheduler/RECONCILE_OPERATIONS-empty");
    replay.send("scheduler/RECONCILE_OPERATIONS-unknown");
    replay.send("scheduler/KILL-long1");
    first.acknowledge(replay, "scheduler/ACKNOWLEDGE-long1-TASK_KILLED");
    replay.send("scheduler/KILL-unknown-task");
    first.wait_for("UPDATE never3 TASK_GONE");
    // The acknowledgement has reached the agent when the master knows the task no more.
    wait::until("long1 is completed", || {
        let state = read(replay, "/state");
        let tasks = state
            .pointer("/frameworks/0/tasks")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        if tasks.iter().any(|t| t["id"] == "long1") {
            Err(state.to_string())
        } else {
            Ok(())
        }
    });
    replay.send("scheduler/KILL-again-terminal");
    first.wait_for("UPDATE long1 TASK_GONE");
    replay.send("scheduler/MESSAGE-to-command-executor");
    replay.send("scheduler/REQUEST");
}

fn read(replay: &Replay, path: &str) -> Value {
    read_from(replay.master_port(), path)
}

fn read_from(port: u16, path: &str) -> Value {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    match http::request(port, request.as_bytes()) {
        Ok(Some(answer)) => serde_json::from_slice(&answer.body).unwrap_or_default(),
        _ => Value::Null,
    }
}

fn offers_and_refusals(replay: &mut Replay, first: &mut Scheduler) {
    first.with_offer(replay, "scheduler/DECLINE");
    replay.send("scheduler/DECLINE-again-invalid-offer");
    replay.send("scheduler/SUPPRESS");
    replay.send("scheduler/SUPPRESS-again");
    replay.send("scheduler/REVIVE");
    first.with_offer(replay, "scheduler/DECLINE-default-filter");
    replay.send("scheduler/REVIVE");
    for (name, update) in [
        ("invalid-offer", "UPDATE bad-offer TASK_DROPPED"),
        ("too-much-cpu", "UPDATE bad-cpu TASK_ERROR"),
        ("no-command", "UPDATE bad-nocmd TASK_ERROR"),
        ("no-resources", "UPDATE bad-nores TASK_ERROR"),
        ("bad-task-id", "UPDATE bad/id TASK_ERROR"),
        ("wrong-agent", "UPDATE bad-agent TASK_ERROR"),
        ("duplicate-task-id", "UPDATE long2 TASK_ERROR"),
    ] {
        first.with_offer(replay, &format!("scheduler/ACCEPT-{name}"));
        first.wait_for(update);
    }
}

fn failing_tasks(replay: &mut Replay, first: &mut Scheduler) {
    first.with_offer(replay, "scheduler/ACCEPT-exit-3");
    // As recorded: nothing is acknowledged until the task has failed, so the master's newest state runs ahead.
    wait::until("exit3 failed", || {
        let found = read(replay, "/tasks?task_id=exit3");
        let tasks = found["tasks"].as_array().cloned().unwrap_or_default();
        if tasks
            .iter()
            .any(|t| t["id"] == "exit3" && t["state"] == "TASK_FAILED")
        {
            Ok(())
        } else {
            Err(tasks)
        }
    });
    for state in ["STARTING", "RUNNING", "FAILED"] {
        first.acknowledge(replay, &format!("scheduler/ACKNOWLEDGE-exit3-TASK_{state}"));
    }
    first.with_offer(replay, "scheduler/ACCEPT-bad-uri");
    first.acknowledge(replay, "scheduler/ACKNOWLEDGE-baduri-TASK_FAILED");
    first.with_offer(replay, "scheduler/ACCEPT-no-such-user");
    first.acknowledge(replay, "scheduler/ACKNOWLEDGE-baduser-TASK_DROPPED");
}

fn operations_and_update(replay: &mut Replay, first: &mut Scheduler) {
    for name in ["RESERVE", "UNRESERVE", "RESERVE-bad", "RESERVE-with-operation-id"] {
        first.with_offer(replay, &format!("scheduler/ACCEPT-{name}"));
    }
    first.wait_for("UPDATE_OPERATION_STATUS op-1");
    replay.send("master-with-tasks/GET_OPERATIONS-after-op");
    replay.send("scheduler/SHUTDOWN-executor");
    replay.send("scheduler/UPDATE_FRAMEWORK");
    replay.send("scheduler/UPDATE_FRAMEWORK-change-user");
    replay.send("scheduler/UPDATE_FRAMEWORK-change-checkpoint");
    first.acknowledge(replay, "scheduler/ACKNOWLEDGE-long2-TASK_KILLED");
}

fn takeover(replay: &mut Replay, first: &Scheduler, operator: &Stream) {
    let second = Scheduler::subscribe(replay, "scheduler/stream-2-SUBSCRIBE-failover");
    let end = first.stream.wait_end();
    if !end.is_empty() {
        replay.differs("scheduler/stream-1-SUBSCRIBE", "end", end);
    }
    replay.check_stream("scheduler/stream-1-SUBSCRIBE", &first.stream, &[]);
    replay.send("scheduler/call-with-old-stream-id");
    replay.check_stream("scheduler/stream-2-SUBSCRIBE-failover", &second.stream, &[]);
    second.stream.close();
    wait::until("the framework is disconnected", || {
        let state = read(replay, "/frameworks");
        let connected = state.pointer("/frameworks/0/connected");
        if connected == Some(&Value::Bool(false)) {
            Ok(())
        } else {
            Err(state.to_string())
        }
    });
    replay.send("master-with-tasks/GET_FRAMEWORKS-disconnected");
    let third = Scheduler::subscribe(replay, "scheduler/stream-3-SUBSCRIBE-after-disconnect");
    replay.send("scheduler/TEARDOWN");
    let end = third.stream.wait_end();
    if !end.is_empty() {
        replay.differs("scheduler/stream-3-SUBSCRIBE-after-disconnect", "end", end);
    }
    replay.check_stream(
        "scheduler/stream-3-SUBSCRIBE-after-disconnect",
        &third.stream,
        &[],
    );
    wait_for(operator, "FRAMEWORK_REMOVED golden2");
}

/// Both sides of a custom executor. The test is the executor: the agent starts a process that only waits, and the calls
/// which the recorded one made come from here.
fn custom_executor(replay: &mut Replay) {
    replay.binder.forget_names();
    replay
        .binder
        .place("sleep 1000001", "python3 /srv/mesos/rec/exec.py");
    let mut scheduler = Scheduler::subscribe(replay, "scheduler-custom-executor/stream-SUBSCRIBE");
    scheduler.with_offer(replay, "scheduler-custom-executor/ACCEPT-LAUNCH-custom-executor");
    // A real executor exists before it subscribes; this one must wait for the process that stands for it.
    wait::until("the executor's container is there", || {
        let containers = read_from(replay.agent_port(), "/containers");
        let list = containers.as_array().map(Vec::as_slice).unwrap_or_default();
        let ours = list.iter().find(|c| c["executor_id"] == "pyexec");
        let started = ours.is_some_and(|c| c.pointer("/status/executor_pid").is_some());
        if started {
            Ok(())
        } else {
            Err(containers.to_string())
        }
    });
    let one = replay.subscribe("executor/stream-1-SUBSCRIBE");
    one.wait("LAUNCH", |events| {
        events.iter().any(|e| e["type"] == "LAUNCH").then_some(())
    });
    for name in exchange::names("executor").iter().filter(|n| n.contains("/err-")) {
        replay.send(name);
    }
    running(replay);
    scheduler.acknowledge(replay, "scheduler-custom-executor/ACKNOWLEDGE-ct1-RUNNING");
    one.wait("ACKNOWLEDGED", |events| {
        events.iter().any(|e| e["type"] == "ACKNOWLEDGED").then_some(())
    });
    replay.send("executor/MESSAGE");
    scheduler.wait_for("MESSAGE");
    replay.send("executor/HEARTBEAT");
    replay.send("scheduler-custom-executor/MESSAGE");
    one.wait("MESSAGE", |events| {
        events.iter().any(|e| e["type"] == "MESSAGE").then_some(())
    });
    let two = replay.subscribe("executor/stream-2-SUBSCRIBE-again");
    replay.check_stream("executor/stream-1-SUBSCRIBE", &one, &[]);
    replay.send("scheduler-custom-executor/KILL-ct1");
    two.wait("KILL", |events| {
        events.iter().any(|e| e["type"] == "KILL").then_some(())
    });
    replay.send("executor/UPDATE-TASK_KILLED");
    scheduler.acknowledge(replay, "scheduler-custom-executor/ACKNOWLEDGE-ct1-KILLED");
    two.wait("ACKNOWLEDGED", |events| {
        events.iter().any(|e| e["type"] == "ACKNOWLEDGED").then_some(())
    });
    replay.send("scheduler-custom-executor/SHUTDOWN");
    two.wait("SHUTDOWN", |events| {
        events.iter().any(|e| e["type"] == "SHUTDOWN").then_some(())
    });
    replay.check_stream("executor/stream-2-SUBSCRIBE-again", &two, &[]);
    scheduler.wait_for("FAILURE pyexec");
    replay.check_stream(
        "scheduler-custom-executor/stream-SUBSCRIBE",
        &scheduler.stream,
        &[],
    );
    replay.send("scheduler-custom-executor/TEARDOWN");
}

/// The update of the recorded executor whose request was not recorded, only what came of it.
fn running(replay: &mut Replay) {
    let recorded = exchange::events("scheduler-custom-executor/stream-SUBSCRIBE");
    let status = recorded
        .iter()
        .find_map(|e| e.pointer("/update/status").cloned())
        .unwrap();
    let mut sent = serde_json::Map::new();
    for key in [
        "task_id",
        "state",
        "message",
        "source",
        "uuid",
        "healthy",
        "data",
        "labels",
        "timestamp",
    ] {
        if let Some(value) = status.get(key) {
            sent.insert(key.to_owned(), value.clone());
        }
    }
    let example = body("executor/HEARTBEAT");
    let call = serde_json::json!({
        "framework_id": example["framework_id"], "executor_id": example["executor_id"],
        "type": "UPDATE", "update": {"status": sent},
    });
    let request = http::post_json("/api/v1/executor", &call.to_string());
    let answer = http::request(replay.agent_port(), &replay.binder.request(&request))
        .unwrap()
        .unwrap();
    assert_eq!(answer.status, 202, "{}", answer.text());
}

/// An agent is killed, found unreachable, and comes back with its tasks.
fn lost_agent() -> Replay {
    let flags = [
        "--hostname=localhost",
        "--agent_ping_timeout=1secs",
        "--max_agent_ping_timeouts=3",
    ];
    let mut pair = Pair::start(&flags, &AGENT);
    let mut replay = Replay::new(&pair, 25050);
    let operator = replay.subscribe("master-events/SUBSCRIBE-agent-lost");
    let mut aware = Scheduler::subscribe(&mut replay, "agent-lost/stream-partition-aware");
    aware.with_offer(&mut replay, "agent-lost/ACCEPT");
    aware.acknowledge_live(&replay, "UPDATE u1 TASK_STARTING");
    aware.acknowledge_live(&replay, "UPDATE u1 TASK_RUNNING");
    let mut unaware = Scheduler::subscribe(&mut replay, "agent-lost/stream-not-partition-aware");
    unaware.with_offer(&mut replay, "agent-lost/ACCEPT-not-aware");
    unaware.acknowledge_live(&replay, "UPDATE u2 TASK_STARTING");
    unaware.acknowledge_live(&replay, "UPDATE u2 TASK_RUNNING");
    short_lived_framework(&replay, &operator);
    replay.send("agent-lost/GET_FRAMEWORKS-after-disconnect-failover-0");
    pair.agent.take().unwrap().end(Signal::SIGKILL);
    wait::until("the agent is disconnected", || {
        let slaves = read(&replay, "/slaves");
        if slaves.pointer("/slaves/0/active") == Some(&Value::Bool(false)) {
            Ok(())
        } else {
            Err(slaves)
        }
    });
    replay.send("agent-lost/GET_AGENTS-disconnected");
    replay.send("agent-lost/v0-slaves-disconnected");
    while_unreachable(&mut replay, &aware, &unaware);
    pair.start_agent(&AGENT);
    aware.wait_for("UPDATE u1 TASK_RUNNING REASON_AGENT_REREGISTERED");
    unaware.wait_for("UPDATE u2 TASK_RUNNING REASON_AGENT_REREGISTERED");
    replay.send("agent-lost/GET_AGENTS-reregistered");
    replay.send("agent-lost/GET_TASKS-reregistered");
    replay.send("agent-lost/TEARDOWN");
    aware.stream.wait_end();
    replay.send("agent-lost/TEARDOWN-1");
    unaware.stream.wait_end();
    wait_for(&operator, "FRAMEWORK_REMOVED lost-not-aware");
    replay.check_stream("agent-lost/stream-partition-aware", &aware.stream, &[]);
    replay.check_stream("agent-lost/stream-not-partition-aware", &unaware.stream, &[]);
    replay.check_stream("master-events/SUBSCRIBE-agent-lost", &operator, &[]);
    pair.stop();
    replay
}

/// A framework without a failover timeout is gone with its connection.
fn short_lived_framework(replay: &Replay, operator: &Stream) {
    let recorded = exchange::events("master-events/SUBSCRIBE-agent-lost");
    let info = recorded.iter().find_map(|e| {
        let info = e.pointer("/framework_added/framework/framework_info")?;
        (info["name"] == "gone-on-disconnect").then(|| info.clone())
    });
    let mut info = info.unwrap();
    info.as_object_mut().unwrap().remove("id");
    let call = serde_json::json!({"type": "SUBSCRIBE", "subscribe": {"framework_info": info}});
    let request = http::post_json("/api/v1/scheduler", &call.to_string());
    let stream = Stream::open(replay.master_port(), &request).unwrap();
    wait_for(operator, "FRAMEWORK_ADDED gone-on-disconnect");
    stream.close();
    wait_for(operator, "FRAMEWORK_REMOVED gone-on-disconnect");
}

fn while_unreachable(replay: &mut Replay, aware: &Scheduler, unaware: &Scheduler) {
    aware.wait_for("UPDATE u1 TASK_UNREACHABLE REASON_AGENT_REMOVED");
    unaware.wait_for("UPDATE u2 TASK_LOST REASON_AGENT_REMOVED");
    aware.wait_for("FAILURE");
    unaware.wait_for("FAILURE");
    for name in [
        "GET_AGENTS-unreachable",
        "GET_STATE-unreachable",
        "GET_TASKS-unreachable",
    ] {
        replay.send(&format!("agent-lost/{name}"));
    }
    for name in [
        "v0-frameworks-unreachable",
        "v0-slaves-unreachable",
        "v0-tasks-unreachable",
        "registry",
    ] {
        replay.send(&format!("agent-lost/{name}"));
    }
    replay.send("agent-lost/RECONCILE-explicit");
    replay.send("agent-lost/RECONCILE-implicit");
    replay.send("agent-lost/KILL-on-unreachable");
    aware.stream.wait("two answers", |events| {
        let answers = events
            .iter()
            .filter(|e| key(e) == "UPDATE u1 TASK_UNREACHABLE REASON_RECONCILIATION");
        (answers.count() == 2).then_some(())
    });
}

/// An agent unregisters, and another ends without a word.
fn leaving_agent() -> Replay {
    let mut pair = Pair::master_only(&MASTER);
    wait_up(&pair.master_address());
    let mut replay = Replay::new(&pair, 25050);
    let scheduler = Scheduler::subscribe(&mut replay, "agent-lifecycle/scheduler-SUBSCRIBE");
    let operator = replay.subscribe("agent-lifecycle/operator-SUBSCRIBE");
    let count = |stream: &Stream, kind: &str, n: usize| {
        stream.wait(kind, |events| {
            (events.iter().filter(|e| e["type"] == kind).count() >= n).then_some(())
        });
    };
    pair.start_agent(&AGENT);
    count(&operator, "AGENT_ADDED", 1);
    count(&scheduler.stream, "OFFERS", 1);
    // The master lists it a moment before it knows that itself, and only then it has something to unregister.
    wait::until("the agent knows that it is registered", || {
        let state = read_from(replay.agent_port(), "/state");
        let known = state["id"].as_str().is_some_and(|id| !id.is_empty());
        if known { Ok(()) } else { Err(state.to_string()) }
    });
    pair.agent.take().unwrap().end(Signal::SIGUSR1);
    count(&operator, "AGENT_REMOVED", 1);
    count(&scheduler.stream, "RESCIND", 1);
    count(&scheduler.stream, "FAILURE", 1);
    replay.send("agent-lifecycle/GET_AGENTS-after-SIGUSR1");
    replay.send("agent-lifecycle/registry-after-SIGUSR1");
    pair.start_agent(&AGENT);
    count(&operator, "AGENT_ADDED", 2);
    count(&scheduler.stream, "OFFERS", 2);
    pair.agent.take().unwrap().end(Signal::SIGTERM);
    count(&scheduler.stream, "RESCIND", 2);
    replay.send("agent-lifecycle/GET_AGENTS-after-SIGTERM");
    replay.check_stream("agent-lifecycle/operator-SUBSCRIBE", &operator, &[]);
    replay.check_stream("agent-lifecycle/scheduler-SUBSCRIBE", &scheduler.stream, &[]);
    replay
}
