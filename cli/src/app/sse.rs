//! Server-sent events as they arrive: lines put together from pieces, bounded, and the stream behind them.

use crate::failure::Failure;
use crate::services::Service;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::Value;
use std::collections::VecDeque;
use std::time::Duration;

/// The longest line taken: an event with a whole app in it is far below this.
const LINE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// A stream that is silent for so long is held to be lost: the service sends something every few seconds.
pub(super) const SILENCE_MAX: Duration = Duration::from_secs(60);

/// One event.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Told {
    /// Its type.
    pub(super) name: String,
    /// What it says; null when it was no JSON.
    pub(super) data: Value,
}

/// Puts events together.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    line: Vec<u8>,
    name: String,
    data: String,
}

impl Decoder {
    /// Takes a piece and returns what it completed.
    ///
    /// # Errors
    /// A line longer than is taken.
    pub(super) fn feed(&mut self, piece: &[u8]) -> Result<Vec<Told>, String> {
        let mut found = Vec::new();
        for part in piece.split_inclusive(|b| *b == b'\n') {
            self.line.extend_from_slice(part);
            if self.line.len() > LINE_BYTES_MAX || self.data.len() > LINE_BYTES_MAX {
                return Err("an event is too long".to_owned());
            }
            if self.line.last() == Some(&b'\n') {
                let line = String::from_utf8_lossy(&std::mem::take(&mut self.line)).into_owned();
                found.extend(self.take(line.trim_end_matches(['\n', '\r'])));
            }
        }
        Ok(found)
    }

    fn take(&mut self, line: &str) -> Option<Told> {
        if line.is_empty() {
            let (name, data) = (std::mem::take(&mut self.name), std::mem::take(&mut self.data));
            // A comment or a keep-alive alone is no event.
            return (!data.is_empty()).then(|| Told {
                name,
                data: serde_json::from_str(&data).unwrap_or_default(),
            });
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => self.name = value.to_owned(),
            "data" if self.data.is_empty() => self.data = value.to_owned(),
            "data" => self.data = format!("{}\n{value}", self.data),
            _ => {}
        }
        None
    }
}

/// The service's event stream.
#[derive(Debug)]
pub(super) struct Stream {
    body: Incoming,
    decoder: Decoder,
    ready: VecDeque<Told>,
}

impl Stream {
    /// Opens it; no types mean all. What happens from the answer on is in it.
    pub(super) async fn open(service: &Service, types: &[String]) -> Result<Stream, Failure> {
        let mut path = "/v2/events?plan-format=light".to_owned();
        for name in types {
            path.push_str(&format!("&event_type={}", super::client::escaped(name)));
        }
        Ok(Stream {
            body: service.events(&path).await?,
            decoder: Decoder::default(),
            ready: VecDeque::new(),
        })
    }

    /// The next event; `Err` is why there are no more. Nothing is lost when the wait for it is given up.
    pub(super) async fn next(&mut self) -> Result<Told, String> {
        loop {
            if let Some(told) = self.ready.pop_front() {
                return Ok(told);
            }
            let frame = tokio::time::timeout(SILENCE_MAX, self.body.frame()).await;
            let frame = frame.map_err(|_| format!("nothing for {} s", SILENCE_MAX.as_secs()))?;
            let frame = frame.ok_or("the stream ended")?.map_err(|e| e.to_string())?;
            if let Ok(piece) = frame.into_data() {
                self.ready.extend(self.decoder.feed(&piece)?);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn events_are_put_together_from_any_pieces() {
        let text = b": hello\r\n\r\nevent: a\r\ndata: {\"x\":1}\r\n\r\nid: 7\nevent: b\ndata: {\"y\":\ndata: 2}\n\n\n\n";
        for size in [1, 2, 7, text.len()] {
            let mut decoder = Decoder::default();
            let mut found = Vec::new();
            for piece in text.chunks(size) {
                found.extend(decoder.feed(piece).unwrap());
            }
            let names: Vec<_> = found.iter().map(|t| (t.name.as_str(), t.data.clone())).collect();
            assert_eq!(names, [("a", json!({"x": 1})), ("b", json!({"y": 2}))], "{size}");
        }
    }

    #[test]
    fn a_line_without_end_is_given_up() {
        let mut decoder = Decoder::default();
        let piece = vec![b'x'; LINE_BYTES_MAX];
        decoder.feed(&piece).unwrap();
        assert!(decoder.feed(b"xx").is_err());
    }
}
