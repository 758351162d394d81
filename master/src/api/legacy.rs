//! The read endpoints from before the v1 API, with v0 names: `/state` and its relatives, and the few writes kept.
//!
//! Shapes and names: Mesos, `src/master/http.cpp` and `readonly_handler.cpp`, and the recordings. Large ones are
//! written from a view on a blocking thread.

mod agents;
mod frameworks;
mod json;
mod roles;
mod tasks;

use super::operator::teardown as tear_down;
use super::{broken, check_method, large, query};
use crate::identity::API_VERSION;
use crate::master::Master;
use http::header::LOCATION;
use http::request::Parts;
use http::{HeaderValue, StatusCode};
use json::Object;
use meseta_http::gate::Action;
use meseta_http::logging::toggle;
use meseta_http::path::{self, Query};
use meseta_http::{Body, MediaType, Refusal, Response, body, reply};
use meseta_master_core::View;
use std::io::{self, Write};
use std::sync::Arc;

/// Answers with what `write` makes of the current view, as JSON or as a call of the `jsonp` function.
async fn from_view(
    master: &Arc<Master>,
    parts: &Parts,
    write: impl FnOnce(&View, &Query, &mut dyn Write) -> io::Result<()> + Send + 'static,
) -> Result<Response, Refusal> {
    let who = master.gate.identify(&parts.headers);
    master.gate.check(&who, Action::ViewCluster)?;
    let query = query(parts)?;
    // Before the registry is read the state is empty, as in Mesos.
    let view = match master.elected.get() {
        Some(_) => master.intake.view().await?,
        None => Arc::new(View::default()),
    };
    if query.get("jsonp").is_some() {
        let whole = tokio::task::spawn_blocking(move || {
            let mut out = Vec::new();
            write(&view, &query, &mut out).map(|()| (out, query))
        });
        let (out, query) = whole.await.map_err(broken)?.map_err(broken)?;
        return Ok(reply::legacy_json(out, &query, &parts.headers));
    }
    let media = MediaType::Json.as_str();
    large::answer(master, media, &parts.headers, move |out| {
        write(&view, &query, out)
    })
    .await
}

pub(super) async fn state(master: &Arc<Master>, parts: &Parts) -> Result<Response, Refusal> {
    let of = Arc::clone(master);
    let who = master.gate.identify(&parts.headers);
    let with_flags = master.gate.allows(&who, Action::ViewFlags);
    from_view(master, parts, move |view, _, out| {
        let mut state = Object::begin(out)?;
        facts(&of, view, with_flags, &mut state)?;
        state.list("slaves", agents::with_offered(view), |agent, out| {
            agents::agent(&agent, out)?.end()
        })?;
        state.list(
            "recovered_slaves",
            view.recovered_agents.values(),
            agents::recovered,
        )?;
        frameworks::lists(view, None, &mut state)?;
        state.empty_list("orphan_tasks")?;
        state.empty_list("unregistered_frameworks")?;
        state.end()
    })
    .await
}

/// What `/state` says of the master itself.
fn facts(master: &Master, view: &View, with_flags: bool, state: &mut Object<'_>) -> io::Result<()> {
    let me = &master.me;
    let pid = me.pid();
    state.text("version", API_VERSION)?;
    if let Some(sha) = super::version::GIT_SHA {
        state.text("git_sha", sha)?;
    }
    state.text("build_date", super::version::BUILD_DATE)?;
    state.number("build_time", super::version::build_time())?;
    state.text("build_user", super::version::BUILD_USER)?;
    state.number("start_time", me.start_time.as_secs_f64())?;
    if let Some(elected) = master.elected.get() {
        state.number("elected_time", elected.as_secs_f64())?;
    }
    state.text("id", &me.id)?;
    state.text("pid", &pid)?;
    state.text("hostname", &me.hostname)?;
    state.texts("capabilities", ["AGENT_UPDATE", "AGENT_DRAINING", "QUOTA_V2"])?;
    let active = view
        .agents
        .iter()
        .filter(|(_, a)| a.active && a.connected)
        .count();
    state.number("activated_slaves", active as f64)?;
    state.number("deactivated_slaves", (view.agents.len() - active) as f64)?;
    state.number("unreachable_slaves", view.unreachable_agents.len() as f64)?;
    if let Some(cluster) = &master.config.cluster {
        state.text("cluster", cluster)?;
    }
    state.text("leader", &pid)?;
    state.object("leader_info", |info| {
        info.text("id", &me.id)?;
        info.text("pid", &pid)?;
        info.integer("port", u64::from(me.address.port()))?;
        info.text("hostname", &me.hostname)
    })?;
    if with_flags {
        if let Some(dir) = &master.config.log_dir {
            state.text("log_dir", &dir.display().to_string())?;
        }
        state.object("flags", |flags| write_flags(master, flags))?;
    }
    Ok(())
}

fn write_flags(master: &Master, flags: &mut Object<'_>) -> io::Result<()> {
    let shown = &master.config.flags;
    shown.iter().try_for_each(|(name, value)| flags.text(name, value))
}

pub(super) fn flags(master: &Master, parts: &Parts) -> Result<Response, Refusal> {
    let who = master.gate.identify(&parts.headers);
    master.gate.check(&who, Action::ViewFlags)?;
    let mut out = Vec::new();
    Object::whole(&mut out, |whole| {
        whole.object("flags", |flags| write_flags(master, flags))
    })
    .map_err(broken)?;
    Ok(reply::legacy_json(out, &query(parts)?, &parts.headers))
}

pub(super) async fn state_summary(master: &Arc<Master>, parts: &Parts) -> Result<Response, Refusal> {
    let of = Arc::clone(master);
    from_view(master, parts, move |view, _, out| {
        let counts = tasks::Counts::of(view);
        Object::whole(out, |state| {
            state.text("hostname", &of.me.hostname)?;
            if let Some(cluster) = &of.config.cluster {
                state.text("cluster", cluster)?;
            }
            state.list("slaves", agents::with_offered(view), |agent, out| {
                let mut shown = agents::agent(&agent, out)?;
                counts.write_agent(agent.0, view, &mut shown)?;
                shown.end()
            })?;
            frameworks::summaries(view, &counts, state)
        })
    })
    .await
}

pub(super) async fn slaves(master: &Arc<Master>, parts: &Parts) -> Result<Response, Refusal> {
    from_view(master, parts, |view, query, out| {
        let wanted = query.get("slave_id");
        let is_wanted = |id: &str| wanted.is_none_or(|wanted| wanted == id);
        Object::whole(out, |state| {
            let agents = agents::with_offered(view).filter(|(agent, _)| is_wanted(agent.id.as_str()));
            state.list("slaves", agents, agents::full)?;
            let recovered = view.recovered_agents.values();
            let recovered = recovered.filter(|agent| is_wanted(agent.id.as_str()));
            state.list("recovered_slaves", recovered, agents::recovered)
        })
    })
    .await
}

pub(super) async fn frameworks(master: &Arc<Master>, parts: &Parts) -> Result<Response, Refusal> {
    from_view(master, parts, |view, query, out| {
        Object::whole(out, |state| {
            frameworks::lists(view, query.get("framework_id"), state)?;
            state.empty_list("unregistered_frameworks")
        })
    })
    .await
}

pub(super) async fn tasks(master: &Arc<Master>, parts: &Parts) -> Result<Response, Refusal> {
    from_view(master, parts, |view, query, out| {
        Object::whole(out, |state| {
            state.list("tasks", tasks::selected(view, query), |task, out| {
                tasks::task(task, out)
            })
        })
    })
    .await
}

pub(super) async fn roles(master: &Arc<Master>, parts: &Parts) -> Result<Response, Refusal> {
    let whitelist = master.config.core.roles.clone();
    from_view(master, parts, move |view, _, out| {
        let roles = crate::show::roles(view, whitelist.as_ref());
        Object::whole(out, |state| state.list("roles", roles.iter(), roles::role))
    })
    .await
}

/// Endpoints of features this release does not have, with the methods they know: reads are empty, writes are refused.
const LATER: [(&str, &[&str]); 9] = [
    ("/create-volumes", &["POST"]),
    ("/destroy-volumes", &["POST"]),
    ("/machine/down", &["POST"]),
    ("/machine/up", &["POST"]),
    ("/maintenance/schedule", &["GET", "POST"]),
    ("/maintenance/status", &["GET"]),
    ("/quota", &["GET", "POST", "DELETE"]),
    ("/reserve", &["POST"]),
    ("/unreserve", &["POST"]),
];

/// The answer of an endpoint of [`LATER`].
pub(super) fn later(rest: &str, parts: &Parts) -> Option<Response> {
    let paths = LATER.map(|(path, _)| path);
    let path = path::longest(rest, &paths)?;
    let (_, methods) = LATER.iter().find(|(known, _)| *known == path)?;
    Some(match parts.method.as_str() {
        "GET" if methods.contains(&"GET") => match query(parts) {
            Ok(query) => reply::legacy_json(b"{}".to_vec(), &query, &parts.headers),
            Err(refusal) => refusal.into(),
        },
        method if methods.contains(&method) => Refusal::standard(StatusCode::NOT_IMPLEMENTED).into(),
        _ => reply::method_not_allowed(methods, &parts.method),
    })
}

/// No role has a weight of its own in this release.
pub(super) fn weights(parts: &Parts) -> Result<Response, Refusal> {
    match parts.method.as_str() {
        "GET" => Ok(reply::legacy_json(b"[]".to_vec(), &query(parts)?, &parts.headers)),
        "PUT" => Err(Refusal::standard(StatusCode::NOT_IMPLEMENTED)),
        _ => Ok(reply::method_not_allowed(&["GET", "PUT"], &parts.method)),
    }
}

pub(super) async fn teardown(master: &Master, parts: Parts, body: Body) -> Result<Response, Refusal> {
    let who = master.gate.identify(&parts.headers);
    if let Err(wrong_method) = check_method(&parts, &["POST"]) {
        return Ok(*wrong_method);
    }
    master.check_recovered()?;
    let bytes = body::read(body, &parts.headers, master.config.max_request_bytes).await?;
    let text = String::from_utf8_lossy(&bytes);
    let form = Query::parse(Some(&text))?;
    match form.get("frameworkId") {
        Some(id) => tear_down(master, &who, id.to_owned()).await,
        None => Err(Refusal::bad_request(
            "Missing 'frameworkId' query parameter in the request body",
        )),
    }
}

/// To the leader, which is this master.
pub(super) fn redirect(master: &Master) -> Response {
    let me = &master.me;
    let mut response = reply::empty(StatusCode::TEMPORARY_REDIRECT);
    let location = format!("//{}:{}", me.hostname, me.address.port());
    match HeaderValue::from_str(&location) {
        Ok(location) => {
            response.headers_mut().insert(LOCATION, location);
            response
        }
        Err(error) => broken(error).into(),
    }
}

/// `/logging/toggle`.
pub(super) fn logging(master: &Master, rest: &str, parts: &Parts) -> Result<Response, Refusal> {
    let who = master.gate.identify(&parts.headers);
    master.gate.check(&who, Action::SetLogLevel)?;
    toggle(&master.log_level, rest, &query(parts)?)
}
