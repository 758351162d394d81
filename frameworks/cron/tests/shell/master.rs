//! A master made of strings: it takes what the framework sends and says what the test tells it to.

use crate::support::within;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use meseta_http::{Body, listener};
use meseta_proto::body::MediaType;
use meseta_proto::mesos::v1;
use meseta_proto::mesos::v1::scheduler::call::Type;
use meseta_proto::mesos::v1::scheduler::{Call, Event, event};
use meseta_proto::recordio;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;

pub(crate) struct Master {
    pub(crate) address: SocketAddr,
    streams: mpsc::UnboundedReceiver<(Call, mpsc::Sender<Event>)>,
    calls: mpsc::UnboundedReceiver<Call>,
}

#[derive(Clone)]
struct Desk {
    streams: mpsc::UnboundedSender<(Call, mpsc::Sender<Event>)>,
    calls: mpsc::UnboundedSender<Call>,
    /// Ids of streams count up.
    subscriptions: Arc<Mutex<u64>>,
}

impl Master {
    pub(crate) async fn start() -> Master {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = tcp.local_addr().unwrap();
        let (streams_in, streams) = mpsc::unbounded_channel();
        let (calls_in, calls) = mpsc::unbounded_channel();
        let desk = Desk {
            streams: streams_in,
            calls: calls_in,
            subscriptions: Arc::default(),
        };
        tokio::spawn(listener::serve(
            tcp,
            move |request| answer(request, desk.clone()),
            std::future::pending(),
        ));
        Master {
            address,
            streams,
            calls,
        }
    }

    /// The next subscription, answered.
    pub(crate) async fn subscribed(&mut self) -> Stream {
        let (call, events) = within("SUBSCRIBE", self.streams.recv()).await.unwrap();
        let id = call.framework_id.clone().unwrap();
        let stream = Stream { call, events };
        stream
            .say(Event {
                r#type: Some(event::Type::Subscribed as i32),
                subscribed: Some(event::Subscribed {
                    framework_id: id,
                    heartbeat_interval_seconds: Some(15.0),
                    master_info: None,
                }),
                ..Default::default()
            })
            .await;
        stream
    }

    /// The next call of a kind; others before it are let go.
    pub(crate) async fn call(&mut self, kind: Type) -> Call {
        let what = format!("{kind:?}");
        within(&what, async {
            loop {
                let call = self.calls.recv().await.unwrap();
                if call.r#type() == kind {
                    return call;
                }
            }
        })
        .await
    }

    /// The tasks of the next launch.
    pub(crate) async fn launch(&mut self) -> Vec<v1::TaskInfo> {
        let accept = self.call(Type::Accept).await.accept.unwrap();
        let operations = accept.operations.into_iter();
        operations
            .filter_map(|op| op.launch)
            .flat_map(|launch| launch.task_infos)
            .collect()
    }

    /// Calls that are there already.
    pub(crate) fn heard(&mut self) -> Vec<Call> {
        std::iter::from_fn(|| self.calls.try_recv().ok()).collect()
    }
}

async fn answer(request: Request<Body>, desk: Desk) -> Response<Body> {
    let media = request.headers()["content-type"].to_str().unwrap().to_owned();
    let media = MediaType::from_content_type(&media).unwrap();
    let headers = request.headers().clone();
    let body = meseta_http::body::read(request.into_body(), &headers, 64 << 20)
        .await
        .unwrap();
    let call: Call = media.decode(&body).unwrap();
    if call.r#type() == Type::Subscribe {
        let mut count = desk.subscriptions.lock().await;
        *count += 1;
        let (events, queue) = mpsc::channel(64);
        let _test_is_over = desk.streams.send((call, events));
        let records = ReceiverStream::new(queue)
            .map(move |event| Ok::<Bytes, std::io::Error>(recordio::encode(&media.encode(&event))));
        return Response::builder()
            .header("Content-Type", media.name())
            .header("Mesos-Stream-Id", count.to_string())
            .body(Body::from_stream(records))
            .unwrap();
    }
    let _test_is_over = desk.calls.send(call);
    Response::builder()
        .status(StatusCode::ACCEPTED)
        .body(Body::empty())
        .unwrap()
}

/// One subscription, seen from the master. Dropping it ends it.
pub(crate) struct Stream {
    /// SUBSCRIBE.
    pub(crate) call: Call,
    events: mpsc::Sender<Event>,
}

impl Stream {
    pub(crate) async fn say(&self, event: Event) {
        within("room for an event", self.events.send(event))
            .await
            .unwrap();
    }

    /// What the framework says of itself.
    pub(crate) fn info(&self) -> &v1::FrameworkInfo {
        &self.call.subscribe.as_ref().unwrap().framework_info
    }

    pub(crate) async fn offer(&self, id: &str, cpus: f64) {
        let scalar = |name: &str, value| v1::Resource {
            name: name.into(),
            r#type: v1::value::Type::Scalar as i32,
            scalar: Some(v1::value::Scalar { value }),
            ..Default::default()
        };
        let offer = v1::Offer {
            id: v1::OfferId { value: id.into() },
            framework_id: self.call.framework_id.clone().unwrap(),
            agent_id: v1::AgentId { value: "a1".into() },
            hostname: "h1".into(),
            resources: vec![
                scalar("cpus", cpus),
                scalar("mem", 10_000.0),
                scalar("disk", 10_000.0),
            ],
            ..Default::default()
        };
        self.say(Event {
            r#type: Some(event::Type::Offers as i32),
            offers: Some(event::Offers { offers: vec![offer] }),
            ..Default::default()
        })
        .await;
    }

    /// A word of the agent, to be acknowledged.
    pub(crate) async fn update(&self, task: &str, state: v1::TaskState, uuid: u8) {
        self.status(task, state, Some(uuid), None).await;
    }

    /// A word of the master.
    pub(crate) async fn reconciled(&self, task: &str, state: v1::TaskState) {
        self.status(task, state, None, Some(v1::task_status::Reason::Reconciliation))
            .await;
    }

    async fn status(
        &self,
        task: &str,
        state: v1::TaskState,
        uuid: Option<u8>,
        reason: Option<v1::task_status::Reason>,
    ) {
        let status = v1::TaskStatus {
            task_id: v1::TaskId { value: task.into() },
            state: state as i32,
            agent_id: Some(v1::AgentId { value: "a1".into() }),
            uuid: uuid.map(|byte| vec![byte; 16].into()),
            reason: reason.map(|reason| reason as i32),
            ..Default::default()
        };
        self.say(Event {
            r#type: Some(event::Type::Update as i32),
            update: Some(event::Update { status }),
            ..Default::default()
        })
        .await;
    }

    pub(crate) async fn error(&self, message: &str) {
        self.say(Event {
            r#type: Some(event::Type::Error as i32),
            error: Some(event::Error {
                message: message.into(),
            }),
            ..Default::default()
        })
        .await;
    }
}
