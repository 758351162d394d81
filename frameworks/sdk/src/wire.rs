//! The wire: one subscription and its calls over HTTP (JSON or protobuf) or gRPC. No policy.
//!
//! The question that lives here: how do bytes become [`LinkEvent`]s and [`Reply`]s? The client's shell calls it with
//! what the driver wants opened, sent and cut. It never retries, waits between attempts or decides what a refusal
//! means; whatever it hears goes to one queue.

mod grpc;
mod http;

use crate::driver::{CallSeq, Lane, LinkEvent, LinkId, Reply};
use crate::endpoint::Endpoint;
use meseta_proto::mesos::v1::scheduler;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

/// Opening a TCP connection takes no longer than this.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// One answer to a call takes no longer than this: the next call of its lane must not wait for a dead connection.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// The largest event taken. A master offers at most a few MiB at once; anything larger is no Mesos stream.
const EVENT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The most that is read of an answer that is no stream; Mesos's error texts are a few hundred bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// How messages are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// `application/json`, as everybody can read it.
    Json,
    /// `application/x-protobuf`, a fraction of the bytes and the work.
    Protobuf,
}

/// How the master is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// The Mesos v1 scheduler API over HTTP/1.1.
    Http(Encoding),
    /// The same API over one bidirectional gRPC stream (Meseta masters only).
    Grpc,
}

/// What a wire hears.
#[derive(Debug)]
pub enum Heard {
    /// Of a link.
    Link(LinkId, LinkEvent),
    /// Of a call.
    Reply(LinkId, CallSeq, Reply),
}

/// Opens links of one transport; everything they hear goes to one queue.
#[derive(Clone, Debug)]
pub struct Wire {
    transport: Transport,
    heard: mpsc::Sender<Heard>,
}

impl Wire {
    /// A wire that reports to `heard`, waiting when that is full: its reader must never stop.
    pub fn new(transport: Transport, heard: mpsc::Sender<Heard>) -> Wire {
        Wire { transport, heard }
    }

    /// Starts to subscribe. The link ends when the returned handle is dropped.
    pub fn open(&self, link: LinkId, endpoint: &Endpoint, subscribe: scheduler::Call) -> Link {
        let ear = Ear {
            link,
            heard: self.heard.clone(),
        };
        match self.transport {
            Transport::Http(encoding) => Link::Http(http::open(ear, endpoint, encoding, subscribe)),
            Transport::Grpc => Link::Grpc(grpc::open(ear, endpoint, &subscribe)),
        }
    }
}

/// An open (or opening) link.
#[derive(Debug)]
pub enum Link {
    #[doc(hidden)]
    Http(http::HttpLink),
    #[doc(hidden)]
    Grpc(grpc::GrpcLink),
}

impl Link {
    /// Sends a call; the answer is heard as [`Heard::Reply`]. Calls of one lane go out in order. What is queued is
    /// bounded by the driver, which never has more calls under way than its limit and one acknowledgement per
    /// delivered update.
    pub fn send(&mut self, lane: Lane, seq: CallSeq, call: Arc<scheduler::Call>) {
        match self {
            Link::Http(link) => link.send(lane, seq, call),
            Link::Grpc(link) => link.send(seq, call),
        }
    }
}

/// One link's way to report.
#[derive(Clone, Debug)]
struct Ear {
    link: LinkId,
    heard: mpsc::Sender<Heard>,
}

impl Ear {
    async fn event(&self, event: LinkEvent) {
        // A closed queue means that the client has ended; then nobody needs to know.
        let _ = self.heard.send(Heard::Link(self.link, event)).await;
    }

    async fn reply(&self, seq: CallSeq, reply: Reply) {
        let _ = self.heard.send(Heard::Reply(self.link, seq, reply)).await;
    }
}

/// Ends a task when it is dropped.
#[derive(Debug)]
struct AbortOnDrop(AbortHandle);

impl AbortOnDrop {
    fn spawn(future: impl Future<Output = ()> + Send + 'static) -> AbortOnDrop {
        AbortOnDrop(tokio::spawn(future).abort_handle())
    }
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
