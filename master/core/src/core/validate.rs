//! Whether a task may be launched: what the cluster's state says about it (Mesos, `src/master/validation.cpp`).
//!
//! The texts are Mesos's, they reach frameworks in TASK_ERROR. What one message alone shows wrong was found by the
//! shell and comes as [`TaskSpec::invalid`]; it is told at its place in the order of checks.

use super::MasterCore;
use super::accept::Hand;
use crate::state::TaskList;
use meseta_types::task::{ExecutorSpec, TaskSpec};
use meseta_types::{Resources, Role};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The least a default executor may have.
const MIN_CPUS_MILLI: i64 = 10;
const MIN_MEM_MILLI: i64 = 32_000;

/// What a launch is judged against.
pub(super) struct Ground<'a> {
    pub(super) core: &'a MasterCore,
    pub(super) hand: &'a Hand,
}

type Verdict = Result<(), Arc<str>>;

/// Resources that say no role are those of the offer.
pub(super) fn inject(resources: Resources, role: &Role) -> Resources {
    if resources.iter().all(|r| r.allocation.is_none()) {
        return resources.allocated_to(role);
    }
    let filled = resources.iter().cloned().map(|mut resource| {
        resource.allocation.get_or_insert_with(|| role.clone());
        resource
    });
    filled.collect()
}

impl Ground<'_> {
    /// A task of a `LAUNCH`.
    pub(super) fn task(&self, task: &TaskSpec) -> Verdict {
        self.common(task)?;
        if task.has_command == task.executor.is_some() {
            return refuse(
                "Task should have at least one (but not both) of CommandInfo or ExecutorInfo present",
            );
        }
        let mut total = task.resources.clone();
        if let Some(executor) = &task.executor {
            if executor.is_default {
                return refuse("'ExecutorInfo.type' must be 'CUSTOM'");
            }
            self.executor(executor)?;
            self.together(&task.resources, executor)?;
            if !self.runs(executor) {
                total += &executor.resources;
            }
        }
        let available = &self.hand.remaining;
        if !available.contains(&total) {
            return refuse(format!(
                "Total resources {total} required by task and its executor is more than available {available}"
            ));
        }
        Ok(())
    }

    /// The tasks of a `LAUNCH_GROUP`.
    pub(super) fn group(&self, executor: &ExecutorSpec, tasks: &[TaskSpec]) -> Verdict {
        let mut ids = BTreeSet::new();
        let mut total = Resources::new();
        for task in tasks {
            let id = &task.task_id;
            let inside = |error: Arc<str>| format!("Task '{id}' is invalid: {error}").into();
            self.common(task).map_err(inside)?;
            if !ids.insert(id) {
                return Err(inside(format!("Task has duplicate ID: {id}").into()));
            }
            let same = task.executor.as_ref().is_some_and(|e| same_executor(e, executor));
            if !same {
                let name = &executor.executor_id;
                return refuse(format!(
                    "The `ExecutorInfo` of task '{id}' is different from executor '{name}'"
                ));
            }
            self.together(&task.resources, executor).map_err(inside)?;
            total += &task.resources;
        }
        self.executor(executor)?;
        enough_for_an_executor(executor)?;
        if !self.runs(executor) {
            total += &executor.resources;
        }
        let available = &self.hand.remaining;
        if !available.contains(&total) {
            return refuse(format!(
                "Total resources {total} required by task group and its executor are more than available {available}"
            ));
        }
        Ok(())
    }

    /// What holds for every task.
    fn common(&self, task: &TaskSpec) -> Verdict {
        let id = &task.task_id;
        id.check().map_err(|e| Arc::from(e.to_string()))?;
        let known = self.core.task_ids.get(&(self.hand.framework, id.clone()));
        match known.and_then(|key| self.core.tasks.get(key)).map(|t| t.list) {
            Some(TaskList::Unreachable) => {
                return refuse(format!("Task reuses the ID of an unreachable task: {id}"));
            }
            Some(TaskList::Active | TaskList::Completed) => {
                return refuse(format!("Task has duplicate ID: {id}"));
            }
            None => {}
        }
        let (named, offered) = (&task.agent_id, &self.hand.agent_id);
        if named != offered {
            return refuse(format!(
                "Task uses invalid agent {named} while agent {offered} is expected"
            ));
        }
        if let Some(fault) = &task.invalid {
            return Err(fault.clone());
        }
        if task.resources.is_empty() {
            return refuse("Task uses no resources");
        }
        sound(&task.resources).map_err(|e| Arc::from(format!("Task uses invalid resources: {e}")))?;
        if let Some(id) = doubled_volume(&task.resources) {
            return refuse(format!("Task uses duplicate persistence ID: {id}"));
        }
        unmixed(
            &task.resources,
            "Task mixes revocable and non-revocable resources",
        )
    }

    fn executor(&self, executor: &ExecutorSpec) -> Verdict {
        let id = &executor.executor_id;
        id.check().map_err(|e| Arc::from(e.to_string()))?;
        sound(&executor.resources).map_err(|e| Arc::from(format!("Executor uses invalid resources: {e}")))?;
        if let Some(id) = doubled_volume(&executor.resources) {
            return refuse(format!("Executor uses duplicate persistence ID: {id}"));
        }
        unmixed(
            &executor.resources,
            "Executor mixes revocable and non-revocable resources",
        )?;
        let key = (self.hand.framework, id.clone());
        let Some(running) = self
            .core
            .agents
            .get(self.hand.agent)
            .and_then(|a| a.executors.get(&key))
        else {
            return Ok(());
        };
        if !same_executor(running, executor) {
            return refuse(format!(
                "ExecutorInfo is not compatible with existing ExecutorInfo with same ExecutorID.\n\
                 Existing: '{}' with {}\nNew: '{}' with {}",
                running.name, running.resources, executor.name, executor.resources,
            ));
        }
        Ok(())
    }

    fn runs(&self, executor: &ExecutorSpec) -> bool {
        let key = (self.hand.framework, executor.executor_id.clone());
        self.core
            .agents
            .get(self.hand.agent)
            .is_some_and(|a| a.executors.contains_key(&key))
    }

    /// A task and its executor side by side.
    fn together(&self, task: &Resources, executor: &ExecutorSpec) -> Verdict {
        if task.overlaps(&executor.resources) {
            return refuse(format!(
                "There are overlapping resources in the task resources {task} and executor resources {}",
                executor.resources,
            ));
        }
        let mut both = task.clone();
        both += &executor.resources;
        if let Some(id) = doubled_volume(&both) {
            return refuse(format!(
                "Task and its executor use duplicate persistence ID: {id}"
            ));
        }
        unmixed(
            &both,
            "Task and its executor mix revocable and non-revocable resources",
        )
    }
}

fn refuse(message: impl Into<Arc<str>>) -> Verdict {
    Err(message.into())
}

/// What holds for the resources of tasks and executors beyond what a bag guarantees by itself.
fn sound(resources: &Resources) -> Result<(), String> {
    for resource in resources {
        resource
            .validate()
            .map_err(|e| format!("Invalid resources: {e}"))?;
    }
    resources
        .validate_gpus()
        .map_err(|e| format!("Invalid 'gpus' resource: {e}"))?;
    let roles: Vec<Role> = resources.allocations().into_iter().collect();
    match roles.as_slice() {
        [first, second, ..] => Err(format!(
            "The resources have multiple allocation roles ('{}' and '{}') but only one allocation role is allowed",
            first.as_str(),
            second.as_str(),
        )),
        _ => Ok(()),
    }
}

/// A persistence id that occurs twice (copies of a shared volume are one).
fn doubled_volume(resources: &Resources) -> Option<String> {
    let mut seen = BTreeSet::new();
    let volumes = resources
        .iter()
        .filter(|r| !r.traits.shared)
        .filter_map(|r| r.traits.disk.as_ref()?.persistence.as_ref());
    volumes
        .map(|p| p.id.to_string())
        .find(|id| !seen.insert(id.clone()))
}

fn unmixed(resources: &Resources, prefix: &str) -> Verdict {
    let names = |revocable| -> BTreeSet<&str> {
        resources
            .iter()
            .filter(|r| r.traits.revocable == revocable)
            .map(|r| r.name.as_str())
            .collect()
    };
    match names(true).intersection(&names(false)).next() {
        None => Ok(()),
        Some(name) => refuse(format!(
            "{prefix}: Cannot use both revocable and non-revocable '{name}' at the same time"
        )),
    }
}

/// Whether two descriptions are one executor's. The encoded form is canonical and leaves resources out.
fn same_executor(a: &ExecutorSpec, b: &ExecutorSpec) -> bool {
    a.executor_id == b.executor_id
        && a.resources == b.resources
        && a.name == b.name
        && a.source == b.source
        && a.is_default == b.is_default
        && a.shutdown_grace_period == b.shutdown_grace_period
        && a.wire == b.wire
}

fn enough_for_an_executor(executor: &ExecutorSpec) -> Verdict {
    let id = &executor.executor_id;
    let amount = |name: &str| executor.resources.scalar(name);
    let cpus = amount("cpus");
    if cpus.milli() < MIN_CPUS_MILLI {
        let shown = if cpus.milli() == 0 {
            "None".to_owned()
        } else {
            cpus.to_string()
        };
        return refuse(format!(
            "Executor '{id}' uses less CPUs ({shown}) than the minimum required (0.01)"
        ));
    }
    let mem = amount("mem");
    if mem.milli() < MIN_MEM_MILLI {
        let shown = if mem.milli() == 0 {
            "None".to_owned()
        } else {
            format!("{mem}MB")
        };
        return refuse(format!(
            "Executor '{id}' uses less memory ({shown}) than the minimum required (32MB)"
        ));
    }
    if amount("disk").milli() == 0 {
        return refuse(format!("Executor '{id}' uses no disk"));
    }
    Ok(())
}
