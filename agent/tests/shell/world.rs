//! Work directories, agents and tasks for the tests.

use crate::master::Session;
use meseta_agent::{AgentFlags, Config, Env, Running, start};
use meseta_http::gate::Gate;
use meseta_proto::convert::{self, task::Launch};
use meseta_proto::mesos::v1 as pb;
use meseta_types::FrameworkId;
use meseta_types::flag::{Asked, Sources};
use meseta_types::link::ToAgent;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

pub const HELPER: &str = env!("CARGO_BIN_EXE_meseta-agent-alone");
pub const AGENT: &str = "master-S0";
pub const FRAMEWORK: &str = "master-0000";

/// The folders of one agent; dropping them ends its supervisor and with it all containers.
pub struct Home {
    dir: tempfile::TempDir,
    /// The same in all lives of its agent: a changed port is another agent.
    port: u16,
}

impl Home {
    pub fn new() -> Home {
        // Free a moment ago, and not given out again soon.
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        Home {
            dir: tempfile::tempdir().unwrap(),
            port: free.local_addr().unwrap().port(),
        }
    }

    pub fn work_dir(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    pub fn runtime_dir(&self) -> PathBuf {
        self.dir.path().join("run")
    }

    /// Process ids of its supervisor and launchers.
    pub fn supervisors(&self) -> Vec<i32> {
        supervisors_below(&self.runtime_dir())
    }

    /// The flags of an agent at home here.
    pub fn flags(&self, master: SocketAddr) -> Vec<String> {
        let user = nix::unistd::geteuid().is_root();
        vec![
            format!("--work_dir={}", self.work_dir().display()),
            format!("--runtime_dir={}", self.runtime_dir().display()),
            format!("--master={master}"),
            "--ip=127.0.0.1".to_owned(),
            "--hostname=localhost".to_owned(),
            format!("--port={}", self.port),
            "--resources=cpus:4;mem:1024;disk:1024;ports:[31000-32000]".to_owned(),
            "--registration_backoff_factor=10ms".to_owned(),
            format!("--switch_user={user}"),
        ]
    }

    /// An agent in this process.
    pub async fn agent(&self, master: SocketAddr) -> Running {
        self.agent_with(master, Gate::default()).await
    }

    /// An agent whose requests are judged by this gate.
    pub async fn agent_with(&self, master: SocketAddr, gate: Gate) -> Running {
        let Ok(Asked::Run(flags, _)) = AgentFlags::parse(self.flags(master), &Sources::none()) else {
            panic!("flags")
        };
        let env = Env {
            helper: vec![OsString::from(HELPER)],
            gate,
            ..Env::system().unwrap()
        };
        let running = start(Config::from_flags(flags).unwrap(), env).await.unwrap();
        running.ready().await;
        running
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // The supervisor outlives agents on purpose; with its folders gone nobody could reach it any more.
        for pid in self.supervisors() {
            let _ =
                nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGTERM);
        }
    }
}

/// Supervisors whose command line names this folder.
fn supervisors_below(runtime_dir: &std::path::Path) -> Vec<i32> {
    let wanted = runtime_dir.to_string_lossy().into_owned();
    std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).into_owned();
            line.contains("supervise") && line.contains(&wanted)
        })
        .collect()
}

pub fn framework_id() -> FrameworkId {
    FrameworkId::new(FRAMEWORK).unwrap()
}

pub fn scalar(name: &str, value: f64) -> pb::Resource {
    pb::Resource {
        name: name.to_owned(),
        r#type: pb::value::Type::Scalar as i32,
        scalar: Some(pb::value::Scalar { value }),
        allocation_info: Some(pb::resource::AllocationInfo {
            role: Some("dev".to_owned()),
        }),
        ..Default::default()
    }
}

pub fn framework() -> pb::FrameworkInfo {
    use pb::framework_info::{Capability, capability::Type};
    let capabilities = [Type::MultiRole, Type::PartitionAware].map(|kind| Capability {
        r#type: Some(kind as i32),
    });
    pb::FrameworkInfo {
        user: nix::unistd::User::from_uid(nix::unistd::geteuid())
            .unwrap()
            .unwrap()
            .name,
        name: "golden".to_owned(),
        id: Some(pb::FrameworkId {
            value: FRAMEWORK.to_owned(),
        }),
        roles: vec!["dev".to_owned()],
        capabilities: capabilities.to_vec(),
        checkpoint: Some(true),
        ..Default::default()
    }
}

/// A command task; `more` are further members of its JSON, with a leading comma.
pub fn command(id: &str, command: &str, more: &str) -> pb::TaskInfo {
    let command = serde_json::to_string(command).unwrap();
    let json = format!(
        r#"{{"name":"{id}","task_id":{{"value":"{id}"}},"agent_id":{{"value":"{AGENT}"}},"command":{{"value":{command}}}{more}}}"#
    );
    let mut task: pb::TaskInfo = meseta_proto::json::from_slice(json.as_bytes()).unwrap();
    task.resources = vec![scalar("cpus", 0.1), scalar("mem", 32.0)];
    task
}

/// A task of a custom executor.
pub fn custom(id: &str, executor: &str, run: &str) -> pb::TaskInfo {
    let mut task = command(id, "unused", "");
    task.command = None;
    task.executor = Some(pb::ExecutorInfo {
        r#type: Some(pb::executor_info::Type::Custom as i32),
        executor_id: pb::ExecutorId {
            value: executor.to_owned(),
        },
        framework_id: Some(pb::FrameworkId {
            value: FRAMEWORK.to_owned(),
        }),
        command: Some(pb::CommandInfo {
            value: Some(run.to_owned()),
            ..Default::default()
        }),
        resources: vec![scalar("cpus", 0.1), scalar("mem", 64.0)],
        name: Some("py".to_owned()),
        ..Default::default()
    });
    task
}

/// Orders a task.
pub async fn run(session: &mut Session, task: &pb::TaskInfo) {
    session
        .say(ToAgent::RunTask {
            framework: convert::framework::from_info(&framework()).unwrap(),
            task: convert::task::spec(task, &framework_id(), Launch::Single),
            launch_executor: true,
        })
        .await;
}

/// Waits until `there` gives something, looking again and again: for things nobody announces.
pub async fn eventually<T>(what: &str, mut there: impl AsyncFnMut() -> Option<T>) -> T {
    let look = async {
        loop {
            if let Some(found) = there().await {
                return found;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(crate::master::PATIENCE, look)
        .await
        .unwrap_or_else(|_| panic!("never: {what}"))
}
