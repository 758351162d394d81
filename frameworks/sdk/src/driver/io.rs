//! What goes into the driver machine and what comes out.
//!
//! Plain values, so that a run can be recorded, compared and played again; the async shell
//! ([`crate::Client`]) and the simulated world both speak only this.

use crate::endpoint::Endpoint;
use meseta_proto::mesos::v1::scheduler;
use meseta_proto::mesos::v1::{FrameworkInfo, MasterInfo};
use meseta_types::{AgentId, FrameworkId, Mono, TaskId};
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);
    };
}

number!(
    /// One attempt to subscribe and the stream it became.
    LinkId
);
number!(
    /// One subscription. Offers and acknowledgements belong to exactly one; those of an older one are refused locally.
    Epoch
);
number!(
    /// One call of this driver's life. A call that is sent again keeps its number.
    CallSeq
);
number!(
    /// Chosen by whoever gives a command; comes back in [`Output::Answer`].
    CommandId
);

/// Who the framework is. The id exists before the first SUBSCRIBE, so that subscribing can be repeated without
/// making a second framework.
#[derive(Clone, Debug, PartialEq)]
pub enum Identity {
    /// The id is durable (or the caller wants none that outlives the process).
    Known(FrameworkId),
    /// The id was just chosen and must be made durable first.
    Chosen(FrameworkId),
}

impl Identity {
    /// The id.
    pub fn id(&self) -> &FrameworkId {
        match self {
            Identity::Known(id) | Identity::Chosen(id) => id,
        }
    }
}

/// What the framework wants to be at the master: the content of SUBSCRIBE.
#[derive(Clone, Debug, PartialEq)]
pub struct Wish {
    /// Itself; the driver fills in the id.
    pub framework: FrameworkInfo,
    /// Roles it wants no offers for.
    pub suppressed: BTreeSet<String>,
    /// Which offers it can use at all.
    pub constraints: Option<scheduler::OfferConstraints>,
}

/// To the machine.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// The deadline passed. The first one starts the machine.
    Tick,
    /// Answer to [`Output::Locate`]: where masters may be, or why nobody knows.
    Located(Result<Vec<Endpoint>, String>),
    /// Something happened on a link.
    Link(LinkId, LinkEvent),
    /// Answer to [`Output::Send`].
    Reply(LinkId, CallSeq, Reply),
    /// Answer to [`Output::Store`].
    Stored(Result<(), String>),
    /// The author wants something.
    Command(CommandId, Command),
    /// The author has made an update's effect durable.
    Ack(AckToken),
}

/// What a link says.
#[derive(Clone, Debug, PartialEq)]
pub enum LinkEvent {
    /// The master answered 200 (or Welcome): events follow.
    Opened,
    /// Bytes came that are no whole event yet, or the peer's sign of life.
    Alive,
    /// One event.
    Event(Box<scheduler::Event>),
    /// Another master leads; the text is the `Location` header or the leader's address.
    Moved(String),
    /// No leader, or one that is not ready: worth repeating.
    Unavailable {
        /// What the master said.
        text: String,
        /// How long it asks us to wait.
        retry_after: Option<Duration>,
    },
    /// The subscription is refused.
    Refused {
        /// HTTP status.
        code: u16,
        /// What the master said.
        text: String,
    },
    /// The link is over (or never came to be).
    Lost(String),
}

/// What became of one call.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// 202 (or 200): the master has validated it and will apply it. Never "done".
    Accepted,
    /// The master refused it.
    Refused {
        /// HTTP status.
        code: u16,
        /// What the master said.
        text: String,
    },
    /// Wait that long, then send it again (429).
    Later(Duration),
    /// 307 or 503: this master does not lead (any more).
    NotLeading(String),
    /// It may or may not have reached the master.
    Unknown(String),
}

/// What an author can ask for.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// One scheduler call other than SUBSCRIBE and TEARDOWN; the driver fills in the framework's id.
    Call {
        /// The subscription its offers belong to; `None` where it names none.
        epoch: Option<Epoch>,
        /// The agent concerned, where known: calls about one agent keep their order.
        agent: Option<AgentId>,
        /// The call.
        call: Box<scheduler::Call>,
    },
    /// End the driver.
    Stop(Stop),
}

/// How to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Flush what is under way, then go; tasks live on until the framework's failover timeout.
    Failover,
    /// Go at once; tasks live on until the framework's failover timeout.
    Abort,
    /// Remove the framework: **all its tasks are killed** and its id can never be used again.
    Teardown,
}

/// Which update is acknowledged, on which subscription.
#[derive(Clone, Debug, PartialEq)]
pub struct AckToken {
    /// The subscription that delivered it.
    pub epoch: Epoch,
    /// What is acknowledged.
    pub what: Acked,
}

/// A task's or an operation's update.
#[derive(Clone, Debug, PartialEq)]
pub enum Acked {
    /// A task's.
    Task {
        /// The agent that sent it.
        agent_id: AgentId,
        /// The task.
        task_id: TaskId,
        /// The update.
        uuid: bytes::Bytes,
    },
    /// An operation's.
    Operation(Box<scheduler::call::AcknowledgeOperationStatus>),
}

/// A call on its way: its number and the subscription it was sent on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// The call.
    pub seq: CallSeq,
    /// The subscription.
    pub epoch: Epoch,
}

/// Why a call was not (certainly) made.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// Nobody to send it to. Wait for the next `Subscribed` and decide anew.
    #[error("not subscribed")]
    NotSubscribed,
    /// It names offers of, or was overtaken by, an older subscription. Drop it.
    #[error("it belongs to an older subscription")]
    Stale,
    /// The master refused it: sending it again changes nothing.
    #[error("the master refused it ({code}): {text}")]
    Refused {
        /// HTTP status, or 400 when the driver refused it itself.
        code: u16,
        /// What the master said.
        text: String,
    },
    /// It may have been applied. For ACCEPT: reconcile its tasks after the next `Subscribed`; never send it again.
    #[error("its outcome is unknown: {0}")]
    Unknown(String),
    /// Too many calls are under way. Wait for some.
    #[error("too many calls under way")]
    Busy,
    /// The driver has ended.
    #[error("the driver has stopped")]
    Stopped,
}

impl CallError {
    /// Whether the same wish may be expressed again later (for ACCEPT: with new offers).
    pub fn is_retryable(&self) -> bool {
        match self {
            CallError::NotSubscribed | CallError::Stale | CallError::Busy => true,
            CallError::Unknown(_) | CallError::Refused { .. } | CallError::Stopped => false,
        }
    }
}

/// Which calls keep their order among each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// SUPPRESS, REVIVE, UPDATE_FRAMEWORK: the last wish wins.
    Wish,
    /// ACCEPT, DECLINE, KILL, SHUTDOWN and MESSAGE of the agents with this hash, below [`Lane::AGENTS`].
    Agent(u8),
    /// Everything else, in any order.
    Free,
}

impl Lane {
    /// How many ordered lanes agents are spread over: a KILL must not overtake its ACCEPT, but one slow
    /// request must not hold up the whole cluster either.
    pub const AGENTS: u8 = 4;

    /// The lane of an agent (FNV-1a of its id, so that it is the same in every process).
    pub fn of_agent(agent: Option<&AgentId>) -> Lane {
        let text = agent.map(AgentId::as_str).unwrap_or_default();
        let hash = text.bytes().fold(0x811c_9dc5_u32, |h, b| {
            (h ^ u32::from(b)).wrapping_mul(0x0100_0193)
        });
        Lane::Agent((hash % u32::from(Lane::AGENTS)) as u8)
    }
}

/// From the machine.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Make the id durable; answered by [`Input::Stored`].
    Store(FrameworkId),
    /// Find out where masters may be; answered by [`Input::Located`].
    Locate,
    /// Open a link; answered by [`Input::Link`].
    Connect {
        /// Its name.
        link: LinkId,
        /// Whereto.
        endpoint: Endpoint,
        /// The SUBSCRIBE call.
        subscribe: Box<scheduler::Call>,
    },
    /// Close a link; nothing it says counts any more.
    Cut(LinkId),
    /// Send a call; answered by [`Input::Reply`].
    Send {
        /// On whose stream.
        link: LinkId,
        /// In which order.
        lane: Lane,
        /// Its number.
        seq: CallSeq,
        /// The call.
        call: Arc<scheduler::Call>,
    },
    /// Tell the author.
    Deliver(Notice),
    /// What became of a command.
    Answer(CommandId, Result<Sent, CallError>),
    /// The end, exactly once.
    Exit(Exit),
}

/// What the author is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Notice {
    /// A new subscription: offers and unacknowledged updates of older ones are void.
    Subscribed {
        /// Its number.
        epoch: Epoch,
        /// The framework.
        framework_id: FrameworkId,
        /// The leading master.
        master: Option<Box<MasterInfo>>,
    },
    /// The subscription is lost, or an attempt failed; the driver goes on by itself.
    Disconnected {
        /// Why.
        why: String,
        /// When the next attempt comes.
        retry_at: Mono,
        /// How long that is from now.
        retry_in: Duration,
    },
    /// An event of the stream other than SUBSCRIBED, HEARTBEAT and ERROR.
    Event {
        /// The subscription.
        epoch: Epoch,
        /// The event.
        event: Box<scheduler::Event>,
    },
}

/// Why a driver ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Exit {
    /// As asked; tasks live on until the failover timeout.
    Stopped,
    /// As asked: the framework is removed.
    TornDown,
    /// Another process owns the framework's id now. Never come back by yourself.
    FailedOver,
    /// The framework was removed; this id is used up.
    Removed,
    /// The master does not take this framework as it describes itself.
    Refused(String),
    /// Credentials are missing, wrong, or not enough.
    Unauthorized(String),
    /// The framework's id could not be made durable.
    StoreLost(String),
}

impl Exit {
    /// The code a process ends with: 0 as asked, 103 failed over, 110 removed, 2 refused (its configuration must
    /// change first), 7 not authorised, 1 otherwise.
    pub fn code(&self) -> u8 {
        match self {
            Exit::Stopped | Exit::TornDown => 0,
            Exit::FailedOver => 103,
            Exit::Removed => 110,
            Exit::Refused(_) => 2,
            Exit::Unauthorized(_) => 7,
            Exit::StoreLost(_) => 1,
        }
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        std::process::ExitCode::from(exit.code())
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Exit::Stopped => f.write_str("stopped; its tasks live on until the failover timeout"),
            Exit::TornDown => f.write_str("torn down"),
            Exit::FailedOver => f.write_str("another process subscribed with this framework id"),
            Exit::Removed => f.write_str("the framework was removed; its id cannot be used again"),
            Exit::Refused(text) => write!(f, "the master refused the framework: {text}"),
            Exit::Unauthorized(text) => write!(f, "not authorised: {text}"),
            Exit::StoreLost(text) => write!(f, "the framework id could not be stored: {text}"),
        }
    }
}

/// What the machine waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TimerKind {
    /// Its first step.
    Start,
    /// The next attempt.
    BackOff,
    /// Connection and answer to SUBSCRIBE.
    Headers,
    /// The SUBSCRIBED event.
    FirstEvent,
    /// A sign of life of the stream.
    Silence,
    /// A call's answer.
    CallTimeout,
    /// A call is sent again.
    CallRetry,
    /// The end of flushing.
    Drain,
}
