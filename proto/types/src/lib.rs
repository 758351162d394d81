//! Ids, resources, roles, task states, time and the agents' link, in pure Rust.
//!
//! The vocabulary every other crate shares. Nothing here knows protobuf, JSON, a clock, a file or a thread:
//! conversions to the wire live in `meseta-proto`, decisions in the cores.
#![deny(clippy::iter_over_hash_type)]

pub mod attribute;
pub mod causes;
pub mod flag;
pub mod id;
pub mod last_inputs;
pub mod link;
pub mod random;
pub mod resource;
pub mod task;
pub mod time;

pub use attribute::Attributes;
pub use causes::causes;
pub use id::{AgentId, ContainerId, ExecutorId, FrameworkId, OfferId, Role, TaskId, UpdateUuid};
pub use resource::{Resource, Resources, Scalar};
pub use task::TaskState;
pub use time::{Mono, Now, Wall};
