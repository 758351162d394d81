//! The simulated world over many seeds.
//!
//! Quick form: about a hundred seeds, and the same seed twice. The bar (`MESETA_BAR_OUT` names the file for its figures):
//! a thousand seeds of one virtual minute on all cores, every rare path seen, and the mutants of `tests/mutants`, each of
//! which must be found by a world built around it.
#![allow(clippy::unwrap_used)]

#[path = "simulation/bar.rs"]
mod bar;
#[path = "simulation/mutants.rs"]
mod mutants;

use meseta_world::{Mark, Marks, Options, Report, run};
use std::sync::atomic::{AtomicU64, Ordering};

/// Seeds of the quick form.
const QUICK: u64 = 100;
/// Seeds that found a defect once: run first, for ever.
const REGRESSIONS: [u64; 6] = [3, 5, 8, 34, 39, 0];

/// Runs these seeds on this many threads; all reports by seed.
fn run_all(seeds: &[u64], threads: usize) -> Vec<Report> {
    let next = AtomicU64::new(0);
    let work = || {
        let mut reports = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(seed) = usize::try_from(at).ok().and_then(|at| seeds.get(at)) else {
                return reports;
            };
            reports.push(run(*seed, &Options::default()));
        }
    };
    let mut reports: Vec<Report> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|w| w.join().unwrap()).collect()
    });
    reports.sort_by_key(|r| r.seed);
    reports
}

fn failures(reports: &[Report]) -> Vec<String> {
    let failed = reports.iter().filter_map(|r| Some((r.seed, r.failure.as_ref()?)));
    failed.map(|(seed, why)| format!("seed {seed}: {why}")).collect()
}

fn seen(reports: &[Report]) -> Marks {
    let mut marks = Marks::default();
    for report in reports {
        marks.merge(&report.marks);
    }
    marks
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

#[test]
fn worlds_keep_their_invariants_and_settle() {
    if bar::full() {
        return bar::run();
    }
    let seeds: Vec<u64> = REGRESSIONS
        .into_iter()
        .chain(1000..1000 + QUICK - REGRESSIONS.len() as u64)
        .collect();
    let reports = run_all(&seeds, threads());
    let failures = failures(&reports);
    assert!(
        failures.is_empty(),
        "{} of {} seeds:\n{}",
        failures.len(),
        reports.len(),
        failures.join("\n")
    );
    let marks = seen(&reports);
    for mark in [
        Mark::Unreachable,
        Mark::Rescind,
        Mark::FailoverExpiry,
        Mark::UpdateRetry,
    ] {
        assert!(marks.count(mark) > 0, "never seen: {}", mark.text());
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let options = Options {
        digest: true,
        ..Options::default()
    };
    for seed in [3, 17] {
        assert_eq!(run(seed, &options), run(seed, &options));
    }
    assert_ne!(run(3, &options).digest, run(17, &options).digest);
}

/// `MESETA_WORLD_SEED=n cargo test -p meseta-world --test simulation -- --ignored --nocapture replay`
#[test]
#[ignore = "replays one seed, with its whole trace on standard error"]
fn replay() {
    let seed = std::env::var("MESETA_WORLD_SEED")
        .ok()
        .and_then(|s| s.parse().ok())
        .unwrap_or(0);
    let options = Options {
        print: true,
        ..Options::default()
    };
    let report = run(seed, &options);
    eprintln!("{} steps, {} tasks", report.steps, report.tasks);
    for mark in Mark::ALL {
        eprintln!("{:>6}  {}", report.marks.count(*mark), mark.text());
    }
    assert_eq!(report.failure, None);
}

/// What the bar runs in a copy of the tree that holds a mutant: succeeds when a seed finds it.
#[test]
#[ignore = "looks for a defect that a mutant was given"]
fn hunt() {
    for first in (0..mutants::SEEDS_MAX).step_by(20) {
        let seeds: Vec<u64> = (first..first + 20).collect();
        if let Some(found) = failures(&run_all(&seeds, threads())).first() {
            println!("{}{}", mutants::FOUND, found.lines().next().unwrap_or_default());
            return;
        }
    }
    panic!("{} seeds found nothing", mutants::SEEDS_MAX);
}
