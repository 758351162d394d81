//! The handle that the agent's shell holds: everything it can ask for, and how it starts.
//!
//! Called by the agent's shell only. It never decides what should run. All methods are cheap and only queue; what came
//! of them is told as an [`Event`]. Commands for one container are carried out in the order they were given.

use crate::event::{Event, Found};
use crate::isolate::Isolation;
use crate::probe::Verdict;
use crate::spec::{CommandProbe, LaunchSpec, Resources};
use crate::usage::{Usage, UsageOf};
use meseta_types::ContainerId;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

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
    /// Processes that launch containers side by side; zero: as many as the machine has CPUs, at least two.
    pub launchers: usize,
    /// How long a whole start of the supervisor may take.
    pub supervisor_start_timeout: Duration,
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

#[derive(Debug)]
#[allow(dead_code)]
pub(crate) enum Order {
    Launch(Box<LaunchSpec>),
    Signal(ContainerId, i32),
    Destroy(ContainerId),
    Update(ContainerId, Resources),
    Forget(ContainerId),
    Probe(Box<CommandProbe>, oneshot::Sender<Verdict>),
}

/// The handle. Dropping the last one ends the connection; the containers go on.
#[derive(Clone, Debug)]
pub struct Containerizer {
    orders: mpsc::Sender<Order>,
}

/// Why a containerizer did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The runtime folder cannot be used.
    #[error("cannot use the runtime directory '{path}'")]
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
    /// Connects to the supervisor of this runtime folder, starting one if there is none, and hears what it has.
    pub async fn start(config: Config) -> Result<Started, StartError> {
        Err(StartError::Supervisor(format!(
            "nothing listens below {}",
            config.runtime_dir.display()
        )))
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
        self.order(Order::Probe(Box::new(probe), answer)).await?;
        verdict.await.map_err(|_| Gone)
    }

    /// Statistics of these containers by one walk over the host's processes, in the order asked; `None` where the
    /// container is gone. Blocking file reads happen off the caller's thread.
    pub async fn usage(&self, of: Vec<UsageOf>) -> Vec<Option<Usage>> {
        match tokio::task::spawn_blocking(move || crate::usage::measure(&of)).await {
            Ok(all) => all,
            Err(_) => Vec::new(),
        }
    }

    async fn order(&self, order: Order) -> Result<(), Gone> {
        self.orders.send(order).await.map_err(|_| Gone)
    }
}
