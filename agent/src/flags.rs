//! The agent's flags: Mesos's names and defaults where the thing exists here, and what becomes of the others.
//!
//! Read once at start by [`Config::from_flags`](crate::Config::from_flags); shown by `/flags`, GET_FLAGS and `/state`.
//! Source of names and defaults: Mesos 1.12, `docs/configuration/agent.md`.

use meseta_agent_core::ReconfigurationPolicy;
use meseta_types::flag::{FlagBytes, FlagDuration, FlagValue, Kind};
use std::net::IpAddr;
use std::path::PathBuf;

/// `equal` or `additive`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PolicyFlag(pub ReconfigurationPolicy);

impl FlagValue for PolicyFlag {
    const KIND: Kind = Kind::Text;

    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "equal" => Ok(PolicyFlag(ReconfigurationPolicy::Equal)),
            "additive" => Ok(PolicyFlag(ReconfigurationPolicy::Additive)),
            _ => Err("is neither 'equal' nor 'additive'".to_owned()),
        }
    }

    fn show(&self) -> Option<String> {
        Some(
            match self.0 {
                ReconfigurationPolicy::Equal => "equal",
                ReconfigurationPolicy::Additive => "additive",
            }
            .to_owned(),
        )
    }
}

meseta_types::flags! {
    /// Flags of `meseta agent`.
    pub struct AgentFlags for "meseta agent" {
        /// The leading master: host:port, or file://PATH of a file that holds it.
        pub master: Option<String>;
        /// Directory of the agent's memory and of the sandboxes. Must survive a reboot.
        pub work_dir: PathBuf;
        /// Directory of what must not survive a reboot: the supervisor's socket and log.
        pub runtime_dir: PathBuf = "/var/run/meseta";
        /// Address to listen on; found from the host's name when unset.
        pub ip: Option<IpAddr>;
        /// Port to listen on; 0 takes a free one.
        pub port: u16 = "5051";
        /// Address told to masters and executors, if it is not the one listened on.
        pub advertise_ip: Option<IpAddr>;
        /// Port told to masters and executors, if it is not the one listened on.
        pub advertise_port: Option<u16>;
        /// Name told to masters and frameworks; found from the address when unset.
        pub hostname: Option<String>;
        /// Whether to look the name up; otherwise the address is the name.
        pub hostname_lookup: bool = "true";
        /// Resources offered, 'cpus:4;mem:1024;ports:[31000-32000]' or a JSON array; what is not named is detected.
        pub resources: Option<String>;
        /// Attributes frameworks choose agents by, 'rack:2;zone:a'.
        pub attributes: Option<String>;
        /// Role of the resources that name none.
        pub default_role: String = "*";
        /// How containers are isolated, comma-separated.
        pub isolation: String = "posix/cpu,posix/mem";
        /// Mount point of the cgroup hierarchies.
        pub cgroups_hierarchy: PathBuf = "/sys/fs/cgroup";
        /// Name of the agent's cgroup in each hierarchy.
        pub cgroups_root: String = "mesos";
        /// Whether CPU requests are also upper bounds.
        pub cgroups_enable_cfs: bool = "false";
        /// Whether memory limits also bound swap.
        pub cgroups_limit_swap: bool = "false";
        /// Most processes of one container; unset: no bound.
        pub cgroups_pids_max: Option<u64>;
        /// Whether tasks run as the user they name; otherwise as the agent's.
        pub switch_user: bool = "true";
        /// Environment of every executor besides what the agent sets, a JSON object of texts.
        pub executor_environment_variables: Option<String>;
        /// How long an executor may take from its launch to its registration, fetching included.
        pub executor_registration_timeout: FlagDuration = "1mins";
        /// How long executors have to come back after a restart of the agent (at most 15secs).
        pub executor_reregistration_timeout: FlagDuration = "2secs";
        /// How long an executor may take to end when it is shut down.
        pub executor_shutdown_grace_period: FlagDuration = "5secs";
        /// Bound of the random wait before the agent registers again after a failure; doubles up to 1mins.
        pub registration_backoff_factor: FlagDuration = "1secs";
        /// How long executors look for their agent after it went away.
        pub recovery_timeout: FlagDuration = "15mins";
        /// What may change between two starts: 'equal' nothing, 'additive' resources and attributes may grow.
        pub reconfiguration_policy: PolicyFlag = "equal";
        /// Sandboxes are deleted so long after their executor ended, earlier when the disk fills.
        pub gc_delay: FlagDuration = "1weeks";
        /// Part of the disk that sandbox collection keeps free.
        pub gc_disk_headroom: f64 = "0.1";
        /// How often the disk is looked at.
        pub disk_watch_interval: FlagDuration = "1mins";
        /// Completed executors kept for display, per framework.
        pub max_completed_executors_per_framework: u32 = "150";
        /// A download into a sandbox that stands still for this long fails.
        pub fetcher_stall_timeout: FlagDuration = "1mins";
        /// Largest request body.
        pub max_request_bytes: FlagBytes = "10MB";
        /// A log file written by something else, to be shown as the agent's log.
        pub external_log_file: Option<PathBuf>;
    }
    and log
    foreign {
        "acls" = "": "there are no access rules in this release";
        "agent_features": "all features are always on";
        "allowed_devices" = "": "devices are not isolated in this release";
        "appc_simple_discovery_uri_prefix": "images are not supported in this release";
        "appc_store_dir": "images are not supported in this release";
        "authenticate_http_executors" = "false": "executors do not authenticate in this release";
        "authenticate_http_readonly" = "false": "requests are not authenticated in this release";
        "authenticate_http_readwrite" = "false": "requests are not authenticated in this release";
        "authenticatee": "agents do not authenticate in this release";
        "authentication_backoff_factor": "agents do not authenticate in this release";
        "authentication_timeout_max": "agents do not authenticate in this release";
        "authentication_timeout_min": "agents do not authenticate in this release";
        "authorizer" = "local": "there is one authorizer";
        "cgroups_destroy_timeout": "containers are killed until they are gone";
        "container_disk_watch_interval": "disk quotas are not enforced in this release";
        "container_logger": "output goes to the sandbox in this release";
        "containerizers" = "mesos": "there is one containerizer in this release";
        "credential" = "": "agents do not authenticate in this release";
        "docker": "Docker is not supported in this release";
        "docker_kill_orphans": "Docker is not supported in this release";
        "docker_registry": "images are not supported in this release";
        "docker_remove_delay": "Docker is not supported in this release";
        "docker_socket": "Docker is not supported in this release";
        "docker_stop_timeout": "Docker is not supported in this release";
        "docker_store_dir": "images are not supported in this release";
        "domain" = "": "fault domains are not supported in this release";
        "enforce_container_disk_quota" = "false": "disk quotas are not enforced in this release";
        "fetcher_cache_dir": "fetched files are not cached in this release";
        "fetcher_cache_size": "fetched files are not cached in this release";
        "firewall_rules" = "": "endpoints cannot be disabled in this release";
        "frameworks_home": "relative URIs are not supported";
        "gc_non_executor_container_sandboxes" = "false": "sandboxes go with their executor";
        "http_command_executor": "command tasks need no executor process";
        "http_credentials" = "": "requests are not authenticated in this release";
        "http_executor_domain_sockets" = "false": "executors connect over TCP in this release";
        "http_heartbeat_interval": "there are no operator streams in this release";
        "image_providers" = "": "images are not supported in this release";
        "initialize_driver_logging": "there is no driver in the process";
        "launcher": "the launcher follows from the isolation";
        "launcher_dir": "helpers are part of the program";
        "logbufsecs": "log lines are not buffered";
        "memory_profiling" = "false": "there is no built-in memory profiler";
        "oversubscribed_resources_interval": "resources are not oversubscribed";
        "qos_correction_interval_min": "resources are not oversubscribed";
        "recover" = "reconnect": "to end all tasks of an agent, drain it or send SIGUSR1";
        "revocable_cpu_low_priority": "resources are not oversubscribed";
        "sandbox_directory": "containers have no root file system of their own in this release";
        "strict" = "true": "damaged checkpoints are never skipped";
        "systemd_enable_support": "nothing depends on systemd";
        "systemd_runtime_directory": "nothing depends on systemd";
        "zk_session_timeout": "there is no ZooKeeper in this release";
    }
}
