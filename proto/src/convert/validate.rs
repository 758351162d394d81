//! What can be wrong with a task without looking at any state. Order and texts are Mesos's
//! (`src/master/validation.cpp`, `src/common/validation.cpp`, `src/checks`).

use super::task::Launch;
use super::{Invalid, resource};
use crate::mesos::v1;
use meseta_types::resource::{Resource, ResourceError, Resources, Scalar};
use meseta_types::{ExecutorId, FrameworkId, TaskId};
use std::collections::{BTreeMap, BTreeSet};

type Check = Result<(), Invalid>;

fn refuse<T>(text: impl Into<String>) -> Result<T, Invalid> {
    Err(Invalid(text.into()))
}

/// Puts what is at fault before a fault.
fn of(what: &str) -> impl Fn(Invalid) -> Invalid + '_ {
    move |Invalid(text)| Invalid(format!("{what}{text}"))
}

/// The first fault of a task.
pub(super) fn task(info: &v1::TaskInfo, framework_id: &FrameworkId, launch: Launch) -> Option<Invalid> {
    let body = || {
        task_alone(info)?;
        match launch {
            Launch::Single => executor_of(info, framework_id),
            Launch::Group => group_member(info),
        }
    };
    body().err()
}

fn task_alone(info: &v1::TaskInfo) -> Check {
    TaskId::new(&info.task_id.value).map_err(Invalid::new)?;
    let grace = info.kill_policy.as_ref().and_then(|p| p.grace_period.as_ref());
    if grace.is_some_and(|g| g.nanoseconds < 0) {
        return refuse("Task's 'kill_policy.grace_period' must be non-negative");
    }
    if info
        .max_completion_time
        .as_ref()
        .is_some_and(|t| t.nanoseconds < 0)
    {
        return refuse("Task's `max_completion_time` must be non-negative");
    }
    if let Some(check) = &info.check {
        self::check(check).map_err(of("Task uses invalid check: "))?;
    }
    if let Some(check) = &info.health_check {
        health_check(check).map_err(of("Task uses invalid health check: "))?;
    }
    if info.resources.is_empty() {
        return refuse("Task uses no resources");
    }
    resources_of("Task", &info.resources)?;
    if let Some(command) = &info.command {
        self::command(command).map_err(of("Task's `CommandInfo` is invalid: "))?;
    }
    if let Some(container) = &info.container {
        self::container(container).map_err(of("Task's `ContainerInfo` is invalid: "))?;
    }
    limits(info)
}

/// Texts that differ only in who uses the resources.
fn resources_of(who: &str, list: &[v1::Resource]) -> Result<Resources, Invalid> {
    let resources = valid(list).map_err(of(&format!("{who} uses invalid resources: ")))?;
    let mut seen = BTreeSet::new();
    for r in resources.iter().filter(|r| !r.traits.shared) {
        let id = r
            .traits
            .disk
            .as_ref()
            .and_then(|d| d.persistence.as_ref())
            .map(|p| p.id.clone());
        if let Some(id) = id
            && !seen.insert((r.reservation_role().cloned(), id.clone()))
        {
            return refuse(format!(
                "{who} uses duplicate persistence ID: Persistence ID '{id}' is not unique"
            ));
        }
    }
    let roles: Vec<_> = resources.allocations().into_iter().collect();
    if let [a, b, ..] = roles.as_slice() {
        return refuse(format!(
            "Invalid {} resources: The resources have multiple allocation roles ('{a}' and '{b}') but only one \
             allocation role is allowed",
            who.to_lowercase()
        ));
    }
    no_mix(&resources).map_err(of(&format!(
        "{who} mixes revocable and non-revocable resources: "
    )))?;
    Ok(resources)
}

fn no_mix(resources: &Resources) -> Check {
    let names = |revocable| -> BTreeSet<_> {
        resources
            .iter()
            .filter(|r| r.traits.revocable == revocable)
            .map(|r| r.name.clone())
            .collect()
    };
    match names(true).intersection(&names(false)).next() {
        Some(name) => refuse(format!(
            "Cannot use both revocable and non-revocable '{name}' at the same time"
        )),
        None => Ok(()),
    }
}

/// Valid resources with valid disks.
fn valid(list: &[v1::Resource]) -> Result<Resources, Invalid> {
    let resources = resource::from_proto(list).map_err(|e| match e {
        ResourceError::FractionalGpus => Invalid(format!("Invalid 'gpus' resource: {e}")),
        other => Invalid::new(other),
    })?;
    resources.iter().try_for_each(disk)?;
    Ok(resources)
}

fn disk(r: &Resource) -> Check {
    let Some(disk) = &r.traits.disk else { return Ok(()) };
    let Some(persistence) = &disk.persistence else {
        return match (&disk.volume, &disk.source) {
            (Some(_), _) => refuse("Non-persistent volume not supported"),
            (None, None) => refuse("DiskInfo is set but empty"),
            (None, Some(_)) => Ok(()),
        };
    };
    if r.traits.revocable {
        return refuse("Persistent volumes cannot be created from revocable resources");
    }
    if r.traits.reservations.is_empty() {
        return refuse("Persistent volumes cannot be created from unreserved resources");
    }
    match &disk.volume {
        None => return refuse("Expecting 'volume' to be set for persistent volume"),
        Some(volume) if volume.host_path.is_some() => {
            return refuse("Expecting 'host_path' to be unset for persistent volume");
        }
        Some(_) => {}
    }
    // Persistence ids obey the rule of all ids.
    TaskId::new(&persistence.id)
        .map(|_| ())
        .map_err(|e| Invalid(format!("Invalid persistence ID for persistent volume: {e}")))
}

fn not_negative(fields: &[(Option<f64>, &str)]) -> Check {
    match fields.iter().find(|(value, _)| value.is_some_and(|v| v < 0.0)) {
        Some((_, name)) => refuse(format!("Expecting '{name}' to be non-negative")),
        None => Ok(()),
    }
}

fn probe_command(command: &v1::CommandInfo, what: &str) -> Check {
    if command.value.is_some() {
        return Ok(());
    }
    let kind = if command.shell() {
        "'shell command'"
    } else {
        "'executable path'"
    };
    refuse(format!("{what} must contain {kind}"))
}

fn probe_path(path: Option<&String>, what: &str) -> Check {
    match path {
        Some(path) if !path.starts_with('/') => {
            refuse(format!("The path '{path}' of HTTP {what} must start with '/'"))
        }
        _ => Ok(()),
    }
}

fn health_check(check: &v1::HealthCheck) -> Check {
    use v1::health_check::Type;
    if check.r#type.is_none() {
        return refuse("HealthCheck must specify 'type'");
    }
    match (check.r#type(), &check.command, &check.http, &check.tcp) {
        (Type::Command, Some(command), ..) => {
            probe_command(command, "Command health check")?;
            self::command(command).map_err(of("Health check's `CommandInfo` is invalid: "))?;
        }
        (Type::Command, None, ..) => return refuse("Expecting 'command' to be set for COMMAND health check"),
        (Type::Http, _, Some(http), _) => {
            if let Some(scheme) = http.scheme.as_deref().filter(|s| !matches!(*s, "http" | "https")) {
                return refuse(format!("Unsupported HTTP health check scheme: '{scheme}'"));
            }
            probe_path(http.path.as_ref(), "health check")?;
        }
        (Type::Http, _, None, _) => return refuse("Expecting 'http' to be set for HTTP health check"),
        (Type::Tcp, _, _, Some(_)) => {}
        (Type::Tcp, _, _, None) => return refuse("Expecting 'tcp' to be set for TCP health check"),
        (Type::Unknown, ..) => return refuse("'UNKNOWN' is not a valid health check type"),
    }
    not_negative(&[
        (check.delay_seconds, "delay_seconds"),
        (check.grace_period_seconds, "grace_period_seconds"),
        (check.interval_seconds, "interval_seconds"),
        (check.timeout_seconds, "timeout_seconds"),
    ])
}

fn check(check: &v1::CheckInfo) -> Check {
    use v1::check_info::Type;
    if check.r#type.is_none() {
        return refuse("CheckInfo must specify 'type'");
    }
    match (check.r#type(), &check.command, &check.http, &check.tcp) {
        (Type::Command, Some(command), ..) => {
            probe_command(&command.command, "Command check")?;
            self::command(&command.command).map_err(of("Check's `CommandInfo` is invalid: "))?;
        }
        (Type::Command, None, ..) => return refuse("Expecting 'command' to be set for COMMAND check"),
        (Type::Http, _, Some(http), _) => probe_path(http.path.as_ref(), "check")?,
        (Type::Http, _, None, _) => return refuse("Expecting 'http' to be set for HTTP check"),
        (Type::Tcp, _, _, Some(_)) => {}
        (Type::Tcp, _, _, None) => return refuse("Expecting 'tcp' to be set for TCP check"),
        (Type::Unknown, ..) => return refuse("'UNKNOWN' is not a valid check type"),
    }
    not_negative(&[
        (check.delay_seconds, "delay_seconds"),
        (check.interval_seconds, "interval_seconds"),
        (check.timeout_seconds, "timeout_seconds"),
    ])
}

fn command(command: &v1::CommandInfo) -> Check {
    let variables = command
        .environment
        .as_ref()
        .map(|e| e.variables.as_slice())
        .unwrap_or_default();
    variables.iter().try_for_each(variable)
}

fn variable(variable: &v1::environment::Variable) -> Check {
    use v1::environment::variable::Type;
    let kind = variable.r#type();
    let must = |what: &str| {
        let (name, kind) = (&variable.name, kind.as_str_name());
        refuse(format!(
            "Environment variable '{name}' of type '{kind}' must {what}"
        ))
    };
    match (kind, &variable.value, &variable.secret) {
        (Type::Secret, _, None) => must("have a secret set"),
        (Type::Secret, Some(_), _) => must("not have a value set"),
        (Type::Secret, None, Some(s)) => {
            let name = &variable.name;
            secret(s).map_err(of(&format!(
                "Environment variable '{name}' specifies an invalid secret: "
            )))?;
            if s.value.as_ref().is_some_and(|v| v.data.contains(&0)) {
                return refuse(format!(
                    "Environment variable '{name}' specifies a secret containing null bytes, which is not allowed in \
                     the environment"
                ));
            }
            Ok(())
        }
        (Type::Value, None, _) => must("have a value set"),
        (Type::Value, _, Some(_)) => must("not have a secret set"),
        (Type::Value, Some(_), None) => Ok(()),
        (Type::Unknown, ..) => refuse("Environment variable of type 'UNKNOWN' is not allowed"),
    }
}

fn secret(secret: &v1::Secret) -> Check {
    use v1::secret::Type;
    match (secret.r#type(), &secret.reference, &secret.value) {
        (Type::Reference, None, _) => refuse("Secret of type REFERENCE must have the 'reference' field set"),
        (Type::Reference, Some(reference), Some(_)) => {
            let name = &reference.name;
            refuse(format!(
                "Secret '{name}' of type REFERENCE must not have the 'value' field set"
            ))
        }
        (Type::Value, _, None) => refuse("Secret of type VALUE must have the 'value' field set"),
        (Type::Value, Some(_), _) => refuse("Secret of type VALUE must not have the 'reference' field set"),
        _ => Ok(()),
    }
}

fn container(container: &v1::ContainerInfo) -> Check {
    use v1::container_info::Type;
    container
        .volumes
        .iter()
        .try_for_each(volume)
        .map_err(of("Invalid volume: "))?;
    if container.r#type() != Type::Docker {
        return Ok(());
    }
    let Some(docker) = &container.docker else {
        return refuse("DockerInfo 'docker' is not set for DOCKER typed ContainerInfo");
    };
    if docker.parameters.iter().any(|p| p.key == "name") {
        return refuse("Parameter in DockerInfo must not be 'name'");
    }
    Ok(())
}

fn volume(volume: &v1::Volume) -> Check {
    use v1::volume::source::Type;
    let set = [
        volume.host_path.is_some(),
        volume.image.is_some(),
        volume.source.is_some(),
    ];
    if set.iter().filter(|s| **s).count() != 1 {
        return refuse("Only one of them should be set: 'host_path', 'image' and 'source'");
    }
    let Some(source) = &volume.source else {
        return Ok(());
    };
    let (present, field) = match source.r#type() {
        Type::DockerVolume => (source.docker_volume.is_some(), "docker_volume"),
        Type::HostPath => (source.host_path.is_some(), "host_path"),
        Type::SandboxPath => (source.sandbox_path.is_some(), "sandbox_path"),
        Type::Secret => (source.secret.is_some(), "secret"),
        Type::CsiVolume => (source.csi_volume.is_some(), "csi_volume"),
        Type::Unknown => return refuse("'source.type' is unknown"),
    };
    if present {
        return Ok(());
    }
    refuse(format!(
        "'source.{field}' is not set for {} volume",
        source.r#type().as_str_name()
    ))
}

fn limits(info: &v1::TaskInfo) -> Check {
    if info
        .limits
        .keys()
        .any(|name| !matches!(name.as_str(), "cpus" | "mem"))
    {
        return refuse("Only cpus and mem may be included in a task's resource limits");
    }
    let resources = resource::from_proto(&info.resources).map_err(Invalid::new)?;
    for (name, long, short) in [("cpus", "CPU", "cpu"), ("mem", "memory", "memory")] {
        let Some(limit) = info.limits.get(name) else {
            continue;
        };
        let request = resources.scalar(name);
        if request == Scalar::ZERO {
            return refuse(format!(
                "When a {long} limit is specified, a {long} request must also be specified"
            ));
        }
        if limit.value.is_nan() || Scalar::from_f64(limit.value) < request {
            return refuse(format!(
                "The {short} limit must be greater than or equal to the {short} request"
            ));
        }
    }
    Ok(())
}

/// The second half of a single task's checks: what it runs.
fn executor_of(info: &v1::TaskInfo, framework_id: &FrameworkId) -> Check {
    let both_or_neither = info.executor.is_some() == info.command.is_some();
    if both_or_neither {
        return refuse("Task should have at least one (but not both) of CommandInfo or ExecutorInfo present");
    }
    let task_resources = resource::from_proto(&info.resources).map_err(Invalid::new)?;
    if let Some(executor) = &info.executor {
        self::executor(executor, framework_id)?;
        if executor.r#type.is_some() && executor.r#type() != v1::executor_info::Type::Custom {
            return refuse("'ExecutorInfo.type' must be 'CUSTOM'");
        }
        if executor.command.is_none() {
            return refuse("'ExecutorInfo.command' must be set");
        }
        together(&task_resources, executor)?;
    }
    if shares_cgroups(info.container.as_ref()) == Some(false) {
        return refuse("Only tasks in a task group may have 'share_cgroups' set to 'false'");
    }
    Ok(())
}

fn together(task_resources: &Resources, executor: &v1::ExecutorInfo) -> Check {
    let own = resource::from_proto(&executor.resources).map_err(Invalid::new)?;
    if task_resources.overlaps(&own) {
        return refuse(format!(
            "There are overlapping resources in the task resources {task_resources} and executor resources {own}"
        ));
    }
    no_mix(&(task_resources + &own)).map_err(of(
        "Task and its executor mix revocable and non-revocable resources: ",
    ))
}

fn shares_cgroups(container: Option<&v1::ContainerInfo>) -> Option<bool> {
    container
        .and_then(|c| c.linux_info.as_ref())
        .and_then(|l| l.share_cgroups)
}

fn executor(info: &v1::ExecutorInfo, framework_id: &FrameworkId) -> Check {
    ExecutorId::new(&info.executor_id.value).map_err(Invalid::new)?;
    executor_type(info)?;
    match &info.framework_id {
        None => return refuse("'ExecutorInfo.framework_id' must be set"),
        Some(id) if id.value != framework_id.as_str() => {
            let actual = &id.value;
            return refuse(format!(
                "ExecutorInfo has an invalid FrameworkID (Actual: {actual} vs Expected: {framework_id})"
            ));
        }
        Some(_) => {}
    }
    if info
        .shutdown_grace_period
        .as_ref()
        .is_some_and(|g| g.nanoseconds < 0)
    {
        return refuse("ExecutorInfo's 'shutdown_grace_period' must be non-negative");
    }
    resources_of("Executor", &info.resources)?;
    if let Some(command) = &info.command {
        self::command(command).map_err(of("Executor's `CommandInfo` is invalid: "))?;
    }
    if let Some(container) = &info.container {
        self::container(container).map_err(of("Executor's `ContainerInfo` is invalid: "))?;
    }
    Ok(())
}

fn executor_type(info: &v1::ExecutorInfo) -> Check {
    use v1::executor_info::Type;
    let container = info.container.as_ref();
    match (info.r#type.map(|_| info.r#type()), &info.command) {
        (Some(Type::Default), Some(_)) => {
            refuse("'ExecutorInfo.command' must not be set for 'DEFAULT' executor")
        }
        (Some(Type::Default), None) => {
            if container.is_some_and(|c| c.r#type() != v1::container_info::Type::Mesos) {
                return refuse("'ExecutorInfo.container.type' must be 'MESOS' for 'DEFAULT' executor");
            }
            if container
                .and_then(|c| c.mesos.as_ref())
                .is_some_and(|m| m.image.is_some())
            {
                return refuse("'ExecutorInfo.container.mesos.image' must not be set for 'DEFAULT' executor");
            }
            Ok(())
        }
        (Some(Type::Custom), None) => refuse("'ExecutorInfo.command' must be set for 'CUSTOM' executor"),
        _ => Ok(()),
    }
}

fn group_member(info: &v1::TaskInfo) -> Check {
    if info
        .container
        .as_ref()
        .is_some_and(|c| c.r#type() == v1::container_info::Type::Docker)
    {
        return refuse("Docker ContainerInfo is not supported on the task");
    }
    let own_network = info
        .container
        .as_ref()
        .is_some_and(|c| !c.network_infos.is_empty());
    let probes = info
        .health_check
        .as_ref()
        .is_some_and(|h| h.http.is_some() || h.tcp.is_some());
    if own_network && probes {
        return refuse(
            "HTTP and TCP health checks are not supported for nested containers not joining parent's network",
        );
    }
    if !info.limits.is_empty() && shares_cgroups(info.container.as_ref()) != Some(false) {
        return refuse(
            "Resource limits may only be set for tasks within a task group when the 'share_cgroups' field is set to \
             'false'.",
        );
    }
    Ok(())
}

/// The first fault of a group: of a task, of the executor, or between them.
pub(super) fn group(
    executor: &v1::ExecutorInfo,
    tasks: &[v1::TaskInfo],
    framework_id: &FrameworkId,
) -> Option<Invalid> {
    let body = || {
        for task in tasks {
            let inner = || {
                task_alone(task)?;
                group_member(task)?;
                match &task.executor {
                    Some(own) if own != executor => refuse(format!(
                        "The `ExecutorInfo` of task '{}' is different from executor '{}'",
                        task.task_id.value, executor.executor_id.value
                    )),
                    _ => Ok(()),
                }
            };
            inner().map_err(of(&format!("Task '{}' is invalid: ", task.task_id.value)))?;
        }
        group_executor(executor, framework_id)?;
        let settings: BTreeMap<_, _> = tasks
            .iter()
            .map(|t| (shares_cgroups(t.container.as_ref()).unwrap_or(true), ()))
            .collect();
        if settings.len() > 1 {
            return refuse(
                "If set, the value of 'share_cgroups' must be the same for all tasks in each task group and under a \
                 single executor",
            );
        }
        Ok(())
    };
    body().err()
}

fn group_executor(info: &v1::ExecutorInfo, framework_id: &FrameworkId) -> Check {
    let id = &info.executor_id.value;
    match info.r#type.map(|_| info.r#type()) {
        None => return refuse("'ExecutorInfo.type' must be set"),
        Some(v1::executor_info::Type::Unknown) => return refuse("Unknown executor type"),
        Some(_) => {}
    }
    if info
        .container
        .as_ref()
        .is_some_and(|c| c.r#type() == v1::container_info::Type::Docker)
    {
        return refuse("Docker ContainerInfo is not supported on the executor");
    }
    executor(info, framework_id)?;
    let resources = resource::from_proto(&info.resources).map_err(Invalid::new)?;
    let shown = |s: Scalar| {
        if s == Scalar::ZERO {
            "None".to_owned()
        } else {
            s.to_string()
        }
    };
    let (cpus, mem) = (resources.scalar("cpus"), resources.scalar("mem"));
    if cpus < Scalar(10) {
        return refuse(format!(
            "Executor '{id}' uses less CPUs ({}) than the minimum required (0.01)",
            shown(cpus)
        ));
    }
    if mem < Scalar::whole(32) {
        let mem = if mem == Scalar::ZERO {
            "None".to_owned()
        } else {
            format!("{mem}MB")
        };
        return refuse(format!(
            "Executor '{id}' uses less memory ({mem}) than the minimum required (32MB)"
        ));
    }
    if resources.scalar("disk") == Scalar::ZERO {
        return refuse(format!("Executor '{id}' uses no disk"));
    }
    Ok(())
}
