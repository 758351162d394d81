//! What servers open before they start: their store, their port, their ears for signals. A failure comes with its exit
//! code.

use crate::failure::exit;
use meseta_store::{Embedded, OpenError, Store};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// Why a server cannot start.
pub(super) type Fault = (u8, String);

pub(super) async fn port(ip: IpAddr, port: u16) -> Result<TcpListener, Fault> {
    let bound = TcpListener::bind((ip, port)).await;
    bound.map_err(|error| (exit::FAILED, format!("cannot listen on {ip}:{port}: {error}")))
}

/// The store in this file, whose folder is made if it is not there.
pub(super) async fn store(path: PathBuf) -> Result<Arc<dyn Store>, Fault> {
    let opened = tokio::task::spawn_blocking(move || {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)
                .map_err(|e| (exit::FAILED, format!("cannot make {}: {e}", folder.display())))?;
        }
        Embedded::open(&path).map_err(|error| {
            let code = match error {
                // It is worth trying again once that process is gone.
                OpenError::InUse { .. } => exit::TRY_AGAIN,
                // It would end the same way again.
                OpenError::Foreign { .. } | OpenError::TooNew { .. } => exit::USAGE,
                OpenError::Io { .. } | OpenError::Damaged { .. } => exit::FAILED,
            };
            (code, error.to_string())
        })
    });
    match opened.await {
        Ok(Ok(store)) => Ok(Arc::new(store)),
        Ok(Err(failure)) => Err(failure),
        Err(broken) => Err((exit::FAILED, broken.to_string())),
    }
}

/// Ends with the first SIGINT or SIGTERM after this call.
pub(super) fn stop_signal() -> Result<impl Future<Output = ()> + Send, Fault> {
    let (interrupt, terminate) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
    let (Ok(mut interrupt), Ok(mut terminate)) = (interrupt, terminate) else {
        return Err((exit::FAILED, "signals cannot be handled".to_owned()));
    };
    Ok(async move {
        tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
    })
}
