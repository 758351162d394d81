//! A job as the engine sees it: what decides when and where it runs, and how its runs went. The rest of its definition
//! travels as bytes.

use crate::pattern::Pattern;
use crate::schedule::Schedule;
use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// A job's name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobName(Arc<str>);

/// Which of the two dialects a name was sent in: the older one allows more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Paths under `/v1/scheduler`.
    V3,
    /// Unversioned paths.
    V2,
}

/// Longest name, in bytes: it becomes a part of store keys, paths and (shortened beyond [`NAME_IN_ID_MAX`]) task ids.
///
/// [`NAME_IN_ID_MAX`]: crate::run::NAME_IN_ID_MAX
pub const NAME_BYTES_MAX: usize = 255;

/// Why a text is no job name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the job name '{name}' is not allowed: {allowed}")]
pub struct NameError {
    name: String,
    allowed: &'static str,
}

impl JobName {
    /// Checks and takes the text.
    ///
    /// # Errors
    /// Anything but letters, digits, `_`, `.` and `-` (the older dialect: also blanks and `#`), `.` and `..`, and
    /// texts that are empty or too long.
    pub fn new(text: &str, dialect: Dialect) -> Result<JobName, NameError> {
        let also: &[u8] = match dialect {
            Dialect::V3 => b"_.-",
            Dialect::V2 => b"_.- #",
        };
        let allowed = match dialect {
            Dialect::V3 => "1 to 255 of A-Z, a-z, 0-9, '_', '.' and '-', but not '.' or '..'",
            Dialect::V2 => "1 to 255 of A-Z, a-z, 0-9, '_', '.', '-', '#' and blank, but not '.' or '..'",
        };
        let fits = !text.is_empty()
            && text.len() <= NAME_BYTES_MAX
            && text != "."
            && text != ".."
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || also.contains(&b));
        match fits {
            true => Ok(JobName(Arc::from(text))),
            false => Err(NameError {
                name: text.chars().take(80).collect(),
                allowed,
            }),
        }
    }

    /// A name as it stands in a record of ours.
    pub fn recorded(text: &str) -> JobName {
        JobName(Arc::from(text))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for JobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for JobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

/// What makes a job due.
#[derive(Clone, Debug)]
pub enum Trigger {
    /// Its schedule. `text` is what was sent: sending it again changes nothing.
    Schedule {
        /// As sent, with the name of the zone on a second line, to tell a changed schedule from a repeated one.
        text: Arc<str>,
        /// Parsed.
        schedule: Schedule,
    },
    /// Successes of all its parents.
    Parents(Vec<JobName>),
}

/// Resources of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Demand {
    /// Cores.
    pub cpus: f64,
    /// MiB.
    pub mem: f64,
    /// MiB.
    pub disk: f64,
}

impl Demand {
    /// Whether it fits into what is there; a millionth is forgiven, resources have three decimals.
    pub fn fits(&self, there: &Demand) -> bool {
        const SLACK: f64 = 1e-6;
        self.cpus <= there.cpus + SLACK && self.mem <= there.mem + SLACK && self.disk <= there.disk + SLACK
    }
}

/// A condition on the agent.
#[derive(Clone, Debug, PartialEq)]
pub struct Constraint {
    /// An attribute's name, or `hostname`.
    pub attribute: Arc<str>,
    /// How it is compared.
    pub operator: Operator,
    /// With what, as written.
    pub value: Arc<str>,
}

/// How a constraint compares.
#[derive(Clone, Debug, PartialEq)]
pub enum Operator {
    /// The text is this one.
    Equals,
    /// The whole text matches the expression.
    Like(Pattern),
    /// It does not.
    Unlike(Pattern),
}

/// A job's definition.
#[derive(Clone, Debug)]
pub struct JobSpec {
    /// Identity.
    pub name: JobName,
    /// When.
    pub trigger: Trigger,
    /// Not started by anything while set.
    pub disabled: bool,
    /// Attempts after the first.
    pub retries: u32,
    /// How late a slot may start; `None`: any time.
    pub epsilon: Option<SignedDuration>,
    /// Launched before the others.
    pub high_priority: bool,
    /// A run may start while another goes on.
    pub concurrent: bool,
    /// Children are fired even when all attempts failed.
    pub soft_error: bool,
    /// The end of a task is not the end of the run: a callback is.
    pub asynchronous: bool,
    /// How long a run may take; `None`: as long as it likes. The agent ends its task, the engine what comes after it.
    pub max_completion: Option<SignedDuration>,
    /// What a run needs.
    pub demand: Demand,
    /// Where it may run.
    pub constraints: Vec<Constraint>,
    /// The whole definition as the shell stores and shows it.
    pub wire: Bytes,
}

/// How a job's runs went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Runs that succeeded.
    pub success: u64,
    /// Runs whose attempts were exhausted.
    pub error: u64,
    /// Of those, since the last success.
    pub errors_since_success: u64,
    /// When the last one succeeded.
    pub last_success: Option<Timestamp>,
    /// When the last one failed for good.
    pub last_error: Option<Timestamp>,
}

/// A job with its position: what is stored of it.
#[derive(Clone, Debug)]
pub struct Job {
    /// Its definition.
    pub spec: Arc<JobSpec>,
    /// Every slot up to here is settled: started, superseded or missed. Only moves forward.
    pub settled: Timestamp,
    /// How its runs went.
    pub counters: Counters,
    /// Successes of each parent since the last start.
    pub parent_successes: BTreeMap<JobName, u64>,
    /// Which life of the name this is: updates of runs of an earlier one do not count.
    pub generation: u64,
}

impl Job {
    /// The schedule, unless it is a dependent job.
    pub fn schedule(&self) -> Option<&Schedule> {
        match &self.spec.trigger {
            Trigger::Schedule { schedule, .. } => Some(schedule),
            Trigger::Parents(_) => None,
        }
    }

    /// The parents; none for a scheduled job.
    pub fn parents(&self) -> &[JobName] {
        match &self.spec.trigger {
            Trigger::Schedule { .. } => &[],
            Trigger::Parents(parents) => parents,
        }
    }

    /// Whether every parent succeeded since the last start.
    pub fn parents_done(&self) -> bool {
        let parents = self.parents();
        !parents.is_empty()
            && parents
                .iter()
                .all(|p| self.parent_successes.get(p).is_some_and(|n| *n > 0))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_their_dialect() {
        for (text, v3, v2) in [
            ("a", true, true),
            ("a.b_c-1", true, true),
            ("service instance", false, true),
            ("a#b", false, true),
            ("", false, false),
            ("..", false, false),
            ("a/b", false, false),
            ("a:b", false, false),
            ("a\nb", false, false),
            ("ä", false, false),
        ] {
            assert_eq!(JobName::new(text, Dialect::V3).is_ok(), v3, "{text:?}");
            assert_eq!(JobName::new(text, Dialect::V2).is_ok(), v2, "{text:?}");
        }
        assert!(JobName::new(&"x".repeat(256), Dialect::V3).is_err());
    }
}
