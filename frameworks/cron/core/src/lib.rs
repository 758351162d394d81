//! Which run is due when, what became of it, and why.
//!
//! The cron framework's deciding half: plain synchronous code that is told the time. It knows no HTTP, no JSON and no
//! file; its shell parses requests, stores what it is told to store before anything is launched, and talks to a master
//! through the SDK.

pub mod period;
pub mod zone;

pub mod schedule;

pub mod pattern;

pub mod job;

pub mod graph;

pub mod run;

pub mod io;

pub mod engine;
