//! A master made of strings: it takes what clients send, and says what the test tells it to. It knows no semantics;
//! those are tested against the real master elsewhere.
#![allow(clippy::unwrap_used, dead_code, unreachable_pub)]

mod grpc;
mod http;

use meseta_proto::mesos::v1;
use meseta_proto::mesos::v1::scheduler::{Call, Event, event};
use meseta_sdk::{Encoding, Transport};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::sync::mpsc;

/// Longer than any loaded machine takes; only a broken test waits this long.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Every way to speak to a master.
pub const TRANSPORTS: [Transport; 3] = [
    Transport::Http(Encoding::Json),
    Transport::Http(Encoding::Protobuf),
    Transport::Grpc,
];

/// How a call or a subscription is answered.
#[derive(Clone, Debug)]
pub enum Answer {
    /// 202, or 200 and a stream.
    Yes,
    /// A status and its text.
    No(u16, String),
    /// 307.
    Moved(String),
}

/// One subscription, seen from the master.
pub struct Stream {
    /// The SUBSCRIBE call.
    pub subscribe: Call,
    pub events: mpsc::Sender<Event>,
}

impl Stream {
    pub async fn say(&self, event: Event) {
        self.events.send(event).await.unwrap();
    }

    /// SUBSCRIBED with the id the client asked for.
    pub async fn welcome(&self) {
        let id = self.subscribe.framework_id.clone().unwrap();
        self.say(Event {
            r#type: Some(event::Type::Subscribed as i32),
            subscribed: Some(event::Subscribed {
                framework_id: id,
                heartbeat_interval_seconds: Some(15.0),
                master_info: None,
            }),
            ..Default::default()
        })
        .await;
    }
}

pub struct Fake {
    pub address: SocketAddr,
    streams: mpsc::UnboundedReceiver<Stream>,
    calls: mpsc::UnboundedReceiver<Call>,
    answers: mpsc::UnboundedSender<Answer>,
    _server: tokio::task::JoinHandle<()>,
}

/// What both servers share.
#[derive(Clone)]
struct Desk {
    streams: mpsc::UnboundedSender<Stream>,
    calls: mpsc::UnboundedSender<Call>,
    /// Answers to come, `Yes` when there are none.
    answers: std::sync::Arc<tokio::sync::Mutex<mpsc::UnboundedReceiver<Answer>>>,
}

impl Desk {
    async fn answer(&self) -> Answer {
        self.answers.lock().await.try_recv().unwrap_or(Answer::Yes)
    }

    /// A new stream for the test to speak on.
    fn open(&self, subscribe: Call) -> mpsc::Receiver<Event> {
        let (events, queue) = mpsc::channel(16);
        let _ = self.streams.send(Stream { subscribe, events });
        queue
    }
}

impl Fake {
    pub async fn start(transport: Transport) -> Fake {
        let (streams_in, streams) = mpsc::unbounded_channel();
        let (calls_in, calls) = mpsc::unbounded_channel();
        let (answers, answers_out) = mpsc::unbounded_channel();
        let desk = Desk {
            streams: streams_in,
            calls: calls_in,
            answers: std::sync::Arc::new(tokio::sync::Mutex::new(answers_out)),
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = match transport {
            Transport::Http(_) => tokio::spawn(http::serve(listener, desk)),
            Transport::Grpc => tokio::spawn(grpc::serve(listener, desk)),
        };
        Fake {
            address,
            streams,
            calls,
            answers,
            _server: server,
        }
    }

    /// The next requests are answered like this.
    pub fn will(&self, answer: Answer) {
        self.answers.send(answer).unwrap();
    }

    pub async fn stream(&mut self) -> Stream {
        tokio::time::timeout(PATIENCE, self.streams.recv())
            .await
            .expect("no SUBSCRIBE came")
            .unwrap()
    }

    pub async fn call(&mut self) -> Call {
        tokio::time::timeout(PATIENCE, self.calls.recv())
            .await
            .expect("no call came")
            .unwrap()
    }

    /// A stream that has said SUBSCRIBED.
    pub async fn subscribed(&mut self) -> Stream {
        let stream = self.stream().await;
        stream.welcome().await;
        stream
    }
}

pub fn offer(id: &str, agent: &str) -> v1::Offer {
    v1::Offer {
        id: v1::OfferId { value: id.into() },
        framework_id: v1::FrameworkId { value: "f".into() },
        agent_id: v1::AgentId { value: agent.into() },
        hostname: "host".into(),
        ..Default::default()
    }
}

pub fn offers(offers: Vec<v1::Offer>) -> Event {
    Event {
        r#type: Some(event::Type::Offers as i32),
        offers: Some(event::Offers { offers }),
        ..Default::default()
    }
}

pub fn update(task: &str, uuid: Option<u8>) -> Event {
    Event {
        r#type: Some(event::Type::Update as i32),
        update: Some(event::Update {
            status: v1::TaskStatus {
                task_id: v1::TaskId { value: task.into() },
                state: v1::TaskState::TaskRunning as i32,
                agent_id: Some(v1::AgentId { value: "a".into() }),
                uuid: uuid.map(|u| vec![u; 16].into()),
                ..Default::default()
            },
        }),
        ..Default::default()
    }
}

pub fn error(message: &str) -> Event {
    Event {
        r#type: Some(event::Type::Error as i32),
        error: Some(event::Error {
            message: message.into(),
        }),
        ..Default::default()
    }
}
