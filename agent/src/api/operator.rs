//! `POST /api/v1`: the agent's operator API.
//!
//! Checks in Mesos's order (mesos-http 1.2): recovery, method, types of body and answer, body, form, then the call.
//! Reads are answered from a view of the core; calls on nested and standalone containers, which this release does not
//! have, are refused as such.

mod check;
mod reads;

use super::{API_VERSION, Agent, GIT_SHA, containers, metrics};
use check::Negotiated;
use http::request::Parts;
use http::{Method, StatusCode};
use meseta_http::files::FileError;
use meseta_http::gate::Action;
use meseta_http::{Body, MediaType, Refusal, Response, reply};
use meseta_proto::body::MediaType as Encoding;
use meseta_proto::mesos::v1 as pb;
use meseta_proto::mesos::v1::agent::{self as api, call::Type, response};
use std::time::Duration;

/// Answers one call.
pub(super) async fn call(agent: &Agent, parts: Parts, body: Body) -> Result<Response, Refusal> {
    agent.recovered()?;
    if parts.method != Method::POST {
        return Ok(reply::method_not_allowed(&["POST"], &parts.method));
    }
    let negotiated = check::negotiate(&parts.headers)?;
    let limit = usize::try_from(agent.config().flags.max_request_bytes.0).unwrap_or(usize::MAX);
    let call = negotiated.read(body, &parts.headers, limit).await?;
    let kind = check::validate(&call)?;
    negotiated.check_streaming(kind)?;
    let answer = Answer {
        agent,
        parts: &parts,
        media: negotiated.accept,
    };
    answer.to(kind, call, &negotiated).await
}

struct Answer<'a> {
    agent: &'a Agent,
    parts: &'a Parts,
    media: MediaType,
}

impl Answer<'_> {
    async fn to(&self, kind: Type, call: api::Call, negotiated: &Negotiated) -> Result<Response, Refusal> {
        self.allow(kind, &call)?;
        match kind {
            Type::GetHealth => Ok(self.message(api::Response {
                get_health: Some(response::GetHealth { healthy: true }),
                ..of(response::Type::GetHealth)
            })),
            Type::GetFlags => Ok(self.flags()),
            Type::GetVersion => Ok(self.version()),
            Type::GetMetrics => self.metrics().await,
            Type::GetLoggingLevel => Ok(self.message(api::Response {
                get_logging_level: Some(response::GetLoggingLevel {
                    level: self.agent.log_level.level(),
                }),
                ..of(response::Type::GetLoggingLevel)
            })),
            Type::SetLoggingLevel => self.set_logging_level(&call.set_logging_level.unwrap_or_default()),
            Type::ListFiles => self.list_files(&call.list_files.unwrap_or_default().path).await,
            Type::ReadFile => self.read_file(&call.read_file.unwrap_or_default()).await,
            Type::GetState => self.state().await,
            Type::GetContainers => {
                let view = self.agent.view().await?;
                let containers = containers::all(self.agent, &view).await;
                Ok(self.message(api::Response {
                    // Without containers the member is left out, as Mesos does.
                    get_containers: (!containers.is_empty())
                        .then_some(response::GetContainers { containers }),
                    ..of(response::Type::GetContainers)
                }))
            }
            Type::GetFrameworks => self.frameworks().await,
            Type::GetExecutors => self.executors().await,
            Type::GetTasks => self.tasks().await,
            Type::GetAgent => self.agent().await,
            Type::GetResourceProviders => Ok(self.message(api::Response {
                get_resource_providers: Some(response::GetResourceProviders::default()),
                ..of(response::Type::GetResourceProviders)
            })),
            Type::GetOperations => Ok(self.message(api::Response {
                get_operations: Some(response::GetOperations::default()),
                ..of(response::Type::GetOperations)
            })),
            // Without images there is nothing to prune, without providers none to mark.
            Type::PruneImages | Type::MarkResourceProviderGone => Ok(reply::empty(StatusCode::OK)),
            Type::Unknown => Err(Refusal::standard(StatusCode::NOT_IMPLEMENTED)),
            other => check::container_call(self.agent, other, &call, negotiated).await,
        }
    }

    /// The one place where a call is authorised.
    fn allow(&self, kind: Type, call: &api::Call) -> Result<(), Refusal> {
        let action = match kind {
            // What everybody may know, as of the legacy endpoints.
            Type::GetHealth | Type::GetVersion | Type::GetLoggingLevel | Type::Unknown => return Ok(()),
            Type::GetFlags => Action::ViewFlags,
            Type::SetLoggingLevel => Action::SetLogLevel,
            Type::ListFiles => {
                let path = call.list_files.as_ref().map_or("", |list| &list.path);
                return self.agent.allow_file(self.parts, path);
            }
            Type::ReadFile => {
                let path = call.read_file.as_ref().map_or("", |read| &read.path);
                return self.agent.allow_file(self.parts, path);
            }
            Type::GetMetrics
            | Type::GetState
            | Type::GetFrameworks
            | Type::GetExecutors
            | Type::GetTasks
            | Type::GetAgent
            | Type::GetOperations
            | Type::GetResourceProviders => Action::ViewAgent,
            Type::GetContainers => Action::ViewContainers,
            _ => Action::ManageContainers,
        };
        self.agent.allow(self.parts, action)
    }

    fn message(&self, message: api::Response) -> Response {
        let encoding = match self.media {
            MediaType::Json => Encoding::Json,
            MediaType::Protobuf | MediaType::RecordIo => Encoding::Protobuf,
        };
        reply::content(self.media, encoding.encode(&message), &self.parts.headers)
    }

    fn flags(&self) -> Response {
        let flags = self
            .agent
            .config()
            .flags
            .shown()
            .into_iter()
            .map(|(name, value)| pb::Flag {
                name: name.to_owned(),
                value: Some(value),
            });
        self.message(api::Response {
            get_flags: Some(response::GetFlags {
                flags: flags.collect(),
            }),
            ..of(response::Type::GetFlags)
        })
    }

    fn version(&self) -> Response {
        self.message(api::Response {
            get_version: Some(response::GetVersion {
                version_info: pb::VersionInfo {
                    version: API_VERSION.to_owned(),
                    git_sha: GIT_SHA.map(str::to_owned),
                    ..Default::default()
                },
            }),
            ..of(response::Type::GetVersion)
        })
    }

    async fn metrics(&self) -> Result<Response, Refusal> {
        let metrics = metrics::samples(self.agent)
            .await?
            .into_iter()
            .map(|sample| pb::Metric {
                name: sample.name,
                value: Some(sample.value),
            });
        Ok(self.message(api::Response {
            get_metrics: Some(response::GetMetrics {
                metrics: metrics.collect(),
            }),
            ..of(response::Type::GetMetrics)
        }))
    }

    fn set_logging_level(&self, wanted: &api::call::SetLoggingLevel) -> Result<Response, Refusal> {
        let original = self.agent.log_level.original();
        if wanted.level < original {
            return Err(Refusal::bad_request(format!(
                "'{}' < original level.\n",
                wanted.level
            )));
        }
        let nanos = u64::try_from(wanted.duration.nanoseconds).unwrap_or(0);
        self.agent
            .log_level
            .set(wanted.level, Duration::from_nanos(nanos));
        Ok(reply::empty(StatusCode::OK))
    }

    async fn list_files(&self, path: &str) -> Result<Response, Refusal> {
        let entries = match self.agent.files.browse(path).await {
            Ok(entries) => entries,
            Err(error) => return Ok(error.response()),
        };
        let file_infos = entries.into_iter().map(|entry| pb::FileInfo {
            path: entry.path,
            nlink: Some(i32::try_from(entry.nlink).unwrap_or(i32::MAX)),
            size: Some(entry.size),
            mtime: Some(pb::TimeInfo {
                // Whole seconds, as Mesos has them.
                nanoseconds: entry.mtime_nanos.div_euclid(1_000_000_000) * 1_000_000_000,
            }),
            mode: Some(entry.mode),
            uid: Some(entry.uid),
            gid: Some(entry.gid),
        });
        Ok(self.message(api::Response {
            list_files: Some(response::ListFiles {
                file_infos: file_infos.collect(),
            }),
            ..of(response::Type::ListFiles)
        }))
    }

    async fn read_file(&self, wanted: &api::call::ReadFile) -> Result<Response, Refusal> {
        match self
            .agent
            .files
            .read(&wanted.path, Some(wanted.offset), wanted.length)
            .await
        {
            Ok((data, size)) => Ok(self.message(api::Response {
                read_file: Some(response::ReadFile { size, data }),
                ..of(response::Type::ReadFile)
            })),
            Err(error @ (FileError::NotFound | FileError::Bad(_) | FileError::Failed(_))) => {
                Ok(error.response())
            }
        }
    }
}

/// An answer of a type with nothing in it yet.
fn of(kind: response::Type) -> api::Response {
    api::Response {
        r#type: Some(kind as i32),
        ..Default::default()
    }
}
