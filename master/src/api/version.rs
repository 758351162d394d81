//! `/version` and GET_VERSION. Open to all, never redirected.

use super::query;
use crate::identity::{API_VERSION, MESETA_VERSION};
use crate::master::Master;
use http::request::Parts;
use meseta_http::{Refusal, Response, reply};
use meseta_proto::mesos::v1;
use serde::Serialize;

/// Keys in the order of the alphabet, as Mesos prints them; build facts only where the build knows them.
#[derive(Serialize)]
struct Version {
    #[serde(skip_serializing_if = "Option::is_none")]
    git_sha: Option<&'static str>,
    meseta_version: &'static str,
    version: &'static str,
}

/// The commit the program was built from, if the build said so.
pub(super) const GIT_SHA: Option<&str> = option_env!("MESETA_GIT_SHA");

pub(super) fn version(_master: &Master, parts: &Parts) -> Result<Response, Refusal> {
    let version = Version {
        git_sha: GIT_SHA,
        meseta_version: MESETA_VERSION,
        version: API_VERSION,
    };
    let body = serde_json::to_vec(&version).map_err(super::broken)?;
    Ok(reply::legacy_json(body, &query(parts)?, &parts.headers))
}

/// The answer to GET_VERSION.
pub(super) fn info() -> v1::VersionInfo {
    v1::VersionInfo {
        version: API_VERSION.to_owned(),
        git_sha: GIT_SHA.map(str::to_owned),
        ..v1::VersionInfo::default()
    }
}
