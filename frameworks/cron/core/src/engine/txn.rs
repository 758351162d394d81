//! What changed since the last commit: kept so that it can be written, and taken back when the store refuses.

use super::Engine;
use crate::io::{Change, Effect, Refusal};
use crate::job::{Job, JobName};
use crate::run::{Ended, Run, RunId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Changes that are not written yet.
#[derive(Debug, Default)]
pub(super) struct Txn {
    /// As they were before; `None`: not there.
    jobs: BTreeMap<JobName, Option<Job>>,
    runs: BTreeMap<RunId, Option<Run>>,
    ended: Vec<Ended>,
    /// Runs that readers see change though nothing of them is written, with their job.
    shown: BTreeMap<RunId, JobName>,
    /// What leaves when the changes are durable.
    pub(super) released: Vec<Effect>,
}

impl Txn {
    /// Whether there is anything to write.
    pub(super) fn is_empty(&self) -> bool {
        self.jobs.is_empty() && self.ended.is_empty() && self.runs.is_empty()
    }

    /// How many changes there are.
    pub(super) fn len(&self) -> usize {
        self.jobs.len() + self.runs.len() + self.ended.len()
    }
}

impl Engine {
    /// A job, to be changed. `None` if there is none.
    pub(super) fn job_mut(&mut self, name: &JobName) -> Option<&mut Job> {
        let job = self.jobs.get_mut(name)?;
        self.txn
            .jobs
            .entry(name.clone())
            .or_insert_with(|| Some(job.clone()));
        Some(job)
    }

    pub(super) fn put_job(&mut self, job: Job) {
        let name = job.spec.name.clone();
        let before = self.jobs.get(&name).cloned();
        self.txn.jobs.entry(name.clone()).or_insert(before);
        self.graph.set(&name, job.parents());
        self.jobs.insert(name.clone(), job);
        self.index_job(&name);
    }

    pub(super) fn drop_job(&mut self, name: &JobName) {
        let before = self.jobs.remove(name);
        self.txn.jobs.entry(name.clone()).or_insert(before);
        self.graph.remove(name);
        self.index_job(name);
    }

    /// Sets a run. One that a restart would derive anyway is not written.
    pub(super) fn put_run(&mut self, run: Run) {
        let id = run.id.clone();
        let before = self.runs.get(&id).cloned();
        let only_reason = before.as_ref().is_some_and(|before| before.waits_like(&run));
        if !only_reason && (run.is_durable() || before.as_ref().is_some_and(Run::is_durable)) {
            self.txn.runs.entry(id.clone()).or_insert(before);
        } else {
            self.txn.shown.insert(id.clone(), run.job.clone());
        }
        self.runs_of
            .entry(run.job.clone())
            .or_default()
            .insert(id.clone());
        self.runs.insert(id.clone(), run);
        self.index_run(&id);
    }

    pub(super) fn drop_run(&mut self, id: &RunId) -> Option<Run> {
        let run = self.runs.remove(id)?;
        if run.is_durable() || self.txn.runs.contains_key(id) {
            self.txn
                .runs
                .entry(id.clone())
                .or_insert_with(|| Some(run.clone()));
        }
        self.unheard.remove(id);
        self.txn.shown.insert(id.clone(), run.job.clone());
        if let Some(runs) = self.runs_of.get_mut(&run.job) {
            runs.remove(id);
            if runs.is_empty() {
                self.runs_of.remove(&run.job);
            }
        }
        self.index_run(id);
        Some(run)
    }

    /// What was written is durable: runs that are gone with it do not come back.
    pub(super) fn forget_dropped(&mut self, txn: &Txn) {
        for id in txn.runs.keys().filter(|id| !self.runs.contains_key(id)) {
            self.asked.remove(id);
            self.launched_at.remove(id);
        }
    }

    pub(super) fn record(&mut self, ended: Ended) {
        self.txn.ended.push(ended);
    }

    /// Tells readers of the runs that are not written. Those that are written can be seen in the changes.
    pub(super) fn show(&mut self) {
        for (run, job) in std::mem::take(&mut self.txn.shown) {
            if !self.txn.runs.contains_key(&run) || self.runs.get(&run).is_some_and(|run| !run.is_durable()) {
                let is = self.runs.get(&run).cloned();
                self.txn.released.push(Effect::Show { run, job, is });
            }
        }
    }

    /// What is to be written.
    pub(super) fn changes(&self) -> Vec<Change> {
        let jobs = self.txn.jobs.keys().map(|name| match self.jobs.get(name) {
            Some(job) => Change::Job(job.clone()),
            None => Change::DropJob(name.clone()),
        });
        let runs = self.txn.runs.keys().map(|id| match self.runs.get(id) {
            Some(run) if run.is_durable() => Change::Run(run.clone()),
            _ => Change::DropRun(id.clone()),
        });
        jobs.chain(runs)
            .chain(self.txn.ended.iter().cloned().map(Change::Ended))
            .collect()
    }

    /// Puts everything back as it was and tells the callers. Updates are not acknowledged, so they come again;
    /// offers that were to be used are declined.
    pub(super) fn take_back(&mut self, txn: Txn, why: &Arc<str>, out: &mut Vec<Effect>) {
        let mut touched: BTreeSet<JobName> = BTreeSet::new();
        for (id, before) in txn.runs {
            let job = match (self.runs.remove(&id), &before) {
                (Some(now), _) => {
                    self.unlist(&now);
                    Some(now.job)
                }
                (None, Some(run)) => Some(run.job.clone()),
                (None, None) => None,
            };
            if let Some(job) = job {
                touched.insert(job.clone());
                self.txn.shown.insert(id.clone(), job);
            }
            if let Some(run) = before {
                self.runs_of
                    .entry(run.job.clone())
                    .or_default()
                    .insert(id.clone());
                if self.connected && run.place().is_some() && self.asked.contains(&id) {
                    // What a master says by itself does not come again.
                    self.unheard.insert(id.clone());
                }
                self.runs.insert(id.clone(), run);
            }
            self.index_run(&id);
        }
        for (name, before) in txn.jobs {
            match before {
                Some(job) => {
                    self.graph.set(&name, job.parents());
                    self.jobs.insert(name.clone(), job);
                }
                None => {
                    self.graph.remove(&name);
                    self.jobs.remove(&name);
                }
            }
            touched.insert(name);
        }
        for name in touched {
            // Runs that wait follow from the job as it is again, and so do the order of the queue and the alarms.
            let runs: Vec<Run> = self.runs_of(&name).cloned().collect();
            for run in runs {
                if !run.is_durable() {
                    self.runs.remove(&run.id);
                    self.unlist(&run);
                    self.txn.shown.insert(run.id.clone(), name.clone());
                }
                self.index_run(&run.id);
            }
            self.index_job(&name);
        }
        self.look_at_parents = true;
        for effect in txn.released {
            match effect {
                Effect::Answer(request, _) => {
                    out.push(Effect::Answer(request, Err(Refusal::NotStored(Arc::clone(why)))));
                }
                Effect::Accept { offer, .. } => {
                    out.push(Effect::Decline {
                        offer,
                        refuse: self.config.decline_for,
                    });
                }
                // Wishes for offers and offers given back were never part of what is stored.
                effect @ (Effect::Decline { .. } | Effect::Want(_) | Effect::Reconcile(_)) => {
                    out.push(effect)
                }
                // Told anew by `show`, from what is there now.
                Effect::Show { run, job, .. } => {
                    self.txn.shown.insert(run, job);
                }
                Effect::Commit(..) | Effect::Kill { .. } | Effect::Acknowledge(_) | Effect::Notify(_) => {}
            }
        }
    }

    fn unlist(&mut self, run: &Run) {
        if let Some(runs) = self.runs_of.get_mut(&run.job) {
            runs.remove(&run.id);
            if runs.is_empty() {
                self.runs_of.remove(&run.job);
            }
        }
    }
}
