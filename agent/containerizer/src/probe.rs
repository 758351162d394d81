//! One probe of a task: HTTP, TCP or a command, and what it found.
//!
//! When probes run and what their verdicts mean for the task is the agent core's question. HTTP and TCP probes run
//! inside the agent without any process; command probes are run by the supervisor beside the container.

use std::sync::Arc;
use std::time::Duration;

/// What a probe found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A command ended with this raw wait status.
    Exited(i32),
    /// An HTTP server answered with this status code (after redirects).
    Http(u16),
    /// A TCP connection was made.
    Connected,
    /// It failed in the task's responsibility (refused, reset, no HTTP, ...).
    Failed(Arc<str>),
    /// It took too long.
    TimedOut,
    /// It could not be run for reasons that are not the task's; counts for nothing.
    Skipped(Arc<str>),
}

impl Verdict {
    /// Mesos's rule for health checks: exit 0, an HTTP code of 200 to 399, connected. `None` for skipped.
    pub fn healthy(&self) -> Option<bool> {
        match self {
            Verdict::Exited(status) => Some(*status == 0),
            Verdict::Http(code) => Some((200..400).contains(code)),
            Verdict::Connected => Some(true),
            Verdict::Failed(_) | Verdict::TimedOut => Some(false),
            Verdict::Skipped(_) => None,
        }
    }
}

/// An HTTP probe: GET, redirects followed, certificates not verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpProbe {
    /// HTTPS instead of HTTP.
    pub https: bool,
    /// `[::1]` instead of `127.0.0.1`.
    pub ipv6: bool,
    /// Port.
    pub port: u16,
    /// Begins with a slash; may be empty.
    pub path: String,
    /// `None`: never given up.
    pub timeout: Option<Duration>,
}

/// A TCP probe: connect and close.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpProbe {
    /// `[::1]` instead of `127.0.0.1`.
    pub ipv6: bool,
    /// Port.
    pub port: u16,
    /// `None`: never given up.
    pub timeout: Option<Duration>,
}
