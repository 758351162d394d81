//! The scheduler API over gRPC.

use crate::agent::Agent;
use crate::support::{Master, within};
use meseta_proto::meseta::scheduler::v1::scheduler_client::SchedulerClient;
use meseta_proto::meseta::scheduler::v1::{CallRequest, Calls, Down, Hello, Up, down, up};
use meseta_proto::mesos::v1::scheduler::event::Type;
use meseta_proto::mesos::v1::scheduler::{Call, Event};
use meseta_proto::{binary, json};
use meseta_types::link::ToAgent;
use std::collections::VecDeque;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

struct Conversation {
    ups: mpsc::Sender<Up>,
    downs: Streaming<Down>,
    events: VecDeque<Event>,
    stream_id: String,
    framework_id: String,
}

/// A call from its JSON form, encoded.
fn call(text: &str) -> bytes::Bytes {
    json::to_protobuf::<Call>(text.as_bytes()).unwrap().into()
}

async fn hello(master: &Master, subscribe: bytes::Bytes) -> (mpsc::Sender<Up>, Streaming<Down>) {
    let mut client = SchedulerClient::new(master.channel().await);
    let (ups, outgoing) = mpsc::channel(16);
    let hello = Hello {
        subscribe,
        ..Default::default()
    };
    ups.send(Up {
        body: Some(up::Body::Hello(hello)),
    })
    .await
    .unwrap();
    let downs = client
        .connect(ReceiverStream::new(outgoing))
        .await
        .unwrap()
        .into_inner();
    (ups, downs)
}

async fn next(downs: &mut Streaming<Down>) -> Result<Option<down::Body>, Status> {
    let message = within("a message to the scheduler", downs.message()).await?;
    Ok(message.and_then(|down| down.body))
}

impl Conversation {
    async fn begin(master: &Master) -> Conversation {
        let (ups, mut downs) = hello(master, call(crate::support::SUBSCRIBE)).await;
        let Some(down::Body::Welcome(welcome)) = next(&mut downs).await.unwrap() else {
            panic!("no Welcome");
        };
        let mut conversation = Conversation {
            ups,
            downs,
            events: VecDeque::new(),
            stream_id: welcome.stream_id,
            framework_id: String::new(),
        };
        let subscribed = conversation.event(Type::Subscribed).await;
        conversation.framework_id = subscribed.subscribed.unwrap().framework_id.value;
        conversation
    }

    async fn event(&mut self, r#type: Type) -> Event {
        loop {
            while let Some(event) = self.events.pop_front() {
                if event.r#type() == r#type {
                    return event;
                }
            }
            self.more_events().await;
        }
    }

    async fn more_events(&mut self) {
        if let Some(down::Body::Events(batch)) = next(&mut self.downs).await.unwrap() {
            self.events.extend(
                batch
                    .events
                    .iter()
                    .map(|event| binary::decode::<Event>(event).unwrap()),
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_are_answered_and_events_come_in_batches() {
    let master = Master::start().await;
    let (mut agent, agent_id) = Agent::register(&master).await;
    let mut scheduler = Conversation::begin(&master).await;
    let offers = scheduler.event(Type::Offers).await.offers.unwrap();
    let framework = format!(r#""framework_id":{{"value":"{}"}}"#, scheduler.framework_id);
    let accept = format!(
        r#"{{{framework},"type":"ACCEPT","accept":{{"offer_ids":[{{"value":"{}"}}],"operations":[{{"type":"LAUNCH","launch":{{"task_infos":[{{"name":"t","task_id":{{"value":"t"}},"agent_id":{{"value":"{agent_id}"}},"command":{{"value":"true"}},"resources":[{{"name":"cpus","type":"SCALAR","scalar":{{"value":1}}}}]}}]}}}}]}}}}"#,
        offers.offers[0].id.value
    );
    let calls = Calls {
        first_seq: 10,
        calls: vec![
            call(&accept),
            call(&format!(r#"{{{framework},"type":"SUPPRESS"}}"#)),
            call(&format!(r#"{{{framework},"type":"KILL"}}"#)),
            call(r#"{"framework_id":{"value":"nope"},"type":"REVIVE"}"#),
        ],
    };
    scheduler
        .ups
        .send(Up {
            body: Some(up::Body::Calls(calls)),
        })
        .await
        .unwrap();
    let (mut accepted, mut refused) = (Vec::new(), Vec::new());
    while accepted.len() + refused.len() < 4 {
        if let Some(down::Body::Replies(replies)) = next(&mut scheduler.downs).await.unwrap() {
            accepted.extend(replies.accepted.iter().flat_map(|range| range.begin..=range.end));
            refused.extend(replies.refused);
        }
    }
    assert_eq!(accepted, [10, 11]);
    assert_eq!(
        (refused[0].call_seq, refused[0].code, refused[0].field.as_str()),
        (12, 400, "kill")
    );
    assert_eq!(
        (refused[1].call_seq, refused[1].text.as_str()),
        (13, "Framework cannot be found")
    );
    assert!(matches!(agent.hear().await, ToAgent::RunTask { .. }));

    let mut tool = SchedulerClient::new(master.channel().await);
    let mut request = CallRequest {
        stream_id: scheduler.stream_id.clone(),
        call: call(&format!(r#"{{{framework},"type":"REVIVE"}}"#)),
    };
    let reply = tool.call(request.clone()).await.unwrap().into_inner();
    assert_eq!(reply.refused, None);
    request.stream_id = "other".to_owned();
    let reply = tool.call(request).await.unwrap().into_inner();
    assert_eq!(reply.refused.unwrap().reason, "other-stream");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_says_why_it_ends() {
    let master = Master::start().await;
    let mut scheduler = Conversation::begin(&master).await;
    let id = &scheduler.framework_id;
    let again = crate::support::SUBSCRIBE
        .replace(
            "\"name\":\"f\"",
            &format!("\"name\":\"f\",\"id\":{{\"value\":\"{id}\"}}"),
        )
        .replace(
            "\"type\":\"SUBSCRIBE\"",
            &format!("\"type\":\"SUBSCRIBE\",\"framework_id\":{{\"value\":\"{id}\"}}"),
        );
    let (_ups, _second) = hello(&master, call(&again)).await;
    let error = scheduler.event(Type::Error).await;
    assert_eq!(error.error.unwrap().message, "Framework failed over");
    let Some(down::Body::Bye(bye)) = next(&mut scheduler.downs).await.unwrap() else {
        panic!("no Bye");
    };
    assert_eq!((bye.code, bye.text.as_str()), (409, "Framework failed over"));
    assert_eq!(
        next(&mut scheduler.downs).await.unwrap_err().code(),
        Code::Aborted
    );

    let (_ups, mut downs) = hello(&master, call(r#"{"framework_id":{"value":"x"},"type":"REVIVE"}"#)).await;
    assert!(matches!(next(&mut downs).await, Ok(Some(down::Body::Welcome(_)))));
    assert!(matches!(next(&mut downs).await, Ok(Some(down::Body::Bye(bye))) if bye.code == 400));
    assert_eq!(next(&mut downs).await.unwrap_err().code(), Code::InvalidArgument);
}
