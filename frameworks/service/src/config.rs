//! The service framework's settings, checked: what `start` is given, by the command line or by a test.

use crate::definition::Rules;
use crate::flags::ServiceFlags;
use meseta_service_core::engine;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

/// Why flags make no configuration. Exit code 2.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A value outside what is allowed.
    #[error("flag '--{flag}': '{value}' {allowed}")]
    OutOfRange {
        /// The flag.
        flag: &'static str,
        /// Its value.
        value: String,
        /// What is allowed.
        allowed: &'static str,
    },
}

/// Everything the framework is told at its start.
#[derive(Clone, Debug)]
pub struct Config {
    /// Masters to subscribe with, `host:port`, separated by commas.
    pub masters: String,
    /// `--framework_name`.
    pub framework_name: String,
    /// `--mesos_user`.
    pub user: Option<String>,
    /// `--mesos_authentication_principal`.
    pub principal: Option<String>,
    /// `--failover_timeout`.
    pub failover_timeout: Duration,
    /// `--hostname`.
    pub hostname: Option<String>,
    /// `--webui_url`.
    pub webui_url: Option<String>,
    /// Settings of the engine.
    pub engine: engine::Config,
    /// What is allowed and assumed of definitions.
    pub rules: Rules,
    /// Service ports that are assigned.
    pub local_ports: RangeInclusive<u16>,
    /// `--reconciliation_interval`.
    pub reconcile_every: Duration,
    /// `--max_concurrent_marathon_health_checks`.
    pub probes_at_once: usize,
    /// `--http_credentials`: user and password.
    pub credentials: Option<(String, String)>,
    /// `--http_realm`.
    pub realm: String,
    /// `--access_control_allow_origin`.
    pub allowed_origins: Vec<String>,
    /// Where the last inputs of the engine go when an invariant breaks.
    pub inputs_file: PathBuf,
    /// What `/v2/info` shows: names and values, sorted; credentials are masked.
    pub flags: Vec<(&'static str, String)>,
}

/// Most of anything that is counted in flags: beyond it a number is a mistake.
const COUNT_MAX: u64 = 1_000_000;

impl Config {
    /// Checks what the flags' types do not. Errors name the flag and what is allowed.
    ///
    /// # Errors
    /// The first flag that is out of range.
    pub fn from_flags(flags: &ServiceFlags) -> Result<Config, ConfigError> {
        let millis = Duration::from_millis;
        let engine = engine::Config {
            deployments_max: count("max_running_deployments", flags.max_running_deployments)?,
            decline_for: millis(flags.decline_offer_duration),
            kills_max: count("kill_chunk_size", flags.kill_chunk_size)?,
            kill_retry: millis(flags.kill_retry_timeout.max(1)),
            launch_timeout: millis(flags.task_launch_timeout.max(1)),
            launches_per_offer: count("max_instances_per_offer", flags.max_instances_per_offer)?,
            versions_max: count("max_versions", flags.max_versions)?,
        };
        if flags.local_port_min > flags.local_port_max || flags.local_port_min == 0 {
            return Err(ConfigError::OutOfRange {
                flag: "local_port_min",
                value: flags.local_port_min.to_string(),
                allowed: "is not from 1 to --local_port_max",
            });
        }
        let names = |list: &str| -> Vec<String> {
            let names = list.split(',').map(str::trim).filter(|name| !name.is_empty());
            names.map(str::to_owned).collect()
        };
        let credentials = flags.http_credentials.as_deref();
        let credentials = credentials.map(|text| {
            let (user, password) = text.split_once(':').ok_or(ConfigError::OutOfRange {
                flag: "http_credentials",
                value: "***".to_owned(),
                allowed: "is not user:password",
            })?;
            Ok((user.to_owned(), password.to_owned()))
        });
        Ok(Config {
            masters: flags.master.clone(),
            framework_name: flags.framework_name.clone(),
            user: flags.mesos_user.clone(),
            principal: flags.mesos_authentication_principal.clone(),
            failover_timeout: Duration::from_secs(flags.failover_timeout),
            hostname: flags.hostname.clone(),
            webui_url: flags.webui_url.clone(),
            engine,
            rules: Rules {
                features: names(&flags.enable_features).into_iter().collect(),
                role: flags.mesos_role.clone(),
                accepted_roles: flags.accepted_resource_roles_default_behavior.0,
                default_network: flags.default_network_name.clone(),
            },
            local_ports: flags.local_port_min..=flags.local_port_max,
            reconcile_every: millis(flags.reconciliation_interval.max(1_000)),
            probes_at_once: count(
                "max_concurrent_marathon_health_checks",
                flags.max_concurrent_marathon_health_checks,
            )?,
            credentials: credentials.transpose()?,
            realm: flags.http_realm.clone(),
            allowed_origins: names(flags.access_control_allow_origin.as_deref().unwrap_or_default()),
            inputs_file: flags.work_dir.join("last-inputs.txt"),
            flags: shown(flags),
        })
    }
}

fn count(flag: &'static str, value: u64) -> Result<usize, ConfigError> {
    let out_of_range = || ConfigError::OutOfRange {
        flag,
        value: value.to_string(),
        allowed: "is not from 1 to 1000000",
    };
    let fits = (1..=COUNT_MAX).contains(&value);
    usize::try_from(value)
        .ok()
        .filter(|_| fits)
        .ok_or_else(out_of_range)
}

fn shown(flags: &ServiceFlags) -> Vec<(&'static str, String)> {
    let masked = |(name, value)| match name {
        "http_credentials" => (name, "****".to_owned()),
        _ => (name, value),
    };
    flags.shown().into_iter().map(masked).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use meseta_types::flag::{Asked, Sources};

    fn config(args: &[&str]) -> Result<Config, ConfigError> {
        let args = args.iter().map(|arg| (*arg).to_owned());
        match ServiceFlags::parse(args, &Sources::none()).unwrap() {
            Asked::Run(flags, _) => Config::from_flags(&flags),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn values_out_of_range_are_refused_by_name_and_secrets_are_not_shown() {
        let refused = config(&["--kill_chunk_size=0"]).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "flag '--kill_chunk_size': '0' is not from 1 to 1000000"
        );
        let refused = config(&["--http_credentials=nocolon"]).unwrap_err();
        assert!(!refused.to_string().contains("nocolon"), "{refused}");
        assert!(config(&["--local_port_min=20001"]).is_err());
        let config = config(&[
            "--http_credentials=me:secret",
            "--enable_features=gpu_resources, x",
        ])
        .unwrap();
        assert_eq!(config.rules.features.len(), 2);
        assert!(!config.flags.iter().any(|(_, value)| value.contains("secret")));
    }
}
