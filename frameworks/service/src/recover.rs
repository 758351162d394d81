//! What a store holds, at the start.

use crate::definition;
use crate::record::{self, Mark, Unreadable};
use meseta_service_core::app::{AppId, AppSpec, Version};
use meseta_service_core::engine::Recovered;
use meseta_service_core::instance::InstanceId;
use meseta_service_core::plan::DeploymentId;
use meseta_store::{Change, Commit, Expect, Key, KeyError, Outcome, ReadError, Store};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Why a store cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecoverError {
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It is somebody else's.
    #[error(
        "the store holds '{found}' and was not written by the service framework: give another --work_dir, or move it away"
    )]
    Foreign {
        /// A key in it.
        found: String,
    },
    /// A record in it cannot be read. It is left as it is.
    #[error("the record '{key}' of the store cannot be read: {why}")]
    Record {
        /// Its key.
        key: String,
        /// Why.
        why: Unreadable,
    },
    /// A definition is missing.
    #[error("the store holds no definition {version} of the app {app}, which counts")]
    NoDefinition {
        /// Of which app.
        app: AppId,
        /// Which.
        version: i64,
    },
    /// The first record cannot be written.
    #[error("the framework's id cannot be stored: {0}")]
    NotStored(String),
}

/// What was found.
pub(crate) struct Found {
    /// For the engine.
    pub(crate) recovered: Recovered,
    /// The definitions that count, read.
    pub(crate) definitions: BTreeMap<AppId, Arc<definition::App>>,
    /// The framework's id.
    pub(crate) framework_id: String,
}

/// Reads the store; a new one gets the framework's id, `fresh_id`. Blocks on the disk.
///
/// # Errors
/// Why it cannot be used. Nothing in it was changed then.
pub(crate) fn recover(store: &dyn Store, fresh_id: impl FnOnce() -> String) -> Result<Found, RecoverError> {
    let mut found = Found {
        recovered: Recovered::default(),
        definitions: BTreeMap::new(),
        framework_id: String::new(),
    };
    let mark = store
        .list(record::MARK)?
        .into_iter()
        .find(|e| e.key.as_str() == record::MARK);
    match mark {
        Some(entry) => {
            found.framework_id = Mark::decode(&entry.value)
                .map_err(|why| bad(entry.key.as_str(), why))?
                .framework_id;
        }
        None => {
            if let Some(other) = store.list("")?.first() {
                return Err(RecoverError::Foreign {
                    found: other.key.to_string(),
                });
            }
            found.framework_id = fresh_id();
            write_mark(store, &found.framework_id)?;
            return Ok(found);
        }
    }
    let specs = read_specs(store)?;
    for entry in store.list(record::HEADS)? {
        let key = entry.key.as_str();
        let app = AppId::recorded(key.strip_prefix(record::HEADS).unwrap_or(key));
        let (version, leaving) = record::decode_head(&entry.value).map_err(|why| bad(key, why))?;
        let definition = specs
            .get(&(app.clone(), version))
            .map(|(_, definition)| Arc::clone(definition))
            .ok_or_else(|| RecoverError::NoDefinition {
                app: app.clone(),
                version: version.0,
            })?;
        found.definitions.insert(app.clone(), definition);
        found.recovered.heads.push((app, version, leaving));
    }
    found.recovered.specs = specs.into_values().map(|(spec, _)| spec).collect();
    for entry in store.list(record::FAILURES)? {
        let key = entry.key.as_str();
        let app = AppId::recorded(key.strip_prefix(record::FAILURES).unwrap_or(key));
        let failure = record::decode_failure(app, &entry.value).map_err(|why| bad(key, why))?;
        found.recovered.failures.push(failure);
    }
    for entry in store.list(record::INSTANCES)? {
        let key = entry.key.as_str();
        let id = InstanceId::recorded(key.strip_prefix(record::INSTANCES).unwrap_or(key));
        let instance = record::decode_instance(id, &entry.value).map_err(|why| bad(key, why))?;
        found.recovered.instances.push(instance);
    }
    for entry in store.list(record::DEPLOYMENTS)? {
        let key = entry.key.as_str();
        let id = DeploymentId(key.strip_prefix(record::DEPLOYMENTS).unwrap_or(key).into());
        let deployment = record::decode_deployment(id, &entry.value).map_err(|why| bad(key, why))?;
        found.recovered.deployments.push(deployment);
    }
    Ok(found)
}

type Specs = BTreeMap<(AppId, Version), (Arc<AppSpec>, Arc<definition::App>)>;

fn read_specs(store: &dyn Store) -> Result<Specs, RecoverError> {
    let mut specs = Specs::new();
    for entry in store.list(record::SPECS)? {
        let (spec, definition) =
            record::decode_spec(&entry.value).map_err(|why| bad(entry.key.as_str(), why))?;
        specs.insert(
            (spec.id.clone(), spec.version),
            (Arc::new(spec), Arc::new(definition)),
        );
    }
    Ok(specs)
}

fn bad(key: &str, why: Unreadable) -> RecoverError {
    RecoverError::Record {
        key: key.to_owned(),
        why,
    }
}

fn write_mark(store: &dyn Store, framework_id: &str) -> Result<(), RecoverError> {
    let not_stored = |why: String| RecoverError::NotStored(why);
    let key = Key::new(record::MARK).map_err(|e: KeyError| not_stored(e.to_string()))?;
    let value = Mark::new(framework_id.to_owned()).encode();
    let value = value.map_err(|e| not_stored(e.to_string()))?;
    let change = Change {
        expect: Expect::Absent,
        ..Change::put(key, value)
    };
    match store
        .submit(Commit {
            changes: vec![change],
        })
        .wait()
    {
        Outcome::Done(_) => Ok(()),
        Outcome::Refused(why) => Err(not_stored(why.to_string())),
        Outcome::Fenced => Err(not_stored("another process writes to the store".to_owned())),
        Outcome::Unknown(why) => Err(not_stored(why.to_string())),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
