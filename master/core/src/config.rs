//! What the master is told at its start, with the defaults of Mesos (`src/master/constants.hpp`, `flags.cpp`) and ours.

use arcstr::ArcStr;
use meseta_types::Role;
use meseta_types::resource::Quantities;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// Time between `HEARTBEAT`s on schedulers' and operators' streams.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(15);

/// Dropped messages a view shows; the oldest go first. Enough to see what went on, small enough to copy.
pub const NOTES_MAX: usize = 256;

/// Bytes of a note's reason; longer ones are cut. Ids that are in use are shorter.
pub const NOTE_BYTES_MAX: usize = 512;

/// Removed frameworks remembered durably; the oldest go first. A framework that comes back after so many others were
/// removed is taken for a new one, as every removed one is in Mesos after a fail-over.
pub const REMOVED_FRAMEWORKS_MAX: usize = 10_000;

/// How fast agents may be removed: `permits` within each `per`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// At least one.
    pub permits: u32,
    /// Not zero.
    pub per: Duration,
}

/// The master's settings, as far as they change its decisions.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Entropy: for the order of agents in an allocation, and against chosen hash collisions.
    pub seed: u64,
    /// This master's id: new at every start, prefix of every id it gives out.
    pub master_id: ArcStr,
    /// `--agent_ping_timeout`: pings are sent this far apart.
    pub agent_ping_timeout: Duration,
    /// `--max_agent_ping_timeouts`: so many unanswered pings make an agent unreachable.
    pub max_agent_ping_timeouts: u32,
    /// `--agent_reregister_timeout`: a disconnected or recovered agent must be back by then.
    pub agent_reregister_timeout: Duration,
    /// `--agent_removal_rate_limit`.
    pub agent_removal_rate_limit: Option<RateLimit>,
    /// `--recovery_agent_removal_limit`, as a fraction of the admitted agents (1.0 = all may be removed).
    pub recovery_agent_removal_limit: f64,
    /// `--offer_timeout`; `None`: offers are kept for ever.
    pub offer_timeout: Option<Duration>,
    /// `--allocation_interval`: an upper bound, see the allocator.
    pub allocation_interval: Duration,
    /// `--min_allocatable_resources`.
    pub min_allocatable_resources: Vec<Quantities>,
    /// `--fair_sharing_excluded_resource_names`.
    pub fair_sharing_excluded_resource_names: BTreeSet<Arc<str>>,
    /// `--filter_gpu_resources`.
    pub filter_gpu_resources: bool,
    /// `--registry_gc_interval`: unreachable and gone agents are looked through this often.
    pub registry_gc_interval: Duration,
    /// `--registry_max_agent_age`: and forgotten after this long.
    pub registry_max_agent_age: Duration,
    /// `--registry_max_agent_count`: or when there are more of a kind, the oldest first.
    pub registry_max_agent_count: usize,
    /// `--roles`; `None`: every role is welcome. `*` always is.
    pub roles: Option<BTreeSet<Role>>,
    /// `--root_submissions`.
    pub root_submissions: bool,
    /// `--max_completed_frameworks`.
    pub max_completed_frameworks: usize,
    /// `--max_completed_tasks_per_framework`.
    pub max_completed_tasks_per_framework: usize,
    /// `--max_unreachable_tasks_per_framework`.
    pub max_unreachable_tasks_per_framework: usize,
}

impl Config {
    /// The defaults, for a master with this id.
    pub fn new(master_id: impl Into<ArcStr>) -> Config {
        let allocator = meseta_allocator::Config::default();
        Config {
            seed: 0,
            master_id: master_id.into(),
            agent_ping_timeout: Duration::from_secs(15),
            max_agent_ping_timeouts: 5,
            agent_reregister_timeout: Duration::from_secs(600),
            agent_removal_rate_limit: None,
            recovery_agent_removal_limit: 1.0,
            offer_timeout: Some(Duration::from_secs(60)),
            allocation_interval: allocator.interval,
            min_allocatable_resources: allocator.min_allocatable,
            fair_sharing_excluded_resource_names: allocator.excluded,
            filter_gpu_resources: allocator.filter_gpus,
            registry_gc_interval: Duration::from_secs(15 * 60),
            registry_max_agent_age: Duration::from_secs(14 * 24 * 3600),
            registry_max_agent_count: 102_400,
            roles: None,
            root_submissions: true,
            max_completed_frameworks: 50,
            max_completed_tasks_per_framework: 1000,
            max_unreachable_tasks_per_framework: 1000,
        }
    }

    /// An agent without a ping for so long gives the master up.
    pub fn total_ping_timeout(&self) -> Duration {
        self.agent_ping_timeout
            .saturating_mul(self.max_agent_ping_timeouts)
    }
}
