//! The verbs that change one app: ask, show what it does, carry out, wait.

use super::args::{CreateArgs, Fields, UpdateArgs};
use super::client::{Apps, Ask, Dated, Started, id_of, seconds, short_deployment};
use super::diff::{self, Difference};
use super::list::count;
use super::wait::{Targets, Watch};
use crate::api::Leader;
use crate::args::{Changing, Global};
use crate::ask;
use crate::cluster::{Cluster, masters, string};
use crate::definition::{self, Definition, Kind};
use crate::failure::{Failure, exit};
use crate::output::{self, Format};
use crate::text::plural;
use http::Method;
use meseta_service_core::app::AppId;
use serde_json::{Value, json};
use std::path::PathBuf;

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

/// The apps are gone afterwards.
fn to_nothing(apps: &[AppId], _: &Started) -> Targets {
    apps.iter().map(|id| (id.clone(), None)).collect()
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
fn nothing_to_do(global: &Global, id: &AppId, why: &str) -> Result<u8, Failure> {
    if !global.quiet {
        eprintln!("{id} {why}; nothing to do");
    }
    Ok(0)
}

fn put<'a>(id: &'a AppId, body: Value, force: bool, word: &'static str) -> Ask<'a> {
    Ask {
        method: Method::PUT,
        path: format!("/v2/apps{id}"),
        body: Some(body),
        force,
        app: Some(id),
        word,
    }
}

/// What flags say, laid over a definition.
fn lay_fields(value: &mut Value, fields: &Fields) {
    let mut set = |name: &str, to: Option<Value>| {
        if let Some(to) = to {
            value[name] = to;
        }
    };
    set("cmd", fields.cmd.as_ref().map(|t| json!(t)));
    set("cpus", fields.cpus.map(|n| json!(n)));
    set("mem", fields.mem.map(|n| json!(n)));
    set("instances", fields.instances.map(|n| json!(n)));
    if let Some(image) = &fields.image {
        value["container"]["type"] = json!("DOCKER");
        value["container"]["docker"]["image"] = json!(image);
    }
    for (name, to) in &fields.env {
        value["env"][name.as_str()] = json!(to);
    }
    for (name, to) in &fields.label {
        value["labels"][name.as_str()] = json!(to);
    }
}

/// `app create`.
pub(super) async fn create(global: &Global, args: &CreateArgs) -> Result<u8, Failure> {
    let file = args.file.as_ref().or(args.file_flag.as_ref());
    let mut told = match file {
        Some(file) => Some(one_app(file)?),
        None => None,
    };
    let mut value = told.as_ref().map_or_else(|| json!({}), |d| d.value.clone());
    if let Some(id) = &args.id {
        value["id"] = json!(id_of(id)?.as_str());
    }
    lay_fields(&mut value, &args.fields);
    let Some(id) = value.get("id").and_then(Value::as_str) else {
        return Err(
            Failure::new("no-id", exit::USAGE, "an app needs an id").fix("--id NAME, or a file that has one")
        );
    };
    let id = id_of(id)?;
    if let Some(told) = &mut told {
        told.value = value.clone();
    }
    let apps = Apps::find(global).await?;
    if args.changing.dry_run {
        if apps.get(&id).await?.is_some() {
            let what = format!("{id} is there already");
            return Err(
                Failure::new("already-exists", exit::REFUSED, what).fix(format!("meseta app update {id}"))
            );
        }
        return dry_run(global, &apps, &id, &value, true, told.as_ref()).await;
    }
    let planned = Planned {
        ask: Ask {
            method: Method::POST,
            path: "/v2/apps".to_owned(),
            body: Some(value),
            force: args.changing.force,
            app: Some(&id),
            word: "create",
        },
        told: told.as_ref(),
        id: id.to_string(),
        said: "created".to_owned(),
        targets: to_version,
        apps: vec![id.clone()],
    };
    carry_out(global, args.changing, &apps, &planned).await
}

/// The one app a file describes.
fn one_app(file: &PathBuf) -> Result<Definition, Failure> {
    let mut found = definition::read(std::slice::from_ref(file))?;
    match (found.len(), found.pop()) {
        (1, Some(app)) if app.kind == Kind::App => Ok(app),
        _ => {
            let what = format!("{} must describe one app", file.display());
            Err(Failure::new("invalid-file", exit::REFUSED, what).fix("several, and jobs: meseta apply FILE"))
        }
    }
}

/// `FIELD=VALUE` laid over a body; dots lead into objects, values are JSON or else text.
pub(super) fn lay_pair(body: &mut Value, text: &str) -> Result<(), Failure> {
    let (path, value) = text.split_once('=').unwrap_or((text, ""));
    let value: Value = serde_json::from_str(value).unwrap_or_else(|_| json!(value));
    let mut at = &mut *body;
    let mut segments = path.split('.').peekable();
    while let Some(segment) = segments.next() {
        let Some(members) = at.as_object_mut().filter(|_| !segment.is_empty()) else {
            let what = format!("'{path}' names no field that could be set");
            return Err(Failure::new("bad-field", exit::USAGE, what)
                .fix("FIELD=VALUE, for example cpus=0.5 or env.MODE=fast"));
        };
        // The rest of an environment variable's name or a label's key may have dots.
        let rest_is_key = matches!(segment, "env" | "labels");
        at = members.entry(segment).or_insert_with(|| json!({}));
        if rest_is_key && segments.peek().is_some() {
            let key: Vec<&str> = segments.by_ref().collect();
            let text = match value {
                Value::String(text) => text,
                other => other.to_string(),
            };
            at[key.join(".")] = json!(text);
            return Ok(());
        }
    }
    *at = value;
    Ok(())
}

/// The fields that are to be changed: of a file, of `FIELD=VALUE`, of flags. Objects are completed from what is there,
/// since an update replaces them whole.
fn wanted(args: &UpdateArgs, current: &Value) -> Result<Value, Failure> {
    let (pairs, files): (Vec<&String>, Vec<&String>) = args.changes.iter().partition(|c| c.contains('='));
    let mut body = json!({});
    let files = files.into_iter().map(PathBuf::from).chain(args.file_flag.clone());
    for file in files {
        let source = definition::sources(std::slice::from_ref(&file))?;
        for source in source {
            let value: Value = serde_json::from_str(&source.text)
                .map_err(|e| Failure::new("invalid-json", exit::REFUSED, format!("{}: {e}", source.name)))?;
            let Value::Object(members) = value else {
                let what = format!("{} is no object of fields", source.name);
                return Err(Failure::new("invalid-file", exit::REFUSED, what));
            };
            for (name, value) in members {
                body[name] = value;
            }
        }
    }
    // What is set inside an object must not lose its other members.
    let inside = |name: &str| -> bool {
        let by_flag = match name {
            "env" => !args.fields.env.is_empty(),
            "labels" => !args.fields.label.is_empty(),
            "container" => args.fields.image.is_some(),
            _ => false,
        };
        by_flag
            || pairs.iter().any(|p| {
                p.split_once('=')
                    .is_some_and(|(path, _)| path.split_once('.').is_some_and(|(first, _)| first == name))
            })
    };
    for (name, value) in current.as_object().into_iter().flatten() {
        if value.is_object() && inside(name) && body.get(name).is_none() {
            body[name] = value.clone();
        }
    }
    for pair in &pairs {
        lay_pair(&mut body, pair)?;
    }
    lay_fields(&mut body, &args.fields);
    match body.as_object().is_some_and(|members| members.is_empty()) {
        true => Err(
            Failure::new("nothing-asked", exit::USAGE, "no change is asked for")
                .fix("FIELD=VALUE, a file, or a flag such as --cpus"),
        ),
        false => Ok(body),
    }
}

/// `app update`.
pub(super) async fn update(global: &Global, args: &UpdateArgs) -> Result<u8, Failure> {
    let id = id_of(&args.id)?;
    let apps = Apps::find(global).await?;
    let current = apps.app(&id).await?;
    check_version(&id, &current.value, args.if_version.as_deref())?;
    let body = wanted(args, &current.value)?;
    for warning in definition::misspelt(&body)? {
        eprint!("{warning}");
    }
    if args.changing.dry_run {
        return dry_run(global, &apps, &id, &body, false, None).await;
    }
    let difference = difference(&apps, &id, Some(&current), &body, false, None).await?;
    if difference.is_none() {
        return nothing_to_do(global, &id, "is so already");
    }
    let planned = Planned {
        ask: put(&id, body, args.changing.force, "update"),
        told: None,
        id: id.to_string(),
        said: format!("changed ({})", difference.names()),
        targets: to_version,
        apps: vec![id.clone()],
    };
    carry_out(global, args.changing, &apps, &planned).await
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

/// The fields of `wanted` whose values are not those of `stored`.
pub(super) fn each_field(stored: &Value, wanted: &Value) -> Vec<String> {
    let members = wanted.as_object().into_iter().flatten();
    let differing = members.filter(|(name, value)| {
        let mut found = Vec::new();
        diff::compare(name, stored.get(*name).unwrap_or(&Value::Null), value, &mut found);
        !found.is_empty() && !(value.is_null() && stored.get(*name).is_none())
    });
    differing.map(|(name, _)| name.clone()).collect()
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

/// `app scale ID N|+N|-N`.
pub(super) async fn scale(global: &Global, id: &str, text: &str, changing: Changing) -> Result<u8, Failure> {
    let id = id_of(id)?;
    let apps = Apps::find(global).await?;
    let current = apps.app(&id).await?;
    let now = count(&current.value, "instances");
    scale_to(global, &apps, &id, now, counted(text, now)?, changing).await
}

/// `5`, `+2`, `-1`.
pub(super) fn counted(text: &str, now: u64) -> Result<u64, Failure> {
    let wrong = || {
        let what = format!("'{text}' is no number of instances");
        Failure::new("bad-count", exit::USAGE, what).fix("a number from 0, or +2, or -1")
    };
    let number = |digits: &str| match digits.bytes().all(|b| b.is_ascii_digit()) {
        true => digits.parse::<u32>().map(u64::from).map_err(|_| wrong()),
        false => Err(wrong()),
    };
    match (text.strip_prefix('+'), text.strip_prefix('-')) {
        (Some(more), _) => Ok(now + number(more)?),
        (_, Some(less)) => now.checked_sub(number(less)?).ok_or_else(|| {
            let what = format!("{text} is more than there are: {now} instances are wanted now");
            Failure::new("bad-count", exit::REFUSED, what).fix("meseta app suspend stops all")
        }),
        _ => number(text),
    }
}

async fn scale_to(
    global: &Global,
    apps: &Apps,
    id: &AppId,
    now: u64,
    to: u64,
    changing: Changing,
) -> Result<u8, Failure> {
    if now == to {
        return nothing_to_do(
            global,
            id,
            &format!(
                "wants {} already",
                plural(usize::try_from(to).unwrap_or(0), "instance")
            ),
        );
    }
    let body = json!({"instances": to});
    if changing.dry_run {
        return dry_run(global, apps, id, &body, false, None).await;
    }
    if to == 0 {
        let running = plural(usize::try_from(now).unwrap_or(0), "instance");
        ask::yes_or_no(global, &format!("stop all {running} of {id}{}?", context(global)))?;
    }
    let planned = Planned {
        ask: put(id, body, changing.force, "scale"),
        told: None,
        id: id.to_string(),
        said: format!("{now} → {to} instances"),
        targets: to_version,
        apps: vec![id.clone()],
    };
    carry_out(global, changing, apps, &planned).await
}

/// ` in context prod`, in questions.
fn context(global: &Global) -> String {
    global
        .master
        .as_ref()
        .map_or(String::new(), |master| format!(" (master {master})"))
}

/// `app restart ID...`.
pub(super) async fn restart(global: &Global, id: &str, changing: Changing) -> Result<u8, Failure> {
    let id = id_of(id)?;
    let apps = Apps::find(global).await?;
    if changing.dry_run {
        let app = apps.app(&id).await?;
        let running = count(&app.value, "tasksRunning");
        let text = format!(
            "~ {id}     replaces {}\n",
            plural(usize::try_from(running).unwrap_or(0), "instance")
        );
        return Ok(output::print(&text).err().unwrap_or(0));
    }
    let planned = Planned {
        ask: Ask {
            method: Method::POST,
            path: format!("/v2/apps{id}/restart"),
            body: None,
            force: changing.force,
            app: Some(&id),
            word: "restart",
        },
        told: None,
        id: id.to_string(),
        said: "restarted".to_owned(),
        targets: to_version,
        apps: vec![id.clone()],
    };
    carry_out(global, changing, &apps, &planned).await
}

/// `app suspend ID...`.
pub(super) async fn suspend(global: &Global, id: &str, changing: Changing) -> Result<u8, Failure> {
    scale(global, id, "0", changing).await
}

/// `app resume ID [N]`: as many as the newest version with any.
pub(super) async fn resume(
    global: &Global,
    id: &str,
    to: Option<u32>,
    changing: Changing,
) -> Result<u8, Failure> {
    let id = id_of(id)?;
    let apps = Apps::find(global).await?;
    let current = apps.app(&id).await?;
    let now = count(&current.value, "instances");
    if let Some(to) = to {
        return scale_to(global, &apps, &id, now, u64::from(to), changing).await;
    }
    if now > 0 {
        return nothing_to_do(
            global,
            &id,
            &format!("is not suspended ({now} instances are wanted)"),
        );
    }
    for version in apps.versions(&id).await? {
        let had = count(&apps.version(&id, &version).await?, "instances");
        if had > 0 {
            return scale_to(global, &apps, &id, now, had, changing).await;
        }
    }
    let what = format!("no version of {id} had any instance");
    Err(Failure::new("no-count", exit::REFUSED, what).fix(format!("meseta app resume {id} 1")))
}

/// `app rollback ID [VERSION]`.
pub(super) async fn rollback(
    global: &Global,
    id: &str,
    version: Option<&str>,
    changing: Changing,
) -> Result<u8, Failure> {
    let id = id_of(id)?;
    let apps = Apps::find(global).await?;
    let current = apps.app(&id).await?;
    let version = apps.named_version(&id, version.unwrap_or("-1")).await?;
    let old = apps.version(&id, &version).await?;
    let difference = difference(&apps, &id, Some(&current), &old, true, None).await?;
    if difference.is_none() {
        return nothing_to_do(global, &id, &format!("is as it was at {version} already"));
    }
    let running = count(&current.value, "tasksRunning");
    let shown = diff::text(&difference, running, cluster(global).await.as_ref(), None);
    if changing.dry_run {
        return Ok(output::print(&shown).err().unwrap_or(0));
    }
    if !global.quiet {
        eprint!("{shown}");
    }
    ask::yes_or_no(
        global,
        &format!("roll {id} back to {version}{}?", context(global)),
    )?;
    let planned = Planned {
        ask: put(&id, json!({"version": version}), changing.force, "rollback"),
        told: None,
        id: id.to_string(),
        said: format!("back to {version}"),
        targets: to_version,
        apps: vec![id.clone()],
    };
    carry_out(global, changing, &apps, &planned).await
}

/// `app delete ID...`.
pub(super) async fn delete(global: &Global, ids: &[String], changing: Changing) -> Result<u8, Failure> {
    let apps = Apps::find(global).await?;
    let ids = ids.iter().map(|id| id_of(id)).collect::<Result<Vec<_>, _>>()?;
    let mut said = Vec::new();
    for id in &ids {
        let app = apps.app(id).await?;
        let running = usize::try_from(count(&app.value, "tasksRunning")).unwrap_or(0);
        said.push(format!("{id} with {}", plural(running, "running instance")));
    }
    let said = said.join(", ");
    if changing.dry_run {
        return Ok(output::print(&format!("- {said}\n")).err().unwrap_or(0));
    }
    ask::yes_or_no(global, &format!("delete {said}{}?", context(global)))?;
    each(&ids, "deleted", async |id: &AppId| {
        let planned = Planned {
            ask: Ask {
                method: Method::DELETE,
                path: format!("/v2/apps{id}"),
                body: None,
                force: changing.force,
                app: Some(id),
                word: "delete",
            },
            told: None,
            id: id.to_string(),
            said: "deleted".to_owned(),
            targets: to_nothing,
            apps: vec![id.clone()],
        };
        carry_out(global, changing, &apps, &planned).await
    })
    .await
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
    fn counts_are_absolute_or_relative() {
        assert_eq!(counted("5", 3).unwrap(), 5);
        assert_eq!(counted("+2", 3).unwrap(), 5);
        assert_eq!(counted("-1", 3).unwrap(), 2);
        assert_eq!(counted("-4", 3).unwrap_err().exit, exit::REFUSED);
        for text in ["", "x", "+", "--1", "1.5"] {
            assert_eq!(counted(text, 3).unwrap_err().exit, exit::USAGE, "{text}");
        }
    }

    #[test]
    fn pairs_lead_into_objects_and_keep_dots_of_keys() {
        let mut body = json!({"env": {"A": "1"}});
        for pair in [
            "cpus=0.5",
            "env.B=2",
            "labels.a.b=c",
            "cmd=sleep 5",
            "upgradeStrategy.maximumOverCapacity=0",
        ] {
            lay_pair(&mut body, pair).unwrap();
        }
        assert_eq!(
            body,
            json!({
                "cpus": 0.5, "cmd": "sleep 5", "env": {"A": "1", "B": "2"}, "labels": {"a.b": "c"},
                "upgradeStrategy": {"maximumOverCapacity": 0},
            })
        );
        assert!(lay_pair(&mut body, "cmd.x=1").is_err());
        assert!(lay_pair(&mut body, "=1").is_err());
    }

    #[test]
    fn an_update_completes_objects_it_only_sets_a_part_of() {
        let args = UpdateArgs {
            id: "web".to_owned(),
            changes: vec!["env.B=2".to_owned(), "mem=64".to_owned()],
            file_flag: None,
            fields: Fields::default(),
            if_version: None,
            changing: Changing::default(),
        };
        let current = json!({"env": {"A": "1"}, "labels": {"x": "y"}, "mem": 32});
        assert_eq!(
            wanted(&args, &current).unwrap(),
            json!({"env": {"A": "1", "B": "2"}, "mem": 64})
        );
    }

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
