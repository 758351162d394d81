//! Mesos's JSON form of protobuf messages, both ways.
//!
//! The rules are those of the Mesos HTTP API (`3rdparty/stout/include/stout/protobuf.hpp`), not of canonical protobuf
//! JSON: names as declared, 64-bit integers as numbers, enums by name, defaults printed, unknown names ignored, a lone
//! value taken for a list, numbers and booleans also as texts. Called by the shells and the SDK for every JSON body.
//!
//! Reading goes from JSON straight to protobuf bytes and decodes those, so both encodings pass the same checks.
//! Writing goes through the encoded message, so a stored message prints exactly as a fresh one. Output is ASCII.

mod read;
mod syntax;
pub(crate) mod write;

use crate::binary::{self, DecodeError};
use crate::table::{self, Described};
use crate::transcode;
use std::fmt;

pub use write::{write_f64, write_str};

/// Why a text is no message. `Display` gives Mesos's text, without the prefix some endpoints put before it (see
/// [`crate::body`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JsonError {
    /// No JSON. The text has no prefix yet, since Mesos's endpoints disagree on it.
    Syntax(String),
    /// JSON, but not of this message.
    Convert {
        /// Mesos's text; it names the field without its path.
        text: String,
        /// The path to the field at fault, for example `accept.operations[0].type`; empty for the message itself.
        path: String,
    },
    /// Required fields are missing, or the message is too deep or too large.
    Message(DecodeError),
}

impl JsonError {
    pub(crate) fn convert(text: impl Into<String>) -> Self {
        JsonError::Convert {
            text: text.into(),
            path: String::new(),
        }
    }

    /// Puts a name before the path, on the way out of an embedded message.
    pub(crate) fn within(self, name: &str, index: Option<usize>) -> Self {
        let JsonError::Convert { text, path } = self else {
            return self;
        };
        let index = index.map(|i| format!("[{i}]")).unwrap_or_default();
        let dot = if path.is_empty() || path.starts_with('[') || name.is_empty() && index.is_empty() {
            ""
        } else {
            "."
        };
        JsonError::Convert {
            text,
            path: format!("{name}{index}{dot}{path}"),
        }
    }
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JsonError::Syntax(text) => write!(f, "Failed to parse body into JSON: {text}"),
            JsonError::Convert { text, .. } => f.write_str(text),
            JsonError::Message(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for JsonError {}

/// Reads a message.
pub fn from_slice<M: Described>(text: &[u8]) -> Result<M, JsonError> {
    let bytes = to_protobuf::<M>(text)?;
    M::decode(bytes.as_slice()).map_err(|e| JsonError::Message(DecodeError::Malformed(e.to_string())))
}

/// Reads a message into its protobuf encoding, checked as [`binary::decode`] checks.
pub fn to_protobuf<M: Described>(text: &[u8]) -> Result<Vec<u8>, JsonError> {
    let text = syntax::check(text).map_err(JsonError::Syntax)?;
    let bytes = read::convert(table::of::<M>(), text)?;
    binary::check::<M>(&bytes).map_err(JsonError::Message)?;
    Ok(bytes)
}

/// Appends a message to `out`. Levels beyond [`crate::MAX_DEPTH`], which no decoder of ours lets in, print as `{}`.
pub fn write<M: Described>(message: &M, out: &mut Vec<u8>) {
    transcode::write_trusted(table::of::<M>(), &message.encode_to_vec(), out);
}

/// A message as JSON.
pub fn to_vec<M: Described>(message: &M) -> Vec<u8> {
    let mut out = Vec::new();
    write(message, &mut out);
    out
}

#[cfg(test)]
mod tests;
