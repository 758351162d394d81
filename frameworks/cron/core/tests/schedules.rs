//! The schedule engine against an independent one: Python's zoneinfo and dateutil (`schedules.py` beside this file).
//!
//! Quick form: a few schedules in a few zones. The bar (`MESETA_BAR_OUT` names the file for its figures): 1,000 random
//! schedules, ISO 8601 intervals and cron expressions, in 40 zones over 30 years, at every change of each zone's offset.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::disallowed_types)]

use jiff::Timestamp;
use meseta_cron_core::schedule::Schedule;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Grows all schedules.
const SEED: u32 = 1;
/// Processes that compute expectations, each with its share of the schedules.
const PARTS: usize = 2;
/// Seconds at the beginning of 2100: the script looks no further.
const LAST: i64 = 4_102_444_800;
/// How often one process's progress is told, in schedules.
const TOLD_EACH: u64 = 25;
/// Differences that are shown.
const SHOWN: usize = 20;

/// How much is compared.
struct Size {
    schedules: usize,
    zones: usize,
}

const FULL: Size = Size {
    schedules: 1000,
    zones: 40,
};
const QUICK: Size = Size {
    schedules: 16,
    zones: 6,
};

/// What was compared, and what differed.
#[derive(Debug, Default)]
struct Outcome {
    schedules: u64,
    pairs: u64,
    changes: u64,
    questions: u64,
    /// Pairs of which every slot of the 30 years was compared.
    whole: u64,
    /// Slots that were compared one by one.
    slots: u64,
    differences: Vec<String>,
    different: u64,
}

impl Outcome {
    fn add(&mut self, other: Outcome) {
        self.schedules += other.schedules;
        self.pairs += other.pairs;
        self.changes += other.changes;
        self.questions += other.questions;
        self.whole += other.whole;
        self.slots += other.slots;
        self.different += other.different;
        self.differences.extend(other.differences);
        self.differences.truncate(SHOWN);
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Outcome {
            schedules,
            pairs,
            changes,
            questions,
            whole,
            slots,
            different,
            ..
        } = self;
        write!(
            f,
            "{schedules} schedules, {pairs} pairs with a zone, {changes} changes of offset, {questions} questions, \
             {whole} pairs in full, {slots} slots, {different} answers differ"
        )
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../..")
        .canonicalize()
        .unwrap()
}

fn at(text: &str) -> Timestamp {
    Timestamp::from_second(text.parse().unwrap()).unwrap()
}

/// Reads one process's expectations and asks the engine the same.
fn compare(python: &Path, size: &Size, part: usize) -> Outcome {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/schedules.py");
    let numbers = [SEED as usize, size.schedules, part, PARTS, size.zones].map(|n| n.to_string());
    let mut child = Command::new(python)
        .arg(script)
        .args(numbers)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut outcome = Outcome::default();
    let (mut kind, mut text, mut zone) = (String::new(), String::new(), String::new());
    let mut schedule = None;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        let (what, rest) = line.split_once(' ').unwrap();
        match what {
            "S" => {
                let (k, t) = rest.split_once(' ').unwrap();
                (kind, text) = (k.to_owned(), t.to_owned());
                if outcome.schedules.is_multiple_of(TOLD_EACH) && size.schedules > QUICK.schedules {
                    eprintln!("[schedules] process {part}: {outcome}");
                }
                outcome.schedules += 1;
            }
            "Z" => {
                let (name, changes) = rest.split_once(' ').unwrap();
                zone = name.to_owned();
                outcome.pairs += 1;
                outcome.changes += changes.parse::<u64>().unwrap();
                let parsed = match kind.as_str() {
                    "cron" => Schedule::cron(&text, Some(&zone)),
                    _ => Schedule::interval(&text, Some(&zone), Timestamp::UNIX_EPOCH),
                };
                schedule = Some(parsed.unwrap_or_else(|why| panic!("{text} in {zone}: {why}")));
            }
            _ => {
                let schedule = schedule.as_ref().unwrap();
                outcome.questions += 1;
                outcome.whole += u64::from(what == "A");
                outcome.slots += slots_in(what, rest);
                if let Some(found) = differs(schedule, what, rest) {
                    outcome.different += 1;
                    if outcome.differences.len() < SHOWN {
                        outcome
                            .differences
                            .push(format!("{text} in {zone}: {line}, and the engine says {found}"));
                    }
                }
            }
        }
    }
    assert!(child.wait().unwrap().success(), "{} failed", python.display());
    outcome
}

/// How many slots a line speaks of.
fn slots_in(what: &str, rest: &str) -> u64 {
    match what {
        "N" => rest.split_whitespace().skip(2).count() as u64,
        "A" => rest.split_whitespace().nth(2).unwrap().parse().unwrap(),
        _ => 0,
    }
}

/// What the engine says instead, if it differs.
fn differs(schedule: &Schedule, what: &str, rest: &str) -> Option<String> {
    let parts: Vec<&str> = rest.split_whitespace().collect();
    let seconds = |t: Timestamp| t.as_second().to_string();
    let (expected, found) = match what {
        "N" => {
            let wanted = parts[1].parse().unwrap();
            let slots = std::iter::successors(schedule.after(at(parts[0])), |slot| schedule.after(slot.at));
            let slots = slots.take(wanted).take_while(|slot| slot.at.as_second() <= LAST);
            let found: Vec<String> = slots.map(|slot| seconds(slot.at)).collect();
            (parts[2..].join(" "), found.join(" "))
        }
        "A" => {
            let (from, to) = (at(parts[0]), at(parts[1]));
            let slots = std::iter::successors(schedule.after(from), |slot| schedule.after(slot.at));
            let (mut count, mut sum) = (0, 0);
            for slot in slots.take_while(|slot| slot.at <= to) {
                count += 1;
                sum += slot.at.as_second();
            }
            (parts[2..].join(" "), format!("{count} {sum}"))
        }
        "C" => {
            let count = schedule.between(at(parts[0]), at(parts[1]));
            (parts[2].to_owned(), count.to_string())
        }
        "P" => {
            let newest = schedule.newest(at(parts[0]), at(parts[1]));
            (
                parts[2].to_owned(),
                newest.map_or("-".to_owned(), |slot| seconds(slot.at)),
            )
        }
        other => panic!("the script says {other}"),
    };
    (expected != found).then_some(found)
}

#[test]
fn slots_are_those_that_another_implementation_finds() {
    let python = root().join(".venv/bin/python");
    let ready = Command::new(&python)
        .args(["-c", "import dateutil, tzdata"])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !ready {
        let why = "no .venv with python-dateutil and tzdata: run tests/venv.sh";
        assert!(
            std::env::var("CI").as_deref() != Ok("true"),
            "CI lacks what this test needs: {why}"
        );
        println!("SKIPPED: {why}");
        return;
    }
    let out = std::env::var_os("MESETA_BAR_OUT");
    let size = if out.is_some() { FULL } else { QUICK };
    let mut outcome = Outcome::default();
    std::thread::scope(|scope| {
        let (python, size) = (&python, &size);
        let parts: Vec<_> = (0..PARTS)
            .map(|part| scope.spawn(move || compare(python, size, part)))
            .collect();
        for part in parts {
            outcome.add(part.join().unwrap());
        }
    });
    let holds = outcome.different == 0 && outcome.schedules == size.schedules as u64;
    let mut text = format!(
        "schedules\n{} random schedules in {} zones, 2010 to 2039, at every change of each zone's offset, at random \
         moments, and every slot of those with few:\n{outcome}\n",
        outcome.schedules, size.zones
    );
    let mark = if holds { "holds" } else { "FALLS SHORT" };
    let _ = writeln!(
        text,
        "answers that differ: {} (bound: 0) {mark}",
        outcome.different
    );
    for difference in &outcome.differences {
        let _ = writeln!(text, "{difference}");
    }
    let _ = writeln!(text, "{}", if holds { "holds" } else { "falls short" });
    println!("{text}");
    if let Some(out) = out {
        std::fs::write(out, &text).unwrap();
    }
    assert!(holds, "the row 'schedules' falls short, see the figures above");
}
