//! What an agent asks of the supervisor, one function per question.

use super::state::{CONTAINERS_MAX, Container, State, Supervisor};
use super::sys;
use crate::isolate::cgroups;
use crate::plan::{Newborn, Plan, Setting};
use crate::wire::{Ask, Class, Failure, MAGIC, Order, Tell, VERSION};
use std::collections::BTreeSet;

impl Supervisor {
    pub(crate) fn asked(&mut self, from: u32, ask: Ask) {
        if let Ask::Hello {
            magic,
            version,
            cgroup_roots,
        } = ask
        {
            return self.hello(from, magic, version, cgroup_roots);
        }
        if self.agent != Some(from) {
            // A stranger that does not introduce itself, or an agent that was replaced.
            return self.close(from);
        }
        match ask {
            Ask::Hello { .. } => {}
            Ask::Launch { key, class, plan } => self.launch(key, class, plan),
            Ask::Signal { key, signal } => self.signal(&key, signal),
            Ask::Destroy { key } => self.destroy(&key),
            Ask::Update { key, settings } => self.update(key, &settings),
            Ask::Forget { key } => self.forget(&key),
            Ask::Reexec { helper } => {
                // What waits is forgotten; the agent asks again for what it does not find after the change.
                for key in self.pool.drop_waiting() {
                    self.drop_container(&key);
                }
                self.reexec = Some(helper);
            }
            Ask::Stop => self.stop(),
        }
    }

    fn hello(&mut self, from: u32, magic: u32, version: u32, cgroup_roots: Vec<String>) {
        if magic != MAGIC {
            return self.close(from);
        }
        if let Some(old) = self.agent.filter(|old| *old != from) {
            self.close(old);
        }
        self.destroy_helpers(None);
        let Some(connection) = self.connections.get_mut(&from) else {
            return;
        };
        let channel = &mut connection.channel;
        channel.send(&Tell::Welcome {
            version: VERSION,
            build: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
        });
        // An agent of another version may only ask to be replaced with; it hears of no container.
        if version == VERSION {
            for (key, container) in &self.containers {
                if container.class == Class::Task {
                    channel.send(&Tell::Found {
                        key: key.clone(),
                        state: container.known(),
                    });
                }
            }
        }
        channel.send(&Tell::Ready);
        self.agent = Some(from);
        for root in cgroup_roots {
            self.take_root(root);
        }
    }

    fn launch(&mut self, key: String, class: Class, plan: Plan) {
        if self.stopping || self.containers.len() >= CONTAINERS_MAX {
            let why = "The supervisor takes no more containers".to_owned();
            return self.tell(&Tell::Failed {
                key,
                failure: Failure::Refused { why },
            });
        }
        if self.containers.contains_key(&key) {
            // An agent that lost its connection asks again for what it was not answered.
            return;
        }
        if let Class::Probe { of } = &class
            && !self.is_running(of)
        {
            let why = "The container does not run".to_owned();
            return self.tell(&Tell::Failed {
                key,
                failure: Failure::Refused { why },
            });
        }
        let sandbox = plan.newborn.iter().find_map(|step| match step {
            Newborn::ChangeDirectory { path } => Some(path.clone()),
            _ => None,
        });
        let container = Container {
            class: class.clone(),
            cgroups: plan.cgroups().cloned().collect(),
            sandbox: sandbox.unwrap_or_default(),
            state: State::Queued,
            doomed: false,
            deaths: 0,
            oom: None,
            oom_seen: false,
        };
        self.containers.insert(key.clone(), container);
        self.remember_helper(&class, &key);
        let order = Order { key, class, plan };
        let key = order.key.clone();
        if !self.pool.order(order) {
            self.drop_container(&key);
            let why = "Too many launches are waiting".to_owned();
            self.tell(&Tell::Failed {
                key,
                failure: Failure::Refused { why },
            });
        }
    }

    fn is_running(&self, key: &str) -> bool {
        self.containers
            .get(key)
            .is_some_and(|c| matches!(c.state, State::Running { .. }))
    }

    fn signal(&mut self, key: &str, signal: i32) {
        match self.containers.get(key).map(|c| &c.state) {
            Some(State::Running { .. }) => self.signal_members(key, signal),
            // Not yet born or already dead: nobody there to hear it.
            Some(_) => {}
            None => self.unknown(key),
        }
    }

    /// Sends a signal to everything that belongs to a running container.
    pub(crate) fn signal_members(&mut self, key: &str, signal: i32) {
        for pid in self.members(key) {
            sys::kill(pid, signal);
        }
    }

    /// Everything that belongs to a running container.
    pub(crate) fn members(&mut self, key: &str) -> BTreeSet<i32> {
        let Some(container) = self.containers.get(key) else {
            return BTreeSet::new();
        };
        let (State::Running { pid, .. } | State::Clearing { pid, .. }) = container.state else {
            return BTreeSet::new();
        };
        let mut members: BTreeSet<i32> = cgroups::members(&container.cgroups).into_iter().collect();
        if container.cgroups.is_empty() {
            let sandbox = (container.class == Class::Task).then(|| container.sandbox.clone());
            let me = std::process::id() as i32;
            self.take_snapshot();
            let Some(snapshot) = &self.snapshot else {
                return members;
            };
            members = snapshot.container(pid, &[me]);
            if let Some(sandbox) = sandbox {
                let is_first = |pid| self.pids.contains_key(&pid) || self.pool.has(pid);
                members.extend(snapshot.strays_of(&sandbox, me, is_first));
            }
        }
        members
    }

    /// Kills everything of a container, whatever it is doing.
    pub(crate) fn destroy(&mut self, key: &str) {
        let Some(container) = self.containers.get_mut(key) else {
            return self.unknown(key);
        };
        match &container.state {
            State::Queued => {
                self.drop_container(key);
                self.tell(&Tell::Failed {
                    key: key.to_owned(),
                    failure: Failure::Destroyed,
                });
            }
            State::Launching => container.doomed = true,
            State::Running { .. } => {
                container.doomed = true;
                self.kill_all(key);
            }
            // It is told when it is over.
            State::Clearing { .. } | State::Ended { .. } => {}
        }
    }

    /// Kills everything of a running container once; what escapes is caught when its first process is buried.
    pub(crate) fn kill_all(&mut self, key: &str) {
        let Some(container) = self.containers.get(key) else {
            return;
        };
        if container.cgroups.is_empty() {
            self.signal_members(key, libc::SIGKILL);
        } else {
            cgroups::kill(&container.cgroups, |pid| {
                sys::kill(pid, libc::SIGKILL);
            });
        }
    }

    fn update(&mut self, key: String, settings: &[Setting]) {
        if !self.is_running(&key) {
            return self.unknown(&key);
        }
        let error = settings.iter().find_map(|setting| cgroups::set(setting).err());
        self.tell(&Tell::Updated {
            key,
            error: error.map(|e| e.to_string()),
        });
    }

    fn forget(&mut self, key: &str) {
        if let Some(Container {
            state: State::Ended { .. },
            ..
        }) = self.containers.get(key)
        {
            self.containers.remove(key);
            self.record(&super::log::Record::Forgot { key: key.to_owned() });
        }
    }

    /// Forgets a container that never lived.
    fn drop_container(&mut self, key: &str) {
        if let Some(container) = self.containers.remove(key) {
            self.forget_helper(&container.class, key);
        }
    }

    fn unknown(&mut self, key: &str) {
        self.tell(&Tell::Unknown { key: key.to_owned() });
    }
}
