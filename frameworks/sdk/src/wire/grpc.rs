//! The scheduler API over one bidirectional gRPC stream (`meseta.scheduler.v1`).
//!
//! Calls are numbered per stream and batched; their answers come back as ranges and refusals. The stream keeps their
//! order, so lanes mean nothing here. Resumption is not used: a lost stream is a lost subscription, as over HTTP.

use super::{AbortOnDrop, CONNECT_TIMEOUT, EVENT_BYTES_MAX, Ear};
use crate::driver::{CallSeq, LinkEvent, Reply};
use crate::endpoint::Endpoint;
use bytes::Bytes;
use meseta_proto::binary;
use meseta_proto::meseta::scheduler::v1 as api;
use meseta_proto::meseta::scheduler::v1::scheduler_client::SchedulerClient;
use meseta_proto::mesos::v1::scheduler;
use meseta_types::causes;
use prost::Message;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};

/// A batch of calls ends here; each takes a few hundred bytes, so that a message stays far below every library's
/// default limit of 4 MiB.
const BATCH_ITEMS: usize = 512;
/// A batch also ends when it has grown to this many bytes.
const BATCH_BYTES: usize = 1024 * 1024;
/// Messages waiting for HTTP/2's window; when they fill up, calls wait in the link's queue.
const UP_QUEUE: usize = 16;
/// How often we show that we live where Welcome names no interval.
const ALIVE: Duration = Duration::from_secs(15);
/// HTTP/2 windows: the defaults of 64 KiB would throttle a burst of offers to one window per round trip.
const STREAM_WINDOW: u32 = 4 * 1024 * 1024;
const CONNECTION_WINDOW: u32 = 16 * 1024 * 1024;

type Queued = (CallSeq, Arc<scheduler::Call>);

/// A gRPC subscription.
#[derive(Debug)]
pub struct GrpcLink {
    queue: mpsc::UnboundedSender<Queued>,
    _task: AbortOnDrop,
}

pub(super) fn open(ear: Ear, endpoint: &Endpoint, subscribe: &scheduler::Call) -> GrpcLink {
    let (queue, calls) = mpsc::unbounded_channel();
    let (endpoint, hello) = (endpoint.clone(), subscribe.encode_to_vec());
    let task = async move {
        let end = match Session::open(&ear, &endpoint, hello.into()).await {
            Ok(session) => session.run(calls).await,
            Err(end) => end,
        };
        ear.event(end).await;
    };
    GrpcLink {
        queue,
        _task: AbortOnDrop::spawn(task),
    }
}

impl GrpcLink {
    pub(super) fn send(&mut self, seq: CallSeq, call: Arc<scheduler::Call>) {
        // The task ends by itself only when the stream is over; the driver hears that as `Lost`.
        let _ = self.queue.send((seq, call));
    }
}

struct Session<'a> {
    ear: &'a Ear,
    up: mpsc::Sender<api::Up>,
    down: tonic::Streaming<api::Down>,
    alive: Interval,
    /// The number of the next call on this stream.
    next: u64,
    /// Numbers on this stream whose answer is due, and the driver's names for them.
    unanswered: BTreeMap<u64, CallSeq>,
}

impl<'a> Session<'a> {
    async fn open(ear: &'a Ear, endpoint: &Endpoint, hello: Bytes) -> Result<Session<'a>, LinkEvent> {
        let channel = tonic::transport::Endpoint::from_shared(endpoint.url())
            .map_err(|e| LinkEvent::Lost(e.to_string()))?
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .connect()
            .await
            .map_err(|e| LinkEvent::Lost(format!("cannot connect to {endpoint}: {}", causes(&e))))?;
        let (up, queue) = mpsc::channel(UP_QUEUE);
        // Hello lies in the queue before the call is made: its answer's headers may wait for it.
        let first = message(api::up::Body::Hello(api::Hello {
            subscribe: hello,
            ..Default::default()
        }));
        up.send(first).await.map_err(|e| LinkEvent::Lost(e.to_string()))?;
        let down = SchedulerClient::new(channel)
            .max_decoding_message_size(EVENT_BYTES_MAX)
            .connect(ReceiverStream::new(queue))
            .await
            .map_err(|status| ended(&status))?
            .into_inner();
        Ok(Session {
            ear,
            up,
            down,
            alive: alive_every(ALIVE),
            next: 1,
            unanswered: BTreeMap::new(),
        })
    }

    async fn run(mut self, mut calls: mpsc::UnboundedReceiver<Queued>) -> LinkEvent {
        loop {
            let queue_has_room = self.up.capacity() > 0;
            tokio::select! {
                message = self.down.message() => match message {
                    Err(status) => return ended(&status),
                    Ok(None) => return LinkEvent::Lost("the master ended the stream".to_owned()),
                    Ok(Some(down)) => if let Some(end) = self.hear(down.body).await {
                        return end;
                    },
                },
                Some(first) = calls.recv(), if queue_has_room => self.send_batch(first, &mut calls),
                _ = self.alive.tick() => {
                    // A full queue is being sent: that is a sign of life already.
                    let _ = self.up.try_send(message(api::up::Body::Alive(api::Alive {})));
                }
            }
        }
    }

    fn send_batch(&mut self, first: Queued, calls: &mut mpsc::UnboundedReceiver<Queued>) {
        let mut batch = api::Calls {
            first_seq: self.next,
            calls: Vec::new(),
        };
        let mut bytes = 0;
        let mut item = Some(first);
        while let Some((seq, call)) = item {
            let encoded = call.encode_to_vec();
            bytes += encoded.len();
            batch.calls.push(encoded.into());
            self.unanswered.insert(self.next, seq);
            self.next += 1;
            let full = batch.calls.len() >= BATCH_ITEMS || bytes >= BATCH_BYTES;
            item = if full { None } else { calls.try_recv().ok() };
        }
        // There is room (checked before), and the receiver lives as long as the stream.
        let _ = self.up.try_send(message(api::up::Body::Calls(batch)));
        self.alive.reset();
    }

    /// One message from the master; returns the end, if it is one.
    async fn hear(&mut self, body: Option<api::down::Body>) -> Option<LinkEvent> {
        match body {
            None | Some(api::down::Body::Alive(_)) => self.ear.event(LinkEvent::Alive).await,
            Some(api::down::Body::Welcome(welcome)) => {
                if let Ok(limit) = Duration::try_from_secs_f64(welcome.alive_seconds)
                    && limit >= Duration::from_secs(3)
                {
                    self.alive = alive_every((limit / 3).min(ALIVE));
                }
                self.ear.event(LinkEvent::Opened).await;
            }
            Some(api::down::Body::Events(events)) => {
                for encoded in events.events {
                    match binary::decode(&encoded) {
                        Ok(event) => self.ear.event(LinkEvent::Event(Box::new(event))).await,
                        Err(e) => return Some(LinkEvent::Lost(format!("an event cannot be read: {e}"))),
                    }
                }
            }
            Some(api::down::Body::Replies(replies)) => self.replies(replies).await,
            Some(api::down::Body::Bye(bye)) => return Some(bye_says(bye)),
        }
        None
    }

    async fn replies(&mut self, replies: api::Replies) {
        for refusal in replies.refused {
            let Some(seq) = self.unanswered.remove(&refusal.call_seq) else {
                continue;
            };
            let reply = match refusal.code {
                429 => Reply::Later(seconds(refusal.retry_after_seconds).unwrap_or(Duration::from_secs(1))),
                307 | 503 => Reply::NotLeading(refusal.text),
                500.. => Reply::Unknown(refusal.text),
                code => Reply::Refused {
                    code: u16::try_from(code).unwrap_or(400),
                    text: refusal.text,
                },
            };
            self.ear.reply(seq, reply).await;
        }
        for range in replies.accepted {
            // Only numbers that were used are looked at, however wide the range.
            let accepted: Vec<u64> = self
                .unanswered
                .range(range.begin..=range.end.max(range.begin))
                .map(|(n, _)| *n)
                .collect();
            for number in accepted {
                if let Some(seq) = self.unanswered.remove(&number) {
                    self.ear.reply(seq, Reply::Accepted).await;
                }
            }
        }
    }
}

fn alive_every(period: Duration) -> Interval {
    let mut interval = interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval.reset();
    interval
}

fn message(body: api::up::Body) -> api::Up {
    api::Up { body: Some(body) }
}

fn seconds(secs: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(secs).ok().filter(|d| !d.is_zero())
}

fn bye_says(bye: api::Bye) -> LinkEvent {
    match bye.code {
        307 | 503 if !bye.leader.is_empty() => LinkEvent::Moved(bye.leader),
        503 => LinkEvent::Unavailable {
            text: bye.text,
            retry_after: None,
        },
        400 | 401 | 403 => LinkEvent::Refused {
            code: u16::try_from(bye.code).unwrap_or(400),
            text: bye.text,
        },
        code => LinkEvent::Lost(format!("the master ended the stream ({code}): {}", bye.text)),
    }
}

/// What a gRPC status says about the subscription.
fn ended(status: &Status) -> LinkEvent {
    let text = status.message().to_owned();
    let leader = status
        .metadata()
        .get("meseta-leader")
        .and_then(|v| v.to_str().ok());
    match status.code() {
        Code::Unavailable => match leader {
            Some(leader) => LinkEvent::Moved(leader.to_owned()),
            None => LinkEvent::Unavailable {
                text,
                retry_after: None,
            },
        },
        Code::InvalidArgument => LinkEvent::Refused { code: 400, text },
        Code::Unauthenticated => LinkEvent::Refused { code: 401, text },
        Code::PermissionDenied => LinkEvent::Refused { code: 403, text },
        _ => LinkEvent::Lost(format!("the stream broke: {}", causes(status))),
    }
}
