//! At the terminal: the commands of the README and of the tutorial as their readers type them, the exercise, and whether
//! `why` names the true reason.
#![allow(clippy::unwrap_used)]

#[path = "at_the_terminal/why.rs"]
mod why;

use meseta_tests::bar::Bar;
use meseta_tests::binary::{meseta, root};
use meseta_tests::cluster::Up;
use meseta_tests::transcript::{differences, steps};
use meseta_tests::wait;
use std::process::{Command, Stdio};

#[test]
fn what_people_type_does_what_the_pages_say() {
    let mut bar = Bar::new("at the terminal");
    // The README's reader has started this in another terminal, the tutorial's begins with an empty cluster.
    page(
        &mut bar,
        "README.md",
        &["examples/web.json", "examples/clock.json"],
    );
    page(&mut bar, "docs/tutorial.md", &[]);
    page(&mut bar, "docs/how-to/apps.md", &[]);
    page(&mut bar, "docs/how-to/jobs.md", &[]);
    page(
        &mut bar,
        "docs/how-to/command-line.md",
        &["examples/web.json", "examples/clock.json"],
    );
    exercise(&mut bar);
    why::reasons(&mut bar);
    bar.finish();
}

fn page(bar: &mut Bar, page: &str, files: &[&str]) {
    let text = std::fs::read_to_string(root().join(page)).unwrap();
    let count = steps(&text).len();
    assert!(count > 0, "{page} has no commands");
    let files: Vec<String> = files
        .iter()
        .map(|file| root().join(file).display().to_string())
        .collect();
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    let up = Up::start(&files);
    wait::until("what it was given is there", || {
        let said = up.said();
        if said.contains("Up in ") {
            Ok(())
        } else {
            Err(said)
        }
    });
    let different = differences(&up, meseta(), &text);
    for difference in &different {
        bar.note(format!("{page} {difference}"));
    }
    bar.figure(
        &format!("{page}: commands that print something else"),
        different.len(),
        0,
        different.is_empty(),
    );
    bar.note(format!("{page}: {count} commands"));
}

/// Runs the exercise from begin to end, on ports of its own.
fn exercise(bar: &mut Bar) {
    let ports = meseta_tests::ports::Offset::take();
    let path = std::env::var("PATH").unwrap_or_default();
    let out = Command::new("sh")
        .arg(root().join("examples/exercise.sh"))
        .current_dir(root())
        .env("PATH", format!("{}:{path}", meseta().parent().unwrap().display()))
        .env("PORT_OFFSET", ports.get().to_string())
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    let parts = said.lines().filter(|line| line.starts_with("== ")).count();
    if !out.status.success() {
        bar.note(format!("{said}\n{}", String::from_utf8_lossy(&out.stderr)));
    }
    bar.figure(
        "the exercise",
        format!("{}, {parts} parts", out.status),
        "exit code 0",
        out.status.success(),
    );
}
