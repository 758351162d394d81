//! Validated ids and role names. Parsed once at the edge; after that a value is valid.

use arcstr::{ArcStr, literal};
use std::fmt;

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
        pub struct $name(ArcStr);

        impl $name {
            /// Checks and takes the text.
            pub fn new(text: impl AsRef<str>) -> Result<Self, IdError> {
                check_id(text.as_ref())?;
                Ok($name(ArcStr::from(text.as_ref())))
            }

            /// Takes the text as a peer wrote it, valid or not: to answer about a thing that cannot exist (a task
            /// refused for its id, an offer nobody made). Whoever takes something *in* by such an id checks it.
            pub fn as_written(text: impl AsRef<str>) -> Self {
                $name(ArcStr::from(text.as_ref()))
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
                write!(f, "{:?}", self.as_str())
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

/// The longest role name. Mesos has no bound; here a role costs one node of the allocator's tree per component.
pub const ROLE_MAX_BYTES: usize = 1024;

/// Why a text is no role. The texts are Mesos's own (`src/common/roles.cpp`).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RoleError {
    /// Nothing there.
    #[error("Role names cannot be the empty string")]
    Empty,
    /// Longer than [`ROLE_MAX_BYTES`].
    #[error("Role names must not be longer than {ROLE_MAX_BYTES} bytes")]
    TooLong,
    /// A slash in front.
    #[error("Role '{0}' cannot start with a slash")]
    LeadingSlash(String),
    /// A slash at the end.
    #[error("Role '{0}' cannot end with a slash")]
    TrailingSlash(String),
    /// An empty component.
    #[error("Role '{0}' cannot contain two adjacent slashes")]
    AdjacentSlashes(String),
    /// A component that means something else.
    #[error("Role '{role}' cannot include '{component}' as a component")]
    Reserved {
        /// The whole role.
        role: String,
        /// `.`, `..` or `*`.
        component: &'static str,
    },
    /// A component that reads like an option.
    #[error("Role component '{0}' is invalid because it starts with a dash")]
    LeadingDash(String),
    /// A component with white space or DEL.
    #[error("Role component '{0}' is invalid because it contains backspace or whitespace")]
    Whitespace(String),
}

fn check_role(role: &str) -> Result<(), RoleError> {
    if role == "*" {
        return Ok(());
    }
    if role.len() > ROLE_MAX_BYTES {
        return Err(RoleError::TooLong);
    }
    if role.starts_with('/') {
        return Err(RoleError::LeadingSlash(role.to_owned()));
    }
    if role.ends_with('/') {
        return Err(RoleError::TrailingSlash(role.to_owned()));
    }
    if role.contains("//") {
        return Err(RoleError::AdjacentSlashes(role.to_owned()));
    }
    if role.is_empty() {
        return Err(RoleError::Empty);
    }
    role.split('/').try_for_each(|part| {
        for reserved in [".", "..", "*"] {
            if part == reserved {
                return Err(RoleError::Reserved {
                    role: role.to_owned(),
                    component: reserved,
                });
            }
        }
        if part.starts_with('-') {
            return Err(RoleError::LeadingDash(part.to_owned()));
        }
        // Tab, LF, VT, FF, CR, space and DEL; other control characters are legal, as in Mesos.
        if part.bytes().any(|b| matches!(b, 0x09..=0x0d | b' ' | 0x7f)) {
            return Err(RoleError::Whitespace(part.to_owned()));
        }
        Ok(())
    })
}

/// A role name, `*` included: a path of components separated by `/`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Role(ArcStr);

impl Role {
    /// Checks and takes the text.
    pub fn new(text: impl AsRef<str>) -> Result<Self, RoleError> {
        let text = text.as_ref();
        check_role(text)?;
        Ok(if text == "*" {
            Role::star()
        } else {
            Role(ArcStr::from(text))
        })
    }

    /// The default role, which nothing can be reserved for.
    pub fn star() -> Role {
        Role(literal!("*"))
    }

    /// Whether this is `*`.
    pub fn is_star(&self) -> bool {
        self.as_str() == "*"
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this lies below `other` in the tree (`a/b` below `a`; never below itself).
    pub fn is_strict_subrole_of(&self, other: &Role) -> bool {
        self.0
            .strip_prefix(other.as_str())
            .is_some_and(|rest| rest.starts_with('/'))
    }

    /// Whether this is `other` or lies below it.
    pub fn is_within(&self, other: &Role) -> bool {
        self == other || self.is_strict_subrole_of(other)
    }

    /// The role above, `None` for a top-level one.
    pub fn parent(&self) -> Option<Role> {
        self.0
            .rsplit_once('/')
            .map(|(above, _)| Role(ArcStr::from(above)))
    }

    /// The roles above, nearest first.
    pub fn ancestors(&self) -> impl Iterator<Item = Role> {
        std::iter::successors(self.parent(), Role::parent)
    }
}

impl Default for Role {
    fn default() -> Self {
        Role::star()
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

impl std::str::FromStr for Role {
    type Err = RoleError;
    fn from_str(s: &str) -> Result<Self, RoleError> {
        Role::new(s)
    }
}

impl std::borrow::Borrow<str> for Role {
    fn borrow(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn roles_follow_the_rules_of_mesos() {
        for good in [
            "foo",
            "123",
            "foo-bar",
            "foo..bar",
            "...",
            "foo/.bar",
            "a/b/c/d/e/f/g/h",
            "*",
        ] {
            assert_eq!(Role::new(good).unwrap().as_str(), good);
        }
        for bad in [
            "",
            ".",
            "..",
            "-foo",
            "/",
            "/foo",
            "foo/",
            "foo//bar",
            "foo bar",
            "a\tb",
            "a\nb",
            "foo/.",
            "foo/../bar",
            "foo/-bar",
            "foo/*",
            "*/foo",
            "a\u{7f}",
        ] {
            assert!(Role::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn role_errors_name_the_offending_part() {
        let text = |r: &str| Role::new(r).unwrap_err().to_string();
        assert_eq!(text("/x"), "Role '/x' cannot start with a slash");
        assert_eq!(
            text("x/-a"),
            "Role component '-a' is invalid because it starts with a dash"
        );
        assert_eq!(text("a/.."), "Role 'a/..' cannot include '..' as a component");
        assert_eq!(text(""), "Role names cannot be the empty string");
    }

    #[test]
    fn a_subrole_lies_below_whole_components_only() {
        let role = |r: &str| Role::new(r).unwrap();
        assert!(role("a/b").is_strict_subrole_of(&role("a")));
        assert!(!role("ab").is_strict_subrole_of(&role("a")));
        assert!(!role("a").is_strict_subrole_of(&role("a")));
        assert!(role("a").is_within(&role("a")));
        let above: Vec<_> = role("a/b/c").ancestors().collect();
        assert_eq!(above, [role("a/b"), role("a")]);
    }

    #[test]
    fn ids_refuse_slashes_and_control_characters() {
        assert_eq!(TaskId::new("").unwrap_err().to_string(), "ID must not be empty");
        assert_eq!(
            TaskId::new("a/b").unwrap_err().to_string(),
            "'a/b' contains invalid characters"
        );
        assert_eq!(TaskId::new("..").unwrap_err().to_string(), "'..' is disallowed");
        assert!(TaskId::new("x".repeat(256)).is_err());
        assert!(TaskId::new("x".repeat(255)).is_ok());
    }
}
