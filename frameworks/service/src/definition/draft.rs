//! A definition as a user writes it: every field may be missing, and old spellings stand beside the new ones.
//!
//! Reading only looks at types and ranges of single fields. What fields mean together is checked later
//! ([`super::migrate`], [`super::validate`]), when old spellings are gone and defaults are known.

mod checks;
mod container;

use super::app::{App, Fetch, KillSelection, Limit, ResourceLimits, UnreachableStrategy, UpgradeStrategy};
use super::checks::{Check, HealthCheck, ReadinessCheck};
use super::container::Container;
use super::network::{Network, PortDefinition, PortMapping};
use super::reader::Object;
use std::collections::BTreeMap;

/// A definition in which every field may be missing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Draft {
    pub(crate) id: Option<String>,
    pub(crate) cmd: Option<String>,
    pub(crate) args: Option<Vec<String>>,
    pub(crate) user: Option<String>,
    pub(crate) env: Option<BTreeMap<String, String>>,
    pub(crate) instances: Option<u32>,
    pub(crate) cpus: Option<f64>,
    pub(crate) mem: Option<f64>,
    pub(crate) disk: Option<f64>,
    pub(crate) gpus: Option<u32>,
    pub(crate) resource_limits: Option<ResourceLimits>,
    pub(crate) executor: Option<String>,
    pub(crate) labels: Option<BTreeMap<String, String>>,
    pub(crate) tty: Option<bool>,
    pub(crate) role: Option<String>,
    pub(crate) accepted_resource_roles: Option<Vec<String>>,
    pub(crate) fetch: Option<Vec<Fetch>>,
    pub(crate) container: Option<Container>,
    pub(crate) networks: Option<Vec<Network>>,
    pub(crate) port_definitions: Option<Vec<PortDefinition>>,
    pub(crate) require_ports: Option<bool>,
    pub(crate) constraints: Option<Vec<Vec<String>>>,
    pub(crate) backoff_seconds: Option<u32>,
    pub(crate) backoff_factor: Option<f64>,
    pub(crate) max_launch_delay_seconds: Option<u32>,
    pub(crate) task_kill_grace_period_seconds: Option<u32>,
    pub(crate) kill_selection: Option<KillSelection>,
    pub(crate) upgrade_strategy: Option<UpgradeStrategy>,
    pub(crate) unreachable_strategy: Option<UnreachableStrategy>,
    pub(crate) dependencies: Option<Vec<String>>,
    pub(crate) health_checks: Option<Vec<HealthCheck>>,
    pub(crate) readiness_checks: Option<Vec<ReadinessCheck>>,
    pub(crate) check: Option<Check>,
    /// Old spellings.
    pub(crate) legacy: Legacy,
}

/// Spellings of the time before Marathon 1.5.
#[derive(Clone, Debug, Default)]
pub(crate) struct Legacy {
    /// Now `fetch`.
    pub(crate) uris: Option<Vec<String>>,
    /// Now `portDefinitions`.
    pub(crate) ports: Option<Vec<u16>>,
    /// Now `networks` and port mappings.
    pub(crate) ip_address: Option<IpAddress>,
    /// Now `networks`.
    pub(crate) docker_network: Option<DockerNetwork>,
    /// Now `container.portMappings`.
    pub(crate) docker_port_mappings: Option<Vec<PortMapping>>,
}

/// The old way to ask for an address of one's own.
#[derive(Clone, Debug, Default)]
pub(crate) struct IpAddress {
    pub(crate) network_name: Option<String>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) ports: Vec<PortMapping>,
}

/// The old names of networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DockerNetwork {
    Bridge,
    Host,
    None,
    User,
}

impl Draft {
    /// Reads a definition; what is wrong is noted with the object.
    pub(crate) fn read(object: Object<'_>) -> Draft {
        refuse_later_fields(&object);
        let mut legacy = Legacy {
            uris: object.strings("uris"),
            ports: ports(&object),
            ip_address: object.object("ipAddress", ip_address),
            ..Legacy::default()
        };
        let container = object.object("container", |object| container::read(object, &mut legacy));
        Draft {
            id: object.string("id"),
            cmd: object.string("cmd"),
            args: object.strings("args"),
            user: object.string("user"),
            env: environment(&object),
            instances: object.count("instances"),
            cpus: object.amount("cpus"),
            mem: object.amount("mem"),
            disk: object.amount("disk"),
            gpus: object.count("gpus"),
            resource_limits: object.object("resourceLimits", resource_limits),
            executor: object.string("executor"),
            labels: object.texts("labels"),
            tty: object.boolean("tty"),
            role: object.string("role"),
            accepted_resource_roles: object.strings("acceptedResourceRoles"),
            fetch: object.objects("fetch", fetch),
            container,
            networks: object.objects("networks", container::network),
            port_definitions: object.objects("portDefinitions", container::port_definition),
            require_ports: object.boolean("requirePorts"),
            constraints: object.rows("constraints"),
            backoff_seconds: object.count("backoffSeconds"),
            backoff_factor: object.number("backoffFactor"),
            max_launch_delay_seconds: object.count("maxLaunchDelaySeconds"),
            task_kill_grace_period_seconds: object.count("taskKillGracePeriodSeconds"),
            kill_selection: object.choice(
                "killSelection",
                &[
                    ("YOUNGEST_FIRST", KillSelection::YoungestFirst),
                    ("OLDEST_FIRST", KillSelection::OldestFirst),
                ],
            ),
            upgrade_strategy: object.object("upgradeStrategy", upgrade_strategy),
            unreachable_strategy: object.word_or_object(
                "unreachableStrategy",
                |word| (word == "disabled").then_some(UnreachableStrategy::Disabled),
                unreachable_strategy,
            ),
            dependencies: object.strings("dependencies"),
            health_checks: object.objects("healthChecks", checks::health),
            readiness_checks: object.objects("readinessChecks", checks::readiness),
            check: object.object("check", checks::reported),
            legacy,
        }
    }

    /// The draft that asks for exactly what is there.
    pub(crate) fn of(app: &App) -> Draft {
        let app = app.clone();
        Draft {
            id: Some(app.id),
            cmd: app.cmd,
            args: (!app.args.is_empty()).then_some(app.args),
            user: app.user,
            env: Some(app.env),
            instances: Some(app.instances),
            cpus: Some(app.cpus),
            mem: Some(app.mem),
            disk: Some(app.disk),
            gpus: Some(app.gpus),
            resource_limits: app.resource_limits,
            executor: Some(app.executor),
            labels: Some(app.labels),
            tty: app.tty,
            role: Some(app.role),
            accepted_resource_roles: app
                .accepted_resource_roles
                .map(|roles| roles.into_iter().collect()),
            fetch: Some(app.fetch),
            container: app.container,
            networks: Some(app.networks),
            port_definitions: app.port_definitions,
            require_ports: Some(app.require_ports),
            constraints: Some(app.constraints),
            backoff_seconds: Some(app.backoff_seconds),
            backoff_factor: Some(app.backoff_factor),
            max_launch_delay_seconds: Some(app.max_launch_delay_seconds),
            task_kill_grace_period_seconds: app.task_kill_grace_period_seconds,
            kill_selection: Some(app.kill_selection),
            upgrade_strategy: Some(app.upgrade_strategy),
            unreachable_strategy: Some(app.unreachable_strategy),
            dependencies: Some(app.dependencies.into_iter().collect()),
            health_checks: Some(app.health_checks),
            readiness_checks: Some(app.readiness_checks),
            check: app.check,
            legacy: Legacy::default(),
        }
    }

    /// This draft with what `update` says: fields it does not have keep their value, those it has are replaced whole.
    /// A command takes the place of arguments and the other way round.
    pub(crate) fn updated(self, update: Draft) -> Draft {
        let has_args = update.args.as_ref().is_some_and(|args| !args.is_empty());
        let (cmd, args) = match (&update.cmd, has_args) {
            (None, false) => (self.cmd, update.args.or(self.args)),
            (None, true) => (None, update.args),
            (Some(_), _) => (update.cmd, update.args),
        };
        Draft {
            id: update.id.or(self.id),
            cmd,
            args,
            user: update.user.or(self.user),
            env: update.env.or(self.env),
            instances: update.instances.or(self.instances),
            cpus: update.cpus.or(self.cpus),
            mem: update.mem.or(self.mem),
            disk: update.disk.or(self.disk),
            gpus: update.gpus.or(self.gpus),
            resource_limits: update.resource_limits.or(self.resource_limits),
            executor: update.executor.or(self.executor),
            labels: update.labels.or(self.labels),
            tty: update.tty.or(self.tty),
            role: update.role.or(self.role),
            accepted_resource_roles: update.accepted_resource_roles.or(self.accepted_resource_roles),
            fetch: update.fetch.or(self.fetch),
            container: update.container.or(self.container),
            networks: update.networks.or(self.networks),
            port_definitions: update.port_definitions.or(self.port_definitions),
            require_ports: update.require_ports.or(self.require_ports),
            constraints: update.constraints.or(self.constraints),
            backoff_seconds: update.backoff_seconds.or(self.backoff_seconds),
            backoff_factor: update.backoff_factor.or(self.backoff_factor),
            max_launch_delay_seconds: update.max_launch_delay_seconds.or(self.max_launch_delay_seconds),
            task_kill_grace_period_seconds: update
                .task_kill_grace_period_seconds
                .or(self.task_kill_grace_period_seconds),
            kill_selection: update.kill_selection.or(self.kill_selection),
            upgrade_strategy: update.upgrade_strategy.or(self.upgrade_strategy),
            unreachable_strategy: update.unreachable_strategy.or(self.unreachable_strategy),
            dependencies: update.dependencies.or(self.dependencies),
            health_checks: update.health_checks.or(self.health_checks),
            readiness_checks: update.readiness_checks.or(self.readiness_checks),
            check: update.check.or(self.check),
            legacy: Legacy::default(),
        }
    }
}

/// Fields of Marathon that mean something this release does not do. Ignoring them would run something else than was
/// asked for.
fn refuse_later_fields(object: &Object<'_>) {
    if object.entries("secrets").is_some_and(|secrets| secrets > 0) {
        object.rule(
            "secrets",
            "Feature secrets is not enabled (--enable_features secrets): this release has no secret store",
        );
    }
    if object.has("executorResources") {
        object.rule(
            "executorResources",
            "custom executors are not supported in this release",
        );
    }
}

/// `KEY: "text"`; a reference to a secret cannot be resolved.
fn environment(object: &Object<'_>) -> Option<BTreeMap<String, String>> {
    object.map_of("env", |value, path| match value {
        serde_json::Value::Object(reference) => {
            let key = reference.get("secret").and_then(serde_json::Value::as_str);
            match key {
                Some(key) => {
                    object.problems().rule(
                        format!("{path}/secret"),
                        format!("references an undefined secret named '{key}'"),
                    );
                    object.rule(
                        "env",
                        "Feature secrets is not enabled (--enable_features secrets): this release has no secret store",
                    );
                }
                None => object
                    .problems()
                    .shape(format!("{path}/secret"), "error.path.missing"),
            }
            None
        }
        _ => object.text(value, || path.to_owned()),
    })
}

fn ports(object: &Object<'_>) -> Option<Vec<u16>> {
    let numbers = object.integers("ports")?;
    let ports = numbers
        .into_iter()
        .enumerate()
        .filter_map(|(index, number)| match u16::try_from(number) {
            Ok(port) => Some(port),
            Err(_) => {
                object.problems().rule(
                    format!("{}({index})", object.path_of("ports")),
                    format!("got {number}, expected between 0 and 65535"),
                );
                None
            }
        });
    Some(ports.collect())
}

fn ip_address(object: Object<'_>) -> Option<IpAddress> {
    let ports = object.object("discovery", |discovery| {
        discovery.objects("ports", |port| {
            Some(PortMapping {
                container_port: port.required("number", port.port("number"))?,
                host_port: None,
                service_port: 0,
                protocol: container::protocol(&port),
                name: port.required("name", port.string("name")),
                labels: port.texts("labels").unwrap_or_default(),
                network_names: Vec::new(),
            })
        })
    });
    Some(IpAddress {
        network_name: object.string("networkName"),
        labels: object.texts("labels").unwrap_or_default(),
        ports: ports.unwrap_or_default(),
    })
}

fn resource_limits(object: Object<'_>) -> Option<ResourceLimits> {
    let limit = |name| {
        object
            .amount_or_word(name, "unlimited")
            .map(|amount| amount.map_or(Limit::Unlimited, Limit::Amount))
    };
    Some(ResourceLimits {
        cpus: limit("cpus"),
        mem: limit("mem"),
    })
}

/// Longest URI of an artifact, as in Marathon.
const URI_CHARS_MAX: usize = 1024;

fn fetch(object: Object<'_>) -> Option<Fetch> {
    let uri = object.required("uri", object.string("uri"))?;
    if uri.chars().count() > URI_CHARS_MAX {
        object.rule("uri", &format!("expected at most {URI_CHARS_MAX} characters"));
    }
    Some(Fetch {
        uri,
        extract: object.boolean("extract").unwrap_or(true),
        executable: object.boolean("executable").unwrap_or(false),
        cache: object.boolean("cache").unwrap_or(false),
        dest_path: object.string("destPath"),
    })
}

fn upgrade_strategy(object: Object<'_>) -> Option<UpgradeStrategy> {
    Some(UpgradeStrategy {
        minimum_health_capacity: object.part("minimumHealthCapacity").unwrap_or(1.0),
        maximum_over_capacity: object.part("maximumOverCapacity").unwrap_or(1.0),
    })
}

fn unreachable_strategy(object: Object<'_>) -> Option<UnreachableStrategy> {
    Some(UnreachableStrategy::Enabled {
        inactive_after_seconds: object.count("inactiveAfterSeconds").unwrap_or(0),
        expunge_after_seconds: object.count("expungeAfterSeconds").unwrap_or(0),
    })
}
