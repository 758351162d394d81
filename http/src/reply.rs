//! How answers look: plain text for errors, the chosen type for content, nothing for nothing.
//!
//! Errors are never JSON; an answer without content has neither body nor `Content-Type`.

use crate::negotiate::{MediaType, accepts_gzip};
use crate::{Body, Response};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{ALLOW, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Method, StatusCode};
use std::borrow::Cow;
use std::io::Write;

/// Bodies below this many bytes are never compressed: the saving is less than the header.
pub const GZIP_MIN_BYTES: usize = 1024;

/// An answer that refuses: a status and a text for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The status.
    pub status: StatusCode,
    /// The whole body.
    pub text: Cow<'static, str>,
}

impl Refusal {
    /// Any status with a text.
    pub fn new(status: StatusCode, text: impl Into<Cow<'static, str>>) -> Refusal {
        Refusal {
            status,
            text: text.into(),
        }
    }

    /// 400: the request cannot be understood.
    pub fn bad_request(text: impl Into<Cow<'static, str>>) -> Refusal {
        Refusal::new(StatusCode::BAD_REQUEST, text)
    }

    /// 415: the body has a type that is not read here.
    pub fn unsupported(text: impl Into<Cow<'static, str>>) -> Refusal {
        Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, text)
    }

    /// 406: the client reads nothing that is written here.
    pub fn not_acceptable(text: impl Into<Cow<'static, str>>) -> Refusal {
        Refusal::new(StatusCode::NOT_ACCEPTABLE, text)
    }

    /// 403.
    pub fn forbidden(text: impl Into<Cow<'static, str>>) -> Refusal {
        Refusal::new(StatusCode::FORBIDDEN, text)
    }

    /// 503: not now.
    pub fn unavailable(text: impl Into<Cow<'static, str>>) -> Refusal {
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, text)
    }

    /// A status with its default text, `404 Not Found.`.
    pub fn standard(status: StatusCode) -> Refusal {
        Refusal::new(
            status,
            format!(
                "{} {}.",
                status.as_u16(),
                status.canonical_reason().unwrap_or("Unknown")
            ),
        )
    }
}

impl From<Refusal> for Response {
    fn from(refusal: Refusal) -> Response {
        text(refusal.status, refusal.text)
    }
}

impl axum::response::IntoResponse for Refusal {
    fn into_response(self) -> Response {
        self.into()
    }
}

/// A text for people.
pub fn text(status: StatusCode, text: impl Into<Cow<'static, str>>) -> Response {
    let body = match text.into() {
        Cow::Borrowed(s) => Bytes::from_static(s.as_bytes()),
        Cow::Owned(s) => Bytes::from(s),
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}

/// A status and nothing else.
pub fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// 404 with its default text.
pub fn not_found() -> Response {
    Refusal::standard(StatusCode::NOT_FOUND).into()
}

/// 405 with the allowed methods in header and text.
pub fn method_not_allowed(allowed: &[&str], got: &Method) -> Response {
    let list = allowed
        .iter()
        .map(|m| format!("'{m}'"))
        .collect::<Vec<_>>()
        .join(", ");
    let mut response = text(
        StatusCode::METHOD_NOT_ALLOWED,
        format!("405 Method Not Allowed. Expecting one of {{ {list} }}, but received '{got}'."),
    );
    if let Ok(value) = HeaderValue::from_str(&allowed.join(", ")) {
        response.headers_mut().insert(ALLOW, value);
    }
    response
}

/// 200 with content, compressed when the client asked for it and it is worth it. `request` are its headers.
pub fn content(media: MediaType, body: impl Into<Bytes>, request: &HeaderMap) -> Response {
    typed(media.as_str(), body.into(), request)
}

/// As [`content`] for any media type.
pub fn typed(content_type: &'static str, body: Bytes, request: &HeaderMap) -> Response {
    let compressed = (body.len() >= GZIP_MIN_BYTES && accepts_gzip(request))
        .then(|| gzip(&body))
        .flatten();
    let encoded = compressed.is_some();
    let mut response = Response::new(Body::from(compressed.unwrap_or(body)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    if encoded {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

fn gzip(body: &[u8]) -> Option<Bytes> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
    encoder.write_all(body).ok()?;
    encoder.finish().ok().map(Bytes::from)
}

/// A JSON answer of the old read endpoints: with `jsonp=NAME` in the query it becomes a call of that function.
///
/// The name is checked (letters, digits, `_`, `.`, `$`): Mesos takes any text, which lets a link run script of its
/// author's choice.
pub fn legacy_json(body: Vec<u8>, query: &crate::path::Query, request: &HeaderMap) -> Response {
    let Some(name) = query.get("jsonp") else {
        return content(MediaType::Json, body, request);
    };
    let fits = !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'$'));
    if !fits {
        return Refusal::bad_request("Expecting 'jsonp' to consist of letters, digits, '_', '.' and '$'")
            .into();
    }
    let mut script = Vec::with_capacity(name.len() + body.len() + 2);
    script.extend_from_slice(name.as_bytes());
    script.push(b'(');
    script.extend_from_slice(&body);
    script.push(b')');
    typed("text/javascript", script.into(), request)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn default_texts_name_the_status() {
        assert_eq!(Refusal::standard(StatusCode::NOT_FOUND).text, "404 Not Found.");
        let response = method_not_allowed(&["POST"], &Method::GET);
        assert_eq!(response.headers()[ALLOW], "POST");
    }

    #[test]
    fn small_bodies_are_never_compressed() {
        let mut request = HeaderMap::new();
        request.insert(http::header::ACCEPT_ENCODING, "gzip".parse().unwrap());
        let small = content(MediaType::Json, vec![b'x'; 1023], &request);
        assert!(!small.headers().contains_key(CONTENT_ENCODING));
        let large = content(MediaType::Json, vec![b'x'; 1024], &request);
        assert_eq!(large.headers()[CONTENT_ENCODING], "gzip");
    }

    #[test]
    fn a_jsonp_name_cannot_carry_script() {
        let query = crate::path::Query::parse(Some("jsonp=alert(1)//")).unwrap();
        let response = legacy_json(b"{}".to_vec(), &query, &HeaderMap::new());
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    }
}
