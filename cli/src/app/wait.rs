//! Waiting for a deployment: bars as instances get healthy, the reason when nothing moves, and one meaning per end.
//!
//! The end is told by the service's events. A stream that breaks is opened again; what was missed meanwhile is judged by
//! the state of the apps.

mod judge;

use super::client::{Apps, Dated, seconds, short_deployment};
use super::list::count;
use super::sse::{Stream, Told};
use super::why;
use crate::args::Global;
use crate::cluster::{list, string};
use crate::failure::{Failure, exit};
use crate::progress::Progress;
pub(crate) use judge::{End, Targets, targets};
use judge::{Seen, judge, seen};
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
/// And as many times as long as the last one took.
const RESTS: u32 = 4;
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
            took: Duration::ZERO,
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
    /// How long the last look at the state took.
    took: Duration,
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
                        // A state that is long to read, of a thousand instances, is read less often.
                        let rest = READ_EVERY.max(self.took * RESTS);
                        let rested = read_at.map_or(Instant::now(), |at| at + rest);
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
        let began = Instant::now();
        let deployments = self.apps.deployments().await?;
        let mine = deployments
            .value
            .iter()
            .find(|d| string(d, &["id"]) == self.deployment);
        let mut states = BTreeMap::new();
        for id in self.targets.keys() {
            states.insert(id.clone(), self.apps.get(id).await?);
        }
        self.took = began.elapsed();
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
