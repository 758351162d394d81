//! What a container is held to by cgroups: memory, cpu, number of processes; and that nothing of it stays.
#![allow(clippy::unwrap_used)]

use meseta_sdk::proto::task_status::Reason;
use meseta_sdk::proto::{TaskState, TaskStatus};
use meseta_sdk::task::{Needs, Task};
use meseta_sdk::wire::Encoding;
use meseta_sdk::{IdentityStore, Transport};
use meseta_tests::bar::{self, Bar};
use meseta_tests::cluster::alive;
use meseta_tests::daemon::Pair;
use meseta_tests::scheduler::{Scheduler, patient, terminal};
use meseta_tests::{skip, wait};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const HIERARCHIES: &str = "/sys/fs/cgroup";
const PIDS_MAX: usize = 48;

/// The agent's groups in each hierarchy; when a test fails, what is left in them goes with it.
struct Groups(String);

impl Drop for Groups {
    fn drop(&mut self) {
        for hierarchy in std::fs::read_dir(HIERARCHIES).into_iter().flatten().flatten() {
            let root = hierarchy.path().join(&self.0);
            for container in std::fs::read_dir(&root).into_iter().flatten().flatten() {
                let _ = std::fs::remove_dir(container.path());
            }
            let _ = std::fs::remove_dir(&root);
        }
    }
}

struct Isolated {
    scheduler: Scheduler,
    /// The agent's group in each hierarchy.
    group: String,
}

/// The group of a container in one hierarchy.
fn group(root: &str, controller: &str, container: &str) -> PathBuf {
    Path::new(HIERARCHIES).join(controller).join(root).join(container)
}

fn number(file: &Path) -> i64 {
    let text = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    text.trim()
        .parse()
        .unwrap_or_else(|_| panic!("{}: {text}", file.display()))
}

fn container(status: &TaskStatus) -> String {
    let status = status.container_status.as_ref().unwrap();
    status.container_id.as_ref().unwrap().value.clone()
}

impl Isolated {
    fn launch(&mut self, name: &str, line: &str, cpus: f64, mem: f64) {
        let needs = Needs {
            cpus,
            mem,
            disk: 0.0,
            ports: 0,
        };
        let task = Task::shell(name, line).kill_grace(Duration::ZERO);
        self.scheduler.launch(task, &needs);
    }

    fn run(&mut self, name: &str, line: &str, cpus: f64, mem: f64) -> String {
        self.launch(name, line, cpus, mem);
        self.scheduler
            .until("the task runs", |h| h.is(name, TaskState::TaskRunning));
        container(self.scheduler.heard().last(name).unwrap())
    }

    fn end(&mut self, name: &str) -> TaskStatus {
        self.scheduler.until("the task ends", |h| {
            h.last(name).is_some_and(|s| terminal(s.state()))
        });
        self.scheduler.heard().last(name).unwrap().clone()
    }

    fn processes(&self, container: &str) -> Vec<i32> {
        let procs = group(&self.group, "pids", container).join("cgroup.procs");
        let text = std::fs::read_to_string(procs).unwrap_or_default();
        text.lines().filter_map(|line| line.parse().ok()).collect()
    }

    /// Waits until neither a group nor a process of the container is there.
    fn gone(&self, container: &str, processes: &[i32], bar: &mut Bar) {
        wait::until("nothing of the container is left", || {
            let groups: Vec<PathBuf> = std::fs::read_dir(HIERARCHIES)
                .unwrap()
                .flatten()
                .map(|h| h.path().join(&self.group).join(container))
                .filter(|g| g.exists())
                .collect();
            let left: Vec<i32> = processes.iter().copied().filter(|pid| alive(*pid)).collect();
            if groups.is_empty() && left.is_empty() {
                Ok(())
            } else {
                Err((groups, left))
            }
        });
        bar.figure(
            "left of the container after its end",
            0,
            "no process, no group",
            true,
        );
    }
}

#[test]
fn containers_are_held_to_their_limits_and_leave_nothing_behind() {
    let mut bar = Bar::new("isolation");
    if !skip::unless(
        skip::cgroups_v1(),
        "root with the cgroup v1 controllers cpu, memory and pids",
    ) {
        return bar.finish();
    }
    let root = format!("meseta-test-{}", std::process::id());
    let _groups = Groups(root.clone());
    let pair = Pair::start(
        &[],
        &[
            "--isolation=cgroups/cpu,cgroups/mem,cgroups/pids",
            "--cgroups_enable_cfs",
            &format!("--cgroups_pids_max={PIDS_MAX}"),
            &format!("--cgroups_root={root}"),
            "--resources=cpus:8;mem:4096;disk:1000",
        ],
    );
    let http = Transport::Http(Encoding::Protobuf);
    let mut isolated = Isolated {
        scheduler: Scheduler::start(
            &pair.master_address(),
            patient("isolation"),
            http,
            IdentityStore::Ephemeral,
        ),
        group: root.clone(),
    };
    memory(&mut isolated, &mut bar);
    cpu(&mut isolated, &mut bar);
    fork_bomb(&mut isolated, &mut bar);
    isolated.scheduler.teardown();
    pair.stop();
    // The agent's own groups stay for its next start, but nothing is in them.
    let hierarchies = std::fs::read_dir(HIERARCHIES).unwrap().flatten();
    let left: Vec<PathBuf> = hierarchies
        .map(|h| h.path().join(&root))
        .filter(|g| g.exists() && std::fs::remove_dir(g).is_err())
        .collect();
    bar.figure(
        "groups in the agent's after it ended",
        format!("{left:?}"),
        "none",
        left.is_empty(),
    );
    bar.finish();
}

fn memory(isolated: &mut Isolated, bar: &mut Bar) {
    // `tail` keeps all of its input when there is no end of line in it.
    let container = isolated.run("greedy", "sleep 0.5; exec tail /dev/zero", 0.1, 64.0);
    let processes = isolated.processes(&container);
    let end = isolated.end("greedy");
    let told = format!(
        "{} {}: {}",
        end.state().as_str_name(),
        end.reason().as_str_name(),
        end.message()
    );
    let as_said = end.state() == TaskState::TaskFailed
        && end.reason() == Reason::ContainerLimitationMemory
        && end.message().starts_with("Memory limit exceeded");
    bar.figure(
        "over the memory limit",
        first_line(&told),
        "TASK_FAILED with the limitation",
        as_said,
    );
    let limited = end
        .limitation
        .as_ref()
        .is_some_and(|l| l.resources.iter().any(|r| r.name == "mem"));
    bar.figure("limitation names mem", limited, true, limited);
    isolated.gone(&container, &processes, bar);
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

fn cpu(isolated: &mut Isolated, bar: &mut Bar) {
    // 0.4 of the task and 0.1 of its executor.
    let container = isolated.run("busy", "while :; do :; done", 0.4, 32.0);
    let processes = isolated.processes(&container);
    let files = group(&isolated.group, "cpu", &container);
    let quota =
        number(&files.join("cpu.cfs_quota_us")) as f64 / number(&files.join("cpu.cfs_period_us")) as f64;
    bar.figure(
        "cpu quota",
        format!("{quota:.3}"),
        "0.5",
        (quota - 0.5).abs() < 1e-6,
    );
    if bar::full() {
        let used = |pids: &[i32]| pids.iter().map(|pid| ticks(*pid)).sum::<f64>();
        let (before, start) = (used(&processes), Instant::now());
        std::thread::sleep(Duration::from_secs(10));
        let share = (used(&processes) - before) / start.elapsed().as_secs_f64();
        bar.figure(
            "cpu used by a busy loop",
            format!("{share:.3}"),
            "0.5 +- 10 %",
            (0.45..=0.55).contains(&share),
        );
    }
    isolated.scheduler.kill("busy");
    assert_eq!(isolated.end("busy").state(), TaskState::TaskKilled);
    isolated.gone(&container, &processes, bar);
}

/// User and system time of a process in seconds.
fn ticks(pid: i32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let fields: Vec<f64> = rest
        .split_whitespace()
        .map(|f| f.parse().unwrap_or(0.0))
        .collect();
    let per_second = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK)
        .unwrap()
        .unwrap() as f64;
    match &fields[..] {
        [_, _, _, _, _, _, _, _, _, _, _, user, system, ..] => (user + system) / per_second,
        _ => 0.0,
    }
}

fn fork_bomb(isolated: &mut Isolated, bar: &mut Bar) {
    // The bomb waits for its fuse: a limit that is missing must not cost the machine.
    let container = isolated.run(
        "bomb",
        "mkfifo fuse; read go < fuse; bomb() { bomb | bomb & }; bomb; sleep 1000",
        0.1,
        64.0,
    );
    let files = group(&isolated.group, "pids", &container);
    let max = number(&files.join("pids.max"));
    bar.figure("pids.max", max, PIDS_MAX, max == PIDS_MAX as i64);
    let first = isolated.processes(&container);
    assert_eq!(max, PIDS_MAX as i64, "no bomb without a limit");
    let sandbox = std::fs::read_link(format!("/proc/{}/cwd", first.last().unwrap())).unwrap();
    wait::until("the fuse is there", || {
        if sandbox.join("fuse").exists() {
            Ok(())
        } else {
            Err(())
        }
    });
    std::fs::write(sandbox.join("fuse"), "now\n").unwrap();
    let most = wait::until("the bomb meets its limit", || {
        let events = std::fs::read_to_string(files.join("pids.events")).unwrap_or_default();
        let current = number(&files.join("pids.current"));
        if events.contains("max 0") {
            Err((events, current))
        } else {
            Ok(current)
        }
    });
    bar.figure(
        "processes of a fork bomb",
        most,
        PIDS_MAX,
        most <= PIDS_MAX as i64,
    );
    isolated.scheduler.kill("bomb");
    let end = isolated.end("bomb");
    assert!(terminal(end.state()));
    isolated.gone(&container, &first, bar);
}
