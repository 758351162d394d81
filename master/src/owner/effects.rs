//! Carries out what the core says, in order: to peers, to the store, to readers of the session table, to the log.

use super::{CommitAnswer, Owner};
use crate::intake::{LinkPeer, StreamPeer, Watcher};
use crate::outbox::Full;
use meseta_master_core::io::{
    Change, CommitId, Effect, Event, Input, LinkId, OperatorEvent, Outcome, RequestId, Session, StreamId,
};
use meseta_master_core::{BROKEN, Refusal};
use meseta_store as store;
use meseta_types::link::ToAgent;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// About what an item costs besides the bytes it carries: allocation, keys, the queue's entry.
const ITEM_BYTES: usize = 256;

/// Everybody the core talks to.
#[derive(Debug, Default)]
pub(super) struct Peers {
    pub(super) streams: HashMap<StreamId, StreamPeer>,
    pub(super) links: HashMap<LinkId, LinkPeer>,
    /// Oldest first.
    watchers: VecDeque<Watcher>,
    requests: HashMap<RequestId, oneshot::Sender<Result<(), Refusal>>>,
    last_request: u64,
}

impl Peers {
    /// Remembers who waits for an answer.
    pub(super) fn asked(&mut self, answer: oneshot::Sender<Result<(), Refusal>>) -> RequestId {
        self.last_request += 1;
        let request = RequestId(self.last_request);
        self.requests.insert(request, answer);
        request
    }

    /// One more operator's stream; above the limit the oldest ends.
    pub(super) fn watch(&mut self, watcher: Watcher, max: usize) {
        self.watchers.push_back(watcher);
        while self.watchers.len() > max {
            self.watchers.pop_front();
        }
    }

    /// Operators' streams.
    pub(super) fn watchers(&self) -> usize {
        self.watchers.len()
    }

    /// Tells every operator; who is gone or does not read is forgotten.
    fn tell_operators(&mut self, event: OperatorEvent) {
        if self.watchers.is_empty() {
            return;
        }
        let cost = operator_cost(&event);
        let event = Arc::new(event);
        self.watchers.retain(|watcher| {
            if watcher.outbox.is_gone() {
                return false;
            }
            match watcher.outbox.push(Arc::clone(&event), cost) {
                Ok(()) => true,
                Err(Full) => {
                    tracing::warn!("an operator's event stream is cut off: it does not read");
                    watcher.connection.iter().for_each(|c| c.cut());
                    false
                }
            }
        });
    }
}

impl Owner {
    /// Carries out all effects, and those of the inputs that follow from cutting peers off.
    pub(super) fn flush(&mut self) {
        let mut cut = Vec::new();
        loop {
            let effects: Vec<Effect> = self.effects.drain().collect();
            if effects.is_empty() {
                break;
            }
            for effect in effects {
                self.carry_out(effect, &mut cut);
            }
            for input in cut.drain(..) {
                self.step(input, 0);
            }
        }
    }

    fn carry_out(&mut self, effect: Effect, cut: &mut Vec<Input>) {
        match effect {
            Effect::Commit { id, changes } => {
                let answer = self.commit(id, changes);
                self.commits.push_back(answer);
            }
            Effect::ToAgent { link, message } => cut.extend(self.send_to_agent(link, message)),
            Effect::CloseLink { link } => drop(self.peers.links.remove(&link)),
            Effect::ToFramework { stream, event } => cut.extend(self.send_to_framework(stream, event)),
            Effect::Pace { stream } => self.pace(stream),
            Effect::CloseStream { stream } => drop(self.peers.streams.remove(&stream)),
            Effect::Session {
                framework_id,
                session,
            } => {
                if matches!(session, Session::Disconnected { .. }) {
                    tracing::info!(%framework_id, "a framework is disconnected");
                }
                let streams = &self.peers.streams;
                let text = |stream| {
                    streams
                        .get(&stream)
                        .map_or_else(|| Arc::from(""), |s| s.text.clone())
                };
                self.doors.sessions.apply(framework_id, session, text);
            }
            Effect::Operator(event) => {
                log(&event);
                self.peers.tell_operators(event);
            }
            Effect::Answer { request, answer } => {
                if let Some(waiting) = self.peers.requests.remove(&request) {
                    let _who_left_needs_none = waiting.send(answer);
                }
            }
            Effect::Note(note) if note.what == BROKEN => self.broken(&note.reason),
            Effect::Note(note) => tracing::info!(
                what = note.what,
                framework_id = note.framework_id.as_ref().map(tracing::field::display),
                agent_id = note.agent_id.as_ref().map(tracing::field::display),
                "dropped: {}",
                note.reason
            ),
            Effect::StepDown { reason } => self.ending = Some(reason),
        }
    }

    fn send_to_agent(&mut self, link: LinkId, message: ToAgent) -> Option<Input> {
        // Not there: it closed meanwhile, and the core will hear of it.
        let peer = self.peers.links.get(&link)?;
        let cost = agent_cost(&message);
        match peer.outbox.push(message, cost) {
            Ok(()) => None,
            Err(Full) => {
                tracing::warn!(link = link.0, "an agent is cut off: it does not read");
                peer.connection.iter().for_each(|c| c.cut());
                self.link_closed(link)
            }
        }
    }

    /// The core hears when the scheduler's connection has taken all that was sent to it so far.
    fn pace(&mut self, stream: StreamId) {
        if let Some(peer) = self.peers.streams.get(&stream) {
            let read = peer.outbox.mark();
            self.paced.push(Box::pin(async move {
                // A connection that is gone reads no more; the core hears of that, too.
                let _taken_or_gone = read.await;
                stream
            }));
        }
    }

    fn send_to_framework(&mut self, stream: StreamId, event: Event) -> Option<Input> {
        let peer = self.peers.streams.get(&stream)?;
        let cost = event_cost(&event);
        match peer.outbox.push(event, cost) {
            Ok(()) => None,
            Err(Full) => {
                tracing::warn!(stream = &*peer.text, "a framework is cut off: it does not read");
                peer.connection.iter().for_each(|c| c.cut());
                self.stream_closed(stream)
            }
        }
    }

    fn commit(&self, id: CommitId, changes: Vec<Change>) -> CommitAnswer {
        let pending = match store_commit(changes) {
            Ok(commit) => self.doors.store.submit(commit),
            Err(why) => {
                let why = Arc::from(why.to_string());
                return Box::pin(std::future::ready((id, Outcome::Refused(why))));
            }
        };
        let (limit, started) = (self.doors.store_timeout, Instant::now());
        let gauges = Arc::clone(&self.doors.gauges);
        Box::pin(async move {
            let outcome = match tokio::time::timeout(limit, pending).await {
                Ok(store::Outcome::Done(_)) => Outcome::Done,
                Ok(store::Outcome::Refused(why)) => Outcome::Refused(Arc::from(why.to_string())),
                Ok(store::Outcome::Fenced) => Outcome::Fenced,
                Ok(store::Outcome::Unknown(why)) => {
                    tracing::error!("the outcome of a write to the registry is unknown: {why}");
                    Outcome::Unknown
                }
                Err(_) => {
                    tracing::error!(?limit, "a write to the registry has no answer in time");
                    Outcome::Unknown
                }
            };
            gauges.writes.add(started.elapsed());
            (id, outcome)
        })
    }
}

/// What an operator finds in the log: who comes and goes; tasks only when asked for more.
fn log(event: &OperatorEvent) {
    match event {
        OperatorEvent::TaskAdded(task) => tracing::debug!(
            task_id = %task.task_id,
            framework_id = %task.framework_id,
            agent_id = %task.agent_id,
            "a task is added"
        ),
        OperatorEvent::TaskUpdated {
            framework_id,
            status,
            state,
        } => {
            tracing::debug!(task_id = %status.task_id, %framework_id, state = state.name(), "a task's state")
        }
        OperatorEvent::AgentAdded(agent) => {
            let address = std::net::SocketAddr::new(agent.spec.ip, agent.spec.port);
            tracing::info!(agent_id = %agent.id, hostname = &*agent.spec.hostname, %address, "an agent is added");
        }
        OperatorEvent::AgentRemoved { agent_id } => tracing::info!(%agent_id, "an agent is removed"),
        OperatorEvent::FrameworkAdded { framework, .. } => {
            tracing::info!(framework_id = %framework.id, name = &*framework.spec.name, "a framework is added");
        }
        OperatorEvent::FrameworkUpdated { framework, .. } => {
            tracing::info!(framework_id = %framework.id, name = &*framework.spec.name, "a framework is updated");
        }
        OperatorEvent::FrameworkRemoved { framework } => tracing::info!(
            framework_id = framework.id.as_ref().map(tracing::field::display),
            name = &*framework.name,
            "a framework is removed"
        ),
    }
}

fn store_commit(changes: Vec<Change>) -> Result<store::Commit, store::KeyError> {
    let changes = changes.into_iter().map(|change| {
        Ok(match change {
            Change::Put { key, value } => store::Change::put(store::Key::new(key)?, value),
            Change::Delete { key } => store::Change::delete(store::Key::new(key)?),
        })
    });
    Ok(store::Commit {
        changes: changes.collect::<Result<_, _>>()?,
    })
}

/// About what an event holds in the queue and, encoded, in the connection.
fn event_cost(event: &Event) -> usize {
    let carried = match event {
        Event::Offers { offers, .. } => offers
            .iter()
            .map(|offer| ITEM_BYTES + offer.resources.iter().count() * ITEM_BYTES)
            .sum(),
        Event::Update(status) => status.wire.len() + status.message.as_ref().map_or(0, |m| m.len()),
        Event::Message { data, .. } => data.len(),
        Event::Error { message } => message.len(),
        Event::UpdateOperationStatus(status) => status.message.len(),
        Event::Subscribed { .. } | Event::Rescind { .. } | Event::Failure { .. } => 0,
    };
    ITEM_BYTES + carried
}

fn agent_cost(message: &ToAgent) -> usize {
    let carried = match message {
        ToAgent::RunTask { framework, task, .. } => framework.wire.len() + task.wire.len(),
        ToAgent::RunTaskGroup { framework, tasks, .. } => {
            framework.wire.len() + tasks.iter().map(|t| t.wire.len()).sum::<usize>()
        }
        ToAgent::FrameworkMessage { data, .. } => data.len(),
        ToAgent::UpdateFramework { framework } => framework.wire.len(),
        ToAgent::Reregistered { reconcile, .. } => reconcile.len() * ITEM_BYTES,
        ToAgent::KillTask { kill_policy, .. } => kill_policy.len(),
        ToAgent::Shutdown { message } => message.len(),
        ToAgent::Registered { .. }
        | ToAgent::ShutdownExecutor { .. }
        | ToAgent::AckUpdate { .. }
        | ToAgent::ShutdownFramework { .. }
        | ToAgent::Ping { .. } => 0,
    };
    ITEM_BYTES + carried
}

fn operator_cost(event: &OperatorEvent) -> usize {
    let carried = match event {
        OperatorEvent::TaskAdded(task) => task.kept.len(),
        OperatorEvent::TaskUpdated { status, .. } => status.wire.len(),
        OperatorEvent::AgentAdded(agent) => agent.spec.wire.len(),
        OperatorEvent::FrameworkAdded { framework, .. }
        | OperatorEvent::FrameworkUpdated { framework, .. } => framework.spec.wire.len(),
        OperatorEvent::FrameworkRemoved { framework } => framework.wire.len(),
        OperatorEvent::AgentRemoved { .. } => 0,
    };
    ITEM_BYTES + carried
}
