//! A queue to one peer, bounded in bytes: what the core wants said to it and it has not read yet.
//!
//! Filled by the task that owns the core, which never waits: a full outbox is the peer's fault, and its connection is
//! cut. Emptied by the peer's own connection, which encodes as it sends, so that encoding never costs the core time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// What is waiting for a peer may be so much.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bound {
    /// Bytes a peer may leave unread, however slowly it reads.
    pub(crate) unread: usize,
    /// Bytes that may wait for a peer that reads: one answer about a whole cluster comes in one step.
    pub(crate) burst: usize,
    /// A peer that took nothing for so long does not read.
    pub(crate) patience: Duration,
}

/// The bound of streams and links. A reconciliation of a million tasks is about 250 MiB in one step.
pub(crate) const BOUND: Bound = Bound {
    unread: 32 << 20,
    burst: 512 << 20,
    patience: Duration::from_secs(10),
};

/// The peer does not read: more than the bound is waiting for it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

/// The core's end.
#[derive(Debug)]
pub(crate) struct Outbox<T> {
    queue: mpsc::UnboundedSender<(T, usize)>,
    shared: Arc<Shared>,
    bound: Bound,
}

#[derive(Debug)]
struct Shared {
    bytes: AtomicUsize,
    began: Instant,
    /// When the peer last took something, in milliseconds after `began`.
    taken_ms: AtomicU64,
    /// The core gave the peer up: what is queued is not sent any more.
    cut: AtomicBool,
}

impl Shared {
    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Whether the peer took something lately.
    fn reads(&self, patience: Duration) -> bool {
        let idle = self
            .now_ms()
            .saturating_sub(self.taken_ms.load(Ordering::Relaxed));
        Duration::from_millis(idle) < patience
    }
}

/// The connection's end.
#[derive(Debug)]
pub(crate) struct Inlet<T> {
    queue: mpsc::UnboundedReceiver<(T, usize)>,
    shared: Arc<Shared>,
}

/// A queue whose bytes are counted by whoever pushes.
pub(crate) fn outbox<T>(bound: Bound) -> (Outbox<T>, Inlet<T>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let shared = Arc::new(Shared {
        bytes: AtomicUsize::new(0),
        began: Instant::now(),
        taken_ms: AtomicU64::new(0),
        cut: AtomicBool::new(false),
    });
    let outbox = Outbox {
        queue: sender,
        shared: Arc::clone(&shared),
        bound,
    };
    (
        outbox,
        Inlet {
            queue: receiver,
            shared,
        },
    )
}

impl<T> Outbox<T> {
    /// Adds an item of about `cost` bytes; [`Full`] cuts the peer off. An empty outbox takes an item of any size, so
    /// that one large message does not cut a peer that reads. A peer that is gone takes everything: its connection
    /// reports the end itself.
    pub(crate) fn push(&self, item: T, cost: usize) -> Result<(), Full> {
        let before = self.shared.bytes.fetch_add(cost, Ordering::Relaxed);
        if before == 0 {
            // Nothing was left unread until now: its time begins.
            let now = self.shared.now_ms();
            self.shared.taken_ms.store(now, Ordering::Relaxed);
        }
        let waiting = before.saturating_add(cost);
        let unread = waiting > self.bound.unread && !self.shared.reads(self.bound.patience);
        if before > 0 && (unread || waiting > self.bound.burst) {
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
        self.shared
            .taken_ms
            .store(self.shared.now_ms(), Ordering::Relaxed);
        Some(item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: Bound = Bound {
        unread: 100,
        burst: 1000,
        patience: Duration::from_secs(10),
    };

    #[test]
    fn items_come_in_order_and_one_large_item_is_no_fault() {
        let (outbox, mut inlet) = outbox(BOUND);
        assert_eq!(outbox.push("large", 10_000), Ok(()));
        assert_eq!(inlet.try_next(), Some("large"));
        assert_eq!(outbox.push("a", 60), Ok(()));
        assert_eq!(outbox.push("b", 40), Ok(()));
        drop(outbox);
        assert_eq!((inlet.try_next(), inlet.try_next()), (Some("a"), Some("b")));
        assert_eq!(inlet.try_next(), None);
        assert!(!inlet.is_cut());
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_nothing_for_long_is_cut_off_at_the_lower_bound() {
        let (outbox, mut inlet) = outbox(BOUND);
        assert_eq!(outbox.push("a", 90), Ok(()));
        assert_eq!(outbox.push("b", 90), Ok(()));
        tokio::time::advance(Duration::from_secs(9)).await;
        assert_eq!(inlet.try_next(), Some("a"));
        tokio::time::advance(Duration::from_secs(9)).await;
        assert_eq!(outbox.push("c", 90), Ok(()));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(outbox.push("d", 1), Err(Full));
        let mut context = Context::from_waker(std::task::Waker::noop());
        assert!(
            inlet
                .poll_next(&mut context)
                .map(|next| next.is_none())
                .is_ready()
        );
        assert!(inlet.is_cut());
    }

    #[test]
    fn a_burst_has_a_bound_of_its_own() {
        let (outbox, inlet) = outbox(BOUND);
        for _ in 0..10 {
            assert_eq!(outbox.push("x", 100), Ok(()));
        }
        assert_eq!(outbox.push("x", 1), Err(Full));
        assert!(inlet.is_cut());
    }
}
