//! Between the core and the containerizer: orders one way, events the other, probes.
//!
//! Held by the owner of the core. It translates; it decides nothing.

use crate::config::Variables;
use crate::launch::{self, Surroundings, Unsupported};
use crate::owner::Message;
use crate::probes;
use crate::sandboxes;
use meseta_agent_core as core;
use meseta_agent_core::{FoundContainer, Input, LaunchInfo, LaunchOrder, ProbeOrder, ProbeOutcome};
use meseta_containerizer::{
    Containerizer, Event, Exit, ExitCause, Found, Gone, LaunchFailure, LaunchSpec, Limitation,
};
use meseta_http::inbox::Inbox;
use meseta_proto::mesos::v1 as pb;
use meseta_types::task::Reason;
use meseta_types::{ContainerId, Resources};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc;

const SIGTERM: i32 = 15;

/// What is remembered of a container while it lives: what probes and readers need.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    /// Its sandbox.
    pub(crate) sandbox: Arc<Path>,
    /// Its whole environment.
    pub(crate) environment: Variables,
    /// Its user.
    pub(crate) user: Option<Arc<str>>,
}

/// The containers of this agent.
#[derive(Clone, Debug)]
pub(crate) struct Containers {
    containerizer: Containerizer,
    around: Surroundings,
    known: Arc<Mutex<BTreeMap<ContainerId, Known>>>,
    fetches: Arc<Fetches>,
}

/// How fetching went since the start; a container without files counts as fetched, as in Mesos.
#[derive(Debug, Default)]
pub(crate) struct Fetches {
    pub(crate) succeeded: AtomicU64,
    pub(crate) failed: AtomicU64,
}

impl Containers {
    /// Over a started containerizer.
    pub(crate) fn new(containerizer: Containerizer, around: Surroundings) -> Containers {
        Containers {
            containerizer,
            around,
            known: Arc::default(),
            fetches: Arc::default(),
        }
    }

    /// How fetching went.
    pub(crate) fn fetches(&self) -> Arc<Fetches> {
        Arc::clone(&self.fetches)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<ContainerId, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers containers of the last life, so that they can be probed.
    pub(crate) fn recovered(&self, orders: impl Iterator<Item = LaunchOrder>) {
        for order in orders {
            match launch::spec(&order, &self.around) {
                Ok(spec) => self.remember(&spec),
                Err(why) => {
                    tracing::warn!(container = %order.container_id, why, "a recovered container cannot be probed")
                }
            }
        }
    }

    fn remember(&self, spec: &LaunchSpec) {
        self.lock().insert(
            spec.id.clone(),
            Known {
                sandbox: Arc::clone(&spec.sandbox),
                environment: spec.environment.clone(),
                user: spec.user.clone(),
            },
        );
    }

    /// Starts a container.
    ///
    /// # Errors
    /// The order asks for something that is not supported; nothing was started.
    pub(crate) async fn launch(&self, order: &LaunchOrder) -> Result<Result<(), Gone>, Unsupported> {
        let spec = launch::spec(order, &self.around)?;
        self.remember(&spec);
        Ok(self.containerizer.launch(spec).await)
    }

    /// SIGTERM to all its processes.
    pub(crate) async fn terminate(&self, id: ContainerId) -> Result<(), Gone> {
        self.containerizer.signal(id, SIGTERM).await
    }

    /// Kills everything of it.
    pub(crate) async fn destroy(&self, id: ContainerId) -> Result<(), Gone> {
        self.containerizer.destroy(id).await
    }

    /// Its end is recorded.
    pub(crate) async fn forget(&self, id: ContainerId) -> Result<(), Gone> {
        self.lock().remove(&id);
        self.containerizer.acknowledge(id).await
    }

    /// Sets its resources.
    pub(crate) async fn resize(&self, id: ContainerId, resources: &Resources) -> Result<(), Gone> {
        self.containerizer.update(id, launch::requests(resources)).await
    }

    /// Runs a probe; the future resolves to what it found. Dropping it ends the probe.
    pub(crate) fn probe(&self, order: ProbeOrder) -> impl Future<Output = ProbeOutcome> + Send + 'static {
        let known = self.lock().get(&order.container_id).cloned();
        probes::run(order, known, self.containerizer.clone())
    }

    /// Turns events into inputs until the containerizer or the owner is gone; then its handle goes too.
    pub(crate) async fn forward(self, mut events: mpsc::Receiver<Event>, inbox: Inbox<Message>) {
        loop {
            let event = tokio::select! {
                event = events.recv() => event,
                () = inbox.closed() => return,
            };
            let message = match event {
                Some(event) => match self.input(event) {
                    Some(input) => Message::Input(input),
                    None => continue,
                },
                None => Message::Fault("the containerizer is gone".into()),
            };
            let is_last = matches!(message, Message::Fault(_));
            if inbox.send(message, 0).await.is_err() || is_last {
                return;
            }
        }
    }

    fn input(&self, event: Event) -> Option<Input> {
        Some(match event {
            Event::Launched { id, pid } => {
                self.fetches.succeeded.fetch_add(1, Ordering::Relaxed);
                self.link_latest(&id);
                Input::Launched {
                    outcome: Ok(self.info(&id, pid)),
                    container_id: id,
                }
            }
            Event::LaunchFailed { id, failure } => {
                if let LaunchFailure::Fetch(_) = failure {
                    self.fetches.failed.fetch_add(1, Ordering::Relaxed);
                }
                let failure = match failure {
                    LaunchFailure::Sandbox(text) => core::LaunchFailure::Sandbox(text),
                    other => {
                        self.link_latest(&id);
                        core::LaunchFailure::Launch(other.to_string().into())
                    }
                };
                self.lock().remove(&id);
                Input::Launched {
                    container_id: id,
                    outcome: Err(failure),
                }
            }
            Event::Exited { id, exit } => Input::Exited {
                container_id: id,
                termination: termination(exit),
            },
            Event::Updated { id, outcome } => Input::Resized {
                container_id: id,
                outcome,
            },
            // Told of a container whose exit is on its way or was acknowledged: nothing follows from it.
            Event::Unknown { id } => {
                tracing::debug!(container = %id, "the supervisor does not know this container");
                return None;
            }
            Event::SupervisorReplaced { containers } => {
                tracing::error!("the supervisor died and was replaced");
                Input::SupervisorRestarted(self.found(containers))
            }
            Event::SupervisorDown { why } => {
                tracing::error!(%why, "there is no supervisor; it is tried again");
                return None;
            }
        })
    }

    fn link_latest(&self, id: &ContainerId) {
        if let Some(known) = self.lock().get(id) {
            sandboxes::link_latest(Arc::clone(&known.sandbox));
        }
    }

    fn info(&self, id: &ContainerId, pid: u32) -> LaunchInfo {
        let known_pid = (pid != 0).then_some(pid);
        LaunchInfo {
            pid,
            container_status: launch::container_status(id, self.around.address.ip(), known_pid),
        }
    }

    /// What the supervisor had when we connected, in the core's words.
    pub(crate) fn found(&self, containers: Vec<Found>) -> Vec<FoundContainer> {
        containers
            .into_iter()
            .map(|found| FoundContainer {
                info: self.info(&found.id, found.pid),
                exit: found.exit.map(termination),
                container_id: found.id,
            })
            .collect()
    }
}

fn termination(exit: Exit) -> core::Termination {
    core::Termination {
        status: exit.status(),
        message: match exit.cause {
            ExitCause::Status(_) => None,
            ExitCause::Unseen(why) => Some(why),
        },
        limitation: exit.limitation.map(limitation),
    }
}

fn limitation(limitation: Limitation) -> core::Limitation {
    match limitation {
        Limitation::Memory {
            limit_bytes, message, ..
        } => core::Limitation {
            reason: Reason::CONTAINER_LIMITATION_MEMORY,
            wire: launch::limitation(&pb::TaskResourceLimitation {
                resources: vec![pb::Resource {
                    name: "mem".to_owned(),
                    r#type: pb::value::Type::Scalar as i32,
                    scalar: Some(pb::value::Scalar {
                        value: limit_bytes as f64 / f64::from(1 << 20),
                    }),
                    ..Default::default()
                }],
            }),
            message,
        },
    }
}
