//! Apps, their instances, and how one becomes the other.
//!
//! The service framework's deciding half: plain synchronous code that is told the time. It knows no HTTP, no JSON and
//! no file; its shell parses and normalises requests, stores what it is told to store before anything is launched, and
//! talks to a master through the SDK.

pub mod app;

pub mod instance;

pub mod backoff;

pub mod plan;

pub mod matcher;
pub mod rollout;

pub mod io;

pub mod engine;
