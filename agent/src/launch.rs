//! From the core's launch order to what the containerizer is asked for: command, environment, user, limits, files.
//!
//! Pure: a function of the order and the agent's settings. What cannot be carried out in this release is refused here
//! with a text that names the field; nothing a framework asked for is silently left out.

use crate::config::{Config, Variables};
use meseta_agent_core::LaunchOrder;
use meseta_containerizer::spec::{Command, LaunchSpec, Limit, Resources, Rlimit, Uri};
use meseta_proto::mesos::v1 as pb;
use meseta_proto::prost::Message;
use meseta_types::flag::format_duration;
use meseta_types::{AgentId, ContainerId, ExecutorId, FrameworkId};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

/// What every executor of this agent is told of it.
#[derive(Clone, Debug)]
pub(crate) struct Surroundings {
    /// Address of the agent's HTTP server as executors and masters see it.
    pub(crate) address: SocketAddr,
    /// The agent's settings.
    pub(crate) config: Arc<Config>,
}

impl Surroundings {
    /// `slave(1)@IP:PORT`.
    pub(crate) fn pid(&self) -> String {
        format!("slave(1)@{}", self.address)
    }

    /// The sandbox of a run.
    pub(crate) fn sandbox(
        &self,
        agent: &AgentId,
        framework: &FrameworkId,
        executor: &ExecutorId,
        container: &ContainerId,
    ) -> Arc<Path> {
        self.config
            .layout
            .sandbox(agent, framework, executor, container)
            .into()
    }
}

/// The parts of a task or executor description that make a container.
#[derive(Clone, Debug, Default)]
struct Described {
    command: pb::CommandInfo,
    container: Option<pb::ContainerInfo>,
    limits: Vec<(String, f64)>,
}

/// Why an order cannot be carried out; the text follows `Failed to launch container: `.
pub(crate) type Unsupported = String;

/// The containerizer's spec for an order.
///
/// # Errors
/// A text that names what is not supported or missing.
pub(crate) fn spec(order: &LaunchOrder, around: &Surroundings) -> Result<LaunchSpec, Unsupported> {
    let described = describe(order)?;
    if let Some(container) = &described.container {
        supported(container)?;
    }
    let framework_id = order.framework.id.as_ref().ok_or("the framework has no id")?;
    let sandbox = around.sandbox(
        &order.agent_id,
        framework_id,
        &order.executor.executor_id,
        &order.container_id,
    );
    Ok(LaunchSpec {
        id: order.container_id.clone(),
        command: command(&described.command)?,
        environment: environment(order, framework_id, &described.command, &sandbox, around)?,
        user: user(&described.command, &order.framework.user, &around.config),
        resources: resources(order, &described.limits),
        uris: described.command.uris.iter().map(uri).collect(),
        rlimits: rlimits(described.container.as_ref())?,
        sandbox,
    })
}

fn describe(order: &LaunchOrder) -> Result<Described, Unsupported> {
    let broken = |e| format!("its description cannot be read: {e}");
    match &order.command_task {
        Some(task) => {
            let info = pb::TaskInfo::decode(task.wire.clone()).map_err(broken)?;
            Ok(Described {
                command: info.command.unwrap_or_default(),
                container: info.container,
                limits: info.limits.into_iter().map(|(name, s)| (name, s.value)).collect(),
            })
        }
        None => {
            let info = pb::ExecutorInfo::decode(order.executor.wire.clone()).map_err(broken)?;
            Ok(Described {
                command: info.command.unwrap_or_default(),
                container: info.container,
                limits: Vec::new(),
            })
        }
    }
}

/// Refuses what would otherwise be ignored.
fn supported(container: &pb::ContainerInfo) -> Result<(), Unsupported> {
    let refuse = |what: &str| Err(format!("{what} is not supported in this release"));
    if container.r#type == pb::container_info::Type::Docker as i32 || container.docker.is_some() {
        return refuse("a container of type DOCKER");
    }
    if container.mesos.as_ref().is_some_and(|m| m.image.is_some()) {
        return refuse("'container.mesos.image'");
    }
    if !container.volumes.is_empty() {
        return refuse("'container.volumes'");
    }
    if container
        .network_infos
        .iter()
        .any(|n| n.name.is_some() || !n.port_mappings.is_empty())
    {
        return refuse("'container.network_infos' with a network or port mappings");
    }
    if container.hostname.is_some() {
        return refuse("'container.hostname'");
    }
    if container.tty_info.is_some() {
        return refuse("'container.tty_info'");
    }
    if container.linux_info.is_some() {
        return refuse("'container.linux_info'");
    }
    Ok(())
}

/// What runs, as `CommandInfo` says it: also used for command probes.
///
/// # Errors
/// A text when there is nothing to run.
pub(crate) fn command(info: &pb::CommandInfo) -> Result<Command, Unsupported> {
    let value = info.value.as_deref().filter(|value| !value.is_empty());
    match (info.shell(), value) {
        (true, Some(text)) => Ok(Command::Shell(text.into())),
        (false, Some(path)) => Ok(Command::Program {
            path: path.into(),
            argv: info.arguments.iter().map(|a| a.as_str().into()).collect(),
        }),
        (true, None) => Err("Shell command is not specified".to_owned()),
        (false, None) => Err("Executable of the command is not specified".to_owned()),
    }
}

/// The user a container runs as: the command's, else the framework's; `None` without `--switch_user`.
pub(crate) fn user(command: &pb::CommandInfo, framework_user: &str, config: &Config) -> Option<Arc<str>> {
    if !config.flags.switch_user {
        return None;
    }
    command
        .user
        .as_deref()
        .or(Some(framework_user))
        .filter(|user| !user.is_empty())
        .map(Arc::from)
}

/// The variables every executor gets (mesos-agent 3.1), the operator's before and the user's after them: later wins.
fn environment(
    order: &LaunchOrder,
    framework_id: &FrameworkId,
    command: &pb::CommandInfo,
    sandbox: &Path,
    around: &Surroundings,
) -> Result<Variables, Unsupported> {
    let flags = &around.config.flags;
    let sandbox = sandbox.to_string_lossy().into_owned();
    let grace = order
        .executor
        .shutdown_grace_period
        .unwrap_or(flags.executor_shutdown_grace_period.0);
    let checkpoint = order.framework.checkpoint;
    let mut all: Variables = around.config.executor_environment.clone();
    let mut set = |name: &str, value: &str| all.push((name.into(), value.into()));
    set("LIBPROCESS_IP", &around.address.ip().to_string());
    set("LIBPROCESS_PORT", "0");
    set("MESOS_FRAMEWORK_ID", framework_id.as_str());
    set("MESOS_EXECUTOR_ID", order.executor.executor_id.as_str());
    set("MESOS_DIRECTORY", &sandbox);
    set("MESOS_SANDBOX", &sandbox);
    set("MESOS_SLAVE_ID", order.agent_id.as_str());
    set("MESOS_SLAVE_PID", &around.pid());
    set("MESOS_AGENT_ENDPOINT", &around.address.to_string());
    set("MESOS_CHECKPOINT", if checkpoint { "1" } else { "0" });
    set("MESOS_HTTP_COMMAND_EXECUTOR", "0");
    set("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD", &format_duration(grace));
    if checkpoint {
        set(
            "MESOS_RECOVERY_TIMEOUT",
            &format_duration(flags.recovery_timeout.0),
        );
        set(
            "MESOS_SUBSCRIPTION_BACKOFF_MAX",
            &format_duration(flags.executor_reregistration_timeout.0),
        );
    }
    if let Some(task) = &order.command_task
        && let Some(role) = task.resources.allocations().iter().next()
    {
        set("MESOS_ALLOCATION_ROLE", role.as_str());
    }
    all.extend(variables(command.environment.as_ref())?);
    Ok(all)
}

/// The variables of an `Environment`; secrets given by value are taken, others cannot be resolved here.
///
/// # Errors
/// A text that names the variable.
pub(crate) fn variables(environment: Option<&pb::Environment>) -> Result<Variables, Unsupported> {
    let variables = environment.map_or(&[][..], |e| e.variables.as_slice());
    variables
        .iter()
        .map(|variable| {
            let value: Arc<str> = match &variable.secret {
                None => variable.value.as_deref().unwrap_or("").into(),
                Some(secret) => {
                    let data = secret.value.as_ref().map(|v| v.data.as_ref());
                    let text = data.and_then(|data| std::str::from_utf8(data).ok());
                    text.ok_or_else(|| {
                        format!(
                            "the secret of environment variable '{}' is not given by value as text",
                            variable.name
                        )
                    })?
                    .into()
                }
            };
            Ok((variable.name.as_str().into(), value))
        })
        .collect()
}

fn uri(uri: &pb::command_info::Uri) -> Uri {
    Uri {
        value: uri.value.clone(),
        executable: uri.executable(),
        extract: uri.extract(),
        output_file: uri.output_file.clone(),
    }
}

/// Requests are the order's resources; a task's limits are raised by what its executor adds to its requests.
fn resources(order: &LaunchOrder, limits: &[(String, f64)]) -> Resources {
    let mut all = requests(&order.resources);
    let own = requests(&order.executor.resources);
    for (name, value) in limits {
        let limit = |unit: f64, extra: u64| match *value {
            v if v.is_infinite() => Limit::Infinite,
            // Negative and not-a-number were refused by the master; saturating keeps them harmless here.
            v => Limit::Finite(((v * unit) as u64).saturating_add(extra)),
        };
        match name.as_str() {
            "cpus" => all.cpus_limit_milli = Some(limit(1000.0, own.cpus_milli)),
            "mem" => all.mem_limit_bytes = Some(limit(f64::from(1 << 20), own.mem_bytes)),
            _ => {}
        }
    }
    all
}

/// CPUs and memory of a bag of resources, without limits.
pub(crate) fn requests(resources: &meseta_types::Resources) -> Resources {
    let milli = |name| u64::try_from(resources.scalar(name).milli()).unwrap_or(0);
    Resources {
        cpus_milli: milli("cpus"),
        mem_bytes: milli("mem").saturating_mul(1 << 20) / 1000,
        cpus_limit_milli: None,
        mem_limit_bytes: None,
    }
}

/// The kernel's numbers of the limits, in the order of `RLimitInfo.RLimit.Type` from 1.
const RLIMITS: [u32; 16] = [9, 4, 0, 2, 1, 10, 8, 12, 13, 7, 6, 5, 14, 15, 11, 3];

fn rlimits(container: Option<&pb::ContainerInfo>) -> Result<Vec<Rlimit>, Unsupported> {
    let info = container.and_then(|c| c.rlimit_info.as_ref());
    info.map_or(&[][..], |info| info.rlimits.as_slice())
        .iter()
        .map(|limit| {
            let number = usize::try_from(limit.r#type.unwrap_or(0))
                .ok()
                .and_then(|n| RLIMITS.get(n.checked_sub(1)?));
            match (number, limit.soft, limit.hard) {
                (None, ..) => Err("'container.rlimit_info' has a limit of unknown type".to_owned()),
                (Some(_), Some(_), None) | (Some(_), None, Some(_)) => Err(
                    "'container.rlimit_info': soft and hard limit must both be set or both be unset"
                        .to_owned(),
                ),
                (Some(&resource), soft, hard) => Ok(Rlimit { resource, soft, hard }),
            }
        })
        .collect()
}

/// Encodes a `TaskStatus` that has nothing but the given embedded message: a piece that the core joins to others.
fn piece<M: Message>(field: u32, message: &M) -> bytes::Bytes {
    let mut out = Vec::new();
    meseta_proto::prost::encoding::message::encode(field, message, &mut out);
    out.into()
}

/// `TaskStatus.container_status` of a running container, encoded for the core.
pub(crate) fn container_status(container: &ContainerId, ip: IpAddr, pid: Option<u32>) -> bytes::Bytes {
    let protocol = match ip {
        IpAddr::V4(_) => pb::network_info::Protocol::IPv4,
        IpAddr::V6(_) => pb::network_info::Protocol::IPv6,
    };
    let status = pb::ContainerStatus {
        network_infos: vec![pb::NetworkInfo {
            ip_addresses: vec![pb::network_info::IpAddress {
                protocol: Some(protocol as i32),
                ip_address: Some(ip.to_string()),
            }],
            ..Default::default()
        }],
        executor_pid: pid,
        container_id: Some(pb::ContainerId {
            value: container.as_str().to_owned(),
            parent: None,
        }),
        ..Default::default()
    };
    piece(13, &status)
}

/// `TaskStatus.check_status`, encoded for the core.
pub(crate) fn check_status(status: &pb::CheckStatusInfo) -> bytes::Bytes {
    piece(15, status)
}

/// `TaskStatus.limitation`, encoded for the core.
pub(crate) fn limitation(limitation: &pb::TaskResourceLimitation) -> bytes::Bytes {
    piece(16, limitation)
}

/// The executor a command task shows (mesos-agent 1.9, 3.2): name, source and labels from the task, and the command
/// that its container runs.
pub(crate) fn generated_executor(
    task: &pb::TaskInfo,
    framework: &FrameworkId,
    resources: Vec<pb::Resource>,
) -> pb::ExecutorInfo {
    pb::ExecutorInfo {
        executor_id: pb::ExecutorId {
            value: task.task_id.value.clone(),
        },
        framework_id: Some(pb::FrameworkId {
            value: framework.as_str().to_owned(),
        }),
        command: task.command.clone(),
        container: task.container.clone(),
        labels: task.labels.clone(),
        name: Some(executor_name(task)),
        source: Some(task.task_id.value.clone()),
        resources,
        ..Default::default()
    }
}

/// `Command Executor (Task: ID) (Command: sh -c 'CMD')`, as Mesos builds it (`src/slave/slave.cpp`,
/// `Slave::getExecutorInfo`); tools parse it.
pub(crate) fn executor_name(task: &pb::TaskInfo) -> String {
    let none = pb::CommandInfo::default();
    let command = task.command.as_ref().unwrap_or(&none);
    let shown = match (command.shell(), command.value.as_deref()) {
        (true, None) => "NO COMMAND".to_owned(),
        (true, Some(value)) => format!("sh -c '{}'", shortened(value)),
        (false, None) => "NO EXECUTABLE".to_owned(),
        (false, Some(value)) => {
            let all = std::iter::once(value).chain(command.arguments.iter().map(String::as_str));
            format!("[{}]", shortened(&all.collect::<Vec<_>>().join(", ")))
        }
    };
    format!(
        "Command Executor (Task: {}) (Command: {shown})",
        task.task_id.value
    )
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= 15 {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(12).collect();
    short.push_str("...");
    short
}

#[cfg(test)]
mod tests;
