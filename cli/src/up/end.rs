//! The end of `up`: agents end their tasks with grace, then what is left of supervisors, then the master.

use super::child::Ended;
use super::plan::Role;
use super::processes::{arguments, descendants, send};
use super::{Signals, Up};
use nix::sys::signal::Signal;
use std::path::Path;
use std::time::Duration;
use tokio::time::Instant;

/// Tasks have their own grace periods; beyond this something hangs.
const AGENTS_PATIENCE: Duration = Duration::from_secs(120);
/// A supervisor without an agent kills what it holds at once; the master writes nothing that waits long.
const PATIENCE: Duration = Duration::from_secs(15);
/// When to say what is being waited for.
const SAY_AFTER: Duration = Duration::from_secs(2);

/// Why a wait ended.
#[derive(Debug, PartialEq, Eq)]
enum Waited {
    AllGone,
    Impatient,
    TooLong,
}

impl Up {
    /// Ends everything, whatever state it is in. A second Ctrl-C ends it at once.
    pub(super) async fn finish(&mut self, signals: &mut Signals) {
        self.screen.ending();
        let ended = self.gently(signals).await;
        if !ended {
            self.screen.killing();
        }
        self.kill_all(signals).await;
        self.remove_cgroups();
        self.screen.ended(ended);
    }

    async fn gently(&mut self, signals: &mut Signals) -> bool {
        let agents = self.pids(|role| *role != Role::Master);
        for pid in &agents {
            send(*pid, Signal::SIGUSR2);
        }
        if self.wait(signals, &agents, AGENTS_PATIENCE, "tasks to end").await != Waited::AllGone {
            return false;
        }
        let supervisors: Vec<i32> = descendants()
            .into_iter()
            .filter(|pid| is(*pid, "supervise"))
            .collect();
        for pid in &supervisors {
            send(*pid, Signal::SIGTERM);
        }
        if self.wait(signals, &supervisors, PATIENCE, "supervisors").await != Waited::AllGone {
            return false;
        }
        let master = self.pids(|role| *role == Role::Master);
        for pid in &master {
            send(*pid, Signal::SIGTERM);
        }
        self.wait(signals, &master, PATIENCE, "the master").await == Waited::AllGone
    }

    fn pids(&self, which: impl Fn(&Role) -> bool) -> Vec<i32> {
        let matching = self.roles.iter().filter(|r| which(&r.role));
        matching.filter_map(|r| r.child.as_ref()).map(|c| c.pid).collect()
    }

    /// Waits until these are gone; each death is an event, so nothing is polled.
    async fn wait(&mut self, signals: &mut Signals, pids: &[i32], patience: Duration, what: &str) -> Waited {
        let start = Instant::now();
        let mut say_at = Some(start + SAY_AFTER);
        loop {
            self.collect();
            let live = descendants();
            if !pids.iter().any(|pid| live.contains(pid)) {
                return Waited::AllGone;
            }
            tokio::select! {
                _ = signals.child.recv() => {}
                _ = signals.interrupt.recv() => return Waited::Impatient,
                _ = signals.terminate.recv() => return Waited::Impatient,
                () = super::until(say_at), if say_at.is_some() => {
                    say_at = None;
                    self.screen.waiting_for(what);
                }
                () = tokio::time::sleep_until(start + patience) => return Waited::TooLong,
            }
        }
    }

    fn collect(&mut self) -> Vec<(i32, Ended)> {
        let dead = self.reaper.reap();
        for (pid, _) in &dead {
            for role in &mut self.roles {
                if role.child.as_ref().is_some_and(|c| c.pid == *pid) {
                    role.child = None;
                }
            }
        }
        dead
    }

    /// Kills what is left, again and again, since a killed parent's children come to us. Children before parents, so
    /// that no supervisor reports or restarts what was just killed.
    async fn kill_all(&mut self, signals: &mut Signals) {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            self.collect();
            let left = descendants();
            if left.is_empty() {
                return;
            }
            for pid in left.iter().rev() {
                send(*pid, Signal::SIGKILL);
            }
            tokio::select! {
                _ = signals.child.recv() => {}
                // Grandchildren's deaths are told to their own parents first.
                () = tokio::time::sleep(Duration::from_millis(20)) => {}
            }
        }
    }

    /// Our cgroups are empty now; agents remove their containers' own. What cannot be removed is used again next time.
    fn remove_cgroups(&self) {
        for agent in 0..self.plan.agents {
            let name = self.plan.cgroup(agent);
            let hierarchies = std::fs::read_dir("/sys/fs/cgroup")
                .into_iter()
                .flatten()
                .flatten();
            for hierarchy in hierarchies {
                remove_below(&hierarchy.path().join(&name));
            }
            remove_below(&Path::new("/sys/fs/cgroup").join(&name));
        }
    }
}

fn remove_below(cgroup: &Path) {
    for entry in std::fs::read_dir(cgroup).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|t| t.is_dir()) {
            remove_below(&entry.path());
        }
    }
    // Only empty cgroups can be removed, which is all that is wanted.
    let _ = std::fs::remove_dir(cgroup);
}

fn is(pid: i32, role: &str) -> bool {
    arguments(pid).get(1).is_some_and(|word| word == role)
}
