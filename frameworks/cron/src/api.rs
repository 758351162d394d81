//! Chronos's REST API, in both of its dialects: below `/v1/scheduler` and below `/scheduler`, with the same handlers.
//!
//! Success without a body is 204, an unknown job is 400, and every error is JSON with one plain sentence: clients lean on
//! all three. Beside it are a few paths of our own: what Chronos could not tell (`history`, `run`, `next`, `why`,
//! `overview`) and what it could not do in one step (`pause`, `resume`, `run`).

mod answer;
mod graph;
mod jobs;
mod metrics;
mod next;
mod rows;
mod runs;
mod stats;
mod why;

use crate::board::Board;
use crate::definition::{Defaults, Fields, fault};
use crate::gate::{Action, Gate, Identity};
use crate::job;
use crate::numbers::Numbers;
use crate::owner::{Ask, Look};
use answer::{bad, failure, json, no_content, not_found, refused, text};
use http::header::{self, HeaderValue};
use http::{HeaderMap, Method, Request, StatusCode};
use jiff::Timestamp;
use meseta_cron_core::io::{Answer, Call};
use meseta_cron_core::job::{Dialect, JobName};
use meseta_cron_core::run::RunId;
use meseta_http::inbox::Inbox;
use meseta_http::path::{Query, percent_decode};
use meseta_http::{Body, Response};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// Largest request body: definitions are bounded at 256 KiB, and JSON may be written wastefully.
const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Deepest nesting of a request; jobs have five levels.
const DEPTH_MAX: usize = 64;

/// Shared by all requests.
pub(crate) struct Api {
    pub(crate) asks: Inbox<Ask>,
    pub(crate) looks: mpsc::Sender<Look>,
    pub(crate) numbers: Arc<Numbers>,
    pub(crate) gate: Gate,
    pub(crate) defaults: Defaults,
    pub(crate) wall: fn() -> Timestamp,
    /// `host:port` told as the leader.
    pub(crate) address: String,
    pub(crate) framework_id: String,
    /// Entries that `job/stat` shows.
    pub(crate) stat_limit: usize,
}

/// A request, taken apart.
struct Ctx<'a> {
    who: Identity,
    dialect: Dialect,
    query: Query,
    headers: &'a HeaderMap,
}

type Outcome = Result<Response, Response>;

impl Api {
    /// Answers a request. Reading is open to every page, as it always was; the content type of writes, and that no
    /// method is allowed to foreign pages, is what keeps them from writing.
    pub(crate) async fn handle(self: Arc<Api>, request: Request<Body>) -> Response {
        let mut response = match self.route(request).await {
            Ok(response) | Err(response) => response,
        };
        let any = HeaderValue::from_static("*");
        response
            .headers_mut()
            .insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, any);
        response
    }

    async fn route(&self, request: Request<Body>) -> Outcome {
        let (parts, body) = request.into_parts();
        if parts.method == Method::OPTIONS {
            return Ok(no_content());
        }
        let Some(who) = self.gate.identify(&parts.headers) else {
            return Err(challenge());
        };
        let query = Query::parse(parts.uri.query())
            .map_err(|_| bad("the query holds a percent code that is none"))?;
        let segments = parts.uri.path().split('/').filter(|segment| !segment.is_empty());
        let segments: Option<Vec<String>> = segments.map(|segment| percent_decode(segment, false)).collect();
        let segments = segments.ok_or_else(|| bad("the path holds a percent code that is none"))?;
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let (dialect, path) = match segments.as_slice() {
            ["v1", "scheduler", path @ ..] => (Dialect::V3, path),
            ["scheduler", path @ ..] => (Dialect::V2, path),
            ["ping" | "leader" | "metrics", ..] | ["meseta", "v1", "last_inputs"] => {
                (Dialect::V3, &segments[..])
            }
            _ => return Err(nothing_here()),
        };
        let ctx = Ctx {
            who,
            dialect,
            query,
            headers: &parts.headers,
        };
        let allowed = methods(path);
        if allowed.is_empty() {
            return Err(nothing_here());
        }
        // HEAD is GET without its body; the server leaves that out.
        let method = if parts.method == Method::HEAD {
            &Method::GET
        } else {
            &parts.method
        };
        if !allowed.contains(method) {
            return Err(wrong_method(&allowed));
        }
        if method == Method::GET {
            self.may(&ctx, Action::View)?;
            self.read(path, &ctx).await
        } else {
            self.write(method, path, &ctx, body).await
        }
    }

    async fn read(&self, path: &[&str], ctx: &Ctx<'_>) -> Outcome {
        match path {
            ["ping"] => Ok(text("pong".to_owned())),
            ["meseta", "v1", "last_inputs"] => self.last_inputs(ctx).await,
            ["leader"] => Ok(json(&serde_json::json!({ "leader": self.address }), ctx.headers)),
            ["metrics"] => self.metrics(ctx, false).await,
            ["metrics", "prometheus"] => self.metrics(ctx, true).await,
            ["jobs"] => self.jobs(ctx).await,
            ["jobs", "search"] => self.search(ctx).await,
            ["jobs", "summary"] => self.summary(ctx).await,
            ["jobs", "overview"] => self.overview(ctx).await,
            ["overview", name] => self.overview_of(ctx, name).await,
            ["job", "stat", name] => self.stat(ctx, name).await,
            ["job", name] => self.job(ctx, name).await,
            ["graph", "dot"] => self.graph(graph::dot).await,
            ["graph", "csv"] => self.graph(graph::csv).await,
            ["stats", which] => self.stats(ctx, which).await,
            ["history", name] => self.history(ctx, name).await,
            ["run", id] => self.run(ctx, id).await,
            ["next"] => self.next_of_text(ctx),
            ["next", name] => self.next(ctx, name).await,
            ["why", name] => self.why(ctx, name).await,
            _ => Err(nothing_here()),
        }
    }

    async fn write(&self, method: &Method, path: &[&str], ctx: &Ctx<'_>, body: Body) -> Outcome {
        let put = method == Method::PUT;
        match path {
            ["iso8601" | "dependency"] => self.put(ctx, body).await,
            ["job", "success", name] => self.mark_success(ctx, name).await,
            ["job", name] if put => self.start(ctx, name).await,
            ["job", name] => {
                let name = JobName::recorded(name);
                self.may(ctx, Action::DeleteJob(&name))?;
                self.done(Call::Delete(name)).await
            }
            ["run", name] => self.start_and_tell(ctx, name, body).await,
            ["pause", name] => self.pause(ctx, name, true).await,
            ["resume", name] => self.pause(ctx, name, false).await,
            ["task", "kill", name] => {
                let name = JobName::recorded(name);
                self.may(ctx, Action::KillTasks(&name))?;
                self.done(Call::Kill(name)).await
            }
            ["task", "all"] if !put => {
                self.may(ctx, Action::Purge)?;
                while self.call(Call::Purge).await? == (Answer::Purged { all: false }) {}
                Ok(no_content())
            }
            ["task", id] if put => self.callback(ctx, id, body).await,
            ["job", name, "task", id, "progress"] => self.progress(ctx, name, id, body).await,
            _ => Err(nothing_here()),
        }
    }

    /// With thousands of jobs this is long enough to hold up others.
    async fn graph(&self, print: fn(&Board) -> String) -> Outcome {
        let board = self.board().await?;
        jobs::aside(move || text(print(&board))).await
    }

    async fn pause(&self, ctx: &Ctx<'_>, name: &str, disabled: bool) -> Outcome {
        let name = JobName::recorded(name);
        self.may(ctx, Action::PauseJob(&name))?;
        self.done(Call::Disable { name, disabled }).await
    }

    async fn callback(&self, ctx: &Ctx<'_>, id: &str, body: Body) -> Outcome {
        self.may(ctx, Action::Report)?;
        let body = self.body(ctx, body).await?;
        let code = body.get("statusCode").and_then(serde_json::Value::as_i64);
        let code = code.ok_or_else(|| bad("statusCode: must be a number, 0 for success"))?;
        let run = RunId::written(id);
        self.done(Call::Callback {
            run,
            success: code == 0,
        })
        .await
    }

    /// A run says how many elements more it has processed.
    async fn progress(&self, ctx: &Ctx<'_>, name: &str, id: &str, body: Body) -> Outcome {
        self.may(ctx, Action::Report)?;
        let body = self.body(ctx, body).await?;
        let field = "numAdditionalElementsProcessed";
        let more = Fields::of(&body).and_then(|fields| {
            let more = fields.count(field)?;
            more.ok_or_else(|| fault(field, "must be a number from 0 up"))
        });
        let elements = more.map_err(|fault| bad(&fault.to_string()))?;
        let name = JobName::recorded(name);
        let board = self.board().await?;
        let seen = board.get(&name).ok_or_else(|| not_found(name.as_str()))?;
        if !job::definition(&seen.job).data_processing_job_type {
            let why = format!("the job '{name}' does not count elements: dataProcessingJobType is not set");
            return Err(bad(&why));
        }
        let run = RunId::written(id);
        self.done(Call::Progress { name, run, elements }).await
    }

    /// Whether the caller may do it: 403 otherwise.
    fn may(&self, ctx: &Ctx<'_>, action: Action<'_>) -> Result<(), Response> {
        match self.gate.allows(&ctx.who, action) {
            true => Ok(()),
            false => Err(failure(StatusCode::FORBIDDEN, "this is not allowed to you")),
        }
    }

    /// Everything as it is now: at least what was answered before.
    async fn board(&self) -> Result<Board, Response> {
        self.look(Look::Board).await
    }

    async fn look<T>(&self, look: impl FnOnce(oneshot::Sender<T>) -> Look) -> Result<T, Response> {
        let (reader, seen) = oneshot::channel();
        let sent = self.looks.send(look(reader)).await;
        sent.map_err(|_| stopping())?;
        seen.await.map_err(|_| stopping())
    }

    /// `GET /meseta/v1/last_inputs`: what the engine was told last.
    async fn last_inputs(&self, ctx: &Ctx<'_>) -> Outcome {
        self.may(ctx, Action::ViewInputs)?;
        let inputs = async {
            let inputs = self.look(Look::LastInputs).await;
            inputs.map_err(|_| meseta_http::Refusal::unavailable("the framework is stopping"))
        };
        let shown = meseta_http::inputs::show(inputs).await;
        shown.map_err(|refusal| failure(refusal.status, &refusal.text))
    }

    async fn call(&self, call: Call) -> Result<Answer, Response> {
        let (answer, answered) = oneshot::channel();
        let ask = Ask { call, answer };
        let bytes = ask.bytes();
        self.asks.send(ask, bytes).await.map_err(|_| stopping())?;
        answered
            .await
            .map_err(|_| stopping())?
            .map_err(|refusal| refused(&refusal))
    }

    async fn done(&self, call: Call) -> Outcome {
        self.call(call).await.map(|_| no_content())
    }

    /// The JSON of a body; anything that is declared as something else is refused.
    async fn body(&self, ctx: &Ctx<'_>, body: Body) -> Result<serde_json::Value, Response> {
        declared_json(ctx.headers)?;
        let bytes = meseta_http::body::read(body, ctx.headers, BODY_BYTES_MAX).await;
        let bytes = bytes.map_err(|refusal| failure(refusal.status, &refusal.text))?;
        if depth(&bytes) > DEPTH_MAX {
            return Err(bad(&format!("the body is nested deeper than {DEPTH_MAX} levels")));
        }
        serde_json::from_slice(&bytes).map_err(|error| bad(&format!("the body is no JSON: {error}")))
    }
}

/// The methods a path takes; none when there is no such path.
fn methods(path: &[&str]) -> Vec<Method> {
    match path {
        ["ping" | "leader" | "metrics" | "jobs" | "next"]
        | ["metrics", "prometheus"]
        | ["meseta", "v1", "last_inputs"]
        | ["jobs", "search" | "summary" | "overview"]
        | ["job", "stat", _]
        | ["graph", "dot" | "csv"]
        | ["stats" | "history" | "next" | "why" | "overview", _] => vec![Method::GET],
        ["iso8601" | "dependency"] => vec![Method::POST, Method::PUT],
        ["job", "success", _] | ["pause" | "resume", _] => vec![Method::PUT],
        ["job", _] => vec![Method::GET, Method::PUT, Method::DELETE],
        ["run", _] => vec![Method::GET, Method::POST],
        ["task", "kill", _] => vec![Method::DELETE],
        ["task", "all"] => vec![Method::DELETE, Method::PUT],
        ["task", _] => vec![Method::PUT],
        ["job", _, "task", _, "progress"] => vec![Method::POST, Method::PUT],
        _ => Vec::new(),
    }
}

fn nothing_here() -> Response {
    failure(StatusCode::NOT_FOUND, "there is nothing at this path")
}

fn wrong_method(allowed: &[Method]) -> Response {
    let names: Vec<&str> = allowed.iter().map(Method::as_str).collect();
    let text = format!("this path takes {} only", names.join(", "));
    let mut response = failure(StatusCode::METHOD_NOT_ALLOWED, &text);
    if let Ok(value) = HeaderValue::from_str(&names.join(", ")) {
        response.headers_mut().insert(header::ALLOW, value);
    }
    response
}

fn challenge() -> Response {
    let mut response = failure(StatusCode::UNAUTHORIZED, "a user and a password are needed");
    let challenge = HeaderValue::from_static("Basic realm=\"Chronos\"");
    response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    response
}

fn stopping() -> Response {
    failure(StatusCode::SERVICE_UNAVAILABLE, "the framework is stopping")
}

/// A foreign page can send forms and plain text without asking first, but no JSON.
fn declared_json(headers: &HeaderMap) -> Result<(), Response> {
    let declared = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let media = declared.and_then(|value| value.split(';').next());
    if media.is_some_and(|media| media.trim().eq_ignore_ascii_case("application/json")) {
        return Ok(());
    }
    let why = "the content type must be application/json";
    Err(failure(StatusCode::UNSUPPORTED_MEDIA_TYPE, why))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_in_texts_do_not_count() {
        assert_eq!(depth(br#"{"a":["[[[\"[["]}"#), 2);
        assert_eq!(depth("[".repeat(100_000).as_bytes()), 100_000);
    }

    #[test]
    fn a_job_may_have_the_name_of_a_path() {
        assert_eq!(methods(&["job", "stat"]), methods(&["job", "a"]));
        assert_eq!(methods(&["job", "stat", "stat"]), [Method::GET]);
        assert!(methods(&["job"]).is_empty() && methods(&[]).is_empty());
    }
}
