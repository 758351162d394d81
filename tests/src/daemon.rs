//! Roles alone, with flags of the test's choice: for what `meseta up` does not let one set.

use crate::binary::meseta;
use crate::cluster::{ADDED, get_json, signal};
use crate::cron::Cron;
use crate::ports::Offset;
use crate::rest::Server;
use crate::service::Service;
use crate::wait;
use nix::sys::signal::Signal;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// A running role. Dropping it ends it, gently first.
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

    /// An agent with a host name of its own, below `folder`; waits until its master lists it.
    pub(crate) fn agent(folder: &Path, hostname: &str, master: u16, port: u16, flags: &[&str]) -> Daemon {
        let at = |name: &str| folder.join(format!("{hostname}-{name}")).display().to_string();
        let mut args = vec![
            "--ip=127.0.0.1".to_owned(),
            format!("--hostname={hostname}"),
            format!("--port={port}"),
            format!("--master=127.0.0.1:{master}"),
            format!("--work_dir={}", at("work")),
            format!("--runtime_dir={}", at("run")),
            // What the others may have too: these tests are about placement, not about amounts.
            format!("--resources={SMALL}"),
        ];
        args.extend(flags.iter().map(|f| (*f).to_owned()));
        let daemon = Daemon::spawn("agent", &args, folder.join(format!("{hostname}.log")));
        wait::until(&format!("{hostname} is registered"), || {
            let slaves = get_json(&format!("http://127.0.0.1:{master}/slaves"))?;
            let there = |s: &serde_json::Value| s["hostname"] == hostname && s["active"] == true;
            let all = slaves["slaves"].as_array();
            if all.is_some_and(|all| all.iter().any(there)) {
                Ok(())
            } else {
                Err(format!("{slaves}; {}", daemon.said()))
            }
        });
        daemon
    }

    /// Waits until it has ended by itself and returns its exit code.
    ///
    /// # Panics
    /// When it does not end.
    pub fn ended(&mut self) -> Option<i32> {
        wait::until("the process ends by itself", || match self.child.try_wait() {
            Ok(Some(status)) => Ok(status.code()),
            other => Err(format!("{other:?}; {}", self.said())),
        })
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

    /// Starts one more agent, with a host name of its own, and waits until it is registered.
    ///
    /// # Panics
    /// When it does not register.
    pub fn add_agent(&self, hostname: &str, flags: &[&str]) -> Daemon {
        let ports = (self.ports.master(), self.ports.agent(ADDED));
        Daemon::agent(self.folder.path(), hostname, ports.0, ports.1, flags)
    }

    /// Starts a service framework with further flags, or starts it again in the same folder, without a wait.
    pub fn spawn_service(&self, flags: &[&str]) -> Daemon {
        self.framework("service", self.ports.service(), flags)
    }

    /// Starts a service framework with further flags, and waits until it answers.
    ///
    /// # Panics
    /// When it does not.
    pub fn start_service(&self, flags: &[&str]) -> (Daemon, Service) {
        let daemon = self.spawn_service(flags);
        answers("service", self.service().rest, &daemon);
        (daemon, self.service())
    }

    /// Starts a cron framework with further flags, and waits until it answers.
    ///
    /// # Panics
    /// When it does not.
    pub fn start_cron(&self, flags: &[&str]) -> (Daemon, Cron) {
        let daemon = self.framework("cron", self.ports.cron(), flags);
        answers("cron", self.cron().rest, &daemon);
        (daemon, self.cron())
    }

    fn framework(&self, role: &str, port: u16, flags: &[&str]) -> Daemon {
        let mut args = vec![
            format!("--master=127.0.0.1:{}", self.ports.master()),
            "--http_address=127.0.0.1".to_owned(),
            "--hostname=127.0.0.1".to_owned(),
            format!("--http_port={port}"),
            format!("--work_dir={}", self.folder.path().join(role).display()),
        ];
        args.extend(flags.iter().map(|f| (*f).to_owned()));
        Daemon::spawn(role, &args, self.folder.path().join(format!("{role}.log")))
    }

    /// The service framework, if it was started.
    pub fn service(&self) -> Service {
        Service {
            rest: Server {
                port: self.service_port(),
            },
        }
    }

    /// The cron framework, if it was started.
    pub fn cron(&self) -> Cron {
        Cron {
            rest: Server {
                port: self.ports.cron(),
            },
        }
    }

    /// Where the service framework listens.
    pub fn service_port(&self) -> u16 {
        self.ports.service()
    }

    /// `127.0.0.1:PORT` of the master.
    pub fn master_address(&self) -> String {
        format!("127.0.0.1:{}", self.ports.master())
    }

    /// `127.0.0.1:PORT` of the agent.
    pub fn agent_address(&self) -> String {
        format!("127.0.0.1:{}", self.ports.agent(0))
    }

    /// Ends everything of an agent at once, its supervisor and its containers too, as a machine that loses power does:
    /// `agent` is the pair's own, any other name that of an added one. [`Pair::start_agent`] and [`Pair::add_agent`] start
    /// it again, with what it has on its disk.
    ///
    /// # Panics
    /// When processes stay.
    pub fn crash(&mut self, name: &str) {
        let folder = match name {
            "agent" => self.folder.path().join("agent"),
            added => self.folder.path().join(format!("{added}-work")),
        };
        wait::until("the machine is dead", || {
            let left = crate::cluster::mentioning(&folder);
            left.iter().for_each(|pid| signal(*pid, Signal::SIGKILL));
            if left.is_empty() { Ok(()) } else { Err(left) }
        });
        if name == "agent" {
            self.agent = None;
        }
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

/// Resources of an agent that a test adds.
const SMALL: &str = "cpus:4;mem:2048;disk:2048;ports:[20000-20999]";

fn answers(what: &str, rest: Server, daemon: &Daemon) {
    wait::until(&format!("the {what} framework answers"), || {
        let ping = rest.try_call("GET", "/ping", &[], None);
        match ping {
            Ok(reply) if reply.status() == 200 => Ok(()),
            other => Err(format!("{other:?}; {}", daemon.said())),
        }
    });
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
