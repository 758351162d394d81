//! Durable state: embedded (redb), append log, and memory for simulation.
