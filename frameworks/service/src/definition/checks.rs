//! Health checks, readiness checks and reported checks of an app.

use serde::{Deserialize, Serialize};

/// What tells that an instance is healthy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HealthCheck {
    /// How, and who asks.
    pub protocol: HealthProtocol,
    /// Of HTTP kinds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Which of the app's ports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port_index: Option<u32>,
    /// A port by its number instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Of `COMMAND`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Command>,
    /// Failures do not count for so long after the start.
    pub grace_period_seconds: u32,
    /// Between two probes.
    pub interval_seconds: u32,
    /// A probe that takes longer has failed.
    pub timeout_seconds: u32,
    /// So many in a row and the instance is replaced. 0: never for checks of the framework, at the first for agents'.
    pub max_consecutive_failures: u32,
    /// Before the first probe. Only agents' checks.
    pub delay_seconds: u32,
    /// Answers below 200 are no verdict. Only the framework's HTTP checks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ignore_http1xx: Option<bool>,
    /// Which address of the instance is asked.
    #[serde(default, skip_serializing_if = "IpProtocol::is_v4")]
    pub ip_protocol: IpProtocol,
}

/// How a health check asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum HealthProtocol {
    /// HTTP, asked by the framework.
    #[default]
    #[serde(rename = "HTTP")]
    Http,
    /// HTTPS, asked by the framework, any certificate.
    #[serde(rename = "HTTPS")]
    Https,
    /// A connection, made by the framework.
    #[serde(rename = "TCP")]
    Tcp,
    /// A command, run by the agent.
    #[serde(rename = "COMMAND")]
    Command,
    /// HTTP, asked by the agent.
    #[serde(rename = "MESOS_HTTP")]
    MesosHttp,
    /// HTTPS, asked by the agent.
    #[serde(rename = "MESOS_HTTPS")]
    MesosHttps,
    /// A connection, made by the agent.
    #[serde(rename = "MESOS_TCP")]
    MesosTcp,
}

impl HealthProtocol {
    /// All, with the wire's names.
    pub const ALL: [(&'static str, HealthProtocol); 7] = [
        ("HTTP", HealthProtocol::Http),
        ("HTTPS", HealthProtocol::Https),
        ("TCP", HealthProtocol::Tcp),
        ("COMMAND", HealthProtocol::Command),
        ("MESOS_HTTP", HealthProtocol::MesosHttp),
        ("MESOS_HTTPS", HealthProtocol::MesosHttps),
        ("MESOS_TCP", HealthProtocol::MesosTcp),
    ];

    /// Whether the agent asks, not the framework.
    pub fn is_by_agent(self) -> bool {
        !matches!(
            self,
            HealthProtocol::Http | HealthProtocol::Https | HealthProtocol::Tcp
        )
    }

    /// Whether it asks for a path.
    pub fn is_http(self) -> bool {
        !matches!(
            self,
            HealthProtocol::Tcp | HealthProtocol::Command | HealthProtocol::MesosTcp
        )
    }
}

/// A shell command.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// Run by `/bin/sh -c`.
    pub value: String,
}

/// Family of an address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum IpProtocol {
    /// Version 4.
    #[default]
    #[serde(rename = "IPv4")]
    V4,
    /// Version 6.
    #[serde(rename = "IPv6")]
    V6,
}

impl IpProtocol {
    fn is_v4(&self) -> bool {
        *self == IpProtocol::V4
    }
}

/// What tells during a deployment that an instance is ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReadinessCheck {
    /// For people.
    pub name: String,
    /// `HTTP` or `HTTPS`.
    pub protocol: Scheme,
    /// What is asked for.
    pub path: String,
    /// Which of the app's ports.
    pub port_name: String,
    /// Between two probes.
    pub interval_seconds: u32,
    /// A probe that takes longer has failed.
    pub timeout_seconds: u32,
    /// Answers that mean ready.
    pub http_status_codes_for_ready: Vec<u16>,
    /// Show the last answer.
    pub preserve_last_response: bool,
}

/// How a readiness check asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scheme {
    /// In clear.
    #[default]
    #[serde(rename = "HTTP")]
    Http,
    /// Over TLS, any certificate.
    #[serde(rename = "HTTPS")]
    Https,
}

/// A check whose result is only shown; made by the agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    /// An HTTP request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<CheckHttp>,
    /// A connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp: Option<CheckTcp>,
    /// A command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec: Option<CheckExec>,
    /// Between two checks.
    pub interval_seconds: u32,
    /// A check that takes longer has failed.
    pub timeout_seconds: u32,
    /// Before the first one.
    pub delay_seconds: u32,
}

/// An HTTP request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckHttp {
    /// Which of the app's ports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port_index: Option<u32>,
    /// A port by its number instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// What is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// `HTTP` or `HTTPS`.
    #[serde(default)]
    pub scheme: Scheme,
}

/// A connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckTcp {
    /// Which of the app's ports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port_index: Option<u32>,
    /// A port by its number instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
}

/// A command.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckExec {
    /// What is run.
    pub command: CheckCommand,
}

/// What a check runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckCommand {
    /// By `/bin/sh -c`.
    pub shell: String,
}
