//! The simulated world with the service and the cron framework in it, over many seeds.
//!
//! Quick form: a few seeds, and the same seed twice. The bar: a thousand seeds of ten virtual minutes on all cores, every
//! rare path seen, and the mutants of `tests/mutants/frameworks`, each of which must be found by a world built around it.
#![allow(clippy::unwrap_used)]

#[path = "simulation/bar.rs"]
mod bar;
#[path = "simulation/form.rs"]
mod form;
#[path = "simulation/mutants.rs"]
mod mutants;

use form::Form;
use meseta_world::{Mark, Options};
use std::time::Duration;

const FORM: Form = Form {
    row: "frameworks-simulation",
    test: "frameworks_simulation",
    options: Options::frameworks,
    seed: "ten virtual minutes",
    seeds: 1000,
    seconds_max: 600.0,
    marks: &[Mark::FRAMEWORKS],
    mutants: "tests/mutants/frameworks",
    hunt_max: 200,
    hunt_step: 10,
};

/// Seeds of the quick form.
const QUICK: u64 = 8;
/// Seeds that found a defect once, each at its full length: run first, for ever.
const REGRESSIONS: [u64; 11] = [8, 319, 428, 458, 468, 607, 693, 871, 898, 922, 931];

/// Shorter worlds, for a debug build.
fn short() -> Options {
    Options {
        time: Duration::from_secs(120),
        ..Options::frameworks()
    }
}

#[test]
fn worlds_with_apps_and_jobs_keep_their_invariants_and_settle() {
    if bar::full() {
        return bar::run(&FORM);
    }
    FORM.quick(&REGRESSIONS, &[]);
    let seeds: Vec<u64> = (1000..1000 + QUICK).collect();
    let form = Form {
        options: short,
        ..FORM
    };
    let marks = [
        Mark::ClientCrash,
        Mark::DeploymentDone,
        Mark::ServingReplaced,
        Mark::SlotStarted,
        Mark::ByHand,
    ];
    form.quick(&seeds, &marks);
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    Form {
        options: short,
        ..FORM
    }
    .repeat(3, 17);
}

/// `MESETA_WORLD_SEED=n cargo test -p meseta-world --test frameworks_simulation -- --ignored --nocapture replay`
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

/// `MESETA_WORLD_SEEDS=from..to` runs these and names all that fail.
#[test]
#[ignore = "runs a range of seeds"]
fn seeds() {
    let range = std::env::var("MESETA_WORLD_SEEDS").unwrap();
    let (from, to) = range.split_once("..").unwrap();
    let seeds: Vec<u64> = (from.parse().unwrap()..to.parse().unwrap()).collect();
    let reports = FORM.run(&seeds);
    let steps: u64 = reports.iter().map(|r| r.steps).sum();
    println!(
        "{steps} steps, {} tasks",
        reports.iter().map(|r| r.tasks).sum::<u64>()
    );
    let marks = form::seen(&reports);
    for mark in Mark::FRAMEWORKS {
        println!("{:>6}  {}", marks.count(*mark), mark.text());
    }
    let failures = form::failures(&reports);
    assert!(
        failures.is_empty(),
        "{} failed:\n{}",
        failures.len(),
        failures.join("\n")
    );
}
