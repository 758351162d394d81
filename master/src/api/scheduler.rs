//! `POST /api/v1/scheduler`: the scheduler API over HTTP.
//!
//! Checks a request in the order Mesos does, answers 202 as soon as a call is valid and queued, and opens the event
//! stream of a SUBSCRIBE. What a call leads to is said on that stream, by the core.

mod call;
mod event;
mod framework;

pub(super) use call::{Accepted, Refused, Request, read};
pub(super) use event::SchedulerEvents;
pub(super) use framework::{Fault, subscribe};

use super::check_method;
use super::records::{Records, UNREAD_BYTES_MAX};
use crate::intake::{Closed, Message, StreamPeer};
use crate::master::Master;
use crate::outbox::outbox;
use crate::sessions::CallRefused;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use meseta_http::gate::{Action, Identity};
use meseta_http::listener::Connection;
use meseta_http::negotiate::content_type;
use meseta_http::{Accept, Body, MediaType, Refusal, Response, Wording, body, reply};
use meseta_master_core::io::{Event, Input, StreamId};
use meseta_proto::mesos::v1::scheduler;
use std::sync::Arc;

/// Names the stream a call belongs to.
const STREAM_ID: HeaderName = HeaderName::from_static("mesos-stream-id");

pub(super) async fn call(master: &Arc<Master>, parts: Parts, body: Body) -> Result<Response, Refusal> {
    let who = master.gate.identify(&parts.headers);
    master.check_recovered()?;
    if let Err(wrong_method) = check_method(&parts, &["POST"]) {
        return Ok(*wrong_method);
    }
    let media = content_type(&parts.headers, Wording::Common)?;
    let bytes = body::read(body, &parts.headers, master.config.max_request_bytes).await?;
    let size = bytes.len();
    let call = super::parse(media, &bytes)?;
    let request = read(call)
        .map_err(|invalid| Refusal::bad_request(format!("Failed to validate scheduler::Call: {invalid}")))?;
    let accept = Accept::of(&parts.headers);
    match request {
        Request::Subscribe(subscribe) => {
            let media = accept.message()?;
            if parts.headers.contains_key(STREAM_ID) {
                return Err(Refusal::bad_request(
                    "Subscribe calls should not include the 'Mesos-Stream-Id' header",
                ));
            }
            open(master, &who, parts, media, subscribe, size).await
        }
        Request::Update(id, update) => {
            let stream = check_session(master, &who, &id, &parts.headers)?;
            let update = subscribe(&update).map_err(|fault| Refusal::bad_request(fault.update_text()))?;
            let input = move |request| Input::UpdateFramework {
                request,
                stream,
                update,
            };
            match master.intake.ask(size, input).await? {
                Ok(()) => Ok(reply::empty(StatusCode::OK)),
                Err(refused) => Err(super::core_refusal(&refused)),
            }
        }
        Request::Unknown(id) => {
            check_session(master, &who, &id, &parts.headers)?;
            Err(Refusal::standard(StatusCode::NOT_IMPLEMENTED))
        }
        Request::Call(framework_id, call) => {
            if call.is_reconcile_operations() {
                accept.message()?;
            }
            let stream = check_session(master, &who, &framework_id, &parts.headers)?;
            if let Some(call) = call.into_core() {
                let input = Input::Call {
                    stream,
                    framework_id,
                    call,
                };
                master.intake.send(Message::Input(input), size).await?;
            }
            Ok(reply::empty(StatusCode::ACCEPTED))
        }
    }
}

/// Whether the caller may call on this stream of this framework.
fn check_session(
    master: &Master,
    who: &Identity,
    id: &meseta_types::FrameworkId,
    headers: &HeaderMap,
) -> Result<StreamId, Refusal> {
    let header = headers
        .get(STREAM_ID)
        .map(|value| String::from_utf8_lossy(value.as_bytes()));
    let checked = master
        .sessions
        .check(id, who.principal.as_ref(), header.as_deref());
    checked.map_err(|refused| session_refusal(&refused))
}

fn session_refusal(refused: &CallRefused) -> Refusal {
    let status = match refused {
        CallRefused::NotSubscribed => StatusCode::FORBIDDEN,
        CallRefused::UnknownFramework
        | CallRefused::OtherPrincipal(..)
        | CallRefused::NoStreamId
        | CallRefused::OtherStream(..) => StatusCode::BAD_REQUEST,
    };
    Refusal::new(status, refused.to_string())
}

/// Opens the event stream of a SUBSCRIBE. A framework that is refused hears it there: 200 and one ERROR event.
async fn open(
    master: &Arc<Master>,
    who: &Identity,
    parts: Parts,
    media: MediaType,
    request: scheduler::call::Subscribe,
    size: usize,
) -> Result<Response, Refusal> {
    let text: Arc<str> = Arc::from(master.new_uuid());
    let (outbox, inlet) = outbox(UNREAD_BYTES_MAX);
    let encoder = SchedulerEvents::new(master.me.info());
    let wanted = match subscribe(&request) {
        Ok(subscribe) if master.gate.allows(who, Action::RegisterFramework) => Ok(subscribe),
        Ok(_) => Err("Not authorized to register the framework".to_owned()),
        Err(fault) => Err(fault.text()),
    };
    let records = match wanted {
        Ok(subscribe) => {
            let stream = master.intake.stream_id();
            // Made before the core hears of the stream: whatever ends this request, the core hears of that too.
            let guard = master.intake.guard(Closed::Stream(stream));
            let records = Records::new(inlet, encoder, media, Some(guard));
            let peer = StreamPeer {
                outbox,
                text: Arc::clone(&text),
                connection: parts.extensions.get::<Connection>().cloned(),
            };
            let message = Message::Subscribe {
                stream,
                peer,
                subscribe,
            };
            master.intake.send(message, size).await?;
            records
        }
        Err(refused) => {
            tracing::info!("a framework is refused: {refused}");
            let message = Arc::from(refused);
            let _an_empty_outbox_takes_one = outbox.push(Event::Error { message }, 0);
            Records::new(inlet, encoder, media, None)
        }
    };
    let mut response = Response::new(Body::from_stream(records));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media.as_str()));
    headers.insert(STREAM_ID, HeaderValue::from_str(&text).map_err(super::broken)?);
    Ok(response)
}
