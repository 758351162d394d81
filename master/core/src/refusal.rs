//! What was refused, whose fault it was, and what an operator can read about it later.
//!
//! Mesos logs most of what it drops; here each such case is a [`Note`]: an effect for the log, a counter, and an entry
//! in a bounded ring that views show.

use meseta_types::{AgentId, FrameworkId, Wall};
use std::sync::Arc;

/// Why a request was not done. The shell turns it into a status code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The caller's fault: 400 with this text.
    #[error("{0}")]
    BadRequest(Arc<str>),
    /// What it names is not there: 404, or 400 where Mesos says so.
    #[error("{0}")]
    NotFound(Arc<str>),
    /// It is being changed by another request, or is in the wrong state: 409.
    #[error("{0}")]
    Conflict(Arc<str>),
    /// The world's fault (the store has no space, a write is under way): 503, nothing changed, may be tried again.
    #[error("{0}")]
    Unavailable(Arc<str>),
}

/// Something that was dropped without an answer to its sender.
#[derive(Clone, Debug, PartialEq)]
pub struct Note {
    /// When.
    pub wall: Wall,
    /// What was dropped: a call's or message's name in lower case.
    pub what: &'static str,
    /// Why.
    pub reason: Arc<str>,
    /// Which framework it concerns.
    pub framework_id: Option<FrameworkId>,
    /// Which agent it concerns.
    pub agent_id: Option<AgentId>,
}

/// A sum or a cross-reference of the core does not hold: our own defect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Broken(pub String);
