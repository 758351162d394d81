//! A cluster as a user starts it, on ports and in a folder of its own.
#![allow(clippy::unwrap_used, dead_code, unreachable_pub)]

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Longer than any loaded machine takes; only a broken test waits this long.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// The binary under test.
pub fn meseta() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_meseta"));
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        let ours = ["MESETA_", "MESOS_", "MARATHON_", "CHRONOS_"];
        if ours.iter().any(|prefix| name.starts_with(prefix)) {
            command.env_remove(name);
        }
    }
    // Whoever runs the tests has a configuration of their own.
    command.env("MESETA_CONFIG", "/nonexistent/config.toml");
    command.stdin(Stdio::null());
    command
}

/// Asks until there is an answer; the error says what is still missing.
#[track_caller]
pub fn until<T>(what: &str, mut ask: impl FnMut() -> Result<T, String>) -> T {
    let start = Instant::now();
    loop {
        match ask() {
            Ok(found) => return found,
            Err(missing) if start.elapsed() > PATIENCE => panic!("{what}: {missing}"),
            Err(_) => std::thread::sleep(Duration::from_millis(25)),
        }
    }
}

/// A program that runs beside the test.
pub struct Running {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    out: Arc<Mutex<Vec<u8>>>,
}

impl Running {
    pub fn start(command: &mut Command) -> Running {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines: Arc<Mutex<Vec<String>>> = Arc::default();
        let out: Arc<Mutex<Vec<u8>>> = Arc::default();
        let (kept, from) = (lines.clone(), child.stderr.take().unwrap());
        std::thread::spawn(move || {
            for line in BufReader::new(from).lines().map_while(Result::ok) {
                kept.lock().unwrap().push(line);
            }
        });
        let (kept, mut from) = (out.clone(), child.stdout.take().unwrap());
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(n) = from.read(&mut piece) {
                if n == 0 {
                    return;
                }
                kept.lock().unwrap().extend_from_slice(&piece[..n]);
            }
        });
        Running { child, lines, out }
    }

    pub fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// Standard error so far.
    pub fn said(&self) -> String {
        self.lines.lock().unwrap().join("\n")
    }

    /// Standard output so far.
    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.out.lock().unwrap()).into_owned()
    }

    #[track_caller]
    pub fn wait_said(&self, text: &str) {
        until("it says so", || {
            let said = self.said();
            if said.contains(text) {
                Ok(())
            } else {
                Err(format!("'{text}' is not in: {said}"))
            }
        });
    }

    #[track_caller]
    pub fn wait_out(&self, text: &str) {
        until("it prints", || {
            let out = self.out();
            if out.contains(text) {
                Ok(())
            } else {
                Err(format!("'{text}' is not in: {out}; {}", self.said()))
            }
        });
    }

    pub fn signal(&self, signal: Signal) {
        signal_pid(self.pid(), signal);
    }

    /// Its exit code; `None` when a signal ended it.
    #[track_caller]
    pub fn wait(&mut self) -> Option<i32> {
        until("it ends", || match self.child.try_wait() {
            Ok(Some(status)) => Ok(status.code()),
            other => Err(format!("{other:?}; {}", self.said())),
        })
    }

    pub fn has_ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Ports nobody else uses while this lives: an offset held by a lock file, as the other tests of the workspace do.
pub struct Ports {
    offset: u16,
    _lock: fs::File,
}

impl Ports {
    pub fn take() -> Ports {
        const STEP: u16 = 20;
        const TRIES: u16 = 1_000;
        let folder = std::env::temp_dir().join("meseta-test-ports");
        fs::create_dir_all(&folder).unwrap();
        let start = u16::try_from(std::process::id() % u32::from(TRIES)).unwrap();
        let offsets = (0..TRIES).map(|n| 1_000 + ((start + n) % TRIES) * STEP);
        let take = |offset: u16| {
            let lock = fs::File::create(folder.join(offset.to_string())).ok()?;
            lock.try_lock().ok()?;
            // Master and agents, service, cron.
            let mut ports = (0..STEP).map(|n| 5050 + n).chain([8080, 4400]);
            let free = ports.all(|port| TcpListener::bind(("127.0.0.1", port + offset)).is_ok());
            free.then_some(Ports { offset, _lock: lock })
        };
        offsets.into_iter().find_map(take).expect("no free ports")
    }

    pub fn offset(&self) -> u16 {
        self.offset
    }

    pub fn master(&self) -> String {
        format!("127.0.0.1:{}", 5050 + self.offset)
    }
}

/// A running `meseta up`. Dropping it ends it, gently first, and whatever it left.
pub struct Up {
    pub up: Running,
    pub folder: TempDir,
    pub ports: Ports,
    args: Vec<String>,
}

impl Up {
    /// Starts it and waits until it says that it is up.
    #[track_caller]
    pub fn start(args: &[&str]) -> Up {
        let (folder, ports) = (TempDir::new().unwrap(), Ports::take());
        let args: Vec<String> = args.iter().map(|a| (*a).to_owned()).collect();
        let up = Running::start(&mut up_command(folder.path(), &ports, &args));
        up.wait_said("Up in");
        Up {
            up,
            folder,
            ports,
            args,
        }
    }

    /// Starts it again in its folder.
    #[track_caller]
    pub fn again(&mut self) {
        self.up = Running::start(&mut up_command(self.folder.path(), &self.ports, &self.args));
        self.up.wait_said("Up in");
    }

    /// The same with other arguments.
    #[track_caller]
    pub fn again_with(&mut self, args: &[&str]) {
        self.args = args.iter().map(|a| (*a).to_owned()).collect();
        self.again();
    }

    /// A command of the command line against this cluster.
    pub fn meseta(&self, args: &[&str]) -> Command {
        let mut command = meseta();
        command.args(["-m", &self.ports.master()]).args(args);
        command
    }

    /// Runs it to its end.
    #[track_caller]
    pub fn run(&self, args: &[&str]) -> Output {
        self.meseta(args).output().unwrap()
    }

    /// Its standard output, if it succeeded.
    #[track_caller]
    pub fn ask(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Processes of this cluster with this role.
    pub fn pids(&self, role: &str) -> Vec<i32> {
        let folder = self.folder.path().to_str().unwrap();
        let mut pids: Vec<i32> = processes()
            .filter(|pid| {
                let words = words(*pid);
                words.get(1).is_some_and(|w| w == role) && words.iter().any(|w| w.contains(folder))
            })
            .collect();
        pids.sort_unstable();
        pids
    }

    /// Whatever of this cluster is still there: processes in or about its folder.
    pub fn left(&self) -> Vec<String> {
        let folder = self.folder.path();
        let text = folder.to_str().unwrap();
        processes()
            .filter(|pid| *pid != std::process::id().cast_signed())
            .filter(|pid| {
                let cwd = fs::read_link(format!("/proc/{pid}/cwd")).unwrap_or_default();
                cwd.starts_with(folder) || words(*pid).iter().any(|w| w.contains(text))
            })
            .map(|pid| format!("{pid} {}", words(pid).join(" ")))
            .filter(|line| line.contains(' ') && !line.ends_with(' '))
            .collect()
    }

    /// The roles' logs, for a failed test.
    fn logs(&self) -> String {
        let logs = fs::read_dir(self.folder.path().join("log"))
            .into_iter()
            .flatten()
            .flatten();
        logs.map(|log| {
            let text = fs::read_to_string(log.path()).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            let tail = lines
                .iter()
                .skip(lines.len().saturating_sub(30))
                .copied()
                .collect::<Vec<_>>();
            format!("--- {}\n{}\n", log.path().display(), tail.join("\n"))
        })
        .collect()
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("--- up said:\n{}\n{}", self.up.said(), self.logs());
        }
        if !self.up.has_ended() {
            self.up.signal(Signal::SIGINT);
            let start = Instant::now();
            while !self.up.has_ended() && start.elapsed() < PATIENCE {
                std::thread::sleep(Duration::from_millis(25));
            }
        }
        for line in self.left() {
            if let Some(pid) = line.split(' ').next().and_then(|pid| pid.parse().ok()) {
                signal_pid(pid, Signal::SIGKILL);
            }
        }
    }
}

fn up_command(folder: &Path, ports: &Ports, args: &[String]) -> Command {
    let mut command = meseta();
    command
        .arg("up")
        .arg("--dir")
        .arg(folder)
        .arg("--port-offset")
        .arg(ports.offset().to_string())
        .args(args);
    command
}

pub fn signal_pid(pid: i32, signal: Signal) {
    let _ = kill(Pid::from_raw(pid), signal);
}

/// Whether a process is there and no zombie.
pub fn alive(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')')
        .is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}

fn words(pid: i32) -> Vec<String> {
    let raw = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words = raw.split(|b| *b == 0).filter(|w| !w.is_empty());
    words.map(|w| String::from_utf8_lossy(w).into_owned()).collect()
}

fn processes() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}
