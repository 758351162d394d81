//! The fake master over gRPC.
#![allow(clippy::unwrap_used, unreachable_pub)]

use super::{Answer, Desk};
use meseta_proto::binary;
use meseta_proto::meseta::scheduler::v1 as api;
use meseta_proto::meseta::scheduler::v1::scheduler_server::{Scheduler, SchedulerServer};
use meseta_proto::prost::Message;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status, Streaming};

pub async fn serve(listener: TcpListener, desk: Desk) {
    tonic::transport::Server::builder()
        .add_service(SchedulerServer::new(Service(desk)))
        .serve_with_incoming(TcpListenerStream::new(listener))
        .await
        .unwrap();
}

struct Service(Desk);

#[tonic::async_trait]
impl Scheduler for Service {
    type ConnectStream = ReceiverStream<Result<api::Down, Status>>;

    async fn connect(
        &self,
        request: Request<Streaming<api::Up>>,
    ) -> Result<Response<Self::ConnectStream>, Status> {
        let mut up = request.into_inner();
        let desk = self.0.clone();
        let (down, answers) = mpsc::channel(16);
        let Some(api::up::Body::Hello(hello)) = up.message().await?.and_then(|m| m.body) else {
            return Err(Status::invalid_argument("no Hello"));
        };
        match desk.answer().await {
            Answer::Yes => {}
            Answer::No(503, text) => return Err(Status::unavailable(text)),
            Answer::No(401, text) => return Err(Status::unauthenticated(text)),
            Answer::No(_, text) => return Err(Status::invalid_argument(text)),
            Answer::Moved(to) => {
                let _ = down
                    .send(Ok(say(api::down::Body::Bye(api::Bye {
                        code: 503,
                        text: "not the leader".into(),
                        leader: to,
                    }))))
                    .await;
                return Ok(Response::new(ReceiverStream::new(answers)));
            }
        }
        let events = desk.open(binary::decode(&hello.subscribe).unwrap());
        tokio::spawn(session(desk, up, events, down));
        Ok(Response::new(ReceiverStream::new(answers)))
    }

    async fn call(&self, _: Request<api::CallRequest>) -> Result<Response<api::CallReply>, Status> {
        Err(Status::unimplemented("streams only"))
    }
}

fn say(body: api::down::Body) -> api::Down {
    api::Down { body: Some(body) }
}

async fn session(
    desk: Desk,
    mut up: Streaming<api::Up>,
    mut events: mpsc::Receiver<meseta_proto::mesos::v1::scheduler::Event>,
    down: mpsc::Sender<Result<api::Down, Status>>,
) {
    let welcome = say(api::down::Body::Welcome(api::Welcome {
        stream_id: "stream".into(),
        alive_seconds: 45.0,
        ..Default::default()
    }));
    let mut sent = down.send(Ok(welcome)).await.is_ok();
    let mut next_event = 1;
    while sent {
        tokio::select! {
            event = events.recv() => {
                let Some(event) = event else { return };
                let batch = api::Events { first_seq: next_event, events: vec![event.encode_to_vec().into()] };
                next_event += 1;
                sent = down.send(Ok(say(api::down::Body::Events(batch)))).await.is_ok();
            }
            message = up.message() => {
                let Ok(Some(message)) = message else { return };
                if let Some(api::up::Body::Calls(calls)) = message.body {
                    for (seq, call) in (calls.first_seq..).zip(calls.calls) {
                        let _ = desk.calls.send(binary::decode(&call).unwrap());
                        let replies = reply(seq, desk.answer().await);
                        sent = down.send(Ok(say(api::down::Body::Replies(replies)))).await.is_ok();
                    }
                }
            }
        }
    }
}

fn reply(seq: u64, answer: Answer) -> api::Replies {
    match answer {
        Answer::No(code, text) => api::Replies {
            accepted: vec![],
            refused: vec![api::Refusal {
                call_seq: seq,
                code: code.into(),
                text,
                ..Default::default()
            }],
        },
        Answer::Yes | Answer::Moved(_) => api::Replies {
            accepted: vec![api::Range { begin: seq, end: seq }],
            refused: vec![],
        },
    }
}
