//! Calls of the two frameworks, in protobuf as their shells build them.

use bytes::Bytes;
use meseta_proto::mesos::v1;
use meseta_proto::mesos::v1::offer::operation;
use meseta_proto::mesos::v1::scheduler::{self, call};
use meseta_sdk::driver::Wish;
use meseta_types::{AgentId, TaskId};
use std::collections::BTreeSet;
use std::time::Duration;

/// A task to be launched.
pub(crate) struct Order {
    pub(crate) task: TaskId,
    pub(crate) agent: AgentId,
    pub(crate) cpus: f64,
    pub(crate) mem: f64,
    pub(crate) ports: Vec<u16>,
    pub(crate) checked: bool,
    pub(crate) script: Bytes,
}

fn of_type(kind: call::Type) -> scheduler::Call {
    let mut call = scheduler::Call::default();
    call.set_type(kind);
    call
}

/// What a framework subscribes as.
pub(crate) fn wish(name: &str) -> Wish {
    use v1::framework_info::{Capability, capability::Type};
    let capabilities = [
        Type::PartitionAware,
        Type::TaskKillingState,
        Type::MultiRole,
        Type::ReservationRefinement,
    ];
    let capabilities = capabilities.map(|kind| {
        let mut capability = Capability::default();
        capability.set_type(kind);
        capability
    });
    Wish {
        framework: v1::FrameworkInfo {
            user: "nobody".to_owned(),
            name: name.to_owned(),
            failover_timeout: Some(Duration::from_secs(7 * 24 * 3600).as_secs_f64()),
            checkpoint: Some(true),
            roles: vec!["*".to_owned()],
            capabilities: capabilities.into(),
            ..Default::default()
        },
        suppressed: BTreeSet::new(),
        constraints: None,
    }
}

fn filters(refuse: Duration) -> Option<v1::Filters> {
    Some(v1::Filters {
        refuse_seconds: Some(refuse.as_secs_f64()),
    })
}

fn offer(offer: &str) -> v1::OfferId {
    v1::OfferId {
        value: offer.to_owned(),
    }
}

pub(crate) fn accept(id: &str, orders: &[Order]) -> scheduler::Call {
    let mut launch = v1::offer::Operation {
        launch: Some(operation::Launch {
            task_infos: orders.iter().map(task_info).collect(),
        }),
        ..Default::default()
    };
    launch.set_type(operation::Type::Launch);
    let mut out = of_type(call::Type::Accept);
    out.accept = Some(call::Accept {
        offer_ids: vec![offer(id)],
        operations: vec![launch],
        filters: filters(Duration::from_secs(1)),
    });
    out
}

pub(crate) fn decline(id: &str, refuse: Duration) -> scheduler::Call {
    let mut out = of_type(call::Type::Decline);
    out.decline = Some(call::Decline {
        offer_ids: vec![offer(id)],
        filters: filters(refuse),
    });
    out
}

pub(crate) fn revive() -> scheduler::Call {
    let mut out = of_type(call::Type::Revive);
    out.revive = Some(call::Revive::default());
    out
}

pub(crate) fn suppress() -> scheduler::Call {
    let mut out = of_type(call::Type::Suppress);
    out.suppress = Some(call::Suppress::default());
    out
}

pub(crate) fn kill(task: &TaskId, agent: &AgentId) -> scheduler::Call {
    let mut out = of_type(call::Type::Kill);
    out.kill = Some(call::Kill {
        task_id: task_id(task),
        agent_id: Some(agent_id(agent)),
        ..Default::default()
    });
    out
}

pub(crate) fn reconcile(tasks: &[(TaskId, AgentId)]) -> scheduler::Call {
    let tasks = tasks.iter().map(|(task, agent)| call::reconcile::Task {
        task_id: task_id(task),
        agent_id: Some(agent_id(agent)),
    });
    let mut out = of_type(call::Type::Reconcile);
    out.reconcile = Some(call::Reconcile {
        tasks: tasks.collect(),
    });
    out
}

fn task_id(task: &TaskId) -> v1::TaskId {
    v1::TaskId {
        value: task.to_string(),
    }
}

fn agent_id(agent: &AgentId) -> v1::AgentId {
    v1::AgentId {
        value: agent.to_string(),
    }
}

fn resource(name: &str) -> v1::Resource {
    v1::Resource {
        name: name.to_owned(),
        allocation_info: Some(v1::resource::AllocationInfo {
            role: Some("*".to_owned()),
        }),
        ..Default::default()
    }
}

fn scalar(name: &str, value: f64) -> v1::Resource {
    let mut out = v1::Resource {
        scalar: Some(v1::value::Scalar { value }),
        ..resource(name)
    };
    out.set_type(v1::value::Type::Scalar);
    out
}

fn ports(ports: &[u16]) -> v1::Resource {
    let range = ports.iter().map(|port| v1::value::Range {
        begin: u64::from(*port),
        end: u64::from(*port),
    });
    let mut out = v1::Resource {
        ranges: Some(v1::value::Ranges {
            range: range.collect(),
        }),
        ..resource("ports")
    };
    out.set_type(v1::value::Type::Ranges);
    out
}

fn command() -> v1::CommandInfo {
    v1::CommandInfo {
        value: Some("run the script".to_owned()),
        ..Default::default()
    }
}

fn health_check() -> v1::HealthCheck {
    let mut check = v1::HealthCheck {
        delay_seconds: Some(0.5),
        interval_seconds: Some(3.0),
        timeout_seconds: Some(1.0),
        consecutive_failures: Some(2),
        grace_period_seconds: Some(3.0),
        command: Some(command()),
        ..Default::default()
    };
    check.set_type(v1::health_check::Type::Command);
    check
}

fn task_info(order: &Order) -> v1::TaskInfo {
    let mut resources = vec![scalar("cpus", order.cpus), scalar("mem", order.mem)];
    if !order.ports.is_empty() {
        resources.push(ports(&order.ports));
    }
    v1::TaskInfo {
        name: "task".to_owned(),
        task_id: task_id(&order.task),
        agent_id: agent_id(&order.agent),
        resources,
        command: Some(command()),
        health_check: order.checked.then(health_check),
        kill_policy: Some(v1::KillPolicy {
            grace_period: Some(v1::DurationInfo {
                nanoseconds: 1_500_000_000,
            }),
        }),
        data: Some(order.script.clone()),
        ..Default::default()
    }
}
