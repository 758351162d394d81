//! Time as an argument: cores never read a clock, they are told `Now`.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

/// A point on the monotonic clock of one process, in nanoseconds since an arbitrary start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mono(pub u64);

/// A point on the wall clock, in nanoseconds since the Unix epoch (negative before it).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Wall(pub i64);

/// Both clocks, read once per batch by the shell and handed to `step`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// For timers and intervals: never jumps.
    pub mono: Mono,
    /// For time stamps people and frameworks see: may jump.
    pub wall: Wall,
}

/// In a second.
const NANOS: i64 = 1_000_000_000;

impl Mono {
    /// The time since `earlier`, zero if `earlier` lies ahead.
    pub fn since(self, earlier: Mono) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Mono {
    type Output = Mono;
    /// Saturates: a deadline beyond 584 years is never reached.
    fn add(self, d: Duration) -> Mono {
        Mono(
            self.0
                .saturating_add(u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)),
        )
    }
}

impl Sub<Duration> for Mono {
    type Output = Mono;
    fn sub(self, d: Duration) -> Mono {
        Mono(
            self.0
                .saturating_sub(u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)),
        )
    }
}

impl Wall {
    /// Seconds since the epoch as Mesos writes them (a double).
    ///
    /// Whole seconds and the rest apart: the nearest double, so that a time stamp read from the wire is written back
    /// with the same digits.
    pub fn as_secs_f64(self) -> f64 {
        (self.0 / NANOS) as f64 + (self.0 % NANOS) as f64 / NANOS as f64
    }

    /// From seconds since the epoch; not-a-number and values out of range saturate.
    pub fn from_secs_f64(secs: f64) -> Wall {
        let nanos = (secs.fract() * NANOS as f64).round() as i64;
        Wall((secs.trunc() as i64).saturating_mul(NANOS).saturating_add(nanos))
    }
}

impl fmt::Display for Wall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.6}", self.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn odd_doubles_saturate() {
        assert_eq!(Wall::from_secs_f64(f64::NAN), Wall(0));
        assert_eq!(Wall::from_secs_f64(f64::INFINITY), Wall(i64::MAX));
        assert_eq!(Wall::from_secs_f64(-1.5), Wall(-1_500_000_000));
    }

    proptest! {
        #[test]
        fn a_time_stamp_of_the_wire_keeps_its_digits(secs in 1.6e9_f64..4e9) {
            prop_assert_eq!(Wall::from_secs_f64(secs).as_secs_f64(), secs);
        }
    }
}
