//! The way from handlers to the one task that owns a core: a queue bounded in messages and in bytes.
//!
//! Handlers of requests, links and streams hold a clone of [`Inbox`]. When either bound is reached they wait, which
//! slows their peers down instead of filling memory.

use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// Messages that may wait for the owner: a few milliseconds of its work, enough to keep it busy.
pub const MESSAGES_MAX: usize = 4096;

/// Bytes that may wait for the owner, in [`UNIT`]s: six of the largest requests.
const UNITS_MAX: usize = (64 << 20) / UNIT;

/// Bytes are counted in these.
const UNIT: usize = 1024;

/// The owner has ended (or is about to): nobody will answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended;

/// The room that a message takes, until this is dropped.
#[derive(Debug)]
pub struct Room(#[allow(dead_code)] OwnedSemaphorePermit);

/// A message on its way.
#[derive(Debug)]
pub struct Queued<M> {
    /// The message.
    pub message: M,
    /// About what it holds, as its sender counted.
    pub bytes: usize,
    /// To be kept as long as the message.
    pub room: Room,
}

/// The senders' end.
#[derive(Debug)]
pub struct Inbox<M> {
    queue: mpsc::Sender<Queued<M>>,
    room: Arc<Semaphore>,
}

impl<M> Clone for Inbox<M> {
    fn clone(&self) -> Self {
        Inbox {
            queue: self.queue.clone(),
            room: Arc::clone(&self.room),
        }
    }
}

/// Both ends.
pub fn inbox<M>() -> (Inbox<M>, mpsc::Receiver<Queued<M>>) {
    let (queue, arriving) = mpsc::channel(MESSAGES_MAX);
    let room = Arc::new(Semaphore::new(UNITS_MAX));
    (Inbox { queue, room }, arriving)
}

impl<M> Inbox<M> {
    /// Queues a message that holds about `bytes`; waits while the queue is full. One that is larger than the queue waits
    /// until it is alone.
    ///
    /// # Errors
    /// The owner has ended.
    pub async fn send(&self, message: M, bytes: usize) -> Result<(), Ended> {
        let room = tokio::select! {
            room = Arc::clone(&self.room).acquire_many_owned(units(bytes)) => room.map_err(|_| Ended)?,
            () = self.queue.closed() => return Err(Ended),
        };
        let queued = Queued {
            message,
            bytes,
            room: Room(room),
        };
        self.queue.send(queued).await.map_err(|_| Ended)
    }

    /// Queues a message if there is room for it now; `false`: there is none, or the owner has ended.
    pub fn try_send(&self, message: M, bytes: usize) -> bool {
        let Ok(room) = Arc::clone(&self.room).try_acquire_many_owned(units(bytes)) else {
            return false;
        };
        let queued = Queued {
            message,
            bytes,
            room: Room(room),
        };
        self.queue.try_send(queued).is_ok()
    }

    /// Messages that wait for the owner.
    pub fn waiting(&self) -> usize {
        self.queue.max_capacity() - self.queue.capacity()
    }

    /// Resolves when the owner has ended.
    pub async fn closed(&self) {
        self.queue.closed().await;
    }
}

fn units(bytes: usize) -> u32 {
    let units = (bytes / UNIT + 1).min(UNITS_MAX);
    u32::try_from(units).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use futures_util::FutureExt;

    #[tokio::test]
    async fn large_messages_wait_for_room_and_small_ones_behind_them() {
        let (inbox, mut arriving) = inbox();
        for number in 0..6 {
            inbox.send(number, 10 << 20).await.unwrap();
        }
        let mut seventh = Box::pin(inbox.send(6, 10 << 20));
        assert!((&mut seventh).now_or_never().is_none(), "60 of 64 MiB are taken");
        drop(arriving.recv().await.unwrap());
        seventh.await.unwrap();
        assert_eq!(inbox.waiting(), 6);
    }

    #[tokio::test]
    async fn who_cannot_wait_is_told_that_there_is_no_room() {
        let (inbox, mut arriving) = inbox();
        assert!(inbox.try_send(0, 60 << 20));
        assert!(!inbox.try_send(1, 10 << 20));
        drop(arriving.recv().await.unwrap());
        assert!(inbox.try_send(2, 10 << 20));
        drop(arriving);
        assert!(!inbox.try_send(3, 0));
    }

    #[tokio::test]
    async fn who_waits_for_room_hears_of_the_end() {
        let (inbox, arriving) = inbox();
        inbox.send(0, usize::MAX).await.unwrap();
        let mut waits = Box::pin(inbox.send(1, 1));
        assert!((&mut waits).now_or_never().is_none());
        drop(arriving);
        assert_eq!(waits.await, Err(Ended));
    }
}
