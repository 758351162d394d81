//! What a supervisor knows, and its turn: wait, hear, act, answer.
//!
//! States of a container (the events that move it in brackets):
//!
//! ```text
//! Queued -[given to a launcher]-> Launching -[born]-> Running -[first process dies]-> Clearing -[nothing left]-> Ended
//!    |                               |                   |                                                          |
//!    +---------[destroyed]-----------+--[failed]--> (gone)  adopted ones die unseen                [forgotten] -> (gone)
//! ```

use super::channel::{Channel, Received};
use super::log::Log;
use super::poll::{Poll, Source};
use super::pool::Pool;
use super::sweep::Sweeper;
use crate::plan::Cgroup;
use crate::process_tree::Snapshot;
use crate::wire::{Class, Done, Known, Tell, WireExit};
use nix::sys::signalfd::SignalFd;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Containers known at a time, ended but not forgotten ones included. The kernel's pids end before.
pub(crate) const CONTAINERS_MAX: usize = 200_000;

/// Connections that have not said who they are; the oldest goes when one more comes.
const STRANGERS_MAX: usize = 8;

/// An agent that does not read is cut off when this much waits for it; it hears everything again when it returns.
const UNSENT_BYTES_MAX: usize = 64 << 20;

/// After a launcher could not be forked it is tried again so much later.
const FORK_PAUSE: Duration = Duration::from_millis(500);

/// A supervisor without an agent and without a container ends after this long: an agent that starts later starts another.
const IDLE_MAX: Duration = Duration::from_secs(60);

/// What was left of a container is killed again after this long, doubling up to the second figure; ordinarily the death
/// of the last process is noticed before.
const CLEARING_PAUSES: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

#[derive(Debug)]
pub(crate) struct Container {
    pub(crate) class: Class,
    pub(crate) cgroups: Vec<Cgroup>,
    pub(crate) sandbox: String,
    pub(crate) state: State,
    /// It shall be killed as soon as it lives.
    pub(crate) doomed: bool,
    /// Launchers that died at it.
    pub(crate) deaths: u8,
    /// Becomes readable when the kernel runs out of memory for it.
    pub(crate) oom: Option<(u32, OwnedFd)>,
    pub(crate) oom_seen: bool,
}

#[derive(Debug)]
pub(crate) enum State {
    /// Waits for a launcher.
    Queued,
    /// A launcher is at it.
    Launching,
    /// Its first process lives. `adopted`: it is not our child, and this becomes readable when it dies.
    Running { pid: i32, adopted: Option<OwnedFd> },
    /// Its first process died, others of it live.
    Clearing {
        pid: i32,
        exit: WireExit,
        again: Instant,
        pause: Duration,
    },
    /// Nothing of it lives.
    Ended { pid: i32, exit: WireExit },
}

#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) channel: Channel,
    waits_for_write: bool,
}

pub(crate) struct Supervisor {
    pub(crate) folder: PathBuf,
    pub(crate) listener: UnixListener,
    pub(crate) lock: OwnedFd,
    pub(crate) signals: SignalFd,
    pub(crate) poll: Poll,
    pub(crate) log: Log,
    pub(crate) pool: Pool,
    pub(crate) containers: BTreeMap<String, Container>,
    /// First processes that live, by pid.
    pub(crate) pids: HashMap<i32, String>,
    /// Fetches (of nothing) and probes (of a container).
    helpers: BTreeSet<(String, String)>,
    /// Containers being cleared.
    pub(crate) clearing: BTreeSet<String>,
    /// Deaths of processes whose launchers have not yet told us whose they are.
    pub(crate) early: HashMap<i32, i32>,
    pub(crate) sweeper: Sweeper,
    /// Processes as of this turn, if somebody asked.
    pub(crate) snapshot: Option<Snapshot>,
    pub(crate) watches: HashMap<u32, String>,
    pub(crate) last_watch: u32,
    pub(crate) connections: BTreeMap<u32, Connection>,
    last_connection: u32,
    /// The connection of the agent.
    pub(crate) agent: Option<u32>,
    /// Shared locks on our cgroups, held so that no other supervisor takes our containers for leftovers.
    pub(crate) roots: Vec<(String, OwnedFd)>,
    pub(crate) reexec: Option<Vec<String>>,
    pub(crate) stopping: bool,
    /// When to try again to fork a launcher.
    next_fork: Option<Instant>,
    /// Since when there is neither an agent nor a container.
    idle_since: Option<Instant>,
}

impl Supervisor {
    #[allow(clippy::too_many_arguments)] // made in one place, from what the process's start gathered
    pub(crate) fn new(
        folder: PathBuf,
        listener: UnixListener,
        lock: OwnedFd,
        signals: SignalFd,
        poll: Poll,
        log: Log,
        pool: Pool,
    ) -> io::Result<Supervisor> {
        listener.set_nonblocking(true)?;
        poll.add(&listener, Source::Listener)?;
        poll.add(&signals, Source::Signals)?;
        Ok(Supervisor {
            folder,
            listener,
            lock,
            signals,
            poll,
            log,
            pool,
            containers: BTreeMap::new(),
            pids: HashMap::new(),
            helpers: BTreeSet::new(),
            clearing: BTreeSet::new(),
            early: HashMap::new(),
            sweeper: Sweeper::default(),
            snapshot: None,
            watches: HashMap::new(),
            last_watch: 0,
            connections: BTreeMap::new(),
            last_connection: 0,
            agent: None,
            roots: Vec::new(),
            reexec: None,
            stopping: false,
            next_fork: None,
            idle_since: Some(Instant::now()),
        })
    }

    /// Serves until it is told to stop or has to make room for its successor.
    pub(crate) fn run(mut self) -> ExitCode {
        loop {
            match self.turn() {
                Ok(()) => {}
                Err(error) => {
                    // Only the kernel refusing epoll brings us here. Containers go on; a successor adopts them.
                    eprintln!("supervisor: {error}");
                    self.pool.end();
                    return ExitCode::FAILURE;
                }
            }
            if self.idle_since.is_some_and(|at| at.elapsed() >= IDLE_MAX) {
                self.pool.end();
                return ExitCode::SUCCESS;
            }
            if self.stopping && self.pids.is_empty() && self.clearing.is_empty() && !self.pool.is_busy() {
                self.pool.end();
                return ExitCode::SUCCESS;
            }
            if let Some(helper) = self.reexec.take_if(|_| !self.pool.is_busy()) {
                let error = super::reexec(&self, &helper);
                eprintln!("supervisor: cannot execute {helper:?}: {error}");
            }
        }
    }

    fn turn(&mut self) -> io::Result<()> {
        let sources = self.poll.wait(self.pause())?;
        self.snapshot = None;
        let mut somebody_died = false;
        for source in sources {
            match source {
                Source::Signals => somebody_died |= self.hear_signals(),
                Source::Listener => self.accept(),
                Source::Connection(id) => self.hear(id),
                Source::Launcher(_) => {}
                Source::Watch(number) => self.watched(number),
            }
        }
        self.hear_launchers();
        if somebody_died {
            self.bury();
        }
        self.fill_gaps();
        self.clear_leftovers(somebody_died);
        self.sweep();
        if self.reexec.is_none() {
            self.give_orders();
        }
        if !self.pool.is_busy() {
            self.early.clear();
        }
        if self.log.is_long() && !self.pool.is_busy() {
            // The old log is still there, and goes on being used; a full disk must not cost the exits it keeps.
            if let Err(error) = self.log.compact() {
                eprintln!("supervisor: cannot write its log anew: {error}");
                self.log.later();
            }
        }
        self.pool.flush(&self.poll);
        self.flush_connections();
        let idle = self.agent.is_none() && self.containers.is_empty();
        self.idle_since = idle.then(|| self.idle_since.unwrap_or_else(Instant::now));
        Ok(())
    }

    /// Replaces dead launchers, at once or as soon as the host lets us.
    fn fill_gaps(&mut self) {
        let due = self.next_fork.is_none_or(|at| at <= Instant::now());
        if !self.pool.has_gaps() || !due {
            return;
        }
        self.next_fork = match self.pool.fill(&self.poll) {
            Ok(()) => None,
            Err(error) => {
                eprintln!("supervisor: cannot fork a launcher: {error}; trying again");
                Some(Instant::now() + FORK_PAUSE)
            }
        };
    }

    /// How long nothing needs to be done of ourselves.
    fn pause(&self) -> Option<Duration> {
        let clearing = self
            .clearing
            .iter()
            .filter_map(|key| match &self.containers.get(key)?.state {
                State::Clearing { again, .. } => Some(*again),
                _ => None,
            })
            .min();
        let idle = self.idle_since.map(|at| at + IDLE_MAX);
        let fork = self.next_fork.filter(|_| self.pool.has_gaps());
        let next = [clearing, self.sweeper.due(), idle, fork]
            .into_iter()
            .flatten()
            .min();
        next.map(|at| at.saturating_duration_since(Instant::now()))
    }

    /// True when a child may have died.
    fn hear_signals(&mut self) -> bool {
        let mut somebody_died = false;
        while let Ok(Some(signal)) = self.signals.read_signal() {
            match i32::try_from(signal.ssi_signo) {
                Ok(libc::SIGCHLD) => somebody_died = true,
                Ok(libc::SIGTERM) => self.stop(),
                _ => {}
            }
        }
        somebody_died
    }

    /// Kills everything and takes nothing new.
    pub(crate) fn stop(&mut self) {
        self.stopping = true;
        let keys: Vec<String> = self.containers.keys().cloned().collect();
        for key in keys {
            self.destroy(&key);
        }
    }

    fn give_orders(&mut self) {
        let containers = &self.containers;
        let queued = |key: &str| {
            containers
                .get(key)
                .is_some_and(|c| matches!(c.state, State::Queued))
        };
        for key in self.pool.dispatch(queued) {
            if let Some(container) = self.containers.get_mut(&key) {
                container.state = State::Launching;
            }
        }
    }

    pub(crate) fn hear_launchers(&mut self) {
        for done in self.pool.receive() {
            match done {
                Done::Born { key, pid } => self.born(&key, pid),
                Done::Failed { key, pid, failure } => self.failed(&key, pid, failure),
            }
        }
    }

    fn accept(&mut self) {
        while let Ok((stream, _)) = self.listener.accept() {
            // Whoever may open the socket is root or us; the kernel's word on it costs one call.
            let ours = rustix::net::sockopt::socket_peercred(&stream)
                .is_ok_and(|peer| peer.uid.is_root() || peer.uid == rustix::process::geteuid());
            if !ours {
                continue;
            }
            let strangers: Vec<u32> = self
                .connections
                .keys()
                .copied()
                .filter(|id| Some(*id) != self.agent)
                .collect();
            if strangers.len() >= STRANGERS_MAX
                && let Some(oldest) = strangers.first()
            {
                self.connections.remove(oldest);
            }
            self.last_connection = self.last_connection.wrapping_add(1);
            let id = self.last_connection;
            let Ok(channel) = Channel::new(stream) else {
                continue;
            };
            if self.poll.add(&channel.stream, Source::Connection(id)).is_ok() {
                let connection = Connection {
                    channel,
                    waits_for_write: false,
                };
                self.connections.insert(id, connection);
            }
        }
    }

    fn hear(&mut self, id: u32) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        let received = connection.channel.receive();
        loop {
            let ask = match self.connections.get_mut(&id) {
                None => return, // it was closed while it was heard
                Some(connection) => connection.channel.next(),
            };
            match ask {
                Ok(Some(ask)) => self.asked(id, ask),
                Ok(None) => break,
                Err(error) => {
                    eprintln!("supervisor: connection closed: {error}");
                    return self.close(id);
                }
            }
        }
        if !matches!(received, Ok(Received::Open)) {
            self.close(id);
        }
    }

    /// Ends a connection; when it was the agent's, what served only it ends, too.
    pub(crate) fn close(&mut self, id: u32) {
        self.connections.remove(&id);
        if self.agent == Some(id) {
            self.agent = None;
            self.destroy_helpers(None);
        }
    }

    /// Queues a message for the agent, if there is one. Whatever it tells of containers is told again when one returns.
    pub(crate) fn tell(&mut self, tell: &Tell) {
        if let Some(connection) = self.agent.and_then(|id| self.connections.get_mut(&id)) {
            connection.channel.send(tell);
        }
    }

    fn flush_connections(&mut self) {
        let mut broken = Vec::new();
        for (id, connection) in &mut self.connections {
            let flushed = connection.channel.flush();
            let unsent = connection.channel.unsent_bytes();
            if flushed.is_err() || unsent > UNSENT_BYTES_MAX {
                broken.push(*id);
                continue;
            }
            let wait = unsent > 0;
            if wait != connection.waits_for_write {
                let source = Source::Connection(*id);
                let stream = &connection.channel.stream;
                match self.poll.write_too(stream, source, wait) {
                    Ok(()) => connection.waits_for_write = wait,
                    Err(_) => broken.push(*id),
                }
            }
        }
        for id in broken {
            self.close(id);
        }
    }

    /// Notes that something serves the agent's connection or a container.
    pub(crate) fn remember_helper(&mut self, class: &Class, key: &str) {
        if let Some(of) = served(class) {
            self.helpers.insert((of.to_owned(), key.to_owned()));
        }
    }

    pub(crate) fn forget_helper(&mut self, class: &Class, key: &str) {
        if let Some(of) = served(class) {
            self.helpers.remove(&(of.to_owned(), key.to_owned()));
        }
    }

    /// Destroys fetches and probes: all, or the probes of one container.
    pub(crate) fn destroy_helpers(&mut self, of: Option<&str>) {
        let from = (of.unwrap_or_default().to_owned(), String::new());
        let helpers: Vec<String> = self
            .helpers
            .range(from..)
            .take_while(|(container, _)| of.is_none_or(|of| of == container))
            .map(|(_, key)| key.clone())
            .collect();
        for key in helpers {
            self.destroy(&key);
        }
    }

    /// Reads the host's processes, at most once per turn.
    pub(crate) fn take_snapshot(&mut self) -> &Snapshot {
        self.snapshot.get_or_insert_with(Snapshot::take)
    }

    /// Kills what is left of cleared containers, those due and, when something died, all.
    fn clear_leftovers(&mut self, all: bool) {
        if self.clearing.is_empty() {
            return;
        }
        let now = Instant::now();
        for key in self.clearing.clone() {
            let Some(container) = self.containers.get_mut(&key) else {
                self.clearing.remove(&key);
                continue;
            };
            let State::Clearing { again, pause, .. } = &mut container.state else {
                self.clearing.remove(&key);
                continue;
            };
            if *again <= now {
                if *pause < CLEARING_PAUSES.1 && *pause * 2 >= CLEARING_PAUSES.1 {
                    eprintln!("supervisor: something of {key} cannot be killed; still trying");
                }
                *pause = (*pause * 2).min(CLEARING_PAUSES.1);
                *again = now + *pause;
            } else if !all {
                continue;
            }
            self.clear(&key);
        }
    }

    /// Begins to clear a container whose first process ended.
    pub(crate) fn begin_clearing(&mut self, key: &str, pid: i32, exit: WireExit) {
        if let Some(container) = self.containers.get_mut(key) {
            if let Some((number, _closed)) = container.oom.take() {
                self.watches.remove(&number);
            }
            container.state = State::Clearing {
                pid,
                exit,
                again: Instant::now() + CLEARING_PAUSES.0,
                pause: CLEARING_PAUSES.0,
            };
            self.clearing.insert(key.to_owned());
            self.clear(key);
        }
    }
}

/// What a helper serves: a container, or (empty) the agent alone.
fn served(class: &Class) -> Option<&str> {
    match class {
        Class::Fetch => Some(""),
        Class::Probe { of } => Some(of),
        Class::Task | Class::Leftover => None,
    }
}

impl Container {
    /// As the agent is told when it connects.
    pub(crate) fn known(&self) -> Known {
        match &self.state {
            State::Queued | State::Launching => Known::Launching,
            // Told as an exit when it is cleared.
            State::Running { pid, .. } | State::Clearing { pid, .. } => Known::Running {
                pid: u32::try_from(*pid).unwrap_or(0),
            },
            State::Ended { pid, exit } => Known::Ended {
                pid: u32::try_from(*pid).unwrap_or(0),
                exit: exit.clone(),
            },
        }
    }
}
