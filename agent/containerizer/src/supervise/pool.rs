//! The launchers of a supervisor: forking them, giving them work, noticing their death.

use super::channel::{Channel, Received};
use super::poll::{Poll, Source};
use super::{launcher, sys};
use crate::wire::{Done, Order};
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// Orders a launcher may have at a time: one in work and one waiting, so that it never idles for the supervisor's turn.
const ORDERS_PER_LAUNCHER: usize = 2;

/// Orders waiting for a launcher; an agent that sends more hears failures.
pub(crate) const WAITING_ORDERS_MAX: usize = 100_000;

#[derive(Debug)]
struct Launcher {
    pid: i32,
    channel: Channel,
    /// Keys in the order they were given.
    orders: VecDeque<Order>,
    waits_for_write: bool,
}

/// The launchers and the orders that wait for them.
#[derive(Debug)]
pub(crate) struct Pool {
    /// A place is empty while the launcher that belongs there cannot be forked.
    launchers: Vec<Option<Launcher>>,
    waiting: VecDeque<Order>,
    log: PathBuf,
    /// Descriptors launchers keep open: the lock, so that no successor starts while one of them lives.
    kept: Vec<RawFd>,
    /// What programs get as their limit of open files; the supervisor's own is higher.
    open_files: libc::rlimit,
}

/// Orders a dead launcher had.
#[derive(Debug)]
pub(crate) struct Lost {
    /// The one that it may have carried out.
    pub(crate) in_work: Option<Order>,
    /// Keys of those that it cannot have begun, which wait again.
    pub(crate) waiting: Vec<String>,
}

impl Pool {
    pub(crate) fn start(
        count: usize,
        log: &Path,
        kept: Vec<RawFd>,
        open_files: libc::rlimit,
        poll: &Poll,
    ) -> io::Result<Pool> {
        let mut pool = Pool {
            launchers: Vec::new(),
            waiting: VecDeque::new(),
            log: log.to_owned(),
            kept,
            open_files,
        };
        for _ in 0..count.max(1) {
            let launcher = pool.fork(pool.launchers.len(), poll)?;
            pool.launchers.push(Some(launcher));
        }
        Ok(pool)
    }

    fn present(&self) -> impl Iterator<Item = &Launcher> {
        self.launchers.iter().flatten()
    }

    fn fork(&self, place: usize, poll: &Poll) -> io::Result<Launcher> {
        let (ours, theirs) = UnixStream::pair()?;
        let supervisor = std::process::id() as i32;
        match sys::fork()? {
            sys::Fork::Parent { child } => {
                let channel = Channel::new(ours)?;
                poll.add(&channel.stream, Source::Launcher(place as u32))?;
                Ok(Launcher {
                    pid: child,
                    channel,
                    orders: VecDeque::new(),
                    waits_for_write: false,
                })
            }
            sys::Fork::Child => {
                let mut keep = self.kept.clone();
                keep.push(theirs.as_raw_fd());
                sys::close_all_but(&keep);
                std::mem::forget(ours); // closed above
                sys::default_signals();
                // A group of its own and its newborns', until they make theirs.
                let _ = rustix::process::setpgid(None, None);
                let kill = Some(rustix::process::Signal::KILL);
                let set = rustix::process::set_parent_process_death_signal(kill);
                let parent = rustix::process::getppid().map(|p| p.as_raw_nonzero().get());
                if set.is_err() || parent != Some(supervisor) {
                    sys::exit_now(1); // it died meanwhile
                }
                launcher::run(theirs, supervisor, self.log.clone(), self.open_files)
            }
        }
    }

    /// Takes an order back that no launcher has carried out.
    pub(crate) fn order_again(&mut self, order: Order) {
        self.waiting.push_front(order);
    }

    /// Takes an order; false: too many wait.
    pub(crate) fn order(&mut self, order: Order) -> bool {
        let room = self.waiting.len() < WAITING_ORDERS_MAX;
        if room {
            self.waiting.push_back(order);
        }
        room
    }

    /// Gives waiting orders to launchers that have room, those with the least work first. Orders that `wanted` denies
    /// are dropped. Returns the keys that were given out.
    pub(crate) fn dispatch(&mut self, wanted: impl Fn(&str) -> bool) -> Vec<String> {
        let mut given = Vec::new();
        while let Some(order) = self.waiting.pop_front() {
            if !wanted(&order.key) {
                continue;
            }
            let present = self.launchers.iter_mut().flatten();
            let least = present.min_by_key(|l| l.orders.len());
            match least.filter(|l| l.orders.len() < ORDERS_PER_LAUNCHER) {
                Some(launcher) => {
                    launcher.channel.send(&order);
                    given.push(order.key.clone());
                    launcher.orders.push_back(order);
                }
                None => {
                    self.waiting.push_front(order);
                    break;
                }
            }
        }
        given
    }

    /// Forgets all orders that were not given out.
    pub(crate) fn drop_waiting(&mut self) -> Vec<String> {
        self.waiting.drain(..).map(|o| o.key).collect()
    }

    /// Whether launchers are at work.
    pub(crate) fn is_busy(&self) -> bool {
        self.present().any(|l| !l.orders.is_empty())
    }

    /// What launchers have done. A launcher whose socket is broken is dead soon, and is handled when it is.
    pub(crate) fn receive(&mut self) -> Vec<Done> {
        let mut done = Vec::new();
        for launcher in self.launchers.iter_mut().flatten() {
            if launcher.orders.is_empty() {
                continue;
            }
            let _closed: io::Result<Received> = launcher.channel.receive();
            while let Ok(Some(one)) = launcher.channel.next::<Done>() {
                launcher.orders.pop_front();
                done.push(one);
            }
        }
        done
    }

    /// Sends what is queued.
    pub(crate) fn flush(&mut self, poll: &Poll) {
        for (place, launcher) in self.launchers.iter_mut().enumerate() {
            let Some(launcher) = launcher else {
                continue;
            };
            if launcher.channel.unsent_bytes() == 0 && !launcher.waits_for_write {
                continue;
            }
            // A failure means that it died; its death is handled when it is reaped.
            let _ = launcher.channel.flush();
            let wait = launcher.channel.unsent_bytes() > 0;
            if wait != launcher.waits_for_write {
                let source = Source::Launcher(place as u32);
                if poll.write_too(&launcher.channel.stream, source, wait).is_ok() {
                    launcher.waits_for_write = wait;
                }
            }
        }
    }

    /// Clears the place of a launcher that died; [`Pool::fill`] forks another one. Everything it had said must have been
    /// received before. Its orders that it cannot have begun are given out again.
    pub(crate) fn clear(&mut self, dead: i32) -> Option<Lost> {
        let mut places = self.launchers.iter_mut();
        let place = places.find(|l| l.as_ref().is_some_and(|l| l.pid == dead))?;
        let mut old = place.take()?;
        let in_work = old.orders.pop_front();
        let waiting = old.orders.iter().map(|order| order.key.clone()).collect();
        while let Some(order) = old.orders.pop_back() {
            self.waiting.push_front(order);
        }
        Some(Lost { in_work, waiting })
    }

    /// Forks a launcher for each empty place. The host may be short of processes or memory for a while: then the others
    /// go on alone, and it is tried again.
    pub(crate) fn fill(&mut self, poll: &Poll) -> io::Result<()> {
        for place in 0..self.launchers.len() {
            if self.launchers.get(place).is_some_and(Option::is_none) {
                let fresh = self.fork(place, poll)?;
                if let Some(slot) = self.launchers.get_mut(place) {
                    *slot = Some(fresh);
                }
            }
        }
        Ok(())
    }

    /// The soft limit of open files that programs get.
    pub(crate) fn open_files(&self) -> u64 {
        self.open_files.rlim_cur
    }

    /// Whether a launcher is missing.
    pub(crate) fn has_gaps(&self) -> bool {
        self.launchers.iter().any(Option::is_none)
    }

    /// Whether this is one of the launchers.
    pub(crate) fn has(&self, pid: i32) -> bool {
        self.present().any(|l| l.pid == pid)
    }

    /// Kills the launchers, for the supervisor's own end.
    pub(crate) fn end(&mut self) {
        for launcher in self.present() {
            sys::kill(launcher.pid, libc::SIGKILL);
        }
    }
}
