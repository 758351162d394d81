//! The event stream (`GET /v2/events`): server-sent events, each written once for all who listen.
//!
//! One task turns what the owner tells into text and queues it for each stream that wants it. A queue is bounded in
//! bytes: one who does not read is cut off, and the others go on.

use super::Inner;
use super::ask::Ask;
use super::gate::Action;
use super::refusal::Refused;
use super::reply;
use super::show::event::{self, Shown};
use crate::clock::WallClock;
use crate::owner::{Handle, Told};
use bytes::Bytes;
use http::StatusCode;
use meseta_http::Response;
use meseta_http::stream::{RecordSender, record_stream};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc};
use tokio::task::JoinSet;

/// Streams at once. Each costs a connection and a queue; real setups have some dozens.
const STREAMS_MAX: usize = 1_000;

/// Bytes a listener may leave lying: several thousand events, as a thousand instances make when they start at once. The
/// texts are shared between the queues.
const UNREAD_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Streams that wait to be taken in.
const JOINING_MAX: usize = 64;

/// How often silent streams are looked for. Load balancers give up on silence, some after 30 s; a stream that heard
/// nothing from one look to the next gets a comment.
const BEAT: Duration = Duration::from_secs(10);

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

/// Where streams are taken in.
pub(super) struct Hub {
    joining: mpsc::Sender<Joining>,
    streams: Arc<AtomicUsize>,
}

impl Hub {
    /// Starts the task that writes events. It ends with the owner, or with the API.
    pub(super) fn start(handle: &Handle) -> Hub {
        let (joining, joins) = mpsc::channel(JOINING_MAX);
        let writer = Writer {
            framework_id: handle.info().framework_id.clone(),
            wall: handle.wall.clone(),
            readers: BTreeMap::new(),
            next: 0,
            gone: JoinSet::new(),
        };
        tokio::spawn(writer.run(handle.events(), joins));
        Hub {
            joining,
            streams: Arc::default(),
        }
    }

    /// Whether anybody listens.
    pub(super) fn is_heard(&self) -> bool {
        self.streams.load(Ordering::Acquire) > 0
    }
}

/// `GET /v2/events`.
pub(super) async fn attach(api: &Inner, ask: &Ask) -> Result<Response, Refused> {
    ask.check(Action::ViewEvents)?;
    let place = Place::take(&api.hub)?;
    let (sender, body) = record_stream(UNREAD_BYTES_MAX, ask.connection());
    let joining = Joining {
        sender,
        kinds: ask.parameters("event_type").map(str::to_owned).collect(),
        remote: ask.peer(),
        _place: place,
    };
    let taken = api.hub.joining.send(joining).await;
    taken.map_err(|_| Refused::unavailable("the framework is stopping"))?;
    Ok(reply::with_type(StatusCode::OK, "text/event-stream", body))
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

/// A stream that is to be taken in.
struct Joining {
    sender: RecordSender,
    kinds: BTreeSet<String>,
    remote: String,
    _place: Place,
}

/// A stream that is open.
struct Reader {
    stream: Joining,
    /// Nothing was sent since the last look.
    is_silent: bool,
}

impl Reader {
    fn wants(&self, kind: &str) -> bool {
        if self.stream.kinds.is_empty() {
            !ON_REQUEST.contains(&kind)
        } else {
            self.stream.kinds.contains(kind)
        }
    }

    /// Queues a frame. One that cannot take it is gone, or is cut off now; either way its end is noticed elsewhere.
    fn send(&mut self, frame: &Bytes) {
        self.is_silent = false;
        let _gone_or_cut_off = self.stream.sender.send(frame.clone());
    }
}

/// Writes events and hands them out.
struct Writer {
    framework_id: String,
    wall: WallClock,
    readers: BTreeMap<u64, Reader>,
    next: u64,
    /// Resolves to a reader's number when it is gone.
    gone: JoinSet<u64>,
}

impl Writer {
    async fn run(mut self, mut told: broadcast::Receiver<Arc<Told>>, mut joins: mpsc::Receiver<Joining>) {
        let mut beat = tokio::time::interval_at(tokio::time::Instant::now() + BEAT, BEAT);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                // In this order a new stream hears what follows its request, and the end of one is told at once.
                biased;
                Some(gone) = self.gone.join_next(), if !self.gone.is_empty() => {
                    // A task that only waits does not break.
                    gone.into_iter().for_each(|number| self.leave(number));
                }
                joining = joins.recv() => match joining {
                    Some(joining) => self.join(joining),
                    None => return,
                },
                told = told.recv() => match told {
                    Ok(told) => self.told(&told),
                    Err(RecvError::Lagged(missed)) => self.missed(missed),
                    Err(RecvError::Closed) => return,
                },
                _ = beat.tick() => self.beat(),
            }
        }
    }

    fn told(&mut self, told: &Told) {
        if !self.readers.is_empty() {
            event::shown(told, &self.framework_id)
                .iter()
                .for_each(|shown| self.tell(shown));
        }
    }

    fn tell(&mut self, shown: &Shown) {
        let frame = frame(shown);
        for reader in self
            .readers
            .values_mut()
            .filter(|reader| reader.wants(shown.kind))
        {
            reader.send(&frame);
        }
    }

    /// Takes a stream in. Its own attachment is the first thing it hears.
    fn join(&mut self, joining: Joining) {
        let shown = event::one(
            "event_stream_attached",
            (self.wall)(),
            json!({"remoteAddress": joining.remote}),
        );
        let number = self.next;
        self.next += 1;
        let sender = joining.sender.clone();
        self.gone.spawn(async move {
            sender.closed().await;
            number
        });
        let reader = Reader {
            stream: joining,
            is_silent: true,
        };
        self.readers.insert(number, reader);
        self.tell(&shown);
    }

    fn leave(&mut self, number: u64) {
        if let Some(reader) = self.readers.remove(&number) {
            let remote = json!({"remoteAddress": reader.stream.remote});
            drop(reader);
            self.tell(&event::one("event_stream_detached", (self.wall)(), remote));
        }
    }

    /// Events were lost on the way here. Nobody may believe to have heard everything.
    fn missed(&mut self, missed: u64) {
        tracing::warn!(
            missed,
            "events came faster than they could be written; all streams are cut off"
        );
        self.readers
            .values()
            .for_each(|reader| reader.stream.sender.cut());
    }

    fn beat(&mut self) {
        let comment = Bytes::from_static(COMMENT);
        for reader in self.readers.values_mut() {
            if std::mem::replace(&mut reader.is_silent, true) {
                reader.send(&comment);
                reader.is_silent = true;
            }
        }
    }
}

fn frame(shown: &Shown) -> Bytes {
    format!("event: {}\ndata: {}\n\n", shown.kind, shown.json).into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use http_body_util::BodyExt;
    use meseta_types::Wall;

    fn writer() -> Writer {
        Writer {
            framework_id: "f".to_owned(),
            wall: Arc::new(|| Wall(0)),
            readers: BTreeMap::new(),
            next: 0,
            gone: JoinSet::new(),
        }
    }

    fn join(writer: &mut Writer, kinds: &[&str], limit: usize) -> meseta_http::Body {
        let (sender, body) = record_stream(limit, None);
        writer.join(Joining {
            sender,
            kinds: kinds.iter().map(|kind| (*kind).to_owned()).collect(),
            remote: "1.2.3.4".to_owned(),
            _place: Place(Arc::new(AtomicUsize::new(1))),
        });
        body
    }

    async fn next(body: &mut meseta_http::Body) -> String {
        let frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
        String::from_utf8(frame.to_vec()).unwrap()
    }

    fn shown(kind: &'static str) -> Shown {
        event::one(kind, Wall(0), json!({}))
    }

    #[tokio::test]
    async fn a_silent_stream_gets_comments_even_while_others_hear_something() {
        let mut writer = writer();
        let mut body = join(&mut writer, &["deployment_info"], 1000);
        writer.tell(&shown("app_terminated_event"));
        writer.beat();
        assert_eq!(next(&mut body).await, ":\n");
        writer.tell(&shown("deployment_info"));
        writer.beat();
        writer.beat();
        assert!(
            next(&mut body)
                .await
                .starts_with("event: deployment_info\ndata: {")
        );
        assert_eq!(next(&mut body).await, ":\n");
    }

    #[tokio::test]
    async fn types_that_break_old_clients_are_sent_only_on_request() {
        let mut writer = writer();
        let mut all = join(&mut writer, &[], 1000);
        let mut named = join(&mut writer, &[ON_REQUEST[0]], 1000);
        writer.tell(&shown(ON_REQUEST[0]));
        writer.tell(&shown("app_terminated_event"));
        assert!(next(&mut named).await.contains(ON_REQUEST[0]));
        for kind in [
            "event_stream_attached",
            "event_stream_attached",
            "app_terminated_event",
        ] {
            assert!(next(&mut all).await.contains(kind), "{kind}");
        }
    }

    #[tokio::test]
    async fn one_who_does_not_read_is_cut_off_and_the_others_go_on() {
        let mut writer = writer();
        let mut slow = join(&mut writer, &["app_terminated_event"], 200);
        let mut quick = join(&mut writer, &["app_terminated_event"], 200);
        for _ in 0..10 {
            writer.tell(&shown("app_terminated_event"));
            assert!(next(&mut quick).await.contains("app_terminated_event"));
        }
        assert!(slow.frame().await.unwrap().is_err());
        drop(slow);
        let gone = writer.gone.join_next().await.unwrap().unwrap();
        writer.leave(gone);
        assert_eq!(writer.readers.len(), 1);
        writer.missed(3);
        assert!(
            quick.frame().await.unwrap().is_err(),
            "it must not believe to have heard all"
        );
    }
}
