//! The master's settings, checked: what `start` is given, by the command line or by a test.

use crate::flags::MasterFlags;
use meseta_master_core::config::Config as CoreConfig;
use meseta_types::Role;
use meseta_types::resource::Quantities;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Bounds of `--agent_ping_timeout` (Mesos, `master/constants.hpp`).
const AGENT_PING_TIMEOUT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(15 * 60));

/// Least `--agent_reregister_timeout` (Mesos, `master/constants.hpp`).
const AGENT_REREGISTER_TIMEOUT_MIN: Duration = Duration::from_secs(600);

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
        allowed: String,
    },
}

/// Where the registry is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Registry {
    /// In this file; its folder may have to be made.
    Durable(PathBuf),
    /// In memory: gone with the process.
    Memory,
}

/// How the master is known to others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advertised {
    /// `--advertise_ip`.
    pub ip: Option<IpAddr>,
    /// `--advertise_port`.
    pub port: Option<u16>,
    /// `--hostname`.
    pub hostname: Option<String>,
    /// `--hostname_lookup`.
    pub lookup: bool,
}

/// Everything the master is told at its start.
#[derive(Clone, Debug)]
pub struct Config {
    /// Settings of the core. The master's id is put in at the start.
    pub core: CoreConfig,
    /// How it is known to others.
    pub advertised: Advertised,
    /// `--cluster`.
    pub cluster: Option<String>,
    /// `--registry_fetch_timeout`.
    pub registry_fetch_timeout: Duration,
    /// `--registry_store_timeout`: a write without an answer for so long has an unknown outcome.
    pub registry_store_timeout: Duration,
    /// `--max_request_bytes`.
    pub max_request_bytes: usize,
    /// `--max_operator_event_stream_subscribers`.
    pub max_subscribers: usize,
    /// `--publish_per_framework_metrics`.
    pub per_framework_metrics: bool,
    /// `--log_dir`.
    pub log_dir: Option<PathBuf>,
    /// Where the core's last inputs go when one of its invariants breaks.
    pub inputs_file: Option<PathBuf>,
    /// What `/flags` and GET_FLAGS show: names and values, sorted.
    pub flags: Vec<(&'static str, String)>,
}

impl Config {
    /// Checks what the flags' types do not. Errors name the flag and what is allowed.
    pub fn from_flags(flags: &MasterFlags) -> Result<Config, ConfigError> {
        let mut core = CoreConfig::new("");
        core.agent_ping_timeout = flags.agent_ping_timeout.0;
        let (least, most) = AGENT_PING_TIMEOUT;
        if !(least..=most).contains(&core.agent_ping_timeout) {
            return Err(out_of_range(
                flags,
                "agent_ping_timeout",
                "is not from 1secs to 15mins",
            ));
        }
        core.max_agent_ping_timeouts = flags.max_agent_ping_timeouts;
        if core.max_agent_ping_timeouts == 0 {
            return Err(out_of_range(
                flags,
                "max_agent_ping_timeouts",
                "is not at least 1",
            ));
        }
        core.agent_reregister_timeout = flags.agent_reregister_timeout.0;
        if core.agent_reregister_timeout < AGENT_REREGISTER_TIMEOUT_MIN {
            return Err(out_of_range(
                flags,
                "agent_reregister_timeout",
                "is not at least 10mins",
            ));
        }
        core.agent_removal_rate_limit = flags.agent_removal_rate_limit.map(|limit| limit.0);
        core.recovery_agent_removal_limit = flags.recovery_agent_removal_limit.0 / 100.0;
        core.offer_timeout = Some(flags.offer_timeout.0);
        core.allocation_interval = flags.allocation_interval.0;
        core.min_allocatable_resources = minima(&flags.min_allocatable_resources)?;
        let excluded = flags
            .fair_sharing_excluded_resource_names
            .as_deref()
            .unwrap_or("");
        core.fair_sharing_excluded_resource_names = names(excluded).map(Arc::from).collect();
        core.filter_gpu_resources = flags.filter_gpu_resources;
        core.roles = flags.roles.as_deref().map(roles).transpose()?;
        core.root_submissions = flags.root_submissions;
        core.max_completed_frameworks = size(flags.max_completed_frameworks);
        core.max_completed_tasks_per_framework = size(flags.max_completed_tasks_per_framework);
        core.max_unreachable_tasks_per_framework = size(flags.max_unreachable_tasks_per_framework);
        Ok(Config {
            core,
            advertised: Advertised {
                ip: flags.advertise_ip,
                port: flags.advertise_port,
                hostname: flags.hostname.clone(),
                lookup: flags.hostname_lookup,
            },
            cluster: flags.cluster.clone(),
            registry_fetch_timeout: flags.registry_fetch_timeout.0,
            registry_store_timeout: flags.registry_store_timeout.0,
            max_request_bytes: usize::try_from(flags.max_request_bytes.0).unwrap_or(usize::MAX),
            max_subscribers: size(flags.max_operator_event_stream_subscribers),
            per_framework_metrics: flags.publish_per_framework_metrics,
            log_dir: flags.log_dir.clone(),
            inputs_file: inputs_file(flags),
            flags: flags.shown(),
        })
    }

    /// The settings without any flag given, for tests and embedders: names itself by its address.
    pub fn plain() -> Config {
        Config {
            core: CoreConfig::new(""),
            advertised: Advertised {
                ip: None,
                port: None,
                hostname: None,
                lookup: true,
            },
            cluster: None,
            registry_fetch_timeout: Duration::from_secs(60),
            registry_store_timeout: Duration::from_secs(20),
            max_request_bytes: 10 << 20,
            max_subscribers: 1000,
            per_framework_metrics: true,
            log_dir: None,
            inputs_file: None,
            flags: Vec::new(),
        }
    }
}

impl Registry {
    /// Where `--registry` and `--work_dir` put it.
    pub fn from_flags(flags: &MasterFlags) -> Result<Registry, ConfigError> {
        match flags.registry.as_str() {
            "replicated_log" => Ok(Registry::Durable(flags.work_dir.join("registry.redb"))),
            "in_memory" => Ok(Registry::Memory),
            _ => Err(out_of_range(
                flags,
                "registry",
                "is neither 'replicated_log' nor 'in_memory'",
            )),
        }
    }
}

fn size(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn out_of_range(flags: &MasterFlags, flag: &'static str, allowed: &str) -> ConfigError {
    let value = flags
        .shown()
        .into_iter()
        .find(|(name, _)| *name == flag)
        .map(|(_, value)| value)
        .unwrap_or_default();
    ConfigError::OutOfRange {
        flag,
        value,
        allowed: allowed.to_owned(),
    }
}

/// Beside the registry; a master without one has no place of its own on the disk.
fn inputs_file(flags: &MasterFlags) -> Option<PathBuf> {
    match Registry::from_flags(flags) {
        Ok(Registry::Durable(registry)) => Some(registry.with_file_name("last-inputs.txt")),
        Ok(Registry::Memory) | Err(_) => None,
    }
}

fn names(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|name| !name.is_empty())
}

fn minima(alternatives: &str) -> Result<Vec<Quantities>, ConfigError> {
    let alternatives = alternatives.split('|').filter(|text| !text.trim().is_empty());
    alternatives
        .map(|text| {
            Quantities::parse(text).map_err(|why| ConfigError::OutOfRange {
                flag: "min_allocatable_resources",
                value: text.to_owned(),
                allowed: format!("is no list of amounts: {why}"),
            })
        })
        .collect()
}

fn roles(list: &str) -> Result<BTreeSet<Role>, ConfigError> {
    names(list)
        .map(|name| {
            Role::new(name).map_err(|why| ConfigError::OutOfRange {
                flag: "roles",
                value: name.to_owned(),
                allowed: format!("is no role: {why}"),
            })
        })
        .collect()
}

/// The address and name others use, given where the master listens.
///
/// Like Mesos the name comes from the address (`localhost` for a loopback one, else this host's own name), but it is
/// not looked up in the network: that can block for long and fails on hosts without DNS.
pub(crate) fn advertise(settings: &Advertised, listening: SocketAddr) -> (SocketAddr, Arc<str>) {
    let ip = settings.ip.unwrap_or_else(|| match listening.ip() {
        ip if ip.is_unspecified() => host_address().unwrap_or(Ipv4Addr::LOCALHOST.into()),
        ip => ip,
    });
    let port = settings.port.unwrap_or(listening.port());
    let name = match &settings.hostname {
        Some(name) => name.clone(),
        None if !settings.lookup => ip.to_string(),
        None if ip.is_loopback() => "localhost".to_owned(),
        None => host_name().unwrap_or_else(|| ip.to_string()),
    };
    (SocketAddr::new(ip, port), Arc::from(name))
}

fn host_name() -> Option<String> {
    nix::unistd::gethostname().ok()?.into_string().ok()
}

/// The first IPv4 address of this host that others can reach.
fn host_address() -> Option<IpAddr> {
    let mut addresses = nix::ifaddrs::getifaddrs().ok()?;
    addresses.find_map(|interface| {
        let ip = interface.address?.as_sockaddr_in()?.ip();
        (!ip.is_loopback() && !ip.is_link_local()).then_some(IpAddr::V4(ip))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use meseta_types::flag::{Asked, Sources};

    fn flags(args: &[&str]) -> MasterFlags {
        match MasterFlags::parse(args.iter().map(|a| (*a).to_owned()), &Sources::none()).unwrap() {
            Asked::Run(flags, _) => flags,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn defaults_are_those_of_mesos_and_ours() {
        let config = Config::from_flags(&flags(&[])).unwrap();
        let mut expected = CoreConfig::new("");
        expected.roles = None;
        assert_eq!(config.core, expected);
        assert!(
            config
                .flags
                .contains(&("agent_ping_timeout", "15secs".to_owned()))
        );
    }

    #[test]
    fn values_out_of_range_are_refused_with_what_is_allowed() {
        for (arg, message) in [
            (
                "--agent_ping_timeout=16mins",
                "flag '--agent_ping_timeout': '16mins' is not from 1secs to 15mins",
            ),
            (
                "--max_agent_ping_timeouts=0",
                "flag '--max_agent_ping_timeouts': '0' is not at least 1",
            ),
            (
                "--agent_reregister_timeout=9mins",
                "flag '--agent_reregister_timeout': '9mins' is not at least 10mins",
            ),
        ] {
            assert_eq!(
                Config::from_flags(&flags(&[arg])).unwrap_err().to_string(),
                message
            );
        }
        assert!(Registry::from_flags(&flags(&["--registry=x"])).is_err());
    }

    #[test]
    fn a_loopback_master_is_called_localhost() {
        let mut settings = Config::plain().advertised;
        let listening: SocketAddr = "127.0.0.1:5050".parse().unwrap();
        assert_eq!(advertise(&settings, listening), (listening, "localhost".into()));
        settings.hostname = Some("m1".to_owned());
        settings.port = Some(80);
        let (address, name) = advertise(&settings, listening);
        assert_eq!((address.port(), &*name), (80, "m1"));
    }
}
