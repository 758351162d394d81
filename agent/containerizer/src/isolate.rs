//! Which isolators there are, what a host offers, and what an operator chose.
//!
//! Choosing is pure; [`detect_isolation`] looks at the host. What is written where is planned by [`crate::plan`] and
//! carried out in `isolate::cgroups`, the only module that knows cgroups-rs.

use crate::codec::coded_enum;
use crate::plan::Cgroup;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

pub(crate) mod cgroups;

/// A cgroup (v1) controller we use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Controller {
    /// Shares and quota.
    Cpu,
    /// CPU time; a hierarchy of its own or that of `cpu`.
    CpuAcct,
    /// Memory limits and statistics.
    Memory,
    /// Number of processes.
    Pids,
    /// Stopping everything at once, for killing.
    Freezer,
}
coded_enum!(Controller { 1 => Cpu, 2 => CpuAcct, 3 => Memory, 4 => Pids, 5 => Freezer });

impl Controller {
    /// Every controller, in the order in which they are joined.
    pub const ALL: [Controller; 5] = [
        Controller::Cpu,
        Controller::CpuAcct,
        Controller::Memory,
        Controller::Pids,
        Controller::Freezer,
    ];

    /// The kernel's name.
    pub fn name(self) -> &'static str {
        match self {
            Controller::Cpu => "cpu",
            Controller::CpuAcct => "cpuacct",
            Controller::Memory => "memory",
            Controller::Pids => "pids",
            Controller::Freezer => "freezer",
        }
    }
}

/// One isolator, by Mesos's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Isolator {
    /// `posix/cpu`: CPU statistics by walking processes.
    PosixCpu,
    /// `posix/mem`: memory statistics by walking processes.
    PosixMem,
    /// `posix/rlimits`: resource limits of processes; always in effect, named for compatibility.
    PosixRlimits,
    /// `filesystem/posix`: the host's file system; always in effect, named for compatibility.
    FilesystemPosix,
    /// `cgroups/cpu`: shares, quota, statistics.
    CgroupsCpu,
    /// `cgroups/mem`: limits, OOM detection, statistics.
    CgroupsMem,
    /// `cgroups/pids`: a bound on processes.
    CgroupsPids,
}

impl Isolator {
    const ALL: [Isolator; 7] = [
        Isolator::PosixCpu,
        Isolator::PosixMem,
        Isolator::PosixRlimits,
        Isolator::FilesystemPosix,
        Isolator::CgroupsCpu,
        Isolator::CgroupsMem,
        Isolator::CgroupsPids,
    ];

    /// Its name in `--isolation`.
    pub fn name(self) -> &'static str {
        match self {
            Isolator::PosixCpu => "posix/cpu",
            Isolator::PosixMem => "posix/mem",
            Isolator::PosixRlimits => "posix/rlimits",
            Isolator::FilesystemPosix => "filesystem/posix",
            Isolator::CgroupsCpu => "cgroups/cpu",
            Isolator::CgroupsMem => "cgroups/mem",
            Isolator::CgroupsPids => "cgroups/pids",
        }
    }

    /// Controllers it cannot do without, and those it uses if the host has them.
    fn controllers(self) -> (&'static [Controller], &'static [Controller]) {
        match self {
            Isolator::PosixCpu | Isolator::PosixMem | Isolator::PosixRlimits | Isolator::FilesystemPosix => {
                (&[], &[])
            }
            Isolator::CgroupsCpu => (&[Controller::Cpu], &[Controller::CpuAcct, Controller::Freezer]),
            Isolator::CgroupsMem => (&[Controller::Memory], &[Controller::Freezer]),
            Isolator::CgroupsPids => (&[Controller::Pids], &[Controller::Freezer]),
        }
    }
}

/// Why a text is no isolation for this host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IsolationError {
    /// No such isolator here.
    #[error("Unknown or unsupported isolator '{0}'")]
    Unknown(String),
    /// Named twice.
    #[error("Duplicate entries found in --isolation flag: '{0}'")]
    Duplicate(String),
    /// The host has no such controller, or we may not use it.
    #[error("Isolator '{isolator}' cannot be used on this host: {why}")]
    Unavailable {
        /// Which.
        isolator: &'static str,
        /// Why.
        why: String,
    },
    /// The name of our cgroup must stay one below the hierarchies' roots.
    #[error("'{0}' cannot be the name of a cgroup")]
    Root(String),
}

/// What an operator may set about cgroups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CgroupOptions {
    /// Name of our cgroup in each hierarchy (`--cgroups_root`).
    pub root: String,
    /// Whether CPU requests are also upper bounds (`--cgroups_enable_cfs`).
    pub enable_cfs: bool,
    /// Whether the memory limit also bounds memory and swap together (`--cgroups_limit_swap`).
    pub limit_swap: bool,
    /// Most processes of a container (`--cgroups_pids_max`); `None`: no limit is written.
    pub pids_max: Option<u64>,
}

impl Default for CgroupOptions {
    fn default() -> Self {
        CgroupOptions {
            root: "mesos".to_owned(),
            enable_cfs: false,
            limit_swap: false,
            pids_max: None,
        }
    }
}

/// What a host offers: usable hierarchies, and why the others are not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostIsolation {
    mounts: BTreeMap<Controller, PathBuf>,
    unusable: BTreeMap<Controller, String>,
}

impl HostIsolation {
    /// For tests and simulations: a host with these hierarchies.
    pub fn of_mounts<P: Into<PathBuf>>(mounts: impl IntoIterator<Item = (Controller, P)>) -> HostIsolation {
        HostIsolation {
            mounts: mounts.into_iter().map(|(c, p)| (c, p.into())).collect(),
            unusable: BTreeMap::new(),
        }
    }

    /// The strongest isolation this host allows, as a value of `--isolation`.
    pub fn strongest(&self) -> String {
        let mut names = Vec::new();
        for (cgroups, posix) in [
            (Isolator::CgroupsCpu, Some(Isolator::PosixCpu)),
            (Isolator::CgroupsMem, Some(Isolator::PosixMem)),
            (Isolator::CgroupsPids, None),
        ] {
            if self.missing(cgroups).is_none() {
                names.push(cgroups.name());
            } else if let Some(posix) = posix {
                names.push(posix.name());
            }
        }
        names.join(",")
    }

    /// Why this controller cannot be used; `None`: it can.
    pub fn why_not(&self, controller: Controller) -> Option<&str> {
        if self.mounts.contains_key(&controller) {
            return None;
        }
        Some(
            self.unusable
                .get(&controller)
                .map_or("no such hierarchy is mounted", String::as_str),
        )
    }

    fn missing(&self, isolator: Isolator) -> Option<String> {
        let (needed, _) = isolator.controllers();
        needed.iter().find_map(|controller| {
            self.why_not(*controller)
                .map(|why| format!("controller {}: {why}", controller.name()))
        })
    }
}

/// Looks at the host: which cgroup (v1) hierarchies below `hierarchy` (ordinarily `/sys/fs/cgroup`) this process may make
/// cgroups in. Changes nothing.
pub fn detect_isolation(hierarchy: &Path, root: &str) -> HostIsolation {
    let mut host = HostIsolation::default();
    for (controller, mount) in cgroups::mounts(hierarchy) {
        let ours = mount.join(root);
        let place = if ours.is_dir() { &ours } else { &mount };
        match rustix::fs::access(place, rustix::fs::Access::WRITE_OK) {
            Ok(()) => {
                host.mounts.insert(controller, mount);
            }
            Err(error) => {
                let why = format!("{}: {}", place.display(), std::io::Error::from(error));
                host.unusable.insert(controller, why);
            }
        }
    }
    host
}

/// How new containers are isolated: the operator's choice, checked against the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Isolation {
    isolators: BTreeSet<Isolator>,
    /// Hierarchies in use, each mount point once.
    mounts: Vec<(Controller, PathBuf)>,
    root: String,
    pub(crate) enable_cfs: bool,
    pub(crate) limit_swap: bool,
    pub(crate) pids_max: Option<u64>,
}

impl Isolation {
    /// `posix/cpu,posix/mem`: Mesos's default, works everywhere and without root.
    pub fn posix() -> Isolation {
        Isolation {
            isolators: BTreeSet::from([Isolator::PosixCpu, Isolator::PosixMem]),
            mounts: Vec::new(),
            root: CgroupOptions::default().root,
            enable_cfs: false,
            limit_swap: false,
            pids_max: None,
        }
    }

    /// Reads a value of `--isolation` for this host.
    pub fn choose(
        text: &str,
        options: CgroupOptions,
        host: &HostIsolation,
    ) -> Result<Isolation, IsolationError> {
        let isolators = parse(text)?;
        let root = options.root;
        let parts_fit = Path::new(&root)
            .components()
            .all(|part| matches!(part, std::path::Component::Normal(_)));
        if root.is_empty() || !parts_fit {
            return Err(IsolationError::Root(root));
        }
        let mut wanted = BTreeSet::new();
        for isolator in &isolators {
            if let Some(why) = host.missing(*isolator) {
                return Err(IsolationError::Unavailable {
                    isolator: isolator.name(),
                    why,
                });
            }
            let (needed, useful) = isolator.controllers();
            wanted.extend(needed.iter().chain(useful));
        }
        let mut mounts: Vec<(Controller, PathBuf)> = Vec::new();
        for controller in wanted {
            if let Some(mount) = host.mounts.get(controller) {
                mounts.push((*controller, mount.clone()));
            }
        }
        Ok(Isolation {
            isolators,
            mounts,
            root,
            enable_cfs: options.enable_cfs,
            limit_swap: options.limit_swap,
            pids_max: options.pids_max,
        })
    }

    /// Whether an isolator was chosen, for example because task limits need it.
    pub fn has(&self, isolator: Isolator) -> bool {
        self.isolators.contains(&isolator)
    }

    /// The value of `--isolation` this is, in order.
    pub fn names(&self) -> String {
        let names: Vec<&str> = self.isolators.iter().map(|i| i.name()).collect();
        names.join(",")
    }

    /// The cgroups of a container.
    pub(crate) fn cgroups(&self, container: &str) -> Vec<Cgroup> {
        let mut out: Vec<Cgroup> = Vec::with_capacity(self.mounts.len());
        for (controller, mount) in &self.mounts {
            let path = format!("{}/{}/{container}", mount.display(), self.root);
            // Controllers mounted together share one cgroup; `cpu` comes before `cpuacct`.
            if !out.iter().any(|c| c.path == path) {
                out.push(Cgroup {
                    controller: *controller,
                    path,
                });
            }
        }
        out
    }

    /// Our cgroup in each hierarchy.
    pub(crate) fn roots(&self) -> Vec<String> {
        let mut roots: Vec<String> = self
            .mounts
            .iter()
            .map(|(_, mount)| format!("{}/{}", mount.display(), self.root))
            .collect();
        roots.dedup();
        roots
    }
}

fn parse(text: &str) -> Result<BTreeSet<Isolator>, IsolationError> {
    let mut out = BTreeSet::new();
    for name in text.split(',').map(str::trim).filter(|n| !n.is_empty()) {
        let isolators: Vec<Isolator> = match name {
            "process" => vec![Isolator::PosixCpu, Isolator::PosixMem],
            "cgroups" => vec![Isolator::CgroupsCpu, Isolator::CgroupsMem],
            name => Isolator::ALL.into_iter().filter(|i| i.name() == name).collect(),
        };
        if isolators.is_empty() {
            return Err(IsolationError::Unknown(name.to_owned()));
        }
        for isolator in isolators {
            if !out.insert(isolator) {
                return Err(IsolationError::Duplicate(text.to_owned()));
            }
        }
    }
    Ok(out)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn host() -> HostIsolation {
        HostIsolation::of_mounts([
            (Controller::Cpu, "/cg/cpu,cpuacct"),
            (Controller::CpuAcct, "/cg/cpu,cpuacct"),
            (Controller::Memory, "/cg/memory"),
        ])
    }

    #[test]
    fn the_default_and_its_alias_work_on_any_host() {
        let none = HostIsolation::default();
        let options = CgroupOptions::default;
        let chosen = Isolation::choose("posix/cpu,posix/mem", options(), &none).unwrap();
        assert_eq!(chosen, Isolation::posix());
        assert_eq!(Isolation::choose("process", options(), &none).unwrap(), chosen);
        assert_eq!(none.strongest(), "posix/cpu,posix/mem");
    }

    #[test]
    fn unknown_doubled_and_impossible_isolators_are_refused_by_name() {
        let choose = |text| Isolation::choose(text, CgroupOptions::default(), &host());
        assert_eq!(
            choose("posix/cpu,magic").unwrap_err(),
            IsolationError::Unknown("magic".into())
        );
        assert!(matches!(
            choose("cgroups,cgroups/cpu").unwrap_err(),
            IsolationError::Duplicate(_)
        ));
        assert_eq!(
            choose("cgroups/pids").unwrap_err().to_string(),
            "Isolator 'cgroups/pids' cannot be used on this host: controller pids: no such hierarchy is mounted"
        );
    }

    #[test]
    fn controllers_mounted_together_share_one_cgroup() {
        let isolation = Isolation::choose("cgroups", CgroupOptions::default(), &host()).unwrap();
        let paths: Vec<String> = isolation.cgroups("c").into_iter().map(|c| c.path).collect();
        assert_eq!(paths, ["/cg/cpu,cpuacct/mesos/c", "/cg/memory/mesos/c"]);
        assert_eq!(host().strongest(), "cgroups/cpu,cgroups/mem");
    }

    #[test]
    fn the_root_cannot_leave_the_hierarchy() {
        for root in ["", "..", "/x", "a/../b"] {
            let options = CgroupOptions {
                root: root.into(),
                ..CgroupOptions::default()
            };
            assert!(Isolation::choose("cgroups", options, &host()).is_err(), "{root}");
        }
    }
}
