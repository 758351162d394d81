//! The `meseta` binary.
fn main() {}
