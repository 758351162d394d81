//! The master's flags: Mesos's names and defaults where the thing exists here, and what becomes of the others.
//!
//! Read once at start by [`Config::from_flags`](crate::Config::from_flags); shown by `/flags`, GET_FLAGS and `/state`.
//! Source of names and defaults: Mesos 1.12, `docs/configuration/master.md`.

use meseta_master_core::config::RateLimit;
use meseta_types::flag::{
    FlagBytes, FlagDuration, FlagValue, Kind, Percent, format_duration, parse_duration,
};
use std::net::IpAddr;
use std::path::PathBuf;

/// `N/DURATION`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimitFlag(pub RateLimit);

impl FlagValue for RateLimitFlag {
    const KIND: Kind = Kind::Text;

    fn parse(text: &str) -> Result<Self, String> {
        let wrong = || "is no rate such as 1/10mins or 3/1secs".to_owned();
        let (permits, per) = text.split_once('/').ok_or_else(wrong)?;
        let permits: u32 = permits.parse().map_err(|_| wrong())?;
        let per = parse_duration(per).map_err(|_| wrong())?;
        if permits == 0 || per.is_zero() {
            return Err(wrong());
        }
        Ok(RateLimitFlag(RateLimit { permits, per }))
    }

    fn show(&self) -> Option<String> {
        Some(format!("{}/{}", self.0.permits, format_duration(self.0.per)))
    }
}

meseta_types::flags! {
    /// Flags of `meseta master`.
    pub struct MasterFlags for "meseta master" {
        /// Address to listen on.
        pub ip: IpAddr = "0.0.0.0";
        /// Port to listen on; 0 takes a free one.
        pub port: u16 = "5050";
        /// Address told to agents and frameworks, if it is not the one listened on.
        pub advertise_ip: Option<IpAddr>;
        /// Port told to agents and frameworks, if it is not the one listened on.
        pub advertise_port: Option<u16>;
        /// Name told to clients; found from the address when unset.
        pub hostname: Option<String>;
        /// Whether to look the name up; otherwise the address is the name.
        pub hostname_lookup: bool = "true";
        /// Directory of the registry. Must survive a restart.
        pub work_dir: PathBuf = "/var/lib/meseta/master";
        /// Name of the cluster, for people.
        pub cluster: Option<String>;
        /// Where the registry is kept: 'replicated_log' (durable, in --work_dir) or 'in_memory' (for tests).
        pub registry: String = "replicated_log";
        /// Longest time the first read of the registry may take.
        pub registry_fetch_timeout: FlagDuration = "1mins";
        /// Longest time one write of the registry may take.
        pub registry_store_timeout: FlagDuration = "20secs";
        /// How long agents have to come back after a fail-over of the master (at least 10mins).
        pub agent_reregister_timeout ("slave_reregister_timeout"): FlagDuration = "10mins";
        /// How long the master waits for the answer to one ping (1secs to 15mins).
        pub agent_ping_timeout ("slave_ping_timeout"): FlagDuration = "15secs";
        /// So many unanswered pings make an agent unreachable.
        pub max_agent_ping_timeouts ("max_slave_ping_timeouts"): u32 = "5";
        /// How fast agents may be marked unreachable, for example 1/10mins; unset: at once.
        pub agent_removal_rate_limit ("slave_removal_rate_limit"): Option<RateLimitFlag>;
        /// After a fail-over, the part of the agents that may be marked unreachable before the master gives up.
        pub recovery_agent_removal_limit ("recovery_slave_removal_limit"): Percent = "100%";
        /// Longest time between two allocations; events trigger them earlier.
        pub allocation_interval: FlagDuration = "1secs";
        /// Comma-separated roles frameworks may use; unset: any.
        pub roles: Option<String>;
        /// Smallest amounts worth an offer, alternatives separated by '|'.
        pub min_allocatable_resources: String = "cpus:0.01|mem:32";
        /// Comma-separated resources that do not count for fair sharing.
        pub fair_sharing_excluded_resource_names: Option<String>;
        /// Whether agents with gpus are offered only to frameworks with the GPU_RESOURCES capability.
        pub filter_gpu_resources: bool = "true";
        /// Unanswered offers are rescinded after this long.
        pub offer_timeout: FlagDuration = "60secs";
        /// Whether frameworks may run tasks as root.
        pub root_submissions: bool = "true";
        /// Completed frameworks kept for display.
        pub max_completed_frameworks: u32 = "50";
        /// Completed tasks kept for display, per framework.
        pub max_completed_tasks_per_framework: u32 = "1000";
        /// Unreachable tasks kept for display, per framework.
        pub max_unreachable_tasks_per_framework: u32 = "1000";
        /// Operator event streams at a time; a further one ends the oldest.
        pub max_operator_event_stream_subscribers: u32 = "1000";
        /// Whether metrics are published for each framework.
        pub publish_per_framework_metrics: bool = "true";
        /// Largest request body.
        pub max_request_bytes: FlagBytes = "10MB";
    }
    and log
    foreign {
        "acls" = "": "there are no access rules in this release";
        "credentials" = "": "requests are not authenticated in this release";
        "firewall_rules" = "": "endpoints cannot be disabled in this release";
        "rate_limits" = "": "calls are not rate limited in this release";
        "weights" = "": "roles have no weights in this release";
        "zk" = "": "there is one master and no ZooKeeper in this release";
        "allocator" = "hierarchical": "there is one allocator";
        "authenticate_agents" = "false": "agents do not authenticate in this release";
        "authenticate_frameworks" = "false": "frameworks do not authenticate in this release";
        "authenticate_http_frameworks" = "false": "requests are not authenticated in this release";
        "authenticate_http_readonly" = "false": "requests are not authenticated in this release";
        "authenticate_http_readwrite" = "false": "requests are not authenticated in this release";
        "registry_gc_interval": "the registry is not pruned in this release";
        "registry_max_agent_age": "the registry is not pruned in this release";
        "registry_max_agent_count": "the registry is not pruned in this release";
        "framework_sorter" = "drf": "there is one sorter";
        "role_sorter" = "drf": "there is one sorter";
        "initialize_driver_logging": "there is no driver in the process";
        "log_auto_initialize": "the registry needs no initialisation";
        "logbufsecs": "log lines are not buffered";
        "memory_profiling" = "false": "there is no built-in memory profiler";
        "quorum": "the registry is not a replicated log";
        "registry_strict" = "false": "it never was more than an experiment";
        "require_agent_domain" = "false": "agents have no domains in this release";
        "webui_dir": "there is no web page in this release";
        "zk_session_timeout": "there is no ZooKeeper in this release";
    }
}
