//! What a client is started with.

use crate::endpoint::{AddressError, Endpoint};
use crate::framework::Framework;
use crate::identity;
use crate::wire::{Encoding, Transport};
use meseta_proto::mesos::v1::scheduler::OfferConstraints;
use meseta_types::FrameworkId;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Where the framework's id lives between runs.
#[derive(Clone, Debug, PartialEq)]
pub enum IdentityStore {
    /// Nowhere: each start is a new framework. Only for frameworks without a failover timeout, or whose caller
    /// keeps the id by other means.
    Ephemeral,
    /// In this file, written before the first SUBSCRIBE. A file of another framework is refused.
    File(PathBuf),
    /// The caller has made this id durable already.
    Known(FrameworkId),
}

/// See the fields' setters.
#[derive(Clone, Debug)]
pub struct Config {
    pub(crate) framework: Framework,
    pub(crate) masters: Vec<Endpoint>,
    pub(crate) transport: Transport,
    pub(crate) identity: IdentityStore,
    pub(crate) suppressed: BTreeSet<String>,
    pub(crate) constraints: Option<OfferConstraints>,
}

/// What is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The masters' addresses.
    #[error(transparent)]
    Address(#[from] AddressError),
}

/// Why a client could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The file with the framework's id.
    #[error(transparent)]
    Identity(#[from] identity::IdentityError),
    /// A suppressed role the framework does not have.
    #[error("suppressed role '{0}' is none of the framework's roles")]
    SuppressedRole(String),
}

impl Config {
    /// A framework and where its masters may be: `host:port`, several separated by commas; any of them is enough to
    /// find the leader.
    pub fn new(framework: Framework, masters: &str) -> Result<Config, ConfigError> {
        Ok(Config {
            framework,
            masters: Endpoint::parse_list(masters)?,
            transport: Transport::Http(Encoding::Protobuf),
            identity: IdentityStore::Ephemeral,
            suppressed: BTreeSet::new(),
            constraints: None,
        })
    }

    /// How to speak to the master; HTTP with protobuf unless said otherwise.
    pub fn transport(mut self, transport: Transport) -> Config {
        self.transport = transport;
        self
    }

    /// Where the framework's id lives between runs; nowhere unless said otherwise.
    pub fn identity(mut self, identity: IdentityStore) -> Config {
        self.identity = identity;
        self
    }

    /// Roles that start suppressed: no offers until they are revived.
    pub fn suppressed(mut self, roles: impl IntoIterator<Item = impl Into<String>>) -> Config {
        self.suppressed = roles.into_iter().map(Into::into).collect();
        self
    }

    /// Which offers the framework can use at all.
    pub fn constraints(mut self, constraints: OfferConstraints) -> Config {
        self.constraints = Some(constraints);
        self
    }
}
