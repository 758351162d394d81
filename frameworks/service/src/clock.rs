//! The time of day, as an argument.

use meseta_types::Wall;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Tells the time of day.
pub type WallClock = Arc<dyn Fn() -> Wall + Send + Sync>;

/// The system's time of day at the start of the process, going on steadily: a clock that is set back while the framework
/// runs stops no delay and no retry, and one that is set ahead ends none.
pub fn system_wall_clock() -> WallClock {
    let nanos = |duration: Duration| i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX);
    let began = match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(after) => nanos(after),
        Err(before) => -nanos(before.duration()),
    };
    let start = Instant::now();
    Arc::new(move || Wall(began.saturating_add(nanos(start.elapsed()))))
}
