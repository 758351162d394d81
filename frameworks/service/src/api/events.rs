//! The event stream (`GET /v2/events`): server-sent events, each written once for all who listen.
//!
//! One task turns what the owner tells into text. Listeners share those texts; one that is [`EVENTS_MAX`] behind is cut
//! off, so nothing is kept for somebody who does not read.

use super::Inner;
use super::ask::Ask;
use super::gate::Action;
use super::refusal::Refused;
use super::reply;
use super::show::event::{self, Shown};
use crate::owner::{EVENTS_MAX, Handle};
use bytes::Bytes;
use futures_util::stream;
use http::StatusCode;
use meseta_http::{Body, Response};
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

/// Streams at once. Each costs a connection and a place in the shared queue; real setups have some dozens.
const STREAMS_MAX: usize = 1_000;

/// After so long without an event a comment is sent: load balancers give up on silent streams, some after 30 s.
const SILENCE: Duration = Duration::from_secs(15);

/// A comment line. It has no blank line after it, so that clients that treat each block as an event do not see an
/// empty one.
const COMMENT: &[u8] = b":\n";

/// Event types that are sent only to those who name them: widely used clients fail on types they do not know, and these
/// are of no use to them.
const ON_REQUEST: [&str; 3] = [
    "scheduler_registered_event",
    "scheduler_reregistered_event",
    "scheduler_disconnected_event",
];

/// An event as it is sent.
struct Written {
    kind: &'static str,
    frame: Bytes,
}

impl From<Shown> for Written {
    fn from(shown: Shown) -> Written {
        Written {
            kind: shown.kind,
            frame: format!("event: {}\ndata: {}\n\n", shown.kind, shown.json).into(),
        }
    }
}

/// Where written events are had.
pub(super) struct Hub {
    written: broadcast::Sender<Arc<Written>>,
    streams: Arc<AtomicUsize>,
}

impl Hub {
    /// Starts the task that writes events. It ends with the owner.
    pub(super) fn start(handle: &Handle) -> Hub {
        let (written, _) = broadcast::channel(EVENTS_MAX);
        let hub = Hub {
            written: written.clone(),
            streams: Arc::default(),
        };
        let framework_id = handle.info().framework_id.clone();
        let mut told = handle.events();
        tokio::spawn(async move {
            loop {
                match told.recv().await {
                    Ok(told) if written.receiver_count() > 0 => {
                        for shown in event::shown(&told, &framework_id) {
                            // Whoever listened may be gone.
                            let _ = written.send(Arc::new(shown.into()));
                        }
                    }
                    Ok(_) => {}
                    Err(RecvError::Lagged(missed)) => {
                        tracing::warn!(
                            missed,
                            "events came faster than they could be written; listeners miss some"
                        );
                    }
                    Err(RecvError::Closed) => return,
                }
            }
        });
        hub
    }

    /// Whether anybody listens.
    pub(super) fn is_heard(&self) -> bool {
        self.written.receiver_count() > 0
    }

    /// Tells those who listen.
    fn tell(&self, shown: Shown) -> Arc<Written> {
        let written = Arc::new(Written::from(shown));
        let _ = self.written.send(Arc::clone(&written));
        written
    }
}

/// `GET /v2/events`.
pub(super) fn attach(api: &Inner, ask: &Ask) -> Result<Response, Refused> {
    ask.check(Action::ViewEvents)?;
    let place = Place::take(&api.hub)?;
    let kinds: BTreeSet<String> = ask.parameters("event_type").map(str::to_owned).collect();
    let remote = json!({"remoteAddress": ask.peer()});
    // Those who listen already are told; the new one sees it first, and then what comes after it.
    let attached = api
        .hub
        .tell(event::one("event_stream_attached", api.now(), remote.clone()));
    let events = api.hub.written.subscribe();
    let listener = Listener {
        reader: Reader {
            events,
            kinds,
            first: Some(attached),
            silence: SILENCE,
        },
        _leaving: Leaving {
            written: api.hub.written.clone(),
            remote,
            handle: api.handle.clone(),
            _place: place,
        },
    };
    let frames = stream::unfold(listener, |mut listener| async move {
        let frame = listener.reader.next().await?;
        Some((Ok::<_, std::io::Error>(frame), listener))
    });
    Ok(reply::with_type(
        StatusCode::OK,
        "text/event-stream",
        Body::from_stream(frames),
    ))
}

/// One of the places for streams.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(hub: &Hub) -> Result<Place, Refused> {
        let place = Place(Arc::clone(&hub.streams));
        if hub.streams.fetch_add(1, Ordering::AcqRel) >= STREAMS_MAX {
            return Err(Refused::unavailable("Too many event streams are open."));
        }
        Ok(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Tells the others when a listener goes.
struct Leaving {
    written: broadcast::Sender<Arc<Written>>,
    remote: serde_json::Value,
    handle: Handle,
    _place: Place,
}

impl Drop for Leaving {
    fn drop(&mut self) {
        let shown = event::one(
            "event_stream_detached",
            self.handle.now(),
            std::mem::take(&mut self.remote),
        );
        let _ = self.written.send(Arc::new(shown.into()));
    }
}

struct Listener {
    reader: Reader,
    _leaving: Leaving,
}

struct Reader {
    events: broadcast::Receiver<Arc<Written>>,
    kinds: BTreeSet<String>,
    /// Its own attachment: the first thing it sees.
    first: Option<Arc<Written>>,
    /// After so long a comment is sent.
    silence: Duration,
}

impl Reader {
    fn wants(&self, kind: &str) -> bool {
        if self.kinds.is_empty() {
            !ON_REQUEST.contains(&kind)
        } else {
            self.kinds.contains(kind)
        }
    }

    /// The next frame; `None` ends the stream.
    async fn next(&mut self) -> Option<Bytes> {
        let own = self.first.take();
        if let Some(own) = own.as_ref().filter(|own| self.wants(own.kind)) {
            return Some(own.frame.clone());
        }
        let silence = tokio::time::Instant::now() + self.silence;
        loop {
            match tokio::time::timeout_at(silence, self.events.recv()).await {
                Err(_) => return Some(Bytes::from_static(COMMENT)),
                Ok(Ok(event)) if self.wants(event.kind) => return Some(event.frame.clone()),
                Ok(Ok(_)) => {}
                Ok(Err(RecvError::Lagged(missed))) => {
                    tracing::info!(missed, "an event stream that is not read is cut off");
                    return None;
                }
                Ok(Err(RecvError::Closed)) => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn written(kind: &'static str) -> Arc<Written> {
        Arc::new(event::one(kind, meseta_types::Wall(0), json!({})).into())
    }

    #[tokio::test]
    async fn a_silent_stream_gets_comments_even_while_others_hear_something() {
        let (events, _) = broadcast::channel(4);
        let mut reader = Reader {
            events: events.subscribe(),
            kinds: BTreeSet::from(["deployment_info".to_owned()]),
            first: Some(written("event_stream_attached")),
            silence: Duration::from_millis(5),
        };
        let _ = events.send(written("app_terminated_event"));
        assert_eq!(reader.next().await.unwrap(), COMMENT);
        let _ = events.send(written("deployment_info"));
        assert!(
            reader
                .next()
                .await
                .unwrap()
                .starts_with(b"event: deployment_info\ndata: {")
        );
        drop(events);
        assert!(reader.next().await.is_none());
    }

    #[tokio::test]
    async fn types_that_break_old_clients_are_sent_only_on_request() {
        let (events, _) = broadcast::channel(4);
        let reader = |kinds: &[&str]| Reader {
            events: events.subscribe(),
            kinds: kinds.iter().map(|kind| (*kind).to_owned()).collect(),
            first: None,
            silence: SILENCE,
        };
        let kind = "scheduler_registered_event";
        assert!(!reader(&[]).wants(kind));
        assert!(reader(&[kind]).wants(kind));
        assert!(reader(&[]).wants("status_update_event"));
    }
}
