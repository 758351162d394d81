//! What a commit is made of, and how it can end.

use bytes::Bytes;
use std::fmt;
use std::sync::Arc;

/// Longest key, in bytes. Keys are `kind/id` and ids have 255 bytes at most.
pub const KEY_BYTES_MAX: usize = 512;

/// Longest value, in bytes: an `AgentInfo` with thousands of resources fits; ZooKeeper, which keeps the same values
/// later, refuses above this.
pub const VALUE_BYTES_MAX: usize = 512 * 1024;

/// Most changes in one commit: bounds what one fsync may have to carry.
pub const CHANGES_MAX: usize = 10_000;

/// A key: `kind/id`, printable, without control characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Arc<str>);

/// Why a text is no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Nothing there.
    #[error("a key must not be empty")]
    Empty,
    /// Over [`KEY_BYTES_MAX`].
    #[error("a key must not have more than {KEY_BYTES_MAX} bytes, this one has {0}")]
    TooLong(usize),
    /// A control character.
    #[error("a key must not contain control characters")]
    Control,
}

impl Key {
    /// Checks and takes the text.
    ///
    /// # Errors
    /// Empty, longer than 512 bytes, or with control characters.
    pub fn new(text: impl AsRef<str>) -> Result<Key, KeyError> {
        let text = text.as_ref();
        if text.is_empty() {
            Err(KeyError::Empty)
        } else if text.len() > KEY_BYTES_MAX {
            Err(KeyError::TooLong(text.len()))
        } else if text.chars().any(char::is_control) {
            Err(KeyError::Control)
        } else {
            Ok(Key(Arc::from(text)))
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

/// Counts commits; every entry carries the revision of the commit that wrote it last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Revision(pub u64);

/// What must hold of a key before a commit may change it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Nothing: the last writer wins.
    Anything,
    /// The key does not exist.
    Absent,
    /// The key was last written by this commit.
    At(Revision),
}

/// One change of one key.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Which key.
    pub key: Key,
    /// Under which condition; if it fails, the whole commit is refused.
    pub expect: Expect,
    /// The new value, or `None` to remove the key.
    pub value: Option<Bytes>,
}

impl Change {
    /// Sets a key, whatever was there.
    pub fn put(key: Key, value: impl Into<Bytes>) -> Change {
        Change {
            key,
            expect: Expect::Anything,
            value: Some(value.into()),
        }
    }

    /// Removes a key, if it is there.
    pub fn delete(key: Key) -> Change {
        Change {
            key,
            expect: Expect::Anything,
            value: None,
        }
    }
}

/// Changes that happen together or not at all.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Commit {
    /// In order; a later change of a key sees the earlier one.
    pub changes: Vec<Change>,
}

impl Commit {
    /// The refusal that needs no look at the data: too many changes, or a value that is too large.
    pub(crate) fn too_large(&self) -> Option<Refused> {
        if self.changes.len() > CHANGES_MAX {
            return Some(Refused::TooManyChanges(self.changes.len()));
        }
        self.changes.iter().find_map(|change| {
            let bytes = change.value.as_ref().map_or(0, Bytes::len);
            (bytes > VALUE_BYTES_MAX).then(|| Refused::ValueTooLarge {
                key: change.key.clone(),
                bytes,
            })
        })
    }
}

/// A key with its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: Key,
    /// The commit that wrote it last.
    pub revision: Revision,
    /// The value.
    pub value: Bytes,
}

/// How a commit ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// On disk, under this revision.
    Done(Revision),
    /// Nothing was written and nothing will be; the caller may tell its own caller so.
    Refused(Refused),
    /// Another leader writes now: step down at once.
    Fenced,
    /// Nobody can say whether it is on disk (a failed fsync, a dead writer): end the process and start again from
    /// what is durable.
    Unknown(Arc<str>),
}

/// Why nothing was written.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Refused {
    /// The disk is full.
    #[error("no space left for the store")]
    NoSpace,
    /// Too many commits wait already.
    #[error("too many writes are waiting for the store")]
    Busy,
    /// A condition did not hold.
    #[error("key '{key}' was changed by somebody else")]
    Conflict {
        /// Which key.
        key: Key,
    },
    /// A value above the limit.
    #[error("the value of key '{key}' has {bytes} bytes, at most {VALUE_BYTES_MAX} are allowed")]
    ValueTooLarge {
        /// Which key.
        key: Key,
        /// How large it is.
        bytes: usize,
    },
    /// A log's record or batch above [`crate::log::RECORD_BYTES_MAX`] or [`crate::log::BATCH_BYTES_MAX`].
    #[error("a record of the log is too large")]
    BatchTooLarge,
    /// A commit above the limit.
    #[error("a commit may have {CHANGES_MAX} changes at most, this one has {0}")]
    TooManyChanges(usize),
}
