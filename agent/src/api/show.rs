//! Views of the core as Mesos messages.

use crate::launch;
use meseta_agent_core::{ExecutorView, FrameworkView, TaskPlace, TaskView, View};
use meseta_proto::convert;
use meseta_proto::convert::task::TaskParts;
use meseta_proto::mesos::v1 as pb;
use meseta_proto::prost::Message;
use meseta_proto::secrets::without_secrets;

/// All frameworks, those with something here and those that are done.
pub(super) fn frameworks(view: &View) -> impl Iterator<Item = &FrameworkView> {
    view.frameworks
        .iter()
        .chain(view.completed_frameworks.iter().map(|framework| &**framework))
}

/// All executors of a framework with their owner, completed ones included.
pub(super) fn executors(framework: &FrameworkView) -> impl Iterator<Item = &ExecutorView> {
    framework
        .executors
        .iter()
        .chain(framework.completed_executors.iter().map(|executor| &**executor))
}

/// All tasks of an executor, completed ones included.
pub(super) fn tasks(executor: &ExecutorView) -> impl Iterator<Item = &TaskView> {
    executor
        .tasks
        .iter()
        .chain(executor.completed_tasks.iter().map(|task| &**task))
}

/// The `ExecutorInfo`, without secrets; that of a command task is rendered from the task.
pub(super) fn executor_info(framework: &FrameworkView, executor: &ExecutorView) -> pb::ExecutorInfo {
    let info = convert::executor::to_shown_info(&executor.spec, &framework.id);
    if !executor.generated {
        return info;
    }
    match tasks(executor)
        .next()
        .map(|task| pb::TaskInfo::decode(&without_secrets::<pb::TaskInfo>(&task.spec.wire)[..]))
    {
        Some(Ok(task)) => launch::generated_executor(&task, &framework.id, info.resources),
        _ => info,
    }
}

/// The encoded `Task`, as this agent shows it: command tasks without an executor id.
pub(super) fn task(
    view: &View,
    framework: &FrameworkView,
    executor: &ExecutorView,
    task: &TaskView,
) -> Vec<u8> {
    convert::task::encode(&TaskParts {
        name: &task.spec.name,
        task_id: &task.spec.task_id,
        framework_id: &framework.id,
        executor_id: (!executor.generated).then_some(&executor.spec.executor_id),
        agent_id: view.agent.id.as_ref(),
        state: task.state,
        resources: &task.spec.resources,
        statuses: &task.statuses,
        status_update: task.told().map(|(state, uuid)| (state, Some(uuid))),
        kept: &task.spec.kept,
    })
}

/// The five lists of GET_TASKS.
#[derive(Default)]
pub(super) struct TaskLists {
    pub(super) queued: Vec<Vec<u8>>,
    pub(super) launched: Vec<Vec<u8>>,
    pub(super) terminated: Vec<Vec<u8>>,
    pub(super) completed: Vec<Vec<u8>>,
}

/// All tasks by their place. Nothing is ever pending: authorisation does not wait.
pub(super) fn task_lists(view: &View) -> TaskLists {
    let mut lists = TaskLists::default();
    for framework in frameworks(view) {
        for executor in executors(framework) {
            for one in tasks(executor) {
                let list = match one.place {
                    TaskPlace::Queued => &mut lists.queued,
                    TaskPlace::Launched => &mut lists.launched,
                    TaskPlace::Terminated => &mut lists.terminated,
                    TaskPlace::Completed => &mut lists.completed,
                };
                list.push(task(view, framework, executor, one));
            }
        }
    }
    lists
}

/// Live and completed executors.
pub(super) fn executor_lists(view: &View) -> (Vec<pb::ExecutorInfo>, Vec<pb::ExecutorInfo>) {
    let (mut live, mut completed) = (Vec::new(), Vec::new());
    for framework in frameworks(view) {
        live.extend(framework.executors.iter().map(|e| executor_info(framework, e)));
        completed.extend(
            framework
                .completed_executors
                .iter()
                .map(|e| executor_info(framework, e)),
        );
    }
    (live, completed)
}

/// Live and completed frameworks.
pub(super) fn framework_lists(view: &View) -> (Vec<pb::FrameworkInfo>, Vec<pb::FrameworkInfo>) {
    (
        view.frameworks
            .iter()
            .map(|f| convert::framework::to_info(&f.spec))
            .collect(),
        view.completed_frameworks
            .iter()
            .map(|f| convert::framework::to_info(&f.spec))
            .collect(),
    )
}
