//! What a server allows and assumes, from its flags.

use std::collections::BTreeSet;

/// What is allowed and assumed when a definition is read.
#[derive(Clone, Debug)]
pub struct Rules {
    /// `--enable_features`.
    pub features: BTreeSet<String>,
    /// `--mesos_role`: the only role apps may have.
    pub role: String,
    /// `--accepted_resource_roles_default_behavior`.
    pub accepted_roles: AcceptedRoles,
    /// `--default_network_name`: of container networks without a name.
    pub default_network: Option<String>,
}

impl Default for Rules {
    fn default() -> Rules {
        Rules {
            features: BTreeSet::new(),
            role: "*".to_owned(),
            accepted_roles: AcceptedRoles::Any,
            default_network: None,
        }
    }
}

/// What an app that does not say which reservations it accepts gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcceptedRoles {
    /// Reserved and unreserved resources.
    Any,
    /// Only unreserved ones.
    Unreserved,
    /// Only those reserved for its role.
    Reserved,
}

/// The feature that allows GPUs.
pub(super) const GPU_FEATURE: &str = "gpu_resources";
