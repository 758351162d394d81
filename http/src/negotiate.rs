//! Which media types a request is written in and which the client can read.
//!
//! The rules are those of Mesos 1.12 (`3rdparty/libprocess/src/http.cpp`, `Request::acceptsMediaType`, and the
//! recordings): `Content-Type` is compared byte for byte, `Accept` without case, of `q` only "zero or not" counts,
//! and JSON wins whenever it is allowed.

use crate::reply::Refusal;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName};

/// A media type of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaType {
    /// `application/json`.
    Json,
    /// `application/x-protobuf`.
    Protobuf,
    /// `application/recordio`: only the agent's container calls.
    RecordIo,
}

impl MediaType {
    /// The text of the header.
    pub fn as_str(self) -> &'static str {
        match self {
            MediaType::Json => "application/json",
            MediaType::Protobuf => "application/x-protobuf",
            MediaType::RecordIo => "application/recordio",
        }
    }

    fn parse(text: &[u8]) -> Option<MediaType> {
        [MediaType::Json, MediaType::Protobuf, MediaType::RecordIo]
            .into_iter()
            .find(|m| m.as_str().as_bytes() == text)
    }
}

/// Whose words a refusal uses: the agent's operator API also knows RecordIO.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wording {
    /// Master, scheduler and executor API.
    Common,
    /// The agent's operator API.
    AgentOperator,
}

/// The media type the request body is written in.
///
/// # Errors
/// 400 without the header, 415 for any other value.
pub fn content_type(headers: &HeaderMap, wording: Wording) -> Result<MediaType, Refusal> {
    let Some(value) = headers.get(CONTENT_TYPE) else {
        return Err(Refusal::bad_request("Expecting 'Content-Type' to be present"));
    };
    match (MediaType::parse(value.as_bytes()), wording) {
        (Some(MediaType::RecordIo) | None, Wording::Common) => Err(Refusal::unsupported(
            "Expecting 'Content-Type' of application/json or application/x-protobuf",
        )),
        (None, Wording::AgentOperator) => Err(Refusal::unsupported(
            "Expecting 'Content-Type' of application/json or application/x-protobuf or application/recordio",
        )),
        (Some(media), _) => Ok(media),
    }
}

/// What the client can read.
#[derive(Clone, Debug)]
pub struct Accept {
    /// Lower case, without blanks; `None` without the header.
    ranges: Option<Vec<(String, bool)>>,
}

impl Accept {
    /// Reads the `Accept` header.
    pub fn of(headers: &HeaderMap) -> Accept {
        Accept::named(headers, ACCEPT)
    }

    /// Reads a header of the same form, such as `Message-Accept`.
    pub fn named(headers: &HeaderMap, name: HeaderName) -> Accept {
        if !headers.contains_key(&name) {
            return Accept { ranges: None };
        }
        let ranges = headers
            .get_all(&name)
            .iter()
            .flat_map(|v| v.as_bytes().split(|b| *b == b','))
            .filter_map(range)
            .collect();
        Accept { ranges: Some(ranges) }
    }

    /// Whether the header was absent.
    pub fn is_absent(&self) -> bool {
        self.ranges.is_none()
    }

    /// Whether an answer of this type may be sent: the most exact range that matches decides.
    pub fn allows(&self, media: MediaType) -> bool {
        let Some(ranges) = &self.ranges else { return true };
        [media.as_str(), "application/*", "*/*"]
            .into_iter()
            .find_map(|candidate| ranges.iter().find(|(name, _)| name == candidate))
            .is_some_and(|(_, wanted)| *wanted)
    }

    /// JSON or protobuf, JSON first.
    ///
    /// # Errors
    /// 406 in the words of master, scheduler and executor API.
    pub fn message(&self) -> Result<MediaType, Refusal> {
        [MediaType::Json, MediaType::Protobuf]
            .into_iter()
            .find(|m| self.allows(*m))
            .ok_or_else(|| {
                Refusal::not_acceptable(
                    "Expecting 'Accept' to allow 'application/x-protobuf' or 'application/json'",
                )
            })
    }

    /// JSON, protobuf or RecordIO, in this order.
    ///
    /// # Errors
    /// 406 in the words of the agent's operator API.
    pub fn message_or_records(&self) -> Result<MediaType, Refusal> {
        [MediaType::Json, MediaType::Protobuf, MediaType::RecordIo]
            .into_iter()
            .find(|m| self.allows(*m))
            .ok_or_else(|| {
                Refusal::not_acceptable(
                    "Expecting 'Accept' to allow application/json or application/x-protobuf or application/recordio",
                )
            })
    }
}

/// One element of the list: its name and whether `q` leaves it in.
fn range(element: &[u8]) -> Option<(String, bool)> {
    let text: String = String::from_utf8_lossy(element)
        .chars()
        .filter(|c| !c.is_whitespace())
        .flat_map(char::to_lowercase)
        .collect();
    let mut parts = text.split(';');
    let name = parts.next().filter(|n| !n.is_empty())?.to_owned();
    let excluded = parts
        .filter_map(|p| p.strip_prefix("q="))
        .any(|q| q.parse::<f64>().is_ok_and(|q| q <= 0.0));
    Some((name, !excluded))
}

/// Whether the answer may be compressed with gzip: only when the client asked for it.
pub fn accepts_gzip(headers: &HeaderMap) -> bool {
    let ranges: Vec<(String, bool)> = headers
        .get_all(ACCEPT_ENCODING)
        .iter()
        .flat_map(|v| v.as_bytes().split(|b| *b == b','))
        .filter_map(range)
        .collect();
    ["gzip", "*"]
        .into_iter()
        .find_map(|candidate| ranges.iter().find(|(name, _)| name == candidate))
        .is_some_and(|(_, wanted)| *wanted)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn accept(text: &'static str) -> Accept {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, http::HeaderValue::from_static(text));
        Accept::of(&headers)
    }

    #[test]
    fn json_wins_whenever_it_is_allowed() {
        for text in [
            "*/*",
            "application/*",
            "APPLICATION/JSON",
            "application/x-protobuf, application/json",
            "application/json;q=0.1, application/x-protobuf;q=0.9",
        ] {
            assert_eq!(accept(text).message(), Ok(MediaType::Json), "{text}");
        }
        assert_eq!(Accept::of(&HeaderMap::new()).message(), Ok(MediaType::Json));
    }

    #[test]
    fn q_zero_excludes_and_the_most_exact_range_decides() {
        assert_eq!(
            accept("application/json; q=0, */*").message(),
            Ok(MediaType::Protobuf)
        );
        assert!(accept("*/*;q=0").message().is_err());
        assert!(accept("text/html").message().is_err());
    }

    #[test]
    fn content_type_is_compared_byte_for_byte() {
        for (text, status) in [
            ("application/json; charset=utf-8", 415),
            ("Application/Json", 415),
            ("application/recordio", 415),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, text.parse().unwrap());
            let refusal = content_type(&headers, Wording::Common).unwrap_err();
            assert_eq!(refusal.status.as_u16(), status, "{text}");
        }
        let refusal = content_type(&HeaderMap::new(), Wording::Common).unwrap_err();
        assert_eq!(refusal.text, "Expecting 'Content-Type' to be present");
    }

    #[test]
    fn gzip_only_on_request() {
        let mut headers = HeaderMap::new();
        assert!(!accepts_gzip(&headers));
        headers.insert(ACCEPT_ENCODING, "deflate, gzip;q=0".parse().unwrap());
        assert!(!accepts_gzip(&headers));
        headers.insert(ACCEPT_ENCODING, "deflate, *".parse().unwrap());
        assert!(accepts_gzip(&headers));
    }
}
