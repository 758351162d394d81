//! Streams of records to clients that may stop reading.
//!
//! The sender side never waits: what is queued is counted in bytes, and a reader that lets the queue grow beyond its
//! bound is cut off together with its connection. One record leaves as one chunk; some clients depend on it.

use crate::Body;
use crate::listener::Connection;
use bytes::Bytes;
use futures_util::Stream;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use tokio::sync::mpsc;

/// Why a record could not be queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The reader is gone.
    Gone,
    /// The reader did not read; it is cut off now.
    TooSlow,
}

#[derive(Debug, Default)]
struct Shared {
    queued: AtomicUsize,
    cut: AtomicBool,
    ended: AtomicBool,
}

/// The writing end. [`RecordSender::end`], or dropping the last clone, ends the stream properly (last chunk, the
/// connection stays open).
#[derive(Clone, Debug)]
pub struct RecordSender {
    /// `None` is the end.
    records: mpsc::UnboundedSender<Option<Bytes>>,
    shared: Arc<Shared>,
    limit: usize,
    connection: Option<Connection>,
}

impl RecordSender {
    /// Queues one framed record (length line and payload together). Never waits.
    ///
    /// # Errors
    /// [`Cut`]: nothing more can be sent.
    pub fn send(&self, record: Bytes) -> Result<(), Cut> {
        if self.shared.cut.load(Ordering::Acquire) {
            return Err(Cut::TooSlow);
        }
        if self.shared.ended.load(Ordering::Acquire) {
            return Err(Cut::Gone);
        }
        let length = record.len();
        let before = self.shared.queued.fetch_add(length, Ordering::AcqRel);
        // A record alone may be larger than the bound: the bound is on what a reader leaves lying.
        if before > 0 && before + length > self.limit {
            self.cut();
            return Err(Cut::TooSlow);
        }
        self.records.send(Some(record)).map_err(|_| Cut::Gone)
    }

    /// Ends the stream properly after what is queued.
    pub fn end(&self) {
        if !self.shared.ended.swap(true, Ordering::AcqRel) {
            // A reader that is gone needs no end.
            let _ = self.records.send(None);
        }
    }

    /// Cuts the reader off: its connection is dropped without a last chunk.
    pub fn cut(&self) {
        self.shared.cut.store(true, Ordering::Release);
        if let Some(connection) = &self.connection {
            connection.cut();
        }
    }

    /// Bytes queued and not yet handed to the connection.
    pub fn queued(&self) -> usize {
        self.shared.queued.load(Ordering::Acquire)
    }

    /// Whether the reader is gone or cut off.
    pub fn is_closed(&self) -> bool {
        self.shared.cut.load(Ordering::Acquire) || self.records.is_closed()
    }

    /// Resolves when the reader is gone.
    pub async fn closed(&self) {
        self.records.closed().await;
    }
}

struct Records {
    records: mpsc::UnboundedReceiver<Option<Bytes>>,
    shared: Arc<Shared>,
}

impl Stream for Records {
    type Item = Result<Bytes, std::io::Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.shared.cut.load(Ordering::Acquire) {
            return Poll::Ready(Some(Err(std::io::ErrorKind::TimedOut.into())));
        }
        let next = self.records.poll_recv(cx).map(Option::flatten);
        match &next {
            Poll::Ready(Some(record)) => {
                self.shared.queued.fetch_sub(record.len(), Ordering::AcqRel);
            }
            Poll::Ready(None) => self.records.close(),
            Poll::Pending => {}
        }
        next.map(|record| record.map(Ok))
    }
}

/// A stream that holds at most `limit` unread bytes. `connection` (from the request's extensions) is what a slow
/// reader loses; without it only the body breaks, which a stalled connection notices late.
pub fn record_stream(limit: usize, connection: Option<Connection>) -> (RecordSender, Body) {
    let (sender, records) = mpsc::unbounded_channel();
    let shared = Arc::new(Shared::default());
    let body = Body::from_stream(Records {
        records,
        shared: shared.clone(),
    });
    let sender = RecordSender {
        records: sender,
        shared,
        limit,
        connection,
    };
    (sender, body)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use http_body_util::BodyExt;

    #[tokio::test]
    async fn every_record_is_one_frame_and_dropping_the_sender_ends_the_stream() {
        let (sender, mut body) = record_stream(100, None);
        sender.send(Bytes::from_static(b"2\n{}")).unwrap();
        sender.send(Bytes::from_static(b"1\nx")).unwrap();
        drop(sender);
        let mut frames = Vec::new();
        while let Some(frame) = body.frame().await {
            frames.push(frame.unwrap().into_data().unwrap());
        }
        assert_eq!(frames, [&b"2\n{}"[..], &b"1\nx"[..]]);
    }

    #[tokio::test]
    async fn a_reader_that_does_not_read_is_cut_off() {
        let (sender, mut body) = record_stream(10, None);
        sender.send(Bytes::from_static(b"12345678")).unwrap();
        assert_eq!(sender.send(Bytes::from_static(b"abc")), Err(Cut::TooSlow));
        assert!(sender.is_closed());
        assert!(body.frame().await.unwrap().is_err());
    }

    #[tokio::test]
    async fn an_ended_stream_gives_what_was_queued_and_takes_nothing_more() {
        let (sender, mut body) = record_stream(100, None);
        let other = sender.clone();
        sender.send(Bytes::from_static(b"1\nx")).unwrap();
        sender.end();
        assert_eq!(other.send(Bytes::from_static(b"1\ny")), Err(Cut::Gone));
        assert_eq!(
            body.frame().await.unwrap().unwrap().into_data().unwrap(),
            &b"1\nx"[..]
        );
        assert!(body.frame().await.is_none());
        other.closed().await;
    }

    #[tokio::test]
    async fn the_sender_learns_that_the_reader_is_gone() {
        let (sender, body) = record_stream(10, None);
        drop(body);
        sender.closed().await;
        assert_eq!(sender.send(Bytes::from_static(b"x")), Err(Cut::Gone));
    }
}
