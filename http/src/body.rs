//! Reads a request body within bounds of size and time.

use crate::reply::Refusal;
use bytes::{Bytes, BytesMut};
use flate2::read::GzDecoder;
use http::StatusCode;
use http::header::{CONTENT_ENCODING, HeaderMap};
use http_body::Body as _;
use http_body_util::BodyExt;
use std::io::Read;
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};

/// A client that has not sent its whole call after this long is refused: a slow sender must not hold memory for ever.
pub const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// Bytes of all bodies that are being read at a time, in units of [`UNIT_BYTES`]: many connections may each send a
/// large call, but not all at once.
static BODIES: Semaphore = Semaphore::const_new(256 * 1024 * 1024 / UNIT_BYTES);

/// What a body takes of [`BODIES`] is rounded up to this.
const UNIT_BYTES: usize = 16 * 1024;

/// Reads the whole body, decoding gzip when the request says so.
///
/// # Errors
/// 413 when it is longer than `limit` (before or after decoding), 408 when it does not arrive in time, 400 when the
/// connection breaks, 500 for bad gzip (as Mesos answers), 503 when too many large bodies are being read.
pub async fn read(body: crate::Body, headers: &HeaderMap, limit: usize) -> Result<Bytes, Refusal> {
    let collected = tokio::time::timeout(READ_TIMEOUT, collect(body, limit))
        .await
        .map_err(|_| Refusal::standard(StatusCode::REQUEST_TIMEOUT))??;
    if headers
        .get(CONTENT_ENCODING)
        .is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(b"gzip"))
    {
        return gunzip(&collected, limit);
    }
    Ok(collected)
}

fn too_large(limit: usize) -> Refusal {
    Refusal::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        format!("Expecting a body of at most {limit} bytes"),
    )
}

async fn collect(mut body: crate::Body, limit: usize) -> Result<Bytes, Refusal> {
    let hint = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if hint > limit {
        return Err(too_large(limit));
    }
    // A body of known length waits for its share; one that grows without saying how far must find it free.
    let mut share = BODIES.acquire_many(units(hint)).await.map_err(|_| busy())?;
    let mut first: Option<Bytes> = None;
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame =
            frame.map_err(|e| Refusal::bad_request(format!("Failed to read the request body: {e}")))?;
        let Ok(data) = frame.into_data() else { continue };
        if data.len() + whole.len() + first.as_ref().map_or(0, Bytes::len) > limit {
            return Err(too_large(limit));
        }
        let more = units(data.len() + whole.len() + first.as_ref().map_or(0, Bytes::len));
        if let Some(lacking) = more.checked_sub(held(&share)).filter(|n| *n > 0) {
            share.merge(BODIES.try_acquire_many(lacking).map_err(|_| busy())?);
        }
        // The usual body is one frame: it is handed on without a copy.
        if first.is_none() && whole.is_empty() {
            first = Some(data);
            continue;
        }
        if let Some(head) = first.take() {
            whole.reserve(hint.max(head.len() + data.len()));
            whole.extend_from_slice(&head);
        }
        whole.extend_from_slice(&data);
    }
    Ok(first.unwrap_or_else(|| whole.freeze()))
}

fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT_BYTES))
        .unwrap_or(u32::MAX)
        .max(1)
}

fn held(share: &SemaphorePermit<'_>) -> u32 {
    u32::try_from(share.num_permits()).unwrap_or(u32::MAX)
}

fn busy() -> Refusal {
    Refusal::unavailable("Too many large requests are being read")
}

fn gunzip(data: &[u8], limit: usize) -> Result<Bytes, Refusal> {
    let mut out = Vec::new();
    GzDecoder::new(data)
        .take(limit as u64 + 1)
        .read_to_end(&mut out)
        .map_err(|e| {
            Refusal::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                format!("Failed to decompress the request body: {e}"),
            )
        })?;
    if out.len() > limit {
        return Err(too_large(limit));
    }
    Ok(Bytes::from(out))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::Body;

    #[tokio::test]
    async fn a_body_beyond_the_limit_is_refused_even_when_it_hides_in_gzip() {
        let refusal = read(Body::from(vec![0; 11]), &HeaderMap::new(), 10)
            .await
            .unwrap_err();
        assert_eq!(refusal.status, StatusCode::PAYLOAD_TOO_LARGE);

        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        std::io::Write::write_all(&mut encoder, &vec![0; 1 << 20]).unwrap();
        let bomb = encoder.finish().unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_ENCODING, "gzip".parse().unwrap());
        let refusal = read(Body::from(bomb), &headers, 4096).await.unwrap_err();
        assert_eq!(refusal.status, StatusCode::PAYLOAD_TOO_LARGE);
    }

    #[tokio::test]
    async fn frames_are_joined_in_order() {
        let frames =
            futures_util::stream::iter(["a", "bc", "", "d"].map(|s| Ok::<_, std::io::Error>(Bytes::from(s))));
        let body = read(Body::from_stream(frames), &HeaderMap::new(), 10)
            .await
            .unwrap();
        assert_eq!(&body[..], b"abcd");
    }

    #[tokio::test]
    async fn bad_gzip_is_500() {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_ENCODING, "gzip".parse().unwrap());
        let refusal = read(Body::from("nonsense"), &headers, 100).await.unwrap_err();
        assert_eq!(refusal.status, StatusCode::INTERNAL_SERVER_ERROR);
    }
}
