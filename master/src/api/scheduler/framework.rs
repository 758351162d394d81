//! A framework that wants to subscribe, in the core's vocabulary, or why it cannot: as far as its own message shows.

use meseta_master_core::io::Subscribe;
use meseta_proto::convert;
use meseta_proto::mesos::v1::scheduler::call;

/// Checks a SUBSCRIBE (or what UPDATE_FRAMEWORK changes); the error is the text of the ERROR event. What needs the
/// cluster's state (roles of `--roles`, removed ids) is checked by the core.
pub(in crate::api) fn subscribe(request: &call::Subscribe) -> Result<Subscribe, String> {
    let framework = convert::framework::from_info(&request.framework_info).map_err(|why| why.to_string())?;
    let suppressed_roles = convert::framework::suppressed_roles(&request.suppressed_roles, &framework)
        .map_err(|why| why.to_string())?;
    let constraints = request.offer_constraints.as_ref();
    if constraints.is_some_and(|constraints| !constraints.role_constraints.is_empty()) {
        // Offers that break them would be worse than none.
        return Err("Offer constraints are not valid: they are not available in this release".to_owned());
    }
    Ok(Subscribe {
        framework,
        suppressed_roles,
    })
}
