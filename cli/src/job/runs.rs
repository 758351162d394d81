//! `job run`, `job history`, and `run`: what was started, and what came of it.

use super::args::{HistoryArgs, LogsOfRun, StartArgs};
use super::{asked, encoded, find, told, words};
use crate::args::{Global, LogsArgs};
use crate::cluster::{list, number, string};
use crate::failure::{Failure, exit};
use crate::output::{self, Cell, Column, Format, List, block, cells};
use crate::progress::Progress;
use crate::services::Service;
use http::Method;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::time::Duration;

/// How often a run that is waited for is asked about.
const PAUSE: Duration = Duration::from_millis(200);
/// All of a run's output, as far as `logs` goes back.
const ALL_LINES: usize = 1_000_000;
/// Runs that the server is asked for when they are filtered here.
const RUNS_MAX: u32 = 1_000;

const COLUMNS: [Column; 10] = [
    output::text("RUN"),
    output::text("DUE"),
    output::text("STARTED"),
    output::number("TOOK"),
    output::text("RESULT"),
    output::number("ATTEMPTS"),
    output::text("NODE"),
    output::text("REASON"),
    output::text("CAUSE").wide(),
    output::text("ARGUMENTS").wide(),
];

/// Runs as a table.
pub(super) fn table(runs: &[Value], now: Timestamp) -> List {
    List {
        columns: COLUMNS.to_vec(),
        rows: runs.iter().map(|run| (cells(run, now), run.clone())).collect(),
        empty: "no runs yet; start one: meseta job run NAME",
    }
}

fn cells(run: &Value, now: Timestamp) -> Vec<Cell> {
    let text = |name: &str| string(run, &[name]).to_owned();
    let ago = |name: &str| {
        let at = words::time(string(run, &[name]));
        at.map_or_else(Cell::default, |at| Cell::ago(words::epoch(now), words::epoch(at)))
    };
    // One entry may stand for many slots in a row that were missed for one reason.
    let slots = number(run, &["slots"]).unwrap_or(1.0);
    let result = if slots > 1.0 {
        format!("{}x{slots}", text("result"))
    } else {
        text("result")
    };
    cells![
        text("run"),
        ago("due"),
        ago("startTimestamp"),
        words::took(number(run, &["tookMillis"])),
        result,
        number(run, &["attempts"]).map_or(String::new(), |n| n.to_string()),
        text("host"),
        text("reason"),
        text("cause"),
        text("arguments"),
    ]
}

/// The runs of a job, newest first; those that did not happen are rows too.
pub(super) async fn history(global: &Global, args: &HistoryArgs) -> Result<u8, Failure> {
    output::show(global, async || runs_asked_for(global, args).await).await
}

async fn runs_asked_for(global: &Global, args: &HistoryArgs) -> Result<List, Failure> {
    let cron = find(global).await?;
    let filtered = args.failed || args.since.is_some();
    let limit = if filtered { RUNS_MAX } else { args.lines };
    let path = format!("/v1/scheduler/history/{}?limit={limit}", encoded(&args.name));
    let answer = asked(&cron, &path, &args.name).await?;
    let now = Timestamp::now();
    let kept = list(&answer, "runs")
        .iter()
        .filter(|run| is_asked_for(run, args, now));
    let kept: Vec<Value> = kept.take(args.lines as usize).cloned().collect();
    let mut list = table(&kept, now);
    if filtered {
        list.empty = "no such runs; all of them: meseta job history NAME";
    }
    Ok(list)
}

fn is_asked_for(run: &Value, args: &HistoryArgs, now: Timestamp) -> bool {
    let result = string(run, &["result"]);
    let failed = !matches!(result, "success" | "waiting" | "starting" | "running");
    let began = words::time(string(run, &["startTimestamp"])).or_else(|| words::time(string(run, &["due"])));
    let recent = args.since.is_none_or(|since| {
        began.is_none_or(|at| now.duration_since(at).as_secs_f64() <= since.as_secs_f64())
    });
    (!args.failed || failed) && recent
}

/// One run in full.
pub(super) async fn show(global: &Global, id: &str) -> Result<u8, Failure> {
    let cron = find(global).await?;
    let run = one(&cron, id).await?;
    let text = match output::for_programs(global, &run, string(&run, &["run"]))? {
        Some(text) => text,
        None => described(&run),
    };
    Ok(output::print(&text).err().unwrap_or(0))
}

fn described(run: &Value) -> String {
    let text = |name: &str| string(run, &[name]).to_owned();
    let at = |name: &str| {
        words::time(string(run, &[name])).map_or(String::new(), |at| {
            words::moment(at, &jiff::tz::TimeZone::UTC, "")
        })
    };
    block(&[
        ("run", text("run")),
        ("job", text("job")),
        ("result", text("result")),
        ("reason", text("reason")),
        ("cause", text("cause")),
        ("due", at("due")),
        ("started", at("startTimestamp")),
        ("ended", at("endTimestamp")),
        ("took", words::took(number(run, &["tookMillis"]))),
        (
            "attempts",
            number(run, &["attempts"]).map_or(String::new(), |n| n.to_string()),
        ),
        ("next attempt", at("retryAt")),
        ("node", text("host")),
        ("arguments", text("arguments")),
    ])
}

async fn one(cron: &Service, id: &str) -> Result<Value, Failure> {
    let path = format!("/v1/scheduler/run/{}", encoded(id));
    let answer = cron.send(Method::GET, &path, None).await?;
    if super::is_not_found(&answer) {
        let what = format!("there is no run '{id}', or it is older than what is kept");
        return Err(Failure::new("not-found", exit::NOT_FOUND, what).fix("meseta job history NAME"));
    }
    cron.json(&answer)
}

/// What a run wrote.
pub(super) async fn logs(global: &Global, args: &LogsOfRun) -> Result<u8, Failure> {
    let cron = find(global).await?;
    let run = one(&cron, &args.run).await?;
    let id = string(&run, &["run"]);
    if number(&run, &["attempts"]).unwrap_or(0.0) < 1.0 {
        let what = format!("the run {id} never started: {}", string(&run, &["reason"]));
        return Err(
            Failure::new("no-logs", exit::NOT_FOUND, what.trim_end_matches(": ").to_owned())
                .fix(format!("meseta job why {}", string(&run, &["job"]))),
        );
    }
    let wanted = LogsArgs {
        follow: args.follow,
        lines: args.lines,
        stderr: args.stderr,
        stdout: args.stdout,
        ..LogsArgs::of(vec![id.to_owned()])
    };
    crate::logs::run(global, &wanted).await
}

/// Starts a run now, and waits for its end when asked to.
pub(super) async fn start(global: &Global, args: &StartArgs) -> Result<u8, Failure> {
    let cron = find(global).await?;
    if args.dry_run {
        asked(
            &cron,
            &format!("/v1/scheduler/job/{}", encoded(&args.name)),
            &args.name,
        )
        .await?;
        return super::say(global, &args.name, "would start a run of");
    }
    let body = (!args.arg.is_empty()).then(|| json!({"arguments": args.arg.join(" ")}));
    let path = format!("/v1/scheduler/run/{}", encoded(&args.name));
    let answer = told(&cron, Method::POST, &path, body.as_ref(), &args.name).await?;
    let answer = cron.json(&answer)?;
    let id = string(&answer, &["run"]).to_owned();
    if args.wait {
        return wait(global, &cron, &args.name, id).await;
    }
    let text = match global.format() {
        Format::Json | Format::Jsonl => format!("{answer}\n"),
        _ => format!("{id}\n"),
    };
    Ok(output::print(&text).err().unwrap_or(0))
}

/// Shows a run's output while it runs; its end is the exit code.
async fn wait(global: &Global, cron: &Service, name: &str, mut id: String) -> Result<u8, Failure> {
    let progress = Progress::new(global);
    let label = format!("job {name}");
    let mut shown = None;
    let run = loop {
        let run = one(cron, &id).await?;
        id = string(&run, &["run"]).to_owned();
        let result = string(&run, &["result"]);
        let has_ended = !matches!(result, "waiting" | "retrying" | "starting" | "running");
        let started = number(&run, &["attempts"]).unwrap_or(0.0) >= 1.0;
        // The output of each attempt, once.
        if started && shown.as_ref() != Some(&id) && (result == "running" || has_ended) {
            progress.finish();
            show_output(global, &id).await;
            shown = Some(id.clone());
            continue;
        }
        if has_ended {
            break run;
        }
        progress.phase(&label, &label, &phase(&run));
        progress.beat();
        tokio::time::sleep(PAUSE).await;
    };
    let took = words::took(number(&run, &["tookMillis"]));
    if string(&run, &["result"]) == "success" {
        progress.done(&label, &label, &format!("ok {took}"));
        progress.finish();
        if matches!(global.format(), Format::Json | Format::Jsonl) {
            return Ok(output::print(&format!("{run}\n")).err().unwrap_or(0));
        }
        return Ok(0);
    }
    let reason = string(&run, &["reason"]);
    let what = format!(
        "the run {id} of {name} ended: {} {reason}",
        string(&run, &["result"])
    );
    Err(
        Failure::new("run-failed", exit::FAILED, what.trim_end().to_owned())
            .fix(format!("meseta run show {id}")),
    )
}

fn phase(run: &Value) -> String {
    match (string(run, &["result"]), string(run, &["reason"])) {
        (result, "") => result.to_owned(),
        (result, reason) => format!("{result}: {reason}"),
    }
}

/// Its output until it ends. That it cannot be shown is said, and is no failure of the run.
async fn show_output(global: &Global, id: &str) {
    // Programs read the run itself from standard output.
    if matches!(global.format(), Format::Json | Format::Jsonl) {
        return;
    }
    let wanted = LogsArgs {
        follow: true,
        lines: ALL_LINES,
        ..LogsArgs::of(vec![id.to_owned()])
    };
    if let Err(failure) = crate::logs::run(global, &wanted).await {
        eprintln!("warning[{}]: no output: {}", failure.code, failure.what);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-03-28T12:00:00Z".parse().unwrap_or_default()
    }

    #[test]
    fn runs_that_did_not_happen_are_rows_too() {
        let ran = json!({
            "run": "ct:1:0:clock:", "due": "2026-03-28T11:59:00.000Z", "startTimestamp": "2026-03-28T11:59:30.000Z",
            "tookMillis": 130, "result": "success", "attempts": 1, "host": "a1", "reason": "", "slots": 1,
        });
        assert_eq!(
            cells(&ran, now())[..8],
            ["ct:1:0:clock:", "1m", "30s", "130ms", "success", "1", "a1", ""]
        );
        let missed = json!({
            "run": "ct:0:0:clock:", "due": "2026-03-28T11:00:00.000Z", "startTimestamp": null, "result": "missed",
            "attempts": 0, "host": null, "reason": "no leader", "slots": 12,
        });
        assert_eq!(
            cells(&missed, now())[..8],
            ["ct:0:0:clock:", "1h", "", "", "missedx12", "0", "", "no leader"]
        );
    }

    #[test]
    fn history_can_be_narrowed() {
        let args = |failed, since: Option<u64>| HistoryArgs {
            name: "a".to_owned(),
            lines: 20,
            failed,
            since: since.map(Duration::from_secs),
        };
        let failed = json!({"result": "failed", "startTimestamp": "2026-03-28T11:00:00Z"});
        assert!(is_asked_for(&failed, &args(true, None), now()));
        assert!(is_asked_for(&failed, &args(false, Some(3_600)), now()));
        assert!(!is_asked_for(&failed, &args(false, Some(60)), now()));
        assert!(!is_asked_for(
            &json!({"result": "success"}),
            &args(true, None),
            now()
        ));
        assert!(is_asked_for(
            &json!({"result": "missed", "due": "2026-03-28T11:59:30Z"}),
            &args(true, Some(60)),
            now()
        ));
    }

    #[test]
    fn a_run_is_described_without_empty_lines() {
        let text =
            described(&json!({"run": "r", "job": "clock", "result": "failed", "reason": "exit status 3"}));
        assert_eq!(
            text,
            "run           r\njob           clock\nresult        failed\nreason        exit status 3\n"
        );
    }
}
