//! `meseta agent`.
//!
//! Signals: SIGTERM and SIGINT leave its tasks running for the next start; SIGUSR1 unregisters (tasks end, the master
//! declares them lost); SIGUSR2, which `meseta up` sends, ends the tasks with grace and keeps their last updates.

use super::{fail, log, parse, run};
use crate::failure::exit;
use meseta_agent::{AgentFlags, Config, Ended, Env, Running};
use std::ffi::OsString;
use std::process::ExitCode;
use tokio::signal::unix::{Signal, SignalKind, signal};

const ROLE: &str = "agent";

/// From the arguments to the exit code.
pub(crate) fn agent(words: impl Iterator<Item = OsString>) -> ExitCode {
    let flags = match parse(ROLE, words, AgentFlags::TABLE, AgentFlags::parse) {
        Ok(flags) => flags,
        Err(code) => return code,
    };
    let log = match log::init(ROLE, &flags.logging_level, flags.log_dir.as_deref(), flags.quiet) {
        Ok(log) => log,
        Err(error) => return ExitCode::from(fail(ROLE, exit::USAGE, &error.to_string())),
    };
    let unwritten = log.unwritten.clone();
    run(ROLE, unwritten, serve(flags, log))
}

async fn serve(flags: AgentFlags, log: log::Log) -> u8 {
    let config = match Config::from_flags(flags) {
        Ok(config) => config,
        Err(error) => return fail(ROLE, exit::USAGE, &error.to_string()),
    };
    let mut signals = match Signals::listen() {
        Ok(signals) => signals,
        Err(error) => return fail(ROLE, exit::FAILED, &error.to_string()),
    };
    let env = match Env::system() {
        Ok(env) => Env {
            log_level: log.level,
            ..env
        },
        Err(error) => return fail(ROLE, exit::FAILED, &error.to_string()),
    };
    let running = match meseta_agent::start(config, env).await {
        Ok(running) => running,
        Err(error) => return fail(ROLE, exit::FAILED, &error.to_string()),
    };
    let ended = signals.obey(running).await;
    match ended {
        Ended::Left => 0,
        Ended::Stopped(None) => 0,
        Ended::Stopped(Some(order)) => fail(ROLE, exit::FAILED, &format!("shut down by the master: {order}")),
        Ended::Incompatible(text) => fail(ROLE, exit::USAGE, &text),
        Ended::Failed(text) => fail(ROLE, exit::FAILED, &text),
    }
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
    unregister: Signal,
    drain: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Signals> {
        Ok(Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            unregister: signal(SignalKind::user_defined1())?,
            drain: signal(SignalKind::user_defined2())?,
        })
    }

    /// Passes signals on until the agent has ended.
    async fn obey(&mut self, running: Running) -> Ended {
        loop {
            tokio::select! {
                () = running.ended() => return running.join().await,
                _ = self.interrupt.recv() => running.leave().await,
                _ = self.terminate.recv() => running.leave().await,
                _ = self.unregister.recv() => running.unregister().await,
                _ = self.drain.recv() => running.drain().await,
            }
        }
    }
}
