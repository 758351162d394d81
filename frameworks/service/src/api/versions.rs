//! The history of an app.

use super::Inner;
use super::apps;
use super::ask::Ask;
use super::refusal::Refused;
use super::{reply, show};
use crate::view::AppView;
use http::StatusCode;
use meseta_http::Response;
use meseta_service_core::app::Version;
use serde_json::json;

/// `GET /v2/apps/{id}/versions`, newest first.
pub(super) async fn list(api: &Inner, ask: &Ask, id: &str) -> Result<Response, Refused> {
    let app = apps::find(api, ask, id).await?;
    let versions: Vec<String> = app
        .versions
        .keys()
        .rev()
        .map(|version| show::version(*version))
        .collect();
    Ok(reply::json(StatusCode::OK, &json!({"versions": versions})))
}

/// `GET /v2/apps/{id}/versions/{version}`.
pub(super) async fn show(api: &Inner, ask: &Ask, id: &str, text: &str) -> Result<Response, Refused> {
    let app = apps::find(api, ask, id).await?;
    let version = show::parse_version(text)
        .ok_or_else(|| Refused::argument(format!("'{text}' is not a version: a time stamp is expected")))?;
    let spec = app.versions.get(&version);
    let spec = spec.ok_or_else(|| Refused::no_version(&app.spec.id, text))?;
    let mut out = Vec::new();
    show::app::write_definition(&mut out, spec, scaled_at(&app, version));
    Ok(reply::raw_json(StatusCode::OK, out))
}

/// When the number of instances of a version was set, as far as the kept versions tell.
fn scaled_at(app: &AppView, version: Version) -> Version {
    let mut at = version;
    let Some(instances) = app.versions.get(&version).map(|spec| spec.instances) else {
        return at;
    };
    for (earlier, spec) in app.versions.range(..version).rev() {
        if spec.instances != instances {
            break;
        }
        at = *earlier;
    }
    at
}
