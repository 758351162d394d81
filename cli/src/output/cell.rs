//! One value of a table: a text, or a time that is shown as asked for.

use super::Times;
use crate::text::age;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::fmt;

/// A cell of a row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cell {
    /// As it is.
    Text(String),
    /// A time.
    Time {
        /// What stands before it in every form: `ok:`.
        before: String,
        /// Seconds since the epoch.
        at: f64,
        /// Its relative form: `4m`, `in-4m`.
        relative: String,
    },
}

impl Cell {
    /// A time that is over: its age.
    pub(crate) fn ago(now: f64, at: f64) -> Cell {
        Cell::time("", at, age(now - at))
    }

    /// A time, with what stands before it and its relative form.
    pub(crate) fn time(before: &str, at: f64, relative: String) -> Cell {
        Cell::Time {
            before: before.to_owned(),
            at,
            relative,
        }
    }

    /// The text for people.
    pub(crate) fn shown(&self, times: Times) -> String {
        match self {
            Cell::Text(text) => text.clone(),
            Cell::Time { before, at, relative } => match times {
                Times::Relative => format!("{before}{relative}"),
                Times::Local => format!("{before}{}", clock(*at, &TimeZone::system())),
                Times::Utc => format!("{before}{}", clock(*at, &TimeZone::UTC)),
            },
        }
    }

    /// What is left when only time passes: two cells with equal ones tell the same.
    pub(super) fn constant(&self) -> String {
        match self {
            Cell::Text(text) => text.clone(),
            Cell::Time { before, at, .. } => format!("{before}{at}"),
        }
    }
}

/// RFC 3339 to the second; it has no blank.
fn clock(at: f64, zone: &TimeZone) -> String {
    // Beyond what a calendar has there is nothing to show.
    let Ok(at) = Timestamp::from_second(at as i64) else {
        return String::new();
    };
    let format = if *zone == TimeZone::UTC {
        "%Y-%m-%dT%H:%M:%SZ"
    } else {
        "%Y-%m-%dT%H:%M:%S%:z"
    };
    at.to_zoned(zone.clone()).strftime(format).to_string()
}

impl Default for Cell {
    fn default() -> Self {
        Cell::Text(String::new())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Cell::Text(text)
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Cell::Text(text.to_owned())
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown(Times::Relative))
    }
}

impl PartialEq<&str> for Cell {
    fn eq(&self, other: &&str) -> bool {
        self.shown(Times::Relative) == *other
    }
}

/// The cells of a row, from texts and times.
macro_rules! cells {
    ($($value:expr),* $(,)?) => { vec![$($crate::output::Cell::from($value)),*] };
}
pub(crate) use cells;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_shown_as_asked_for() {
        let cell = Cell::time("ok:", 1_795_895_902.9, "56m".to_owned());
        assert_eq!(cell.shown(Times::Relative), "ok:56m");
        assert_eq!(cell.shown(Times::Utc), "ok:2026-11-28T19:58:22Z");
        assert_eq!(Cell::time("", 1e300, String::new()).shown(Times::Utc), "");
        assert_eq!(Cell::ago(100.0, 58.0), "42s");
        assert_eq!(
            clock(0.0, &TimeZone::fixed(jiff::tz::offset(-5))),
            "1969-12-31T19:00:00-05:00"
        );
    }

    #[test]
    fn only_time_that_passes_changes_nothing() {
        assert_eq!(
            Cell::ago(100.0, 58.0).constant(),
            Cell::ago(160.0, 58.0).constant()
        );
        assert_ne!(
            Cell::ago(100.0, 58.0).constant(),
            Cell::ago(100.0, 59.0).constant()
        );
        assert_eq!(Cell::from("running").constant(), "running");
    }
}
