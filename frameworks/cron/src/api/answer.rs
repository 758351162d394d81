//! How answers look: 204 without a body, JSON on one line, plain text for graphs, and errors in the shape that Chronos's
//! clients read.

use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use meseta_cron_core::io::Refusal;
use meseta_http::{Body, Response};
use serde::Serialize;

#[derive(Serialize)]
struct Failure<'a> {
    message: &'a str,
    status: &'a str,
}

/// An error: one plain sentence, and the reason phrase.
pub(super) fn failure(status: StatusCode, message: &str) -> Response {
    let body = Failure {
        message,
        status: status.canonical_reason().unwrap_or("Error"),
    };
    let body = serde_json::to_vec(&body).unwrap_or_default();
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

/// 400.
pub(super) fn bad(message: &str) -> Response {
    failure(StatusCode::BAD_REQUEST, message)
}

/// 400 as well: Chronos never answered 404 for a job.
pub(super) fn not_found(name: &str) -> Response {
    bad(&format!("the job '{name}' was not found"))
}

/// What the engine refused.
pub(super) fn refused(refusal: &Refusal) -> Response {
    let status = match refusal {
        Refusal::NotStored(_) => StatusCode::SERVICE_UNAVAILABLE,
        Refusal::NotFound(_)
        | Refusal::RunNotFound(_)
        | Refusal::Graph(_)
        | Refusal::Disabled(_)
        | Refusal::TooManyChildren { .. }
        | Refusal::TooManyWaiting(_) => StatusCode::BAD_REQUEST,
    };
    failure(status, &refusal.to_string())
}

pub(super) fn no_content() -> Response {
    meseta_http::reply::empty(StatusCode::NO_CONTENT)
}

pub(super) fn text(text: String) -> Response {
    meseta_http::reply::text(StatusCode::OK, text)
}

/// JSON on one line: the synchronising script that came with Chronos reads only the first.
pub(super) fn json(value: &impl Serialize, headers: &HeaderMap) -> Response {
    // Texts, numbers and lists always have a JSON form.
    let bytes = serde_json::to_vec(value).unwrap_or_default();
    meseta_http::reply::typed("application/json", bytes.into(), headers)
}
