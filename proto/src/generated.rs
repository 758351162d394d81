//! The types and services which `build.rs` generates.
#![allow(missing_docs, clippy::all, unreachable_pub, rustdoc::all)]

include!(concat!(env!("OUT_DIR"), "/protos.rs"));
