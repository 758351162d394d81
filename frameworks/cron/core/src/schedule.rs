//! When runs are due: `R[n]/start/period`, or a cron expression.
//!
//! Slot k of an interval is *anchor + k × period*, computed from the anchor each time and never from the slot before:
//! so 31 January + P1M is 29 February, then 31 March again, and a slot pushed out of a gap does not drag the later ones
//! with it. Calendar units move the wall clock of the job's zone, exact units are elapsed time. A wall-clock time that
//! does not exist is moved forward by the gap's length; one that exists twice is its first.
//!
//! Cron expressions follow Vixie cron: one that names its times keeps each of them, by the same rule; one with `*` in
//! the second, minute or hour repeats with the clock (see [`Cron`]).

mod cron;
#[cfg(test)]
mod tests;

use crate::period::{Period, PeriodError};
use crate::zone::{self, ZoneError};
pub use cron::Cron;
use jiff::civil::{DateTime, Time};
use jiff::fmt::temporal::{Pieces, PiecesOffset};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// Why a text is no schedule. Each holds the words that clients look for.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ScheduleError {
    /// Not of the form.
    #[error("Cannot parse schedule '{text}': {why}")]
    Syntax {
        /// As sent.
        text: String,
        /// What does not fit.
        why: String,
    },
    /// The zone.
    #[error("Cannot parse scheduleTimeZone: {0}")]
    Zone(#[from] ZoneError),
}

/// One planned start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot {
    /// Counts from 0 at the anchor (cron expressions: 0 always).
    pub index: u64,
    /// Its nominal time.
    pub at: Timestamp,
}

/// A schedule whose anchor is fixed.
#[derive(Clone, Debug)]
pub enum Schedule {
    /// `R[n]/start/period`.
    Interval(Interval),
    /// A cron expression in a zone.
    Cron(Cron),
}

/// A repeating interval.
#[derive(Clone, Debug)]
pub struct Interval {
    /// Slots in total; `None` for ever.
    count: Option<u64>,
    /// As written, in the zone; the instant of slot 0 follows.
    anchor: DateTime,
    zone: TimeZone,
    period: Period,
    /// As written: clients compare it, so it is never normalised.
    period_text: String,
    /// As written; empty meant "now".
    start_text: String,
}

/// Before this a start is refused, as Chronos does on creation.
const EARLIEST: i64 = 1;

impl Schedule {
    /// Parses `R[n]/start/period`. An empty start means `now`; `zone` replaces the offset of the start but keeps its
    /// wall-clock fields; without either, UTC.
    ///
    /// # Errors
    /// [`ScheduleError`], with the text and what does not fit.
    pub fn interval(text: &str, zone: Option<&str>, now: Timestamp) -> Result<Schedule, ScheduleError> {
        let syntax = |why: &str| ScheduleError::Syntax {
            text: text.to_owned(),
            why: why.to_owned(),
        };
        let mut parts = text.split('/');
        let (Some(repeat), Some(start_text), Some(period_text), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(syntax("it must be R[n]/start/period"));
        };
        let count = count(repeat).ok_or_else(|| syntax("the first part must be R or R with a number"))?;
        let period = Period::parse(period_text).map_err(|e: PeriodError| syntax(&e.to_string()))?;
        if period.is_empty() && count.is_none_or(|n| n > 1) {
            return Err(syntax("a period without length can repeat once at most"));
        }
        let zone = zone.filter(|name| !name.is_empty()).map(zone::find).transpose()?;
        let (anchor, zone) = anchor(start_text, zone, now).map_err(|why| syntax(&why))?;
        let interval = Interval {
            count,
            anchor,
            zone,
            period,
            period_text: period_text.to_owned(),
            start_text: start_text.to_owned(),
        };
        match interval.at(0) {
            Some(first) if first.as_second() >= EARLIEST => Ok(Schedule::Interval(interval)),
            _ => Err(syntax("the start must not be before 1970-01-01T00:00:01Z")),
        }
    }

    /// Parses a cron expression of five fields (minute to day of week), or six with seconds first.
    ///
    /// # Errors
    /// [`ScheduleError`] with what does not fit.
    pub fn cron(text: &str, zone: Option<&str>) -> Result<Schedule, ScheduleError> {
        let zone = zone
            .filter(|name| !name.is_empty())
            .map(zone::find)
            .transpose()?
            .unwrap_or(TimeZone::UTC);
        let cron = Cron::parse(text, zone).map_err(|e| ScheduleError::Syntax {
            text: text.to_owned(),
            why: e.to_string(),
        })?;
        Ok(Schedule::Cron(cron))
    }

    /// Parses what people write in the field `schedule`: an interval, or (the ancestors had none) a cron expression or
    /// one of its nicknames such as `@daily`.
    ///
    /// # Errors
    /// [`ScheduleError`], with the text and what does not fit.
    pub fn parse(text: &str, zone: Option<&str>, now: Timestamp) -> Result<Schedule, ScheduleError> {
        let fields = text.split_whitespace().count();
        let is_cron = text.trim_start().starts_with('@') || fields == 5 || fields == 6;
        if is_cron {
            Schedule::cron(text.trim(), zone)
        } else {
            Schedule::interval(text, zone, now)
        }
    }

    /// The instant of the first slot of an interval, whatever its count. `None` for a cron expression, which has no
    /// beginning.
    pub fn anchor(&self) -> Option<Timestamp> {
        match self {
            Schedule::Interval(interval) => interval.at(0),
            Schedule::Cron(_) => None,
        }
    }

    /// How many slots are left after `t`; `None` for one without an end.
    pub fn remaining(&self, t: Timestamp) -> Option<u64> {
        match self {
            Schedule::Interval(interval) => interval
                .count
                .map(|count| count.saturating_sub(interval.settled(t))),
            Schedule::Cron(_) => None,
        }
    }

    /// Whether `self` goes on where a slot of `before` is: same zone and period, and it begins at one of its slots. That
    /// is what somebody sends who read a job and sends it back.
    pub fn continues(&self, before: &Schedule) -> bool {
        let (Schedule::Interval(new), Schedule::Interval(old)) = (self, before) else {
            return false;
        };
        let Some(begins) = new.at(0) else { return false };
        new.period_text == old.period_text
            && new.zone == old.zone
            && old.settled(begins).checked_sub(1).and_then(|k| old.at(k)) == Some(begins)
    }

    /// The first slot after `t`. `None` when there is none any more.
    pub fn after(&self, t: Timestamp) -> Option<Slot> {
        match self {
            Schedule::Interval(interval) => interval.slot(interval.settled(t)),
            Schedule::Cron(cron) => cron.after(t).map(|at| Slot { index: 0, at }),
        }
    }

    /// How many slots lie in `(from, to]`. Cron expressions are counted to ten thousand.
    pub fn between(&self, from: Timestamp, to: Timestamp) -> u64 {
        match self {
            Schedule::Interval(interval) => interval.settled(to).saturating_sub(interval.settled(from)),
            Schedule::Cron(cron) => cron.between(from, to),
        }
    }

    /// The newest slot in `(from, to]`.
    pub fn newest(&self, from: Timestamp, to: Timestamp) -> Option<Slot> {
        match self {
            Schedule::Interval(interval) => {
                let last = interval.settled(to).checked_sub(1)?;
                interval.slot(last).filter(|slot| slot.at > from)
            }
            Schedule::Cron(cron) => cron
                .before_or_at(to)
                .filter(|at| *at > from)
                .map(|at| Slot { index: 0, at }),
        }
    }

    /// The text a reader sees once every slot up to `settled` is settled: the remaining count and the next start, as
    /// Chronos rewrites it. As long as the first slot is ahead it is the text as sent.
    pub fn shown(&self, settled: Timestamp) -> String {
        match self {
            Schedule::Interval(interval) => interval.shown(interval.settled(settled)),
            Schedule::Cron(cron) => cron.text.clone(),
        }
    }
}

impl Interval {
    /// The time of slot `k`, whatever the count. `None` beyond the end of time.
    fn at(&self, k: u64) -> Option<Timestamp> {
        let k = i64::try_from(k).ok()?;
        let start = if self.period.is_exact() {
            self.anchor
        } else {
            self.period.calendar(self.anchor, k)?
        };
        let start = instant(&self.zone, start)?;
        start.checked_add(self.period.exact(k)?).ok()
    }

    fn slot(&self, index: u64) -> Option<Slot> {
        if self.count.is_some_and(|count| index >= count) {
            return None;
        }
        self.at(index).map(|at| Slot { index, at })
    }

    /// How many slots lie at or before `t`: the index of the first one after it. Slots never go backwards, so it is
    /// found by halving.
    fn settled(&self, t: Timestamp) -> u64 {
        let limit = self.count.unwrap_or(u64::MAX).min(self.at_most(t));
        let (mut low, mut high) = (0, limit);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.at(middle) {
                Some(at) if at <= t => low = middle + 1,
                _ => high = middle,
            }
        }
        low
    }

    /// More slots than can lie at or before `t`.
    fn at_most(&self, t: Timestamp) -> u64 {
        let Some(first) = self.at(0) else { return 0 };
        if t < first {
            return 0;
        }
        if self.period.is_empty() {
            return 1;
        }
        let shortest = self.period.shortest().as_secs().max(1).unsigned_abs();
        t.duration_since(first).as_secs().unsigned_abs() / shortest + 2
    }

    fn shown(&self, settled: u64) -> String {
        let repeat = match self.count {
            Some(count) => format!("R{}", count.saturating_sub(settled)),
            None => "R".to_owned(),
        };
        let start = match self.at(settled) {
            Some(at) if settled > 0 => written(at, &self.zone),
            _ => self.start_text.clone(),
        };
        format!("{repeat}/{start}/{}", self.period_text)
    }
}

/// The first instant that shows a wall-clock time; if there is none, it is shifted by the gap's length.
fn instant(zone: &TimeZone, civil: DateTime) -> Option<Timestamp> {
    let found = zone.to_ambiguous_timestamp(civil).compatible().ok()?;
    if zone.to_datetime(found) == civil {
        return Some(found);
    }
    // A gap. Or the last change that the database names, where the rule for the time after it may answer for wall-clock
    // times of the time before (America/Nuuk on 28 October 2023, at 23:00).
    let days = [-2, 2].map(|days| found.checked_add(SignedDuration::from_hours(24 * days)));
    let near = days.into_iter().flatten();
    let shown = near.filter_map(|near| zone.to_offset(near).to_timestamp(civil).ok());
    let shown = shown.filter(|at| zone.to_datetime(*at) == civil);
    Some(shown.min().unwrap_or(found))
}

/// With milliseconds, and the offset of the zone; `Z` in UTC.
fn written(at: Timestamp, zone: &TimeZone) -> String {
    let zoned = at.to_zoned(zone.clone());
    if zoned.offset().is_zero() {
        zoned.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
    } else {
        zoned.strftime("%Y-%m-%dT%H:%M:%S.%3f%:z").to_string()
    }
}

/// `R` → for ever, `Rn` → n.
fn count(text: &str) -> Option<Option<u64>> {
    match text.strip_prefix('R')? {
        "" => Some(None),
        digits if digits.bytes().all(|b| b.is_ascii_digit()) => {
            digits.parse::<u32>().ok().map(|n| Some(u64::from(n)))
        }
        _ => None,
    }
}

fn anchor(text: &str, zone: Option<TimeZone>, now: Timestamp) -> Result<(DateTime, TimeZone), String> {
    if text.is_empty() {
        let zone = zone.unwrap_or(TimeZone::UTC);
        return Ok((now.to_zoned(zone.clone()).datetime(), zone));
    }
    let pieces = Pieces::parse(text).map_err(|e| format!("the start is no ISO 8601 date and time ({e})"))?;
    if pieces.time_zone_annotation().is_some() {
        return Err("the start must not carry a zone in brackets; use scheduleTimeZone".to_owned());
    }
    let civil = pieces
        .date()
        .to_datetime(pieces.time().unwrap_or(Time::midnight()));
    let zone = zone.unwrap_or_else(|| match pieces.offset() {
        Some(PiecesOffset::Numeric(numeric)) => TimeZone::fixed(numeric.offset()),
        _ => TimeZone::UTC,
    });
    Ok((civil, zone))
}
