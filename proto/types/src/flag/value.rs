//! Values of flags: durations, sizes and the plain types, read and written as Mesos does.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// What a flag's values look like, for parsing and help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`; needs no value on the command line.
    Switch,
    /// A number.
    Number,
    /// `15secs`.
    Duration,
    /// `64MB`.
    Bytes,
    /// `100%`.
    Percent,
    /// Any text.
    Text,
    /// An IP address.
    Address,
    /// A path; `file://` values are not read.
    Path,
}

impl Kind {
    /// The word of the help.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Switch => "true|false",
            Kind::Number => "NUMBER",
            Kind::Duration => "DURATION",
            Kind::Bytes => "SIZE",
            Kind::Percent => "PERCENT",
            Kind::Text => "TEXT",
            Kind::Address => "IP",
            Kind::Path => "PATH",
        }
    }
}

/// A type a flag can have.
pub trait FlagValue: Sized {
    /// What its values look like.
    const KIND: Kind;
    /// From text; the error completes the sentence "'x' ...".
    fn parse(text: &str) -> Result<Self, String>;
    /// As text, `None` when unset.
    fn show(&self) -> Option<String>;
    /// The value of a flag that is neither given nor has a default; `None` makes the flag required.
    fn absent() -> Option<Self> {
        None
    }
}

impl<T: FlagValue> FlagValue for Option<T> {
    const KIND: Kind = T::KIND;
    fn parse(text: &str) -> Result<Self, String> {
        T::parse(text).map(Some)
    }
    fn show(&self) -> Option<String> {
        self.as_ref().and_then(T::show)
    }
    fn absent() -> Option<Self> {
        Some(None)
    }
}

impl FlagValue for bool {
    const KIND: Kind = Kind::Switch;
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "true" | "1" => Ok(true),
            "false" | "0" => Ok(false),
            _ => Err("is neither 'true' nor 'false'".to_owned()),
        }
    }
    fn show(&self) -> Option<String> {
        Some(self.to_string())
    }
}

macro_rules! whole {
    ($($ty:ty),*) => { $(
        impl FlagValue for $ty {
            const KIND: Kind = Kind::Number;
            fn parse(text: &str) -> Result<Self, String> {
                text.parse().map_err(|_| format!("is no whole number from {} to {}", <$ty>::MIN, <$ty>::MAX))
            }
            fn show(&self) -> Option<String> {
                Some(self.to_string())
            }
        }
    )* };
}
whole!(u16, u32, u64, i32, i64);

impl FlagValue for f64 {
    const KIND: Kind = Kind::Number;
    fn parse(text: &str) -> Result<Self, String> {
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(number),
            _ => Err("is no number".to_owned()),
        }
    }
    fn show(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl FlagValue for String {
    const KIND: Kind = Kind::Text;
    fn parse(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }
    fn show(&self) -> Option<String> {
        Some(self.clone())
    }
}

impl FlagValue for PathBuf {
    const KIND: Kind = Kind::Path;
    fn parse(text: &str) -> Result<Self, String> {
        let path = text.strip_prefix("file://").unwrap_or(text);
        if path.is_empty() {
            Err("is no path".to_owned())
        } else {
            Ok(PathBuf::from(path))
        }
    }
    fn show(&self) -> Option<String> {
        Some(self.display().to_string())
    }
}

impl FlagValue for IpAddr {
    const KIND: Kind = Kind::Address;
    fn parse(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| "is no IP address".to_owned())
    }
    fn show(&self) -> Option<String> {
        Some(self.to_string())
    }
}

/// A duration, `15secs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FlagDuration(pub Duration);

impl FlagValue for FlagDuration {
    const KIND: Kind = Kind::Duration;
    fn parse(text: &str) -> Result<Self, String> {
        parse_duration(text).map(FlagDuration)
    }
    fn show(&self) -> Option<String> {
        Some(format_duration(self.0))
    }
}

/// Units of durations, the largest first, in nanoseconds.
const DURATION_UNITS: [(&str, u64); 8] = [
    ("weeks", 604_800_000_000_000),
    ("days", 86_400_000_000_000),
    ("hrs", 3_600_000_000_000),
    ("mins", 60_000_000_000),
    ("secs", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// A number and one of the units `ns us ms secs mins hrs days weeks`; at most 2^63 nanoseconds, as Mesos has it.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || {
        "is no duration such as 500ms, 15secs, 10mins, 2weeks (units: ns us ms secs mins hrs days weeks)"
            .to_owned()
    };
    let nanos = with_unit(text, &DURATION_UNITS).ok_or_else(wrong)?;
    if nanos > i64::MAX as u64 {
        return Err("is longer than 292 years".to_owned());
    }
    Ok(Duration::from_nanos(nanos))
}

/// The largest unit that divides it: `90secs`, `2weeks`, `0ns`.
pub fn format_duration(duration: Duration) -> String {
    let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    in_unit(nanos, &DURATION_UNITS)
}

/// A size in bytes, `64MB`; the units are powers of 1024.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FlagBytes(pub u64);

const BYTES_UNITS: [(&str, u64); 5] = [
    ("TB", 1 << 40),
    ("GB", 1 << 30),
    ("MB", 1 << 20),
    ("KB", 1 << 10),
    ("B", 1),
];

impl FlagValue for FlagBytes {
    const KIND: Kind = Kind::Bytes;
    fn parse(text: &str) -> Result<Self, String> {
        with_unit(text, &BYTES_UNITS)
            .map(FlagBytes)
            .ok_or_else(|| "is no size such as 512B, 4KB, 64MB, 2GB (units: B KB MB GB TB)".to_owned())
    }
    fn show(&self) -> Option<String> {
        Some(in_unit(self.0, &BYTES_UNITS))
    }
}

/// `text` as a number followed by exactly one of the units, in the smallest unit.
fn with_unit(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let split = text.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
    let (number, unit) = text.split_at(split);
    let (_, size) = units.iter().find(|(name, _)| *name == unit)?;
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(*size);
    }
    let scaled = number.parse::<f64>().ok()? * *size as f64;
    (scaled.is_finite() && scaled < u64::MAX as f64).then_some(scaled.round() as u64)
}

fn in_unit(amount: u64, units: &[(&str, u64)]) -> String {
    let found = units
        .iter()
        .find(|(_, size)| amount >= *size && amount.is_multiple_of(*size));
    match found.or(units.last()) {
        Some((name, size)) => format!("{}{name}", amount / size),
        None => amount.to_string(),
    }
}

/// A percentage from 0 to 100, `100%`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Percent(pub f64);

impl FlagValue for Percent {
    const KIND: Kind = Kind::Percent;
    fn parse(text: &str) -> Result<Self, String> {
        let number = text.strip_suffix('%').and_then(|n| n.parse::<f64>().ok());
        match number {
            Some(percent) if (0.0..=100.0).contains(&percent) => Ok(Percent(percent)),
            _ => Err("is no percentage from 0% to 100%".to_owned()),
        }
    }
    fn show(&self) -> Option<String> {
        Some(format!("{}%", self.0))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn durations_read_and_print_as_mesos_does() {
        for (text, nanos, printed) in [
            ("15secs", 15_000_000_000, "15secs"),
            ("60secs", 60_000_000_000, "1mins"),
            ("90secs", 90_000_000_000, "90secs"),
            ("0.5secs", 500_000_000, "500ms"),
            ("1.5hrs", 5_400_000_000_000, "90mins"),
            ("14days", 1_209_600_000_000_000, "2weeks"),
            ("1weeks", 604_800_000_000_000, "1weeks"),
            ("0ns", 0, "0ns"),
            ("1us", 1_000, "1us"),
        ] {
            let duration = parse_duration(text).unwrap();
            assert_eq!(duration.as_nanos(), nanos, "{text}");
            assert_eq!(format_duration(duration), printed);
        }
        for wrong in [
            "", "15", "secs", "15 secs", "15sec", "-1secs", "1e3secs", "1..5secs",
        ] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
        assert_eq!(
            parse_duration("20000weeks").unwrap_err(),
            "is longer than 292 years"
        );
    }

    #[test]
    fn sizes_are_powers_of_1024() {
        for (text, bytes, printed) in [
            ("4096B", 4096, "4KB"),
            ("64MB", 64 << 20, "64MB"),
            ("1.5GB", 3 << 29, "1536MB"),
            ("0B", 0, "0B"),
            ("2TB", 2 << 40, "2TB"),
        ] {
            let size = FlagBytes::parse(text).unwrap();
            assert_eq!((size.0, size.show().unwrap().as_str()), (bytes, printed));
        }
        for wrong in ["64", "64mb", "64 MB", "99999999999TB"] {
            assert!(FlagBytes::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn percentages_stay_between_nothing_and_all() {
        assert_eq!(Percent::parse("100%").unwrap().show().unwrap(), "100%");
        for wrong in ["100", "101%", "-1%", "NaN%"] {
            assert!(Percent::parse(wrong).is_err(), "{wrong}");
        }
    }
}
