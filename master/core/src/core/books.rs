//! Who owns what: the cross-references beside the entries, and the only functions that change them.
//!
//! Every sum and list that [`super::check`] recomputes is written here and nowhere else, so that a task, an executor or
//! an offer is in all its places or in none.

use super::reconcile::Reconciling;
use super::{Cx, MasterCore};
use crate::few::Few;
use crate::io::{LinkId, RequestId, StreamId, Subscribe};
use crate::pages::{AgentKey, FrameworkKey, OfferKey, TaskKey};
use crate::ring::Ring;
use crate::state::{Offer, Task, TaskList};
use meseta_types::task::ExecutorSpec;
use meseta_types::{AgentId, ExecutorId, Resources};
use std::collections::BTreeSet;
use std::sync::Arc;

/// What the core keeps of a registered agent beside its entry.
#[derive(Debug, Default)]
pub(super) struct AgentBook {
    /// Its link, while it is connected.
    pub(super) link: Option<LinkId>,
    /// Tasks of the active list that are here.
    pub(super) tasks: Few<TaskKey>,
    /// Outstanding offers of it.
    pub(super) offers: Few<OfferKey>,
    /// Whether the last ping was not answered yet.
    pub(super) ping_outstanding: bool,
    /// How many pings in a row were not answered.
    pub(super) pings_missed: u32,
    /// What runs there was more than its resources when it last came back.
    pub(super) came_back_smaller: bool,
}

/// What the core keeps of a framework beside its entry.
#[derive(Debug, Default)]
pub(super) struct FrameworkBook {
    /// Its stream, while it is connected.
    pub(super) stream: Option<StreamId>,
    /// Its tasks of the active list.
    pub(super) tasks: BTreeSet<TaskKey>,
    /// Its tasks of the unreachable list, bounded.
    pub(super) unreachable: Ring<TaskKey>,
    /// Its tasks of the completed list, bounded.
    pub(super) completed: Ring<TaskKey>,
    /// Agents where it has something: also where to find its outstanding offers.
    pub(super) agents: BTreeSet<AgentKey>,
    /// What it asked for with `RECONCILE` and was not told yet.
    pub(super) reconciling: Reconciling,
    /// What its last task of plain amounts uses. Tasks are mostly alike: those in a row share one bag.
    pub(super) last_used: Resources,
    /// Its removal waits for the registry.
    pub(super) removing: Option<Removing>,
}

/// What waits for a framework's removal to become durable.
#[derive(Debug, Default)]
pub(super) struct Removing {
    /// Operators to be answered.
    pub(super) requests: Vec<RequestId>,
    /// A scheduler that came meanwhile, the last one of them.
    pub(super) subscriber: Option<(StreamId, Subscribe)>,
}

impl MasterCore {
    /// Takes a task of the active list in: indexed, listed, its resources charged.
    pub(super) fn insert_task(&mut self, mut task: Task, agent: AgentKey) -> TaskKey {
        let framework = task.framework;
        let id = (framework, task.task_id.clone());
        let terminal = task.state().is_terminal();
        // Volumes may be equal and yet appear in different places: what is more than an amount stays as it came.
        if task.resources.iter().all(|r| r.traits.is_plain())
            && let Some(book) = self.framework_books.get_mut(framework)
        {
            if book.last_used != task.resources {
                book.last_used = task.resources;
            }
            task.resources = book.last_used.clone();
        }
        let resources = task.resources.clone();
        let key = self.tasks.insert(task);
        self.task_ids.insert(id, key);
        if let Some(book) = self.framework_books.get_mut(framework) {
            book.tasks.insert(key);
        }
        if let Some(book) = self.agent_books.get_mut(agent) {
            book.tasks.insert(key);
        }
        if !terminal {
            self.charge(agent, framework, &resources);
        }
        key
    }

    /// Moves a task of the active list to the unreachable or the completed one. Its resources must have been
    /// released before (see [`Self::release`]).
    pub(super) fn move_task(&mut self, key: TaskKey, list: TaskList) {
        let Some(task) = self.tasks.get_mut(key) else {
            return;
        };
        let (framework, from) = (task.framework, task.list);
        let (task_id, agent_id) = (task.task_id.clone(), task.agent_id.clone());
        task.list = list;
        let agent = self.agent_ids.get(&agent_id);
        let Some(book) = self.framework_books.get_mut(framework) else {
            return;
        };
        match from {
            TaskList::Active => {
                book.tasks.remove(&key);
                if let Some(book) = agent.and_then(|a| self.agent_books.get_mut(a)) {
                    book.tasks.remove(key);
                }
            }
            TaskList::Unreachable => {
                book.unreachable.remove(&key);
                self.forget_unreachable(&agent_id, key);
            }
            TaskList::Completed => {
                book.completed.remove(&key);
            }
        }
        if list == TaskList::Completed && from != TaskList::Completed {
            self.task_ids.remove(&(framework, task_id));
        }
        let Some(book) = self.framework_books.get_mut(framework) else {
            return;
        };
        let outgoing = match list {
            TaskList::Active => {
                book.tasks.insert(key);
                None
            }
            TaskList::Unreachable => {
                book.unreachable.push(key);
                self.unreachable_tasks.entry(agent_id).or_default().insert(key);
                let max = self.config.max_unreachable_tasks_per_framework;
                (book.unreachable.len() > max).then(|| book.unreachable.iter().next().copied())
            }
            TaskList::Completed => {
                book.completed.push(key);
                let max = self.config.max_completed_tasks_per_framework;
                (book.completed.len() > max).then(|| book.completed.iter().next().copied())
            }
        };
        if let Some(oldest) = outgoing.flatten() {
            self.forget_task(oldest);
        }
    }

    /// Forgets a task of the unreachable or the completed list.
    pub(super) fn forget_task(&mut self, key: TaskKey) {
        let Some(task) = self.tasks.get(key) else {
            return;
        };
        task.touch();
        let (framework, list) = (task.framework, task.list);
        let (task_id, agent_id) = (task.task_id.clone(), task.agent_id.clone());
        if let Some(book) = self.framework_books.get_mut(framework) {
            book.unreachable.remove(&key);
            book.completed.remove(&key);
        }
        if list == TaskList::Unreachable {
            self.task_ids.remove(&(framework, task_id));
            self.forget_unreachable(&agent_id, key);
        }
        self.tasks.remove(key);
    }

    fn forget_unreachable(&mut self, agent_id: &AgentId, key: TaskKey) {
        if let Some(keys) = self.unreachable_tasks.get_mut(agent_id) {
            keys.remove(&key);
            if keys.is_empty() {
                self.unreachable_tasks.remove(agent_id);
            }
        }
    }

    /// A task's resources are free: told to the allocator, which offers them to others at once.
    pub(super) fn release_task(&mut self, cx: &mut Cx, key: TaskKey) {
        let Some(task) = self.tasks.get(key) else {
            return;
        };
        let (framework, resources) = (task.framework, task.resources.clone());
        if let Some(agent) = self.agent_ids.get(&task.agent_id) {
            self.release(cx, agent, framework, &resources);
        }
    }

    /// Takes an executor in, its resources charged.
    pub(super) fn insert_executor(
        &mut self,
        agent: AgentKey,
        framework: FrameworkKey,
        executor: Arc<ExecutorSpec>,
    ) {
        let id = (framework, executor.executor_id.clone());
        let resources = executor.resources.clone();
        if let Some(agent) = self.agents.get_mut(agent) {
            agent.executors.insert(id, executor);
        }
        self.charge(agent, framework, &resources);
    }

    /// Removes an executor, its resources free. Says whether it was there.
    pub(super) fn remove_executor(
        &mut self,
        cx: &mut Cx,
        agent: AgentKey,
        framework: FrameworkKey,
        executor_id: &ExecutorId,
    ) -> bool {
        let id = (framework, executor_id.clone());
        let Some(executor) = self.agents.get_mut(agent).and_then(|a| a.executors.remove(&id)) else {
            return false;
        };
        self.release(cx, agent, framework, &executor.resources);
        true
    }

    /// Adds to what a framework uses on an agent.
    pub(super) fn charge(&mut self, agent: AgentKey, framework: FrameworkKey, what: &Resources) {
        if what.is_empty() {
            return;
        }
        let Some(entry) = self.agents.get_mut(agent) else {
            return;
        };
        match entry.used.get_mut(framework) {
            Some(used) => *used += what,
            None => {
                entry.used.insert(framework, what.clone());
                if let Some(book) = self.framework_books.get_mut(framework) {
                    book.agents.insert(agent);
                }
            }
        }
    }

    /// Takes from what a framework uses on an agent, and gives it back to the allocator without a filter.
    pub(super) fn release(
        &mut self,
        cx: &mut Cx,
        agent: AgentKey,
        framework: FrameworkKey,
        what: &Resources,
    ) {
        if what.is_empty() {
            return;
        }
        if let Some(entry) = self.agents.get_mut(agent)
            && let Some(used) = entry.used.get_mut(framework)
        {
            *used -= what;
            if used.is_empty() {
                entry.used.remove(framework);
                self.unlist_if_idle(agent, framework);
            }
        }
        self.sharing.recover(cx.now, framework, agent, what, None);
    }

    /// Takes an outstanding offer in.
    pub(super) fn insert_offer(&mut self, offer: Offer) -> OfferKey {
        let (number, agent, framework) = (offer.id.number, offer.agent, offer.framework);
        let key = self.offers.insert(offer);
        self.offer_numbers.insert(number, key);
        if let Some(book) = self.agent_books.get_mut(agent) {
            book.offers.insert(key);
        }
        if !self.uses(framework, agent)
            && let Some(book) = self.framework_books.get_mut(framework)
        {
            book.agents.insert(agent);
        }
        key
    }

    /// Takes an outstanding offer out. What becomes of its resources is the caller's business.
    pub(super) fn take_offer(&mut self, key: OfferKey) -> Option<Arc<Offer>> {
        let offer = self.offers.remove(key)?;
        self.offer_numbers.remove(&offer.id.number);
        self.timers.cancel(super::Timer::Offer(key));
        if let Some(book) = self.agent_books.get_mut(offer.agent) {
            book.offers.remove(key);
        }
        self.unlist_if_idle(offer.agent, offer.framework);
        Some(offer)
    }

    pub(super) fn uses(&self, framework: FrameworkKey, agent: AgentKey) -> bool {
        let entry = self.agents.get(agent);
        entry.is_some_and(|entry| entry.used.contains(framework))
    }

    /// A framework that has nothing on an agent, not even an offer, is not listed there.
    fn unlist_if_idle(&mut self, agent: AgentKey, framework: FrameworkKey) {
        let to_it = |key| self.offers.get(key).is_some_and(|o| o.framework == framework);
        if !self.uses(framework, agent)
            && !self.offers_of(agent).any(to_it)
            && let Some(book) = self.framework_books.get_mut(framework)
        {
            book.agents.remove(&agent);
        }
    }
}
