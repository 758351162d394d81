//! What differs between two definitions, with both sides normalised as the server does, and what a change does to running
//! instances. Pure.

use super::list::count;
use super::room::{NAMES_MAX, Need, Room};
use crate::cluster::{Cluster, list, number, string};
use crate::definition::{Kind, submittable};
use crate::text::{cores, harmless, plural, shorten};
use meseta_service::definition::{self, Invalid, Rules, Update};
use meseta_service_core::app::AppId;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Longer values lose their middle.
const VALUE_CHARS: usize = 60;

/// One field, by its name with dots.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Field {
    pub(crate) path: String,
    pub(crate) from: Option<Value>,
    pub(crate) to: Option<Value>,
}

/// What a definition changes about an app.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Difference {
    pub(crate) id: String,
    /// Whether there is no such app yet.
    pub(crate) is_new: bool,
    pub(crate) fields: Vec<Field>,
    /// Both normalised; the old one is null when there is none.
    pub(crate) old: Value,
    pub(crate) new: Value,
    /// The version the old one was read at.
    pub(crate) version: String,
}

impl Difference {
    pub(crate) fn is_none(&self) -> bool {
        !self.is_new && self.fields.is_empty()
    }

    /// `cmd, env.LOG_LEVEL`.
    pub(crate) fn names(&self) -> String {
        let names: Vec<&str> = self.fields.iter().map(|f| f.path.as_str()).collect();
        names.join(", ")
    }
}

/// How the server reads definitions, as it says itself.
pub(crate) fn rules(info: &Value) -> Rules {
    let config = |name: &str| string(info, &["marathon_config", name]);
    let mut rules = Rules::default();
    if !config("mesos_role").is_empty() {
        rules.role = config("mesos_role").to_owned();
    }
    if !config("default_network_name").is_empty() {
        rules.default_network = Some(config("default_network_name").to_owned());
    }
    let features = info
        .get("marathon_config")
        .map_or(&[][..], |c| list(c, "features"));
    rules.features = features
        .iter()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    rules
}

/// What `body` makes of an app. `whole`: fields it does not have get their defaults (but `instances`, which stays);
/// otherwise they keep their values.
///
/// # Errors
/// What the server would object to.
pub(crate) fn of(
    id: &AppId,
    current: Option<&Value>,
    body: &Value,
    whole: bool,
    rules: &Rules,
) -> Result<Difference, Invalid> {
    let stored = match current {
        Some(current) => Some(definition::create(
            &submittable(Kind::App, current.clone()),
            rules,
        )?),
        None => None,
    };
    let body = submittable(Kind::App, kept_instances(current, body));
    let base = stored.as_ref().filter(|_| !whole);
    let new = match definition::update(id, base, &body, rules)? {
        Update::To(app) => app,
        Update::Back(version) => return Err(Invalid::rule("/version", format!("{version} cannot be set"))),
    };
    let json = |app: &definition::App| app.to_json().unwrap_or_default();
    let (old, mut new) = (stored.as_ref().map(json).unwrap_or_default(), json(&new));
    keep_service_ports(&old, &mut new);
    let mut fields = Vec::new();
    if current.is_some() {
        compare("", &old, &new, &mut fields);
    }
    Ok(Difference {
        id: id.to_string(),
        is_new: current.is_none(),
        fields,
        old,
        new,
        version: current.map_or("", |c| string(c, &["version"])).to_owned(),
    })
}

/// A definition that does not say how many instances does not change it.
pub(crate) fn kept_instances(current: Option<&Value>, body: &Value) -> Value {
    let mut body = body.clone();
    if let Some(current) = current
        && body.get("instances").is_none_or(Value::is_null)
        && let Some(instances) = current.get("instances")
        && let Some(members) = body.as_object_mut()
    {
        members.insert("instances".to_owned(), instances.clone());
    }
    body
}

/// A service port of 0 means "any", and an app keeps the one it has.
fn keep_service_ports(old: &Value, new: &mut Value) {
    for (list, member) in [
        ("/portDefinitions", "port"),
        ("/container/portMappings", "servicePort"),
    ] {
        let had = old.pointer(list).and_then(Value::as_array);
        let has = new.pointer_mut(list).and_then(Value::as_array_mut);
        for (had, has) in had.into_iter().flatten().zip(has.into_iter().flatten()) {
            if has.get(member).and_then(Value::as_u64) == Some(0)
                && let Some(port) = had.get(member)
            {
                has[member] = port.clone();
            }
        }
    }
}

/// All fields in which two values differ; objects and lists of equal length are entered.
pub(crate) fn compare(path: &str, old: &Value, new: &Value, found: &mut Vec<Field>) {
    let below = |name: &str| {
        if path.is_empty() {
            name.to_owned()
        } else {
            format!("{path}.{name}")
        }
    };
    match (old, new) {
        _ if old == new => {}
        (Value::Object(a), Value::Object(b)) => {
            let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for name in names {
                match (a.get(name), b.get(name)) {
                    (Some(old), Some(new)) => compare(&below(name), old, new, found),
                    (from, to) => found.push(Field {
                        path: below(name),
                        from: from.cloned(),
                        to: to.cloned(),
                    }),
                }
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (index, (old, new)) in a.iter().zip(b).enumerate() {
                compare(&format!("{path}[{index}]"), old, new, found);
            }
        }
        (Value::Number(a), Value::Number(b)) if a.as_f64() == b.as_f64() => {}
        _ => found.push(Field {
            path: path.to_owned(),
            from: Some(old.clone()),
            to: Some(new.clone()),
        }),
    }
}

/// `"a" → "b"`, `+ "debug"`, `- "debug"`.
pub(crate) fn change_text(field: &Field) -> String {
    if field.path.starts_with("secrets.") {
        return "(changed)".to_owned();
    }
    let value = |v: &Value| shorten(&harmless(&v.to_string()), VALUE_CHARS);
    match (&field.from, &field.to) {
        (Some(from), Some(to)) => format!("{} → {}", value(from), value(to)),
        (None, Some(to)) => format!("+ {}", value(to)),
        (Some(from), None) => format!("- {}", value(from)),
        (None, None) => String::new(),
    }
}

/// What happens to running instances.
pub(crate) fn effect(difference: &Difference, running: u64) -> String {
    let (old, new) = (&difference.old, &difference.new);
    let wanted = count(new, "instances");
    let instances = |n: u64| plural(usize::try_from(n).unwrap_or(usize::MAX), "instance");
    if difference.is_new {
        return format!("is new: starts {}", instances(wanted));
    }
    let had = count(old, "instances");
    if difference.fields.iter().all(|f| f.path == "instances") {
        return match wanted.cmp(&had) {
            std::cmp::Ordering::Greater => format!("starts {}, the others run on", instances(wanted - had)),
            std::cmp::Ordering::Less => format!("stops {}, the others run on", instances(had - wanted)),
            std::cmp::Ordering::Equal => "changes nothing that runs".to_owned(),
        };
    }
    if wanted == 0 {
        return format!("stops {}", instances(running));
    }
    if running == 0 {
        return format!("starts {}", instances(wanted));
    }
    let part = |name: &str| number(new, &["upgradeStrategy", name]).unwrap_or(1.0);
    let (health, over) = (part("minimumHealthCapacity"), part("maximumOverCapacity"));
    // As the server plans it: Marathon's TaskReplaceActor.
    let least = (wanted as f64 * health).ceil() as u64;
    let most = (wanted as f64 * (1.0 + over)).floor() as u64;
    let first_stopped = running.saturating_sub(least);
    let beside = most.max(wanted).saturating_sub(running);
    let how = if first_stopped > 0 {
        format!(
            "{first_stopped} at a time (minimumHealthCapacity {})",
            cores(health)
        )
    } else if beside >= wanted {
        format!(
            "new ones first, old ones stop as new ones are healthy (maximumOverCapacity {})",
            cores(over)
        )
    } else {
        format!("{} at a time, a new one before an old one stops", beside.max(1))
    };
    format!("restarts {}, {how}", instances(running))
}

/// `yes: 2 new on a3, a7`.
pub(crate) fn fit(difference: &Difference, cluster: &Cluster, running: u64) -> Option<String> {
    let wanted = count(&difference.new, "instances");
    let only_count = !difference.is_new && difference.fields.iter().all(|f| f.path == "instances");
    let more = if only_count {
        wanted.saturating_sub(running)
    } else {
        wanted
    };
    if more == 0 || difference.is_none() {
        return None;
    }
    let room = Room::look(cluster, &Need::of(&difference.new));
    let places = room.places();
    Some(if places >= more {
        let names: Vec<&str> = room.fitting().take(NAMES_MAX).map(|a| a.name.as_str()).collect();
        format!("yes: {more} new on {}", names.join(", "))
    } else {
        match room.verdict() {
            Some(why) => format!("no: {why}"),
            None if room.agents.is_empty() => "no: the cluster has no node".to_owned(),
            None => format!("{places} of {more}, the others as old ones stop"),
        }
    })
}

/// For people; `file` is what could be applied.
pub(crate) fn text(
    difference: &Difference,
    running: u64,
    cluster: Option<&Cluster>,
    file: Option<&str>,
) -> String {
    if difference.is_none() {
        return format!("= {}     unchanged\n", difference.id);
    }
    let mark = if difference.is_new { "+" } else { "~" };
    let mut text = format!("{mark} {}     {}\n", difference.id, effect(difference, running));
    let mut lines: Vec<(String, String)> = difference
        .fields
        .iter()
        .map(|f| (f.path.clone(), change_text(f)))
        .collect();
    if let Some(fit) = cluster.and_then(|c| fit(difference, c, running)) {
        lines.push(("would fit now".to_owned(), fit));
    }
    let width = lines
        .iter()
        .map(|(path, _)| path.chars().count())
        .max()
        .unwrap_or(0);
    for (path, change) in lines {
        let _ = writeln!(text, "    {path:width$}  {change}");
    }
    if let Some(file) = file.filter(|_| !difference.is_new) {
        let _ = writeln!(
            text,
            "to apply exactly this:  meseta apply {file} --if-version {}",
            difference.version
        );
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn stored() -> Value {
        // As the server answers: every default written out, and its own members.
        let app = definition::create(
            &json!({
                "id": "/web", "cmd": "./server -v1", "instances": 3, "cpus": 0.5, "mem": 128,
                "portDefinitions": [{"port": 10000, "name": "http"}],
                "upgradeStrategy": {"minimumHealthCapacity": 0.66, "maximumOverCapacity": 0.0},
            }),
            &Rules::default(),
        );
        let mut app = app.unwrap().to_json().unwrap();
        app["version"] = json!("2026-11-21T12:04:31.220Z");
        app["tasksRunning"] = json!(3);
        app["versionInfo"] = json!({"lastScalingAt": "x"});
        app
    }

    fn web() -> AppId {
        AppId::recorded("/web")
    }

    fn difference(body: &Value, whole: bool) -> Difference {
        of(&web(), Some(&stored()), body, whole, &Rules::default()).unwrap()
    }

    #[test]
    fn changed_fields_only_and_what_happens_to_running_instances() {
        let file = json!({
            "id": "web", "cmd": "./server -v2", "instances": 5, "cpus": 0.5, "mem": 128, "env": {"LOG_LEVEL": "debug"},
            "portDefinitions": [{"port": 0, "name": "http"}],
            "upgradeStrategy": {"minimumHealthCapacity": 0.66, "maximumOverCapacity": 0},
        });
        assert_eq!(
            text(&difference(&file, true), 3, None, Some("web.json")),
            "\
~ /web     restarts 3 instances, 2 at a time, a new one before an old one stops
    cmd            \"./server -v1\" → \"./server -v2\"
    env.LOG_LEVEL  + \"debug\"
    instances      3 → 5
to apply exactly this:  meseta apply web.json --if-version 2026-11-21T12:04:31.220Z
"
        );
    }

    #[test]
    fn defaults_are_no_changes_and_an_answer_sent_back_changes_nothing() {
        assert!(difference(&stored(), true).is_none());
        let same = json!({
            "cmd": "./server -v1", "cpus": 0.5, "portDefinitions": [{"port": 0, "name": "http"}],
            "upgradeStrategy": {"minimumHealthCapacity": 0.66, "maximumOverCapacity": 0}, "backoffSeconds": 1,
        });
        assert!(
            difference(&same, true).is_none(),
            "{:?}",
            difference(&same, true).fields
        );
        assert!(difference(&json!({}), false).is_none());
        assert_eq!(difference(&json!({"mem": 64}), false).names(), "mem");
    }

    #[test]
    fn whole_definitions_reset_what_they_do_not_say() {
        let short = difference(&json!({"cmd": "./server -v1"}), true);
        assert_eq!(
            short.names(),
            "cpus, portDefinitions[0].name, upgradeStrategy.maximumOverCapacity, upgradeStrategy.minimumHealthCapacity"
        );
        assert_eq!(
            count(&short.new, "instances"),
            3,
            "but not the number of instances"
        );
    }

    #[test]
    fn effects_follow_the_upgrade_strategy() {
        let with = |health: f64, over: f64| {
            let body = json!({"cmd": "date", "upgradeStrategy": {"minimumHealthCapacity": health, "maximumOverCapacity": over}});
            effect(&difference(&body, false), 3)
        };
        assert_eq!(
            with(1.0, 1.0),
            "restarts 3 instances, new ones first, old ones stop as new ones are healthy (maximumOverCapacity 1)"
        );
        assert_eq!(
            with(0.5, 0.0),
            "restarts 3 instances, 1 at a time (minimumHealthCapacity 0.5)"
        );
        assert_eq!(
            with(1.0, 0.0),
            "restarts 3 instances, 1 at a time, a new one before an old one stops"
        );
        for (body, want) in [
            (json!({"instances": 5}), "starts 2 instances, the others run on"),
            (json!({"instances": 1}), "stops 2 instances, the others run on"),
        ] {
            assert_eq!(effect(&difference(&body, false), 3), want);
        }
        let new = of(
            &web(),
            None,
            &json!({"cmd": "date", "instances": 1}),
            true,
            &Rules::default(),
        )
        .unwrap();
        assert_eq!(effect(&new, 0), "is new: starts 1 instance");
    }

    #[test]
    fn what_the_server_would_refuse_is_refused_here() {
        let invalid = of(&web(), None, &json!({"instances": 1}), true, &Rules::default()).unwrap_err();
        assert_eq!(invalid.details[0].path, "/");
    }
}
