//! `job/stat` and `stats`: how long runs took, as Chronos measured it (from the nominal time, so waiting is included).

use super::answer::{json, not_found};
use super::jobs::aside;
use super::{Api, Ctx, Outcome};
use crate::board::Seen;
use crate::history::{Entry, Result as RunResult};
use crate::job;
use jiff::Timestamp;
use meseta_cron_core::job::JobName;
use meseta_cron_core::run::Run;
use serde_json::{Value, json};

/// The statistics that have a path of their own.
const STATISTICS: [(&str, Statistic); 6] = [
    ("99thPercentile", Statistic::Part(0.99)),
    ("98thPercentile", Statistic::Part(0.98)),
    ("95thPercentile", Statistic::Part(0.95)),
    ("75thPercentile", Statistic::Part(0.75)),
    ("median", Statistic::Part(0.5)),
    ("mean", Statistic::Mean),
];

#[derive(Clone, Copy)]
enum Statistic {
    Part(f64),
    Mean,
}

impl Statistic {
    /// Of ascending values; 0 for none.
    fn of(self, ascending: &[i64]) -> f64 {
        match self {
            Statistic::Part(part) => quantile(ascending, part),
            Statistic::Mean => match ascending.len() {
                0 => 0.0,
                n => ascending.iter().sum::<i64>() as f64 / n as f64,
            },
        }
    }
}

impl Api {
    pub(super) async fn stat(&self, ctx: &Ctx<'_>, name: &str) -> Outcome {
        let board = self.board().await?;
        let seen = board
            .get(&JobName::recorded(name))
            .ok_or_else(|| not_found(name))?;
        let durations = durations(seen);
        let mut histogram = serde_json::Map::new();
        for (name, statistic) in STATISTICS {
            histogram.insert(name.to_owned(), json!(statistic.of(&durations)));
        }
        histogram.insert("count".to_owned(), json!(durations.len()));
        let counts = job::definition(&seen.job).data_processing_job_type;
        let running = seen.runs.iter().filter(|run| run.is_active()).rev();
        let running = running.map(|run| (self::running(run), run.elements));
        let ended = seen.history.iter().rev().filter(|entry| entry.had_task());
        let ended = ended.map(|entry| (self::ended(name, entry), entry.elements));
        let history = running.chain(ended).take(self.stat_limit);
        let history: Vec<Value> = history
            .map(|(mut shown, elements)| {
                if let (true, Some(object)) = (counts, shown.as_object_mut()) {
                    object.insert("numElementsProcessed".to_owned(), elements.into());
                }
                shown
            })
            .collect();
        let shown = json!({ "histogram": histogram, "taskStatHistory": history });
        Ok(json(&shown, ctx.headers))
    }

    pub(super) async fn stats(&self, ctx: &Ctx<'_>, which: &str) -> Outcome {
        let Some((_, statistic)) = STATISTICS.iter().find(|(name, _)| *name == which) else {
            return Ok(json(&Vec::<()>::new(), ctx.headers));
        };
        let board = self.board().await?;
        let headers = ctx.headers.clone();
        aside(move || {
            let mut times: Vec<(f64, &JobName)> = board
                .iter()
                .map(|seen| (statistic.of(&durations(seen)) / 1000.0, &seen.job.spec.name))
                .collect();
            times.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(b.1)));
            let shown: Vec<Value> = times
                .iter()
                .map(|(time, name)| json!({"jobNameLabel": name.as_str(), "time": time}))
                .collect();
            json(&shown, &headers)
        })
        .await
    }
}

/// How long the kept successful runs of a job took, in milliseconds, ascending.
pub(super) fn durations(seen: &Seen) -> Vec<i64> {
    let done = seen
        .history
        .iter()
        .filter(|entry| entry.result == RunResult::Success);
    let mut all: Vec<i64> = done.map(|entry| entry.took_since_due_millis()).collect();
    all.sort_unstable();
    all
}

/// The value below which so much (0 to 1) of the ascending values lie; 0 for none.
pub(super) fn quantile(ascending: &[i64], part: f64) -> f64 {
    let Some(last) = ascending.len().checked_sub(1) else {
        return 0.0;
    };
    let position = part * last as f64;
    let value = |at: f64| ascending.get(at as usize).copied().unwrap_or(0) as f64;
    let (below, above) = (value(position.floor()), value(position.ceil()));
    below + (above - below) * position.fract()
}

fn stamp(at: Option<Timestamp>) -> String {
    at.map_or_else(
        || "N/A".to_owned(),
        |at| at.strftime("%m/%d/%y %H:%M:%S").to_string(),
    )
}

/// Like `1d2h3m4s`.
fn length(from: Option<Timestamp>, to: Timestamp) -> String {
    let Some(from) = from else { return "N/A".to_owned() };
    let seconds = to.duration_since(from).as_secs().max(0);
    let parts = [
        (seconds / 86_400, "d"),
        (seconds / 3_600 % 24, "h"),
        (seconds / 60 % 60, "m"),
        (seconds % 60, "s"),
    ];
    let mut shown = parts.iter().skip_while(|(n, unit)| *n == 0 && *unit != "s");
    let first = shown.next();
    first
        .into_iter()
        .chain(shown)
        .map(|(n, unit)| format!("{n}{unit}"))
        .collect()
}

fn running(run: &Run) -> Value {
    let place = run.place();
    let started = place.map(|place| place.at);
    json!({
        "taskId": run.id.as_str(), "jobName": run.job.as_str(), "slaveId": place.map(|place| &*place.agent),
        "startTime": stamp(started), "endTime": "N/A", "duration": "N/A", "status": "Running",
        "startTimestamp": started.map(job::time), "endTimestamp": null, "reason": "", "message": "",
        "host": place.map(|place| &*place.host), "attempt": run.attempt, "due": job::time(run.due),
    })
}

fn ended(name: &str, entry: &Entry) -> Value {
    let status = match entry.result {
        RunResult::Success => "Success",
        _ => "Fail",
    };
    let started = entry.started.or(entry.placed);
    json!({
        "taskId": &*entry.id, "jobName": name, "slaveId": entry.agent.as_deref(),
        "startTime": stamp(started), "endTime": stamp(Some(entry.ended)),
        "duration": length(started, entry.ended), "status": status,
        "startTimestamp": started.map(job::time), "endTimestamp": job::time(entry.ended),
        "reason": entry.result.as_str(), "message": &*entry.message, "host": entry.host.as_deref(),
        "attempt": entry.attempt, "due": job::time(entry.due),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_between_values_and_nothing_has_zero() {
        assert_eq!(quantile(&[], 0.5), 0.0);
        assert_eq!(quantile(&[10], 0.99), 10.0);
        assert_eq!(quantile(&[0, 10, 20, 30], 0.5), 15.0);
        assert_eq!(Statistic::Mean.of(&[1, 2, 6]), 3.0);
    }

    #[test]
    fn lengths_begin_with_the_first_unit_that_counts() {
        let at = |second| Timestamp::from_second(second).unwrap_or_default();
        for (seconds, text) in [(0, "0s"), (59, "59s"), (3_600, "1h0m0s"), (93_784, "1d2h3m4s")] {
            assert_eq!(length(Some(at(0)), at(seconds)), text);
        }
        assert_eq!(length(None, at(1)), "N/A");
        assert_eq!(stamp(Some(at(0))), "01/01/70 00:00:00");
    }
}
