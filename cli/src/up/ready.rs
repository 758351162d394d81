//! When the cluster is ready: the master leads, each agent is registered, and the two frameworks answer and are found as
//! every other command finds them, by the master's list.
//!
//! Asked over the public API only, at short intervals: a process that is just starting has no way to tell us.

use super::plan::{Plan, Role};
use crate::api::Http;
use crate::cluster::{is_live, list, number, scalar, string};
use crate::failure::Failure;
use crate::services::{Kind, is_listed, unlisted};
use crate::text::{cores, mebibytes};
use meseta_sdk::endpoint::Endpoint;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// The pause between questions: far below what a person notices, far above what a question costs.
const PAUSE: Duration = Duration::from_millis(20);

/// A framework that answers and is not on the master's list by then is told as it is: something is wrong, and its log says
/// what.
const LISTED_WITHIN: Duration = Duration::from_secs(30);

/// A role that is ready.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) role: Role,
    /// For people: what it brought.
    pub(super) note: String,
    /// What it lacks, if it was waited for in vain.
    pub(super) lacks: Option<Failure>,
}

/// Asks until every role was seen ready once.
pub(super) struct Watch {
    http: Http,
    master: Endpoint,
    /// Agents by port, not seen yet.
    missing: Vec<(u16, Role)>,
    /// Frameworks that do not answer yet.
    silent: Vec<(Endpoint, Kind, Role)>,
    /// Frameworks that answer, since when, and that the master does not list yet.
    unlisted: Vec<(Endpoint, Kind, Role, Instant)>,
    master_seen: bool,
    found: VecDeque<Ready>,
}

impl Watch {
    pub(super) fn new(plan: &Plan) -> Watch {
        let agents = plan
            .roles()
            .into_iter()
            .filter(|role| matches!(role, Role::Agent(_)))
            .map(|role| (plan.port(&role), role));
        let frameworks = plan
            .roles()
            .into_iter()
            .filter_map(|role| Some((plan.endpoint(&role), kind(&role)?, role)));
        Watch {
            silent: frameworks.collect(),
            unlisted: Vec::new(),
            http: Http::new(),
            master: plan.master(),
            missing: agents.collect(),
            master_seen: false,
            found: VecDeque::new(),
        }
    }

    pub(super) fn is_over(&self) -> bool {
        let all_seen = self.master_seen && self.missing.is_empty();
        all_seen && self.silent.is_empty() && self.unlisted.is_empty() && self.found.is_empty()
    }

    /// The next role that is ready. Cancel-safe.
    pub(super) async fn next(&mut self) -> Ready {
        loop {
            if let Some(ready) = self.found.pop_front() {
                return ready;
            }
            tokio::time::sleep(PAUSE).await;
            self.ask().await;
            self.ping().await;
            self.look_up().await;
        }
    }

    async fn ping(&mut self) {
        let asked = self.silent.iter().map(|(at, ..)| self.http.get(at, "/ping"));
        let answers = futures_util::future::join_all(asked).await;
        let here: Vec<bool> = answers
            .iter()
            .map(|answer| answer.as_ref().is_ok_and(|a| a.status.is_success()))
            .collect();
        let mut here = here.into_iter();
        let (found, silent): (Vec<_>, Vec<_>) =
            self.silent.drain(..).partition(|_| here.next().unwrap_or(false));
        self.silent = silent;
        let now = Instant::now();
        let answers = found.into_iter().map(|(at, kind, role)| (at, kind, role, now));
        self.unlisted.extend(answers);
    }

    /// Looks for the frameworks that answer on the master's list.
    async fn look_up(&mut self) {
        if self.unlisted.is_empty() {
            return;
        }
        let listed = self.question("GET_FRAMEWORKS").await.unwrap_or_default();
        let listed = listed
            .get("get_frameworks")
            .map_or(&[][..], |all| list(all, "frameworks"));
        for (at, kind, role, since) in std::mem::take(&mut self.unlisted) {
            if is_listed(kind, listed, at.port) {
                self.found.push_back(Ready {
                    role,
                    note: String::new(),
                    lacks: None,
                });
            } else if since.elapsed() >= LISTED_WITHIN {
                let lacks = unlisted(kind, &self.master).detail(format!(
                    "it answers at {at} and has not registered within {LISTED_WITHIN:?}"
                ));
                self.found.push_back(Ready {
                    role,
                    note: "not registered with the master".to_owned(),
                    lacks: Some(lacks),
                });
            } else {
                self.unlisted.push((at, kind, role, since));
            }
        }
    }

    /// A read of the master's operator API. `None`: it is not listening yet, or still recovering, and is asked again.
    async fn question(&self, call: &str) -> Option<Value> {
        let body = json!({ "type": call });
        let asked = self.http.post(&self.master, "/api/v1", &body);
        let answer = asked.await.ok().filter(|answer| answer.status.as_u16() == 200)?;
        Some(serde_json::from_slice(&answer.body).unwrap_or_default())
    }

    async fn ask(&mut self) {
        if self.master_seen && self.missing.is_empty() {
            return;
        }
        let Some(answer) = self.question("GET_AGENTS").await else {
            return;
        };
        if !self.master_seen {
            self.master_seen = true;
            self.found.push_back(Ready {
                role: Role::Master,
                note: String::new(),
                lacks: None,
            });
        }
        let agents = answer.get("get_agents").map_or(&[][..], |a| list(a, "agents"));
        let active = |a: &&Value| a.get("active").and_then(Value::as_bool) == Some(true);
        for agent in agents.iter().filter(active) {
            let port = port_of(agent);
            if let Some(at) = self.missing.iter().position(|(p, _)| Some(*p) == port) {
                let (_, role) = self.missing.remove(at);
                let total = list(agent, "total_resources");
                let note = format!(
                    "{} cpus, {}",
                    cores(scalar(total, "cpus")),
                    mebibytes(scalar(total, "mem"))
                );
                self.found.push_back(Ready {
                    role,
                    note,
                    lacks: None,
                });
            }
        }
    }
}

/// How many tasks run just now; none when the master does not tell.
pub(super) async fn running_tasks(master: &Endpoint) -> usize {
    let answer = Http::new()
        .post(master, "/api/v1", &json!({"type": "GET_TASKS"}))
        .await;
    let answer = answer.ok().filter(|answer| answer.status.is_success());
    let answer: Value = answer
        .and_then(|answer| serde_json::from_slice(&answer.body).ok())
        .unwrap_or_default();
    let tasks = answer
        .get("get_tasks")
        .map_or(&[][..], |tasks| list(tasks, "tasks"));
    tasks.iter().filter(|task| is_live(task)).count()
}

/// Which of the two frameworks a role is, if any.
fn kind(role: &Role) -> Option<Kind> {
    match role {
        Role::Service => Some(Kind::Service),
        Role::Cron => Some(Kind::Cron),
        Role::Master | Role::Agent(_) => None,
    }
}

fn port_of(agent: &Value) -> Option<u16> {
    let told = number(agent, &["agent_info", "port"]);
    let pid = string(agent, &["pid"])
        .rsplit_once(':')
        .and_then(|(_, port)| port.parse().ok());
    pid.or_else(|| told.map(|p| p as u16))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use meseta_http::{Body, Response, listener};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// How often the master says that it has no frameworks.
    const UNKNOWN: usize = 3;

    /// Serves as master and as service framework at one port.
    async fn cluster(asked: Arc<AtomicUsize>) -> Endpoint {
        let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at: Endpoint = socket.local_addr().unwrap().to_string().parse().unwrap();
        let url = at.url();
        let answer = move |request: http::Request<Body>| {
            let framework = json!({"framework_info": {"id": {"value": "marathon-1"}, "name": "marathon",
                "webui_url": url.clone()}, "connected": true});
            let asked = Arc::clone(&asked);
            async move {
                let ping = request.uri().path() == "/ping";
                let body = http_body_util::BodyExt::collect(request.into_body())
                    .await
                    .unwrap();
                let body = String::from_utf8(body.to_bytes().to_vec()).unwrap();
                let answer = if ping {
                    json!("pong")
                } else if body.contains("GET_FRAMEWORKS") {
                    let known = asked.fetch_add(1, Ordering::Relaxed) >= UNKNOWN;
                    let all = if known { vec![framework] } else { Vec::new() };
                    json!({"get_frameworks": {"frameworks": all}})
                } else {
                    json!({"get_agents": {}})
                };
                Response::new(Body::from(answer.to_string()))
            }
        };
        tokio::spawn(listener::serve(socket, answer, std::future::pending()));
        at
    }

    fn watch(at: &Endpoint) -> Watch {
        Watch {
            http: Http::new(),
            master: at.clone(),
            missing: Vec::new(),
            silent: vec![(at.clone(), Kind::Service, Role::Service)],
            unlisted: Vec::new(),
            master_seen: false,
            found: VecDeque::new(),
        }
    }

    #[tokio::test]
    async fn a_framework_is_ready_once_the_master_lists_it() {
        let asked = Arc::new(AtomicUsize::new(0));
        let mut watch = watch(&cluster(Arc::clone(&asked)).await);
        assert_eq!(watch.next().await.role, Role::Master);
        assert_eq!(asked.load(Ordering::Relaxed), 1, "it answers from the first");
        let ready = watch.next().await;
        assert_eq!((ready.role, ready.note.as_str()), (Role::Service, ""));
        assert!(ready.lacks.is_none());
        assert_eq!(asked.load(Ordering::Relaxed), UNKNOWN + 1);
        assert!(watch.is_over());
    }

    #[tokio::test]
    async fn one_that_is_never_listed_is_told_so_and_not_waited_for_without_end() {
        let mut watch = watch(&cluster(Arc::default()).await);
        let (at, kind, role) = watch.silent.remove(0);
        let long_ago = Instant::now().checked_sub(LISTED_WITHIN).unwrap();
        watch.unlisted.push((at, kind, role, long_ago));
        watch.look_up().await;
        let lacks = watch.found.pop_front().unwrap().lacks.unwrap();
        assert_eq!(lacks.code, "no-service");
        watch.ask().await;
        assert_eq!(watch.next().await.role, Role::Master);
        assert!(watch.is_over());
    }
}
