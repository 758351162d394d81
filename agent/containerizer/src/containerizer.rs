//! The handle that the agent's shell holds: everything it can ask for, and how it starts.
//!
//! Called by the agent's shell only. It never decides what should run. All methods are cheap and only queue; what came
//! of them is told as an [`Event`]. Commands for one container are carried out in the order they were given.
//!
//! Behind the handle one task (`link`) owns the connection to the supervisor, and starts another supervisor when it is
//! lost (`connect`).

use crate::event::{Event, Found};
use crate::isolate::Isolation;
use crate::probe::Verdict;
use crate::spec::{CommandProbe, LaunchSpec, Resources};
use crate::usage::{Usage, UsageOf};
use meseta_types::ContainerId;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

mod connect;
mod link;

/// What a containerizer needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// Folder for the supervisor's socket, lock and log; made with mode 0700. Does not survive a reboot by intention.
    pub runtime_dir: PathBuf,
    /// How to run the helper processes: a program and its first arguments; `supervise` or `fetch` and theirs are appended.
    /// Ordinarily the path of the running binary alone.
    pub helper: Vec<OsString>,
    /// How new containers are isolated.
    pub isolation: Isolation,
    /// Processes that launch containers side by side; zero: as many as the machine has CPUs, at least two, and several
    /// times as many with cgroups, in which newborns run at their own weight.
    pub launchers: usize,
    /// How long a whole start of the supervisor may take.
    pub supervisor_start_timeout: Duration,
    /// A download that stands still for this long fails (`--fetcher_stall_timeout`).
    pub fetcher_stall_timeout: Duration,
}

impl Config {
    /// How many launchers a supervisor is started with.
    pub(crate) fn launchers(&self) -> usize {
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        match (self.launchers, self.isolation.roots().is_empty()) {
            (0, true) => cpus.max(2),
            (0, false) => cpus * 4,
            (given, _) => given,
        }
    }

    /// The defaults: posix isolation, this very binary as helper.
    pub fn new(runtime_dir: PathBuf, helper: Vec<OsString>) -> Config {
        Config {
            runtime_dir,
            helper,
            isolation: Isolation::posix(),
            launchers: 0,
            supervisor_start_timeout: Duration::from_secs(30),
            fetcher_stall_timeout: Duration::from_secs(60),
        }
    }
}

/// A started containerizer.
#[derive(Debug)]
pub struct Started {
    /// The handle; cheap to clone.
    pub containerizer: Containerizer,
    /// What happens; must be read. While it is full nothing more is taken from the supervisor.
    pub events: mpsc::Receiver<Event>,
    /// What the supervisor ran or remembered when we connected. Each with an exit is to be acknowledged; those the agent
    /// does not know are to be destroyed.
    pub found: Vec<Found>,
}

/// The containerizer was dropped or its task died.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the containerizer is gone")]
pub struct Gone;

/// Commands on their way to the containerizer's task. The task always takes them, whatever the events' reader does, so
/// that this bound only smooths bursts.
const COMMANDS_MAX: usize = 4096;

/// Events on their way to the shell. More wait in the supervisor, which tells them when there is room.
const EVENTS_MAX: usize = 4096;

#[derive(Debug)]
enum Order {
    Launch(Box<LaunchSpec>),
    Signal(ContainerId, i32),
    Destroy(ContainerId),
    Update(ContainerId, Resources),
    Forget(ContainerId),
    /// The second is dropped when nobody waits for the answer any more.
    Probe(Box<CommandProbe>, oneshot::Sender<Verdict>, oneshot::Receiver<()>),
    Stop(oneshot::Sender<()>),
}

/// The handle. Dropping the last one ends the connection; the containers go on.
#[derive(Clone, Debug)]
pub struct Containerizer {
    orders: mpsc::Sender<Order>,
    isolation: Arc<Isolation>,
}

/// Why a containerizer did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The runtime folder cannot be used.
    #[error("cannot use the runtime directory '{path}': {source}")]
    RuntimeDir {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The supervisor cannot be reached and none could be started.
    #[error("cannot start the supervisor: {0}")]
    Supervisor(String),
}

impl Containerizer {
    /// Connects to the supervisor of this runtime folder, starting one if there is none, and hears what it has. A running
    /// supervisor of another build is asked to execute the configured helper in its place; its containers go on.
    pub async fn start(config: Config) -> Result<Started, StartError> {
        let isolation = Arc::new(config.isolation.clone());
        let (session, found) = connect::first(&config).await?;
        let (orders, from_shell) = mpsc::channel(COMMANDS_MAX);
        let (to_shell, events) = mpsc::channel(EVENTS_MAX);
        let link = link::Link::new(config, to_shell, &found);
        tokio::spawn(link.run(session, from_shell));
        Ok(Started {
            containerizer: Containerizer { orders, isolation },
            events,
            found,
        })
    }

    /// Makes the sandbox, fetches, isolates and starts. Answered by `Launched` or `LaunchFailed`.
    pub async fn launch(&self, spec: LaunchSpec) -> Result<(), Gone> {
        self.order(Order::Launch(Box::new(spec))).await
    }

    /// Sends a signal to every process of the container: its process tree, their process groups and sessions.
    /// No answer, except `Unknown`.
    pub async fn signal(&self, id: ContainerId, signal: i32) -> Result<(), Gone> {
        self.order(Order::Signal(id, signal)).await
    }

    /// Kills everything of the container, also while it is fetched for or launched. Ends in `Exited` if it was launched,
    /// in `LaunchFailed` if it had not yet been, in `Unknown` if nobody knows it.
    pub async fn destroy(&self, id: ContainerId) -> Result<(), Gone> {
        self.order(Order::Destroy(id)).await
    }

    /// Sets what the container may use. Answered by `Updated`.
    pub async fn update(&self, id: ContainerId, resources: Resources) -> Result<(), Gone> {
        self.order(Order::Update(id, resources)).await
    }

    /// The end of this container is recorded by the agent: it is forgotten for good.
    pub async fn acknowledge(&self, id: ContainerId) -> Result<(), Gone> {
        self.order(Order::Forget(id)).await
    }

    /// Runs a command beside a container's processes. Dropping the future kills it.
    pub async fn probe_command(&self, probe: CommandProbe) -> Result<Verdict, Gone> {
        let (answer, verdict) = oneshot::channel();
        let (_asking, asked) = oneshot::channel();
        self.order(Order::Probe(Box::new(probe), answer, asked)).await?;
        verdict.await.map_err(|_| Gone)
    }

    /// Kills every container and ends the supervisor; returns when it is gone. Exits not yet acknowledged are told by the
    /// next one. Nothing else works afterwards.
    pub async fn stop_supervisor(&self) -> Result<(), Gone> {
        let (stopped, done) = oneshot::channel();
        self.order(Order::Stop(stopped)).await?;
        done.await.map_err(|_| Gone)
    }

    /// Statistics of these containers by one walk over the host's processes, in the order asked; `None` where the
    /// container is gone. Blocking file reads happen off the caller's thread.
    pub async fn usage(&self, of: Vec<UsageOf>) -> Vec<Option<Usage>> {
        let isolation = Arc::clone(&self.isolation);
        let asked = of.len();
        tokio::task::spawn_blocking(move || crate::usage::measure(&of, &isolation))
            .await
            .unwrap_or_else(|_| vec![None; asked])
    }

    async fn order(&self, order: Order) -> Result<(), Gone> {
        self.orders.send(order).await.map_err(|_| Gone)
    }
}
