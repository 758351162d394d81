//! The bar: all seeds within their time, every mark seen, every mutant found.

use super::form::{Form, failures, out, seen, threads};
use super::mutants;
use std::fmt::Write as _;
use std::time::Instant;

/// Whether this is the bar and not the quick suite.
pub(super) fn full() -> bool {
    out().is_some()
}

/// Figures beside their bounds.
struct Figures {
    row: &'static str,
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
        println!("[{}] {line}", self.row);
        let _ = writeln!(self.text, "{line}");
    }
}

pub(super) fn run(form: &Form) {
    let mut figures = Figures {
        row: form.row,
        text: format!("{}\n", form.row),
        holds: true,
    };
    worlds(form, &mut figures);
    hunts(form, &mut figures);
    let verdict = if figures.holds { "holds" } else { "falls short" };
    let holds = figures.holds;
    figures.note(verdict);
    if let Some(out) = out() {
        std::fs::write(&out, &figures.text).unwrap();
    }
    assert!(holds, "the row '{}' falls short, see the figures above", form.row);
}

fn hunts(form: &Form, figures: &mut Figures) {
    let ground = mutants::Ground::prepare(form.test);
    for mutant in mutants::all(form.mutants) {
        let found = ground
            .as_ref()
            .map_err(String::clone)
            .and_then(|g| g.hunt(&mutant));
        let text = found.as_deref().unwrap_or_else(|why| why);
        figures.figure(&format!("mutant {}", mutant.name), text, "found", found.is_ok());
    }
}

fn worlds(form: &Form, figures: &mut Figures) {
    let seeds: Vec<u64> = (0..form.seeds).collect();
    let begun = Instant::now();
    let reports = form.run(&seeds);
    let took = begun.elapsed().as_secs_f64();
    let steps: u64 = reports.iter().map(|r| r.steps).sum();
    let tasks: u64 = reports.iter().map(|r| r.tasks).sum();
    let failures = failures(&reports);
    figures.note(&format!(
        "{} seeds of {} and their settling on {} threads: {steps} steps of cores, {tasks} tasks",
        form.seeds,
        form.seed,
        threads()
    ));
    figures.figure(
        "time",
        &format!("{took:.1} s"),
        &format!("< {} s", form.seconds_max),
        took < form.seconds_max,
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
    for mark in form.marks.iter().copied().flatten() {
        figures.note(&format!("seen {} times: {}", marks.count(*mark), mark.text()));
    }
    let missing = form.marks.iter().flat_map(|of| marks.missing(of));
    let missing: Vec<&str> = missing.map(|mark| mark.text()).collect();
    figures.figure(
        "marks never seen",
        &format!("{missing:?}"),
        "none",
        missing.is_empty(),
    );
}
