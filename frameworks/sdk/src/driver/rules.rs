//! One table: for each call its lane and what a lost answer means.
//!
//! 202 says "validated", never "done"; a connection error, a timeout or a 5xx after sending says nothing at all. What
//! to do then differs per call: a repeated ACCEPT would report the tasks of the first one as dropped, a repeated KILL
//! is harmless, an old SUPPRESS is best said with the next SUBSCRIBE.

use super::io::Lane;
use meseta_proto::mesos::v1::scheduler::call::Type;
use meseta_types::AgentId;

/// What happens to a call whose stream is gone before its answer came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Afterwards {
    /// The caller hears that its outcome is unknown.
    Unknown,
    /// It has lost its meaning with the stream.
    Stale,
    /// The next SUBSCRIBE says it.
    Folded,
    /// It is sent again on the next stream.
    Again,
}

/// How one kind of call is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    /// Its order relative to others.
    pub(super) lane: Lane,
    /// Whether it may be sent again on the same stream when its answer is lost.
    pub(super) repeatable: bool,
    /// What a new stream means for it.
    pub(super) afterwards: Afterwards,
}

/// The rule of a call type; `None` for those that are no command (SUBSCRIBE, TEARDOWN, unknown ones).
pub(super) fn of(call: Type, agent: Option<&AgentId>) -> Option<Rule> {
    let rule = |lane, repeatable, afterwards| {
        Some(Rule {
            lane,
            repeatable,
            afterwards,
        })
    };
    let agent_lane = Lane::of_agent(agent);
    match call {
        Type::Unknown | Type::Subscribe | Type::Teardown => None,
        Type::Accept => rule(agent_lane, false, Afterwards::Unknown),
        Type::Message => rule(agent_lane, false, Afterwards::Unknown),
        Type::Decline | Type::AcceptInverseOffers | Type::DeclineInverseOffers => {
            rule(agent_lane, true, Afterwards::Stale)
        }
        Type::Kill | Type::Shutdown => rule(agent_lane, true, Afterwards::Again),
        Type::Suppress | Type::Revive | Type::UpdateFramework => rule(Lane::Wish, true, Afterwards::Folded),
        Type::Acknowledge | Type::AcknowledgeOperationStatus => rule(Lane::Free, true, Afterwards::Stale),
        Type::Reconcile | Type::ReconcileOperations | Type::Request => {
            rule(Lane::Free, true, Afterwards::Stale)
        }
    }
}

/// What a refusal says about the stream the call was sent on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The master does not know this subscription (any more): subscribe again.
    StreamDead,
    /// The call itself is at fault.
    CallersFault,
}

/// Reads a refusal by Mesos's texts.
pub(super) fn read_refusal(code: u16, text: &str) -> Verdict {
    let stream_id = text.contains("stream ID") && text.contains("didn't match");
    let dead = match code {
        400 => stream_id || text.contains("Framework cannot be found"),
        403 => text.contains("Framework is not subscribed"),
        _ => false,
    };
    if dead {
        Verdict::StreamDead
    } else {
        Verdict::CallersFault
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_accept_is_never_sent_twice() {
        let rule = of(Type::Accept, None).map(|r| (r.repeatable, r.afterwards));
        assert_eq!(rule, Some((false, Afterwards::Unknown)));
    }

    #[test]
    fn a_kill_shares_the_lane_of_the_accept_it_must_not_overtake() {
        for n in 0..50 {
            let agent = AgentId::new(format!("agent-S{n}")).ok();
            let lane = |t| of(t, agent.as_ref()).map(|r| r.lane);
            assert_eq!(lane(Type::Accept), lane(Type::Kill));
            assert_eq!(lane(Type::Accept), lane(Type::Decline));
        }
    }

    #[test]
    fn texts_of_a_dead_stream_are_told_from_faults_of_a_call() {
        for (code, text) in [
            (
                400,
                "The stream ID 'x' included in this request didn't match the stream ID currently associated with framework ID f",
            ),
            (400, "Framework cannot be found"),
            (403, "Framework is not subscribed"),
        ] {
            assert_eq!(read_refusal(code, text), Verdict::StreamDead, "{text}");
        }
        for (code, text) in [
            (400, "Failed to validate scheduler::Call: Not a valid UUID"),
            (403, "403 Forbidden."),
            (401, "401 Unauthorized."),
        ] {
            assert_eq!(read_refusal(code, text), Verdict::CallersFault, "{text}");
        }
    }
}
