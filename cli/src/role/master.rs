//! `meseta master`.

use super::{Fault, log, open, start};
use crate::failure::exit;
use meseta_master::{Config, Env, MasterFlags, Registry};
use meseta_store::{Memory, Store};
use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;

/// From the arguments to the exit code.
pub(crate) fn master(words: impl Iterator<Item = OsString>) -> ExitCode {
    start("master", words, MasterFlags::TABLE, MasterFlags::parse, serve)
}

async fn serve(flags: MasterFlags, log: log::Log) -> Result<(), Fault> {
    let usage = |text: String| (exit::USAGE, text);
    let failed = |text: String| (exit::FAILED, text);
    let config = Config::from_flags(&flags).map_err(|error| usage(error.to_string()))?;
    let registry = Registry::from_flags(&flags).map_err(|error| usage(error.to_string()))?;
    let stop = open::stop_signal()?;
    let store = open_registry(registry).await?;
    let entropy = meseta_master::system_entropy();
    let env = Env {
        listener: open::port(flags.ip, flags.port).await?,
        store,
        wall: meseta_master::system_wall_clock(),
        entropy: entropy.map_err(|error| failed(format!("no random bytes: {error}")))?,
        log_level: log.level,
        log_file: log.file,
        gate: meseta_http::gate::Gate::default(),
    };
    let mut running = meseta_master::start(config, env).map_err(|error| failed(error.to_string()))?;
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

async fn open_registry(registry: Registry) -> Result<Arc<dyn Store>, Fault> {
    match registry {
        Registry::Memory => Ok(Arc::new(Memory::default())),
        Registry::Durable(path) => {
            let opened = open::store(path).await;
            opened.map_err(|(code, text)| (code, format!("cannot open the registry: {text}")))
        }
    }
}
