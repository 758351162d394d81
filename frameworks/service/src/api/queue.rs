//! What waits to be launched, and why.

use super::Inner;
use super::ask::{Ask, app_id};
use super::gate::Action;
use super::refusal::Refused;
use super::{reply, show};
use http::StatusCode;
use meseta_http::{Body, Response};
use meseta_service_core::io::{Call, Refusal};

/// `GET /v2/queue`.
pub(super) async fn list(api: &Inner, ask: &Ask) -> Result<Response, Refused> {
    ask.check(Action::ViewDeployments)?;
    let offers = ask.parameters("embed").any(|value| value == "lastUnusedOffers");
    let entries = api.handle.queue().await?;
    let now = api.now();
    let role = &api.settings.rules.role;
    let mut out = b"{\"queue\":[".to_vec();
    let shown = entries
        .iter()
        .filter(|entry| ask.may(Action::ViewApp(&entry.spec.id)));
    for (index, entry) in shown.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        show::queue::write(&mut out, entry, offers, role, now);
        // Ten thousand waiting apps are some ten milliseconds of work.
        if index % 256 == 255 {
            tokio::task::yield_now().await;
        }
    }
    out.extend_from_slice(b"]}");
    Ok(reply::raw_json(StatusCode::OK, out))
}

/// `DELETE /v2/queue/{id}/delay`.
pub(super) async fn reset_delay(api: &Inner, ask: &Ask, id: &str) -> Result<Response, Refused> {
    let not_there = || Refused::not_found(format!("Application {id} not found in tasks queue."));
    let app = app_id(id).map_err(|_| not_there())?;
    ask.check(Action::UpdateApp(&app))?;
    match api.handle.call(Call::ResetDelay(app)).await {
        Err(crate::owner::CallError::Refused(Refusal::NotInQueue(_))) => Err(not_there()),
        Err(error) => Err(error.into()),
        Ok(_) => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NO_CONTENT;
            Ok(response)
        }
    }
}
