//! A launcher: a small single-threaded process below the supervisor that carries out launch plans, one after the other.
//!
//! It decides nothing. Several of them keep all CPUs busy, because each stands still while its newborn prepares itself
//! (see [`super::newborn`]). It ends with its supervisor.

use super::log;
use super::newborn::{Birth, Identity, Stack, Stage, Step, Stillborn, give_birth};
use super::sys;
use crate::codec::{Frames, frame};
use crate::isolate::cgroups;
use crate::plan::{Before, Newborn, Plan};
use crate::wire::{Done, Failure, Order};
use std::collections::HashMap;
use std::ffi::CString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a user's ids are remembered; the user database may change or be remote.
const IDENTITY_AGE_MAX: Duration = Duration::from_secs(10);

/// Users remembered at most.
const IDENTITIES_MAX: usize = 1024;

/// Runs until the supervisor is gone. Called right after the fork; never returns into the supervisor's image.
pub(crate) fn run(socket: UnixStream, supervisor: i32, log_path: PathBuf, open_files: libc::rlimit) -> ! {
    let code = match Launcher::new(socket, supervisor, log_path, open_files).and_then(|mut l| l.serve()) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("launcher: {error}");
            1
        }
    };
    sys::exit_now(code)
}

struct Launcher {
    socket: UnixStream,
    supervisor: i32,
    log_path: PathBuf,
    open_files: libc::rlimit,
    null: File,
    stack: Stack,
    identities: HashMap<String, (Instant, Identity)>,
    euid: u32,
}

impl Launcher {
    fn new(
        socket: UnixStream,
        supervisor: i32,
        log_path: PathBuf,
        open_files: libc::rlimit,
    ) -> io::Result<Launcher> {
        Ok(Launcher {
            socket,
            supervisor,
            log_path,
            open_files,
            null: OpenOptions::new().read(true).write(true).open("/dev/null")?,
            stack: Stack::new(),
            identities: HashMap::new(),
            euid: rustix::process::geteuid().as_raw(),
        })
    }

    fn serve(&mut self) -> io::Result<()> {
        let mut frames = Frames::default();
        let mut buffer = vec![0; 64 << 10];
        loop {
            let length = self.socket.read(&mut buffer)?;
            if length == 0 {
                return Ok(());
            }
            frames.push(buffer.get(..length).unwrap_or_default());
            while let Some(order) = frames.next::<Order>().map_err(io::Error::other)? {
                let done = self.carry_out(&order);
                let mut answer = Vec::with_capacity(128);
                frame(&done, &mut answer);
                self.socket.write_all(&answer)?;
            }
        }
    }

    fn carry_out(&mut self, order: &Order) -> Done {
        let key = order.key.clone();
        match self.start(order) {
            Ok(pid) => Done::Born { key, pid },
            Err((pid, failure)) => {
                let made: Vec<_> = order.plan.cgroups().cloned().collect();
                if let Err(error) = cgroups::remove(&made) {
                    eprintln!("launcher: {error}");
                }
                Done::Failed { key, pid, failure }
            }
        }
    }

    fn start(&mut self, order: &Order) -> Result<i32, (i32, Failure)> {
        let plan = &order.plan;
        let identity = self.identity(plan).map_err(|why| {
            let folder = plan.before.iter().find_map(|step| match step {
                Before::MakeSandbox { path } => Some(path.as_str()),
                _ => None,
            });
            (0, sandbox_failure(folder, plan.user.as_deref(), &why))
        })?;
        let outputs = self.prepare(plan, identity.as_ref()).map_err(|f| (0, f))?;
        let null = self.null.as_fd();
        let output = |fd: i32| {
            outputs
                .iter()
                .find(|(descriptor, _)| *descriptor == fd)
                .map_or(null, |(_, file)| file.as_fd())
        };
        let standard = [null, output(1), output(2)];
        let log = log::open_for_append(&self.log_path).map_err(|e| {
            (
                0,
                exec_failure(format!("Failed to open the supervisor's log: {e}")),
            )
        })?;
        let mut birth = birth(order, identity, standard, log.as_fd(), self).map_err(|f| (0, f))?;
        give_birth(&mut birth, &mut self.stack).map_err(|dead| (dead.pid, explain(&dead, plan)))
    }

    /// Who the plan's user is; `None`: nobody else than we are.
    fn identity(&mut self, plan: &Plan) -> Result<Option<Identity>, String> {
        let Some(user) = plan.user.as_deref() else {
            return Ok(None);
        };
        let identity = match self.identities.get(user) {
            Some((at, identity)) if at.elapsed() < IDENTITY_AGE_MAX => identity.clone(),
            _ => {
                let identity = look_up(user)?;
                if self.identities.len() >= IDENTITIES_MAX {
                    self.identities.clear();
                }
                self.identities
                    .insert(user.to_owned(), (Instant::now(), identity.clone()));
                identity
            }
        };
        // Without root there is nothing to switch when it is us, and everything else will fail by the kernel's word.
        let ourselves = identity.uid == self.euid && self.euid != 0;
        Ok((!ourselves).then_some(identity))
    }

    /// Takes the steps before birth; returns the opened outputs.
    fn prepare(&self, plan: &Plan, identity: Option<&Identity>) -> Result<Vec<(i32, File)>, Failure> {
        // Root's own files belong to root already.
        let owner = identity.filter(|i| i.uid != self.euid);
        let mut outputs = Vec::new();
        for step in &plan.before {
            match step {
                Before::MakeSandbox { path } => make_sandbox(path, owner)
                    .map_err(|why| sandbox_failure(Some(path), plan.user.as_deref(), &why))?,
                Before::OpenOutput { descriptor, path } => {
                    let file = open_output(path, owner).map_err(|e| Failure::Sandbox {
                        why: format!("Failed to open '{path}': {e}"),
                    })?;
                    outputs.push((*descriptor, file));
                }
                Before::MakeCgroup { cgroup } => {
                    cgroups::make(cgroup).map_err(|e| Failure::Isolation { why: e.to_string() })?;
                }
                Before::Set { setting } => {
                    cgroups::set(setting).map_err(|e| Failure::Isolation { why: e.to_string() })?;
                }
            }
        }
        Ok(outputs)
    }
}

/// Mesos's words for a sandbox that cannot be made.
fn sandbox_failure(folder: Option<&str>, user: Option<&str>, why: &str) -> Failure {
    let (folder, user) = (folder.unwrap_or_default(), user.unwrap_or_default());
    let why = if user.is_empty() || why.starts_with("Failed") {
        why.to_owned()
    } else {
        format!("Failed to chown directory to '{user}': {why}")
    };
    Failure::Sandbox {
        why: format!("Failed to create executor directory '{folder}': {why}"),
    }
}

fn exec_failure(why: String) -> Failure {
    Failure::Exec { why }
}

/// Asks the host's user database; numbers need not be in it.
fn look_up(user: &str) -> Result<Identity, String> {
    use nix::unistd::{Gid, Uid, User, getgrouplist};
    let found = match user.parse::<u32>() {
        Ok(uid) => User::from_uid(Uid::from_raw(uid)).map(|found| (found, Some(uid))),
        Err(_) => User::from_name(user).map(|found| (found, None)),
    };
    match found.map_err(|e| e.desc().to_owned())? {
        (Some(found), _) => {
            let name = CString::new(found.name).map_err(|e| e.to_string())?;
            let groups = getgrouplist(&name, found.gid).map_err(|e| e.desc().to_owned())?;
            Ok(Identity {
                uid: found.uid.as_raw(),
                gid: found.gid.as_raw(),
                groups: groups.into_iter().map(Gid::as_raw).collect(),
            })
        }
        (None, Some(uid)) => Ok(Identity {
            uid,
            gid: uid,
            groups: Vec::new(),
        }),
        (None, None) => Err(format!("No such user '{user}'")),
    }
}

fn make_sandbox(path: &str, owner: Option<&Identity>) -> Result<(), String> {
    let make = || DirBuilder::new().mode(0o750).create(path);
    match make() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if let Some(parent) = Path::new(path).parent() {
                fs::create_dir_all(parent).map_err(|e| failed_to_make(parent, &e))?;
            }
            make().map_err(|e| failed_to_make(Path::new(path), &e))?;
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => made.map_err(|e| failed_to_make(Path::new(path), &e))?,
    }
    if let Some(owner) = owner {
        // Not through a link that a task of this user may have put there.
        std::os::unix::fs::lchown(path, Some(owner.uid), Some(owner.gid)).map_err(|e| describe(&e))?;
    }
    Ok(())
}

fn failed_to_make(path: &Path, error: &io::Error) -> String {
    format!("Failed to make '{}': {}", path.display(), describe(error))
}

/// Sandbox files are opened by a privileged process in a folder that belongs to the task: never through a link, never
/// something else than a plain file.
fn open_output(path: &str, owner: Option<&Identity>) -> io::Result<File> {
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o644)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path)?;
    if let Some(owner) = owner {
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("it is no plain file"));
        }
        std::os::unix::fs::fchown(&file, Some(owner.uid), Some(owner.gid))?;
    }
    Ok(file)
}

/// Puts a plan into the form a newborn can carry out.
fn birth<'a>(
    order: &Order,
    identity: Option<Identity>,
    standard: [BorrowedFd<'a>; 3],
    log: BorrowedFd<'a>,
    launcher: &Launcher,
) -> Result<Birth<'a>, Failure> {
    let plan = &order.plan;
    let sandbox = plan.newborn.iter().find_map(|step| match step {
        Newborn::ChangeDirectory { path } => Some(path.clone()),
        _ => None,
    });
    let record = log::encode(&log::Record::Started {
        key: order.key.clone(),
        class: order.class.clone(),
        sandbox: sandbox.unwrap_or_default(),
        cgroups: plan.cgroups().cloned().collect(),
        pid: 0,
        born_ns: 0,
    });
    let mut steps = Vec::with_capacity(plan.newborn.len());
    for step in &plan.newborn {
        steps.push(match step {
            // `tasks`, not `cgroup.procs`: a thread that moves only itself spares the kernel the lock that every fork and
            // exec of the host takes, and so a grace period of 5 to 17 ms. A newborn has one thread.
            Newborn::Join { path } => Step::Join(
                OpenOptions::new()
                    .write(true)
                    .open(format!("{path}/tasks"))
                    .map_err(|e| Failure::Isolation {
                        why: format!("Failed to join cgroup '{path}': {}", describe(&e)),
                    })?,
            ),
            Newborn::OwnSession => Step::OwnSession,
            Newborn::Limit { resource, soft, hard } => Step::Limit(
                *resource,
                libc::rlimit {
                    rlim_cur: soft.unwrap_or(libc::RLIM_INFINITY),
                    rlim_max: hard.unwrap_or(libc::RLIM_INFINITY),
                },
            ),
            Newborn::ChangeDirectory { path } => Step::ChangeDirectory(c_string(path)?),
            Newborn::BecomeUser => match &identity {
                Some(identity) => Step::Become(identity.clone()),
                None => continue,
            },
        });
    }
    Ok(Birth {
        standard,
        log,
        record,
        supervisor: launcher.supervisor,
        open_files: launcher.open_files,
        steps,
        candidates: c_strings(&plan.candidates)?,
        argv: c_strings(&plan.argv)?,
        environment: c_strings(&plan.environment)?,
    })
}

fn c_string(text: &str) -> Result<CString, Failure> {
    CString::new(text).map_err(|_| exec_failure(format!("'{}' contains a NUL byte", text.escape_debug())))
}

fn c_strings(texts: &[String]) -> Result<Vec<CString>, Failure> {
    texts.iter().map(|t| c_string(t)).collect()
}

/// The kernel's word alone, as `strerror(3)` gives it.
fn describe(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(errno) => nix::errno::Errno::from_raw(errno).desc().to_owned(),
        None => error.to_string(),
    }
}

fn explain(dead: &Stillborn, plan: &Plan) -> Failure {
    let error = describe(&dead.error);
    // Steps were copied one to one, except that becoming nobody is left out, which is the last.
    let step = |at: usize| plan.newborn.get(at);
    let why = match dead.stage {
        Stage::Clone => format!("Failed to create a process: {error}"),
        Stage::Record => format!("Failed to record the launch: {error}"),
        Stage::Orphaned => "The supervisor died during the launch".to_owned(),
        Stage::OpenFiles => format!("Failed to set the limit of open files: {error}"),
        Stage::Streams => format!("Failed to set the standard streams: {error}"),
        Stage::Exec => {
            let program = plan.candidates.first().map_or("", String::as_str);
            let name = match plan.candidates.len() {
                1 => program,
                _ => program.rsplit('/').next().unwrap_or(program),
            };
            format!("Failed to execute '{name}': {error}")
        }
        Stage::Step(at) => match step(at) {
            Some(Newborn::Join { path }) => {
                return Failure::Isolation {
                    why: format!("Failed to join cgroup '{path}': {error}"),
                };
            }
            Some(Newborn::OwnSession) => format!("Failed to make a session: {error}"),
            Some(Newborn::Limit { resource, .. }) => {
                format!("Failed to set resource limit {resource}: {error}")
            }
            Some(Newborn::ChangeDirectory { path }) => {
                format!("Failed to change to directory '{path}': {error}")
            }
            Some(Newborn::BecomeUser) | None => {
                let user = plan.user.as_deref().unwrap_or_default();
                format!("Failed to become user '{user}': {error}")
            }
        },
    };
    exec_failure(why)
}
