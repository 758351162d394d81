//! Carries out what the engine says.

use super::{Called, Owner, RECONCILE_MAX, What};
use crate::launch;
use crate::offer::Left;
use crate::record;
use crate::status;
use crate::{definition, owner::Told};
use meseta_sdk::CallError;
use meseta_service_core::app::{AppId, Version};
use meseta_service_core::io::{Change, CommitId, Effect, Event, Input, Launch, Outcome};
use meseta_types::{AgentId, TaskId, Wall};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

impl Owner {
    pub(super) fn effect(&mut self, now: Wall, effect: Effect) {
        match effect {
            Effect::Commit(id, changes) => self.write(id, changes),
            Effect::Answer(request, answer) => {
                if let Some(caller) = self.callers.remove(&request) {
                    // A caller that left does not need it any more.
                    let _ = caller.answer.send(answer);
                }
            }
            Effect::Accept { offer, launches } => self.accept(&offer, launches),
            Effect::Decline { offer, refuse } => {
                if let Some(offer) = self.offers.remove(&offer) {
                    self.doors.counters.decline();
                    offer.decline(refuse);
                }
            }
            Effect::Want(wanted) => self.wishes.want(wanted),
            Effect::Kill { task, agent } => self.kill(&task, &agent),
            Effect::Reconcile(tasks) => self.ask_about(tasks),
            Effect::Acknowledge(token) => {
                if let Some(update) = self.acks.remove(&token) {
                    self.ack_of.remove(&update.status.task_id.value);
                    update.ack();
                }
            }
            Effect::Event(event) => self.publish(now, event),
        }
    }

    fn write(&mut self, id: CommitId, changes: Vec<Change>) {
        match record::commit(&changes) {
            Ok(commit) => self.commit = Some((id, changes, self.doors.store.submit(commit))),
            Err(error) => {
                tracing::error!(%error, "a change has no record");
                let outcome = Outcome::Refused(error.to_string().into());
                self.again.push_back(Input::Committed(id, outcome));
            }
        }
    }

    /// Launches instances. What the master did not take is told back, so that it is launched elsewhere.
    fn accept(&mut self, id: &Arc<str>, launches: Vec<Launch>) {
        let Some(offer) = self.offers.remove(id) else {
            for launch in launches {
                if let Some(place) = &launch.instance.place {
                    let event = status::not_launched(&launch.instance.task_id(), &place.agent);
                    self.again.push_back(Input::Task(event));
                }
            }
            return;
        };
        let agent: Arc<str> = offer.agent_id.value.as_str().into();
        let mut left = Left::of(&offer);
        let mut definitions: BTreeMap<(AppId, Version), Arc<definition::App>> = BTreeMap::new();
        let (mut tasks, mut ids) = (Vec::new(), Vec::new());
        for launch in &launches {
            let key = (launch.spec.id.clone(), launch.spec.version);
            let known = definitions.get(&key).cloned();
            let app = known.map_or_else(|| self.definition(launch), Ok);
            let built = app.and_then(|app| {
                definitions.insert(key, Arc::clone(&app));
                let resources = left.cut(&launch.taken).map_err(|missing| missing.to_string())?;
                Ok(launch::task(launch, &app, &offer, resources))
            });
            let task_id = launch.instance.task_id();
            match built {
                Ok(task) => {
                    tasks.push(task);
                    ids.push(task_id);
                }
                Err(why) => {
                    tracing::error!(task = task_id, %why, "a task cannot be built");
                    let event = status::impossible(&task_id, &agent, &why);
                    self.again.push_back(Input::Task(event));
                }
            }
        }
        if tasks.is_empty() {
            offer.decline(Duration::ZERO);
            return;
        }
        self.doors.counters.launch(tasks.len());
        let client = self.doors.client.clone();
        self.calling.spawn(async move {
            match client.launch(vec![offer], tasks, Duration::ZERO).await {
                Ok(_) => Called::Done,
                Err(CallError::Unknown(why)) => {
                    tracing::warn!(%why, tasks = ids.len(), "nobody can say whether they were launched");
                    Called::AskAbout(ids.into_iter().map(|id| (id, Arc::clone(&agent))).collect())
                }
                // Told as a failure, so that it is not tried again without end and without a pause.
                Err(error @ CallError::Refused { .. }) => {
                    tracing::warn!(%error, tasks = ids.len(), "a launch was refused");
                    let why = error.to_string();
                    Called::Tell(
                        ids.iter()
                            .map(|id| status::impossible(id, &agent, &why))
                            .collect(),
                    )
                }
                Err(error) => {
                    tracing::info!(%error, tasks = ids.len(), "not launched");
                    Called::Tell(ids.iter().map(|id| status::not_launched(id, &agent)).collect())
                }
            }
        });
    }

    /// The definition a launch follows: mostly the one that counts, which is read already.
    fn definition(&self, launch: &Launch) -> Result<Arc<definition::App>, String> {
        match self.model.app(&launch.spec.id) {
            Some(view) if view.spec.version == launch.spec.version => Ok(Arc::clone(&view.definition)),
            _ => definition::parse_stored(&launch.spec)
                .map(Arc::new)
                .map_err(|error| format!("the app's definition cannot be read: {error}")),
        }
    }

    /// The engine tells a kill again if nothing is heard of it.
    fn kill(&mut self, task: &str, agent: &Arc<str>) {
        let (Ok(task), Ok(agent)) = (TaskId::new(task), AgentId::new(&**agent)) else {
            tracing::error!(task, %agent, "no ids: a defect");
            return;
        };
        self.doors.counters.kill();
        let client = self.doors.client.clone();
        self.calling.spawn(async move {
            if let Err(error) = client.kill(&task, Some(&agent), None).await {
                tracing::info!(%task, %error, "a kill was not sent");
            }
            Called::Done
        });
    }

    /// Asks the master about these tasks.
    pub(super) fn ask_about(&mut self, tasks: Vec<(String, Arc<str>)>) {
        let ids =
            |(task, agent): &(String, Arc<str>)| Some((TaskId::new(task).ok()?, AgentId::new(&**agent).ok()));
        for part in tasks.chunks(RECONCILE_MAX) {
            let part: Vec<_> = part.iter().filter_map(ids).collect();
            let client = self.doors.client.clone();
            self.calling.spawn(async move {
                if let Err(error) = client.reconcile(part).await {
                    tracing::info!(%error, "not reconciled");
                }
                Called::Done
            });
        }
    }

    fn publish(&mut self, at: Wall, event: Event) {
        match &event {
            Event::DeploymentDone(_) => self.doors.counters.deployment(true),
            Event::DeploymentFailed(_) => self.doors.counters.deployment(false),
            _ => {}
        }
        let seen = match &event {
            Event::Status { instance, .. } | Event::UnhealthyKill { instance } => {
                self.model.seen(&instance.id)
            }
            _ => None,
        };
        let seen = seen.map(Arc::clone);
        let what = What::Engine { event, seen };
        // Nobody may be listening.
        let _ = self.doors.told.send(Arc::new(Told { at, what }));
    }
}
