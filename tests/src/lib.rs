//! End to end, conformance, faults, benches and tidy: what the tests of the whole share.
//!
//! The tests themselves are in `tests/tests`, one file per concern. Those that are rows of a bar run small in the
//! quick suite and in full when `tests/run --bar ROW` asks for it ([`bar`]).

pub mod bar;
pub mod behaviours;
pub mod binary;
pub mod cluster;
pub mod cron;
pub mod daemon;
pub mod floor;
pub mod fuzz;
pub mod golden;
pub mod grpc;
pub mod journal;
pub mod ports;
pub mod rest;
pub mod scheduler;
pub mod service;
pub mod skip;
pub mod transcript;
pub mod wait;
