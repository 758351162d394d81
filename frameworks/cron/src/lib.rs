//! The cron framework's shell: Chronos's REST API over [`meseta_cron_core`], its store, and its tasks on a master.
//!
//! [`start`] is given its doors to the world ([`Env`]) and its settings ([`Config`]) and gives back a [`Running`]. One
//! task owns the engine (`owner`), one accepts connections, one sends notices. Queues: asks of handlers
//! (`owner::ASKS_MAX`), notices (`notify::QUEUE_MAX`).

mod api;
mod definition;
mod flags;
mod history;
mod job;
mod launch;
mod notify;
mod owner;
mod record;
mod start;

pub use flags::CronFlags;
pub use owner::Ended;
pub use start::{Config, Env, Running, StartError, start};
