//! What goes into the master's core and what comes out of it.
//!
//! The shell (or the simulated world) feeds one [`Input`] at a time to [`crate::MasterCore::step`] and carries out the
//! [`Effect`]s in their order. Nothing here knows sockets: links, streams and requests are numbers the shell gives out.
//!
//! Division of labour with the shell:
//! - Everything that can be judged from one message alone (syntax, required fields, role names, representable numbers)
//!   is judged at the edge, before an input is made. Everything that needs the cluster's state is judged here, when the
//!   input is *applied*; that includes the stream id of each call.
//! - Heartbeats belong to connections and are the shell's: one right after `SUBSCRIBED`, then every
//!   [`crate::config::HEARTBEAT_INTERVAL`]. So are `master_info` and everything else that never changes.
//! - Typed fields win over the same fields inside the `wire` bytes beside them: the core assigns ids and allocation
//!   roles in the typed fields and leaves the bytes alone; whoever encodes for the peer writes the typed values over them.

mod call;
mod event;

pub use call::{Accept, Call, Filters, OPERATION_KINDS, Operation, OperationKind, Subscribe, TaskRef};
pub use event::{Event, OperationState, OperationStatus, OperatorEvent, Session};

use crate::refusal::{Note, Refusal};
use bytes::Bytes;
use meseta_types::link::{FromAgent, ToAgent};
use meseta_types::{FrameworkId, Mono, TaskId};
use std::sync::Arc;
use std::time::Duration;

/// One connection of an agent. Given out by the shell, never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

/// One event stream of a scheduler, over HTTP or gRPC. Given out by the shell, never used twice; the shell keeps the
/// text of `Mesos-Stream-Id` beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub u64);

/// One request that waits for an [`Effect::Answer`]. Given out by the shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// One write to the store. Given out by the core, counting up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommitId(pub u64);

/// One thing that happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// The time of [`crate::MasterCore::deadline`] has come (early or late ticks do no harm).
    Tick,
    /// An agent's link brought a message. The first one of a link must be `Register` or `Reregister`.
    Agent {
        /// The link.
        link: LinkId,
        /// What it says.
        message: FromAgent,
    },
    /// An agent's link is gone.
    LinkClosed {
        /// The link.
        link: LinkId,
    },
    /// A scheduler wants to subscribe on a new stream.
    Subscribe {
        /// The stream, open and silent so far.
        stream: StreamId,
        /// Who.
        subscribe: Subscribe,
    },
    /// A scheduler's stream is gone (its peer left, or did not read and was cut off).
    StreamClosed {
        /// The stream.
        stream: StreamId,
    },
    /// A call that was answered 202, from a scheduler that showed this stream's id.
    Call {
        /// Whose stream id it carried.
        stream: StreamId,
        /// Which framework it names.
        framework_id: FrameworkId,
        /// What it wants.
        call: Call,
    },
    /// `UPDATE_FRAMEWORK`, which waits for an answer.
    UpdateFramework {
        /// To be answered.
        request: RequestId,
        /// Whose stream id it carried.
        stream: StreamId,
        /// The framework as it shall be (its id is set) and its suppressed roles.
        update: Subscribe,
    },
    /// An operator's `TEARDOWN`.
    Teardown {
        /// To be answered.
        request: RequestId,
        /// Which framework.
        framework_id: FrameworkId,
    },
    /// An operator's kill of one task (ours; Mesos has none).
    KillTask {
        /// To be answered.
        request: RequestId,
        /// Whose task.
        framework_id: FrameworkId,
        /// Which.
        task_id: TaskId,
        /// Encoded `mesos.v1.KillPolicy`; empty for none.
        kill_policy: Bytes,
        /// Its grace period, if one is set.
        grace: Option<Duration>,
    },
    /// Answer to [`Effect::Pace`].
    Paced {
        /// Which stream.
        stream: StreamId,
    },
    /// The store's word on an [`Effect::Commit`].
    Committed {
        /// Which.
        id: CommitId,
        /// How it ended.
        outcome: Outcome,
    },
}

/// How a write to the store ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is durable.
    Done,
    /// It was not written and will not be (no space, too large). Nothing changed.
    Refused(Arc<str>),
    /// Another leader writes there now.
    Fenced,
    /// Nobody can say (a failed fsync, a lost reply).
    Unknown,
}

/// One change of a key in the store. Keys and values are the core's own encoding: see [`crate::registry`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Write the value.
    Put {
        /// Below `master/`.
        key: Arc<str>,
        /// Encoded by [`crate::registry`], with its format version in front.
        value: Bytes,
    },
    /// Remove the key, if it is there.
    Delete {
        /// Below `master/`.
        key: Arc<str>,
    },
}

/// One thing to be done by the shell.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Write these changes, all or none, after every earlier commit, and answer [`Input::Committed`].
    Commit {
        /// To be answered with.
        id: CommitId,
        /// All or none.
        changes: Vec<Change>,
    },
    /// Send to an agent.
    ToAgent {
        /// Over this link.
        link: LinkId,
        /// What.
        message: ToAgent,
    },
    /// Close an agent's link after what was sent. No [`Input::LinkClosed`] is needed for it.
    CloseLink {
        /// Which.
        link: LinkId,
    },
    /// Send to a scheduler.
    ToFramework {
        /// Over this stream.
        stream: StreamId,
        /// What.
        event: Event,
    },
    /// More is to be said than a scheduler may leave unread: answer [`Input::Paced`] when its connection has taken what was
    /// sent so far. Needs no answer when the connection is gone.
    Pace {
        /// Over this stream.
        stream: StreamId,
    },
    /// End a scheduler's stream after what was sent. No [`Input::StreamClosed`] is needed for it.
    CloseStream {
        /// Which.
        stream: StreamId,
    },
    /// The table of sessions changes; comes before the `SUBSCRIBED` it belongs to.
    Session {
        /// Whose session.
        framework_id: FrameworkId,
        /// As it is from now on.
        session: Session,
    },
    /// For every operator's event stream.
    Operator(OperatorEvent),
    /// A request's answer.
    Answer {
        /// Which request.
        request: RequestId,
        /// Done, or why not.
        answer: Result<(), Refusal>,
    },
    /// Something was refused or dropped without an answer to its sender: for the log.
    Note(Note),
    /// The process must not go on as leader: end it at once and let it start again from what is durable.
    StepDown {
        /// Why.
        reason: StepDown,
    },
}

/// Why a master gives up its leadership.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepDown {
    /// Another leader writes to the store.
    Fenced,
    /// A write's outcome is unknown.
    UnknownOutcome,
    /// More agents failed to come back after a fail-over than `--recovery_agent_removal_limit` allows to remove.
    TooManyAgentsMissing {
        /// How many did not come back.
        missing: usize,
        /// How many were admitted.
        admitted: usize,
    },
}

/// What the next tick is for, for the log and for tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TimerKind {
    /// The allocator wants to run.
    Allocate,
    /// An offer runs out.
    OfferTimeout,
    /// An agent is to be pinged, or did not answer.
    Ping,
    /// A disconnected agent did not come back.
    AgentReregister,
    /// Agents known from the registry did not come back after a fail-over.
    Recovery,
    /// The removal rate limit gives its next permit.
    RemovalPermit,
    /// A disconnected framework did not come back.
    FailoverTimeout,
    /// Old entries of the registry are to be forgotten.
    RegistryGc,
}

/// The effects of one or more steps, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Effects(Vec<Effect>);

impl Effects {
    /// None yet.
    pub fn new() -> Self {
        Effects::default()
    }

    /// Adds one at the end.
    pub fn push(&mut self, effect: Effect) {
        self.0.push(effect);
    }

    /// Takes all of them, in order, keeping the buffer.
    pub fn drain(&mut self) -> std::vec::Drain<'_, Effect> {
        self.0.drain(..)
    }

    /// Looks at them.
    pub fn as_slice(&self) -> &[Effect] {
        &self.0
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// When the core wants its next [`Input::Tick`], and what for.
pub type Deadline = (Mono, TimerKind);
