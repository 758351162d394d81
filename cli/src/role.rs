//! The servers (`meseta master`, `agent`, `service`, `cron`): from the arguments to a running server and back to an exit code.
//!
//! Flags, their environment and their help are the shells' own (Mesos's names and syntax); what is here is the process:
//! log, runtime, signals, exit codes, and `--config FILE`, which has flags as TOML. A flag given as an argument wins over
//! the environment, which wins over the file.

mod agent;
mod config;
mod cron;
mod log;
mod master;
mod open;
mod service;

pub(crate) use agent::agent;
pub(crate) use cron::cron;
pub(crate) use log::{LOG_FILE_VARIABLE, open_log};
pub(crate) use master::master;
pub(crate) use service::service;

use crate::failure::{Failure, exit};
use config::{CONFIG_HELP, FlagFile};
use meseta_types::flag::{Asked, Entry, FlagError, Logged, Sources};
use open::Fault;
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
        Err(error) => {
            let hint = match &error {
                FlagError::NotAFlag(word) => crate::usage::of_server(role, word),
                _ => None,
            };
            let hint = hint.map_or(String::new(), |hint| format!("; {hint}"));
            Err(refuse(format!("{error}{hint}")))
        }
    }
}

/// Says why a role cannot run (any more) and gives its exit code.
fn fail(role: &str, (code, text): &Fault) -> u8 {
    tracing::error!("{text}");
    eprintln!("meseta {role}: {text}");
    *code
}

/// From the arguments to the exit code: flags, log, runtime, and the server until it ends.
fn start<T: Logged>(
    role: &'static str,
    words: impl Iterator<Item = OsString>,
    table: &[Entry],
    parsed: impl FnOnce(Vec<String>, &Sources<'_>) -> Result<Asked<T>, FlagError>,
    serve: impl AsyncFnOnce(T, log::Log) -> Result<(), Fault>,
) -> ExitCode {
    let flags = match parse(role, words, table, parsed) {
        Ok(flags) => flags,
        Err(code) => return code,
    };
    let log = match log::init(role, flags.logging_level(), flags.log_dir(), flags.quiet()) {
        Ok(log) => log,
        Err(error) => return ExitCode::from(fail(role, &(exit::USAGE, error.to_string()))),
    };
    let unwritten = log.unwritten.clone();
    let ended = match Runtime::new() {
        Ok(runtime) => {
            let ended = runtime.block_on(serve(flags, log));
            // What still blocks (a file system that hangs, a name look-up) must not hold the process.
            runtime.shutdown_background();
            ended
        }
        Err(error) => Err((exit::FAILED, error.to_string())),
    };
    let code = ended.map_or_else(|fault| fail(role, &fault), |()| 0);
    unwritten.flush();
    ExitCode::from(code)
}
