//! Service ports: numbers from a range, each of one app, that an app keeps as long as it has a port for them.
//!
//! Who holds a port is remembered here and believed only after a look at the app: one that is gone, or has the port no
//! longer, holds nothing. So nothing has to be given back, and a port of an app that another way brought back is still
//! not handed out.

use super::refusal::Refused;
use crate::definition::App;
use crate::view::View;
use http::StatusCode;
use meseta_service_core::app::AppId;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The ports of all apps. At most one entry per port number.
pub(super) struct ServicePorts {
    range: RangeInclusive<u16>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// Whether the apps that were there at the start are known.
    is_filled: bool,
    holders: BTreeMap<u16, Holder>,
    /// Where the next search begins, so that a number just given up is not at once another's.
    next: u16,
}

struct Holder {
    app: AppId,
    /// Changes under way that count on it: the app may not have it yet.
    claims: u32,
}

/// Ports claimed for a change. They are free again when the change did not happen and this is dropped.
pub(super) struct Claim {
    state: Arc<Mutex<State>>,
    ports: Vec<u16>,
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut state = lock(&self.state);
        for port in &self.ports {
            if let Some(holder) = state.holders.get_mut(port) {
                holder.claims = holder.claims.saturating_sub(1);
            }
        }
    }
}

/// The lock is held for some steps in memory, never while waiting; what it guards is consistent after each of them.
fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ServicePorts {
    pub(super) fn new(range: RangeInclusive<u16>) -> ServicePorts {
        let next = *range.start();
        ServicePorts {
            range,
            state: Arc::new(Mutex::new(State {
                next,
                ..State::default()
            })),
        }
    }

    /// Assigns numbers to the ports of an app that have none. `before` are the service ports it has now: those it does
    /// not name any more are used first, in their order. Keep the claim until the change is in a view.
    ///
    /// # Errors
    /// 500 when the range is used up, as in Marathon.
    pub(super) fn assign(
        &self,
        app: &mut App,
        id: &AppId,
        before: &[u16],
        view: &View,
    ) -> Result<Claim, Refused> {
        // Before the lock: a claim that is dropped takes it.
        let mut claim = Claim {
            state: Arc::clone(&self.state),
            ports: Vec::new(),
        };
        let mut guard = lock(&self.state);
        let state = &mut *guard;
        if !state.is_filled {
            state.fill(view);
        }
        let named: BTreeSet<u16> = app
            .service_ports()
            .into_iter()
            .filter(|port| *port != 0)
            .collect();
        let mut kept = before
            .iter()
            .copied()
            .filter(|port| self.range.contains(port) && !named.contains(port));
        let mut taken = named.clone();
        for slot in app.open_service_ports() {
            if *slot == 0 {
                let port = match kept.next() {
                    Some(port) => port,
                    None => state.free(&self.range, &taken, id, view).ok_or_else(exhausted)?,
                };
                *slot = port;
                taken.insert(port);
            }
            state.claim(*slot, id, &mut claim.ports);
        }
        drop(guard);
        Ok(claim)
    }
}

fn exhausted() -> Refused {
    Refused::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "No free service port is left in the range of --local_port_min and --local_port_max",
    )
}

impl State {
    /// Takes in the apps of the first view: once in the life of a process.
    fn fill(&mut self, view: &View) {
        for (id, app) in view.apps.iter() {
            for port in app.definition.service_ports() {
                self.holders.entry(port).or_insert_with(|| Holder {
                    app: id.clone(),
                    claims: 0,
                });
            }
        }
        self.is_filled = true;
    }

    fn claim(&mut self, port: u16, id: &AppId, claimed: &mut Vec<u16>) {
        let holder = self.holders.entry(port).or_insert_with(|| Holder {
            app: id.clone(),
            claims: 0,
        });
        // A number that a user wrote may be another app's; then that one keeps it.
        if holder.app != *id && holder.claims == 0 {
            holder.app = id.clone();
        }
        if holder.app == *id {
            holder.claims += 1;
            claimed.push(port);
        }
    }

    fn free(
        &mut self,
        range: &RangeInclusive<u16>,
        taken: &BTreeSet<u16>,
        id: &AppId,
        view: &View,
    ) -> Option<u16> {
        let (first, last) = (*range.start(), *range.end());
        let start = if range.contains(&self.next) {
            self.next
        } else {
            first
        };
        let port = (start..=last)
            .chain(first..start)
            .find(|port| !taken.contains(port) && self.is_free(*port, id, view))?;
        self.next = port.checked_add(1).unwrap_or(first);
        Some(port)
    }

    fn is_free(&self, port: u16, id: &AppId, view: &View) -> bool {
        let Some(holder) = self.holders.get(&port) else {
            return true;
        };
        let holds = |app: &AppId| {
            view.apps
                .get(app)
                .is_some_and(|app| app.definition.service_ports().contains(&port))
        };
        holder.claims == 0 && (holder.app == *id || !holds(&holder.app))
    }
}
