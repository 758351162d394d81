//! The cluster as its operator API tells it: agents, frameworks and tasks, and what people call them.
//!
//! A name is enough: a unique beginning of an id, a host name, the short `S3` of an agent. What it is ambiguous
//! between is part of the refusal.

use crate::api::Leader;
use crate::args::Global;
use crate::failure::{Failure, exit};
use crate::text::plural;
use crate::up;
use meseta_sdk::endpoint::Endpoint;
use serde_json::Value;
use std::collections::BTreeMap;

/// Where masters may be: as told, else the running `up` of this user, else this machine.
pub(crate) fn masters(global: &Global) -> Result<Vec<Endpoint>, Failure> {
    let told = match &global.master {
        Some(text) => text.clone(),
        None => up::running_master().unwrap_or_else(|| "127.0.0.1:5050".to_owned()),
    };
    Endpoint::parse_list(&told).map_err(|e| {
        Failure::new("bad-address", exit::USAGE, format!("--master: {e}")).fix("-m 127.0.0.1:5050")
    })
}

/// A text below a path of members; empty when it is not there.
pub(crate) fn string<'a>(value: &'a Value, path: &[&str]) -> &'a str {
    at(value, path).and_then(Value::as_str).unwrap_or_default()
}

/// A number below a path of members.
pub(crate) fn number(value: &Value, path: &[&str]) -> Option<f64> {
    at(value, path).and_then(Value::as_f64)
}

/// The elements of a list; none when it is not there.
pub(crate) fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value
        .get(name)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

fn at<'a>(value: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(value, |v, member| v.get(member))
}

/// The sum of a scalar resource over a list of `Resource` messages.
pub(crate) fn scalar(resources: &[Value], name: &str) -> f64 {
    let matching = resources.iter().filter(|r| string(r, &["name"]) == name);
    // A sum of nothing would be minus zero, which prints as such.
    matching
        .filter_map(|r| number(r, &["scalar", "value"]))
        .fold(0.0, |sum, v| sum + v)
}

/// The ranges of a resource, as `31000,31005-31009`.
pub(crate) fn ranges(resources: &[Value], name: &str) -> String {
    let matching = resources.iter().filter(|r| string(r, &["name"]) == name);
    let ranges = matching.flat_map(|r| r.get("ranges").map_or(&[][..], |r| list(r, "range")));
    let texts: Vec<String> = ranges
        .filter_map(|r| Some((number(r, &["begin"])?, number(r, &["end"])?)))
        .map(|(begin, end)| {
            if begin == end {
                format!("{begin}")
            } else {
                format!("{begin}-{end}")
            }
        })
        .collect();
    texts.join(",")
}

/// One answer of each read.
#[derive(Debug, Default)]
pub(crate) struct Cluster {
    pub(crate) agents: Vec<Value>,
    pub(crate) recovered_agents: Vec<Value>,
    pub(crate) frameworks: Vec<Value>,
    pub(crate) completed_frameworks: Vec<Value>,
    pub(crate) tasks: Vec<Value>,
    pub(crate) unreachable_tasks: Vec<Value>,
    pub(crate) completed_tasks: Vec<Value>,
    /// The server's clock, in seconds since the epoch.
    pub(crate) now: f64,
}

impl Cluster {
    /// Reads all of it from the leader, at once.
    pub(crate) async fn read(leader: &Leader) -> Result<Cluster, Failure> {
        let (agents, frameworks, tasks) = futures_util::try_join!(
            leader.read("GET_AGENTS"),
            leader.read("GET_FRAMEWORKS"),
            leader.read("GET_TASKS"),
        )?;
        let take = |from: &Value, name| list(from, name).to_vec();
        Ok(Cluster {
            agents: take(&agents, "agents"),
            recovered_agents: take(&agents, "recovered_agents"),
            frameworks: take(&frameworks, "frameworks"),
            completed_frameworks: take(&frameworks, "completed_frameworks"),
            tasks: take(&tasks, "tasks"),
            unreachable_tasks: take(&tasks, "unreachable_tasks"),
            completed_tasks: take(&tasks, "completed_tasks"),
            now: leader.now,
        })
    }

    /// Every agent's name: its host name where that is unique, else the short form of its id.
    pub(crate) fn node_names(&self) -> BTreeMap<&str, &str> {
        let infos = || {
            self.agents
                .iter()
                .filter_map(|a| a.get("agent_info"))
                .chain(&self.recovered_agents)
        };
        let mut hosts: BTreeMap<&str, usize> = BTreeMap::new();
        for info in infos() {
            *hosts.entry(string(info, &["hostname"])).or_default() += 1;
        }
        infos()
            .map(|info| {
                let (id, host) = (string(info, &["id", "value"]), string(info, &["hostname"]));
                let unique = !host.is_empty() && hosts.get(host) == Some(&1);
                (id, if unique { host } else { short_id(id) })
            })
            .collect()
    }

    /// Tasks that may run.
    pub(crate) fn live_tasks(&self) -> impl Iterator<Item = &Value> {
        self.tasks.iter().filter(|task| is_live(task))
    }

    /// The agent of this name: host name, id, or a unique part at either end of its id.
    pub(crate) fn node(&self, name: &str) -> Result<&Value, Failure> {
        let found: Vec<&Value> = self
            .agents
            .iter()
            .filter(|a| {
                let id = string(a, &["agent_info", "id", "value"]);
                let host = string(a, &["agent_info", "hostname"]);
                host == name || id == name || short_id(id) == name || id.starts_with(name)
            })
            .collect();
        let names = self.node_names();
        one(found, name, "node", "meseta node list", |a| {
            let id = string(a, &["agent_info", "id", "value"]);
            names.get(id).copied().unwrap_or(id).to_owned()
        })
    }

    /// The task of this id or short name, or with this unique beginning of either; live ones win over those that ended.
    pub(crate) fn task(&self, name: &str) -> Result<&Value, Failure> {
        let id = |t: &Value| string(t, &["task_id", "value"]).to_owned();
        let exact = |t: &&Value| id(t) == name || short_task(&id(t)) == name;
        let begins = |t: &&Value| id(t).starts_with(name) || short_task(&id(t)).starts_with(name);
        let live = || self.tasks.iter().chain(&self.unreachable_tasks);
        let ended = || self.completed_tasks.iter();
        let found: [Vec<&Value>; 4] = [
            live().filter(exact).collect(),
            ended().filter(exact).collect(),
            live().filter(begins).collect(),
            ended().filter(begins).collect(),
        ];
        let found = found.into_iter().find(|f| !f.is_empty());
        one(
            found.unwrap_or_default(),
            name,
            "task",
            "meseta task list -a",
            |task| short_task(&id(task)),
        )
    }

    /// The framework's name, for people.
    pub(crate) fn framework_name(&self, id: &str) -> String {
        let all = self.frameworks.iter().chain(&self.completed_frameworks);
        let found = all
            .filter_map(|f| f.get("framework_info"))
            .find(|info| string(info, &["id", "value"]) == id);
        found.map_or(id, |info| string(info, &["name"])).to_owned()
    }
}

/// Whether a task may still run: the master lists ended ones too until their framework has acknowledged that.
pub(crate) fn is_live(task: &Value) -> bool {
    !matches!(
        string(task, &["state"]),
        "TASK_FINISHED"
            | "TASK_FAILED"
            | "TASK_KILLED"
            | "TASK_ERROR"
            | "TASK_LOST"
            | "TASK_DROPPED"
            | "TASK_GONE"
            | "TASK_GONE_BY_OPERATOR"
    )
}

/// `web.3f2a91c0` of `web.instance-3f2a91c0-…._app.1`: the app and the first eight characters of the instance's uuid. Ids of
/// other forms are names already.
pub(crate) fn short_task(id: &str) -> String {
    let short = || {
        let (instance, _) = id.rsplit_once("._app.")?;
        let (app, uuid) = instance.rsplit_once(".instance-")?;
        Some(format!("{app}.{}", uuid.get(..8)?))
    };
    short().unwrap_or_else(|| id.to_owned())
}

/// The address of an agent's API.
pub(crate) fn agent_address(cluster: &Cluster, id: &str) -> Option<Endpoint> {
    let agent = cluster
        .agents
        .iter()
        .find(|a| string(a, &["agent_info", "id", "value"]) == id)?;
    let (_, address) = string(agent, &["pid"]).rsplit_once('@')?;
    address.parse().ok()
}

/// `S3` of `…-S3`; the whole id when it has another form.
pub(crate) fn short_id(id: &str) -> &str {
    id.rsplit_once('-').map_or(id, |(_, last)| last)
}

fn one<'a>(
    found: Vec<&'a Value>,
    name: &str,
    kind: &str,
    lister: &str,
    id: impl Fn(&'a Value) -> String,
) -> Result<&'a Value, Failure> {
    match found.as_slice() {
        [only] => Ok(only),
        [] => Err(Failure::new(
            "not-found",
            exit::NOT_FOUND,
            format!("there is no {kind} '{name}'"),
        )
        .fix(lister)),
        several => {
            // Enough to choose from; a list of thousands helps nobody.
            let shown = several
                .iter()
                .take(10)
                .map(|v| id(v))
                .collect::<Vec<_>>()
                .join(" ");
            let what = format!("'{name}' is the beginning of {}", plural(several.len(), kind));
            Err(Failure::new("ambiguous", exit::REFUSED, what).detail(shown))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn cluster() -> Cluster {
        let agent = |id: &str, host: &str| json!({"agent_info": {"id": {"value": id}, "hostname": host}});
        let task = |id: &str| json!({"task_id": {"value": id}, "state": "TASK_RUNNING"});
        Cluster {
            agents: vec![agent("m-S0", "a1"), agent("m-S1", "twin"), agent("m-S2", "twin")],
            tasks: vec![task("web.1"), task("web.10"), task("db.1")],
            completed_tasks: vec![task("web.1"), task("old.7")],
            ..Default::default()
        }
    }

    #[test]
    fn nodes_are_called_by_host_where_that_is_unique() {
        let cluster = cluster();
        let names = cluster.node_names();
        assert_eq!(names.values().copied().collect::<Vec<_>>(), ["a1", "S1", "S2"]);
        assert_eq!(
            string(cluster.node("S2").unwrap(), &["agent_info", "id", "value"]),
            "m-S2"
        );
        assert_eq!(cluster.node("twin").unwrap_err().exit, exit::REFUSED);
        assert_eq!(cluster.node("a9").unwrap_err().exit, exit::NOT_FOUND);
    }

    #[test]
    fn instances_have_short_names_that_are_enough() {
        let id = "shop_web.instance-3f2a91c0-1111-4222-8333-944455566677._app.2";
        assert_eq!(short_task(id), "shop_web.3f2a91c0");
        for other in ["loop.1a2b3c4d", "ct:1:0:clock:", "x.instance-1._app.1", ""] {
            assert_eq!(short_task(other), other);
        }
        let cluster = Cluster {
            tasks: vec![json!({"task_id": {"value": id}})],
            ..cluster()
        };
        for name in ["shop_web.3f2a91c0", "shop_web.3f", "shop_web.instance-3f2a", id] {
            assert_eq!(
                string(cluster.task(name).unwrap(), &["task_id", "value"]),
                id,
                "{name}"
            );
        }
    }

    #[test]
    fn a_unique_beginning_is_enough_and_an_exact_id_wins() {
        let cluster = cluster();
        let found = |name: &str| {
            cluster
                .task(name)
                .map(|t| string(t, &["task_id", "value"]).to_owned())
        };
        assert_eq!(found("web.1").unwrap(), "web.1");
        assert_eq!(found("db").unwrap(), "db.1");
        assert_eq!(found("old").unwrap(), "old.7");
        let ambiguous = found("web").unwrap_err();
        assert_eq!(ambiguous.what, "'web' is the beginning of 2 tasks");
        assert_eq!(ambiguous.details, ["web.1 web.10"]);
    }
}
