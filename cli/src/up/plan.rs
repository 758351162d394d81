//! Which processes make up the cluster, with which flags. Pure.

use crate::args::UpArgs;
use meseta_sdk::endpoint::Endpoint;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// Mesos's default ports.
const MASTER_PORT: u16 = 5050;
const AGENT_PORT: u16 = 5051;
/// Marathon's and Chronos's.
const SERVICE_PORT: u16 = 8080;
const CRON_PORT: u16 = 4400;
/// Mesos's default range of task ports, split among the agents.
const TASK_PORTS: (u32, u32) = (31_000, 32_000);

/// Processes per task, at most, where the host can bound them: a fork bomb must not take the machine along.
const TASK_PIDS_MAX: u32 = 4_096;

/// Where tasks look for programs.
const SYSTEM_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What this machine has to share, after what it keeps for itself.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Machine {
    /// Cores.
    pub(super) cpus: f64,
    /// MiB.
    pub(super) mem: u64,
    /// MiB.
    pub(super) disk: u64,
    /// The value of `--isolation`.
    pub(super) isolation: String,
    /// Why isolation is weaker than it could be.
    pub(super) isolation_note: Option<String>,
    pub(super) is_root: bool,
    /// The folder of this program, where it can be told to tasks.
    pub(super) program_folder: Option<String>,
}

/// One process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Master,
    /// The n-th, from zero.
    Agent(u16),
    /// Keeps apps running.
    Service,
    /// Starts jobs when they are due.
    Cron,
}

impl Role {
    /// For people; an only agent needs no number.
    pub(super) fn name(&self, agents: u16) -> String {
        match self {
            Role::Master => "master".to_owned(),
            Role::Agent(_) if agents == 1 => "agent".to_owned(),
            Role::Agent(n) => format!("agent-{n}"),
            Role::Service => "service".to_owned(),
            Role::Cron => "cron".to_owned(),
        }
    }

    /// For files: the same however many agents there are.
    pub(super) fn key(&self) -> String {
        self.name(0)
    }

    /// Whether it is one of the two frameworks.
    pub(super) fn is_framework(&self) -> bool {
        matches!(self, Role::Service | Role::Cron)
    }
}

/// The whole cluster.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) agents: u16,
    ip: IpAddr,
    offset: u16,
    dir: PathBuf,
    machine: Machine,
    cpu_limits: bool,
    frameworks: Vec<Role>,
}

impl Plan {
    pub(super) fn new(args: &UpArgs, dir: &Path, machine: &Machine) -> Plan {
        Plan {
            agents: args.agents,
            ip: args.ip,
            offset: args.port_offset,
            dir: dir.to_owned(),
            machine: machine.clone(),
            cpu_limits: args.cpu_limits,
            frameworks: [(Role::Service, args.no_service), (Role::Cron, args.no_cron)]
                .into_iter()
                .filter_map(|(role, without)| (!without).then_some(role))
                .collect(),
        }
    }

    /// In the order of their start.
    pub(super) fn roles(&self) -> Vec<Role> {
        std::iter::once(Role::Master)
            .chain((0..self.agents).map(Role::Agent))
            .chain(self.frameworks.iter().cloned())
            .collect()
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether the cluster has this role.
    pub(super) fn has(&self, role: &Role) -> bool {
        self.roles().contains(role)
    }

    pub(super) fn machine(&self) -> &Machine {
        &self.machine
    }

    pub(super) fn log_dir(&self) -> PathBuf {
        self.dir.join("log")
    }

    pub(super) fn ip(&self) -> IpAddr {
        self.ip
    }

    pub(super) fn port(&self, role: &Role) -> u16 {
        // `--port-offset` ends at 50,000, and there are at most 64 agents.
        match role {
            Role::Master => MASTER_PORT + self.offset,
            Role::Agent(n) => AGENT_PORT + self.offset + n,
            Role::Service => SERVICE_PORT + self.offset,
            Role::Cron => CRON_PORT + self.offset,
        }
    }

    /// Where this machine reaches the role.
    pub(super) fn endpoint(&self, role: &Role) -> Endpoint {
        let host = match self.ip {
            IpAddr::V4(ip) if ip.is_unspecified() => "127.0.0.1".to_owned(),
            IpAddr::V6(ip) if ip.is_unspecified() => "::1".to_owned(),
            ip => ip.to_string(),
        };
        Endpoint {
            host,
            port: self.port(role),
        }
    }

    pub(super) fn master(&self) -> Endpoint {
        self.endpoint(&Role::Master)
    }

    pub(super) fn url(&self, role: &Role) -> String {
        self.endpoint(role).url()
    }

    /// The cgroup of an agent: its own, so that agents of one machine, and of two clusters, leave each other alone.
    pub(super) fn cgroup(&self, agent: u16) -> String {
        format!(
            "meseta-up-{:08x}-{agent}",
            fnv(self.dir.as_os_str().as_encoded_bytes())
        )
    }

    /// The arguments of a role's process.
    pub(super) fn arguments(&self, role: &Role) -> Vec<String> {
        let path = |name: String| self.dir.join(name).display().to_string();
        let mut args = match role {
            Role::Master => vec![
                "master".to_owned(),
                format!("--work_dir={}", path("master".to_owned())),
            ],
            Role::Agent(n) => vec![
                "agent".to_owned(),
                format!("--master={}", self.master()),
                format!("--work_dir={}", path(format!("agent-{n}"))),
                format!("--runtime_dir={}", path(format!("run/agent-{n}"))),
                format!("--resources={}", self.resources(*n)),
                format!("--isolation={}", self.machine.isolation),
                format!("--cgroups_root={}", self.cgroup(*n)),
            ],
            Role::Service | Role::Cron => vec![
                role.key(),
                format!("--master={}", self.master()),
                format!("--work_dir={}", path(role.key())),
            ],
        };
        if *role == Role::Cron {
            // Runs belong to whoever runs the agent: without root there is no other choice.
            args.push("--user=".to_owned());
        }
        if matches!(role, Role::Agent(_)) {
            args.extend(self.task_path());
            args.extend(self.limits());
        }
        if role.is_framework() {
            args.push(format!("--http_address={}", self.ip));
            args.push(format!("--http_port={}", self.port(role)));
        } else {
            args.push(format!("--ip={}", self.ip));
            args.push(format!("--port={}", self.port(role)));
        }
        if self.ip.is_loopback() {
            // Names of this address differ from machine to machine; the address does not.
            args.push(format!("--hostname={}", self.ip));
        }
        args
    }

    /// Tasks find this program by its name, after everything of the system's.
    fn task_path(&self) -> Option<String> {
        let folder = self.machine.program_folder.as_ref()?;
        let variables = serde_json::json!({ "PATH": format!("{SYSTEM_PATH}:{folder}") });
        Some(format!("--executor_environment_variables={variables}"))
    }

    /// What tasks are kept to, as far as the host can. CPUs stay shares unless `--cpu-limits` asks for more: on one
    /// machine idle cores are for whoever needs them, and a small web app would take seconds to start on a tenth of one.
    fn limits(&self) -> Vec<String> {
        let isolation = &self.machine.isolation;
        let mut args = Vec::new();
        if self.cpu_limits && isolation.contains("cgroups/cpu") {
            args.push("--cgroups_enable_cfs".to_owned());
        }
        if isolation.contains("cgroups/pids") {
            args.push(format!("--cgroups_pids_max={TASK_PIDS_MAX}"));
        }
        if !self.machine.is_root {
            args.push("--no-switch_user".to_owned());
        }
        args
    }

    /// The n-th agent's share; shares add up to the machine.
    pub(super) fn resources(&self, n: u16) -> String {
        let share = |total: u64| share(total, n, self.agents);
        let milli = share((self.machine.cpus * 1000.0) as u64);
        let (first, last) = self.task_ports(n);
        format!(
            "cpus:{};mem:{};disk:{};ports:[{first}-{last}]",
            milli as f64 / 1000.0,
            share(self.machine.mem),
            share(self.machine.disk),
        )
    }

    fn task_ports(&self, n: u16) -> (u32, u32) {
        let (first, last) = TASK_PORTS;
        let count = last - first + 1;
        let start = |n: u16| first + count * u32::from(n) / u32::from(self.agents);
        (start(n), start(n + 1) - 1)
    }
}

/// The n-th of `of` parts of a whole number of units; the first ones get what does not divide.
fn share(total: u64, n: u16, of: u16) -> u64 {
    let (n, of) = (u64::from(n), u64::from(of));
    total / of + u64::from(n < total % of)
}

/// FNV-1a, 32 bits: a short name for a folder.
fn fnv(bytes: &[u8]) -> u32 {
    bytes
        .iter()
        .fold(0x811c_9dc5, |h, b| (h ^ u32::from(*b)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::up) fn plan(agents: u16, ip: &str) -> Plan {
        Plan {
            agents,
            ip: ip.parse().unwrap_or(IpAddr::from([127, 0, 0, 1])),
            offset: 100,
            dir: PathBuf::from("/s"),
            machine: Machine {
                cpus: 8.0,
                mem: 10_000,
                disk: 1_000,
                isolation: "posix/cpu,posix/mem".to_owned(),
                isolation_note: None,
                is_root: false,
                program_folder: Some("/opt/meseta".to_owned()),
            },
            cpu_limits: false,
            frameworks: vec![Role::Service, Role::Cron],
        }
    }

    #[test]
    fn one_agent_gets_the_whole_machine() {
        assert_eq!(
            plan(1, "127.0.0.1").resources(0),
            "cpus:8;mem:10000;disk:1000;ports:[31000-32000]"
        );
    }

    #[test]
    fn shares_add_up_and_ports_do_not_overlap() {
        let plan = plan(3, "127.0.0.1");
        assert_eq!(
            plan.resources(0),
            "cpus:2.667;mem:3334;disk:334;ports:[31000-31332]"
        );
        assert_eq!(
            plan.resources(1),
            "cpus:2.667;mem:3333;disk:333;ports:[31333-31666]"
        );
        assert_eq!(
            plan.resources(2),
            "cpus:2.666;mem:3333;disk:333;ports:[31667-32000]"
        );
    }

    #[test]
    fn a_role_is_told_everything_by_flags() {
        let args = plan(2, "127.0.0.1").arguments(&Role::Agent(1)).join(" ");
        for part in [
            "agent --master=127.0.0.1:5150 --work_dir=/s/agent-1 --runtime_dir=/s/run/agent-1",
            "--isolation=posix/cpu,posix/mem",
            "--no-switch_user",
            "--executor_environment_variables={\"PATH\":\"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/meseta\"}",
            "--port=5152",
            "--hostname=127.0.0.1",
        ] {
            assert!(args.contains(part), "{args}");
        }
        let master = plan(2, "0.0.0.0").arguments(&Role::Master).join(" ");
        assert_eq!(master, "master --work_dir=/s/master --ip=0.0.0.0 --port=5150");
        let service = plan(2, "127.0.0.1").arguments(&Role::Service).join(" ");
        assert_eq!(
            service,
            "service --master=127.0.0.1:5150 --work_dir=/s/service --http_address=127.0.0.1 --http_port=8180 \
             --hostname=127.0.0.1"
        );
        let cron = plan(2, "127.0.0.1").arguments(&Role::Cron).join(" ");
        assert!(cron.contains(" --user= "), "{cron}");
    }

    #[test]
    fn processes_are_bounded_where_the_host_can() {
        let mut plan = plan(1, "127.0.0.1");
        assert!(!plan.arguments(&Role::Agent(0)).join(" ").contains("pids_max"));
        plan.machine.isolation = "cgroups/cpu,cgroups/mem,cgroups/pids".to_owned();
        assert!(
            plan.arguments(&Role::Agent(0))
                .contains(&"--cgroups_pids_max=4096".to_owned())
        );
    }

    #[test]
    fn cpus_are_limits_only_when_asked_for_and_possible() {
        let mut plan = plan(1, "127.0.0.1");
        let has_limits = |plan: &Plan| {
            plan.arguments(&Role::Agent(0))
                .contains(&"--cgroups_enable_cfs".to_owned())
        };
        plan.cpu_limits = true;
        assert!(!has_limits(&plan), "this host has no cgroups");
        plan.machine.isolation = "cgroups/cpu,cgroups/mem".to_owned();
        assert!(has_limits(&plan));
        plan.cpu_limits = false;
        assert!(!has_limits(&plan));
    }

    #[test]
    fn an_address_for_everybody_is_reached_by_loopback_from_here() {
        assert_eq!(plan(1, "0.0.0.0").master().to_string(), "127.0.0.1:5150");
    }
}
