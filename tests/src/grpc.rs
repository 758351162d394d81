//! Speaks gRPC's framing without a client that keeps to the rules: sends any bytes as the body of a call over HTTP/2.

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::convert::Infallible;
use std::time::Duration;
use tokio::net::TcpStream;

/// A call that has no answer after this long has none.
const PATIENCE: Duration = Duration::from_secs(20);

/// What became of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The status of the answer's head or trailers.
    Status(i32),
    /// An HTTP answer that is not gRPC's.
    Http(u16),
    /// The stream or the connection was ended without a status.
    Reset,
    /// Nothing, for a long time.
    Silence,
}

/// Sends `body` in these pieces as a call of `path` and waits for its end.
pub async fn call(port: u16, path: &str, body: Vec<Bytes>) -> std::io::Result<Outcome> {
    let socket = TcpStream::connect(("127.0.0.1", port)).await?;
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(socket));
    let (mut client, connection) = handshake.await.map_err(std::io::Error::other)?;
    let driver = tokio::spawn(connection);
    let frames = body
        .into_iter()
        .map(|piece| Ok::<_, Infallible>(Frame::data(piece)));
    let request = http::Request::post(format!("http://127.0.0.1:{port}{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(StreamBody::new(stream::iter(frames)))
        .map_err(std::io::Error::other)?;
    let answered = tokio::time::timeout(PATIENCE, async {
        let answer = match client.send_request(request).await {
            Ok(answer) => answer,
            Err(_) => return Outcome::Reset,
        };
        let status = answer.status();
        let in_head = code(answer.headers());
        let Ok(whole) = answer.into_body().collect().await else {
            return Outcome::Reset;
        };
        match in_head.or_else(|| whole.trailers().and_then(code)) {
            Some(code) => Outcome::Status(code),
            None => Outcome::Http(status.as_u16()),
        }
    });
    let outcome = answered.await.unwrap_or(Outcome::Silence);
    driver.abort();
    Ok(outcome)
}

fn code(headers: &http::HeaderMap) -> Option<i32> {
    headers.get("grpc-status")?.to_str().ok()?.parse().ok()
}

/// A message in gRPC's frame: not compressed, its length, itself.
pub fn framed(message: &[u8]) -> Bytes {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    let mut frame = vec![0];
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(message);
    frame.into()
}
