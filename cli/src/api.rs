//! The public HTTP APIs of masters and agents, as a client: JSON in and out, the leader found from any one address.
//!
//! Answers are kept as JSON values: what the server adds is passed on, never dropped.

use crate::failure::{Failure, exit};
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::select_ok;
use http::header::{ACCEPT, CONTENT_TYPE, DATE, LOCATION};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use meseta_sdk::endpoint::Endpoint;
use serde_json::{Value, json};
use std::time::Duration;

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long an answer may take.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// Redirects followed before masters are held to be undecided.
const HOPS_MAX: usize = 5;
/// The largest answer taken: the state of a cluster of a million tasks.
const ANSWER_BYTES_MAX: usize = 2 * 1024 * 1024 * 1024;

/// An HTTP client.
#[derive(Clone, Debug)]
pub(crate) struct Http {
    client: Client<HttpConnector, Full<Bytes>>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
    headers: HeaderMap,
    /// The server's clock, in seconds since the epoch.
    pub(crate) date: Option<f64>,
}

impl Answer {
    /// A header's text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The body as text, for messages.
    pub(crate) fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        let first = text.lines().next().unwrap_or_default();
        if first.is_empty() {
            self.status.to_string()
        } else {
            crate::text::harmless(first)
        }
    }
}

impl Http {
    pub(crate) fn new() -> Http {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        connector.set_nodelay(true);
        Http {
            client: Client::builder(TokioExecutor::new()).build(connector),
        }
    }

    /// One request; `Err` is why there is no answer.
    pub(crate) async fn send(
        &self,
        method: Method,
        to: &Endpoint,
        path: &str,
        media: &str,
        body: Bytes,
    ) -> Result<Answer, String> {
        tracing::debug!("{}", curl(&method, to, path, media, &body));
        let request = request(method, to, path, media, body)?;
        tokio::time::timeout(READ_TIMEOUT, self.exchange(request))
            .await
            .unwrap_or_else(|_| Err(no_answer()))
    }

    /// A read whose answer goes on: its body arrives in pieces, for as long as the server sends some.
    pub(crate) async fn stream(
        &self,
        to: &Endpoint,
        path: &str,
        media: &str,
    ) -> Result<(StatusCode, Incoming), String> {
        tracing::debug!("{}", curl(&Method::GET, to, path, media, &[]));
        let request = request(Method::GET, to, path, media, Bytes::new())?;
        let response = tokio::time::timeout(READ_TIMEOUT, self.client.request(request)).await;
        let response = response.map_err(|_| no_answer())?.map_err(|e| root_cause(&e))?;
        Ok((response.status(), response.into_body()))
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Answer, String> {
        let response = self.client.request(request).await.map_err(|e| root_cause(&e))?;
        let (head, body) = response.into_parts();
        let header = |name| head.headers.get(name).and_then(|v| v.to_str().ok());
        let date = header(DATE)
            .and_then(|text| jiff::fmt::rfc2822::parse(text).ok())
            .map(|at| at.timestamp().as_second() as f64);
        let body = Limited::new(body, ANSWER_BYTES_MAX);
        let body = body.collect().await.map_err(|e| e.to_string())?.to_bytes();
        Ok(Answer {
            status: head.status,
            body,
            date,
            headers: head.headers,
        })
    }

    pub(crate) async fn get(&self, to: &Endpoint, path: &str) -> Result<Answer, String> {
        self.send(Method::GET, to, path, "application/json", Bytes::new())
            .await
    }

    pub(crate) async fn post(&self, to: &Endpoint, path: &str, body: &Value) -> Result<Answer, String> {
        let body = Bytes::from(body.to_string());
        self.send(Method::POST, to, path, "application/json", body).await
    }
}

fn request(
    method: Method,
    to: &Endpoint,
    path: &str,
    media: &str,
    body: Bytes,
) -> Result<Request<Full<Bytes>>, String> {
    Request::builder()
        .method(method)
        .uri(format!("{}{path}", to.url()))
        .header(CONTENT_TYPE, media)
        .header(ACCEPT, media)
        .body(Full::new(body))
        .map_err(|e| e.to_string())
}

/// The same call for a shell. Nothing secret is in it: this release sends no credentials.
fn curl(method: &Method, to: &Endpoint, path: &str, media: &str, body: &[u8]) -> String {
    /// A definition is far shorter; protobuf is no text.
    const BODY_MAX: usize = 4 * 1024;
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "'\\''"));
    let url = quoted(&format!("{}{path}", to.url()));
    let accept = quoted(&format!("Accept: {media}"));
    if body.is_empty() {
        return format!("curl -X {method} -H {accept} {url}");
    }
    let kind = quoted(&format!("Content-Type: {media}"));
    let body = match std::str::from_utf8(body) {
        Ok(text) if text.len() <= BODY_MAX => quoted(text),
        _ => "@BODY".to_owned(),
    };
    format!("curl -X {method} -H {accept} -H {kind} --data-binary {body} {url}")
}

fn no_answer() -> String {
    format!("no answer within {} s", READ_TIMEOUT.as_secs())
}

/// The innermost cause: "connection refused" says more than "client error (Connect)".
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

/// The leading master.
#[derive(Clone, Debug)]
pub(crate) struct Leader {
    pub(crate) http: Http,
    pub(crate) at: Endpoint,
    /// GET_MASTER's answer.
    pub(crate) master: Value,
    /// The leader's clock when it answered, in seconds since the epoch.
    pub(crate) now: f64,
}

impl Leader {
    /// Finds it from any of these addresses.
    pub(crate) async fn find(masters: &[Endpoint]) -> Result<Leader, Failure> {
        let http = Http::new();
        let asked = masters.iter().map(|at| follow(http.clone(), at.clone()).boxed());
        match select_ok(asked).await {
            Ok((leader, _slower)) => Ok(leader),
            Err(last) => Err(last.failure(masters)),
        }
    }

    /// A read of the operator API: the member named like the call, in lower case (`{}` when it is absent).
    pub(crate) async fn read(&self, call: &str) -> Result<Value, Failure> {
        let body = json!({"type": call});
        let answer = self.http.post(&self.at, "/api/v1", &body).await;
        let answer = answer.map_err(|why| unreachable(&self.at, &why))?;
        let mut answer = understood(&self.at, answer)?;
        let member = answer.get_mut(call.to_lowercase()).map(Value::take);
        Ok(member.unwrap_or_else(|| json!({})))
    }
}

/// Why one address did not lead to a leader.
#[derive(Debug)]
enum NoLeader {
    Connect(Endpoint, String),
    NotReady(Endpoint, String),
    Circles(Endpoint),
    Failed(Failure),
}

impl NoLeader {
    fn failure(self, masters: &[Endpoint]) -> Failure {
        let tried = masters
            .iter()
            .map(Endpoint::authority)
            .collect::<Vec<_>>()
            .join(" ");
        match self {
            NoLeader::Connect(at, why) if masters.len() == 1 => unreachable(&at, &why),
            NoLeader::Connect(at, why) => Failure::new("unreachable", exit::UNREACHABLE, "no master answers")
                .detail(format!("tried {tried}; {at}: {why}"))
                .fix("start a cluster here: meseta up · or name a master: -m HOST:PORT"),
            NoLeader::NotReady(at, text) => {
                let what = format!("{at} answers, but no master leads: {text}");
                Failure::new("no-leader", exit::UNREACHABLE, what).detail(format!("tried {tried}"))
            }
            NoLeader::Circles(at) => {
                let what =
                    format!("the masters redirect to each other (last to {at}): an election is under way");
                Failure::new("no-leader", exit::UNREACHABLE, what).detail(format!("tried {tried}"))
            }
            NoLeader::Failed(failure) => failure,
        }
    }
}

async fn follow(http: Http, first: Endpoint) -> Result<Leader, NoLeader> {
    let mut at = first;
    for _ in 0..=HOPS_MAX {
        let answer = http
            .post(&at, "/api/v1", &json!({"type": "GET_MASTER"}))
            .await
            .map_err(|why| NoLeader::Connect(at.clone(), why))?;
        match (answer.status.as_u16(), answer.header(LOCATION.as_str())) {
            (301 | 302 | 307 | 308, Some(location)) => {
                at = Endpoint::from_location(location)
                    .map_err(|e| NoLeader::NotReady(at.clone(), e.to_string()))?;
            }
            (503, _) => return Err(NoLeader::NotReady(at, answer.text())),
            _ => {
                let now = answer.date.unwrap_or_else(local_clock);
                tracing::info!("the leading master is {at}");
                let mut master = understood(&at, answer).map_err(NoLeader::Failed)?;
                let master = master.get_mut("get_master").map(Value::take).unwrap_or_default();
                return Ok(Leader {
                    http,
                    at,
                    master,
                    now,
                });
            }
        }
    }
    Err(NoLeader::Circles(at))
}

/// This machine's clock, in seconds since the epoch.
pub(crate) fn local_clock() -> f64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.unwrap_or_default().as_secs_f64()
}

pub(crate) fn unreachable(at: &Endpoint, why: &str) -> Failure {
    Failure::new(
        "unreachable",
        exit::UNREACHABLE,
        format!("cannot reach {at}: {why}"),
    )
    .fix("start a cluster here: meseta up · or name a master: -m HOST:PORT")
}

/// A JSON answer of status 200; anything else is a failure by its status.
pub(crate) fn understood(at: &Endpoint, answer: Answer) -> Result<Value, Failure> {
    let text = || format!("{at} answered {}: {}", answer.status.as_u16(), answer.text());
    match answer.status.as_u16() {
        200 => serde_json::from_slice(&answer.body).map_err(|e| {
            Failure::new(
                "not-mesos",
                exit::FAILED,
                format!("{at} answered something that is no JSON: {e}"),
            )
            .fix("-m must name a master's address, by default port 5050")
        }),
        401 | 403 => Err(Failure::new("not-allowed", exit::NOT_ALLOWED, text())),
        404 | 405 => Err(Failure::new("not-mesos", exit::FAILED, text())
            .fix("-m must name a master's address, by default port 5050")),
        400..=499 => Err(Failure::new("refused", exit::REFUSED, text())),
        _ => Err(Failure::new("unreachable", exit::UNREACHABLE, text())),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_call_is_a_line_for_a_shell() {
        let to: Endpoint = "127.0.0.1:5050".parse().unwrap();
        assert_eq!(
            curl(&Method::GET, &to, "/v2/apps?label=a", "application/json", b""),
            "curl -X GET -H 'Accept: application/json' 'http://127.0.0.1:5050/v2/apps?label=a'"
        );
        let posted = curl(&Method::POST, &to, "/x", "text/plain", b"it's");
        assert!(
            posted.ends_with(r"--data-binary 'it'\''s' 'http://127.0.0.1:5050/x'"),
            "{posted}"
        );
        assert!(curl(&Method::POST, &to, "/x", "text/plain", &[0xff]).contains(" @BODY "));
    }
}
