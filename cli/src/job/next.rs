//! `job next`: the next times of a job, or of a schedule that is only thought of.

use super::args::NextArgs;
use super::{find, words};
use crate::args::Global;
use crate::cluster::{list, string};
use crate::failure::{Failure, exit};
use crate::output::{self, Format};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use meseta_cron_core::schedule::Schedule;
use meseta_cron_core::zone;
use serde_json::{Value, json};
use std::fmt::Write;

/// Names and allowed values of a cron expression's fields, seconds first.
const FIELDS: [(&str, u32, u32, &str); 6] = [
    ("second", 0, 59, "0-59"),
    ("minute", 0, 59, "0-59"),
    ("hour", 0, 23, "0-23"),
    ("day of month", 1, 31, "1-31"),
    ("month", 1, 12, "1-12 or JAN-DEC"),
    ("day of week", 0, 7, "0-7 or MON-SUN"),
];

/// What is known about the next times.
struct Times {
    schedule: String,
    zone: String,
    times: Vec<Timestamp>,
    /// Why there are not as many as asked for; empty when there are.
    reason: String,
}

/// Prints them.
pub(super) async fn run(global: &Global, args: &NextArgs) -> Result<u8, Failure> {
    let times = match (&args.schedule, &args.name) {
        (Some(text), _) => of_schedule(
            text,
            args.zone.as_deref(),
            usize::from(args.count),
            Timestamp::now(),
        )?,
        (None, Some(name)) => of_job(global, name, args.count).await?,
        // The words require one of them.
        (None, None) => return Err(super::no_name()),
    };
    let text = match global.format() {
        Format::Json | Format::Jsonl => format!("{}\n", times.object()),
        Format::Name => times.times.iter().map(|at| format!("{at}\n")).collect(),
        _ => times.text(&TimeZone::system()),
    };
    Ok(output::print(&text).err().unwrap_or(0))
}

async fn of_job(global: &Global, name: &str, count: u16) -> Result<Times, Failure> {
    let cron = find(global).await?;
    let path = format!("/v1/scheduler/next/{}?n={count}", super::encoded(name));
    let answer = super::asked(&cron, &path, name).await?;
    let times = list(&answer, "times").iter().filter_map(Value::as_str);
    Ok(Times {
        schedule: string(&answer, &["schedule"]).to_owned(),
        zone: string(&answer, &["scheduleTimeZone"]).to_owned(),
        times: times.filter_map(words::time).collect(),
        reason: string(&answer, &["reason"]).to_owned(),
    })
}

fn of_schedule(text: &str, zone: Option<&str>, count: usize, now: Timestamp) -> Result<Times, Failure> {
    let schedule = parse(text, zone, now)?;
    let mut times = Vec::new();
    // The first slot may be this very instant.
    let mut after = now - jiff::SignedDuration::from_nanos(1);
    while let Some(slot) = schedule.after(after).filter(|_| times.len() < count) {
        times.push(slot.at);
        after = slot.at;
    }
    let reason = match times.len() {
        found if found == count => "",
        0 => "there is no time left: the schedule is over",
        _ => "then the schedule is over",
    };
    Ok(Times {
        schedule: text.to_owned(),
        zone: zone.unwrap_or_default().to_owned(),
        times,
        reason: reason.to_owned(),
    })
}

/// Reads a schedule; a mistake is shown where it is.
pub(super) fn parse(text: &str, zone: Option<&str>, now: Timestamp) -> Result<Schedule, Failure> {
    let is_interval = text.trim_start().starts_with('R') && text.contains('/');
    if let Some(name) = zone.filter(|name| !name.is_empty())
        && let Err(why) = zone::find(name)
    {
        return Err(Failure::new("bad-zone", exit::REFUSED, why.to_string())
            .fix("a name of the time zone database, for example --zone Europe/Paris"));
    }
    let parsed = if is_interval {
        Schedule::interval(text, zone, now)
    } else {
        Schedule::cron(text, zone)
    };
    parsed.map_err(|why| match mistake(text).filter(|_| !is_interval) {
        Some(mistake) => mistake,
        None => Failure::new("bad-schedule", exit::REFUSED, why.to_string())
            .fix("ISO 8601 such as R/2026-01-01T00:00:00Z/PT1H, or cron such as '30 2 * * *'"),
    })
}

/// The field of a cron expression that cannot be, with a mark below it.
fn mistake(text: &str) -> Option<Failure> {
    let mut fields: Vec<(usize, &str)> = Vec::new();
    let mut at = 0;
    for part in text.split(' ') {
        if !part.is_empty() {
            fields.push((at, part));
        }
        at += part.chars().count() + 1;
    }
    let first = match fields.len() {
        5 => 1,
        6 => 0,
        count => {
            let what =
                format!("a cron expression has 5 fields (minute to day of week) or 6, this one has {count}");
            return Some(Failure::new("bad-schedule", exit::REFUSED, what).detail(text.to_owned()));
        }
    };
    let table = FIELDS.iter().skip(first);
    for (number, ((column, field), (name, low, high, allowed))) in fields.iter().zip(table).enumerate() {
        let mut offset = 0;
        for piece in field.split([',', '-', '/']) {
            let is_step = offset > 0 && field.get(..offset).is_some_and(|before| before.ends_with('/'));
            let fits = match piece.parse::<u32>() {
                Ok(value) if is_step => value > 0,
                Ok(value) => (*low..=*high).contains(&value),
                // Names, stars and last days are judged by the parser.
                Err(_) => true,
            };
            if !fits {
                let what = format!("cron field {} ({name}) is {allowed}", number + 1);
                let mark = format!("{}^ {piece}", " ".repeat(column + offset));
                return Some(
                    Failure::new("bad-schedule", exit::REFUSED, what)
                        .detail(text.to_owned())
                        .detail(mark),
                );
            }
            offset += piece.len() + 1;
        }
    }
    None
}

impl Times {
    fn object(&self) -> Value {
        json!({
            "kind": "job-next",
            "schema": 1,
            "schedule": self.schedule,
            "scheduleTimeZone": self.zone,
            "times": self.times.iter().map(Timestamp::to_string).collect::<Vec<_>>(),
            "reason": self.reason,
        })
    }

    fn text(&self, here: &TimeZone) -> String {
        let mut text = format!("{}\n", words::in_words(&self.schedule, &self.zone));
        let zone = zone_of(&self.zone);
        for at in &self.times {
            let _ = write!(text, "  {}", words::moment(*at, &zone, &self.zone));
            let mine = at.to_zoned(here.clone());
            // Yours, where it is another wall-clock time.
            if mine.offset() != at.to_zoned(zone.clone()).offset() && !mine.offset().is_zero() {
                let _ = write!(text, "  {} here", mine.strftime("%a %H:%M"));
            }
            text.push('\n');
        }
        if !self.reason.is_empty() {
            let _ = writeln!(text, "  {}", self.reason);
        }
        text
    }
}

/// A zone by name; what is not known is shown in UTC.
pub(super) fn zone_of(name: &str) -> TimeZone {
    zone::find(name).unwrap_or(TimeZone::UTC)
}

/// The next times for people, after a job was made or changed.
pub(super) fn lines(schedule: &str, zone: &str, count: usize) -> Result<String, Failure> {
    let times = of_schedule(
        schedule,
        Some(zone).filter(|z| !z.is_empty()),
        count,
        Timestamp::now(),
    )?;
    Ok(times.text(&TimeZone::system()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn now() -> Timestamp {
        "2026-03-28T00:00:00Z".parse().unwrap()
    }

    #[test]
    fn times_are_told_in_the_zone_of_the_schedule() {
        let schedule = "R/2026-03-28T02:30:00+01:00/P1D";
        let times = of_schedule(schedule, Some("Europe/Paris"), 2, now()).unwrap();
        assert_eq!(
            times.text(&TimeZone::UTC),
            "every day\n  \
             Sat 2026-03-28 02:30 Europe/Paris (01:30 UTC)\n  \
             Sun 2026-03-29 03:30 Europe/Paris (01:30 UTC)\n",
            "the second is moved out of the gap"
        );
    }

    #[test]
    fn a_schedule_that_ends_says_so() {
        let times = of_schedule("R2/2026-03-28T01:00:00Z/PT1H", None, 5, now()).unwrap();
        let text = times.text(&TimeZone::UTC);
        assert!(
            text.ends_with("02:00 UTC\n  then the schedule is over\n"),
            "{text}"
        );
        let over = of_schedule("R2/2020-01-01T00:00:00Z/PT1H", None, 5, now()).unwrap();
        assert!(over.text(&TimeZone::UTC).contains("no time left"));
        assert_eq!(over.object()["times"], json!([]));
    }

    #[test]
    fn a_mistake_is_shown_where_it_is() {
        let failure = parse("0 9 * * 8", None, now()).unwrap_err();
        assert_eq!(
            failure.render(false),
            "error[bad-schedule]: cron field 5 (day of week) is 0-7 or MON-SUN\n  0 9 * * 8\n          ^ 8\n"
        );
        let failure = parse("0 5,99 * * *", None, now()).unwrap_err();
        assert_eq!(failure.details, ["0 5,99 * * *", "    ^ 99"]);
        let failure = parse("0 9 *", None, now()).unwrap_err();
        assert!(failure.what.contains("this one has 3"), "{failure:?}");
        let failure = parse("R/nonsense/PT5S", None, now()).unwrap_err();
        assert!(failure.what.contains("Cannot parse schedule"), "{failure:?}");
        let failure = parse("0 9 * * 1", Some("No/Where"), now()).unwrap_err();
        assert_eq!((failure.code, failure.exit), ("bad-zone", exit::REFUSED));
    }
}
