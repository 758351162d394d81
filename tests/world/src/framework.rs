//! Scripted frameworks: one that behaves, one that hoards offers, declines, uses stale ones and goes away.
//!
//! Both keep their tasks' states as a scheduler with a store would: they survive a crash of the framework's process.

mod node;

pub(crate) use node::FrameworkNode;

use crate::marks::Mark;
use crate::net::{Stream, StreamId};
use crate::oracle::Launched;
use crate::world::{AGENTS, Event, SCRIPTED, World};
use meseta_master_core::io::{Accept, Call, Event as FromMaster, Filters, Operation, TaskRef};
use meseta_master_core::state::Offer;
use meseta_types::task::{Reason, Source, TaskSpec, TaskStatus};
use meseta_types::{OfferId, TaskId, TaskState};
use node::{Seen, fits};
use std::sync::Arc;
use std::time::Duration;

/// Beside the two real frameworks the scripted ones act so many times slower.
const CALM: u32 = 8;

/// What a framework does at its time.
#[derive(Clone, Copy, Debug)]
pub(crate) enum FrameworkTimer {
    Connect,
    Act,
}

impl World {
    pub(crate) fn framework_start(&mut self, f: usize) {
        let node = &mut self.frameworks[f];
        if node.up {
            return;
        }
        node.life += 1;
        node.up = true;
        let life = node.life;
        if life > 1 && node.alive() > 0 {
            self.see(Mark::FrameworkCrash);
        }
        self.at(Duration::ZERO, Event::Framework(f, life, FrameworkTimer::Connect));
        self.at(
            Duration::from_millis(700),
            Event::Framework(f, life, FrameworkTimer::Act),
        );
    }

    pub(crate) fn framework_crash(&mut self, f: usize, down: Duration) {
        let node = &mut self.frameworks[f];
        if !std::mem::replace(&mut node.up, false) {
            return;
        }
        self.trace.say(self.now, &format!("framework {f}"), &"CRASH");
        self.drop_stream(f);
        self.at(down, Event::FrameworkStart(f));
    }

    /// The framework's end of its stream is gone.
    pub(crate) fn drop_stream(&mut self, f: usize) {
        if let Some(id) = self.frameworks[f].stream {
            self.streams[id].framework_end = false;
            let after = self.net.notice();
            self.at(after, Event::MasterSeesStreamEnd(id));
        }
        self.frameworks[f].disconnect();
    }

    pub(crate) fn framework_timer(&mut self, f: usize, life: u32, timer: FrameworkTimer) {
        let node = &self.frameworks[f];
        if node.life != life || !node.up {
            return;
        }
        match timer {
            FrameworkTimer::Connect => self.connect_framework(f),
            FrameworkTimer::Act => {
                self.act(f);
                let node = &mut self.frameworks[f];
                let wait = Duration::from_millis(200) + node.random.duration_below(Duration::from_secs(2));
                let wait = if node.calm && !node.healed {
                    wait * CALM
                } else {
                    wait
                };
                self.at(wait, Event::Framework(f, life, FrameworkTimer::Act));
            }
        }
    }

    fn connect_framework(&mut self, f: usize) {
        if self.frameworks[f].stream.is_some() {
            return;
        }
        let id = self.streams.len();
        self.streams.push(Stream {
            framework: f,
            framework_life: self.frameworks[f].life,
            master_life: 0,
            framework_end: true,
            master_end: false,
            last: self.now,
            broken: false,
            subscribe: None,
        });
        self.frameworks[f].stream = Some(id);
        let delay = self.net.delay();
        self.at(delay, Event::Subscribe(id));
    }

    pub(crate) fn framework_sees_stream_end(&mut self, id: StreamId) {
        let stream = &mut self.streams[id];
        if let Some(c) = stream.framework.checked_sub(SCRIPTED) {
            return self.client_sees_stream_end(c, id);
        }
        if !std::mem::replace(&mut stream.framework_end, false) {
            return;
        }
        let (f, life) = (stream.framework, stream.framework_life);
        if self.frameworks[f].stream != Some(id) || self.frameworks[f].life != life {
            return;
        }
        self.frameworks[f].disconnect();
        let wait = Duration::from_millis(100)
            + self.frameworks[f]
                .random
                .duration_below(Duration::from_millis(900));
        self.at(wait, Event::Framework(f, life, FrameworkTimer::Connect));
    }

    pub(crate) fn call(&mut self, f: usize, after: Duration, call: Call) {
        let node = &self.frameworks[f];
        let (Some(stream), Some(framework_id)) = (node.stream, node.id.clone()) else {
            return;
        };
        let copies = if self.net.lost() {
            0
        } else if self.net.doubled() {
            2
        } else {
            1
        };
        for _ in 0..copies {
            let wait = after + self.net.delay();
            self.at(
                wait,
                Event::Call {
                    stream,
                    framework_id: framework_id.clone(),
                    call: call.clone(),
                },
            );
        }
    }

    pub(crate) fn reach_framework(&mut self, id: StreamId, event: FromMaster) {
        let stream = &self.streams[id];
        let f = stream.framework;
        if let Some(c) = f.checked_sub(SCRIPTED) {
            return self.reach_client(c, id, &event);
        }
        let here = stream.framework_end && self.frameworks[f].stream == Some(id) && self.frameworks[f].up;
        if !here {
            return;
        }
        if self.options.print || self.options.digest {
            self.trace.say(self.now, &format!("-> framework {f}"), &event);
        }
        match event {
            FromMaster::Subscribed { framework_id } => {
                let node = &mut self.frameworks[f];
                node.id = Some(framework_id);
                node.subscribed = true;
                self.reconcile(f);
            }
            FromMaster::Offers { offers, .. } => {
                for offer in offers {
                    self.offered(f, offer);
                }
            }
            FromMaster::Rescind { offer_id } => {
                let node = &mut self.frameworks[f];
                // The hoarder does not listen.
                if !node.hoards || node.healed {
                    node.held.retain(|(o, _)| o.id.id() != offer_id);
                }
            }
            FromMaster::Update(status) => self.update_for_framework(f, status),
            FromMaster::Error { message } => {
                if message.contains("removed") {
                    self.start_over(f);
                }
            }
            FromMaster::Failure { .. }
            | FromMaster::Message { .. }
            | FromMaster::UpdateOperationStatus(_) => {}
        }
    }

    /// The master removed it: what it had is gone, it begins as a new framework.
    fn start_over(&mut self, f: usize) {
        let node = &mut self.frameworks[f];
        if let Some(id) = node.id.take() {
            node.tasks.retain(|_, t| t.framework_id != id);
            self.oracle.framework_ends(&id);
        }
    }

    fn offered(&mut self, f: usize, offer: Arc<Offer>) {
        let node = &mut self.frameworks[f];
        if node.healed {
            return self.answer_healed(f, &offer);
        }
        if node.hoards && node.random.below(10) < 6 {
            let now = self.now;
            return node.held.push((offer, now));
        }
        if node.alive() >= node.target || node.random.below(8) == 0 {
            let refuse = Duration::from_millis(node.random.below(4000));
            return self.decline(f, &offer.id.id(), refuse);
        }
        self.accept(f, &offer);
    }

    fn answer_healed(&mut self, f: usize, offer: &Arc<Offer>) {
        if self.frameworks[f].owes(&offer.agent_id) {
            let task = self.frameworks[f].task(&offer.agent_id);
            if fits(&task, &offer.resources).is_some() {
                let node = &mut self.frameworks[f];
                node.final_tasks
                    .insert(task.task_id.clone(), offer.agent_id.clone());
                return self.launch(f, offer, vec![task]);
            }
        }
        self.decline(f, &offer.id.id(), Duration::from_millis(500));
    }

    fn decline(&mut self, f: usize, offer: &OfferId, refuse: Duration) {
        let call = Call::Decline {
            offer_ids: vec![offer.clone()],
            filters: Filters { refuse },
        };
        self.call(f, Duration::ZERO, call);
    }

    fn accept(&mut self, f: usize, offer: &Arc<Offer>) {
        let node = &mut self.frameworks[f];
        let mut rest = offer.resources.clone();
        let mut tasks = Vec::new();
        for _ in 0..1 + node.random.below(3) {
            let task = node.task(&offer.agent_id);
            if let Some(left) = fits(&task, &rest) {
                rest = left;
                tasks.push(task);
            }
        }
        if tasks.is_empty() {
            return self.decline(f, &offer.id.id(), Duration::from_secs(1));
        }
        self.launch(f, offer, tasks);
    }

    fn launch(&mut self, f: usize, offer: &Arc<Offer>, tasks: Vec<TaskSpec>) {
        let node = &mut self.frameworks[f];
        let Some(framework_id) = node.id.clone() else {
            return;
        };
        let mut ordered = Ok(());
        for task in &tasks {
            let seen = Seen {
                framework_id: framework_id.clone(),
                agent_id: offer.agent_id.clone(),
                state: TaskState::Staging,
                ended: false,
            };
            node.tasks.insert(task.task_id.clone(), seen);
            let launched = Launched {
                command: task.executor.is_none(),
                checkpoint: node.checkpoint,
                health: task.health_check.is_some(),
                limited: task.max_completion_time.is_some(),
            };
            ordered = ordered.and(self.oracle.launch(&framework_id, &task.task_id, launched));
        }
        let call = Call::Accept(Accept {
            offer_ids: vec![offer.id.id()],
            operations: vec![Operation::Launch { id: None, tasks }],
            filters: Filters {
                refuse: Duration::from_millis(500),
            },
        });
        if let Err(why) = ordered {
            self.fail(why);
        }
        self.call(f, Duration::ZERO, call);
    }

    fn act(&mut self, f: usize) {
        if !self.frameworks[f].subscribed {
            return;
        }
        self.use_held(f);
        let node = &mut self.frameworks[f];
        let choice = node.random.below(20);
        if node.healed {
            // Both kinds: a refusal of a doubled ACCEPT speaks of a task that runs.
            self.reconcile(f);
            self.call(f, Duration::ZERO, Call::Reconcile { tasks: Vec::new() });
            return;
        }
        match choice {
            0..=3 => self.kill_one(f),
            4 => self.reconcile(f),
            5 => self.call(f, Duration::ZERO, Call::Reconcile { tasks: Vec::new() }),
            6 => self.call(f, Duration::ZERO, Call::Revive { roles: Vec::new() }),
            7 if node.hoards => {
                let away = Duration::from_millis(node.random.below(16_000));
                let life = node.life;
                self.drop_stream(f);
                self.at(away, Event::Framework(f, life, FrameworkTimer::Connect));
            }
            8 if node.hoards && node.random.below(3) == 0 => {
                // The call may be lost: then its failover timeout ends it.
                self.see(Mark::Teardown);
                self.call(f, Duration::ZERO, Call::Teardown);
                self.start_over(f);
                self.drop_stream(f);
                let life = self.frameworks[f].life;
                self.at(
                    Duration::from_secs(1),
                    Event::Framework(f, life, FrameworkTimer::Connect),
                );
            }
            _ => {}
        }
    }

    /// Uses, gives back or keeps the offers it hoards; expired ones too.
    fn use_held(&mut self, f: usize) {
        let held = std::mem::take(&mut self.frameworks[f].held);
        for (offer, since) in held {
            let node = &mut self.frameworks[f];
            let lot = if node.healed { 0 } else { node.random.below(10) };
            match lot {
                0 | 1 => self.decline(f, &offer.id.id(), Duration::ZERO),
                2 | 3 => self.accept(f, &offer),
                4 => {
                    // Twice the same offer, for other tasks.
                    self.accept(f, &offer);
                    self.accept(f, &offer);
                }
                _ => node.held.push((offer, since)),
            }
        }
    }

    fn kill_one(&mut self, f: usize) {
        let node = &mut self.frameworks[f];
        let alive: Vec<TaskId> = node
            .tasks
            .iter()
            .filter(|(_, t)| !t.ended)
            .map(|(id, _)| id.clone())
            .collect();
        if alive.is_empty() {
            return;
        }
        let task_id = alive[node.random.below(alive.len() as u64) as usize].clone();
        let Some(seen) = node.tasks.get(&task_id).cloned() else {
            return;
        };
        let grace = (node.random.below(2) == 0).then(|| Duration::from_millis(node.random.below(1500)));
        self.oracle.kill(&seen.framework_id, &task_id);
        let call = Call::Kill {
            task_id,
            agent_id: Some(seen.agent_id),
            kill_policy: Default::default(),
            grace,
        };
        self.call(f, Duration::ZERO, call);
    }

    /// Asks for every task it believes alive.
    pub(crate) fn reconcile(&mut self, f: usize) {
        let alive = self.frameworks[f].tasks.iter().filter(|(_, t)| !t.ended);
        let tasks: Vec<TaskRef> = alive
            .map(|(id, t)| TaskRef {
                task_id: id.clone(),
                agent_id: Some(t.agent_id.clone()),
            })
            .collect();
        if !tasks.is_empty() {
            self.call(f, Duration::ZERO, Call::Reconcile { tasks });
        }
    }

    fn update_for_framework(&mut self, f: usize, status: TaskStatus) {
        self.mark_update(&status);
        let node = &mut self.frameworks[f];
        let back = node
            .tasks
            .get(&status.task_id)
            .is_some_and(|t| t.state == TaskState::Unreachable && status.state == TaskState::Running);
        if let Some(seen) = node.tasks.get_mut(&status.task_id) {
            seen.state = status.state;
            seen.ended = status.state.is_terminal() || status.state == TaskState::Unknown;
            if status.state == TaskState::Finished
                && let Some(agent) = node.final_tasks.get(&status.task_id)
            {
                node.finals.insert(agent.clone());
            }
        }
        if let (Some(uuid), Some(agent_id)) = (status.uuid, status.agent_id) {
            let slow = !node.healed && node.random.below(100) < node.slow;
            let wait = if slow {
                Duration::from_secs(8) + node.random.duration_below(Duration::from_secs(20))
            } else {
                node.random.duration_below(Duration::from_millis(150))
            };
            let call = Call::Acknowledge {
                agent_id,
                task_id: status.task_id,
                uuid,
            };
            self.call(f, wait, call);
        }
        if back {
            self.see(Mark::CameBack);
        }
    }

    fn mark_update(&mut self, status: &TaskStatus) {
        if status.source == Source::Agent && status.reason == Some(Reason::RECONCILIATION) {
            self.see(Mark::Reconciled);
        }
        if status.state == TaskState::Killed && status.healthy == Some(false) {
            self.see(Mark::HealthKill);
        }
        if status.reason == Some(Reason::EXECUTOR_REREGISTRATION_TIMEOUT) {
            self.mark_executor_lost();
        }
    }

    /// Whether a framework's last tasks are done on every agent.
    pub(crate) fn finals_done(&self, f: usize) -> bool {
        self.frameworks[f].hoards || self.frameworks[f].finals.len() >= AGENTS
    }
}
