//! Answers that grow with the cluster: encoded from a view on a blocking thread, sent while they are made.
//!
//! A small one becomes an ordinary answer with its length; a larger one leaves in chunks as the client takes them, so
//! that no second copy of the state is built to print it. Few answers are encoded at the same moment, but one that
//! waits for its client does not count: a client that stops reading holds nobody up until its connection is cut off.

use crate::master::Master;
use bytes::{Bytes, BytesMut};
use flate2::Compression;
use flate2::write::GzEncoder;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};
use meseta_http::negotiate::accepts_gzip;
use meseta_http::{Body, Refusal, Response, reply};
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;

/// Answers up to this size are made whole; also the size of a chunk.
const CHUNK_BYTES: usize = 256 * 1024;

/// Chunks made ahead of the client: enough to keep the connection busy.
const CHUNKS_AHEAD: usize = 2;

/// A client that does not take a chunk for so long loses its answer: it holds a thread and a view meanwhile.
const CLIENT_PATIENCE: Duration = Duration::from_secs(10);

/// Sends what `encode` writes.
pub(super) async fn answer(
    master: &Master,
    content_type: &'static str,
    request: &HeaderMap,
    encode: impl FnOnce(&mut dyn Write) -> io::Result<()> + Send + 'static,
) -> Result<Response, Refusal> {
    let gzip = accepts_gzip(request);
    let (sender, mut chunks) = mpsc::channel(CHUNKS_AHEAD);
    let failed = sender.clone();
    let answer = Arc::clone(&master.answers).acquire_owned();
    let answer = answer.await.map_err(super::broken)?;
    let encoders = Arc::clone(&master.encoders);
    let encoding = tokio::task::spawn_blocking(move || {
        let _answer = answer;
        let written = Chunks::begin(sender, encoders).and_then(|mut plain| {
            if gzip {
                // What is written stays plain until it is known whether the answer is small; see `Spill`.
                let mut spill = Spill::Small(Vec::new(), Some(plain));
                encode(&mut spill).and_then(|()| spill.finish())
            } else {
                encode(&mut plain).and_then(|()| plain.finish())
            }
        });
        if let Err(error) = written {
            tracing::debug!(%error, "an answer was not sent to its end");
            let _gone_or_told = failed.blocking_send(Err(error));
        }
    });
    let Some(first) = chunks.recv().await else {
        encoding.await.map_err(super::broken)?;
        return Err(super::broken("the encoder wrote nothing"));
    };
    let first = first.map_err(super::broken)?;
    if first.last && first.plain {
        return Ok(reply::typed(content_type, first.bytes, request));
    }
    let compressed = !first.plain;
    let rest = ReceiverStream::new(chunks);
    let stream = futures_util::StreamExt::chain(futures_util::stream::iter([Ok(first)]), rest);
    // An error breaks the body off: the client must not take a part for the whole.
    let stream = futures_util::StreamExt::map(stream, |chunk| chunk.map(|chunk| chunk.bytes));
    let mut response = Response::new(Body::from_stream(stream));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    if compressed {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    Ok(response)
}

/// Work over a whole view that gives a small result, on a blocking thread and counted as an encoder.
pub(super) async fn off_the_worker<T: Send + 'static>(
    master: &Master,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Refusal> {
    let permit = Arc::clone(&master.encoders).acquire_owned().await;
    let permit = permit.map_err(super::broken)?;
    let worked = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        work()
    });
    worked.await.map_err(super::broken)
}

struct Chunk {
    bytes: Bytes,
    /// Not compressed.
    plain: bool,
    /// Nothing follows.
    last: bool,
}

/// Cuts what is written into chunks and waits while the client does not take them.
struct Chunks {
    filled: BytesMut,
    plain: bool,
    sender: mpsc::Sender<io::Result<Chunk>>,
    encoders: Arc<Semaphore>,
    /// Held while encoding, given back while waiting for the client.
    permit: Option<OwnedSemaphorePermit>,
}

impl Chunks {
    fn begin(sender: mpsc::Sender<io::Result<Chunk>>, encoders: Arc<Semaphore>) -> io::Result<Chunks> {
        let mut chunks = Chunks {
            filled: BytesMut::new(),
            plain: true,
            sender,
            encoders,
            permit: None,
        };
        chunks.take_turn()?;
        Ok(chunks)
    }

    fn take_turn(&mut self) -> io::Result<()> {
        let turn = Arc::clone(&self.encoders).acquire_owned();
        let turn = tokio::runtime::Handle::current().block_on(turn);
        self.permit = Some(turn.map_err(io::Error::other)?);
        Ok(())
    }

    fn send(&mut self, last: bool) -> io::Result<()> {
        let chunk = Chunk {
            bytes: self.filled.split().freeze(),
            plain: self.plain,
            last,
        };
        self.permit = None;
        let sent = tokio::time::timeout(CLIENT_PATIENCE, self.sender.send(Ok(chunk)));
        match tokio::runtime::Handle::current().block_on(sent) {
            Ok(Ok(())) if last => Ok(()),
            Ok(Ok(())) => self.take_turn(),
            Ok(Err(_)) => Err(io::ErrorKind::BrokenPipe.into()),
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    fn finish(mut self) -> io::Result<()> {
        self.send(true)
    }
}

impl Write for Chunks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.filled.len() + bytes.len() > CHUNK_BYTES && !self.filled.is_empty() {
            self.send(false)?;
        }
        self.filled.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Holds a small answer back plain (it is compressed whole, with its length, by [`reply::typed`]) and compresses a
/// large one as it goes.
enum Spill {
    Small(Vec<u8>, Option<Chunks>),
    Large(GzEncoder<Chunks>),
}

impl Spill {
    fn finish(self) -> io::Result<()> {
        match self {
            Spill::Small(held, Some(mut chunks)) => {
                chunks.filled = BytesMut::from(&held[..]);
                chunks.finish()
            }
            Spill::Small(_, None) => Err(io::ErrorKind::BrokenPipe.into()),
            Spill::Large(encoder) => encoder.finish()?.finish(),
        }
    }
}

impl Write for Spill {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Spill::Large(encoder) => encoder.write(bytes),
            Spill::Small(held, _) if held.len() + bytes.len() <= CHUNK_BYTES => held.write(bytes),
            Spill::Small(held, chunks) => {
                let mut chunks = chunks.take().ok_or(io::ErrorKind::BrokenPipe)?;
                chunks.plain = false;
                let mut encoder = GzEncoder::new(chunks, Compression::fast());
                encoder.write_all(held)?;
                encoder.write_all(bytes)?;
                *self = Spill::Large(encoder);
                Ok(bytes.len())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
