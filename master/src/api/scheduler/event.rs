//! Writes scheduler events: the core's words as `mesos.v1.scheduler.Event`.

use crate::api::records::Encode;
use crate::show;
use meseta_http::MediaType;
use meseta_master_core::config::HEARTBEAT_INTERVAL;
use meseta_master_core::io::{Event, OperationState, OperationStatus};
use meseta_proto::mesos::v1;
use meseta_proto::mesos::v1::scheduler;
use meseta_proto::mesos::v1::scheduler::event::{self as wire, Type};
use meseta_proto::prost::Message;
use meseta_proto::{convert, json};

/// Encodes the events of one scheduler's stream.
#[derive(Debug)]
pub(in crate::api) struct SchedulerEvents {
    master: v1::MasterInfo,
}

impl SchedulerEvents {
    pub(in crate::api) fn new(master: v1::MasterInfo) -> SchedulerEvents {
        SchedulerEvents { master }
    }

    /// The event as a message.
    pub(in crate::api) fn message(&self, event: &Event) -> scheduler::Event {
        let mut message = scheduler::Event::default();
        let r#type = match event {
            Event::Subscribed { framework_id } => {
                message.subscribed = Some(wire::Subscribed {
                    framework_id: v1::FrameworkId {
                        value: framework_id.to_string(),
                    },
                    heartbeat_interval_seconds: Some(HEARTBEAT_INTERVAL.as_secs_f64()),
                    master_info: Some(self.master.clone()),
                });
                Type::Subscribed
            }
            Event::Offers { offers, capabilities } => {
                let offers = offers.iter().map(|offer| show::offer_for(offer, *capabilities));
                message.offers = Some(wire::Offers {
                    offers: offers.collect(),
                });
                Type::Offers
            }
            Event::Rescind { offer_id } => {
                message.rescind = Some(wire::Rescind {
                    offer_id: v1::OfferId {
                        value: offer_id.to_string(),
                    },
                });
                Type::Rescind
            }
            Event::Update(status) => {
                message.update = Some(wire::Update {
                    status: convert::status::to_proto(status),
                });
                Type::Update
            }
            Event::UpdateOperationStatus(status) => {
                message.update_operation_status = Some(wire::UpdateOperationStatus {
                    status: operation_status(status),
                });
                Type::UpdateOperationStatus
            }
            Event::Message {
                agent_id,
                executor_id,
                data,
            } => {
                message.message = Some(wire::Message {
                    agent_id: v1::AgentId {
                        value: agent_id.to_string(),
                    },
                    executor_id: v1::ExecutorId {
                        value: executor_id.to_string(),
                    },
                    data: data.clone(),
                });
                Type::Message
            }
            Event::Failure { agent_id, executor } => {
                message.failure = Some(wire::Failure {
                    agent_id: Some(v1::AgentId {
                        value: agent_id.to_string(),
                    }),
                    executor_id: executor.as_ref().map(|(id, _)| v1::ExecutorId {
                        value: id.to_string(),
                    }),
                    status: executor.as_ref().map(|(_, status)| *status),
                });
                Type::Failure
            }
            Event::Error { message: text } => {
                message.error = Some(wire::Error {
                    message: text.to_string(),
                });
                Type::Error
            }
        };
        message.r#type = Some(r#type.into());
        message
    }
}

fn operation_status(status: &OperationStatus) -> v1::OperationStatus {
    let state = match status.state {
        OperationState::Error => v1::OperationState::OperationError,
        OperationState::Unknown => v1::OperationState::OperationUnknown,
        OperationState::Unreachable => v1::OperationState::OperationUnreachable,
        OperationState::Recovering => v1::OperationState::OperationRecovering,
        OperationState::GoneByOperator => v1::OperationState::OperationGoneByOperator,
    };
    v1::OperationStatus {
        operation_id: Some(v1::OperationId {
            value: status.operation_id.to_string(),
        }),
        state: state.into(),
        message: Some(status.message.to_string()),
        agent_id: status.agent_id.as_ref().map(|id| v1::AgentId {
            value: id.to_string(),
        }),
        ..Default::default()
    }
}

impl Encode<Event> for SchedulerEvents {
    fn event(&mut self, event: &Event, media: MediaType) -> Option<Vec<u8>> {
        let message = self.message(event);
        Some(match media {
            MediaType::Json => json::to_vec(&message),
            MediaType::Protobuf | MediaType::RecordIo => message.encode_to_vec(),
        })
    }

    fn heartbeat(&self, media: MediaType) -> Vec<u8> {
        let message = scheduler::Event {
            r#type: Some(Type::Heartbeat.into()),
            ..Default::default()
        };
        match media {
            MediaType::Json => json::to_vec(&message),
            MediaType::Protobuf | MediaType::RecordIo => message.encode_to_vec(),
        }
    }

    fn starts(&self, event: &Event) -> bool {
        matches!(event, Event::Subscribed { .. })
    }
}
