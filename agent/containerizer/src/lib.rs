//! Containers: the supervisor process, launch plans, isolation, fetching, probing and statistics.
//!
//! Which question lives here: how a container comes to life on a Linux host, what is known of it while it lives, and
//! how everything of it ends. Which containers there should be is the agent core's question; what the statistics and
//! events look like on the wire is the agent shell's.
//!
//! The parts, in the order a newcomer should read them:
//!
//! - [`spec`]: what the agent asks for, [`event`]: what it is told;
//! - [`containerizer`]: the handle that the agent's shell holds;
//! - [`plan`]: pure; turns a spec and the facts of the host into printable steps;
//! - [`isolate`]: which isolators there are, detection, cgroups (v1) and process trees;
//! - [`supervise`]: the process that is parent of all containers and outlives the agent;
//! - [`fetch`]: the process that brings a container's files into its sandbox;
//! - [`probe`]: HTTP and TCP checks; [`usage`]: statistics.
//!
//! This is the only crate of the workspace with `unsafe` code; it is confined to `supervise::newborn` (the few
//! instructions between birth and `execve` of a container's first process) and `supervise::sys`.

mod codec;
pub mod containerizer;
pub mod event;
pub mod fetch;
pub mod isolate;
pub mod plan;
pub mod probe;
mod process_tree;
pub mod spec;
pub mod supervise;
pub mod usage;
mod wire;

pub use containerizer::{Config, Containerizer, Gone, StartError, Started};
pub use event::{Event, Exit, ExitCause, Found, LaunchFailure, Limitation};
pub use spec::{Command, CommandProbe, LaunchSpec, Limit, Resources, Rlimit, Uri};
pub use usage::{Usage, UsageOf};
