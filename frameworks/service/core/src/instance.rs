//! One instance of an app, over all its tasks.
//!
//! | state | what ends it |
//! |---|---|
//! | scheduled | an offer that fits, once its app's delay is over |
//! | provisioned (recorded, launch under way) | the first word about the task |
//! | staging, starting, running | the task's next state |
//! | unreachable | its agent's return, or the end of patience |
//! | killing | the task's end; the kill is told again until then |
//!
//! What is wanted of it is its [`Goal`]; what is seen is its [`Condition`].

use crate::app::{AppId, Version};
use meseta_types::Wall;
use std::fmt;
use std::sync::Arc;

/// `<app>.instance-<uuid>`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceId(Arc<str>);

impl InstanceId {
    /// The id of an app's instance with this uuid.
    pub fn new(app: &AppId, uuid: [u8; 16]) -> InstanceId {
        let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
        let parts = [&uuid[..4], &uuid[4..6], &uuid[6..8], &uuid[8..10], &uuid[10..]].map(hex);
        InstanceId(format!("{}.instance-{}", app.safe(), parts.join("-")).into())
    }

    /// An id as it stands in a record of ours.
    pub fn recorded(text: &str) -> InstanceId {
        InstanceId(Arc::from(text))
    }

    /// The instance a task belongs to: what stands before `._app.`.
    pub fn of_task(task: &str) -> Option<(InstanceId, u32)> {
        let (instance, incarnation) = task.rsplit_once("._app.")?;
        instance.contains(".instance-").then_some(())?;
        Some((InstanceId(Arc::from(instance)), incarnation.parse().ok()?))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The app it belongs to. An underscore can only stand for a slash.
    pub fn app_id(&self) -> AppId {
        let safe = self
            .0
            .rsplit_once(".instance-")
            .map_or(&*self.0, |(safe, _)| safe);
        AppId::recorded(&format!("/{}", safe.replace('_', "/")))
    }

    /// The task of its n-th launch.
    pub fn task(&self, incarnation: u32) -> String {
        format!("{}._app.{incarnation}", self.0)
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

/// What is wanted of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// That it runs, and is started again when it ends.
    Running,
    /// That it goes away.
    Decommissioned,
}

/// What is seen of an instance's task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// There is none.
    Scheduled,
    /// The launch is recorded.
    Provisioned,
    /// The master has it.
    Staging,
    /// The executor starts it.
    Starting,
    /// It runs.
    Running,
    /// It is being killed.
    Killing,
    /// Its agent cannot be reached.
    Unreachable,
}

impl Condition {
    /// Whether a task may exist.
    pub fn has_task(self) -> bool {
        self != Condition::Scheduled
    }
}

/// The machine an instance is on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its agent.
    pub agent: Arc<str>,
    /// Its name.
    pub host: Arc<str>,
    /// Host ports, in the order of their definition.
    pub ports: Vec<u16>,
}

/// An instance.
#[derive(Clone, Debug, PartialEq)]
pub struct Instance {
    /// Identity.
    pub id: InstanceId,
    /// Of which app.
    pub app: AppId,
    /// Of which definition.
    pub version: Version,
    /// Of which configuration.
    pub config_version: Version,
    /// Which launch of it this is, from 1; 0: none yet.
    pub incarnation: u32,
    /// Wanted.
    pub goal: Goal,
    /// Seen.
    pub condition: Condition,
    /// Where; only with a task.
    pub place: Option<Place>,
    /// When it was created, launched first, seen running.
    pub since: Since,
    /// The last word of its health checks.
    pub healthy: Option<bool>,
    /// Whether its readiness check has passed, or need not: it is asked only of what a deployment starts.
    pub ready: bool,
    /// When it was last told to end.
    pub kill_sent: Option<Wall>,
}

/// Moments of an instance's present task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Since {
    /// It was scheduled.
    pub scheduled: Wall,
    /// Its launch was recorded.
    pub staged: Option<Wall>,
    /// It was seen running.
    pub running: Option<Wall>,
    /// Its agent was lost from sight.
    pub unreachable: Option<Wall>,
}

impl Instance {
    /// The id of its present task.
    pub fn task_id(&self) -> String {
        self.id.task(self.incarnation)
    }

    /// Whether it runs and was not told to end, is healthy if that is known at all, and ready if that is asked for.
    pub fn is_serving(&self, has_health: bool, has_readiness: bool) -> bool {
        self.condition == Condition::Running
            && self.goal == Goal::Running
            && self.kill_sent.is_none()
            && (!has_health || self.healthy == Some(true))
            && (!has_readiness || self.ready)
    }

    /// Whether it counts for its app: wanted, and not given up as unreachable.
    pub fn counts(&self, inactive: bool) -> bool {
        self.goal == Goal::Running && !inactive
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_tasks_lead_back_to_their_instance() {
        let id = InstanceId::new(&AppId::recorded("/prod/web"), [0xab; 16]);
        assert_eq!(
            id.as_str(),
            "prod_web.instance-abababab-abab-abab-abab-abababababab"
        );
        assert_eq!(InstanceId::of_task(&id.task(3)), Some((id, 3)));
        for text in ["", "x", "a._app.1", "a.instance-b", "a.instance-b._app.x"] {
            assert_eq!(InstanceId::of_task(text), None, "{text}");
        }
    }
}
