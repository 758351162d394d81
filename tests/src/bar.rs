//! A bar: figures beside their bounds, and one verdict at the end.
//!
//! `tests/run --bar ROW` sets `MESETA_BAR_OUT` to the file the figures go to; a test that finds it set runs in full.

use std::fmt::Display;
use std::path::PathBuf;

/// Whether this run is a bar in full (release build, all rounds), and not the quick suite.
pub fn full() -> bool {
    out().is_some()
}

fn out() -> Option<PathBuf> {
    std::env::var_os("MESETA_BAR_OUT").map(PathBuf::from)
}

/// The figures of one row.
#[derive(Debug)]
pub struct Bar {
    row: &'static str,
    lines: Vec<String>,
    holds: bool,
}

impl Bar {
    /// A row that holds until a figure says otherwise.
    pub fn new(row: &'static str) -> Bar {
        Bar {
            row,
            lines: Vec::new(),
            holds: true,
        }
    }

    /// A figure with its bound. One that does not hold decides the row.
    pub fn figure(&mut self, name: &str, value: impl Display, bound: impl Display, holds: bool) {
        let mark = if holds { "holds" } else { "FALLS SHORT" };
        self.line(format!("{name}: {value} (bound: {bound}) {mark}"));
        self.holds &= holds;
    }

    /// A figure without a bound, or a remark.
    pub fn note(&mut self, text: impl Display) {
        self.line(text.to_string());
    }

    fn line(&mut self, text: String) {
        println!("[{}] {text}", self.row);
        self.lines.push(text);
    }

    /// Writes the figures and the verdict, and fails the test if the row falls short.
    ///
    /// # Panics
    /// When the row does not hold, or the file of the figures cannot be written.
    pub fn finish(mut self) {
        let verdict = if self.holds { "holds" } else { "falls short" };
        self.lines.push(verdict.to_owned());
        println!("[{}] {verdict}", self.row);
        if let Some(out) = out() {
            let text = format!("{}\n{}\n", self.row, self.lines.join("\n"));
            if let Err(error) = std::fs::write(&out, text) {
                panic!("the figures cannot be written to {}: {error}", out.display());
            }
        }
        assert!(
            self.holds,
            "the row '{}' falls short, see the figures above",
            self.row
        );
    }
}

/// The median of the values; not-a-number for none.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[n / 2],
        n => f64::midpoint(sorted[n / 2 - 1], sorted[n / 2]),
    }
}
