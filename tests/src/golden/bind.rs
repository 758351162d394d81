//! Names that differ from run to run: bound when first seen, equal afterwards.

use std::collections::BTreeMap;

/// What the recorded run called things, and what they are called now.
#[derive(Clone, Debug, Default)]
pub struct Binder {
    /// Recorded uuids, ids and update uuids to the living ones.
    names: BTreeMap<String, String>,
    /// And back: two recorded names must not become one.
    taken: BTreeMap<String, String>,
    /// Texts of the living run to those of the recorded one: folders and ports, known beforehand.
    places: Vec<(String, String)>,
}

/// A piece of a text.
#[derive(Debug, PartialEq, Eq)]
enum Piece<'a> {
    /// Must be equal.
    Plain(&'a str),
    /// A uuid with what Mesos hangs on it (`-S0`, `-0001`), bound.
    Name(&'a str),
    /// An offer's id: which offer it is depends on timing, so only that it is one.
    Offer,
    /// A time or another number nobody can foresee.
    Number,
}

impl Binder {
    /// Declares that the living run has `living` where the recorded one had `recorded` (a folder, `:port`).
    pub fn place(&mut self, living: &str, recorded: &str) {
        self.places.push((living.to_owned(), recorded.to_owned()));
        // Longer ones first, so that none is cut by another.
        self.places
            .sort_by_key(|(living, _)| std::cmp::Reverse(living.len()));
    }

    /// Forgets all names: the recordings that follow are of another run of Mesos.
    pub fn forget_names(&mut self) {
        self.names.clear();
        self.taken.clear();
    }

    /// The living text with the recorded run's places.
    pub fn replaced(&self, living: &str) -> String {
        self.places
            .iter()
            .fold(living.to_owned(), |text, (from, to)| text.replace(from, to))
    }

    /// What a recorded name is called now.
    pub fn living(&self, recorded: &str) -> Option<&str> {
        self.names.get(recorded).map(String::as_str)
    }

    /// Binds a name, or compares it with what it was bound to.
    pub fn name(&mut self, recorded: &str, living: &str) -> Result<(), String> {
        match (self.names.get(recorded), self.taken.get(living)) {
            (Some(bound), _) if bound == living => Ok(()),
            (Some(bound), _) => Err(format!("'{recorded}' is '{bound}' and not '{living}'")),
            (None, Some(other)) => Err(format!("'{living}' is '{other}' and not '{recorded}'")),
            (None, None) => {
                self.names.insert(recorded.to_owned(), living.to_owned());
                self.taken.insert(living.to_owned(), recorded.to_owned());
                Ok(())
            }
        }
    }

    /// Compares two texts piece by piece.
    pub fn text(&mut self, recorded: &str, living: &str) -> Result<(), String> {
        let living = self.replaced(living);
        let (a, b) = (pieces(recorded), pieces(&living));
        let differ = || Err(format!("'{living}' instead of '{recorded}'"));
        if a.len() != b.len() {
            return differ();
        }
        for pair in a.iter().zip(&b) {
            match pair {
                (Piece::Name(a), Piece::Name(b)) => self.name(a, b)?,
                (a, b) if a == b => {}
                _ => return differ(),
            }
        }
        Ok(())
    }

    /// A recorded request as it must be sent now: names and places of the living run, and a Content-Length that fits.
    pub fn request(&self, recorded: &[u8]) -> Vec<u8> {
        let Ok(text) = std::str::from_utf8(recorded) else {
            return recorded.to_vec();
        };
        let mut names: Vec<_> = self.names.iter().collect();
        names.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        let mut out = text.to_owned();
        for (recorded, living) in names {
            out = out.replace(recorded.as_str(), living);
        }
        for (living, recorded) in &self.places {
            out = out.replace(recorded.as_str(), living);
        }
        with_length(text, &out).into_bytes()
    }
}

/// Sets the Content-Length anew, if the recorded one was right.
fn with_length(recorded: &str, text: &str) -> String {
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return text.to_owned();
    };
    let old = recorded.split_once("\r\n\r\n").map_or(0, |(_, body)| body.len());
    let header = format!("Content-Length: {old}");
    let line = |line: &str| {
        if line == header {
            format!("Content-Length: {}", body.len())
        } else {
            line.to_owned()
        }
    };
    let head: Vec<String> = head.split("\r\n").map(line).collect();
    format!("{}\r\n\r\n{body}", head.join("\r\n"))
}

/// A figure's name with every id in it replaced by `ID`, and a framework's name, which may change, by `NAME`.
pub(super) fn without_names(text: &str) -> String {
    let framework = text
        .strip_prefix("master/frameworks/")
        .and_then(|rest| rest.split_once('/'));
    if let Some((_, rest)) = framework {
        return format!("master/frameworks/NAME/{}", without_names(rest));
    }
    let plain = |piece: &Piece<'_>| match piece {
        Piece::Plain(text) => (*text).to_owned(),
        Piece::Name(_) | Piece::Offer => "ID".to_owned(),
        Piece::Number => "N".to_owned(),
    };
    pieces(text).iter().map(plain).collect()
}

fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut found = Vec::new();
    let (mut plain, mut at) = (0, 0);
    while at < text.len() {
        let Some(len) = name_len(&text[at..]) else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
            continue;
        };
        if plain < at {
            found.push(Piece::Plain(&text[plain..at]));
        }
        let name = &text[at..at + len];
        let offer = name.get(36..).is_some_and(|rest| rest.starts_with("-O"));
        let number = name.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        found.push(match (offer, number) {
            (true, _) => Piece::Offer,
            (_, true) => Piece::Number,
            _ => Piece::Name(name),
        });
        at += len;
        plain = at;
    }
    if plain < text.len() {
        found.push(Piece::Plain(&text[plain..]));
    }
    found
}

/// The length of a uuid (with its suffix) or a long number at the front.
fn name_len(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let uuid = bytes.len() >= 36
        && bytes[..36].iter().enumerate().all(|(i, b)| match i {
            8 | 13 | 18 | 23 => *b == b'-',
            _ => b.is_ascii_hexdigit(),
        });
    if uuid {
        let rest = &bytes[36..];
        let letter = usize::from(matches!(rest, [b'-', b'S' | b'O', ..]));
        let digits = rest
            .iter()
            .skip(1 + letter)
            .take_while(|b| b.is_ascii_digit())
            .count();
        let suffix = if rest.first() == Some(&b'-') && digits > 0 {
            1 + letter + digits
        } else {
            0
        };
        return Some(36 + suffix);
    }
    // Seconds or nanoseconds since the epoch.
    let digits = bytes
        .iter()
        .take_while(|b| b.is_ascii_digit() || **b == b'.')
        .count();
    (digits >= 10).then_some(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "21ed2941-c773-43fc-aeb0-bdcdc45a5bea";
    const B: &str = "11111111-2222-3333-4444-555555555555";

    #[test]
    fn a_name_is_bound_once() {
        let mut binder = Binder::default();
        let (recorded, living) = (
            format!("Task on {A}-S0 is lost"),
            format!("Task on {B}-S3 is lost"),
        );
        assert_eq!(binder.text(&recorded, &living), Ok(()));
        assert_eq!(binder.text(&recorded, &living), Ok(()));
        assert!(binder.text(&recorded, &living.replace("S3", "S4")).is_err());
        assert!(binder.text(&recorded.replace("S0", "S1"), &living).is_err());
        assert_eq!(
            binder.living(&format!("{A}-S0")),
            Some(format!("{B}-S3").as_str())
        );
    }

    #[test]
    fn plain_text_must_be_equal_and_offers_only_be_offers() {
        let mut binder = Binder::default();
        assert!(binder.text("abc", "abd").is_err());
        let offer = |id: &str, n: u32| format!("Offer {id}-O{n} is no longer valid");
        assert_eq!(binder.text(&offer(A, 1), &offer(B, 20)), Ok(()));
        assert_eq!(binder.text(&offer(A, 1), &offer(B, 21)), Ok(()));
        assert!(
            binder
                .text(&offer(A, 1), "Offer nope is no longer valid")
                .is_err()
        );
    }

    #[test]
    fn places_are_known_beforehand() {
        let mut binder = Binder::default();
        binder.place("/tmp/x1", "/srv/mesos/a");
        binder.place(":6050", ":25050");
        assert_eq!(
            binder.text("/srv/mesos/a/log at h:25050", "/tmp/x1/log at h:6050"),
            Ok(())
        );
        let sent =
            binder.request(b"POST /a HTTP/1.1\r\nHost: h:25050\r\nContent-Length: 12\r\n\r\n/srv/mesos/a");
        assert_eq!(
            sent,
            b"POST /a HTTP/1.1\r\nHost: h:6050\r\nContent-Length: 7\r\n\r\n/tmp/x1"
        );
    }

    #[test]
    fn a_wrong_length_stays_wrong() {
        let binder = Binder::default();
        let request = b"POST /a HTTP/1.1\r\nContent-Length: 99\r\n\r\nabc";
        assert_eq!(binder.request(request), request);
    }
}
