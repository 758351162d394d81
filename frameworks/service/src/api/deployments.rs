//! Deployments under way.

use super::Inner;
use super::ask::Ask;
use super::gate::Action;
use super::refusal::Refused;
use super::{reply, show};
use http::StatusCode;
use meseta_http::{Body, Response};
use meseta_service_core::io::Call;
use meseta_service_core::plan::DeploymentId;
use std::sync::Arc;

/// `GET /v2/deployments`.
pub(super) async fn list(api: &Inner, ask: &Ask) -> Result<Response, Refused> {
    ask.check(Action::ViewDeployments)?;
    let view = api.handle.view().await?;
    let all: Vec<_> = view
        .deployments
        .values()
        .filter(|deployment| {
            deployment
                .plan
                .apps()
                .iter()
                .all(|app| ask.may(Action::ViewApp(app)))
        })
        .map(|deployment| show::deployment::listed(deployment, &view))
        .collect();
    Ok(reply::json(StatusCode::OK, &all))
}

/// `DELETE /v2/deployments/{id}`: undone by another deployment, or dropped where it stands.
pub(super) async fn cancel(api: &Inner, ask: &Ask, id: &str) -> Result<Response, Refused> {
    ask.check(Action::UpdateDeployments)?;
    let deployment = DeploymentId(Arc::from(id));
    let force = ask.flag("force", false);
    let answer = api.handle.call(Call::Cancel { deployment, force }).await?;
    if force {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::ACCEPTED;
        return Ok(response);
    }
    Ok(reply::deployment(StatusCode::OK, &answer))
}
