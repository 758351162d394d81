//! Recorded exchanges of Mesos 1.12: replays a request and compares the answer.

use crate::http::{Answer, raw};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

/// A recorded exchange.
pub struct Recording {
    pub request: Vec<u8>,
    pub status: String,
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/golden")
        .join(name)
}

pub fn names(of: &str, prefix: &str) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder(of))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with(prefix) && name.ends_with(".http"))
        .collect();
    names.sort();
    assert!(!names.is_empty(), "no recordings in {of}");
    names
}

pub fn read(of: &str, name: &str) -> Recording {
    let bytes = std::fs::read(folder(of).join(name)).unwrap();
    let text: String = bytes.iter().map(|b| char::from(*b)).collect();
    let (request, rest) = text.split_once("\n### RESPONSE\n").unwrap();
    let (_, request) = request.split_once('\n').unwrap();
    let (response, _) = rest.rsplit_once("\n### END").unwrap();
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap().to_owned();
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    Recording {
        // Latin-1 back to the recorded bytes.
        request: request.chars().map(|c| c as u8).collect(),
        status,
        headers,
        body: body.to_owned(),
    }
}

/// Sends the recorded request with some texts replaced; the length is put right.
pub async fn replay(address: SocketAddr, recording: &Recording, replace: &[(&str, &str)]) -> Answer {
    let mut text: String = recording.request.iter().map(|b| char::from(*b)).collect();
    for (from, to) in replace {
        text = text.replace(from, to);
    }
    if !replace.is_empty()
        && let Some((head, body)) = text.split_once("\r\n\r\n")
    {
        let lines: Vec<String> = head
            .split("\r\n")
            .map(
                |line| match line.to_ascii_lowercase().starts_with("content-length:") {
                    true => format!("Content-Length: {}", body.len()),
                    false => line.to_owned(),
                },
            )
            .collect();
        text = format!("{}\r\n\r\n{body}", lines.join("\r\n"));
    }
    let bytes: Vec<u8> = text.chars().map(|c| c as u8).collect();
    raw(address, &bytes).await
}

/// Status, type and body must be as recorded, with some texts replaced.
pub fn same(name: &str, recording: &Recording, answer: &Answer, replace: &[(&str, &str)]) {
    let mut body = recording.body.clone();
    for (from, to) in replace {
        body = body.replace(from, to);
    }
    assert_eq!(
        answer.status,
        recording.status,
        "{name}: {}",
        String::from_utf8_lossy(&answer.body)
    );
    for header in ["content-type", "allow"] {
        assert_eq!(
            answer.headers.get(header),
            recording.headers.get(header),
            "{name}: {header}"
        );
    }
    assert_eq!(String::from_utf8_lossy(&answer.body), body, "{name}");
}
