//! Command tasks from order to end.

use crate::http::{get, post};
use crate::master::{Master, states};
use crate::world::{AGENT, FRAMEWORK, Home, command, eventually, framework_id, run};
use meseta_proto::convert;
use meseta_types::link::{FromAgent, ToAgent};
use meseta_types::task::{Reason, Source, TaskState};
use meseta_types::{AgentId, TaskId};

#[tokio::test(flavor = "multi_thread")]
async fn a_command_runs_and_its_output_can_be_read() {
    let (home, mut master) = (Home::new(), Master::start().await);
    let agent = home.agent(master.address).await;
    let mut link = master.registered(AGENT).await;
    run(&mut link, &command("t1", "echo hello; echo oops >&2", "")).await;

    let seen = link.until(TaskState::Finished).await;
    assert_eq!(
        states(&seen),
        [TaskState::Starting, TaskState::Running, TaskState::Finished]
    );
    let last = &seen[2].status;
    assert_eq!(last.message.as_deref(), Some("Command exited with status 0"));
    assert_eq!(last.agent_id, Some(AgentId::new(AGENT).unwrap()));
    assert_eq!(last.source, Source::Executor);
    let container = convert::status::to_proto(last).container_status.unwrap();
    assert!(container.executor_pid.is_some());
    let container = container.container_id.unwrap().value;

    let runs = format!("/frameworks/{FRAMEWORK}/executors/t1/runs/latest");
    let answer = get(
        agent.address(),
        &format!("/files/read?path={runs}/stdout&offset=0"),
    )
    .await;
    assert_eq!(answer.text(), r#"{"data":"hello\n","offset":0}"#);
    let real = home.work_dir().join(format!(
        "slaves/{AGENT}/frameworks/{FRAMEWORK}/executors/t1/runs/{container}"
    ));
    let body = format!(
        r#"{{"type":"READ_FILE","read_file":{{"path":"{}/stderr","offset":0}}}}"#,
        real.display()
    );
    let answer = post(agent.address(), "/api/v1", &body).await;
    assert_eq!(
        answer.text(),
        r#"{"type":"READ_FILE","read_file":{"size":5,"data":"b29wcwo="}}"#
    );
    let latest = real.with_file_name("latest");
    eventually("the latest link", async || {
        (std::fs::read_link(&latest).ok()?.as_os_str() == real.file_name()?).then_some(())
    })
    .await;
    agent.drain().await;
    agent.join().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_command_fails_and_a_killed_one_is_killed() {
    let (home, mut master) = (Home::new(), Master::start().await);
    let agent = home.agent(master.address).await;
    let mut link = master.registered(AGENT).await;
    run(&mut link, &command("bad", "exit 3", "")).await;
    let seen = link.until(TaskState::Failed).await;
    let last = &seen.last().unwrap().status;
    assert_eq!(last.message.as_deref(), Some("Command exited with status 3"));
    assert_eq!(last.reason, None);

    run(&mut link, &command("long", "exec sleep 1000", "")).await;
    link.until(TaskState::Running).await;
    link.say(ToAgent::KillTask {
        framework_id: framework_id(),
        task_id: TaskId::new("long").unwrap(),
        kill_policy: bytes::Bytes::new(),
        grace: None,
    })
    .await;
    let seen = link.until(TaskState::Killed).await;
    assert_eq!(
        seen.last().unwrap().status.message.as_deref(),
        Some("Command terminated with signal Terminated")
    );
    agent.drain().await;
    agent.join().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_launched_is_told_with_its_reason() {
    let (home, mut master) = (Home::new(), Master::start().await);
    let agent = home.agent(master.address).await;
    let mut link = master.registered(AGENT).await;
    let docker = r#","container":{"type":"DOCKER","docker":{"image":"busybox"}}"#;
    run(&mut link, &command("docker", "true", docker)).await;
    let last = link.until(TaskState::Failed).await.pop().unwrap().status;
    assert_eq!(last.reason, Some(Reason::CONTAINER_LAUNCH_FAILED));
    assert_eq!(last.source, Source::Agent);
    let text = last.message.unwrap();
    assert!(
        text.starts_with("Failed to launch container: ") && text.contains("DOCKER"),
        "{text}"
    );

    let mut fetch = command("fetch", "true", "");
    fetch.command.as_mut().unwrap().uris = vec![meseta_proto::mesos::v1::command_info::Uri {
        value: "/no/such/file".to_owned(),
        ..Default::default()
    }];
    run(&mut link, &fetch).await;
    let last = link.until(TaskState::Failed).await.pop().unwrap().status;
    assert_eq!(last.reason, Some(Reason::CONTAINER_LAUNCH_FAILED));
    agent.drain().await;
    agent.join().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn health_is_told_and_a_check_that_keeps_failing_kills() {
    let (home, mut master) = (Home::new(), Master::start().await);
    let agent = home.agent(master.address).await;
    let mut link = master.registered(AGENT).await;
    let check = r#","health_check":{"type":"COMMAND","command":{"value":"test ! -e sick"},"delay_seconds":0,
        "interval_seconds":0.05,"grace_period_seconds":0,"consecutive_failures":2}"#;
    run(&mut link, &command("h", "sleep 1000", check)).await;
    let healthy = loop {
        let update = link.update().await.status;
        if update.healthy.is_some() {
            break update;
        }
    };
    assert_eq!(healthy.healthy, Some(true));
    assert_eq!(healthy.reason, Some(Reason::TASK_HEALTH_CHECK_STATUS_UPDATED));
    let sandbox = home.work_dir().join(format!(
        "slaves/{AGENT}/frameworks/{FRAMEWORK}/executors/h/runs/latest"
    ));
    let sick = eventually("the sandbox", async || std::fs::canonicalize(&sandbox).ok()).await;
    std::fs::write(sick.join("sick"), b"").unwrap();
    let last = link.until(TaskState::Killed).await.pop().unwrap().status;
    assert_eq!(last.healthy, Some(false));
    agent.drain().await;
    agent.join().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_master_is_found_again_and_hears_what_it_missed() {
    let (home, mut master) = (Home::new(), Master::start().await);
    let agent = home.agent(master.address).await;
    let mut link = master.registered(AGENT).await;
    run(
        &mut link,
        &command("t", "while [ ! -e go ]; do sleep 0.02; done", ""),
    )
    .await;
    link.until(TaskState::Running).await;
    let address = master.address;
    master.stop().await;
    drop(link);
    let go = home.work_dir().join(format!(
        "slaves/{AGENT}/frameworks/{FRAMEWORK}/executors/t/runs/latest"
    ));
    let sandbox = eventually("the sandbox", async || std::fs::canonicalize(&go).ok()).await;
    std::fs::write(sandbox.join("go"), b"").unwrap();

    let mut master = Master::at(address).await;
    let mut link = master.link().await;
    let FromAgent::Reregister {
        agent: spec,
        inventory,
    } = link.next().await
    else {
        panic!("an agent that was registered comes back")
    };
    assert_eq!(spec.id, Some(AgentId::new(AGENT).unwrap()));
    assert_eq!(inventory.frameworks.len(), 1);
    assert_eq!(inventory.tasks.len(), 1);
    link.say(ToAgent::Reregistered {
        agent_id: AgentId::new(AGENT).unwrap(),
        total_ping_timeout: std::time::Duration::from_secs(75),
        reconcile: Vec::new(),
    })
    .await;
    link.until(TaskState::Finished).await;
    agent.drain().await;
    agent.join().await;
}
