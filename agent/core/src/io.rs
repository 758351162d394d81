//! What goes into the agent's core and what comes out of it.
//!
//! Which question lives here: the whole vocabulary between core and shell. The shell (and the simulated world)
//! turns events of the host, the supervisor, the log, the executors and the master into [`Input`]s, and carries out
//! [`Effect`]s in their order. Nothing here decides anything.
//!
//! Rules of the interface, which the shell keeps and the core relies on:
//!
//! - Effects of one step are carried out in order; those of a later step after those of an earlier one.
//! - [`Effect::Persist`] batches are appended in order; [`Input::Persisted`] says that a batch *and all before it* are
//!   durable. A shell whose disk is full retries; a shell whose fsync failed ends the process (outcome unknown).
//! - A container that was launched ends in exactly one [`Input::Exited`] (also one whose launch failed half-way after
//!   [`Input::Launched`] said `Ok`); the supervisor remembers the exit until [`Effect::Forget`].
//! - Ids of streams, requests and probes are never used twice within one life of the core.

mod view;

pub use view::*;

use bytes::Bytes;
use meseta_types::link::{AgentSpec, FromAgent, ToAgent};
use meseta_types::task::{ExecutorSpec, FrameworkSpec, Reason, TaskSpec, TaskStatus};
use meseta_types::{AgentId, ContainerId, ExecutorId, FrameworkId, Resources, TaskId, UpdateUuid, Wall};
use std::sync::Arc;
use std::time::Duration;

/// Number of one connection to a master; grows with each [`Effect::Connect`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct LinkId(pub u64);

/// Number of one batch of records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct PersistId(pub u64);

/// Number of one executor's event stream, chosen by the shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StreamId(pub u64);

/// Number of one call that waits for an answer, chosen by the shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestId(pub u64);

/// Number of one probe, chosen by the core.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProbeId(pub u64);

/// Everything that can happen to an agent.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// The first input: what the last life left behind. Empty records on a fresh work directory.
    Recover(Found),
    /// A deadline came (see `AgentCore::deadline`).
    Tick,
    /// The leading master is at this address (`host:port`), or nobody leads. Repeating the same value is harmless.
    Master(Option<Arc<str>>),
    /// The connection ordered with this id is open.
    LinkUp(LinkId),
    /// The connection could not be opened, or broke.
    LinkDown(LinkId),
    /// The master said something over this connection.
    FromMaster(LinkId, ToAgent),
    /// This batch of records, and all before it, are durable.
    Persisted(PersistId),
    /// Answer to [`Effect::Launch`].
    Launched {
        /// Which container.
        container_id: ContainerId,
        /// Whether its first process runs.
        outcome: Result<LaunchInfo, LaunchFailure>,
    },
    /// A container's first process ended, and what was left of the container is gone.
    Exited {
        /// Which container.
        container_id: ContainerId,
        /// How.
        termination: Termination,
    },
    /// Answer to [`Effect::Resize`].
    Resized {
        /// Which container.
        container_id: ContainerId,
        /// The error's text when the container could not be resized.
        outcome: Result<(), Arc<str>>,
    },
    /// The supervisor died and a new one runs: these containers survived (adopted); every other one that was launched is
    /// gone, and nothing the old one said of the lost ones comes after it. Launches without an answer are carried out by
    /// the new one, and answered as ever.
    SupervisorRestarted(Vec<FoundContainer>),
    /// Answer to [`Effect::Probe`].
    ProbeDone {
        /// Which probe.
        probe: ProbeId,
        /// What it found.
        outcome: ProbeOutcome,
    },
    /// An executor called `/api/v1/executor`; the shell has checked its form.
    ExecutorCall {
        /// To be named in [`Effect::ExecutorAnswer`].
        request: RequestId,
        /// Whose.
        framework_id: FrameworkId,
        /// From whom.
        executor_id: ExecutorId,
        /// What.
        call: ExecutorCall,
    },
    /// An executor's event stream broke or was closed by it.
    ExecutorDisconnected(StreamId),
    /// Answer to [`Effect::MeasureDisk`]: used fraction (0 to 1) of the file system of the work directory.
    DiskUsage(f64),
    /// Answer to [`Effect::Remove`]. A path that was not there counts as removed.
    Removed {
        /// Which.
        path: SandboxPath,
        /// Whether it is gone.
        gone: bool,
    },
    /// The agent shall end its tasks with grace and then itself.
    Stop {
        /// Leave the cluster (SIGUSR1): the master declares the tasks lost. Otherwise (`up` ends) the terminal updates
        /// are kept and delivered by the next life.
        unregister: bool,
    },
}

/// What the shell found when it started.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found {
    /// The log's records in order, torn tail cut off.
    pub records: Vec<Record>,
    /// The supervisor's containers, running and ended but not forgotten.
    pub containers: Vec<FoundContainer>,
    /// The kernel's boot id now.
    pub boot_id: Arc<str>,
    /// Folders of other agent ids below the work directory.
    pub old_agents: Vec<AgentId>,
}

/// A container the supervisor knows.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundContainer {
    /// Which.
    pub container_id: ContainerId,
    /// As for [`Input::Launched`].
    pub info: LaunchInfo,
    /// Set when it ended already.
    pub exit: Option<Termination>,
}

/// What is known of a started container.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LaunchInfo {
    /// Process id of its first process.
    pub pid: u32,
    /// Encoded `mesos.v1.TaskStatus` with nothing but `container_status` (container id, network infos, `executor_pid`).
    pub container_status: Bytes,
}

/// Why a container did not start.
#[derive(Clone, Debug, PartialEq)]
pub enum LaunchFailure {
    /// The sandbox could not be made (`Failed to create executor directory '...': ...`): the task never started.
    Sandbox(Arc<str>),
    /// Anything later; the text follows `Failed to launch container: `.
    Launch(Arc<str>),
}

/// How a container ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Termination {
    /// Raw wait status of the first process; `None` when nobody saw it.
    pub status: Option<i32>,
    /// The containerizer's own word, for example why it destroyed the container.
    pub message: Option<Arc<str>>,
    /// A limit it ran into.
    pub limitation: Option<Limitation>,
}

/// A resource limit a container ran into.
#[derive(Clone, Debug, PartialEq)]
pub struct Limitation {
    /// `CONTAINER_LIMITATION_MEMORY` and the like.
    pub reason: Reason,
    /// `Memory limit exceeded: ...`.
    pub message: Arc<str>,
    /// Encoded `mesos.v1.TaskStatus` with nothing but `limitation`; may be empty.
    pub wire: Bytes,
}

/// Which of a task's probes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProbeKind {
    /// `TaskInfo.health_check`.
    Health,
    /// `TaskInfo.check`.
    Check,
}

/// What a probe found.
#[derive(Clone, Debug, PartialEq)]
pub enum ProbeOutcome {
    /// The health check passed.
    Passed,
    /// The health check failed or took too long; the text is for the log.
    Failed(Arc<str>),
    /// It could not be run for reasons that are not the task's: counts for nothing.
    Skipped,
    /// What a check saw: encoded `mesos.v1.TaskStatus` with nothing but `check_status` (an empty status of its type when
    /// the probe failed or took too long).
    Observed(Bytes),
}

/// A call of an executor.
#[derive(Clone, Debug, PartialEq)]
pub enum ExecutorCall {
    /// SUBSCRIBE; its events go to `stream`.
    Subscribe {
        /// The answer's body.
        stream: StreamId,
        /// Tasks it was given and of which no update was acknowledged.
        unacknowledged_tasks: Vec<TaskId>,
        /// Updates not acknowledged.
        unacknowledged_updates: Vec<TaskStatus>,
    },
    /// UPDATE: `uuid` is set, the state is not STAGING, the source is EXECUTOR.
    Update(TaskStatus),
    /// MESSAGE.
    Message(Bytes),
}

/// Why an executor's call is refused. The texts are the wire's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExecutorRefusal {
    /// 503.
    #[error("Agent has not finished recovery")]
    Recovering,
    /// 400.
    #[error("Framework cannot be found")]
    UnknownFramework,
    /// 400.
    #[error("Executor cannot be found")]
    UnknownExecutor,
    /// 403.
    #[error("Executor is not subscribed")]
    NotSubscribed,
}

impl ExecutorRefusal {
    /// The HTTP status it is answered with.
    pub fn http_status(self) -> u16 {
        match self {
            ExecutorRefusal::Recovering => 503,
            ExecutorRefusal::UnknownFramework | ExecutorRefusal::UnknownExecutor => 400,
            ExecutorRefusal::NotSubscribed => 403,
        }
    }
}

/// An event for an executor. HEARTBEAT is the shell's: every 30 minutes per stream.
#[derive(Clone, Debug, PartialEq)]
pub enum ExecutorEvent {
    /// SUBSCRIBED.
    Subscribed {
        /// The framework.
        framework: Arc<FrameworkSpec>,
        /// The executor.
        executor: Arc<ExecutorSpec>,
        /// The agent, with its id.
        agent: Arc<AgentSpec>,
        /// Its container.
        container_id: ContainerId,
    },
    /// LAUNCH.
    Launch(Arc<TaskSpec>),
    /// KILL.
    Kill {
        /// Which task.
        task_id: TaskId,
        /// Encoded `mesos.v1.KillPolicy`; empty for none.
        kill_policy: Bytes,
    },
    /// ACKNOWLEDGED: the update is durable here.
    Acknowledged {
        /// Which task.
        task_id: TaskId,
        /// Which update.
        uuid: UpdateUuid,
    },
    /// MESSAGE.
    Message(Bytes),
    /// SHUTDOWN.
    Shutdown,
}

/// Everything the shell does for the core.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Open a connection to the master at this address and answer [`Input::LinkUp`] or [`Input::LinkDown`].
    Connect {
        /// Its number.
        link: LinkId,
        /// `host:port`.
        master: Arc<str>,
    },
    /// Close this connection if it is still open; nothing of it is told any more.
    Disconnect(LinkId),
    /// Send over the open connection.
    Send(FromAgent),
    /// Append these records and make them durable, then answer [`Input::Persisted`].
    Persist {
        /// Its number.
        id: PersistId,
        /// The records, in order; never empty.
        records: Vec<Record>,
    },
    /// Make the sandbox, fetch, isolate and start a container; answer [`Input::Launched`].
    Launch(Arc<LaunchOrder>),
    /// Send SIGTERM to every process of the container.
    Terminate(ContainerId),
    /// Kill (SIGKILL) everything of the container, also while it is being launched. It ends in [`Input::Exited`], or in
    /// [`Input::Launched`] with a failure when it had not started.
    Destroy(ContainerId),
    /// The end of this container is recorded here: the supervisor may forget it.
    Forget(ContainerId),
    /// Set the container to these resources; answer [`Input::Resized`].
    Resize {
        /// Which container.
        container_id: ContainerId,
        /// Executor and live tasks together.
        resources: Resources,
    },
    /// Run one probe now; answer [`Input::ProbeDone`].
    Probe(ProbeOrder),
    /// Its answer does not matter any more.
    CancelProbe(ProbeId),
    /// Answer an executor's call: 202 (for SUBSCRIBE: 200 and the stream) or the refusal.
    ExecutorAnswer {
        /// Which call.
        request: RequestId,
        /// The answer.
        answer: Result<(), ExecutorRefusal>,
    },
    /// Write an event to an executor's stream.
    ToExecutor(StreamId, ExecutorEvent),
    /// End an executor's stream properly (last chunk).
    CloseExecutor(StreamId),
    /// Measure the file system of the work directory; answer [`Input::DiskUsage`].
    MeasureDisk,
    /// Delete a folder for good, then its parent folders as far as they are empty; answer [`Input::Removed`].
    Remove(SandboxPath),
    /// Something an operator should be able to see.
    Notice(Level, Arc<str>),
    /// The process ends.
    Exit(ExitReason),
}

/// How loud a [`Effect::Notice`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Ordinary.
    Info,
    /// Somebody should look.
    Warn,
    /// Something is broken.
    Error,
}

/// Why the agent's process ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExitReason {
    /// All containers ended after [`Input::Stop`] or after the master's Shutdown (its message).
    Stopped(Option<Arc<str>>),
    /// What is checkpointed and what is configured or answered do not fit; the text tells the operator what to do.
    Incompatible(Arc<str>),
}

/// A container to start.
#[derive(Clone, Debug, PartialEq)]
pub struct LaunchOrder {
    /// Its id.
    pub container_id: ContainerId,
    /// This agent.
    pub agent_id: AgentId,
    /// Whose. Its user is the default user, its `checkpoint` decides on `MESOS_CHECKPOINT`.
    pub framework: Arc<FrameworkSpec>,
    /// Its executor. For a command task the generated one: id of the task, `wire` and `name` empty (the shell renders them
    /// from the task).
    pub executor: Arc<ExecutorSpec>,
    /// The command task whose command the container runs; `None`: the executor's own command.
    pub command_task: Option<Arc<TaskSpec>>,
    /// What the container gets at first: executor and first tasks.
    pub resources: Resources,
}

/// A probe to run.
#[derive(Clone, Debug, PartialEq)]
pub struct ProbeOrder {
    /// Its number.
    pub probe: ProbeId,
    /// Where.
    pub container_id: ContainerId,
    /// The task; the check's description is in its `wire`.
    pub task: Arc<TaskSpec>,
    /// Which of its checks.
    pub kind: ProbeKind,
    /// After this long the shell kills the probe and answers a failure; `None`: never.
    pub timeout: Option<Duration>,
}

/// A folder that the core may have deleted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SandboxPath {
    /// `slaves/AID/frameworks/FID/executors/EID/runs/CID`.
    Run {
        /// Whose.
        framework_id: FrameworkId,
        /// Which executor.
        executor_id: ExecutorId,
        /// Which run.
        container_id: ContainerId,
    },
    /// `slaves/AID` of an id this work directory had before.
    Agent(AgentId),
}

/// A line of the agent's log: what a later life must know. Only checkpointing frameworks are recorded.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// The host's boot id from here on.
    Boot(Arc<str>),
    /// This agent as it is registered; a later one replaces it.
    Agent(AgentSpec),
    /// A framework with something here; a later one replaces it.
    Framework(FrameworkSpec),
    /// A framework was removed, with everything of it.
    FrameworkGone(FrameworkId),
    /// An executor is about to be launched.
    Executor {
        /// Whose.
        framework_id: FrameworkId,
        /// What.
        executor: ExecutorSpec,
        /// Its container.
        container_id: ContainerId,
        /// Whether it was generated for a command task.
        generated: bool,
    },
    /// An executor of a framework without checkpoints is about to be launched: only its sandbox outlives the agent.
    Sandbox {
        /// Whose.
        framework_id: FrameworkId,
        /// Which.
        executor_id: ExecutorId,
        /// Its container.
        container_id: ContainerId,
    },
    /// The container ended; its sandbox stays until [`Record::SandboxGone`].
    ExecutorGone {
        /// Whose.
        framework_id: FrameworkId,
        /// Which.
        executor_id: ExecutorId,
        /// Its container.
        container_id: ContainerId,
        /// When.
        ended: Wall,
    },
    /// The sandbox was deleted.
    SandboxGone(ContainerId),
    /// A task was accepted for an executor.
    Task {
        /// Whose.
        framework_id: FrameworkId,
        /// Its executor (its own id for a command task).
        executor_id: ExecutorId,
        /// What.
        task: TaskSpec,
    },
    /// A kill was ordered: however the task ends, it was killed.
    Kill {
        /// Whose.
        framework_id: FrameworkId,
        /// Which.
        task_id: TaskId,
        /// What the task's end will mean.
        cause: KillCause,
        /// When SIGKILL is due.
        deadline: Wall,
    },
    /// An update entered its stream.
    Update {
        /// Whose.
        framework_id: FrameworkId,
        /// The status, with uuid and agent id.
        status: TaskStatus,
    },
    /// The head of a stream was acknowledged; the acknowledgement of a terminal one completes the task.
    Ack {
        /// Whose.
        framework_id: FrameworkId,
        /// Which task.
        task_id: TaskId,
        /// Which update.
        uuid: UpdateUuid,
    },
}

/// Why a task is being killed: decides on its last status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum KillCause {
    /// The framework or an operator asked: TASK_KILLED.
    Asked,
    /// Too many failed health checks: TASK_KILLED with `healthy=false`.
    Unhealthy,
    /// It ran longer than it may: TASK_FAILED, REASON_MAX_COMPLETION_TIME_REACHED.
    MaxCompletionTime,
}

/// What `deadline()` waits for, for logs and tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimerKind {
    /// Connect or register again.
    Link,
    /// The master has not pinged for too long.
    Ping,
    /// Send an update again.
    UpdateRetry,
    /// An executor did not register in time, or has to be destroyed after its grace.
    Executor,
    /// A command task: kill escalation, completion time, probes.
    Task,
    /// Recovered executors did not come back in time.
    Reregistration,
    /// Sandbox collection, disk watch.
    Gc,
}

/// An invariant does not hold: our fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("broken invariant: {0}")]
pub struct Broken(pub String);
