//! `meseta master`.

use super::{fail, log, parse, run};
use crate::failure::exit;
use meseta_master::{Config, Env, MasterFlags, Registry};
use meseta_store::{Embedded, Memory, OpenError, Store};
use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

const ROLE: &str = "master";

/// From the arguments to the exit code.
pub(crate) fn master(words: impl Iterator<Item = OsString>) -> ExitCode {
    let flags = match parse(ROLE, words, MasterFlags::TABLE, MasterFlags::parse) {
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

async fn serve(flags: MasterFlags, log: log::Log) -> u8 {
    let config = match Config::from_flags(&flags) {
        Ok(config) => config,
        Err(error) => return fail(ROLE, exit::USAGE, &error.to_string()),
    };
    let registry = match Registry::from_flags(&flags) {
        Ok(registry) => registry,
        Err(error) => return fail(ROLE, exit::USAGE, &error.to_string()),
    };
    let store = match open(registry).await {
        Ok(store) => store,
        Err((code, text)) => return fail(ROLE, code, &text),
    };
    let listener = match TcpListener::bind((flags.ip, flags.port)).await {
        Ok(listener) => listener,
        Err(error) => {
            let text = format!("cannot listen on {}:{}: {error}", flags.ip, flags.port);
            return fail(ROLE, exit::FAILED, &text);
        }
    };
    let entropy = match meseta_master::system_entropy() {
        Ok(entropy) => entropy,
        Err(error) => return fail(ROLE, exit::FAILED, &format!("no random bytes: {error}")),
    };
    let env = Env {
        listener,
        store,
        wall: meseta_master::system_wall_clock(),
        entropy,
        log_level: log.level,
        log_file: log.file,
        gate: meseta_http::gate::Gate::default(),
    };
    let (interrupt, terminate) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
    let (Ok(mut interrupt), Ok(mut terminate)) = (interrupt, terminate) else {
        return fail(ROLE, exit::FAILED, "signals cannot be handled");
    };
    let mut running = match meseta_master::start(config, env) {
        Ok(running) => running,
        Err(error) => return fail(ROLE, exit::FAILED, &error.to_string()),
    };
    let drain = running.drain_handle();
    tokio::spawn(async move {
        tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
        drain.drain();
    });
    let ended = running.join().await;
    match ended.exit_code() {
        0 => 0,
        code => fail(ROLE, code, &ended.to_string()),
    }
}

async fn open(registry: Registry) -> Result<Arc<dyn Store>, (u8, String)> {
    let path = match registry {
        Registry::Memory => return Ok(Arc::new(Memory::default())),
        Registry::Durable(path) => path,
    };
    let opened = tokio::task::spawn_blocking(move || {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)
                .map_err(|e| (exit::FAILED, format!("cannot make {}: {e}", folder.display())))?;
        }
        Embedded::open(&path).map_err(|e| {
            let code = match e {
                // It is worth trying again once that process is gone.
                OpenError::InUse { .. } => exit::TRY_AGAIN,
                // It would end the same way again.
                OpenError::Foreign { .. } | OpenError::TooNew { .. } => exit::USAGE,
                OpenError::Io { .. } | OpenError::Damaged { .. } => exit::FAILED,
            };
            (code, format!("cannot open the registry: {e}"))
        })
    });
    match opened.await {
        Ok(Ok(store)) => Ok(Arc::new(store)),
        Ok(Err(failure)) => Err(failure),
        Err(broken) => Err((exit::FAILED, broken.to_string())),
    }
}
