//! Waiting for a deployment: bars as instances get healthy, the reason when nothing moves, and one meaning per end.
//!
//! The end is told by the service's events. A stream that breaks is opened again; what was missed meanwhile is judged by
//! the state of the apps.

use super::client::{Apps, Dated, seconds, short_deployment};
use super::list::{count, has_health_checks};
use super::sse::{Stream, Told};
use super::why;
use crate::args::Global;
use crate::cluster::{list, string};
use crate::failure::{Failure, exit};
use crate::progress::Progress;
use meseta_service_core::app::AppId;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// How long is waited unless told otherwise.
pub(crate) const PATIENCE: Duration = Duration::from_secs(600);
/// After so long without progress people want to know why.
const EXPLAIN_AFTER: Duration = Duration::from_secs(5);
/// How often that is looked at again while nothing moves.
const EXPLAIN_EVERY: Duration = Duration::from_secs(5);
/// The least time between two reads of an app: events come in bursts.
const READ_EVERY: Duration = Duration::from_millis(100);
/// Without an event, how often the state is read all the same: seconds on a bar go on, and a lost event does no harm.
const BEAT: Duration = Duration::from_secs(1);
/// How long the word of an end is waited for that can be seen already.
const LAST_WORD: Duration = Duration::from_secs(2);
/// The pause before a lost service is asked again.
const AGAIN: Duration = Duration::from_millis(500);

/// The events that say something about a deployment's progress or end.
const TYPES: [&str; 7] = [
    "deployment_success",
    "deployment_failed",
    "deployment_step_success",
    "status_update_event",
    "instance_changed_event",
    "instance_health_changed_event",
    "app_terminated_event",
];

/// How a deployment ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Done,
    /// With the reason.
    Failed(String),
}

/// What a deployment is to lead to, by app: a version, or `None` when the app goes.
pub(crate) type Targets = BTreeMap<AppId, Option<String>>;

/// Events from before a change on: none can be missed.
#[derive(Debug)]
pub(crate) struct Watch {
    stream: Option<Stream>,
    /// When what is waited for began; the age of it is shown.
    began: Instant,
}

impl Watch {
    /// Begins to listen, before the change is asked for.
    pub(crate) async fn begin(apps: &Apps) -> Watch {
        // Without the stream the state is judged; the change will say if nobody answers at all.
        Watch {
            stream: open(apps).await.ok(),
            began: Instant::now(),
        }
    }

    /// Waits until the deployment has ended, at most `--timeout`; Ctrl-C ends the waiting only. `Ok` is 0, or 130 after
    /// Ctrl-C.
    pub(crate) async fn until_end(
        self,
        global: &Global,
        apps: &Apps,
        deployment: &str,
        targets: &Targets,
    ) -> Result<u8, Failure> {
        let limit = global.timeout.unwrap_or(PATIENCE);
        let progress = Progress::new(global);
        let mut waiting = Waiting {
            global,
            apps,
            deployment,
            targets,
            progress: &progress,
            moved: self.began,
            explained: None,
            shown: BTreeMap::new(),
            reasons: BTreeMap::new(),
            steps: (0, 0),
        };
        let ended = tokio::select! {
            ended = waiting.run(self.stream) => Some(ended),
            () = tokio::time::sleep(limit) => None,
            _ = tokio::signal::ctrl_c() => {
                progress.finish();
                let short = short_deployment(deployment);
                eprintln!(
                    "deployment {short} goes on; watch: meseta deployment watch {short}; undo: meseta deployment rollback {short}"
                );
                return Ok(exit::INTERRUPTED);
            }
        };
        let shown = waiting.shown.clone();
        for (id, target) in targets {
            let name = format!("app {id}");
            match (&ended, target) {
                (Some(End::Done), None) => progress.done(id.as_str(), &name, "deleted"),
                (Some(End::Done), Some(_)) => {
                    let healthy = shown.get(id).is_none_or(|s| s.healthy_counts);
                    let note = if healthy {
                        "healthy"
                    } else {
                        "running (no health check)"
                    };
                    progress.done(id.as_str(), &name, note);
                }
                (Some(End::Failed(_)), _) => progress.failed(id.as_str(), &name, "failed"),
                (None, _) => progress.failed(id.as_str(), &name, "not done in time"),
            }
        }
        progress.finish();
        match ended {
            Some(End::Done) => Ok(0),
            Some(End::Failed(why)) => {
                let what = format!("deployment {} failed: {why}", short_deployment(deployment));
                Err(Failure::new("deployment-failed", exit::FAILED, what))
            }
            None => Err(late(apps, global, deployment, targets, limit).await),
        }
    }
}

async fn open(apps: &Apps) -> Result<Stream, Failure> {
    Stream::open(apps.service(), &TYPES.map(str::to_owned)).await
}

/// `--timeout` ends the waiting, not the deployment.
async fn late(apps: &Apps, global: &Global, deployment: &str, targets: &Targets, limit: Duration) -> Failure {
    let short = short_deployment(deployment);
    let limit = crate::text::age(limit.as_secs_f64());
    let what = format!("deployment {short} has not ended within {limit} (--timeout); it goes on");
    let mut failure = Failure::new("timeout", exit::TIMEOUT, what);
    let mut last = None;
    for id in targets.keys() {
        if let Ok(why) = why::of_app(apps, global, id).await
            && why.waits()
        {
            failure = failure.detail(why.verdict);
            last = Some(id);
        }
    }
    match last {
        Some(id) => failure.fix(format!("meseta app why {id}")),
        None => failure.fix(format!("meseta deployment watch {short}")),
    }
}

/// `app wait ID --for WHAT`.
pub(super) async fn app(global: &Global, id: &str, until: &str) -> Result<u8, Failure> {
    let id = super::client::id_of(id)?;
    let version = match until.split_once('=') {
        None if until == "healthy" || until == "running" => None,
        Some(("version", version)) if seconds(version).is_some() => Some(version),
        _ => {
            let what = format!("--for: '{until}' is nothing to wait for");
            return Err(
                Failure::new("bad-flags", exit::USAGE, what).fix("--for healthy, or --for version=TIMESTAMP")
            );
        }
    };
    let apps = Apps::find(global).await?;
    apps.app(&id).await?;
    let limit = global.timeout.unwrap_or(PATIENCE);
    let progress = Progress::new(global);
    let ended = tokio::select! {
        ended = until_as_wanted(&apps, &progress, &id, version) => Some(ended),
        () = tokio::time::sleep(limit) => None,
        _ = tokio::signal::ctrl_c() => {
            progress.finish();
            return Ok(exit::INTERRUPTED);
        }
    };
    progress.finish();
    match ended {
        Some(ended) => ended.map(|()| 0),
        None => {
            let limit = crate::text::age(limit.as_secs_f64());
            let failure = Failure::new(
                "timeout",
                exit::TIMEOUT,
                format!("{id} is not as wanted after {limit} (--timeout)"),
            );
            match why::of_app(&apps, global, &id).await {
                Ok(why) => Err(failure.detail(why.verdict).fix(format!("meseta app why {id}"))),
                Err(_) => Err(failure),
            }
        }
    }
}

async fn until_as_wanted(
    apps: &Apps,
    progress: &Progress,
    id: &AppId,
    version: Option<&str>,
) -> Result<(), Failure> {
    let mut stream = open(apps).await.ok();
    loop {
        match apps.get(id).await {
            Ok(Some(app)) => {
                let seen = seen(&app.value, Some(string(&app.value, &["version"])));
                let word = if seen.healthy_counts {
                    "healthy"
                } else {
                    "running (no health check)"
                };
                let name = format!("app {id}");
                progress.bar(id.as_str(), &name, seen.done, seen.wanted, word);
                let is_version =
                    version.is_none_or(|v| seconds(string(&app.value, &["version"])) == seconds(v));
                if is_version && seen.done >= seen.wanted && list(&app.value, "deployments").is_empty() {
                    progress.done(id.as_str(), &name, word);
                    return Ok(());
                }
            }
            Ok(None) => return Err(apps.no_app(id).await),
            Err(failure) => progress.phase("service", "service", &failure.what),
        }
        let lost = match &mut stream {
            Some(open) => {
                let told = tokio::time::timeout(BEAT, open.next()).await;
                progress.beat();
                matches!(told, Ok(Err(_)))
            }
            None => {
                tokio::time::sleep(AGAIN).await;
                true
            }
        };
        if lost {
            stream = open(apps).await.ok();
        }
    }
}

/// How far an app is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    done: u64,
    wanted: u64,
    /// Whether there is a health check that says so.
    healthy_counts: bool,
}

struct Waiting<'a> {
    global: &'a Global,
    apps: &'a Apps,
    deployment: &'a str,
    targets: &'a Targets,
    progress: &'a Progress,
    /// When something last moved.
    moved: Instant,
    explained: Option<Instant>,
    shown: BTreeMap<AppId, Seen>,
    reasons: BTreeMap<AppId, String>,
    /// Of how many.
    steps: (u64, u64),
}

impl Waiting<'_> {
    async fn run(&mut self, mut stream: Option<Stream>) -> End {
        let mut read_at: Option<Instant> = None;
        let mut lost_since: Option<Instant> = None;
        loop {
            match self.look().await {
                Ok(Some(end)) => return self.last_word(stream, end).await,
                Ok(None) => lost_since = None,
                Err(failure) => {
                    let since = *lost_since.get_or_insert_with(Instant::now);
                    let away = crate::text::age(since.elapsed().as_secs_f64());
                    self.progress.phase(
                        "service",
                        "service",
                        &format!("no answer for {away}: {}", failure.what),
                    );
                }
            }
            self.explain().await;
            if stream.is_none() {
                stream = open(self.apps).await.ok();
                if stream.is_none() {
                    tokio::time::sleep(AGAIN).await;
                }
                // What happened before it was open is in the state.
                continue;
            }
            if let Some(end) = self.listen(&mut stream, &mut read_at).await {
                return end;
            }
        }
    }

    /// The deployment is not there any more. What the service said of its end outweighs what is seen now: an instance may
    /// have crashed since.
    async fn last_word(&mut self, stream: Option<Stream>, judged: End) -> End {
        let (Some(mut stream), End::Failed(_)) = (stream, &judged) else {
            return judged;
        };
        let told = async {
            loop {
                match stream.next().await {
                    Ok(told) => {
                        if let Some(end) = self.told(&told) {
                            return Some(end);
                        }
                    }
                    Err(_) => return None,
                }
            }
        };
        let told = tokio::time::timeout(LAST_WORD, told).await;
        told.ok().flatten().unwrap_or(judged)
    }

    /// Takes events until it is time to look at the state again.
    async fn listen(&mut self, stream: &mut Option<Stream>, read_at: &mut Option<Instant>) -> Option<End> {
        let next_beat = Instant::now() + BEAT;
        let mut look_at = next_beat;
        loop {
            let open = stream.as_mut()?;
            tokio::select! {
                told = open.next() => match told {
                    Ok(told) => {
                        if let Some(end) = self.told(&told) {
                            // The bars' last state.
                            let _ = self.look().await;
                            return Some(end);
                        }
                        let rested = read_at.map_or(Instant::now(), |at| at + READ_EVERY);
                        look_at = look_at.min(rested.max(Instant::now()));
                    }
                    Err(_) => {
                        *stream = None;
                        return None;
                    }
                },
                () = tokio::time::sleep_until(look_at) => {
                    *read_at = Some(Instant::now());
                    self.progress.beat();
                    return None;
                }
            }
        }
    }

    fn told(&mut self, told: &Told) -> Option<End> {
        let id = match string(&told.data, &["id"]) {
            "" => string(&told.data, &["plan", "id"]),
            id => id,
        };
        if id != self.deployment {
            return None;
        }
        match told.name.as_str() {
            "deployment_success" => Some(End::Done),
            "deployment_failed" => Some(End::Failed(match string(&told.data, &["reason"]) {
                "" => "it was stopped, or another change took its place".to_owned(),
                reason => crate::text::harmless(reason),
            })),
            _ => {
                self.moved = Instant::now();
                None
            }
        }
    }

    /// Reads the state; the end, if it can be told from that.
    async fn look(&mut self) -> Result<Option<End>, Failure> {
        let deployments = self.apps.deployments().await?;
        let mine = deployments
            .value
            .iter()
            .find(|d| string(d, &["id"]) == self.deployment);
        let mut states = BTreeMap::new();
        for id in self.targets.keys() {
            states.insert(id.clone(), self.apps.get(id).await?);
        }
        match mine {
            Some(plan) => {
                let steps = (count(plan, "currentStep"), count(plan, "totalSteps"));
                if std::mem::replace(&mut self.steps, steps) != steps {
                    self.moved = Instant::now();
                }
                self.show(&states);
                Ok(None)
            }
            None => {
                self.show(&states);
                Ok(Some(judge(self.targets, &states)))
            }
        }
    }

    fn show(&mut self, states: &BTreeMap<AppId, Option<Dated<Value>>>) {
        for (id, target) in self.targets {
            let name = format!("app {id}");
            let Some(app) = states.get(id).and_then(Option::as_ref) else {
                continue;
            };
            let seen = seen(&app.value, target.as_deref());
            if self.shown.insert(id.clone(), seen) != Some(seen) {
                self.moved = Instant::now();
                self.reasons.remove(id);
            }
            let mut note = match (target, seen.healthy_counts) {
                (None, _) => "still there, being deleted".to_owned(),
                (Some(_), true) => "healthy".to_owned(),
                (Some(_), false) => "running".to_owned(),
            };
            if self.steps.1 > 1 {
                note.push_str(&format!(", step {}/{}", self.steps.0, self.steps.1));
            }
            if let Some(reason) = self.reasons.get(id) {
                note = reason.clone();
            }
            self.progress
                .bar(id.as_str(), &name, seen.done, seen.wanted, &note);
        }
    }

    /// After some time without progress: why.
    async fn explain(&mut self) {
        let due = match self.explained {
            Some(at) if at > self.moved => at + EXPLAIN_EVERY,
            _ => self.moved + EXPLAIN_AFTER,
        };
        if Instant::now() < due {
            return;
        }
        self.explained = Some(Instant::now());
        for (id, target) in self.targets {
            if target.is_none() {
                continue;
            }
            if let Ok(why) = why::of_app(self.apps, self.global, id).await
                && why.waits()
            {
                self.reasons.insert(id.clone(), why.verdict);
            }
        }
    }
}

/// How many instances are as wanted: of the target's version, healthy where that is asked.
fn seen(app: &Value, target: Option<&str>) -> Seen {
    let healthy_counts = has_health_checks(app);
    let tasks = list(app, "tasks");
    let Some(target) = target else {
        return Seen {
            done: 0,
            wanted: tasks.len() as u64,
            healthy_counts,
        };
    };
    // Scaling does not make old instances old: what counts is the configuration they run.
    let config = match string(app, &["versionInfo", "lastConfigChangeAt"]) {
        "" => target,
        stamp => stamp,
    };
    let config = seconds(config).unwrap_or(0.0);
    let new = tasks.iter().filter(|task| {
        let version = seconds(string(task, &["version"])).unwrap_or(0.0);
        version >= config
    });
    let good =
        new.filter(|task| string(task, &["state"]) == "TASK_RUNNING" && (!healthy_counts || is_alive(task)));
    Seen {
        done: good.count() as u64,
        wanted: count(app, "instances"),
        healthy_counts,
    }
}

/// Whether every health check of a task says so.
fn is_alive(task: &Value) -> bool {
    let results = list(task, "healthCheckResults");
    !results.is_empty() && results.iter().all(|r| r.get("alive") == Some(&Value::Bool(true)))
}

/// How a deployment that is not there any more ended, by what it left.
fn judge(targets: &Targets, states: &BTreeMap<AppId, Option<Dated<Value>>>) -> End {
    for (id, target) in targets {
        let app = states.get(id).and_then(Option::as_ref).map(|app| &app.value);
        match (target, app) {
            (None, None) => {}
            (None, Some(_)) => return End::Failed(format!("{id} is still there")),
            (Some(_), None) => return End::Failed(format!("{id} is not there any more")),
            (Some(version), Some(app)) => {
                let now = string(app, &["version"]);
                if !version.is_empty() && seconds(now) != seconds(version) {
                    return End::Failed(format!(
                        "{id} is at version {now} now: another change took its place"
                    ));
                }
                let seen = seen(app, Some(version));
                if seen.done < seen.wanted {
                    let word = if seen.healthy_counts { "healthy" } else { "running" };
                    return End::Failed(format!("{id} has {} of {} {word}", seen.done, seen.wanted));
                }
            }
        }
    }
    End::Done
}

/// What a deployment under way leads to, as its plan says.
pub(super) fn targets(deployment: &Value) -> Targets {
    let version = string(deployment, &["version"]);
    let steps = list(deployment, "steps").iter();
    let stopped: Vec<&str> = steps
        .flat_map(|step| list(step, "actions"))
        .filter(|a| string(a, &["action"]) == "StopApplication")
        .map(|a| string(a, &["app"]))
        .collect();
    let affected = list(deployment, "affectedApps").iter().filter_map(Value::as_str);
    affected
        .map(|id| {
            let target = (!stopped.contains(&id)).then(|| version.to_owned());
            (AppId::recorded(id), target)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const V1: &str = "2026-11-21T12:00:00.000Z";
    const V2: &str = "2026-11-21T12:05:00.000Z";

    fn task(version: &str, state: &str, alive: Option<bool>) -> Value {
        let results: Vec<Value> = alive.map(|a| json!({"alive": a})).into_iter().collect();
        json!({"version": version, "state": state, "healthCheckResults": results})
    }

    fn app(version: &str, checks: bool, tasks: Vec<Value>) -> Value {
        let checks: Vec<Value> = checks.then(|| json!({})).into_iter().collect();
        json!({
            "id": "/web", "instances": 2, "version": version, "tasks": tasks, "healthChecks": checks,
            "versionInfo": {"lastConfigChangeAt": version},
        })
    }

    fn end(target: Option<&str>, app: Option<Value>) -> End {
        let id = AppId::recorded("/web");
        let states = [(id.clone(), app.map(|value| Dated { value, now: 0.0 }))].into();
        judge(&[(id, target.map(str::to_owned))].into(), &states)
    }

    #[test]
    fn only_healthy_instances_of_the_new_version_count() {
        let tasks = vec![
            task(V1, "TASK_RUNNING", Some(true)),
            task(V2, "TASK_RUNNING", Some(true)),
            task(V2, "TASK_RUNNING", Some(false)),
            task(V2, "TASK_RUNNING", None),
            task(V2, "TASK_STAGING", None),
        ];
        assert_eq!(seen(&app(V2, true, tasks.clone()), Some(V2)).done, 1);
        assert_eq!(seen(&app(V2, false, tasks.clone()), Some(V2)).done, 3);
        let mut scaled = app(V2, false, tasks);
        scaled["versionInfo"]["lastConfigChangeAt"] = json!(V1);
        assert_eq!(seen(&scaled, Some(V2)).done, 4, "scaling makes nothing old");
    }

    #[test]
    fn an_end_that_nobody_heard_of_is_told_by_what_it_left() {
        let two = vec![task(V2, "TASK_RUNNING", None), task(V2, "TASK_RUNNING", None)];
        assert_eq!(end(Some(V2), Some(app(V2, false, two.clone()))), End::Done);
        assert_eq!(end(None, None), End::Done);
        for (target, app) in [
            (Some(V2), Some(app(V1, false, two.clone()))),
            (Some(V2), Some(app(V2, true, two.clone()))),
            (Some(V2), None),
            (None, Some(app(V2, false, two))),
        ] {
            assert!(matches!(end(target, app), End::Failed(_)), "{target:?}");
        }
    }

    #[test]
    fn a_plan_says_what_it_leads_to() {
        let plan = json!({
            "version": V2, "affectedApps": ["/db", "/web"],
            "steps": [{"actions": [{"action": "StopApplication", "app": "/db"}]},
                      {"actions": [{"action": "RestartApplication", "app": "/web"}]}],
        });
        let targets = targets(&plan);
        assert_eq!(targets.get(&AppId::recorded("/db")), Some(&None));
        assert_eq!(targets.get(&AppId::recorded("/web")), Some(&Some(V2.to_owned())));
    }
}
