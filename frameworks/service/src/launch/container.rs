//! The container of a task: image, volumes, networks.

use super::ports::Port;
use crate::definition::{self, Engine, NetworkMode, VolumeMode};
use meseta_sdk::proto as v1;

/// The container, unless the app runs as a plain process on its host.
pub(super) fn container(app: &definition::App, ports: &[Port<'_>]) -> Option<v1::ContainerInfo> {
    let default = definition::Container::default();
    let container = match &app.container {
        Some(container) => container,
        None if app.is_on_host_network() && app.tty.is_none() => return None,
        None => &default,
    };
    let mut info = v1::ContainerInfo {
        volumes: container.volumes.iter().map(volume).collect(),
        tty_info: app.tty.filter(|tty| *tty).map(|_| v1::TtyInfo::default()),
        ..Default::default()
    };
    match container.r#type {
        Engine::Docker => docker(&mut info, app, container, ports),
        Engine::Mesos => {
            info.r#type = v1::container_info::Type::Mesos as i32;
            info.network_infos = networks(app, ports);
            if let Some(docker) = &container.docker {
                info.mesos = Some(v1::container_info::MesosInfo {
                    image: Some(v1::Image {
                        r#type: v1::image::Type::Docker as i32,
                        docker: Some(v1::image::Docker {
                            name: docker.image.clone(),
                            ..Default::default()
                        }),
                        cached: Some(!docker.force_pull_image),
                        ..Default::default()
                    }),
                });
            }
        }
    }
    Some(info)
}

fn docker(
    info: &mut v1::ContainerInfo,
    app: &definition::App,
    container: &definition::Container,
    ports: &[Port<'_>],
) {
    use v1::container_info::docker_info::{Network, PortMapping};
    info.r#type = v1::container_info::Type::Docker as i32;
    let Some(docker) = &container.docker else { return };
    let mode = app
        .networks
        .first()
        .map(|network| network.mode)
        .unwrap_or_default();
    let network = match mode {
        NetworkMode::Host => Network::Host,
        NetworkMode::Bridge => Network::Bridge,
        NetworkMode::Container => Network::User,
    };
    if mode == NetworkMode::Container {
        info.network_infos = networks(app, &[]);
    }
    let published = ports.iter().filter_map(|port| Some((port, port.host?)));
    info.docker = Some(v1::container_info::DockerInfo {
        image: docker.image.clone(),
        network: Some(network as i32),
        port_mappings: published
            .filter(|(port, _)| port.container.is_some())
            .flat_map(|(port, host)| {
                port.protocol.names().iter().map(move |protocol| PortMapping {
                    host_port: u32::from(host),
                    container_port: u32::from(port.inside()),
                    protocol: Some((*protocol).to_owned()),
                })
            })
            .collect(),
        privileged: Some(docker.privileged),
        parameters: docker
            .parameters
            .iter()
            .map(|parameter| v1::Parameter {
                key: parameter.key.clone(),
                value: parameter.value.clone(),
            })
            .collect(),
        force_pull_image: Some(docker.force_pull_image),
        ..Default::default()
    });
}

/// The container networks, each with the ports that are published through it.
fn networks(app: &definition::App, ports: &[Port<'_>]) -> Vec<v1::NetworkInfo> {
    let apart = app
        .networks
        .iter()
        .filter(|network| network.mode != NetworkMode::Host);
    apart
        .map(|network| v1::NetworkInfo {
            name: network.name.clone(),
            labels: super::labels(network.labels.iter()),
            port_mappings: ports
                .iter()
                .filter(|port| port.network.is_none() || port.network == network.name.as_deref())
                .filter_map(|port| Some((port, port.host?)))
                .flat_map(|(port, host)| {
                    port.protocol
                        .names()
                        .iter()
                        .map(move |protocol| v1::network_info::PortMapping {
                            host_port: u32::from(host),
                            container_port: u32::from(port.inside()),
                            protocol: Some((*protocol).to_owned()),
                        })
                })
                .collect(),
            ip_addresses: vec![v1::network_info::IpAddress::default()],
            ..Default::default()
        })
        .collect()
}

fn volume(volume: &definition::Volume) -> v1::Volume {
    let mode = match volume.mode {
        VolumeMode::ReadOnly => v1::volume::Mode::Ro,
        VolumeMode::ReadWrite => v1::volume::Mode::Rw,
    };
    v1::Volume {
        mode: mode as i32,
        container_path: volume.container_path.clone(),
        host_path: Some(volume.host_path.clone()),
        ..Default::default()
    }
}
