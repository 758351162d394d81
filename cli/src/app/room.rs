//! Where would one more instance fit? Each agent is counted once, in the first stage it fails.
//!
//! Stages and their order are those of `/v2/queue`; this is computed from what the master says of its agents, so that it
//! has names and amounts, and works for an app that is not submitted yet. Pure.

use crate::cluster::{Cluster, list, number, string};
use crate::text::{cores, mebibytes, plural};
use crate::view::node_state;
use serde_json::Value;
use std::collections::BTreeSet;

/// What one instance needs.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Need {
    pub(super) cpus: f64,
    /// MiB.
    pub(super) mem: f64,
    /// MiB.
    pub(super) disk: f64,
    pub(super) gpus: f64,
    /// How many ports of any number.
    pub(super) ports: usize,
    /// Ports of these numbers.
    pub(super) fixed: BTreeSet<u64>,
    /// Whose reservations it may use, besides what is unreserved.
    pub(super) role: String,
    /// Whether unreserved and reserved resources are accepted.
    pub(super) accepts: (bool, bool),
}

impl Need {
    /// Of one instance of an app.
    pub(super) fn of(app: &Value) -> Need {
        let amount = |name: &str| number(app, &[name]).unwrap_or(0.0);
        let role = match string(app, &["role"]) {
            "" => "*",
            role => role,
        };
        let accepted: Vec<&str> = list(app, "acceptedResourceRoles")
            .iter()
            .filter_map(Value::as_str)
            .collect();
        let accepts = match accepted.is_empty() {
            true => (true, true),
            false => (accepted.contains(&"*"), accepted.iter().any(|r| *r != "*")),
        };
        let (ports, fixed) = ports(app);
        Need {
            cpus: amount("cpus"),
            mem: amount("mem"),
            disk: amount("disk"),
            gpus: amount("gpus"),
            ports,
            fixed,
            role: role.to_owned(),
            accepts,
        }
    }

    /// `4 cpus, 512M, 1 port, role web`.
    pub(super) fn text(&self) -> String {
        let mut parts = vec![format!("{} cpus", cores(self.cpus)), mebibytes(self.mem)];
        if self.disk > 0.0 {
            parts.push(format!("{} disk", mebibytes(self.disk)));
        }
        if self.gpus > 0.0 {
            parts.push(format!("{} gpus", cores(self.gpus)));
        }
        if self.ports > 0 {
            parts.push(plural(self.ports, "port"));
        }
        if !self.fixed.is_empty() {
            parts.push(format!("port {}", ports_text(&self.fixed)));
        }
        if self.role != "*" {
            parts.push(format!("role {}", self.role));
        }
        parts.join(", ")
    }
}

/// How many ports of any number, and which numbers an instance needs on its host.
fn ports(app: &Value) -> (usize, BTreeSet<u64>) {
    let asked: Vec<u64> = if app.get("portDefinitions").is_some_and(Value::is_array) {
        let require = app.get("requirePorts") == Some(&Value::Bool(true));
        let numbers = list(app, "portDefinitions").iter();
        numbers
            .map(|p| {
                p.get("port")
                    .and_then(Value::as_u64)
                    .filter(|_| require)
                    .unwrap_or(0)
            })
            .collect()
    } else {
        let mappings = app.pointer("/container/portMappings").and_then(Value::as_array);
        let mappings = mappings.map(Vec::as_slice).unwrap_or_default();
        mappings
            .iter()
            .filter_map(|m| m.get("hostPort")?.as_u64())
            .collect()
    };
    let any = asked.iter().filter(|port| **port == 0).count();
    (any, asked.into_iter().filter(|port| *port != 0).collect())
}

fn ports_text(ports: &BTreeSet<u64>) -> String {
    ports.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")
}

/// What an agent has for a need.
#[derive(Clone, Debug, Default, PartialEq)]
struct Have {
    cpus: f64,
    mem: f64,
    disk: f64,
    gpus: f64,
    /// Both ends included.
    ports: Vec<(u64, u64)>,
}

impl Have {
    fn port_count(&self) -> u64 {
        self.ports.iter().map(|(begin, end)| end - begin + 1).sum()
    }

    fn has_port(&self, port: u64) -> bool {
        self.ports
            .iter()
            .any(|(begin, end)| (*begin..=*end).contains(&port))
    }
}

/// Where an agent drops out, in the order in which it is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    State,
    Role,
    Cpus,
    Memory,
    Disk,
    Gpus,
    Ports,
}

impl Stage {
    pub(super) fn word(self) -> &'static str {
        match self {
            Stage::State => "not ready",
            Stage::Role => "role",
            Stage::Cpus => "cpus",
            Stage::Memory => "memory",
            Stage::Disk => "disk",
            Stage::Gpus => "gpus",
            Stage::Ports => "ports",
        }
    }

    /// As `/v2/queue` names it.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Stage::State => "AgentMaintenance",
            Stage::Role => "UnfulfilledRole",
            Stage::Cpus => "InsufficientCpus",
            Stage::Memory => "InsufficientMemory",
            Stage::Disk => "InsufficientDisk",
            Stage::Gpus => "InsufficientGpus",
            Stage::Ports => "InsufficientPorts",
        }
    }

    pub(super) const ALL: [Stage; 7] = [
        Stage::State,
        Stage::Role,
        Stage::Cpus,
        Stage::Memory,
        Stage::Disk,
        Stage::Gpus,
        Stage::Ports,
    ];
}

/// One agent.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Looked {
    pub(super) name: String,
    /// Where it drops out, and a note; `None`: an instance fits.
    pub(super) fails: Option<(Stage, String)>,
    /// How many instances fit.
    pub(super) places: u64,
    free: Have,
    total: Have,
    /// Whether what is free is in somebody's offer just now.
    pub(super) offered: bool,
}

/// All agents for one need.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Room {
    pub(super) need: Need,
    pub(super) agents: Vec<Looked>,
}

impl Room {
    /// Looks at every agent.
    pub(super) fn look(cluster: &Cluster, need: &Need) -> Room {
        let names = cluster.node_names();
        let mut agents: Vec<Looked> = cluster
            .agents
            .iter()
            .map(|agent| {
                let id = string(agent, &["agent_info", "id", "value"]);
                looked(names.get(id).copied().unwrap_or(id), agent, need)
            })
            .collect();
        for info in &cluster.recovered_agents {
            let id = string(info, &["id", "value"]);
            agents.push(Looked {
                name: names.get(id).copied().unwrap_or(id).to_owned(),
                fails: Some((Stage::State, "not back since the master started".to_owned())),
                places: 0,
                free: Have::default(),
                total: Have::default(),
                offered: false,
            });
        }
        agents.sort_by(|a, b| a.name.cmp(&b.name));
        Room {
            need: need.clone(),
            agents,
        }
    }

    /// How many instances fit.
    pub(super) fn places(&self) -> u64 {
        self.agents.iter().map(|a| a.places).sum()
    }

    /// Agents that have room, with how many instances each.
    pub(super) fn fitting(&self) -> impl Iterator<Item = &Looked> {
        self.agents.iter().filter(|a| a.fails.is_none())
    }

    /// Agents that drop out at a stage.
    pub(super) fn failing(&self, stage: Stage) -> impl Iterator<Item = &Looked> {
        let at = move |a: &&Looked| a.fails.as_ref().is_some_and(|(s, _)| *s == stage);
        self.agents.iter().filter(at)
    }

    /// Why nothing fits, with the best near-miss; `None` when something does or there is no agent at all.
    pub(super) fn verdict(&self) -> Option<String> {
        if self.agents.is_empty() || self.places() > 0 {
            return None;
        }
        let furthest = self
            .agents
            .iter()
            .filter_map(|a| a.fails.as_ref())
            .map(|(s, _)| *s)
            .max()?;
        let need = &self.need;
        let text = match furthest {
            Stage::State => {
                let all: Vec<String> = self
                    .failing(Stage::State)
                    .take(NAMES_MAX)
                    .filter_map(|a| Some(format!("{} {}", a.name, a.fails.as_ref()?.1)))
                    .collect();
                format!("no agent is ready: {}", all.join(", "))
            }
            Stage::Role => format!(
                "all free resources are reserved for other roles than {}",
                need.role
            ),
            Stage::Cpus => self.scalar(furthest, need.cpus, |h| h.cpus, |v| format!("{} cpus", cores(v))),
            Stage::Memory => self.scalar(
                furthest,
                need.mem,
                |h| h.mem,
                |v| format!("{} of memory", mebibytes(v)),
            ),
            Stage::Disk => self.scalar(
                furthest,
                need.disk,
                |h| h.disk,
                |v| format!("{} of disk", mebibytes(v)),
            ),
            Stage::Gpus => self.scalar(furthest, need.gpus, |h| h.gpus, |v| format!("{} gpus", cores(v))),
            Stage::Ports => self.no_ports(),
        };
        Some(text)
    }

    /// Which of those that got so far comes nearest, and whether any is large enough when empty.
    fn scalar(&self, stage: Stage, need: f64, of: fn(&Have) -> f64, shown: impl Fn(f64) -> String) -> String {
        let by = |a: &&Looked, b: &&Looked| of(&a.free).total_cmp(&of(&b.free));
        let largest = self
            .agents
            .iter()
            .max_by(|a, b| of(&a.total).total_cmp(&of(&b.total)));
        if let Some(largest) = largest.filter(|a| of(&a.total) < need) {
            return format!(
                "no agent is large enough for {}; the largest is {} with {}",
                shown(need),
                largest.name,
                shown(of(&largest.total))
            );
        }
        let before = match stage {
            Stage::Cpus => "no usable agent".to_owned(),
            _ => format!("no usable agent with {} cpus", cores(self.need.cpus)),
        };
        let nearest = self.failing(stage).max_by(by);
        let nearest = nearest.map_or(String::new(), |a| {
            format!("; the nearest is {} with {}", a.name, shown(of(&a.free)))
        });
        format!("{before} has {} free{nearest}", shown(need))
    }

    fn no_ports(&self) -> String {
        let fixed = &self.need.fixed;
        if fixed.is_empty() {
            let most = self.failing(Stage::Ports).max_by_key(|a| a.free.port_count());
            let most = most.map_or(String::new(), |a| {
                format!("; the most are {} on {}", a.free.port_count(), a.name)
            });
            return format!(
                "no agent with room has {} free{most}",
                plural(self.need.ports, "port")
            );
        }
        let outside = self
            .failing(Stage::Ports)
            .filter(|a| fixed.iter().any(|p| !a.total.has_port(*p)))
            .count();
        let used = self.failing(Stage::Ports).count() - outside;
        let mut parts = Vec::new();
        if used > 0 {
            parts.push(format!("in use on {}", plural(used, "agent")));
        }
        if outside > 0 {
            let range = self
                .failing(Stage::Ports)
                .find_map(|a| a.total.ports.first().copied());
            let range = range.map_or(String::new(), |(begin, end)| format!(" {begin}-{end}"));
            parts.push(format!("outside the offered range{range} on {outside}"));
        }
        format!(
            "no agent with room has port {} (requirePorts): it is {}",
            ports_text(fixed),
            parts.join(" and ")
        )
    }

    /// What can be asked for instead, and how many instances that would place.
    pub(super) fn ways(&self, cluster: &Cluster, id: &str) -> Vec<(String, u64)> {
        let mut ways = Vec::new();
        let mut way = |need: Need, command: String| {
            let places = Room::look(cluster, &need).places();
            if places > 0 {
                ways.push((command, places));
            }
        };
        let best = |stage: Stage, of: fn(&Have) -> f64| {
            self.failing(stage)
                .map(|a| of(&a.free))
                .max_by(f64::total_cmp)
                .unwrap_or(0.0)
        };
        let name = id.trim_start_matches('/');
        let cpus = (best(Stage::Cpus, |h| h.cpus) * 100.0).floor() / 100.0;
        if cpus > 0.0 {
            let need = Need {
                cpus,
                ..self.need.clone()
            };
            way(need, format!("meseta app update {name} --cpus {}", cores(cpus)));
        }
        let mem = best(Stage::Memory, |h| h.mem).floor();
        if mem > 0.0 {
            let need = Need {
                mem,
                ..self.need.clone()
            };
            way(need, format!("meseta app update {name} --mem {mem}"));
        }
        if !self.need.fixed.is_empty() {
            let need = Need {
                ports: self.need.ports + self.need.fixed.len(),
                fixed: BTreeSet::new(),
                ..self.need.clone()
            };
            way(need, format!("meseta app update {name} requirePorts=false"));
        }
        ways
    }
}

/// So many names are enough to go on with.
pub(super) const NAMES_MAX: usize = 5;

fn looked(name: &str, agent: &Value, need: &Need) -> Looked {
    let (total, used) = (list(agent, "total_resources"), list(agent, "allocated_resources"));
    let (total, used) = (have(total, need), have(used, need));
    let free = Have {
        cpus: (total.cpus - used.cpus).max(0.0),
        mem: (total.mem - used.mem).max(0.0),
        disk: (total.disk - used.disk).max(0.0),
        gpus: (total.gpus - used.gpus).max(0.0),
        ports: without(&total.ports, &used.ports),
    };
    let fails = failure(agent, &free, need);
    let places = if fails.is_none() { places(&free, need) } else { 0 };
    Looked {
        name: name.to_owned(),
        fails,
        places,
        free,
        total,
        offered: !list(agent, "offered_resources").is_empty(),
    }
}

/// Sums that differ by less are equal: resources are added as binary fractions.
const EPSILON: f64 = 0.0005;

fn failure(agent: &Value, free: &Have, need: &Need) -> Option<(Stage, String)> {
    let state = node_state(agent);
    if state != "ready" {
        return Some((Stage::State, state.to_owned()));
    }
    let all = list(agent, "total_resources");
    if !all.is_empty() && have(all, need) == Have::default() {
        return Some((Stage::Role, "reserved for others".to_owned()));
    }
    let lacks = |have: f64, need: f64| have + EPSILON < need;
    if lacks(free.cpus, need.cpus) {
        Some((Stage::Cpus, cores(free.cpus)))
    } else if lacks(free.mem, need.mem) {
        Some((Stage::Memory, mebibytes(free.mem)))
    } else if lacks(free.disk, need.disk) {
        Some((Stage::Disk, mebibytes(free.disk)))
    } else if lacks(free.gpus, need.gpus) {
        Some((Stage::Gpus, cores(free.gpus)))
    } else if need.fixed.iter().any(|port| !free.has_port(*port))
        || free.port_count() < (need.ports + need.fixed.len()) as u64
    {
        Some((
            Stage::Ports,
            plural(usize::try_from(free.port_count()).unwrap_or(usize::MAX), "port"),
        ))
    } else {
        None
    }
}

/// How many instances fit into what is free.
fn places(free: &Have, need: &Need) -> u64 {
    /// Enough for any count a person reads.
    const MANY: f64 = 1_000_000.0;
    let times = |have: f64, need: f64| {
        if need > 0.0 {
            ((have + EPSILON) / need).floor()
        } else {
            MANY
        }
    };
    let ports = if need.fixed.is_empty() {
        times(free.port_count() as f64, need.ports as f64)
    } else {
        // The same port twice on one agent does not work.
        1.0
    };
    let all = [
        times(free.cpus, need.cpus),
        times(free.mem, need.mem),
        times(free.disk, need.disk),
        times(free.gpus, need.gpus),
        ports,
    ];
    all.into_iter().fold(MANY, f64::min) as u64
}

/// What of these resources may be used.
fn have(resources: &[Value], need: &Need) -> Have {
    let mut sum = Have::default();
    for resource in resources.iter().filter(|r| is_usable(r, need)) {
        let scalar = number(resource, &["scalar", "value"]).unwrap_or(0.0);
        match string(resource, &["name"]) {
            "cpus" => sum.cpus += scalar,
            "mem" => sum.mem += scalar,
            "disk" => sum.disk += scalar,
            "gpus" => sum.gpus += scalar,
            "ports" => {
                let ranges = resource.get("ranges").map_or(&[][..], |r| list(r, "range"));
                sum.ports.extend(
                    ranges.iter().filter_map(|range| {
                        Some((range.get("begin")?.as_u64()?, range.get("end")?.as_u64()?))
                    }),
                );
            }
            _ => {}
        }
    }
    sum.ports.sort_unstable();
    sum
}

fn is_usable(resource: &Value, need: &Need) -> bool {
    let reserved = list(resource, "reservations")
        .last()
        .map(|r| string(r, &["role"]));
    let role = match (reserved, string(resource, &["role"])) {
        (Some(role), _) => role,
        (None, "") => "*",
        (None, role) => role,
    };
    match role {
        "*" => need.accepts.0,
        role => need.accepts.1 && role == need.role,
    }
}

/// Ranges without others.
fn without(all: &[(u64, u64)], used: &[(u64, u64)]) -> Vec<(u64, u64)> {
    let mut rest = all.to_vec();
    for (from, to) in used {
        rest = rest
            .into_iter()
            .flat_map(|(begin, end)| {
                let before = (begin < *from).then(|| (begin, end.min(from.saturating_sub(1))));
                let after = (end > *to).then(|| (begin.max(to.saturating_add(1)), end));
                [before, after]
            })
            .flatten()
            .filter(|(begin, end)| begin <= end)
            .collect();
    }
    rest
}

#[cfg(test)]
mod tests;
