//! The container of a job: what is allowed in it, and what the master is told of it.
//!
//! It is stored and shown as it was sent; clients compare. Docker's own options (`parameters`) pass through as they are.

use crate::definition::{Fault, fault};
use meseta_sdk::proto as v1;
use serde_json::Value;

/// Refuses a container that could not run.
///
/// # Errors
/// The first field that does not fit.
pub(crate) fn check(container: &Value) -> Result<(), Fault> {
    if text(container, "image").is_empty() {
        return Err(fault("container.image", "is missing"));
    }
    let kind = text(container, "type").to_ascii_uppercase();
    if !["", "DOCKER", "MESOS"].contains(&&*kind) {
        return Err(fault("container.type", "must be DOCKER or MESOS"));
    }
    if !["", "HOST", "BRIDGE", "USER"].contains(&&*text(container, "network")) {
        return Err(fault("container.network", "must be HOST, BRIDGE or USER"));
    }
    for (index, volume) in list(container, "volumes").iter().enumerate() {
        let field = |name: &str| format!("container.volumes[{index}].{name}");
        if text(volume, "containerPath").is_empty() {
            return Err(fault(field("containerPath"), "is missing"));
        }
        if !["", "RO", "RW"].contains(&&*text(volume, "mode").to_ascii_uppercase()) {
            return Err(fault(field("mode"), "must be RO or RW"));
        }
    }
    for (index, parameter) in list(container, "parameters").iter().enumerate() {
        if text(parameter, "key").is_empty() {
            return Err(fault(format!("container.parameters[{index}].key"), "is missing"));
        }
    }
    Ok(())
}

/// What the master is told.
pub(crate) fn info(container: &Value) -> v1::ContainerInfo {
    let image = text(container, "image");
    let force = container
        .get("forcePullImage")
        .and_then(Value::as_bool)
        .unwrap_or(false);
    let info = v1::ContainerInfo {
        volumes: list(container, "volumes").iter().map(volume).collect(),
        network_infos: networks(container),
        ..Default::default()
    };
    if text(container, "type").eq_ignore_ascii_case("mesos") {
        let docker = v1::image::Docker {
            name: image,
            ..Default::default()
        };
        return v1::ContainerInfo {
            r#type: v1::container_info::Type::Mesos as i32,
            mesos: Some(v1::container_info::MesosInfo {
                image: Some(v1::Image {
                    r#type: v1::image::Type::Docker as i32,
                    docker: Some(docker),
                    cached: Some(!force),
                    ..Default::default()
                }),
            }),
            ..info
        };
    }
    let network = match &*text(container, "network") {
        "BRIDGE" => v1::container_info::docker_info::Network::Bridge,
        "USER" => v1::container_info::docker_info::Network::User,
        _ => v1::container_info::docker_info::Network::Host,
    };
    let parameters = list(container, "parameters").iter().map(|p| v1::Parameter {
        key: text(p, "key"),
        value: text(p, "value"),
    });
    v1::ContainerInfo {
        r#type: v1::container_info::Type::Docker as i32,
        docker: Some(v1::container_info::DockerInfo {
            image,
            network: Some(network as i32),
            parameters: parameters.collect(),
            force_pull_image: Some(force),
            ..Default::default()
        }),
        ..info
    }
}

fn volume(volume: &Value) -> v1::Volume {
    let mode = match text(volume, "mode").eq_ignore_ascii_case("ro") {
        true => v1::volume::Mode::Ro,
        false => v1::volume::Mode::Rw,
    };
    let external = volume.get("external").filter(|external| external.is_object());
    let source = external.map(|external| v1::volume::Source {
        r#type: Some(v1::volume::source::Type::DockerVolume as i32),
        docker_volume: Some(v1::volume::source::DockerVolume {
            name: text(external, "name"),
            driver: Some(text(external, "provider")).filter(|driver| !driver.is_empty()),
            driver_options: Some(v1::Parameters {
                parameter: list(external, "options")
                    .iter()
                    .map(|option| v1::Parameter {
                        key: text(option, "key"),
                        value: text(option, "value"),
                    })
                    .collect(),
            }),
        }),
        ..Default::default()
    });
    v1::Volume {
        mode: mode as i32,
        container_path: text(volume, "containerPath"),
        host_path: Some(text(volume, "hostPath")).filter(|path| !path.is_empty()),
        source,
        ..Default::default()
    }
}

/// Networks by name; the older `networkName` is one more.
fn networks(container: &Value) -> Vec<v1::NetworkInfo> {
    let older = Some(text(container, "networkName")).filter(|name| !name.is_empty());
    let older = older.map(|name| v1::NetworkInfo {
        name: Some(name),
        ..Default::default()
    });
    let networks = list(container, "networkInfos").iter().map(|network| {
        let labels: Vec<v1::Label> = list(network, "labels")
            .iter()
            .map(|label| v1::Label {
                key: text(label, "key"),
                value: Some(text(label, "value")),
            })
            .collect();
        v1::NetworkInfo {
            name: Some(text(network, "name")).filter(|name| !name.is_empty()),
            labels: (!labels.is_empty()).then_some(v1::Labels { labels }),
            ..Default::default()
        }
    });
    networks.chain(older).collect()
}

fn text(value: &Value, name: &str) -> String {
    value
        .get(name)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value
        .get(name)
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_docker_container_keeps_its_options_and_volumes() {
        let info = info(&json!({
            "image": "alpine", "network": "BRIDGE", "forcePullImage": true, "networkName": "old",
            "parameters": [{"key": "env", "value": "A=1"}],
            "volumes": [{"containerPath": "/a", "hostPath": "/b", "mode": "ro"}],
            "networkInfos": [{"name": "n", "labels": [{"key": "k", "value": "v"}]}],
        }));
        let docker = info.docker.unwrap_or_default();
        assert_eq!((&*docker.image, docker.force_pull_image), ("alpine", Some(true)));
        assert_eq!(docker.parameters.len(), 1);
        assert_eq!(info.volumes[0].mode, v1::volume::Mode::Ro as i32);
        let names: Vec<_> = info
            .network_infos
            .iter()
            .filter_map(|n| n.name.as_deref())
            .collect();
        assert_eq!(names, ["n", "old"]);
    }

    #[test]
    fn a_mesos_container_takes_a_cached_image_unless_told_to_pull() {
        let info = info(&json!({"type": "mesos", "image": "alpine"}));
        let image = info.mesos.and_then(|mesos| mesos.image).unwrap_or_default();
        assert_eq!((image.cached, info.docker.is_none()), (Some(true), true));
    }
}
