//! What handlers hold of the owner: calls, looks and events.

use crate::clock::WallClock;
use crate::definition::HealthCheck;
use crate::metrics::Counters;
use crate::view::{AppView, QueueEntry, Seen, View};
use meseta_http::inbox::Inbox;
use meseta_service_core::app::AppId;
use meseta_service_core::instance::InstanceId;
use meseta_service_core::io::{Answer, AppChange, Call, Event, Input, Refusal};
use meseta_types::Wall;
use meseta_types::last_inputs::InputLog;
use std::sync::Arc;
use tokio::sync::{broadcast, oneshot};

/// Events a listener may be behind; one that is further behind is told so. One commit of the largest size tells of some
/// ten thousand; a place costs some dozens of bytes.
pub const EVENTS_MAX: usize = 32_768;

/// What a handler wants of the owner.
pub(crate) enum Ask {
    /// A change.
    Call(Call, oneshot::Sender<Result<Answer, Refusal>>),
    /// A look at everything.
    View(oneshot::Sender<Arc<View>>),
    /// A look at one app.
    App(AppId, oneshot::Sender<Option<Arc<AppView>>>),
    /// Why instances wait.
    Queue(oneshot::Sender<Vec<QueueEntry>>),
    /// The last inputs of the engine.
    LastInputs(oneshot::Sender<InputLog<Input>>),
}

/// About what a call holds.
fn bytes(call: &Call) -> usize {
    match call {
        Call::Update { apps, .. } => apps.iter().map(bytes_of).sum(),
        Call::Kill { instances, .. } => instances.iter().map(|id| id.as_str().len()).sum(),
        Call::Cancel { .. } | Call::ResetDelay(_) => 0,
    }
}

fn bytes_of(change: &AppChange) -> usize {
    change.spec.as_ref().map_or(0, |spec| spec.wire.len()) + size_of::<AppChange>()
}

/// Why a call was not carried out.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CallError {
    /// The caller's fault, or the store's (see [`Refusal::NotStored`]).
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The framework starts or stops: 503.
    #[error("the framework is stopping")]
    Unavailable,
}

/// One thing that happened, for listeners.
#[derive(Debug)]
pub struct Told {
    /// When.
    pub at: Wall,
    /// What.
    pub what: What,
}

/// What listeners are told.
#[derive(Debug)]
pub enum What {
    /// By the engine.
    Engine {
        /// What.
        event: Event,
        /// What else was seen of the task it is about, if it is about one.
        seen: Option<Arc<Seen>>,
    },
    /// A health check of the framework's own failed, and its failure counts.
    FailedCheck {
        /// Of which app.
        app: AppId,
        /// Of which instance.
        instance: InstanceId,
        /// Which.
        check: Arc<HealthCheck>,
    },
    /// By a handler, in the wire's form.
    Wire {
        /// Its `eventType`.
        kind: &'static str,
        /// The whole event.
        json: Arc<str>,
    },
    /// Subscribed with a master for the first time in this life.
    Registered {
        /// The leading master, `host:port`.
        master: String,
    },
    /// Subscribed again.
    Reregistered {
        /// The leading master, `host:port`.
        master: String,
    },
    /// The subscription is lost.
    Disconnected,
}

/// What does not change while the framework runs.
#[derive(Debug)]
pub struct Info {
    /// The framework's id, chosen at its first start.
    pub framework_id: String,
    /// Its name.
    pub framework_name: String,
    /// `host:port` where it is reached: the leader's, as long as there is one only.
    pub leader: String,
    /// When this process began to serve.
    pub started: Wall,
    /// Flags and their values, sorted; credentials are masked.
    pub flags: Vec<(&'static str, String)>,
}

/// The way to the owner. Clones share it.
#[derive(Clone)]
pub struct Handle {
    pub(crate) asks: Inbox<Ask>,
    pub(crate) events: broadcast::Sender<Arc<Told>>,
    pub(crate) info: Arc<Info>,
    pub(crate) wall: WallClock,
    pub(crate) counters: Arc<Counters>,
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handle")
            .field("info", &self.info)
            .finish_non_exhaustive()
    }
}

impl Handle {
    /// Makes a change; `Ok` once it is durable.
    ///
    /// # Errors
    /// Why nothing was changed.
    pub async fn call(&self, call: Call) -> Result<Answer, CallError> {
        let bytes = bytes(&call);
        let answer = self.ask_of(bytes, |answer| Ask::Call(call, answer)).await?;
        answer.map_err(CallError::Refused)
    }

    /// Everything readers may see; whatever was answered before is in it.
    ///
    /// # Errors
    /// [`CallError::Unavailable`].
    pub async fn view(&self) -> Result<Arc<View>, CallError> {
        self.ask(Ask::View).await
    }

    /// One app. Cheaper than a view when nothing else is needed.
    ///
    /// # Errors
    /// [`CallError::Unavailable`].
    pub async fn app(&self, id: &AppId) -> Result<Option<Arc<AppView>>, CallError> {
        self.ask(|answer| Ask::App(id.clone(), answer)).await
    }

    /// Apps with instances that wait for an offer, and why.
    ///
    /// # Errors
    /// [`CallError::Unavailable`].
    pub async fn queue(&self) -> Result<Vec<QueueEntry>, CallError> {
        self.ask(Ask::Queue).await
    }

    /// The last inputs of the engine, to step through them again.
    ///
    /// # Errors
    /// [`CallError::Unavailable`].
    pub async fn last_inputs(&self) -> Result<InputLog<Input>, CallError> {
        self.ask(Ask::LastInputs).await
    }

    /// What happens from now on. A receiver that falls [`EVENTS_MAX`] behind is told so and is to be cut off.
    pub fn events(&self) -> broadcast::Receiver<Arc<Told>> {
        self.events.subscribe()
    }

    /// Tells listeners something of a handler's own.
    pub fn publish(&self, told: Told) {
        // Nobody may be listening.
        let _ = self.events.send(Arc::new(told));
    }

    /// What does not change.
    pub fn info(&self) -> &Info {
        &self.info
    }

    /// The time of day.
    pub fn now(&self) -> Wall {
        (self.wall)()
    }

    /// What was counted since the start of this process.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    async fn ask<T>(&self, ask: impl FnOnce(oneshot::Sender<T>) -> Ask) -> Result<T, CallError> {
        self.ask_of(0, ask).await
    }

    async fn ask_of<T>(
        &self,
        bytes: usize,
        ask: impl FnOnce(oneshot::Sender<T>) -> Ask,
    ) -> Result<T, CallError> {
        let (answer, answered) = oneshot::channel();
        self.asks
            .send(ask(answer), bytes)
            .await
            .map_err(|_| CallError::Unavailable)?;
        answered.await.map_err(|_| CallError::Unavailable)
    }
}
