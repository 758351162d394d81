//! Old entries of the registry are forgotten (Mesos, `Master::doRegistryGc`).
//!
//! An unreachable agent that is forgotten may still come back, as an unknown one. Which entries go is decided from the
//! wall clock, as they were written by other masters too; a clock that jumped can only forget early or late.

use super::commits::Pending;
use super::{Cx, MasterCore, Timer};
use crate::registry;
use meseta_types::{AgentId, Wall};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Entries forgotten with one write; the rest follows at the next time. Keeps the write far below any store's limit.
const PRUNE_MAX: usize = 1000;

impl MasterCore {
    pub(super) fn collect_garbage(&mut self, cx: &mut Cx) {
        self.timers
            .set(Timer::RegistryGc, cx.now.mono + self.config.registry_gc_interval);
        if self.commits.pruning() {
            return;
        }
        let unreachable: Vec<AgentId> = self
            .too_old(cx.now.wall, &self.unreachable)
            .into_iter()
            .filter(|id| !self.guards.contains_key(id))
            .collect();
        let gone = self.too_old(cx.now.wall, &self.gone);
        if unreachable.is_empty() && gone.is_empty() {
            return;
        }
        let changes = unreachable
            .iter()
            .map(registry::delete_unreachable)
            .chain(gone.iter().map(registry::delete_gone))
            .collect();
        self.commit(cx, changes, Pending::Prune { unreachable, gone });
    }

    /// The oldest first: those beyond the count, and those beyond the age.
    fn too_old(&self, now: Wall, agents: &BTreeMap<AgentId, Wall>) -> Vec<AgentId> {
        let mut by_age: Vec<(Wall, &AgentId)> = agents.iter().map(|(id, at)| (*at, id)).collect();
        by_age.sort();
        let surplus = by_age.len().saturating_sub(self.config.registry_max_agent_count);
        let age = i64::try_from(self.config.registry_max_agent_age.as_nanos()).unwrap_or(i64::MAX);
        let horizon = Wall(now.0.saturating_sub(age));
        by_age
            .into_iter()
            .enumerate()
            .filter(|(place, (at, _))| *place < surplus || *at < horizon)
            .take(PRUNE_MAX)
            .map(|(_, (_, id))| id.clone())
            .collect()
    }

    /// They are forgotten; so are the tasks that were there, unless the agent came back meanwhile.
    pub(super) fn pruned(&mut self, unreachable: Vec<AgentId>, gone: Vec<AgentId>) {
        for id in unreachable {
            if self.unreachable.contains_key(&id) && !self.guards.contains_key(&id) {
                Arc::make_mut(&mut self.unreachable).remove(&id);
                self.forget_lost_tasks(&id);
            }
        }
        for id in gone {
            Arc::make_mut(&mut self.gone).remove(&id);
        }
    }
}
