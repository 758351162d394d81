//! A framework that wants to subscribe, in the core's vocabulary, or why it cannot: as far as its own message shows.

use meseta_master_core::io::Subscribe;
use meseta_proto::convert;
use meseta_proto::mesos::v1::scheduler::call;

/// What is wrong with a framework; SUBSCRIBE says the bare text, UPDATE_FRAMEWORK says where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::api) enum Fault {
    /// In its `FrameworkInfo`.
    Info(String),
    /// Beside it: suppressed roles, offer constraints.
    Call(String),
}

impl Fault {
    /// The text of the ERROR event.
    pub(in crate::api) fn text(self) -> String {
        match self {
            Fault::Info(text) | Fault::Call(text) => text,
        }
    }

    /// The text of the answer to UPDATE_FRAMEWORK.
    pub(in crate::api) fn update_text(self) -> String {
        match self {
            Fault::Info(text) => format!("Supplied FrameworkInfo is not valid: {text}"),
            Fault::Call(text) => format!("'UpdateFramework' call is not valid: {text}"),
        }
    }
}

/// Checks a SUBSCRIBE (or what UPDATE_FRAMEWORK changes). What needs the cluster's state (roles of `--roles`, removed
/// ids) is checked by the core.
pub(in crate::api) fn subscribe(request: &call::Subscribe) -> Result<Subscribe, Fault> {
    let framework =
        convert::framework::from_info(&request.framework_info).map_err(|why| Fault::Info(why.to_string()))?;
    let suppressed_roles = convert::framework::suppressed_roles(&request.suppressed_roles, &framework)
        .map_err(|why| Fault::Call(why.to_string()))?;
    let constraints = request.offer_constraints.as_ref();
    if constraints.is_some_and(|constraints| !constraints.role_constraints.is_empty()) {
        // Offers that break them would be worse than none.
        let text = "Offer constraints are not valid: they are not available in this release";
        return Err(Fault::Call(text.to_owned()));
    }
    Ok(Subscribe {
        framework,
        suppressed_roles,
    })
}
