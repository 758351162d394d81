//! A whole cluster as a user starts it: `meseta up` on ports of its own, in a folder of its own.

use crate::binary::meseta;
use crate::cron::Cron;
use crate::daemon::Daemon;
use crate::ports::Offset;
use crate::rest::Server;
use crate::service::Service;
use crate::wait;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use tempfile::TempDir;

/// The number of an agent that a test adds, beyond those that `up` starts.
pub(crate) const ADDED: u16 = 12;

/// A running `meseta up`. Dropping it ends it, gently first.
#[derive(Debug)]
pub struct Up {
    child: Child,
    folder: TempDir,
    ports: Offset,
    lines: Arc<Mutex<Vec<String>>>,
    args: Vec<String>,
    variables: Vec<(String, String)>,
}

impl Up {
    /// Starts a cluster with further arguments and waits until its master answers and all agents are registered.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn start(args: &[&str]) -> Up {
        Up::start_with(args, &[])
    }

    /// The same with variables of the environment, which every role inherits: so a test sets a flag of one.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn start_with(args: &[&str], variables: &[(&str, &str)]) -> Up {
        let folder = TempDir::new().unwrap_or_else(|error| panic!("no folder for a cluster: {error}"));
        let ports = Offset::take();
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let variables: Vec<(String, String)> = variables.iter().map(owned).collect();
        let (child, lines) = spawn(folder.path(), &ports, &args, &variables);
        let up = Up {
            child,
            folder,
            ports,
            lines,
            args,
            variables,
        };
        up.wait_ready();
        up
    }

    /// Starts it again in the same folder, after it ended or was killed.
    pub fn restart(&mut self) {
        let _ = self.child.wait();
        (self.child, self.lines) = spawn(self.folder.path(), &self.ports, &self.args, &self.variables);
        self.wait_ready();
    }

    fn wait_ready(&self) {
        let agents = self
            .args
            .iter()
            .position(|arg| arg == "--agents")
            .and_then(|at| self.args.get(at + 1));
        let agents: usize = agents.and_then(|n| n.parse().ok()).unwrap_or(1);
        wait::until("the cluster is up", || match self.json("/slaves") {
            Ok(slaves) => {
                let active = slaves["slaves"].as_array().map_or(0, |all| {
                    all.iter()
                        .filter(|slave| slave["active"] == serde_json::Value::Bool(true))
                        .count()
                });
                if active >= agents {
                    Ok(())
                } else {
                    Err(format!("{active} agents; {}", self.said()))
                }
            }
            Err(error) => Err(format!("{error}; {}", self.said())),
        });
        for (what, rest) in [("service", self.service().rest), ("cron", self.cron().rest)] {
            wait::until(&format!("the {what} framework answers"), || {
                let ping = rest.try_call("GET", "/ping", &[], None);
                ping.map_err(|error| format!("{error}; {}", self.said()))
            });
        }
    }

    /// `http://127.0.0.1:PORT` of the master.
    pub fn master(&self) -> String {
        format!("http://{}", self.master_address())
    }

    /// `127.0.0.1:PORT` of the master.
    pub fn master_address(&self) -> String {
        format!("127.0.0.1:{}", self.ports.master())
    }

    /// `http://127.0.0.1:PORT` of the n-th agent.
    pub fn agent(&self, n: u16) -> String {
        format!("http://127.0.0.1:{}", self.ports.agent(n))
    }

    /// Its service framework.
    pub fn service(&self) -> Service {
        Service {
            rest: Server {
                port: self.ports.service(),
            },
        }
    }

    /// Its cron framework.
    pub fn cron(&self) -> Cron {
        Cron {
            rest: Server {
                port: self.ports.cron(),
            },
        }
    }

    /// Starts one more agent, with a host name of its own, and waits until it is registered.
    ///
    /// # Panics
    /// When it does not register.
    pub fn add_agent(&self, hostname: &str, flags: &[&str]) -> Daemon {
        Daemon::agent(
            self.folder.path(),
            hostname,
            self.ports.master(),
            self.ports.agent(ADDED),
            flags,
        )
    }

    /// The folder it keeps its state in.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The process id of `up` itself.
    pub fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// A GET on the master, parsed.
    ///
    /// # Errors
    /// What went wrong, for a wait's message.
    pub fn json(&self, path: &str) -> Result<serde_json::Value, String> {
        get_json(&format!("{}{path}", self.master()))
    }

    /// What `up` printed so far.
    pub fn said(&self) -> String {
        self.lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .join("\n")
    }

    /// Process ids below this `up` whose second argument is the given role (`master`, `agent`, `supervise`).
    pub fn pids(&self, role: &str) -> Vec<i32> {
        let tree = descendants(self.pid(), self.folder.path());
        tree.into_iter()
            .filter(|pid| arguments(*pid).get(1).map(String::as_str) == Some(role))
            .collect()
    }

    /// Sends SIGKILL to the first process of a role and returns its pid.
    ///
    /// # Panics
    /// When there is none.
    pub fn kill(&self, role: &str) -> i32 {
        let pid = *self
            .pids(role)
            .first()
            .unwrap_or_else(|| panic!("no process with the role {role}"));
        signal(pid, Signal::SIGKILL);
        pid
    }

    /// Ends the cluster as Ctrl-C does and waits for it; returns its exit code.
    ///
    /// # Panics
    /// When it does not end.
    pub fn stop(&mut self) -> Option<i32> {
        signal(self.pid(), Signal::SIGINT);
        wait::until("`up` ends", || match self.child.try_wait() {
            Ok(Some(status)) => Ok(status.code()),
            other => Err(format!("{other:?}; {}", self.said())),
        })
    }

    /// Prints what `up` said and the ends of its processes' logs.
    pub fn print_logs(&self) {
        println!("--- `meseta up` said:\n{}", self.said());
        let logs = fs::read_dir(self.folder.path().join("log"));
        for log in logs.into_iter().flatten().flatten() {
            let text = fs::read_to_string(log.path()).unwrap_or_default();
            let tail: Vec<&str> = text.lines().rev().take(30).collect();
            let tail: Vec<&str> = tail.into_iter().rev().collect();
            println!("--- {}:\n{}", log.path().display(), tail.join("\n"));
        }
    }

    /// Processes that mention the cluster's folder in their arguments, environment or working directory.
    pub fn left_over(&self) -> Vec<i32> {
        mentioning(self.folder.path())
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            signal(self.pid(), Signal::SIGINT);
            let start = std::time::Instant::now();
            while matches!(self.child.try_wait(), Ok(None)) && start.elapsed() < wait::PATIENCE {
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        for pid in mentioning(self.folder.path()) {
            signal(pid, Signal::SIGKILL);
        }
        if std::thread::panicking() {
            self.print_logs();
        }
    }
}

fn spawn(
    folder: &Path,
    ports: &Offset,
    args: &[String],
    variables: &[(String, String)],
) -> (Child, Arc<Mutex<Vec<String>>>) {
    let mut command = Command::new(meseta());
    command
        .arg("up")
        .arg("--dir")
        .arg(folder)
        .args(["--ip", "127.0.0.1", "--port-offset"]);
    command.arg(ports.get().to_string()).args(args);
    command.envs(variables.iter().map(|(name, value)| (name, value)));
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command
        .spawn()
        .unwrap_or_else(|error| panic!("`meseta up` does not start: {error}"));
    let lines = Arc::default();
    keep_lines(child.stdout.take(), &lines);
    keep_lines(child.stderr.take(), &lines);
    (child, lines)
}

fn keep_lines(from: Option<impl std::io::Read + Send + 'static>, lines: &Arc<Mutex<Vec<String>>>) {
    let Some(from) = from else { return };
    let lines = Arc::clone(lines);
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        }
    });
}

/// A GET whose body is JSON.
///
/// # Errors
/// What went wrong, for a wait's message.
pub fn get_json(url: &str) -> Result<serde_json::Value, String> {
    let text = get(url)?;
    serde_json::from_str(&text).map_err(|error| format!("{url}: {error}"))
}

/// A GET with a status of 200, over a connection of its own.
///
/// # Errors
/// What went wrong, for a wait's message.
pub fn get(url: &str) -> Result<String, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let client = client();
        let reply = client
            .get(url)
            .send()
            .await
            .map_err(|error| format!("{url}: {error:?}"))?;
        let status = reply.status();
        let text = reply.text().await.map_err(|error| format!("{url}: {error:?}"))?;
        if status.as_u16() == 200 {
            Ok(text)
        } else {
            Err(format!("{url}: {status} {text}"))
        }
    })
}

/// A POST of a form whose answer has a status of 200, over a connection of its own.
///
/// # Errors
/// What went wrong, for a wait's message.
pub fn post_form(url: &str, form: &str) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let request = client()
            .post(url)
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(form.to_owned());
        let reply = request
            .send()
            .await
            .map_err(|error| format!("{url}: {error:?}"))?;
        match reply.status().as_u16() {
            200 => Ok(()),
            status => Err(format!(
                "{url}: {status} {}",
                reply.text().await.unwrap_or_default()
            )),
        }
    })
}

/// An HTTP client for tests: bounded in time, no proxy.
fn client() -> reqwest::Client {
    // Only one provider of cryptography may be installed; a second attempt finds the first, which is fine.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let built = reqwest::Client::builder()
        .timeout(std::time::Duration::from_secs(10))
        .no_proxy()
        .build();
    built.unwrap_or_else(|error| panic!("no HTTP client: {error}"))
}

/// Sends a signal to a process of this test; one that is gone already is no error.
pub fn signal(pid: i32, signal: Signal) {
    let _ = kill(Pid::from_raw(pid), signal);
}

/// The arguments of a process, empty when it is gone.
pub fn arguments(pid: i32) -> Vec<String> {
    let raw = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    raw.split(|byte| *byte == 0)
        .filter(|a| !a.is_empty())
        .map(|a| String::from_utf8_lossy(a).into_owned())
        .collect()
}

/// Whether a process is there and not a zombie.
pub fn alive(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        !stat
            .rsplit_once(')')
            .is_some_and(|(_, rest)| rest.trim_start().starts_with('Z'))
    })
}

fn processes() -> Vec<i32> {
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    all.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

/// Children of children of `root`, and processes that an agent left behind but that name the folder.
fn descendants(root: i32, folder: &Path) -> Vec<i32> {
    let parents: Vec<(i32, i32)> = processes()
        .into_iter()
        .filter_map(|pid| parent(pid).map(|parent| (pid, parent)))
        .collect();
    let mut found = vec![root];
    let mut at = 0;
    while at < found.len() {
        let parent = found[at];
        found.extend(parents.iter().filter(|(_, p)| *p == parent).map(|(pid, _)| *pid));
        at += 1;
    }
    for pid in mentioning(folder) {
        if !found.contains(&pid) {
            found.push(pid);
        }
    }
    found.retain(|pid| *pid != root);
    found
}

fn parent(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(1)?.parse().ok()
}

/// Processes that name a folder in their arguments, environment or working directory.
pub fn mentioning(folder: &Path) -> Vec<i32> {
    let needle = folder.to_string_lossy().into_owned();
    let me = std::process::id().cast_signed();
    processes()
        .into_iter()
        .filter(|pid| *pid != me && alive(*pid))
        .filter(|pid| {
            let text = |name: &str| {
                String::from_utf8_lossy(&fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default())
                    .into_owned()
            };
            let cwd = fs::read_link(format!("/proc/{pid}/cwd")).unwrap_or_default();
            text("cmdline").contains(&needle) || text("environ").contains(&needle) || cwd.starts_with(folder)
        })
        .collect()
}
