//! Starting and stopping: the store first, then the framework's id, then the subscription, then everybody else.

use crate::api::Api;
use crate::definition::Defaults;
use crate::flags::CronFlags;
use crate::history::History;
use crate::notify::{self, Notifier};
use crate::owner::{ASKS_MAX, Ended, Owner, State};
use crate::record::{self, EndedRecord};
use jiff::{SignedDuration, Timestamp};
use meseta_cron_core::engine::{self, Engine};
use meseta_http::listener;
use meseta_sdk::{Client, Framework, IdentityStore, Stop};
use meseta_store::{OpenError, ReadError, Store};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// Settings.
#[derive(Clone, Debug)]
pub struct Config {
    /// Masters to subscribe with.
    pub masters: String,
    /// The framework, as it describes itself.
    pub framework: Framework,
    /// Where the framework's id is kept.
    pub identity: PathBuf,
    /// What the engine may be told.
    pub engine: engine::Config,
    /// What requests leave out.
    defaults: Defaults,
    /// Name told as the leader's.
    pub hostname: Option<String>,
    /// `user:password` that requests must show.
    pub credentials: Option<String>,
    /// Where notices are posted.
    pub notification_url: Option<String>,
    /// Entries of the history per job.
    pub history_limit: usize,
}

impl Config {
    /// From flags.
    pub fn from_flags(flags: &CronFlags) -> Config {
        let millis = |n: u64| SignedDuration::from_millis(i64::try_from(n).unwrap_or(i64::MAX));
        let framework = Framework::failover(&flags.mesos_framework_name, flags.failover_timeout.0)
            .user(&flags.user)
            .roles([&flags.mesos_role]);
        Config {
            masters: flags.master.clone(),
            framework,
            identity: flags.work_dir.join("framework.json"),
            engine: engine::Config {
                failure_retry: millis(flags.failure_retry),
                disable_after_failures: flags.disable_after_failures,
                decline_for: millis(flags.decline_offer_duration),
                ..engine::Config::default()
            },
            defaults: Defaults {
                cpus: flags.mesos_task_cpu,
                mem: flags.mesos_task_mem,
                disk: flags.mesos_task_disk,
                user: flags.user.clone(),
            },
            hostname: flags.hostname.clone(),
            credentials: flags.http_credentials.clone(),
            notification_url: flags.http_notification_url.clone(),
            history_limit: usize::try_from(flags.job_history_limit).unwrap_or(usize::MAX),
        }
    }
}

/// The framework's doors to the world.
pub struct Env {
    /// Where it is reached.
    pub listener: TcpListener,
    /// Where jobs and runs are kept.
    pub store: Arc<dyn Store>,
    /// The wall clock.
    pub wall: fn() -> Timestamp,
}

/// Why it could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The store cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The store cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The masters' addresses.
    #[error(transparent)]
    Config(#[from] meseta_sdk::ConfigError),
    /// The framework's id.
    #[error(transparent)]
    Client(#[from] meseta_sdk::StartError),
    /// The listener.
    #[error("the listener has no address: {0}")]
    Listener(#[from] std::io::Error),
}

/// A running framework.
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    owner: JoinHandle<Ended>,
    client: Client,
}

impl Running {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends it; its runs go on until the failover timeout, or until it is back.
    pub fn drain(&mut self) {
        if let Some(stop) = self.stop.take() {
            // It may have ended by itself already.
            let _ = stop.send(());
        }
    }

    /// How it ended. Cancel-safe.
    pub async fn join(&mut self) -> Ended {
        let ended = match (&mut self.owner).await {
            Ok(ended) => ended,
            Err(error) => Ended::Store(format!("the engine's task ended: {error}")),
        };
        self.client.stop(Stop::Failover).await;
        ended
    }
}

/// Starts the framework.
///
/// # Errors
/// What it cannot start without.
pub async fn start(config: Config, env: Env) -> Result<Running, StartError> {
    let address = env.listener.local_addr()?;
    let (engine, history) = recover(&config, &*env.store)?;
    let sdk = meseta_sdk::Config::new(config.framework.clone(), &config.masters)?;
    let sdk = sdk.identity(IdentityStore::File(config.identity.clone()));
    let (client, events) = Client::start(sdk).await?;
    let (asks, asked) = mpsc::channel(ASKS_MAX);
    let (stop, stopped) = oneshot::channel();
    let owner = Owner {
        engine,
        store: env.store,
        client: client.clone(),
        events,
        asks: asked,
        history,
        notifier: notifier(config.notification_url.clone()),
        wall: env.wall,
        state: State::default(),
    };
    let host = config.hostname.clone().unwrap_or_else(|| address.ip().to_string());
    let api = Arc::new(Api {
        asks,
        defaults: config.defaults.clone(),
        wall: env.wall,
        address: format!("{host}:{}", address.port()),
        credentials: config.credentials.clone(),
        history_limit: config.history_limit,
    });
    let (closed, close) = oneshot::channel::<()>();
    let owner = tokio::spawn(async move {
        // Dropped when the engine ends: the listener closes with it.
        let _closed = closed;
        owner.run(stopped).await
    });
    tokio::spawn(listener::serve(
        env.listener,
        move |request| Arc::clone(&api).handle(request),
        async move {
            let _ = close.await;
        },
    ));
    Ok(Running { address, stop: Some(stop), owner, client })
}

/// The engine and the history with what the store holds. A record that cannot be read is named and left where it is;
/// the others go on.
fn recover(config: &Config, store: &dyn Store) -> Result<(Engine, History), StartError> {
    let mut jobs = Vec::new();
    for entry in store.list("job/")? {
        match record::decode_job(&entry.value) {
            Ok(job) => jobs.push(job),
            Err(error) => tracing::error!(key = %entry.key, %error, "a job cannot be read and is left out"),
        }
    }
    let mut runs = Vec::new();
    for entry in store.list("run/")? {
        match record::decode_run(&entry.value) {
            Ok(run) => runs.push(run),
            Err(error) => tracing::error!(key = %entry.key, %error, "a run cannot be read and is left out"),
        }
    }
    let mut ended = Vec::new();
    for entry in store.list("ended/")? {
        match EndedRecord::decode(&entry.value) {
            Ok(record) => ended.push((entry.key, record)),
            Err(error) => tracing::error!(key = %entry.key, %error, "an entry of the history cannot be read"),
        }
    }
    tracing::info!(jobs = jobs.len(), runs = runs.len(), "recovered");
    let engine = Engine::recover(config.engine.clone(), jobs, runs);
    Ok((engine, History::new(config.history_limit, ended)))
}

/// Attempts to deliver one notice.
const ATTEMPTS: u32 = 3;

fn notifier(url: Option<String>) -> Notifier {
    let Some(url) = url else { return Notifier::default() };
    let (queue, mut queued) = mpsc::channel::<serde_json::Value>(notify::QUEUE_MAX);
    tokio::spawn(async move {
        while let Some(body) = queued.recv().await {
            let mut delay = Duration::from_secs(1);
            for attempt in 1..=ATTEMPTS {
                match crate::notify::post(&url, &body).await {
                    Ok(()) => break,
                    // The address may hold a password: it is not logged.
                    Err(why) => tracing::warn!(attempt, %why, "a notice was not delivered"),
                }
                tokio::time::sleep(delay).await;
                delay *= 4;
            }
        }
    });
    Notifier::to(queue)
}
