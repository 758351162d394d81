//! All processes below this one: reaped here, found here, ended here.
//!
//! As a subreaper this process inherits what its children leave behind (an agent's supervisor, a supervisor's tasks),
//! so one place must collect all of them.

use super::child::Ended;
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::fs;

/// Collects dead children.
#[derive(Debug, Default)]
pub(super) struct Reaper {
    own: BTreeSet<i32>,
}

impl Reaper {
    /// Notes a child whose end will be asked for.
    pub(super) fn own(&mut self, pid: i32) {
        self.own.insert(pid);
    }

    /// All that have ended; of adopted ones nobody needs to hear.
    pub(super) fn reap(&mut self) -> Vec<(i32, Ended)> {
        let mut dead = Vec::new();
        loop {
            let (pid, ended) = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, code)) => (pid, Ended::Code(code)),
                Ok(WaitStatus::Signaled(pid, signal, _)) => (pid, Ended::Signal(signal as i32)),
                Err(Errno::EINTR) => continue,
                Ok(WaitStatus::StillAlive) | Err(_) => return dead,
                Ok(_) => continue,
            };
            if self.own.remove(&pid.as_raw()) {
                dead.push((pid.as_raw(), ended));
            }
        }
    }
}

/// Sends a signal; a process that is gone already is no error.
pub(super) fn send(pid: i32, signal: Signal) {
    let _ = kill(Pid::from_raw(pid), signal);
}

/// Every process below this one, parents before children. Zombies are none.
pub(super) fn descendants() -> Vec<i32> {
    let parents: Vec<(i32, i32)> = all()
        .filter_map(|pid| Some((pid, parent_of_live(pid)?)))
        .collect();
    let mut found = vec![std::process::id().cast_signed()];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        found.extend(parents.iter().filter(|(_, p)| *p == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    found.remove(0);
    found
}

/// The words a process was started with.
pub(super) fn arguments(pid: i32) -> Vec<String> {
    let raw = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words = raw.split(|b| *b == 0).filter(|w| !w.is_empty());
    words.map(|w| String::from_utf8_lossy(w).into_owned()).collect()
}

/// Every process of the machine.
pub(super) fn all() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn parent_of_live(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything; what follows it is fixed.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    (state != "Z" && state != "X").then_some(parent)
}
