//! `meseta agent`.
//!
//! Signals: SIGTERM and SIGINT leave its tasks running for the next start; SIGUSR1 unregisters (tasks end, the master
//! declares them lost); SIGUSR2, which `meseta up` sends, ends the tasks with grace and keeps their last updates.

use super::{Fault, log, start};
use crate::failure::exit;
use meseta_agent::{AgentFlags, Config, Ended, Env, Running};
use std::ffi::OsString;
use std::process::ExitCode;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// From the arguments to the exit code.
pub(crate) fn agent(words: impl Iterator<Item = OsString>) -> ExitCode {
    start("agent", words, AgentFlags::TABLE, AgentFlags::parse, serve)
}

async fn serve(flags: AgentFlags, log: log::Log) -> Result<(), Fault> {
    let failed = |text: String| (exit::FAILED, text);
    let config = Config::from_flags(flags).map_err(|error| (exit::USAGE, error.to_string()))?;
    let mut signals = Signals::listen().map_err(|error| failed(error.to_string()))?;
    let env = Env {
        log_level: log.level,
        ..Env::system().map_err(|error| failed(error.to_string()))?
    };
    let started = meseta_agent::start(config, env).await;
    let running = started.map_err(|error| failed(error.to_string()))?;
    match signals.obey(running).await {
        Ended::Left | Ended::Stopped(None) => Ok(()),
        Ended::Stopped(Some(order)) => Err(failed(format!("shut down by the master: {order}"))),
        Ended::Incompatible(text) => Err((exit::USAGE, text.to_string())),
        Ended::Failed(text) => Err(failed(text.to_string())),
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
