//! What readers see: everything at one moment, unchanging, cheap to take.
//!
//! A view shares its entries with the core (see [`crate::pages`]). Lookups by text id and sums over many entries are the
//! reader's work, off the core's task.

use crate::counters::Counters;
use crate::pages::{AgentKey, FrameworkKey, OfferKey, Snapshot, TaskKey};
use crate::refusal::Note;
use crate::state::{Agent, Framework, FrameworkState, Offer, RecoveredAgent, Task, Usage};
use meseta_types::{AgentId, FrameworkId, Resources, Wall};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The cluster at one moment.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// Tasks of all lists and frameworks; [`Task::list`] tells them apart.
    pub tasks: Snapshot<TaskKey, Task>,
    /// Registered agents.
    pub agents: Snapshot<AgentKey, Agent>,
    /// Agents from the registry that are not back yet.
    pub recovered_agents: Arc<BTreeMap<AgentId, RecoveredAgent>>,
    /// Agents marked unreachable, and when.
    pub unreachable_agents: Arc<BTreeMap<AgentId, Wall>>,
    /// Agents marked gone, and when.
    pub gone_agents: Arc<BTreeMap<AgentId, Wall>>,
    /// Frameworks, completed ones included; [`Framework::state`] tells them apart.
    pub frameworks: Snapshot<FrameworkKey, Framework>,
    /// Outstanding offers.
    pub offers: Snapshot<OfferKey, Offer>,
    /// Counters.
    pub counters: Counters,
    /// The last dropped messages, oldest first.
    pub notes: Vec<Note>,
}

impl View {
    /// A framework that is not completed, by its id.
    pub fn framework(&self, id: &FrameworkId) -> Option<(FrameworkKey, &Arc<Framework>)> {
        self.frameworks
            .iter()
            .find(|(_, f)| f.id == *id && f.state != FrameworkState::Completed)
    }

    /// A registered agent, by its id.
    pub fn agent(&self, id: &AgentId) -> Option<(AgentKey, &Arc<Agent>)> {
        self.agents.iter().find(|(_, a)| a.id == *id)
    }

    /// What each framework has, over all agents.
    pub fn usage(&self) -> BTreeMap<FrameworkKey, Usage> {
        let mut sums: BTreeMap<FrameworkKey, Usage> = BTreeMap::new();
        for (framework, used) in self.agents.iter().flat_map(|(_, agent)| agent.used.iter()) {
            sums.entry(framework).or_default().used += used;
        }
        for (_, offer) in self.offers.iter() {
            sums.entry(offer.framework).or_default().offered += &offer.resources;
        }
        sums
    }

    /// What of each agent is offered, over all frameworks.
    pub fn offered(&self) -> BTreeMap<AgentKey, Resources> {
        let mut sums: BTreeMap<AgentKey, Resources> = BTreeMap::new();
        for (_, offer) in self.offers.iter() {
            *sums.entry(offer.agent).or_default() += &offer.resources;
        }
        sums
    }
}
