//! What is stored: one record per definition, head, instance, deployment and failure, as JSON with a format number.
//!
//! | key | record |
//! |---|---|
//! | `service/store` | that this store is the service framework's, its format, and the framework's id |
//! | `spec/<app>@<version>` | a definition, normalised, with the number of instances beside it |
//! | `head/<app>` | which definition counts, and whether the app is being deleted |
//! | `failure/<app>` | how a task of the app ended badly, the last time |
//! | `instance/<id>` | an instance |
//! | `deployment/<id>` | a deployment under way |
//!
//! A record of a newer format is refused by name; nothing is dropped or overwritten because it could not be read.

use crate::definition;
use meseta_service_core::app::{AppId, AppSpec, Version};
use meseta_service_core::instance::{Condition, Goal, Instance, InstanceId, Place, Since};
use meseta_service_core::io::{Change, Deployment, Failure};
use meseta_service_core::plan::{Action, DeploymentId, Plan};
use meseta_store::{Change as StoreChange, Commit, Key, KeyError};
use meseta_types::Wall;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::sync::Arc;

/// The format this build writes.
pub(crate) const FORMAT: u32 = 1;

/// The key of [`Mark`].
pub(crate) const MARK: &str = "service/store";

/// The prefixes of the other keys.
pub(crate) const SPECS: &str = "spec/";
pub(crate) const HEADS: &str = "head/";
pub(crate) const FAILURES: &str = "failure/";
pub(crate) const INSTANCES: &str = "instance/";
pub(crate) const DEPLOYMENTS: &str = "deployment/";

/// Why a record cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(String);

/// Why a change cannot be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unwritable {
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error("a record cannot be written: {0}")]
    Json(#[from] serde_json::Error),
}

/// Whose store it is.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Mark {
    format: u32,
    program: String,
    pub(crate) framework_id: String,
}

/// The name in [`Mark`].
const PROGRAM: &str = "meseta-service";

impl Mark {
    pub(crate) fn new(framework_id: String) -> Mark {
        Mark {
            format: FORMAT,
            program: PROGRAM.to_owned(),
            framework_id,
        }
    }

    pub(crate) fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Mark, Unreadable> {
        let mark: Mark = decode(bytes)?;
        if mark.program == PROGRAM {
            Ok(mark)
        } else {
            Err(Unreadable(format!("it belongs to '{}'", mark.program)))
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SpecRecord<'a> {
    format: u32,
    version: i64,
    config_version: i64,
    instances: u32,
    #[serde(borrow)]
    definition: &'a RawValue,
}

#[derive(Serialize, Deserialize)]
struct HeadRecord {
    format: u32,
    version: i64,
    leaving: bool,
}

#[derive(Serialize, Deserialize)]
struct PlaceRecord {
    agent: Arc<str>,
    host: Arc<str>,
    ports: Vec<u16>,
}

#[derive(Serialize, Deserialize)]
struct FailureRecord {
    format: u32,
    version: i64,
    task: String,
    state: Arc<str>,
    message: Arc<str>,
    place: Option<PlaceRecord>,
    at: i64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct InstanceRecord {
    format: u32,
    app: Arc<str>,
    version: i64,
    config_version: i64,
    incarnation: u32,
    goal: GoalRecord,
    condition: ConditionRecord,
    place: Option<PlaceRecord>,
    scheduled: i64,
    staged: Option<i64>,
    running: Option<i64>,
    unreachable: Option<i64>,
    healthy: Option<bool>,
    ready: bool,
    kill_sent: Option<i64>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum GoalRecord {
    Running,
    Decommissioned,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ConditionRecord {
    Scheduled,
    Provisioned,
    Staging,
    Starting,
    Running,
    Killing,
    Unreachable,
}

#[derive(Serialize, Deserialize)]
struct DeploymentRecord {
    format: u32,
    version: i64,
    step: usize,
    steps: Vec<Vec<ActionRecord>>,
    before: Vec<(Arc<str>, Option<i64>)>,
    /// Absent where it is the same as `before`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kept: Option<Vec<(Arc<str>, Option<i64>)>>,
    after: Vec<(Arc<str>, Option<i64>)>,
}

#[derive(Serialize, Deserialize)]
struct ActionRecord {
    action: ActionKind,
    app: Arc<str>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ActionKind {
    Start,
    Scale,
    Restart,
    Stop,
}

/// The commit that makes these changes durable.
///
/// # Errors
/// An id that is no key, or a number without a JSON form: the engine's input is checked before it gets there.
pub(crate) fn commit(changes: &[Change]) -> Result<Commit, Unwritable> {
    let mut commit = Commit::default();
    let mut put = |key: String, value: Option<Vec<u8>>| -> Result<(), Unwritable> {
        let key = Key::new(key)?;
        commit.changes.push(match value {
            Some(value) => StoreChange::put(key, value),
            None => StoreChange::delete(key),
        });
        Ok(())
    };
    for change in changes {
        match change {
            Change::Spec(spec) => put(spec_key(&spec.id, spec.version), Some(encode_spec(spec)?))?,
            Change::DropSpec(app, version) => put(spec_key(app, *version), None)?,
            Change::Head {
                app,
                version,
                leaving,
            } => {
                let record = HeadRecord {
                    format: FORMAT,
                    version: version.0,
                    leaving: *leaving,
                };
                put(format!("{HEADS}{app}"), Some(serde_json::to_vec(&record)?))?;
            }
            Change::DropHead(app) => {
                put(format!("{HEADS}{app}"), None)?;
                put(format!("{FAILURES}{app}"), None)?;
            }
            Change::Failure(failure) => {
                let key = format!("{FAILURES}{}", failure.app);
                put(key, Some(encode_failure(failure)?))?;
            }
            Change::Instance(instance) => {
                let key = format!("{INSTANCES}{}", instance.id);
                put(key, Some(encode_instance(instance)?))?;
            }
            Change::DropInstance(id) => put(format!("{INSTANCES}{id}"), None)?,
            Change::Deployment(deployment) => {
                let key = format!("{DEPLOYMENTS}{}", deployment.id.0);
                put(key, Some(encode_deployment(deployment)?))?;
            }
            Change::DropDeployment(id) => put(format!("{DEPLOYMENTS}{}", id.0), None)?,
        }
    }
    Ok(commit)
}

fn spec_key(app: &AppId, version: Version) -> String {
    format!("{SPECS}{app}@{}", version.0)
}

fn encode_spec(spec: &AppSpec) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(&SpecRecord {
        format: FORMAT,
        version: spec.version.0,
        config_version: spec.config_version.0,
        instances: spec.instances,
        definition: serde_json::from_slice(&spec.wire)?,
    })
}

/// Reads a definition. What the engine decides on is taken out of it again, so that it is what this build takes out of
/// it and an unchanged update stays unchanged.
///
/// # Errors
/// What does not fit.
pub(crate) fn decode_spec(bytes: &[u8]) -> Result<(AppSpec, definition::App), Unreadable> {
    check_format(bytes)?;
    let record: SpecRecord<'_> = serde_json::from_slice(bytes).map_err(unreadable)?;
    let mut app: definition::App = serde_json::from_str(record.definition.get()).map_err(unreadable)?;
    app.instances = record.instances;
    let spec = AppSpec {
        version: Version(record.version),
        config_version: Version(record.config_version),
        ..app.to_spec().map_err(unreadable)?
    };
    Ok((spec, app))
}

/// Reads which definition of an app counts, and whether the app is leaving.
///
/// # Errors
/// What does not fit.
pub(crate) fn decode_head(bytes: &[u8]) -> Result<(Version, bool), Unreadable> {
    let record: HeadRecord = decode(bytes)?;
    Ok((Version(record.version), record.leaving))
}

fn place_record(place: &Place) -> PlaceRecord {
    PlaceRecord {
        agent: Arc::clone(&place.agent),
        host: Arc::clone(&place.host),
        ports: place.ports.clone(),
    }
}

fn place(record: PlaceRecord) -> Place {
    Place {
        agent: record.agent,
        host: record.host,
        ports: record.ports,
    }
}

fn encode_failure(failure: &Failure) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(&FailureRecord {
        format: FORMAT,
        version: failure.version.0,
        task: failure.task.clone(),
        state: Arc::clone(&failure.state),
        message: Arc::clone(&failure.message),
        place: failure.place.as_ref().map(place_record),
        at: failure.at.0,
    })
}

/// Reads the last failure of an app.
///
/// # Errors
/// What does not fit.
pub(crate) fn decode_failure(app: AppId, bytes: &[u8]) -> Result<Failure, Unreadable> {
    let record: FailureRecord = decode(bytes)?;
    Ok(Failure {
        app,
        version: Version(record.version),
        task: record.task,
        state: record.state,
        message: record.message,
        place: record.place.map(place),
        at: Wall(record.at),
    })
}

fn encode_instance(instance: &Instance) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(&InstanceRecord {
        format: FORMAT,
        app: instance.app.as_str().into(),
        version: instance.version.0,
        config_version: instance.config_version.0,
        incarnation: instance.incarnation,
        goal: match instance.goal {
            Goal::Running => GoalRecord::Running,
            Goal::Decommissioned => GoalRecord::Decommissioned,
        },
        condition: match instance.condition {
            Condition::Scheduled => ConditionRecord::Scheduled,
            Condition::Provisioned => ConditionRecord::Provisioned,
            Condition::Staging => ConditionRecord::Staging,
            Condition::Starting => ConditionRecord::Starting,
            Condition::Running => ConditionRecord::Running,
            Condition::Killing => ConditionRecord::Killing,
            Condition::Unreachable => ConditionRecord::Unreachable,
        },
        place: instance.place.as_ref().map(place_record),
        scheduled: instance.since.scheduled.0,
        staged: instance.since.staged.map(|at| at.0),
        running: instance.since.running.map(|at| at.0),
        unreachable: instance.since.unreachable.map(|at| at.0),
        healthy: instance.healthy,
        ready: instance.ready,
        kill_sent: instance.kill_sent.map(|at| at.0),
    })
}

/// Reads an instance.
///
/// # Errors
/// What does not fit.
pub(crate) fn decode_instance(id: InstanceId, bytes: &[u8]) -> Result<Instance, Unreadable> {
    let record: InstanceRecord = decode(bytes)?;
    let condition = match record.condition {
        ConditionRecord::Scheduled => Condition::Scheduled,
        ConditionRecord::Provisioned => Condition::Provisioned,
        ConditionRecord::Staging => Condition::Staging,
        ConditionRecord::Starting => Condition::Starting,
        ConditionRecord::Running => Condition::Running,
        ConditionRecord::Killing => Condition::Killing,
        ConditionRecord::Unreachable => Condition::Unreachable,
    };
    if condition.has_task() != record.place.is_some() {
        return Err(Unreadable("its condition does not fit its place".to_owned()));
    }
    Ok(Instance {
        id,
        app: AppId::recorded(&record.app),
        version: Version(record.version),
        config_version: Version(record.config_version),
        incarnation: record.incarnation,
        goal: match record.goal {
            GoalRecord::Running => Goal::Running,
            GoalRecord::Decommissioned => Goal::Decommissioned,
        },
        condition,
        place: record.place.map(place),
        since: Since {
            scheduled: Wall(record.scheduled),
            staged: record.staged.map(Wall),
            running: record.running.map(Wall),
            unreachable: record.unreachable.map(Wall),
        },
        healthy: record.healthy,
        ready: record.ready,
        kill_sent: record.kill_sent.map(Wall),
    })
}

fn encode_deployment(deployment: &Deployment) -> Result<Vec<u8>, serde_json::Error> {
    let action = |action: &Action| ActionRecord {
        action: match action {
            Action::Start(_) => ActionKind::Start,
            Action::Scale(_) => ActionKind::Scale,
            Action::Restart(_) => ActionKind::Restart,
            Action::Stop(_) => ActionKind::Stop,
        },
        app: action.app().as_str().into(),
    };
    let versions = |list: &[(AppId, Option<Version>)]| {
        list.iter()
            .map(|(app, version)| (Arc::from(app.as_str()), version.map(|v| v.0)))
            .collect()
    };
    let steps = &deployment.plan.steps;
    serde_json::to_vec(&DeploymentRecord {
        format: FORMAT,
        version: deployment.version.0,
        step: deployment.step,
        steps: steps
            .iter()
            .map(|step| step.iter().map(action).collect())
            .collect(),
        before: versions(&deployment.before),
        kept: (deployment.kept != deployment.before).then(|| versions(&deployment.kept)),
        after: versions(&deployment.after),
    })
}

/// Reads a deployment.
///
/// # Errors
/// What does not fit.
pub(crate) fn decode_deployment(id: DeploymentId, bytes: &[u8]) -> Result<Deployment, Unreadable> {
    let record: DeploymentRecord = decode(bytes)?;
    let action = |record: ActionRecord| {
        let app = AppId::recorded(&record.app);
        match record.action {
            ActionKind::Start => Action::Start(app),
            ActionKind::Scale => Action::Scale(app),
            ActionKind::Restart => Action::Restart(app),
            ActionKind::Stop => Action::Stop(app),
        }
    };
    let versions = |list: Vec<(Arc<str>, Option<i64>)>| {
        list.into_iter()
            .map(|(app, version)| (AppId::recorded(&app), version.map(Version)))
            .collect()
    };
    let steps = record.steps.into_iter();
    let before: Vec<(AppId, Option<Version>)> = versions(record.before);
    Ok(Deployment {
        id,
        version: Version(record.version),
        plan: Plan {
            steps: steps.map(|step| step.into_iter().map(action).collect()).collect(),
        },
        step: record.step,
        kept: record.kept.map_or_else(|| before.clone(), versions),
        before,
        after: versions(record.after),
    })
}

fn unreadable(error: serde_json::Error) -> Unreadable {
    Unreadable(error.to_string())
}

fn check_format(bytes: &[u8]) -> Result<(), Unreadable> {
    #[derive(Deserialize)]
    struct Format {
        format: u32,
    }
    let found: Format = serde_json::from_slice(bytes).map_err(unreadable)?;
    if found.format > FORMAT {
        return Err(Unreadable(format!(
            "its format is {}, this program knows formats up to {FORMAT}",
            found.format
        )));
    }
    Ok(())
}

fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Unreadable> {
    check_format(bytes)?;
    serde_json::from_slice(bytes).map_err(unreadable)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) mod tests;
