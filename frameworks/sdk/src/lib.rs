//! Scheduler driver and client for framework authors.
//!
//! Which layer do I need?
//!
//! | module | what | for whom |
//! |---|---|---|
//! | [`Client`], [`Event`] | a stream of events and a handle for calls; reconnects, finds the leader, knows final errors | almost everybody |
//! | [`task`], [`Framework`] | describing tasks and frameworks, cutting resources out of offers | the same |
//! | [`driver`] | the pure machine below the client, without sockets or clocks | simulations, other runtimes |
//! | [`wire`] | one stream and its calls over HTTP or gRPC, without policy | tools |
//!
//! What it takes off an author: the framework id is durable before the first task can exist; silence, redirects and
//! lost leaders are handled with jittered back-off; calls of an older subscription are refused locally; an ACCEPT is
//! never sent twice; a reader that is slow costs neither memory nor the connection. What it leaves to the author:
//! tracking tasks, acknowledging updates once their effect is durable, and reconciling after [`Event::Subscribed`].

pub mod driver;
pub mod endpoint;
pub mod task;
pub mod wire;

mod client;
mod framework;
mod identity;

pub use client::{
    Client, Config, ConfigError, Event, Events, IdentityStore, Lagged, Offer, OperationUpdate, StartError,
    Subscribed, Update,
};
pub use driver::{CallError, Exit, Sent, Stop};
pub use framework::Framework;
pub use identity::IdentityError;
pub use wire::{Encoding, Transport};

/// The Mesos v1 messages this SDK speaks.
pub use meseta_proto::mesos::v1 as proto;
