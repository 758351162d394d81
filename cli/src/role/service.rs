//! `meseta service`.
//!
//! SIGTERM and SIGINT leave its tasks running, for the next start or until the failover timeout.

use super::{Fault, log, open, start};
use crate::failure::exit;
use meseta_service::{Config, Env, ServiceFlags};
use std::ffi::OsString;
use std::process::ExitCode;

/// The store, in `--work_dir`.
const STORE: &str = "service.redb";

/// From the arguments to the exit code.
pub(crate) fn service(words: impl Iterator<Item = OsString>) -> ExitCode {
    start("service", words, ServiceFlags::TABLE, ServiceFlags::parse, serve)
}

async fn serve(flags: ServiceFlags, _log: log::Log) -> Result<(), Fault> {
    let config = Config::from_flags(&flags).map_err(|error| (exit::USAGE, error.to_string()))?;
    let stop = open::stop_signal()?;
    let store = open::store(flags.work_dir.join(STORE)).await?;
    let env = Env {
        listener: open::port(flags.http_address, flags.http_port).await?,
        store,
        wall: meseta_service::system_wall_clock(),
        seed: uuid::Uuid::new_v4().as_u64_pair().0,
    };
    let started = meseta_service::start(config, env).await;
    let (mut running, _) = started.map_err(|error| (error.exit_code(), error.to_string()))?;
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
