//! Back-off with full jitter, and the seeded generator it draws from.

use meseta_types::Mono;
use std::time::Duration;

/// SplitMix64: enough for jitter, the same on every platform, seeded by the caller.
#[derive(Clone, Debug)]
pub(super) struct Rng(u64);

impl Rng {
    pub(super) fn new(seed: u64) -> Rng {
        Rng(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Evenly from zero to `limit`, both included.
    pub(super) fn up_to(&mut self, limit: Duration) -> Duration {
        let nanos = u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX - 1);
        Duration::from_nanos(self.next() % (nanos + 1))
    }
}

/// A doubling ceiling below which the wait is drawn anew each time ("full jitter"): a thousand frameworks that lost
/// the same master do not come back in step.
#[derive(Clone, Debug)]
pub(super) struct BackOff {
    first: Duration,
    most: Duration,
    failures: u32,
}

impl BackOff {
    pub(super) fn new(first: Duration, most: Duration) -> BackOff {
        BackOff {
            first,
            most,
            failures: 0,
        }
    }

    /// The ceiling after `failures` failures in a row.
    pub(super) fn ceiling(&self, failures: u32) -> Duration {
        let doubled = 1u32.checked_shl(failures).unwrap_or(u32::MAX);
        self.first.saturating_mul(doubled).min(self.most)
    }

    /// One more failure: when to try again.
    pub(super) fn failed(&mut self, now: Mono, rng: &mut Rng) -> (Mono, Duration) {
        let wait = rng.up_to(self.ceiling(self.failures));
        self.failures = self.failures.saturating_add(1);
        (now + wait, wait)
    }

    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ceiling_doubles_up_to_its_bound() {
        let b = BackOff::new(Duration::from_millis(100), Duration::from_secs(15));
        assert_eq!(b.ceiling(0), Duration::from_millis(100));
        assert_eq!(b.ceiling(3), Duration::from_millis(800));
        assert_eq!(b.ceiling(8), Duration::from_secs(15));
        assert_eq!(b.ceiling(80), Duration::from_secs(15));
    }

    #[test]
    fn waits_are_spread_over_the_whole_interval_and_never_beyond_it() {
        let mut b = BackOff::new(Duration::from_secs(1), Duration::from_secs(1));
        let mut rng = Rng::new(7);
        let waits: Vec<_> = (0..1000)
            .map(|_| b.failed(Mono(0), &mut rng).1.as_millis())
            .collect();
        assert!(waits.iter().all(|w| *w <= 1000));
        for tenth in 0..10 {
            let hit = waits.iter().filter(|w| **w / 100 == tenth).count();
            assert!((50..200).contains(&hit), "tenth {tenth} was hit {hit} times");
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_waits() {
        let draw = |seed| {
            let mut b = BackOff::new(Duration::from_millis(100), Duration::from_secs(15));
            let mut rng = Rng::new(seed);
            (0..20).map(|_| b.failed(Mono(0), &mut rng).1).collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }
}
