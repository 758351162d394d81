//! Frameworks go: by TEARDOWN, by an operator, or because they stayed away too long (Mesos, `Master::removeFramework`).
//!
//! The removal is durable before anything of it is seen: the id never comes back.

use super::books::Removing;
use super::commits::Pending;
use super::reconcile::Reconciling;
use super::subscribe::refuse_stream;
use super::{Cx, MasterCore, Timer};
use crate::config::REMOVED_FRAMEWORKS_MAX;
use crate::io::{Effect, OperatorEvent, RequestId, Session, StreamId};
use crate::pages::{AgentKey, FrameworkKey, TaskKey};
use crate::refusal::Refusal;
use crate::registry;
use crate::state::{FrameworkState, Standing, TaskList};
use meseta_types::link::ToAgent;
use meseta_types::task::Reason;
use meseta_types::{FrameworkId, TaskState, Wall};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// A framework that could not be removed for want of space is tried again after this long.
const RETRY: Duration = Duration::from_secs(10);

impl MasterCore {
    pub(super) fn operator_teardown(&mut self, cx: &mut Cx, request: RequestId, framework_id: &FrameworkId) {
        let Some(framework) = self.framework_ids.get(framework_id) else {
            let answer = Err(Refusal::BadRequest("No framework found with specified ID".into()));
            return cx.out.push(Effect::Answer { request, answer });
        };
        self.remove_framework(cx, framework, Some(request));
    }

    pub(super) fn failover_timed_out(&mut self, cx: &mut Cx, framework: FrameworkKey) {
        self.remove_framework(cx, framework, None);
    }

    /// Asks the registry for the removal; a second reason to remove waits with the first.
    pub(super) fn remove_framework(
        &mut self,
        cx: &mut Cx,
        framework: FrameworkKey,
        request: Option<RequestId>,
    ) {
        let Some(id) = self.frameworks.get(framework).map(|f| f.id.clone()) else {
            return;
        };
        let Some(book) = self.framework_books.get_mut(framework) else {
            return;
        };
        let first = book.removing.is_none();
        let removing = book.removing.get_or_insert_with(Removing::default);
        removing.requests.extend(request);
        if !first {
            return;
        }
        let at = cx.now.wall;
        let mut changes = vec![registry::put_removed_framework(&id, at)];
        if self.removed_order.len() >= REMOVED_FRAMEWORKS_MAX
            && let Some(oldest) = self.removed_order.front()
        {
            changes.push(registry::delete_removed_framework(oldest));
        }
        self.commit(cx, changes, Pending::RemoveFramework { framework, id, at });
    }

    pub(super) fn framework_removed(
        &mut self,
        cx: &mut Cx,
        framework: FrameworkKey,
        id: FrameworkId,
        at: Wall,
    ) {
        if self.removed_order.len() >= REMOVED_FRAMEWORKS_MAX
            && let Some(oldest) = self.removed_order.pop_front()
        {
            self.removed_frameworks.remove(&oldest);
        }
        self.removed_frameworks.insert(id.clone(), at);
        self.removed_order.push_back(id.clone());
        self.timers.cancel(Timer::Failover(framework));
        // From here on nothing is told to the framework: its stream just ends.
        let stream = self.framework_books.get_mut(framework).and_then(|book| {
            book.reconciling = Reconciling::default();
            book.stream.take()
        });
        self.discard_offers_to(cx, framework);
        for agent in self.agents_of(framework) {
            self.send(
                cx,
                agent,
                ToAgent::ShutdownFramework {
                    framework_id: id.clone(),
                },
            );
        }
        self.kill_tasks_of(cx, framework, &id);
        self.drop_executors_of(cx, framework);
        self.sharing.remove_framework(framework);
        self.framework_ids.remove(&id);
        self.close_session(cx, framework, id, stream);
        if let Some(entry) = self.frameworks.get_mut(framework) {
            entry.state = FrameworkState::Completed;
            entry.unregistered_time = Some(cx.now.wall);
            cx.operator(OperatorEvent::FrameworkRemoved {
                framework: entry.spec.clone(),
            });
        }
        self.completed.push_back(framework);
        while self.completed.len() > self.config.max_completed_frameworks {
            if let Some(oldest) = self.completed.pop_front() {
                self.forget_framework(oldest);
            }
        }
    }

    pub(super) fn framework_removal_refused(
        &mut self,
        cx: &mut Cx,
        framework: FrameworkKey,
        reason: &Arc<str>,
    ) {
        let id = self.frameworks.get(framework).map(|f| f.id.clone());
        self.note(cx, "teardown", reason.clone(), id.as_ref(), None);
        let Some(book) = self.framework_books.get_mut(framework) else {
            return;
        };
        let connected = book.stream.is_some();
        let removing = book.removing.take().unwrap_or_default();
        for request in removing.requests {
            let answer = Err(Refusal::Unavailable(reason.clone()));
            cx.out.push(Effect::Answer { request, answer });
        }
        match removing.subscriber {
            Some((stream, subscribe)) => self.take_over(cx, framework, stream, subscribe),
            None if connected => {}
            None => self.timers.set(Timer::Failover(framework), cx.now.mono + RETRY),
        }
    }

    /// Agents that have tasks or executors of the framework, terminal unacknowledged ones included.
    pub(super) fn agents_of(&self, framework: FrameworkKey) -> BTreeSet<AgentKey> {
        let Some(book) = self.framework_books.get(framework) else {
            return BTreeSet::new();
        };
        let tasks = book
            .tasks
            .iter()
            .filter_map(|key| self.agent_ids.get(&self.tasks.get(*key)?.agent_id));
        let agents = book.agents.iter().copied();
        let used = agents.filter(|agent| self.uses(framework, *agent));
        tasks.chain(used).collect()
    }

    fn kill_tasks_of(&mut self, cx: &mut Cx, framework: FrameworkKey, id: &FrameworkId) {
        let message: Arc<str> = format!("Framework {id} removed").into();
        let Some(book) = self.framework_books.get(framework) else {
            return;
        };
        let tasks: Vec<TaskKey> = book
            .tasks
            .iter()
            .chain(book.unreachable.iter())
            .copied()
            .collect();
        for key in tasks {
            let Some(task) = self.tasks.get(key) else { continue };
            let ended = task.observed.is_terminal();
            if !ended {
                if task.list == TaskList::Active {
                    self.release_task(cx, key);
                }
                let standing = Standing::Ended {
                    shown: TaskState::Killed,
                };
                self.end_by_word(cx, key, standing, Reason::FRAMEWORK_REMOVED, &message);
            }
            self.move_task(key, TaskList::Completed);
        }
    }

    fn drop_executors_of(&mut self, cx: &mut Cx, framework: FrameworkKey) {
        let agents: Vec<AgentKey> = self
            .framework_books
            .get(framework)
            .map(|b| b.agents.iter().copied().collect())
            .unwrap_or_default();
        for agent in agents {
            let executors: Vec<_> = self
                .agents
                .get(agent)
                .map(|a| {
                    a.executors
                        .keys()
                        .filter(|(f, _)| *f == framework)
                        .cloned()
                        .collect()
                })
                .unwrap_or_default();
            for (framework, executor_id) in executors {
                self.remove_executor(cx, agent, framework, &executor_id);
            }
        }
    }

    fn close_session(
        &mut self,
        cx: &mut Cx,
        framework: FrameworkKey,
        id: FrameworkId,
        stream: Option<StreamId>,
    ) {
        cx.out.push(Effect::Session {
            framework_id: id,
            session: Session::Removed,
        });
        let Some(book) = self.framework_books.get_mut(framework) else {
            return;
        };
        let removing = book.removing.take().unwrap_or_default();
        if let Some(stream) = stream {
            self.streams.remove(&stream);
            cx.out.push(Effect::CloseStream { stream });
        }
        if let Some((stream, _)) = removing.subscriber {
            refuse_stream(cx, stream, "Framework has been removed".into());
        }
        for request in removing.requests {
            cx.out.push(Effect::Answer {
                request,
                answer: Ok(()),
            });
        }
    }

    fn forget_framework(&mut self, framework: FrameworkKey) {
        let tasks: Vec<TaskKey> = self
            .framework_books
            .get(framework)
            .map(|b| b.completed.iter().copied().collect())
            .unwrap_or_default();
        for key in tasks {
            self.forget_task(key);
        }
        self.framework_books.remove(framework);
        self.frameworks.remove(framework);
    }
}
