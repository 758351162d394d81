//! Cluster state, calls, offers and registry changes as a pure core.
#![deny(clippy::iter_over_hash_type)]

pub mod config;
pub mod counters;
pub mod io;
pub mod pages;
pub mod refusal;
pub mod registry;
pub mod state;
pub mod view;

mod core;
mod index;
mod ring;
mod timers;
mod wire;

pub use crate::core::MasterCore;
pub use config::Config;
pub use io::{Effect, Effects, Input};
pub use refusal::{Broken, Note, Refusal};
pub use registry::{Recovered, RegistryError};
pub use view::View;
