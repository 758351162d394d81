//! The first minute of a newcomer: one command of the README builds, starts a cluster, deploys a web app and schedules a
//! job.
#![allow(clippy::unwrap_used)]

use meseta_tests::bar::{self, Bar};
use meseta_tests::binary::{meseta, root};
use meseta_tests::cluster::{alive, arguments, signal};
use meseta_tests::ports::Offset;
use meseta_tests::rest::Server;
use meseta_tests::wait;
use nix::sys::signal::Signal;
use nix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;
use tempfile::TempDir;

/// From the binary's start to three healthy instances.
const BOUND: Duration = Duration::from_secs(5);

/// Default ports.
const MASTER: u16 = 5050;
const SERVICE: u16 = 8080;
const CRON: u16 = 4400;

/// Between two looks: the bound is in seconds.
const LOOK: Duration = Duration::from_millis(10);

/// How long a newcomer's machine may take to build from nothing.
const BUILD_PATIENCE: Duration = Duration::from_secs(45 * 60);

#[test]
fn the_first_command_of_the_readme_deploys_an_app_and_a_job() {
    let mut bar = Bar::new("first command");
    let command = readme_command();
    bar.note(format!("the README says: {command}"));
    let rounds = if bar::full() { 10 } else { 1 };
    let times: Vec<Duration> = (0..rounds).map(|_| on_ports_of_its_own(&command)).collect();
    let seconds: Vec<f64> = times.iter().map(Duration::as_secs_f64).collect();
    let slowest = seconds.iter().copied().fold(0.0, f64::max);
    bar.note(format!(
        "from the binary's start to three healthy instances, {rounds} rounds, median: {:.3} s",
        bar::median(&seconds)
    ));
    if bar::full() {
        bar.figure(
            "slowest round",
            format!("{slowest:.3} s"),
            "5 s",
            slowest <= BOUND.as_secs_f64(),
        );
        let fresh = in_a_fresh_clone(&command);
        bar.figure(
            "in a fresh clone, as written",
            format!("{:.3} s", fresh.as_secs_f64()),
            "5 s",
            fresh <= BOUND,
        );
    }
    bar.finish();
}

/// The first line of the README's first block of shell that starts a cluster.
fn readme_command() -> String {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let block = readme
        .split("```sh")
        .nth(1)
        .expect("the README has a block of shell");
    let mut lines = block.split("```").next().unwrap().lines().map(str::trim);
    let command = lines.rfind(|line| line.contains(" up "));
    command
        .expect("the README's first block starts a cluster")
        .to_owned()
}

/// Everything behind `-- ` of the cargo command, which are the arguments of the binary.
fn binary_arguments(command: &str) -> Vec<String> {
    let (_, arguments) = command.split_once(" -- ").expect("cargo run ... -- arguments");
    let out = Command::new("sh")
        .arg("-c")
        .arg(format!("printf '%s\\n' {arguments}"))
        .output()
        .unwrap();
    String::from_utf8(out.stdout)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect()
}

/// Runs the README's arguments with the built binary, on free ports, in a folder that goes away.
fn on_ports_of_its_own(command: &str) -> Duration {
    let folder = TempDir::new().unwrap();
    let ports = Offset::take();
    let mut arguments = binary_arguments(command);
    assert_eq!(arguments.remove(0), "up", "the README's command is `up`");
    let mut up = Command::new(meseta());
    up.args(["up", "--port-offset", &ports.get().to_string(), "--dir"])
        .arg(folder.path())
        .args(arguments)
        .current_dir(root());
    let started = boot_time();
    let (mut child, healthy) = run(&mut up, ports.get(), wait::PATIENCE);
    visible(meseta(), ports.get());
    let pid = child_pid(&child);
    end(&mut child, pid);
    healthy.saturating_sub(started)
}

/// Clones what is committed and types the command there.
fn in_a_fresh_clone(command: &str) -> Duration {
    let folder = TempDir::new().unwrap();
    let clone = folder.path().join("meseta");
    let cloned = Command::new("git")
        .args(["clone", "--quiet"])
        .arg(root())
        .arg(&clone)
        .status()
        .unwrap();
    assert!(cloned.success(), "the repository cannot be cloned");
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(format!("exec {command}")).current_dir(&clone);
    shell
        .env_remove("CARGO_TARGET_DIR")
        .env("XDG_STATE_HOME", folder.path())
        .env("HOME", home())
        .stderr(Stdio::piped());
    let (mut child, healthy) = run(&mut shell, 0, BUILD_PATIENCE);
    let up = up_below(&clone);
    // `cargo run` replaces itself by the binary, in the same process: what counts begins where it says so.
    let started = started_by_cargo();
    visible(&clone.join("target/release/meseta"), 0);
    end(&mut child, up);
    healthy.saturating_sub(started)
}

fn home() -> std::ffi::OsString {
    std::env::var_os("HOME").unwrap_or_else(|| "/root".into())
}

/// Starts a command and waits until three instances of the app are healthy.
fn run(command: &mut Command, offset: u16, patience: Duration) -> (Child, Duration) {
    let mut child = command.stdin(Stdio::null()).spawn().unwrap();
    if let Some(stderr) = child.stderr.take() {
        pass_on(stderr);
    }
    let service = Server {
        port: SERVICE + offset,
    };
    let deadline = std::time::Instant::now() + patience;
    let healthy = || {
        service
            .json("/v2/apps/web")
            .map(|body| body["app"]["tasksHealthy"].clone())
    };
    let mut seen = healthy();
    while seen != Ok(json!(3)) && std::time::Instant::now() < deadline {
        std::thread::sleep(LOOK);
        seen = healthy();
    }
    let at = boot_time();
    if seen != Ok(json!(3)) {
        signal(child_pid(&child), Signal::SIGINT);
        let ended = child.wait();
        panic!("no three healthy instances: {seen:?}; {ended:?}");
    }
    (child, at)
}

/// Both are seen by curl and by the command line, and the job has run.
fn visible(binary: &Path, offset: u16) {
    let cron = Server { port: CRON + offset };
    wait::until("the job has run", || {
        let jobs = cron.json("/v1/scheduler/jobs")?;
        let ran = |job: &Value| job["name"] == "clock" && job["successCount"].as_u64() > Some(0);
        if jobs.as_array().is_some_and(|all| all.iter().any(ran)) {
            Ok(())
        } else {
            Err(jobs.to_string())
        }
    });
    for (noun, name) in [("app", "/web"), ("job", "clock")] {
        let listed = Command::new(binary)
            .args([
                "--master",
                &format!("127.0.0.1:{}", MASTER + offset),
                noun,
                "list",
            ])
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&listed.stdout).into_owned();
        assert!(
            listed.status.success() && text.contains(name),
            "{noun} list: {listed:?}"
        );
    }
}

fn end(child: &mut Child, up: i32) {
    signal(up, Signal::SIGINT);
    wait::until("the cluster ends", || match child.try_wait() {
        Ok(Some(_)) => Ok(()),
        other => Err(format!("{other:?}")),
    });
}

fn child_pid(child: &Child) -> i32 {
    child.id().cast_signed()
}

/// The `meseta up` whose binary lies in the clone (or that cargo replaced itself with).
fn up_below(clone: &Path) -> i32 {
    let pids = std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|e| e.file_name().to_str()?.parse::<i32>().ok());
    let is_up = |pid: &i32| {
        let exe = std::fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
        exe.starts_with(clone) && arguments(*pid).get(1).map(String::as_str) == Some("up") && alive(*pid)
    };
    pids.into_iter()
        .find(is_up)
        .expect("`meseta up` runs in the clone")
}

/// When cargo said that it runs the binary. What it and the binary say goes on to our own standard error.
fn started_by_cargo() -> Duration {
    let started = STARTED.get().copied();
    started.unwrap_or_else(|| panic!("cargo did not say that it runs the binary"))
}

/// Set by the thread that reads what a child says.
static STARTED: OnceLock<Duration> = OnceLock::new();

fn pass_on(stderr: impl std::io::Read + Send + 'static) {
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            if line.trim_start().starts_with("Running `") {
                // There is one such line; a second one would change nothing.
                let _ = STARTED.set(boot_time());
            }
            eprintln!("{line}");
        }
    });
}

fn boot_time() -> Duration {
    Duration::from(clock_gettime(ClockId::CLOCK_BOOTTIME).unwrap())
}
