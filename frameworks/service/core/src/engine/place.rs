//! Scheduled instances meet offers, and offers that nobody needs go back.

use super::Engine;
use crate::app::{AppId, AppSpec};
use crate::instance::{Condition, Instance, InstanceId, Place, Since};
use crate::io::{Effect, Launch};
use crate::matcher::{self, Offer, Taken};
use meseta_types::Wall;
use std::sync::Arc;

impl Engine {
    /// Matches what waits with the offers; each match is recorded before its launch leaves. Apps take turns, one
    /// instance each, so that a large one does not keep a small one waiting.
    pub(super) fn place(&mut self, now: Wall) {
        if self.offers.is_empty() {
            return;
        }
        self.look_at_touched(now);
        if self.launchable.is_empty() {
            return;
        }
        let apps = self
            .launchable
            .iter()
            .map(|(id, spec)| (id.clone(), Arc::clone(spec)));
        let apps: Vec<(AppId, Arc<AppSpec>)> = apps.collect();
        for mut offer in std::mem::take(&mut self.offers).into_values() {
            if self.is_full() {
                self.offers.insert(Arc::clone(&offer.id), offer);
                continue;
            }
            let whole = offer.clone();
            let launches = self.fill(now, &apps, &mut offer);
            if launches.is_empty() {
                self.offers.insert(Arc::clone(&whole.id), whole);
            } else {
                self.txn.released.push(Effect::Accept {
                    offer: offer.id,
                    launches,
                });
            }
        }
    }

    /// Brings `launchable` up to date: apps that have instances waiting and no delay.
    fn look_at_touched(&mut self, now: Wall) {
        let mut touched = std::mem::take(&mut self.touched);
        // Those still to be led may have been placed just now.
        touched.extend(self.marked.iter().cloned());
        touched.retain(|id| !self.resting.contains(id));
        for id in touched {
            let spec = self.waiting.get(&id).and_then(|_| self.target(&id));
            let ready = spec.filter(|(spec, _)| self.delays.until(&id, spec.config_version, now).is_none());
            match ready {
                Some((spec, _)) => {
                    let config = spec.config_version;
                    let before = self.launchable.insert(id, spec);
                    self.is_new |= before.is_none_or(|before| before.config_version != config);
                }
                None => drop(self.launchable.remove(&id)),
            }
        }
    }

    fn fill(&mut self, now: Wall, apps: &[(AppId, Arc<AppSpec>)], offer: &mut Offer) -> Vec<Launch> {
        let mut launches = Vec::new();
        let mut open: Vec<&(AppId, Arc<AppSpec>)> = apps.iter().collect();
        while !open.is_empty() && launches.len() < self.config.launches_per_offer {
            open.retain(|(id, spec)| {
                let next = self.waiting.get(id).and_then(|waiting| waiting.first().cloned());
                let Some(next) = next.filter(|_| launches.len() < self.config.launches_per_offer) else {
                    return false;
                };
                match self.try_one(now, spec, offer) {
                    Some(taken) => {
                        launches.extend(self.launch(now, &next, spec, offer, taken));
                        true
                    }
                    None => false,
                }
            });
        }
        launches
    }

    fn try_one(&mut self, now: Wall, spec: &AppSpec, offer: &mut Offer) -> Option<Taken> {
        let before = offer.clone();
        let random = &mut self.random;
        let result = matcher::take(spec, offer, |bound| random.below(bound));
        let note = result.as_ref().map(|_| ()).map_err(|reject| *reject);
        self.tried
            .entry(spec.id.clone())
            .or_default()
            .note(&before, note, now);
        result.ok()
    }

    fn launch(
        &mut self,
        now: Wall,
        id: &InstanceId,
        spec: &Arc<AppSpec>,
        offer: &Offer,
        taken: Taken,
    ) -> Option<Launch> {
        let before = self.instances.get(id)?.clone();
        let place = Place {
            agent: Arc::clone(&offer.agent),
            host: Arc::clone(&offer.host),
            ports: taken.ports.clone(),
        };
        let instance = Instance {
            version: spec.version,
            config_version: spec.config_version,
            incarnation: before.incarnation + 1,
            condition: Condition::Provisioned,
            place: Some(place),
            since: Since {
                scheduled: before.since.scheduled,
                staged: Some(now),
                ..Since::default()
            },
            healthy: None,
            // Readiness is asked only of what a deployment starts.
            ready: !self.locks.contains_key(&spec.id),
            kill_sent: None,
            ..before
        };
        self.tell_condition(&instance, "Provisioned");
        self.put_instance(instance.clone());
        if !self.waiting.contains_key(&spec.id) {
            self.tried.remove(&spec.id);
        }
        Some(Launch {
            instance,
            spec: Arc::clone(spec),
            taken,
        })
    }

    /// Offers that were looked at and not used go back; whether offers are wanted is told when that changes, and again for
    /// each app that becomes launchable: what was declined before may be just what it needs.
    pub(super) fn offers_out(&mut self, now: Wall) {
        // Offers that a full commit left unlooked at are needed for the next.
        if !self.is_full() {
            let refuse = self.config.decline_for;
            for (offer, _) in std::mem::take(&mut self.offers) {
                self.txn.released.push(Effect::Decline { offer, refuse });
            }
        }
        if !self.connected {
            return;
        }
        self.look_at_touched(now);
        let needed = !self.launchable.is_empty();
        if (needed && self.is_new) || self.wanted != Some(needed) {
            self.wanted = Some(needed);
            self.txn.released.push(Effect::Want(needed));
        }
        self.is_new = false;
    }
}
