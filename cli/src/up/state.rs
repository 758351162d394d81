//! The folder of a cluster: found, locked, and told about.

use super::child::no_state;
use super::plan::{Plan, Role};
use crate::failure::{Failure, exit};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::unistd::Uid;
use serde_json::{Value, json};
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

/// The folder asked for, or the usual one.
pub(super) fn folder(asked: Option<&Path>) -> Result<PathBuf, Failure> {
    let folder = match asked {
        Some(folder) => folder.to_owned(),
        None => usual().ok_or_else(|| {
            Failure::new(
                "no-state",
                exit::USAGE,
                "there is no home directory to keep state in",
            )
            .fix("meseta up --dir DIR")
        })?,
    };
    // Children get it in their flags, whatever directory they are in.
    std::path::absolute(&folder).map_err(|e| no_state(&folder, &e))
}

fn usual() -> Option<PathBuf> {
    if let Some(state) = std::env::var_os("XDG_STATE_HOME").filter(|v| !v.is_empty()) {
        return Some(Path::new(&state).join("meseta/up"));
    }
    if Uid::effective().is_root() {
        return Some(PathBuf::from("/var/lib/meseta/up"));
    }
    let home = std::env::var_os("HOME").filter(|v| !v.is_empty())?;
    Some(Path::new(&home).join(".local/state/meseta/up"))
}

/// The master of the `up` that runs in the usual folder, if one does.
pub(crate) fn running_master() -> Option<String> {
    let folder = usual()?;
    let text = fs::read_to_string(folder.join("up.json")).ok()?;
    let told: Value = serde_json::from_str(&text).ok()?;
    let lock = File::open(folder.join("lock")).ok()?;
    // A lock that can be had means that nobody runs there any more.
    match Flock::lock(lock, FlockArg::LockSharedNonblock) {
        Err((_, Errno::EWOULDBLOCK)) => told.get("master")?.as_str().map(str::to_owned),
        _ => None,
    }
}

/// The addresses as a shell reads them: `eval "$(meseta up --detach -o env)"`.
pub(super) fn env_lines(plan: &Plan) -> String {
    let mut text = format!("export MESETA_MASTER={}\n", plan.master());
    for (name, role) in [("SERVICE", Role::Service), ("CRON", Role::Cron)] {
        if plan.has(&role) {
            text.push_str(&format!("export MESETA_{name}_URL={}\n", plan.url(&role)));
        }
    }
    text
}

/// The process that holds the folder's lock. `None` when nobody does.
pub(super) fn holder(folder: &Path) -> Option<i32> {
    let lock = File::open(folder.join("lock")).ok()?;
    match Flock::lock(lock.try_clone().ok()?, FlockArg::LockSharedNonblock) {
        Err((_, Errno::EWOULDBLOCK)) => {}
        _ => return None,
    }
    let mut pid = String::new();
    lock.take(20).read_to_string(&mut pid).ok()?;
    pid.trim().parse().ok()
}

/// The locked folder. The lock ends with this process, however it ends.
#[derive(Debug)]
pub(super) struct State {
    folder: PathBuf,
    _lock: Flock<File>,
}

impl State {
    /// Makes the folder and locks it.
    pub(super) fn lock(folder: &Path) -> Result<State, Failure> {
        let path = folder.join("lock");
        let fault = |e: &std::io::Error| no_state(&path, e);
        fs::create_dir_all(folder).map_err(|e| fault(&e))?;
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path);
        let file = file.map_err(|e| fault(&e))?;
        let mut lock = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => lock,
            Err((mut file, Errno::EWOULDBLOCK)) => return Err(in_use(folder, &mut file)),
            Err((_, errno)) => return Err(fault(&errno.into())),
        };
        lock.set_len(0)
            .and_then(|()| lock.rewind())
            .and_then(|()| writeln!(lock, "{}", std::process::id()))
            .map_err(|e| fault(&e))?;
        Ok(State {
            folder: folder.to_owned(),
            _lock: lock,
        })
    }

    /// Tells other commands where the cluster is. They manage without.
    pub(super) fn running(&self, plan: &Plan) {
        let url = |role: Role| plan.has(&role).then(|| plan.url(&role));
        let told = json!({
            "format": 1,
            "pid": std::process::id(),
            "master": plan.master().to_string(),
            "service": url(Role::Service),
            "cron": url(Role::Cron),
        });
        let (path, beside) = (self.folder.join("up.json"), self.folder.join("up.json.new"));
        let _ = fs::write(&beside, format!("{told}\n")).and_then(|()| fs::rename(&beside, &path));
    }

    /// The cluster is no more.
    pub(super) fn forget(&self) {
        let _ = fs::remove_file(self.folder.join("up.json"));
    }
}

fn in_use(folder: &Path, file: &mut File) -> Failure {
    let mut pid = String::new();
    // The other one may just be writing it.
    let _ = file.take(20).read_to_string(&mut pid);
    let who = match pid.trim() {
        "" => String::new(),
        pid => format!(" by process {pid} (meseta up)"),
    };
    let what = format!("the cluster in {} is in use{who}", folder.display());
    Failure::new("store-in-use", exit::TRY_AGAIN, what)
        .detail("the lock is alive, it is not a left-over")
        .fix("stop that one, or run beside it: meseta up --dir DIR --port-offset 100")
}
