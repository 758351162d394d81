//! The allocator's entry points: what happened, and who gets what.

mod check;
mod cycle;
mod frameworks;

pub(crate) use cycle::Unfit;

use crate::agent::Agent;
use crate::amounts::{Amounts, Delta, Names};
use crate::config::Config;
use crate::explain::Standing;
use crate::tree::{NodeNo, Tree};
use meseta_types::random::Random;
use meseta_types::resource::Quantities;
use meseta_types::task::Capabilities;
use meseta_types::{FrameworkId, Mono, Resources, Role};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Highest number of an agent or framework: far more than a cluster has, and a table that large still fits.
const NUMBERS_MAX: u32 = 1 << 24;

/// An agent, by the caller's dense number. May be used again after [`Allocator::remove_agent`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AgentNo(pub u32);

/// A framework, by the caller's dense number. May be used again after [`Allocator::remove_framework`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FrameworkNo(pub u32);

/// What keeps an agent from some frameworks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AgentTraits {
    /// It knows frameworks with several roles.
    pub multi_role: bool,
    /// It knows roles with slashes.
    pub hierarchical_roles: bool,
    /// It is in another region than the master.
    pub remote: bool,
}

impl Default for AgentTraits {
    /// A present-day agent in the master's region.
    fn default() -> Self {
        AgentTraits {
            multi_role: true,
            hierarchical_roles: true,
            remote: false,
        }
    }
}

/// What a framework wants and understands.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct FrameworkTerms {
    /// The roles it is subscribed in.
    pub roles: BTreeSet<Role>,
    /// Those of them it wants no offers for.
    pub suppressed: BTreeSet<Role>,
    /// What it understands.
    pub capabilities: Capabilities,
    /// Per role, what an offer must contain one of, instead of the cluster's minimum (empty list: nothing).
    pub min_allocatable: BTreeMap<Role, Vec<Quantities>>,
}

/// How resources came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Return {
    /// A task or executor ended, an offer was rescinded or lost: nobody refused anything.
    Freed,
    /// The framework gave them back unused (a DECLINE, the rest of an ACCEPT).
    Refused {
        /// For how long it wants to see no offer of these resources or less (`refuse_seconds`).
        refuse: Duration,
    },
}

/// One offer to be made.
#[derive(Clone, Debug, PartialEq)]
pub struct Grant {
    /// To whom.
    pub framework: FrameworkNo,
    /// In which role.
    pub role: Role,
    /// Of which agent.
    pub agent: AgentNo,
    /// What, allocated to the role.
    pub resources: Resources,
}

/// A contradiction: the caller's books and these differ, or these do not add up. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("allocator: {0}")]
pub struct Broken(pub String);

#[derive(Clone, Debug)]
struct Framework {
    id: FrameworkId,
    terms: FrameworkTerms,
    active: bool,
    /// Its clients: one for each role it is subscribed in or holds something in.
    clients: BTreeMap<Role, NodeNo>,
    /// Counts launches and revivals: what it gave back before is no measure any more.
    epoch: u64,
}

/// A framework in a role.
#[derive(Clone, Debug)]
struct Client {
    framework: FrameworkNo,
    role: Role,
    /// Agents it holds something of.
    agents: BTreeSet<AgentNo>,
    /// Agents that remember refusals of it.
    refused_on: BTreeSet<AgentNo>,
}

/// While agents come back after a fail-over, nothing is offered.
#[derive(Clone, Copy, Debug)]
struct HoldOff {
    agents_missing: usize,
    until: Mono,
}

/// Decides who is offered what.
#[derive(Clone, Debug)]
pub struct Allocator {
    config: Config,
    random: Random,
    names: Names,
    totals: Amounts,
    tree: Tree,
    agents: Vec<Option<Agent>>,
    frameworks: Vec<Option<Framework>>,
    /// By number of the node.
    clients: Vec<Option<Client>>,
    /// Agents whose free resources, or whose takers, changed.
    dirty: Vec<AgentNo>,
    /// When refusals of a client on an agent want to be looked at.
    timers: BTreeSet<(Mono, AgentNo, NodeNo)>,
    hold_off: Option<HoldOff>,
    /// Kept to save allocations.
    delta: Delta,
}

fn slot<T>(list: &[Option<T>], no: u32) -> Option<&T> {
    list.get(no as usize)?.as_ref()
}

fn slot_mut<T>(list: &mut [Option<T>], no: u32) -> Option<&mut T> {
    list.get_mut(no as usize)?.as_mut()
}

fn put<T>(list: &mut Vec<Option<T>>, no: u32, value: T) {
    if list.len() <= no as usize {
        list.resize_with(no as usize + 1, || None);
    }
    if let Some(slot) = list.get_mut(no as usize) {
        *slot = Some(value);
    }
}

impl Allocator {
    /// An allocator without agents and frameworks. The seed decides the order of agents within a cycle.
    pub fn new(config: Config, seed: u64) -> Allocator {
        Allocator {
            names: Names::new(config.excluded.clone()),
            config,
            random: Random::new(seed),
            totals: Amounts::default(),
            tree: Tree::new(),
            agents: Vec::new(),
            frameworks: Vec::new(),
            clients: Vec::new(),
            dirty: Vec::new(),
            timers: BTreeSet::new(),
            hold_off: None,
            delta: Delta::new(),
        }
    }

    /// Offers nothing until `agents` more agents were added or `timeout` has passed: after a fail-over, shares of the
    /// few agents that are back already say nothing about the cluster.
    pub fn hold_off(&mut self, agents: usize, timeout: Duration, now: Mono) {
        self.hold_off = (agents > 0).then(|| HoldOff {
            agents_missing: agents,
            until: now + timeout,
        });
    }

    /// A new agent, active, with nothing held. Tell what its tasks use with [`Allocator::allocated`] before the next
    /// cycle.
    pub fn add_agent(
        &mut self,
        agent: AgentNo,
        total: &Resources,
        traits: AgentTraits,
    ) -> Result<(), Broken> {
        if agent.0 > NUMBERS_MAX || slot(&self.agents, agent.0).is_some() {
            return Err(Broken(format!("{agent:?} cannot be added")));
        }
        let total = total.unallocated();
        self.names.distinct_scalars(&total, &mut self.delta);
        self.totals.add(&self.delta);
        self.tree.totals_changed();
        let books = Agent::new(total, traits, &self.config.min_allocatable);
        put(&mut self.agents, agent.0, books);
        self.mark(agent);
        if let Some(hold_off) = &mut self.hold_off {
            hold_off.agents_missing = hold_off.agents_missing.saturating_sub(1);
        }
        Ok(())
    }

    /// The agent has other resources or traits now. What is held of it stays held, even if that is more than there is.
    pub fn update_agent(
        &mut self,
        agent: AgentNo,
        total: &Resources,
        traits: AgentTraits,
    ) -> Result<(), Broken> {
        let unknown = || Broken(format!("{agent:?} is unknown"));
        let books = slot_mut(&mut self.agents, agent.0).ok_or_else(unknown)?;
        let total = total.unallocated();
        self.names.distinct_scalars(books.total(), &mut self.delta);
        self.totals.subtract(&self.delta);
        self.names.distinct_scalars(&total, &mut self.delta);
        self.totals.add(&self.delta);
        books.set_total(total, &self.config.min_allocatable);
        books.traits = traits;
        self.tree.totals_changed();
        self.mark(agent);
        Ok(())
    }

    /// The agent is gone, with everything held of it.
    pub fn remove_agent(&mut self, agent: AgentNo) -> Result<(), Broken> {
        let unknown = || Broken(format!("{agent:?} is unknown"));
        slot(&self.agents, agent.0).ok_or_else(unknown)?;
        self.clear_filters(agent);
        let books = self.agents.get_mut(agent.0 as usize).and_then(Option::take);
        let books = books.ok_or_else(unknown)?;
        self.names.distinct_scalars(books.total(), &mut self.delta);
        self.totals.subtract(&self.delta);
        self.tree.totals_changed();
        for (client, held) in books.holdings() {
            self.names.distinct_scalars(held, &mut self.delta);
            self.tree.freed(client, &self.delta, &self.totals);
            if let Some(entry) = slot_mut(&mut self.clients, client.0) {
                entry.agents.remove(&agent);
            }
            self.drop_client_if_idle(client);
        }
        Ok(())
    }

    /// The agent may be offered.
    pub fn activate_agent(&mut self, agent: AgentNo) {
        if let Some(books) = slot_mut(&mut self.agents, agent.0) {
            books.active = true;
            self.mark(agent);
        }
    }

    /// The agent must not be offered (disconnected, deactivated, draining). What is offered of it stays so until it is
    /// given back.
    pub fn deactivate_agent(&mut self, agent: AgentNo) {
        if let Some(books) = slot_mut(&mut self.agents, agent.0) {
            books.active = false;
        }
    }

    /// Forgets every refusal of offers of this agent (its attributes changed).
    pub fn clear_filters(&mut self, agent: AgentNo) {
        let Some(books) = slot(&self.agents, agent.0) else {
            return;
        };
        let clients: Vec<NodeNo> = books.refusing_clients().map(|(c, _)| c).collect();
        for client in clients {
            self.forget_refusals(agent, client);
        }
        self.mark(agent);
    }

    /// The framework has these resources already: tasks and executors of an agent that came back after a fail-over.
    /// Each entry must say the role it is allocated to.
    pub fn allocated(
        &mut self,
        agent: AgentNo,
        framework: FrameworkNo,
        resources: &Resources,
    ) -> Result<(), Broken> {
        if slot(&self.agents, agent.0).is_none() {
            return Err(Broken(format!("{agent:?} is unknown")));
        }
        for (role, part) in by_role(resources)? {
            let client = self.client(framework, &role)?;
            self.give(agent, client, &part);
        }
        Ok(())
    }

    /// Whether the agent is there.
    pub fn knows(&self, agent: AgentNo) -> bool {
        slot(&self.agents, agent.0).is_some()
    }

    /// Has the agent's books fetched: they will soon be changed. See [`Resources::touch`].
    pub fn touch(&self, agent: AgentNo) {
        if let Some(books) = slot(&self.agents, agent.0) {
            books.touch();
        }
    }

    /// The framework launched something: what it gave back before is no measure any more.
    pub fn launched(&mut self, framework: FrameworkNo) {
        if let Some(entry) = slot_mut(&mut self.frameworks, framework.0) {
            entry.epoch += 1;
        }
    }

    /// Resources are back. Each entry must say the role it was allocated to.
    pub fn recover(
        &mut self,
        agent: AgentNo,
        framework: FrameworkNo,
        resources: &Resources,
        how: Return,
        now: Mono,
    ) -> Result<(), Broken> {
        let books = slot(&self.agents, agent.0).ok_or_else(|| Broken(format!("{agent:?} is unknown")))?;
        let clients = slot(&self.frameworks, framework.0).map(|f| &f.clients);
        let mut parts = Vec::new();
        // All of it is there, or none of it is taken.
        for (role, part) in by_role(resources)? {
            let held_by = |client: &&NodeNo| books.held_by(**client).is_some_and(|held| held.contains(&part));
            let client = clients.and_then(|c| c.get(&role)).filter(held_by);
            let not_held = || Broken(format!("{framework:?} does not hold for {role}: {part}"));
            parts.push((*client.ok_or_else(not_held)?, part));
        }
        for (client, part) in parts {
            self.take_back(agent, client, &part)?;
            if let Return::Refused { refuse } = how {
                self.refuse(agent, client, &part, refuse, now);
            }
            self.drop_client_if_idle(client);
        }
        self.mark(agent);
        Ok(())
    }

    /// Sets a role's weight (1 by default). It must be a positive number.
    pub fn set_weight(&mut self, role: &Role, weight: f64) -> Result<(), Broken> {
        if !(weight > 0.0 && weight.is_finite()) {
            return Err(Broken(format!("weight {weight} of {role}")));
        }
        self.tree.set_weight(role, weight);
        Ok(())
    }

    /// When it wants to run next: at once if something changed, else when a refusal ends; never if nothing is pending.
    pub fn deadline(&self) -> Option<Mono> {
        let timer = self.timers.first().map(|(at, _, _)| *at);
        if self.dirty.is_empty() {
            return timer;
        }
        match &self.hold_off {
            Some(hold_off) if hold_off.agents_missing > 0 => Some(hold_off.until),
            _ => Some(Mono(0)),
        }
    }

    /// How many refusals are in force, by role.
    pub fn active_filters(&self) -> BTreeMap<Role, usize> {
        let mut out = BTreeMap::new();
        for (_, agent, client) in &self.timers {
            let in_force = slot(&self.agents, agent.0)
                .and_then(|a| a.refusals(*client))
                .is_some_and(|r| r.any_filter());
            if in_force && let Some(client) = slot(&self.clients, client.0) {
                *out.entry(client.role.clone()).or_insert(0) += 1;
            }
        }
        out
    }

    pub(crate) fn is_held_off(&self) -> bool {
        self.hold_off.is_some_and(|h| h.agents_missing > 0)
    }

    pub(crate) fn all_agents(&self) -> impl Iterator<Item = &Agent> {
        self.agents.iter().flatten()
    }

    /// Where the framework stands in each of its roles.
    pub(crate) fn clients_of(&self, framework: FrameworkNo) -> Vec<(Role, NodeNo, Standing)> {
        let Some(entry) = slot(&self.frameworks, framework.0) else {
            return Vec::new();
        };
        let standing = |role: &Role| {
            if !entry.terms.roles.contains(role) {
                Standing::Unsubscribed
            } else if !entry.active {
                Standing::Inactive
            } else if entry.terms.suppressed.contains(role) {
                Standing::Suppressed
            } else {
                Standing::Waiting
            }
        };
        let clients = entry.clients.iter();
        clients
            .map(|(role, client)| (role.clone(), *client, standing(role)))
            .collect()
    }

    fn mark(&mut self, agent: AgentNo) {
        if let Some(books) = slot_mut(&mut self.agents, agent.0)
            && !books.dirty
        {
            books.dirty = true;
            self.dirty.push(agent);
        }
    }

    /// Someone may want what others left lying: every agent with something to offer is looked at again.
    fn mark_all(&mut self) {
        for no in 0..self.agents.len() as u32 {
            if slot(&self.agents, no).is_some_and(|a| a.active && !a.free().is_empty()) {
                self.mark(AgentNo(no));
            }
        }
    }

    fn give(&mut self, agent: AgentNo, client: NodeNo, resources: &Resources) {
        let Some(books) = slot_mut(&mut self.agents, agent.0) else {
            return;
        };
        // A shared resource counts once for a client and agent, however many copies it holds.
        if resources.iter().any(|r| r.traits.shared) {
            let held = books.held_by(client).cloned().unwrap_or_default();
            change(&mut self.names, &held, &(&held + resources), &mut self.delta);
        } else {
            self.names.scalars(resources, &mut self.delta);
        }
        let first = books.give(client, resources, &self.config.min_allocatable);
        self.tree.allocated(client, &self.delta, &self.totals);
        if first && let Some(entry) = slot_mut(&mut self.clients, client.0) {
            entry.agents.insert(agent);
        }
    }

    fn take_back(&mut self, agent: AgentNo, client: NodeNo, resources: &Resources) -> Result<(), Broken> {
        let unknown = || Broken(format!("{agent:?} is unknown"));
        let books = slot_mut(&mut self.agents, agent.0).ok_or_else(unknown)?;
        if resources.iter().any(|r| r.traits.shared) {
            let held = books.held_by(client).cloned().unwrap_or_default();
            change(&mut self.names, &(&held - resources), &held, &mut self.delta);
        } else {
            self.names.scalars(resources, &mut self.delta);
        }
        books.take_back(client, resources, &self.config.min_allocatable)?;
        let holds_more = books.held_by(client).is_some();
        self.tree.freed(client, &self.delta, &self.totals);
        if !holds_more && let Some(entry) = slot_mut(&mut self.clients, client.0) {
            entry.agents.remove(&agent);
        }
        Ok(())
    }

    fn refuse(&mut self, agent: AgentNo, client: NodeNo, resources: &Resources, refuse: Duration, now: Mono) {
        let Some(entry) = slot_mut(&mut self.clients, client.0) else {
            return;
        };
        let epoch = slot(&self.frameworks, entry.framework.0).map_or(0, |f| f.epoch);
        let Some(books) = slot_mut(&mut self.agents, agent.0) else {
            return;
        };
        if books.refusals(client).is_none() {
            entry.refused_on.insert(agent);
        }
        let refusals = books.refusals_mut(client);
        refusals.refuse(resources, refuse, epoch, self.config.interval, now);
        if let Some((at, before)) = refusals.set_timer() {
            if let Some(before) = before {
                self.timers.remove(&(before, agent, client));
            }
            self.timers.insert((at, agent, client));
        }
    }

    fn forget_refusals(&mut self, agent: AgentNo, client: NodeNo) {
        if let Some(books) = slot_mut(&mut self.agents, agent.0)
            && let Some(refusals) = books.refusals(client)
        {
            if let Some(timer) = refusals.timer() {
                self.timers.remove(&(timer, agent, client));
            }
            books.forget_refusals(client);
        }
        if let Some(entry) = slot_mut(&mut self.clients, client.0) {
            entry.refused_on.remove(&agent);
        }
    }
}

/// What the sum of `after` has beyond that of `before`; shared resources count once in each.
fn change(names: &mut Names, before: &Resources, after: &Resources, out: &mut Delta) {
    let mut minus = Delta::new();
    names.distinct_scalars(before, &mut minus);
    names.distinct_scalars(after, out);
    out.extend(minus.into_iter().map(|(no, milli)| (no, -milli)));
}

/// The parts allocated to each role, without the allocation. Nearly always there is one.
fn by_role(resources: &Resources) -> Result<Vec<(Role, Resources)>, Broken> {
    let mut roles = resources.iter().map(|r| r.allocation.as_ref());
    let Some(first) = roles.next() else {
        return Ok(Vec::new());
    };
    let nobody = || Broken(format!("not allocated to a role: {resources}"));
    let role = first.ok_or_else(nobody)?;
    if roles.all(|r| r == first) {
        return Ok(vec![(role.clone(), resources.unallocated())]);
    }
    if resources.iter().any(|r| r.allocation.is_none()) {
        return Err(nobody());
    }
    let part = |role: &Role| {
        resources
            .filter(|r| r.allocation.as_ref() == Some(role))
            .unallocated()
    };
    Ok(resources
        .allocations()
        .into_iter()
        .map(|role| {
            let part = part(&role);
            (role, part)
        })
        .collect())
}
