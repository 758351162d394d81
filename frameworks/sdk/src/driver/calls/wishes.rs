//! The last wish wins: SUPPRESS, REVIVE and UPDATE_FRAMEWORK whose answers are lost, and what was wished since.
//!
//! Such a call is said again, and until then others may have been said and answered. Said as it was written, it would put
//! an older wish in the place of a newer one: a framework that revived would wait for offers for ever. So what is said
//! again is what of it still holds.

use super::super::io::{CallError, CallSeq, Output, Wish};
use super::super::{Driver, DriverConfig};
use super::{Calls, Place, RETRY_FIRST, Stream};
use meseta_proto::mesos::v1::scheduler::{self, call};
use meseta_types::Mono;
use std::sync::Arc;

/// What becomes of a call that is about to be said again.
#[derive(Debug)]
enum Again {
    /// It is said, as far as it still holds.
    Say(Arc<scheduler::Call>),
    /// Not yet: what is under way decides whether it holds.
    Later,
    /// Nothing of it holds any more.
    Overruled,
}

/// What an UPDATE_FRAMEWORK says.
pub(super) fn wish_of(update: &call::UpdateFramework) -> Wish {
    Wish {
        framework: update.framework_info.clone(),
        suppressed: update.suppressed_roles.iter().cloned().collect(),
        constraints: update.offer_constraints.clone(),
    }
}

impl Wish {
    /// Takes over what a SUPPRESS or a REVIVE says; without roles they mean all of them.
    fn note(&mut self, call: &scheduler::Call) {
        let Some((suppresses, named)) = suppression(call) else {
            return;
        };
        for role in self.meant(named) {
            match suppresses {
                // Roles it does not have would make the next SUBSCRIBE invalid; the master ignores them in SUPPRESS.
                true if self.framework.roles.contains(&role) => self.suppressed.insert(role),
                true => false,
                false => self.suppressed.remove(&role),
            };
        }
    }

    fn meant(&self, named: &[String]) -> Vec<String> {
        match named.is_empty() {
            true => self.framework.roles.clone(),
            false => named.to_vec(),
        }
    }

    /// What of a SUPPRESS or a REVIVE is still so.
    fn left_of(&self, call: &scheduler::Call) -> Option<scheduler::Call> {
        let (suppresses, named) = suppression(call)?;
        let meant = self.meant(named);
        let holds = |role: &&String| self.suppressed.contains(*role) == suppresses;
        let left: Vec<String> = meant.iter().filter(holds).cloned().collect();
        if left.is_empty() {
            return None;
        }
        let mut call = call.clone();
        if left.len() < meant.len() {
            match suppresses {
                true => call.suppress = Some(call::Suppress { roles: left }),
                false => call.revive = Some(call::Revive { roles: left }),
            }
        }
        Some(call)
    }
}

/// Whether a call suppresses or revives, and the roles it names.
fn suppression(call: &scheduler::Call) -> Option<(bool, &[String])> {
    match call.r#type() {
        call::Type::Suppress => Some((true, call.suppress.as_ref().map_or(&[], |s| &s.roles))),
        call::Type::Revive => Some((false, call.revive.as_ref().map_or(&[], |r| &r.roles))),
        _ => None,
    }
}

impl Calls {
    /// Says it once more, as far as it still holds.
    pub(super) fn say_again(
        &mut self,
        now: Mono,
        cfg: &DriverConfig,
        stream: &Stream,
        seq: CallSeq,
        out: &mut Vec<Output>,
    ) {
        let Some(call) = self.pending.get(&seq).map(|p| Arc::clone(&p.call)) else {
            return;
        };
        match self.again_as(seq, &call, stream.wish) {
            Again::Say(call) => {
                if let Some(pending) = self.pending.get_mut(&seq) {
                    pending.call = call;
                }
                self.fly(now, cfg, stream.link, seq, out);
            }
            Again::Later => self.wait(now, seq, RETRY_FIRST),
            Again::Overruled => self.answer(seq, Ok(stream.epoch), out),
        }
    }

    /// What becomes of a call that is to be said again.
    fn again_as(&self, seq: CallSeq, call: &Arc<scheduler::Call>, wish: &Wish) -> Again {
        if suppression(call).is_none() {
            return Again::Say(Arc::clone(call));
        }
        if self.is_before_an_update(seq) {
            return Again::Later;
        }
        match wish.left_of(call) {
            Some(left) => Again::Say(Arc::new(left)),
            None => Again::Overruled,
        }
    }

    /// Whether an UPDATE_FRAMEWORK that came after this call has no answer.
    fn is_before_an_update(&self, seq: CallSeq) -> bool {
        self.updates.last().is_some_and(|last| *last > seq)
    }

    /// A newer UPDATE_FRAMEWORK comes: the older ones are not said again.
    fn overrule_updates(&mut self, out: &mut Vec<Output>) {
        for seq in self.updates.clone() {
            match self.pending.get_mut(&seq) {
                Some(pending) if matches!(pending.place, Place::InFlight { .. }) => {
                    pending.rule.repeatable = false;
                }
                _ => self.answer(seq, Err(CallError::Stale), out),
            }
        }
    }

    /// Changes what each UPDATE_FRAMEWORK without an answer says if it is said again.
    fn change_updates(&mut self, mut change: impl FnMut(&mut call::UpdateFramework)) {
        for seq in &self.updates {
            if let Some(pending) = self.pending.get_mut(seq)
                && let Some(update) = &mut Arc::make_mut(&mut pending.call).update_framework
            {
                change(update);
            }
        }
    }
}

impl Driver {
    /// A wish is about to be said: what is not answered yet must not undo it.
    pub(super) fn note_wish(&mut self, call: &scheduler::Call, out: &mut Vec<Output>) {
        if call.update_framework.is_some() {
            self.calls.overrule_updates(out);
        }
        // SUPPRESS and REVIVE are part of what the next SUBSCRIBE says, and each UPDATE_FRAMEWORK that is said again.
        self.wish.note(call);
        if let Some((trial, _)) = &mut self.trial {
            trial.note(call);
        }
        if suppression(call).is_some() {
            self.calls.change_updates(|update| {
                let mut wish = wish_of(update);
                wish.note(call);
                update.suppressed_roles = wish.suppressed.into_iter().collect();
            });
        }
    }
}
