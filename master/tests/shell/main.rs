//! The master's shell in process: real sockets on ephemeral ports, a real core, agents and frameworks played by the test.
#![allow(clippy::unwrap_used)]

mod agent;
mod cluster;
mod conversation;
mod durable;
mod http;
mod limits;
mod operators;
mod support;
