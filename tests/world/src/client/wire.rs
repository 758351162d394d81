//! What stands between the SDK's driver, which speaks protobuf, and the master's core, which does not: the master's
//! shell, as far as the two frameworks need it.

use meseta_master_core::io::{self as master, Accept, Filters, Operation, Subscribe, TaskRef};
use meseta_proto::convert::{self, resource::Format, task::Launch};
use meseta_proto::mesos::v1;
use meseta_proto::mesos::v1::offer::operation::Type as OperationType;
use meseta_proto::mesos::v1::scheduler::{self, call, event};
use meseta_types::{AgentId, FrameworkId, OfferId, TaskId, UpdateUuid};
use std::time::Duration;

/// `heartbeat_interval_seconds` of the world's master.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(15);

/// A SUBSCRIBE as the core takes it. `None` when the shell would refuse it.
pub(crate) fn subscription(call: &scheduler::Call) -> Option<Subscribe> {
    let subscribe = call.subscribe.as_ref()?;
    let framework = convert::framework::from_info(&subscribe.framework_info).ok()?;
    let suppressed_roles =
        convert::framework::suppressed_roles(&subscribe.suppressed_roles, &framework).ok()?;
    Some(Subscribe {
        framework,
        suppressed_roles,
    })
}

/// An event as it leaves the master's shell. `None` for those the two frameworks have no use for.
pub(crate) fn event(event: &master::Event) -> Option<scheduler::Event> {
    use master::Event as E;
    let mut out = scheduler::Event::default();
    match event {
        E::Subscribed { framework_id } => {
            out.set_type(event::Type::Subscribed);
            out.subscribed = Some(event::Subscribed {
                framework_id: v1::FrameworkId {
                    value: framework_id.to_string(),
                },
                heartbeat_interval_seconds: Some(HEARTBEAT.as_secs_f64()),
                ..Default::default()
            });
        }
        E::Offers { offers, .. } => {
            out.set_type(event::Type::Offers);
            let offers = offers.iter().map(|offer| v1::Offer {
                id: v1::OfferId {
                    value: offer.id.to_string(),
                },
                framework_id: v1::FrameworkId {
                    value: offer.framework_id.to_string(),
                },
                agent_id: v1::AgentId {
                    value: offer.agent_id.to_string(),
                },
                hostname: offer.spec.hostname.to_string(),
                resources: convert::resource::to_proto(&offer.resources, Format::Post),
                ..Default::default()
            });
            out.offers = Some(event::Offers {
                offers: offers.collect(),
            });
        }
        E::Rescind { offer_id } => {
            out.set_type(event::Type::Rescind);
            out.rescind = Some(event::Rescind {
                offer_id: v1::OfferId {
                    value: offer_id.to_string(),
                },
            });
        }
        E::Update(status) => {
            out.set_type(event::Type::Update);
            out.update = Some(event::Update {
                status: convert::status::to_proto(status),
            });
        }
        E::Error { message } => {
            out.set_type(event::Type::Error);
            out.error = Some(event::Error {
                message: message.to_string(),
            });
        }
        E::Failure { .. } | E::Message { .. } | E::UpdateOperationStatus(_) => return None,
    }
    Some(out)
}

/// A sign of life.
pub(crate) fn heartbeat() -> scheduler::Event {
    let mut out = scheduler::Event::default();
    out.set_type(event::Type::Heartbeat);
    out
}

/// A call as the core takes it. `None` for one that the two frameworks never make.
pub(crate) fn call(framework_id: &FrameworkId, call: &scheduler::Call) -> Option<master::Call> {
    use call::Type;
    Some(match call.r#type() {
        Type::Accept => {
            let accept = call.accept.as_ref()?;
            let operations = accept.operations.iter();
            master::Call::Accept(Accept {
                offer_ids: offer_ids(&accept.offer_ids),
                operations: operations.filter_map(|o| operation(framework_id, o)).collect(),
                filters: filters(accept.filters.as_ref()),
            })
        }
        Type::Decline => {
            let decline = call.decline.as_ref()?;
            master::Call::Decline {
                offer_ids: offer_ids(&decline.offer_ids),
                filters: filters(decline.filters.as_ref()),
            }
        }
        Type::Revive => master::Call::Revive { roles: Vec::new() },
        Type::Suppress => master::Call::Suppress { roles: Vec::new() },
        Type::Kill => {
            let kill = call.kill.as_ref()?;
            master::Call::Kill {
                task_id: TaskId::as_written(&kill.task_id.value),
                agent_id: kill.agent_id.as_ref().map(|id| AgentId::as_written(&id.value)),
                kill_policy: Default::default(),
                grace: None,
            }
        }
        Type::Acknowledge => {
            let acknowledge = call.acknowledge.as_ref()?;
            master::Call::Acknowledge {
                agent_id: AgentId::as_written(&acknowledge.agent_id.value),
                task_id: TaskId::as_written(&acknowledge.task_id.value),
                uuid: UpdateUuid(acknowledge.uuid[..].try_into().ok()?),
            }
        }
        Type::Reconcile => {
            let tasks = call.reconcile.as_ref()?.tasks.iter();
            master::Call::Reconcile {
                tasks: tasks
                    .map(|task| TaskRef {
                        task_id: TaskId::as_written(&task.task_id.value),
                        agent_id: task.agent_id.as_ref().map(|id| AgentId::as_written(&id.value)),
                    })
                    .collect(),
            }
        }
        _ => return None,
    })
}

fn offer_ids(ids: &[v1::OfferId]) -> Vec<OfferId> {
    ids.iter().map(|id| OfferId::as_written(&id.value)).collect()
}

fn filters(filters: Option<&v1::Filters>) -> Filters {
    Filters::from_seconds(filters.and_then(|f| f.refuse_seconds))
}

/// Hosts of the world read a task's script where real ones read its whole TaskInfo: it travels in `data`.
fn operation(framework_id: &FrameworkId, operation: &v1::offer::Operation) -> Option<Operation> {
    if operation.r#type() != OperationType::Launch {
        return None;
    }
    let tasks = operation.launch.as_ref()?.task_infos.iter();
    let tasks = tasks.map(|info| {
        let mut spec = convert::task::spec(info, framework_id, Launch::Single);
        spec.wire = info.data.clone().unwrap_or_default();
        spec
    });
    Some(Operation::Launch {
        id: None,
        tasks: tasks.collect(),
    })
}
