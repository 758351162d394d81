//! The whole shell in process: over real sockets, with a store in memory and a master made of strings. What a real
//! cluster does with it is tested against the binary, in the tests of the workspace.
#![allow(clippy::unwrap_used)]

mod api;
mod life;
mod master;
mod start;
mod support;
