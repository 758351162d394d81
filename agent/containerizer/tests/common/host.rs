//! A containerizer with a real supervisor in a folder of its own, and words to wait for what happens.

#![allow(clippy::unwrap_used, dead_code)] // each test binary uses its part

use meseta_containerizer::isolate::Isolation;
use meseta_containerizer::{
    Command, Config, Containerizer, Event, Exit, LaunchFailure, LaunchSpec, Resources, Started,
};
use meseta_types::ContainerId;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Longer than anything takes on a loaded machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Host {
    pub(crate) containerizer: Containerizer,
    pub(crate) events: mpsc::Receiver<Event>,
    pub(crate) found: Vec<meseta_containerizer::Found>,
    pub(crate) config: Config,
    folder: Option<tempfile::TempDir>,
}

pub(crate) fn id(text: &str) -> ContainerId {
    ContainerId::new(text).unwrap()
}

impl Host {
    pub(crate) async fn new() -> Host {
        Host::with(Isolation::posix()).await
    }

    pub(crate) async fn with(isolation: Isolation) -> Host {
        let folder = tempfile::tempdir().unwrap();
        let helper = env!("CARGO_BIN_EXE_containerizer-helper").into();
        let mut config = Config::new(folder.path().join("run"), vec![helper]);
        config.isolation = isolation;
        config.launchers = 2;
        let started = Containerizer::start(config.clone()).await.unwrap();
        Host::of(started, config, Some(folder))
    }

    fn of(started: Started, config: Config, folder: Option<tempfile::TempDir>) -> Host {
        Host {
            containerizer: started.containerizer,
            events: started.events,
            found: started.found,
            config,
            folder,
        }
    }

    /// The agent ends and starts again.
    pub(crate) async fn restart_agent(mut self) -> Host {
        let (config, folder) = (self.config.clone(), self.folder.take());
        drop(self);
        let started = Containerizer::start(config.clone()).await.unwrap();
        Host::of(started, config, folder)
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.as_ref().unwrap().path()
    }

    pub(crate) fn sandbox(&self, name: &str) -> PathBuf {
        self.folder().join("work/deep").join(name)
    }

    pub(crate) fn spec(&self, name: &str, command: &str) -> LaunchSpec {
        let sandbox = self.sandbox(name);
        LaunchSpec {
            id: id(name),
            environment: vec![("MESOS_SANDBOX".into(), sandbox.to_str().unwrap().into())],
            sandbox: Arc::from(sandbox),
            command: Command::Shell(command.into()),
            user: None,
            resources: Resources {
                cpus_milli: 100,
                mem_bytes: 32 << 20,
                ..Resources::default()
            },
            uris: Vec::new(),
            rlimits: Vec::new(),
        }
    }

    pub(crate) async fn launch(&self, name: &str, command: &str) {
        let spec = self.spec(name, command);
        self.containerizer.launch(spec).await.unwrap();
    }

    pub(crate) async fn next(&mut self) -> Event {
        tokio::time::timeout(PATIENCE, self.events.recv())
            .await
            .expect("nothing happened")
            .expect("the containerizer ended")
    }

    pub(crate) async fn launched(&mut self, name: &str) -> u32 {
        match self.next().await {
            Event::Launched { id, pid } if id.as_str() == name => pid,
            other => panic!("{name} should have been launched: {other:?}"),
        }
    }

    pub(crate) async fn exited(&mut self, name: &str) -> Exit {
        match self.next().await {
            Event::Exited { id, exit } if id.as_str() == name => exit,
            other => panic!("{name} should have exited: {other:?}"),
        }
    }

    pub(crate) async fn failed(&mut self, name: &str) -> LaunchFailure {
        match self.next().await {
            Event::LaunchFailed { id, failure } if id.as_str() == name => failure,
            other => panic!("{name} should not have started: {other:?}"),
        }
    }

    /// Runs to its end; the raw wait status.
    pub(crate) async fn run(&mut self, name: &str, command: &str) -> i32 {
        self.launch(name, command).await;
        self.launched(name).await;
        let status = self.exited(name).await.status().unwrap();
        self.containerizer.acknowledge(id(name)).await.unwrap();
        status
    }

    pub(crate) fn output(&self, name: &str) -> String {
        std::fs::read_to_string(self.sandbox(name).join("stdout")).unwrap()
    }

    /// The supervisor's process.
    pub(crate) fn supervisor(&self) -> i32 {
        supervisor_of(&self.config.runtime_dir)
    }

    /// Ends everything and checks that nothing is left.
    pub(crate) async fn end(self) {
        let supervisor = self.supervisor();
        self.containerizer.stop_supervisor().await.unwrap();
        wait_until("the supervisor is gone", || !exists(supervisor)).await;
        let folder = self.folder().to_owned();
        wait_until("no process of the test is left", || {
            processes_of(&folder).is_empty()
        })
        .await;
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // A failed test leaves nothing either.
        if let Some(folder) = &self.folder {
            for pid in processes_of(folder.path()) {
                kill(pid, 9);
            }
        }
    }
}

pub(crate) fn exists(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_ok_and(|s| !s.contains(") Z"))
}

pub(crate) fn kill(pid: i32, signal: i32) {
    use nix::sys::signal::{Signal, kill};
    let _ = kill(nix::unistd::Pid::from_raw(pid), Signal::try_from(signal).unwrap());
}

/// Processes that name this folder on their command line or in their environment.
pub(crate) fn processes_of(folder: &Path) -> Vec<i32> {
    let name = folder.to_str().unwrap().as_bytes();
    let mentions =
        |file: String| std::fs::read(file).is_ok_and(|bytes| bytes.windows(name.len()).any(|w| w == name));
    std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|e| e.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| *pid != std::process::id() as i32)
        .filter(|pid| mentions(format!("/proc/{pid}/cmdline")) || mentions(format!("/proc/{pid}/environ")))
        .filter(|pid| exists(*pid))
        .collect()
}

/// The process that is its own session's leader among those that supervise this folder.
pub(crate) fn supervisor_of(runtime_dir: &Path) -> i32 {
    let found: Vec<i32> = processes_of(runtime_dir)
        .into_iter()
        .filter(|pid| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let rest: Vec<&str> = stat
                .rsplit(')')
                .next()
                .unwrap_or_default()
                .split_whitespace()
                .collect();
            let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            rest.get(3) == Some(&pid.to_string().as_str()) && command.windows(9).any(|w| w == b"supervise")
        })
        .collect();
    *found.first().expect("a supervisor")
}

pub(crate) async fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = std::time::Instant::now();
    while !condition() {
        assert!(begun.elapsed() < PATIENCE, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
