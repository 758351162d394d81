//! The service framework's shell: Marathon's `/v2` API over [`meseta_service_core`], its store, and its tasks on a master.
//!
//! One task owns the engine (`owner`); everybody else has a [`Handle`] on it: calls are answered when they are durable,
//! readers get a [`View`](view::View) of what is durable. Who listens gets [`Told`](owner::Told)s.

pub mod definition;
pub mod owner;
pub mod view;

pub use owner::{CallError, Handle};
