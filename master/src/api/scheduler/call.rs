//! Reads a `scheduler::Call`: Mesos's checks in Mesos's order and words, then the core's vocabulary.
//!
//! The checks are those of `src/master/validation.cpp` (`scheduler::call::validate`) as far as one message shows them.

use meseta_master_core::io::{Accept, Call, Filters, Operation, OperationKind, TaskRef};
use meseta_proto::convert::{self, task::Launch};
use meseta_proto::mesos::v1;
use meseta_proto::mesos::v1::scheduler;
use meseta_proto::mesos::v1::scheduler::call::{self as wire, Type};
use meseta_proto::prost::Message;
use meseta_types::{AgentId, ExecutorId, FrameworkId, OfferId, Role, TaskId, UpdateUuid};
use std::sync::Arc;
use std::time::Duration;

/// Why a call is no call: completes `Failed to validate scheduler::Call: `.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::api) enum Refused {
    /// A member that the type calls for.
    #[error("Expecting '{0}' to be present")]
    Missing(&'static str),
    /// Two places name different frameworks.
    #[error("'framework_id' differs from '{0}.framework_info.id'")]
    OtherId(&'static str),
    /// Not 16 bytes.
    #[error("Not a valid UUID")]
    Uuid,
}

/// A valid call.
#[derive(Debug)]
pub(in crate::api) enum Request {
    /// Opens a stream.
    Subscribe(wire::Subscribe),
    /// Is answered by the core.
    Update(FrameworkId, wire::Subscribe),
    /// The type UNKNOWN.
    Unknown(FrameworkId),
    /// Is answered 202.
    Call(FrameworkId, Accepted),
}

/// A call that is answered 202.
#[derive(Debug)]
pub(in crate::api) enum Accepted {
    /// Goes to the core.
    Core(Call),
    /// Names something that cannot exist: taken and ignored, as Mesos does.
    Ignored,
}

impl Accepted {
    pub(in crate::api) fn is_reconcile_operations(&self) -> bool {
        matches!(self, Accepted::Core(Call::ReconcileOperations { .. }))
    }

    pub(in crate::api) fn into_core(self) -> Option<Call> {
        match self {
            Accepted::Core(call) => Some(call),
            Accepted::Ignored => None,
        }
    }
}

/// Checks a call.
pub(in crate::api) fn read(call: scheduler::Call) -> Result<Request, Refused> {
    // A number nobody knows reads as "not set".
    let r#type = call
        .r#type
        .and_then(|number| Type::try_from(number).ok())
        .ok_or(Refused::Missing("type"))?;
    let id = call.framework_id.map(|id| id.value);
    if r#type == Type::Subscribe {
        let subscribe = call.subscribe.ok_or(Refused::Missing("subscribe"))?;
        check_same_id(id.as_deref(), &subscribe.framework_info, "subscribe")?;
        return Ok(Request::Subscribe(subscribe));
    }
    let id = FrameworkId::as_written(id.ok_or(Refused::Missing("framework_id"))?);
    let core = match r#type {
        Type::Unknown => return Ok(Request::Unknown(id)),
        Type::Subscribe => return Err(Refused::Missing("subscribe")),
        Type::UpdateFramework => {
            let update = call
                .update_framework
                .ok_or(Refused::Missing("update_framework"))?;
            check_same_id(Some(id.as_str()), &update.framework_info, "update_framework")?;
            let update = wire::Subscribe {
                framework_info: update.framework_info,
                suppressed_roles: update.suppressed_roles,
                offer_constraints: update.offer_constraints,
            };
            return Ok(Request::Update(id, update));
        }
        Type::Teardown => Call::Teardown,
        Type::Accept => accept(call.accept.ok_or(Refused::Missing("accept"))?, &id),
        Type::Decline => {
            let decline = call.decline.ok_or(Refused::Missing("decline"))?;
            Call::Decline {
                offer_ids: offer_ids(&decline.offer_ids),
                filters: filters(decline.filters),
            }
        }
        Type::Revive => match roles(call.revive.map(|revive| revive.roles)) {
            Some(roles) => Call::Revive { roles },
            None => return Ok(Request::Call(id, Accepted::Ignored)),
        },
        Type::Suppress => match roles(call.suppress.map(|suppress| suppress.roles)) {
            Some(roles) => Call::Suppress { roles },
            None => return Ok(Request::Call(id, Accepted::Ignored)),
        },
        Type::Kill => kill(call.kill.ok_or(Refused::Missing("kill"))?),
        Type::Shutdown => {
            let shutdown = call.shutdown.ok_or(Refused::Missing("shutdown"))?;
            Call::Shutdown {
                executor_id: ExecutorId::as_written(shutdown.executor_id.value),
                agent_id: AgentId::as_written(shutdown.agent_id.value),
            }
        }
        Type::Acknowledge => {
            let acknowledge = call.acknowledge.ok_or(Refused::Missing("acknowledge"))?;
            Call::Acknowledge {
                agent_id: AgentId::as_written(acknowledge.agent_id.value),
                task_id: TaskId::as_written(acknowledge.task_id.value),
                uuid: uuid(&acknowledge.uuid)?,
            }
        }
        Type::AcknowledgeOperationStatus => {
            let acknowledge = call
                .acknowledge_operation_status
                .ok_or(Refused::Missing("acknowledge_operation_status"))?;
            uuid(&acknowledge.uuid)?;
            let agent_id = acknowledge.agent_id.ok_or(Refused::Missing("agent_id"))?;
            Call::AcknowledgeOperationStatus {
                agent_id: Some(AgentId::as_written(agent_id.value)),
                operation_id: Arc::from(acknowledge.operation_id.value),
            }
        }
        Type::Reconcile => {
            let reconcile = call.reconcile.ok_or(Refused::Missing("reconcile"))?;
            let tasks = reconcile.tasks.into_iter().map(|task| TaskRef {
                task_id: TaskId::as_written(task.task_id.value),
                agent_id: task.agent_id.map(|id| AgentId::as_written(id.value)),
            });
            Call::Reconcile {
                tasks: tasks.collect(),
            }
        }
        Type::ReconcileOperations => {
            let reconcile = call
                .reconcile_operations
                .ok_or(Refused::Missing("reconcile_operations"))?;
            let operations = reconcile.operations.into_iter().map(|operation| {
                let agent_id = operation.agent_id.map(|id| AgentId::as_written(id.value));
                (Arc::from(operation.operation_id.value), agent_id)
            });
            Call::ReconcileOperations {
                operations: operations.collect(),
            }
        }
        Type::Message => {
            let message = call.message.ok_or(Refused::Missing("message"))?;
            Call::Message {
                agent_id: AgentId::as_written(message.agent_id.value),
                executor_id: ExecutorId::as_written(message.executor_id.value),
                data: message.data,
            }
        }
        Type::Request => {
            call.request.ok_or(Refused::Missing("request"))?;
            Call::Request
        }
        Type::AcceptInverseOffers => {
            call.accept_inverse_offers
                .ok_or(Refused::Missing("accept_inverse_offers"))?;
            Call::AcceptInverseOffers
        }
        Type::DeclineInverseOffers => {
            call.decline_inverse_offers
                .ok_or(Refused::Missing("decline_inverse_offers"))?;
            Call::DeclineInverseOffers
        }
    };
    Ok(Request::Call(id, Accepted::Core(core)))
}

/// Both places name the same framework or none; an empty text is none.
fn check_same_id(outer: Option<&str>, info: &v1::FrameworkInfo, member: &'static str) -> Result<(), Refused> {
    let inner = info.id.as_ref().map_or("", |id| id.value.as_str());
    if outer.unwrap_or("") == inner {
        Ok(())
    } else {
        Err(Refused::OtherId(member))
    }
}

fn uuid(bytes: &[u8]) -> Result<UpdateUuid, Refused> {
    bytes.try_into().map(UpdateUuid).map_err(|_| Refused::Uuid)
}

/// `None` when one is no role: Mesos then ignores the whole call.
fn roles(names: Option<Vec<String>>) -> Option<Vec<Role>> {
    let names = names.unwrap_or_default();
    names.into_iter().map(|name| Role::new(name).ok()).collect()
}

fn offer_ids(ids: &[v1::OfferId]) -> Vec<OfferId> {
    ids.iter().map(|id| OfferId::as_written(&id.value)).collect()
}

fn filters(filters: Option<v1::Filters>) -> Filters {
    Filters::from_seconds(filters.and_then(|filters| filters.refuse_seconds))
}

fn kill(kill: wire::Kill) -> Call {
    let grace = kill
        .kill_policy
        .as_ref()
        .and_then(|policy| policy.grace_period.as_ref());
    Call::Kill {
        task_id: TaskId::as_written(kill.task_id.value),
        agent_id: kill.agent_id.map(|id| AgentId::as_written(id.value)),
        // Mesos takes a negative grace for none.
        grace: grace.map(|grace| Duration::from_nanos(u64::try_from(grace.nanoseconds).unwrap_or(0))),
        kill_policy: kill
            .kill_policy
            .map(|policy| policy.encode_to_vec().into())
            .unwrap_or_default(),
    }
}

fn accept(accept: wire::Accept, framework_id: &FrameworkId) -> Call {
    let operations = accept.operations.into_iter();
    Call::Accept(Accept {
        offer_ids: offer_ids(&accept.offer_ids),
        operations: operations.filter_map(|op| operation(op, framework_id)).collect(),
        filters: filters(accept.filters),
    })
}

/// `None` for an operation without a known type: Mesos skips it.
fn operation(operation: v1::offer::Operation, framework_id: &FrameworkId) -> Option<Operation> {
    use v1::offer::operation::Type;
    let id = operation.id.map(|id| Arc::from(id.value));
    let kind = match Type::try_from(operation.r#type?).ok()? {
        Type::Unknown => return None,
        Type::Launch => {
            let launch = operation.launch.unwrap_or_default();
            let tasks = launch.task_infos.iter();
            return Some(Operation::Launch {
                id,
                tasks: tasks
                    .map(|task| convert::task::spec(task, framework_id, Launch::Single))
                    .collect(),
            });
        }
        Type::LaunchGroup => return launch_group(id, operation.launch_group?, framework_id),
        Type::Reserve => OperationKind::Reserve,
        Type::Unreserve => OperationKind::Unreserve,
        Type::Create => OperationKind::Create,
        Type::Destroy => OperationKind::Destroy,
        Type::GrowVolume => OperationKind::GrowVolume,
        Type::ShrinkVolume => OperationKind::ShrinkVolume,
        Type::CreateDisk => OperationKind::CreateDisk,
        Type::DestroyDisk => OperationKind::DestroyDisk,
    };
    Some(Operation::Resources { kind, id })
}

fn launch_group(
    id: Option<Arc<str>>,
    group: v1::offer::operation::LaunchGroup,
    framework_id: &FrameworkId,
) -> Option<Operation> {
    let tasks = &group.task_group.tasks;
    Some(Operation::LaunchGroup {
        id,
        executor: convert::task::group_executor(&group.executor),
        tasks: tasks
            .iter()
            .map(|task| convert::task::spec(task, framework_id, Launch::Group))
            .collect(),
        invalid: convert::task::group_fault(&group.executor, tasks, framework_id),
    })
}
