//! What the agent is told about its containers. Plain data, no I/O.

use meseta_types::ContainerId;
use std::sync::Arc;

/// Something that happened to a container. Per container the order is `Launched` or `LaunchFailed` first, `Exited` last.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The first process executes its program.
    Launched {
        /// Which container.
        id: ContainerId,
        /// Its first process.
        pid: u32,
    },
    /// It did not come to life, and nothing of it is left. Final for this id; needs no acknowledgement.
    LaunchFailed {
        /// Which container.
        id: ContainerId,
        /// Why.
        failure: LaunchFailure,
    },
    /// Its first process ended and what else belonged to it was killed. Told again after every reconnection until it is
    /// acknowledged.
    Exited {
        /// Which container.
        id: ContainerId,
        /// How.
        exit: Exit,
    },
    /// Answer to an update of its resources.
    Updated {
        /// Which container.
        id: ContainerId,
        /// The error's text when they could not be set.
        outcome: Result<(), Arc<str>>,
    },
    /// A signal or destroy named a container the supervisor does not know (it never started or was acknowledged).
    Unknown {
        /// Which container.
        id: ContainerId,
    },
    /// The supervisor died and another one took over; it adopted these. Containers that died with the old one follow as
    /// `Exited` with [`ExitCause::Unseen`]; launches that had not started are started by the new one.
    SupervisorReplaced {
        /// All it knows of, as at start.
        containers: Vec<Found>,
    },
    /// There is no supervisor and none can be started; it is tried again with growing pauses.
    SupervisorDown {
        /// Why.
        why: Arc<str>,
    },
}

/// Why a container did not start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LaunchFailure {
    /// The spec cannot be carried out on this host as it is configured.
    #[error("{0}")]
    Refused(Arc<str>),
    /// The sandbox could not be made: the container never had anything.
    #[error("{0}")]
    Sandbox(Arc<str>),
    /// A file could not be fetched.
    #[error("{0}")]
    Fetch(Arc<str>),
    /// Isolation could not be set up.
    #[error("{0}")]
    Isolation(Arc<str>),
    /// The program could not be executed as this user in this sandbox.
    #[error("{0}")]
    Exec(Arc<str>),
    /// It was destroyed before it started.
    #[error("Container destroyed during launch")]
    Destroyed,
}

/// How a container ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Exit {
    /// What is known of its first process's end.
    pub cause: ExitCause,
    /// The limit it ran into, if it did.
    pub limitation: Option<Limitation>,
}

impl Exit {
    /// The raw wait status, if somebody saw it.
    pub fn status(&self) -> Option<i32> {
        match self.cause {
            ExitCause::Status(status) => Some(status),
            ExitCause::Unseen(_) => None,
        }
    }
}

/// What is known of the end of a container's first process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExitCause {
    /// Its raw wait status (`waitpid(2)`).
    Status(i32),
    /// It is gone and nobody saw how; the text says why nobody did.
    Unseen(Arc<str>),
}

/// A resource limit a container ran into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Limitation {
    /// It used more memory than it may.
    Memory {
        /// Its limit in bytes.
        limit_bytes: u64,
        /// The most it used, in bytes.
        max_used_bytes: u64,
        /// For people: `Memory limit exceeded: Requested: ... Maximum Used: ...` and the kernel's statistics.
        message: Arc<str>,
    },
}

/// A container the supervisor knew when the agent connected.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Which container.
    pub id: ContainerId,
    /// Its first process; zero when it ended before its pid was recorded.
    pub pid: u32,
    /// How it ended, if it did; no separate `Exited` follows for it.
    pub exit: Option<Exit>,
}
