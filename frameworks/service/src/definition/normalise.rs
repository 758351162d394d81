//! Writes the defaults out: a draft becomes an app.

use super::app::{App, UnreachableStrategy, UpgradeStrategy, single_instance};
use super::checks::{HealthCheck, HealthProtocol};
use super::container::Container;
use super::draft::Draft;
use super::network::{Network, NetworkMode, PortDefinition, PortMapping};
use super::rules::{AcceptedRoles, Rules};
use meseta_service_core::app::AppId;
use std::collections::BTreeSet;

/// Name of the port an app gets when it says nothing about ports.
const DEFAULT_PORT_NAME: &str = "default";

/// The app that a draft means. Dependencies are made absolute by the caller, who can refuse them.
pub(super) fn app(draft: Draft, id: &AppId, dependencies: BTreeSet<String>, rules: &Rules) -> App {
    let labels = draft.labels.unwrap_or_default();
    let is_single = single_instance(&labels);
    let role = draft.role.unwrap_or_else(|| rules.role.clone());
    let networks = networks(draft.networks, rules);
    let container = container(draft.container, &networks);
    let is_host = networks.iter().all(|network| network.mode == NetworkMode::Host);
    let port_definitions = is_host.then(|| {
        draft.port_definitions.unwrap_or_else(|| {
            vec![PortDefinition {
                name: Some(DEFAULT_PORT_NAME.to_owned()),
                ..PortDefinition::default()
            }]
        })
    });
    let ports = port_definitions.as_ref().map_or_else(
        || {
            container
                .as_ref()
                .and_then(|c| c.port_mappings.as_ref())
                .map_or(0, Vec::len)
        },
        Vec::len,
    );
    App {
        id: id.to_string(),
        cmd: draft.cmd,
        args: draft.args.unwrap_or_default(),
        user: draft.user,
        env: draft.env.unwrap_or_default(),
        instances: draft.instances.unwrap_or(1),
        cpus: draft.cpus.unwrap_or(1.0),
        mem: draft.mem.unwrap_or(128.0),
        disk: draft.disk.unwrap_or(0.0),
        gpus: draft.gpus.unwrap_or(0),
        resource_limits: draft.resource_limits,
        executor: draft.executor.unwrap_or_default(),
        labels,
        tty: draft.tty,
        accepted_resource_roles: draft
            .accepted_resource_roles
            .map(|roles| roles.into_iter().collect())
            .or_else(|| match rules.accepted_roles {
                AcceptedRoles::Any => None,
                AcceptedRoles::Unreserved => Some(BTreeSet::from(["*".to_owned()])),
                AcceptedRoles::Reserved => Some(BTreeSet::from([role.clone()])),
            }),
        role,
        fetch: draft.fetch.unwrap_or_default(),
        container,
        networks,
        port_definitions,
        require_ports: is_host && draft.require_ports.unwrap_or(false),
        constraints: draft.constraints.unwrap_or_default(),
        backoff_seconds: draft.backoff_seconds.unwrap_or(1),
        backoff_factor: draft.backoff_factor.unwrap_or(1.15),
        max_launch_delay_seconds: draft.max_launch_delay_seconds.unwrap_or(300),
        task_kill_grace_period_seconds: draft.task_kill_grace_period_seconds,
        kill_selection: draft.kill_selection.unwrap_or_default(),
        upgrade_strategy: draft.upgrade_strategy.unwrap_or(UpgradeStrategy {
            minimum_health_capacity: if is_single { 0.0 } else { 1.0 },
            maximum_over_capacity: if is_single { 0.0 } else { 1.0 },
        }),
        unreachable_strategy: draft
            .unreachable_strategy
            .unwrap_or(UnreachableStrategy::Enabled {
                inactive_after_seconds: 0,
                expunge_after_seconds: 0,
            }),
        dependencies,
        health_checks: health_checks(draft.health_checks.unwrap_or_default(), ports),
        readiness_checks: draft.readiness_checks.unwrap_or_default(),
        check: draft.check,
    }
}

/// The networks that a draft means.
pub(super) fn networks(given: Option<Vec<Network>>, rules: &Rules) -> Vec<Network> {
    let mut networks = given
        .filter(|networks| !networks.is_empty())
        .unwrap_or_else(|| vec![Network::default()]);
    for network in &mut networks {
        if network.mode == NetworkMode::Container && network.name.is_none() {
            network.name.clone_from(&rules.default_network);
        }
    }
    networks
}

fn container(given: Option<Container>, networks: &[Network]) -> Option<Container> {
    if networks.iter().all(|network| network.mode == NetworkMode::Host) {
        return given.map(|container| Container {
            port_mappings: None,
            ..container
        });
    }
    let is_bridge = networks.iter().any(|network| network.mode == NetworkMode::Bridge);
    let mut container = given.unwrap_or_default();
    let mappings = container.port_mappings.get_or_insert_with(|| {
        vec![PortMapping {
            name: Some(DEFAULT_PORT_NAME.to_owned()),
            ..PortMapping::default()
        }]
    });
    if is_bridge {
        for mapping in mappings {
            mapping.host_port.get_or_insert(0);
        }
    }
    Some(container)
}

/// A check that does not say which port it means, means the first.
fn health_checks(mut checks: Vec<HealthCheck>, ports: usize) -> Vec<HealthCheck> {
    for check in &mut checks {
        let needs_port = check.protocol != HealthProtocol::Command && check.port.is_none();
        if needs_port && check.port_index.is_none() && ports > 0 {
            check.port_index = Some(0);
        }
    }
    checks
}
