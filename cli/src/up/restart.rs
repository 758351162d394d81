//! Whether and when a role that died is started again. Pure.

use super::child::Ended;
use std::time::Duration;

/// The wait before the first restart; it doubles up to [`MOST`]: somebody who kills a role sees it back at once.
const FIRST: Duration = Duration::from_millis(50);
/// The longest wait.
pub(super) const MOST: Duration = Duration::from_millis(800);
/// A role that lived this long starts with a short wait again.
const STABLE: Duration = Duration::from_secs(10);
/// So many deaths in a row, none of them after [`STABLE`], and its log is shown.
const TELL_AFTER: u32 = 3;

/// What happens next to a role that died.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// It is started again.
    Again {
        after: Duration,
        /// Whether its last log lines are shown, once per series of deaths.
        tell_log: bool,
    },
    /// It would end the same way again: what to do.
    GiveUp(&'static str),
}

/// One role's history.
#[derive(Debug, Default)]
pub(super) struct Restarts {
    quick_deaths: u32,
}

impl Restarts {
    /// It died after having lived for `lived`.
    pub(super) fn died(&mut self, lived: Duration, ended: &Ended) -> Next {
        match ended {
            Ended::Code(2) => {
                return Next::GiveUp("it does not understand its flags or state; see its log below");
            }
            Ended::Code(103) => {
                return Next::GiveUp(
                    "another process took its place; stop that one, then start `meseta up` again",
                );
            }
            Ended::Code(110) => {
                return Next::GiveUp(
                    "its framework was removed and its id cannot be used again; to begin anew, stop `meseta up`, move \
                     its folder away and start again",
                );
            }
            Ended::Code(_) | Ended::Signal(_) | Ended::Unseen => {}
        }
        if lived >= STABLE {
            self.quick_deaths = 0;
        }
        let after = FIRST.saturating_mul(1 << self.quick_deaths.min(10)).min(MOST);
        self.quick_deaths = self.quick_deaths.saturating_add(1);
        Next::Again {
            after,
            tell_log: self.quick_deaths == TELL_AFTER,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUICK: Duration = Duration::from_millis(10);

    #[test]
    fn a_restart_comes_within_a_second_however_often_it_dies() {
        let mut restarts = Restarts::default();
        let waits: Vec<u128> = (0..40)
            .map(|_| match restarts.died(QUICK, &Ended::Signal(9)) {
                Next::Again { after, .. } => after.as_millis(),
                Next::GiveUp(why) => panic!("{why}"),
            })
            .collect();
        assert_eq!(waits[..6], [50, 100, 200, 400, 800, 800]);
        assert_eq!(waits[39], 800);
    }

    #[test]
    fn the_log_is_shown_once_per_series_of_quick_deaths() {
        let mut restarts = Restarts::default();
        let mut told = |lived| match restarts.died(lived, &Ended::Code(1)) {
            Next::Again { tell_log, .. } => tell_log,
            Next::GiveUp(_) => false,
        };
        assert_eq!(
            [told(QUICK), told(QUICK), told(QUICK), told(QUICK)],
            [false, false, true, false]
        );
        assert_eq!([told(STABLE), told(QUICK), told(QUICK)], [false, false, true]);
    }

    #[test]
    fn ends_that_would_repeat_themselves_are_given_up() {
        for code in [2, 103, 110] {
            assert!(matches!(
                Restarts::default().died(STABLE, &Ended::Code(code)),
                Next::GiveUp(_)
            ));
        }
        assert!(matches!(
            Restarts::default().died(STABLE, &Ended::Code(75)),
            Next::Again { .. }
        ));
    }
}
