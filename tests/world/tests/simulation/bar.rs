//! The bar: a thousand seeds within a minute, every mark seen, every mutant found.

use super::{failures, mutants, run_all, seen, threads};
use meseta_world::Mark;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Instant;

/// Seeds of the bar.
const SEEDS: u64 = 1000;
/// The most time they may take, in seconds.
const SECONDS_MAX: f64 = 60.0;

fn out() -> Option<PathBuf> {
    std::env::var_os("MESETA_BAR_OUT").map(PathBuf::from)
}

/// Whether this is the bar and not the quick suite.
pub(super) fn full() -> bool {
    out().is_some()
}

/// Figures beside their bounds.
struct Figures {
    text: String,
    holds: bool,
}

impl Figures {
    fn figure(&mut self, name: &str, value: &str, bound: &str, holds: bool) {
        let mark = if holds { "holds" } else { "FALLS SHORT" };
        self.note(&format!("{name}: {value} (bound: {bound}) {mark}"));
        self.holds &= holds;
    }

    fn note(&mut self, line: &str) {
        println!("[simulation] {line}");
        let _ = writeln!(self.text, "{line}");
    }
}

pub(super) fn run() {
    let mut figures = Figures {
        text: String::from("simulation\n"),
        holds: true,
    };
    worlds(&mut figures);
    hunts(&mut figures);
    let verdict = if figures.holds { "holds" } else { "falls short" };
    let holds = figures.holds;
    figures.note(verdict);
    if let Some(out) = out() {
        std::fs::write(&out, &figures.text).unwrap();
    }
    assert!(holds, "the row 'simulation' falls short, see the figures above");
}

fn hunts(figures: &mut Figures) {
    let ground = mutants::Ground::prepare();
    for mutant in mutants::all() {
        let found = ground
            .as_ref()
            .map_err(String::clone)
            .and_then(|g| g.hunt(&mutant));
        let text = found.as_deref().unwrap_or_else(|why| why);
        figures.figure(&format!("mutant {}", mutant.name), text, "found", found.is_ok());
    }
}

fn worlds(figures: &mut Figures) {
    let seeds: Vec<u64> = (0..SEEDS).collect();
    let begun = Instant::now();
    let reports = run_all(&seeds, threads());
    let took = begun.elapsed().as_secs_f64();
    let steps: u64 = reports.iter().map(|r| r.steps).sum();
    let tasks: u64 = reports.iter().map(|r| r.tasks).sum();
    let failures = failures(&reports);
    figures.note(&format!(
        "{SEEDS} seeds of one virtual minute and their settling on {} threads: {steps} steps of cores, {tasks} tasks",
        threads()
    ));
    figures.figure(
        "time",
        &format!("{took:.1} s"),
        &format!("< {SECONDS_MAX} s"),
        took < SECONDS_MAX,
    );
    for failure in failures.iter().take(10) {
        figures.note(failure);
    }
    figures.figure(
        "seeds that broke an invariant",
        &failures.len().to_string(),
        "0",
        failures.is_empty(),
    );
    let marks = seen(&reports);
    for mark in Mark::ALL {
        figures.note(&format!("seen {} times: {}", marks.count(*mark), mark.text()));
    }
    let missing: Vec<&str> = marks.missing().into_iter().map(Mark::text).collect();
    figures.figure(
        "marks never seen",
        &format!("{missing:?}"),
        "none",
        missing.is_empty(),
    );
}
