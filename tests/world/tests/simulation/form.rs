//! What the rows `simulation` and `frameworks-simulation` have in common: worlds over many seeds, on all cores.

use meseta_world::{Mark, Marks, Options, Report, run};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

/// One of the rows.
pub(super) struct Form {
    /// The row's name.
    pub(super) row: &'static str,
    /// The name of its test file.
    pub(super) test: &'static str,
    pub(super) options: fn() -> Options,
    /// What a seed is, for the figures.
    pub(super) seed: &'static str,
    /// Seeds of the bar.
    pub(super) seeds: u64,
    /// The most time they may take, in seconds.
    pub(super) seconds_max: f64,
    /// Rare paths that a whole run must have seen.
    pub(super) marks: &'static [&'static [Mark]],
    /// The folder of its mutants, from the root of the tree.
    pub(super) mutants: &'static str,
    /// Seeds within which a mutant must be found, and how many run between looks.
    pub(super) hunt_max: u64,
    pub(super) hunt_step: usize,
}

impl Form {
    /// Runs these seeds; all reports by seed.
    pub(super) fn run(&self, seeds: &[u64]) -> Vec<Report> {
        let next = AtomicU64::new(0);
        let work = || {
            let mut reports = Vec::new();
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(seed) = usize::try_from(at).ok().and_then(|at| seeds.get(at)) else {
                    return reports;
                };
                reports.push(run(*seed, &(self.options)()));
            }
        };
        let mut reports: Vec<Report> = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..threads()).map(|_| scope.spawn(work)).collect();
            workers.into_iter().flat_map(|w| w.join().unwrap()).collect()
        });
        reports.sort_by_key(|r| r.seed);
        reports
    }

    /// The quick form: these seeds hold, and these marks were seen among them.
    pub(super) fn quick(&self, seeds: &[u64], marks: &[Mark]) {
        let reports = self.run(seeds);
        let failures = failures(&reports);
        assert!(
            failures.is_empty(),
            "{} of {} seeds:\n{}",
            failures.len(),
            reports.len(),
            failures.join("\n")
        );
        let seen = seen(&reports);
        for mark in marks {
            assert!(seen.count(*mark) > 0, "never seen: {}", mark.text());
        }
    }

    /// The same seed gives the same trace, two seeds do not.
    pub(super) fn repeat(&self, one: u64, other: u64) {
        let options = Options {
            digest: true,
            ..(self.options)()
        };
        assert_eq!(run(one, &options), run(one, &options));
        assert_ne!(run(one, &options).digest, run(other, &options).digest);
    }

    /// Replays the seed in `MESETA_WORLD_SEED`, with its whole trace on standard error.
    pub(super) fn replay(&self) {
        let seed = std::env::var("MESETA_WORLD_SEED").ok();
        let seed = seed.and_then(|s| s.parse().ok()).unwrap_or(0);
        let options = Options {
            print: true,
            ..(self.options)()
        };
        let report = run(seed, &options);
        eprintln!("{} steps, {} tasks", report.steps, report.tasks);
        for mark in self.marks.iter().copied().flatten() {
            eprintln!("{:>6}  {}", report.marks.count(*mark), mark.text());
        }
        assert_eq!(report.failure, None);
    }

    /// What the bar runs in a copy of the tree that holds a mutant: succeeds when a seed finds it.
    pub(super) fn hunt(&self) {
        for first in (0..self.hunt_max).step_by(self.hunt_step) {
            let seeds: Vec<u64> = (first..first + self.hunt_step as u64).collect();
            if let Some(found) = failures(&self.run(&seeds)).first() {
                let found = found.lines().next().unwrap_or_default();
                println!("{}{found}", super::mutants::FOUND);
                return;
            }
        }
        panic!("{} seeds found nothing", self.hunt_max);
    }
}

pub(super) fn failures(reports: &[Report]) -> Vec<String> {
    let failed = reports.iter().filter_map(|r| Some((r.seed, r.failure.as_ref()?)));
    failed.map(|(seed, why)| format!("seed {seed}: {why}")).collect()
}

pub(super) fn seen(reports: &[Report]) -> Marks {
    let mut marks = Marks::default();
    for report in reports {
        marks.merge(&report.marks);
    }
    marks
}

pub(super) fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Where a bar writes its figures; absent in the quick suite.
pub(super) fn out() -> Option<PathBuf> {
    std::env::var_os("MESETA_BAR_OUT").map(PathBuf::from)
}
