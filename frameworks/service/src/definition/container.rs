//! The container of an app: image, volumes, port mappings.

use super::network::PortMapping;
use serde::{Deserialize, Serialize};

/// A container.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Container {
    /// Who runs it.
    pub r#type: Engine,
    /// The image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docker: Option<Docker>,
    /// What is mounted.
    #[serde(default)]
    pub volumes: Vec<Volume>,
    /// Ports in bridge and container mode; `None` on the host's network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port_mappings: Option<Vec<PortMapping>>,
}

/// Who runs a container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Engine {
    /// The agent itself.
    #[default]
    #[serde(rename = "MESOS")]
    Mesos,
    /// The Docker engine.
    #[serde(rename = "DOCKER")]
    Docker,
}

/// A Docker image and how it is run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Docker {
    /// Its name.
    pub image: String,
    /// Ask the registry each time.
    #[serde(default)]
    pub force_pull_image: bool,
    /// With all rights of the host. Docker engine only.
    #[serde(default)]
    pub privileged: bool,
    /// Further flags of `docker run`, in order. Docker engine only.
    #[serde(default)]
    pub parameters: Vec<Parameter>,
}

/// A flag of `docker run`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parameter {
    /// Its name, without dashes.
    pub key: String,
    /// Its value.
    pub value: String,
}

/// A folder or file of the host inside the container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Volume {
    /// Where inside.
    pub container_path: String,
    /// What of the host.
    pub host_path: String,
    /// Whether it may be written.
    pub mode: VolumeMode,
}

/// Whether a volume may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum VolumeMode {
    /// Only read.
    #[serde(rename = "RO")]
    ReadOnly,
    /// Read and written.
    #[serde(rename = "RW")]
    ReadWrite,
}
