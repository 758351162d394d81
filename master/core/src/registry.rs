//! What the master keeps durably, and how it is written: who may come back, and who may not.
//!
//! One key per entity, below `master/`:
//!
//! | key | value |
//! |---|---|
//! | `agents/<agent id>` | an admitted agent |
//! | `unreachable/<agent id>` | when it was marked unreachable |
//! | `gone/<agent id>` | when it was marked gone |
//! | `removed-frameworks/<framework id>` | when it was removed |
//!
//! Tasks, frameworks, offers and executors are not durable: after a fail-over they come back from agents and
//! frameworks. Each value starts with a format version; an unknown one is an error at start, nothing is dropped
//! silently.

use crate::io::Change;
use crate::state::RecoveredAgent;
use bytes::{BufMut, Bytes, BytesMut};
use meseta_types::link::AgentSpec;
use meseta_types::{AgentId, FrameworkId, Wall};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

/// Every key of the master starts with this; the shell lists these at start.
pub const PREFIX: &str = "master/";

/// The format this program writes.
const VERSION: u8 = 1;

/// What the registry held at start.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recovered {
    /// Admitted agents.
    pub agents: BTreeMap<AgentId, RecoveredAgent>,
    /// Unreachable agents.
    pub unreachable: BTreeMap<AgentId, Wall>,
    /// Agents that must never come back.
    pub gone: BTreeMap<AgentId, Wall>,
    /// Frameworks that must not come back.
    pub removed_frameworks: BTreeMap<FrameworkId, Wall>,
}

/// Why the registry cannot be read. The master must not start on it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// A key this program does not write.
    #[error("unknown registry key '{0}': written by a newer release?")]
    UnknownKey(String),
    /// A value in a format this program does not know.
    #[error("registry key '{key}' has format {found}; this release reads up to {VERSION}")]
    UnknownVersion {
        /// Whose value.
        key: String,
        /// Its format.
        found: u8,
    },
    /// A value that ends too early, goes on too long, or makes no sense.
    #[error("registry key '{0}' holds a damaged value")]
    Damaged(String),
}

impl Recovered {
    /// Reads everything the store lists below [`PREFIX`].
    pub fn read<'a>(
        entries: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) -> Result<Recovered, RegistryError> {
        let mut recovered = Recovered::default();
        for (key, value) in entries {
            recovered.read_one(key, value)?;
        }
        Ok(recovered)
    }

    fn read_one(&mut self, key: &str, value: &[u8]) -> Result<(), RegistryError> {
        let unknown = || RegistryError::UnknownKey(key.to_owned());
        let damaged = || RegistryError::Damaged(key.to_owned());
        let (kind, id) = key
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split_once('/'))
            .ok_or_else(unknown)?;
        let mut reader = Reader(value);
        match reader.byte().ok_or_else(damaged)? {
            VERSION => {}
            found => {
                return Err(RegistryError::UnknownVersion {
                    key: key.to_owned(),
                    found,
                });
            }
        }
        if kind == "removed-frameworks" {
            let id = FrameworkId::new(id).map_err(|_| damaged())?;
            let at = reader.wall().ok_or_else(damaged)?;
            self.removed_frameworks.insert(id, at);
        } else {
            let id = AgentId::new(id).map_err(|_| damaged())?;
            match kind {
                "agents" => {
                    let agent = reader.agent(&id).ok_or_else(damaged)?;
                    self.agents.insert(id, agent);
                }
                "unreachable" => {
                    let at = reader.wall().ok_or_else(damaged)?;
                    self.unreachable.insert(id, at);
                }
                "gone" => {
                    let at = reader.wall().ok_or_else(damaged)?;
                    self.gone.insert(id, at);
                }
                _ => return Err(unknown()),
            }
        }
        if reader.0.is_empty() {
            Ok(())
        } else {
            Err(damaged())
        }
    }
}

/// An agent may come (back).
pub(crate) fn put_agent(id: &AgentId, spec: &AgentSpec) -> Change {
    let mut value = BytesMut::with_capacity(64 + spec.hostname.len() + spec.wire.len());
    value.put_u8(VERSION);
    put_bytes(&mut value, spec.hostname.as_bytes());
    match spec.ip {
        IpAddr::V4(ip) => put_bytes(&mut value, &ip.octets()),
        IpAddr::V6(ip) => put_bytes(&mut value, &ip.octets()),
    }
    value.put_u16(spec.port);
    put_bytes(&mut value, &spec.wire);
    put("agents", id.as_str(), value)
}

/// An agent is not admitted any more.
pub(crate) fn delete_agent(id: &AgentId) -> Change {
    delete("agents", id.as_str())
}

/// An agent is unreachable since `at`.
pub(crate) fn put_unreachable(id: &AgentId, at: Wall) -> Change {
    put("unreachable", id.as_str(), time(at))
}

/// An agent is not unreachable any more.
pub(crate) fn delete_unreachable(id: &AgentId) -> Change {
    delete("unreachable", id.as_str())
}

/// A gone agent is forgotten.
pub(crate) fn delete_gone(id: &AgentId) -> Change {
    delete("gone", id.as_str())
}

/// A framework was removed.
pub(crate) fn put_removed_framework(id: &FrameworkId, at: Wall) -> Change {
    put("removed-frameworks", id.as_str(), time(at))
}

/// A removed framework is forgotten.
pub(crate) fn delete_removed_framework(id: &FrameworkId) -> Change {
    delete("removed-frameworks", id.as_str())
}

fn key(kind: &str, id: &str) -> Arc<str> {
    Arc::from(format!("{PREFIX}{kind}/{id}"))
}

fn put(kind: &str, id: &str, value: BytesMut) -> Change {
    Change::Put {
        key: key(kind, id),
        value: value.freeze(),
    }
}

fn delete(kind: &str, id: &str) -> Change {
    Change::Delete { key: key(kind, id) }
}

fn time(at: Wall) -> BytesMut {
    let mut value = BytesMut::with_capacity(9);
    value.put_u8(VERSION);
    value.put_i64(at.0);
    value
}

fn put_bytes(value: &mut BytesMut, bytes: &[u8]) {
    value.put_u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
    value.put_slice(bytes);
}

/// Reads what the functions above wrote; `None` when it is not that.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn byte(&mut self) -> Option<u8> {
        Some(u8::from_be_bytes(self.array()?))
    }

    fn wall(&mut self) -> Option<Wall> {
        Some(Wall(i64::from_be_bytes(self.array()?)))
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let n = u32::from_be_bytes(self.array()?);
        self.take(usize::try_from(n).ok()?)
    }

    fn ip(&mut self) -> Option<IpAddr> {
        let octets = self.bytes()?;
        <[u8; 4]>::try_from(octets)
            .map(IpAddr::from)
            .or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from))
            .ok()
    }

    fn agent(&mut self, id: &AgentId) -> Option<RecoveredAgent> {
        Some(RecoveredAgent {
            id: id.clone(),
            hostname: std::str::from_utf8(self.bytes()?).ok()?.into(),
            ip: self.ip()?,
            port: u16::from_be_bytes(self.array()?),
            wire: Bytes::copy_from_slice(self.bytes()?),
        })
    }
}
