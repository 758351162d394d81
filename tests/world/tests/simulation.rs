//! The simulated world over many seeds.
//!
//! Quick form: about a hundred seeds, and the same seed twice. The bar (`MESETA_BAR_OUT` names the file for its figures):
//! a thousand seeds of one virtual minute on all cores, every rare path seen, and the mutants of `tests/mutants`, each of
//! which must be found by a world built around it.
#![allow(clippy::unwrap_used)]

#[path = "simulation/bar.rs"]
mod bar;
#[path = "simulation/form.rs"]
mod form;
#[path = "simulation/mutants.rs"]
mod mutants;

use form::Form;
use meseta_world::{Mark, Options};

const FORM: Form = Form {
    row: "simulation",
    test: "simulation",
    options: Options::default,
    seed: "one virtual minute",
    seeds: 1000,
    seconds_max: 60.0,
    marks: &[Mark::CLUSTER],
    mutants: "tests/mutants",
    hunt_max: 200,
    hunt_step: 20,
};

/// Seeds of the quick form.
const QUICK: u64 = 100;
/// Seeds that found a defect once: run first, for ever.
const REGRESSIONS: [u64; 6] = [3, 5, 8, 34, 39, 0];

#[test]
fn worlds_keep_their_invariants_and_settle() {
    if bar::full() {
        return bar::run(&FORM);
    }
    let seeds: Vec<u64> = REGRESSIONS
        .into_iter()
        .chain(1000..1000 + QUICK - REGRESSIONS.len() as u64)
        .collect();
    let marks = [
        Mark::Unreachable,
        Mark::Rescind,
        Mark::FailoverExpiry,
        Mark::UpdateRetry,
    ];
    FORM.quick(&seeds, &marks);
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    FORM.repeat(3, 17);
}

/// `MESETA_WORLD_SEED=n cargo test -p meseta-world --test simulation -- --ignored --nocapture replay`
#[test]
#[ignore = "replays one seed, with its whole trace on standard error"]
fn replay() {
    FORM.replay();
}

/// What the bar runs in a copy of the tree that holds a mutant: succeeds when a seed finds it.
#[test]
#[ignore = "looks for a defect that a mutant was given"]
fn hunt() {
    FORM.hunt();
}
