//! All instances, found by their id, and side by side for whoever leads an app: it looks at all of one app's, again and
//! again.

use crate::app::AppId;
use crate::instance::{Instance, InstanceId};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Both maps hold the same instances.
#[derive(Debug, Default)]
pub(super) struct Instances {
    by_id: BTreeMap<InstanceId, Arc<Instance>>,
    /// No app without any.
    by_app: BTreeMap<AppId, BTreeMap<InstanceId, Arc<Instance>>>,
}

impl Instances {
    pub(super) fn get(&self, id: &InstanceId) -> Option<&Instance> {
        self.by_id.get(id).map(Arc::as_ref)
    }

    /// All, by id.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Instance> {
        self.by_id.values().map(Arc::as_ref)
    }

    /// Those of an app, by id.
    pub(super) fn of(&self, app: &AppId) -> impl Iterator<Item = &Instance> {
        self.by_app
            .get(app)
            .into_iter()
            .flat_map(BTreeMap::values)
            .map(Arc::as_ref)
    }

    /// Puts one in and returns what stood in its place.
    pub(super) fn insert(&mut self, instance: Arc<Instance>) -> Option<Arc<Instance>> {
        let id = instance.id.clone();
        self.by_app
            .entry(instance.app.clone())
            .or_default()
            .insert(id.clone(), Arc::clone(&instance));
        self.by_id.insert(id, instance)
    }

    pub(super) fn remove(&mut self, id: &InstanceId) -> Option<Arc<Instance>> {
        let instance = self.by_id.remove(id)?;
        if let Some(listed) = self.by_app.get_mut(&instance.app) {
            listed.remove(id);
            if listed.is_empty() {
                self.by_app.remove(&instance.app);
            }
        }
        Some(instance)
    }

    /// # Errors
    /// The first instance that is in one of the maps only.
    pub(super) fn check(&self) -> Result<(), String> {
        for (id, instance) in &self.by_id {
            let listed = self.by_app.get(&instance.app).and_then(|all| all.get(id));
            if !listed.is_some_and(|listed| Arc::ptr_eq(listed, instance)) {
                return Err(format!("the instance {id} is not listed under its app"));
            }
        }
        let listed: usize = self.by_app.values().map(BTreeMap::len).sum();
        if listed != self.by_id.len() || self.by_app.values().any(BTreeMap::is_empty) {
            return Err(format!("{listed} instances listed of {}", self.by_id.len()));
        }
        Ok(())
    }
}
