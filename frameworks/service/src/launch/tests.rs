use super::*;
use crate::definition::{Rules, create};
use meseta_service_core::app::{AppId, Version};
use meseta_service_core::instance::{Condition, Goal, Instance, InstanceId, Place, Since};
use meseta_service_core::matcher::Taken;
use meseta_types::Wall;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The task of a definition with these host ports.
fn built(definition: Value, ports: &[u16]) -> v1::TaskInfo {
    let app = create(&definition, &Rules::default()).unwrap();
    let mut spec = app.to_spec().unwrap();
    spec.version = Version(1_428_000_000_123);
    let instance = Instance {
        id: InstanceId::new(&AppId::recorded(&app.id), [7; 16]),
        app: spec.id.clone(),
        version: spec.version,
        config_version: spec.version,
        incarnation: 2,
        goal: Goal::Running,
        condition: Condition::Provisioned,
        place: Some(Place {
            agent: "a-1".into(),
            host: "node1".into(),
            ports: ports.to_vec(),
        }),
        since: Since {
            scheduled: Wall(0),
            ..Since::default()
        },
        healthy: None,
        ready: false,
        kill_sent: None,
    };
    let launch = Launch {
        instance,
        spec: Arc::new(spec),
        taken: Taken {
            parts: Vec::new(),
            ports: ports.to_vec(),
        },
    };
    let offer = v1::Offer {
        agent_id: v1::AgentId { value: "a-1".into() },
        hostname: "node1".into(),
        ..Default::default()
    };
    task(&launch, &app, &offer, Vec::new())
}

fn variables(task: &v1::TaskInfo) -> BTreeMap<&str, &str> {
    let command = task.command.as_ref().unwrap();
    let variables = &command.environment.as_ref().unwrap().variables;
    variables
        .iter()
        .map(|v| (v.name.as_str(), v.value.as_deref().unwrap()))
        .collect()
}

#[test]
fn a_task_is_told_what_and_where_it_is_and_the_users_word_wins() {
    let task = built(
        json!({
            "id": "/prod/web", "cmd": "serve $PORT0", "cpus": 0.5, "mem": 64, "user": "www",
            "env": {"HOST": "mine", "X": "1"},
            "labels": {"tier.name": "front", "long": "x".repeat(512)},
            "portDefinitions": [{"port": 80, "name": "http-api"}, {"port": 0}],
            "fetch": [{"uri": "http://x/a.tgz", "executable": true, "destPath": "b"}],
            "taskKillGracePeriodSeconds": 7
        }),
        &[31_001, 31_002],
    );
    let set = variables(&task);
    for (name, value) in [
        ("MARATHON_APP_ID", "/prod/web"),
        ("MARATHON_APP_VERSION", "2015-04-02T18:40:00.123Z"),
        ("MARATHON_APP_RESOURCE_CPUS", "0.5"),
        ("MARATHON_APP_RESOURCE_MEM", "64.0"),
        ("MARATHON_APP_RESOURCE_DISK", "0.0"),
        ("MARATHON_APP_RESOURCE_GPUS", "0"),
        ("MARATHON_APP_LABELS", "TIER_NAME"),
        ("MARATHON_APP_LABEL_TIER_NAME", "front"),
        ("MARATHON_APP_ENFORCE_GROUP_ROLE", "FALSE"),
        ("HOST", "mine"),
        ("X", "1"),
        ("PORT", "31001"),
        ("PORT0", "31001"),
        ("PORT1", "31002"),
        ("PORTS", "31001,31002"),
        ("PORT_80", "31001"),
        ("PORT_31002", "31002"),
        ("PORT_HTTP_API", "31001"),
    ] {
        assert_eq!(set.get(name), Some(&value), "{name}");
    }
    assert!(!set.contains_key("MARATHON_APP_LABEL_LONG"));
    assert!(!set.contains_key("MARATHON_APP_DOCKER_IMAGE"));
    assert_eq!(set["MESOS_TASK_ID"], task.task_id.value);
    assert!(task.task_id.value.ends_with("._app.2"));
    let command = task.command.as_ref().unwrap();
    assert_eq!(
        (command.shell, command.value.as_deref()),
        (Some(true), Some("serve $PORT0"))
    );
    assert_eq!(command.user.as_deref(), Some("www"));
    assert_eq!(
        (command.uris[0].executable, command.uris[0].output_file.as_deref()),
        (Some(true), Some("b"))
    );
    let grace = task.kill_policy.as_ref().unwrap().grace_period.as_ref().unwrap();
    assert_eq!(grace.nanoseconds, 7_000_000_000);
    assert_eq!((task.name.as_str(), task.container.is_none()), ("web.prod", true));
    assert_eq!(task.labels.as_ref().unwrap().labels.len(), 2);
}

#[test]
fn service_discovery_is_told_every_port_and_protocol() {
    let task = built(
        json!({
            "id": "/a/b", "cmd": "sleep 1",
            "portDefinitions": [{"port": 0, "protocol": "udp,tcp", "name": "dns", "labels": {"VIP_0": "/dns:53"}}]
        }),
        &[31_053],
    );
    let discovery = task.discovery.unwrap();
    assert_eq!(discovery.name.as_deref(), Some("b.a"));
    let ports = discovery.ports.unwrap().ports;
    let protocols: Vec<_> = ports
        .iter()
        .map(|port| (port.number, port.protocol.as_deref().unwrap()))
        .collect();
    assert_eq!(protocols, [(31_053, "udp"), (31_053, "tcp")]);
    let labels = &ports[0].labels.as_ref().unwrap().labels;
    let labels: Vec<_> = labels
        .iter()
        .map(|l| (l.key.as_str(), l.value.as_deref().unwrap()))
        .collect();
    assert_eq!(labels, [("VIP_0", "/dns:53"), ("network-scope", "host")]);
}

#[test]
fn arguments_run_without_a_shell() {
    let task = built(
        json!({"id": "/a", "args": ["/bin/sleep", "5"], "portDefinitions": []}),
        &[],
    );
    let command = task.command.as_ref().unwrap();
    assert_eq!(
        (command.shell, command.value.as_deref()),
        (Some(false), Some("/bin/sleep"))
    );
    assert_eq!(command.arguments, ["/bin/sleep", "5"]);
    assert!(!variables(&task).contains_key("PORTS"));
    let with_image = built(
        json!({"id": "/a", "args": ["-v"], "container": {"type": "MESOS", "docker": {"image": "x:1"}}, "portDefinitions": []}),
        &[],
    );
    assert_eq!(with_image.command.as_ref().unwrap().value, None);
    assert_eq!(variables(&with_image)["MARATHON_APP_DOCKER_IMAGE"], "x:1");
    let image = with_image.container.unwrap().mesos.unwrap().image.unwrap();
    assert_eq!(
        (image.docker.unwrap().name.as_str(), image.cached),
        ("x:1", Some(true))
    );
}

#[test]
fn health_checks_of_the_agent_go_with_the_task_and_those_of_the_framework_stay() {
    let check = |check: Value| {
        built(
            json!({"id": "/a", "cmd": "sleep 1", "healthChecks": [check]}),
            &[31_007],
        )
        .health_check
    };
    let http = check(json!({
        "protocol": "MESOS_HTTPS", "path": "/up", "portIndex": 0, "intervalSeconds": 5, "timeoutSeconds": 2,
        "gracePeriodSeconds": 9, "maxConsecutiveFailures": 4, "delaySeconds": 0
    }))
    .unwrap();
    assert_eq!(http.r#type, Some(v1::health_check::Type::Http as i32));
    let asked = http.http.unwrap();
    assert_eq!(
        (asked.port, asked.path.as_deref(), asked.scheme.as_deref()),
        (31_007, Some("/up"), Some("https"))
    );
    assert_eq!(
        (http.interval_seconds, http.timeout_seconds),
        (Some(5.0), Some(2.0))
    );
    assert_eq!(
        (http.grace_period_seconds, http.delay_seconds),
        (Some(9.0), Some(0.0))
    );
    assert_eq!(http.consecutive_failures, Some(4));
    let tcp = check(json!({"protocol": "MESOS_TCP", "port": 99})).unwrap();
    assert_eq!(tcp.tcp.unwrap().port, 99);
    let command = check(json!({"protocol": "COMMAND", "command": {"value": "true"}})).unwrap();
    assert_eq!(command.command.unwrap().value.as_deref(), Some("true"));
    assert_eq!(check(json!({"protocol": "HTTP", "path": "/"})), None);
}

#[test]
fn in_a_bridge_the_process_is_told_the_hosts_ports_and_the_agent_the_inner_ones() {
    let task = built(
        json!({
            "id": "/a", "cmd": "sleep 1", "networks": [{"mode": "container/bridge"}],
            "container": {"type": "DOCKER", "docker": {"image": "x"}, "portMappings": [
                {"containerPort": 8080, "hostPort": 0, "name": "web"}, {"containerPort": 0, "hostPort": 0}
            ]},
            "healthChecks": [{"protocol": "MESOS_TCP", "portIndex": 0}]
        }),
        &[31_001, 31_002],
    );
    let set = variables(&task);
    assert_eq!(
        (set["PORT_8080"], set["PORT_WEB"], set["PORT_31002"]),
        ("31001", "31001", "31002")
    );
    let docker = task.container.unwrap().docker.unwrap();
    let mapped: Vec<_> = docker
        .port_mappings
        .iter()
        .map(|m| (m.host_port, m.container_port))
        .collect();
    assert_eq!(mapped, [(31_001, 8_080), (31_002, 31_002)]);
    assert_eq!(task.health_check.unwrap().tcp.unwrap().port, 8_080);
}
