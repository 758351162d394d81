//! The scheduler API over gRPC: the same calls and events as over HTTP, batched, with refusals as answers.
//!
//! `Connect` is a conversation: Hello, Welcome, then calls up and events, replies and signs of life down. Nothing is
//! resumed: a stream that ends is a disconnect, as over HTTP. `Call` is for tools that hold no stream.

mod down;

use super::scheduler::{Accepted, Fault, Refused, Request as Valid, read, subscribe};
use crate::intake::{CloseGuard, Closed, Ended, Message, StreamPeer};
use crate::master::Master;
use crate::outbox::outbox;
use crate::sessions::CallRefused;
use bytes::Bytes;
use down::{Conversation, DownStream, Verdict};
use meseta_http::gate::{Action, Identity};
use meseta_http::listener::Connection;
use meseta_master_core::io::{Event, Input, StreamId, Subscribe};
use meseta_proto::binary;
use meseta_proto::meseta::scheduler::v1::scheduler_server::{Scheduler, SchedulerServer};
use meseta_proto::meseta::scheduler::v1::{CallReply, CallRequest, Calls, Hello, Refusal, Up, up};
use meseta_proto::mesos::v1::scheduler::Call;
use meseta_types::FrameworkId;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tonic::{Request, Response, Status, Streaming};

/// Either side counts as dead after this much silence.
const SILENCE_MAX: Duration = Duration::from_secs(45);

/// The largest message taken.
const MESSAGE_BYTES_MAX: usize = 16 << 20;

/// Verdicts that may wait for a client that does not read them; calls wait then, too.
const VERDICTS_MAX: usize = 4096;

/// The service.
pub(super) fn service(master: Arc<Master>) -> SchedulerServer<Schedulers> {
    SchedulerServer::new(Schedulers { master }).max_decoding_message_size(MESSAGE_BYTES_MAX)
}

/// Answers schedulers.
#[derive(Clone)]
pub(super) struct Schedulers {
    master: Arc<Master>,
}

#[tonic::async_trait]
impl Scheduler for Schedulers {
    type ConnectStream = DownStream;

    async fn connect(&self, request: Request<Streaming<Up>>) -> Result<Response<DownStream>, Status> {
        self.check_recovered()?;
        let who = self.master.gate.identify(request.metadata().as_ref());
        let connection = request.extensions().get::<Connection>().cloned();
        let stream = self.master.intake.stream_id();
        let text: Arc<str> = Arc::from(self.master.new_uuid());
        let (outbox, inlet) = outbox(super::records::UNREAD_BYTES_MAX);
        let (verdicts, judged) = mpsc::channel(VERDICTS_MAX);
        let guard = self.master.intake.guard(Closed::Stream(stream));
        let down = DownStream::new(Conversation {
            inlet,
            verdicts: judged,
            master: self.master.me.info(),
            stream_id: Arc::clone(&text),
            silence_max: SILENCE_MAX,
            message_bytes_max: MESSAGE_BYTES_MAX,
            guard,
        });
        let caller = Caller {
            master: Arc::clone(&self.master),
            who,
            stream,
            text,
            verdicts,
            _guard: self.master.intake.guard(Closed::Stream(stream)),
        };
        let peer = StreamPeer {
            outbox,
            text: Arc::clone(&caller.text),
            connection,
        };
        tokio::spawn(caller.converse(request.into_inner(), peer));
        Ok(Response::new(down))
    }

    async fn call(&self, request: Request<CallRequest>) -> Result<Response<CallReply>, Status> {
        self.check_recovered()?;
        let who = self.master.gate.identify(request.metadata().as_ref());
        let CallRequest { stream_id, call } = request.into_inner();
        let refused = one_call(&self.master, &who, &stream_id, &call).await.err();
        Ok(Response::new(CallReply { refused }))
    }
}

impl Schedulers {
    fn check_recovered(&self) -> Result<(), Status> {
        match self.master.elected.get() {
            Some(_) => Ok(()),
            None => Err(Status::unavailable("Master has not finished recovery")),
        }
    }
}

/// The reading side of a conversation.
struct Caller {
    master: Arc<Master>,
    who: Identity,
    stream: StreamId,
    text: Arc<str>,
    verdicts: mpsc::Sender<Verdict>,
    _guard: CloseGuard,
}

impl Caller {
    async fn converse(self, mut ups: Streaming<Up>, peer: StreamPeer) {
        match self.hear(&mut ups).await {
            Ok(Some(up::Body::Hello(hello))) => {
                let wanted = match self.wanted(&hello) {
                    Ok(wanted) => wanted,
                    // Said before the outbox is dropped, whose end would otherwise be all that the client hears.
                    Err((code, text)) => return self.end(code, text).await,
                };
                if let Err(ended) = self.subscribe(wanted, peer, hello.subscribe.len()).await {
                    return self.end(503, ended.to_string()).await;
                }
            }
            Ok(_) => return self.end(400, "the first message is not Hello".to_owned()).await,
            Err(why) => return self.end(408, why).await,
        }
        loop {
            match self.hear(&mut ups).await {
                Ok(Some(up::Body::Calls(calls))) => {
                    if self.calls(calls).await.is_err() {
                        return;
                    }
                }
                Ok(Some(up::Body::Alive(_))) => {}
                Ok(Some(up::Body::Hello(_))) => return self.end(400, "a second Hello".to_owned()).await,
                Ok(Some(up::Body::Bye(_)) | None) => return,
                Err(why) => return self.end(408, why).await,
            }
        }
    }

    /// The next message; `None` when the client has no more.
    async fn hear(&self, ups: &mut Streaming<Up>) -> Result<Option<up::Body>, String> {
        match tokio::time::timeout(SILENCE_MAX, ups.message()).await {
            Ok(Ok(Some(Up { body: Some(body) }))) => Ok(Some(body)),
            Ok(Ok(Some(Up { body: None }))) => Err("an empty message".to_owned()),
            Ok(Ok(None)) => Ok(None),
            Ok(Err(status)) => {
                tracing::debug!(
                    stream = &*self.text,
                    "a scheduler's stream broke: {}",
                    status.message()
                );
                Ok(None)
            }
            Err(_) => Err(format!("silent for {} s", SILENCE_MAX.as_secs())),
        }
    }

    async fn end(&self, code: u32, text: String) {
        let _gone_already = self.verdicts.send(Verdict::Bye(code, text)).await;
    }

    /// What Hello asks for: what the core is to be told, or what the framework is to hear as an ERROR event.
    fn wanted(&self, hello: &Hello) -> Result<Result<Subscribe, Fault>, (u32, String)> {
        let bad = |text: String| (400, text);
        let call: Call = binary::decode(&hello.subscribe)
            .map_err(|_| bad("Failed to parse body into Call protobuf".to_owned()))?;
        let valid = read(call).map_err(|why| bad(format!("Failed to validate scheduler::Call: {why}")))?;
        let Valid::Subscribe(request) = valid else {
            return Err(bad("the call of Hello is not SUBSCRIBE".to_owned()));
        };
        if !self.master.gate.allows(&self.who, Action::RegisterFramework) {
            return Err((403, "Not authorized to register the framework".to_owned()));
        }
        Ok(subscribe(&request))
    }

    /// Hands the stream to the core, or tells the framework why it cannot subscribe.
    async fn subscribe(
        &self,
        wanted: Result<Subscribe, Fault>,
        peer: StreamPeer,
        bytes: usize,
    ) -> Result<(), Ended> {
        match wanted {
            Ok(subscribe) => {
                let message = Message::Subscribe {
                    stream: self.stream,
                    peer,
                    subscribe,
                };
                self.master.intake.send(message, bytes).await
            }
            Err(fault) => {
                // As over HTTP the framework hears an ERROR event, and its stream ends with it.
                let message = Arc::from(fault.text());
                let _an_empty_outbox_takes_one = peer.outbox.push(Event::Error { message }, 0);
                Ok(())
            }
        }
    }

    /// Judges calls in order; an error ends the conversation.
    async fn calls(&self, calls: Calls) -> Result<(), ()> {
        for (seq, call) in (calls.first_seq..).zip(&calls.calls) {
            let verdict = match one_call(&self.master, &self.who, &self.text, call).await {
                Ok(()) => Verdict::Accepted(seq),
                Err(mut refused) => {
                    refused.call_seq = seq;
                    Verdict::Refused(refused)
                }
            };
            self.verdicts.send(verdict).await.map_err(|_| ())?;
        }
        Ok(())
    }
}

fn refusal(code: u32, reason: &str, text: impl ToString) -> Refusal {
    Refusal {
        code,
        text: text.to_string(),
        reason: reason.to_owned(),
        ..Default::default()
    }
}

/// Checks a call as the HTTP endpoint does and hands it to the core. The code, text and order are the same.
async fn one_call(
    master: &Master,
    who: &Identity,
    stream_text: &str,
    encoded: &Bytes,
) -> Result<(), Refusal> {
    let call: Call = binary::decode(encoded).map_err(|why| {
        refusal(
            400,
            "malformed",
            format!("Failed to parse body into Call protobuf: {why}"),
        )
    })?;
    let check = |id: &FrameworkId| {
        let checked = master
            .sessions
            .check(id, who.principal.as_ref(), Some(stream_text));
        checked.map_err(|why| session_refusal(&why))
    };
    match read(call).map_err(|why| invalid(&why))? {
        Valid::Subscribe(_) => Err(refusal(400, "subscribed", "the stream is subscribed already")),
        Valid::Unknown(id) => {
            check(&id)?;
            Err(refusal(501, "not-implemented", "501 Not Implemented."))
        }
        Valid::Update(id, update) => {
            let stream = check(&id)?;
            let update = subscribe(&update).map_err(|fault| refusal(400, "invalid", fault.update_text()))?;
            let input = move |request| Input::UpdateFramework {
                request,
                stream,
                update,
            };
            let answer = master.intake.ask(encoded.len(), input).await;
            let answer = answer.map_err(|ended| refusal(503, "unavailable", ended))?;
            answer.map_err(|refused| {
                let status = super::core_refusal(&refused).status;
                refusal(u32::from(status.as_u16()), "refused", refused)
            })
        }
        Valid::Call(framework_id, call) => {
            let stream = check(&framework_id)?;
            let call = match call {
                Accepted::Core(call) => call,
                Accepted::Ignored => return Ok(()),
            };
            let input = Input::Call {
                stream,
                framework_id,
                call,
            };
            let sent = master.intake.send(Message::Input(input), encoded.len()).await;
            sent.map_err(|ended| refusal(503, "unavailable", ended))
        }
    }
}

fn invalid(why: &Refused) -> Refusal {
    let mut refused = refusal(
        400,
        "invalid",
        format!("Failed to validate scheduler::Call: {why}"),
    );
    if let Refused::Missing(field) = why {
        refused.field = (*field).to_owned();
    }
    refused
}

fn session_refusal(why: &CallRefused) -> Refusal {
    let (code, reason) = match why {
        CallRefused::UnknownFramework => (400, "unknown-framework"),
        CallRefused::OtherPrincipal(..) => (400, "other-principal"),
        CallRefused::NotSubscribed => (403, "not-subscribed"),
        CallRefused::NoStreamId | CallRefused::OtherStream(..) => (400, "other-stream"),
    };
    refusal(code, reason, why)
}
