//! What the roles of both frameworks do before they start. A failure comes with its exit code.

use crate::failure::exit;
use meseta_store::{Embedded, OpenError, Store};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::net::TcpListener;

pub(super) async fn listen(ip: IpAddr, port: u16) -> Result<TcpListener, (u8, String)> {
    let bound = TcpListener::bind((ip, port)).await;
    bound.map_err(|error| (exit::FAILED, format!("cannot listen on {ip}:{port}: {error}")))
}

/// Opens the store of this name in `--work_dir`, which is made if it is not there.
pub(super) async fn open(folder: PathBuf, name: &'static str) -> Result<Arc<dyn Store>, (u8, String)> {
    let opened = tokio::task::spawn_blocking(move || {
        std::fs::create_dir_all(&folder)
            .map_err(|e| (exit::FAILED, format!("cannot make {}: {e}", folder.display())))?;
        Embedded::open(folder.join(name)).map_err(|error| {
            let code = match error {
                OpenError::InUse { .. } => exit::TRY_AGAIN,
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
