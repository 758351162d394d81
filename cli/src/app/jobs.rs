//! Jobs in files that `apply` and `diff` get: what is there, what differs, and the cron framework's answer.

use super::change::each_field;
use super::client::escaped;
use crate::args::{Changing, Global};
use crate::definition::Definition;
use crate::failure::Failure;
use crate::output;
use crate::services::{self, Kind, Service};
use http::Method;
use serde_json::Value;

/// Prefix of the current dialect.
const PREFIX: &str = "/v1/scheduler";

/// The job as it is stored; `None` when there is none.
async fn stored(cron: &Service, name: &str) -> Result<Option<Value>, Failure> {
    let answer = cron
        .send(Method::GET, &format!("{PREFIX}/job/{}", escaped(name)), None)
        .await?;
    match answer.status.as_u16() {
        // Chronos answers 400 for a job it does not know.
        400 | 404 => Ok(None),
        _ => cron.json(&answer).map(Some),
    }
}

fn text(name: &str, stored: Option<&Value>, fields: &[String]) -> String {
    match (stored, fields.is_empty()) {
        (None, _) => format!("created job {name}\n"),
        (Some(_), true) => format!("unchanged job {name}\n"),
        (Some(_), false) => format!("changed job {name} ({})\n", fields.join(", ")),
    }
}

/// Creates or replaces it.
pub(super) async fn apply(global: &Global, job: &Definition, changing: Changing) -> Result<u8, Failure> {
    let cron = Service::find(global, Kind::Cron).await?;
    let stored = stored(&cron, &job.id).await?;
    let fields = stored
        .as_ref()
        .map(|s| each_field(s, &job.value))
        .unwrap_or_default();
    if !changing.dry_run && (stored.is_none() || !fields.is_empty()) {
        let is_dependent = job
            .value
            .get("parents")
            .and_then(Value::as_array)
            .is_some_and(|p| !p.is_empty());
        let path = if is_dependent { "dependency" } else { "iso8601" };
        let method = if stored.is_some() {
            Method::PUT
        } else {
            Method::POST
        };
        let answer = cron
            .send(method, &format!("{PREFIX}/{path}"), Some(&job.value))
            .await?;
        if !answer.status.is_success() {
            return Err(services::refusal(&answer));
        }
    }
    Ok(output::print(&text(&job.id, stored.as_ref(), &fields))
        .err()
        .unwrap_or(0))
}

/// Prints what differs; whether something does.
pub(super) async fn diff(global: &Global, job: &Definition) -> Result<bool, Failure> {
    let cron = Service::find(global, Kind::Cron).await?;
    let stored = stored(&cron, &job.id).await?;
    let fields = stored
        .as_ref()
        .map(|s| each_field(s, &job.value))
        .unwrap_or_default();
    let _ = output::print(&text(&job.id, stored.as_ref(), &fields));
    Ok(stored.is_none() || !fields.is_empty())
}
