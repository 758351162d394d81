//! Starting and stopping: the store first, then the framework's id, then the subscription, then everybody else.

use crate::api::{Abdication, Api, Settings};
use crate::clock::WallClock;
use crate::config::Config;
use crate::metrics::Counters;
use crate::owner::{Doors, EVENTS_MAX, Ended, Handle, Info, Model, Owner};
use crate::probe::Probers;
use crate::recover::{self, Found, RecoverError};
use meseta_http::{inbox, running};
use meseta_sdk::{Client, Framework, IdentityStore};
use meseta_service_core::engine::Engine;
use meseta_store::Store;
use meseta_types::FrameworkId;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::{broadcast, watch};

/// The framework's doors to the world.
pub struct Env {
    /// Where it is reached.
    pub listener: TcpListener,
    /// Where apps, instances and deployments are kept.
    pub store: Arc<dyn Store>,
    /// The wall clock.
    pub wall: WallClock,
    /// Grows the ids of instances and deployments: another one at each start.
    pub seed: u64,
}

/// Why it could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The store.
    #[error(transparent)]
    Store(#[from] RecoverError),
    /// The masters' addresses.
    #[error("flag '--master': {0}")]
    Masters(#[from] meseta_sdk::ConfigError),
    /// The framework's id in the store.
    #[error("the store holds the framework id '{0}', which is none")]
    Id(String),
    /// The client.
    #[error(transparent)]
    Client(#[from] meseta_sdk::StartError),
    /// The listener.
    #[error("the listener has no address: {0}")]
    Listener(#[from] std::io::Error),
    /// Our defect.
    #[error("reading the store broke off: {0}")]
    Broken(String),
}

impl StartError {
    /// The code the process ends with: 2 for what somebody must change first, 1 otherwise.
    pub fn exit_code(&self) -> u8 {
        match self {
            StartError::Store(RecoverError::Read(_) | RecoverError::NotStored(_)) => 1,
            StartError::Listener(_) | StartError::Broken(_) => 1,
            StartError::Store(_) | StartError::Masters(_) | StartError::Id(_) | StartError::Client(_) => 2,
        }
    }
}

/// A framework at work. It is ready when it is subscribed with a master, and serves before that.
pub type Running = meseta_http::running::Running<Ended>;

/// Starts the framework, and gives back the way to its engine as well. When this returns, everything that was stored is
/// being served.
///
/// # Errors
/// What it cannot start without.
pub async fn start(config: Config, env: Env) -> Result<(Running, Handle), StartError> {
    let address = env.listener.local_addr()?;
    let store = Arc::clone(&env.store);
    let fresh_id = || format!("marathon-{}", uuid::Uuid::new_v4());
    let found = tokio::task::spawn_blocking(move || recover::recover(&*store, fresh_id)).await;
    let found = found.map_err(|broken| StartError::Broken(broken.to_string()))??;
    tracing::info!(
        framework_id = found.framework_id,
        apps = found.recovered.heads.len(),
        instances = found.recovered.instances.len(),
        deployments = found.recovered.deployments.len(),
        "recovered"
    );
    let id = FrameworkId::new(&found.framework_id).map_err(|_| StartError::Id(found.framework_id.clone()))?;
    let host = config
        .hostname
        .clone()
        .unwrap_or_else(|| address.ip().to_string());
    let leader = format!("{host}:{}", address.port());
    let sdk = meseta_sdk::Config::new(framework(&config, &host, &leader), &config.masters)?
        .identity(IdentityStore::Known(id))
        // Offers are asked for when there is something to launch.
        .suppressed([&config.rules.role]);
    let (client, events) = Client::start(sdk).await?;
    let (asks, asked) = inbox::inbox();
    let (told, _) = broadcast::channel(EVENTS_MAX);
    let (drain, stopping) = running::end();
    let (subscribing, subscribed) = watch::channel(false);
    let (probers, verdicts) = Probers::new(config.probes_at_once);
    let counters = Arc::new(Counters::default());
    let handle = Handle {
        asks,
        events: told.clone(),
        wall: Arc::clone(&env.wall),
        counters: Arc::clone(&counters),
        info: Arc::new(Info {
            framework_id: found.framework_id.clone(),
            framework_name: config.framework_name.clone(),
            leader,
            started: (env.wall)(),
            flags: config.flags.clone(),
        }),
    };
    let doors = Doors {
        store: env.store,
        client,
        events,
        asks: asked,
        told,
        wall: env.wall,
        counters,
        role: config.rules.role.clone(),
        reconcile_every: config.reconcile_every,
        probers,
        verdicts,
        subscribed: subscribing,
        inputs_file: Some(config.inputs_file.clone()),
    };
    let Found {
        recovered,
        definitions,
        ..
    } = found;
    let model = Model::new(&recovered, &definitions);
    let engine = Engine::new(config.engine.clone(), env.seed, recovered);
    let owner = Owner::new(engine, model, doors);
    let abdication = Abdication::new(drain.clone());
    let settings = Settings {
        rules: config.rules,
        service_ports: config.local_ports,
        http_port: address.port(),
        credentials: config.credentials,
        realm: config.realm,
        allowed_origins: config.allowed_origins,
        abdication: abdication.clone(),
    };
    let api = Api::new(handle.clone(), settings);
    let until = stopping.clone();
    let owner = async move {
        match owner.run(until).await {
            Ended::Stopped if abdication.is_asked() => Ended::Abdicated,
            ended => ended,
        }
    };
    let running = Running::begin(
        (env.listener, address),
        subscribed,
        (drain, stopping),
        owner,
        move |request| api.clone().answer(request),
    );
    Ok((running, handle))
}

fn framework(config: &Config, host: &str, leader: &str) -> Framework {
    let page = config
        .webui_url
        .clone()
        .unwrap_or_else(|| format!("http://{leader}"));
    let mut framework = Framework::failover(&config.framework_name, config.failover_timeout)
        .roles([&config.rules.role])
        .hostname(host)
        .webui_url(page);
    if let Some(user) = &config.user {
        framework = framework.user(user);
    }
    if let Some(principal) = &config.principal {
        framework = framework.principal(principal);
    }
    framework
}
