//! Downloads over HTTP and HTTPS, inside the fetch process.

use super::FetchError;
use futures_util::StreamExt as _;
use meseta_types::causes;
use std::fs::File;
use std::io::Write as _;
use std::time::Duration;

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// Redirects followed.
const REDIRECTS_MAX: usize = 10;

/// Writes the body of a GET into `target`. Only 200 is a success. Fails when nothing arrives for `stall_timeout`.
pub(crate) fn download(url: &str, target: File, stall_timeout: Duration) -> Result<(), FetchError> {
    // A second provider in one process is refused; the first one stands.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| FetchError::Source(e.to_string()))?;
    runtime.block_on(transfer(url, target, stall_timeout))
}

async fn transfer(url: &str, mut target: File, stall_timeout: Duration) -> Result<(), FetchError> {
    let client = reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .redirect(reqwest::redirect::Policy::limited(REDIRECTS_MAX))
        .build()
        .map_err(|e| FetchError::Source(causes(&e)))?;
    let stalled = || FetchError::Source(format!("Nothing arrived for {stall_timeout:?}"));
    let response = tokio::time::timeout(stall_timeout, client.get(url).send())
        .await
        .map_err(|_| stalled())?
        .map_err(|e| FetchError::Source(causes(&e)))?;
    if response.status().as_u16() != 200 {
        return Err(FetchError::Source(format!(
            "Unexpected HTTP response '{}' when trying to download the resource",
            response.status()
        )));
    }
    let mut body = response.bytes_stream();
    loop {
        let part = tokio::time::timeout(stall_timeout, body.next())
            .await
            .map_err(|_| stalled())?;
        match part {
            None => return Ok(()),
            Some(Err(error)) => return Err(FetchError::Source(causes(&error))),
            // The process does nothing else: writing may block it.
            Some(Ok(bytes)) => target.write_all(&bytes).map_err(|source| FetchError::Write {
                path: url.to_owned(),
                source,
            })?,
        }
    }
}
