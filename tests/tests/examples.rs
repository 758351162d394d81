//! The Rust and JavaScript examples against a real cluster, as their authors' readers would run them.
#![allow(clippy::unwrap_used)]

use meseta_tests::binary::root;
use meseta_tests::cluster::{Up, signal};
use meseta_tests::{skip, wait};
use nix::sys::signal::Signal;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

fn example(name: &str) -> PathBuf {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let status = cargo
        .args(["build", "--quiet", "--package", "meseta-examples", "--bin", name])
        .current_dir(root())
        .status();
    assert!(
        matches!(&status, Ok(s) if s.success()),
        "the example {name} cannot be built: {status:?}"
    );
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    target.join("debug").join(name)
}

#[test]
fn hello_launches_a_task_and_sees_it_end() {
    let up = Up::start(&[]);
    let output = Command::new(example("hello"))
        .arg(up.master_address())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.ends_with("hello.1 is TASK_FINISHED\n"), "{said}");
}

#[test]
fn batch_survives_being_killed_and_runs_every_command_once() {
    let up = Up::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let ran = folder.path().join("ran");
    let commands: Vec<String> = (0..8)
        .map(|n| format!("sleep 0.3; echo {n} >> {}", ran.display()))
        .collect();
    std::fs::write(folder.path().join("commands"), commands.join("\n")).unwrap();
    let program = example("batch");
    let start = || -> Child {
        let mut batch = Command::new(&program);
        batch
            .arg(up.master_address())
            .arg(folder.path().join("state"))
            .arg(folder.path().join("commands"));
        batch.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap()
    };
    let lines = || std::fs::read_to_string(&ran).unwrap_or_default().lines().count();
    let mut batch = start();
    for kills in 1..=3 {
        wait::until("some commands have run", || {
            let ended = !matches!(batch.try_wait(), Ok(None));
            if ended || lines() >= 2 * kills {
                Ok(())
            } else {
                Err(format!("{} lines", lines()))
            }
        });
        signal(batch.id().cast_signed(), Signal::SIGKILL);
        let _ = batch.wait();
        batch = start();
    }
    let status = wait::until("batch ends", || match batch.try_wait() {
        Ok(Some(status)) => Ok(status),
        other => Err(format!("{other:?}; {} lines", lines())),
    });
    assert!(status.success(), "{status:?}");
    let mut seen: Vec<String> = std::fs::read_to_string(&ran)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect();
    seen.sort();
    let want: Vec<String> = (0..8).map(|n: u32| n.to_string()).collect();
    assert_eq!(seen, want, "each command ran exactly once");
}

#[test]
fn a_framework_in_javascript_needs_no_library() {
    if !skip::unless(Command::new("node").arg("--version").output().is_ok(), "no node") {
        return;
    }
    let up = Up::start(&[]);
    let output = Command::new("node")
        .arg(root().join("frameworks/examples/node/batch.js"))
        .args([&up.master_address(), "5"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    let finished: Vec<&str> = said
        .lines()
        .filter(|line| line.ends_with("is TASK_FINISHED"))
        .collect();
    assert_eq!(finished.len(), 5, "{said}");
    wait::until("it has removed itself", || {
        let all = up.json("/frameworks")?;
        let left = all["frameworks"].as_array().into_iter().flatten();
        let left = left.filter(|f| f["name"] == "node batch").count();
        if left == 0 { Ok(()) } else { Err(all.to_string()) }
    });
}
