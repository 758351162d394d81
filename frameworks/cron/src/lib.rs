//! The cron framework's shell: Chronos's REST API over [`meseta_cron_core`], its store, and its tasks on a master.
//!
//! [`start`] is given its doors to the world ([`Env`]) and its settings ([`Config`]) and gives back a [`Running`].
//!
//! | file | what it does |
//! |---|---|
//! | `flags.rs`, `config.rs` | Chronos's flags, and what they come to |
//! | `start.rs`, `recover.rs` | the store is read, the framework's id made durable, then everything starts |
//! | `owner.rs` | the one task that owns the engine |
//! | `board.rs` | what readers see: only what is durable |
//! | `record.rs`, `history.rs` | what the store holds |
//! | `definition.rs`, `job.rs` | from a request to a job and back |
//! | `launch.rs`, `container.rs` | from a run to a task |
//! | `wire.rs` | from the messages of a master to what the engine looks at |
//! | `gate.rs` | who asks, and whether they may |
//! | `api.rs` and below | the endpoints |
//! | `notify.rs`, `numbers.rs` | messages to owners, metrics |
//!
//! Queues: asks of handlers ([`meseta_http::inbox`]), looks of readers (`owner::LOOKS_MAX`), inputs that wait for a write
//! (`owner::BACKLOG_MAX`), messages to owners ([`meseta_http::inbox`]).

#[allow(
    clippy::result_large_err,
    reason = "what refuses a request is its whole answer, made once and moved once"
)]
mod api;
mod board;
mod config;
mod container;
mod definition;
mod flags;
mod gate;
mod history;
mod job;
mod launch;
mod notify;
mod numbers;
mod owner;
mod record;
mod recover;
mod start;
mod wire;

pub use config::{Config, ConfigError};
pub use flags::CronFlags;
pub use owner::Ended;
pub use recover::StoreError;
pub use start::{Env, Running, StartError, start};
