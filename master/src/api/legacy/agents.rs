//! Agents ("slaves") and resources in the v0 form.

use super::json::Object;
use crate::show;
use meseta_master_core::View;
use meseta_master_core::state::{Agent, RecoveredAgent};
use meseta_proto::convert::resource::{Format, to_proto};
use meseta_proto::json::to_vec;
use meseta_proto::mesos::v1;
use meseta_types::resource::{Scalar, Value};
use meseta_types::{Resources, Role};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::Arc;

/// Always shown, zero when there is none; in Mesos's order.
const ALWAYS: [&str; 4] = ["disk", "mem", "gpus", "cpus"];

/// Amounts by name: scalars as numbers, ranges and sets as texts; revocable ones under a name of their own.
pub(super) fn resources(bag: &Resources, object: &mut Object<'_>) -> io::Result<()> {
    let firm = bag.nonrevocable();
    for name in ALWAYS {
        object.number(name, firm.scalar(name).to_f64())?;
    }
    others(&firm, "", object)?;
    others(&bag.revocable(), "_revocable", object)
}

fn others(bag: &Resources, suffix: &str, object: &mut Object<'_>) -> io::Result<()> {
    let mut names: Vec<&str> = bag.iter().map(|resource| &*resource.name).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let shown = format!("{name}{suffix}");
        match bag
            .iter()
            .find(|resource| &*resource.name == name)
            .map(|r| &r.value)
        {
            Some(Value::Scalar(_)) if suffix.is_empty() && ALWAYS.contains(&name) => {}
            Some(Value::Scalar(_)) => object.number(&shown, bag.scalar(name).to_f64())?,
            Some(Value::Ranges(_)) => object.text(&shown, &bag.ranges(name).to_string())?,
            Some(Value::Set(_)) => {
                let items: Vec<String> = bag.set(name).iter().map(|item| item.to_string()).collect();
                object.text(&shown, &format!("{{{}}}", items.join(", ")))?;
            }
            None => {}
        }
    }
    Ok(())
}

/// What is reserved, by role.
fn reserved(bag: &Resources) -> BTreeMap<Role, Resources> {
    let mut by_role: BTreeMap<Role, Resources> = BTreeMap::new();
    for resource in bag.iter() {
        if let Some(role) = resource.reservation_role() {
            by_role.entry(role.clone()).or_default().push(resource.clone());
        }
    }
    by_role
}

/// An agent, and what of it is offered.
type WithOffered<'a> = (&'a Arc<Agent>, Resources);

/// All agents.
pub(super) fn with_offered(view: &View) -> impl Iterator<Item = WithOffered<'_>> {
    let mut offered = view.offered();
    view.agents
        .iter()
        .map(move |(key, agent)| (agent, offered.remove(&key).unwrap_or_default()))
}

/// An agent, open for further members.
pub(super) fn agent<'a>(
    (agent, offered): &WithOffered<'_>,
    out: &'a mut dyn Write,
) -> io::Result<Object<'a>> {
    let info: v1::AgentInfo = show::carried(&agent.spec.wire);
    let mut shown = Object::begin(out)?;
    shown.text("id", agent.id.as_str())?;
    shown.text("hostname", &agent.spec.hostname)?;
    shown.integer("port", u64::from(agent.spec.port))?;
    shown.object("attributes", |object| attributes(&info.attributes, object))?;
    if let Some(domain) = &info.domain {
        shown.raw("domain", &to_vec(domain))?;
    }
    shown.text("pid", &show::agent_pid(&agent.spec))?;
    shown.number("registered_time", agent.registered_time.as_secs_f64())?;
    if let Some(at) = agent.reregistered_time {
        shown.number("reregistered_time", at.as_secs_f64())?;
    }
    let total = agent.total();
    shown.object("resources", |object| resources(total, object))?;
    shown.object("used_resources", |object| resources(&show::used(agent), object))?;
    shown.object("offered_resources", |object| resources(offered, object))?;
    shown.object("reserved_resources", |object| {
        reserved(total)
            .iter()
            .try_for_each(|(role, bag)| object.object(role.as_str(), |object| resources(bag, object)))
    })?;
    shown.object("unreserved_resources", |object| {
        resources(&total.unreserved(), object)
    })?;
    shown.flag("active", agent.active && agent.connected)?;
    shown.flag("deactivated", false)?;
    shown.text("version", &agent.spec.version)?;
    shown.texts("capabilities", agent.spec.capabilities.iter())?;
    Ok(shown)
}

/// An agent of `/slaves`: with the resources as messages, too.
pub(super) fn full(of: WithOffered<'_>, out: &mut dyn Write) -> io::Result<()> {
    let mut shown = agent(&of, out)?;
    let (of, offered) = of;
    let total = of.total();
    shown.object("reserved_resources_full", |object| {
        reserved(total)
            .iter()
            .try_for_each(|(role, bag)| messages(role.as_str(), bag, object))
    })?;
    messages("unreserved_resources_full", &total.unreserved(), &mut shown)?;
    messages("used_resources_full", &show::used(of), &mut shown)?;
    messages("offered_resources_full", &offered, &mut shown)?;
    shown.end()
}

fn messages(name: &str, bag: &Resources, object: &mut Object<'_>) -> io::Result<()> {
    let list = to_proto(bag, Format::Endpoint);
    object.list(name, list.iter(), |resource, out| {
        out.write_all(&to_vec(resource))
    })
}

/// An agent that did not come back yet.
pub(super) fn recovered(agent: &RecoveredAgent, out: &mut dyn Write) -> io::Result<()> {
    let info: v1::AgentInfo = show::carried(&agent.wire);
    Object::whole(out, |shown| {
        shown.text("id", agent.id.as_str())?;
        shown.text("hostname", &agent.hostname)?;
        shown.integer("port", u64::from(agent.port))?;
        shown.object("attributes", |object| attributes(&info.attributes, object))?;
        match &info.domain {
            Some(domain) => shown.raw("domain", &to_vec(domain)),
            None => Ok(()),
        }
    })
}

fn attributes(list: &[v1::Attribute], object: &mut Object<'_>) -> io::Result<()> {
    for attribute in list {
        match attribute.r#type() {
            v1::value::Type::Scalar => {
                let value = attribute.scalar.as_ref().map_or(0.0, |scalar| scalar.value);
                object.number(&attribute.name, Scalar::from_f64(value).to_f64())?;
            }
            v1::value::Type::Text => {
                let value = attribute.text.as_ref().map_or("", |text| text.value.as_str());
                object.text(&attribute.name, value)?;
            }
            v1::value::Type::Ranges => {
                let ranges = attribute.ranges.iter().flat_map(|ranges| &ranges.range);
                let ranges: Vec<String> = ranges.map(|r| format!("{}-{}", r.begin, r.end)).collect();
                object.text(&attribute.name, &format!("[{}]", ranges.join(", ")))?;
            }
            v1::value::Type::Set => {
                let items = attribute.set.as_ref().map_or(&[][..], |set| &set.item);
                object.text(&attribute.name, &format!("{{{}}}", items.join(", ")))?;
            }
        }
    }
    Ok(())
}
