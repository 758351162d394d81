//! How things look on the wire.
//!
//! A definition is stored as the JSON that is shown, so an app is written by copying those bytes and appending what the
//! engine knows of it: nothing is parsed and no second copy of the state is built.

pub(super) mod app;
pub(super) mod deployment;
pub(super) mod event;
pub(super) mod queue;
pub(super) mod task;

use meseta_service_core::app::Version;
use meseta_types::Wall;

const NANOS_PER_MILLI: i64 = 1_000_000;

/// A time as Marathon writes it: `2015-04-02T09:37:00.596Z`.
pub(super) fn time(at: Wall) -> String {
    version(Version(at.0.div_euclid(NANOS_PER_MILLI)))
}

/// A version as Marathon writes it.
pub(super) fn version(version: Version) -> String {
    let at = jiff::Timestamp::from_millisecond(version.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

/// The version that a text names: a time stamp with or without a fraction, in any zone.
pub(super) fn parse_version(text: &str) -> Option<Version> {
    let at: jiff::Timestamp = text.parse().ok()?;
    Some(Version(at.as_millisecond()))
}

/// Appends `,"name":` to an object that is being written.
fn field(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

/// Appends a value. Values of ours can always be written as JSON; one that cannot is shown as `null`.
fn value(out: &mut Vec<u8>, value: &impl serde::Serialize) {
    let start = out.len();
    if let Err(error) = serde_json::to_writer(&mut *out, value) {
        tracing::error!("a value cannot be shown: {error}");
        out.truncate(start);
        out.extend_from_slice(b"null");
    }
}

/// Appends a list, written element by element.
fn list<T>(out: &mut Vec<u8>, items: impl Iterator<Item = T>, mut write: impl FnMut(&mut Vec<u8>, T)) {
    out.push(b'[');
    for (index, item) in items.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(out, item);
    }
    out.push(b']');
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn times_have_three_decimals_and_come_back() {
        assert_eq!(time(Wall(1_427_967_420_596_123_456)), "2015-04-02T09:37:00.596Z");
        assert_eq!(version(Version(0)), "1970-01-01T00:00:00.000Z");
        for text in [
            "2015-04-02T09:37:00.596Z",
            "2015-04-02T09:37:00.5960Z",
            "2015-04-02T11:37:00.596+02:00",
        ] {
            assert_eq!(parse_version(text), Some(Version(1_427_967_420_596)), "{text}");
        }
        assert_eq!(
            parse_version("2015-04-02T09:37:00Z"),
            Some(Version(1_427_967_420_000))
        );
        for text in ["", "yesterday", "2015-04-02", "1427967420596"] {
            assert_eq!(parse_version(text), None, "{text}");
        }
    }
}
