//! Who this master is: its id, its addresses, and the random bytes ids are made of.

use meseta_proto::mesos::v1;
use meseta_types::Wall;
use std::fs::File;
use std::io::Read;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// The version of the API, compared by clients: digits and dots only.
pub const API_VERSION: &str = "1.12.0";

/// The version of this program.
pub const MESETA_VERSION: &str = env!("CARGO_PKG_VERSION");

/// Fills a buffer with random bytes.
pub type Entropy = Arc<dyn Fn(&mut [u8; 16]) + Send + Sync>;

/// The kernel's random bytes.
///
/// # Errors
/// There is no `/dev/urandom`.
pub fn system_entropy() -> std::io::Result<Entropy> {
    let source = File::open("/dev/urandom")?;
    let mut probe = [0; 16];
    (&source).read_exact(&mut probe)?;
    Ok(Arc::new(move |bytes| {
        // It gave bytes at the start; the kernel never stops giving them.
        if let Err(error) = (&source).read_exact(bytes) {
            tracing::error!(%error, "no random bytes");
        }
    }))
}

/// A new random uuid as text.
pub(crate) fn new_uuid(entropy: &Entropy) -> String {
    let mut bytes = [0; 16];
    entropy(&mut bytes);
    uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
}

/// A random number.
pub(crate) fn new_seed(entropy: &Entropy) -> u64 {
    let mut bytes = [0; 16];
    entropy(&mut bytes);
    u64::from_le_bytes(bytes[..8].try_into().unwrap_or_default())
}

/// The master as clients see it.
#[derive(Clone, Debug)]
pub(crate) struct MasterIdentity {
    /// New at every start.
    pub(crate) id: Arc<str>,
    /// Where others reach it.
    pub(crate) address: SocketAddr,
    /// Its name.
    pub(crate) hostname: Arc<str>,
    /// When it started.
    pub(crate) start_time: Wall,
}

impl MasterIdentity {
    pub(crate) fn new(
        entropy: &Entropy,
        address: SocketAddr,
        hostname: Arc<str>,
        start_time: Wall,
    ) -> MasterIdentity {
        MasterIdentity {
            id: Arc::from(new_uuid(entropy)),
            address,
            hostname,
            start_time,
        }
    }

    /// `master@ip:port`.
    pub(crate) fn pid(&self) -> String {
        format!("master@{}", self.address)
    }

    /// `mesos.v1.MasterInfo`.
    pub(crate) fn info(&self) -> v1::MasterInfo {
        use v1::master_info::{Capability, capability::Type};
        let capabilities = [Type::AgentUpdate, Type::AgentDraining, Type::QuotaV2];
        v1::MasterInfo {
            id: self.id.to_string(),
            ip: number_of_ip(self.address.ip()),
            port: u32::from(self.address.port()),
            pid: Some(self.pid()),
            hostname: Some(self.hostname.to_string()),
            version: Some(API_VERSION.to_owned()),
            address: Some(v1::Address {
                hostname: Some(self.hostname.to_string()),
                ip: Some(self.address.ip().to_string()),
                port: i32::from(self.address.port()),
            }),
            capabilities: capabilities
                .into_iter()
                .map(|capability| Capability {
                    r#type: Some(capability.into()),
                })
                .collect(),
            ..v1::MasterInfo::default()
        }
    }
}

/// The four bytes in the order of memory, read as a little-endian number; 0 for IPv6, which has no such number.
fn number_of_ip(ip: IpAddr) -> u32 {
    match ip {
        IpAddr::V4(ip) => u32::from_le_bytes(ip.octets()),
        IpAddr::V6(_) => 0,
    }
}
