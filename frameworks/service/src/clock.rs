//! The wall clock, as an argument.

use meseta_types::Wall;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Tells the time of day.
pub type WallClock = Arc<dyn Fn() -> Wall + Send + Sync>;

/// The system's clock.
pub fn system_wall_clock() -> WallClock {
    Arc::new(|| {
        let nanos = |duration: std::time::Duration| i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX);
        Wall(match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(after) => nanos(after),
            Err(before) => -nanos(before.duration()),
        })
    })
}
