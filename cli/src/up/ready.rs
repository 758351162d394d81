//! When the cluster is ready: the master leads, and each agent is registered.
//!
//! Asked over the public API only, at short intervals: a process that is just starting has no way to tell us.

use super::plan::{Plan, Role};
use crate::api::Http;
use crate::cluster::{list, number, scalar, string};
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
    master_seen: bool,
    found: VecDeque<Ready>,
}

impl Watch {
    pub(super) fn new(plan: &Plan) -> Watch {
        let agents = plan
            .roles()
            .into_iter()
            .skip(1)
            .map(|role| (plan.port(&role), role));
        Watch {
            http: Http::new(),
            master: plan.master(),
            missing: agents.collect(),
            master_seen: false,
            found: VecDeque::new(),
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.master_seen && self.missing.is_empty() && self.found.is_empty()
    }

    /// The next role that is ready. Cancel-safe.
    pub(super) async fn next(&mut self) -> Ready {
        loop {
            if let Some(ready) = self.found.pop_front() {
                return ready;
            }
            tokio::time::sleep(PAUSE).await;
            self.ask().await;
        }
    }

    async fn ask(&mut self) {
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

fn port_of(agent: &Value) -> Option<u16> {
    let told = number(agent, &["agent_info", "port"]);
    let pid = string(agent, &["pid"])
        .rsplit_once(':')
        .and_then(|(_, port)| port.parse().ok());
    pid.or_else(|| told.map(|p| p as u16))
}
