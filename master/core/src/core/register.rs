//! A new agent: checked, admitted durably, then added (Mesos, `Master::registerSlave`).
//!
//! Only one attempt per address is in flight; a second one from there, over a newer link, takes the first one's place
//! and shares its admission.

use super::commits::Pending;
use super::{Cx, LinkUse, MasterCore};
use crate::few::FewBy;
use crate::io::{Effect, LinkId, OperatorEvent};
use crate::pages::AgentKey;
use crate::registry;
use crate::state::Agent;
use meseta_types::AgentId;
use meseta_types::link::{AgentSpec, ToAgent};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

/// The newest attempt from one address.
#[derive(Debug)]
pub(super) struct Admitting {
    /// `None`: the agent went away meanwhile.
    link: Option<LinkId>,
    spec: AgentSpec,
}

/// An admission under way.
#[derive(Debug)]
pub(super) struct Admission {
    id: AgentId,
    address: (IpAddr, u16),
    /// The agent that was registered at the address, and goes with this admission.
    replaces: Option<AgentId>,
}

impl MasterCore {
    pub(super) fn register(&mut self, cx: &mut Cx, link: LinkId, spec: AgentSpec) {
        self.counters.add("messages_register_slave");
        if let Some(LinkUse::Agent(agent)) = self.links.find(&link) {
            let agent = *agent;
            return self.say_registered(cx, agent);
        }
        if self.links.find(&link).is_some() {
            return self.note(
                cx,
                "register_agent",
                "a registration over this link is under way",
                None,
                None,
            );
        }
        if !version_is_welcome(&spec.version) {
            self.note(
                cx,
                "register_agent",
                format!("agent version '{}' is not at least 1.0.0", spec.version),
                None,
                None,
            );
            return self.close_link(cx, link);
        }
        let address = (spec.ip, spec.port);
        self.links.insert(link, LinkUse::Admitting(address));
        if let Some(earlier) = self.admitting.get_mut(&address) {
            let old = earlier.link.replace(link);
            earlier.spec = spec;
            if let Some(old) = old {
                self.close_link(cx, old);
            }
            return;
        }
        let replaces = self.agent_addresses.get(&address).and_then(|a| self.agent_id(*a));
        if let Some(old) = &replaces {
            if self.guards.contains_key(old) {
                // What is under way decides about the old agent first; the new one tries again.
                self.note(
                    cx,
                    "register_agent",
                    "the agent at this address is in transition",
                    None,
                    Some(old),
                );
                return self.close_link(cx, link);
            }
            self.guards.insert(old.clone(), super::commits::Guard::Removing);
        }
        let id = self.new_agent_id();
        let mut changes: Vec<_> = replaces.iter().map(registry::delete_agent).collect();
        changes.push(registry::put_agent(&id, &spec));
        self.admitting.insert(
            address,
            Admitting {
                link: Some(link),
                spec,
            },
        );
        self.commit(
            cx,
            changes,
            Pending::Admit(Admission {
                id,
                address,
                replaces,
            }),
        );
    }

    /// The admission is durable.
    pub(super) fn admitted(&mut self, cx: &mut Cx, admission: Admission) {
        if let Some(old) = admission.replaces {
            self.guards.remove(&old);
            self.counters.add("slave_removals/reason_registered");
            self.removed(cx, &old, "a new agent registered at the same address");
            self.unpark(cx, &old);
        }
        let Some(Admitting { link, spec }) = self.admitting.remove(&admission.address) else {
            return;
        };
        self.counters.add("slave_registrations");
        let spec = AgentSpec {
            id: Some(admission.id.clone()),
            ..spec
        };
        let agent = self.add_agent(cx, admission.id, spec);
        if let Some(link) = link {
            self.connect_agent(cx, agent, link);
        }
        self.announce_agent(cx, agent);
        if link.is_some() {
            self.say_registered(cx, agent);
            self.ping(cx, agent);
        } else {
            // Its next attempt will replace it; without one it will be found unreachable.
            self.disconnected(cx, agent);
        }
    }

    pub(super) fn admission_refused(&mut self, cx: &mut Cx, admission: Admission, reason: &Arc<str>) {
        self.note(cx, "register_agent", reason.clone(), None, None);
        if let Some(old) = &admission.replaces {
            self.guards.remove(old);
            self.unpark(cx, old);
        }
        if let Some(link) = self.admitting.remove(&admission.address).and_then(|a| a.link) {
            self.close_link(cx, link);
        }
    }

    /// The link of an attempt is gone.
    pub(super) fn admission_left(&mut self, address: (IpAddr, u16), link: LinkId) {
        if let Some(admitting) = self.admitting.get_mut(&address)
            && admitting.link == Some(link)
        {
            admitting.link = None;
        }
    }

    /// Adds an agent to the registered ones and to the allocator; not connected yet.
    pub(super) fn add_agent(&mut self, cx: &mut Cx, id: AgentId, spec: AgentSpec) -> AgentKey {
        let address = (spec.ip, spec.port);
        let agent = self.agents.insert(Agent {
            id: id.clone(),
            spec: Arc::new(spec),
            registered_time: cx.now.wall,
            reregistered_time: None,
            connected: false,
            active: false,
            used: FewBy::default(),
            executors: BTreeMap::new(),
        });
        self.agent_books.insert(agent, Default::default());
        self.agent_ids.insert(id, agent);
        self.agent_addresses.insert(address, agent);
        if let Some(entry) = self.agents.get(agent) {
            self.sharing.add_agent(agent, entry);
        }
        agent
    }

    /// The agent talks over this link from now on, and is watched.
    pub(super) fn connect_agent(&mut self, cx: &mut Cx, agent: AgentKey, link: LinkId) {
        self.links.insert(link, LinkUse::Agent(agent));
        let old = self.agent_books.get_mut(agent).and_then(|book| {
            book.ping_outstanding = false;
            book.pings_missed = 0;
            book.link.replace(link)
        });
        if let Some(old) = old.filter(|old| *old != link) {
            self.close_link(cx, old);
        }
        if let Some(entry) = self.agents.get_mut(agent) {
            entry.connected = true;
            entry.active = true;
        }
        self.sharing.set_agent_active(agent, true);
        self.timers.cancel(super::Timer::Reregister(agent));
    }

    fn say_registered(&mut self, cx: &mut Cx, agent: AgentKey) {
        let total_ping_timeout = self.config.total_ping_timeout();
        if let Some(agent_id) = self.agent_id(agent) {
            self.send(
                cx,
                agent,
                ToAgent::Registered {
                    agent_id,
                    total_ping_timeout,
                },
            );
        }
    }

    /// Operators hear of an agent that was not registered before.
    pub(super) fn announce_agent(&mut self, cx: &mut Cx, agent: AgentKey) {
        if let Some(entry) = self.agents.share(agent) {
            cx.operator(OperatorEvent::AgentAdded(entry));
        }
    }

    /// The agent must end its tasks and itself.
    pub(super) fn shut_agent_down(&mut self, cx: &mut Cx, link: LinkId, message: &str) {
        cx.out.push(Effect::ToAgent {
            link,
            message: ToAgent::Shutdown {
                message: Arc::from(message),
            },
        });
        self.close_link(cx, link);
    }

    /// An id nobody has: whoever claimed one of ours before its time keeps it.
    fn new_agent_id(&mut self) -> AgentId {
        loop {
            let id = AgentId::as_written(format!("{}-S{}", self.config.master_id, self.next_agent));
            self.next_agent += 1;
            let taken = self.agent_ids.get(&id).is_some()
                || self.guards.contains_key(&id)
                || self.recovered.contains_key(&id)
                || self.unreachable.contains_key(&id)
                || self.gone.contains_key(&id);
            if !taken {
                return id;
            }
        }
    }
}

/// Agents before 1.0.0 speak another protocol.
pub(super) fn version_is_welcome(version: &str) -> bool {
    let core = version.split(['-', '+']).next().unwrap_or_default();
    let mut numbers = core.split('.').map(|part| part.parse::<u32>());
    let major = matches!(numbers.next(), Some(Ok(major)) if major >= 1);
    major && numbers.all(|part| part.is_ok())
}
