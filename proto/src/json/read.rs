//! JSON text to protobuf bytes, by the tables. The text has passed `syntax::check`; what that guarantees is still
//! asked for again where it costs nothing, so a defect there is a refusal here and no panic.

use super::JsonError;
use super::syntax;
use crate::MAX_DEPTH;
use crate::table::{Field, Kind, Message};
use crate::wire::{self, BYTES, FIXED64, VARINT};
use base64::Engine as _;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use std::borrow::Cow;

/// Mesos reads up to the first `=` and does not count them.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The protobuf encoding of the one JSON object in `text`.
pub(super) fn convert(m: &'static Message, text: &str) -> Result<Vec<u8>, JsonError> {
    let mut reader = Reader {
        text,
        at: 0,
        out: Vec::with_capacity(text.len() / 2),
        spans: Vec::new(),
    };
    reader.blanks();
    if reader.peek() != Some(b'{') {
        return Err(JsonError::convert("Expecting a JSON object"));
    }
    reader.message(m, 0)?;
    Ok(reader.out)
}

/// Where the value of one key lies in the output, so that a later key of the same name can take its place.
struct Span {
    slot: usize,
    start: usize,
    end: usize,
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    out: Vec<u8>,
    spans: Vec<Span>,
}

type Outcome = Result<(), JsonError>;

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// The next byte that is no blank, taken if it is `byte`.
    fn take(&mut self, byte: u8) -> bool {
        self.blanks();
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8) -> Outcome {
        if self.take(byte) {
            return Ok(());
        }
        Err(JsonError::Syntax(format!(
            "expecting '{}' at byte {}",
            char::from(byte),
            self.at
        )))
    }

    /// An object's fields, appended as those of `m`.
    fn message(&mut self, m: &'static Message, depth: usize) -> Outcome {
        if depth > MAX_DEPTH {
            return Err(JsonError::Message(crate::binary::DecodeError::TooDeep));
        }
        let base = self.spans.len();
        let mut hint = 0;
        self.object(|reader, key| {
            let Some(slot) = m.slot_named(key.as_bytes(), hint) else {
                return reader.skip();
            };
            hint = slot + 1;
            reader.field(m, slot, base, depth)
        })?;
        self.spans.truncate(base);
        Ok(())
    }

    /// Calls `each` for every key, standing at its value.
    fn object(&mut self, mut each: impl FnMut(&mut Self, Cow<'a, str>) -> Outcome) -> Outcome {
        self.expect(b'{')?;
        if self.take(b'}') {
            return Ok(());
        }
        loop {
            let key = self.string()?;
            self.expect(b':')?;
            self.blanks();
            each(self, key)?;
            if !self.take(b',') {
                return self.expect(b'}');
            }
        }
    }

    fn field(&mut self, m: &'static Message, slot: usize, base: usize, depth: usize) -> Outcome {
        let field = &m.fields[slot];
        self.forget(base, |s| s == slot);
        if field.group != 0 && self.peek() != Some(b'n') {
            self.forget(base, |s| m.fields[s].group == field.group);
        }
        let start = self.out.len();
        self.value(field, depth, None)
            .map_err(|e| e.within(field.name(), None))?;
        self.spans.push(Span {
            slot,
            start,
            end: self.out.len(),
        });
        Ok(())
    }

    /// Takes earlier values of the same message out again: the last of several equal keys wins.
    fn forget(&mut self, base: usize, same: impl Fn(usize) -> bool) {
        while let Some(i) = self.spans[base..].iter().position(|s| same(s.slot)) {
            let gone = self.spans.remove(base + i);
            self.out.drain(gone.start..gone.end);
            let len = gone.end - gone.start;
            for later in self.spans[base..].iter_mut().filter(|s| s.start >= gone.end) {
                later.start -= len;
                later.end -= len;
            }
        }
    }

    /// One value for `field`; `index` is given inside a list.
    fn value(&mut self, field: &'static Field, depth: usize, index: Option<usize>) -> Outcome {
        match self.peek() {
            Some(b'{') => self.object_value(field, depth),
            Some(b'[') => self.list(field, depth, index),
            Some(b'"') => self.text_value(field),
            Some(b't' | b'f') => self.bool_value(field),
            Some(b'n') => self.skip(),
            _ => {
                let number = self.number_token()?;
                self.number_value(field, number)
            }
        }
    }

    fn list(&mut self, field: &'static Field, depth: usize, outer: Option<usize>) -> Outcome {
        if !field.is_repeated() {
            return Err(unexpected("array", field));
        }
        if depth > MAX_DEPTH {
            return Err(JsonError::Message(crate::binary::DecodeError::TooDeep));
        }
        self.at += 1;
        if self.take(b']') {
            return Ok(());
        }
        let mut index = 0;
        loop {
            self.blanks();
            let value = self.value(field, depth + 1, Some(index));
            // The path of a nested list counts its outermost index.
            value.map_err(|e| if outer.is_none() { at_index(e, index) } else { e })?;
            index += 1;
            if !self.take(b',') {
                return self.expect(b']');
            }
        }
    }

    fn object_value(&mut self, field: &'static Field, depth: usize) -> Outcome {
        match field.kind {
            Kind::Message => {
                wire::put_tag(&mut self.out, field.number, BYTES);
                self.nested(|reader| reader.message(field.message(), depth + 1))
            }
            Kind::Map => self.object(|reader, key| {
                wire::put_tag(&mut reader.out, field.number, BYTES);
                reader.nested(|reader| reader.entry(field.message(), &key, depth + 1))
            }),
            _ => Err(unexpected("object", field)),
        }
    }

    fn entry(&mut self, m: &'static Message, key: &str, depth: usize) -> Outcome {
        let [key_field, value_field] = m.fields else {
            return Err(JsonError::convert("a map entry has a key and a value"));
        };
        self.set_text(key_field, key)?;
        let value = self.value(value_field, depth, None);
        value.map_err(|e| e.within(key, None))
    }

    fn nested(&mut self, fill: impl FnOnce(&mut Self) -> Outcome) -> Outcome {
        let start = self.out.len();
        self.out.push(0);
        fill(self)?;
        wire::close_nested(&mut self.out, start);
        Ok(())
    }

    fn text_value(&mut self, field: &'static Field) -> Outcome {
        let text = self.string()?;
        self.set_text(field, &text)
    }

    fn set_text(&mut self, field: &'static Field, text: &str) -> Outcome {
        match field.kind {
            Kind::String => wire::put_bytes(&mut self.out, field.number, text.as_bytes()),
            Kind::Bytes => {
                let bytes = decode_base64(text).map_err(|e| {
                    let name = field.name();
                    JsonError::convert(format!("Failed to base64 decode bytes field '{name}': {e}"))
                })?;
                wire::put_bytes(&mut self.out, field.number, &bytes);
            }
            Kind::Enum => match field.enumeration().number_of(text) {
                Some(number) => self.put_int(field, i64::from(number) as u64),
                None if field.label == crate::table::Label::Required => {
                    return Err(JsonError::convert(format!("Failed to find enum for '{text}'")));
                }
                None => {}
            },
            Kind::Double if text == "Infinity" => self.put_double(field, f64::INFINITY),
            Kind::Double if text == "-Infinity" => self.put_double(field, f64::NEG_INFINITY),
            Kind::Bool => match quoted(text, "boolean", field)? {
                "true" => self.put_int(field, 1),
                "false" => self.put_int(field, 0),
                _ => return Err(no_such(text, "boolean", field, "Unexpected JSON type parsed")),
            },
            Kind::Double | Kind::Int32 | Kind::Int64 | Kind::Uint32 | Kind::Uint64 => {
                let number = quoted(text, "number", field)?;
                if !number.starts_with(|c: char| c == '-' || c.is_ascii_digit()) {
                    return Err(no_such(text, "number", field, "Unexpected JSON type parsed"));
                }
                self.number_value(field, number)?;
            }
            Kind::Message | Kind::Map => return Err(unexpected("string", field)),
        }
        Ok(())
    }

    fn bool_value(&mut self, field: &'static Field) -> Outcome {
        let value = self.peek() == Some(b't');
        self.skip()?;
        if field.kind != Kind::Bool {
            return Err(unexpected("boolean", field));
        }
        self.put_int(field, u64::from(value));
        Ok(())
    }

    fn number_token(&mut self) -> Result<&'a str, JsonError> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9' | b'+' | b'-' | b'e' | b'E' | b'.')) {
            self.at += 1;
        }
        if start == self.at {
            return Err(JsonError::Syntax(format!("expecting a value at byte {start}")));
        }
        Ok(&self.text[start..self.at])
    }

    fn number_value(&mut self, field: &'static Field, token: &str) -> Outcome {
        let double = || token.parse::<f64>().unwrap_or(f64::NAN);
        if field.kind == Kind::Double {
            self.put_double(field, double());
            return Ok(());
        }
        // Integers wrap as C++ casts them; a fraction is cut.
        let int = match (token.parse::<i64>(), token.parse::<u64>()) {
            (Ok(n), _) => n as u64,
            (_, Ok(n)) => n,
            _ if double() < 0.0 => double() as i64 as u64,
            _ => double() as u64,
        };
        match field.kind {
            Kind::Int32 => self.put_int(field, i64::from(int as i32) as u64),
            Kind::Uint32 => self.put_int(field, u64::from(int as u32)),
            Kind::Int64 | Kind::Uint64 => self.put_int(field, int),
            _ => return Err(unexpected("number", field)),
        }
        Ok(())
    }

    fn put_int(&mut self, field: &'static Field, value: u64) {
        wire::put_tag(&mut self.out, field.number, VARINT);
        wire::put_varint(&mut self.out, value);
    }

    fn put_double(&mut self, field: &'static Field, value: f64) {
        wire::put_tag(&mut self.out, field.number, FIXED64);
        self.out.extend_from_slice(&value.to_le_bytes());
    }

    /// A string with its quotes; borrowed unless it has escapes.
    fn string(&mut self) -> Result<Cow<'a, str>, JsonError> {
        self.expect(b'"')?;
        let start = self.at;
        loop {
            match self.peek() {
                Some(b'"') => {
                    let text = &self.text[start..self.at];
                    self.at += 1;
                    return Ok(if text.contains('\\') {
                        Cow::Owned(unescape(text))
                    } else {
                        Cow::Borrowed(text)
                    });
                }
                Some(b'\\') => self.at += 2,
                Some(_) => self.at += 1,
                None => return Err(JsonError::Syntax("a string does not end".to_owned())),
            }
        }
    }

    /// Passes over one value, without recursion: strings hide the brackets that do not count.
    fn skip(&mut self) -> Outcome {
        let mut open = 0_usize;
        loop {
            self.blanks();
            match self.peek() {
                Some(b'{' | b'[') => {
                    open += 1;
                    self.at += 1;
                }
                Some(b'}' | b']') => {
                    open = open.saturating_sub(1);
                    self.at += 1;
                }
                Some(b',' | b':') if open > 0 => {
                    self.at += 1;
                    continue;
                }
                Some(b'"') => drop(self.string()?),
                Some(b't' | b'f' | b'n') => {
                    while matches!(self.peek(), Some(b'a'..=b'z')) {
                        self.at += 1;
                    }
                }
                _ => drop(self.number_token()?),
            }
            if open == 0 {
                return Ok(());
            }
        }
    }
}

fn unexpected(kind: &str, field: &Field) -> JsonError {
    JsonError::convert(format!(
        "Not expecting a JSON {kind} for field '{}'",
        field.name()
    ))
}

fn no_such(text: &str, kind: &str, field: &Field, why: &str) -> JsonError {
    JsonError::convert(format!(
        "Failed to parse '{text}' as a JSON {kind} for field '{}': {why}",
        field.name()
    ))
}

/// Puts an index after the name which the path begins with once the field has put it there.
fn at_index(error: JsonError, index: usize) -> JsonError {
    error.within("", Some(index))
}

/// A text that holds a JSON value of its own.
fn quoted<'t>(text: &'t str, kind: &str, field: &Field) -> Result<&'t str, JsonError> {
    let inner = syntax::check(text.as_bytes()).map_err(|why| no_such(text, kind, field, &why))?;
    Ok(inner.trim_matches([' ', '\t', '\n', '\r']))
}

fn decode_base64(text: &str) -> Result<Vec<u8>, String> {
    let data = text.split('=').next().unwrap_or_default();
    if let Some(bad) = data
        .chars()
        .find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '+' | '/')))
    {
        return Err(format!("Invalid character '{bad}'"));
    }
    // A single character left over holds no byte; Mesos drops it.
    let data = if data.len() % 4 == 1 {
        &data[..data.len() - 1]
    } else {
        data
    };
    BASE64.decode(data).map_err(|e| e.to_string())
}

/// Resolves the escapes of a string that has passed the syntax check.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let Some(escape) = rest.chars().next() else { break };
        rest = &rest[escape.len_utf8()..];
        match escape {
            'b' => out.push('\u{8}'),
            'f' => out.push('\u{c}'),
            'n' => out.push('\n'),
            'r' => out.push('\r'),
            't' => out.push('\t'),
            'u' => {
                let (c, used) = code_point(rest);
                out.push(c);
                rest = &rest[used..];
            }
            other => out.push(other),
        }
    }
    out.push_str(rest);
    out
}

/// The character of `XXXX` or `XXXX\uXXXX`, and the bytes it took.
fn code_point(text: &str) -> (char, usize) {
    let unit = |from: usize| {
        text.get(from..from + 4)
            .and_then(|hex| u16::from_str_radix(hex, 16).ok())
    };
    let first = unit(0);
    let units = [first.unwrap_or(0xfffd), unit(6).unwrap_or(0)];
    let decoded = char::decode_utf16(units).next().and_then(Result::ok);
    let c = decoded.unwrap_or(char::REPLACEMENT_CHARACTER);
    let used = if c.len_utf16() == 2 { 10 } else { 4 };
    (
        c,
        if text.is_char_boundary(used) {
            used
        } else {
            text.len()
        },
    )
}
