//! What became of runs: the last entries of each job, kept in the store and on the board.
//!
//! An entry is one attempt, or slots without one. Keys sort by job and time, so what is read at a start comes in order.

use crate::record::{self, ENDED, FORMAT, Unreadable};
use jiff::Timestamp;
use meseta_cron_core::job::JobName;
use meseta_cron_core::run::{Cause, Ended, RunResult};
use meseta_store::{Key, KeyError};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// How an attempt, or a slot without one, ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Result {
    Success,
    Failed,
    Lost,
    Killed,
    Missed,
    Superseded,
    Cancelled,
}

impl Result {
    /// As readers see it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Result::Success => "success",
            Result::Failed => "failed",
            Result::Lost => "lost",
            Result::Killed => "killed",
            Result::Missed => "missed",
            Result::Superseded => "superseded",
            Result::Cancelled => "cancelled",
        }
    }
}

/// Why there was a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Origin {
    Slot,
    Parents,
    Manual,
}

impl From<Cause> for Origin {
    fn from(cause: Cause) -> Origin {
        match cause {
            Cause::Slot => Origin::Slot,
            Cause::Parents => Origin::Parents,
            Cause::Manual => Origin::Manual,
        }
    }
}

impl Origin {
    /// As readers see it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Origin::Slot => "slot",
            Origin::Parents => "parents",
            Origin::Manual => "manual",
        }
    }
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Entry {
    format: u32,
    /// Tells entries of one nanosecond apart; part of the key.
    #[serde(skip)]
    number: u64,
    pub(crate) id: Arc<str>,
    pub(crate) due: Timestamp,
    pub(crate) attempt: u32,
    pub(crate) cause: Origin,
    pub(crate) agent: Option<Arc<str>>,
    pub(crate) host: Option<Arc<str>>,
    /// When its launch was recorded.
    pub(crate) placed: Option<Timestamp>,
    /// When it was first heard of.
    pub(crate) started: Option<Timestamp>,
    pub(crate) ended: Timestamp,
    pub(crate) result: Result,
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub(crate) message: Arc<str>,
    /// How many slots it stands for.
    pub(crate) slots: u64,
    /// Elements it said to have processed.
    #[serde(default, skip_serializing_if = "record::is_none")]
    pub(crate) elements: u64,
}

/// Longest message kept of a run, in bytes: a task can say what it likes, and history is kept in memory.
const MESSAGE_BYTES_MAX: usize = 500;

impl Entry {
    /// The entry of an end. `number` counts up over all entries of a process.
    pub(crate) fn of(ended: &Ended, number: u64) -> Entry {
        let none = || Arc::from("");
        let (result, message) = match &ended.result {
            RunResult::Success => (Result::Success, none()),
            RunResult::Failed(message) => (Result::Failed, Arc::clone(message)),
            RunResult::Lost(message) => (Result::Lost, Arc::clone(message)),
            RunResult::Killed => (Result::Killed, none()),
            RunResult::Missed(why) => (Result::Missed, Arc::clone(why)),
            RunResult::Superseded => (Result::Superseded, Arc::from("a later start took its place")),
            RunResult::Cancelled(why) => (Result::Cancelled, Arc::clone(why)),
        };
        let place = ended.place.as_ref();
        Entry {
            format: FORMAT,
            number,
            id: ended.id.as_str().into(),
            due: ended.due,
            attempt: ended.attempt,
            cause: ended.cause.into(),
            agent: place.map(|place| Arc::clone(&place.agent)),
            host: place.map(|place| Arc::clone(&place.host)),
            placed: place.map(|place| place.at),
            started: ended.started,
            ended: ended.ended,
            result,
            message: shortened(message),
            slots: ended.slots.max(1),
            elements: ended.elements,
        }
    }

    /// Under which key it is stored.
    ///
    /// # Errors
    /// A name that no key can hold; names are checked when a job is created.
    pub(crate) fn key(&self, job: &JobName) -> std::result::Result<Key, KeyError> {
        let nanos = self.ended.as_nanosecond().max(0);
        Key::new(format!("{ENDED}{job}/{nanos:020}-{:06}", self.number % 1_000_000))
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        record::encode(self)
    }

    /// Decodes what is stored under a key; gives the job it belongs to as well.
    ///
    /// # Errors
    /// What does not fit.
    pub(crate) fn decode(key: &str, bytes: &[u8]) -> std::result::Result<(JobName, Entry), Unreadable> {
        let mut entry: Entry = record::decode(bytes)?;
        let rest = key.strip_prefix(ENDED).unwrap_or(key);
        let (job, tail) = rest.rsplit_once('/').unwrap_or((rest, ""));
        let number = tail.rsplit_once('-').and_then(|(_, number)| number.parse().ok());
        entry.number = number.unwrap_or(0);
        Ok((JobName::recorded(job), entry))
    }

    /// Whether there was a task.
    pub(crate) fn had_task(&self) -> bool {
        self.agent.is_some()
    }

    /// How long its task took, from the first word about it.
    pub(crate) fn took_millis(&self) -> Option<i64> {
        Some(millis(self.started?, self.ended))
    }

    /// How long the whole run took, from its nominal time, as Chronos measures it.
    pub(crate) fn took_since_due_millis(&self) -> i64 {
        millis(self.due, self.ended)
    }
}

fn shortened(message: Arc<str>) -> Arc<str> {
    if message.len() <= MESSAGE_BYTES_MAX {
        return message;
    }
    let end = (0..=MESSAGE_BYTES_MAX)
        .rev()
        .find(|at| message.is_char_boundary(*at))
        .unwrap_or(0);
    format!("{}...", &message[..end]).into()
}

fn millis(from: Timestamp, to: Timestamp) -> i64 {
    to.as_millisecond().saturating_sub(from.as_millisecond()).max(0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use meseta_cron_core::run::{Place, RunId};

    fn ended(message: &str) -> Ended {
        let at = |second| Timestamp::from_second(second).unwrap();
        Ended {
            job: JobName::recorded("a b"),
            id: RunId::written("ct:0:0:a b:"),
            due: at(10),
            attempt: 0,
            cause: Cause::Slot,
            place: Some(Place {
                agent: "a1".into(),
                host: "h1".into(),
                at: at(11),
            }),
            started: Some(at(12)),
            ended: at(15),
            result: RunResult::Failed(message.into()),
            slots: 0,
            elements: 0,
        }
    }

    #[test]
    fn an_entry_comes_back_with_its_job_and_its_key() {
        let entry = Entry::of(&ended("it broke"), 7);
        let key = entry.key(&JobName::recorded("a b")).unwrap();
        let (job, back) = Entry::decode(key.as_str(), &entry.encode()).unwrap();
        assert_eq!((job.as_str(), &back), ("a b", &entry));
        assert_eq!(back.key(&job).unwrap(), key);
        assert_eq!(
            (back.took_millis(), back.took_since_due_millis()),
            (Some(3_000), 5_000)
        );
    }

    #[test]
    fn keys_of_one_job_sort_by_time() {
        let name = JobName::recorded("a");
        let key = |second, number| {
            let mut ended = ended("");
            ended.ended = Timestamp::from_second(second).unwrap();
            Entry::of(&ended, number).key(&name).unwrap()
        };
        assert!(key(9, 5) < key(10, 1) && key(10, 1) < key(10, 2) && key(10, 2) < key(4_000_000_000, 0));
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let entry = Entry::of(&ended(&"ä".repeat(400)), 1);
        assert!(entry.message.len() <= MESSAGE_BYTES_MAX + 3 && entry.message.ends_with("ä..."));
    }
}
