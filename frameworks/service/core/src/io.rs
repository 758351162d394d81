//! What goes into the engine and what comes out of it.

use crate::app::{AppId, AppSpec, Version};
use crate::instance::{Instance, InstanceId};
use crate::matcher::{Offer, Taken};
use crate::plan::{Cycle, DeploymentId, Plan};
use std::sync::Arc;
use std::time::Duration;

/// A caller who waits for an answer. Given out by the shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestId(pub u64);

/// One write to the store. Given out by the engine, counting up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CommitId(pub u64);

/// A status update that must be acknowledged once it is settled. Given out by the shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AckToken(pub u64);

/// One thing that happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// The time of `deadline` has come. Early or late ones do no harm.
    Tick,
    /// A user's wish.
    Call(RequestId, Call),
    /// Subscribed with the master, on a stream that is new.
    Connected,
    /// The stream is gone: all offers with it.
    Disconnected,
    /// Resources.
    Offers(Vec<Offer>),
    /// An offer was taken back.
    Rescinded(Arc<str>),
    /// A word about a task.
    Task(TaskEvent),
    /// The verdict of a health check that the framework makes itself.
    Health {
        /// Of which instance.
        instance: InstanceId,
        /// Of which launch of it.
        incarnation: u32,
        /// The verdict.
        healthy: bool,
        /// It has failed too often: replace the instance.
        give_up: bool,
    },
    /// A readiness check has passed.
    Ready {
        /// Of which instance.
        instance: InstanceId,
        /// Of which launch of it.
        incarnation: u32,
    },
    /// The store's word on [`Effect::Commit`].
    Committed(CommitId, Outcome),
}

/// A user's wish.
#[derive(Clone, Debug)]
pub enum Call {
    /// Definitions as they shall be, all in one deployment.
    Update {
        /// Each app once.
        apps: Vec<AppChange>,
        /// Cancel deployments that are in the way.
        force: bool,
    },
    /// End instances.
    Kill {
        /// Which.
        instances: Vec<InstanceId>,
        /// How.
        how: KillHow,
        /// Cancel deployments that are in the way (only for scaling).
        force: bool,
    },
    /// Undo a deployment by another one, or (`force`) drop it where it stands.
    Cancel {
        /// Which.
        deployment: DeploymentId,
        /// Drop it.
        force: bool,
    },
    /// Launch a delayed app now.
    ResetDelay(AppId),
}

/// What shall become of instances that are killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KillHow {
    /// Each is started again as the same instance.
    Restart,
    /// Each is replaced by a new one.
    Wipe,
    /// The app shrinks by as many.
    Scale,
}

/// One app of an update.
#[derive(Clone, Debug)]
pub struct AppChange {
    /// Which.
    pub id: AppId,
    /// The version the caller has seen; the wish is refused as stale if the app has moved on.
    pub base: Option<Version>,
    /// As it shall be; `None`: deleted. Its versions are set by the engine.
    pub spec: Option<AppSpec>,
    /// Replace all instances even if nothing changed.
    pub restart: bool,
}

/// A word about a task.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskEvent {
    /// Its id.
    pub task: Arc<str>,
    /// What is said.
    pub kind: TaskKind,
    /// The wire's name of the state.
    pub state: Arc<str>,
    /// For people.
    pub message: Arc<str>,
    /// Where it is.
    pub agent: Option<Arc<str>>,
    /// The verdict of a health check made by the agent.
    pub healthy: Option<bool>,
    /// To be acknowledged, if so.
    pub ack: Option<AckToken>,
}

/// What can be said of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskKind {
    /// The master has it.
    Staging,
    /// Its executor starts it.
    Starting,
    /// It runs.
    Running,
    /// It is being killed.
    Killing,
    /// It was killed on somebody's order.
    Killed,
    /// It is over, well or badly, or lost: it must be replaced, after the delay.
    Ended,
    /// It was never launched, since its offer was gone: nobody's failure.
    NotLaunched,
    /// Its agent cannot be reached.
    Unreachable,
    /// Reconciliation: nobody knows it.
    Unknown,
}

/// How a write ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is durable.
    Done,
    /// Nothing was written.
    Refused(Arc<str>),
}

/// One thing to be done by the shell.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Write these, all or none, and answer [`Input::Committed`].
    Commit(CommitId, Vec<Change>),
    /// Tell a caller.
    Answer(RequestId, Result<Answer, Refusal>),
    /// Launch these with this offer.
    Accept {
        /// The offer.
        offer: Arc<str>,
        /// Each with its definition and what it takes.
        launches: Vec<Launch>,
    },
    /// Give an offer back.
    Decline {
        /// The offer.
        offer: Arc<str>,
        /// And keep it away for so long.
        refuse: Duration,
    },
    /// Whether offers are wanted from now on.
    Want(bool),
    /// Kill a task.
    Kill {
        /// Its id.
        task: String,
        /// Where.
        agent: Arc<str>,
    },
    /// Ask the master about these tasks.
    Reconcile(Vec<(String, Arc<str>)>),
    /// An update is settled.
    Acknowledge(AckToken),
    /// Tell whoever listens.
    Event(Event),
}

/// One launch.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The instance, as recorded.
    pub instance: Instance,
    /// Its definition.
    pub spec: Arc<AppSpec>,
    /// What it takes out of the offer.
    pub taken: Taken,
}

/// A change of what is stored.
#[derive(Clone, Debug)]
pub enum Change {
    /// A definition, by its app and version.
    Spec(Arc<AppSpec>),
    /// Definitions that are not needed any more.
    DropSpec(AppId, Version),
    /// Which definition of an app is the one that counts.
    Head {
        /// Of which app.
        app: AppId,
        /// Which.
        version: Version,
        /// The app is deleted and only waits for its instances to end.
        leaving: bool,
    },
    /// An app is gone.
    DropHead(AppId),
    /// An instance as it now is.
    Instance(Instance),
    /// An instance is gone.
    DropInstance(InstanceId),
    /// How a task of an app ended badly, the last time one did.
    Failure(Failure),
    /// A deployment as it now is.
    Deployment(Arc<Deployment>),
    /// A deployment is over.
    DropDeployment(DeploymentId),
}

/// How a task of an app ended badly.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// Of which app.
    pub app: AppId,
    /// Of which definition.
    pub version: Version,
    /// Which task.
    pub task: String,
    /// The wire's name of its state.
    pub state: Arc<str>,
    /// What was said.
    pub message: Arc<str>,
    /// Where it was.
    pub place: Option<crate::instance::Place>,
    /// When.
    pub at: meseta_types::Wall,
}

/// A deployment under way.
#[derive(Clone, Debug, PartialEq)]
pub struct Deployment {
    /// Identity.
    pub id: DeploymentId,
    /// When it was accepted.
    pub version: Version,
    /// Its steps.
    pub plan: Plan,
    /// Which of them is under way, from 0.
    pub step: usize,
    /// Each app's definition before it (`None`: there was none), to undo it.
    pub before: Vec<(AppId, Option<Version>)>,
    /// The definition each app is kept at until its step comes (`None`: there is none). It is an older one than that before
    /// where this deployment takes the place of one whose step had not come.
    pub kept: Vec<(AppId, Option<Version>)>,
    /// Each app's definition after it (`None`: it is deleted).
    pub after: Vec<(AppId, Option<Version>)>,
}

/// What listeners are told.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A deployment began, or reached its next step.
    DeploymentInfo(Arc<Deployment>),
    /// A step is done.
    StepDone(Arc<Deployment>),
    /// A deployment is done.
    DeploymentDone(Arc<Deployment>),
    /// A deployment was cancelled.
    DeploymentFailed(Arc<Deployment>),
    /// A task's state, as told.
    Status {
        /// As told.
        event: TaskEvent,
        /// Of which instance; as it was before it went, for the last word.
        instance: Instance,
    },
    /// An instance's condition changed. The last one of an instance says how it ended.
    Condition {
        /// The instance.
        instance: Instance,
        /// The wire's name of its condition.
        condition: &'static str,
    },
    /// An instance's health changed.
    Health {
        /// The instance.
        instance: Instance,
    },
    /// An instance is killed because it is not healthy, by us or by its agent.
    UnhealthyKill {
        /// The instance.
        instance: Instance,
    },
    /// A task ended of which there is no instance any more, or none of that launch.
    Stranger {
        /// Which instance its id names.
        instance: InstanceId,
        /// The wire's name of the condition it ended with.
        condition: &'static str,
    },
    /// An app is gone.
    AppGone(AppId),
}

/// What a caller is told when it went well.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// A deployment began (or was done at once).
    Deployment {
        /// Its id.
        id: DeploymentId,
        /// When it was accepted.
        version: Version,
        /// Apps that were not there before.
        created: Vec<AppId>,
    },
    /// Instances that are being killed.
    Killed(Vec<Instance>),
    /// Done.
    Done,
}

/// What a caller is told when it did not.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// No such app.
    #[error("App '{0}' does not exist")]
    AppNotFound(AppId),
    /// There is one.
    #[error("An app with id [{0}] already exists.")]
    AppExists(AppId),
    /// No such deployment.
    #[error("DeploymentPlan {} does not exist", .0.0)]
    DeploymentNotFound(DeploymentId),
    /// It does not wait for anything.
    #[error("Application {0} not found in tasks queue.")]
    NotInQueue(AppId),
    /// Deployments are in the way.
    #[error(
        "App is locked by one or more deployments. Override with the option '?force=true'. View details at '/v2/deployments/<DEPLOYMENT_ID>'."
    )]
    Locked(Vec<DeploymentId>),
    /// The app was changed since the caller read it.
    #[error("App '{0}' was changed meanwhile")]
    Stale(AppId),
    /// Apps would wait for each other.
    #[error("{0}")]
    Cycle(#[from] Cycle),
    /// Too many.
    #[error(
        "Max number ({0}) of running deployments is achieved. Wait for existing deployments to complete or cancel one."
    )]
    TooManyDeployments(usize),
    /// The store.
    #[error("nothing was changed: {0}")]
    NotStored(Arc<str>),
}
