//! Containers in cgroups (v1): limits, running out of memory, nothing left behind. Needs root and the hierarchies.

#![allow(clippy::unwrap_used)]

#[path = "common/host.rs"]
mod common;

use common::{Host, exists, id, kill, wait_until};
use meseta_containerizer::isolate::{CgroupOptions, Isolation, detect_isolation};
use meseta_containerizer::probe::Verdict;
use meseta_containerizer::{Command, CommandProbe, Event, ExitCause, Limit, Limitation, Resources, UsageOf};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

const HIERARCHY: &str = "/sys/fs/cgroup";
const ISOLATORS: &str = "cgroups/cpu,cgroups/mem,cgroups/pids";

/// A cgroup root of a test's own, removed in the end.
struct Root(String);

impl Root {
    fn new() -> Root {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Root(format!("meseta-test-{}-{number}", std::process::id()))
    }

    fn options(&self) -> CgroupOptions {
        CgroupOptions {
            root: self.0.clone(),
            enable_cfs: true,
            pids_max: Some(20),
            ..CgroupOptions::default()
        }
    }

    fn folder(&self, controller: &str) -> PathBuf {
        Path::new(HIERARCHY).join(controller).join(&self.0)
    }

    fn read(&self, controller: &str, file: &str) -> String {
        let path = self.folder(controller).join(file);
        std::fs::read_to_string(&path)
            .unwrap_or_else(|e| panic!("{}: {e}", path.display()))
            .trim()
            .to_owned()
    }

    /// Names of the containers' cgroups in all hierarchies.
    fn containers(&self) -> Vec<String> {
        ["cpu", "cpuacct", "memory", "pids", "freezer"]
            .iter()
            .filter_map(|controller| std::fs::read_dir(self.folder(controller)).ok())
            .flat_map(|entries| entries.flatten())
            .filter(|entry| entry.path().is_dir())
            .map(|entry| entry.path().display().to_string())
            .collect()
    }

    async fn end(self) {
        assert_eq!(self.containers(), Vec::<String>::new());
        for controller in ["cpu", "cpuacct", "memory", "pids", "freezer"] {
            let _ = std::fs::remove_dir(self.folder(controller));
        }
    }
}

/// The isolation of this root; `None`, loudly, where the host does not allow it.
fn isolation(root: &Root) -> Option<Isolation> {
    let host = detect_isolation(Path::new(HIERARCHY), &root.0);
    match Isolation::choose(ISOLATORS, root.options(), &host) {
        Ok(isolation) => Some(isolation),
        Err(error) => {
            assert!(std::env::var("CI").is_err(), "cannot test cgroups: {error}");
            eprintln!("SKIPPED: {error}");
            None
        }
    }
}

async fn host() -> Option<(Host, Root)> {
    let root = Root::new();
    let isolation = isolation(&root)?;
    Some((Host::with(isolation).await, root))
}

#[tokio::test]
async fn a_container_lives_in_its_cgroups_under_its_limits_and_takes_them_along() {
    let Some((mut host, root)) = host().await else {
        return;
    };
    let mut spec = host.spec(
        "c",
        "cat /proc/self/cgroup; while [ ! -e stop ]; do sleep 0.01; done",
    );
    spec.resources = Resources {
        cpus_milli: 600,
        cpus_limit_milli: Some(Limit::Finite(1500)),
        mem_bytes: 40 << 20,
        mem_limit_bytes: Some(Limit::Finite(80 << 20)),
    };
    host.containerizer.launch(spec).await.unwrap();
    let pid = host.launched("c").await;
    assert_eq!(root.read("cpu", "c/cpu.shares"), "614");
    assert_eq!(root.read("cpu", "c/cpu.cfs_period_us"), "100000");
    assert_eq!(root.read("cpu", "c/cpu.cfs_quota_us"), "150000");
    assert_eq!(
        root.read("memory", "c/memory.soft_limit_in_bytes"),
        (40 << 20).to_string()
    );
    assert_eq!(
        root.read("memory", "c/memory.limit_in_bytes"),
        (80 << 20).to_string()
    );
    assert_eq!(root.read("pids", "c/pids.max"), "20");
    for controller in ["cpu", "cpuacct", "memory", "pids", "freezer"] {
        let processes = root.read(controller, "c/cgroup.procs");
        assert!(
            processes.lines().any(|l| l == pid.to_string()),
            "{controller}: {processes}"
        );
    }
    let usage = host.containerizer.usage(vec![UsageOf { id: id("c"), pid }]).await;
    let usage = usage[0].clone().unwrap();
    assert!(usage.cgroup.mem_total_bytes.unwrap() > 0);
    assert!(usage.cgroup.cpu_throttling.is_some());
    // Updates: memory is only raised, shares go either way.
    let update = |mem_bytes| Resources {
        cpus_milli: 100,
        mem_bytes,
        ..Resources::default()
    };
    host.containerizer
        .update(id("c"), update(96 << 20))
        .await
        .unwrap();
    assert!(matches!(
        host.next().await,
        Event::Updated { outcome: Ok(()), .. }
    ));
    assert_eq!(
        root.read("memory", "c/memory.limit_in_bytes"),
        (96 << 20).to_string()
    );
    assert_eq!(root.read("cpu", "c/cpu.shares"), "102");
    host.containerizer
        .update(id("c"), update(32 << 20))
        .await
        .unwrap();
    assert!(matches!(
        host.next().await,
        Event::Updated { outcome: Ok(()), .. }
    ));
    assert_eq!(
        root.read("memory", "c/memory.limit_in_bytes"),
        (96 << 20).to_string()
    );
    assert_eq!(
        root.read("memory", "c/memory.soft_limit_in_bytes"),
        (32 << 20).to_string()
    );
    std::fs::write(host.sandbox("c").join("stop"), "").unwrap();
    assert_eq!(host.exited("c").await.status(), Some(0));
    assert_eq!(root.containers(), Vec::<String>::new());
    assert!(host.output("c").contains(&format!("memory:/{}/c", root.0)));
    host.end().await;
    root.end().await;
}

#[tokio::test]
async fn running_out_of_memory_ends_the_whole_container_and_says_so() {
    let Some((mut host, root)) = host().await else {
        return;
    };
    // The hog is not the first process: that one would go on if nobody ended it.
    let hog = "head -c 200m /dev/zero | tail";
    host.launch("c", &format!("sh -c '{hog}'; sleep 1000")).await;
    host.launched("c").await;
    let exit = host.exited("c").await;
    assert_eq!(exit.status(), Some(9));
    let Some(Limitation::Memory {
        limit_bytes,
        max_used_bytes,
        message,
    }) = exit.limitation
    else {
        panic!("no limitation");
    };
    assert_eq!(limit_bytes, 32 << 20);
    assert!(max_used_bytes > 16 << 20, "{max_used_bytes}");
    assert!(
        message.starts_with("Memory limit exceeded: Requested: 32MB Maximum Used: "),
        "{message}"
    );
    assert!(message.contains("\nMEMORY STATISTICS: \ncache "), "{message}");
    host.end().await;
    root.end().await;
}

#[tokio::test]
async fn an_ordinary_end_has_no_limitation() {
    let Some((mut host, root)) = host().await else {
        return;
    };
    for n in 0..20 {
        let name = format!("c{n}");
        host.launch(&name, "exit 2").await;
        host.launched(&name).await;
        let exit = host.exited(&name).await;
        assert_eq!((exit.status(), exit.limitation), (Some(2 << 8), None));
        host.containerizer.acknowledge(id(&name)).await.unwrap();
    }
    host.end().await;
    root.end().await;
}

#[tokio::test]
async fn nothing_escapes_a_cgroup_and_nothing_is_told_before_it_is_empty() {
    let Some((mut host, root)) = host().await else {
        return;
    };
    // A daemon without any tie: own session, orphaned, no environment.
    let daemon = "env -i setsid sh -c 'echo $$ > daemon; exec sleep 1000' &";
    host.launch(
        "c",
        &format!("({daemon}); while [ ! -s daemon ]; do sleep 0.01; done; exit 0"),
    )
    .await;
    host.launched("c").await;
    assert_eq!(host.exited("c").await.status(), Some(0));
    let daemon = std::fs::read_to_string(host.sandbox("c").join("daemon")).unwrap();
    assert!(!exists(daemon.trim().parse().unwrap()));
    host.launch("d", "while :; do sleep 1000 & sleep 0.001; done")
        .await;
    host.launched("d").await;
    host.containerizer.destroy(id("d")).await.unwrap();
    host.exited("d").await;
    assert_eq!(root.containers(), Vec::<String>::new());
    host.end().await;
    root.end().await;
}

#[tokio::test]
async fn the_number_of_processes_is_bounded() {
    let Some((mut host, root)) = host().await else {
        return;
    };
    host.launch("c", "for n in $(seq 40); do sleep 1000 & done; echo all; wait")
        .await;
    host.launched("c").await;
    let failed = host.sandbox("c").join("stderr");
    wait_until("a fork fails", || {
        std::fs::read_to_string(&failed).is_ok_and(|text| text.contains("fork"))
    })
    .await;
    assert!(!host.output("c").contains("all"));
    // The shell may have given up by itself.
    host.containerizer.destroy(id("c")).await.unwrap();
    while !matches!(host.next().await, Event::Exited { .. }) {}
    assert_eq!(root.containers(), Vec::<String>::new());
    host.end().await;
    root.end().await;
}

#[tokio::test]
async fn a_probe_runs_in_the_containers_cgroups() {
    let Some((mut host, root)) = host().await else {
        return;
    };
    host.launch("c", "sleep 1000").await;
    host.launched("c").await;
    let spec = host.spec("c", "");
    let probe = CommandProbe {
        container: id("c"),
        sandbox: spec.sandbox,
        command: Command::Shell(format!("grep -q 'memory:/{}/c$' /proc/self/cgroup", root.0).into()),
        environment: spec.environment,
        user: None,
        timeout: None,
    };
    assert_eq!(
        host.containerizer.probe_command(probe).await.unwrap(),
        Verdict::Exited(0)
    );
    host.containerizer.destroy(id("c")).await.unwrap();
    host.exited("c").await;
    host.end().await;
    root.end().await;
}

#[tokio::test]
async fn a_container_adopted_by_a_new_supervisor_is_watched_killed_and_removed() {
    let Some((mut host, root)) = host().await else {
        return;
    };
    host.launch("c", "sleep 1000").await;
    let pid = host.launched("c").await;
    kill(host.supervisor(), 9);
    loop {
        match host.next().await {
            Event::SupervisorReplaced { containers } => {
                assert_eq!(containers.len(), 1);
                break;
            }
            Event::SupervisorDown { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(exists(pid as i32));
    host.containerizer.destroy(id("c")).await.unwrap();
    assert!(matches!(host.exited("c").await.cause, ExitCause::Unseen(_)));
    assert_eq!(root.containers(), Vec::<String>::new());
    host.end().await;
    root.end().await;
}

#[tokio::test]
async fn leftovers_of_an_earlier_run_are_removed_unless_somebody_else_uses_the_root() {
    let root = Root::new();
    let Some(isolation) = isolation(&root) else { return };
    let leave = |name: &str| {
        for controller in ["memory", "freezer"] {
            std::fs::create_dir_all(root.folder(controller).join(name)).unwrap();
        }
        let sleep = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        let procs = root.folder("freezer").join(name).join("cgroup.procs");
        std::fs::write(procs, sleep.id().to_string()).unwrap();
        sleep
    };
    let mut process = leave("left");
    // Its killer froze it and died.
    std::fs::write(root.folder("freezer").join("left/freezer.state"), "FROZEN").unwrap();
    let host = Host::with(isolation.clone()).await;
    process.wait().unwrap();
    wait_until("the leftovers are gone", || root.containers().is_empty()).await;
    let mut process = leave("right");
    let other = Host::with(isolation).await;
    other.end().await;
    assert!(exists(process.id() as i32));
    assert_eq!(root.containers().len(), 2);
    process.kill().unwrap();
    process.wait().unwrap();
    for controller in ["memory", "freezer"] {
        std::fs::remove_dir(root.folder(controller).join("right")).unwrap();
    }
    host.end().await;
    root.end().await;
}
