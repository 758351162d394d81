//! What schedulers and operators are told (`mesos.v1.scheduler.Event`, `mesos.v1.master.Event`).

use crate::state::{Agent, Framework, Offer, Task};
use bytes::Bytes;
use meseta_types::task::{Capabilities, FrameworkSpec, TaskStatus};
use meseta_types::{AgentId, ExecutorId, FrameworkId, OfferId, Resources, TaskState};
use std::sync::Arc;

use super::StreamId;

/// An event for one scheduler.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The framework is in. The shell adds heartbeat interval and master info, and sends the first `HEARTBEAT`.
    Subscribed {
        /// Its id.
        framework_id: FrameworkId,
    },
    /// New offers.
    Offers {
        /// Which.
        offers: Vec<Arc<Offer>>,
        /// Decide the form of the resources: `allocation_info` only for MULTI_ROLE, `reservations` only for
        /// RESERVATION_REFINEMENT.
        capabilities: Capabilities,
    },
    /// An offer is taken back.
    Rescind {
        /// Which.
        offer_id: OfferId,
    },
    /// A task's status.
    Update(TaskStatus),
    /// An operation's status.
    UpdateOperationStatus(OperationStatus),
    /// Data from an executor.
    Message {
        /// Where it is.
        agent_id: AgentId,
        /// Which.
        executor_id: ExecutorId,
        /// What.
        data: Bytes,
    },
    /// An agent is lost (only `agent_id`), or an executor ended (all three).
    Failure {
        /// Which agent.
        agent_id: AgentId,
        /// Which executor, and its raw wait status.
        executor: Option<(ExecutorId, i32)>,
    },
    /// The stream ends, and why.
    Error {
        /// For the framework's log.
        message: Arc<str>,
    },
}

impl Event {
    /// The event's name in lower case, as metrics spell it.
    pub fn name(&self) -> &'static str {
        match self {
            Event::Subscribed { .. } => "subscribed",
            Event::Offers { .. } => "offers",
            Event::Rescind { .. } => "rescind",
            Event::Update(_) => "update",
            Event::UpdateOperationStatus(_) => "update_operation_status",
            Event::Message { .. } => "message",
            Event::Failure { .. } => "failure",
            Event::Error { .. } => "error",
        }
    }
}

/// `mesos.v1.OperationState`, as far as the master itself says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the names are the wire's
pub enum OperationState {
    Error,
    Unknown,
    Unreachable,
    Recovering,
    GoneByOperator,
}

/// The status of an operation; made by the master, so without a uuid.
#[derive(Clone, Debug, PartialEq)]
pub struct OperationStatus {
    /// Which operation.
    pub operation_id: Arc<str>,
    /// Its state.
    pub state: OperationState,
    /// For people.
    pub message: Arc<str>,
    /// Where, if that is known.
    pub agent_id: Option<AgentId>,
}

/// What a handler must know of a framework before it passes a call on.
#[derive(Clone, Debug, PartialEq)]
pub enum Session {
    /// Calls are welcome on this stream only.
    Connected {
        /// The stream.
        stream: StreamId,
        /// Who may use it.
        principal: Option<Arc<str>>,
    },
    /// Known, but not subscribed (403).
    Disconnected {
        /// Who may use it.
        principal: Option<Arc<str>>,
    },
    /// Not known (any more).
    Removed,
}

/// An event for every operator's stream. The values are those of a view, so they share its conversions.
#[derive(Clone, Debug, PartialEq)]
pub enum OperatorEvent {
    /// A task was launched, or came with an agent.
    TaskAdded(Arc<Task>),
    /// A task's state changed, or a check or health verdict.
    TaskUpdated {
        /// Whose task.
        framework_id: FrameworkId,
        /// The status.
        status: TaskStatus,
        /// The newest state known, which may be ahead of the status.
        state: TaskState,
    },
    /// An agent registered, or came back after it was unreachable or after a fail-over.
    AgentAdded(Arc<Agent>),
    /// An agent left for good. Not sent for one that is unreachable: it may come back.
    AgentRemoved {
        /// Which.
        agent_id: AgentId,
    },
    /// A framework subscribed for the first time, or is known from agents after a fail-over.
    FrameworkAdded {
        /// As it is now.
        framework: Arc<Framework>,
        /// What its tasks and executors use, over all agents.
        allocated: Resources,
        /// What it is offered, over all agents.
        offered: Resources,
    },
    /// A framework subscribed again or changed its description.
    FrameworkUpdated {
        /// As it is now.
        framework: Arc<Framework>,
        /// What its tasks and executors use, over all agents.
        allocated: Resources,
        /// What it is offered, over all agents.
        offered: Resources,
    },
    /// A framework is gone.
    FrameworkRemoved {
        /// As it was.
        framework: Arc<FrameworkSpec>,
    },
}
