//! What the store holds: `job/<name>`, `run/<id>` and `ended/<job>/<time>-<n>`, each a JSON document with a format
//! number. The engine's types are not stored as they are: a record outlives the release that wrote it.

use crate::job::{self, spec_of};
use jiff::Timestamp;
use meseta_cron_core::job::{Counters, Job, JobName, Trigger};
use meseta_cron_core::run::{Cause, Ended, Place, Run, RunId, RunResult, State, Why};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The format this release writes; older ones are read.
const FORMAT: u32 = 1;

/// Why a record cannot be read. The job or run it belongs to is known by its key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(String);

#[derive(Serialize, Deserialize)]
struct JobRecord {
    format: u32,
    definition: serde_json::Value,
    trigger: TriggerRecord,
    disabled: bool,
    settled: Timestamp,
    success: u64,
    error: u64,
    errors_since_success: u64,
    last_success: Option<Timestamp>,
    last_error: Option<Timestamp>,
    parent_successes: BTreeMap<String, u64>,
    generation: u64,
}

/// A schedule is stored as it was sent, with the time of its first slot: an empty start means that time.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum TriggerRecord {
    Schedule { text: String, anchor: Timestamp },
    Parents(Vec<String>),
}

#[derive(Serialize, Deserialize)]
struct RunRecord {
    format: u32,
    id: String,
    job: String,
    generation: u64,
    due: Timestamp,
    attempt: u32,
    cause: CauseRecord,
    arguments: Option<String>,
    state: StateRecord,
    kill_wanted: bool,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum CauseRecord {
    Slot,
    Parents,
    Manual,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StateRecord {
    Waiting,
    Retrying { at: Timestamp },
    Launched { place: PlaceRecord },
    Running { place: PlaceRecord, since: Timestamp, unreachable: Option<Timestamp>, called_back: bool },
}

#[derive(Clone, Serialize, Deserialize)]
struct PlaceRecord {
    agent: String,
    host: String,
    at: Timestamp,
}

/// One entry of the history, as stored and as shown.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)] // the names say it
pub struct EndedRecord {
    pub format: u32,
    pub job: String,
    pub id: String,
    pub due: Timestamp,
    pub attempt: u32,
    pub cause: String,
    pub agent: Option<String>,
    pub host: Option<String>,
    pub started: Option<Timestamp>,
    pub ended: Timestamp,
    pub result: String,
    pub message: String,
    pub slots: u64,
}

/// Encodes a job.
pub(crate) fn encode_job(job: &Job) -> Vec<u8> {
    let trigger = match &job.spec.trigger {
        Trigger::Schedule { text, schedule } => TriggerRecord::Schedule {
            text: text.to_string(),
            anchor: schedule.after(Timestamp::MIN).map_or(Timestamp::UNIX_EPOCH, |slot| slot.at),
        },
        Trigger::Parents(parents) => {
            TriggerRecord::Parents(parents.iter().map(|parent| parent.as_str().to_owned()).collect())
        }
    };
    let record = JobRecord {
        format: FORMAT,
        definition: serde_json::from_slice(&job.spec.wire).unwrap_or_default(),
        trigger,
        disabled: job.spec.disabled,
        settled: job.settled,
        success: job.counters.success,
        error: job.counters.error,
        errors_since_success: job.counters.errors_since_success,
        last_success: job.counters.last_success,
        last_error: job.counters.last_error,
        parent_successes: job.parent_successes.iter().map(|(p, n)| (p.as_str().to_owned(), *n)).collect(),
        generation: job.generation,
    };
    encode(&record)
}

/// Decodes a job.
///
/// # Errors
/// What does not fit.
pub(crate) fn decode_job(bytes: &[u8]) -> Result<Job, Unreadable> {
    let record: JobRecord = decode(bytes)?;
    let definition = serde_json::from_value(record.definition).map_err(|e| Unreadable(e.to_string()))?;
    let trigger = match record.trigger {
        TriggerRecord::Schedule { text, anchor } => {
            job::recorded_schedule(&text, anchor).map_err(|e| Unreadable(e.to_string()))?
        }
        TriggerRecord::Parents(parents) => {
            Trigger::Parents(parents.iter().map(|name| JobName::recorded(name)).collect())
        }
    };
    let spec = spec_of(&definition, trigger, record.disabled).map_err(|e| Unreadable(e.to_string()))?;
    Ok(Job {
        spec: Arc::new(spec),
        settled: record.settled,
        counters: Counters {
            success: record.success,
            error: record.error,
            errors_since_success: record.errors_since_success,
            last_success: record.last_success,
            last_error: record.last_error,
        },
        parent_successes: record.parent_successes.iter().map(|(p, n)| (JobName::recorded(p), *n)).collect(),
        generation: record.generation,
    })
}

/// Encodes a run.
pub(crate) fn encode_run(run: &Run) -> Vec<u8> {
    let place = |place: &Place| PlaceRecord {
        agent: place.agent.to_string(),
        host: place.host.to_string(),
        at: place.at,
    };
    let state = match &run.state {
        State::Waiting { .. } => StateRecord::Waiting,
        State::Retrying { at } => StateRecord::Retrying { at: *at },
        State::Launched { place: p } => StateRecord::Launched { place: place(p) },
        State::Running { place: p, since, unreachable, called_back } => StateRecord::Running {
            place: place(p),
            since: *since,
            unreachable: *unreachable,
            called_back: *called_back,
        },
    };
    encode(&RunRecord {
        format: FORMAT,
        id: run.id.as_str().to_owned(),
        job: run.job.as_str().to_owned(),
        generation: run.generation,
        due: run.due,
        attempt: run.attempt,
        cause: match run.cause {
            Cause::Slot => CauseRecord::Slot,
            Cause::Parents => CauseRecord::Parents,
            Cause::Manual => CauseRecord::Manual,
        },
        arguments: run.arguments.as_deref().map(str::to_owned),
        state,
        kill_wanted: run.kill_wanted,
    })
}

/// Decodes a run.
///
/// # Errors
/// What does not fit.
pub(crate) fn decode_run(bytes: &[u8]) -> Result<Run, Unreadable> {
    let record: RunRecord = decode(bytes)?;
    let place = |place: PlaceRecord| Place { agent: place.agent.into(), host: place.host.into(), at: place.at };
    let state = match record.state {
        StateRecord::Waiting => State::Waiting { why: Why::NoOffer },
        StateRecord::Retrying { at } => State::Retrying { at },
        StateRecord::Launched { place: p } => State::Launched { place: place(p) },
        StateRecord::Running { place: p, since, unreachable, called_back } => {
            State::Running { place: place(p), since, unreachable, called_back }
        }
    };
    Ok(Run {
        id: RunId::written(&record.id),
        job: JobName::recorded(&record.job),
        generation: record.generation,
        due: record.due,
        attempt: record.attempt,
        cause: match record.cause {
            CauseRecord::Slot => Cause::Slot,
            CauseRecord::Parents => Cause::Parents,
            CauseRecord::Manual => Cause::Manual,
        },
        arguments: record.arguments.map(Arc::from),
        state,
        kill_wanted: record.kill_wanted,
    })
}

impl EndedRecord {
    /// The entry of an end.
    pub(crate) fn of(ended: &Ended) -> EndedRecord {
        let (result, message) = match &ended.result {
            RunResult::Success => ("success", Arc::from("")),
            RunResult::Failed(message) => ("failed", Arc::clone(message)),
            RunResult::Lost(message) => ("lost", Arc::clone(message)),
            RunResult::Killed => ("killed", Arc::from("")),
            RunResult::Missed(why) => ("missed", Arc::clone(why)),
            RunResult::Superseded => ("superseded", Arc::from("a later start took its place")),
            RunResult::Cancelled(why) => ("cancelled", Arc::clone(why)),
        };
        EndedRecord {
            format: FORMAT,
            job: ended.job.as_str().to_owned(),
            id: ended.id.as_str().to_owned(),
            due: ended.due,
            attempt: ended.attempt,
            cause: match ended.cause {
                Cause::Slot => "slot",
                Cause::Parents => "parents",
                Cause::Manual => "manual",
            }
            .to_owned(),
            agent: ended.place.as_ref().map(|place| place.agent.to_string()),
            host: ended.place.as_ref().map(|place| place.host.to_string()),
            started: ended.started,
            ended: ended.ended,
            result: result.to_owned(),
            message: message.to_string(),
            slots: ended.slots,
        }
    }

    /// Encodes the entry.
    pub(crate) fn encode(&self) -> Vec<u8> {
        encode(self)
    }

    /// Decodes an entry.
    ///
    /// # Errors
    /// What does not fit.
    pub(crate) fn decode(bytes: &[u8]) -> Result<EndedRecord, Unreadable> {
        decode(bytes)
    }
}

fn encode(record: &impl Serialize) -> Vec<u8> {
    // Texts, numbers and times always have a JSON form.
    serde_json::to_vec(record).unwrap_or_default()
}

fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Unreadable> {
    #[derive(Deserialize)]
    struct Format {
        format: u32,
    }
    let found: Format = serde_json::from_slice(bytes).map_err(|e| Unreadable(e.to_string()))?;
    if found.format > FORMAT {
        return Err(Unreadable(format!("its format is {}, this program knows formats up to {FORMAT}", found.format)));
    }
    serde_json::from_slice(bytes).map_err(|e| Unreadable(e.to_string()))
}
