//! What readers see: everything that is durable, as of one moment.
//!
//! A view shares whatever did not change with the one before it, so that it costs what changed and not what exists.

mod pages;

pub use pages::Pages;

use crate::definition;
use meseta_service_core::app::{AppId, AppSpec, Version};
use meseta_service_core::instance::{Instance, InstanceId};
use meseta_service_core::io::{Deployment, Failure};
use meseta_service_core::matcher::Tried;
use meseta_service_core::plan::DeploymentId;
use meseta_types::Wall;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Everything readers see.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// The apps that are not being deleted, by id.
    pub apps: Pages<AppId, Arc<AppView>>,
    /// The deployments under way, by id.
    pub deployments: Arc<BTreeMap<DeploymentId, Arc<Deployment>>>,
    /// The leading master as the framework knows it, `host:port`; `None` while it is not subscribed.
    pub master: Option<Arc<str>>,
}

/// One app.
#[derive(Clone, Debug)]
pub struct AppView {
    /// The definition that counts.
    pub spec: Arc<AppSpec>,
    /// The same, read.
    pub definition: Arc<definition::App>,
    /// All that are kept, the one that counts among them.
    pub versions: BTreeMap<Version, Arc<AppSpec>>,
    /// Its instances, by id; those that wait for an offer too.
    pub instances: BTreeMap<InstanceId, Arc<InstanceView>>,
    /// How a task of it ended badly, the last time.
    pub last_failure: Option<Arc<Failure>>,
    /// The deployment it belongs to.
    pub deployment: Option<DeploymentId>,
}

impl AppView {
    /// When the number of its instances was last changed, as far as the kept definitions tell.
    pub fn last_scaling(&self) -> Version {
        let mut later = &self.spec;
        for (_, earlier) in self.versions.range(..self.spec.version).rev() {
            if earlier.instances != later.instances {
                break;
            }
            later = earlier;
        }
        later.version
    }

    /// When its configuration was last changed.
    pub fn last_config_change(&self) -> Version {
        self.spec.config_version
    }
}

/// One instance with what was seen of its task.
#[derive(Clone, Debug)]
pub struct InstanceView {
    /// As the engine knows it.
    pub instance: Instance,
    /// What else was seen.
    pub seen: Arc<Seen>,
}

/// What was seen of a task beyond what the engine decides on. Not durable: after a restart it comes with the first
/// word about the task.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    /// Its addresses: address and family (`IPv4`, `IPv6`).
    pub addresses: Arc<[(String, &'static str)]>,
    /// Results of its health check, if there was one.
    pub health: Option<HealthSeen>,
    /// The last answer of its readiness check.
    pub readiness: Option<ReadinessSeen>,
}

/// What health checks said so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HealthSeen {
    /// The last verdict.
    pub alive: bool,
    /// Failures since the last success.
    pub consecutive_failures: u32,
    /// When it first passed.
    pub first_success: Option<Wall>,
    /// When it last passed.
    pub last_success: Option<Wall>,
    /// When it last failed.
    pub last_failure: Option<Wall>,
    /// Why it last failed.
    pub last_failure_cause: Option<Arc<str>>,
}

/// The last answer of a readiness check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadinessSeen {
    /// Which check.
    pub name: Arc<str>,
    /// Whether it has passed.
    pub ready: bool,
    /// Status, content type and beginning of the body of the last answer.
    pub last: Option<(u16, Arc<str>, Arc<str>)>,
}

/// Instances of an app that wait for an offer.
#[derive(Clone, Debug)]
pub struct QueueEntry {
    /// The app.
    pub app: Arc<AppView>,
    /// The definition they will be launched with.
    pub spec: Arc<AppSpec>,
    /// How many.
    pub count: usize,
    /// Since when the longest one waits.
    pub since: Wall,
    /// Until when launches are delayed after failures.
    pub delayed_until: Option<Wall>,
    /// What became of offers since they wait.
    pub tried: Option<Tried>,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
