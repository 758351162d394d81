//! Builders of what the stories need.

use crate::*;
use bytes::Bytes;
use meseta_types::link::{AgentSpec, ToAgent};
use meseta_types::task::*;
use meseta_types::*;
use std::sync::Arc;
use std::time::Duration;

pub(super) fn fid(text: &str) -> FrameworkId {
    FrameworkId::new(text).unwrap()
}

pub(super) fn tid(text: &str) -> TaskId {
    TaskId::new(text).unwrap()
}

pub(super) fn eid(text: &str) -> ExecutorId {
    ExecutorId::new(text).unwrap()
}

pub(super) fn agent_id() -> AgentId {
    AgentId::new("m-S0").unwrap()
}

pub(super) fn resources(text: &str) -> Resources {
    Resources::parse(text, &Role::star()).unwrap()
}

pub(super) fn agent_spec() -> AgentSpec {
    AgentSpec {
        id: None,
        hostname: Arc::from("localhost"),
        ip: std::net::IpAddr::from([127, 0, 0, 1]),
        port: 5051,
        resources: resources("cpus:4;mem:4096"),
        version: Arc::from("1.12.0"),
        capabilities: Vec::new(),
        wire: Bytes::new(),
    }
}

pub(super) fn framework() -> FrameworkSpec {
    FrameworkSpec {
        id: Some(fid("f")),
        name: Arc::from("stories"),
        user: Arc::from("root"),
        roles: vec![Role::star()],
        capabilities: Capabilities {
            partition_aware: true,
            ..Capabilities::default()
        },
        failover_timeout: Duration::from_secs(60),
        checkpoint: true,
        principal: None,
        wire: Bytes::new(),
    }
}

pub(super) fn killing_framework() -> FrameworkSpec {
    let mut spec = framework();
    spec.capabilities.task_killing_state = true;
    spec
}

pub(super) fn forgetful_framework() -> FrameworkSpec {
    FrameworkSpec {
        checkpoint: false,
        ..framework()
    }
}

/// A command task.
pub(super) fn command(id: &str) -> TaskSpec {
    TaskSpec {
        task_id: tid(id),
        name: Arc::from(id),
        agent_id: agent_id(),
        resources: resources("cpus:0.5;mem:64"),
        executor: None,
        has_command: true,
        kill_grace: None,
        max_completion_time: None,
        has_limits: false,
        health_check: None,
        check: None,
        invalid: None,
        wire: Bytes::from_static(b"task info"),
        kept: Bytes::new(),
    }
}

/// A task of the custom executor `e`.
pub(super) fn custom(id: &str) -> TaskSpec {
    TaskSpec {
        executor: Some(ExecutorSpec {
            executor_id: eid("e"),
            resources: resources("cpus:0.1;mem:32"),
            name: Arc::from("an executor"),
            source: Arc::from(""),
            is_default: false,
            shutdown_grace_period: None,
            wire: Bytes::from_static(b"executor info"),
        }),
        has_command: false,
        ..command(id)
    }
}

pub(super) fn run(framework: FrameworkSpec, task: TaskSpec) -> ToAgent {
    ToAgent::RunTask {
        framework,
        launch_executor: task.executor.is_some(),
        task,
    }
}

/// As [`run`], under the executor that runs already.
pub(super) fn run_more(task: TaskSpec) -> ToAgent {
    ToAgent::RunTask {
        framework: framework(),
        launch_executor: false,
        task,
    }
}

pub(super) fn kill(task: &str, grace: Option<u64>) -> ToAgent {
    ToAgent::KillTask {
        framework_id: fid("f"),
        task_id: tid(task),
        kill_policy: Bytes::new(),
        grace: grace.map(Duration::from_secs),
    }
}

pub(super) fn launch_info() -> LaunchInfo {
    LaunchInfo {
        pid: 4711,
        container_status: Bytes::from_static(b"<container>"),
    }
}

pub(super) fn found(container: &ContainerId) -> FoundContainer {
    FoundContainer {
        container_id: container.clone(),
        info: launch_info(),
        exit: None,
    }
}

pub(super) fn found_exited(container: &ContainerId, status: i32) -> FoundContainer {
    FoundContainer {
        exit: Some(Termination {
            status: Some(status),
            ..Termination::default()
        }),
        ..found(container)
    }
}

/// An executor's status.
pub(super) fn from_executor(task: &str, state: TaskState, uuid: u8) -> TaskStatus {
    TaskStatus {
        task_id: tid(task),
        state,
        source: Source::Executor,
        reason: None,
        message: None,
        agent_id: None,
        executor_id: None,
        timestamp: Wall(7_000_000_000),
        uuid: Some(UpdateUuid([uuid; 16])),
        healthy: None,
        unreachable_time: None,
        wire: Bytes::from_static(b"<data>"),
    }
}
