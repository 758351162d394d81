//! Durable state.
//!
//! Two shapes, because two kinds of data live here:
//!
//! * a [`Store`] of versioned keys with atomic multi-key commits, for what must survive a master: agents admitted,
//!   unreachable or gone, removed frameworks. [`Embedded`] keeps it in one redb file, [`Memory`] in a map, for the
//!   simulated world and for tests of shells;
//! * a [`log::Log`] of appended records, for what changes with every task: an agent's checkpoints.
//!
//! Both answer every write with one of four [`Outcome`]s, and neither ever says *done* before the data is on disk.
//! Callers are the shells; the cores only see the outcomes as inputs. What a key or a record *means* is not known
//! here.

mod change;
mod embedded;
mod memory;
mod pending;

pub mod log;

pub use change::{
    CHANGES_MAX, Change, Commit, Entry, Expect, KEY_BYTES_MAX, Key, KeyError, Outcome, Refused, Revision,
    VALUE_BYTES_MAX,
};
pub use embedded::{Embedded, OpenError};
pub use memory::{Epoch, Memory};
pub use pending::Pending;

/// Why a read failed.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The storage engine or the disk below it.
    #[error("reading the store failed: {0}")]
    Io(String),
    /// A value is not what was written: a flipped bit, or a value under a foreign key.
    #[error("the value of key '{key}' is damaged: {why}")]
    Damaged {
        /// Under which key.
        key: String,
        /// What does not fit.
        why: &'static str,
    },
}

/// Versioned keys, written in atomic commits that keep the order of their submission.
pub trait Store: Send + Sync + 'static {
    /// Queues a commit and returns at once. Commits are applied in the order of these calls; each is answered by
    /// its own [`Outcome`]. Never blocks: a full queue is answered [`Refused::Busy`].
    fn submit(&self, commit: Commit) -> Pending;

    /// All entries whose key starts with `prefix`, in the order of their keys. Blocks on the disk: for start-up and
    /// for blocking threads.
    ///
    /// # Errors
    /// [`ReadError`] names the damaged key; nothing is skipped silently.
    fn list(&self, prefix: &str) -> Result<Vec<Entry>, ReadError>;
}
