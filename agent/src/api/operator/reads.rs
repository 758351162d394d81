//! The reads whose lists are printed even when they are empty: tasks, executors, frameworks, state, agent.

use super::{Answer, of};
use crate::api::json::{self, Object};
use crate::api::show::{self, TaskLists};
use meseta_agent_core::View;
use meseta_http::{MediaType, Refusal, Response, reply};
use meseta_proto::convert;
use meseta_proto::mesos::v1 as pb;
use meseta_proto::mesos::v1::agent::{self as api, response};
use meseta_proto::prost::Message;
use meseta_proto::transcode;

impl Answer<'_> {
    pub(super) async fn tasks(&self) -> Result<Response, Refusal> {
        let view = self.agent.view().await?;
        let lists = show::task_lists(&view);
        Ok(self.either(
            || api::Response {
                get_tasks: Some(tasks_message(&lists)),
                ..of(response::Type::GetTasks)
            },
            |object| {
                object.text("type", "GET_TASKS");
                object.object("get_tasks", |inner| tasks_json(&lists, inner));
            },
        ))
    }

    pub(super) async fn executors(&self) -> Result<Response, Refusal> {
        let view = self.agent.view().await?;
        Ok(self.either(
            || api::Response {
                get_executors: Some(executors_message(&view)),
                ..of(response::Type::GetExecutors)
            },
            |object| {
                object.text("type", "GET_EXECUTORS");
                object.object("get_executors", |inner| executors_json(&view, inner));
            },
        ))
    }

    pub(super) async fn frameworks(&self) -> Result<Response, Refusal> {
        let view = self.agent.view().await?;
        Ok(self.either(
            || api::Response {
                get_frameworks: Some(frameworks_message(&view)),
                ..of(response::Type::GetFrameworks)
            },
            |object| {
                object.text("type", "GET_FRAMEWORKS");
                object.object("get_frameworks", |inner| frameworks_json(&view, inner));
            },
        ))
    }

    pub(super) async fn state(&self) -> Result<Response, Refusal> {
        let view = self.agent.view().await?;
        let lists = show::task_lists(&view);
        Ok(self.either(
            || api::Response {
                get_state: Some(response::GetState {
                    get_tasks: Some(tasks_message(&lists)),
                    get_executors: Some(executors_message(&view)),
                    get_frameworks: Some(frameworks_message(&view)),
                }),
                ..of(response::Type::GetState)
            },
            |object| {
                object.text("type", "GET_STATE");
                object.object("get_state", |state| {
                    state.object("get_tasks", |inner| tasks_json(&lists, inner));
                    state.object("get_executors", |inner| executors_json(&view, inner));
                    state.object("get_frameworks", |inner| frameworks_json(&view, inner));
                });
            },
        ))
    }

    pub(super) async fn agent(&self) -> Result<Response, Refusal> {
        let view = self.agent.view().await?;
        Ok(self.message(api::Response {
            get_agent: Some(response::GetAgent {
                agent_info: Some(convert::agent::to_info(&view.agent)),
                ..Default::default()
            }),
            ..of(response::Type::GetAgent)
        }))
    }

    /// The message for protobuf, the hand-made object for JSON.
    fn either(
        &self,
        message: impl FnOnce() -> api::Response,
        fill: impl FnOnce(&mut Object<'_>),
    ) -> Response {
        if self.media != MediaType::Json {
            return self.message(message());
        }
        let mut out = Vec::new();
        let mut object = Object::new(&mut out);
        fill(&mut object);
        object.end();
        reply::content(MediaType::Json, out, &self.parts.headers)
    }
}

fn tasks_message(lists: &TaskLists) -> response::GetTasks {
    let decoded = |list: &[Vec<u8>]| {
        list.iter()
            // Encoded by us a moment ago.
            .filter_map(|task| pb::Task::decode(task.as_slice()).ok())
            .collect()
    };
    response::GetTasks {
        pending_tasks: Vec::new(),
        queued_tasks: decoded(&lists.queued),
        launched_tasks: decoded(&lists.launched),
        terminated_tasks: decoded(&lists.terminated),
        completed_tasks: decoded(&lists.completed),
    }
}

fn tasks_json(lists: &TaskLists, object: &mut Object<'_>) {
    let task = |task: &Vec<u8>, out: &mut Vec<u8>| {
        if let Err(error) = transcode::to_json::<pb::Task>(task, out) {
            tracing::error!(%error, "a task cannot be printed");
            out.extend_from_slice(b"{}");
        }
    };
    object.list("pending_tasks", [0; 0], |_, _| {});
    object.list("queued_tasks", &lists.queued, task);
    object.list("launched_tasks", &lists.launched, task);
    object.list("terminated_tasks", &lists.terminated, task);
    object.list("completed_tasks", &lists.completed, task);
}

fn executors_message(view: &View) -> response::GetExecutors {
    let wrap = |infos: Vec<pb::ExecutorInfo>| {
        infos
            .into_iter()
            .map(|executor_info| response::get_executors::Executor { executor_info })
            .collect()
    };
    let (live, completed) = show::executor_lists(view);
    response::GetExecutors {
        executors: wrap(live),
        completed_executors: wrap(completed),
    }
}

fn executors_json(view: &View, object: &mut Object<'_>) {
    let (live, completed) = show::executor_lists(view);
    let wrap = |info: pb::ExecutorInfo, out: &mut Vec<u8>| one(out, "executor_info", &info);
    object.list("executors", live, wrap);
    object.list("completed_executors", completed, wrap);
}

fn frameworks_message(view: &View) -> response::GetFrameworks {
    let wrap = |infos: Vec<pb::FrameworkInfo>| {
        infos
            .into_iter()
            .map(|framework_info| response::get_frameworks::Framework { framework_info })
            .collect()
    };
    let (live, completed) = show::framework_lists(view);
    response::GetFrameworks {
        frameworks: wrap(live),
        completed_frameworks: wrap(completed),
    }
}

fn frameworks_json(view: &View, object: &mut Object<'_>) {
    let (live, completed) = show::framework_lists(view);
    let wrap = |info: pb::FrameworkInfo, out: &mut Vec<u8>| one(out, "framework_info", &info);
    object.list("frameworks", live, wrap);
    object.list("completed_frameworks", completed, wrap);
}

/// An object with one message in it.
fn one<M: meseta_proto::Described>(out: &mut Vec<u8>, name: &str, message: &M) {
    let mut object = json::Object::new(out);
    object.message(name, message);
    object.end();
}
