//! One role's process: started with its log file, known by its pid.

use super::plan::{Plan, Role};
use crate::failure::{Failure, exit};
use crate::role::PARENT_VARIABLE;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A log that has grown beyond this is put aside (one generation is kept) before the role starts again.
const LOG_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// By itself.
    Code(i32),
    /// By a signal.
    Signal(i32),
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Ended::Code(code) => write!(f, "exit code {code}"),
            Ended::Signal(number) => write!(f, "signal {number}"),
        }
    }
}

/// A process of ours.
#[derive(Debug)]
pub(super) struct Child {
    pub(super) pid: i32,
}

/// Where a role's output goes.
pub(super) fn log_path(plan: &Plan, role: &Role) -> PathBuf {
    plan.log_dir().join(format!("{}.log", role.name(plan.agents)))
}

impl Child {
    /// Starts it in a process group of its own: a Ctrl-C of the terminal is for `up` alone.
    pub(super) fn start(program: &Path, role: &Role, plan: &Plan) -> Result<Child, Failure> {
        let path = log_path(plan, role);
        let log = open_log(&path).map_err(|e| no_state(&path, &e))?;
        let errors = log.try_clone().map_err(|e| no_state(&path, &e))?;
        let mut command = Command::new(program);
        command
            .args(plan.arguments(role))
            .env(PARENT_VARIABLE, std::process::id().to_string())
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .process_group(0);
        let started = command.spawn().map_err(|e| {
            let what = format!("cannot start {}: {e}", program.display());
            Failure::new("up-failed", exit::FAILED, what)
        })?;
        // Reaped by pid together with everything that is adopted (see `processes`).
        let pid = started.id().cast_signed();
        Ok(Child { pid })
    }
}

pub(super) fn no_state(path: &Path, error: &io::Error) -> Failure {
    let what = format!("cannot write {}: {error}", path.display());
    Failure::new("no-state", exit::FAILED, what)
        .fix("make room there, or give another folder: meseta up --dir DIR")
}

fn open_log(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    if fs::metadata(path).is_ok_and(|m| m.len() > LOG_BYTES_MAX) {
        fs::rename(path, path.with_extension("log.1"))?;
    }
    OpenOptions::new().create(true).append(true).open(path)
}
