//! What readers see: jobs with their runs and their history, as far as they are durable.
//!
//! The owner applies each commit to the board when the store has it, and only then answers; so a reader sees everything
//! that was answered before it looked, and nothing that may still be refused. The board is cut into shards by name:
//! a look at it costs a pointer per shard, and a change after a look copies one shard, not all jobs.

use crate::history::Entry;
use jiff::Timestamp;
use meseta_cron_core::job::{Job, JobName};
use meseta_cron_core::run::{Run, RunId};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Shards: with 10,000 jobs some forty jobs in each.
const SHARDS: usize = 256;

/// A job with all there is to see of it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) job: Job,
    /// Runs that are not over, in the order of their ids.
    pub(crate) runs: Vec<Run>,
    /// Oldest first.
    pub(crate) history: VecDeque<Arc<Entry>>,
}

impl Seen {
    fn new(job: Job) -> Seen {
        Seen {
            job,
            runs: Vec::new(),
            history: VecDeque::new(),
        }
    }

    /// How many tasks there may be.
    pub(crate) fn active(&self) -> usize {
        self.runs.iter().filter(|run| run.is_active()).count()
    }
}

/// The connection with the master.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    /// Whether the framework is subscribed.
    pub(crate) subscribed: bool,
    /// Since when it is, or is not.
    pub(crate) since: Timestamp,
}

/// Everything readers see, as of one moment.
#[derive(Clone, Debug)]
pub(crate) struct Board {
    shards: Vec<Arc<BTreeMap<JobName, Arc<Seen>>>>,
    /// Jobs whose records cannot be read, and why.
    pub(crate) broken: Arc<BTreeMap<JobName, String>>,
    pub(crate) link: Link,
}

/// A change that is durable.
#[derive(Clone, Debug)]
pub(crate) enum Applied {
    Job(Job),
    DropJob(JobName),
    Run(Run),
    /// Of which job it was is looked up by the owner.
    DropRun(JobName, RunId),
    Ended(JobName, Arc<Entry>),
}

impl Board {
    /// An empty board.
    pub(crate) fn new(now: Timestamp) -> Board {
        Board {
            shards: vec![Arc::default(); SHARDS],
            broken: Arc::default(),
            link: Link {
                subscribed: false,
                since: now,
            },
        }
    }

    fn shard(name: &JobName) -> usize {
        // FNV-1a over the name: spread evenly is all that matters.
        let hash = name.as_str().bytes().fold(0x811c_9dc5u32, |hash, byte| {
            (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
        });
        hash as usize % SHARDS
    }

    /// A job.
    pub(crate) fn get(&self, name: &JobName) -> Option<&Arc<Seen>> {
        self.shards.get(Board::shard(name))?.get(name)
    }

    /// All jobs, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Seen>> {
        self.shards.iter().flat_map(|shard| shard.values())
    }

    /// All jobs by name.
    pub(crate) fn sorted(&self) -> Vec<&Arc<Seen>> {
        let mut all: Vec<&Arc<Seen>> = self.iter().collect();
        all.sort_unstable_by(|a, b| a.job.spec.name.cmp(&b.job.spec.name));
        all
    }

    fn with(&mut self, name: &JobName, change: impl FnOnce(&mut Seen)) {
        let shard = self.shards.get_mut(Board::shard(name));
        let seen = shard.and_then(|shard| Arc::make_mut(shard).get_mut(name));
        if let Some(seen) = seen {
            change(Arc::make_mut(seen));
        }
    }

    /// Applies a durable change. Of each job at most `limit` entries of the history are kept. Gives back a job that is
    /// gone.
    pub(crate) fn apply(&mut self, applied: Applied, limit: usize) -> Option<Arc<Seen>> {
        match applied {
            Applied::Job(job) => {
                let name = job.spec.name.clone();
                let shard = self.shards.get_mut(Board::shard(&name))?;
                match Arc::make_mut(shard).get_mut(&name) {
                    // Another life of the name begins with nothing.
                    Some(seen) if seen.job.generation != job.generation => *seen = Arc::new(Seen::new(job)),
                    Some(seen) => Arc::make_mut(seen).job = job,
                    None => {
                        Arc::make_mut(shard).insert(name, Arc::new(Seen::new(job)));
                    }
                }
                None
            }
            Applied::DropJob(name) => {
                let shard = self.shards.get_mut(Board::shard(&name))?;
                Arc::make_mut(shard).remove(&name)
            }
            Applied::Run(run) => {
                self.put_run(run);
                None
            }
            Applied::DropRun(name, id) => {
                self.with(&name, |seen| seen.runs.retain(|run| run.id != id));
                None
            }
            Applied::Ended(name, entry) => {
                self.with(&name, |seen| {
                    seen.history.push_back(entry);
                    while seen.history.len() > limit {
                        seen.history.pop_front();
                    }
                });
                None
            }
        }
    }

    /// Shows a run, or its new state. Runs of an earlier life of the name are nobody's.
    pub(crate) fn put_run(&mut self, run: Run) {
        let name = run.job.clone();
        self.with(&name, |seen| {
            if seen.job.generation != run.generation {
                return;
            }
            match seen.runs.binary_search_by(|other| other.id.cmp(&run.id)) {
                Ok(at) => seen.runs[at] = run,
                Err(at) => seen.runs.insert(at, run),
            }
        });
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::definition::Defaults;
    use meseta_cron_core::job::Dialect;
    use meseta_cron_core::run::{Cause, Ended, RunResult, State, Why};
    use serde_json::json;

    fn job(name: &str, generation: u64) -> Job {
        let defaults = Defaults {
            cpus: 0.1,
            mem: 1.0,
            disk: 1.0,
            user: String::new(),
        };
        let body = json!({"name": name, "schedule": "R//PT1H"});
        let wish = crate::job::read(
            &body,
            Dialect::V3,
            &defaults,
            Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_hours(1),
        );
        Job {
            spec: Arc::new(wish.unwrap().spec),
            settled: Timestamp::UNIX_EPOCH,
            counters: Default::default(),
            parent_successes: Default::default(),
            generation,
        }
    }

    fn run(name: &str, generation: u64) -> Run {
        let name = JobName::recorded(name);
        Run {
            id: RunId::new(Timestamp::UNIX_EPOCH, 0, &name, ""),
            job: name,
            generation,
            due: Timestamp::UNIX_EPOCH,
            attempt: 0,
            cause: Cause::Slot,
            arguments: None,
            state: State::Waiting { why: Why::NoOffer },
            placed: false,
            kill_wanted: false,
            elements: 0,
        }
    }

    fn entry(second: i64) -> Arc<Entry> {
        let ended = Ended {
            job: JobName::recorded("a"),
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
        Arc::new(Entry::of(&ended, 0))
    }

    #[test]
    fn a_look_does_not_change_when_the_board_does() {
        let mut board = Board::new(Timestamp::UNIX_EPOCH);
        board.apply(Applied::Job(job("a", 1)), 2);
        let look = board.clone();
        board.apply(Applied::Run(run("a", 1)), 2);
        board.apply(Applied::Job(job("b", 2)), 2);
        assert_eq!((look.iter().count(), board.iter().count()), (1, 2));
        let name = JobName::recorded("a");
        assert_eq!(
            (
                look.get(&name).unwrap().runs.len(),
                board.get(&name).unwrap().runs.len()
            ),
            (0, 1)
        );
    }

    #[test]
    fn the_oldest_entries_go_and_another_life_begins_with_nothing() {
        let mut board = Board::new(Timestamp::UNIX_EPOCH);
        let name = JobName::recorded("a");
        board.apply(Applied::Job(job("a", 1)), 2);
        for second in 1..=4 {
            board.apply(Applied::Ended(name.clone(), entry(second)), 2);
        }
        let kept: Vec<i64> = board
            .get(&name)
            .unwrap()
            .history
            .iter()
            .map(|e| e.ended.as_second())
            .collect();
        assert_eq!(kept, [3, 4]);
        board.apply(Applied::Run(run("a", 1)), 2);
        board.apply(Applied::Job(job("a", 9)), 2);
        board.apply(Applied::Run(run("a", 1)), 2);
        let seen = board.get(&name).unwrap();
        assert_eq!((seen.history.len(), seen.runs.len()), (0, 0));
    }

    #[test]
    fn jobs_come_sorted_and_go() {
        let mut board = Board::new(Timestamp::UNIX_EPOCH);
        for name in ["c", "a", "b"] {
            board.apply(Applied::Job(job(name, 1)), 2);
        }
        assert!(board.apply(Applied::DropJob(JobName::recorded("b")), 2).is_some());
        let names: Vec<&str> = board
            .sorted()
            .iter()
            .map(|seen| seen.job.spec.name.as_str())
            .collect();
        assert_eq!(names, ["a", "c"]);
    }
}
