//! The variables of a task: those that say what and where it is, then the user's, which win.

use super::ports::Port;
use crate::definition;
use meseta_service_core::io::Launch;
use std::collections::BTreeMap;

/// Values of labels this long or longer have no variable of their own, and neither have names that would be that long.
const LABEL_MAX: usize = 512;

/// The variables, by name.
pub(super) fn environment(
    launch: &Launch,
    app: &definition::App,
    host: &str,
    ports: &[Port<'_>],
) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::new();
    let mut set = |name: &str, value: String| drop(variables.insert(name.to_owned(), value));
    set("MESOS_TASK_ID", launch.instance.task_id());
    set("MARATHON_APP_ID", app.id.clone());
    set("MARATHON_APP_VERSION", version(launch.spec.version.0));
    let image = app.container.as_ref().and_then(|c| c.docker.as_ref());
    if let Some(docker) = image {
        set("MARATHON_APP_DOCKER_IMAGE", docker.image.clone());
    }
    set("MARATHON_APP_RESOURCE_CPUS", double(app.cpus));
    set("MARATHON_APP_RESOURCE_MEM", double(app.mem));
    set("MARATHON_APP_RESOURCE_DISK", double(app.disk));
    set("MARATHON_APP_RESOURCE_GPUS", app.gpus.to_string());
    set("MARATHON_APP_ENFORCE_GROUP_ROLE", "FALSE".to_owned());
    set("HOST", host.to_owned());
    for (name, value) in labels(app) {
        set(&name, value);
    }
    for (name, value) in of_ports(ports) {
        set(&name, value);
    }
    variables.extend(app.env.iter().map(|(name, value)| (name.clone(), value.clone())));
    variables
}

/// One variable per label, and one with all their names.
fn labels(app: &definition::App) -> Vec<(String, String)> {
    let mut variables = Vec::new();
    let mut names = Vec::new();
    for (key, value) in &app.labels {
        let safe = safe(key);
        let name = format!("MARATHON_APP_LABEL_{safe}");
        if value.len() < LABEL_MAX && name.len() < LABEL_MAX {
            names.push(safe);
            variables.push((name, value.clone()));
        }
    }
    variables.push(("MARATHON_APP_LABELS".to_owned(), names.join(" ")));
    variables
}

fn of_ports(ports: &[Port<'_>]) -> Vec<(String, String)> {
    let mut variables = Vec::new();
    let told: Vec<String> = ports.iter().map(|port| port.told().to_string()).collect();
    for (index, (port, told)) in ports.iter().zip(&told).enumerate() {
        variables.push((format!("PORT{index}"), told.clone()));
        let key = if port.asked == 0 { port.told() } else { port.asked };
        variables.push((format!("PORT_{key}"), told.clone()));
        if let Some(name) = port.name {
            variables.push((format!("PORT_{}", safe(name)), told.clone()));
        }
    }
    if let Some(first) = told.first() {
        variables.push(("PORT".to_owned(), first.clone()));
        variables.push(("PORTS".to_owned(), told.join(",")));
    }
    variables
}

/// A name as part of a variable's: upper case, and an underscore for everything else.
fn safe(name: &str) -> String {
    let safe = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_uppercase()
        } else {
            '_'
        }
    };
    name.chars().map(safe).collect()
}

/// A number as the JVM prints it: whole ones with a point.
fn double(number: f64) -> String {
    format!("{number:?}")
}

/// A version as the wire writes it.
fn version(millis: i64) -> String {
    match jiff::Timestamp::from_millisecond(millis) {
        Ok(at) => at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string(),
        Err(_) => millis.to_string(),
    }
}
