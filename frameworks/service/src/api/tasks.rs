//! Tasks: lists of them, and the ways to kill them.

use super::Inner;
use super::apps::{self, below_of, known_group};
use super::ask::{Ask, app_id};
use super::gate::Action;
use super::refusal::Refused;
use super::reply;
use super::show::task::{self, Task};
use super::stream::{self, Listing};
use crate::definition::{Detail, Invalid, Kind};
use crate::view::{AppView, InstanceView, View};
use http::StatusCode;
use meseta_http::Response;
use meseta_service_core::app::AppId;
use meseta_service_core::instance::{Condition, Instance, InstanceId};
use meseta_service_core::io::{Answer, Call, KillHow};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Ids in one request to kill tasks.
const IDS_MAX: usize = 10_000;

/// `GET /v2/apps/{id}/tasks`.
pub(super) async fn of_app(api: &Inner, ask: &Ask, id: &str) -> Result<Response, Refused> {
    let app = apps::find(api, ask, id).await?;
    if reply::wants_text(ask.headers()) {
        let mut out = Vec::new();
        task::lines(&mut out, &app);
        return Ok(text(out));
    }
    let tasks: Vec<_> = app
        .instances
        .values()
        .filter_map(|view| Task::of(&app, view))
        .collect();
    Ok(reply::json(StatusCode::OK, &json!({"tasks": tasks})))
}

fn text(out: Vec<u8>) -> Response {
    reply::with_type(StatusCode::OK, "text/plain", out.into())
}

/// `GET /v2/apps/{group}/*/tasks`.
pub(super) async fn below(api: &Inner, ask: &Ask, group: &str) -> Result<Response, Refused> {
    let below = below_of(group);
    let view = api.handle.view().await?;
    known_group(&view, group, &below)?;
    Ok(all(view, ask, below, |_| true))
}

/// `GET /v2/tasks`.
pub(super) async fn list(api: &Inner, ask: &Ask) -> Result<Response, Refused> {
    let wanted: BTreeSet<String> = ask
        .parameters("status")
        .chain(ask.parameters("status[]"))
        .map(str::to_lowercase)
        .collect();
    let view = api.handle.view().await?;
    if reply::wants_text(ask.headers()) {
        let may_see = ask.viewer();
        let listing = Listing {
            below: "/".to_owned(),
            head: "",
            tail: "",
            separator: "",
            media: "text/plain",
            write: move |out: &mut Vec<u8>, app: &AppView| {
                if may_see(&app.spec.id) {
                    task::lines(out, app);
                }
            },
        };
        return Ok(stream::list(view, listing, ask.headers()));
    }
    let shows = move |instance: &Instance| {
        let status = match instance.condition {
            Condition::Running => "running",
            Condition::Provisioned | Condition::Staging | Condition::Starting => "staging",
            Condition::Scheduled | Condition::Killing | Condition::Unreachable => "",
        };
        wanted.is_empty() || wanted.contains(status)
    };
    Ok(all(view, ask, "/".to_owned(), shows))
}

/// The tasks of many apps.
fn all(
    view: Arc<View>,
    ask: &Ask,
    below: String,
    shows: impl Fn(&Instance) -> bool + Send + 'static,
) -> Response {
    let may_see = ask.viewer();
    let listing = Listing {
        below,
        head: "{\"tasks\":[",
        tail: "]}",
        separator: ",",
        media: "application/json",
        write: move |out: &mut Vec<u8>, app: &AppView| {
            if !may_see(&app.spec.id) {
                return;
            }
            let start = out.len();
            let shown = app.instances.values().filter(|view| shows(&view.instance));
            for task in shown.filter_map(|view| Task::of(app, view)) {
                if out.len() > start {
                    out.push(b',');
                }
                let before = out.len();
                if let Err(error) = serde_json::to_writer(&mut *out, &task) {
                    tracing::error!("a task cannot be shown: {error}");
                    out.truncate(before);
                }
            }
        },
    };
    stream::list(view, listing, ask.headers())
}

/// How tasks are killed: what the query says.
fn how(ask: &Ask) -> Result<KillHow, Refused> {
    match (ask.flag("scale", false), ask.flag("wipe", false)) {
        (true, true) => Err(Refused::bad("You cannot use scale and wipe at the same time.")),
        (true, false) => Ok(KillHow::Scale),
        (false, true) => Ok(KillHow::Wipe),
        (false, false) => Ok(KillHow::Restart),
    }
}

/// `DELETE /v2/apps/{id}/tasks`.
pub(super) async fn kill_of_app(api: &Inner, ask: &Ask, id: &str) -> Result<Response, Refused> {
    let how = how(ask)?;
    let app = to_kill_in(api, ask, id).await?;
    let host = ask.parameter("host").filter(|host| *host != "*");
    let is_there = |view: &InstanceView| match host {
        None => true,
        Some(host) => view
            .instance
            .place
            .as_ref()
            .is_some_and(|place| &*place.host == host),
    };
    let wanted = app.instances.values().filter(|view| is_there(view));
    let ids = wanted.map(|view| view.instance.id.clone()).collect();
    let answer = kill(api, ask, ids, how).await?;
    killed(&BTreeMap::from([(app.spec.id.clone(), app)]), &answer, how)
}

/// `DELETE /v2/apps/{id}/tasks/{task}`.
pub(super) async fn kill_one(api: &Inner, ask: &Ask, id: &str, task: &str) -> Result<Response, Refused> {
    let how = how(ask)?;
    let app = to_kill_in(api, ask, id).await?;
    let instance = instance_of(task).filter(|instance| app.instances.contains_key(instance));
    let instance = instance.ok_or_else(|| Refused::no_task(task))?;
    let answer = kill(api, ask, vec![instance.clone()], how).await?;
    if how == KillHow::Scale {
        return Ok(reply::deployment(StatusCode::OK, &answer));
    }
    let view = app.instances.get(&instance);
    let shown = view.and_then(|view| Task::of(&app, view));
    let shown = shown.ok_or_else(|| Refused::no_task(task))?;
    Ok(reply::json(StatusCode::OK, &json!({"task": shown})))
}

/// `POST /v2/tasks/delete`.
pub(super) async fn kill_listed(api: &Inner, mut ask: Ask) -> Result<Response, Refused> {
    let how = how(&ask)?;
    let (body, _) = ask.json().await?;
    let mut ids = Vec::new();
    for text in ids_of(&body)? {
        let id = instance_of(&text).or_else(|| old_task(&text).then(|| InstanceId::recorded(&text)));
        ids.push(id.ok_or_else(|| Refused::bad(format!("unable to parse the task id: {text}")))?);
    }
    let view = api.handle.view().await?;
    let mut apps = BTreeMap::new();
    let mut known = Vec::new();
    for id in ids {
        let Some(app) = app_of(&view, &id) else { continue };
        ask.check(Action::UpdateApp(&app.spec.id))?;
        apps.insert(app.spec.id.clone(), Arc::clone(app));
        known.push(id);
    }
    let answer = kill(api, &ask, known, how).await?;
    killed(&apps, &answer, how)
}

fn ids_of(body: &Value) -> Result<Vec<String>, Refused> {
    let wrong = |path: String, code: &str| Invalid {
        kind: Kind::Shape,
        details: vec![Detail {
            path,
            errors: vec![code.to_owned()],
        }],
    };
    let ids = match body.get("ids") {
        None | Some(Value::Null) => return Err(wrong("/ids".to_owned(), "error.path.missing").into()),
        Some(Value::Array(ids)) => ids,
        Some(_) => return Err(wrong("/ids".to_owned(), "error.expected.jsarray").into()),
    };
    if ids.len() > IDS_MAX {
        let text = format!("got {} ids, expected {IDS_MAX} or less", ids.len());
        return Err(Invalid::rule("/ids", text).into());
    }
    ids.iter()
        .enumerate()
        .map(|(index, id)| {
            let text = id.as_str().map(str::to_owned);
            text.ok_or_else(|| wrong(format!("/ids({index})"), "error.expected.jsstring").into())
        })
        .collect()
}

/// The instance that an id names: a task's, or its own.
fn instance_of(text: &str) -> Option<InstanceId> {
    if let Some((instance, _)) = InstanceId::of_task(text) {
        return Some(instance);
    }
    let (app, uuid) = text.rsplit_once(".instance-")?;
    (!app.is_empty() && uuid::Uuid::parse_str(uuid).is_ok()).then(|| InstanceId::recorded(text))
}

/// Whether a text has the form of task ids of old versions: an app, a dot, a uuid. None of ours is one.
fn old_task(text: &str) -> bool {
    text.rsplit_once('.')
        .is_some_and(|(app, uuid)| !app.is_empty() && uuid::Uuid::parse_str(uuid).is_ok())
}

/// The app that has an instance.
fn app_of<'a>(view: &'a View, instance: &InstanceId) -> Option<&'a Arc<AppView>> {
    let app = view.apps.get(&instance.app_id())?;
    app.instances.contains_key(instance).then_some(app)
}

/// The app whose tasks are to be killed.
async fn to_kill_in(api: &Inner, ask: &Ask, id: &str) -> Result<Arc<AppView>, Refused> {
    let parsed = app_id(id)?;
    ask.check(Action::UpdateApp(&parsed))?;
    apps::find(api, ask, id).await
}

async fn kill(api: &Inner, ask: &Ask, instances: Vec<InstanceId>, how: KillHow) -> Result<Answer, Refused> {
    let force = ask.flag("force", false);
    let call = Call::Kill {
        instances,
        how,
        force,
    };
    Ok(api.handle.call(call).await?)
}

/// The answer to a kill: the deployment that shrinks the apps, or the tasks as they were.
fn killed(apps: &BTreeMap<AppId, Arc<AppView>>, answer: &Answer, how: KillHow) -> Result<Response, Refused> {
    if how == KillHow::Scale {
        return Ok(reply::deployment(StatusCode::OK, answer));
    }
    let Answer::Killed(instances) = answer else {
        return Err(Refused::broken("a kill was answered with something else"));
    };
    let shown = instances.iter().filter_map(|instance| {
        let app = apps.get(&instance.app)?;
        Task::of(app, app.instances.get(&instance.id)?)
    });
    Ok(reply::json(
        StatusCode::OK,
        &json!({"tasks": shown.collect::<Vec<_>>()}),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_tasks_and_of_instances_name_an_instance() {
        let instance = "prod_web.instance-0123abcd-0000-4000-8000-0123456789ab";
        let named = |text: &str| instance_of(text).map(|id| id.as_str().to_owned());
        assert_eq!(named(&format!("{instance}._app.3")).as_deref(), Some(instance));
        assert_eq!(named(instance).as_deref(), Some(instance));
        for text in [
            "",
            "web",
            "web.instance-x",
            ".instance-0123abcd-0000-4000-8000-0123456789ab",
        ] {
            assert_eq!(named(text), None, "{text}");
        }
        assert!(old_task("web.0123abcd-0000-4000-8000-0123456789ab"));
        assert!(!old_task("web"));
    }
}
