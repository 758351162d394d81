//! What readers may look at: immutable snapshots of the agent's core.
//!
//! Made by `AgentCore::view` on demand; handlers read them and never ask the core.

use bytes::Bytes;
use meseta_types::link::AgentSpec;
use meseta_types::task::{ExecutorSpec, FrameworkSpec, TaskSpec, TaskStatus};
use meseta_types::{ContainerId, FrameworkId, Resources, TaskState, UpdateUuid};
use std::sync::Arc;
use std::time::Duration;

/// What readers may look at: an immutable snapshot.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    /// The agent; with its id once it is known.
    pub agent: Arc<AgentSpec>,
    /// What it is doing.
    pub phase: AgentPhase,
    /// The master it is registered with.
    pub master: Option<Arc<str>>,
    /// Whether it is registered.
    pub registered: bool,
    /// Frameworks with executors or tasks here, by id.
    pub frameworks: Vec<FrameworkView>,
    /// Frameworks that are done here, oldest first (at most 50).
    pub completed_frameworks: Vec<Arc<FrameworkView>>,
    /// Resources of all executors and live tasks together.
    pub used: Resources,
    /// Counters since the start.
    pub counters: Counters,
    /// Age at which sandboxes are deleted now.
    pub max_sandbox_age: Duration,
    /// Sandboxes waiting for their deletion.
    pub gc_pending: usize,
}

/// Life of the agent itself (mesos-agent 1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgentPhase {
    /// Before `Input::Recover`: API calls answer 503.
    Recovering,
    /// Waiting for the executors of its last life, or for a master.
    Disconnected,
    /// Registered.
    Running,
    /// Ending.
    Terminating,
}

/// A framework on this agent.
#[derive(Clone, Debug, PartialEq)]
pub struct FrameworkView {
    /// As it described itself.
    pub spec: Arc<FrameworkSpec>,
    /// Its id.
    pub id: FrameworkId,
    /// Its executors, by id.
    pub executors: Vec<ExecutorView>,
    /// Its ended executors, oldest first (at most 150).
    pub completed_executors: Vec<Arc<ExecutorView>>,
}

/// Life of an executor (mesos-agent 1.9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExecutorState {
    /// Its container is being started, or it has not subscribed yet.
    Registering,
    /// It takes tasks.
    Running,
    /// It was told to end.
    Terminating,
    /// Its container is gone; updates wait for acknowledgements.
    Terminated,
}

/// An executor.
#[derive(Clone, Debug, PartialEq)]
pub struct ExecutorView {
    /// What; `wire` and `name` are empty for a generated one.
    pub spec: Arc<ExecutorSpec>,
    /// Whether it was generated for a command task.
    pub generated: bool,
    /// Its container.
    pub container_id: ContainerId,
    /// Its state.
    pub state: ExecutorState,
    /// Process id of the container's first process, once it runs.
    pub pid: Option<u32>,
    /// As in `LaunchInfo`.
    pub container_status: Bytes,
    /// Its own resources and those of its live tasks.
    pub resources: Resources,
    /// Its tasks, by id.
    pub tasks: Vec<TaskView>,
    /// Its completed tasks, oldest first (at most 200).
    pub completed_tasks: Vec<Arc<TaskView>>,
}

/// Where a task is on its way (mesos-agent 1.9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskPlace {
    /// Its executor is not ready.
    Queued,
    /// Its executor has it.
    Launched,
    /// It ended, the last update is not acknowledged.
    Terminated,
    /// All over.
    Completed,
}

/// A task.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskView {
    /// What.
    pub spec: Arc<TaskSpec>,
    /// Where on its way.
    pub place: TaskPlace,
    /// Its newest state.
    pub state: TaskState,
    /// One per run of equal states, oldest first.
    pub statuses: Vec<TaskStatus>,
    /// State and uuid of the update at the head of its stream.
    pub head: Option<(TaskState, UpdateUuid)>,
}

impl TaskView {
    /// State and uuid of the update that was told last, whether it is acknowledged or not.
    pub fn told(&self) -> Option<(TaskState, UpdateUuid)> {
        let last = || self.statuses.last().and_then(|s| Some((s.state, s.uuid?)));
        self.head.or_else(last)
    }
}

/// Counters since the start of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // names as in the metrics `slave/<name>`
pub struct Counters {
    pub tasks_finished: u64,
    pub tasks_failed: u64,
    pub tasks_killed: u64,
    pub tasks_lost: u64,
    pub tasks_gone: u64,
    pub valid_status_updates: u64,
    pub invalid_status_updates: u64,
    pub valid_framework_messages: u64,
    pub invalid_framework_messages: u64,
    pub executors_terminated: u64,
    pub executors_preempted: u64,
    pub container_launch_errors: u64,
    pub recovery_errors: u64,
    pub path_removals_succeeded: u64,
    pub path_removals_failed: u64,
    /// Updates sent again for want of an acknowledgement (ours).
    pub update_retries: u64,
    /// Messages and inputs that did not fit the state and were ignored (ours).
    pub ignored_inputs: u64,
    /// Broken invariants found (ours; must be 0).
    pub broken: u64,
}
