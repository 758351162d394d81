//! The task that owns the connection to the supervisor: what was asked and not yet answered, and what to do when the
//! connection is lost.
//!
//! Nothing is lost with a connection: launches, destroys and updates without an answer are asked again; containers that
//! the next supervisor does not know any more are told as ended. Commands are always taken, also while there is no
//! supervisor, so that a shell may await a command while it does not read events.

use super::connect::{self, Inventory, Session};
use super::{Config, Order};
use crate::codec::frame;
use crate::event::{Event, Exit, ExitCause, Found, LaunchFailure};
use crate::fetch;
use crate::plan::{Plan, Setting, plan_fetch, plan_launch, plan_probe, settings};
use crate::probe::Verdict;
use crate::spec::{CommandProbe, LaunchSpec};
use crate::wire::{Ask, Class, Failure, Known, Tell};
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use meseta_types::ContainerId;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot};

/// Events that wait for room in the shell's channel before we stop listening to the supervisor.
const BACKLOG_MAX: usize = 1024;

/// Bytes that wait for the supervisor to read before we stop taking commands. It always reads; this only catches one that
/// is stopped in a debugger.
const UNSENT_BYTES_MAX: usize = 64 << 20;

/// A connection that was lost sooner than this is not replaced before.
const SESSION_MIN: Duration = Duration::from_millis(200);

/// Pauses between attempts to get a supervisor: doubling from the first to the second.
const RETRY_PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// A launch without an answer.
enum Pending {
    /// Its files are being fetched, under this key.
    Fetching { spec: Box<LaunchSpec>, key: String },
    /// The supervisor was asked.
    Launching { plan: Plan },
}

enum Job {
    /// Nobody waits for this probe any more, or it took too long.
    ProbeOver { key: String, timed_out: bool },
    /// Why the fetch of this container failed.
    FetchFailed { id: ContainerId, why: String },
}

pub(crate) struct Link {
    config: Config,
    helper: Vec<String>,
    events: mpsc::Sender<Event>,
    backlog: VecDeque<Event>,
    out: Vec<u8>,
    launches: BTreeMap<ContainerId, Pending>,
    /// Fetches by their keys.
    fetches: BTreeMap<String, ContainerId>,
    probes: BTreeMap<String, oneshot::Sender<Verdict>>,
    updates: BTreeMap<ContainerId, Vec<Setting>>,
    /// Destroyed, end not yet told.
    doomed: BTreeSet<ContainerId>,
    /// Launched, end not yet told.
    live: BTreeSet<ContainerId>,
    jobs: FuturesUnordered<BoxFuture<'static, Job>>,
    last_helper: u64,
    stopping: Option<oneshot::Sender<()>>,
}

impl Link {
    pub(crate) fn new(config: Config, events: mpsc::Sender<Event>, found: &[Found]) -> Link {
        let running = found.iter().filter(|f| f.exit.is_none());
        Link {
            helper: config
                .helper
                .iter()
                .map(|part| part.to_string_lossy().into_owned())
                .collect(),
            config,
            events,
            backlog: VecDeque::new(),
            out: Vec::new(),
            launches: BTreeMap::new(),
            fetches: BTreeMap::new(),
            probes: BTreeMap::new(),
            updates: BTreeMap::new(),
            doomed: BTreeSet::new(),
            live: running.map(|f| f.id.clone()).collect(),
            jobs: FuturesUnordered::new(),
            last_helper: unused_helper(),
            stopping: None,
        }
    }

    /// Runs until the last handle is dropped or the supervisor was stopped.
    pub(crate) async fn run(mut self, session: Session, mut orders: mpsc::Receiver<Order>) {
        let mut session = session;
        loop {
            let pid = session.pid;
            let begun = tokio::time::Instant::now();
            if let ControlFlow::Break(()) = self.converse(session, &mut orders).await {
                return;
            }
            if let Some(stopped) = self.stopping.take() {
                let _ = stopped.send(());
                return;
            }
            // Two agents that share a folder by mistake, each taking the supervisor from the other, shall not do so as
            // fast as they can.
            let pause = SESSION_MIN.saturating_sub(begun.elapsed());
            if self
                .meanwhile(&mut orders, tokio::time::sleep(pause))
                .await
                .is_none()
            {
                return;
            }
            let Some((next, inventory)) = self.reconnect(&mut orders).await else {
                return;
            };
            self.resume(inventory, next.pid != pid);
            session = next;
        }
    }

    /// One connection, until it is lost (`Continue`) or the last handle is gone (`Break`).
    async fn converse(&mut self, session: Session, orders: &mut mpsc::Receiver<Order>) -> ControlFlow<()> {
        let mut frames = session.frames;
        let (mut read, mut write): (OwnedReadHalf, OwnedWriteHalf) = session.stream.into_split();
        let mut buffer = vec![0; 64 << 10];
        let events = self.events.clone();
        loop {
            // Also what came together with the greeting's end.
            loop {
                match frames.next::<Tell>() {
                    Ok(Some(tell)) => self.told(tell),
                    Ok(None) => break,
                    Err(error) => {
                        tracing::error!(%error, "the supervisor is not understood");
                        return ControlFlow::Continue(());
                    }
                }
            }
            tokio::select! {
                order = orders.recv(), if self.out.len() < UNSENT_BYTES_MAX => match order {
                    Some(order) => self.take(order),
                    None => return ControlFlow::Break(()),
                },
                length = read.read(&mut buffer), if self.backlog.len() < BACKLOG_MAX => match length {
                    Ok(length) if length > 0 => frames.push(buffer.get(..length).unwrap_or_default()),
                    _ => return ControlFlow::Continue(()),
                },
                written = write.write(&self.out), if !self.out.is_empty() => match written {
                    Ok(length) => { self.out.drain(..length); }
                    Err(_) => return ControlFlow::Continue(()),
                },
                Ok(room) = events.reserve(), if !self.backlog.is_empty() => {
                    if let Some(event) = self.backlog.pop_front() {
                        room.send(event);
                    }
                }
                Some(job) = self.jobs.next() => self.done(job),
            }
        }
    }

    /// Gets a supervisor, however long that takes; commands wait. `None`: the last handle is gone.
    async fn reconnect(&mut self, orders: &mut mpsc::Receiver<Order>) -> Option<(Session, Inventory)> {
        let mut pause = RETRY_PAUSES.0;
        loop {
            let config = self.config.clone();
            let error = match self.meanwhile(orders, connect::again(&config)).await? {
                Ok(connected) => return Some(connected),
                Err(error) => error,
            };
            tracing::error!(%error, "no supervisor");
            self.backlog.push_back(Event::SupervisorDown {
                why: Arc::from(error.to_string()),
            });
            self.meanwhile(orders, tokio::time::sleep(pause)).await?;
            pause = (pause * 2).min(RETRY_PAUSES.1);
        }
    }

    /// Waits for something while there is no supervisor; takes commands and delivers events.
    async fn meanwhile<T>(
        &mut self,
        orders: &mut mpsc::Receiver<Order>,
        what: impl Future<Output = T>,
    ) -> Option<T> {
        let mut what = std::pin::pin!(what);
        let events = self.events.clone();
        loop {
            tokio::select! {
                done = &mut what => return Some(done),
                order = orders.recv(), if self.out.len() < UNSENT_BYTES_MAX => self.take(order?),
                Ok(room) = events.reserve(), if !self.backlog.is_empty() => {
                    if let Some(event) = self.backlog.pop_front() {
                        room.send(event);
                    }
                }
                Some(job) = self.jobs.next() => self.done(job),
            }
        }
    }

    /// Brings our and the supervisor's knowledge together after a lost connection.
    fn resume(&mut self, inventory: Inventory, replaced: bool) {
        // Whatever was in it is asked again below, or is of no use any more.
        self.out.clear();
        if replaced {
            let containers = inventory.iter().filter_map(connect::found).collect();
            self.backlog.push_back(Event::SupervisorReplaced { containers });
        }
        let known: BTreeMap<String, Known> = inventory.into_iter().collect();
        for id in std::mem::take(&mut self.live) {
            if known.contains_key(id.as_str()) {
                self.live.insert(id);
                continue;
            }
            self.doomed.remove(&id);
            let why = "Exit status unknown: the supervisor does not know the container any more";
            self.backlog.push_back(Event::Exited {
                id,
                exit: Exit {
                    cause: ExitCause::Unseen(Arc::from(why)),
                    limitation: None,
                },
            });
        }
        for (key, state) in &known {
            match state {
                Known::Launching => {}
                Known::Running { pid } => self.launched(key, *pid),
                Known::Ended { pid, exit } => {
                    self.launched(key, *pid);
                    self.exited(key, exit.clone().into());
                }
            }
        }
        let answers = std::mem::take(&mut self.probes);
        for answer in answers.into_values() {
            let _ = answer.send(Verdict::Skipped(Arc::from("the supervisor was restarted")));
        }
        self.fetches.clear();
        for (id, pending) in std::mem::take(&mut self.launches) {
            match pending {
                Pending::Fetching { spec, .. } => self.fetch(spec),
                Pending::Launching { plan } => {
                    if !known.contains_key(id.as_str()) {
                        self.ask_launch(&id, plan.clone());
                    }
                    self.launches.insert(id, Pending::Launching { plan });
                }
            }
        }
        for (id, settings) in self.updates.clone() {
            let key = id.as_str().to_owned();
            self.ask(&Ask::Update { key, settings });
        }
        for id in self.doomed.clone() {
            self.ask_destroy(&id);
        }
        if self.stopping.is_some() {
            self.ask(&Ask::Stop);
        }
    }

    fn ask(&mut self, ask: &Ask) {
        frame(ask, &mut self.out);
    }

    fn ask_launch(&mut self, id: &ContainerId, plan: Plan) {
        self.ask(&Ask::Launch {
            key: id.as_str().to_owned(),
            class: Class::Task,
            plan,
        });
    }

    /// Destroys a container in whatever state its launch is.
    fn ask_destroy(&mut self, id: &ContainerId) {
        let key = match self.launches.get(id) {
            Some(Pending::Fetching { key, .. }) => key.clone(),
            _ => id.as_str().to_owned(),
        };
        self.ask(&Ask::Destroy { key });
    }

    fn take(&mut self, order: Order) {
        match order {
            Order::Launch(spec) => self.launch(spec),
            Order::Signal(id, signal) => {
                let key = id.as_str().to_owned();
                self.ask(&Ask::Signal { key, signal });
            }
            Order::Destroy(id) => {
                self.ask_destroy(&id);
                self.doomed.insert(id);
            }
            Order::Update(id, resources) => {
                let isolation = &self.config.isolation;
                let cgroups = isolation.cgroups(id.as_str());
                let settings = settings(&cgroups, &resources, isolation, false);
                if settings.is_empty() {
                    // Nothing enforces anything: done.
                    let outcome = Ok(());
                    self.backlog.push_back(Event::Updated { id, outcome });
                    return;
                }
                let key = id.as_str().to_owned();
                self.updates.insert(id, settings.clone());
                self.ask(&Ask::Update { key, settings });
            }
            Order::Forget(id) => {
                // A destroy that came after its end has no answer.
                self.doomed.remove(&id);
                let key = id.as_str().to_owned();
                self.ask(&Ask::Forget { key });
            }
            Order::Probe(probe, answer, asked) => self.probe(&probe, answer, asked),
            Order::Stop(stopped) => {
                self.stopping = Some(stopped);
                self.ask(&Ask::Stop);
            }
        }
    }

    fn launch(&mut self, spec: Box<LaunchSpec>) {
        if !spec.uris.is_empty() {
            return self.fetch(spec);
        }
        match plan_launch(&spec, &self.config.isolation) {
            Ok(plan) => {
                self.ask_launch(&spec.id, plan.clone());
                self.launches.insert(spec.id, Pending::Launching { plan });
            }
            Err(refusal) => {
                self.launch_failed(spec.id, LaunchFailure::Refused(Arc::from(refusal.to_string())));
            }
        }
    }

    fn launch_failed(&mut self, id: ContainerId, failure: LaunchFailure) {
        self.launches.remove(&id);
        self.doomed.remove(&id);
        self.backlog.push_back(Event::LaunchFailed { id, failure });
    }

    /// A key of our own that no container has: ids have no slash, and that no helper of an earlier life has, which the
    /// supervisor may still be ending.
    fn helper_key(&mut self, what: &str, id: &ContainerId) -> String {
        self.last_helper += 1;
        format!("{what}/{id}/{}", self.last_helper)
    }

    fn fetch(&mut self, spec: Box<LaunchSpec>) {
        let key = self.helper_key("fetch", &spec.id);
        let (helper, environment) = fetch::command(&spec, &self.helper, self.config.fetcher_stall_timeout);
        match plan_fetch(&spec, &helper, environment) {
            Ok(plan) => {
                let id = spec.id.clone();
                self.ask(&Ask::Launch {
                    key: key.clone(),
                    class: Class::Fetch,
                    plan,
                });
                self.fetches.insert(key.clone(), id.clone());
                self.launches.insert(id, Pending::Fetching { spec, key });
            }
            Err(refusal) => {
                let why = Arc::from(refusal.to_string());
                self.launch_failed(spec.id, LaunchFailure::Refused(why));
            }
        }
    }

    fn probe(
        &mut self,
        probe: &CommandProbe,
        answer: oneshot::Sender<Verdict>,
        asked: oneshot::Receiver<()>,
    ) {
        let plan = match plan_probe(probe, &self.config.isolation) {
            Ok(plan) => plan,
            Err(refusal) => {
                let why = Arc::from(refusal.to_string());
                let _ = answer.send(Verdict::Failed(why));
                return;
            }
        };
        let key = self.helper_key("probe", &probe.container);
        self.ask(&Ask::Launch {
            key: key.clone(),
            class: Class::Probe {
                of: probe.container.as_str().to_owned(),
            },
            plan,
        });
        self.probes.insert(key.clone(), answer);
        let timeout = probe.timeout;
        self.jobs.push(Box::pin(async move {
            let timed_out = match timeout {
                Some(timeout) => tokio::time::timeout(timeout, asked).await.is_err(),
                None => asked.await.is_ok(), // never sent: resolves to an error when dropped
            };
            Job::ProbeOver { key, timed_out }
        }));
    }

    fn done(&mut self, job: Job) {
        match job {
            Job::ProbeOver { key, timed_out } => {
                if let Some(answer) = self.probes.remove(&key) {
                    self.ask(&Ask::Destroy { key });
                    if timed_out {
                        let _ = answer.send(Verdict::TimedOut);
                    }
                }
            }
            Job::FetchFailed { id, why } => {
                self.launch_failed(id, LaunchFailure::Fetch(Arc::from(why)));
            }
        }
    }

    fn told(&mut self, tell: Tell) {
        match tell {
            // Only in a greeting.
            Tell::Welcome { .. } | Tell::Found { .. } | Tell::Ready => {}
            Tell::Launched { key, pid } => self.launched(&key, pid),
            Tell::Failed { key, failure } => self.failed(&key, failure),
            Tell::Exited { key, exit } => self.exited(&key, exit.into()),
            Tell::Updated { key, error } => self.updated(&key, error),
            Tell::Unknown { key } => self.unknown(&key),
        }
    }

    fn launched(&mut self, key: &str, pid: u32) {
        let Ok(id) = ContainerId::new(key) else {
            return; // a fetch or a probe
        };
        // Told again after a reconnection: the shell heard it already.
        if self.launches.remove(&id).is_some() {
            self.live.insert(id.clone());
            self.backlog.push_back(Event::Launched { id, pid });
        }
    }

    fn failed(&mut self, key: &str, failure: Failure) {
        if let Some(answer) = self.probes.remove(key) {
            let _ = answer.send(probe_failure(failure));
        } else if let Some(id) = self.fetches.remove(key) {
            let failure = match LaunchFailure::from(failure) {
                LaunchFailure::Exec(why) => LaunchFailure::Fetch(why),
                other => other,
            };
            self.launch_failed(id, failure);
        } else if let Ok(id) = ContainerId::new(key) {
            self.launch_failed(id, failure.into());
        }
    }

    fn exited(&mut self, key: &str, exit: Exit) {
        if let Some(answer) = self.probes.remove(key) {
            let _ = answer.send(match exit.cause {
                ExitCause::Status(status) => Verdict::Exited(status),
                ExitCause::Unseen(why) => Verdict::Skipped(why),
            });
        } else if let Some(id) = self.fetches.remove(key) {
            self.fetched(id, &exit);
        } else if let Ok(id) = ContainerId::new(key) {
            self.live.remove(&id);
            self.doomed.remove(&id);
            self.updates.remove(&id);
            self.backlog.push_back(Event::Exited { id, exit });
        }
    }

    /// The fetch for a container ended.
    fn fetched(&mut self, id: ContainerId, exit: &Exit) {
        let Some(Pending::Fetching { mut spec, .. }) = self.launches.remove(&id) else {
            return;
        };
        if self.doomed.contains(&id) {
            self.launch_failed(id, LaunchFailure::Destroyed);
        } else if exit.status() == Some(0) {
            spec.uris.clear();
            self.launch(spec);
        } else {
            let status = exit.clone();
            self.jobs.push(Box::pin(async move {
                let why = fetch::failure(&spec, &status).await;
                Job::FetchFailed { id, why }
            }));
        }
    }

    fn updated(&mut self, key: &str, error: Option<String>) {
        if let Ok(id) = ContainerId::new(key) {
            self.updates.remove(&id);
            let outcome = error.map_or(Ok(()), |why| Err(Arc::from(why)));
            self.backlog.push_back(Event::Updated { id, outcome });
        }
    }

    fn unknown(&mut self, key: &str) {
        let Ok(id) = ContainerId::new(key) else {
            return;
        };
        if self.updates.remove(&id).is_some() {
            let outcome = Err(Arc::from("Unknown container"));
            self.backlog.push_back(Event::Updated {
                id: id.clone(),
                outcome,
            });
            return;
        }
        // Not if its launch is still to be asked for: then that has its own answer.
        if !self.launches.contains_key(&id) {
            self.doomed.remove(&id);
            self.backlog.push_back(Event::Unknown { id });
        }
    }
}

/// The number before those of this life's helpers.
fn unused_helper() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_micros()).unwrap_or_default()
}

/// A check that cannot be started is the task's failure when its program is; else it is nobody's.
fn probe_failure(failure: Failure) -> Verdict {
    match failure {
        Failure::Exec { why } => Verdict::Failed(Arc::from(why)),
        other => Verdict::Skipped(Arc::from(LaunchFailure::from(other).to_string())),
    }
}
