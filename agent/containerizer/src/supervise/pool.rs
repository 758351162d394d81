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
    launchers: Vec<Launcher>,
    waiting: VecDeque<Order>,
    log: PathBuf,
    /// Descriptors launchers keep open: the lock, so that no successor starts while one of them lives.
    kept: Vec<RawFd>,
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
    pub(crate) fn start(count: usize, log: &Path, kept: Vec<RawFd>, poll: &Poll) -> io::Result<Pool> {
        let mut pool = Pool {
            launchers: Vec::new(),
            waiting: VecDeque::new(),
            log: log.to_owned(),
            kept,
        };
        for _ in 0..count.max(1) {
            let launcher = pool.fork()?;
            let place = Source::Launcher(pool.launchers.len() as u32);
            poll.add(&launcher.channel.stream, place)?;
            pool.launchers.push(launcher);
        }
        Ok(pool)
    }

    fn fork(&self) -> io::Result<Launcher> {
        let (ours, theirs) = UnixStream::pair()?;
        let supervisor = std::process::id() as i32;
        match sys::fork()? {
            sys::Fork::Parent { child } => Ok(Launcher {
                pid: child,
                channel: Channel::new(ours)?,
                orders: VecDeque::new(),
                waits_for_write: false,
            }),
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
                launcher::run(theirs, supervisor, self.log.clone())
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
            let least = self.launchers.iter_mut().min_by_key(|l| l.orders.len());
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
        self.launchers.iter().any(|l| !l.orders.is_empty())
    }

    /// What launchers have done. A launcher whose socket is broken is dead soon, and is handled when it is.
    pub(crate) fn receive(&mut self) -> Vec<Done> {
        let mut done = Vec::new();
        for launcher in &mut self.launchers {
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

    /// Whether this dead child was a launcher; if so another one takes its place. Everything it had said must have been
    /// received before. Its orders that it cannot have begun are given out again.
    pub(crate) fn replace(&mut self, dead: i32, poll: &Poll) -> io::Result<Option<Lost>> {
        let Some(place) = self.launchers.iter().position(|l| l.pid == dead) else {
            return Ok(None);
        };
        let fresh = self.fork()?;
        poll.add(&fresh.channel.stream, Source::Launcher(place as u32))?;
        let Some(slot) = self.launchers.get_mut(place) else {
            return Ok(None);
        };
        let mut old = std::mem::replace(slot, fresh);
        let in_work = old.orders.pop_front();
        let waiting = old.orders.iter().map(|order| order.key.clone()).collect();
        while let Some(order) = old.orders.pop_back() {
            self.waiting.push_front(order);
        }
        Ok(Some(Lost { in_work, waiting }))
    }

    /// Whether this is one of the launchers.
    pub(crate) fn has(&self, pid: i32) -> bool {
        self.launchers.iter().any(|l| l.pid == pid)
    }

    /// Kills the launchers, for the supervisor's own end.
    pub(crate) fn end(&mut self) {
        for launcher in &self.launchers {
            sys::kill(launcher.pid, libc::SIGKILL);
        }
    }
}
