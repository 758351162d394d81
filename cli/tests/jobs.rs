//! Jobs as a user meets them: created, started, waited for, paused, changed, deleted, and there again after a restart.
#![allow(clippy::unwrap_used)]

#[path = "support/cluster.rs"]
mod cluster;

use cluster::{Up, until};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::process::Output;

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn json(up: &Up, args: &[&str]) -> Value {
    serde_json::from_str(&up.ask(&[args, &["--json"]].concat())).unwrap()
}

/// A job that runs only when it is told to.
fn idle_job(up: &Up, name: &str, cmd: &str) {
    let schedule = "R/2999-01-01T00:00:00Z/P1D";
    let output = up.run(&[
        "job",
        "create",
        "--name",
        name,
        "--schedule",
        schedule,
        "--cmd",
        cmd,
        "--mem",
        "16",
    ]);
    assert!(output.status.success(), "{output:?}");
    assert!(said(&output).contains(&format!("created {name}")), "{output:?}");
    assert!(said(&output).contains("Tue 2999-01-01 00:00 UTC"), "{output:?}");
}

#[test]
fn a_job_is_created_run_changed_and_deleted() {
    let up = Up::start(&[]);
    let empty = up.run(&["job", "list"]);
    assert_eq!((out(&empty).as_str(), empty.status.code()), ("", Some(0)));
    assert!(said(&empty).contains("meseta job create"), "{empty:?}");
    idle_job(&up, "hello", "echo hello $WHO");
    let twice = up.run(&["job", "create", "--name", "hello", "--now", "--cmd", "true"]);
    assert_eq!(twice.status.code(), Some(4), "{twice:?}");
    assert!(said(&twice).starts_with("error[already-exists]"), "{twice:?}");

    let run = up.run(&["job", "run", "hello", "--wait"]);
    assert_eq!(run.status.code(), Some(0), "{run:?}");
    assert!(out(&run).ends_with("hello\n"), "{run:?}");
    let history = json(&up, &["job", "history", "hello"]);
    assert_eq!(history[0]["result"], "success");
    let id = history[0]["run"].as_str().unwrap().to_owned();
    assert!(up.ask(&["run", "show", &id]).contains("result        success"));
    assert!(up.ask(&["run", "logs", &id]).contains("hello"));

    // Only shown, then done.
    let dry = up.run(&["job", "update", "hello", "--env", "WHO=world", "--dry-run"]);
    assert!(
        said(&dry).contains("~ job hello") && said(&dry).contains("would change"),
        "{dry:?}"
    );
    assert_eq!(
        json(&up, &["job", "show", "hello"])["environmentVariables"],
        serde_json::json!([])
    );
    let update = up.run(&["job", "update", "hello", "--env", "WHO=world", "retries=0"]);
    assert!(said(&update).contains("changed hello"), "{update:?}");
    assert_eq!(json(&up, &["job", "show", "hello"])["retries"], 0);
    let run = up.run(&["job", "run", "hello", "--wait"]);
    assert!(out(&run).ends_with("hello world\n"), "{run:?}");
    let same = up.run(&["job", "update", "hello", "retries=0"]);
    assert!(said(&same).contains("unchanged hello"), "{same:?}");

    let unasked = up.run(&["job", "delete", "hello"]);
    assert_eq!(unasked.status.code(), Some(2), "{unasked:?}");
    assert!(said(&unasked).contains("needs --yes"), "{unasked:?}");
    let deleted = up.run(&["job", "delete", "hello", "--yes"]);
    assert_eq!(deleted.status.code(), Some(0), "{deleted:?}");
    let gone = up.run(&["job", "show", "hello"]);
    assert_eq!(gone.status.code(), Some(3), "{gone:?}");
}

#[test]
fn a_run_that_fails_is_a_failure_and_why_names_the_reason() {
    let up = Up::start(&[]);
    idle_job(&up, "broken", "echo before the end; exit 3");
    up.ask(&["job", "update", "broken", "retries=0"]);
    let run = up.run(&["job", "run", "broken", "--wait"]);
    assert_eq!(run.status.code(), Some(1), "{run:?}");
    assert!(out(&run).contains("before the end\n"), "{run:?}");
    assert!(said(&run).contains("error[run-failed]"), "{run:?}");
    let failed = json(&up, &["job", "list", "--failed"]);
    assert_eq!(failed[0]["name"], "broken");

    assert_eq!(json(&up, &["job", "why", "broken"])["code"], "not-due");
    let paused = up.run(&["job", "pause", "broken"]);
    assert!(said(&paused).contains("paused broken"), "{paused:?}");
    let why = up.ask(&["job", "why", "broken"]);
    assert!(why.lines().next().unwrap().contains("disabled"), "{why}");
    assert!(why.ends_with("meseta job resume broken\n"), "{why}");
    up.ask(&["job", "resume", "broken"]);
    assert_eq!(json(&up, &["job", "why", "broken"])["code"], "not-due");

    let unknown = up.run(&["job", "run", "brokn"]);
    assert_eq!(unknown.status.code(), Some(3), "{unknown:?}");
    assert!(said(&unknown).contains("did you mean broken?"), "{unknown:?}");
    let several = up.run(&["job", "pause", "broken", "nope"]);
    assert_eq!(several.status.code(), Some(9), "{several:?}");
}

#[test]
fn a_job_is_edited_in_the_editor_of_the_user() {
    let up = Up::start(&[]);
    idle_job(&up, "edited", "true");
    let edit = |editor: &str| {
        let mut command = up.meseta(&["job", "edit", "edited"]);
        command
            .env("EDITOR", editor)
            .env_remove("VISUAL")
            .output()
            .unwrap()
    };
    let changed = edit("sed -i s/\\\"true\\\"/\\\"false\\\"/");
    assert_eq!(changed.status.code(), Some(0), "{changed:?}");
    assert!(said(&changed).contains("changed edited"), "{changed:?}");
    assert_eq!(json(&up, &["job", "show", "edited"])["command"], "false");
    let untouched = edit("true");
    assert!(said(&untouched).contains("unchanged edited"), "{untouched:?}");
    let broken = edit("truncate -s 3");
    assert_eq!(broken.status.code(), Some(4), "{broken:?}");
    assert!(said(&broken).contains("your text is in"), "{broken:?}");
    let failed = edit("false");
    assert_eq!(failed.status.code(), Some(1), "{failed:?}");
}

#[test]
fn jobs_of_the_command_line_come_up_and_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("clock.json");
    let job = r#"{"name": "clock", "command": "date", "schedule": "R//PT1S", "cpus": 0.1, "mem": 16}"#;
    std::fs::write(&file, job).unwrap();
    let file = file.to_str().unwrap();
    let mut up = Up::start(&[file]);
    assert!(up.up.said().contains("first run ok"), "{}", up.up.said());
    until("it runs again and again", || {
        let runs = json(&up, &["job", "history", "clock"]);
        let done = runs
            .as_array()
            .unwrap()
            .iter()
            .filter(|run| run["result"] == "success")
            .count();
        if done >= 3 { Ok(()) } else { Err(runs.to_string()) }
    });
    // The cron framework is killed: it is back by itself.
    let before = up.pids("cron");
    cluster::signal_pid(before[0], Signal::SIGKILL);
    up.up.wait_said("cron died (signal 9)");
    until("it is back", || {
        let now = up.pids("cron");
        let output = up.run(&["job", "list", "-q"]);
        if now != before && out(&output) == "clock\n" {
            Ok(())
        } else {
            Err(format!("{now:?} {output:?}"))
        }
    });
    up.up.signal(Signal::SIGINT);
    assert_eq!(up.up.wait(), Some(0));
    assert_eq!(up.left(), Vec::<String>::new());
    up.again_with(&[]);
    up.up.wait_said("found clock from");
    assert_eq!(up.ask(&["job", "list", "-q"]), "clock\n");
}

#[test]
fn a_mistake_in_a_file_starts_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("clock.json");
    std::fs::write(
        &file,
        "{\n  \"name\": \"clock\",\n  \"command\": \"date\",\n  \"schedule\": \"nonsense\"\n}\n",
    )
    .unwrap();
    let state = folder.path().join("state");
    let output = cluster::meseta()
        .arg("up")
        .arg(&file)
        .arg("--dir")
        .arg(&state)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    assert!(
        said(&output).contains("4:15") || said(&output).contains(" 4:"),
        "{output:?}"
    );
    assert!(!state.exists(), "nothing was made");
}
