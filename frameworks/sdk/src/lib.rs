//! Scheduler driver and client for framework authors.
