//! How an answer looks: JSON, the fixed headers, compression.

use super::refusal::Refused;
use futures_util::FutureExt;
use http::header::{
    ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE, CACHE_CONTROL,
    CONTENT_ENCODING, CONTENT_TYPE, EXPIRES, HeaderMap, HeaderName, HeaderValue, LOCATION, ORIGIN, PRAGMA,
    VARY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS, X_XSS_PROTECTION,
};
use http::{Request, StatusCode};
use http_body::Body as _;
use http_body_util::BodyExt;
use meseta_http::{Body, Response};
use meseta_service_core::io::Answer;
use serde::Serialize;

/// Header of every answer that begins a deployment.
const DEPLOYMENT_ID: HeaderName = HeaderName::from_static("marathon-deployment-id");

/// Header of every answer: where the leader is.
const LEADER: HeaderName = HeaderName::from_static("x-marathon-leader");

/// What of a request decides how its answer leaves.
pub(super) struct Head {
    accepts_gzip: bool,
    /// The site of the page that asks.
    origin: Option<HeaderValue>,
}

impl Head {
    pub(super) fn of(request: &Request<Body>) -> Head {
        Head {
            accepts_gzip: meseta_http::negotiate::accepts_gzip(request.headers()),
            origin: request.headers().get(ORIGIN).cloned(),
        }
    }
}

/// An answer as JSON.
pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(bytes) => raw_json(status, bytes),
        Err(error) => Refused::broken(error).into(),
    }
}

/// An answer that is JSON already.
pub(super) fn raw_json(status: StatusCode, bytes: Vec<u8>) -> Response {
    with_type(status, "application/json", Body::from(bytes))
}

/// An answer of any type.
pub(super) fn with_type(status: StatusCode, media: &'static str, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(media));
    response
}

/// The answer to a call that began a deployment.
pub(super) fn deployment(status: StatusCode, answer: &Answer) -> Response {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct DeploymentResult<'a> {
        version: String,
        deployment_id: &'a str,
    }
    let Answer::Deployment { id, version, .. } = answer else {
        return Refused::broken("a call that changes apps was answered without a deployment").into();
    };
    let result = DeploymentResult {
        version: super::show::version(*version),
        deployment_id: &id.0,
    };
    with_deployment(json(status, &result), &id.0)
}

/// Names the deployment in the answer's header.
pub(super) fn with_deployment(mut response: Response, id: &str) -> Response {
    set(&mut response, DEPLOYMENT_ID, id);
    response
}

/// Names what was created.
pub(super) fn with_location(mut response: Response, location: &str) -> Response {
    set(&mut response, LOCATION, location);
    response
}

fn set(response: &mut Response, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

/// Adds what every answer has, and compresses a whole one when the client reads that. Streams compress themselves.
pub(super) fn finish(response: Response, head: &Head, leader: &str, origins: &[String]) -> Response {
    let mut response = if head.accepts_gzip {
        compressed(response)
    } else {
        response
    };
    let headers: [(HeaderName, &'static str); 6] = [
        (X_FRAME_OPTIONS, "DENY"),
        (X_XSS_PROTECTION, "1; mode=block"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (CACHE_CONTROL, "no-cache, no-store, must-revalidate"),
        (PRAGMA, "no-cache"),
        (EXPIRES, "0"),
    ];
    for (name, value) in headers {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    set(&mut response, LEADER, &format!("http://{leader}"));
    if let Some(origin) = &head.origin
        && origins
            .iter()
            .any(|allowed| allowed == "*" || allowed.as_bytes() == origin.as_bytes())
    {
        let headers = response.headers_mut();
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.insert(VARY, HeaderValue::from_static("Origin"));
    }
    response
}

/// The answer to a browser that asks what a page of another site may do: read, if its site is allowed.
pub(super) fn preflight() -> Response {
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.insert(
        ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static("GET, HEAD, OPTIONS"),
    );
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    response
}

fn compressed(response: Response) -> Response {
    let whole = response.body().size_hint().exact().unwrap_or(0);
    let fits = (meseta_http::reply::GZIP_MIN_BYTES as u64..=GZIP_WHOLE_MAX).contains(&whole);
    if !fits || response.headers().contains_key(CONTENT_ENCODING) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    // A body of known size is in memory already: its one frame is there at once.
    let Some(Ok(whole)) = body.collect().now_or_never() else {
        parts.status = StatusCode::INTERNAL_SERVER_ERROR;
        return Response::from_parts(parts, Body::empty());
    };
    let bytes = whole.to_bytes();
    let body = match super::stream::gzip(&bytes) {
        Some(packed) => {
            parts
                .headers
                .insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            Body::from(packed)
        }
        None => Body::from(bytes),
    };
    Response::from_parts(parts, body)
}

/// Whole answers beyond this are sent as they are: compressing them would hold up the other requests of a thread. Lists
/// are streams and compressed piece by piece.
const GZIP_WHOLE_MAX: u64 = 1024 * 1024;

/// Whether a request names text before JSON among what it accepts.
pub(super) fn wants_text(headers: &HeaderMap) -> bool {
    let accepted = headers
        .get_all(http::header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let first = accepted
        .flat_map(|value| value.split(','))
        .map(|range| range.split(';').next().unwrap_or_default().trim())
        .find(|range| ["application/json", "application/*", "*/*", "text/plain", "text/*"].contains(range));
    first.is_some_and(|range| range.starts_with("text/"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn text_is_answered_only_to_those_who_ask_for_it_before_json() {
        for (accept, text) in [
            ("text/plain", true),
            ("text/plain, application/json", true),
            ("text/plain;q=0.9, */*", true),
            ("application/json, text/plain", false),
            ("*/*", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(http::header::ACCEPT, accept.parse().unwrap());
            assert_eq!(wants_text(&headers), text, "{accept}");
        }
        assert!(!wants_text(&HeaderMap::new()));
    }
}
