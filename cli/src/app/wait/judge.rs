//! How far an app is, and how a deployment ended, by what can be seen. Pure.

use crate::app::client::{Dated, seconds};
use crate::app::list::{count, has_health_checks};
use crate::cluster::{list, string};
use meseta_service_core::app::AppId;
use serde_json::Value;
use std::collections::BTreeMap;

/// How a deployment ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Done,
    /// With the reason.
    Failed(String),
}

/// What a deployment is to lead to, by app: a version, or `None` when the app goes.
pub(crate) type Targets = BTreeMap<AppId, Option<String>>;

/// How far an app is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) done: u64,
    pub(super) wanted: u64,
    /// Whether there is a health check that says so.
    pub(super) healthy_counts: bool,
}

/// How many instances are as wanted: of the target's version, healthy where that is asked.
pub(super) fn seen(app: &Value, target: Option<&str>) -> Seen {
    let healthy_counts = has_health_checks(app);
    let tasks = list(app, "tasks");
    let Some(target) = target else {
        return Seen {
            done: 0,
            wanted: tasks.len() as u64,
            healthy_counts,
        };
    };
    // Scaling does not make old instances old: what counts is the configuration they run.
    let config = match string(app, &["versionInfo", "lastConfigChangeAt"]) {
        "" => target,
        stamp => stamp,
    };
    let config = seconds(config).unwrap_or(0.0);
    let new = tasks.iter().filter(|task| {
        let version = seconds(string(task, &["version"])).unwrap_or(0.0);
        version >= config
    });
    let good =
        new.filter(|task| string(task, &["state"]) == "TASK_RUNNING" && (!healthy_counts || is_alive(task)));
    Seen {
        done: good.count() as u64,
        wanted: count(app, "instances"),
        healthy_counts,
    }
}

/// Whether every health check of a task says so.
fn is_alive(task: &Value) -> bool {
    let results = list(task, "healthCheckResults");
    !results.is_empty() && results.iter().all(|r| r.get("alive") == Some(&Value::Bool(true)))
}

/// How a deployment that is not there any more ended, by what it left.
pub(super) fn judge(targets: &Targets, states: &BTreeMap<AppId, Option<Dated<Value>>>) -> End {
    for (id, target) in targets {
        let app = states.get(id).and_then(Option::as_ref).map(|app| &app.value);
        match (target, app) {
            (None, None) => {}
            (None, Some(_)) => return End::Failed(format!("{id} is still there")),
            (Some(_), None) => return End::Failed(format!("{id} is not there any more")),
            (Some(version), Some(app)) => {
                let now = string(app, &["version"]);
                if !version.is_empty() && seconds(now) != seconds(version) {
                    return End::Failed(format!(
                        "{id} is at version {now} now: another change took its place"
                    ));
                }
                let seen = seen(app, Some(version));
                if seen.done < seen.wanted {
                    let word = if seen.healthy_counts { "healthy" } else { "running" };
                    return End::Failed(format!("{id} has {} of {} {word}", seen.done, seen.wanted));
                }
            }
        }
    }
    End::Done
}

/// What a deployment under way leads to, as its plan says.
pub(crate) fn targets(deployment: &Value) -> Targets {
    let version = string(deployment, &["version"]);
    let steps = list(deployment, "steps").iter();
    let stopped: Vec<&str> = steps
        .flat_map(|step| list(step, "actions"))
        .filter(|a| string(a, &["action"]) == "StopApplication")
        .map(|a| string(a, &["app"]))
        .collect();
    let affected = list(deployment, "affectedApps").iter().filter_map(Value::as_str);
    affected
        .map(|id| {
            let target = (!stopped.contains(&id)).then(|| version.to_owned());
            (AppId::recorded(id), target)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const V1: &str = "2026-11-21T12:00:00.000Z";
    const V2: &str = "2026-11-21T12:05:00.000Z";

    fn task(version: &str, state: &str, alive: Option<bool>) -> Value {
        let results: Vec<Value> = alive.map(|a| json!({"alive": a})).into_iter().collect();
        json!({"version": version, "state": state, "healthCheckResults": results})
    }

    fn app(version: &str, checks: bool, tasks: Vec<Value>) -> Value {
        let checks: Vec<Value> = checks.then(|| json!({})).into_iter().collect();
        json!({
            "id": "/web", "instances": 2, "version": version, "tasks": tasks, "healthChecks": checks,
            "versionInfo": {"lastConfigChangeAt": version},
        })
    }

    fn end(target: Option<&str>, app: Option<Value>) -> End {
        let id = AppId::recorded("/web");
        let states = [(id.clone(), app.map(|value| Dated { value, now: 0.0 }))].into();
        judge(&[(id, target.map(str::to_owned))].into(), &states)
    }

    #[test]
    fn only_healthy_instances_of_the_new_version_count() {
        let tasks = vec![
            task(V1, "TASK_RUNNING", Some(true)),
            task(V2, "TASK_RUNNING", Some(true)),
            task(V2, "TASK_RUNNING", Some(false)),
            task(V2, "TASK_RUNNING", None),
            task(V2, "TASK_STAGING", None),
        ];
        assert_eq!(seen(&app(V2, true, tasks.clone()), Some(V2)).done, 1);
        assert_eq!(seen(&app(V2, false, tasks.clone()), Some(V2)).done, 3);
        let mut scaled = app(V2, false, tasks);
        scaled["versionInfo"]["lastConfigChangeAt"] = json!(V1);
        assert_eq!(seen(&scaled, Some(V2)).done, 4, "scaling makes nothing old");
    }

    #[test]
    fn an_end_that_nobody_heard_of_is_told_by_what_it_left() {
        let two = vec![task(V2, "TASK_RUNNING", None), task(V2, "TASK_RUNNING", None)];
        assert_eq!(end(Some(V2), Some(app(V2, false, two.clone()))), End::Done);
        assert_eq!(end(None, None), End::Done);
        for (target, app) in [
            (Some(V2), Some(app(V1, false, two.clone()))),
            (Some(V2), Some(app(V2, true, two.clone()))),
            (Some(V2), None),
            (None, Some(app(V2, false, two))),
        ] {
            assert!(matches!(end(target, app), End::Failed(_)), "{target:?}");
        }
    }

    #[test]
    fn a_plan_says_what_it_leads_to() {
        let plan = json!({
            "version": V2, "affectedApps": ["/db", "/web"],
            "steps": [{"actions": [{"action": "StopApplication", "app": "/db"}]},
                      {"actions": [{"action": "RestartApplication", "app": "/web"}]}],
        });
        let targets = targets(&plan);
        assert_eq!(targets.get(&AppId::recorded("/db")), Some(&None));
        assert_eq!(targets.get(&AppId::recorded("/web")), Some(&Some(V2.to_owned())));
    }
}
