//! Apps: the definition and what is known of its instances.

use super::task::Task;
use super::{field, list, time, value, version};
use crate::api::embed::Embed;
use crate::view::{AppView, InstanceView};
use meseta_service_core::app::{AppSpec, Version};
use meseta_service_core::instance::Condition;
use meseta_service_core::io::Failure;
use meseta_types::Wall;
use serde::Serialize;
use serde_json::json;

/// How many tasks are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(in crate::api) struct Counts {
    pub(in crate::api) staged: usize,
    pub(in crate::api) running: usize,
    pub(in crate::api) healthy: usize,
    pub(in crate::api) unhealthy: usize,
}

impl Counts {
    /// Counts some of an app's instances.
    pub(in crate::api) fn of<'a>(instances: impl Iterator<Item = &'a InstanceView>) -> Counts {
        let mut counts = Counts::default();
        for view in instances {
            match view.instance.condition {
                Condition::Provisioned | Condition::Staging | Condition::Starting => counts.staged += 1,
                Condition::Running => {
                    counts.running += 1;
                    match view.instance.healthy {
                        Some(true) => counts.healthy += 1,
                        Some(false) => counts.unhealthy += 1,
                        None => {}
                    }
                }
                Condition::Scheduled | Condition::Killing | Condition::Unreachable => {}
            }
        }
        counts
    }
}

/// Appends a definition without its closing brace: the stored bytes, the number of instances, the version.
fn open_definition(out: &mut Vec<u8>, spec: &AppSpec, at: Version) {
    let inner = spec.wire.strip_suffix(b"}").unwrap_or(b"{\"id\":null");
    out.extend_from_slice(inner);
    field(out, "instances");
    value(out, &spec.instances);
    field(out, "version");
    value(out, &version(at));
}

/// When an app was scaled and changed.
fn version_info(out: &mut Vec<u8>, scaling: Version, config: Version) {
    field(out, "versionInfo");
    let info = json!({"lastScalingAt": version(scaling), "lastConfigChangeAt": version(config)});
    value(out, &info);
}

fn counts(out: &mut Vec<u8>, counts: Counts) {
    for (name, count) in [
        ("tasksStaged", counts.staged),
        ("tasksRunning", counts.running),
        ("tasksHealthy", counts.healthy),
        ("tasksUnhealthy", counts.unhealthy),
    ] {
        field(out, name);
        value(out, &count);
    }
}

/// Appends an app as reads show it.
pub(in crate::api) fn write(out: &mut Vec<u8>, app: &AppView, embed: Embed, now: Wall) {
    open_definition(out, &app.spec, app.spec.version);
    version_info(out, app.last_scaling(), app.last_config_change());
    let instances = || app.instances.values().map(|view| &**view);
    counts(out, Counts::of(instances()));
    field(out, "deployments");
    let deployments: Vec<_> = app.deployment.iter().map(|id| json!({"id": &*id.0})).collect();
    value(out, &deployments);
    if embed.tasks {
        field(out, "tasks");
        list(
            out,
            instances().filter_map(|view| Task::of(app, view)),
            |out, task| {
                value(out, &task);
            },
        );
    }
    if embed.readiness {
        field(out, "readinessCheckResults");
        let results: Vec<_> = readiness(app).collect();
        value(out, &results);
    }
    if embed.failure
        && let Some(failure) = &app.last_failure
    {
        field(out, "lastTaskFailure");
        value(out, &LastFailure::of(failure));
    }
    if embed.stats {
        field(out, "tasksStats");
        value(out, &stats(app, now));
    }
    out.push(b'}');
}

/// Appends an app as the answer to its creation shows it: nothing runs yet, one deployment.
pub(in crate::api) fn write_created(out: &mut Vec<u8>, spec: &AppSpec, at: Version, deployment: &str) {
    open_definition(out, spec, at);
    counts(out, Counts::default());
    field(out, "deployments");
    value(out, &json!([{"id": deployment}]));
    out.push(b'}');
}

/// Appends a definition as history and the queue show it.
pub(in crate::api) fn write_definition(out: &mut Vec<u8>, spec: &AppSpec, scaling: Version) {
    open_definition(out, spec, spec.version);
    version_info(out, scaling, spec.config_version);
    out.push(b'}');
}

/// Results of readiness checks.
pub(in crate::api) fn readiness(app: &AppView) -> impl Iterator<Item = serde_json::Value> {
    app.instances.values().filter_map(|view| {
        let seen = view.seen.readiness.as_ref()?;
        let mut result = json!({
            "name": &*seen.name,
            "taskId": view.instance.task_id(),
            "ready": seen.ready,
        });
        if let (Some((status, media, body)), Some(object)) = (&seen.last, result.as_object_mut()) {
            let last = json!({"status": status, "contentType": &**media, "body": &**body});
            object.insert("lastResponse".to_owned(), last);
        }
        Some(result)
    })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LastFailure<'a> {
    app_id: &'a str,
    host: &'a str,
    message: &'a str,
    state: &'a str,
    task_id: &'a str,
    timestamp: String,
    version: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    slave_id: Option<&'a str>,
}

impl LastFailure<'_> {
    fn of(failure: &Failure) -> LastFailure<'_> {
        let place = failure.place.as_ref();
        LastFailure {
            app_id: failure.app.as_str(),
            host: place.map_or("", |place| &place.host),
            message: &failure.message,
            state: &failure.state,
            task_id: &failure.task,
            timestamp: time(failure.at),
            version: version(failure.version),
            slave_id: place.map(|place| &*place.agent),
        }
    }
}

/// Whether an instance belongs to a part of them.
type Belongs<'a> = &'a dyn Fn(&InstanceView) -> bool;

/// Counts and life times, of all instances and of parts of them. A part without tasks is left out.
fn stats(app: &AppView, now: Wall) -> serde_json::Value {
    let config = app.last_config_change();
    let scaling = app.last_scaling();
    let started_later = |view: &InstanceView| {
        view.instance
            .since
            .staged
            .is_some_and(|at| at.0.div_euclid(super::NANOS_PER_MILLI) > scaling.0)
    };
    let latest = |view: &InstanceView| view.instance.config_version == config;
    let parts: [(&str, Belongs<'_>); 4] = [
        ("startedAfterLastScaling", &started_later),
        ("withLatestConfig", &latest),
        ("withOutdatedConfig", &|view| !latest(view)),
        ("totalSummary", &|_| true),
    ];
    let mut stats = serde_json::Map::new();
    for (name, belongs) in parts {
        let of_part = || {
            let tasks = app.instances.values().map(|view| &**view);
            tasks.filter(|view| view.instance.condition.has_task() && belongs(view))
        };
        if of_part().next().is_none() {
            continue;
        }
        let mut part = json!({"counts": Counts::of(of_part())});
        let ages = of_part().filter_map(|view| view.instance.since.running);
        let ages = ages.map(|since| (now.0.saturating_sub(since.0)).max(0) as f64 / 1e9);
        if let (Some(life_time), Some(object)) = (life_time(ages.collect()), part.as_object_mut()) {
            object.insert("lifeTime".to_owned(), life_time);
        }
        stats.insert(name.to_owned(), json!({"stats": part}));
    }
    stats.into()
}

fn life_time(mut ages: Vec<f64>) -> Option<serde_json::Value> {
    ages.sort_by(f64::total_cmp);
    let middle = ages.len() / 2;
    let upper = *ages.get(middle)?;
    let median = if ages.len() % 2 == 1 {
        upper
    } else {
        (upper + ages.get(middle.checked_sub(1)?)?) / 2.0
    };
    let average = ages.iter().sum::<f64>() / ages.len() as f64;
    Some(json!({"averageSeconds": average, "medianSeconds": median}))
}
