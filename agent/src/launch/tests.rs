#![allow(clippy::unwrap_used)]
use super::*;
use crate::flags::AgentFlags;
use meseta_proto::convert;
use meseta_types::flag::{Asked, Sources};

fn around(args: &[&str]) -> Surroundings {
    let args = args
        .iter()
        .map(|a| (*a).to_owned())
        .chain(["--work_dir=/w".to_owned()]);
    let Asked::Run(flags, _) = AgentFlags::parse(args, &Sources::none()).unwrap() else {
        panic!()
    };
    Surroundings {
        address: "127.0.0.1:25051".parse().unwrap(),
        config: Arc::new(Config::from_flags(flags).unwrap()),
    }
}

fn scalar(name: &str, value: f64) -> pb::Resource {
    pb::Resource {
        name: name.to_owned(),
        r#type: pb::value::Type::Scalar as i32,
        scalar: Some(pb::value::Scalar { value }),
        allocation_info: Some(pb::resource::AllocationInfo {
            role: Some("dev".to_owned()),
        }),
        ..Default::default()
    }
}

fn task(json: &str) -> pb::TaskInfo {
    let mut task: pb::TaskInfo = meseta_proto::json::from_slice(json.as_bytes()).unwrap();
    task.resources = vec![scalar("cpus", 0.2), scalar("mem", 32.0)];
    task
}

fn order(task: &pb::TaskInfo, checkpoint: bool) -> LaunchOrder {
    let framework = pb::FrameworkInfo {
        user: "nobody".to_owned(),
        name: "n".to_owned(),
        id: Some(pb::FrameworkId {
            value: "f".to_owned(),
        }),
        checkpoint: Some(checkpoint),
        ..Default::default()
    };
    let framework_id = FrameworkId::new("f").unwrap();
    let own = pb::ExecutorInfo {
        executor_id: pb::ExecutorId {
            value: task.task_id.value.clone(),
        },
        resources: vec![scalar("cpus", 0.1), scalar("mem", 32.0)],
        ..Default::default()
    };
    let spec = convert::task::from_encoded(&task.encode_to_vec(), &framework_id).unwrap();
    let executor = convert::executor::spec(&own).unwrap();
    let mut resources = spec.resources.clone();
    resources += &executor.resources;
    LaunchOrder {
        container_id: ContainerId::new("c").unwrap(),
        agent_id: AgentId::new("a-S0").unwrap(),
        framework: Arc::new(convert::framework::from_info(&framework).unwrap()),
        executor: Arc::new(executor),
        command_task: Some(Arc::new(spec)),
        resources,
    }
}

const SLEEP: &str =
    r#"{"name":"t","task_id":{"value":"t"},"agent_id":{"value":"a-S0"},"command":{"value":"sleep 1"}}"#;

fn variable(spec: &LaunchSpec, name: &str) -> Option<String> {
    let found = spec.environment.iter().rev().find(|(n, _)| &**n == name);
    found.map(|(_, value)| value.to_string())
}

#[test]
fn a_command_task_gets_exactly_the_documented_variables() {
    let spec = spec(&order(&task(SLEEP), false), &around(&[])).unwrap();
    let mut names: Vec<_> = spec.environment.iter().map(|(name, _)| &**name).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "LIBPROCESS_IP",
            "LIBPROCESS_PORT",
            "MESOS_AGENT_ENDPOINT",
            "MESOS_ALLOCATION_ROLE",
            "MESOS_CHECKPOINT",
            "MESOS_DIRECTORY",
            "MESOS_EXECUTOR_ID",
            "MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD",
            "MESOS_FRAMEWORK_ID",
            "MESOS_HTTP_COMMAND_EXECUTOR",
            "MESOS_SANDBOX",
            "MESOS_SLAVE_ID",
            "MESOS_SLAVE_PID",
        ]
    );
    for (name, value) in [
        ("MESOS_AGENT_ENDPOINT", "127.0.0.1:25051"),
        ("MESOS_SLAVE_PID", "slave(1)@127.0.0.1:25051"),
        (
            "MESOS_DIRECTORY",
            "/w/slaves/a-S0/frameworks/f/executors/t/runs/c",
        ),
        ("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD", "5secs"),
        ("MESOS_ALLOCATION_ROLE", "dev"),
        ("MESOS_CHECKPOINT", "0"),
    ] {
        assert_eq!(variable(&spec, name).as_deref(), Some(value), "{name}");
    }
}

#[test]
fn checkpointing_frameworks_are_told_how_long_to_look_for_the_agent() {
    let spec = spec(&order(&task(SLEEP), true), &around(&[])).unwrap();
    assert_eq!(
        variable(&spec, "MESOS_RECOVERY_TIMEOUT").as_deref(),
        Some("15mins")
    );
    assert_eq!(
        variable(&spec, "MESOS_SUBSCRIPTION_BACKOFF_MAX").as_deref(),
        Some("2secs")
    );
}

#[test]
fn the_users_variables_win_over_the_agents_and_those_over_the_operators() {
    let around = around(&[r#"--executor_environment_variables={"A":"operator","LIBPROCESS_PORT":"9"}"#]);
    let task = task(
        r#"{"name":"t","task_id":{"value":"t"},"agent_id":{"value":"a"},"command":{"value":"x",
        "environment":{"variables":[{"name":"A","value":"user"},{"name":"MESOS_SANDBOX","value":"mine"}]}}}"#,
    );
    let spec = spec(&order(&task, false), &around).unwrap();
    assert_eq!(variable(&spec, "A").as_deref(), Some("user"));
    assert_eq!(variable(&spec, "MESOS_SANDBOX").as_deref(), Some("mine"));
    assert_eq!(variable(&spec, "LIBPROCESS_PORT").as_deref(), Some("0"));
}

#[test]
fn the_user_is_the_commands_or_the_frameworks_or_the_agents_own() {
    let named = r#"{"name":"t","task_id":{"value":"t"},"agent_id":{"value":"a"},"command":{"value":"x","user":"bob"}}"#;
    let user = |json: &str, args: &[&str]| spec(&order(&task(json), false), &around(args)).unwrap().user;
    assert_eq!(user(named, &[]).as_deref(), Some("bob"));
    assert_eq!(user(SLEEP, &[]).as_deref(), Some("nobody"));
    assert_eq!(user(named, &["--no-switch_user"]), None);
}

#[test]
fn a_container_gets_the_tasks_and_its_executors_resources_and_limits() {
    let limited = r#"{"name":"t","task_id":{"value":"t"},"agent_id":{"value":"a"},"command":{"value":"x"},
        "limits":{"cpus":{"value":1.5},"mem":{"value":"Infinity"}}}"#;
    let spec = spec(&order(&task(limited), false), &around(&[])).unwrap();
    assert_eq!(spec.resources.cpus_milli, 300);
    assert_eq!(spec.resources.mem_bytes, 64 << 20);
    assert_eq!(spec.resources.cpus_limit_milli, Some(Limit::Finite(1600)));
    assert_eq!(spec.resources.mem_limit_bytes, Some(Limit::Infinite));
}

#[test]
fn nothing_a_framework_asked_for_is_silently_left_out() {
    for (container, named) in [
        (r#"{"type":"DOCKER","docker":{"image":"busybox"}}"#, "DOCKER"),
        (
            r#"{"type":"MESOS","mesos":{"image":{"type":"DOCKER","docker":{"name":"b"}}}}"#,
            "image",
        ),
        (
            r#"{"type":"MESOS","volumes":[{"mode":"RW","container_path":"p","host_path":"/tmp"}]}"#,
            "volumes",
        ),
        (
            r#"{"type":"MESOS","network_infos":[{"name":"net"}]}"#,
            "network_infos",
        ),
        (
            r#"{"type":"MESOS","rlimit_info":{"rlimits":[{"type":"RLMT_NOFILE","soft":1}]}}"#,
            "rlimit_info",
        ),
    ] {
        let json = format!(
            r#"{{"name":"t","task_id":{{"value":"t"}},"agent_id":{{"value":"a"}},"command":{{"value":"x"}},"container":{container}}}"#
        );
        let refused = spec(&order(&task(&json), false), &around(&[])).unwrap_err();
        assert!(refused.contains(named), "{refused}");
    }
    let nothing = r#"{"name":"t","task_id":{"value":"t"},"agent_id":{"value":"a"},"command":{}}"#;
    let refused = spec(&order(&task(nothing), false), &around(&[])).unwrap_err();
    assert_eq!(refused, "Shell command is not specified");
}

#[test]
fn limits_of_the_process_have_the_kernels_numbers() {
    let json = r#"{"name":"t","task_id":{"value":"t"},"agent_id":{"value":"a"},"command":{"value":"x"},"container":{
        "type":"MESOS","rlimit_info":{"rlimits":[{"type":"RLMT_NOFILE","soft":10,"hard":20},{"type":"RLMT_CORE"}]}}}"#;
    let spec = spec(&order(&task(json), false), &around(&[])).unwrap();
    let numbers: Vec<_> = spec
        .rlimits
        .iter()
        .map(|l| (l.resource, l.soft, l.hard))
        .collect();
    assert_eq!(numbers, [(7, Some(10), Some(20)), (4, None, None)]);
}

#[test]
fn executor_names_are_as_recorded() {
    let name = |command: &str| {
        executor_name(&task(&format!(
            r#"{{"name":"t","task_id":{{"value":"long1"}},"agent_id":{{"value":"a"}},"command":{command}}}"#
        )))
    };
    for (command, shown) in [
        (
            r#"{"value":"echo on stdout; sleep 1000"}"#,
            "sh -c 'echo on stdo...'",
        ),
        (r#"{"value":"sleep 1000"}"#, "sh -c 'sleep 1000'"),
        (
            r#"{"shell":false,"value":"ls","arguments":["ls","-l"]}"#,
            "[ls, ls, -l]",
        ),
        (r#"{"shell":false}"#, "NO EXECUTABLE"),
        ("{}", "NO COMMAND"),
    ] {
        assert_eq!(
            name(command),
            format!("Command Executor (Task: long1) (Command: {shown})")
        );
    }
}
