//! Agents.

use super::{Invalid, resource};
use crate::mesos::v1;
use bytes::Bytes;
use meseta_types::AgentId;
use meseta_types::link::AgentSpec;
use prost::Message as _;
use std::net::IpAddr;
use std::sync::Arc;

/// `AgentInfo.port` when unset.
const DEFAULT_PORT: u16 = 5051;

/// An agent from its `AgentInfo` and what the link says beside it.
pub fn spec(
    info: &v1::AgentInfo,
    ip: IpAddr,
    version: &str,
    capabilities: impl IntoIterator<Item = impl AsRef<str>>,
) -> Result<AgentSpec, Invalid> {
    let port = info.port.unwrap_or(i32::from(DEFAULT_PORT));
    Ok(AgentSpec {
        id: info
            .id
            .as_ref()
            .map(|id| AgentId::new(&id.value))
            .transpose()
            .map_err(Invalid::new)?,
        hostname: Arc::from(info.hostname.as_str()),
        ip,
        port: u16::try_from(port).map_err(|_| Invalid(format!("AgentInfo.port {port} is no port")))?,
        resources: resource::from_proto(&info.resources).map_err(Invalid::new)?,
        version: Arc::from(version),
        capabilities: capabilities.into_iter().map(|c| Arc::from(c.as_ref())).collect(),
        wire: info.encode_to_vec().into(),
    })
}

/// The `AgentInfo` with the typed fields over those of the wire.
pub fn to_info(agent: &AgentSpec) -> v1::AgentInfo {
    let mut info = v1::AgentInfo::decode(agent.wire.clone()).unwrap_or_default();
    info.id = agent.id.as_ref().map(|id| v1::AgentId {
        value: id.to_string(),
    });
    info.hostname = agent.hostname.to_string();
    info.port = Some(i32::from(agent.port));
    info.resources = resource::to_proto(&agent.resources, resource::Format::Post);
    info
}

/// [`to_info`], encoded.
pub fn encode(agent: &AgentSpec) -> Bytes {
    to_info(agent).encode_to_vec().into()
}

/// The capabilities as the wire has them; names it does not know are left out.
pub fn capabilities(agent: &AgentSpec) -> Vec<v1::agent_info::Capability> {
    use v1::agent_info::capability::Type;
    let known = agent
        .capabilities
        .iter()
        .filter_map(|name| Type::from_str_name(name));
    known
        .map(|t| v1::agent_info::Capability {
            r#type: Some(t.into()),
        })
        .collect()
}
