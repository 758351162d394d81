//! The one task that owns the engine, and what everybody else holds of it.

mod handle;

pub use handle::{CallError, EVENTS_MAX, Handle, Info, Told, What};
