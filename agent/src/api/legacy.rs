//! The old read endpoints: `/state` and `/flags`. Names are v0's, the order of keys is Mesos's.

use super::json::{Object, list};
use super::{API_VERSION, Agent, GIT_SHA, MESETA_VERSION, query, show};
use http::request::Parts;
use meseta_agent_core::{ExecutorView, FrameworkView, TaskPlace, TaskView, View};
use meseta_http::gate::Action;
use meseta_http::{Refusal, Response, reply};
use meseta_proto::convert::{self, resource::Format};
use meseta_proto::json::{write, write_str};
use meseta_proto::mesos::v1 as pb;
use meseta_proto::prost::Message;
use meseta_proto::secrets::without_secrets;
use meseta_types::attribute::AttributeValue;
use meseta_types::resource::{Resource, Value};
use meseta_types::task::TaskStatus;
use meseta_types::{Resources, Role};
use std::collections::BTreeMap;

/// `/flags`: an object of texts, keys sorted.
pub(super) fn flags(agent: &Agent, parts: &Parts) -> Result<Response, Refusal> {
    agent.allow(parts, Action::ViewFlags)?;
    let mut out = Vec::new();
    let mut object = Object::new(&mut out);
    object.object("flags", |inner| flag_texts(agent, inner));
    object.end();
    Ok(reply::legacy_json(out, &query(parts)?, &parts.headers))
}

fn flag_texts(agent: &Agent, object: &mut Object<'_>) {
    for (name, value) in agent.config().flags.shown() {
        object.text(name, &value);
    }
}

/// `/state`.
pub(super) async fn state(agent: &Agent, parts: &Parts) -> Result<Response, Refusal> {
    agent.recovered()?;
    agent.allow(parts, Action::ViewAgent)?;
    let query = query(parts)?;
    let view = agent.view().await?;
    let mut out = Vec::with_capacity(16 << 10);
    let mut object = Object::new(&mut out);
    about(agent, &view, &mut object);
    all_resources(&view, &mut object);
    object.list("resource_providers", [0; 0], |_, _| {});
    object.object("attributes", |inner| attributes(agent, inner));
    if let Some(master) = &view.master {
        let host = master.rsplit_once(':').map_or(&**master, |(host, _)| host);
        object.text("master_hostname", host);
    }
    let flags = &agent.config().flags;
    for (name, path) in [
        ("log_dir", &flags.log_dir),
        ("external_log_file", &flags.external_log_file),
    ] {
        if let Some(path) = path {
            object.text(name, &path.to_string_lossy());
        }
    }
    if agent.allow(parts, Action::ViewFlags).is_ok() {
        object.object("flags", |inner| flag_texts(agent, inner));
    }
    object.list("frameworks", &view.frameworks, |f, out| {
        framework(agent, &view, f, out)
    });
    object.list("completed_frameworks", &view.completed_frameworks, |f, out| {
        framework(agent, &view, f, out);
    });
    object.end();
    Ok(reply::legacy_json(out, &query, &parts.headers))
}

fn about(agent: &Agent, view: &View, object: &mut Object<'_>) {
    object.text("version", API_VERSION);
    object.text("meseta_version", MESETA_VERSION);
    if let Some(sha) = GIT_SHA {
        object.text("git_sha", sha);
    }
    object.double("start_time", agent.start_time.as_secs_f64());
    if let Some(id) = &view.agent.id {
        object.text("id", id.as_str());
    }
    object.text("pid", &agent.around.pid());
    object.text("hostname", &agent.hostname);
    object.list("capabilities", &view.agent.capabilities, |name, out| {
        write_str(out, name)
    });
}

fn all_resources(view: &View, object: &mut Object<'_>) {
    let total = &view.agent.resources;
    let (reserved, unreserved) = (by_role(total), total.unreserved());
    let used = view.used.unallocated();
    let full = |resources: &Resources, out: &mut Vec<u8>| {
        list(
            out,
            convert::resource::to_proto(resources, Format::Endpoint),
            |one, out| {
                write(&one, out);
            },
        );
    };
    object.object("resources", |inner| resources(total, inner));
    object.object("reserved_resources", |inner| {
        for (role, part) in &reserved {
            inner.object(role.as_str(), |inner| resources(part, inner));
        }
    });
    object.object("unreserved_resources", |inner| resources(&unreserved, inner));
    object.object("reserved_resources_full", |inner| {
        for (role, part) in &reserved {
            full(part, inner.key(role.as_str()));
        }
    });
    full(&unreserved, object.key("unreserved_resources_full"));
    object.object("reserved_resources_allocated", |inner| {
        for (role, part) in &by_role(&used) {
            inner.object(role.as_str(), |inner| resources(part, inner));
        }
    });
    object.object("unreserved_resources_allocated", |inner| {
        resources(&used.unreserved(), inner);
    });
}

fn by_role(all: &Resources) -> BTreeMap<Role, Resources> {
    let mut parts: BTreeMap<Role, Resources> = BTreeMap::new();
    for resource in all.iter() {
        if let Some(role) = resource.reservation_role() {
            parts.entry(role.clone()).or_default().push(resource.clone());
        }
    }
    parts
}

/// The old form: the four scalars always, others when they are there, revocable ones under a name of their own.
pub(super) fn resources(all: &Resources, object: &mut Object<'_>) {
    let firm = all.nonrevocable();
    for name in ["disk", "mem", "gpus", "cpus"] {
        object.double(name, firm.scalar(name).to_f64());
    }
    let other = |resource: &&Resource| {
        resource.traits.revocable || !["disk", "mem", "gpus", "cpus"].contains(&&*resource.name)
    };
    let mut sums: BTreeMap<String, Resources> = BTreeMap::new();
    for resource in all.iter().filter(other) {
        let name = match resource.traits.revocable {
            true => format!("{}_revocable", resource.name),
            false => resource.name.to_string(),
        };
        sums.entry(name).or_default().push(resource.clone());
    }
    for (name, part) in &sums {
        let Some(first) = part.iter().next() else { continue };
        match &first.value {
            Value::Scalar(_) => object.double(name, part.scalar(&first.name).to_f64()),
            Value::Ranges(_) => object.text(name, &part.ranges(&first.name).to_string()),
            Value::Set(_) => {
                let items: Vec<_> = part
                    .set(&first.name)
                    .iter()
                    .map(|item| item.to_string())
                    .collect();
                object.text(name, &format!("{{{}}}", items.join(", ")));
            }
        }
    }
}

fn attributes(agent: &Agent, object: &mut Object<'_>) {
    for attribute in agent.config().attributes.iter() {
        match &attribute.value {
            AttributeValue::Scalar(number) => object.double(&attribute.name, number.to_f64()),
            other => object.text(&attribute.name, &other.to_string()),
        }
    }
}

fn framework(agent: &Agent, view: &View, framework: &FrameworkView, out: &mut Vec<u8>) {
    let info = convert::framework::to_info(&framework.spec);
    let mut object = Object::new(out);
    object.text("id", framework.id.as_str());
    object.text("name", &info.name);
    object.text("user", &info.user);
    object.double("failover_timeout", info.failover_timeout());
    object.plain("checkpoint", info.checkpoint());
    object.text("hostname", info.hostname());
    if let Some(principal) = &info.principal {
        object.text("principal", principal);
    }
    if framework.spec.capabilities.multi_role {
        object.list("roles", &framework.spec.roles, |role, out| {
            write_str(out, role.as_str())
        });
    } else {
        object.text("role", framework.spec.roles.first().map_or("*", Role::as_str));
    }
    object.list("executors", &framework.executors, |e, out| {
        executor(agent, view, framework, e, out)
    });
    object.list("completed_executors", &framework.completed_executors, |e, out| {
        executor(agent, view, framework, e, out);
    });
    object.end();
}

fn executor(
    agent: &Agent,
    view: &View,
    framework: &FrameworkView,
    executor: &ExecutorView,
    out: &mut Vec<u8>,
) {
    let info = show::executor_info(framework, executor);
    let mut object = Object::new(out);
    object.text("id", executor.spec.executor_id.as_str());
    object.text("name", info.name());
    object.text("source", info.source());
    object.text("container", executor.container_id.as_str());
    if let Some(id) = &view.agent.id {
        let sandbox = agent.around.sandbox(
            id,
            &framework.id,
            &executor.spec.executor_id,
            &executor.container_id,
        );
        object.text("directory", &sandbox.to_string_lossy());
    }
    object.object("resources", |inner| resources(&executor.resources, inner));
    role(&executor.resources, &mut object);
    labels(info.labels.as_ref(), &mut object);
    if let Some(kind) = info.r#type {
        let kind = pb::executor_info::Type::try_from(kind).unwrap_or_default();
        object.text("type", kind.as_str_name());
    }
    let in_place = |wanted: &'static [TaskPlace]| show::tasks(executor).filter(|t| wanted.contains(&t.place));
    object.list("tasks", in_place(&[TaskPlace::Launched]), |t, out| {
        task(view, framework, executor, t, out);
    });
    object.list("queued_tasks", in_place(&[TaskPlace::Queued]), |t, out| {
        queued(view, executor, t, out)
    });
    // Terminated ones are shown among the completed, as in Mesos.
    let over = in_place(&[TaskPlace::Completed, TaskPlace::Terminated]);
    object.list("completed_tasks", over, |t, out| {
        task(view, framework, executor, t, out)
    });
    object.end();
}

fn role(resources: &Resources, object: &mut Object<'_>) {
    if let Some(role) = resources.allocations().iter().next() {
        object.text("role", role.as_str());
    }
}

fn labels(labels: Option<&pb::Labels>, object: &mut Object<'_>) {
    if let Some(labels) = labels {
        object.list("labels", &labels.labels, write);
    }
}

fn task(view: &View, framework: &FrameworkView, executor: &ExecutorView, task: &TaskView, out: &mut Vec<u8>) {
    // Only the fields beside the typed ones: required ones are missing, which decoding here does not mind.
    let kept = pb::Task::decode(task.spec.kept.clone()).unwrap_or_default();
    let executor_id = match executor.generated {
        true => "",
        false => executor.spec.executor_id.as_str(),
    };
    let mut object = Object::new(out);
    object.text("id", task.spec.task_id.as_str());
    object.text("name", &task.spec.name);
    object.text("framework_id", framework.id.as_str());
    object.text("executor_id", executor_id);
    object.text("slave_id", view.agent.id.as_ref().map_or("", |id| id.as_str()));
    object.text("state", task.state.name());
    object.object("resources", |inner| resources(&task.spec.resources, inner));
    if !kept.limits.is_empty() {
        object.object("limits", |inner| {
            for (name, value) in &kept.limits {
                match value.value.is_finite() {
                    true => inner.double(name, value.value),
                    false => inner.text(name, "Infinity"),
                }
            }
        });
    }
    role(&task.spec.resources, &mut object);
    object.list("statuses", &task.statuses, status);
    if let Some(user) = &kept.user {
        object.text("user", user);
    }
    labels(kept.labels.as_ref(), &mut object);
    if let Some(discovery) = &kept.discovery {
        object.message("discovery", discovery);
    }
    if let Some(container) = &kept.container {
        object.message("container", container);
    }
    if let Some(check) = &kept.health_check {
        object.message("health_check", check);
    }
    object.end();
}

fn status(status: &TaskStatus, out: &mut Vec<u8>) {
    let message = convert::status::to_proto(status);
    let mut object = Object::new(out);
    object.text("state", status.state.name());
    object.double("timestamp", status.timestamp.as_secs_f64());
    labels(message.labels.as_ref(), &mut object);
    if let Some(mut container) = message.container_status {
        container.executor_pid = None; // v0 does not show it
        object.message("container_status", &container);
    }
    if let Some(healthy) = status.healthy {
        object.plain("healthy", healthy);
    }
    object.end();
}

fn queued(view: &View, executor: &ExecutorView, task: &TaskView, out: &mut Vec<u8>) {
    let shown = without_secrets::<pb::TaskInfo>(&task.spec.wire);
    let info = pb::TaskInfo::decode(&shown[..]).unwrap_or_default();
    let mut object = Object::new(out);
    object.text("id", task.spec.task_id.as_str());
    object.text("name", &task.spec.name);
    object.text("slave_id", view.agent.id.as_ref().map_or("", |id| id.as_str()));
    object.object("resources", |inner| resources(&task.spec.resources, inner));
    role(&task.spec.resources, &mut object);
    if let Some(command) = &info.command {
        object.message("command", command);
    }
    if !executor.generated {
        object.text("executor_id", executor.spec.executor_id.as_str());
    }
    if let Some(discovery) = &info.discovery {
        object.message("discovery", discovery);
    }
    object.end();
}
