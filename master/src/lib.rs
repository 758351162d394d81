//! The master's shell: HTTP, gRPC, agents' link, event fan-out, configuration.
//!
//! Everything that decides is in `meseta-master-core`; everything that moves bytes is here. [`start`] is given its
//! doors to the world ([`Env`]) and its settings ([`Config`]) and gives back a [`Running`]. One task owns the core
//! (`owner`); handlers reach it through one bounded queue (`intake`) and hear of it through views, answers and their
//! own outbox (`outbox`). What a request may do is decided in one place (`gate`).
//!
//! Tasks and channels: the owner; the listener and one task per connection (HTTP bodies and gRPC streams are polled
//! there, so encoding happens there); one reading task per agents' link and per gRPC scheduler; blocking threads for
//! reading the registry, files and for encoding large answers. Queues: the intake (messages and bytes), one outbox per
//! stream, link and operator's stream (bytes), one oneshot per answer.

mod api;
mod clock;
mod config;
mod flags;
mod identity;
mod intake;
mod master;
mod outbox;
mod owner;
mod run;
mod sessions;
mod show;
mod timings;

pub use clock::{WallClock, system_wall_clock};
pub use config::{Advertised, Config, ConfigError, Registry};
pub use flags::{MasterFlags, RateLimitFlag};
pub use identity::{API_VERSION, Entropy, MESETA_VERSION, system_entropy};
pub use run::{Ended, Env, Running, start};
