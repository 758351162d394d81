//! The agent's settings: flags read and understood, before anything is touched.

use crate::flags::AgentFlags;
use crate::host;
use crate::layout::Layout;
use meseta_agent_core as core;
use meseta_proto::mesos::v1 as pb;
use meseta_types::attribute::Attributes;
use meseta_types::{Resources, Role};
use std::sync::Arc;
use std::time::Duration;

/// Executors may take at most this long to come back: the master and frameworks wait meanwhile (Mesos's bound).
const REREGISTRATION_MAX: Duration = Duration::from_secs(15);

/// Environment variables in order; later ones of the same name win.
pub type Variables = Vec<(Arc<str>, Arc<str>)>;

/// The agent's settings.
#[derive(Clone, Debug)]
pub struct Config {
    /// The flags as given.
    pub flags: AgentFlags,
    /// Where things lie.
    pub(crate) layout: Layout,
    /// Resources the operator gave.
    pub given: Resources,
    /// Names of resources that are given (an amount of zero counts) and therefore not detected.
    pub named: Vec<String>,
    /// What frameworks choose agents by.
    pub attributes: Attributes,
    /// Variables every executor gets first.
    pub executor_environment: Variables,
}

/// Why the flags make no settings. Exit code 2.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("flag '--{flag}': {why}")]
pub struct ConfigError {
    /// Which flag.
    pub flag: &'static str,
    /// What is wrong and what is allowed.
    pub why: String,
}

fn wrong(flag: &'static str, why: impl ToString) -> ConfigError {
    ConfigError {
        flag,
        why: why.to_string(),
    }
}

impl Config {
    /// Understands the flags. Touches nothing but the current directory's name.
    ///
    /// # Errors
    /// [`ConfigError`] names the flag.
    pub fn from_flags(flags: AgentFlags) -> Result<Config, ConfigError> {
        let role = Role::new(&flags.default_role).map_err(|e| wrong("default_role", e))?;
        let (given, named) = match &flags.resources {
            None => (Resources::new(), Vec::new()),
            Some(text) => given(text, &role)?,
        };
        let attributes = match &flags.attributes {
            None => Attributes::default(),
            Some(text) => Attributes::parse(text).map_err(|e| wrong("attributes", e))?,
        };
        let executor_environment = match &flags.executor_environment_variables {
            None => Vec::new(),
            Some(text) => variables(text)?,
        };
        if flags.executor_reregistration_timeout.0 > REREGISTRATION_MAX {
            return Err(wrong("executor_reregistration_timeout", "is more than 15secs"));
        }
        if !(0.0..=1.0).contains(&flags.gc_disk_headroom) {
            return Err(wrong("gc_disk_headroom", "is not between 0 and 1"));
        }
        if let Some(master) = &flags.master
            && master
                .trim()
                .rsplit_once(':')
                .is_none_or(|(host, port)| host.is_empty() || port.parse::<u16>().is_err())
        {
            return Err(wrong(
                "master",
                format!("'{master}' is not HOST:PORT (ZooKeeper is not supported in this release)"),
            ));
        }
        let work_dir = std::path::absolute(&flags.work_dir).map_err(|e| wrong("work_dir", e))?;
        Ok(Config {
            layout: Layout::new(work_dir),
            flags,
            given,
            named,
            attributes,
            executor_environment,
        })
    }

    /// What the core is told. `seed` comes from the system's entropy.
    pub(crate) fn core(&self, seed: u64, limits_supported: bool) -> core::Config {
        let flags = &self.flags;
        core::Config {
            seed,
            registration_backoff_factor: flags.registration_backoff_factor.0,
            executor_registration_timeout: flags.executor_registration_timeout.0,
            executor_reregistration_timeout: flags.executor_reregistration_timeout.0,
            executor_shutdown_grace_period: flags.executor_shutdown_grace_period.0,
            reconfiguration_policy: flags.reconfiguration_policy.0,
            gc_delay: flags.gc_delay.0,
            gc_disk_headroom: flags.gc_disk_headroom,
            disk_watch_interval: flags.disk_watch_interval.0,
            completed_executors_max: flags.max_completed_executors_per_framework as usize,
            limits_supported,
            ..core::Config::default()
        }
    }
}

/// `--resources`, as text or as a JSON array of `Resource`.
fn given(text: &str, role: &Role) -> Result<(Resources, Vec<String>), ConfigError> {
    if !text.trim_start().starts_with('[') {
        let resources = Resources::parse(text, role).map_err(|e| wrong("resources", e))?;
        return Ok((resources, host::names_in(text)));
    }
    let list: Vec<serde_json::Value> = serde_json::from_str(text).map_err(|e| wrong("resources", e))?;
    let mut resources = Resources::new();
    let mut named = Vec::new();
    for value in list {
        let mut message: pb::Resource = meseta_proto::json::from_slice(value.to_string().as_bytes())
            .map_err(|e| wrong("resources", e))?;
        if message.role.is_none() && message.reservations.is_empty() && !role.is_star() {
            message.role = Some(role.as_str().to_owned());
        }
        named.push(message.name.clone());
        resources +=
            &meseta_proto::convert::resource::from_proto(&[message]).map_err(|e| wrong("resources", e))?;
    }
    resources
        .validate_command_line()
        .map_err(|e| wrong("resources", e))?;
    Ok((resources, named))
}

/// `--executor_environment_variables`: a JSON object of texts.
fn variables(text: &str) -> Result<Variables, ConfigError> {
    let flag = "executor_environment_variables";
    let object: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(text).map_err(|e| wrong(flag, e))?;
    object
        .into_iter()
        .map(|(name, value)| match value {
            serde_json::Value::String(value) => Ok((Arc::from(name), Arc::from(value))),
            other => Err(wrong(
                flag,
                format!("the value of '{name}' is {other}, not a text"),
            )),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use meseta_types::flag::{Asked, Sources};

    fn config(args: &[&str]) -> Result<Config, ConfigError> {
        let args = args
            .iter()
            .map(|a| (*a).to_owned())
            .chain(["--work_dir=/w".to_owned()]);
        match AgentFlags::parse(args, &Sources::none()).unwrap() {
            Asked::Run(flags, _) => Config::from_flags(flags),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn resources_are_text_or_json() {
        let text = config(&["--resources=cpus:2;mem:64"]).unwrap();
        let json = config(&[concat!(
            "--resources=[{\"name\":\"cpus\",\"type\":\"SCALAR\",\"scalar\":{\"value\":2}},",
            "{\"name\":\"mem\",\"type\":\"SCALAR\",\"scalar\":{\"value\":64}}]"
        )])
        .unwrap();
        assert_eq!(text.given, json.given);
        assert_eq!(
            (text.named, json.named.len()),
            (vec!["cpus".to_owned(), "mem".to_owned()], 2)
        );
    }

    #[test]
    fn a_default_role_reserves_what_names_none() {
        let config = config(&["--resources=cpus:2;mem(ops):64", "--default_role=dev"]).unwrap();
        let roles: Vec<_> = config.given.iter().filter_map(|r| r.reservation_role()).collect();
        assert_eq!(
            roles.iter().map(|r| r.as_str()).collect::<Vec<_>>(),
            ["dev", "ops"]
        );
    }

    #[test]
    fn errors_name_the_flag() {
        for (args, flag) in [
            (["--resources=cpus"], "resources"),
            (["--resources=[{]"], "resources"),
            (["--attributes=rack"], "attributes"),
            (["--master=zk://a:1/m"], "master"),
            (["--master=nowhere"], "master"),
            (
                ["--executor_reregistration_timeout=16secs"],
                "executor_reregistration_timeout",
            ),
            (
                ["--executor_environment_variables={\"A\":1}"],
                "executor_environment_variables",
            ),
            (["--gc_disk_headroom=2"], "gc_disk_headroom"),
        ] {
            assert_eq!(config(&args).unwrap_err().flag, flag, "{args:?}");
        }
    }
}
