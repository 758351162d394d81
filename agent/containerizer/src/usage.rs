//! Statistics of containers, read from cgroups or from the process tree below the first process.
//!
//! Blocking and read-only; called off the agent's event loop.

use crate::isolate::{Controller, Isolation, cgroups};
use crate::process_tree::Snapshot;
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
    /// What only cgroups tell; all absent under posix isolation.
    pub cgroup: CgroupUsage,
}

/// Statistics only cgroups have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CgroupUsage {
    /// Charged memory in bytes.
    pub mem_total_bytes: Option<u64>,
    /// Charged memory and swap in bytes.
    pub mem_total_memsw_bytes: Option<u64>,
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

/// Reads the statistics of these containers, in the order asked; `None` where the container is gone. Where a container
/// has no cgroup of its own (started under another isolation) the process tree is asked.
pub fn measure(of: &[UsageOf], isolation: &Isolation) -> Vec<Option<Usage>> {
    let processes = Snapshot::take();
    of.iter()
        .map(|one| {
            let tree = i32::try_from(one.pid).ok().and_then(|pid| processes.usage(pid))?;
            Some(from_cgroups(tree, one.id.as_str(), isolation))
        })
        .collect()
}

fn from_cgroups(mut usage: Usage, id: &str, isolation: &Isolation) -> Usage {
    for cgroup in isolation.cgroups(id) {
        match cgroup.controller {
            Controller::Memory => {
                if let Some((rss, more)) = cgroups::memory(&cgroup.path) {
                    usage.mem_rss_bytes = rss;
                    usage.cgroup = CgroupUsage {
                        cpu_throttling: usage.cgroup.cpu_throttling,
                        ..more
                    };
                }
            }
            Controller::Cpu => usage.cgroup.cpu_throttling = cgroups::throttling(&cgroup.path),
            Controller::CpuAcct | Controller::Pids | Controller::Freezer => {}
        }
        if matches!(cgroup.controller, Controller::Cpu | Controller::CpuAcct)
            && let Some((user, system)) = cgroups::cpu_seconds(&cgroup.path)
        {
            usage.cpus_user_time_secs = user;
            usage.cpus_system_time_secs = system;
        }
    }
    usage
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_living_process_has_statistics_and_a_dead_one_none() {
        let of = |pid| UsageOf {
            id: ContainerId::new("c").unwrap(),
            pid,
        };
        let all = measure(&[of(std::process::id()), of(u32::MAX)], &Isolation::posix());
        assert!(all[0].as_ref().unwrap().mem_rss_bytes > 0);
        assert_eq!(all[1], None);
    }
}
