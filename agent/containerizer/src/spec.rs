//! What the agent asks for: containers, their commands, resources and files. Plain data, no I/O.

use meseta_types::ContainerId;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// A container to start.
#[derive(Clone, Debug, PartialEq)]
pub struct LaunchSpec {
    /// Its id; never used twice on one agent.
    pub id: ContainerId,
    /// Its sandbox: absolute; made with mode 0750 (parents 0755) and given to `user` if it is not there.
    pub sandbox: Arc<Path>,
    /// What its first process executes.
    pub command: Command,
    /// The whole environment; nothing is inherited. Later entries of the same name win. `PATH` is added when it is missing.
    pub environment: Vec<(Arc<str>, Arc<str>)>,
    /// The user (name or number) it runs as and that owns its sandbox; `None`: whoever the supervisor runs as.
    pub user: Option<Arc<str>>,
    /// What it may use.
    pub resources: Resources,
    /// Files to fetch into the sandbox first, one after the other.
    pub uris: Vec<Uri>,
    /// Resource limits of the process (soft and hard).
    pub rlimits: Vec<Rlimit>,
}

/// What a process executes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// `sh -c TEXT`.
    Shell(Arc<str>),
    /// A program and its whole argument vector, `argv[0]` included (the program itself when empty).
    Program {
        /// With a slash: a path, relative to the sandbox. Without: looked for along the container's `PATH`.
        path: Arc<str>,
        /// Arguments.
        argv: Vec<Arc<str>>,
    },
}

/// An upper bound that may be absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// At most this much.
    Finite(u64),
    /// As much as there is.
    Infinite,
}

/// What a container asks for and may use. Requests are guaranteed shares, limits are hard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// Requested CPUs in thousandths.
    pub cpus_milli: u64,
    /// Upper bound of CPUs in thousandths; `None`: not given by the framework.
    pub cpus_limit_milli: Option<Limit>,
    /// Requested memory in bytes; zero: none requested, nothing is enforced.
    pub mem_bytes: u64,
    /// Upper bound of memory in bytes; `None`: the request.
    pub mem_limit_bytes: Option<Limit>,
}

/// A resource limit of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rlimit {
    /// The kernel's number of the resource (`RLIMIT_NOFILE` is 7, ...).
    pub resource: u32,
    /// Soft limit; `None`: unlimited.
    pub soft: Option<u64>,
    /// Hard limit; `None`: unlimited.
    pub hard: Option<u64>,
}

/// A file to fetch, as `CommandInfo.URI`.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Uri {
    /// Where it is: an absolute path, `file://`, `http://` or `https://`.
    pub value: String,
    /// Make it executable instead of unpacking it.
    pub executable: bool,
    /// Unpack it if its name says that it is an archive.
    pub extract: bool,
    /// Its name in the sandbox, possibly with folders; the last part of `value` when absent.
    pub output_file: Option<String>,
}

/// A check that runs a command beside a container's processes.
#[derive(Clone, Debug, PartialEq)]
pub struct CommandProbe {
    /// The container it belongs to: it runs in its cgroups and dies with it.
    pub container: ContainerId,
    /// Working directory: the container's sandbox.
    pub sandbox: Arc<Path>,
    /// What it runs.
    pub command: Command,
    /// The container's whole environment and the check's own after it.
    pub environment: Vec<(Arc<str>, Arc<str>)>,
    /// The container's user.
    pub user: Option<Arc<str>>,
    /// It is killed after this long and counts as timed out; `None`: never.
    pub timeout: Option<Duration>,
}
