//! Links and streams that closed: what stays, what goes, and how long is waited.

use super::reconcile::Reconciling;
use super::{Cx, LinkUse, MasterCore, Timer};
use crate::io::{Effect, LinkId, Session, StreamId};
use crate::pages::{AgentKey, FrameworkKey};
use crate::state::FrameworkState;
use meseta_types::task::Reason;
use std::sync::Arc;

impl MasterCore {
    pub(super) fn link_closed(&mut self, cx: &mut Cx, link: LinkId) {
        match self.links.remove(&link) {
            None => {}
            Some(LinkUse::Admitting(address)) => self.admission_left(address, link),
            Some(LinkUse::Returning(id)) => self.return_left(&id, link),
            Some(LinkUse::Agent(agent)) => self.disconnected(cx, agent),
        }
    }

    /// The agent cannot be spoken to: no offers of it, but its tasks are believed to run on, except those of frameworks
    /// that do not checkpoint (Mesos, `Master::disconnect(Slave*)`).
    pub(super) fn disconnected(&mut self, cx: &mut Cx, agent: AgentKey) {
        if let Some(book) = self.agent_books.get_mut(agent) {
            book.link = None;
        }
        let Some(entry) = self.agents.get_mut(agent) else {
            return;
        };
        entry.connected = false;
        entry.active = false;
        let message: Arc<str> = format!("Agent {} disconnected", entry.spec.hostname).into();
        self.sharing.set_agent_active(agent, false);
        self.rescind_offers_of(cx, agent);
        for framework in self.frameworks_on(agent) {
            let checkpoints = self.frameworks.get(framework).is_none_or(|f| f.spec.checkpoint);
            if !checkpoints {
                self.drop_framework_from(cx, agent, framework, &message);
            }
        }
        let at = cx.now.mono + self.config.agent_reregister_timeout;
        self.timers.set(Timer::Reregister(agent), at);
        if !self.timers.is_set(Timer::Ping(agent)) {
            self.ping(cx, agent);
        }
    }

    fn frameworks_on(&self, agent: AgentKey) -> Vec<FrameworkKey> {
        self.agents
            .get(agent)
            .map(|a| a.used.keys().collect())
            .unwrap_or_default()
    }

    fn drop_framework_from(
        &mut self,
        cx: &mut Cx,
        agent: AgentKey,
        framework: FrameworkKey,
        message: &Arc<str>,
    ) {
        for key in self.tasks_on(agent) {
            if self.tasks.get(key).is_some_and(|t| t.framework == framework) {
                self.task_lost(cx, key, Reason::AGENT_DISCONNECTED, message);
            }
        }
        let executors: Vec<_> = self
            .agents
            .get(agent)
            .map(|a| {
                a.executors
                    .keys()
                    .filter(|(f, _)| *f == framework)
                    .cloned()
                    .collect()
            })
            .unwrap_or_default();
        for (framework, executor_id) in executors {
            self.remove_executor(cx, agent, framework, &executor_id);
        }
    }

    pub(super) fn stream_closed(&mut self, cx: &mut Cx, stream: StreamId) {
        if let Some(framework) = self.streams.remove(&stream) {
            return self.framework_disconnected(cx, framework);
        }
        // It may be that of a scheduler that waits for the end of its framework's removal.
        let removing: Vec<FrameworkKey> = self.commits.removing().collect();
        for framework in removing {
            let removing = self
                .framework_books
                .get_mut(framework)
                .and_then(|b| b.removing.as_mut());
            if let Some(removing) =
                removing.filter(|r| r.subscriber.as_ref().is_some_and(|(s, _)| *s == stream))
            {
                removing.subscriber = None;
            }
        }
    }

    /// The framework cannot be spoken to: its offers are back, its tasks run on until the failover timeout (Mesos,
    /// `Master::disconnect(Framework*)`, `deactivate`).
    fn framework_disconnected(&mut self, cx: &mut Cx, framework: FrameworkKey) {
        if let Some(book) = self.framework_books.get_mut(framework) {
            book.stream = None;
            book.reconciling = Reconciling::default();
        }
        let Some(entry) = self.frameworks.get_mut(framework) else {
            return;
        };
        entry.state = FrameworkState::Disconnected;
        entry.unregistered_time = Some(cx.now.wall);
        let session = Session::Disconnected {
            principal: entry.spec.principal.clone(),
        };
        let (framework_id, timeout) = (entry.id.clone(), entry.spec.failover_timeout);
        cx.out.push(Effect::Session {
            framework_id,
            session,
        });
        self.discard_offers_to(cx, framework);
        self.sharing.set_framework_active(framework, false);
        self.timers.set(Timer::Failover(framework), cx.now.mono + timeout);
    }
}
