//! SUBSCRIBE of the operator API: the whole state, then every change, as a stream of records.

use super::{Context, state};
use crate::api::records::{Encode, Records, UNREAD_BYTES_MAX};
use crate::api::sink::{Json, Protobuf, Sink};
use crate::intake::Watcher;
use crate::outbox::outbox;
use crate::show;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use meseta_http::gate::Action;
use meseta_http::listener::Connection;
use meseta_http::{Body, MediaType, Refusal, Response};
use meseta_master_core::View;
use meseta_master_core::config::HEARTBEAT_INTERVAL;
use meseta_master_core::io::OperatorEvent;
use meseta_proto::mesos::v1;
use meseta_proto::mesos::v1::master::Event;
use meseta_proto::mesos::v1::master::event::{self, Type};
use meseta_proto::prost::Message;
use meseta_proto::{convert, json};
use meseta_types::Resources;
use std::io;
use std::sync::Arc;

pub(super) async fn subscribe(context: &Context<'_>) -> Result<Response, Refusal> {
    context.allow(Action::ViewCluster)?;
    let (outbox, inlet) = outbox(UNREAD_BYTES_MAX);
    let watcher = Watcher {
        outbox,
        connection: context.parts.extensions.get::<Connection>().cloned(),
    };
    let view = context.master.intake.watch(watcher).await?;
    let media = context.media;
    let permit = context.master.encoders.clone().acquire_owned().await;
    let encoded = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        subscribed(&view, media)
    });
    let first = encoded
        .await
        .map_err(crate::api::broken)?
        .map_err(crate::api::broken)?;
    let records = Records::new(inlet, OperatorEvents, media, None).start_with(&first);
    let mut response = Response::new(Body::from_stream(records));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(media.as_str()));
    Ok(response)
}

/// The SUBSCRIBED event. One record needs its length first, so it is made whole.
fn subscribed(view: &View, media: MediaType) -> io::Result<Vec<u8>> {
    let interval = HEARTBEAT_INTERVAL.as_secs_f64();
    match media {
        MediaType::Json => {
            let mut out = Vec::new();
            let mut sink = Json::new(&mut out, Type::Subscribed.as_str_name())?;
            sink.open("subscribed", 2)?;
            state::write_state(view, 1, &mut sink)?;
            sink.number("heartbeat_interval_seconds", interval)?;
            sink.close()?;
            sink.finish()?;
            Ok(out)
        }
        MediaType::Protobuf | MediaType::RecordIo => {
            let mut sink = Protobuf::new(Type::Subscribed.into());
            sink.open("subscribed", 2)?;
            state::write_state(view, 1, &mut sink)?;
            sink.number(2, interval);
            sink.close()?;
            Ok(sink.finish())
        }
    }
}

/// Encodes the events that follow.
#[derive(Debug)]
struct OperatorEvents;

impl Encode<Arc<OperatorEvent>> for OperatorEvents {
    fn event(&mut self, event: &Arc<OperatorEvent>, media: MediaType) -> Option<Vec<u8>> {
        message(event).map(|message| encode(&message, media))
    }

    fn heartbeat(&self, media: MediaType) -> Vec<u8> {
        let message = Event {
            r#type: Some(Type::Heartbeat.into()),
            ..Default::default()
        };
        encode(&message, media)
    }

    fn starts(&self, _: &Arc<OperatorEvent>) -> bool {
        false
    }
}

fn encode(message: &Event, media: MediaType) -> Vec<u8> {
    match media {
        MediaType::Json => json::to_vec(message),
        MediaType::Protobuf | MediaType::RecordIo => message.encode_to_vec(),
    }
}

/// The event as a message.
fn message(event: &OperatorEvent) -> Option<Event> {
    let mut message = Event::default();
    let r#type = match event {
        OperatorEvent::TaskAdded(task) => {
            message.task_added = Some(event::TaskAdded {
                task: show::carried(&show::task(task)),
            });
            Type::TaskAdded
        }
        OperatorEvent::TaskUpdated {
            framework_id,
            status,
            state,
        } => {
            message.task_updated = Some(event::TaskUpdated {
                framework_id: v1::FrameworkId {
                    value: framework_id.to_string(),
                },
                status: convert::status::to_proto(status),
                state: state.number(),
            });
            Type::TaskUpdated
        }
        OperatorEvent::AgentAdded(agent) => {
            message.agent_added = Some(event::AgentAdded {
                // It has come just now: nothing of it is offered yet.
                agent: show::agent(agent, &Resources::new()),
            });
            Type::AgentAdded
        }
        OperatorEvent::AgentRemoved { agent_id } => {
            message.agent_removed = Some(event::AgentRemoved {
                agent_id: v1::AgentId {
                    value: agent_id.to_string(),
                },
            });
            Type::AgentRemoved
        }
        OperatorEvent::FrameworkAdded {
            framework,
            allocated,
            offered,
        } => {
            let mut framework = show::framework(framework, allocated, offered);
            // Printed as zero while the framework lives, only in events.
            framework
                .unregistered_time
                .get_or_insert(v1::TimeInfo { nanoseconds: 0 });
            message.framework_added = Some(event::FrameworkAdded { framework });
            Type::FrameworkAdded
        }
        OperatorEvent::FrameworkUpdated {
            framework,
            allocated,
            offered,
        } => {
            let mut framework = show::framework(framework, allocated, offered);
            framework
                .unregistered_time
                .get_or_insert(v1::TimeInfo { nanoseconds: 0 });
            message.framework_updated = Some(event::FrameworkUpdated { framework });
            Type::FrameworkUpdated
        }
        OperatorEvent::FrameworkRemoved { framework } => {
            message.framework_removed = Some(event::FrameworkRemoved {
                framework_info: convert::framework::to_info(framework),
            });
            Type::FrameworkRemoved
        }
    };
    message.r#type = Some(r#type.into());
    Some(message)
}
