//! What every handler of a request knows of its master.

use crate::clock::Clock;
use crate::config::Config;
use crate::identity::{Entropy, MasterIdentity, new_uuid};
use crate::intake::{Ended, Intake};
use crate::owner::Gauges;
use crate::sessions::Sessions;
use meseta_http::Refusal;
use meseta_http::files::Files;
use meseta_http::gate::Gate;
use meseta_http::logging::LogLevel;
use meseta_types::Wall;
use std::sync::{Arc, OnceLock};
use tokio::sync::Semaphore;

/// Large answers encoded at the same moment: more would only take the cores from everybody else.
pub(crate) const ENCODERS_MAX: usize = 4;

/// Large answers under way, most of them waiting for their clients: each holds a blocking thread and a view.
pub(crate) const ANSWERS_MAX: usize = 128;

/// Shared by all handlers; nothing in it changes but through its own parts.
pub(crate) struct Master {
    pub(crate) me: MasterIdentity,
    pub(crate) config: Config,
    pub(crate) clock: Clock,
    pub(crate) entropy: Entropy,
    pub(crate) intake: Intake,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) gauges: Arc<Gauges>,
    pub(crate) files: Files,
    pub(crate) log_level: LogLevel,
    pub(crate) gate: Gate,
    /// A permit per answer that is being encoded.
    pub(crate) encoders: Arc<Semaphore>,
    /// A permit per answer under way.
    pub(crate) answers: Arc<Semaphore>,
    /// Set once the registry is read.
    pub(crate) elected: OnceLock<Wall>,
}

impl Master {
    /// Refuses calls until the registry is read.
    pub(crate) fn check_recovered(&self) -> Result<(), Refusal> {
        match self.elected.get() {
            Some(_) => Ok(()),
            None => Err(Refusal::unavailable("Master has not finished recovery")),
        }
    }

    /// A new random uuid as text.
    pub(crate) fn new_uuid(&self) -> String {
        new_uuid(&self.entropy)
    }
}

impl From<Ended> for Refusal {
    fn from(ended: Ended) -> Refusal {
        Refusal::unavailable(ended.to_string())
    }
}
