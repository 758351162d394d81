//! `task list`, `task show` and `task kill`.

use super::{by_name, read};
use crate::api::{Leader, understood, unreachable};
use crate::args::{Global, TaskList};
use crate::cluster::{Cluster, is_live, list, number, ranges, scalar, short_id, short_task, string};
use crate::failure::{Failure, exit};
use crate::logs::{job_of, target};
use crate::output::{self, Cell, List, Style, block, cells};
use crate::services::{Kind, Service, refusal};
use crate::text::{cores, mebibytes, plural};
use http::Method;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// `meseta task list`.
pub(crate) async fn tasks(global: &Global, filter: &TaskList) -> Result<u8, Failure> {
    let list = async || task_list(&read(global).await?.1, filter);
    output::show(global, list).await
}

pub(super) fn task_list(cluster: &Cluster, filter: &TaskList) -> Result<List, Failure> {
    let node = match &filter.node {
        Some(name) => Some(string(cluster.node(name)?, &["agent_info", "id", "value"]).to_owned()),
        None => None,
    };
    let names = cluster.node_names();
    // A state of ended tasks can only be wanted of them.
    let ended_too = filter.all || filter.state.is_some();
    let of = match &filter.target {
        Some(name) => Some(target(cluster, name).map_err(|failure| of_nobody(name, failure))?),
        None => None,
    };
    let mut shown: Vec<&Value> = cluster.tasks.iter().chain(&cluster.unreachable_tasks).collect();
    shown.retain(|task| ended_too || is_live(task));
    if ended_too {
        shown.extend(&cluster.completed_tasks);
    }
    let wanted = |task: &&Value| {
        let framework = string(task, &["framework_id", "value"]);
        of.as_ref().is_none_or(|target| target.has(task))
            && filter
                .selector
                .as_ref()
                .is_none_or(|selector| selector.matches(&labels(task)))
            && node
                .as_ref()
                .is_none_or(|id| string(task, &["agent_id", "value"]) == id)
            && filter
                .state
                .as_ref()
                .is_none_or(|s| task_state(task).eq_ignore_ascii_case(s))
            && filter
                .framework
                .as_ref()
                .is_none_or(|f| framework.starts_with(f.as_str()) || cluster.framework_name(framework) == *f)
    };
    let mut rows: Vec<(Vec<Cell>, Value)> = shown
        .into_iter()
        .filter(wanted)
        .map(|task| {
            let agent = string(task, &["agent_id", "value"]);
            let cells = cells![
                short_task(string(task, &["task_id", "value"])),
                cluster.framework_name(string(task, &["framework_id", "value"])),
                names.get(agent).copied().unwrap_or(short_id(agent)),
                task_state(task),
                health(task),
                ranges(list(task, "resources"), "ports"),
                first_seen(cluster.now, task),
                cores(scalar(list(task, "resources"), "cpus")),
                mebibytes(scalar(list(task, "resources"), "mem")),
                string(task, &["task_id", "value"]),
            ];
            (cells, task.clone())
        })
        .collect();
    by_name(&mut rows);
    Ok(List {
        columns: vec![
            output::text("TASK"),
            output::text("OF"),
            output::text("NODE"),
            output::text("STATE"),
            output::text("HEALTH"),
            output::text("PORTS"),
            output::text("AGE"),
            output::number("CPUS").wide(),
            output::number("MEM").wide(),
            output::text("ID").wide(),
        ],
        rows,
        empty: if filter.is_any() {
            "no such tasks run; all of them, also those that ended: meseta task list -a"
        } else {
            "no tasks run; start one: meseta execute -- echo hello"
        },
    })
}

/// That the master knows no task of an app or a job.
fn of_nobody(name: &str, failure: Failure) -> Failure {
    if failure.exit != exit::NOT_FOUND {
        return failure;
    }
    let what = format!("no app or job '{name}' has a task, or had one lately");
    Failure::new("not-found", exit::NOT_FOUND, what).fix("meseta app list · meseta job list")
}

/// The labels a task was given.
fn labels(task: &Value) -> BTreeMap<String, String> {
    let labels = task
        .get("labels")
        .map_or(&[][..], |labels| list(labels, "labels"));
    let pair = |label: &Value| {
        (
            string(label, &["key"]).to_owned(),
            string(label, &["value"]).to_owned(),
        )
    };
    labels.iter().map(pair).collect()
}

/// `running` of `TASK_RUNNING`.
fn task_state(task: &Value) -> String {
    let state = string(task, &["state"]);
    state.strip_prefix("TASK_").unwrap_or(state).to_lowercase()
}

fn health(task: &Value) -> &'static str {
    let last = list(task, "statuses")
        .iter()
        .rev()
        .find_map(|s| s.get("healthy")?.as_bool());
    match last {
        Some(true) => "healthy",
        Some(false) => "unhealthy",
        None => "",
    }
}

fn first_seen(now: f64, task: &Value) -> Cell {
    let first = list(task, "statuses")
        .first()
        .and_then(|s| number(s, &["timestamp"]));
    first.map_or_else(Cell::default, |at| Cell::ago(now, at))
}

/// `meseta task show`.
pub(crate) async fn show(global: &Global, name: &str) -> Result<u8, Failure> {
    let (_, cluster) = read(global).await?;
    let task = cluster.task(name)?;
    let text = match output::for_programs(global, task, string(task, &["task_id", "value"]))? {
        Some(text) => text,
        None => task_text(&cluster, task, &Style::part(global)),
    };
    Ok(output::print(&text).err().unwrap_or(0))
}

pub(super) fn task_text(cluster: &Cluster, task: &Value, style: &Style) -> String {
    let id = |member: &str| string(task, &[member, "value"]);
    let names = cluster.node_names();
    let statuses = list(task, "statuses");
    let last = statuses.last().cloned().unwrap_or_default();
    let resources = list(task, "resources");
    let mut text = block(&[
        ("task", id("task_id").to_owned()),
        ("name", string(task, &["name"]).to_owned()),
        ("state", with_reason(task, &last)),
        ("message", string(&last, &["message"]).to_owned()),
        (
            "framework",
            format!(
                "{} ({})",
                cluster.framework_name(id("framework_id")),
                id("framework_id")
            ),
        ),
        (
            "node",
            format!(
                "{} ({})",
                names.get(id("agent_id")).copied().unwrap_or("-"),
                id("agent_id")
            ),
        ),
        ("executor", id("executor_id").to_owned()),
        ("cpus", cores(scalar(resources, "cpus"))),
        ("mem", mebibytes(scalar(resources, "mem"))),
        ("ports", ranges(resources, "ports")),
        (
            "container",
            string(&last, &["container_status", "container_id", "value"]).to_owned(),
        ),
    ]);
    let rows = statuses
        .iter()
        .map(|status| {
            let at = number(status, &["timestamp"]);
            let at = at.map_or_else(Cell::default, |t| Cell::ago(cluster.now, t));
            let cells = cells![
                task_state(status),
                at,
                string(status, &["source"])
                    .trim_start_matches("SOURCE_")
                    .to_lowercase(),
                string(status, &["reason"])
                    .trim_start_matches("REASON_")
                    .to_lowercase(),
                string(status, &["message"]),
            ];
            (cells, Value::Null)
        })
        .collect();
    let history = List {
        columns: ["STATE", "AGO", "SOURCE", "REASON", "MESSAGE"]
            .map(output::text)
            .to_vec(),
        rows,
        empty: "",
    };
    text.push('\n');
    text.push_str(&history.part(style));
    text
}

fn with_reason(task: &Value, last: &Value) -> String {
    match string(last, &["reason"]) {
        "" => task_state(task),
        reason => format!("{} ({reason})", task_state(task)),
    }
}

/// `meseta task kill`.
pub(crate) async fn kill(global: &Global, names: &[String], grace: Option<Duration>) -> Result<u8, Failure> {
    let (leader, cluster) = read(global).await?;
    let mut failures: Vec<Failure> = Vec::new();
    for name in names {
        match kill_one(&leader, &cluster, name, grace).await {
            Ok(said) if global.quiet => drop(said),
            Ok(said) => eprintln!("{said}"),
            Err(failure) => failures.push(failure),
        }
    }
    match (failures.len(), names.len()) {
        (0, _) => Ok(0),
        (1, 1) => Err(failures.remove(0)),
        (failed, all) => {
            let what = format!("{failed} of {} were not killed", plural(all, "task"));
            let start = Failure::new("some-failed", 9, what);
            Err(failures.into_iter().fold(start, |sum, f| sum.detail(f.what)))
        }
    }
}

/// `meseta task kill --scale` and `--wipe`: of instances only, which the service knows to do without.
pub(crate) async fn kill_instances(global: &Global, names: &[String], how: &str) -> Result<u8, Failure> {
    let (_, cluster) = read(global).await?;
    let mut ids = Vec::new();
    for name in names {
        let id = string(cluster.task(name)?, &["task_id", "value"]);
        if short_task(id) == id {
            let what = format!("--{how} is about instances of apps; {id} is none");
            return Err(Failure::new("bad-flag", exit::USAGE, what).fix(format!("meseta task kill {name}")));
        }
        ids.push(id);
    }
    let service = Service::find(global, Kind::Service).await?;
    let path = format!("/v2/tasks/delete?{how}=true");
    let answer = service
        .send(Method::POST, &path, Some(&json!({"ids": ids})))
        .await?;
    if !answer.status.is_success() {
        return Err(refusal(&answer));
    }
    if !global.quiet {
        let then = match how {
            "scale" => "its app gets smaller by it",
            _ => "it is forgotten, and its app starts another one",
        };
        for id in &ids {
            eprintln!("{id} is being killed; {then}");
        }
    }
    Ok(0)
}

async fn kill_one(
    leader: &Leader,
    cluster: &Cluster,
    name: &str,
    grace: Option<Duration>,
) -> Result<String, Failure> {
    let task = cluster.task(name)?;
    let id = string(task, &["task_id", "value"]);
    if !is_live(task) {
        return Ok(format!("{id} has ended already ({})", task_state(task)));
    }
    let mut body = json!({"framework_id": string(task, &["framework_id", "value"]), "task_id": id});
    if let Some(grace) = grace {
        body["grace_seconds"] = json!(grace.as_secs_f64());
    }
    let answer = leader.http.post(&leader.at, "/meseta/v1/kill_task", &body).await;
    let answer = answer.map_err(|why| unreachable(&leader.at, &why))?;
    match answer.status.as_u16() {
        200 | 202 => Ok(format!("{id} is being killed; {}", afterwards(id))),
        404 => {
            let what = format!("{id} is not there any more: {}", answer.text());
            Err(Failure::new("not-found", exit::NOT_FOUND, what).fix("meseta task list -a"))
        }
        _ => understood(&leader.at, answer).map(|_| String::new()),
    }
}

/// What comes in place of a killed task, as its id tells.
fn afterwards(id: &str) -> &'static str {
    if short_task(id) != id {
        "its app starts another one (fewer: meseta app scale)"
    } else if job_of(id).is_some() {
        "its job may try the run again"
    } else {
        "its framework may start another"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_in_place_of_a_task_is_said() {
        let instance = "web.instance-3f2a91c0-1111-4222-8333-944455566677._app.1";
        assert!(afterwards(instance).starts_with("its app starts another"));
        assert!(afterwards("ct:1:0:clock:").starts_with("its job"));
        assert!(afterwards("hello.1a2b").starts_with("its framework"));
    }
}
