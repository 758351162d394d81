//! The event streams of executors: who reads which, how an event is written, when the reader is gone.
//!
//! Held by the owner of the core. A stream is a bounded queue to an HTTP connection; an executor that does not read is
//! cut off. HEARTBEAT is sent from here, every 30 minutes, the first after 30 minutes.

use crate::owner::Message;
use bytes::Bytes;
use meseta_agent_core::{ExecutorEvent, Input, StreamId};
use meseta_http::inbox::Inbox;
use meseta_http::stream::RecordSender;
use meseta_proto::body::MediaType;
use meseta_proto::mesos::v1 as pb;
use meseta_proto::mesos::v1::executor::{Event, event};
use meseta_proto::prost::Message as _;
use meseta_proto::{convert, recordio};
use meseta_types::FrameworkId;
use std::collections::BTreeMap;
use std::time::Duration;

/// How often a silent stream says that it is there.
pub(crate) const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(30 * 60);

/// Unread bytes an executor may leave lying: thousands of LAUNCH events.
pub(crate) const UNREAD_BYTES_MAX: usize = 8 << 20;

struct Stream {
    sender: RecordSender,
    media: MediaType,
    /// Whose executor reads; known from SUBSCRIBED on.
    framework: Option<FrameworkId>,
}

/// All open streams.
#[derive(Default)]
pub(crate) struct Streams {
    open: BTreeMap<StreamId, Stream>,
}

impl Streams {
    /// Takes a stream; when its reader goes away the owner is told.
    pub(crate) fn open(
        &mut self,
        id: StreamId,
        sender: RecordSender,
        media: MediaType,
        inbox: Inbox<Message>,
    ) {
        tokio::spawn(watch(id, sender.clone(), media, inbox));
        self.open.insert(
            id,
            Stream {
                sender,
                media,
                framework: None,
            },
        );
    }

    /// Writes an event. `false`: the reader is gone.
    pub(crate) fn send(&mut self, id: StreamId, event: &ExecutorEvent) -> bool {
        let Some(stream) = self.open.get_mut(&id) else {
            return true; // closed already, and the core knows
        };
        if let ExecutorEvent::Subscribed { framework, .. } = event {
            stream.framework.clone_from(&framework.id);
        }
        let record = match encode(event, stream.framework.as_ref()) {
            Ok(event) => recordio::encode(&stream.media.encode(&event)),
            Err(error) => {
                tracing::error!(%error, "an executor's event cannot be written");
                return true;
            }
        };
        if stream.sender.send(record).is_err() {
            self.open.remove(&id);
            return false;
        }
        true
    }

    /// Ends a stream properly.
    pub(crate) fn close(&mut self, id: StreamId) {
        if let Some(stream) = self.open.remove(&id) {
            stream.sender.end();
        }
    }

    /// Its reader is gone.
    pub(crate) fn forget(&mut self, id: StreamId) {
        self.open.remove(&id);
    }

    /// Ends all streams because the agent ends: executors see a broken stream and look for the agent again.
    pub(crate) fn close_all(&mut self) {
        for (_, stream) in std::mem::take(&mut self.open) {
            stream.sender.cut();
        }
    }
}

/// Sends heartbeats until the reader is gone, then tells the owner.
async fn watch(id: StreamId, sender: RecordSender, media: MediaType, inbox: Inbox<Message>) {
    let beat = recordio::encode(&media.encode(&Event {
        r#type: Some(event::Type::Heartbeat as i32),
        ..Default::default()
    }));
    loop {
        tokio::select! {
            () = sender.closed() => break,
            () = tokio::time::sleep(HEARTBEAT_INTERVAL) => {
                if sender.send(beat.clone()).is_err() {
                    break;
                }
            }
        }
    }
    // The owner is gone: so is the agent.
    let _ = inbox
        .send(Message::Input(Input::ExecutorDisconnected(id)), 0)
        .await;
}

fn encode(
    event: &ExecutorEvent,
    framework: Option<&FrameworkId>,
) -> Result<Event, meseta_proto::prost::DecodeError> {
    let of = |kind: event::Type| Event {
        r#type: Some(kind as i32),
        ..Default::default()
    };
    let task_id = |id: &meseta_types::TaskId| pb::TaskId {
        value: id.as_str().to_owned(),
    };
    Ok(match event {
        ExecutorEvent::Subscribed {
            framework,
            executor,
            agent,
            container_id,
        } => Event {
            subscribed: Some(event::Subscribed {
                executor_info: match &framework.id {
                    Some(id) => convert::executor::to_info(executor, id),
                    None => pb::ExecutorInfo::decode(executor.wire.clone())?,
                },
                framework_info: convert::framework::to_info(framework),
                agent_info: convert::agent::to_info(agent),
                container_id: Some(pb::ContainerId {
                    value: container_id.as_str().to_owned(),
                    parent: None,
                }),
            }),
            ..of(event::Type::Subscribed)
        },
        ExecutorEvent::Launch(task) => {
            let wire: Bytes = match framework {
                Some(framework) => convert::task::launch_wire(task, framework),
                None => task.wire.clone(),
            };
            Event {
                launch: Some(event::Launch {
                    task: pb::TaskInfo::decode(wire)?,
                }),
                ..of(event::Type::Launch)
            }
        }
        ExecutorEvent::Kill {
            task_id: id,
            kill_policy,
        } => Event {
            kill: Some(event::Kill {
                task_id: task_id(id),
                kill_policy: match kill_policy.is_empty() {
                    true => None,
                    false => Some(pb::KillPolicy::decode(kill_policy.clone())?),
                },
            }),
            ..of(event::Type::Kill)
        },
        ExecutorEvent::Acknowledged { task_id: id, uuid } => Event {
            acknowledged: Some(event::Acknowledged {
                task_id: task_id(id),
                uuid: Bytes::copy_from_slice(&uuid.0),
            }),
            ..of(event::Type::Acknowledged)
        },
        ExecutorEvent::Message(data) => Event {
            message: Some(event::Message { data: data.clone() }),
            ..of(event::Type::Message)
        },
        ExecutorEvent::Shutdown => of(event::Type::Shutdown),
    })
}
