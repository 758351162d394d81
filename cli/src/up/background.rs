//! `up --detach` and `up --stop`: the same cluster without a terminal.
//!
//! `--detach` starts `up` again as a process of its own session, passes on what it says until everything is up, and
//! leaves it there; from then on it writes to `log/up.log`. What became of the files' apps and jobs comes back as an exit
//! code, over a socket that is the other process's standard input. `--stop` ends it as Ctrl-C would, and also what is left of
//! one that was killed.

use super::child::no_state;
use super::plan::Plan;
use super::processes::{Process, is_ours};
use super::state;
use super::{Signals, Up, broken};
use crate::args::{Global, UpArgs};
use crate::failure::{Failure, exit};
use crate::role::open_log;
use rustix::net::SendFlags;
use rustix::process::Signal;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};

/// Longer than the end of tasks with grace may take.
const STOP_PATIENCE: Duration = Duration::from_secs(180);

/// How long the exit code is waited for that was sent already.
const CODE_PATIENCE: Duration = Duration::from_secs(5);

/// Tells the process that `--detach` starts that it is the one that stays.
pub(super) const BACKGROUND_VARIABLE: &str = "MESETA_UP_BACKGROUND";

/// Whether this process is the one that stays; it leaves the terminal's session then.
pub(super) fn is_background() -> bool {
    let is = std::env::var_os(BACKGROUND_VARIABLE).is_some();
    if is {
        // It fails only for the leader of a session, which has none to leave.
        let _ = rustix::process::setsid();
    }
    is
}

fn log_path(dir: &Path) -> PathBuf {
    dir.join("log").join("up.log")
}

/// Starts the cluster in the background and returns when it is up, or when it could not come up.
pub(super) async fn detach(global: &Global, dir: &Path) -> Result<u8, Failure> {
    let program = std::env::current_exe().map_err(|e| broken(format!("where is this program? {e}")))?;
    let path = log_path(dir);
    // Standard output belongs to a command that is run, or to `-o env`.
    let log = open_log(&path).map_err(|e| no_state(&path, &e))?;
    let mut command = Command::new(program);
    let (mut ours, theirs) = UnixStream::pair().map_err(|e| broken(e.to_string()))?;
    // Nothing is to be read there.
    ours.shutdown(Shutdown::Write)
        .and_then(|()| ours.set_read_timeout(Some(CODE_PATIENCE)))
        .map_err(|e| broken(e.to_string()))?;
    command
        .args(std::env::args_os().skip(1))
        .env(BACKGROUND_VARIABLE, "1")
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(if global.output.is_some() {
            Stdio::inherit()
        } else {
            Stdio::from(log)
        })
        .stderr(Stdio::piped());
    let mut child = tokio::process::Command::from(command)
        .spawn()
        .map_err(|e| broken(format!("cannot start it again: {e}")))?;
    let mut lines = BufReader::new(child.stderr.take().ok_or_else(|| broken("no pipe".to_owned()))?).lines();
    // It closes this end when it is up, and when it ends.
    while let Ok(Some(line)) = lines.next_line().await {
        let _ = writeln!(io::stderr(), "{line}");
    }
    match child.try_wait() {
        Ok(None) => {
            eprintln!("it runs in the background; its words go to {}", path.display());
            eprintln!("stop it: meseta up --stop");
            let mut code = [0];
            // It says how it went before it closes the other end that we waited for.
            match ours.read(&mut code) {
                Ok(1) => Ok(code[0]),
                _ => Err(broken("it did not say whether all is up".to_owned())),
            }
        }
        _ => {
            let ended = child.wait().await.map_err(|e| broken(e.to_string()))?;
            Ok(ended
                .code()
                .and_then(|code| u8::try_from(code).ok())
                .unwrap_or(exit::FAILED))
        }
    }
}

/// In the background process: everything is up, or will not be for now; whoever started it may go, with this exit code.
pub(super) fn let_go(plan: &Plan, code: u8) -> io::Result<()> {
    let log = open_log(&log_path(plan.dir()))?;
    // Whoever started it may be gone; without a signal, since it is a socket.
    let _ = rustix::net::send(rustix::stdio::stdin(), &[code], SendFlags::NOSIGNAL);
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    rustix::stdio::dup2_stderr(&log)?;
    rustix::stdio::dup2_stdout(&log)?;
    Ok(())
}

/// Ends the cluster of a folder, whether its `up` still lives or not.
pub(super) async fn stop(global: &Global, args: &UpArgs, dir: &Path) -> Result<u8, Failure> {
    if let Some(pid) = state::holder(dir).filter(|pid| is_ours(*pid)) {
        return end(global, pid).await;
    }
    let (mut up, state, survivors) = Up::open(global, args, dir)?;
    if survivors.is_empty() {
        eprintln!("nothing runs in {}", dir.display());
        return Ok(0);
    }
    let mut signals = Signals::listen().map_err(|e| broken(e.to_string()))?;
    up.take_over(&mut signals, survivors).await?;
    up.finish(&mut signals).await;
    state.forget();
    Ok(0)
}

async fn end(global: &Global, pid: i32) -> Result<u8, Failure> {
    let Some(process) = Process::open(pid) else {
        return Ok(0);
    };
    process.send(Signal::INT);
    let patience = global.timeout.unwrap_or(STOP_PATIENCE);
    match tokio::time::timeout(patience, process.ended()).await {
        Ok(()) => {
            eprintln!("stopped");
            Ok(0)
        }
        Err(_) => {
            let what = format!("process {pid} (meseta up) is still ending its tasks after {patience:?}");
            Err(Failure::new("timeout", exit::TIMEOUT, what)
                .fix("once more, which ends them at once: meseta up --stop"))
        }
    }
}
