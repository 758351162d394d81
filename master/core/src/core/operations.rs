//! Operations on reservations, volumes and disks: not carried out yet, and said so.
//!
//! One with an id is answered `OPERATION_ERROR`; one without is noted for operators. Its resources stay in the hand and
//! go back with the rest.

use super::accept::Hand;
use super::{Cx, MasterCore};
use crate::io::{Event, OperationKind, OperationState, OperationStatus};
use crate::pages::FrameworkKey;
use meseta_types::AgentId;
use std::sync::Arc;

impl MasterCore {
    pub(super) fn refuse_operation(
        &mut self,
        cx: &mut Cx,
        hand: &Hand,
        kind: OperationKind,
        id: Option<Arc<str>>,
    ) {
        let error = format!("Operation {} is not supported yet", kind.wire_name());
        self.operation_error(cx, hand.framework, kind, id, error);
    }

    pub(super) fn operation_error(
        &mut self,
        cx: &mut Cx,
        framework: FrameworkKey,
        kind: OperationKind,
        id: Option<Arc<str>>,
        error: String,
    ) {
        self.counters.add("operations/error");
        let message: Arc<str> = error.into();
        match id {
            Some(operation_id) => {
                let state = OperationState::Error;
                let status = OperationStatus {
                    operation_id,
                    state,
                    message,
                    agent_id: None,
                };
                self.tell(cx, framework, Event::UpdateOperationStatus(status));
            }
            None => {
                let framework_id = self.frameworks.get(framework).map(|f| f.id.clone());
                self.note(cx, kind.name(), message, framework_id.as_ref(), None);
            }
        }
    }

    /// `RECONCILE_OPERATIONS`: no operation is known, so only the agent's standing decides. All of them: nothing to say.
    pub(super) fn reconcile_operations(
        &mut self,
        cx: &mut Cx,
        framework: FrameworkKey,
        operations: Vec<(Arc<str>, Option<AgentId>)>,
    ) {
        for (operation_id, agent_id) in operations {
            let (state, message) = match &agent_id {
                None => (
                    OperationState::Unknown,
                    "Operation is unknown and no 'agent_id' was provided",
                ),
                Some(id) if self.recovered.contains_key(id) => (
                    OperationState::Recovering,
                    "Agent is recovered but has not re-registered",
                ),
                Some(id) if self.agent_ids.get(id).is_some() => {
                    (OperationState::Unknown, "Operation is unknown")
                }
                Some(id) if self.unreachable.contains_key(id) => {
                    (OperationState::Unreachable, "Agent is unreachable")
                }
                Some(id) if self.gone.contains_key(id) => {
                    (OperationState::GoneByOperator, "Agent marked gone by operator")
                }
                Some(_) => (OperationState::Unknown, "Both operation and agent are unknown"),
            };
            let message = format!("Reconciliation: {message}").into();
            let status = OperationStatus {
                operation_id,
                state,
                message,
                agent_id,
            };
            self.tell(cx, framework, Event::UpdateOperationStatus(status));
        }
    }
}
