//! What waits for the registry. A write's answer is the only thing that moves it on.
//!
//! States (the in-flight guards of Mesos, `master.hpp`, `slaves.registering` and its siblings): an agent id, an address
//! or a framework with a write under way is in [`Pending`] and, for agents, in [`Guard`]; a second request about it is
//! parked or refused until the answer came. Nothing of it is seen by allocator or readers before.

use super::register::Admission;
use super::reregister::Return;
use super::{Cx, MasterCore};
use crate::io::{Change, CommitId, Effect, Outcome, StepDown};
use crate::pages::FrameworkKey;
use meseta_types::{AgentId, FrameworkId, Wall};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Which write of an agent is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Guard {
    /// It comes back.
    Returning,
    /// It is being marked unreachable.
    MarkingUnreachable,
    /// It is being removed.
    Removing,
}

/// What a write will bring about.
#[derive(Debug)]
pub(super) enum Pending {
    /// A new agent is admitted.
    Admit(Admission),
    /// A known agent comes back.
    Return(Box<Return>),
    /// An agent is unreachable.
    Unreachable {
        id: AgentId,
        at: Wall,
        message: Arc<str>,
    },
    /// An agent left.
    Remove { id: AgentId, message: Arc<str> },
    /// Old entries are forgotten.
    Prune {
        unreachable: Vec<AgentId>,
        gone: Vec<AgentId>,
    },
    /// A framework is removed.
    RemoveFramework {
        framework: FrameworkKey,
        id: FrameworkId,
        at: Wall,
    },
}

/// Writes under way.
#[derive(Debug, Default)]
pub(super) struct Commits {
    pending: BTreeMap<CommitId, Pending>,
    last: u64,
}

impl Commits {
    /// Frameworks whose removal is under way.
    pub(super) fn removing(&self) -> impl Iterator<Item = FrameworkKey> + '_ {
        self.pending.values().filter_map(|pending| match pending {
            Pending::RemoveFramework { framework, .. } => Some(*framework),
            _ => None,
        })
    }

    /// Whether old entries are being forgotten.
    pub(super) fn pruning(&self) -> bool {
        self.pending
            .values()
            .any(|pending| matches!(pending, Pending::Prune { .. }))
    }
}

impl MasterCore {
    /// Asks for a write, and remembers what it is for.
    pub(super) fn commit(&mut self, cx: &mut Cx, changes: Vec<Change>, pending: Pending) {
        self.commits.last += 1;
        let id = CommitId(self.commits.last);
        self.commits.pending.insert(id, pending);
        cx.out.push(Effect::Commit { id, changes });
    }

    /// A write was answered.
    pub(super) fn committed(&mut self, cx: &mut Cx, id: CommitId, outcome: Outcome) {
        let step_down = match &outcome {
            Outcome::Done | Outcome::Refused(_) => None,
            Outcome::Fenced => Some(StepDown::Fenced),
            Outcome::Unknown => Some(StepDown::UnknownOutcome),
        };
        if let Some(reason) = step_down {
            self.step_down(cx, reason);
            return;
        }
        let Some(pending) = self.commits.pending.remove(&id) else {
            self.note(cx, "committed", "answer to no write", None, None);
            return;
        };
        match outcome {
            Outcome::Refused(reason) => self.commit_refused(cx, pending, &reason),
            _ => self.commit_done(cx, pending),
        }
    }

    pub(super) fn step_down(&mut self, cx: &mut Cx, reason: StepDown) {
        self.stepped_down = true;
        cx.out.push(Effect::StepDown { reason });
    }

    fn commit_done(&mut self, cx: &mut Cx, pending: Pending) {
        match pending {
            Pending::Admit(admission) => self.admitted(cx, admission),
            Pending::Return(back) => {
                let id = back.id.clone();
                self.guards.remove(&id);
                self.returned(cx, *back);
                self.unpark(cx, &id);
            }
            Pending::Unreachable { id, at, message } => {
                self.guards.remove(&id);
                self.marked_unreachable(cx, &id, at, &message);
                self.unpark(cx, &id);
            }
            Pending::Remove { id, message } => {
                self.guards.remove(&id);
                self.counters.add("slave_removals/reason_unregistered");
                self.removed(cx, &id, &message);
                self.unpark(cx, &id);
            }
            Pending::Prune { unreachable, gone } => self.pruned(unreachable, gone),
            Pending::RemoveFramework { framework, id, at } => {
                self.framework_removed(cx, framework, id, at);
            }
        }
    }

    /// Nothing was written: everything is as before, and whoever waited may try again.
    fn commit_refused(&mut self, cx: &mut Cx, pending: Pending, reason: &Arc<str>) {
        match pending {
            Pending::Admit(admission) => self.admission_refused(cx, admission, reason),
            Pending::Return(back) => {
                let id = back.id.clone();
                self.guards.remove(&id);
                self.return_refused(cx, *back, reason);
                self.unpark(cx, &id);
            }
            Pending::Unreachable { id, .. } => {
                self.guards.remove(&id);
                self.note(cx, "mark_unreachable", reason.clone(), None, Some(&id));
                self.mark_unreachable_later(cx, &id);
                self.unpark(cx, &id);
            }
            Pending::Remove { id, .. } => {
                self.guards.remove(&id);
                self.note(cx, "unregister", reason.clone(), None, Some(&id));
                self.unpark(cx, &id);
            }
            Pending::Prune { .. } => self.note(cx, "registry_gc", reason.clone(), None, None),
            Pending::RemoveFramework { framework, .. } => {
                self.framework_removal_refused(cx, framework, reason);
            }
        }
    }
}
