//! What is durable, kept for readers: follows the store's commits, never runs ahead of them.
//!
//! The engine holds what it has decided, which may still be refused by the store. Readers must not see that, so the
//! owner tells the model of each change when its commit is answered, and views are made of the model.

use crate::definition;
use crate::view::{AppView, HealthSeen, InstanceView, Seen, View};
use meseta_service_core::app::{AppId, AppSpec, Version};
use meseta_service_core::engine::Recovered;
use meseta_service_core::instance::{Instance, InstanceId};
use meseta_service_core::io::Change;
use meseta_service_core::plan::DeploymentId;
use meseta_types::Wall;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Model {
    apps: BTreeMap<AppId, Held>,
    /// Instances by id: whose they are, and what was seen of their present task.
    instances: BTreeMap<InstanceId, Present>,
    /// Definitions of apps that have no head yet: they come in one commit, in this order.
    coming: BTreeMap<AppId, BTreeMap<Version, Arc<AppSpec>>>,
    /// Apps whose part of `view` is out of date.
    stale: BTreeSet<AppId>,
    view: View,
}

#[derive(Debug)]
struct Held {
    view: Arc<AppView>,
    leaving: bool,
}

#[derive(Debug)]
struct Present {
    app: AppId,
    incarnation: u32,
    seen: Arc<Seen>,
}

impl Model {
    /// Of what was recovered.
    pub(crate) fn new(recovered: &Recovered, definitions: &BTreeMap<AppId, Arc<definition::App>>) -> Model {
        let mut model = Model::default();
        for spec in &recovered.specs {
            let versions = model.coming.entry(spec.id.clone()).or_default();
            versions.insert(spec.version, Arc::clone(spec));
        }
        for (app, version, leaving) in &recovered.heads {
            model.head(app, *version, *leaving, definitions.get(app).cloned());
        }
        model.coming.clear();
        for failure in &recovered.failures {
            model.apply(Change::Failure(failure.clone()));
        }
        for instance in &recovered.instances {
            model.apply(Change::Instance(instance.clone()));
        }
        for deployment in &recovered.deployments {
            model.apply(Change::Deployment(Arc::new(deployment.clone())));
        }
        model
    }

    /// A change is durable.
    pub(crate) fn apply(&mut self, change: Change) {
        match change {
            Change::Spec(spec) => {
                let app = spec.id.clone();
                match self.edit(&app) {
                    Some(view) => drop(view.versions.insert(spec.version, spec)),
                    None => drop(self.coming.entry(app).or_default().insert(spec.version, spec)),
                }
            }
            Change::DropSpec(app, version) => {
                if let Some(view) = self.edit(&app) {
                    view.versions.remove(&version);
                }
            }
            Change::Head {
                app,
                version,
                leaving,
            } => self.head(&app, version, leaving, None),
            Change::DropHead(app) => {
                self.apps.remove(&app);
                self.stale.insert(app);
            }
            Change::Failure(failure) => {
                if let Some(view) = self.edit(&failure.app) {
                    view.last_failure = Some(Arc::new(failure));
                }
            }
            Change::Instance(instance) => self.put_instance(instance),
            Change::DropInstance(id) => {
                if let Some(present) = self.instances.remove(&id)
                    && let Some(view) = self.edit(&present.app)
                {
                    view.instances.remove(&id);
                }
            }
            Change::Deployment(deployment) => {
                let id = deployment.id.clone();
                self.lock(&id, deployment.plan.apps(), true);
                Arc::make_mut(&mut self.view.deployments).insert(id, deployment);
            }
            Change::DropDeployment(id) => {
                if let Some(deployment) = Arc::make_mut(&mut self.view.deployments).remove(&id) {
                    self.lock(&id, deployment.plan.apps(), false);
                }
            }
        }
    }

    /// Tells what was seen of a task beyond what the engine keeps. `change` gets what was seen before.
    pub(crate) fn see(&mut self, id: &InstanceId, incarnation: u32, change: impl FnOnce(&mut Seen)) {
        let Some(present) = self
            .instances
            .get_mut(id)
            .filter(|p| p.incarnation == incarnation)
        else {
            return;
        };
        let before = Arc::clone(&present.seen);
        change(Arc::make_mut(&mut present.seen));
        if present.seen == before {
            return;
        }
        let (app, seen) = (present.app.clone(), Arc::clone(&present.seen));
        if let Some(view) = self.edit(&app)
            && let Some(instance) = view.instances.get_mut(id)
        {
            Arc::make_mut(instance).seen = seen;
        }
    }

    /// What was seen of an instance's present task.
    pub(crate) fn seen(&self, id: &InstanceId) -> Option<&Arc<Seen>> {
        self.instances.get(id).map(|present| &present.seen)
    }

    /// The leading master, or that there is none.
    pub(crate) fn set_master(&mut self, master: Option<Arc<str>>) {
        self.view.master = master;
    }

    /// Everything readers may see now. Costs what has changed since the last time.
    pub(crate) fn view(&mut self) -> Arc<View> {
        for app in std::mem::take(&mut self.stale) {
            match self.apps.get(&app) {
                Some(held) if !held.leaving => self.view.apps.insert(app, Arc::clone(&held.view)),
                _ => self.view.apps.remove(&app),
            }
        }
        Arc::new(self.view.clone())
    }

    /// One app, unless it is leaving.
    pub(crate) fn app(&self, id: &AppId) -> Option<&Arc<AppView>> {
        self.apps
            .get(id)
            .filter(|held| !held.leaving)
            .map(|held| &held.view)
    }

    /// All instances.
    pub(crate) fn instance_ids(&self) -> impl Iterator<Item = &InstanceId> {
        self.instances.keys()
    }

    /// One instance, with its app.
    pub(crate) fn instance(&self, id: &InstanceId) -> Option<(&AppView, &InstanceView)> {
        let held = self.apps.get(&self.instances.get(id)?.app)?;
        Some((&held.view, held.view.instances.get(id)?))
    }

    /// All tasks that may exist and whose launch was recorded before `before`, with their agents.
    pub(crate) fn tasks(&self, before: Wall) -> impl Iterator<Item = (String, Arc<str>)> {
        let instances = self.apps.values().flat_map(|held| held.view.instances.values());
        instances.filter_map(move |view| {
            let place = view.instance.place.as_ref()?;
            view.instance.since.staged.filter(|staged| *staged < before)?;
            Some((view.instance.task_id(), Arc::clone(&place.agent)))
        })
    }

    fn edit(&mut self, app: &AppId) -> Option<&mut AppView> {
        let held = self.apps.get_mut(app)?;
        self.stale.insert(app.clone());
        Some(Arc::make_mut(&mut held.view))
    }

    fn head(&mut self, app: &AppId, version: Version, leaving: bool, read: Option<Arc<definition::App>>) {
        self.stale.insert(app.clone());
        if let Some(held) = self.apps.get_mut(app) {
            held.leaving = leaving;
            if held.view.spec.version != version
                && let Some(spec) = held.view.versions.get(&version).cloned()
            {
                let view = Arc::make_mut(&mut held.view);
                if let Some(definition) = read_definition(&spec, &view.spec, &view.definition) {
                    view.definition = definition;
                }
                view.spec = spec;
            }
            return;
        }
        let versions = self.coming.remove(app).unwrap_or_default();
        let Some(spec) = versions.get(&version).cloned() else {
            tracing::error!(%app, "a head without its definition: a defect");
            return;
        };
        let Some(definition) = read.or_else(|| parse(&spec)) else {
            return;
        };
        let view = Arc::new(AppView {
            definition,
            spec,
            versions,
            instances: BTreeMap::new(),
            last_failure: None,
            deployment: None,
        });
        self.apps.insert(app.clone(), Held { view, leaving });
    }

    fn put_instance(&mut self, instance: Instance) {
        let (id, app) = (instance.id.clone(), instance.app.clone());
        let seen = match self.instances.get(&id) {
            Some(present) if present.incarnation == instance.incarnation => Arc::clone(&present.seen),
            // A new launch: nothing is known of it.
            _ => Arc::new(Seen::default()),
        };
        let present = Present {
            app: app.clone(),
            incarnation: instance.incarnation,
            seen: Arc::clone(&seen),
        };
        self.instances.insert(id.clone(), present);
        if let Some(view) = self.edit(&app) {
            view.instances
                .insert(id, Arc::new(InstanceView { instance, seen }));
        }
    }

    fn lock(&mut self, id: &DeploymentId, apps: BTreeSet<AppId>, locked: bool) {
        for app in apps {
            let Some(view) = self.edit(&app) else { continue };
            if locked {
                view.deployment = Some(id.clone());
            } else if view.deployment.as_ref() == Some(id) {
                view.deployment = None;
            }
        }
    }
}

/// The definition of `spec`; where only the number of instances differs from what was read before, that one is taken.
fn read_definition(
    spec: &AppSpec,
    before: &AppSpec,
    read: &Arc<definition::App>,
) -> Option<Arc<definition::App>> {
    if spec.wire != before.wire {
        return parse(spec);
    }
    Some(Arc::new(definition::App {
        instances: spec.instances,
        ..definition::App::clone(read)
    }))
}

/// Reads a definition that this process wrote or has read before.
fn parse(spec: &AppSpec) -> Option<Arc<definition::App>> {
    definition::parse_stored(spec)
        .map(Arc::new)
        .inspect_err(|error| tracing::error!(app = %spec.id, %error, "a definition cannot be read: a defect"))
        .ok()
}

impl Seen {
    /// Counts the verdict of a health check.
    pub(crate) fn judge(&mut self, alive: bool, cause: Option<&str>, at: Wall) {
        let health = self.health.get_or_insert_with(HealthSeen::default);
        health.alive = alive;
        if alive {
            health.consecutive_failures = 0;
            health.first_success = health.first_success.or(Some(at));
            health.last_success = Some(at);
        } else {
            health.consecutive_failures = health.consecutive_failures.saturating_add(1);
            health.last_failure = Some(at);
            health.last_failure_cause = cause.map(Arc::from);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
