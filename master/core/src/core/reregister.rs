//! A known agent comes back: who may, who must wait for a write, who is sent away (Mesos, `Master::reregisterSlave`).
//!
//! What happens once it may is in [`super::returned`].

use super::commits::{Guard, Pending};
use super::register::version_is_welcome;
use super::{Cx, LinkUse, MasterCore};
use crate::io::LinkId;
use crate::registry;
use meseta_types::AgentId;
use meseta_types::link::{AgentSpec, Inventory};
use std::sync::Arc;

/// An attempt that waits for a write about the same agent. The newest one only.
#[derive(Debug)]
pub(super) struct Parked {
    link: LinkId,
    spec: AgentSpec,
    inventory: Inventory,
}

/// A return under way.
#[derive(Debug)]
pub(super) struct Return {
    pub(super) id: AgentId,
    /// Where it asked; perhaps lost meanwhile.
    pub(super) link: LinkId,
    pub(super) spec: AgentSpec,
    pub(super) inventory: Inventory,
    pub(super) from: KnownAs,
}

/// What the master knew of an agent that comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KnownAs {
    /// Registered here, connected or not.
    Registered,
    /// Known from the registry.
    Recovered,
    /// Marked unreachable.
    Unreachable,
    /// Nothing (forgotten, or another cluster's).
    Unknown,
}

impl MasterCore {
    pub(super) fn reregister(&mut self, cx: &mut Cx, link: LinkId, spec: AgentSpec, inventory: Inventory) {
        self.counters.add("messages_reregister_slave");
        let Some(id) = spec.id.clone().filter(|id| id.check().is_ok()) else {
            self.note(cx, "reregister_agent", "the agent names no valid id", None, None);
            return self.close_link(cx, link);
        };
        if !version_is_welcome(&spec.version) {
            let reason = format!("agent version '{}' is not at least 1.0.0", spec.version);
            self.note(cx, "reregister_agent", reason, None, Some(&id));
            return self.close_link(cx, link);
        }
        if self.gone.contains_key(&id) {
            self.note(
                cx,
                "reregister_agent",
                "the agent was marked gone",
                None,
                Some(&id),
            );
            return self.shut_agent_down(cx, link, "Agent has been marked gone");
        }
        match self.links.find(&link) {
            None => {}
            Some(LinkUse::Agent(agent)) if self.agent_ids.get(&id) == Some(*agent) => {}
            Some(LinkUse::Returning(other)) if *other == id => {}
            Some(_) => {
                self.note(
                    cx,
                    "reregister_agent",
                    "the link is another agent's",
                    None,
                    Some(&id),
                );
                return;
            }
        }
        if self.guards.contains_key(&id) {
            return self.park(
                cx,
                id,
                Parked {
                    link,
                    spec,
                    inventory,
                },
            );
        }
        self.come_back(cx, id, link, spec, inventory);
    }

    fn come_back(&mut self, cx: &mut Cx, id: AgentId, link: LinkId, spec: AgentSpec, inventory: Inventory) {
        let registered = self
            .agent_ids
            .get(&id)
            .and_then(|a| self.agents.get(a))
            .map(|a| a.spec.clone());
        let (from, moved, durable) = if let Some(old) = registered {
            let moved = old.hostname != spec.hostname || old.ip != spec.ip;
            (
                KnownAs::Registered,
                moved,
                old.wire == spec.wire && old.port == spec.port,
            )
        } else if let Some(old) = self.recovered.get(&id) {
            let moved = old.hostname != spec.hostname || old.ip != spec.ip;
            (
                KnownAs::Recovered,
                moved,
                old.wire == spec.wire && old.port == spec.port,
            )
        } else if self.unreachable.contains_key(&id) {
            (KnownAs::Unreachable, false, false)
        } else {
            (KnownAs::Unknown, false, false)
        };
        if moved {
            self.note(
                cx,
                "reregister_agent",
                "the agent's address or host name changed",
                None,
                Some(&id),
            );
            return self.shut_agent_down(
                cx,
                link,
                "Agent attempted to re-register with a different IP or hostname",
            );
        }
        self.cancel_removal(&id);
        // An agent that is still connected over another link goes on being that until the return is done.
        if !matches!(self.links.find(&link), Some(LinkUse::Agent(_))) {
            self.links.insert(link, LinkUse::Returning(id.clone()));
        }
        let back = Return {
            id: id.clone(),
            link,
            spec,
            inventory,
            from,
        };
        if durable {
            return self.returned(cx, back);
        }
        let mut changes = vec![registry::put_agent(&id, &back.spec)];
        if from == KnownAs::Unreachable {
            changes.push(registry::delete_unreachable(&id));
        }
        self.guards.insert(id, Guard::Returning);
        self.commit(cx, changes, Pending::Return(Box::new(back)));
    }

    fn park(&mut self, cx: &mut Cx, id: AgentId, parked: Parked) {
        let link = parked.link;
        if !matches!(self.links.find(&link), Some(LinkUse::Agent(_))) {
            self.links.insert(link, LinkUse::Returning(id.clone()));
        }
        let old = self.parked.insert(id, parked);
        if let Some(old) = old.filter(|old| old.link != link) {
            self.close_link(cx, old.link);
        }
    }

    /// A write about the agent is done: whoever waited for that goes on.
    pub(super) fn unpark(&mut self, cx: &mut Cx, id: &AgentId) {
        if self.guards.contains_key(id) {
            return;
        }
        if let Some(Parked {
            link,
            spec,
            inventory,
        }) = self.parked.remove(id)
            && self.links.find(&link).is_some()
        {
            self.come_back(cx, id.clone(), link, spec, inventory);
        }
    }

    /// The link of an attempt is gone.
    pub(super) fn return_left(&mut self, id: &AgentId, link: LinkId) {
        if self.parked.get(id).is_some_and(|parked| parked.link == link) {
            self.parked.remove(id);
        }
    }

    pub(super) fn return_refused(&mut self, cx: &mut Cx, back: Return, reason: &Arc<str>) {
        self.note(cx, "reregister_agent", reason.clone(), None, Some(&back.id));
        if self.links.find(&back.link).is_some() {
            self.close_link(cx, back.link);
            if let Some(agent) = self.agent_ids.get(&back.id)
                && self.agent_books.get(agent).and_then(|b| b.link) == Some(back.link)
            {
                self.disconnected(cx, agent);
            }
        }
    }
}
