//! The answer to a write that is still under way.

use crate::Outcome;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::oneshot;

/// A future of an [`Outcome`]. Dropping it does not take the write back.
#[derive(Debug)]
pub struct Pending(State);

#[derive(Debug)]
enum State {
    Known(Option<Outcome>),
    Waiting(oneshot::Receiver<Outcome>),
}

impl Pending {
    /// An answer that is known already.
    pub fn ready(outcome: Outcome) -> Pending {
        Pending(State::Known(Some(outcome)))
    }

    pub(crate) fn channel() -> (oneshot::Sender<Outcome>, Pending) {
        let (tx, rx) = oneshot::channel();
        (tx, Pending(State::Waiting(rx)))
    }

    /// Blocks the thread until the answer is there; for start-up and tests, never inside async code.
    pub fn wait(self) -> Outcome {
        match self.0 {
            State::Known(outcome) => outcome.unwrap_or_else(writer_gone),
            State::Waiting(rx) => rx.blocking_recv().unwrap_or_else(|_| writer_gone()),
        }
    }
}

fn writer_gone() -> Outcome {
    Outcome::Unknown(Arc::from("the store's writer ended before it answered"))
}

impl Future for Pending {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        match &mut self.0 {
            State::Known(outcome) => Poll::Ready(outcome.take().unwrap_or_else(writer_gone)),
            State::Waiting(rx) => Pin::new(rx)
                .poll(cx)
                .map(|answer| answer.unwrap_or_else(|_| writer_gone())),
        }
    }
}
