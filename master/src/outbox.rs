//! A queue to one peer, bounded in bytes: what the core wants said to it and it has not read yet.
//!
//! Filled by the task that owns the core, which never waits: a full outbox is the peer's fault, and its connection is
//! cut. Emptied by the peer's own connection, which encodes as it sends, so that encoding never costs the core time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use tokio::sync::{mpsc, oneshot};

/// The peer does not read: more than the bound is waiting for it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

/// What waits for the peer.
#[derive(Debug)]
enum Entry<T> {
    /// An item and its cost.
    Item(T, usize),
    /// Somebody wants to know when the peer has come so far.
    Mark(oneshot::Sender<()>),
}

/// The core's end.
#[derive(Debug)]
pub(crate) struct Outbox<T> {
    queue: mpsc::UnboundedSender<Entry<T>>,
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
    queue: mpsc::UnboundedReceiver<Entry<T>>,
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
        let _gone_is_no_fault = self.queue.send(Entry::Item(item, cost));
        Ok(())
    }

    /// Resolves when the peer's connection has taken everything that was added before, or is gone.
    pub(crate) fn mark(&self) -> oneshot::Receiver<()> {
        let (mark, reached) = oneshot::channel();
        let _gone_is_heard_at_once = self.queue.send(Entry::Mark(mark));
        reached
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
        loop {
            match self.queue.poll_recv(cx) {
                Poll::Ready(Some(entry)) => {
                    if let Some(item) = self.taken(entry) {
                        return Poll::Ready(Some(item));
                    }
                }
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Whether the peer was cut off; it then gets nothing of what was queued.
    pub(crate) fn is_cut(&self) -> bool {
        self.shared.cut.load(Ordering::Acquire)
    }

    /// The next item if there is one already.
    pub(crate) fn try_next(&mut self) -> Option<T> {
        loop {
            let entry = self.queue.try_recv().ok()?;
            if let Some(item) = self.taken(entry) {
                return Some(item);
            }
        }
    }

    /// The item of an entry; a mark is reached.
    fn taken(&self, entry: Entry<T>) -> Option<T> {
        match entry {
            Entry::Item(item, cost) => {
                self.shared.bytes.fetch_sub(cost, Ordering::Relaxed);
                Some(item)
            }
            Entry::Mark(mark) => {
                let _who_left_needs_none = mark.send(());
                None
            }
        }
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
    fn a_mark_is_reached_with_what_stands_before_it() {
        let (outbox, mut inlet) = outbox(100);
        assert_eq!(outbox.push("a", 1), Ok(()));
        let mut mark = outbox.mark();
        assert_eq!(outbox.push("b", 1), Ok(()));
        assert_eq!(inlet.try_next(), Some("a"));
        assert!(mark.try_recv().is_err(), "nobody asked for more yet");
        assert_eq!(inlet.try_next(), Some("b"));
        assert_eq!(mark.try_recv(), Ok(()));
        let mut of_gone = outbox.mark();
        drop(inlet);
        assert_eq!(of_gone.try_recv(), Err(oneshot::error::TryRecvError::Closed));
        assert_eq!(
            outbox.mark().try_recv(),
            Err(oneshot::error::TryRecvError::Closed)
        );
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
