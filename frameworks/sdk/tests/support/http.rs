//! The fake master over HTTP. Its streams cut records across chunks on purpose.
#![allow(clippy::unwrap_used, unreachable_pub)]

use super::{Answer, Desk};
use bytes::Bytes;
use futures_util::StreamExt;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use meseta_proto::body::MediaType;
use meseta_proto::mesos::v1::scheduler::{Call, call};
use meseta_proto::recordio;
use std::convert::Infallible;
use tokio::net::TcpListener;
use tokio_stream::wrappers::ReceiverStream;

type Body = http_body_util::combinators::BoxBody<Bytes, Infallible>;

pub async fn serve(listener: TcpListener, desk: Desk) {
    loop {
        let (tcp, _) = listener.accept().await.unwrap();
        let desk = desk.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(request, desk.clone()));
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(tcp), service)
                .await;
        });
    }
}

async fn answer(request: Request<Incoming>, desk: Desk) -> Result<Response<Body>, Infallible> {
    assert_eq!(request.uri().path(), "/api/v1/scheduler");
    let media = request.headers()["content-type"].to_str().unwrap().to_owned();
    let media = MediaType::from_content_type(&media).unwrap();
    let stream_id = request.headers().get("mesos-stream-id").cloned();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let call: Call = media.decode(&body).unwrap();
    let subscribe = call.r#type() == call::Type::Subscribe;
    assert_eq!(stream_id.is_some(), !subscribe);
    let builder = Response::builder();
    Ok(match desk.answer().await {
        Answer::No(code, text) => {
            if !subscribe {
                let _ = desk.calls.send(call);
            }
            builder.status(code).body(full(text)).unwrap()
        }
        Answer::Moved(to) => builder
            .status(307)
            .header("Location", format!("//{to}/master/api/v1/scheduler"))
            .body(full(String::new()))
            .unwrap(),
        Answer::Yes if subscribe => {
            let events = ReceiverStream::new(desk.open(call));
            let chunks = events.flat_map(move |event| {
                let record = recordio::encode(&media.encode(&event));
                let pieces: Vec<Bytes> = record.chunks(7).map(Bytes::copy_from_slice).collect();
                futures_util::stream::iter(pieces.into_iter().map(|p| Ok(Frame::data(p))))
            });
            builder
                .status(200)
                .header("Content-Type", media.name())
                .header("Mesos-Stream-Id", "stream")
                .body(BodyExt::boxed(StreamBody::new(SyncStream(Box::pin(chunks)))))
                .unwrap()
        }
        Answer::Yes => {
            let _ = desk.calls.send(call);
            builder.status(202).body(full(String::new())).unwrap()
        }
    })
}

fn full(text: String) -> Body {
    Full::new(Bytes::from(text)).boxed()
}

/// A stream that may be shared because only its owner polls it.
struct SyncStream<S>(std::pin::Pin<Box<S>>);

impl<S: futures_util::Stream> futures_util::Stream for SyncStream<S> {
    type Item = S::Item;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<S::Item>> {
        self.0.as_mut().poll_next(cx)
    }
}
