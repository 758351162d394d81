//! Ids, resources, roles, task states, time and the agents' link, in pure Rust.
//!
//! The vocabulary every other crate shares. Nothing here knows protobuf, JSON, a clock, a file or a thread:
//! conversions to the wire live in `meseta-proto`, decisions in the cores.

pub mod id;
pub mod time;

pub mod resource;

pub mod task;

pub mod link;

pub mod flag;

pub use id::{AgentId, ContainerId, ExecutorId, FrameworkId, OfferId, Role, TaskId, UpdateUuid};
pub use resource::Resources;
pub use task::TaskState;
pub use time::{Mono, Now, Wall};
