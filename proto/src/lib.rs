//! Mesos v1 messages, Meseta's gRPC services, Mesos JSON, RecordIO and conversions to types.
//!
//! Everything that is bytes outside and a type inside passes through this crate, and only here: the shells and the
//! SDK decode with [`binary`], [`json`] or [`body`], frame streams with [`recordio`], and turn messages into the
//! vocabulary of the cores with [`convert`]. Nothing here does I/O, reads a clock or keeps state.
//!
//! JSON, the scan for missing required fields and the transcoder interpret descriptor tables written by `build.rs`
//! from the same .proto files as the types: there is no generated code per message besides prost's.

mod generated;
mod table;
mod wire;

pub mod binary;
pub mod body;
pub mod convert;
pub mod json;
pub mod recordio;
pub mod secrets;
pub mod transcode;

pub use generated::{meseta, mesos};
pub use table::Described;
pub use {bytes, prost};

/// How deep messages, JSON values and unknown groups may be nested. The same as prost's own bound, so that what one
/// path lets in no other refuses.
pub const MAX_DEPTH: usize = 100;
