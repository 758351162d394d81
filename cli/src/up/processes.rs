//! The processes of this cluster: known by pid and start, watched, signalled, reaped, found again.
//!
//! As a subreaper this process inherits what its children leave behind (an agent's supervisor, a supervisor's tasks),
//! so one place must collect all of them. Processes of an earlier `up` are nobody's children here: they are watched
//! through a pidfd, which cannot mean another process that got the same number later.

use super::child::Ended;
use nix::errno::Errno;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// As much of a process's environment as is looked through for its sandbox.
const ENVIRONMENT_BYTES_MAX: u64 = 256 * 1024;

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

    /// All that have ended; of those that were only inherited nobody needs to hear.
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

/// One process, whoever its parent is: the number stays its own for as long as this is held.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) pid: i32,
    fd: AsyncFd<OwnedFd>,
}

impl Process {
    /// The process that has this number now. `None` when there is none.
    pub(super) fn open(pid: i32) -> Option<Process> {
        let fd = pidfd_open(Pid::from_raw(pid)?, PidfdFlags::NONBLOCK).ok()?;
        // Deprecated because a type may lie about its descriptor; one that owns it cannot.
        #[expect(deprecated)]
        let fd = AsyncFd::with_interest(fd, Interest::READABLE).ok()?;
        Some(Process { pid, fd })
    }

    /// Waits for its end.
    pub(super) async fn ended(&self) {
        // A pidfd is readable from the end of its process on. An error can only come from the runtime's own end.
        let _ = self.fd.readable().await;
    }

    /// Whether it has ended.
    pub(super) fn has_ended(&self) -> bool {
        let mut asked = [PollFd::new(self.fd.get_ref(), PollFlags::IN)];
        let at_once = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // What cannot be asked is taken for alive: nobody else gets its place.
        poll(&mut asked, Some(&at_once)).is_ok_and(|ready| ready > 0)
    }

    /// Sends a signal; a process that is gone already is no error.
    pub(super) fn send(&self, signal: Signal) {
        let _ = pidfd_send_signal(self.fd.get_ref(), signal);
    }
}

/// What tells a process from every other one of this boot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) pid: i32,
    /// Clock ticks since the boot.
    pub(super) started: u64,
}

impl Identity {
    /// Of a process that lives.
    pub(super) fn of(pid: i32) -> Option<Identity> {
        let stat = Stat::of(pid)?;
        Some(Identity {
            pid,
            started: stat.started,
        })
    }

    /// The process, if it still is that very one.
    pub(super) fn open(&self) -> Option<Process> {
        let process = Process::open(self.pid)?;
        (Identity::of(self.pid).as_ref() == Some(self)).then_some(process)
    }
}

/// The boot all pids and starts are of.
pub(super) fn boot() -> String {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.trim().to_owned()
}

/// Whether a process runs as the same user as this one.
pub(super) fn is_ours(pid: i32) -> bool {
    let us = nix::unistd::Uid::effective().as_raw();
    fs::metadata(format!("/proc/{pid}")).is_ok_and(|m| m.uid() == us)
}

/// Every process that belongs to the cluster of a folder, parents before children: what descends from `roots`, the
/// supervisors of the folder's agents and what runs in its sandboxes.
pub(super) fn family(roots: &[i32], folder: &Path) -> Vec<Identity> {
    let me = std::process::id().cast_signed();
    let live: BTreeMap<i32, Stat> = all()
        .filter_map(|pid| Some((pid, Stat::of(pid).filter(Stat::is_live)?)))
        .collect();
    let runtime = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    let belongs = |pid: i32| {
        is_ours(pid)
            && (is_supervisor_of(pid, &runtime)
                || sandbox_of(pid).is_some_and(|s| {
                    Path::new(&s).starts_with(folder) || Path::new(&s).starts_with(&runtime)
                }))
    };
    let mut found: Vec<i32> = std::iter::once(me).chain(roots.iter().copied()).collect();
    found.extend(live.keys().copied().filter(|pid| belongs(*pid)));
    let mut seen: BTreeSet<i32> = BTreeSet::new();
    found.retain(|pid| seen.insert(*pid));
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        let children = live.iter().filter(|(_, stat)| stat.parent == parent);
        found.extend(children.map(|(pid, _)| *pid).filter(|pid| seen.insert(*pid)));
        next += 1;
    }
    let identity = |pid: &i32| {
        let started = live.get(pid)?.started;
        Some(Identity { pid: *pid, started })
    };
    let others = found.iter().filter(|pid| **pid != me);
    others.filter_map(identity).collect()
}

/// The supervisors of the agents of a folder.
pub(super) fn supervisors(folder: &Path) -> Vec<i32> {
    let runtime = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    let matching = all().filter(|pid| is_ours(*pid) && is_supervisor_of(*pid, &runtime));
    matching
        .filter(|pid| Stat::of(*pid).is_some_and(|s| s.is_live()))
        .collect()
}

fn is_supervisor_of(pid: i32, folder: &Path) -> bool {
    let words = arguments(pid);
    words.get(1).is_some_and(|word| word == "supervise")
        && words
            .iter()
            .skip(2)
            .any(|word| Path::new(word).starts_with(folder))
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

/// The words a process was started with.
pub(super) fn arguments(pid: i32) -> Vec<String> {
    let raw = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    // The last one ends with a zero as well; empty ones in between are words.
    let raw = raw.strip_suffix(&[0]).unwrap_or(&raw);
    if raw.is_empty() {
        return Vec::new();
    }
    let words = raw.split(|b| *b == 0);
    words.map(|w| String::from_utf8_lossy(w).into_owned()).collect()
}

/// Every process of the machine.
pub(super) fn all() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// What is read of `/proc/PID/stat`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stat {
    state: String,
    parent: i32,
    started: u64,
}

impl Stat {
    fn of(pid: i32) -> Option<Stat> {
        Stat::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    fn parse(text: &str) -> Option<Stat> {
        /// The field of the start, counted from the state.
        const STARTED: usize = 19;
        // The name in parentheses may hold anything; what follows it is fixed.
        let (_, rest) = text.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        Some(Stat {
            state: (*fields.first()?).to_owned(),
            parent: fields.get(1)?.parse().ok()?,
            started: fields.get(STARTED)?.parse().ok()?,
        })
    }

    fn is_live(&self) -> bool {
        !matches!(self.state.as_str(), "Z" | "X")
    }
}

/// An error for people when a process cannot be watched.
pub(super) fn unwatched(pid: i32) -> io::Error {
    io::Error::other(format!("process {pid} cannot be watched (pidfd_open)"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::io::Write;
    use std::process::{Command, Stdio};

    #[test]
    fn a_name_with_parentheses_and_blanks_does_not_shift_the_fields() {
        let text = "42 (a) R 1 (b) S 7 1 1 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 8812 1 1";
        let stat = Stat::parse(text).unwrap();
        assert_eq!((stat.state.as_str(), stat.parent, stat.started), ("S", 7, 8812));
        assert!(Stat::parse("42 (x").is_none());
    }

    #[tokio::test]
    async fn the_end_of_a_process_is_an_event_and_it_stays_told_apart() {
        // It ends by itself when this test does; once it has answered, the kernel tells its arguments.
        let mut child = Command::new("cat")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.as_mut().unwrap().write_all(b"x").unwrap();
        child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        let pid = child.id().cast_signed();
        let before = Identity::of(pid).unwrap();
        assert_eq!(arguments(pid), ["cat"]);
        assert!(is_ours(pid));
        let process = Process::open(pid).unwrap();
        assert!(!process.has_ended());
        process.send(Signal::KILL);
        process.ended().await;
        assert!(process.has_ended());
        child.wait().unwrap();
        assert_ne!(Identity::of(pid), Some(before));
    }
}
