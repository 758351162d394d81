//! Task statuses. The typed fields and the rest (`wire`) together are the message.

use super::{Invalid, put_id, put_int};
use crate::mesos::v1;
use crate::wire;
use meseta_types::task::{Reason, Source, TaskState, TaskStatus};
use meseta_types::{AgentId, ExecutorId, TaskId, UpdateUuid, Wall};
use prost::Message as _;
use std::sync::Arc;

/// Numbers of the fields that have a typed field.
const TYPED: [u32; 11] = [1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 14];
/// `TaskStatus.data`.
const DATA: u32 = 3;

/// A status from the wire. Ids are taken as written.
pub fn from_proto(status: &v1::TaskStatus) -> Result<TaskStatus, Invalid> {
    let state = TaskState::from_number(status.state)
        .ok_or_else(|| Invalid(format!("unknown task state {}", status.state)))?;
    let source = match status.source() {
        v1::task_status::Source::Master => Source::Master,
        v1::task_status::Source::Agent => Source::Agent,
        v1::task_status::Source::Executor => Source::Executor,
    };
    Ok(TaskStatus {
        task_id: TaskId::as_written(&status.task_id.value),
        state,
        source,
        reason: status.reason.map(Reason),
        message: status.message.as_deref().map(Arc::from),
        agent_id: status.agent_id.as_ref().map(|id| AgentId::as_written(&id.value)),
        executor_id: status
            .executor_id
            .as_ref()
            .map(|id| ExecutorId::as_written(&id.value)),
        timestamp: Wall::from_secs_f64(status.timestamp()),
        uuid: status.uuid.as_deref().map(uuid).transpose()?,
        healthy: status.healthy,
        unreachable_time: status.unreachable_time.as_ref().map(|t| Wall(t.nanoseconds)),
        wire: rest(status).into(),
    })
}

/// What has no typed field, encoded; empty in the common case without encoding anything.
fn rest(status: &v1::TaskStatus) -> Vec<u8> {
    let any = status.data.is_some()
        || status.labels.is_some()
        || status.container_status.is_some()
        || status.check_status.is_some()
        || status.limitation.is_some();
    if any {
        super::without(&status.encode_to_vec(), &TYPED)
    } else {
        Vec::new()
    }
}

/// As [`from_proto`], from the encoded message.
pub fn from_encoded(encoded: &[u8]) -> Result<TaskStatus, Invalid> {
    let status = crate::binary::decode::<v1::TaskStatus>(encoded).map_err(Invalid::new)?;
    from_proto(&status)
}

/// An update's uuid; Mesos's text if it is none.
pub fn uuid(bytes: &[u8]) -> Result<UpdateUuid, Invalid> {
    bytes
        .try_into()
        .map(UpdateUuid)
        .map_err(|_| Invalid::new("Not a valid UUID"))
}

/// The encoded `TaskStatus`.
pub fn encode(status: &TaskStatus) -> Vec<u8> {
    encode_over(status, status.wire.to_vec())
}

/// The encoded `TaskStatus` without `data`, as it is stored and shown.
pub fn encode_without_data(status: &TaskStatus) -> Vec<u8> {
    encode_over(status, super::without(&status.wire, &[DATA]))
}

/// The typed fields after the others: where both have one, the later wins.
fn encode_over(status: &TaskStatus, mut out: Vec<u8>) -> Vec<u8> {
    put_id(&mut out, 1, status.task_id.as_str());
    put_int(&mut out, 2, status.state.number() as u64);
    if let Some(message) = &status.message {
        wire::put_bytes(&mut out, 4, message.as_bytes());
    }
    if let Some(id) = &status.agent_id {
        put_id(&mut out, 5, id.as_str());
    }
    wire::put_tag(&mut out, 6, wire::FIXED64);
    out.extend_from_slice(&status.timestamp.as_secs_f64().to_le_bytes());
    if let Some(id) = &status.executor_id {
        put_id(&mut out, 7, id.as_str());
    }
    if let Some(healthy) = status.healthy {
        put_int(&mut out, 8, u64::from(healthy));
    }
    put_int(&mut out, 9, status.source as u64);
    if let Some(Reason(reason)) = status.reason {
        put_int(&mut out, 10, i64::from(reason) as u64);
    }
    if let Some(uuid) = &status.uuid {
        wire::put_bytes(&mut out, 11, &uuid.0);
    }
    if let Some(Wall(nanoseconds)) = status.unreachable_time {
        wire::put_bytes(&mut out, 14, &v1::TimeInfo { nanoseconds }.encode_to_vec());
    }
    out
}

/// The `TaskStatus` message.
pub fn to_proto(status: &TaskStatus) -> v1::TaskStatus {
    let encoded = encode(status);
    // Only a broken `wire` can fail, and then the typed fields alone are right.
    let typed_only =
        || v1::TaskStatus::decode(encode_over(status, Vec::new()).as_slice()).unwrap_or_default();
    v1::TaskStatus::decode(encoded.as_slice()).unwrap_or_else(|_| typed_only())
}
