#![allow(clippy::unwrap_used)]
//! Bodies and what becomes of them.

use super::*;
use serde_json::json;

fn create_json(body: Value) -> Result<Value, Invalid> {
    create(&body, &Rules::default()).map(|app| app.to_json().unwrap())
}

fn created(body: Value) -> Value {
    create_json(body).unwrap()
}

/// A sleeping app with these fields beside.
fn sleep(fields: Value) -> Value {
    let mut body = json!({"id": "/a", "cmd": "sleep 1000"});
    let all = body.as_object_mut().unwrap();
    for (key, value) in fields.as_object().unwrap() {
        all.insert(key.clone(), value.clone());
    }
    body
}

fn updated(app: &Value, update: Value) -> Value {
    let stored = create(app, &Rules::default()).unwrap();
    let id = AppId::recorded(&stored.id);
    match super::update(&id, Some(&stored), &update, &Rules::default()).unwrap() {
        Update::To(app) => app.to_json().unwrap(),
        Update::Back(version) => panic!("back to {version}"),
    }
}

#[test]
fn defaults_are_written_out() {
    assert_eq!(
        created(json!({"id": "web", "cmd": "sleep 1000"})),
        json!({
            "id": "/web",
            "cmd": "sleep 1000",
            "env": {},
            "instances": 1,
            "cpus": 1,
            "mem": 128,
            "disk": 0,
            "gpus": 0,
            "executor": "",
            "labels": {},
            "role": "*",
            "fetch": [],
            "networks": [{"mode": "host"}],
            "portDefinitions": [{"port": 0, "protocol": "tcp", "name": "default", "labels": {}}],
            "requirePorts": false,
            "constraints": [],
            "backoffSeconds": 1,
            "backoffFactor": 1.15,
            "maxLaunchDelaySeconds": 300,
            "killSelection": "YOUNGEST_FIRST",
            "upgradeStrategy": {"minimumHealthCapacity": 1, "maximumOverCapacity": 1},
            "unreachableStrategy": {"inactiveAfterSeconds": 0, "expungeAfterSeconds": 0},
            "dependencies": [],
            "healthChecks": [],
        })
    );
}

#[test]
fn nulls_are_absent_and_unknown_fields_are_dropped() {
    let plain = created(sleep(json!({})));
    for extra in [
        json!({"ports": null, "dependencies": null, "ipAddress": null, "container": null, "args": null, "user": null}),
        json!({"storeUrls": ["x"], "taskRateLimit": 1, "tasksRunning": 3, "versionInfo": {}, "secrets": {}}),
        json!({"env": {"A": null}, "residency": {"taskLostBehavior": "WAIT_FOREVER"}}),
        // A version is only read in an update.
        json!({"version": "2020-01-01T00:00:00.000Z"}),
    ] {
        assert_eq!(created(sleep(extra.clone())), plain, "{extra}");
    }
}

#[test]
fn every_field_comes_back_as_it_was_given() {
    let body = json!({
        "id": "/prod/web",
        "args": ["a", "b c"],
        "user": "nobody",
        "env": {"A": "1", "B": ""},
        "instances": 3,
        "cpus": 0.25,
        "mem": 32.5,
        "disk": 10,
        "gpus": 0,
        "resourceLimits": {"cpus": "unlimited", "mem": 64},
        "executor": "//cmd",
        "labels": {"team": "x"},
        "tty": false,
        "role": "*",
        "acceptedResourceRoles": ["*"],
        "fetch": [{"uri": "http://x/a.tgz", "extract": false, "executable": true, "cache": true, "destPath": "a"}],
        "container": {
            "type": "DOCKER",
            "docker": {"image": "nginx:1", "forcePullImage": true, "privileged": true,
                "parameters": [{"key": "b", "value": "2"}, {"key": "a", "value": "1"}]},
            "volumes": [{"containerPath": "/data", "hostPath": "/srv", "mode": "RO"}],
            "portMappings": [{"containerPort": 80, "hostPort": 0, "servicePort": 10001, "protocol": "udp,tcp",
                "name": "http", "labels": {"VIP_0": "/web:80"}}]
        },
        "networks": [{"mode": "container/bridge"}],
        "requirePorts": false,
        "constraints": [],
        "backoffSeconds": 2,
        "backoffFactor": 2,
        "maxLaunchDelaySeconds": 60,
        "taskKillGracePeriodSeconds": 5,
        "killSelection": "OLDEST_FIRST",
        "upgradeStrategy": {"minimumHealthCapacity": 0.5, "maximumOverCapacity": 0.25},
        "unreachableStrategy": "disabled",
        "dependencies": ["/prod/db"],
        "healthChecks": [{"protocol": "HTTP", "path": "/health", "portIndex": 0, "gracePeriodSeconds": 3,
            "intervalSeconds": 5, "timeoutSeconds": 4, "maxConsecutiveFailures": 2, "delaySeconds": 1,
            "ignoreHttp1xx": true}],
        "readinessChecks": [{"name": "r", "protocol": "HTTPS", "path": "/r", "portName": "http", "intervalSeconds": 9,
            "timeoutSeconds": 8, "httpStatusCodesForReady": [200, 302], "preserveLastResponse": true}],
        "check": {"exec": {"command": {"shell": "true"}}, "intervalSeconds": 1, "timeoutSeconds": 2, "delaySeconds": 3},
    });
    let app = create(&body, &Rules::default()).unwrap();
    assert_eq!(app.to_json().unwrap(), body);
    let spec = app.to_spec().unwrap();
    assert_eq!(parse_stored(&spec).unwrap(), app);
}

#[test]
fn old_spellings_come_back_as_new_ones() {
    let cases = [
        (
            json!({"uris": ["http://x/a.tar.gz", "http://x/b.txt"]}),
            "fetch",
            json!([
                {"uri": "http://x/a.tar.gz", "extract": true, "executable": false, "cache": false},
                {"uri": "http://x/b.txt", "extract": false, "executable": false, "cache": false}
            ]),
        ),
        (
            json!({"ports": [8080, 0]}),
            "portDefinitions",
            json!([{"port": 8080, "protocol": "tcp", "labels": {}}, {"port": 0, "protocol": "tcp", "labels": {}}]),
        ),
        (json!({"ports": []}), "portDefinitions", json!([])),
        (
            json!({"container": {"docker": {"image": "x", "network": "BRIDGE",
                "portMappings": [{"containerPort": 80, "servicePort": 9000}]}}, "ports": [9000]}),
            "networks",
            json!([{"mode": "container/bridge"}]),
        ),
        (
            json!({"container": {"docker": {"image": "x", "network": "BRIDGE",
                "portMappings": [{"containerPort": 80, "servicePort": 9000}]}}}),
            "container",
            json!({"type": "DOCKER", "volumes": [],
                "docker": {"image": "x", "forcePullImage": false, "privileged": false, "parameters": []},
                "portMappings": [{"containerPort": 80, "hostPort": 0, "servicePort": 9000, "protocol": "tcp",
                    "labels": {}}]}),
        ),
        (
            json!({"container": {"docker": {"image": "x", "network": "HOST", "portMappings": [{"containerPort": 1}]}}}),
            "container",
            json!({"type": "DOCKER", "volumes": [],
                "docker": {"image": "x", "forcePullImage": false, "privileged": false, "parameters": []}}),
        ),
        (
            json!({"container": {"docker": {"image": "x", "network": "USER"}},
                "ipAddress": {"networkName": "net", "labels": {"a": "b"}}}),
            "networks",
            json!([{"mode": "container", "name": "net", "labels": {"a": "b"}}]),
        ),
        (
            json!({"ipAddress": {"networkName": "net",
                "discovery": {"ports": [{"number": 80, "name": "http", "protocol": "tcp"}]}}}),
            "container",
            json!({"type": "MESOS", "volumes": [], "portMappings": [
                {"containerPort": 80, "servicePort": 0, "protocol": "tcp", "name": "http", "labels": {}}]}),
        ),
    ];
    for (fields, key, expected) in cases {
        let app = created(sleep(fields.clone()));
        assert_eq!(app[key], expected, "{fields}");
        for old in ["uris", "ports", "ipAddress"] {
            assert!(app.get(old).is_none(), "{old}");
        }
    }
}

#[test]
fn networks_decide_where_ports_stand() {
    let bridge = created(sleep(json!({"networks": [{"mode": "container/bridge"}]})));
    assert!(bridge.get("portDefinitions").is_none());
    assert_eq!(
        bridge["container"]["portMappings"],
        json!([{"containerPort": 0, "hostPort": 0, "servicePort": 0, "protocol": "tcp", "name": "default", "labels": {}}])
    );
    let none = created(sleep(json!({"portDefinitions": []})));
    assert_eq!(none["portDefinitions"], json!([]));
    let named = Rules {
        default_network: Some("dcos".to_owned()),
        ..Rules::default()
    };
    let app = create(&sleep(json!({"networks": [{"mode": "container"}]})), &named).unwrap();
    assert_eq!(app.networks[0].name.as_deref(), Some("dcos"));
}

#[test]
fn a_health_check_without_a_port_means_the_first() {
    let index = |fields: Value| created(sleep(fields))["healthChecks"][0]["portIndex"].clone();
    assert_eq!(index(json!({"healthChecks": [{}]})), json!(0));
    assert_eq!(
        index(json!({"healthChecks": [{"protocol": "MESOS_TCP"}]})),
        json!(0)
    );
    assert_eq!(index(json!({"healthChecks": [{"port": 8080}]})), Value::Null);
    assert_eq!(
        index(json!({"healthChecks": [{"protocol": "COMMAND", "command": {"value": "true"}}]})),
        Value::Null
    );
}

#[test]
fn a_single_instance_app_is_updated_by_stopping_it_first() {
    let app = created(sleep(json!({"labels": {"MARATHON_SINGLE_INSTANCE_APP": "true"}})));
    assert_eq!(
        app["upgradeStrategy"],
        json!({"minimumHealthCapacity": 0, "maximumOverCapacity": 0})
    );
}

#[test]
fn dependencies_are_taken_from_the_app() {
    let body = json!({"id": "/prod/web", "cmd": "sleep 1", "dependencies": ["../db", "/other", "side"]});
    assert_eq!(
        created(body)["dependencies"],
        json!(["/other", "/prod/db", "/prod/web/side"])
    );
}

#[test]
fn fields_of_the_wrong_type_are_told_with_codes() {
    let cases = [
        (json!({"cmd": "sleep 1"}), "/id", "error.path.missing"),
        (
            json!({"id": 7, "cmd": "sleep 1"}),
            "/id",
            "error.expected.jsstring",
        ),
        (json!([1]), "/", "error.expected.jsobject"),
        (sleep(json!({"cpus": "1"})), "/cpus", "error.expected.jsnumber"),
        (
            sleep(json!({"instances": 1.5})),
            "/instances",
            "error.expected.int",
        ),
        (
            sleep(json!({"instances": "three"})),
            "/instances",
            "error.expected.jsnumber",
        ),
        (sleep(json!({"args": "x"})), "/args", "error.expected.jsarray"),
        (
            sleep(json!({"args": ["x", 1]})),
            "/args(1)",
            "error.expected.jsstring",
        ),
        (
            sleep(json!({"env": {"A": 1}})),
            "/env/A",
            "error.expected.jsstring",
        ),
        (sleep(json!({"env": []})), "/env", "error.expected.jsobject"),
        (
            sleep(json!({"labels": {"A": {}}})),
            "/labels/A",
            "error.expected.jsstring",
        ),
        (
            sleep(json!({"requirePorts": 1})),
            "/requirePorts",
            "error.expected.jsboolean",
        ),
        (
            sleep(json!({"killSelection": "RANDOM"})),
            "/killSelection",
            "error.unknown.enum.literal",
        ),
        (
            sleep(json!({"networks": [{"mode": "weave"}]})),
            "/networks(0)/mode",
            "error.unknown.enum.literal",
        ),
        (
            sleep(json!({"networks": ["host"]})),
            "/networks(0)",
            "error.expected.jsobject",
        ),
        (
            sleep(json!({"fetch": [{}]})),
            "/fetch(0)/uri",
            "error.path.missing",
        ),
        (
            sleep(json!({"container": {"volumes": [{"containerPath": "a", "mode": "RW"}]}})),
            "/container/volumes(0)/hostPath",
            "error.path.missing",
        ),
        (
            sleep(json!({"container": {"docker": {}}})),
            "/container/docker/image",
            "error.path.missing",
        ),
        (
            sleep(json!({"healthChecks": [{"protocol": "ICMP"}]})),
            "/healthChecks(0)/protocol",
            "error.unknown.enum.literal",
        ),
        (
            sleep(json!({"unreachableStrategy": "enabled"})),
            "/unreachableStrategy",
            "error.unknown.enum.literal",
        ),
        (
            sleep(json!({"constraints": ["x"]})),
            "/constraints(0)",
            "error.expected.jsarray",
        ),
    ];
    for (body, path, code) in cases {
        let invalid = create_json(body.clone()).unwrap_err();
        assert_eq!(invalid.kind, Kind::Shape, "{body}");
        let expected = Detail {
            path: path.to_owned(),
            errors: vec![code.to_owned()],
        };
        assert_eq!(invalid.details, [expected], "{body}");
    }
}

#[test]
fn broken_rules_are_told_under_the_path_of_their_field() {
    let http = json!({"protocol": "HTTP"});
    let image = json!({"docker": {"image": "x"}});
    let cases = [
        (json!({"id": "/a"}), "/", "must either contain one of"),
        (sleep(json!({"args": ["x"]})), "/", "must either contain one of"),
        (sleep(json!({"cmd": "x"})), "/", "must not be an empty string"),
        (
            json!({"id": "/A", "cmd": "sleep 1"}),
            "/id",
            "must fully match regular expression",
        ),
        (
            json!({"id": "/a_b", "cmd": "sleep 1"}),
            "/id",
            "must fully match regular expression",
        ),
        (
            json!({"id": "/a/restart", "cmd": "sleep 1"}),
            "/id",
            "restart, tasks, versions",
        ),
        (json!({"id": "/", "cmd": "sleep 1"}), "/id", "root"),
        (
            sleep(json!({"instances": -3})),
            "/instances",
            "got -3, expected 0 or more",
        ),
        (
            sleep(json!({"cpus": -0.5})),
            "/cpus",
            "got -0.5, expected 0 or more",
        ),
        (sleep(json!({"mem": -1})), "/mem", "got -1, expected 0 or more"),
        (sleep(json!({"disk": -1})), "/disk", "expected 0 or more"),
        (sleep(json!({"mem": 1e300})), "/mem", "or less"),
        (
            sleep(json!({"instances": 100001})),
            "/instances",
            "expected 100000 or less",
        ),
        (
            sleep(json!({"backoffFactor": 0.5})),
            "/backoffFactor",
            "got 0.5, expected 1 or more",
        ),
        (
            sleep(json!({"upgradeStrategy": {"minimumHealthCapacity": 1.2}})),
            "/upgradeStrategy/minimumHealthCapacity",
            "got 1.2, expected between 0.0 and 1.0",
        ),
        (
            sleep(json!({"upgradeStrategy": {"maximumOverCapacity": -1}})),
            "/upgradeStrategy/maximumOverCapacity",
            "got -1, expected between 0.0 and 1.0",
        ),
        (
            sleep(json!({"ports": [80, 80]})),
            "/ports",
            "Ports must be unique.",
        ),
        (sleep(json!({"ports": [70000]})), "/ports(0)", "got 70000"),
        (
            sleep(json!({"portDefinitions": [{"port": 80}, {"port": 80}]})),
            "/portDefinitions",
            "Ports must be unique.",
        ),
        (
            sleep(json!({"portDefinitions": [{"name": "a"}, {"name": "a"}]})),
            "/portDefinitions",
            "Port names must be unique.",
        ),
        (
            sleep(json!({"networks": [{"mode": "container/bridge"}],
                "container": {"portMappings": [{"name": "a"}, {"name": "a"}]}})),
            "/container/portMappings",
            "Port names must be unique.",
        ),
        (
            sleep(json!({"ports": [1], "portDefinitions": [{"port": 2}]})),
            "/",
            "cannot specify both ports",
        ),
        (
            sleep(json!({"uris": ["http://a/b"], "fetch": [{"uri": "http://a/b"}]})),
            "/uris",
            "in conjunction with fetch",
        ),
        (
            sleep(json!({"fetch": [{"uri": "http://a b"}]})),
            "/fetch(0)/uri",
            "URI has invalid syntax.",
        ),
        (
            sleep(json!({"uris": [":"]})),
            "/uris(0)",
            "URI has invalid syntax.",
        ),
        (
            sleep(json!({"container": {"portMappings": [{"containerPort": 1}]}})),
            "/",
            "portMappings are not allowed with host-networking",
        ),
        (
            sleep(json!({"networks": [{"mode": "container/bridge"}], "portDefinitions": [{"port": 1}]})),
            "/",
            "portDefinitions are only allowed with host-networking",
        ),
        (
            sleep(json!({"networks": [{"mode": "host"}, {"mode": "container/bridge"}]})),
            "/networks",
            "single host network",
        ),
        (
            sleep(json!({"networks": [{"mode": "host", "name": "x"}]})),
            "/networks",
            "may not have names",
        ),
        (
            sleep(json!({"networks": [{"mode": "container"}]})),
            "/networks",
            "Network name must be specified",
        ),
        (
            sleep(
                json!({"networks": [{"mode": "container", "name": "a"}, {"mode": "container", "name": "a"}]}),
            ),
            "/networks",
            "Duplicate networks",
        ),
        (
            sleep(
                json!({"networks": [{"mode": "container", "name": "a"}, {"mode": "container", "name": "b"}],
                "container": {"portMappings": [{"hostPort": 0}]}}),
            ),
            "/container/portMappings(0)",
            "networkNames must be a single item list",
        ),
        (
            sleep(json!({"container": {"docker": {"image": "x", "network": "NONE"}}})),
            "/container/docker/network",
            "unsupported docker network type",
        ),
        (
            sleep(
                json!({"container": {"docker": {"image": "x", "network": "HOST"}}, "networks": [{"mode": "host"}]}),
            ),
            "/",
            "container.docker.network and networks",
        ),
        (
            sleep(json!({"container": {"type": "DOCKER"}})),
            "/container/docker",
            "not defined",
        ),
        (
            sleep(json!({"constraints": [["a"]]})),
            "/constraints(0)",
            "2 or 3 fields",
        ),
        (
            sleep(json!({"constraints": [["hostname", "NEAR"]]})),
            "/constraints(0)",
            "Operator must be one of",
        ),
        (
            sleep(json!({"constraints": [["hostname", "UNIQUE", "x"]]})),
            "/constraints(0)",
            "not used",
        ),
        (
            sleep(json!({"constraints": [["rack", "MAX_PER", "x"]]})),
            "/constraints(0)",
            "not a number",
        ),
        (
            sleep(json!({"constraints": [["rack", "LIKE"]]})),
            "/constraints(0)",
            "must be specified",
        ),
        (
            sleep(json!({"constraints": [["hostname", "UNIQUE"]]})),
            "/constraints(0)",
            "not supported",
        ),
        (
            sleep(json!({"healthChecks": [{"portIndex": 1}]})),
            "/healthChecks(0)",
            "must address an element of the ports array",
        ),
        (
            sleep(json!({"ports": [], "healthChecks": [http]})),
            "/healthChecks(0)",
            "must address",
        ),
        (
            sleep(json!({"healthChecks": [{"portIndex": 0, "port": 80}]})),
            "/healthChecks(0)",
            "both port",
        ),
        (
            sleep(json!({"healthChecks": [{"protocol": "COMMAND"}]})),
            "/healthChecks(0)",
            "must have a command",
        ),
        (
            sleep(json!({"healthChecks": [{"command": {"value": "x"}}]})),
            "/healthChecks(0)",
            "only COMMAND",
        ),
        (
            sleep(json!({"healthChecks": [{"protocol": "MESOS_TCP"}, {"protocol": "MESOS_HTTP"}]})),
            "/healthChecks",
            "at most one",
        ),
        (
            sleep(json!({"healthChecks": [{"protocol": "HTTP", "ipProtocol": "IPv6"}]})),
            "/healthChecks(0)",
            "IPv6",
        ),
        (
            sleep(json!({"readinessChecks": [{"portName": "default", "timeoutSeconds": 30}]})),
            "/readinessChecks(0)/timeoutSeconds",
            "got 30, expected less than 30",
        ),
        (
            sleep(json!({"readinessChecks": [{"portName": "x"}]})),
            "/readinessChecks(0)/portName",
            "No port definition reference",
        ),
        (
            sleep(json!({"readinessChecks": [{"portName": "default"}, {"portName": "default"}]})),
            "/readinessChecks",
            "expected 1 or less",
        ),
        (
            sleep(json!({"secrets": {"a": {"source": "b"}}})),
            "/secrets",
            "--enable_features secrets",
        ),
        (
            sleep(json!({"env": {"A": {"secret": "x"}}})),
            "/env/A/secret",
            "undefined secret",
        ),
        (sleep(json!({"gpus": 1})), "/", "--enable_features gpu_resources"),
        (
            sleep(json!({"gpus": 1, "container": image})),
            "/",
            "Mesos containerizer",
        ),
        (
            sleep(
                json!({"container": {"volumes": [{"containerPath": "d", "mode": "RW", "persistent": {"size": 1}}]}}),
            ),
            "/container/volumes(0)/persistent",
            "not supported",
        ),
        (
            sleep(
                json!({"container": {"volumes": [{"containerPath": "d", "mode": "RW",
                "external": {"name": "x", "provider": "dvdi"}}]}}),
            ),
            "/container/volumes(0)/external",
            "external_volumes",
        ),
        (
            sleep(json!({"unreachableStrategy": {"inactiveAfterSeconds": 10, "expungeAfterSeconds": 5}})),
            "/unreachableStrategy/inactiveAfterSeconds",
            "got 10, expected 5",
        ),
        (
            sleep(json!({"labels": {"MARATHON_SINGLE_INSTANCE_APP": "true"}, "instances": 2})),
            "/instances",
            "only have one instance",
        ),
        (
            sleep(json!({"labels": {"MARATHON_SINGLE_INSTANCE_APP": "true"}, "upgradeStrategy": {}})),
            "/upgradeStrategy/maximumOverCapacity",
            "expected 0",
        ),
        (
            sleep(json!({"role": "web"})),
            "/role",
            "got web, expected one of: [*]",
        ),
        (
            sleep(json!({"acceptedResourceRoles": ["web"]})),
            "/acceptedResourceRoles",
            "got web",
        ),
        (
            sleep(json!({"acceptedResourceRoles": []})),
            "/acceptedResourceRoles",
            "must not be empty",
        ),
        (
            sleep(json!({"resourceLimits": {"cpus": 0.5}})),
            "/resourceLimits/cpus",
            "got 0.5, expected 1 or more",
        ),
        (
            sleep(json!({"resourceLimits": {"mem": 1e300}})),
            "/resourceLimits/mem",
            "expected 4398046511104 or less",
        ),
        (
            sleep(json!({"check": {"http": {"portIndex": 0, "scheme": "HTTPS"}}})),
            "/check/http/scheme",
            "must be HTTP",
        ),
        (
            sleep(json!({"env": {"A=B": "1"}})),
            "/env/A=B",
            "a name without '='",
        ),
        (
            sleep(json!({"env": {"A": "x\0y"}})),
            "/env/A",
            "must not contain a NUL character",
        ),
        (
            sleep(json!({"cmd": "sleep \0"})),
            "/cmd",
            "must not contain a NUL character",
        ),
        (
            sleep(json!({"executor": "/my/executor"})),
            "/executor",
            "not supported",
        ),
        (
            sleep(json!({"dependencies": ["/A"]})),
            "/dependencies(0)",
            "must fully match",
        ),
        (sleep(json!({"check": {}})), "/check", "exactly one"),
        (
            sleep(json!({"labels": {"x": "y".repeat(400_000)}})),
            "/",
            "384 KiB",
        ),
    ];
    for (body, path, text) in cases {
        let invalid = create_json(body.clone()).unwrap_err();
        assert_eq!(invalid.kind, Kind::Rule, "{body}");
        let told = invalid
            .details
            .iter()
            .any(|detail| detail.path == path && detail.errors.iter().any(|error| error.contains(text)));
        assert!(told, "{body}: {invalid}");
    }
}

#[test]
fn all_problems_are_told_at_once_and_not_without_bound() {
    let invalid = create_json(json!({"id": "/a", "instances": -1, "cpus": -1})).unwrap_err();
    let paths: Vec<&str> = invalid
        .details
        .iter()
        .map(|detail| detail.path.as_str())
        .collect();
    assert_eq!(paths, ["/", "/cpus", "/instances"]);
    let many: serde_json::Map<String, Value> = (0..5000).map(|n| (format!("k{n}"), json!(1))).collect();
    let invalid = create_json(sleep(json!({"labels": many}))).unwrap_err();
    assert_eq!(invalid.details.len(), 100);
}

#[test]
fn an_update_keeps_what_it_does_not_name() {
    let app = sleep(
        json!({"env": {"A": "1"}, "labels": {"x": "y"}, "mem": 64, "user": "u",
        "taskKillGracePeriodSeconds": 7, "healthChecks": [{"path": "/h"}]}),
    );
    let before = created(app.clone());
    let after = updated(&app, json!({"instances": 3}));
    let mut expected = before.clone();
    expected["instances"] = json!(3);
    assert_eq!(after, expected);
    let after = updated(&app, json!({"env": {"B": "2"}}));
    assert_eq!(after["env"], json!({"B": "2"}));
    assert_eq!(after["labels"], before["labels"]);
}

#[test]
fn what_is_shown_can_be_sent_back_and_changes_nothing() {
    for app in [
        sleep(json!({"healthChecks": [{}], "ports": [1, 0]})),
        sleep(json!({"networks": [{"mode": "container/bridge"}]})),
        sleep(json!({"container": {"docker": {"image": "x", "network": "BRIDGE"}}})),
    ] {
        let shown = created(app.clone());
        assert_eq!(updated(&app, shown.clone()), shown);
        assert_eq!(created(shown.clone()), shown);
    }
}

#[test]
fn a_command_takes_the_place_of_arguments_and_the_other_way_round() {
    let with_args = json!({"id": "/a", "args": ["x"]});
    let after = updated(&with_args, json!({"cmd": "sleep 1"}));
    assert!(after.get("args").is_none());
    assert_eq!(after["cmd"], json!("sleep 1"));
    let after = updated(&sleep(json!({})), json!({"args": ["x"]}));
    assert!(after.get("cmd").is_none());
    assert_eq!(
        updated(&sleep(json!({})), json!({"args": []}))["cmd"],
        json!("sleep 1000")
    );
}

#[test]
fn an_update_to_another_network_moves_the_ports() {
    let app = sleep(json!({"ports": [8080]}));
    let after = updated(&app, json!({"networks": [{"mode": "container/bridge"}]}));
    assert!(after.get("portDefinitions").is_none());
    assert_eq!(after["container"]["portMappings"][0]["name"], json!("default"));
    let back = updated(&after, json!({"networks": [{"mode": "host"}]}));
    assert!(back["container"].get("portMappings").is_none());
    assert_eq!(back["portDefinitions"][0]["name"], json!("default"));
}

#[test]
fn an_update_may_go_back_to_a_version_and_then_say_nothing_else() {
    let stored = create(&sleep(json!({})), &Rules::default()).unwrap();
    let id = AppId::recorded("/a");
    let version = "2020-01-01T00:00:00.000Z";
    let ask = |stored, body: Value| update(&id, stored, &body, &Rules::default());
    assert_eq!(
        ask(Some(&stored), json!({"id": "/a", "version": version})).unwrap(),
        Update::Back(version.to_owned())
    );
    let invalid = ask(Some(&stored), json!({"version": version, "cmd": "sleep 2"})).unwrap_err();
    assert_eq!(invalid.details[0].path, "/");
    let whole = ask(None, json!({"version": version, "cmd": "sleep 2"})).unwrap();
    assert!(matches!(whole, Update::To(app) if app.id == "/a"));
}

#[test]
fn the_spec_has_what_the_engine_decides_on() {
    use meseta_service_core::app::HostPort;
    let spec = |fields: Value| {
        create(&sleep(fields), &Rules::default())
            .unwrap()
            .to_spec()
            .unwrap()
    };
    assert_eq!(
        spec(json!({"ports": [8080, 0]})).ports,
        [HostPort::Any, HostPort::Any]
    );
    assert_eq!(
        spec(json!({"ports": [8080, 0], "requirePorts": true})).ports,
        [HostPort::Fixed(8080), HostPort::Any]
    );
    let mapped = spec(
        json!({"networks": [{"mode": "container", "name": "n"}], "container": {"portMappings": [
        {"containerPort": 80}, {"containerPort": 81, "hostPort": 0}, {"containerPort": 82, "hostPort": 82}]}}),
    );
    assert_eq!(mapped.ports, [HostPort::Any, HostPort::Fixed(82)]);
    let one = spec(json!({"instances": 1}));
    let two = spec(json!({"instances": 2}));
    assert_eq!(one.wire, two.wire, "scaling leaves the bytes as they are");
}

#[test]
fn uris_are_told_from_other_texts() {
    for good in [
        "http://a/b%20c?d#e",
        "file:///x",
        "/local/path",
        "a.txt",
        "hdfs://n:1/x",
    ] {
        assert!(validate::is_uri(good), "{good}");
    }
    for bad in ["", "a b", "http://a/%zz", "1http:x", ":", "a\\b", "http:"] {
        assert!(!validate::is_uri(bad), "{bad}");
    }
}
