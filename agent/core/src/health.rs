//! Verdicts of health checks: what one more probe result means for the task (mesos-agent 4.3).
//!
//! Pure arithmetic on counters and times; the core runs the probes' timers, the shell the probes.

use meseta_types::Mono;
use meseta_types::task::HealthCheckSpec;

/// What follows from a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing to tell.
    Silent,
    /// An update with this value of `healthy`.
    Tell(bool),
    /// An update with `healthy=false`, then the kill.
    Kill,
}

/// The health of one task.
#[derive(Clone, Debug)]
pub(crate) struct Health {
    pub(crate) spec: HealthCheckSpec,
    started: Mono,
    ever_passed: bool,
    failures: u32,
}

impl Health {
    /// `ever_passed`: known from before a restart.
    pub(crate) fn new(spec: HealthCheckSpec, started: Mono, ever_passed: bool) -> Health {
        Health {
            spec,
            started,
            ever_passed,
            failures: 0,
        }
    }

    pub(crate) fn passed(&mut self, told: Option<bool>) -> Verdict {
        self.ever_passed = true;
        self.failures = 0;
        if told == Some(true) {
            Verdict::Silent
        } else {
            Verdict::Tell(true)
        }
    }

    pub(crate) fn failed(&mut self, now: Mono) -> Verdict {
        let in_grace = now.since(self.started) < self.spec.grace_period;
        if in_grace && !self.ever_passed {
            return Verdict::Silent;
        }
        self.failures = self.failures.saturating_add(1);
        if self.failures >= self.spec.consecutive_failures.max(1) {
            Verdict::Kill
        } else {
            Verdict::Tell(false)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(secs: u64) -> Mono {
        Mono(secs * 1_000_000_000)
    }

    fn health(failures: u32, grace: u64) -> Health {
        let spec = HealthCheckSpec {
            consecutive_failures: failures,
            grace_period: Duration::from_secs(grace),
            ..HealthCheckSpec::default()
        };
        Health::new(spec, at(0), false)
    }

    #[test]
    fn a_flapping_check_tells_true_false_true() {
        let mut h = health(3, 0);
        assert_eq!(h.passed(None), Verdict::Tell(true));
        assert_eq!(h.passed(Some(true)), Verdict::Silent);
        assert_eq!(h.failed(at(1)), Verdict::Tell(false));
        assert_eq!(h.passed(Some(false)), Verdict::Tell(true));
    }

    #[test]
    fn three_failures_in_a_row_kill() {
        let mut h = health(3, 0);
        assert_eq!(h.failed(at(1)), Verdict::Tell(false));
        assert_eq!(h.failed(at(2)), Verdict::Tell(false));
        assert_eq!(h.failed(at(3)), Verdict::Kill);
    }

    #[test]
    fn failures_within_the_grace_count_for_nothing_until_the_first_success() {
        let mut h = health(1, 10);
        assert_eq!(h.failed(at(9)), Verdict::Silent);
        assert_eq!(h.passed(None), Verdict::Tell(true));
        assert_eq!(h.failed(at(9)), Verdict::Kill);
        let mut h = health(1, 10);
        assert_eq!(h.failed(at(10)), Verdict::Kill);
    }

    #[test]
    fn zero_consecutive_failures_count_as_one() {
        assert_eq!(health(0, 0).failed(at(1)), Verdict::Kill);
    }
}
