//! A framework's life on the SDK against a real cluster, over every wire.
#![allow(clippy::unwrap_used)]

#[path = "support/cluster.rs"]
mod cluster;

use cluster::{PATIENCE, Up, signal_pid};
use meseta_sdk::proto::{TaskState, TaskStatus};
use meseta_sdk::task::{Needs, Task};
use meseta_sdk::{
    Client, Config, Encoding, Event, Events, Exit, Framework, IdentityStore, Offer, Stop, Transport,
};
use meseta_types::{AgentId, TaskId};
use nix::sys::signal::Signal;
use std::time::Duration;

const TRANSPORTS: [Transport; 3] = [
    Transport::Http(Encoding::Json),
    Transport::Http(Encoding::Protobuf),
    Transport::Grpc,
];

async fn start(up: &Up, transport: Transport, identity: IdentityStore) -> (Client, Events) {
    let framework = Framework::failover("sdk-test", Duration::from_secs(300));
    let config = Config::new(framework, &up.ports.master()).unwrap();
    Client::start(config.transport(transport).identity(identity))
        .await
        .unwrap()
}

/// The next event that fits; updates on the way are acknowledged.
async fn until<T>(events: &mut Events, what: &str, mut pick: impl FnMut(&mut Event) -> Option<T>) -> T {
    let mut seen = Vec::new();
    let look = async {
        while let Some(mut event) = events.next().await {
            seen.push(format!("{event:?}").chars().take(200).collect::<String>());
            let found = pick(&mut event);
            if let Event::Update(update) = event {
                update.ack();
            }
            if let Some(found) = found {
                return found;
            }
        }
        panic!("the client has ended");
    };
    match tokio::time::timeout(PATIENCE, look).await {
        Ok(found) => found,
        Err(_) => panic!("{what}: {seen:#?}"),
    }
}

async fn subscribed(events: &mut Events) {
    until(events, "subscribed", |e| {
        matches!(e, Event::Subscribed(_)).then_some(())
    })
    .await;
}

async fn one_offer(events: &mut Events) -> Offer {
    until(events, "an offer", |e| match e {
        Event::Offers(offers) => offers.pop(),
        _ => None,
    })
    .await
}

async fn state(events: &mut Events, task: &TaskId, state: TaskState) -> TaskStatus {
    until(events, state.as_str_name(), |e| match e {
        Event::Update(u) if u.status.task_id.value == task.as_str() && u.status.state() == state => {
            Some(u.status.clone())
        }
        _ => None,
    })
    .await
}

async fn launch(client: &Client, offer: Offer, task: Task) -> AgentId {
    let needs = Needs {
        cpus: 0.1,
        mem: 32.0,
        ..Default::default()
    };
    let resources = needs.cut_from(&offer.resources).unwrap();
    let agent = offer.agent_id.value.parse().unwrap();
    let info = task.build(&offer.agent_id, resources);
    client
        .launch(vec![offer], vec![info], Duration::ZERO)
        .await
        .unwrap();
    agent
}

#[tokio::test]
async fn tasks_are_launched_told_about_killed_and_reconciled_over_every_wire() {
    let up = Up::start(&["--no-service", "--no-cron"]);
    for (n, transport) in TRANSPORTS.into_iter().enumerate() {
        let (client, mut events) = start(&up, transport, IdentityStore::Ephemeral).await;
        subscribed(&mut events).await;
        let short = TaskId::new(format!("short-{n}")).unwrap();
        let offer = one_offer(&mut events).await;
        launch(&client, offer, Task::shell(short.as_str(), "exit 0")).await;
        state(&mut events, &short, TaskState::TaskFinished).await;

        let long = TaskId::new(format!("long-{n}")).unwrap();
        // Offers that came meanwhile were let go, which declined them for a while.
        client.revive(vec![]).await.unwrap();
        let offer = one_offer(&mut events).await;
        let agent = launch(&client, offer, Task::shell(long.as_str(), "sleep 1000")).await;
        state(&mut events, &long, TaskState::TaskRunning).await;
        client
            .reconcile([(long.clone(), Some(agent.clone()))])
            .await
            .unwrap();
        let told = state(&mut events, &long, TaskState::TaskRunning).await;
        assert!(
            told.uuid.is_none(),
            "a reconciliation's answer wants no acknowledgement"
        );
        client.kill(&long, Some(&agent), None).await.unwrap();
        state(&mut events, &long, TaskState::TaskKilled).await;
        assert_eq!(client.stop(Stop::Teardown).await, Exit::TornDown);
    }
}

#[tokio::test]
async fn a_framework_comes_back_with_its_id_and_finds_its_task() {
    let up = Up::start(&["--no-service", "--no-cron"]);
    for transport in TRANSPORTS {
        let file = IdentityStore::File(up.folder.path().join(format!("{transport:?}.json")));
        let (client, mut events) = start(&up, transport, file.clone()).await;
        subscribed(&mut events).await;
        let task = TaskId::new(format!("{}-t", client.framework_id())).unwrap();
        let offer = one_offer(&mut events).await;
        let agent = launch(&client, offer, Task::shell(task.as_str(), "sleep 1000")).await;
        state(&mut events, &task, TaskState::TaskRunning).await;
        assert_eq!(client.stop(Stop::Failover).await, Exit::Stopped);

        let (again, mut events) = start(&up, transport, file.clone()).await;
        assert_eq!(again.framework_id(), client.framework_id());
        subscribed(&mut events).await;
        again.reconcile([(task.clone(), Some(agent))]).await.unwrap();
        state(&mut events, &task, TaskState::TaskRunning).await;

        // A third process takes over; the second learns that it has lost the id, for good.
        let (third, mut latest) = start(&up, transport, file.clone()).await;
        subscribed(&mut latest).await;
        let exit = until(&mut events, "failed over", |e| match e {
            Event::Stopped(exit) => Some(exit.clone()),
            _ => None,
        })
        .await;
        assert_eq!(exit, Exit::FailedOver);
        assert_eq!(third.stop(Stop::Teardown).await, Exit::TornDown);

        // The id is used up.
        let (_gone, mut events) = start(&up, transport, file).await;
        let exit = until(&mut events, "removed", |e| match e {
            Event::Stopped(exit) => Some(exit.clone()),
            _ => None,
        })
        .await;
        assert_eq!(exit, Exit::Removed);
    }
}

#[tokio::test]
async fn a_framework_outlives_its_master() {
    let up = Up::start(&["--no-service", "--no-cron"]);
    for (n, transport) in TRANSPORTS.into_iter().enumerate() {
        let (client, mut events) = start(&up, transport, IdentityStore::Ephemeral).await;
        subscribed(&mut events).await;
        let task = TaskId::new(format!("survivor-{n}")).unwrap();
        let offer = one_offer(&mut events).await;
        let agent = launch(&client, offer, Task::shell(task.as_str(), "sleep 1000")).await;
        state(&mut events, &task, TaskState::TaskRunning).await;
        signal_pid(up.pids("master")[0], Signal::SIGKILL);
        until(&mut events, "disconnected", |e| {
            matches!(e, Event::Disconnected { .. }).then_some(())
        })
        .await;
        subscribed(&mut events).await;
        // Given while the agent may still be away: the master passes it on when the agent is back.
        client.revive(vec![]).await.unwrap();
        one_offer(&mut events).await;
        client.kill(&task, Some(&agent), None).await.unwrap();
        state(&mut events, &task, TaskState::TaskKilled).await;
        assert_eq!(client.stop(Stop::Teardown).await, Exit::TornDown);
    }
}
