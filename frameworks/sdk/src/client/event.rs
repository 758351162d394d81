//! What an author sees: events, offers that cannot be hoarded, updates with their acknowledgement.

use crate::driver::{AckToken, Acked, Epoch, Exit};
use meseta_proto::mesos::v1;
use meseta_proto::mesos::v1::scheduler::{self, call};
use meseta_types::{AgentId, ExecutorId, FrameworkId, OfferId, TaskId};
use std::ops::Deref;
use std::time::Duration;
use tokio::sync::mpsc;

/// One thing that happened.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// A new subscription. Offers of older ones are void; unacknowledged updates come again.
    Subscribed(Subscribed),
    /// The subscription is lost or an attempt failed. The client goes on by itself; offers are void.
    Disconnected {
        /// Why.
        why: String,
        /// When the next attempt comes, from now.
        retry_in: Duration,
    },
    /// New offers. Each is used, declined, or dropped, which declines it too.
    Offers(Vec<Offer>),
    /// An offer is gone. One that is still in the inbox disappears without this event.
    Rescinded(OfferId),
    /// A task's state.
    Update(Update),
    /// An operation's state.
    Operation(OperationUpdate),
    /// Resources somebody wants back for maintenance.
    InverseOffers(Vec<v1::InverseOffer>),
    /// An inverse offer is gone.
    InverseOfferRescinded(OfferId),
    /// Data from an executor.
    Message {
        /// Where it runs.
        agent_id: AgentId,
        /// Who sent it.
        executor_id: ExecutorId,
        /// What.
        data: bytes::Bytes,
    },
    /// An agent was removed or cannot be reached. A hint only: its tasks report for themselves.
    AgentLost(AgentId),
    /// An executor ended.
    ExecutorEnded {
        /// Where it ran.
        agent_id: AgentId,
        /// Which.
        executor_id: ExecutorId,
        /// Its raw wait status.
        status: i32,
    },
    /// The reader was too slow; this was not kept for it.
    Lagged(Lagged),
    /// An event this version has no name for, as it came.
    Other(Box<scheduler::Event>),
    /// The end: no event follows.
    Stopped(Exit),
}

/// The beginning of a subscription.
#[derive(Clone, Debug)]
pub struct Subscribed {
    /// The framework.
    pub framework_id: FrameworkId,
    /// The leading master, as it describes itself.
    pub master: Option<Box<v1::MasterInfo>>,
    /// Counts subscriptions of this client.
    pub epoch: Epoch,
}

/// What a slow reader did not get, since the last `Lagged`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lagged {
    /// Offers that were declined for it.
    pub offers: u64,
    /// Messages of executors that are lost.
    pub messages: u64,
    /// `AgentLost`, `ExecutorEnded` and other hints that are lost.
    pub hints: u64,
}

/// What comes back from the author without waiting. There is at most one per delivered offer or update, so the
/// queue of these is bounded by what was delivered.
#[derive(Debug)]
pub(super) enum Back {
    Ack(AckToken),
    Decline {
        epoch: Epoch,
        offer: v1::OfferId,
        agent: v1::AgentId,
        /// `None`: the default with jitter.
        refuse: Option<Duration>,
    },
}

pub(super) type BackSender = mpsc::UnboundedSender<Back>;

/// An offer that nobody else has. Dropping it declines it for about 30 s, so that it cannot be hoarded by mistake.
#[derive(Debug)]
pub struct Offer {
    offer: v1::Offer,
    epoch: Epoch,
    back: Option<BackSender>,
}

impl Offer {
    pub(super) fn new(offer: v1::Offer, epoch: Epoch, back: BackSender) -> Offer {
        Offer {
            offer,
            epoch,
            back: Some(back),
        }
    }

    /// The subscription it belongs to.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Declines it: the resources are not offered to this framework again for that long.
    pub fn decline(mut self, refuse: Duration) {
        self.give_back(Some(refuse));
    }

    /// It was used (or is void): there is nothing to give back.
    pub(super) fn forget(mut self) {
        self.back = None;
    }

    fn give_back(&mut self, refuse: Option<Duration>) {
        if let Some(back) = self.back.take() {
            // A closed queue means that the client has ended and its offers with it.
            let _ = back.send(Back::Decline {
                epoch: self.epoch,
                offer: self.offer.id.clone(),
                agent: self.offer.agent_id.clone(),
                refuse,
            });
        }
    }
}

impl Drop for Offer {
    fn drop(&mut self) {
        self.give_back(None);
    }
}

impl Deref for Offer {
    type Target = v1::Offer;

    fn deref(&self) -> &v1::Offer {
        &self.offer
    }
}

/// A task's update. Acknowledge it once its effect is durable; dropped without that, it comes again.
#[derive(Debug)]
pub struct Update {
    /// The status as it came.
    pub status: v1::TaskStatus,
    pub(super) epoch: Epoch,
    pub(super) back: BackSender,
}

impl Update {
    /// Whether it wants an acknowledgement: those made by the master do not.
    pub fn wants_ack(&self) -> bool {
        self.status.uuid.is_some()
    }

    /// Acknowledges it: the agent sends the task's next update. Does nothing for an update that wants none, or whose
    /// subscription is over (it comes again on the next).
    pub fn ack(self) {
        let ids = || {
            let agent_id = AgentId::new(&self.status.agent_id.as_ref()?.value).ok()?;
            let task_id = TaskId::new(&self.status.task_id.value).ok()?;
            let uuid = self.status.uuid.clone()?;
            Some(Acked::Task {
                agent_id,
                task_id,
                uuid,
            })
        };
        if let Some(what) = ids() {
            let epoch = self.epoch;
            let _ = self.back.send(Back::Ack(AckToken { epoch, what }));
        }
    }
}

/// An operation's update, acknowledged like a task's.
#[derive(Debug)]
pub struct OperationUpdate {
    /// The status as it came.
    pub status: v1::OperationStatus,
    pub(super) epoch: Epoch,
    pub(super) back: BackSender,
}

impl OperationUpdate {
    /// Acknowledges it. Does nothing for one made by the master.
    pub fn ack(self) {
        let status = self.status;
        if let (Some(uuid), Some(operation_id)) = (status.uuid, status.operation_id) {
            let what = Acked::Operation(Box::new(call::AcknowledgeOperationStatus {
                agent_id: status.agent_id,
                resource_provider_id: status.resource_provider_id,
                uuid: uuid.value,
                operation_id,
            }));
            let epoch = self.epoch;
            let _ = self.back.send(Back::Ack(AckToken { epoch, what }));
        }
    }
}
