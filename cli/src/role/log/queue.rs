//! Log lines on their way to a file or a terminal that may be slow: a bounded queue and one thread that writes.
//!
//! Whoever logs never waits: a stopped reader of a pipe or a disk that hangs must not stop a server. What does not fit
//! is counted and told in the log itself.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;
use tracing_subscriber::fmt::MakeWriter;

/// Lines that may wait: some seconds of a busy server, a few megabytes.
const LINES_MAX: usize = 8192;

/// How long the end of the process waits for the last lines.
const FLUSH: Duration = Duration::from_secs(1);

enum Item {
    Line(Vec<u8>),
    /// Everything before it is written once this is dropped.
    Flush(SyncSender<()>),
}

/// Where lines are put. Clones share the queue.
#[derive(Clone)]
pub(super) struct Queue {
    items: SyncSender<Item>,
    dropped: Arc<AtomicU64>,
}

impl Queue {
    /// A queue in front of `out`.
    ///
    /// # Errors
    /// The thread cannot be made.
    pub(super) fn start(out: impl Write + Send + 'static) -> io::Result<Queue> {
        let (items, waiting) = sync_channel(LINES_MAX);
        let dropped = Arc::new(AtomicU64::new(0));
        let lost = Arc::clone(&dropped);
        std::thread::Builder::new()
            .name("meseta-log".to_owned())
            .spawn(move || write_all(out, &waiting, &lost))?;
        Ok(Queue { items, dropped })
    }

    /// Waits for what is queued, but not for long: the process ends.
    pub(super) fn flush(&self) {
        let (done, written) = sync_channel(0);
        if self.items.try_send(Item::Flush(done)).is_ok() {
            // Answered by dropping the sender; a writer that hangs is left behind.
            let _ = written.recv_timeout(FLUSH);
        }
    }
}

fn write_all(mut out: impl Write, waiting: &Receiver<Item>, lost: &AtomicU64) {
    while let Ok(item) = waiting.recv() {
        // A log that cannot be written has nobody to tell it to.
        match item {
            Item::Line(line) => drop(out.write_all(&line)),
            Item::Flush(done) => {
                drop(out.flush());
                drop(done);
            }
        }
        match lost.swap(0, Ordering::Relaxed) {
            0 => {}
            count => drop(writeln!(
                out,
                "{count} log lines were left out: the log was not written fast enough"
            )),
        }
    }
}

/// One line being made.
pub(super) struct Line<'a> {
    queue: &'a Queue,
    bytes: Vec<u8>,
}

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        let line = Item::Line(std::mem::take(&mut self.bytes));
        if self.queue.items.try_send(line).is_err() {
            self.queue.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl<'a> MakeWriter<'a> for Queue {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line {
            queue: self,
            bytes: Vec::with_capacity(160),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::sync::mpsc;

    /// Takes one write at a time, when it is let.
    struct Stopped {
        go: mpsc::Receiver<()>,
        seen: mpsc::Sender<String>,
    }

    impl Write for Stopped {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _the_test_is_over = self.go.recv();
            let _nobody_looks = self.seen.send(String::from_utf8_lossy(bytes).into_owned());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_log_that_stands_still_stops_nobody_and_says_what_is_missing() {
        let (go, wait) = mpsc::channel();
        let (seen, lines) = mpsc::channel();
        let queue = Queue::start(Stopped { go: wait, seen }).unwrap();
        for _ in 0..LINES_MAX + 10 {
            queue.make_writer().write_all(b"line\n").unwrap();
        }
        drop(go);
        assert_eq!(lines.recv().unwrap(), "line\n");
        let told = lines.iter().find(|line| line.contains("left out"));
        assert!(told.is_some());
    }

    #[test]
    fn what_was_logged_before_the_end_is_written() {
        let (seen, lines) = mpsc::channel();
        let (go, wait) = mpsc::channel();
        go.send(()).unwrap();
        let queue = Queue::start(Stopped { go: wait, seen }).unwrap();
        queue.make_writer().write_all(b"last words\n").unwrap();
        queue.flush();
        assert_eq!(lines.try_recv().unwrap(), "last words\n");
    }
}
