//! What the agent's core is told once: times and bounds, with the defaults of Mesos's agent flags.

use std::time::Duration;

/// How a changed agent may keep its id after a restart (`--reconfiguration_policy`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReconfigurationPolicy {
    /// Nothing may change.
    Equal,
    /// Resources and attributes may grow; host name and port stay.
    Additive,
}

/// Settings of the core.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Seed of every random choice (uuids, container ids, back-off): from the system's entropy in production.
    pub seed: u64,
    /// `--registration_backoff_factor`.
    pub registration_backoff_factor: Duration,
    /// `--executor_registration_timeout`: counts from the launch, fetching included.
    pub executor_registration_timeout: Duration,
    /// `--executor_reregistration_timeout`.
    pub executor_reregistration_timeout: Duration,
    /// `--executor_shutdown_grace_period`.
    pub executor_shutdown_grace_period: Duration,
    /// `--reconfiguration_policy`.
    pub reconfiguration_policy: ReconfigurationPolicy,
    /// `--gc_delay`.
    pub gc_delay: Duration,
    /// `--gc_disk_headroom`, fraction.
    pub gc_disk_headroom: f64,
    /// `--disk_watch_interval`.
    pub disk_watch_interval: Duration,
    /// `--max_completed_executors_per_framework`.
    pub completed_executors_max: usize,
    /// Whether the containerizer can hold a task to limits above its requests.
    pub limits_supported: bool,
    /// Assumed until the master tells its own.
    pub ping_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            seed: 0,
            registration_backoff_factor: Duration::from_secs(1),
            executor_registration_timeout: Duration::from_secs(60),
            executor_reregistration_timeout: Duration::from_secs(2),
            executor_shutdown_grace_period: Duration::from_secs(5),
            reconfiguration_policy: ReconfigurationPolicy::Additive,
            gc_delay: Duration::from_secs(7 * 24 * 3600),
            gc_disk_headroom: 0.1,
            disk_watch_interval: Duration::from_secs(60),
            completed_executors_max: 150,
            limits_supported: false,
            ping_timeout: Duration::from_secs(75),
        }
    }
}
