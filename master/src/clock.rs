//! The two clocks of the shell: tokio's for timers, so that tests can pause it, and the wall clock it was given.

use meseta_types::{Mono, Now, Wall};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

/// Reads the wall clock.
pub type WallClock = Arc<dyn Fn() -> Wall + Send + Sync>;

/// The host's wall clock.
pub fn system_wall_clock() -> WallClock {
    Arc::new(|| {
        let nanos = match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_nanos()).unwrap_or(i64::MAX),
            Err(before) => {
                let nanos = before.duration().as_nanos();
                i64::try_from(nanos).map_or(i64::MIN, |n| -n)
            }
        };
        Wall(nanos)
    })
}

/// Both clocks.
#[derive(Clone)]
pub(crate) struct Clock {
    start: Instant,
    wall: WallClock,
}

impl Clock {
    pub(crate) fn new(wall: WallClock) -> Clock {
        Clock {
            start: Instant::now(),
            wall,
        }
    }

    pub(crate) fn now(&self) -> Now {
        let nanos = self.start.elapsed().as_nanos();
        Now {
            mono: Mono(u64::try_from(nanos).unwrap_or(u64::MAX)),
            wall: self.wall(),
        }
    }

    pub(crate) fn wall(&self) -> Wall {
        (self.wall)()
    }

    /// When tokio's clock shows `mono`; a time beyond its range is a day from now, to be asked again then.
    pub(crate) fn instant(&self, mono: Mono) -> Instant {
        self.start
            .checked_add(Duration::from_nanos(mono.0))
            .unwrap_or_else(|| Instant::now() + Duration::from_secs(86_400))
    }
}
