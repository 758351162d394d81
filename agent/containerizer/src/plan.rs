//! Launch plans: what is to be done to start a process, in order, as data. Pure: no I/O, printable, tested without root.
//!
//! Called by the agent's side of the containerizer; the plan travels to the supervisor and on to a launcher, which
//! carries it out without deciding anything (`supervise::launcher`, `supervise::newborn`).

use crate::codec::{coded_enum, coded_struct};
use crate::isolate::{Controller, Isolation};
use crate::spec::{Command, CommandProbe, LaunchSpec, Rlimit};
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

mod limits;
pub(crate) use limits::settings;

/// Everything to do for one process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The user it runs as and that owns what is made for it; resolved where the plan is carried out.
    pub(crate) user: Option<String>,
    /// What the launcher does before the process is born.
    pub(crate) before: Vec<Before>,
    /// What the process does itself, in order, before it executes its program.
    pub(crate) newborn: Vec<Newborn>,
    /// Paths to try one after the other, as `execvp(3)` would.
    pub(crate) candidates: Vec<String>,
    /// The program's arguments.
    pub(crate) argv: Vec<String>,
    /// `NAME=VALUE`.
    pub(crate) environment: Vec<String>,
}

/// A step of the launcher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Before {
    /// Make a folder (mode 0750) with its parents and give it to the user.
    MakeSandbox { path: String },
    /// Open a file for appending as this descriptor, made with mode 0644 and given to the user.
    OpenOutput { descriptor: i32, path: String },
    /// Make a cgroup.
    MakeCgroup { cgroup: Cgroup },
    /// Write one setting of a cgroup.
    Set { setting: Setting },
}

/// A step of the newborn process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Newborn {
    /// Join a cgroup.
    Join { path: String },
    /// Become leader of a session of its own.
    OwnSession,
    /// Set a resource limit.
    Limit {
        resource: u32,
        soft: Option<u64>,
        hard: Option<u64>,
    },
    /// Change the working directory.
    ChangeDirectory { path: String },
    /// Become the plan's user, with its groups.
    BecomeUser,
}

/// A cgroup: in which hierarchy and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cgroup {
    pub(crate) controller: Controller,
    pub(crate) path: String,
}
coded_struct!(Cgroup { controller, path });

/// A value to write into a cgroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Setting {
    /// `cpu.shares`.
    CpuShares { path: String, shares: u64 },
    /// `cpu.cfs_period_us` and `cpu.cfs_quota_us`; a negative quota is none.
    CpuQuota {
        path: String,
        period_us: u64,
        quota_us: i64,
    },
    /// `memory.soft_limit_in_bytes`.
    MemorySoft { path: String, bytes: i64 },
    /// `memory.limit_in_bytes` (negative: none) and, if asked for, the bound of memory and swap. Lowered only when `lower`.
    MemoryHard {
        path: String,
        bytes: i64,
        swap: bool,
        lower: bool,
    },
    /// `pids.max`.
    PidsMax { path: String, most: u64 },
}

coded_enum!(Before {
    1 => MakeSandbox { path },
    2 => OpenOutput { descriptor, path },
    3 => MakeCgroup { cgroup },
    4 => Set { setting },
});
coded_enum!(Newborn {
    1 => Join { path },
    2 => OwnSession,
    3 => Limit { resource, soft, hard },
    4 => ChangeDirectory { path },
    5 => BecomeUser,
});
coded_enum!(Setting {
    1 => CpuShares { path, shares },
    2 => CpuQuota { path, period_us, quota_us },
    3 => MemorySoft { path, bytes },
    4 => MemoryHard { path, bytes, swap, lower },
    5 => PidsMax { path, most },
});
coded_struct!(Plan {
    user,
    before,
    newborn,
    candidates,
    argv,
    environment
});

/// Where programs are looked for when the environment names no `PATH` (Mesos's default).
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Bytes of command line and environment that Linux takes with an ordinary stack limit.
const ARGUMENT_BYTES_MAX: usize = 2 << 20;

/// Why there is no plan: the spec asks for something that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A text that becomes a C string has a NUL byte in it.
    #[error("{0} contains a NUL byte")]
    Nul(&'static str),
    /// The sandbox must be an absolute path of UTF-8 text.
    #[error("'{0}' is not an absolute path")]
    Sandbox(String),
    /// The kernel executes nothing with so much.
    #[error("command and environment are longer than {ARGUMENT_BYTES_MAX} bytes together")]
    TooLong,
    /// A command without a program.
    #[error("the command has no program")]
    NoProgram,
}

impl Plan {
    /// The cgroups it makes.
    pub(crate) fn cgroups(&self) -> impl Iterator<Item = &Cgroup> {
        self.before.iter().filter_map(|step| match step {
            Before::MakeCgroup { cgroup } => Some(cgroup),
            _ => None,
        })
    }
}

/// Plans the start of a container.
pub fn plan_launch(spec: &LaunchSpec, isolation: &Isolation) -> Result<Plan, Refusal> {
    let sandbox = sandbox_text(&spec.sandbox)?;
    let cgroups = isolation.cgroups(spec.id.as_str());
    let mut before = vec![
        Before::MakeSandbox {
            path: sandbox.clone(),
        },
        Before::OpenOutput {
            descriptor: 1,
            path: format!("{sandbox}/stdout"),
        },
        Before::OpenOutput {
            descriptor: 2,
            path: format!("{sandbox}/stderr"),
        },
    ];
    for cgroup in &cgroups {
        before.push(Before::MakeCgroup {
            cgroup: cgroup.clone(),
        });
    }
    let settings = settings(&cgroups, &spec.resources, isolation, true);
    before.extend(settings.into_iter().map(|setting| Before::Set { setting }));
    let environment = environment(&spec.environment)?;
    finish(
        spec.user.as_ref(),
        before,
        newborn(cgroups, &spec.rlimits, sandbox),
        &spec.command,
        environment,
    )
}

/// Plans the fetching of a container's files: the helper, as the container's user, in its sandbox, its log in the
/// sandbox's `stderr`. It belongs to no cgroup.
pub(crate) fn plan_fetch(
    spec: &LaunchSpec,
    helper: &[String],
    environment: Vec<String>,
) -> Result<Plan, Refusal> {
    let sandbox = sandbox_text(&spec.sandbox)?;
    let before = vec![
        Before::MakeSandbox {
            path: sandbox.clone(),
        },
        Before::OpenOutput {
            descriptor: 1,
            path: format!("{sandbox}/stdout"),
        },
        Before::OpenOutput {
            descriptor: 2,
            path: format!("{sandbox}/stderr"),
        },
    ];
    let (program, _) = helper.split_first().ok_or(Refusal::NoProgram)?;
    let command = Command::Program {
        path: Arc::from(program.as_str()),
        argv: helper.iter().map(|a| Arc::from(a.as_str())).collect(),
    };
    finish(
        spec.user.as_ref(),
        before,
        newborn(Vec::new(), &[], sandbox),
        &command,
        environment,
    )
}

/// Plans a command that checks a container: in its sandbox and cgroups, as its user, its output thrown away.
pub(crate) fn plan_probe(probe: &CommandProbe, isolation: &Isolation) -> Result<Plan, Refusal> {
    let sandbox = sandbox_text(&probe.sandbox)?;
    let cgroups = isolation.cgroups(probe.container.as_str());
    finish(
        probe.user.as_ref(),
        Vec::new(),
        newborn(cgroups, &[], sandbox),
        &probe.command,
        environment(&probe.environment)?,
    )
}

fn sandbox_text(sandbox: &Path) -> Result<String, Refusal> {
    match sandbox.to_str() {
        Some(text) if sandbox.is_absolute() => Ok(text.to_owned()),
        _ => Err(Refusal::Sandbox(sandbox.display().to_string())),
    }
}

/// The order matters. Cgroups before the program allocates anything; but that of the CPU only when nearly all is done,
/// because from then on the process, for which its launcher waits, runs at the container's weight. The user last, because
/// becoming it takes the right to do the rest away.
fn newborn(cgroups: Vec<Cgroup>, rlimits: &[Rlimit], sandbox: String) -> Vec<Newborn> {
    let (late, early): (Vec<Cgroup>, Vec<Cgroup>) =
        cgroups.into_iter().partition(|c| c.controller == Controller::Cpu);
    let join = |cgroup: Cgroup| Newborn::Join { path: cgroup.path };
    let mut steps: Vec<Newborn> = early.into_iter().map(join).collect();
    steps.push(Newborn::OwnSession);
    steps.extend(rlimits.iter().map(|r| Newborn::Limit {
        resource: r.resource,
        soft: r.soft,
        hard: r.hard,
    }));
    steps.push(Newborn::ChangeDirectory { path: sandbox });
    steps.extend(late.into_iter().map(join));
    steps.push(Newborn::BecomeUser);
    steps
}

/// `NAME=VALUE` with the last value of each name at the place of the first, and a `PATH`.
fn environment(pairs: &[(Arc<str>, Arc<str>)]) -> Result<Vec<String>, Refusal> {
    let mut at: BTreeMap<&str, usize> = BTreeMap::new();
    let mut out: Vec<String> = Vec::with_capacity(pairs.len() + 1);
    for (name, value) in pairs {
        let entry = format!("{name}={value}");
        match at.get(&**name) {
            Some(index) => out[*index] = entry,
            None => {
                at.insert(name, out.len());
                out.push(entry);
            }
        }
    }
    if !at.contains_key("PATH") {
        out.push(format!("PATH={DEFAULT_PATH}"));
    }
    Ok(out)
}

fn finish(
    user: Option<&Arc<str>>,
    before: Vec<Before>,
    newborn: Vec<Newborn>,
    command: &Command,
    environment: Vec<String>,
) -> Result<Plan, Refusal> {
    let (candidates, argv) = match command {
        Command::Shell(text) => (
            vec!["/bin/sh".to_owned()],
            vec!["sh".to_owned(), "-c".to_owned(), text.to_string()],
        ),
        Command::Program { path, .. } if path.is_empty() => return Err(Refusal::NoProgram),
        Command::Program { path, argv } => {
            let argv = if argv.is_empty() {
                vec![path.to_string()]
            } else {
                argv.iter().map(|a| a.to_string()).collect()
            };
            (candidates(path, &environment), argv)
        }
    };
    let plan = Plan {
        user: user.map(|u| u.to_string()),
        before,
        newborn,
        candidates,
        argv,
        environment,
    };
    plan.check()?;
    Ok(plan)
}

/// Where the program may be: itself if it names a path, else below each folder of `PATH`.
fn candidates(program: &str, environment: &[String]) -> Vec<String> {
    if program.contains('/') {
        return vec![program.to_owned()];
    }
    let path = environment
        .iter()
        .find_map(|e| e.strip_prefix("PATH="))
        .unwrap_or(DEFAULT_PATH);
    path.split(':')
        .map(|folder| match folder {
            "" => format!("./{program}"), // an empty part of PATH is the working directory
            folder => format!("{}/{program}", folder.trim_end_matches('/')),
        })
        .collect()
}

impl Plan {
    /// Every text that becomes a C string is one.
    fn check(&self) -> Result<(), Refusal> {
        let nul = |text: &str| text.as_bytes().contains(&0);
        if self.candidates.iter().chain(&self.argv).any(|t| nul(t)) {
            return Err(Refusal::Nul("the command"));
        }
        if self.environment.iter().any(|t| nul(t)) {
            return Err(Refusal::Nul("the environment"));
        }
        let texts = self.argv.iter().chain(&self.environment);
        if texts.map(|t| t.len() + 1).sum::<usize>() > ARGUMENT_BYTES_MAX {
            return Err(Refusal::TooLong);
        }
        if self.user.as_deref().is_some_and(nul) {
            return Err(Refusal::Nul("the user"));
        }
        Ok(())
    }
}

impl fmt::Display for Plan {
    /// One step a line, as a person would write them down.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = self.user.as_deref().unwrap_or("(unchanged)");
        for step in &self.before {
            match step {
                Before::MakeSandbox { path } => writeln!(f, "make folder {path} for {user}")?,
                Before::OpenOutput { descriptor, path } => {
                    writeln!(f, "open {path} as descriptor {descriptor}")?;
                }
                Before::MakeCgroup { cgroup } => writeln!(f, "make cgroup {}", cgroup.path)?,
                Before::Set { setting } => writeln!(f, "set {setting}")?,
            }
        }
        writeln!(f, "new process")?;
        for step in &self.newborn {
            match step {
                Newborn::Join { path } => writeln!(f, "  join {path}")?,
                Newborn::OwnSession => writeln!(f, "  own session")?,
                Newborn::Limit { resource, soft, hard } => {
                    writeln!(f, "  limit {resource} to {soft:?} {hard:?}")?;
                }
                Newborn::ChangeDirectory { path } => writeln!(f, "  change to {path}")?,
                Newborn::BecomeUser => writeln!(f, "  become {user}")?,
            }
        }
        writeln!(f, "  execute {:?} {:?}", self.candidates, self.argv)
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Setting::CpuShares { path, shares } => write!(f, "{path}/cpu.shares {shares}"),
            Setting::CpuQuota {
                path,
                period_us,
                quota_us,
            } => write!(f, "{path}/cpu.cfs_quota_us {quota_us} of {period_us}"),
            Setting::MemorySoft { path, bytes } => {
                write!(f, "{path}/memory.soft_limit_in_bytes {bytes}")
            }
            Setting::MemoryHard {
                path,
                bytes,
                swap,
                lower,
            } => write!(
                f,
                "{path}/memory.limit_in_bytes {bytes}{}{}",
                if *swap { " with swap" } else { "" },
                if *lower { "" } else { " unless that lowers it" },
            ),
            Setting::PidsMax { path, most } => write!(f, "{path}/pids.max {most}"),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
