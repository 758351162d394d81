//! Runs one probe of a task: HTTP and TCP from here, commands beside the container's processes.
//!
//! When a probe runs and what its outcome means is the core's question.

use crate::containers::Known;
use crate::launch;
use meseta_agent_core::{ProbeKind, ProbeOrder, ProbeOutcome};
use meseta_containerizer::probe::{self, HttpProbe, HttpProber, TcpProbe, Verdict};
use meseta_containerizer::{CommandProbe, Containerizer};
use meseta_proto::mesos::v1 as pb;
use meseta_proto::prost::Message;
use meseta_types::ContainerId;
use std::sync::OnceLock;
use std::time::Duration;

/// What a check's description asks for.
enum Wanted {
    Http(HttpProbe),
    Tcp(TcpProbe),
    Command(pb::CommandInfo),
}

/// Runs the probe of `order`.
pub(crate) async fn run(
    order: ProbeOrder,
    known: Option<Known>,
    containerizer: Containerizer,
) -> ProbeOutcome {
    let Ok(task) = pb::TaskInfo::decode(order.task.wire.clone()) else {
        return ProbeOutcome::Skipped;
    };
    let wanted = match order.kind {
        ProbeKind::Health => task
            .health_check
            .as_ref()
            .and_then(|check| health(check, order.timeout)),
        ProbeKind::Check => task
            .check
            .as_ref()
            .and_then(|check| general(check, order.timeout)),
    };
    let kind = task
        .check
        .as_ref()
        .map_or(pb::check_info::Type::Unknown, |check| check.r#type());
    let verdict = match wanted {
        None => Verdict::Skipped("the check has no description".into()),
        Some(Wanted::Http(wanted)) => http(&wanted).await,
        Some(Wanted::Tcp(wanted)) => probe::tcp(&wanted).await,
        Some(Wanted::Command(command)) => {
            run_command(&containerizer, order.container_id, known, command, order.timeout).await
        }
    };
    match order.kind {
        ProbeKind::Health => health_outcome(verdict),
        ProbeKind::Check => check_outcome(kind, verdict),
    }
}

/// Made at the first HTTP probe: an agent without any does not pay for it.
static PROBER: OnceLock<Result<HttpProber, String>> = OnceLock::new();

async fn http(wanted: &HttpProbe) -> Verdict {
    match PROBER.get_or_init(HttpProber::new) {
        Ok(prober) => prober.probe(wanted).await,
        Err(why) => Verdict::Skipped(why.as_str().into()),
    }
}

async fn run_command(
    containerizer: &Containerizer,
    container: ContainerId,
    known: Option<Known>,
    command: pb::CommandInfo,
    timeout: Option<Duration>,
) -> Verdict {
    let Some(known) = known else {
        return Verdict::Skipped("the container is gone".into());
    };
    let what =
        launch::command(&command).and_then(|c| Ok((c, launch::variables(command.environment.as_ref())?)));
    let (command, own) = match what {
        Ok(what) => what,
        Err(why) => return Verdict::Failed(why.into()),
    };
    let mut environment = known.environment;
    environment.extend(own);
    let probe = CommandProbe {
        container,
        sandbox: known.sandbox,
        command,
        environment,
        user: known.user,
        timeout,
    };
    containerizer
        .probe_command(probe)
        .await
        .unwrap_or_else(|gone| Verdict::Skipped(gone.to_string().into()))
}

/// A port beyond 65535 cannot be reached by anybody: the probe fails, it is not skipped.
fn port(number: u32) -> Option<u16> {
    u16::try_from(number).ok()
}

fn health(check: &pb::HealthCheck, timeout: Option<Duration>) -> Option<Wanted> {
    use pb::health_check::Type;
    use pb::network_info::Protocol;
    match check.r#type() {
        Type::Http => check.http.as_ref().and_then(|http| {
            Some(Wanted::Http(HttpProbe {
                https: http.scheme.as_deref() == Some("https"),
                ipv6: http.protocol() == Protocol::IPv6,
                port: port(http.port)?,
                path: http.path.clone().unwrap_or_default(),
                timeout,
            }))
        }),
        Type::Tcp => check.tcp.as_ref().and_then(|tcp| {
            Some(Wanted::Tcp(TcpProbe {
                ipv6: tcp.protocol() == Protocol::IPv6,
                port: port(tcp.port)?,
                timeout,
            }))
        }),
        Type::Command => check.command.clone().map(Wanted::Command),
        Type::Unknown => None,
    }
}

fn general(check: &pb::CheckInfo, timeout: Option<Duration>) -> Option<Wanted> {
    use pb::check_info::Type;
    match check.r#type() {
        Type::Http => check.http.as_ref().and_then(|http| {
            Some(Wanted::Http(HttpProbe {
                https: false,
                ipv6: false,
                port: port(http.port)?,
                path: http.path.clone().unwrap_or_default(),
                timeout,
            }))
        }),
        Type::Tcp => check.tcp.as_ref().and_then(|tcp| {
            Some(Wanted::Tcp(TcpProbe {
                ipv6: false,
                port: port(tcp.port)?,
                timeout,
            }))
        }),
        Type::Command => check.command.as_ref().map(|c| Wanted::Command(c.command.clone())),
        Type::Unknown => None,
    }
}

fn health_outcome(verdict: Verdict) -> ProbeOutcome {
    match verdict.healthy() {
        Some(true) => ProbeOutcome::Passed,
        Some(false) => ProbeOutcome::Failed(why(&verdict).into()),
        None => ProbeOutcome::Skipped,
    }
}

fn why(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Exited(status) => format!("the command ended with wait status {status}"),
        Verdict::Http(code) => format!("the answer was HTTP {code}"),
        Verdict::Failed(text) | Verdict::Skipped(text) => text.to_string(),
        Verdict::TimedOut => "it took too long".to_owned(),
        Verdict::Connected => String::new(),
    }
}

/// A failed or timed out check shows an empty status of its type (mesos-agent 4.3, 6).
fn check_outcome(kind: pb::check_info::Type, verdict: Verdict) -> ProbeOutcome {
    use pb::check_info::Type;
    use pb::check_status_info as status;
    if let Verdict::Skipped(_) = verdict {
        return ProbeOutcome::Skipped;
    }
    let mut seen = pb::CheckStatusInfo {
        r#type: Some(kind as i32),
        ..Default::default()
    };
    match kind {
        Type::Command => {
            seen.command = Some(status::Command {
                exit_code: match verdict {
                    Verdict::Exited(raw) if raw & 0x7f == 0 => Some(raw >> 8 & 0xff),
                    _ => None,
                },
            });
        }
        Type::Http => {
            seen.http = Some(status::Http {
                status_code: match verdict {
                    Verdict::Http(code) => Some(u32::from(code)),
                    _ => None,
                },
            });
        }
        Type::Tcp => {
            seen.tcp = Some(status::Tcp {
                succeeded: match verdict {
                    Verdict::Connected => Some(true),
                    Verdict::TimedOut => None,
                    _ => Some(false),
                },
            });
        }
        Type::Unknown => return ProbeOutcome::Skipped,
    }
    ProbeOutcome::Observed(launch::check_status(&seen))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn observed(kind: pb::check_info::Type, verdict: Verdict) -> pb::CheckStatusInfo {
        let ProbeOutcome::Observed(piece) = check_outcome(kind, verdict) else {
            panic!()
        };
        pb::TaskStatus::decode(piece).unwrap().check_status.unwrap()
    }

    #[test]
    fn a_check_shows_what_it_saw_or_an_empty_status_of_its_type() {
        use pb::check_info::Type;
        let seen = observed(Type::Command, Verdict::Exited(3 << 8));
        assert_eq!(seen.command.unwrap().exit_code, Some(3));
        let killed = observed(Type::Command, Verdict::Exited(9));
        assert_eq!(killed.command.unwrap().exit_code, None);
        let timed_out = observed(Type::Http, Verdict::TimedOut);
        assert_eq!(timed_out.http.unwrap().status_code, None);
        let refused = observed(Type::Tcp, Verdict::Failed("refused".into()));
        assert_eq!(refused.tcp.unwrap().succeeded, Some(false));
    }

    #[test]
    fn a_health_check_passes_fails_or_counts_for_nothing() {
        assert_eq!(health_outcome(Verdict::Http(399)), ProbeOutcome::Passed);
        assert!(matches!(
            health_outcome(Verdict::Http(400)),
            ProbeOutcome::Failed(_)
        ));
        assert!(matches!(
            health_outcome(Verdict::TimedOut),
            ProbeOutcome::Failed(_)
        ));
        assert_eq!(
            health_outcome(Verdict::Skipped("x".into())),
            ProbeOutcome::Skipped
        );
    }
}
