//! `app create` and `app update`: a definition put together from files, flags and `FIELD=VALUE`.

use super::args::{CreateArgs, Fields, UpdateArgs};
use super::change::{Planned, carry_out, check_version, difference, dry_run, nothing_to_do, put, to_version};
use super::client::{Apps, Ask, id_of};
use crate::args::Global;
use crate::definition::{self, Definition, Kind};
use crate::failure::{Failure, exit};
use http::Method;
use serde_json::{Value, json};
use std::path::PathBuf;

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
fn lay_pair(body: &mut Value, text: &str) -> Result<(), Failure> {
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
    let body = definition::submittable(Kind::App, body);
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::args::Changing;

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
}
