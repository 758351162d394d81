//! An agent played by the test: speaks the link, runs nothing.

use crate::support::{Master, within};
use meseta_proto::convert::link as convert;
use meseta_proto::meseta::link::v1::agent_link_client::AgentLinkClient;
use meseta_proto::meseta::link::v1::{AgentFrame, AgentItem, MasterFrame};
use meseta_proto::mesos::v1;
use meseta_types::link::{AgentSpec, FromAgent, Inventory, StatusUpdate, ToAgent};
use meseta_types::task::{ReportedTask, Source, TaskStatus};
use meseta_types::{AgentId, FrameworkId, Resources, Role, TaskId, TaskState, UpdateUuid, Wall};
use std::collections::VecDeque;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

pub(crate) struct Agent {
    frames: mpsc::Sender<AgentFrame>,
    from_master: Streaming<MasterFrame>,
    received: VecDeque<ToAgent>,
    next_seq: u64,
    /// The number the next item of the master must have.
    expected_seq: u64,
}

pub(crate) fn spec(id: Option<&AgentId>) -> AgentSpec {
    let info = v1::AgentInfo {
        hostname: "agent1".to_owned(),
        port: Some(5051),
        id: id.map(|id| v1::AgentId {
            value: id.to_string(),
        }),
        resources: meseta_proto::convert::resource::to_proto(
            &Resources::parse("cpus:4;mem:1024;ports:[31000-31009]", &Role::star()).unwrap(),
            meseta_proto::convert::resource::Format::Post,
        ),
        ..Default::default()
    };
    let ip = "127.0.0.1".parse().unwrap();
    meseta_proto::convert::agent::spec(&info, ip, "1.12.0", ["MULTI_ROLE"]).unwrap()
}

impl Agent {
    /// Opens a link.
    pub(crate) async fn connect(master: &Master) -> Agent {
        let mut client = AgentLinkClient::new(master.channel().await);
        let (frames, outgoing) = mpsc::channel(64);
        let from_master = client
            .connect(ReceiverStream::new(outgoing))
            .await
            .unwrap()
            .into_inner();
        Agent {
            frames,
            from_master,
            received: VecDeque::new(),
            next_seq: 1,
            expected_seq: 1,
        }
    }

    /// Connects, registers and gets its id.
    pub(crate) async fn register(master: &Master) -> (Agent, AgentId) {
        let mut agent = Agent::connect(master).await;
        agent.say(FromAgent::Register { agent: spec(None) }).await;
        match agent.hear().await {
            ToAgent::Registered { agent_id, .. } => (agent, agent_id),
            other => panic!("{other:?}"),
        }
    }

    /// Connects and comes back with these tasks.
    pub(crate) async fn reregister(master: &Master, id: &AgentId, tasks: Vec<ReportedTask>) -> Agent {
        let mut agent = Agent::connect(master).await;
        agent
            .say(FromAgent::Reregister {
                agent: spec(Some(id)),
                inventory: Inventory {
                    frameworks: Vec::new(),
                    tasks,
                    executors: Vec::new(),
                },
            })
            .await;
        match agent.hear().await {
            ToAgent::Reregistered { agent_id, .. } => assert_eq!(agent_id, *id),
            other => panic!("{other:?}"),
        }
        agent
    }

    pub(crate) async fn say(&mut self, message: FromAgent) {
        self.send(1, self.next_seq, vec![convert::agent_item(&message)])
            .await;
        self.next_seq += 1;
    }

    /// A frame as it is, right or wrong.
    pub(crate) async fn send(&self, epoch: u64, first_seq: u64, items: Vec<AgentItem>) {
        let frame = AgentFrame {
            epoch,
            first_seq,
            ack: 0,
            items,
        };
        self.frames.send(frame).await.unwrap();
    }

    /// The next message; pings are answered.
    pub(crate) async fn hear(&mut self) -> ToAgent {
        within("a message to the agent", async {
            loop {
                match self.received.pop_front() {
                    Some(ToAgent::Ping { .. }) => self.say(FromAgent::Pong).await,
                    Some(message) => return message,
                    None => {
                        let frame = self.from_master.message().await.unwrap();
                        self.take(frame.expect("the link stands"));
                    }
                }
            }
        })
        .await
    }

    fn take(&mut self, frame: MasterFrame) {
        assert_eq!(frame.first_seq, self.expected_seq);
        self.expected_seq += frame.items.len() as u64;
        for item in frame.items {
            self.received.extend(convert::to_agent_item(item).unwrap());
        }
    }

    /// Waits for the end of the link.
    pub(crate) async fn closed(mut self) {
        within("the end of the link", async {
            while let Ok(Some(_)) = self.from_master.message().await {}
        })
        .await;
    }

    pub(crate) async fn update(
        &mut self,
        framework: &str,
        agent: &AgentId,
        task: &str,
        state: TaskState,
        number: u8,
    ) {
        self.say(FromAgent::Update(StatusUpdate {
            framework_id: FrameworkId::new(framework).unwrap(),
            status: status(agent, task, state, number),
            latest_state: state,
        }))
        .await;
    }
}

pub(crate) fn status(agent: &AgentId, task: &str, state: TaskState, number: u8) -> TaskStatus {
    TaskStatus {
        task_id: TaskId::new(task).unwrap(),
        state,
        source: Source::Executor,
        reason: None,
        message: None,
        agent_id: Some(agent.clone()),
        executor_id: None,
        timestamp: Wall::from_secs_f64(1_795_239_201.5),
        uuid: Some(UpdateUuid([number; 16])),
        healthy: None,
        unreachable_time: None,
        wire: Default::default(),
    }
}

pub(crate) fn reported(framework: &str, task: String) -> ReportedTask {
    let mut resources = Resources::parse("cpus:0.001;mem:0.1", &Role::star()).unwrap();
    resources = resources
        .iter()
        .cloned()
        .map(|mut resource| {
            resource.allocation = Some(Role::new("dev").unwrap());
            resource
        })
        .collect();
    ReportedTask {
        framework_id: FrameworkId::new(framework).unwrap(),
        name: task.as_str().into(),
        task_id: TaskId::new(task).unwrap(),
        executor_id: None,
        resources,
        state: TaskState::Running,
        status_update_state: Some(TaskState::Running),
        status_update_uuid: None,
        statuses: Vec::new(),
        kept: Default::default(),
    }
}
