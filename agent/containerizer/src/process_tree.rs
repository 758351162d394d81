//! The host's processes, read once: who descends from whom, who shares a group or session, what they used.
//!
//! Called by the supervisor (to find everything of a container) and for statistics. One [`Snapshot`] costs a few
//! microseconds per process of the host; callers take one per batch of questions, never one per container.

use crate::usage::Usage;
use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;

/// One process as `/proc/PID/stat` shows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    pub(crate) parent: i32,
    pub(crate) group: i32,
    pub(crate) session: i32,
    /// Dead but not yet waited for.
    pub(crate) zombie: bool,
    pub(crate) threads: u32,
    pub(crate) user_ticks: u64,
    pub(crate) system_ticks: u64,
    pub(crate) rss_pages: u64,
    /// Clock ticks after boot; with the pid it names a process for good.
    pub(crate) start_ticks: u64,
}

/// Parses one `/proc/PID/stat`. The command name may contain anything, so that fields count from the last `)`.
fn parse_stat(text: &[u8]) -> Option<Process> {
    let open = text.iter().position(|b| *b == b'(')?;
    let close = text.iter().rposition(|b| *b == b')')?;
    let pid = std::str::from_utf8(&text[..open]).ok()?.trim().parse().ok()?;
    let rest = std::str::from_utf8(text.get(close + 1..)?).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?;
    // Fields after `state` count from 4 (ppid) in proc(5).
    let fields: Vec<&str> = fields.collect();
    let number = |field: usize| fields.get(field - 4)?.parse::<i64>().ok();
    let unsigned = |field: usize| number(field).and_then(|n| u64::try_from(n).ok());
    Some(Process {
        pid,
        parent: number(4)? as i32,
        group: number(5)? as i32,
        session: number(6)? as i32,
        zombie: state == "Z" || state == "X",
        threads: u32::try_from(number(20)?).unwrap_or(0),
        user_ticks: unsigned(14)?,
        system_ticks: unsigned(15)?,
        rss_pages: unsigned(24).unwrap_or(0),
        start_ticks: unsigned(22)?,
    })
}

/// Longer than any `/proc/PID/stat`: fifty numbers and a name of at most 16 bytes (64 in the kernel's own threads).
const STAT_BYTES_MAX: usize = 2048;

/// Reads one process; `None` when it is gone (waited for).
pub(crate) fn read(pid: i32) -> Option<Process> {
    // One read: the kernel makes the whole text at once, and there may be thousands to read.
    let mut buffer = [0; STAT_BYTES_MAX];
    let length = fs::File::open(format!("/proc/{pid}/stat"))
        .ok()?
        .read(&mut buffer)
        .ok()?;
    parse_stat(buffer.get(..length)?)
}

/// Clock ticks per second of the times in `/proc`: fixed by the kernel's interface to user space on all Linux
/// architectures that we build for (`USER_HZ`).
pub(crate) const TICKS_PER_SECOND: u64 = 100;

/// All processes of the host with a user-space part, in the order of their pids.
#[derive(Clone, Debug, Default)]
pub(crate) struct Snapshot {
    processes: Vec<Process>,
    /// Indices into `processes`, sorted by parent, then pid.
    by_parent: Vec<u32>,
}

impl Snapshot {
    /// Reads `/proc`. Processes that end meanwhile are left out.
    pub(crate) fn take() -> Snapshot {
        let mut processes = Vec::new();
        let Ok(entries) = fs::read_dir("/proc") else {
            return Snapshot::default();
        };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let name = name.as_bytes();
            if !name.first().is_some_and(u8::is_ascii_digit) {
                continue;
            }
            let pid = std::str::from_utf8(name).ok().and_then(|n| n.parse().ok());
            if let Some(process) = pid.and_then(read) {
                processes.push(process);
            }
        }
        Snapshot::of(processes)
    }

    fn of(mut processes: Vec<Process>) -> Snapshot {
        processes.sort_unstable_by_key(|p| p.pid);
        let mut by_parent: Vec<u32> = (0..processes.len() as u32).collect();
        by_parent.sort_unstable_by_key(|i| {
            let p = &processes[*i as usize];
            (p.parent, p.pid)
        });
        Snapshot { processes, by_parent }
    }

    pub(crate) fn get(&self, pid: i32) -> Option<&Process> {
        let at = self.processes.binary_search_by_key(&pid, |p| p.pid).ok()?;
        self.processes.get(at)
    }

    /// The processes whose parent is `pid`.
    pub(crate) fn children(&self, pid: i32) -> impl Iterator<Item = &Process> {
        let from = self
            .by_parent
            .partition_point(|i| self.processes[*i as usize].parent < pid);
        self.by_parent[from..]
            .iter()
            .map(|i| &self.processes[*i as usize])
            .take_while(move |p| p.parent == pid)
    }

    /// Everything that belongs to the container whose first process is (or was) `root`: its descendants, all members of
    /// the groups and sessions found on the way, and their descendants. `root` itself is part of it if it exists.
    /// Groups and sessions named in `spare` (the supervisor's own) are never followed.
    pub(crate) fn container(&self, root: i32, spare: &[i32]) -> BTreeSet<i32> {
        let mut found = BTreeSet::new();
        let mut leaders: BTreeSet<i32> = BTreeSet::from([root]);
        let mut open: Vec<i32> = Vec::new();
        if self.get(root).is_some() {
            found.insert(root);
            open.push(root);
        }
        loop {
            while let Some(pid) = open.pop() {
                if let Some(process) = self.get(pid) {
                    for leader in [process.group, process.session] {
                        if leader > 1 && !spare.contains(&leader) {
                            leaders.insert(leader);
                        }
                    }
                }
                for child in self.children(pid) {
                    if found.insert(child.pid) {
                        open.push(child.pid);
                    }
                }
            }
            for process in &self.processes {
                if (leaders.contains(&process.group) || leaders.contains(&process.session))
                    && !spare.contains(&process.pid)
                    && found.insert(process.pid)
                {
                    open.push(process.pid);
                }
            }
            if open.is_empty() {
                return found;
            }
        }
    }

    /// Sums over the container whose first process is `root`; `None` when nothing of it is left.
    pub(crate) fn usage(&self, root: i32) -> Option<Usage> {
        let members = self.container(root, &[]);
        if members.is_empty() {
            return None;
        }
        let mut usage = Usage::default();
        let page = rustix::param::page_size() as u64;
        for process in members.iter().filter_map(|pid| self.get(*pid)) {
            usage.processes += 1;
            usage.threads += process.threads;
            usage.cpus_user_time_secs += process.user_ticks as f64 / TICKS_PER_SECOND as f64;
            usage.cpus_system_time_secs += process.system_ticks as f64 / TICKS_PER_SECOND as f64;
            usage.mem_rss_bytes += process.rss_pages * page;
        }
        Some(usage)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn process(pid: i32, parent: i32, group: i32, session: i32) -> Process {
        Process {
            pid,
            parent,
            group,
            session,
            ..Process::default()
        }
    }

    #[test]
    fn a_command_name_with_parentheses_and_blanks_does_not_shift_the_fields() {
        let text = b"77 (a) b) c) S 1 70 60 0 -1 4194560 1 0 0 0 5 6 0 0 20 0 3 0 900 1000 12 184 1";
        let process = parse_stat(text).unwrap();
        assert_eq!(process.pid, 77);
        assert_eq!((process.parent, process.group, process.session), (1, 70, 60));
        assert_eq!((process.user_ticks, process.system_ticks), (5, 6));
        assert_eq!(
            (process.threads, process.start_ticks, process.rss_pages),
            (3, 900, 12)
        );
    }

    #[test]
    fn damaged_stat_lines_are_no_process() {
        for text in ["", "1", "1 (a", "1 (a) S", "x (a) S 1 2 3", ")("] {
            assert_eq!(parse_stat(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_container_is_tree_groups_and_sessions_but_nobody_elses() {
        let snapshot = Snapshot::of(vec![
            process(1, 0, 1, 1),
            process(10, 1, 10, 10),  // the supervisor
            process(20, 10, 20, 20), // the container's first process
            process(21, 20, 20, 20), // its child
            process(22, 21, 22, 22), // a grandchild with a session of its own
            process(23, 10, 22, 22), // orphaned member of that session
            process(24, 10, 24, 20), // orphaned job of the first session
            process(25, 24, 10, 10), // joined the supervisor's group
            process(30, 10, 30, 30), // another container
            process(31, 30, 30, 30),
        ]);
        assert_eq!(
            snapshot.container(20, &[10]),
            BTreeSet::from([20, 21, 22, 23, 24, 25])
        );
        assert_eq!(snapshot.container(30, &[10]), BTreeSet::from([30, 31]));
    }

    #[test]
    fn members_of_a_dead_first_process_session_are_still_found() {
        let snapshot = Snapshot::of(vec![process(10, 1, 10, 10), process(24, 10, 24, 20)]);
        assert_eq!(snapshot.container(20, &[10]), BTreeSet::from([24]));
    }

    #[test]
    fn this_process_is_on_the_host() {
        let snapshot = Snapshot::take();
        let me = std::process::id() as i32;
        let usage = snapshot.usage(me).unwrap();
        assert!(usage.mem_rss_bytes > 0 && usage.processes >= 1);
        assert_eq!(snapshot.get(me).unwrap().pid, me);

        assert!(read(me).unwrap().start_ticks > 0);
    }
}
