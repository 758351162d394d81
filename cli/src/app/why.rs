//! `app why`: verdict, funnel, ways out. Reads what there is to read, lets [`decide::decide`] decide, prints.

mod decide;

use super::client::{Apps, id_of};
use super::past;
use super::room::{NAMES_MAX, Need, Room, Stage};
use crate::api::Leader;
use crate::args::Global;
use crate::cluster::{Cluster, list, masters, string};
use crate::definition;
use crate::failure::{Failure, exit};
use crate::output::{self, Format};
use crate::text::harmless;
use decide::{Facts, decide};
pub(crate) use decide::{Why, task_prefix};
use meseta_service_core::app::AppId;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::Path;

/// Lines of a failed task's standard error in a verdict.
const STDERR_LINES: usize = 3;

/// `app why ID`.
pub(crate) async fn run(global: &Global, name: &str) -> Result<u8, Failure> {
    let id = id_of(name)?;
    let apps = Apps::find(global).await?;
    let why = of_app(&apps, global, &id).await?;
    show(global, &why)
}

/// `app why --file FILE`: would it fit?
pub(crate) async fn of_file(global: &Global, path: &Path) -> Result<u8, Failure> {
    let found = definition::read(&[path.to_owned()])?;
    let app = found
        .iter()
        .find(|d| d.kind == definition::Kind::App)
        .ok_or_else(|| {
            Failure::new(
                "invalid-file",
                exit::USAGE,
                format!("{} describes no app", path.display()),
            )
        })?;
    let leader = Leader::find(&masters(global)?).await?;
    let cluster = Cluster::read(&leader).await?;
    let wanted = app.value.get("instances").and_then(Value::as_u64).unwrap_or(1);
    let value = with_defaults(&app.value);
    let room = Room::look(&cluster, &Need::of(&value));
    let places = room.places();
    let (code, verdict) = match (places >= wanted, room.verdict()) {
        (true, _) => (
            "fits",
            format!("{} would fit now: {wanted} of {wanted} instances.", app.id),
        ),
        (false, Some(why)) => (
            "no-fit",
            format!("{} would wait for {wanted} instances: {why}.", app.id),
        ),
        (false, None) if room.agents.is_empty() => (
            "no-offers",
            format!("{} would wait: the cluster has no node.", app.id),
        ),
        (false, None) => {
            let what = format!(
                "{} would wait for {} of {wanted} instances: there is room for {places} now.",
                app.id,
                wanted - places
            );
            ("no-fit", what)
        }
    };
    let ways = room
        .ways(&cluster, &app.id)
        .into_iter()
        .map(|(w, n)| (w, Some(n)))
        .collect();
    show(
        global,
        &Why {
            id: app.id.clone(),
            code,
            verdict,
            also: Vec::new(),
            since: None,
            room: Some(room),
            ways,
        },
    )
}

/// What the server would assume of what decides where an instance fits.
pub(super) fn with_defaults(app: &Value) -> Value {
    let mut app = app.clone();
    for (name, value) in [("cpus", json!(1.0)), ("mem", json!(128.0)), ("disk", json!(0.0))] {
        if app.get(name).is_none_or(Value::is_null) {
            app[name] = value;
        }
    }
    let has_ports = ["portDefinitions", "ports", "networks", "container"]
        .iter()
        .any(|n| app.get(n).is_some());
    if !has_ports {
        app["portDefinitions"] = json!([{"port": 0}]);
    }
    app
}

/// Reads what there is to know of an app, and decides.
pub(crate) async fn of_app(apps: &Apps, global: &Global, id: &AppId) -> Result<Why, Failure> {
    let app = apps.app(id).await?;
    let (queue, deployments, info, master) =
        futures_util::join!(apps.queue(), apps.deployments(), apps.info(), master(global),);
    let (queue, deployments) = (queue?, deployments?);
    let mut facts = Facts {
        now: app.now,
        entry: queue
            .into_iter()
            .find(|e| string(e, &["app", "id"]) == id.as_str()),
        deployments: deployments.value,
        framework: info
            .as_ref()
            .map(|i| string(i, &["frameworkId"]).to_owned())
            .unwrap_or_default(),
        app: app.value,
        ..Facts::default()
    };
    for other in others(&facts.deployments, id.as_str()) {
        if let Ok(other_id) = id_of(&other)
            && let Ok(Some(app)) = apps.get(&other_id).await
        {
            facts.others.insert(other, app.value);
        }
    }
    let failed = string(&facts.app, &["lastTaskFailure", "taskId"]).to_owned();
    // The service knows a reason of its own where the master cannot be asked.
    if let Ok((leader, cluster)) = master {
        if facts.entry.is_some() && !failed.is_empty() {
            facts.stderr = past::last_words(&leader, &cluster, &failed, STDERR_LINES).await;
        }
        facts.cluster = Some(cluster);
    }
    Ok(decide(&facts))
}

async fn master(global: &Global) -> Result<(Leader, Cluster), Failure> {
    let leader = Leader::find(&masters(global)?).await?;
    let cluster = Cluster::read(&leader).await?;
    Ok((leader, cluster))
}

/// Apps that come before this one in its deployment.
fn others(deployments: &[Value], id: &str) -> Vec<String> {
    let mine = deployments
        .iter()
        .filter(|d| list(d, "affectedApps").iter().any(|a| a.as_str() == Some(id)));
    let current = mine.flat_map(|d| list(d, "currentActions"));
    /// So many are enough to name.
    const OTHERS_MAX: usize = 10;
    let named = current
        .map(|a| string(a, &["app"]))
        .filter(|a| !a.is_empty() && *a != id);
    named.take(OTHERS_MAX).map(str::to_owned).collect()
}

fn show(global: &Global, why: &Why) -> Result<u8, Failure> {
    let text = match global.format() {
        Format::Json | Format::Jsonl => format!("{}\n", object(why)),
        Format::Name => format!("{}\n", why.code),
        _ => text(why),
    };
    Ok(output::print(&text).err().unwrap_or(0))
}

fn text(why: &Why) -> String {
    let mut text = format!("{}\n", harmless(&why.verdict));
    for cause in &why.also {
        let _ = writeln!(text, "  also: {}", harmless(&cause.text));
    }
    if let Some(room) = &why.room {
        text.push('\n');
        text.push_str(&funnel(room));
    }
    if !why.ways.is_empty() {
        text.push('\n');
        text.push_str(&ways(&why.ways));
    }
    text
}

/// Each agent once, in the first stage it fails.
fn funnel(room: &Room) -> String {
    let count = room.agents.len();
    let agents = if count == 1 {
        "1 agent".to_owned()
    } else {
        format!("{count} agents")
    };
    let mut text = format!("{agents} looked at now for {}\n", room.need.text());
    for stage in Stage::ALL {
        let failing: Vec<&super::room::Looked> = room.failing(stage).collect();
        if failing.is_empty() {
            continue;
        }
        let shown = failing.iter().take(NAMES_MAX).map(|a| {
            let note = a.fails.as_ref().map_or("", |(_, note)| note.as_str());
            format!("{} {note}", a.name)
        });
        let mut shown: Vec<String> = shown.collect();
        if failing.len() > NAMES_MAX {
            shown.push("…".to_owned());
        }
        let need = match stage {
            Stage::Cpus => format!("need {}", crate::text::cores(room.need.cpus)),
            Stage::Memory => format!("need {}", crate::text::mebibytes(room.need.mem)),
            Stage::Disk => format!("need {}", crate::text::mebibytes(room.need.disk)),
            _ => String::new(),
        };
        let line = format!(
            "  {:<12}{:>6}   {}   {need}",
            stage.word(),
            failing.len(),
            shown.join("  ")
        );
        let _ = writeln!(text, "{}", line.trim_end());
    }
    let fits: Vec<&str> = room.fitting().take(NAMES_MAX).map(|a| a.name.as_str()).collect();
    let line = format!("  {:<12}{:>6}   {}", "would fit", room.places(), fits.join("  "));
    let _ = writeln!(text, "{}", line.trim_end());
    text
}

fn ways(ways: &[(String, Option<u64>)]) -> String {
    let width = ways
        .iter()
        .map(|(w, _)| w.chars().count())
        .max()
        .unwrap_or(0)
        .max(20);
    let counted = ways.iter().any(|(_, places)| places.is_some());
    let mut text = if counted {
        format!("{:<width$}    places\n", "ways out", width = width)
    } else {
        "ways out\n".to_owned()
    };
    for (way, places) in ways {
        let places = places.map_or(String::new(), |n| n.to_string());
        let line = format!("  {way:<width$}  {places:>6}");
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

fn object(why: &Why) -> Value {
    let funnel = why.room.as_ref().map(|room| {
        let stages = Stage::ALL.into_iter().filter_map(|stage| {
            let agents: Vec<Value> = room
                .failing(stage)
                .map(|a| json!({"agent": a.name, "has": a.fails.as_ref().map(|(_, note)| note)}))
                .collect();
            (!agents.is_empty()).then(|| json!({"stage": stage.word(), "reason": stage.reason(), "agents": agents}))
        });
        json!({"need": room.need.text(), "agents": room.agents.len(), "places": room.places(), "stages": stages.collect::<Vec<_>>()})
    });
    let since = why
        .since
        .and_then(|t| jiff::Timestamp::from_millisecond((t * 1000.0) as i64).ok());
    json!({
        "kind": "why",
        "schema": 1,
        "id": why.id,
        "code": why.code,
        "verdict": why.verdict,
        "also": why.also.iter().map(|c| json!({"code": c.code, "verdict": c.text})).collect::<Vec<_>>(),
        "since": since.map(|t| t.to_string()),
        "funnel": funnel,
        "ways": why.ways.iter().map(|(w, n)| json!({"command": w, "places": n})).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Cluster;

    fn scalar(name: &str, value: f64) -> Value {
        json!({"name": name, "scalar": {"value": value}})
    }

    fn agent(name: &str, used: f64) -> Value {
        json!({
            "agent_info": {"id": {"value": name}, "hostname": name}, "active": true,
            "total_resources": [scalar("cpus", 8.0), scalar("mem", 4096.0)],
            "allocated_resources": [scalar("cpus", used)],
        })
    }

    #[test]
    fn the_whole_answer_is_verdict_funnel_and_ways_out() {
        let cluster = Cluster {
            agents: vec![agent("a1", 8.0), agent("a3", 5.5), agent("a7", 6.0)],
            ..Cluster::default()
        };
        let facts = Facts {
            now: 1_000_252.0,
            app: json!({"id": "/web", "instances": 5, "tasksRunning": 3, "cpus": 4, "mem": 512}),
            entry: Some(json!({
                "count": 2, "delay": {"overdue": true, "timeLeftSeconds": 0}, "since": "1970-01-12T13:46:40.000Z",
            })),
            cluster: Some(cluster),
            ..Facts::default()
        };
        assert_eq!(
            text(&decide(&facts)),
            "\
/web waits for 2 of 5 instances, since 4m12s: no usable agent has 4 cpus free; the nearest is a3 with 2.5 cpus.

3 agents looked at now for 4 cpus, 512M
  cpus             3   a1 0  a3 2.5  a7 2   need 4
  would fit        0

ways out                                                      places
  meseta app update web --cpus 2.5                                 1
  add a node: meseta agent --master=HOST:5050 --work_dir=DIR
"
        );
    }

    #[test]
    fn programs_get_codes_and_numbers() {
        let facts = Facts {
            app: json!({"id": "/web", "instances": 0, "tasksRunning": 0}),
            ..Facts::default()
        };
        let object = object(&decide(&facts));
        assert_eq!(
            (&object["kind"], &object["schema"], &object["code"]),
            (&json!("why"), &json!(1), &json!("suspended"))
        );
    }

    #[test]
    fn a_file_gets_the_servers_defaults_for_what_decides_where_it_fits() {
        let app = with_defaults(&json!({"id": "web", "cmd": "x"}));
        assert_eq!(Need::of(&app).text(), "1 cpus, 128M, 1 port");
    }
}
