//! Which reason holds: one function per cause, over what was read. Pure.
//!
//! The first cause that holds is the verdict, the others follow as "also".

use crate::app::client::{seconds, short_deployment};
use crate::app::list::{WAITING_AFTER, count, has_health_checks, step};
use crate::app::room::{Need, Room};
use crate::cluster::{Cluster, list, number, short_id, short_task, string};
use crate::text::{age, cores, harmless, plural};
use crate::view::node_state;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What was read about one app.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    /// The servers' clock, in seconds since the epoch.
    pub(crate) now: f64,
    /// As `GET /v2/apps/ID` has it.
    pub(crate) app: Value,
    /// Its entry in `/v2/queue`.
    pub(crate) entry: Option<Value>,
    /// All deployments under way.
    pub(crate) deployments: Vec<Value>,
    /// Other apps it has to do with.
    pub(crate) others: BTreeMap<String, Value>,
    /// What the master says; `None` when it could not be asked.
    pub(crate) cluster: Option<Cluster>,
    /// The id of the service's framework.
    pub(crate) framework: String,
    /// The end of what the last failed task wrote to its standard error.
    pub(crate) stderr: Vec<String>,
}

/// A reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cause {
    /// A stable word.
    pub(crate) code: &'static str,
    /// One sentence.
    pub(crate) text: String,
}

/// What an app waits for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Why {
    pub(crate) id: String,
    pub(crate) code: &'static str,
    /// One sentence, with the app's name.
    pub(crate) verdict: String,
    pub(crate) also: Vec<Cause>,
    /// Seconds since the epoch.
    pub(crate) since: Option<f64>,
    pub(super) room: Option<Room>,
    /// Commands, and how many instances each would place.
    pub(crate) ways: Vec<(String, Option<u64>)>,
}

impl Why {
    /// Whether something is not as wanted.
    pub(crate) fn waits(&self) -> bool {
        !matches!(self.code, "running" | "suspended")
    }
}

type Rule = fn(&Facts) -> Option<Cause>;

/// In the order in which they are looked at.
const RULES: [Rule; 12] = [
    no_framework,
    suspended,
    dependency,
    delayed,
    unreachable,
    no_agents,
    no_fit,
    no_offers,
    launching,
    not_healthy,
    not_ready,
    kept_old,
];

/// Why an app is not as wanted.
pub(crate) fn decide(facts: &Facts) -> Why {
    let id = string(&facts.app, &["id"]).to_owned();
    let mut causes: Vec<Cause> = RULES.iter().filter_map(|rule| rule(facts)).collect();
    let since = facts.entry.as_ref().and_then(|e| seconds(string(e, &["since"])));
    let first = if causes.is_empty() {
        running(facts)
    } else {
        causes.remove(0)
    };
    let room = facts
        .cluster
        .as_ref()
        .map(|c| Room::look(c, &Need::of(&facts.app)));
    let room = room.filter(|_| matches!(first.code, "no-fit" | "no-offers"));
    let ways = ways(facts, first.code, room.as_ref(), &id);
    Why {
        verdict: verdict(facts, &first, since, &id),
        code: first.code,
        also: causes,
        since,
        room,
        ways,
        id,
    }
}

fn verdict(facts: &Facts, cause: &Cause, since: Option<f64>, id: &str) -> String {
    let missing = missing(facts);
    let wanted = count(&facts.app, "instances");
    match cause.code {
        "running" | "suspended" | "no-framework" => format!("{id}: {}.", cause.text),
        _ if missing > 0 => {
            let since = since.filter(|t| facts.now - t >= 1.0);
            let since = since.map_or(String::new(), |t| format!(", since {}", age(facts.now - t)));
            format!(
                "{id} waits for {missing} of {wanted} instances{since}: {}.",
                cause.text
            )
        }
        _ => format!("{id} waits: {}.", cause.text),
    }
}

/// Instances that are wanted and do not run.
fn missing(facts: &Facts) -> u64 {
    count(&facts.app, "instances").saturating_sub(count(&facts.app, "tasksRunning"))
}

fn ways(facts: &Facts, code: &str, room: Option<&Room>, id: &str) -> Vec<(String, Option<u64>)> {
    let name = id.trim_start_matches('/');
    let mut ways: Vec<(String, Option<u64>)> = Vec::new();
    match (code, room, &facts.cluster) {
        ("no-fit", Some(room), Some(cluster)) => {
            let asked = room.ways(cluster, id).into_iter();
            ways.extend(asked.map(|(command, places)| (command, Some(places))));
            ways.push((
                "add a node: meseta agent --master=HOST:5050 --work_dir=DIR".to_owned(),
                None,
            ));
        }
        ("no-offers", _, _) => {
            ways.push((
                "add a node: meseta agent --master=HOST:5050 --work_dir=DIR".to_owned(),
                None,
            ));
        }
        ("delayed", _, _) => ways.push((format!("meseta app restart {name}     ends the delay"), None)),
        ("suspended", _, _) => ways.push((format!("meseta app resume {name}"), None)),
        ("not-healthy" | "kept-old", _, _) => {
            if let Some(deployment) = deployment_of(facts) {
                let short = short_deployment(string(deployment, &["id"]));
                ways.push((format!("meseta deployment rollback {short}"), None));
            }
            ways.push((format!("meseta logs {name}"), None));
        }
        ("unreachable", _, _) => ways.push(("meseta node list".to_owned(), None)),
        _ => {}
    }
    ways
}

fn deployment_of(facts: &Facts) -> Option<&Value> {
    let id = string(&facts.app, &["id"]);
    let affects = |d: &&Value| list(d, "affectedApps").iter().any(|a| a.as_str() == Some(id));
    facts.deployments.iter().find(affects)
}

fn cause(code: &'static str, text: impl Into<String>) -> Option<Cause> {
    Some(Cause {
        code,
        text: text.into(),
    })
}

fn no_framework(facts: &Facts) -> Option<Cause> {
    let cluster = facts.cluster.as_ref()?;
    if facts.framework.is_empty() {
        return None;
    }
    let mine = cluster
        .frameworks
        .iter()
        .find(|f| string(f, &["framework_info", "id", "value"]) == facts.framework);
    let flag = |name: &str| mine.and_then(|f| f.get(name)).and_then(Value::as_bool);
    if flag("connected") == Some(true) {
        return None;
    }
    let since = mine
        .and_then(|f| number(f, &["unregistered_time", "nanoseconds"]))
        .filter(|n| *n > 0.0);
    let since = since.map_or(String::new(), |n| format!(" for {}", age(facts.now - n / 1e9)));
    cause(
        "no-framework",
        format!("service has had no master{since}; it places nothing until then"),
    )
}

fn suspended(facts: &Facts) -> Option<Cause> {
    let is_off = count(&facts.app, "instances") == 0;
    is_off.then_some(())?;
    cause("suspended", "0 instances are wanted: it is suspended")
}

/// Another app of the same deployment comes first.
fn dependency(facts: &Facts) -> Option<Cause> {
    let id = string(&facts.app, &["id"]);
    let deployment = deployment_of(facts)?;
    let current = list(deployment, "currentActions");
    if current.iter().any(|a| string(a, &["app"]) == id) {
        return None;
    }
    let steps = list(deployment, "steps");
    let position = usize::try_from(count(deployment, "currentStep")).unwrap_or(0);
    let later = steps
        .iter()
        .skip(position)
        .any(|s| list(s, "actions").iter().any(|a| string(a, &["app"]) == id));
    later.then_some(())?;
    let first: Vec<String> = current
        .iter()
        .map(|a| {
            let other = string(a, &["app"]);
            match facts.others.get(other) {
                Some(app) => format!("{other} ({})", how_far(app)),
                None => other.to_owned(),
            }
        })
        .collect();
    let short = short_deployment(string(deployment, &["id"]));
    cause(
        "dependency",
        format!(
            "waits for {} in step {} of deployment {short}",
            first.join(", "),
            step(deployment)
        ),
    )
}

fn how_far(app: &Value) -> String {
    let wanted = count(app, "instances");
    match has_health_checks(app) {
        true => format!("{}/{wanted} healthy", count(app, "tasksHealthy")),
        false => format!("{}/{wanted} running", count(app, "tasksRunning")),
    }
}

/// It crashed, and the next start is held back.
fn delayed(facts: &Facts) -> Option<Cause> {
    let entry = facts.entry.as_ref()?;
    let left = number(entry, &["delay", "timeLeftSeconds"]).unwrap_or(0.0);
    if entry.pointer("/delay/overdue") != Some(&Value::Bool(false)) {
        return None;
    }
    let last = facts.app.get("lastTaskFailure").cloned().unwrap_or_default();
    let ago = seconds(string(&last, &["timestamp"]))
        .map_or(String::new(), |t| format!("last {} ago", age(facts.now - t)));
    let crashes = failures(facts);
    let times = match crashes {
        0 => "crashed".to_owned(),
        1 => "crashed once".to_owned(),
        n => format!("crashed {n} times"),
    };
    let mut text = [times, ago]
        .into_iter()
        .filter(|t| !t.is_empty())
        .collect::<Vec<_>>()
        .join(", ");
    match string(&last, &["message"]) {
        "" => {}
        message => text.push_str(&format!(" ({})", harmless(message))),
    }
    if !facts.stderr.is_empty() {
        let quoted: Vec<String> = facts.stderr.iter().map(|line| harmless(line)).collect();
        text.push_str(&format!(", stderr: \"{}\"", quoted.join(" / ")));
    }
    cause("delayed", format!("{text}; next start in {}", age(left)))
}

/// How many of its tasks ended badly, as far as the master remembers.
fn failures(facts: &Facts) -> usize {
    let Some(cluster) = &facts.cluster else { return 0 };
    let prefix = task_prefix(string(&facts.app, &["id"]));
    let ended = cluster.tasks.iter().chain(&cluster.completed_tasks);
    let bad = |t: &&Value| {
        string(t, &["task_id", "value"]).starts_with(&prefix)
            && matches!(
                string(t, &["state"]),
                "TASK_FAILED" | "TASK_ERROR" | "TASK_FINISHED" | "TASK_LOST"
            )
    };
    ended.filter(bad).count()
}

/// How ids of an app's tasks begin.
pub(crate) fn task_prefix(id: &str) -> String {
    format!("{}.instance-", id.trim_matches('/').replace('/', "_"))
}

/// Instances on agents that cannot be reached.
fn unreachable(facts: &Facts) -> Option<Cause> {
    let tasks = list(&facts.app, "tasks");
    let lost_agent = |task: &&Value| {
        let agent = string(task, &["slaveId"]);
        let cluster = facts.cluster.as_ref()?;
        let known = cluster
            .agents
            .iter()
            .find(|a| string(a, &["agent_info", "id", "value"]) == agent);
        Some(known.is_none_or(|a| node_state(a) == "disconnected"))
    };
    let lost: Vec<&Value> = tasks
        .iter()
        .filter(|t| string(t, &["state"]) == "TASK_UNREACHABLE" || lost_agent(t) == Some(true))
        .collect();
    let Some(first) = lost.first() else {
        return given_up(facts);
    };
    let mut hosts: Vec<&str> = lost.iter().map(|t| string(t, &["host"])).collect();
    hosts.sort_unstable();
    hosts.dedup();
    let replaced = match facts.app.get("unreachableStrategy") {
        Some(Value::String(_)) => "not replaced (unreachableStrategy disabled)".to_owned(),
        Some(strategy) => match number(strategy, &["inactiveAfterSeconds"]).unwrap_or(0.0) {
            after if after > 0.0 => format!("replaced after {} (unreachableStrategy)", age(after)),
            _ => "replaced as soon as the master gives it up".to_owned(),
        },
        None => "replaced as soon as the master gives it up".to_owned(),
    };
    let which = short_task(string(first, &["id"]));
    let more = match lost.len() {
        1 => which,
        n => format!("{which} and {} more", n - 1),
    };
    let is_one = if lost.len() == 1 { "is" } else { "are" };
    cause(
        "unreachable",
        format!(
            "agent {} cannot be reached; {more} {is_one} there, {replaced}",
            hosts.join(", ")
        ),
    )
}

/// The master has given up an agent with instances of this app, and their replacements are not placed.
fn given_up(facts: &Facts) -> Option<Cause> {
    let (cluster, _) = (facts.cluster.as_ref()?, wants_room(facts)?);
    let prefix = task_prefix(string(&facts.app, &["id"]));
    let mine = |t: &&Value| string(t, &["task_id", "value"]).starts_with(&prefix);
    let gone: Vec<&Value> = cluster.unreachable_tasks.iter().filter(mine).collect();
    let last = gone.last()?;
    let since = list(last, "statuses")
        .last()
        .and_then(|s| number(s, &["timestamp"]));
    let since = since.map_or(String::new(), |t| format!(" since {}", age(facts.now - t)));
    let agent = short_id(string(last, &["agent_id", "value"]));
    let instances = match gone.len() {
        1 => "an instance was there and has".to_owned(),
        n => format!("{n} instances were there and have"),
    };
    cause(
        "unreachable",
        format!("agent {agent} cannot be reached{since}, {instances} no new place yet"),
    )
}

/// There is nobody who could offer anything.
fn no_agents(facts: &Facts) -> Option<Cause> {
    let (cluster, _) = (facts.cluster.as_ref()?, wants_room(facts)?);
    if !cluster.agents.is_empty() || !cluster.recovered_agents.is_empty() {
        return None;
    }
    cause("no-offers", "there are no offers: the cluster has no node")
}

/// It wants to launch something, and that since more than a moment.
fn wants_room(facts: &Facts) -> Option<&Value> {
    let entry = facts.entry.as_ref()?;
    (entry.pointer("/delay/overdue") != Some(&Value::Bool(false))).then_some(entry)
}

fn no_fit(facts: &Facts) -> Option<Cause> {
    let entry = wants_room(facts)?;
    match &facts.cluster {
        Some(cluster) => {
            let room = Room::look(cluster, &Need::of(&facts.app));
            let text = room.verdict()?;
            let all_away = room
                .agents
                .iter()
                .all(|a| matches!(&a.fails, Some((crate::app::room::Stage::State, _))));
            cause(if all_away { "no-offers" } else { "no-fit" }, text)
        }
        // Without the master, the service's own counts.
        None => {
            let summary = entry.get("processedOffersSummary")?;
            let rejects = list(summary, "rejectSummaryLastOffers").iter();
            let told: Vec<String> = rejects
                .filter(|r| count(r, "declined") > 0)
                .map(|r| format!("{} {}", string(r, &["reason"]), count(r, "declined")))
                .collect();
            (!told.is_empty()).then_some(())?;
            cause(
                "no-fit",
                format!("no offer fits (of the last ones: {})", told.join(", ")),
            )
        }
    }
}

/// There is room, and yet nothing is offered.
fn no_offers(facts: &Facts) -> Option<Cause> {
    let entry = wants_room(facts)?;
    let since = seconds(string(entry, &["since"])).unwrap_or(facts.now);
    if facts.now - since < WAITING_AFTER {
        return None;
    }
    let summary = entry.get("processedOffersSummary").cloned().unwrap_or(json!({}));
    let processed = count(&summary, "processedOffersCount");
    let cluster = facts.cluster.as_ref()?;
    let room = Room::look(cluster, &Need::of(&facts.app));
    if room.places() == 0 {
        return None;
    }
    let names: Vec<&str> = room
        .fitting()
        .take(crate::app::room::NAMES_MAX)
        .map(|a| a.name.as_str())
        .collect();
    let elsewhere = room.fitting().filter(|a| a.offered).count();
    let held = if elsewhere > 0 {
        format!(
            "; what is free on {} is offered to other frameworks just now",
            plural(elsewhere, "agent")
        )
    } else {
        String::new()
    };
    let last = string(&summary, &["lastUnusedOfferAt"]);
    let last = match (processed, seconds(last)) {
        (0, _) => "none has come yet".to_owned(),
        (_, Some(at)) => format!("the last one came {} ago", age(facts.now - at)),
        (_, None) => "the last ones were used up".to_owned(),
    };
    cause(
        "no-offers",
        format!(
            "it gets no offers ({last}), although there is room on {}{held}",
            names.join(", ")
        ),
    )
}

fn launching(facts: &Facts) -> Option<Cause> {
    let staged: Vec<&Value> = list(&facts.app, "tasks")
        .iter()
        .filter(|t| matches!(string(t, &["state"]), "TASK_STAGING" | "TASK_STARTING"))
        .collect();
    let first = staged.first()?;
    let since = seconds(string(first, &["stagedAt"]))
        .map_or(String::new(), |t| format!(" since {}", age(facts.now - t)));
    let fetches = if list(&facts.app, "fetch").is_empty() {
        "starts"
    } else {
        "fetches its files or starts"
    };
    cause(
        "launching",
        format!(
            "{} not running yet: {} on {} {fetches}{since}",
            staged.len(),
            short_task(string(first, &["id"])),
            string(first, &["host"])
        ),
    )
}

fn not_healthy(facts: &Facts) -> Option<Cause> {
    has_health_checks(&facts.app).then_some(())?;
    let running = list(&facts.app, "tasks")
        .iter()
        .filter(|t| string(t, &["state"]) == "TASK_RUNNING");
    let sick: Vec<(&Value, Option<&Value>)> = running
        .map(|t| {
            let results = list(t, "healthCheckResults");
            (
                t,
                results
                    .iter()
                    .find(|r| r.get("alive") != Some(&Value::Bool(true))),
                results.is_empty(),
            )
        })
        .filter(|(_, bad, none)| bad.is_some() || *none)
        .map(|(t, bad, _)| (t, bad))
        .collect();
    // One that failed says more than one that was not asked yet.
    let failing = |r: &Value| count(r, "consecutiveFailures");
    let (task, result) = sick.iter().max_by_key(|(_, r)| r.map_or(0, failing))?;
    let started = seconds(string(task, &["startedAt"]));
    let since = started.map_or(String::new(), |t| format!(" runs since {}", age(facts.now - t)));
    let name = format!(
        "{} on {}{since}",
        short_task(string(task, &["id"])),
        string(task, &["host"])
    );
    let check = list(&facts.app, "healthChecks").first()?;
    let what = check_text(check, task);
    let mut text = match result {
        Some(result) if failing(result) > 0 => {
            let times = failing(result);
            let reason = match string(result, &["lastFailureCause"]) {
                "" => String::new(),
                reason => format!(": {}", harmless(reason)),
            };
            format!(
                "{name}, health check {what} fails ({}{reason})",
                plural(usize::try_from(times).unwrap_or(0), "time")
            )
        }
        _ => format!("{name}, health check {what} has not succeeded yet"),
    };
    let grace = number(check, &["gracePeriodSeconds"]).unwrap_or(0.0);
    let left = started.map_or(0.0, |t| t + grace - facts.now);
    if left > 0.0 && result.is_none_or(|r| string(r, &["firstSuccess"]).is_empty()) {
        text.push_str(&format!("; grace ends in {}", age(left)));
    }
    if sick.len() > 1 {
        text.push_str(&format!("; {} more are not healthy", sick.len() - 1));
    }
    cause("not-healthy", text)
}

/// `HTTP :31412/health`.
fn check_text(check: &Value, task: &Value) -> String {
    let protocol = match string(check, &["protocol"]) {
        "" => "HTTP",
        protocol => protocol,
    };
    if protocol == "COMMAND" {
        return format!("'{}'", harmless(string(check, &["command", "value"])));
    }
    let by_index = || {
        let index = usize::try_from(count(check, "portIndex")).ok()?;
        list(task, "ports").get(index)?.as_u64()
    };
    let port = check.get("port").and_then(Value::as_u64).or_else(by_index);
    let port = port.map_or(String::new(), |p| format!(" :{p}"));
    let path = if protocol.ends_with("TCP") {
        ""
    } else {
        string(check, &["path"])
    };
    format!("{protocol}{port}{path}")
}

fn not_ready(facts: &Facts) -> Option<Cause> {
    let results = list(&facts.app, "readinessCheckResults").iter();
    let waiting: Vec<&Value> = results
        .filter(|r| r.get("ready") == Some(&Value::Bool(false)))
        .collect();
    let first = waiting.first()?;
    let answer = match number(first, &["lastResponse", "status"]) {
        Some(status) => format!("answers {status}"),
        None => "has not answered".to_owned(),
    };
    let name = short_task(string(first, &["taskId"]));
    cause(
        "not-ready",
        format!(
            "{} not ready yet: readiness check of {name} {answer}",
            waiting.len()
        ),
    )
}

/// Old instances must stay until new ones are as wanted.
fn kept_old(facts: &Facts) -> Option<Cause> {
    let id = string(&facts.app, &["id"]);
    let deployment = deployment_of(facts)?;
    let restarts = list(deployment, "currentActions")
        .iter()
        .any(|a| string(a, &["app"]) == id && string(a, &["action"]) == "RestartApplication");
    restarts.then_some(())?;
    let config = seconds(string(&facts.app, &["versionInfo", "lastConfigChangeAt"]))?;
    let is_old = |t: &&Value| seconds(string(t, &["version"])).is_some_and(|v| v < config);
    let old = list(&facts.app, "tasks").iter().filter(is_old).count();
    (old > 0).then_some(())?;
    let wanted = count(&facts.app, "instances");
    let health = number(&facts.app, &["upgradeStrategy", "minimumHealthCapacity"]).unwrap_or(1.0);
    let least = (wanted as f64 * health).ceil();
    let short = short_deployment(string(deployment, &["id"]));
    cause(
        "kept-old",
        format!(
            "deployment {short} holds {old} old instances until new ones are healthy: {} of {wanted} must stay \
             (minimumHealthCapacity {})",
            cores(least),
            cores(health)
        ),
    )
}

/// Nothing is missing.
fn running(facts: &Facts) -> Cause {
    let app = &facts.app;
    let (wanted, runs) = (count(app, "instances"), count(app, "tasksRunning"));
    let healthy = match has_health_checks(app) {
        true => format!(", {} healthy", count(app, "tasksHealthy")),
        false => " (no health check)".to_owned(),
    };
    if runs >= wanted {
        return Cause {
            code: "running",
            text: format!("nothing waits: {runs} of {wanted} instances run{healthy}"),
        };
    }
    Cause {
        code: "launching",
        text: format!("{} being started", wanted - runs),
    }
}

#[cfg(test)]
mod tests;
