//! The offers of an `ACCEPT`: whether they can be used together, and what becomes of everything if not (Mesos,
//! `validation::offer::validate`).

use super::accept::Hand;
use super::{Cx, MasterCore};
use crate::io::{Accept, Operation};
use crate::pages::{FrameworkKey, OfferKey};
use crate::state::{Offer, TaskList};
use meseta_types::task::Reason;
use meseta_types::{OfferId, Resources, TaskId, TaskState};
use std::collections::BTreeSet;
use std::hint::black_box;
use std::sync::Arc;

impl MasterCore {
    /// The offers by handle, or the first error.
    pub(super) fn check_offers(
        &self,
        framework: FrameworkKey,
        ids: &[OfferId],
    ) -> Result<Vec<OfferKey>, String> {
        if ids.is_empty() {
            return Err("No offers specified".to_owned());
        }
        let mut seen = BTreeSet::new();
        if let Some(twice) = ids.iter().find(|id| !seen.insert(*id)) {
            return Err(format!("Duplicate offer {twice} in offer list"));
        }
        let mut offers = Vec::with_capacity(ids.len());
        for id in ids {
            let found = self
                .offer_key(id)
                .and_then(|key| Some((key, self.offers.get(key)?)));
            offers.push(found.ok_or_else(|| format!("Offer {id} is no longer valid"))?);
        }
        self.touch(offers.iter().map(|(_, offer)| *offer));
        let own = self
            .frameworks
            .get(framework)
            .map(|f| f.id.as_str())
            .unwrap_or_default();
        if let Some((_, offer)) = offers.iter().find(|(_, o)| o.framework != framework) {
            let (id, other) = (&offer.id, &offer.framework_id);
            return Err(format!(
                "Offer {id} has invalid framework {other} while framework {own} is expected"
            ));
        }
        let first = offers
            .first()
            .map(|(_, o)| (o.role.clone(), o.agent, o.agent_id.clone()));
        let Some((role, agent, agent_id)) = first else {
            return Err("No offers specified".to_owned());
        };
        if let Some((_, offer)) = offers.iter().find(|(_, o)| o.role != role) {
            return Err(format!(
                "Aggregated offers must be allocated to the same role. Offer {} uses role '{} but another is using role '{}",
                offer.id,
                offer.role.as_str(),
                role.as_str(),
            ));
        }
        if let Some((_, offer)) = offers.iter().find(|(_, o)| o.agent != agent) {
            return Err(format!(
                "Aggregated offers must belong to one single agent. Offer {} uses agent {} and agent {agent_id}",
                offer.id, offer.agent_id,
            ));
        }
        Ok(offers.into_iter().map(|(key, _)| key).collect())
    }

    /// Takes the offers out, to be used.
    pub(super) fn take_offers(&mut self, framework: FrameworkKey, keys: &[OfferKey]) -> Option<Hand> {
        let mut hand: Option<Hand> = None;
        for key in keys {
            let Some(offer) = self.take_offer(*key) else {
                continue;
            };
            match &mut hand {
                Some(hand) => hand.remaining += &offer.resources,
                None => {
                    hand = Some(Hand {
                        framework,
                        framework_id: offer.framework_id.clone(),
                        agent: offer.agent,
                        agent_id: offer.agent_id.clone(),
                        role: offer.role.clone(),
                        remaining: offer.resources.clone(),
                    });
                }
            }
        }
        if let Some(entry) = self.frameworks.get_mut(framework) {
            entry.counters.offers_accepted += keys.len() as u64;
        }
        hand
    }

    /// Has everything fetched that a launch on these offers' agent changes: mostly nothing was heard of it for long, and no
    /// cache holds it. What is found at once comes first, then what that leads to. See [`meseta_types::Resources::touch`].
    fn touch<'a>(&self, offers: impl Iterator<Item = &'a Offer> + Clone) {
        // Of each offer, though they are one agent's: so all of them are read.
        let Some(agent) = offers.clone().map(|offer| offer.agent).max() else {
            return;
        };
        let (entry, book) = (self.agents.get(agent), self.agent_books.get(agent));
        let link = book.and_then(|book| book.link);
        black_box((entry.map(|entry| entry.active), self.sharing.knows(agent)));
        offers.for_each(|offer| offer.resources.touch());
        self.sharing.touch(agent);
        black_box(link.map(|link| self.links.find(&link)));
        if let Some(entry) = entry {
            entry.used.values().for_each(Resources::touch);
            black_box((Arc::strong_count(&entry.spec), self.agent_ids.get(&entry.id)));
        }
        if let Some(book) = book {
            book.tasks.touch();
        }
    }

    /// The offers cannot be used: those that are valid are given up, every task is refused.
    pub(super) fn refuse_offers(
        &mut self,
        cx: &mut Cx,
        framework: FrameworkKey,
        accept: Accept,
        error: &str,
    ) {
        for id in &accept.offer_ids {
            let own = self
                .offer_key(id)
                .filter(|key| self.offers.get(*key).is_some_and(|o| o.framework == framework));
            if let Some(key) = own {
                self.give_back(cx, key, None);
            }
        }
        let aware = self
            .frameworks
            .get(framework)
            .is_some_and(|f| f.spec.capabilities.partition_aware);
        let state = if aware {
            TaskState::Dropped
        } else {
            TaskState::Lost
        };
        let message: Arc<str> = format!("Task launched with invalid offers: {error}").into();
        for operation in accept.operations {
            match operation {
                Operation::Launch { tasks, .. } | Operation::LaunchGroup { tasks, .. } => {
                    for task in tasks {
                        if self.lives(framework, &task.task_id) {
                            // An ACCEPT that came twice: its task runs, DROPPED would be a lie about it.
                            let reason = format!("task {} runs already: {error}", task.task_id);
                            let framework_id = self.frameworks.get(framework).map(|f| f.id.clone());
                            self.note(cx, "accept", reason, framework_id.as_ref(), None);
                            continue;
                        }
                        let of = (&task.task_id, &task.agent_id);
                        self.refuse_task(cx, framework, of, state, Reason::INVALID_OFFERS, &message);
                    }
                }
                Operation::Resources { kind, id } => {
                    let error = format!("Operation attempted with invalid offers: {error}");
                    self.operation_error(cx, framework, kind, id, error);
                }
            }
        }
    }

    fn lives(&self, framework: FrameworkKey, task_id: &TaskId) -> bool {
        let known = self.task_ids.get(&(framework, task_id.clone()));
        known
            .and_then(|key| self.tasks.get(key))
            .is_some_and(|task| task.list == TaskList::Active && !task.state().is_terminal())
    }
}
