//! The parts of a request that handlers look at.

use super::gate::{Action, Gate, Identity};
use super::refusal::Refused;
use http::header::ORIGIN;
use http::request::Parts;
use http::{HeaderMap, Method, Request};
use meseta_http::Body;
use meseta_http::listener::{Connection, Peer};
use meseta_http::path::{Query, percent_decode};
use meseta_service_core::app::AppId;
use serde_json::Value;
use std::sync::{Mutex, PoisonError};

/// Largest body: a thousand definitions of usual size fit several times.
const BODY_BYTES_MAX: usize = 10 * 1024 * 1024;

/// Bodies beyond this are parsed on a thread that may block: some milliseconds of work.
pub(super) const INLINE_BYTES_MAX: usize = 128 * 1024;

/// A request.
pub(super) struct Ask {
    parts: Parts,
    /// In a cell only because a body cannot be shared and a request is.
    body: Mutex<Option<Body>>,
    query: Query,
    who: Identity,
    gate: Gate,
}

impl Ask {
    pub(super) fn new(request: Request<Body>, gate: &Gate) -> Result<Ask, Refused> {
        let (parts, body) = request.into_parts();
        Ok(Ask {
            query: Query::parse(parts.uri.query())?,
            who: gate.identify(&parts.headers)?,
            gate: gate.clone(),
            parts,
            body: Mutex::new(Some(body)),
        })
    }

    pub(super) fn method(&self) -> &Method {
        &self.parts.method
    }

    /// Whether a browser asks what it may send from another site's page.
    pub(super) fn is_preflight(&self) -> bool {
        self.parts.headers.contains_key(ORIGIN)
    }

    pub(super) fn headers(&self) -> &HeaderMap {
        &self.parts.headers
    }

    /// The path, decoded.
    pub(super) fn path(&self) -> Result<String, Refused> {
        percent_decode(self.parts.uri.path(), false)
            .ok_or_else(|| Refused::bad("Malformed % escape in the path"))
    }

    /// The path as it was sent, for events.
    pub(super) fn uri(&self) -> &str {
        self.parts.uri.path()
    }

    /// The peer's address.
    pub(super) fn peer(&self) -> String {
        let peer = self.parts.extensions.get::<Peer>();
        peer.map_or_else(String::new, |peer| peer.0.ip().to_string())
    }

    /// The connection it came by.
    pub(super) fn connection(&self) -> Option<Connection> {
        self.parts.extensions.get::<Connection>().cloned()
    }

    /// A flag of the query: `true` in any case; anything else is false, nothing is `absent`.
    pub(super) fn flag(&self, name: &str, absent: bool) -> bool {
        self.query
            .get(name)
            .map_or(absent, |value| value.eq_ignore_ascii_case("true"))
    }

    /// The last value of a parameter.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.get(name)
    }

    /// All values of a parameter.
    pub(super) fn parameters<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.query.all(name)
    }

    /// Whether the caller may do something: for lists.
    pub(super) fn may(&self, action: Action<'_>) -> bool {
        self.gate.allows(&self.who, action)
    }

    /// Whether the caller may see an app, for lists that are written later.
    pub(super) fn viewer(&self) -> impl Fn(&AppId) -> bool + Send + 'static {
        let (gate, who) = (self.gate.clone(), self.who.clone());
        move |app| gate.allows(&who, Action::ViewApp(app))
    }

    /// Refuses what the caller may not do.
    pub(super) fn check(&self, action: Action<'_>) -> Result<(), Refused> {
        self.gate.check(&self.who, action)
    }

    /// The body as JSON. It is taken: a second call finds it empty.
    pub(super) async fn json(&mut self) -> Result<(Value, usize), Refused> {
        let body = self.body.get_mut().unwrap_or_else(PoisonError::into_inner);
        let body = body.take().unwrap_or_default();
        let bytes = meseta_http::body::read(body, &self.parts.headers, BODY_BYTES_MAX).await?;
        if bytes.is_empty() {
            return Err(Refused::no_json("the request has no body; JSON is expected"));
        }
        let length = bytes.len();
        let parsed = if length > INLINE_BYTES_MAX {
            tokio::task::spawn_blocking(move || serde_json::from_slice(&bytes))
                .await
                .map_err(Refused::broken)?
        } else {
            serde_json::from_slice(&bytes)
        };
        parsed
            .map(|value| (value, length))
            .map_err(|error| Refused::no_json(error.to_string()))
    }
}

/// The id in a path. What is no id names nothing.
pub(super) fn app_id(text: &str) -> Result<AppId, Refused> {
    AppId::parse(text, None).map_err(|_| Refused::no_app(text))
}
