//! End to end, conformance, faults, benches and tidy.
