//! What the master measures: Mesos's names as a snapshot, and the same for Prometheus.
//!
//! Counters come from the core, gauges are counted from a view by whoever asks, so measuring costs the core nothing.

mod frameworks;

use super::query;
use crate::master::Master;
use http::request::Parts;
use http::{HeaderValue, header};
use meseta_http::gate::Action;
use meseta_http::metrics::{PROMETHEUS_TYPE, Sample, prometheus, snapshot_json, sorted};
use meseta_http::{Refusal, Response, reply};
use meseta_master_core::View;
use meseta_master_core::state::{FrameworkState, TaskList};
use meseta_types::flag::parse_duration;
use meseta_types::task::{Reason, Source};
use meseta_types::{Resources, TaskState};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

/// `/metrics` for Prometheus, `/metrics/snapshot` for Mesos's clients.
pub(super) async fn endpoint(master: &Master, rest: &str, parts: &Parts) -> Result<Response, Refusal> {
    let who = master.gate.identify(&parts.headers);
    master.gate.check(&who, Action::ViewCluster)?;
    if rest == "/" {
        let text = prometheus(&samples(master, false).await?);
        let mut response = reply::text(http::StatusCode::OK, text);
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static(PROMETHEUS_TYPE));
        return Ok(response);
    }
    if meseta_http::path::longest(rest, &["/snapshot"]).is_none() {
        return Ok(reply::not_found());
    }
    let query = query(parts)?;
    if let Some(timeout) = query.get("timeout") {
        parse_duration(timeout).map_err(|_| bad_timeout(timeout))?;
    }
    let body = snapshot_json(&samples(master, true).await?);
    Ok(reply::legacy_json(body, &query, &parts.headers))
}

/// Mesos names the digits it could not read.
fn bad_timeout(text: &str) -> Refusal {
    let digits: String = text
        .chars()
        .take_while(|c| c.is_ascii_digit() || *c == '.')
        .collect();
    let why = if digits.is_empty() || digits.parse::<f64>().is_err() {
        format!("Failed to convert '{digits}' to number")
    } else {
        let unit = &text[digits.len()..];
        format!("Unknown duration unit '{unit}'")
    };
    Refusal::bad_request(format!("Invalid timeout '{text}': {why}.\n"))
}

/// Every metric, sorted; those of each framework only if they are wanted.
pub(super) async fn samples(master: &Master, per_framework: bool) -> Result<Vec<Sample>, Refusal> {
    let mut samples = meseta_http::host::samples();
    samples.push(Sample::gauge(
        "master/elected",
        f64::from(u8::from(master.elected.get().is_some())),
    ));
    let uptime = master.clock.wall().as_secs_f64() - master.me.start_time.as_secs_f64();
    samples.push(Sample::gauge("master/uptime_secs", uptime.max(0.0)));
    if master.elected.get().is_some() {
        let view = master.intake.view().await?;
        of_resources(&view, &mut samples);
        of_allocator(&view, &mut samples);
        of_agents(&view, &mut samples);
        of_frameworks(&view, &mut samples);
        of_tasks(&view, &mut samples);
        of_counters(&view, &mut samples);
        if per_framework && master.config.per_framework_metrics {
            frameworks::samples(&view, &mut samples);
        }
    }
    let gauges = &master.gauges;
    samples.push(Sample::gauge(
        "master/operator_event_stream_subscribers",
        gauges.watchers.load(Ordering::Relaxed) as f64,
    ));
    for (name, value) in [
        ("master/event_queue_messages", master.intake.waiting() as f64),
        (
            "master/event_queue_http_requests",
            gauges.readers_waiting.load(Ordering::Relaxed) as f64,
        ),
        (
            "registrar/queued_operations",
            gauges.writes_waiting.load(Ordering::Relaxed) as f64,
        ),
    ] {
        samples.push(Sample::gauge(name, value));
    }
    samples.extend(gauges.allocations.samples("allocator/mesos/allocation_run_ms"));
    samples.extend(gauges.writes.samples("registrar/state_store_ms"));
    samples.push(Sample::counter(
        "master/inputs",
        gauges.inputs.load(Ordering::Relaxed) as f64,
    ));
    samples.push(Sample::counter(
        "master/broken_invariants",
        gauges.broken.load(Ordering::Relaxed) as f64,
    ));
    Ok(sorted(samples))
}

fn of_resources(view: &View, samples: &mut Vec<Sample>) {
    let (mut total, mut used) = (Resources::new(), Resources::new());
    for (_, agent) in view.agents.iter() {
        total += agent.total();
        agent.used.values().for_each(|by_framework| used += by_framework);
    }
    for (kind, total, used) in [
        ("", total.nonrevocable(), used.nonrevocable()),
        ("_revocable", total.revocable(), used.revocable()),
    ] {
        for name in ["cpus", "gpus", "mem", "disk"] {
            let (total, used) = (total.scalar(name).to_f64(), used.scalar(name).to_f64());
            let percent = if total > 0.0 { used / total } else { 0.0 };
            for (what, value) in [("total", total), ("used", used), ("percent", percent)] {
                samples.push(Sample::gauge(format!("master/{name}{kind}_{what}"), value));
            }
        }
    }
}

/// What the allocator has to give, and what of it is out.
fn of_allocator(view: &View, samples: &mut Vec<Sample>) {
    let (mut total, mut out) = (Resources::new(), Resources::new());
    for (_, agent) in view.agents.iter() {
        total += agent.total();
    }
    for usage in view.usage().values() {
        out += &usage.used;
        out += &usage.offered;
    }
    for name in ["cpus", "mem", "disk"] {
        let prefix = format!("allocator/mesos/resources/{name}");
        for (what, bag) in [("total", &total), ("offered_or_allocated", &out)] {
            samples.push(Sample::gauge(
                format!("{prefix}/{what}"),
                bag.scalar(name).to_f64(),
            ));
        }
    }
}

fn of_agents(view: &View, samples: &mut Vec<Sample>) {
    let count = |keep: &dyn Fn(&meseta_master_core::state::Agent) -> bool| {
        view.agents.iter().filter(|(_, agent)| keep(agent)).count() as f64
    };
    let unreachable = view.unreachable_agents.len() as f64;
    for (name, value) in [
        ("connected", count(&|a| a.connected)),
        ("disconnected", count(&|a| !a.connected)),
        ("active", count(&|a| a.connected && a.active)),
        ("inactive", count(&|a| !(a.connected && a.active))),
        ("unreachable", unreachable),
    ] {
        samples.push(Sample::gauge(format!("master/slaves_{name}"), value));
    }
}

fn of_frameworks(view: &View, samples: &mut Vec<Sample>) {
    let count = |state: FrameworkState| {
        let frameworks = view.frameworks.iter();
        frameworks
            .filter(|(_, framework)| framework.state == state)
            .count() as f64
    };
    let connected = count(FrameworkState::Connected);
    let disconnected = count(FrameworkState::Disconnected);
    for (name, value) in [
        ("connected", connected),
        ("active", connected),
        ("disconnected", disconnected),
        ("inactive", disconnected),
    ] {
        samples.push(Sample::gauge(format!("master/frameworks_{name}"), value));
    }
    samples.push(Sample::gauge(
        "master/outstanding_offers",
        view.offers.len() as f64,
    ));
}

fn of_tasks(view: &View, samples: &mut Vec<Sample>) {
    let mut counts: BTreeMap<TaskState, u64> = BTreeMap::new();
    for (_, task) in view.tasks.iter() {
        if task.list != TaskList::Completed {
            *counts.entry(task.state()).or_default() += 1;
        }
    }
    for (name, state) in [
        ("staging", TaskState::Staging),
        ("starting", TaskState::Starting),
        ("running", TaskState::Running),
        ("killing", TaskState::Killing),
        ("unreachable", TaskState::Unreachable),
    ] {
        let count = counts.get(&state).copied().unwrap_or(0);
        samples.push(Sample::gauge(format!("master/tasks_{name}"), count as f64));
    }
}

fn of_counters(view: &View, samples: &mut Vec<Sample>) {
    let counters = &view.counters;
    for name in COUNTERS {
        let value = counters.by_name.get(name).copied().unwrap_or(0);
        samples.push(Sample::counter(format!("master/{name}"), value as f64));
    }
    for (name, value) in &counters.by_name {
        if !COUNTERS.contains(name) {
            samples.push(Sample::counter(format!("master/{name}"), *value as f64));
        }
    }
    for ((state, source, reason), value) in &counters.task_reasons {
        let name = task_reason_name(*state, *source, *reason);
        samples.push(Sample::counter(name, *value as f64));
    }
    let dropped: u64 = counters.notes.values().sum();
    if !counters.by_name.contains_key("dropped_messages") {
        samples.retain(|sample| sample.name != "master/dropped_messages");
        samples.push(Sample::counter("master/dropped_messages", dropped as f64));
    }
}

/// `master/task_failed/source_executor/reason_command_executor_failed`; the v0 names of Mesos's metrics say `slave`.
fn task_reason_name(state: TaskState, source: u8, reason: Option<Reason>) -> String {
    let source = match source {
        s if s == Source::Master as u8 => "source_master",
        s if s == Source::Agent as u8 => "source_slave",
        _ => "source_executor",
    };
    let mut name = format!("master/{}/{source}", state.name().to_lowercase());
    if let Some(reason) = reason
        && let Ok(reason) = meseta_proto::mesos::v1::task_status::Reason::try_from(reason.0)
    {
        let reason = reason.as_str_name().to_lowercase().replace("_agent_", "_slave_");
        name.push('/');
        name.push_str(&reason);
    }
    name
}

/// Counters shown from the start, at zero (Mesos, `src/master/metrics.hpp`).
const COUNTERS: [&str; 55] = [
    "dropped_messages",
    "invalid_executor_to_framework_messages",
    "invalid_framework_to_executor_messages",
    "invalid_operation_status_update_acknowledgements",
    "invalid_operation_status_updates",
    "invalid_status_update_acknowledgements",
    "invalid_status_updates",
    "messages_authenticate",
    "messages_deactivate_framework",
    "messages_decline_offers",
    "messages_executor_to_framework",
    "messages_exited_executor",
    "messages_framework_to_executor",
    "messages_kill_task",
    "messages_launch_tasks",
    "messages_operation_status_update",
    "messages_operation_status_update_acknowledgement",
    "messages_reconcile_operations",
    "messages_reconcile_tasks",
    "messages_register_framework",
    "messages_register_slave",
    "messages_reregister_framework",
    "messages_reregister_slave",
    "messages_resource_request",
    "messages_revive_offers",
    "messages_status_update",
    "messages_status_update_acknowledgement",
    "messages_suppress_offers",
    "messages_unregister_framework",
    "messages_unregister_slave",
    "messages_update_slave",
    "recovery_slave_removals",
    "slave_registrations",
    "slave_removals",
    "slave_removals/reason_registered",
    "slave_removals/reason_unhealthy",
    "slave_removals/reason_unregistered",
    "slave_reregistrations",
    "slave_unreachable_canceled",
    "slave_unreachable_completed",
    "slave_unreachable_scheduled",
    "tasks_dropped",
    "tasks_error",
    "tasks_failed",
    "tasks_finished",
    "tasks_gone",
    "tasks_gone_by_operator",
    "tasks_killed",
    "tasks_lost",
    "valid_executor_to_framework_messages",
    "valid_framework_to_executor_messages",
    "valid_operation_status_update_acknowledgements",
    "valid_operation_status_updates",
    "valid_status_update_acknowledgements",
    "valid_status_updates",
];
