#![allow(clippy::unwrap_used)]
//! Requests and answers, over a real engine whose store always says yes and whose master runs every task at once.

mod apps;
mod events;
mod kills;
mod system;

use super::{Abdication, Api, Settings};
use crate::definition::Rules;
use crate::metrics::Counters;
use crate::owner::{Ask, Handle, Info, Model, Told, What};
use crate::view::{QueueEntry, Seen};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use meseta_http::Body;
use meseta_http::inbox::Queued;
use meseta_service_core::app::{AppId, Demand};
use meseta_service_core::engine::{Config, Engine, Recovered};
use meseta_service_core::io::{Effect, Input, Outcome, RequestId, TaskEvent, TaskKind};
use meseta_service_core::matcher::{Offer, Pool};
use meseta_types::Wall;
use meseta_types::last_inputs::LastInputs;
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use tokio::sync::{broadcast, mpsc};

/// A world in a test: the API, the engine behind it, and what the engine is told from outside.
struct World {
    api: Api,
    feed: mpsc::Sender<Input>,
    clock: Arc<AtomicI64>,
    abdication: Abdication,
}

/// An answer.
struct Got {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Got {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The body, if the status is as expected.
    #[track_caller]
    fn expect(&self, status: u16) -> Value {
        let text = String::from_utf8_lossy(&self.body);
        assert_eq!(self.status.as_u16(), status, "{text}");
        if self.body.is_empty() {
            return Value::Null;
        }
        self.json()
    }

    /// The message of a refusal.
    #[track_caller]
    fn message(&self, status: u16) -> String {
        self.expect(status)["message"].as_str().unwrap().to_owned()
    }

    /// The problems of a refusal, as `path: errors`.
    #[track_caller]
    fn problems(&self) -> Vec<String> {
        let body = self.expect(422);
        let details = body["details"].as_array().unwrap();
        let line = |detail: &Value| {
            let errors = detail["errors"]
                .as_array()
                .unwrap()
                .iter()
                .filter_map(Value::as_str);
            format!(
                "{}: {}",
                detail["path"].as_str().unwrap(),
                errors.collect::<Vec<_>>().join(", ")
            )
        };
        details.iter().map(line).collect()
    }
}

impl World {
    fn new() -> World {
        World::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut Settings)) -> World {
        let (asks, asked) = meseta_http::inbox::inbox();
        let (events, _) = broadcast::channel(1024);
        let (feed, fed) = mpsc::channel(64);
        // Some time in 2020, in whole milliseconds.
        let clock = Arc::new(AtomicI64::new(1_600_000_000_000_000_000));
        let read = Arc::clone(&clock);
        let handle = Handle {
            asks,
            events: events.clone(),
            wall: Arc::new(move || Wall(read.load(Ordering::Relaxed))),
            counters: Arc::new(Counters::default()),
            info: Arc::new(Info {
                framework_id: "marathon-1".to_owned(),
                framework_name: "marathon".to_owned(),
                leader: "h:8080".to_owned(),
                started: Wall(1_600_000_000_000_000_000),
                flags: vec![
                    ("http_credentials", "****".to_owned()),
                    ("local_port_min", "10000".to_owned()),
                    ("mesos_role", "*".to_owned()),
                ],
            }),
        };
        let abdication = Abdication::new(meseta_http::running::end().0);
        let mut settings = Settings {
            rules: Rules::default(),
            service_ports: 10_000..=10_009,
            http_port: 8080,
            credentials: None,
            realm: "Mesosphere".to_owned(),
            allowed_origins: Vec::new(),
            abdication: abdication.clone(),
        };
        change(&mut settings);
        let owner = Owner {
            engine: Engine::new(Config::default(), 7, Recovered::default()),
            model: Model::default(),
            clock: Arc::clone(&clock),
            events,
            callers: BTreeMap::new(),
            next: 0,
        };
        tokio::spawn(owner.run(asked, fed));
        World {
            api: Api::new(handle, settings),
            feed,
            clock,
            abdication,
        }
    }

    /// Lets time pass: versions are milliseconds.
    fn pass(&self, millis: i64) {
        self.clock.fetch_add(millis * 1_000_000, Ordering::Relaxed);
    }

    async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Body,
    ) -> http::Response<Body> {
        self.pass(1);
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.api.clone().answer(request.body(body).unwrap()).await
    }

    async fn with_headers(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Got {
        let response = self
            .send(method, path, headers, Body::from(body.to_owned()))
            .await;
        let (parts, body) = response.into_parts();
        Got {
            status: parts.status,
            headers: parts.headers,
            body: body.collect().await.unwrap().to_bytes().to_vec(),
        }
    }

    async fn get(&self, path: &str) -> Got {
        self.with_headers("GET", path, &[], "").await
    }

    async fn delete(&self, path: &str) -> Got {
        self.with_headers("DELETE", path, &[], "").await
    }

    async fn call(&self, method: &str, path: &str, body: Value) -> Got {
        self.with_headers(method, path, &[], &body.to_string()).await
    }

    /// An app that sleeps.
    async fn sleeper(&self, id: &str, instances: u32) -> Got {
        let body = serde_json::json!({"id": id, "cmd": "sleep 1000", "instances": instances});
        let got = self.call("POST", "/v2/apps", body).await;
        got.expect(201);
        got
    }

    /// An agent with this many cores offers what it has. Tasks that fit run at once.
    async fn offer(&self, agent: &str, cpus: f64) {
        let offer = Offer {
            id: format!("offer-of-{agent}").into(),
            agent: agent.into(),
            host: format!("host-{agent}").into(),
            pools: vec![Pool {
                role: "*".into(),
                there: Demand {
                    cpus,
                    mem: 10_000.0,
                    disk: 0.0,
                    gpus: 0.0,
                },
                ports: vec![(31_000, 31_100)],
            }],
        };
        self.feed.send(Input::Connected).await.unwrap();
        self.feed.send(Input::Offers(vec![offer])).await.unwrap();
        // What follows sees what came of it.
        while self.feed.capacity() < self.feed.max_capacity() {
            tokio::task::yield_now().await;
        }
        self.get("/v2/queue").await.expect(200);
    }

    async fn app(&self, id: &str) -> Value {
        self.get(&format!("/v2/apps{id}")).await.expect(200)["app"].clone()
    }
}

/// The engine with a store that writes at once and a master that does as it is told.
struct Owner {
    engine: Engine,
    model: Model,
    clock: Arc<AtomicI64>,
    events: broadcast::Sender<Arc<Told>>,
    callers: BTreeMap<
        RequestId,
        tokio::sync::oneshot::Sender<
            Result<meseta_service_core::io::Answer, meseta_service_core::io::Refusal>,
        >,
    >,
    next: u64,
}

impl Owner {
    async fn run(mut self, mut asks: mpsc::Receiver<Queued<Ask>>, mut fed: mpsc::Receiver<Input>) {
        loop {
            tokio::select! {
                ask = asks.recv() => match ask {
                    None => return,
                    Some(queued) => self.ask(queued.message),
                },
                Some(input) = fed.recv() => self.step(input),
            }
        }
    }

    fn now(&self) -> Wall {
        Wall(self.clock.load(Ordering::Relaxed))
    }

    fn ask(&mut self, ask: Ask) {
        match ask {
            Ask::Call(call, answer) => {
                self.next += 1;
                let request = RequestId(self.next);
                self.callers.insert(request, answer);
                self.step(Input::Call(request, call));
            }
            Ask::LastInputs(reader) => drop(reader.send(LastInputs::default().snapshot())),
            Ask::View(reader) => drop(reader.send(self.model.view())),
            Ask::App(id, reader) => drop(reader.send(self.model.app(&id).cloned())),
            Ask::Queue(reader) => {
                let now = self.now();
                let entry = |(id, count, delayed_until, tried): (&AppId, usize, Option<Wall>, Option<&_>)| {
                    let app = self.model.app(id)?;
                    Some(QueueEntry {
                        spec: Arc::clone(&app.spec),
                        app: Arc::clone(app),
                        count,
                        since: now,
                        delayed_until,
                        tried: tried.cloned(),
                    })
                };
                let queue = self.engine.queue(now).filter_map(entry).collect();
                drop(reader.send(queue));
            }
        }
    }

    fn step(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let mut effects = Vec::new();
            self.engine.step(self.now(), input, &mut effects);
            for effect in effects {
                match effect {
                    Effect::Commit(id, changes) => {
                        changes.into_iter().for_each(|change| self.model.apply(change));
                        inputs.push_back(Input::Committed(id, Outcome::Done));
                    }
                    Effect::Answer(request, answer) => {
                        let caller = self.callers.remove(&request);
                        drop(caller.map(|caller| caller.send(answer)));
                    }
                    Effect::Accept { launches, .. } => {
                        for launch in launches {
                            let task = launch.instance.task_id();
                            inputs.push_back(word(&task, TaskKind::Running, "TASK_RUNNING"));
                        }
                    }
                    Effect::Kill { task, .. } => {
                        inputs.push_back(word(&task, TaskKind::Killed, "TASK_KILLED"))
                    }
                    Effect::Event(event) => {
                        let what = What::Engine {
                            event,
                            seen: Some(Arc::new(Seen {
                                addresses: Arc::from([("10.0.0.1".to_owned(), "IPv4")]),
                                ..Seen::default()
                            })),
                        };
                        let _ = self.events.send(Arc::new(Told { at: self.now(), what }));
                    }
                    Effect::Decline { .. }
                    | Effect::Want(_)
                    | Effect::Reconcile(_)
                    | Effect::Acknowledge(_) => {}
                }
            }
        }
    }
}

fn word(task: &str, kind: TaskKind, state: &str) -> Input {
    Input::Task(TaskEvent {
        task: task.into(),
        kind,
        state: state.into(),
        message: "".into(),
        agent: None,
        healthy: None,
        ack: None,
    })
}

/// The frames of a body, one by one.
type Frames = Pin<Box<dyn Stream<Item = Result<Bytes, Box<dyn std::error::Error + Send + Sync>>> + Send>>;

fn stream_of(response: http::Response<Body>) -> Frames {
    Box::pin(
        response
            .into_body()
            .into_data_stream()
            .map(|frame| frame.map_err(Into::into)),
    )
}

/// The next frames of a stream, as text.
async fn frames(body: &mut Frames, count: usize) -> Vec<String> {
    let mut frames = Vec::new();
    while frames.len() < count {
        let frame = tokio::time::timeout(std::time::Duration::from_secs(5), body.next()).await;
        let frame = frame
            .expect("the stream is silent")
            .expect("the stream ended")
            .unwrap();
        frames.push(String::from_utf8(frame.to_vec()).unwrap());
    }
    frames
}
