//! The writing side of a conversation: what goes down to a scheduler, in batches, as it takes them.

use crate::api::scheduler::SchedulerEvents;
use crate::intake::CloseGuard;
use crate::outbox::Inlet;
use futures_util::Stream;
use meseta_master_core::io::Event;
use meseta_proto::meseta::scheduler::v1::{Alive, Bye, Down, Events, Range, Refusal, Replies, Welcome, down};
use meseta_proto::mesos::v1;
use meseta_proto::prost::Message;
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tonic::{Code, Status};

/// Items of one message at most.
const BATCH_ITEMS: usize = 512;

/// A batch is closed at this size.
const BATCH_BYTES: usize = 1 << 20;

/// How a call fared, or how the conversation ends.
#[derive(Debug)]
pub(super) enum Verdict {
    /// The call with this number is accepted.
    Accepted(u64),
    /// The call is refused.
    Refused(Refusal),
    /// The reading side ends the conversation.
    Bye(u32, String),
}

/// What a conversation consists of.
pub(super) struct Conversation {
    pub(super) inlet: Inlet<Event>,
    pub(super) verdicts: mpsc::Receiver<Verdict>,
    pub(super) master: v1::MasterInfo,
    pub(super) stream_id: Arc<str>,
    pub(super) silence_max: Duration,
    pub(super) message_bytes_max: usize,
    pub(super) guard: CloseGuard,
}

/// Where the stream stands.
#[derive(Debug)]
enum Stage {
    /// Events and replies flow.
    Talking,
    /// The last messages are out; the status remains.
    Ending(Status),
    /// Nothing remains.
    Ended,
}

/// The stream of messages.
pub(in crate::api) struct DownStream {
    inlet: Inlet<Event>,
    verdicts: mpsc::Receiver<Verdict>,
    encoder: SchedulerEvents,
    alive: Interval,
    ready: VecDeque<down::Body>,
    next_event: u64,
    /// The text of an ERROR event, which is the last one.
    error: Option<Arc<str>>,
    stage: Stage,
    _guard: CloseGuard,
}

impl DownStream {
    pub(super) fn new(conversation: Conversation) -> DownStream {
        let welcome = Welcome {
            stream_id: conversation.stream_id.to_string(),
            resumed: false,
            alive_seconds: conversation.silence_max.as_secs_f64(),
            master: conversation.master.encode_to_vec().into(),
            message_bytes_max: u32::try_from(conversation.message_bytes_max).unwrap_or(u32::MAX),
        };
        let mut alive = interval(conversation.silence_max / 3);
        alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
        alive.reset();
        DownStream {
            inlet: conversation.inlet,
            verdicts: conversation.verdicts,
            encoder: SchedulerEvents::new(conversation.master),
            alive,
            ready: VecDeque::from([down::Body::Welcome(welcome)]),
            next_event: 1,
            error: None,
            stage: Stage::Talking,
            _guard: conversation.guard,
        }
    }

    /// Everything the core has said so far, as one batch.
    fn poll_events(&mut self, cx: &mut Context<'_>) -> Poll<Option<down::Body>> {
        let first = match self.inlet.poll_next(cx) {
            Poll::Ready(Some(first)) => first,
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Pending => return Poll::Pending,
        };
        let (first_seq, mut events, mut bytes) = (self.next_event, Vec::new(), 0);
        let mut next = Some(first);
        while let Some(event) = next.take() {
            if let Event::Error { message } = &event {
                self.error = Some(Arc::clone(message));
            }
            let encoded = self.encoder.message(&event).encode_to_vec();
            bytes += encoded.len();
            events.push(encoded.into());
            if events.len() < BATCH_ITEMS && bytes < BATCH_BYTES {
                next = self.inlet.try_next();
            }
        }
        self.next_event += events.len() as u64;
        Poll::Ready(Some(down::Body::Events(Events { first_seq, events })))
    }

    /// The verdicts so far, as one batch; a `Bye` ends the conversation after it.
    fn poll_verdicts(&mut self, cx: &mut Context<'_>) -> Poll<Option<down::Body>> {
        let mut replies = Replies::default();
        let mut next = match self.verdicts.poll_recv(cx) {
            Poll::Ready(Some(first)) => Some(first),
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Pending => return Poll::Pending,
        };
        let mut count = 0;
        while let Some(verdict) = next.take() {
            match verdict {
                Verdict::Accepted(seq) => match replies.accepted.last_mut() {
                    Some(range) if range.end + 1 == seq => range.end = seq,
                    _ => replies.accepted.push(Range { begin: seq, end: seq }),
                },
                Verdict::Refused(refusal) => replies.refused.push(refusal),
                Verdict::Bye(code, text) => {
                    self.end(code, text);
                    break;
                }
            }
            count += 1;
            if count < BATCH_ITEMS {
                next = self.verdicts.try_recv().ok();
            }
        }
        Poll::Ready((count > 0).then_some(down::Body::Replies(replies)))
    }

    /// Says goodbye and remembers the status that follows.
    fn end(&mut self, code: u32, text: String) {
        let status = Status::new(status_code(code), text.clone());
        self.ready.push_back(down::Body::Bye(Bye {
            code,
            text,
            leader: String::new(),
        }));
        self.stage = Stage::Ending(status);
    }

    /// The core closed the stream, or cut it off.
    fn closed(&mut self) {
        if self.inlet.is_cut() {
            return self.end(429, "the client does not read".to_owned());
        }
        match self.error.take() {
            Some(text) => self.end(error_code(&text), text.to_string()),
            // A teardown, or the master's own end: no fault.
            None => self.end(200, "the stream is closed".to_owned()),
        }
    }
}

/// The HTTP code that fits an ERROR event.
fn error_code(text: &str) -> u32 {
    match text {
        "Framework failed over" => 409,
        "Framework has been removed" => 410,
        text if text.starts_with("Not authorized") || text.starts_with("Authorization") => 403,
        _ => 400,
    }
}

fn status_code(code: u32) -> Code {
    match code {
        200 => Code::Ok,
        403 => Code::PermissionDenied,
        408 => Code::DeadlineExceeded,
        409 => Code::Aborted,
        410 => Code::FailedPrecondition,
        429 => Code::ResourceExhausted,
        503 => Code::Unavailable,
        _ => Code::InvalidArgument,
    }
}

impl Stream for DownStream {
    type Item = Result<Down, Status>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if let Some(body) = this.ready.pop_front() {
                this.alive.reset();
                return Poll::Ready(Some(Ok(Down { body: Some(body) })));
            }
            match std::mem::replace(&mut this.stage, Stage::Ended) {
                Stage::Talking => this.stage = Stage::Talking,
                Stage::Ending(status) if status.code() == Code::Ok => return Poll::Ready(None),
                Stage::Ending(status) => return Poll::Ready(Some(Err(status))),
                Stage::Ended => return Poll::Ready(None),
            }
            let mut pending = true;
            match this.poll_verdicts(cx) {
                Poll::Ready(Some(replies)) => {
                    // Before a Bye that came with them.
                    this.ready.push_front(replies);
                    continue;
                }
                Poll::Ready(None) if matches!(this.stage, Stage::Ending(_)) => continue,
                // The reading side is gone: the client half-closed, the core will close the stream.
                Poll::Ready(None) | Poll::Pending => {}
            }
            match this.poll_events(cx) {
                Poll::Ready(Some(events)) => {
                    this.ready.push_back(events);
                    pending = false;
                }
                Poll::Ready(None) => {
                    this.closed();
                    pending = false;
                }
                Poll::Pending => {}
            }
            if pending {
                if this.alive.poll_tick(cx).is_pending() {
                    return Poll::Pending;
                }
                this.ready.push_back(down::Body::Alive(Alive {}));
            }
        }
    }
}
