//! Who is offered what: dominant-resource fairness as a pure core.
//!
//! The master's core tells the [`Allocator`] what happens (agents and frameworks come and go, resources are given
//! back) and asks it to [`Allocator::allocate`] after each batch of inputs and at its [`Allocator::deadline`]. The
//! answer is a list of [`Grant`]s, each to become one offer. Nothing here knows offers, tasks, sockets or a clock.
//!
//! Meaning follows Mesos's hierarchical allocator (`src/master/allocator/mesos/hierarchical.cpp` and its sorter), with
//! one difference: a cycle runs when something changed, over the agents that changed, instead of once a second over
//! all of them. Cost: a change marks one agent; a cycle costs the marked agents times the logarithm of the frameworks.
#![deny(clippy::iter_over_hash_type)]

mod agent;
mod allocator;
mod amounts;
mod config;
mod explain;
mod filter;
mod tree;

#[cfg(test)]
mod tests;

pub use allocator::{AgentNo, AgentTraits, Allocator, Broken, FrameworkNo, FrameworkTerms, Grant, Return};
pub use config::Config;
pub use explain::{Explanation, Standing};
