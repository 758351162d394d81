//! From a run and its job to the task the master is asked for.

use crate::container;
use crate::definition::{Definition, Fetch};
use meseta_cron_core::job::JobSpec;
use meseta_cron_core::run::Run;
use meseta_sdk::proto as v1;
use meseta_sdk::task::{Needs, Shortage};

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
    // Written by this program; a record that cannot be read never becomes a job.
    let definition: Definition = serde_json::from_slice(&spec.wire).unwrap_or_default();
    let needs = Needs {
        cpus: spec.demand.cpus,
        mem: spec.demand.mem,
        disk: spec.demand.disk,
        ports: 0,
    };
    let resources = needs.cut_from(left)?;
    let command = command(run, &definition, offer);
    let mut task = v1::TaskInfo {
        name: format!("ChronosTask:{}", definition.name),
        task_id: v1::TaskId {
            value: run.id.as_str().to_owned(),
        },
        agent_id: offer.agent_id.clone(),
        resources,
        container: definition.container.as_ref().map(container::info),
        max_completion_time: (definition.max_completion_time > 0)
            .then(|| seconds(definition.max_completion_time)),
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

fn seconds(n: u64) -> v1::DurationInfo {
    v1::DurationInfo {
        nanoseconds: i64::try_from(n).unwrap_or(i64::MAX).saturating_mul(1_000_000_000),
    }
}

fn command(run: &Run, definition: &Definition, offer: &v1::Offer) -> v1::CommandInfo {
    let user = Some(definition.run_as_user.clone()).filter(|user| !user.is_empty());
    let environment = Some(v1::Environment {
        variables: environment(run, definition, offer),
    });
    let command = v1::CommandInfo {
        environment,
        user,
        ..Default::default()
    };
    if let Some(file) = program(&definition.command) {
        return v1::CommandInfo {
            uris: vec![uri(Fetch {
                uri: definition.command.clone(),
                executable: true,
                ..Fetch::default()
            })],
            shell: Some(true),
            value: Some(format!("./{file}")),
            ..command
        };
    }
    let arguments = arguments(run, definition);
    let uris = definition.files().into_iter().map(uri).collect();
    if definition.shell {
        let words = std::iter::once(definition.command.as_str()).chain(arguments.iter().map(String::as_str));
        return v1::CommandInfo {
            uris,
            shell: Some(true),
            value: Some(words.collect::<Vec<_>>().join(" ")),
            ..command
        };
    }
    v1::CommandInfo {
        uris,
        shell: Some(false),
        value: Some(definition.command.clone()).filter(|program| !program.is_empty()),
        arguments: std::iter::once(definition.command.clone())
            .chain(arguments)
            .collect(),
        ..command
    }
}

/// A command that is an address is fetched and run: the name of its file. Chronos does so
/// (`MesosTaskBuilder.scala`), for whatever begins with `http` or `ftp`; here it must be an address indeed.
fn program(command: &str) -> Option<&str> {
    let schemes = ["http://", "https://", "ftp://", "ftps://"];
    if !schemes.iter().any(|scheme| command.starts_with(scheme)) || command.contains(char::is_whitespace) {
        return None;
    }
    let path = command.split(['?', '#']).next().unwrap_or(command);
    path.rsplit('/').next().filter(|file| !file.is_empty())
}

/// Those given with the start by hand, else the job's own. A semicolon would end the command, so it is left out.
fn arguments(run: &Run, definition: &Definition) -> Vec<String> {
    let own = || definition.arguments.clone();
    let arguments = match &run.arguments {
        Some(given) => vec![given.to_string()],
        None => own(),
    };
    arguments
        .into_iter()
        .map(|argument| argument.replace(';', ""))
        .collect()
}

fn environment(run: &Run, definition: &Definition, offer: &v1::Offer) -> Vec<v1::environment::Variable> {
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
    // A job cannot override what says where and what it is.
    let theirs = definition
        .environment_variables
        .iter()
        .filter(|variable| own.iter().all(|(name, _)| *name != variable.name))
        .map(|variable| (variable.name.clone(), variable.value.clone()));
    let theirs: Vec<(String, String)> = theirs.collect();
    own.into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .chain(theirs)
        .map(|(name, value)| v1::environment::Variable {
            name,
            value: Some(value),
            ..Default::default()
        })
        .collect()
}

/// A double as Java prints it: always with a point.
fn double(number: f64) -> String {
    format!("{number:?}")
}

fn uri(file: Fetch) -> v1::command_info::Uri {
    v1::command_info::Uri {
        value: file.uri,
        executable: Some(file.executable),
        extract: Some(file.extract),
        cache: Some(file.cache),
        output_file: Some(file.output_file).filter(|name| !name.is_empty()),
    }
}

/// A custom executor is run by its path; the job's command is its data. It has no resources of its own.
fn executor(definition: &Definition, command: v1::CommandInfo) -> v1::ExecutorInfo {
    v1::ExecutorInfo {
        executor_id: v1::ExecutorId {
            value: definition.name.clone(),
        },
        command: Some(v1::CommandInfo {
            value: Some(definition.executor.clone()),
            shell: Some(true),
            arguments: Vec::new(),
            ..command
        }),
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::definition::Defaults;
    use jiff::Timestamp;
    use meseta_cron_core::job::{Dialect, JobName};
    use meseta_cron_core::run::{Cause, RunId, State, Why};
    use serde_json::json;

    fn built(body: serde_json::Value, arguments: Option<&str>) -> v1::TaskInfo {
        let defaults = Defaults {
            cpus: 0.1,
            mem: 128.0,
            disk: 256.0,
            user: "root".into(),
        };
        let now: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        let spec = crate::job::read(&body, Dialect::V3, &defaults, now).unwrap().spec;
        let name = JobName::recorded("a");
        let run = Run {
            id: RunId::new(now, 1, &name, arguments.unwrap_or_default()),
            job: name,
            generation: 1,
            due: now,
            attempt: 1,
            cause: Cause::Manual,
            arguments: arguments.map(Into::into),
            state: State::Waiting { why: Why::NoOffer },
            placed: false,
            kill_wanted: false,
            elements: 0,
        };
        let scalar = |name: &str, value| v1::Resource {
            name: name.into(),
            scalar: Some(v1::value::Scalar { value }),
            ..Default::default()
        };
        let offer = v1::Offer {
            hostname: "h1".into(),
            resources: vec![scalar("cpus", 4.0), scalar("mem", 1024.0), scalar("disk", 1024.0)],
            ..Default::default()
        };
        task(&run, &spec, &offer, &offer.resources).unwrap()
    }

    fn command_of(body: serde_json::Value, arguments: Option<&str>) -> v1::CommandInfo {
        built(body, arguments).command.unwrap()
    }

    #[test]
    fn a_line_gets_its_arguments_appended_and_a_program_gets_them_as_they_are() {
        let line = json!({"name": "a", "schedule": "R//PT1H", "command": "echo", "arguments": ["x;", "y"]});
        assert_eq!(command_of(line.clone(), None).value.as_deref(), Some("echo x y"));
        assert_eq!(
            command_of(line, Some("a b;c")).value.as_deref(),
            Some("echo a bc")
        );
        let program = json!({"name": "a", "schedule": "R//PT1H", "command": "echo", "arguments": ["x"], "shell": false});
        let command = command_of(program, None);
        assert_eq!(
            (command.value.as_deref(), command.shell),
            (Some("echo"), Some(false))
        );
        assert_eq!(command.arguments, ["echo", "x"]);
    }

    #[test]
    fn the_environment_says_what_the_run_is_and_a_job_cannot_change_that() {
        let body = json!({
            "name": "a", "schedule": "R//PT1H", "command": "env", "owner": "o@x",
            "environmentVariables": [{"name": "HOST", "value": "liar"}, {"name": "MINE", "value": "1"}],
        });
        let command = command_of(body, None);
        let variables = command.environment.unwrap().variables;
        let value = |name: &str| {
            let mut found = variables.iter().filter(|v| v.name == name);
            let value = found.next().and_then(|v| v.value.clone()).unwrap_or_default();
            assert!(found.next().is_none(), "{name} twice");
            value
        };
        assert_eq!(value("MESOS_TASK_ID"), "ct:1767323045000:1:a:");
        assert_eq!(value("CHRONOS_JOB_RUN_TIME"), "1767323045000");
        assert_eq!(
            (
                &*value("CHRONOS_JOB_RUN_ATTEMPT"),
                &*value("CHRONOS_RESOURCE_MEM")
            ),
            ("1", "128.0")
        );
        assert_eq!(
            (&*value("HOST"), &*value("MINE"), &*value("CHRONOS_JOB_OWNER")),
            ("h1", "1", "o@x")
        );
    }

    #[test]
    fn a_command_that_is_an_address_is_fetched_and_run_alone() {
        let body = json!({
            "name": "a", "schedule": "R//PT1H", "command": "http://x/y/run.sh?v=1", "uris": ["http://x/data"],
            "arguments": ["ignored"],
        });
        let command = command_of(body, None);
        assert_eq!(command.value.as_deref(), Some("./run.sh"));
        assert_eq!((command.uris.len(), command.uris[0].executable), (1, Some(true)));
        let line = json!({"name": "a", "schedule": "R//PT1H", "command": "httpd -f"});
        assert_eq!(command_of(line, None).value.as_deref(), Some("httpd -f"));
    }

    #[test]
    fn an_executor_gets_the_command_as_its_data() {
        let body = json!({
            "name": "a", "schedule": "R//PT1H", "command": "work", "executor": "/opt/exec", "executorFlags": "-v",
            "maxCompletionTime": 5,
        });
        let task = built(body, None);
        assert_eq!(task.data.unwrap(), "-v|work".as_bytes());
        assert_eq!(
            task.executor.unwrap().command.unwrap().value.as_deref(),
            Some("/opt/exec")
        );
        assert_eq!(
            (task.command, task.max_completion_time.unwrap().nanoseconds),
            (None, 5_000_000_000)
        );
    }
}
