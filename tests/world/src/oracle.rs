//! What an observer outside can tell: invariants 1 to 5 of the architecture page, checked on what the cores say.
//!
//! The cores' own sums are their `check()`'s business; here stands what no single core can know.

use crate::agent::AgentNode;
use crate::host::{Container, Phase};
use crate::master::MasterNode;
use meseta_agent_core::{Effect as AgentEffect, Input as AgentInput, LaunchOrder, Termination};
use meseta_cron_core::run::RunId;
use meseta_master_core::io::{Effect as MasterEffect, Event, RequestId, Session};
use meseta_types::link::{FromAgent, StatusUpdate, ToAgent};
use meseta_types::task::{Reason, Source};
use meseta_types::{AgentId, ContainerId, FrameworkId, Mono, OfferId, TaskId, TaskState, UpdateUuid};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// `--offer_timeout` of the world's master.
pub(crate) const OFFER_TIMEOUT: Duration = Duration::from_secs(5);

/// A task's name in the world: ids are never used twice.
pub(crate) type Key = (FrameworkId, TaskId);

/// An ACCEPT on its way through the master.
pub(crate) struct Accept {
    pub(crate) framework_id: FrameworkId,
    pub(crate) offer_ids: Vec<OfferId>,
}

/// What a framework ordered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Launched {
    pub(crate) command: bool,
    pub(crate) checkpoint: bool,
    pub(crate) health: bool,
    pub(crate) limited: bool,
}

/// What became of an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Outstanding,
    Used,
    Over,
}

/// How a task's process ended, as the host saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Status(i32),
    Unseen,
}

/// Everything remembered from outside.
#[derive(Debug, Default)]
pub(crate) struct Oracle {
    /// What became of each offer, and when it was made.
    offers: BTreeMap<OfferId, (Fate, Mono)>,
    /// Offers that were taken back for their age.
    pub(crate) expired: u64,
    now: Mono,
    launched: BTreeMap<Key, Launched>,
    sent: u64,
    containers: BTreeMap<Key, ContainerId>,
    /// Which task each attempt of the cron framework's runs was started as.
    attempts: BTreeMap<(FrameworkId, String), TaskId>,
    ends: BTreeMap<Key, End>,
    kills: BTreeSet<Key>,
    last_words: BTreeMap<Key, (TaskState, UpdateUuid)>,
    /// Frameworks whose end was ordered or that gave themselves up.
    ending: BTreeSet<FrameworkId>,
    /// Operators' requests, and the framework each wants removed.
    teardowns: BTreeMap<RequestId, FrameworkId>,
    /// Agents that were told to end their tasks, at some time.
    stopped: BTreeSet<AgentId>,
}

/// Whether two last words say the same. An agent that lost its memory of a framework cannot tell which spelling of "it is
/// not here" the framework understands.
fn same_end(one: TaskState, other: TaskState) -> bool {
    let missing = |s| matches!(s, TaskState::Lost | TaskState::Dropped | TaskState::Gone);
    one == other || (missing(one) && missing(other))
}

fn removed_durably(framework: &FrameworkId, master: &MasterNode) -> Checked {
    ensure(
        master.is_durable("removed-frameworks", framework.as_str()),
        || format!("framework {framework} was said to be removed before that was durable"),
    )
}

pub(crate) type Checked = Result<(), String>;

fn ensure(holds: bool, why: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(why()) }
}

impl Oracle {
    pub(crate) fn tasks_launched(&self) -> u64 {
        self.sent
    }

    /// A framework orders a task. What is said late of one must not be taken for another's: no id is used twice.
    pub(crate) fn launch(&mut self, framework: &FrameworkId, task: &TaskId, launched: Launched) -> Checked {
        let earlier = self.launched.insert((framework.clone(), task.clone()), launched);
        ensure(earlier.is_none(), || format!("task {task} is ordered twice"))
    }

    pub(crate) fn kill(&mut self, framework: &FrameworkId, task: &TaskId) {
        self.kills.insert((framework.clone(), task.clone()));
    }

    pub(crate) fn framework_ends(&mut self, id: &FrameworkId) {
        self.ending.insert(id.clone());
    }

    pub(crate) fn is_ending(&self, id: &FrameworkId) -> bool {
        self.ending.contains(id)
    }

    pub(crate) fn teardown_asked(&mut self, request: RequestId, framework: &FrameworkId) {
        self.teardowns.insert(request, framework.clone());
    }

    pub(crate) fn agent_stops(&mut self, id: Option<AgentId>) {
        self.stopped.extend(id);
    }

    /// Offers do not outlive their master.
    pub(crate) fn master_crashed(&mut self) {
        for (fate, _) in self.offers.values_mut() {
            *fate = Fate::Over;
        }
    }

    /// What the master says must be covered by the store and by offers it made.
    pub(crate) fn master_step(
        &mut self,
        now: Mono,
        accept: Option<Accept>,
        effects: &[MasterEffect],
        master: &MasterNode,
    ) -> Checked {
        self.now = now;
        let usable = accept.as_ref().is_some_and(|a| {
            a.offer_ids
                .iter()
                .all(|o| self.offers.get(o).is_some_and(|(f, _)| *f == Fate::Outstanding))
        });
        for effect in effects {
            match effect {
                MasterEffect::ToFramework { event, .. } => self.master_tells(event, master)?,
                MasterEffect::ToAgent { message, .. } => {
                    self.master_orders(message, accept.as_ref(), usable, master)?;
                }
                MasterEffect::Session {
                    framework_id,
                    session: Session::Removed,
                } => removed_durably(framework_id, master)?,
                MasterEffect::Answer {
                    request,
                    answer: Ok(()),
                } => {
                    if let Some(framework) = self.teardowns.get(request) {
                        removed_durably(framework, master)?;
                    }
                }
                _ => {}
            }
        }
        // Of an ACCEPT that launched nothing (its framework is being removed, its tasks are refused) nobody outside can
        // tell whether it used its offers up.
        let launched = effects.iter().any(|e| {
            matches!(
                e,
                MasterEffect::ToAgent {
                    message: ToAgent::RunTask { .. },
                    ..
                }
            )
        });
        if launched && let Some(accept) = accept {
            for offer in accept.offer_ids {
                self.offers
                    .entry(offer)
                    .and_modify(|(fate, _)| *fate = Fate::Used);
            }
        }
        Ok(())
    }

    fn master_tells(&mut self, event: &Event, master: &MasterNode) -> Checked {
        match event {
            Event::Offers { offers, .. } => {
                for offer in offers {
                    let new = (Fate::Outstanding, self.now);
                    let earlier = self.offers.insert(offer.id.id(), new);
                    ensure(earlier.is_none(), || {
                        format!("offer id {} was given out twice", offer.id)
                    })?;
                }
            }
            Event::Rescind { offer_id } => {
                if let Some((fate, made)) = self.offers.get_mut(offer_id) {
                    *fate = Fate::Over;
                    self.expired += u64::from(self.now.since(*made) >= OFFER_TIMEOUT);
                }
            }
            Event::Update(s) if s.state == TaskState::Unreachable => {
                if let Some(agent) = &s.agent_id {
                    ensure(master.is_durable("unreachable", agent.as_str()), || {
                        format!("task {} was told unreachable before that was durable", s.task_id)
                    })?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn master_orders(
        &mut self,
        message: &ToAgent,
        accept: Option<&Accept>,
        usable: bool,
        master: &MasterNode,
    ) -> Checked {
        match message {
            ToAgent::Registered { agent_id, .. } | ToAgent::Reregistered { agent_id, .. } => {
                let admitted = master.is_durable("agents", agent_id.as_str());
                let away = master.is_durable("unreachable", agent_id.as_str());
                ensure(admitted && !away, || {
                    format!("agent {agent_id} was answered before its admission was durable")
                })
            }
            ToAgent::RunTask { framework, task, .. } => {
                self.sent += 1;
                let accept =
                    accept.ok_or_else(|| format!("task {} was launched out of nothing", task.task_id))?;
                ensure(framework.id.as_ref() == Some(&accept.framework_id), || {
                    format!("task {} was launched for another framework", task.task_id)
                })?;
                ensure(usable, || {
                    format!(
                        "task {} was launched on offers {:?}, which were not outstanding",
                        task.task_id, accept.offer_ids
                    )
                })
            }
            ToAgent::ShutdownFramework { framework_id } => {
                self.ending.insert(framework_id.clone());
                Ok(())
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn agent_hears(&mut self, input: &AgentInput) {
        if let AgentInput::FromMaster(_, ToAgent::ShutdownFramework { framework_id }) = input {
            self.ending.insert(framework_id.clone());
        }
    }

    pub(crate) fn agent_step(&mut self, effects: &[AgentEffect], agent: &AgentNode) -> Checked {
        for effect in effects {
            if let AgentEffect::Send(FromAgent::Update(update)) = effect {
                self.agent_tells(update, agent)?;
            }
        }
        Ok(())
    }

    /// An agent's word: recorded, true, and only one last one.
    fn agent_tells(&mut self, update: &StatusUpdate, agent: &AgentNode) -> Checked {
        let status = &update.status;
        let key = (update.framework_id.clone(), status.task_id.clone());
        let Some(launched) = self.launched.get(&key).copied() else {
            return Err(format!("task {} was never ordered", key.1));
        };
        if !status.state.is_terminal() || !launched.checkpoint {
            return Ok(());
        }
        if let (Some((state, _)), Some(uuid)) = (self.last_words.get(&key), status.uuid) {
            ensure(same_end(*state, status.state), || {
                format!(
                    "task {} ended as {} and then as {} ({uuid:?})",
                    key.1,
                    state.name(),
                    status.state.name()
                )
            })?;
        } else if let Some(uuid) = status.uuid {
            self.last_words.insert(key.clone(), (status.state, uuid));
        }
        if launched.command {
            self.truthful(&key, update, agent)?;
        }
        Ok(())
    }

    /// What is said of a command task's end is what its host saw.
    fn truthful(&self, key: &Key, update: &StatusUpdate, agent: &AgentNode) -> Checked {
        let status = &update.status;
        let container = self.containers.get(key);
        let end = self.ends.get(key).copied();
        let alive = container
            .and_then(|c| agent.host.containers.get(c))
            .is_some_and(|c| c.phase == Phase::Running);
        let early = matches!(
            status.reason,
            Some(Reason::TASK_KILLED_DURING_LAUNCH | Reason::EXECUTOR_REGISTRATION_TIMEOUT)
        );
        ensure(!alive || early, || {
            format!("task {} is said to be {} and runs", key.1, status.state.name())
        })?;
        match (status.state, status.source) {
            (TaskState::Finished, _) => ensure(end == Some(End::Status(0)), || {
                format!("task {} finished, its host saw {end:?}", key.1)
            }),
            (TaskState::Failed, Source::Executor) => {
                let failed = matches!(end, Some(End::Status(s)) if s != 0);
                let late = status.reason == Some(Reason::MAX_COMPLETION_TIME_REACHED);
                ensure(failed || late, || {
                    format!("task {} failed, its host saw {end:?}", key.1)
                })
            }
            (TaskState::Failed, Source::Agent) if status.reason == Some(Reason::EXECUTOR_TERMINATED) => {
                ensure(!matches!(end, Some(End::Status(_))), || {
                    format!("task {} failed for unknown reasons, its host saw {end:?}", key.1)
                })
            }
            (TaskState::Dropped, Source::Agent) => ensure(end.is_none(), || {
                format!("task {} is said to have never run, its host saw {end:?}", key.1)
            }),
            _ => Ok(()),
        }
    }

    pub(crate) fn container_launched(&mut self, order: &LaunchOrder) -> Checked {
        let (Some(task), Some(framework)) = (&order.command_task, &order.framework.id) else {
            return Ok(());
        };
        let key = (framework.clone(), task.task_id.clone());
        let earlier = self.containers.insert(key, order.container_id.clone());
        ensure(earlier.is_none(), || {
            format!("task {} was started twice", task.task_id)
        })?;
        // Each launch of a run's attempt is a task of its own; one of them is started at most.
        let attempt = RunId::written(task.task_id.as_str()).attempt().to_owned();
        let earlier = self
            .attempts
            .insert((framework.clone(), attempt), task.task_id.clone());
        earlier.map_or(Ok(()), |earlier| {
            Err(format!("{earlier} was started, and {} too", task.task_id))
        })
    }

    pub(crate) fn container_ended(&mut self, container: &Container, termination: &Termination) {
        self.note_end(container, termination.status.map_or(End::Unseen, End::Status));
    }

    pub(crate) fn container_perished(&mut self, container: &Container) {
        if container.phase == Phase::Running {
            self.note_end(container, End::Unseen);
        }
    }

    fn note_end(&mut self, container: &Container, end: End) {
        if let (Some(task), Some(framework)) = (container.command_task(), container.framework_id()) {
            self.ends.insert((framework.clone(), task.clone()), end);
        }
    }

    /// Invariant 4: why nobody had a reason to end this command task, if so.
    pub(crate) fn unexcused(&self, container: &Container) -> Option<String> {
        let (task, framework) = (container.command_task()?, container.framework_id()?);
        let key = (framework.clone(), task.clone());
        let launched = self.launched.get(&key)?;
        let excused = self.kills.contains(&key)
            || self.ending.contains(framework)
            || self.stopped.contains(&container.order.agent_id)
            || launched.health
            || launched.limited
            || !launched.checkpoint
            || container.phase != Phase::Running
            || container.script.launch.as_secs() >= 5;
        (!excused).then(|| format!("task {task} was to live"))
    }
}
