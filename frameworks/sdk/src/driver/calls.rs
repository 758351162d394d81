//! The calls under way: numbers, timeouts, repetitions, and what a new stream makes of them.

use super::backoff::{BackOff, Rng};
use super::io::{
    AckToken, Acked, CallError, CallSeq, CommandId, Epoch, LinkId, Output, Reply, Sent, TimerKind, Wish,
};
use super::rules::{self, Afterwards, Rule, Verdict};
use super::{Broken, Driver, DriverConfig, State};
use meseta_proto::mesos::v1;
use meseta_proto::mesos::v1::scheduler::{self, call};
use meseta_types::{AgentId, Mono};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use wishes::wish_of;

mod wishes;

/// Ceiling of the first wait before a call is sent again on the same stream.
const RETRY_FIRST: Duration = Duration::from_millis(100);
/// Ceiling of every such wait.
const RETRY_MOST: Duration = Duration::from_secs(5);

/// A call about to be sent for the first time.
#[derive(Debug)]
pub(super) struct NewCall {
    pub(super) command: Option<CommandId>,
    pub(super) rule: Rule,
    pub(super) call: scheduler::Call,
}

/// The open stream.
pub(super) struct Stream<'a> {
    pub(super) link: LinkId,
    pub(super) epoch: Epoch,
    /// What is wished by now.
    pub(super) wish: &'a Wish,
}

#[derive(Clone, Debug)]
enum Place {
    /// Sent; the answer is due.
    InFlight { until: Mono },
    /// Will be sent again on this stream.
    Retrying { at: Mono },
    /// Will be sent on the next stream.
    Kept,
}

#[derive(Debug)]
struct Pending {
    command: Option<CommandId>,
    rule: Rule,
    call: Arc<scheduler::Call>,
    place: Place,
    backoff: BackOff,
}

impl Pending {
    fn kind(&self) -> call::Type {
        self.call.r#type()
    }
}

/// All calls that have no final answer yet.
#[derive(Debug)]
pub(super) struct Calls {
    next: u64,
    pending: BTreeMap<CallSeq, Pending>,
    /// Answers due, in the order of sending: the timeout is the same for all, so the front is always the earliest.
    /// Entries of calls that were answered meanwhile are skipped.
    due: VecDeque<(Mono, CallSeq)>,
    retries: BTreeSet<(Mono, CallSeq)>,
    /// Those that are an UPDATE_FRAMEWORK.
    updates: BTreeSet<CallSeq>,
    in_flight: usize,
    rng: Rng,
}

impl Calls {
    pub(super) fn new(seed: u64) -> Calls {
        Calls {
            next: 0,
            pending: BTreeMap::new(),
            due: VecDeque::new(),
            retries: BTreeSet::new(),
            updates: BTreeSet::new(),
            in_flight: 0,
            rng: Rng::new(seed),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.pending.len()
    }

    /// Calls sent on the current stream whose answer is due, and those that wait to be sent again on it.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight + self.retries.len()
    }

    pub(super) fn deadline(&self) -> Option<(Mono, TimerKind)> {
        let due = self.due.front().map(|(at, _)| (*at, TimerKind::CallTimeout));
        let retry = self.retries.first().map(|(at, _)| (*at, TimerKind::CallRetry));
        [due, retry].into_iter().flatten().min()
    }

    pub(super) fn check(&self) -> Result<(), Broken> {
        let flying = self
            .pending
            .values()
            .filter(|p| matches!(p.place, Place::InFlight { .. }))
            .count();
        if flying != self.in_flight {
            return Err(Broken(format!(
                "{flying} calls in flight, counted {}",
                self.in_flight
            )));
        }
        for (at, seq) in &self.retries {
            match self.pending.get(seq).map(|p| &p.place) {
                Some(Place::Retrying { at: own }) if own == at => {}
                other => return Err(Broken(format!("retry of {seq:?} at {at:?} but it is {other:?}"))),
            }
        }
        Ok(())
    }

    /// Gives it a number and sends it on the open stream.
    pub(super) fn send(
        &mut self,
        now: Mono,
        cfg: &DriverConfig,
        link: LinkId,
        new: NewCall,
        out: &mut Vec<Output>,
    ) -> CallSeq {
        let seq = self.insert(new);
        self.fly(now, cfg, link, seq, out);
        seq
    }

    /// Gives it a number and keeps it for the next stream.
    fn keep(&mut self, new: NewCall) {
        self.insert(new);
    }

    fn insert(&mut self, new: NewCall) -> CallSeq {
        self.next += 1;
        let seq = CallSeq(self.next);
        if new.call.update_framework.is_some() {
            self.updates.insert(seq);
        }
        self.pending.insert(
            seq,
            Pending {
                command: new.command,
                rule: new.rule,
                call: Arc::new(new.call),
                place: Place::Kept,
                backoff: BackOff::new(RETRY_FIRST, RETRY_MOST),
            },
        );
        seq
    }

    fn fly(&mut self, now: Mono, cfg: &DriverConfig, link: LinkId, seq: CallSeq, out: &mut Vec<Output>) {
        let Some(pending) = self.pending.get_mut(&seq) else {
            return;
        };
        let until = now + cfg.call_timeout;
        pending.place = Place::InFlight { until };
        self.in_flight += 1;
        self.due.push_back((until, seq));
        out.push(Output::Send {
            link,
            lane: pending.rule.lane,
            seq,
            call: pending.call.clone(),
        });
    }

    fn remove(&mut self, seq: CallSeq) -> Option<Pending> {
        let pending = self.pending.remove(&seq)?;
        self.updates.remove(&seq);
        match pending.place {
            Place::InFlight { .. } => self.in_flight -= 1,
            Place::Retrying { at } => {
                self.retries.remove(&(at, seq));
            }
            Place::Kept => {}
        }
        self.forget_answered();
        Some(pending)
    }

    /// Drops answered calls from the front of `due`, so that neither its memory nor `deadline` is held by them.
    fn forget_answered(&mut self) {
        while let Some((at, seq)) = self.due.front() {
            match self.pending.get(seq).map(|p| &p.place) {
                Some(Place::InFlight { until }) if until == at => return,
                _ => self.due.pop_front(),
            };
        }
    }

    /// Sends it again later on this stream, or gives it up as unknown.
    fn again(&mut self, now: Mono, seq: CallSeq, at_least: Duration, why: String, out: &mut Vec<Output>) {
        let Some(pending) = self.pending.get(&seq) else {
            return;
        };
        if !pending.rule.repeatable {
            self.answer(seq, Err(CallError::Unknown(why)), out);
            return;
        }
        self.in_flight -= 1;
        self.wait(now, seq, at_least);
        self.forget_answered();
    }

    fn wait(&mut self, now: Mono, seq: CallSeq, at_least: Duration) {
        if let Some(pending) = self.pending.get_mut(&seq) {
            let (at, _) = pending.backoff.failed(now, &mut self.rng);
            let at = at.max(now + at_least);
            pending.place = Place::Retrying { at };
            self.retries.insert((at, seq));
        }
    }

    fn answer(&mut self, seq: CallSeq, result: Result<Epoch, CallError>, out: &mut Vec<Output>) {
        if let Some(command) = self.remove(seq).and_then(|p| p.command) {
            out.push(Output::Answer(command, result.map(|epoch| Sent { seq, epoch })));
        }
    }

    /// It needs no further answer.
    pub(super) fn settled(&mut self, seq: CallSeq) {
        self.remove(seq);
    }

    /// Timeouts and repetitions that are due.
    pub(super) fn expire(&mut self, now: Mono, cfg: &DriverConfig, stream: &Stream, out: &mut Vec<Output>) {
        while let Some((at, seq)) = self.due.front().copied().filter(|(at, _)| *at <= now) {
            self.due.pop_front();
            let waiting = matches!(
                self.pending.get(&seq).map(|p| &p.place),
                Some(Place::InFlight { until }) if *until == at
            );
            if waiting {
                let why = format!("no answer within {} s", cfg.call_timeout.as_secs());
                self.again(now, seq, Duration::ZERO, why, out);
            }
        }
        self.forget_answered();
        while let Some((at, seq)) = self.retries.first().copied().filter(|(at, _)| *at <= now) {
            self.retries.remove(&(at, seq));
            self.say_again(now, cfg, stream, seq, out);
        }
    }

    /// Sends what was kept for this stream.
    pub(super) fn stream_opened(
        &mut self,
        now: Mono,
        cfg: &DriverConfig,
        link: LinkId,
        out: &mut Vec<Output>,
    ) {
        let kept: Vec<CallSeq> = self.pending.keys().copied().collect();
        for seq in kept {
            self.fly(now, cfg, link, seq, out);
        }
    }

    /// Settles what was sent on a stream that is gone; an unconfirmed UPDATE_FRAMEWORK comes back.
    pub(super) fn stream_lost(
        &mut self,
        why: &str,
        epoch: Epoch,
        out: &mut Vec<Output>,
    ) -> Option<(Wish, CommandId)> {
        let mut trial: Option<(Wish, CommandId)> = None;
        let all: Vec<CallSeq> = self.pending.keys().copied().collect();
        for seq in all {
            let Some(pending) = self.pending.get_mut(&seq) else {
                continue;
            };
            match pending.rule.afterwards {
                Afterwards::Again => {
                    pending.place = Place::Kept;
                }
                Afterwards::Unknown => {
                    self.answer(seq, Err(CallError::Unknown(why.to_owned())), out);
                }
                Afterwards::Stale => self.answer(seq, Err(CallError::Stale), out),
                Afterwards::Folded => {
                    let wish = pending.call.update_framework.as_ref().map(wish_of);
                    match (wish, pending.command) {
                        (Some(wish), Some(command)) => {
                            self.remove(seq);
                            if let Some((_, older)) = trial.replace((wish, command)) {
                                out.push(Output::Answer(older, Err(CallError::Stale)));
                            }
                        }
                        _ => self.answer(seq, Ok(epoch), out),
                    }
                }
            }
        }
        self.due.clear();
        self.retries.clear();
        self.in_flight = 0;
        trial
    }

    /// The driver ends: every command hears so.
    pub(super) fn end(&mut self, out: &mut Vec<Output>) {
        let all: Vec<CallSeq> = self.pending.keys().copied().collect();
        for seq in all {
            let flying_once = self
                .pending
                .get(&seq)
                .is_some_and(|p| !p.rule.repeatable && matches!(p.place, Place::InFlight { .. }));
            let error = if flying_once {
                CallError::Unknown("the driver stopped before the answer came".to_owned())
            } else {
                CallError::Stopped
            };
            self.answer(seq, Err(error), out);
        }
    }
}

fn says_gone(reply: &Reply) -> bool {
    match reply {
        Reply::Accepted => true,
        Reply::Refused { text, .. } => text.contains("Framework cannot be found"),
        Reply::Later(_) | Reply::NotLeading(_) | Reply::Unknown(_) => false,
    }
}

impl Driver {
    pub(super) fn command(
        &mut self,
        now: Mono,
        id: CommandId,
        epoch: Option<Epoch>,
        agent: Option<AgentId>,
        mut call: scheduler::Call,
        out: &mut Vec<Output>,
    ) {
        let refuse = |error, out: &mut Vec<Output>| out.push(Output::Answer(id, Err(error)));
        if self.stopping.is_some() {
            return refuse(CallError::Stopped, out);
        }
        let Some(rule) = rules::of(call.r#type(), agent.as_ref()) else {
            let text = format!("{} is no command", call.r#type().as_str_name());
            return refuse(CallError::Refused { code: 400, text }, out);
        };
        if self.calls.len() >= self.cfg.calls_max {
            return refuse(CallError::Busy, out);
        }
        call.framework_id = Some(self.wire_id());
        if let Some(update) = &mut call.update_framework {
            update.framework_info.id = Some(self.wire_id());
        }
        let subscribed = matches!(self.state, State::Subscribed { .. });
        if subscribed && epoch.is_some_and(|e| e != self.epoch) {
            return refuse(CallError::Stale, out);
        }
        self.note_wish(&call, out);
        let new = NewCall {
            command: Some(id),
            rule,
            call,
        };
        match (subscribed, rule.afterwards) {
            (true, _) => {
                self.calls.send(now, &self.cfg, self.link, new, out);
            }
            (false, Afterwards::Again) => self.calls.keep(new),
            (false, Afterwards::Folded) => match new.call.update_framework.as_ref().map(wish_of) {
                Some(wish) => self.keep_trial(Some((wish, id)), out),
                None => out.push(Output::Answer(id, Ok(self.sent()))),
            },
            (false, _) if epoch.is_some_and(|e| e != self.epoch) => refuse(CallError::Stale, out),
            (false, _) => refuse(CallError::NotSubscribed, out),
        }
    }

    pub(super) fn acknowledge(&mut self, now: Mono, token: AckToken, out: &mut Vec<Output>) {
        if self.epoch() != Some(token.epoch) {
            // The update comes again on the new stream; that one will be acknowledged.
            return;
        }
        let kind = match token.what {
            Acked::Task { .. } => call::Type::Acknowledge,
            Acked::Operation(_) => call::Type::AcknowledgeOperationStatus,
        };
        let Some(rule) = rules::of(kind, None) else {
            return;
        };
        let mut call = scheduler::Call {
            framework_id: Some(self.wire_id()),
            r#type: Some(kind as i32),
            ..Default::default()
        };
        match token.what {
            Acked::Task {
                agent_id,
                task_id,
                uuid,
            } => {
                call.acknowledge = Some(call::Acknowledge {
                    agent_id: v1::AgentId {
                        value: agent_id.to_string(),
                    },
                    task_id: v1::TaskId {
                        value: task_id.to_string(),
                    },
                    uuid,
                });
            }
            Acked::Operation(ack) => call.acknowledge_operation_status = Some(*ack),
        }
        let new = NewCall {
            command: None,
            rule,
            call,
        };
        self.calls.send(now, &self.cfg, self.link, new, out);
    }

    pub(super) fn reply(
        &mut self,
        now: Mono,
        link: LinkId,
        seq: CallSeq,
        reply: Reply,
        out: &mut Vec<Output>,
    ) {
        let Some(pending) = self.calls.pending.get(&seq) else {
            return;
        };
        // The stream ends with a teardown, often before its answer is read: that answer counts from any link.
        if pending.kind() == call::Type::Teardown && says_gone(&reply) {
            return self.teardown_accepted(now, seq, link, reply, out);
        }
        if link != self.link || !matches!(self.state, State::Subscribed { .. }) {
            return;
        }
        let in_flight = matches!(pending.place, Place::InFlight { .. });
        match reply {
            Reply::Accepted => self.accepted(seq, out),
            // A late answer to the first of two sendings: the second one's counts.
            _ if !in_flight => {}
            Reply::Refused { code, text } => match rules::read_refusal(code, &text) {
                Verdict::CallersFault => {
                    self.calls
                        .answer(seq, Err(CallError::Refused { code, text }), out);
                }
                // Another stream has taken over: ours ends by itself and says why, which may be final. To subscribe
                // again before reading that would throw the new one out.
                Verdict::StreamDead if text.contains("didn't match") => self.refused_with_stream(seq, out),
                Verdict::StreamDead => {
                    // Refused before it was applied: an ACCEPT among them certainly launched nothing.
                    self.refused_with_stream(seq, out);
                    self.lose(now, text, None, out);
                }
            },
            Reply::Later(wait) => {
                let why = "the master asked to wait".to_owned();
                self.calls.again(now, seq, wait, why, out);
            }
            Reply::NotLeading(text) => {
                self.refused_with_stream(seq, out);
                self.lose(now, text, None, out);
            }
            Reply::Unknown(why) => self.calls.again(now, seq, Duration::ZERO, why, out),
        }
    }

    fn refused_with_stream(&mut self, seq: CallSeq, out: &mut Vec<Output>) {
        let once = self
            .calls
            .pending
            .get(&seq)
            .is_some_and(|p| p.rule.afterwards == Afterwards::Unknown);
        if once {
            self.calls.answer(seq, Err(CallError::Stale), out);
        }
    }

    fn accepted(&mut self, seq: CallSeq, out: &mut Vec<Output>) {
        let update = self
            .calls
            .pending
            .get(&seq)
            .and_then(|p| p.call.update_framework.as_ref())
            .map(wish_of);
        if let Some(wish) = update {
            self.wish = wish;
        }
        self.calls.answer(seq, Ok(self.epoch), out);
    }
}
