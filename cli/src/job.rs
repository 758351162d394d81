//! `meseta job` and `meseta run`: jobs and their runs, over the cron framework's public API.
//!
//! Answers are kept as JSON values, so that fields of a newer server are shown and sent back, never dropped.

pub(crate) mod args;
mod change;
mod edit;
mod fields;
mod graph;
mod next;
mod runs;
mod why;
pub(crate) mod words;

use crate::api::Answer;
use crate::args::Global;
use crate::cluster::{list, number, string};
use crate::definition::Definition;
use crate::failure::{Failure, exit};
use crate::output::{self, Cell, Column, Format, List, Style, block, cells};
use crate::services::{Kind, Service, refusal};
use crate::text::{cores, mebibytes, nearest};
use args::{JobArgs, JobVerb, ListArgs, RunArgs, RunVerb};
use http::Method;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// Runs that `show` shows.
const RUNS_SHOWN: u32 = 10;

/// `meseta job ...`.
pub(crate) async fn run(global: &Global, args: JobArgs) -> Result<u8, Failure> {
    match args.verb {
        None => list_jobs(global, &args.list).await,
        Some(JobVerb::List(list)) => list_jobs(global, &list.or(&args.list)).await,
        Some(JobVerb::Show(args)) => show(global, &args.name).await,
        Some(JobVerb::Create(args)) => change::create(global, &args).await,
        Some(JobVerb::Update(args)) => change::update(global, &args).await,
        Some(JobVerb::Edit(args)) => edit::run(global, &args).await,
        Some(JobVerb::Run(args)) => runs::start(global, &args).await,
        Some(JobVerb::History(args)) => runs::history(global, &args).await,
        Some(JobVerb::Next(args)) => next::run(global, &args).await,
        Some(JobVerb::Pause(args)) => change::pause(global, &args, true).await,
        Some(JobVerb::Resume(args)) => change::pause(global, &args, false).await,
        Some(JobVerb::Kill(args)) => change::kill(global, &args).await,
        Some(JobVerb::Delete(args)) => change::delete(global, &args).await,
        Some(JobVerb::Graph(args)) => graph::run(global, &args).await,
        Some(JobVerb::Why(args)) => why::run(global, &args.name).await,
    }
}

/// `meseta run ...`.
pub(crate) async fn runs(global: &Global, args: RunArgs) -> Result<u8, Failure> {
    match args.verb {
        RunVerb::List(args) => runs::history(global, &args).await,
        RunVerb::Show { run } => runs::show(global, &run).await,
        RunVerb::Logs(args) => runs::logs(global, &args).await,
    }
}

/// What became of a job that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was not there before.
    Created,
    /// These fields are other ones now.
    Changed(Vec<String>),
    /// It was as wanted already; nothing was sent.
    Unchanged,
}

/// Brings a job to what a definition says.
///
/// # Errors
/// The server refuses it (with the places of the file where they are known), or does not answer.
pub(crate) async fn submit(cron: &Service, definition: &Definition) -> Result<Outcome, Failure> {
    let before = stored(cron, &definition.id).await?;
    let changed = match &before {
        None => Vec::new(),
        Some(before) => {
            let changed = fields::changed(before, &definition.value);
            if changed.is_empty() {
                return Ok(Outcome::Unchanged);
            }
            changed.into_iter().map(|change| change.field).collect()
        }
    };
    put(cron, definition).await?;
    Ok(match before {
        None => Outcome::Created,
        Some(_) => Outcome::Changed(changed),
    })
}

/// What a definition would change.
pub(crate) struct Differences {
    /// Whether it would change something.
    pub(crate) any: bool,
    /// For people.
    pub(crate) text: String,
    /// For programs.
    pub(crate) object: Value,
}

/// The difference between a definition and the job that is there.
///
/// # Errors
/// The server does not answer.
pub(crate) async fn differences(cron: &Service, definition: &Definition) -> Result<Differences, Failure> {
    let before = stored(cron, &definition.id).await?;
    let id = &definition.id;
    let changes = before
        .as_ref()
        .map_or(Vec::new(), |before| fields::changed(before, &definition.value));
    let (change, text) = match (&before, changes.is_empty()) {
        (None, _) => ("created", format!("+ job {id}\n")),
        (Some(_), true) => ("unchanged", format!("= job {id}     unchanged\n")),
        (Some(_), false) => ("changed", fields::shown(id, &changes)),
    };
    Ok(Differences {
        any: change != "unchanged",
        text,
        object: json!({
            "kind": "diff", "schema": 1, "type": "job", "id": id, "change": change,
            "fields": changes.iter().map(fields::Change::object).collect::<Vec<_>>(),
        }),
    })
}

/// Why a job does not run, printed.
///
/// # Errors
/// There is no such job, or the server does not answer.
pub(crate) async fn why(global: &Global, name: &str) -> Result<u8, Failure> {
    why::run(global, name).await
}

/// Sends a definition: creates the job or replaces it.
///
/// # Errors
/// As [`submit`].
pub(crate) async fn put(cron: &Service, definition: &Definition) -> Result<(), Failure> {
    let answer = send(cron, &definition.value).await?;
    if answer.status.is_success() {
        return Ok(());
    }
    let failure = refusal(&answer);
    if answer.status.as_u16() == 400 {
        return Err(definition.objections(&[(blamed(&failure.what), failure.what)]));
    }
    Err(failure)
}

/// The field a refusal is about, as far as its text names one of the definition's.
fn blamed(text: &str) -> String {
    let known = [
        "scheduleTimeZone",
        "schedule",
        "parents",
        "command",
        "name",
        "container.image",
        "constraints",
    ];
    let named = known.into_iter().find(|field| text.contains(field));
    named.map_or(String::new(), |field| format!("/{}", field.replace('.', "/")))
}

/// Creates or replaces a job from its JSON; dependents have an endpoint of their own.
async fn send(cron: &Service, value: &Value) -> Result<Answer, Failure> {
    let path = if list(value, "parents").is_empty() {
        "/v1/scheduler/iso8601"
    } else {
        "/v1/scheduler/dependency"
    };
    cron.send(Method::POST, path, Some(value)).await
}

/// Whether there is a job of this name.
///
/// # Errors
/// The server does not answer.
pub(crate) async fn is_there(cron: &Service, name: &str) -> Result<bool, Failure> {
    Ok(stored(cron, name).await?.is_some())
}

/// A job's definition as it would be sent again: as served, with the schedule as it once was sent. `None` when there is
/// no such job.
async fn stored(cron: &Service, name: &str) -> Result<Option<Value>, Failure> {
    let name = encoded(name);
    let answer = cron
        .send(Method::GET, &format!("/v1/scheduler/job/{name}"), None)
        .await?;
    if is_not_found(&answer) {
        return Ok(None);
    }
    let mut job = cron.json(&answer)?;
    let row = cron.get(&format!("/v1/scheduler/overview/{name}")).await?;
    let schedule = string(&row, &["schedule"]);
    if let Some(job) = job.as_object_mut().filter(|_| !schedule.is_empty()) {
        job.insert("schedule".to_owned(), schedule.into());
    }
    Ok(Some(job))
}

/// Chronos answers 400 for an unknown job.
fn is_not_found(answer: &Answer) -> bool {
    matches!(answer.status.as_u16(), 400 | 404)
        && String::from_utf8_lossy(&answer.body)
            .to_ascii_lowercase()
            .contains("not found")
}

async fn find(global: &Global) -> Result<Service, Failure> {
    Service::find(global, Kind::Cron).await
}

/// A read about a job that must be there.
async fn asked(cron: &Service, path: &str, name: &str) -> Result<Value, Failure> {
    let answer = cron.send(Method::GET, path, None).await?;
    if is_not_found(&answer) {
        return Err(no_such(cron, name).await);
    }
    cron.json(&answer)
}

/// A change of a job that must be there.
async fn told(
    cron: &Service,
    method: Method,
    path: &str,
    body: Option<&Value>,
    name: &str,
) -> Result<Answer, Failure> {
    let answer = cron.send(method, path, body).await?;
    if is_not_found(&answer) {
        return Err(no_such(cron, name).await);
    }
    if !answer.status.is_success() {
        return Err(refusal(&answer));
    }
    Ok(answer)
}

/// Says that there is no such job, and which one may have been meant.
async fn no_such(cron: &Service, name: &str) -> Failure {
    let failure = Failure::new("not-found", exit::NOT_FOUND, format!("there is no job '{name}'"));
    let Ok(rows) = overview(cron).await else {
        return failure.fix("meseta job list");
    };
    let names = rows.iter().map(|row| string(row, &["name"]));
    match nearest(name, names) {
        Some(meant) => failure.fix(format!("did you mean {meant}? · meseta job list")),
        None => failure.fix("meseta job list"),
    }
}

fn no_name() -> Failure {
    Failure::new("no-name", exit::USAGE, "which job?").fix("meseta job list")
}

async fn overview(cron: &Service) -> Result<Vec<Value>, Failure> {
    let answer = cron.get("/v1/scheduler/jobs/overview").await?;
    Ok(list(&answer, "jobs").to_vec())
}

/// A name as a part of a path.
pub(crate) fn encoded(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(byte.into()),
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

const COLUMNS: [Column; 9] = [
    output::text("NAME"),
    output::text("SCHEDULE"),
    output::text("NEXT"),
    output::text("LAST"),
    output::number("TOOK"),
    output::text("STATE"),
    output::text("ZONE").wide(),
    output::text("OWNER").wide(),
    output::text("COMMAND").wide(),
];

async fn list_jobs(global: &Global, args: &ListArgs) -> Result<u8, Failure> {
    output::show(global, async || jobs_asked_for(global, args).await).await
}

async fn jobs_asked_for(global: &Global, args: &ListArgs) -> Result<List, Failure> {
    let cron = find(global).await?;
    let now = Timestamp::now();
    let rows = overview(&cron).await?;
    let kept = rows.into_iter().filter(|row| is_asked_for(row, args, now));
    Ok(List {
        columns: COLUMNS.to_vec(),
        rows: kept.map(|row| (cells(&row, now), row)).collect(),
        empty: if args.due.is_some() || args.failed || args.disabled {
            "no such jobs; all of them: meseta job list"
        } else {
            "no jobs; create one: meseta job create --name hello --schedule '*/5 * * * *' --cmd 'echo hello'"
        },
    })
}

fn is_asked_for(row: &Value, args: &ListArgs, now: Timestamp) -> bool {
    let due_in = words::time(string(row, &["next"])).map(|at| at.duration_since(now).as_secs_f64());
    let is_due = args
        .due
        .is_none_or(|limit| due_in.is_some_and(|seconds| seconds <= limit.as_secs_f64()));
    let result = string(row, &["lastRun", "result"]);
    let failed = !matches!(result, "" | "success" | "running" | "starting");
    let disabled = row.get("disabled").and_then(Value::as_bool) == Some(true);
    is_due && (!args.failed || failed) && (!args.disabled || disabled)
}

fn cells(row: &Value, now: Timestamp) -> Vec<Cell> {
    let text = |name: &str| string(row, &[name]).to_owned();
    cells![
        text("name"),
        words::short_schedule(row),
        words::next(row, now),
        words::last(row, now),
        words::took(number(row, &["lastRun", "tookMillis"])),
        state(row),
        text("scheduleTimeZone"),
        text("owner"),
        text("command"),
    ]
}

fn state(row: &Value) -> String {
    let disabled = row.get("disabled").and_then(Value::as_bool) == Some(true);
    let running = number(row, &["running"]).unwrap_or(0.0);
    match string(row, &["state"]) {
        "running" if running > 1.0 => format!("running:{running}"),
        "idle" | "" if disabled => "disabled".to_owned(),
        other => other.to_owned(),
    }
}

async fn show(global: &Global, name: &str) -> Result<u8, Failure> {
    let cron = find(global).await?;
    let job = asked(&cron, &format!("/v1/scheduler/job/{}", encoded(name)), name).await?;
    if let Some(text) = output::for_programs(global, &job, name)? {
        return Ok(output::print(&text).err().unwrap_or(0));
    }
    let row = asked(&cron, &format!("/v1/scheduler/overview/{}", encoded(name)), name).await?;
    let path = format!("/v1/scheduler/history/{}?limit={RUNS_SHOWN}", encoded(name));
    let history = asked(&cron, &path, name).await?;
    let mut text = summary(&job, &row);
    let runs = runs::table(list(&history, "runs"), Timestamp::now());
    if !runs.rows.is_empty() {
        let _ = write!(text, "\n{}", runs.part(&Style::part(global)));
    }
    Ok(output::print(&text).err().unwrap_or(0))
}

fn summary(job: &Value, row: &Value) -> String {
    let zone_name = string(row, &["scheduleTimeZone"]);
    let zone = next::zone_of(zone_name);
    let at = |name: &str| {
        let time = words::time(string(row, &[name]));
        time.map_or(String::new(), |at| words::moment(at, &zone, zone_name))
    };
    let amount = |name: &str| number(job, &[name]).unwrap_or(0.0);
    let count = |name: &str| number(row, &[name]).map_or(String::new(), |n| n.to_string());
    block(&[
        ("name", string(job, &["name"]).to_owned()),
        ("state", state(row)),
        ("schedule", words::schedule(row)),
        ("as sent", string(row, &["schedule"]).to_owned()),
        ("next", at("next")),
        ("command", string(job, &["command"]).to_owned()),
        ("image", string(job, &["container", "image"]).to_owned()),
        (
            "resources",
            format!(
                "{} cpus, {}, {} disk",
                cores(amount("cpus")),
                mebibytes(amount("mem")),
                mebibytes(amount("disk"))
            ),
        ),
        ("user", string(job, &["runAsUser"]).to_owned()),
        ("owner", string(row, &["owner"]).to_owned()),
        ("retries", count("retries")),
        ("epsilon", string(row, &["epsilon"]).to_owned()),
        ("succeeded", count("successCount")),
        ("failed", count("errorCount")),
        ("about", string(job, &["description"]).to_owned()),
    ])
}

/// What a change did, for people on standard error and for programs on standard output.
fn say(global: &Global, name: &str, done: &str) -> Result<u8, Failure> {
    let text = match global.format() {
        Format::Json | Format::Jsonl => format!(
            "{}\n",
            json!({"kind": "job-change", "schema": 1, "job": name, "done": done})
        ),
        Format::Name => format!("{name}\n"),
        _ => {
            eprintln!("{done} {name}");
            return Ok(0);
        }
    };
    Ok(output::print(&text).err().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Value {
        json!({
            "name": "report", "schedule": "30 2 * * *", "scheduleTimeZone": "Europe/Paris", "parents": [],
            "disabled": false, "state": "idle", "running": 0, "owner": "ops@example.org", "command": "./report",
            "next": "2026-03-28T01:30:00.000Z",
            "lastRun": {"result": "failed", "endTimestamp": "2026-03-27T22:00:00.000Z", "tookMillis": 4230},
        })
    }

    fn now() -> Timestamp {
        "2026-03-28T00:00:00Z".parse().unwrap_or_default()
    }

    #[test]
    fn a_row_tells_what_runs_when_and_what_came_of_it() {
        assert_eq!(
            cells(&row(), now())[..6],
            ["report", "30_2_*_*_*", "in-1h30m", "failed:2h", "4.2s", "idle"]
        );
        let mut disabled = row();
        disabled["disabled"] = true.into();
        assert_eq!(state(&disabled), "disabled");
        assert_eq!(state(&json!({"state": "running", "running": 2})), "running:2");
    }

    #[test]
    fn a_list_is_narrowed_by_what_is_due_failed_or_disabled() {
        let asked = |due: Option<u64>, failed, disabled| {
            let due = due.map(std::time::Duration::from_secs);
            is_asked_for(
                &row(),
                &ListArgs {
                    due,
                    failed,
                    disabled,
                },
                now(),
            )
        };
        assert!(asked(None, false, false) && asked(None, true, false) && asked(Some(6_000), false, false));
        assert!(!asked(Some(60), false, false) && !asked(None, false, true));
    }

    #[test]
    fn names_are_encoded_for_paths() {
        assert_eq!(encoded("a b/ü"), "a%20b%2F%C3%BC");
        assert_eq!(encoded("clock-1.x_~"), "clock-1.x_~");
    }

    #[test]
    fn a_refusal_is_put_at_the_field_it_names() {
        assert_eq!(blamed("Cannot parse schedule 'x'"), "/schedule");
        assert_eq!(blamed("Cannot parse scheduleTimeZone"), "/scheduleTimeZone");
        assert_eq!(blamed("no room"), "");
    }
}
