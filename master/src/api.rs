//! One port, two protocols: finds the handler of a request.
//!
//! gRPC is told by its content type; everything else is routed by path as Mesos does it (a process, then the longest
//! endpoint that is a prefix).

mod agents;
mod extensions;
mod files;
mod large;
mod legacy;
mod metrics;
mod operator;
mod records;
mod scheduler;
mod schedulers;
mod sink;
mod version;

use crate::master::Master;
use http::request::Parts;
use http::{HeaderMap, Request, StatusCode, header};
use meseta_http::host;
use meseta_http::path::{self, Query};
use meseta_http::{Body, MediaType, Refusal, Response, reply};
use meseta_proto::{Described, body as proto_body};
use std::sync::Arc;
use tower::ServiceExt;

/// What a path can start with; without one of these it is the master's.
const PROCESSES: [&str; 6] = ["master", "files", "metrics", "system", "logging", "version"];

/// The master's endpoints.
const ENDPOINTS: [&str; 18] = [
    "/api/v1",
    "/api/v1/scheduler",
    "/meseta/v1/dropped",
    "/meseta/v1/kill_task",
    "/meseta/v1/last_inputs",
    "/meseta/v1/why_no_offers",
    "/flags",
    "/frameworks",
    "/health",
    "/redirect",
    "/roles",
    "/slaves",
    "/state",
    "/state-summary",
    "/tasks",
    "/teardown",
    "/version",
    "/weights",
];

/// The handler of all requests.
#[derive(Clone)]
pub(crate) struct Api {
    master: Arc<Master>,
    rpc: axum::Router,
}

impl Api {
    pub(crate) fn new(master: Arc<Master>) -> Api {
        let rpc = tonic::service::Routes::new(agents::service(Arc::clone(&master)))
            .add_service(schedulers::service(Arc::clone(&master)))
            .into_axum_router();
        Api { master, rpc }
    }

    /// Answers any request.
    pub(crate) async fn answer(self, request: Request<Body>) -> Response {
        if is_grpc(request.headers()) {
            return match self.rpc.oneshot(request).await {
                Ok(response) => response,
                Err(never) => match never {},
            };
        }
        let (parts, body) = request.into_parts();
        let Some(target) = path::target(parts.uri.path(), "master", &PROCESSES) else {
            return reply::not_found();
        };
        let answer = match target.process.as_str() {
            "master" => self.of_master(&target.rest, parts, body).await,
            "version" => version::version(&parts),
            "files" => files::legacy(&self.master, &target.rest, &parts).await,
            "metrics" => metrics::endpoint(&self.master, &target.rest, &parts).await,
            "system" => query(&parts).and_then(|query| host::stats(&target.rest, &query, &parts.headers)),
            "logging" => legacy::logging(&self.master, &target.rest, &parts),
            _ => Ok(reply::not_found()),
        };
        answer.unwrap_or_else(Response::from)
    }

    async fn of_master(&self, rest: &str, parts: Parts, body: Body) -> Result<Response, Refusal> {
        let master = &self.master;
        match path::longest(rest, &ENDPOINTS) {
            Some("/api/v1") => operator::call(master, parts, body).await,
            Some("/api/v1/scheduler") => scheduler::call(master, parts, body).await,
            Some("/meseta/v1/kill_task") => extensions::kill_task(master, parts, body).await,
            Some("/meseta/v1/last_inputs") => {
                let ask = async { Ok(master.intake.last_inputs().await?) };
                meseta_http::inputs::endpoint(&master.gate, &parts, ask).await
            }
            Some("/meseta/v1/dropped") => extensions::dropped(master, &parts).await,
            Some("/meseta/v1/why_no_offers") => extensions::why_no_offers(master, &parts).await,
            Some("/health") => Ok(reply::empty(StatusCode::OK)),
            Some("/version") => version::version(&parts),
            Some("/redirect") if rest == "/redirect" => Ok(legacy::redirect(master)),
            Some("/flags") => legacy::flags(master, &parts),
            Some("/state") => legacy::state(master, &parts).await,
            Some("/state-summary") => legacy::state_summary(master, &parts).await,
            Some("/slaves") => legacy::slaves(master, &parts).await,
            Some("/frameworks") => legacy::frameworks(master, &parts).await,
            Some("/tasks") => legacy::tasks(master, &parts).await,
            Some("/roles") => legacy::roles(master, &parts).await,
            Some("/weights") => legacy::weights(&parts),
            Some("/teardown") => legacy::teardown(master, parts, body).await,
            _ => Ok(legacy::later(rest, &parts).unwrap_or_else(reply::not_found)),
        }
    }
}

fn is_grpc(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

/// The query of a request.
fn query(parts: &Parts) -> Result<Query, Refusal> {
    Query::parse(parts.uri.query())
}

/// 405 unless the method is one of those.
fn check_method(parts: &Parts, allowed: &[&str]) -> Result<(), Box<Response>> {
    if allowed.contains(&parts.method.as_str()) {
        return Ok(());
    }
    Err(Box::new(reply::method_not_allowed(allowed, &parts.method)))
}

/// Our own fault, as an answer: 500 and a line in the log.
fn broken(error: impl std::fmt::Display) -> Refusal {
    tracing::error!("an answer cannot be made: {error}");
    Refusal::standard(StatusCode::INTERNAL_SERVER_ERROR)
}

/// The core's refusal as an answer.
fn core_refusal(refused: &meseta_master_core::Refusal) -> Refusal {
    use meseta_master_core::Refusal as Core;
    let status = match refused {
        Core::BadRequest(_) => StatusCode::BAD_REQUEST,
        Core::NotFound(_) => StatusCode::NOT_FOUND,
        Core::Conflict(_) => StatusCode::CONFLICT,
        Core::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    Refusal::new(status, refused.to_string())
}

/// The message of a request, or Mesos's 400.
fn parse<M: Described>(media: MediaType, bytes: &[u8]) -> Result<M, Refusal> {
    let media = match media {
        MediaType::Json => proto_body::MediaType::Json,
        MediaType::Protobuf | MediaType::RecordIo => proto_body::MediaType::Protobuf,
    };
    proto_body::parse(proto_body::Endpoint::Call, media, bytes).map_err(Refusal::bad_request)
}
