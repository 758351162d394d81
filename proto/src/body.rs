//! Request and answer bodies of the HTTP APIs in the two media types, with the texts Mesos answers when one is broken.
//! Called by the shells' handlers and the SDK's client.

use crate::json::{self, JsonError};
use crate::table::Described;
use crate::{binary, transcode};

/// How a body is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MediaType {
    /// `application/json`
    Json,
    /// `application/x-protobuf`
    Protobuf,
}

impl MediaType {
    /// As it stands in `Content-Type`.
    pub fn name(self) -> &'static str {
        match self {
            MediaType::Json => "application/json",
            MediaType::Protobuf => "application/x-protobuf",
        }
    }

    /// From a `Content-Type`. Letter case and parameters, which Mesos refuses, are ignored.
    pub fn from_content_type(text: &str) -> Option<MediaType> {
        let essence = text.split(';').next().unwrap_or_default().trim();
        [MediaType::Json, MediaType::Protobuf]
            .into_iter()
            .find(|m| essence.eq_ignore_ascii_case(m.name()))
    }

    /// A message in this encoding.
    pub fn encode<M: Described>(self, message: &M) -> Vec<u8> {
        match self {
            MediaType::Json => json::to_vec(message),
            MediaType::Protobuf => message.encode_to_vec(),
        }
    }

    /// An encoded message of type `M` in this encoding.
    pub fn from_encoded<M: Described>(self, bytes: &[u8]) -> Result<Vec<u8>, binary::DecodeError> {
        match self {
            MediaType::Json => {
                let mut out = Vec::with_capacity(bytes.len() * 3);
                transcode::to_json::<M>(bytes, &mut out)?;
                Ok(out)
            }
            MediaType::Protobuf => Ok(bytes.to_vec()),
        }
    }

    /// A message in this encoding, for clients: the error is for people.
    pub fn decode<M: Described>(self, bytes: &[u8]) -> Result<M, String> {
        match self {
            MediaType::Json => json::from_slice(bytes).map_err(|e| e.to_string()),
            MediaType::Protobuf => binary::decode(bytes).map_err(|e| e.to_string()),
        }
    }
}

/// Which endpoint's texts an error gets; they differ in their prefixes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// The master's `/api/v1` and `/api/v1/scheduler`, the agent's `/api/v1/executor`.
    Call,
    /// The agent's `/api/v1`.
    AgentOperator,
}

/// A request's message, or the text of the 400 that answers it.
pub fn parse<M: Described>(endpoint: Endpoint, media: MediaType, body: &[u8]) -> Result<M, String> {
    match media {
        MediaType::Json => json::from_slice(body).map_err(|e| match (&e, endpoint) {
            (JsonError::Syntax(_), _) | (_, Endpoint::AgentOperator) => e.to_string(),
            (_, Endpoint::Call) => format!("Failed to convert JSON into Call protobuf: {e}"),
        }),
        MediaType::Protobuf => binary::decode(body).map_err(|_| match endpoint {
            Endpoint::Call => "Failed to parse body into Call protobuf".to_owned(),
            Endpoint::AgentOperator => "Failed to parse body into a protobuf object".to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mesos::v1::{agent, master, scheduler};

    fn master_text(body: &str) -> String {
        parse::<master::Call>(Endpoint::Call, MediaType::Json, body.as_bytes())
            .err()
            .unwrap_or_default()
    }

    fn agent_text(media: MediaType, body: &str) -> String {
        parse::<agent::Call>(Endpoint::AgentOperator, media, body.as_bytes())
            .err()
            .unwrap_or_default()
    }

    // Bodies and texts as recorded from Mesos 1.12.
    #[test]
    fn broken_bodies_get_mesos_texts() {
        for (body, text) in [
            (
                "\"x\"",
                "Failed to convert JSON into Call protobuf: Expecting a JSON object",
            ),
            (
                "{\"type\":\"GET_HEALTH\"} x",
                "Failed to parse body into JSON: Parsed JSON included non-whitespace trailing characters:  x",
            ),
            (
                "{\"type\":1}",
                "Failed to convert JSON into Call protobuf: Not expecting a JSON number for field 'type'",
            ),
            (
                "{\"type\":\"READ_FILE\",\"read_file\":{\"path\":7,\"offset\":0}}",
                "Failed to convert JSON into Call protobuf: Not expecting a JSON number for field 'path'",
            ),
            (
                "{\"type\":\"READ_FILE\",\"read_file\":{\"path\":\"/x\"}}",
                "Failed to convert JSON into Call protobuf: Missing required fields: read_file.offset",
            ),
            ("{\"type\":null}", ""),
            ("{\"type\":\"NOPE\"}", ""),
        ] {
            assert_eq!(master_text(body), text, "{body}");
        }
    }

    #[test]
    fn the_agents_operator_endpoint_has_no_prefix() {
        let json = MediaType::Json;
        assert_eq!(agent_text(json, "[]"), "Expecting a JSON object");
        assert_eq!(
            agent_text(json, "{\"type\":1}"),
            "Not expecting a JSON number for field 'type'"
        );
        assert_eq!(
            agent_text(json, "garbage"),
            "Failed to parse body into JSON: syntax error at line 1 near: garbage"
        );
        assert_eq!(
            agent_text(json, ""),
            "Failed to parse body into JSON: syntax error at line 1 near: "
        );
        assert_eq!(
            agent_text(MediaType::Protobuf, "{\"type\":\"GET_HEALTH\"}"),
            "Failed to parse body into a protobuf object"
        );
        assert_eq!(agent_text(MediaType::Protobuf, ""), "");
    }

    #[test]
    fn a_protobuf_call_without_required_fields_fails_in_the_parse() {
        // kill {} (field 6)
        let outcome = parse::<scheduler::Call>(Endpoint::Call, MediaType::Protobuf, &[0x32, 0x00]);
        assert_eq!(outcome, Err("Failed to parse body into Call protobuf".to_owned()));
    }

    #[test]
    fn content_types_may_have_parameters_and_capitals() {
        assert_eq!(
            MediaType::from_content_type("application/json; charset=utf-8"),
            Some(MediaType::Json)
        );
        assert_eq!(
            MediaType::from_content_type("Application/X-Protobuf"),
            Some(MediaType::Protobuf)
        );
        assert_eq!(MediaType::from_content_type("text/plain"), None);
    }
}
