//! Statistics of containers, read from cgroups or from the process tree below the first process.
//!
//! Blocking and read-only; called off the agent's event loop.

use meseta_types::ContainerId;

/// Whose statistics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageOf {
    /// The container.
    pub id: ContainerId,
    /// Its first process.
    pub pid: u32,
}

/// What a container used so far and uses now. Limits and requests are the caller's knowledge.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Usage {
    /// Processes now.
    pub processes: u32,
    /// Threads now.
    pub threads: u32,
    /// CPU seconds in user mode.
    pub cpus_user_time_secs: f64,
    /// CPU seconds in the kernel.
    pub cpus_system_time_secs: f64,
    /// Resident memory in bytes.
    pub mem_rss_bytes: u64,
    /// What only cgroups tell.
    pub cgroup: Option<CgroupUsage>,
}

/// Statistics only cgroups have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CgroupUsage {
    /// Charged memory in bytes.
    pub mem_total_bytes: Option<u64>,
    /// Page cache in bytes.
    pub mem_cache_bytes: Option<u64>,
    /// Mapped files in bytes.
    pub mem_mapped_file_bytes: Option<u64>,
    /// Swap in bytes.
    pub mem_swap_bytes: Option<u64>,
    /// Unevictable memory in bytes.
    pub mem_unevictable_bytes: Option<u64>,
    /// Scheduling periods, periods throttled, nanoseconds throttled.
    pub cpu_throttling: Option<(u64, u64, u64)>,
}

/// Reads the statistics of these containers, in the order asked; `None` where the container is gone.
pub fn measure(of: &[UsageOf]) -> Vec<Option<Usage>> {
    let processes = crate::process_tree::Snapshot::take();
    of.iter()
        .map(|one| processes.usage(i32::try_from(one.pid).ok()?))
        .collect()
}
