//! A living stream of RecordIO records in JSON.

use super::http::{Connection, Response};
use crate::wait;
use meseta_proto::recordio::Decoder;
use serde_json::Value;
use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// What has come so far.
#[derive(Debug, Default)]
struct Come {
    events: Vec<Value>,
    /// Why reading stopped; empty for a proper end.
    ended: Option<String>,
}

#[derive(Debug, Default)]
struct Shared {
    come: Mutex<Come>,
    more: Condvar,
}

/// An open stream; its records are read by a thread.
#[derive(Debug)]
pub struct Stream {
    /// Status line and headers.
    pub head: Response,
    shared: Arc<Shared>,
    handle: TcpStream,
}

impl Stream {
    /// Sends the request; the answer's head must be there, its body is read on.
    pub fn open(port: u16, request: &[u8]) -> io::Result<Stream> {
        let mut connection = Connection::open(port)?;
        connection.send(request)?;
        let none = || {
            io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the connection was closed without an answer",
            )
        };
        let head = connection.answer_head()?.ok_or_else(none)?;
        let handle = connection.handle()?;
        handle.set_read_timeout(None)?;
        let shared = Arc::<Shared>::default();
        let reader = Arc::clone(&shared);
        let chunked = head.chunked;
        std::thread::spawn(move || {
            let why = if chunked {
                read(&mut connection, &reader)
            } else {
                "not chunked".to_owned()
            };
            lock(&reader).ended = Some(why);
            reader.more.notify_all();
        });
        Ok(Stream { head, shared, handle })
    }

    /// The records so far.
    pub fn events(&self) -> Vec<Value> {
        lock(&self.shared).events.clone()
    }

    /// Waits until `look` finds something in the records so far.
    ///
    /// # Panics
    /// When it does not come, with what came.
    pub fn wait<T>(&self, what: &str, mut look: impl FnMut(&[Value]) -> Option<T>) -> T {
        let start = Instant::now();
        let mut come = lock(&self.shared);
        loop {
            if let Some(found) = look(&come.events) {
                return found;
            }
            let left = wait::PATIENCE.saturating_sub(start.elapsed());
            let shown = |e: &Value| {
                let message = e
                    .pointer("/update/status/message")
                    .map(Value::to_string)
                    .unwrap_or_default();
                format!("{} {message}", super::replay::key(e))
            };
            let came: Vec<String> = come.events.iter().map(shown).collect();
            assert!(
                !left.is_zero() && come.ended.is_none(),
                "{what} did not come: {came:#?}, end: {:?}",
                come.ended
            );
            let next = self.shared.more.wait_timeout(come, left);
            come = next.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits for the end; empty if it was a proper one (the last chunk).
    ///
    /// # Panics
    /// When it does not end.
    pub fn wait_end(&self) -> String {
        let start = Instant::now();
        let mut come = lock(&self.shared);
        loop {
            if let Some(why) = &come.ended {
                return why.clone();
            }
            let left = wait::PATIENCE.saturating_sub(start.elapsed());
            assert!(
                !left.is_zero(),
                "the stream does not end: {:?}",
                come.events.last()
            );
            let next = self.shared.more.wait_timeout(come, left);
            come = next.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Ends the connection from our side.
    pub fn close(&self) {
        let _ = self.handle.shutdown(Shutdown::Both);
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.close();
    }
}

fn lock(shared: &Shared) -> MutexGuard<'_, Come> {
    shared.come.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads to the end and says why it ended; empty for the last chunk.
fn read(connection: &mut Connection, shared: &Shared) -> String {
    loop {
        let chunk = match connection.chunk() {
            Ok(Some(chunk)) => chunk,
            Ok(None) => return String::new(),
            Err(error) => return error.to_string(),
        };
        // Some clients take every chunk for one record.
        let mut decoder = Decoder::default();
        decoder.push(&chunk);
        let record = match decoder.next_record() {
            Ok(Some(record)) if decoder.is_at_boundary() => record,
            other => return format!("a chunk is not one record: {other:?}"),
        };
        match serde_json::from_slice(&record) {
            Ok(event) => lock(shared).events.push(event),
            Err(error) => return format!("a record is no JSON: {error}"),
        }
        shared.more.notify_all();
    }
}
