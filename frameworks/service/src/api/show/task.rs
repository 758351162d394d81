//! Tasks of apps.

use super::time;
use crate::view::{AppView, HealthSeen, InstanceView};
use meseta_service_core::instance::Condition;
use serde::Serialize;

/// The wire's name of a task's state.
pub(in crate::api) fn state(condition: Condition) -> &'static str {
    match condition {
        Condition::Scheduled | Condition::Provisioned | Condition::Staging => "TASK_STAGING",
        Condition::Starting => "TASK_STARTING",
        Condition::Running => "TASK_RUNNING",
        Condition::Killing => "TASK_KILLING",
        Condition::Unreachable => "TASK_UNREACHABLE",
    }
}

/// A task as every list shows it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct Task<'a> {
    id: String,
    app_id: &'a str,
    host: &'a str,
    ports: &'a [u16],
    service_ports: Vec<u16>,
    ip_addresses: Vec<Address<'a>>,
    slave_id: &'a str,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    staged_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<String>,
    version: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    health_check_results: Vec<HealthResult<'a>>,
    local_volumes: [(); 0],
    role: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Address<'a> {
    ip_address: &'a str,
    protocol: &'a str,
}

/// What a health check said.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct HealthResult<'a> {
    alive: bool,
    consecutive_failures: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_success: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_success: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_failure: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_failure_cause: Option<&'a str>,
    instance_id: &'a str,
}

impl<'a> Task<'a> {
    /// The task of an instance; `None` while it has none.
    pub(in crate::api) fn of(app: &'a AppView, view: &'a InstanceView) -> Option<Task<'a>> {
        let instance = &view.instance;
        let place = instance.place.as_ref()?;
        Some(Task {
            id: instance.task_id(),
            app_id: instance.app.as_str(),
            host: &place.host,
            ports: &place.ports,
            service_ports: app.definition.service_ports(),
            ip_addresses: view
                .seen
                .addresses
                .iter()
                .map(|(ip_address, protocol)| Address { ip_address, protocol })
                .collect(),
            slave_id: &place.agent,
            state: state(instance.condition),
            staged_at: instance.since.staged.map(time),
            started_at: instance.since.running.map(time),
            version: super::version(instance.version),
            health_check_results: health(view).into_iter().collect(),
            local_volumes: [],
            role: &app.definition.role,
        })
    }
}

/// The verdict of an instance's health checks. What was seen is not kept over a restart, the verdict is.
fn health(view: &InstanceView) -> Option<HealthResult<'_>> {
    let instance_id = view.instance.id.as_str();
    let from_verdict = |alive: bool| HealthSeen {
        alive,
        consecutive_failures: u32::from(!alive),
        ..HealthSeen::default()
    };
    let seen = match (&view.seen.health, view.instance.healthy) {
        (Some(seen), _) => seen.clone(),
        (None, Some(alive)) => from_verdict(alive),
        (None, None) => return None,
    };
    Some(HealthResult {
        alive: seen.alive,
        consecutive_failures: seen.consecutive_failures,
        first_success: seen.first_success.map(time),
        last_success: seen.last_success.map(time),
        last_failure: seen.last_failure.map(time),
        last_failure_cause: view
            .seen
            .health
            .as_ref()
            .and_then(|seen| seen.last_failure_cause.as_deref()),
        instance_id,
    })
}

/// Appends an app's lines of the old text list: id, service port, and where its running tasks answer.
pub(in crate::api) fn lines(out: &mut Vec<u8>, app: &AppView) {
    let name = app.spec.id.safe();
    let running: Vec<_> = app
        .instances
        .values()
        .filter(|view| view.instance.condition == Condition::Running)
        .filter_map(|view| view.instance.place.as_ref())
        .collect();
    let ports = app.definition.service_ports();
    let mut text = String::new();
    if ports.is_empty() {
        text.push_str(&format!("{name}\t \t"));
        running
            .iter()
            .for_each(|place| text.push_str(&format!("{} ", place.host)));
        text.push('\n');
    }
    for (index, port) in ports.iter().enumerate() {
        text.push_str(&format!("{name}\t{port}\t"));
        for place in &running {
            let port = place.ports.get(index).copied().unwrap_or(0);
            text.push_str(&format!("{}:{port}\t", place.host));
        }
        text.push('\n');
    }
    out.extend_from_slice(text.as_bytes());
}
