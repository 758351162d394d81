//! Pings: whether a registered agent still answers (Mesos, `SlaveObserver`).
//!
//! A ping is sent every `agent_ping_timeout`; one that was not answered by the next is missed, and so many missed in a
//! row make the agent unreachable. Any answer starts the count anew. An agent without a link cannot answer.

use super::{Cx, MasterCore, Timer};
use crate::pages::AgentKey;
use meseta_types::AgentId;
use meseta_types::link::ToAgent;

impl MasterCore {
    /// Sends a ping now, and waits for the time of the next.
    pub(super) fn ping(&mut self, cx: &mut Cx, agent: AgentKey) {
        if let Some(book) = self.agent_books.get_mut(agent) {
            book.ping_outstanding = true;
            self.timers
                .set(Timer::Ping(agent), cx.now.mono + self.config.agent_ping_timeout);
            self.send(cx, agent, ToAgent::Ping { connected: true });
        }
    }

    pub(super) fn ping_due(&mut self, cx: &mut Cx, agent: AgentKey) {
        let max = self.config.max_agent_ping_timeouts;
        let Some(book) = self.agent_books.get_mut(agent) else {
            return;
        };
        if book.ping_outstanding {
            book.pings_missed = book.pings_missed.saturating_add(1);
        }
        let silent = book.pings_missed >= max;
        if silent && let Some(id) = self.agent_id(agent) {
            self.find_unreachable(cx, &id, "health check timed out".into());
        }
        self.ping(cx, agent);
    }

    pub(super) fn pong(&mut self, agent: AgentKey) {
        if let Some(book) = self.agent_books.get_mut(agent) {
            book.ping_outstanding = false;
            book.pings_missed = 0;
        }
        if let Some(id) = self.agent_id(agent) {
            self.cancel_removal(&id);
        }
    }

    /// The registry could not be written: the next missed ping tries again.
    pub(super) fn mark_unreachable_later(&mut self, cx: &mut Cx, id: &AgentId) {
        match self.agent_ids.get(id) {
            Some(agent) => {
                if !self.timers.is_set(Timer::Ping(agent)) {
                    self.timers
                        .set(Timer::Ping(agent), cx.now.mono + self.config.agent_ping_timeout);
                }
            }
            None => self
                .timers
                .set(Timer::Recovery, cx.now.mono + self.config.agent_ping_timeout),
        }
    }
}
