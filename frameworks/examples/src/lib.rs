//! Small frameworks against the public API, run by the tests.
//!
//! `hello` is the shortest complete framework; `batch` works through a file of commands and survives being killed at
//! any moment. Both use the SDK's client and nothing that is not public. This library holds what `batch` remembers, so
//! that it can be tested alone.

pub mod ledger;
