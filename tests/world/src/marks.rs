//! Rare paths that a whole run must have seen: a world in which they never happen proves nothing about them.

use std::collections::BTreeMap;

macro_rules! marks {
    (cluster { $($name:ident => $text:literal,)* } frameworks { $($more:ident => $told:literal,)* }) => {
        /// Something that must happen somewhere in a full run.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[allow(missing_docs)] // their texts say it
        pub enum Mark {
            $($name,)*
            $($more,)*
        }

        impl Mark {
            /// Those of a world with scripted frameworks only.
            pub const CLUSTER: &'static [Mark] = &[$(Mark::$name,)*];
            /// Those that the service and the cron framework add.
            pub const FRAMEWORKS: &'static [Mark] = &[$(Mark::$more,)*];

            /// For people.
            pub fn text(self) -> &'static str {
                match self {
                    $(Mark::$name => $text,)*
                    $(Mark::$more => $told,)*
                }
            }
        }
    };
}

marks! {
    cluster {
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
        SupervisorDeathWhileLaunching => "a supervisor died while it launched",
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
    frameworks {
        ClientCrash => "a framework's process crashed",
        WriteLost => "a framework crashed and its write did not reach the disk",
        WriteReached => "a framework crashed and its write reached the disk though nobody heard so",
        WriteRefused => "a framework's store refused a write",
        WriteUnknown => "the outcome of a framework's write was unknown and it ended itself",
        AnsweredNotStored => "a user was told that nothing was changed because the store refused it",
        StreamSilent => "a framework gave up a stream for its silence",
        AcceptUnknown => "the outcome of an ACCEPT stayed unknown",
        AcceptRefused => "an ACCEPT was certainly not applied",
        NotLaunched => "a task was not launched for its offer was gone",
        StrayKilled => "a task that nobody wants any more was found and killed",
        Locked => "an update was refused for another deployment in its way",
        DeploymentDone => "a deployment came to its end",
        DeploymentDropped => "a deployment was cancelled",
        ServingReplaced => "a deployment ended an instance that served",
        AppRelaunched => "an instance was scheduled again after its task had ended",
        AppUnreachable => "an instance was out of reach",
        AppUnhealthy => "an instance was killed for its failed health checks",
        RunUnreachable => "a run was out of reach",
        SlotStarted => "a slot was started",
        GivenBack => "the launch of a slot's run came to nothing",
        SlotMissed => "a slot was missed",
        SlotSuperseded => "a slot was superseded by a later one",
        SlotCancelled => "a slot was cancelled",
        Retrying => "a run waited for its next attempt",
        RetryStarted => "another attempt was started",
        ChildFired => "a dependent job was started for its parents' success",
        ByHand => "a run was started by hand",
    }
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

    /// Those of a list that were never seen.
    pub fn missing(&self, of: &[Mark]) -> Vec<Mark> {
        let all = of.iter().copied();
        all.filter(|m| self.count(*m) == 0).collect()
    }
}
