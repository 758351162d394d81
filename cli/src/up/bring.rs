//! What happens once the cluster is ready: apps and jobs of the last time are found, those of the command line are
//! submitted, and all are watched until they are as wanted.
//!
//! Over the public APIs of the two frameworks only, as any other client does it.

use super::plan::{Plan, Role};
use super::screen::Screen;
use crate::app;
use crate::cluster::{list, number, string};
use crate::definition::{Definition, Kind as What};
use crate::failure::{Failure, exit};
use crate::job;
use crate::services::{Kind, Service};
use crate::text::plural;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// The pause between two looks: the SDK and the agents need longer than this for anything that could be seen.
const PAUSE: Duration = Duration::from_millis(100);
/// An app that is not healthy by then, or a job that has not run: what is known of it is said, the cluster stays up.
const PATIENCE: Duration = Duration::from_secs(30);
/// A first run that is due later than this is not waited for.
const FIRST_RUN: Duration = Duration::from_secs(15);
/// Apps that are watched one by one: as many as a screen shows. Others come up by themselves.
const WATCHED_MAX: usize = 50;
/// A server that does not answer for so long has died; it is being started again and asked again meanwhile.
const SILENCE: Duration = Duration::from_secs(20);

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Brought {
    /// Apps with host and port of each instance.
    pub(super) addresses: Vec<(String, Vec<(String, u64)>)>,
    pub(super) jobs: Vec<String>,
    /// What is not as wanted.
    pub(super) trouble: Vec<Failure>,
}

/// The frameworks that the cluster has.
struct Servers {
    service: Option<Service>,
    cron: Option<Service>,
}

/// Does all of it. `since`: how long ago an earlier `up` was seen here.
pub(super) async fn bring(
    plan: Plan,
    screen: Screen,
    definitions: Vec<Definition>,
    since: Option<Duration>,
) -> Brought {
    let server = |kind, role: Role| plan.has(&role).then(|| Service::at(kind, plan.endpoint(&role)));
    let servers = Servers {
        service: server(Kind::Service, Role::Service),
        cron: server(Kind::Cron, Role::Cron),
    };
    let mut brought = Brought::default();
    let apps = servers.apps().await;
    let jobs = servers.jobs().await;
    let known: Vec<String> = apps
        .iter()
        .chain(&jobs)
        .flatten()
        .map(|one| name(one).to_owned())
        .collect();
    brought
        .trouble
        .extend([apps.err(), jobs.err()].into_iter().flatten());
    if !known.is_empty() {
        screen.found(&known, since);
    }
    let mut first_runs: Vec<String> = Vec::new();
    for definition in &definitions {
        match servers.submit(definition).await {
            Ok(()) if definition.kind == What::Job => first_runs.push(definition.id.clone()),
            Ok(()) => {}
            Err(failure) => brought.trouble.push(failure),
        }
    }
    let apps = async {
        match &servers.service {
            Some(service) => watch_apps(service, &screen).await,
            None => Vec::new(),
        }
    };
    let jobs = async {
        match &servers.cron {
            Some(cron) => watch_jobs(cron, &screen, first_runs).await,
            None => Vec::new(),
        }
    };
    let (apps, jobs) = tokio::join!(apps, jobs);
    brought.trouble.extend(apps.into_iter().chain(jobs));
    brought.addresses = servers.addresses().await;
    if let Ok(jobs) = servers.jobs().await {
        brought.jobs = jobs.iter().map(|one| name(one).to_owned()).collect();
    }
    brought
}

fn name(one: &Value) -> &str {
    match string(one, &["id"]) {
        "" => string(one, &["name"]),
        id => id,
    }
}

impl Brought {
    /// The exit code of whoever waited for it.
    pub(super) fn code(&self) -> u8 {
        let mut codes = self.trouble.iter().map(|failure| failure.exit);
        match codes.next() {
            None => 0,
            Some(first) if codes.all(|code| code == first) => first,
            Some(_) => exit::SOME_FAILED,
        }
    }
}

impl Servers {
    async fn apps(&self) -> Result<Vec<Value>, Failure> {
        let Some(service) = &self.service else {
            return Ok(Vec::new());
        };
        let answer = service.get("/v2/apps?embed=apps.counts").await?;
        Ok(list(&answer, "apps").to_vec())
    }

    async fn jobs(&self) -> Result<Vec<Value>, Failure> {
        let Some(cron) = &self.cron else {
            return Ok(Vec::new());
        };
        let answer = cron.get("/v1/scheduler/jobs").await?;
        Ok(answer.as_array().cloned().unwrap_or_default())
    }

    async fn submit(&self, definition: &Definition) -> Result<(), Failure> {
        let without = |flag: &str| {
            let what = format!(
                "{flag} left out what the {} {} needs",
                definition.kind.word(),
                definition.id
            );
            Failure::new("not-here", exit::USAGE, what).fix(format!("meseta up without {flag}"))
        };
        if definition.kind == What::Job {
            let cron = self.cron.as_ref().ok_or_else(|| without("--no-cron"))?;
            // One that is there as it should be keeps its place in its schedule.
            return job::submit(cron, definition).await.map(|_| ());
        }
        let service = self.service.as_ref().ok_or_else(|| without("--no-service"))?;
        // One that is there as it should be is left alone: no new version, no deployment.
        app::submit(service, definition).await.map(|_| ())
    }

    async fn addresses(&self) -> Vec<(String, Vec<(String, u64)>)> {
        let Some(service) = &self.service else {
            return Vec::new();
        };
        let Ok(answer) = service.get("/v2/tasks?status=running").await else {
            return Vec::new();
        };
        let mut found: BTreeMap<String, Vec<(String, u64)>> = BTreeMap::new();
        for task in list(&answer, "tasks") {
            let port = list(task, "ports").first().and_then(Value::as_u64);
            let host = string(task, &["host"]).to_owned();
            let of_app = found.entry(string(task, &["appId"]).to_owned()).or_default();
            of_app.extend(port.map(|port| (host, port)));
        }
        found.into_iter().collect()
    }
}

/// How far an app is: instances as wanted, and all of them.
fn how_far(app: &Value) -> (u64, u64, &'static str) {
    let count = |name: &str| number(app, &[name]).map_or(0, |n| n as u64);
    let wanted = count("instances");
    if list(app, "healthChecks").is_empty() {
        (count("tasksRunning").min(wanted), wanted, "running")
    } else {
        (count("tasksHealthy").min(wanted), wanted, "healthy")
    }
}

/// Shows every app until it is as wanted; what is not, after a while, is the answer.
async fn watch_apps(service: &Service, screen: &Screen) -> Vec<Failure> {
    let begun = Instant::now();
    let mut answered = Instant::now();
    let mut done: Vec<String> = Vec::new();
    loop {
        let mut waiting: Vec<(String, u64, u64, &str)> = Vec::new();
        match service
            .get("/v2/apps?embed=apps.counts&embed=apps.deployments")
            .await
        {
            Ok(answer) => {
                answered = Instant::now();
                for app in list(&answer, "apps").iter().take(WATCHED_MAX) {
                    let id = string(app, &["id"]).to_owned();
                    let (here, wanted, word) = how_far(app);
                    let label = format!("app {id}");
                    let settled = here == wanted && list(app, "deployments").is_empty();
                    if settled && !done.contains(&id) {
                        screen.progress().all(&id, &label, wanted, word);
                        done.push(id);
                    } else if !settled {
                        done.retain(|other| *other != id);
                        screen.progress().bar(&id, &label, here, wanted, word);
                        waiting.push((id, here, wanted, word));
                    }
                }
                if waiting.is_empty() {
                    return Vec::new();
                }
            }
            Err(failure) if answered.elapsed() >= SILENCE => return vec![failure],
            // Being started again.
            Err(_) => {}
        }
        if begun.elapsed() >= PATIENCE {
            return waiting
                .into_iter()
                .map(|(id, here, wanted, word)| {
                    let plain = id.trim_start_matches('/');
                    let what = format!(
                        "{here} of {} of {id} {word} after {PATIENCE:?}",
                        plural(wanted as usize, "instance")
                    );
                    Failure::new("not-healthy", exit::FAILED, what)
                        .detail("the cluster stays up, and the app may still get there")
                        .fix(format!("meseta app why {plain}"))
                })
                .collect();
        }
        screen.progress().beat();
        tokio::time::sleep(PAUSE).await;
    }
}

/// Shows the first run of each of these jobs, where it is due soon.
async fn watch_jobs(cron: &Service, screen: &Screen, mut names: Vec<String>) -> Vec<Failure> {
    let begun = Instant::now();
    let mut trouble = Vec::new();
    while !names.is_empty() {
        let mut waiting = Vec::new();
        for name in names {
            let key = format!("job {name}");
            match cron
                .get(&format!("/v1/scheduler/overview/{}", job::encoded(&name)))
                .await
            {
                Ok(row) => match first_run(&row) {
                    First::Ended(true, text) => screen.progress().done(&key, &key, &text),
                    First::Ended(false, text) => screen.progress().failed(&key, &key, &text),
                    First::Later(text) => screen.progress().done(&key, &key, &text),
                    First::Soon(text) => {
                        screen.progress().phase(&key, &key, &text);
                        waiting.push(name);
                    }
                },
                // Being started again.
                Err(failure) if failure.exit == exit::UNREACHABLE && begun.elapsed() < SILENCE => {
                    waiting.push(name);
                }
                Err(failure) => trouble.push(failure),
            }
        }
        names = waiting;
        if begun.elapsed() >= PATIENCE {
            for name in &names {
                let what = format!("job {name} has not run within {PATIENCE:?}");
                trouble
                    .push(Failure::new("not-run", exit::FAILED, what).fix(format!("meseta job why {name}")));
            }
            break;
        }
        if !names.is_empty() {
            tokio::time::sleep(PAUSE).await;
        }
    }
    trouble
}

#[derive(Debug, PartialEq, Eq)]
enum First {
    /// It ran, successfully or not.
    Ended(bool, String),
    /// It is due soon, or runs.
    Soon(String),
    /// It is due later than anybody waits, or not by itself.
    Later(String),
}

fn first_run(row: &Value) -> First {
    let schedule = job::words::schedule(row);
    let last = row.get("last").filter(|run| !run.is_null());
    if let Some(run) = last {
        let result = string(run, &["result"]);
        let took = number(run, &["tookMillis"]).map_or(String::new(), |ms| format!(" {:.1}s", ms / 1000.0));
        match result {
            "success" => return First::Ended(true, format!("{schedule}  first run ok{took}")),
            "waiting" | "retrying" | "starting" | "running" => {
                return First::Soon(format!("{schedule}  first run {result}"));
            }
            other => {
                let reason = string(run, &["reason"]);
                let text = format!("{schedule}  first run {other}{took} {reason}");
                return First::Ended(false, text.trim_end().to_owned());
            }
        }
    }
    let next = string(row, &["next"]);
    let due_in = job::words::seconds_until(next);
    match due_in {
        Some(seconds) if seconds <= FIRST_RUN.as_secs_f64() => {
            First::Soon(format!("{schedule}  first run {}", job::words::clock(next)))
        }
        Some(_) => First::Later(format!("{schedule}  next run {}", job::words::clock(next))),
        None => First::Later(schedule),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_app_without_checks_is_as_wanted_when_it_runs() {
        let plain = json!({"instances": 3, "tasksRunning": 2, "tasksHealthy": 0});
        assert_eq!(how_far(&plain), (2, 3, "running"));
        let checked = json!({"instances": 3, "tasksRunning": 3, "tasksHealthy": 1, "healthChecks": [{}]});
        assert_eq!(how_far(&checked), (1, 3, "healthy"));
        // Old and new instances beside each other are not more than wanted.
        let during = json!({"instances": 1, "tasksRunning": 2});
        assert_eq!(how_far(&during), (1, 1, "running"));
    }

    #[test]
    fn whoever_waited_hears_of_trouble_by_the_exit_code() {
        let with = |codes: &[u8]| {
            let trouble = codes.iter().map(|code| Failure::new("x", *code, "x")).collect();
            Brought {
                trouble,
                ..Brought::default()
            }
        };
        assert_eq!(with(&[]).code(), 0);
        assert_eq!(with(&[exit::FAILED]).code(), exit::FAILED);
        assert_eq!(with(&[exit::REFUSED, exit::REFUSED]).code(), exit::REFUSED);
        assert_eq!(with(&[exit::FAILED, exit::REFUSED]).code(), exit::SOME_FAILED);
    }

    #[test]
    fn a_first_run_is_waited_for_only_where_it_is_near() {
        let row = |last: Value, next: &str| json!({"schedule": "R//PT5S", "last": last, "next": next});
        let ran = row(json!({"result": "success", "tookMillis": 130}), "");
        assert_eq!(
            first_run(&ran),
            First::Ended(true, "every 5 seconds  first run ok 0.1s".to_owned())
        );
        let failed = row(json!({"result": "failed", "reason": "exit status 3"}), "");
        assert!(matches!(first_run(&failed), First::Ended(false, text) if text.contains("exit status 3")));
        let runs = row(json!({"result": "running"}), "");
        assert!(matches!(first_run(&runs), First::Soon(_)));
        let far = row(Value::Null, "2999-01-01T00:00:00.000Z");
        assert!(matches!(first_run(&far), First::Later(text) if text.contains("2999")));
        let near = (jiff::Timestamp::now() + jiff::SignedDuration::from_secs(3)).to_string();
        assert!(matches!(first_run(&row(Value::Null, &near)), First::Soon(_)));
        assert!(matches!(first_run(&row(Value::Null, "")), First::Later(_)));
    }
}
