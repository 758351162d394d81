//! What is said of tasks moves instances.

use super::{ASK_AGAIN, Engine};
use crate::backoff::after;
use crate::instance::{Condition, Goal, Instance, InstanceId, Since};
use crate::io::{Effect, Event, Failure, TaskEvent, TaskKind};
use crate::rollout::Mode;
use meseta_types::Wall;
use std::sync::Arc;

impl Engine {
    /// A new stream: every instance that may have a task is asked about, and kills are told again.
    pub(super) fn connect(&mut self, now: Wall) {
        self.connected = true;
        self.connected_at = now;
        self.wanted = None;
        self.offers.clear();
        let placed = self.instances.iter().filter(|i| i.place.is_some());
        self.unheard = placed.map(|instance| instance.id.clone()).collect();
        self.ask_again.1 = ASK_AGAIN.0;
        self.ask(now);
        let ending = self.instances.iter().filter(|i| i.condition.has_task());
        let ending = ending.filter(|i| i.goal == Goal::Decommissioned || i.kill_sent.is_some());
        self.to_kill = ending.map(|instance| instance.id.clone()).collect();
        self.killing.clear();
    }

    /// Asks about the tasks of which nothing was heard yet.
    fn ask(&mut self, now: Wall) {
        let tasks = self.unheard.iter().filter_map(|id| {
            let instance = self.instances.get(id)?;
            let place = instance.place.as_ref()?;
            Some((instance.task_id(), Arc::clone(&place.agent)))
        });
        let tasks: Vec<_> = tasks.collect();
        if !tasks.is_empty() {
            self.txn.released.push(Effect::Reconcile(tasks));
        }
        self.ask_again.0 = after(now, self.ask_again.1);
    }

    /// Asks again when it is time.
    pub(super) fn ask_when_due(&mut self, now: Wall) {
        if !self.unheard.is_empty() && self.ask_again.0 <= now {
            self.ask_again.1 = (self.ask_again.1 * 2).min(ASK_AGAIN.1);
            self.ask(now);
        }
    }

    pub(super) fn task(&mut self, now: Wall, event: TaskEvent) {
        let ack = event.ack;
        if let Some((id, incarnation)) = InstanceId::of_task(&event.task) {
            let known = self
                .instances
                .get(&id)
                .filter(|i| i.incarnation == incarnation && i.condition.has_task());
            match known.cloned() {
                Some(instance) => {
                    self.unheard.remove(&id);
                    self.task_of(now, instance, event);
                }
                None => self.stray(id, &event),
            }
        }
        // What is not ours, or over already, is settled by saying so.
        if let Some(ack) = ack {
            self.txn.released.push(Effect::Acknowledge(ack));
        }
    }

    /// A task of an instance that was given up, or of an earlier launch: it must not live, and its end is told.
    fn stray(&mut self, instance: InstanceId, event: &TaskEvent) {
        match event.kind {
            TaskKind::Staging | TaskKind::Starting | TaskKind::Running => {
                if let Some(agent) = &event.agent {
                    self.txn.released.push(Effect::Kill {
                        task: event.task.to_string(),
                        agent: Arc::clone(agent),
                    });
                }
            }
            TaskKind::Killed | TaskKind::Ended => {
                self.txn.released.push(Effect::Event(Event::Stranger {
                    instance,
                    condition: ended_name(&event.state),
                }));
            }
            // It may live, or never was.
            TaskKind::Killing | TaskKind::Unreachable | TaskKind::NotLaunched | TaskKind::Unknown => {}
        }
    }

    fn task_of(&mut self, now: Wall, instance: Instance, event: TaskEvent) {
        let told = Event::Status {
            event: event.clone(),
            instance: instance.clone(),
        };
        match event.kind {
            TaskKind::Staging => self.moves(now, instance, Condition::Staging, "Staging", &event),
            TaskKind::Starting => self.moves(now, instance, Condition::Starting, "Starting", &event),
            TaskKind::Running => self.moves(now, instance, Condition::Running, "Running", &event),
            TaskKind::Killing => self.moves(now, instance, Condition::Killing, "Killing", &event),
            TaskKind::Unreachable => self.moves(now, instance, Condition::Unreachable, "Unreachable", &event),
            TaskKind::Killed => self.over(now, instance, &event, false),
            TaskKind::NotLaunched => self.over(now, instance, &event, false),
            TaskKind::Ended => self.over(now, instance, &event, true),
            TaskKind::Unknown => {
                // Never heard of since its launch: it never was. Otherwise it is lost.
                let failed = instance.condition != Condition::Provisioned;
                self.over(now, instance, &event, failed);
            }
        }
        self.txn.released.push(Effect::Event(told));
    }

    fn moves(
        &mut self,
        now: Wall,
        before: Instance,
        condition: Condition,
        name: &'static str,
        event: &TaskEvent,
    ) {
        let unreachable = match condition {
            Condition::Unreachable => before.since.unreachable.or(Some(now)),
            _ => None,
        };
        let running = match condition {
            Condition::Running => before.since.running.or(Some(now)),
            _ => before.since.running,
        };
        let healthy = event.healthy.or(before.healthy);
        let since = Since {
            unreachable,
            running,
            ..before.since
        };
        let after = Instance {
            condition,
            since,
            healthy,
            ..before.clone()
        };
        if after == before {
            return;
        }
        if before.condition != after.condition {
            self.tell_condition(&after, name);
        }
        if before.healthy != after.healthy {
            self.txn.released.push(Effect::Event(Event::Health {
                instance: after.clone(),
            }));
        }
        self.put_instance(after);
    }

    /// A task is over: its instance goes, or is scheduled again.
    fn over(&mut self, now: Wall, instance: Instance, event: &TaskEvent, failed: bool) {
        self.tell_condition(&instance, ended_name(&event.state));
        let on_our_order = instance.goal != Goal::Running || instance.kill_sent.is_some();
        if event.kind == TaskKind::Killed && event.healthy == Some(false) && !on_our_order {
            // Its agent gave it up.
            self.txn.released.push(Effect::Event(Event::UnhealthyKill {
                instance: instance.clone(),
            }));
        }
        if failed && !on_our_order {
            self.count_failure(now, &instance, event);
        }
        let target = self.target(&instance.app);
        let again = instance.goal == Goal::Running
            && target.as_ref().is_some_and(|(spec, mode)| {
                *mode == Mode::Keeping || spec.config_version == instance.config_version
            });
        let Some((spec, _)) = target.filter(|_| again) else {
            return self.drop_instance(&instance.id);
        };
        self.put_instance(Instance {
            version: spec.version,
            config_version: spec.config_version,
            condition: Condition::Scheduled,
            place: None,
            since: Since {
                scheduled: now,
                ..Since::default()
            },
            healthy: None,
            ready: false,
            kill_sent: None,
            ..instance
        });
    }

    fn count_failure(&mut self, now: Wall, instance: &Instance, event: &TaskEvent) {
        let Some(app) = self.apps.get(&instance.app).cloned() else {
            return;
        };
        if app.spec.config_version == instance.config_version {
            self.delays
                .failed(&instance.app, instance.config_version, &app.spec.backoff, now);
        }
        if &*event.state == "TASK_FINISHED" {
            return;
        }
        let failure = Failure {
            app: instance.app.clone(),
            version: instance.version,
            task: instance.task_id(),
            state: Arc::clone(&event.state),
            message: Arc::clone(&event.message),
            place: instance.place.clone(),
            at: now,
        };
        self.put_app(
            &instance.app,
            super::App {
                last_failure: Some(failure),
                ..app
            },
        );
    }

    pub(super) fn health(
        &mut self,
        _now: Wall,
        id: &InstanceId,
        incarnation: u32,
        healthy: bool,
        give_up: bool,
    ) {
        let known = self
            .instances
            .get(id)
            .filter(|i| i.incarnation == incarnation && i.condition.has_task());
        let Some(instance) = known.cloned() else { return };
        let after = Instance {
            healthy: Some(healthy),
            ..instance.clone()
        };
        if after.healthy != instance.healthy {
            self.txn.released.push(Effect::Event(Event::Health {
                instance: after.clone(),
            }));
            self.put_instance(after.clone());
        }
        // Who cannot be reached cannot be judged.
        if give_up && instance.condition == Condition::Running && instance.kill_sent.is_none() {
            self.txn
                .released
                .push(Effect::Event(Event::UnhealthyKill { instance: after }));
            self.to_kill.insert(id.clone());
        }
    }

    pub(super) fn ready(&mut self, id: &InstanceId, incarnation: u32) {
        let known = self
            .instances
            .get(id)
            .filter(|i| i.incarnation == incarnation && !i.ready);
        if let Some(instance) = known.cloned() {
            self.put_instance(Instance {
                ready: true,
                ..instance
            });
        }
    }
}

/// The condition an instance ends with, by the wire's name of its task's last state.
fn ended_name(state: &str) -> &'static str {
    match state {
        "TASK_FINISHED" => "Finished",
        "TASK_FAILED" => "Failed",
        "TASK_ERROR" => "Error",
        "TASK_KILLED" => "Killed",
        "TASK_GONE" | "TASK_GONE_BY_OPERATOR" => "Gone",
        "TASK_DROPPED" => "Dropped",
        _ => "Unknown",
    }
}
