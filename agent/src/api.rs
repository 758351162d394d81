//! The agent's HTTP server: finds the handler of a request.
//!
//! Paths are Mesos's: a process (`slave(1)`, `files`, `metrics`, ...), then the longest endpoint that is a prefix. Handlers
//! read views of the core, the virtual file tree and the containerizer's statistics; executors' calls go to the owner
//! of the core and are answered when it has decided.

mod containers;
mod executor;
mod json;
mod legacy;
mod metrics;
mod operator;
mod show;

use crate::clock::Clock;
use crate::config::Config;
use crate::containers::Fetches;
use crate::launch::Surroundings;
use crate::owner::{Message, Status};
use http::request::Parts;
use http::{Request, StatusCode};
use meseta_agent_core::View;
use meseta_containerizer::Containerizer;
use meseta_http::files::Files;
use meseta_http::logging::LogLevel;
use meseta_http::path::{self, Query};
use meseta_http::{Body, Refusal, Response, reply};
use meseta_types::Wall;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};

/// The version of the API, compared by clients: digits and dots only.
pub(crate) const API_VERSION: &str = "1.12.0";

/// The version of this program.
pub(crate) const MESETA_VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit the program was built from, if the build said so.
const GIT_SHA: Option<&str> = option_env!("MESETA_GIT_SHA");

/// The processes of an agent, as the first part of a path.
const PROCESSES: [&str; 7] = [
    "slave(1)", "slave", "files", "metrics", "system", "logging", "version",
];

/// The endpoints of `slave(1)`.
const ENDPOINTS: [&str; 9] = [
    "/api/v1",
    "/api/v1/executor",
    "/containerizer/debug",
    "/containers",
    "/flags",
    "/health",
    "/monitor/statistics",
    "/state",
    "/version",
];

/// What the handlers work with.
pub(crate) struct Agent {
    /// To the owner of the core.
    pub(crate) inbox: mpsc::Sender<Message>,
    /// Whether recovery is done and who the agent is.
    pub(crate) status: watch::Receiver<Status>,
    /// The settings and addresses.
    pub(crate) around: Surroundings,
    /// Name told to others.
    pub(crate) hostname: Arc<str>,
    /// The virtual file tree.
    pub(crate) files: Files,
    /// For statistics.
    pub(crate) containerizer: Containerizer,
    /// For metrics.
    pub(crate) fetches: Arc<Fetches>,
    /// For the log level calls.
    pub(crate) log_level: LogLevel,
    /// The clocks.
    pub(crate) clock: Clock,
    /// When the agent started.
    pub(crate) start_time: Wall,
    /// Seconds that recovery took, once it is done.
    pub(crate) recovery_secs: f64,
}

impl Agent {
    fn config(&self) -> &Config {
        &self.around.config
    }

    /// A look at the core.
    ///
    /// # Errors
    /// 503: the agent is ending.
    async fn view(&self) -> Result<Arc<View>, Refusal> {
        let ending = || Refusal::unavailable("The agent is ending");
        let (reader, view) = oneshot::channel();
        self.inbox
            .send(Message::View(reader))
            .await
            .map_err(|_| ending())?;
        view.await.map_err(|_| ending())
    }

    /// 503 while recovering.
    fn recovered(&self) -> Result<(), Refusal> {
        match self.status.borrow().recovered {
            true => Ok(()),
            false => Err(Refusal::unavailable("Agent has not finished recovery")),
        }
    }

    /// Answers any request.
    pub(crate) async fn answer(self: Arc<Self>, request: Request<Body>) -> Response {
        let (parts, body) = request.into_parts();
        let Some(target) = path::target(parts.uri.path(), "slave(1)", &PROCESSES) else {
            return reply::not_found();
        };
        let answer = match target.process.as_str() {
            "slave(1)" => self.of_agent(&target.rest, parts, body).await,
            "files" => self.of_files(&target.rest, &parts).await,
            "metrics" => metrics::endpoint(&self, &target.rest, &parts).await,
            "system" => metrics::system(&target.rest, &parts),
            "logging" => self.logging(&target.rest, &parts),
            "version" => version(&parts),
            _ => Ok(reply::not_found()),
        };
        answer.unwrap_or_else(Response::from)
    }

    async fn of_agent(&self, rest: &str, parts: Parts, body: Body) -> Result<Response, Refusal> {
        match path::longest(rest, &ENDPOINTS) {
            Some("/api/v1") => operator::call(self, parts, body).await,
            Some("/api/v1/executor") => executor::call(self, parts, body).await,
            Some("/health") => Ok(reply::empty(StatusCode::OK)),
            Some("/version") => version(&parts),
            Some("/flags") => legacy::flags(self, &parts),
            Some("/state") => legacy::state(self, &parts).await,
            Some("/containers") => containers::legacy(self, &parts).await,
            Some("/monitor/statistics") => containers::monitor(self, &parts).await,
            Some("/containerizer/debug") => Ok(reply::legacy_json(
                b"{\"pending\":[]}".to_vec(),
                &query(&parts)?,
                &parts.headers,
            )),
            _ => Ok(reply::not_found()),
        }
    }

    async fn of_files(&self, rest: &str, parts: &Parts) -> Result<Response, Refusal> {
        let query = query(parts)?;
        Ok(meseta_http::files::endpoint(&self.files, rest, &query, &parts.headers).await)
    }

    /// `/logging/toggle?level=N&duration=D`.
    fn logging(&self, rest: &str, parts: &Parts) -> Result<Response, Refusal> {
        if path::longest(rest, &["/toggle"]).is_none() {
            return Ok(reply::not_found());
        }
        let query = query(parts)?;
        let (level, duration) = match (query.get("level"), query.get("duration")) {
            (None, None) => {
                return Ok(reply::text(
                    StatusCode::OK,
                    format!("{}\n", self.log_level.level()),
                ));
            }
            (Some(_), None) => return Err(Refusal::bad_request("Expecting 'duration=value' in query.\n")),
            (None, Some(_)) => return Err(Refusal::bad_request("Expecting 'level=value' in query.\n")),
            (Some(level), Some(duration)) => (level, duration),
        };
        let wanted: u32 = level
            .parse()
            .map_err(|_| Refusal::bad_request(format!("Invalid level '{level}'.\n")))?;
        let original = self.log_level.original();
        if wanted < original {
            return Err(Refusal::bad_request(format!("'{wanted}' < original level.\n")));
        }
        let duration = meseta_types::flag::parse_duration(duration)
            .map_err(|_| Refusal::bad_request(format!("Invalid duration '{duration}'.\n")))?;
        self.log_level.set(wanted, duration);
        Ok(reply::empty(StatusCode::OK))
    }
}

fn version(parts: &Parts) -> Result<Response, Refusal> {
    let mut out = Vec::new();
    let mut object = json::Object::new(&mut out);
    if let Some(sha) = GIT_SHA {
        object.text("git_sha", sha);
    }
    object.text("meseta_version", MESETA_VERSION);
    object.text("version", API_VERSION);
    object.end();
    Ok(reply::legacy_json(out, &query(parts)?, &parts.headers))
}

/// The query of a request.
fn query(parts: &Parts) -> Result<Query, Refusal> {
    Query::parse(parts.uri.query())
}
