//! Encoded messages to JSON without message structs.
//!
//! Stored messages (kept parts of tasks, events encoded for many readers) print exactly as `json::write` prints the
//! decoded message: that one goes through here as well.

use crate::MAX_DEPTH;
use crate::binary::DecodeError;
use crate::json::write::{write_base64, write_f64, write_i64, write_str, write_u64};
use crate::table::{self, Described, Field, Kind, Message};
use crate::wire::{Fields, Malformed, Value};

/// Appends the JSON form of an encoded message of type `M`. On an error `out` is as it was.
pub fn to_json<M: Described>(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), DecodeError> {
    let start = out.len();
    let mut writer = Writer {
        out,
        entries: Vec::new(),
        cut: false,
    };
    let outcome = writer.message(table::of::<M>(), bytes, 0);
    if outcome.is_err() {
        out.truncate(start);
    }
    outcome
}

/// As [`to_json`] for what we encoded ourselves: too deep levels become `{}`.
pub(crate) fn write_trusted(m: &'static Message, bytes: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    let mut writer = Writer {
        out,
        entries: Vec::new(),
        cut: true,
    };
    if writer.message(m, bytes, 0).is_err() {
        debug_assert!(false, "prost wrote a message of {} that cannot be read", m.name);
        out.truncate(start);
        out.extend_from_slice(b"{}");
    }
}

/// One occurrence of a field.
#[derive(Clone, Copy)]
struct Entry<'a> {
    slot: usize,
    value: Value<'a>,
}

struct Writer<'a, 'o> {
    out: &'o mut Vec<u8>,
    /// The fields of the messages being written, innermost last; one vector for all of them.
    entries: Vec<Entry<'a>>,
    cut: bool,
}

type Outcome = Result<(), DecodeError>;

impl<'a> Writer<'a, '_> {
    fn message(&mut self, m: &'static Message, bytes: &'a [u8], depth: usize) -> Outcome {
        if depth > MAX_DEPTH {
            if self.cut {
                self.out.extend_from_slice(b"{}");
                return Ok(());
            }
            return Err(DecodeError::TooDeep);
        }
        let base = self.entries.len();
        self.collect(m, bytes)?;
        self.out.push(b'{');
        let mut first = true;
        let mut at = base;
        for (slot, field) in m.fields.iter().enumerate() {
            let from = at;
            while self.entries.get(at).is_some_and(|e| e.slot == slot) {
                at += 1;
            }
            let before = self.out.len();
            if !first {
                self.out.push(b',');
            }
            self.out.extend_from_slice(field.key.as_bytes());
            if self.field(field, from, at, depth)? {
                first = false;
            } else {
                self.out.truncate(before);
            }
        }
        self.out.push(b'}');
        self.entries.truncate(base);
        Ok(())
    }

    /// Pushes the message's fields, ordered by declaration, equal ones as they came.
    fn collect(&mut self, m: &'static Message, bytes: &'a [u8]) -> Outcome {
        let base = self.entries.len();
        let mut sorted = true;
        let mut fields = Fields::new(bytes);
        while let Some((number, value)) = fields.next()? {
            let Some(slot) = m.slot(number) else { continue };
            let field = &m.fields[slot];
            if field.group != 0 {
                // The last member of a oneof wins. They are few and rare.
                let mut i = base;
                while i < self.entries.len() {
                    let other = self.entries[i].slot;
                    if other != slot && m.fields[other].group == field.group {
                        self.entries.remove(i);
                    } else {
                        i += 1;
                    }
                }
            }
            sorted &= self.entries[base..].last().is_none_or(|e| e.slot <= slot);
            self.entries.push(Entry { slot, value });
        }
        if !sorted {
            self.entries[base..].sort_by_key(|e| e.slot);
        }
        Ok(())
    }

    /// Writes a field's value after its key; `false` if it is not printed at all.
    fn field(
        &mut self,
        field: &'static Field,
        from: usize,
        to: usize,
        depth: usize,
    ) -> Result<bool, DecodeError> {
        if from < to {
            let printed = match (field.kind, field.is_repeated()) {
                (Kind::Map, _) => self.map(field, from, to, depth)?,
                (_, true) => self.list(field, from, to, depth)?,
                (Kind::Message, false) if to - from > 1 => self.merged(field, from, to, depth)?,
                (_, false) => self.value(field, self.entries[to - 1].value, depth)?,
            };
            if printed {
                return Ok(true);
            }
        }
        if let Some(default) = field.default {
            self.out.extend_from_slice(default.as_bytes());
        }
        Ok(field.default.is_some())
    }

    fn list(
        &mut self,
        field: &'static Field,
        from: usize,
        to: usize,
        depth: usize,
    ) -> Result<bool, DecodeError> {
        let start = self.out.len();
        self.out.push(b'[');
        for i in from..to {
            match self.entries[i].value {
                Value::Bytes(packed) if !length_delimited(field.kind) => {
                    let mut rest = Fields::new(packed);
                    while !rest.rest().is_empty() {
                        let value = Value::Varint(rest.varint()?);
                        self.element(field, value, depth, start)?;
                    }
                }
                value => self.element(field, value, depth, start)?,
            }
        }
        if self.out.len() == start + 1 {
            self.out.truncate(start);
            return Ok(false);
        }
        self.out.push(b']');
        Ok(true)
    }

    fn element(&mut self, field: &'static Field, value: Value<'a>, depth: usize, start: usize) -> Outcome {
        let before = self.out.len();
        if before > start + 1 {
            self.out.push(b',');
        }
        if !self.value(field, value, depth)? {
            self.out.truncate(before);
        }
        Ok(())
    }

    /// Several occurrences of one embedded message are its parts: joined bytes are the merged message.
    fn merged(
        &mut self,
        field: &'static Field,
        from: usize,
        to: usize,
        depth: usize,
    ) -> Result<bool, DecodeError> {
        let mut joined = Vec::new();
        for entry in &self.entries[from..to] {
            let Value::Bytes(part) = entry.value else {
                return Err(Malformed.into());
            };
            joined.extend_from_slice(part);
        }
        let mut writer = Writer {
            out: self.out,
            entries: Vec::new(),
            cut: self.cut,
        };
        writer.message(field.message(), &joined, depth + 1)?;
        Ok(true)
    }

    /// An object, keys in order, the last of equal keys.
    fn map(
        &mut self,
        field: &'static Field,
        from: usize,
        to: usize,
        depth: usize,
    ) -> Result<bool, DecodeError> {
        let [_, value_field] = field.message().fields else {
            return Err(Malformed.into());
        };
        let mut pairs: std::collections::BTreeMap<&'a [u8], Option<Value<'a>>> =
            std::collections::BTreeMap::new();
        for i in from..to {
            let Value::Bytes(entry) = self.entries[i].value else {
                return Err(Malformed.into());
            };
            let (mut key, mut value): (&[u8], _) = (&[], None);
            let mut fields = Fields::new(entry);
            while let Some((number, v)) = fields.next()? {
                match (number, v) {
                    (1, Value::Bytes(k)) => key = k,
                    (2, v) => value = Some(v),
                    _ => {}
                }
            }
            pairs.insert(key, value);
        }
        self.out.push(b'{');
        for (i, (key, value)) in pairs.into_iter().enumerate() {
            if i > 0 {
                self.out.push(b',');
            }
            write_str(self.out, &String::from_utf8_lossy(key));
            self.out.push(b':');
            let unset = if length_delimited(value_field.kind) {
                Value::Bytes(&[])
            } else {
                Value::Varint(0)
            };
            if !self.value(value_field, value.unwrap_or(unset), depth + 1)? {
                self.out.extend_from_slice(b"null");
            }
        }
        self.out.push(b'}');
        Ok(true)
    }

    /// One value; `false` for an enum's unknown number, which counts as unset.
    fn value(&mut self, field: &'static Field, value: Value<'a>, depth: usize) -> Result<bool, DecodeError> {
        match (field.kind, value) {
            (Kind::Message, Value::Bytes(bytes)) => self.message(field.message(), bytes, depth + 1)?,
            (Kind::String, Value::Bytes(bytes)) => write_str(self.out, &String::from_utf8_lossy(bytes)),
            (Kind::Bytes, Value::Bytes(bytes)) => write_base64(self.out, bytes),
            (Kind::Double, Value::Fixed64(bits)) => write_f64(self.out, f64::from_bits(bits)),
            (Kind::Bool, Value::Varint(n)) => {
                self.out
                    .extend_from_slice(if n != 0 { b"true" } else { b"false" });
            }
            (Kind::Int32, Value::Varint(n)) => write_i64(self.out, i64::from(n as i32)),
            (Kind::Int64, Value::Varint(n)) => write_i64(self.out, n as i64),
            (Kind::Uint32, Value::Varint(n)) => write_u64(self.out, u64::from(n as u32)),
            (Kind::Uint64, Value::Varint(n)) => write_u64(self.out, n),
            (Kind::Enum, Value::Varint(n)) => match field.enumeration().name_of(n as i32) {
                Some(name) => {
                    self.out.push(b'"');
                    self.out.extend_from_slice(name.as_bytes());
                    self.out.push(b'"');
                }
                None => return Ok(false),
            },
            _ => {
                let text = format!("field {} has another wire type", field.name());
                return Err(DecodeError::Malformed(text));
            }
        }
        Ok(true)
    }
}

fn length_delimited(kind: Kind) -> bool {
    matches!(kind, Kind::String | Kind::Bytes | Kind::Message | Kind::Map)
}

#[cfg(test)]
mod tests;
