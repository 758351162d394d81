//! Calls to the master, and what becomes of them.

use super::Owner;
use crate::launch;
use crate::numbers::Numbers;
use crate::wire;
use meseta_cron_core::io::{Answer, Input, Refusal, TaskEvent, TaskKind};
use meseta_cron_core::job::{JobName, JobSpec};
use meseta_cron_core::run::{Run, RunId};
use meseta_sdk::CallError;
use meseta_types::{AgentId, TaskId};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// A launch whose fate nobody told is asked about after this long: a little more than the engine leaves young launches
/// alone.
const ASK_AFTER_UNKNOWN: Duration = Duration::from_secs(80);

/// A question about tasks that was not heard is asked again after so long, then twice as long, up to a minute.
const ASK_AGAIN: Duration = Duration::from_millis(500);
const ASK_AGAIN_MAX: Duration = Duration::from_secs(60);

/// An offer whose pieces do not hold what their sum does is refused for this long.
const IN_PIECES: Duration = Duration::from_secs(5);

/// How a call ended.
pub(super) enum Told {
    /// A launch.
    Launch(Vec<RunId>, Result<(), CallError>),
    /// One that needs nothing more.
    Said,
    /// The records of an unreadable job are gone, or not.
    Forgotten {
        name: JobName,
        outcome: meseta_store::Outcome,
        answer: oneshot::Sender<Result<Answer, Refusal>>,
    },
}

impl Owner {
    /// Launches runs. What the master did not take is told back, so that it is launched elsewhere.
    pub(super) fn accept(&mut self, id: &Arc<str>, runs: Vec<(Run, Arc<JobSpec>)>) {
        let Some(offer) = self.offers.remove(id) else {
            // Rescinded, or of an older subscription, while its launch was being recorded.
            return self.not_launched(runs.iter().map(|(run, _)| run.id.clone()), "its offer was gone");
        };
        let mut left = offer.resources.clone();
        let mut tasks = Vec::with_capacity(runs.len());
        let mut launched = Vec::with_capacity(runs.len());
        for (run, spec) in &runs {
            match launch::task(run, spec, &offer, &left) {
                Ok(task) => {
                    left = wire::left(left, &task.resources);
                    tasks.push(task);
                    launched.push(run.id.clone());
                }
                Err(shortage) => {
                    tracing::warn!(run = %run.id, %shortage, "an offer is in pieces");
                    self.not_launched(std::iter::once(run.id.clone()), "its offer was in pieces");
                }
            }
        }
        if tasks.is_empty() {
            return offer.decline(IN_PIECES);
        }
        self.measure(&runs);
        let client = self.doors.client.clone();
        self.calls.push(Box::pin(async move {
            let outcome = client.launch(vec![offer], tasks, Duration::ZERO).await;
            Told::Launch(launched, outcome.map(|_| ()))
        }));
    }

    pub(super) fn told(&mut self, told: Told) {
        match told {
            Told::Said | Told::Launch(_, Ok(())) => {}
            Told::Launch(runs, Err(CallError::Unknown(why))) => {
                tracing::warn!(%why, runs = runs.len(), "nobody knows whether runs were launched");
                let at = Instant::now() + ASK_AFTER_UNKNOWN;
                self.reconcile_at = Some(self.reconcile_at.map_or(at, |before| before.min(at)));
            }
            // It may have gone out before the end: the next start asks about it.
            Told::Launch(runs, Err(CallError::Stopped)) => {
                tracing::info!(runs = runs.len(), "the end came before the answer to a launch");
            }
            Told::Launch(runs, Err(error)) => {
                tracing::warn!(%error, runs = runs.len(), "not launched");
                self.not_launched(runs.into_iter(), "its offer was gone");
                self.flush();
            }
            Told::Forgotten {
                name,
                outcome,
                answer,
            } => {
                let told = match outcome {
                    meseta_store::Outcome::Done(_) => {
                        Arc::make_mut(&mut self.board.broken).remove(&name);
                        Ok(Answer::Done)
                    }
                    meseta_store::Outcome::Refused(why) => Err(Refusal::NotStored(why.to_string().into())),
                    // Without an answer: nobody can give one.
                    other => return self.lost_store(&other),
                };
                // A caller that left does not need it any more.
                let _ = answer.send(told);
            }
        }
    }

    fn not_launched(&mut self, runs: impl Iterator<Item = RunId>, message: &str) {
        for run in runs {
            Numbers::add(&self.doors.numbers.given_back, 1);
            self.came_back.push_back(Input::Task(TaskEvent {
                run,
                kind: TaskKind::NotLaunched,
                message: message.into(),
                agent: None,
                ack: None,
            }));
        }
    }

    /// Steps the engine with what came back outside of a step.
    fn flush(&mut self) {
        if let Some(input) = self.came_back.pop_front() {
            self.input(input);
        }
    }

    /// Says the wish for offers, if it is time.
    pub(super) fn say_wish(&mut self) {
        let Some(wanted) = self.wish.take(Instant::now()) else {
            return;
        };
        let client = self.doors.client.clone();
        self.calls.push(Box::pin(async move {
            let told = match wanted {
                true => client.revive(Vec::new()).await,
                false => client.suppress(Vec::new()).await,
            };
            // After a lost subscription the engine says it again; nothing else can go wrong with a wish.
            if let Err(error) = told {
                tracing::debug!(%error, wanted, "the wish for offers was not heard");
            }
            Told::Said
        }));
    }

    pub(super) fn kill(&mut self, run: RunId, agent: &str) {
        let (client, agent) = (self.doors.client.clone(), AgentId::as_written(agent));
        self.calls.push(Box::pin(async move {
            let task = TaskId::as_written(run.as_str());
            // Told again after each subscription until the task is dead.
            if let Err(error) = client.kill(&task, Some(&agent), None).await {
                tracing::warn!(%error, task_id = %task, "a kill was not heard");
            }
            Told::Said
        }));
    }

    pub(super) fn reconcile(&mut self, runs: Vec<(RunId, Arc<str>)>) {
        let client = self.doors.client.clone();
        self.calls.push(Box::pin(async move {
            let tasks = runs
                .iter()
                .map(|(run, agent)| (TaskId::as_written(run.as_str()), Some(AgentId::as_written(agent))));
            let tasks: Vec<_> = tasks.collect();
            let mut delay = ASK_AGAIN;
            // A lost subscription is followed by another one, and that by another question.
            while let Err(error) = client.reconcile(tasks.clone()).await {
                tracing::warn!(%error, "the master was not asked about tasks");
                if !matches!(
                    error,
                    CallError::Busy | CallError::Refused { .. } | CallError::Unknown(_)
                ) {
                    break;
                }
                tokio::time::sleep(delay).await;
                delay = (delay * 2).min(ASK_AGAIN_MAX);
            }
            Told::Said
        }));
    }

    pub(super) fn next_reconciliation(&self) -> Option<Instant> {
        self.doors.reconcile_every.map(|every| Instant::now() + every)
    }

    /// Asks about all tasks when it is time.
    pub(super) fn reconcile_all(&mut self) {
        if self.reconcile_at.is_none_or(|at| at > Instant::now()) {
            return;
        }
        self.reconcile_at = self.next_reconciliation();
        self.input(Input::Reconcile);
    }
}
