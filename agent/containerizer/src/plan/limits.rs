//! The arithmetic of cgroup v1 limits, as Mesos does it (its documentation of the cgroups/cpu and cgroups/mem isolators).

use super::{Cgroup, Setting};
use crate::isolate::{Controller, Isolation};
use crate::spec::{Limit, Resources};

const CPU_SHARES_PER_CPU: u64 = 1024;
const CPU_SHARES_MIN: u64 = 2;
const CFS_PERIOD_US: u64 = 100_000;
const CFS_QUOTA_US_MIN: u64 = 1_000;
const MEMORY_BYTES_MIN: u64 = 32 << 20;
const UNLIMITED: i64 = -1;

/// What to write into which of a container's cgroups. `first`: at its start, when a memory limit may be set as low as
/// asked; later it is only raised, because lowering it below what is in use fails or kills.
pub(crate) fn settings(
    cgroups: &[Cgroup],
    resources: &Resources,
    isolation: &Isolation,
    first: bool,
) -> Vec<Setting> {
    let mut out = Vec::new();
    for cgroup in cgroups {
        let path = || cgroup.path.clone();
        match cgroup.controller {
            Controller::Cpu => {
                out.push(Setting::CpuShares {
                    path: path(),
                    shares: cpu_shares(resources.cpus_milli),
                });
                if let Some(quota_us) = cfs_quota_us(resources, isolation.enable_cfs) {
                    out.push(Setting::CpuQuota {
                        path: path(),
                        period_us: CFS_PERIOD_US,
                        quota_us,
                    });
                }
            }
            Controller::Memory if resources.mem_bytes > 0 => {
                out.push(Setting::MemorySoft {
                    path: path(),
                    bytes: memory_bytes(resources.mem_bytes),
                });
                out.push(Setting::MemoryHard {
                    path: path(),
                    bytes: match resources.mem_limit_bytes {
                        None => memory_bytes(resources.mem_bytes),
                        Some(Limit::Finite(bytes)) => memory_bytes(bytes),
                        Some(Limit::Infinite) => UNLIMITED,
                    },
                    swap: isolation.limit_swap,
                    lower: first,
                });
            }
            Controller::Pids => {
                if let Some(most) = isolation.pids_max.filter(|_| first) {
                    out.push(Setting::PidsMax { path: path(), most });
                }
            }
            Controller::Memory | Controller::CpuAcct | Controller::Freezer => {}
        }
    }
    out
}

fn cpu_shares(cpus_milli: u64) -> u64 {
    (cpus_milli.saturating_mul(CPU_SHARES_PER_CPU) / 1000).max(CPU_SHARES_MIN)
}

/// The quota per period; `None`: none is written.
fn cfs_quota_us(resources: &Resources, enable_cfs: bool) -> Option<i64> {
    let cpus_milli = match resources.cpus_limit_milli {
        Some(Limit::Infinite) => return Some(UNLIMITED),
        Some(Limit::Finite(limit)) => limit,
        None if enable_cfs => resources.cpus_milli,
        None => return None,
    };
    let quota = (cpus_milli.saturating_mul(CFS_PERIOD_US) / 1000).max(CFS_QUOTA_US_MIN);
    Some(i64::try_from(quota).unwrap_or(i64::MAX))
}

fn memory_bytes(bytes: u64) -> i64 {
    i64::try_from(bytes.max(MEMORY_BYTES_MIN)).unwrap_or(i64::MAX)
}
