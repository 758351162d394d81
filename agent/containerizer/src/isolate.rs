//! Which isolators there are, what a host offers, and what an operator chose.

use std::collections::BTreeSet;
use std::path::PathBuf;

/// How new containers are isolated: the operator's choice, checked against the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Isolation {
    /// The chosen isolators.
    pub isolators: BTreeSet<Isolator>,
    /// Mount point of the cgroup hierarchies (`--cgroups_hierarchy`).
    pub cgroups_hierarchy: PathBuf,
    /// Name of our cgroup in each hierarchy (`--cgroups_root`).
    pub cgroups_root: String,
    /// Whether CPU requests are also upper bounds (`--cgroups_enable_cfs`).
    pub enable_cfs: bool,
    /// Whether the memory limit also bounds swap (`--cgroups_limit_swap`).
    pub limit_swap: bool,
    /// Most processes of a container (`--cgroups_pids_max`); `None`: no limit is written.
    pub pids_max: Option<u64>,
}

/// One isolator, by Mesos's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Isolator {
    /// `posix/cpu`: CPU statistics by walking processes.
    PosixCpu,
    /// `posix/mem`: memory statistics by walking processes.
    PosixMem,
    /// `cgroups/cpu`: shares, quota, statistics.
    CgroupsCpu,
    /// `cgroups/mem`: limits, OOM detection, statistics.
    CgroupsMem,
    /// `cgroups/pids`: a bound on processes.
    CgroupsPids,
}

/// Why a text is no isolation for this host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IsolationError {
    /// No such isolator here.
    #[error("Unknown or unsupported isolator '{0}'")]
    Unknown(String),
    /// Named twice.
    #[error("Duplicate entries found in --isolation flag: '{0}'")]
    Duplicate(String),
    /// The host has no such controller, or we may not use it.
    #[error("Isolator '{isolator}' cannot be used on this host: {why}")]
    Unavailable {
        /// Which.
        isolator: String,
        /// Why.
        why: String,
    },
}
