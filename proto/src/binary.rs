//! Decoding protobuf at the trust boundary.
//!
//! prost takes a message whose `required` fields are missing, and a few megabytes of empty embedded messages become
//! gigabytes of structs. So the bytes are scanned first, against the tables: presence, nesting and the memory that
//! decoding will take. Only then are structs made. Called by the shells for every body and every call from outside.

use crate::MAX_DEPTH;
use crate::table::{self, Described, Field, Kind, Label, Message};
use crate::wire::{Fields, Malformed, Value};
use std::fmt;

/// The memory which decoding one body may take. The largest honest body (10 MiB of tasks) takes about 100 MB.
pub const MAX_DECODED_BYTES: usize = 256 << 20;

/// How many missing fields one error names; Mesos names all of them, which for a hostile body is a large answer.
const MAX_NAMED: usize = 64;

/// Why bytes are no message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// No protobuf, or another message's.
    #[error("malformed protobuf: {0}")]
    Malformed(String),
    /// Nested deeper than [`MAX_DEPTH`].
    #[error("nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// Would take more memory than [`MAX_DECODED_BYTES`].
    #[error("takes more than {MAX_DECODED_BYTES} bytes when decoded")]
    TooLarge,
    /// Required fields are missing; Mesos's text, with Mesos's paths.
    #[error("Missing required fields: {}", Paths(.0))]
    Missing(Vec<String>),
}

struct Paths<'a>(&'a [String]);

impl fmt::Display for Paths<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, path) in self.0.iter().enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            write!(f, "{comma}{path}")?;
        }
        Ok(())
    }
}

impl From<Malformed> for DecodeError {
    fn from(_: Malformed) -> Self {
        DecodeError::Malformed("the wire format is broken".to_owned())
    }
}

/// Decodes a message from outside: required fields are present, nesting and memory are bounded.
pub fn decode<M: Described>(bytes: &[u8]) -> Result<M, DecodeError> {
    check::<M>(bytes)?;
    M::decode(bytes).map_err(|e| DecodeError::Malformed(e.to_string()))
}

/// Only checks what [`decode`] checks before it makes structs.
pub fn check<M: Described>(bytes: &[u8]) -> Result<(), DecodeError> {
    let mut scan = Scan {
        budget: MAX_DECODED_BYTES,
        missing: false,
    };
    let message = table::of::<M>();
    scan.message(message, bytes, 0)?;
    if scan.missing {
        let mut found = Vec::new();
        name_missing(message, bytes, &mut String::new(), &mut found, 0)?;
        return Err(DecodeError::Missing(found));
    }
    Ok(())
}

struct Scan {
    budget: usize,
    missing: bool,
}

impl Scan {
    fn message(&mut self, m: &'static Message, bytes: &[u8], depth: usize) -> Result<(), DecodeError> {
        if depth > MAX_DEPTH {
            return Err(DecodeError::TooDeep);
        }
        let mut present = 0_u64;
        let mut fields = Fields::new(bytes);
        while let Some((number, value)) = fields.next()? {
            let Some(slot) = m.slot(number) else { continue };
            let field = &m.fields[slot];
            present |= u64::from(counts(field, value)) << slot;
            self.field(field, value, depth)?;
        }
        self.missing |= m.requires && required_missing(m, present).next().is_some();
        Ok(())
    }

    fn field(&mut self, field: &'static Field, value: Value<'_>, depth: usize) -> Result<(), DecodeError> {
        let Value::Bytes(inner) = value else { return Ok(()) };
        let cost = match field.kind {
            Kind::Message if field.is_repeated() => field.message().weight,
            Kind::Message => 0,
            Kind::Map => field.message().weight + 32,
            Kind::String | Kind::Bytes => 32 + inner.len(),
            // Packed numbers: at most eight bytes for each byte on the wire.
            _ => inner.len().saturating_mul(8),
        };
        self.budget = self.budget.checked_sub(cost).ok_or(DecodeError::TooLarge)?;
        match field.kind {
            Kind::Message | Kind::Map => self.message(field.message(), inner, depth + 1),
            _ => Ok(()),
        }
    }
}

/// Whether this value makes the field present: an enum's unknown number does not.
fn counts(field: &Field, value: Value<'_>) -> bool {
    match (field.kind, value) {
        (Kind::Enum, Value::Varint(n)) => field.enumeration().name_of(n as i32).is_some(),
        _ => true,
    }
}

fn required_missing(m: &'static Message, present: u64) -> impl Iterator<Item = &'static Field> {
    m.fields
        .iter()
        .enumerate()
        .filter(move |(slot, f)| f.label == Label::Required && present >> slot & 1 == 0)
        .map(|(_, f)| f)
}

/// Names what is missing as protobuf does: first a message's own fields, then its embedded messages by number.
fn name_missing(
    m: &'static Message,
    bytes: &[u8],
    path: &mut String,
    found: &mut Vec<String>,
    depth: usize,
) -> Result<(), DecodeError> {
    if depth > MAX_DEPTH {
        return Err(DecodeError::TooDeep);
    }
    let mut present = 0_u64;
    let mut embedded: Vec<(usize, &[u8])> = Vec::new();
    let mut fields = Fields::new(bytes);
    while let Some((number, value)) = fields.next()? {
        let Some(slot) = m.slot(number) else { continue };
        let field = &m.fields[slot];
        present |= u64::from(counts(field, value)) << slot;
        if let (Kind::Message | Kind::Map, Value::Bytes(inner)) = (field.kind, value)
            && field.message().requires
        {
            embedded.push((slot, inner));
        }
    }
    let mut own: Vec<_> = required_missing(m, present).collect();
    own.sort_by_key(|f| f.number);
    for field in own {
        if found.len() == MAX_NAMED {
            return Ok(());
        }
        found.push(format!("{path}{}", field.name()));
    }
    embedded.sort_by_key(|(slot, _)| m.fields[*slot].number);
    let mut index = 0;
    for (i, (slot, inner)) in embedded.iter().enumerate() {
        index = if i > 0 && embedded[i - 1].0 == *slot {
            index + 1
        } else {
            0
        };
        let field = &m.fields[*slot];
        let len = path.len();
        path.push_str(field.name());
        if field.is_repeated() {
            path.push_str(&format!("[{index}]"));
        }
        path.push('.');
        name_missing(field.message(), inner, path, found, depth + 1)?;
        path.truncate(len);
        if found.len() == MAX_NAMED {
            return Ok(());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::mesos::v1;
    use crate::mesos::v1::scheduler::{Call, call};
    use crate::wire;
    use proptest::prelude::*;
    use prost::Message as _;

    fn missing<M: Described>(bytes: &[u8]) -> String {
        decode::<M>(bytes).unwrap_err().to_string()
    }

    /// field 1 of type message holding `inner`, and so on from the inside out.
    fn nest(numbers: &[u32], inner: &[u8]) -> Vec<u8> {
        numbers.iter().rev().fold(inner.to_vec(), |inner, number| {
            let mut out = Vec::new();
            wire::put_bytes(&mut out, *number, &inner);
            out
        })
    }

    #[test]
    fn a_message_without_its_required_fields_is_refused_by_path() {
        // call.acknowledge with nothing in it
        assert_eq!(
            missing::<Call>(&nest(&[8], &[])),
            "Missing required fields: acknowledge.agent_id, acknowledge.task_id, acknowledge.uuid"
        );
        // accept.operations[1].launch.task_infos[0].task_id
        let mut accept = nest(&[2], &[]);
        accept.extend(nest(&[2, 2, 1, 2], &[]));
        assert_eq!(
            missing::<Call>(&nest(&[4], &accept)),
            "Missing required fields: accept.operations[1].launch.task_infos[0].name, \
             accept.operations[1].launch.task_infos[0].agent_id, \
             accept.operations[1].launch.task_infos[0].task_id.value"
        );
    }

    #[test]
    fn a_required_enum_with_an_unknown_number_counts_as_missing() {
        let status = v1::TaskStatus {
            task_id: v1::TaskId { value: "t".into() },
            state: 99,
            ..Default::default()
        };
        assert_eq!(
            missing::<v1::TaskStatus>(&status.encode_to_vec()),
            "Missing required fields: state"
        );
    }

    #[test]
    fn a_map_value_needs_its_required_fields_too() {
        // TaskInfo.limits {key: "cpus", value: {}}
        let mut entry = Vec::new();
        wire::put_bytes(&mut entry, 1, b"cpus");
        wire::put_bytes(&mut entry, 2, b"");
        let text = missing::<v1::TaskInfo>(&nest(&[15], &entry));
        assert!(text.ends_with("agent_id, limits[0].value.value"), "{text}");
    }

    #[test]
    fn deep_nesting_is_refused_before_it_is_decoded() {
        let deep = nest(&[2; 200], &[]);
        assert_eq!(decode::<v1::ContainerId>(&deep), Err(DecodeError::TooDeep));
    }

    #[test]
    fn many_empty_messages_are_refused_before_they_become_structs() {
        // accept.operations: no required fields, two bytes each
        let operations: Vec<u8> = [0x12, 0x00].repeat(4 << 20);
        assert_eq!(
            decode::<Call>(&nest(&[4], &operations)),
            Err(DecodeError::TooLarge)
        );
    }

    #[test]
    fn the_weights_of_the_tables_are_not_far_from_the_structs() {
        let cases = [
            (table::of::<v1::TaskInfo>().weight, size_of::<v1::TaskInfo>()),
            (
                table::of::<v1::offer::Operation>().weight,
                size_of::<v1::offer::Operation>(),
            ),
            (table::of::<v1::Resource>().weight, size_of::<v1::Resource>()),
            (table::of::<v1::Label>().weight, size_of::<v1::Label>()),
        ];
        for (weight, size) in cases {
            assert!(
                weight * 2 >= size && weight <= size * 2,
                "weight {weight}, struct {size}"
            );
        }
    }

    #[test]
    fn a_whole_call_is_taken() {
        let call = Call {
            framework_id: Some(v1::FrameworkId { value: "f".into() }),
            r#type: Some(call::Type::Revive.into()),
            ..Default::default()
        };
        assert_eq!(decode::<Call>(&call.encode_to_vec()), Ok(call));
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = decode::<Call>(&bytes);
            let _ = decode::<v1::master::Response>(&bytes);
        }
    }
}
