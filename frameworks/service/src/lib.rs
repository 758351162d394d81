//! The service framework's shell: Marathon's `/v2` API over [`meseta_service_core`], its store, and its tasks on a master.
//!
//! [`start`] is given its doors to the world ([`Env`]) and its settings ([`Config`]) and gives back a [`Running`]. One
//! task owns the engine (`owner`); everybody else has a [`Handle`] on it: calls are answered when they are durable,
//! readers get a [`View`](view::View) of what is durable, and who listens gets [`Told`](owner::Told)s.

mod api;
mod clock;
pub mod config;
pub mod definition;
pub mod flags;
mod launch;
pub mod metrics;
mod offer;
pub mod owner;
mod probe;
mod record;
mod recover;
mod start;
mod status;
pub mod view;
mod wish;

pub use api::{Api, Selector, Settings};
pub use clock::{WallClock, system_wall_clock};
pub use config::{Config, ConfigError};
pub use flags::ServiceFlags;
pub use owner::{CallError, Ended, Handle};
pub use recover::RecoverError;
pub use start::{Env, Running, StartError, start};
