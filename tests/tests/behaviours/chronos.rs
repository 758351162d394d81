//! Chronos's lines.

#[path = "chronos/availability.rs"]
mod availability;
#[path = "chronos/changes.rs"]
mod changes;
#[path = "chronos/dependents.rs"]
mod dependents;
#[path = "chronos/failures.rs"]
mod failures;
#[path = "chronos/history.rs"]
mod history;
#[path = "chronos/reading.rs"]
mod reading;
#[path = "chronos/schedules.rs"]
mod schedules;
#[path = "chronos/zones.rs"]
mod zones;

use meseta_tests::behaviours::{Case, Chapter};
use meseta_tests::cron::{Cron, Diary, Job, job};
use serde_json::{Value, json};

/// Lines A1 to H11.
pub(crate) fn chapter() -> Chapter {
    let cases: [&[Case]; 8] = [
        reading::CASES,
        schedules::CASES,
        zones::CASES,
        failures::CASES,
        dependents::CASES,
        changes::CASES,
        availability::CASES,
        history::CASES,
    ];
    let groups = [
        ("A", 21),
        ("B", 29),
        ("C", 14),
        ("D", 18),
        ("E", 20),
        ("F", 21),
        ("G", 13),
        ("H", 11),
    ];
    let lines = groups
        .iter()
        .flat_map(|(group, last)| (1..=*last).map(move |n: u32| format!("{group}{n}")));
    Chapter {
        title: "Chronos",
        lines: lines.collect(),
        cases: cases.concat(),
    }
}

/// Waits until a job that is due now has run: whatever else was due before it has had its turn.
fn witness(cron: Cron, name: &str) {
    let witness = cron.store(&job(name, "true", &json!({"schedule": "R1//PT1M"})));
    witness.until("has run", |job| job["successCount"] == 1);
}

/// Entries of a history with a result.
fn with_result<'a>(history: &'a [Value], result: &str) -> Vec<&'a Value> {
    history.iter().filter(|run| run["result"] == result).collect()
}

/// Runs of a job that started, by its own word, in milliseconds since 1970.
fn starts(diary: &Diary) -> Vec<i64> {
    diary
        .lines()
        .iter()
        .filter_map(|line| line.parse().ok())
        .collect()
}

/// The shell's word for now in milliseconds.
const NOW: &str = "$(date +%s%3N)";

/// Waits until the runs are as wanted, and returns them.
#[track_caller]
fn until_runs(job: &Job, what: &str, fits: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    meseta_tests::wait::until(&format!("runs of {}: {what}", job.name), || {
        let runs = job.runs()?;
        if fits(&runs) {
            Ok(runs)
        } else {
            Err(format!("{runs:#?}"))
        }
    })
}
