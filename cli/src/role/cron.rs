//! `meseta cron`.
//!
//! SIGTERM and SIGINT leave its runs going, for the next start or until the failover timeout.

use super::{Fault, log, open, start};
use crate::failure::exit;
use jiff::Timestamp;
use meseta_cron::{Config, CronFlags, Env};
use std::ffi::OsString;
use std::process::ExitCode;

/// The store, in `--work_dir`.
const STORE: &str = "cron.redb";

/// From the arguments to the exit code.
pub(crate) fn cron(words: impl Iterator<Item = OsString>) -> ExitCode {
    start("cron", words, CronFlags::TABLE, CronFlags::parse, serve)
}

async fn serve(flags: CronFlags, _log: log::Log) -> Result<(), Fault> {
    let config = Config::from_flags(&flags).map_err(|error| (exit::USAGE, error.to_string()))?;
    let stop = open::stop_signal()?;
    let store = open::store(flags.work_dir.join(STORE)).await?;
    let env = Env {
        listener: open::port(flags.http_address, flags.http_port).await?,
        store,
        wall: Timestamp::now,
    };
    let started = meseta_cron::start(config, env).await;
    let mut running = started.map_err(|error| (error.exit_code(), error.to_string()))?;
    let drain = running.drain_handle();
    tokio::spawn(async move {
        stop.await;
        drain.drain();
    });
    let ended = running.join().await;
    match ended.exit_code() {
        0 => Ok(()),
        code => Err((code, ended.to_string())),
    }
}
