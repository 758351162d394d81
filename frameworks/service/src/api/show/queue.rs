//! The queue: what waits, until when, and what the offers lacked.

use super::app::write_definition;
use super::{field, time, value};
use crate::view::QueueEntry;
use meseta_service_core::app::Demand;
use meseta_service_core::matcher::{Offer, Reject, Tried};
use meseta_types::Wall;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Appends an entry of the queue.
pub(in crate::api) fn write(
    out: &mut Vec<u8>,
    entry: &QueueEntry,
    offers: bool,
    default_role: &str,
    now: Wall,
) {
    out.extend_from_slice(b"{\"app\":");
    write_definition(out, &entry.spec, entry.app.last_scaling());
    field(out, "count");
    value(out, &entry.count);
    // Some clients refuse keys they do not know, and every entry of a simple setup has the default role.
    if entry.app.definition.role != default_role {
        field(out, "role");
        value(out, &entry.app.definition.role);
    }
    let left = entry
        .delayed_until
        .map_or(0, |until| until.0.saturating_sub(now.0).max(0));
    field(out, "delay");
    value(
        out,
        &json!({"timeLeftSeconds": seconds_up(left), "overdue": left == 0}),
    );
    field(out, "since");
    value(out, &time(entry.since));
    field(out, "processedOffersSummary");
    let nothing = Tried::default();
    let tried = entry.tried.as_ref().unwrap_or(&nothing);
    value(out, &summary(tried));
    if offers {
        field(out, "lastUnusedOffers");
        let last: Vec<_> = tried.last_offers.iter().map(unused).collect();
        value(out, &last);
    }
    out.push(b'}');
}

/// Whole seconds that cover some nanoseconds.
fn seconds_up(nanos: i64) -> i64 {
    nanos.div_euclid(1_000_000_000) + i64::from(nanos.rem_euclid(1_000_000_000) > 0)
}

fn summary(tried: &Tried) -> Value {
    let mut last: BTreeMap<Reject, u64> = BTreeMap::new();
    for (_, reject, _) in &tried.last_offers {
        *last.entry(*reject).or_insert(0) += 1;
    }
    let mut summary = json!({
        "processedOffersCount": tried.processed,
        "unusedOffersCount": tried.unused,
        "rejectSummaryLastOffers": funnel(&last, tried.last_offers.len() as u64),
        "rejectSummaryLaunchAttempt": funnel(&tried.rejects, tried.processed),
    });
    if let Some(object) = summary.as_object_mut() {
        for (name, at) in [
            ("lastUnusedOfferAt", tried.last_unused),
            ("lastUsedOfferAt", tried.last_used),
        ] {
            if let Some(at) = at {
                object.insert(name.to_owned(), time(at).into());
            }
        }
    }
    summary
}

/// Reasons that Marathon's funnel has between ours, about things that never refuse an offer here.
const NEVER: [(&str, usize); 3] = [
    ("NoCorrespondingReservationFound", 2),
    ("AgentMaintenance", 3),
    ("DeclinedScarceResources", 9),
];

/// Each offer counts in the first reason that applies; what passed it is processed by the next.
fn funnel(rejects: &BTreeMap<Reject, u64>, offers: u64) -> Vec<Value> {
    let mut reasons: Vec<(&str, u64)> = Reject::ALL
        .iter()
        .map(|reject| (reject.name(), rejects.get(reject).copied().unwrap_or(0)))
        .collect();
    for (name, at) in NEVER {
        reasons.insert(at.min(reasons.len()), (name, 0));
    }
    let mut left = offers;
    reasons
        .into_iter()
        .map(|(reason, declined)| {
            let processed = left;
            left = left.saturating_sub(declined);
            json!({"reason": reason, "declined": declined, "processed": processed})
        })
        .collect()
}

fn unused((offer, reject, at): &(Offer, Reject, Wall)) -> Value {
    json!({
        "offer": {
            "id": &*offer.id,
            "agentId": &*offer.agent,
            "hostname": &*offer.host,
            "resources": resources(offer),
            "attributes": [],
        },
        "reason": [reject.name()],
        "timestamp": time(*at),
    })
}

fn resources(offer: &Offer) -> Vec<Value> {
    let mut resources = Vec::new();
    for pool in &offer.pools {
        let Demand {
            cpus,
            mem,
            disk,
            gpus,
        } = pool.there;
        for (name, amount) in [("cpus", cpus), ("mem", mem), ("disk", disk), ("gpus", gpus)] {
            if amount > 0.0 {
                resources.push(
                    json!({"name": name, "role": &*pool.role, "scalar": amount, "ranges": [], "set": []}),
                );
            }
        }
        if !pool.ports.is_empty() {
            let ranges: Vec<_> = pool
                .ports
                .iter()
                .map(|(begin, end)| json!({"begin": begin, "end": end}))
                .collect();
            resources.push(json!({"name": "ports", "role": &*pool.role, "ranges": ranges, "set": []}));
        }
    }
    resources
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offer_counts_in_the_first_reason_and_the_rest_passes_on() {
        let rejects = BTreeMap::from([(Reject::InsufficientCpus, 3), (Reject::InsufficientPorts, 1)]);
        let funnel = funnel(&rejects, 5);
        let names: Vec<_> = funnel.iter().map(|reason| reason["reason"].as_str()).collect();
        assert_eq!(names.first().copied().flatten(), Some("UnfulfilledRole"));
        assert_eq!(names.len(), 10);
        assert_eq!(names.last().copied().flatten(), Some("DeclinedScarceResources"));
        let of = |name: &str| funnel.iter().find(|reason| reason["reason"] == name).cloned();
        assert_eq!(
            of("InsufficientCpus"),
            Some(json!({"reason": "InsufficientCpus", "declined": 3, "processed": 5}))
        );
        assert_eq!(
            of("InsufficientPorts"),
            Some(json!({"reason": "InsufficientPorts", "declined": 1, "processed": 2}))
        );
    }

    #[test]
    fn a_delay_is_told_in_whole_seconds_that_cover_it() {
        assert_eq!([0, 1, 1_000_000_000, 1_000_000_001].map(seconds_up), [0, 1, 1, 2]);
    }
}
