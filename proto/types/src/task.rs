//! What the cores know of tasks, executors and frameworks: the fields they decide on, and the rest as bytes.
//!
//! `wire` fields hold the protobuf encoding of the Mesos v1 message named beside them. The shells decode and
//! check it once at the edge, the cores carry it untouched.

use crate::id::{AgentId, ContainerId, ExecutorId, FrameworkId, Role, TaskId, UpdateUuid};
use crate::resource::Resources;
use crate::time::Wall;
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;

/// `mesos.v1.TaskState`, with its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum TaskState {
    /// The executor is starting it.
    Starting = 0,
    /// It runs.
    Running = 1,
    /// It ended well. Terminal.
    Finished = 2,
    /// It ended badly. Terminal.
    Failed = 3,
    /// It was killed. Terminal.
    Killed = 4,
    /// Lost, for frameworks that are not partition aware. Terminal in the books, may be taken back.
    Lost = 5,
    /// The master accepted its launch.
    Staging = 6,
    /// Its description was refused. Terminal.
    Error = 7,
    /// It is being killed.
    Killing = 8,
    /// It never started. Terminal.
    Dropped = 9,
    /// Its agent cannot be reached.
    Unreachable = 10,
    /// It ran and is not there any more. Terminal.
    Gone = 11,
    /// An operator declared its agent gone. Terminal.
    GoneByOperator = 12,
    /// Reconciliation's answer for a task nobody knows.
    Unknown = 13,
}

impl TaskState {
    /// Every state, in the order of their numbers.
    pub const ALL: [TaskState; 14] = [
        TaskState::Starting,
        TaskState::Running,
        TaskState::Finished,
        TaskState::Failed,
        TaskState::Killed,
        TaskState::Lost,
        TaskState::Staging,
        TaskState::Error,
        TaskState::Killing,
        TaskState::Dropped,
        TaskState::Unreachable,
        TaskState::Gone,
        TaskState::GoneByOperator,
        TaskState::Unknown,
    ];

    /// Whether no further state follows by the agent's word.
    pub fn is_terminal(self) -> bool {
        use TaskState::*;
        match self {
            Finished | Failed | Killed | Lost | Error | Dropped | Gone | GoneByOperator => true,
            Starting | Running | Staging | Killing | Unreachable | Unknown => false,
        }
    }

    /// From the wire number.
    pub fn from_number(n: i32) -> Option<TaskState> {
        usize::try_from(n)
            .ok()
            .and_then(|n| TaskState::ALL.get(n).copied())
    }

    /// The wire number.
    pub fn number(self) -> i32 {
        self as i32
    }

    /// The wire name, for example `TASK_RUNNING`.
    pub fn name(self) -> &'static str {
        use TaskState::*;
        match self {
            Starting => "TASK_STARTING",
            Running => "TASK_RUNNING",
            Finished => "TASK_FINISHED",
            Failed => "TASK_FAILED",
            Killed => "TASK_KILLED",
            Lost => "TASK_LOST",
            Staging => "TASK_STAGING",
            Error => "TASK_ERROR",
            Killing => "TASK_KILLING",
            Dropped => "TASK_DROPPED",
            Unreachable => "TASK_UNREACHABLE",
            Gone => "TASK_GONE",
            GoneByOperator => "TASK_GONE_BY_OPERATOR",
            Unknown => "TASK_UNKNOWN",
        }
    }
}

/// `mesos.v1.TaskStatus.Source`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Source {
    /// The master said it.
    Master = 0,
    /// The agent said it.
    Agent = 1,
    /// The executor said it.
    Executor = 2,
}

/// `mesos.v1.TaskStatus.Reason` as its wire number; the constants are those Meseta itself uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reason(pub i32);

#[allow(missing_docs)] // the names are the wire's
impl Reason {
    pub const COMMAND_EXECUTOR_FAILED: Reason = Reason(0);
    pub const EXECUTOR_TERMINATED: Reason = Reason(1);
    pub const FRAMEWORK_REMOVED: Reason = Reason(3);
    pub const GC_ERROR: Reason = Reason(4);
    pub const INVALID_OFFERS: Reason = Reason(6);
    pub const CONTAINER_LIMITATION_MEMORY: Reason = Reason(8);
    pub const RECONCILIATION: Reason = Reason(9);
    pub const AGENT_DISCONNECTED: Reason = Reason(10);
    pub const AGENT_REMOVED: Reason = Reason(11);
    pub const AGENT_RESTARTED: Reason = Reason(12);
    pub const TASK_INVALID: Reason = Reason(14);
    pub const TASK_UNAUTHORIZED: Reason = Reason(15);
    pub const CONTAINER_PREEMPTED: Reason = Reason(17);
    pub const RESOURCES_UNKNOWN: Reason = Reason(18);
    pub const CONTAINER_LIMITATION: Reason = Reason(19);
    pub const CONTAINER_LIMITATION_DISK: Reason = Reason(20);
    pub const CONTAINER_LAUNCH_FAILED: Reason = Reason(21);
    pub const CONTAINER_UPDATE_FAILED: Reason = Reason(22);
    pub const EXECUTOR_REGISTRATION_TIMEOUT: Reason = Reason(23);
    pub const EXECUTOR_REREGISTRATION_TIMEOUT: Reason = Reason(24);
    pub const TASK_GROUP_INVALID: Reason = Reason(25);
    pub const TASK_CHECK_STATUS_UPDATED: Reason = Reason(28);
    pub const TASK_HEALTH_CHECK_STATUS_UPDATED: Reason = Reason(29);
    pub const TASK_KILLED_DURING_LAUNCH: Reason = Reason(30);
    pub const AGENT_REMOVED_BY_OPERATOR: Reason = Reason(31);
    pub const AGENT_REREGISTERED: Reason = Reason(32);
    pub const MAX_COMPLETION_TIME_REACHED: Reason = Reason(33);
    pub const AGENT_DRAINING: Reason = Reason(34);

    /// Whether Mesos 1.12 has a name for it; an executor may write any number.
    pub fn is_known(self) -> bool {
        (Reason::COMMAND_EXECUTOR_FAILED.0..=Reason::AGENT_DRAINING.0).contains(&self.0)
    }
}

/// One status of a task: the fields the cores decide on and show.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskStatus {
    /// Which task.
    pub task_id: TaskId,
    /// Its state.
    pub state: TaskState,
    /// Who says so.
    pub source: Source,
    /// Why, if there is a reason of its own.
    pub reason: Option<Reason>,
    /// For people.
    pub message: Option<Arc<str>>,
    /// Where it is.
    pub agent_id: Option<AgentId>,
    /// Under which executor (empty for command tasks until the agent fills it).
    pub executor_id: Option<ExecutorId>,
    /// When the sender made it.
    pub timestamp: Wall,
    /// Present: must be acknowledged.
    pub uuid: Option<UpdateUuid>,
    /// The last health verdict.
    pub healthy: Option<bool>,
    /// Since when its agent is unreachable, for UNREACHABLE and LOST by unreachability.
    pub unreachable_time: Option<Wall>,
    /// Encoded `mesos.v1.TaskStatus` holding every *other* field the sender set (data, labels, check_status,
    /// container_status, limitation); empty when there is none. The fields above win over the same fields in here.
    pub wire: Bytes,
}

/// How the master sees a task's executor.
#[derive(Clone, Debug, PartialEq)]
pub struct ExecutorSpec {
    /// Chosen by the framework; for command tasks the agent's generated executor has the task's id.
    pub executor_id: ExecutorId,
    /// The executor's own resources, allocated.
    pub resources: Resources,
    /// For people; empty when unset.
    pub name: Arc<str>,
    /// For people; empty when unset.
    pub source: Arc<str>,
    /// Whether it is the built-in default executor (task groups only).
    pub is_default: bool,
    /// Grace on SHUTDOWN, if the framework set it.
    pub shutdown_grace_period: Option<Duration>,
    /// Encoded `mesos.v1.ExecutorInfo` without its resources, so that equal executors have equal bytes.
    pub wire: Bytes,
}

/// When a task's health is probed and what follows. The defaults are Mesos's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HealthCheckSpec {
    /// From the start of the task to the first probe.
    pub delay: Duration,
    /// From the end of one probe to the start of the next.
    pub interval: Duration,
    /// A probe that takes longer failed; zero for never.
    pub timeout: Duration,
    /// So many failures in a row kill the task (0 counts as 1).
    pub consecutive_failures: u32,
    /// Failures within this time from the start do not count before the first success.
    pub grace_period: Duration,
}

impl Default for HealthCheckSpec {
    fn default() -> Self {
        HealthCheckSpec {
            delay: Duration::from_secs(15),
            interval: Duration::from_secs(10),
            timeout: Duration::from_secs(20),
            consecutive_failures: 3,
            grace_period: Duration::from_secs(10),
        }
    }
}

/// When a task is checked (`TaskInfo.check`); a check only reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckSpec {
    /// From the start of the task to the first probe.
    pub delay: Duration,
    /// From the end of one probe to the start of the next.
    pub interval: Duration,
    /// A probe that takes longer failed; zero for never.
    pub timeout: Duration,
    /// Encoded `mesos.v1.TaskStatus` with nothing but an empty `check_status` of the check's type: what updates carry
    /// before the first result.
    pub initial_status: Bytes,
}

/// A task as launched: what the cores decide on, and the whole `TaskInfo`.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskSpec {
    /// Chosen by the framework, unique among its live tasks.
    pub task_id: TaskId,
    /// For people.
    pub name: Arc<str>,
    /// The agent the framework names.
    pub agent_id: AgentId,
    /// Allocated resources of the task itself (not of its executor).
    pub resources: Resources,
    /// A custom executor; `None` for a command task.
    pub executor: Option<ExecutorSpec>,
    /// Whether `TaskInfo.command` is set.
    pub has_command: bool,
    /// `kill_policy.grace_period`, if set.
    pub kill_grace: Option<Duration>,
    /// `max_completion_time`, if set.
    pub max_completion_time: Option<Duration>,
    /// Whether any `limits` are set.
    pub has_limits: bool,
    /// `health_check`, if set: its times; what a probe does stays in `wire`.
    pub health_check: Option<HealthCheckSpec>,
    /// `check`, if set.
    pub check: Option<CheckSpec>,
    /// The first structural fault found by the shell (text of mesos-master 4.8), to be answered TASK_ERROR in order.
    pub invalid: Option<Arc<str>>,
    /// Encoded `mesos.v1.TaskInfo`.
    pub wire: Bytes,
    /// Encoded `mesos.v1.Task` holding only the fields the master keeps beyond those above (labels, discovery,
    /// container, health_check, kill_policy, limits, user).
    pub kept: Bytes,
}

/// A framework's capabilities that change what the cores do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // the names are the wire's
pub struct Capabilities {
    pub revocable_resources: bool,
    pub task_killing_state: bool,
    pub gpu_resources: bool,
    pub shared_resources: bool,
    pub partition_aware: bool,
    pub multi_role: bool,
    pub reservation_refinement: bool,
    pub region_aware: bool,
}

/// A framework as it described itself.
#[derive(Clone, Debug, PartialEq)]
pub struct FrameworkSpec {
    /// `None` or assigned before it reaches the allocator.
    pub id: Option<FrameworkId>,
    /// For people.
    pub name: Arc<str>,
    /// Unix user tasks run as unless they name one.
    pub user: Arc<str>,
    /// Its roles, sorted, without duplicates (one element unless MULTI_ROLE).
    pub roles: Vec<Role>,
    /// What it understands.
    pub capabilities: Capabilities,
    /// How long its tasks outlive its connection.
    pub failover_timeout: Duration,
    /// Whether agents checkpoint its executors.
    pub checkpoint: bool,
    /// Display and authorisation.
    pub principal: Option<Arc<str>>,
    /// Encoded `mesos.v1.FrameworkInfo` (with `id` once it is known).
    pub wire: Bytes,
}

/// A task as an agent reports it on re-registration.
#[derive(Clone, Debug, PartialEq)]
pub struct ReportedTask {
    /// Whose.
    pub framework_id: FrameworkId,
    /// Which.
    pub task_id: TaskId,
    /// For people.
    pub name: Arc<str>,
    /// `None` for a command task.
    pub executor_id: Option<ExecutorId>,
    /// Allocated resources.
    pub resources: Resources,
    /// The newest state the agent knows.
    pub state: TaskState,
    /// The state of the update at the head of its stream, if one is unacknowledged.
    pub status_update_state: Option<TaskState>,
    /// The uuid of that update.
    pub status_update_uuid: Option<UpdateUuid>,
    /// One per run of equal states, oldest first.
    pub statuses: Vec<TaskStatus>,
    /// As `TaskSpec::kept`.
    pub kept: Bytes,
}

/// An executor as an agent reports it on re-registration (not the generated ones of command tasks).
#[derive(Clone, Debug, PartialEq)]
pub struct ReportedExecutor {
    /// Whose.
    pub framework_id: FrameworkId,
    /// What.
    pub executor: ExecutorSpec,
}

/// A container's id and, when it is nested, its parents'.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerPath {
    /// From the outermost to the container itself; never empty.
    pub ids: Vec<ContainerId>,
}
