//! Where in a JSON text each member and element stands, for errors that name line and column.
//!
//! The text must be valid JSON (the parser has said so); this only walks it again.

use std::collections::HashMap;

/// Line and column, both from 1; a column is a character.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

/// A member's name and its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Spot {
    name: Option<usize>,
    value: usize,
}

/// The places of one text, by JSON pointer (RFC 6901).
#[derive(Debug, Default)]
pub(crate) struct Places {
    text: String,
    spots: HashMap<String, Spot>,
    /// Members whose object has an earlier one of the same name, in order.
    twice: Vec<String>,
}

impl Places {
    /// Walks a valid JSON text. Of a text that is not valid, as much as was understood.
    pub(crate) fn of(text: &str) -> Places {
        let mut walk = Walk {
            bytes: text.as_bytes(),
            text,
            at: 0,
            found: Places::default(),
        };
        walk.value(&mut String::new(), None);
        Places {
            text: text.to_owned(),
            ..walk.found
        }
    }

    /// Where a value begins.
    pub(crate) fn value(&self, pointer: &str) -> Option<Place> {
        Some(place(&self.text, self.spots.get(pointer)?.value))
    }

    /// Where a member's name begins; of an element, where it begins itself.
    pub(crate) fn name(&self, pointer: &str) -> Option<Place> {
        let spot = self.spots.get(pointer)?;
        Some(place(&self.text, spot.name.unwrap_or(spot.value)))
    }

    /// Where the innermost part of `pointer` that is there begins: a missing member is reported at its object.
    pub(crate) fn nearest(&self, pointer: &str) -> Option<Place> {
        let mut pointer = pointer;
        loop {
            if let Some(place) = self.value(pointer) {
                return Some(place);
            }
            pointer = pointer.rsplit_once('/')?.0;
        }
    }

    /// Names given twice in one object.
    pub(crate) fn twice(&self) -> &[String] {
        &self.twice
    }
}

/// The place of a byte offset.
pub(crate) fn place(text: &str, offset: usize) -> Place {
    let before = text.get(..offset).unwrap_or(text);
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    Place {
        line: before.matches('\n').count() + 1,
        column: before.get(start..).map_or(0, |line| line.chars().count()) + 1,
    }
}

/// One segment of a pointer, escaped.
pub(crate) fn segment(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

struct Walk<'a> {
    bytes: &'a [u8],
    text: &'a str,
    at: usize,
    found: Places,
}

impl Walk<'_> {
    fn peek(&mut self) -> u8 {
        while let Some(b' ' | b'\n' | b'\r' | b'\t' | b',' | b':') = self.bytes.get(self.at) {
            self.at += 1;
        }
        self.bytes.get(self.at).copied().unwrap_or(0)
    }

    fn value(&mut self, pointer: &mut String, name: Option<usize>) {
        let first = self.peek();
        let spot = Spot { name, value: self.at };
        if self.found.spots.insert(pointer.clone(), spot).is_some() {
            self.found.twice.push(pointer.clone());
        }
        match first {
            b'{' => self.members(pointer),
            b'[' => self.elements(pointer),
            b'"' => {
                self.string();
            }
            _ => {
                while let Some(b) = self.bytes.get(self.at) {
                    if b.is_ascii_whitespace() || b",]}".contains(b) {
                        break;
                    }
                    self.at += 1;
                }
            }
        }
    }

    fn members(&mut self, pointer: &mut String) {
        self.at += 1;
        while self.peek() == b'"' {
            let (start, length) = (self.at, pointer.len());
            let name = self.string();
            pointer.push('/');
            pointer.push_str(&segment(&name));
            self.value(pointer, Some(start));
            pointer.truncate(length);
        }
        self.at += 1;
    }

    fn elements(&mut self, pointer: &mut String) {
        self.at += 1;
        let mut index = 0;
        while !matches!(self.peek(), b']' | 0) {
            let length = pointer.len();
            pointer.push_str(&format!("/{index}"));
            self.value(pointer, None);
            pointer.truncate(length);
            index += 1;
        }
        self.at += 1;
    }

    /// Passes a string and returns what it says.
    fn string(&mut self) -> String {
        let start = self.at;
        self.at += 1;
        while let Some(b) = self.bytes.get(self.at) {
            self.at += match b {
                b'\\' => 2,
                _ => 1,
            };
            if *b == b'"' {
                break;
            }
        }
        let written = self.text.get(start..self.at).unwrap_or_default();
        serde_json::from_str(written).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "{\n  \"id\": \"web\",\n  \"é\\\"/\": [1, {\"a\": {}},\n    true],\n  \"id\": \"x{\\\\\"\n}\n";

    fn at(line: usize, column: usize) -> Option<Place> {
        Some(Place { line, column })
    }

    #[test]
    fn names_and_values_have_line_and_column() {
        let places = Places::of(TEXT);
        assert_eq!(places.value(""), at(1, 1));
        assert_eq!(places.name("/é\"~1"), at(3, 3));
        assert_eq!(places.value("/é\"~1"), at(3, 11));
        assert_eq!(places.value("/é\"~1/1/a"), at(3, 21));
        assert_eq!(places.value("/é\"~1/2"), at(4, 5));
        assert_eq!(places.value("/id"), at(5, 9), "the last one counts");
        assert_eq!(places.twice(), ["/id"]);
    }

    #[test]
    fn what_is_missing_is_at_its_object() {
        let places = Places::of(TEXT);
        assert_eq!(places.value("/é\"~1/1/b"), None);
        assert_eq!(places.nearest("/é\"~1/1/b/c"), at(3, 15));
        assert_eq!(places.nearest("/cmd"), at(1, 1));
    }

    #[test]
    fn text_that_is_no_json_ends_the_walk() {
        for text in ["", "{", "[", "{\"a", "{\"a\":", "[1,,", "\"\\", "}", "{\"a\" 1 2"] {
            let _ = Places::of(text);
        }
    }
}
