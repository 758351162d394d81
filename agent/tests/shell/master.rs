//! A master that a test plays: takes links and lets the test talk.

use meseta_proto::convert;
use meseta_proto::meseta::link::v1::agent_link_server::{AgentLink, AgentLinkServer};
use meseta_proto::meseta::link::v1::{AgentFrame, MasterFrame};
use meseta_types::AgentId;
use meseta_types::link::{FromAgent, StatusUpdate, ToAgent};
use meseta_types::task::TaskState;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status, Streaming};

/// Generous: the machine may be busy with other tests.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// One link as the master sees it.
pub struct Session {
    items: mpsc::UnboundedReceiver<FromAgent>,
    frames: mpsc::Sender<Result<MasterFrame, Status>>,
    epoch: u64,
    sent: u64,
}

pub struct Master {
    pub address: SocketAddr,
    sessions: mpsc::UnboundedReceiver<Session>,
    server: JoinHandle<()>,
}

struct Service {
    sessions: mpsc::UnboundedSender<Session>,
}

#[tonic::async_trait]
impl AgentLink for Service {
    type ConnectStream = ReceiverStream<Result<MasterFrame, Status>>;

    async fn connect(
        &self,
        request: Request<Streaming<AgentFrame>>,
    ) -> Result<Response<Self::ConnectStream>, Status> {
        let mut incoming = request.into_inner();
        let first = incoming
            .message()
            .await?
            .ok_or_else(|| Status::aborted("no frame"))?;
        let (frames, outgoing) = mpsc::channel(16);
        let (told, items) = mpsc::unbounded_channel();
        let epoch = first.epoch;
        tokio::spawn(async move {
            let mut next = 1;
            let mut frame = Some(first);
            while let Some(one) = frame {
                assert_eq!((one.epoch, one.first_seq), (epoch, next), "frames are in order");
                next += one.items.len() as u64;
                for item in one.items {
                    if let Some(item) = convert::link::from_agent_item(item).unwrap() {
                        let _ = told.send(item);
                    }
                }
                frame = incoming.message().await.ok().flatten();
            }
        });
        let session = Session {
            items,
            frames,
            epoch,
            sent: 0,
        };
        let _ = self.sessions.send(session);
        Ok(Response::new(ReceiverStream::new(outgoing)))
    }
}

impl Master {
    pub async fn start() -> Master {
        Master::at("127.0.0.1:0".parse().unwrap()).await
    }

    pub async fn at(address: SocketAddr) -> Master {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (found, sessions) = mpsc::unbounded_channel();
        let service = AgentLinkServer::new(Service { sessions: found });
        let server = tokio::spawn(async move {
            let incoming = TcpListenerStream::new(listener);
            let _ = tonic::transport::Server::builder()
                .add_service(service)
                .serve_with_incoming(incoming)
                .await;
        });
        Master {
            address,
            sessions,
            server,
        }
    }

    /// The next link.
    pub async fn link(&mut self) -> Session {
        tokio::time::timeout(PATIENCE, self.sessions.recv())
            .await
            .expect("an agent connects")
            .unwrap()
    }

    /// The next link, registered under `id`.
    pub async fn registered(&mut self, id: &str) -> Session {
        let mut session = self.link().await;
        let agent_id = AgentId::new(id).unwrap();
        let total_ping_timeout = Duration::from_secs(75);
        match session.next().await {
            FromAgent::Register { .. } => {
                session
                    .say(ToAgent::Registered {
                        agent_id,
                        total_ping_timeout,
                    })
                    .await;
            }
            FromAgent::Reregister { agent, .. } => {
                assert_eq!(agent.id, Some(agent_id.clone()));
                session
                    .say(ToAgent::Reregistered {
                        agent_id,
                        total_ping_timeout,
                        reconcile: Vec::new(),
                    })
                    .await;
            }
            other => panic!("the first item was {other:?}"),
        }
        session
    }

    /// As kill -9 would.
    pub async fn stop(self) {
        self.server.abort();
        let _ = self.server.await;
    }
}

impl Session {
    pub async fn say(&mut self, item: ToAgent) {
        let frame = MasterFrame {
            epoch: self.epoch,
            first_seq: self.sent + 1,
            ack: 0,
            items: vec![convert::link::master_item(&item)],
        };
        self.sent += 1;
        self.frames.send(Ok(frame)).await.unwrap();
    }

    /// What the agent says next.
    pub async fn next(&mut self) -> FromAgent {
        tokio::time::timeout(PATIENCE, self.items.recv())
            .await
            .expect("the agent says something")
            .expect("the link is open")
    }

    /// The next status update, acknowledged.
    pub async fn update(&mut self) -> StatusUpdate {
        let update = self.unacknowledged().await;
        self.say(ToAgent::AckUpdate {
            framework_id: update.framework_id.clone(),
            task_id: update.status.task_id.clone(),
            uuid: update.status.uuid.unwrap(),
        })
        .await;
        update
    }

    /// The next status update, left unacknowledged.
    pub async fn unacknowledged(&mut self) -> StatusUpdate {
        loop {
            match self.next().await {
                FromAgent::Update(update) => return update,
                FromAgent::ExecutorExited { .. } | FromAgent::Pong => {}
                other => panic!("not an update: {other:?}"),
            }
        }
    }

    /// Updates up to and including one of `last`'s state, acknowledged; their states.
    pub async fn until(&mut self, last: TaskState) -> Vec<StatusUpdate> {
        let mut seen = Vec::new();
        loop {
            let update = self.update().await;
            let state = update.status.state;
            seen.push(update);
            if state == last {
                return seen;
            }
            assert!(!state.is_terminal(), "{seen:?}");
        }
    }
}

pub fn states(updates: &[StatusUpdate]) -> Vec<TaskState> {
    updates.iter().map(|update| update.status.state).collect()
}
