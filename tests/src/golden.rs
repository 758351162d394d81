//! Replaying recorded exchanges of real Mesos (`tests/golden`) against our own servers.
//!
//! A recording's request is sent as it is, with the ids, ports and folders of the recorded run replaced by the living
//! ones; the answer must agree in everything a client can lean on. What differs on purpose is in [`differences`], each
//! with its reason; anything else fails.

pub mod bind;
pub mod compare;
pub mod differences;
pub mod exchange;
pub mod http;
pub mod replay;
pub mod stream;
