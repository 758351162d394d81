//! What master and agent say to each other: the cores' items to those of `link.proto` and back.
//!
//! Frames (epoch, numbers, batches) are the shells'. An item that cannot be read means a peer that speaks another
//! language: the link is closed.

use super::{Invalid, agent, executor, framework, status, task};
use crate::meseta::link::v1::{self as link, agent_item, master_item};
use crate::mesos::v1;
use bytes::Bytes;
use meseta_types::link::{AgentSpec, FromAgent, Inventory, StatusUpdate, ToAgent};
use meseta_types::task::{ReportedExecutor, TaskState};
use meseta_types::{AgentId, ExecutorId, FrameworkId, TaskId};
use prost::Message as _;
use std::sync::Arc;
use std::time::Duration;

fn agent_to_wire(spec: &AgentSpec) -> link::Agent {
    link::Agent {
        info: agent::encode(spec),
        ip: spec.ip.to_string(),
        version: spec.version.to_string(),
        capabilities: spec.capabilities.iter().map(|c| c.to_string()).collect(),
    }
}

fn agent_from_wire(agent: Option<link::Agent>) -> Result<AgentSpec, Invalid> {
    let agent = agent.ok_or_else(|| Invalid::new("the agent's description is missing"))?;
    let info: v1::AgentInfo = crate::binary::decode(&agent.info).map_err(Invalid::new)?;
    let ip = agent
        .ip
        .parse()
        .map_err(|_| Invalid(format!("'{}' is no IP address", agent.ip)))?;
    super::agent::spec(&info, ip, &agent.version, &agent.capabilities)
}

fn framework_id(text: &str) -> Result<FrameworkId, Invalid> {
    FrameworkId::new(text).map_err(Invalid::new)
}

fn task_id(text: &str) -> Result<TaskId, Invalid> {
    TaskId::new(text).map_err(Invalid::new)
}

fn executor_id(text: &str) -> Result<ExecutorId, Invalid> {
    ExecutorId::new(text).map_err(Invalid::new)
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// An item of the agent for the wire.
pub fn agent_item(item: &FromAgent) -> link::AgentItem {
    use agent_item::Item;
    let item = match item {
        FromAgent::Register { agent } => Item::Register(link::Register {
            agent: Some(agent_to_wire(agent)),
        }),
        FromAgent::Reregister { agent, inventory } => Item::Reregister(link::Reregister {
            agent: Some(agent_to_wire(agent)),
            frameworks: inventory.frameworks.iter().map(framework::encode).collect(),
            tasks: inventory
                .tasks
                .iter()
                .map(|t| task::encode_reported(t).into())
                .collect(),
            executors: inventory.executors.iter().map(reported_executor).collect(),
        }),
        FromAgent::Unregister => Item::Unregister(link::Unregister {}),
        FromAgent::Update(update) => Item::Update(link::StatusUpdate {
            framework_id: update.framework_id.to_string(),
            status: status::encode(&update.status).into(),
            latest_state: update.latest_state.number(),
        }),
        FromAgent::ExecutorExited {
            framework_id,
            executor_id,
            status,
        } => Item::ExecutorExited(link::ExecutorExited {
            framework_id: framework_id.to_string(),
            executor_id: executor_id.to_string(),
            status: *status,
        }),
        FromAgent::ExecutorMessage {
            framework_id,
            executor_id,
            data,
        } => Item::ExecutorMessage(link::ExecutorMessage {
            framework_id: framework_id.to_string(),
            executor_id: executor_id.to_string(),
            data: data.clone(),
        }),
        FromAgent::Pong => Item::Pong(link::Pong {}),
    };
    link::AgentItem { item: Some(item) }
}

fn reported_executor(reported: &ReportedExecutor) -> link::Executor {
    link::Executor {
        framework_id: reported.framework_id.to_string(),
        info: executor::encode(&reported.executor, &reported.framework_id),
    }
}

/// An item that says only that its sender lives.
pub fn agent_alive() -> link::AgentItem {
    link::AgentItem {
        item: Some(agent_item::Item::Alive(link::Alive {})),
    }
}

/// As [`agent_alive`], of the master.
pub fn master_alive() -> link::MasterItem {
    link::MasterItem {
        item: Some(master_item::Item::Alive(link::Alive {})),
    }
}

/// An agent's item from the wire; `None` for `Alive`, which is the shells' affair.
pub fn from_agent_item(item: link::AgentItem) -> Result<Option<FromAgent>, Invalid> {
    use agent_item::Item;
    let item = item
        .item
        .ok_or_else(|| Invalid::new("an item of the link without a known kind"))?;
    Ok(Some(match item {
        Item::Register(register) => FromAgent::Register {
            agent: agent_from_wire(register.agent)?,
        },
        Item::Reregister(r) => FromAgent::Reregister {
            inventory: inventory(&r)?,
            agent: agent_from_wire(r.agent)?,
        },
        Item::Unregister(_) => FromAgent::Unregister,
        Item::Update(update) => FromAgent::Update(StatusUpdate {
            framework_id: framework_id(&update.framework_id)?,
            status: status::from_encoded(&update.status)?,
            latest_state: TaskState::from_number(update.latest_state)
                .ok_or_else(|| Invalid(format!("unknown task state {}", update.latest_state)))?,
        }),
        Item::ExecutorExited(exited) => FromAgent::ExecutorExited {
            framework_id: framework_id(&exited.framework_id)?,
            executor_id: executor_id(&exited.executor_id)?,
            status: exited.status,
        },
        Item::ExecutorMessage(message) => FromAgent::ExecutorMessage {
            framework_id: framework_id(&message.framework_id)?,
            executor_id: executor_id(&message.executor_id)?,
            data: message.data,
        },
        Item::Pong(_) => FromAgent::Pong,
        Item::Alive(_) => return Ok(None),
    }))
}

fn inventory(r: &link::Reregister) -> Result<Inventory, Invalid> {
    let executor = |e: &link::Executor| {
        Ok(ReportedExecutor {
            framework_id: framework_id(&e.framework_id)?,
            executor: executor::from_encoded(&e.info)?,
        })
    };
    Ok(Inventory {
        frameworks: r
            .frameworks
            .iter()
            .map(|f| framework::from_encoded(f))
            .collect::<Result<_, _>>()?,
        tasks: r
            .tasks
            .iter()
            .map(|t| task::reported_from_encoded(t))
            .collect::<Result<_, _>>()?,
        executors: r.executors.iter().map(executor).collect::<Result<_, _>>()?,
    })
}

/// An item of the master for the wire. A task to run is the `TaskInfo` with the typed fields over it.
pub fn master_item(item: &ToAgent) -> link::MasterItem {
    use master_item::Item;
    let item = match item {
        ToAgent::Registered {
            agent_id,
            total_ping_timeout,
        } => Item::Registered(link::Registered {
            agent_id: agent_id.to_string(),
            total_ping_timeout_nanos: nanos(*total_ping_timeout),
        }),
        ToAgent::Reregistered {
            agent_id,
            total_ping_timeout,
            reconcile,
        } => {
            let task = |(framework_id, task_id): &(FrameworkId, TaskId)| link::TaskRef {
                framework_id: framework_id.to_string(),
                task_id: task_id.to_string(),
            };
            Item::Reregistered(link::Reregistered {
                agent_id: agent_id.to_string(),
                total_ping_timeout_nanos: nanos(*total_ping_timeout),
                reconcile: reconcile.iter().map(task).collect(),
            })
        }
        ToAgent::Shutdown { message } => Item::Shutdown(link::Shutdown {
            message: message.to_string(),
        }),
        ToAgent::RunTask {
            framework,
            task,
            launch_executor,
        } => Item::RunTask(link::RunTask {
            framework: framework::encode(framework),
            task: task::launch_wire(task, &owner(framework)),
            launch_executor: *launch_executor,
        }),
        ToAgent::RunTaskGroup {
            framework,
            executor,
            tasks,
            launch_executor,
        } => {
            let id = owner(framework);
            Item::RunTaskGroup(link::RunTaskGroup {
                framework: framework::encode(framework),
                executor: executor::encode(executor, &id),
                tasks: tasks.iter().map(|t| task::launch_wire(t, &id)).collect(),
                launch_executor: *launch_executor,
            })
        }
        ToAgent::KillTask {
            framework_id,
            task_id,
            kill_policy,
            ..
        } => Item::KillTask(link::KillTask {
            framework_id: framework_id.to_string(),
            task_id: task_id.to_string(),
            kill_policy: kill_policy.clone(),
        }),
        ToAgent::ShutdownExecutor {
            framework_id,
            executor_id,
        } => Item::ShutdownExecutor(link::ShutdownExecutor {
            framework_id: framework_id.to_string(),
            executor_id: executor_id.to_string(),
        }),
        ToAgent::AckUpdate {
            framework_id,
            task_id,
            uuid,
        } => Item::AckUpdate(link::AckUpdate {
            framework_id: framework_id.to_string(),
            task_id: task_id.to_string(),
            uuid: Bytes::copy_from_slice(&uuid.0),
        }),
        ToAgent::FrameworkMessage {
            framework_id,
            executor_id,
            data,
        } => Item::FrameworkMessage(link::FrameworkMessage {
            framework_id: framework_id.to_string(),
            executor_id: executor_id.to_string(),
            data: data.clone(),
        }),
        ToAgent::ShutdownFramework { framework_id } => Item::ShutdownFramework(link::ShutdownFramework {
            framework_id: framework_id.to_string(),
        }),
        ToAgent::UpdateFramework { framework } => Item::UpdateFramework(link::UpdateFramework {
            framework: framework::encode(framework),
        }),
        ToAgent::Ping { connected } => Item::Ping(link::Ping {
            connected: *connected,
        }),
    };
    link::MasterItem { item: Some(item) }
}

/// The framework's id a launch belongs to. The core gives every framework one before it launches anything.
fn owner(framework: &meseta_types::task::FrameworkSpec) -> FrameworkId {
    framework
        .id
        .clone()
        .unwrap_or_else(|| FrameworkId::as_written(""))
}

/// A master's item from the wire; `None` for `Alive`, which is the shells' affair.
pub fn to_agent_item(item: link::MasterItem) -> Result<Option<ToAgent>, Invalid> {
    use master_item::Item;
    let item = item
        .item
        .ok_or_else(|| Invalid::new("an item of the link without a known kind"))?;
    Ok(Some(match item {
        Item::Registered(r) => ToAgent::Registered {
            agent_id: AgentId::new(&r.agent_id).map_err(Invalid::new)?,
            total_ping_timeout: Duration::from_nanos(r.total_ping_timeout_nanos),
        },
        Item::Reregistered(r) => ToAgent::Reregistered {
            agent_id: AgentId::new(&r.agent_id).map_err(Invalid::new)?,
            total_ping_timeout: Duration::from_nanos(r.total_ping_timeout_nanos),
            reconcile: r
                .reconcile
                .iter()
                .map(|t| Ok((framework_id(&t.framework_id)?, task_id(&t.task_id)?)))
                .collect::<Result<_, Invalid>>()?,
        },
        Item::Shutdown(shutdown) => ToAgent::Shutdown {
            message: Arc::from(shutdown.message),
        },
        Item::RunTask(run) => run_task(run)?,
        Item::RunTaskGroup(run) => run_task_group(run)?,
        Item::KillTask(kill) => {
            let policy = v1::KillPolicy::decode(kill.kill_policy.clone()).map_err(Invalid::new)?;
            ToAgent::KillTask {
                framework_id: framework_id(&kill.framework_id)?,
                task_id: task_id(&kill.task_id)?,
                kill_policy: kill.kill_policy,
                grace: policy.grace_period.as_ref().map(super::duration),
            }
        }
        Item::ShutdownExecutor(shutdown) => ToAgent::ShutdownExecutor {
            framework_id: framework_id(&shutdown.framework_id)?,
            executor_id: executor_id(&shutdown.executor_id)?,
        },
        Item::AckUpdate(ack) => ToAgent::AckUpdate {
            framework_id: framework_id(&ack.framework_id)?,
            task_id: task_id(&ack.task_id)?,
            uuid: status::uuid(&ack.uuid)?,
        },
        Item::FrameworkMessage(message) => ToAgent::FrameworkMessage {
            framework_id: framework_id(&message.framework_id)?,
            executor_id: executor_id(&message.executor_id)?,
            data: message.data,
        },
        Item::ShutdownFramework(shutdown) => ToAgent::ShutdownFramework {
            framework_id: framework_id(&shutdown.framework_id)?,
        },
        Item::UpdateFramework(update) => ToAgent::UpdateFramework {
            framework: framework::from_encoded(&update.framework)?,
        },
        Item::Ping(ping) => ToAgent::Ping {
            connected: ping.connected,
        },
        Item::Alive(_) => return Ok(None),
    }))
}

fn run_task(run: link::RunTask) -> Result<ToAgent, Invalid> {
    let framework = framework::from_encoded(&run.framework)?;
    let task = task::from_encoded(&run.task, &owner(&framework))?;
    Ok(ToAgent::RunTask {
        framework,
        task,
        launch_executor: run.launch_executor,
    })
}

fn run_task_group(run: link::RunTaskGroup) -> Result<ToAgent, Invalid> {
    let framework = framework::from_encoded(&run.framework)?;
    let id = owner(&framework);
    let group_task = |wire: &Bytes| {
        let info: v1::TaskInfo = crate::binary::decode(wire).map_err(Invalid::new)?;
        Ok(task::spec(&info, &id, task::Launch::Group))
    };
    Ok(ToAgent::RunTaskGroup {
        executor: executor::from_encoded(&run.executor)?,
        tasks: run.tasks.iter().map(group_task).collect::<Result<_, Invalid>>()?,
        framework,
        launch_executor: run.launch_executor,
    })
}
