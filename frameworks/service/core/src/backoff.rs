//! Delays of launches after failures, per app and configuration.

use crate::app::{AppId, Backoff, Version};
use meseta_types::Wall;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The delays in force.
#[derive(Clone, Debug, Default)]
pub struct Delays {
    of: BTreeMap<AppId, Delay>,
    /// Waits that are not over, by their end.
    ends: BTreeSet<(Wall, AppId)>,
}

#[derive(Clone, Copy, Debug)]
struct Delay {
    config: Version,
    current: Duration,
    until: Wall,
    /// Forgotten then, unless something fails before.
    expires: Wall,
}

impl Delays {
    /// Until when launches of this configuration wait; `None`: not at all.
    pub fn until(&self, app: &AppId, config: Version, now: Wall) -> Option<Wall> {
        let delay = self.of.get(app)?;
        (delay.config == config && delay.until > now).then_some(delay.until)
    }

    /// An instance failed: the next launch waits, longer each time.
    pub fn failed(&mut self, app: &AppId, config: Version, backoff: &Backoff, now: Wall) {
        let before = self
            .of
            .get(app)
            .filter(|delay| delay.config == config && delay.expires > now);
        let current = match before {
            None => backoff.first,
            Some(delay) => grown(delay.current, backoff),
        };
        let current = current.min(backoff.max);
        let until = after(now, current);
        let delay = Delay {
            config,
            current,
            until,
            expires: after(until, backoff.max),
        };
        self.ends.insert((until, app.clone()));
        if let Some(before) = self.of.insert(app.clone(), delay) {
            self.unlist(app, before.until, until);
        }
    }

    /// The next launch does not wait. Returns whether it would have.
    pub fn reset(&mut self, app: &AppId) -> bool {
        let Some(before) = self.of.remove(app) else {
            return false;
        };
        self.ends.remove(&(before.until, app.clone()));
        true
    }

    /// The next moment at which a wait of an app is over.
    pub fn next_end(&self) -> Option<Wall> {
        self.ends.first().map(|(until, _)| *until)
    }

    /// Apps whose wait is over since this was last asked.
    pub fn ended(&mut self, now: Wall) -> Vec<AppId> {
        let mut ended = Vec::new();
        while let Some((until, app)) = self.ends.first().cloned()
            && until <= now
        {
            self.ends.pop_first();
            ended.push(app);
        }
        ended
    }

    fn unlist(&mut self, app: &AppId, until: Wall, unless: Wall) {
        if until != unless {
            self.ends.remove(&(until, app.clone()));
        }
    }
}

fn grown(current: Duration, backoff: &Backoff) -> Duration {
    let seconds = current.as_secs_f64() * backoff.factor.max(1.0);
    Duration::try_from_secs_f64(seconds).unwrap_or(backoff.max)
}

/// A moment so much later.
pub(crate) fn after(at: Wall, by: Duration) -> Wall {
    Wall(at.0.saturating_add(i64::try_from(by.as_nanos()).unwrap_or(i64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;
    const BACKOFF: Backoff = Backoff {
        first: Duration::from_secs(1),
        factor: 2.0,
        max: Duration::from_secs(5),
    };

    #[test]
    fn each_failure_waits_longer_up_to_the_maximum() {
        let (app, config) = (AppId::recorded("/a"), Version(1));
        let mut delays = Delays::default();
        let mut now = Wall(0);
        let mut waits = Vec::new();
        for _ in 0..4 {
            delays.failed(&app, config, &BACKOFF, now);
            let until = delays.until(&app, config, now).unwrap_or(now);
            assert_eq!(delays.next_end(), Some(until));
            assert_eq!(
                (delays.ended(now), delays.ended(until)),
                (vec![], vec![app.clone()])
            );
            waits.push((until.0 - now.0) / SECOND);
            now = until;
        }
        assert_eq!(waits, [1, 2, 4, 5]);
    }

    #[test]
    fn a_new_configuration_a_reset_and_a_long_good_time_start_over() {
        let app = AppId::recorded("/a");
        let mut delays = Delays::default();
        delays.failed(&app, Version(1), &BACKOFF, Wall(0));
        delays.failed(&app, Version(1), &BACKOFF, Wall(0));
        assert_eq!(delays.until(&app, Version(2), Wall(0)), None);
        delays.failed(&app, Version(1), &BACKOFF, Wall(100 * SECOND));
        assert_eq!(
            delays.until(&app, Version(1), Wall(100 * SECOND)),
            Some(Wall(101 * SECOND))
        );
        assert_eq!(delays.next_end(), Some(Wall(101 * SECOND)));
        assert!(delays.reset(&app));
        assert_eq!((delays.next_end(), delays.reset(&app)), (None, false));
        assert_eq!(delays.until(&app, Version(1), Wall(100 * SECOND)), None);
    }
}
