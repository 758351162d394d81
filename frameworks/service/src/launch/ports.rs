//! The ports of one instance: as defined, with the host ports it got.

use crate::definition::{self, Protocol};
use std::collections::BTreeMap;

/// One port.
pub(super) struct Port<'a> {
    /// The number in the definition; 0: any.
    pub(super) asked: u16,
    /// On the host, unless it is not published.
    pub(super) host: Option<u16>,
    /// Inside the instance's own network, if it has one; 0: the same as on the host.
    pub(super) container: Option<u16>,
    pub(super) name: Option<&'a str>,
    pub(super) protocol: Protocol,
    pub(super) labels: &'a BTreeMap<String, String>,
    /// Whether service discovery is told the host's number.
    pub(super) is_on_host: bool,
    /// The one network it belongs to, if it names one.
    pub(super) network: Option<&'a str>,
}

impl Port<'_> {
    /// Where the process inside listens.
    pub(super) fn inside(&self) -> u16 {
        match self.container {
            Some(port) if port != 0 => port,
            _ => self.host.unwrap_or(0),
        }
    }

    /// What `PORT` and its kin say: the host's port, or the inner one if there is none.
    pub(super) fn told(&self) -> u16 {
        self.host.unwrap_or_else(|| self.inside())
    }

    /// What service discovery is told.
    pub(super) fn discovered(&self) -> u16 {
        if self.is_on_host {
            self.told()
        } else {
            self.inside()
        }
    }
}

/// The ports of an app with the host ports that an instance got, both in the order of the definition.
pub(super) fn ports<'a>(app: &'a definition::App, host: &[u16]) -> Vec<Port<'a>> {
    let mut host = host.iter().copied();
    if let Some(definitions) = &app.port_definitions {
        let port = |port: &'a definition::PortDefinition| Port {
            asked: port.port,
            host: host.next(),
            container: None,
            name: port.name.as_deref(),
            protocol: port.protocol,
            labels: &port.labels,
            is_on_host: true,
            network: None,
        };
        return definitions.iter().map(port).collect();
    }
    let mappings = app.container.as_ref().and_then(|c| c.port_mappings.as_ref());
    let mapping = |mapping: &'a definition::PortMapping| Port {
        asked: mapping.container_port,
        host: mapping.host_port.and_then(|_| host.next()),
        container: Some(mapping.container_port),
        name: mapping.name.as_deref(),
        protocol: mapping.protocol,
        labels: &mapping.labels,
        is_on_host: mapping.host_port.is_some(),
        network: match mapping.network_names.as_slice() {
            [only] => Some(only),
            _ => None,
        },
    };
    mappings.into_iter().flatten().map(mapping).collect()
}
