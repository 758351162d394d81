//! How each effect of the core is carried out.

use super::{Message, Owner};
use crate::link;
use meseta_agent_core::{Effect, Input, LaunchFailure, LaunchOrder, Level, ProbeOrder};
use meseta_containerizer::Gone;
use meseta_types::ContainerId;
use meseta_types::link::FromAgent;
use std::sync::Arc;

impl Owner {
    pub(super) async fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Connect { link, master } => {
                self.link = Some(link::connect(
                    link,
                    &master,
                    self.epoch + link.0,
                    self.parts.inbox.clone(),
                ));
            }
            Effect::Disconnect(id) => {
                if self.link.as_ref().is_some_and(|link| link.id() == id) {
                    self.link = None;
                    self.unregistered();
                }
            }
            Effect::Send(item) => self.send(item),
            Effect::Persist { id, records } => self.parts.journal.append(id, &records),
            Effect::Launch(order) => self.launch(&order).await,
            Effect::Terminate(id) => {
                let told = self.parts.containers.terminate(id).await;
                self.needs_containerizer(told);
            }
            Effect::Destroy(id) => {
                let told = self.parts.containers.destroy(id).await;
                self.needs_containerizer(told);
            }
            Effect::Forget(id) => {
                let told = self.parts.containers.forget(id).await;
                self.needs_containerizer(told);
            }
            Effect::Resize {
                container_id,
                resources,
            } => {
                let told = self.parts.containers.resize(container_id, &resources).await;
                self.needs_containerizer(told);
            }
            Effect::Probe(order) => self.probe(order),
            Effect::CancelProbe(id) => {
                if let Some(probe) = self.probes.remove(&id) {
                    probe.abort();
                }
            }
            Effect::ExecutorAnswer { request, answer } => {
                if let Some(caller) = self.calls.remove(&request) {
                    // A caller that hung up does not need the answer.
                    let _ = caller.send(answer);
                }
            }
            Effect::ToExecutor(stream, event) => {
                if !self.streams.send(stream, &event) {
                    self.again.push(Input::ExecutorDisconnected(stream));
                }
            }
            Effect::CloseExecutor(stream) => self.streams.close(stream),
            Effect::MeasureDisk => self.measure_disk(),
            Effect::Remove(path) => self.parts.sandboxes.remove(path, self.parts.inbox.clone()),
            Effect::Notice(level, text) => match level {
                Level::Info => tracing::info!("{text}"),
                Level::Warn => tracing::warn!("{text}"),
                Level::Error => tracing::error!("{text}"),
            },
            Effect::Exit(reason) => self.exit(reason),
        }
    }

    fn send(&mut self, item: FromAgent) {
        let Some(link) = &self.link else { return };
        let id = link.id();
        // A link whose queue is full is given up: re-registration settles what was lost with it.
        if link.send(item).is_err() {
            self.link_down(id);
        }
    }

    async fn launch(&mut self, order: &Arc<LaunchOrder>) {
        let container_id: ContainerId = order.container_id.clone();
        match self.parts.containers.launch(order).await {
            Ok(told) => {
                self.parts.sandboxes.launching(order);
                self.needs_containerizer(told);
            }
            Err(unsupported) => self.again.push(Input::Launched {
                container_id,
                outcome: Err(LaunchFailure::Launch(unsupported.into())),
            }),
        }
    }

    fn probe(&mut self, order: ProbeOrder) {
        let id = order.probe;
        let inbox = self.parts.inbox.clone();
        let probe = self.parts.containers.probe(order);
        let task = tokio::spawn(async move {
            let outcome = probe.await;
            let done = Input::ProbeDone { probe: id, outcome };
            // The owner is gone: nobody asks any more.
            let _ = inbox.send(Message::Input(done), 0).await;
        });
        self.probes.insert(id, task.abort_handle());
    }

    fn needs_containerizer(&mut self, told: Result<(), Gone>) {
        if let Err(gone) = told {
            self.ended = Some(super::Ended::Failed(gone.to_string().into()));
        }
    }
}
