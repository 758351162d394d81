//! The flags of `meseta cron`: Chronos's names where it had one.

use meseta_types::flag::FlagDuration;
use std::net::IpAddr;
use std::path::PathBuf;

meseta_types::flags! {
    /// Flags of `meseta cron`.
    pub struct CronFlags for "meseta cron" {
        /// Master to subscribe with: host:port, several separated by commas.
        pub master: String = "127.0.0.1:5050";
        /// Address to listen on.
        pub http_address: IpAddr = "0.0.0.0";
        /// Port to listen on; 0 takes a free one.
        pub http_port: u16 = "4400";
        /// Name told to clients and in the framework's page; the address when unset.
        pub hostname: Option<String>;
        /// Folder of the store and of the framework's id. Must survive a restart.
        pub work_dir: PathBuf = "/var/lib/meseta/cron";
        /// Name of the framework.
        pub mesos_framework_name: String = "chronos";
        /// Role to ask resources for.
        pub mesos_role: String = "*";
        /// User that runs belong to, unless a job names one.
        pub user: String = "root";
        /// How long runs outlive the framework.
        pub failover_timeout: FlagDuration = "1weeks";
        /// Cores of a run, unless its job says so.
        pub mesos_task_cpu: f64 = "0.1";
        /// Memory of a run in MiB, unless its job says so.
        pub mesos_task_mem: f64 = "128";
        /// Sandbox space of a run in MiB, unless its job says so.
        pub mesos_task_disk: f64 = "256";
        /// Between two attempts, in milliseconds.
        pub failure_retry: u64 = "60000";
        /// Failed runs in a row that disable a job; 0: never.
        pub disable_after_failures: u64 = "0";
        /// How long an offer that is not needed is refused, in milliseconds.
        pub decline_offer_duration: u64 = "5000";
        /// Entries of the history kept and shown per job.
        pub job_history_limit: u64 = "50";
        /// user:password that every request must show.
        pub http_credentials: Option<String>;
        /// Address that notices are posted to.
        pub http_notification_url: Option<String>;
    }
    foreign {
    }
}
