//! Frameworks. The checks are those Mesos makes of a `FrameworkInfo` before it looks at any state.

use super::{Invalid, seconds};
use crate::mesos::v1::{self, framework_info::capability::Type};
use bytes::Bytes;
use meseta_types::task::{Capabilities, FrameworkSpec};
use meseta_types::{FrameworkId, Role};
use prost::Message as _;
use std::collections::BTreeSet;
use std::sync::Arc;

/// A framework from its `FrameworkInfo`: roles, id, offer filters and failover timeout are checked, in that order.
pub fn from_info(info: &v1::FrameworkInfo) -> Result<FrameworkSpec, Invalid> {
    let capabilities = capabilities(info);
    let roles = roles(info, capabilities.multi_role)?;
    let id = info.id.as_ref().filter(|id| !id.value.is_empty());
    let id = id
        .map(|id| FrameworkId::new(&id.value))
        .transpose()
        .map_err(Invalid::new)?;
    info.offer_filters.values().try_for_each(check_offer_filters)?;
    let timeout = info.failover_timeout();
    if !timeout.is_finite() || (timeout * 1e9).abs() > i64::MAX as f64 {
        return Err(Invalid(format!(
            "The framework failover_timeout ({}) is invalid",
            as_cpp(timeout)
        )));
    }
    Ok(FrameworkSpec {
        id,
        name: Arc::from(info.name.as_str()),
        user: Arc::from(info.user.as_str()),
        roles,
        capabilities,
        failover_timeout: seconds(timeout),
        checkpoint: info.checkpoint(),
        principal: info.principal.as_deref().map(Arc::from),
        wire: info.encode_to_vec().into(),
    })
}

/// As [`from_info`], from the encoded message.
pub fn from_encoded(wire: &[u8]) -> Result<FrameworkSpec, Invalid> {
    from_info(&crate::binary::decode(wire).map_err(Invalid::new)?)
}

/// The capabilities which the cores know; unknown ones are ignored.
pub fn capabilities(info: &v1::FrameworkInfo) -> Capabilities {
    let mut found = Capabilities::default();
    for capability in &info.capabilities {
        match capability.r#type() {
            Type::RevocableResources => found.revocable_resources = true,
            Type::TaskKillingState => found.task_killing_state = true,
            Type::GpuResources => found.gpu_resources = true,
            Type::SharedResources => found.shared_resources = true,
            Type::PartitionAware => found.partition_aware = true,
            Type::MultiRole => found.multi_role = true,
            Type::ReservationRefinement => found.reservation_refinement = true,
            Type::RegionAware => found.region_aware = true,
            Type::Unknown => {}
        }
    }
    found
}

fn roles(info: &v1::FrameworkInfo, multi_role: bool) -> Result<Vec<Role>, Invalid> {
    if !multi_role {
        if !info.roles.is_empty() {
            let text = "'FrameworkInfo.roles' must not be set when the framework is not MULTI_ROLE capable";
            return Err(Invalid::new(text));
        }
        let role = Role::new(info.role.as_deref().unwrap_or("*"));
        return role
            .map(|role| vec![role])
            .map_err(|e| Invalid(format!("'FrameworkInfo.role' is not a valid role: {e}")));
    }
    if info.role.is_some() {
        let text = "'FrameworkInfo.role' must not be set when the framework is MULTI_ROLE capable";
        return Err(Invalid::new(text));
    }
    let mut seen = BTreeSet::new();
    let twice: BTreeSet<&str> = info
        .roles
        .iter()
        .map(String::as_str)
        .filter(|r| !seen.insert(*r))
        .collect();
    if !twice.is_empty() {
        return Err(Invalid(format!(
            "'FrameworkInfo.roles' contains duplicate items: {}",
            set(twice)
        )));
    }
    let roles: Result<BTreeSet<Role>, _> = info.roles.iter().map(Role::new).collect();
    roles
        .map(|roles| roles.into_iter().collect())
        .map_err(|e| Invalid(format!("'FrameworkInfo.roles' contains invalid role: {e}")))
}

/// The roles for which offers are suppressed: valid and among the framework's.
pub fn suppressed_roles(names: &[String], framework: &FrameworkSpec) -> Result<Vec<Role>, Invalid> {
    let foreign = |name: &&str| !framework.roles.iter().any(|r| r.as_str() == *name);
    let unknown: BTreeSet<&str> = names.iter().map(String::as_str).filter(foreign).collect();
    if !unknown.is_empty() {
        let text = format!(
            "Suppressed roles {} are not contained in the set of roles",
            set(unknown)
        );
        return Err(Invalid(text));
    }
    let wanted: BTreeSet<Role> = names.iter().filter_map(|name| Role::new(name).ok()).collect();
    Ok(wanted.into_iter().collect())
}

/// A set as Mesos shows it: `{ a, b }`.
fn set(items: BTreeSet<&str>) -> String {
    if items.is_empty() {
        return "{}".to_owned();
    }
    format!("{{ {} }}", items.into_iter().collect::<Vec<_>>().join(", "))
}

fn check_offer_filters(filters: &v1::OfferFilters) -> Result<(), Invalid> {
    let Some(minimum) = &filters.min_allocatable_resources else {
        return Ok(());
    };
    for quantities in &minimum.quantities {
        if quantities.quantities.is_empty() {
            return Err(Invalid::new(
                "'FrameworkInfo.offer_filters' contains empty resource quantities",
            ));
        }
        for (name, quantity) in &quantities.quantities {
            let value = quantity.value;
            if !(value == 0.0 || value.is_normal() && value > 0.0) {
                return Err(Invalid(format!(
                    "'FrameworkInfo.offer_filters' contains the invalid quantity {value} of '{name}': it must be \
                     finite and not negative"
                )));
            }
        }
    }
    Ok(())
}

/// A double as C++ streams print it: six significant digits.
fn as_cpp(value: f64) -> String {
    if !value.is_finite() {
        return if value.is_nan() {
            "nan".to_owned()
        } else {
            format!("{value}")
        };
    }
    let scientific = format!("{value:.5e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trim = |digits: &str| match digits.contains('.') {
        true => digits.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => digits.to_owned(),
    };
    if (-4..6).contains(&exponent) {
        let decimals = usize::try_from(5 - exponent).unwrap_or(0);
        return trim(&format!("{value:.decimals$}"));
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", trim(mantissa), exponent.abs())
}

/// The `FrameworkInfo` of a framework, with its id.
pub fn to_info(framework: &FrameworkSpec) -> v1::FrameworkInfo {
    let mut info = v1::FrameworkInfo::decode(framework.wire.clone()).unwrap_or_default();
    info.user = framework.user.to_string();
    info.name = framework.name.to_string();
    info.id = framework.id.as_ref().map(|id| v1::FrameworkId {
        value: id.to_string(),
    });
    info.principal = framework.principal.as_deref().map(str::to_owned);
    info
}

/// [`to_info`], encoded, without decoding the wire.
pub fn encode(framework: &FrameworkSpec) -> Bytes {
    let mut out = super::without(&framework.wire, &[3]);
    if let Some(id) = &framework.id {
        super::put_id(&mut out, 3, id.as_str());
    }
    out.into()
}

#[cfg(test)]
mod tests {
    use super::as_cpp;

    #[test]
    fn doubles_look_as_in_mesos_errors() {
        for (value, text) in [
            (1e20, "1e+20"),
            (-1.0, "-1"),
            (0.5, "0.5"),
            (123456.0, "123456"),
            (1234567.0, "1.23457e+06"),
            (0.00001, "1e-05"),
            (100.0, "100"),
        ] {
            assert_eq!(as_cpp(value), text);
        }
    }
}
