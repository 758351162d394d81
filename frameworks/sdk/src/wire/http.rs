//! The Mesos v1 scheduler API over HTTP/1.1: SUBSCRIBE on a connection of its own, calls on others.
//!
//! Each lane is one connection that carries one call at a time, so calls of a lane keep their order; lanes connect
//! when they are first used and reconnect when the master closed an idle connection.

use super::{
    ANSWER_BYTES_MAX, AbortOnDrop, CONNECT_TIMEOUT, EVENT_BYTES_MAX, Ear, Encoding, REQUEST_TIMEOUT,
};
use crate::driver::{CallSeq, Lane, LinkEvent, Reply};
use crate::endpoint::Endpoint;
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, LOCATION, RETRY_AFTER};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use meseta_proto::mesos::v1::scheduler;
use meseta_proto::{binary, json, recordio};
use prost::Message;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::mpsc;

const PATH: &str = "/api/v1/scheduler";
const STREAM_ID: &str = "Mesos-Stream-Id";

/// Unordered calls are spread over this many connections: enough to hide the round trip of a burst of
/// acknowledgements, few enough for a master with thousands of frameworks.
const FREE_LANES: u64 = 8;

/// Which connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Connection {
    Wish,
    Agent(u8),
    Free(u64),
}

/// An HTTP subscription and its lanes.
#[derive(Debug)]
pub struct HttpLink {
    ear: Ear,
    target: Arc<Target>,
    _subscription: AbortOnDrop,
    lanes: BTreeMap<Connection, LaneHandle>,
}

#[derive(Debug)]
struct LaneHandle {
    queue: mpsc::UnboundedSender<(CallSeq, Arc<scheduler::Call>)>,
    /// Calls without an answer, to find the least busy lane.
    open: Arc<AtomicUsize>,
    _task: AbortOnDrop,
}

/// Whom every request of this link goes to, and in which words.
#[derive(Debug)]
struct Target {
    endpoint: Endpoint,
    encoding: Encoding,
    /// Set before `Opened` is heard, so every call has it.
    stream_id: OnceLock<HeaderValue>,
}

pub(super) fn open(
    ear: Ear,
    endpoint: &Endpoint,
    encoding: Encoding,
    subscribe: scheduler::Call,
) -> HttpLink {
    let target = Arc::new(Target {
        endpoint: endpoint.clone(),
        encoding,
        stream_id: OnceLock::new(),
    });
    let task = {
        let (ear, target) = (ear.clone(), target.clone());
        async move {
            let end = subscription(&ear, &target, &subscribe).await;
            ear.event(end).await;
        }
    };
    HttpLink {
        ear,
        target,
        _subscription: AbortOnDrop::spawn(task),
        lanes: BTreeMap::new(),
    }
}

impl HttpLink {
    pub(super) fn send(&mut self, lane: Lane, seq: CallSeq, call: Arc<scheduler::Call>) {
        let connection = match lane {
            Lane::Wish => Connection::Wish,
            Lane::Agent(n) => Connection::Agent(n),
            Lane::Free => self.least_busy(),
        };
        let (ear, target) = (&self.ear, &self.target);
        let lane = self.lanes.entry(connection).or_insert_with(|| {
            let (queue, calls) = mpsc::unbounded_channel();
            let open = Arc::new(AtomicUsize::new(0));
            let task = AbortOnDrop::spawn(run_lane(ear.clone(), target.clone(), calls, open.clone()));
            LaneHandle {
                queue,
                open,
                _task: task,
            }
        });
        lane.open.fetch_add(1, Ordering::Relaxed);
        // The lane ends only with this handle.
        let _ = lane.queue.send((seq, call));
    }

    /// The first unordered lane that is idle (or not yet there), else the least busy one: a quiet framework uses one
    /// connection, a busy one all of them.
    fn least_busy(&self) -> Connection {
        let open = |n: &u64| {
            let lane = self.lanes.get(&Connection::Free(*n));
            lane.map_or(0, |lane| lane.open.load(Ordering::Relaxed))
        };
        Connection::Free((0..FREE_LANES).min_by_key(open).unwrap_or(0))
    }
}

impl Target {
    fn request(&self, call: &scheduler::Call) -> Result<Request<Full<Bytes>>, http::Error> {
        let media = match self.encoding {
            Encoding::Json => "application/json",
            Encoding::Protobuf => "application/x-protobuf",
        };
        let body = match self.encoding {
            Encoding::Json => json::to_vec(call),
            Encoding::Protobuf => call.encode_to_vec(),
        };
        let mut request = Request::post(PATH)
            .header(HOST, self.endpoint.authority())
            .header(CONTENT_TYPE, media)
            .header(ACCEPT, media);
        if let Some(id) = self.stream_id.get() {
            request = request.header(STREAM_ID, id);
        }
        request.body(Full::new(Bytes::from(body)))
    }

    fn decode(&self, record: &[u8]) -> Result<scheduler::Event, String> {
        match self.encoding {
            Encoding::Json => json::from_slice(record).map_err(|e| e.to_string()),
            Encoding::Protobuf => binary::decode(record).map_err(|e| e.to_string()),
        }
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, String> {
        let to = (self.endpoint.host.as_str(), self.endpoint.port);
        let connecting = TcpStream::connect(to);
        let tcp = tokio::time::timeout(CONNECT_TIMEOUT, connecting)
            .await
            .map_err(|_| format!("cannot connect to {}: no answer", self.endpoint))?
            .map_err(|e| format!("cannot connect to {}: {e}", self.endpoint))?;
        // Calls are small and waited for: Nagle's algorithm would only delay them.
        let _ = tcp.set_nodelay(true);
        let (sender, connection) = http1::handshake(TokioIo::new(tcp))
            .await
            .map_err(|e| format!("cannot speak to {}: {e}", self.endpoint))?;
        // Ends with its sender and the body it feeds; its error is theirs.
        tokio::spawn(async move {
            let _ = connection.await;
        });
        Ok(sender)
    }
}

/// Subscribes and reads to the end, which it returns.
async fn subscription(ear: &Ear, target: &Target, subscribe: &scheduler::Call) -> LinkEvent {
    let opened = async {
        let mut sender = target.connect().await.map_err(LinkEvent::Lost)?;
        let request = target
            .request(subscribe)
            .map_err(|e| LinkEvent::Lost(e.to_string()))?;
        let response = sender
            .send_request(request)
            .await
            .map_err(|e| LinkEvent::Lost(format!("SUBSCRIBE to {}: {e}", target.endpoint)))?;
        Ok((sender, response))
    };
    let (sender, response) = match opened.await {
        Ok(pair) => pair,
        Err(end) => return end,
    };
    if response.status() != StatusCode::OK {
        return refusal(response).await;
    }
    if let Some(id) = response.headers().get(STREAM_ID) {
        let _ = target.stream_id.set(id.clone());
    }
    ear.event(LinkEvent::Opened).await;
    let end = read_records(ear, target, response.into_body()).await;
    drop(sender);
    LinkEvent::Lost(end)
}

async fn read_records(ear: &Ear, target: &Target, mut body: Incoming) -> String {
    let mut decoder = recordio::Decoder::new(EVENT_BYTES_MAX);
    loop {
        let data = match body.frame().await {
            None => return "the master ended the stream".to_owned(),
            Some(Err(e)) => return format!("the stream broke: {e}"),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => data,
                Err(_trailers) => continue,
            },
        };
        decoder.push(&data);
        let mut whole = false;
        loop {
            match decoder.next_record() {
                Ok(None) => break,
                Err(e) => return format!("the stream is no RecordIO: {e}"),
                Ok(Some(record)) => match target.decode(&record) {
                    Ok(event) => {
                        whole = true;
                        ear.event(LinkEvent::Event(Box::new(event))).await;
                    }
                    Err(e) => return format!("an event cannot be read: {e}"),
                },
            }
        }
        if !whole {
            ear.event(LinkEvent::Alive).await;
        }
    }
}

async fn refusal(response: Response<Incoming>) -> LinkEvent {
    let (head, body) = response.into_parts();
    let text = read_text(body).await;
    let code = head.status.as_u16();
    match code {
        301 | 302 | 307 | 308 => LinkEvent::Moved(location(&head.headers)),
        503 | 429 => LinkEvent::Unavailable {
            text,
            retry_after: retry_after(&head.headers),
        },
        400..=499 => LinkEvent::Refused { code, text },
        _ => LinkEvent::Lost(format!("the master answered {code}: {text}")),
    }
}

fn location(headers: &HeaderMap) -> String {
    let value = headers.get(LOCATION).and_then(|v| v.to_str().ok());
    value.unwrap_or_default().to_owned()
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?;
    text.trim().parse().ok().map(Duration::from_secs)
}

async fn read_text(body: Incoming) -> String {
    match Limited::new(body, ANSWER_BYTES_MAX).collect().await {
        Ok(all) => String::from_utf8_lossy(&all.to_bytes()).into_owned(),
        Err(e) => format!("(unreadable answer: {e})"),
    }
}

/// One lane: one connection, one call at a time.
async fn run_lane(
    ear: Ear,
    target: Arc<Target>,
    mut calls: mpsc::UnboundedReceiver<(CallSeq, Arc<scheduler::Call>)>,
    open: Arc<AtomicUsize>,
) {
    let mut connection = None;
    while let Some((seq, call)) = calls.recv().await {
        let answered = tokio::time::timeout(REQUEST_TIMEOUT, one_call(&target, &mut connection, &call)).await;
        let reply = answered.unwrap_or_else(|_| {
            connection = None;
            Reply::Unknown(format!("no answer within {} s", REQUEST_TIMEOUT.as_secs()))
        });
        open.fetch_sub(1, Ordering::Relaxed);
        ear.reply(seq, reply).await;
    }
}

/// Sends one call and reads its answer. A connection the master closed while it was idle is replaced once, as long
/// as nothing of the call can have left.
async fn one_call(
    target: &Target,
    connection: &mut Option<SendRequest<Full<Bytes>>>,
    call: &scheduler::Call,
) -> Reply {
    for fresh in [false, true] {
        let request = match target.request(call) {
            Ok(request) => request,
            Err(e) => {
                return Reply::Refused {
                    code: 400,
                    text: e.to_string(),
                };
            }
        };
        let mut sender = match connection.take() {
            Some(sender) if !fresh => sender,
            _ => match target.connect().await {
                Ok(sender) => sender,
                Err(why) => return Reply::Unknown(why),
            },
        };
        if sender.ready().await.is_err() {
            continue;
        }
        match sender.send_request(request).await {
            Err(e) if e.is_canceled() && !fresh => continue,
            Err(e) => return Reply::Unknown(e.to_string()),
            Ok(response) => {
                let (reply, usable) = read_reply(response).await;
                *connection = usable.then_some(sender);
                return reply;
            }
        }
    }
    Reply::Unknown(format!("{} closes every connection", target.endpoint))
}

/// The reply, and whether the connection can be used again.
async fn read_reply(response: Response<Incoming>) -> (Reply, bool) {
    let (head, body) = response.into_parts();
    let read = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
    let usable = read.is_ok();
    let text = read
        .map(|all| String::from_utf8_lossy(&all.to_bytes()).into_owned())
        .unwrap_or_default();
    let code = head.status.as_u16();
    let reply = match code {
        200..=299 => Reply::Accepted,
        307 | 301 | 302 | 308 => Reply::NotLeading(format!("the leader is at {}", location(&head.headers))),
        503 => Reply::NotLeading(text),
        429 => Reply::Later(retry_after(&head.headers).unwrap_or(Duration::from_secs(1))),
        400..=499 => Reply::Refused { code, text },
        _ => Reply::Unknown(format!("the master answered {code}: {text}")),
    };
    (reply, usable)
}
