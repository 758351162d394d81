//! The thread that appends: takes the batches that wait, writes them at once, syncs once, answers everyone.

use super::file;
use super::frame;
use crate::{Outcome, Pending, Refused, Revision};
use bytes::Bytes;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use tokio::sync::oneshot;

/// Batches that may wait for the writer; above it the caller hears [`Refused::Busy`].
const QUEUE_BATCHES_MAX: usize = 16_384;

/// Most bytes written before one sync.
const GROUP_BYTES_MAX: usize = 8 * 1024 * 1024;

/// An open log. Dropping it writes what was submitted, then closes the file.
#[derive(Debug)]
pub struct Log {
    queue: Option<mpsc::SyncSender<Request>>,
    bytes: Arc<AtomicU64>,
    writer: Option<JoinHandle<()>>,
}

#[derive(Debug)]
enum What {
    Append(Vec<Bytes>),
    Rewrite(Vec<Bytes>),
}

#[derive(Debug)]
struct Request {
    what: What,
    answer: oneshot::Sender<Outcome>,
}

impl Log {
    /// Queues a batch of records, which is written whole or not at all, in the order of these calls. Never blocks.
    /// `Done` carries the number of the batch since the log was opened.
    pub fn append(&self, records: Vec<Bytes>) -> Pending {
        self.submit(What::Append(records))
    }

    /// Replaces everything appended before this call by these records, at once and durably.
    pub fn rewrite(&self, records: Vec<Bytes>) -> Pending {
        self.submit(What::Rewrite(records))
    }

    /// Length of what is written, in bytes: tells when a rewrite is worth it.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    fn submit(&self, what: What) -> Pending {
        let Some(queue) = &self.queue else {
            return Pending::ready(Outcome::Unknown(Arc::from("the log is closed")));
        };
        let (answer, pending) = Pending::channel();
        match queue.try_send(Request { what, answer }) {
            Ok(()) => pending,
            Err(mpsc::TrySendError::Full(_)) => Pending::ready(Outcome::Refused(Refused::Busy)),
            Err(mpsc::TrySendError::Disconnected(_)) => {
                Pending::ready(Outcome::Unknown(Arc::from("the log's writer ended")))
            }
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(writer) = self.writer.take() {
            // A panic of the writer was already answered as `Unknown` to everyone who waited.
            let _ = writer.join();
        }
    }
}

pub(super) fn start(path: PathBuf, schema: u32, file: File, end: u64) -> io::Result<Log> {
    let (queue, requests) = mpsc::sync_channel(QUEUE_BATCHES_MAX);
    let bytes = Arc::new(AtomicU64::new(end));
    let allocated = file.metadata()?.len();
    let writer = Writer {
        path,
        schema,
        file,
        end,
        allocated,
        batches: 0,
        bytes: Arc::clone(&bytes),
        lost: None,
    };
    let writer = std::thread::Builder::new()
        .name("meseta-log".to_owned())
        .spawn(move || writer.run(&requests))?;
    Ok(Log {
        queue: Some(queue),
        bytes,
        writer: Some(writer),
    })
}

struct Writer {
    path: PathBuf,
    schema: u32,
    file: File,
    end: u64,
    allocated: u64,
    batches: u64,
    bytes: Arc<AtomicU64>,
    /// Set once nobody can say what is on disk.
    lost: Option<Arc<str>>,
}

impl Writer {
    fn run(mut self, requests: &mpsc::Receiver<Request>) {
        let mut held = None;
        loop {
            let Some(first) = held.take().or_else(|| requests.recv().ok()) else {
                return;
            };
            match first.what {
                What::Append(records) => held = self.append_group(records, first.answer, requests),
                What::Rewrite(records) => {
                    let outcome = self.rewrite(&records);
                    // Whoever does not wait any more does not need the answer.
                    let _ = first.answer.send(outcome);
                }
            }
            self.bytes.store(self.end, Ordering::Relaxed);
        }
    }

    /// Writes a batch and those that wait behind it. Returns a rewrite that came up among them.
    fn append_group(
        &mut self,
        records: Vec<Bytes>,
        answer: oneshot::Sender<Outcome>,
        requests: &mpsc::Receiver<Request>,
    ) -> Option<Request> {
        let mut buffer = Vec::new();
        let mut waiting = Vec::new();
        let mut held = None;
        collect(&mut buffer, &mut waiting, &records, answer);
        while buffer.len() < GROUP_BYTES_MAX {
            match requests.try_recv() {
                Ok(Request {
                    what: What::Append(records),
                    answer,
                }) => {
                    collect(&mut buffer, &mut waiting, &records, answer);
                }
                Ok(rewrite) => {
                    held = Some(rewrite);
                    break;
                }
                Err(_) => break,
            }
        }
        let failed = self.write(&buffer);
        for answer in waiting {
            let outcome = failed.clone().unwrap_or_else(|| {
                self.batches += 1;
                Outcome::Done(Revision(self.batches))
            });
            let _ = answer.send(outcome);
        }
        held
    }

    /// `None`: it is on disk.
    fn write(&mut self, buffer: &[u8]) -> Option<Outcome> {
        if let Some(why) = &self.lost {
            return Some(Outcome::Unknown(Arc::clone(why)));
        }
        if buffer.is_empty() {
            return None;
        }
        match file::append(&self.file, self.end, buffer, &mut self.allocated) {
            Ok(true) => {
                self.end += buffer.len() as u64;
                None
            }
            Ok(false) => Some(Outcome::Refused(Refused::NoSpace)),
            Err(error) => Some(self.lose(&error)),
        }
    }

    fn rewrite(&mut self, records: &[Bytes]) -> Outcome {
        if let Some(why) = &self.lost {
            return Outcome::Unknown(Arc::clone(why));
        }
        match file::replace(&self.path, self.schema, records) {
            Ok((file, end)) => match file.try_lock() {
                Ok(()) => {
                    (self.file, self.end, self.allocated) = (file, end, end);
                    self.batches += 1;
                    Outcome::Done(Revision(self.batches))
                }
                Err(error) => self.lose(&io::Error::other(error.to_string())),
            },
            // The old file is still there under its name and goes on being used.
            Err(error) if error.kind() == io::ErrorKind::StorageFull => Outcome::Refused(Refused::NoSpace),
            Err(error) => self.lose(&error),
        }
    }

    fn lose(&mut self, error: &io::Error) -> Outcome {
        tracing::error!(path = %self.path.display(), %error, "the log cannot tell what is on disk");
        let why: Arc<str> = error.to_string().into();
        self.lost = Some(Arc::clone(&why));
        Outcome::Unknown(why)
    }
}

/// Encodes a batch behind the others, or answers at once that it is too long.
fn collect(
    buffer: &mut Vec<u8>,
    waiting: &mut Vec<oneshot::Sender<Outcome>>,
    records: &[Bytes],
    answer: oneshot::Sender<Outcome>,
) {
    let start = buffer.len();
    if !records.is_empty() && frame::encode(records, buffer).is_none() {
        buffer.truncate(start);
        let _ = answer.send(Outcome::Refused(Refused::BatchTooLarge));
        return;
    }
    waiting.push(answer);
}
