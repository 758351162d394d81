//! The form of an operator call: media types, streaming rules, members, container ids.

use crate::api::Agent;
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName};
use http_body_util::BodyExt;
use meseta_http::negotiate::{self, Accept, Wording};
use meseta_http::{Body, MediaType, Refusal, Response, body, reply};
use meseta_proto::body::{Endpoint, MediaType as Encoding, parse};
use meseta_proto::mesos::v1 as pb;
use meseta_proto::mesos::v1::agent::{self as api, call::Type};
use meseta_proto::recordio;
use std::time::Duration;

const MESSAGE_CONTENT_TYPE: HeaderName = HeaderName::from_static("message-content-type");
const MESSAGE_ACCEPT: HeaderName = HeaderName::from_static("message-accept");

/// Longest value of a container id, in bytes.
const CONTAINER_ID_MAX: usize = 242;

/// Deepest nesting of a container id that is looked at.
const CONTAINER_DEPTH_MAX: usize = 32;

/// The first record of a request stream must be there after this long.
const FIRST_RECORD_TIMEOUT: Duration = Duration::from_secs(60);

/// The media types of one request.
pub(super) struct Negotiated {
    /// Of the body.
    content: MediaType,
    /// Of the records, when the body is a stream.
    records: Option<Encoding>,
    /// Of the answer.
    pub(super) accept: MediaType,
}

/// Chooses the media types, in Mesos's order of checks.
pub(super) fn negotiate(headers: &HeaderMap) -> Result<Negotiated, Refusal> {
    let content = negotiate::content_type(headers, Wording::AgentOperator)?;
    let message_type = headers.get(&MESSAGE_CONTENT_TYPE);
    let records = match (content, message_type) {
        (MediaType::RecordIo, None) => {
            return Err(Refusal::bad_request(
                "Expecting 'Message-Content-Type' to be set for streaming requests",
            ));
        }
        (MediaType::RecordIo, Some(_)) => {
            let mut as_content = HeaderMap::new();
            as_content.extend(message_type.map(|value| (CONTENT_TYPE, value.clone())));
            match negotiate::content_type(&as_content, Wording::Common) {
                Ok(MediaType::Json) => Some(Encoding::Json),
                Ok(_) => Some(Encoding::Protobuf),
                Err(_) => {
                    return Err(Refusal::unsupported(
                        "Expecting 'Message-Content-Type' of application/json or application/x-protobuf",
                    ));
                }
            }
        }
        (_, Some(_)) => {
            return Err(Refusal::unsupported(
                "Expecting 'Message-Content-Type' to be not set for non-streaming requests",
            ));
        }
        (_, None) => None,
    };
    let accept = Accept::of(headers).message_or_records()?;
    let message_accept = Accept::named(headers, MESSAGE_ACCEPT);
    match accept {
        MediaType::RecordIo if message_accept.message().is_err() => {
            return Err(Refusal::not_acceptable(
                "Expecting 'Message-Accept' to allow application/json or application/x-protobuf",
            ));
        }
        MediaType::Json | MediaType::Protobuf if !message_accept.is_absent() => {
            return Err(Refusal::not_acceptable(
                "Expecting 'Message-Accept' to be not set for non-streaming responses",
            ));
        }
        _ => {}
    }
    Ok(Negotiated {
        content,
        records,
        accept,
    })
}

impl Negotiated {
    /// The call: the body, or the first record of a streaming body.
    pub(super) async fn read(
        &self,
        request: Body,
        headers: &HeaderMap,
        limit: usize,
    ) -> Result<api::Call, Refusal> {
        let (encoding, bytes) = match (self.content, self.records) {
            (MediaType::Json, _) => (Encoding::Json, body::read(request, headers, limit).await?),
            (MediaType::Protobuf, _) => (Encoding::Protobuf, body::read(request, headers, limit).await?),
            (MediaType::RecordIo, records) => (
                records.unwrap_or(Encoding::Json),
                tokio::time::timeout(FIRST_RECORD_TIMEOUT, first_record(request, limit))
                    .await
                    .map_err(|_| Refusal::standard(StatusCode::REQUEST_TIMEOUT))??,
            ),
        };
        parse(Endpoint::AgentOperator, encoding, &bytes).map_err(Refusal::bad_request)
    }

    /// Whether this call goes with streams.
    pub(super) fn check_streaming(&self, kind: Type) -> Result<(), Refusal> {
        let name = kind.as_str_name();
        let takes = kind == Type::AttachContainerInput;
        let gives = matches!(
            kind,
            Type::AttachContainerOutput | Type::LaunchNestedContainerSession
        );
        if self.content == MediaType::RecordIo && !takes {
            return Err(Refusal::unsupported(format!(
                "Streaming 'Content-Type' application/recordio is not supported for {name} call"
            )));
        }
        if self.content != MediaType::RecordIo && takes {
            return Err(Refusal::unsupported(
                "Expecting 'Content-Type' to be application/recordio for ATTACH_CONTAINER_INPUT call",
            ));
        }
        if self.accept == MediaType::RecordIo && !gives {
            return Err(Refusal::not_acceptable(format!(
                "Streaming response is not supported for {name} call"
            )));
        }
        Ok(())
    }
}

async fn first_record(mut request: Body, limit: usize) -> Result<bytes::Bytes, Refusal> {
    let mut decoder = recordio::Decoder::new(limit);
    loop {
        match decoder.next_record() {
            Ok(Some(record)) => return Ok(record),
            Ok(None) => {}
            Err(error) => return Err(Refusal::bad_request(error.to_string())),
        }
        match request.frame().await {
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    decoder.push(&data);
                }
            }
            Some(Err(error)) => {
                return Err(Refusal::bad_request(format!(
                    "Failed to read the request body: {error}"
                )));
            }
            None => return Err(Refusal::bad_request("Received EOF while reading request body")),
        }
    }
}

fn invalid(why: impl std::fmt::Display) -> Refusal {
    Refusal::bad_request(format!("Failed to validate agent::Call: {why}"))
}

fn present<T>(member: &Option<T>, name: &str) -> Result<(), Refusal> {
    match member {
        Some(_) => Ok(()),
        None => Err(invalid(format!("Expecting '{name}' to be present"))),
    }
}

/// What kind of call it is and whether its member is there.
pub(super) fn validate(call: &api::Call) -> Result<Type, Refusal> {
    present(&call.r#type, "type")?;
    let kind = call.r#type();
    match kind {
        Type::SetLoggingLevel => present(&call.set_logging_level, "set_logging_level")?,
        Type::ListFiles => present(&call.list_files, "list_files")?,
        Type::ReadFile => present(&call.read_file, "read_file")?,
        Type::GetMetrics => present(&call.get_metrics, "get_metrics")?,
        Type::AddResourceProviderConfig => {
            present(&call.add_resource_provider_config, "add_resource_provider_config")?
        }
        Type::UpdateResourceProviderConfig => {
            present(
                &call.update_resource_provider_config,
                "update_resource_provider_config",
            )?;
        }
        Type::RemoveResourceProviderConfig => {
            present(
                &call.remove_resource_provider_config,
                "remove_resource_provider_config",
            )?;
        }
        Type::MarkResourceProviderGone => {
            present(&call.mark_resource_provider_gone, "mark_resource_provider_gone")?
        }
        Type::AttachContainerInput => present(&call.attach_container_input, "attach_container_input")?,
        _ => {}
    }
    if let Some((name, member)) = container_member(call, kind) {
        let id = member.ok_or_else(|| invalid(format!("Expecting '{name}' to be present")))?;
        container_id(id).map_err(|why| invalid(format!("'{name}.container_id' is invalid: {why}")))?;
        let is_old = matches!(
            kind,
            Type::LaunchNestedContainer
                | Type::LaunchNestedContainerSession
                | Type::WaitNestedContainer
                | Type::KillNestedContainer
                | Type::RemoveNestedContainer
        );
        if is_old && id.parent.is_none() {
            return Err(invalid(format!(
                "Expecting '{name}.container_id.parent' to be present"
            )));
        }
    }
    Ok(kind)
}

/// The member of a call on one container, with its id.
fn container_member(call: &api::Call, kind: Type) -> Option<(&'static str, Option<&pb::ContainerId>)> {
    macro_rules! member {
        ($field:ident) => {
            (
                stringify!($field),
                call.$field.as_ref().map(|member| &member.container_id),
            )
        };
    }
    Some(match kind {
        Type::LaunchNestedContainer => member!(launch_nested_container),
        Type::LaunchNestedContainerSession => member!(launch_nested_container_session),
        Type::WaitNestedContainer => member!(wait_nested_container),
        Type::KillNestedContainer => member!(kill_nested_container),
        Type::RemoveNestedContainer => member!(remove_nested_container),
        Type::LaunchContainer => member!(launch_container),
        Type::WaitContainer => member!(wait_container),
        Type::KillContainer => member!(kill_container),
        Type::RemoveContainer => member!(remove_container),
        Type::AttachContainerOutput => member!(attach_container_output),
        _ => return None,
    })
}

fn container_id(id: &pb::ContainerId) -> Result<(), String> {
    let mut next = Some(id);
    for depth in 0..CONTAINER_DEPTH_MAX {
        let Some(one) = next else { return Ok(()) };
        let fault = container_value(&one.value);
        fault.map_err(|why| match depth {
            0 => why,
            _ => format!("'ContainerID.parent' is invalid: {why}"),
        })?;
        next = one.parent.as_deref();
    }
    Err(format!("nested more than {CONTAINER_DEPTH_MAX} deep"))
}

fn container_value(value: &str) -> Result<(), String> {
    meseta_types::ContainerId::new(value).map_err(|e| e.to_string())?;
    if value.len() > CONTAINER_ID_MAX {
        return Err(format!(
            "'ContainerID.value' '{value}' exceeds the maximum length ({CONTAINER_ID_MAX})"
        ));
    }
    if value.contains(['.', ' ']) {
        return Err(format!(
            "'ContainerID.value' '{value}' contains invalid characters"
        ));
    }
    Ok(())
}

/// `parent.child`.
fn text(id: &pb::ContainerId) -> String {
    match &id.parent {
        Some(parent) => format!("{}.{}", text(parent), id.value),
        None => id.value.clone(),
    }
}

fn root(id: &pb::ContainerId) -> &str {
    id.parent.as_deref().map_or(id.value.as_str(), root)
}

/// Calls on containers other than executors': what does not exist cannot be found, the rest is not there yet.
pub(super) async fn container_call(
    agent: &Agent,
    kind: Type,
    call: &api::Call,
    negotiated: &Negotiated,
) -> Result<Response, Refusal> {
    let not_here = || {
        Refusal::new(
            StatusCode::NOT_IMPLEMENTED,
            format!("{} is not supported in this release", kind.as_str_name()),
        )
    };
    if negotiated.content == MediaType::RecordIo {
        return Err(input(call).unwrap_or_else(not_here));
    }
    let Some((_, Some(id))) = container_member(call, kind) else {
        return Err(not_here());
    };
    let view = agent.view().await?;
    let known = view
        .frameworks
        .iter()
        .flat_map(|framework| &framework.executors)
        .any(|executor| executor.container_id.as_str() == root(id));
    let nested = id.parent.is_some();
    match kind {
        Type::WaitContainer | Type::WaitNestedContainer | Type::AttachContainerOutput if nested || !known => {
            Err(Refusal::new(
                StatusCode::NOT_FOUND,
                format!("Container {} cannot be found", text(id)),
            ))
        }
        Type::KillContainer | Type::KillNestedContainer if nested || !known => Err(Refusal::new(
            StatusCode::NOT_FOUND,
            format!("Container '{}' cannot be found (or is already killed)", text(id)),
        )),
        Type::RemoveContainer | Type::RemoveNestedContainer if nested || !known => {
            Ok(reply::empty(StatusCode::OK))
        }
        Type::LaunchContainer | Type::LaunchNestedContainer | Type::LaunchNestedContainerSession
            if nested && !known =>
        {
            let parent = id.parent.as_deref().map(text).unwrap_or_default();
            Err(Refusal::bad_request(format!(
                "Parent container {parent} does not exist"
            )))
        }
        _ => Err(not_here()),
    }
}

/// What is wrong with the first record of ATTACH_CONTAINER_INPUT.
fn input(call: &api::Call) -> Option<Refusal> {
    use api::call::attach_container_input::Type as Input;
    let input = call.attach_container_input.as_ref()?;
    match input.r#type {
        None => Some(invalid("Expecting 'attach_container_input.type' to be present")),
        Some(_) if input.r#type() == Input::Unknown => {
            Some(invalid("'attach_container_input.type' is unknown"))
        }
        Some(_) if input.r#type() != Input::ContainerId => Some(Refusal::bad_request(
            "Expecting 'attach_container_input.type' to be CONTAINER_ID",
        )),
        Some(_) => input.container_id.as_ref().map(|id| {
            Refusal::new(
                StatusCode::NOT_FOUND,
                format!("Container {} cannot be found", text(id)),
            )
        }),
    }
}
