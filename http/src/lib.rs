//! The HTTP ground rules of the Mesos API, once for master and agent.
//!
//! Here live: which media types a request may use ([`negotiate`]), how answers and refusals look ([`reply`]), how a
//! request body is read within bounds ([`body`]), streams of records that cut off a reader who does not read
//! ([`stream`]), how a path finds its endpoint ([`path`]), the virtual file tree ([`files`]), the two renderings of
//! metrics ([`metrics`]) and those of the host ([`host`]), the log level switch ([`logging`]), who may do what ([`gate`]),
//! the bounded way to a core's owner ([`inbox`]) and its last inputs ([`inputs`]), the listener that serves HTTP/1.1 and
//! HTTP/2 on one port ([`listener`]), and the handle on a server at work ([`running`]). The shells of master and agent call
//! it, and those of the frameworks for what is not Mesos's. It knows no message, no call and no state of theirs.

pub mod body;
pub mod files;
pub mod gate;
pub mod host;
pub mod inbox;
pub mod inputs;
pub mod listener;
pub mod logging;
pub mod metrics;
pub mod negotiate;
pub mod path;
pub mod reply;
pub mod running;
pub mod stream;

pub use axum::body::Body;
pub use negotiate::{Accept, MediaType, Wording};
pub use reply::Refusal;

/// An answer as every handler gives it.
pub type Response = http::Response<Body>;
