//! The cron framework as its users see it.

use crate::rest::{Reply, Server};
use crate::service::merge;
use crate::wait;
use serde_json::{Value, json};
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
