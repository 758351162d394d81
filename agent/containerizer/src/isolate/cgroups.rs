//! cgroups (v1): made, limited, read, emptied and removed.
//!
//! The only module that knows cgroups-rs, which writes limits and makes groups; its constructors are used with paths
//! planned elsewhere, because its own search of the mount table costs more than the rest of a launch. What it lacks is
//! ours: OOM notification without a thread per group, removal that descends, kills and does not sleep.
//!
//! Called by launchers (make, set), the supervisor (kill, OOM, remove) and for statistics.

use super::Controller;
use crate::plan::{Cgroup, Setting};
use crate::usage::CgroupUsage;
use cgroups_rs::fs::cpu::CpuController;
use cgroups_rs::fs::freezer::FreezerController;
use cgroups_rs::fs::memory::MemController;
use cgroups_rs::fs::pid::PidController;
use cgroups_rs::fs::{Controller as _, MaxValue, hierarchies};
use std::error::Error as _;
use std::fs;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// Why a cgroup could not be made or set; the text is for the task's status.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {why}")]
pub(crate) struct CgroupError {
    what: String,
    why: String,
}

fn failed(what: String) -> impl FnOnce(cgroups_rs::fs::error::Error) -> CgroupError {
    move |error| CgroupError {
        what,
        // The library's own text names the file; the cause is the kernel's word.
        why: match error.source() {
            Some(cause) => format!("{error}: {cause}"),
            None => error.to_string(),
        },
    }
}

/// The mount points of the v1 hierarchies below `below`.
pub(crate) fn mounts(below: &Path) -> Vec<(Controller, PathBuf)> {
    let mounted = hierarchies::mountinfo_self();
    Controller::ALL
        .into_iter()
        .filter_map(|controller| {
            let mount = mounted.iter().find(|m| {
                m.fs_type.0 == "cgroup"
                    && m.mount_point.starts_with(below)
                    && m.super_opts.iter().any(|o| o == controller.name())
            })?;
            Some((controller, mount.mount_point.clone()))
        })
        .collect()
}

/// Makes a cgroup with its parents.
pub(crate) fn make(cgroup: &Cgroup) -> Result<(), CgroupError> {
    // Ordinarily the parent is there: one system call. cgroups-rs would look first.
    match fs::create_dir(&cgroup.path) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        Err(_) => {}
    }
    let what = format!("Failed to create cgroup '{}'", cgroup.path);
    // Making a group is the same for every controller.
    CpuController::new(PathBuf::from(&cgroup.path), PathBuf::new(), false)
        .create()
        .map_err(failed(what))
}

/// Writes one setting.
pub(crate) fn set(setting: &Setting) -> Result<(), CgroupError> {
    let what = || format!("Failed to set {setting}");
    let root = PathBuf::new;
    match setting {
        Setting::CpuShares { path, shares } => CpuController::new(path.into(), root(), false)
            .set_shares(*shares)
            .map_err(failed(what())),
        Setting::CpuQuota {
            path,
            period_us,
            quota_us,
        } => {
            let cpu = CpuController::new(path.into(), root(), false);
            cpu.set_cfs_period(*period_us).map_err(failed(what()))?;
            cpu.set_cfs_quota(*quota_us).map_err(failed(what()))
        }
        Setting::MemorySoft { path, bytes } => MemController::new(path.into(), root(), false)
            .set_soft_limit(*bytes)
            .map_err(failed(what())),
        Setting::MemoryHard {
            path,
            bytes,
            swap,
            lower,
        } => {
            let memory = MemController::new(path.into(), root(), false);
            let now = || read_number(path, "memory.limit_in_bytes");
            let grows = *bytes < 0
                // A new cgroup has no limit.
                || !*lower && now().is_none_or(|now| i64::try_from(now).is_ok_and(|now| *bytes > now));
            // The bound on memory and swap must never be below the one on memory.
            if grows && *swap {
                memory.set_memswap_limit(*bytes).map_err(failed(what()))?;
            }
            if grows || *lower {
                memory.set_limit(*bytes).map_err(failed(what()))?;
            }
            if !grows && *lower && *swap {
                memory.set_memswap_limit(*bytes).map_err(failed(what()))?;
            }
            Ok(())
        }
        Setting::PidsMax { path, most } => PidController::new(path.into(), root(), false)
            .set_pid_max(MaxValue::Value(i64::try_from(*most).unwrap_or(i64::MAX)))
            .map_err(failed(what())),
    }
}

/// The processes in a cgroup and in those below it; none when it is gone.
pub(crate) fn processes(path: &str) -> Vec<i32> {
    let mut out = Vec::new();
    collect_processes(Path::new(path), &mut out);
    out
}

fn collect_processes(path: &Path, out: &mut Vec<i32>) {
    let Ok(text) = fs::read_to_string(path.join("cgroup.procs")) else {
        return;
    };
    out.extend(text.lines().filter_map(|l| l.parse::<i32>().ok()));
    for below in folders(path) {
        collect_processes(&below, out);
    }
}

fn folders(path: &Path) -> Vec<PathBuf> {
    // Two links more than folders below: an ordinary container has none, and needs no listing of the many control files.
    if fs::metadata(path).is_ok_and(|m| std::os::unix::fs::MetadataExt::nlink(&m) == 2) {
        return Vec::new();
    }
    let Ok(entries) = fs::read_dir(path) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter(|e| e.file_type().is_ok_and(|t| t.is_dir()))
        .map(|e| e.path())
        .collect()
}

/// The cgroup in which a container's processes are best listed: the freezer's if there is one.
fn listing(cgroups: &[Cgroup]) -> Option<&Cgroup> {
    cgroups
        .iter()
        .max_by_key(|c| (c.controller == Controller::Freezer, c.controller))
}

/// All processes of a container that has cgroups.
pub(crate) fn members(cgroups: &[Cgroup]) -> Vec<i32> {
    listing(cgroups).map_or_else(Vec::new, |c| processes(&c.path))
}

/// Kills everything in a container's cgroups; true when nothing was left. Frozen first where that is possible, so that
/// nothing can be born between the listing and the signal. To be repeated after a while until it is true.
pub(crate) fn kill(cgroups: &[Cgroup], kill: impl Fn(i32)) -> bool {
    let Some(cgroup) = listing(cgroups) else {
        return true;
    };
    let mut left = processes(&cgroup.path);
    if left.is_empty() {
        return true;
    }
    let freezer = (cgroup.controller == Controller::Freezer)
        .then(|| FreezerController::new(PathBuf::from(&cgroup.path), PathBuf::new(), false));
    if freezer.as_ref().is_some_and(|f| f.freeze().is_ok()) {
        left = processes(&cgroup.path);
    }
    for pid in left {
        kill(pid);
    }
    if let Some(freezer) = freezer {
        // A failure shows in the next round: nothing dies while frozen.
        let _ = freezer.thaw();
    }
    false
}

/// Removes a container's cgroups; those that are not empty stay and are named in the error.
pub(crate) fn remove(cgroups: &[Cgroup]) -> Result<(), CgroupError> {
    let mut outcome = Ok(());
    for cgroup in cgroups {
        if let Err(error) = remove_tree(Path::new(&cgroup.path)) {
            outcome = Err(CgroupError {
                what: format!("Failed to remove cgroup '{}'", cgroup.path),
                why: error.to_string(),
            });
        }
    }
    outcome
}

/// Removes one cgroup and those below it.
fn remove_tree(path: &Path) -> io::Result<()> {
    match fs::remove_dir(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => {
            let below = folders(path);
            if below.is_empty() {
                return Err(error);
            }
            for folder in below {
                remove_tree(&folder)?;
            }
            match fs::remove_dir(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            }
        }
    }
}

/// The containers that have a cgroup below one of our roots.
pub(crate) fn containers_below(root: &str) -> Vec<String> {
    folders(Path::new(root))
        .into_iter()
        .filter_map(|p| Some(p.file_name()?.to_str()?.to_owned()))
        .collect()
}

fn read_number(path: &str, file: &str) -> Option<u64> {
    fs::read_to_string(format!("{path}/{file}"))
        .ok()?
        .trim()
        .parse()
        .ok()
}

/// The value of `key` in a file of `key value` lines.
fn keyed(text: &str, key: &str) -> Option<u64> {
    text.lines()
        .find_map(|l| l.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}

/// A descriptor that becomes readable when the kernel runs out of memory for this cgroup.
pub(crate) fn watch_oom(path: &str) -> io::Result<OwnedFd> {
    use rustix::event::{EventfdFlags, eventfd};
    use std::os::fd::AsRawFd as _;
    let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
    let control = fs::File::open(format!("{path}/memory.oom_control"))?;
    let order = format!("{} {}", event.as_raw_fd(), control.as_raw_fd());
    fs::OpenOptions::new()
        .write(true)
        .open(format!("{path}/cgroup.event_control"))?
        .write_all(order.as_bytes())?;
    Ok(event)
}

/// What the kernel says of a cgroup that ran out of memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OutOfMemory {
    pub(crate) limit_bytes: u64,
    pub(crate) max_used_bytes: u64,
    pub(crate) statistics: String,
}

/// Whether the kernel killed something in this cgroup for lack of memory, and what it says.
pub(crate) fn out_of_memory(path: &str, event_seen: bool) -> Option<OutOfMemory> {
    if !event_seen {
        let control = fs::read_to_string(format!("{path}/memory.oom_control")).ok()?;
        // Kernels before 4.13 do not count; there only the event tells.
        let killed = keyed(&control, "oom_kill").unwrap_or(0) > 0;
        // When the limit was never hit, the host as a whole was out of memory, not the container.
        if !killed || read_number(path, "memory.failcnt") == Some(0) {
            return None;
        }
    }
    Some(OutOfMemory {
        limit_bytes: read_number(path, "memory.limit_in_bytes").unwrap_or(0),
        max_used_bytes: read_number(path, "memory.max_usage_in_bytes").unwrap_or(0),
        statistics: fs::read_to_string(format!("{path}/memory.stat")).unwrap_or_default(),
    })
}

/// CPU seconds (user, kernel) used in a cpuacct cgroup.
pub(crate) fn cpu_seconds(path: &str) -> Option<(f64, f64)> {
    let text = fs::read_to_string(format!("{path}/cpuacct.stat")).ok()?;
    let seconds = |key| keyed(&text, key).map(|t| t as f64 / crate::process_tree::TICKS_PER_SECOND as f64);
    Some((seconds("user")?, seconds("system")?))
}

/// Resident bytes, and what else a memory and a cpu cgroup tell.
pub(crate) fn memory(path: &str) -> Option<(u64, CgroupUsage)> {
    let text = fs::read_to_string(format!("{path}/memory.stat")).ok()?;
    let usage = CgroupUsage {
        mem_total_bytes: read_number(path, "memory.usage_in_bytes"),
        mem_total_memsw_bytes: read_number(path, "memory.memsw.usage_in_bytes"),
        mem_cache_bytes: keyed(&text, "total_cache"),
        mem_mapped_file_bytes: keyed(&text, "total_mapped_file"),
        mem_swap_bytes: keyed(&text, "total_swap"),
        mem_unevictable_bytes: keyed(&text, "total_unevictable"),
        cpu_throttling: None,
    };
    Some((keyed(&text, "total_rss")?, usage))
}

/// Scheduling periods, periods throttled, nanoseconds throttled, of a cpu cgroup.
pub(crate) fn throttling(path: &str) -> Option<(u64, u64, u64)> {
    let text = fs::read_to_string(format!("{path}/cpu.stat")).ok()?;
    Some((
        keyed(&text, "nr_periods")?,
        keyed(&text, "nr_throttled")?,
        keyed(&text, "throttled_time")?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keyed_files_are_read_by_whole_keys() {
        let text = "cache 5\ntotal_cache 7\nrss 8\n";
        assert_eq!(keyed(text, "cache"), Some(5));
        assert_eq!(keyed(text, "total_cache"), Some(7));
        assert_eq!(keyed(text, "total"), None);
        assert_eq!(keyed("user x", "user"), None);
    }
}
