//! The things a cluster is made of, as the core keeps them and as readers see them in a [`crate::View`].
//!
//! These are values: who owns what and which sums must hold is the business of the books in [`crate::MasterCore`],
//! and checked by [`crate::MasterCore::check`].

use crate::few::FewBy;
use crate::history::{History, Of};
use crate::pages::{AgentKey, FrameworkKey};
use crate::wire::{self, task_status};
use arcstr::ArcStr;
use bytes::Bytes;
use meseta_types::link::AgentSpec;
use meseta_types::task::{ExecutorSpec, FrameworkSpec, TaskStatus};
use meseta_types::{
    AgentId, ExecutorId, FrameworkId, OfferId, Resources, Role, TaskId, TaskState, UpdateUuid, Wall,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// In which of the API's lists a task stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TaskList {
    /// `tasks`: not terminal, or terminal and not yet acknowledged.
    Active,
    /// `unreachable_tasks`: its agent is marked unreachable.
    Unreachable,
    /// `completed_tasks`.
    Completed,
}

/// Whether the agent's word on a task still holds: the axis beside [`Task::observed`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It holds.
    Held,
    /// The agent is marked unreachable; the task is shown as UNREACHABLE, or as LOST to frameworks that are not
    /// partition aware, until the agent comes back.
    Unreachable {
        /// Since when.
        since: Wall,
        /// As what it is shown.
        shown: TaskState,
    },
    /// The master ended it by its own word (agent removed, framework removed).
    Ended {
        /// As what it is shown.
        shown: TaskState,
    },
}

/// What the framework wants of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Desired {
    /// It shall run.
    Run,
    /// It shall end; told the agent again when that comes back.
    Kill(Box<Kill>),
}

/// How a task shall end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kill {
    /// Encoded `mesos.v1.KillPolicy`; empty for none.
    pub kill_policy: Bytes,
    /// Its grace period, if one is set.
    pub grace: Option<Duration>,
}

/// A task.
#[derive(Clone, Debug, PartialEq)]
pub struct Task {
    /// Chosen by the framework.
    pub task_id: TaskId,
    /// For people.
    pub name: Arc<str>,
    /// Whose.
    pub framework_id: FrameworkId,
    /// Whose, as a handle into the same view.
    pub framework: FrameworkKey,
    /// Where.
    pub agent_id: AgentId,
    /// `None` for a command task.
    pub executor_id: Option<ExecutorId>,
    /// The newest state the agent told (STAGING at launch). Never leaves a terminal state.
    pub observed: TaskState,
    /// Whether that still holds.
    pub standing: Standing,
    /// What the framework wants of it.
    pub desired: Desired,
    /// In which list it stands.
    pub list: TaskList,
    /// Allocated resources.
    pub resources: Resources,
    /// What was said of it; see [`Task::statuses`].
    pub(crate) history: History,
    /// State of the last update passed on to the framework, if there was one.
    pub status_update_state: Option<TaskState>,
    /// Its uuid.
    pub status_update_uuid: Option<UpdateUuid>,
    /// As [`meseta_types::task::TaskSpec::kept`].
    pub kept: Bytes,
}

// A million of these are kept: growing one is a decision.
const _: () = assert!(std::mem::size_of::<Task>() <= 176);

impl Task {
    /// The state the API shows: read off what was observed and whether it holds.
    pub fn state(&self) -> TaskState {
        match self.standing {
            Standing::Held => self.observed,
            Standing::Unreachable { shown, .. } | Standing::Ended { shown } => shown,
        }
    }

    /// What was said of it: one status per run of equal states, oldest first, without `data`; the newest 64.
    pub fn statuses(&self) -> impl Iterator<Item = TaskStatus> {
        self.history.iter(self.of())
    }

    /// The last of them.
    pub fn last_status(&self) -> Option<TaskStatus> {
        self.history.newest(self.of())
    }

    /// Takes in what is said of it, without `data`.
    pub(crate) fn push_status(&mut self, mut status: TaskStatus) {
        status.wire = wire::retain(&status.wire, |field| field != task_status::DATA);
        let mut history = std::mem::take(&mut self.history);
        history.push(self.of(), &status);
        self.history = history;
    }

    /// Has everything of it fetched at once, before it is changed or forgotten. See [`Resources::touch`].
    pub(crate) fn touch(&self) {
        let ids = (self.task_id.as_str().len(), self.agent_id.as_str().len());
        std::hint::black_box((ids, Arc::strong_count(&self.name), self.history.newest_state()));
    }

    fn of(&self) -> Of<'_> {
        Of {
            task_id: &self.task_id,
            agent_id: &self.agent_id,
            executor_id: self.executor_id.as_ref(),
        }
    }
}

/// What a framework has: summed up for readers, see [`crate::View::usage`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Usage {
    /// By its tasks and executors.
    pub used: Resources,
    /// In its outstanding offers.
    pub offered: Resources,
}

/// A registered agent, connected or not.
#[derive(Clone, Debug, PartialEq)]
pub struct Agent {
    /// Its id.
    pub id: AgentId,
    /// As it described itself.
    pub spec: Arc<AgentSpec>,
    /// When it was added (to this master).
    pub registered_time: Wall,
    /// When it last came back.
    pub reregistered_time: Option<Wall>,
    /// Whether its link stands.
    pub connected: bool,
    /// Whether offers of it are made.
    pub active: bool,
    /// Per framework, what its tasks and executors use here. What is offered is the sum of the offers.
    pub used: FewBy<FrameworkKey, Resources>,
    /// Custom and default executors running here.
    pub executors: BTreeMap<(FrameworkKey, ExecutorId), Arc<ExecutorSpec>>,
}

impl Agent {
    /// All of its resources.
    pub fn total(&self) -> &Resources {
        &self.spec.resources
    }
}

/// An agent the registry knows and that did not come back yet after a fail-over.
#[derive(Clone, Debug, PartialEq)]
pub struct RecoveredAgent {
    /// Its id.
    pub id: AgentId,
    /// Its host name.
    pub hostname: Arc<str>,
    /// The address of its HTTP server.
    pub ip: std::net::IpAddr,
    /// The port of its HTTP server.
    pub port: u16,
    /// Encoded `mesos.v1.AgentInfo`.
    pub wire: Bytes,
}

/// A framework.
#[derive(Clone, Debug, PartialEq)]
pub struct Framework {
    /// Its id.
    pub id: FrameworkId,
    /// As it described itself, with its id.
    pub spec: Arc<FrameworkSpec>,
    /// Where it stands.
    pub state: FrameworkState,
    /// When it first subscribed (to this master).
    pub registered_time: Wall,
    /// When it last subscribed; equal to `registered_time` at first.
    pub reregistered_time: Wall,
    /// When it disconnected or was removed.
    pub unregistered_time: Option<Wall>,
    /// Roles it wants no offers for.
    pub suppressed_roles: BTreeSet<Role>,
    /// What it did so far.
    pub counters: crate::counters::FrameworkCounters,
}

/// Where a framework stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameworkState {
    /// Its stream is open.
    Connected,
    /// Its stream is gone; its tasks run on until the failover timeout.
    Disconnected,
    /// Known from agents only, after a fail-over of the master.
    Recovered,
    /// Removed; kept for readers.
    Completed,
}

/// An offer's id, as kept: `<master id>-O<number>`.
///
/// There are more offers than anything else but tasks, and all that is ever said of one is its number.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OfferNumber {
    /// The master that makes it.
    pub master_id: ArcStr,
    /// Counts its offers.
    pub number: u64,
}

impl OfferNumber {
    /// The number in an id this master may have given out; `None` if it has not.
    pub(crate) fn in_id(master_id: &str, id: &OfferId) -> Option<u64> {
        let number = id.as_str().strip_prefix(master_id)?.strip_prefix("-O")?;
        // As it was written, and not otherwise: without a sign or zeros in front.
        let written = number == "0" || matches!(number.as_bytes().first(), Some(b'1'..=b'9'));
        number.parse().ok().filter(|_| written)
    }

    /// As an id.
    pub fn id(&self) -> OfferId {
        OfferId::as_written(self.to_string())
    }
}

impl fmt::Display for OfferNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-O{}", self.master_id, self.number)
    }
}

/// An outstanding offer.
#[derive(Clone, Debug, PartialEq)]
pub struct Offer {
    /// Its id.
    pub id: OfferNumber,
    /// To whom.
    pub framework_id: FrameworkId,
    /// To whom, as a handle.
    pub framework: FrameworkKey,
    /// Of which agent.
    pub agent_id: AgentId,
    /// Of which agent, as a handle.
    pub agent: AgentKey,
    /// The agent as it described itself: host name, address, attributes.
    pub spec: Arc<AgentSpec>,
    /// For which role.
    pub role: Role,
    /// What, allocated to the role.
    pub resources: Resources,
    /// The framework's executors on the agent.
    pub executor_ids: Vec<ExecutorId>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offer_is_found_by_its_id_as_it_was_written_and_not_otherwise() {
        let number = |id: &str| OfferNumber::in_id("m", &OfferId::as_written(id));
        for n in [0, 1, 10, u64::MAX] {
            let offer = OfferNumber {
                master_id: "m".into(),
                number: n,
            };
            assert_eq!(number(offer.id().as_str()), Some(n));
        }
        for wrong in [
            "",
            "m",
            "m-O",
            "m-O01",
            "m-O00",
            "m-O+1",
            "m-O1 ",
            "m-o1",
            "n-O1",
            "m-O18446744073709551616",
        ] {
            assert_eq!(number(wrong), None, "{wrong}");
        }
    }
}
