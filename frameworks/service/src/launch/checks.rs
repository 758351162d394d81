//! Health checks and checks that the agent makes.

use super::ports::Port;
use crate::definition::{self, HealthProtocol, IpProtocol, Scheme};
use meseta_sdk::proto as v1;

/// The app's health check that the agent makes, if there is one.
pub(super) fn health(app: &definition::App, ports: &[Port<'_>]) -> Option<v1::HealthCheck> {
    let check = app
        .health_checks
        .iter()
        .find(|check| check.protocol.is_by_agent())?;
    let mut wire = v1::HealthCheck {
        delay_seconds: Some(f64::from(check.delay_seconds)),
        interval_seconds: Some(f64::from(check.interval_seconds)),
        timeout_seconds: Some(f64::from(check.timeout_seconds)),
        consecutive_failures: Some(check.max_consecutive_failures),
        grace_period_seconds: Some(f64::from(check.grace_period_seconds)),
        ..Default::default()
    };
    let protocol = match check.ip_protocol {
        IpProtocol::V4 => v1::network_info::Protocol::IPv4,
        IpProtocol::V6 => v1::network_info::Protocol::IPv6,
    } as i32;
    let kind = match check.protocol {
        HealthProtocol::Command => {
            wire.command = check.command.as_ref().map(|command| shell(&command.value));
            v1::health_check::Type::Command
        }
        HealthProtocol::MesosTcp => {
            wire.tcp = Some(v1::health_check::TcpCheckInfo {
                port: port(check.port, check.port_index, ports)?,
                protocol: Some(protocol),
            });
            v1::health_check::Type::Tcp
        }
        kind => {
            let scheme = if kind == HealthProtocol::MesosHttps {
                "https"
            } else {
                "http"
            };
            wire.http = Some(v1::health_check::HttpCheckInfo {
                port: port(check.port, check.port_index, ports)?,
                path: check.path.clone(),
                scheme: Some(scheme.to_owned()),
                protocol: Some(protocol),
                ..Default::default()
            });
            v1::health_check::Type::Http
        }
    };
    wire.r#type = Some(kind as i32);
    Some(wire)
}

/// A check whose result is only shown.
pub(super) fn check(check: &definition::Check, ports: &[Port<'_>]) -> Option<v1::CheckInfo> {
    let mut wire = v1::CheckInfo {
        delay_seconds: Some(f64::from(check.delay_seconds)),
        interval_seconds: Some(f64::from(check.interval_seconds)),
        timeout_seconds: Some(f64::from(check.timeout_seconds)),
        ..Default::default()
    };
    let kind = if let Some(exec) = &check.exec {
        wire.command = Some(v1::check_info::Command {
            command: shell(&exec.command.shell),
        });
        v1::check_info::Type::Command
    } else if let Some(tcp) = &check.tcp {
        wire.tcp = Some(v1::check_info::Tcp {
            port: port(tcp.port, tcp.port_index, ports)?,
        });
        v1::check_info::Type::Tcp
    } else {
        // Mesos's checks know no TLS: validation lets only HTTP through.
        let http = check.http.as_ref().filter(|http| http.scheme == Scheme::Http)?;
        wire.http = Some(v1::check_info::Http {
            port: port(http.port, http.port_index, ports)?,
            path: http.path.clone(),
        });
        v1::check_info::Type::Http
    };
    wire.r#type = Some(kind as i32);
    Some(wire)
}

fn shell(line: &str) -> v1::CommandInfo {
    v1::CommandInfo {
        shell: Some(true),
        value: Some(line.to_owned()),
        ..Default::default()
    }
}

/// The port that is asked: the one that is named, else one of the app's as seen from inside.
fn port(number: Option<u16>, index: Option<u32>, ports: &[Port<'_>]) -> Option<u32> {
    if let Some(number) = number {
        return Some(u32::from(number));
    }
    let index = usize::try_from(index.unwrap_or(0)).ok()?;
    ports.get(index).map(|port| u32::from(port.inside()))
}
