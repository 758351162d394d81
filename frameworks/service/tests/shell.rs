//! The whole shell against a master made of strings: what is asked of it and when, what is durable before what, and what
//! a restart remembers.
#![allow(clippy::unwrap_used)]

#[path = "../../sdk/tests/support/fake.rs"]
mod fake;

use fake::{Answer as Reply, Fake, PATIENCE, Stream, error, offer, offers};
use meseta_sdk::proto as v1;
use meseta_sdk::proto::scheduler::call::Type;
use meseta_sdk::proto::scheduler::{Call as Wire, Event, event};
use meseta_sdk::{Encoding, Transport};
use meseta_service::definition::{Rules, create};
use meseta_service::owner::What;
use meseta_service::view::View;
use meseta_service::{Config, Ended, Env, Handle, Running, ServiceFlags, start};
use meseta_service_core::app::AppId;
use meseta_service_core::instance::Condition;
use meseta_service_core::io::{Answer, AppChange, Call, KillHow};
use meseta_store::{Commit, Entry, Memory, Outcome, Pending, ReadError, Store};
use meseta_types::flag::{Asked, Sources};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::net::TcpListener;

/// A store in memory that can be told to refuse.
#[derive(Default)]
struct Disk {
    memory: Memory,
    is_full: AtomicBool,
}

impl Store for Disk {
    fn submit(&self, commit: Commit) -> Pending {
        if self.is_full.load(Ordering::Relaxed) {
            return Pending::ready(Outcome::Refused(meseta_store::Refused::NoSpace));
        }
        self.memory.submit(commit)
    }

    fn list(&self, prefix: &str) -> Result<Vec<Entry>, ReadError> {
        self.memory.list(prefix)
    }
}

struct Bench {
    fake: Fake,
    stream: Stream,
    running: Running,
    handle: Handle,
    disk: Arc<Disk>,
    kept: Vec<Wire>,
}

async fn begin(fake: &Fake, disk: &Arc<Disk>, args: &[&str]) -> (Running, Handle) {
    let master = format!("--master={}", fake.address);
    let args = args.iter().copied().chain([master.as_str()]).map(str::to_owned);
    let Asked::Run(flags, _) = ServiceFlags::parse(args, &Sources::none()).unwrap() else {
        panic!()
    };
    let env = Env {
        listener: TcpListener::bind("127.0.0.1:0").await.unwrap(),
        store: Arc::clone(disk) as Arc<dyn Store>,
        wall: meseta_service::system_wall_clock(),
        seed: 1,
    };
    start(Config::from_flags(&flags).unwrap(), env).await.unwrap()
}

impl Bench {
    async fn new(args: &[&str]) -> Bench {
        let mut fake = Fake::start(Transport::Http(Encoding::Protobuf)).await;
        let disk = Arc::new(Disk::default());
        let (running, handle) = begin(&fake, &disk, args).await;
        let stream = fake.subscribed().await;
        assert!(running.ready().await);
        let mut bench = Bench {
            fake,
            stream,
            running,
            handle,
            disk,
            kept: Vec::new(),
        };
        bench.call(Type::Reconcile).await;
        bench.call(Type::Suppress).await;
        bench
    }

    /// The next call of a kind. Calls of different kinds go side by side: those of others are kept for later.
    async fn call(&mut self, kind: Type) -> Wire {
        if let Some(at) = self.kept.iter().position(|call| call.r#type() == kind) {
            return self.kept.remove(at);
        }
        loop {
            let call = self.fake.call().await;
            if call.r#type() == kind {
                return call;
            }
            self.kept.push(call);
        }
    }

    async fn put(&self, body: Value) -> Result<Answer, meseta_service::CallError> {
        let spec = create(&body, &Rules::default()).unwrap().to_spec().unwrap();
        let known = self.handle.app(&spec.id).await.unwrap();
        let change = AppChange {
            id: spec.id.clone(),
            base: known.map(|app| app.spec.version),
            spec: Some(spec),
            restart: false,
        };
        let call = Call::Update {
            apps: vec![change],
            force: false,
        };
        self.handle.call(call).await
    }

    async fn offer(&self, id: &str) {
        self.stream.say(offers(vec![large(id)])).await;
    }

    /// Offers once, and gives back the tasks that are launched with it.
    async fn launched(&mut self, id: &str) -> Vec<v1::TaskInfo> {
        self.offer(id).await;
        let accept = self.call(Type::Accept).await.accept.unwrap();
        let launch = accept.operations[0].launch.clone().unwrap();
        launch.task_infos
    }

    async fn say(&self, task: &v1::TaskInfo, state: v1::TaskState, uuid: u8, healthy: Option<bool>) {
        let update = event::Update {
            status: v1::TaskStatus {
                task_id: task.task_id.clone(),
                state: state as i32,
                agent_id: Some(task.agent_id.clone()),
                uuid: Some(vec![uuid; 16].into()),
                healthy,
                message: Some("it said so".into()),
                container_status: Some(address("10.0.0.7")),
                ..Default::default()
            },
        };
        let event = Event {
            r#type: Some(event::Type::Update as i32),
            update: Some(update),
            ..Default::default()
        };
        self.stream.say(event).await;
    }

    /// Waits until readers see something.
    async fn seen(&self, what: &str, see: impl Fn(&View) -> bool) -> Arc<View> {
        let look = async {
            let mut events = self.handle.events();
            loop {
                let view = self.handle.view().await.unwrap();
                if see(&view) {
                    return view;
                }
                // Whatever changes is told; what is told late is looked for again.
                let _ = tokio::time::timeout(std::time::Duration::from_millis(50), events.recv()).await;
            }
        };
        tokio::time::timeout(PATIENCE, look)
            .await
            .unwrap_or_else(|_| panic!("never seen: {what}"))
    }
}

fn address(ip: &str) -> v1::ContainerStatus {
    let address = v1::network_info::IpAddress {
        ip_address: Some(ip.to_owned()),
        ..Default::default()
    };
    v1::ContainerStatus {
        network_infos: vec![v1::NetworkInfo {
            ip_addresses: vec![address],
            ..Default::default()
        }],
        ..Default::default()
    }
}

fn large(id: &str) -> v1::Offer {
    let scalar = |name: &str, value| v1::Resource {
        name: name.into(),
        r#type: v1::value::Type::Scalar as i32,
        scalar: Some(v1::value::Scalar { value }),
        ..Default::default()
    };
    let ports = v1::Resource {
        name: "ports".into(),
        r#type: v1::value::Type::Ranges as i32,
        ranges: Some(v1::value::Ranges {
            range: vec![v1::value::Range {
                begin: 31_000,
                end: 31_999,
            }],
        }),
        ..Default::default()
    };
    v1::Offer {
        resources: vec![scalar("cpus", 8.0), scalar("mem", 8_192.0), ports],
        ..offer(id, "agent-1")
    }
}

fn web(instances: u32) -> Value {
    json!({"id": "/web", "cmd": "serve", "cpus": 0.5, "mem": 64, "instances": instances, "backoffSeconds": 3600})
}

fn id(text: &str) -> AppId {
    AppId::parse(text, None).unwrap()
}

#[tokio::test]
async fn an_app_is_launched_followed_and_acknowledged_and_offers_are_asked_for_only_while_it_waits() {
    let mut bench = Bench::new(&[]).await;
    let subscribe = bench.stream.subscribe.subscribe.clone().unwrap();
    assert_eq!(subscribe.suppressed_roles, ["*"]);
    let info = subscribe.framework_info;
    assert_eq!(
        (info.name.as_str(), info.failover_timeout),
        ("marathon", Some(604_800.0))
    );
    assert!(info.id.unwrap().value.starts_with("marathon-"));
    assert_eq!(
        info.webui_url,
        Some(format!("http://{}", bench.running.address()))
    );
    let mut events = bench.handle.events();

    bench.put(web(2)).await.unwrap();
    bench.call(Type::Revive).await;
    let tasks = bench.launched("o1").await;
    assert_eq!(tasks.len(), 2);
    bench.call(Type::Suppress).await;
    bench.say(&tasks[0], v1::TaskState::TaskRunning, 1, None).await;
    let acknowledged = bench.call(Type::Acknowledge).await.acknowledge.unwrap();
    assert_eq!(acknowledged.task_id, tasks[0].task_id);
    let view = bench.handle.view().await.unwrap();
    let app = view.apps.get(&id("/web")).unwrap();
    let of = |task: &v1::TaskInfo| {
        let mut all = app.instances.values();
        all.find(|i| i.instance.task_id() == task.task_id.value)
            .cloned()
            .unwrap()
    };
    let first = of(&tasks[0]);
    assert_eq!(first.instance.condition, Condition::Running);
    assert_eq!(*first.seen.addresses, [("10.0.0.7".to_owned(), "IPv4")]);
    assert_eq!(of(&tasks[1]).instance.condition, Condition::Provisioned);
    assert!(app.deployment.is_some(), "one of two does not run yet");
    bench.say(&tasks[1], v1::TaskState::TaskRunning, 2, None).await;
    bench
        .seen("the end of the deployment", |view| view.deployments.is_empty())
        .await;
    let mut told = Vec::new();
    while let Ok(event) = events.try_recv() {
        if let What::Engine { event, .. } = &event.what {
            told.push(
                format!("{event:?}")
                    .split(['(', ' ', '{'])
                    .next()
                    .unwrap()
                    .to_owned(),
            );
        }
    }
    for kind in [
        "DeploymentInfo",
        "Condition",
        "Status",
        "StepDone",
        "DeploymentDone",
    ] {
        assert!(told.iter().any(|t| t == kind), "{kind} in {told:?}");
    }
}

#[tokio::test]
async fn a_restart_keeps_the_id_and_the_instances_asks_about_them_and_tears_nothing_down() {
    let mut bench = Bench::new(&[]).await;
    bench.put(web(1)).await.unwrap();
    let tasks = bench.launched("o1").await;
    bench.say(&tasks[0], v1::TaskState::TaskRunning, 1, None).await;
    bench.call(Type::Acknowledge).await;
    let framework_id = bench.handle.info().framework_id.clone();
    bench.running.drain();
    assert_eq!(bench.running.join().await, Ended::Stopped);

    let (_running, handle) = begin(&bench.fake, &bench.disk, &[]).await;
    let stream = bench.fake.subscribed().await;
    assert_eq!(stream.subscribe.framework_id.clone().unwrap().value, framework_id);
    loop {
        let call = bench.fake.call().await;
        assert_ne!(call.r#type(), Type::Teardown);
        let asked = call
            .reconcile
            .map(|reconcile| reconcile.tasks)
            .unwrap_or_default();
        if let Some(task) = asked.first() {
            assert_eq!(task.task_id, tasks[0].task_id);
            assert_eq!(task.agent_id.clone().unwrap().value, "agent-1");
            break;
        }
    }
    let app = handle.app(&id("/web")).await.unwrap().unwrap();
    let instance = app.instances.values().next().unwrap();
    assert_eq!(instance.instance.condition, Condition::Running);
    assert_eq!(app.definition.cmd.as_deref(), Some("serve"));
}

#[tokio::test]
async fn what_the_store_refuses_is_not_seen_not_launched_and_said_so() {
    let bench = Bench::new(&[]).await;
    bench.disk.is_full.store(true, Ordering::Relaxed);
    let refused = bench.put(web(1)).await.unwrap_err();
    assert!(refused.to_string().contains("no space"), "{refused}");
    let view = bench.handle.view().await.unwrap();
    assert!(view.apps.is_empty() && view.deployments.is_empty());
    bench.disk.is_full.store(false, Ordering::Relaxed);
    bench.put(web(1)).await.unwrap();
    assert_eq!(bench.handle.view().await.unwrap().apps.len(), 1);
}

#[tokio::test]
async fn the_last_inputs_are_kept_without_what_definitions_hold() {
    let bench = Bench::new(&[]).await;
    let mut app = web(1);
    app["env"] = json!({"WORD": "open sesame"});
    bench.put(app).await.unwrap();
    let kept = bench.handle.last_inputs().await.unwrap().to_string();
    assert!(kept.contains("Update") && !kept.contains("sesame"), "{kept}");
}

#[tokio::test]
async fn a_launch_that_the_master_refuses_is_a_failure_and_is_not_tried_again_without_a_pause() {
    let mut bench = Bench::new(&[]).await;
    // Only one of them fits, so that offers stay wanted and the launch is the next call.
    let mut large = web(2);
    large["cpus"] = json!(5);
    bench.put(large).await.unwrap();
    bench.call(Type::Revive).await;
    bench.fake.will(Reply::No(400, "no such thing".into()));
    bench.launched("o1").await;
    let view = bench
        .seen("the failure", |view| {
            view.apps.iter().any(|(_, app)| app.last_failure.is_some())
        })
        .await;
    let failure = view.apps.get(&id("/web")).unwrap().last_failure.clone().unwrap();
    assert_eq!(&*failure.state, "TASK_ERROR");
    assert!(failure.message.contains("no such thing"), "{}", failure.message);
    let queue = bench.handle.queue().await.unwrap();
    assert_eq!((queue.len(), queue[0].count), (1, 2));
    assert!(queue[0].delayed_until.is_some());
}

#[tokio::test]
async fn kills_go_to_the_agent_and_a_killed_instance_is_launched_again_as_itself() {
    let mut bench = Bench::new(&[]).await;
    bench.put(web(1)).await.unwrap();
    let tasks = bench.launched("o1").await;
    bench.say(&tasks[0], v1::TaskState::TaskRunning, 1, None).await;
    let view = bench
        .seen("it runs", |view| {
            view.deployments.is_empty() && !view.apps.is_empty()
        })
        .await;
    let instance = view
        .apps
        .get(&id("/web"))
        .unwrap()
        .instances
        .keys()
        .next()
        .unwrap()
        .clone();
    let call = Call::Kill {
        instances: vec![instance],
        how: KillHow::Restart,
        force: false,
    };
    bench.handle.call(call).await.unwrap();
    let kill = bench.call(Type::Kill).await.kill.unwrap();
    assert_eq!(
        (&kill.task_id, kill.agent_id.unwrap().value.as_str()),
        (&tasks[0].task_id, "agent-1")
    );
    bench.say(&tasks[0], v1::TaskState::TaskKilled, 2, None).await;
    let again = bench.launched("o2").await;
    let (first, second) = (&tasks[0].task_id.value, &again[0].task_id.value);
    assert_eq!(second, &first.replace("._app.1", "._app.2"));
}

#[tokio::test]
async fn verdicts_of_the_agent_are_seen_and_a_removed_framework_ends_with_its_code() {
    let mut bench = Bench::new(&[]).await;
    let mut checked = web(1);
    checked["healthChecks"] = json!([{"protocol": "MESOS_TCP", "portIndex": 0, "delaySeconds": 0}]);
    bench.put(checked).await.unwrap();
    let tasks = bench.launched("o1").await;
    assert!(tasks[0].health_check.is_some());
    bench.say(&tasks[0], v1::TaskState::TaskRunning, 1, None).await;
    bench.call(Type::Acknowledge).await;
    assert_eq!(
        bench.handle.view().await.unwrap().deployments.len(),
        1,
        "not healthy yet"
    );
    bench
        .say(&tasks[0], v1::TaskState::TaskRunning, 2, Some(true))
        .await;
    let view = bench
        .seen("it is healthy", |view| view.deployments.is_empty())
        .await;
    let app = view.apps.get(&id("/web")).unwrap();
    let seen = app
        .instances
        .values()
        .next()
        .unwrap()
        .seen
        .health
        .clone()
        .unwrap();
    assert!(seen.alive && seen.first_success.is_some());
    bench.stream.say(error("Framework has been removed")).await;
    assert_eq!(bench.running.join().await.exit_code(), 110);
}
