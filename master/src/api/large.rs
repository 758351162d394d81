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
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;

/// Answers up to this size are made whole; also the size of a chunk.
const CHUNK_BYTES: usize = 256 * 1024;

/// Chunks made ahead of the client: enough to keep the connection busy.
const CHUNKS_AHEAD: usize = 2;

/// Sends what `encode` writes.
pub(super) async fn answer(
    master: &Master,
    content_type: &'static str,
    request: &HeaderMap,
    encode: impl FnOnce(&mut dyn Write) -> io::Result<()> + Send + 'static,
) -> Result<Response, Refusal> {
    let gzip = accepts_gzip(request);
    let (sender, mut chunks) = mpsc::channel(CHUNKS_AHEAD);
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
            tracing::debug!(%error, "a client left before its answer was made");
        }
    });
    let Some(first) = chunks.recv().await else {
        encoding.await.map_err(super::broken)?;
        return Err(super::broken("the encoder wrote nothing"));
    };
    if first.last && first.plain {
        return Ok(reply::typed(content_type, first.bytes, request));
    }
    let compressed = !first.plain;
    let rest = ReceiverStream::new(chunks);
    let stream = futures_util::StreamExt::chain(futures_util::stream::iter([first]), rest);
    let stream = futures_util::StreamExt::map(stream, |chunk| Ok::<_, io::Error>(chunk.bytes));
    let mut response = Response::new(Body::from_stream(stream));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    if compressed {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    Ok(response)
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
    sender: mpsc::Sender<Chunk>,
    encoders: Arc<Semaphore>,
    /// Held while encoding, given back while waiting for the client.
    permit: Option<OwnedSemaphorePermit>,
}

impl Chunks {
    fn begin(sender: mpsc::Sender<Chunk>, encoders: Arc<Semaphore>) -> io::Result<Chunks> {
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
        let sent = self.sender.blocking_send(chunk);
        sent.map_err(|_| io::ErrorKind::BrokenPipe)?;
        if last { Ok(()) } else { self.take_turn() }
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
