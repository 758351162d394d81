//! What the core waits for, by time. A timer is a fact in this table, not a handle someone holds.

use crate::io::TimerKind;
use crate::pages::{AgentKey, FrameworkKey, OfferKey};
use meseta_types::Mono;
use std::collections::{BTreeMap, BTreeSet};

/// One thing waited for; each at most once at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    Offer(OfferKey),
    Ping(AgentKey),
    Reregister(AgentKey),
    Recovery,
    Permit,
    Failover(FrameworkKey),
    RegistryGc,
}

impl Timer {
    pub(crate) fn kind(self) -> TimerKind {
        match self {
            Timer::Offer(_) => TimerKind::OfferTimeout,
            Timer::Ping(_) => TimerKind::Ping,
            Timer::Reregister(_) => TimerKind::AgentReregister,
            Timer::Recovery => TimerKind::Recovery,
            Timer::Permit => TimerKind::RemovalPermit,
            Timer::Failover(_) => TimerKind::FailoverTimeout,
            Timer::RegistryGc => TimerKind::RegistryGc,
        }
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    by_time: BTreeSet<(Mono, Timer)>,
    due: BTreeMap<Timer, Mono>,
}

impl Timers {
    /// Sets a timer, or moves it.
    pub(crate) fn set(&mut self, timer: Timer, at: Mono) {
        self.cancel(timer);
        self.due.insert(timer, at);
        self.by_time.insert((at, timer));
    }

    pub(crate) fn cancel(&mut self, timer: Timer) {
        if let Some(at) = self.due.remove(&timer) {
            self.by_time.remove(&(at, timer));
        }
    }

    pub(crate) fn is_set(&self, timer: Timer) -> bool {
        self.due.contains_key(&timer)
    }

    /// The earliest.
    pub(crate) fn first(&self) -> Option<(Mono, Timer)> {
        self.by_time.first().copied()
    }

    /// Takes the earliest out if its time has come.
    pub(crate) fn pop_due(&mut self, now: Mono) -> Option<Timer> {
        let (at, timer) = self.first()?;
        if at > now {
            return None;
        }
        self.cancel(timer);
        Some(timer)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Mono, Timer)> + '_ {
        self.by_time.iter().copied()
    }
}
