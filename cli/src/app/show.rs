//! `app show`: definition in short, instances with their addresses, the last failure with the end of what it wrote.

use super::client::{Dated, seconds, short_deployment};
use super::list::{by_app, count, has_health_checks, status_cell, step, what_runs};
use super::past::Happened;
use crate::cluster::{list, number, short_task, string};
use crate::output::{self, Cell, List, Style, block, cells};
use crate::text::{age, cores, harmless, mebibytes, plural, shorten};
use serde_json::Value;
use std::fmt::Write as _;

/// Everything that is shown of one app.
#[derive(Debug)]
pub(super) struct Shown<'a> {
    pub(super) app: &'a Dated<Value>,
    pub(super) queue: &'a [Value],
    pub(super) deployments: &'a [Value],
    /// The end of what the last failed task wrote to its standard error.
    pub(super) stderr: &'a [String],
    pub(super) events: &'a [Happened],
}

/// For people.
pub(super) fn text(shown: &Shown<'_>, style: &Style) -> String {
    let (app, now) = (&shown.app.value, shown.app.now);
    let id = string(app, &["id"]);
    let status = status_cell(app, by_app(shown.queue).get(id).copied(), now);
    let mut text = definition(app, &status.to_string(), now, shown.deployments);
    let tasks = list(app, "tasks");
    if !tasks.is_empty() {
        text.push('\n');
        text.push_str(&instances(app, now, style));
    }
    if let Some(failure) = app.get("lastTaskFailure").filter(|f| f.is_object()) {
        text.push('\n');
        text.push_str(&last_failure(failure, now, shown.stderr));
    }
    if !shown.events.is_empty() {
        text.push_str("\nevents\n");
        for event in shown.events {
            let _ = writeln!(text, "  {}", event.line());
        }
    }
    text
}

/// The block of a definition; also of an old version.
pub(super) fn definition(app: &Value, status: &str, now: f64, deployments: &[Value]) -> String {
    let amount = |name: &str| number(app, &[name]).unwrap_or(0.0);
    let running = match (status, has_health_checks(app)) {
        ("", _) => count(app, "instances").to_string(),
        (_, true) => format!(
            "{}/{} running, {} healthy",
            count(app, "tasksRunning"),
            count(app, "instances"),
            count(app, "tasksHealthy")
        ),
        (_, false) => format!(
            "{}/{} running",
            count(app, "tasksRunning"),
            count(app, "instances")
        ),
    };
    let version = string(app, &["version"]);
    let since = seconds(version).map_or(String::new(), |t| format!(" ({} ago)", age(now - t)));
    let deployment = list(app, "deployments")
        .first()
        .map_or("", |d| string(d, &["id"]));
    let plan = deployments.iter().find(|d| string(d, &["id"]) == deployment);
    let deployment = match plan {
        Some(plan) => format!("{} step {}", short_deployment(deployment), step(plan)),
        None => short_deployment(deployment).to_owned(),
    };
    let disk = match amount("disk") {
        disk if disk > 0.0 => mebibytes(disk),
        _ => String::new(),
    };
    let words = |name: &str| {
        list(app, name)
            .iter()
            .filter_map(Value::as_str)
            .collect::<Vec<_>>()
            .join(" ")
    };
    block(&[
        ("app", string(app, &["id"]).to_owned()),
        ("status", status.to_owned()),
        ("instances", running),
        ("runs", shorten(&what_runs(app), 200)),
        ("cpus", cores(amount("cpus"))),
        ("mem", mebibytes(amount("mem"))),
        ("disk", disk),
        ("role", string(app, &["role"]).to_owned()),
        ("ports", ports(app)),
        ("health", health(app)),
        ("upgrade", upgrade(app)),
        ("env", members(app, "env")),
        ("labels", members(app, "labels")),
        ("depends on", words("dependencies")),
        ("deployment", deployment),
        ("version", format!("{version}{since}")),
    ])
}

fn ports(app: &Value) -> String {
    let mappings = app.pointer("/container/portMappings").and_then(Value::as_array);
    let defined = list(app, "portDefinitions");
    let ports = mappings.map_or(defined, Vec::as_slice).iter();
    let texts = ports.map(|p| {
        let number = ["port", "servicePort", "containerPort"]
            .iter()
            .find_map(|name| p.get(*name).and_then(Value::as_u64).filter(|n| *n != 0))
            .unwrap_or(0);
        match string(p, &["name"]) {
            "" => number.to_string(),
            name => format!("{number} {name}"),
        }
    });
    texts.collect::<Vec<_>>().join(", ")
}

fn health(app: &Value) -> String {
    let checks = list(app, "healthChecks").iter().map(|check| {
        let what = match string(check, &["protocol"]) {
            "COMMAND" => format!("COMMAND {}", string(check, &["command", "value"])),
            protocol => format!("{protocol} {}", string(check, &["path"])),
        };
        let every = number(check, &["intervalSeconds"]).unwrap_or(0.0);
        format!("{} every {}", what.trim_end(), age(every))
    });
    checks.collect::<Vec<_>>().join("; ")
}

fn upgrade(app: &Value) -> String {
    let part = |name: &str| number(app, &["upgradeStrategy", name]);
    match (part("minimumHealthCapacity"), part("maximumOverCapacity")) {
        (Some(least), Some(over)) => format!(
            "at least {} healthy, at most {} more",
            percent(least),
            percent(over)
        ),
        _ => String::new(),
    }
}

fn percent(part: f64) -> String {
    format!("{:.0}%", part * 100.0)
}

/// `A=1 B=2` of an object; values may be long or secret references.
fn members(app: &Value, name: &str) -> String {
    let members = app.get(name).and_then(Value::as_object);
    let texts = members.into_iter().flatten().map(|(name, value)| match value {
        Value::String(text) => format!("{name}={}", shorten(text, 40)),
        _ => format!("{name}=(secret)"),
    });
    texts.collect::<Vec<_>>().join(" ")
}

fn instances(app: &Value, now: f64, style: &Style) -> String {
    let checked = has_health_checks(app);
    let mut rows: Vec<(Vec<Cell>, Value)> = list(app, "tasks")
        .iter()
        .map(|task| {
            let state = string(task, &["state"]);
            let results = list(task, "healthCheckResults");
            let alive = |r: &Value| r.get("alive") == Some(&Value::Bool(true));
            let health = match (checked, results.is_empty(), results.iter().all(alive)) {
                (false, ..) => "",
                (true, true, _) => "unknown",
                (true, false, true) => "healthy",
                (true, false, false) => "unhealthy",
            };
            let since = [string(task, &["startedAt"]), string(task, &["stagedAt"])];
            let since = since.into_iter().find_map(seconds);
            let cells = cells![
                short_task(string(task, &["id"])),
                state.strip_prefix("TASK_").unwrap_or(state).to_lowercase(),
                health,
                addresses(task),
                since.map_or_else(Cell::default, |t| Cell::ago(now, t)),
                string(task, &["version"]),
            ];
            (cells, Value::Null)
        })
        .collect();
    rows.sort_by_cached_key(|(cells, _)| cells.first().map(Cell::to_string));
    let list = List {
        columns: ["INSTANCE", "STATE", "HEALTH", "ADDRESS", "AGE", "VERSION"]
            .map(output::text)
            .to_vec(),
        rows,
        empty: "",
    };
    list.part(style)
}

/// `host:port`, further ports after commas.
fn addresses(task: &Value) -> String {
    let host = string(task, &["host"]);
    let ports: Vec<String> = list(task, "ports")
        .iter()
        .filter_map(Value::as_u64)
        .map(|p| p.to_string())
        .collect();
    match ports.is_empty() {
        true => host.to_owned(),
        false => format!("{host}:{}", ports.join(",")),
    }
}

fn last_failure(failure: &Value, now: f64, stderr: &[String]) -> String {
    let ago =
        seconds(string(failure, &["timestamp"])).map_or(String::new(), |t| format!(" {} ago", age(now - t)));
    let mut text = format!(
        "last failure{ago} on {}: {}\n  {}  {}\n",
        string(failure, &["host"]),
        harmless(string(failure, &["message"])),
        short_task(string(failure, &["taskId"])),
        string(failure, &["state"])
    );
    if !stderr.is_empty() {
        let _ = writeln!(text, "  stderr, last {}:", plural(stderr.len(), "line"));
        for line in stderr {
            let _ = writeln!(text, "  | {line}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_app_is_shown_with_its_instances_and_last_failure() {
        let now = seconds("2026-11-21T12:10:00.000Z").unwrap_or(0.0);
        let app = Dated {
            value: json!({
                "id": "/web", "cmd": "./server", "instances": 2, "cpus": 0.5, "mem": 128, "role": "*",
                "tasksRunning": 2, "tasksHealthy": 1, "env": {"MODE": "fast"}, "deployments": [],
                "portDefinitions": [{"port": 10000, "name": "default"}],
                "healthChecks": [{"protocol": "HTTP", "path": "/", "intervalSeconds": 5}],
                "upgradeStrategy": {"minimumHealthCapacity": 1.0, "maximumOverCapacity": 0.5},
                "version": "2026-11-21T12:06:48.000Z",
                "tasks": [
                    {"id": "web.instance-3f2a91c0-1._app.1", "host": "127.0.0.1", "ports": [31412], "state": "TASK_RUNNING",
                     "startedAt": "2026-11-21T12:09:00.000Z", "version": "2026-11-21T12:06:48.000Z",
                     "healthCheckResults": [{"alive": true}]},
                    {"id": "web.instance-77b0e1d2-1._app.2", "host": "127.0.0.1", "ports": [31207], "state": "TASK_RUNNING",
                     "startedAt": "2026-11-21T12:09:50.000Z", "version": "2026-11-21T12:06:48.000Z",
                     "healthCheckResults": []},
                ],
                "lastTaskFailure": {"message": "Command exited with status 1", "state": "TASK_FAILED", "host": "127.0.0.1",
                                    "taskId": "web.instance-77b0e1d2-1._app.1", "timestamp": "2026-11-21T12:09:48.000Z"},
            }),
            now,
        };
        let shown = Shown {
            app: &app,
            queue: &[],
            deployments: &[],
            stderr: &["boom".to_owned()],
            events: &[],
        };
        assert_eq!(
            text(&shown, &Style::plain()),
            "\
app         /web
status      running
instances   2/2 running, 1 healthy
runs        ./server
cpus        0.5
mem         128M
role        *
ports       10000 default
health      HTTP / every 5s
upgrade     at least 100% healthy, at most 50% more
env         MODE=fast
version     2026-11-21T12:06:48.000Z (3m12s ago)

INSTANCE      STATE    HEALTH   ADDRESS          AGE  VERSION
web.3f2a91c0  running  healthy  127.0.0.1:31412  1m   2026-11-21T12:06:48.000Z
web.77b0e1d2  running  unknown  127.0.0.1:31207  10s  2026-11-21T12:06:48.000Z

last failure 12s ago on 127.0.0.1: Command exited with status 1
  web.77b0e1d2  TASK_FAILED
  stderr, last 1 line:
  | boom
"
        );
    }
}
