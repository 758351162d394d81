//! What the allocator is told at its start.

use meseta_types::resource::Quantities;
use meseta_types::{Scalar, resource};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// The first wait of a framework that gives the same resources back a second time.
pub(crate) const BACK_OFF_START: Duration = Duration::from_millis(2);

/// The allocator's settings; the defaults are Mesos's (`src/master/constants.hpp`).
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// `--allocation_interval`: the longest wait of a framework that keeps giving resources back with a filter shorter
    /// than this.
    pub interval: Duration,
    /// `--min_allocatable_resources`: an agent is offered if its free resources contain one of these; empty: always.
    pub min_allocatable: Vec<Quantities>,
    /// `--fair_sharing_excluded_resource_names`: do not count in shares.
    pub excluded: BTreeSet<Arc<str>>,
    /// `--filter_gpu_resources`: agents with gpus are kept for frameworks that know gpus.
    pub filter_gpus: bool,
}

impl Default for Config {
    fn default() -> Config {
        let at_least = |name, milli| Quantities::from_iter([(resource::name(name), Scalar(milli))]);
        Config {
            interval: Duration::from_secs(1),
            min_allocatable: vec![at_least("cpus", 10), at_least("mem", 32_000)],
            excluded: BTreeSet::new(),
            filter_gpus: true,
        }
    }
}
