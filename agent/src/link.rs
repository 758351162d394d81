//! The link to the leading master: one gRPC stream, opened by the agent, with an epoch and sequence numbers.
//!
//! The core decides when to connect and what to say first; this module carries items both ways. Items are batched into
//! frames of up to 1 MiB, the queue towards the master is bounded in bytes, an item out of order or of another epoch
//! ends the link. What was lost with a link is settled by re-registration, so nothing is ever sent again here.

use crate::owner::Message;
use meseta_agent_core::{Input, LinkId};
use meseta_http::inbox::Inbox;
use meseta_proto::convert;
use meseta_proto::meseta::link::v1::agent_link_client::AgentLinkClient;
use meseta_proto::meseta::link::v1::{AgentFrame, AgentItem, MasterFrame};
use meseta_proto::prost::Message as _;
use meseta_types::causes;
use meseta_types::link::FromAgent;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};

/// A connection that is not there after this long is given up; the core tries again with back-off.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Silence after which a frame is sent just to say that the agent is there.
const ALIVE_INTERVAL: Duration = Duration::from_secs(5);

/// HTTP/2 pings: a peer that is gone without a word is noticed after their sum.
const PING_INTERVAL: Duration = Duration::from_secs(10);
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// How long an agent that ends waits for the master to take its last words.
const FINISH_TIMEOUT: Duration = Duration::from_secs(5);

/// Items of one frame, in bytes, as the protocol says; a single larger item travels alone.
const FRAME_BYTES: usize = 1 << 20;

/// Bytes waiting for the master: hundreds of thousands of updates. Beyond it the link is given up.
const QUEUE_BYTES_MAX: usize = 64 << 20;

/// Longest frame taken from a master: the largest call of a framework, and room.
const RECEIVE_BYTES_MAX: usize = 80 << 20;

/// Frames on their way into the HTTP/2 connection: it has its own flow control, this only decouples.
const FRAMES_MAX: usize = 2;

/// An ordered link. Dropping it closes the connection; nothing of it is told any more.
pub(crate) struct Link {
    id: LinkId,
    queue: mpsc::UnboundedSender<(usize, AgentItem)>,
    queued: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

/// The queue towards the master is full or the link is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LinkFull;

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Link {
    /// Its number.
    pub(crate) fn id(&self) -> LinkId {
        self.id
    }

    /// Says nothing more and waits until the master has taken what was queued and closed its side.
    pub(crate) async fn finish(mut self) {
        // The sender of another channel in its place closes the queue; what is in it is still sent.
        self.queue = mpsc::unbounded_channel().0;
        if tokio::time::timeout(FINISH_TIMEOUT, &mut self.task)
            .await
            .is_err()
        {
            tracing::warn!("the master did not take the last messages within {FINISH_TIMEOUT:?}");
        }
    }

    /// Queues an item. Never waits.
    ///
    /// # Errors
    /// [`LinkFull`]: the link is of no use any more.
    pub(crate) fn send(&self, item: FromAgent) -> Result<(), LinkFull> {
        let item = convert::link::agent_item(&item);
        let bytes = item.encoded_len();
        let before = self.queued.fetch_add(bytes, Ordering::AcqRel);
        if before > 0 && before + bytes > QUEUE_BYTES_MAX {
            return Err(LinkFull);
        }
        self.queue.send((bytes, item)).map_err(|_| LinkFull)
    }
}

/// Opens a link to `master` (`host:port`) and tells the owner what becomes of it. `epoch` must be larger than that of
/// any earlier link.
pub(crate) fn connect(id: LinkId, master: &str, epoch: u64, inbox: Inbox<Message>) -> Link {
    let (queue, items) = mpsc::unbounded_channel();
    let queued = Arc::new(AtomicUsize::new(0));
    let master = master.to_owned();
    let counted = Arc::clone(&queued);
    let task = tokio::spawn(async move {
        let carrier = Carrier {
            id,
            epoch,
            inbox: inbox.clone(),
            received: Arc::new(AtomicU64::new(0)),
        };
        let why = match carrier.run(&master, items, counted).await {
            Ok(()) => "the master closed it".to_owned(),
            Err(why) => why,
        };
        tracing::info!(master, link = id.0, why, "the link to the master is down");
        // The owner is gone: so is the agent.
        let _ = inbox.send(Message::Input(Input::LinkDown(id)), 0).await;
    });
    Link {
        id,
        queue,
        queued,
        task,
    }
}

struct Carrier {
    id: LinkId,
    epoch: u64,
    inbox: Inbox<Message>,
    /// Number of the last item received: acknowledged with every frame.
    received: Arc<AtomicU64>,
}

impl Carrier {
    async fn run(
        &self,
        master: &str,
        items: mpsc::UnboundedReceiver<(usize, AgentItem)>,
        queued: Arc<AtomicUsize>,
    ) -> Result<(), String> {
        let channel = channel(master).await?;
        self.tell(Input::LinkUp(self.id), 0).await?;
        let (frames, outgoing) = mpsc::channel(FRAMES_MAX);
        let pump = pump(self.epoch, items, queued, Arc::clone(&self.received), frames);
        let mut client = AgentLinkClient::new(channel).max_decoding_message_size(RECEIVE_BYTES_MAX);
        let talk = async {
            let answer = client.connect(ReceiverStream::new(outgoing)).await;
            let mut incoming = answer.map_err(|status| status.to_string())?.into_inner();
            while let Some(frame) = incoming.message().await.map_err(|status| status.to_string())? {
                self.frame(frame).await?;
            }
            Ok(())
        };
        tokio::pin!(talk);
        tokio::select! {
            // Everything queued has been handed over and the stream closed from this side: the master closes its own.
            () = pump => talk.await,
            talked = &mut talk => talked,
        }
    }

    async fn frame(&self, frame: MasterFrame) -> Result<(), String> {
        if frame.epoch != self.epoch {
            return Err(format!(
                "a frame of epoch {} came, not of {}",
                frame.epoch, self.epoch
            ));
        }
        let last = self.received.load(Ordering::Acquire);
        if !frame.items.is_empty() && frame.first_seq != last + 1 {
            return Err(format!("item {} came after item {last}", frame.first_seq));
        }
        for (seq, item) in (last + 1..).zip(frame.items) {
            let bytes = item.encoded_len();
            let said = convert::link::to_agent_item(item).map_err(|e| format!("item {seq}: {e}"))?;
            if let Some(said) = said {
                self.tell(Input::FromMaster(self.id, said), bytes).await?;
            }
            self.received.store(seq, Ordering::Release);
        }
        Ok(())
    }

    async fn tell(&self, input: Input, bytes: usize) -> Result<(), String> {
        let told = self.inbox.send(Message::Input(input), bytes).await;
        told.map_err(|_| "the agent ends".to_owned())
    }
}

async fn channel(master: &str) -> Result<Channel, String> {
    let endpoint = Endpoint::from_shared(format!("http://{master}")).map_err(|e| e.to_string())?;
    endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .keep_alive_while_idle(true)
        .connect()
        .await
        .map_err(|e| causes(&e))
}

/// Makes frames of what is queued, until the link ends.
async fn pump(
    epoch: u64,
    mut items: mpsc::UnboundedReceiver<(usize, AgentItem)>,
    queued: Arc<AtomicUsize>,
    received: Arc<AtomicU64>,
    frames: mpsc::Sender<AgentFrame>,
) {
    let mut next_seq = 1;
    loop {
        let first = match tokio::time::timeout(ALIVE_INTERVAL, items.recv()).await {
            Ok(Some(first)) => first,
            Ok(None) => return,
            Err(_) => (0, convert::link::agent_alive()),
        };
        let mut bytes = first.0;
        let mut batch = vec![first.1];
        while bytes < FRAME_BYTES {
            let Ok((more, item)) = items.try_recv() else { break };
            bytes += more;
            batch.push(item);
        }
        let frame = AgentFrame {
            epoch,
            first_seq: next_seq,
            ack: received.load(Ordering::Acquire),
            items: batch,
        };
        next_seq += frame.items.len() as u64;
        if frames.send(frame).await.is_err() {
            return;
        }
        queued.fetch_sub(bytes, Ordering::AcqRel);
    }
}
