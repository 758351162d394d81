//! Reads the container, the networks and the ports of a definition.

use super::{DockerNetwork, Legacy};
use crate::definition::container::{Container, Docker, Engine, Parameter, Volume, VolumeMode};
use crate::definition::network::{Network, NetworkMode, PortDefinition, PortMapping, Protocol};
use crate::definition::reader::Object;

/// The container; what it says in old spellings goes to `legacy`.
pub(super) fn read(object: Object<'_>, legacy: &mut Legacy) -> Option<Container> {
    let engine = object.choice("type", &[("MESOS", Engine::Mesos), ("DOCKER", Engine::Docker)]);
    let engine = engine.unwrap_or(if object.has("docker") {
        Engine::Docker
    } else {
        Engine::Mesos
    });
    let docker = object.object("docker", |docker| {
        legacy.docker_network = docker.choice(
            "network",
            &[
                ("BRIDGE", DockerNetwork::Bridge),
                ("HOST", DockerNetwork::Host),
                ("NONE", DockerNetwork::None),
                ("USER", DockerNetwork::User),
            ],
        );
        legacy.docker_port_mappings = docker.objects("portMappings", port_mapping);
        image(docker, engine)
    });
    for name in ["appc", "linuxInfo"] {
        if object.has(name) {
            object.rule(name, "is not supported in this release");
        }
    }
    Some(Container {
        r#type: engine,
        docker,
        volumes: object.objects("volumes", volume).unwrap_or_default(),
        port_mappings: object.objects("portMappings", port_mapping),
    })
}

fn image(object: Object<'_>, engine: Engine) -> Option<Docker> {
    let image = object.required("image", object.string("image"))?;
    if image.is_empty() {
        object.rule("image", "must not be empty");
    }
    if object.has("credential") {
        object.rule("credential", "must be empty");
    }
    if object.has("pullConfig") {
        object.rule(
            "pullConfig",
            match engine {
                Engine::Docker => "pullConfig is not supported with Docker containerizer",
                Engine::Mesos => {
                    "Feature secrets is not enabled (--enable_features secrets): this release has no secret store"
                }
            },
        );
    }
    Some(Docker {
        image,
        force_pull_image: object.boolean("forcePullImage").unwrap_or(false),
        privileged: object.boolean("privileged").unwrap_or(false),
        parameters: object
            .objects("parameters", |parameter| {
                Some(Parameter {
                    key: parameter.required("key", parameter.string("key"))?,
                    value: parameter.required("value", parameter.string("value"))?,
                })
            })
            .unwrap_or_default(),
    })
}

/// A volume of the host. The other kinds are refused by name.
fn volume(object: Object<'_>) -> Option<Volume> {
    let kinds = [
        (
            "persistent",
            "persistent volumes are not supported in this release",
        ),
        (
            "external",
            "Feature external_volumes is not enabled (--enable_features external_volumes): not supported in this release",
        ),
        (
            "secret",
            "Feature secrets is not enabled (--enable_features secrets): this release has no secret store",
        ),
    ];
    for (name, why) in kinds {
        if object.has(name) {
            object.rule(name, why);
            return None;
        }
    }
    let volume = Volume {
        container_path: object.required("containerPath", object.string("containerPath"))?,
        host_path: object.required("hostPath", object.string("hostPath"))?,
        mode: object.required(
            "mode",
            object.choice(
                "mode",
                &[("RO", VolumeMode::ReadOnly), ("RW", VolumeMode::ReadWrite)],
            ),
        )?,
    };
    for (name, path) in [
        ("containerPath", &volume.container_path),
        ("hostPath", &volume.host_path),
    ] {
        if path.is_empty() {
            object.rule(name, "must not be empty");
        }
    }
    Some(volume)
}

pub(super) fn network(object: Object<'_>) -> Option<Network> {
    let mode = object.choice(
        "mode",
        &[
            ("host", NetworkMode::Host),
            ("container/bridge", NetworkMode::Bridge),
            ("container", NetworkMode::Container),
        ],
    );
    let mode = match mode {
        // As in the API's definition: a network without a mode is a container network.
        None if !object.has("mode") => NetworkMode::Container,
        mode => mode?,
    };
    Some(Network {
        mode,
        name: object.string("name").filter(|name| !name.is_empty()),
        labels: object.texts("labels").unwrap_or_default(),
    })
}

pub(super) fn protocol(object: &Object<'_>) -> Protocol {
    let protocol = object.choice(
        "protocol",
        &[
            ("tcp", Protocol::Tcp),
            ("udp", Protocol::Udp),
            ("udp,tcp", Protocol::UdpTcp),
            ("tcp,udp", Protocol::UdpTcp),
        ],
    );
    protocol.unwrap_or_default()
}

pub(super) fn port_definition(object: Object<'_>) -> Option<PortDefinition> {
    Some(PortDefinition {
        port: object.port("port").unwrap_or(0),
        protocol: protocol(&object),
        name: object.string("name"),
        labels: object.texts("labels").unwrap_or_default(),
    })
}

fn port_mapping(object: Object<'_>) -> Option<PortMapping> {
    Some(PortMapping {
        container_port: object.port("containerPort").unwrap_or(0),
        host_port: object.port("hostPort"),
        service_port: object.port("servicePort").unwrap_or(0),
        protocol: protocol(&object),
        name: object.string("name"),
        labels: object.texts("labels").unwrap_or_default(),
        network_names: object.strings("networkNames").unwrap_or_default(),
    })
}
