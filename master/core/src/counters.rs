//! What happened so far, by the names of Mesos's metrics (`src/master/metrics.hpp`).

use meseta_types::TaskState;
use meseta_types::task::{Reason, Source};
use std::collections::BTreeMap;

/// Counts by name. The names are few and fixed, the map is small.
pub type ByName = BTreeMap<&'static str, u64>;

/// Adds one.
pub(crate) fn bump(counts: &mut ByName, name: &'static str) {
    *counts.entry(name).or_insert(0) += 1;
}

/// Counters of one framework.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FrameworkCounters {
    /// `calls/<type>`.
    pub calls: ByName,
    /// `events/<type>`, heartbeats excepted: the shell adds those.
    pub events: ByName,
    /// `operations/<type>`.
    pub operations: ByName,
    /// `offers/sent`.
    pub offers_sent: u64,
    /// `offers/accepted`.
    pub offers_accepted: u64,
    /// `offers/declined`.
    pub offers_declined: u64,
    /// `offers/rescinded`.
    pub offers_rescinded: u64,
    /// `tasks/terminal/<state>`.
    pub tasks_terminal: BTreeMap<TaskState, u64>,
}

/// Counters of the master.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Names below `master/`.
    pub by_name: ByName,
    /// `master/task_<state>/source_<source>/reason_<reason>`: by state, source number, reason.
    pub task_reasons: BTreeMap<(TaskState, u8, Option<Reason>), u64>,
    /// Dropped messages by what they were, for operators (ours).
    pub notes: ByName,
}

impl Counters {
    /// Adds one to a counter below `master/`.
    pub(crate) fn add(&mut self, name: &'static str) {
        bump(&mut self.by_name, name);
    }

    /// Counts a task status by its state, source and reason; a reason without a name counts as none.
    pub(crate) fn task_reason(&mut self, state: TaskState, source: Source, reason: Option<Reason>) {
        let reason = reason.filter(|reason| reason.is_known());
        *self
            .task_reasons
            .entry((state, source as u8, reason))
            .or_insert(0) += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_that_executors_make_up_share_one_counter() {
        let mut counters = Counters::default();
        for number in [-1, 35, 77, i32::MIN, i32::MAX] {
            counters.task_reason(TaskState::Failed, Source::Executor, Some(Reason(number)));
        }
        let known = Some(Reason::CONTAINER_LIMITATION_MEMORY);
        counters.task_reason(TaskState::Failed, Source::Executor, known);
        let source = Source::Executor as u8;
        let expected = [
            ((TaskState::Failed, source, None), 5),
            ((TaskState::Failed, source, known), 1),
        ];
        assert_eq!(counters.task_reasons, BTreeMap::from(expected));
    }
}
