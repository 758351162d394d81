//! The end of `up`: the frameworks leave first (their tasks would run on), then the agents end their tasks with grace,
//! then what is left of supervisors, then the master.

use super::plan::Role;
use super::processes::{Identity, Process, family, supervisors};
use super::{Signals, Up};
use futures_util::future::join_all;
use rustix::process::Signal;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Tasks have their own grace periods; beyond this something hangs.
const AGENTS_PATIENCE: Duration = Duration::from_secs(120);
/// A supervisor without an agent kills what it holds at once; the others write nothing that waits long.
pub(super) const PATIENCE: Duration = Duration::from_secs(15);
/// When to say what is being waited for.
const SAY_AFTER: Duration = Duration::from_secs(2);

/// Why a wait ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Waited {
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
        self.ledger.clear();
        self.screen.ended(ended);
    }

    async fn gently(&mut self, signals: &mut Signals) -> bool {
        // Without a TEARDOWN: the next `up` brings apps and jobs back.
        let frameworks = self.processes(Role::is_framework);
        if !self
            .end(signals, &frameworks, Signal::TERM, PATIENCE, "service and cron")
            .await
        {
            return false;
        }
        let agents = self.processes(|role| matches!(role, Role::Agent(_)));
        if !self
            .end(signals, &agents, Signal::USR2, AGENTS_PATIENCE, "tasks to end")
            .await
        {
            return false;
        }
        let left = supervisors(self.plan.dir());
        let left: Vec<Arc<Process>> = left.into_iter().filter_map(Process::open).map(Arc::new).collect();
        if !self
            .end(signals, &left, Signal::TERM, PATIENCE, "supervisors")
            .await
        {
            return false;
        }
        let master = self.processes(|role| *role == Role::Master);
        self.end(signals, &master, Signal::TERM, PATIENCE, "the master")
            .await
    }

    fn processes(&self, which: impl Fn(&Role) -> bool) -> Vec<Arc<Process>> {
        let matching = self.roles.iter().filter(|r| which(&r.role));
        let children = matching.filter_map(|r| r.child.as_ref());
        children.map(|c| Arc::clone(&c.process)).collect()
    }

    /// Sends them a signal and waits until they are gone; false when that takes too long for somebody.
    async fn end(
        &mut self,
        signals: &mut Signals,
        processes: &[Arc<Process>],
        signal: Signal,
        patience: Duration,
        what: &str,
    ) -> bool {
        for process in processes {
            process.send(signal);
        }
        let waited = self.wait(signals, processes, patience, what).await;
        self.reaper.reap();
        waited == Waited::AllGone
    }

    /// Waits until these are gone; each death is an event, so nothing is polled.
    pub(super) async fn wait(
        &self,
        signals: &mut Signals,
        processes: &[Arc<Process>],
        patience: Duration,
        what: &str,
    ) -> Waited {
        let start = Instant::now();
        let mut say_at = Some(start + SAY_AFTER);
        let gone = join_all(processes.iter().map(|process| process.ended()));
        tokio::pin!(gone);
        loop {
            tokio::select! {
                _ = &mut gone => return Waited::AllGone,
                () = signals.end.any() => return Waited::Impatient,
                () = super::until(say_at), if say_at.is_some() => {
                    say_at = None;
                    self.screen.waiting_for(what);
                }
                () = tokio::time::sleep_until(start + patience) => return Waited::TooLong,
            }
        }
    }

    /// Kills what is left, again and again, since a killed parent's children come to us. Children before parents, so
    /// that no supervisor reports or restarts what was just killed.
    async fn kill_all(&mut self, signals: &mut Signals) {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            self.reaper.reap();
            let alive = self.processes(|_| true).into_iter().filter(|p| !p.has_ended());
            let roots: Vec<i32> = alive.map(|p| p.pid).collect();
            let left = family(&roots, self.plan.dir());
            if left.is_empty() {
                return;
            }
            for process in left.iter().rev().filter_map(Identity::open) {
                process.send(Signal::KILL);
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
