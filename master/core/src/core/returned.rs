//! An agent is back: what both sides know is brought together (Mesos, `Master::__reregisterSlave` and
//! `reconcileKnownSlave`).
//!
//! Order on the link: `Reregistered` first, then frameworks to be shut down, then kills it missed. Order for
//! operators: frameworks, tasks, then the agent.

use super::reregister::{KnownAs, Return};
use super::{Cx, MasterCore};
use crate::history::History;
use crate::io::OperatorEvent;
use crate::pages::{AgentKey, FrameworkKey, TaskKey};
use crate::state::{Desired, Standing, Task, TaskList};
use meseta_types::link::{AgentSpec, Inventory, ToAgent};
use meseta_types::task::{ExecutorSpec, FrameworkSpec, Reason, ReportedTask};
use meseta_types::{AgentId, FrameworkId, Resources, TaskId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

impl MasterCore {
    pub(super) fn returned(&mut self, cx: &mut Cx, back: Return) {
        let Return {
            id,
            link,
            spec,
            inventory,
            from,
        } = back;
        self.counters.add("slave_reregistrations");
        Arc::make_mut(&mut self.recovered).remove(&id);
        Arc::make_mut(&mut self.unreachable).remove(&id);
        let known = self.agent_ids.get(&id);
        let agent = match known {
            Some(agent) => {
                self.renew(agent, spec);
                agent
            }
            None => self.add_agent(cx, id.clone(), spec),
        };
        if let Some(entry) = self.agents.get_mut(agent) {
            entry.reregistered_time = Some(cx.now.wall);
        }
        let taken = self.take_inventory(cx, agent, &id, inventory, from);
        let missing = self.missing_tasks(agent, &taken.listed);
        self.drop_missing_executors(cx, agent, &taken.executors);
        self.forget_lost_tasks(&id);
        self.make_room(cx, agent);
        let live = self.links.find(&link).is_some();
        if live {
            self.connect_agent(cx, agent, link);
        } else if known.is_none() {
            self.disconnected(cx, agent);
        }
        let total_ping_timeout = self.config.total_ping_timeout();
        self.send(
            cx,
            agent,
            ToAgent::Reregistered {
                agent_id: id,
                total_ping_timeout,
                reconcile: missing,
            },
        );
        for framework_id in taken.refused {
            self.send(cx, agent, ToAgent::ShutdownFramework { framework_id });
        }
        for framework in taken.frameworks {
            self.tell_agent_of(cx, agent, framework);
        }
        for kill in taken.doubles {
            self.send(cx, agent, kill);
        }
        self.resend_kills(cx, agent);
        if known.is_none() {
            self.announce_agent(cx, agent);
        }
        if live {
            self.ping(cx, agent);
        }
    }

    /// The agent's description changes.
    fn renew(&mut self, agent: AgentKey, spec: AgentSpec) {
        let Some(entry) = self.agents.get_mut(agent) else {
            return;
        };
        let old = (entry.spec.ip, entry.spec.port);
        let new = (spec.ip, spec.port);
        let attributes_differ = entry.spec.wire != spec.wire;
        entry.spec = Arc::new(spec);
        self.sharing.update_agent(agent, entry);
        if attributes_differ {
            self.sharing.clear_filters(agent);
        }
        if old != new {
            if self.agent_addresses.get(&old) == Some(&agent) {
                self.agent_addresses.remove(&old);
            }
            self.agent_addresses.insert(new, agent);
        }
    }

    fn take_inventory(
        &mut self,
        cx: &mut Cx,
        agent: AgentKey,
        id: &AgentId,
        inventory: Inventory,
        from: KnownAs,
    ) -> Taken {
        let specs: BTreeMap<FrameworkId, FrameworkSpec> = inventory
            .frameworks
            .into_iter()
            .filter_map(|spec| Some((spec.id.clone()?, spec)))
            .collect();
        let mut taken = Taken::default();
        for reported in inventory.executors {
            let framework = self.reported_framework(cx, id, &reported.framework_id, &specs, &mut taken);
            if let Some(framework) = framework {
                self.take_executor(agent, framework, reported.executor, &mut taken);
            }
        }
        for reported in inventory.tasks {
            let framework = self.reported_framework(cx, id, &reported.framework_id, &specs, &mut taken);
            if let Some(framework) = framework {
                self.take_task(cx, (agent, id, from), framework, reported, &mut taken);
            }
        }
        taken
    }

    fn take_executor(
        &mut self,
        agent: AgentKey,
        framework: FrameworkKey,
        executor: ExecutorSpec,
        taken: &mut Taken,
    ) {
        let key = (framework, executor.executor_id.clone());
        let there = self
            .agents
            .get(agent)
            .is_some_and(|a| a.executors.contains_key(&key));
        if !there {
            self.sharing.allocated(framework, agent, &executor.resources);
            self.insert_executor(agent, framework, Arc::new(executor));
        }
        taken.executors.insert(key);
    }

    fn take_task(
        &mut self,
        cx: &mut Cx,
        (agent, id, from): (AgentKey, &AgentId, KnownAs),
        framework: FrameworkKey,
        reported: ReportedTask,
        taken: &mut Taken,
    ) {
        let key = (framework, reported.task_id.clone());
        taken.listed.insert(key.clone());
        match self.task_ids.get(&key) {
            Some(task) if self.is_here(task, id) => {}
            Some(task) if self.is_lost_with(task, id) => {
                let reported = self.forward_only(cx, task, reported);
                self.forget_task(task);
                self.adopt(cx, agent, framework, reported, from.news());
            }
            // The same id lives on another agent: two truths, the newer launch is kept and the other one ended.
            Some(_) => {
                let reason = format!("task {} is on another agent", key.1);
                self.note(cx, "reregister_agent", reason, None, Some(id));
                taken.doubles.push(ToAgent::KillTask {
                    framework_id: reported.framework_id,
                    task_id: reported.task_id,
                    kill_policy: Default::default(),
                    grace: None,
                });
            }
            // A terminal task is unknown here because it was acknowledged: the agent will hear that.
            None if from == KnownAs::Registered && reported.state.is_terminal() => {}
            None => {
                let news = from
                    .news()
                    .or((from == KnownAs::Registered).then_some("Agent reregistered"));
                self.forget_ended(framework, &reported.task_id, id);
                self.adopt(cx, agent, framework, reported, news);
            }
        }
    }

    /// The framework something was reported of; made known if it is not, refused if it was removed.
    fn reported_framework(
        &mut self,
        cx: &mut Cx,
        agent_id: &AgentId,
        id: &FrameworkId,
        specs: &BTreeMap<FrameworkId, FrameworkSpec>,
        taken: &mut Taken,
    ) -> Option<FrameworkKey> {
        if let Some(framework) = self.framework_ids.get(id) {
            if specs.contains_key(id) {
                taken.frameworks.insert(framework);
            }
            return Some(framework);
        }
        if self.removed_frameworks.contains_key(id) {
            taken.refused.insert(id.clone());
            return None;
        }
        match specs.get(id) {
            Some(spec) => Some(self.recover_framework(cx, id, spec.clone())),
            None => {
                self.note(
                    cx,
                    "reregister_agent",
                    "the agent does not describe the framework",
                    Some(id),
                    Some(agent_id),
                );
                None
            }
        }
    }

    fn is_here(&self, task: TaskKey, agent_id: &AgentId) -> bool {
        self.tasks
            .get(task)
            .is_some_and(|t| t.agent_id == *agent_id && t.list == TaskList::Active)
    }

    fn is_lost_with(&self, task: TaskKey, agent_id: &AgentId) -> bool {
        self.tasks
            .get(task)
            .is_some_and(|t| t.agent_id == *agent_id && t.list == TaskList::Unreachable)
    }

    /// What an agent said of a task only moves forward: one that had ended before its agent was lost has ended.
    fn forward_only(&mut self, cx: &mut Cx, before: TaskKey, reported: ReportedTask) -> ReportedTask {
        match self.tasks.get(before).map(|task| task.observed) {
            Some(ended) if ended.is_terminal() && !reported.state.is_terminal() => {
                let reason = format!("task {} is said to live after it ended", reported.task_id);
                self.note(cx, "reregister_agent", reason, Some(&reported.framework_id), None);
                ReportedTask {
                    state: ended,
                    ..reported
                }
            }
            _ => reported,
        }
    }

    /// A task the master had given up (LOST with a disconnected agent) and that lives: not completed any more.
    fn forget_ended(&mut self, framework: FrameworkKey, task_id: &TaskId, agent_id: &AgentId) {
        let ended = self.framework_books.get(framework).and_then(|book| {
            book.completed.iter().copied().find(|key| {
                self.tasks.get(*key).is_some_and(|t| {
                    t.task_id == *task_id && t.agent_id == *agent_id && t.standing != Standing::Held
                })
            })
        });
        if let Some(ended) = ended {
            self.forget_task(ended);
        }
    }

    /// Takes a task from the agent's report; tells the framework if there is news for it.
    fn adopt(
        &mut self,
        cx: &mut Cx,
        agent: AgentKey,
        framework: FrameworkKey,
        reported: ReportedTask,
        news: Option<&str>,
    ) {
        let Some(agent_id) = self.agent_id(agent) else {
            return;
        };
        let mut task = Task {
            task_id: reported.task_id,
            name: reported.name,
            framework_id: reported.framework_id,
            framework,
            agent_id,
            executor_id: reported.executor_id,
            observed: reported.state,
            standing: Standing::Held,
            desired: Desired::Run,
            list: TaskList::Active,
            resources: reported.resources,
            history: History::default(),
            status_update_state: reported.status_update_state,
            status_update_uuid: reported.status_update_uuid,
            kept: reported.kept,
        };
        for status in reported.statuses {
            task.push_status(status);
        }
        let (terminal, resources) = (task.state().is_terminal(), task.resources.clone());
        let key = self.insert_task(task, agent);
        if !terminal {
            self.sharing.allocated(framework, agent, &resources);
        }
        if let Some(task) = self.tasks.share(key) {
            cx.operator(OperatorEvent::TaskAdded(task));
        }
        if let Some(message) = news {
            self.tell_state(cx, key, Reason::AGENT_REREGISTERED, message);
        }
    }

    /// Tasks the master believes on the agent and the agent did not list.
    fn missing_tasks(
        &self,
        agent: AgentKey,
        listed: &BTreeSet<(FrameworkKey, TaskId)>,
    ) -> Vec<(FrameworkId, TaskId)> {
        let Some(book) = self.agent_books.get(agent) else {
            return Vec::new();
        };
        book.tasks
            .iter()
            .filter_map(|key| self.tasks.get(key))
            .filter(|task| !listed.contains(&(task.framework, task.task_id.clone())))
            .map(|task| (task.framework_id.clone(), task.task_id.clone()))
            .collect()
    }

    fn drop_missing_executors(
        &mut self,
        cx: &mut Cx,
        agent: AgentKey,
        reported: &BTreeSet<(FrameworkKey, meseta_types::ExecutorId)>,
    ) {
        let missing: Vec<_> = self
            .agents
            .get(agent)
            .map(|a| {
                a.executors
                    .keys()
                    .filter(|key| !reported.contains(*key))
                    .cloned()
                    .collect()
            })
            .unwrap_or_default();
        for (framework, executor_id) in missing {
            self.remove_executor(cx, agent, framework, &executor_id);
        }
    }

    /// Unreachable tasks the agent did not bring back are not there: reconciliation will say so.
    pub(super) fn forget_lost_tasks(&mut self, agent_id: &AgentId) {
        let lost: Vec<TaskKey> = self
            .unreachable_tasks
            .get(agent_id)
            .map(|keys| keys.iter().copied().collect())
            .unwrap_or_default();
        for key in lost {
            self.forget_task(key);
        }
    }

    /// What came with the agent may be more than its offers leave room for: those are taken back. If even what runs
    /// there is more than it has, it gets no offers until that fits again.
    fn make_room(&mut self, cx: &mut Cx, agent: AgentKey) {
        let Some(entry) = self.agents.get(agent) else {
            return;
        };
        let (mut used, mut offered) = (Resources::new(), Resources::new());
        for by_framework in entry.used.values() {
            used += &by_framework.unallocated();
        }
        for offer in self.offers_of(agent).filter_map(|key| self.offers.get(key)) {
            offered += &offer.resources.unallocated();
        }
        let total = entry.total().unallocated();
        let smaller = !total.contains(&used);
        used += &offered;
        let crowded = !total.contains(&used);
        if let Some(book) = self.agent_books.get_mut(agent) {
            book.came_back_smaller = smaller;
        }
        if crowded {
            self.rescind_offers_of(cx, agent);
        }
    }

    /// Kills the agent missed while it was away.
    fn resend_kills(&mut self, cx: &mut Cx, agent: AgentKey) {
        let kills: Vec<ToAgent> = self
            .agent_books
            .get(agent)
            .into_iter()
            .flat_map(|book| book.tasks.iter())
            .filter_map(|key| self.tasks.get(key))
            .filter(|task| !task.state().is_terminal())
            .filter_map(|task| match &task.desired {
                Desired::Run => None,
                Desired::Kill(kill) => Some(ToAgent::KillTask {
                    framework_id: task.framework_id.clone(),
                    task_id: task.task_id.clone(),
                    kill_policy: kill.kill_policy.clone(),
                    grace: kill.grace,
                }),
            })
            .collect();
        for kill in kills {
            self.send(cx, agent, kill);
        }
    }
}

impl KnownAs {
    /// What the frameworks of its tasks hear: nothing where they may have noticed nothing, and nothing after a
    /// fail-over, when they ask themselves.
    fn news(self) -> Option<&'static str> {
        match self {
            KnownAs::Registered | KnownAs::Recovered => None,
            KnownAs::Unreachable => Some("Unreachable agent re-reregistered"),
            KnownAs::Unknown => Some("Unknown agent reregistered"),
        }
    }
}

/// What became of an inventory.
#[derive(Default)]
struct Taken {
    listed: BTreeSet<(FrameworkKey, TaskId)>,
    executors: BTreeSet<(FrameworkKey, meseta_types::ExecutorId)>,
    /// Known frameworks the agent described: it hears how they are now.
    frameworks: BTreeSet<FrameworkKey>,
    /// Removed frameworks the agent still has something of.
    refused: BTreeSet<FrameworkId>,
    /// Kills of tasks whose id is taken by a task elsewhere.
    doubles: Vec<ToAgent>,
}
