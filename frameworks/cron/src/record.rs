//! What the store holds, each value a JSON document with a format number.
//!
//! | key | value | written when |
//! |---|---|---|
//! | `framework` | whose store this is | at the first start |
//! | `job/<name>` | definition and trigger | the definition changes |
//! | `position/<name>` | which slots are settled, counters, disabled | a run starts or ends |
//! | `run/<id>` | a run that a restart could not derive | it moves |
//! | `ended/<name>/<time>-<n>` | an entry of the history ([`history`](crate::history)) | a run or slot is over |
//!
//! The engine's types are not stored as they are: a record outlives the release that wrote it.

use crate::job::{scheduled, spec_of, text_and_zone};
use jiff::Timestamp;
use meseta_cron_core::job::{Counters, Job, JobName, Trigger};
use meseta_cron_core::run::{Cause, Place, Run, RunId, State, Why};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The format this release writes; older ones are read.
pub(crate) const FORMAT: u32 = 1;

/// Key of the record that says whose store this is.
pub(crate) const FRAMEWORK_KEY: &str = "framework";

/// Where definitions are.
pub(crate) const JOB: &str = "job/";
/// Where positions are.
pub(crate) const POSITION: &str = "position/";
/// Where runs are.
pub(crate) const RUN: &str = "run/";
/// Where the history is.
pub(crate) const ENDED: &str = "ended/";

/// Why a record cannot be read. What it belongs to is known by its key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unreadable(String);

/// Whose store this is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FrameworkRecord {
    pub(crate) format: u32,
    /// Always `cron`.
    pub(crate) role: String,
    pub(crate) framework_name: String,
    pub(crate) framework_id: String,
}

#[derive(Serialize, Deserialize)]
struct JobRecord {
    format: u32,
    definition: serde_json::Value,
    trigger: TriggerRecord,
    generation: u64,
}

/// A schedule is stored as it was sent, with the time of its first slot: an empty start means that time.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum TriggerRecord {
    Schedule {
        text: String,
        zone: String,
        anchor: Option<Timestamp>,
    },
    Parents(Vec<String>),
}

#[derive(Serialize, Deserialize)]
struct PositionRecord {
    format: u32,
    disabled: bool,
    settled: Timestamp,
    success: u64,
    error: u64,
    errors_since_success: u64,
    last_success: Option<Timestamp>,
    last_error: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    parent_successes: BTreeMap<String, u64>,
}

#[derive(Serialize, Deserialize)]
struct RunRecord {
    format: u32,
    id: Arc<str>,
    job: String,
    generation: u64,
    due: Timestamp,
    attempt: u32,
    cause: CauseRecord,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    arguments: Option<Arc<str>>,
    state: StateRecord,
    placed: bool,
    kill_wanted: bool,
    #[serde(default, skip_serializing_if = "is_none")]
    elements: u64,
}

/// Whether there is nothing to write down of a number.
pub(crate) fn is_none(number: &u64) -> bool {
    *number == 0
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
    Retrying {
        at: Timestamp,
    },
    Launched {
        place: PlaceRecord,
    },
    Running {
        place: PlaceRecord,
        since: Timestamp,
        unreachable: Option<Timestamp>,
        /// The task ended well, and a callback is awaited.
        called_back: bool,
    },
}

#[derive(Clone, Serialize, Deserialize)]
struct PlaceRecord {
    agent: Arc<str>,
    host: Arc<str>,
    at: Timestamp,
}

/// What changes when a job is created or replaced.
pub(crate) fn encode_job(job: &Job) -> Vec<u8> {
    let trigger = match &job.spec.trigger {
        Trigger::Schedule { text, schedule } => {
            let (text, zone) = text_and_zone(text);
            TriggerRecord::Schedule {
                text: text.to_owned(),
                zone: zone.to_owned(),
                anchor: schedule.anchor(),
            }
        }
        Trigger::Parents(parents) => {
            TriggerRecord::Parents(parents.iter().map(|parent| parent.as_str().to_owned()).collect())
        }
    };
    encode(&JobRecord {
        format: FORMAT,
        definition: serde_json::from_slice(&job.spec.wire).unwrap_or_default(),
        trigger,
        generation: job.generation,
    })
}

/// What changes with every run.
pub(crate) fn encode_position(job: &Job) -> Vec<u8> {
    let successes = job.parent_successes.iter();
    encode(&PositionRecord {
        format: FORMAT,
        disabled: job.spec.disabled,
        settled: job.settled,
        success: job.counters.success,
        error: job.counters.error,
        errors_since_success: job.counters.errors_since_success,
        last_success: job.counters.last_success,
        last_error: job.counters.last_error,
        parent_successes: successes.map(|(p, n)| (p.as_str().to_owned(), *n)).collect(),
    })
}

/// Decodes a job.
///
/// # Errors
/// What does not fit.
pub(crate) fn decode_job(job: &[u8], position: &[u8]) -> Result<Job, Unreadable> {
    let record: JobRecord = decode(job)?;
    let position: PositionRecord = decode(position)?;
    let unreadable = |e: &dyn std::fmt::Display| Unreadable(e.to_string());
    let definition = serde_json::from_value(record.definition).map_err(|e| unreadable(&e))?;
    let trigger = match record.trigger {
        TriggerRecord::Schedule { text, zone, anchor } => {
            // Only a text without a start looks at the anchor.
            let anchor = anchor.unwrap_or(position.settled);
            scheduled(&text, &zone, anchor).map_err(|e| unreadable(&e))?
        }
        TriggerRecord::Parents(parents) => {
            Trigger::Parents(parents.iter().map(|name| JobName::recorded(name)).collect())
        }
    };
    let spec = spec_of(&definition, trigger, position.disabled).map_err(|e| unreadable(&e))?;
    let successes = position.parent_successes.iter();
    Ok(Job {
        spec: Arc::new(spec),
        settled: position.settled,
        counters: Counters {
            success: position.success,
            error: position.error,
            errors_since_success: position.errors_since_success,
            last_success: position.last_success,
            last_error: position.last_error,
        },
        parent_successes: successes.map(|(p, n)| (JobName::recorded(p), *n)).collect(),
        generation: record.generation,
    })
}

/// Encodes a run.
pub(crate) fn encode_run(run: &Run) -> Vec<u8> {
    let place = |place: &Place| PlaceRecord {
        agent: Arc::clone(&place.agent),
        host: Arc::clone(&place.host),
        at: place.at,
    };
    let state = match &run.state {
        State::Waiting { .. } => StateRecord::Waiting,
        State::Retrying { at } => StateRecord::Retrying { at: *at },
        State::Launched { place: p } => StateRecord::Launched { place: place(p) },
        State::Running {
            place: p,
            since,
            unreachable,
        } => StateRecord::Running {
            place: place(p),
            since: *since,
            unreachable: *unreachable,
            called_back: false,
        },
        State::Awaiting { place: p, since } => StateRecord::Running {
            place: place(p),
            since: *since,
            unreachable: None,
            called_back: true,
        },
    };
    encode(&RunRecord {
        format: FORMAT,
        id: run.id.as_str().into(),
        job: run.job.as_str().to_owned(),
        generation: run.generation,
        due: run.due,
        attempt: run.attempt,
        cause: match run.cause {
            Cause::Slot => CauseRecord::Slot,
            Cause::Parents => CauseRecord::Parents,
            Cause::Manual => CauseRecord::Manual,
        },
        arguments: run.arguments.clone(),
        state,
        placed: run.placed,
        kill_wanted: run.kill_wanted,
        elements: run.elements,
    })
}

/// Decodes a run.
///
/// # Errors
/// What does not fit.
pub(crate) fn decode_run(bytes: &[u8]) -> Result<Run, Unreadable> {
    let record: RunRecord = decode(bytes)?;
    let place = |place: PlaceRecord| Place {
        agent: place.agent,
        host: place.host,
        at: place.at,
    };
    let state = match record.state {
        StateRecord::Waiting => State::Waiting { why: Why::NoOffer },
        StateRecord::Retrying { at } => State::Retrying { at },
        StateRecord::Launched { place: p } => State::Launched { place: place(p) },
        StateRecord::Running {
            place: p,
            since,
            called_back: true,
            ..
        } => State::Awaiting {
            place: place(p),
            since,
        },
        StateRecord::Running {
            place: p,
            since,
            unreachable,
            called_back: false,
        } => State::Running {
            place: place(p),
            since,
            unreachable,
        },
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
        arguments: record.arguments,
        state,
        placed: record.placed,
        kill_wanted: record.kill_wanted,
        elements: record.elements,
    })
}

/// Encodes any record.
pub(crate) fn encode(record: &impl Serialize) -> Vec<u8> {
    // Texts, numbers and times always have a JSON form.
    serde_json::to_vec(record).unwrap_or_default()
}

/// Decodes any record of a format this release knows.
///
/// # Errors
/// Later formats, and what is no such record.
pub(crate) fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Unreadable> {
    #[derive(Deserialize)]
    struct Format {
        format: u32,
    }
    let unreadable = |e: serde_json::Error| Unreadable(e.to_string());
    let found: Format = serde_json::from_slice(bytes).map_err(unreadable)?;
    if found.format > FORMAT {
        let text = format!(
            "its format is {}, this program knows formats up to {FORMAT}",
            found.format
        );
        return Err(Unreadable(text));
    }
    serde_json::from_slice(bytes).map_err(unreadable)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::definition::Defaults;
    use crate::job::read;
    use meseta_cron_core::job::Dialect;
    use serde_json::json;

    fn job(body: serde_json::Value) -> Job {
        let defaults = Defaults {
            cpus: 0.1,
            mem: 128.0,
            disk: 256.0,
            user: "root".into(),
        };
        let now: Timestamp = "2026-01-02T03:04:05.678901234Z".parse().unwrap();
        let wish = read(&body, Dialect::V3, &defaults, now).unwrap();
        Job {
            spec: Arc::new(wish.spec),
            settled: now,
            counters: Counters {
                success: 3,
                last_success: Some(now),
                ..Counters::default()
            },
            parent_successes: [(JobName::recorded("p"), 2)].into(),
            generation: 7,
        }
    }

    #[test]
    fn a_job_comes_back_as_it_was_with_the_moment_its_start_meant() {
        for body in [
            json!({"name": "a", "command": "x", "schedule": "R3//PT1H", "epsilon": "PT60S", "disabled": true}),
            json!({"name": "a", "schedule": "R0//P", "scheduleTimeZone": "Asia/Tokyo"}),
            json!({"name": "a", "schedule": "R/2014-01-31T00:00:00Z/P1M", "constraints": [["rack", "LIKE", "a.*"]]}),
            json!({"name": "a", "schedule": "*/5 * * * *", "scheduleTimeZone": "Europe/Berlin"}),
            json!({"name": "a", "parents": ["p", "q"], "container": {"image": "i"}}),
        ] {
            let before = job(body.clone());
            let after = decode_job(&encode_job(&before), &encode_position(&before)).unwrap();
            // A definition has no equality of its own, but everything of it has a text.
            assert_eq!(format!("{before:?}"), format!("{after:?}"), "{body}");
            let anchors = [&before, &after].map(|job| job.schedule().and_then(|s| s.anchor()));
            assert_eq!(anchors[0], anchors[1], "{body}");
        }
    }

    #[test]
    fn a_run_comes_back_as_it_was() {
        let at: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        let place = Place {
            agent: "a1".into(),
            host: "h1".into(),
            at,
        };
        for state in [
            State::Waiting { why: Why::NoOffer },
            State::Retrying { at },
            State::Launched { place: place.clone() },
            State::Running {
                place: place.clone(),
                since: at,
                unreachable: Some(at),
            },
            State::Awaiting { place, since: at },
        ] {
            let name = JobName::recorded("a");
            let run = Run {
                id: RunId::new(at, 1, &name, "x"),
                job: name,
                generation: 4,
                due: at,
                attempt: 1,
                cause: Cause::Manual,
                arguments: Some("x".into()),
                state,
                placed: true,
                kill_wanted: true,
                elements: 9,
            };
            assert_eq!(decode_run(&encode_run(&run)).unwrap(), run);
        }
    }

    #[test]
    fn a_record_of_a_later_release_and_a_damaged_one_are_told_apart_from_ours() {
        let job = job(json!({"name": "a", "parents": ["p"]}));
        let (definition, position) = (encode_job(&job), encode_position(&job));
        let later = String::from_utf8(definition.clone())
            .unwrap()
            .replace("\"format\":1", "\"format\":9");
        let error = decode_job(later.as_bytes(), &position).unwrap_err();
        assert!(error.to_string().contains("format is 9"), "{error}");
        assert!(decode_job(&definition[..definition.len() / 2], &position).is_err());
        assert!(decode_job(&definition, b"").is_err());
        assert!(decode_run(b"null").is_err());
    }
}
