//! The core's timers: one deadline per name, the earliest in O(1).
//!
//! Setting a timer again replaces its deadline; a cancelled one never fires.

use crate::io::{ProbeKind, TimerKind};
use meseta_types::{ContainerId, FrameworkId, Mono, TaskId};
use std::collections::{BTreeMap, BTreeSet};

/// What a deadline is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// Connect again, or give up waiting for the answer to a registration.
    Link,
    /// The master is silent.
    Ping,
    /// Send the head of a stream again.
    Retry(FrameworkId, TaskId),
    /// The executor in this container did not register.
    Registration(ContainerId),
    /// The grace of a container that was told to end is over.
    Grace(ContainerId),
    /// The command task in this container ran as long as it may.
    Completion(ContainerId),
    /// The next probe of the task in this container.
    Probe(ContainerId, ProbeKind),
    /// Recovered executors had their time to come back.
    Reregistration,
    /// Measure the disk.
    DiskWatch,
    /// A sandbox is old enough.
    Gc,
}

impl Timer {
    fn kind(&self) -> TimerKind {
        match self {
            Timer::Link => TimerKind::Link,
            Timer::Ping => TimerKind::Ping,
            Timer::Retry(..) => TimerKind::UpdateRetry,
            Timer::Registration(_) => TimerKind::Executor,
            Timer::Grace(_) | Timer::Completion(_) | Timer::Probe(..) => TimerKind::Task,
            Timer::Reregistration => TimerKind::Reregistration,
            Timer::DiskWatch | Timer::Gc => TimerKind::Gc,
        }
    }
}

/// All deadlines that are set.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    by_timer: BTreeMap<Timer, Mono>,
    by_time: BTreeSet<(Mono, Timer)>,
}

impl Timers {
    pub(crate) fn set(&mut self, timer: Timer, at: Mono) {
        self.cancel(&timer);
        self.by_time.insert((at, timer.clone()));
        self.by_timer.insert(timer, at);
    }

    pub(crate) fn cancel(&mut self, timer: &Timer) {
        if let Some(at) = self.by_timer.remove(timer) {
            self.by_time.remove(&(at, timer.clone()));
        }
    }

    pub(crate) fn is_set(&self, timer: &Timer) -> bool {
        self.by_timer.contains_key(timer)
    }

    /// Takes the earliest timer that is due.
    pub(crate) fn pop_due(&mut self, now: Mono) -> Option<Timer> {
        let (at, _) = self.by_time.first()?;
        if *at > now {
            return None;
        }
        let (_, timer) = self.by_time.pop_first()?;
        self.by_timer.remove(&timer);
        Some(timer)
    }

    pub(crate) fn next(&self) -> Option<(Mono, TimerKind)> {
        self.by_time.first().map(|(at, t)| (*at, t.kind()))
    }

    /// Whether both indexes agree.
    pub(crate) fn consistent(&self) -> bool {
        self.by_timer.len() == self.by_time.len()
            && self
                .by_timer
                .iter()
                .all(|(t, at)| self.by_time.contains(&(*at, t.clone())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn setting_a_timer_again_moves_its_deadline() {
        let mut t = Timers::default();
        t.set(Timer::Ping, Mono(5));
        t.set(Timer::Link, Mono(7));
        t.set(Timer::Ping, Mono(9));
        assert_eq!(t.next(), Some((Mono(7), TimerKind::Link)));
        assert_eq!(t.pop_due(Mono(6)), None);
        assert_eq!(t.pop_due(Mono(9)), Some(Timer::Link));
        assert_eq!(t.pop_due(Mono(9)), Some(Timer::Ping));
        assert_eq!(t.pop_due(Mono(9)), None);
        assert!(t.consistent());
    }
}
