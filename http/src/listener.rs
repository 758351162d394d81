//! Serves HTTP/1.1 and HTTP/2 (with prior knowledge) on one port, within bounds.
//!
//! A connection costs at most its buffers: their number is capped, a head must arrive in time, a peer that does not
//! take what is written to it is dropped, and a panic in a handler answers 500 and nothing else. The handler gets
//! the peer's address and a [`Connection`] handle in the request's extensions.

use crate::reply::Refusal;
use crate::{Body, Response};
use futures_util::FutureExt;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore};
use tokio::time::{Instant, Sleep};

/// Connections served at once; further ones wait in the kernel's queue. Bounds memory (about 20 KiB each) and
/// descriptors; thousands of agents and frameworks fit.
pub const MAX_CONNECTIONS: usize = 16_384;

/// A connection on which no head arrives for this long is closed. It also ends idle kept-alive connections, so it is
/// long: executors keep one open between calls.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(600);

/// A connection that says nothing at all for this long is closed, in HTTP/2 as well: a client that only opens connections
/// must not hold the [`MAX_CONNECTIONS`] slots of everybody else.
pub const FIRST_HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// A peer that takes nothing of what is written to it for this long is dropped.
pub const WRITE_STALL: Duration = Duration::from_secs(30);

/// Requests at once on one HTTP/2 connection.
pub const MAX_STREAMS: u32 = 256;

/// How long open requests may take to finish once the server stops; streams are dropped then.
pub const DRAIN: Duration = Duration::from_secs(2);

/// A handle on the connection a request came by.
#[derive(Clone, Debug)]
pub struct Connection(Arc<Notify>);

impl Connection {
    /// Drops the connection at once, whatever it is doing.
    pub fn cut(&self) {
        self.0.notify_one();
    }
}

/// The address of the peer, in the request's extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

/// Serves until `stop` resolves, then lets open requests finish for at most [`DRAIN`].
pub async fn serve<H, F>(listener: TcpListener, handler: H, stop: impl Future<Output = ()>)
where
    H: Fn(http::Request<Body>) -> F + Clone + Send + 'static,
    F: Future<Output = Response> + Send + 'static,
{
    let graceful = GracefulShutdown::new();
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let builder = builder();
    tokio::pin!(stop);
    loop {
        let slot = tokio::select! {
            biased;
            () = &mut stop => break,
            slot = slots.clone().acquire_owned() => slot,
        };
        let accepted = tokio::select! {
            biased;
            () = &mut stop => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors, or the peer gave up: neither ends the server. The pause keeps a lasting
                // fault from becoming a busy loop.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        // Answers are small and awaited: waiting for more bytes would only delay them.
        let _ = stream.set_nodelay(true);
        let cut = Arc::new(Notify::new());
        let connection = Connection(cut.clone());
        let handler = handler.clone();
        let heard = Arc::new(Notify::new());
        let hears = heard.clone();
        let service = hyper::service::service_fn(move |request: http::Request<Incoming>| {
            hears.notify_one();
            answer(handler.clone(), request, Peer(peer), connection.clone())
        });
        let served = graceful.watch(
            builder
                .serve_connection(TokioIo::new(StallGuard::new(stream)), service)
                .into_owned(),
        );
        tokio::spawn(async move {
            let _slot = slot;
            tokio::select! {
                result = served => {
                    if let Err(error) = result {
                        tracing::debug!(%peer, %error, "connection ended");
                    }
                }
                () = cut.notified() => tracing::info!(%peer, "cut off a reader that does not read"),
                () = silence(&heard, FIRST_HEAD_TIMEOUT) => tracing::debug!(%peer, "a connection without a request is closed"),
            }
        });
    }
    drop(listener);
    if tokio::time::timeout(DRAIN, graceful.shutdown()).await.is_err() {
        tracing::debug!("open connections dropped at the end");
    }
}

/// Resolves when no request came within `limit`; never once one has.
async fn silence(heard: &Notify, limit: Duration) {
    if tokio::time::timeout(limit, heard.notified()).await.is_ok() {
        std::future::pending::<()>().await;
    }
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .title_case_headers(true)
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(64 << 10);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(64 << 10)
        .max_send_buf_size(64 << 10);
    builder
}

async fn answer<H, F>(
    handler: H,
    request: http::Request<Incoming>,
    peer: Peer,
    connection: Connection,
) -> Result<Response, Infallible>
where
    H: Fn(http::Request<Body>) -> F,
    F: Future<Output = Response>,
{
    let mut request = request.map(Body::new);
    request.extensions_mut().insert(peer);
    request.extensions_mut().insert(connection);
    let path = request.uri().path().to_owned();
    let answered = AssertUnwindSafe(async move { handler(request).await })
        .catch_unwind()
        .await;
    Ok(answered.unwrap_or_else(|_| {
        tracing::error!(path, "a handler panicked");
        Refusal::standard(http::StatusCode::INTERNAL_SERVER_ERROR).into()
    }))
}

/// A socket whose writes fail once the peer has taken nothing for [`WRITE_STALL`].
struct StallGuard {
    stream: TcpStream,
    stalled: Option<Pin<Box<Sleep>>>,
}

impl StallGuard {
    fn new(stream: TcpStream) -> StallGuard {
        StallGuard {
            stream,
            stalled: None,
        }
    }

    fn watch<T>(&mut self, cx: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.stalled = None;
            return polled;
        }
        let timer = self
            .stalled
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + WRITE_STALL)));
        match timer.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for StallGuard {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for StallGuard {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.watch(cx, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.watch(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::stream::record_stream;
    use bytes::Bytes;
    use std::sync::Mutex;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::oneshot;

    async fn start<H, F>(handler: H) -> (SocketAddr, oneshot::Sender<()>)
    where
        H: Fn(http::Request<Body>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        tokio::spawn(serve(listener, handler, async move {
            let _ = stopped.await;
        }));
        (address, stop)
    }

    async fn exchange(address: SocketAddr, request: &str) -> String {
        let mut socket = TcpStream::connect(address).await.unwrap();
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn every_record_is_one_chunk_and_the_end_is_the_last_chunk() {
        let (address, _stop) = start(|_| async {
            let (sender, body) = record_stream(1000, None);
            for record in ["2\n{}", "3\nabc"] {
                sender.send(Bytes::from_static(record.as_bytes())).unwrap();
            }
            Response::new(body)
        })
        .await;
        let answer = exchange(address, "GET / HTTP/1.1\r\nConnection: close\r\n\r\n").await;
        let body = answer.split("\r\n\r\n").nth(1).unwrap();
        assert!(
            answer.ends_with("4\r\n2\n{}\r\n5\r\n3\nabc\r\n0\r\n\r\n"),
            "{answer} {body}"
        );
    }

    #[tokio::test]
    async fn a_panic_in_a_handler_is_500_and_the_server_goes_on() {
        let (address, _stop) = start(|request| async move {
            assert_ne!(request.uri().path(), "/panic");
            Response::new(Body::empty())
        })
        .await;
        let answer = exchange(address, "GET /panic HTTP/1.1\r\nConnection: close\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 500"), "{answer}");
        let answer = exchange(address, "GET / HTTP/1.1\r\nConnection: close\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    #[tokio::test]
    async fn a_slow_reader_loses_its_connection() {
        let senders = Arc::new(Mutex::new(Vec::new()));
        let kept = senders.clone();
        let (address, _stop) = start(move |request| {
            let kept = kept.clone();
            async move {
                let connection = request.extensions().get::<Connection>().cloned();
                let (sender, body) = record_stream(1 << 20, connection);
                kept.lock().unwrap().push(sender);
                Response::new(body)
            }
        })
        .await;
        let mut socket = TcpStream::connect(address).await.unwrap();
        socket.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        let mut head = [0; 12];
        socket.read_exact(&mut head).await.unwrap();
        let sender = senders.lock().unwrap().pop().unwrap();
        // The kernel's buffers fill, then our queue, then the reader is cut off.
        let record = Bytes::from(vec![b'x'; 1 << 18]);
        while sender.send(record.clone()).is_ok() {
            tokio::task::yield_now().await;
        }
        sender.closed().await;
        let mut rest = Vec::new();
        let _ = socket.read_to_end(&mut rest).await;
        assert!(!rest.ends_with(b"0\r\n\r\n"));
    }

    #[tokio::test]
    async fn silence_ends_only_connections_that_never_asked() {
        let limit = Duration::from_millis(10);
        let heard = Notify::new();
        heard.notify_one();
        let asked = tokio::time::timeout(limit * 20, silence(&heard, limit)).await;
        assert!(asked.is_err(), "it had asked");
        silence(&Notify::new(), limit).await;
    }

    #[tokio::test]
    async fn http2_with_prior_knowledge_is_served_on_the_same_port() {
        let (address, _stop) =
            start(|request| async move { Response::new(Body::from(format!("{:?}", request.version()))) })
                .await;
        let stream = TcpStream::connect(address).await.unwrap();
        let (mut client, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
                .await
                .unwrap();
        tokio::spawn(connection);
        let request = http::Request::get(format!("http://{address}/"))
            .body(Body::empty())
            .unwrap();
        let answer = client.send_request(request).await.unwrap();
        let body = http_body_util::BodyExt::collect(answer.into_body())
            .await
            .unwrap()
            .to_bytes();
        assert_eq!(&body[..], b"HTTP/2.0");
    }
}
