//! Sending recordings to a living master and agent, one by one or as a whole scenario.

use super::bind::Binder;
use super::compare::{Comparison, Difference, names};
use super::exchange::{self, Exchange};
use super::http::{Connection, Response};
use super::stream::Stream;
use crate::daemon::Pair;
use meseta_proto::binary;
use meseta_proto::mesos::v1::{agent, master};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Tasks and executors of the recorded task group, which the replay does not launch: groups come with the default
/// executor.
pub const GROUP: [&str; 3] = ["g1", "g2", "group-exec"];

/// An exchange that takes longer is told of, so that a hanging replay can be understood.
const SLOW: std::time::Duration = std::time::Duration::from_secs(3);

/// The running replay.
#[derive(Debug)]
pub struct Replay {
    /// Names of this run.
    pub binder: Binder,
    /// What differed so far.
    pub found: Vec<Difference>,
    /// Recordings replayed so far.
    pub replayed: BTreeSet<String>,
    master: u16,
    agent: u16,
}

impl Drop for Replay {
    /// A replay that breaks off still tells what it found.
    fn drop(&mut self) {
        if std::thread::panicking() {
            for d in self
                .found
                .iter()
                .filter(|d| super::differences::explained(d).is_none())
            {
                println!("UNKNOWN {} | {} | {}", d.file, d.at, d.what);
            }
        }
    }
}

fn port(address: &str) -> u16 {
    address
        .rsplit_once(':')
        .and_then(|(_, port)| port.parse().ok())
        .unwrap_or(0)
}

impl Replay {
    /// Against this master and its agent, which stand for those on the recorded ports.
    pub fn new(pair: &Pair, recorded_master: u16) -> Replay {
        let (master, agent) = (port(&pair.master_address()), port(&pair.agent_address()));
        let mut binder = Binder::default();
        binder.place(&format!(":{master}"), &format!(":{recorded_master}"));
        binder.place(&format!(":{agent}"), ":25051");
        binder.place(&pair.folder().join("master").to_string_lossy(), "/srv/mesos/m");
        binder.place(&pair.folder().join("agent").to_string_lossy(), "/srv/mesos/a");
        Replay {
            binder,
            found: Vec::new(),
            replayed: BTreeSet::new(),
            master,
            agent,
        }
    }

    /// The master's port.
    pub fn master_port(&self) -> u16 {
        self.master
    }

    /// The agent's port.
    pub fn agent_port(&self) -> u16 {
        self.agent
    }

    fn port_of(&self, exchange: &Exchange) -> u16 {
        let text = String::from_utf8_lossy(&exchange.request);
        if text.contains("Host: 127.0.0.1:25051") {
            self.agent
        } else {
            self.master
        }
    }

    /// Notes a difference that no comparison finds.
    pub fn differs(&mut self, file: &str, at: &str, what: impl Into<String>) {
        self.found.push(Difference {
            file: file.to_owned(),
            at: at.to_owned(),
            what: what.into(),
        });
    }

    /// Sends every recording of a folder but those already sent, in the order of their names.
    pub fn send_folder(&mut self, folder: &str) {
        for name in exchange::names(folder) {
            if !self.replayed.contains(&name) {
                self.send(&name);
            }
        }
    }

    /// Sends a recording and compares the answer.
    pub fn send(&mut self, name: &str) {
        let exchange = exchange::load(name);
        if exchange.stream {
            drop(self.subscribe(name));
            return;
        }
        self.replayed.insert(name.to_owned());
        let request = self.binder.request(&exchange.request);
        let port = self.port_of(&exchange);
        let start = std::time::Instant::now();
        let answers = converse(port, &request, &exchange);
        if start.elapsed() > SLOW {
            println!("slow: {name} took {:?}", start.elapsed());
        }
        let (answers, open) = match answers {
            Ok(conversation) => conversation,
            Err(error) => return self.differs(name, "connection", error.to_string()),
        };
        if answers.len() != exchange.responses.len() {
            let statuses: Vec<u16> = answers.iter().map(|r| r.status).collect();
            self.differs(
                name,
                "answers",
                format!("{statuses:?} instead of {}", exchange.responses.len()),
            );
        } else if open == exchange.closed {
            let state = if open { "kept open" } else { "closed" };
            self.differs(name, "connection", state);
        }
        if exchange.responses.is_empty() && answers.iter().any(|a| a.status >= 500) {
            self.differs(name, "status", "a server's fault");
        }
        for (recorded, living) in exchange.responses.iter().zip(&answers) {
            self.compare(&exchange, port, recorded, living);
        }
    }

    fn compare(&mut self, exchange: &Exchange, port: u16, recorded: &Response, living: &Response) {
        let is_agent = port == self.agent;
        let mut comparison = Comparison::new(&exchange.name, &mut self.binder);
        comparison.head(recorded, living);
        let head = exchange.request.starts_with(b"HEAD ");
        if head || recorded.status != living.status {
            self.found.extend(comparison.finish());
            return;
        }
        if exchange.binary && living.header("content-encoding") == Some("gzip") {
            self.found.extend(comparison.finish());
            if !living.body.starts_with(&[0x1f, 0x8b]) {
                self.differs(&exchange.name, "body", "not gzip");
            }
            return;
        }
        if exchange.binary {
            let decoded = if is_agent {
                binary::decode::<agent::Response>(&living.body).map(drop)
            } else {
                binary::decode::<master::Response>(&living.body).map(drop)
            };
            let what = decoded.err().map(|e| e.to_string());
            let empty = living.body.is_empty().then(|| "empty".to_owned());
            self.found.extend(comparison.finish());
            if let Some(what) = what.or(empty) {
                self.differs(&exchange.name, "body", what);
            }
            return;
        }
        if is_names(&exchange.name) && recorded.status == 200 {
            let json = |r: &Response| serde_json::from_slice::<Value>(&r.body).unwrap_or_default();
            comparison.spelled_alike(&names(&json(recorded)), &names(&json(living)));
        } else {
            let recorded = without_group(&recorded.body);
            comparison.body(&recorded, &living.body);
        }
        self.found.extend(comparison.finish());
    }

    /// Opens a recorded stream and compares its head and its first two records.
    ///
    /// # Panics
    /// When it cannot be opened.
    pub fn subscribe(&mut self, name: &str) -> Stream {
        self.replayed.insert(name.to_owned());
        let exchange = exchange::load(name);
        let request = self.binder.request(&exchange.request);
        let port = self.port_of(&exchange);
        // An executor is refused until its agent has started it.
        let stream = crate::wait::until(name, || match Stream::open(port, &request) {
            Ok(stream) if stream.head.status == 200 => Ok(stream),
            other => Err(format!("{other:?}")),
        });
        let mut comparison = Comparison::new(name, &mut self.binder);
        if let Some(recorded) = exchange.responses.first() {
            comparison.head(recorded, &stream.head);
        }
        self.found.extend(comparison.finish());
        let recorded = records(&exchange);
        let first = stream.wait("the first record", |events| events.first().cloned());
        if let Some(event) = recorded.first() {
            self.event(name, event, &first);
        }
        if recorded.len() > 1 && recorded[1]["type"] == "HEARTBEAT" {
            let second = stream.wait("the second record", |events| events.get(1).cloned());
            if second["type"] != "HEARTBEAT" {
                self.differs(name, "order", "no HEARTBEAT after SUBSCRIBED");
            }
        }
        stream
    }

    fn event(&mut self, stream: &str, recorded: &Value, living: &Value) {
        let mut comparison = Comparison::new(&format!("{stream} {}", key(recorded)), &mut self.binder);
        comparison.json(&without_group_value(recorded.clone()), living);
        self.found.extend(comparison.finish());
    }

    /// Waits for the living record that stands for the recorded one with this update uuid, and binds the uuid.
    ///
    /// # Panics
    /// When it does not come.
    pub fn bind_update(&mut self, recorded: &[Value], uuid: &str, stream: &Stream) {
        let of = |event: &Value| {
            event
                .pointer("/update/status/uuid")
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        let event = recorded.iter().find(|e| of(e).as_deref() == Some(uuid));
        let wanted = key(event.unwrap_or_else(|| panic!("no recorded update has the uuid {uuid}")));
        let living = stream.wait(&wanted, |events| {
            events.iter().find(|e| key(e) == wanted).and_then(of)
        });
        if let Err(what) = self.binder.name(uuid, &living) {
            self.differs(&wanted, "uuid", what);
        }
    }

    /// Compares a stream's records with the recorded ones: for each task, framework or agent the same records in the
    /// same order, each of the same shape. Offers, rescinds and heartbeats depend on timing: only that the first offer
    /// has the right shape.
    pub fn check_stream(&mut self, name: &str, stream: &Stream, ignore: &[&str]) {
        let recorded = settled(&exchange::events(name), ignore);
        let living = settled(&stream.events(), ignore);
        let (a, b) = (by_subject(&recorded), by_subject(&living));
        for subject in a.keys().chain(b.keys()).collect::<BTreeSet<_>>() {
            let keys = |side: &BTreeMap<String, Vec<Value>>| -> Vec<String> {
                side.get(subject)
                    .map(|events| events.iter().map(key).collect())
                    .unwrap_or_default()
            };
            let (was, is) = (keys(&a), keys(&b));
            if was != is {
                self.differs(
                    &format!("{name} {subject}"),
                    "order",
                    format!("{is:?} instead of {was:?}"),
                );
            }
        }
        self.check_records(name, &recorded, &living);
        let offer = |events: &[Value]| events.iter().find_map(|e| e.pointer("/offers/offers/0").cloned());
        if let (Some(a), Some(b)) = (offer(&exchange::events(name)), offer(&stream.events())) {
            let mut comparison = Comparison::new(&format!("{name} OFFERS"), &mut self.binder);
            comparison.json(&a, &b);
            self.found.extend(comparison.finish());
        }
    }

    fn check_records(&mut self, name: &str, recorded: &[Value], living: &[Value]) {
        let mut used = BTreeMap::<String, usize>::new();
        for event in recorded.iter().skip(1) {
            let key = key(event);
            let nth = used.entry(key.clone()).or_default();
            let Some(other) = living.iter().filter(|e| self::key(e) == key).nth(*nth) else {
                continue;
            };
            *nth += 1;
            self.event(name, event, other);
        }
    }
}

/// The records of a recorded stream: from its file of events, else from its chunks.
fn records(exchange: &Exchange) -> Vec<Value> {
    if exchange::folder()
        .join(format!("{}.events.jsonl", exchange.name))
        .exists()
    {
        return exchange::events(&exchange.name);
    }
    let chunks = exchange
        .responses
        .first()
        .map(|r| r.chunks.as_slice())
        .unwrap_or_default();
    let record = |chunk: &Vec<u8>| {
        let start = chunk.iter().position(|b| *b == b'\n')? + 1;
        serde_json::from_slice(&chunk[start..]).ok()
    };
    chunks.iter().filter_map(record).collect()
}

/// Sends the request and reads as many answers as were recorded; tells whether the connection is open afterwards.
fn converse(port: u16, request: &[u8], exchange: &Exchange) -> std::io::Result<(Vec<Response>, bool)> {
    let mut connection = Connection::open(port)?;
    connection.send(request)?;
    let head = request.starts_with(b"HEAD ");
    let mut answers = Vec::new();
    for _ in 0..exchange.responses.len().max(1) {
        match connection.answer(head)? {
            Some(answer) => answers.push(answer),
            None => return Ok((answers, false)),
        }
    }
    // Open is what can be used again.
    connection.send(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    let open = matches!(connection.answer(false), Ok(Some(_)));
    Ok((answers, open))
}

/// Whether a recording's body is a list of names whose values are of no interest.
fn is_names(name: &str) -> bool {
    let stem = name.rsplit('/').next().unwrap_or(name).trim_start_matches("v0-");
    matches!(stem, "GET_FLAGS" | "GET_METRICS" | "flags") || stem.starts_with("metrics-snapshot")
}

/// What a record is about and says, without ids: equal for the recorded and the living one.
pub fn key(event: &Value) -> String {
    let kind = event["type"].as_str().unwrap_or("?");
    let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    match kind {
        "UPDATE" => {
            let status = |field: &str| text(&format!("/update/status/{field}"));
            format!(
                "UPDATE {} {} {}",
                status("task_id/value"),
                status("state"),
                status("reason")
            )
        }
        "TASK_UPDATED" => {
            let status = |field: &str| text(&format!("/task_updated/status/{field}"));
            format!(
                "TASK_UPDATED {} {} {}",
                status("task_id/value"),
                status("state"),
                status("reason")
            )
        }
        "TASK_ADDED" => format!("TASK_ADDED {}", text("/task_added/task/task_id/value")),
        "LAUNCH" => format!("LAUNCH {}", text("/launch/task/task_id/value")),
        "KILL" => format!("KILL {}", text("/kill/task_id/value")),
        "FRAMEWORK_ADDED" => format!(
            "{kind} {}",
            text("/framework_added/framework/framework_info/name")
        ),
        "FRAMEWORK_UPDATED" => format!(
            "{kind} {}",
            text("/framework_updated/framework/framework_info/name")
        ),
        "FRAMEWORK_REMOVED" => format!("{kind} {}", text("/framework_removed/framework_info/name")),
        "FAILURE" => format!("FAILURE {}", text("/failure/executor_id/value")),
        "UPDATE_OPERATION_STATUS" => {
            let status = |field: &str| text(&format!("/update_operation_status/status/{field}"));
            format!("{kind} {} {}", status("operation_id/value"), status("state"))
        }
        _ => kind.to_owned(),
    }
}

/// Whose order is kept: a task's, a framework's, an operation's, or the stream's own.
fn subject(event: &Value) -> String {
    let key = key(event);
    let mut words = key.split(' ');
    let (kind, first) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    match kind {
        "UPDATE" | "TASK_UPDATED" | "TASK_ADDED" | "LAUNCH" | "KILL" => format!("task {first}"),
        "FRAMEWORK_ADDED" | "FRAMEWORK_UPDATED" | "FRAMEWORK_REMOVED" => format!("framework {first}"),
        "UPDATE_OPERATION_STATUS" => format!("operation {first}"),
        _ => "the stream".to_owned(),
    }
}

fn by_subject(events: &[Value]) -> BTreeMap<String, Vec<Value>> {
    let mut sorted = BTreeMap::<String, Vec<Value>>::new();
    for event in events {
        sorted.entry(subject(event)).or_default().push(event.clone());
    }
    sorted
}

/// Without what depends on timing: offers, heartbeats, updates sent again, tasks of the group.
fn settled(events: &[Value], ignore: &[&str]) -> Vec<Value> {
    let mut seen = BTreeSet::new();
    let mut kept = Vec::new();
    for event in events {
        let kind = event["type"].as_str().unwrap_or_default();
        if matches!(kind, "OFFERS" | "HEARTBEAT" | "RESCIND") {
            continue;
        }
        let key = key(event);
        let about_group = key
            .split(' ')
            .any(|word| GROUP.contains(&word) || ignore.contains(&word));
        let uuid = event.pointer("/update/status/uuid").and_then(Value::as_str);
        let again = uuid.is_some_and(|uuid| !seen.insert(uuid.to_owned()));
        if !about_group && !again {
            kept.push(event.clone());
        }
    }
    kept
}

fn without_group(body: &[u8]) -> Vec<u8> {
    match serde_json::from_slice::<Value>(body) {
        Ok(value) => without_group_value(value).to_string().into_bytes(),
        Err(_) => body.to_vec(),
    }
}

/// A recorded value without the list elements that are tasks or executors of the group.
fn without_group_value(value: Value) -> Value {
    let of_group = |v: &Value| {
        let ids = [
            "/task_id/value",
            "/executor_info/executor_id/value",
            "/executor_id/value",
            "/id",
            "/executor_id",
        ];
        ids.iter().any(|p| {
            v.pointer(p)
                .and_then(Value::as_str)
                .is_some_and(|id| GROUP.contains(&id))
        })
    };
    match value {
        Value::Array(list) => Value::Array(
            list.into_iter()
                .filter(|v| !of_group(v))
                .map(without_group_value)
                .collect(),
        ),
        Value::Object(map) => map
            .into_iter()
            .map(|(k, v)| (k, without_group_value(v)))
            .collect(),
        other => other,
    }
}
