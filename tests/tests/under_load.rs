//! A cluster under load: nothing is lost when processes die, and one call costs the same however much there is.
#![allow(clippy::unwrap_used)]

#[path = "under_load/frameworks.rs"]
mod frameworks;
#[path = "under_load/growth.rs"]
mod growth;

use growth::Cluster;
use meseta_sdk::proto::TaskState;
use meseta_tests::bar::{self, Bar, median};
use meseta_tests::cluster::{Up, alive, arguments, signal};
use meseta_tests::journal::{Journal, Known};
use meseta_tests::wait;
use meseta_types::random::Random;
use nix::sys::signal::Signal;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Tasks that start and end per second, at least.
const RATE: f64 = 20.0;

/// Tasks that the framework launches per second: a few more, since some of the last ones have not ended yet.
const LAUNCHED: &str = "21";

/// The end of the last task may take this long: agents that came back, updates told again.
const SETTLING: Duration = Duration::from_secs(180);

#[test]
fn nothing_is_lost_when_processes_die_and_one_call_costs_the_same_in_a_large_cluster() {
    let mut bar = Bar::new("under load");
    growth(&mut bar);
    kills(&mut bar);
    frameworks::put_cost(&mut bar);
    frameworks::kills(&mut bar);
    bar.finish();
}

fn growth(bar: &mut Bar) {
    let (small, large, rounds) = if bar::full() {
        ((10, 1_000), (1_000, 50_000), 2_000)
    } else {
        ((3, 30), (30, 300), 50)
    };
    let mut small_cluster = Cluster::new(small.0, small.1);
    let mut large_cluster = Cluster::new(large.0, large.1);
    let ratios: Vec<f64> = (0..15)
        .map(|_| {
            let (a, b) = (small_cluster.cost(rounds), large_cluster.cost(rounds));
            bar.note(format!("ACCEPT with its updates: {a:?} small, {b:?} large"));
            b.as_secs_f64() / a.as_secs_f64()
        })
        .collect();
    small_cluster.check();
    large_cluster.check();
    let ratio = median(&ratios);
    let what = format!(
        "{} tasks on {} agents : {} on {}",
        large.1, large.0, small.1, small.0
    );
    bar.figure(&what, format!("{ratio:.2}"), "1.3", ratio <= 1.3 || !bar::full());
}

/// The framework's process, started again when it is killed.
struct Framework {
    child: Child,
    master: String,
    folder: std::path::PathBuf,
}

impl Framework {
    fn start(master: &str, folder: &Path) -> Framework {
        Framework {
            child: spawn(master, folder),
            master: master.to_owned(),
            folder: folder.to_owned(),
        }
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.child = spawn(&self.master, &self.folder);
    }
}

impl Drop for Framework {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(master: &str, folder: &Path) -> Child {
    let folder = folder.to_str().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_load_framework"));
    command.args([master, folder, LAUNCHED]).stdin(Stdio::null());
    command.spawn().unwrap()
}

/// How many tasks have ended well.
fn finished(journal: &Journal) -> usize {
    let ended_well = |task: &&Known| {
        task.ends
            .iter()
            .any(|(state, _)| *state == TaskState::TaskFinished)
    };
    journal.tasks().values().filter(ended_well).count()
}

fn kills(bar: &mut Bar) {
    let times = if bar::full() { 50 } else { 4 };
    let mut random = Random::new(7);
    let folder = tempfile::TempDir::new().unwrap();
    let mut up = Up::start(&["--agents", "2"]);
    let mut framework = Framework::start(&up.master_address(), folder.path());
    let journal = || Journal::open(&folder.path().join("journal")).unwrap();
    let roles = ["master", "agent", "supervise", "framework"];
    wait::until("tasks end", || {
        if journal().tasks().values().any(|t| !t.ends.is_empty()) {
            Ok(())
        } else {
            Err(())
        }
    });
    let (start, before) = (Instant::now(), finished(&journal()));
    for n in 0..times {
        // Each role comes about as often; which comes when, and at which moment, is the seed's.
        let role = if bar::full() {
            roles[random.below(4) as usize]
        } else {
            roles[n % 4]
        };
        if role == "framework" {
            framework.kill();
        } else {
            let pids = wait::until("the role has a process", || match up.pids(role) {
                pids if pids.is_empty() => Err(up.said()),
                pids => Ok(pids),
            });
            signal(pids[random.below(pids.len() as u64) as usize], Signal::SIGKILL);
        }
        std::thread::sleep(random.duration_below(Duration::from_secs(2)));
    }
    let rate = (finished(&journal()) - before) as f64 / start.elapsed().as_secs_f64();
    std::fs::write(folder.path().join("stop"), "").unwrap();
    let status = wait::within(
        SETTLING,
        "the framework knows the end of every task",
        || match framework.child.try_wait().unwrap() {
            Some(status) => Ok(status),
            None => Err(journal()
                .open_tasks()
                .map(|(t, _)| t.to_owned())
                .collect::<Vec<_>>()),
        },
    );
    assert!(status.success(), "{status}");

    let journal = journal();
    let tasks = journal.tasks();
    let sent = tasks.values().filter(|t| t.sent).count();
    bar.note(format!(
        "{times} times kill -9, {} tasks launched, {} finished",
        tasks.len(),
        finished(&journal)
    ));
    bar.figure(
        "tasks started and finished per second meanwhile",
        format!("{rate:.1}"),
        RATE,
        rate >= RATE || !bar::full(),
    );
    let forgotten = tasks.values().filter(|t| t.sent && !t.ended()).count();
    bar.figure(
        "launches that were acknowledged and forgotten",
        format!("{forgotten} of {sent}"),
        0,
        forgotten == 0,
    );
    let twice: Vec<_> = tasks.iter().filter(|(_, t)| t.ends.len() > 1).collect();
    bar.figure(
        "tasks with two ends",
        format!("{twice:?}"),
        "none",
        twice.is_empty(),
    );

    wait::until("no task is left in the master", || {
        let all = up.json("/tasks?limit=100000")?;
        let running = all["tasks"].as_array().map_or(0, |list| {
            let live = |s: &str| ["TASK_STAGING", "TASK_STARTING", "TASK_RUNNING"].contains(&s);
            list.iter()
                .filter(|t| t["state"].as_str().is_some_and(live))
                .count()
        });
        if running == 0 {
            Ok(())
        } else {
            Err(format!("{running} live"))
        }
    });
    let sleeping = || {
        up.left_over()
            .into_iter()
            .filter(|pid| arguments(*pid) == ["sleep", "0.3"])
            .count()
    };
    wait::until("no task's process is left", || {
        if sleeping() == 0 { Ok(()) } else { Err(sleeping()) }
    });
    let code = up.stop();
    bar.figure("exit code of `up`", format!("{code:?}"), 0, code == Some(0));
    wait::until("no process is left", || {
        let left: Vec<Vec<String>> = up
            .left_over()
            .into_iter()
            .filter(|p| alive(*p))
            .map(arguments)
            .collect();
        if left.is_empty() { Ok(()) } else { Err(left) }
    });
    bar.figure("processes left over", 0, 0, true);
}
