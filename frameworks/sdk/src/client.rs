//! The async client: a stream of events and a cloneable handle for calls.
//!
//! ```no_run
//! # async fn f() -> Result<(), Box<dyn std::error::Error>> {
//! use meseta_sdk::{Client, Config, Event, Framework};
//!
//! let framework = Framework::failover("hello", std::time::Duration::from_secs(3600));
//! let (client, mut events) = Client::start(Config::new(framework, "localhost:5050")?).await?;
//! while let Some(event) = events.next().await {
//!     match event {
//!         Event::Offers(offers) => drop(offers), // an offer that is dropped is declined
//!         Event::Update(update) => update.ack(),
//!         Event::Stopped(exit) => println!("{exit}"),
//!         _ => {}
//!     }
//! }
//! # drop(client); Ok(()) }
//! ```
//!
//! One task owns the [`Driver`](crate::driver::Driver) and the inbox. It never stops reading the master: what the
//! author has not taken yet is bounded by the inbox (offers beyond its bound are declined, see [`Event::Lagged`]).

mod config;
mod event;
mod handle;
mod inbox;
mod shell;

pub use config::{Config, ConfigError, IdentityStore, StartError};
pub use event::{Event, Lagged, Offer, OperationUpdate, Subscribed, Update};
pub use handle::Client;

use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::mpsc;

/// The events of one client, in order. After [`Event::Stopped`] it ends. Dropping it aborts the client: nobody
/// would hear of its tasks.
#[derive(Debug)]
pub struct Events {
    queue: mpsc::Receiver<Event>,
}

impl Events {
    /// The next event; `None` after [`Event::Stopped`]. Cancel-safe.
    pub async fn next(&mut self) -> Option<Event> {
        self.queue.recv().await
    }
}

impl futures_util::Stream for Events {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        self.queue.poll_recv(cx)
    }
}
