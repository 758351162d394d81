//! From a run and its job to the task the master is asked for.

use crate::definition::Definition;
use meseta_cron_core::job::JobSpec;
use meseta_cron_core::run::Run;
use meseta_sdk::proto as v1;
use meseta_sdk::task::{Needs, Shortage};
use serde_json::Value;

/// Builds the task of a run, with resources cut out of what is left of an offer.
///
/// # Errors
/// What the offer lacks: the engine counts in plain sums, an offer may be in pieces that do not add up.
pub(crate) fn task(
    run: &Run,
    spec: &JobSpec,
    offer: &v1::Offer,
    left: &[v1::Resource],
) -> Result<v1::TaskInfo, Shortage> {
    let definition: Definition = serde_json::from_slice(&spec.wire).unwrap_or_default();
    let needs = Needs { cpus: spec.demand.cpus, mem: spec.demand.mem, disk: spec.demand.disk, ports: 0 };
    let resources = needs.cut_from(left)?;
    let command = command(run, &definition, offer);
    let mut task = v1::TaskInfo {
        name: format!("ChronosTask:{}", definition.name),
        task_id: v1::TaskId { value: run.id.as_str().to_owned() },
        agent_id: offer.agent_id.clone(),
        resources,
        container: definition.container.as_ref().map(container),
        max_completion_time: (definition.max_completion_time > 0).then(|| v1::DurationInfo {
            nanoseconds: i64::try_from(definition.max_completion_time).unwrap_or(i64::MAX).saturating_mul(1_000_000_000),
        }),
        ..Default::default()
    };
    if definition.executor.is_empty() {
        task.command = Some(command);
    } else {
        task.executor = Some(executor(&definition, command));
        task.data = Some(data(&definition).into_bytes().into());
    }
    Ok(task)
}

fn command(run: &Run, definition: &Definition, offer: &v1::Offer) -> v1::CommandInfo {
    let arguments = arguments(run, definition);
    let user = Some(definition.run_as_user.clone()).filter(|user| !user.is_empty());
    let mut command = v1::CommandInfo {
        environment: Some(v1::Environment { variables: environment(run, definition, offer) }),
        uris: definition.files().into_iter().map(uri).collect(),
        user,
        ..Default::default()
    };
    if definition.shell {
        command.shell = Some(true);
        let words = std::iter::once(definition.command.as_str()).chain(arguments.iter().map(String::as_str));
        command.value = Some(words.collect::<Vec<_>>().join(" "));
    } else {
        command.shell = Some(false);
        command.value = Some(definition.command.clone());
        command.arguments = std::iter::once(definition.command.clone()).chain(arguments).collect();
    }
    command
}

/// Those given with the start by hand, else the job's own. A semicolon would end the command, so it is left out.
fn arguments(run: &Run, definition: &Definition) -> Vec<String> {
    match &run.arguments {
        Some(given) => vec![given.replace(';', "")],
        None => definition.arguments.iter().map(|argument| argument.replace(';', "")).collect(),
    }
}

fn environment(
    run: &Run,
    definition: &Definition,
    offer: &v1::Offer,
) -> Vec<v1::environment::Variable> {
    let id = run.id.as_str();
    let own = [
        ("mesos_task_id", id.to_owned()),
        ("MESOS_TASK_ID", id.to_owned()),
        ("CHRONOS_JOB_OWNER", definition.owner.clone()),
        ("CHRONOS_JOB_NAME", definition.name.clone()),
        ("HOST", offer.hostname.clone()),
        ("CHRONOS_RESOURCE_MEM", double(definition.mem)),
        ("CHRONOS_RESOURCE_CPU", double(definition.cpus)),
        ("CHRONOS_RESOURCE_DISK", double(definition.disk)),
        ("CHRONOS_JOB_RUN_TIME", run.due.as_millisecond().to_string()),
        ("CHRONOS_JOB_RUN_ATTEMPT", run.attempt.to_string()),
    ];
    let theirs = definition.environment_variables.iter();
    // A job cannot override what says where and what it is.
    let theirs = theirs.filter(|variable| own.iter().all(|(name, _)| *name != variable.name));
    let theirs: Vec<(String, String)> = theirs.map(|v| (v.name.clone(), v.value.clone())).collect();
    own.into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .chain(theirs)
        .map(|(name, value)| v1::environment::Variable { name, value: Some(value), ..Default::default() })
        .collect()
}

fn double(number: f64) -> String {
    format!("{number:?}")
}

fn uri(file: crate::definition::Fetch) -> v1::command_info::Uri {
    v1::command_info::Uri {
        value: file.uri,
        executable: Some(file.executable),
        extract: Some(file.extract),
        cache: Some(file.cache),
        output_file: Some(file.output_file).filter(|name| !name.is_empty()),
    }
}

fn executor(definition: &Definition, command: v1::CommandInfo) -> v1::ExecutorInfo {
    v1::ExecutorInfo {
        executor_id: v1::ExecutorId { value: definition.name.clone() },
        command: Some(v1::CommandInfo { value: Some(definition.executor.clone()), ..command }),
        ..Default::default()
    }
}

fn data(definition: &Definition) -> String {
    if !definition.task_info_data.is_empty() {
        return definition.task_info_data.clone();
    }
    match definition.executor_flags.is_empty() {
        true => definition.command.clone(),
        false => format!("{}|{}", definition.executor_flags, definition.command),
    }
}

/// The container as the job has it: image, network, volumes, parameters.
fn container(container: &Value) -> v1::ContainerInfo {
    let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let list = |name: &str| container.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    let image = text(container, "image");
    let force = container.get("forcePullImage").and_then(Value::as_bool).unwrap_or(false);
    let volumes = list("volumes").iter().map(|volume| volume_of(volume, &text)).collect();
    let mut info = v1::ContainerInfo { volumes, ..Default::default() };
    if text(container, "type").eq_ignore_ascii_case("mesos") {
        info.r#type = v1::container_info::Type::Mesos as i32;
        info.mesos = Some(v1::container_info::MesosInfo {
            image: Some(v1::Image {
                r#type: v1::image::Type::Docker as i32,
                docker: Some(v1::image::Docker { name: image, ..Default::default() }),
                cached: Some(!force),
                ..Default::default()
            }),
        });
        return info;
    }
    let network = match text(container, "network").as_str() {
        "BRIDGE" => v1::container_info::docker_info::Network::Bridge,
        "USER" => v1::container_info::docker_info::Network::User,
        _ => v1::container_info::docker_info::Network::Host,
    };
    info.r#type = v1::container_info::Type::Docker as i32;
    info.docker = Some(v1::container_info::DockerInfo {
        image,
        network: Some(network as i32),
        parameters: list("parameters")
            .iter()
            .map(|p| v1::Parameter { key: text(p, "key"), value: text(p, "value") })
            .collect(),
        force_pull_image: Some(force),
        ..Default::default()
    });
    info
}

fn volume_of(volume: &Value, text: &impl Fn(&Value, &str) -> String) -> v1::Volume {
    let mode = match text(volume, "mode").to_ascii_uppercase().as_str() {
        "RO" => v1::volume::Mode::Ro,
        _ => v1::volume::Mode::Rw,
    };
    v1::Volume {
        mode: mode as i32,
        container_path: text(volume, "containerPath"),
        host_path: Some(text(volume, "hostPath")).filter(|path| !path.is_empty()),
        ..Default::default()
    }
}
