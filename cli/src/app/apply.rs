//! `apply`, `diff` and `validate`: what files describe, made so, compared, or checked.

use super::args::{ApplyArgs, DiffArgs, ValidateArgs};
use super::change::{self, Planned, check_version, to_version};
use super::client::{Apps, Ask, Dated, Started, id_of, short_deployment};
use super::diff::{self, Difference};
use super::list::count;
use super::wait::Watch;
use crate::args::{Changing, Global};
use crate::definition::{self, Definition, Kind};
use crate::failure::{Failure, exit};
use crate::output::{self, Format};
use crate::services::Service;
use http::Method;
use meseta_service_core::app::AppId;
use serde_json::{Value, json};
use std::path::PathBuf;

/// An app of a file beside what is there.
struct Compared<'a> {
    definition: &'a Definition,
    id: AppId,
    current: Option<Dated<Value>>,
    difference: Difference,
    body: Value,
}

fn files<'a>(files: &'a [PathBuf], more: &'a [PathBuf]) -> Vec<PathBuf> {
    files.iter().chain(more).cloned().collect()
}

async fn compare<'a>(apps: &Apps, definition: &'a Definition) -> Result<Compared<'a>, Failure> {
    let id = id_of(&definition.id)?;
    let current = apps.get(&id).await?;
    let difference = change::difference(
        apps,
        &id,
        current.as_ref(),
        &definition.value,
        true,
        Some(definition),
    )
    .await?;
    let mut body = diff::kept_instances(current.as_ref().map(|c| &c.value), &definition.value);
    body["id"] = json!(id.as_str());
    Ok(Compared {
        definition,
        id,
        current,
        difference,
        body,
    })
}

/// Brings an app to what a file says; `false` when it is so already.
///
/// # Errors
/// The server refuses it (with the places of the file where they are known), or does not answer.
pub(super) async fn submit(service: Service, definition: &Definition) -> Result<bool, Failure> {
    let apps = Apps::of(service);
    let compared = compare(&apps, definition).await?;
    if compared.difference.is_none() {
        return Ok(false);
    }
    apps.change(&replacing(&compared, false), Some(definition))
        .await?;
    Ok(true)
}

/// The change that makes an app what its definition says.
fn replacing<'a>(compared: &'a Compared<'_>, force: bool) -> Ask<'a> {
    Ask {
        method: Method::PUT,
        path: format!("/v2/apps{}?partialUpdate=false", compared.id),
        body: Some(compared.body.clone()),
        force,
        app: Some(&compared.id),
        word: "update",
    }
}

/// `apply FILE...`.
pub(super) async fn apply(global: &Global, args: &ApplyArgs) -> Result<u8, Failure> {
    let found = definition::read(&files(&args.files, &args.file_flag))?;
    twice(&found)?;
    let (apps, jobs): (Vec<&Definition>, Vec<&Definition>) = found.iter().partition(|d| d.kind == Kind::App);
    if args.if_version.is_some() && apps.len() != 1 {
        let what = format!("--if-version is about one app; the files have {}", apps.len());
        return Err(Failure::new("bad-flags", exit::USAGE, what));
    }
    let mut code = 0;
    if !apps.is_empty() {
        let service = Apps::find(global).await?;
        code = apply_apps(global, &service, &apps, args.if_version.as_deref(), args.changing).await?;
    }
    for job in jobs {
        let ended = super::jobs::apply(global, job, args.changing).await?;
        code = code.max(ended);
    }
    Ok(code)
}

/// The same app or job in two places: which one should count?
fn twice(found: &[Definition]) -> Result<(), Failure> {
    let mut seen = std::collections::BTreeMap::new();
    for one in found {
        if let Some(first) = seen.insert((one.kind, one.id.as_str()), one.file()) {
            let what = format!(
                "{} {} is described twice: in {first} and in {}",
                one.kind.word(),
                one.id,
                one.file()
            );
            return Err(Failure::new("given-twice", exit::REFUSED, what));
        }
    }
    Ok(())
}

/// One deployment for all that differ.
async fn apply_apps(
    global: &Global,
    apps: &Apps,
    definitions: &[&Definition],
    if_version: Option<&str>,
    changing: Changing,
) -> Result<u8, Failure> {
    let mut all = Vec::new();
    for definition in definitions {
        let compared = compare(apps, definition).await?;
        let current = compared.current.as_ref().map_or(Value::Null, |c| c.value.clone());
        check_version(&compared.id, &current, if_version)?;
        all.push(compared);
    }
    if changing.dry_run {
        return show(global, &all, false).await;
    }
    let differing: Vec<&Compared<'_>> = all.iter().filter(|c| !c.difference.is_none()).collect();
    let ids: Vec<AppId> = differing.iter().map(|c| c.id.clone()).collect();
    let planned = match differing.as_slice() {
        [] => {
            say(global, &all, None);
            return Ok(0);
        }
        [one] => Planned {
            ask: replacing(one, changing.force),
            told: Some(one.definition),
            id: one.id.to_string(),
            said: String::new(),
            targets: to_version,
            apps: ids,
        },
        several => Planned {
            ask: Ask {
                method: Method::PUT,
                path: "/v2/apps?partialUpdate=false".to_owned(),
                body: Some(several.iter().map(|c| c.body.clone()).collect()),
                force: changing.force,
                app: None,
                word: "update",
            },
            told: None,
            id: String::new(),
            said: String::new(),
            targets: to_version,
            apps: ids,
        },
    };
    let watch = match changing.detach {
        true => None,
        false => Some(Watch::begin(apps).await),
    };
    let started = apps.change(&planned.ask, planned.told).await?;
    say(global, &all, Some(&started).filter(|_| changing.detach));
    match watch {
        Some(watch) if !started.deployment.is_empty() => {
            let targets = (planned.targets)(&planned.apps, &started);
            watch.until_end(global, apps, &started.deployment, &targets).await
        }
        _ => Ok(0),
    }
}

fn word(difference: &Difference) -> &'static str {
    match (difference.is_new, difference.is_none()) {
        (true, _) => "created",
        (false, true) => "unchanged",
        (false, false) => "changed",
    }
}

/// A line per app; nobody who reads them is no reason not to go on.
fn say(global: &Global, all: &[Compared<'_>], detached: Option<&Started>) {
    let lines: String = all
        .iter()
        .map(|c| match global.format() {
            Format::Json | Format::Jsonl => {
                let fields: Vec<&str> = c.difference.fields.iter().map(|f| f.path.as_str()).collect();
                let object = json!({
                    "kind": "applied", "schema": 1, "type": "app", "id": c.id.as_str(), "change": word(&c.difference),
                    "fields": fields, "deployment": detached.map(|d| d.deployment.as_str()),
                });
                format!("{object}\n")
            }
            Format::Name => format!("{}\n", c.id),
            _ => {
                let fields = match word(&c.difference) {
                    "changed" => format!(" ({})", c.difference.names()),
                    _ => String::new(),
                };
                format!("{} app {}{fields}\n", word(&c.difference), c.id)
            }
        })
        .collect();
    let _ = output::print(&lines);
    if let Some(started) = detached.filter(|_| matches!(global.format(), Format::Table | Format::Wide)) {
        let _ = output::print(&format!("deployment {}\n", started.deployment));
        if !global.quiet {
            eprintln!(
                "watch: meseta deployment watch {}",
                short_deployment(&started.deployment)
            );
        }
    }
}

/// What would change; `true` asks for exit code 8 on differences.
async fn show(global: &Global, all: &[Compared<'_>], exit_code: bool) -> Result<u8, Failure> {
    let cluster = change::cluster(global).await;
    let running = |c: &Compared<'_>| {
        c.current
            .as_ref()
            .map_or(0, |app| count(&app.value, "tasksRunning"))
    };
    let text: String = match global.format() {
        Format::Json => {
            let objects = all
                .iter()
                .map(|c| change::object(&c.difference, running(c), cluster.as_ref()));
            format!("{}\n", Value::Array(objects.collect()))
        }
        Format::Jsonl => all
            .iter()
            .map(|c| {
                format!(
                    "{}\n",
                    change::object(&c.difference, running(c), cluster.as_ref())
                )
            })
            .collect(),
        Format::Name => {
            let differing = all.iter().filter(|c| !c.difference.is_none());
            differing.map(|c| format!("{}\n", c.id)).collect()
        }
        _ => all
            .iter()
            .map(|c| {
                diff::text(
                    &c.difference,
                    running(c),
                    cluster.as_ref(),
                    Some(c.definition.operand()),
                )
            })
            .collect(),
    };
    let differs = all.iter().any(|c| !c.difference.is_none());
    let printed = output::print(&text).err();
    Ok(printed.unwrap_or(if exit_code && differs { exit::DIFFERS } else { 0 }))
}

/// `diff FILE...`.
pub(super) async fn diff(global: &Global, args: &DiffArgs) -> Result<u8, Failure> {
    let found = definition::read(&files(&args.files, &args.file_flag))?;
    let (apps, jobs): (Vec<&Definition>, Vec<&Definition>) = found.iter().partition(|d| d.kind == Kind::App);
    let mut code = 0;
    if !apps.is_empty() {
        let service = Apps::find(global).await?;
        let mut all = Vec::new();
        for definition in apps {
            all.push(compare(&service, definition).await?);
        }
        code = show(global, &all, args.exit_code).await?;
    }
    for job in jobs {
        let differs = super::jobs::diff(global, job).await?;
        if differs && args.exit_code {
            code = exit::DIFFERS;
        }
    }
    Ok(code)
}

/// `validate FILE...`: no server is asked.
pub(super) fn validate(global: &Global, args: &ValidateArgs) -> Result<u8, Failure> {
    let sources = definition::sources(&files(&args.files, &args.file_flag))?;
    let (mut text, mut objects) = (String::new(), Vec::new());
    let mut failures = Vec::new();
    for source in &sources {
        let report = definition::parse(source);
        for found in &report.definitions {
            text.push_str(&format!(
                "{}: {} {} is valid\n",
                source.name,
                found.kind.word(),
                found.id
            ));
        }
        objects.push(json!({
            "file": source.name,
            "valid": report.problems.is_empty(),
            "defines": report.definitions.iter().map(|d| json!({"type": d.kind.word(), "id": d.id})).collect::<Vec<_>>(),
            "problems": report.problems.iter().map(definition::Problem::object).collect::<Vec<_>>(),
            "warnings": report.warnings.iter().map(definition::Problem::object).collect::<Vec<_>>(),
        }));
        if !report.problems.is_empty() {
            failures.push(definition::failure(&source.name, &report.problems));
        }
        if !is_json(global) {
            for warning in &report.warnings {
                eprint!("{}", warning.warning(&source.name));
            }
        }
    }
    let out = match global.format() {
        Format::Json => format!("{}\n", Value::Array(objects)),
        Format::Jsonl => objects.iter().map(|o| format!("{o}\n")).collect(),
        Format::Name => String::new(),
        _ => text,
    };
    if let Err(code) = output::print(&out) {
        return Ok(code);
    }
    if failures.is_empty() {
        return Ok(0);
    }
    if !is_json(global) {
        for failure in &failures {
            eprint!("{}", failure.render(false).replace(", nothing was changed", ""));
        }
    }
    Ok(exit::REFUSED)
}

fn is_json(global: &Global) -> bool {
    matches!(global.format(), Format::Json | Format::Jsonl)
}
