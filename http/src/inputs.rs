//! The last inputs of a core, kept by its owner: written to a file when an invariant breaks, shown to operators who ask.

use crate::gate::{Action, Gate};
use crate::reply::{self, Refusal};
use crate::{Body, Response};
use http::header::{CONTENT_TYPE, HeaderValue};
use http::request::Parts;
use http::{Method, StatusCode};
use meseta_types::Now;
use meseta_types::last_inputs::{InputLog, LastInputs};
use std::fmt::{Debug, Display};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use tokio::sync::Semaphore;

/// Answers being printed at a time: each may take tens of megabytes, and nobody is in a hurry.
static PRINTING: Semaphore = Semaphore::const_new(1);

/// What the owner of a core keeps. It writes at most one file per life of the process: the first break is the one that
/// says something.
#[derive(Debug)]
pub struct Recorder<I> {
    last: LastInputs<I>,
    file: Option<PathBuf>,
    written: bool,
}

impl<I: Debug + Send + Sync + 'static> Recorder<I> {
    /// Nothing yet; `file` is where it goes when an invariant breaks.
    pub fn new(file: Option<PathBuf>) -> Recorder<I> {
        Recorder {
            last: LastInputs::default(),
            file,
            written: false,
        }
    }

    /// Keeps an input whose bodies hold about `bytes`.
    pub fn keep(&mut self, now: Now, input: I, bytes: usize) {
        self.last.push(now, input, bytes);
    }

    /// Those of now.
    pub fn snapshot(&self) -> InputLog<I> {
        self.last.snapshot()
    }

    /// An invariant broke: says so in the log and writes the inputs to the file, off this task. Must be called inside a
    /// tokio runtime.
    pub fn broken(&mut self, why: &dyn Display) {
        tracing::error!(%why, "an invariant does not hold; GET /meseta/v1/last_inputs shows what led to it");
        let Some(file) = self.file.clone().filter(|_| !self.written) else {
            return;
        };
        self.written = true;
        let (why, log) = (why.to_string(), self.snapshot());
        tokio::task::spawn_blocking(move || match write(&file, &why, &log) {
            Ok(()) => tracing::error!(file = %file.display(), "the last inputs are written"),
            Err(error) => {
                tracing::error!(file = %file.display(), %error, "the last inputs cannot be written")
            }
        });
    }
}

fn write<I: Debug>(file: &Path, why: &str, log: &InputLog<I>) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut out = std::io::BufWriter::new(options.open(file)?);
    write!(out, "{why}\n{log}")?;
    out.flush()
}

/// Answers `GET /meseta/v1/last_inputs` with what `ask` gets from the owner.
///
/// # Errors
/// 403 for those who may not see it, 503 while another answer is being printed, and what `ask` says.
pub async fn endpoint<I: Debug + Send + Sync + 'static>(
    gate: &Gate,
    parts: &Parts,
    ask: impl Future<Output = Result<InputLog<I>, Refusal>>,
) -> Result<Response, Refusal> {
    gate.check(&gate.identify(&parts.headers), Action::ViewInputs)?;
    if parts.method != Method::GET {
        return Ok(reply::method_not_allowed(&["GET"], &parts.method));
    }
    show(ask).await
}

/// The answer itself, for those who may see it.
///
/// # Errors
/// 503 while another answer is being printed, and what `ask` says.
pub async fn show<I: Debug + Send + Sync + 'static>(
    ask: impl Future<Output = Result<InputLog<I>, Refusal>>,
) -> Result<Response, Refusal> {
    let _alone = PRINTING
        .try_acquire()
        .map_err(|_| Refusal::unavailable("The last inputs are being printed for somebody else"))?;
    let log = ask.await?;
    let text = tokio::task::spawn_blocking(move || log.to_string())
        .await
        .map_err(|_| Refusal::standard(StatusCode::INTERNAL_SERVER_ERROR))?;
    let mut response = Response::new(Body::from(text));
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, plain);
    Ok(response)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use bytes::Bytes;

    #[tokio::test]
    async fn the_first_break_writes_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("last-inputs.txt");
        let mut recorder = Recorder::new(Some(file.clone()));
        recorder.keep(Now::default(), Bytes::from_static(b"password"), 8);
        recorder.broken(&"the sum is wrong");
        recorder.broken(&"and wrong again");
        let text = loop {
            match std::fs::read_to_string(&file) {
                Ok(text) if text.ends_with(">\n") => break text,
                _ => tokio::task::yield_now().await,
            }
        };
        assert_eq!(text, "the sum is wrong\nmono=0 wall=0 <8 bytes>\n");
    }
}
