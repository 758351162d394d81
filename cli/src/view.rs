//! The commands that look at what the master knows: `node`, `framework`, `task`, and `task kill`.

use crate::api::{Leader, understood, unreachable};
use crate::args::{Global, TaskList};
use crate::cluster::{Cluster, is_live, list, masters, number, ranges, scalar, short_id, short_task, string};
use crate::failure::{Failure, exit};
use crate::output::{self, Column, Format, List, Style, block};
use crate::text::{age, cores, mebibytes, plural};
use serde_json::{Value, json};
use std::time::Duration;

async fn read(global: &Global) -> Result<(Leader, Cluster), Failure> {
    let leader = Leader::find(&masters(global)?).await?;
    let cluster = Cluster::read(&leader).await?;
    Ok((leader, cluster))
}

fn show(global: &Global, list: &List) -> Result<u8, Failure> {
    let (out, err) = list.render(Style::of_stdout(global.format(), !global.no_headers));
    if let Some(line) = err {
        eprint!("{line}");
    }
    Ok(output::print(&out).err().unwrap_or(0))
}

fn print(text: &str) -> Result<u8, Failure> {
    Ok(output::print(text).err().unwrap_or(0))
}

/// `meseta node list`.
pub(crate) async fn nodes(global: &Global) -> Result<u8, Failure> {
    let (_, cluster) = read(global).await?;
    show(global, &node_list(&cluster))
}

/// The table of nodes.
pub(crate) fn node_list(cluster: &Cluster) -> List {
    let names = cluster.node_names();
    let mut rows: Vec<(Vec<String>, Value)> = cluster
        .agents
        .iter()
        .map(|a| node_row(cluster, &names, a))
        .collect();
    for info in &cluster.recovered_agents {
        let id = string(info, &["id", "value"]);
        let mut cells = vec![String::new(); NODE_COLUMNS.len()];
        cells[0] = names.get(id).copied().unwrap_or(id).to_owned();
        cells[2] = "recovering".to_owned();
        cells[8] = id.to_owned();
        rows.push((cells, json!({"agent_info": info})));
    }
    rows.sort_by(|a, b| a.0.cmp(&b.0));
    List {
        columns: NODE_COLUMNS.to_vec(),
        rows,
        empty: "no nodes; add one: meseta agent --master=HOST:5050 --work_dir=DIR",
    }
}

const NODE_COLUMNS: [Column; 9] = [
    output::text("NODE"),
    output::text("ADDRESS"),
    output::text("STATE"),
    output::number("CPUS"),
    output::number("MEM"),
    output::number("DISK"),
    output::number("TASKS"),
    output::text("AGE"),
    output::text("ID").wide(),
];

fn node_row(
    cluster: &Cluster,
    names: &std::collections::BTreeMap<&str, &str>,
    agent: &Value,
) -> (Vec<String>, Value) {
    let id = string(agent, &["agent_info", "id", "value"]);
    let (total, used) = (list(agent, "total_resources"), list(agent, "allocated_resources"));
    let of = |name: &str, unit: fn(f64) -> String| {
        format!("{}/{}", unit(scalar(used, name)), unit(scalar(total, name)))
    };
    let tasks = cluster
        .live_tasks()
        .filter(|t| string(t, &["agent_id", "value"]) == id)
        .count();
    let cells = vec![
        names.get(id).copied().unwrap_or(id).to_owned(),
        address(agent),
        node_state(agent).to_owned(),
        of("cpus", cores),
        of("mem", mebibytes),
        of("disk", mebibytes),
        tasks.to_string(),
        since(cluster.now, agent, &["registered_time", "nanoseconds"]),
        id.to_owned(),
    ];
    (cells, agent.clone())
}

/// `ip:port` out of a pid such as `slave(1)@10.0.0.1:5051`.
fn address(agent: &Value) -> String {
    let pid = string(agent, &["pid"]);
    pid.rsplit_once('@')
        .map_or(pid, |(_, address)| address)
        .to_owned()
}

/// `ready`, `draining`, `drained`, `deactivated` or `disconnected`.
pub(crate) fn node_state(agent: &Value) -> &'static str {
    let flag = |name: &str| agent.get(name).and_then(Value::as_bool).unwrap_or(false);
    match string(agent, &["drain_info", "state"]) {
        "DRAINING" => "draining",
        "DRAINED" => "drained",
        _ if flag("deactivated") => "deactivated",
        _ if flag("active") => "ready",
        _ => "disconnected",
    }
}

/// The age of a time in nanoseconds.
fn since(now: f64, object: &Value, path: &[&str]) -> String {
    number(object, path).map_or(String::new(), |nanos| age(now - nanos / 1e9))
}

/// `meseta framework list`.
pub(crate) async fn frameworks(global: &Global, all: bool) -> Result<u8, Failure> {
    let (_, cluster) = read(global).await?;
    show(global, &framework_list(&cluster, all))
}

fn framework_list(cluster: &Cluster, all: bool) -> List {
    let total = |name: &str| -> f64 {
        cluster
            .agents
            .iter()
            .map(|a| scalar(list(a, "total_resources"), name))
            .fold(0.0, |sum, v| sum + v)
    };
    let totals = [("cpus", total("cpus")), ("mem", total("mem"))];
    let row = |framework: &Value, ended: bool| {
        let info = framework.get("framework_info").cloned().unwrap_or_default();
        let id = string(&info, &["id", "value"]).to_owned();
        let used = list(framework, "allocated_resources");
        let tasks = cluster
            .live_tasks()
            .filter(|t| string(t, &["framework_id", "value"]) == id)
            .count();
        let cells = vec![
            string(&info, &["name"]).to_owned(),
            id,
            framework_state(cluster.now, framework, ended),
            roles(&info),
            tasks.to_string(),
            cores(scalar(used, "cpus")),
            mebibytes(scalar(used, "mem")),
            share(used, &totals),
            since(cluster.now, framework, &["registered_time", "nanoseconds"]),
        ];
        (cells, framework.clone())
    };
    let mut rows: Vec<(Vec<String>, Value)> = cluster.frameworks.iter().map(|f| row(f, false)).collect();
    if all {
        rows.extend(cluster.completed_frameworks.iter().map(|f| row(f, true)));
    }
    List {
        columns: vec![
            output::text("NAME"),
            output::text("ID"),
            output::text("STATE"),
            output::text("ROLES"),
            output::number("TASKS"),
            output::number("CPUS"),
            output::number("MEM"),
            output::number("SHARE"),
            output::text("AGE"),
        ],
        rows,
        empty: "no frameworks; start one: meseta execute -- echo hello",
    }
}

/// `active`, `disconnected:9m-left`, ...
pub(crate) fn framework_state(now: f64, framework: &Value, ended: bool) -> String {
    let flag = |name: &str| framework.get(name).and_then(Value::as_bool).unwrap_or(false);
    if ended {
        "ended".to_owned()
    } else if flag("connected") && flag("active") {
        "active".to_owned()
    } else if flag("connected") {
        "inactive".to_owned()
    } else if flag("recovered") {
        "recovered".to_owned()
    } else {
        let timeout = number(framework, &["framework_info", "failover_timeout"]);
        let since = number(framework, &["unregistered_time", "nanoseconds"]);
        match (timeout, since) {
            (Some(timeout), Some(nanos)) if nanos > 0.0 => {
                format!("disconnected:{}-left", age(nanos / 1e9 + timeout - now))
            }
            _ => "disconnected".to_owned(),
        }
    }
}

fn roles(info: &Value) -> String {
    let many: Vec<&str> = list(info, "roles").iter().filter_map(Value::as_str).collect();
    match (many.is_empty(), string(info, &["role"])) {
        (false, _) => many.join(","),
        (true, "") => "*".to_owned(),
        (true, one) => one.to_owned(),
    }
}

/// `41%mem`: the dominant resource and its share of the cluster.
fn share(used: &[Value], totals: &[(&str, f64)]) -> String {
    let shares = totals.iter().filter(|(_, total)| *total > 0.0);
    let largest = shares
        .map(|(name, total)| (scalar(used, name) / total, *name))
        .max_by(|a, b| a.0.total_cmp(&b.0));
    match largest {
        Some((share, name)) if share > 0.0 => format!("{:.0}%{name}", share * 100.0),
        _ => "0%".to_owned(),
    }
}

/// `meseta task list`.
pub(crate) async fn tasks(global: &Global, filter: &TaskList) -> Result<u8, Failure> {
    let (_, cluster) = read(global).await?;
    show(global, &task_list(&cluster, filter)?)
}

fn task_list(cluster: &Cluster, filter: &TaskList) -> Result<List, Failure> {
    let node = match &filter.node {
        Some(name) => Some(string(cluster.node(name)?, &["agent_info", "id", "value"]).to_owned()),
        None => None,
    };
    let names = cluster.node_names();
    // A state of ended tasks can only be wanted of them.
    let ended_too = filter.all || filter.state.is_some();
    let mut shown: Vec<&Value> = cluster.tasks.iter().chain(&cluster.unreachable_tasks).collect();
    shown.retain(|task| ended_too || is_live(task));
    if ended_too {
        shown.extend(&cluster.completed_tasks);
    }
    let wanted = |task: &&Value| {
        let framework = string(task, &["framework_id", "value"]);
        node.as_ref()
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
    let mut rows: Vec<(Vec<String>, Value)> = shown
        .into_iter()
        .filter(wanted)
        .map(|task| {
            let agent = string(task, &["agent_id", "value"]);
            let cells = vec![
                short_task(string(task, &["task_id", "value"])),
                cluster.framework_name(string(task, &["framework_id", "value"])),
                names.get(agent).copied().unwrap_or(short_id(agent)).to_owned(),
                task_state(task),
                health(task).to_owned(),
                ranges(list(task, "resources"), "ports"),
                first_seen(cluster.now, task),
                cores(scalar(list(task, "resources"), "cpus")),
                mebibytes(scalar(list(task, "resources"), "mem")),
                string(task, &["task_id", "value"]).to_owned(),
            ];
            (cells, task.clone())
        })
        .collect();
    rows.sort_by(|a, b| a.0.cmp(&b.0));
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
        empty: "no tasks run; start one: meseta execute -- echo hello",
    })
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

fn first_seen(now: f64, task: &Value) -> String {
    let first = list(task, "statuses")
        .first()
        .and_then(|s| number(s, &["timestamp"]));
    first.map_or(String::new(), |at| age(now - at))
}

/// `meseta task show`.
pub(crate) async fn task(global: &Global, name: &str) -> Result<u8, Failure> {
    let (_, cluster) = read(global).await?;
    let task = cluster.task(name)?;
    match global.format() {
        Format::Json | Format::Jsonl => print(&format!("{task}\n")),
        Format::Name => print(&format!("{}\n", string(task, &["task_id", "value"]))),
        Format::Table | Format::Wide | Format::Env => print(&task_text(&cluster, task)),
    }
}

fn task_text(cluster: &Cluster, task: &Value) -> String {
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
            let at = number(status, &["timestamp"]).map_or(String::new(), |t| age(cluster.now - t));
            let cells = vec![
                task_state(status),
                at,
                string(status, &["source"])
                    .trim_start_matches("SOURCE_")
                    .to_lowercase(),
                string(status, &["reason"])
                    .trim_start_matches("REASON_")
                    .to_lowercase(),
                string(status, &["message"]).to_owned(),
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
    text.push_str(
        &history
            .render(Style {
                format: Format::Table,
                headers: true,
                width: None,
            })
            .0,
    );
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
        200 | 202 => Ok(format!("{id} is being killed; its framework may start another")),
        404 => {
            let what = format!("{id} is not there any more: {}", answer.text());
            Err(Failure::new("not-found", exit::NOT_FOUND, what).fix("meseta task list -a"))
        }
        _ => understood(&leader.at, answer).map(|_| String::new()),
    }
}

#[cfg(test)]
mod tests;
