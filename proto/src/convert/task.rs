//! Tasks: `TaskInfo` to the spec the cores decide on, and the `Task` message readers are shown.

use super::{Invalid, duration, executor, put_id, put_int, resource, seconds, status, validate};
use crate::mesos::v1;
use crate::secrets::without_secrets;
use crate::wire::{self, Fields};
use bytes::Bytes;
use meseta_types::task::{
    CheckSpec, ExecutorSpec, HealthCheckSpec, ReportedTask, TaskSpec, TaskState, TaskStatus,
};
use meseta_types::{AgentId, ExecutorId, FrameworkId, Resources, TaskId, UpdateUuid};
use prost::Message as _;
use std::borrow::Cow;
use std::sync::Arc;

/// How a task is launched; the rules differ in a few points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Launch {
    /// By LAUNCH, on its own.
    Single,
    /// By LAUNCH_GROUP, under the group's executor.
    Group,
}

/// A task as the cores need it. Never fails: the first fault that can be seen without state is in `invalid`, since
/// it is answered with an update and the other tasks go on. Ids are taken as written.
///
/// A single task gets what Mesos fills in: the framework's id in its executor, the type of a health check that has
/// only a command or only an HTTP request.
pub fn spec(info: &v1::TaskInfo, framework_id: &FrameworkId, launch: Launch) -> TaskSpec {
    let info = match launch {
        Launch::Single => filled_in(info, framework_id),
        Launch::Group => Cow::Borrowed(info),
    };
    let mut invalid = validate::task(&info, framework_id, launch);
    let (resources, fault) = parts(resource::from_proto(&info.resources).map_err(Invalid::new));
    invalid = invalid.or(fault);
    let (executor, fault) = parts(info.executor.as_ref().map(executor::spec).transpose());
    invalid = invalid.or(fault);
    let wire: Bytes = info.encode_to_vec().into();
    TaskSpec {
        task_id: TaskId::as_written(&info.task_id.value),
        name: Arc::from(info.name.as_str()),
        agent_id: AgentId::as_written(&info.agent_id.value),
        resources,
        executor,
        has_command: info.command.is_some(),
        kill_grace: info
            .kill_policy
            .as_ref()
            .and_then(|p| p.grace_period.as_ref())
            .map(duration),
        max_completion_time: info.max_completion_time.as_ref().map(duration),
        has_limits: !info.limits.is_empty(),
        health_check: info.health_check.as_ref().map(health_check),
        check: info.check.as_ref().map(check),
        invalid: invalid.map(|e| Arc::from(e.0)),
        kept: kept(&wire, &info),
        wire,
    }
}

/// As [`spec`] of a single task, from an encoded message that was checked before (as the agents' link carries it).
pub fn from_encoded(wire: &[u8], framework_id: &FrameworkId) -> Result<TaskSpec, Invalid> {
    let info: v1::TaskInfo = crate::binary::decode(wire).map_err(Invalid::new)?;
    Ok(spec(&info, framework_id, Launch::Single))
}

fn parts<T: Default>(outcome: Result<T, Invalid>) -> (T, Option<Invalid>) {
    match outcome {
        Ok(value) => (value, None),
        Err(error) => (T::default(), Some(error)),
    }
}

fn filled_in<'a>(info: &'a v1::TaskInfo, framework_id: &FrameworkId) -> Cow<'a, v1::TaskInfo> {
    use v1::health_check::Type;
    let mut info = Cow::Borrowed(info);
    if info.executor.as_ref().is_some_and(|e| e.framework_id.is_none())
        && let Some(executor) = &mut info.to_mut().executor
    {
        executor.framework_id = Some(v1::FrameworkId {
            value: framework_id.to_string(),
        });
    }
    let guessed =
        info.health_check
            .as_ref()
            .and_then(|check| match (check.r#type, &check.command, &check.http) {
                (None, Some(_), None) => Some(Type::Command),
                (None, None, Some(_)) => Some(Type::Http),
                _ => None,
            });
    if guessed.is_some()
        && let Some(check) = &mut info.to_mut().health_check
    {
        check.r#type = guessed.map(i32::from);
    }
    info
}

fn health_check(check: &v1::HealthCheck) -> HealthCheckSpec {
    HealthCheckSpec {
        delay: seconds(check.delay_seconds()),
        interval: seconds(check.interval_seconds()),
        timeout: seconds(check.timeout_seconds()),
        consecutive_failures: check.consecutive_failures(),
        grace_period: seconds(check.grace_period_seconds()),
    }
}

fn check(check: &v1::CheckInfo) -> CheckSpec {
    use v1::check_info::Type;
    let mut status = v1::CheckStatusInfo {
        r#type: check.r#type,
        ..Default::default()
    };
    match check.r#type() {
        Type::Command => status.command = Some(v1::check_status_info::Command::default()),
        Type::Http => status.http = Some(v1::check_status_info::Http::default()),
        Type::Tcp => status.tcp = Some(v1::check_status_info::Tcp::default()),
        Type::Unknown => {}
    }
    let mut initial = Vec::new();
    wire::put_bytes(&mut initial, 15, &status.encode_to_vec());
    CheckSpec {
        delay: seconds(check.delay_seconds()),
        interval: seconds(check.interval_seconds()),
        timeout: seconds(check.timeout_seconds()),
        initial_status: initial.into(),
    }
}

/// What the master keeps of a task beside the typed fields, as the fields of a `Task`. It is shown to everybody: secrets
/// are left out.
fn kept(encoded: &[u8], info: &v1::TaskInfo) -> Bytes {
    let mut out = Vec::new();
    let mut fields = Fields::new(encoded);
    while let Ok(Some((number, value))) = fields.next() {
        // labels, discovery, container, health_check, kill_policy, limits: TaskInfo's number to Task's.
        let kept = match number {
            10 => 11,
            11 => 12,
            9 => 13,
            8 => 15,
            12 => 16,
            15 => 17,
            _ => continue,
        };
        match (number, value) {
            (8, wire::Value::Bytes(check)) => {
                wire::put_bytes(&mut out, kept, &without_secrets::<v1::HealthCheck>(check));
            }
            (9, wire::Value::Bytes(container)) => {
                wire::put_bytes(&mut out, kept, &without_secrets::<v1::ContainerInfo>(container));
            }
            _ => super::copy_as(&mut out, kept, value),
        }
    }
    let command = |c: &v1::CommandInfo| c.user.clone();
    let user = info.command.as_ref().and_then(command);
    let of_executor = || {
        info.executor
            .as_ref()
            .and_then(|e| e.command.as_ref())
            .and_then(command)
    };
    if let Some(user) = user.or_else(of_executor) {
        wire::put_bytes(&mut out, 14, user.as_bytes());
    }
    out.into()
}

/// The `TaskInfo` as it goes to an agent or executor: the typed resources over those of the wire, allocated, in the
/// form with a stack of reservations.
pub fn launch_wire(task: &TaskSpec, framework_id: &FrameworkId) -> Bytes {
    let mut out = super::without(&task.wire, &[4, 5]);
    for r in resource::to_proto(&task.resources, resource::Format::Post) {
        wire::put_bytes(&mut out, 4, &r.encode_to_vec());
    }
    if let Some(spec) = &task.executor {
        wire::put_bytes(&mut out, 5, &executor::encode(spec, framework_id));
    }
    out.into()
}

/// The parts of a `Task` message.
#[derive(Clone, Copy, Debug)]
pub struct TaskParts<'a> {
    /// For people.
    pub name: &'a str,
    /// Which.
    pub task_id: &'a TaskId,
    /// Whose.
    pub framework_id: &'a FrameworkId,
    /// `None` for a command task.
    pub executor_id: Option<&'a ExecutorId>,
    /// Where; `None` only on the agents' link, where it is the sender.
    pub agent_id: Option<&'a AgentId>,
    /// The newest state known.
    pub state: TaskState,
    /// Allocated.
    pub resources: &'a Resources,
    /// Oldest first.
    pub statuses: &'a [TaskStatus],
    /// The state last forwarded with a uuid, and the uuid.
    pub status_update: Option<(TaskState, Option<UpdateUuid>)>,
    /// As `TaskSpec::kept`.
    pub kept: &'a [u8],
}

/// The encoded `Task`. Statuses go without `data`, as in Mesos; `transcode` prints it.
pub fn encode(task: &TaskParts<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(256 + task.kept.len());
    wire::put_bytes(&mut out, 1, task.name.as_bytes());
    put_id(&mut out, 2, task.task_id.as_str());
    put_id(&mut out, 3, task.framework_id.as_str());
    if let Some(id) = task.executor_id {
        put_id(&mut out, 4, id.as_str());
    }
    if let Some(id) = task.agent_id {
        put_id(&mut out, 5, id.as_str());
    }
    put_int(&mut out, 6, task.state.number() as u64);
    for r in resource::to_proto(task.resources, resource::Format::Post) {
        wire::put_bytes(&mut out, 7, &r.encode_to_vec());
    }
    for s in task.statuses {
        wire::put_bytes(&mut out, 8, &status::encode_without_data(s));
    }
    if let Some((state, uuid)) = task.status_update {
        put_int(&mut out, 9, state.number() as u64);
        if let Some(uuid) = uuid {
            wire::put_bytes(&mut out, 10, &uuid.0);
        }
    }
    out.extend_from_slice(task.kept);
    out
}

/// The encoded `Task` of a reported task, for the agents' link: without its agent's id.
pub fn encode_reported(task: &ReportedTask) -> Vec<u8> {
    encode(&TaskParts {
        name: &task.name,
        task_id: &task.task_id,
        framework_id: &task.framework_id,
        executor_id: task.executor_id.as_ref(),
        agent_id: None,
        state: task.state,
        resources: &task.resources,
        statuses: &task.statuses,
        status_update: task
            .status_update_state
            .map(|state| (state, task.status_update_uuid)),
        kept: &task.kept,
    })
}

/// A reported task from its encoded `Task`.
pub fn reported_from_encoded(encoded: &[u8]) -> Result<ReportedTask, Invalid> {
    let task = v1::Task::decode(encoded).map_err(Invalid::new)?;
    let state = |n: i32| TaskState::from_number(n).ok_or_else(|| Invalid(format!("unknown task state {n}")));
    Ok(ReportedTask {
        framework_id: FrameworkId::new(&task.framework_id.value).map_err(Invalid::new)?,
        task_id: TaskId::new(&task.task_id.value).map_err(Invalid::new)?,
        name: Arc::from(task.name.as_str()),
        executor_id: task
            .executor_id
            .as_ref()
            .map(|e| ExecutorId::as_written(&e.value)),
        resources: resource::from_proto(&task.resources).map_err(Invalid::new)?,
        state: state(task.state)?,
        status_update_state: task.status_update_state.map(state).transpose()?,
        status_update_uuid: task.status_update_uuid.as_deref().map(status::uuid).transpose()?,
        statuses: task
            .statuses
            .iter()
            .map(status::from_proto)
            .collect::<Result<_, _>>()?,
        kept: super::without(encoded, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]).into(),
    })
}

/// Whether tasks of a group fit together and under their executor; the first fault.
pub fn group_fault(
    executor: &v1::ExecutorInfo,
    tasks: &[v1::TaskInfo],
    framework_id: &FrameworkId,
) -> Option<Arc<str>> {
    validate::group(executor, tasks, framework_id).map(|e| Arc::from(e.0))
}

/// An executor's spec even if its resources are no resources (then without them); the fault is [`group_fault`]'s.
pub fn group_executor(info: &v1::ExecutorInfo) -> ExecutorSpec {
    executor::spec(info).unwrap_or_else(|_| {
        let bare = v1::ExecutorInfo {
            resources: Vec::new(),
            ..info.clone()
        };
        let empty = ExecutorSpec {
            executor_id: ExecutorId::as_written(&info.executor_id.value),
            resources: Resources::new(),
            name: Arc::from(info.name()),
            source: Arc::from(info.source()),
            is_default: false,
            shutdown_grace_period: None,
            wire: Bytes::new(),
        };
        executor::spec(&bare).unwrap_or(empty)
    })
}
