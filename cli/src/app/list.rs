//! `app list` and `deployment list` as tables: pure functions over the API's objects.

use super::client::{Dated, seconds, short_deployment};
use crate::cluster::{list, number, string};
use crate::output::{self, Cell, List, cells};
use crate::text::{age, cores, mebibytes};
use serde_json::Value;
use std::collections::BTreeMap;

/// An instance that is looked for less long is under way, not waiting.
pub(super) const WAITING_AFTER: f64 = 5.0;

/// The app's count of a member, 0 when it is absent.
pub(crate) fn count(app: &Value, member: &str) -> u64 {
    app.get(member).and_then(Value::as_u64).unwrap_or(0)
}

/// Whether its instances are asked how they are.
pub(crate) fn has_health_checks(app: &Value) -> bool {
    !list(app, "healthChecks").is_empty()
}

/// The queue's entries by app.
pub(crate) fn by_app(queue: &[Value]) -> BTreeMap<&str, &Value> {
    queue
        .iter()
        .map(|entry| (string(entry, &["app", "id"]), entry))
        .collect()
}

/// `delayed:12s`, or the word.
pub(super) fn status_cell(app: &Value, entry: Option<&Value>, now: f64) -> Cell {
    match (status(app, entry, now), entry.map(delay_left)) {
        ("delayed", Some(left)) => Cell::time("delayed:", now + left, age(left)),
        (word, _) => word.into(),
    }
}

fn delay_left(entry: &Value) -> f64 {
    number(entry, &["delay", "timeLeftSeconds"]).unwrap_or(0.0)
}

/// `running`, `deploying`, `waiting`, `delayed`, `suspended`, `unhealthy`.
pub(crate) fn status(app: &Value, entry: Option<&Value>, now: f64) -> &'static str {
    if let Some(entry) = entry {
        if entry.pointer("/delay/overdue") == Some(&Value::Bool(false)) && delay_left(entry) > 0.0 {
            return "delayed";
        }
        let since = seconds(string(entry, &["since"])).unwrap_or(now);
        if now - since >= WAITING_AFTER {
            return "waiting";
        }
    }
    if !list(app, "deployments").is_empty() || entry.is_some() {
        "deploying"
    } else if count(app, "instances") == 0 && count(app, "tasksRunning") + count(app, "tasksStaged") == 0 {
        "suspended"
    } else if count(app, "tasksUnhealthy") > 0 {
        "unhealthy"
    } else {
        "running"
    }
}

/// Whether a status says that nothing goes on by itself.
fn waits(status: &str) -> bool {
    matches!(status, "waiting" | "delayed")
}

/// The table of apps.
pub(super) fn apps(apps: &Dated<Vec<Value>>, queue: &[Value], only_waiting: bool) -> List {
    let queue = by_app(queue);
    let mut rows: Vec<(Vec<Cell>, Value)> = apps
        .value
        .iter()
        .filter_map(|app| {
            let id = string(app, &["id"]);
            let entry = queue.get(id).copied();
            if only_waiting && !waits(status(app, entry, apps.now)) {
                return None;
            }
            let status = status_cell(app, entry, apps.now);
            Some((row(app, status, apps.now), app.clone()))
        })
        .collect();
    rows.sort_by(|(_, a), (_, b)| string(a, &["id"]).cmp(string(b, &["id"])));
    List {
        columns: vec![
            output::text("ID"),
            output::text("STATUS"),
            output::number("INSTANCES"),
            output::number("HEALTHY"),
            output::number("CPUS"),
            output::number("MEM"),
            output::text("AGE"),
            output::text("IMAGE-OR-CMD").wide(),
            output::text("ROLE").wide(),
            output::text("DEPLOYMENT").wide(),
            output::text("LAST-FAILURE").wide(),
        ],
        rows,
        empty: if only_waiting {
            "no app waits for anything"
        } else {
            "no apps; start one: meseta apply FILE"
        },
    }
}

fn row(app: &Value, status: Cell, now: f64) -> Vec<Cell> {
    let instances = count(app, "instances");
    let of = |member: &str| number(app, &[member]).unwrap_or(0.0) * instances as f64;
    let healthy = if has_health_checks(app) {
        count(app, "tasksHealthy").to_string()
    } else {
        String::new()
    };
    let ago = |path: &[&str]| seconds(string(app, path)).map_or_else(Cell::default, |t| Cell::ago(now, t));
    let deployment = list(app, "deployments")
        .first()
        .map_or("", |d| string(d, &["id"]));
    cells![
        string(app, &["id"]),
        status,
        format!("{}/{instances}", count(app, "tasksRunning")),
        healthy,
        cores(of("cpus")),
        mebibytes(of("mem")),
        ago(&["version"]),
        what_runs(app),
        string(app, &["role"]),
        short_deployment(deployment),
        ago(&["lastTaskFailure", "timestamp"]),
    ]
}

/// Its image, or its command.
pub(super) fn what_runs(app: &Value) -> String {
    let args = || {
        let words: Vec<&str> = list(app, "args").iter().filter_map(Value::as_str).collect();
        words.join(" ")
    };
    match (
        string(app, &["container", "docker", "image"]),
        string(app, &["cmd"]),
    ) {
        ("", "") => args(),
        ("", cmd) => cmd.to_owned(),
        (image, _) => image.to_owned(),
    }
}

/// The table of deployments.
pub(super) fn deployments(deployments: &Dated<Vec<Value>>) -> List {
    let rows = deployments.value.iter().map(|d| {
        let affected: Vec<&str> = list(d, "affectedApps").iter().filter_map(Value::as_str).collect();
        let affected = match affected.as_slice() {
            [] => String::new(),
            [one] => (*one).to_owned(),
            [first, rest @ ..] => format!("{first}+{}", rest.len()),
        };
        let action = list(d, "currentActions")
            .first()
            .map_or("", |a| string(a, &["action"]));
        let since = seconds(string(d, &["version"]));
        let cells = cells![
            short_deployment(string(d, &["id"])),
            affected,
            step(d),
            action_word(action),
            since.map_or_else(Cell::default, |t| Cell::ago(deployments.now, t)),
            string(d, &["id"]),
        ];
        (cells, d.clone())
    });
    List {
        columns: vec![
            output::text("ID"),
            output::text("AFFECTED"),
            output::text("STEP"),
            output::text("STATE"),
            output::text("AGE"),
            output::text("FULL-ID").wide(),
        ],
        rows: rows.collect(),
        empty: "no deployment is under way",
    }
}

/// `2/4`.
pub(super) fn step(deployment: &Value) -> String {
    format!(
        "{}/{}",
        count(deployment, "currentStep"),
        count(deployment, "totalSteps")
    )
}

/// `restart` of `RestartApplication`.
pub(super) fn action_word(action: &str) -> &'static str {
    match action {
        "StartApplication" => "start",
        "StopApplication" => "stop",
        "ScaleApplication" => "scale",
        "RestartApplication" => "restart",
        "KillAllOldTasksOf" => "kill-old",
        _ => "change",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Style;
    use serde_json::json;

    const NOW: &str = "2026-11-21T12:10:00.000Z";

    fn now() -> f64 {
        seconds(NOW).unwrap_or(0.0)
    }

    fn app(id: &str, more: &Value) -> Value {
        let mut app = json!({
            "id": id, "cmd": "./server", "instances": 3, "cpus": 0.5, "mem": 512, "tasksRunning": 3, "tasksStaged": 0,
            "tasksHealthy": 0, "tasksUnhealthy": 0, "deployments": [], "version": "2026-11-21T12:06:48.000Z",
        });
        for (name, value) in more.as_object().into_iter().flatten() {
            app[name] = value.clone();
        }
        app
    }

    fn entry(id: &str, overdue: bool, left: u64, since: &str) -> Value {
        json!({"app": {"id": id}, "count": 1, "delay": {"overdue": overdue, "timeLeftSeconds": left}, "since": since})
    }

    #[test]
    fn each_state_has_its_word() {
        let old = "2026-11-21T12:09:00.000Z";
        for (more, queued, word) in [
            (json!({}), None, "running"),
            (json!({"deployments": [{"id": "d"}]}), None, "deploying"),
            (json!({"instances": 0, "tasksRunning": 0}), None, "suspended"),
            (json!({"tasksUnhealthy": 1}), None, "unhealthy"),
            (
                json!({"tasksRunning": 2}),
                Some(entry("/web", true, 0, old)),
                "waiting",
            ),
            (
                json!({"tasksRunning": 2}),
                Some(entry("/web", true, 0, NOW)),
                "deploying",
            ),
            (
                json!({"tasksRunning": 2}),
                Some(entry("/web", false, 12, old)),
                "delayed:12s",
            ),
        ] {
            assert_eq!(
                status_cell(&app("/web", &more), queued.as_ref(), now()),
                word,
                "{more}"
            );
        }
    }

    #[test]
    fn the_table_of_apps() {
        let apps = Dated {
            value: vec![
                app("/web", &json!({"healthChecks": [{}], "tasksHealthy": 2})),
                app("/db", &json!({"instances": 1, "tasksRunning": 0})),
            ],
            now: now(),
        };
        let queue = [entry("/db", true, 0, "2026-11-21T12:09:00.000Z")];
        assert_eq!(
            super::apps(&apps, &queue, false).part(&Style::plain()),
            "\
ID    STATUS   INSTANCES  HEALTHY  CPUS   MEM  AGE
/db   waiting        0/1        -   0.5  512M  3m12s
/web  running        3/3        2   1.5  1.5G  3m12s
"
        );
        let waiting = super::apps(&apps, &queue, true);
        assert_eq!(waiting.rows.len(), 1);
    }

    #[test]
    fn the_table_of_deployments() {
        let deployments = Dated {
            value: vec![json!({
                "id": "5f1c2a90-1111-4222-8333-944455566677", "affectedApps": ["/web", "/db", "/cache"],
                "currentStep": 2, "totalSteps": 4, "currentActions": [{"action": "RestartApplication", "app": "/web"}],
                "version": "2026-11-21T12:09:20.000Z",
            })],
            now: now(),
        };
        assert_eq!(
            super::deployments(&deployments).part(&Style::plain()),
            "ID        AFFECTED  STEP  STATE    AGE\n5f1c2a90  /web+2    2/4   restart  40s\n"
        );
    }
}
