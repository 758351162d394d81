//! Births and deaths: what launchers report, what the kernel reports, and what is left of a container afterwards.
//!
//! The order that everything rests on: a dead first process is looked at while it is still a zombie (its pid, group and
//! session cannot mean anybody else), its exit is appended to the log, and only then is it reaped.

use super::log::{Log, Record};
use super::poll::Source;
use super::pool::Lost;
use super::state::{State, Supervisor};
use super::sys;
use crate::isolate::{Controller, cgroups};
use crate::wire::{Class, Failure, MemoryLimit, Tell, WireExit};
use std::os::fd::OwnedFd;

/// Deaths of unknown processes remembered while launchers are at work. More than launchers can have newborns only
/// happens when tasks leave orphans by the thousand; then the oldest knowledge is not the one needed.
const EARLY_DEATHS_MAX: usize = 10_000;

/// A launch that costs this many launchers their lives is not tried again.
const LAUNCHER_DEATHS_MAX: u8 = 3;

impl Supervisor {
    /// Appends to the log. A full disk must not stop the supervisor: what is not logged is still told to the agent.
    pub(crate) fn record(&mut self, record: &Record) {
        if let Err(error) = self.log.append(record) {
            eprintln!("supervisor: cannot write its log: {error}");
        }
    }

    /// A launcher says that a program runs.
    pub(crate) fn born(&mut self, key: &str, pid: i32) {
        let Some(container) = self.containers.get_mut(key) else {
            // Cannot be: containers leave only by their launchers' word. Nothing may run that nobody knows.
            sys::kill(pid, libc::SIGKILL);
            return;
        };
        container.state = State::Running { pid, adopted: None };
        let doomed = container.doomed;
        self.pids.insert(pid, key.to_owned());
        self.watch_memory(key);
        self.tell(&Tell::Launched {
            key: key.to_owned(),
            pid: u32::try_from(pid).unwrap_or(0),
        });
        if let Some(status) = self.early.remove(&pid) {
            // Reaped and logged before we knew whose it was; its group may still have members.
            sys::kill_group(pid, libc::SIGKILL);
            let exit = self.exit_of(key, status);
            self.ended(key, pid, exit, true);
        } else if doomed {
            self.kill_all(key);
        }
    }

    /// A launcher says that a program could not be started.
    pub(crate) fn failed(&mut self, key: &str, pid: i32, failure: Failure) {
        self.early.remove(&pid);
        if pid > 0 {
            self.record(&Record::Forgot { key: key.to_owned() });
        }
        if let Some(container) = self.containers.remove(key) {
            self.forget_helper(&container.class, key);
            let failure = match container.doomed {
                true => Failure::Destroyed,
                false => failure,
            };
            self.tell(&Tell::Failed {
                key: key.to_owned(),
                failure,
            });
        }
    }

    /// Looks at every dead child, logs, reaps.
    pub(crate) fn bury(&mut self) {
        while let Some(dead) = sys::peek_dead() {
            if let Some(key) = self.pids.get(&dead.pid).cloned() {
                // The whole group at once, while the zombie keeps its number.
                sys::kill_group(dead.pid, libc::SIGKILL);
                let exit = self.exit_of(&key, dead.status);
                self.record(&Record::Exited {
                    key: key.clone(),
                    pid: dead.pid,
                    exit: exit.clone(),
                });
                sys::reap(dead.pid);
                self.ended(&key, dead.pid, exit, false);
            } else if self.pool.has(dead.pid) {
                // With its newborn, as long as that is of its group: nothing may start that we do not know of.
                sys::kill_group(dead.pid, libc::SIGKILL);
                sys::reap(dead.pid);
                self.hear_launchers();
                if let Some(lost) = self.pool.clear(dead.pid) {
                    self.lost_launcher(lost);
                }
            } else {
                if self.pool.is_busy() && self.early.len() < EARLY_DEATHS_MAX {
                    let exit = seen(dead.status);
                    self.record(&Record::Exited {
                        key: String::new(),
                        pid: dead.pid,
                        exit,
                    });
                    self.early.insert(dead.pid, dead.status);
                }
                sys::reap(dead.pid);
            }
        }
    }

    /// A launcher died, perhaps at this order, and its newborn with it unless that had made a session of its own, which
    /// comes after its record: so the log knows whether there is one.
    fn lost_launcher(&mut self, lost: Lost) {
        for key in &lost.waiting {
            if let Some(container) = self.containers.get_mut(key) {
                container.state = State::Queued;
            }
        }
        let Some(order) = lost.in_work else {
            return;
        };
        eprintln!("supervisor: a launcher died that had to launch {}", order.key);
        let history = Log::read(self.log.path()).unwrap_or_default();
        let key = order.key.clone();
        if let Some(logged) = history.processes.get(&key) {
            // If it is dead already, we buried it as somebody unknown.
            return self.born(&key, logged.pid);
        }
        let Some(container) = self.containers.get_mut(&key) else {
            return;
        };
        container.deaths += 1;
        if container.doomed || container.deaths >= LAUNCHER_DEATHS_MAX {
            return self.failed(&key, 0, launcher_died());
        }
        container.state = State::Queued;
        self.pool.order_again(order);
    }

    /// The first process of a container is gone.
    fn ended(&mut self, key: &str, pid: i32, exit: WireExit, logged_without_key: bool) {
        self.pids.remove(&pid);
        if logged_without_key && exit.memory.is_some() {
            self.record(&Record::Exited {
                key: key.to_owned(),
                pid,
                exit: exit.clone(),
            });
        }
        self.destroy_helpers(Some(key));
        let Some(container) = self.containers.get(key) else {
            return;
        };
        if container.cgroups.is_empty() && container.class == Class::Task {
            self.sweeper.ended(pid, &container.sandbox);
        }
        self.begin_clearing(key, pid, exit);
    }

    /// Kills what is left of a container; when nothing is, it has ended.
    pub(crate) fn clear(&mut self, key: &str) {
        let Some(container) = self.containers.get_mut(key) else {
            return;
        };
        let State::Clearing { pid, exit, .. } = &container.state else {
            return;
        };
        if !container.cgroups.is_empty() {
            let empty = cgroups::kill(&container.cgroups, |pid| {
                sys::kill(pid, libc::SIGKILL);
            });
            if !empty {
                return;
            }
            if cgroups::remove(&container.cgroups).is_err() {
                return; // the kernel lets go of a dead process a moment after its death: once more later
            }
        }
        let (pid, exit) = (*pid, exit.clone());
        let class = container.class.clone();
        container.state = State::Ended {
            pid,
            exit: exit.clone(),
        };
        self.clearing.remove(key);
        if class == Class::Leftover {
            self.containers.remove(key);
            return;
        }
        self.tell(&Tell::Exited {
            key: key.to_owned(),
            exit,
        });
        if class != Class::Task {
            // Nobody will acknowledge it.
            self.containers.remove(key);
            self.forget_helper(&class, key);
            self.record(&Record::Forgot { key: key.to_owned() });
        }
    }

    /// What is to be said of this end: the status, and whether memory was the reason.
    fn exit_of(&self, key: &str, status: i32) -> WireExit {
        WireExit {
            memory: self.memory_limitation(key),
            ..seen(status)
        }
    }

    pub(crate) fn memory_limitation(&self, key: &str) -> Option<MemoryLimit> {
        let container = self.containers.get(key)?;
        let memory = container
            .cgroups
            .iter()
            .find(|c| c.controller == Controller::Memory)?;
        let oom = cgroups::out_of_memory(&memory.path, container.oom_seen)?;
        Some(MemoryLimit {
            limit_bytes: oom.limit_bytes,
            max_used_bytes: oom.max_used_bytes,
            message: format!(
                "Memory limit exceeded: Requested: {} Maximum Used: {}\n\nMEMORY STATISTICS: \n{}\n",
                size_text(oom.limit_bytes),
                size_text(oom.max_used_bytes),
                oom.statistics
            ),
        })
    }

    /// Watches a container with a memory cgroup for the kernel running out of memory for it.
    pub(crate) fn watch_memory(&mut self, key: &str) {
        let Some(container) = self.containers.get(key) else {
            return;
        };
        let memory = container
            .cgroups
            .iter()
            .find(|c| c.controller == Controller::Memory);
        let Some(memory) = memory else {
            return;
        };
        match cgroups::watch_oom(&memory.path) {
            Ok(event) => {
                if let Some(number) = self.watch(&event, key)
                    && let Some(container) = self.containers.get_mut(key)
                {
                    container.oom = Some((number, event));
                }
            }
            // The kernel's counter still tells at its end.
            Err(error) => eprintln!("supervisor: cannot watch the memory of {key}: {error}"),
        }
    }

    /// Waits for a descriptor of a container, under the number returned.
    pub(crate) fn watch(&mut self, fd: &OwnedFd, key: &str) -> Option<u32> {
        self.last_watch = self.last_watch.wrapping_add(1);
        let number = self.last_watch;
        self.poll.add(fd, Source::Watch(number)).ok()?;
        self.watches.insert(number, key.to_owned());
        Some(number)
    }

    /// A descriptor of a container is readable: it ran out of memory, or an adopted process died.
    pub(crate) fn watched(&mut self, number: u32) {
        let Some(key) = self.watches.remove(&number) else {
            return;
        };
        let Some(container) = self.containers.get_mut(&key) else {
            return;
        };
        let State::Running { pid, adopted } = &container.state else {
            return;
        };
        let pid = *pid;
        let dead = adopted.is_some() && !super::recover::lives(pid);
        if dead {
            let exit = WireExit {
                memory: self.memory_limitation(&key),
                ..unseen("the supervisor that started it died before it ended")
            };
            self.record(&Record::Exited {
                key: key.clone(),
                pid,
                exit: exit.clone(),
            });
            self.ended(&key, pid, exit, false);
        } else if container.oom.take().is_some() {
            // As Mesos does: whichever process the kernel chose, the container as a whole is over.
            container.oom_seen = true;
            self.kill_all(&key);
        }
    }
}

fn launcher_died() -> Failure {
    Failure::Exec {
        why: "The launcher died during the launch".to_owned(),
    }
}

pub(crate) fn seen(status: i32) -> WireExit {
    WireExit {
        status: Some(status),
        unseen: String::new(),
        memory: None,
    }
}

pub(crate) fn unseen(why: &str) -> WireExit {
    WireExit {
        status: None,
        unseen: format!("Exit status unknown: {why}"),
        memory: None,
    }
}

/// A size as Mesos prints it: in the largest unit that divides it evenly.
fn size_text(bytes: u64) -> String {
    const UNITS: [(u32, &str); 4] = [(40, "TB"), (30, "GB"), (20, "MB"), (10, "KB")];
    for (shift, unit) in UNITS {
        if bytes > 0 && bytes.is_multiple_of(1 << shift) {
            return format!("{}{unit}", bytes >> shift);
        }
    }
    format!("{bytes}B")
}

#[cfg(test)]
mod tests {
    use super::size_text;

    #[test]
    fn sizes_are_printed_in_the_largest_unit_that_divides_them() {
        assert_eq!(size_text(32 << 20), "32MB");
        assert_eq!(size_text(3 << 30), "3GB");
        assert_eq!(size_text(1536), "1536B");
        assert_eq!(size_text(5 << 10), "5KB");
        assert_eq!(size_text(0), "0B");
    }
}
