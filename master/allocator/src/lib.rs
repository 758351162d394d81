//! Who is offered what: dominant-resource fairness as a pure core.
#![deny(clippy::iter_over_hash_type)]
