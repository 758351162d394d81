//! What the last life left behind, put together for the core: records, containers, folders.

use crate::layout::Layout;
use meseta_agent_core::{LaunchOrder, Record};
use meseta_types::link::AgentSpec;
use meseta_types::task::{ExecutorSpec, FrameworkSpec, TaskSpec};
use meseta_types::{AgentId, ContainerId, ExecutorId, FrameworkId, TaskId};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Records that count, and folders of ids this work directory had before.
#[derive(Debug, Default)]
pub(crate) struct Remembered {
    /// What the core is told.
    pub(crate) records: Vec<Record>,
    /// Whether the log must be emptied: the operator removed `meta/slaves/latest`, which asks for a new agent.
    pub(crate) starts_anew: bool,
    /// Agents whose sandboxes may go.
    pub(crate) old_agents: Vec<AgentId>,
}

/// Sorts out what was found. Reads folders.
pub(crate) fn remember(layout: &Layout, records: Vec<Record>) -> Remembered {
    let own = last_agent(&records).and_then(|agent| agent.id.clone());
    let starts_anew = own.as_ref().is_some_and(|id| layout.latest_was_removed(id));
    if starts_anew {
        tracing::warn!(
            "the link meta/slaves/latest is gone: the agent forgets its tasks and registers as a new one"
        );
    }
    let keep = own.filter(|_| !starts_anew);
    Remembered {
        records: if starts_anew { Vec::new() } else { records },
        starts_anew,
        old_agents: layout
            .agents()
            .into_iter()
            .filter(|agent| keep.as_ref() != Some(agent))
            .collect(),
    }
}

/// The agent as it was registered last.
pub(crate) fn last_agent(records: &[Record]) -> Option<&AgentSpec> {
    records.iter().rev().find_map(|record| match record {
        Record::Agent(agent) => Some(agent),
        _ => None,
    })
}

/// The launch orders of containers that had not ended: what probes need to know of them.
pub(crate) fn live_orders(records: &[Record]) -> Vec<LaunchOrder> {
    let Some(agent_id) = last_agent(records).and_then(|agent| agent.id.clone()) else {
        return Vec::new();
    };
    let mut frameworks: BTreeMap<FrameworkId, Arc<FrameworkSpec>> = BTreeMap::new();
    let mut executors: BTreeMap<ContainerId, (FrameworkId, &ExecutorSpec, bool)> = BTreeMap::new();
    let mut tasks: BTreeMap<(FrameworkId, TaskId), &TaskSpec> = BTreeMap::new();
    for record in records {
        match record {
            Record::Framework(framework) => {
                if let Some(id) = &framework.id {
                    frameworks.insert(id.clone(), Arc::new(framework.clone()));
                }
            }
            Record::Executor {
                framework_id,
                executor,
                container_id,
                generated,
            } => {
                executors.insert(container_id.clone(), (framework_id.clone(), executor, *generated));
            }
            Record::ExecutorGone { container_id, .. } => {
                executors.remove(container_id);
            }
            Record::Task {
                framework_id, task, ..
            } => {
                tasks.insert((framework_id.clone(), task.task_id.clone()), task);
            }
            _ => {}
        }
    }
    let order = |(container_id, (framework_id, executor, generated)): (
        ContainerId,
        (FrameworkId, &ExecutorSpec, bool),
    )| {
        let framework = Arc::clone(frameworks.get(&framework_id)?);
        let command_task = match generated {
            true => Some(command_task(&tasks, framework_id, &executor.executor_id)?),
            false => None,
        };
        Some(LaunchOrder {
            container_id,
            agent_id: agent_id.clone(),
            framework,
            executor: Arc::new(executor.clone()),
            command_task: command_task.map(|task| Arc::new(task.clone())),
            resources: executor.resources.clone(),
        })
    };
    executors.into_iter().filter_map(order).collect()
}

/// A generated executor has its task's id.
fn command_task<'a>(
    tasks: &BTreeMap<(FrameworkId, TaskId), &'a TaskSpec>,
    framework: FrameworkId,
    executor: &ExecutorId,
) -> Option<&'a TaskSpec> {
    let id = TaskId::new(executor.as_str()).ok()?;
    tasks.get(&(framework, id)).copied()
}
