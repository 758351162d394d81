//! What containers use: GET_CONTAINERS, `/containers`, `/monitor/statistics`.

use super::json::{Object, list};
use super::{Agent, query, show};
use http::request::Parts;
use meseta_agent_core::{ExecutorState, ExecutorView, FrameworkView, View};
use meseta_containerizer::usage::{CgroupUsage, Usage, UsageOf};
use meseta_http::gate::Action;
use meseta_http::{Refusal, Response, reply};
use meseta_proto::json::to_vec;
use meseta_proto::mesos::v1 as pb;
use meseta_proto::mesos::v1::agent::response::get_containers::Container;
use meseta_proto::prost::Message;
use std::collections::BTreeMap;

/// One running executor.
struct Running<'a> {
    framework: &'a FrameworkView,
    executor: &'a ExecutorView,
    statistics: Option<pb::ResourceStatistics>,
}

/// The running executors that `wanted` names, with their statistics.
async fn running<'a>(
    agent: &Agent,
    view: &'a View,
    wanted: impl Fn(&FrameworkView, &ExecutorView) -> bool,
) -> Vec<Running<'a>> {
    let found: Vec<(&FrameworkView, &ExecutorView, u32)> = view
        .frameworks
        .iter()
        .flat_map(|framework| {
            framework
                .executors
                .iter()
                .map(move |executor| (framework, executor))
        })
        .filter(|(framework, executor)| {
            executor.state != ExecutorState::Terminated && wanted(framework, executor)
        })
        .filter_map(|(framework, executor)| Some((framework, executor, executor.pid?)))
        .collect();
    let of = found.iter().map(|(_, executor, pid)| UsageOf {
        id: executor.container_id.clone(),
        pid: *pid,
    });
    let mut used = agent.containerizer.usage(of.collect()).await.into_iter();
    let timestamp = agent.clock.wall().as_secs_f64();
    let cfs = agent.config().flags.cgroups_enable_cfs;
    found
        .into_iter()
        .map(|(framework, executor, _)| Running {
            framework,
            executor,
            statistics: used
                .next()
                .flatten()
                .map(|usage| statistics(&usage, executor, timestamp, cfs)),
        })
        .collect()
}

fn statistics(usage: &Usage, executor: &ExecutorView, timestamp: f64, cfs: bool) -> pb::ResourceStatistics {
    let cpus = executor.resources.scalar("cpus").to_f64();
    let mem_milli = u64::try_from(executor.resources.scalar("mem").milli()).unwrap_or(0);
    let mem_bytes = mem_milli.saturating_mul(1 << 20) / 1000;
    let mut all = pb::ResourceStatistics {
        timestamp,
        cpus_user_time_secs: Some(usage.cpus_user_time_secs),
        cpus_system_time_secs: Some(usage.cpus_system_time_secs),
        cpus_limit: cfs.then_some(cpus),
        cpus_soft_limit: Some(cpus),
        mem_limit_bytes: (mem_bytes > 0).then_some(mem_bytes),
        mem_soft_limit_bytes: (mem_bytes > 0).then_some(mem_bytes),
        mem_rss_bytes: Some(usage.mem_rss_bytes),
        ..Default::default()
    };
    from_cgroup(&usage.cgroup, &mut all);
    all
}

fn from_cgroup(cgroup: &CgroupUsage, all: &mut pb::ResourceStatistics) {
    all.mem_total_bytes = cgroup.mem_total_bytes;
    all.mem_total_memsw_bytes = cgroup.mem_total_memsw_bytes;
    all.mem_cache_bytes = cgroup.mem_cache_bytes;
    all.mem_mapped_file_bytes = cgroup.mem_mapped_file_bytes;
    all.mem_swap_bytes = cgroup.mem_swap_bytes;
    all.mem_unevictable_bytes = cgroup.mem_unevictable_bytes;
    if let Some((periods, throttled, nanos)) = cgroup.cpu_throttling {
        all.cpus_nr_periods = Some(u32::try_from(periods).unwrap_or(u32::MAX));
        all.cpus_nr_throttled = Some(u32::try_from(throttled).unwrap_or(u32::MAX));
        all.cpus_throttled_time_secs = Some(nanos as f64 / 1e9);
    }
}

/// The container's id and first process: what is shown of its status here.
fn status(executor: &ExecutorView) -> pb::ContainerStatus {
    let joined = pb::TaskStatus::decode(executor.container_status.clone()).unwrap_or_default();
    pb::ContainerStatus {
        network_infos: Vec::new(),
        ..joined.container_status.unwrap_or_default()
    }
}

/// All running executors for GET_CONTAINERS.
pub(super) async fn all(agent: &Agent, view: &View) -> Vec<Container> {
    running(agent, view, |_, _| true)
        .await
        .into_iter()
        .map(|one| Container {
            framework_id: Some(pb::FrameworkId {
                value: one.framework.id.to_string(),
            }),
            executor_id: Some(pb::ExecutorId {
                value: one.executor.spec.executor_id.to_string(),
            }),
            executor_name: Some(show::executor_info(one.framework, one.executor).name().to_owned()),
            container_id: pb::ContainerId {
                value: one.executor.container_id.to_string(),
                parent: None,
            },
            container_status: Some(status(one.executor)),
            resource_statistics: one.statistics,
        })
        .collect()
}

/// `/containers`: all, or those the query names.
pub(super) async fn legacy(agent: &Agent, parts: &Parts) -> Result<Response, Refusal> {
    agent.allow(parts, Action::ViewContainers)?;
    let query = query(parts)?;
    let (container, framework, executor) = (
        query.get("container_id").map(str::to_owned),
        query.get("framework_id").map(str::to_owned),
        query.get("executor_id").map(str::to_owned),
    );
    let fits = matches!(
        (&container, &framework, &executor),
        (_, None, None) | (None, Some(_), _)
    );
    if !fits {
        return Err(Refusal::bad_request(
            "Supported query parameters are container_id only, framework_id only, or executor_id and framework_id only",
        ));
    }
    let view = agent.view().await?;
    let same = |wanted: &Option<String>, id: &str| wanted.as_deref().is_none_or(|wanted| wanted == id);
    let found = running(agent, &view, |f, e| {
        same(&container, e.container_id.as_str())
            && same(&framework, f.id.as_str())
            && same(&executor, e.spec.executor_id.as_str())
    });
    let found = found.await;
    let mut out = Vec::new();
    list(&mut out, &found, |one, out| entry(one, true, out));
    Ok(reply::legacy_json(out, &query, &parts.headers))
}

/// `/monitor/statistics`.
pub(super) async fn monitor(agent: &Agent, parts: &Parts) -> Result<Response, Refusal> {
    agent.allow(parts, Action::ViewContainers)?;
    let query = query(parts)?;
    let view = agent.view().await?;
    let found = running(agent, &view, |_, _| true).await;
    let mut out = Vec::new();
    let measured = found.iter().filter(|one| one.statistics.is_some());
    list(&mut out, measured, |one, out| entry(one, false, out));
    Ok(reply::legacy_json(out, &query, &parts.headers))
}

fn entry(one: &Running<'_>, is_container: bool, out: &mut Vec<u8>) {
    let info = show::executor_info(one.framework, one.executor);
    let mut object = Object::new(out);
    if is_container {
        object.text("container_id", one.executor.container_id.as_str());
    }
    object.text("executor_id", one.executor.spec.executor_id.as_str());
    object.text("executor_name", info.name());
    object.text("framework_id", one.framework.id.as_str());
    object.text("source", info.source());
    if let Some(statistics) = &one.statistics {
        sorted(&to_vec(statistics), object.key("statistics"));
    }
    if is_container {
        object.message("status", &status(one.executor));
    }
    object.end();
}

/// The message's members in the order of the alphabet, as these endpoints print them.
fn sorted(message: &[u8], out: &mut Vec<u8>) {
    let members: BTreeMap<String, serde_json::Number> = serde_json::from_slice(message).unwrap_or_default();
    let mut object = Object::new(out);
    for (name, value) in members {
        object.plain(&name, value);
    }
    object.end();
}
