//! An agent is lost: marked unreachable, or removed for good (Mesos, `Master::_markUnreachable`, `__removeSlave`).
//!
//! Called when the registry has it. Order: tasks, offers, then FAILURE to every framework.

use super::commits::{Guard, Pending};
use super::{Cx, MasterCore, Timer};
use crate::io::{Event, OperatorEvent};
use crate::pages::{AgentKey, TaskKey};
use crate::registry;
use crate::state::{Standing, TaskList};
use meseta_types::task::Reason;
use meseta_types::{AgentId, TaskState, Wall};
use std::sync::Arc;

impl MasterCore {
    /// The agent leaves on purpose.
    pub(super) fn unregister(&mut self, cx: &mut Cx, agent: AgentKey) {
        self.counters.add("messages_unregister_slave");
        let Some(id) = self.agent_id(agent) else { return };
        if self.guards.contains_key(&id) {
            return self.note(
                cx,
                "unregister_agent",
                "the agent is in transition",
                None,
                Some(&id),
            );
        }
        self.guards.insert(id.clone(), Guard::Removing);
        self.cancel_removal(&id);
        let changes = vec![registry::delete_agent(&id)];
        let message = Arc::from("the agent unregistered");
        self.commit(cx, changes, Pending::Remove { id, message });
    }

    pub(super) fn marked_unreachable(&mut self, cx: &mut Cx, id: &AgentId, at: Wall, message: &Arc<str>) {
        self.counters.add("slave_unreachable_completed");
        Arc::make_mut(&mut self.unreachable).insert(id.clone(), at);
        if Arc::make_mut(&mut self.recovered).remove(id).is_some() {
            // Nobody knows its tasks: frameworks hear of the agent only, and reconcile.
            self.counters.add("recovery_slave_removals");
        } else if let Some(agent) = self.agent_ids.get(id) {
            self.counters.add("slave_removals");
            self.counters.add("slave_removals/reason_unhealthy");
            for key in self.tasks_on(agent) {
                self.task_unreachable(cx, key, at, message);
            }
            self.forget_agent(cx, agent);
        }
        self.tell_agent_lost(cx, id);
    }

    /// An agent left for good: its tasks are lost.
    pub(super) fn removed(&mut self, cx: &mut Cx, id: &AgentId, message: &str) {
        let Some(agent) = self.agent_ids.get(id) else {
            return;
        };
        let hostname = self
            .agents
            .get(agent)
            .map(|a| a.spec.hostname.clone())
            .unwrap_or_default();
        let message: Arc<str> = format!("Agent {hostname} removed: {message}").into();
        self.counters.add("slave_removals");
        for key in self.tasks_on(agent) {
            self.task_lost(cx, key, Reason::AGENT_REMOVED, &message);
        }
        self.forget_agent(cx, agent);
        self.tell_agent_lost(cx, id);
        cx.operator(OperatorEvent::AgentRemoved { agent_id: id.clone() });
    }

    pub(super) fn tasks_on(&self, agent: AgentKey) -> Vec<TaskKey> {
        self.agent_books
            .get(agent)
            .map(|book| book.tasks.iter().collect())
            .unwrap_or_default()
    }

    fn task_unreachable(&mut self, cx: &mut Cx, key: TaskKey, since: Wall, message: &Arc<str>) {
        let Some(task) = self.tasks.get(key) else { return };
        if !task.state().is_terminal() {
            let aware = self
                .frameworks
                .get(task.framework)
                .is_some_and(|f| f.spec.capabilities.partition_aware);
            let shown = if aware {
                TaskState::Unreachable
            } else {
                TaskState::Lost
            };
            self.release_task(cx, key);
            let standing = Standing::Unreachable { since, shown };
            self.end_by_word(cx, key, standing, Reason::AGENT_REMOVED, message);
        }
        self.move_task(key, TaskList::Unreachable);
    }

    /// The master ends a task as LOST. One that had ended before keeps its state, which is told once more.
    pub(super) fn task_lost(&mut self, cx: &mut Cx, key: TaskKey, reason: Reason, message: &Arc<str>) {
        let Some(task) = self.tasks.get(key) else { return };
        if task.state().is_terminal() {
            self.tell_state(cx, key, reason, message);
        } else {
            self.release_task(cx, key);
            let standing = Standing::Ended {
                shown: TaskState::Lost,
            };
            self.end_by_word(cx, key, standing, reason, message);
        }
        self.move_task(key, TaskList::Completed);
    }

    /// Takes a registered agent out: offers, executors, resources, timers, link. Its tasks were moved before.
    fn forget_agent(&mut self, cx: &mut Cx, agent: AgentKey) {
        self.rescind_offers_of(cx, agent);
        let Some(entry) = self.agents.share(agent) else {
            return;
        };
        for (framework, executor_id) in entry.executors.keys() {
            self.remove_executor(cx, agent, *framework, executor_id);
        }
        self.sharing.remove_agent(agent);
        self.timers.cancel(Timer::Ping(agent));
        self.timers.cancel(Timer::Reregister(agent));
        let address = (entry.spec.ip, entry.spec.port);
        if self.agent_addresses.get(&address) == Some(&agent) {
            self.agent_addresses.remove(&address);
        }
        self.agent_ids.remove(&entry.id);
        self.agents.remove(agent);
        if let Some(link) = self.agent_books.remove(agent).and_then(|book| book.link) {
            self.close_link(cx, link);
        }
    }

    fn tell_agent_lost(&mut self, cx: &mut Cx, id: &AgentId) {
        let connected: Vec<_> = self.streams.values().copied().collect();
        for framework in connected {
            self.tell(
                cx,
                framework,
                Event::Failure {
                    agent_id: id.clone(),
                    executor: None,
                },
            );
        }
    }
}
