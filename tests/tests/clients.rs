//! Clients that are not ours, unmodified: the packages `marathon` and `chronos-python`, curl as the public documentation
//! of both uses it, and Prometheus's Marathon discovery.
#![allow(clippy::unwrap_used)]

use meseta_tests::bar::Bar;
use meseta_tests::binary::{meseta, root};
use meseta_tests::cluster::{Up, get};
use meseta_tests::service::sleeper;
use meseta_tests::skip;
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::process::{Command, Stdio};

/// Runs a client to its end; `Ok` are the lines it printed.
fn run(command: &mut Command) -> Result<Vec<String>, String> {
    let out = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    if out.status.success() {
        Ok(said.lines().map(str::to_owned).collect())
    } else {
        Err(format!(
            "{}\n{said}\n{}",
            out.status,
            String::from_utf8_lossy(&out.stderr)
        ))
    }
}

fn python(script: &str) -> Command {
    let mut command = Command::new(root().join(".venv/bin/python"));
    command.arg(root().join("tests/clients").join(script));
    command
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("PYTHONWARNINGS", "ignore");
    command
}

#[test]
fn foreign_clients_work_unmodified() {
    let mut bar = Bar::new("clients");
    let up = Up::start(&[]);
    let service = format!("127.0.0.1:{}", up.service().rest.port);
    let cron = format!("127.0.0.1:{}", up.cron().rest.port);
    let mut judge = |name: &str, ended: Result<Vec<String>, String>| match ended {
        Ok(lines) => {
            lines.iter().for_each(|line| bar.note(format!("{name}: {line}")));
            bar.figure(name, format!("{} things", lines.len()), "all", !lines.is_empty());
        }
        Err(error) => bar.figure(name, error, "all", false),
    };
    if skip::unless(
        root().join(".venv/bin/python").exists(),
        "no .venv with the clients: run tests/venv.sh",
    ) {
        judge(
            "marathon of PyPI",
            run(python("marathon_client.py").arg(&service)),
        );
        judge(
            "chronos-python of PyPI",
            run(python("chronos_client.py").arg(&cron)),
        );
    }
    if skip::unless(Command::new("curl").arg("--version").output().is_ok(), "no curl") {
        judge(
            "curl",
            run(Command::new(root().join("tests/clients/curl.sh")).args([&service, &cron])),
        );
    }
    judge("Prometheus's discovery", Ok(discover(&up)));
    bar.finish();
}

/// What Prometheus reads of `GET /v2/apps/?embed=apps.tasks`, with its types.
#[derive(Deserialize)]
struct AppList {
    apps: Vec<DiscoveredApp>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DiscoveredApp {
    id: String,
    tasks: Vec<DiscoveredTask>,
    tasks_running: u32,
    labels: BTreeMap<String, String>,
    #[serde(default)]
    container: Option<Container>,
    #[serde(default)]
    port_definitions: Vec<PortDefinition>,
    #[serde(default)]
    networks: Vec<Network>,
    #[serde(default)]
    require_ports: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DiscoveredTask {
    id: String,
    host: String,
    ports: Vec<u16>,
    ip_addresses: Vec<IpAddress>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct IpAddress {
    ip_address: String,
    protocol: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Container {
    #[serde(default)]
    docker: Option<Docker>,
    #[serde(default)]
    port_mappings: Vec<PortMapping>,
}

#[derive(Deserialize)]
struct Docker {
    image: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PortMapping {
    #[serde(default)]
    labels: BTreeMap<String, String>,
    container_port: u16,
    #[serde(default)]
    host_port: u16,
    #[serde(default)]
    service_port: u16,
}

#[derive(Deserialize)]
struct PortDefinition {
    #[serde(default)]
    labels: BTreeMap<String, String>,
    port: u32,
}

#[derive(Deserialize)]
struct Network {
    #[serde(default)]
    name: String,
    mode: String,
}

/// Finds targets as Prometheus does, and scrapes them.
fn discover(up: &Up) -> Vec<String> {
    let service = up.service();
    let web = service.deploy(&sleeper("/prometheus/web", &json!({
        "cmd": format!("exec {} demo-web", meseta().display()),
        "instances": 2,
        "labels": {"job": "web"},
        "portDefinitions": [{"port": 0, "name": "http", "labels": {"scrape": "yes"}}],
        "healthChecks": [{"protocol": "MESOS_HTTP", "path": "/health", "delaySeconds": 0, "intervalSeconds": 2,
            "timeoutSeconds": 1, "gracePeriodSeconds": 30}],
    })));
    let bridged = json!({"instances": 0, "container": {"type": "DOCKER", "docker": {"image": "busybox"},
        "portMappings": [{"containerPort": 80, "labels": {"scrape": "no"}}]}, "networks": [{"mode": "container/bridge"}]});
    let other = service.deploy(&sleeper("/prometheus/other", &bridged));
    let body = get(&format!(
        "http://127.0.0.1:{}/v2/apps/?embed=apps.tasks",
        service.rest.port
    ))
    .unwrap();
    let list: AppList = serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}"));
    let app = |id: &str| {
        list.apps
            .iter()
            .find(|app| app.id == id)
            .unwrap_or_else(|| panic!("{id} in {body}"))
    };

    let found = app(&web.id);
    assert_eq!(
        (found.tasks_running, found.tasks.len(), found.require_ports),
        (2, 2, false)
    );
    assert_eq!(
        (found.labels["job"].as_str(), found.networks[0].mode.as_str()),
        ("web", "host")
    );
    assert_eq!(found.networks[0].name, "");
    assert_eq!(found.port_definitions[0].labels["scrape"], "yes");
    assert!(found.port_definitions[0].port >= 10_000 && found.container.is_none());
    let mut lines = Vec::new();
    for task in &found.tasks {
        assert!(
            task.ip_addresses
                .iter()
                .all(|a| a.protocol == "IPv4" && a.ip_address.parse::<std::net::Ipv4Addr>().is_ok())
        );
        let text = get(&format!("http://{}:{}/", task.host, task.ports[0])).unwrap();
        assert!(text.starts_with("hello from"), "{text}");
        lines.push(format!("scraped {} at {}:{}", task.id, task.host, task.ports[0]));
    }
    let container = app(&other.id).container.as_ref().unwrap();
    let mapping = &container.port_mappings[0];
    assert_eq!(
        (
            mapping.container_port,
            mapping.host_port,
            mapping.labels["scrape"].as_str()
        ),
        (80, 0, "no")
    );
    assert!(mapping.service_port >= 10_000);
    assert_eq!(container.docker.as_ref().unwrap().image, "busybox");
    lines.push("read an app with port mappings".to_owned());
    lines
}
