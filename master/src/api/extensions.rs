//! What operators need and the Mesos API does not have: `/meseta/v1/...`, beside the operator API and like it.

use super::check_method;
use crate::gate::Action;
use crate::master::Master;
use http::StatusCode;
use http::request::Parts;
use meseta_http::{Body, Refusal, Response, body, reply};
use meseta_master_core::io::Input;
use meseta_proto::mesos::v1;
use meseta_proto::prost::Message;
use meseta_types::{FrameworkId, TaskId};
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
    if !master.gate.allows(&who, Action::KillTask(&framework_id)) {
        return Err(Refusal::standard(StatusCode::FORBIDDEN));
    }
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
