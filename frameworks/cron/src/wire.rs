//! From the messages of a master to what the engine looks at.

use meseta_cron_core::io::{AckToken, Offer, TaskEvent, TaskKind};
use meseta_cron_core::job::Demand;
use meseta_cron_core::run::RunId;
use meseta_sdk::proto as v1;
use std::sync::Arc;

/// Resources a run may be given: what belongs to somebody (volumes, revocable and shared resources, reservations with
/// labels) is left alone, as [`meseta_sdk::task::Needs::cut_from`] does.
fn is_plain(resource: &v1::Resource) -> bool {
    resource.disk.is_none()
        && resource.revocable.is_none()
        && resource.shared.is_none()
        && resource
            .reservations
            .iter()
            .all(|reservation| reservation.labels.is_none())
}

/// What the engine looks at of an offer. Attributes with ranges match nothing, as in Chronos.
pub(crate) fn seen(offer: &v1::Offer) -> Offer {
    let sum = |name: &str| -> f64 {
        let these = offer.resources.iter().filter(|r| r.name == name && is_plain(r));
        these
            .filter_map(|r| r.scalar.as_ref())
            .map(|scalar| scalar.value)
            .sum()
    };
    let attributes = offer.attributes.iter().filter_map(|attribute| {
        let text = match (&attribute.text, &attribute.scalar, &attribute.set) {
            (Some(text), _, _) => text.value.clone(),
            (None, Some(scalar), _) => scalar.value.to_string(),
            (None, None, Some(set)) => format!("{{{}}}", set.item.join(",")),
            (None, None, None) => return None,
        };
        Some((Arc::from(attribute.name.as_str()), Arc::from(text)))
    });
    Offer {
        id: offer.id.value.as_str().into(),
        agent: offer.agent_id.value.as_str().into(),
        host: offer.hostname.as_str().into(),
        attributes: attributes.collect(),
        there: Demand {
            cpus: sum("cpus"),
            mem: sum("mem"),
            disk: sum("disk"),
        },
    }
}

/// What is left of resources when some are taken out of them.
pub(crate) fn left(mut from: Vec<v1::Resource>, taken: &[v1::Resource]) -> Vec<v1::Resource> {
    for resource in taken {
        let Some(amount) = resource.scalar.as_ref() else {
            continue;
        };
        let same = from.iter_mut().find(|r| {
            r.name == resource.name
                && r.reservations == resource.reservations
                && is_plain(r)
                && r.scalar
                    .as_ref()
                    .is_some_and(|there| there.value + 1e-9 >= amount.value)
        });
        if let Some(scalar) = same.and_then(|r| r.scalar.as_mut()) {
            scalar.value = ((scalar.value - amount.value) * 1000.0).round() / 1000.0;
        }
    }
    from
}

/// What a status says of a run.
///
/// | state | is |
/// |---|---|
/// | STAGING, STARTING, RUNNING, KILLING | there |
/// | FINISHED; KILLED | that |
/// | FAILED, ERROR, DROPPED | a failed attempt, with the reason |
/// | DROPPED, since its offer was gone | never launched: nobody's failure |
/// | UNREACHABLE | waited for |
/// | UNKNOWN, or GONE by reconciliation (the agent is there and does not know it) | unknown |
/// | LOST, GONE, GONE_BY_OPERATOR | lost |
pub(crate) fn told(status: &v1::TaskStatus, ack: Option<AckToken>) -> TaskEvent {
    use v1::TaskState as S;
    use v1::task_status::Reason;
    let reason = status.reason.and_then(|reason| Reason::try_from(reason).ok());
    let state = S::try_from(status.state);
    let kind = match state {
        Ok(S::TaskStaging | S::TaskStarting | S::TaskRunning | S::TaskKilling) => TaskKind::Running,
        Ok(S::TaskFinished) => TaskKind::Finished,
        Ok(S::TaskKilled) => TaskKind::Killed,
        Ok(S::TaskDropped) if reason == Some(Reason::InvalidOffers) => TaskKind::NotLaunched,
        // The agent came back without it: the launch was lost on its way.
        Ok(S::TaskDropped | S::TaskLost) if reason == Some(Reason::Reconciliation) => TaskKind::NotLaunched,
        Ok(S::TaskFailed | S::TaskError | S::TaskDropped) => TaskKind::Failed,
        Ok(S::TaskUnreachable) => TaskKind::Unreachable,
        Ok(S::TaskUnknown) => TaskKind::Vanished,
        Ok(S::TaskGone) if reason == Some(Reason::Reconciliation) => TaskKind::Unknown,
        Ok(S::TaskLost | S::TaskGone | S::TaskGoneByOperator) | Err(_) => TaskKind::Lost,
    };
    let message = match (status.message.as_deref().unwrap_or_default(), reason) {
        ("", Some(reason)) => reason.as_str_name().into(),
        ("", None) => state
            .map_or("an unknown state", |state| state.as_str_name())
            .into(),
        // The message says how it was ended, not why.
        (message, Some(Reason::MaxCompletionTimeReached)) => {
            format!("its maximum completion time was over: {message}").into()
        }
        (message, _) => message.into(),
    };
    TaskEvent {
        run: RunId::written(&status.task_id.value),
        kind,
        message,
        agent: status.agent_id.as_ref().map(|id| id.value.as_str().into()),
        ack,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use v1::TaskState as S;
    use v1::task_status::Reason;

    fn kind(state: S, reason: Option<Reason>) -> TaskKind {
        let status = v1::TaskStatus {
            state: state as i32,
            reason: reason.map(|reason| reason as i32),
            ..Default::default()
        };
        told(&status, None).kind
    }

    #[test]
    fn states_mean_what_the_table_says() {
        for (state, reason, wanted) in [
            (S::TaskStarting, None, TaskKind::Running),
            (S::TaskKilling, None, TaskKind::Running),
            (S::TaskDropped, Some(Reason::InvalidOffers), TaskKind::NotLaunched),
            (S::TaskDropped, Some(Reason::AgentDisconnected), TaskKind::Failed),
            (S::TaskError, Some(Reason::TaskInvalid), TaskKind::Failed),
            (S::TaskGone, Some(Reason::Reconciliation), TaskKind::Unknown),
            (S::TaskUnknown, Some(Reason::Reconciliation), TaskKind::Vanished),
            (
                S::TaskDropped,
                Some(Reason::Reconciliation),
                TaskKind::NotLaunched,
            ),
            (S::TaskGone, Some(Reason::AgentRemoved), TaskKind::Lost),
            (
                S::TaskGoneByOperator,
                Some(Reason::Reconciliation),
                TaskKind::Lost,
            ),
            (
                S::TaskUnreachable,
                Some(Reason::Reconciliation),
                TaskKind::Unreachable,
            ),
        ] {
            assert_eq!(kind(state, reason), wanted, "{state:?} {reason:?}");
        }
        let odd = v1::TaskStatus {
            state: 12_345,
            ..Default::default()
        };
        assert_eq!(told(&odd, None).kind, TaskKind::Lost);
    }

    #[test]
    fn what_belongs_to_somebody_is_not_counted() {
        let scalar = |name: &str, value| v1::Resource {
            name: name.into(),
            scalar: Some(v1::value::Scalar { value }),
            ..Default::default()
        };
        let volume = v1::Resource {
            disk: Some(Default::default()),
            ..scalar("disk", 500.0)
        };
        let offer = v1::Offer {
            resources: vec![
                scalar("cpus", 1.0),
                scalar("cpus", 0.5),
                scalar("disk", 10.0),
                volume,
            ],
            ..Default::default()
        };
        let there = seen(&offer).there;
        assert_eq!((there.cpus, there.mem, there.disk), (1.5, 0.0, 10.0));
    }

    #[test]
    fn what_is_taken_is_gone_to_the_thousandth() {
        let scalar = |value| v1::Resource {
            name: "cpus".into(),
            scalar: Some(v1::value::Scalar { value }),
            ..Default::default()
        };
        let rest = left(vec![scalar(0.3)], &[scalar(0.1)]);
        assert_eq!(rest[0].scalar.as_ref().map(|s| s.value), Some(0.2));
    }
}
