//! Event streams over HTTP: one record per chunk, encoded as the client takes them, heartbeats between.
//!
//! The body pulls from an outbox the core fills. That way encoding happens on the connection's task, a client that
//! does not read fills its own outbox and is cut off there, and the end of the body, however it comes, tells the core.

use crate::intake::CloseGuard;
use crate::outbox::Inlet;
use bytes::Bytes;
use futures_util::Stream;
use meseta_http::MediaType;
use meseta_master_core::config::HEARTBEAT_INTERVAL;
use meseta_proto::recordio;
use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

/// Unread bytes at which a reader counts as one that does not read. A cluster's worth of offers in one burst stays
/// below.
pub(crate) const UNREAD_BYTES_MAX: usize = 32 << 20;

/// The client did not read.
#[derive(Debug, thiserror::Error)]
#[error("a reader that does not read is cut off")]
pub(super) struct CutOff;

/// Encodes the items of one kind of stream.
pub(super) trait Encode<T>: Send + 'static {
    /// One event, not yet framed; `None` for an item this stream does not show.
    fn event(&mut self, item: &T, media: MediaType) -> Option<Vec<u8>>;
    /// The HEARTBEAT event, not yet framed.
    fn heartbeat(&self, media: MediaType) -> Vec<u8>;
    /// Whether the item is the one the first heartbeat follows.
    fn starts(&self, item: &T) -> bool;
}

/// The body of an event stream.
pub(super) struct Records<T, E> {
    inlet: Inlet<T>,
    encoder: E,
    media: MediaType,
    /// Framed and not yet taken.
    ready: VecDeque<Bytes>,
    /// Runs from the first event on.
    heartbeats: Option<Interval>,
    /// Tells the core that the stream is gone; a stream nobody waits for has none.
    _guard: Option<CloseGuard>,
}

impl<T, E: Encode<T>> Records<T, E> {
    pub(super) fn new(inlet: Inlet<T>, encoder: E, media: MediaType, guard: Option<CloseGuard>) -> Self {
        Records {
            inlet,
            encoder,
            media,
            ready: VecDeque::new(),
            heartbeats: None,
            _guard: guard,
        }
    }

    /// Starts with this event, made elsewhere, and the first heartbeat.
    pub(super) fn start_with(mut self, event: &[u8]) -> Self {
        self.ready.push_back(recordio::encode(event));
        self.start_heartbeats();
        self
    }

    fn start_heartbeats(&mut self) {
        self.push_heartbeat();
        let mut interval = interval_at(Instant::now() + HEARTBEAT_INTERVAL, HEARTBEAT_INTERVAL);
        interval.set_missed_tick_behavior(MissedTickBehavior::Skip);
        self.heartbeats = Some(interval);
    }

    fn push_heartbeat(&mut self) {
        let event = self.encoder.heartbeat(self.media);
        self.ready.push_back(recordio::encode(&event));
    }
}

impl<T: Unpin, E: Encode<T> + Unpin> Stream for Records<T, E> {
    type Item = Result<Bytes, CutOff>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if let Some(record) = this.ready.pop_front() {
                return Poll::Ready(Some(Ok(record)));
            }
            if let Some(interval) = &mut this.heartbeats
                && interval.poll_tick(cx).is_ready()
            {
                this.push_heartbeat();
                continue;
            }
            match this.inlet.poll_next(cx) {
                Poll::Ready(Some(item)) => {
                    if let Some(event) = this.encoder.event(&item, this.media) {
                        this.ready.push_back(recordio::encode(&event));
                    }
                    if this.encoder.starts(&item) {
                        this.start_heartbeats();
                    }
                }
                // No last chunk: the client must see that something is missing.
                Poll::Ready(None) if this.inlet.is_cut() => return Poll::Ready(Some(Err(CutOff))),
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}
