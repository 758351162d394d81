//! Executors.

use super::{Invalid, duration, resource};
use crate::mesos::v1::{self, executor_info::Type};
use crate::secrets::without_secrets;
use bytes::Bytes;
use meseta_types::task::ExecutorSpec;
use meseta_types::{ExecutorId, FrameworkId};
use prost::Message as _;
use std::sync::Arc;

/// An executor from its `ExecutorInfo`; fails if its resources are no resources. The id is taken as written.
///
/// The carried `wire` has no resources: the typed ones are the truth, and the same executor must look the same whether
/// its framework sent it (resources not allocated yet) or an agent reports it.
pub fn spec(info: &v1::ExecutorInfo) -> Result<ExecutorSpec, Invalid> {
    let resources = resource::from_proto(&info.resources).map_err(Invalid::new)?;
    Ok(ExecutorSpec {
        executor_id: ExecutorId::as_written(&info.executor_id.value),
        resources,
        name: Arc::from(info.name()),
        source: Arc::from(info.source()),
        is_default: info.r#type() == Type::Default,
        shutdown_grace_period: info.shutdown_grace_period.as_ref().map(duration),
        wire: without_resources(info).encode_to_vec().into(),
    })
}

fn without_resources(info: &v1::ExecutorInfo) -> v1::ExecutorInfo {
    v1::ExecutorInfo {
        resources: Vec::new(),
        ..info.clone()
    }
}

/// As [`spec`], from the encoded message.
pub fn from_encoded(wire: &[u8]) -> Result<ExecutorSpec, Invalid> {
    spec(&crate::binary::decode(wire).map_err(Invalid::new)?)
}

/// The `ExecutorInfo` as it goes to a peer: the typed resources over those of the wire, and the framework's id.
pub fn to_info(spec: &ExecutorSpec, framework_id: &FrameworkId) -> v1::ExecutorInfo {
    let mut info = v1::ExecutorInfo::decode(spec.wire.clone()).unwrap_or_default();
    info.executor_id = v1::ExecutorId {
        value: spec.executor_id.to_string(),
    };
    info.framework_id = Some(v1::FrameworkId {
        value: framework_id.to_string(),
    });
    info.resources = resource::to_proto(&spec.resources, resource::Format::Post);
    info
}

/// [`to_info`] as readers are shown it: without secrets.
pub fn to_shown_info(spec: &ExecutorSpec, framework_id: &FrameworkId) -> v1::ExecutorInfo {
    let wire = without_secrets::<v1::ExecutorInfo>(&spec.wire).into();
    to_info(&ExecutorSpec { wire, ..spec.clone() }, framework_id)
}

/// [`to_info`], encoded, without decoding the wire.
pub fn encode(spec: &ExecutorSpec, framework_id: &FrameworkId) -> Bytes {
    let mut out = super::without(&spec.wire, &[1, 5, 8]);
    super::put_id(&mut out, 1, spec.executor_id.as_str());
    for r in resource::to_proto(&spec.resources, resource::Format::Post) {
        crate::wire::put_bytes(&mut out, 5, &r.encode_to_vec());
    }
    super::put_id(&mut out, 8, framework_id.as_str());
    out.into()
}
