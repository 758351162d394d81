//! The supervisor: the parent of all containers, a small single-threaded process that outlives the agent.
//!
//! Which question lives here: what runs, and how it ended; told to whichever agent asks, remembered until it says that it
//! knows. The supervisor never decides that a container should run or end, knows no task, no framework and no clock but
//! its own retries. It has no thread, no async runtime, and nothing of it blocks.
//!
//! - `state`: what it knows, and its turn; `asks`: what an agent may ask; `ends`: births and deaths; `recover`: what its
//!   predecessor left; `sweep`: strays.
//! - `pool`, `launcher`, `newborn`: processes that start containers side by side, as its children from birth.
//! - `log`: what a successor needs to know; `channel`, `poll`, `sys`: the kernel.
//!
//! Started by the agent as `meseta supervise`, see [`main`].

use self::log::{History, Log};
use self::poll::Poll;
use self::pool::Pool;
use self::state::Supervisor;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::fs::FlockOperation;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

mod asks;
mod channel;
mod ends;
mod launcher;
mod log;
mod newborn;
mod poll;
mod pool;
mod recover;
mod state;
mod sweep;
mod sys;

/// What is written to stdout when an agent may connect.
pub(crate) const READY: &str = "ready\n";

#[derive(Debug, Default, PartialEq, Eq)]
struct Arguments {
    folder: PathBuf,
    launchers: usize,
    /// Descriptors that the program executed before us in this process left open for us.
    lock: Option<RawFd>,
    listener: Option<RawFd>,
    /// The soft limit of open files it was started with.
    open_files: Option<u64>,
}

const USAGE: &str = "usage: supervise --runtime-dir DIR [--launchers N]";

fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Arguments, String> {
    let mut out = Arguments::default();
    let mut arguments = arguments;
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or(USAGE)?;
        let number = || value.to_str().and_then(|v| v.parse::<u64>().ok()).ok_or(USAGE);
        match name.to_str() {
            Some("--runtime-dir") => out.folder = PathBuf::from(&value),
            Some("--launchers") => out.launchers = usize::try_from(number()?).map_err(|_| USAGE)?,
            Some("--lock-fd") => out.lock = Some(RawFd::try_from(number()?).map_err(|_| USAGE)?),
            Some("--listener-fd") => out.listener = Some(RawFd::try_from(number()?).map_err(|_| USAGE)?),
            Some("--open-files") => out.open_files = Some(number()?),
            _ => return Err(USAGE.to_owned()),
        }
    }
    if !out.folder.is_absolute() {
        return Err(USAGE.to_owned());
    }
    if out.launchers == 0 {
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        out.launchers = cpus.clamp(2, LAUNCHERS_MAX);
    }
    out.launchers = out.launchers.min(LAUNCHERS_MAX);
    Ok(out)
}

/// More launchers than this only fight over the kernel's locks.
const LAUNCHERS_MAX: usize = 32;

/// Runs a supervisor; `arguments` are those after the subcommand's name.
///
/// To be called before the process has a second thread, an async runtime or handlers for signals: it forks, owns all
/// descriptors above 2 and all signals. Returns the exit code: 0 when it was told to stop and nothing is left, 1 when it
/// cannot go on (the text is on stderr; containers live on for a successor to adopt), 2 for a wrong command line.
pub fn main(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let arguments = match parse(arguments) {
        Ok(arguments) => arguments,
        Err(usage) => {
            eprintln!("{usage}");
            return ExitCode::from(2);
        }
    };
    match prepare(&arguments) {
        Ok(supervisor) => supervisor.run(),
        Err(error) => {
            eprintln!("supervisor: {error}");
            ExitCode::FAILURE
        }
    }
}

fn context(what: &'static str) -> impl Fn(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("{what}: {error}"))
}

fn prepare(arguments: &Arguments) -> io::Result<Supervisor> {
    let inherited: Vec<RawFd> = arguments.lock.into_iter().chain(arguments.listener).collect();
    sys::close_all_but(&inherited);
    // Fails when we lead a session already (after an execution in place): then there is nothing to do.
    let _ = rustix::process::setsid();
    let ourselves = rustix::process::getpid();
    rustix::process::set_child_subreaper(Some(ourselves))?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    std::env::set_current_dir("/")?;
    let signals = signals()?;
    let mut open_files = sys::raise_open_files().map_err(context("cannot raise the limit of open files"))?;
    // Executed in place of another supervisor, that one's raised limit is not the containers'.
    open_files.rlim_cur = arguments.open_files.unwrap_or(open_files.rlim_cur);
    let lock = match arguments.lock {
        Some(fd) => sys::inherited_fd(fd)?,
        None => lock(&arguments.folder).map_err(context("cannot lock the runtime directory"))?,
    };
    sys::set_inherited(lock.as_fd(), false)?;
    // From here on we are the only one: no other supervisor, none of its launchers and no newborn of theirs is left.
    let log_path = arguments.folder.join("containers.log");
    let (history, same_boot) = read(&log_path)?;
    let log = Log::rewrite(&log_path, &history).map_err(context("cannot write the log"))?;
    let poll = Poll::new()?;
    let kept = vec![lock.as_raw_fd()];
    let pool = Pool::start(arguments.launchers, &log_path, kept, open_files, &poll)?;
    let listener = match arguments.listener {
        Some(fd) => UnixListener::from(sys::inherited_fd(fd)?),
        None => listen(&arguments.folder).map_err(context("cannot listen"))?,
    };
    sys::set_inherited(listener.as_fd(), false)?;
    let folder = arguments.folder.clone();
    let mut supervisor = Supervisor::new(folder, listener, lock, signals, poll, log, pool)?;
    supervisor.recover(history, same_boot);
    say_ready();
    Ok(supervisor)
}

fn signals() -> io::Result<SignalFd> {
    let mut mask = SigSet::empty();
    // The last two are taken and ignored: whoever hangs up or types ^C means somebody else.
    for signal in [Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT] {
        mask.add(signal);
    }
    mask.thread_block()?;
    Ok(SignalFd::with_flags(
        &mask,
        SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK,
    )?)
}

/// Waits until no other supervisor of this folder, nor a launcher of one, is left.
fn lock(folder: &Path) -> io::Result<OwnedFd> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(folder.join("supervisor.lock"))?;
    rustix::fs::flock(&file, FlockOperation::LockExclusive)?;
    Ok(OwnedFd::from(file))
}

fn read(log: &Path) -> io::Result<(History, bool)> {
    let mut history = Log::read(log).map_err(context("cannot read the log"))?;
    if history.damaged_bytes > 0 {
        eprintln!(
            "supervisor: {} bytes of '{}' are damaged and were skipped",
            history.damaged_bytes,
            log.display()
        );
    }
    let same_boot = recover::is_of_this_boot(&history);
    if !same_boot {
        for logged in history.processes.values_mut() {
            let exit = || ends::unseen("the host was restarted");
            logged.exit.get_or_insert_with(exit);
        }
    }
    history.boot_id = recover::boot_id();
    Ok((history, same_boot))
}

fn listen(folder: &Path) -> io::Result<UnixListener> {
    let path = folder.join(crate::wire::SOCKET);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let folder = File::open(folder)?;
    let open_mask = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o177));
    let listener = UnixListener::bind(crate::wire::socket_in(&folder));
    rustix::process::umask(open_mask);
    let listener = listener?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Tells whoever started us, and lets go of its pipe.
fn say_ready() {
    let mut out = io::stdout();
    // Nobody may be listening, as after an execution in place.
    let _ = out.write_all(READY.as_bytes()).and_then(|()| out.flush());
    if let Ok(null) = OpenOptions::new().write(true).open("/dev/null") {
        let _ = rustix::stdio::dup2_stdout(&null);
    }
}

/// Executes another program in our place; it goes on with our children, our lock and our socket. Returns only if it fails.
pub(crate) fn reexec(supervisor: &Supervisor, helper: &[String]) -> io::Error {
    use std::os::unix::process::CommandExt as _;
    let Some((program, first)) = helper.split_first() else {
        return io::Error::from(io::ErrorKind::InvalidInput);
    };
    let (lock, listener) = (supervisor.lock.as_fd(), supervisor.listener.as_fd());
    let inherit = |inherited| {
        sys::set_inherited(lock, inherited).and_then(|()| sys::set_inherited(listener, inherited))
    };
    if let Err(error) = inherit(true) {
        return error;
    }
    let error = std::process::Command::new(program)
        .args(first)
        .arg("supervise")
        .arg("--runtime-dir")
        .arg(&supervisor.folder)
        .args(["--open-files", &supervisor.pool.open_files().to_string()])
        .args(["--lock-fd", &lock.as_raw_fd().to_string()])
        .args(["--listener-fd", &listener.as_raw_fd().to_string()])
        .exec();
    // Harmless if it fails: launchers and containers close what they do not need.
    let _ = inherit(false);
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(text: &str) -> Result<Arguments, String> {
        parse(text.split_ascii_whitespace().map(OsString::from))
    }

    #[test]
    fn the_command_line_names_a_folder_and_perhaps_launchers() {
        let parsed = arguments("--runtime-dir /run/x --launchers 3");
        assert_eq!(
            parsed,
            Ok(Arguments {
                folder: "/run/x".into(),
                launchers: 3,
                ..Arguments::default()
            })
        );
        assert!(arguments("--runtime-dir /x").is_ok_and(|a| a.launchers >= 2));
        for wrong in [
            "",
            "--runtime-dir",
            "--runtime-dir x",
            "--what 3",
            "--launchers x",
        ] {
            assert!(arguments(wrong).is_err(), "{wrong}");
        }
    }
}
