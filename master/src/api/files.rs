//! The master's log as a virtual file: `/files/*`, LIST_FILES and READ_FILE.

use super::query;
use crate::master::Master;
use http::StatusCode;
use http::request::Parts;
use meseta_http::files::{FileInfo, endpoint};
use meseta_http::gate::Action;
use meseta_http::{Refusal, Response};
use meseta_proto::mesos::v1;

pub(super) async fn legacy(master: &Master, rest: &str, parts: &Parts) -> Result<Response, Refusal> {
    let who = master.gate.identify(&parts.headers);
    if !master.gate.allows(&who, Action::AccessMasterLog) {
        return Err(Refusal::new(StatusCode::FORBIDDEN, ""));
    }
    Ok(endpoint(&master.files, rest, &query(parts)?, &parts.headers).await)
}

/// An entry of LIST_FILES.
pub(super) fn info(file: FileInfo) -> v1::FileInfo {
    v1::FileInfo {
        path: file.path,
        nlink: Some(i32::try_from(file.nlink).unwrap_or(i32::MAX)),
        size: Some(file.size),
        mtime: Some(v1::TimeInfo {
            nanoseconds: file.mtime_nanos,
        }),
        mode: Some(file.mode),
        uid: Some(file.uid),
        gid: Some(file.gid),
    }
}
