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
use meseta_agent_core::{Input, View};
use meseta_containerizer::Containerizer;
use meseta_http::files::Files;
use meseta_http::gate::{Action, Gate};
use meseta_http::inbox::Inbox;
use meseta_http::logging::{LogLevel, toggle};
use meseta_http::path::{self, Query};
use meseta_http::{Body, Refusal, Response, host, reply};
use meseta_types::Wall;
use meseta_types::last_inputs::InputLog;
use std::sync::Arc;
use tokio::sync::{oneshot, watch};

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
const ENDPOINTS: [&str; 10] = [
    "/api/v1",
    "/api/v1/executor",
    "/containerizer/debug",
    "/containers",
    "/flags",
    "/health",
    "/meseta/v1/last_inputs",
    "/monitor/statistics",
    "/state",
    "/version",
];

/// Where the agent's log is in the file tree.
pub(crate) const LOG_PATH: &str = "/slave/log";

/// What the handlers work with.
pub(crate) struct Agent {
    /// To the owner of the core.
    pub(crate) inbox: Inbox<Message>,
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
    /// Who may do what.
    pub(crate) gate: Gate,
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
        let (reader, view) = oneshot::channel();
        self.send(Message::View(reader), 0).await?;
        view.await.map_err(|_| ending())
    }

    /// Tells the owner of the core something that holds about `bytes`.
    ///
    /// # Errors
    /// 503: the agent is ending.
    async fn send(&self, message: Message, bytes: usize) -> Result<(), Refusal> {
        self.inbox.send(message, bytes).await.map_err(|_| ending())
    }

    /// Goes on if whoever makes this request may do it.
    ///
    /// # Errors
    /// 403.
    fn allow(&self, parts: &Parts, action: Action<'_>) -> Result<(), Refusal> {
        let who = self.gate.identify(&parts.headers);
        self.gate.check(&who, action)
    }

    /// [`Agent::allow`] for what lies at a path of the file tree.
    ///
    /// # Errors
    /// 403.
    fn allow_file(&self, parts: &Parts, path: &str) -> Result<(), Refusal> {
        let is_log = path::longest(path, &[LOG_PATH]).is_some();
        let action = match is_log {
            true => Action::AccessAgentLog,
            false => Action::AccessSandbox(path),
        };
        self.allow(parts, action)
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
            "system" => query(&parts).and_then(|query| host::stats(&target.rest, &query, &parts.headers)),
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
            Some("/containerizer/debug") => {
                self.allow(&parts, Action::ViewContainers)?;
                let none = b"{\"pending\":[]}".to_vec();
                Ok(reply::legacy_json(none, &query(&parts)?, &parts.headers))
            }
            Some("/meseta/v1/last_inputs") => {
                meseta_http::inputs::endpoint(&self.gate, &parts, self.last_inputs()).await
            }
            _ => Ok(reply::not_found()),
        }
    }

    async fn of_files(&self, rest: &str, parts: &Parts) -> Result<Response, Refusal> {
        let query = query(parts)?;
        self.allow_file(parts, query.get("path").unwrap_or_default())?;
        Ok(meseta_http::files::endpoint(&self.files, rest, &query, &parts.headers).await)
    }

    /// `/logging/toggle`.
    fn logging(&self, rest: &str, parts: &Parts) -> Result<Response, Refusal> {
        self.allow(parts, Action::SetLogLevel)?;
        toggle(&self.log_level, rest, &query(parts)?)
    }

    /// The last inputs of the core.
    async fn last_inputs(&self) -> Result<InputLog<Input>, Refusal> {
        let (operator, inputs) = oneshot::channel();
        self.send(Message::LastInputs(operator), 0).await?;
        inputs.await.map_err(|_| ending())
    }
}

/// 503: the agent is ending.
fn ending() -> Refusal {
    Refusal::unavailable("The agent is ending")
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
