//! What `batch` remembers: a line per fact, synced before anything is done that depends on it.
//!
//! A task is written down before its launch leaves, and its end before it is acknowledged: so after a kill -9 at any
//! moment the file says which tasks may exist, and no task is ever launched twice.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::Path;

/// One fact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fact {
    /// A task may be launched from now on.
    Launch {
        /// Which command.
        job: usize,
        /// Chosen for this attempt only.
        task: String,
        /// Where.
        agent: String,
    },
    /// A task has ended, or never began.
    End {
        /// Which.
        task: String,
        /// Whether its command succeeded.
        ok: bool,
    },
}

/// A task that may be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Live {
    /// Its command.
    pub job: usize,
    /// Its agent.
    pub agent: String,
}

/// The facts and what follows from them.
#[derive(Debug)]
pub struct Ledger {
    file: File,
    live: BTreeMap<String, Live>,
    done: BTreeMap<usize, bool>,
    failures: BTreeMap<usize, u32>,
    launches: u64,
}

/// Attempts per command.
const ATTEMPTS_MAX: u32 = 3;

impl Ledger {
    /// Reads the file, or begins it. A last line that was torn by a crash is cut off: nothing can depend on it.
    ///
    /// # Errors
    /// The file cannot be read or written, or holds something else.
    pub fn open(path: &Path) -> io::Result<Ledger> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(path)?;
        let mut ledger = Ledger {
            file,
            live: BTreeMap::new(),
            done: BTreeMap::new(),
            failures: BTreeMap::new(),
            launches: 0,
        };
        let mut whole = 0;
        let mut reader = BufReader::new(ledger.file.try_clone()?);
        let mut line = String::new();
        while reader.read_line(&mut line)? > 0 && line.ends_with('\n') {
            let fact: Fact = serde_json::from_str(&line)?;
            ledger.apply(&fact);
            whole += line.len() as u64;
            line.clear();
        }
        ledger.file.set_len(whole)?;
        ledger.file.seek(SeekFrom::Start(whole))?;
        Ok(ledger)
    }

    /// Writes a fact down, durably, and draws its consequences.
    ///
    /// # Errors
    /// It could not be made durable; nothing must be done that depends on it.
    pub fn record(&mut self, fact: &Fact) -> io::Result<()> {
        let mut line = serde_json::to_vec(fact)?;
        line.push(b'\n');
        self.file.write_all(&line)?;
        self.file.sync_data()?;
        self.apply(fact);
        Ok(())
    }

    fn apply(&mut self, fact: &Fact) {
        match fact {
            Fact::Launch { job, task, agent } => {
                self.launches += 1;
                let live = Live {
                    job: *job,
                    agent: agent.clone(),
                };
                self.live.insert(task.clone(), live);
            }
            Fact::End { task, ok } => {
                let Some(live) = self.live.remove(task) else {
                    return;
                };
                if *ok {
                    self.done.insert(live.job, true);
                    return;
                }
                let failures = self.failures.entry(live.job).or_default();
                *failures += 1;
                if *failures >= ATTEMPTS_MAX {
                    self.done.insert(live.job, false);
                }
            }
        }
    }

    /// A task id that was never used.
    pub fn next_task(&self, job: usize) -> String {
        format!("batch-{job}.{}", self.launches + 1)
    }

    /// Tasks that may be there.
    pub fn live(&self) -> &BTreeMap<String, Live> {
        &self.live
    }

    /// Commands with a verdict: whether they succeeded.
    pub fn done(&self) -> &BTreeMap<usize, bool> {
        &self.done
    }

    /// The next command to launch out of `jobs`: neither done nor live.
    pub fn next_job(&self, jobs: usize) -> Option<usize> {
        let busy = |job: &usize| self.live.values().any(|l| l.job == *job);
        (0..jobs).find(|job| !self.done.contains_key(job) && !busy(job))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn launch(job: usize, task: &str) -> Fact {
        Fact::Launch {
            job,
            task: task.into(),
            agent: "a".into(),
        }
    }

    fn end(task: &str, ok: bool) -> Fact {
        Fact::End {
            task: task.into(),
            ok,
        }
    }

    #[test]
    fn facts_survive_and_a_torn_line_is_cut_off() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger");
        let mut ledger = Ledger::open(&path).unwrap();
        ledger.record(&launch(0, "t1")).unwrap();
        ledger.record(&launch(1, "t2")).unwrap();
        ledger.record(&end("t1", true)).unwrap();
        drop(ledger);
        let mut text = std::fs::read_to_string(&path).unwrap();
        text.push_str("{\"end\":{\"task\":\"t2\"");
        std::fs::write(&path, text).unwrap();
        let mut ledger = Ledger::open(&path).unwrap();
        assert_eq!(ledger.live().keys().collect::<Vec<_>>(), ["t2"]);
        assert_eq!(ledger.next_task(2), "batch-2.3");
        ledger.record(&end("t2", true)).unwrap();
        assert_eq!(Ledger::open(&path).unwrap().done().len(), 2);
    }

    #[test]
    fn a_command_is_given_up_after_three_failures() {
        let dir = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::open(&dir.path().join("ledger")).unwrap();
        for n in 0..3 {
            assert_eq!(ledger.next_job(1), Some(0));
            let task = format!("t{n}");
            ledger.record(&launch(0, &task)).unwrap();
            assert_eq!(ledger.next_job(1), None);
            ledger.record(&end(&task, false)).unwrap();
        }
        assert_eq!(ledger.done().get(&0), Some(&false));
        assert_eq!(ledger.next_job(1), None);
    }

    #[test]
    fn something_else_is_no_ledger() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger");
        std::fs::write(&path, "hello\n").unwrap();
        assert!(Ledger::open(&path).is_err());
    }
}
