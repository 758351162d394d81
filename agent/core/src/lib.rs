//! Executor, task and container lifecycles, update streams and recovery decisions as a pure core.
//!
//! The agent's shell owns one [`AgentCore`], tells it what happened ([`Input`]) and carries out what it wants
//! ([`Effect`]). The core never reads a clock, touches a file or waits.

pub mod config;
pub mod io;

mod core;
mod health;
mod journal;
mod model;
mod streams;
mod text;
mod timers;

#[cfg(test)]
mod tests;

pub use crate::core::{AgentCore, Effects};
pub use config::{Config, ReconfigurationPolicy};
pub use io::*;
