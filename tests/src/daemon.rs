//! A master or an agent alone, with flags of the test's choice: for what `meseta up` does not let one set.

use crate::binary::meseta;
use crate::cluster::{get_json, signal};
use crate::ports::Offset;
use crate::wait;
use nix::sys::signal::Signal;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// A running master or agent. Dropping it ends it, gently first.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    log: PathBuf,
}

/// A master and an agent on ports of their own, in a folder of their own.
#[derive(Debug)]
pub struct Pair {
    /// The agent; ends before the master.
    pub agent: Option<Daemon>,
    /// The master.
    pub master: Daemon,
    ports: Offset,
    folder: TempDir,
}

impl Daemon {
    fn spawn(role: &str, args: &[String], log: PathBuf) -> Daemon {
        let out = File::create(&log).unwrap_or_else(|error| panic!("{}: {error}", log.display()));
        let err = out
            .try_clone()
            .unwrap_or_else(|error| panic!("{}: {error}", log.display()));
        let child = Command::new(meseta())
            .arg(role)
            .args(args)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .spawn()
            .unwrap_or_else(|error| panic!("`meseta {role}` does not start: {error}"));
        Daemon { child, log }
    }

    /// Its process id.
    pub fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// What it wrote.
    pub fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Sends it a signal and waits until it ended.
    ///
    /// # Panics
    /// When it does not end.
    pub fn end(&mut self, how: Signal) -> Option<i32> {
        signal(self.pid(), how);
        wait::until("the process ends", || match self.child.try_wait() {
            Ok(Some(status)) => Ok(status.code()),
            other => Err(format!("{other:?}; {}", self.said())),
        })
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
        if std::thread::panicking() {
            let text = self.said();
            let tail: Vec<&str> = text.lines().rev().take(40).collect();
            let tail: Vec<&str> = tail.into_iter().rev().collect();
            println!("--- {}:\n{}", self.log.display(), tail.join("\n"));
        }
    }
}

impl Pair {
    /// Starts a master and an agent with further flags, and waits until the agent is registered.
    ///
    /// # Panics
    /// When they do not come up.
    pub fn start(master_flags: &[&str], agent_flags: &[&str]) -> Pair {
        let mut pair = Pair::master_only(master_flags);
        pair.start_agent(agent_flags);
        pair.wait_registered();
        pair
    }

    /// Starts a master alone.
    pub fn master_only(flags: &[&str]) -> Pair {
        let folder = TempDir::new().unwrap_or_else(|error| panic!("no folder: {error}"));
        let ports = Offset::take();
        let mut args = vec![
            "--ip=127.0.0.1".to_owned(),
            format!("--port={}", ports.master()),
            format!("--work_dir={}", folder.path().join("master").display()),
        ];
        args.extend(flags.iter().map(|f| (*f).to_owned()));
        let master = Daemon::spawn("master", &args, folder.path().join("master.log"));
        Pair {
            agent: None,
            master,
            ports,
            folder,
        }
    }

    /// Starts the agent, or starts it again in the same folder.
    pub fn start_agent(&mut self, flags: &[&str]) {
        let folder = self.folder.path();
        let mut args = vec![
            "--ip=127.0.0.1".to_owned(),
            format!("--port={}", self.ports.agent(0)),
            format!("--master=127.0.0.1:{}", self.ports.master()),
            format!("--work_dir={}", folder.join("agent").display()),
            format!("--runtime_dir={}", folder.join("run").display()),
        ];
        args.extend(flags.iter().map(|f| (*f).to_owned()));
        self.agent = Some(Daemon::spawn("agent", &args, folder.join("agent.log")));
    }

    /// Waits until the master lists an active agent.
    ///
    /// # Panics
    /// When it does not.
    pub fn wait_registered(&self) {
        wait::until("the agent is registered", || {
            let slaves = get_json(&format!("http://{}/slaves", self.master_address()))?;
            let active = slaves["slaves"]
                .as_array()
                .is_some_and(|all| all.iter().any(|s| s["active"] == serde_json::Value::Bool(true)));
            if active { Ok(()) } else { Err(slaves.to_string()) }
        });
    }

    /// `127.0.0.1:PORT` of the master.
    pub fn master_address(&self) -> String {
        format!("127.0.0.1:{}", self.ports.master())
    }

    /// `127.0.0.1:PORT` of the agent.
    pub fn agent_address(&self) -> String {
        format!("127.0.0.1:{}", self.ports.agent(0))
    }

    /// The folder of both.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Ends the agent with its containers (SIGUSR2), then the master.
    pub fn stop(mut self) {
        if let Some(mut agent) = self.agent.take() {
            agent.end(Signal::SIGUSR2);
        }
        self.master.end(Signal::SIGTERM);
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        self.agent = None;
        for pid in crate::cluster::mentioning(self.folder.path()) {
            if pid != self.master.pid() {
                signal(pid, Signal::SIGKILL);
            }
        }
    }
}
