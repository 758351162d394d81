//! When a cron expression is due in a zone.
//!
//! The expression is asked about wall-clock times only (croner, without a zone); what becomes of them where clocks are
//! changed is decided here. The line of time is walked in stretches of one offset:
//!
//! * An expression that names its times (no `*` in second, minute and hour) has one slot for each, as Vixie cron
//!   promises. A time that a change of clocks leaves out is moved forward by the length of the gap, as it is for
//!   intervals; one that a change repeats is its first.
//! * Any other repeats with the clock: it skips what is left out and runs in both halves of what is repeated.

use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};

/// A cron expression.
#[derive(Clone, Debug)]
pub struct Cron {
    pattern: croner::Cron,
    /// As written: clients compare it.
    pub(super) text: String,
    zone: TimeZone,
    /// Whether it names its times, and does not repeat with the clock.
    names_times: bool,
}

/// How far a cron expression is searched when slots are counted: more are "many", and each costs a search.
const COUNT_MAX: usize = 10_000;

/// No two wall clocks on Earth are further apart, and no change of clocks is longer.
const FURTHEST: SignedDuration = SignedDuration::from_hours(48);

const SECOND: SignedDuration = SignedDuration::from_secs(1);

impl Cron {
    pub(super) fn parse(text: &str, zone: TimeZone) -> Result<Cron, croner::errors::CronError> {
        let parser = croner::parser::CronParser::builder()
            .seconds(croner::parser::Seconds::Optional)
            .build();
        let pattern = parser.parse(text)?;
        let fields = [
            &pattern.pattern.seconds,
            &pattern.pattern.minutes,
            &pattern.pattern.hours,
        ];
        let names_times = fields.iter().all(|field| !field.from_wildcard);
        Ok(Cron {
            pattern,
            text: text.to_owned(),
            zone,
            names_times,
        })
    }

    /// The first slot after `t`.
    pub(super) fn after(&self, t: Timestamp) -> Option<Timestamp> {
        let mut from = floor(t)?.checked_add(SECOND).ok()?;
        loop {
            let stretch = Stretch::around(from, &self.zone);
            let next = self.first(stretch.first_of(from, self.names_times), stretch.offset)?;
            let moved = match stretch.gap() {
                Some((before, length)) if self.names_times => self
                    .first(from, before)
                    .filter(|at| at.duration_since(stretch.begin) < length),
                _ => None,
            };
            let found = moved.map_or(next, |moved| moved.min(next));
            let Some(end) = stretch.end.filter(|end| found >= *end) else {
                return Some(found);
            };
            // What comes before a match that is far away matches nowhere, not even where clocks are changed. But a change
            // nearby may repeat what was before `from`.
            from = match end.duration_since(from) < FURTHEST {
                true => end,
                false => end.max(next.checked_sub(FURTHEST).ok()?),
            };
        }
    }

    /// The last slot at or before `t`.
    pub(super) fn before_or_at(&self, t: Timestamp) -> Option<Timestamp> {
        let mut to = floor(t)?;
        loop {
            let stretch = Stretch::around(to, &self.zone);
            let last = self.last(to, stretch.offset)?;
            let next = Some(last).filter(|at| *at >= stretch.first_of(stretch.begin, self.names_times));
            let moved = match stretch.gap() {
                Some((before, length)) if self.names_times => {
                    let end = stretch
                        .begin
                        .checked_add(length)
                        .and_then(|at| at.checked_sub(SECOND));
                    end.ok()
                        .and_then(|end| self.last(to.min(end), before))
                        .filter(|at| *at >= stretch.begin)
                }
                _ => None,
            };
            if let Some(found) = next.max(moved) {
                return Some(found);
            }
            let before = stretch.begin.checked_sub(SECOND).ok()?;
            to = match to.duration_since(stretch.begin) < FURTHEST {
                true => before,
                false => before.min(last.checked_add(FURTHEST).unwrap_or(before)),
            };
        }
    }

    /// How many slots lie in `(from, to]`, counted to ten thousand.
    pub(super) fn between(&self, from: Timestamp, to: Timestamp) -> u64 {
        let slots = std::iter::successors(self.after(from), |at| self.after(*at));
        slots.take_while(|at| *at <= to).take(COUNT_MAX).count() as u64
    }

    /// The first matching wall-clock time at or after a moment, if clocks had this offset for ever.
    fn first(&self, from: Timestamp, offset: Offset) -> Option<Timestamp> {
        let found = self.pattern.find_next_occurrence(&offset.to_datetime(from), true);
        instant(found.ok()?, offset)
    }

    /// The last one at or before it.
    fn last(&self, to: Timestamp, offset: Offset) -> Option<Timestamp> {
        let found = self
            .pattern
            .find_previous_occurrence(&offset.to_datetime(to), true);
        instant(found.ok()?, offset)
    }
}

/// A stretch of time with one offset, and how it begins.
struct Stretch {
    begin: Timestamp,
    /// The next stretch begins.
    end: Option<Timestamp>,
    offset: Offset,
    /// The offset before it.
    before: Offset,
}

impl Stretch {
    fn around(at: Timestamp, zone: &TimeZone) -> Stretch {
        let offset = zone.to_offset(at);
        // One that begins at this very moment is the one around it.
        let until = at.checked_add(SignedDuration::from_nanos(1)).unwrap_or(at);
        let begin = zone.preceding(until).next().map(|change| change.timestamp());
        let before = begin.and_then(|begin| begin.checked_sub(SECOND).ok());
        Stretch {
            begin: begin.unwrap_or(Timestamp::MIN),
            end: zone.following(at).next().map(|change| change.timestamp()),
            offset,
            before: before.map_or(offset, |before| zone.to_offset(before)),
        }
    }

    /// The offset before, and how much time the clocks left out.
    fn gap(&self) -> Option<(Offset, SignedDuration)> {
        let length = self.offset.duration_since(self.before);
        length.is_positive().then_some((self.before, length))
    }

    /// The first moment at or after `from` that counts: where times are named, what is repeated does not.
    fn first_of(&self, from: Timestamp, names_times: bool) -> Timestamp {
        let repeated = self.before.duration_since(self.offset);
        match self.begin.checked_add(repeated) {
            Ok(end) if names_times && repeated.is_positive() => from.max(end),
            _ => from,
        }
    }
}

/// The whole second at or before a moment.
fn floor(t: Timestamp) -> Option<Timestamp> {
    let second = t.as_nanosecond().div_euclid(SECOND.as_nanos());
    Timestamp::from_second(i64::try_from(second).ok()?).ok()
}

fn instant(civil: DateTime, offset: Offset) -> Option<Timestamp> {
    offset.to_timestamp(civil).ok()
}
