//! The simulated world: cores, faults and invariants on virtual time.
//!
//! One master core over a store that delays, refuses and loses writes; three agent cores on modelled hosts (a
//! supervisor that outlives its agent, a log that crashes and tears, executors); two scripted frameworks, one
//! well-behaved, one that hoards offers and goes away; and, if asked for, the engines of the service and the cron
//! framework behind the SDK's driver, with users who want things of them. One event heap, no threads, no tokio: the same seed gives the
//! same trace. Every step is followed by the cores' own `check()` and by what an observer outside can tell (see
//! `oracle`); at the end the world is healed and must converge.
//!
//! ```no_run
//! let report = meseta_world::run(7, &meseta_world::Options::default());
//! assert_eq!(report.failure, None);
//! ```

mod agent;
mod client;
mod cron;
mod executor;
mod faults;
mod framework;
mod heap;
mod host;
mod marks;
mod master;
mod net;
mod oracle;
mod script;
mod service;
mod settle;
mod store;
mod trace;
mod world;

pub use marks::{Mark, Marks};

use std::time::Duration;

/// How a seed is run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Virtual time with faults.
    pub time: Duration,
    /// Virtual time after the healing within which everything must have settled.
    pub settle: Duration,
    /// With the service and the cron framework and their users, beside the scripted frameworks.
    pub frameworks: bool,
    /// Print every event to standard error.
    pub print: bool,
    /// Compute [`Report::digest`] over the full text of every event (slow).
    pub digest: bool,
}

impl Options {
    /// Ten minutes with the service and the cron framework.
    pub fn frameworks() -> Options {
        Options {
            time: Duration::from_secs(600),
            settle: Duration::from_secs(240),
            frameworks: true,
            ..Options::default()
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Options {
            time: Duration::from_secs(60),
            settle: Duration::from_secs(180),
            frameworks: false,
            print: false,
            digest: false,
        }
    }
}

/// What came of a seed.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Which.
    pub seed: u64,
    /// Steps of all cores together.
    pub steps: u64,
    /// Rare paths seen.
    pub marks: Marks,
    /// Tasks that were launched.
    pub tasks: u64,
    /// A digest of the whole trace, if asked for.
    pub digest: u64,
    /// The first invariant that did not hold, and when.
    pub failure: Option<String>,
}

/// Runs one seed.
pub fn run(seed: u64, options: &Options) -> Report {
    world::World::new(seed, options).run()
}
