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
use meseta_http::logging::LogLevel;
use meseta_http::running::{self, Stopping};
use meseta_master_core::io::StepDown;
use meseta_master_core::{MasterCore, Recovered, registry};
use meseta_store::Store;
use meseta_types::flag::format_duration;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

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

impl meseta_http::running::Ended for Ended {
    fn broken(why: String) -> Ended {
        Ended::Broken(why)
    }
}

/// A master at work. It is ready when the registry is read and calls are taken.
pub type Running = meseta_http::running::Running<Ended>;

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
    config.core.master_id = (&*me.id).into();
    config.core.seed = new_seed(&env.entropy);
    let files = Files::default();
    if let Some(log) = &env.log_file {
        files.attach("/master/log", log);
    }
    let (drain, stopping) = running::end();
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
    let api = Api::new(master);
    Ok(Running::begin(
        (env.listener, address),
        ready,
        (drain, stopping),
        leading,
        move |request| api.clone().answer(request),
    ))
}

/// Reads the registry, then owns the core until the end.
async fn lead(
    master: Arc<Master>,
    doors: Doors,
    arrivals: Arrivals,
    ready: watch::Sender<bool>,
    mut stopping: Stopping,
) -> Ended {
    let recovered = tokio::select! {
        () = stopping.asked() => return Ended::Stopped,
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
