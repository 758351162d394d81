//! `meseta service`.
//!
//! SIGTERM and SIGINT leave its tasks running, for the next start or until the failover timeout.

use super::{fail, framework, log, parse, run};
use crate::failure::exit;
use meseta_service::{Config, Env, ServiceFlags};
use std::ffi::OsString;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

const ROLE: &str = "service";

/// The store, in `--work_dir`.
const STORE: &str = "service.redb";

/// From the arguments to the exit code.
pub(crate) fn service(words: impl Iterator<Item = OsString>) -> ExitCode {
    let flags = match parse(ROLE, words, ServiceFlags::TABLE, ServiceFlags::parse) {
        Ok(flags) => flags,
        Err(code) => return code,
    };
    let log = match log::init(ROLE, &flags.logging_level, flags.log_dir.as_deref(), flags.quiet) {
        Ok(log) => log,
        Err(error) => return ExitCode::from(fail(ROLE, exit::USAGE, &error.to_string())),
    };
    let unwritten = log.unwritten.clone();
    run(ROLE, unwritten, serve(flags))
}

async fn serve(flags: ServiceFlags) -> u8 {
    let config = match Config::from_flags(&flags) {
        Ok(config) => config,
        Err(error) => return fail(ROLE, exit::USAGE, &error.to_string()),
    };
    let (interrupt, terminate) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
    let (Ok(mut interrupt), Ok(mut terminate)) = (interrupt, terminate) else {
        return fail(ROLE, exit::FAILED, "signals cannot be handled");
    };
    let store = match framework::open(flags.work_dir.clone(), STORE).await {
        Ok(store) => store,
        Err((code, text)) => return fail(ROLE, code, &text),
    };
    let listener = match framework::listen(flags.http_address, flags.http_port).await {
        Ok(listener) => listener,
        Err((code, text)) => return fail(ROLE, code, &text),
    };
    let env = Env {
        listener,
        store,
        wall: meseta_service::system_wall_clock(),
        seed: uuid::Uuid::new_v4().as_u64_pair().0,
    };
    let mut running = match meseta_service::start(config, env).await {
        Ok((running, _)) => running,
        Err(error) => return fail(ROLE, error.exit_code(), &error.to_string()),
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
