//! Frameworks and executors in the v0 form.

use super::agents::resources;
use super::json::Object;
use super::tasks::{self, Counts};
use crate::api::operator::offers_by_framework;
use crate::show;
use meseta_master_core::View;
use meseta_master_core::pages::FrameworkKey;
use meseta_master_core::state::{Framework, FrameworkState, Offer, Task, TaskList, Usage};
use meseta_proto::convert;
use meseta_proto::json::to_vec;
use meseta_proto::mesos::v1;
use meseta_types::AgentId;
use meseta_types::task::ExecutorSpec;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::Arc;

/// What belongs to each framework, gathered in one pass.
struct Index<'a> {
    usage: BTreeMap<FrameworkKey, Usage>,
    offers: BTreeMap<FrameworkKey, Vec<&'a Arc<Offer>>>,
    tasks: BTreeMap<(FrameworkKey, TaskList), Vec<&'a Arc<Task>>>,
    executors: BTreeMap<FrameworkKey, Vec<(&'a AgentId, &'a ExecutorSpec)>>,
}

impl<'a> Index<'a> {
    fn of(view: &'a View) -> Index<'a> {
        let mut tasks: BTreeMap<(FrameworkKey, TaskList), Vec<&Arc<Task>>> = BTreeMap::new();
        for (_, task) in view.tasks.iter() {
            tasks.entry((task.framework, task.list)).or_default().push(task);
        }
        let mut executors: BTreeMap<FrameworkKey, Vec<(&AgentId, &ExecutorSpec)>> = BTreeMap::new();
        for (_, agent) in view.agents.iter() {
            for ((key, _), executor) in &agent.executors {
                executors.entry(*key).or_default().push((&agent.id, executor));
            }
        }
        Index {
            usage: view.usage(),
            offers: offers_by_framework(view),
            tasks,
            executors,
        }
    }
}

/// The members `frameworks` and `completed_frameworks`; only one of them if an id is given.
pub(super) fn lists(view: &View, id: Option<&str>, object: &mut Object<'_>) -> io::Result<()> {
    let index = Index::of(view);
    for (name, completed) in [("frameworks", false), ("completed_frameworks", true)] {
        let frameworks = view.frameworks.iter().filter(|(_, framework)| {
            (framework.state == FrameworkState::Completed) == completed
                && id.is_none_or(|id| framework.id.as_str() == id)
        });
        object.list(name, frameworks, |(key, framework), out| {
            full(key, framework, &index, out)
        })?;
    }
    Ok(())
}

/// The member `frameworks` of `/state-summary`.
pub(super) fn summaries(view: &View, counts: &Counts, object: &mut Object<'_>) -> io::Result<()> {
    let usage = view.usage();
    let frameworks = view
        .frameworks
        .iter()
        .filter(|(_, framework)| framework.state != FrameworkState::Completed);
    object.list("frameworks", frameworks, |(key, framework), out| {
        let info = show::framework_info(framework);
        let mut shown = summary(framework, &info, usage.get(&key), out)?;
        counts.write_framework(key, view, &mut shown)?;
        shown.end()
    })
}

/// What all lists show of a framework; open for further members.
fn summary<'a>(
    framework: &Framework,
    info: &v1::FrameworkInfo,
    usage: Option<&Usage>,
    out: &'a mut dyn Write,
) -> io::Result<Object<'a>> {
    let nothing = Usage::default();
    let usage = usage.unwrap_or(&nothing);
    let connected = framework.state == FrameworkState::Connected;
    let mut shown = Object::begin(out)?;
    shown.text("id", framework.id.as_str())?;
    shown.text("name", &framework.spec.name)?;
    shown.object("used_resources", |object| resources(&usage.used, object))?;
    shown.object("offered_resources", |object| resources(&usage.offered, object))?;
    let capabilities = info.capabilities.iter();
    shown.texts("capabilities", capabilities.map(|c| c.r#type().as_str_name()))?;
    shown.text("hostname", info.hostname())?;
    shown.text("webui_url", info.webui_url())?;
    shown.flag("active", connected)?;
    shown.flag("connected", connected)?;
    shown.flag("recovered", framework.state == FrameworkState::Recovered)?;
    Ok(shown)
}

fn full(key: FrameworkKey, framework: &Framework, index: &Index<'_>, out: &mut dyn Write) -> io::Result<()> {
    let info = show::framework_info(framework);
    let nothing = Usage::default();
    let usage = index.usage.get(&key).unwrap_or(&nothing);
    let mut shown = summary(framework, &info, Some(usage), out)?;
    shown.text("user", &framework.spec.user)?;
    shown.number("failover_timeout", info.failover_timeout())?;
    shown.flag("checkpoint", framework.spec.checkpoint)?;
    shown.number("registered_time", framework.registered_time.as_secs_f64())?;
    let gone = framework
        .unregistered_time
        .filter(|_| framework.state == FrameworkState::Completed);
    shown.number("unregistered_time", gone.map_or(0.0, |at| at.as_secs_f64()))?;
    if let Some(principal) = &framework.spec.principal {
        shown.text("principal", principal)?;
    }
    let mut both = usage.used.clone();
    both += &usage.offered;
    shown.object("resources", |object| resources(&both, object))?;
    if framework.reregistered_time != framework.registered_time {
        shown.number("reregistered_time", framework.reregistered_time.as_secs_f64())?;
    }
    if framework.spec.capabilities.multi_role {
        shown.texts("roles", info.roles.iter())?;
    } else {
        shown.text("role", info.role.as_deref().unwrap_or("*"))?;
    }
    for (name, list) in [
        ("tasks", TaskList::Active),
        ("unreachable_tasks", TaskList::Unreachable),
        ("completed_tasks", TaskList::Completed),
    ] {
        let tasks = index.tasks.get(&(key, list)).into_iter().flatten();
        shown.list(name, tasks, |task, out| tasks::task(task, out))?;
    }
    let offers = index.offers.get(&key).into_iter().flatten();
    shown.list("offers", offers, |of, out| offer(of, out))?;
    let executors = index.executors.get(&key).into_iter().flatten();
    shown.list("executors", executors, |(agent_id, spec), out| {
        executor(framework, agent_id, spec, out)
    })?;
    if let Some(labels) = &info.labels {
        tasks::labels(labels, &mut shown)?;
    }
    shown.object("offer_constraints", |_| Ok(()))?;
    shown.end()
}

fn offer(offer: &Offer, out: &mut dyn Write) -> io::Result<()> {
    Object::whole(out, |shown| {
        shown.text("id", &offer.id.to_string())?;
        shown.text("framework_id", offer.framework_id.as_str())?;
        shown.object("allocation_info", |info| info.text("role", offer.role.as_str()))?;
        shown.text("slave_id", offer.agent_id.as_str())?;
        shown.object("resources", |object| resources(&offer.resources, object))
    })
}

fn executor(
    framework: &Framework,
    agent_id: &AgentId,
    spec: &ExecutorSpec,
    out: &mut dyn Write,
) -> io::Result<()> {
    let info = convert::executor::to_shown_info(spec, &framework.id);
    Object::whole(out, |shown| {
        shown.text("executor_id", spec.executor_id.as_str())?;
        shown.text("name", &spec.name)?;
        shown.text("framework_id", framework.id.as_str())?;
        let none = v1::CommandInfo::default();
        shown.object("command", |object| {
            command(info.command.as_ref().unwrap_or(&none), object)
        })?;
        shown.object("resources", |object| resources(&spec.resources, object))?;
        if let Some(role) = spec.resources.iter().find_map(|r| r.allocation.as_ref()) {
            shown.text("role", role.as_str())?;
        }
        if let Some(labels) = &info.labels {
            tasks::labels(labels, shown)?;
        }
        if info.r#type.is_some() {
            shown.text("type", info.r#type().as_str_name())?;
        }
        shown.text("slave_id", agent_id.as_str())
    })
}

fn command(command: &v1::CommandInfo, object: &mut Object<'_>) -> io::Result<()> {
    if let Some(shell) = command.shell {
        object.flag("shell", shell)?;
    }
    if let Some(value) = &command.value {
        object.text("value", value)?;
    }
    object.texts("argv", command.arguments.iter())?;
    if let Some(environment) = &command.environment {
        object.raw("environment", &to_vec(environment))?;
    }
    object.list("uris", command.uris.iter(), |uri, out| {
        Object::whole(out, |object| {
            object.text("value", &uri.value)?;
            object.flag("executable", uri.executable())
        })
    })
}
