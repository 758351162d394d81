//! Supervisor, launcher, isolators and fetcher: the only crate with unsafe.
