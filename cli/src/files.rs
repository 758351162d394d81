//! A task's sandbox, read through its agent's public API, exactly as the bytes are.

use crate::api::Http;
use bytes::Bytes;
use http::Method;
use meseta_proto::binary;
use meseta_proto::mesos::v1::agent::{Call, Response, call};
use meseta_proto::prost::Message;
use meseta_sdk::endpoint::Endpoint;
use std::time::Duration;

/// The most asked for at once; agents answer at most 16 pages anyway.
const READ_BYTES: u64 = 64 * 1024;
/// Pauses between looks at a file that does not grow: short after output, longer while nothing comes. The API has no
/// way to wait for more.
const PAUSE_FIRST: Duration = Duration::from_millis(20);
const PAUSE_MOST: Duration = Duration::from_millis(320);

/// The sandbox of one executor.
#[derive(Clone, Debug)]
pub(crate) struct Sandbox {
    http: Http,
    agent: Endpoint,
    folder: String,
}

/// A piece of a file.
#[derive(Debug)]
pub(crate) struct Piece {
    /// The whole file's size now.
    pub(crate) size: u64,
    pub(crate) data: Bytes,
}

impl Sandbox {
    /// The newest run of an executor. A command task's executor has the task's id.
    pub(crate) fn new(http: Http, agent: Endpoint, framework: &str, executor: &str) -> Sandbox {
        Sandbox {
            http,
            agent,
            folder: format!("/frameworks/{framework}/executors/{executor}/runs/latest"),
        }
    }

    /// Bytes of a file from `offset`; `None` while there is no such file.
    pub(crate) async fn read(&self, file: &str, offset: u64, length: u64) -> Result<Option<Piece>, String> {
        let call = Call {
            r#type: Some(call::Type::ReadFile as i32),
            read_file: Some(call::ReadFile {
                path: format!("{}/{file}", self.folder),
                offset,
                length: Some(length.min(READ_BYTES)),
            }),
            ..Default::default()
        };
        let body = Bytes::from(call.encode_to_vec());
        let answer = self
            .http
            .send(
                Method::POST,
                &self.agent,
                "/api/v1",
                "application/x-protobuf",
                body,
            )
            .await?;
        match answer.status.as_u16() {
            200 => {
                let response: Response = binary::decode(&answer.body).map_err(|e| e.to_string())?;
                let file = response.read_file.ok_or("an answer without a file")?;
                Ok(Some(Piece {
                    size: file.size,
                    data: file.data,
                }))
            }
            404 => Ok(None),
            _ => Err(format!(
                "{} answered {}: {}",
                self.agent,
                answer.status.as_u16(),
                answer.text()
            )),
        }
    }
}

/// Follows one file from an offset.
#[derive(Debug)]
pub(crate) struct Follower {
    sandbox: Sandbox,
    file: &'static str,
    offset: u64,
    pause: Duration,
}

impl Follower {
    pub(crate) fn new(sandbox: Sandbox, file: &'static str, offset: u64) -> Follower {
        Follower {
            sandbox,
            file,
            offset,
            pause: PAUSE_FIRST,
        }
    }

    /// What there is beyond what was read, without waiting for more. A file that was cut short is read anew.
    pub(crate) async fn more(&mut self) -> Result<Bytes, String> {
        let Some(piece) = self.sandbox.read(self.file, self.offset, READ_BYTES).await? else {
            return Ok(Bytes::new());
        };
        if piece.size < self.offset {
            self.offset = 0;
        }
        self.offset += piece.data.len() as u64;
        if !piece.data.is_empty() {
            self.pause = PAUSE_FIRST;
        }
        Ok(piece.data)
    }

    /// The pause before the next look, longer each time nothing came.
    pub(crate) fn pause(&mut self) -> Duration {
        let now = self.pause;
        self.pause = (now * 2).min(PAUSE_MOST);
        now
    }
}
