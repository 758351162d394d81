//! Networks and ports of an app.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One network an instance is in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// Which kind.
    pub mode: NetworkMode,
    /// Which one; only container networks have names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Passed on.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// Kinds of networks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum NetworkMode {
    /// The host's own.
    #[default]
    #[serde(rename = "host")]
    Host,
    /// A bridge of the host.
    #[serde(rename = "container/bridge")]
    Bridge,
    /// A named one.
    #[serde(rename = "container")]
    Container,
}

/// What a port speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Protocol {
    /// TCP.
    #[default]
    #[serde(rename = "tcp")]
    Tcp,
    /// UDP.
    #[serde(rename = "udp")]
    Udp,
    /// Both.
    #[serde(rename = "udp,tcp")]
    UdpTcp,
}

impl Protocol {
    /// The protocols it stands for, as Mesos names them.
    pub fn names(self) -> &'static [&'static str] {
        match self {
            Protocol::Tcp => &["tcp"],
            Protocol::Udp => &["udp"],
            Protocol::UdpTcp => &["udp", "tcp"],
        }
    }
}

/// One port in host mode.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortDefinition {
    /// The service port, and the host port if the app requires its ports. 0 until one is assigned.
    pub port: u16,
    /// What it speaks.
    pub protocol: Protocol,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Passed on to service discovery.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

/// One port in bridge and container mode.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PortMapping {
    /// Inside; 0: the same as the host port.
    pub container_port: u16,
    /// On the host; 0: any that is offered; `None`: not published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_port: Option<u16>,
    /// For load balancers. 0 until one is assigned.
    pub service_port: u16,
    /// What it speaks.
    pub protocol: Protocol,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Passed on to service discovery.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Of which networks it is; empty: of all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub network_names: Vec<String>,
}
