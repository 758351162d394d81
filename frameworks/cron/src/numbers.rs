//! Counters of the process, for `/metrics`. Counters of jobs are theirs and durable; these begin at zero with each start.

use crate::history::Result;
use std::sync::atomic::{AtomicU64, Ordering};

/// Upper bounds of the classes that lateness is counted in, in milliseconds; one more class has what is above.
pub(crate) const LATENESS_MS: [u64; 13] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 5_000, 60_000, 600_000];

/// Everything that is counted.
#[derive(Debug, Default)]
pub(crate) struct Numbers {
    /// Launches that were recorded and sent.
    pub(crate) launched: AtomicU64,
    /// Launches that came to nothing and are made again.
    pub(crate) given_back: AtomicU64,
    pub(crate) succeeded: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) lost: AtomicU64,
    pub(crate) killed: AtomicU64,
    /// Slots, not runs.
    pub(crate) missed: AtomicU64,
    /// Slots, not runs.
    pub(crate) superseded: AtomicU64,
    pub(crate) cancelled: AtomicU64,
    pub(crate) commits: AtomicU64,
    pub(crate) commits_refused: AtomicU64,
    pub(crate) messages_sent: AtomicU64,
    pub(crate) messages_dropped: AtomicU64,
    /// Looks at the engine's books that found them wrong: our own defect.
    pub(crate) broken: AtomicU64,
    /// From the time of a slot to its ACCEPT, by class.
    lateness: [AtomicU64; LATENESS_MS.len() + 1],
    lateness_sum_ms: AtomicU64,
}

impl Numbers {
    /// Adds to a counter.
    pub(crate) fn add(counter: &AtomicU64, n: u64) {
        counter.fetch_add(n, Ordering::Relaxed);
    }

    /// A counter's value.
    pub(crate) fn read(counter: &AtomicU64) -> u64 {
        counter.load(Ordering::Relaxed)
    }

    /// Counts an end.
    pub(crate) fn ended(&self, result: Result, slots: u64) {
        let (counter, n) = match result {
            Result::Success => (&self.succeeded, 1),
            Result::Failed => (&self.failed, 1),
            Result::Lost => (&self.lost, 1),
            Result::Killed => (&self.killed, 1),
            Result::Missed => (&self.missed, slots),
            Result::Superseded => (&self.superseded, slots),
            Result::Cancelled => (&self.cancelled, 1),
        };
        Numbers::add(counter, n);
    }

    /// Counts how late a slot was launched.
    pub(crate) fn late(&self, millis: u64) {
        let class = LATENESS_MS.iter().position(|most| millis <= *most);
        let class = class.unwrap_or(LATENESS_MS.len());
        if let Some(counter) = self.lateness.get(class) {
            Numbers::add(counter, 1);
        }
        Numbers::add(&self.lateness_sum_ms, millis);
    }

    /// How many launches were at most so late (the last: however late), and the sum in milliseconds.
    pub(crate) fn lateness(&self) -> (Vec<u64>, u64) {
        let mut sum = 0;
        let classes = self.lateness.iter().map(|counter| {
            sum += Numbers::read(counter);
            sum
        });
        (classes.collect(), Numbers::read(&self.lateness_sum_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lateness_is_counted_in_classes_that_add_up() {
        let numbers = Numbers::default();
        for millis in [0, 1, 3, 40, 10_000_000] {
            numbers.late(millis);
        }
        let (classes, sum) = numbers.lateness();
        assert_eq!((classes[0], classes[2], classes[5]), (2, 3, 4));
        assert_eq!((classes.last(), sum), (Some(&5), 10_000_044));
    }
}
