//! Agents found unreachable, and how fast they may be marked so (Mesos, `--agent_removal_rate_limit`).
//!
//! Three ways lead here: missed pings, a link that stayed closed, a registry entry that did not come back after a
//! fail-over. An answer before the permit cancels.

use super::commits::{Guard, Pending};
use super::{Cx, MasterCore, Timer};
use crate::io::StepDown;
use crate::pages::AgentKey;
use crate::registry;
use crate::ring::Ring;
use meseta_types::{AgentId, Mono};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Agents that wait for a permit, oldest first, and why each is to go.
#[derive(Debug, Default)]
pub(super) struct Removals {
    waiting: Ring<AgentId>,
    messages: BTreeMap<AgentId, Arc<str>>,
    next_permit: Mono,
}

impl MasterCore {
    /// An agent shall be marked unreachable as soon as the rate limit allows.
    pub(super) fn find_unreachable(&mut self, cx: &mut Cx, id: &AgentId, message: Arc<str>) {
        if self.guards.contains_key(id) || self.removals.waiting.contains(id) {
            return;
        }
        self.counters.add("slave_unreachable_scheduled");
        self.removals.waiting.push(id.clone());
        self.removals.messages.insert(id.clone(), message);
        if self.removals.next_permit <= cx.now.mono || self.config.agent_removal_rate_limit.is_none() {
            self.removal_permit(cx);
        } else {
            self.timers.set(Timer::Permit, self.removals.next_permit);
        }
    }

    /// The next one may go.
    pub(super) fn removal_permit(&mut self, cx: &mut Cx) {
        let Some(id) = self.removals.waiting.pop_oldest() else {
            return;
        };
        let message = self.removals.messages.remove(&id).unwrap_or_default();
        if let Some(limit) = self.config.agent_removal_rate_limit {
            let interval = limit.per / limit.permits.max(1);
            self.removals.next_permit = cx.now.mono + interval;
            if self.removals.waiting.len() > 0 {
                self.timers.set(Timer::Permit, self.removals.next_permit);
            }
        }
        self.mark_unreachable(cx, id, message);
    }

    /// The agent answered before its permit came.
    pub(super) fn cancel_removal(&mut self, id: &AgentId) {
        if self.removals.waiting.remove(id) {
            self.removals.messages.remove(id);
            self.counters.add("slave_unreachable_canceled");
        }
    }

    fn mark_unreachable(&mut self, cx: &mut Cx, id: AgentId, message: Arc<str>) {
        if self.guards.contains_key(&id) {
            return;
        }
        let at = cx.now.wall;
        let changes = vec![registry::delete_agent(&id), registry::put_unreachable(&id, at)];
        self.guards.insert(id.clone(), Guard::MarkingUnreachable);
        self.commit(cx, changes, Pending::Unreachable { id, at, message });
    }

    /// A disconnected agent did not come back.
    pub(super) fn reregister_timed_out(&mut self, cx: &mut Cx, agent: AgentKey) {
        if let Some(id) = self.agent_id(agent) {
            let timeout = duration(self.config.agent_reregister_timeout);
            let message = format!("agent did not reregister within {timeout} after disconnecting");
            self.find_unreachable(cx, &id, message.into());
        }
    }

    /// Agents the registry knows did not come back after the fail-over.
    pub(super) fn recovery_timed_out(&mut self, cx: &mut Cx) {
        let missing: Vec<AgentId> = self
            .recovered
            .keys()
            .filter(|id| !self.guards.contains_key(*id))
            .cloned()
            .collect();
        let admitted = self.admitted_at_start;
        let allowed = admitted as f64 * self.config.recovery_agent_removal_limit;
        if missing.len() as f64 > allowed {
            let reason = StepDown::TooManyAgentsMissing {
                missing: missing.len(),
                admitted,
            };
            return self.step_down(cx, reason);
        }
        let timeout = duration(self.config.agent_reregister_timeout);
        let message: Arc<str> =
            format!("agent did not reregister within {timeout} after master failover").into();
        for id in missing {
            self.find_unreachable(cx, &id, message.clone());
        }
    }
}

/// As Mesos writes durations: the largest unit that divides it.
fn duration(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    let units: [(u128, &str); 8] = [
        (604_800_000_000_000, "weeks"),
        (86_400_000_000_000, "days"),
        (3_600_000_000_000, "hrs"),
        (60_000_000_000, "mins"),
        (1_000_000_000, "secs"),
        (1_000_000, "ms"),
        (1_000, "us"),
        (1, "ns"),
    ];
    for (unit, name) in units {
        if nanos >= unit {
            return if nanos.is_multiple_of(unit) {
                format!("{}{name}", nanos / unit)
            } else {
                format!("{}{name}", nanos as f64 / unit as f64)
            };
        }
    }
    "0ns".to_owned()
}
