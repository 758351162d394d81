//! What users ask for. Each wish is checked whole before anything is changed.

use super::{App, Engine};
use crate::app::{AppId, AppSpec, Version};
use crate::instance::{Goal, Instance, InstanceId};
use crate::io::{Answer, AppChange, Call, Deployment, Effect, Event, KillHow, Refusal, RequestId};
use crate::plan::{Change, DeploymentId, Plan};
use meseta_types::Wall;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

impl Engine {
    pub(super) fn call(&mut self, now: Wall, request: RequestId, call: Call) {
        let answer = match call {
            Call::Update { apps, force } => self.update(now, apps, force),
            Call::Kill {
                instances,
                how,
                force,
            } => self.kill(now, instances, how, force),
            Call::Cancel { deployment, force } => self.cancel(now, &deployment, force),
            Call::ResetDelay(id) => self.reset_delay(&id),
        };
        self.answer(request, answer);
    }

    fn update(&mut self, now: Wall, apps: Vec<AppChange>, force: bool) -> Result<Answer, Refusal> {
        let mut changes = BTreeMap::new();
        for change in apps {
            let before = self.app(&change.id).map(|app| Arc::clone(&app.spec));
            self.check_base(&change, before.as_deref())?;
            let after = change
                .spec
                .map(|spec| Arc::new(self.versioned(now, spec, before.as_deref(), change.restart)));
            changes.insert(change.id, Change { before, after });
        }
        self.deploy(now, changes, force)
    }

    fn check_base(&self, change: &AppChange, before: Option<&AppSpec>) -> Result<(), Refusal> {
        match (change.base, before) {
            (None, None) if change.spec.is_some() => Ok(()),
            (_, None) => Err(Refusal::AppNotFound(change.id.clone())),
            (None, Some(_)) if change.spec.is_some() => Err(Refusal::AppExists(change.id.clone())),
            (Some(base), Some(before)) if base != before.version => Err(Refusal::Stale(change.id.clone())),
            (_, Some(_)) => Ok(()),
        }
    }

    /// The definition with its versions: the same content keeps the version it has, another number of instances gets a
    /// new one of the same configuration, anything else is a new configuration.
    fn versioned(&self, now: Wall, spec: AppSpec, before: Option<&AppSpec>, restart: bool) -> AppSpec {
        let fresh = Version::new(now, self.last_version(&spec.id));
        let as_it_is = |b: &AppSpec| AppSpec {
            version: b.version,
            config_version: b.config_version,
            ..spec.clone()
        };
        match before {
            Some(before) if !restart && as_it_is(before) == *before => before.clone(),
            Some(before) if !restart && spec.is_scaled(before) => AppSpec {
                version: fresh,
                config_version: before.config_version,
                ..spec
            },
            _ => AppSpec {
                version: fresh,
                config_version: fresh,
                ..spec
            },
        }
    }

    /// Begins the deployment that makes these changes, unless others are in the way.
    fn deploy(
        &mut self,
        now: Wall,
        changes: BTreeMap<AppId, Change>,
        force: bool,
    ) -> Result<Answer, Refusal> {
        let plan = Plan::new(&changes, |id| match changes.get(id) {
            Some(change) => change
                .after
                .as_ref()
                .map(|spec| spec.dependencies.clone())
                .unwrap_or_default(),
            None => self
                .app(id)
                .map(|app| app.spec.dependencies.clone())
                .unwrap_or_default(),
        })?;
        let version = changes
            .values()
            .filter_map(|change| change.after.as_ref())
            .map(|spec| spec.version)
            .max()
            .unwrap_or_else(|| Version::new(now, None));
        let in_the_way: BTreeSet<DeploymentId> = plan
            .apps()
            .iter()
            .filter_map(|app| self.locks.get(app).cloned())
            .collect();
        if !in_the_way.is_empty() && !force {
            return Err(Refusal::Locked(in_the_way.into_iter().collect()));
        }
        if self.deployments.len() >= self.config.deployments_max + in_the_way.len() {
            return Err(Refusal::TooManyDeployments(self.config.deployments_max));
        }
        let kept: BTreeMap<AppId, Option<Version>> = changes
            .keys()
            .map(|id| (id.clone(), self.target(id).map(|(spec, _)| spec.version)))
            .collect();
        for id in in_the_way {
            self.drop_and_tell(&id);
        }
        let created = changes
            .iter()
            .filter(|(_, c)| c.before.is_none() && c.after.is_some());
        let created: Vec<AppId> = created.map(|(id, _)| id.clone()).collect();
        let id = self.new_deployment_id();
        let versions = |of: fn(&Change) -> &Option<Arc<AppSpec>>| -> Vec<(AppId, Option<Version>)> {
            changes
                .iter()
                .map(|(id, change)| (id.clone(), of(change).as_ref().map(|spec| spec.version)))
                .collect()
        };
        let (before, after) = (
            versions(|change| &change.before),
            versions(|change| &change.after),
        );
        for (app, change) in changes {
            let kept = kept.get(&app).copied().flatten();
            self.define(now, &app, change, kept);
        }
        let deployment = Arc::new(Deployment {
            id: id.clone(),
            version,
            plan,
            step: 0,
            before,
            kept: kept.into_iter().collect(),
            after,
        });
        if deployment.plan.steps.is_empty() {
            self.txn
                .released
                .push(Effect::Event(Event::DeploymentDone(deployment)));
        } else {
            self.txn
                .released
                .push(Effect::Event(Event::DeploymentInfo(Arc::clone(&deployment))));
            self.put_deployment(deployment);
        }
        Ok(Answer::Deployment { id, version, created })
    }

    /// Makes a definition the one that counts; the one that is kept until then stays known.
    fn define(&mut self, now: Wall, id: &AppId, change: Change, kept: Option<Version>) {
        let known = self.apps.get(id).cloned();
        match change.after {
            None => {
                if let Some(app) = known {
                    self.put_app(id, App { leaving: true, ..app });
                }
            }
            Some(spec) => {
                let before = known
                    .as_ref()
                    .filter(|app| !app.leaving)
                    .map(|app| Arc::clone(&app.spec));
                if before.as_ref().is_none_or(|before| !before.same_config(&spec)) {
                    self.delays.reset(id);
                    self.tried.remove(id);
                }
                let scaled = before
                    .as_ref()
                    .is_none_or(|before| before.instances != spec.instances);
                let mut app = known.unwrap_or_else(|| App {
                    spec: Arc::clone(&spec),
                    versions: BTreeMap::new(),
                    leaving: false,
                    last_failure: None,
                    last_scaling: Version::new(now, None),
                });
                app.leaving = false;
                app.last_scaling = if scaled { spec.version } else { app.last_scaling };
                app.versions.insert(spec.version, Arc::clone(&spec));
                app.spec = spec;
                self.trim_versions(id, &mut app, kept);
                self.put_app(id, app);
            }
        }
    }

    /// Forgets the oldest definitions beyond the limit that no instance and no deployment needs.
    fn trim_versions(&self, id: &AppId, app: &mut App, kept: Option<Version>) {
        let mut needed: BTreeSet<Version> = self.instances_of(id).map(|instance| instance.version).collect();
        needed.insert(app.spec.version);
        needed.extend(kept);
        for deployment in self.deployments.values() {
            let all = [&deployment.before, &deployment.kept, &deployment.after];
            needed.extend(
                all.into_iter()
                    .flatten()
                    .filter(|(app, _)| app == id)
                    .filter_map(|(_, version)| *version),
            );
        }
        while app.versions.len() > self.config.versions_max {
            let Some(oldest) = app
                .versions
                .keys()
                .find(|version| !needed.contains(version))
                .copied()
            else {
                return;
            };
            app.versions.remove(&oldest);
        }
    }

    fn drop_and_tell(&mut self, id: &DeploymentId) {
        if let Some(deployment) = self.deployments.get(id).cloned() {
            self.drop_deployment(id);
            self.txn
                .released
                .push(Effect::Event(Event::DeploymentFailed(deployment)));
        }
    }

    fn kill(
        &mut self,
        now: Wall,
        ids: Vec<InstanceId>,
        how: KillHow,
        force: bool,
    ) -> Result<Answer, Refusal> {
        // An instance that is named twice is one.
        let ids: BTreeSet<InstanceId> = ids.into_iter().collect();
        let known = ids
            .iter()
            .filter_map(|id| self.instances.get(id))
            .filter(|i| i.goal == Goal::Running);
        let known: Vec<Instance> = known.cloned().collect();
        match how {
            KillHow::Scale => self.kill_and_scale(now, &known, force),
            KillHow::Wipe => {
                for instance in &known {
                    self.end_instance(now, &instance.id);
                }
                Ok(Answer::Killed(known))
            }
            KillHow::Restart => {
                for instance in &known {
                    if instance.condition.has_task() {
                        self.to_kill.insert(instance.id.clone());
                    }
                }
                Ok(Answer::Killed(known))
            }
        }
    }

    fn kill_and_scale(&mut self, now: Wall, known: &[Instance], force: bool) -> Result<Answer, Refusal> {
        let mut changes = BTreeMap::new();
        for instance in known {
            let Some(app) = self.app(&instance.app) else {
                continue;
            };
            let before = Arc::clone(&app.spec);
            let change = changes.entry(instance.app.clone()).or_insert_with(|| Change {
                after: Some(Arc::clone(&before)),
                before: Some(before),
            });
            if let Some(after) = change.after.as_mut() {
                let after = Arc::make_mut(after);
                after.instances = after.instances.saturating_sub(1);
            }
        }
        for (id, change) in &mut changes {
            let fresh = Version::new(now, self.last_version(id));
            if let Some(after) = change.after.as_mut() {
                Arc::make_mut(after).version = fresh;
            }
        }
        let answer = self.deploy(now, changes, force)?;
        for instance in known {
            self.end_instance(now, &instance.id);
        }
        Ok(answer)
    }

    /// Undoes exactly what a deployment changed, or drops it where it stands.
    fn cancel(&mut self, now: Wall, id: &DeploymentId, force: bool) -> Result<Answer, Refusal> {
        let deployment = self.deployments.get(id).cloned();
        let deployment = deployment.ok_or_else(|| Refusal::DeploymentNotFound(id.clone()))?;
        if force {
            self.drop_and_tell(id);
            return Ok(Answer::Done);
        }
        let mut changes = BTreeMap::new();
        for (app, before) in &deployment.before {
            let known = self.apps.get(app);
            let present = known.filter(|app| !app.leaving).map(|app| Arc::clone(&app.spec));
            let wanted = before.and_then(|version| known.and_then(|app| app.versions.get(&version).cloned()));
            let after = wanted.map(|spec| {
                let fresh = Version::new(now, self.last_version(app));
                Arc::new(AppSpec {
                    version: fresh,
                    ..AppSpec::clone(&spec)
                })
            });
            changes.insert(
                app.clone(),
                Change {
                    before: present,
                    after,
                },
            );
        }
        self.deploy(now, changes, true)
    }

    fn reset_delay(&mut self, id: &AppId) -> Result<Answer, Refusal> {
        if self.app(id).is_none() || !self.waiting.contains_key(id) {
            return Err(Refusal::NotInQueue(id.clone()));
        }
        self.delays.reset(id);
        self.marked.insert(id.clone());
        Ok(Answer::Done)
    }
}

impl AppSpec {
    /// Whether only the number of instances differs. The shell leaves that number out of `wire`.
    fn is_scaled(&self, other: &AppSpec) -> bool {
        let like = AppSpec {
            version: other.version,
            config_version: other.config_version,
            instances: other.instances,
            ..self.clone()
        };
        like == *other
    }
}
