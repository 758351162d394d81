//! A queue to one peer, bounded in bytes: what the core wants said to it and it has not read yet.
//!
//! Filled by the task that owns the core, which never waits: a full outbox is the peer's fault, and its connection is
//! cut. Emptied by the peer's own connection, which encodes as it sends, so that encoding never costs the core time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use tokio::sync::mpsc;

/// The peer does not read: more than the bound is waiting for it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

/// The core's end.
#[derive(Debug)]
pub(crate) struct Outbox<T> {
    queue: mpsc::UnboundedSender<(T, usize)>,
    shared: Arc<Shared>,
    bytes_max: usize,
}

#[derive(Debug, Default)]
struct Shared {
    bytes: AtomicUsize,
    /// The core gave the peer up: what is queued is not sent any more.
    cut: AtomicBool,
}

/// The connection's end.
#[derive(Debug)]
pub(crate) struct Inlet<T> {
    queue: mpsc::UnboundedReceiver<(T, usize)>,
    shared: Arc<Shared>,
}

/// A queue for at most `bytes_max` bytes, as counted by whoever pushes.
pub(crate) fn outbox<T>(bytes_max: usize) -> (Outbox<T>, Inlet<T>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let shared = Arc::new(Shared::default());
    (
        Outbox {
            queue: sender,
            shared: Arc::clone(&shared),
            bytes_max,
        },
        Inlet {
            queue: receiver,
            shared,
        },
    )
}

impl<T> Outbox<T> {
    /// Adds an item of about `cost` bytes; [`Full`] cuts the peer off. An empty outbox takes an item of any size, so that one large message does
    /// not cut a peer that reads. A peer that is gone takes everything: its connection reports the end itself.
    pub(crate) fn push(&self, item: T, cost: usize) -> Result<(), Full> {
        let before = self.shared.bytes.fetch_add(cost, Ordering::Relaxed);
        if before > 0 && before.saturating_add(cost) > self.bytes_max {
            self.shared.cut.store(true, Ordering::Release);
            return Err(Full);
        }
        let _gone_is_no_fault = self.queue.send((item, cost));
        Ok(())
    }

    /// Whether the peer's connection has ended.
    pub(crate) fn is_gone(&self) -> bool {
        self.queue.is_closed()
    }
}

impl<T> Inlet<T> {
    /// The next item; `None` after the last one of a closed outbox.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        if self.is_cut() {
            return Poll::Ready(None);
        }
        self.queue.poll_recv(cx).map(|next| self.taken(next))
    }

    /// Whether the peer was cut off; it then gets nothing of what was queued.
    pub(crate) fn is_cut(&self) -> bool {
        self.shared.cut.load(Ordering::Acquire)
    }

    /// The next item if there is one already.
    pub(crate) fn try_next(&mut self) -> Option<T> {
        let next = self.queue.try_recv().ok();
        self.taken(next)
    }

    fn taken(&self, next: Option<(T, usize)>) -> Option<T> {
        let (item, cost) = next?;
        self.shared.bytes.fetch_sub(cost, Ordering::Relaxed);
        Some(item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_come_in_order_and_one_large_item_is_no_fault() {
        let (outbox, mut inlet) = outbox(100);
        assert_eq!(outbox.push("large", 1000), Ok(()));
        assert_eq!(inlet.try_next(), Some("large"));
        assert_eq!(outbox.push("a", 60), Ok(()));
        assert_eq!(outbox.push("b", 40), Ok(()));
        drop(outbox);
        assert_eq!((inlet.try_next(), inlet.try_next()), (Some("a"), Some("b")));
        assert_eq!(inlet.try_next(), None);
        assert!(!inlet.is_cut());
    }

    #[test]
    fn a_peer_that_does_not_read_is_cut_off_at_the_bound() {
        let (outbox, mut inlet) = outbox(100);
        assert_eq!(outbox.push("a", 100), Ok(()));
        assert_eq!(outbox.push("b", 1), Err(Full));
        let mut context = Context::from_waker(std::task::Waker::noop());
        assert!(
            inlet
                .poll_next(&mut context)
                .map(|next| next.is_none())
                .is_ready()
        );
        assert!(inlet.is_cut());
    }
}
