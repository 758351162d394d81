//! What the engine decides on, taken out of an app; and the app again out of what is stored.

use super::app::{App, KillSelection, UnreachableStrategy};
use meseta_service_core::app::{
    AppId, AppSpec, Backoff, Demand, HostPort, KillSelection as Selection,
    UnreachableStrategy as Unreachable, UpgradeStrategy as Upgrade, Version,
};
use std::sync::Arc;
use std::time::Duration;

impl App {
    /// The definition as the engine takes it. Its versions are the engine's to set.
    ///
    /// `wire` is the JSON of this app without `instances`, `version` and `versionInfo`: they stand in the spec, so that
    /// scaling leaves the bytes as they are.
    ///
    /// # Errors
    /// When the app cannot be written as JSON, which only a number that is none can cause.
    pub fn to_spec(&self) -> Result<AppSpec, serde_json::Error> {
        let seconds = |seconds: u32| Duration::from_secs(u64::from(seconds));
        Ok(AppSpec {
            id: AppId::recorded(&self.id),
            version: Version(0),
            config_version: Version(0),
            instances: self.instances,
            demand: Demand {
                cpus: self.cpus,
                mem: self.mem,
                disk: self.disk,
                gpus: f64::from(self.gpus),
            },
            ports: self.host_ports(),
            accepted_roles: self
                .accepted_resource_roles
                .iter()
                .flatten()
                .map(|role| Arc::from(role.as_str()))
                .collect(),
            has_health_checks: !self.health_checks.is_empty(),
            has_readiness_checks: !self.readiness_checks.is_empty(),
            upgrade: Upgrade {
                minimum_health: self.upgrade_strategy.minimum_health_capacity,
                maximum_over: self.upgrade_strategy.maximum_over_capacity,
            },
            backoff: Backoff {
                first: seconds(self.backoff_seconds),
                factor: self.backoff_factor,
                max: seconds(self.max_launch_delay_seconds),
            },
            kill_selection: match self.kill_selection {
                KillSelection::YoungestFirst => Selection::YoungestFirst,
                KillSelection::OldestFirst => Selection::OldestFirst,
            },
            unreachable: match self.unreachable_strategy {
                UnreachableStrategy::Disabled => Unreachable::Disabled,
                UnreachableStrategy::Enabled {
                    inactive_after_seconds,
                    expunge_after_seconds,
                } => Unreachable::Enabled {
                    inactive_after: seconds(inactive_after_seconds),
                    expunge_after: seconds(expunge_after_seconds),
                },
            },
            dependencies: self.dependencies.iter().map(|id| AppId::recorded(id)).collect(),
            wire: serde_json::to_vec(self)?.into(),
        })
    }

    /// Host ports of each instance, in the order of their definition. Mappings that are not published have none.
    fn host_ports(&self) -> Vec<HostPort> {
        let asked = |port: u16| match port {
            0 => HostPort::Any,
            port => HostPort::Fixed(port),
        };
        if let Some(definitions) = &self.port_definitions {
            return definitions
                .iter()
                .map(|port| asked(if self.require_ports { port.port } else { 0 }))
                .collect();
        }
        let mappings = self.container.as_ref().and_then(|c| c.port_mappings.as_ref());
        mappings
            .into_iter()
            .flatten()
            .filter_map(|mapping| mapping.host_port.map(asked))
            .collect()
    }

    /// The whole app as JSON, with `instances` and without versions.
    ///
    /// # Errors
    /// As [`App::to_spec`].
    pub fn to_json(&self) -> Result<serde_json::Value, serde_json::Error> {
        let mut value = serde_json::to_value(self)?;
        if let Some(object) = value.as_object_mut() {
            object.insert("instances".to_owned(), self.instances.into());
        }
        Ok(value)
    }

    /// Its service ports, in the order of their definition; 0 where none is assigned yet.
    pub fn service_ports(&self) -> Vec<u16> {
        let mappings = self.container.as_ref().and_then(|c| c.port_mappings.as_ref());
        match (&self.port_definitions, mappings) {
            (Some(ports), _) => ports.iter().map(|port| port.port).collect(),
            (None, Some(ports)) => ports.iter().map(|port| port.service_port).collect(),
            (None, None) => Vec::new(),
        }
    }

    /// Service ports that may be assigned: those of an app that requires its ports are host ports, and 0 means any.
    pub(crate) fn open_service_ports(&mut self) -> Vec<&mut u16> {
        let require = self.require_ports;
        let mappings = self.container.as_mut().and_then(|c| c.port_mappings.as_mut());
        match (&mut self.port_definitions, mappings) {
            (Some(_), _) if require => Vec::new(),
            (Some(ports), _) => ports.iter_mut().map(|port| &mut port.port).collect(),
            (None, Some(ports)) => ports.iter_mut().map(|port| &mut port.service_port).collect(),
            (None, None) => Vec::new(),
        }
    }
}

/// The app of a stored definition.
///
/// # Errors
/// When the bytes are not what [`App::to_spec`] wrote.
pub fn parse_stored(spec: &AppSpec) -> Result<App, serde_json::Error> {
    let app: App = serde_json::from_slice(&spec.wire)?;
    Ok(App {
        instances: spec.instances,
        ..app
    })
}
