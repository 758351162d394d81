//! Copies a task's `stdout` and `stderr` to ours while it runs, and to their end when it has ended.

use crate::api::Http;
use crate::failure::exit;
use crate::files::{Follower, Sandbox};
use futures_util::future::pending;
use meseta_sdk::endpoint::Endpoint;
use std::io::{self, Write};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

/// After the task's end an agent that answers nothing is given up after this long: it may be starting again.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// Both files' copies.
#[derive(Debug, Default)]
pub(crate) struct Pumps {
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    tasks: JoinSet<bool>,
    ended: watch::Sender<bool>,
    broken: mpsc::Receiver<u8>,
}

#[derive(Clone, Copy, Debug)]
enum To {
    Stdout,
    Stderr,
}

impl Pumps {
    /// Begins to copy; does nothing if it has begun.
    pub(crate) fn start(&mut self, agent: &Endpoint, framework: &str, executor: &str) {
        if self.running.is_some() {
            return;
        }
        let sandbox = Sandbox::new(Http::new(), agent.clone(), framework, executor);
        let (ended, ending) = watch::channel(false);
        let (break_off, broken) = mpsc::channel(2);
        let mut tasks = JoinSet::new();
        for (file, to) in [("stdout", To::Stdout), ("stderr", To::Stderr)] {
            let follower = Follower::new(sandbox.clone(), file, 0);
            tasks.spawn(copy(follower, to, ending.clone(), break_off.clone()));
        }
        self.running = Some(Running { tasks, ended, broken });
    }

    /// Resolves when nobody reads our output any more, with the exit code for that.
    pub(crate) async fn broken(&mut self) -> u8 {
        if let Some(running) = &mut self.running
            && let Some(code) = running.broken.recv().await
        {
            return code;
        }
        pending().await
    }

    /// The task has ended: copies what is left. False if that could not be read to its end.
    pub(crate) async fn finish(&mut self) -> bool {
        let Some(running) = self.running.take() else {
            return true;
        };
        running.ended.send_replace(true);
        running
            .tasks
            .join_all()
            .await
            .into_iter()
            .all(|complete| complete)
    }
}

/// Copies until the task has ended and the file with it; returns whether its end was seen.
async fn copy(
    mut from: Follower,
    to: To,
    mut ending: watch::Receiver<bool>,
    break_off: mpsc::Sender<u8>,
) -> bool {
    let mut give_up = None;
    loop {
        let ended = *ending.borrow();
        match from.more().await {
            Ok(data) if data.is_empty() && ended => return true,
            Ok(data) if data.is_empty() => {}
            Ok(data) => {
                // Whoever reads our output may stop doing so; nothing else of this program must stop with it.
                let written = tokio::task::spawn_blocking(move || write(to, &data)).await;
                if !matches!(written, Ok(Ok(()))) {
                    // The queue has room for both; a second word changes nothing.
                    let _ = break_off.try_send(exit::CLOSED_PIPE);
                    return false;
                }
                continue;
            }
            // An agent may be away for a while; its files are not.
            Err(_) if !ended => {}
            Err(_) => {
                let limit = *give_up.get_or_insert_with(|| tokio::time::Instant::now() + LAST_WORDS);
                if tokio::time::Instant::now() >= limit {
                    return false;
                }
            }
        }
        let pause = from.pause();
        if ended {
            tokio::time::sleep(pause).await;
        } else {
            // The end of the task cuts the pause short.
            let _ = tokio::time::timeout(pause, ending.changed()).await;
        }
    }
}

/// Short writes to our own standard streams; a slow reader of them slows the copy, as it should.
fn write(to: To, data: &[u8]) -> io::Result<()> {
    match to {
        To::Stdout => {
            let mut out = io::stdout().lock();
            out.write_all(data)?;
            out.flush()
        }
        To::Stderr => io::stderr().lock().write_all(data),
    }
}
