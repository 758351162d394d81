//! What the binary says without a cluster: help, versions, mistakes.
#![allow(clippy::unwrap_used)]

#[path = "support/cluster.rs"]
mod cluster;

use cluster::meseta;
use std::process::Output;

fn run(args: &[&str]) -> Output {
    meseta()
        .args(args)
        .env("XDG_STATE_HOME", "/nonexistent")
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn versions_and_help_are_answers() {
    for args in [
        &["--version"][..],
        &["master", "--version"],
        &["agent", "--version"],
    ] {
        let output = run(args);
        assert!(output.status.success(), "{args:?}: {output:?}");
        assert_eq!(
            text(&output.stdout),
            format!("meseta {}\n", env!("CARGO_PKG_VERSION"))
        );
    }
    for (args, word) in [
        (&["--help"][..], "execute"),
        (&["up", "--help"], "--agents"),
        (&["execute", "-h"], "--cpus"),
        (&["task", "kill", "--help"], "--grace"),
        (&["logs", "--help"], "--follow"),
        (&["job", "--help"], "meseta job create clock.json"),
        (&["run", "--help"], "job history"),
        (&["context", "--help"], "--origin"),
        (&["up", "--help"], "--detach"),
        (&["master", "--help"], "--config"),
        (&["master", "--help"], "--work_dir"),
        (&["agent", "--help"], "--isolation"),
    ] {
        let output = run(args);
        assert!(output.status.success(), "{args:?}: {output:?}");
        assert!(
            text(&output.stdout).contains(word),
            "{args:?}: {}",
            text(&output.stdout)
        );
    }
}

#[test]
fn mistakes_are_usage_errors_that_name_what_is_wrong() {
    for (args, word) in [
        (&["tsak"][..], "task"),
        (&["task", "list", "--no-such-flag"], "--no-such-flag"),
        (&["execute"], "CMD"),
        (&["execute", "--mem=-5", "--", "x"], "0.001"),
        (&["up", "--port-offset", "70000"], "50000"),
        (&["up", "--agents", "65"], "64"),
        (&["-m", "zk://z1/mesos", "status"], "zk://"),
        (&["-m", "host:0", "status"], "'0' is no port"),
        (&["master", "--bogus=1"], "--bogus"),
        (&["master", "--port=x", "--work_dir=/tmp/x"], "port"),
        (&["agent"], "work_dir"),
        (&["agent", "list"], "meseta node list"),
        (&["job", "create"], "FILE"),
        (&["job", "next"], "NAME"),
        (&["job", "create", "/nonexistent/x.json"], "/nonexistent/x.json"),
        (&["node", "-o", "env"], "meseta status -o env"),
        (&["app", "lsit"], "did you mean meseta app list?"),
        (&["app", "list", "-json"], "flags have two dashes: --json"),
        (&["plan", "web.json"], "fix: meseta diff FILE"),
        (&["get", "pods"], "fix: meseta task list"),
        (&["service", "scale"], "meseta app scale NAME N"),
        (&["node", "list", "--attr", "rack"], "NAME=VALUE"),
        (&["help", "no-such-topic"], "no command, topic or error"),
    ] {
        let output = run(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {output:?}");
        assert!(
            text(&output.stderr).contains(word),
            "{args:?}: {}",
            text(&output.stderr)
        );
        assert_eq!(text(&output.stdout), "", "{args:?}");
    }
}

#[test]
fn mistakes_are_objects_for_programs() {
    for args in [&["app", "lsit", "--json"][..], &["-o", "json", "tsak"]] {
        let output = run(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {output:?}");
        let error: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
        assert_eq!(error["error"]["code"], "bad-usage", "{error}");
        assert!(
            error["error"]["hint"]
                .as_str()
                .unwrap()
                .starts_with("did you mean"),
            "{error}"
        );
    }
}

#[test]
fn the_program_alone_says_how_to_begin() {
    let output = run(&[]);
    assert!(output.status.success(), "{output:?}");
    let said = text(&output.stdout);
    assert!(said.lines().count() <= 25, "{said}");
    assert!(said.contains("meseta up web.json clock.json"), "{said}");
    for (words, part) in [
        (&["help"][..], "Usage: meseta"),
        (&["help", "app", "scale"], "--dry-run"),
        (&["help", "exit-codes"], "130"),
        (&["help", "unreachable"], "error[unreachable]"),
        (&["version"], "none answers"),
    ] {
        let output = run(&[words, &["-m", "127.0.0.1:1"]].concat());
        assert!(output.status.success(), "{words:?}: {output:?}");
        assert!(text(&output.stdout).contains(part), "{words:?}: {output:?}");
    }
}

#[test]
fn the_next_times_of_a_schedule_need_no_server() {
    let output = run(&[
        "job",
        "next",
        "--schedule",
        "30 2 * * *",
        "--zone",
        "Europe/Paris",
        "-n",
        "2",
        "--json",
    ]);
    assert!(output.status.success(), "{output:?}");
    let times: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(times["kind"], "job-next");
    assert_eq!(times["times"].as_array().unwrap().len(), 2);
    let output = run(&["job", "next", "--schedule", "0 9 * * 8"]);
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    assert_eq!(
        text(&output.stderr),
        "error[bad-schedule]: cron field 5 (day of week) is 0-7 or MON-SUN\n  0 9 * * 8\n          ^ 8\n"
    );
}

#[test]
fn no_server_is_said_with_what_to_do() {
    // Nothing listens on the port of a listener that is gone.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let at = format!("127.0.0.1:{port}");
    for args in [&["status"][..], &["task", "list"], &["node"], &["logs", "x"]] {
        let output = run(&[&["-m", &at], args].concat());
        assert_eq!(output.status.code(), Some(6), "{args:?}: {output:?}");
        let said = text(&output.stderr);
        assert!(
            said.starts_with(&format!("error[unreachable]: cannot reach {at}: ")),
            "{said}"
        );
        assert!(said.contains("fix: start a cluster here: meseta up"), "{said}");
    }
    let output = run(&["-m", &at, "status", "--json"]);
    let error: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(
        (&error["error"]["code"], &error["error"]["exit"]),
        (&"unreachable".into(), &6.into())
    );
    let output = run(&["-m", &at, "execute", "--timeout", "1s", "--", "true"]);
    assert_eq!(output.status.code(), Some(5), "{output:?}");
}

#[test]
fn a_server_that_is_no_master_is_not_believed() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            use std::io::{Read, Write};
            let mut connection = connection.unwrap();
            let _ = connection.read(&mut [0; 4096]);
            let _ = connection
                .write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\nConnection: close\r\n\r\nnope\n");
        }
    });
    let output = run(&["-m", &at, "status"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(text(&output.stderr).contains("error[not-mesos]"), "{output:?}");
}
