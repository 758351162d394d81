//! What changed since the last commit: kept so that it can be written, and taken back when the store refuses.

use super::{App, Engine};
use crate::app::{AppId, Version};
use crate::instance::{Instance, InstanceId};
use crate::io::{Change, Deployment, Effect, Refusal};
use crate::plan::DeploymentId;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Changes that are not written yet, as things were before; `None`: not there.
#[derive(Debug, Default)]
pub(super) struct Txn {
    apps: BTreeMap<AppId, Option<App>>,
    instances: BTreeMap<InstanceId, Option<Arc<Instance>>>,
    deployments: BTreeMap<DeploymentId, Option<Arc<Deployment>>>,
    /// What leaves when the changes are durable.
    pub(super) released: Vec<Effect>,
}

impl Txn {
    /// Whether there is nothing to write.
    pub(super) fn is_empty(&self) -> bool {
        self.apps.is_empty() && self.instances.is_empty() && self.deployments.is_empty()
    }

    /// How many instances it changes.
    pub(super) fn instances(&self) -> usize {
        self.instances.len()
    }
}

impl Engine {
    pub(super) fn put_app(&mut self, id: &AppId, app: App) {
        let before = self.apps.insert(id.clone(), app);
        self.txn.apps.entry(id.clone()).or_insert(before);
        self.marked.insert(id.clone());
    }

    pub(super) fn drop_app(&mut self, id: &AppId) {
        if let Some(before) = self.apps.remove(id) {
            self.txn.apps.entry(id.clone()).or_insert(Some(before));
            self.tried.remove(id);
            self.delays.reset(id);
        }
    }

    pub(super) fn put_instance(&mut self, instance: Instance) {
        let id = instance.id.clone();
        self.marked.insert(instance.app.clone());
        let before = self.instances.insert(Arc::new(instance));
        self.txn.instances.entry(id.clone()).or_insert(before);
        self.index_instance(&id);
    }

    pub(super) fn drop_instance(&mut self, id: &InstanceId) {
        if let Some(before) = self.instances.remove(id) {
            self.unlist(&before);
            self.marked.insert(before.app.clone());
            self.txn.instances.entry(id.clone()).or_insert(Some(before));
            self.index_instance(id);
        }
    }

    pub(super) fn put_deployment(&mut self, deployment: Arc<Deployment>) {
        for app in deployment.plan.apps() {
            self.marked.insert(app.clone());
            self.locks.insert(app, deployment.id.clone());
        }
        let id = deployment.id.clone();
        let before = self.deployments.insert(id.clone(), deployment);
        self.txn.deployments.entry(id).or_insert(before);
    }

    pub(super) fn drop_deployment(&mut self, id: &DeploymentId) {
        if let Some(before) = self.deployments.remove(id) {
            for app in before.plan.apps() {
                self.locks.remove(&app);
                self.marked.insert(app);
            }
            self.txn.deployments.entry(id.clone()).or_insert(Some(before));
        }
    }

    /// What is to be written.
    pub(super) fn changes(&self) -> Vec<Change> {
        let mut changes = Vec::new();
        for (id, before) in &self.txn.apps {
            app_changes(id, before.as_ref(), self.apps.get(id), &mut changes);
        }
        changes.extend(self.txn.instances.keys().map(|id| match self.instances.get(id) {
            Some(instance) => Change::Instance(instance.clone()),
            None => Change::DropInstance(id.clone()),
        }));
        changes.extend(
            self.txn
                .deployments
                .keys()
                .map(|id| match self.deployments.get(id) {
                    Some(deployment) => Change::Deployment(Arc::clone(deployment)),
                    None => Change::DropDeployment(id.clone()),
                }),
        );
        changes
    }

    /// Puts everything back as it was and tells the callers. Updates are not acknowledged, so they come again; offers
    /// that were to be used are declined.
    pub(super) fn take_back(&mut self, txn: Txn, why: &Arc<str>, out: &mut Vec<Effect>) {
        for (id, before) in txn.instances {
            if let Some(now) = self.instances.remove(&id) {
                self.marked.insert(now.app.clone());
                self.unlist(&now);
            }
            if let Some(instance) = before {
                let is_of_before = instance.since.staged.is_some_and(|at| at <= self.connected_at);
                if self.connected && instance.place.is_some() && is_of_before {
                    // What a master says by itself does not come again.
                    self.unheard.insert(id.clone());
                }
                self.instances.insert(instance);
            }
            self.index_instance(&id);
        }
        for (id, before) in txn.apps {
            self.marked.insert(id.clone());
            match before {
                Some(app) => drop(self.apps.insert(id, app)),
                None => drop(self.apps.remove(&id)),
            }
        }
        // First all that came, then all that went: one may have taken another's place.
        for id in txn.deployments.keys() {
            if let Some(now) = self.deployments.remove(id) {
                for app in now.plan.apps() {
                    self.locks.remove(&app);
                    self.marked.insert(app);
                }
            }
        }
        for (id, before) in txn.deployments {
            if let Some(deployment) = before {
                for app in deployment.plan.apps() {
                    self.marked.insert(app.clone());
                    self.locks.insert(app, id.clone());
                }
                self.deployments.insert(id, deployment);
            }
        }
        for effect in txn.released {
            match effect {
                Effect::Answer(request, _) => {
                    out.push(Effect::Answer(request, Err(Refusal::NotStored(Arc::clone(why)))));
                }
                Effect::Accept { offer, .. } => {
                    out.push(Effect::Decline {
                        offer,
                        refuse: self.config.decline_for,
                    });
                }
                // Wishes for offers and offers given back were never part of what is stored.
                effect @ (Effect::Decline { .. } | Effect::Want(_) | Effect::Reconcile(_)) => {
                    out.push(effect)
                }
                Effect::Commit(..) | Effect::Kill { .. } | Effect::Acknowledge(_) | Effect::Event(_) => {}
            }
        }
    }

    fn unlist(&mut self, instance: &Instance) {
        remove(&mut self.waiting, &instance.app, &instance.id);
        self.killing.remove(&instance.id);
        self.to_kill.remove(&instance.id);
        self.unheard.remove(&instance.id);
    }

    /// Keeps the queue and the alarms in step with an instance.
    pub(super) fn index_instance(&mut self, id: &InstanceId) {
        if let Some(at) = self.alarm_of.remove(id) {
            self.alarms.remove(&(at, id.clone()));
        }
        let Some(instance) = self.instances.get(id) else {
            return;
        };
        if instance.condition.has_task() {
            remove(&mut self.waiting, &instance.app, id);
        } else {
            self.waiting
                .entry(instance.app.clone())
                .or_default()
                .insert(id.clone());
            self.killing.remove(id);
            self.to_kill.remove(id);
        }
        if let Some(at) = self.alarm(instance) {
            self.alarm_of.insert(id.clone(), at);
            self.alarms.insert((at, id.clone()));
        }
    }
}

fn remove(lists: &mut BTreeMap<AppId, std::collections::BTreeSet<InstanceId>>, app: &AppId, id: &InstanceId) {
    if let Some(list) = lists.get_mut(app) {
        list.remove(id);
        if list.is_empty() {
            lists.remove(app);
        }
    }
}

/// The difference between an app before and after: definitions that came or went, and which one counts.
fn app_changes(id: &AppId, before: Option<&App>, after: Option<&App>, changes: &mut Vec<Change>) {
    let versions = |app: Option<&App>| app.map(|app| app.versions.clone()).unwrap_or_default();
    let (old, new) = (versions(before), versions(after));
    let gone: Vec<Version> = old
        .keys()
        .filter(|version| !new.contains_key(version))
        .copied()
        .collect();
    changes.extend(
        new.iter()
            .filter(|(v, _)| !old.contains_key(v))
            .map(|(_, s)| Change::Spec(Arc::clone(s))),
    );
    changes.extend(
        gone.into_iter()
            .map(|version| Change::DropSpec(id.clone(), version)),
    );
    match after {
        None => changes.push(Change::DropHead(id.clone())),
        Some(app) => {
            changes.push(Change::Head {
                app: id.clone(),
                version: app.spec.version,
                leaving: app.leaving,
            });
            let known = before.and_then(|app| app.last_failure.as_ref());
            if let Some(failure) = app
                .last_failure
                .as_ref()
                .filter(|failure| Some(*failure) != known)
            {
                changes.push(Change::Failure(failure.clone()));
            }
        }
    }
}
