//! The simulated world: cores, faults and invariants on virtual time.
