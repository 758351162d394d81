//! `RECONCILE`: what the master can say of tasks, known or not (Mesos, `Master::reconcileTasks`).
//!
//! | first case that holds | partition aware | otherwise |
//! |---|---|---|
//! | the task is known | its last state passed on, else its state | same |
//! | its agent, or any if none is named, is not back after a fail-over | silence | silence |
//! | its agent is registered | GONE | LOST |
//! | its agent is unreachable | UNREACHABLE | LOST |
//! | its agent is gone | GONE_BY_OPERATOR | LOST |
//! | else | UNKNOWN | LOST |

use super::master_word::{about, status};
use super::{Cx, MasterCore};
use crate::io::{Effect, Event, StreamId, TaskRef};
use crate::pages::{FrameworkKey, TaskKey};
use crate::state::TaskList;
use meseta_types::TaskState;
use meseta_types::task::{Reason, TaskStatus};
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

/// Answers of one step. More would fill what may wait unread for a scheduler, so the next ones wait until it has read
/// these; the number is about a megabyte, and a few milliseconds of everybody's time.
const ANSWERS_AT_ONCE: usize = 4096;

/// Named tasks that may wait for their answers, per framework: what the largest call in JSON names. Those beyond are
/// dropped: a framework asks again for what it has not heard of.
const NAMED_MAX: usize = 400_000;

/// What a framework asked for and was not told yet.
#[derive(Debug, Default)]
pub(super) struct Reconciling {
    /// Of those asked for without names.
    all: BTreeSet<TaskKey>,
    /// Asked for by name, in order.
    named: VecDeque<TaskRef>,
    /// Whether the stream is to say when it has taken the last answers.
    paced: bool,
}

impl MasterCore {
    pub(super) fn reconcile(&mut self, cx: &mut Cx, framework: FrameworkKey, tasks: Vec<TaskRef>) {
        let Some(book) = self.framework_books.get_mut(framework) else {
            return;
        };
        let waiting = &mut book.reconciling;
        let dropped = (waiting.named.len() + tasks.len()).saturating_sub(NAMED_MAX);
        if tasks.is_empty() {
            waiting.all.extend(book.tasks.iter().copied());
        }
        let taken = tasks.len().saturating_sub(dropped);
        waiting.named.extend(tasks.into_iter().take(taken));
        if dropped > 0 {
            let id = self.frameworks.get(framework).map(|f| f.id.clone());
            let reason = format!("{dropped} tasks are too many to answer for now");
            self.note(cx, "reconcile", reason, id.as_ref(), None);
        }
        self.answer_reconciling(cx, framework);
    }

    /// A stream has taken what was sent.
    pub(super) fn paced(&mut self, cx: &mut Cx, stream: StreamId) {
        let Some(framework) = self.streams.get(&stream).copied() else {
            return;
        };
        if let Some(book) = self.framework_books.get_mut(framework) {
            book.reconciling.paced = false;
        }
        self.answer_reconciling(cx, framework);
    }

    /// The next answers, unless the scheduler has to read earlier ones first.
    fn answer_reconciling(&mut self, cx: &mut Cx, framework: FrameworkKey) {
        for _ in 0..ANSWERS_AT_ONCE {
            let Some(book) = self.framework_books.get_mut(framework) else {
                return;
            };
            let waiting = &mut book.reconciling;
            if waiting.paced {
                return;
            }
            if let Some(key) = waiting.all.pop_first() {
                if book.tasks.contains(&key) {
                    self.tell_latest(cx, key);
                }
            } else if let Some(task) = waiting.named.pop_front() {
                self.tell_of(cx, framework, task);
            } else {
                return;
            }
        }
        if let Some(book) = self.framework_books.get_mut(framework)
            && let Some(stream) = book.stream
        {
            book.reconciling.paced = true;
            cx.out.push(Effect::Pace { stream });
        }
    }

    fn tell_of(&mut self, cx: &mut Cx, framework: FrameworkKey, task: TaskRef) {
        let known = self
            .task_ids
            .get(&(framework, task.task_id.clone()))
            .filter(|key| self.tasks.get(*key).is_some_and(|t| t.list == TaskList::Active));
        match known {
            Some(key) => self.tell_latest(cx, key),
            None => self.tell_of_unknown(cx, framework, task),
        }
    }

    fn tell_latest(&mut self, cx: &mut Cx, key: TaskKey) {
        let Some(task) = self.tasks.get(key) else { return };
        let framework = task.framework;
        let state = task.status_update_state.unwrap_or_else(|| task.state());
        let message = Arc::from("Reconciliation: Latest task state");
        let status = about(task, state, Reason::RECONCILIATION, &message, cx.now.wall);
        self.tell(cx, framework, Event::Update(status));
    }

    fn tell_of_unknown(&mut self, cx: &mut Cx, framework: FrameworkKey, task: TaskRef) {
        let TaskRef { task_id, agent_id } = task;
        let waits = match &agent_id {
            Some(id) => self.recovered.contains_key(id),
            None => !self.recovered.is_empty(),
        };
        if waits {
            return;
        }
        let (state, message, since) = match &agent_id {
            Some(id) if self.agent_ids.get(id).is_some() => (
                TaskState::Gone,
                "Reconciliation: Task is unknown to the agent",
                None,
            ),
            Some(id) if self.unreachable.contains_key(id) => (
                TaskState::Unreachable,
                "Reconciliation: Task is unreachable",
                self.unreachable.get(id).copied(),
            ),
            Some(id) if self.gone.contains_key(id) => {
                (TaskState::GoneByOperator, "Reconciliation: Task is gone", None)
            }
            _ => (TaskState::Unknown, "Reconciliation: Task is unknown", None),
        };
        let aware = self
            .frameworks
            .get(framework)
            .is_some_and(|f| f.spec.capabilities.partition_aware);
        let state = if aware { state } else { TaskState::Lost };
        let status = TaskStatus {
            agent_id,
            unreachable_time: since,
            ..status(
                &task_id,
                state,
                Reason::RECONCILIATION,
                &Arc::from(message),
                cx.now.wall,
            )
        };
        self.tell(cx, framework, Event::Update(status));
    }
}
