//! The allocator by the core's own handles, and its defects kept in one place.
//!
//! A contradiction between its books and ours is our own fault: it is collected here, noted after the step, and fails
//! [`crate::MasterCore::check`].

use crate::config::Config;
use crate::pages::{AgentKey, FrameworkKey, Handle};
use crate::state::{Agent, Framework};
use meseta_allocator::{
    AgentNo, AgentTraits, Allocator, Broken, Explanation, FrameworkNo, FrameworkTerms, Grant, Return,
};
use meseta_types::{Mono, Now, Resources, Role};
use std::collections::BTreeSet;
use std::time::Duration;

#[derive(Debug)]
pub(super) struct Sharing {
    allocator: Allocator,
    defects: Vec<Broken>,
}

/// One offer to be made.
#[derive(Debug)]
pub(super) struct Allocation {
    pub(super) framework: FrameworkKey,
    pub(super) role: Role,
    pub(super) agent: AgentKey,
    pub(super) resources: Resources,
}

impl Sharing {
    pub(super) fn new(config: &Config) -> Sharing {
        let settings = meseta_allocator::Config {
            interval: config.allocation_interval,
            min_allocatable: config.min_allocatable_resources.clone(),
            excluded: config.fair_sharing_excluded_resource_names.clone(),
            filter_gpus: config.filter_gpu_resources,
        };
        Sharing {
            allocator: Allocator::new(settings, config.seed),
            defects: Vec::new(),
        }
    }

    fn keep<T>(&mut self, result: Result<T, Broken>) {
        if let Err(broken) = result {
            self.defects.push(broken);
        }
    }

    /// Defects since the last time.
    pub(super) fn take_defects(&mut self) -> Vec<Broken> {
        std::mem::take(&mut self.defects)
    }

    /// A new agent, active, with nothing in use.
    pub(super) fn add_agent(&mut self, agent: AgentKey, entry: &Agent) {
        let result = self
            .allocator
            .add_agent(agent_no(agent), entry.total(), traits(entry));
        self.keep(result);
    }

    /// The agent has other resources or capabilities.
    pub(super) fn update_agent(&mut self, agent: AgentKey, entry: &Agent) {
        let result = self
            .allocator
            .update_agent(agent_no(agent), entry.total(), traits(entry));
        self.keep(result);
    }

    /// The agent's attributes changed: refusals of it were about another agent.
    pub(super) fn clear_filters(&mut self, agent: AgentKey) {
        self.allocator.clear_filters(agent_no(agent));
    }

    /// Everything in use or offered there must have been given back.
    pub(super) fn remove_agent(&mut self, agent: AgentKey) {
        let result = self.allocator.remove_agent(agent_no(agent));
        self.keep(result);
    }

    pub(super) fn set_agent_active(&mut self, agent: AgentKey, active: bool) {
        if active {
            self.allocator.activate_agent(agent_no(agent));
        } else {
            self.allocator.deactivate_agent(agent_no(agent));
        }
    }

    pub(super) fn add_framework(&mut self, framework: FrameworkKey, entry: &Framework) {
        let result = self
            .allocator
            .add_framework(framework_no(framework), &entry.id, terms(entry), false);
        self.keep(result);
    }

    pub(super) fn update_framework(&mut self, framework: FrameworkKey, entry: &Framework) {
        let result = self
            .allocator
            .update_framework(framework_no(framework), terms(entry));
        self.keep(result);
    }

    /// Everything it used or was offered must have been given back.
    pub(super) fn remove_framework(&mut self, framework: FrameworkKey) {
        let result = self.allocator.remove_framework(framework_no(framework));
        self.keep(result);
    }

    /// An inactive framework gets no offers; its filters are forgotten.
    pub(super) fn set_framework_active(&mut self, framework: FrameworkKey, active: bool) {
        let result = if active {
            self.allocator.activate_framework(framework_no(framework))
        } else {
            self.allocator.deactivate_framework(framework_no(framework))
        };
        self.keep(result);
    }

    pub(super) fn revive(&mut self, framework: FrameworkKey, roles: &BTreeSet<Role>) {
        let result = self.allocator.revive(framework_no(framework), roles);
        self.keep(result);
    }

    pub(super) fn suppress(&mut self, framework: FrameworkKey, roles: &BTreeSet<Role>) {
        let result = self.allocator.suppress(framework_no(framework), roles);
        self.keep(result);
    }

    /// In use already: it came with an agent.
    pub(super) fn allocated(&mut self, framework: FrameworkKey, agent: AgentKey, what: &Resources) {
        let result = self
            .allocator
            .allocated(agent_no(agent), framework_no(framework), what);
        self.keep(result);
    }

    /// Whether the allocator has the agent.
    pub(super) fn knows(&self, agent: AgentKey) -> bool {
        self.allocator.knows(agent_no(agent))
    }

    /// The agent's books will soon be changed.
    pub(super) fn touch(&self, agent: AgentKey) {
        self.allocator.touch(agent_no(agent));
    }

    /// The framework makes use of its offers.
    pub(super) fn launched(&mut self, framework: FrameworkKey) {
        self.allocator.launched(framework_no(framework));
    }

    /// Resources are back; unused ones with the time they shall not be offered again.
    pub(super) fn recover(
        &mut self,
        now: Now,
        framework: FrameworkKey,
        agent: AgentKey,
        what: &Resources,
        refuse: Option<Duration>,
    ) {
        let how = match refuse {
            Some(refuse) => Return::Refused { refuse },
            None => Return::Freed,
        };
        let result = self
            .allocator
            .recover(agent_no(agent), framework_no(framework), what, how, now.mono);
        self.keep(result);
    }

    /// When it wants to run.
    pub(super) fn deadline(&self) -> Option<Mono> {
        self.allocator.deadline()
    }

    /// Decides, if there is something to decide.
    pub(super) fn allocate(&mut self, now: Now) -> impl Iterator<Item = Allocation> + use<> {
        let mut grants: Vec<Grant> = Vec::new();
        if self.allocator.deadline().is_some_and(|at| at <= now.mono) {
            self.allocator.allocate(now.mono, &mut grants);
        }
        grants.into_iter().map(|grant| Allocation {
            framework: FrameworkKey::from_index(grant.framework.0),
            role: grant.role,
            agent: AgentKey::from_index(grant.agent.0),
            resources: grant.resources,
        })
    }

    /// Why a framework gets no offers.
    pub(super) fn explain(&self, framework: FrameworkKey) -> Vec<Explanation> {
        self.allocator.explain(framework_no(framework))
    }

    /// The allocator's own sums, and the defects found so far in this step.
    pub(super) fn check(&self) -> Result<(), crate::refusal::Broken> {
        self.allocator
            .check()
            .map_err(|broken| crate::refusal::Broken(broken.to_string()))?;
        match self.defects.first() {
            Some(broken) => Err(crate::refusal::Broken(broken.to_string())),
            None => Ok(()),
        }
    }
}

fn agent_no(agent: AgentKey) -> AgentNo {
    AgentNo(agent.index())
}

fn framework_no(framework: FrameworkKey) -> FrameworkNo {
    FrameworkNo(framework.index())
}

fn traits(agent: &Agent) -> AgentTraits {
    let has = |name: &str| agent.spec.capabilities.iter().any(|c| &**c == name);
    AgentTraits {
        multi_role: has("MULTI_ROLE"),
        hierarchical_roles: has("HIERARCHICAL_ROLE"),
        ..AgentTraits::default()
    }
}

fn terms(framework: &Framework) -> FrameworkTerms {
    FrameworkTerms {
        roles: framework.spec.roles.iter().cloned().collect(),
        suppressed: framework.suppressed_roles.clone(),
        capabilities: framework.spec.capabilities,
        ..FrameworkTerms::default()
    }
}
