//! The log level switch behind SET_LOGGING_LEVEL, GET_LOGGING_LEVEL and `/logging/toggle`.
//!
//! Levels are those of Mesos: 0 is normal, each step above says more. A raised level goes back by itself after the
//! duration that was asked for; a newer order replaces the older one's end.

use crate::Response;
use crate::path::{Query, longest};
use crate::reply::{self, Refusal};
use http::StatusCode;
use meseta_types::flag::parse_duration;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

type Apply = dyn Fn(u32) + Send + Sync;

struct Inner {
    level: AtomicU32,
    original: u32,
    order: AtomicU64,
    apply: Box<Apply>,
}

/// The switch. Clones share it.
#[derive(Clone)]
pub struct LogLevel(Arc<Inner>);

impl fmt::Debug for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LogLevel({})", self.level())
    }
}

impl LogLevel {
    /// `original` is the level at start; `apply` makes a level take effect.
    pub fn new(original: u32, apply: impl Fn(u32) + Send + Sync + 'static) -> LogLevel {
        LogLevel(Arc::new(Inner {
            level: AtomicU32::new(original),
            original,
            order: AtomicU64::new(0),
            apply: Box::new(apply),
        }))
    }

    /// A switch without effect, for tests and embedded use.
    pub fn detached() -> LogLevel {
        LogLevel::new(0, |_| {})
    }

    /// The level in effect.
    pub fn level(&self) -> u32 {
        self.0.level.load(Ordering::Acquire)
    }

    /// The level at start.
    pub fn original(&self) -> u32 {
        self.0.original
    }

    /// Sets the level and returns to the original after `duration`. Must be called inside a tokio runtime.
    pub fn set(&self, level: u32, duration: Duration) {
        let order = self.0.order.fetch_add(1, Ordering::AcqRel) + 1;
        self.put(level);
        if level == self.0.original {
            return;
        }
        let this = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(duration).await;
            if this.0.order.load(Ordering::Acquire) == order {
                this.put(this.0.original);
            }
        });
    }

    fn put(&self, level: u32) {
        self.0.level.store(level, Ordering::Release);
        (self.0.apply)(level);
    }
}

/// Answers `/logging/<rest>`: `toggle?level=N&duration=D` sets the level, without parameters it is shown.
///
/// # Errors
/// 400 names the parameter that is missing or wrong.
pub fn toggle(level: &LogLevel, rest: &str, query: &Query) -> Result<Response, Refusal> {
    if longest(rest, &["/toggle"]).is_none() {
        return Ok(reply::not_found());
    }
    let (wanted, duration) = match (query.get("level"), query.get("duration")) {
        (None, None) => return Ok(reply::text(StatusCode::OK, format!("{}\n", level.level()))),
        (Some(_), None) => return Err(Refusal::bad_request("Expecting 'duration=value' in query.\n")),
        (None, Some(_)) => return Err(Refusal::bad_request("Expecting 'level=value' in query.\n")),
        (Some(wanted), Some(duration)) => (wanted, duration),
    };
    let number: u32 = wanted
        .parse()
        .map_err(|_| Refusal::bad_request(format!("Invalid level '{wanted}'.\n")))?;
    if number < level.original() {
        return Err(Refusal::bad_request(format!("'{wanted}' < original level.\n")));
    }
    let duration = parse_duration(duration)
        .map_err(|_| Refusal::bad_request(format!("Invalid duration '{duration}'.\n")))?;
    level.set(number, duration);
    Ok(reply::empty(StatusCode::OK))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn a_raised_level_goes_back_and_a_newer_order_replaces_the_end() {
        let (applied, mut levels) = tokio::sync::mpsc::unbounded_channel();
        let level = LogLevel::new(0, move |l| {
            let _ = applied.send(l);
        });
        level.set(2, Duration::from_millis(1));
        level.set(3, Duration::from_millis(2));
        let mut seen = Vec::new();
        for _ in 0..3 {
            seen.extend(levels.recv().await);
        }
        assert_eq!(seen, [2, 3, 0]);
        assert_eq!(level.level(), 0);
    }

    #[tokio::test]
    async fn the_toggle_shows_and_sets_and_names_what_is_wrong() {
        let level = LogLevel::new(1, |_| {});
        let ask = |query: &str| {
            let query = Query::parse(Some(query)).unwrap();
            match toggle(&level, "/toggle", &query) {
                Ok(answer) => (answer.status(), String::new()),
                Err(refusal) => (refusal.status, refusal.text.into_owned()),
            }
        };
        assert_eq!(ask("").0, StatusCode::OK);
        assert_eq!(ask("level=3&duration=10secs").0, StatusCode::OK);
        assert_eq!(level.level(), 3);
        for (query, named) in [
            ("level=3", "duration=value"),
            ("duration=1secs", "level=value"),
            ("level=x&duration=1secs", "level 'x'"),
            ("level=0&duration=1secs", "original level"),
            ("level=2&duration=soon", "duration 'soon'"),
        ] {
            let (status, text) = ask(query);
            assert_eq!(status, StatusCode::BAD_REQUEST, "{query}");
            assert!(text.contains(named), "{query}: {text}");
        }
        assert_eq!(level.level(), 3);
    }
}
