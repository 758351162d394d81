//! How the API shows what a view holds: agents, frameworks, tasks, executors and offers as `mesos.v1` messages.
//!
//! Called on connections' tasks and blocking threads, never by the owner of the core.

use meseta_master_core::View;
use meseta_master_core::state::{Agent, Framework, FrameworkState, Offer, RecoveredAgent, Task};
use meseta_proto::convert;
use meseta_proto::convert::resource::{Format, to_proto as resources};
use meseta_proto::mesos::v1;
use meseta_proto::mesos::v1::master::response;
use meseta_proto::prost::Message;
use meseta_types::link::AgentSpec;
use meseta_types::resource::{Resource, Scalar, Value};
use meseta_types::task::{Capabilities, ExecutorSpec};
use meseta_types::{AgentId, FrameworkId, Resources, Role as RoleName, Wall};
use std::collections::{BTreeMap, BTreeSet};

/// Decodes what this program encoded or checked itself. What cannot be read shows as empty, with a line in the log.
pub(crate) fn carried<M: Message + Default>(wire: &[u8]) -> M {
    M::decode(wire).unwrap_or_else(|error| {
        tracing::error!(%error, "a carried message cannot be decoded");
        M::default()
    })
}

/// Mesos's pid of an agent.
pub(crate) fn agent_pid(spec: &AgentSpec) -> String {
    format!("slave(1)@{}", std::net::SocketAddr::new(spec.ip, spec.port))
}

/// Nanoseconds since the epoch.
pub(crate) fn time(at: Wall) -> v1::TimeInfo {
    v1::TimeInfo { nanoseconds: at.0 }
}

/// What is used on an agent, over all frameworks.
pub(crate) fn used(agent: &Agent) -> Resources {
    let mut sum = Resources::new();
    agent.used.values().for_each(|used| sum += used);
    sum
}

/// An agent of GET_AGENTS and AGENT_ADDED, and what of it is offered, over all frameworks.
pub(crate) fn agent(agent: &Agent, offered: &Resources) -> response::get_agents::Agent {
    response::get_agents::Agent {
        agent_info: convert::agent::to_info(&agent.spec),
        active: agent.active && agent.connected,
        version: agent.spec.version.to_string(),
        pid: Some(agent_pid(&agent.spec)),
        registered_time: Some(time(agent.registered_time)),
        reregistered_time: agent.reregistered_time.map(time),
        total_resources: resources(agent.total(), Format::Endpoint),
        allocated_resources: resources(&used(agent), Format::Endpoint),
        offered_resources: resources(offered, Format::Endpoint),
        capabilities: convert::agent::capabilities(&agent.spec),
        deactivated: Some(false),
        ..Default::default()
    }
}

/// An agent of `recovered_agents`.
pub(crate) fn recovered_agent(agent: &RecoveredAgent) -> v1::AgentInfo {
    let mut info: v1::AgentInfo = carried(&agent.wire);
    info.id = Some(v1::AgentId {
        value: agent.id.to_string(),
    });
    info
}

/// A framework's description, with its id.
pub(crate) fn framework_info(framework: &Framework) -> v1::FrameworkInfo {
    convert::framework::to_info(&framework.spec)
}

/// A framework without its offers: what events show.
pub(crate) fn framework(
    framework: &Framework,
    allocated: &Resources,
    offered: &Resources,
) -> response::get_frameworks::Framework {
    let connected = framework.state == FrameworkState::Connected;
    response::get_frameworks::Framework {
        framework_info: framework_info(framework),
        active: connected,
        connected,
        recovered: framework.state == FrameworkState::Recovered,
        registered_time: Some(time(framework.registered_time)),
        reregistered_time: Some(time(framework.reregistered_time)),
        unregistered_time: framework.unregistered_time.map(time),
        allocated_resources: resources(allocated, Format::Endpoint),
        offered_resources: resources(offered, Format::Endpoint),
        ..Default::default()
    }
}

/// A task, encoded as `mesos.v1.Task`.
pub(crate) fn task(task: &Task) -> Vec<u8> {
    let statuses: Vec<_> = task.statuses().collect();
    convert::task::encode(&convert::task::TaskParts {
        name: &task.name,
        task_id: &task.task_id,
        framework_id: &task.framework_id,
        executor_id: task.executor_id.as_ref(),
        agent_id: Some(&task.agent_id),
        state: task.state(),
        resources: &task.resources,
        statuses: &statuses,
        status_update: task
            .status_update_state
            .map(|state| (state, task.status_update_uuid)),
        kept: &task.kept,
    })
}

/// A custom or default executor.
pub(crate) fn executor(
    agent_id: &AgentId,
    framework_id: &FrameworkId,
    spec: &ExecutorSpec,
) -> response::get_executors::Executor {
    response::get_executors::Executor {
        executor_info: convert::executor::to_shown_info(spec, framework_id),
        agent_id: v1::AgentId {
            value: agent_id.to_string(),
        },
    }
}

/// An offer for operators.
pub(crate) fn offer(what: &Offer) -> v1::Offer {
    offer_with(what, resources(&what.resources, Format::Post), true)
}

/// An offer for its framework, in the form it understands.
pub(crate) fn offer_for(what: &Offer, reader: Capabilities) -> v1::Offer {
    let format = if reader.reservation_refinement {
        Format::Post
    } else {
        Format::Pre
    };
    let mut resources = resources(&what.resources, format);
    if !reader.multi_role {
        resources.iter_mut().for_each(|r| r.allocation_info = None);
    }
    offer_with(what, resources, reader.multi_role)
}

fn offer_with(offer: &Offer, resources: Vec<v1::Resource>, allocation: bool) -> v1::Offer {
    let info: v1::AgentInfo = carried(&offer.spec.wire);
    v1::Offer {
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
        url: Some(v1::Url {
            scheme: "http".to_owned(),
            address: v1::Address {
                hostname: Some(offer.spec.hostname.to_string()),
                ip: Some(offer.spec.ip.to_string()),
                port: i32::from(offer.spec.port),
            },
            path: Some("/slave(1)".to_owned()),
            ..Default::default()
        }),
        resources,
        executor_ids: offer
            .executor_ids
            .iter()
            .map(|id| v1::ExecutorId {
                value: id.to_string(),
            })
            .collect(),
        attributes: info.attributes,
        domain: info.domain,
        allocation_info: allocation.then(|| v1::resource::AllocationInfo {
            role: Some(offer.role.to_string()),
        }),
        ..Default::default()
    }
}

/// A role and what is used and offered in it.
#[derive(Debug, Default)]
pub(crate) struct Role {
    /// Its name.
    pub(crate) name: String,
    /// Frameworks subscribed in it or holding resources of it.
    pub(crate) frameworks: BTreeSet<FrameworkId>,
    /// Used by tasks and executors.
    pub(crate) allocated: Resources,
    /// In outstanding offers.
    pub(crate) offered: Resources,
    /// Reserved for it.
    pub(crate) reserved: Resources,
}

impl Role {
    /// As `mesos.v1.Role`: its resources are the amounts used and offered.
    pub(crate) fn message(self) -> v1::Role {
        let mut both = self.allocated;
        both += &self.offered;
        let mut amounts: BTreeMap<meseta_types::resource::Name, Scalar> = BTreeMap::new();
        for resource in both.iter() {
            if let Value::Scalar(amount) = resource.value {
                *amounts.entry(resource.name.clone()).or_default() += amount;
            }
        }
        let amounts = amounts.into_iter();
        let bag = amounts
            .map(|(name, amount)| Resource::scalar(&name, amount))
            .collect();
        v1::Role {
            name: self.name,
            weight: 1.0,
            frameworks: self
                .frameworks
                .into_iter()
                .map(|id| v1::FrameworkId {
                    value: id.to_string(),
                })
                .collect(),
            resources: resources(&bag, Format::Post),
        }
    }
}

/// The known roles by name: those of frameworks, of what is allocated and reserved, and their ancestors. With a
/// whitelist: all of it, and no others.
pub(crate) fn roles(view: &View, whitelist: Option<&BTreeSet<RoleName>>) -> Vec<Role> {
    let mut known: BTreeMap<RoleName, Role> = BTreeMap::new();
    for (_, framework) in view.frameworks.iter() {
        if framework.state != FrameworkState::Completed {
            for role in &framework.spec.roles {
                let entry = known.entry(role.clone()).or_default();
                entry.frameworks.insert(framework.id.clone());
            }
        }
    }
    for (key, usage) in view.usage() {
        let Some(framework) = view.frameworks.get(key) else {
            continue;
        };
        for (bag, is_offer) in [(&usage.used, false), (&usage.offered, true)] {
            for resource in bag.iter() {
                let Some(role) = &resource.allocation else {
                    continue;
                };
                let entry = known.entry(role.clone()).or_default();
                entry.frameworks.insert(framework.id.clone());
                let sum = if is_offer {
                    &mut entry.offered
                } else {
                    &mut entry.allocated
                };
                sum.push(resource.clone());
            }
        }
    }
    for (_, agent) in view.agents.iter() {
        for resource in agent.total().iter() {
            if let Some(role) = resource.reservation_role() {
                known
                    .entry(role.clone())
                    .or_default()
                    .reserved
                    .push(resource.clone());
            }
        }
    }
    let ancestors: Vec<RoleName> = known.keys().flat_map(|role| role.ancestors()).collect();
    for role in ancestors
        .into_iter()
        .chain(whitelist.into_iter().flatten().cloned())
    {
        known.entry(role).or_default();
    }
    known
        .into_iter()
        .filter(|(name, _)| whitelist.is_none_or(|whitelist| whitelist.contains(name)))
        .map(|(name, role)| Role {
            name: name.to_string(),
            ..role
        })
        .collect()
}
