//! What schedulers ask for (`mesos.v1.scheduler.Call`), decoded and checked by the shell as far as one message allows.

use bytes::Bytes;
use meseta_types::task::{ExecutorSpec, FrameworkSpec, TaskSpec};
use meseta_types::{AgentId, ExecutorId, OfferId, Role, TaskId, UpdateUuid};
use std::sync::Arc;
use std::time::Duration;

/// `SUBSCRIBE` and `UPDATE_FRAMEWORK`: the framework as it describes itself.
///
/// The shell has checked roles, id text, offer filters and failover timeout (in that order; a fault there is answered
/// with an `ERROR` event or 400 without asking the core).
#[derive(Clone, Debug, PartialEq)]
pub struct Subscribe {
    /// Itself; `id` is `None` for a new framework.
    pub framework: FrameworkSpec,
    /// Roles it wants no offers for. Replaces the earlier set.
    pub suppressed_roles: Vec<Role>,
}

/// A call whose answer, if any, comes as an event.
#[derive(Clone, Debug, PartialEq)]
pub enum Call {
    /// Remove the framework, end its tasks.
    Teardown,
    /// Use offers.
    Accept(Accept),
    /// Give offers back.
    Decline {
        /// Which; unknown ones are ignored.
        offer_ids: Vec<OfferId>,
        /// For how long not to offer the same again.
        filters: Filters,
    },
    /// Forget filters and suppression. No roles: all of the framework's.
    Revive {
        /// Which roles.
        roles: Vec<Role>,
    },
    /// No offers for these roles. No roles: all of the framework's.
    Suppress {
        /// Which roles.
        roles: Vec<Role>,
    },
    /// End a task.
    Kill {
        /// Which.
        task_id: TaskId,
        /// Where, if the framework knows.
        agent_id: Option<AgentId>,
        /// Encoded `mesos.v1.KillPolicy`; empty for none.
        kill_policy: Bytes,
        /// Its grace period, if one is set.
        grace: Option<Duration>,
    },
    /// Shut an executor down.
    Shutdown {
        /// Which.
        executor_id: ExecutorId,
        /// Where.
        agent_id: AgentId,
    },
    /// An update has arrived and was dealt with.
    Acknowledge {
        /// Where the task is.
        agent_id: AgentId,
        /// Which task.
        task_id: TaskId,
        /// Which update.
        uuid: UpdateUuid,
    },
    /// Tell the states of these tasks; of all, if empty.
    Reconcile {
        /// Which.
        tasks: Vec<TaskRef>,
    },
    /// Data for an executor, best effort.
    Message {
        /// Where it is.
        agent_id: AgentId,
        /// Which.
        executor_id: ExecutorId,
        /// What.
        data: Bytes,
    },
    /// Asks for resources. Counted and otherwise ignored, as in Mesos.
    Request,
    /// Answers to inverse offers. None are made yet, so every id is unknown: counted and ignored.
    AcceptInverseOffers,
    /// As `AcceptInverseOffers`.
    DeclineInverseOffers,
    /// An operation's status has arrived. No operation is tracked yet: counted as invalid.
    AcknowledgeOperationStatus {
        /// Where.
        agent_id: Option<AgentId>,
        /// Which operation.
        operation_id: Arc<str>,
    },
    /// Tell the states of these operations; of all (none yet), if empty.
    ReconcileOperations {
        /// Operation and, if the framework knows it, agent.
        operations: Vec<(Arc<str>, Option<AgentId>)>,
    },
}

impl Call {
    /// The call's name in lower case, as metrics spell it.
    pub fn name(&self) -> &'static str {
        match self {
            Call::Teardown => "teardown",
            Call::Accept(_) => "accept",
            Call::Decline { .. } => "decline",
            Call::Revive { .. } => "revive",
            Call::Suppress { .. } => "suppress",
            Call::Kill { .. } => "kill",
            Call::Shutdown { .. } => "shutdown",
            Call::Acknowledge { .. } => "acknowledge",
            Call::Reconcile { .. } => "reconcile",
            Call::Message { .. } => "message",
            Call::Request => "request",
            Call::AcceptInverseOffers => "accept_inverse_offers",
            Call::DeclineInverseOffers => "decline_inverse_offers",
            Call::AcknowledgeOperationStatus { .. } => "acknowledge_operation_status",
            Call::ReconcileOperations { .. } => "reconcile_operations",
        }
    }
}

/// A task, and the agent the framework believes it on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskRef {
    /// Which.
    pub task_id: TaskId,
    /// Where, if the framework knows.
    pub agent_id: Option<AgentId>,
}

/// `ACCEPT`.
#[derive(Clone, Debug, PartialEq)]
pub struct Accept {
    /// The offers used: of one agent and one role.
    pub offer_ids: Vec<OfferId>,
    /// What to do with them, in order.
    pub operations: Vec<Operation>,
    /// For how long not to offer the unused rest again.
    pub filters: Filters,
}

/// One operation of an `ACCEPT`.
#[derive(Clone, Debug, PartialEq)]
pub enum Operation {
    /// Start tasks, each on its own.
    Launch {
        /// `Offer.Operation.id`, which is not allowed here: every task is answered `TASK_ERROR`.
        id: Option<Arc<str>>,
        /// Which.
        tasks: Vec<TaskSpec>,
    },
    /// Start tasks under one default executor, all or none.
    LaunchGroup {
        /// As for `Launch`.
        id: Option<Arc<str>>,
        /// Under what.
        executor: ExecutorSpec,
        /// Which.
        tasks: Vec<TaskSpec>,
        /// The first structural fault the shell found in executor or group.
        invalid: Option<Arc<str>>,
    },
    /// An operation on reservations, volumes or disks.
    Resources {
        /// What kind.
        kind: OperationKind,
        /// Present: the framework wants to hear how it went.
        id: Option<Arc<str>>,
    },
}

/// The operations that change resources (`mesos.v1.Offer.Operation.Type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)] // the names are the wire's
pub enum OperationKind {
    Launch,
    LaunchGroup,
    Reserve,
    Unreserve,
    Create,
    Destroy,
    GrowVolume,
    ShrinkVolume,
    CreateDisk,
    DestroyDisk,
}

/// Every kind, in declaration order.
pub const OPERATION_KINDS: [OperationKind; 10] = [
    OperationKind::Launch,
    OperationKind::LaunchGroup,
    OperationKind::Reserve,
    OperationKind::Unreserve,
    OperationKind::Create,
    OperationKind::Destroy,
    OperationKind::GrowVolume,
    OperationKind::ShrinkVolume,
    OperationKind::CreateDisk,
    OperationKind::DestroyDisk,
];

impl OperationKind {
    /// The wire name, for example `RESERVE`.
    pub fn wire_name(self) -> String {
        self.name().to_ascii_uppercase()
    }

    /// The name in lower case, as metrics spell it.
    pub fn name(self) -> &'static str {
        match self {
            OperationKind::Launch => "launch",
            OperationKind::LaunchGroup => "launch_group",
            OperationKind::Reserve => "reserve",
            OperationKind::Unreserve => "unreserve",
            OperationKind::Create => "create",
            OperationKind::Destroy => "destroy",
            OperationKind::GrowVolume => "grow_volume",
            OperationKind::ShrinkVolume => "shrink_volume",
            OperationKind::CreateDisk => "create_disk",
            OperationKind::DestroyDisk => "destroy_disk",
        }
    }
}

/// For how long refused resources stay away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filters {
    /// Zero: no filter.
    pub refuse: Duration,
}

impl Filters {
    /// `Filters.refuse_seconds` unset.
    pub const DEFAULT_REFUSE: Duration = Duration::from_secs(5);
    /// No filter lives longer.
    pub const MAX_REFUSE: Duration = Duration::from_secs(31_536_000);

    /// From the wire's `refuse_seconds`: absent, negative or not a number count as the default, more than a year as a
    /// year (Mesos, `master.cpp` and `hierarchical.cpp`).
    pub fn from_seconds(seconds: Option<f64>) -> Filters {
        let refuse = match seconds {
            Some(s) if s >= 0.0 => Duration::try_from_secs_f64(s)
                .unwrap_or(Self::MAX_REFUSE)
                .min(Self::MAX_REFUSE),
            _ => Self::DEFAULT_REFUSE,
        };
        Filters { refuse }
    }
}

impl Default for Filters {
    fn default() -> Self {
        Filters::from_seconds(None)
    }
}
