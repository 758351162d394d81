//! Custom executors of the simulated world: processes in containers that speak the executor API to their agent.

use crate::host::HostEvent;
use crate::marks::Mark;
use crate::script::Script;
use crate::world::{Event, World};
use meseta_agent_core::{
    ExecutorCall, ExecutorEvent as FromAgent, ExecutorRefusal, Input, RequestId, StreamId, Termination,
};
use meseta_types::task::{Source, TaskStatus};
use meseta_types::{ContainerId, ExecutorId, FrameworkId, TaskId, TaskState, UpdateUuid, Wall};
use std::collections::BTreeMap;
use std::time::Duration;

/// Something that happens to an executor.
#[derive(Debug)]
pub(crate) enum ExecutorEvent {
    /// It tries to subscribe.
    Subscribe,
    /// Its agent said something over this stream.
    Hears(StreamId, FromAgent),
    /// A task of it ends by itself.
    TaskEnds(TaskId),
    /// It exits.
    Exits,
}

/// A task of an executor.
#[derive(Clone, Copy, Debug)]
struct Work {
    script: Script,
    ended: bool,
}

/// An executor's process.
#[derive(Debug)]
pub(crate) struct Process {
    framework_id: FrameworkId,
    executor_id: ExecutorId,
    checkpoint: bool,
    stream: Option<StreamId>,
    tasks: BTreeMap<TaskId, Work>,
    unacknowledged: Vec<TaskStatus>,
    /// Tasks of which no update was acknowledged.
    fresh: Vec<TaskId>,
    exiting: bool,
}

/// The executors of one host.
#[derive(Debug, Default)]
pub(crate) struct Executors {
    processes: BTreeMap<ContainerId, Process>,
    streams: BTreeMap<StreamId, ContainerId>,
    requests: BTreeMap<RequestId, ContainerId>,
    numbers: u64,
}

impl Executors {
    pub(crate) fn live_tasks(&self) -> impl Iterator<Item = (&FrameworkId, &TaskId)> {
        self.processes.values().flat_map(|p| {
            let live = p.tasks.iter().filter(|(_, w)| !w.ended);
            live.map(|(id, _)| (&p.framework_id, id))
        })
    }

    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }
}

impl World {
    pub(crate) fn executor_begins(&mut self, i: usize, id: &ContainerId) {
        let Some(container) = self.agents[i].host.containers.get(id) else {
            return;
        };
        let Some(framework_id) = container.framework_id().cloned() else {
            return;
        };
        let process = Process {
            framework_id,
            executor_id: container.order.executor.executor_id.clone(),
            checkpoint: container.order.framework.checkpoint,
            stream: None,
            tasks: BTreeMap::new(),
            unacknowledged: Vec::new(),
            fresh: Vec::new(),
            exiting: false,
        };
        let executors = &mut self.agents[i].executors;
        if executors.processes.contains_key(id) {
            return;
        }
        executors.processes.insert(id.clone(), process);
        let event = ExecutorEvent::Subscribe;
        self.at(Duration::from_millis(30), Event::Executor(i, id.clone(), event));
    }

    pub(crate) fn executor_ends(&mut self, i: usize, id: &ContainerId) {
        self.agents[i].executors.processes.remove(id);
    }

    /// The agent's process is gone: its executors notice, and try to come back or end.
    pub(crate) fn executors_lose_agent(&mut self, i: usize) {
        let node = &mut self.agents[i];
        node.executors.streams.clear();
        node.executors.requests.clear();
        let mut next = Vec::new();
        for (id, process) in &mut node.executors.processes {
            process.stream = None;
            let event = if process.checkpoint {
                ExecutorEvent::Subscribe
            } else {
                ExecutorEvent::Exits
            };
            let wait = node.random.duration_below(Duration::from_millis(2200));
            next.push((wait, id.clone(), event));
        }
        // A container whose launch the crash completed has a process too.
        let running: Vec<ContainerId> = node
            .host
            .containers
            .iter()
            .filter(|(_, c)| c.command_task().is_none() && c.phase == crate::host::Phase::Running)
            .map(|(id, _)| id.clone())
            .collect();
        for id in running {
            self.executor_begins(i, &id);
        }
        for (wait, id, event) in next {
            self.at(wait, Event::Executor(i, id, event));
        }
    }

    pub(crate) fn executor_event(&mut self, i: usize, id: &ContainerId, event: ExecutorEvent) {
        match event {
            ExecutorEvent::Subscribe => self.executor_subscribes(i, id),
            ExecutorEvent::Hears(stream, event) => self.executor_hears(i, id, stream, event),
            ExecutorEvent::TaskEnds(task) => {
                self.work_ends(i, id, &task, TaskState::Finished);
            }
            ExecutorEvent::Exits => {
                let event = HostEvent::Ends(id.clone(), 0);
                self.at(Duration::ZERO, Event::Host(i, event));
            }
        }
    }

    fn executor_subscribes(&mut self, i: usize, id: &ContainerId) {
        let node = &mut self.agents[i];
        let life = node.life;
        let up = node.core.is_some();
        let number = node.executors.number();
        let Some(process) = node.executors.processes.get_mut(id) else {
            return;
        };
        if process.stream.is_some() || process.exiting {
            return;
        }
        if !up {
            let wait = node.random.duration_below(Duration::from_millis(1500));
            let event = ExecutorEvent::Subscribe;
            return self.at(wait, Event::Executor(i, id.clone(), event));
        }
        let (request, stream) = (RequestId(number), StreamId(number));
        process.stream = Some(stream);
        let input = Input::ExecutorCall {
            request,
            framework_id: process.framework_id.clone(),
            executor_id: process.executor_id.clone(),
            call: ExecutorCall::Subscribe {
                stream,
                unacknowledged_tasks: process.fresh.clone(),
                unacknowledged_updates: process.unacknowledged.clone(),
            },
        };
        node.executors.streams.insert(stream, id.clone());
        node.executors.requests.insert(request, id.clone());
        self.at(Duration::from_micros(400), Event::Agent(i, life, input));
    }

    pub(crate) fn executor_answered(
        &mut self,
        i: usize,
        request: RequestId,
        answer: Result<(), ExecutorRefusal>,
    ) {
        let Some(id) = self.agents[i].executors.requests.remove(&request) else {
            return;
        };
        if answer.is_ok() {
            return;
        }
        if let Some(process) = self.agents[i].executors.processes.get_mut(&id) {
            process.stream = None;
        }
        let event = ExecutorEvent::Subscribe;
        self.at(Duration::from_millis(500), Event::Executor(i, id, event));
    }

    pub(crate) fn send_to_executor(&mut self, i: usize, stream: StreamId, event: FromAgent) {
        if let Some(id) = self.agents[i].executors.streams.get(&stream).cloned() {
            let event = ExecutorEvent::Hears(stream, event);
            self.at(Duration::from_micros(500), Event::Executor(i, id, event));
        }
    }

    pub(crate) fn executor_closed(&mut self, i: usize, stream: StreamId) {
        self.agents[i].executors.streams.remove(&stream);
    }

    fn executor_hears(&mut self, i: usize, id: &ContainerId, stream: StreamId, event: FromAgent) {
        let Some(process) = self.agents[i].executors.processes.get_mut(id) else {
            return;
        };
        if process.stream != Some(stream) {
            return;
        }
        match event {
            FromAgent::Subscribed { .. } | FromAgent::Message(_) => {}
            FromAgent::Launch(task) => {
                let Some(script) = Script::decode(&task.wire) else {
                    return self.fail("a task without a script");
                };
                let work = Work { script, ended: false };
                let task_id = task.task_id.clone();
                if process.tasks.insert(task_id.clone(), work).is_some() {
                    return self.fail(format!("agent {i}: task {task_id} was launched twice"));
                }
                process.fresh.push(task_id.clone());
                self.tell(i, id, &task_id, TaskState::Running);
                if let Some(time) = script.run {
                    let event = ExecutorEvent::TaskEnds(task_id);
                    self.at(time, Event::Executor(i, id.clone(), event));
                }
            }
            FromAgent::Kill { task_id, .. } => self.work_ends(i, id, &task_id, TaskState::Killed),
            FromAgent::Acknowledged { task_id, uuid } => {
                process.unacknowledged.retain(|s| s.uuid != Some(uuid));
                process.fresh.retain(|t| *t != task_id);
            }
            FromAgent::Shutdown => {
                process.exiting = true;
                let tasks: Vec<TaskId> = process.tasks.keys().cloned().collect();
                for task in tasks {
                    self.work_ends(i, id, &task, TaskState::Killed);
                }
                let event = ExecutorEvent::Exits;
                self.at(Duration::from_millis(200), Event::Executor(i, id.clone(), event));
            }
        }
    }

    fn work_ends(&mut self, i: usize, id: &ContainerId, task: &TaskId, state: TaskState) {
        let Some(process) = self.agents[i].executors.processes.get_mut(id) else {
            return;
        };
        let Some(work) = process.tasks.get_mut(task).filter(|w| !w.ended) else {
            return;
        };
        work.ended = true;
        let state = if state == TaskState::Finished && work.script.exit != 0 {
            TaskState::Failed
        } else {
            state
        };
        self.tell(i, id, task, state);
    }

    /// Sends an update, and keeps it until it is acknowledged.
    fn tell(&mut self, i: usize, id: &ContainerId, task: &TaskId, state: TaskState) {
        let node = &mut self.agents[i];
        let uuid = UpdateUuid(node.random.bytes16());
        let (life, up) = (node.life, node.core.is_some());
        let number = node.executors.number();
        let Some(process) = node.executors.processes.get_mut(id) else {
            return;
        };
        let status = TaskStatus {
            task_id: task.clone(),
            state,
            source: Source::Executor,
            reason: None,
            message: None,
            agent_id: None,
            executor_id: None,
            timestamp: Wall(i64::try_from(self.now.0).unwrap_or(0)),
            uuid: Some(uuid),
            healthy: None,
            unreachable_time: None,
            wire: Default::default(),
        };
        process.unacknowledged.push(status.clone());
        if up && process.stream.is_some() {
            let input = Input::ExecutorCall {
                request: RequestId(number),
                framework_id: process.framework_id.clone(),
                executor_id: process.executor_id.clone(),
                call: ExecutorCall::Update(status),
            };
            self.at(Duration::from_micros(600), Event::Agent(i, life, input));
        }
    }

    /// An executor process dies by itself.
    pub(crate) fn executor_dies(&mut self, i: usize) {
        let id = self.agents[i].executors.processes.keys().next().cloned();
        if let Some(id) = id {
            let termination = Termination {
                status: Some(11),
                ..Termination::default()
            };
            self.container_ends(i, &id, termination);
        }
    }

    pub(crate) fn mark_executor_lost(&mut self) {
        self.see(Mark::ExecutorLost);
    }
}
