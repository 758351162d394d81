//! One run of a job, from the moment it is due to its end, over all its attempts.
//!
//! | state | durable | what ends it |
//! |---|---|---|
//! | waiting | only if nothing else tells that it is due (started by hand, another attempt, a launch that came to nothing) | an offer, its epsilon, a kill, a newer slot |
//! | retrying | yes | its time, a newer slot, a kill, an edit |
//! | launched | yes, before the launch leaves | the first word about the task |
//! | running | yes | the task's end, or the callback of an asynchronous job |
//! | awaiting | yes | the callback of an asynchronous job whose task has ended well, or its maximum completion time |

use crate::job::JobName;
use jiff::{SignedDuration, Timestamp};
use std::fmt;
use std::sync::Arc;

/// The task id of one launch of one attempt: `ct:<due in ms>:<attempt>:<job>:<arguments>`, and from the second launch on its
/// number, `~2`. Clients read it out of Mesos's state. To Chronos all after the job is arguments, free text
/// (`TaskUtils.scala`, `taskIdPattern`).
///
/// An attempt is launched again when its launch came to nothing, and then under another id: what is still said of the
/// first launch, by an agent that was away or by a master that was asked before, says nothing of the second.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(Arc<str>);

/// Longest part of the arguments that goes into the id; the rest would make it too long for a task id.
const ARGUMENT_BYTES_MAX: usize = 20;

/// Longest part of a job's name in an id: task ids end at 255 bytes, and `ct:`, a time, an attempt, three colons and
/// arguments take up to 55 of them. A longer name is cut, and a number made of all of it keeps ids apart.
pub const NAME_IN_ID_MAX: usize = 200;

/// Hex digits of that number, and the sign before it.
const NAME_TAIL: usize = 17;

/// Before the number of a launch. Arguments in an id have no such sign, and after one in a name comes a colon.
const LAUNCH: char = '~';

/// The highest number of a launch: a task id has room for no more digits.
const LAUNCH_MAX: u32 = 999_999;

impl RunId {
    /// The id of an attempt's first launch. Of the arguments only what is allowed in a task id is kept, and not much of it.
    pub fn new(due: Timestamp, attempt: u32, job: &JobName, arguments: &str) -> RunId {
        let arguments: String = arguments
            .chars()
            .filter(|c| c.is_ascii_alphanumeric() || " _.-=,".contains(*c))
            .take(ARGUMENT_BYTES_MAX)
            .collect();
        let name = job.as_str();
        let name = if name.len() > NAME_IN_ID_MAX {
            let cut = name.get(..NAME_IN_ID_MAX - NAME_TAIL).unwrap_or_default();
            format!("{cut}~{:016x}", fingerprint(name))
        } else {
            name.to_owned()
        };
        RunId(format!("ct:{}:{attempt}:{name}:{arguments}", due.as_millisecond()).into())
    }

    /// The id of the launch after this one.
    pub fn next_launch(&self) -> RunId {
        let (attempt, launch) = self.parts();
        let next = launch.saturating_add(1).min(LAUNCH_MAX);
        RunId(format!("{attempt}{LAUNCH}{next}").into())
    }

    /// The id without the number of the launch: the same for all launches of one attempt.
    pub fn attempt(&self) -> &str {
        self.parts().0
    }

    fn parts(&self) -> (&str, u32) {
        let numbered = self.0.rsplit_once(LAUNCH);
        let numbered = numbered.and_then(|(attempt, launch)| Some((attempt, launch.parse().ok()?)));
        numbered.unwrap_or((&self.0, 1))
    }

    /// An id as somebody else wrote it.
    pub fn written(text: &str) -> RunId {
        RunId(Arc::from(text))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// FNV-1a: the same in every release, since ids outlive processes.
fn fingerprint(text: &str) -> u64 {
    let start = 0xcbf2_9ce4_8422_2325u64;
    text.bytes().fold(start, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

/// Why a run exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A slot of its schedule.
    Slot,
    /// All parents succeeded.
    Parents,
    /// Somebody asked for it.
    Manual,
}

/// Where a run is.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// For an offer, or for an earlier run to end.
    Waiting {
        /// What it waits for, for whoever asks.
        why: Why,
    },
    /// For its next attempt.
    Retrying {
        /// When.
        at: Timestamp,
    },
    /// Recorded; the launch may or may not have reached the master.
    Launched {
        /// Where to.
        place: Place,
    },
    /// The agent said so.
    Running {
        /// Where.
        place: Place,
        /// Since when.
        since: Timestamp,
        /// When its agent was last heard to be out of reach.
        unreachable: Option<Timestamp>,
    },
    /// The task of an asynchronous job ended well, and its callback has not come.
    Awaiting {
        /// Where the task was.
        place: Place,
        /// Since when it ran.
        since: Timestamp,
    },
}

/// What a waiting run waits for.
#[derive(Clone, Debug, PartialEq)]
pub enum Why {
    /// No offer was there.
    NoOffer,
    /// None fitted.
    NoFit {
        /// What the best of them lacked.
        lacks: Arc<str>,
    },
    /// An earlier run of the job goes on.
    Overlap(RunId),
}

/// The machine a run is on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its agent.
    pub agent: Arc<str>,
    /// Its name.
    pub host: Arc<str>,
    /// When the launch was recorded.
    pub at: Timestamp,
}

/// A run.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// Of the present attempt, and of its present or next launch.
    pub id: RunId,
    /// Of which job.
    pub job: JobName,
    /// Of which life of that name.
    pub generation: u64,
    /// Nominal time: the slot, or when it was asked for.
    pub due: Timestamp,
    /// From 0.
    pub attempt: u32,
    /// Why it exists.
    pub cause: Cause,
    /// Replace the job's arguments, if given with the start by hand.
    pub arguments: Option<Arc<str>>,
    /// Where it is.
    pub state: State,
    /// It was placed before: its slot is settled, the successes of its parents are used up, and only its own record
    /// tells that it is due.
    pub placed: bool,
    /// Somebody asked for its end.
    pub kill_wanted: bool,
    /// Elements it says to have processed.
    pub elements: u64,
}

impl Run {
    /// Whether it goes on: it was launched, and nobody has seen its end.
    pub fn is_active(&self) -> bool {
        self.place().is_some()
    }

    /// Where it goes on.
    pub fn place(&self) -> Option<&Place> {
        match &self.state {
            State::Waiting { .. } | State::Retrying { .. } => None,
            State::Launched { place } | State::Running { place, .. } | State::Awaiting { place, .. } => {
                Some(place)
            }
        }
    }

    /// Where its task is, if there may be one.
    pub fn task_place(&self) -> Option<&Place> {
        self.place()
            .filter(|_| !matches!(self.state, State::Awaiting { .. }))
    }

    /// Whether a restart would not know it from anything else.
    pub fn is_durable(&self) -> bool {
        match &self.state {
            State::Waiting { .. } => self.cause == Cause::Manual || self.placed,
            State::Retrying { .. }
            | State::Launched { .. }
            | State::Running { .. }
            | State::Awaiting { .. } => true,
        }
    }

    /// Whether both wait, and differ in nothing but the reason: no restart would tell them apart.
    pub fn waits_like(&self, other: &Run) -> bool {
        let both_wait = matches!(
            (&self.state, &other.state),
            (State::Waiting { .. }, State::Waiting { .. })
        );
        both_wait
            && self.id == other.id
            && self.generation == other.generation
            && self.placed == other.placed
            && self.kill_wanted == other.kill_wanted
    }

    /// The latest moment it may start, given its job's epsilon: only the first attempt of a slot has one.
    pub fn latest_start(&self, epsilon: Option<SignedDuration>) -> Option<Timestamp> {
        match (self.cause, epsilon) {
            (Cause::Slot, Some(epsilon)) if self.attempt == 0 => {
                Some(self.due.checked_add(epsilon).unwrap_or(Timestamp::MAX))
            }
            (Cause::Slot | Cause::Parents | Cause::Manual, _) => None,
        }
    }
}

/// How an attempt, or a slot without one, ended: what the history keeps.
#[derive(Clone, Debug, PartialEq)]
pub struct Ended {
    /// Of which job.
    pub job: JobName,
    /// The attempt's task id; for slots without a run, what it would have been.
    pub id: RunId,
    /// Nominal time.
    pub due: Timestamp,
    /// From 0.
    pub attempt: u32,
    /// Why there was a run.
    pub cause: Cause,
    /// Where it ran.
    pub place: Option<Place>,
    /// When it started, by the agent's word.
    pub started: Option<Timestamp>,
    /// When it was over.
    pub ended: Timestamp,
    /// How.
    pub result: RunResult,
    /// How many further slots this stands for (superseded ones share an entry).
    pub slots: u64,
    /// Elements it said to have processed.
    pub elements: u64,
}

/// The kinds of end.
#[derive(Clone, Debug, PartialEq)]
pub enum RunResult {
    /// It succeeded.
    Success,
    /// It failed, and why.
    Failed(Arc<str>),
    /// Its agent is lost, and what was said.
    Lost(Arc<str>),
    /// Somebody ended it.
    Killed,
    /// It was not started in time, and why.
    Missed(Arc<str>),
    /// A later slot ran instead.
    Superseded,
    /// It was taken back before it started, and why.
    Cancelled(Arc<str>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_task_id_names_slot_attempt_and_job_and_never_grows_beyond_a_task_id() {
        let due = Timestamp::from_millisecond(1_700_000_000_000).unwrap_or_default();
        let id = RunId::new(due, 2, &JobName::recorded("backup"), "a b;c/d");
        assert_eq!(id.as_str(), "ct:1700000000000:2:backup:a bcd");
        let far = Timestamp::from_second(253_402_207_200).unwrap_or_default();
        let long = |last| {
            let name = JobName::recorded(&format!("{}{last}", "x".repeat(254)));
            RunId::new(far, 100_000, &name, &"y".repeat(10_000))
        };
        assert!(long('a').as_str().len() <= 255, "{}", long('a'));
        assert_ne!(long('a'), long('b'), "names that differ at their end only");
        let last = RunId::written(&format!("{}~{LAUNCH_MAX}", long('a')));
        assert_eq!(last.next_launch(), last);
        assert!(last.as_str().len() <= 255, "{last}");
    }

    #[test]
    fn each_launch_of_an_attempt_has_an_id_of_its_own_that_names_the_attempt_too() {
        let due = Timestamp::from_millisecond(1_700_000_000_000).unwrap_or_default();
        let long = "x".repeat(255);
        for (job, arguments) in [("backup", ""), ("backup", "a b~2"), (&*long, ""), (&*long, "7")] {
            let first = RunId::new(due, 0, &JobName::recorded(job), arguments);
            let second = first.next_launch();
            let third = second.next_launch();
            assert_eq!(second.as_str(), format!("{first}~2"));
            assert_eq!(third.as_str(), format!("{first}~3"));
            for id in [&first, &second, &third] {
                assert_eq!(id.attempt(), first.as_str());
            }
        }
    }
}
