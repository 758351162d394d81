//! The agent's metrics: Mesos's names (mesos-agent 9.1), read off a view, as JSON and for Prometheus.

use super::{Agent, query};
use http::request::Parts;
use meseta_agent_core::{ExecutorState, View};
use meseta_http::gate::Action;
use meseta_http::metrics::{PROMETHEUS_TYPE, Sample, prometheus, snapshot_json, sorted};
use meseta_http::{Refusal, Response, host, path, reply};
use meseta_types::{Resources, TaskState};
use std::sync::atomic::Ordering;

/// `/metrics/snapshot` and, for Prometheus, `/metrics`.
pub(super) async fn endpoint(agent: &Agent, rest: &str, parts: &Parts) -> Result<Response, Refusal> {
    agent.allow(parts, Action::ViewAgent)?;
    let samples = match (rest, path::longest(rest, &["/snapshot"])) {
        ("/", _) | (_, Some(_)) => samples(agent).await?,
        _ => return Ok(reply::not_found()),
    };
    if rest == "/" {
        let text = prometheus(&samples);
        return Ok(reply::typed(PROMETHEUS_TYPE, text.into(), &parts.headers));
    }
    Ok(reply::legacy_json(
        snapshot_json(&samples),
        &query(parts)?,
        &parts.headers,
    ))
}

/// All metrics, sorted.
pub(super) async fn samples(agent: &Agent) -> Result<Vec<Sample>, Refusal> {
    let view = agent.view().await?;
    let mut all = Vec::with_capacity(96);
    resources(&view, &mut all);
    gauges(agent, &view, &mut all);
    counters(&view, &mut all);
    for (name, count) in [
        ("containerizer/fetcher/task_fetches_failed", &agent.fetches.failed),
        (
            "containerizer/fetcher/task_fetches_succeeded",
            &agent.fetches.succeeded,
        ),
    ] {
        all.push(Sample::counter(name, count.load(Ordering::Relaxed) as f64));
    }
    absent(&mut all);
    all.extend(host::samples());
    Ok(sorted(all))
}

fn resources(view: &View, all: &mut Vec<Sample>) {
    let total = &view.agent.resources;
    let sets: [(&str, Resources, Resources); 2] = [
        ("", total.nonrevocable(), view.used.nonrevocable()),
        ("revocable_", total.revocable(), view.used.revocable()),
    ];
    for (infix, total, used) in &sets {
        for name in ["cpus", "gpus", "mem", "disk"] {
            let (total, used) = (total.scalar(name).to_f64(), used.scalar(name).to_f64());
            let fraction = if total > 0.0 { used / total } else { 0.0 };
            all.push(Sample::gauge(format!("slave/{name}_{infix}total"), total));
            all.push(Sample::gauge(format!("slave/{name}_{infix}used"), used));
            all.push(Sample::gauge(format!("slave/{name}_{infix}percent"), fraction));
        }
    }
}

fn gauges(agent: &Agent, view: &View, all: &mut Vec<Sample>) {
    let executors = || view.frameworks.iter().flat_map(|f| &f.executors);
    let in_state = |state| executors().filter(|e| e.state == state).count() as f64;
    let tasks = |state| {
        executors()
            .flat_map(|e| &e.tasks)
            .filter(|t| t.state == state)
            .count() as f64
    };
    for (name, value) in [
        ("slave/uptime_secs", agent.clock.uptime().as_secs_f64()),
        ("slave/registered", f64::from(u8::from(view.registered))),
        ("slave/recovery_time_secs", agent.recovery_secs),
        ("slave/frameworks_active", view.frameworks.len() as f64),
        (
            "slave/executors_registering",
            in_state(ExecutorState::Registering),
        ),
        ("slave/executors_running", in_state(ExecutorState::Running)),
        (
            "slave/executors_terminating",
            in_state(ExecutorState::Terminating),
        ),
        ("slave/tasks_staging", tasks(TaskState::Staging)),
        ("slave/tasks_starting", tasks(TaskState::Starting)),
        ("slave/tasks_running", tasks(TaskState::Running)),
        ("slave/tasks_killing", tasks(TaskState::Killing)),
        (
            "slave/executor_directory_max_allowed_age_secs",
            view.max_sandbox_age.as_secs_f64(),
        ),
        ("gc/path_removals_pending", view.gc_pending as f64),
    ] {
        all.push(Sample::gauge(name, value));
    }
}

fn counters(view: &View, all: &mut Vec<Sample>) {
    let c = &view.counters;
    for (name, value) in [
        ("slave/tasks_finished", c.tasks_finished),
        ("slave/tasks_failed", c.tasks_failed),
        ("slave/tasks_killed", c.tasks_killed),
        ("slave/tasks_lost", c.tasks_lost),
        ("slave/tasks_gone", c.tasks_gone),
        ("slave/valid_status_updates", c.valid_status_updates),
        ("slave/invalid_status_updates", c.invalid_status_updates),
        ("slave/valid_framework_messages", c.valid_framework_messages),
        ("slave/invalid_framework_messages", c.invalid_framework_messages),
        ("slave/executors_terminated", c.executors_terminated),
        ("slave/executors_preempted", c.executors_preempted),
        ("slave/container_launch_errors", c.container_launch_errors),
        ("slave/recovery_errors", c.recovery_errors),
        ("slave/update_retries", c.update_retries),
        ("slave/ignored_inputs", c.ignored_inputs),
        ("slave/broken_invariants", c.broken),
        ("gc/path_removals_succeeded", c.path_removals_succeeded),
        ("gc/path_removals_failed", c.path_removals_failed),
    ] {
        all.push(Sample::counter(name, value as f64));
    }
}

/// Metrics of Mesos about things that this release does not have: none of them ever happened, and dashboards find them.
fn absent(all: &mut Vec<Sample>) {
    for name in [
        "containerizer/mesos/container_destroy_errors",
        "containerizer/mesos/provisioner/bind/remove_rootfs_errors",
        "containerizer/mesos/provisioner/remove_container_errors",
        "resource_provider_manager/events/disconnect",
        "resource_provider_manager/events/subscribe",
    ] {
        all.push(Sample::counter(name, 0.0));
    }
    for name in [
        "containerizer/fetcher/cache_size_total_bytes",
        "containerizer/fetcher/cache_size_used_bytes",
        "resource_provider_manager/subscribed",
    ] {
        all.push(Sample::gauge(name, 0.0));
    }
}
