//! Who asks, and whether they may: one identity per request, one point of decision per action.
//!
//! There are no credentials and no rules in this release, so every identity is anonymous and every action is allowed.
//! What matters is that nothing is done around this: handlers ask here before they act, and rules come in here only.

use meseta_types::FrameworkId;
use std::sync::Arc;

/// Who makes a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The authenticated name; `None` for anybody.
    pub(crate) principal: Option<Arc<str>>,
}

/// What is about to be done. One per action of Mesos's authoriser (`authorizer.proto`) that exists here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action<'a> {
    ViewFlags,
    ViewCluster,
    AccessMasterLog,
    SetLogLevel,
    RegisterFramework,
    RegisterAgent,
    TeardownFramework(&'a FrameworkId),
    KillTask(&'a FrameworkId),
}

/// Decides.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gate;

impl Gate {
    /// Who makes a request with these headers.
    pub(crate) fn identify(&self, _headers: &http::HeaderMap) -> Identity {
        Identity::default()
    }

    /// Whether they may do it.
    pub(crate) fn allows(&self, who: &Identity, action: Action<'_>) -> bool {
        tracing::trace!(principal = ?who.principal, ?action, "allowed");
        true
    }
}
