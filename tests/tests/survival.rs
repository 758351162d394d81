//! Processes die; tasks do not. Each role of a cluster is killed while tasks run.
#![allow(clippy::unwrap_used)]

use meseta_sdk::proto::TaskState;
use meseta_sdk::task::{Needs, Task};
use meseta_sdk::wire::Encoding;
use meseta_sdk::{IdentityStore, Transport};
use meseta_tests::bar::{self, Bar};
use meseta_tests::binary::meseta;
use meseta_tests::cluster::{Up, alive, arguments, signal};
use meseta_tests::scheduler::{Heard, Scheduler, patient, terminal};
use meseta_tests::wait;
use nix::sys::signal::Signal;
use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const NEEDS: Needs = Needs {
    cpus: 0.01,
    mem: 1.0,
    disk: 0.0,
    ports: 0,
};

/// Tasks that run while others die.
fn count() -> usize {
    if bar::full() { 20 } else { 3 }
}

fn framework(up: &Up, name: &str) -> Scheduler {
    let http = Transport::Http(Encoding::Protobuf);
    Scheduler::start(
        &up.master_address(),
        patient(name),
        http,
        IdentityStore::Ephemeral,
    )
}

/// Processes of tasks: `sleep` with this argument.
fn sleepers(up: &Up, seconds: &str) -> BTreeSet<i32> {
    let all = up.left_over().into_iter();
    all.filter(|pid| arguments(*pid) == ["sleep", seconds]).collect()
}

fn launch_sleepers(up: &Up, scheduler: &mut Scheduler, seconds: &str) -> BTreeSet<i32> {
    let tasks =
        (0..count()).map(|n| Task::shell(format!("sleep-{seconds}-{n}"), format!("exec sleep {seconds}")));
    scheduler.launch_all(tasks.collect(), &NEEDS);
    scheduler.until("the sleepers run", |h| {
        h.count(|s| s == TaskState::TaskRunning) == count()
    });
    wait::until("there is a process for each", || {
        let found = sleepers(up, seconds);
        if found.len() == count() {
            Ok(found)
        } else {
            Err(found)
        }
    })
}

/// Kills a role's first process and waits until the role has one that was not there before; how long that took.
fn replaced(up: &Up, role: &str) -> Duration {
    let before = up.pids(role);
    up.kill(role);
    let start = Instant::now();
    wait::until("the role is back", || {
        let now = up.pids(role);
        if now.iter().any(|pid| !before.contains(pid)) {
            Ok(())
        } else {
            Err(up.said())
        }
    });
    start.elapsed()
}

fn registered(up: &Up) {
    wait::until("the agent is active", || {
        let slaves = up.json("/slaves")?;
        let all = slaves["slaves"].as_array().cloned().unwrap_or_default();
        if all.iter().any(|s| s["active"] == true) {
            Ok(())
        } else {
            Err(slaves.to_string())
        }
    });
}

#[test]
fn agent_and_master_come_back_and_every_task_keeps_its_process() {
    let mut bar = Bar::new("survival");
    let up = Up::start(&[]);
    let mut scheduler = framework(&up, "survivors");
    let before = launch_sleepers(&up, &mut scheduler, "1001");

    for role in ["agent", "master"] {
        let took = replaced(&up, role);
        registered(&up);
        let after = sleepers(&up, "1001");
        bar.note(format!(
            "kill -9 of the {role}: a new process after {:.2} s",
            took.as_secs_f64()
        ));
        bar.figure(
            &format!("processes of tasks after the {role}"),
            after.len(),
            "the same as before",
            after == before,
        );
        whole_again(&mut scheduler, role);
    }
    let running = scheduler.heard().count(|s| s == TaskState::TaskRunning);
    bar.figure("tasks told as running", running, count(), running == count());

    supervisor_dies(&up, &mut scheduler, &before, &mut bar);
    scheduler.teardown();
    execute_dies(&up, &mut bar);
    bar.finish();
}

/// A launch that met the death itself may be told as failed, which is true; one of the next goes through.
fn whole_again(scheduler: &mut Scheduler, role: &str) {
    let mut ends = Vec::new();
    let finished = (0..10).any(|n| {
        let end = scheduler.run(&format!("after-{role}-{n}"), "true", &NEEDS);
        ends.push((end.state(), end.message().to_owned()));
        end.state() == TaskState::TaskFinished
    });
    assert!(finished, "{ends:?}");
}

/// Without their supervisor tasks live on or die; what is told of them is what happened.
fn supervisor_dies(up: &Up, scheduler: &mut Scheduler, tasks: &BTreeSet<i32>, bar: &mut Bar) {
    let took = replaced(up, "supervise");
    bar.note(format!(
        "kill -9 of the supervisor: a new process after {:.2} s",
        took.as_secs_f64()
    ));
    whole_again(scheduler, "supervise");
    let living = tasks.iter().filter(|pid| alive(**pid)).count();
    scheduler.until("as many run as are told to", |h| {
        sleepers_told(h, |s| s == TaskState::TaskRunning) == living
    });
    bar.figure("told as running after it", living, "as many as live", true);

    let open: Vec<String> = (0..count()).map(|n| format!("sleep-1001-{n}")).collect();
    for task in &open {
        if !scheduler.heard().last(task).is_some_and(|s| terminal(s.state())) {
            scheduler.kill(task);
        }
    }
    scheduler.until("every sleeper's end is told", |h| {
        sleepers_told(h, terminal) == count()
    });
    wait::until("no process of them is left", || {
        let left: Vec<&i32> = tasks.iter().filter(|pid| alive(**pid)).collect();
        if left.is_empty() {
            Ok(())
        } else {
            Err(format!("{left:?}"))
        }
    });
    let lies = sleepers_told(scheduler.heard(), |s| s == TaskState::TaskFinished);
    bar.figure("told as finished, of tasks that were killed", lies, 0, lies == 0);
}

/// Sleepers whose last state is such a one.
fn sleepers_told(heard: &Heard, which: impl Fn(TaskState) -> bool) -> usize {
    let of_sleepers = heard
        .statuses
        .iter()
        .filter(|(task, _)| task.starts_with("sleep-"));
    let last = of_sleepers.filter_map(|(_, statuses)| statuses.last());
    last.filter(|status| which(status.state())).count()
}

/// `meseta execute` is a framework: killed, its task lives for the failover timeout and no longer.
fn execute_dies(up: &Up, bar: &mut Bar) {
    let timeout = Duration::from_secs(if bar::full() { 10 } else { 5 });
    let mut execute = Command::new(meseta())
        .args(["--master", &up.master_address(), "execute", "--failover-timeout"])
        .arg(format!("{}s", timeout.as_secs()))
        .args(["--", "sleep", "1002"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let pid = wait::until("the command runs", || {
        let found = sleepers(up, "1002");
        found.first().copied().ok_or(found)
    });
    signal(execute.id().cast_signed(), Signal::SIGKILL);
    let killed = Instant::now();
    execute.wait().unwrap();
    wait::until(
        "its task ends",
        || if alive(pid) { Err("it runs") } else { Ok(()) },
    );
    let lived = killed.elapsed();
    bar.figure(
        "task of a killed `execute` lived on",
        format!("{:.2} s", lived.as_secs_f64()),
        format!("not less than {} s", timeout.as_secs()),
        lived >= timeout - Duration::from_millis(200),
    );
}
