//! `job create`, `update`, `pause`, `resume`, `kill` and `delete`.

use super::args::{CreateArgs, DeleteArgs, NamesArgs, UpdateArgs};
use super::{encoded, fields, find, next, put, say, send, stored, told, words};
use crate::args::Global;
use crate::ask;
use crate::cluster::{list, string};
use crate::definition::{self, Definition, Kind, Source};
use crate::failure::{Failure, exit};
use crate::output::Format;
use crate::services::{Service, refusal};
use crate::text::plural;
use http::Method;
use serde_json::{Map, Value};
use std::path::PathBuf;

/// Times shown after a job was made or changed.
const TIMES_SHOWN: usize = 3;

/// Creates jobs that are not there yet.
pub(super) async fn create(global: &Global, args: &CreateArgs) -> Result<u8, Failure> {
    let definitions = definitions(args)?;
    let cron = find(global).await?;
    for definition in &definitions {
        if stored(&cron, &definition.id).await?.is_some() {
            let name = &definition.id;
            let what = format!("there is a job '{name}' already, nothing was created");
            return Err(Failure::new("already-exists", exit::REFUSED, what)
                .fix(format!("meseta job update {name} ... · meseta job delete {name}")));
        }
    }
    let mut code = 0;
    for definition in &definitions {
        if args.changing.dry_run {
            code = say(global, &definition.id, "would create")?;
            continue;
        }
        put(&cron, definition).await?;
        code = say(global, &definition.id, "created")?;
        tell_times(global, &definition.value);
        // Without a schedule of its own the one run is the schedule.
        if args.now && !runs_at_once(&definition.value) {
            let path = format!("/v1/scheduler/run/{}", encoded(&definition.id));
            let answer = told(&cron, Method::POST, &path, None, &definition.id).await?;
            let answer = cron.json(&answer)?;
            eprintln!("started {}", string(&answer, &["run"]));
        }
    }
    Ok(code)
}

/// A single run that is due as soon as the job is there.
const ONCE_NOW: &str = "R1//PT1M";

fn runs_at_once(job: &Value) -> bool {
    string(job, &["schedule"]) == ONCE_NOW
}

/// The jobs of the file, or the one that the flags describe; flags win.
fn definitions(args: &CreateArgs) -> Result<Vec<Definition>, Failure> {
    let found = match (&args.file, &args.name) {
        (Some(file), _) => definition::read(std::slice::from_ref(file))?,
        (None, Some(name)) => {
            let mut job = Map::new();
            job.insert("name".to_owned(), name.clone().into());
            args.fields.apply(&mut job);
            if args.now && !job.contains_key("schedule") {
                job.insert("schedule".to_owned(), ONCE_NOW.into());
            }
            return Ok(vec![checked(&Value::Object(job), "the flags")?]);
        }
        (None, None) => return Err(super::no_name()),
    };
    only_jobs(&found, "meseta apply FILE")?;
    let changed = found.into_iter().map(|definition| {
        let Some(job) = definition.value.as_object() else {
            return Ok(definition);
        };
        let mut job = job.clone();
        args.fields.apply(&mut job);
        if Value::Object(job.clone()) == definition.value {
            return Ok(definition);
        }
        checked(&Value::Object(job), definition.file())
    });
    changed.collect()
}

fn only_jobs(found: &[Definition], instead: &str) -> Result<(), Failure> {
    match found.iter().find(|definition| definition.kind != Kind::Job) {
        None => Ok(()),
        Some(other) => {
            let what = format!(
                "{} describes the {} {}",
                other.file(),
                other.kind.word(),
                other.id
            );
            Err(Failure::new("no-job", exit::USAGE, what).fix(instead))
        }
    }
}

/// A definition made here, by the rules of files.
pub(super) fn checked(job: &Value, name: &str) -> Result<Definition, Failure> {
    let source = Source {
        name: name.to_owned(),
        text: format!("{job:#}"),
    };
    definition::single(&source, Kind::Job)
}

/// On standard error: when it runs next.
fn tell_times(global: &Global, job: &Value) {
    if !matches!(global.format(), Format::Table | Format::Wide) {
        return;
    }
    let schedule = string(job, &["schedule"]);
    if !list(job, "parents").is_empty() {
        eprintln!("  {}", words::schedule(job));
    } else if let Ok(lines) = next::lines(schedule, string(job, &["scheduleTimeZone"]), TIMES_SHOWN) {
        for line in lines.lines() {
            eprintln!("  {line}");
        }
    }
}

/// Changes a job that is there: by a file, by pairs, by flags.
pub(super) async fn update(global: &Global, args: &UpdateArgs) -> Result<u8, Failure> {
    let cron = find(global).await?;
    let Some(before) = stored(&cron, &args.name).await? else {
        return Err(super::no_such(&cron, &args.name).await);
    };
    let mut job = before.as_object().cloned().unwrap_or_default();
    for change in &args.changes {
        if fields::assign(&mut job, change) {
            continue;
        }
        let found = definition::read(&[PathBuf::from(change)])?;
        only_jobs(&found, "meseta apply FILE")?;
        match found.as_slice() {
            [one] if one.id == args.name => {
                job = one.value.as_object().cloned().unwrap_or_default();
            }
            [other] => {
                let what = format!("{change} describes the job {}, not {}", other.id, args.name);
                return Err(Failure::new("other-job", exit::USAGE, what)
                    .fix(format!("meseta job update {} {change}", other.id)));
            }
            several => {
                let what = format!("{change} describes {}", plural(several.len(), "job"));
                return Err(
                    Failure::new("other-job", exit::USAGE, what).fix(format!("meseta apply {change}"))
                );
            }
        }
    }
    args.fields.apply(&mut job);
    let wanted = checked(&Value::Object(job), "the changed job")?;
    replace(global, &cron, &before, &wanted, args.changing.dry_run).await
}

/// Sends the new definition, if it is a new one, and tells what changed.
pub(super) async fn replace(
    global: &Global,
    cron: &Service,
    before: &Value,
    wanted: &Definition,
    dry_run: bool,
) -> Result<u8, Failure> {
    let name = &wanted.id;
    let changes = fields::changed(before, &wanted.value);
    if changes.is_empty() {
        return say(global, name, "unchanged");
    }
    if matches!(global.format(), Format::Table | Format::Wide) {
        eprint!("{}", fields::shown(name, &changes));
    }
    if dry_run {
        return say(global, name, "would change");
    }
    let answer = send(cron, &wanted.value).await?;
    if !answer.status.is_success() {
        return Err(refusal(&answer));
    }
    let code = say(global, name, "changed")?;
    if changes.iter().any(|change| change.field.starts_with("schedule")) {
        tell_times(global, &wanted.value);
    }
    Ok(code)
}

/// Disables or enables jobs without touching anything else of them.
pub(super) async fn pause(global: &Global, args: &NamesArgs, pause: bool) -> Result<u8, Failure> {
    let (verb, done) = if pause {
        ("pause", "paused")
    } else {
        ("resume", "resumed")
    };
    each(global, args, verb, done, |name| {
        (Method::PUT, format!("/v1/scheduler/{verb}/{name}"))
    })
    .await
}

/// Kills the runs that go on.
pub(super) async fn kill(global: &Global, args: &NamesArgs) -> Result<u8, Failure> {
    each(global, args, "kill the runs of", "killed the runs of", |name| {
        (Method::DELETE, format!("/v1/scheduler/task/kill/{name}"))
    })
    .await
}

async fn each(
    global: &Global,
    args: &NamesArgs,
    verb: &str,
    done: &str,
    call: impl Fn(&str) -> (Method, String),
) -> Result<u8, Failure> {
    let cron = find(global).await?;
    let mut outcomes = Vec::new();
    for name in &args.names {
        if args.dry_run {
            super::asked(&cron, &format!("/v1/scheduler/job/{}", encoded(name)), name).await?;
            outcomes.push(say(global, name, &format!("would {verb}")));
            continue;
        }
        let (method, path) = call(&encoded(name));
        let told = told(&cron, method, &path, None, name).await;
        outcomes.push(told.and_then(|_| say(global, name, done)));
    }
    all_of(outcomes)
}

/// Deletes jobs after a question that names what dies with them.
pub(super) async fn delete(global: &Global, args: &DeleteArgs) -> Result<u8, Failure> {
    let cron = find(global).await?;
    let rows = super::overview(&cron).await?;
    let mut questions = Vec::new();
    for name in &args.names {
        let Some(row) = rows.iter().find(|row| string(row, &["name"]) == name) else {
            return Err(super::no_such(&cron, name).await);
        };
        questions.push(consequences(name, row, &rows));
    }
    if args.changing.dry_run {
        for question in &questions {
            eprintln!("would delete {question}");
        }
        return Ok(0);
    }
    ask::yes_or_no(global, &format!("delete {}?", questions.join(" · ")))?;
    let mut outcomes = Vec::new();
    for name in &args.names {
        let path = format!("/v1/scheduler/job/{}", encoded(name));
        let told = told(&cron, Method::DELETE, &path, None, name).await;
        outcomes.push(told.and_then(|_| say(global, name, "deleted")));
    }
    all_of(outcomes)
}

fn consequences(name: &str, row: &Value, rows: &[Value]) -> String {
    let running = crate::cluster::number(row, &["running"]).unwrap_or(0.0) as usize;
    let after = rows
        .iter()
        .filter(|other| list(other, "parents").iter().any(|p| p.as_str() == Some(name)))
        .count();
    let mut text = format!("job {name}");
    if running > 0 {
        text.push_str(&format!(" (kills {})", plural(running, "run")));
    }
    if after > 0 {
        text.push_str(&format!(
            " ({} runs after its parents then)",
            plural(after, "job")
        ));
    }
    text
}

/// The exit code of several changes: the one of a single failure, 9 when some of several failed.
fn all_of(outcomes: Vec<Result<u8, Failure>>) -> Result<u8, Failure> {
    let count = outcomes.len();
    let mut failures = Vec::new();
    let mut code = 0;
    for outcome in outcomes {
        match outcome {
            Ok(0) => {}
            Ok(other) => code = other,
            Err(failure) => failures.push(failure),
        }
    }
    let failed = failures.len();
    match failures.into_iter().next() {
        None => Ok(code),
        Some(first) if count == 1 => Err(first),
        Some(first) => {
            let mut all = first.detail(format!("{failed} of {count} failed, the others were done"));
            if failed < count {
                all.exit = exit::SOME_FAILED;
            }
            Err(all)
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn a_question_names_what_dies_and_what_is_rewired() {
        let rows = [
            json!({"name": "a", "running": 2, "parents": []}),
            json!({"name": "b", "running": 0, "parents": ["a"]}),
        ];
        assert_eq!(
            consequences("a", &rows[0], &rows),
            "job a (kills 2 runs) (1 job runs after its parents then)"
        );
        assert_eq!(consequences("b", &rows[1], &rows), "job b");
    }

    #[test]
    fn some_of_several_that_failed_have_a_code_of_their_own() {
        let failure = || Failure::new("not-found", exit::NOT_FOUND, "there is no job 'x'");
        assert_eq!(all_of(vec![Ok(0), Ok(0)]).unwrap(), 0);
        assert_eq!(all_of(vec![Err(failure())]).unwrap_err().exit, exit::NOT_FOUND);
        assert_eq!(
            all_of(vec![Ok(0), Err(failure())]).unwrap_err().exit,
            exit::SOME_FAILED
        );
        assert_eq!(
            all_of(vec![Err(failure()), Err(failure())]).unwrap_err().exit,
            exit::NOT_FOUND
        );
    }

    #[test]
    fn flags_describe_a_job_by_the_rules_of_files() {
        let args = CreateArgs {
            file: None,
            name: Some("once".to_owned()),
            fields: super::super::args::FieldArgs {
                cmd: Some("echo hello".to_owned()),
                ..Default::default()
            },
            now: true,
            changing: Default::default(),
        };
        let made = definitions(&args).unwrap();
        assert_eq!(
            made[0].value,
            json!({"name": "once", "command": "echo hello", "schedule": "R1//PT1M"})
        );
        assert!(runs_at_once(&made[0].value));
        let mut wrong = args;
        wrong.fields.schedule = Some("0 9 * * 9".to_owned());
        assert_eq!(definitions(&wrong).unwrap_err().exit, exit::REFUSED);
    }
}
