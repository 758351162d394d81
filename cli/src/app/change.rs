//! How one app is changed: what is asked for, shown before, said, and waited for.

use super::client::{Apps, Ask, Dated, Started, seconds, short_deployment};
use super::diff::{self, Difference};
use super::list::count;
use super::wait::{Targets, Watch};
use crate::api::Leader;
use crate::args::{Changing, Global};
use crate::cluster::{Cluster, masters, string};
use crate::definition::Definition;
use crate::failure::{Failure, exit};
use crate::output::{self, Format};
use crate::text::plural;
use http::Method;
use meseta_service_core::app::AppId;
use serde_json::{Value, json};

/// A change that is ready to be asked for.
pub(super) struct Planned<'a> {
    pub(super) ask: Ask<'a>,
    /// What its body was read from.
    pub(super) told: Option<&'a Definition>,
    /// What it is about: `/web`.
    pub(super) id: String,
    /// What is said of it: `3 → 5 instances`.
    pub(super) said: String,
    /// What its deployment leads to.
    pub(super) targets: fn(&[AppId], &Started) -> Targets,
    pub(super) apps: Vec<AppId>,
}

/// The apps are there afterwards, at the deployment's version.
pub(super) fn to_version(apps: &[AppId], started: &Started) -> Targets {
    apps.iter()
        .map(|id| (id.clone(), Some(started.version.clone())))
        .collect()
}

/// Asks for it and waits for its end; `-d` only asks.
pub(super) async fn carry_out(
    global: &Global,
    changing: Changing,
    apps: &Apps,
    planned: &Planned<'_>,
) -> Result<u8, Failure> {
    let watch = match changing.detach {
        true => None,
        false => Some(Watch::begin(apps).await),
    };
    let started = apps.change(&planned.ask, planned.told).await?;
    say(global, changing, planned, &started)?;
    match watch {
        Some(watch) if !started.deployment.is_empty() => {
            let targets = (planned.targets)(&planned.apps, &started);
            watch.until_end(global, apps, &started.deployment, &targets).await
        }
        _ => Ok(0),
    }
}

/// Standard output has the change, or with `-d` the deployment's id.
fn say(global: &Global, changing: Changing, planned: &Planned<'_>, started: &Started) -> Result<(), Failure> {
    let line = format!("{} {}", planned.id, planned.said);
    let text = match global.format() {
        Format::Json | Format::Jsonl => {
            let object = json!({
                "kind": "change", "schema": 1, "id": planned.id, "change": planned.said,
                "deployment": started.deployment, "version": started.version,
            });
            format!("{object}\n")
        }
        _ if changing.detach => {
            if !global.quiet {
                let short = short_deployment(&started.deployment);
                eprintln!("{line}; watch: meseta deployment watch {short}");
            }
            format!("{}\n", started.deployment)
        }
        Format::Name => format!("{}\n", planned.id),
        _ => format!("{line}\n"),
    };
    // A reader that is gone does not undo the change, which is to be waited for all the same.
    let _ = output::print(&text);
    Ok(())
}

/// Already so.
pub(super) fn nothing_to_do(global: &Global, id: &AppId, why: &str) -> Result<u8, Failure> {
    let text = match global.format() {
        Format::Json | Format::Jsonl => {
            let object = json!({
                "kind": "change", "schema": 1, "id": id.as_str(), "change": "unchanged", "deployment": null,
                "version": null,
            });
            format!("{object}\n")
        }
        Format::Name => format!("{id}\n"),
        _ => {
            eprintln!("{id} {why}; nothing to do");
            return Ok(0);
        }
    };
    Ok(output::print(&text).err().unwrap_or(0))
}

pub(super) fn put<'a>(id: &'a AppId, body: Value, force: bool, word: &'static str) -> Ask<'a> {
    Ask {
        method: Method::PUT,
        path: format!("/v2/apps{id}"),
        body: Some(body),
        force,
        app: Some(id),
        word,
    }
}

/// That an app is still at the version a change was based on. Asked just before the change: the API has no condition.
pub(super) fn check_version(id: &AppId, current: &Value, wanted: Option<&str>) -> Result<(), Failure> {
    let Some(wanted) = wanted else { return Ok(()) };
    let now = string(current, &["version"]);
    let Some(at) = seconds(wanted) else {
        let what = format!("--if-version: '{wanted}' is no version");
        return Err(Failure::new("bad-version", exit::USAGE, what).fix(format!("meseta app versions {id}")));
    };
    if seconds(now) == Some(at) {
        return Ok(());
    }
    let what = format!("{id} is at {now}, your change was based on {wanted}");
    Err(Failure::new("changed-meanwhile", exit::REFUSED, what)
        .fix("see what differs: meseta diff FILE, then apply with the new --if-version"))
}

/// What a body changes, as the server would see it.
pub(super) async fn difference(
    apps: &Apps,
    id: &AppId,
    current: Option<&Dated<Value>>,
    body: &Value,
    whole: bool,
    told: Option<&Definition>,
) -> Result<Difference, Failure> {
    let info = apps.info().await?;
    let rules = diff::rules(&info);
    diff::of(id, current.map(|c| &c.value), body, whole, &rules).map_err(|invalid| {
        let each = invalid
            .details
            .iter()
            .flat_map(|d| d.errors.iter().map(move |e| (d.path.clone(), e.clone())));
        let found: Vec<(String, String)> = each.collect();
        match told {
            Some(told) => told.objections(&found),
            None => {
                let what = format!("{id}: {}, nothing was changed", plural(found.len(), "problem"));
                let start = Failure::new("invalid-app", exit::REFUSED, what);
                found
                    .iter()
                    .fold(start, |sum, (path, text)| sum.detail(format!("{path}  {text}")))
            }
        }
    })
}

/// `--dry-run`: what would change, and whether it would fit.
pub(super) async fn dry_run(
    global: &Global,
    apps: &Apps,
    id: &AppId,
    body: &Value,
    whole: bool,
    told: Option<&Definition>,
) -> Result<u8, Failure> {
    let current = apps.get(id).await?;
    let difference = difference(apps, id, current.as_ref(), body, whole, told).await?;
    let running = current.map_or(0, |c| count(&c.value, "tasksRunning"));
    let cluster = cluster(global).await;
    let text = match global.format() {
        Format::Json | Format::Jsonl => format!("{}\n", object(&difference, running, cluster.as_ref())),
        Format::Name => format!("{}\n", difference.names()),
        _ => diff::text(&difference, running, cluster.as_ref(), told.map(Definition::file)),
    };
    Ok(output::print(&text).err().unwrap_or(0))
}

/// The master's view, if it can be had: only "would fit" needs it.
pub(super) async fn cluster(global: &Global) -> Option<Cluster> {
    let leader = Leader::find(&masters(global).ok()?).await.ok()?;
    Cluster::read(&leader).await.ok()
}

/// For programs.
pub(super) fn object(difference: &Difference, running: u64, cluster: Option<&Cluster>) -> Value {
    let fields: Vec<Value> = difference
        .fields
        .iter()
        .map(|f| json!({"field": f.path, "from": f.from, "to": f.to}))
        .collect();
    json!({
        "kind": "diff",
        "schema": 1,
        "id": difference.id,
        "change": if difference.is_new { "created" } else if difference.is_none() { "unchanged" } else { "changed" },
        "fields": fields,
        "effect": if difference.is_none() { "changes nothing".to_owned() } else { diff::effect(difference, running) },
        "fit": cluster.and_then(|c| diff::fit(difference, c, running)),
        "version": difference.version,
    })
}

/// ` in context prod`, in questions.
pub(super) fn context(global: &Global) -> String {
    global
        .master
        .as_ref()
        .map_or(String::new(), |master| format!(" (master {master})"))
}

/// Does something with several; one that fails does not keep the others from being tried.
pub(super) async fn each<T>(
    all: &[T],
    word: &str,
    mut with: impl AsyncFnMut(&T) -> Result<u8, Failure>,
) -> Result<u8, Failure> {
    let mut failures: Vec<Failure> = Vec::new();
    for one in all {
        match with(one).await {
            Ok(0) => {}
            Ok(code) => return Ok(code),
            Err(failure) => failures.push(failure),
        }
    }
    match (failures.len(), all.len()) {
        (0, _) => Ok(0),
        (1, 1) => Err(failures.remove(0)),
        (failed, all) => {
            let what = format!("{failed} of {all} were not {word}");
            let start = Failure::new("some-failed", exit::SOME_FAILED, what);
            Err(failures.into_iter().fold(start, |sum, f| sum.detail(f.what)))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_change_based_on_an_old_version_is_refused() {
        let id = AppId::recorded("/web");
        let current = json!({"version": "2026-11-21T12:07:55.102Z"});
        assert!(check_version(&id, &current, None).is_ok());
        assert!(check_version(&id, &current, Some("2026-11-21T12:07:55.102Z")).is_ok());
        let stale = check_version(&id, &current, Some("2026-11-21T12:04:31.220Z")).unwrap_err();
        assert_eq!((stale.code, stale.exit), ("changed-meanwhile", exit::REFUSED));
        assert_eq!(
            check_version(&id, &current, Some("x")).unwrap_err().exit,
            exit::USAGE
        );
    }
}
