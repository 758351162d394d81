//! Waiting runs meet offers: first fit, in the order of the queue, and nobody blocks those behind.

use super::{Engine, HOLD, Held, NEAR};
use crate::io::{Effect, Offer};
use crate::job::{Constraint, Demand, JobSpec, Operator};
use crate::run::{Cause, Place, Run, RunId, State, Why};
use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;

/// An offer with what of it is taken already.
struct Shelf {
    held: Held,
    left: Demand,
    /// Bytes of definitions that would go into its launch.
    bytes: usize,
    runs: Vec<(Run, Arc<JobSpec>)>,
}

/// Bytes of definitions in one launch: masters bound the size of a call (10 MB unless told otherwise), and a task
/// description has about what its definition has.
const LAUNCH_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What a task description has besides its definition: ids, resources, our environment.
const TASK_BYTES: usize = 2_048;

impl Engine {
    /// Matches the queue with the offers; each match is a launch that is recorded before it leaves.
    pub(super) fn place(&mut self, now: Timestamp) {
        if self.offers.is_empty() || self.queue.is_empty() {
            return;
        }
        let mut shelves: Vec<Shelf> = std::mem::take(&mut self.offers)
            .into_values()
            .map(|held| Shelf {
                left: held.offer.there,
                bytes: 0,
                held,
                runs: Vec::new(),
            })
            .collect();
        let queue: Vec<RunId> = self.queue.iter().map(|(_, id)| id.clone()).collect();
        for id in queue {
            if self.is_full() || shelves.iter().all(|shelf| is_used_up(&shelf.left)) {
                break;
            }
            self.place_one(now, &id, &mut shelves);
        }
        for shelf in shelves {
            if shelf.runs.is_empty() {
                self.offers.insert(Arc::clone(&shelf.held.offer.id), shelf.held);
            } else {
                self.txn.released.push(Effect::Accept {
                    offer: shelf.held.offer.id,
                    runs: shelf.runs,
                });
            }
        }
    }

    fn place_one(&mut self, now: Timestamp, id: &RunId, shelves: &mut [Shelf]) {
        let Some(run) = self.runs.get(id).cloned() else {
            return;
        };
        let Some(spec) = self.jobs.get(&run.job).map(|job| Arc::clone(&job.spec)) else {
            return;
        };
        // An earlier run of the same job may have been placed in this very round.
        if !spec.concurrent && self.runs_of(&run.job).any(|other| other.is_active()) {
            return self.wait_for_offer(run);
        }
        let bytes = spec.wire.len() + TASK_BYTES;
        let fits = |shelf: &&mut Shelf| {
            spec.demand.fits(&shelf.left)
                && (shelf.runs.is_empty() || shelf.bytes + bytes <= LAUNCH_BYTES_MAX)
                && allows(&spec.constraints, &shelf.held.offer)
        };
        match shelves.iter_mut().find(fits) {
            Some(shelf) => {
                let demand = spec.demand;
                shelf.left.cpus -= demand.cpus;
                shelf.left.mem -= demand.mem;
                shelf.left.disk -= demand.disk;
                shelf.bytes += bytes;
                let offer = &shelf.held.offer;
                let place = Place {
                    agent: Arc::clone(&offer.agent),
                    host: Arc::clone(&offer.host),
                    at: now,
                };
                let launched = self.launch(now, run, place);
                shelf.runs.push((launched, spec));
            }
            None => {
                let lacks: Arc<str> = lacks(&spec, shelves).into();
                let why = Why::NoFit { lacks };
                if !matches!(&run.state, State::Waiting { why: before } if *before == why) {
                    self.put_run(Run {
                        state: State::Waiting { why },
                        ..run
                    });
                }
            }
        }
    }

    /// The run is recorded as launched, and its slot, with all before it, as settled.
    fn launch(&mut self, now: Timestamp, run: Run, place: Place) -> Run {
        if run.cause == Cause::Slot && run.attempt == 0 && !run.placed {
            self.settle_passed(now, &run);
        }
        if let Some(job) = self.job_mut(&run.job) {
            // Any start uses up what the parents did.
            job.parent_successes.clear();
        }
        let launched = Run {
            state: State::Launched { place },
            placed: true,
            ..run
        };
        // Of a slot that is started once more the master may have been asked under the same id.
        self.asked.remove(&launched.id);
        self.launched_at.insert(launched.id.clone(), self.mono);
        self.put_run(launched.clone());
        self.index_job(&launched.job);
        launched
    }

    /// Gives back what nothing is due for, and tells the master whether offers are wanted: when that changes, and again for
    /// each run that came to wait, since what was given back before may be just what it needs.
    pub(super) fn offers_out(&mut self, now: Timestamp) {
        let needed = self.needs_offers(now);
        let ahead = self.slots.first().map(|(at, _)| at.duration_since(now));
        // Those that a full commit or a rest left unlooked at are looked at after it.
        let unseen = self.is_full() || self.rests(now);
        let is_near = unseen || ahead.is_some_and(|ahead| ahead <= NEAR);
        let refuse = match ahead.filter(|_| needed) {
            Some(ahead) => (ahead - NEAR).clamp(SignedDuration::ZERO, self.config.decline_for),
            None => self.config.decline_for,
        };
        let given_back: Vec<Arc<str>> = self
            .offers
            .values()
            .filter(|held| !needed || !is_near || now.duration_since(held.since) >= HOLD)
            .map(|held| Arc::clone(&held.offer.id))
            .collect();
        for offer in given_back {
            self.offers.remove(&offer);
            self.txn.released.push(Effect::Decline { offer, refuse });
        }
        let asks_again = self.is_new && !self.queue.is_empty();
        if self.connected && (self.wanted != Some(needed) || asks_again) {
            self.wanted = Some(needed);
            self.txn.released.push(Effect::Want(needed));
        }
        self.is_new = false;
    }
}

fn is_used_up(left: &Demand) -> bool {
    left.cpus < 1e-3 || left.mem < 1e-3
}

fn allows(constraints: &[Constraint], offer: &Offer) -> bool {
    constraints.iter().all(|constraint| holds(constraint, offer))
}

fn holds(constraint: &Constraint, offer: &Offer) -> bool {
    let found = match &*constraint.attribute {
        "hostname" => Some(&offer.host),
        name => offer
            .attributes
            .iter()
            .find(|(attribute, _)| **attribute == *name)
            .map(|(_, value)| value),
    };
    // A missing attribute satisfies nothing, not even UNLIKE.
    found.is_some_and(|value| match &constraint.operator {
        Operator::Equals => **value == *constraint.value,
        Operator::Like(pattern) => pattern.matches(value),
        Operator::Unlike(pattern) => !pattern.matches(value),
    })
}

/// What the run would have needed, against the best that was there.
fn lacks(spec: &JobSpec, shelves: &[Shelf]) -> String {
    let allowed: Vec<&Demand> = shelves
        .iter()
        .filter(|shelf| allows(&spec.constraints, &shelf.held.offer))
        .map(|shelf| &shelf.left)
        .collect();
    if allowed.is_empty() {
        return "no agent that is offered satisfies the constraints".to_owned();
    }
    let largest = |of: fn(&Demand) -> f64| allowed.iter().map(|there| of(there)).fold(0.0, f64::max);
    type Kind = (&'static str, fn(&Demand) -> f64);
    let kinds: [Kind; 3] = [("cpus", |d| d.cpus), ("mem", |d| d.mem), ("disk", |d| d.disk)];
    let short: Vec<String> = kinds
        .iter()
        .filter(|(_, of)| of(&spec.demand) > largest(*of))
        .map(|(name, of)| format!("{name} {} needed, {} largest", of(&spec.demand), largest(*of)))
        .collect();
    match short.is_empty() {
        true => "each offer lacks something, none lacks nothing".to_owned(),
        false => short.join(", "),
    }
}
