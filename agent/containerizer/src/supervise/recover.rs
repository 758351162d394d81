//! What a supervisor makes of what its predecessor left: the log, living processes, cgroups.

use super::ends::unseen;
use super::log::{History, Logged, Record};
use super::state::{Container, State, Supervisor};
use super::sys;
use crate::isolate::{Controller, cgroups};
use crate::plan::Cgroup;
use crate::process_tree::{self, Process, TICKS_PER_SECOND};
use crate::wire::Class;
use rustix::fs::FlockOperation;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};

/// Whether the host was restarted since the log was written.
pub(crate) fn is_of_this_boot(history: &History) -> bool {
    history.boot_id.is_empty() || history.boot_id == boot_id()
}

/// The kernel's name for this boot; empty when it does not tell.
pub(crate) fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|id| id.trim().to_owned())
        .unwrap_or_default()
}

/// Whether a process exists and is not a zombie.
pub(crate) fn lives(pid: i32) -> bool {
    process_tree::read(pid).is_some_and(|p| !p.zombie)
}

/// The logged process, if that very process is still there. Its record was written by itself after its birth, so that
/// whoever has its pid and is not younger than the record is it.
fn same_process(logged: &Logged) -> Option<Process> {
    let process = process_tree::read(logged.pid)?;
    let recorded_ticks = logged.born_ns / (1_000_000_000 / TICKS_PER_SECOND);
    (process.start_ticks <= recorded_ticks + 1).then_some(process)
}

enum Fate {
    /// It is our child, alive or a zombie: we were executed in place.
    Ours,
    /// It lives, but somebody else is its parent now.
    Adopted(OwnedFd),
    /// It is gone.
    Gone(&'static str),
}

fn fate(logged: &Logged, same_boot: bool) -> Fate {
    if !same_boot {
        return Fate::Gone("the host was restarted");
    }
    let gone = Fate::Gone("the supervisor that started it died");
    let Some(process) = same_process(logged) else {
        return gone;
    };
    if process.parent == std::process::id() as i32 {
        return Fate::Ours;
    }
    let pidfd = Pid::from_raw(logged.pid).map(|pid| pidfd_open(pid, PidfdFlags::empty()));
    // Looked at once more: before it was opened it may have died and its pid been given away.
    match (pidfd, same_process(logged)) {
        (Some(Ok(pidfd)), Some(now)) if !now.zombie && now.start_ticks == process.start_ticks => {
            Fate::Adopted(pidfd)
        }
        _ => gone,
    }
}

impl Supervisor {
    /// Takes over what the log names.
    pub(crate) fn recover(&mut self, history: History, same_boot: bool) {
        for (key, logged) in history.processes {
            let container = Container {
                class: logged.class.clone(),
                cgroups: logged.cgroups.clone(),
                sandbox: logged.sandbox.clone(),
                state: State::Launching,
                doomed: logged.class != Class::Task,
                deaths: 0,
                oom: None,
                oom_seen: false,
            };
            self.containers.insert(key.clone(), container);
            self.remember_helper(&logged.class, &key);
            let pid = logged.pid;
            if let Some(exit) = logged.exit {
                self.kill_leftovers(pid, same_boot);
                self.begin_clearing(&key, pid, exit);
                continue;
            }
            match fate(&logged, same_boot) {
                Fate::Ours => self.running(&key, pid, None),
                Fate::Adopted(pidfd) => {
                    // Forgotten when it fires, which it does when the process ends.
                    self.watch(&pidfd, &key);
                    self.running(&key, pid, Some(pidfd));
                }
                Fate::Gone(why) => {
                    let exit = unseen(why);
                    self.record(&Record::Exited {
                        key: key.clone(),
                        pid,
                        exit: exit.clone(),
                    });
                    self.kill_leftovers(pid, same_boot);
                    self.begin_clearing(&key, pid, exit);
                }
            }
        }
        // What died while nobody listened.
        self.bury();
    }

    fn running(&mut self, key: &str, pid: i32, adopted: Option<OwnedFd>) {
        if let Some(container) = self.containers.get_mut(key) {
            container.state = State::Running { pid, adopted };
            let doomed = container.doomed;
            self.pids.insert(pid, key.to_owned());
            self.watch_memory(key);
            if doomed {
                self.kill_all(key);
            }
        }
    }

    /// Kills the members of a dead first process's session and group.
    fn kill_leftovers(&mut self, pid: i32, same_boot: bool) {
        if !same_boot {
            return; // the numbers mean others now
        }
        let me = std::process::id() as i32;
        for left in self.take_snapshot().container(pid, &[me]) {
            // A process that has the number of the dead one is somebody else.
            if left != pid {
                sys::kill(left, libc::SIGKILL);
            }
        }
    }

    /// Uses a cgroup root from now on. If nobody else does, cgroups in it that we do not know are leftovers.
    pub(crate) fn take_root(&mut self, root: String) {
        if self.roots.iter().any(|(known, _)| *known == root) {
            return;
        }
        let lock = match std::fs::create_dir_all(&root).and_then(|()| File::open(&root)) {
            Ok(folder) => OwnedFd::from(folder),
            Err(error) => {
                // Launches that need it will say so.
                eprintln!("supervisor: cannot use cgroup '{root}': {error}");
                return;
            }
        };
        let alone = lock_folder(lock.as_fd(), FlockOperation::NonBlockingLockExclusive);
        if alone {
            self.remove_leftovers(&root);
        }
        // From exclusive to shared for as long as we live.
        lock_folder(lock.as_fd(), FlockOperation::NonBlockingLockShared);
        self.roots.push((root, lock));
    }

    fn remove_leftovers(&mut self, root: &str) {
        for name in cgroups::containers_below(root) {
            let path = format!("{root}/{name}");
            let ours = self
                .containers
                .get(&name)
                .is_some_and(|c| c.cgroups.iter().any(|cgroup| cgroup.path == path));
            if ours {
                continue;
            }
            eprintln!("supervisor: removing leftover cgroup '{path}'");
            // A predecessor may have died while its processes were frozen.
            let frozen = std::path::Path::new(&path).join("freezer.state").exists();
            let controller = if frozen {
                Controller::Freezer
            } else {
                Controller::Memory
            };
            let leftover = Container {
                class: Class::Leftover,
                cgroups: vec![Cgroup {
                    controller,
                    path: path.clone(),
                }],
                sandbox: String::new(),
                state: State::Launching,
                doomed: true,
                deaths: 0,
                oom: None,
                oom_seen: false,
            };
            self.containers.insert(path.clone(), leftover);
            self.begin_clearing(&path, 0, unseen("it was left over"));
        }
    }
}

fn lock_folder(folder: std::os::fd::BorrowedFd<'_>, how: FlockOperation) -> bool {
    rustix::fs::flock(folder, how).is_ok()
}
