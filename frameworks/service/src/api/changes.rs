//! Changes of apps: created, updated, replaced, restarted, deleted.
//!
//! A change is made against the definition that was read; when the app moved on meanwhile, it is made again. So two
//! updates of different fields never undo each other.

use super::Inner;
use super::announce;
use super::apps::below_of;
use super::ask::{Ask, INLINE_BYTES_MAX, app_id};
use super::gate::Action;
use super::ports::Claim;
use super::refusal::Refused;
use super::{reply, show};
use crate::definition::{self, App, Invalid, Update};
use crate::owner::CallError;
use crate::view::{AppView, View};
use http::StatusCode;
use meseta_http::Response;
use meseta_service_core::app::{AppId, AppSpec};
use meseta_service_core::io::{Answer, AppChange, Call, Refusal};
use serde_json::Value;
use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;

/// Attempts at a change whose app moves on meanwhile. Somebody else's change succeeded each time.
const ATTEMPTS_MAX: usize = 8;

/// Apps in one request: their definitions are written in one commit of the store.
const APPS_PER_REQUEST_MAX: usize = 1_000;

/// How an update treats what is there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    /// `PUT`: lay the body over it, or over nothing.
    Partial,
    /// `PUT` with `partialUpdate=false`: the body is all there is.
    Whole,
    /// `PATCH`: as partial, but never create.
    Existing,
}

/// `POST /v2/apps`.
pub(super) async fn create(api: &Inner, mut ask: Ask) -> Result<Response, Refused> {
    let (body, length) = ask.json().await?;
    let rules = api.settings.rules.clone();
    let app = off_thread(length, move || definition::create(&body, &rules)).await??;
    let id = AppId::recorded(&app.id);
    ask.check(Action::CreateApp(&id))?;
    let view = api.handle.view().await?;
    if view.apps.get(&id).is_some() {
        return Err(CallError::Refused(Refusal::AppExists(id)).into());
    }
    let change = Prepared::new(api, &view, id, None, app)?;
    let spec = change.spec.clone();
    let answer = carry_out(api, &ask, vec![change], ask.flag("force", false)).await?;
    let Answer::Deployment { id, version, .. } = &answer else {
        return Err(Refused::broken("a creation was answered without a deployment"));
    };
    let mut out = Vec::new();
    show::app::write_created(&mut out, &spec, *version, &id.0);
    let response = reply::raw_json(StatusCode::CREATED, out);
    let response = reply::with_location(response, spec.id.as_str());
    Ok(reply::with_deployment(response, &id.0))
}

/// `PUT /v2/apps/{id}`.
pub(super) async fn put(api: &Inner, ask: Ask, id: &str) -> Result<Response, Refused> {
    let how = how_of_put(&ask);
    update(api, ask, id, how).await
}

/// `PATCH /v2/apps/{id}`.
pub(super) async fn patch(api: &Inner, ask: Ask, id: &str) -> Result<Response, Refused> {
    update(api, ask, id, How::Existing).await
}

fn how_of_put(ask: &Ask) -> How {
    if ask.flag("partialUpdate", true) {
        How::Partial
    } else {
        How::Whole
    }
}

async fn update(api: &Inner, mut ask: Ask, id: &str, how: How) -> Result<Response, Refused> {
    let (body, _) = ask.json().await?;
    // An id that cannot be is an error of the body for somebody who creates an app, and of the path otherwise.
    let id = match how {
        How::Existing => app_id(id)?,
        _ => AppId::parse(id, None).map_err(|error| Invalid::rule("/id", error.to_string()))?,
    };
    let many = [(id, body)];
    let (created, answer) = change_all(api, &ask, &many, how).await?;
    let [(id, _)] = &many;
    if created {
        let response = reply::deployment(StatusCode::CREATED, &answer);
        return Ok(reply::with_location(response, id.as_str()));
    }
    Ok(reply::deployment(StatusCode::OK, &answer))
}

/// `PUT /v2/apps`.
pub(super) async fn put_many(api: &Inner, ask: Ask) -> Result<Response, Refused> {
    let how = how_of_put(&ask);
    update_many(api, ask, how).await
}

/// `PATCH /v2/apps`.
pub(super) async fn patch_many(api: &Inner, ask: Ask) -> Result<Response, Refused> {
    update_many(api, ask, How::Existing).await
}

async fn update_many(api: &Inner, mut ask: Ask, how: How) -> Result<Response, Refused> {
    let (body, _) = ask.json().await?;
    let Value::Array(bodies) = body else {
        return Err(Invalid {
            kind: definition::Kind::Shape,
            details: vec![definition::Detail {
                path: "/".to_owned(),
                errors: vec!["error.expected.jsarray".to_owned()],
            }],
        }
        .into());
    };
    if bodies.len() > APPS_PER_REQUEST_MAX {
        let text = format!(
            "got {} apps, expected {APPS_PER_REQUEST_MAX} or less",
            bodies.len()
        );
        return Err(Invalid::rule("/", text).into());
    }
    let mut many = Vec::with_capacity(bodies.len());
    let mut seen = BTreeSet::new();
    for (index, body) in bodies.into_iter().enumerate() {
        let prefix = format!("({index})");
        let id = definition::id_of(&body).map_err(|invalid| invalid.below(&prefix))?;
        if !seen.insert(id.clone()) {
            return Err(Invalid::rule("/id", format!("{id} is there twice"))
                .below(&prefix)
                .into());
        }
        many.push((id, body));
    }
    let (_, answer) = change_all(api, &ask, &many, how).await?;
    Ok(reply::deployment(StatusCode::OK, &answer))
}

/// Carries out updates in one deployment. Whether the first app was created, and the answer.
async fn change_all(
    api: &Inner,
    ask: &Ask,
    many: &[(AppId, Value)],
    how: How,
) -> Result<(bool, Answer), Refused> {
    let force = ask.flag("force", false);
    let mut attempt = 0;
    loop {
        attempt += 1;
        let view = api.handle.view().await?;
        let mut prepared = Vec::with_capacity(many.len());
        for (index, (id, body)) in many.iter().enumerate() {
            let below = |invalid: Invalid| match many.len() {
                1 => invalid,
                _ => invalid.below(&format!("({index})")),
            };
            prepared.push(prepare(api, ask, &view, id, body, how, below)?);
            // A thousand definitions are some ten milliseconds of work.
            if index % 64 == 63 {
                tokio::task::yield_now().await;
            }
        }
        let created = prepared.first().is_some_and(|change| change.before.is_none());
        match carry_out(api, ask, prepared, force).await {
            Ok(answer) => return Ok((created, answer)),
            Err(CallError::Refused(Refusal::Stale(_) | Refusal::AppExists(_) | Refusal::AppNotFound(_)))
                if attempt < ATTEMPTS_MAX => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn prepare(
    api: &Inner,
    ask: &Ask,
    view: &View,
    id: &AppId,
    body: &Value,
    how: How,
    below: impl Fn(Invalid) -> Invalid,
) -> Result<Prepared, Refused> {
    let there = view.apps.get(id);
    match there {
        Some(_) => ask.check(Action::UpdateApp(id))?,
        None if how == How::Existing => return Err(Refused::no_app(id.as_str())),
        None => ask.check(Action::CreateApp(id))?,
    }
    let stored = match how {
        How::Whole => None,
        How::Partial | How::Existing => there.map(|app| &*app.definition),
    };
    match definition::update(id, stored, body, &api.settings.rules).map_err(&below)? {
        Update::To(app) => Prepared::new(api, view, id.clone(), there.cloned(), app),
        Update::Back(text) => {
            let there = there.ok_or_else(|| Refused::no_app(id.as_str()))?;
            let version = show::parse_version(&text)
                .ok_or_else(|| below(Invalid::rule("/version", "is not a time stamp")))?;
            let spec = there.versions.get(&version);
            let spec = spec.ok_or_else(|| Refused::no_version(id, &text))?;
            Ok(Prepared {
                spec: AppSpec::clone(spec),
                before: Some(Arc::clone(there)),
                claim: None,
            })
        }
    }
}

/// A change that is ready to be asked for.
struct Prepared {
    spec: AppSpec,
    before: Option<Arc<AppView>>,
    /// Kept until the change is answered.
    claim: Option<Claim>,
}

impl Prepared {
    fn new(
        api: &Inner,
        view: &View,
        id: AppId,
        before: Option<Arc<AppView>>,
        mut app: App,
    ) -> Result<Prepared, Refused> {
        if before.is_none() {
            no_group_of_that_name(view, &id)?;
        }
        let ports = before
            .as_ref()
            .map(|app| app.definition.service_ports())
            .unwrap_or_default();
        let claim = api.ports.assign(&mut app, &id, &ports, view)?;
        Ok(Prepared {
            spec: app.to_spec().map_err(Refused::broken)?,
            before,
            claim: Some(claim),
        })
    }
}

async fn carry_out(
    api: &Inner,
    ask: &Ask,
    prepared: Vec<Prepared>,
    force: bool,
) -> Result<Answer, CallError> {
    let mut apps = Vec::with_capacity(prepared.len());
    let mut claims = Vec::new();
    let mut told = announce::Change::default();
    for change in prepared {
        told.add(api, &change.spec, change.before.as_deref());
        claims.extend(change.claim);
        apps.push(AppChange {
            id: change.spec.id.clone(),
            base: change.before.as_ref().map(|app| app.spec.version),
            spec: Some(change.spec),
            restart: false,
        });
    }
    let answer = call(api, ask, told, Call::Update { apps, force }).await;
    drop(claims);
    answer
}

/// Makes a change and tells what came of it. One that others were faster with is made again, and is not told of.
async fn call(api: &Inner, ask: &Ask, told: announce::Change, call: Call) -> Result<Answer, CallError> {
    let answer = api.handle.call(call).await;
    match &answer {
        Ok(Answer::Deployment { version, .. }) => told.done(api, ask, *version),
        Ok(_) | Err(CallError::Refused(Refusal::Stale(_))) => {}
        Err(why) => told.failed(api, why),
    }
    answer
}

/// 422 when the id of a new app is a part of another's, or the other way round: a group of that name is there.
fn no_group_of_that_name(view: &View, id: &AppId) -> Result<(), Refused> {
    let mut path = id.as_str();
    while let Some((parent, _)) = path.rsplit_once('/') {
        if !parent.is_empty() && view.apps.get(&AppId::recorded(parent)).is_some() {
            return Err(same_name(parent));
        }
        path = parent;
    }
    let below = below_of(id.as_str());
    let first = AppId::recorded(&below);
    let next = view.apps.from(Bound::Included(&first)).next();
    match next {
        Some((other, _)) if other.as_str().starts_with(&below) => Err(same_name(id.as_str())),
        _ => Ok(()),
    }
}

fn same_name(id: &str) -> Refused {
    Invalid::rule(
        "/",
        format!("Groups and Applications may not have the same identifier: {id}"),
    )
    .into()
}

/// `POST /v2/apps/{id}/restart`.
pub(super) async fn restart(api: &Inner, ask: &Ask, id: &str) -> Result<Response, Refused> {
    let id = app_id(id)?;
    ask.check(Action::UpdateApp(&id))?;
    let force = ask.flag("force", false);
    let mut attempt = 0;
    loop {
        attempt += 1;
        let app = api.handle.app(&id).await?;
        let app = app.ok_or_else(|| Refused::no_app(id.as_str()))?;
        let change = AppChange {
            id: id.clone(),
            base: Some(app.spec.version),
            spec: Some(AppSpec::clone(&app.spec)),
            restart: true,
        };
        let mut told = announce::Change::default();
        told.touch(&id);
        let update = Call::Update {
            apps: vec![change],
            force,
        };
        match call(api, ask, told, update).await {
            Err(CallError::Refused(Refusal::Stale(_))) if attempt < ATTEMPTS_MAX => {}
            answer => return Ok(reply::deployment(StatusCode::OK, &answer?)),
        }
    }
}

/// `DELETE /v2/apps/{id}`. Other deployments are not in its way unless it says so.
pub(super) async fn delete(api: &Inner, ask: &Ask, id: &str) -> Result<Response, Refused> {
    let id = app_id(id)?;
    ask.check(Action::DeleteApp(&id))?;
    let before = api.handle.app(&id).await?;
    let change = AppChange {
        id: id.clone(),
        base: None,
        spec: None,
        restart: false,
    };
    let mut told = announce::Change::default();
    told.touch(&id);
    let update = Call::Update {
        apps: vec![change],
        force: ask.flag("force", true),
    };
    let answer = call(api, ask, told, update).await?;
    if let Some(before) = before {
        announce::checks_removed(api, &before);
    }
    Ok(reply::deployment(StatusCode::OK, &answer))
}

/// Runs work on a large body where it may take its time.
async fn off_thread<T: Send + 'static>(
    length: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Refused> {
    if length <= INLINE_BYTES_MAX {
        return Ok(work());
    }
    tokio::task::spawn_blocking(work).await.map_err(Refused::broken)
}
