//! Rules beyond types that can be held without a server.

use super::Kind;
use meseta_cron_core::job::{Dialect, JobName};
use meseta_cron_core::schedule::Schedule;
use meseta_service_core::app::AppId;
use serde_json::Value;

/// Pointer and text of each rule that is broken. Types have been checked.
pub(super) fn broken(kind: Kind, value: &Value) -> Vec<(String, String)> {
    match kind {
        Kind::App => app(value),
        Kind::Job => job(value),
    }
}

fn text<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value.get(name).and_then(Value::as_str)
}

fn app(value: &Value) -> Vec<(String, String)> {
    let mut found = Vec::new();
    match text(value, "id") {
        None => found.push(("/id".to_owned(), "missing: an app needs an id".to_owned())),
        Some(id) => {
            if let Err(why) = AppId::parse(id, None) {
                found.push(("/id".to_owned(), format!("{id:?} {why}")));
            }
        }
    }
    found
}

fn job(value: &Value) -> Vec<(String, String)> {
    let mut found = Vec::new();
    match text(value, "name") {
        None => found.push(("/name".to_owned(), "missing: a job needs a name".to_owned())),
        Some(name) => {
            if let Err(why) = JobName::new(name, Dialect::V2) {
                found.push(("/name".to_owned(), why.to_string()));
            }
        }
    }
    // Parents win over a schedule.
    let dependent = value
        .get("parents")
        .and_then(Value::as_array)
        .is_some_and(|p| !p.is_empty());
    if let Some(schedule) = text(value, "schedule").filter(|_| !dependent) {
        let zone = text(value, "scheduleTimeZone");
        let parsed = if schedule.contains('/') && schedule.trim_start().starts_with('R') {
            Schedule::interval(schedule, zone, jiff::Timestamp::now())
        } else {
            Schedule::cron(schedule, zone)
        };
        if let Err(why) = parsed {
            found.push(("/schedule".to_owned(), why.to_string()));
        }
    }
    found
}
