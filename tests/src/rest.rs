//! REST calls on a role of a cluster, and its stream of events, over bare sockets: paths and bodies go out as written.

use crate::golden::http::{Connection, Response};
use serde_json::Value;
use std::fmt;
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// An HTTP server on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Server {
    /// Its port on 127.0.0.1.
    pub port: u16,
}

/// An answer, with the call it belongs to for messages.
#[derive(Clone)]
pub struct Reply {
    call: String,
    response: Response,
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {} {}", self.call, self.status(), self.text())
    }
}

impl Reply {
    /// The status code.
    pub fn status(&self) -> u16 {
        self.response.status
    }

    /// A header's value; the name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.response.header(name)
    }

    /// The body.
    pub fn text(&self) -> String {
        self.response.text()
    }

    /// The body as JSON; null where it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.response.body).unwrap_or(Value::Null)
    }

    /// This answer if it has the status.
    ///
    /// # Panics
    /// When it has another one.
    #[track_caller]
    pub fn expect(self, status: u16) -> Reply {
        assert_eq!(self.status(), status, "{self:?}");
        self
    }
}

impl Server {
    /// One call with headers of its own, over a connection of its own.
    ///
    /// # Errors
    /// What went wrong, for a wait's message.
    pub fn try_call(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> Result<Reply, String> {
        let call = format!("{method} :{}{path}", self.port);
        let failed = |error: std::io::Error| format!("{call}: {error}");
        let mut connection = Connection::open(self.port).map_err(failed)?;
        connection
            .send(&request(method, path, headers, body))
            .map_err(failed)?;
        let answer = connection.answer(method == "HEAD").map_err(failed)?;
        match answer {
            Some(response) => Ok(Reply { call, response }),
            None => Err(format!("{call}: closed without an answer")),
        }
    }

    /// One call.
    ///
    /// # Panics
    /// When there is no answer.
    #[track_caller]
    pub fn call(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&[u8]>) -> Reply {
        match self.try_call(method, path, headers, body) {
            Ok(reply) => reply,
            Err(error) => panic!("{error}"),
        }
    }

    /// A GET.
    #[track_caller]
    pub fn get(&self, path: &str) -> Reply {
        self.call("GET", path, &[("Accept", "application/json")], None)
    }

    /// The body of a GET that answers 200.
    ///
    /// # Errors
    /// Any other answer, for a wait's message.
    pub fn json(&self, path: &str) -> Result<Value, String> {
        let reply = self.try_call("GET", path, &[("Accept", "application/json")], None)?;
        if reply.status() == 200 {
            Ok(reply.json())
        } else {
            Err(format!("{reply:?}"))
        }
    }

    /// A call with a body of JSON.
    #[track_caller]
    pub fn send(&self, method: &str, path: &str, body: &Value) -> Reply {
        self.send_text(method, path, &body.to_string())
    }

    /// A call with any text as its body of JSON.
    #[track_caller]
    pub fn send_text(&self, method: &str, path: &str, body: &str) -> Reply {
        let headers = [
            ("Content-Type", "application/json"),
            ("Accept", "application/json"),
        ];
        self.call(method, path, &headers, Some(body.as_bytes()))
    }

    /// A POST of JSON.
    #[track_caller]
    pub fn post(&self, path: &str, body: &Value) -> Reply {
        self.send("POST", path, body)
    }

    /// A PUT of JSON.
    #[track_caller]
    pub fn put(&self, path: &str, body: &Value) -> Reply {
        self.send("PUT", path, body)
    }

    /// A DELETE.
    #[track_caller]
    pub fn delete(&self, path: &str) -> Reply {
        self.call("DELETE", path, &[("Accept", "application/json")], None)
    }

    /// Opens a stream of server-sent events and keeps what it hears.
    ///
    /// # Panics
    /// When it does not open.
    #[track_caller]
    pub fn events(&self, path: &str) -> Events {
        let opened = Connection::open(self.port).and_then(|mut connection| {
            connection.send(&request("GET", path, &[("Accept", "text/event-stream")], None))?;
            let head = connection.answer_head()?;
            Ok((connection.handle()?, connection, head))
        });
        let (handle, connection, head) =
            opened.unwrap_or_else(|error| panic!("no events on :{}{path}: {error}", self.port));
        let head = head.unwrap_or_else(|| panic!("no events on :{}{path}: closed", self.port));
        assert_eq!(head.status, 200, "{head:?}");
        assert_eq!(
            head.header("content-type").map(|t| t.split(';').next()),
            Some(Some("text/event-stream"))
        );
        let heard = Arc::new(Heard::default());
        let ours = Arc::clone(&heard);
        std::thread::spawn(move || listen(connection, &ours));
        Events { handle, heard }
    }
}

fn request(method: &str, path: &str, headers: &[(&str, &str)], body: Option<&[u8]>) -> Vec<u8> {
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if let Some(body) = body {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    head.push_str("\r\n");
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(body.unwrap_or_default());
    bytes
}

/// One server-sent event.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// The text behind `event:`.
    pub kind: String,
    /// The JSON behind `data:`.
    pub data: Value,
}

#[derive(Debug, Default)]
struct Heard {
    state: Mutex<(Vec<Event>, bool)>,
    more: Condvar,
}

impl Heard {
    fn lock(&self) -> MutexGuard<'_, (Vec<Event>, bool)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stream of events that is read as it comes. Dropping it closes the connection.
#[derive(Debug)]
pub struct Events {
    handle: TcpStream,
    heard: Arc<Heard>,
}

impl Events {
    /// What was heard so far.
    pub fn heard(&self) -> Vec<Event> {
        self.heard.lock().0.clone()
    }

    /// Waits until an event fits, among those heard already too.
    ///
    /// # Panics
    /// When none comes in time, with what came instead.
    #[track_caller]
    pub fn wait(&self, what: &str, fits: impl Fn(&Event) -> bool) -> Event {
        let deadline = Instant::now() + crate::wait::PATIENCE;
        let mut state = self.heard.lock();
        loop {
            if let Some(event) = state.0.iter().find(|e| fits(e)) {
                return event.clone();
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(
                !state.1 && left > Duration::ZERO,
                "no event: {what}; ended: {}; heard: {:#?}",
                state.1,
                state.0
            );
            let waited = self.heard.more.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        // An error means that it is closed already.
        let _ = self.handle.shutdown(Shutdown::Both);
    }
}

fn listen(mut connection: Connection, heard: &Heard) {
    let mut rest = String::new();
    while let Ok(Some(chunk)) = connection.chunk() {
        rest.push_str(&String::from_utf8_lossy(&chunk).replace('\r', ""));
        while let Some((block, after)) = rest.split_once("\n\n") {
            let event = parse(block);
            let after = after.to_owned();
            if let Some(event) = event {
                heard.lock().0.push(event);
                heard.more.notify_all();
            }
            rest = after;
        }
    }
    heard.lock().1 = true;
    heard.more.notify_all();
}

/// A block without `event:` is a comment.
fn parse(block: &str) -> Option<Event> {
    let field = |name: &str| {
        let lines = block.lines().filter_map(|line| line.strip_prefix(name));
        lines.map(str::trim_start).next().map(str::to_owned)
    };
    let kind = field("event:")?;
    let data = field("data:").unwrap_or_default();
    Some(Event {
        kind,
        data: serde_json::from_str(&data).unwrap_or(Value::String(data)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_has_a_kind_and_data_and_a_comment_has_none() {
        let event = parse("event: a\ndata: {\"x\":1}");
        assert_eq!(
            event,
            Some(Event {
                kind: "a".into(),
                data: serde_json::json!({"x": 1})
            })
        );
        assert_eq!(parse(": still here"), None);
    }
}
