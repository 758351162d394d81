//! What the agent's core keeps per framework, executor and task.
//!
//! Plain data with the few operations that touch nothing else. Written by the core's steps only.

use crate::health::Health;
use crate::io::{ExecutorState, KillCause, ProbeId, StreamId, TaskPlace, TaskView};
use bytes::Bytes;
use meseta_types::task::{ExecutorSpec, FrameworkSpec, Reason, TaskSpec, TaskStatus};
use meseta_types::{AgentId, ContainerId, ExecutorId, FrameworkId, Mono, Resources, TaskId, TaskState};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Statuses kept per task; one per run of equal states, so only a task that goes back and forth gets here.
const STATUSES_MAX: usize = 64;
/// Completed tasks kept per executor (Mesos: MAX_COMPLETED_TASKS_PER_EXECUTOR).
const COMPLETED_TASKS_MAX: usize = 200;

/// A framework with something on this agent.
#[derive(Debug)]
pub(crate) struct Framework {
    pub(crate) id: FrameworkId,
    pub(crate) spec: Arc<FrameworkSpec>,
    /// The master ordered its end: no updates, no launches.
    pub(crate) terminating: bool,
    /// Whether the log knows it.
    pub(crate) recorded: bool,
    pub(crate) executors: BTreeMap<ExecutorId, Executor>,
    /// Where each task that is not completed is.
    pub(crate) tasks: BTreeMap<TaskId, ExecutorId>,
    pub(crate) completed: VecDeque<Arc<crate::io::ExecutorView>>,
}

impl Framework {
    pub(crate) fn new(id: FrameworkId, spec: Arc<FrameworkSpec>) -> Framework {
        Framework {
            id,
            spec,
            terminating: false,
            recorded: false,
            executors: BTreeMap::new(),
            tasks: BTreeMap::new(),
            completed: VecDeque::new(),
        }
    }

    /// The state of a task that is not there: frameworks which cannot tell lost from gone get LOST.
    pub(crate) fn dropped_state(&self) -> TaskState {
        self.if_aware(TaskState::Dropped)
    }

    /// The state of a task that was there and is not any more.
    pub(crate) fn gone_state(&self) -> TaskState {
        self.if_aware(TaskState::Gone)
    }

    fn if_aware(&self, state: TaskState) -> TaskState {
        if self.spec.capabilities.partition_aware {
            state
        } else {
            TaskState::Lost
        }
    }

    pub(crate) fn task(&self, id: &TaskId) -> Option<&Task> {
        self.executors.get(self.tasks.get(id)?)?.tasks.get(id)
    }

    pub(crate) fn task_mut(&mut self, id: &TaskId) -> Option<&mut Task> {
        self.executors.get_mut(self.tasks.get(id)?)?.tasks.get_mut(id)
    }

    /// The last view of a task that completed here lately.
    pub(crate) fn completed_task(&self, id: &TaskId) -> Option<&Arc<TaskView>> {
        let live = self.executors.values().flat_map(|e| e.completed.iter());
        let ended = self.completed.iter().flat_map(|e| e.completed_tasks.iter());
        live.chain(ended).rev().find(|t| t.spec.task_id == *id)
    }
}

/// How far a container is on this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    /// Its record is not durable yet.
    Waiting,
    /// The containerizer was told to launch it.
    Starting,
    /// It runs.
    Up,
    /// It ended, or never started.
    Gone,
}

/// How the agent already knows that an executor's tasks will have ended, while its container is being destroyed.
#[derive(Clone, Debug)]
pub(crate) struct PendingEnd {
    pub(crate) state: TaskState,
    pub(crate) reason: Reason,
    pub(crate) message: Arc<str>,
}

/// What an executor says when it subscribes.
#[derive(Clone, Debug)]
pub(crate) struct Subscription {
    pub(crate) stream: StreamId,
    pub(crate) tasks: Vec<TaskId>,
    pub(crate) updates: Vec<TaskStatus>,
}

/// A resize under way.
#[derive(Clone, Debug, Default)]
pub(crate) struct Resize {
    /// Tasks to be delivered when it succeeded.
    pub(crate) deliver: Vec<TaskId>,
    /// Something changed meanwhile: resize once more.
    pub(crate) again: bool,
}

/// An executor and its container.
#[derive(Debug)]
pub(crate) struct Executor {
    pub(crate) spec: Arc<ExecutorSpec>,
    /// The agent is the executor itself (command task).
    pub(crate) generated: bool,
    pub(crate) container: ContainerId,
    pub(crate) state: ExecutorState,
    pub(crate) host: Host,
    pub(crate) pid: Option<u32>,
    pub(crate) container_status: Bytes,
    pub(crate) stream: Option<StreamId>,
    /// A subscription that came before the launch of its container was reported.
    pub(crate) early: Option<Subscription>,
    pub(crate) tasks: BTreeMap<TaskId, Task>,
    /// Queued tasks whose records are durable, in the order of their arrival.
    pub(crate) queue: VecDeque<TaskId>,
    pub(crate) resize: Option<Resize>,
    /// Whether it was ever given a task.
    pub(crate) delivered: bool,
    pub(crate) pending_end: Option<PendingEnd>,
    pub(crate) completed: VecDeque<Arc<TaskView>>,
}

impl Executor {
    pub(crate) fn new(spec: Arc<ExecutorSpec>, generated: bool, container: ContainerId) -> Executor {
        Executor {
            spec,
            generated,
            container,
            state: ExecutorState::Registering,
            host: Host::Waiting,
            pid: None,
            container_status: Bytes::new(),
            stream: None,
            early: None,
            tasks: BTreeMap::new(),
            queue: VecDeque::new(),
            resize: None,
            delivered: false,
            pending_end: None,
            completed: VecDeque::new(),
        }
    }

    /// Its own resources and those of its live tasks.
    pub(crate) fn resources(&self) -> Resources {
        let mut sum = self.spec.resources.clone();
        for task in self.tasks.values().filter(|t| !t.state.is_terminal()) {
            sum += &task.spec.resources;
        }
        sum
    }

    pub(crate) fn is_ending(&self) -> bool {
        matches!(self.state, ExecutorState::Terminating | ExecutorState::Terminated)
    }

    /// Moves a task to the ring of completed ones.
    pub(crate) fn complete(&mut self, id: &TaskId) {
        let Some(mut task) = self.tasks.remove(id) else {
            return;
        };
        task.place = TaskPlace::Completed;
        if self.completed.len() >= COMPLETED_TASKS_MAX {
            self.completed.pop_front();
        }
        self.completed.push_back(Arc::new(task.view(None)));
    }
}

/// A kill that was ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kill {
    pub(crate) cause: KillCause,
    /// When it was first ordered: a later order may only shorten the grace counted from here.
    pub(crate) ordered: Mono,
    /// When SIGKILL is due.
    pub(crate) deadline: Mono,
}

/// A check that reports (`TaskInfo.check`).
#[derive(Clone, Debug)]
pub(crate) struct Check {
    /// The last `check_status`.
    pub(crate) last: Bytes,
}

/// A task.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) spec: Arc<TaskSpec>,
    pub(crate) place: TaskPlace,
    pub(crate) state: TaskState,
    pub(crate) statuses: Vec<TaskStatus>,
    pub(crate) kill: Option<Kill>,
    pub(crate) health: Option<Health>,
    pub(crate) check: Option<Check>,
    /// Probes under way: health, check.
    pub(crate) probes: [Option<ProbeId>; 2],
}

impl Task {
    pub(crate) fn new(spec: Arc<TaskSpec>) -> Task {
        let check = spec.check.as_ref().map(|c| Check {
            last: c.initial_status.clone(),
        });
        Task {
            spec,
            place: TaskPlace::Queued,
            state: TaskState::Staging,
            statuses: Vec::new(),
            kill: None,
            health: None,
            check,
            probes: [None, None],
        }
    }

    /// Takes a newer status in: it replaces the last one of the same state.
    pub(crate) fn note(&mut self, status: &TaskStatus) {
        self.state = status.state;
        match self.statuses.last_mut() {
            Some(last) if last.state == status.state => *last = status.clone(),
            _ => self.statuses.push(status.clone()),
        }
        if self.statuses.len() > STATUSES_MAX {
            self.statuses.remove(0);
        }
    }

    pub(crate) fn last_healthy(&self) -> Option<bool> {
        self.statuses.last().and_then(|s| s.healthy)
    }

    pub(crate) fn view(&self, head: Option<(TaskState, meseta_types::UpdateUuid)>) -> TaskView {
        TaskView {
            spec: self.spec.clone(),
            place: self.place,
            state: self.state,
            statuses: self.statuses.clone(),
            head,
        }
    }
}

/// A sandbox of an ended container.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sandbox {
    pub(crate) framework_id: FrameworkId,
    pub(crate) executor_id: ExecutorId,
    pub(crate) container_id: ContainerId,
    pub(crate) ended: meseta_types::Wall,
    /// Its deletion is under way.
    pub(crate) removing: bool,
}

/// The folder of an id this work directory had before.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct OldAgent {
    pub(crate) agent_id: AgentId,
    pub(crate) since: meseta_types::Wall,
    pub(crate) removing: bool,
}
