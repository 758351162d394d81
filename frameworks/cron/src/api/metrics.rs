//! `/metrics`: in the shape of Dropwizard, as Chronos has it, and in Prometheus's text format.

use super::answer::json;
use super::jobs::aside;
use super::stats::{durations, quantile};
use super::{Api, Ctx, Outcome};
use crate::board::Board;
use crate::numbers::{LATENESS_MS, Numbers};
use http::header::ACCEPT;
use meseta_cron_core::run::State;
use serde_json::{Map, Value, json};
use std::fmt::Write;
use std::sync::atomic::AtomicU64;

/// The version of the shape, as the library that made it up says.
const SHAPE: &str = "3.0.0";

/// Everything at one moment that is not a counter.
struct Gauges {
    jobs: usize,
    broken: usize,
    active: usize,
    waiting: usize,
    retrying: usize,
    subscribed: bool,
}

impl Gauges {
    fn of(board: &Board) -> Gauges {
        let mut gauges = Gauges {
            jobs: 0,
            broken: board.broken.len(),
            active: 0,
            waiting: 0,
            retrying: 0,
            subscribed: board.link.subscribed,
        };
        for seen in board.iter() {
            gauges.jobs += 1;
            for run in &seen.runs {
                match run.state {
                    State::Waiting { .. } => gauges.waiting += 1,
                    State::Retrying { .. } => gauges.retrying += 1,
                    State::Launched { .. } | State::Running { .. } | State::Awaiting { .. } => {
                        gauges.active += 1;
                    }
                }
            }
        }
        gauges
    }

    fn named(&self) -> [(&'static str, f64); 6] {
        [
            ("jobs", self.jobs as f64),
            ("jobs_broken", self.broken as f64),
            ("runs_active", self.active as f64),
            ("runs_waiting", self.waiting as f64),
            ("runs_retrying", self.retrying as f64),
            ("subscribed", f64::from(u8::from(self.subscribed))),
        ]
    }
}

fn counters(numbers: &Numbers) -> [(&'static str, &AtomicU64); 14] {
    [
        ("launches", &numbers.launched),
        ("launches_given_back", &numbers.given_back),
        ("attempts_succeeded", &numbers.succeeded),
        ("attempts_failed", &numbers.failed),
        ("attempts_lost", &numbers.lost),
        ("attempts_killed", &numbers.killed),
        ("slots_missed", &numbers.missed),
        ("slots_superseded", &numbers.superseded),
        ("runs_cancelled", &numbers.cancelled),
        ("commits", &numbers.commits),
        ("commits_refused", &numbers.commits_refused),
        ("messages_sent", &numbers.messages_sent),
        ("messages_dropped", &numbers.messages_dropped),
        ("defects", &numbers.broken),
    ]
}

impl Api {
    pub(super) async fn metrics(&self, ctx: &Ctx<'_>, prometheus_asked: bool) -> Outcome {
        let board = self.board().await?;
        let accept = ctx.headers.get(ACCEPT).and_then(|value| value.to_str().ok());
        let accept = accept.unwrap_or_default();
        let numbers = self.numbers.clone();
        let headers = ctx.headers.clone();
        if prometheus_asked || accept.contains("text/plain") || accept.contains("openmetrics") {
            return aside(move || {
                let text = prometheus(&board, &numbers);
                meseta_http::reply::typed(meseta_http::metrics::PROMETHEUS_TYPE, text.into(), &headers)
            })
            .await;
        }
        aside(move || json(&dropwizard(&board, &numbers), &headers)).await
    }
}

fn dropwizard(board: &Board, numbers: &Numbers) -> Value {
    let mut gauges = Map::new();
    for (name, value) in Gauges::of(board).named() {
        gauges.insert(format!("cron.{name}"), json!({ "value": value }));
    }
    let mut counts = Map::new();
    for (name, counter) in counters(numbers) {
        counts.insert(format!("cron.{name}"), json!({ "count": Numbers::read(counter) }));
    }
    let mut histograms = Map::new();
    for seen in board.sorted() {
        let (name, of) = (&seen.job.spec.name, &seen.job.counters);
        let took = durations(seen);
        if !took.is_empty() {
            histograms.insert(format!("jobs.run.time.{name}"), histogram(&took));
        }
        counts.insert(format!("jobs.run.success.{name}"), json!({ "count": of.success }));
        counts.insert(format!("jobs.run.failure.{name}"), json!({ "count": of.error }));
    }
    json!({
        "version": SHAPE, "gauges": gauges, "counters": counts, "histograms": histograms, "meters": {}, "timers": {},
    })
}

/// Of ascending times in milliseconds.
fn histogram(took: &[i64]) -> Value {
    let mean = took.iter().sum::<i64>() as f64 / took.len().max(1) as f64;
    let spread = took.iter().map(|t| (*t as f64 - mean).powi(2)).sum::<f64>();
    let spread = spread / took.len().saturating_sub(1).max(1) as f64;
    json!({
        "count": took.len(), "max": took.last(), "mean": mean, "min": took.first(),
        "p50": quantile(took, 0.5), "p75": quantile(took, 0.75), "p95": quantile(took, 0.95),
        "p98": quantile(took, 0.98), "p99": quantile(took, 0.99), "p999": quantile(took, 0.999),
        "stddev": spread.sqrt(),
    })
}

/// Job names are labels: two jobs whose names differ in a dot only stay two.
fn prometheus(board: &Board, numbers: &Numbers) -> String {
    let mut out = String::new();
    for (name, value) in Gauges::of(board).named() {
        let _ = writeln!(out, "# TYPE meseta_cron_{name} gauge\nmeseta_cron_{name} {value}");
    }
    for (name, counter) in counters(numbers) {
        let value = Numbers::read(counter);
        let _ = writeln!(
            out,
            "# TYPE meseta_cron_{name}_total counter\nmeseta_cron_{name}_total {value}"
        );
    }
    out.push_str("# TYPE meseta_cron_launch_lateness_seconds histogram\n");
    let (classes, sum) = numbers.lateness();
    let bounds = LATENESS_MS
        .iter()
        .map(|millis| (*millis as f64 / 1000.0).to_string());
    for (bound, count) in bounds.chain(["+Inf".to_owned()]).zip(&classes) {
        let _ = writeln!(
            out,
            "meseta_cron_launch_lateness_seconds_bucket{{le=\"{bound}\"}} {count}"
        );
    }
    let count = classes.last().copied().unwrap_or(0);
    let sum = sum as f64 / 1000.0;
    let _ = writeln!(
        out,
        "meseta_cron_launch_lateness_seconds_sum {sum}\nmeseta_cron_launch_lateness_seconds_count {count}"
    );
    out.push_str("# TYPE meseta_cron_job_runs_total counter\n");
    for seen in board.sorted() {
        // Names hold nothing that would have to be escaped.
        let (name, of) = (&seen.job.spec.name, &seen.job.counters);
        for (result, count) in [("success", of.success), ("failure", of.error)] {
            let _ = writeln!(
                out,
                "meseta_cron_job_runs_total{{job=\"{name}\",result=\"{result}\"}} {count}"
            );
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_histogram_in_the_shape_of_the_library() {
        let shown = histogram(&[10, 20, 30]);
        assert_eq!(
            (&shown["count"], &shown["p50"], &shown["stddev"]),
            (&json!(3), &json!(20.0), &json!(10.0))
        );
    }

    #[test]
    fn an_empty_framework_has_its_version_its_gauges_and_a_histogram_that_adds_up() {
        let board = Board::new(jiff::Timestamp::UNIX_EPOCH);
        let numbers = Numbers::default();
        numbers.late(3);
        let shown = dropwizard(&board, &numbers);
        assert_eq!(shown["version"], SHAPE);
        assert_eq!(shown["gauges"]["cron.jobs"]["value"], 0.0);
        let text = prometheus(&board, &numbers);
        for line in [
            "meseta_cron_jobs 0",
            "meseta_cron_launch_lateness_seconds_bucket{le=\"0.005\"} 1",
            "meseta_cron_launch_lateness_seconds_bucket{le=\"+Inf\"} 1",
            "meseta_cron_launch_lateness_seconds_sum 0.003",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
    }
}
