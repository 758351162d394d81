//! What agent and supervisor say to each other, and supervisor and launchers.
//!
//! Frames of [`crate::codec`]. The first frame of an agent is [`Ask::Hello`]; a supervisor that speaks another version
//! answers with its own in [`Tell::Welcome`] and closes. Variants are only ever added, numbers never reused, so that an
//! agent can still ask an older supervisor to re-execute itself.

use crate::codec::{coded_enum, coded_struct};
use crate::event::{Exit, ExitCause, LaunchFailure, Limitation};
use crate::plan::{Plan, Setting};
use std::sync::Arc;

/// First number of a conversation: refuses whoever found the socket by accident.
pub(crate) const MAGIC: u32 = 0x4d53_5550;

/// Version of this conversation.
pub(crate) const VERSION: u32 = 1;

/// The supervisor's socket in the runtime folder.
pub(crate) const SOCKET: &str = "supervisor.sock";

/// What a process is to the agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// A container: outlives the agent, remembered until it is forgotten.
    Task,
    /// Fetches a container's files; ends with the agent's connection.
    Fetch,
    /// Checks a container; ends with the agent's connection and with the container.
    Probe { of: String },
    /// A cgroup somebody left; never on the wire.
    Leftover,
}
coded_enum!(Class { 1 => Task, 2 => Fetch, 3 => Probe { of }, 4 => Leftover });

/// From agent to supervisor. `key` is a container's id, or a name the agent made up for a fetch or probe.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Ask {
    /// Who we are, and our cgroup in each hierarchy we use.
    Hello {
        magic: u32,
        version: u32,
        cgroup_roots: Vec<String>,
    },
    Launch {
        key: String,
        class: Class,
        plan: Plan,
    },
    Signal {
        key: String,
        signal: i32,
    },
    Destroy {
        key: String,
    },
    Update {
        key: String,
        settings: Vec<Setting>,
    },
    Forget {
        key: String,
    },
    /// Execute this program and its first arguments in place of the running one, keeping all containers.
    Reexec {
        helper: Vec<String>,
    },
    /// Kill everything and end.
    Stop,
}
coded_enum!(Ask {
    1 => Hello { magic, version, cgroup_roots },
    2 => Launch { key, class, plan },
    3 => Signal { key, signal },
    4 => Destroy { key },
    5 => Update { key, settings },
    6 => Forget { key },
    7 => Reexec { helper },
    8 => Stop,
});

/// From supervisor to agent.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Tell {
    /// Who the supervisor is: its version of this conversation, its build, its process.
    Welcome {
        version: u32,
        build: String,
        pid: u32,
    },
    /// One container it has; after `Welcome`, before `Ready`.
    Found {
        key: String,
        state: Known,
    },
    /// All were named.
    Ready,
    Launched {
        key: String,
        pid: u32,
    },
    Failed {
        key: String,
        failure: Failure,
    },
    Exited {
        key: String,
        exit: WireExit,
    },
    Updated {
        key: String,
        error: Option<String>,
    },
    Unknown {
        key: String,
    },
}
coded_enum!(Tell {
    1 => Welcome { version, build, pid },
    2 => Found { key, state },
    3 => Ready,
    4 => Launched { key, pid },
    5 => Failed { key, failure },
    6 => Exited { key, exit },
    7 => Updated { key, error },
    8 => Unknown { key },
});

/// What the supervisor knows of a container.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Known {
    Launching,
    Running { pid: u32 },
    Ended { pid: u32, exit: WireExit },
}
coded_enum!(Known { 1 => Launching, 2 => Running { pid }, 3 => Ended { pid, exit } });

/// An exit on the wire and in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WireExit {
    /// Raw wait status.
    pub(crate) status: Option<i32>,
    /// Why there is none.
    pub(crate) unseen: String,
    pub(crate) memory: Option<MemoryLimit>,
}
coded_struct!(WireExit {
    status,
    unseen,
    memory
});

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MemoryLimit {
    pub(crate) limit_bytes: u64,
    pub(crate) max_used_bytes: u64,
    pub(crate) message: String,
}
coded_struct!(MemoryLimit {
    limit_bytes,
    max_used_bytes,
    message
});

impl From<WireExit> for Exit {
    fn from(exit: WireExit) -> Exit {
        Exit {
            cause: match exit.status {
                Some(status) => ExitCause::Status(status),
                None => ExitCause::Unseen(Arc::from(exit.unseen)),
            },
            limitation: exit.memory.map(|m| Limitation::Memory {
                limit_bytes: m.limit_bytes,
                max_used_bytes: m.max_used_bytes,
                message: Arc::from(m.message),
            }),
        }
    }
}

/// Why something did not start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    Refused { why: String },
    Sandbox { why: String },
    Isolation { why: String },
    Exec { why: String },
    Destroyed,
}
coded_enum!(Failure {
    1 => Refused { why },
    2 => Sandbox { why },
    3 => Isolation { why },
    4 => Exec { why },
    5 => Destroyed,
});

impl From<Failure> for LaunchFailure {
    fn from(failure: Failure) -> LaunchFailure {
        match failure {
            Failure::Refused { why } => LaunchFailure::Refused(why.into()),
            Failure::Sandbox { why } => LaunchFailure::Sandbox(why.into()),
            Failure::Isolation { why } => LaunchFailure::Isolation(why.into()),
            Failure::Exec { why } => LaunchFailure::Exec(why.into()),
            Failure::Destroyed => LaunchFailure::Destroyed,
        }
    }
}

/// From supervisor to launcher.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Order {
    pub(crate) key: String,
    pub(crate) class: Class,
    pub(crate) plan: Plan,
}
coded_struct!(Order { key, class, plan });

/// From launcher to supervisor.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Done {
    Born {
        key: String,
        pid: i32,
    },
    /// `pid` is zero when no process was born; otherwise it is dead.
    Failed {
        key: String,
        pid: i32,
        failure: Failure,
    },
}
coded_enum!(Done { 1 => Born { key, pid }, 2 => Failed { key, pid, failure } });

/// The socket below an opened folder, by a name that is short enough for an address whatever the folder's own is.
pub(crate) fn socket_in(folder: &std::fs::File) -> std::path::PathBuf {
    use std::os::fd::AsRawFd as _;
    format!("/proc/self/fd/{}/{SOCKET}", folder.as_raw_fd()).into()
}
