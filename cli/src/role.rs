//! The servers (`meseta master`, `agent`, `service`, `cron`): from the arguments to a running server and back to an exit code.
//!
//! Flags, their environment and their help are the shells' own (Mesos's names and syntax); what is here is the process:
//! log, runtime, signals, exit codes, and `--config FILE`, which has flags as TOML. A flag given as an argument wins over
//! the environment, which wins over the file.

mod agent;
mod config;
mod cron;
mod framework;
mod log;
mod master;
mod service;

pub(crate) use agent::agent;
pub(crate) use cron::cron;
pub(crate) use log::{LOG_FILE_VARIABLE, open_log};
pub(crate) use master::master;
pub(crate) use service::service;

use crate::failure::{Failure, exit};
use config::{CONFIG_HELP, FlagFile};
use meseta_types::flag::{Asked, Entry, FlagError, Sources};
use std::ffi::OsString;
use std::process::ExitCode;
use tokio::runtime::Runtime;

/// Parses a role's arguments; `Err` is the exit code when there is nothing to run.
fn parse<T>(
    role: &str,
    words: impl Iterator<Item = OsString>,
    table: &[Entry],
    parse: impl FnOnce(Vec<String>, &Sources<'_>) -> Result<Asked<T>, FlagError>,
) -> Result<T, ExitCode> {
    let refuse = |text: String| {
        let failure = Failure::new("bad-flag", exit::USAGE, text).fix(format!("meseta {role} --help"));
        eprint!("{}", failure.render(false));
        ExitCode::from(exit::USAGE)
    };
    let mut args = Vec::new();
    for word in words {
        match word.into_string() {
            Ok(text) => args.push(text),
            Err(word) => return Err(refuse(format!("'{}' is no UTF-8", word.display()))),
        }
    }
    let file = FlagFile::take(&mut args, table).map_err(refuse)?;
    let sources = Sources {
        env: &|name| std::env::var(name).ok().or_else(|| file.value(name)),
        read: &|path| std::fs::read_to_string(path).map_err(|e| e.to_string()),
    };
    match parse(args, &sources) {
        Ok(Asked::Run(flags, warnings)) => {
            for warning in warnings {
                eprintln!("warning[flag-without-effect]: {warning}");
            }
            Ok(flags)
        }
        Ok(Asked::Help(text)) => {
            let text = format!("{text}{CONFIG_HELP}");
            Err(ExitCode::from(crate::output::print(&text).err().unwrap_or(0)))
        }
        Ok(Asked::Version) => {
            let text = format!("meseta {}\n", env!("CARGO_PKG_VERSION"));
            Err(ExitCode::from(crate::output::print(&text).err().unwrap_or(0)))
        }
        Err(error @ FlagError::NotAFlag(_)) if role == "agent" => {
            let what = format!("{error}; nodes are listed by: meseta node list");
            Err(refuse(what))
        }
        Err(error) => Err(refuse(error.to_string())),
    }
}

/// Says why a role cannot run (any more) and gives its exit code.
fn fail(role: &str, code: u8, text: &str) -> u8 {
    tracing::error!("{text}");
    eprintln!("meseta {role}: {text}");
    code
}

/// Runs a server to its end on a runtime of its own.
fn run(role: &str, unwritten: log::Unwritten, serve: impl Future<Output = u8>) -> ExitCode {
    let code = run_to_end(role, serve);
    unwritten.flush();
    code
}

fn run_to_end(role: &str, serve: impl Future<Output = u8>) -> ExitCode {
    let runtime = match Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return ExitCode::from(fail(role, exit::FAILED, &error.to_string())),
    };
    let code = runtime.block_on(serve);
    // What still blocks (a file system that hangs, a name look-up) must not hold the process.
    runtime.shutdown_background();
    ExitCode::from(code)
}
