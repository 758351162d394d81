//! Calls of schedulers: whether the caller may still speak, and who deals with the call.
//!
//! The stream id is checked here, when the call is applied, and not only when it arrived: a call that was on its way
//! while another scheduler took over must not act any more.

use super::message::message_counter;
use super::{Cx, MasterCore};
use crate::io::{Call, StreamId};
use crate::pages::FrameworkKey;
use meseta_types::{FrameworkId, Role};
use std::collections::BTreeSet;

impl MasterCore {
    pub(super) fn call(&mut self, cx: &mut Cx, stream: StreamId, framework_id: &FrameworkId, call: Call) {
        let name = call.name();
        let Some(framework) = self.framework_ids.get(framework_id) else {
            return self.drop_call(cx, name, "unknown framework", framework_id);
        };
        let Some(book) = self.framework_books.get(framework) else {
            return;
        };
        if book.stream != Some(stream) {
            return self.drop_call(
                cx,
                name,
                "the stream is not the framework's current one",
                framework_id,
            );
        }
        if book.removing.is_some() {
            return self.drop_call(cx, name, "the framework is being removed", framework_id);
        }
        if let Some(entry) = self.frameworks.get_mut(framework) {
            crate::counters::bump(&mut entry.counters.calls, name);
        }
        if let Some(counter) = message_counter(&call) {
            self.counters.add(counter);
        }
        match call {
            Call::Teardown => self.remove_framework(cx, framework, None),
            Call::Accept(accept) => self.accept(cx, framework, accept),
            Call::Decline { offer_ids, filters } => self.decline(cx, framework, &offer_ids, filters),
            Call::Revive { roles } => self.revive(cx, framework, framework_id, roles),
            Call::Suppress { roles } => self.suppress(cx, framework, framework_id, roles),
            Call::Kill {
                task_id,
                agent_id,
                kill_policy,
                grace,
            } => {
                self.kill(cx, framework, task_id, agent_id, kill_policy, grace);
            }
            Call::Shutdown {
                executor_id,
                agent_id,
            } => {
                self.shutdown_executor(cx, framework_id, &agent_id, executor_id);
            }
            Call::Acknowledge {
                agent_id,
                task_id,
                uuid,
            } => {
                self.acknowledge(cx, framework, framework_id, &agent_id, task_id, uuid);
            }
            Call::Reconcile { tasks } => self.reconcile(cx, framework, tasks),
            Call::Message {
                agent_id,
                executor_id,
                data,
            } => {
                self.framework_message(cx, framework_id, &agent_id, executor_id, data);
            }
            Call::Request => {}
            Call::AcceptInverseOffers | Call::DeclineInverseOffers => {
                self.note(cx, name, "unknown inverse offer", Some(framework_id), None);
            }
            Call::AcknowledgeOperationStatus { agent_id, .. } => {
                self.counters
                    .add("invalid_operation_status_update_acknowledgements");
                self.note(
                    cx,
                    name,
                    "unknown operation",
                    Some(framework_id),
                    agent_id.as_ref(),
                );
            }
            Call::ReconcileOperations { operations } => self.reconcile_operations(cx, framework, operations),
        }
    }

    fn drop_call(&mut self, cx: &mut Cx, name: &'static str, reason: &str, framework_id: &FrameworkId) {
        self.counters.add("dropped_messages");
        self.note(cx, name, reason, Some(framework_id), None);
    }

    fn revive(&mut self, cx: &mut Cx, framework: FrameworkKey, id: &FrameworkId, roles: Vec<Role>) {
        let Some(roles) = self.own_roles(cx, "revive", framework, id, roles) else {
            return;
        };
        if let Some(entry) = self.frameworks.get_mut(framework) {
            entry.suppressed_roles.retain(|role| !roles.contains(role));
        }
        self.sharing.revive(framework, &roles);
    }

    fn suppress(&mut self, cx: &mut Cx, framework: FrameworkKey, id: &FrameworkId, roles: Vec<Role>) {
        let Some(roles) = self.own_roles(cx, "suppress", framework, id, roles) else {
            return;
        };
        if let Some(entry) = self.frameworks.get_mut(framework) {
            entry.suppressed_roles.extend(roles.iter().cloned());
        }
        self.sharing.suppress(framework, &roles);
    }

    /// The roles named, all of the framework's if none; nothing if one of them is not the framework's.
    fn own_roles(
        &mut self,
        cx: &mut Cx,
        what: &'static str,
        framework: FrameworkKey,
        id: &FrameworkId,
        roles: Vec<Role>,
    ) -> Option<BTreeSet<Role>> {
        let own = &self.frameworks.get(framework)?.spec.roles;
        if let Some(other) = roles.iter().find(|role| !own.contains(role)) {
            let reason = format!("the framework is not subscribed to role '{}'", other.as_str());
            self.note(cx, what, reason, Some(id), None);
            return None;
        }
        let roles = if roles.is_empty() { own.clone() } else { roles };
        Some(roles.into_iter().collect())
    }
}
