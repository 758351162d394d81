//! An append log: what an agent must remember of its tasks, written in the order it happened.
//!
//! Records are written in batches; a batch is one frame with one checksum, so it is read back whole or not at all,
//! and one fsync covers all batches that wait. The file grows in steps that are allocated ahead, because growing it
//! with every write costs milliseconds in the file system's journal. What a record means is the caller's affair;
//! when most of the records no longer matter, the caller hands over those that do and the log is rewritten.
//!
//! At the end of the file a torn batch is expected after a crash: it was never answered, so it is dropped and
//! reported. Anything else that does not fit is damage, and opening fails with the place.

mod file;
mod frame;
mod writer;

pub use file::{OpenError, Opened, Torn, open};
pub use writer::Log;

/// Longest record, in bytes: a task's description with its data.
pub const RECORD_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Longest batch, in bytes, its records' lengths included.
pub const BATCH_BYTES_MAX: usize = 64 * 1024 * 1024;

#[cfg(test)]
mod tests;
