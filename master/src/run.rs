//! Starts the master and ends it: registry first, then the core, then everybody else.
//!
//! Tasks: one owns the core, one accepts connections (each connection is a task of its own), one recovers the registry
//! and then ends. Requests are answered from the first moment; until the registry is read they hear 503.

use crate::api::Api;
use crate::clock::{Clock, WallClock};
use crate::config::{Config, advertise};
use crate::identity::{Entropy, MasterIdentity, new_seed};
use crate::intake::{Arrivals, intake};
use crate::master::{ANSWERS_MAX, ENCODERS_MAX, Master};
use crate::owner::{Doors, Gauges, Owner};
use crate::sessions::Sessions;
use meseta_http::files::Files;
use meseta_http::gate::Gate;
use meseta_http::listener;
use meseta_http::logging::LogLevel;
use meseta_master_core::io::StepDown;
use meseta_master_core::{MasterCore, Recovered, registry};
use meseta_store::Store;
use meseta_types::flag::format_duration;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

/// The master's doors to the world.
pub struct Env {
    /// Where it is reached.
    pub listener: TcpListener,
    /// Where the registry is kept.
    pub store: Arc<dyn Store>,
    /// The wall clock.
    pub wall: WallClock,
    /// Random bytes, for ids.
    pub entropy: Entropy,
    /// The log's switch.
    pub log_level: LogLevel,
    /// The log file shown as `/master/log`.
    pub log_file: Option<PathBuf>,
    /// Who may do what.
    pub gate: Gate,
}

/// How the master ended.
#[derive(Debug)]
pub enum Ended {
    /// As asked.
    Stopped,
    /// The core gave up its leadership: start again from what is durable.
    SteppedDown(StepDown),
    /// The registry cannot be used.
    NoRegistry(String),
    /// The core's task panicked: our own defect.
    Broken(String),
}

impl Ended {
    /// The exit code of the process: 0 as asked, 75 to be started again, 1 broken.
    pub fn exit_code(&self) -> u8 {
        match self {
            Ended::Stopped => 0,
            Ended::SteppedDown(StepDown::Fenced | StepDown::UnknownOutcome) => 75,
            Ended::SteppedDown(StepDown::TooManyAgentsMissing { .. })
            | Ended::NoRegistry(_)
            | Ended::Broken(_) => 1,
        }
    }
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Ended::Stopped => f.write_str("stopped"),
            Ended::SteppedDown(StepDown::Fenced) => f.write_str("another master leads"),
            Ended::SteppedDown(StepDown::UnknownOutcome) => {
                f.write_str("the outcome of a write to the registry is unknown")
            }
            Ended::SteppedDown(StepDown::TooManyAgentsMissing { missing, admitted }) => write!(
                f,
                "{missing} of {admitted} agents did not come back: more than --recovery_agent_removal_limit allows to remove"
            ),
            Ended::NoRegistry(why) => write!(f, "cannot read the registry: {why}"),
            Ended::Broken(why) => write!(f, "the task of the core broke: {why}"),
        }
    }
}

/// A master at work.
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    ready: watch::Receiver<bool>,
    stop: watch::Sender<bool>,
    ended: JoinHandle<Ended>,
    served: JoinHandle<()>,
}

/// Asks a master to end.
#[derive(Clone, Debug)]
pub struct Drain(watch::Sender<bool>);

impl Drain {
    /// No new connections, open requests finish, streams end.
    pub fn drain(&self) {
        let _ended_already = self.0.send(true);
    }
}

impl Running {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Resolves when the registry is read and calls are taken; `false` if the master ended before.
    pub async fn ready(&self) -> bool {
        self.ready.clone().wait_for(|ready| *ready).await.is_ok()
    }

    /// Asks it to end: no new connections, open requests finish, streams end.
    pub fn drain(&self) {
        self.drain_handle().drain();
    }

    /// To ask from elsewhere, while [`Running::join`] waits.
    pub fn drain_handle(&self) -> Drain {
        Drain(self.stop.clone())
    }

    /// Waits for its end. May be dropped and called again; after the end it must not be called again.
    pub async fn join(&mut self) -> Ended {
        if let Err(broken) = (&mut self.served).await {
            tracing::error!("the task of the listener broke: {broken}");
        }
        match (&mut self.ended).await {
            Ok(ended) => ended,
            Err(broken) => Ended::Broken(broken.to_string()),
        }
    }
}

/// Starts a master. It answers requests at once; see [`Running::ready`].
///
/// # Errors
/// The listener has no address.
pub fn start(mut config: Config, env: Env) -> io::Result<Running> {
    let address = env.listener.local_addr()?;
    let clock = Clock::new(env.wall);
    let (public, hostname) = advertise(&config.advertised, address);
    let me = MasterIdentity::new(&env.entropy, public, hostname, clock.wall());
    tracing::info!(master_id = &*me.id, %address, hostname = &*me.hostname, "master starts");
    config.core.master_id = Arc::clone(&me.id);
    config.core.seed = new_seed(&env.entropy);
    let files = Files::default();
    if let Some(log) = &env.log_file {
        files.attach("/master/log", log);
    }
    let (stop, stopping) = watch::channel(false);
    let (intake, arrivals) = intake();
    let doors = Doors {
        clock: clock.clone(),
        store: env.store,
        store_timeout: config.registry_store_timeout,
        sessions: Arc::new(Sessions::default()),
        gauges: Arc::new(Gauges::default()),
        max_watchers: config.max_subscribers,
        inputs_file: config.inputs_file.clone(),
    };
    let master = Arc::new(Master {
        me,
        config,
        clock,
        entropy: env.entropy,
        intake,
        sessions: Arc::clone(&doors.sessions),
        gauges: Arc::clone(&doors.gauges),
        files,
        log_level: env.log_level,
        gate: env.gate,
        encoders: Arc::new(Semaphore::new(ENCODERS_MAX)),
        answers: Arc::new(Semaphore::new(ANSWERS_MAX)),
        elected: OnceLock::new(),
    });
    let (ready_sender, ready) = watch::channel(false);
    let leading = lead(
        Arc::clone(&master),
        doors,
        arrivals,
        ready_sender,
        stopping.clone(),
    );
    // However the core ends, the listener ends with it.
    let end_of_all = EndOfAll(stop.clone());
    let ended = tokio::spawn(async move {
        let _end_of_all = end_of_all;
        leading.await
    });
    let api = Api::new(master);
    let mut until = stopping;
    let served = tokio::spawn(listener::serve(
        env.listener,
        move |request| api.clone().answer(request),
        async move {
            let _stopped_or_gone = until.wait_for(|stop| *stop).await;
        },
    ));
    Ok(Running {
        address,
        ready,
        stop,
        ended,
        served,
    })
}

/// Stops everything when dropped, also by a panic.
struct EndOfAll(watch::Sender<bool>);

impl Drop for EndOfAll {
    fn drop(&mut self) {
        let _nobody_left = self.0.send(true);
    }
}

/// Reads the registry, then owns the core until the end.
async fn lead(
    master: Arc<Master>,
    doors: Doors,
    arrivals: Arrivals,
    ready: watch::Sender<bool>,
    mut stopping: watch::Receiver<bool>,
) -> Ended {
    let recovered = tokio::select! {
        _ = stopping.wait_for(|stop| *stop) => return Ended::Stopped,
        recovered = recover(Arc::clone(&doors.store), master.config.registry_fetch_timeout) => recovered,
    };
    let recovered = match recovered {
        Ok(recovered) => recovered,
        Err(why) => return Ended::NoRegistry(why),
    };
    tracing::info!(
        agents = recovered.agents.len(),
        unreachable = recovered.unreachable.len(),
        gone = recovered.gone.len(),
        "registry read"
    );
    let core = MasterCore::new(master.config.core.clone(), recovered, master.clock.now());
    let _only_here = master.elected.set(master.clock.wall());
    drop(master);
    let _nobody_waits = ready.send(true);
    Owner::new(core, doors, arrivals).run(stopping).await
}

async fn recover(store: Arc<dyn Store>, limit: Duration) -> Result<Recovered, String> {
    let read = tokio::task::spawn_blocking(move || {
        let entries = store.list(registry::PREFIX).map_err(|e| e.to_string())?;
        let entries = entries.iter().map(|entry| (entry.key.as_str(), &entry.value[..]));
        Recovered::read(entries).map_err(|e| e.to_string())
    });
    match tokio::time::timeout(limit, read).await {
        Ok(Ok(read)) => read,
        Ok(Err(broken)) => Err(broken.to_string()),
        Err(_) => Err(format!("no answer within {}", format_duration(limit))),
    }
}
