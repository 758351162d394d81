//! Offers come and go: made by the allocator's decision, rescinded, run out, given back.
//!
//! An offer ends once: whoever takes it out of the table decides what becomes of its resources.

use super::{Cx, MasterCore, Timer};
use crate::io::{Event, Filters};
use crate::pages::{AgentKey, FrameworkKey, OfferKey};
use crate::state::{Offer, OfferNumber};
use meseta_types::OfferId;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

impl MasterCore {
    /// Lets the allocator run if something changed, and offers what it decided.
    pub(super) fn allocate(&mut self, cx: &mut Cx) {
        let mut offers: BTreeMap<FrameworkKey, Vec<Arc<Offer>>> = BTreeMap::new();
        for allocation in self.sharing.allocate(cx.now) {
            let framework = allocation.framework;
            let Some(key) = self.make_offer(&allocation) else {
                // Known to the allocator and not to us: a defect; the resources must not be lost over it.
                let super::sharing::Allocation {
                    framework,
                    agent,
                    resources,
                    ..
                } = &allocation;
                self.sharing.recover(cx.now, *framework, *agent, resources, None);
                self.note(cx, "offer", "the allocator offers what is not there", None, None);
                continue;
            };
            if let Some(timeout) = self.config.offer_timeout {
                self.timers.set(Timer::Offer(key), cx.now.mono + timeout);
            }
            offers
                .entry(framework)
                .or_default()
                .extend(self.offers.share(key));
        }
        for (framework, offers) in offers {
            if let Some(entry) = self.frameworks.get_mut(framework) {
                entry.counters.offers_sent += offers.len() as u64;
                let capabilities = entry.spec.capabilities;
                self.tell(cx, framework, Event::Offers { offers, capabilities });
            }
        }
    }

    fn make_offer(&mut self, allocation: &super::sharing::Allocation) -> Option<OfferKey> {
        let super::sharing::Allocation {
            framework,
            role,
            agent,
            resources,
        } = allocation;
        let entry = self.agents.get(*agent)?;
        let framework_id = self.frameworks.get(*framework)?.id.clone();
        let executor_ids = entry
            .executors
            .keys()
            .filter(|(f, _)| f == framework)
            .map(|(_, id)| id.clone())
            .collect();
        let offer = Offer {
            id: OfferNumber {
                master_id: self.config.master_id.clone(),
                number: self.next_offer,
            },
            framework_id,
            framework: *framework,
            agent_id: entry.id.clone(),
            agent: *agent,
            spec: entry.spec.clone(),
            role: role.clone(),
            resources: resources.clone(),
            executor_ids,
        };
        self.next_offer += 1;
        Some(self.insert_offer(offer))
    }

    pub(super) fn offer_timed_out(&mut self, cx: &mut Cx, offer: OfferKey) {
        self.rescind(cx, offer);
    }

    /// Takes an offer back: the framework is told, the resources return without a filter.
    fn rescind(&mut self, cx: &mut Cx, key: OfferKey) {
        let Some(offer) = self.take_offer(key) else { return };
        self.sharing
            .recover(cx.now, offer.framework, offer.agent, &offer.resources, None);
        if let Some(entry) = self.frameworks.get_mut(offer.framework) {
            entry.counters.offers_rescinded += 1;
        }
        self.tell(
            cx,
            offer.framework,
            Event::Rescind {
                offer_id: offer.id.id(),
            },
        );
    }

    pub(super) fn rescind_offers_of(&mut self, cx: &mut Cx, agent: AgentKey) {
        let offers: Vec<OfferKey> = self.offers_of(agent).collect();
        for key in offers {
            self.rescind(cx, key);
        }
    }

    /// The outstanding offer of this id.
    pub(super) fn offer_key(&self, id: &OfferId) -> Option<OfferKey> {
        let number = OfferNumber::in_id(&self.config.master_id, id)?;
        self.offer_numbers.get(&number)
    }

    /// Outstanding offers of an agent, in their order.
    pub(super) fn offers_of(&self, agent: AgentKey) -> impl Iterator<Item = OfferKey> {
        let book = self.agent_books.get(agent);
        book.into_iter().flat_map(|book| book.offers.iter())
    }

    /// The framework left some of its roles: offers for those are taken back.
    pub(super) fn rescind_offers_of_lost_roles(&mut self, cx: &mut Cx, framework: FrameworkKey) {
        let Some(spec) = self.frameworks.get(framework).map(|f| f.spec.clone()) else {
            return;
        };
        for key in self.offers_to(framework) {
            if self
                .offers
                .get(key)
                .is_some_and(|o| !spec.roles.contains(&o.role))
            {
                self.rescind(cx, key);
            }
        }
    }

    /// The framework is not listening: its offers end in silence, the resources return without a filter.
    pub(super) fn discard_offers_to(&mut self, cx: &mut Cx, framework: FrameworkKey) {
        for key in self.offers_to(framework) {
            self.give_back(cx, key, None);
        }
    }

    /// Outstanding offers to a framework, in their order.
    pub(super) fn offers_to(&self, framework: FrameworkKey) -> BTreeSet<OfferKey> {
        let book = self.framework_books.get(framework);
        let agents = book.into_iter().flat_map(|book| book.agents.iter());
        agents
            .flat_map(|agent| self.offers_of(*agent))
            .filter(|key| self.offers.get(*key).is_some_and(|o| o.framework == framework))
            .collect()
    }

    /// An offer ends unused.
    pub(super) fn give_back(&mut self, cx: &mut Cx, key: OfferKey, filters: Option<Filters>) {
        if let Some(offer) = self.take_offer(key) {
            let refuse = filters.map(|f| f.refuse);
            self.sharing
                .recover(cx.now, offer.framework, offer.agent, &offer.resources, refuse);
        }
    }

    /// `DECLINE`: unknown offers and those of others are ignored.
    pub(super) fn decline(
        &mut self,
        cx: &mut Cx,
        framework: FrameworkKey,
        offer_ids: &[OfferId],
        filters: Filters,
    ) {
        let mut unknown = Vec::new();
        for id in offer_ids {
            let own = self
                .offer_key(id)
                .filter(|key| self.offers.get(*key).is_some_and(|o| o.framework == framework));
            match own {
                Some(key) => {
                    self.give_back(cx, key, Some(filters));
                    if let Some(entry) = self.frameworks.get_mut(framework) {
                        entry.counters.offers_declined += 1;
                    }
                }
                None => unknown.push(id),
            }
        }
        // One note however many: a call may name a million.
        if let Some(first) = unknown.first() {
            let framework_id = self.frameworks.get(framework).map(|f| f.id.clone());
            let reason = match unknown.len() {
                1 => format!("offer {first} is not the framework's (any more)"),
                count => format!("{count} offers are not the framework's (any more), the first is {first}"),
            };
            self.note(cx, "decline", reason, framework_id.as_ref(), None);
        }
    }
}
