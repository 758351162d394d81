//! The agents' link: one gRPC stream per agent, opened by the agent.
//!
//! Frames carry the connection's epoch, the number of their first item and an acknowledgement. Here they are checked,
//! taken apart and handed to the core one item at a time; what the core answers is put into frames as the agent takes
//! them. A link that breaks, falls silent or breaks the rules ends, the core hears of it, and the agent comes back
//! with a new one: nothing is resumed.

use crate::intake::{CloseGuard, Closed, LinkPeer, Message};
use crate::master::Master;
use crate::outbox::{Inlet, outbox};
use futures_util::Stream;
use meseta_http::gate::Action;
use meseta_http::listener::Connection;
use meseta_master_core::io::{Input, LinkId};
use meseta_proto::convert::link as convert;
use meseta_proto::meseta::link::v1::agent_link_server::{AgentLink, AgentLinkServer};
use meseta_proto::meseta::link::v1::{AgentFrame, Alive, MasterFrame, MasterItem, master_item};
use meseta_proto::prost::Message as _;
use meseta_types::link::{FromAgent, ToAgent};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tonic::{Request, Response, Status, Streaming};

/// Unread bytes at which an agent counts as one that does not read: a burst of launches of tens of thousands of tasks
/// stays below.
const UNREAD_BYTES_MAX: usize = 32 << 20;

/// A frame is closed at this size.
const FRAME_BYTES: usize = 1 << 20;

/// The largest frame taken: a re-registration lists all tasks of the agent in one item.
const FRAME_BYTES_MAX: usize = 64 << 20;

/// Silence after which something is said.
const ALIVE_INTERVAL: Duration = Duration::from_secs(5);

/// Silence after which the other side counts as dead.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// The service.
pub(super) fn service(master: Arc<Master>) -> AgentLinkServer<Agents> {
    AgentLinkServer::new(Agents { master }).max_decoding_message_size(FRAME_BYTES_MAX)
}

/// Answers agents.
#[derive(Clone)]
pub(super) struct Agents {
    master: Arc<Master>,
}

#[tonic::async_trait]
impl AgentLink for Agents {
    type ConnectStream = Outgoing;

    async fn connect(&self, request: Request<Streaming<AgentFrame>>) -> Result<Response<Outgoing>, Status> {
        if self.master.elected.get().is_none() {
            return Err(Status::unavailable("Master has not finished recovery"));
        }
        let who = self.master.gate.identify(request.metadata().as_ref());
        if !self.master.gate.allows(&who, Action::RegisterAgent) {
            return Err(Status::permission_denied("Not authorized to register the agent"));
        }
        let connection = request.extensions().get::<Connection>().cloned();
        let link = self.master.intake.link_id();
        let (outbox, inlet) = outbox(UNREAD_BYTES_MAX);
        let progress = Arc::new(Progress::default());
        let outgoing = Outgoing::new(inlet, Arc::clone(&progress), self.guard(link));
        let mut incoming = Incoming {
            frames: request.into_inner(),
            epoch: None,
            next_seq: 1,
        };
        let (master, guard) = (Arc::clone(&self.master), self.guard(link));
        tokio::spawn(async move {
            let mut peer = Some(LinkPeer {
                outbox,
                connection: connection.clone(),
            });
            let ended = loop {
                let (items, bytes) = match incoming.next(&progress).await {
                    Ok(Some(items)) => items,
                    Ok(None) if peer.is_some() => {
                        break Err("it ended before the agent said who it is".to_owned());
                    }
                    Ok(None) => break Ok(()),
                    Err(why) => break Err(why),
                };
                for message in items {
                    let message = match peer.take() {
                        Some(peer) => Message::Link {
                            link,
                            peer,
                            first: message,
                        },
                        None => Message::Input(Input::Agent { link, message }),
                    };
                    if master.intake.send(message, bytes).await.is_err() {
                        return;
                    }
                }
                progress.applied(incoming.next_seq);
            };
            match ended {
                Ok(()) => tracing::debug!(link = link.0, "an agent closed its link"),
                Err(why) => {
                    tracing::info!(link = link.0, "an agent's link ends: {why}");
                    let _first_and_only = progress.fault.set(why);
                    // It may hold on to what it does not read.
                    connection.iter().for_each(|c| c.cut());
                }
            }
            drop(guard);
        });
        Ok(Response::new(outgoing))
    }
}

impl Agents {
    fn guard(&self, link: LinkId) -> CloseGuard {
        self.master.intake.guard(Closed::Link(link))
    }
}

/// What both directions of a link know of each other.
#[derive(Debug, Default)]
struct Progress {
    epoch: AtomicU64,
    /// The last item taken from the agent.
    ack: AtomicU64,
    /// What was wrong with what the agent said: the link ends with it.
    fault: OnceLock<String>,
}

impl Progress {
    fn applied(&self, next_seq: u64) {
        self.ack.store(next_seq.saturating_sub(1), Ordering::Release);
    }
}

/// Frames of an agent, checked.
struct Incoming {
    frames: Streaming<AgentFrame>,
    epoch: Option<u64>,
    /// The number of the next new item.
    next_seq: u64,
}

impl Incoming {
    /// The new items of the next frame, and about how many bytes each holds; `None` at the end.
    async fn next(&mut self, progress: &Progress) -> Result<Option<(Vec<FromAgent>, usize)>, String> {
        let frame = match tokio::time::timeout(SILENCE_MAX, self.frames.message()).await {
            Ok(Ok(Some(frame))) => frame,
            Ok(Ok(None)) => return Ok(None),
            Ok(Err(status)) => return Err(status.message().to_owned()),
            Err(_) => return Err(format!("silent for {} s", SILENCE_MAX.as_secs())),
        };
        let bytes = frame.encoded_len();
        let epoch = *self.epoch.get_or_insert(frame.epoch);
        progress.epoch.store(epoch, Ordering::Release);
        if frame.epoch != epoch {
            return Err(format!(
                "a frame of epoch {} on a link of epoch {epoch}",
                frame.epoch
            ));
        }
        if !frame.items.is_empty() && frame.first_seq > self.next_seq {
            return Err(format!(
                "item {} came where {} was expected",
                frame.first_seq, self.next_seq
            ));
        }
        let count = frame.items.len();
        let known = usize::try_from(self.next_seq.saturating_sub(frame.first_seq)).unwrap_or(usize::MAX);
        let mut items = Vec::with_capacity(count);
        for item in frame.items.into_iter().skip(known) {
            self.next_seq += 1;
            items.extend(convert::from_agent_item(item).map_err(|why| why.to_string())?);
        }
        Ok(Some((items, bytes / count.max(1))))
    }
}

/// Frames to an agent, made as it takes them.
pub(super) struct Outgoing {
    inlet: Inlet<ToAgent>,
    progress: Arc<Progress>,
    next_seq: u64,
    alive: Interval,
    _guard: CloseGuard,
}

impl Outgoing {
    fn new(inlet: Inlet<ToAgent>, progress: Arc<Progress>, guard: CloseGuard) -> Outgoing {
        let mut alive = interval(ALIVE_INTERVAL);
        alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
        alive.reset();
        Outgoing {
            inlet,
            progress,
            next_seq: 1,
            alive,
            _guard: guard,
        }
    }

    fn frame(&mut self, items: Vec<MasterItem>) -> MasterFrame {
        let first_seq = self.next_seq;
        self.next_seq += items.len() as u64;
        self.alive.reset();
        MasterFrame {
            epoch: self.progress.epoch.load(Ordering::Acquire),
            first_seq,
            ack: self.progress.ack.load(Ordering::Acquire),
            items,
        }
    }
}

impl Stream for Outgoing {
    type Item = Result<MasterFrame, Status>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        match this.inlet.poll_next(cx) {
            Poll::Ready(Some(first)) => {
                let mut items = vec![convert::master_item(&first)];
                let mut bytes = items[0].encoded_len();
                while bytes < FRAME_BYTES
                    && let Some(next) = this.inlet.try_next()
                {
                    let item = convert::master_item(&next);
                    bytes += item.encoded_len();
                    items.push(item);
                }
                Poll::Ready(Some(Ok(this.frame(items))))
            }
            Poll::Ready(None) if this.inlet.is_cut() => {
                Poll::Ready(Some(Err(Status::resource_exhausted("does not read"))))
            }
            Poll::Ready(None) => {
                let fault = this.progress.fault.get();
                Poll::Ready(fault.map(|why| Err(Status::invalid_argument(why.as_str()))))
            }
            Poll::Pending => {
                if this.alive.poll_tick(cx).is_pending() {
                    return Poll::Pending;
                }
                let alive = MasterItem {
                    item: Some(master_item::Item::Alive(Alive {})),
                };
                Poll::Ready(Some(Ok(this.frame(vec![alive]))))
            }
        }
    }
}
