//! Why a framework gets no offers.

use crate::allocator::{Allocator, FrameworkNo, Unfit};
use crate::tree::NodeNo;
use meseta_types::{Mono, Resources, Role};

/// Where a framework stands in a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Waits for offers.
    Waiting,
    /// Suppressed the role.
    Suppressed,
    /// Is not connected.
    Inactive,
    /// Holds resources in the role but is not subscribed in it any more.
    Unsubscribed,
}

/// What keeps offers from a framework in one role: how many agents, by the first reason that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The role.
    pub role: Role,
    /// Whether it wants and may get offers at all.
    pub standing: Standing,
    /// Agents that are disconnected, deactivated or draining.
    pub inactive_agents: usize,
    /// Agents where nothing is free for the role: used, offered, or reserved for others.
    pub nothing_free: usize,
    /// Agents with gpus, which the framework does not know.
    pub gpus: usize,
    /// Agents of another region, which the framework does not know.
    pub other_region: usize,
    /// Agents too old for the framework's roles.
    pub too_old: usize,
    /// Agents with less free than the minimum.
    pub below_minimum: usize,
    /// Agents whose resources it refused.
    pub refused: usize,
    /// When the first of these refusals ends.
    pub first_refusal_ends: Option<Mono>,
    /// Agents it can have in the next cycle, if nobody before it takes them.
    pub offerable: usize,
    /// Whether nothing is offered to anyone until more agents are back.
    pub held_off: bool,
}

impl Allocator {
    /// For each role of the framework, what keeps offers from it. The reasons are those of the cycle itself; costs one
    /// look at each agent per role.
    pub fn explain(&self, framework: FrameworkNo) -> Vec<Explanation> {
        self.clients_of(framework)
            .into_iter()
            .map(|(role, client, standing)| self.explain_client(role, client, standing))
            .collect()
    }

    fn explain_client(&self, role: Role, client: NodeNo, standing: Standing) -> Explanation {
        let mut out = Explanation {
            role,
            standing,
            inactive_agents: 0,
            nothing_free: 0,
            gpus: 0,
            other_region: 0,
            too_old: 0,
            below_minimum: 0,
            refused: 0,
            first_refusal_ends: None,
            offerable: 0,
            held_off: self.is_held_off(),
        };
        for agent in self.all_agents() {
            let count = match self.consider(agent, client, &Resources::new()) {
                Ok(_) => &mut out.offerable,
                Err(Unfit::Inactive) => &mut out.inactive_agents,
                Err(Unfit::NothingFree) => &mut out.nothing_free,
                Err(Unfit::Gpus) => &mut out.gpus,
                Err(Unfit::Region) => &mut out.other_region,
                Err(Unfit::Roles) => &mut out.too_old,
                Err(Unfit::BelowMinimum) => &mut out.below_minimum,
                Err(Unfit::Refused { until }) => {
                    let first = out.first_refusal_ends.map_or(until, |at| at.min(until));
                    out.first_refusal_ends = Some(first);
                    &mut out.refused
                }
            };
            *count += 1;
        }
        out
    }
}
