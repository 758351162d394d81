//! The cron framework's settings, checked: what `start` is given, by the command line or by a test.

use crate::definition::Defaults;
use crate::flags::CronFlags;
use jiff::SignedDuration;
use meseta_cron_core::engine;
use meseta_sdk::Framework;
use std::path::PathBuf;
use std::time::Duration;

/// Entries of the history a job may have at most: all of them are in memory.
const HISTORY_MAX: u64 = 1_000;

/// Why flags make no configuration. Exit code 2.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("flag '--{flag}': '{value}' {allowed}")]
pub struct ConfigError {
    /// The flag.
    pub flag: &'static str,
    /// Its value; secrets are left out.
    pub value: String,
    /// What is allowed.
    pub allowed: &'static str,
}

/// Where messages to owners go.
#[derive(Clone)]
pub(crate) struct Messages {
    pub(crate) url: String,
    pub(crate) credentials: Option<String>,
    pub(crate) cluster: Option<String>,
}

impl std::fmt::Debug for Messages {
    /// Without address and password: both may be secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Messages")
    }
}

/// Everything the framework is told at its start.
#[derive(Clone)]
pub struct Config {
    /// Masters to subscribe with.
    pub masters: String,
    /// The framework, as it describes itself. Its page is filled in at the start, unless it has one.
    pub framework: Framework,
    /// File of the framework's id.
    pub identity: PathBuf,
    /// What the engine is told.
    pub engine: engine::Config,
    /// Whether offers are asked for as soon as something is due.
    pub revive: bool,
    /// How often the master is asked about all tasks; `None`: only after a new subscription.
    pub reconcile_every: Option<Duration>,
    /// Name told to clients; the listener's address when unset.
    pub hostname: Option<String>,
    /// Entries of the history kept per job.
    pub history_limit: usize,
    /// Entries that `job/stat` shows.
    pub stat_limit: usize,
    pub(crate) defaults: Defaults,
    pub(crate) credentials: Option<String>,
    pub(crate) messages: Option<Messages>,
    /// Where the last inputs of the engine go when an invariant breaks.
    pub(crate) inputs_file: PathBuf,
}

impl std::fmt::Debug for Config {
    /// Without passwords.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config")
            .field("masters", &self.masters)
            .field("identity", &self.identity)
            .field("engine", &self.engine)
            .finish_non_exhaustive()
    }
}

impl Config {
    /// Checks what the flags' types do not. Errors name the flag and what is allowed.
    ///
    /// # Errors
    /// The first flag that does not fit.
    pub fn from_flags(flags: &CronFlags) -> Result<Config, ConfigError> {
        let refuse = |flag, value: String, allowed| ConfigError { flag, value, allowed };
        for (flag, value) in [
            ("mesos_task_cpu", flags.mesos_task_cpu),
            ("mesos_task_mem", flags.mesos_task_mem),
            ("mesos_task_disk", flags.mesos_task_disk),
        ] {
            if !(value > 0.0 && value <= crate::definition::RESOURCE_MAX) {
                return Err(refuse(flag, value.to_string(), "is not a number above 0"));
            }
        }
        if flags.history_limit == 0 || flags.history_limit > HISTORY_MAX {
            let value = flags.history_limit.to_string();
            return Err(refuse("history_limit", value, "is not from 1 to 1000"));
        }
        if flags.http_credentials.as_ref().is_some_and(|c| !c.contains(':')) {
            return Err(refuse(
                "http_credentials",
                "(not shown)".to_owned(),
                "is not user:password",
            ));
        }
        let url = flags.http_notification_url.as_deref();
        if url.is_some_and(|url| !url.starts_with("http://") && !url.starts_with("https://")) {
            let allowed = "does not begin with http:// or https://";
            return Err(refuse("http_notification_url", "(not shown)".to_owned(), allowed));
        }
        let mut framework = Framework::failover(&flags.mesos_framework_name, flags.failover_timeout.0)
            .user(&flags.user)
            .roles([&flags.mesos_role])
            .raw(|info| info.checkpoint = Some(flags.mesos_checkpoint));
        if let Some(principal) = &flags.mesos_authentication_principal {
            framework = framework.principal(principal);
        }
        if let Some(url) = &flags.webui_url {
            framework = framework.webui_url(url);
        }
        Ok(Config {
            masters: flags.master.clone(),
            framework,
            identity: flags.work_dir.join("framework.json"),
            inputs_file: flags.work_dir.join("last-inputs.txt"),
            engine: engine::Config {
                failure_retry: millis(flags.failure_retry),
                disable_after_failures: flags.disable_after_failures,
                decline_for: millis(flags.decline_offer_duration),
                partition_timeout: SignedDuration::try_from(flags.partition_timeout.0)
                    .unwrap_or(SignedDuration::MAX),
            },
            revive: flags.revive_offers_for_new_jobs,
            reconcile_every: Some(Duration::from_secs(flags.reconciliation_interval))
                .filter(|interval| !interval.is_zero()),
            hostname: flags.hostname.clone(),
            history_limit: usize::try_from(flags.history_limit).unwrap_or(usize::MAX),
            stat_limit: usize::try_from(flags.job_history_limit).unwrap_or(usize::MAX),
            defaults: Defaults {
                cpus: flags.mesos_task_cpu,
                mem: flags.mesos_task_mem,
                disk: flags.mesos_task_disk,
                user: flags.user.clone(),
            },
            credentials: flags.http_credentials.clone(),
            messages: flags.http_notification_url.clone().map(|url| Messages {
                url,
                credentials: flags.http_notification_credentials.clone(),
                cluster: flags.cluster_name.clone(),
            }),
        })
    }
}

fn millis(n: u64) -> SignedDuration {
    SignedDuration::from_millis(i64::try_from(n).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use meseta_types::flag::{Asked, Sources};

    fn flags(args: &[&str]) -> CronFlags {
        match CronFlags::parse(args.iter().map(|arg| (*arg).to_owned()), &Sources::none()) {
            Ok(Asked::Run(flags, _)) => flags,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_defaults_are_chronoss() {
        let config = Config::from_flags(&flags(&[])).unwrap();
        assert_eq!(config.framework.info().failover_timeout, Some(604_800.0));
        assert_eq!(config.framework.info().name, "chronos");
        assert_eq!(config.engine.failure_retry, SignedDuration::from_mins(1));
        assert_eq!(config.engine.decline_for, SignedDuration::from_secs(5));
        assert_eq!(
            (config.defaults.cpus, config.defaults.mem, config.defaults.disk),
            (0.1, 128.0, 256.0)
        );
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_the_flags_name_and_passwords_are_not_repeated() {
        for (args, flag) in [
            (["--mesos_task_cpu=0"], "mesos_task_cpu"),
            (["--mesos_task_mem=-1"], "mesos_task_mem"),
            (["--history_limit=0"], "history_limit"),
            (["--http_credentials=geheim"], "http_credentials"),
            (
                ["--http_notification_url=ftp://geheim@x"],
                "http_notification_url",
            ),
        ] {
            let error = Config::from_flags(&flags(&args)).unwrap_err();
            assert_eq!(error.flag, flag);
            assert!(!error.to_string().contains("geheim"), "{error}");
        }
    }

    #[test]
    fn a_week_is_a_week_however_it_is_written() {
        for text in ["604800", "1weeks", "7days"] {
            let config = Config::from_flags(&flags(&["--failover_timeout", text])).unwrap();
            assert_eq!(
                config.framework.info().failover_timeout,
                Some(604_800.0),
                "{text}"
            );
        }
    }
}
