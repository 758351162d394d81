//! Names of time zones, those of old job files included.

use jiff::tz::{Offset, TimeZone};

/// Why a text names no time zone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ZoneError {
    /// Nobody knows it.
    #[error("'{0}' is no time zone; names are those of the IANA database, such as Europe/Berlin")]
    Unknown(String),
    /// It means different things to different people.
    #[error("the time zone '{name}' is ambiguous: write {instead}")]
    Ambiguous {
        /// As written.
        name: String,
        /// What to write.
        instead: &'static str,
    },
}

/// Three-letter ids that Java knew and job files still have, where one meaning is beyond doubt.
const LEGACY: &[(&str, &str)] = &[
    ("ACT", "Australia/Darwin"),
    ("AET", "Australia/Sydney"),
    ("ART", "Africa/Cairo"),
    ("CAT", "Africa/Harare"),
    ("CNT", "America/St_Johns"),
    ("CST", "America/Chicago"),
    ("CTT", "Asia/Shanghai"),
    ("EAT", "Africa/Addis_Ababa"),
    ("ECT", "Europe/Paris"),
    ("JST", "Asia/Tokyo"),
    ("NET", "Asia/Yerevan"),
    ("NST", "Pacific/Auckland"),
    ("PLT", "Asia/Karachi"),
    ("PNT", "America/Phoenix"),
    ("PRT", "America/Puerto_Rico"),
    ("PST", "America/Los_Angeles"),
    ("VST", "Asia/Ho_Chi_Minh"),
];

/// Ids whose Java meaning surprises whoever writes them today.
const AMBIGUOUS: &[(&str, &str)] = &[
    (
        "BST",
        "Europe/London for British summer time or Asia/Dhaka for Bangladesh",
    ),
    ("IST", "Asia/Kolkata, Europe/Dublin or Asia/Jerusalem"),
    ("AST", "America/Anchorage or America/Halifax"),
    ("SST", "Pacific/Guadalcanal or Pacific/Pago_Pago"),
];

/// Finds a zone by its IANA name, an old three-letter id, or `GMT+h[:mm]` / `UTC-h[:mm]`.
///
/// # Errors
/// Unknown and ambiguous names; nothing silently becomes GMT.
pub fn find(name: &str) -> Result<TimeZone, ZoneError> {
    if let Some((_, instead)) = AMBIGUOUS.iter().find(|(id, _)| *id == name) {
        return Err(ZoneError::Ambiguous {
            name: name.to_owned(),
            instead,
        });
    }
    let iana = LEGACY
        .iter()
        .find(|(id, _)| *id == name)
        .map_or(name, |(_, iana)| iana);
    offset(name)
        .map(TimeZone::fixed)
        .or_else(|| TimeZone::get(iana).ok())
        .ok_or_else(|| ZoneError::Unknown(name.to_owned()))
}

fn offset(name: &str) -> Option<Offset> {
    let rest = name.strip_prefix("GMT").or_else(|| name.strip_prefix("UTC"))?;
    let (sign, rest) = match rest.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = rest.split_once(':').unwrap_or((rest, "0"));
    let hours: i32 = hours.parse().ok().filter(|h| (0..=18).contains(h))?;
    let minutes: i32 = minutes.parse().ok().filter(|m| (0..60).contains(m))?;
    Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn iana_names_legacy_ids_and_offsets_are_found() {
        for name in [
            "Europe/Berlin",
            "UTC",
            "PST",
            "EST5EDT",
            "GMT+2",
            "UTC-3:30",
            "GMT",
        ] {
            assert!(find(name).is_ok(), "{name}");
        }
        assert_eq!(
            find("GMT+2").unwrap().to_fixed_offset().unwrap(),
            Offset::from_seconds(7200).unwrap()
        );
    }

    #[test]
    fn unknown_and_ambiguous_names_are_errors_that_say_so() {
        assert_eq!(
            find("Mars/Olympus"),
            Err(ZoneError::Unknown("Mars/Olympus".into()))
        );
        let error = find("BST").unwrap_err().to_string();
        assert!(
            error.contains("ambiguous") && error.contains("Europe/London"),
            "{error}"
        );
        for name in ["", "GMT+", "GMT+99", "UTC+1:99", "GMT2"] {
            assert!(find(name).is_err(), "{name}");
        }
    }
}
