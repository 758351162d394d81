//! Chronos's REST API, in both of its dialects: below `/v1/scheduler` and below `/scheduler`, with the same handlers.
//!
//! Success without a body is 204, an unknown job is 400, and every error is JSON with one plain sentence: clients lean on
//! all three.

mod graph;
mod jobs;

use crate::definition::Defaults;
use crate::owner::{Ask, View};
use base64::Engine as _;
use http::{HeaderMap, Method, Request, StatusCode, header};
use jiff::Timestamp;
use meseta_cron_core::io::{Answer, Call, Refusal};
use meseta_cron_core::job::{Dialect, JobName};
use meseta_http::path::{Query, percent_decode};
use meseta_http::{Body, Response};
use serde::Serialize;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// Largest request body: a job with a thousand variables is far below it.
const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Deepest nesting of a request; jobs have three levels.
const DEPTH_MAX: usize = 64;

/// Shared by all requests.
pub(crate) struct Api {
    pub(crate) asks: mpsc::Sender<Ask>,
    pub(crate) defaults: Defaults,
    pub(crate) wall: fn() -> Timestamp,
    /// `host:port` told as the leader.
    pub(crate) address: String,
    /// `user:password`, if every request must show them.
    pub(crate) credentials: Option<String>,
    pub(crate) history_limit: usize,
}

/// A request, taken apart.
pub(crate) struct Ctx<'a> {
    pub(crate) dialect: Dialect,
    pub(crate) query: Query,
    pub(crate) headers: &'a HeaderMap,
}

type Outcome = Result<Response, Response>;

impl Api {
    /// Answers a request. CORS is open, as it always was; the content type of writes is what keeps foreign pages out.
    pub(crate) async fn handle(self: Arc<Api>, request: Request<Body>) -> Response {
        let mut response = match self.route(request).await {
            Ok(response) | Err(response) => response,
        };
        let any = header::HeaderValue::from_static("*");
        response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, any);
        response
    }

    async fn route(&self, request: Request<Body>) -> Outcome {
        self.authenticate(request.headers())?;
        let (parts, body) = request.into_parts();
        let query = Query::parse(parts.uri.query()).map_err(|_| bad("the query cannot be decoded"))?;
        let segments: Option<Vec<String>> =
            parts.uri.path().split('/').skip(1).map(|segment| percent_decode(segment, false)).collect();
        let segments = segments.ok_or_else(|| bad("the path cannot be decoded"))?;
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let (dialect, path) = match segments.as_slice() {
            ["v1", "scheduler", path @ ..] => (Dialect::V3, path),
            ["scheduler", path @ ..] => (Dialect::V2, path),
            ["ping"] if parts.method == Method::GET => return Ok(text("pong".to_owned())),
            ["leader"] => (Dialect::V3, &segments[..]),
            ["metrics"] => return self.metrics(&parts.headers).await,
            _ => return Err(failure(StatusCode::NOT_FOUND, "there is nothing at this path")),
        };
        let path: Vec<&str> = path.iter().copied().filter(|segment| !segment.is_empty()).collect();
        if parts.method == Method::OPTIONS {
            return Ok(no_content());
        }
        let ctx = Ctx { dialect, query, headers: &parts.headers };
        self.dispatch(&parts.method, &path, ctx, body).await
    }

    async fn dispatch(&self, method: &Method, path: &[&str], ctx: Ctx<'_>, body: Body) -> Outcome {
        let is = |wanted: &Method| method == wanted;
        let get = is(&Method::GET) || is(&Method::HEAD);
        let write = is(&Method::POST) || is(&Method::PUT);
        match path {
            ["jobs"] if get => self.jobs(&ctx).await,
            ["jobs", "search"] if get => self.search(&ctx).await,
            ["jobs", "summary"] if get => self.summary(&ctx).await,
            ["job", name] if get => self.job(&ctx, name).await,
            ["iso8601" | "dependency"] if write => self.put(&ctx, body).await,
            ["job", "success", name] if is(&Method::PUT) => self.mark_success(name).await,
            ["job", "stat", name] if get => self.stat(&ctx, name).await,
            ["job", name] if is(&Method::PUT) => {
                let arguments = ctx.query.get("arguments").map(Arc::from);
                self.done(Call::Start { name: JobName::recorded(name), arguments }).await
            }
            ["job", name] if is(&Method::DELETE) => self.done(Call::Delete(JobName::recorded(name))).await,
            ["task", "kill", name] if is(&Method::DELETE) => self.done(Call::Kill(JobName::recorded(name))).await,
            ["task", id] if is(&Method::PUT) => self.callback(id, &ctx, body).await,
            ["graph", "dot"] if get => Ok(text(graph::dot(&*self.view().await?))),
            ["graph", "csv"] if get => Ok(text(graph::csv(&*self.view().await?))),
            ["stats", which] if get => self.stats(&ctx, which).await,
            ["leader"] if get => Ok(json(&serde_json::json!({ "leader": self.address }), ctx.headers)),
            ["jobs" | "iso8601" | "dependency" | "leader", ..]
            | ["job" | "stats" | "graph", _]
            | ["job", _, _]
            | ["task", ..] => Err(failure(StatusCode::METHOD_NOT_ALLOWED, "this path does not take this method")),
            _ => Err(failure(StatusCode::NOT_FOUND, "there is nothing at this path")),
        }
    }

    fn authenticate(&self, headers: &HeaderMap) -> Result<(), Response> {
        let Some(wanted) = &self.credentials else { return Ok(()) };
        let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let shown = shown.and_then(|value| value.strip_prefix("Basic "));
        let shown = shown.and_then(|code| base64::engine::general_purpose::STANDARD.decode(code.trim()).ok());
        if shown.is_some_and(|shown| same(&shown, wanted.as_bytes())) {
            return Ok(());
        }
        let mut response = failure(StatusCode::UNAUTHORIZED, "a user and a password are needed");
        let challenge = header::HeaderValue::from_static("Basic realm=\"Chronos\"");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        Err(response)
    }

    pub(crate) async fn view(&self) -> Result<Arc<View>, Response> {
        let (reader, view) = oneshot::channel();
        self.asks.send(Ask::View(reader)).await.map_err(|_| stopping())?;
        view.await.map_err(|_| stopping())
    }

    pub(crate) async fn call(&self, call: Call) -> Result<Answer, Response> {
        let (caller, answer) = oneshot::channel();
        self.asks.send(Ask::Call(call, caller)).await.map_err(|_| stopping())?;
        answer.await.map_err(|_| stopping())?.map_err(|refusal| refused(&refusal))
    }

    async fn done(&self, call: Call) -> Outcome {
        self.call(call).await.map(|_| no_content())
    }

    /// The JSON of a body; anything that is declared as something else is refused.
    pub(crate) async fn body(&self, ctx: &Ctx<'_>, body: Body) -> Result<serde_json::Value, Response> {
        let declared = ctx.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let is_json = declared.is_some_and(|value| {
            value.split(';').next().is_some_and(|media| media.trim().eq_ignore_ascii_case("application/json"))
        });
        if !is_json {
            let why = "the content type must be application/json";
            return Err(failure(StatusCode::UNSUPPORTED_MEDIA_TYPE, why));
        }
        let bytes = meseta_http::body::read(body, ctx.headers, BODY_BYTES_MAX).await;
        let bytes = bytes.map_err(|refusal| {
            let response = Response::from(refusal);
            failure(response.status(), "the body could not be read, or is larger than 4 MiB")
        })?;
        if depth(&bytes) > DEPTH_MAX {
            return Err(bad(&format!("the body is nested deeper than {DEPTH_MAX} levels")));
        }
        serde_json::from_slice(&bytes).map_err(|error| bad(&format!("the body is no JSON: {error}")))
    }
}

/// Compares without telling by its time how much is right.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

/// How deep brackets are nested, texts left out.
fn depth(bytes: &[u8]) -> usize {
    let (mut now, mut most, mut in_text, mut escaped) = (0usize, 0usize, false, false);
    for byte in bytes {
        match (in_text, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (true, b'"') => in_text = false,
            (true, _) => {}
            (false, b'"') => in_text = true,
            (false, b'[' | b'{') => {
                now += 1;
                most = most.max(now);
            }
            (false, b']' | b'}') => now = now.saturating_sub(1),
            (false, _) => {}
        }
    }
    most
}

#[derive(Serialize)]
struct Failure<'a> {
    message: &'a str,
    status: &'a str,
}

/// An error in the shape that clients read.
pub(crate) fn failure(status: StatusCode, message: &str) -> Response {
    let body = Failure { message, status: status.canonical_reason().unwrap_or("Error") };
    let body = serde_json::to_vec(&body).unwrap_or_default();
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    response
}

pub(crate) fn bad(message: &str) -> Response {
    failure(StatusCode::BAD_REQUEST, message)
}

fn stopping() -> Response {
    failure(StatusCode::SERVICE_UNAVAILABLE, "the framework is stopping")
}

fn refused(refusal: &Refusal) -> Response {
    let status = match refusal {
        Refusal::NotStored(_) => StatusCode::SERVICE_UNAVAILABLE,
        Refusal::NotFound(_)
        | Refusal::RunNotFound(_)
        | Refusal::Graph(_)
        | Refusal::Disabled(_)
        | Refusal::TooManyWaiting(_) => StatusCode::BAD_REQUEST,
    };
    failure(status, &refusal.to_string())
}

pub(crate) fn no_content() -> Response {
    meseta_http::reply::empty(StatusCode::NO_CONTENT)
}

pub(crate) fn text(text: String) -> Response {
    meseta_http::reply::text(StatusCode::OK, text)
}

/// JSON on one line: the synchronising script that came with Chronos reads only the first.
pub(crate) fn json(value: &impl Serialize, headers: &HeaderMap) -> Response {
    let bytes = serde_json::to_vec(value).unwrap_or_default();
    meseta_http::reply::typed("application/json", bytes.into(), headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_in_texts_do_not_count() {
        assert_eq!(depth(br#"{"a":["[[[\"[["]}"#), 2);
        assert_eq!(depth("[".repeat(100_000).as_bytes()), 100_000);
    }
}
