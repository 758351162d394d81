//! Validated ids and role names. Parsed once at the edge; after that a value is valid.

use std::fmt;
use std::sync::Arc;

/// Why a text is no id. The texts are Mesos's own (`src/common/validation.cpp`).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Nothing there.
    #[error("ID must not be empty")]
    Empty,
    /// Longer than 255 bytes.
    #[error("ID must not be greater than 255 characters")]
    TooLong,
    /// `.` or `..`.
    #[error("'{0}' is disallowed")]
    Disallowed(String),
    /// A control character or a slash.
    #[error("'{0}' contains invalid characters")]
    InvalidCharacters(String),
}

fn check_id(s: &str) -> Result<(), IdError> {
    if s.is_empty() {
        return Err(IdError::Empty);
    }
    if s.len() > 255 {
        return Err(IdError::TooLong);
    }
    if s == "." || s == ".." {
        return Err(IdError::Disallowed(s.to_owned()));
    }
    if s.bytes()
        .any(|b| b < 0x20 || b == 0x7f || b == b'/' || b == b'\\')
    {
        return Err(IdError::InvalidCharacters(s.to_owned()));
    }
    Ok(())
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks and takes the text.
            pub fn new(text: impl AsRef<str>) -> Result<Self, IdError> {
                check_id(text.as_ref())?;
                Ok($name(Arc::from(text.as_ref())))
            }

            /// Takes the text as a peer wrote it, valid or not: to answer about a thing that cannot exist (a task
            /// refused for its id, an offer nobody made). Whoever takes something *in* by such an id checks it.
            pub fn as_written(text: impl AsRef<str>) -> Self {
                $name(Arc::from(text.as_ref()))
            }

            /// Whether the text is one [`new`](Self::new) would take, and else why not.
            pub fn check(&self) -> Result<(), IdError> {
                check_id(&self.0)
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = IdError;
            fn from_str(s: &str) -> Result<Self, IdError> {
                Self::new(s)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

id!(
    /// A framework's id.
    FrameworkId
);
id!(
    /// An agent's id.
    AgentId
);
id!(
    /// A task's id, chosen by its framework.
    TaskId
);
id!(
    /// An executor's id, chosen by its framework.
    ExecutorId
);
id!(
    /// An offer's id.
    OfferId
);
id!(
    /// A container's id.
    ContainerId
);

/// The identity of one status update: 16 random bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UpdateUuid(pub [u8; 16]);

impl fmt::Debug for UpdateUuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for b in self.0 {
            write!(f, "{b:02x}")?;
        }
        Ok(())
    }
}

/// A role name, `*` included.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Role(Arc<str>);
