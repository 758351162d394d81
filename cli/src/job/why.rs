//! `job why`: the reason why a job does not run, as the cron framework last decided it.

use super::{asked, encoded, find, words};
use crate::args::Global;
use crate::cluster::{list, string};
use crate::failure::Failure;
use crate::output::{self, Format};
use crate::text::{age, harmless};
use jiff::Timestamp;
use serde_json::Value;
use std::fmt::Write;

/// Prints the verdict, the evidence and the next command.
pub(super) async fn run(global: &Global, name: &str) -> Result<u8, Failure> {
    let cron = find(global).await?;
    let answer = asked(&cron, &format!("/v1/scheduler/why/{}", encoded(name)), name).await?;
    let text = match global.format() {
        Format::Json | Format::Jsonl => format!("{answer}\n"),
        _ => described(&answer, Timestamp::now()),
    };
    Ok(output::print(&text).err().unwrap_or(0))
}

fn described(answer: &Value, now: Timestamp) -> String {
    let job = string(answer, &["job"]);
    let mut text = format!("{}\n", harmless(&verdict(job, string(answer, &["verdict"]))));
    let mut line = |key: &str, value: String| {
        if !value.is_empty() {
            let _ = writeln!(text, "  {key:9}  {}", harmless(&value));
        }
    };
    if let Some(since) = words::time(string(answer, &["since"])) {
        line(
            "since",
            format!("{} ago", age(now.duration_since(since).as_secs_f64())),
        );
    }
    line("last run", last_run(answer, now));
    if let Some(next) = words::time(string(answer, &["next"])) {
        let in_time = age(next.duration_since(now).as_secs_f64());
        line(
            "next",
            format!(
                "{} (in {in_time})",
                words::moment(next, &jiff::tz::TimeZone::UTC, "")
            ),
        );
    }
    for also in list(answer, "also") {
        line("also", string(also, &["verdict"]).to_owned());
    }
    line("way out", way_out(string(answer, &["code"]), job));
    text
}

/// The sentence with the job's name in place of "it": whoever reads several of them must know whose each is.
fn verdict(job: &str, told: &str) -> String {
    match told.strip_prefix("it ") {
        Some(rest) => format!("{job} {rest}"),
        None if told.starts_with(job) => told.to_owned(),
        None => format!("{job}: {told}"),
    }
}

fn last_run(answer: &Value, now: Timestamp) -> String {
    let Some(run) = answer.get("last").filter(|run| !run.is_null()) else {
        return String::new();
    };
    let when = words::time(string(run, &["startTimestamp"])).or_else(|| words::time(string(run, &["due"])));
    let when = when.map_or(String::new(), |at| {
        format!("{} ago", age(now.duration_since(at).as_secs_f64()))
    });
    let host = match string(run, &["host"]) {
        "" => String::new(),
        host => format!("on {host}"),
    };
    let parts = [
        when,
        string(run, &["result"]).to_owned(),
        host,
        string(run, &["reason"]).to_owned(),
    ];
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join("  ")
}

/// The command that helps, for each reason that has one.
fn way_out(code: &str, job: &str) -> String {
    match code {
        "disabled" => format!("meseta job resume {job}"),
        "exhausted" => format!("once more: meseta job run {job}"),
        "not-due" | "parent-not-run" => format!("meseta job run {job}"),
        "overlap" | "running" => format!("meseta job history {job} · meseta job kill {job}"),
        "retrying" => format!("meseta job history {job}"),
        "no-offers" | "does-not-fit" => {
            format!("meseta node list · meseta job update {job} --cpus N --mem MIB")
        }
        "no-master" => "meseta status".to_owned(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_first_line_is_the_verdict_and_the_last_one_a_command() {
        let answer = json!({
            "job": "report", "code": "disabled", "verdict": "report is disabled: it starts no run by itself",
            "since": "2026-03-28T11:00:00Z", "next": null, "also": [{"code": "not-due", "verdict": "not due before 02:30"}],
            "last": {"result": "success", "startTimestamp": "2026-03-28T10:00:00Z", "host": "a5", "reason": ""},
        });
        let now = "2026-03-28T12:00:00Z".parse().unwrap_or_default();
        assert_eq!(
            described(&answer, now),
            "report is disabled: it starts no run by itself\n  \
             since      1h ago\n  \
             last run   2h ago  success  on a5\n  \
             also       not due before 02:30\n  \
             way out    meseta job resume report\n"
        );
    }

    #[test]
    fn the_verdict_names_the_job() {
        for (told, verdict) in [
            ("it is disabled", "report is disabled"),
            (
                "its schedule has no further start",
                "report: its schedule has no further start",
            ),
            ("attempt 1 failed", "report: attempt 1 failed"),
            ("report is disabled", "report is disabled"),
        ] {
            assert_eq!(super::verdict("report", told), verdict);
        }
    }

    #[test]
    fn every_reason_the_server_names_has_a_way_out() {
        for code in [
            "disabled",
            "exhausted",
            "not-due",
            "parent-not-run",
            "overlap",
            "retrying",
            "no-offers",
            "does-not-fit",
            "no-master",
            "running",
        ] {
            assert!(!way_out(code, "x").is_empty(), "{code}");
        }
    }
}
