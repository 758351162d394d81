//! The one task that owns the engine: inputs in, effects out, everything else at arm's length.
//!
//! Handlers send it an [`Ask`] and await the answer; readers get a [`View`] made on demand and shared until something
//! changes. While a write is under way readers wait for it, so that nobody sees what may still be refused.

use crate::history::History;
use crate::launch;
use crate::notify::Notifier;
use crate::record::{self, EndedRecord};
use jiff::Timestamp;
use meseta_cron_core::engine::Engine;
use meseta_cron_core::graph::Graph;
use meseta_cron_core::io::{
    AckToken, Answer, Call, Change, CommitId, Effect, Input, Offer, Outcome, Refusal, RequestId, TaskEvent, TaskKind,
};
use meseta_cron_core::job::{Demand, Job, JobName, JobSpec};
use meseta_cron_core::run::{Run, RunId};
use meseta_sdk::{CallError, Client, Event, Events, Exit, proto as v1};
use meseta_store::{Commit, Key, Pending, Store};
use meseta_types::{AgentId, TaskId};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Asks that wait for the owner. Handlers wait when it is full, and callers with them.
pub(crate) const ASKS_MAX: usize = 1_024;

/// Longest the engine is left alone: a wall clock that jumped is noticed after so long.
const LOOK: Duration = Duration::from_secs(60);

/// Asks taken in one go before effects are carried out.
const BATCH_MAX: usize = 256;

/// What a handler wants.
pub(crate) enum Ask {
    /// A change.
    Call(Call, oneshot::Sender<Result<Answer, Refusal>>),
    /// A look at everything.
    View(oneshot::Sender<Arc<View>>),
}

/// Everything readers see, as of one moment.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) jobs: BTreeMap<JobName, Job>,
    pub(crate) runs: BTreeMap<JobName, Vec<Run>>,
    pub(crate) graph: Graph,
    pub(crate) history: Vec<(JobName, Vec<EndedRecord>)>,
    pub(crate) durations: BTreeMap<JobName, Vec<i64>>,
    pub(crate) framework_id: String,
}

/// How the owner ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Ended {
    /// As asked.
    Stopped,
    /// The framework's subscription ended for good.
    Framework(Exit),
    /// Nobody can say what is stored: start again from what is.
    Store(String),
}

pub(crate) struct Owner {
    pub(crate) engine: Engine,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) client: Client,
    pub(crate) events: Events,
    pub(crate) asks: mpsc::Receiver<Ask>,
    pub(crate) history: History,
    pub(crate) notifier: Notifier,
    pub(crate) wall: fn() -> Timestamp,
    pub(crate) state: State,
}

/// What the owner keeps beside the engine.
#[derive(Default)]
pub(crate) struct State {
    offers: BTreeMap<Arc<str>, meseta_sdk::Offer>,
    acks: BTreeMap<AckToken, meseta_sdk::Update>,
    callers: BTreeMap<RequestId, oneshot::Sender<Result<Answer, Refusal>>>,
    readers: Vec<oneshot::Sender<Arc<View>>>,
    view: Option<Arc<View>>,
    next: u64,
    commit: Option<(CommitId, Pending)>,
    came_back: VecDeque<Input>,
    ended: Option<Ended>,
}

impl Owner {
    /// Runs until the framework is stopped or something final happens.
    pub(crate) async fn run(mut self, mut stop: oneshot::Receiver<()>) -> Ended {
        let (told, mut failed_launches) = mpsc::channel::<Vec<RunId>>(ASKS_MAX);
        self.input(Input::Tick, &told);
        loop {
            if let Some(ended) = self.state.ended.take() {
                return ended;
            }
            let wait = self.wait();
            let waiting = self.state.commit.is_some();
            tokio::select! {
                biased;
                _ = &mut stop => return Ended::Stopped,
                outcome = committed(&mut self.state.commit), if waiting => self.committed(outcome, &told),
                Some(event) = self.events.next() => self.event(event, &told),
                Some(runs) = failed_launches.recv() => {
                    for run in runs {
                        let message = "its offer was gone".into();
                        let event = TaskEvent { run, kind: TaskKind::NotLaunched, message, ack: None };
                        self.input(Input::Task(event), &told);
                    }
                }
                Some(ask) = self.asks.recv() => {
                    self.ask(ask, &told);
                    for _ in 1..BATCH_MAX {
                        let Ok(ask) = self.asks.try_recv() else { break };
                        self.ask(ask, &told);
                    }
                }
                () = tokio::time::sleep(wait) => self.input(Input::Tick, &told),
            }
        }
    }

    fn wait(&self) -> Duration {
        let Some(at) = self.engine.deadline().filter(|_| !self.engine.is_writing()) else { return LOOK };
        let ahead = at.duration_since((self.wall)());
        Duration::try_from(ahead).unwrap_or(Duration::ZERO).min(LOOK)
    }

    fn ask(&mut self, ask: Ask, told: &mpsc::Sender<Vec<RunId>>) {
        match ask {
            Ask::Call(call, answer) => {
                self.state.next += 1;
                let request = RequestId(self.state.next);
                self.state.callers.insert(request, answer);
                self.input(Input::Call(request, call), told);
            }
            Ask::View(reader) => {
                self.state.readers.push(reader);
                self.show();
            }
        }
    }

    /// Answers waiting readers, unless a write is under way.
    fn show(&mut self) {
        if self.engine.is_writing() || self.state.readers.is_empty() {
            return;
        }
        let view = match self.state.view.take() {
            Some(view) => view,
            None => Arc::new(self.view()),
        };
        for reader in self.state.readers.drain(..) {
            // A reader that left does not need it any more.
            let _ = reader.send(Arc::clone(&view));
        }
        self.state.view = Some(view);
    }

    fn view(&self) -> View {
        let jobs = self.engine.jobs().clone();
        let mut runs: BTreeMap<JobName, Vec<Run>> = BTreeMap::new();
        for run in self.engine.runs().values() {
            runs.entry(run.job.clone()).or_default().push(run.clone());
        }
        let history = jobs.keys().map(|name| (name.clone(), self.history.of(name).cloned().collect())).collect();
        let durations = jobs.keys().map(|name| (name.clone(), self.history.durations(name))).collect();
        let framework_id = self.client.framework_id().to_string();
        View { jobs, runs, graph: self.engine.graph().clone(), history, durations, framework_id }
    }

    fn input(&mut self, input: Input, told: &mpsc::Sender<Vec<RunId>>) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let mut effects = Vec::new();
            self.engine.step((self.wall)(), input, &mut effects);
            for effect in effects {
                self.effect(effect, told);
            }
            inputs.append(&mut self.state.came_back);
        }
        self.state.view = None;
        self.show();
    }

    fn effect(&mut self, effect: Effect, told: &mpsc::Sender<Vec<RunId>>) {
        match effect {
            Effect::Commit(id, changes) => self.commit(id, changes),
            Effect::Answer(request, answer) => {
                if let Some(caller) = self.state.callers.remove(&request) {
                    // A caller that left does not need it any more.
                    let _ = caller.send(answer);
                }
            }
            Effect::Accept { offer, runs } => self.accept(&offer, runs, told),
            Effect::Decline { offer, refuse } => {
                if let Some(offer) = self.state.offers.remove(&offer) {
                    offer.decline(Duration::try_from(refuse).unwrap_or(Duration::ZERO));
                }
            }
            Effect::Want(wanted) => self.want(wanted),
            Effect::Kill { run, agent } => self.kill(run, &agent),
            Effect::Reconcile(runs) => self.reconcile(runs),
            Effect::Acknowledge(token) => {
                if let Some(update) = self.state.acks.remove(&token) {
                    update.ack();
                }
            }
            Effect::Notify(notice) => self.notifier.tell(&notice, self.engine.jobs()),
        }
    }

    fn commit(&mut self, id: CommitId, changes: Vec<Change>) {
        let mut commit = Commit::default();
        for change in changes {
            match change {
                Change::Job(job) => put(&mut commit, &format!("job/{}", job.spec.name), record::encode_job(&job)),
                Change::DropJob(name) => {
                    delete(&mut commit, &format!("job/{name}"));
                    commit.changes.extend(self.history.forget(&name));
                }
                Change::Run(run) => put(&mut commit, &format!("run/{}", run.id), record::encode_run(&run)),
                Change::DropRun(id) => delete(&mut commit, &format!("run/{id}")),
                Change::Ended(ended) => commit.changes.extend(self.history.add(EndedRecord::of(&ended))),
            }
        }
        self.state.commit = Some((id, self.store.submit(commit)));
    }

    fn committed(&mut self, outcome: (CommitId, meseta_store::Outcome), told: &mpsc::Sender<Vec<RunId>>) {
        let (id, outcome) = outcome;
        let outcome = match outcome {
            meseta_store::Outcome::Done(_) => Outcome::Done,
            meseta_store::Outcome::Refused(why) => Outcome::Refused(why.to_string().into()),
            meseta_store::Outcome::Fenced => {
                self.state.ended = Some(Ended::Store("another process writes to the store".to_owned()));
                return;
            }
            meseta_store::Outcome::Unknown(why) => {
                self.state.ended = Some(Ended::Store(why.to_string()));
                return;
            }
        };
        self.input(Input::Committed(id, outcome), told);
    }

    fn event(&mut self, event: Event, told: &mpsc::Sender<Vec<RunId>>) {
        match event {
            Event::Subscribed(subscribed) => {
                tracing::info!(framework_id = %subscribed.framework_id, "subscribed");
                self.state.offers.clear();
                self.input(Input::Connected, told);
            }
            Event::Disconnected { why, retry_in } => {
                tracing::warn!(%why, ?retry_in, "disconnected from the master");
                self.state.offers.clear();
                self.input(Input::Disconnected, told);
            }
            Event::Offers(offers) => {
                let seen = offers.iter().map(|offer| seen(offer)).collect();
                self.state.offers.extend(offers.into_iter().map(|o| (Arc::from(o.id.value.as_str()), o)));
                self.input(Input::Offers(seen), told);
            }
            Event::Rescinded(id) => {
                self.state.offers.remove(id.as_str());
                self.input(Input::Rescinded(id.as_str().into()), told);
            }
            Event::Update(update) => {
                self.state.next += 1;
                let ack = AckToken(self.state.next);
                let event = task_event(&update.status, update.wants_ack().then_some(ack));
                if update.wants_ack() {
                    self.state.acks.insert(ack, update);
                }
                self.input(Input::Task(event), told);
            }
            Event::Stopped(exit) => self.state.ended = Some(Ended::Framework(exit)),
            _ => {}
        }
    }

    /// Launches runs. What the master did not take is told back, so that it is launched elsewhere.
    fn accept(&mut self, id: &Arc<str>, runs: Vec<(Run, Arc<JobSpec>)>, told: &mpsc::Sender<Vec<RunId>>) {
        let Some(offer) = self.state.offers.remove(id) else {
            return self.not_launched(runs.iter().map(|(run, _)| run.id.clone()));
        };
        let mut left = offer.resources.clone();
        let mut tasks = Vec::new();
        let mut launched = Vec::new();
        for (run, spec) in &runs {
            match launch::task(run, spec, &offer, &left) {
                Ok(task) => {
                    left = take(left, &task.resources);
                    tasks.push(task);
                    launched.push(run.id.clone());
                }
                Err(shortage) => {
                    tracing::warn!(run = %run.id, %shortage, "the offer is in pieces");
                    self.not_launched(std::iter::once(run.id.clone()));
                }
            }
        }
        let (client, told) = (self.client.clone(), told.clone());
        tokio::spawn(async move {
            match client.launch(vec![offer], tasks, Duration::ZERO).await {
                // Unknown: the next subscription asks the master about them.
                Ok(_) | Err(CallError::Unknown(_)) => {}
                Err(error) => {
                    tracing::warn!(%error, runs = launched.len(), "not launched");
                    // The owner is gone only when the process ends.
                    let _ = told.send(launched).await;
                }
            }
        });
    }

    fn not_launched(&mut self, runs: impl Iterator<Item = RunId>) {
        for run in runs {
            let message = "its offer was gone".into();
            let event = TaskEvent { run, kind: TaskKind::NotLaunched, message, ack: None };
            self.state.came_back.push_back(Input::Task(event));
        }
    }

    fn want(&self, wanted: bool) {
        let client = self.client.clone();
        tokio::spawn(async move {
            let told = match wanted {
                true => client.revive(Vec::new()).await,
                false => client.suppress(Vec::new()).await,
            };
            // A lost subscription is told again by the engine; nothing else can go wrong with a wish.
            if let Err(error) = told {
                tracing::debug!(%error, wanted, "the wish for offers was not heard");
            }
        });
    }

    fn kill(&self, run: RunId, agent: &str) {
        let (client, agent) = (self.client.clone(), AgentId::as_written(agent));
        tokio::spawn(async move {
            let task = TaskId::as_written(run.as_str());
            // Told again after each subscription until the task is dead.
            if let Err(error) = client.kill(&task, Some(&agent), None).await {
                tracing::warn!(%error, task_id = %task, "the kill was not heard");
            }
        });
    }

    fn reconcile(&self, runs: Vec<(RunId, Arc<str>)>) {
        let client = self.client.clone();
        tokio::spawn(async move {
            let tasks = runs.iter().map(|(run, agent)| {
                (TaskId::as_written(run.as_str()), Some(AgentId::as_written(agent)))
            });
            if let Err(error) = client.reconcile(tasks.collect::<Vec<_>>()).await {
                tracing::warn!(%error, "the master was not asked about tasks");
            }
        });
    }
}

async fn committed(commit: &mut Option<(CommitId, Pending)>) -> (CommitId, meseta_store::Outcome) {
    match commit {
        Some((id, pending)) => {
            let id = *id;
            let outcome = pending.await;
            *commit = None;
            (id, outcome)
        }
        None => std::future::pending().await,
    }
}

fn put(commit: &mut Commit, key: &str, value: Vec<u8>) {
    match Key::new(key) {
        Ok(key) => commit.changes.push(meseta_store::Change::put(key, value)),
        // Names are checked when a job is created; ids are made of them.
        Err(error) => tracing::error!(key, %error, "not stored"),
    }
}

fn delete(commit: &mut Commit, key: &str) {
    if let Ok(key) = Key::new(key) {
        commit.changes.push(meseta_store::Change::delete(key));
    }
}

/// What the engine looks at of an offer.
fn seen(offer: &v1::Offer) -> Offer {
    let sum = |name: &str| -> f64 {
        let plain = offer.resources.iter().filter(|r| r.name == name && r.disk.is_none() && r.revocable.is_none());
        plain.filter_map(|r| r.scalar.as_ref()).map(|scalar| scalar.value).sum()
    };
    let attributes = offer.attributes.iter().filter_map(|attribute| {
        let text = match (&attribute.text, &attribute.scalar) {
            (Some(text), _) => text.value.clone(),
            (None, Some(scalar)) => scalar.value.to_string(),
            (None, None) => return None,
        };
        Some((Arc::from(attribute.name.as_str()), Arc::from(text)))
    });
    Offer {
        id: offer.id.value.as_str().into(),
        agent: offer.agent_id.value.as_str().into(),
        host: offer.hostname.as_str().into(),
        attributes: attributes.collect(),
        there: Demand { cpus: sum("cpus"), mem: sum("mem"), disk: sum("disk") },
    }
}

/// What is left of resources when some are taken out of them.
fn take(from: Vec<v1::Resource>, taken: &[v1::Resource]) -> Vec<v1::Resource> {
    let mut left = from;
    for resource in taken {
        let Some(amount) = resource.scalar.as_ref() else { continue };
        let same = left.iter_mut().find(|r| {
            r.name == resource.name && r.reservations == resource.reservations && r.disk == resource.disk
        });
        if let Some(scalar) = same.and_then(|r| r.scalar.as_mut()) {
            scalar.value = ((scalar.value - amount.value) * 1000.0).round() / 1000.0;
        }
    }
    left
}

fn task_event(status: &v1::TaskStatus, ack: Option<AckToken>) -> TaskEvent {
    use v1::TaskState as S;
    let reason = status.reason.and_then(|reason| v1::task_status::Reason::try_from(reason).ok());
    let kind = match S::try_from(status.state) {
        Ok(S::TaskStaging | S::TaskStarting | S::TaskRunning | S::TaskKilling) => TaskKind::Running,
        Ok(S::TaskFinished) => TaskKind::Finished,
        Ok(S::TaskKilled) => TaskKind::Killed,
        Ok(S::TaskFailed | S::TaskError) => TaskKind::Failed,
        Ok(S::TaskDropped) if reason == Some(v1::task_status::Reason::InvalidOffers) => TaskKind::NotLaunched,
        Ok(S::TaskUnreachable) => TaskKind::Unreachable,
        Ok(S::TaskUnknown) => TaskKind::Unknown,
        Ok(S::TaskGone) if reason == Some(v1::task_status::Reason::Reconciliation) => TaskKind::Unknown,
        _ => TaskKind::Lost,
    };
    let message = status.message.as_deref().unwrap_or_default();
    let name = S::try_from(status.state).map_or("an unknown state", |state| state.as_str_name());
    let message = if message.is_empty() { name.into() } else { message.into() };
    TaskEvent { run: RunId::written(&status.task_id.value), kind, message, ack }
}
