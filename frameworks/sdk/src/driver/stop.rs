//! Ending on purpose: flush and leave, leave at once, or remove the framework.

use super::calls::NewCall;
use super::io::{CallError, CallSeq, CommandId, Exit, Lane, LinkId, Output, Reply, Stop};
use super::rules::{Afterwards, Rule};
use super::{Driver, State};
use meseta_proto::mesos::v1::scheduler::{self, call};
use meseta_types::Mono;

/// How TEARDOWN is treated: repeated until it is answered, on whichever stream.
const TEARDOWN_RULE: Rule = Rule {
    lane: Lane::Free,
    repeatable: true,
    afterwards: Afterwards::Again,
};

/// An end under way.
#[derive(Clone, Debug)]
pub(super) struct Stopping {
    pub(super) how: Stop,
    pub(super) until: Mono,
    pub(super) command: CommandId,
    /// Whether TEARDOWN was handed to the calls.
    teardown_asked: bool,
    /// Whether the master has taken it: the end of the stream is then its end.
    teardown_taken: bool,
}

impl Driver {
    pub(super) fn stop(&mut self, now: Mono, id: CommandId, how: Stop, out: &mut Vec<Output>) {
        if let Some(earlier) = self.stopping.take() {
            // A second, harder word overrides the first: Abort ends a flush, nothing softens a teardown.
            out.push(Output::Answer(earlier.command, Err(CallError::Stale)));
        }
        self.stopping = Some(Stopping {
            how,
            until: now
                + match how {
                    Stop::Failover | Stop::Abort => self.cfg.drain_timeout,
                    Stop::Teardown => self.cfg.teardown_timeout,
                },
            command: id,
            teardown_asked: false,
            teardown_taken: false,
        });
        self.resume_stopping(now, out);
    }

    pub(super) fn tearing_down(&self) -> bool {
        matches!(&self.stopping, Some(s) if s.how == Stop::Teardown)
    }

    /// Asks for the teardown as soon as there is a stream to ask on.
    pub(super) fn resume_stopping(&mut self, now: Mono, out: &mut Vec<Output>) {
        let subscribed = matches!(self.state, State::Subscribed { .. });
        let Some(stopping) = &mut self.stopping else {
            return;
        };
        if stopping.how != Stop::Teardown || stopping.teardown_asked || !subscribed {
            return;
        }
        stopping.teardown_asked = true;
        let call = scheduler::Call {
            framework_id: Some(self.wire_id()),
            r#type: Some(call::Type::Teardown as i32),
            ..Default::default()
        };
        let new = NewCall {
            command: None,
            rule: TEARDOWN_RULE,
            call,
        };
        self.calls.send(now, &self.cfg, self.link, new, out);
    }

    /// The master has taken the teardown, which means validated, not done: it is done when it ends the stream. Leaving
    /// before that could be seen as a disconnection that comes first.
    pub(super) fn teardown_accepted(
        &mut self,
        now: Mono,
        seq: CallSeq,
        link: LinkId,
        reply: Reply,
        out: &mut Vec<Output>,
    ) {
        let streaming = link == self.link && matches!(self.state, State::Subscribed { .. });
        match &mut self.stopping {
            Some(stopping) if streaming && reply == Reply::Accepted => {
                stopping.teardown_taken = true;
                stopping.until = now + self.cfg.drain_timeout;
                self.calls.settled(seq);
            }
            _ => self.exit(Exit::TornDown, out),
        }
    }

    /// Ends when there is nothing left to wait for, or no time.
    pub(super) fn finish_stopping(&mut self, now: Mono, out: &mut Vec<Output>) {
        let Some(stopping) = &self.stopping else {
            return;
        };
        let over = now >= stopping.until;
        let subscribed = matches!(self.state, State::Subscribed { .. });
        match stopping.how {
            Stop::Abort => self.exit(Exit::Stopped, out),
            Stop::Failover if over || !subscribed || self.calls.in_flight() == 0 => {
                self.exit(Exit::Stopped, out);
            }
            Stop::Teardown if stopping.teardown_taken && (over || !subscribed) => {
                self.exit(Exit::TornDown, out);
            }
            Stop::Teardown if over => self.exit(Exit::Stopped, out),
            Stop::Failover | Stop::Teardown => {}
        }
    }
}
