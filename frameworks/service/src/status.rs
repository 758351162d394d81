//! What the master says of a task, as the engine takes it and as readers see it.

use crate::view::Seen;
use meseta_sdk::proto as v1;
use meseta_sdk::proto::task_status::Reason;
use meseta_service_core::io::{AckToken, TaskEvent, TaskKind};
use meseta_types::Wall;
use std::sync::Arc;

/// The longest text of a status that is kept: it is stored with an app's last failure and shown to people.
const MESSAGE_BYTES_MAX: usize = 4 * 1024;

/// The engine's word for a status.
pub(crate) fn event(status: &v1::TaskStatus, ack: Option<AckToken>) -> TaskEvent {
    TaskEvent {
        task: status.task_id.value.as_str().into(),
        kind: kind(status),
        state: status.state().as_str_name().into(),
        message: shortened(status.message()).into(),
        agent: status.agent_id.as_ref().map(|id| id.value.as_str().into()),
        healthy: status.healthy,
        ack,
    }
}

fn kind(status: &v1::TaskStatus) -> TaskKind {
    use v1::TaskState;
    let offer_was_gone = status.reason == Some(Reason::InvalidOffers as i32);
    match status.state() {
        TaskState::TaskStaging => TaskKind::Staging,
        TaskState::TaskStarting => TaskKind::Starting,
        TaskState::TaskRunning => TaskKind::Running,
        TaskState::TaskKilling => TaskKind::Killing,
        TaskState::TaskKilled => TaskKind::Killed,
        TaskState::TaskLost | TaskState::TaskDropped if offer_was_gone => TaskKind::NotLaunched,
        TaskState::TaskFinished
        | TaskState::TaskFailed
        | TaskState::TaskError
        | TaskState::TaskLost
        | TaskState::TaskDropped
        | TaskState::TaskGone
        | TaskState::TaskGoneByOperator => TaskKind::Ended,
        TaskState::TaskUnreachable => TaskKind::Unreachable,
        TaskState::TaskUnknown => TaskKind::Unknown,
    }
}

fn shortened(text: &str) -> &str {
    let mut end = text.len().min(MESSAGE_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

/// A launch that did not happen because its offer was gone: nobody's failure.
pub(crate) fn not_launched(task: &str, agent: &Arc<str>) -> TaskEvent {
    TaskEvent {
        kind: TaskKind::NotLaunched,
        ..refused(task, agent, "TASK_DROPPED", "its offer was gone")
    }
}

/// A launch that cannot happen, whatever the offer.
pub(crate) fn impossible(task: &str, agent: &Arc<str>, why: &str) -> TaskEvent {
    refused(task, agent, "TASK_ERROR", why)
}

fn refused(task: &str, agent: &Arc<str>, state: &str, why: &str) -> TaskEvent {
    TaskEvent {
        task: task.into(),
        kind: TaskKind::Ended,
        state: state.into(),
        message: shortened(why).into(),
        agent: Some(Arc::clone(agent)),
        healthy: None,
        ack: None,
    }
}

/// What readers see of a status beyond its state.
pub(crate) fn see(seen: &mut Seen, status: &v1::TaskStatus, at: Wall) {
    let addresses: Vec<(String, &'static str)> = status
        .container_status
        .iter()
        .flat_map(|container| &container.network_infos)
        .flat_map(|network| &network.ip_addresses)
        .filter_map(|address| {
            let family = match address.protocol() {
                v1::network_info::Protocol::IPv4 => "IPv4",
                v1::network_info::Protocol::IPv6 => "IPv6",
            };
            Some((address.ip_address.clone()?, family))
        })
        .collect();
    if !addresses.is_empty() && *seen.addresses != addresses[..] {
        seen.addresses = addresses.into();
    }
    let is_verdict = status.reason == Some(Reason::TaskHealthCheckStatusUpdated as i32);
    let known = seen.health.as_ref().map(|health| health.alive);
    if let Some(healthy) = status.healthy
        // Other updates repeat the verdict.
        && (is_verdict || known != Some(healthy))
    {
        seen.judge(healthy, status.message.as_deref().map(shortened), at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(state: v1::TaskState) -> v1::TaskStatus {
        v1::TaskStatus {
            state: state as i32,
            ..Default::default()
        }
    }

    #[test]
    fn a_task_whose_offer_was_gone_never_was_and_every_other_end_is_an_end() {
        let mut lost = status(v1::TaskState::TaskLost);
        assert_eq!(event(&lost, None).kind, TaskKind::Ended);
        lost.reason = Some(Reason::InvalidOffers as i32);
        assert_eq!(event(&lost, None).kind, TaskKind::NotLaunched);
        let unreachable = status(v1::TaskState::TaskUnreachable);
        assert_eq!(event(&unreachable, None).kind, TaskKind::Unreachable);
        assert_eq!(&*event(&unreachable, None).state, "TASK_UNREACHABLE");
    }

    #[test]
    fn a_repeated_verdict_is_counted_once_and_a_new_one_again() {
        let mut seen = Seen::default();
        let mut update = status(v1::TaskState::TaskRunning);
        see(&mut seen, &update, Wall(1));
        assert_eq!(seen.health, None);
        update.healthy = Some(false);
        see(&mut seen, &update, Wall(2));
        see(&mut seen, &update, Wall(3));
        update.reason = Some(Reason::TaskHealthCheckStatusUpdated as i32);
        see(&mut seen, &update, Wall(4));
        let health = seen.health.clone().unwrap_or_default();
        assert_eq!((health.alive, health.consecutive_failures), (false, 2));
        assert_eq!((health.last_failure, health.first_success), (Some(Wall(4)), None));
        update.healthy = Some(true);
        see(&mut seen, &update, Wall(5));
        let health = seen.health.unwrap_or_default();
        assert_eq!((health.alive, health.consecutive_failures), (true, 0));
        assert_eq!(
            (health.first_success, health.last_success),
            (Some(Wall(5)), Some(Wall(5)))
        );
    }

    #[test]
    fn long_texts_end_between_characters() {
        let text = "ä".repeat(MESSAGE_BYTES_MAX);
        let short = shortened(&text);
        assert!(short.len() <= MESSAGE_BYTES_MAX && short.chars().all(|c| c == 'ä'));
    }
}
