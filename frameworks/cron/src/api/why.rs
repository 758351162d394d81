//! `why`: why a job does not run just now, in one sentence with a code, and what else holds.

use super::answer::{bad, json, not_found};
use super::rows::{AWAITS, next_slot, run_rows, waits_for};
use super::{Api, Ctx, Outcome};
use crate::board::{Link, Seen};
use crate::job;
use meseta_cron_core::job::JobName;
use meseta_cron_core::run::{Run, State, Why};
use serde::Serialize;
use serde_json::json;

/// One reason.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Reason {
    code: &'static str,
    verdict: String,
    /// Since when it holds, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
}

fn reason(code: &'static str, verdict: impl Into<String>) -> Reason {
    Reason {
        code,
        verdict: verdict.into(),
        since: None,
    }
}

impl Api {
    pub(super) async fn why(&self, ctx: &Ctx<'_>, name: &str) -> Outcome {
        let board = self.board().await?;
        let key = JobName::recorded(name);
        if let Some(why) = board.broken.get(&key) {
            return Err(bad(&format!(
                "the record of the job '{name}' cannot be read: {why}"
            )));
        }
        let seen = board.get(&key).ok_or_else(|| not_found(name))?;
        let mut reasons = reasons(seen, board.link).into_iter();
        // There is always one: at the least, that it is not due.
        let first = reasons
            .next()
            .unwrap_or_else(|| reason("not-due", "it is not due"));
        let last = run_rows(seen).into_iter().find(|row| row.end_timestamp.is_some());
        let shown = json!({
            "job": name, "code": first.code, "verdict": first.verdict, "since": first.since,
            "next": next_slot(seen).map(job::time), "also": reasons.collect::<Vec<_>>(), "last": last,
        });
        Ok(json(&shown, ctx.headers))
    }
}

/// All that holds, the strongest first.
fn reasons(seen: &Seen, link: Link) -> Vec<Reason> {
    let mut reasons = Vec::new();
    let job = &seen.job;
    let exhausted = job
        .schedule()
        .is_some_and(|schedule| schedule.after(job.settled).is_none());
    reasons.extend(seen.runs.iter().filter(|run| run.is_active()).map(running));
    if exhausted && seen.runs.is_empty() {
        reasons.push(reason("exhausted", "its schedule has no further start"));
    }
    if job.spec.disabled {
        let next = if exhausted {
            ""
        } else {
            "; nothing starts until it is enabled"
        };
        reasons.push(reason("disabled", format!("it is disabled{next}")));
    }
    reasons.extend(
        seen.runs
            .iter()
            .filter(|run| !run.is_active())
            .map(|run| waiting(run, link)),
    );
    if !job.parents().is_empty() && seen.runs.is_empty() && !job.spec.disabled {
        reasons.push(parents(seen));
    }
    if reasons.is_empty() {
        reasons.push(match next_slot(seen) {
            Some(at) => reason("not-due", format!("it is not due before {}", job::time(at))),
            None => reason("not-due", "it is not due"),
        });
    }
    reasons
}

fn running(run: &Run) -> Reason {
    let host = run.place().map(|place| &*place.host).unwrap_or_default();
    let (verdict, since) = match &run.state {
        State::Running {
            since,
            unreachable: Some(lost),
            ..
        } => {
            let lost = job::time(*lost);
            (
                format!("it runs on {host}, which is out of reach since {lost}"),
                Some(*since),
            )
        }
        State::Running { since, .. } => (format!("it runs on {host}"), Some(*since)),
        State::Awaiting { since, .. } => (format!("it ran on {host}: {AWAITS}"), Some(*since)),
        _ => (
            format!("it is being started on {host}"),
            run.place().map(|place| place.at),
        ),
    };
    Reason {
        since: since.map(job::time),
        ..reason("running", verdict)
    }
}

fn waiting(run: &Run, link: Link) -> Reason {
    let due = Some(job::time(run.due));
    let why = match &run.state {
        State::Retrying { at } => {
            let verdict = format!(
                "attempt {} failed; the next one is at {}",
                run.attempt,
                job::time(*at)
            );
            return reason("retrying", verdict);
        }
        State::Waiting { why } => why,
        State::Launched { .. } | State::Running { .. } | State::Awaiting { .. } => return running(run),
    };
    let (code, verdict) = match why {
        Why::Overlap(other) => ("overlap", format!("it is due, and its run {other} goes on")),
        _ if !link.subscribed => {
            let since = job::time(link.since);
            (
                "no-master",
                format!("it is due, and there is no master since {since}"),
            )
        }
        Why::NoOffer => ("no-offers", format!("it is due, and {}", waits_for(why))),
        Why::NoFit { .. } => ("does-not-fit", format!("it is due, and {}", waits_for(why))),
    };
    Reason {
        since: due,
        ..reason(code, verdict)
    }
}

fn parents(seen: &Seen) -> Reason {
    let done = |parent: &&JobName| {
        let successes = seen.job.parent_successes.get(*parent);
        successes.is_some_and(|n| *n > 0)
    };
    let (done, open): (Vec<&JobName>, Vec<&JobName>) = seen.job.parents().iter().partition(done);
    let names = |list: &[&JobName]| {
        list.iter()
            .map(|name| name.as_str())
            .collect::<Vec<_>>()
            .join(", ")
    };
    let verdict = match done.is_empty() {
        true => format!("it waits for a success of {}", names(&open)),
        false => format!(
            "it waits for a success of {}; {} succeeded already",
            names(&open),
            names(&done)
        ),
    };
    reason("parent-not-run", verdict)
}

#[cfg(test)]
mod tests {
    use super::super::rows::tests::{now, place, run, seen};
    use super::*;
    use jiff::SignedDuration;
    use meseta_cron_core::run::{Cause, RunId};

    fn link(subscribed: bool) -> Link {
        Link {
            subscribed,
            since: now(),
        }
    }

    fn first(seen: &Seen, subscribed: bool) -> (&'static str, String) {
        let first = reasons(seen, link(subscribed)).into_iter().next();
        first.map_or(("none", String::new()), |reason| (reason.code, reason.verdict))
    }

    #[test]
    fn the_true_reason_comes_first() {
        let hourly = || seen(json!({"name": "a", "schedule": "R/2026-01-02T03:00:00Z/PT1H"}));
        assert_eq!(first(&hourly(), true).0, "not-due");

        let off = seen(json!({"name": "a", "schedule": "R//PT1H", "disabled": true}));
        assert_eq!(first(&off, true).0, "disabled");

        let once = seen(json!({"name": "a", "schedule": "R1/2026-01-02T03:00:00Z/PT1H", "disabled": true}));
        assert_eq!(first(&once, true).0, "exhausted");

        let mut child = seen(json!({"name": "a", "parents": ["b", "c"]}));
        child.job.parent_successes.insert(JobName::recorded("b"), 1);
        let (code, verdict) = first(&child, true);
        assert_eq!(code, "parent-not-run");
        assert!(verdict.contains("success of c; b succeeded"), "{verdict}");

        for (why, subscribed, code) in [
            (Why::NoOffer, true, "no-offers"),
            (Why::NoOffer, false, "no-master"),
            (
                Why::NoFit {
                    lacks: "cpus 4 needed, 2 largest".into(),
                },
                true,
                "does-not-fit",
            ),
            (Why::Overlap(RunId::written("x")), true, "overlap"),
        ] {
            let mut seen = hourly();
            let waiting = run(&seen, 0, Cause::Slot, State::Waiting { why });
            seen.runs.push(waiting);
            assert_eq!(first(&seen, subscribed).0, code);
        }

        let mut seen = hourly();
        let at = now() + SignedDuration::from_secs(60);
        let retrying = run(&seen, 1, Cause::Slot, State::Retrying { at });
        seen.runs.push(retrying);
        assert_eq!(first(&seen, true).0, "retrying");

        let mut seen = hourly();
        let launched = run(&seen, 0, Cause::Slot, State::Launched { place: place() });
        seen.runs.push(launched);
        assert_eq!(
            first(&seen, true),
            ("running", "it is being started on h1".to_owned())
        );
    }
}
