//! `next`: when a job, or a schedule that is not stored, is due.

use super::answer::{bad, json, not_found};
use super::rows::settled_or_waiting;
use super::{Api, Ctx, Outcome};
use crate::board::Seen;
use crate::job;
use jiff::Timestamp;
use meseta_cron_core::job::{JobName, Trigger};
use meseta_cron_core::schedule::Schedule;
use meseta_http::Response;
use serde_json::json;

/// Times told unless asked otherwise.
const TIMES: usize = 5;

/// Times told at most.
const TIMES_MAX: usize = 1_000;

impl Api {
    pub(super) async fn next(&self, ctx: &Ctx<'_>, name: &str) -> Outcome {
        let n = how_many(ctx)?;
        let board = self.board().await?;
        let seen = board
            .get(&JobName::recorded(name))
            .ok_or_else(|| not_found(name))?;
        let (times, reason) = next_of(seen, n);
        let (schedule, zone) = match &seen.job.spec.trigger {
            Trigger::Schedule { text, .. } => job::text_and_zone(text),
            Trigger::Parents(_) => ("", ""),
        };
        let shown = json!({
            "job": name, "schedule": schedule, "scheduleTimeZone": zone, "times": times, "reason": reason,
        });
        Ok(json(&shown, ctx.headers))
    }

    pub(super) fn next_of_text(&self, ctx: &Ctx<'_>) -> Outcome {
        let n = how_many(ctx)?;
        let text = ctx
            .query
            .get("schedule")
            .ok_or_else(|| bad("schedule: is missing"))?;
        let zone = ctx.query.get("scheduleTimeZone").unwrap_or_default();
        let now = (self.wall)();
        let schedule = Schedule::parse(text, Some(zone), now).map_err(|e| bad(&e.to_string()))?;
        // A start that is now counts as well.
        let from = now
            .checked_sub(jiff::SignedDuration::from_nanos(1))
            .unwrap_or(now);
        let times = times(&schedule, from, n);
        let reason = match times.len() < n {
            true => "no further start",
            false => "",
        };
        let shown = json!({ "schedule": text, "scheduleTimeZone": zone, "times": times, "reason": reason });
        Ok(json(&shown, ctx.headers))
    }
}

fn how_many(ctx: &Ctx<'_>) -> Result<usize, Response> {
    match ctx.query.get("n") {
        None => Ok(TIMES),
        Some(text) => text
            .parse()
            .ok()
            .filter(|n| (1..=TIMES_MAX).contains(n))
            .ok_or_else(|| bad(&format!("n: must be a number from 1 to {TIMES_MAX}"))),
    }
}

fn times(schedule: &Schedule, from: Timestamp, n: usize) -> Vec<String> {
    let first = schedule.after(from);
    let slots = std::iter::successors(first, |slot| schedule.after(slot.at));
    slots.take(n).map(|slot| job::time(slot.at)).collect()
}

/// The next times of a job, and why there are fewer than asked for.
fn next_of(seen: &Seen, n: usize) -> (Vec<String>, String) {
    let Some(schedule) = seen.job.schedule() else {
        let parents: Vec<&str> = seen.job.parents().iter().map(JobName::as_str).collect();
        return (Vec::new(), format!("it runs after {}", parents.join(", ")));
    };
    if seen.job.spec.disabled {
        return (Vec::new(), "it is disabled".to_owned());
    }
    let times = times(schedule, settled_or_waiting(seen), n);
    let reason = match times.len() < n {
        true => "its schedule has no further start".to_owned(),
        false => String::new(),
    };
    (times, reason)
}

#[cfg(test)]
mod tests {
    use super::super::rows::tests::seen;
    use super::*;

    #[test]
    fn fewer_times_come_with_their_reason() {
        let job = |body| seen(body);
        let counted = job(json!({"name": "a", "schedule": "R3/2026-01-02T03:00:00Z/PT1H"}));
        let (times, reason) = next_of(&counted, 5);
        assert_eq!(times, ["2026-01-02T04:00:00.000Z", "2026-01-02T05:00:00.000Z"]);
        assert!(reason.contains("no further start"), "{reason}");
        let off = job(json!({"name": "a", "schedule": "R//PT1H", "disabled": true}));
        assert_eq!(next_of(&off, 1), (Vec::new(), "it is disabled".to_owned()));
        let child = job(json!({"name": "a", "parents": ["b", "c"]}));
        assert_eq!(next_of(&child, 1).1, "it runs after b, c");
        let endless = job(json!({"name": "a", "schedule": "R//PT1H"}));
        let (times, reason) = next_of(&endless, 3);
        assert_eq!((times.len(), reason.as_str()), (3, ""));
    }
}
