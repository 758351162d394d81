//! `POST /api/v1/executor`: the v1 executor API.
//!
//! Checks a call's form in Mesos's order and with its texts (mesos-http 3.1, 3.2), hands it to the owner of the core
//! and answers what the core decided. HEARTBEAT is answered here.

use super::{Agent, ending};
use crate::executors::UNREAD_BYTES_MAX;
use crate::owner::{Call as OwnerCall, Message};
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode, header};
use meseta_agent_core::ExecutorRefusal;
use meseta_http::gate::Action;
use meseta_http::negotiate::{self, Accept, Wording};
use meseta_http::{Body, MediaType, Refusal, Response, body, listener, reply, stream};
use meseta_proto::body::{Endpoint, MediaType as Encoding, parse};
use meseta_proto::convert;
use meseta_proto::mesos::v1 as pb;
use meseta_proto::mesos::v1::executor::{Call, call};
use meseta_types::task::TaskStatus;
use meseta_types::{ExecutorId, FrameworkId, TaskId, Wall};
use tokio::sync::oneshot;

/// Answers one call.
pub(super) async fn call(agent: &Agent, parts: Parts, request: Body) -> Result<Response, Refusal> {
    agent.recovered()?;
    if parts.method != Method::POST {
        return Ok(reply::method_not_allowed(&["POST"], &parts.method));
    }
    let content_type = negotiate::content_type(&parts.headers, Wording::Common)?;
    let limit = usize::try_from(agent.config().flags.max_request_bytes.0).unwrap_or(usize::MAX);
    let bytes = body::read(request, &parts.headers, limit).await?;
    let call: Call = parse(Endpoint::Call, encoding(content_type), &bytes).map_err(Refusal::bad_request)?;
    let kind = validate(&call)
        .map_err(|why| Refusal::bad_request(format!("Failed to validate Executor::Call: {why}")))?;
    let (Ok(framework_id), Ok(executor_id)) = (
        FrameworkId::new(&call.framework_id.value),
        ExecutorId::new(&call.executor_id.value),
    ) else {
        // No framework or executor can have such an id.
        return Err(Refusal::bad_request("Framework cannot be found"));
    };
    agent.allow(&parts, Action::ActAsExecutor(&framework_id, &executor_id))?;
    let accepted = match kind {
        call::Type::Subscribe => Some(encoding(Accept::of(&parts.headers).message()?)),
        call::Type::Heartbeat => return Ok(reply::empty(StatusCode::ACCEPTED)),
        _ => None,
    };
    let ask = Ask {
        agent,
        framework_id,
        executor_id,
        bytes: bytes.len(),
    };
    match kind {
        call::Type::Subscribe => {
            let connection = parts.extensions.get::<listener::Connection>().cloned();
            ask.subscribe(
                call.subscribe.unwrap_or_default(),
                accepted.unwrap_or(Encoding::Json),
                connection,
            )
            .await
        }
        call::Type::Update => match call.update {
            Some(update) => ask.update(&update.status).await,
            None => Err(Refusal::standard(StatusCode::INTERNAL_SERVER_ERROR)),
        },
        call::Type::Message => {
            let data = call.message.map(|message| message.data).unwrap_or_default();
            ask.ask(OwnerCall::Message(data)).await
        }
        call::Type::Heartbeat | call::Type::Unknown => Err(Refusal::standard(StatusCode::NOT_IMPLEMENTED)),
    }
}

fn encoding(media: MediaType) -> Encoding {
    match media {
        MediaType::Json => Encoding::Json,
        MediaType::Protobuf | MediaType::RecordIo => Encoding::Protobuf,
    }
}

/// The form of a call: what kind it is, or Mesos's text for what is missing.
fn validate(call: &Call) -> Result<call::Type, String> {
    let missing = |what: &str| Err(format!("Expecting '{what}' to be present"));
    if call.r#type.is_none() {
        return missing("type");
    }
    match call.r#type() {
        call::Type::Subscribe if call.subscribe.is_none() => missing("subscribe"),
        call::Type::Update => match &call.update {
            None => missing("update"),
            Some(update) => validate_status(call, &update.status).map(|()| call::Type::Update),
        },
        call::Type::Message if call.message.is_none() => missing("message"),
        kind => Ok(kind),
    }
}

fn validate_status(call: &Call, status: &pb::TaskStatus) -> Result<(), String> {
    let (executor, framework) = (&call.executor_id.value, &call.framework_id.value);
    let uuid = status.uuid.as_ref().ok_or("Expecting 'uuid' to be present")?;
    convert::status::uuid(uuid).map_err(|e| e.to_string())?;
    if let Some(own) = status.executor_id.as_ref().filter(|own| own.value != *executor) {
        return Err(format!(
            "ExecutorID in Call: {executor} does not match ExecutorID in TaskStatus: {}",
            own.value
        ));
    }
    if status.source != Some(pb::task_status::Source::Executor as i32) {
        return Err(format!(
            "Received Call from executor {executor} of framework {framework} with invalid source, expecting 'SOURCE_EXECUTOR'"
        ));
    }
    if status.state == pb::TaskState::TaskStaging as i32 {
        return Err(format!(
            "Received TASK_STAGING from executor {executor} of framework {framework} which is not allowed"
        ));
    }
    Ok(())
}

struct Ask<'a> {
    agent: &'a Agent,
    framework_id: FrameworkId,
    executor_id: ExecutorId,
    /// What the call holds, about.
    bytes: usize,
}

impl Ask<'_> {
    async fn subscribe(
        self,
        subscribe: call::Subscribe,
        media: Encoding,
        connection: Option<listener::Connection>,
    ) -> Result<Response, Refusal> {
        let unacknowledged_tasks = subscribe
            .unacknowledged_tasks
            .iter()
            .filter_map(|task| TaskId::new(&task.task_id.value).ok())
            .collect();
        let unacknowledged_updates = subscribe
            .unacknowledged_updates
            .iter()
            .map(|update| self.status(&update.status))
            .collect::<Result<_, _>>()?;
        let (stream, events) = stream::record_stream(UNREAD_BYTES_MAX, connection);
        self.decided(OwnerCall::Subscribe {
            stream,
            media,
            unacknowledged_tasks,
            unacknowledged_updates,
        })
        .await?;
        let mut response = Response::new(events);
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static(media.name()));
        Ok(response)
    }

    async fn update(self, status: &pb::TaskStatus) -> Result<Response, Refusal> {
        let own = self.agent.status.borrow().agent_id.clone();
        // Another agent's id: the update is dropped without a word, as in Mesos.
        if let (Some(named), Some(own)) = (&status.agent_id, own)
            && named.value != own.as_str()
        {
            tracing::warn!(framework = %self.framework_id, executor = %self.executor_id, agent = named.value,
                "dropped an update that names another agent");
            return Ok(reply::empty(StatusCode::ACCEPTED));
        }
        let status = self.status(status)?;
        self.ask(OwnerCall::Update(status)).await
    }

    fn status(&self, status: &pb::TaskStatus) -> Result<TaskStatus, Refusal> {
        let mut status = convert::status::from_proto(status)
            .map_err(|e| Refusal::bad_request(format!("Failed to validate Executor::Call: {e}")))?;
        if status.timestamp == Wall::default() {
            status.timestamp = self.agent.clock.wall();
        }
        Ok(status)
    }

    async fn ask(self, call: OwnerCall) -> Result<Response, Refusal> {
        self.decided(call).await?;
        Ok(reply::empty(StatusCode::ACCEPTED))
    }

    async fn decided(self, call: OwnerCall) -> Result<(), Refusal> {
        let (answer, decided) = oneshot::channel();
        let message = Message::Executor {
            framework_id: self.framework_id,
            executor_id: self.executor_id,
            call,
            answer,
        };
        self.agent.send(message, self.bytes).await?;
        decided.await.map_err(|_| ending())?.map_err(refusal)
    }
}

fn refusal(refusal: ExecutorRefusal) -> Refusal {
    let status = StatusCode::from_u16(refusal.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Refusal::new(status, refusal.to_string())
}
