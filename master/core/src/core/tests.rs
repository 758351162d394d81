//! Stories: what happens to a small cluster, told as the transcript of everything the core sends.
//!
//! Each `expect` compares *all* effects since the last one, so a story also proves that nothing else was sent; the core
//! is checked after every step.
#![allow(clippy::unwrap_used)]

mod env;

mod agents;
mod frameworks;
mod launches;
mod lost;
mod reconciliation;
mod registry_writes;
mod storm;
mod updates;
mod views;
