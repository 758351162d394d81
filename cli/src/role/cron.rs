//! `meseta cron`.
//!
//! SIGTERM and SIGINT leave its runs going, for the next start or until the failover timeout.

use super::{fail, framework, log, parse, run};
use crate::failure::exit;
use jiff::Timestamp;
use meseta_cron::{Config, CronFlags, Env};
use std::ffi::OsString;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

const ROLE: &str = "cron";

/// The store, in `--work_dir`.
const STORE: &str = "cron.redb";

/// From the arguments to the exit code.
pub(crate) fn cron(words: impl Iterator<Item = OsString>) -> ExitCode {
    let flags = match parse(ROLE, words, CronFlags::TABLE, CronFlags::parse) {
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

async fn serve(flags: CronFlags) -> u8 {
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
        wall: Timestamp::now,
    };
    let mut running = match meseta_cron::start(config, env).await {
        Ok(running) => running,
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
