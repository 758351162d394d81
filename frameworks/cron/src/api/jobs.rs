//! Jobs: create, read, search, statistics.

use super::{Api, Ctx, Outcome, bad, failure, json, no_content, text};
use crate::history::quantile;
use crate::job;
use crate::owner::View;
use crate::record::EndedRecord;
use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use meseta_cron_core::io::{Answer, Call};
use meseta_cron_core::job::{Job, JobName};
use meseta_cron_core::run::{Run, RunId};
use meseta_http::metrics::{Sample, prometheus, snapshot_json};
use meseta_http::{Body, Response};
use serde::Serialize;
use serde_json::json;
use std::sync::Arc;

/// The percentiles that have a path of their own.
const STATISTICS: [(&str, f64); 6] = [
    ("99thPercentile", 0.99),
    ("98thPercentile", 0.98),
    ("95thPercentile", 0.95),
    ("75thPercentile", 0.75),
    ("median", 0.5),
    ("mean", f64::NAN),
];

#[derive(Serialize)]
struct Summary {
    jobs: Vec<SummaryOf>,
}

#[derive(Serialize)]
struct SummaryOf {
    name: String,
    status: &'static str,
    state: String,
    schedule: String,
    parents: Vec<String>,
    disabled: bool,
}

impl Api {
    pub(super) async fn jobs(&self, ctx: &Ctx<'_>) -> Outcome {
        let view = self.view().await?;
        let shown: Vec<job::Shown> = view.jobs.values().map(job::show).collect();
        Ok(json(&shown, ctx.headers))
    }

    pub(super) async fn search(&self, ctx: &Ctx<'_>) -> Outcome {
        let number = |name: &str, default: usize| match ctx.query.get(name) {
            None => Ok(default),
            Some(text) => text.parse().map_err(|_| failure(StatusCode::NOT_FOUND, &format!("{name}: must be a number"))),
        };
        let (limit, offset) = (number("limit", 10)?, number("offset", 0)?);
        let wanted = |name: &str| ctx.query.get(name).filter(|text| !text.is_empty()).map(str::to_lowercase);
        let (name, command, any) = (wanted("name"), wanted("command"), wanted("any"));
        let view = self.view().await?;
        let found = view.jobs.values().filter(|job| {
            let definition = job::definition(job);
            let (its_name, its_command) = (definition.name.to_lowercase(), definition.command.to_lowercase());
            let both = name.as_ref().is_none_or(|text| its_name.contains(text))
                && command.as_ref().is_none_or(|text| its_command.contains(text));
            both || any.as_ref().is_some_and(|text| its_name.contains(text) || its_command.contains(text))
        });
        let shown: Vec<job::Shown> = found.skip(offset).take(limit).map(job::show).collect();
        Ok(json(&shown, ctx.headers))
    }

    pub(super) async fn summary(&self, ctx: &Ctx<'_>) -> Outcome {
        let view = self.view().await?;
        let jobs = view.jobs.values().map(|job| SummaryOf {
            name: job.spec.name.as_str().to_owned(),
            status: status(job),
            state: state(&view, &job.spec.name),
            schedule: job.schedule().map(|schedule| schedule.shown(job.settled)).unwrap_or_default(),
            parents: job.parents().iter().map(|parent| parent.as_str().to_owned()).collect(),
            disabled: job.spec.disabled,
        });
        Ok(json(&Summary { jobs: jobs.collect() }, ctx.headers))
    }

    pub(super) async fn job(&self, ctx: &Ctx<'_>, name: &str) -> Outcome {
        let view = self.view().await?;
        let job = view.jobs.get(&JobName::recorded(name)).ok_or_else(|| not_found(name))?;
        Ok(json(&job::show(job), ctx.headers))
    }

    pub(super) async fn put(&self, ctx: &Ctx<'_>, body: Body) -> Outcome {
        let body = self.body(ctx, body).await?;
        let wish = job::read(&body, ctx.dialect, &self.defaults, (self.wall)()).map_err(|e| bad(&e.to_string()))?;
        self.call(Call::Put { spec: Arc::new(wish.spec), counters: wish.counters }).await?;
        Ok(no_content())
    }

    pub(super) async fn mark_success(&self, name: &str) -> Outcome {
        let answer = self.call(Call::MarkSuccess(JobName::recorded(name))).await?;
        let marked = answer == Answer::Marked(true);
        Ok(text(format!("marked job {name} as successful: {marked}")))
    }

    pub(super) async fn callback(&self, id: &str, ctx: &Ctx<'_>, body: Body) -> Outcome {
        let body = self.body(ctx, body).await?;
        let code = body.get("statusCode").and_then(serde_json::Value::as_i64);
        let code = code.ok_or_else(|| bad("statusCode: must be a number, 0 for success"))?;
        self.call(Call::Callback { run: RunId::written(id), success: code == 0 }).await?;
        Ok(no_content())
    }

    pub(super) async fn stat(&self, ctx: &Ctx<'_>, name: &str) -> Outcome {
        let view = self.view().await?;
        let key = JobName::recorded(name);
        if !view.jobs.contains_key(&key) {
            return Err(not_found(name));
        }
        let durations = view.durations.get(&key).cloned().unwrap_or_default();
        let part = |part: f64| quantile(&durations, part);
        let running = view.runs.get(&key).into_iter().flatten().filter(|run| run.is_active()).map(running_entry);
        let ended = view.history.iter().find(|(name, _)| *name == key).map(|(_, entries)| entries.as_slice());
        let ended = ended.unwrap_or_default().iter().map(ended_entry);
        let history: Vec<serde_json::Value> = running.chain(ended).take(self.history_limit).collect();
        let shown = json!({
            "histogram": {
                "75thPercentile": part(0.75), "95thPercentile": part(0.95), "98thPercentile": part(0.98),
                "99thPercentile": part(0.99), "median": part(0.5), "mean": mean(&durations),
                "count": durations.len(),
            },
            "taskStatHistory": history,
        });
        Ok(json(&shown, ctx.headers))
    }

    pub(super) async fn stats(&self, ctx: &Ctx<'_>, which: &str) -> Outcome {
        let view = self.view().await?;
        let Some((_, part)) = STATISTICS.iter().find(|(name, _)| *name == which) else {
            return Ok(json(&Vec::<()>::new(), ctx.headers));
        };
        let mut times: Vec<(f64, &JobName)> = view
            .jobs
            .keys()
            .map(|name| {
                let durations = view.durations.get(name).map(Vec::as_slice).unwrap_or_default();
                let millis = if part.is_nan() { mean(durations) } else { quantile(durations, *part) };
                (millis / 1000.0, name)
            })
            .collect();
        times.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(b.1)));
        let shown: Vec<serde_json::Value> =
            times.iter().map(|(time, name)| json!({"jobNameLabel": name.as_str(), "time": time})).collect();
        Ok(json(&shown, ctx.headers))
    }

    pub(super) async fn metrics(&self, headers: &HeaderMap) -> Outcome {
        let view = self.view().await?;
        let samples = samples(&view);
        let accept = headers.get(http::header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if accept.contains("text/plain") || accept.contains("openmetrics") {
            return Ok(meseta_http::reply::typed(
                "text/plain; version=0.0.4",
                prometheus(&samples).into(),
                headers,
            ));
        }
        let values: serde_json::Value = serde_json::from_slice(&snapshot_json(&samples)).unwrap_or_default();
        let one = |name: &str, value: &serde_json::Value, key: &str| (name.to_owned(), json!({ key: value }));
        let split = |wanted: bool, key: &'static str| -> serde_json::Map<String, serde_json::Value> {
            let all = values.as_object().into_iter().flatten();
            let these = all.filter(|(name, _)| name.starts_with("jobs.run.") == wanted);
            these.map(|(name, value)| one(name, value, key)).collect()
        };
        let shown = json!({
            "version": "3.0.0", "gauges": split(false, "value"), "counters": split(true, "count"),
            "histograms": {}, "meters": {}, "timers": {},
        });
        Ok(json(&shown, headers))
    }
}

fn samples(view: &View) -> Vec<Sample> {
    let mut samples = Vec::new();
    for job in view.jobs.values() {
        let name = &job.spec.name;
        samples.push(Sample::counter(format!("jobs.run.success.{name}"), job.counters.success as f64));
        samples.push(Sample::counter(format!("jobs.run.failure.{name}"), job.counters.error as f64));
    }
    let runs = || view.runs.values().flatten();
    samples.push(Sample::gauge("jobs.count", view.jobs.len() as f64));
    samples.push(Sample::gauge("runs.active", runs().filter(|run| run.is_active()).count() as f64));
    samples.push(Sample::gauge("runs.waiting", runs().filter(|run| !run.is_active()).count() as f64));
    Sample::sorted(samples)
}

fn not_found(name: &str) -> Response {
    bad(&format!("the job '{name}' was not found"))
}

fn mean(values: &[i64]) -> f64 {
    match values.len() {
        0 => 0.0,
        n => values.iter().sum::<i64>() as f64 / n as f64,
    }
}

/// The last word on a job. A failure at the very time of a success is a failure.
pub(super) fn status(job: &Job) -> &'static str {
    match (job.counters.last_success, job.counters.last_error) {
        (None, None) => "fresh",
        (Some(success), Some(error)) if success > error => "success",
        (Some(_), None) => "success",
        (_, Some(_)) => "failure",
    }
}

/// What a job does right now.
pub(super) fn state(view: &View, name: &JobName) -> String {
    let runs = view.runs.get(name).map(Vec::as_slice).unwrap_or_default();
    match runs.iter().filter(|run| run.is_active()).count() {
        0 if runs.is_empty() => "idle".to_owned(),
        0 => "queued".to_owned(),
        n => format!("{n} running"),
    }
}

fn stamp(at: Option<Timestamp>) -> String {
    at.map_or_else(|| "N/A".to_owned(), |at| at.strftime("%m/%d/%y %H:%M:%S").to_string())
}

fn length(from: Option<Timestamp>, to: Option<Timestamp>) -> String {
    let (Some(from), Some(to)) = (from, to) else { return "N/A".to_owned() };
    let seconds = to.duration_since(from).as_secs().max(0);
    let parts = [(seconds / 86_400, "d"), (seconds / 3_600 % 24, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s")];
    let first = parts.iter().position(|(n, _)| *n > 0).unwrap_or(3);
    parts[first..].iter().map(|(n, unit)| format!("{n}{unit}")).collect()
}

fn running_entry(run: &Run) -> serde_json::Value {
    let place = run.place();
    json!({
        "taskId": run.id.as_str(), "jobName": run.job.as_str(),
        "slaveId": place.map(|place| place.agent.to_string()),
        "startTime": stamp(place.map(|place| place.at)), "endTime": "N/A", "duration": "N/A", "status": "Running",
        "attempt": run.attempt, "due": job::time(run.due), "host": place.map(|place| place.host.to_string()),
    })
}

fn ended_entry(entry: &EndedRecord) -> serde_json::Value {
    let status = match entry.result.as_str() {
        "success" => "Success",
        "failed" | "lost" | "killed" => "Fail",
        _ => "Idle",
    };
    json!({
        "taskId": entry.id, "jobName": entry.job, "slaveId": entry.agent,
        "startTime": stamp(entry.started), "endTime": stamp(Some(entry.ended)),
        "duration": length(entry.started, Some(entry.ended)), "status": status,
        "startTimestamp": entry.started.map(job::time), "endTimestamp": job::time(entry.ended),
        "reason": entry.result, "message": entry.message, "host": entry.host, "attempt": entry.attempt,
        "due": job::time(entry.due), "cause": entry.cause, "slots": entry.slots,
    })
}
