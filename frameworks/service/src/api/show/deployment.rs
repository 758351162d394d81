//! Deployments: as their list shows them, and in the light form of events.

use crate::api::show::app::readiness;
use crate::view::View;
use meseta_service_core::io::Deployment;
use meseta_service_core::plan::Action;
use serde_json::{Value, json};

fn action(action: &Action) -> Value {
    json!({"action": action.name(), "app": action.app().as_str()})
}

fn actions(step: Option<&Vec<Action>>) -> Vec<Value> {
    step.into_iter().flatten().map(action).collect()
}

fn steps(deployment: &Deployment) -> Vec<Value> {
    let steps = deployment.plan.steps.iter();
    steps
        .map(|step| json!({"actions": actions(Some(step))}))
        .collect()
}

/// A deployment under way.
pub(in crate::api) fn listed(deployment: &Deployment, view: &View) -> Value {
    let affected: Vec<_> = deployment
        .plan
        .apps()
        .iter()
        .map(|app| app.as_str().to_owned())
        .collect();
    let current = deployment.plan.steps.get(deployment.step).into_iter().flatten();
    let current: Vec<_> = current
        .map(|step| {
            let app = view.apps.get(step.app());
            let results: Vec<_> = app.into_iter().flat_map(|app| readiness(app)).collect();
            json!({
                "action": step.name(),
                "app": step.app().as_str(),
                "readinessCheckResults": results,
            })
        })
        .collect();
    json!({
        "id": &*deployment.id.0,
        "version": super::version(deployment.version),
        "affectedApps": affected,
        "affectedPods": [],
        "steps": steps(deployment),
        "currentActions": current,
        "currentStep": deployment.step + 1,
        "totalSteps": deployment.plan.steps.len(),
    })
}

/// The plan of a deployment in an event. `original` and `target` are empty: real definitions left this form long ago, and
/// some clients still insist on the keys.
pub(super) fn plan(deployment: &Deployment) -> Value {
    json!({
        "id": &*deployment.id.0,
        "original": {},
        "target": {},
        "steps": steps(deployment),
        "version": super::version(deployment.version),
    })
}

/// The step that is under way, or was the last.
pub(super) fn current_step(deployment: &Deployment) -> Value {
    let last = deployment.plan.steps.len().saturating_sub(1);
    json!({"actions": actions(deployment.plan.steps.get(deployment.step.min(last)))})
}
