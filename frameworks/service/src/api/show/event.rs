//! Events as Marathon's stream shows them: one or more for each thing that happened.

use super::deployment::{current_step, plan};
use super::{time, version};
use crate::owner::{Told, What};
use crate::view::Seen;
use meseta_service_core::instance::Instance;
use meseta_service_core::io::Event;
use meseta_types::Wall;
use serde_json::{Value, json};

/// One event.
pub(in crate::api) struct Shown {
    /// Its `eventType`.
    pub(in crate::api) kind: &'static str,
    /// The whole of it.
    pub(in crate::api) json: String,
}

/// The events that something told makes, in order.
pub(in crate::api) fn shown(told: &Told, framework_id: &str) -> Vec<Shown> {
    let at = told.at;
    match &told.what {
        What::Engine { event, seen } => engine(event, seen.as_deref(), at),
        What::FailedCheck { app, instance, check } => vec![one(
            "failed_health_check_event",
            at,
            // Marathon puts the instance's id there, too.
            json!({"appId": app.as_str(), "taskId": instance.as_str(), "healthCheck": &**check}),
        )],
        What::Wire { kind, json } => vec![Shown {
            kind,
            json: json.to_string(),
        }],
        What::Registered { master } => vec![one(
            "scheduler_registered_event",
            at,
            json!({"frameworkId": framework_id, "master": master}),
        )],
        What::Reregistered { master } => {
            vec![one("scheduler_reregistered_event", at, json!({"master": master}))]
        }
        What::Disconnected => vec![one("scheduler_disconnected_event", at, json!({}))],
    }
}

/// An event of these fields.
pub(in crate::api) fn one(kind: &'static str, at: Wall, mut fields: Value) -> Shown {
    if let Some(object) = fields.as_object_mut() {
        object.insert("eventType".to_owned(), kind.into());
        object.insert("timestamp".to_owned(), time(at).into());
    }
    Shown {
        kind,
        json: fields.to_string(),
    }
}

fn engine(event: &Event, seen: Option<&Seen>, at: Wall) -> Vec<Shown> {
    match event {
        Event::DeploymentInfo(deployment) => vec![one(
            "deployment_info",
            at,
            json!({"plan": plan(deployment), "currentStep": current_step(deployment)}),
        )],
        Event::StepDone(deployment) => vec![one(
            "deployment_step_success",
            at,
            json!({"plan": plan(deployment), "currentStep": current_step(deployment)}),
        )],
        Event::DeploymentDone(deployment) => vec![one(
            "deployment_success",
            at,
            json!({"id": &*deployment.id.0, "plan": plan(deployment)}),
        )],
        // Who cancels a deployment ends the step that is under way.
        Event::DeploymentFailed(deployment) => vec![
            one(
                "deployment_step_failure",
                at,
                json!({"plan": plan(deployment), "currentStep": current_step(deployment)}),
            ),
            one(
                "deployment_failed",
                at,
                json!({"id": &*deployment.id.0, "plan": plan(deployment)}),
            ),
        ],
        Event::Status { event, instance } => vec![one(
            "status_update_event",
            at,
            json!({
                "slaveId": place(instance).1,
                "taskId": &*event.task,
                "taskStatus": &*event.state,
                "message": &*event.message,
                "appId": instance.app.as_str(),
                "host": place(instance).0,
                "ipAddresses": seen
                    .into_iter()
                    .flat_map(|seen| &*seen.addresses)
                    .map(|(address, family)| json!({"ipAddress": address, "protocol": family}))
                    .collect::<Vec<_>>(),
                "ports": instance.place.as_ref().map_or(&[][..], |place| &place.ports),
                "version": version(instance.version),
            }),
        )],
        Event::Condition { instance, condition } => vec![one(
            "instance_changed_event",
            at,
            json!({
                "instanceId": instance.id.as_str(),
                "condition": condition,
                "runSpecId": instance.app.as_str(),
                "agentId": place(instance).1,
                "host": place(instance).0,
                "runSpecVersion": version(instance.version),
            }),
        )],
        Event::Health { instance } => health(instance, at),
        Event::UnhealthyKill { instance } => vec![one(
            "unhealthy_instance_kill_event",
            at,
            json!({
                "appId": instance.app.as_str(),
                "taskId": instance.task_id(),
                "instanceId": instance.id.as_str(),
                "version": version(instance.version),
                "reason": cause(seen).unwrap_or("its health check failed too often in a row"),
                "host": place(instance).0,
                "slaveId": place(instance).1,
            }),
        )],
        Event::Stranger { instance, condition } => vec![one(
            "unknown_instance_terminated_event",
            at,
            json!({
                "instanceId": instance.as_str(),
                "runSpecId": instance.app_id().as_str(),
                "condition": condition,
            }),
        )],
        Event::AppGone(app) => vec![one("app_terminated_event", at, json!({"appId": app.as_str()}))],
    }
}

fn health(instance: &Instance, at: Wall) -> Vec<Shown> {
    let changed = one(
        "instance_health_changed_event",
        at,
        json!({
            "instanceId": instance.id.as_str(),
            "runSpecId": instance.app.as_str(),
            "healthy": instance.healthy,
            "runSpecVersion": version(instance.version),
        }),
    );
    let status = instance.healthy.map(|alive| {
        one(
            "health_status_changed_event",
            at,
            json!({
                "appId": instance.app.as_str(),
                "instanceId": instance.id.as_str(),
                "taskId": instance.task_id(),
                "version": version(instance.version),
                "alive": alive,
            }),
        )
    });
    std::iter::once(changed).chain(status).collect()
}

/// Why a health check failed the last time.
fn cause(seen: Option<&Seen>) -> Option<&str> {
    seen?.health.as_ref()?.last_failure_cause.as_deref()
}

/// Host name and agent of an instance, empty while it has none.
fn place(instance: &Instance) -> (&str, &str) {
    instance
        .place
        .as_ref()
        .map_or(("", ""), |place| (&place.host, &place.agent))
}
