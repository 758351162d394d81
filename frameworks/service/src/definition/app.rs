//! The app definition in its normalised form: every default written out, every old spelling translated.
//!
//! Field names, defaults and shapes are those of Marathon 1.11's API definition. A key that a user did not set and that
//! old clients do not know is left out of the JSON: some of them refuse unknown keys.

use super::checks::{Check, HealthCheck, ReadinessCheck};
use super::container::Container;
use super::network::{Network, PortDefinition};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A normalised app definition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct App {
    /// Absolute path.
    pub id: String,
    /// Run by `/bin/sh -c`. Not together with `args`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cmd: Option<String>,
    /// Argument vector, no shell; for an image: what its entry point gets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// Who runs it; `None`: as the framework says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Variables; they win over those that the framework sets.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// How many shall run. Not part of the stored JSON: it stands in the spec, since scaling changes nothing else.
    #[serde(skip)]
    pub instances: u32,
    /// Cores.
    #[serde(serialize_with = "number")]
    pub cpus: f64,
    /// MiB.
    #[serde(serialize_with = "number")]
    pub mem: f64,
    /// MiB.
    #[serde(serialize_with = "number")]
    pub disk: f64,
    /// Whole ones.
    #[serde(default)]
    pub gpus: u32,
    /// What an instance may use beyond what it asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_limits: Option<ResourceLimits>,
    /// Empty or `//cmd`: the command executor.
    #[serde(default)]
    pub executor: String,
    /// Copied to the task.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Gets a terminal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tty: Option<bool>,
    /// The Mesos role whose offers it uses.
    pub role: String,
    /// Reservations it may use: `*` for unreserved resources, or its role. `None`: both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted_resource_roles: Option<BTreeSet<String>>,
    /// What is fetched into the sandbox before the start.
    #[serde(default)]
    pub fetch: Vec<Fetch>,
    /// Image, volumes and port mappings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<Container>,
    /// At least one: the host's, a bridge, or container networks.
    pub networks: Vec<Network>,
    /// Ports in host mode; `None` in the others, which have port mappings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port_definitions: Option<Vec<PortDefinition>>,
    /// The numbers in `port_definitions` are host ports, not only service ports.
    #[serde(default)]
    pub require_ports: bool,
    /// Placement rules. Empty in this release.
    #[serde(default)]
    pub constraints: Vec<Vec<String>>,
    /// First delay after a failure.
    pub backoff_seconds: u32,
    /// Growth of the delay with each further failure, at least 1.
    #[serde(serialize_with = "number")]
    pub backoff_factor: f64,
    /// Longest delay.
    pub max_launch_delay_seconds: u32,
    /// From SIGTERM to SIGKILL; `None`: as the agent says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_kill_grace_period_seconds: Option<u32>,
    /// Who goes first when there are too many.
    pub kill_selection: KillSelection,
    /// Bounds of an update.
    pub upgrade_strategy: UpgradeStrategy,
    /// About instances on agents that cannot be reached.
    pub unreachable_strategy: UnreachableStrategy,
    /// Absolute ids of apps that must be up before this one.
    #[serde(default)]
    pub dependencies: BTreeSet<String>,
    /// What tells that an instance is healthy.
    #[serde(default)]
    pub health_checks: Vec<HealthCheck>,
    /// What tells during a deployment that an instance is ready; at most one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub readiness_checks: Vec<ReadinessCheck>,
    /// A check that is only reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<Check>,
}

/// The label that forbids a second instance of an app, even for a moment.
pub const SINGLE_INSTANCE_LABEL: &str = "MARATHON_SINGLE_INSTANCE_APP";

impl App {
    /// Whether a second instance must never exist beside the first.
    pub fn is_single_instance(&self) -> bool {
        single_instance(&self.labels)
    }

    /// Whether its instances share the network of their host.
    pub fn is_on_host_network(&self) -> bool {
        self.networks
            .iter()
            .all(|network| network.mode == super::NetworkMode::Host)
    }
}

/// Whether these labels forbid a second instance.
pub(super) fn single_instance(labels: &BTreeMap<String, String>) -> bool {
    labels
        .get(SINGLE_INSTANCE_LABEL)
        .is_some_and(|value| value == "true")
}

/// Limits above the request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ResourceLimits {
    /// Cores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpus: Option<Limit>,
    /// MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mem: Option<Limit>,
}

/// One limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Limit {
    /// As much as there is.
    Unlimited,
    /// So much.
    Amount(f64),
}

impl Serialize for Limit {
    fn serialize<S: serde::Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        match self {
            Limit::Unlimited => out.serialize_str("unlimited"),
            Limit::Amount(amount) => number(amount, out),
        }
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: serde::Deserializer<'de>>(input: D) -> Result<Limit, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Raw {
            Text(String),
            Number(f64),
        }
        match Raw::deserialize(input)? {
            Raw::Number(amount) => Ok(Limit::Amount(amount)),
            Raw::Text(text) if text == "unlimited" => Ok(Limit::Unlimited),
            Raw::Text(text) => Err(serde::de::Error::custom(format!("'{text}' is no limit"))),
        }
    }
}

/// One artifact.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fetch {
    /// Where it is.
    pub uri: String,
    /// Unpack archives.
    pub extract: bool,
    /// Make it executable.
    pub executable: bool,
    /// Keep it in the agent's cache.
    pub cache: bool,
    /// Name in the sandbox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dest_path: Option<String>,
}

/// Which instances go first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum KillSelection {
    /// Those started last.
    #[default]
    #[serde(rename = "YOUNGEST_FIRST")]
    YoungestFirst,
    /// Those started first.
    #[serde(rename = "OLDEST_FIRST")]
    OldestFirst,
}

/// Bounds of an update, as parts of the target, 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UpgradeStrategy {
    /// What stays healthy.
    #[serde(serialize_with = "number")]
    pub minimum_health_capacity: f64,
    /// What may be there beyond the target.
    #[serde(serialize_with = "number")]
    pub maximum_over_capacity: f64,
}

/// About instances on agents that cannot be reached: the word `disabled`, or two times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnreachableStrategy {
    /// Nothing is done.
    Disabled,
    /// Replaced, then forgotten.
    Enabled {
        /// Seconds until a replacement is started.
        inactive_after_seconds: u32,
        /// Seconds until the old one is forgotten.
        expunge_after_seconds: u32,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct UnreachableTimes {
    inactive_after_seconds: u32,
    expunge_after_seconds: u32,
}

impl Serialize for UnreachableStrategy {
    fn serialize<S: serde::Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        match *self {
            UnreachableStrategy::Disabled => out.serialize_str("disabled"),
            UnreachableStrategy::Enabled {
                inactive_after_seconds,
                expunge_after_seconds,
            } => UnreachableTimes {
                inactive_after_seconds,
                expunge_after_seconds,
            }
            .serialize(out),
        }
    }
}

impl<'de> Deserialize<'de> for UnreachableStrategy {
    fn deserialize<D: serde::Deserializer<'de>>(input: D) -> Result<UnreachableStrategy, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Raw {
            Word(String),
            Times(UnreachableTimes),
        }
        match Raw::deserialize(input)? {
            Raw::Word(word) if word == "disabled" => Ok(UnreachableStrategy::Disabled),
            Raw::Word(word) => Err(serde::de::Error::custom(format!("'{word}' is no strategy"))),
            Raw::Times(times) => Ok(UnreachableStrategy::Enabled {
                inactive_after_seconds: times.inactive_after_seconds,
                expunge_after_seconds: times.expunge_after_seconds,
            }),
        }
    }
}

/// Largest whole number that a double holds exactly.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// A double as Marathon prints it: without a point when it is whole.
pub(super) fn number<S: serde::Serializer>(value: &f64, out: S) -> Result<S::Ok, S::Error> {
    if value.fract() == 0.0 && value.abs() < EXACT_MAX {
        out.serialize_i64(*value as i64)
    } else {
        out.serialize_f64(*value)
    }
}
