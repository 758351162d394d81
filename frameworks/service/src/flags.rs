//! The flags of `meseta service`: Marathon's names and units where it had one.
//!
//! Source of names and defaults: Marathon 1.11, `docs/docs/command-line-flags.md`.

use crate::definition::AcceptedRoles;
use meseta_types::flag::{FlagValue, Kind};
use std::net::IpAddr;
use std::path::PathBuf;

/// `any`, `unreserved` or `reserved`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RolesFlag(pub AcceptedRoles);

impl FlagValue for RolesFlag {
    const KIND: Kind = Kind::Text;

    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "any" => Ok(RolesFlag(AcceptedRoles::Any)),
            "unreserved" => Ok(RolesFlag(AcceptedRoles::Unreserved)),
            "reserved" => Ok(RolesFlag(AcceptedRoles::Reserved)),
            _ => Err("is none of 'any', 'unreserved', 'reserved'".to_owned()),
        }
    }

    fn show(&self) -> Option<String> {
        let text = match self.0 {
            AcceptedRoles::Any => "any",
            AcceptedRoles::Unreserved => "unreserved",
            AcceptedRoles::Reserved => "reserved",
        };
        Some(text.to_owned())
    }
}

meseta_types::flags! {
    /// Flags of `meseta service`.
    pub struct ServiceFlags for "meseta service" as "MARATHON" {
        /// Masters to subscribe with: host:port, several separated by commas.
        pub master: String = "127.0.0.1:5050";
        /// Address to listen on.
        pub http_address: IpAddr = "0.0.0.0";
        /// Port to listen on; 0 takes a free one.
        pub http_port: u16 = "8080";
        /// Name told to clients and masters; the address when unset.
        pub hostname: Option<String>;
        /// The framework's page as masters show it; made of hostname and port when unset.
        pub webui_url: Option<String>;
        /// Folder of the store, which holds the framework's id too. Must survive a restart.
        pub work_dir: PathBuf = "/var/lib/meseta/service";
        /// Name of the framework.
        pub framework_name: String = "marathon";
        /// Role whose resources are asked for, and the only role apps may have.
        pub mesos_role: String = "*";
        /// User that tasks run as unless their app names one; the one that runs this process when unset.
        pub mesos_user: Option<String>;
        /// Whom the master takes the framework for.
        pub mesos_authentication_principal: Option<String>;
        /// How long tasks outlive the framework, in seconds.
        pub failover_timeout: u64 = "604800";
        /// What apps may use that do not say it: any, unreserved or reserved resources.
        pub accepted_resource_roles_default_behavior: RolesFlag = "any";
        /// Features to switch on, separated by commas: gpu_resources.
        pub enable_features: String = "";
        /// Network of apps that ask for a container network and name none.
        pub default_network_name: Option<String>;
        /// Smallest service port that is assigned.
        pub local_port_min: u16 = "10000";
        /// Largest service port that is assigned.
        pub local_port_max: u16 = "20000";
        /// Deployments that may be under way.
        pub max_running_deployments: u64 = "100";
        /// Instances launched with one offer at most.
        pub max_instances_per_offer: u64 = "250";
        /// How long an offer that is not needed is refused, in milliseconds.
        pub decline_offer_duration: u64 = "120000";
        /// A launch of which nothing is heard for so long is killed, in milliseconds.
        pub task_launch_timeout ("task_launch_confirm_timeout"): u64 = "300000";
        /// Kills under way at once.
        pub kill_chunk_size: u64 = "100";
        /// A kill that is not answered is told again after so long, in milliseconds.
        pub kill_retry_timeout: u64 = "30000";
        /// Between two reconciliations, in milliseconds.
        pub reconciliation_interval: u64 = "600000";
        /// Health checks of the framework's own that may run at once.
        pub max_concurrent_marathon_health_checks: u64 = "256";
        /// Definitions kept per app.
        pub max_versions ("zk_max_versions"): u64 = "50";
        /// user:password that every request must show.
        pub http_credentials: Option<String>;
        /// Realm of the challenge that goes with it.
        pub http_realm: String = "Mesosphere";
        /// Origins that browsers may call from, separated by commas; * for all.
        pub access_control_allow_origin: Option<String>;
    }
    and log
    foreign {
        "backup_location" = "": "backups of another process's state are not read";
        "default_accepted_resource_roles" = "*": "roles that apps may use are set by --accepted_resource_roles_default_behavior";
        "deprecated_features": "there are none";
        "disable_ha": "there is one instance in this release";
        "disable_http" = "": "HTTPS is not served in this release";
        "disable_metrics": "metrics are always on";
        "disable_tracing": "there is no tracing to switch off";
        "draining_seconds": "maintenance windows are not looked at in this release";
        "enable_tracing": "there is no tracing to switch on";
        "env_vars_prefix" = "": "variables have no prefix in this release";
        "event_stream_max_outstanding_messages": "an event stream may lag by so many bytes, not messages";
        "executor" = "//cmd": "custom executors are not supported in this release";
        "gc_actor_scan_batch_size": "old definitions go at once";
        "gpu_scheduling_behavior" = "restricted": "agents with GPUs are the master's concern";
        "ha": "there is one instance in this release";
        "http_event_callback_slow_consumer_timeout": "callbacks were removed in Marathon 1.5";
        "http_max_concurrent_requests": "connections are bounded instead";
        "https_address": "HTTPS is not served in this release";
        "https_port": "HTTPS is not served in this release";
        "launch_token_refresh_interval": "launches are not throttled";
        "launch_tokens": "launches are not throttled";
        "leader_proxy_connection_timeout": "there is one instance in this release";
        "leader_proxy_read_timeout": "there is one instance in this release";
        "marathon_store_timeout": "the store is in this process";
        "mesos_authentication_secret_file" = "": "frameworks do not authenticate in this release";
        "mesos_bridge_name" = "mesos-bridge": "container networks are not supported in this release";
        "mesos_heartbeat_failure_threshold": "the master tells its own heartbeats";
        "mesos_heartbeat_interval": "the master tells its own heartbeats";
        "mesos_http_api": "the v1 HTTP API is the only one";
        "mesos_leader_ui_url": "the master tells its own address";
        "metrics_averaging_window": "metrics are counters and gauges";
        "metrics_name_prefix" = "marathon": "names of metrics begin with 'marathon'";
        "metrics_prometheus": "it is always on";
        "min_revive_offers_interval": "ten at once and one more each half second";
        "new_group_enforce_role" = "off": "groups come in a later release";
        "offer_matching_timeout": "matching does not wait";
        "on_elected_prepare_timeout": "there is one instance in this release";
        "plugin_conf" = "": "plugins are not supported";
        "plugin_dir" = "": "plugins are not supported";
        "reconciliation_initial_delay": "tasks are reconciled as soon as the framework is subscribed";
        "reservation_timeout": "resident apps come in a later release";
        "revive_offers_repetitions": "a revive is not repeated: the master has it or it is told anew";
        "save_tasks_to_launch_timeout": "nothing is launched before it is stored";
        "scale_apps_initial_delay": "apps are looked at whenever something changes";
        "scale_apps_interval": "apps are looked at whenever something changes";
        "ssl_keystore_password" = "": "HTTPS is not served in this release";
        "ssl_keystore_path" = "": "HTTPS is not served in this release";
        "suppress_offers": "it is always on";
        "task_lost_expunge_gc": "an app's unreachableStrategy says it";
        "task_lost_expunge_initial_delay": "an app's unreachableStrategy says it";
        "task_lost_expunge_interval": "an app's unreachableStrategy says it";
        "zk": "the state is kept in --work_dir";
        "zk_compression": "the state is kept in --work_dir";
        "zk_connection_timeout": "the state is kept in --work_dir";
        "zk_operation_max_retries": "the state is kept in --work_dir";
        "zk_session_timeout": "the state is kept in --work_dir";
        "zk_timeout": "the state is kept in --work_dir";
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use meseta_types::flag::{Asked, Sources};

    #[test]
    fn an_old_start_script_starts_it_and_is_told_what_has_no_effect() {
        let args = [
            "--master=10.0.0.1:5050",
            "--zk=zk://10.0.0.1:2181/marathon",
            "--http_port=0",
            "--launch_tokens=100",
        ];
        let asked = ServiceFlags::parse(args.map(str::to_owned), &Sources::none());
        let Ok(Asked::Run(flags, warnings)) = asked else {
            panic!("{asked:?}")
        };
        assert_eq!((flags.http_port, warnings.len()), (0, 2));
        let env = |name: &str| match name {
            "MARATHON_MASTER" => Some("10.0.0.2:5050".to_owned()),
            "MARATHON_HTTP_PORT" => Some("8081".to_owned()),
            "MESETA_HTTP_PORT" => Some("8082".to_owned()),
            // Of the agent that a framework may run on as a task.
            "MESOS_HOSTNAME" => Some("agent-1".to_owned()),
            _ => None,
        };
        let sources = Sources {
            env: &env,
            ..Sources::none()
        };
        let asked = ServiceFlags::parse([], &sources);
        let Ok(Asked::Run(flags, _)) = asked else {
            panic!("{asked:?}")
        };
        assert_eq!(
            (flags.master.as_str(), flags.http_port, flags.hostname),
            ("10.0.0.2:5050", 8082, None)
        );
        let refused = ServiceFlags::parse(["--plugin_dir=/x".to_owned()], &Sources::none());
        assert!(refused.is_err());
    }
}
