//! Tasks in the v0 form, the selection of `/tasks`, and the counts of `/state-summary`.

use super::agents::resources;
use super::json::Object;
use crate::show;
use meseta_http::path::Query;
use meseta_master_core::View;
use meseta_master_core::pages::{FrameworkKey, Handle};
use meseta_master_core::state::{Agent, Task, TaskList};
use meseta_proto::json::to_vec;
use meseta_proto::mesos::v1;
use meseta_types::task::TaskStatus;
use meseta_types::{AgentId, TaskState};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::sync::Arc;

/// `/tasks` shows so many unless asked otherwise (Mesos, `master/constants.hpp`).
const LIMIT: usize = 100;

pub(super) fn task(task: &Task, out: &mut dyn Write) -> io::Result<()> {
    let kept: v1::Task = show::carried(&task.kept);
    Object::whole(out, |shown| {
        shown.text("id", task.task_id.as_str())?;
        shown.text("name", &task.name)?;
        shown.text("framework_id", task.framework_id.as_str())?;
        shown.text(
            "executor_id",
            task.executor_id.as_ref().map_or("", |id| id.as_str()),
        )?;
        shown.text("slave_id", task.agent_id.as_str())?;
        shown.text("state", task.state().name())?;
        shown.object("resources", |object| resources(&task.resources, object))?;
        if !kept.limits.is_empty() {
            shown.object("limits", |object| {
                let mut limits = kept.limits.iter();
                limits.try_for_each(|(name, limit)| object.number(name, limit.value))
            })?;
        }
        if let Some(role) = task.resources.iter().find_map(|r| r.allocation.as_ref()) {
            shown.text("role", role.as_str())?;
        }
        shown.list("statuses", task.statuses(), |said, out| status(&said, out))?;
        if let Some(user) = &kept.user {
            shown.text("user", user)?;
        }
        if let Some(list) = &kept.labels {
            labels(list, shown)?;
        }
        if let Some(discovery) = &kept.discovery {
            shown.raw("discovery", &to_vec(discovery))?;
        }
        if let Some(container) = &kept.container {
            shown.raw("container", &to_vec(container))?;
        }
        match &kept.health_check {
            Some(check) => shown.raw("health_check", &to_vec(check)),
            None => Ok(()),
        }
    })
}

fn status(status: &TaskStatus, out: &mut dyn Write) -> io::Result<()> {
    let carried: v1::TaskStatus = show::carried(&status.wire);
    Object::whole(out, |shown| {
        shown.text("state", status.state.name())?;
        shown.number("timestamp", status.timestamp.as_secs_f64())?;
        if let Some(list) = &carried.labels {
            labels(list, shown)?;
        }
        if let Some(container) = &carried.container_status {
            // The v0 form shows no process id.
            let mut container = container.clone();
            container.executor_pid = None;
            shown.raw("container_status", &to_vec(&container))?;
        }
        match status.healthy {
            Some(healthy) => shown.flag("healthy", healthy),
            None => Ok(()),
        }
    })
}

pub(super) fn labels(labels: &v1::Labels, object: &mut Object<'_>) -> io::Result<()> {
    object.list("labels", labels.labels.iter(), |label, out| {
        out.write_all(&to_vec(label))
    })
}

/// The tasks `/tasks` is asked for: by the time of the first status, newest first unless asked otherwise.
pub(super) fn selected<'a>(view: &'a View, query: &Query) -> impl Iterator<Item = &'a Arc<Task>> + use<'a> {
    let number = |name, default| {
        query
            .get(name)
            .and_then(|text| text.parse().ok())
            .unwrap_or(default)
    };
    let (limit, offset): (usize, usize) = (number("limit", LIMIT), number("offset", 0));
    let framework_id = query.get("framework_id");
    let task_id = query.get("task_id");
    let mut tasks: Vec<&Arc<Task>> = view
        .tasks
        .iter()
        .map(|(_, task)| task)
        .filter(|task| framework_id.is_none_or(|id| task.framework_id.as_str() == id))
        .filter(|task| task_id.is_none_or(|id| task.task_id.as_str() == id))
        .collect();
    // A task without a status sorts before all others going up, after them going down.
    tasks.sort_by_cached_key(|task| task.statuses().next().map(|status| status.timestamp));
    if query.get("order") != Some("asc") {
        tasks.reverse();
    }
    tasks.into_iter().skip(offset).take(limit)
}

/// Numbers of tasks by state, per agent and per framework, and who runs where.
#[derive(Debug, Default)]
pub(super) struct Counts {
    by_agent: BTreeMap<AgentId, BTreeMap<TaskState, u64>>,
    by_framework: BTreeMap<u32, BTreeMap<TaskState, u64>>,
    pairs: BTreeSet<(AgentId, u32)>,
}

/// The states counted, in Mesos's order.
const COUNTED: [TaskState; 10] = [
    TaskState::Staging,
    TaskState::Starting,
    TaskState::Running,
    TaskState::Killing,
    TaskState::Finished,
    TaskState::Killed,
    TaskState::Failed,
    TaskState::Lost,
    TaskState::Error,
    TaskState::Unreachable,
];

impl Counts {
    pub(super) fn of(view: &View) -> Counts {
        let mut counts = Counts::default();
        for (_, task) in view.tasks.iter() {
            let (state, framework) = (task.state(), task.framework.index());
            let agent = counts.by_agent.entry(task.agent_id.clone()).or_default();
            *agent.entry(state).or_default() += 1;
            let of_framework = counts.by_framework.entry(framework).or_default();
            *of_framework.entry(state).or_default() += 1;
            if task.list == TaskList::Active {
                counts.pairs.insert((task.agent_id.clone(), framework));
            }
        }
        counts
    }

    pub(super) fn write_agent(&self, agent: &Agent, view: &View, object: &mut Object<'_>) -> io::Result<()> {
        write_counts(self.by_agent.get(&agent.id), object)?;
        let here = self
            .pairs
            .range((agent.id.clone(), 0)..=(agent.id.clone(), u32::MAX));
        let ids = here.filter_map(|(_, key)| view.frameworks.get(FrameworkKey::from_index(*key)));
        object.texts("framework_ids", ids.map(|framework| framework.id.as_str()))
    }

    pub(super) fn write_framework(
        &self,
        key: FrameworkKey,
        view: &View,
        object: &mut Object<'_>,
    ) -> io::Result<()> {
        write_counts(self.by_framework.get(&key.index()), object)?;
        let agents = view.agents.iter().map(|(_, agent)| agent);
        let ids = agents.filter(|agent| self.pairs.contains(&(agent.id.clone(), key.index())));
        object.texts("slave_ids", ids.map(|agent| agent.id.as_str()))
    }
}

fn write_counts(counts: Option<&BTreeMap<TaskState, u64>>, object: &mut Object<'_>) -> io::Result<()> {
    COUNTED.iter().try_for_each(|state| {
        let count = counts.and_then(|counts| counts.get(state)).copied();
        object.integer(state.name(), count.unwrap_or(0))
    })
}
