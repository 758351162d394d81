//! A framework's store: one writer, writes that take their time, and every way they can end.

use meseta_types::Mono;
use meseta_types::random::Random;
use std::collections::VecDeque;
use std::time::Duration;

/// A write under way.
#[derive(Debug)]
struct Write<C> {
    id: u64,
    changes: Vec<C>,
}

/// How a write ended.
#[derive(Debug)]
pub(crate) enum Fate<C> {
    /// It is durable.
    Done(Vec<C>),
    /// Nothing was written.
    Refused,
    /// Nobody can say. These are durable, though nobody will ever hear so.
    Unknown(Vec<C>),
}

/// A store for changes of this kind. What is durable is its owner's business.
#[derive(Debug)]
pub(crate) struct Store<C> {
    random: Random,
    /// The longest a write takes in this seed.
    write_max: Duration,
    /// Fates of the next writes, when a fault has decided on them.
    refuse: u32,
    unknown: u32,
    writes: VecDeque<Write<C>>,
    last: Mono,
}

impl<C> Store<C> {
    pub(crate) fn new(mut random: Random) -> Store<C> {
        let slow = random.below(4) == 0;
        Store {
            write_max: Duration::from_millis(1 + random.below(if slow { 500 } else { 60 })),
            random,
            refuse: 0,
            unknown: 0,
            writes: VecDeque::new(),
            last: Mono::default(),
        }
    }

    /// Whether a write is under way.
    pub(crate) fn is_writing(&self) -> bool {
        !self.writes.is_empty()
    }

    /// Begins a write; returns when it ends.
    pub(crate) fn write(&mut self, now: Mono, id: u64, changes: Vec<C>) -> Mono {
        let wait = self.random.duration_below(self.write_max);
        self.last = self.last.max(now + wait);
        self.writes.push_back(Write { id, changes });
        self.last
    }

    /// The oldest write ends.
    pub(crate) fn end(&mut self) -> Option<(u64, Fate<C>)> {
        let write = self.writes.pop_front()?;
        let fate = if self.refuse > 0 {
            self.refuse -= 1;
            Fate::Refused
        } else if self.unknown > 0 {
            self.unknown -= 1;
            let reached = self.random.below(2) == 0;
            Fate::Unknown(if reached { write.changes } else { Vec::new() })
        } else {
            Fate::Done(write.changes)
        };
        Some((write.id, fate))
    }

    /// The process ends: writes under way end up on disk or not, in order. Returns those that did.
    pub(crate) fn crash(&mut self) -> Vec<Vec<C>> {
        let mut reached = Vec::new();
        while let Some(write) = self.writes.pop_front() {
            if self.random.below(2) != 0 {
                break;
            }
            reached.push(write.changes);
        }
        self.writes.clear();
        reached
    }

    /// How many of the next writes are refused, and how many end in the dark.
    pub(crate) fn fates(&mut self) -> (&mut u32, &mut u32) {
        (&mut self.refuse, &mut self.unknown)
    }

    pub(crate) fn heal(&mut self) {
        self.refuse = 0;
        self.unknown = 0;
    }
}
