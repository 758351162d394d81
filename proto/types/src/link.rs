//! What master and agent say to each other, as both cores see it.
//!
//! The shells put these into frames of `meseta.link.v1` (epoch, sequence numbers, batches); the simulated world
//! passes them as they are. Semantics: one link per agent, opened by the agent, its first message says who it is;
//! nothing of an older epoch is applied; what was lost with a link is settled by re-registration.

use crate::id::{AgentId, ExecutorId, FrameworkId, TaskId, UpdateUuid};
use crate::resource::Resources;
use crate::task::{
    ExecutorSpec, FrameworkSpec, ReportedExecutor, ReportedTask, TaskSpec, TaskState, TaskStatus,
};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;

/// An agent as it describes itself.
#[derive(Clone, Debug, PartialEq)]
pub struct AgentSpec {
    /// `None` before the first registration.
    pub id: Option<AgentId>,
    /// Where tasks' ports are reachable.
    pub hostname: Arc<str>,
    /// The address its HTTP server listens on.
    pub ip: std::net::IpAddr,
    /// The port of its HTTP server.
    pub port: u16,
    /// Total resources, unallocated.
    pub resources: Resources,
    /// Version of the program, `major.minor.patch`.
    pub version: Arc<str>,
    /// Names of `mesos.v1.AgentInfo.Capability.Type` it has.
    pub capabilities: Vec<Arc<str>>,
    /// Encoded `mesos.v1.AgentInfo`.
    pub wire: Bytes,
}

/// Everything an agent knows when it comes back.
#[derive(Clone, Debug, PartialEq)]
pub struct Inventory {
    /// Frameworks with tasks or executors here.
    pub frameworks: Vec<FrameworkSpec>,
    /// Tasks that are not completed: pending, queued, launched, terminal but unacknowledged.
    pub tasks: Vec<ReportedTask>,
    /// Live custom executors.
    pub executors: Vec<ReportedExecutor>,
}

/// A status update on its way to the framework.
#[derive(Clone, Debug, PartialEq)]
pub struct StatusUpdate {
    /// Whose task.
    pub framework_id: FrameworkId,
    /// The status; `uuid` and `agent_id` are set.
    pub status: TaskStatus,
    /// The newest state of the task on the agent, which may run ahead of `status`.
    pub latest_state: TaskState,
}

/// From agent to master.
#[derive(Clone, Debug, PartialEq)]
pub enum FromAgent {
    /// First message of an agent without an id.
    Register {
        /// Itself.
        agent: AgentSpec,
    },
    /// First message of an agent with an id.
    Reregister {
        /// Itself, with its id.
        agent: AgentSpec,
        /// What runs there.
        inventory: Inventory,
    },
    /// It leaves on purpose; its tasks end.
    Unregister,
    /// A task's state changed (or is told again until acknowledged).
    Update(StatusUpdate),
    /// A custom executor ended.
    ExecutorExited {
        /// Whose.
        framework_id: FrameworkId,
        /// Which.
        executor_id: ExecutorId,
        /// Raw wait status.
        status: i32,
    },
    /// Data from an executor to its framework.
    ExecutorMessage {
        /// Whose.
        framework_id: FrameworkId,
        /// From whom.
        executor_id: ExecutorId,
        /// What.
        data: Bytes,
    },
    /// Answer to `Ping`.
    Pong,
}

/// From master to agent.
#[derive(Clone, Debug, PartialEq)]
pub enum ToAgent {
    /// The agent is admitted and durable.
    Registered {
        /// Its id.
        agent_id: AgentId,
        /// It gives the master up after this long without a ping.
        total_ping_timeout: Duration,
    },
    /// The agent is back.
    Reregistered {
        /// Its id.
        agent_id: AgentId,
        /// As for `Registered`.
        total_ping_timeout: Duration,
        /// Tasks the master believes are there and the agent did not list: each unknown one is answered with an update.
        reconcile: Vec<(FrameworkId, TaskId)>,
    },
    /// It must end its tasks and itself.
    Shutdown {
        /// Why.
        message: Arc<str>,
    },
    /// Start a task.
    RunTask {
        /// Whose, in full, so that an agent can be asked after a fail-over.
        framework: FrameworkSpec,
        /// What.
        task: TaskSpec,
        /// Whether the master expects that this launches the executor.
        launch_executor: bool,
    },
    /// Start a task group under a default executor.
    RunTaskGroup {
        /// Whose.
        framework: FrameworkSpec,
        /// Under what.
        executor: ExecutorSpec,
        /// What, in order.
        tasks: Vec<TaskSpec>,
        /// Whether the master expects that this launches the executor.
        launch_executor: bool,
    },
    /// Kill a task.
    KillTask {
        /// Whose.
        framework_id: FrameworkId,
        /// Which.
        task_id: TaskId,
        /// Encoded `mesos.v1.KillPolicy` overriding the task's own; empty for none.
        kill_policy: Bytes,
        /// Its grace period, if one is set.
        grace: Option<Duration>,
    },
    /// Shut an executor down.
    ShutdownExecutor {
        /// Whose.
        framework_id: FrameworkId,
        /// Which.
        executor_id: ExecutorId,
    },
    /// The framework has the update.
    AckUpdate {
        /// Whose.
        framework_id: FrameworkId,
        /// Which task.
        task_id: TaskId,
        /// Which update.
        uuid: UpdateUuid,
    },
    /// Data from a framework to an executor.
    FrameworkMessage {
        /// Whose.
        framework_id: FrameworkId,
        /// To whom.
        executor_id: ExecutorId,
        /// What.
        data: Bytes,
    },
    /// The framework is removed: end everything of it.
    ShutdownFramework {
        /// Whose.
        framework_id: FrameworkId,
    },
    /// The framework changed its description, or is connected again: resend its unacknowledged updates.
    UpdateFramework {
        /// As it now is.
        framework: FrameworkSpec,
    },
    /// Are you there?
    Ping {
        /// Whether the master counts the agent as connected; `false` asks it to re-register.
        connected: bool,
    },
}
