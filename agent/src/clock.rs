//! The two clocks the core is told of.

use meseta_types::{Mono, Now, Wall};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

/// Monotonic time from tokio (which tests can pause), wall time from a function.
#[derive(Clone)]
pub struct Clock {
    start: Instant,
    wall: Arc<dyn Fn() -> Wall + Send + Sync>,
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

impl Clock {
    /// A clock whose wall time comes from `wall`. Must be made inside a tokio runtime.
    pub fn new(wall: impl Fn() -> Wall + Send + Sync + 'static) -> Clock {
        Clock {
            start: Instant::now(),
            wall: Arc::new(wall),
        }
    }

    /// The system's clocks.
    pub fn system() -> Clock {
        Clock::new(|| {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            Wall(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
        })
    }

    /// Both clocks now.
    pub fn now(&self) -> Now {
        Now {
            mono: Mono(u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)),
            wall: self.wall(),
        }
    }

    /// The wall clock now.
    pub fn wall(&self) -> Wall {
        (self.wall)()
    }

    /// When a point of the monotonic clock is.
    pub fn instant(&self, mono: Mono) -> Instant {
        // A deadline beyond the clock's range is as good as none.
        self.start
            .checked_add(Duration::from_nanos(mono.0))
            .unwrap_or_else(|| self.start + Duration::from_secs(u64::from(u32::MAX)))
    }

    /// Time since the agent started.
    pub fn uptime(&self) -> Duration {
        self.start.elapsed()
    }
}
