//! Rare paths that a whole run must have seen: a world in which they never happen proves nothing about them.

use std::collections::BTreeMap;

macro_rules! marks {
    ($($name:ident => $text:literal,)*) => {
        /// Something that must happen somewhere in a full run.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[allow(missing_docs)] // their texts say it
        pub enum Mark {
            $($name,)*
        }

        impl Mark {
            /// All of them.
            pub const ALL: &'static [Mark] = &[$(Mark::$name,)*];

            /// For people.
            pub fn text(self) -> &'static str {
                match self {
                    $(Mark::$name => $text,)*
                }
            }
        }
    };
}

marks! {
    Unreachable => "an agent was marked unreachable and its tasks were told so",
    CameBack => "an unreachable agent came back with a task that had run on",
    Rescind => "an offer was rescinded",
    OfferExpired => "an offer that nobody used expired",
    StaleOffer => "a task on a stale offer was dropped",
    FailoverExpiry => "a framework stayed away too long and was removed",
    UpdateRetry => "an update was told again for want of an acknowledgement",
    MasterCrash => "the master crashed with agents registered",
    AgentCrash => "an agent crashed with tasks running",
    TaskSurvived => "a task ran through the restart of its agent and ended afterwards",
    ExitWhileAway => "a task ended while its agent was down",
    SupervisorDeath => "a supervisor died with tasks running",
    Reboot => "a host was restarted with tasks on it",
    TornLog => "an agent's log was torn in the middle of a batch",
    Compaction => "an agent's log was compacted",
    StoreRefused => "the store refused a write",
    StoreUnknown => "a write's outcome was unknown and the master stepped down",
    Teardown => "an operator or its own scheduler tore a framework down",
    Unregister => "an agent left the cluster with its tasks",
    Drain => "an agent ended its tasks and itself",
    FrameworkCrash => "a framework crashed and came back to its tasks",
    Reconciled => "a task that only the master knew was settled by reconciliation",
    ExecutorLost => "a custom executor came back too late after its agent's restart",
    HealthKill => "a task was killed for its failed health checks",
    KillEscalated => "a task that ignored SIGTERM was killed hard",
}

/// How often each mark was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks(BTreeMap<Mark, u64>);

impl Marks {
    /// Seen once more.
    pub fn see(&mut self, mark: Mark) {
        *self.0.entry(mark).or_default() += 1;
    }

    /// How often.
    pub fn count(&self, mark: Mark) -> u64 {
        self.0.get(&mark).copied().unwrap_or(0)
    }

    /// Adds another run's.
    pub fn merge(&mut self, other: &Marks) {
        for (mark, n) in &other.0 {
            *self.0.entry(*mark).or_default() += n;
        }
    }

    /// Those never seen.
    pub fn missing(&self) -> Vec<Mark> {
        let all = Mark::ALL.iter().copied();
        all.filter(|m| self.count(*m) == 0).collect()
    }
}
