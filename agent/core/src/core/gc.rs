//! When sandboxes are deleted (mesos-agent 1.7). The shell measures and deletes; here is decided what and when.
//!
//! A sandbox is deleted `gc_delay` after its container ended, sooner when the disk fills: the allowed age is
//! `gc_delay * max(0, 1 - headroom - used)`. Only runs are scheduled; the shell removes parent folders as far as they are
//! empty, so that a launch into the same executor's folder never meets a deletion.

use super::AgentCore;
use crate::config::Config;
use crate::io::*;
use crate::model::{OldAgent, Sandbox};
use crate::timers::Timer;
use meseta_types::{AgentId, ContainerId, ExecutorId, FrameworkId, Wall};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Deletions under way at once: more would only make the disk seek.
const REMOVALS_MAX: usize = 4;

/// Sandboxes of ended containers.
#[derive(Debug)]
pub(super) struct Gc {
    pub(super) sandboxes: BTreeMap<ContainerId, Sandbox>,
    by_end: BTreeSet<(Wall, ContainerId)>,
    pub(super) old_agents: Vec<OldAgent>,
    pub(super) max_age: Duration,
    removing: usize,
}

impl Gc {
    pub(super) fn new(config: &Config) -> Gc {
        Gc {
            sandboxes: BTreeMap::new(),
            by_end: BTreeSet::new(),
            old_agents: Vec::new(),
            max_age: config.gc_delay,
            removing: 0,
        }
    }

    pub(super) fn pending(&self) -> usize {
        self.sandboxes.len() + self.old_agents.len()
    }

    pub(super) fn insert(&mut self, sandbox: Sandbox) {
        self.by_end.insert((sandbox.ended, sandbox.container_id.clone()));
        self.sandboxes.insert(sandbox.container_id.clone(), sandbox);
    }

    fn take(&mut self, container: &ContainerId) -> bool {
        match self.sandboxes.remove(container) {
            Some(s) => self.by_end.remove(&(s.ended, container.clone())),
            None => false,
        }
    }
}

impl AgentCore {
    pub(super) fn schedule_sandbox(
        &mut self,
        framework: &FrameworkId,
        executor: &ExecutorId,
        container: &ContainerId,
        ended: Wall,
    ) {
        self.gc.insert(Sandbox {
            framework_id: framework.clone(),
            executor_id: executor.clone(),
            container_id: container.clone(),
            ended,
            removing: false,
        });
        self.arm_gc();
    }

    pub(super) fn schedule_old_agents(&mut self, ids: Vec<AgentId>) {
        let since = self.now.wall;
        let mine = self.agent.id.clone();
        let old = ids.into_iter().filter(|id| mine.as_ref() != Some(id));
        self.gc.old_agents.extend(old.map(|agent_id| OldAgent {
            agent_id,
            since,
            removing: false,
        }));
        self.watch_disk();
        self.arm_gc();
    }

    /// The timer of the sandbox that is due next.
    fn arm_gc(&mut self) {
        let oldest = self.gc.by_end.first().map(|(ended, _)| *ended);
        let agents = self.gc.old_agents.iter().filter(|a| !a.removing);
        let Some(since) = agents.map(|a| a.since).chain(oldest).min() else {
            return self.timers.cancel(&Timer::Gc);
        };
        let age = age(since, self.now.wall);
        let wait = self.gc.max_age.saturating_sub(age);
        self.timers.set(Timer::Gc, self.now.mono + wait);
    }

    pub(super) fn watch_disk(&mut self) {
        self.out.push(Effect::MeasureDisk);
        let at = self.now.mono + self.config.disk_watch_interval;
        self.timers.set(Timer::DiskWatch, at);
    }

    pub(super) fn disk_usage(&mut self, used: f64) {
        let share = (1.0 - self.config.gc_disk_headroom - used).clamp(0.0, 1.0);
        // Not-a-number (a file system that tells no size) must not delete anything.
        let share = if share.is_nan() { 1.0 } else { share };
        self.gc.max_age = self.config.gc_delay.mul_f64(share);
        self.collect_sandboxes();
    }

    pub(super) fn collect_sandboxes(&mut self) {
        let now = self.now.wall;
        let max_age = self.gc.max_age;
        while self.gc.removing < REMOVALS_MAX {
            let due = self.gc.by_end.first().cloned();
            let Some((ended, container)) = due.filter(|(ended, _)| age(*ended, now) >= max_age) else {
                break;
            };
            self.gc.by_end.remove(&(ended, container.clone()));
            if let Some(sandbox) = self.gc.sandboxes.get_mut(&container) {
                sandbox.removing = true;
                let path = SandboxPath::Run {
                    framework_id: sandbox.framework_id.clone(),
                    executor_id: sandbox.executor_id.clone(),
                    container_id: container,
                };
                self.gc.removing += 1;
                self.out.push(Effect::Remove(path));
            }
        }
        for old in &mut self.gc.old_agents {
            if self.gc.removing < REMOVALS_MAX && !old.removing && age(old.since, now) >= max_age {
                old.removing = true;
                self.gc.removing += 1;
                let path = SandboxPath::Agent(old.agent_id.clone());
                self.out.push(Effect::Remove(path));
            }
        }
        if self.gc.removing < REMOVALS_MAX {
            self.arm_gc();
        }
    }

    pub(super) fn removed(&mut self, path: &SandboxPath, gone: bool) {
        self.gc.removing = self.gc.removing.saturating_sub(1);
        if gone {
            self.counters.path_removals_succeeded += 1;
        } else {
            self.counters.path_removals_failed += 1;
        }
        match path {
            SandboxPath::Run { container_id, .. } => self.run_removed(container_id, gone),
            SandboxPath::Agent(id) => self.agent_removed(id, gone),
        }
        self.collect_sandboxes();
    }

    fn run_removed(&mut self, container: &ContainerId, gone: bool) {
        if gone {
            self.gc.take(container);
            let record = Record::SandboxGone(container.clone());
            self.journal.record(record, None);
        } else if let Some(mut sandbox) = self.gc.sandboxes.remove(container) {
            // Tried again when it has aged once more, so that one stuck folder does not keep the others.
            sandbox.removing = false;
            sandbox.ended = self.now.wall;
            self.gc.insert(sandbox);
        }
    }

    fn agent_removed(&mut self, id: &AgentId, gone: bool) {
        if gone {
            self.gc.old_agents.retain(|a| a.agent_id != *id);
        } else if let Some(old) = self.gc.old_agents.iter_mut().find(|a| a.agent_id == *id) {
            old.removing = false;
            old.since = self.now.wall;
        }
    }
}

/// How old something is; zero when the wall clock jumped back.
fn age(since: Wall, now: Wall) -> Duration {
    Duration::from_nanos(u64::try_from(now.0.saturating_sub(since.0)).unwrap_or(0))
}
