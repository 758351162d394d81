//! Cluster state, calls, offers and registry changes as a pure core.

pub mod config;
pub mod counters;
pub mod io;
pub mod pages;
pub mod refusal;
pub mod registry;
pub mod state;
pub mod view;

mod core;

pub use crate::core::MasterCore;
pub use config::Config;
pub use io::{Effect, Effects, Input};
pub use refusal::{Broken, Note, Refusal};
pub use registry::{Recovered, RegistryError};
pub use view::View;
