//! One agent: what it has, who holds what of it, what is free.

use crate::allocator::{AgentTraits, Broken};
use crate::filter::Refusals;
use crate::tree::NodeNo;
use meseta_types::resource::Quantities;
use meseta_types::{Resource, Resources};
use smallvec::SmallVec;

/// An agent's books. Everything in here is unallocated: the client says for which role it is.
#[derive(Clone, Debug)]
pub(crate) struct Agent {
    total: Resources,
    /// The sum of `holdings`.
    held: Resources,
    /// What may be offered: nothing at all while more is held than there is.
    free: Resources,
    /// `free` and `held` are `total`, entry by entry, so that the one can follow the other without a look at the whole.
    exact: bool,
    /// Offered to or used by each client, by client. Most agents work for one at a time.
    holdings: SmallVec<[(NodeNo, Resources); 1]>,
    /// What clients refused, by client.
    refusals: SmallVec<[(NodeNo, Refusals); 1]>,
    pub(crate) traits: AgentTraits,
    pub(crate) active: bool,
    /// Waits in the allocator's list of agents to look at.
    pub(crate) dirty: bool,
    pub(crate) has_gpus: bool,
    /// No entry of the total needs a second look: nothing is reserved, shared or revocable.
    pub(crate) plain: bool,
    /// `free` reaches the minimum of the cluster's configuration.
    pub(crate) worth_offering: bool,
}

impl Agent {
    pub(crate) fn new(total: Resources, traits: AgentTraits, minimum: &[Quantities]) -> Agent {
        let mut agent = Agent {
            total: Resources::new(),
            held: Resources::new(),
            free: Resources::new(),
            exact: false,
            holdings: SmallVec::new(),
            refusals: SmallVec::new(),
            traits,
            active: true,
            dirty: false,
            has_gpus: false,
            plain: true,
            worth_offering: false,
        };
        agent.set_total(total, minimum);
        agent
    }

    pub(crate) fn set_total(&mut self, total: Resources, minimum: &[Quantities]) {
        self.has_gpus = !total.scalar("gpus").eq(&meseta_types::Scalar::ZERO);
        self.plain = total
            .iter()
            .all(|r| r.traits.reservations.is_empty() && !r.traits.shared && !r.traits.revocable);
        self.total = total;
        self.recompute(minimum);
    }

    /// See [`Resources::touch`].
    pub(crate) fn touch(&self) {
        self.holdings.iter().for_each(|(_, held)| held.touch());
        self.refusals.iter().for_each(|(_, refusals)| refusals.touch());
        self.free.touch();
        std::hint::black_box(self.dirty);
    }

    pub(crate) fn total(&self) -> &Resources {
        &self.total
    }

    pub(crate) fn free(&self) -> &Resources {
        &self.free
    }

    pub(crate) fn holdings(&self) -> impl Iterator<Item = (NodeNo, &Resources)> {
        self.holdings.iter().map(|(client, held)| (*client, held))
    }

    pub(crate) fn held_by(&self, client: NodeNo) -> Option<&Resources> {
        let at = position(&self.holdings, client).ok()?;
        self.holdings.get(at).map(|(_, held)| held)
    }

    fn recompute(&mut self, minimum: &[Quantities]) {
        // Shared resources are free however often they are held.
        let (single, shared) = if self.plain {
            (self.total.clone(), Resources::new())
        } else {
            let shared = |r: &Resource| r.traits.shared;
            (self.total.filter(|r| !shared(r)), self.total.filter(shared))
        };
        let rest = single.checked_sub(&self.held.filter(|r| !r.traits.shared));
        self.exact = self.plain && rest.is_some();
        self.free = rest.map(|rest| rest + shared).unwrap_or_default();
        self.worth_offering = reaches(&self.free, minimum);
    }

    /// The client gets `resources`, whether they are free or (known from before a fail-over) not. Says whether it held
    /// nothing before.
    pub(crate) fn give(&mut self, client: NodeNo, resources: &Resources, minimum: &[Quantities]) -> bool {
        let is_free = self.exact && self.free.contains(resources);
        let shared = self.has_others(client);
        if shared {
            self.held += resources;
        } else {
            self.held = Resources::new();
        }
        let place = position(&self.holdings, client);
        match place {
            Ok(at) => {
                if let Some((_, held)) = self.holdings.get_mut(at) {
                    *held += resources;
                }
            }
            Err(at) => self.holdings.insert(at, (client, resources.clone())),
        }
        if !shared {
            self.hold_one();
        }
        if is_free {
            self.free -= resources;
            self.worth_offering = reaches(&self.free, minimum);
        } else {
            self.recompute(minimum);
        }
        place.is_err()
    }

    fn has_others(&self, client: NodeNo) -> bool {
        self.holdings.iter().any(|(holder, _)| *holder != client)
    }

    /// With one holder at most, what is held is what it holds: one bag in memory instead of two equal ones.
    fn hold_one(&mut self) {
        self.held = self
            .holdings
            .first()
            .map(|(_, held)| held.clone())
            .unwrap_or_default();
    }

    /// The client gives `resources` back; nothing changes if it does not have them.
    pub(crate) fn take_back(
        &mut self,
        client: NodeNo,
        resources: &Resources,
        minimum: &[Quantities],
    ) -> Result<(), Broken> {
        let holds_not = || Broken(format!("given back but not held: {resources}"));
        let at = position(&self.holdings, client).map_err(|_| holds_not())?;
        let (_, held) = self.holdings.get(at).ok_or_else(holds_not)?;
        if !held.contains(resources) {
            return Err(holds_not());
        }
        let shared = self.has_others(client);
        if shared {
            self.held -= resources;
        } else {
            self.held = Resources::new();
        }
        if let Some((_, held)) = self.holdings.get_mut(at) {
            *held -= resources;
            if held.is_empty() {
                self.holdings.remove(at);
            }
        }
        if !shared {
            self.hold_one();
        }
        if self.exact {
            self.free += resources;
            self.worth_offering = reaches(&self.free, minimum);
        } else {
            self.recompute(minimum);
        }
        Ok(())
    }

    pub(crate) fn refusals(&self, client: NodeNo) -> Option<&Refusals> {
        let at = position(&self.refusals, client).ok()?;
        self.refusals.get(at).map(|(_, refusals)| refusals)
    }

    pub(crate) fn refusing_clients(&self) -> impl Iterator<Item = (NodeNo, &Refusals)> {
        self.refusals.iter().map(|(client, r)| (*client, r))
    }

    pub(crate) fn refusals_mut(&mut self, client: NodeNo) -> &mut Refusals {
        let at = match position(&self.refusals, client) {
            Ok(at) => at,
            Err(at) => {
                self.refusals.insert(at, (client, Refusals::default()));
                at
            }
        };
        &mut self.refusals[at].1
    }

    pub(crate) fn forget_refusals(&mut self, client: NodeNo) {
        if let Ok(at) = position(&self.refusals, client) {
            self.refusals.remove(at);
        }
    }

    /// Recomputes every sum.
    pub(crate) fn check(&self, minimum: &[Quantities]) -> Result<(), String> {
        let held = self
            .holdings
            .iter()
            .fold(Resources::new(), |sum, (_, held)| sum + held);
        if held != self.held {
            return Err(format!("held {}, clients hold {held}", self.held));
        }
        if self.holdings.iter().any(|(_, held)| held.is_empty()) {
            return Err("an empty holding".to_owned());
        }
        let mut again = self.clone();
        again.recompute(minimum);
        if again.exact != self.exact || again.free != self.free || again.worth_offering != self.worth_offering
        {
            return Err(format!("free {}, should be {}", self.free, again.free));
        }
        let single = |r: &Resources| r.filter(|r| !r.traits.shared);
        let sum = single(&self.free) + single(&self.held);
        if !self.free.is_empty() && !self.total.contains(&sum) {
            return Err(format!("free and held are {sum} of {}", self.total));
        }
        Ok(())
    }
}

fn position<T>(list: &[(NodeNo, T)], client: NodeNo) -> Result<usize, usize> {
    list.binary_search_by_key(&client, |(c, _)| *c)
}

/// Whether one of the alternatives is there; no alternatives: anything is enough.
pub(crate) fn reaches(resources: &Resources, minimum: &[Quantities]) -> bool {
    !resources.is_empty() && (minimum.is_empty() || minimum.iter().any(|m| resources.contains_quantities(m)))
}
