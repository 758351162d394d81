//! What a framework does not want to see again for a while, per agent and client.

use crate::config::BACK_OFF_START;
use meseta_types::{Mono, Resources};
use std::time::Duration;

/// Refusals kept per client and agent; with more the one that ends first goes. Each new one needs an offer that the
/// others let through, so real ones stay at one or two.
const FILTERS_MAX: usize = 8;

#[derive(Clone, Debug)]
struct Filter {
    refused: Resources,
    until: Mono,
}

/// The refusals of one client on one agent, and how often it gave the same resources back.
#[derive(Clone, Debug, Default)]
pub(crate) struct Refusals {
    filters: Vec<Filter>,
    /// How often in a row `returned` (or less) came back unused.
    returns: u32,
    returned: Resources,
    /// The framework's count of launches and revivals when that began.
    epoch: u64,
    /// When nobody needs this any more.
    forget: Mono,
    /// When the allocator looks at this again: at [`Refusals::due`] or before, so that a refusal that only prolongs
    /// things moves no timer.
    timer: Option<Mono>,
}

impl Refusals {
    /// The client gave `resources` back unused and wants to be spared for `refuse`.
    pub(crate) fn refuse(
        &mut self,
        resources: &Resources,
        refuse: Duration,
        epoch: u64,
        interval: Duration,
        now: Mono,
    ) {
        if self.epoch != epoch || !self.returned.contains(resources) {
            self.returns = 0;
            self.returned = resources.clone();
            self.epoch = epoch;
        }
        self.returns = self.returns.saturating_add(1);
        let until = now + refuse.max(back_off(self.returns, interval));
        // A refusal shorter than the interval is remembered a little longer than it lasts, for the back-off.
        let memory = if refuse < interval {
            interval * 2
        } else {
            Duration::ZERO
        };
        self.forget = self.forget.max(until + memory);
        if until > now {
            self.filters
                .retain(|f| f.until > until || !resources.contains(&f.refused));
            self.filters.push(Filter {
                refused: resources.clone(),
                until,
            });
            if self.filters.len() > FILTERS_MAX {
                self.filters.sort_by_key(|f| std::cmp::Reverse(f.until));
                self.filters.truncate(FILTERS_MAX);
            }
        }
    }

    /// See [`Resources::touch`].
    pub(crate) fn touch(&self) {
        self.returned.touch();
    }

    /// Whether an offer of these is unwanted.
    pub(crate) fn hide(&self, offered: &Resources) -> bool {
        self.filters.iter().any(|f| f.refused.contains(offered))
    }

    /// Drops what has ended. True if that may let an offer through.
    pub(crate) fn expire(&mut self, now: Mono) -> bool {
        let before = self.filters.len();
        self.filters.retain(|f| f.until > now);
        self.filters.len() < before
    }

    /// Whether a filter is in force.
    pub(crate) fn any_filter(&self) -> bool {
        !self.filters.is_empty()
    }

    /// When the last filter ends.
    pub(crate) fn last_until(&self) -> Option<Mono> {
        self.filters.iter().map(|f| f.until).max()
    }

    /// When this wants to be looked at again.
    pub(crate) fn due(&self) -> Mono {
        self.filters.iter().map(|f| f.until).min().unwrap_or(self.forget)
    }

    /// When it will be.
    pub(crate) fn timer(&self) -> Option<Mono> {
        self.timer
    }

    /// The timer to be set, instead of the earlier one if there is one; `None` if that is early enough.
    pub(crate) fn set_timer(&mut self) -> Option<(Mono, Option<Mono>)> {
        let due = self.due();
        match self.timer {
            Some(timer) if timer <= due => None,
            other => {
                self.timer = Some(due);
                Some((due, other))
            }
        }
    }

    /// The timer has gone off.
    pub(crate) fn timer_gone(&mut self) {
        self.timer = None;
    }

    /// Whether nothing of it is needed any more.
    pub(crate) fn is_over(&self, now: Mono) -> bool {
        self.filters.is_empty() && self.forget <= now
    }
}

/// At once the first time, then 2 ms doubling up to the interval.
fn back_off(returns: u32, interval: Duration) -> Duration {
    match returns.checked_sub(2) {
        None => Duration::ZERO,
        Some(n) => BACK_OFF_START
            .saturating_mul(2u32.saturating_pow(n))
            .min(interval),
    }
}
