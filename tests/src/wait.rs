//! Waiting for a value, with what was last seen in the message when it does not come.

use std::fmt::Debug;
use std::time::{Duration, Instant};

/// How long anything may take on a busy machine before a test gives up.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks at something that cannot be awaited, such as a process table.
const LOOK: Duration = Duration::from_millis(20);

/// Looks until `look` says `Ok`, and returns its value.
///
/// # Panics
/// After [`PATIENCE`], with `what` and what was seen last.
pub fn until<T, E: Debug>(what: &str, look: impl FnMut() -> Result<T, E>) -> T {
    within(PATIENCE, what, look)
}

/// As [`until`], with another limit.
///
/// # Panics
/// After the limit.
pub fn within<T, E: Debug>(limit: Duration, what: &str, mut look: impl FnMut() -> Result<T, E>) -> T {
    let start = Instant::now();
    loop {
        match look() {
            Ok(value) => return value,
            Err(last) => assert!(
                start.elapsed() < limit,
                "not within {limit:?}: {what}; last seen: {last:?}"
            ),
        }
        std::thread::sleep(LOOK);
    }
}
