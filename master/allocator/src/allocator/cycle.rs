//! One cycle: for each agent that changed, the first in line that can use it gets what it may have of it.

use super::{AgentNo, Allocator, Grant, slot, slot_mut};
use crate::agent::{Agent, reaches};
use crate::tree::NodeNo;
use meseta_types::{Mono, Resources};

/// Why an agent is not for a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// The agent gets no offers at all at present.
    Inactive,
    /// Nothing is free for the role: used, offered, or reserved for others.
    NothingFree,
    /// It has gpus and the framework does not know them.
    Gpus,
    /// It is in another region and the framework does not know regions.
    Region,
    /// It is too old for the framework's roles.
    Roles,
    /// Less than the minimum is free.
    BelowMinimum,
    /// The framework refused these resources.
    Refused {
        /// Until when, at the latest.
        until: Mono,
    },
}

impl Allocator {
    /// Decides who gets what is free on the agents that changed, and appends it to `out`.
    ///
    /// Idempotent: without a change in between, a second run grants nothing.
    pub fn allocate(&mut self, now: Mono, out: &mut Vec<Grant>) {
        self.expire(now);
        if let Some(hold_off) = &self.hold_off {
            if hold_off.agents_missing > 0 && now < hold_off.until {
                return;
            }
            self.hold_off = None;
        }
        self.tree.refresh(&self.totals);
        let mut agents = std::mem::take(&mut self.dirty);
        self.random.shuffle(&mut agents);
        for agent in agents.drain(..) {
            self.serve(agent, out);
        }
        self.dirty = agents; // empty again: its memory is kept
    }

    fn serve(&mut self, agent: AgentNo, out: &mut Vec<Grant>) {
        match slot_mut(&mut self.agents, agent.0) {
            Some(books) => books.dirty = false,
            None => return,
        }
        // A shared resource is offered once per cycle and agent, though it stays free.
        let mut shared_given = Resources::new();
        while let Some((client, resources)) = self.next_taker(agent, &shared_given) {
            shared_given += resources.filter(|r| r.traits.shared);
            self.grant(agent, client, resources, out);
        }
    }

    /// The first client in line that the agent is for, and what it may have.
    fn next_taker(&self, agent: AgentNo, shared_given: &Resources) -> Option<(NodeNo, Resources)> {
        let books = slot(&self.agents, agent.0)?;
        if !books.active || books.free().is_empty() {
            return None;
        }
        self.tree.in_order().find_map(|client| {
            let resources = self.consider(books, client, shared_given).ok()?;
            Some((client, resources))
        })
    }

    /// What of the agent the client may have now, or why nothing.
    pub(crate) fn consider(
        &self,
        books: &Agent,
        client: NodeNo,
        shared_given: &Resources,
    ) -> Result<Resources, Unfit> {
        let Some((entry, framework)) =
            slot(&self.clients, client.0).and_then(|c| Some((c, slot(&self.frameworks, c.framework.0)?)))
        else {
            return Err(Unfit::NothingFree);
        };
        let (role, terms) = (&entry.role, &framework.terms);
        let knows = terms.capabilities;
        if !books.active {
            return Err(Unfit::Inactive);
        }
        if books.has_gpus && self.config.filter_gpus && !knows.gpu_resources {
            return Err(Unfit::Gpus);
        }
        if books.traits.remote && !knows.region_aware {
            return Err(Unfit::Region);
        }
        if knows.multi_role && !books.traits.multi_role
            || !books.traits.hierarchical_roles && role.parent().is_some()
        {
            return Err(Unfit::Roles);
        }
        let offered = if books.plain {
            books.free().clone()
        } else {
            books.free().filter(|r| {
                r.is_allocatable_to(role)
                    && (knows.shared_resources || !r.traits.shared)
                    && (knows.revocable_resources || !r.traits.revocable)
                    && (knows.reservation_refinement || r.traits.reservations.len() < 2)
                    && !(r.traits.shared && shared_given.iter().any(|given| given == r))
            })
        };
        if offered.is_empty() {
            return Err(Unfit::NothingFree);
        }
        let enough = match terms.min_allocatable.get(role) {
            Some(own) => reaches(&offered, own),
            None if books.plain => books.worth_offering,
            None => reaches(&offered, &self.config.min_allocatable),
        };
        if !enough {
            return Err(Unfit::BelowMinimum);
        }
        match books.refusals(client) {
            Some(refusals) if refusals.hide(&offered) => Err(Unfit::Refused {
                until: refusals.last_until().unwrap_or_default(),
            }),
            _ => Ok(offered),
        }
    }

    fn grant(&mut self, agent: AgentNo, client: NodeNo, resources: Resources, out: &mut Vec<Grant>) {
        self.give(agent, client, &resources);
        if let Some(entry) = slot(&self.clients, client.0) {
            out.push(Grant {
                framework: entry.framework,
                role: entry.role.clone(),
                agent,
                resources: resources.allocated_to(&entry.role),
            });
        }
    }

    /// Ends the refusals whose time has come.
    fn expire(&mut self, now: Mono) {
        while let Some((at, agent, client)) = self.timers.first().copied() {
            if at > now {
                return;
            }
            self.timers.pop_first();
            let Some(books) = slot_mut(&mut self.agents, agent.0) else {
                continue;
            };
            let refusals = books.refusals_mut(client);
            refusals.timer_gone();
            let visible = refusals.expire(now);
            if refusals.is_over(now) {
                books.forget_refusals(client);
                if let Some(entry) = slot_mut(&mut self.clients, client.0) {
                    entry.refused_on.remove(&agent);
                }
            } else if let Some((next, _)) = refusals.set_timer() {
                self.timers.insert((next, agent, client));
            }
            if visible {
                self.mark(agent);
            }
        }
    }
}
