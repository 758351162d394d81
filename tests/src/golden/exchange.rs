//! The recordings: `*.http` files of one request and its answer, `*.events.jsonl` files of a stream's records.

use super::http::Response;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// One recorded request and what came back.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// `folder/name`, without `.http`.
    pub name: String,
    /// The request's bytes.
    pub request: Vec<u8>,
    /// The answers; none if the server closed the connection without one.
    pub responses: Vec<Response>,
    /// Whether the body was not kept (protobuf): its size only.
    pub binary: bool,
    /// Whether the recording is one of a stream that did not end.
    pub stream: bool,
    /// Whether the server closed the connection after the answer.
    pub closed: bool,
}

/// The folder of the recordings.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden")
}

/// The names of a folder's recordings, sorted.
///
/// # Panics
/// When the folder cannot be read.
pub fn names(of: &str) -> Vec<String> {
    let listing = std::fs::read_dir(folder().join(of));
    let listing = listing.unwrap_or_else(|error| panic!("the recordings {of} cannot be read: {error}"));
    let mut names: Vec<String> = listing
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter_map(|name| name.strip_suffix(".http").map(|stem| format!("{of}/{stem}")))
        .collect();
    names.sort();
    names
}

/// Reads a recording by its name.
///
/// # Panics
/// When there is none, or it is not in the recordings' format.
pub fn load(name: &str) -> Exchange {
    let path = folder().join(format!("{name}.http"));
    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    parse(name, &bytes).unwrap_or_else(|| panic!("{name}: not a recording"))
}

/// The records of a recorded stream, without their times.
///
/// # Panics
/// When there are none.
pub fn events(name: &str) -> Vec<Value> {
    let path = folder().join(format!("{name}.events.jsonl"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let event = |line: &str| serde_json::from_str::<Value>(line).ok()?.get("event").cloned();
    text.lines()
        .map(|line| event(line).unwrap_or_else(|| panic!("{name}: {line}")))
        .collect()
}

const REQUEST: &[u8] = b"### REQUEST";
const RESPONSE: &[u8] = b"\n### RESPONSE";
const END: &[u8] = b"\n### END connection";
const BINARY: &[u8] = b"### BODY is binary";

fn parse(name: &str, bytes: &[u8]) -> Option<Exchange> {
    let start = find(bytes, REQUEST, 0)?;
    let request = line_end(bytes, start)?;
    let response = find(bytes, RESPONSE, request)?;
    let answer = line_end(bytes, response + 1)?;
    let end = rfind(bytes, END)?;
    // A stream's last chunk may be followed by the marker at once.
    let body = bytes.get(answer..end.max(answer))?;
    let end_line = String::from_utf8_lossy(bytes.get(end + 1..)?).into_owned();
    let marker = find(body, BINARY, 0);
    let head = marker.map_or(body, |at| &body[..at]);
    let responses = match marker {
        Some(_) => vec![Response::head_of(head)?],
        None => Response::all_of(head),
    };
    let unended = marker.is_none() && responses.iter().any(|r| r.chunked && !r.ended);
    Some(Exchange {
        name: name.to_owned(),
        request: bytes.get(request..response)?.to_vec(),
        responses,
        binary: marker.is_some(),
        stream: unended
            || end_line.contains("closed by the client")
            || line_of(bytes, response + 1).contains("raw bytes"),
        closed: end_line.contains("closed by server"),
    })
}

fn find(bytes: &[u8], what: &[u8], from: usize) -> Option<usize> {
    bytes
        .get(from..)?
        .windows(what.len())
        .position(|w| w == what)
        .map(|at| at + from)
}

fn rfind(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).rposition(|w| w == what)
}

fn line_end(bytes: &[u8], from: usize) -> Option<usize> {
    find(bytes, b"\n", from).map(|at| at + 1)
}

fn line_of(bytes: &[u8], from: usize) -> String {
    let end = line_end(bytes, from).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[from..end]).into_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_recording_can_be_read() {
        let mut read = 0;
        for entry in std::fs::read_dir(folder())
            .unwrap()
            .flatten()
            .filter(|e| e.path().is_dir())
        {
            for name in names(entry.file_name().to_str().unwrap()) {
                let exchange = load(&name);
                assert!(
                    exchange.responses.len() == 1 || exchange.closed || name.contains("pipelined"),
                    "{name}"
                );
                read += 1;
            }
        }
        assert!(read > 500, "{read} recordings");
    }

    #[test]
    fn a_request_is_what_was_sent() {
        let exchange = load("http-level/lf-only");
        assert_eq!(exchange.request, b"GET /version HTTP/1.1\nHost: x\n\n");
        let json = load("master-empty/GET_HEALTH");
        assert!(json.request.ends_with(b"\r\n\r\n{\"type\":\"GET_HEALTH\"}"));
        assert_eq!(json.responses[0].status, 200);
        assert!(!json.closed && !json.binary && !json.stream);
    }

    #[test]
    fn a_stream_has_one_record_per_chunk() {
        let exchange = load("scheduler/stream-1-SUBSCRIBE");
        let response = &exchange.responses[0];
        assert!(exchange.stream && response.chunked);
        assert!(response.chunks[1].starts_with(b"20\n{\"type\":\"HEARTBEAT\"}"));
        assert_eq!(events("scheduler/stream-1-SUBSCRIBE")[0]["type"], "SUBSCRIBED");
    }

    #[test]
    fn a_crash_is_no_answer() {
        let exchange = load("crashes/master-scheduler-type-UNKNOWN");
        assert!(exchange.responses.is_empty() && exchange.closed);
        assert_eq!(load("http-level/pipelined-two").responses.len(), 2);
        assert!(load("master-empty-protobuf/GET_STATE").binary);
    }
}
