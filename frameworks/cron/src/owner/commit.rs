//! Writing: from the engine's changes to a commit of the store, and onto the board once it is durable.

use super::Owner;
use crate::board::Applied;
use crate::history::Entry;
use crate::numbers::Numbers;
use crate::record::{self, JOB, POSITION, RUN};
use meseta_cron_core::io::{Answer, Change, CommitId, Refusal};
use meseta_cron_core::job::{Job, JobName};
use meseta_store::{Commit, Key, Outcome, Pending};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::oneshot;

/// The commit that is under way.
pub(super) struct Under {
    pub(super) id: CommitId,
    pending: Pending,
    pub(super) applied: Vec<Applied>,
    /// Updates with a token up to here were part of it, or of an earlier one.
    pub(super) last_token: u64,
}

/// Resolves when the commit is settled; never without one. Cancel-safe.
pub(super) async fn settled(under: &mut Option<Under>) -> (Outcome, Under) {
    let outcome = match under {
        Some(under) => (&mut under.pending).await,
        None => std::future::pending().await,
    };
    match under.take() {
        Some(under) => (outcome, under),
        None => std::future::pending().await,
    }
}

/// History entries of one job that go in one commit.
#[derive(Default)]
struct Trim {
    added: usize,
    removed: usize,
}

impl Owner {
    /// Submits the engine's changes.
    pub(super) fn write(&mut self, id: CommitId, changes: Vec<Change>) {
        let mut commit = Commit::default();
        let mut applied = Vec::with_capacity(changes.len());
        let mut trims: BTreeMap<JobName, Trim> = BTreeMap::new();
        for change in changes {
            match change {
                Change::Job(job) => {
                    self.write_job(&mut commit, &job);
                    applied.push(Applied::Job(job));
                }
                Change::DropJob(name) => {
                    delete(&mut commit, &format!("{JOB}{name}"));
                    delete(&mut commit, &format!("{POSITION}{name}"));
                    self.drop_history(&mut commit, &name);
                    applied.push(Applied::DropJob(name));
                }
                Change::Run(run) => {
                    put(&mut commit, &format!("{RUN}{}", run.id), record::encode_run(&run));
                    applied.push(Applied::Run(run));
                }
                Change::DropRun(id) => {
                    delete(&mut commit, &format!("{RUN}{id}"));
                    if let Some(name) = self.run_jobs.get(&id) {
                        applied.push(Applied::DropRun(name.clone(), id));
                    }
                }
                // Of a job that is gone there is no history.
                Change::Ended(ended) if !self.engine.jobs().contains_key(&ended.job) => {}
                Change::Ended(ended) => {
                    self.entries += 1;
                    let entry = Entry::of(&ended, self.entries);
                    if let Ok(key) = entry.key(&ended.job) {
                        let change = meseta_store::Change::put(key, entry.encode());
                        commit.changes.push(change);
                    }
                    let trim = trims.entry(ended.job.clone()).or_default();
                    trim.added += 1;
                    self.trim(&mut commit, &ended.job, trim);
                    applied.push(Applied::Ended(ended.job, Arc::new(entry)));
                }
            }
        }
        Numbers::add(&self.doors.numbers.commits, 1);
        self.commit = Some(Under {
            id,
            pending: self.doors.store.submit(commit),
            applied,
            last_token: self.next,
        });
    }

    /// The definition is written when it is another one; the position always.
    fn write_job(&self, commit: &mut Commit, job: &Job) {
        let name = &job.spec.name;
        let before = self.board.get(name).map(|seen| &seen.job);
        let same_life = before.filter(|before| before.generation == job.generation);
        if same_life.is_none() {
            self.drop_history(commit, name);
        }
        if same_life.is_none_or(|before| !Arc::ptr_eq(&before.spec, &job.spec)) {
            put(commit, &format!("{JOB}{name}"), record::encode_job(job));
        }
        put(commit, &format!("{POSITION}{name}"), record::encode_position(job));
    }

    fn drop_history(&self, commit: &mut Commit, name: &JobName) {
        let entries = self.board.get(name).into_iter().flat_map(|seen| &seen.history);
        let keys = entries.filter_map(|entry| entry.key(name).ok());
        commit.changes.extend(keys.map(meseta_store::Change::delete));
    }

    /// Removes the oldest entries of a job beyond the limit.
    fn trim(&self, commit: &mut Commit, name: &JobName, trim: &mut Trim) {
        let Some(seen) = self.board.get(name) else { return };
        while seen.history.len() + trim.added > self.doors.history_limit + trim.removed {
            let Some(oldest) = seen.history.get(trim.removed) else {
                return;
            };
            if let Ok(key) = oldest.key(name) {
                commit.changes.push(meseta_store::Change::delete(key));
            }
            trim.removed += 1;
        }
    }

    /// Shows what is durable now.
    pub(super) fn apply(&mut self, applied: Vec<Applied>) {
        for change in applied {
            match &change {
                Applied::Run(run) => {
                    self.run_jobs.insert(run.id.clone(), run.job.clone());
                }
                Applied::DropRun(_, id) => {
                    self.run_jobs.remove(id);
                }
                Applied::Ended(_, entry) => self.doors.numbers.ended(entry.result, entry.slots),
                Applied::Job(job) if self.board.broken.contains_key(&job.spec.name) => {
                    Arc::make_mut(&mut self.board.broken).remove(&job.spec.name);
                }
                Applied::Job(_) | Applied::DropJob(_) => {}
            }
            if let Some(seen) = self.board.apply(change, self.doors.history_limit) {
                self.removed.insert(seen.job.spec.name.clone(), seen);
            }
        }
    }

    /// Removes the records of a job that cannot be read, and answers when that is durable.
    pub(super) fn forget_broken(&mut self, name: JobName, answer: oneshot::Sender<Result<Answer, Refusal>>) {
        let mut commit = Commit::default();
        delete(&mut commit, &format!("{JOB}{name}"));
        delete(&mut commit, &format!("{POSITION}{name}"));
        let pending = self.doors.store.submit(commit);
        self.calls.push(Box::pin(async move {
            super::master::Told::Forgotten {
                name,
                outcome: pending.await,
                answer,
            }
        }));
    }
}

fn put(commit: &mut Commit, key: &str, value: Vec<u8>) {
    match Key::new(key) {
        Ok(key) => commit.changes.push(meseta_store::Change::put(key, value)),
        // Names are checked when a job is created; ids are made of them.
        Err(error) => tracing::error!(key, %error, "not stored"),
    }
}

fn delete(commit: &mut Commit, key: &str) {
    if let Ok(key) = Key::new(key) {
        commit.changes.push(meseta_store::Change::delete(key));
    }
}
