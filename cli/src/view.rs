//! The commands that look at what the master knows: `node`, `framework`, and in a file of its own `task`.

mod task;

pub(crate) use task::{kill, kill_instances, show as task, tasks};

use crate::api::Leader;
use crate::args::{Global, NodeList};
use crate::cluster::{Cluster, list, masters, number, scalar, string};
use crate::failure::Failure;
use crate::output::{self, Cell, Column, List, cells};
use crate::text::{age, cores, mebibytes};
use serde_json::{Value, json};
use std::collections::BTreeMap;

async fn read(global: &Global) -> Result<(Leader, Cluster), Failure> {
    let leader = Leader::find(&masters(global)?).await?;
    let cluster = Cluster::read(&leader).await?;
    Ok((leader, cluster))
}

/// `meseta node list`.
pub(crate) async fn nodes(global: &Global, filter: &NodeList) -> Result<u8, Failure> {
    let list = async || Ok(node_list(&read(global).await?.1, filter));
    output::show(global, list).await
}

/// The table of nodes.
pub(crate) fn node_list(cluster: &Cluster, filter: &NodeList) -> List {
    let names = cluster.node_names();
    let agents = cluster.agents.iter().filter(|agent| {
        let attributes = list(agent.get("agent_info").unwrap_or(&Value::Null), "attributes");
        filter.has(node_state(agent), attributes)
    });
    let mut rows: Vec<(Vec<Cell>, Value)> = agents.map(|a| node_row(cluster, &names, a)).collect();
    for info in &cluster.recovered_agents {
        if !filter.has("recovering", list(info, "attributes")) {
            continue;
        }
        let id = string(info, &["id", "value"]);
        let mut cells = vec![Cell::default(); NODE_COLUMNS.len()];
        cells[0] = names.get(id).copied().unwrap_or(id).into();
        cells[2] = "recovering".into();
        cells[8] = id.into();
        rows.push((cells, json!({"agent_info": info})));
    }
    by_name(&mut rows);
    List {
        columns: NODE_COLUMNS.to_vec(),
        rows,
        empty: if filter.is_any() {
            "no such nodes; all of them: meseta node list"
        } else {
            "no nodes; add one: meseta agent --master=HOST:5050 --work_dir=DIR"
        },
    }
}

impl NodeList {
    fn is_any(&self) -> bool {
        self.state.is_some() || !self.attr.is_empty()
    }

    fn has(&self, state: &str, attributes: &[Value]) -> bool {
        let is = |name: &str, value: &str| {
            let mut named = attributes.iter().filter(|a| string(a, &["name"]) == name);
            named.any(|a| attribute(a) == value)
        };
        self.state
            .as_ref()
            .is_none_or(|wanted| state.eq_ignore_ascii_case(wanted))
            && self.attr.iter().all(|(name, value)| is(name, value))
    }
}

/// The text of an attribute that is a text or a number.
fn attribute(attribute: &Value) -> String {
    match number(attribute, &["scalar", "value"]) {
        Some(value) => cores(value),
        None => string(attribute, &["text", "value"]).to_owned(),
    }
}

/// By their first cells.
fn by_name(rows: &mut [(Vec<Cell>, Value)]) {
    rows.sort_by_cached_key(|(cells, _)| cells.iter().map(Cell::to_string).collect::<Vec<_>>());
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

fn node_row(cluster: &Cluster, names: &BTreeMap<&str, &str>, agent: &Value) -> (Vec<Cell>, Value) {
    let id = string(agent, &["agent_info", "id", "value"]);
    let (total, used) = (list(agent, "total_resources"), list(agent, "allocated_resources"));
    let of = |name: &str, unit: fn(f64) -> String| {
        format!("{}/{}", unit(scalar(used, name)), unit(scalar(total, name)))
    };
    let tasks = cluster
        .live_tasks()
        .filter(|t| string(t, &["agent_id", "value"]) == id)
        .count();
    let cells = cells![
        names.get(id).copied().unwrap_or(id),
        address(agent),
        node_state(agent),
        of("cpus", cores),
        of("mem", mebibytes),
        of("disk", mebibytes),
        tasks.to_string(),
        since(cluster.now, agent, &["registered_time", "nanoseconds"]),
        id,
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
fn since(now: f64, object: &Value, path: &[&str]) -> Cell {
    number(object, path).map_or_else(Cell::default, |nanos| Cell::ago(now, nanos / 1e9))
}

/// `meseta framework list`.
pub(crate) async fn frameworks(global: &Global, all: bool) -> Result<u8, Failure> {
    let list = async || Ok(framework_list(&read(global).await?.1, all));
    output::show(global, list).await
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
        let cells = cells![
            string(&info, &["name"]),
            id,
            state_cell(cluster.now, framework, ended),
            roles(&info),
            tasks.to_string(),
            cores(scalar(used, "cpus")),
            mebibytes(scalar(used, "mem")),
            share(used, &totals),
            since(cluster.now, framework, &["registered_time", "nanoseconds"]),
        ];
        (cells, framework.clone())
    };
    let mut rows: Vec<(Vec<Cell>, Value)> = cluster.frameworks.iter().map(|f| row(f, false)).collect();
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
fn state_cell(now: f64, framework: &Value, ended: bool) -> Cell {
    let state = framework_state(framework, ended);
    let timeout = number(framework, &["framework_info", "failover_timeout"]);
    let since = number(framework, &["unregistered_time", "nanoseconds"]);
    match (state, timeout, since) {
        ("disconnected", Some(timeout), Some(nanos)) if nanos > 0.0 => {
            let until = nanos / 1e9 + timeout;
            Cell::time("disconnected:", until, format!("{}-left", age(until - now)))
        }
        _ => state.into(),
    }
}

/// `active`, `inactive`, `recovered`, `disconnected` or `ended`.
pub(crate) fn framework_state(framework: &Value, ended: bool) -> &'static str {
    let flag = |name: &str| framework.get(name).and_then(Value::as_bool).unwrap_or(false);
    if ended {
        "ended"
    } else if flag("connected") && flag("active") {
        "active"
    } else if flag("connected") {
        "inactive"
    } else if flag("recovered") {
        "recovered"
    } else {
        "disconnected"
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

#[cfg(test)]
mod tests;
