//! The agent's shell: HTTP, master link, executors, checkpoints, configuration.
//!
//! `start` makes an agent out of its settings and its surroundings. One task owns the core (`owner`); around it lie
//! the disk (`journal`), the master's link (`link`), the containers (`containers`), the executors' streams
//! (`executors`) and the HTTP server (`api`). Decisions are the core's; nothing here decides what runs.

mod api;
pub mod clock;
pub mod config;
mod containers;
mod executors;
pub mod flags;
mod host;
mod journal;
mod launch;
mod layout;
mod link;
mod owner;
mod probes;
mod record;
mod recovery;
mod sandboxes;
mod start;

pub use config::{Config, ConfigError};
pub use flags::AgentFlags;
pub use journal::JournalError;
pub use owner::{Ended, Status};
pub use start::{Env, Running, StartError, start};
