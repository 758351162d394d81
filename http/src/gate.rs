//! Who asks, and whether they may: one identity per request, one point of decision per action.
//!
//! There are no credentials and no rules in this release, so every identity is anonymous and every action is allowed.
//! What matters is that nothing is done around this: the handlers of master and agent ask here before they act, and
//! rules come in here only.

use crate::Refusal;
use http::StatusCode;
use meseta_types::{ExecutorId, FrameworkId};
use std::fmt;
use std::sync::Arc;

/// Who makes a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The authenticated name; `None` for anybody.
    pub principal: Option<Arc<str>>,
}

/// What is about to be done. One per action of Mesos's authoriser (`authorizer.proto`) that exists here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action<'a> {
    /// Read the flags of master or agent.
    ViewFlags,
    /// Read the master's state.
    ViewCluster,
    /// Read the master's log.
    AccessMasterLog,
    /// Change what master or agent log.
    SetLogLevel,
    /// Subscribe as a scheduler.
    RegisterFramework,
    /// Open an agent's link.
    RegisterAgent,
    /// Remove a framework with its tasks.
    TeardownFramework(&'a FrameworkId),
    /// Kill a task of this framework.
    KillTask(&'a FrameworkId),
    /// Read the last inputs of the core of master or agent.
    ViewInputs,
    /// Read an agent's state: its frameworks, executors and tasks.
    ViewAgent,
    /// Read an agent's containers and what they use.
    ViewContainers,
    /// Launch, end or attach to containers on an agent, or prune what they were made of.
    ManageContainers,
    /// Read what lies under this path of an agent's virtual file tree.
    AccessSandbox(&'a str),
    /// Read an agent's log.
    AccessAgentLog,
    /// Speak for an executor.
    ActAsExecutor(&'a FrameworkId, &'a ExecutorId),
}

type Rule = dyn Fn(&Identity, Action<'_>) -> bool + Send + Sync;

/// Decides.
#[derive(Clone)]
pub struct Gate(Arc<Rule>);

impl Default for Gate {
    /// Everybody may do everything.
    fn default() -> Gate {
        Gate::new(|_, _| true)
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gate")
    }
}

impl Gate {
    /// A gate with this rule.
    pub fn new(rule: impl Fn(&Identity, Action<'_>) -> bool + Send + Sync + 'static) -> Gate {
        Gate(Arc::new(rule))
    }

    /// Who makes a request with these headers.
    pub fn identify(&self, _headers: &http::HeaderMap) -> Identity {
        Identity::default()
    }

    /// Whether they may do it.
    pub fn allows(&self, who: &Identity, action: Action<'_>) -> bool {
        let allowed = (self.0)(who, action);
        tracing::trace!(principal = ?who.principal, ?action, allowed, "asked at the gate");
        allowed
    }

    /// Goes on if they may do it.
    ///
    /// # Errors
    /// 403.
    pub fn check(&self, who: &Identity, action: Action<'_>) -> Result<(), Refusal> {
        match self.allows(who, action) {
            true => Ok(()),
            false => Err(Refusal::standard(StatusCode::FORBIDDEN)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_decides_for_each_action() {
        let gate = Gate::new(|_, action| action == Action::ViewFlags);
        let who = gate.identify(&http::HeaderMap::new());
        assert_eq!(gate.check(&who, Action::ViewFlags), Ok(()));
        let refused = gate.check(&who, Action::SetLogLevel).err();
        assert_eq!(refused.map(|refusal| refusal.status), Some(StatusCode::FORBIDDEN));
        assert!(Gate::default().allows(&who, Action::SetLogLevel));
    }
}
