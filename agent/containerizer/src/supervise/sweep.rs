//! Strays: processes that a container without cgroups left behind outside of its process group.
//!
//! Under posix isolation nothing but descent, session and group ties a process to its container, and the kernel offers
//! no way to ask for them but to read all of `/proc`. Doing that for every exit would cost more than the task itself; so
//! the group is killed at once and the rest is looked for soon after, once for all containers that ended meanwhile.

use super::state::Supervisor;
use super::sys;
use crate::process_tree::{Process, Snapshot};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::time::{Duration, Instant};

/// Least time between two sweeps.
const SWEEP_PAUSE_MIN: Duration = Duration::from_millis(100);

/// Sweeps take at most one part in so many of the supervisor's time, however many processes the host has.
const SWEEP_PART: u32 = 50;

/// Much more environment than the kernel gives a process ordinarily; a container's variables come first.
const ENVIRONMENT_BYTES_MAX: u64 = 256 << 10;

/// What ended since the last sweep.
#[derive(Debug, Default)]
pub(crate) struct Sweeper {
    /// First processes; also the numbers of their sessions.
    sessions: BTreeSet<i32>,
    sandboxes: BTreeSet<String>,
    /// Not before then.
    next: Option<Instant>,
}

impl Sweeper {
    /// A container ended whose strays are to be looked for.
    pub(crate) fn ended(&mut self, first_process: i32, sandbox: &str) {
        self.sessions.insert(first_process);
        self.sandboxes.insert(sandbox.to_owned());
    }

    /// When the next sweep is due.
    pub(crate) fn due(&self) -> Option<Instant> {
        if self.sessions.is_empty() {
            return None;
        }
        Some(self.next.unwrap_or_else(Instant::now))
    }
}

impl Supervisor {
    /// Kills the strays of containers that ended, if it is time.
    pub(crate) fn sweep(&mut self) {
        if self.sweeper.due().is_none_or(|at| at > Instant::now()) {
            return;
        }
        let begun = Instant::now();
        let sessions = std::mem::take(&mut self.sweeper.sessions);
        let sandboxes = std::mem::take(&mut self.sweeper.sandboxes);
        let me = std::process::id() as i32;
        // Orphans of our descendants are our children: the kernel gave them to us.
        let orphans: Vec<Process> = self.take_snapshot().children(me).copied().collect();
        let mut doomed = BTreeSet::new();
        for orphan in orphans {
            let known = self.pids.contains_key(&orphan.pid) || self.pool.has(orphan.pid);
            if known || orphan.zombie {
                continue;
            }
            let belongs = sessions.contains(&orphan.session)
                || sessions.contains(&orphan.group)
                || sandbox_of(orphan.pid).is_some_and(|s| sandboxes.contains(&s));
            if belongs {
                doomed.insert(orphan.pid);
            }
        }
        for root in doomed {
            for pid in self.take_snapshot().container(root, &[me]) {
                if !self.pids.contains_key(&pid) && !self.pool.has(pid) {
                    sys::kill(pid, libc::SIGKILL);
                }
            }
        }
        let pause = (begun.elapsed() * SWEEP_PART).max(SWEEP_PAUSE_MIN);
        self.sweeper.next = Some(Instant::now() + pause);
    }
}

impl Snapshot {
    /// Our children that say in their environment that they are of this sandbox, with all that belongs to them: orphans
    /// that made sessions of their own, beyond the reach of the ordinary walk. First processes are not among them.
    pub(crate) fn strays_of(&self, sandbox: &str, me: i32, is_first: impl Fn(i32) -> bool) -> BTreeSet<i32> {
        let mut out = BTreeSet::new();
        for child in self.children(me).filter(|c| !is_first(c.pid)) {
            if sandbox_of(child.pid).is_some_and(|s| s == sandbox) {
                out.extend(self.container(child.pid, &[me]));
            }
        }
        out
    }
}

/// The sandbox a process was given by its environment.
fn sandbox_of(pid: i32) -> Option<String> {
    let mut environment = Vec::new();
    File::open(format!("/proc/{pid}/environ"))
        .ok()?
        .take(ENVIRONMENT_BYTES_MAX)
        .read_to_end(&mut environment)
        .ok()?;
    let value = environment
        .split(|b| *b == 0)
        .find_map(|entry| entry.strip_prefix(b"MESOS_SANDBOX="))?;
    String::from_utf8(value.to_vec()).ok()
}
