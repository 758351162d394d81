//! The way to the core: a bounded queue of messages to the one task that owns it.
//!
//! Handlers of requests, links and streams hold a clone of [`Intake`]. What they send counts against two bounds, number
//! and bytes; when either is reached they wait, which slows their peers down instead of filling memory.

use crate::outbox::Outbox;
use meseta_http::inbox::{self, Inbox, Queued};
use meseta_http::listener::Connection;
use meseta_master_core::explain::Explanation;
use meseta_master_core::io::{Event, Input, LinkId, OperatorEvent, RequestId, StreamId, Subscribe};
use meseta_master_core::{Refusal, View};
use meseta_types::FrameworkId;
use meseta_types::last_inputs::InputLog;
use meseta_types::link::{FromAgent, ToAgent};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{mpsc, oneshot};

/// The master has ended (or is about to): nobody will answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the master is going down")]
pub(crate) struct Ended;

/// What reaches the owner of the core.
pub(crate) enum Message {
    /// An input that needs nothing else.
    Input(Input),
    /// A scheduler's stream is open and wants to subscribe.
    Subscribe {
        /// The stream.
        stream: StreamId,
        /// What is kept of it.
        peer: StreamPeer,
        /// Who.
        subscribe: Subscribe,
    },
    /// An agent's link is open and said who it is.
    Link {
        /// The link.
        link: LinkId,
        /// What is kept of it.
        peer: LinkPeer,
        /// `Register` or `Reregister`.
        first: FromAgent,
    },
    /// An input that waits for an answer.
    Ask {
        /// Makes the input.
        input: Box<dyn FnOnce(RequestId) -> Input + Send>,
        /// Gets the answer.
        answer: oneshot::Sender<Result<(), Refusal>>,
    },
    /// Somebody asks why a framework gets no offers.
    Explain {
        /// Which.
        framework_id: FrameworkId,
        /// Gets the answer: `None` for a framework nobody knows.
        answer: oneshot::Sender<Option<Vec<Explanation>>>,
    },
    /// An operator wants the last inputs.
    LastInputs(oneshot::Sender<InputLog<Input>>),
    /// A reader wants the state.
    View(oneshot::Sender<Arc<View>>),
    /// An operator wants the state and all that follows.
    Watch {
        /// Gets the state first.
        state: oneshot::Sender<Arc<View>>,
        /// Gets what follows.
        watcher: Watcher,
    },
}

/// What the owner keeps of a scheduler's stream.
#[derive(Debug)]
pub(crate) struct StreamPeer {
    /// To it.
    pub(crate) outbox: Outbox<Event>,
    /// Its `Mesos-Stream-Id`.
    pub(crate) text: Arc<str>,
    /// What a scheduler that does not read loses.
    pub(crate) connection: Option<Connection>,
}

/// What the owner keeps of an agent's link.
#[derive(Debug)]
pub(crate) struct LinkPeer {
    /// To it.
    pub(crate) outbox: Outbox<ToAgent>,
    /// What an agent that does not read loses.
    pub(crate) connection: Option<Connection>,
}

/// What the owner keeps of an operator's event stream.
#[derive(Debug)]
pub(crate) struct Watcher {
    /// To it.
    pub(crate) outbox: Outbox<Arc<OperatorEvent>>,
    /// What an operator that does not read loses.
    pub(crate) connection: Option<Connection>,
}

/// A peer's connection is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closed {
    /// A scheduler's.
    Stream(StreamId),
    /// An agent's.
    Link(LinkId),
}

/// The handlers' end.
#[derive(Clone)]
pub(crate) struct Intake {
    queue: Inbox<Message>,
    /// One entry per stream or link at most, so bounded by their number.
    closed: mpsc::UnboundedSender<Closed>,
    /// The last number given to a stream or link.
    last_id: Arc<AtomicU64>,
}

/// The owner's end.
pub(crate) struct Arrivals {
    pub(crate) queue: mpsc::Receiver<Queued<Message>>,
    pub(crate) closed: mpsc::UnboundedReceiver<Closed>,
}

/// Both ends.
pub(crate) fn intake() -> (Intake, Arrivals) {
    let (queue, arriving) = inbox::inbox();
    let (closed, closing) = mpsc::unbounded_channel();
    let intake = Intake {
        queue,
        closed,
        last_id: Arc::new(AtomicU64::new(0)),
    };
    (
        intake,
        Arrivals {
            queue: arriving,
            closed: closing,
        },
    )
}

impl Intake {
    /// Queues a message that holds about `bytes`; waits while the queue is full.
    pub(crate) async fn send(&self, message: Message, bytes: usize) -> Result<(), Ended> {
        self.queue
            .send(message, bytes)
            .await
            .map_err(|inbox::Ended| Ended)
    }

    /// Messages that wait for the core.
    pub(crate) fn waiting(&self) -> usize {
        self.queue.waiting()
    }

    /// The state as it is when the core comes to it: everything answered before this call is in it.
    pub(crate) async fn view(&self) -> Result<Arc<View>, Ended> {
        let (sender, view) = oneshot::channel();
        self.send(Message::View(sender), 0).await?;
        view.await.map_err(|_| Ended)
    }

    /// The state, and everything that follows through the watcher's outbox.
    pub(crate) async fn watch(&self, watcher: Watcher) -> Result<Arc<View>, Ended> {
        let (state, view) = oneshot::channel();
        self.send(Message::Watch { state, watcher }, 0).await?;
        view.await.map_err(|_| Ended)
    }

    /// Why a framework gets no offers; `None` for one nobody knows.
    pub(crate) async fn explain(&self, framework_id: FrameworkId) -> Result<Option<Vec<Explanation>>, Ended> {
        let (answer, explained) = oneshot::channel();
        let message = Message::Explain { framework_id, answer };
        self.send(message, 0).await?;
        explained.await.map_err(|_| Ended)
    }

    /// The last inputs of the core.
    pub(crate) async fn last_inputs(&self) -> Result<InputLog<Input>, Ended> {
        let (answer, inputs) = oneshot::channel();
        self.send(Message::LastInputs(answer), 0).await?;
        inputs.await.map_err(|_| Ended)
    }

    /// Sends an input that is answered.
    pub(crate) async fn ask(
        &self,
        bytes: usize,
        input: impl FnOnce(RequestId) -> Input + Send + 'static,
    ) -> Result<Result<(), Refusal>, Ended> {
        let (sender, answer) = oneshot::channel();
        let message = Message::Ask {
            input: Box::new(input),
            answer: sender,
        };
        self.send(message, bytes).await?;
        answer.await.map_err(|_| Ended)
    }

    /// A number for a new stream.
    pub(crate) fn stream_id(&self) -> StreamId {
        StreamId(self.next_id())
    }

    /// A number for a new link.
    pub(crate) fn link_id(&self) -> LinkId {
        LinkId(self.next_id())
    }

    fn next_id(&self) -> u64 {
        self.last_id.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Tells the core when dropped that the peer is gone.
    pub(crate) fn guard(&self, peer: Closed) -> CloseGuard {
        CloseGuard {
            closed: self.closed.clone(),
            peer,
        }
    }
}

/// Lives in the connection's task; its end is the connection's end, however that comes.
#[derive(Debug)]
pub(crate) struct CloseGuard {
    closed: mpsc::UnboundedSender<Closed>,
    peer: Closed,
}

impl Drop for CloseGuard {
    fn drop(&mut self) {
        let _after_the_owners_end_nobody_cares = self.closed.send(self.peer);
    }
}
