//! `meseta execute`, `task` and `logs` against a real cluster.
#![allow(clippy::unwrap_used)]

#[path = "support/cluster.rs"]
mod cluster;

use cluster::{Running, Up, until};
use nix::sys::signal::Signal;

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// One cluster for all of these: starting it is most of the time they take.
#[test]
fn commands_run_as_tasks() {
    let up = Up::start(&["--no-service", "--no-cron"]);
    output_and_exit_code_are_the_commands_own(&up);
    a_large_output_arrives_whole(&up);
    environment_files_and_user_are_as_asked(&up);
    what_cannot_run_is_our_failure(&up);
    the_timeout_kills_the_task(&up);
    an_interrupt_kills_the_task_with_grace(&up);
    a_closed_pipe_ends_it(&up);
    a_detached_task_is_seen_followed_and_killed(&up);
    a_framework_that_dies_takes_its_task_along_after_its_failover_timeout(&up);
    nothing_of_them_is_left(&up);
}

fn output_and_exit_code_are_the_commands_own(up: &Up) {
    for (script, code) in [
        ("echo out; echo err >&2; exit 7", 7),
        ("echo out; echo err >&2; kill -9 $$", 137),
    ] {
        let output = up.run(&["execute", "-q", "--", "sh", "-c", script]);
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        assert_eq!(
            (text(&output.stdout), text(&output.stderr)),
            ("out\n".into(), "err\n".into())
        );
    }
}

fn a_large_output_arrives_whole(up: &Up) {
    let output = up.run(&["execute", "-q", "--", "seq", "1", "200000"]);
    let want: String = (1..=200_000).map(|n| format!("{n}\n")).collect();
    assert_eq!(output.stdout.len(), want.len());
    assert!(text(&output.stdout) == want);
}

fn environment_files_and_user_are_as_asked(up: &Up) {
    let file = up.folder.path().join("fetched.txt");
    std::fs::write(&file, "from the file\n").unwrap();
    let script = "echo $WORD; cat fetched.txt";
    let uri = file.to_str().unwrap();
    let output = up.run(&[
        "execute", "-q", "--env", "WORD=a=b", "--uri", uri, "--", "sh", "-c", script,
    ]);
    assert_eq!(text(&output.stdout), "a=b\nfrom the file\n", "{output:?}");
}

fn what_cannot_run_is_our_failure(up: &Up) {
    let output = up.run(&["execute", "--", "/no/such/program"]);
    let code = output.status.code().unwrap();
    assert!((125..=127).contains(&code), "{output:?}");
    let output = up.run(&["execute", "--cpus", "4096", "--timeout", "20s", "--", "true"]);
    assert_eq!(output.status.code(), Some(5), "{output:?}");
    assert!(text(&output.stderr).contains("cpus: 4096 needed"), "{output:?}");
}

fn the_timeout_kills_the_task(up: &Up) {
    let output = up.run(&["execute", "-q", "--timeout", "10s", "--", "sleep", "1000"]);
    assert_eq!(output.status.code(), Some(5), "{output:?}");
    assert!(text(&output.stderr).contains("error[timeout]"), "{output:?}");
}

fn an_interrupt_kills_the_task_with_grace(up: &Up) {
    let script = "trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.1; done";
    let mut job = Running::start(&mut up.meseta(&["execute", "--grace", "60s", "--", "sh", "-c", script]));
    job.wait_out("ready\n");
    job.signal(Signal::SIGINT);
    assert_eq!(job.wait(), Some(130));
    assert_eq!(job.out(), "ready\nbye\n");
}

fn a_closed_pipe_ends_it(up: &Up) {
    let script = format!(
        "{} execute -q -m {} -- yes | head -n 1",
        env!("CARGO_BIN_EXE_meseta"),
        up.ports.master()
    );
    let output = std::process::Command::new("sh")
        .args(["-c", &script])
        .output()
        .unwrap();
    assert_eq!(text(&output.stdout), "y\n", "{output:?}");
}

fn a_detached_task_is_seen_followed_and_killed(up: &Up) {
    let script = "echo one; echo two; while :; do sleep 0.1; done";
    let id = up.ask(&["execute", "-q", "-d", "--name", "loop", "--", "sh", "-c", script]);
    let id = id.trim();
    assert!(up.ask(&["task", "list", "-q"]).lines().any(|line| line == id));
    assert!(up.ask(&["task", "show", "loop"]).contains("state      running"));
    until("its output is there", || {
        let last = up.ask(&["logs", "loop", "-n", "1"]);
        if last == "two\n" { Ok(()) } else { Err(last) }
    });
    let mut logs = Running::start(&mut up.meseta(&["logs", "-f", "loop"]));
    logs.wait_out("one\ntwo\n");
    up.ask(&["task", "kill", "loop"]);
    assert_eq!(logs.wait(), Some(0), "following ends with the task");
    let all: serde_json::Value = serde_json::from_str(&up.ask(&["task", "list", "-a", "--json"])).unwrap();
    let state = all
        .as_array()
        .unwrap()
        .iter()
        .find(|t| t["task_id"]["value"] == id)
        .unwrap()["state"]
        .clone();
    assert_eq!(state, "TASK_KILLED");
    let missing = up.run(&["task", "kill", "nosuch"]);
    assert_eq!(missing.status.code(), Some(3), "{missing:?}");
}

fn a_framework_that_dies_takes_its_task_along_after_its_failover_timeout(up: &Up) {
    let mut job = Running::start(&mut up.meseta(&[
        "execute",
        "--name",
        "orphan",
        "--failover-timeout",
        "2s",
        "--",
        "sh",
        "-c",
        "echo ready; sleep 1000",
    ]));
    job.wait_out("ready\n");
    job.signal(Signal::SIGKILL);
    job.wait();
    until("the task ends with its framework", || {
        let listed = up.ask(&["task", "list", "-q"]);
        if listed.contains("orphan") {
            Err(listed)
        } else {
            Ok(())
        }
    });
}

fn nothing_of_them_is_left(up: &Up) {
    until(
        "no framework but the detached one waits for its failover timeout",
        || {
            let listed = up.ask(&["framework", "list", "-q"]);
            if listed.lines().all(|name| name == "loop") {
                Ok(())
            } else {
                Err(listed)
            }
        },
    );
    assert_eq!(up.ask(&["task", "list", "-q"]), "");
}

#[test]
fn a_command_survives_the_death_of_master_and_agent() {
    let up = Up::start(&["--no-service", "--no-cron"]);
    let go_on = up.folder.path().join("go-on");
    let script = format!(
        "echo ready; while [ ! -e {} ]; do sleep 0.1; done; echo done; exit 4",
        go_on.display()
    );
    let mut job = Running::start(&mut up.meseta(&["execute", "--", "sh", "-c", &script]));
    job.wait_out("ready\n");
    for role in ["master", "agent"] {
        cluster::signal_pid(up.pids(role)[0], Signal::SIGKILL);
        up.up.wait_said(&format!("{role} died"));
    }
    std::fs::write(&go_on, "").unwrap();
    assert_eq!(job.wait(), Some(4), "{}", job.said());
    assert_eq!(job.out(), "ready\ndone\n");
}
