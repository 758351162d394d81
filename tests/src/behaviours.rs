//! Behaviours: each given/when/then line of what Marathon's and Chronos's users rely on is one function against a running
//! cluster. Most share one cluster, and many wait at the same time, so that all of them take little longer than the
//! slowest. A page of the reference says what became of each line; it and the functions must agree.

use crate::bar::{self, Bar};
use crate::binary::root;
use crate::cluster::Up;
use crate::cron::Cron;
use crate::daemon::{Daemon, Pair};
use crate::service::Service;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Instant;

/// Functions under way at a time: they mostly wait.
const AT_A_TIME: usize = 8;

/// One function and the lines it stands for.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// Numbers of the lines, separated by blanks.
    pub lines: &'static str,
    /// The function's name, a sentence.
    pub name: &'static str,
    /// Panics when the line does not hold.
    pub run: fn(&Ground),
}

/// Declares the cases of a module: the lines, then the function.
#[macro_export]
macro_rules! behaviours {
    ($($lines:literal $name:ident),* $(,)?) => {
        /// The cases of this module.
        pub(crate) const CASES: &[$crate::behaviours::Case] = &[
            $($crate::behaviours::Case { lines: $lines, name: stringify!($name), run: $name }),*
        ];
    };
}

/// What the cases stand on: one cluster for all that leave it alone.
#[derive(Debug, Default)]
pub struct Ground {
    up: OnceLock<Up>,
    hasty: OnceLock<(Pair, Daemon)>,
}

impl Ground {
    /// The shared cluster; started when it is first asked for.
    pub fn up(&self) -> &Up {
        self.up.get_or_init(|| Up::start(&["--agents", "2"]))
    }

    /// Its service framework.
    pub fn service(&self) -> Service {
        self.up().service()
    }

    /// Its cron framework.
    pub fn cron(&self) -> Cron {
        self.up().cron()
    }

    /// A cron framework of another cluster, which retries after half a second and disables a job after three failures
    /// in a row.
    pub fn hasty_cron(&self) -> Cron {
        let flags = ["--failure_retry=500", "--disable_after_failures=3"];
        let started = self.hasty.get_or_init(|| {
            let pair = Pair::start(&[], &[]);
            let (daemon, _) = pair.start_cron(&flags);
            (pair, daemon)
        });
        started.0.cron()
    }
}

/// One ancestor: its lines, and the cases that stand for them.
#[derive(Debug)]
pub struct Chapter {
    /// The heading in the page.
    pub title: &'static str,
    /// All numbers there are.
    pub lines: Vec<String>,
    /// Its cases.
    pub cases: Vec<Case>,
}

/// The page with a row per line: number, what became of it.
const PAGE: &str = "docs/reference/behaviours.md";

/// Runs the cases that the arguments select, as libtest would, and the comparison with the page.
pub fn main(chapters: &[Chapter]) -> ExitCode {
    let options = Options::parse(std::env::args().skip(1));
    let page = Case {
        lines: "",
        name: "the_page_and_the_cases_agree",
        run: |_| {},
    };
    let selected: Vec<Case> = chapters
        .iter()
        .flat_map(|chapter| chapter.cases.clone())
        .chain([page])
        .filter(|case| options.selects(case.name))
        .collect();
    if options.list {
        selected.iter().for_each(|case| println!("{}: test", case.name));
        return ExitCode::SUCCESS;
    }
    println!("\nrunning {} tests", selected.len());
    let start = Instant::now();
    let failed = run(&selected, chapters, options.threads);
    let passed = selected.len() - failed.len();
    let verdict = if failed.is_empty() { "ok" } else { "FAILED" };
    if !failed.is_empty() {
        println!("\nfailures:");
        failed.iter().for_each(|name| println!("    {name}"));
    }
    println!(
        "\ntest result: {verdict}. {passed} passed; {} failed; 0 ignored; 0 measured; 0 filtered out; finished in {:.2}s\n",
        failed.len(),
        start.elapsed().as_secs_f64()
    );
    if bar::full() {
        report(chapters, &failed);
    }
    if failed.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn run(selected: &[Case], chapters: &[Chapter], threads: usize) -> Vec<&'static str> {
    let ground = Ground::default();
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads.min(selected.len()) {
            scope.spawn(|| {
                while let Some(case) = selected.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let named = std::thread::Builder::new().name(case.name.to_owned());
                    let ended = named.spawn_scoped(scope, || {
                        catch_unwind(AssertUnwindSafe(|| match case.lines {
                            "" => agree(chapters),
                            _ => (case.run)(&ground),
                        }))
                    });
                    let ok = ended.is_ok_and(|thread| thread.join().is_ok_and(|ended| ended.is_ok()));
                    println!("test {} ... {}", case.name, if ok { "ok" } else { "FAILED" });
                    if !ok {
                        failed
                            .lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .push(case.name);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    if !failed.is_empty()
        && let Some(up) = ground.up.get()
    {
        up.print_logs();
    }
    failed
}

/// The figures of the row `behaviours`.
fn report(chapters: &[Chapter], failed: &[&'static str]) {
    let mut bar = Bar::new("behaviours");
    for chapter in chapters {
        let covered: BTreeSet<&str> = chapter.cases.iter().flat_map(|c| c.lines.split(' ')).collect();
        bar.note(format!(
            "{}: {} lines, {} of them tested by {} functions, {} wait for later ({PAGE} says why)",
            chapter.title,
            chapter.lines.len(),
            covered.len(),
            chapter.cases.len(),
            chapter.lines.len() - covered.len()
        ));
    }
    bar.figure("functions that fail", failed.len(), 0, failed.is_empty());
    failed.iter().for_each(|name| bar.note(name));
    bar.finish();
}

/// Compares the page with the cases: each line once; a tested one names its function, any other says why not.
///
/// # Panics
/// When they differ.
fn agree(chapters: &[Chapter]) {
    let text = std::fs::read_to_string(root().join(PAGE)).unwrap_or_else(|e| panic!("{PAGE}: {e}"));
    let mut wrong = Vec::new();
    for chapter in chapters {
        let (rows, twice) = rows_of(&text, chapter.title);
        wrong.extend(
            twice
                .iter()
                .map(|line| format!("{line} stands in the page twice")),
        );
        let mut tested: BTreeMap<&str, &str> = BTreeMap::new();
        for case in &chapter.cases {
            for line in case.lines.split(' ') {
                tested.insert(line, case.name);
            }
        }
        for line in &chapter.lines {
            let said = rows.get(line.as_str()).map(|s| s.as_str());
            match (tested.get(line.as_str()), said) {
                (Some(name), Some(said)) if said == format!("passes: `{name}`") => {}
                (None, Some(said)) if said.starts_with("later: ") || said.starts_with("elsewhere: ") => {}
                (tested, said) => wrong.push(format!(
                    "{} {line}: tested by {tested:?}, page: {said:?}",
                    chapter.title
                )),
            }
        }
        let known = |line: &&str| chapter.lines.iter().any(|l| l == *line);
        let unknown = rows
            .keys()
            .copied()
            .chain(tested.keys().copied())
            .filter(|line| !known(line));
        wrong.extend(unknown.map(|line| format!("there is no line {line}")));
    }
    assert!(
        wrong.is_empty(),
        "{PAGE} and the cases differ:\n{}",
        wrong.join("\n")
    );
}

/// The rows `| number | what became of it |` below a heading.
fn rows_of<'a>(text: &'a str, title: &str) -> (BTreeMap<&'a str, String>, Vec<&'a str>) {
    let section = text
        .split("\n## ")
        .find(|section| section.starts_with(title))
        .unwrap_or_default();
    let (mut rows, mut twice) = (BTreeMap::new(), Vec::new());
    for row in section.lines().filter_map(|line| line.strip_prefix("| ")) {
        let mut cells = row.trim_end_matches('|').splitn(2, '|').map(str::trim);
        if let (Some(line), Some(said)) = (cells.next(), cells.next())
            && line != "line"
            && rows.insert(line, said.to_owned()).is_some()
        {
            twice.push(line);
        }
    }
    (rows, twice)
}

/// Those of libtest's arguments that make sense here.
#[derive(Debug)]
struct Options {
    filters: Vec<String>,
    exact: bool,
    list: bool,
    threads: usize,
}

impl Options {
    fn parse(mut args: impl Iterator<Item = String>) -> Options {
        let mut options = Options {
            filters: Vec::new(),
            exact: false,
            list: false,
            threads: AT_A_TIME,
        };
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--exact" => options.exact = true,
                "--list" => options.list = true,
                "--threads" => {
                    options.threads = args.next().and_then(|n| n.parse().ok()).unwrap_or(AT_A_TIME)
                }
                // What tests/run and others pass to every test program.
                flag if flag.starts_with('-') => {}
                filter => options.filters.push(filter.to_owned()),
            }
        }
        options
    }

    fn selects(&self, name: &str) -> bool {
        let fits = |filter: &String| {
            if self.exact {
                filter == name
            } else {
                name.contains(filter.as_str())
            }
        };
        self.filters.is_empty() || self.filters.iter().any(fits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_below_their_heading() {
        let text = "# A\n\n## Marathon\n\n| line | state |\n|---|---|\n| 1 | passes: `a` |\n\n## Chronos\n| A1 | later: b | c |\n";
        let (rows, twice) = rows_of(text, "Marathon");
        assert_eq!(rows, BTreeMap::from([("1", "passes: `a`".to_owned())]));
        assert!(twice.is_empty());
        let (rows, _) = rows_of(text, "Chronos");
        assert_eq!(rows["A1"], "later: b | c");
    }
}
