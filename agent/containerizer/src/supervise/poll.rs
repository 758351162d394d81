//! What the supervisor waits for.

use rustix::event::{Timespec, epoll};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

/// Where an event came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// Signals, as a descriptor.
    Signals,
    /// A new connection.
    Listener,
    /// A connection, by its number.
    Connection(u32),
    /// A launcher, by its place.
    Launcher(u32),
    /// A descriptor that belongs to a container (its pidfd or its OOM event), by its number.
    Watch(u32),
}

impl Source {
    fn number(self) -> u64 {
        let (kind, of) = match self {
            Source::Signals => (0, 0),
            Source::Listener => (1, 0),
            Source::Connection(of) => (2, of),
            Source::Launcher(of) => (3, of),
            Source::Watch(of) => (4, of),
        };
        (kind << 32) | u64::from(of)
    }

    fn of(number: u64) -> Source {
        let of = number as u32;
        match number >> 32 {
            0 => Source::Signals,
            1 => Source::Listener,
            2 => Source::Connection(of),
            3 => Source::Launcher(of),
            _ => Source::Watch(of),
        }
    }
}

/// Events taken per turn; more wait for the next one.
const EVENTS_PER_TURN: usize = 256;

/// An epoll instance.
pub(crate) struct Poll {
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
}

fn flags(write: bool) -> epoll::EventFlags {
    if write {
        epoll::EventFlags::IN | epoll::EventFlags::OUT
    } else {
        epoll::EventFlags::IN
    }
}

impl Poll {
    pub(crate) fn new() -> io::Result<Poll> {
        Ok(Poll {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            events: Vec::with_capacity(EVENTS_PER_TURN),
        })
    }

    /// Waits for this descriptor to be readable. It is forgotten when the descriptor is closed.
    pub(crate) fn add(&self, fd: impl AsFd, source: Source) -> io::Result<()> {
        let data = epoll::EventData::new_u64(source.number());
        Ok(epoll::add(&self.epoll, fd, data, flags(false))?)
    }

    /// Whether to wait for it to be writable, too.
    pub(crate) fn write_too(&self, fd: impl AsFd, source: Source, write: bool) -> io::Result<()> {
        let data = epoll::EventData::new_u64(source.number());
        Ok(epoll::modify(&self.epoll, fd, data, flags(write))?)
    }

    /// Waits for events, at most this long.
    pub(crate) fn wait(&mut self, at_most: Option<Duration>) -> io::Result<Vec<Source>> {
        let timeout = at_most.map(|d| Timespec {
            tv_sec: i64::try_from(d.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(d.subsec_nanos()),
        });
        self.events.clear();
        match epoll::wait(
            &self.epoll,
            rustix::buffer::spare_capacity(&mut self.events),
            timeout.as_ref(),
        ) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(self
            .events
            .iter()
            .map(|event| Source::of(event.data.u64()))
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::Source;

    #[test]
    fn sources_survive_their_numbers() {
        for source in [
            Source::Signals,
            Source::Listener,
            Source::Connection(7),
            Source::Launcher(0),
            Source::Watch(u32::MAX),
        ] {
            assert_eq!(Source::of(source.number()), source);
        }
    }
}
