//! Roles in the v0 form.

use super::json::Object;
use crate::show::Role;
use meseta_types::Resources;
use std::io::{self, Write};

pub(super) fn role(role: &Role, out: &mut dyn Write) -> io::Result<()> {
    let mut both = role.allocated.clone();
    both += &role.offered;
    Object::whole(out, |shown| {
        shown.text("name", &role.name)?;
        shown.number("weight", 1.0)?;
        shown.object("quota", |quota| {
            quota.text("role", &role.name)?;
            quota.object("guarantee", |_| Ok(()))?;
            quota.object("limit", |_| Ok(()))?;
            // What is used, and what is reserved and not used.
            let mut consumed = role.allocated.clone();
            consumed -= &role.allocated.reserved();
            consumed += &role.reserved;
            quota.object("consumed", |object| amounts(&consumed, object))
        })?;
        shown.object("resources", |object| amounts(&both, object))?;
        shown.object("allocated", |object| amounts(&role.allocated, object))?;
        shown.object("offered", |object| amounts(&role.offered, object))?;
        shown.object("reserved", |object| amounts(&role.reserved, object))?;
        shown.texts("frameworks", role.frameworks.iter().map(|id| id.as_str()))
    })
}

/// Amounts by name, only those that exist.
fn amounts(bag: &Resources, object: &mut Object<'_>) -> io::Result<()> {
    let quantities = bag.quantities();
    quantities
        .iter()
        .try_for_each(|(name, amount)| object.number(name, amount.to_f64()))
}
