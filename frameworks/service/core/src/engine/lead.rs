//! Marked apps are led one step nearer to their target, and deployments to their next step.

use super::{App, Engine};
use crate::app::{AppId, AppSpec, UnreachableStrategy, Version};
use crate::backoff::after;
use crate::instance::{Condition, Goal, Instance, InstanceId, Since};
use crate::io::{Deployment, Effect, Event};
use crate::plan::{Action, DeploymentId};
use crate::rollout::{self, Mode};
use meseta_types::Wall;
use std::collections::BTreeSet;
use std::sync::Arc;

impl Engine {
    /// Leads every marked app, and every deployment that touches one, until nothing moves any more or the commit is large
    /// enough; what is left stays marked.
    pub(super) fn lead(&mut self, now: Wall) {
        while !self.marked.is_empty() && !self.is_full() {
            let marked = std::mem::take(&mut self.marked);
            let touched: BTreeSet<DeploymentId> = marked
                .iter()
                .filter_map(|app| self.locks.get(app).cloned())
                .collect();
            for app in marked {
                if self.is_full() {
                    self.marked.insert(app);
                } else {
                    self.lead_app(now, &app);
                    self.touched.insert(app);
                }
            }
            // Leading marks again whatever it changed; what it leaves alone is at rest.
            for id in touched {
                self.lead_deployment(now, &id);
            }
        }
    }

    fn lead_app(&mut self, now: Wall, id: &AppId) {
        let Some((spec, mode)) = self.target(id) else {
            let leftover: Vec<InstanceId> = self
                .instances_of(id)
                .map(|instance| instance.id.clone())
                .collect();
            for instance in leftover {
                if self.is_full() {
                    self.marked.insert(id.clone());
                    return;
                }
                self.end_instance(now, &instance);
            }
            return self.forget_if_gone(id);
        };
        let instances: Vec<&Instance> = self.instances_of(id).collect();
        let inactive = |instance: &Instance| is_inactive(&spec, instance, now);
        let app = self.apps.get(id);
        let checked = |instance: &Instance| is_checked(app, &spec, instance);
        let decision = rollout::decide(&spec, mode, &instances, inactive, checked);
        for instance in decision.end {
            if self.is_full() {
                self.marked.insert(id.clone());
                return;
            }
            self.end_instance(now, &instance);
        }
        for _ in 0..decision.start {
            if self.is_full() {
                self.marked.insert(id.clone());
                return;
            }
            self.schedule(now, &spec);
        }
    }

    /// The definition an app is led to, and how. `None`: it shall have no instances.
    pub(super) fn target(&self, id: &AppId) -> Option<(Arc<AppSpec>, Mode)> {
        let app = self.apps.get(id)?;
        let deployment = self.locks.get(id).and_then(|lock| self.deployments.get(lock));
        let Some(deployment) = deployment else {
            return (!app.leaving).then(|| (Arc::clone(&app.spec), Mode::Keeping));
        };
        let reached_in = deployment.plan.steps.iter().rposition(|step| {
            step.iter()
                .any(|action| action.app() == id && !matches!(action, Action::Start(_)))
        });
        match reached_in {
            Some(step) if step <= deployment.step => {
                (!app.leaving).then(|| (Arc::clone(&app.spec), Mode::Deploying))
            }
            // Its turn has not come: it stays as it was.
            Some(_) => {
                let kept = deployment
                    .kept
                    .iter()
                    .find(|(app, _)| app == id)
                    .and_then(|(_, version)| *version)?;
                app.versions
                    .get(&kept)
                    .map(|spec| (Arc::clone(spec), Mode::Keeping))
            }
            None => (!app.leaving).then(|| (Arc::clone(&app.spec), Mode::Keeping)),
        }
    }

    fn schedule(&mut self, now: Wall, spec: &AppSpec) {
        let id = InstanceId::new(&spec.id, uuid(self.random.bytes16()));
        let instance = Instance {
            id,
            app: spec.id.clone(),
            version: spec.version,
            config_version: spec.config_version,
            incarnation: 0,
            goal: Goal::Running,
            condition: Condition::Scheduled,
            place: None,
            since: Since {
                scheduled: now,
                ..Since::default()
            },
            healthy: None,
            ready: false,
            kill_sent: None,
        };
        self.tell_condition(&instance, "Scheduled");
        self.put_instance(instance);
    }

    /// An instance shall go: at once if it has no task, else by a kill.
    pub(super) fn end_instance(&mut self, _now: Wall, id: &InstanceId) {
        let Some(instance) = self.instances.get(id).cloned() else {
            return;
        };
        if !instance.condition.has_task() {
            self.drop_instance(id);
        } else if instance.goal != Goal::Decommissioned {
            self.to_kill.insert(id.clone());
            self.put_instance(Instance {
                goal: Goal::Decommissioned,
                ..instance
            });
        }
    }

    /// An app that was deleted is forgotten when its last instance is gone.
    fn forget_if_gone(&mut self, id: &AppId) {
        let gone = self.apps.get(id).is_some_and(|app| app.leaving) && self.instances_of(id).next().is_none();
        if gone && !self.locks.contains_key(id) {
            self.drop_app(id);
            self.txn.released.push(Effect::Event(Event::AppGone(id.clone())));
        }
    }

    fn lead_deployment(&mut self, now: Wall, id: &DeploymentId) {
        let Some(deployment) = self.deployments.get(id).cloned() else {
            return;
        };
        let Some(step) = deployment.plan.steps.get(deployment.step) else {
            return self.deployment_done(&deployment);
        };
        if !step.iter().all(|action| self.is_done(now, action)) {
            return;
        }
        self.txn
            .released
            .push(Effect::Event(Event::StepDone(Arc::clone(&deployment))));
        let next = Deployment {
            step: deployment.step + 1,
            ..Deployment::clone(&deployment)
        };
        let next = Arc::new(next);
        if next.step < next.plan.steps.len() {
            self.txn
                .released
                .push(Effect::Event(Event::DeploymentInfo(Arc::clone(&next))));
            self.put_deployment(next);
        } else {
            self.deployment_done(&next);
        }
    }

    fn deployment_done(&mut self, deployment: &Arc<Deployment>) {
        self.drop_deployment(&deployment.id);
        self.txn
            .released
            .push(Effect::Event(Event::DeploymentDone(Arc::clone(deployment))));
    }

    fn is_done(&self, now: Wall, action: &Action) -> bool {
        let id = action.app();
        match action {
            Action::Start(_) => true,
            Action::Stop(_) => self.instances_of(id).next().is_none(),
            Action::Scale(_) | Action::Restart(_) => {
                let Some(app) = self.apps.get(id) else { return true };
                let instances: Vec<&Instance> = self.instances_of(id).collect();
                let inactive = |instance: &Instance| is_inactive(&app.spec, instance, now);
                let checked = |instance: &Instance| is_checked(Some(app), &app.spec, instance);
                rollout::decide(&app.spec, Mode::Deploying, &instances, inactive, checked).done
            }
        }
    }

    pub(super) fn tell_condition(&mut self, instance: &Instance, condition: &'static str) {
        self.txn.released.push(Effect::Event(Event::Condition {
            instance: instance.clone(),
            condition,
        }));
    }

    pub(super) fn new_deployment_id(&mut self) -> DeploymentId {
        let bytes = uuid(self.random.bytes16());
        let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
        let parts = [
            &bytes[..4],
            &bytes[4..6],
            &bytes[6..8],
            &bytes[8..10],
            &bytes[10..],
        ]
        .map(hex);
        DeploymentId(parts.join("-").into())
    }

    /// The last version an app has had, kept ones and the present one.
    pub(super) fn last_version(&self, id: &AppId) -> Option<Version> {
        self.apps
            .get(id)
            .and_then(|app| app.versions.keys().next_back().copied())
    }
}

/// Marks random bytes as a version 4 uuid.
fn uuid(mut bytes: [u8; 16]) -> [u8; 16] {
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    bytes
}

/// Whether an instance has health checks by the definition it was started with; by the present one, if that is not kept any
/// more.
fn is_checked(app: Option<&App>, spec: &AppSpec, instance: &Instance) -> bool {
    let own = app.and_then(|app| app.versions.get(&instance.version));
    own.map_or(spec.has_health_checks, |own| own.has_health_checks)
}

/// Whether an instance is given up because its agent is out of reach.
pub(super) fn is_inactive(spec: &AppSpec, instance: &Instance, now: Wall) -> bool {
    match (spec.unreachable, instance.condition, instance.since.unreachable) {
        (UnreachableStrategy::Enabled { inactive_after, .. }, Condition::Unreachable, Some(since)) => {
            after(since, inactive_after) <= now
        }
        _ => false,
    }
}
