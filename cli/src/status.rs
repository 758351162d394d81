//! `meseta status`: the cluster on one screen; or one name, found among all kinds.

use crate::api::Leader;
use crate::app::client::{Apps, Dated, id_of};
use crate::app::{deployment, list as apps_list};
use crate::args::{Global, NodeList};
use crate::cluster::{Cluster, list, masters, number, scalar, short_task, string};
use crate::failure::{Failure, exit};
use crate::output::{self, Format, Style, block};
use crate::services::{Kind, Service};
use crate::text::{age, cores, mebibytes, plural};
use crate::view::{framework_state, node_list, node_state};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// `status`, or `status NAME`.
pub(crate) async fn run(global: &Global, name: Option<&str>) -> Result<u8, Failure> {
    let leader = Leader::find(&masters(global)?).await?;
    let cluster = Cluster::read(&leader).await?;
    if global.format() == Format::Env {
        let text = addresses(&leader, global).await;
        return Ok(output::print(&text).err().unwrap_or(0));
    }
    let (service, cron) = futures_util::join!(read_service(&leader, global), read_cron(&leader, global));
    let (service, cron) = (service.ok(), cron.ok());
    if let Some(name) = name {
        return one(global, &cluster, service.as_ref(), cron.as_deref(), name).await;
    }
    let screen = Screen {
        leader: &leader,
        cluster: &cluster,
        service: service.as_ref(),
        jobs: cron.as_deref(),
    };
    let text = match global.format() {
        Format::Json | Format::Jsonl => format!("{}\n", screen.object()),
        Format::Name => format!("{}\n", screen.verdict()),
        _ => screen.text(&Style::part(global)),
    };
    Ok(output::print(&text).err().unwrap_or(0))
}

/// The cluster's addresses as a shell reads them: `eval "$(meseta status -o env)"`.
async fn addresses(leader: &Leader, global: &Global) -> String {
    let mut text = format!("export MESETA_MASTER={}\n", leader.at);
    for (name, kind) in [("SERVICE", Kind::Service), ("CRON", Kind::Cron)] {
        // A cluster without one of them has no address to tell.
        if let Ok(found) = Service::known(global, leader, kind).await {
            text.push_str(&format!("export MESETA_{name}_URL={}\n", found.at.url()));
        }
    }
    text
}

/// What the service says.
struct Seen {
    apps: Dated<Vec<Value>>,
    queue: Vec<Value>,
    deployments: Dated<Vec<Value>>,
}

/// The service, where told or where its framework is. Without one there is nothing to say of apps.
async fn read_service(leader: &Leader, global: &Global) -> Result<Seen, Failure> {
    let apps = match &global.service_url {
        Some(_) => Apps::find(global).await?,
        None => Apps::of(Service::of(leader, Kind::Service).await?),
    };
    let (all, queue, deployments) = futures_util::try_join!(
        apps.all("?embed=apps.counts&embed=apps.deployments"),
        apps.queue(),
        apps.deployments()
    )?;
    Ok(Seen {
        apps: all,
        queue,
        deployments,
    })
}

/// A row per job.
async fn read_cron(leader: &Leader, global: &Global) -> Result<Vec<Value>, Failure> {
    let cron = Service::known(global, leader, Kind::Cron).await?;
    let answer = cron.get("/v1/scheduler/jobs/overview").await?;
    Ok(list(&answer, "jobs").to_vec())
}

/// Counts by word, in the order of the words.
type Counts = BTreeMap<String, usize>;

fn app_counts(seen: &Seen) -> Counts {
    let queue = apps_list::by_app(&seen.queue);
    let mut counts = Counts::new();
    for app in &seen.apps.value {
        let status = apps_list::status(app, queue.get(string(app, &["id"])).copied(), seen.apps.now);
        *counts.entry(status.to_owned()).or_default() += 1;
    }
    counts
}

fn job_counts(jobs: &[Value]) -> Counts {
    let mut counts = Counts::new();
    for job in jobs {
        let disabled = job.get("disabled") == Some(&Value::Bool(true));
        let word = match (string(job, &["state"]), string(job, &["status"])) {
            ("running", _) => "running",
            ("queued" | "retrying", _) => "waiting",
            (_, "failure") => "failed",
            _ if disabled => "disabled",
            (_, "success") => "ok",
            _ => "not run yet",
        };
        *counts.entry(word.to_owned()).or_default() += 1;
    }
    counts
}

fn counts_text(counts: &Counts) -> String {
    let parts: Vec<String> = counts.iter().map(|(word, n)| format!("{n} {word}")).collect();
    parts.join(", ")
}

/// Everything that is on the screen.
struct Screen<'a> {
    leader: &'a Leader,
    cluster: &'a Cluster,
    service: Option<&'a Seen>,
    jobs: Option<&'a [Value]>,
}

impl Screen<'_> {
    fn verdict(&self) -> String {
        let mut text = nodes_verdict(self.cluster);
        let apps = self.service.map(app_counts).unwrap_or_default();
        for (word, one, is) in [
            ("waiting", "app waits", "apps wait"),
            ("unhealthy", "app is unhealthy", "apps are unhealthy"),
        ] {
            match apps.get(word).copied().unwrap_or(0)
                + if word == "waiting" {
                    apps.get("delayed").copied().unwrap_or(0)
                } else {
                    0
                } {
                0 => {}
                1 => text.push_str(&format!(", 1 {one}")),
                n => text.push_str(&format!(", {n} {is}")),
            }
        }
        match self.jobs.map(job_counts).unwrap_or_default().get("failed") {
            None => {}
            Some(1) => text.push_str(", 1 job failed"),
            Some(n) => text.push_str(&format!(", {n} jobs failed")),
        }
        text
    }

    fn text(&self, style: &Style) -> String {
        let cluster = self.cluster;
        let master = self.leader.master.get("master_info").cloned().unwrap_or_default();
        let started =
            number(&self.leader.master, &["start_time"]).map_or(String::new(), |t| age(cluster.now - t));
        let of = |name: &str, unit: fn(f64) -> String| {
            let sum = |member: &str| {
                cluster
                    .agents
                    .iter()
                    .fold(0.0, |sum, a| sum + scalar(list(a, member), name))
            };
            format!(
                "{} of {}",
                unit(sum("allocated_resources")),
                unit(sum("total_resources"))
            )
        };
        let active = cluster
            .frameworks
            .iter()
            .filter(|f| framework_state(f, false) == "active")
            .count();
        let apps = match self.service {
            Some(seen) if seen.apps.value.is_empty() => "none".to_owned(),
            Some(seen) => counts_text(&app_counts(seen)),
            None => String::new(),
        };
        let jobs = match self.jobs {
            Some([]) => "none".to_owned(),
            Some(jobs) => counts_text(&job_counts(jobs)),
            None => String::new(),
        };
        let version = string(&master, &["version"]);
        let mut text = format!("{}\n\n", self.verdict());
        text.push_str(&block(&[
            (
                "master",
                format!("http://{}  version {version}  up {started}", self.leader.at),
            ),
            (
                "frameworks",
                format!("{active} active, {} known", cluster.frameworks.len()),
            ),
            ("cpus", of("cpus", cores)),
            ("mem", of("mem", mebibytes)),
            ("disk", of("disk", mebibytes)),
            ("apps", apps),
            ("jobs", jobs),
        ]));
        text.push('\n');
        text.push_str(&node_list(cluster, &NodeList::default()).part(style));
        if let Some(seen) = self.service.filter(|s| !s.deployments.value.is_empty()) {
            text.push_str("\ndeployments\n");
            text.push_str(&deployment::table(&seen.deployments, style));
        }
        text
    }

    fn object(&self) -> Value {
        let cluster = self.cluster;
        json!({
            "kind": "status",
            "schema": 1,
            "verdict": self.verdict(),
            "master": self.leader.master,
            "leader": self.leader.at.to_string(),
            "agents": cluster.agents.len(),
            "recovered_agents": cluster.recovered_agents.len(),
            "frameworks": cluster.frameworks.len(),
            "tasks": cluster.live_tasks().count(),
            "unreachable_tasks": cluster.unreachable_tasks.len(),
            "apps": self.service.map(app_counts),
            "jobs": self.jobs.map(job_counts),
            "deployments": self.service.map(|s| &s.deployments.value),
        })
    }
}

fn nodes_verdict(cluster: &Cluster) -> String {
    let ready = cluster.agents.iter().filter(|a| node_state(a) == "ready").count();
    let away = cluster.agents.len() + cluster.recovered_agents.len() - ready;
    let mut text = if cluster.agents.is_empty() {
        "no nodes: nothing can run".to_owned()
    } else {
        format!(
            "{} ready, {} running",
            plural(ready, "node"),
            plural(cluster.live_tasks().count(), "task")
        )
    };
    if away > 0 {
        text.push_str(&format!(", {} not ready", plural(away, "node")));
    }
    if !cluster.unreachable_tasks.is_empty() {
        text.push_str(&format!(
            ", {} unreachable",
            plural(cluster.unreachable_tasks.len(), "task")
        ));
    }
    text
}

/// Where a name was found: the kind, its state, and the command that shows all of it.
fn found(
    cluster: &Cluster,
    service: Option<&Seen>,
    jobs: Option<&[Value]>,
    name: &str,
) -> Vec<(String, Value)> {
    let (kind, bare) = match name.split_once('/') {
        Some((kind @ ("app" | "job" | "deployment" | "task" | "node"), bare)) => (kind, bare),
        _ => ("", name),
    };
    let is = |wanted: &str| kind.is_empty() || kind == wanted;
    let mut all = Vec::new();
    let mut add = |kind: &str, id: &str, state: &str, command: String, object: &Value| {
        all.push((
            format!("{kind} {id}  {state}     {command}\n"),
            json!({"type": kind, "id": id, "state": state, "object": object}),
        ));
    };
    if let (true, Some(seen), Ok(id)) = (is("app"), service, id_of(bare)) {
        let queue = apps_list::by_app(&seen.queue);
        for app in seen
            .apps
            .value
            .iter()
            .filter(|a| string(a, &["id"]) == id.as_str())
        {
            let status = apps_list::status(app, queue.get(id.as_str()).copied(), seen.apps.now);
            let runs = format!(
                "{status} {}/{}",
                apps_list::count(app, "tasksRunning"),
                apps_list::count(app, "instances")
            );
            add("app", id.as_str(), &runs, format!("meseta app show {id}"), app);
        }
    }
    if is("job") {
        for job in jobs
            .unwrap_or_default()
            .iter()
            .filter(|j| string(j, &["name"]) == bare)
        {
            let state = format!("{} {}", string(job, &["state"]), string(job, &["status"]));
            add("job", bare, state.trim(), format!("meseta job show {bare}"), job);
        }
    }
    if let (true, Some(seen)) = (is("deployment"), service) {
        let begins = |d: &&Value| bare.len() >= 4 && string(d, &["id"]).starts_with(bare);
        for one in seen.deployments.value.iter().filter(begins) {
            let id = string(one, &["id"]);
            add(
                "deployment",
                id,
                "under way",
                format!("meseta deployment show {bare}"),
                one,
            );
        }
    }
    if let (true, Ok(task)) = (is("task"), cluster.task(bare)) {
        let state = string(task, &["state"])
            .trim_start_matches("TASK_")
            .to_lowercase();
        let id = short_task(string(task, &["task_id", "value"]));
        // An app's name is the beginning of its instances' names: that is no second thing.
        if all_none(&all) || kind == "task" {
            all.push((
                format!("task {id}  {state}     meseta task show {id}\n"),
                json!({"type": "task", "id": id, "state": state, "object": task}),
            ));
        }
    }
    if let (true, Ok(node)) = (is("node"), cluster.node(bare)) {
        let state = node_state(node);
        all.push((
            format!("node {bare}  {state}     meseta node list\n"),
            json!({"type": "node", "id": bare, "state": state, "object": node}),
        ));
    }
    all
}

fn all_none(all: &[(String, Value)]) -> bool {
    all.is_empty()
}

async fn one(
    global: &Global,
    cluster: &Cluster,
    service: Option<&Seen>,
    jobs: Option<&[Value]>,
    name: &str,
) -> Result<u8, Failure> {
    let all = found(cluster, service, jobs, name);
    if all.is_empty() {
        let what = format!("there is no app, job, deployment, task or node '{name}'");
        return Err(Failure::new("not-found", exit::NOT_FOUND, what).fix("meseta status"));
    }
    let text: String = match global.format() {
        Format::Json => format!(
            "{}\n",
            all.into_iter().map(|(_, object)| object).collect::<Value>()
        ),
        Format::Jsonl => all.into_iter().map(|(_, object)| format!("{object}\n")).collect(),
        _ => all.into_iter().map(|(line, _)| line).collect(),
    };
    Ok(output::print(&text).err().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen() -> Seen {
        let app = |id: &str, more: Value| {
            let mut app =
                json!({"id": id, "instances": 2, "tasksRunning": 2, "tasksStaged": 0, "deployments": []});
            for (name, value) in more.as_object().into_iter().flatten() {
                app[name] = value.clone();
            }
            app
        };
        Seen {
            apps: Dated {
                value: vec![
                    app("/web", json!({})),
                    app("/db", json!({})),
                    app("/sick", json!({"tasksUnhealthy": 1})),
                    app("/crashing", json!({"tasksRunning": 0})),
                ],
                now: 1000.0,
            },
            queue: vec![
                json!({"app": {"id": "/crashing"}, "delay": {"overdue": false, "timeLeftSeconds": 9}}),
            ],
            deployments: Dated {
                value: vec![json!({"id": "5f1c2a90-1", "affectedApps": ["/db"]})],
                now: 1000.0,
            },
        }
    }

    #[test]
    fn apps_and_jobs_are_counted_by_state() {
        assert_eq!(
            counts_text(&app_counts(&seen())),
            "1 delayed, 2 running, 1 unhealthy"
        );
        let jobs = [
            json!({"state": "idle", "status": "success"}),
            json!({"state": "idle", "status": "failure"}),
            json!({"state": "running", "status": "failure"}),
            json!({"state": "idle", "status": "fresh", "disabled": true}),
        ];
        assert_eq!(
            counts_text(&job_counts(&jobs)),
            "1 disabled, 1 failed, 1 ok, 1 running"
        );
        assert_eq!(nodes_verdict(&Cluster::default()), "no nodes: nothing can run");
    }

    #[test]
    fn a_name_is_found_among_all_kinds() {
        let cluster = Cluster {
            agents: vec![json!({"agent_info": {"id": {"value": "m-S0"}, "hostname": "a1"}, "active": true})],
            tasks: vec![
                json!({"task_id": {"value": "web.instance-3f2a91c0-1._app.1"}, "state": "TASK_RUNNING"}),
            ],
            ..Cluster::default()
        };
        let jobs = [json!({"name": "web", "state": "idle", "status": "success"})];
        let lines = |name: &str| -> Vec<String> {
            let all = found(&cluster, Some(&seen()), Some(&jobs), name);
            all.into_iter().map(|(line, _)| line).collect()
        };
        assert_eq!(
            lines("web"),
            [
                "app /web  running 2/2     meseta app show /web\n",
                "job web  idle success     meseta job show web\n",
            ]
        );
        assert_eq!(lines("job/web").len(), 1);
        assert_eq!(
            lines("web.3f2a"),
            ["task web.3f2a91c0  running     meseta task show web.3f2a91c0\n"]
        );
        assert_eq!(lines("5f1c").len(), 1);
        assert_eq!(lines("a1"), ["node a1  ready     meseta node list\n"]);
        assert!(lines("nothing").is_empty());
    }
}
