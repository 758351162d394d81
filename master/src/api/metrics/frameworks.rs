//! What each framework does, under Mesos's names: `master/frameworks/<name>/<id>/...`.
//!
//! Only in the snapshot: as Prometheus metrics every framework would be a name of its own.

use meseta_http::metrics::Sample;
use meseta_master_core::View;
use meseta_master_core::counters::ByName;
use meseta_master_core::io::OPERATION_KINDS;
use meseta_master_core::pages::FrameworkKey;
use meseta_master_core::state::{Framework, FrameworkState, TaskList};
use meseta_types::TaskState;
use std::collections::BTreeMap;
use std::fmt::Write;

const CALLS: [&str; 17] = [
    "accept",
    "accept_inverse_offers",
    "acknowledge",
    "acknowledge_operation_status",
    "decline",
    "decline_inverse_offers",
    "kill",
    "message",
    "reconcile",
    "reconcile_operations",
    "request",
    "revive",
    "shutdown",
    "subscribe",
    "suppress",
    "teardown",
    "update_framework",
];

const EVENTS: [&str; 10] = [
    "error",
    "failure",
    "inverse_offers",
    "message",
    "offers",
    "rescind",
    "rescind_inverse_offer",
    "subscribed",
    "update",
    "update_operation_status",
];

/// States a task passes through.
const ACTIVE: [TaskState; 6] = [
    TaskState::Killing,
    TaskState::Running,
    TaskState::Staging,
    TaskState::Starting,
    TaskState::Unknown,
    TaskState::Unreachable,
];

/// Tasks of one framework by state.
type Active = BTreeMap<(FrameworkKey, TaskState), u64>;

/// All samples of all frameworks, completed ones included, as Mesos keeps them.
pub(super) fn samples(view: &View, samples: &mut Vec<Sample>) {
    let mut active = Active::new();
    for (_, task) in view.tasks.iter() {
        if task.list != TaskList::Completed {
            *active.entry((task.framework, task.state())).or_default() += 1;
        }
    }
    for (key, framework) in view.frameworks.iter() {
        let prefix = format!(
            "master/frameworks/{}/{}",
            percent_encode(&framework.spec.name),
            framework.id
        );
        of_framework(&prefix, key, framework, &active, samples);
    }
}

fn of_framework(
    prefix: &str,
    key: FrameworkKey,
    framework: &Framework,
    active: &Active,
    samples: &mut Vec<Sample>,
) {
    let counters = &framework.counters;
    let connected = framework.state == FrameworkState::Connected;
    samples.push(Sample::gauge(
        format!("{prefix}/subscribed"),
        f64::from(u8::from(connected)),
    ));
    by_name(&format!("{prefix}/calls"), &CALLS, &counters.calls, samples);
    by_name(&format!("{prefix}/events"), &EVENTS, &counters.events, samples);
    let kinds = OPERATION_KINDS.map(|kind| kind.name());
    by_name(
        &format!("{prefix}/operations"),
        &kinds,
        &counters.operations,
        samples,
    );
    for (what, count) in [
        ("sent", counters.offers_sent),
        ("accepted", counters.offers_accepted),
        ("declined", counters.offers_declined),
        ("rescinded", counters.offers_rescinded),
    ] {
        samples.push(Sample::counter(format!("{prefix}/offers/{what}"), count as f64));
    }
    for state in ACTIVE {
        let count = active.get(&(key, state)).copied().unwrap_or(0);
        let name = format!("{prefix}/tasks/active/{}", state.name().to_lowercase());
        samples.push(Sample::gauge(name, count as f64));
    }
    for state in TaskState::ALL.into_iter().filter(|state| state.is_terminal()) {
        let count = counters.tasks_terminal.get(&state).copied().unwrap_or(0);
        let name = format!("{prefix}/tasks/terminal/{}", state.name().to_lowercase());
        samples.push(Sample::counter(name, count as f64));
    }
    for role in &framework.spec.roles {
        let suppressed = framework.suppressed_roles.contains(role);
        let name = format!("{prefix}/roles/{role}/suppressed");
        samples.push(Sample::gauge(name, f64::from(u8::from(suppressed))));
    }
}

/// The sum, and every name with its count, at zero if there is none.
fn by_name(prefix: &str, names: &[&str], counts: &ByName, samples: &mut Vec<Sample>) {
    let sum: u64 = counts.values().sum();
    samples.push(Sample::counter(prefix, sum as f64));
    for name in names {
        let count = counts.get(name).copied().unwrap_or(0);
        samples.push(Sample::counter(format!("{prefix}/{name}"), count as f64));
    }
}

fn percent_encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            out.push(char::from(byte));
        } else {
            let _writing_to_a_string_never_fails = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_frameworks_cannot_break_the_names_of_metrics() {
        assert_eq!(percent_encode("my app/1"), "my%20app%2F1");
    }
}
