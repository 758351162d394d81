//! `/version` and GET_VERSION. Open to all, never redirected.

use super::query;
use crate::identity::{API_VERSION, MESETA_VERSION};
use http::request::Parts;
use meseta_http::{Refusal, Response, reply};
use meseta_proto::mesos::v1;
use serde::Serialize;

/// The commit the program was built from, where the build knew it.
pub(super) const GIT_SHA: Option<&str> = option_env!("MESETA_GIT_SHA");
/// When it was built.
pub(super) const BUILD_DATE: &str = env!("MESETA_BUILD_DATE");
/// By whom.
pub(super) const BUILD_USER: &str = env!("MESETA_BUILD_USER");

/// When it was built, in seconds since the epoch.
pub(super) fn build_time() -> f64 {
    env!("MESETA_BUILD_TIME").parse().unwrap_or(0.0)
}

/// Keys in the order of the alphabet, as Mesos prints them.
#[derive(Serialize)]
struct Version {
    build_date: &'static str,
    build_time: f64,
    build_user: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    git_sha: Option<&'static str>,
    meseta_version: &'static str,
    version: &'static str,
}

pub(super) fn version(parts: &Parts) -> Result<Response, Refusal> {
    let version = Version {
        build_date: BUILD_DATE,
        build_time: build_time(),
        build_user: BUILD_USER,
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
        build_date: Some(BUILD_DATE.to_owned()),
        build_time: Some(build_time()),
        build_user: Some(BUILD_USER.to_owned()),
        git_sha: GIT_SHA.map(str::to_owned),
        ..v1::VersionInfo::default()
    }
}
