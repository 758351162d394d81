//! The client over real sockets and all three wires, against a master made of strings.
#![allow(clippy::unwrap_used)]

#[path = "support/fake.rs"]
mod fake;

use fake::{Answer, Fake, PATIENCE, TRANSPORTS, error, offer, offers, update};
use meseta_proto::mesos::v1::scheduler::call::Type;
use meseta_sdk::driver::Exit;
use meseta_sdk::task::Task;
use meseta_sdk::{CallError, Client, Config, Event, Events, Framework, IdentityStore, Stop, Transport};
use meseta_types::TaskId;
use std::time::Duration;

fn config(fake: &Fake, transport: Transport) -> Config {
    let framework = Framework::failover("test", Duration::from_secs(60)).roles(["a"]);
    Config::new(framework, &fake.address.to_string())
        .unwrap()
        .transport(transport)
}

async fn start(transport: Transport) -> (Fake, Client, Events) {
    let fake = Fake::start(transport).await;
    let (client, events) = Client::start(config(&fake, transport)).await.unwrap();
    (fake, client, events)
}

/// The next event that fits; others before it are let go.
async fn until<T>(events: &mut Events, pick: impl Fn(Event) -> Option<T>) -> T {
    let look = async {
        loop {
            let event = events.next().await.expect("the client has ended");
            if let Some(found) = pick(event) {
                return found;
            }
        }
    };
    tokio::time::timeout(PATIENCE, look)
        .await
        .expect("the event did not come")
}

async fn offered(events: &mut Events) -> Vec<meseta_sdk::Offer> {
    until(events, |e| match e {
        Event::Offers(offers) => Some(offers),
        _ => None,
    })
    .await
}

async fn subscribed(events: &mut Events) {
    until(events, |e| matches!(e, Event::Subscribed(_)).then_some(())).await;
}

#[tokio::test]
async fn a_framework_lives_over_every_wire() {
    for transport in TRANSPORTS {
        let (mut fake, client, mut events) = start(transport).await;
        let stream = fake.subscribed().await;
        let info = stream.subscribe.subscribe.clone().unwrap().framework_info;
        assert_eq!(info.id.unwrap().value, client.framework_id().as_str());
        subscribed(&mut events).await;

        stream.say(offers(vec![offer("o1", "a"), offer("o2", "b")])).await;
        let mut got = offered(&mut events).await;
        let (second, first) = (got.pop().unwrap(), got.pop().unwrap());
        second.decline(Duration::from_secs(7));
        let decline = fake.call().await;
        assert_eq!(decline.r#type(), Type::Decline);
        assert_eq!(
            decline.decline.unwrap().filters.unwrap().refuse_seconds,
            Some(7.0)
        );

        let task = Task::shell("t1", "true").build(&first.agent_id, vec![]);
        client
            .launch(vec![first], vec![task], Duration::ZERO)
            .await
            .unwrap();
        let accept = fake.call().await.accept.unwrap();
        assert_eq!(accept.offer_ids[0].value, "o1");
        assert_eq!(
            accept.operations[0].launch.as_ref().unwrap().task_infos[0]
                .task_id
                .value,
            "t1"
        );

        stream.say(update("t1", Some(9))).await;
        let update = until(&mut events, |e| match e {
            Event::Update(update) => Some(update),
            _ => None,
        })
        .await;
        update.ack();
        let ack = fake.call().await.acknowledge.unwrap();
        assert_eq!((ack.task_id.value.as_str(), &ack.uuid[..]), ("t1", &[9; 16][..]));

        let stopping = tokio::spawn(async move { client.stop(Stop::Teardown).await });
        assert_eq!(fake.call().await.r#type(), Type::Teardown);
        drop(stream);
        assert_eq!(stopping.await.unwrap(), Exit::TornDown);
        let last = until(&mut events, |e| match e {
            Event::Stopped(exit) => Some(exit),
            _ => None,
        })
        .await;
        assert_eq!(last, Exit::TornDown);
        assert!(events.next().await.is_none());
    }
}

#[tokio::test]
async fn an_offer_that_is_dropped_is_declined_and_declines_of_one_lane_share_a_call() {
    for transport in TRANSPORTS {
        let (mut fake, _client, mut events) = start(transport).await;
        let stream = fake.subscribed().await;
        stream
            .say(offers(vec![offer("o1", "a"), offer("o2", "a"), offer("o3", "a")]))
            .await;
        drop(offered(&mut events).await);
        let decline = fake.call().await.decline.unwrap();
        assert_eq!(decline.offer_ids.len(), 3);
        let refuse = decline.filters.unwrap().refuse_seconds.unwrap();
        assert!((24.0..=36.0).contains(&refuse), "{refuse}");
    }
}

#[tokio::test]
async fn the_leader_is_found_by_redirect() {
    for transport in TRANSPORTS {
        let mut leader = Fake::start(transport).await;
        let follower = Fake::start(transport).await;
        follower.will(Answer::Moved(leader.address.to_string()));
        let (_client, mut events) = Client::start(config(&follower, transport)).await.unwrap();
        let _stream = leader.subscribed().await;
        subscribed(&mut events).await;
    }
}

#[tokio::test]
async fn a_lost_stream_is_replaced_and_what_belonged_to_it_is_void() {
    for transport in TRANSPORTS {
        let (mut fake, client, mut events) = start(transport).await;
        let stream = fake.subscribed().await;
        stream.say(offers(vec![offer("o1", "a")])).await;
        let old = offered(&mut events).await;
        drop(stream);
        until(&mut events, |e| {
            matches!(e, Event::Disconnected { .. }).then_some(())
        })
        .await;
        let second = fake.subscribed().await;
        assert_eq!(
            second.subscribe.framework_id.as_ref().unwrap().value,
            client.framework_id().as_str()
        );
        subscribed(&mut events).await;
        let refused = client.launch(old, vec![], Duration::ZERO).await;
        assert_eq!(refused.unwrap_err(), CallError::Stale);
        // The next call that comes is this one: neither the launch nor a decline of the old offer went out.
        client.revive(vec![]).await.unwrap();
        assert_eq!(fake.call().await.r#type(), Type::Revive);
    }
}

#[tokio::test]
async fn a_master_that_is_not_ready_is_asked_again() {
    for transport in TRANSPORTS {
        let fake = Fake::start(transport).await;
        fake.will(Answer::No(503, "Master has not finished recovery".into()));
        let (_client, mut events) = Client::start(config(&fake, transport)).await.unwrap();
        let why = until(&mut events, |e| match e {
            Event::Disconnected { why, .. } => Some(why),
            _ => None,
        })
        .await;
        assert_eq!(why, "Master has not finished recovery");
        let mut fake = fake;
        let _stream = fake.subscribed().await;
        subscribed(&mut events).await;
    }
}

#[tokio::test]
async fn refusals_come_back_to_their_callers_and_final_ones_end_the_client() {
    for transport in TRANSPORTS {
        let (mut fake, client, mut events) = start(transport).await;
        let stream = fake.subscribed().await;
        subscribed(&mut events).await;
        fake.will(Answer::No(400, "Failed to validate scheduler::Call: no".into()));
        let refused = client.kill(&TaskId::new("t").unwrap(), None, None).await;
        let text = "Failed to validate scheduler::Call: no".to_owned();
        assert_eq!(refused, Err(CallError::Refused { code: 400, text }));

        stream.say(error("Framework failed over")).await;
        let exit = until(&mut events, |e| match e {
            Event::Stopped(exit) => Some(exit),
            _ => None,
        })
        .await;
        assert_eq!(exit, Exit::FailedOver);
        assert_eq!(client.revive(vec![]).await, Err(CallError::Stopped));
    }
}

#[tokio::test]
async fn missing_credentials_end_the_client() {
    for transport in TRANSPORTS {
        let fake = Fake::start(transport).await;
        fake.will(Answer::No(401, "401 Unauthorized.".into()));
        let (_client, mut events) = Client::start(config(&fake, transport)).await.unwrap();
        let exit = until(&mut events, |e| match e {
            Event::Stopped(exit) => Some(exit),
            _ => None,
        })
        .await;
        assert_eq!(exit, Exit::Unauthorized("401 Unauthorized.".into()));
    }
}

#[tokio::test]
async fn a_reader_that_does_not_read_loses_nothing_but_offers_beyond_the_bound() {
    for transport in TRANSPORTS {
        let (mut fake, _client, mut events) = start(transport).await;
        let stream = fake.subscribed().await;
        for n in 0..3_000 {
            stream
                .say(offers(vec![offer(&format!("o{n}"), &format!("a{n}"))]))
                .await;
        }
        for n in 0..200u8 {
            stream.say(update(&format!("t{n}"), Some(n))).await;
        }
        // The client reads on without its author: what it has no room for comes back as declines.
        assert_eq!(fake.call().await.r#type(), Type::Decline);
        let mut seen = std::collections::BTreeSet::new();
        while seen.len() < 200 {
            let task = until(&mut events, |e| match e {
                Event::Update(update) => Some(update.status.task_id.value.clone()),
                _ => None,
            })
            .await;
            seen.insert(task);
        }
    }
}

#[tokio::test]
async fn the_stored_id_is_used_by_the_next_run() {
    let dir = tempfile::tempdir().unwrap();
    let transport = TRANSPORTS[1];
    let mut ids = Vec::new();
    for _ in 0..2 {
        let mut fake = Fake::start(transport).await;
        let store = IdentityStore::File(dir.path().join("id.json"));
        let (client, mut events) = Client::start(config(&fake, transport).identity(store))
            .await
            .unwrap();
        let _stream = fake.subscribed().await;
        subscribed(&mut events).await;
        ids.push(client.framework_id().clone());
        assert_eq!(client.stop(Stop::Failover).await, Exit::Stopped);
    }
    assert_eq!(ids[0], ids[1]);
}

#[tokio::test]
async fn when_the_last_handle_or_the_reader_goes_the_client_ends() {
    for transport in TRANSPORTS {
        let (mut fake, client, events) = start(transport).await;
        let stream = fake.subscribed().await;
        drop(events);
        tokio::time::timeout(PATIENCE, stream.events.closed())
            .await
            .unwrap();
        assert_eq!(client.stop(Stop::Abort).await, Exit::Stopped);

        let (mut fake, client, mut events) = start(transport).await;
        let _stream = fake.subscribed().await;
        subscribed(&mut events).await;
        drop(client);
        until(&mut events, |e| matches!(e, Event::Stopped(_)).then_some(())).await;
    }
}
