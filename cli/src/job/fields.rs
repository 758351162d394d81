//! Definitions of jobs compared and changed field by field. Pure.

use super::args::FieldArgs;
use serde_json::{Map, Value, json};
use std::fmt::Write;

/// One field that differs.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Change {
    pub(super) field: String,
    pub(super) old: Option<Value>,
    pub(super) new: Value,
}

/// Fields of `new` that differ from the stored job; what `new` does not mention is left to the server's defaults and
/// is no difference.
pub(super) fn changed(stored: &Value, new: &Value) -> Vec<Change> {
    let empty = Map::new();
    let new = new.as_object().unwrap_or(&empty);
    let differs = |(field, value): (&String, &Value)| {
        let old = stored.get(field);
        if value.is_null() || old.is_some_and(|old| same(old, value)) {
            return None;
        }
        // An older name of another field; what is stored has the newer one.
        if field == "uris" && old.is_none() && same_uris(stored, value) {
            return None;
        }
        Some(Change {
            field: field.clone(),
            old: old.cloned(),
            new: value.clone(),
        })
    };
    new.iter().filter_map(differs).collect()
}

/// Texts of numbers and switches count as those; objects may lack members that the server fills in.
fn same(stored: &Value, new: &Value) -> bool {
    match (stored, new) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::Number(a), Value::String(b)) => b.trim().parse().ok() == a.as_f64(),
        (Value::Bool(a), Value::String(b)) => b.eq_ignore_ascii_case(&a.to_string()),
        (Value::Object(a), Value::Object(b)) => b
            .iter()
            .all(|(name, value)| value.is_null() || a.get(name).is_some_and(|old| same(old, value))),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (a, b) => a == b,
    }
}

fn same_uris(stored: &Value, uris: &Value) -> bool {
    let fetched = stored.get("fetch").and_then(Value::as_array);
    let wanted = uris.as_array();
    match (fetched, wanted) {
        (Some(fetched), Some(wanted)) => {
            fetched.len() == wanted.len() && fetched.iter().zip(wanted).all(|(f, u)| f.get("uri") == Some(u))
        }
        (None, Some(wanted)) => wanted.is_empty(),
        _ => false,
    }
}

/// The lines of a diff.
pub(super) fn shown(name: &str, changes: &[Change]) -> String {
    let width = changes.iter().map(|c| c.field.chars().count()).max().unwrap_or(0);
    let mut text = format!("~ job {name}\n");
    for change in changes {
        let old = change.old.as_ref().map_or("-".to_owned(), Value::to_string);
        let line = if is_secret(&change.field) {
            "(changed)".to_owned()
        } else {
            format!("{old} → {}", change.new)
        };
        let _ = writeln!(
            text,
            "    {:width$}  {}",
            change.field,
            crate::text::harmless(&line)
        );
    }
    text
}

impl Change {
    /// For programs; values people keep passwords in are left out.
    pub(super) fn object(&self) -> Value {
        if is_secret(&self.field) {
            return json!({"field": self.field, "secret": true});
        }
        json!({"field": self.field, "from": self.old, "to": self.new})
    }
}

/// Values people keep passwords in.
fn is_secret(field: &str) -> bool {
    field == "environmentVariables"
}

impl FieldArgs {
    /// Writes what was given into a definition.
    pub(super) fn apply(&self, job: &mut Map<String, Value>) {
        let mut set = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                job.insert(name.to_owned(), value);
            }
        };
        set("command", self.cmd.clone().map(Value::from));
        set("schedule", self.schedule.clone().map(Value::from));
        set("scheduleTimeZone", self.zone.clone().map(Value::from));
        set("cpus", self.cpus.map(Value::from));
        set("mem", self.mem.map(Value::from));
        if self.schedule.is_some() {
            // Parents would win over it.
            job.remove("parents");
        }
        if let Some(image) = &self.image {
            let container = job
                .entry("container")
                .or_insert_with(|| json!({"type": "DOCKER"}));
            match container.as_object_mut() {
                Some(container) => {
                    container.insert("image".to_owned(), image.clone().into());
                }
                None => *container = json!({"type": "DOCKER", "image": image}),
            }
        }
        if !self.env.is_empty() {
            let variables = job.entry("environmentVariables").or_insert_with(|| json!([]));
            let mut all = variables.as_array().cloned().unwrap_or_default();
            for (name, value) in &self.env {
                all.retain(|v| v.get("name").and_then(Value::as_str) != Some(name));
                all.push(json!({"name": name, "value": value}));
            }
            *variables = all.into();
        }
    }
}

/// Writes `FIELD=VALUE` into a definition: a value that is JSON is taken as such, any other one as a text; dots lead
/// into objects. False when the text is no such pair.
pub(super) fn assign(job: &mut Map<String, Value>, pair: &str) -> bool {
    let Some((path, text)) = pair.split_once('=') else {
        return false;
    };
    let names: Vec<&str> = path.split('.').collect();
    if names.iter().any(|name| name.is_empty()) {
        return false;
    }
    let value = serde_json::from_str(text).unwrap_or_else(|_| Value::from(text));
    let Some((last, above)) = names.split_last() else {
        return false;
    };
    let mut at = job;
    for name in above {
        let inner = at.entry(*name).or_insert_with(|| json!({}));
        if !inner.is_object() {
            *inner = json!({});
        }
        match inner.as_object_mut() {
            Some(object) => at = object,
            None => return false,
        }
    }
    at.insert((*last).to_owned(), value);
    true
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn only_what_differs_is_a_change() {
        let stored = json!({
            "name": "a", "command": "old", "cpus": 0.1, "mem": 128.0, "disabled": false, "schedule": "R//PT5S",
            "fetch": [{"uri": "http://x/f", "cache": false}], "parents": [],
        });
        let same = json!({
            "name": "a", "command": "old", "cpus": "0.1", "mem": 128, "disabled": "FALSE", "owner": null,
            "uris": ["http://x/f"],
        });
        assert_eq!(changed(&stored, &same), []);
        let other = json!({"name": "a", "command": "new", "retries": 3, "uris": ["http://x/g"]});
        let fields: Vec<String> = changed(&stored, &other).into_iter().map(|c| c.field).collect();
        assert_eq!(fields, ["command", "retries", "uris"]);
    }

    #[test]
    fn a_diff_shows_old_and_new_but_no_secrets() {
        let stored = json!({"command": "old", "environmentVariables": []});
        let new = json!({"command": "new", "environmentVariables": [{"name": "TOKEN", "value": "s3cret"}]});
        assert_eq!(
            shown("a", &changed(&stored, &new)),
            "~ job a\n    command               \"old\" → \"new\"\n    environmentVariables  (changed)\n"
        );
    }

    #[test]
    fn flags_and_pairs_change_a_definition() {
        let mut job = object(json!({
            "name": "a", "parents": ["p"], "environmentVariables": [{"name": "A", "value": "1"}],
        }));
        let fields = FieldArgs {
            schedule: Some("@daily".to_owned()),
            image: Some("busybox".to_owned()),
            env: vec![("A".to_owned(), "2".to_owned()), ("B".to_owned(), "3".to_owned())],
            ..FieldArgs::default()
        };
        fields.apply(&mut job);
        assert!(assign(&mut job, "retries=3"));
        assert!(assign(&mut job, "container.forcePullImage=true"));
        assert!(assign(&mut job, "description=a = b"));
        assert!(!assign(&mut job, "file.json") && !assign(&mut job, "=x"));
        assert_eq!(
            Value::Object(job),
            json!({
                "name": "a", "schedule": "@daily", "retries": 3, "description": "a = b",
                "container": {"type": "DOCKER", "image": "busybox", "forcePullImage": true},
                "environmentVariables": [{"name": "A", "value": "2"}, {"name": "B", "value": "3"}],
            })
        );
    }
}
