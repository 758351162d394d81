//! When the cluster is ready: the master leads, each agent is registered, and the two frameworks answer.
//!
//! Asked over the public API only, at short intervals: a process that is just starting has no way to tell us.

use super::plan::{Plan, Role};
use crate::api::Http;
use crate::cluster::{is_live, list, number, scalar, string};
use crate::text::{cores, mebibytes};
use meseta_sdk::endpoint::Endpoint;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::time::Duration;

/// The pause between questions: far below what a person notices, far above what a question costs.
const PAUSE: Duration = Duration::from_millis(20);

/// A role that is ready.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) role: Role,
    /// For people: what it brought.
    pub(super) note: String,
}

/// Asks until every role was seen ready once.
pub(super) struct Watch {
    http: Http,
    master: Endpoint,
    /// Agents by port, not seen yet.
    missing: Vec<(u16, Role)>,
    /// Frameworks not seen yet.
    silent: Vec<(Endpoint, Role)>,
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
            .filter(Role::is_framework)
            .map(|role| (plan.endpoint(&role), role));
        Watch {
            silent: frameworks.collect(),
            http: Http::new(),
            master: plan.master(),
            missing: agents.collect(),
            master_seen: false,
            found: VecDeque::new(),
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.master_seen && self.missing.is_empty() && self.silent.is_empty() && self.found.is_empty()
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
        }
    }

    async fn ping(&mut self) {
        let asked = self.silent.iter().map(|(at, _)| self.http.get(at, "/ping"));
        let answers = futures_util::future::join_all(asked).await;
        let here: Vec<bool> = answers
            .iter()
            .map(|answer| answer.as_ref().is_ok_and(|a| a.status.is_success()))
            .collect();
        let mut here = here.into_iter();
        let (found, silent): (Vec<_>, Vec<_>) =
            self.silent.drain(..).partition(|_| here.next().unwrap_or(false));
        self.silent = silent;
        self.found.extend(found.into_iter().map(|(_, role)| Ready {
            role,
            note: String::new(),
        }));
    }

    async fn ask(&mut self) {
        if self.master_seen && self.missing.is_empty() {
            return;
        }
        let answer = self
            .http
            .post(&self.master, "/api/v1", &json!({"type": "GET_AGENTS"}))
            .await;
        // Not listening yet, or still recovering: asked again.
        let Ok(answer) = answer else { return };
        if answer.status.as_u16() != 200 {
            return;
        }
        if !self.master_seen {
            self.master_seen = true;
            self.found.push_back(Ready {
                role: Role::Master,
                note: String::new(),
            });
        }
        let Ok(answer) = serde_json::from_slice::<Value>(&answer.body) else {
            return;
        };
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
                self.found.push_back(Ready { role, note });
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

fn port_of(agent: &Value) -> Option<u16> {
    let told = number(agent, &["agent_info", "port"]);
    let pid = string(agent, &["pid"])
        .rsplit_once(':')
        .and_then(|(_, port)| port.parse().ok());
    pid.or_else(|| told.map(|p| p as u16))
}
