//! What operators need and the Mesos API does not have: `/meseta/v1/...`, beside the operator API and like it.

use super::{broken, check_method, query};
use crate::master::Master;
use http::StatusCode;
use http::request::Parts;
use meseta_http::gate::Action;
use meseta_http::{Body, MediaType, Refusal, Response, body, reply};
use meseta_master_core::explain::{Explanation, Standing};
use meseta_master_core::io::Input;
use meseta_proto::mesos::v1;
use meseta_proto::prost::Message;
use meseta_types::{FrameworkId, Mono, TaskId};
use std::time::Duration;

/// The body of `POST /meseta/v1/kill_task`.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct KillTask {
    framework_id: String,
    task_id: String,
    /// How long the task may take to end by itself; its own kill policy when absent.
    grace_seconds: Option<f64>,
}

/// Kills one task as its framework would: 202 once the order is on its way, 404 when there is no such live task.
pub(super) async fn kill_task(master: &Master, parts: Parts, body: Body) -> Result<Response, Refusal> {
    let who = master.gate.identify(&parts.headers);
    master.check_recovered()?;
    if let Err(wrong_method) = check_method(&parts, &["POST"]) {
        return Ok(*wrong_method);
    }
    let bytes = body::read(body, &parts.headers, master.config.max_request_bytes).await?;
    let wanted: KillTask = serde_json::from_slice(&bytes)
        .map_err(|why| Refusal::bad_request(format!("Failed to parse the body: {why}")))?;
    let framework_id = FrameworkId::as_written(&wanted.framework_id);
    master.gate.check(&who, Action::KillTask(&framework_id))?;
    let grace = match wanted.grace_seconds {
        None => None,
        Some(seconds) => Some(Duration::try_from_secs_f64(seconds).map_err(|_| {
            Refusal::bad_request("'grace_seconds' must be a number from 0 to some hundred years")
        })?),
    };
    let kill_policy = grace.map(|grace| v1::KillPolicy {
        grace_period: Some(v1::DurationInfo {
            nanoseconds: i64::try_from(grace.as_nanos()).unwrap_or(i64::MAX),
        }),
    });
    let input = move |request| Input::KillTask {
        request,
        framework_id,
        task_id: TaskId::as_written(&wanted.task_id),
        kill_policy: kill_policy
            .map(|policy| policy.encode_to_vec().into())
            .unwrap_or_default(),
        grace,
    };
    match master.intake.ask(bytes.len(), input).await? {
        Ok(()) => Ok(reply::empty(StatusCode::ACCEPTED)),
        Err(refused) => Err(super::core_refusal(&refused)),
    }
}

/// One message of `GET /meseta/v1/dropped`.
#[derive(Debug, serde::Serialize)]
struct Dropped<'a> {
    /// Seconds since the epoch.
    time: f64,
    /// The call's or message's name.
    what: &'a str,
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    framework_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent_id: Option<&'a str>,
}

/// What was refused or dropped without an answer to its sender, the latest last: what Mesos only logs.
pub(super) async fn dropped(master: &Master, parts: &Parts) -> Result<Response, Refusal> {
    allow_view(master, parts)?;
    master.check_recovered()?;
    let view = master.intake.view().await?;
    let dropped = view.notes.iter().map(|note| Dropped {
        time: note.wall.as_secs_f64(),
        what: note.what,
        reason: &note.reason,
        framework_id: note.framework_id.as_ref().map(|id| id.as_str()),
        agent_id: note.agent_id.as_ref().map(|id| id.as_str()),
    });
    json(&dropped.collect::<Vec<_>>(), parts)
}

/// One role of `GET /meseta/v1/why_no_offers`: agents counted by the first reason that keeps their offers away.
#[derive(Debug, serde::Serialize)]
struct WhyNoOffers<'a> {
    role: &'a str,
    standing: &'static str,
    inactive_agents: usize,
    nothing_free: usize,
    gpus: usize,
    other_region: usize,
    too_old: usize,
    below_minimum: usize,
    refused: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_refusal_ends_seconds: Option<f64>,
    offerable: usize,
    waits_for_agents_to_return: bool,
}

impl WhyNoOffers<'_> {
    fn of(explained: &Explanation, now: Mono) -> WhyNoOffers<'_> {
        WhyNoOffers {
            role: explained.role.as_str(),
            standing: match explained.standing {
                Standing::Waiting => "waiting",
                Standing::Suppressed => "suppressed",
                Standing::Inactive => "inactive",
                Standing::Unsubscribed => "unsubscribed",
            },
            inactive_agents: explained.inactive_agents,
            nothing_free: explained.nothing_free,
            gpus: explained.gpus,
            other_region: explained.other_region,
            too_old: explained.too_old,
            below_minimum: explained.below_minimum,
            refused: explained.refused,
            first_refusal_ends_seconds: explained
                .first_refusal_ends
                .map(|end| end.since(now).as_secs_f64()),
            offerable: explained.offerable,
            waits_for_agents_to_return: explained.held_off,
        }
    }
}

/// Why a framework gets no offers, role by role: `?framework_id=F`.
pub(super) async fn why_no_offers(master: &Master, parts: &Parts) -> Result<Response, Refusal> {
    allow_view(master, parts)?;
    master.check_recovered()?;
    let query = query(parts)?;
    let id = query
        .get("framework_id")
        .ok_or_else(|| Refusal::bad_request("Expecting 'framework_id=value' in query"))?;
    let explained = master.intake.explain(FrameworkId::as_written(id)).await?;
    let Some(explained) = explained else {
        return Err(Refusal::new(
            StatusCode::NOT_FOUND,
            "No framework found with specified ID",
        ));
    };
    let now = master.clock.now().mono;
    let roles: Vec<WhyNoOffers<'_>> = explained.iter().map(|of| WhyNoOffers::of(of, now)).collect();
    json(&roles, parts)
}

fn allow_view(master: &Master, parts: &Parts) -> Result<(), Refusal> {
    let who = master.gate.identify(&parts.headers);
    master.gate.check(&who, Action::ViewCluster)
}

fn json(answer: &impl serde::Serialize, parts: &Parts) -> Result<Response, Refusal> {
    let body = serde_json::to_vec(answer).map_err(broken)?;
    Ok(reply::content(MediaType::Json, body, &parts.headers))
}
