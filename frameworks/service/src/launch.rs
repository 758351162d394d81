//! From an instance and its definition to the task the master is asked for.
//!
//! What goes where follows Marathon 1.11 (its `TaskBuilder`, `EnvironmentHelper`, `PortDiscovery` and
//! `MesosHealthCheck`). Pure: a function of the launch and the offer.

mod checks;
mod container;
mod environment;
mod ports;

use crate::definition;
use meseta_sdk::proto as v1;
use meseta_service_core::io::Launch;
use ports::Port;

/// The task of a launch with these resources of its offer.
pub(crate) fn task(
    launch: &Launch,
    app: &definition::App,
    offer: &v1::Offer,
    resources: Vec<v1::Resource>,
) -> v1::TaskInfo {
    let spec = &launch.spec;
    let ports = ports::ports(app, &launch.taken.ports);
    v1::TaskInfo {
        name: spec.id.discovery_name(),
        task_id: v1::TaskId {
            value: launch.instance.task_id(),
        },
        agent_id: offer.agent_id.clone(),
        resources,
        command: Some(command(launch, app, &offer.hostname, &ports)),
        container: container::container(app, &ports),
        health_check: checks::health(app, &ports),
        check: app.check.as_ref().and_then(|check| checks::check(check, &ports)),
        labels: labels(app.labels.iter()),
        discovery: Some(discovery(&spec.id.discovery_name(), &ports)),
        kill_policy: app.task_kill_grace_period_seconds.map(kill_policy),
        limits: limits(app),
        ..Default::default()
    }
}

/// The port of an instance that others reach, by its index in the definition.
pub(crate) fn port(app: &definition::App, host: &[u16], index: usize) -> Option<u16> {
    ports::ports(app, host).get(index).map(Port::told)
}

/// The port of an instance that others reach, by its name.
pub(crate) fn named_port(app: &definition::App, host: &[u16], name: &str) -> Option<u16> {
    let ports = ports::ports(app, host);
    ports.iter().find(|port| port.name == Some(name)).map(Port::told)
}

fn command(launch: &Launch, app: &definition::App, host: &str, ports: &[Port<'_>]) -> v1::CommandInfo {
    let variables = environment::environment(launch, app, host, ports);
    let mut command = v1::CommandInfo {
        environment: Some(v1::Environment {
            variables: variables
                .into_iter()
                .map(|(name, value)| v1::environment::Variable {
                    name,
                    value: Some(value),
                    ..Default::default()
                })
                .collect(),
        }),
        uris: app.fetch.iter().map(uri).collect(),
        user: app.user.clone(),
        ..Default::default()
    };
    let has_image = app.container.as_ref().is_some_and(|c| c.docker.is_some());
    match &app.cmd {
        Some(line) => {
            command.shell = Some(true);
            command.value = Some(line.clone());
        }
        None => {
            command.shell = Some(false);
            // With an image the arguments are its entry point's; otherwise the first one is the program.
            command.value = app.args.first().filter(|_| !has_image).cloned();
            command.arguments = app.args.clone();
        }
    }
    command
}

fn uri(fetch: &definition::Fetch) -> v1::command_info::Uri {
    v1::command_info::Uri {
        value: fetch.uri.clone(),
        executable: Some(fetch.executable),
        extract: Some(fetch.extract),
        cache: Some(fetch.cache),
        output_file: fetch.dest_path.clone(),
    }
}

fn labels<'a>(labels: impl Iterator<Item = (&'a String, &'a String)>) -> Option<v1::Labels> {
    let labels: Vec<v1::Label> = labels
        .map(|(key, value)| v1::Label {
            key: key.clone(),
            value: Some(value.clone()),
        })
        .collect();
    (!labels.is_empty()).then_some(v1::Labels { labels })
}

fn kill_policy(seconds: u32) -> v1::KillPolicy {
    v1::KillPolicy {
        grace_period: Some(v1::DurationInfo {
            nanoseconds: i64::from(seconds) * 1_000_000_000,
        }),
    }
}

fn limits(app: &definition::App) -> std::collections::BTreeMap<String, v1::value::Scalar> {
    let limits = app.resource_limits.unwrap_or_default();
    let named = [("cpus", limits.cpus), ("mem", limits.mem)];
    let scalars = named.into_iter().filter_map(|(name, limit)| {
        let value = match limit? {
            definition::Limit::Unlimited => f64::INFINITY,
            definition::Limit::Amount(amount) => amount,
        };
        Some((name.to_owned(), v1::value::Scalar { value }))
    });
    scalars.collect()
}

/// What Mesos tells service discovery: one entry per port and protocol.
fn discovery(name: &str, ports: &[Port<'_>]) -> v1::DiscoveryInfo {
    let entries = ports.iter().flat_map(|port| {
        port.protocol.names().iter().map(|protocol| {
            let mut labels = port.labels.clone();
            let scope = if port.is_on_host { "host" } else { "container" };
            labels.insert("network-scope".to_owned(), scope.to_owned());
            if let Some(network) = port.network {
                labels.insert("network-name".to_owned(), network.to_owned());
            }
            v1::Port {
                number: u32::from(port.discovered()),
                name: port.name.map(str::to_owned),
                protocol: Some((*protocol).to_owned()),
                labels: self::labels(labels.iter()),
                ..Default::default()
            }
        })
    });
    v1::DiscoveryInfo {
        visibility: v1::discovery_info::Visibility::Framework as i32,
        name: Some(name.to_owned()),
        ports: Some(v1::Ports {
            ports: entries.collect(),
        }),
        ..Default::default()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
