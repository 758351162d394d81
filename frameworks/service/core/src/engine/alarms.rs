//! What must be looked at when time has passed: kills that were not answered, launches of which nothing is heard, agents
//! that stay out of reach, delays that are over.

use super::Engine;
use crate::app::UnreachableStrategy;
use crate::backoff::after;
use crate::instance::{Condition, Goal, Instance, InstanceId};
use crate::io::Effect;
use meseta_types::Wall;
use std::sync::Arc;

impl Engine {
    /// When an instance must be looked at again.
    pub(super) fn alarm(&self, instance: &Instance) -> Option<Wall> {
        let kill = instance.kill_sent.map(|sent| after(sent, self.config.kill_retry));
        let launch = match instance.condition {
            Condition::Provisioned | Condition::Staging if instance.kill_sent.is_none() => instance
                .since
                .staged
                .map(|staged| after(staged, self.config.launch_timeout)),
            _ => None,
        };
        [kill, launch, self.unreachable_alarm(instance)]
            .into_iter()
            .flatten()
            .min()
    }

    fn unreachable_alarm(&self, instance: &Instance) -> Option<Wall> {
        let since = instance
            .since
            .unreachable
            .filter(|_| instance.condition == Condition::Unreachable)?;
        let app = self.apps.get(&instance.app)?;
        match app.spec.unreachable {
            UnreachableStrategy::Disabled => None,
            // Both moments need a look; the first one is asked for again when it has passed.
            UnreachableStrategy::Enabled {
                inactive_after,
                expunge_after,
            } if instance.goal == Goal::Running => Some(after(since, inactive_after.min(expunge_after))),
            UnreachableStrategy::Enabled { expunge_after, .. } => Some(after(since, expunge_after)),
        }
    }

    /// Whatever alarms have gone off, and delays that are over.
    pub(super) fn ring(&mut self, now: Wall) {
        self.ask_when_due(now);
        self.touched.extend(self.delays.ended(now));
        if self.rest_until <= now {
            self.marked.append(&mut self.resting);
        }
        while let Some((at, id)) = self.alarms.first().cloned() {
            if at > now {
                break;
            }
            self.alarms.pop_first();
            self.alarm_of.remove(&id);
            if let Some(instance) = self.instances.get(&id).cloned() {
                self.look(now, instance);
            }
        }
    }

    fn look(&mut self, now: Wall, instance: Instance) {
        let id = instance.id.clone();
        self.marked.insert(instance.app.clone());
        if self.is_expunged(now, &instance) {
            // Forgotten, not dead: if it returns, it is nobody's and is killed.
            self.tell_condition(&instance, "Unknown");
            return self.drop_instance(&id);
        }
        let overdue = matches!(instance.condition, Condition::Provisioned | Condition::Staging)
            && instance
                .since
                .staged
                .is_some_and(|staged| after(staged, self.config.launch_timeout) <= now);
        let kill_again = instance
            .kill_sent
            .is_some_and(|sent| after(sent, self.config.kill_retry) <= now);
        if overdue || kill_again {
            self.to_kill.insert(id);
        } else if let Some(next) = self.later_alarm(now, &instance) {
            self.alarm_of.insert(id.clone(), next);
            self.alarms.insert((next, id));
        }
    }

    fn is_expunged(&self, now: Wall, instance: &Instance) -> bool {
        let strategy = self.apps.get(&instance.app).map(|app| app.spec.unreachable);
        match (strategy, instance.since.unreachable) {
            (Some(UnreachableStrategy::Enabled { expunge_after, .. }), Some(since)) => {
                instance.condition == Condition::Unreachable && after(since, expunge_after) <= now
            }
            _ => false,
        }
    }

    /// The second of the two moments of an unreachable instance, once the first has passed.
    fn later_alarm(&self, now: Wall, instance: &Instance) -> Option<Wall> {
        let since = instance
            .since
            .unreachable
            .filter(|_| instance.condition == Condition::Unreachable)?;
        match self.apps.get(&instance.app)?.spec.unreachable {
            UnreachableStrategy::Disabled => None,
            UnreachableStrategy::Enabled { expunge_after, .. } => {
                Some(after(since, expunge_after)).filter(|at| *at > now)
            }
        }
    }

    /// Sends the kills whose turn has come, a bounded number at a time.
    pub(super) fn send_kills(&mut self, now: Wall) {
        if !self.connected {
            return;
        }
        let room = self
            .config
            .kills_max
            .saturating_sub(self.killing.difference(&self.to_kill).count());
        let due: Vec<InstanceId> = self.to_kill.iter().take(room).cloned().collect();
        for id in due {
            self.to_kill.remove(&id);
            let Some(instance) = self.instances.get(&id).cloned() else {
                continue;
            };
            let Some(place) = &instance.place else { continue };
            let agent = Arc::clone(&place.agent);
            self.killing.insert(id);
            self.txn.released.push(Effect::Kill {
                task: instance.task_id(),
                agent,
            });
            self.put_instance(Instance {
                kill_sent: Some(now),
                ..instance
            });
        }
    }
}
