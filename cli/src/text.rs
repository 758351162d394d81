//! How values look: ages, sizes, numbers, durations people type, foreign text made harmless.

use std::time::Duration;

/// `45s 3m12s 4h 2d 5w`: two units below ten of the larger one.
pub(crate) fn age(seconds: f64) -> String {
    let total = if seconds.is_finite() && seconds > 0.0 {
        seconds as u64
    } else {
        0
    };
    let units = [(604_800, "w"), (86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")];
    for (i, (size, name)) in units.iter().enumerate() {
        if total >= *size || *size == 1 {
            let (count, rest) = (total / size, total % size);
            return match units.get(i + 1) {
                Some((small, small_name)) if count < 10 && rest / small > 0 => {
                    format!("{count}{name}{}{small_name}", rest / small)
                }
                _ => format!("{count}{name}"),
            };
        }
    }
    "0s".to_owned()
}

/// Cores: `0.5`, `12`.
pub(crate) fn cores(n: f64) -> String {
    let text = format!("{n:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Memory and disk from MiB: `128M`, `1.5G`, `2T`.
pub(crate) fn mebibytes(mib: f64) -> String {
    let (value, unit) = match mib {
        m if m >= 1024.0 * 1024.0 => (m / 1024.0 / 1024.0, "T"),
        m if m >= 1024.0 => (m / 1024.0, "G"),
        m => (m, "M"),
    };
    let text = format!("{value:.1}");
    format!("{}{unit}", text.strip_suffix(".0").unwrap_or(&text))
}

/// `90s`, `5m`, `1h30m`, `250ms`; a bare number has no unit and is refused.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("'{text}' is no duration: write 90s, 5m, 1h30m or 250ms");
    let mut rest = text;
    let mut sum = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let count: u64 = rest[..digits].parse().map_err(|_| wrong())?;
        rest = &rest[digits..];
        let unit_end = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let millis: u64 = match &rest[..unit_end] {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 604_800_000,
            _ => return Err(wrong()),
        };
        rest = &rest[unit_end..];
        let part = count.checked_mul(millis).ok_or_else(wrong)?;
        sum = sum.checked_add(Duration::from_millis(part)).ok_or_else(wrong)?;
    }
    if text.is_empty() { Err(wrong()) } else { Ok(sum) }
}

/// Text from elsewhere without its control characters: a task's name must not move the cursor.
pub(crate) fn harmless(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// Shortened in its middle to `width` characters.
pub(crate) fn shorten(text: &str, width: usize) -> String {
    let length = text.chars().count();
    if length <= width || width < 3 {
        return text.to_owned();
    }
    let (head, tail) = ((width - 1).div_ceil(2), (width - 1) / 2);
    let start: String = text.chars().take(head).collect();
    let end: String = text.chars().skip(length - tail).collect();
    format!("{start}…{end}")
}

/// The candidate that `word` was meant to be, if one is near: at most a third of its letters differ, two at most.
pub(crate) fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    nearest_two(word, candidates).into_iter().next()
}

/// As [`nearest`], with a second one that is as near.
pub(crate) fn nearest_two<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let meant = word.to_lowercase();
    let limit = (meant.chars().count() / 3).min(2);
    let mut near: Vec<(usize, &str)> = candidates
        .map(|candidate| (distance(&meant, &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .collect();
    near.sort_unstable();
    near.dedup();
    let best = near.first().map(|(distance, _)| *distance);
    let as_near = near.into_iter().filter(|(distance, _)| Some(*distance) == best);
    as_near.take(2).map(|(_, candidate)| candidate).collect()
}

/// Letters inserted, deleted, replaced or swapped with their neighbour (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    // Three rows of the table: the one before the last, the last, and the one being filled.
    let (mut older, mut last): (Vec<usize>, Vec<usize>) = (Vec::new(), (0..=b.len()).collect());
    for (i, from) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, to) in b.iter().enumerate() {
            let replaced = last[j] + usize::from(from != to);
            let mut best = replaced.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *from == b[j - 1] && a[i - 1] == *to {
                best = best.min(older[j - 1] + 1);
            }
            row.push(best);
        }
        older = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

/// `1 task`, `3 tasks`.
pub(crate) fn plural(count: usize, one: &str) -> String {
    format!("{count} {one}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_show_two_units_below_ten_of_the_larger() {
        for (seconds, text) in [
            (0.4, "0s"),
            (45.0, "45s"),
            (192.0, "3m12s"),
            (600.0, "10m"),
            (14_400.0, "4h"),
            (15_000.0, "4h10m"),
            (180_000.0, "2d2h"),
            (3_024_000.0, "5w"),
            (-5.0, "0s"),
            (f64::NAN, "0s"),
        ] {
            assert_eq!(age(seconds), text);
        }
    }

    #[test]
    fn sizes_are_1024_based_and_short() {
        for (mib, text) in [
            (128.0, "128M"),
            (1536.0, "1.5G"),
            (14_745.6, "14.4G"),
            (2_097_152.0, "2T"),
        ] {
            assert_eq!(mebibytes(mib), text);
        }
        assert_eq!(
            (cores(0.5), cores(12.0), cores(0.123)),
            ("0.5".into(), "12".into(), "0.123".into())
        );
    }

    #[test]
    fn durations_need_a_unit() {
        for (text, millis) in [
            ("90s", 90_000),
            ("1h30m", 5_400_000),
            ("250ms", 250),
            ("2d", 172_800_000),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)));
        }
        for text in [
            "",
            "90",
            "s",
            "1x",
            "-5s",
            "1.5h",
            "99999999999999999999s",
            "18446744073709551615w",
        ] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn long_values_lose_their_middle_only() {
        assert_eq!(shorten("abcdefghij", 7), "abc…hij");
        assert_eq!(shorten("short", 7), "short");
    }

    #[test]
    fn misspelt_words_find_the_one_that_was_meant() {
        let words = ["healthChecks", "check", "cmd", "cpus", "instances"];
        for (word, meant) in [
            ("healthcheck", Some("healthChecks")),
            ("instnaces", Some("instances")),
            ("CMD", Some("cmd")),
            ("cpu", Some("cpus")),
            ("command", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, words.into_iter()), meant, "{word}");
        }
        assert_eq!((distance("", "ab"), distance("kitten", "sitting")), (2, 3));
    }

    #[test]
    fn foreign_text_cannot_move_the_cursor() {
        assert_eq!(harmless("a\u{1b}[2Jb\nc"), "a [2Jb c");
    }
}
