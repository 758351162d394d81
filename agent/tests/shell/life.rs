//! The agent's own life: killed and started again, told to leave, told to end.

use crate::http::{get, post};
use crate::master::{Master, Session, states};
use crate::world::{AGENT, FRAMEWORK, HELPER, Home, command, eventually, framework_id, run};
use meseta_types::link::{FromAgent, ToAgent};
use meseta_types::task::TaskState;
use meseta_types::{AgentId, TaskId};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// An agent as a process of its own.
struct Process {
    child: Child,
    address: SocketAddr,
}

impl Process {
    async fn start(home: &Home, master: SocketAddr) -> Process {
        let mut child = Command::new(HELPER)
            .args(home.flags(master))
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = lines.next_line().await.unwrap().unwrap().parse().unwrap();
        Process { child, address }
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id().unwrap()).unwrap();
        kill(Pid::from_raw(pid), signal).unwrap();
    }

    async fn ends(mut self) -> i32 {
        let ended = tokio::time::timeout(crate::master::PATIENCE, self.child.wait());
        ended.await.expect("the agent ends").unwrap().code().unwrap()
    }

    async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }
}

async fn pid_of(address: SocketAddr, task: &str) -> u64 {
    eventually("the task has a process", async || {
        let answer = post(address, "/api/v1", r#"{"type":"GET_CONTAINERS"}"#).await;
        let containers = answer.json();
        let all = containers["get_containers"]["containers"].as_array()?;
        let mine = all.iter().find(|c| c["executor_id"]["value"] == task)?;
        mine["container_status"]["executor_pid"].as_u64()
    })
    .await
}

/// Answers a re-registration; what was reported.
async fn reregistered(master: &mut Master) -> (Session, Vec<(String, TaskState)>) {
    let mut link = master.link().await;
    let FromAgent::Reregister { agent, inventory } = link.next().await else {
        panic!("it comes back under its id")
    };
    let agent_id = AgentId::new(AGENT).unwrap();
    assert_eq!(agent.id.as_ref(), Some(&agent_id));
    link.say(ToAgent::Reregistered {
        agent_id,
        total_ping_timeout: Duration::from_secs(75),
        reconcile: Vec::new(),
    })
    .await;
    let tasks = inventory
        .tasks
        .iter()
        .map(|task| (task.task_id.to_string(), task.state))
        .collect();
    (link, tasks)
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_survive_kill_9_of_the_agent_with_their_processes() {
    let (home, mut master) = (Home::new(), Master::start().await);
    let agent = Process::start(&home, master.address).await;
    let mut link = master.registered(AGENT).await;
    run(&mut link, &command("long", "sleep 1000", "")).await;
    run(
        &mut link,
        &command("short", "while [ ! -e go ]; do sleep 0.02; done", ""),
    )
    .await;
    for _ in 0..4 {
        link.update().await;
    }
    let pid = pid_of(agent.address, "long").await;
    let runs = |task: &str| {
        home.work_dir().join(format!(
            "slaves/{AGENT}/frameworks/{FRAMEWORK}/executors/{task}/runs/latest"
        ))
    };
    let sandbox = eventually("the sandbox", async || std::fs::canonicalize(runs("short")).ok()).await;
    agent.kill().await;
    // It ends while there is no agent.
    std::fs::write(sandbox.join("go"), b"").unwrap();

    let agent = Process::start(&home, master.address).await;
    let (mut link, tasks) = reregistered(&mut master).await;
    assert!(
        tasks
            .iter()
            .any(|(id, state)| id == "long" && *state == TaskState::Running),
        "{tasks:?}"
    );
    let last = link.until(TaskState::Finished).await.pop().unwrap().status;
    assert_eq!(last.task_id.as_str(), "short");
    assert_eq!(last.message.as_deref(), Some("Command exited with status 0"));
    assert_eq!(pid_of(agent.address, "long").await, pid);
    let state = get(agent.address, "/state").await.json();
    assert_eq!(state["id"], AGENT);
    link.say(ToAgent::KillTask {
        framework_id: framework_id(),
        task_id: TaskId::new("long").unwrap(),
        kill_policy: bytes::Bytes::new(),
        grace: None,
    })
    .await;
    link.until(TaskState::Killed).await;
    agent.signal(Signal::SIGUSR2);
    assert_eq!(agent.ends().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_that_was_not_acknowledged_is_told_again_by_the_next_life() {
    let (home, mut master) = (Home::new(), Master::start().await);
    let agent = Process::start(&home, master.address).await;
    let mut link = master.registered(AGENT).await;
    run(&mut link, &command("t", "true", "")).await;
    let first = link.unacknowledged().await;
    assert_eq!(first.status.state, TaskState::Starting);
    eventually("the task ended", async || {
        let answer = post(agent.address, "/api/v1", r#"{"type":"GET_TASKS"}"#).await;
        (answer.json()["get_tasks"]["terminated_tasks"].as_array()?.len() == 1).then_some(())
    })
    .await;
    agent.kill().await;

    let agent = Process::start(&home, master.address).await;
    let (mut link, _) = reregistered(&mut master).await;
    let seen = link.until(TaskState::Finished).await;
    assert_eq!(
        states(&seen),
        [TaskState::Starting, TaskState::Running, TaskState::Finished]
    );
    assert_eq!(
        seen[0].status.uuid, first.status.uuid,
        "the same update, not a new one"
    );
    agent.signal(Signal::SIGUSR2);
    assert_eq!(agent.ends().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_leaves_tasks_running_and_the_next_life_finds_them() {
    let (home, mut master) = (Home::new(), Master::start().await);
    let agent = Process::start(&home, master.address).await;
    let mut link = master.registered(AGENT).await;
    run(&mut link, &command("long", "sleep 1000", "")).await;
    link.until(TaskState::Running).await;
    let pid = pid_of(agent.address, "long").await;
    agent.signal(Signal::SIGTERM);
    assert_eq!(agent.ends().await, 0);
    assert!(std::path::Path::new(&format!("/proc/{pid}")).exists());

    let agent = Process::start(&home, master.address).await;
    reregistered(&mut master).await;
    assert_eq!(pid_of(agent.address, "long").await, pid);
    agent.signal(Signal::SIGUSR2);
    assert_eq!(agent.ends().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_agent_ends_its_tasks_and_the_next_life_tells_so() {
    let (home, mut master) = (Home::new(), Master::start().await);
    let agent = Process::start(&home, master.address).await;
    let mut link = master.registered(AGENT).await;
    run(&mut link, &command("long", "sleep 1000", "")).await;
    link.until(TaskState::Running).await;
    let pid = pid_of(agent.address, "long").await;
    drop(link);
    master.stop().await;
    agent.signal(Signal::SIGUSR2);
    assert_eq!(agent.ends().await, 0);
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());

    let mut master = Master::start().await;
    let agent = Process::start(&home, master.address).await;
    let (mut link, _) = reregistered(&mut master).await;
    let last = link.until(TaskState::Killed).await.pop().unwrap();
    assert_eq!(last.status.task_id.as_str(), "long");
    agent.signal(Signal::SIGUSR2);
    assert_eq!(agent.ends().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_supervisor_is_replaced_and_what_nobody_saw_is_told_as_unknown() {
    let (home, mut master) = (Home::new(), Master::start().await);
    let agent = Process::start(&home, master.address).await;
    let mut link = master.registered(AGENT).await;
    run(&mut link, &command("long", "exec sleep 1000", "")).await;
    link.until(TaskState::Running).await;
    let pid = pid_of(agent.address, "long").await;
    let supervisors = home.supervisors();
    for supervisor in &supervisors {
        // A launcher may have ended with its supervisor already.
        let _ = kill(Pid::from_raw(*supervisor), Signal::SIGKILL);
    }
    eventually("another supervisor", async || {
        let now = home.supervisors();
        (!now.is_empty() && now.iter().all(|one| !supervisors.contains(one))).then_some(())
    })
    .await;
    assert_eq!(pid_of(agent.address, "long").await, pid, "the task goes on");
    run(&mut link, &command("next", "true", "")).await;
    link.until(TaskState::Finished).await;
    kill(Pid::from_raw(i32::try_from(pid).unwrap()), Signal::SIGKILL).unwrap();
    let last = link.until(TaskState::Failed).await.pop().unwrap().status;
    assert!(last.message.as_deref().unwrap().contains("unknown"), "{last:?}");
    agent.signal(Signal::SIGUSR2);
    assert_eq!(agent.ends().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn sigusr1_unregisters_and_ends_the_tasks() {
    let (home, mut master) = (Home::new(), Master::start().await);
    let agent = Process::start(&home, master.address).await;
    let mut link = master.registered(AGENT).await;
    run(&mut link, &command("long", "sleep 1000", "")).await;
    link.until(TaskState::Running).await;
    let pid = pid_of(agent.address, "long").await;
    agent.signal(Signal::SIGUSR1);
    while link.next().await != FromAgent::Unregister {}
    assert_eq!(agent.ends().await, 0);
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn removing_the_latest_link_makes_a_new_agent() {
    let (home, mut master) = (Home::new(), Master::start().await);
    let agent = Process::start(&home, master.address).await;
    let _link = master.registered(AGENT).await;
    let latest = home.work_dir().join("meta/slaves/latest");
    eventually("the link is there", async || latest.exists().then_some(())).await;
    agent.signal(Signal::SIGTERM);
    assert_eq!(agent.ends().await, 0);
    std::fs::remove_file(&latest).unwrap();
    let agent = Process::start(&home, master.address).await;
    let mut link = master.link().await;
    assert!(matches!(link.next().await, FromAgent::Register { .. }));
    agent.kill().await;
}
