//! `POST /api/v1`: the operator API.
//!
//! Checks a request in the order Mesos does. Small answers are messages, large ones are written from a view by
//! [`state`], the event stream is in [`events`].

mod check;
mod events;
mod state;

pub(super) use state::offers_by_framework;

use super::check_method;
use super::files;
use super::large;
use super::metrics;
use super::version;
use crate::intake::Ended;
use crate::master::Master;
use crate::show;
use http::StatusCode;
use http::request::Parts;
use meseta_http::files::FileError;
use meseta_http::gate::{Action, Identity};
use meseta_http::negotiate::content_type;
use meseta_http::{Accept, Body, MediaType, Refusal, Response, Wording, body, reply};
use meseta_master_core::View;
use meseta_master_core::io::Input;
use meseta_proto::json;
use meseta_proto::mesos::v1;
use meseta_proto::mesos::v1::master::call::Type;
use meseta_proto::mesos::v1::master::{Call, Response as Answer, response};
use meseta_proto::mesos::v1::{maintenance, quota};
use meseta_proto::prost::Message;
use meseta_types::FrameworkId;
use std::sync::Arc;
use std::time::Duration;

/// What a handler needs to answer one call.
pub(super) struct Context<'a> {
    pub(super) master: &'a Arc<Master>,
    pub(super) parts: Parts,
    pub(super) who: Identity,
    /// What the client reads.
    pub(super) media: MediaType,
}

pub(super) async fn call(master: &Arc<Master>, parts: Parts, body: Body) -> Result<Response, Refusal> {
    let who = master.gate.identify(&parts.headers);
    master.check_recovered()?;
    if let Err(wrong_method) = check_method(&parts, &["POST"]) {
        return Ok(*wrong_method);
    }
    let written = content_type(&parts.headers, Wording::Common)?;
    let bytes = body::read(body, &parts.headers, master.config.max_request_bytes).await?;
    let call: Call = super::parse(written, &bytes)?;
    let r#type = check::check(&call)
        .map_err(|invalid| Refusal::bad_request(format!("Failed to validate master::Call: {invalid}")))?;
    let media = Accept::of(&parts.headers).message()?;
    let context = Context {
        master,
        parts,
        who,
        media,
    };
    context.answer(r#type, call).await
}

impl Context<'_> {
    async fn answer(&self, r#type: Type, call: Call) -> Result<Response, Refusal> {
        match r#type {
            Type::GetHealth => self.message(Answer {
                r#type: Some(response::Type::GetHealth.into()),
                get_health: Some(response::GetHealth { healthy: true }),
                ..Default::default()
            }),
            Type::GetFlags => self.get_flags(),
            Type::GetVersion => self.message(Answer {
                r#type: Some(response::Type::GetVersion.into()),
                get_version: Some(response::GetVersion {
                    version_info: version::info(),
                }),
                ..Default::default()
            }),
            Type::GetMetrics => self.get_metrics().await,
            Type::GetLoggingLevel => self.message(Answer {
                r#type: Some(response::Type::GetLoggingLevel.into()),
                get_logging_level: Some(response::GetLoggingLevel {
                    level: self.master.log_level.level(),
                }),
                ..Default::default()
            }),
            Type::SetLoggingLevel => self.set_logging_level(&call),
            Type::ListFiles => self.list_files(&call).await,
            Type::ReadFile => self.read_file(&call).await,
            Type::GetState | Type::GetAgents | Type::GetFrameworks | Type::GetExecutors | Type::GetTasks => {
                state::answer(self, r#type).await
            }
            Type::GetRoles => self.get_roles().await,
            Type::GetWeights => self.message(Answer {
                r#type: Some(response::Type::GetWeights.into()),
                ..Default::default()
            }),
            Type::GetMaster => self.get_master(),
            Type::GetOperations => self.message(Answer {
                r#type: Some(response::Type::GetOperations.into()),
                get_operations: Some(response::GetOperations::default()),
                ..Default::default()
            }),
            Type::GetMaintenanceStatus => self.message(Answer {
                r#type: Some(response::Type::GetMaintenanceStatus.into()),
                get_maintenance_status: Some(response::GetMaintenanceStatus {
                    status: maintenance::ClusterStatus::default(),
                }),
                ..Default::default()
            }),
            Type::GetMaintenanceSchedule => self.message(Answer {
                r#type: Some(response::Type::GetMaintenanceSchedule.into()),
                get_maintenance_schedule: Some(response::GetMaintenanceSchedule {
                    schedule: maintenance::Schedule::default(),
                }),
                ..Default::default()
            }),
            Type::GetQuota => self.message(Answer {
                r#type: Some(response::Type::GetQuota.into()),
                get_quota: Some(response::GetQuota {
                    status: quota::QuotaStatus::default(),
                }),
                ..Default::default()
            }),
            Type::Subscribe => events::subscribe(self).await,
            Type::Teardown => {
                let id = call.teardown.map(|teardown| teardown.framework_id.value);
                teardown(self.master, &self.who, id.unwrap_or_default()).await
            }
            // Writes of features this release does not have: an honest refusal, and nothing changes.
            Type::Unknown
            | Type::UpdateWeights
            | Type::ReserveResources
            | Type::UnreserveResources
            | Type::CreateVolumes
            | Type::DestroyVolumes
            | Type::GrowVolume
            | Type::ShrinkVolume
            | Type::UpdateMaintenanceSchedule
            | Type::StartMaintenance
            | Type::StopMaintenance
            | Type::SetQuota
            | Type::RemoveQuota
            | Type::UpdateQuota
            | Type::MarkAgentGone
            | Type::DrainAgent
            | Type::DeactivateAgent
            | Type::ReactivateAgent => Err(Refusal::standard(StatusCode::NOT_IMPLEMENTED)),
        }
    }

    /// A small answer.
    fn message(&self, answer: Answer) -> Result<Response, Refusal> {
        let body = match self.media {
            MediaType::Json => json::to_vec(&answer),
            MediaType::Protobuf | MediaType::RecordIo => answer.encode_to_vec(),
        };
        Ok(reply::content(self.media, body, &self.parts.headers))
    }

    fn allow(&self, action: Action<'_>) -> Result<(), Refusal> {
        self.master.gate.check(&self.who, action)
    }

    async fn view(&self) -> Result<Arc<View>, Ended> {
        self.master.intake.view().await
    }

    fn get_flags(&self) -> Result<Response, Refusal> {
        self.allow(Action::ViewFlags)?;
        let flags = self.master.config.flags.iter().map(|(name, value)| v1::Flag {
            name: (*name).to_owned(),
            value: Some(value.clone()),
        });
        self.message(Answer {
            r#type: Some(response::Type::GetFlags.into()),
            get_flags: Some(response::GetFlags {
                flags: flags.collect(),
            }),
            ..Default::default()
        })
    }

    async fn get_metrics(&self) -> Result<Response, Refusal> {
        self.allow(Action::ViewCluster)?;
        // All metrics come from one view at once: a timeout has nothing to leave out.
        let samples = metrics::samples(self.master, true).await?;
        let metrics = samples.into_iter().map(|sample| v1::Metric {
            name: sample.name,
            value: Some(sample.value),
        });
        self.message(Answer {
            r#type: Some(response::Type::GetMetrics.into()),
            get_metrics: Some(response::GetMetrics {
                metrics: metrics.collect(),
            }),
            ..Default::default()
        })
    }

    /// A level below the one at start, or one that makes no sense, is silently not set, as in Mesos.
    fn set_logging_level(&self, call: &Call) -> Result<Response, Refusal> {
        self.allow(Action::SetLogLevel)?;
        if let Some(set) = &call.set_logging_level
            && set.level >= self.master.log_level.original()
        {
            let nanos = u64::try_from(set.duration.nanoseconds).unwrap_or(0);
            self.master.log_level.set(set.level, Duration::from_nanos(nanos));
        }
        Ok(reply::empty(StatusCode::OK))
    }

    async fn list_files(&self, call: &Call) -> Result<Response, Refusal> {
        if !self.master.gate.allows(&self.who, Action::AccessMasterLog) {
            return Err(Refusal::new(StatusCode::FORBIDDEN, ""));
        }
        let path = call.list_files.as_ref().map_or("", |list| list.path.as_str());
        match self.master.files.browse(path).await {
            Ok(found) => self.message(Answer {
                r#type: Some(response::Type::ListFiles.into()),
                list_files: Some(response::ListFiles {
                    file_infos: found.into_iter().map(files::info).collect(),
                }),
                ..Default::default()
            }),
            Err(error) => Ok(error.response()),
        }
    }

    async fn read_file(&self, call: &Call) -> Result<Response, Refusal> {
        if !self.master.gate.allows(&self.who, Action::AccessMasterLog) {
            return Err(Refusal::new(StatusCode::FORBIDDEN, ""));
        }
        let Some(read) = &call.read_file else {
            return Ok(FileError::NotFound.response());
        };
        let found = self.master.files.read(&read.path, Some(read.offset), read.length);
        match found.await {
            Ok((data, size)) => self.message(Answer {
                r#type: Some(response::Type::ReadFile.into()),
                read_file: Some(response::ReadFile { size, data }),
                ..Default::default()
            }),
            Err(error) => Ok(error.response()),
        }
    }

    async fn get_roles(&self) -> Result<Response, Refusal> {
        self.allow(Action::ViewCluster)?;
        let view = self.view().await?;
        let roles = show::roles(&view, self.master.config.core.roles.as_ref());
        self.message(Answer {
            r#type: Some(response::Type::GetRoles.into()),
            get_roles: Some(response::GetRoles {
                roles: roles.into_iter().map(show::Role::message).collect(),
            }),
            ..Default::default()
        })
    }

    fn get_master(&self) -> Result<Response, Refusal> {
        let elected = self.master.elected.get();
        self.message(Answer {
            r#type: Some(response::Type::GetMaster.into()),
            get_master: Some(response::GetMaster {
                master_info: Some(self.master.me.info()),
                start_time: Some(self.master.me.start_time.as_secs_f64()),
                elected_time: elected.map(|at| at.as_secs_f64()),
            }),
            ..Default::default()
        })
    }
}

/// TEARDOWN and `/teardown`.
pub(super) async fn teardown(master: &Master, who: &Identity, id: String) -> Result<Response, Refusal> {
    let framework_id = FrameworkId::as_written(id);
    master.gate.check(who, Action::TeardownFramework(&framework_id))?;
    let input = move |request| Input::Teardown {
        request,
        framework_id,
    };
    match master.intake.ask(0, input).await? {
        Ok(()) => Ok(reply::empty(StatusCode::OK)),
        Err(refused) => Err(super::core_refusal(&refused)),
    }
}

/// An answer that grows with the cluster, in the client's encoding.
async fn streamed(
    context: &Context<'_>,
    encode: impl FnOnce(&mut dyn std::io::Write) -> std::io::Result<()> + Send + 'static,
) -> Result<Response, Refusal> {
    large::answer(
        context.master,
        context.media.as_str(),
        &context.parts.headers,
        encode,
    )
    .await
}
