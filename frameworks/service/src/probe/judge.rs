//! What the answers of an instance mean.

use super::ask::Answer;
use crate::definition::{HealthCheck, ReadinessCheck};
use crate::view::{ReadinessSeen, Seen};
use meseta_service_core::instance::InstanceId;
use meseta_service_core::io::Input;
use meseta_types::Wall;
use std::sync::Arc;
use std::time::Duration;

/// What one probe found.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) instance: InstanceId,
    pub(crate) incarnation: u32,
    pub(super) kind: Kind,
    pub(super) answer: Answer,
}

/// What was asked.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    /// How it is, by its health check of this index.
    Health {
        /// Among those that the framework makes.
        index: usize,
    },
    /// Whether it is ready.
    Readiness(Arc<ReadinessCheck>),
}

/// What a health check of one launch said so far.
#[derive(Debug)]
pub(crate) struct Health {
    check: Arc<HealthCheck>,
    alive: Option<bool>,
    failures: u32,
}

impl Health {
    pub(super) fn new(check: Arc<HealthCheck>) -> Health {
        Health {
            check,
            alive: None,
            failures: 0,
        }
    }

    /// Counts an answer; `None` if it counts for nothing. `running` is how long the instance runs.
    fn count(&mut self, answer: &Answer, running: Duration) -> Option<(bool, Option<String>)> {
        let grace = Duration::from_secs(u64::from(self.check.grace_period_seconds));
        let (alive, cause) = match answer {
            Answer::Connected => (true, None),
            Answer::Http(status, ..) if self.check.ignore_http1xx == Some(true) && *status < 200 => {
                return None;
            }
            Answer::Http(status, ..) if (200..400).contains(status) => (true, None),
            Answer::Http(status, ..) => (false, Some(format!("it answered {status}"))),
            Answer::Failed(why) => (false, Some(why.clone())),
        };
        if alive {
            self.alive = Some(true);
            self.failures = 0;
        } else if self.alive.is_none() && running < grace {
            // It may still be starting.
            return None;
        } else {
            self.alive = Some(false);
            self.failures = self.failures.saturating_add(1);
        }
        Some((alive, cause))
    }

    fn gives_up(&self) -> bool {
        let failures_max = self.check.max_consecutive_failures;
        failures_max > 0 && self.failures >= failures_max
    }
}

/// What a verdict comes to.
#[derive(Debug, Default)]
pub(crate) struct Meaning {
    /// For the engine.
    pub(crate) input: Option<Input>,
    /// The health check that failed, if its failure counts.
    pub(crate) failed: Option<Arc<HealthCheck>>,
}

impl Verdict {
    /// Whether it says that the instance is ready: nothing more is asked then.
    pub(super) fn is_ready(&self) -> bool {
        match (&self.kind, &self.answer) {
            (Kind::Readiness(check), Answer::Http(status, ..)) => {
                check.http_status_codes_for_ready.contains(status)
            }
            _ => false,
        }
    }

    /// What it means, for readers and for the engine. `since` is when the instance began to run, `health` what its
    /// health checks said so far.
    pub(crate) fn apply(
        &self,
        health: &mut [Health],
        seen: &mut Seen,
        since: Option<Wall>,
        now: Wall,
    ) -> Meaning {
        let (instance, incarnation) = (self.instance.clone(), self.incarnation);
        match &self.kind {
            Kind::Readiness(check) => {
                let ready = self.is_ready();
                let last = match &self.answer {
                    Answer::Http(status, kind, body) if check.preserve_last_response => {
                        Some((*status, Arc::from(kind.as_str()), Arc::from(body.as_str())))
                    }
                    _ => None,
                };
                seen.readiness = Some(ReadinessSeen {
                    name: check.name.as_str().into(),
                    ready,
                    last,
                });
                let input = ready.then_some(Input::Ready {
                    instance,
                    incarnation,
                });
                Meaning { input, failed: None }
            }
            Kind::Health { index } => {
                let ran = since.map_or(0, |since| now.0.saturating_sub(since.0));
                let ran = Duration::from_nanos(u64::try_from(ran).unwrap_or(0));
                let Some(check) = health.get_mut(*index) else {
                    return Meaning::default();
                };
                let Some((alive, cause)) = check.count(&self.answer, ran) else {
                    return Meaning::default();
                };
                let failed = (!alive).then(|| Arc::clone(&check.check));
                seen.judge(alive, cause.as_deref(), now);
                // Healthy is who passes every check; while one has not said anything nobody knows.
                let failing = health.iter().any(|check| check.alive == Some(false));
                let all_pass = health.iter().all(|check| check.alive == Some(true));
                let input = (failing || all_pass).then(|| Input::Health {
                    instance,
                    incarnation,
                    healthy: all_pass,
                    give_up: health.iter().any(Health::gives_up),
                });
                Meaning { input, failed }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::{HealthProtocol, IpProtocol};

    fn health(grace: u32, failures_max: u32) -> Health {
        Health::new(Arc::new(HealthCheck {
            protocol: HealthProtocol::Http,
            path: None,
            port_index: Some(0),
            port: None,
            command: None,
            grace_period_seconds: grace,
            interval_seconds: 1,
            timeout_seconds: 1,
            max_consecutive_failures: failures_max,
            delay_seconds: 0,
            ignore_http1xx: Some(true),
            ip_protocol: IpProtocol::V4,
        }))
    }

    fn verdict(index: usize, answer: Answer) -> Verdict {
        Verdict {
            instance: InstanceId::recorded("a.instance-1"),
            incarnation: 1,
            kind: Kind::Health { index },
            answer,
        }
    }

    fn said(meaning: Meaning) -> Option<(bool, bool)> {
        match meaning.input {
            Some(Input::Health { healthy, give_up, .. }) => {
                let fails = !healthy && meaning.failed.is_some();
                assert!(healthy || fails, "a failure that counts is told");
                Some((healthy, give_up))
            }
            _ => None,
        }
    }

    #[test]
    fn failures_count_after_the_first_success_or_after_grace_and_too_many_are_the_end() {
        let mut checks = [health(10, 2)];
        let mut seen = Seen::default();
        let second = |n: i64| Wall(n * 1_000_000_000);
        let mut ask = |answer: Answer, at: i64| {
            said(verdict(0, answer).apply(&mut checks, &mut seen, Some(second(0)), second(at)))
        };
        let fails = || Answer::Failed("refused".into());
        assert_eq!(ask(fails(), 5), None, "it may still be starting");
        assert_eq!(ask(Answer::Http(100, String::new(), String::new()), 5), None);
        assert_eq!(
            ask(Answer::Http(204, String::new(), String::new()), 6),
            Some((true, false))
        );
        assert_eq!(
            ask(fails(), 7),
            Some((false, false)),
            "grace ended with the first success"
        );
        assert_eq!(ask(Answer::Connected, 8), Some((true, false)));
        assert_eq!(
            ask(Answer::Http(503, String::new(), String::new()), 9),
            Some((false, false))
        );
        assert_eq!(ask(fails(), 10), Some((false, true)));
        let seen = seen.health.unwrap_or_default();
        assert_eq!(
            (seen.consecutive_failures, seen.last_failure_cause.as_deref()),
            (2, Some("refused"))
        );
    }

    #[test]
    fn an_instance_is_healthy_when_all_its_checks_pass_and_zero_failures_never_end_it() {
        let mut checks = [health(0, 0), health(0, 0)];
        let mut seen = Seen::default();
        let mut ask =
            |index, answer| said(verdict(index, answer).apply(&mut checks, &mut seen, None, Wall(0)));
        assert_eq!(
            ask(0, Answer::Connected),
            None,
            "the other one has not said anything"
        );
        assert_eq!(ask(1, Answer::Connected), Some((true, false)));
        for _ in 0..50 {
            assert_eq!(ask(0, Answer::Failed("x".into())), Some((false, false)));
        }
    }
}
