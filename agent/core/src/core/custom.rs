//! Executors of frameworks: the executor API's calls and the delivery of tasks (mesos-agent 2.2, 2.6; mesos-http 3).

use super::AgentCore;
use super::command::concat;
use super::update::Say;
use crate::io::*;
use crate::model::{Host, PendingEnd, Resize, Subscription};
use crate::streams::{Added, StreamKey};
use crate::timers::Timer;
use bytes::Bytes;
use meseta_types::link::FromAgent;
use meseta_types::task::{Reason, Source, TaskStatus};
use meseta_types::{ContainerId, ExecutorId, FrameworkId, TaskId, TaskState, UpdateUuid, Wall};
use std::sync::Arc;

impl AgentCore {
    pub(super) fn executor_call(
        &mut self,
        request: RequestId,
        framework: &FrameworkId,
        executor: &ExecutorId,
        call: ExecutorCall,
    ) {
        let answer = self.admit_call(framework, executor, &call);
        let admitted = answer.is_ok();
        self.out.push(Effect::ExecutorAnswer { request, answer });
        if !admitted {
            return;
        }
        match call {
            ExecutorCall::Subscribe {
                stream,
                unacknowledged_tasks,
                unacknowledged_updates,
            } => {
                let subscription = Subscription {
                    stream,
                    tasks: unacknowledged_tasks,
                    updates: unacknowledged_updates,
                };
                self.subscribe(framework, executor, subscription);
            }
            ExecutorCall::Update(status) => self.executor_update(framework, executor, status),
            ExecutorCall::Message(data) => self.executor_message(framework, executor, data),
        }
    }

    fn admit_call(
        &self,
        framework: &FrameworkId,
        executor: &ExecutorId,
        call: &ExecutorCall,
    ) -> Result<(), ExecutorRefusal> {
        let framework = self
            .frameworks
            .get(framework)
            .ok_or(ExecutorRefusal::UnknownFramework)?;
        let executor = framework
            .executors
            .get(executor)
            .filter(|e| !e.generated && e.host != Host::Gone)
            .ok_or(ExecutorRefusal::UnknownExecutor)?;
        let subscribing = matches!(call, ExecutorCall::Subscribe { .. });
        if executor.state == ExecutorState::Registering && !subscribing {
            return Err(ExecutorRefusal::NotSubscribed);
        }
        Ok(())
    }

    /// The executor's container is up: what it said before counts now.
    pub(super) fn subscribe_early(&mut self, container: &ContainerId) {
        let Some((framework, executor)) = self.containers.get(container).cloned() else {
            return;
        };
        if let Some(early) = self.executor_mut(container).and_then(|e| e.early.take()) {
            self.subscribe(&framework, &executor, early);
        }
    }

    fn subscribe(
        &mut self,
        framework_id: &FrameworkId,
        executor_id: &ExecutorId,
        subscription: Subscription,
    ) {
        let agent = self.agent.clone();
        let agent_ending = matches!(self.phase, super::Phase::Terminating(_));
        let Some(framework) = self.frameworks.get_mut(framework_id) else {
            return;
        };
        let spec = framework.spec.clone();
        let ending = agent_ending || framework.terminating;
        let Some(executor) = framework.executors.get_mut(executor_id) else {
            return;
        };
        if executor.host != Host::Up {
            // Its process is faster than the word of its launch, which tells what its updates have to say of the container.
            if let Some(old) = executor.early.replace(subscription) {
                self.out.push(Effect::CloseExecutor(old.stream));
            }
            return;
        }
        let Subscription {
            stream,
            tasks,
            updates,
        } = subscription;
        let container = executor.container.clone();
        if let Some(old) = executor.stream.replace(stream) {
            self.out.push(Effect::CloseExecutor(old));
        }
        let useless = !executor.delivered && executor.tasks.values().all(|t| t.state.is_terminal());
        if ending || executor.is_ending() || useless {
            return self.send_away(&container, stream);
        }
        self.timers.cancel(&Timer::Registration(container.clone()));
        executor.state = ExecutorState::Running;
        self.out.push(Effect::ToExecutor(
            stream,
            ExecutorEvent::Subscribed {
                framework: spec,
                executor: executor.spec.clone(),
                agent,
                container_id: container.clone(),
            },
        ));
        for status in updates {
            self.executor_update(framework_id, executor_id, status);
        }
        self.drop_undelivered(framework_id, executor_id, &tasks);
        self.resize(&container);
        self.wait_for_executors();
    }

    /// An executor that has nothing to do here.
    fn send_away(&mut self, container: &ContainerId, stream: StreamId) {
        self.out.push(Effect::ToExecutor(stream, ExecutorEvent::Shutdown));
        self.out.push(Effect::CloseExecutor(stream));
        if let Some(executor) = self.executor_mut(container) {
            executor.stream = None;
        }
        self.shutdown_container(container);
        self.wait_for_executors();
    }

    /// Tasks given to an executor that it does not know of: they were on their way when the agent restarted.
    fn drop_undelivered(&mut self, framework_id: &FrameworkId, executor_id: &ExecutorId, known: &[TaskId]) {
        let Some(framework) = self.frameworks.get(framework_id) else {
            return;
        };
        let state = framework.dropped_state();
        let Some(executor) = framework.executors.get(executor_id) else {
            return;
        };
        let lost: Vec<TaskId> = executor
            .tasks
            .values()
            .filter(|t| t.place == TaskPlace::Launched && t.state == TaskState::Staging)
            .map(|t| t.spec.task_id.clone())
            .filter(|id| !known.contains(id))
            .collect();
        for task in lost {
            let say = Say::agent(
                state,
                Reason::AGENT_RESTARTED,
                "Task launched during agent restart",
            );
            self.say(framework_id, executor_id, &task, say);
        }
    }

    pub(super) fn executor_disconnected(&mut self, stream: StreamId) {
        // The process may live on and come back; its end is what counts.
        for framework in self.frameworks.values_mut() {
            for executor in framework.executors.values_mut() {
                if executor.stream == Some(stream) {
                    executor.stream = None;
                    return;
                }
                if executor
                    .early
                    .as_ref()
                    .is_some_and(|early| early.stream == stream)
                {
                    executor.early = None;
                    return;
                }
            }
        }
    }

    fn executor_update(&mut self, framework_id: &FrameworkId, executor_id: &ExecutorId, status: TaskStatus) {
        let Some(uuid) = status.uuid else {
            self.counters.invalid_status_updates += 1;
            return;
        };
        let wrong_agent = status.agent_id.is_some() && status.agent_id != self.agent.id;
        let Some(framework) = self.frameworks.get(framework_id) else {
            return;
        };
        if wrong_agent || framework.terminating {
            self.counters.invalid_status_updates += 1;
            return;
        }
        let task_id = status.task_id.clone();
        let task = framework.task(&task_id);
        let queued = task.is_some_and(|t| t.place == TaskPlace::Queued);
        if queued && !status.state.is_terminal() {
            self.counters.invalid_status_updates += 1;
            return;
        }
        if task.is_none() && framework.completed_task(&task_id).is_some() {
            // Its end is known and acknowledged.
            return self.acknowledge_to_executor(framework_id, executor_id, &task_id, uuid);
        }
        let ended = status.state.is_terminal();
        let status = self.complete_status(framework_id, executor_id, status);
        match self.update(framework_id, executor_id, status) {
            Some(Added::New) => {
                // A task that ended gives its share back at once.
                let container = self.container_of(framework_id, executor_id);
                if let Some(container) = container.filter(|_| ended) {
                    self.resize(&container);
                }
            }
            Some(Added::Duplicate(true) | Added::AfterTerminal) => {
                self.acknowledge_to_executor(framework_id, executor_id, &task_id, uuid);
            }
            Some(Added::Duplicate(false)) | None => {}
        }
    }

    /// What the agent adds to an executor's status.
    fn complete_status(
        &mut self,
        framework: &FrameworkId,
        executor: &ExecutorId,
        status: TaskStatus,
    ) -> TaskStatus {
        let container_status = self
            .frameworks
            .get(framework)
            .and_then(|f| f.executors.get(executor))
            .map(|e| e.container_status.clone())
            .unwrap_or_default();
        let timestamp = if status.timestamp == Wall::default() {
            self.now.wall
        } else {
            status.timestamp
        };
        TaskStatus {
            source: Source::Executor,
            agent_id: self.agent_id(),
            timestamp,
            wire: concat(&container_status, &status.wire),
            ..status
        }
    }

    pub(super) fn acknowledge_to_executor(
        &mut self,
        framework: &FrameworkId,
        executor: &ExecutorId,
        task: &TaskId,
        uuid: UpdateUuid,
    ) {
        let executor = self
            .frameworks
            .get(framework)
            .and_then(|f| f.executors.get(executor));
        if let Some(stream) = executor.and_then(|e| e.stream) {
            let event = ExecutorEvent::Acknowledged {
                task_id: task.clone(),
                uuid,
            };
            self.out.push(Effect::ToExecutor(stream, event));
        }
    }

    fn executor_message(&mut self, framework: &FrameworkId, executor: &ExecutorId, data: Bytes) {
        if !self.link.is_registered() {
            self.counters.invalid_framework_messages += 1;
            return;
        }
        self.counters.valid_framework_messages += 1;
        self.send(FromAgent::ExecutorMessage {
            framework_id: framework.clone(),
            executor_id: executor.clone(),
            data,
        });
    }

    pub(super) fn framework_message(&mut self, framework: &FrameworkId, executor: &ExecutorId, data: Bytes) {
        let executor = self
            .frameworks
            .get(framework)
            .and_then(|f| f.executors.get(executor));
        let stream = executor
            .filter(|e| e.state == ExecutorState::Running)
            .and_then(|e| e.stream);
        match stream {
            Some(stream) => {
                self.counters.valid_framework_messages += 1;
                self.out
                    .push(Effect::ToExecutor(stream, ExecutorEvent::Message(data)));
            }
            None => self.counters.invalid_framework_messages += 1,
        }
    }

    fn container_of(&self, framework: &FrameworkId, executor: &ExecutorId) -> Option<ContainerId> {
        let executor = self.frameworks.get(framework)?.executors.get(executor)?;
        Some(executor.container.clone())
    }

    /// A queued task's record is durable: it may go to its executor.
    pub(super) fn enqueue(&mut self, key: &StreamKey) {
        let Some(framework) = self.frameworks.get_mut(&key.0) else {
            return;
        };
        let Some(executor) = framework
            .tasks
            .get(&key.1)
            .and_then(|e| framework.executors.get_mut(e))
        else {
            return;
        };
        let waiting = executor
            .tasks
            .get(&key.1)
            .is_some_and(|t| t.place == TaskPlace::Queued);
        if waiting && !executor.queue.contains(&key.1) {
            executor.queue.push_back(key.1.clone());
        }
        let container = executor.container.clone();
        self.resize(&container);
    }

    /// Fits the container to its tasks, then delivers what is queued: a task never runs in a container that is too small.
    fn resize(&mut self, container: &ContainerId) {
        let Some(executor) = self.executor_mut(container) else {
            return;
        };
        if executor.generated || executor.state != ExecutorState::Running {
            return;
        }
        if let Some(under_way) = &mut executor.resize {
            under_way.again = true;
            return;
        }
        executor.resize = Some(Resize {
            deliver: executor.queue.drain(..).collect(),
            again: false,
        });
        let effect = Effect::Resize {
            container_id: container.clone(),
            resources: executor.resources(),
        };
        self.out.push(effect);
    }

    pub(super) fn resized(&mut self, container: &ContainerId, outcome: Result<(), Arc<str>>) {
        let Some(executor) = self.executor_mut(container) else {
            return;
        };
        let Some(resize) = executor.resize.take() else {
            return;
        };
        if let Err(why) = outcome {
            return self.resize_failed(container, &why);
        }
        self.deliver(container, resize.deliver);
        if resize.again {
            self.resize(container);
        }
    }

    fn deliver(&mut self, container: &ContainerId, tasks: Vec<TaskId>) {
        let Some(executor) = self.executor_mut(container) else {
            return;
        };
        if executor.state != ExecutorState::Running {
            return;
        }
        let Some(stream) = executor.stream else {
            // Disconnected meanwhile: delivered when it is back.
            for task in tasks.into_iter().rev() {
                executor.queue.push_front(task);
            }
            return;
        };
        let mut events = Vec::new();
        for id in tasks {
            if let Some(task) = executor.tasks.get_mut(&id)
                && task.place == TaskPlace::Queued
            {
                task.place = TaskPlace::Launched;
                executor.delivered = true;
                events.push(ExecutorEvent::Launch(task.spec.clone()));
            }
        }
        let effects = events.into_iter().map(|e| Effect::ToExecutor(stream, e));
        self.out.extend(effects);
    }

    fn resize_failed(&mut self, container: &ContainerId, why: &str) {
        let gone = self.framework_executor(container).map(|(f, _)| f.gone_state());
        let (Some(state), Some(executor)) = (gone, self.executor_mut(container)) else {
            return;
        };
        executor.pending_end = Some(PendingEnd {
            state,
            reason: Reason::CONTAINER_UPDATE_FAILED,
            message: Arc::from(format!("Failed to update resources for container: {why}")),
        });
        self.end_now(container);
    }

    /// The executor did not register in time; a command task's container did not start in time.
    pub(super) fn registration_timeout(&mut self, container: &ContainerId) {
        let timeout = self.config.executor_registration_timeout;
        let Some(executor) = self.executor_mut(container) else {
            return;
        };
        if executor.state != ExecutorState::Registering {
            return;
        }
        executor.pending_end = Some(PendingEnd {
            state: TaskState::Failed,
            reason: Reason::EXECUTOR_REGISTRATION_TIMEOUT,
            message: Arc::from(format!(
                "Executor did not register within {}",
                meseta_types::flag::format_duration(timeout)
            )),
        });
        self.end_now(container);
    }
}
