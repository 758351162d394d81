//! Old spellings become new ones, as Marathon 1.5 and later do it, before any rule is checked.

use super::app::Fetch;
use super::container::{Container, Engine};
use super::draft::{DockerNetwork, Draft, IpAddress, Legacy};
use super::network::{Network, NetworkMode, PortDefinition, PortMapping};
use super::problems::Problems;

/// Suffixes of artifacts that were unpacked when nobody could say so.
const ARCHIVES: [&str; 7] = [".tgz", ".tar.gz", ".tbz2", ".tar.bz2", ".txz", ".tar.xz", ".zip"];

/// The name under which the bridge could be asked for as if it were a container network.
const BRIDGE_NAME: &str = "mesos-bridge";

/// Translates everything old in a draft.
pub(super) fn migrate(draft: &mut Draft, problems: &Problems) {
    let legacy = std::mem::take(&mut draft.legacy);
    artifacts(draft, legacy.uris.as_deref(), problems);
    let has_old_networks = legacy.docker_network.is_some() || legacy.ip_address.is_some();
    conflicts(draft, &legacy, problems);
    if has_old_networks {
        draft.networks = Some(networks(
            legacy.docker_network,
            legacy.ip_address.as_ref(),
            problems,
        ));
    }
    if legacy.ip_address.is_some() && draft.container.is_none() {
        draft.container = Some(Container::default());
    }
    if let Some(container) = &mut draft.container {
        port_mappings(
            container,
            legacy.docker_port_mappings,
            legacy.ip_address,
            problems,
        );
    }
    let has_old_ports = legacy.ports.is_some();
    if draft.port_definitions.is_none() {
        draft.port_definitions = legacy.ports.map(|ports| {
            ports
                .into_iter()
                .map(|port| PortDefinition {
                    port,
                    ..PortDefinition::default()
                })
                .collect()
        });
    }
    if has_old_networks || has_old_ports {
        fit_ports(draft, has_old_networks);
    }
}

fn artifacts(draft: &mut Draft, uris: Option<&[String]>, problems: &Problems) {
    let Some(uris) = uris.filter(|uris| !uris.is_empty()) else {
        return;
    };
    let has_fetch = draft.fetch.as_ref().is_some_and(|fetch| !fetch.is_empty());
    problems.require(!has_fetch, "/uris", "may not be set in conjunction with fetch");
    for (index, uri) in uris.iter().enumerate() {
        problems.require(
            super::validate::is_uri(uri),
            &format!("/uris({index})"),
            "URI has invalid syntax.",
        );
    }
    if !has_fetch {
        let fetch = uris.iter().map(|uri| Fetch {
            uri: uri.clone(),
            extract: ARCHIVES.iter().any(|suffix| uri.ends_with(suffix)),
            executable: false,
            cache: false,
            dest_path: None,
        });
        draft.fetch = Some(fetch.collect());
    }
}

/// Old and new spellings of the same thing side by side.
fn conflicts(draft: &Draft, legacy: &Legacy, problems: &Problems) {
    let networks = draft
        .networks
        .as_ref()
        .is_some_and(|networks| !networks.is_empty());
    problems.require(
        !(networks && legacy.docker_network.is_some()),
        "/",
        "must not specify both container.docker.network and networks",
    );
    problems.require(
        !(networks && legacy.ip_address.is_some()),
        "/",
        "must not specify both networks and ipAddress",
    );
    let ports = legacy.ports.as_deref().unwrap_or_default();
    let definitions = draft.port_definitions.as_deref().unwrap_or_default();
    problems.require(
        ports.is_empty()
            || definitions.is_empty()
            || definitions
                .iter()
                .map(|definition| definition.port)
                .eq(ports.iter().copied()),
        "/",
        "cannot specify both ports and port definitions",
    );
    problems.require(
        legacy.ip_address.is_none() || (ports.is_empty() && definitions.is_empty()),
        "/",
        "cannot specify both an IP address and port",
    );
    let mut fixed: Vec<u16> = ports.iter().copied().filter(|port| *port != 0).collect();
    let count = fixed.len();
    fixed.sort_unstable();
    fixed.dedup();
    problems.require(fixed.len() == count, "/ports", "Ports must be unique.");
}

fn networks(old: Option<DockerNetwork>, address: Option<&IpAddress>, problems: &Problems) -> Vec<Network> {
    let labels = address.map(|address| address.labels.clone()).unwrap_or_default();
    let name = address.and_then(|address| address.network_name.clone());
    let network = match old {
        Some(DockerNetwork::Host) => Network::default(),
        Some(DockerNetwork::Bridge) => Network {
            mode: NetworkMode::Bridge,
            name: None,
            labels,
        },
        Some(DockerNetwork::None) => {
            problems.rule(
                "/container/docker/network",
                "unsupported docker network type NONE",
            );
            Network::default()
        }
        None if name.as_deref() == Some(BRIDGE_NAME) => Network {
            mode: NetworkMode::Bridge,
            name: None,
            labels,
        },
        Some(DockerNetwork::User) | None => Network {
            mode: NetworkMode::Container,
            name,
            labels,
        },
    };
    vec![network]
}

fn port_mappings(
    container: &mut Container,
    old: Option<Vec<PortMapping>>,
    address: Option<IpAddress>,
    problems: &Problems,
) {
    if let Some(old) = old.filter(|old| !old.is_empty()) {
        if container.port_mappings.is_some() {
            problems.rule(
                "/container",
                "cannot specify both portMappings and docker.portMappings",
            );
        }
        container.port_mappings = Some(old);
    }
    let Some(address) = address.filter(|address| !address.ports.is_empty()) else {
        return;
    };
    if container.r#type == Engine::Docker {
        problems.rule(
            "/ipAddress",
            "ipAddress/discovery is not allowed for Docker containers",
        );
    } else if container.port_mappings.is_some() {
        problems.rule(
            "/container",
            "container.portMappings and ipAddress.discovery.ports must not both be set",
        );
    } else {
        container.port_mappings = Some(address.ports);
    }
}

/// Old definitions name ports in both places. Those that do not fit the network are dropped; a container gets as many
/// mappings as there were ports.
fn fit_ports(draft: &mut Draft, has_old_networks: bool) {
    let Some(networks) = draft.networks.as_deref().filter(|networks| !networks.is_empty()) else {
        return;
    };
    if networks.iter().any(|network| network.mode != NetworkMode::Host) {
        let count = draft.port_definitions.take().map_or(0, |ports| ports.len());
        if let Some(mappings) = draft.container.as_mut().and_then(|c| c.port_mappings.as_mut())
            && mappings.len() < count
        {
            mappings.resize_with(count, PortMapping::default);
        }
    } else if has_old_networks && let Some(container) = &mut draft.container {
        container.port_mappings = None;
    }
}
