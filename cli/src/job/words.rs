//! Schedules and times of jobs in words. Pure, but for the clock that callers hand in or ask for.
//!
//! A time always names its zone: `02:30 Europe/Paris (00:30 UTC)`.

use crate::cluster::{list, string};
use crate::output::Cell;
use crate::text::age;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;

/// What a row's schedule means: `every 5 seconds`, `daily at 02:30 Europe/Paris`, `after a and b`.
pub(crate) fn schedule(row: &Value) -> String {
    let parents: Vec<&str> = list(row, "parents").iter().filter_map(Value::as_str).collect();
    if let Some((last, rest)) = parents.split_last() {
        return match rest {
            [] => format!("after {last}"),
            rest => format!("after {} and {last}", rest.join(", ")),
        };
    }
    match string(row, &["schedule"]) {
        "" => "never by itself".to_owned(),
        text => in_words(text, string(row, &["scheduleTimeZone"])),
    }
}

/// The same without blanks, for tables: `every-5s`, `30_2_*_*_*`, `after:a,b`.
pub(crate) fn short_schedule(row: &Value) -> String {
    let parents: Vec<&str> = list(row, "parents").iter().filter_map(Value::as_str).collect();
    if !parents.is_empty() {
        return format!("after:{}", parents.join(","));
    }
    let text = string(row, &["schedule"]);
    match interval(text) {
        Some((count, period)) => {
            let every = match exact_seconds(period) {
                Some(seconds) => format!("every-{}", age(seconds as f64)),
                None => format!("every-{period}"),
            };
            count.map_or(every.clone(), |n| format!("{n}x-{every}"))
        }
        None => text.split_whitespace().collect::<Vec<_>>().join("_"),
    }
}

/// A schedule in words.
pub(crate) fn in_words(text: &str, zone: &str) -> String {
    let zone = if zone.is_empty() { "UTC" } else { zone };
    if let Some((count, period)) = interval(text) {
        let every = format!("every {}", period_in_words(period));
        return match count {
            None => every,
            Some("0") => "no more".to_owned(),
            Some("1") => "once more".to_owned(),
            Some(n) => format!("{every}, {n} more times"),
        };
    }
    match cron_in_words(text) {
        Some(words) => format!("{words} {zone}"),
        None => format!("cron {text} {zone}"),
    }
}

/// Count and period of `R[n]/START/PERIOD`.
fn interval(text: &str) -> Option<(Option<&str>, &str)> {
    let mut parts = text.split('/');
    let count = parts.next()?.strip_prefix('R')?;
    let period = parts.nth(1)?;
    Some((Some(count).filter(|n| !n.is_empty()), period))
}

/// The pairs of number and unit of an ISO 8601 period; `None` for what is none.
fn units(period: &str) -> Option<Vec<(&str, &'static str)>> {
    let mut rest = period.strip_prefix('P')?;
    let mut in_time = false;
    let mut found = Vec::new();
    while !rest.is_empty() {
        if let Some(time) = rest.strip_prefix('T') {
            in_time = true;
            rest = time;
            continue;
        }
        let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
        let number = rest.get(..end).filter(|n| !n.is_empty())?;
        let unit = match (rest.get(end..=end)?, in_time) {
            ("Y", false) => "year",
            ("M", false) => "month",
            ("W", false) => "week",
            ("D", false) => "day",
            ("H", true) => "hour",
            ("M", true) => "minute",
            ("S", true) => "second",
            _ => return None,
        };
        found.push((number, unit));
        rest = rest.get(end + 1..)?;
    }
    Some(found).filter(|found| !found.is_empty())
}

fn period_in_words(period: &str) -> String {
    let Some(units) = units(period) else {
        return period.to_owned();
    };
    if let [("1", unit)] = units.as_slice() {
        return (*unit).to_owned();
    }
    let words = units.iter().map(|(number, unit)| {
        let s = if *number == "1" { "" } else { "s" };
        format!("{number} {unit}{s}")
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Seconds of a period without calendar units.
fn exact_seconds(period: &str) -> Option<u64> {
    units(period)?.iter().try_fold(0_u64, |sum, (number, unit)| {
        let size = match *unit {
            "week" => 604_800,
            "day" => 86_400,
            "hour" => 3_600,
            "minute" => 60,
            "second" => 1,
            _ => return None,
        };
        sum.checked_add(number.parse::<u64>().ok()?.checked_mul(size)?)
    })
}

/// The forms of cron expressions that have plain words.
fn cron_in_words(text: &str) -> Option<String> {
    let fields: Vec<&str> = text.split_whitespace().collect();
    let number = |field: &str| field.parse::<u8>().ok();
    match fields.as_slice() {
        ["@hourly"] => Some("hourly".to_owned()),
        ["@daily" | "@midnight"] => Some("daily at 00:00".to_owned()),
        [minute, "*", "*", "*", "*"] if *minute == "*" => Some("every minute".to_owned()),
        [minute, "*", "*", "*", "*"] => match minute.strip_prefix("*/") {
            Some(step) => Some(format!("every {} minutes", number(step)?)),
            None => Some(format!("hourly at :{:02}", number(minute)?)),
        },
        [second, "*", "*", "*", "*", "*"] => {
            let step = second.strip_prefix("*/").map_or(Some(1), number)?;
            (*second == "*" || second.starts_with("*/")).then(|| match step {
                1 => "every second".to_owned(),
                step => format!("every {step} seconds"),
            })
        }
        [minute, hour, "*", "*", day] => {
            let at = format!("{:02}:{:02}", number(hour)?, number(minute)?);
            match *day {
                "*" => Some(format!("daily at {at}")),
                "1-5" | "MON-FRI" => Some(format!("on weekdays at {at}")),
                day => Some(format!("every {} at {at}", weekday(day)?)),
            }
        }
        _ => None,
    }
}

fn weekday(text: &str) -> Option<&'static str> {
    Some(match text.to_ascii_uppercase().as_str() {
        "0" | "7" | "SUN" => "Sunday",
        "1" | "MON" => "Monday",
        "2" | "TUE" => "Tuesday",
        "3" | "WED" => "Wednesday",
        "4" | "THU" => "Thursday",
        "5" | "FRI" => "Friday",
        "6" | "SAT" => "Saturday",
        _ => return None,
    })
}

/// A server's time.
pub(crate) fn time(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}

/// Seconds from now to a server's time; below zero when it has passed.
pub(crate) fn seconds_until(text: &str) -> Option<f64> {
    let at = time(text)?;
    Some(at.duration_since(Timestamp::now()).as_secs_f64())
}

/// `12:04:35` of today in this machine's zone, with the date on another day.
pub(crate) fn clock(text: &str) -> String {
    let Some(at) = time(text) else {
        return text.to_owned();
    };
    let here = at.to_zoned(TimeZone::system());
    let now = jiff::Zoned::now();
    let form = if here.date() == now.date() {
        "%H:%M:%S"
    } else {
        "%Y-%m-%d %H:%M:%S"
    };
    here.strftime(form).to_string()
}

/// `Sat 2026-03-28 02:30 Europe/Paris (01:30 UTC)`, with seconds where there are any.
pub(crate) fn moment(at: Timestamp, zone: &TimeZone, name: &str) -> String {
    let there = at.to_zoned(zone.clone());
    let form = if there.second() == 0 { "%H:%M" } else { "%H:%M:%S" };
    let text = format!("{} {}", there.strftime("%a %Y-%m-%d"), there.strftime(form));
    if there.offset().is_zero() && matches!(name, "" | "UTC" | "Etc/UTC" | "GMT" | "Z") {
        return format!("{text} UTC");
    }
    let utc = at.to_zoned(TimeZone::UTC);
    format!("{text} {name} ({} UTC)", utc.strftime(form))
}

/// `in-4m`, `now`, `-`.
pub(crate) fn next(row: &Value, now: Timestamp) -> Cell {
    let Some(at) = time(string(row, &["next"])) else {
        return Cell::default();
    };
    let relative = match at.duration_since(now).as_secs_f64() {
        seconds if seconds < 1.0 => "now".to_owned(),
        seconds => format!("in-{}", age(seconds)),
    };
    Cell::time("", epoch(at), relative)
}

/// Seconds since the epoch.
pub(crate) fn epoch(at: Timestamp) -> f64 {
    at.as_millisecond() as f64 / 1_000.0
}

/// `ok:56m`, `failed:2h`: the last run that ended, and how long ago.
pub(crate) fn last(row: &Value, now: Timestamp) -> Cell {
    let Some(run) = row.get("lastRun").filter(|run| !run.is_null()) else {
        return Cell::default();
    };
    let word = match string(run, &["result"]) {
        "success" => "ok",
        other => other,
    };
    let ended = time(string(run, &["endTimestamp"])).or_else(|| time(string(run, &["startTimestamp"])));
    match ended {
        Some(at) => {
            let relative = age(now.duration_since(at).as_secs_f64());
            Cell::time(&format!("{word}:"), epoch(at), relative)
        }
        None => word.into(),
    }
}

/// `130ms`, `4.2s`, `3m12s`.
pub(crate) fn took(millis: Option<f64>) -> String {
    match millis {
        None => String::new(),
        Some(ms) if ms < 1_000.0 => format!("{ms:.0}ms"),
        Some(ms) if ms < 10_000.0 => format!("{:.1}s", ms / 1_000.0),
        Some(ms) => age(ms / 1_000.0),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn schedules_are_told_in_words() {
        for (text, words) in [
            ("R//PT5S", "every 5 seconds"),
            ("R/2026-01-01T00:00:00Z/P1D", "every day"),
            (
                "R3/2026-01-01T00:00:00Z/PT1H30M",
                "every 1 hour 30 minutes, 3 more times",
            ),
            ("R1//PT1M", "once more"),
            ("R0//PT1M", "no more"),
            ("R//P1M", "every month"),
            ("*/5 * * * *", "every 5 minutes UTC"),
            ("* * * * *", "every minute UTC"),
            ("30 2 * * *", "daily at 02:30 UTC"),
            ("0 9 * * 1-5", "on weekdays at 09:00 UTC"),
            ("0 9 * * MON", "every Monday at 09:00 UTC"),
            ("15 * * * *", "hourly at :15 UTC"),
            ("*/5 * * * * *", "every 5 seconds UTC"),
            ("0 0 1 */3 *", "cron 0 0 1 */3 * UTC"),
            ("nonsense", "cron nonsense UTC"),
        ] {
            assert_eq!(in_words(text, ""), words, "{text}");
        }
        assert_eq!(
            in_words("30 2 * * *", "Europe/Paris"),
            "daily at 02:30 Europe/Paris"
        );
        assert_eq!(
            schedule(&json!({"parents": ["a", "b", "c"], "schedule": ""})),
            "after a, b and c"
        );
    }

    #[test]
    fn tables_have_schedules_without_blanks() {
        for (row, text) in [
            (json!({"schedule": "R//PT5S"}), "every-5s"),
            (json!({"schedule": "R2//PT90M"}), "2x-every-1h30m"),
            (json!({"schedule": "R//P1M"}), "every-P1M"),
            (json!({"schedule": "30 2 * * *"}), "30_2_*_*_*"),
            (json!({"parents": ["a", "b"]}), "after:a,b"),
        ] {
            assert_eq!(short_schedule(&row), text);
        }
    }

    #[test]
    fn times_name_their_zone() {
        let at: Timestamp = "2026-03-28T01:30:00Z".parse().unwrap();
        let paris = TimeZone::get("Europe/Paris").unwrap();
        assert_eq!(
            moment(at, &paris, "Europe/Paris"),
            "Sat 2026-03-28 02:30 Europe/Paris (01:30 UTC)"
        );
        assert_eq!(moment(at, &TimeZone::UTC, ""), "Sat 2026-03-28 01:30 UTC");
    }

    #[test]
    fn rows_tell_what_was_and_what_comes() {
        let now: Timestamp = "2026-03-28T12:00:00Z".parse().unwrap();
        let row = json!({
            "next": "2026-03-28T12:04:00.000Z",
            "lastRun": {"result": "success", "endTimestamp": "2026-03-28T11:04:00.000Z"},
        });
        assert_eq!(
            (
                next(&row, now).to_string().as_str(),
                last(&row, now).to_string().as_str()
            ),
            ("in-4m", "ok:56m")
        );
        let failed = json!({"next": null, "lastRun": {"result": "failed", "endTimestamp": "2026-03-28T10:00:00.000Z"}});
        assert_eq!(
            (
                next(&failed, now).to_string().as_str(),
                last(&failed, now).to_string().as_str()
            ),
            ("", "failed:2h")
        );
        assert_eq!(last(&json!({"lastRun": null}), now), "");
        for (ms, text) in [(130.0, "130ms"), (4_230.0, "4.2s"), (192_000.0, "3m12s")] {
            assert_eq!(took(Some(ms)), text);
        }
    }
}
