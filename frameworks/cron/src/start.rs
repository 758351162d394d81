//! Starting and stopping: the store first, then the framework's id, then the subscription, then everybody else.
//!
//! Tasks: one owns the engine, one accepts connections (each connection is a task of its own), one sends messages.

use crate::api::Api;
use crate::config::Config;
use crate::gate::Gate;
use crate::notify::Notifier;
use crate::numbers::Numbers;
use crate::owner::{Doors, Ended, LOOKS_MAX, Owner};
use crate::record::{self, FORMAT, FRAMEWORK_KEY, FrameworkRecord};
use crate::recover::{self, Recovered, StoreError};
use jiff::Timestamp;
use meseta_http::{inbox, running};
use meseta_sdk::{Client, IdentityStore};
use meseta_store::{Change, Commit, Key, Outcome, Store};
use serde::Deserialize;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

/// Keys of the history removed in one commit at the start.
const LEFTOVERS_AT_ONCE: usize = 1_000;

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
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store belongs to another framework than the id that was found.
    #[error(
        "the store belongs to the framework {store}, but {file} holds the id {found}: put the right file back, or \
         move it away to come back as a new framework with all jobs"
    )]
    OtherFramework {
        /// The id in the store.
        store: String,
        /// The file.
        file: String,
        /// The id in it.
        found: String,
    },
    /// The store belongs to a framework of another name.
    #[error("the store belongs to the framework named '{found}', not to '{wanted}': name another --work_dir")]
    OtherName {
        /// Its name.
        found: String,
        /// `--mesos_framework_name`.
        wanted: String,
    },
    /// The store did not take the framework's id.
    #[error("the framework's id was not stored: {0}")]
    NotStored(String),
    /// The masters' addresses.
    #[error(transparent)]
    Config(#[from] meseta_sdk::ConfigError),
    /// The framework's id.
    #[error(transparent)]
    Client(#[from] meseta_sdk::StartError),
    /// The listener.
    #[error("the listener has no address: {0}")]
    Listener(#[from] std::io::Error),
    /// The task that read the store broke: our own defect.
    #[error("reading the store broke: {0}")]
    Broken(String),
}

impl StartError {
    /// The exit code of the process: 2 when its settings or folders must change first, 1 otherwise.
    pub fn exit_code(&self) -> u8 {
        match self {
            StartError::Store(StoreError::Foreign(_))
            | StartError::OtherFramework { .. }
            | StartError::OtherName { .. }
            | StartError::Config(_)
            | StartError::Client(_) => 2,
            StartError::Store(_)
            | StartError::NotStored(_)
            | StartError::Listener(_)
            | StartError::Broken(_) => 1,
        }
    }
}

/// A framework at work. It is ready at the first subscription; its runs go on without it, until the failover timeout or
/// until it is back.
pub type Running = meseta_http::running::Running<Ended>;

/// Starts the framework. Requests are answered as soon as this returns, whether there is a master or not.
///
/// # Errors
/// What it cannot start without.
pub async fn start(config: Config, env: Env) -> Result<Running, StartError> {
    let address = env.listener.local_addr()?;
    let recovered = read(&config, &env).await?;
    let host = config.hostname.clone().unwrap_or_else(|| own_name(address.ip()));
    let public = match host.contains(':') {
        true => format!("[{host}]:{}", address.port()),
        false => format!("{host}:{}", address.port()),
    };
    let mut framework = config.framework.clone().hostname(&host);
    if framework.info().webui_url.is_none() {
        framework = framework.webui_url(format!("http://{public}"));
    }
    let name = framework.info().name.clone();
    belongs_together(&config.identity, &name, recovered.framework.as_ref())?;
    let sdk = meseta_sdk::Config::new(framework, &config.masters)?;
    let sdk = sdk.identity(IdentityStore::File(config.identity.clone()));
    let (client, events) = Client::start(sdk).await?;
    let record = FrameworkRecord {
        format: FORMAT,
        role: "cron".to_owned(),
        framework_name: name,
        framework_id: client.framework_id().to_string(),
    };
    if recovered.framework.as_ref() != Some(&record) {
        write(&*env.store, &record).await?;
    }
    let numbers = Arc::new(Numbers::default());
    let (asks, asked) = inbox::inbox();
    let (looks, looked) = mpsc::channel(LOOKS_MAX);
    let (drain, stopping) = running::end();
    let (ready_sender, ready) = watch::channel(false);
    tidy_up(&env.store, recovered.leftovers);
    let doors = Doors {
        store: env.store,
        client,
        events,
        asks: asked,
        looks: looked,
        notifier: Notifier::start(config.messages.clone(), Arc::clone(&numbers)),
        numbers: Arc::clone(&numbers),
        wall: env.wall,
        revive: config.revive,
        reconcile_every: config.reconcile_every,
        history_limit: config.history_limit,
        ready: ready_sender,
        inputs_file: config.inputs_file.clone(),
    };
    let owner = Owner::new(recovered.engine, recovered.board, doors);
    let api = Arc::new(Api {
        asks,
        looks,
        numbers,
        gate: Gate::new(config.credentials.as_deref()),
        defaults: config.defaults.clone(),
        wall: env.wall,
        address: public,
        framework_id: record.framework_id,
        stat_limit: config.stat_limit,
    });
    let owner = owner.run(stopping.clone());
    tracing::info!(%address, "cron framework starts");
    Ok(Running::begin(
        (env.listener, address),
        ready,
        (drain, stopping),
        owner,
        move |request| Arc::clone(&api).handle(request),
    ))
}

/// A name one can reach: the listener's address, or this machine's own name when it listens on all.
fn own_name(ip: IpAddr) -> String {
    if !ip.is_unspecified() {
        return ip.to_string();
    }
    let name = nix::unistd::gethostname()
        .ok()
        .and_then(|name| name.into_string().ok());
    name.filter(|name| !name.is_empty())
        .unwrap_or_else(|| "127.0.0.1".to_owned())
}

async fn read(config: &Config, env: &Env) -> Result<Recovered, StartError> {
    let store = Arc::clone(&env.store);
    let (engine, limit, now) = (config.engine.clone(), config.history_limit, (env.wall)());
    let read = tokio::task::spawn_blocking(move || recover::recover(&*store, engine, limit, now));
    let recovered = read
        .await
        .map_err(|broken| StartError::Broken(broken.to_string()))?;
    Ok(recovered?)
}

/// The id in the file, as far as it can be read; the SDK judges the rest.
#[derive(Deserialize)]
struct Identity {
    framework_id: String,
}

/// Refuses a store and an id file of different frameworks: runs would be looked for under the wrong id. A file that is
/// gone is a wish to come back as a new framework.
fn belongs_together(file: &Path, name: &str, store: Option<&FrameworkRecord>) -> Result<(), StartError> {
    let Some(store) = store else { return Ok(()) };
    if store.framework_name != name {
        return Err(StartError::OtherName {
            found: store.framework_name.clone(),
            wanted: name.to_owned(),
        });
    }
    let found = std::fs::read(file).ok();
    let found = found.and_then(|bytes| serde_json::from_slice::<Identity>(&bytes).ok());
    match found {
        Some(found) if found.framework_id != store.framework_id => Err(StartError::OtherFramework {
            store: store.framework_id.clone(),
            file: file.display().to_string(),
            found: found.framework_id,
        }),
        Some(_) => Ok(()),
        None => {
            tracing::warn!(
                before = %store.framework_id,
                "the file of the framework's id is gone: it comes back as a new framework, with all jobs; runs of the \
                 one before are settled by what the master says of them"
            );
            Ok(())
        }
    }
}

async fn write(store: &dyn Store, record: &FrameworkRecord) -> Result<(), StartError> {
    let refused = |why: String| StartError::NotStored(why);
    let key = Key::new(FRAMEWORK_KEY).map_err(|e| refused(e.to_string()))?;
    let change = Change::put(key, record::encode(record));
    match store
        .submit(Commit {
            changes: vec![change],
        })
        .await
    {
        Outcome::Done(_) => Ok(()),
        Outcome::Refused(why) => Err(refused(why.to_string())),
        Outcome::Fenced => Err(refused("another process writes to the store".to_owned())),
        Outcome::Unknown(why) => Err(refused(why.to_string())),
    }
}

/// Removes history that nobody looks at. If it fails, the next start tries again.
fn tidy_up(store: &Arc<dyn Store>, leftovers: Vec<Key>) {
    for keys in leftovers.chunks(LEFTOVERS_AT_ONCE) {
        let changes = keys.iter().cloned().map(Change::delete).collect();
        drop(store.submit(Commit { changes }));
    }
}
