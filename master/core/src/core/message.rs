//! Messages of agents: which link may say what, and the short ones among them.

use super::{Cx, LinkUse, MasterCore};
use crate::io::{Call, Effect, Event, LinkId};
use crate::pages::AgentKey;
use bytes::Bytes;
use meseta_types::link::{FromAgent, ToAgent};
use meseta_types::{AgentId, ExecutorId, FrameworkId};

impl MasterCore {
    /// One message of one link.
    pub(super) fn agent_message(&mut self, cx: &mut Cx, link: LinkId, message: FromAgent) {
        let agent = match message {
            FromAgent::Register { agent } => return self.register(cx, link, agent),
            FromAgent::Reregister { agent, inventory } => return self.reregister(cx, link, agent, inventory),
            _ => match self.links.find(&link) {
                Some(LinkUse::Agent(agent)) => *agent,
                // The agent's registration is under way, or its link was given up: it will tell everything again.
                _ => {
                    return self.note(
                        cx,
                        name(&message),
                        "the link is not that of a registered agent",
                        None,
                        None,
                    );
                }
            },
        };
        match message {
            FromAgent::Register { .. } | FromAgent::Reregister { .. } => {}
            FromAgent::Unregister => self.unregister(cx, agent),
            FromAgent::Update(update) => self.status_update(cx, agent, update),
            FromAgent::ExecutorExited {
                framework_id,
                executor_id,
                status,
            } => {
                self.executor_exited(cx, agent, &framework_id, executor_id, status);
            }
            FromAgent::ExecutorMessage {
                framework_id,
                executor_id,
                data,
            } => {
                self.executor_message(cx, agent, &framework_id, executor_id, data);
            }
            FromAgent::Pong => self.pong(agent),
        }
    }

    /// Sends to a registered agent, if it is connected.
    pub(super) fn send(&mut self, cx: &mut Cx, agent: AgentKey, message: ToAgent) -> bool {
        let Some(link) = self.agent_books.get(agent).and_then(|b| b.link) else {
            return false;
        };
        cx.out.push(Effect::ToAgent { link, message });
        true
    }

    /// Closes a link; nothing more is heard of it.
    pub(super) fn close_link(&mut self, cx: &mut Cx, link: LinkId) {
        self.links.remove(&link);
        cx.out.push(Effect::CloseLink { link });
    }

    pub(super) fn agent_id(&self, agent: AgentKey) -> Option<AgentId> {
        self.agents.get(agent).map(|a| a.id.clone())
    }

    /// Resources are free, and the framework is told.
    fn executor_exited(
        &mut self,
        cx: &mut Cx,
        agent: AgentKey,
        framework_id: &FrameworkId,
        executor_id: ExecutorId,
        status: i32,
    ) {
        self.counters.add("messages_exited_executor");
        let Some(agent_id) = self.agent_id(agent) else {
            return;
        };
        let known = self
            .framework_ids
            .get(framework_id)
            .filter(|f| self.remove_executor(cx, agent, *f, &executor_id));
        let Some(framework) = known else {
            return self.note(
                cx,
                "exited_executor",
                "unknown executor",
                Some(framework_id),
                Some(&agent_id),
            );
        };
        let executor = Some((executor_id, status));
        self.tell(cx, framework, Event::Failure { agent_id, executor });
    }

    fn executor_message(
        &mut self,
        cx: &mut Cx,
        agent: AgentKey,
        framework_id: &FrameworkId,
        executor_id: ExecutorId,
        data: Bytes,
    ) {
        self.counters.add("messages_executor_to_framework");
        let Some(agent_id) = self.agent_id(agent) else {
            return;
        };
        let Some(framework) = self.framework_ids.get(framework_id) else {
            self.counters.add("invalid_executor_to_framework_messages");
            return self.note(
                cx,
                "executor_message",
                "unknown framework",
                Some(framework_id),
                Some(&agent_id),
            );
        };
        let event = Event::Message {
            agent_id: agent_id.clone(),
            executor_id,
            data,
        };
        if self.tell(cx, framework, event) {
            self.counters.add("valid_executor_to_framework_messages");
        } else {
            self.counters.add("invalid_executor_to_framework_messages");
            self.note(
                cx,
                "executor_message",
                "framework is disconnected",
                Some(framework_id),
                Some(&agent_id),
            );
        }
    }

    /// `MESSAGE`: to an executor, best effort.
    pub(super) fn framework_message(
        &mut self,
        cx: &mut Cx,
        framework_id: &FrameworkId,
        agent_id: &AgentId,
        executor_id: ExecutorId,
        data: Bytes,
    ) {
        let message = ToAgent::FrameworkMessage {
            framework_id: framework_id.clone(),
            executor_id,
            data,
        };
        let sent = self
            .agent_ids
            .get(agent_id)
            .is_some_and(|agent| self.send(cx, agent, message));
        if sent {
            self.counters.add("valid_framework_to_executor_messages");
        } else {
            self.counters.add("invalid_framework_to_executor_messages");
            self.note(
                cx,
                "message",
                "agent is not connected",
                Some(framework_id),
                Some(agent_id),
            );
        }
    }

    /// `SHUTDOWN`: of an executor.
    pub(super) fn shutdown_executor(
        &mut self,
        cx: &mut Cx,
        framework_id: &FrameworkId,
        agent_id: &AgentId,
        executor_id: ExecutorId,
    ) {
        let message = ToAgent::ShutdownExecutor {
            framework_id: framework_id.clone(),
            executor_id,
        };
        let sent = self
            .agent_ids
            .get(agent_id)
            .is_some_and(|agent| self.send(cx, agent, message));
        if !sent {
            self.note(
                cx,
                "shutdown",
                "agent is not connected",
                Some(framework_id),
                Some(agent_id),
            );
        }
    }
}

fn name(message: &FromAgent) -> &'static str {
    match message {
        FromAgent::Register { .. } => "register_agent",
        FromAgent::Reregister { .. } => "reregister_agent",
        FromAgent::Unregister => "unregister_agent",
        FromAgent::Update(_) => "status_update",
        FromAgent::ExecutorExited { .. } => "exited_executor",
        FromAgent::ExecutorMessage { .. } => "executor_message",
        FromAgent::Pong => "pong",
    }
}

/// Calls by the counter they are counted under, where Mesos has one.
pub(super) fn message_counter(call: &Call) -> Option<&'static str> {
    match call {
        Call::Teardown => Some("messages_unregister_framework"),
        Call::Accept(_) => None,
        Call::Decline { .. } => Some("messages_decline_offers"),
        Call::Revive { .. } => Some("messages_revive_offers"),
        Call::Suppress { .. } => Some("messages_suppress_offers"),
        Call::Kill { .. } => Some("messages_kill_task"),
        Call::Shutdown { .. } => None,
        Call::Acknowledge { .. } => Some("messages_status_update_acknowledgement"),
        Call::Reconcile { .. } => Some("messages_reconcile_tasks"),
        Call::Message { .. } => Some("messages_framework_to_executor"),
        Call::Request => Some("messages_resource_request"),
        Call::AcceptInverseOffers | Call::DeclineInverseOffers => None,
        Call::AcknowledgeOperationStatus { .. } => Some("messages_operation_status_update_acknowledgement"),
        Call::ReconcileOperations { .. } => Some("messages_reconcile_operations"),
    }
}
