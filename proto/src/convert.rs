//! Between the wire's messages and the vocabulary of the cores.
//!
//! The shells call this at their edges, once per message. A message is decoded and checked by [`crate::binary`] or
//! [`crate::json`] before; here its fields become domain types and get the checks that need no state, with Mesos's
//! texts. Typed fields win: what is sent to a peer is the carried `wire` with the typed fields written over it.

pub mod agent;
pub mod executor;
pub mod framework;
pub mod link;
pub mod resource;
pub mod status;
pub mod task;
mod validate;

use crate::mesos::v1;
use crate::wire::{self, Fields, Value};
use std::time::Duration;

/// The caller's fault; the text is Mesos's where Mesos has one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(pub String);

impl Invalid {
    pub(crate) fn new(text: impl ToString) -> Self {
        Invalid(text.to_string())
    }
}

/// A wire duration; a negative one is none.
pub fn duration(info: &v1::DurationInfo) -> Duration {
    Duration::from_nanos(u64::try_from(info.nanoseconds).unwrap_or(0))
}

/// A duration for the wire; beyond 292 years it saturates.
pub fn duration_info(duration: Duration) -> v1::DurationInfo {
    v1::DurationInfo {
        nanoseconds: i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX),
    }
}

/// Seconds as the wire has them; negative and not-a-number are zero, too large saturates.
pub fn seconds(secs: f64) -> Duration {
    Duration::try_from_secs_f64(secs.max(0.0)).unwrap_or(Duration::MAX)
}

/// The top-level fields of an encoded message but those with these numbers. What is no protobuf ends the copy.
fn without(encoded: &[u8], numbers: &[u32]) -> Vec<u8> {
    let mut out = Vec::with_capacity(encoded.len());
    let mut fields = Fields::new(encoded);
    let mut rest = encoded;
    while let Ok(Some((number, _))) = fields.next() {
        let used = rest.len() - fields.rest().len();
        if !numbers.contains(&number) {
            out.extend_from_slice(&rest[..used]);
        }
        rest = fields.rest();
    }
    out
}

/// Copies one field under another number.
fn copy_as(out: &mut Vec<u8>, number: u32, value: Value<'_>) {
    if let Value::Bytes(bytes) = value {
        wire::put_bytes(out, number, bytes);
    }
}

/// A message whose only field is a text (the ids), as field `number`.
fn put_id(out: &mut Vec<u8>, number: u32, text: &str) {
    wire::put_tag(out, number, wire::BYTES);
    let start = out.len();
    out.push(0);
    wire::put_bytes(out, 1, text.as_bytes());
    wire::close_nested(out, start);
}

fn put_int(out: &mut Vec<u8>, number: u32, value: u64) {
    wire::put_tag(out, number, wire::VARINT);
    wire::put_varint(out, value);
}

#[cfg(test)]
mod tests;
