//! A framework that is not ours: pymesos, unmodified from PyPI, with its scheduler and its executor.
#![allow(clippy::unwrap_used)]

use meseta_tests::bar::Bar;
use meseta_tests::binary::root;
use meseta_tests::cluster::{Up, alive, arguments};
use meseta_tests::{skip, wait};
use serde_json::Value;
use std::process::{Command, Stdio};

/// What every framework is asked for.
const TASKS: usize = 20;

/// Runs the example's scheduler to its end and returns what it printed.
fn scheduler(master: &str, more: &[&str]) -> Vec<Value> {
    let out = Command::new(root().join(".venv/bin/python"))
        .arg(root().join("frameworks/examples/python/scheduler.py"))
        .args(["--master", master, "--tasks", &TASKS.to_string()])
        .args(more)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    let errors = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{}\n{said}\n{errors}", out.status);
    said.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn events<'a>(all: &'a [Value], name: &str) -> Vec<&'a Value> {
    all.iter().filter(|event| event["event"] == name).collect()
}

fn statuses(all: &[Value], state: &str) -> usize {
    let of_state = |event: &&&Value| event["state"] == state;
    events(all, "status").iter().filter(of_state).count()
}

fn framework_ids(up: &Up, list: &str) -> Vec<String> {
    let state = up.json("/frameworks").unwrap();
    let all = state[list].as_array().unwrap().iter();
    all.map(|f| f["id"].as_str().unwrap().to_owned()).collect()
}

fn sleepers(up: &Up) -> Vec<i32> {
    let all = up.left_over().into_iter();
    all.filter(|pid| arguments(*pid).starts_with(&["sleep".to_owned(), "1000".to_owned()]))
        .collect()
}

#[test]
fn a_python_framework_runs_fails_over_and_tears_down() {
    let python = root().join(".venv/bin/python");
    if !skip::unless(python.exists(), "no .venv with pymesos: run tests/venv.sh") {
        return;
    }
    let mut bar = Bar::new("foreign framework");
    let up = Up::start(&[]);

    let first = scheduler(&up.master_address(), &["--leave"]);
    let registered = events(&first, "registered");
    let id = registered[0]["framework_id"].as_str().unwrap().to_owned();
    bar.figure(
        "registered",
        &id,
        "an id of the master",
        registered.len() == 1 && !id.is_empty(),
    );
    let offers = events(&first, "offer").len();
    bar.figure("offers", offers, "at least 1", offers > 0);
    let finished = statuses(&first, "TASK_FINISHED");
    bar.figure("tasks finished", finished, TASKS, finished == TASKS);
    let running = statuses(&first, "TASK_RUNNING");
    bar.figure(
        "TASK_RUNNING heard",
        running,
        "of every task",
        running >= TASKS + 2,
    );
    let killed = (statuses(&first, "TASK_KILLING"), statuses(&first, "TASK_KILLED"));
    bar.figure(
        "killed",
        format!("{killed:?}"),
        "KILLING, then KILLED",
        killed.0 >= 1 && killed.1 >= 1,
    );
    let reconciled = events(&first, "status")
        .iter()
        .filter(|e| e["reason"] == "REASON_RECONCILIATION")
        .count();
    bar.figure("reconciled", reconciled, "known and unknown", reconciled >= 2);
    let messages = events(&first, "message").len();
    bar.figure("messages from the executor", messages, 1, messages == 1);

    let kept = sleepers(&up);
    bar.figure(
        "service while no scheduler is there",
        format!("{kept:?}"),
        "one process",
        kept.len() == 1,
    );

    let second = scheduler(&up.master_address(), &["--framework-id", &id]);
    let back = events(&second, "reregistered");
    let same = back.first().is_some_and(|e| e["framework_id"] == *id);
    bar.figure("failed over", back.len(), "the same id", same);

    wait::until("the framework is completed and its service gone", || {
        let completed = framework_ids(&up, "completed_frameworks");
        let left = kept.iter().filter(|pid| alive(**pid)).count();
        if completed.contains(&id) && left == 0 {
            Ok(())
        } else {
            Err((completed, left))
        }
    });
    bar.figure(
        "torn down",
        "completed, its tasks gone",
        "the same",
        !framework_ids(&up, "frameworks").contains(&id),
    );
    bar.finish();
}
