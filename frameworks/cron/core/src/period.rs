//! ISO 8601 periods: a calendar part that moves the wall clock, and an exact part that is elapsed time.

use jiff::civil::DateTime;
use jiff::{SignedDuration, Span, SpanRelativeTo};

/// A positive period, or none at all (`P`, `PT0S`): then only one run makes sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    /// Years and months, as months. They are added first, and the day is clamped to the month's length.
    months: i64,
    /// Weeks and days, as days of the calendar.
    days: i64,
    /// Hours, minutes, seconds and below: exact.
    exact: SignedDuration,
}

/// Shortest period that repeats.
const SHORTEST: SignedDuration = SignedDuration::from_secs(1);

/// Why a text is no period.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeriodError {
    /// Not ISO 8601.
    #[error("'{0}' is no ISO 8601 period such as PT10M, P1D or P1M")]
    Syntax(String),
    /// Before itself.
    #[error("the period '{0}' must not be negative")]
    Negative(String),
    /// Under a second.
    #[error("the period '{0}' must not be shorter than one second")]
    TooShort(String),
}

impl Period {
    /// Parses `P[nY][nM][nW][nD][T[nH][nM][n.nS]]`; `P` alone is the empty period.
    ///
    /// # Errors
    /// Other texts, negative periods, and periods that are neither empty nor at least a second long.
    pub fn parse(text: &str) -> Result<Period, PeriodError> {
        let syntax = || PeriodError::Syntax(text.to_owned());
        if !text.starts_with(['P', '-', '+']) {
            return Err(syntax());
        }
        let span = match text {
            "P" => Span::new(),
            _ => text.parse::<Span>().map_err(|_| syntax())?,
        };
        if span.is_negative() {
            return Err(PeriodError::Negative(text.to_owned()));
        }
        let period = Period::of(&span).ok_or_else(syntax)?;
        if !period.is_empty() && period.months == 0 && period.days == 0 && period.exact < SHORTEST {
            return Err(PeriodError::TooShort(text.to_owned()));
        }
        Ok(period)
    }

    fn of(span: &Span) -> Option<Period> {
        let exact = Span::new()
            .try_hours(span.get_hours())
            .and_then(|s| s.try_minutes(span.get_minutes()))
            .and_then(|s| s.try_seconds(span.get_seconds()))
            .and_then(|s| s.try_milliseconds(span.get_milliseconds()))
            .and_then(|s| s.try_microseconds(span.get_microseconds()))
            .and_then(|s| s.try_nanoseconds(span.get_nanoseconds()))
            .and_then(|s| s.to_duration(SpanRelativeTo::days_are_24_hours()))
            .ok()?;
        Some(Period {
            months: i64::from(span.get_years()) * 12 + i64::from(span.get_months()),
            days: i64::from(span.get_weeks()) * 7 + i64::from(span.get_days()),
            exact,
        })
    }

    /// Whether it has no length.
    pub fn is_empty(&self) -> bool {
        self.months == 0 && self.days == 0 && self.exact.is_zero()
    }

    /// Whether it is elapsed time only.
    pub(crate) fn is_exact(&self) -> bool {
        self.months == 0 && self.days == 0
    }

    /// A length it surely has, for bounding how many fit between two instants: a day may have 23 hours where clocks
    /// are put forward, and a zone may skip a whole day once.
    pub(crate) fn shortest(&self) -> SignedDuration {
        let days = self.months.saturating_mul(28).saturating_add(self.days);
        let calendar = SignedDuration::from_hours(days.saturating_mul(23).saturating_sub(26).max(0));
        calendar.saturating_add(self.exact)
    }

    /// Civil time of the anchor moved by the calendar part `k` times. `None` beyond the year 9999.
    pub(crate) fn calendar(&self, anchor: DateTime, k: i64) -> Option<DateTime> {
        let days = self.days.checked_mul(k)?;
        let span = Span::new()
            .try_months(self.months.checked_mul(k)?)
            .and_then(|span| span.try_days(days))
            .ok()?;
        anchor.checked_add(span).ok()
    }

    /// The exact part `k` times. `None` when it does not fit.
    pub(crate) fn exact(&self, k: i64) -> Option<SignedDuration> {
        let nanos = self.exact.as_nanos().checked_mul(i128::from(k))?;
        SignedDuration::try_from_nanos_i128(nanos)
    }
}
