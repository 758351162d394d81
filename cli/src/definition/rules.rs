//! Rules beyond types that can be held without a server.

use super::Kind;
use crate::text::harmless;
use meseta_cron_core::job::{Dialect, JobName};
use meseta_cron_core::schedule::Schedule;
use meseta_service::definition::{Rules, create};
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

/// The service's own rules, as far as they do not depend on its flags.
fn app(value: &Value) -> Vec<(String, String)> {
    let rules = Rules {
        features: [GPU_FEATURE.to_owned()].into(),
        ..Rules::default()
    };
    let body = super::submittable(Kind::App, value.clone());
    let Err(invalid) = create(&body, &rules) else {
        return Vec::new();
    };
    let details = invalid
        .details
        .into_iter()
        .filter(|detail| !OF_FLAGS.contains(&detail.path.as_str()));
    let each = details.flat_map(|detail| {
        let path = pointer(&detail.path);
        detail
            .errors
            .into_iter()
            .map(move |error| (path.clone(), readable(&error)))
    });
    each.collect()
}

/// Fields whose rules depend on the server's flags: which role it has.
const OF_FLAGS: [&str; 2] = ["/role", "/acceptedResourceRoles"];
/// A server may have it enabled.
const GPU_FEATURE: &str = "gpu_resources";

/// The JSON pointer of a server's path: `/container/volumes(0)/mode`, `/` for the whole.
pub(super) fn pointer(path: &str) -> String {
    let pointer = path.replace('(', "/").replace(')', "");
    pointer.trim_end_matches('/').to_owned()
}

/// Marathon's codes in words.
pub(crate) fn readable(error: &str) -> String {
    let text = match error {
        "error.path.missing" => "is missing",
        "error.expected.jsstring" => "must be text",
        "error.expected.jsnumber" => "must be a number",
        "error.expected.jsboolean" => "must be true or false",
        "error.expected.jsarray" => "must be a list",
        "error.expected.jsobject" => "must be an object",
        "error.unknown.enum.literal" => "is none of the allowed words",
        other => other,
    };
    harmless(text)
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
