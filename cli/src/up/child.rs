//! One role's process: started with its log file, or taken over from an earlier `up`.

use super::background::BACKGROUND_VARIABLE;
use super::plan::{Plan, Role};
use super::processes::Process;
use crate::failure::{Failure, exit};
use crate::role::{LOG_FILE_VARIABLE, open_log};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// By itself.
    Code(i32),
    /// By a signal.
    Signal(i32),
    /// Not seen: it was not our child.
    Unseen,
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Ended::Code(code) => write!(f, "exit code {code}"),
            Ended::Signal(number) => write!(f, "signal {number}"),
            Ended::Unseen => f.write_str("how is not known: an earlier `up` had started it"),
        }
    }
}

/// A process of the cluster.
#[derive(Clone, Debug)]
pub(super) struct Child {
    pub(super) process: Arc<Process>,
    /// Whether an earlier `up` started it.
    pub(super) is_adopted: bool,
}

/// Where a role's output goes.
pub(super) fn log_path(plan: &Plan, role: &Role) -> PathBuf {
    plan.log_dir().join(format!("{}.log", role.name(plan.agents)))
}

impl Child {
    pub(super) fn pid(&self) -> i32 {
        self.process.pid
    }

    /// One that runs already.
    pub(super) fn adopted(process: Process) -> Child {
        Child {
            process: Arc::new(process),
            is_adopted: true,
        }
    }

    /// Starts it in a process group of its own: a Ctrl-C of the terminal is for `up` alone. Its output goes to its log
    /// without us in between, so that it neither stops nor loses a line when `up` dies.
    pub(super) fn start(program: &Path, role: &Role, plan: &Plan) -> Result<Child, Failure> {
        let path = log_path(plan, role);
        let log = open_log(&path).map_err(|e| no_state(&path, &e))?;
        let errors = log.try_clone().map_err(|e| no_state(&path, &e))?;
        let mut command = Command::new(program);
        command
            .args(plan.arguments(role))
            .env(LOG_FILE_VARIABLE, &path)
            .env_remove(BACKGROUND_VARIABLE)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .process_group(0);
        let broken = |e: io::Error| {
            let what = format!("cannot start {}: {e}", program.display());
            Failure::new("up-failed", exit::FAILED, what)
        };
        // Reaped by pid together with everything that is inherited (see `processes`).
        let pid = command.spawn().map_err(broken)?.id().cast_signed();
        let process = Process::open(pid).ok_or_else(|| broken(super::processes::unwatched(pid)))?;
        Ok(Child {
            process: Arc::new(process),
            is_adopted: false,
        })
    }
}

pub(super) fn no_state(path: &Path, error: &io::Error) -> Failure {
    let what = format!("cannot write {}: {error}", path.display());
    Failure::new("no-state", exit::FAILED, what)
        .fix("make room there, or give another folder: meseta up --dir DIR")
}
