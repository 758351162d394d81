//! Whether offers are wanted, and how often the master is told so: a revival ends all filters and makes the master
//! allocate, so there is a bucket of them.

use tokio::time::{Duration, Instant};

/// Revivals that may be said at once.
const BUCKET: f64 = 10.0;

/// Revivals that come back per second.
const REFILL: f64 = 2.0;

/// What is wanted, what was said, and what is left in the bucket.
#[derive(Debug)]
pub(super) struct Wish {
    /// Whether anything is said at all.
    speaks: bool,
    wanted: Option<bool>,
    said: Option<bool>,
    left: f64,
    at: Instant,
}

impl Wish {
    pub(super) fn new(speaks: bool) -> Wish {
        Wish {
            speaks,
            wanted: None,
            said: None,
            left: BUCKET,
            at: Instant::now(),
        }
    }

    /// A new wish; it is said anew even if it is the same, since the subscription may be another one.
    pub(super) fn set(&mut self, wanted: bool) {
        self.wanted = Some(wanted);
        self.said = None;
    }

    /// What is to be said now.
    pub(super) fn take(&mut self, now: Instant) -> Option<bool> {
        let wanted = self.wanted.filter(|_| self.speaks && self.said != self.wanted)?;
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.left = (self.left + passed * REFILL).min(BUCKET);
        self.at = now;
        if wanted {
            if self.left < 1.0 {
                return None;
            }
            self.left -= 1.0;
        }
        self.said = Some(wanted);
        Some(wanted)
    }

    /// When a wish that waits for the bucket can be said.
    pub(super) fn wake_at(&self) -> Option<Instant> {
        let waits = self.speaks && self.wanted.is_some() && self.said != self.wanted;
        waits.then(|| self.at + Duration::from_secs_f64(((1.0 - self.left) / REFILL).max(0.001)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_revivals_at_once_and_then_one_each_half_second() {
        let start = Instant::now();
        let mut wish = Wish::new(true);
        let mut said = 0;
        for tenth in 0..50u64 {
            wish.set(true);
            said += u32::from(wish.take(start + Duration::from_millis(tenth * 100)).is_some());
        }
        // Ten, and what came back in five seconds.
        assert!((18..=20).contains(&said), "{said}");
    }

    #[test]
    fn a_wish_that_waits_says_when_and_one_that_changed_its_mind_waits_no_more() {
        let start = Instant::now();
        let mut wish = Wish::new(true);
        for _ in 0..11 {
            wish.set(true);
            wish.take(start);
        }
        assert!(
            wish.wake_at()
                .is_some_and(|at| at <= start + Duration::from_millis(510))
        );
        wish.set(false);
        assert_eq!((wish.take(start), wish.wake_at()), (Some(false), None));
    }

    #[test]
    fn without_revivals_nothing_is_said() {
        let mut wish = Wish::new(false);
        wish.set(true);
        assert_eq!((wish.take(Instant::now()), wish.wake_at()), (None, None));
    }
}
