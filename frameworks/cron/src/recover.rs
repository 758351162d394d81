//! Reading the store at the start: whose it is, and what it holds.
//!
//! A record that cannot be read is named, left where it is, and does not keep the others from working.

use crate::board::{Applied, Board};
use crate::history::Entry;
use crate::record::{self, ENDED, FRAMEWORK_KEY, FrameworkRecord, JOB, POSITION, RUN};
use jiff::Timestamp;
use meseta_cron_core::engine::{self, Engine};
use meseta_cron_core::job::{Job, JobName};
use meseta_cron_core::run::Run;
use meseta_store::{Entry as StoreEntry, Key, ReadError, Store};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a store holds.
pub(crate) struct Recovered {
    pub(crate) engine: Engine,
    pub(crate) board: Board,
    /// Whose it is; `None`: it is new.
    pub(crate) framework: Option<FrameworkRecord>,
    /// Keys of the history that are over the limit or of jobs that are gone.
    pub(crate) leftovers: Vec<Key>,
}

/// Why a store cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It holds somebody else's records.
    #[error("the store is not the cron framework's: {0}; name another --work_dir")]
    Foreign(String),
}

/// Reads everything. Blocks on the disk.
///
/// # Errors
/// A foreign store, or one that cannot be read.
pub(crate) fn recover(
    store: &dyn Store,
    engine: engine::Config,
    limit: usize,
    now: Timestamp,
) -> Result<Recovered, StoreError> {
    let framework = owner_of(store)?;
    let mut board = Board::new(now);
    let mut broken = BTreeMap::new();
    let positions = store.list(POSITION)?;
    let positions: BTreeMap<&str, &StoreEntry> = positions
        .iter()
        .map(|entry| (named(entry, POSITION), entry))
        .collect();
    let mut jobs: Vec<Job> = Vec::new();
    for entry in store.list(JOB)? {
        let name = named(&entry, JOB);
        let position = positions
            .get(name)
            .map(|entry| &entry.value[..])
            .unwrap_or_default();
        match record::decode_job(&entry.value, position) {
            Ok(job) => {
                board.apply(Applied::Job(job.clone()), limit);
                jobs.push(job);
            }
            Err(error) => {
                tracing::error!(key = %entry.key, %error, "a job cannot be read and is left out");
                broken.insert(JobName::recorded(name), error.to_string());
            }
        }
    }
    board.broken = Arc::new(broken);
    let mut runs: Vec<Run> = Vec::new();
    for entry in store.list(RUN)? {
        match record::decode_run(&entry.value) {
            Ok(run) => {
                board.put_run(run.clone());
                runs.push(run);
            }
            Err(error) => tracing::error!(key = %entry.key, %error, "a run cannot be read and is left out"),
        }
    }
    let leftovers = history(store, &mut board, limit)?;
    tracing::info!(
        jobs = jobs.len(),
        runs = runs.len(),
        broken = board.broken.len(),
        "store read"
    );
    Ok(Recovered {
        engine: Engine::recover(engine, jobs, runs),
        board,
        framework,
        leftovers,
    })
}

fn named<'a>(entry: &'a StoreEntry, prefix: &str) -> &'a str {
    let key = entry.key.as_str();
    key.strip_prefix(prefix).unwrap_or(key)
}

fn owner_of(store: &dyn Store) -> Result<Option<FrameworkRecord>, StoreError> {
    let found = store.list(FRAMEWORK_KEY)?;
    let Some(entry) = found.iter().find(|entry| entry.key.as_str() == FRAMEWORK_KEY) else {
        let anything = store.list("")?;
        return match anything.first() {
            None => Ok(None),
            Some(entry) => Err(StoreError::Foreign(format!("it holds '{}'", entry.key))),
        };
    };
    let record: FrameworkRecord =
        record::decode(&entry.value).map_err(|e| StoreError::Foreign(e.to_string()))?;
    match record.role.as_str() {
        "cron" => Ok(Some(record)),
        other => Err(StoreError::Foreign(format!("it belongs to '{other}'"))),
    }
}

/// Puts the history on the board; gives back what has no place there.
fn history(store: &dyn Store, board: &mut Board, limit: usize) -> Result<Vec<Key>, StoreError> {
    let mut leftovers = Vec::new();
    let mut of: BTreeMap<JobName, usize> = BTreeMap::new();
    let entries = store.list(ENDED)?;
    // From the end, so that the newest stay.
    let mut kept = Vec::new();
    for entry in entries.into_iter().rev() {
        match Entry::decode(entry.key.as_str(), &entry.value) {
            Ok((name, decoded)) => {
                let count = of.entry(name.clone()).or_insert(0);
                if *count < limit && board.get(&name).is_some() {
                    *count += 1;
                    kept.push((name, decoded));
                } else if !board.broken.contains_key(&name) {
                    leftovers.push(entry.key);
                }
            }
            Err(error) => {
                tracing::error!(key = %entry.key, %error, "an entry of the history cannot be read");
            }
        }
    }
    for (name, entry) in kept.into_iter().rev() {
        board.apply(Applied::Ended(name, Arc::new(entry)), limit);
    }
    Ok(leftovers)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::definition::Defaults;
    use meseta_cron_core::job::Dialect;
    use meseta_store::{Change, Commit, Memory, Outcome};
    use serde_json::json;

    fn write(store: &Memory, key: &str, value: impl Into<Vec<u8>>) {
        let change = Change::put(Key::new(key).unwrap(), value.into());
        let outcome = store
            .submit(Commit {
                changes: vec![change],
            })
            .wait();
        assert!(matches!(outcome, Outcome::Done(_)));
    }

    fn framework(store: &Memory, role: &str) {
        let record = FrameworkRecord {
            format: 1,
            role: role.into(),
            framework_name: "chronos".into(),
            framework_id: "chronos-1".into(),
        };
        write(store, FRAMEWORK_KEY, record::encode(&record));
    }

    fn read(store: &Memory) -> Result<Recovered, StoreError> {
        recover(store, engine::Config::default(), 2, Timestamp::UNIX_EPOCH)
    }

    fn job(name: &str) -> Job {
        let defaults = Defaults {
            cpus: 0.1,
            mem: 1.0,
            disk: 1.0,
            user: String::new(),
        };
        let now = "2026-01-02T03:04:05Z".parse().unwrap();
        let body = json!({"name": name, "schedule": "R//PT1H"});
        Job {
            spec: Arc::new(crate::job::read(&body, Dialect::V3, &defaults, now).unwrap().spec),
            settled: now,
            counters: Default::default(),
            parent_successes: Default::default(),
            generation: 1,
        }
    }

    #[test]
    fn somebody_elses_store_is_refused_by_what_it_holds() {
        let store = Memory::default();
        assert!(read(&store).unwrap().framework.is_none());
        write(&store, "agent/1", "x");
        let refused = read(&store).err().unwrap().to_string();
        assert!(refused.contains("it holds 'agent/1'"), "{refused}");
        let store = Memory::default();
        framework(&store, "service");
        let refused = read(&store).err().unwrap().to_string();
        assert!(refused.contains("belongs to 'service'"), "{refused}");
    }

    #[test]
    fn a_damaged_job_is_named_and_the_others_work() {
        let store = Memory::default();
        framework(&store, "cron");
        for name in ["a", "b"] {
            write(&store, &format!("job/{name}"), record::encode_job(&job(name)));
            write(
                &store,
                &format!("position/{name}"),
                record::encode_position(&job(name)),
            );
        }
        write(&store, "job/b", "{\"format\":1,");
        write(&store, "run/x", "nonsense");
        let recovered = read(&store).unwrap();
        assert_eq!(recovered.engine.jobs().len(), 1);
        assert!(recovered.board.get(&JobName::recorded("a")).is_some());
        assert!(recovered.board.broken.contains_key(&JobName::recorded("b")));
    }

    #[test]
    fn the_newest_entries_are_shown_and_the_others_given_back() {
        use meseta_cron_core::run::{Cause, Ended, RunId, RunResult};
        let store = Memory::default();
        framework(&store, "cron");
        write(&store, "job/a", record::encode_job(&job("a")));
        write(&store, "position/a", record::encode_position(&job("a")));
        for (name, second) in [("a", 1), ("a", 2), ("a", 3), ("gone", 1)] {
            let name = JobName::recorded(name);
            let ended = Ended {
                job: name.clone(),
                id: RunId::written("x"),
                due: Timestamp::UNIX_EPOCH,
                attempt: 0,
                cause: Cause::Slot,
                place: None,
                started: None,
                ended: Timestamp::from_second(second).unwrap(),
                result: RunResult::Success,
                slots: 0,
                elements: 0,
            };
            let entry = Entry::of(&ended, 1);
            write(&store, entry.key(&name).unwrap().as_str(), entry.encode());
        }
        let recovered = read(&store).unwrap();
        let seen = recovered.board.get(&JobName::recorded("a")).unwrap();
        let kept: Vec<i64> = seen.history.iter().map(|entry| entry.ended.as_second()).collect();
        assert_eq!((kept, recovered.leftovers.len()), (vec![2, 3], 2));
    }
}
