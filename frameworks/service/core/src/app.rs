//! An app as the engine sees it: what decides how many instances of which version run where. The rest of its definition
//! travels as bytes.

use bytes::Bytes;
use meseta_types::Wall;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// An absolute path: `/`, then segments of lower-case letters, digits, inner hyphens and dots.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AppId(Arc<str>);

/// Why a text is no app id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// A segment with other characters.
    #[error(
        "must fully match regular expression '^(([a-z0-9]|[a-z0-9][a-z0-9\\-]*[a-z0-9])\\.)*([a-z0-9]|[a-z0-9][a-z0-9\\-]*[a-z0-9])|(\\.|\\.\\.)$'"
    )]
    Segment,
    /// The root is a group.
    #[error("the root is no app")]
    Root,
    /// A segment with a meaning of its own.
    #[error("must not end in one of: restart, tasks, versions, ., ..")]
    Reserved,
    /// Above the root.
    #[error("must not lead above the root")]
    AboveRoot,
    /// Too long for a task id.
    #[error("must not have more than {MAX} characters", MAX = ID_BYTES_MAX)]
    TooLong,
}

/// Longest id: a task id adds some 60 characters to it and may have 255.
pub const ID_BYTES_MAX: usize = 180;

impl AppId {
    /// Parses an id; a relative one is taken below `base` (no base: below the root).
    ///
    /// # Errors
    /// What does not fit.
    pub fn parse(text: &str, base: Option<&AppId>) -> Result<AppId, IdError> {
        let mut segments: Vec<&str> = match (text.starts_with('/'), base) {
            (false, Some(base)) => base.segments().collect(),
            _ => Vec::new(),
        };
        for segment in text.split('/').filter(|segment| !segment.is_empty()) {
            match segment {
                "." => {}
                ".." => {
                    segments.pop().ok_or(IdError::AboveRoot)?;
                }
                _ if is_segment(segment) => segments.push(segment),
                _ => return Err(IdError::Segment),
            }
        }
        match segments.last() {
            None => return Err(IdError::Root),
            Some(last) if ["restart", "tasks", "versions"].contains(last) => return Err(IdError::Reserved),
            Some(_) => {}
        }
        let id = format!("/{}", segments.join("/"));
        if id.len() > ID_BYTES_MAX {
            Err(IdError::TooLong)
        } else {
            Ok(AppId(id.into()))
        }
    }

    /// An id as it stands in a record of ours.
    pub fn recorded(text: &str) -> AppId {
        AppId(Arc::from(text))
    }

    /// The text, with the slash at its start.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its segments, from the root down.
    pub fn segments(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/').filter(|segment| !segment.is_empty())
    }

    /// Segments joined by underscores: the beginning of instance ids.
    pub fn safe(&self) -> String {
        self.segments().collect::<Vec<_>>().join("_")
    }

    /// Segments from the last up, joined by dots: the name in service discovery.
    pub fn discovery_name(&self) -> String {
        self.segments().rev().collect::<Vec<_>>().join(".")
    }
}

fn is_segment(text: &str) -> bool {
    text.split('.').all(|label| {
        let bytes = label.as_bytes();
        let inner = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-';
        !bytes.is_empty() && bytes.iter().all(inner) && bytes[0] != b'-' && bytes[bytes.len() - 1] != b'-'
    })
}

impl fmt::Display for AppId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for AppId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

/// When a definition was accepted, to the millisecond; identifies it among those of its app.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub i64);

impl Version {
    /// The version of a definition accepted now, later than any the app has had.
    pub fn new(now: Wall, last: Option<Version>) -> Version {
        let millis = now.0.div_euclid(1_000_000);
        Version(last.map_or(millis, |last| millis.max(last.0 + 1)))
    }
}

/// Resources of one instance.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Demand {
    /// Cores.
    pub cpus: f64,
    /// MiB.
    pub mem: f64,
    /// MiB.
    pub disk: f64,
    /// Whole ones.
    pub gpus: f64,
}

/// One host port an instance needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostPort {
    /// Any that is offered.
    Any,
    /// This one.
    Fixed(u16),
}

/// Which instances go first when there are too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KillSelection {
    /// Those started last.
    YoungestFirst,
    /// Those started first.
    OldestFirst,
}

/// What to do about instances whose agent cannot be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnreachableStrategy {
    /// Nothing: they count as running.
    Disabled,
    /// Replace them, later forget them.
    Enabled {
        /// When a replacement is started.
        inactive_after: Duration,
        /// When the old one is forgotten, and killed if it returns.
        expunge_after: Duration,
    },
}

/// How much of an app may be missing, and how much too many, while it is updated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct UpgradeStrategy {
    /// Part of the target that stays healthy, 0 to 1.
    pub minimum_health: f64,
    /// Part of the target that may be there beyond it, 0 to 1.
    pub maximum_over: f64,
}

/// Delay of launches after failures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backoff {
    /// After the first failure.
    pub first: Duration,
    /// Multiplied by this with each further one; at least 1.
    pub factor: f64,
    /// At most this.
    pub max: Duration,
}

/// A definition.
#[derive(Clone, Debug, PartialEq)]
pub struct AppSpec {
    /// Identity.
    pub id: AppId,
    /// Of this definition.
    pub version: Version,
    /// Of the definition whose configuration this one has: scaling alone does not change it.
    pub config_version: Version,
    /// How many shall run.
    pub instances: u32,
    /// What each needs.
    pub demand: Demand,
    /// Host ports of each, in the order of their definition.
    pub ports: Vec<HostPort>,
    /// Roles whose reserved resources it may use, `*` for unreserved ones; empty: any.
    pub accepted_roles: BTreeSet<Arc<str>>,
    /// Whether anything tells that an instance is healthy.
    pub has_health_checks: bool,
    /// Whether an instance must also be ready.
    pub has_readiness_checks: bool,
    /// See there.
    pub upgrade: UpgradeStrategy,
    /// See there.
    pub backoff: Backoff,
    /// See there.
    pub kill_selection: KillSelection,
    /// See there.
    pub unreachable: UnreachableStrategy,
    /// Apps that must be up before this one.
    pub dependencies: BTreeSet<AppId>,
    /// The whole normalised definition, as the shell stores and shows it.
    pub wire: Bytes,
}

impl AppSpec {
    /// Whether an instance of `other` is as good as one of this.
    pub fn same_config(&self, other: &AppSpec) -> bool {
        self.config_version == other.config_version
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn ids_become_absolute_and_relative_ones_are_taken_from_their_base() {
        let base = AppId::parse("/prod/web", None).unwrap();
        for (text, expected) in [
            ("/a/b", "/a/b"),
            ("a", "/prod/web/a"),
            ("../db", "/prod/db"),
            ("./x", "/prod/web/x"),
            ("//a", "/a"),
            ("/a/", "/a"),
            ("/a.b-c/1", "/a.b-c/1"),
        ] {
            assert_eq!(
                AppId::parse(text, Some(&base)).unwrap().as_str(),
                expected,
                "{text}"
            );
        }
        assert_eq!(base.discovery_name(), "web.prod");
        assert_eq!(base.safe(), "prod_web");
    }

    #[test]
    fn other_texts_are_no_ids() {
        for text in [
            "",
            "/",
            "/A",
            "/a_b",
            "/a b",
            "/-a",
            "/a-",
            "/a..b",
            "/../a",
            "/a/tasks",
            "/x/restart",
            "/ä",
        ] {
            assert!(AppId::parse(text, None).is_err(), "{text}");
        }
        assert!(AppId::parse(&"a".repeat(200), None).is_err());
    }

    #[test]
    fn versions_never_repeat_even_within_a_millisecond_or_when_the_clock_goes_back() {
        let first = Version::new(Wall(5_000_000), None);
        let second = Version::new(Wall(5_000_000), Some(first));
        let third = Version::new(Wall(1_000_000), Some(second));
        assert!(first < second && second < third);
    }
}
