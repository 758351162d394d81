//! How an agent comes up, in order, and the handle on a running one.

use crate::api::{API_VERSION, Agent, LOG_PATH};
use crate::clock::Clock;
use crate::config::Config;
use crate::containers::Containers;
use crate::host;
use crate::journal::{self, JournalError};
use crate::launch::Surroundings;
use crate::owner::{Ended, Message, Owner, Parts, Status};
use crate::recovery::{self, Remembered};
use crate::sandboxes::Sandboxes;
use meseta_agent_core::{AgentCore, Found, Input};
use meseta_containerizer::containerizer::StartError as ContainerizerError;
use meseta_containerizer::isolate::{CgroupOptions, Isolation, Isolator, detect_isolation};
use meseta_containerizer::{Containerizer, Started};
use meseta_http::files::Files;
use meseta_http::gate::Gate;
use meseta_http::inbox::{self, Inbox};
use meseta_http::inputs::Recorder;
use meseta_http::listener;
use meseta_http::logging::LogLevel;
use meseta_proto::convert::{self, resource::Format};
use meseta_proto::mesos::v1 as pb;
use meseta_types::link::AgentSpec;
use std::ffi::OsString;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

/// A supervisor that is not there after this long is not coming, and one that is told to end and has not by then hangs.
const SUPERVISOR_TIMEOUT: Duration = Duration::from_secs(30);

/// What the agent can do, by Mesos's names.
const CAPABILITIES: [&str; 3] = ["MULTI_ROLE", "HIERARCHICAL_ROLE", "RESERVATION_REFINEMENT"];

/// What an agent gets from outside.
#[derive(Debug)]
pub struct Env {
    /// Where it listens; `None`: as the flags say.
    pub listener: Option<std::net::TcpListener>,
    /// How to run the helper processes (`supervise`, `fetch`): a program and its first arguments.
    pub helper: Vec<OsString>,
    /// The log level switch.
    pub log_level: LogLevel,
    /// The clocks; `None`: the system's.
    pub clock: Option<Clock>,
    /// Seed of all random choices.
    pub seed: u64,
    /// Who may do what.
    pub gate: Gate,
}

impl Env {
    /// The system's: the running program as helper, entropy from the kernel.
    ///
    /// # Errors
    /// The running program has no path, or the kernel gives no random bytes.
    pub fn system() -> io::Result<Env> {
        Ok(Env {
            listener: None,
            helper: vec![std::env::current_exe()?.into_os_string()],
            log_level: LogLevel::detached(),
            clock: None,
            seed: uuid::Uuid::new_v4().as_u64_pair().0,
            gate: Gate::default(),
        })
    }
}

/// Why an agent did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is taken or not ours.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Where.
        address: String,
        /// What the system said.
        source: io::Error,
    },
    /// The work directory cannot be used.
    #[error("cannot use the work directory: {0}")]
    WorkDir(io::Error),
    /// The agent's memory cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// There is no containerizer.
    #[error(transparent)]
    Containerizer(#[from] ContainerizerError),
    /// The host does not tell what is needed.
    #[error("cannot read the host: {0}")]
    Host(io::Error),
    /// The isolation does not fit the host.
    #[error("flag '--isolation': {0}")]
    Isolation(String),
}

/// A running agent.
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    inbox: Inbox<Message>,
    status: watch::Receiver<Status>,
    owner: JoinHandle<Ended>,
    containerizer: Containerizer,
    forward: JoinHandle<()>,
    server: JoinHandle<()>,
    stop_server: oneshot::Sender<()>,
}

impl Running {
    /// Where its HTTP server listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until the last life is recovered and calls are served.
    pub async fn ready(&self) {
        self.wait(|status| status.recovered).await;
    }

    /// Waits until it is registered with a master.
    pub async fn registered(&self) {
        self.wait(|status| status.registered_with.is_some()).await;
    }

    async fn wait(&self, until: impl FnMut(&Status) -> bool) {
        // The agent ended: whoever waits learns it from `join`.
        let _ = self.status.clone().wait_for(until).await;
    }

    /// Follows what the agent is.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// Ends all containers with grace, keeps their last updates for the next life, then ends (as `meseta up` stops it).
    pub async fn drain(&self) {
        self.tell(Message::Input(Input::Stop { unregister: false })).await;
    }

    /// Leaves the cluster: its tasks end, the master declares them lost (SIGUSR1).
    pub async fn unregister(&self) {
        self.tell(Message::Input(Input::Stop { unregister: true })).await;
    }

    /// Ends at once and leaves everything running (SIGTERM).
    pub async fn leave(&self) {
        self.tell(Message::Leave).await;
    }

    async fn tell(&self, message: Message) {
        // It has ended already.
        let _ = self.inbox.send(message, 0).await;
    }

    /// Resolves when it has ended, whoever asked for it; [`Running::join`] then says how.
    pub async fn ended(&self) {
        self.inbox.closed().await;
    }

    /// Waits until it has ended.
    pub async fn join(self) -> Ended {
        let ended = self
            .owner
            .await
            .unwrap_or_else(|e| Ended::Failed(format!("the agent's task died: {e}").into()));
        // The server may have gone with the runtime.
        let _ = self.stop_server.send(());
        let _ = self.server.await;
        let _ = self.forward.await;
        if let Ended::Stopped(_) = ended {
            // All its containers are gone: nothing is left to supervise. It may have gone before us.
            let stopped = tokio::time::timeout(SUPERVISOR_TIMEOUT, self.containerizer.stop_supervisor());
            if stopped.await.is_err() {
                tracing::error!(
                    "the supervisor did not end within {SUPERVISOR_TIMEOUT:?}; it is left behind"
                );
            }
        }
        ended
    }
}

/// Starts an agent. It registers with its master as soon as the last life is recovered.
///
/// # Errors
/// [`StartError`] says what is missing; nothing is left behind but folders.
pub async fn start(config: Config, env: Env) -> Result<Running, StartError> {
    let clock = env.clock.unwrap_or_else(Clock::system);
    let started = tokio::time::Instant::now();
    let start_time = clock.wall();
    let config = Arc::new(config);
    let listener = listen(&config, env.listener).await?;
    let bound = listener.local_addr().map_err(StartError::Host)?;

    let host = blocking({
        let config = Arc::clone(&config);
        move || prepare(&config, bound)
    })
    .await?;
    let around = Surroundings {
        address: host.address,
        config: Arc::clone(&config),
    };
    let opened = journal::open(&config.layout.log()).await?;
    let mut journal = opened.journal;
    let remembered = blocking({
        let layout = config.layout.clone();
        move || Ok(recovery::remember(&layout, opened.records))
    })
    .await?;
    if remembered.starts_anew {
        journal.rewrite(&[]);
    }

    let containerizer = containerizer(&config, env.helper, host.isolation).await?;
    let Started {
        containerizer,
        events,
        found,
    } = containerizer;
    let files = Files::default();
    attach_log(&config, &files);
    let containers = Containers::new(containerizer.clone(), around.clone());
    containers.recovered(recovery::live_orders(&remembered.records).into_iter());
    let fetches = containers.fetches();
    let sandboxes = Sandboxes::new(config.layout.clone(), files.clone(), &remembered.records);

    tracing::info!(address = %host.address, hostname = &*host.hostname, resources = %host.spec.resources,
        records = remembered.records.len(), containers = found.len(), "agent starts");
    let (inbox, messages) = inbox::inbox();
    let (status, statuses) = watch::channel(Status::default());
    let core = AgentCore::new(config.core(env.seed, host.limits), host.spec);
    let first = first_input(remembered, containers.found(found), host.boot_id);
    let parts = Parts {
        core,
        clock: clock.clone(),
        inbox: inbox.clone(),
        journal,
        containers: containers.clone(),
        sandboxes,
        status,
        inputs: Recorder::new(Some(config.layout.last_inputs())),
    };
    let forward = tokio::spawn(containers.forward(events, inbox.clone()));
    let owner = tokio::spawn(Owner::new(parts, messages).run(first));
    if let Some(master) = &config.flags.master {
        let leads = Input::Master(Some(master.trim().into()));
        // Then the owner has ended already, and `join` says why.
        let _ = inbox.send(Message::Input(leads), 0).await;
    }
    let agent = Agent {
        inbox: inbox.clone(),
        status: statuses.clone(),
        around,
        hostname: host.hostname,
        files,
        containerizer: containerizer.clone(),
        fetches,
        log_level: env.log_level,
        gate: env.gate,
        clock,
        start_time,
        recovery_secs: started.elapsed().as_secs_f64(),
    };
    let (stop_server, stopped) = oneshot::channel::<()>();
    let server = tokio::spawn(serve(listener, Arc::new(agent), stopped));
    Ok(Running {
        address: bound,
        inbox,
        status: statuses,
        owner,
        containerizer,
        forward,
        server,
        stop_server,
    })
}

async fn serve(listener: TcpListener, agent: Arc<Agent>, stopped: oneshot::Receiver<()>) {
    let handler = move |request| Arc::clone(&agent).answer(request);
    let stop = async {
        // A dropped handle stops the server just the same.
        let _ = stopped.await;
    };
    listener::serve(listener, handler, stop).await;
}

fn first_input(
    remembered: Remembered,
    containers: Vec<meseta_agent_core::FoundContainer>,
    boot_id: Arc<str>,
) -> Input {
    Input::Recover(Found {
        records: remembered.records,
        containers,
        boot_id,
        old_agents: remembered.old_agents,
    })
}

async fn listen(config: &Config, given: Option<std::net::TcpListener>) -> Result<TcpListener, StartError> {
    let fail = |address: String| move |source| StartError::Listen { address, source };
    if let Some(listener) = given {
        let address = listener
            .local_addr()
            .map_or_else(|e| e.to_string(), |a| a.to_string());
        listener.set_nonblocking(true).map_err(fail(address.clone()))?;
        return TcpListener::from_std(listener).map_err(fail(address));
    }
    let ip = config.flags.ip.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let address = SocketAddr::new(ip, config.flags.port);
    TcpListener::bind(address)
        .await
        .map_err(fail(address.to_string()))
}

/// What was found out about the host.
struct Host {
    address: SocketAddr,
    hostname: Arc<str>,
    boot_id: Arc<str>,
    spec: AgentSpec,
    /// Whether tasks can be held to limits above their requests.
    limits: bool,
    isolation: Isolation,
}

/// Makes folders, reads the host. Blocks.
fn prepare(config: &Config, bound: SocketAddr) -> Result<Host, StartError> {
    config.layout.prepare().map_err(StartError::WorkDir)?;
    let flags = &config.flags;
    let ip = flags.advertise_ip.unwrap_or_else(|| match bound.ip() {
        ip if ip.is_unspecified() => host::address(),
        ip => ip,
    });
    let address = SocketAddr::new(ip, flags.advertise_port.unwrap_or(bound.port()));
    if ip.is_loopback() {
        tracing::warn!(%ip, "the agent is told to others by a loopback address: only this machine can reach it");
    }
    let looked_up = || flags.hostname_lookup.then(|| host::name_of(ip)).flatten();
    let hostname: Arc<str> = match flags.hostname.clone().or_else(looked_up) {
        Some(name) => name.into(),
        None => {
            if flags.hostname_lookup {
                tracing::warn!(%ip, "the address has no name; it is used as the host name");
            }
            ip.to_string().into()
        }
    };
    let resources = host::complete(
        &config.given,
        &config.named,
        host::measure(config.layout.work_dir()),
    );
    let info = pb::AgentInfo {
        hostname: hostname.to_string(),
        port: Some(i32::from(address.port())),
        resources: convert::resource::to_proto(&resources, Format::Post),
        attributes: convert::resource::attributes_to_proto(&config.attributes),
        ..Default::default()
    };
    let isolation = isolation(config)?;
    let broken = |why: convert::Invalid| StartError::Host(io::Error::other(why.to_string()));
    Ok(Host {
        spec: convert::agent::spec(&info, ip, API_VERSION, CAPABILITIES).map_err(broken)?,
        address,
        hostname,
        boot_id: host::boot_id().map_err(StartError::Host)?,
        limits: isolation.has(Isolator::CgroupsCpu) && isolation.has(Isolator::CgroupsMem),
        isolation,
    })
}

async fn containerizer(
    config: &Config,
    helper: Vec<OsString>,
    isolation: Isolation,
) -> Result<Started, StartError> {
    let flags = &config.flags;
    let started = Containerizer::start(meseta_containerizer::Config {
        isolation,
        supervisor_start_timeout: SUPERVISOR_TIMEOUT,
        fetcher_stall_timeout: flags.fetcher_stall_timeout.0,
        ..meseta_containerizer::Config::new(flags.runtime_dir.clone(), helper)
    });
    Ok(started.await?)
}

/// The operator's choice, checked against the host.
fn isolation(config: &Config) -> Result<Isolation, StartError> {
    let flags = &config.flags;
    let options = CgroupOptions {
        root: flags.cgroups_root.clone(),
        enable_cfs: flags.cgroups_enable_cfs,
        limit_swap: flags.cgroups_limit_swap,
        pids_max: flags.cgroups_pids_max,
    };
    let host = detect_isolation(&flags.cgroups_hierarchy, &flags.cgroups_root);
    Isolation::choose(&flags.isolation, options, &host).map_err(|e| StartError::Isolation(e.to_string()))
}

fn attach_log(config: &Config, files: &Files) {
    let flags = &config.flags;
    let log = flags
        .external_log_file
        .clone()
        .or_else(|| flags.log_dir.as_ref().map(|dir| dir.join("meseta-agent.log")));
    if let Some(log) = log {
        files.attach(LOG_PATH, log);
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StartError> + Send + 'static,
) -> Result<T, StartError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|e| Err(StartError::Host(io::Error::other(e))))
}
