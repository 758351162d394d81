//! Cluster state, calls, offers and registry changes as a pure core.
//!
//! The master decides whom to offer resources, carries out what frameworks do with them, and keeps watch over agents.
//! All of that is here, as plain synchronous code: [`MasterCore::step`] takes one [`Input`] and says everything that
//! follows as [`Effect`]s. The master's shell and the simulated world feed it; neither decides anything of this.
//!
//! ```
//! use meseta_master_core::{Config, Effects, Input, MasterCore, Recovered};
//! use meseta_types::Now;
//!
//! let (now, mut out) = (Now::default(), Effects::new());
//! let mut core = MasterCore::new(Config::new("an id"), Recovered::default(), now);
//! core.step(now, Input::Tick, &mut out);
//! for effect in out.drain() {
//!     // carry it out: write, send, close, log
//!     drop(effect);
//! }
//! // Ask again when `core.deadline()` has come.
//! ```
//!
//! # Where to read what
//!
//! | file | question |
//! |---|---|
//! | [`io`] | what goes in and what comes out: the contract with the shell |
//! | [`state`], [`view`] | what a cluster is made of, and how readers see it |
//! | [`registry`] | what is durable, and how it is written |
//! | [`config`], [`counters`], [`refusal`] | settings, counts, and what was dropped and why |
//! | [`pages`] | how entries are stored so that a view is cheap |
//! | [`few`], `history.rs` | how they are kept small |
//! | `core.rs` | the state, and which file deals with which input |
//! | `core/books.rs` | the only functions that change who owns what |
//! | `core/check.rs` | the same facts recomputed from scratch |
//! | `core/accept*.rs`, `validate.rs` | `ACCEPT`: offers, tasks, groups |
//! | `core/register.rs`, `reregister.rs`, `returned.rs` | agents come and come back |
//! | `core/ping.rs`, `removal.rs`, `lost.rs`, `disconnect.rs` | agents fall silent and leave |
//! | `core/subscribe.rs`, `remove_framework.rs` | frameworks come, fail over and go |
//! | `core/update.rs`, `acknowledge.rs`, `kill.rs`, `reconcile.rs` | the life of a task |
//! | `core/commits.rs` | what waits for the registry |
//! | `core/sharing.rs`, `offers.rs` | the allocator's decisions become offers |
//!
//! # What holds
//!
//! - *Nothing is seen before it is durable.* A change of the registry waits in a state of its own; only
//!   [`Input::Committed`] moves it on. A write of unknown outcome ends the master.
//! - *An offer ends once.* Whoever takes it out of the table decides what becomes of its resources.
//! - *A task has one state,* read off three facts kept apart: what its agent said (only forwards), whether that agent's
//!   word still holds, and what its framework wants.
//! - *Work per message does not grow with the cluster.* Dense handles inside, text ids at the edge; lookups hash or walk a
//!   balanced tree; the allocator looks at the agents that changed. `benches/accept.rs` measures it.
//! - *Order is reproducible.* What is walked is a `BTreeMap`, a `BTreeSet` or a page table; hash tables can be asked but
//!   not walked. The same inputs give the same effects.
//! - *Input never panics.* What makes no sense is refused, counted and shown as a [`Note`].
//!
//! What is deliberately absent: clocks, sockets, threads, files, random numbers, protobuf messages, JSON. Encoded
//! messages are carried and, at most, cut along their outermost fields.
//!
//! # To add a call
//!
//! A variant of [`io::Call`] with its name; a file below `core/` with the checks, the change and the words; a line in
//! `core/calls.rs`; a story in `core/tests/`. State that it changes is changed through `core/books.rs`, and what must hold
//! of it is added to `core/check.rs`.
#![deny(clippy::iter_over_hash_type)]

pub mod config;
pub mod counters;
pub mod few;
/// Why a framework gets no offers: the allocator's words.
pub mod explain {
    pub use meseta_allocator::{Explanation, Standing};
}
pub mod io;
pub mod pages;
pub mod refusal;
pub mod registry;
pub mod state;
pub mod view;

mod core;
mod history;
mod index;
mod ring;
mod timers;
mod wire;

pub use crate::core::{BROKEN, MasterCore};
pub use config::Config;
pub use io::{Effect, Effects, Input};
pub use refusal::{Broken, Note, Refusal};
pub use registry::{Recovered, RegistryError};
pub use view::View;
