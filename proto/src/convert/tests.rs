#![allow(clippy::unwrap_used)]
use super::task::{Launch, TaskParts};
use super::*;
use crate::{json, transcode};
use bytes::Bytes;
use meseta_types::link::{AgentSpec, FromAgent, Inventory, StatusUpdate, ToAgent};
use meseta_types::resource::{Reservation, ReservationKind, Resource, Resources, Scalar};
use meseta_types::task::*;
use meseta_types::{AgentId, ExecutorId, FrameworkId, Role, TaskId, UpdateUuid, Wall};
use prost::Message as _;
use std::sync::Arc;
use std::time::Duration;

fn read<M: crate::Described>(text: &str) -> M {
    json::from_slice(text.as_bytes()).unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn framework_id() -> FrameworkId {
    FrameworkId::new("f").unwrap()
}

fn task_info(more: &str) -> v1::TaskInfo {
    read(&format!(
        r#"{{"name":"n","task_id":{{"value":"t"}},"agent_id":{{"value":"a"}},
            "resources":[{{"name":"cpus","type":"SCALAR","scalar":{{"value":0.1}}}},
                         {{"name":"mem","type":"SCALAR","scalar":{{"value":32}}}}]{more}}}"#
    ))
}

const COMMAND: &str = r#","command":{"value":"true","user":"nobody"}"#;

fn task(more: &str) -> TaskSpec {
    task::spec(&task_info(more), &framework_id(), Launch::Single)
}

fn fault(more: &str) -> String {
    task(more).invalid.map(|t| t.to_string()).unwrap_or_default()
}

fn allocated(text: &str) -> Resources {
    let star = Role::star();
    Resources::parse(text, &star)
        .unwrap()
        .allocated_to(&Role::new("dev").unwrap())
}

#[test]
fn frameworks_are_refused_with_mesos_texts() {
    let refused = |more: &str| {
        let info: v1::FrameworkInfo = read(&format!(r#"{{"user":"u","name":"n"{more}}}"#));
        framework::from_info(&info)
            .err()
            .map(|e| e.to_string())
            .unwrap_or_default()
    };
    let multi = r#","capabilities":[{"type":"MULTI_ROLE"}]"#;
    for (more, text) in [
        (
            r#","roles":["a","a"]"#.to_owned() + multi,
            "'FrameworkInfo.roles' contains duplicate items: { a }",
        ),
        (
            r#","roles":["-a"]"#.to_owned() + multi,
            "'FrameworkInfo.roles' contains invalid role: Role component '-a' is invalid because it starts with a dash",
        ),
        (
            r#","roles":["b"]"#.to_owned(),
            "'FrameworkInfo.roles' must not be set when the framework is not MULTI_ROLE capable",
        ),
        (
            r#","role":"*""#.to_owned() + multi,
            "'FrameworkInfo.role' must not be set when the framework is MULTI_ROLE capable",
        ),
        (
            r#","id":{"value":"bad/id"}"#.to_owned(),
            "'bad/id' contains invalid characters",
        ),
        (
            r#","failover_timeout":1e+20"#.to_owned(),
            "The framework failover_timeout (1e+20) is invalid",
        ),
        (r#","failover_timeout":-1"#.to_owned(), ""),
        (r#","roles":[]"#.to_owned() + multi, ""),
        (r#","capabilities":[{"type":"NOPE"}]"#.to_owned(), ""),
        (r#","id":{"value":""}"#.to_owned(), ""),
    ] {
        assert_eq!(refused(&more), text, "{more}");
    }
}

#[test]
fn suppressed_roles_are_roles_of_the_framework() {
    let info: v1::FrameworkInfo =
        read(r#"{"user":"u","name":"n","roles":["a","c"],"capabilities":[{"type":"MULTI_ROLE"}]}"#);
    let spec = framework::from_info(&info).unwrap();
    let error = framework::suppressed_roles(&["b".into(), "a".into()], &spec).unwrap_err();
    assert_eq!(
        error.to_string(),
        "Suppressed roles { b } are not contained in the set of roles"
    );
    assert_eq!(
        framework::suppressed_roles(&["c".into()], &spec).unwrap(),
        [Role::new("c").unwrap()]
    );
}

#[test]
fn a_framework_keeps_what_the_core_does_not_know_and_gets_its_id() {
    let info: v1::FrameworkInfo = read(
        r#"{"user":"u","name":"n","checkpoint":true,"failover_timeout":2.5,"webui_url":"http://x/",
            "labels":{"labels":[{"key":"k"}]},"role":"dev","capabilities":[{"type":"PARTITION_AWARE"}]}"#,
    );
    let mut spec = framework::from_info(&info).unwrap();
    assert_eq!(spec.failover_timeout, Duration::from_millis(2500));
    assert!(spec.checkpoint && spec.capabilities.partition_aware && !spec.capabilities.multi_role);
    assert_eq!(spec.roles, [Role::new("dev").unwrap()]);
    spec.id = Some(framework_id());
    let mut expected = info.clone();
    expected.id = Some(v1::FrameworkId { value: "f".into() });
    assert_eq!(framework::to_info(&spec), expected);
    assert_eq!(
        v1::FrameworkInfo::decode(framework::encode(&spec)).unwrap(),
        expected
    );
    let again = framework::from_encoded(&framework::encode(&spec)).unwrap();
    assert_eq!(again.id, spec.id);
}

#[test]
fn resources_take_three_forms() {
    let dev = Role::new("dev").unwrap();
    let mut reserved = Resource::scalar("cpus", Scalar::whole(1));
    let dynamic = Reservation {
        kind: ReservationKind::Dynamic,
        role: dev.clone(),
        principal: Some("p".into()),
        labels: vec![("k".into(), None)],
    };
    reserved.traits.change(|traits| traits.reservations.push(dynamic));
    let mut refined = reserved.clone();
    let refining = Reservation {
        kind: ReservationKind::Dynamic,
        role: Role::new("dev/x").unwrap(),
        principal: None,
        labels: Vec::new(),
    };
    refined.traits.change(|traits| traits.reservations.push(refining));
    let mut fixed = Resource::scalar("mem", Scalar::whole(10));
    let from_the_start = Reservation {
        kind: ReservationKind::Static,
        role: dev,
        principal: None,
        labels: Vec::new(),
    };
    fixed
        .traits
        .change(|traits| traits.reservations.push(from_the_start));
    let bag: Resources = [Resource::scalar("disk", Scalar(1_500)), reserved, refined, fixed]
        .into_iter()
        .collect();
    for (format, kept) in [
        (resource::Format::Pre, 3),
        (resource::Format::Post, 4),
        (resource::Format::Endpoint, 4),
    ] {
        let wire = resource::to_proto(&bag, format);
        assert_eq!(wire.len(), kept);
        let back = resource::from_proto(&wire).unwrap();
        let expected = bag.filter(|r| kept == 4 || r.traits.reservations.len() < 2);
        assert_eq!(back, expected, "{format:?}");
    }
    let shown: Vec<_> = resource::to_proto(&bag, resource::Format::Endpoint)
        .iter()
        .map(|r| String::from_utf8(json::to_vec(r)).unwrap())
        .collect();
    assert_eq!(
        shown[0],
        r#"{"name":"disk","type":"SCALAR","scalar":{"value":1.5},"role":"*"}"#
    );
    assert!(
        shown[1].contains(r#""role":"dev","reservation":{"principal":"p","labels""#),
        "{}",
        shown[1]
    );
    assert!(
        !shown[2].contains(r#""role":"dev","reservation""#),
        "{}",
        shown[2]
    );
}

#[test]
fn broken_resources_are_refused_with_mesos_texts() {
    let refused = |text: &str| {
        let r: v1::Resource = read(text);
        resource::from_proto(&[r])
            .err()
            .map(|e| e.to_string())
            .unwrap_or_default()
    };
    let ends = |text: &str, end: &str| {
        let error = refused(text);
        assert!(error.ends_with(end), "{text}: {error}");
    };
    ends(
        r#"{"name":"","type":"SCALAR","scalar":{"value":1}}"#,
        "Empty resource name",
    );
    ends(
        r#"{"name":"cpus","type":"SCALAR","scalar":{"value":-1}}"#,
        "Invalid scalar resource: value <= 0",
    );
    ends(
        r#"{"name":"cpus","type":"SCALAR","scalar":{"value":0.00001}}"#,
        "value <= 0",
    );
    ends(
        r#"{"name":"cpus","type":"SCALAR","set":{}}"#,
        "Invalid scalar resource",
    );
    ends(
        r#"{"name":"ports","type":"RANGES","ranges":{"range":[{"begin":2,"end":1}]}}"#,
        "begin > end",
    );
    ends(
        r#"{"name":"ports","type":"RANGES","ranges":{"range":[{"begin":1,"end":5},{"begin":5,"end":6}]}}"#,
        "overlapping ranges",
    );
    ends(
        r#"{"name":"x","type":"SET","set":{"item":["a","a"]}}"#,
        "duplicated elements",
    );
    ends(r#"{"name":"x","type":"TEXT"}"#, "Unsupported resource type");
    ends(
        r#"{"name":"cpus","type":"SCALAR","scalar":{"value":1},"reservation":{"principal":"p"}}"#,
        "cannot be dynamically reserved",
    );
    ends(
        r#"{"name":"cpus","type":"SCALAR","scalar":{"value":1},"disk":{}}"#,
        "DiskInfo should not be set for cpus resource",
    );
    assert_eq!(
        refused(r#"{"name":"gpus","type":"SCALAR","scalar":{"value":0.5}}"#),
        "The 'gpus' resource must be an unsigned integer"
    );
    assert_eq!(
        refused(r#"{"name":"gpus","type":"SCALAR","scalar":{"value":0}}"#),
        ""
    );
}

#[test]
fn a_valid_task_has_no_fault() {
    let spec = task(COMMAND);
    assert_eq!(spec.invalid, None);
    assert!(spec.has_command && spec.executor.is_none() && !spec.has_limits);
    assert_eq!(spec.resources.scalar("cpus"), Scalar(100));
    let kept = v1::Task::decode(spec.kept.clone()).unwrap();
    assert_eq!(kept.user.as_deref(), Some("nobody"));
}

#[test]
fn faults_of_tasks_have_mesos_texts() {
    let command = |more: &str| fault(&format!("{COMMAND}{more}"));
    assert_eq!(
        fault(""),
        "Task should have at least one (but not both) of CommandInfo or ExecutorInfo present"
    );
    assert_eq!(
        command(r#","kill_policy":{"grace_period":{"nanoseconds":-1}}"#),
        "Task's 'kill_policy.grace_period' must be non-negative"
    );
    assert_eq!(command(r#","resources":[]"#), "Task uses no resources");
    assert_eq!(
        command(r#","health_check":{}"#),
        "Task uses invalid health check: HealthCheck must specify 'type'"
    );
    assert_eq!(
        command(r#","health_check":{"http":{"port":1,"path":"x"}}"#),
        "Task uses invalid health check: The path 'x' of HTTP health check must start with '/'"
    );
    assert_eq!(
        command(r#","health_check":{"command":{"shell":false}}"#),
        "Task uses invalid health check: Command health check must contain 'executable path'"
    );
    assert_eq!(
        command(r#","check":{"type":"TCP"}"#),
        "Task uses invalid check: Expecting 'tcp' to be set for TCP check"
    );
    assert_eq!(
        fault(r#","command":{"environment":{"variables":[{"name":"X"}]}}"#),
        "Task's `CommandInfo` is invalid: Environment variable 'X' of type 'VALUE' must have a value set"
    );
    assert_eq!(
        command(r#","container":{"type":"DOCKER"}"#),
        "Task's `ContainerInfo` is invalid: DockerInfo 'docker' is not set for DOCKER typed ContainerInfo"
    );
    assert_eq!(
        command(r#","limits":{"disk":{"value":1}}"#),
        "Only cpus and mem may be included in a task's resource limits"
    );
    assert_eq!(
        command(r#","limits":{"cpus":{"value":0.05}}"#),
        "The cpu limit must be greater than or equal to the cpu request"
    );
    assert_eq!(command(r#","limits":{"cpus":{"value":"Infinity"}}"#), "");
    let long = format!(r#"{COMMAND},"task_id":{{"value":"{}"}}"#, "x".repeat(256));
    assert_eq!(fault(&long), "ID must not be greater than 255 characters");
    assert_eq!(
        command(r#","task_id":{"value":"a/b"}"#),
        "'a/b' contains invalid characters"
    );
}

#[test]
fn faults_of_executors_have_mesos_texts() {
    let executor = |more: &str| fault(&format!(r#","executor":{{"executor_id":{{"value":"e"}}{more}}}"#));
    assert_eq!(executor(r#","command":{"value":"x"}"#), "");
    assert_eq!(executor(""), "'ExecutorInfo.command' must be set");
    assert_eq!(
        executor(r#","type":"CUSTOM""#),
        "'ExecutorInfo.command' must be set for 'CUSTOM' executor"
    );
    assert_eq!(
        executor(r#","type":"DEFAULT""#),
        "'ExecutorInfo.type' must be 'CUSTOM'"
    );
    assert_eq!(
        executor(r#","command":{"value":"x"},"framework_id":{"value":"g"}"#),
        "ExecutorInfo has an invalid FrameworkID (Actual: g vs Expected: f)"
    );
    assert_eq!(
        executor(r#","command":{"value":"x"},"shutdown_grace_period":{"nanoseconds":-1}"#),
        "ExecutorInfo's 'shutdown_grace_period' must be non-negative"
    );
}

#[test]
fn a_single_task_gets_what_mesos_fills_in() {
    let spec = task(
        r#","executor":{"executor_id":{"value":"e"},"command":{"value":"x"}},"health_check":{"command":{"value":"c"}}"#,
    );
    let info = v1::TaskInfo::decode(spec.wire.clone()).unwrap();
    assert_eq!(info.executor.unwrap().framework_id.unwrap().value, "f");
    assert_eq!(
        info.health_check.unwrap().r#type(),
        v1::health_check::Type::Command
    );
    assert_eq!(spec.health_check, Some(HealthCheckSpec::default()));
}

#[test]
fn a_check_starts_with_an_empty_status_of_its_type() {
    let spec = task(&format!(
        r#"{COMMAND},"check":{{"type":"HTTP","http":{{"port":1}},"delay_seconds":0}}"#
    ));
    let check = spec.check.unwrap();
    assert_eq!(check.delay, Duration::ZERO);
    let status = v1::TaskStatus::decode(check.initial_status).unwrap();
    let shown = String::from_utf8(json::to_vec(&status.check_status.unwrap())).unwrap();
    assert_eq!(shown, r#"{"type":"HTTP","http":{}}"#);
}

#[test]
fn what_goes_to_the_agent_has_the_allocated_resources() {
    let mut spec = task(r#","executor":{"executor_id":{"value":"e"},"command":{"value":"x"}},"data":"YQ==""#);
    spec.resources = allocated("cpus:0.1;mem:32");
    spec.executor.as_mut().unwrap().resources = allocated("cpus:0.2");
    let info: v1::TaskInfo = crate::binary::decode(&task::launch_wire(&spec, &framework_id())).unwrap();
    assert_eq!(info.resources.len(), 2);
    assert_eq!(info.resources[0].allocation_info.as_ref().unwrap().role(), "dev");
    let executor = info.executor.unwrap();
    assert_eq!(
        executor.resources[0].allocation_info.as_ref().unwrap().role(),
        "dev"
    );
    assert_eq!(executor.framework_id.unwrap().value, "f");
    assert_eq!(info.data.as_deref(), Some(&b"a"[..]));
}

#[test]
fn an_executor_looks_the_same_from_its_framework_and_from_an_agent() {
    let launched = task(
        r#","executor":{"executor_id":{"value":"e"},"command":{"value":"x"},
            "resources":[{"name":"cpus","type":"SCALAR","scalar":{"value":1}}]}"#,
    )
    .executor
    .unwrap();
    let mut allocated_spec = launched.clone();
    allocated_spec.resources = allocated("cpus:1");
    let reported = executor::from_encoded(&executor::encode(&allocated_spec, &framework_id())).unwrap();
    assert_eq!(reported.wire, launched.wire);
    assert_eq!(reported.resources, allocated("cpus:1"));
}

fn status() -> TaskStatus {
    let mut wire = Vec::new();
    crate::wire::put_bytes(&mut wire, 3, b"data");
    TaskStatus {
        task_id: TaskId::new("t").unwrap(),
        state: TaskState::Running,
        source: Source::Executor,
        reason: Some(Reason::TASK_HEALTH_CHECK_STATUS_UPDATED),
        message: Some("m".into()),
        agent_id: Some(AgentId::new("a").unwrap()),
        executor_id: Some(ExecutorId::new("e").unwrap()),
        timestamp: Wall(1_795_239_202_125_000_000),
        uuid: Some(UpdateUuid([7; 16])),
        healthy: Some(false),
        unreachable_time: Some(Wall(-5)),
        wire: wire.into(),
    }
}

#[test]
fn a_status_survives_the_wire_with_what_the_core_does_not_know() {
    let status = status();
    assert_eq!(status::from_encoded(&status::encode(&status)).unwrap(), status);
    assert_eq!(status::from_proto(&status::to_proto(&status)).unwrap(), status);
    let bare = TaskStatus {
        reason: None,
        message: None,
        agent_id: None,
        executor_id: None,
        uuid: None,
        healthy: None,
        unreachable_time: None,
        wire: Bytes::new(),
        ..status.clone()
    };
    assert_eq!(status::from_encoded(&status::encode(&bare)).unwrap(), bare);
    let stored = status::from_encoded(&status::encode_without_data(&status)).unwrap();
    assert!(stored.wire.is_empty());
    let broken = v1::TaskStatus {
        uuid: Some(Bytes::from_static(b"short")),
        ..status::to_proto(&status)
    };
    assert_eq!(
        status::from_proto(&broken).unwrap_err().to_string(),
        "Not a valid UUID"
    );
}

#[test]
fn typed_fields_win_over_the_carried_ones() {
    let mut status = status();
    status.wire = v1::TaskStatus {
        task_id: v1::TaskId {
            value: "other".into(),
        },
        state: 99,
        message: Some("other".into()),
        ..Default::default()
    }
    .encode_to_vec()
    .into();
    let shown = status::to_proto(&status);
    assert_eq!((shown.task_id.value.as_str(), shown.message()), ("t", "m"));
    assert_eq!(shown.state, 1);
}

#[test]
fn a_task_is_shown_with_what_was_kept_of_it() {
    let spec = task(&format!(
        r#"{COMMAND},"labels":{{"labels":[{{"key":"k","value":"v"}}]}}"#
    ));
    let (framework_id, agent_id) = (framework_id(), AgentId::new("a").unwrap());
    let encoded = task::encode(&TaskParts {
        name: &spec.name,
        task_id: &spec.task_id,
        framework_id: &framework_id,
        executor_id: None,
        agent_id: Some(&agent_id),
        state: TaskState::Running,
        resources: &allocated("cpus:0.1"),
        statuses: &[],
        status_update: Some((TaskState::Starting, Some(UpdateUuid([0; 16])))),
        kept: &spec.kept,
    });
    let mut shown = Vec::new();
    transcode::to_json::<v1::Task>(&encoded, &mut shown).unwrap();
    assert_eq!(
        String::from_utf8(shown).unwrap(),
        r#"{"name":"n","task_id":{"value":"t"},"framework_id":{"value":"f"},"agent_id":{"value":"a"},"state":"TASK_RUNNING","resources":[{"name":"cpus","type":"SCALAR","scalar":{"value":0.1},"allocation_info":{"role":"dev"}}],"status_update_state":"TASK_STARTING","status_update_uuid":"AAAAAAAAAAAAAAAAAAAAAA==","labels":{"labels":[{"key":"k","value":"v"}]},"user":"nobody"}"#
    );
}

fn agent(id: Option<&str>) -> AgentSpec {
    let info: v1::AgentInfo = read(
        r#"{"hostname":"h","port":1234,"resources":[{"name":"cpus","type":"SCALAR","scalar":{"value":2}}],
            "attributes":[{"name":"rack","type":"TEXT","text":{"value":"r1"}}]}"#,
    );
    let mut spec = agent::spec(&info, "127.0.0.1".parse().unwrap(), "0.1.0", ["MULTI_ROLE"]).unwrap();
    spec.id = id.map(|id| AgentId::new(id).unwrap());
    spec
}

fn framework() -> FrameworkSpec {
    let info: v1::FrameworkInfo = read(r#"{"user":"u","name":"n","id":{"value":"f"}}"#);
    framework::from_info(&info).unwrap()
}

fn launched() -> TaskSpec {
    // As the link carries it: allocated resources in the wire too.
    let mut spec =
        task(r#","executor":{"executor_id":{"value":"e"},"command":{"value":"x","user":"w"}},"data":"YQ==""#);
    spec.resources = allocated("cpus:0.1;mem:32");
    task::from_encoded(&task::launch_wire(&spec, &framework_id()), &framework_id()).unwrap()
}

#[test]
fn every_item_of_an_agent_survives_the_link() {
    let (framework_id, executor_id) = (framework_id(), ExecutorId::new("e").unwrap());
    let reported = ReportedTask {
        framework_id: framework_id.clone(),
        task_id: TaskId::new("t").unwrap(),
        name: "n".into(),
        executor_id: Some(executor_id.clone()),
        resources: allocated("cpus:1"),
        state: TaskState::Running,
        status_update_state: Some(TaskState::Starting),
        status_update_uuid: Some(UpdateUuid([1; 16])),
        statuses: vec![TaskStatus {
            wire: Bytes::new(),
            ..status()
        }],
        kept: launched().kept,
    };
    let executor = launched().executor.unwrap();
    for item in [
        FromAgent::Register { agent: agent(None) },
        FromAgent::Reregister {
            agent: agent(Some("a")),
            inventory: Inventory {
                frameworks: vec![framework()],
                tasks: vec![reported],
                executors: vec![ReportedExecutor {
                    framework_id: framework_id.clone(),
                    executor,
                }],
            },
        },
        FromAgent::Unregister,
        FromAgent::Update(StatusUpdate {
            framework_id: framework_id.clone(),
            status: status(),
            latest_state: TaskState::Finished,
        }),
        FromAgent::ExecutorExited {
            framework_id: framework_id.clone(),
            executor_id: executor_id.clone(),
            status: 256,
        },
        FromAgent::ExecutorMessage {
            framework_id,
            executor_id,
            data: Bytes::from_static(b"x"),
        },
        FromAgent::Pong,
    ] {
        let wire = link::agent_item(&item).encode_to_vec();
        let back =
            link::from_agent_item(crate::meseta::link::v1::AgentItem::decode(wire.as_slice()).unwrap());
        let back = back.unwrap().unwrap();
        // The wire forms may order their fields differently; a second pass changes nothing any more.
        assert_eq!(without_wires(&back), without_wires(&item));
        assert_eq!(link::agent_item(&back).encode_to_vec(), wire);
    }
    assert_eq!(link::from_agent_item(link::agent_alive()), Ok(None));
}

/// Debug output without the encoded parts, whose field order is free.
fn without_wires(item: &impl std::fmt::Debug) -> String {
    let shown = format!("{item:#?}");
    shown
        .lines()
        .filter(|l| !l.trim_start().starts_with("wire: "))
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn every_item_of_the_master_survives_the_link() {
    let (framework_id, task_id) = (framework_id(), TaskId::new("t").unwrap());
    let executor_id = ExecutorId::new("e").unwrap();
    let policy = v1::KillPolicy {
        grace_period: Some(duration_info(Duration::from_secs(3))),
    };
    let task = launched();
    for item in [
        ToAgent::Registered {
            agent_id: AgentId::new("a").unwrap(),
            total_ping_timeout: Duration::from_secs(75),
        },
        ToAgent::Reregistered {
            agent_id: AgentId::new("a").unwrap(),
            total_ping_timeout: Duration::from_secs(75),
            reconcile: vec![(framework_id.clone(), task_id.clone())],
        },
        ToAgent::Shutdown {
            message: Arc::from("why"),
        },
        ToAgent::RunTask {
            framework: framework(),
            task: task.clone(),
            launch_executor: true,
        },
        ToAgent::RunTaskGroup {
            framework: framework(),
            executor: task.executor.clone().unwrap(),
            tasks: vec![task],
            launch_executor: false,
        },
        ToAgent::KillTask {
            framework_id: framework_id.clone(),
            task_id: task_id.clone(),
            kill_policy: policy.encode_to_vec().into(),
            grace: Some(Duration::from_secs(3)),
        },
        ToAgent::ShutdownExecutor {
            framework_id: framework_id.clone(),
            executor_id: executor_id.clone(),
        },
        ToAgent::AckUpdate {
            framework_id: framework_id.clone(),
            task_id,
            uuid: UpdateUuid([9; 16]),
        },
        ToAgent::FrameworkMessage {
            framework_id: framework_id.clone(),
            executor_id,
            data: Bytes::from_static(b"x"),
        },
        ToAgent::ShutdownFramework { framework_id },
        ToAgent::UpdateFramework {
            framework: framework(),
        },
        ToAgent::Ping { connected: false },
    ] {
        let wire = link::master_item(&item).encode_to_vec();
        let back = link::to_agent_item(crate::meseta::link::v1::MasterItem::decode(wire.as_slice()).unwrap());
        let back = back.unwrap().unwrap();
        assert_eq!(without_wires(&back), without_wires(&item));
    }
    assert_eq!(link::to_agent_item(link::master_alive()), Ok(None));
}

#[test]
fn an_item_that_makes_no_sense_is_an_error() {
    use crate::meseta::link::v1::{AgentItem, MasterItem, RunTask, agent_item, master_item};
    assert!(link::from_agent_item(AgentItem { item: None }).is_err());
    let nobody = agent_item::Item::Register(Default::default());
    assert!(link::from_agent_item(AgentItem { item: Some(nobody) }).is_err());
    let run = RunTask {
        task: Bytes::from_static(b"\xff"),
        ..Default::default()
    };
    assert!(
        link::to_agent_item(MasterItem {
            item: Some(master_item::Item::RunTask(run))
        })
        .is_err()
    );
}

#[test]
fn a_carried_message_looks_as_an_embedded_one() {
    // What we write as bytes a foreign client reads as the message, by the published .proto.
    use crate::meseta::scheduler::v1 as grpc;
    let event: v1::scheduler::Event = read(r#"{"type":"RESCIND","rescind":{"offer_id":{"value":"o"}}}"#);
    let events = grpc::Events {
        first_seq: 3,
        events: vec![event.encode_to_vec().into()],
    };
    let down = grpc::Down {
        body: Some(grpc::down::Body::Events(events)),
    };
    let mut shown = Vec::new();
    transcode::to_json::<grpc::Down>(&down.encode_to_vec(), &mut shown).unwrap();
    assert_eq!(
        String::from_utf8(shown).unwrap(),
        r#"{"events":{"first_seq":3,"events":[{"type":"RESCIND","rescind":{"offer_id":{"value":"o"}}}]}}"#
    );
}

#[test]
fn a_group_is_refused_with_mesos_texts() {
    let executor = |text: &str| -> v1::ExecutorInfo {
        read(&format!(
            r#"{{"executor_id":{{"value":"e"}},"framework_id":{{"value":"f"}}{text}}}"#
        ))
    };
    let tasks = [task_info(COMMAND)];
    let fault = |e: &v1::ExecutorInfo| task::group_fault(e, &tasks, &framework_id()).unwrap_or_default();
    assert_eq!(&*fault(&executor("")), "'ExecutorInfo.type' must be set");
    assert_eq!(
        &*fault(&executor(r#","type":"DEFAULT""#)),
        "Executor 'e' uses less CPUs (None) than the minimum required (0.01)"
    );
    let whole = executor(
        r#","type":"DEFAULT","resources":[{"name":"cpus","type":"SCALAR","scalar":{"value":0.1}},
            {"name":"mem","type":"SCALAR","scalar":{"value":32}},{"name":"disk","type":"SCALAR","scalar":{"value":1}}]"#,
    );
    assert_eq!(&*fault(&whole), "");
    let limited = [task_info(&format!(
        r#"{COMMAND},"limits":{{"cpus":{{"value":1}}}}"#
    ))];
    let fault = task::group_fault(&whole, &limited, &framework_id()).unwrap();
    assert!(
        fault.starts_with("Task 't' is invalid: Resource limits may only be set"),
        "{fault}"
    );
}
