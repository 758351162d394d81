//! Frameworks come, go, change, and say whether they want offers.

use super::{
    AgentNo, Allocator, Broken, Client, Framework, FrameworkNo, FrameworkTerms, NUMBERS_MAX, put, slot,
    slot_mut,
};
use crate::tree::NodeNo;
use meseta_types::{FrameworkId, Role};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

impl Allocator {
    /// A new framework. An inactive one (disconnected, or known from agents only) gets no offers but keeps its share.
    pub fn add_framework(
        &mut self,
        framework: FrameworkNo,
        id: &FrameworkId,
        terms: FrameworkTerms,
        active: bool,
    ) -> Result<(), Broken> {
        if framework.0 > NUMBERS_MAX || slot(&self.frameworks, framework.0).is_some() {
            return Err(Broken(format!("{framework:?} cannot be added")));
        }
        let entry = Framework {
            id: id.clone(),
            terms,
            active,
            clients: BTreeMap::new(),
            epoch: 0,
        };
        put(&mut self.frameworks, framework.0, entry);
        self.settle(framework)
    }

    /// The framework has other terms now. Roles it is not suppressed in any more lose their filters, as with REVIVE.
    /// Offers in roles it left are the caller's to rescind.
    pub fn update_framework(&mut self, framework: FrameworkNo, terms: FrameworkTerms) -> Result<(), Broken> {
        let unknown = || Broken(format!("{framework:?} is unknown"));
        let entry = slot_mut(&mut self.frameworks, framework.0).ok_or_else(unknown)?;
        let before = std::mem::replace(&mut entry.terms, terms);
        let revived: Vec<NodeNo> = before
            .suppressed
            .difference(&entry.terms.suppressed)
            .chain(before.roles.difference(&entry.terms.roles))
            .filter_map(|role| entry.clients.get(role).copied())
            .collect();
        for client in revived {
            self.clear_refusals(client);
        }
        self.settle(framework)?;
        self.mark_all();
        Ok(())
    }

    /// The framework is gone, with everything it holds.
    pub fn remove_framework(&mut self, framework: FrameworkNo) -> Result<(), Broken> {
        let unknown = || Broken(format!("{framework:?} is unknown"));
        let entry = slot_mut(&mut self.frameworks, framework.0).ok_or_else(unknown)?;
        entry.active = false;
        entry.terms.roles.clear();
        let clients: Vec<NodeNo> = entry.clients.values().copied().collect();
        for client in clients {
            self.clear_refusals(client);
            let agents: Vec<AgentNo> = slot(&self.clients, client.0)
                .map(|c| c.agents.iter().copied().collect())
                .unwrap_or_default();
            for agent in agents {
                let held = slot(&self.agents, agent.0)
                    .and_then(|a| a.held_by(client))
                    .cloned();
                if let Some(held) = held {
                    self.take_back(agent, client, &held)?;
                    self.mark(agent);
                }
            }
            self.drop_client_if_idle(client);
        }
        if let Some(slot) = self.frameworks.get_mut(framework.0 as usize) {
            *slot = None;
        }
        Ok(())
    }

    /// The framework is connected again.
    pub fn activate_framework(&mut self, framework: FrameworkNo) -> Result<(), Broken> {
        if let Some(entry) = slot_mut(&mut self.frameworks, framework.0) {
            entry.active = true;
        }
        self.settle(framework)
    }

    /// The framework cannot be offered anything; its refusals are forgotten, its suppressed roles stay so.
    pub fn deactivate_framework(&mut self, framework: FrameworkNo) -> Result<(), Broken> {
        if let Some(entry) = slot_mut(&mut self.frameworks, framework.0) {
            entry.active = false;
            let clients: Vec<NodeNo> = entry.clients.values().copied().collect();
            for client in clients {
                self.clear_refusals(client);
            }
        }
        self.settle(framework)
    }

    /// No offers for these roles (none named: all of the framework's). Roles it does not have are passed over.
    pub fn suppress(&mut self, framework: FrameworkNo, roles: &BTreeSet<Role>) -> Result<(), Broken> {
        let unknown = || Broken(format!("{framework:?} is unknown"));
        let entry = slot_mut(&mut self.frameworks, framework.0).ok_or_else(unknown)?;
        let named = named(&entry.terms, roles);
        entry.terms.suppressed.extend(named);
        self.settle(framework)
    }

    /// Offers for these roles again (none named: all of the framework's), and their refusals are forgotten.
    pub fn revive(&mut self, framework: FrameworkNo, roles: &BTreeSet<Role>) -> Result<(), Broken> {
        let unknown = || Broken(format!("{framework:?} is unknown"));
        let entry = slot_mut(&mut self.frameworks, framework.0).ok_or_else(unknown)?;
        entry.epoch += 1;
        let named = named(&entry.terms, roles);
        let clients: Vec<NodeNo> = named
            .iter()
            .filter_map(|r| entry.clients.get(r).copied())
            .collect();
        entry.terms.suppressed.retain(|r| !named.contains(r));
        for client in clients {
            self.clear_refusals(client);
        }
        self.settle(framework)
    }

    /// Brings the framework's clients and their place in the order in line with its terms. If one of them may get
    /// offers that could not before, every agent with something free is looked at.
    fn settle(&mut self, framework: FrameworkNo) -> Result<(), Broken> {
        let unknown = || Broken(format!("{framework:?} is unknown"));
        let entry = slot(&self.frameworks, framework.0).ok_or_else(unknown)?;
        let roles: Vec<Role> = entry.terms.roles.iter().cloned().collect();
        for role in roles {
            self.client(framework, &role)?;
        }
        let entry = slot(&self.frameworks, framework.0).ok_or_else(unknown)?;
        let wanted: Vec<(NodeNo, bool)> = entry
            .clients
            .iter()
            .map(|(role, client)| {
                let terms = &entry.terms;
                let subscribed = terms.roles.contains(role) && !terms.suppressed.contains(role);
                (*client, entry.active && subscribed)
            })
            .collect();
        let mut woken = false;
        for (client, active) in wanted {
            woken |= self.tree.set_active(client, active) && active;
            self.drop_client_if_idle(client);
        }
        if woken {
            self.mark_all();
        }
        Ok(())
    }

    /// The client of a framework in a role, made if it is missing.
    pub(super) fn client(&mut self, framework: FrameworkNo, role: &Role) -> Result<NodeNo, Broken> {
        let unknown = || Broken(format!("{framework:?} is unknown"));
        let entry = slot_mut(&mut self.frameworks, framework.0).ok_or_else(unknown)?;
        if let Some(client) = entry.clients.get(role) {
            return Ok(*client);
        }
        let client = self.tree.add_client(role, Arc::from(entry.id.as_str()));
        entry.clients.insert(role.clone(), client);
        let books = Client {
            framework,
            role: role.clone(),
            agents: BTreeSet::new(),
            refused_on: BTreeSet::new(),
        };
        put(&mut self.clients, client.0, books);
        Ok(client)
    }

    /// A framework stays in a role while it is subscribed or holds something there.
    pub(super) fn drop_client_if_idle(&mut self, client: NodeNo) {
        let Some(books) = slot(&self.clients, client.0) else {
            return;
        };
        let (framework, role) = (books.framework, books.role.clone());
        let subscribed = slot(&self.frameworks, framework.0).is_some_and(|f| f.terms.roles.contains(&role));
        if subscribed || !books.agents.is_empty() {
            return;
        }
        self.clear_refusals(client);
        self.tree.remove_client(client);
        if let Some(entry) = slot_mut(&mut self.frameworks, framework.0) {
            entry.clients.remove(&role);
        }
        if let Some(slot) = self.clients.get_mut(client.0 as usize) {
            *slot = None;
        }
    }

    /// Forgets what the client refused; it may see those agents again.
    fn clear_refusals(&mut self, client: NodeNo) {
        let agents: Vec<AgentNo> = slot(&self.clients, client.0)
            .map(|c| c.refused_on.iter().copied().collect())
            .unwrap_or_default();
        for agent in agents {
            self.forget_refusals(agent, client);
            self.mark(agent);
        }
    }
}

/// The roles of `terms` that are named; all if none is.
fn named(terms: &FrameworkTerms, roles: &BTreeSet<Role>) -> BTreeSet<Role> {
    if roles.is_empty() {
        terms.roles.clone()
    } else {
        terms.roles.intersection(roles).cloned().collect()
    }
}
