//! The flags of `meseta cron`: Chronos's names and defaults where the thing exists here, and what becomes of the others.
//!
//! Source of names and defaults: Chronos 3.0.2, `docs/docs/configuration.md` and `SchedulerConfiguration.scala`.

use meseta_types::flag::{FlagDuration, FlagValue, Kind, format_duration, parse_duration};
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// A number of seconds, as Chronos has it, or a duration with its unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seconds(pub Duration);

impl FlagValue for Seconds {
    const KIND: Kind = Kind::Text;

    fn parse(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(seconds) => Ok(Seconds(Duration::from_secs(seconds))),
            Err(_) => parse_duration(text)
                .map(Seconds)
                .map_err(|_| "is neither a number of seconds nor a duration such as 1weeks".to_owned()),
        }
    }

    fn show(&self) -> Option<String> {
        Some(format_duration(self.0))
    }
}

meseta_types::flags! {
    /// Flags of `meseta cron`.
    pub struct CronFlags for "meseta cron" as "CHRONOS" {
        /// Masters to subscribe with: host:port, several separated by commas; any of them leads to the leader.
        pub master: String = "127.0.0.1:5050";
        /// Address to listen on.
        pub http_address: IpAddr = "0.0.0.0";
        /// Port to listen on; 0 takes a free one.
        pub http_port: u16 = "4400";
        /// Name told to clients and shown by the master; this machine's address when unset.
        pub hostname: Option<String>;
        /// Folder of the store and of the framework's id. Must survive a restart.
        pub work_dir: PathBuf = "/var/lib/meseta/cron";
        /// Name of the framework.
        pub mesos_framework_name: String = "chronos";
        /// Role to ask resources for.
        pub mesos_role: String = "*";
        /// Whom the master knows the framework as; unset: nobody in particular.
        pub mesos_authentication_principal: Option<String>;
        /// Whether runs survive the restart of their agent.
        pub mesos_checkpoint: bool = "true";
        /// User that runs belong to, unless their job names one; empty: the agent's own.
        pub user: String = "root";
        /// How long runs outlive the framework, in seconds or as a duration.
        pub failover_timeout: Seconds = "604800";
        /// Address of the framework's page as the master shows it; made of --hostname and the port when unset.
        pub webui_url: Option<String>;
        /// Cores of a run, unless its job says so.
        pub mesos_task_cpu: f64 = "0.1";
        /// Memory of a run in MiB, unless its job says so.
        pub mesos_task_mem: f64 = "128";
        /// Sandbox space of a run in MiB, unless its job says so.
        pub mesos_task_disk: f64 = "256";
        /// Between two attempts of a run, in milliseconds.
        pub failure_retry: u64 = "60000";
        /// Failed runs in a row that disable a job; 0: never.
        pub disable_after_failures: u64 = "0";
        /// How long an offer that is not needed is refused, in milliseconds.
        pub decline_offer_duration: u64 = "5000";
        /// Whether offers are asked for as soon as something is due; otherwise it waits for those that come.
        pub revive_offers_for_new_jobs: bool = "true";
        /// How often the master is asked about all tasks, in seconds; 0: only after a new subscription.
        pub reconciliation_interval: u64 = "600";
        /// How long a run on an agent that is out of reach is waited for.
        pub partition_timeout: FlagDuration = "15mins";
        /// Entries that job/stat shows.
        pub job_history_limit: u64 = "5";
        /// Entries of the history kept per job (1 to 1000).
        pub history_limit: u64 = "20";
        /// user:password that every request must show.
        pub http_credentials: Option<String>;
        /// Address that messages to owners are posted to.
        pub http_notification_url: Option<String>;
        /// user:password shown to that address.
        pub http_notification_credentials: Option<String>;
        /// Name of the cluster, before the subject of messages.
        pub cluster_name: Option<String>;
    }
    and log
    foreign {
        "zk_hosts": "state is kept in --work_dir; there is no ZooKeeper in this release";
        "zk_path": "state is kept in --work_dir; there is no ZooKeeper in this release";
        "zk_auth": "state is kept in --work_dir; there is no ZooKeeper in this release";
        "zk_timeout": "state is kept in --work_dir; there is no ZooKeeper in this release";
        "leader_max_idle_time": "there is one process and no election in this release";
        "schedule_horizon": "schedules are not looked at in turns";
        "task_epsilon": "a job without an epsilon may start at any time";
        "min_revive_offers_interval": "revivals come from a bucket of ten that fills by one each half second";
        "default_job_owner": "a job without an owner has none";
        "assets_path": "there is no web page in this release";
        "http_compression" = "true": "answers are compressed for clients that ask for it";
        "mail_server" = "": "messages go to --http_notification_url in this release";
        "mail_user" = "": "messages go to --http_notification_url in this release";
        "mail_password" = "": "messages go to --http_notification_url in this release";
        "mail_from" = "": "messages go to --http_notification_url in this release";
        "mail_ssl" = "": "messages go to --http_notification_url in this release";
        "slack_url" = "": "messages go to --http_notification_url in this release";
        "mattermost_url" = "": "messages go to --http_notification_url in this release";
        "raven_dsn" = "": "messages go to --http_notification_url in this release";
        "ssl_keystore_path" = "": "there is no TLS in this release";
        "ssl_keystore_password" = "": "there is no TLS in this release";
        "mesos_authentication_secret_file" = "": "frameworks do not authenticate in this release";
        "graphite_host_port": "metrics are read at /metrics";
        "graphite_reporting_interval": "metrics are read at /metrics";
        "graphite_group_prefix": "metrics are read at /metrics";
        "cassandra_contact_points": "the history needs no database";
        "cassandra_port": "the history needs no database";
        "cassandra_keyspace": "the history needs no database";
        "cassandra_ttl": "the history needs no database";
    }
}
