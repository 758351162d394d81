//! The rules that fields must keep together. Texts and paths are Marathon's where clients match them.

use super::app::{App, Limit, UnreachableStrategy};
use super::checks::{HealthCheck, HealthProtocol, IpProtocol, Scheme};
use super::container::Engine;
use super::network::{Network, NetworkMode, PortMapping};
use super::problems::Problems;
use super::rules::{GPU_FEATURE, Rules};
use std::collections::BTreeSet;

/// Most instances of one app. Each is a record and a line in every list; an order of magnitude above what anybody has
/// published for one app's usual size, and the whole cluster's target.
pub const INSTANCES_MAX: u32 = 100_000;

/// Largest definition, as JSON: a stored value may have 512 KiB, and a task carries most of it to the agent.
pub const DEFINITION_BYTES_MAX: usize = 384 * 1024;

/// Checks a normalised app.
pub(super) fn app(app: &App, rules: &Rules, problems: &Problems) {
    process(app, problems);
    amounts(app, rules, problems);
    roles(app, rules, problems);
    networks(&app.networks, app, problems);
    ports(app, problems);
    health_checks(app, problems);
    readiness_checks(app, problems);
    strategies(app, problems);
    constraints(app, problems);
    for (index, fetch) in app.fetch.iter().enumerate() {
        problems.require(
            is_uri(&fetch.uri),
            &format!("/fetch({index})/uri"),
            "URI has invalid syntax.",
        );
    }
    let too_large = serde_json::to_vec(app).map_or(true, |json| json.len() > DEFINITION_BYTES_MAX);
    problems.require(!too_large, "/", "must not take more than 384 KiB as JSON");
}

fn process(app: &App, problems: &Problems) {
    let (cmd, args) = (app.cmd.is_some(), !app.args.is_empty());
    let image = app
        .container
        .as_ref()
        .is_some_and(|container| container.docker.is_some());
    problems.require(
        (cmd != args) || (!(cmd && args) && image),
        "/",
        "AppDefinition must either contain one of 'cmd' or 'args', and/or a 'container'.",
    );
    problems.require(
        app.cmd.as_ref().is_none_or(|cmd| cmd.chars().count() > 1),
        "/",
        "must not be an empty string",
    );
    let known = app.executor.is_empty() || app.executor == "//cmd";
    problems.require(
        known,
        "/executor",
        "custom executors are not supported in this release",
    );
    if let Some(container) = &app.container {
        let docker = container.docker.as_ref();
        problems.require(
            container.r#type != Engine::Docker || docker.is_some(),
            "/container/docker",
            "not defined",
        );
        problems.require(
            container.r#type != Engine::Mesos || docker.is_none_or(|docker| docker.parameters.is_empty()),
            "/container/docker/parameters",
            "must be empty",
        );
    }
    for name in app
        .env
        .keys()
        .filter(|name| name.is_empty() || name.contains('='))
    {
        problems.rule(format!("/env/{name}"), "must have a name without '='");
    }
    let is_docker = is_docker(app);
    problems.require(
        !(is_docker && app.tty == Some(true)),
        "/tty",
        "a terminal only works with the Mesos containerizer",
    );
}

fn is_docker(app: &App) -> bool {
    app.container
        .as_ref()
        .is_some_and(|container| container.r#type == Engine::Docker)
}

fn amounts(app: &App, rules: &Rules, problems: &Problems) {
    if app.instances > INSTANCES_MAX {
        problems.rule(
            "/instances",
            format!("got {}, expected {INSTANCES_MAX} or less", app.instances),
        );
    }
    if app.is_single_instance() && app.instances > 1 {
        problems.rule(
            "/instances",
            format!(
                "got {}, expected 1 or less: a single-instance app may only have one instance",
                app.instances
            ),
        );
    }
    if app.gpus > 0 {
        problems.require(
            !is_docker(app),
            "/",
            "GPU resources only work with the Mesos containerizer",
        );
        if !rules.features.contains(GPU_FEATURE) {
            problems.rule(
                "/",
                format!("Feature {GPU_FEATURE} is not enabled. Enable with --enable_features {GPU_FEATURE}"),
            );
        }
    }
    let limits = app.resource_limits.unwrap_or_default();
    for (name, limit, request) in [("cpus", limits.cpus, app.cpus), ("mem", limits.mem, app.mem)] {
        if let Some(Limit::Amount(limit)) = limit
            && limit < request
        {
            problems.rule(
                format!("/resourceLimits/{name}"),
                format!("got {limit}, expected {request} or more, or \"unlimited\""),
            );
        }
    }
    problems.require(
        app.backoff_factor >= 1.0,
        "/backoffFactor",
        &format!("got {}, expected 1 or more", app.backoff_factor),
    );
}

fn roles(app: &App, rules: &Rules, problems: &Problems) {
    if app.role != rules.role {
        problems.rule(
            "/role",
            format!("got {}, expected one of: [{}]", app.role, rules.role),
        );
    }
    if let Some(roles) = &app.accepted_resource_roles {
        problems.require(!roles.is_empty(), "/acceptedResourceRoles", "must not be empty");
        for role in roles {
            if role != "*" && *role != app.role {
                problems.rule(
                    "/acceptedResourceRoles",
                    format!("got {role}, expected one of: [*, {}]", app.role),
                );
            }
        }
    }
}

fn networks(networks: &[Network], app: &App, problems: &Problems) {
    let count = |mode| networks.iter().filter(|network| network.mode == mode).count();
    let of = |mode| networks.iter().filter(move |network| network.mode == mode);
    let (hosts, bridges, containers) = (
        count(NetworkMode::Host),
        count(NetworkMode::Bridge),
        count(NetworkMode::Container),
    );
    problems.require(
        !of(NetworkMode::Host).any(|network| network.name.is_some() || !network.labels.is_empty()),
        "/networks",
        "Host networks may not have names or labels",
    );
    problems.require(
        !of(NetworkMode::Bridge).any(|network| network.name.is_some()),
        "/networks",
        "Bridge networks may not have names",
    );
    let names: Vec<&String> = networks
        .iter()
        .filter_map(|network| network.name.as_ref())
        .collect();
    problems.require(
        names.iter().collect::<BTreeSet<_>>().len() == names.len(),
        "/networks",
        "Duplicate networks are not allowed",
    );
    let alone = hosts + bridges + containers == 1;
    problems.require(
        alone || (hosts == 0 && bridges == 0),
        "/networks",
        "May specify a single host network, single bridge network, or else 1-to-n container networks",
    );
    problems.require(
        !of(NetworkMode::Container).any(|network| network.name.is_none()),
        "/networks",
        "Network name must be specified when container network is selected.",
    );
    problems.require(
        !(is_docker(app) && containers > 1),
        "/",
        "may only specify a single container network when using the Docker container engine",
    );
}

fn ports(app: &App, problems: &Problems) {
    if let Some(definitions) = &app.port_definitions {
        let names = definitions.iter().filter_map(|port| port.name.as_ref());
        problems.require(
            are_unique(names),
            "/portDefinitions",
            "Port names must be unique.",
        );
        let numbers = definitions.iter().map(|port| port.port).filter(|port| *port != 0);
        problems.require(are_unique(numbers), "/portDefinitions", "Ports must be unique.");
    }
    let Some(mappings) = app.container.as_ref().and_then(|c| c.port_mappings.as_ref()) else {
        return;
    };
    let names = mappings.iter().filter_map(|port| port.name.as_ref());
    problems.require(
        are_unique(names),
        "/container/portMappings",
        "Port names must be unique.",
    );
    let known: Vec<&String> = app
        .networks
        .iter()
        .filter_map(|network| network.name.as_ref())
        .collect();
    for (index, mapping) in mappings.iter().enumerate() {
        let path = format!("/container/portMappings({index})");
        networks_of_port(mapping, &known, &path, problems);
    }
}

fn networks_of_port(mapping: &PortMapping, known: &[&String], path: &str, problems: &Problems) {
    problems.require(
        !(known.len() > 1 && mapping.host_port.is_some() && mapping.network_names.len() != 1),
        path,
        "networkNames must be a single item list when hostPort is specified and more than 1 container network is defined",
    );
    for (index, name) in mapping.network_names.iter().enumerate() {
        if !known.contains(&name) {
            let all: Vec<&str> = known.iter().map(|name| name.as_str()).collect();
            problems.rule(
                format!("{path}/networkNames({index})"),
                format!("is not one of ({})", all.join(",")),
            );
        }
    }
}

fn are_unique<T: Ord>(values: impl Iterator<Item = T>) -> bool {
    let mut seen = BTreeSet::new();
    values.into_iter().all(|value| seen.insert(value))
}

/// How many ports an instance has, and their names.
fn port_names(app: &App) -> (usize, BTreeSet<&str>) {
    let mappings = app.container.as_ref().and_then(|c| c.port_mappings.as_ref());
    match (&app.port_definitions, mappings) {
        (Some(ports), _) => (
            ports.len(),
            ports.iter().filter_map(|port| port.name.as_deref()).collect(),
        ),
        (None, Some(ports)) => (
            ports.len(),
            ports.iter().filter_map(|port| port.name.as_deref()).collect(),
        ),
        (None, None) => (0, BTreeSet::new()),
    }
}

fn health_checks(app: &App, problems: &Problems) {
    let (ports, _) = port_names(app);
    for (index, check) in app.health_checks.iter().enumerate() {
        health_check(
            check,
            ports,
            is_docker(app),
            &format!("/healthChecks({index})"),
            problems,
        );
    }
    let by_agent = app
        .health_checks
        .iter()
        .filter(|check| check.protocol.is_by_agent());
    problems.require(
        by_agent.count() <= 1,
        "/healthChecks",
        "AppDefinition can contain at most one Mesos health check",
    );
    let ports_of_check = app.check.iter().flat_map(|check| {
        let http = check.http.as_ref().map(|http| (http.port_index, http.port));
        let tcp = check.tcp.as_ref().map(|tcp| (tcp.port_index, tcp.port));
        http.into_iter().chain(tcp)
    });
    let http = app.check.as_ref().and_then(|check| check.http.as_ref());
    problems.require(
        http.is_none_or(|http| http.scheme == Scheme::Http),
        "/check/http/scheme",
        "must be HTTP: Mesos's checks know no TLS",
    );
    for (port_index, port) in ports_of_check {
        address_one_port(port_index, port, ports, "/check", problems);
    }
}

fn health_check(check: &HealthCheck, ports: usize, is_docker: bool, path: &str, problems: &Problems) {
    if check.protocol == HealthProtocol::Command {
        problems.require(
            check
                .command
                .as_ref()
                .is_some_and(|command| !command.value.is_empty()),
            path,
            "COMMAND health checks must have a command",
        );
        problems.require(
            check.port.is_none() && check.port_index.is_none(),
            path,
            "COMMAND health checks must have neither port nor portIndex",
        );
    } else {
        problems.require(
            check.command.is_none(),
            path,
            "only COMMAND health checks may have a command",
        );
        address_one_port(check.port_index, check.port, ports, path, problems);
    }
    if check.ip_protocol == IpProtocol::V6 {
        let fits = is_docker && check.protocol.is_by_agent() && check.protocol != HealthProtocol::Command;
        problems.require(
            fits,
            path,
            "IPv6 can only be used for container type DOCKER and Mesos http/https/tcp health checks",
        );
    }
    problems.require(
        check.interval_seconds > 0,
        &format!("{path}/intervalSeconds"),
        "got 0, expected 1 or more",
    );
    problems.require(
        check.timeout_seconds > 0,
        &format!("{path}/timeoutSeconds"),
        "got 0, expected 1 or more",
    );
}

fn address_one_port(index: Option<u32>, port: Option<u16>, ports: usize, path: &str, problems: &Problems) {
    match (index, port) {
        (Some(_), Some(_)) => problems.rule(path, "must not have both port and portIndex"),
        (None, Some(_)) => {}
        (index, None) => problems.require(
            index.is_some_and(|index| (index as usize) < ports),
            path,
            "Health check port indices must address an element of the ports array or container port mappings.",
        ),
    }
}

fn readiness_checks(app: &App, problems: &Problems) {
    let count = app.readiness_checks.len();
    if count > 1 {
        problems.rule("/readinessChecks", format!("got {count}, expected 1 or less"));
    }
    let (_, names) = port_names(app);
    for (index, check) in app.readiness_checks.iter().enumerate() {
        let path = format!("/readinessChecks({index})");
        if check.timeout_seconds >= check.interval_seconds {
            problems.rule(
                format!("{path}/timeoutSeconds"),
                format!(
                    "got {}, expected less than {}",
                    check.timeout_seconds, check.interval_seconds
                ),
            );
        }
        if !names.contains(check.port_name.as_str()) {
            problems.rule(
                format!("{path}/portName"),
                format!("No port definition reference for portName {}", check.port_name),
            );
        }
    }
}

fn strategies(app: &App, problems: &Problems) {
    if app.is_single_instance() {
        for (name, part) in [
            (
                "minimumHealthCapacity",
                app.upgrade_strategy.minimum_health_capacity,
            ),
            ("maximumOverCapacity", app.upgrade_strategy.maximum_over_capacity),
        ] {
            if part != 0.0 {
                problems.rule(
                    format!("/upgradeStrategy/{name}"),
                    format!("got {part}, expected 0 for a single-instance app"),
                );
            }
        }
    }
    if let UnreachableStrategy::Enabled {
        inactive_after_seconds,
        expunge_after_seconds,
    } = app.unreachable_strategy
        && inactive_after_seconds > expunge_after_seconds
    {
        problems.rule(
            "/unreachableStrategy/inactiveAfterSeconds",
            format!(
                "got {inactive_after_seconds}, expected {expunge_after_seconds} (expungeAfterSeconds) or less"
            ),
        );
    }
}

/// The seven operators.
const OPERATORS: [&str; 7] = ["UNIQUE", "CLUSTER", "GROUP_BY", "LIKE", "UNLIKE", "MAX_PER", "IS"];

/// Constraints that Marathon would refuse are refused with its reasons, so that a file can be corrected; the others
/// because placement does not look at them yet.
fn constraints(app: &App, problems: &Problems) {
    for (index, row) in app.constraints.iter().enumerate() {
        let path = format!("/constraints({index})");
        let (Some(field), Some(operator)) = (row.first(), row.get(1)) else {
            problems.rule(path, "Each constraint must have either 2 or 3 fields");
            continue;
        };
        if row.len() > 3 || field.is_empty() {
            problems.rule(path, "Each constraint must have either 2 or 3 fields");
            continue;
        }
        let value = row.get(2);
        let why = match (operator.as_str(), value) {
            (other, _) if !OPERATORS.contains(&other) => {
                "Operator must be one of the following UNIQUE, CLUSTER, GROUP_BY, LIKE, MAX_PER or UNLIKE, IS"
            }
            ("UNIQUE", Some(_)) => "Value specified but not used",
            ("LIKE" | "UNLIKE" | "MAX_PER" | "IS", None) => "A value must be specified",
            ("MAX_PER" | "GROUP_BY", Some(value)) if value.parse::<u32>().is_err() => {
                "Value was specified but is not a number"
            }
            _ => "constraints are not supported in this release",
        };
        problems.rule(path, why);
    }
}

/// Whether a text is a URI: a reference of printable ASCII without the characters that must be escaped, and with
/// complete percent codes.
pub(super) fn is_uri(text: &str) -> bool {
    let bytes = text.as_bytes();
    let plain = |byte: &u8| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(byte);
    let codes = bytes
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'%')
        .all(|(at, _)| {
            bytes
                .get(at + 1..at + 3)
                .is_some_and(|code| code.iter().all(u8::is_ascii_hexdigit))
        });
    let scheme = text.split_once(':').is_none_or(|(scheme, rest)| {
        scheme.contains('/')
            || (!rest.is_empty()
                && scheme.starts_with(|first: char| first.is_ascii_alphabetic())
                && scheme
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b)))
    });
    !bytes.is_empty() && bytes.iter().all(plain) && codes && scheme
}
