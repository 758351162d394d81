//! The cron framework as its users see it.

use crate::rest::{Reply, Server};
use crate::service::merge;
use crate::wait;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The cron framework of a cluster.
#[derive(Clone, Copy, Debug)]
pub struct Cron {
    /// Its REST API.
    pub rest: Server,
}

/// A job of one test; deleted when dropped.
#[derive(Debug)]
pub struct Job {
    /// The framework it belongs to.
    pub cron: Cron,
    /// Its name.
    pub name: String,
}

/// What became of the slots of a job that had one every period, by its records and by what really ran.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Slots from the first to the last one that is settled.
    pub slots: usize,
    /// Slots whose run started, by what the runs themselves wrote.
    pub ran: usize,
    /// Slots whose run started more than once as the same attempt.
    pub doubled: Vec<i64>,
    /// Slots without a run that have a record with a reason.
    pub recorded: usize,
    /// Slots without a run and without a record.
    pub lost: Vec<i64>,
}

/// Where a job writes a line per start, so that a test counts what really ran.
#[derive(Debug)]
pub struct Diary {
    folder: TempDir,
}

/// A small job that runs `command`, with a test's fields over it; without a schedule of its own it never starts by
/// itself.
pub fn job(name: &str, command: &str, more: &Value) -> Value {
    let mut job = json!({
        "name": name, "command": command, "cpus": 0.01, "mem": 16, "disk": 0, "owner": "", "disabled": false,
    });
    if more["parents"].is_null() {
        job["schedule"] = json!("R0//PT1H");
    }
    merge(&mut job, more);
    job
}

/// A time from now on, in whole seconds, as schedules have it: `2026-01-02T03:04:05Z`.
pub fn from_now(seconds: i64) -> String {
    let now = jiff::Timestamp::now().as_second();
    let then = jiff::Timestamp::from_second(now + seconds);
    then.map_or_else(|error| error.to_string(), |then| then.to_string())
}

impl Cron {
    /// Stores a job under the path that fits it.
    ///
    /// # Panics
    /// When it is refused.
    #[track_caller]
    pub fn store(&self, job: &Value) -> Job {
        self.post(job).expect(204);
        let name = crate::service::text(&job["name"]);
        Job { cron: *self, name }
    }

    /// Sends a job to the path that fits it.
    #[track_caller]
    pub fn post(&self, job: &Value) -> Reply {
        let kind = if job["parents"].is_null() {
            "iso8601"
        } else {
            "dependency"
        };
        self.rest.post(&format!("/v1/scheduler/{kind}"), job)
    }

    /// An entry of the summary.
    ///
    /// # Errors
    /// When it is not there, for a wait's message.
    pub fn summary(&self, name: &str) -> Result<Value, String> {
        let all = self.rest.json("/v1/scheduler/jobs/summary")?;
        let entry = all["jobs"]
            .as_array()
            .and_then(|jobs| jobs.iter().find(|j| j["name"] == name));
        entry.cloned().ok_or_else(|| format!("{name} is not in {all}"))
    }
}

impl Job {
    /// The job as it is served now.
    ///
    /// # Panics
    /// When there is none.
    #[track_caller]
    pub fn show(&self) -> Value {
        self.cron
            .rest
            .get(&format!("/v1/scheduler/job/{}", self.name))
            .expect(200)
            .json()
    }

    /// Leaves it where it is: its cluster goes as a whole.
    pub fn forget(self) {
        std::mem::forget(self);
    }

    /// Starts it by hand.
    ///
    /// # Panics
    /// When that is refused.
    #[track_caller]
    pub fn start(&self) {
        self.cron
            .rest
            .call("PUT", &format!("/v1/scheduler/job/{}", self.name), &[], None)
            .expect(204);
    }

    /// Kills what runs of it.
    ///
    /// # Panics
    /// When that is refused.
    #[track_caller]
    pub fn kill(&self) {
        self.cron
            .rest
            .delete(&format!("/v1/scheduler/task/kill/{}", self.name))
            .expect(204);
    }

    /// Waits until the job is as wanted, and returns it.
    ///
    /// # Panics
    /// When it does not become so.
    #[track_caller]
    pub fn until(&self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        wait::until(&format!("{}: {what}", self.name), || {
            let job = self.cron.rest.json(&format!("/v1/scheduler/job/{}", self.name))?;
            if fits(&job) {
                Ok(job)
            } else {
                Err(format!("{job}; {:?}", self.history()))
            }
        })
    }

    /// Waits until `state` in the summary is as wanted.
    ///
    /// # Panics
    /// When it does not become so.
    #[track_caller]
    pub fn until_state(&self, state: &str) {
        wait::until(&format!("{} is {state}", self.name), || {
            let entry = self.cron.summary(&self.name)?;
            if entry["state"] == state {
                Ok(())
            } else {
                Err(format!("{entry}; {:?}", self.history()))
            }
        });
    }

    /// Its runs, the last one first.
    ///
    /// # Errors
    /// When there is no such job, for a wait's message.
    pub fn history(&self) -> Result<Vec<Value>, String> {
        let stat = self
            .cron
            .rest
            .json(&format!("/v1/scheduler/job/stat/{}", self.name))?;
        stat["taskStatHistory"]
            .as_array()
            .cloned()
            .ok_or_else(|| stat.to_string())
    }

    /// Waits until its history is as wanted, and returns it.
    ///
    /// # Panics
    /// When it does not become so.
    #[track_caller]
    pub fn until_history(&self, what: &str, fits: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        wait::until(&format!("history of {}: {what}", self.name), || {
            let history = self.history()?;
            if fits(&history) {
                Ok(history)
            } else {
                Err(format!("{history:?}"))
            }
        })
    }
}

impl Job {
    /// Its runs with all there is to know of them, the last one first.
    ///
    /// # Errors
    /// When there is no such job, for a wait's message.
    pub fn runs(&self) -> Result<Vec<Value>, String> {
        let history = self
            .cron
            .rest
            .json(&format!("/v1/scheduler/history/{}?limit=10000", self.name))?;
        history["runs"]
            .as_array()
            .cloned()
            .ok_or_else(|| history.to_string())
    }

    /// Accounts for each slot, of which there was one every `period` milliseconds. The job's runs have written
    /// [`DUE_AND_ATTEMPT`] into the diary; nothing waits or runs any more. The history must reach back to the first run:
    /// the cluster was started with [`WHOLE_HISTORY`].
    ///
    /// # Panics
    /// When there is no such job, or its history does not reach back.
    pub fn ledger(&self, diary: &Diary, period: i64) -> Ledger {
        let runs = self.runs().unwrap_or_else(|error| panic!("{error}"));
        let mut started: BTreeMap<(i64, String), usize> = BTreeMap::new();
        for line in diary.lines() {
            let (due, attempt) = line.split_once('/').unwrap_or((&line, ""));
            let due = due.parse().unwrap_or_else(|error| panic!("{line}: {error}"));
            *started.entry((due, attempt.to_owned())).or_default() += 1;
        }
        // An entry may stand for several slots: the one it names and those after it.
        let mut recorded: BTreeMap<i64, String> = BTreeMap::new();
        for run in &runs {
            let due = due(run);
            for n in 0..run["slots"].as_i64().unwrap_or(1) {
                recorded.insert(due + n * period, crate::service::text(&run["result"]));
            }
        }
        let first = started.keys().map(|(due, _)| *due).next();
        assert!(
            first.is_none_or(|first| recorded.keys().next().is_some_and(|due| *due <= first)),
            "the history begins with {:?}, the first run was due at {first:?}",
            recorded.keys().next()
        );
        let dues: BTreeSet<i64> = started
            .keys()
            .map(|(due, _)| *due)
            .chain(recorded.keys().copied())
            .collect();
        let mut ledger = Ledger::default();
        let (Some(first), Some(last)) = (dues.first(), dues.last()) else {
            return ledger;
        };
        let mut slot = *first;
        while slot <= *last {
            ledger.slots += 1;
            if started
                .range((slot, String::new())..(slot + 1, String::new()))
                .next()
                .is_some()
            {
                ledger.ran += 1;
            } else if recorded.contains_key(&slot) {
                ledger.recorded += 1;
            } else {
                ledger.lost.push(slot);
            }
            slot += period;
        }
        ledger.doubled = started
            .iter()
            .filter(|(_, n)| **n > 1)
            .map(|((due, _), _)| *due)
            .collect();
        ledger
    }
}

/// A variable with which the cron framework keeps as many entries of each job's history as it can; by itself it keeps so
/// few that a slot which was recorded is forgotten before it is accounted for.
pub const WHOLE_HISTORY: (&str, &str) = ("CHRONOS_HISTORY_LIMIT", "1000");

/// The words of a shell that [`Job::ledger`] wants in the diary.
pub const DUE_AND_ATTEMPT: &str = "$CHRONOS_JOB_RUN_TIME/$CHRONOS_JOB_RUN_ATTEMPT";

/// When a run was due, in milliseconds since 1970.
///
/// # Panics
/// When it does not say so.
pub fn due(run: &Value) -> i64 {
    let text = crate::service::text(&run["due"]);
    let at: Result<jiff::Timestamp, _> = text.parse();
    at.unwrap_or_else(|error| panic!("{run}: {error}"))
        .as_millisecond()
}

impl Drop for Job {
    fn drop(&mut self) {
        // Gone already is fine.
        let _ = self
            .cron
            .rest
            .try_call("DELETE", &format!("/v1/scheduler/job/{}", self.name), &[], None);
    }
}

impl Default for Diary {
    fn default() -> Diary {
        Diary::new()
    }
}

impl Diary {
    /// An empty one.
    ///
    /// # Panics
    /// When there is no folder for it.
    pub fn new() -> Diary {
        let folder = TempDir::new().unwrap_or_else(|error| panic!("no folder for a diary: {error}"));
        // A job may run as another user than the test.
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        let opened = std::fs::set_permissions(folder.path(), open);
        assert!(opened.is_ok(), "{opened:?}");
        Diary { folder }
    }

    /// The file.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("diary")
    }

    /// A folder for a test's own files, seen by its jobs.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A command that writes `what` (a shell's word), then does `then`.
    pub fn note(&self, what: &str, then: &str) -> String {
        format!("echo {what} >> {}; {then}", self.path().display())
    }

    /// What was written.
    pub fn lines(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.path()).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Waits until there are at least so many lines, and returns them.
    ///
    /// # Panics
    /// When they do not come.
    #[track_caller]
    pub fn until(&self, count: usize) -> Vec<String> {
        wait::until(&format!("{count} lines in {}", self.path().display()), || {
            let lines = self.lines();
            if lines.len() >= count {
                Ok(lines)
            } else {
                Err(lines)
            }
        })
    }
}
